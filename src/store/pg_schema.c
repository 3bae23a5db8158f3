#include "store/pg_schema.h"

#include <stddef.h>

/* The columns of gpu_lease are those of columns.c, in its order: the rows of a
 * batch come as an array of the table's own type.  Numbers of 64 bits are kept
 * as two's complement, states as numbers; people read the views.  Rows are
 * updated in place where the page has room, hence the fill factor. */
static const char table_lease[] =
    "CREATE TABLE gpu_lease (\n"
    " service_id text NOT NULL,\n"
    " job_id text,\n"
    " class text,\n" /* NULL: the implicit class of .priority. */
    " priority bigint,\n"
    " metadata text,\n"
    " watches text,\n"
    " watch_pid bigint NOT NULL,\n"
    " watch_started bigint NOT NULL,\n"
    " shares text,\n" /* "4096/0,2048/0". */
    " id bigint PRIMARY KEY,\n"
    " token bigint NOT NULL,\n"
    " token_before bigint NOT NULL,\n"
    " seq bigint NOT NULL,\n"
    " devices bigint NOT NULL,\n"
    " granted bigint NOT NULL,\n"
    " submitted_at_ms bigint NOT NULL,\n"
    " granted_at_ms bigint NOT NULL,\n"
    " first_granted_at_ms bigint NOT NULL,\n"
    " timeout_ms bigint NOT NULL,\n" /* -1: none. */
    " state bigint NOT NULL,\n"
    " vram_mib bigint NOT NULL,\n"
    " gpus bigint NOT NULL,\n"
    " ttl_ms bigint NOT NULL,\n"
    " pause_grace_ms bigint NOT NULL,\n"
    " max_hold_ms bigint NOT NULL,\n"
    " charge_mib bigint NOT NULL,\n"
    " footprint_mib bigint NOT NULL,\n"
    " flags bigint NOT NULL,\n"
    " rungs bigint NOT NULL,\n"
    " rung bigint NOT NULL\n"
    ") WITH (fillfactor = 50)";

static const char table_class[] = "CREATE TABLE gpu_class (\n"
                                  " name text PRIMARY KEY,\n"
                                  " consecutive bigint NOT NULL,\n"
                                  " credit bigint NOT NULL\n"
                                  ") WITH (fillfactor = 50)";

static const char table_mode[] =
    "CREATE TABLE gpu_mode (\n"
    " id bigint PRIMARY KEY CHECK (id = 1),\n"
    " bypass_until_ms bigint NOT NULL,\n" /* 0: off; -1: without end. */
    " drained bigint NOT NULL,\n"
    " is_draining boolean NOT NULL\n"
    ")";

/* No lease id or token from .reserved on was ever given on that timeline. */
static const char table_numbers[] = "CREATE TABLE gpu_numbers (\n"
                                    " timeline bigint PRIMARY KEY,\n"
                                    " reserved bigint NOT NULL\n"
                                    ")";

/* The newest batch of the present epoch. */
static const char table_batch[] = "CREATE TABLE gpu_batch (\n"
                                  " id bigint PRIMARY KEY CHECK (id = 1),\n"
                                  " epoch bigint NOT NULL,\n"
                                  " number bigint NOT NULL\n"
                                  ") WITH (fillfactor = 10)";

/* One row.  The epoch is unique, so that a change of it is one of a key: a
 * batch locks the key only, and a renewal need not wait for batches. */
static const char table_leader[] =
    "CREATE TABLE gpu_leader (\n"
    " id bigint PRIMARY KEY CHECK (id = 1),\n"
    " epoch bigint NOT NULL UNIQUE,\n"
    " timeline bigint NOT NULL,\n" /* Of the WAL when it was won; 0: never. */
    " name text,\n"
    " advertise text,\n"
    " gpus text[],\n" /* UUIDs, sorted; NULL: not known yet. */
    " expires timestamptz NOT NULL,\n"
    " since timestamptz,\n"
    " timeline_since timestamptz\n" /* The first leader after a fail-over;
                                       NULL: there was none. */
    ") WITH (fillfactor = 10)";

