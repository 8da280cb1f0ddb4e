#include "recorder/procfs.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int procfs_open_file(pid_t pid, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    return open(path, O_RDONLY | O_CLOEXEC);
}

void procfs_open(struct procfs *procfs, pid_t pid)
{
    procfs->statm_fd = procfs_open_file(pid, "statm");
    procfs->stat_fd = procfs_open_file(pid, "stat");
}

void procfs_close(struct procfs *procfs)
{
    if (procfs->statm_fd >= 0) {
        close(procfs->statm_fd);
    }
    if (procfs->stat_fd >= 0) {
        close(procfs->stat_fd);
    }
    procfs->statm_fd = -1;
    procfs->stat_fd = -1;
}

/* Reads a small file from its start, NUL-terminates. Returns the length or -1. */
static ssize_t procfs_read_text(int fd, char *text, size_t text_bytes)
{
    if (fd < 0) {
        return -1;
    }
    ssize_t length = pread(fd, text, text_bytes - 1, 0);
    text[length < 0 ? 0 : length] = '\0';
    return length;
}

bool procfs_read_rss(const struct procfs *procfs, uint64_t *rss_bytes)
{
    char text[128];
    if (procfs_read_text(procfs->statm_fd, text, sizeof text) <= 0) {
        return false;
    }
    /* "size resident shared ...", in pages. */
    char *end;
    (void)strtoull(text, &end, 10);
    char *rest;
    uint64_t pages = strtoull(end, &rest, 10);
    if (rest == end) {
        return false;
    }
    *rss_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return true;
}

bool procfs_parse_stat(const char *line, struct procfs_stat *stat)
{
    /* Fields as numbered in proc(5); the second, the name, may contain ") ". */
    const char *at = strrchr(line, ')');
    if (at == NULL || at[1] != ' ' || at[2] == '\0') {
        return false;
    }
    at += 2;
    memset(stat, 0, sizeof *stat);
    stat->state = *at;
    at++;
    long per_second = sysconf(_SC_CLK_TCK);
    uint64_t unit_ns = UINT64_C(1000000000) / (uint64_t)(per_second > 0 ? per_second : 100);
    for (int field = 4; field <= 52; field++) {
        char *end;
        uint64_t value = strtoull(at, &end, 10);
        if (end == at) {
            return field > 22;
        }
        at = end;
        if (field == 10) {
            stat->minor_faults = value;
        } else if (field == 12) {
            stat->major_faults = value;
        } else if (field == 14) {
            stat->user_ns = value * unit_ns;
        } else if (field == 15) {
            stat->system_ns = value * unit_ns;
        } else if (field == 22) {
            stat->started_ns = value * unit_ns;
        } else if (field == 52) {
            stat->wait_status = (int32_t)value;
        }
    }
    return true;
}

bool procfs_read_stat(const struct procfs *procfs, struct procfs_stat *stat)
{
    char text[1024];
    return procfs_read_text(procfs->stat_fd, text, sizeof text) > 0
           && procfs_parse_stat(text, stat);
}

bool procfs_stat_process(pid_t pid, struct procfs_stat *stat)
{
    struct procfs procfs = {.statm_fd = -1, .stat_fd = procfs_open_file(pid, "stat")};
    bool is_read = procfs_read_stat(&procfs, stat);
    procfs_close(&procfs);
    return is_read;
}

pid_t procfs_latest_pid(void)
{
    /* "0.20 0.18 0.12 1/80 11206": the last field (proc(5)). */
    char text[128];
    int fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
    ssize_t length = procfs_read_text(fd, text, sizeof text);
    if (fd >= 0) {
        close(fd);
    }
    const char *last = length > 0 ? strrchr(text, ' ') : NULL;
    return last == NULL ? 0 : (pid_t)strtol(last, NULL, 10);
}

/* Finds "NAME: <number> kB" in a file of /proc, in bytes; 0 when it is not there. */
static uint64_t procfs_find_kilobytes(const char *path, const char *name)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return 0;
    }
    char line[256];
    uint64_t bytes = 0;
    size_t length = strlen(name);
    while (bytes == 0 && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, name, length) == 0 && line[length] == ':') {
            bytes = strtoull(line + length + 1, NULL, 10) * 1024;
        }
    }
    fclose(file);
    return bytes;
}

uint64_t procfs_read_peak_rss(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    return procfs_find_kilobytes(path, "VmHWM");
}

/* The first number of a file; 0 for "max" and where there is none. */
static uint64_t procfs_read_number(const char *path)
{
    char text[64];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = procfs_read_text(fd, text, sizeof text);
    if (fd >= 0) {
        close(fd);
    }
    return length <= 0 ? 0 : strtoull(text, NULL, 10);
}

uint64_t procfs_memory_limit_bytes(void)
{
    uint64_t limit = procfs_find_kilobytes("/proc/meminfo", "MemTotal");
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (file == NULL) {
        return limit;
    }
    char line[1024];
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *path = strchr(line, ':');
        path = path == NULL ? NULL : strchr(path + 1, ':');
        if (path == NULL) {
            continue;
        }
        bool is_unified = strncmp(line, "0::", 3) == 0;
        if (!is_unified && strstr(line, ":memory:") == NULL) {
            continue;
        }
        /* A limit of any group above holds too. */
        char folder[1100];
        snprintf(folder, sizeof folder, "%s%s",
                 is_unified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory", path + 1);
        for (char *slash; strlen(folder) > strlen("/sys/fs/cgroup"); *slash = '\0') {
            char name[1200];
            snprintf(name, sizeof name, "%s/%s", folder,
                     is_unified ? "memory.max" : "memory.limit_in_bytes");
            uint64_t value = procfs_read_number(name);
            if (value > 0 && (limit == 0 || value < limit)) {
                limit = value;
            }
            slash = strrchr(folder, '/');
            if (slash == NULL) {
                break;
            }
        }
    }
    fclose(file);
    return limit;
}
