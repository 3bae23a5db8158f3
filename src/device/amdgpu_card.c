#include "device/amdgpu_card.h"

#include "base/clock.h"
#include "base/smallfile.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    NODES_MAX = 128 /* Of KFD's, processors among them. */
};

/* ---- Describing a card -------------------------------------------------- */

/* Copy the value of the line "@key=VALUE" in @text; "" where it is not there.
 */
static void
find_value(const char *text, const char *key, char *out, size_t size)
{
    size_t key_size = strlen(key);

    out[0] = '\0';
    while (*text != '\0') {
        size_t line = strcspn(text, "\n");

        if (strncmp(text, key, key_size) == 0 && text[key_size] == '=') {
            (void)snprintf(out, size, "%.*s", (int)(line - key_size - 1),
                           text + key_size + 1);
            return;
        }
        text += line + (text[line] == '\n');
    }
}

/* Name the card as ROCm does, "GPU-" and its serial number, so that
 * ROCR_VISIBLE_DEVICES takes it; a card without one by its place. */
static void name_card(struct amdgpu_card *card, const char *pci_id)
{
    char serial[32];

    smallfile_line(card->dirfd, "unique_id", serial, sizeof serial);
    if (strlen(serial) == 16 && strspn(serial, "0123456789abcdef") == 16 &&
        strspn(serial, "0") != 16) {
        (void)snprintf(card->uuid, sizeof card->uuid, "GPU-%s", serial);
    } else {
        (void)snprintf(card->uuid, sizeof card->uuid, "GPU-pci-%s",
                       card->names.pdev);
    }
    smallfile_line(card->dirfd, "product_name", card->name, sizeof card->name);
    if (card->name[0] == '\0') {
        (void)snprintf(card->name, sizeof card->name, "AMD GPU %s", pci_id);
    }
}

/* A PCI address as KFD writes it. */
struct location {
    unsigned long domain;
    unsigned long id; /* Bus, device and function in one number. */
};

/* Read "0000:03:00.0"; false where it is no such address. */
static bool parse_pdev(const char *pdev, struct location *out)
{
    static const char ends[4] = {':', ':', '.', '\0'};
    unsigned long parts[4];
    char *end;
    size_t i;

    for (i = 0; i < 4; i++) {
        parts[i] = strtoul(pdev, &end, 16);
        if (end == pdev || *end != ends[i]) {
            return false;
        }
        pdev = end + 1;
    }
    out->domain = parts[0];
    out->id = parts[1] << 8 | parts[2] << 3 | parts[3];
    return true;
}

/* Return the number in the line "@key NUMBER" of @text; 0 where it is not
 * there. */