static const char table_member[] = "CREATE TABLE gpu_member (\n"
                                   " name text PRIMARY KEY,\n"
                                   " advertise text,\n"
                                   " gpus text[],\n"
                                   " seen timestamptz NOT NULL\n"
                                   ") WITH (fillfactor = 50)";

/* .number_base is added to the timeline in the numbers: an import brought
 * numbers that were higher. */
static const char table_schema[] = "CREATE TABLE gpu_schema (\n"
                                   " id bigint PRIMARY KEY CHECK (id = 1),\n"
                                   " version bigint NOT NULL,\n"
                                   " number_base bigint NOT NULL DEFAULT 0\n"
                                   ")";

static const char first_rows[] =
    "INSERT INTO gpu_schema(id, version) VALUES (1, 0);\n"
    "INSERT INTO gpu_batch VALUES (1, 0, 0);\n"
    "INSERT INTO gpu_leader(id, epoch, timeline, expires)\n"
    " VALUES (1, 0, 0, '-infinity')";

static const char view_queue[] =
    "CREATE VIEW gpu_queue AS SELECT\n"
    " id AS lease, service_id, job_id,\n"
    " coalesce(class, 'priority-' || priority) AS class,\n"
    " CASE state WHEN 0 THEN 'away' WHEN 1 THEN 'queued'\n"
    "  WHEN 2 THEN 'clearing' WHEN 3 THEN 'held' WHEN 4 THEN 'pausing'\n"
    "  WHEN 5 THEN 'paused' WHEN 6 THEN 'reclaiming' END AS state,\n"
    " nullif(token, 0) AS token, vram_mib, gpus, charge_mib,\n"
    " flags & 1 <> 0 AS preemptible, flags & 2 <> 0 AS durable,\n"
    " flags & 8 <> 0 AS paused_by_operator,\n"
    " metadata\n"
    " FROM gpu_lease ORDER BY seq";

/* Every member, and a leader that is none (any more). */
static const char view_cluster[] =
    "CREATE VIEW gpu_cluster AS SELECT\n"
    " coalesce(m.name, l.name) AS name,\n"
    " coalesce(m.advertise, l.advertise) AS advertise,\n"
    " coalesce(l.expires > clock_timestamp(), false) AS leads,\n"
    " l.epoch, l.timeline, l.since, m.seen, m.gpus\n"
    " FROM gpu_member m FULL JOIN\n"
    "  (SELECT * FROM gpu_leader WHERE name IS NOT NULL) l\n"
    "  ON l.name = m.name\n"
    " ORDER BY 1";

/* The present timeline of the WAL, which every fail-over raises. */
static const char function_timeline[] =
    "CREATE FUNCTION gpu_timeline() RETURNS bigint LANGUAGE sql AS $$\n"
    "SELECT ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()),\n"
    " 1, 8))::bit(32)::bigint\n"
    "$$";

/* Of the lock that a coordinator without a cluster holds. */
static const char function_lock_key[] =
    "CREATE FUNCTION gpu_lock_key() RETURNS bigint LANGUAGE sql AS $$\n"
    "SELECT (1735423331::bigint << 32) + 'gpu_leader'::regclass::oid::bigint\n"
    "$$";

/* Until the end of the transaction nobody else becomes the leader. */
static const char function_fence[] =
    "CREATE FUNCTION gpu_fence(my_timeline bigint, my_epoch bigint)\n"
    " RETURNS void LANGUAGE plpgsql AS $$\n"
    "DECLARE\n"
    " l gpu_leader;\n"
    "BEGIN\n"
    " SELECT * INTO l FROM gpu_leader FOR KEY SHARE;\n"
    " IF l.epoch IS DISTINCT FROM my_epoch\n"
    "  OR l.timeline IS DISTINCT FROM my_timeline\n"
    "  OR gpu_timeline() <> my_timeline THEN\n"
    "  RAISE EXCEPTION USING ERRCODE = 'GC001', MESSAGE = format(\n"
    "   'epoch %s of timeline %s is over: %L leads in epoch %s of timeline "
    "%s, and the database is on timeline %s',\n"
    "   my_epoch, my_timeline, l.name, l.epoch, l.timeline,\n"
    "   gpu_timeline());\n"
    " END IF;\n"
    "END $$";

