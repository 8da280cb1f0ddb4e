/*
 * census/memory_map.h - what the process has mapped, from /proc/self/maps.
 *
 * Read by system calls into memory of our own, parsed in place: one pass, no libc. It
 * answers what may be read without a fault, what is a module's data, what is the
 * program's own memory.
 *
 * Context: inside the tracked program (other threads parked, or a forked child).
 * Memory:  the caller's: 32 bytes a mapping, MEMORY_MAP_RANGES_MAX at most.
 */
#ifndef MEMTRACK_CENSUS_MEMORY_MAP_H
#define MEMTRACK_CENSUS_MEMORY_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEMORY_MAP_RANGES_MAX 131072u /* the kernel's own limit is 65530 by default */

enum memory_kind {
    MEMORY_ANONYMOUS, /* private, no file: the program's or an allocator's */
    MEMORY_SHARED_ANONYMOUS,
    MEMORY_MODULE,    /* private mapping of a file */
    MEMORY_BREAK,     /* [heap] */
    MEMORY_STACK,     /* [stack], of the main thread */
    MEMORY_OTHER      /* shared files, devices, what the kernel provides */
};

struct memory_range {
    uintptr_t start;
    uintptr_t end;
    uint64_t file_offset;
    uint32_t inode_low;
    uint8_t kind; /* enum memory_kind */
    bool is_readable;
    bool is_writable;
    bool is_executable;
};

struct memory_map {
    struct memory_range *ranges; /* [0..count), by address */
    size_t count;
    size_t capacity;
};

/* Fills in *map from /proc/self/maps; map->ranges and ->capacity are the caller's. Returns
 * 0 or a negative errno. -E2BIG: more mappings than there is room for. */
int memory_map_read(struct memory_map *map);

/* Parses maps text [0..length) instead; for tests. Lines that make no sense are left out. */
int memory_map_parse(struct memory_map *map, const char *text, size_t length);

/* Returns the range that contains `address`, or NULL. */
const struct memory_range *memory_map_find(const struct memory_map *map, uintptr_t address);

#endif
