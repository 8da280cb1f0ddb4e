/*
 * memtrack/memtrack.h - what a program can say to memtrack, and ask it.
 *
 * Usable in any program: nothing is linked. When the program runs under memtrack, the
 * calls reach it; otherwise each is a cheap no-op that says so in its result (-ENOTSUP,
 * false, or zeroes). C11 and C++11.
 *
 *   memtrack_snapshot("after warm-up");
 *
 *   struct memtrack_mark mark = memtrack_mark_now();
 *   parse(document);
 *   struct memtrack_usage usage = memtrack_usage_since(&mark);
 *   assert(usage.live_blocks == 0 && usage.peak_bytes < 64 * 1024);
 *
 * Threads: every function may be called from any thread. A mark and what is asked of it
 *          concern the whole process; pause and resume concern the calling thread.
 * Signals: not async-signal-safe.
 */
#ifndef MEMTRACK_MEMTRACK_H
#define MEMTRACK_MEMTRACK_H

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Counts of blocks, sizes in bytes (as requested). */
struct memtrack_totals {
    uint64_t allocations;
    uint64_t frees;
    uint64_t allocated_bytes;
    uint64_t freed_bytes;
    uint64_t temporary_allocations;
    int64_t live_blocks;
    int64_t live_bytes;
    int64_t peak_bytes; /* the most live bytes since the process began */
};

/* A moment of the process. The fields are memtrack's own. */
struct memtrack_mark {
    struct memtrack_totals totals;
    uint32_t tick;
    bool is_valid; /* false without memtrack */
};

/* What happened since a mark. */
struct memtrack_usage {
    uint64_t allocations;
    uint64_t allocated_bytes;
    uint64_t frees;
    uint64_t temporary_allocations;
    int64_t peak_bytes;   /* the most that live bytes rose above those of the mark */
    uint64_t live_blocks; /* allocated since the mark and not released */
    uint64_t live_bytes;
    bool is_valid;
};

/* One site whose blocks were allocated since a mark and are live. */
struct memtrack_site {
    uint64_t blocks;
    uint64_t bytes;
    uint32_t stack;         /* id: ask memtrack_stack() for its addresses */
    const void *an_address; /* of one of its blocks */
};

/* What a leak check found, in blocks and bytes; the classes are memcheck's. */
struct memtrack_leaks {
    uint64_t definite_blocks; /* nothing points to them */
    uint64_t definite_bytes;
    uint64_t indirect_blocks; /* only blocks that are lost themselves */
    uint64_t indirect_bytes;
    uint64_t possible_blocks; /* only pointers into their middle */
    uint64_t possible_bytes;
    uint64_t reachable_blocks;
    uint64_t reachable_bytes;
};

/*
 * How a region stores pointers that are compressed or carry tags. A word of it stands for the
 * address base + (((word & mask) >> shift_right) << shift_left).
 *   tags in the upper 16 bits   {8, 0, 0, 0x0000ffffffffffff, 0}
 *   tags in the lowest 3 bits   {8, 0, 0, ~(uint64_t)7, 0}
 *   32-bit numbers of 8 bytes   {4, 0, 3, 0xffffffff, (uint64_t)heap}
 */
struct memtrack_pointers {
    uint32_t word_bytes; /* 4 or 8, and aligned so */
    uint32_t shift_right;
    uint32_t shift_left;
    uint64_t mask;
    uint64_t base;
};

/* The functions behind the calls below; the shim exports one of these under this name. */
#define MEMTRACK_API_NAME "memtrack_api_1"
struct memtrack_api {
    uint32_t size_bytes;
    bool (*is_tracking)(void);
    int (*snapshot)(const char *label);
    void (*totals)(struct memtrack_totals *totals);
    void (*mark)(struct memtrack_mark *mark);
    void (*usage_since)(const struct memtrack_mark *mark, struct memtrack_usage *usage);
    size_t (*sites_since)(const struct memtrack_mark *mark, struct memtrack_site *sites,
                          size_t capacity);
    size_t (*stack)(uint32_t stack, void **addresses, size_t capacity);
    int (*print_since)(const struct memtrack_mark *mark, const char *title);
    void (*pause)(void);
    void (*resume)(void);
    void (*ignore)(const void *block);
    void (*announce_allocation)(const void *block, size_t size_bytes);
    void (*announce_release)(const void *block);
    int (*add_root)(const void *start, size_t size_bytes);
    int (*remove_root)(const void *start);
    void (*name_thread)(const char *name);
    int (*leak_check)(struct memtrack_leaks *leaks);
    int (*leak_check_since)(const struct memtrack_mark *mark, struct memtrack_leaks *leaks,
                            struct memtrack_site *sites, size_t capacity, size_t *count);
    int (*print_sites)(const struct memtrack_site *sites, size_t count, const char *title);
    int (*add_tagged_region)(const void *start, size_t size_bytes,
                             const struct memtrack_pointers *pointers);
    int (*remove_tagged_region)(const void *start);
    size_t (*ignore_since)(const struct memtrack_mark *mark);
};

