/*
 * symbolize/perf_map.h - names of code that a JIT compiler made: /tmp/perf-PID.map.
 *
 * Written by node --perf-basic-prof, java agents, .NET, LuaJIT and others; one line a
 * function: start and size in hexadecimal, then its name.
 * Source: Linux, tools/perf/Documentation/jit-interface.txt.
 *
 * Context: recorder, analyzer.   Memory: the map's; files above 64 MiB are not read.
 * Threads: any once it is filled.
 */
#ifndef MEMTRACK_SYMBOLIZE_PERF_MAP_H
#define MEMTRACK_SYMBOLIZE_PERF_MAP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct perf_map_entry {
    uint64_t start;
    uint64_t size;
    const char *name;
    uint32_t order; /* code is recompiled in place: of equal starts the last line holds */
};

struct perf_map {
    struct perf_map_entry *entries;
    size_t count;
    size_t room;
    char **texts; /* whole files, which the names point into */
    size_t text_count;
};

/* Adds what a map file says. /tmp is everybody's: only a regular file that belongs to
 * `owner` and has no other name is believed. Returns 0 or a negative errno. */
int perf_map_add_file(struct perf_map *map, const char *path, uid_t owner);

/* To be called once after the last file. */
void perf_map_sort(struct perf_map *map);
void perf_map_deinit(struct perf_map *map);

/* The function that covers `address`, or NULL. */
const struct perf_map_entry *perf_map_find(const struct perf_map *map, uint64_t address);

#endif
