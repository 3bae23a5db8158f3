/* patient.h - poll for what the kernel does in its own time, but not for ever.
 *
 * For tests that have nothing to wait on; include cmocka.h first.
 */
#ifndef GPUCOORD_TESTS_LIB_PATIENT_H
#define GPUCOORD_TESTS_LIB_PATIENT_H

#include <poll.h>
#include <time.h>

enum {
    PATIENT_S = 20 /* A test that waits longer has failed. */
};

/* Begins as {0}. */
struct patient {
    time_t until_s; /* Of the monotonic clock; 0 = it has not waited yet. */
};

/* Wait a moment for @what; after PATIENT_S seconds of it the test fails. */
static inline void patient_wait(struct patient *patient, const char *what)
{
    struct timespec now;

    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    if (patient->until_s == 0) {
        patient->until_s = now.tv_sec + PATIENT_S;
    }
    if (now.tv_sec > patient->until_s) {
        fail_msg("never: %s", what);
    }
    (void)poll(NULL, 0, 1);
}

#endif
