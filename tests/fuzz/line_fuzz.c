/* Any line, for each of the small parsers that read one: numbers and ids in a
 * URL or a header, times and sizes, devices, URLs.  None crashes or reads past
 * the end; what is taken is within its bounds and prints as what is read as the
 * same. */
#include "base/buf.h"
#include "base/units.h"
#include "cli/devices.h"
#include "cli/endpoint.h"
#include "cli/say.h"
#include "daemon/events.h"
#include "daemon/query.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    EVENTS = 5,
    NUMBER_MAX = 1000
};

/* Instead of src/cli/say.c: a million refusals would drown a finding. */
void say(const char *format, ...)
{
    (void)format;
}

static void read_numbers(const char *text)
{
    uint64_t number = NUMBER_MAX + 1;

    if (query_number(text, NUMBER_MAX, &number)) {
        assert(number <= NUMBER_MAX);
    }
    number = NUMBER_MAX;
    if (query_find_number(text, "wait_ms", NUMBER_MAX, &number)) {
        assert(number <= NUMBER_MAX);
    }
    (void)!units_parse_count(text, &number);
}

/* What was read prints as what is read as the same. */
static void read_units(const char *text)
{
    uint64_t first;
    uint64_t second;
    struct buf out;

    buf_init(&out, 0);
    if (units_parse_time(text, &first) == E_OK) {
        units_print_time(&out, first);
        assert(units_parse_time(buf_string(&out), &second) == E_OK);
        assert(first == second);
    }
    buf_clear(&out);
    if (units_parse_size(text, &first) == E_OK) {
        units_print_size(&out, first);
        assert(units_parse_size(buf_string(&out), &second) == E_OK);
        assert(first == second);
    }
    buf_release(&out);
}

/* A reader that has seen @text goes on within the ring, or is told `reset`. */
static void read_event_id(const char *text)
{
    static struct events *events;
    struct core_message message = {.type = CORE_MSG_STATE};
    uint64_t seq = 0;
    int i;

    if (events == NULL) {
        if (events_create(7, &events) != E_OK) {
            abort();
        }
        for (i = 0; i < EVENTS; i++) {
            events_push(events, 1, &message);
        }
    }
    (void)events_resume(events, text, &seq);
    assert(seq >= 1 && seq <= events_next(events));
}

static void read_places(const char *text)
{
    struct endpoints endpoints;
    struct api_devices devices;

    if (endpoints_parse(text, &endpoints) == E_OK) {
        assert(endpoints.count <= ENDPOINTS_MAX);
    }
    if (devices_parse(text, &devices) == E_OK) {
        assert(devices.count <= CORE_DEVICES_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1); /* Exactly, so that one more is noticed. */

    if (text == NULL) {
        return 0;
    }
    if (size > 0) {
        memcpy(text, data, size);
    }
    text[size] = '\0';
    read_numbers(text);
    read_units(text);
    read_event_id(text);
    read_places(text);
    free(text);
    return 0;
}
