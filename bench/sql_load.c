/* sql_load.c - the plain way: clients that share GPUs through SQL alone.
 *
 *   sql_load CONNINFO CLIENTS SECONDS
 *
 * A connection a client, all of them busy at once; one thread.  Taking is one
 * transaction: it locks the row of the tokens, counts it up, so that tokens
 * rise in the order of the grants, and writes the row of the GPU.  Giving back
 * is another.  Each client has a GPU of its own, as in `load`.  Prints how many
 * pairs a second, as one line of JSON.
 */
#include "base/clock.h"
#include "bench/wire.h"

#include <libpq-fe.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CLIENTS_MAX = 64,
    WARM_UP_NS = 300000000,
    SAMPLES_MAX = 1 << 20,
    NS_A_US = 1000
};

static struct {
    uint64_t pair_ns[SAMPLES_MAX];
    size_t count;
} samples;

static const char schema[] =
    "SET client_min_messages = warning;"
    "DROP TABLE IF EXISTS plain_gpu, plain_token;"
    "CREATE TABLE plain_token (n bigint) WITH (fillfactor = 10);"
    "INSERT INTO plain_token VALUES (0);"
    "CREATE TABLE plain_gpu (id bigint PRIMARY KEY, holder text, token bigint)"
    " WITH (fillfactor = 10);"
    "INSERT INTO plain_gpu SELECT generate_series(0, 63)";

static const char take[] =
    "WITH t AS (UPDATE plain_token SET n = n + 1 RETURNING n)"
    " UPDATE plain_gpu SET holder = 'client', token = t.n FROM t"
    " WHERE id = $1 AND holder IS NULL RETURNING token";

static const char give[] =
    "UPDATE plain_gpu SET holder = NULL WHERE id = $1 AND holder = 'client'"
    " RETURNING token";

struct client {
    PGconn *conn;
    char number[8];
    uint64_t began_ns;
    bool holds;
    bool is_busy;
};

static void check(const PGconn *conn, bool is_fine)
{
    if (!is_fine) {
        wire_die("PostgreSQL: %s", PQerrorMessage(conn));
    }
}

static void run(PGconn *conn, const char *sql)
{
    PGresult *result = PQexec(conn, sql);

    check(conn, PQresultStatus(result) == PGRES_COMMAND_OK);
    PQclear(result);
}

static void open_client(struct client *client, const char *info, unsigned i)
{
    client->conn = PQconnectdb(info);
    check(client->conn, PQstatus(client->conn) == CONNECTION_OK);
    (void)snprintf(client->number, sizeof client->number, "%u", i);
    if (i == 0) {
        run(client->conn, schema);
    }
    PQclear(PQprepare(client->conn, "take", take, 0, NULL));
    PQclear(PQprepare(client->conn, "give", give, 0, NULL));
}

static void step(struct client *client)
{
    const char *values[] = {client->number};

    if (!client->holds) {
        client->began_ns = clock_mono_ns();
    }
    check(client->conn,
          PQsendQueryPrepared(client->conn, client->holds ? "give" : "take", 1,
                              values, NULL, NULL, 0) == 1 &&
              PQflush(client->conn) == 0);
    client->is_busy = true;
}

/* Take the answer, if it is whole; say whether it was. */
static bool read_answer(struct client *client)
{
    PGresult *result;

    check(client->conn, PQconsumeInput(client->conn) == 1);
    if (PQisBusy(client->conn) != 0) {
        return false;
    }
    result = PQgetResult(client->conn);
    check(client->conn,
          PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1);
    PQclear(result);
    while ((result = PQgetResult(client->conn)) != NULL) {
        PQclear(result);
    }
    client->holds = !client->holds;
    client->is_busy = false;
    return true;
}

static int compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;

    return (a > b) - (a < b);
}

static void print(double seconds)
{
    if (samples.count == 0) {
        wire_die("not a single pair was finished");
    }
    qsort(samples.pair_ns, samples.count, sizeof samples.pair_ns[0], compare);
    printf("{\"rate\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f}\n",
           (double)samples.count / seconds,
           (double)samples.pair_ns[samples.count / 2] / NS_A_US,
           (double)samples.pair_ns[samples.count - 1 - samples.count / 100] /
               NS_A_US);
}

int main(int argc, char **argv)
{
    static struct client clients[CLIENTS_MAX];
    struct pollfd fds[CLIENTS_MAX];
    unsigned count = argc == 4 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    double seconds = argc == 4 ? strtod(argv[3], NULL) : 0;
    unsigned active = count;
    uint64_t from_ns;
    uint64_t ends_ns;

    if (count == 0 || count > CLIENTS_MAX || seconds <= 0) {
        wire_die("usage: sql_load CONNINFO CLIENTS SECONDS");
    }
    for (unsigned i = 0; i < count; i++) {
        open_client(&clients[i], argv[1], i);
        fds[i] = (struct pollfd){PQsocket(clients[i].conn), POLLIN, 0};
    }
    from_ns = clock_mono_ns() + WARM_UP_NS;
    ends_ns = from_ns + (uint64_t)(seconds * 1e9);
    for (unsigned i = 0; i < count; i++) {
        step(&clients[i]);
    }
    while (active > 0) {
        (void)poll(fds, count, 1000);
        for (unsigned i = 0; i < count; i++) {
            uint64_t now_ns = clock_mono_ns();

            if (!clients[i].is_busy || fds[i].revents == 0 ||
                !read_answer(&clients[i])) {
                continue;
            }
            if (!clients[i].holds && now_ns >= from_ns && now_ns < ends_ns &&
                samples.count < SAMPLES_MAX) {
                samples.pair_ns[samples.count++] = now_ns - clients[i].began_ns;
            }
            if (!clients[i].holds && now_ns >= ends_ns) {
                active--;
            } else {
                step(&clients[i]);
            }
        }
    }
    print(seconds);
    for (unsigned i = 0; i < count; i++) {
        PQfinish(clients[i].conn);
    }
    return 0;
}
