/*
 * recorder/ledger.h - where a process's resident memory is: items that add up to its RSS.
 *
 *   requested        live bytes, as the program asked for them
 *   rounding         what the allocator added to them: alignment, size classes, headers
 *   allocator-free   held by the allocator, but free
 *   own-mappings     anonymous memory that is not the allocator's: the program's own mmap
 *   stacks           of all threads
 *   files-and-code   of the program and its libraries, and files it mapped
 *   memtrack         of memtrack itself
 *   unexplained      RSS minus all of these; negative where memory was asked for and never
 *                    touched, as that is not resident
 *
 * From /proc/PID/smaps, the counters, and the allocator's own figures; where it told none,
 * rounding and allocator-free are missing and part of own-mappings.
 *
 * Context: recorder. Memory: none kept. Threads: one.
 */
#ifndef MEMTRACK_RECORDER_LEDGER_H
#define MEMTRACK_RECORDER_LEDGER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "arena/resident.h"

/* Reads a text in the form of /proc/PID/smaps. Returns 0 or a negative errno. */
int ledger_parse(FILE *smaps, struct resident *resident);
int ledger_read(pid_t pid, struct resident *resident);

struct ledger_input {
    struct resident resident;
    int64_t live_bytes;
    int64_t own_bytes; /* memtrack's private memory in the process, part of anonymous_bytes */
    bool has_figures;
    int64_t figures_allocated_bytes;
    int64_t figures_active_bytes;
    /* As the allocator believes, unused pages and its own data included: jemalloc's is an upper
     * bound. 0: it tells none. */
    int64_t figures_resident_bytes;
};

#define LEDGER_ITEMS 8
struct ledger_item {
    const char *name;
    int64_t bytes;
};

/* Fills items[0..returned); their sum is resident.rss_bytes. */
int ledger_make(const struct ledger_input *input, struct ledger_item items[LEDGER_ITEMS]);

#endif