/* Whether the shim, which may be older than this header, has a function. */
#define MEMTRACK_API_HAS(api, name) \
    ((api) != NULL && (api)->size_bytes > offsetof(struct memtrack_api, name))

/* Returns the shim's functions, or NULL in a program that is not tracked. */
static inline const struct memtrack_api *memtrack_api_get(void)
{
    static const struct memtrack_api *api;
    static int was_looked_up;
    if (!was_looked_up) {
        api = (const struct memtrack_api *)dlsym(RTLD_DEFAULT, MEMTRACK_API_NAME);
        was_looked_up = 1;
    }
    return api;
}

/* Returns whether this process's allocations are being recorded. */
static inline bool memtrack_is_tracking(void)
{
    const struct memtrack_api *api = memtrack_api_get();
    return api != NULL && api->is_tracking();
}

/*
 * Takes a snapshot now, under a label of at most 119 bytes (the rest is cut; NULL: none).
 * Returns 0 when it is taken, -ENOTSUP without memtrack, -EBUSY when too many threads ask
 * at once, -ETIMEDOUT when the recorder does not answer within two seconds.
 */
static inline int memtrack_snapshot(const char *label)
{
    const struct memtrack_api *api = memtrack_api_get();
    return api == NULL ? -ENOTSUP : api->snapshot(label);
}

/* Returns the process's totals now; zeroes without memtrack. */
static inline struct memtrack_totals memtrack_totals_now(void)
{
    struct memtrack_totals totals = {0, 0, 0, 0, 0, 0, 0, 0};
    const struct memtrack_api *api = memtrack_api_get();
    if (api != NULL) {
        api->totals(&totals);
    }
    return totals;
}

/* Marks this moment. Blocks that are allocated later can be told from earlier ones. */
static inline struct memtrack_mark memtrack_mark_now(void)
{
    struct memtrack_mark mark = {{0, 0, 0, 0, 0, 0, 0, 0}, 0, false};
    const struct memtrack_api *api = memtrack_api_get();
    if (api != NULL) {
        api->mark(&mark);
    }
    return mark;
}

/* Returns what happened since the mark. */
static inline struct memtrack_usage memtrack_usage_since(const struct memtrack_mark *mark)
{
    struct memtrack_usage usage = {0, 0, 0, 0, 0, 0, 0, false};
    const struct memtrack_api *api = memtrack_api_get();
    if (api != NULL && mark->is_valid) {
        api->usage_since(mark, &usage);
    }
    return usage;
}

/*
 * Fills sites[0..capacity) with the sites of blocks that were allocated since the mark and
 * are live, most bytes first. Returns their number, at most capacity; 0 without memtrack.
 */
static inline size_t memtrack_sites_since(const struct memtrack_mark *mark,
                                          struct memtrack_site *sites, size_t capacity)
{
    const struct memtrack_api *api = memtrack_api_get();
    return api == NULL || !mark->is_valid ? 0 : api->sites_since(mark, sites, capacity);
}

/*
 * Prints the sites of blocks that were allocated since the mark and are live, with
 * functions and lines, on memtrack's standard error, under a title of at most 119 bytes.
 * Returns 0, -ENOTSUP without memtrack, -EBUSY, or -ETIMEDOUT as memtrack_snapshot() does.
 */
static inline int memtrack_print_since(const struct memtrack_mark *mark, const char *title)
{
    const struct memtrack_api *api = memtrack_api_get();
    return api == NULL || !mark->is_valid ? -ENOTSUP : api->print_since(mark, title);
}

/* Fills addresses[0..capacity) with the return addresses of a site's stack, innermost
 * first; returns their number. */
static inline size_t memtrack_stack(uint32_t stack, void **addresses, size_t capacity)
{
    const struct memtrack_api *api = memtrack_api_get();
    return api == NULL ? 0 : api->stack(stack, addresses, capacity);
}

/* Until memtrack_resume(), what the calling thread allocates is not counted. Calls nest. */
static inline void memtrack_pause(void)
{
    const struct memtrack_api *api = memtrack_api_get();
    if (api != NULL) {
        api->pause();
    }
}

/* Ends a memtrack_pause(). */
static inline void memtrack_resume(void)
{
    const struct memtrack_api *api = memtrack_api_get();
    if (api != NULL) {
        api->resume();
    }
}

/* This live block is meant to stay: from now on it counts as released, is never a leak,
 * and what it points to is reachable. */
static inline void memtrack_ignore(const void *block)
{
    const struct memtrack_api *api = memtrack_api_get();
    if (api != NULL) {
        api->ignore(block);
    }
}

/* memtrack_ignore() of every live block that was allocated since the mark, by any thread: what
 * a library's initialisation keeps. Returns how many blocks; 0 without memtrack. */
static inline size_t memtrack_ignore_since(const struct memtrack_mark *mark)
{
    const struct memtrack_api *api = memtrack_api_get();
    return MEMTRACK_API_HAS(api, ignore_since) && mark->is_valid ? api->ignore_since(mark) : 0;
}

