/* Guarantee 15: the bad inputs of docs/guarantees.md, each against a real
 * listener: what is answered, and whether the connection is closed.  B1 to B3
 * are served over this. */
#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define GET   "GET /now HTTP/1.1\r\nHost: a\r\n"
#define POST  "POST /now HTTP/1.1\r\nHost: a\r\n"
#define CHUNK POST "Transfer-Encoding: chunked\r\n\r\n"
#define KIB   ((size_t)1024)
#define MIB   (1024 * KIB)

struct row {
    const char *name;
    const char *head; /* Sent first; '#' stands for a NUL byte. */
    const char *fill; /* Sent `count` times then; NULL = nothing. */
    size_t count;
    const char *tail;   /* Sent last; NULL = nothing. */
    const char *expect; /* Statuses, and "close" where it is closed. */
};

/* A row is one connection.  "close" alone means: without an answer. */
static const struct row rows[] = {
    {"plain", GET "\r\n", NULL, 0, NULL, "200"},
    {"plain 1.0 closes", "GET /now HTTP/1.0\r\nHost: a\r\n\r\n", NULL, 0, NULL,
     "200 close"},
    {"asked to close", GET "Connection: close\r\n\r\n", NULL, 0, NULL,
     "200 close"},
    {"empty lines before", "\r\n\r\n" GET "\r\n", NULL, 0, NULL, "200"},

    /* Lengths. */
    {"length bad", POST "Content-Length: abc\r\n\r\n", NULL, 0, NULL,
     "400 close"},
    {"length empty", POST "Content-Length:\r\n\r\n", NULL, 0, NULL,
     "400 close"},
    {"length with plus", POST "Content-Length: +2\r\n\r\n{}", NULL, 0, NULL,
     "400 close"},
    {"length with minus", POST "Content-Length: -2\r\n\r\n{}", NULL, 0, NULL,
     "400 close"},
    {"length with a space", POST "Content-Length: 4 1\r\n\r\n{}", NULL, 0, NULL,
     "400 close"},
    {"length with a comma", POST "Content-Length: 2, 2\r\n\r\n{}", NULL, 0,
     NULL, "400 close"},
    {"length hexadecimal", POST "Content-Length: 0x2\r\n\r\n{}", NULL, 0, NULL,
     "400 close"},
    {"length above 2^64", POST "Content-Length: 18446744073709551618\r\n\r\n{}",
     NULL, 0, NULL, "400 close"},
    {"length doubled", POST "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
     NULL, 0, NULL, "400 close"},
    {"lengths differ", POST "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
     NULL, 0, NULL, "400 close"},
    {"length, then chunked",
     POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     NULL, 0, NULL, "400 close"},
    {"chunked, then length",
     POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
     NULL, 0, NULL, "400 close"},
    {"100 MB declared", POST "Content-Length: 104857600\r\n\r\n", NULL, 0, NULL,
     "413 close"},
    {"100 MB declared, 1 MB sent", POST "Content-Length: 104857600\r\n\r\n",
     "x", MIB, NULL, "413 close"},
    {"64 KiB are a body", POST "Content-Length: 65536\r\n\r\n", "x", 65536,
     NULL, "200"},
    {"one byte more is not", POST "Content-Length: 65537\r\n\r\n", NULL, 0,
     NULL, "413 close"},

    /* Chunks. */
    {"chunked", CHUNK "2\r\n{}\r\n0\r\n\r\n", NULL, 0, NULL, "200"},
    {"chunk size bad", CHUNK "x\r\n{}\r\n0\r\n\r\n", NULL, 0, NULL,
     "400 close"},
    {"chunk size empty", CHUNK "\r\n{}\r\n0\r\n\r\n", NULL, 0, NULL,
     "400 close"},
    {"chunk size negative", CHUNK "-2\r\n{}\r\n0\r\n\r\n", NULL, 0, NULL,
     "400 close"},
    {"chunk size 0x2", CHUNK "0x2\r\n{}\r\n0\r\n\r\n", NULL, 0, NULL,
     "400 close"},
    {"chunk size after a space", CHUNK " 2\r\n{}\r\n0\r\n\r\n", NULL, 0, NULL,
     "400 close"},
    {"chunk size above 2^64", CHUNK "fffffffffffffffff\r\n", NULL, 0, NULL,
     "400 close"},
    {"chunk size huge", CHUNK "7fffffffffffffff\r\n{}", NULL, 0, NULL,
     "413 close"},
    {"chunk longer than said", CHUNK "1\r\n{}\r\n0\r\n\r\n", NULL, 0, NULL,
     "400 close"},
    {"chunks of 1 byte", CHUNK, "1\r\nx\r\n", 60000, "0\r\n\r\n", "200"},
    {"too many of them", CHUNK, "1\r\nx\r\n", 65537, "0\r\n\r\n", "413 close"},
    {"a body that stops", CHUNK "400\r\n", NULL, 0, NULL, "408 close"},
    {"chunk extension", CHUNK "2;a=b\r\n{}\r\n0\r\n\r\n", NULL, 0, NULL, "200"},
    {"1 MB of extension", CHUNK "2;a=", "b", MIB, "\r\n{}\r\n0\r\n\r\n",
     "413 close"},
    {"trailers", CHUNK "2\r\n{}\r\n0\r\nA: b\r\nHost: c\r\n\r\n", NULL, 0, NULL,
     "200"},
    {"1 MB of trailers", CHUNK "0\r\n", "Trailer: b\r\n", MIB / 12, "\r\n",
     "413 close"},
    {"gzip, chunked", POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
     NULL, 0, NULL, "400 close"},
    {"chunked, gzip", POST "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
     NULL, 0, NULL, "400 close"},
    {"chunked twice",
     POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"
          "0\r\n\r\n",
     NULL, 0, NULL, "400 close"},
    {"identity", POST "Transfer-Encoding: identity\r\n\r\n", NULL, 0, NULL,
     "400 close"},
    {"xchunked", POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", NULL, 0,
     NULL, "400 close"},
    {"chunked in 1.0",
     "POST /now HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
     "0\r\n\r\n",
     NULL, 0, NULL, "400 close"},

    /* Who is addressed, and by whom. */
    {"host missing", "GET /now HTTP/1.1\r\n\r\n", NULL, 0, NULL, "400 close"},
    {"host doubled", GET "Host: a\r\n\r\n", NULL, 0, NULL, "400 close"},
    {"host empty", "GET /now HTTP/1.1\r\nHost:\r\n\r\n", NULL, 0, NULL,
     "400 close"},
    {"host with a path", "GET /now HTTP/1.1\r\nHost: a/b\r\n\r\n", NULL, 0,
     NULL, "400 close"},
    {"host foreign", "GET /now HTTP/1.1\r\nHost: evil.example\r\n\r\n", NULL, 0,
     NULL, "403 close"},
    {"host configured",
     "GET /now HTTP/1.1\r\nHost: GPU.example.org:4780\r\n\r\n", NULL, 0, NULL,
     "200"},
    {"origin foreign", GET "Origin: http://evil.example\r\n\r\n", NULL, 0, NULL,
     "403 close"},
    {"origin null", GET "Origin: null\r\n\r\n", NULL, 0, NULL, "403 close"},
    {"origin doubled", GET "Origin: http://a\r\nOrigin: http://a\r\n\r\n", NULL,
     0, NULL, "400 close"},
    {"origin our own", GET "Origin: http://a\r\n\r\n", NULL, 0, NULL, "200"},

    /* Lines. */
    {"bare LF", "GET /now HTTP/1.1\nHost: a\n\n", NULL, 0, NULL, "400 close"},
    {"bare LF for the empty line", GET "\n", NULL, 0, NULL, "400 close"},
    {"bare LF for the headers", "GET /now HTTP/1.1\r\n\nHost: a\r\n\r\n", NULL,
     0, NULL, "400 close"},
    {"bare LF after a header", GET "A: b\n\r\n", NULL, 0, NULL, "400 close"},
    {"bare CR in a value", GET "A: b\rc\r\n\r\n", NULL, 0, NULL, "400 close"},
    {"NUL in a value", GET "A: b#c\r\n\r\n", NULL, 0, NULL, "400 close"},
    {"NUL in a name", GET "A#: b\r\n\r\n", NULL, 0, NULL, "400 close"},
    {"NUL in the URL", "GET /no#w HTTP/1.1\r\nHost: a\r\n\r\n", NULL, 0, NULL,
     "400 close"},
    {"obs-fold", GET "A: b\r\n c\r\n\r\n", NULL, 0, NULL, "400 close"},
    {"obs-fold, tab", GET "A: b\r\n\tc\r\n\r\n", NULL, 0, NULL, "400 close"},
    {"obs-fold, empty value", GET "A:\r\n c\r\n\r\n", NULL, 0, NULL,
     "400 close"},
    {"obs-fold, nothing in it", GET "A: b\r\n \r\n\r\n", NULL, 0, NULL,
     "400 close"},
    {"obs-fold, first", "GET /now HTTP/1.1\r\n Host: a\r\n\r\n", NULL, 0, NULL,
     "400 close"},
    {"space before the colon", GET "A : b\r\n\r\n", NULL, 0, NULL, "400 close"},
    {"no colon", GET "A\r\n\r\n", NULL, 0, NULL, "400 close"},
    {"no name", GET ": b\r\n\r\n", NULL, 0, NULL, "400 close"},
    {"8-bit name", GET "\xc3\xa4: b\r\n\r\n", NULL, 0, NULL, "400 close"},
    {"8-bit value", GET "A: \xc3\xa4\r\n\r\n", NULL, 0, NULL, "200"},
    {"8-bit URL", "GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n", NULL, 0, NULL,
     "400 close"},

    /* Sizes. */
    {"64 headers", GET, "A: b\r\n", 63, "\r\n", "200"},
    {"65 headers", GET, "A: b\r\n", 64, "\r\n", "431 close"},
    {"1,000 headers", GET, "A: b\r\n", 1000, "\r\n", "431 close"},
    {"a header of 15 KiB", GET "A: ", "b", 15 * KIB, "\r\n\r\n", "200"},
    {"a header of 17 KiB", GET "A: ", "b", 17 * KIB, "\r\n\r\n", "431 close"},
    {"a header of 1 MB", GET "A: ", "b", MIB, "\r\n\r\n", "431 close"},
    {"a name of 1 MB", GET, "b", MIB, ": a\r\n\r\n", "431 close"},
    {"1 MB of empty lines", "", "\r\n", MIB / 2, GET "\r\n", "431 close"},
    {"a URL of 4 KiB", "GET /now?", "a", 4 * KIB - 5,
     " HTTP/1.1\r\nHost: a\r\n\r\n", "200"},
    {"one byte more", "GET /now?", "a", 4 * KIB - 4,
     " HTTP/1.1\r\nHost: a\r\n\r\n", "414 close"},
    {"a URL of 64 KB", "GET /", "a", 64000, " HTTP/1.1\r\nHost: a\r\n\r\n",
     "414 close"},

    /* Versions, methods, other protocols. */
    {"HTTP/0.9", "GET /now\r\n", NULL, 0, NULL, "505 close"},
    {"0.9 in words", "GET /now HTTP/0.9\r\nHost: a\r\n\r\n", NULL, 0, NULL,
     "505 close"},
    {"HTTP/2.0", "GET /now HTTP/2.0\r\nHost: a\r\n\r\n", NULL, 0, NULL,
     "505 close"},
    {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", NULL, 0, NULL,
     "505 close"},
    {"HTTP/9.9", "GET /now HTTP/9.9\r\nHost: a\r\n\r\n", NULL, 0, NULL,
     "505 close"},
    {"HTTP/1.2", "GET /now HTTP/1.2\r\nHost: a\r\n\r\n", NULL, 0, NULL,
     "505 close"},
    {"ICE/1.1", "GET /now ICE/1.1\r\nHost: a\r\n\r\n", NULL, 0, NULL,
     "400 close"},
    {"unknown method", "BREW /now HTTP/1.1\r\nHost: a\r\n\r\n", NULL, 0, NULL,
     "501 close"},
    {"lower-case method", "get /now HTTP/1.1\r\nHost: a\r\n\r\n", NULL, 0, NULL,
     "501 close"},
    {"unknown method, later", GET "\r\nG-T /now HTTP/1.1\r\nHost: a\r\n\r\n",
     NULL, 0, NULL, "200 501 close"},
    {"method of no letters", "(GET) /now HTTP/1.1\r\nHost: a\r\n\r\n", NULL, 0,
     NULL, "400 close"},
    {"no method", "BREW\r\n\r\n", NULL, 0, NULL, "400 close"},
    {"CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", NULL, 0, NULL,
     "400 close"},
    {"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", NULL, 0, NULL,
     "400 close"},
    {"a proxy's URL", "GET http://a/now HTTP/1.1\r\nHost: a\r\n\r\n", NULL, 0,
     NULL, "200"},
    {"a proxy's URL with a query",
     "GET HTTP://a:4780/now?a=http://b HTTP/1.1\r\nHost: a\r\n\r\n", NULL, 0,
     NULL, "200"},
    {"a proxy's URL goes before the host",
     "GET http://a/now HTTP/1.1\r\nA: b\r\nHost: evil.example\r\n\r\n", NULL, 0,
     NULL, "200"},
    {"a proxy's URL, foreign",
     "GET http://evil.example/now HTTP/1.1\r\nHost: a\r\n\r\n", NULL, 0, NULL,
     "403 close"},
    {"a proxy's URL without a host header", "GET http://a/now HTTP/1.1\r\n\r\n",
     NULL, 0, NULL, "400 close"},
    {"a proxy's URL without a path", "GET http://a HTTP/1.1\r\nHost: a\r\n\r\n",
     NULL, 0, NULL, "400 close"},
    {"a proxy's URL whose path is a query",
     "GET http://a?b=/now HTTP/1.1\r\nHost: a\r\n\r\n", NULL, 0, NULL,
     "400 close"},
    {"a URL of another scheme", "GET ftp://a/now HTTP/1.1\r\nHost: a\r\n\r\n",
     NULL, 0, NULL, "400 close"},
    {"upgrade", GET "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n", NULL,
     0, NULL, "200"},
    {"upgrade to h2c with a body",
     POST
     "Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n{}" GET
     "\r\n",
     NULL, 0, NULL, "200 200"},
    {"TLS", "\x16\x03\x01\x02#\x01", NULL, 0, NULL, "400 close"},
    {"noise", "", "\xff\xfe#\r\n", 1000, NULL, "400 close"},

    /* One after the other. */
    {"100-continue", POST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n",
     NULL, 0, NULL, "100"},
    {"100-continue, body at once",
     POST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}", NULL, 0, NULL,
     "200"},
    {"100-continue, too large",
     POST "Expect: 100-continue\r\nContent-Length: 99999\r\n\r\n", NULL, 0,
     NULL, "413 close"},
    {"100-continue in 1.0",
     "POST /now HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\n"
     "Content-Length: 2\r\n\r\n{}",
     NULL, 0, NULL, "200 close"},
    {"three pipelined", GET "\r\n" GET "\r\n" GET "\r\n", NULL, 0, NULL,
     "200 200 200"},
    {"two, then nonsense", GET "\r\n" GET "\r\n\x01", NULL, 0, NULL,
     "200 200 400 close"},
    {"bodies pipelined",
     POST "Content-Length: 2\r\n\r\n{}" CHUNK "1\r\nx\r\n0\r\n\r\n" GET "\r\n",
     NULL, 0, NULL, "200 200 200"},
    {"more after the last", GET "Connection: close\r\n\r\n" GET "\r\n", NULL, 0,
     NULL, "200 close"},
    {"1,000 pipelined", "", GET "\r\n", 1000, GET "Connection: close\r\n\r\n",
     NULL},
};

