/* A stand-in for libnvidia-ml.so.1, driven by the file $STANDIN_NVML.
 *
 * Each line of the file is "KEY NUMBER" or "KEY TEXT"; what is not there has
 * the default in brackets:
 *
 *   init N      what nvmlInit_v2() returns [0]
 *   gpus N      how many there are [1]
 *   memory N    what both memory functions return [0]
 *   second N    what nvmlDeviceGetMemoryInfo_v2() returns [that]
 *   usedI N     MiB used of GPU I [0]
 *   hang PATH   the memory functions wait until this FIFO is written to
 *   inithang PATH  likewise nvmlInit_v2()
 *
 * A card has 24576 MiB, of which the driver keeps 376.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

enum {
    TOTAL_MIB = 24576,
    RESERVED_MIB = 376
};

struct memory {
    unsigned long long total, free, used;
};

struct memory_v2 {
    unsigned int version;
    unsigned long long total, reserved, free, used;
};

/* Handles are the addresses of these. */
static char gpus[64];
static _Atomic int starts; /* A thread left behind uses it too. */

/* Find @key in the file and copy its value; "" where it is not there. */
static void look_up(const char *key, char value[256])
{
    const char *path = getenv("STANDIN_NVML");
    FILE *file = path == NULL ? NULL : fopen(path, "r");
    char found[32];
    char text[224];

    value[0] = '\0';
    if (file == NULL) {
        return;
    }
    while (fscanf(file, "%31s %223s", found, text) == 2) {
        if (strcmp(found, key) == 0) {
            (void)snprintf(value, 256, "%s", text);
        }
    }
    (void)fclose(file);
}

static int number(const char *key, int otherwise)
{
    char value[256];

    look_up(key, value);
    return value[0] == '\0' ? otherwise : (int)strtol(value, NULL, 10);
}

/* Wait until somebody opens the FIFO for writing. */
static void hang(const char *key)
{
    char path[256];
    int fd;

    look_up(key, path);
    if (path[0] != '\0') {
        fd = open(path, O_RDONLY);
        if (fd >= 0) {
            (void)close(fd);
        }
    }
}

EXPORTED int nvmlInit_v2(void);
EXPORTED int nvmlInit_v2(void)
{
    hang("inithang");
    starts++;
    return number("init", 0);
}

EXPORTED int nvmlShutdown(void);
EXPORTED int nvmlShutdown(void)
{
    starts--;
    return 0;
}

EXPORTED const char *nvmlErrorString(int code);
EXPORTED const char *nvmlErrorString(int code)
{
    return code == 9 ? "Driver Not Loaded" : "Some Error";
}

EXPORTED int nvmlDeviceGetCount_v2(unsigned int *count);
EXPORTED int nvmlDeviceGetCount_v2(unsigned int *count)
{
    *count = (unsigned int)number("gpus", 1);
    return 0;
}

EXPORTED int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **out);
EXPORTED int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **out)
{
    *out = &gpus[index];
    return 0;
}

EXPORTED int nvmlDeviceGetHandleByUUID(const char *uuid, void **out);
EXPORTED int nvmlDeviceGetHandleByUUID(const char *uuid, void **out)
{
    *out = &gpus[strtol(uuid + strlen("GPU-standin-"), NULL, 10)];
    return starts > 0 ? 0 : 1;
}

EXPORTED int nvmlDeviceGetName(void *gpu, char *out, unsigned int size);
EXPORTED int nvmlDeviceGetName(void *gpu, char *out, unsigned int size)
{
    (void)gpu;
    (void)snprintf(out, size, "Stand-in 3090");
    return 0;
}

EXPORTED int nvmlDeviceGetUUID(void *gpu, char *out, unsigned int size);
EXPORTED int nvmlDeviceGetUUID(void *gpu, char *out, unsigned int size)
{
    (void)snprintf(out, size, "GPU-standin-%d", (int)((char *)gpu - gpus));
    return 0;
}

static unsigned long long used(const void *gpu)
{
    char key[16];

    (void)snprintf(key, sizeof key, "used%d", (int)((const char *)gpu - gpus));
    return (unsigned long long)number(key, 0) << 20;
}

EXPORTED int nvmlDeviceGetMemoryInfo(void *gpu, struct memory *out);
EXPORTED int nvmlDeviceGetMemoryInfo(void *gpu, struct memory *out)
{
    hang("hang");
    out->total = (unsigned long long)TOTAL_MIB << 20;
    out->used = used(gpu) + ((unsigned long long)RESERVED_MIB << 20);
    out->free = out->total - out->used;
    return number("memory", 0);
}

EXPORTED int nvmlDeviceGetMemoryInfo_v2(void *gpu, struct memory_v2 *out);
EXPORTED int nvmlDeviceGetMemoryInfo_v2(void *gpu, struct memory_v2 *out)
{
    hang("hang");
    if (out->version != (sizeof *out | (2u << 24))) {
        return 25;
    }
    out->total = (unsigned long long)TOTAL_MIB << 20;
    out->reserved = (unsigned long long)RESERVED_MIB << 20;
    out->used = used(gpu);
    out->free = out->total - out->reserved - out->used;
    return number("second", number("memory", 0));
}
