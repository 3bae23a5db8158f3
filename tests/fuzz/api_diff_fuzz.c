/* The scanner of the hot calls against jansson: both accept and refuse the
 * same bodies, store the same values and give the same reasons. */
#include "proto/body.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Any of the structs; zeroed, so that bytes nobody stores are equal. */
union any {
    struct api_request request;
    struct api_release release;
    struct api_renew renew;
    struct api_ack ack;
};

static void compare(const struct body *body, const char *data, size_t size)
{
    static union any fast;
    static union any slow;
    struct api_error fast_error = {0};
    struct api_error slow_error = {0};
    uint32_t fast_given = 0;
    uint32_t slow_given = 0;
    int rc;

    memset(&fast, 0, sizeof fast);
    memset(&slow, 0, sizeof slow);
    rc = body_read(body, data, size, &fast, &fast_given, &fast_error);
    assert(body_read_slowly(body, data, size, &slow, &slow_given,
                            &slow_error) == rc);
    assert(fast_given == slow_given);
    assert(fast_error.code == slow_error.code);
    assert(strcmp(fast_error.field, slow_error.field) == 0);
    assert(strcmp(fast_error.detail, slow_error.detail) == 0);
    assert(memcmp(&fast, &slow, sizeof fast) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    compare(&body_request, (const char *)data, size);
    compare(&body_release, (const char *)data, size);
    compare(&body_renew, (const char *)data, size);
    compare(&body_ack, (const char *)data, size);
    return 0;
}
