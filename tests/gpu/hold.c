/* hold MIB - take VRAM of the first CUDA device, keep it, give it back.
 *
 * Writes "holding" once it has the VRAM.  A line on its input makes it free it
 * and write "freed", the next one, or the end of the input, makes it end.
 * Needs the driver's libcuda.so.1 and no toolkit; what is used of it is
 * declared here, from the "CUDA Driver API" reference.  Exit status 77: there
 * is none.
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    EXIT_SKIPPED = 77
};

struct cuda {
    int (*init)(unsigned int flags);
    int (*device)(int *device, int ordinal);
    int (*context)(void **context, unsigned int flags, int device);
    int (*take)(unsigned long long *address, size_t size);
    int (*fill)(unsigned long long address, unsigned char byte, size_t size);
    int (*give)(unsigned long long address);
};

#define SYMBOL(member) offsetof(struct cuda, member)

/* The suffixes are of CUDA 3.2 and 4.0, when sizes became 64 bits wide. */
static const struct {
    const char *name;
    size_t offset;
} symbols[] = {
    {"cuInit", SYMBOL(init)},
    {"cuDeviceGet", SYMBOL(device)},
    {"cuCtxCreate_v2", SYMBOL(context)},
    {"cuMemAlloc_v2", SYMBOL(take)},
    {"cuMemsetD8_v2", SYMBOL(fill)},
    {"cuMemFree_v2", SYMBOL(give)},
};

static bool load(struct cuda *cuda)
{
    void *library = dlopen("libcuda.so.1", RTLD_NOW);
    size_t i;

    for (i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
        void *symbol = library == NULL ? NULL : dlsym(library, symbols[i].name);

        if (symbol == NULL) {
            (void)fprintf(stderr, "hold: %s\n", dlerror());
            return false;
        }
        memcpy((char *)cuda + symbols[i].offset, &symbol, sizeof symbol);
    }
    return true;
}

/* End with what failed, unless @code is CUDA_SUCCESS. */
static void check(int code, const char *what)
{
    if (code != 0) {
        (void)fprintf(stderr, "hold: %s: CUDA error %d\n", what, code);
        exit(1);
    }
}

static void say(const char *text)
{
    (void)puts(text);
    (void)fflush(stdout);
}

static bool hear(void)
{
    char line[64];

    return fgets(line, sizeof line, stdin) != NULL;
}

int main(int argc, char **argv)
{
    size_t size = argc == 2 ? strtoul(argv[1], NULL, 10) << 20 : 0;
    unsigned long long address = 0;
    struct cuda cuda;
    void *context;
    int device;

    if (size == 0) {
        (void)fputs("usage: hold MIB\n", stderr);
        return 2;
    }
    if (!load(&cuda)) {
        return EXIT_SKIPPED;
    }
    check(cuda.init(0), "cuInit");
    check(cuda.device(&device, 0), "cuDeviceGet");
    check(cuda.context(&context, 0, device), "cuCtxCreate");
    check(cuda.take(&address, size), "cuMemAlloc");
    check(cuda.fill(address, 0, size), "cuMemsetD8");
    say("holding");
    if (hear()) {
        check(cuda.give(address), "cuMemFree");
        say("freed");
        (void)hear();
    }
    return 0;
}
