/* log.h - one line a fact, to standard error, in the journal's format.
 *
 * Under systemd each line carries its priority as "<n>"; on a terminal it
 * carries a word.  Messages are lower case, without a full stop, and say what
 * failed first.
 */
#ifndef GPUCOORD_BASE_LOG_H
#define GPUCOORD_BASE_LOG_H

enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARN,
    LOG_LEVEL_INFO,
};

/* Print one line; control characters in it are shown as '?'. */
void log_line(enum log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)

#endif