/* The fence is looked at here, too, since a call of a function takes as long as
 * the look; gpu_fence() says what is wrong with it.
 * True where the batch was written, false where its number says that it was
 * before.  The row of gpu_batch makes a repeat wait for a first attempt that
 * is still under way on a connection that we have given up. */
static const char function_commit[] =
    "CREATE FUNCTION gpu_commit(my_timeline bigint, my_epoch bigint,\n"
    " my_number bigint, leases gpu_lease[], ended bigint[],\n"
    " classes gpu_class[], mode gpu_mode)\n"
    " RETURNS boolean LANGUAGE plpgsql AS $$\n"
    "DECLARE\n"
    " l gpu_leader;\n"
    "BEGIN\n"
    " SELECT * INTO l FROM gpu_leader FOR KEY SHARE;\n"
    " IF l.epoch IS DISTINCT FROM my_epoch\n"
    "  OR l.timeline IS DISTINCT FROM my_timeline\n"
    "  OR ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()),\n"
    "   1, 8))::bit(32)::bigint <> my_timeline THEN\n"
    "  PERFORM gpu_fence(my_timeline, my_epoch);\n"
    " END IF;\n"
    " UPDATE gpu_batch SET number = my_number\n"
    "  WHERE epoch = my_epoch AND number < my_number;\n"
    " IF NOT FOUND THEN\n"
    "  RETURN false;\n"
    " END IF;\n"
    " IF cardinality(leases) > 0 THEN\n"
    "  INSERT INTO gpu_lease SELECT * FROM unnest(leases)\n"
    "  ON CONFLICT (id) DO UPDATE SET\n"
    "   service_id = EXCLUDED.service_id, job_id = EXCLUDED.job_id,\n"
    "   class = EXCLUDED.class, priority = EXCLUDED.priority,\n"
    "   metadata = EXCLUDED.metadata, watches = EXCLUDED.watches,\n"
    "   watch_pid = EXCLUDED.watch_pid,\n"
    "   watch_started = EXCLUDED.watch_started,\n"
    "   shares = EXCLUDED.shares, token = EXCLUDED.token,\n"
    "   token_before = EXCLUDED.token_before, seq = EXCLUDED.seq,\n"
    "   devices = EXCLUDED.devices, granted = EXCLUDED.granted,\n"
    "   submitted_at_ms = EXCLUDED.submitted_at_ms,\n"
    "   granted_at_ms = EXCLUDED.granted_at_ms,\n"
    "   first_granted_at_ms = EXCLUDED.first_granted_at_ms,\n"
    "   timeout_ms = EXCLUDED.timeout_ms, state = EXCLUDED.state,\n"
    "   vram_mib = EXCLUDED.vram_mib, gpus = EXCLUDED.gpus,\n"
    "   ttl_ms = EXCLUDED.ttl_ms,\n"
    "   pause_grace_ms = EXCLUDED.pause_grace_ms,\n"
    "   max_hold_ms = EXCLUDED.max_hold_ms,\n"
    "   charge_mib = EXCLUDED.charge_mib,\n"
    "   footprint_mib = EXCLUDED.footprint_mib,\n"
    "   flags = EXCLUDED.flags, rungs = EXCLUDED.rungs,\n"
    "   rung = EXCLUDED.rung;\n"
    " END IF;\n"
    " IF cardinality(ended) > 0 THEN\n"
    "  DELETE FROM gpu_lease WHERE id = ANY (ended);\n"
    " END IF;\n"
    " IF cardinality(classes) > 0 THEN\n"
    "  INSERT INTO gpu_class SELECT * FROM unnest(classes)\n"
    "  ON CONFLICT (name) DO UPDATE SET\n"
    "   consecutive = EXCLUDED.consecutive, credit = EXCLUDED.credit;\n"
    " END IF;\n"
    " IF mode IS NOT NULL THEN\n"
    "  INSERT INTO gpu_mode VALUES (mode.*)\n"
    "  ON CONFLICT (id) DO UPDATE SET\n"
    "   bypass_until_ms = EXCLUDED.bypass_until_ms,\n"
    "   drained = EXCLUDED.drained, is_draining = EXCLUDED.is_draining;\n"
    " END IF;\n"
    " RETURN true;\n"
    "END $$";

