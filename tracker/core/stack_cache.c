#include "core/stack_cache.h"

#include "core/raw_syscall.h"

_Static_assert(sizeof(uint64_t) << STACK_CACHE_LOG2 == RAW_HUGE_PAGE_BYTES, "one huge page");

/* Maps the memory; a thread that loses the race takes the winner's. */
static _Atomic uint64_t *words_make(struct stack_cache *cache)
{
    _Atomic uint64_t *fresh = raw_map_huge_page();
    _Atomic uint64_t *present = NULL;
    if (fresh != NULL
        && !atomic_compare_exchange_strong_explicit(&cache->words, &present, fresh,
                                                    memory_order_release, memory_order_acquire)) {
        raw_unmap((void *)(uintptr_t)fresh, RAW_HUGE_PAGE_BYTES);
        fresh = present;
    }
    return fresh;
}

void stack_cache_put(struct stack_cache *cache, struct stack_cache_key key, uint32_t id)
{
    _Atomic uint64_t *words = atomic_load_explicit(&cache->words, memory_order_acquire);
    if (words == NULL && (id < STACK_CACHE_FIRST_ID || (words = words_make(cache)) == NULL)) {
        return;
    }
    _Atomic uint64_t *word = stack_cache_spare(words, key.hash);
    _Atomic uint64_t *line = stack_cache_line(words, key.group);
    for (unsigned i = 0; i < STACK_CACHE_LINE_WORDS; i++) {
        _Atomic uint64_t *slot = &line[(key.hash + i) % STACK_CACHE_LINE_WORDS];
        if (atomic_load_explicit(slot, memory_order_relaxed) == 0) {
            word = slot;
            break;
        }
    }
    atomic_store_explicit(word, key.hash << ARENA_STACK_ID_BITS | id, memory_order_relaxed);
}

void stack_cache_close(struct stack_cache *cache)
{
    _Atomic uint64_t *words = atomic_exchange_explicit(&cache->words, NULL, memory_order_relaxed);
    if (words != NULL) {
        raw_unmap((void *)(uintptr_t)words, RAW_HUGE_PAGE_BYTES);
    }
}
