/*
 * recorder/procfs.h - what the kernel says of a process.
 *
 * Context: recorder. Memory: two descriptors a process, close-on-exec. Threads: one.
 */
#ifndef MEMTRACK_RECORDER_PROCFS_H
#define MEMTRACK_RECORDER_PROCFS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The files of one process, kept open: a read after its end fails instead of telling
 * about another process with the same pid. */
struct procfs {
    int statm_fd; /* -1: not open */
    int stat_fd;
};

struct procfs_stat {
    char state;           /* R, S, D, Z, T ... */
    uint64_t user_ns;
    uint64_t system_ns;
    uint64_t minor_faults;
    uint64_t major_faults;
    uint64_t started_ns;  /* since boot (CLOCK_BOOTTIME), in steps of 10 ms */
    int32_t wait_status;  /* as from wait(); valid for a zombie, where permitted */
};

void procfs_open(struct procfs *procfs, pid_t pid);
void procfs_close(struct procfs *procfs);

/* Resident bytes. Returns false when the process is gone. */
bool procfs_read_rss(const struct procfs *procfs, uint64_t *rss_bytes);
bool procfs_read_stat(const struct procfs *procfs, struct procfs_stat *stat);

/* The same for a process whose files are not kept open. */
bool procfs_stat_process(pid_t pid, struct procfs_stat *stat);

/* The pid that the latest process of this pid namespace got; 0 when unknown. */
pid_t procfs_latest_pid(void);

/* The greatest RSS so far (VmHWM), 0 when unknown. */
uint64_t procfs_read_peak_rss(pid_t pid);

/* Parses a line of /proc/PID/stat. The program's name in it may hold anything. */
bool procfs_parse_stat(const char *line, struct procfs_stat *stat);

/* The memory limit that holds for this process: its cgroup's (v2 or v1), else the
 * machine's memory; 0 when unknown. */
uint64_t procfs_memory_limit_bytes(void);

#endif
