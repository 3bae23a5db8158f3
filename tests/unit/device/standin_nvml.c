/* A stand-in for libnvidia-ml.so.1, driven by the file $STANDIN_NVML.
 *
 * Each line of the file is "KEY NUMBER" or "KEY TEXT"; what is not there has
 * the default in brackets, and I is a card's number:
 *
 *   init N         what nvmlInit_v2() returns [0]
 *   gpus N         how many there are [1]
 *   tag TEXT       what their UUIDs begin with: several machines at once
 *                  [GPU-standin]
 *   swap N         1: the driver numbers them the other way round [0]
 *   memory N       what both memory functions return [0]
 *   memoryI N      the same of one card [that]
 *   second N       what nvmlDeviceGetMemoryInfo_v2() returns [memoryI]
 *   usedI N        MiB used of the card, beside what its processes use [0]
 *   cards PATH     each file PATH/I/PID is a process that computes on the card,
 *                  and holds its MiB; it counts while the process lives
 *   computeI LIST  further such processes, as 41:1000,42:na (not available)
 *   graphicsI LIST processes that draw, likewise; not counted as used
 *   mpsI LIST      processes of the Multi-Process Service, likewise
 *   lists N        what the calls for processes return [0]
 *   newest N       the same of those that end in _v3 [lists]
 *   record N       bytes of a record of those [24]
 *   vague N        1: too little room is not answered with the room needed [0]
 *   util N, temp N, power N  percent, degrees, mW [-1, which is not supported]
 *   hang PATH      the memory functions wait until this FIFO is written to
 *   inithang PATH  likewise nvmlInit_v2()
 *   log PATH       nvmlInit_v2() appends a byte to this file
 *
 * A card has 24576 MiB, of which the driver keeps 376.
 *
 * The functions, their codes and structures are those of the NVML API
 * Reference Guide and of the nvml.h that comes with CUDA 12: "Device Queries"
 * for the calls, "nvmlReturn_t" for the codes.  The library knows three
 * generations of drivers, by -DGENERATION:
 *
 *   1  the calls for processes without a suffix; no second memory call
 *   2  with those that end in _v2, whose records have MIG's ids
 *   3  with those that end in _v3, and the second memory call: 510 and later
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

#ifndef GENERATION
#define GENERATION 3
#endif

enum {
    TOTAL_MIB = 24576,
    RESERVED_MIB = 376,
    PROCESSES_MAX = 2048,
    VALUE_SIZE = 32768
};

struct memory {
    unsigned long long total, free, used;
};

struct memory_v2 {
    unsigned int version;
    unsigned long long total, reserved, free, used;
};

struct utilization {
    unsigned int gpu, memory;
};

struct process {
    unsigned int pid;
    unsigned long long used; /* Bytes; all ones = not available. */
};

struct processes {
    unsigned int count;
    struct process items[PROCESSES_MAX];
};

/* Handles are the addresses of these. */
static char gpus[64];
static _Atomic int starts; /* A thread left behind uses it too. */

/* Find @key in the file and copy its value; "" where it is not there. */
static void look_up(const char *key, char value[VALUE_SIZE])
{
    const char *path = getenv("STANDIN_NVML");
    FILE *file = path == NULL ? NULL : fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    size_t size = strlen(key);

    value[0] = '\0';
    if (file == NULL) {
        return;
    }
    while (getline(&line, &room, file) > 0) {
        if (strncmp(line, key, size) == 0 && line[size] == ' ') {
            line[strcspn(line, "\n")] = '\0';
            (void)snprintf(value, VALUE_SIZE, "%s", line + size + 1);
        }
    }
    free(line);
    (void)fclose(file);
}

static int number(const char *key, int otherwise)
{
    char value[VALUE_SIZE];

    look_up(key, value);
    return value[0] == '\0' ? otherwise : (int)strtol(value, NULL, 10);
}

static int index_of(const void *gpu)
{
    return (int)((const char *)gpu - gpus);
}

/* The key @name of one card. */
static void key_of(char key[32], const char *name, const void *gpu)
{
    (void)snprintf(key, 32, "%s%d", name, index_of(gpu));
}

/* Wait until somebody opens the FIFO for writing. */
static void hang(const char *key)
{
    char path[VALUE_SIZE];
    int fd;

    look_up(key, path);
    if (path[0] != '\0') {
        fd = open(path, O_RDONLY);
        if (fd >= 0) {
            (void)close(fd);
        }
    }
}

/* ---- The library -------------------------------------------------------- */

