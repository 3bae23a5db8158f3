/* Any bytes as a trace: read whole, or refused with a reason. */
#include "proto/trace.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trace_error error;
    struct trace trace;

    if (trace_parse((const char *)data, size, &trace_defaults, &trace,
                    &error) != E_OK) {
        assert(error.detail[0] != '\0');
        assert(trace.rows == NULL);
        return 0;
    }
    for (size_t i = 0; i < trace.count; i++) {
        assert(i == 0 || trace.rows[i].at_ms >= trace.rows[i - 1].at_ms);
        assert(trace.rows[i].work_ms >= 1);
        assert(trace.rows[i].class_name[0] != '\0');
        assert(trace.rows[i].service_id[0] != '\0');
    }
    trace_release(&trace);
    return 0;
}
