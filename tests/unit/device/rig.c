#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void on_sample(void *arg, const struct device_sample *sample)
{
    struct rig *rig = arg;

    rig->last[sample->device] = *sample;
    rig->counts[sample->device]++;
    rig->news[sample->state]++;
    (void)event_base_loopbreak(rig->base);
}

void rig_init(struct rig *rig)
{
    *rig = (struct rig){.dir = "/tmp/gpucoord-device-XXXXXX"};
    assert_non_null(mkdtemp(rig->dir));
    rig->base = event_base_new();
    assert_non_null(rig->base);
    buf_init(&rig->why, 0);
}

int rig_open(struct rig *rig, struct device_config config)
{
    config.on_sample = on_sample;
    config.arg = rig;
    return device_set_open(&config, rig->base, &rig->set, &rig->why);
}

void rig_until(struct rig *rig, bool (*is_done)(const struct rig *rig))
{
    const struct timeval limit = {.tv_sec = RIG_WAIT_S};

    (void)event_base_loopexit(rig->base, &limit);
    while (!is_done(rig)) {
        assert_int_equal(event_base_loop(rig->base, 0), 0);
        assert_false(event_base_got_exit(rig->base));
    }
}

void rig_write(const struct rig *rig, const char *name, const char *text)
{
    char beside[320];
    char path[320];
    FILE *file;

    (void)snprintf(beside, sizeof beside, "%s/.new", rig->dir);
    (void)snprintf(path, sizeof path, "%s/%s", rig->dir, name);
    file = fopen(beside, "w");
    assert_non_null(file);
    (void)fputs(text, file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(beside, path), 0);
}

void rig_namespace(const struct rig *rig, const char *link)
{
    char path[128];

    (void)snprintf(path, sizeof path, "%s/self", rig->dir);
    (void)mkdir(path, 0700);
    (void)snprintf(path, sizeof path, "%s/self/ns", rig->dir);
    (void)mkdir(path, 0700);
    (void)snprintf(path, sizeof path, "%s/self/ns/pid", rig->dir);
    (void)unlink(path);
    if (link != NULL) {
        assert_int_equal(symlink(link, path), 0);
    }
}

static int
remove_one(const char *path, const struct stat *at, int type, struct FTW *ftw)
{
    (void)at;
    (void)type;
    (void)ftw;
    return remove(path);
}

void rig_release(struct rig *rig)
{
    device_set_close(rig->set);
    event_base_free(rig->base);
    buf_release(&rig->why);
    (void)nftw(rig->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}