EXPORTED int nvmlInit_v2(void);
EXPORTED int nvmlInit_v2(void)
{
    char path[VALUE_SIZE];
    int code;

    look_up("log", path);
    if (path[0] != '\0') {
        int fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0600);

        (void)!write(fd, "i", 1);
        (void)close(fd);
    }
    hang("inithang");
    code = number("init", 0);
    starts += code == 0;
    return code;
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
    switch (code) {
    case 3:
        return "Not Supported";
    case 9:
        return "Driver Not Loaded";
    case 15:
        return "GPU is lost";
    default:
        return "Some Error";
    }
}

EXPORTED int nvmlSystemGetDriverVersion(char *out, unsigned int size);
EXPORTED int nvmlSystemGetDriverVersion(char *out, unsigned int size)
{
    (void)snprintf(out, size, "570.86.15");
    return 0;
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
    unsigned int last = (unsigned int)number("gpus", 1) - 1;

    *out = &gpus[number("swap", 0) ? last - index : index];
    return 0;
}

EXPORTED int nvmlDeviceGetHandleByUUID(const char *uuid, void **out);
EXPORTED int nvmlDeviceGetHandleByUUID(const char *uuid, void **out)
{
    *out = &gpus[strtol(strrchr(uuid, '-') + 1, NULL, 10)];
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
    char tag[VALUE_SIZE];

    look_up("tag", tag);
    (void)snprintf(out, size, "%.48s-%d", tag[0] ? tag : "GPU-standin",
                   index_of(gpu));
    return 0;
}

/* ---- Processes ---------------------------------------------------------- */

static void add(struct processes *out, unsigned int pid, const char *mib)
{
    if (out->count < PROCESSES_MAX) {
        struct process *process = &out->items[out->count++];

        process->pid = pid;
        /* NVML_VALUE_NOT_AVAILABLE is (-1) in nvml.h: what WSL 2 and WDDM
         * give for each process ("nvmlProcessInfo_t Struct Reference"). */
        process->used =
            strncmp(mib, "na", 2) == 0 ? ~0ull : strtoull(mib, NULL, 10) << 20;
    }
}

/* Add what the key @name of the card lists. */
static void add_key(struct processes *out, const char *name, const void *gpu)
{
    char key[32];
    char value[VALUE_SIZE];
    char *rest = value;

    key_of(key, name, gpu);
    look_up(key, value);
    while (*rest != '\0') {
        unsigned int pid = (unsigned int)strtoul(rest, &rest, 10);

        add(out, pid, rest + 1);
        rest += strcspn(rest, ",");
        rest += *rest == ',';
    }
}

/* Say whether the process lives; a zombie has given its VRAM back. */
static bool is_alive(unsigned int pid)
{
    char path[64];
    char state = 'X';
    FILE *file;

    (void)snprintf(path, sizeof path, "/proc/%u/stat", pid);
    file = fopen(path, "r");
    if (file == NULL) {
        return false;
    }
    (void)!fscanf(file, "%*d (%*[^)]) %c", &state);
    (void)fclose(file);
    return state != 'Z' && state != 'X';
}

