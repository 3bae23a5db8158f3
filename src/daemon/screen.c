#include "daemon/screen.h"

#include "core/lease.h"
#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"
#include "device/device.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

static void print_devices(const struct daemon *daemon)
{
    bool is_simulated = device_kind(daemon->devices) == DEVICE_SIMULATED;
    uint32_t i;

    for (i = 0; i < device_count(daemon->devices); i++) {
        const struct device_info *info = device_info(daemon->devices, i);

        (void)printf("  gpu %" PRIu32 "   %s, %" PRIu32 " MiB, %s\n", i,
                     info->name, info->total_mib, info->uuid);
    }
    if (is_simulated) {
        (void)printf("          SIMULATED: no real card is coordinated; VRAM "
                     "is what files in\n          %s say\n",
                     daemon->config->gpus.dir);
    }
}

void screen_print(const struct daemon *daemon, uint16_t port)
{
    const struct config *config = daemon->config;
    struct core_stats stats;

    core_stats(driver_core(daemon->driver), &stats);
    (void)printf("gpucoord %s\n", GPUCOORD_VERSION);
    print_devices(daemon);
    (void)printf("  socket  %s\n", config->socket);
    if (port != 0) {
        (void)printf("  http    http://%s:%u\n", config->listen_host, port);
    }
    (void)printf(
        "  store   %s: %" PRIu64 " held or paused, %" PRIu64 " waiting\n",
        config->store, stats.leases[LEASE_HELD] + stats.leases[LEASE_PAUSED],
        stats.leases[LEASE_AWAY]);
    if (config->redis.url != NULL) {
        (void)printf("  redis   %s\n", config->redis.url);
    }
    (void)printf("  config  %s\n", daemon->config_path == NULL
                                       ? "none: everything is a default"
                                       : daemon->config_path);
    (void)printf("\ntry:  gpucoord status\n"
                 "      gpucoord run -- nvidia-smi\n"
                 "      curl --unix-socket %s http://gpu/gpu/request \\\n"
                 "          -d '{\"service_id\":\"me\",\"priority\":0,"
                 "\"timeout_ms\":5000}'\n",
                 config->socket);
    (void)fflush(stdout);
}
