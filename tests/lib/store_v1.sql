-- A store as version 1 wrote it, frozen: what the migration finds in the world.
-- A gang that holds two GPUs, and a durable task that waits.
PRAGMA page_size = 1024;
BEGIN;
CREATE TABLE lease (id INTEGER PRIMARY KEY, service_id TEXT NOT NULL,
    job_id TEXT, class TEXT, priority INTEGER, metadata TEXT,
    token INTEGER NOT NULL, token_before INTEGER NOT NULL, seq INTEGER
    NOT NULL, devices INTEGER NOT NULL, granted INTEGER NOT NULL,
    submitted_at_ms INTEGER NOT NULL, granted_at_ms INTEGER NOT NULL,
    first_granted_at_ms INTEGER NOT NULL, timeout_ms INTEGER NOT NULL,
    state INTEGER NOT NULL, vram_mib INTEGER NOT NULL, gpus INTEGER
    NOT NULL, ttl_ms INTEGER NOT NULL, pause_grace_ms INTEGER NOT
    NULL, max_hold_ms INTEGER NOT NULL, charge_mib INTEGER NOT NULL,
    footprint_mib INTEGER NOT NULL, flags INTEGER NOT NULL) STRICT,
    WITHOUT ROWID;
CREATE TABLE class (name TEXT PRIMARY KEY, consecutive INTEGER NOT NULL,
    credit INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE mode (id INTEGER PRIMARY KEY CHECK (id = 1), bypass_until_ms
    INTEGER NOT NULL, drained INTEGER NOT NULL, is_draining INTEGER NOT NULL)
    STRICT;
CREATE TABLE numbers (id INTEGER PRIMARY KEY CHECK (id = 1), reserved INTEGER
    NOT NULL) STRICT;
INSERT INTO numbers VALUES (1, 0);
CREATE VIEW gpu_queue AS SELECT id AS lease, service_id, job_id,
    coalesce(class, 'priority-' || priority) AS class, CASE state WHEN 0 THEN
    'away' WHEN 1 THEN 'queued' WHEN 2 THEN 'clearing' WHEN 3 THEN 'held'
    WHEN 4 THEN 'pausing' WHEN 5 THEN 'paused' WHEN 6 THEN 'reclaiming' END
    AS state, nullif(token, 0) AS token, vram_mib, gpus,
    charge_mib, flags & 1 AS preemptible, (flags >> 1) & 1 AS durable,
    (flags >> 3) & 1 AS paused_by_operator, metadata FROM lease ORDER BY
    seq;
INSERT INTO lease VALUES(11,'trainer','night','transcription',NULL,'{}',12,0,1,
    0,3,5000,5100,5100,30000,3,0,2,60000,10000,0,24320,0,1);
INSERT INTO lease VALUES(13,'tasks','task-v1',NULL,2,'{}',0,0,2,
    0,0,5200,0,0,-1,0,4096,1,60000,10000,0,0,0,2);
INSERT INTO class VALUES('transcription',1,-30);
UPDATE numbers SET reserved = 1000000;
PRAGMA application_id = 1735423331;
PRAGMA user_version = 1;
COMMIT;
PRAGMA journal_mode = WAL;
