/* stage.h - scenarios as pages of text.
 *
 * A scenario says what clients do; the stage writes down what they did and
 * what came of it, one line each, and stage_expect() compares the page with
 * the one in the test.  Services have names, leases the number the core gave.
 */
#ifndef GPUCOORD_TESTS_SIM_STAGE_H
#define GPUCOORD_TESTS_SIM_STAGE_H

#include "sim/rig.h"

enum {
    STAGE_SERVICES = 16,
    /* The classes of stage_config(). */
    CHATBOT = CORE_CLASS(0),
    VOICE = CORE_CLASS(1),
    TRANSCRIPTION = CORE_CLASS(2),
    SUMMARIZATION = CORE_CLASS(3)
};

struct stage {
    struct rig rig;
    struct buf page;
    const char *services[STAGE_SERVICES]; /* Number i + 1. */
    uint32_t service_count;
    uint64_t ref_next;
};

/* Fill @config with one GPU of 24,576 MiB that is not measured, the three
 * queues of the earlier design and `voice`; nothing waits after a start. */
void stage_config(struct core_config *config);

/* Set the stage; core time starts at 1000 and is printed from there as 0. */
void stage_open(struct stage *stage, const struct core_config *config);

/* The same with stage_config(), as it is / with its GPU measured. */
void stage_open_plain(struct stage *stage);
void stage_open_measured(struct stage *stage);

/* Free what the stage owns. */
void stage_close(struct stage *stage);

/* Let @service (borrowed until the close) ask for the GPU as @request says;
 * its service and connection are filled in, and zeroes become the defaults of
 * the API (timeout 30 s, TTL 30 s, grace 10 s, one GPU).  Returns the lease;
 * 0 where it was refused. */
uint64_t stage_ask(struct stage *stage,
                   const char *service,
                   struct core_request request);

/* Let the holder of @lease speak, with its newest token. */
void stage_release(struct stage *stage, uint64_t lease);
void stage_renew(struct stage *stage, uint64_t lease);
void stage_ack(struct stage *stage,
               uint64_t lease,
               enum core_ack action,
               uint32_t kept_mib);

/* The same, with an event of the test's own. */
int stage_feed(struct stage *stage,
               const char *what,
               const struct core_event *event);

/* Withdraw the waiter @lease; let its process die. */
void stage_cancel(struct stage *stage, uint64_t lease);
void stage_gone(struct stage *stage, uint64_t lease);

/* Open or close a control stream of @service. */
void stage_stream(struct stage *stage, const char *service, bool opens);

/* Report @used_mib on @device, from a sample begun now. */
void stage_sample(struct stage *stage, uint32_t device, uint32_t used_mib);

/* The same, where the driver names the @count users in @usages. */
void stage_usages(struct stage *stage,
                  uint32_t device,
                  uint32_t used_mib,
                  const struct core_usage *usages,
                  uint32_t count);

/* Let an operator act; @lease, @devices and @until_ms as the action wants. */
void stage_admin(struct stage *stage,
                 enum core_admin action,
                 uint64_t lease,
                 uint64_t devices,
                 uint64_t until_ms);

/* Let an operator load @config (borrowed for the call). */
void stage_configure(struct stage *stage, const struct core_config *config);

/* Let @ms pass. */
void stage_wait(struct stage *stage, uint64_t ms);

/* Start the coordinator again from its store, 1 ms later. */
void stage_restart(struct stage *stage);

/* Write a line of the test's own on the page. */
void stage_note(struct stage *stage, const char *text);

/* Compare the page with @expected, and start a new one. */
void stage_expect(struct stage *stage, const char *expected);

#endif