/* The numbers of a timeline begin at (base + timeline) << 40 and stay below
 * 2^53, which JavaScript can count. */
static const char function_numbers_first[] =
    "CREATE FUNCTION gpu_numbers_first(my_timeline bigint)\n"
    " RETURNS bigint LANGUAGE sql AS $$\n"
    "SELECT (number_base + my_timeline) << 40 FROM gpu_schema\n"
    "$$";

static const char function_numbers_end[] =
    "CREATE FUNCTION gpu_numbers_end(my_timeline bigint)\n"
    " RETURNS bigint LANGUAGE sql AS $$\n"
    "SELECT greatest(gpu_numbers_first(my_timeline),\n"
    " (SELECT max(reserved) FROM gpu_numbers WHERE timeline = my_timeline))\n"
    "$$";

static const char function_reserve[] =
    "CREATE FUNCTION gpu_reserve(my_timeline bigint, my_epoch bigint,\n"
    " wanted bigint) RETURNS bigint LANGUAGE plpgsql AS $$\n"
    "BEGIN\n"
    " PERFORM gpu_fence(my_timeline, my_epoch);\n"
    " IF wanted > gpu_numbers_first(my_timeline + 1)\n"
    "  OR wanted > 1::bigint << 53 THEN\n"
    "  RAISE EXCEPTION USING ERRCODE = 'GC004', MESSAGE = format(\n"
    "   'the numbers of timeline %s are used up at %s', my_timeline, "
    "wanted);\n"
    " END IF;\n"
    " INSERT INTO gpu_numbers VALUES (my_timeline, wanted)\n"
    "  ON CONFLICT (timeline) DO UPDATE SET\n"
    "   reserved = greatest(gpu_numbers.reserved, EXCLUDED.reserved);\n"
    " RETURN gpu_numbers_end(my_timeline);\n"
    "END $$";

/* An import brings numbers up to @wanted: those of this timeline, and of every
 * later one, begin above them. */
static const char function_raise[] =
    "CREATE FUNCTION gpu_raise_numbers(my_timeline bigint,\n"
    " my_epoch bigint, wanted bigint) RETURNS bigint LANGUAGE plpgsql AS $$\n"
    "BEGIN\n"
    " PERFORM gpu_fence(my_timeline, my_epoch);\n"
    " IF wanted > gpu_numbers_first(my_timeline) THEN\n"
    "  UPDATE gpu_schema\n"
    "   SET number_base = (wanted >> 40) + 1 - my_timeline;\n"
    " END IF;\n"
    " IF gpu_numbers_first(my_timeline + 1) > 1::bigint << 53 THEN\n"
    "  RAISE EXCEPTION USING ERRCODE = 'GC004', MESSAGE =\n"
    "   'the numbers of the import are too high';\n"
    " END IF;\n"
    " RETURN gpu_numbers_end(my_timeline);\n"
    "END $$";

/* The row is taken by whoever calls, which holds its lock. */
static const char function_take[] =
    "CREATE FUNCTION gpu_take(my_name text, my_advertise text,\n"
    " my_gpus text[], until timestamptz, OUT epoch bigint,\n"
    " OUT timeline bigint) LANGUAGE plpgsql AS $$\n"
    "#variable_conflict use_column\n"
    "DECLARE\n"
    " l gpu_leader;\n"
    " now_on bigint := gpu_timeline();\n"
    "BEGIN\n"
    " SELECT * INTO l FROM gpu_leader FOR UPDATE;\n"
    " UPDATE gpu_leader SET epoch = l.epoch + 1, timeline = now_on,\n"
    "  name = my_name, advertise = my_advertise,\n"
    "  gpus = coalesce(my_gpus, l.gpus), expires = until,\n"
    "  since = clock_timestamp(),\n"
    "  timeline_since = CASE WHEN l.timeline NOT IN (0, now_on)\n"
    "   THEN clock_timestamp() ELSE l.timeline_since END;\n"
    " UPDATE gpu_batch SET epoch = l.epoch + 1, number = 0;\n"
    " gpu_take.epoch := l.epoch + 1;\n"
    " gpu_take.timeline := now_on;\n"
    "END $$";

