/* fault_io.h - system calls on files that fail when told.
 *
 * Linked into a test this takes the place of write(), pwrite(), ftruncate(),
 * posix_fallocate(), fsync() and fdatasync(), also for the libraries the test
 * loads, so SQLite's own handling of errors is tested too.  A write that fails
 * has written its first half.  Only regular files and directories are hit.
 */
#ifndef GPUCOORD_TESTS_LIB_FAULT_IO_H
#define GPUCOORD_TESTS_LIB_FAULT_IO_H

#include <stdbool.h>
#include <stdint.h>

enum fault_io_kinds {
    FAULT_IO_WRITE = (1 << 0), /* write, pwrite, ftruncate, posix_fallocate. */
    FAULT_IO_SYNC = (1 << 1)   /* fsync, fdatasync. */
};

/* From now on call number @nth (from 1) of @kinds fails with @error, and, with
 * @fails_on, all after it. */
void fault_io_arm(unsigned kinds, uint64_t nth, int error, bool fails_on);

/* Let everything work again; say whether a call has failed since. */
bool fault_io_disarm(void);

/* Return how many syncs there were in all. */
uint64_t fault_io_syncs(void);

/* Let all syncs wait until fault_io_release(). */
void fault_io_hold(void);

/* Let them go on. */
void fault_io_release(void);

#endif