/* Add the living processes of the card's directory. */
static void add_dir(struct processes *out, const void *gpu)
{
    char root[VALUE_SIZE];
    char path[VALUE_SIZE + 128];
    const struct dirent *entry;
    DIR *dir;

    look_up("cards", root);
    (void)snprintf(path, sizeof path, "%s/%d", root, index_of(gpu));
    dir = root[0] == '\0' ? NULL : opendir(path);
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        unsigned int pid = (unsigned int)strtoul(entry->d_name, NULL, 10);
        char mib[32] = "";
        FILE *file;

        (void)snprintf(path, sizeof path, "%s/%d/%.64s", root, index_of(gpu),
                       entry->d_name);
        file = pid > 0 && is_alive(pid) ? fopen(path, "r") : NULL;
        if (file != NULL) {
            (void)!fgets(mib, sizeof mib, file);
            (void)fclose(file);
            add(out, pid, mib);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
}

/* Write @from in the layout of the call.  A caller whose room is too small is
 * told NVML_ERROR_INSUFFICIENT_SIZE and, in *@count, how much there is
 * (nvmlDeviceGetComputeRunningProcesses_v3 in "Device Queries"). */
static int give(const struct processes *from,
                int code,
                size_t size,
                unsigned int *count,
                unsigned char *out)
{
    unsigned int room = *count;
    unsigned int i;

    if (code != 0) {
        return code;
    }
    if (from->count > room) {
        *count = number("vague", 0) ? room : from->count;
        return 7;
    }
    *count = from->count;
    for (i = 0; i < from->count; i++) {
        unsigned char *record = out + i * size;

        /* Without MIG both ids are 0xFFFFFFFF; without confidential computing
         * its VRAM is 0. */
        if (size > 16) {
            memset(record + 16, 0xFF, 8);
        }
        if (size > 24) {
            memset(record + 24, 0, 8);
        }
        memset(record, 0, 16);
        memcpy(record, &from->items[i].pid, 4);
        memcpy(record + 8, &from->items[i].used, 8);
    }
    return 0;
}

/* One list of the card, as the call of this version gives it. */
static int list(const char *name,
                int version,
                const void *gpu,
                unsigned int *count,
                void *out)
{
    static _Thread_local struct processes processes;
    int code = number("lists", 0);
    size_t size = version == 1 ? 16 : 24;

    if (version == 3) {
        code = number("newest", code);
        size = (size_t)number("record", 24);
    }
    processes.count = 0;
    add_key(&processes, name, gpu);
    if (strcmp(name, "compute") == 0) {
        add_dir(&processes, gpu);
    }
    return give(&processes, code, size, count, out);
}

#define LIST(NAME, KEY, VERSION)                                        \
    EXPORTED int NAME(const void *gpu, unsigned int *count, void *out); \
    EXPORTED int NAME(const void *gpu, unsigned int *count, void *out)  \
    {                                                                   \
        return list(KEY, VERSION, gpu, count, out);                     \
    }

LIST(nvmlDeviceGetComputeRunningProcesses, "compute", 1)
LIST(nvmlDeviceGetGraphicsRunningProcesses, "graphics", 1)
#if GENERATION >= 2
LIST(nvmlDeviceGetComputeRunningProcesses_v2, "compute", 2)
LIST(nvmlDeviceGetGraphicsRunningProcesses_v2, "graphics", 2)
LIST(nvmlDeviceGetMPSComputeRunningProcesses_v2, "mps", 2)
#endif
#if GENERATION >= 3
LIST(nvmlDeviceGetComputeRunningProcesses_v3, "compute", 3)
LIST(nvmlDeviceGetGraphicsRunningProcesses_v3, "graphics", 3)
LIST(nvmlDeviceGetMPSComputeRunningProcesses_v3, "mps", 3)
#endif

/* ---- Figures ------------------------------------------------------------ */

static unsigned long long used(const void *gpu)
{
    static _Thread_local struct processes processes;
    char key[32];
    unsigned long long sum;
    unsigned int i;

    key_of(key, "used", gpu);
    sum = (unsigned long long)number(key, 0) << 20;
    processes.count = 0;
    add_dir(&processes, gpu);
    for (i = 0; i < processes.count; i++) {
        sum += processes.items[i].used;
    }
    return sum;
}

static int memory_code(const void *gpu)
{
    char key[32];

    key_of(key, "memory", gpu);
    return number(key, number("memory", 0));
}

EXPORTED int nvmlDeviceGetMemoryInfo(void *gpu, struct memory *out);
EXPORTED int nvmlDeviceGetMemoryInfo(void *gpu, struct memory *out)
{
    hang("hang");
    out->total = (unsigned long long)TOTAL_MIB << 20;
    out->used = used(gpu) + ((unsigned long long)RESERVED_MIB << 20);
    out->free = out->total - out->used;
    return memory_code(gpu);
}

#if GENERATION >= 3
EXPORTED int nvmlDeviceGetMemoryInfo_v2(void *gpu, struct memory_v2 *out);
EXPORTED int nvmlDeviceGetMemoryInfo_v2(void *gpu, struct memory_v2 *out)
{
    hang("hang");
    /* NVML_ERROR_ARGUMENT_VERSION_MISMATCH. */
    if (out->version != (sizeof *out | (2u << 24))) {
        return 25;
    }
    out->total = (unsigned long long)TOTAL_MIB << 20;
    out->reserved = (unsigned long long)RESERVED_MIB << 20;
    out->used = used(gpu);
    out->free = out->total - out->reserved - out->used;
    return number("second", memory_code(gpu));
}
#endif

/* NVML_ERROR_NOT_SUPPORTED where nothing is said: a card of MIG has no
 * utilisation, many a laptop's no power. */
static int figure(const char *key, unsigned int *out)
{
    int found = number(key, -1);

    *out = (unsigned int)found;
    return found < 0 ? 3 : 0;
}

EXPORTED int nvmlDeviceGetUtilizationRates(void *gpu, struct utilization *out);
EXPORTED int nvmlDeviceGetUtilizationRates(void *gpu, struct utilization *out)
{
    (void)gpu;
    out->memory = 0;
    return figure("util", &out->gpu);
}

EXPORTED int nvmlDeviceGetTemperature(void *gpu, int sensor, unsigned int *out);
EXPORTED int nvmlDeviceGetTemperature(void *gpu, int sensor, unsigned int *out)
{
    (void)gpu;
    return sensor == 0 ? figure("temp", out) : 2;
}

EXPORTED int nvmlDeviceGetPowerUsage(void *gpu, unsigned int *out);
EXPORTED int nvmlDeviceGetPowerUsage(void *gpu, unsigned int *out)
{
    (void)gpu;
    return figure("power", out);
}