/* No row where another's leadership has not ended.  A leader of the same name
 * is another: it may have been stopped, not killed. */
static const char function_lead[] =
    "CREATE FUNCTION gpu_lead(my_name text, my_advertise text,\n"
    " my_gpus text[], ttl_ms bigint, adopt_gpus boolean DEFAULT false)\n"
    " RETURNS TABLE (epoch bigint, timeline bigint) LANGUAGE plpgsql AS $$\n"
    "#variable_conflict use_column\n"
    "DECLARE\n"
    " l gpu_leader;\n"
    "BEGIN\n"
    " SELECT * INTO l FROM gpu_leader;\n"
    " IF l.expires > clock_timestamp() THEN\n"
    "  RETURN;\n"
    " END IF;\n"
    " IF NOT pg_try_advisory_xact_lock_shared(gpu_lock_key()) THEN\n"
    "  RETURN;\n"
    " END IF;\n"
    " SELECT * INTO l FROM gpu_leader FOR UPDATE;\n"
    " IF l.expires > clock_timestamp() THEN\n"
    "  RETURN;\n"
    " END IF;\n"
    " IF l.gpus <> my_gpus AND NOT adopt_gpus THEN\n"
    "  RAISE EXCEPTION USING ERRCODE = 'GC002', MESSAGE = format(\n"
    "   'the cluster has the GPUs %s, %L has %s',\n"
    "   array_to_string(l.gpus, ', '), my_name,\n"
    "   array_to_string(my_gpus, ', '));\n"
    " END IF;\n"
    " RETURN QUERY SELECT t.epoch, t.timeline FROM gpu_take(my_name,\n"
    "  my_advertise, my_gpus,\n"
    "  clock_timestamp() + ttl_ms * interval '1 ms') t;\n"
    "END $$";

/* The instant is read before the row's lock is waited for: early is safe. */
static const char function_renew[] =
    "CREATE FUNCTION gpu_lead_renew(my_epoch bigint, my_timeline bigint,\n"
    " ttl_ms bigint) RETURNS boolean LANGUAGE plpgsql AS $$\n"
    "BEGIN\n"
    " UPDATE gpu_leader SET\n"
    "  expires = clock_timestamp() + ttl_ms * interval '1 ms'\n"
    "  WHERE epoch = my_epoch AND timeline = my_timeline\n"
    "   AND gpu_timeline() = my_timeline;\n"
    " RETURN FOUND;\n"
    "END $$";

static const char function_resign[] =
    "CREATE FUNCTION gpu_lead_resign(my_epoch bigint, my_timeline bigint)\n"
    " RETURNS boolean LANGUAGE plpgsql AS $$\n"
    "BEGIN\n"
    " UPDATE gpu_leader SET expires = '-infinity'\n"
    "  WHERE epoch = my_epoch AND timeline = my_timeline;\n"
    " RETURN FOUND;\n"
    "END $$";

/* Take the lock of the session, and refuse with the name of who has it.  The
 * backend of a coordinator that has just been killed has it for a moment
 * still. */
static const char function_lock[] =
    "CREATE FUNCTION gpu_lock() RETURNS void LANGUAGE plpgsql AS $$\n"
    "DECLARE\n"
    " who record;\n"
    "BEGIN\n"
    " PERFORM set_config('lock_timeout', '2000', true);\n"
    " PERFORM pg_advisory_lock(gpu_lock_key());\n"
    " PERFORM set_config('lock_timeout', '0', true);\n"
    "EXCEPTION WHEN lock_not_available THEN\n"
    " SELECT a.application_name, l.pid INTO who FROM pg_locks l\n"
    "  LEFT JOIN pg_stat_activity a ON a.pid = l.pid\n"
    "  WHERE l.locktype = 'advisory' AND l.granted\n"
    "   AND l.database = (SELECT oid FROM pg_database\n"
    "    WHERE datname = current_database())\n"
    "   AND l.classid::bigint = gpu_lock_key() >> 32\n"
    "   AND l.objid::bigint = gpu_lock_key() & 4294967295 LIMIT 1;\n"
    " RAISE EXCEPTION USING ERRCODE = 'GC003', MESSAGE = format(\n"
    "  'another coordinator has it open (%s, backend %s)',\n"
    "  coalesce(nullif(who.application_name, ''), 'nameless'), who.pid);\n"
    "END $$";

