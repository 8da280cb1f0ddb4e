/*
 * core/track.h - what an event does: the path of every malloc and free.
 *
 *   allocation: stack id -> the live map -> the total -> the site's counters
 *   release:    the live map -> the total -> the site's counters
 *
 * Each exists twice: track_allocation() and track_release() for any thread in any state, and
 * track_allocation_regular(), track_take_regular() for a thread_is_regular(), which is
 * nearly every event. Those are inlined into malloc and free and leave all that is out of
 * the ordinary to the former.
 *
 * Context: inside the tracked program. No system call, lock or libc function unless a
 *          table has to grow.
 * Threads: the calling thread's own record, plus the structures of its parts.
 */
#ifndef MEMTRACK_CORE_TRACK_H
#define MEMTRACK_CORE_TRACK_H

#include "core/live_map.h"
#include "core/sampler.h"
#include "core/totals.h"

void track_defect(struct thread *thread, uint32_t kind, uintptr_t address, uint32_t released_as,
                  const struct live_block *block, const struct capture_origin *origin);
void track_unknown_release(struct thread *thread, uintptr_t address, uint32_t released_as,
                           const struct capture_origin *origin);
void track_lifetime(struct thread *thread, uint32_t stack, uint32_t birth_tick, uint32_t now);

/* Counts a block in: the site's line and the total. */
void track_count_in(struct thread *thread, struct arena_site *site, uintptr_t address,
                    const struct live_block *block);

/* Counts a block in and puts it on the map. */
void track_block_in(struct thread *thread, uintptr_t address, const struct live_block *block);

/* Counts a block out that was just taken off the map. */
void track_block_out(struct thread *thread, uintptr_t address, const struct live_block *block);

/* After the allocator gave out [address, address + size_bytes). */
void track_allocation(struct thread *thread, const void *address, size_t size_bytes,
                      uint32_t family, const struct capture_origin *origin);

/* Before the block goes back to the allocator. Returns the stack that allocated it, 0 when
 * that is not known. */
uint32_t track_release(struct thread *thread, const void *address, uint32_t family,
                       const struct capture_origin *origin);

/* ---- a regular thread ------------------------------------------------------ */

static inline void track_site_in(struct thread *thread, struct arena_process *process,
                                 struct arena_site *site, uintptr_t address, uint64_t size_bytes)
{
    totals_keep_peak(process, site);
    thread->last_allocated = address;
    site->allocations++;
    site->allocated_bytes += size_bytes;
}

static inline void track_site_out(struct thread *thread, struct arena_process *process,
                                  struct arena_site *site, uintptr_t address, uint64_t size_bytes)
{
    totals_keep_peak(process, site);
    site->frees++;
    site->freed_bytes += size_bytes;
    if (thread->last_allocated == address) {
        thread->last_allocated = 0;
        site->temporaries++;
    }
}

/* As track_allocation(). */
static inline __attribute__((always_inline)) void
track_allocation_regular(struct thread *thread, const void *block, size_t size_bytes,
                         uint32_t family, const struct capture_origin *origin)
{
    uintptr_t address = (uintptr_t)block;
    if (__builtin_expect(size_bytes >= LIVE_RECORD_SIZE_EXTENDED, 0)) {
        track_allocation(thread, block, size_bytes, family, origin);
        return;
    }
    uint32_t stack = capture_stack(thread->capture, origin);
    struct arena_process *process = thread->process;
    struct arena_site *site = thread_site(thread, stack);
    bool is_shared = totals_are_shared();
    uint32_t tick = totals_tick();
    uint64_t record =
        live_record_make(address, size_bytes, stack, totals_birth_at(tick), family);
    if (__builtin_expect(site == NULL || !live_map_put(address, record, is_shared), 0)) {
        process_drop_event();
        return;
    }
    totals_open(process, is_shared, false, tick);
    track_site_in(thread, process, site, address, size_bytes);
    totals_add(thread, process, is_shared, (int64_t)size_bytes, 1);
}

/*
 * Takes a block off the map if it is of this family and its record is the whole of it. Returns
 * the record and its site, or 0, with nothing done: use live_map_remove() or track_release().
 */
static inline __attribute__((always_inline)) uint64_t
track_take_regular(struct thread *thread, uintptr_t address, uint32_t family,
                   struct arena_site **site)
{
    _Atomic uint64_t *slot = live_map_slot(address);
    if (__builtin_expect(slot == NULL, 0)) {
        return 0;
    }
    uint64_t record = live_map_read(slot);
    if (__builtin_expect(live_record_key(record) != live_map_key(address, false), 0)) {
        slot = live_map_find_beyond(address, live_map_key(address, false));
        if (slot == NULL) {
            return 0;
        }
        record = live_map_read(slot);
    }
    if (__builtin_expect((record >> LIVE_RECORD_FAMILY_SHIFT & 3) != family
                             || live_record_size(record) == LIVE_RECORD_SIZE_EXTENDED,
                         0)) {
        return 0;
    }
    *site = thread_site(thread, live_record_stack(record));
    if (__builtin_expect(*site == NULL, 0)) {
        return 0;
    }
    atomic_store_explicit(slot, live_record_freed(record), memory_order_relaxed);
    return record;
}

/* Counts out what track_take_regular() returned. */
static inline __attribute__((always_inline)) void
track_record_out(struct thread *thread, uintptr_t address, uint64_t record,
                 struct arena_site *site)
{
    struct arena_process *process = thread->process;
    uint64_t size_bytes = live_record_size(record);
    bool is_shared = totals_are_shared();
    uint32_t tick = totals_tick();
    totals_open(process, is_shared, true, tick);
    track_site_out(thread, process, site, address, size_bytes);
    totals_add(thread, process, is_shared, -(int64_t)size_bytes, -1);
    if (__builtin_expect(live_record_birth(record) != totals_birth_at(tick), 0)) {
        track_lifetime(thread, live_record_stack(record), live_record_birth(record),
                       totals_birth_at(tick));
    }
}

#endif