static unsigned long find_property(const char *text, const char *key)
{
    size_t size = strlen(key);

    while (*text != '\0') {
        if (strncmp(text, key, size) == 0 && text[size] == ' ') {
            return strtoul(text + size, NULL, 10);
        }
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
    return 0;
}

/* Find what KFD calls the card: it knows its nodes, processors among them, by
 * their PCI address, as "domain" and "location_id". */
static uint32_t find_kfd(const char *sysfs, const char *pdev)
{
    struct location card;
    uint32_t i;

    if (!parse_pdev(pdev, &card)) {
        return 0;
    }
    for (i = 0; i < NODES_MAX; i++) {
        char path[PATH_MAX];
        char text[4096];
        uint64_t id;

        (void)snprintf(path, sizeof path,
                       "%s/class/kfd/kfd/topology/nodes/%u/properties", sysfs,
                       i);
        if (smallfile_read(AT_FDCWD, path, text, sizeof text) < 0) {
            return 0;
        }
        (void)snprintf(path, sizeof path,
                       "%s/class/kfd/kfd/topology/nodes/%u/gpu_id", sysfs, i);
        if (find_property(text, "location_id") == card.id &&
            find_property(text, "domain") == card.domain &&
            smallfile_number(AT_FDCWD, path, &id) && id != 0) {
            return (uint32_t)id;
        }
    }
    return 0;
}

/* Describe the card in the directory @dirfd; false where it is none of ours. */
static bool describe(const char *sysfs, int dirfd, struct amdgpu_card *card)
{
    char uevent[1024];
    char driver[32];
    char pci_id[32];
    uint64_t total;

    *card = (struct amdgpu_card){.dirfd = dirfd};
    if (smallfile_read(dirfd, "uevent", uevent, sizeof uevent) < 0) {
        return false;
    }
    find_value(uevent, "DRIVER", driver, sizeof driver);
    find_value(uevent, "PCI_ID", pci_id, sizeof pci_id);
    find_value(uevent, "PCI_SLOT_NAME", card->names.pdev,
               sizeof card->names.pdev);
    if (strcmp(driver, "amdgpu") != 0 || card->names.pdev[0] == '\0' ||
        !smallfile_number(dirfd, "mem_info_vram_total", &total) ||
        total >> 20 == 0 || total >> 20 >= DEVICE_UNKNOWN) {
        return false;
    }
    card->total_mib = (uint32_t)(total >> 20);
    card->names.kfd = find_kfd(sysfs, card->names.pdev);
    name_card(card, pci_id);
    return true;
}

/* ---- Finding the cards -------------------------------------------------- */

/* Say whether @name is "card" and a number, rather than a connector of one. */
static bool is_card(const char *name)
{
    return strncmp(name, "card", 4) == 0 && name[4] != '\0' &&
           name[4 + strspn(name + 4, "0123456789")] == '\0';
}

static int open_card(const char *sysfs, const char *name)
{
    char path[PATH_MAX];

    (void)snprintf(path, sizeof path, "%s/class/drm/%s/device", sysfs, name);
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

uint32_t amdgpu_card_find(const char *sysfs,
                          struct amdgpu_card cards[DEVICES_MAX])
{
    char path[PATH_MAX];
    const struct dirent *entry;
    uint32_t count = 0;
    DIR *dir;

    (void)snprintf(path, sizeof path, "%s/class/drm", sysfs);
    dir = opendir(path);
    while (dir != NULL && count < DEVICES_MAX &&
           (entry = readdir(dir)) != NULL) {
        int fd = is_card(entry->d_name) ? open_card(sysfs, entry->d_name) : -1;

        if (fd >= 0 && describe(sysfs, fd, &cards[count])) {
            count++;
        } else if (fd >= 0) {
            (void)close(fd);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return count;
}

bool amdgpu_card_find_again(const char *sysfs, struct amdgpu_card *card)
{
    struct amdgpu_card *cards = calloc(DEVICES_MAX, sizeof *cards);
    uint32_t count = cards == NULL ? 0 : amdgpu_card_find(sysfs, cards);
    bool is_found = false;
    uint32_t i;

    for (i = 0; i < count; i++) {
        if (!is_found && strcmp(cards[i].uuid, card->uuid) == 0) {
            *card = cards[i];
            is_found = true;
        } else {
            (void)close(cards[i].dirfd);
        }
    }
    free(cards);
    return is_found;
}

/* ---- Its sensors -------------------------------------------------------- */

/* Read the figure @names[0], or else @names[1], of the card's sensors. */
static uint32_t read_sensor(const struct amdgpu_card *card,
                            const char *const names[2],
                            uint32_t unit)
{
    int fd = openat(card->dirfd, "hwmon", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    uint32_t found = DEVICE_UNKNOWN;
    uint32_t i;

    if (dir == NULL) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return found;
    }
    while (found == DEVICE_UNKNOWN && (entry = readdir(dir)) != NULL) {
        for (i = 0; i < 2 && found == DEVICE_UNKNOWN; i++) {
            char path[64];
            uint64_t figure;

            (void)snprintf(path, sizeof path, "%.24s/%s", entry->d_name,
                           names[i]);
            if (strncmp(entry->d_name, "hwmon", 5) == 0 &&
                smallfile_number(fd, path, &figure)) {
                found = (uint32_t)(figure / unit);
            }
        }
    }
    (void)closedir(dir);
    return found;
}

void amdgpu_card_ask(struct amdgpu_card *card)
{
    static const char *const temperature[2] = {"temp1_input", "temp2_input"};
    /* The second on cards that know no average (Linux 6.6 and later). */
    static const char *const power[2] = {"power1_average", "power1_input"};
    char state[32];
    uint64_t busy;

    card->asked_at_ms = clock_mono_ms();
    card->utilisation_percent = DEVICE_UNKNOWN;
    card->temperature_c = DEVICE_UNKNOWN;
    card->power_mw = DEVICE_UNKNOWN;
    smallfile_line(card->dirfd, "power/runtime_status", state, sizeof state);
    if (strcmp(state, "suspended") == 0) {
        return;
    }
    if (smallfile_number(card->dirfd, "gpu_busy_percent", &busy) &&
        busy <= 100) {
        card->utilisation_percent = (uint32_t)busy;
    }
    card->temperature_c = read_sensor(card, temperature, 1000);
    card->power_mw = read_sensor(card, power, 1000);
}
