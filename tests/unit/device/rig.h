/* rig.h - a set of devices in an event loop, and what it said. */
#ifndef GPUCOORD_TESTS_DEVICE_RIG_H
#define GPUCOORD_TESTS_DEVICE_RIG_H

#include "device/device.h"

#include <event2/event.h>

enum {
    RIG_WAIT_S = 20 /* A test that waits longer has failed. */
};

struct rig {
    struct event_base *base;
    struct device_set *set;
    struct buf why;
    char dir[64]; /* Of its own, removed at the end. */
    struct device_sample last[DEVICES_MAX];
    unsigned counts[DEVICES_MAX];
    unsigned news[3]; /* By state. */
};

/* Make a rig with an empty directory. */
void rig_init(struct rig *rig);

/* Open the set; the callback and the waiting times are filled in. */
int rig_open(struct rig *rig, struct device_config config);

/* Run the loop until a sample makes @is_done true. */
void rig_until(struct rig *rig, bool (*is_done)(const struct rig *rig));

/* Write @text to the file @name in the directory, in one step. */
void rig_write(const struct rig *rig, const char *name, const char *text);

/* Make the rig's directory a /proc whose pid namespace is @link; NULL = none
 * that can be read. */
void rig_namespace(const struct rig *rig, const char *link);

/* Close the set and remove the directory. */
void rig_release(struct rig *rig);

#endif