/* A custom allocator handed out a block. Announced blocks count like those of malloc; the
 * memory that they are carved from should be ignored (memtrack_ignore) or be a mapping. */
static inline void memtrack_announce_allocation(const void *block, size_t size_bytes)
{
    const struct memtrack_api *api = memtrack_api_get();
    if (api != NULL) {
        api->announce_allocation(block, size_bytes);
    }
}

/* The custom allocator took it back. */
static inline void memtrack_announce_release(const void *block)
{
    const struct memtrack_api *api = memtrack_api_get();
    if (api != NULL) {
        api->announce_release(block);
    }
}

/* What [start, start + size_bytes) points to is reachable, until the region is removed.
 * Returns 0, -ENOTSUP without memtrack, -ENOSPC beyond 1024 regions. */
static inline int memtrack_add_root(const void *start, size_t size_bytes)
{
    const struct memtrack_api *api = memtrack_api_get();
    return api == NULL ? -ENOTSUP : api->add_root(start, size_bytes);
}

/* Returns 0, -ENOTSUP without memtrack, -ENOENT when no such region was added. */
static inline int memtrack_remove_root(const void *start)
{
    const struct memtrack_api *api = memtrack_api_get();
    return api == NULL ? -ENOTSUP : api->remove_root(start);
}

/*
 * Looks for leaks now, in a copy of the process; the program goes on after a short stop.
 * Fills *leaks. A pointer that is left in a dead part of a stack or a register keeps its
 * block reachable. Returns 0, -ENOTSUP without memtrack, in a sampled run or where no scan
 * is possible, -EBUSY while another scan runs, -ETIMEDOUT after ten seconds, -EIO when the
 * scan failed.
 */
static inline int memtrack_leak_check(struct memtrack_leaks *leaks)
{
    const struct memtrack_api *api = memtrack_api_get();
    return MEMTRACK_API_HAS(api, leak_check) ? api->leak_check(leaks) : -ENOTSUP;
}

/*
 * memtrack_leak_check() of the blocks that were allocated since the mark alone: what was live
 * before, lost or not, does not count. Fills *leaks, and sites[0..capacity) with the sites
 * that lost blocks since (definite, indirect or possible), most bytes first, `an_address`
 * NULL; *count becomes their number, at most capacity. Where no block of after the mark is
 * live, no scan is made. sites and count may be NULL. Returns as memtrack_leak_check() does,
 * -ENOTSUP also for a mark that was taken without memtrack.
 */
static inline int memtrack_leak_check_since(const struct memtrack_mark *mark,
                                            struct memtrack_leaks *leaks,
                                            struct memtrack_site *sites, size_t capacity,
                                            size_t *count)
{
    const struct memtrack_api *api = memtrack_api_get();
    return MEMTRACK_API_HAS(api, leak_check_since) && mark->is_valid
               ? api->leak_check_since(mark, leaks, sites, capacity, count)
               : -ENOTSUP;
}

/*
 * Prints sites[0..count), of which the first 16, with functions and lines, as
 * memtrack_print_since() does, and returns what that does.
 */
static inline int memtrack_print_sites(const struct memtrack_site *sites, size_t count,
                                       const char *title)
{
    const struct memtrack_api *api = memtrack_api_get();
    return MEMTRACK_API_HAS(api, print_sites) ? api->print_sites(sites, count, title) : -ENOTSUP;
}

/*
 * Words in [start, start + size_bytes) are read by leak scans as `pointers` says, besides as
 * plain pointers: wherever the region lies, as far as it is scanned, that is in a root or in
 * a block that something leads to. (A region that nothing leads to needs memtrack_add_root()
 * too.) Returns 0, -ENOTSUP without memtrack, -ENOSPC beyond 64 regions, -EINVAL for another
 * word size, shifts above 63, no mask or a region that is none.
 */
static inline int memtrack_add_tagged_region(const void *start, size_t size_bytes,
                                             const struct memtrack_pointers *pointers)
{
    const struct memtrack_api *api = memtrack_api_get();
    return MEMTRACK_API_HAS(api, add_tagged_region)
               ? api->add_tagged_region(start, size_bytes, pointers)
               : -ENOTSUP;
}

/* Returns 0, -ENOTSUP without memtrack, -ENOENT when no such region was added. */
static inline int memtrack_remove_tagged_region(const void *start)
{
    const struct memtrack_api *api = memtrack_api_get();
    return MEMTRACK_API_HAS(api, remove_tagged_region) ? api->remove_tagged_region(start)
                                                       : -ENOTSUP;
}

/* Names the calling thread in reports: at most 15 bytes, the rest is cut. */
static inline void memtrack_name_thread(const char *name)
{
    const struct memtrack_api *api = memtrack_api_get();
    if (api != NULL) {
        api->name_thread(name);
    }
}

#ifdef __cplusplus
}
#endif

#endif
