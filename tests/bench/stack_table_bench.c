/*
 * stack_table_bench [STACKS ...] - what a stack id costs.
 *
 * For each number of stacks (2000 and 200000 unless told): inserts them (depth 30, about
 * five new frames each), then looks up known ones in random order (the best of several
 * rounds: other programs disturb), and prints nanoseconds for each, trie nodes and touched memory. One thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "core/module_table.h"
#include "core/stack_table.h"

#define BENCH_ARENA_BYTES (UINT64_C(4) << 30)
#define DEPTH 30u
#define FINDS 1000000u
#define ROUNDS 12

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* A call tree: stack `number` shares all but its five innermost frames with its 15
 * neighbours, and half of the rest with 255 more. */
static void frames_make(struct capture_frame *frames, uint32_t number)
{
    uint64_t hash = 1;
    for (uint32_t i = DEPTH; i-- > 0;) {
        uint32_t part = i < 5 ? number : i < 15 ? number / 16 : number / 4096;
        frames[i].pc = UINT64_C(0x555500001000) + i * 0x10000 + part * UINT64_C(64);
        hash = (hash ^ frames[i].pc) * UINT64_C(0xff51afd7ed558ccd);
        hash ^= hash >> 32;
        frames[i].hash = hash | (hash == 0);
    }
}

static uint64_t resident_bytes(const void *start, uint64_t size_bytes)
{
    uint64_t pages = (size_bytes + 4095) / 4096;
    unsigned char *is_resident = malloc(pages);
    uint64_t count = 0;
    if (is_resident == NULL || mincore((void *)(uintptr_t)start, size_bytes, is_resident) != 0) {
        free(is_resident);
        return 0;
    }
    for (uint64_t i = 0; i < pages; i++) {
        count += is_resident[i] & 1;
    }
    free(is_resident);
    return count * 4096;
}

static int bench(uint32_t stacks)
{
    void *memory = mmap(NULL, BENCH_ARENA_BYTES, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uint64_t *hashes = malloc(stacks * sizeof *hashes);
    if (memory == MAP_FAILED || hashes == NULL) {
        perror("stack_table_bench: no memory");
        free(hashes);
        return 1;
    }
    struct arena arena = {.header = memory, .mapped_bytes = BENCH_ARENA_BYTES};
    atomic_store(&arena.header->used_bytes, UINT64_C(1) << 20);
    uint64_t offset = arena_extent_new(&arena, sizeof(struct arena_image));
    struct arena_image *image = arena_at(&arena, offset, sizeof *image);
    struct stack_table table;
    stack_table_open(&table, &arena, image);

    double insert_ns = 0;
    for (uint32_t i = 0; i < stacks; i++) {
        struct capture_frame frames[DEPTH];
        frames_make(frames, i);
        hashes[i] = frames[0].hash;
        double start = now_ns();
        if (stack_table_find(&table, hashes[i]) == 0) {
            stack_table_insert(&table, frames, DEPTH, 0, 0);
        }
        insert_ns += now_ns() - start;
    }
    double best = 1e300;
    uint64_t ids = 0;
    for (int round = 0; round < ROUNDS; round++) { /* the first ones move entries up */
        uint64_t random = 88172645463325252u;
        double start = now_ns();
        for (uint32_t i = 0; i < FINDS; i++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            ids += stack_table_find(&table, hashes[(random >> 32) * stacks >> 32]);
        }
        double sum = now_ns() - start;
        best = sum < best ? sum : best;
    }
    printf("%7u stacks: find %5.1f ns (random order, hash from memory), insert %6.0f ns, "
           "%u nodes, %.1f MiB touched, %u and %u tables, check %llu\n",
           stacks, best / FINDS, insert_ns / stacks, atomic_load(&image->node_next) - 1,
           (double)resident_bytes(memory, atomic_load(&arena.header->used_bytes)) / 1048576,
           atomic_load(&image->stacks.generations), atomic_load(&image->prefixes.generations),
           (unsigned long long)ids);
    munmap(memory, BENCH_ARENA_BYTES);
    free(hashes);
    return 0;
}

/* What it costs to see that the modules of a new stack are known. */
static void bench_modules(void)
{
    void *memory = mmap(NULL, BENCH_ARENA_BYTES, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        return;
    }
    struct arena arena = {.header = memory, .mapped_bytes = BENCH_ARENA_BYTES};
    atomic_store(&arena.header->used_bytes, UINT64_C(1) << 20);
    uint64_t offset = arena_extent_new(&arena, sizeof(struct arena_image));
    static struct module_table table;
    module_table_open(&table, &arena, arena_at(&arena, offset, sizeof(struct arena_image)));
    struct capture_frame frames[DEPTH];
    for (uint32_t i = 0; i < DEPTH; i++) {
        frames[i].pc = i < 10 ? (uintptr_t)&qsort + 8 : (uintptr_t)&bench_modules + 8;
    }
    double start = now_ns();
    for (int i = 0; i < 1000000; i++) {
        module_table_note(&table, frames, DEPTH);
    }
    printf("modules of a new stack of %u frames in two modules: %.0f ns\n", DEPTH,
           (now_ns() - start) / 1e6);
    munmap(memory, BENCH_ARENA_BYTES);
}

int main(int count, char **arguments)
{
    bench_modules();
    if (count < 2) {
        return bench(2000) | bench(200000);
    }
    for (int i = 1; i < count; i++) {
        unsigned long stacks = strtoul(arguments[i], NULL, 10);
        if (stacks == 0 || stacks >= ARENA_STACKS_MAX) {
            fprintf(stderr, "stack_table_bench: %s: a number of stacks below %u is needed\n",
                    arguments[i], ARENA_STACKS_MAX);
            return 1;
        }
        if (bench((uint32_t)stacks) != 0) {
            return 1;
        }
    }
    return 0;
}