/* Have the store without a cluster: for as long as the session lives. */
static const char function_alone[] =
    "CREATE FUNCTION gpu_lead_alone(my_name text, OUT epoch bigint,\n"
    " OUT timeline bigint) LANGUAGE plpgsql AS $$\n"
    "#variable_conflict use_column\n"
    "DECLARE\n"
    " l gpu_leader;\n"
    "BEGIN\n"
    " PERFORM gpu_lock();\n"
    " SELECT * INTO l FROM gpu_leader FOR UPDATE;\n"
    " IF l.expires > clock_timestamp() THEN\n"
    "  PERFORM pg_advisory_unlock(gpu_lock_key());\n"
    "  RAISE EXCEPTION USING ERRCODE = 'GC003', MESSAGE = format(\n"
    "   'another coordinator has it open: %L leads its cluster', l.name);\n"
    " END IF;\n"
    " SELECT t.epoch, t.timeline FROM gpu_take(my_name, NULL, NULL,\n"
    "  '-infinity') t INTO gpu_lead_alone.epoch, gpu_lead_alone.timeline;\n"
    "END $$";

/* Go on after a lost connection, whose backend @old_pid may not know yet that
 * it is alone, and still hold the lock. */
static const char function_resume[] =
    "CREATE FUNCTION gpu_resume(my_timeline bigint, my_epoch bigint,\n"
    " is_alone boolean, old_pid integer, old_started timestamptz)\n"
    " RETURNS void LANGUAGE plpgsql AS $$\n"
    "BEGIN\n"
    " PERFORM pg_terminate_backend(pid) FROM pg_stat_activity\n"
    "  WHERE pid = old_pid AND backend_start = old_started\n"
    "   AND usename = current_user;\n"
    " PERFORM gpu_fence(my_timeline, my_epoch);\n"
    " IF is_alone THEN\n"
    "  PERFORM gpu_lock();\n"
    " END IF;\n"
    "END $$";

/* For so long after the first start on a new timeline nothing may be granted:
 * the database may have lost grants, which end by themselves. */
static const char function_hold[] =
    "CREATE FUNCTION gpu_hold_ms(longest_ms bigint) RETURNS bigint\n"
    " LANGUAGE sql AS $$\n"
    "SELECT coalesce(greatest(0, ceil(longest_ms - 1000 * extract(epoch FROM\n"
    " clock_timestamp() - timeline_since)))::bigint, 0) FROM gpu_leader\n"
    "$$";

static const char function_seen[] =
    "CREATE FUNCTION gpu_member_seen(my_name text, my_advertise text,\n"
    " my_gpus text[]) RETURNS void LANGUAGE sql AS $$\n"
    "INSERT INTO gpu_member VALUES (my_name, my_advertise, my_gpus,\n"
    " clock_timestamp()) ON CONFLICT (name) DO UPDATE SET\n"
    " advertise = EXCLUDED.advertise, gpus = EXCLUDED.gpus,\n"
    " seen = EXCLUDED.seen\n"
    "$$";

static const char function_gone[] =
    "CREATE FUNCTION gpu_member_gone(my_name text) RETURNS void\n"
    " LANGUAGE sql AS $$\n"
    "DELETE FROM gpu_member WHERE name = my_name\n"
    "$$";

static const char *const version_1[] = {
    table_lease,          table_class,      table_mode,
    table_numbers,        table_batch,      table_leader,
    table_member,         table_schema,     first_rows,
    view_queue,           view_cluster,     function_timeline,
    function_lock_key,    function_fence,   function_numbers_first,
    function_numbers_end, function_reserve, function_raise,
    function_commit,      function_take,    function_lead,
    function_renew,       function_resign,  function_lock,
    function_alone,       function_resume,  function_hold,
    function_seen,        function_gone,    NULL,
};

const struct pg_migration pg_migrations[] = {{version_1}};

const int pg_schema_version =
    (int)(sizeof pg_migrations / sizeof pg_migrations[0]);
