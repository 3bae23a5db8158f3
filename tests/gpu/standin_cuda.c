/* A stand-in for libcuda.so.1, as much of it as hold.c calls: VRAM of this
 * process is the file $STANDIN_CARDS/0/PID, which the stand-in for
 * libnvidia-ml.so.1 reads.  One allocation at a time. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

static void name_file(char path[512])
{
    (void)snprintf(path, 512, "%s/0/%ld", getenv("STANDIN_CARDS"),
                   (long)getpid());
}

EXPORTED int cuInit(unsigned int flags);
EXPORTED int cuInit(unsigned int flags)
{
    return flags == 0 ? 0 : 1;
}

EXPORTED int cuDeviceGet(int *device, int ordinal);
EXPORTED int cuDeviceGet(int *device, int ordinal)
{
    *device = ordinal;
    return 0;
}

EXPORTED int cuCtxCreate_v2(void **context, unsigned int flags, int device);
EXPORTED int cuCtxCreate_v2(void **context, unsigned int flags, int device)
{
    *context = NULL;
    return flags == 0 && device == 0 ? 0 : 1;
}

EXPORTED int cuMemAlloc_v2(unsigned long long *address, size_t size);
EXPORTED int cuMemAlloc_v2(unsigned long long *address, size_t size)
{
    char path[512];
    FILE *file;

    name_file(path);
    file = fopen(path, "w");
    if (file == NULL) {
        return 2; /* CUDA_ERROR_OUT_OF_MEMORY */
    }
    (void)fprintf(file, "%zu\n", size >> 20);
    *address = 1;
    return fclose(file) == 0 ? 0 : 2;
}

EXPORTED int
cuMemsetD8_v2(unsigned long long address, unsigned char byte, size_t size);
EXPORTED int
cuMemsetD8_v2(unsigned long long address, unsigned char byte, size_t size)
{
    (void)byte;
    return address == 1 && size > 0 ? 0 : 1;
}

EXPORTED int cuMemFree_v2(unsigned long long address);
EXPORTED int cuMemFree_v2(unsigned long long address)
{
    char path[512];

    name_file(path);
    return address == 1 && unlink(path) == 0 ? 0 : 1;
}
