#include "core/stack_cache.h"

#include "core/raw_syscall.h"

_Static_assert(sizeof(uint64_t) << STACK_CACHE_LOG2 == RAW_HUGE_PAGE_BYTES, "one huge page");

void stack_cache_put(struct stack_cache *cache, uint64_t hash, uint32_t id)
{
    _Atomic uint64_t *word = stack_cache_word(cache, hash);
    if (word == NULL) {
        if (id < STACK_CACHE_FIRST_ID) {
            return;
        }
        _Atomic uint64_t *fresh = raw_map_huge_page();
        _Atomic uint64_t *present = NULL;
        if (fresh == NULL) {
            return;
        }
        if (!atomic_compare_exchange_strong_explicit(&cache->words, &present, fresh,
                                                     memory_order_release, memory_order_relaxed)) {
            raw_unmap((void *)(uintptr_t)fresh, RAW_HUGE_PAGE_BYTES);
        }
        word = stack_cache_word(cache, hash);
    }
    atomic_store_explicit(word, hash << ARENA_STACK_ID_BITS | id, memory_order_relaxed);
}

void stack_cache_close(struct stack_cache *cache)
{
    _Atomic uint64_t *words = atomic_exchange_explicit(&cache->words, NULL, memory_order_relaxed);
    if (words != NULL) {
        raw_unmap((void *)(uintptr_t)words, RAW_HUGE_PAGE_BYTES);
    }
}