static void send_row(struct rig *rig, int fd, const struct row *row)
{
    struct buf all;
    size_t i;

    buf_init(&all, 0);
    buf_text(&all, row->head);
    for (i = 0; i < all.size; i++) {
        all.data[i] = (char)(all.data[i] == '#' ? '\0' : all.data[i]);
    }
    for (i = 0; i < row->count; i++) {
        buf_text(&all, row->fill);
    }
    buf_text(&all, row->tail == NULL ? "" : row->tail);
    assert_int_equal(buf_error(&all), E_OK);
    (void)rig_send(rig, fd, all.data, all.size);
    buf_release(&all);
}

static unsigned words(const char *text)
{
    unsigned count = 1;

    for (; *text != '\0'; text++) {
        count += *text == ' ' ? 1 : 0;
    }
    return count;
}

/* 1,000 answers are too many for the table. */
static const char *expectation(const struct row *row, struct buf *out)
{
    size_t i;

    if (row->expect != NULL) {
        return row->expect;
    }
    for (i = 0; i < row->count + 1; i++) {
        buf_text(out, "200 ");
    }
    buf_text(out, "close");
    return buf_string(out);
}

static unsigned run(struct rig *rig, const struct row *row, bool is_unix)
{
    int fd = is_unix ? rig_connect_unix(rig) : rig_connect_tcp(rig);
    struct buf many;
    struct buf got;
    const char *expect;
    unsigned wrong;

    buf_init(&got, 0);
    buf_init(&many, 0);
    expect = expectation(row, &many);
    send_row(rig, fd, row);
    rig_replies(rig, fd, words(expect), &got);
    wrong = strcmp(buf_string(&got), expect) != 0;
    if (wrong) {
        print_error("%s: expected '%s', got '%s'\n", row->name, expect,
                    buf_string(&got));
    }
    (void)close(fd);
    /* Nothing of one row is left for the next. */
    rig_until(rig, http_connection_count(rig->server) == 0);
    buf_release(&got);
    buf_release(&many);
    return wrong;
}

/* Only this one has to wait for its deadline: the others may be slow, too, on a
 * machine with other things to do. */
static bool never_ends(const struct row *row)
{
    return strcmp(row->name, "a body that stops") == 0;
}

/* Run the rows that @stops or not, each through @change; returns how many were
 * answered in another way. */
static unsigned
run_rows(bool stops, bool is_unix, void (*change)(struct row *row))
{
    struct http_limits limits = rig_limits();
    unsigned wrong = 0;
    struct rig rig;
    size_t i;

    limits.body_ms = stops ? 50 : limits.body_ms;
    rig_start(&rig, &limits);
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct row row = rows[i];

        if (never_ends(&row) == stops) {
            change(&row);
            wrong += run(&rig, &row, is_unix);
        }
    }
    rig_stop(&rig);
    return wrong;
}

static void as_it_is(struct row *row)
{
    (void)row;
}

static void without_names(struct row *row)
{
    if ((row->expect != NULL && strcmp(row->expect, "403 close") == 0) ||
        strcmp(row->name, "host empty") == 0 ||
        strcmp(row->name, "host with a path") == 0) {
        row->expect = "200";
    }
}

static void each_bad_input_is_answered_as_it_deserves(void **state)
{
    (void)state;
    assert_int_equal(run_rows(false, false, as_it_is), 0);
    assert_int_equal(run_rows(true, false, as_it_is), 0);
}

/* The Unix socket refuses the same, but for the checks against browsers. */
static void the_unix_socket_is_as_strict_but_for_names(void **state)
{
    (void)state;
    assert_int_equal(run_rows(false, true, without_names), 0);
    assert_int_equal(run_rows(true, true, without_names), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_bad_input_is_answered_as_it_deserves),
        cmocka_unit_test(the_unix_socket_is_as_strict_but_for_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
