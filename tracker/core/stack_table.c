#include "core/stack_table.h"

#include <assert.h>

#define NODE_CHUNK_BYTES (ARENA_NODES_PER_CHUNK * sizeof(struct arena_node))
#define STACK_CHUNK_BYTES (ARENA_STACKS_PER_CHUNK * sizeof(struct arena_stack))
#define STACK_DEPTH_MAX UINT16_MAX

static_assert(CAPTURE_DEPTH_LIMIT <= STACK_DEPTH_MAX, "arena_stack.depth holds any capture's");

void stack_table_open(struct stack_table *table, const struct arena *arena,
                      struct arena_image *image)
{
    table->arena = *arena;
    table->image = image;
    hash_index_open(&table->stacks, arena, &image->stacks, ARENA_STACK_HASH_FIRST_LOG2,
                    ARENA_STACK_ID_BITS);
    hash_index_open(&table->prefixes, arena, &image->prefixes, ARENA_PREFIX_HASH_FIRST_LOG2,
                    ARENA_NODE_ID_BITS);
    /* Id 0 means "none" in both. */
    uint32_t unopened = 0;
    atomic_compare_exchange_strong_explicit(&image->node_next, &unopened, 1, memory_order_relaxed,
                                            memory_order_relaxed);
    unopened = 0;
    atomic_compare_exchange_strong_explicit(&image->stack_next, &unopened, 1, memory_order_relaxed,
                                            memory_order_relaxed);
}

/* Hands out `count` ids in a row below `limit`. Returns the first, 0 when there are not
 * so many left. */
static uint32_t ids_claim(_Atomic uint32_t *next, uint32_t count, uint32_t limit)
{
    uint32_t first = atomic_load_explicit(next, memory_order_relaxed);
    do {
        if (first == 0 || first > limit || count > limit - first) {
            return 0;
        }
    } while (!atomic_compare_exchange_weak_explicit(next, &first, first + count,
                                                    memory_order_relaxed, memory_order_relaxed));
    return first;
}

static struct arena_node *node_at(const struct stack_table *table, uint32_t node)
{
    uint64_t offset = atomic_load_explicit(
        &table->image->node_chunk[node / ARENA_NODES_PER_CHUNK], memory_order_acquire);
    struct arena_node *chunk = arena_at(&table->arena, offset, NODE_CHUNK_BYTES);
    return chunk == NULL ? NULL : &chunk[node % ARENA_NODES_PER_CHUNK];
}

static uint64_t node_pc(const struct arena_node *node)
{
    return (uint64_t)node->pc_high << 32 | node->pc_low;
}

/* Returns the node of this frame and all outer ones, 0 if there is none. Its pc is
 * compared too: an entry does not hold all bits of a hash. */
static uint32_t node_find(struct stack_table *table, const struct capture_frame *frame)
{
    uint32_t id = hash_index_find(&table->prefixes, frame->hash, ARENA_NODE_ID_BITS);
    if (id == 0) {
        return 0;
    }
    const struct arena_node *node = node_at(table, id);
    return node != NULL && node_pc(node) == frame->pc ? id : 0;
}

/* Adds nodes for frames[0..count), innermost first, on top of `parent`. Returns the
 * innermost one, 0 when a table is full. */
static uint32_t nodes_add(struct stack_table *table, struct capture_frame *frames, uint32_t count,
                          uint32_t parent)
{
    uint32_t id = ids_claim(&table->image->node_next, count, ARENA_NODES_MAX);
    if (id == 0) {
        return 0;
    }
    for (uint32_t i = count; i-- > 0; id++) {
        struct arena_node *chunk = arena_chunk_get(&table->arena, table->image->node_chunk,
                                                   id / ARENA_NODES_PER_CHUNK, NODE_CHUNK_BYTES);
        if (chunk == NULL) {
            return 0;
        }
        struct arena_node *node = &chunk[id % ARENA_NODES_PER_CHUNK];
        node->parent = parent;
        node->pc_low = (uint32_t)frames[i].pc;
        node->pc_high = (uint32_t)((uint64_t)frames[i].pc >> 32);
        frames[i].node = id;
        /* When it cannot be put, or another's is there, nodes are stored twice. */
        hash_index_put(&table->prefixes, frames[i].hash, id);
        parent = id;
    }
    return parent;
}

/* Stores the stack, which nobody has. Returns its id, 0 when a table is full. */
static uint32_t stack_add(struct stack_table *table, uint32_t leaf, uint64_t hash,
                          const struct stack_traits *traits)
{
    uint32_t id = ids_claim(&table->image->stack_next, 1, ARENA_STACKS_MAX);
    if (id == 0) {
        return 0;
    }
    struct arena_stack *chunk = arena_chunk_get(&table->arena, table->image->stack_chunk,
                                                id / ARENA_STACKS_PER_CHUNK, STACK_CHUNK_BYTES);
    if (chunk == NULL) {
        return 0;
    }
    struct arena_stack *stack = &chunk[id % ARENA_STACKS_PER_CHUNK];
    stack->depth = (uint16_t)traits->depth;
    stack->flags = (uint8_t)traits->flags;
    stack->epoch = traits->epoch;
    /* Release: the recorder reads the rest once there is a leaf. */
    atomic_store_explicit(&stack->leaf, leaf, memory_order_release);
    return hash_index_put(&table->stacks, hash, id);
}

/* The part that nothing is known of is searched from the inside: the first one found has
 * all outer ones. */
uint32_t stack_table_insert(struct stack_table *table, struct capture_frame *frames,
                            uint32_t depth, uint32_t flags, uint32_t epoch)
{
    if (depth == 0 || depth > STACK_DEPTH_MAX) {
        return 0;
    }
    uint32_t leaf = 0;
    uint32_t fresh = 0;
    while (fresh < depth && (leaf = node_find(table, &frames[fresh])) == 0) {
        fresh++;
    }
    if (fresh == 0) { /* else nobody has stored this stack */
        uint32_t present = stack_table_find(table, frames[0].hash);
        if (present != 0) {
            return present;
        }
    }
    if (fresh > 0 && (leaf = nodes_add(table, frames, fresh, leaf)) == 0) {
        return 0;
    }
    return stack_add(table, leaf, frames[0].hash,
                     &(struct stack_traits){.depth = depth, .flags = flags, .epoch = epoch});
}

uint32_t stack_table_insert_above(struct stack_table *table, struct capture_frame *frames,
                                  uint32_t count, uint32_t parent, uint64_t hash,
                                  const struct stack_traits *traits)
{
    uint32_t leaf = parent;
    uint32_t fresh = count;
    if (traits->depth == 0 || traits->depth > STACK_DEPTH_MAX) {
        return 0;
    }
    /* What is not there is looked for in all tables: once, as nothing is on top of it. */
    while (fresh > 0) {
        uint32_t node = node_find(table, &frames[fresh - 1]);
        if (node == 0) {
            break;
        }
        frames[--fresh].node = node;
        leaf = node;
    }
    if (fresh == 0) { /* else nobody has stored this stack */
        uint32_t present = stack_table_find(table, hash);
        if (present != 0) {
            return present;
        }
    }
    if (fresh > 0 && (leaf = nodes_add(table, frames, fresh, leaf)) == 0) {
        return 0;
    }
    return stack_add(table, leaf, hash, traits);
}

uint32_t stack_table_node(const struct stack_table *table, uint32_t id, uint32_t up)
{
    uint64_t offset = atomic_load_explicit(&table->image->stack_chunk[id / ARENA_STACKS_PER_CHUNK],
                                           memory_order_acquire);
    const struct arena_stack *stacks = arena_at(&table->arena, offset, STACK_CHUNK_BYTES);
    if (stacks == NULL) {
        return 0;
    }
    uint32_t node = atomic_load_explicit(&stacks[id % ARENA_STACKS_PER_CHUNK].leaf,
                                         memory_order_acquire);
    for (; node != 0 && up > 0; up--) {
        const struct arena_node *at = node_at(table, node);
        node = at == NULL ? 0 : at->parent;
    }
    return node;
}

uint32_t stack_table_end(const struct arena_image *image)
{
    uint32_t end = atomic_load_explicit(&image->stack_next, memory_order_acquire);
    return end < ARENA_STACKS_MAX ? end : ARENA_STACKS_MAX;
}

uint32_t stack_table_read(const struct arena *arena, const struct arena_image *image, uint32_t id,
                          uint64_t *pc, uint32_t capacity, uint32_t *flags, uint32_t *epoch)
{
    if (id == 0 || id >= ARENA_STACKS_MAX) {
        return 0;
    }
    uint64_t offset = atomic_load_explicit(&image->stack_chunk[id / ARENA_STACKS_PER_CHUNK],
                                           memory_order_acquire);
    const struct arena_stack *stacks = arena_at(arena, offset, STACK_CHUNK_BYTES);
    if (stacks == NULL) {
        return 0;
    }
    const struct arena_stack *stack = &stacks[id % ARENA_STACKS_PER_CHUNK];
    uint32_t node = atomic_load_explicit(&stack->leaf, memory_order_acquire);
    uint32_t depth = stack->depth;
    uint32_t count = 0;
    while (node != 0 && count < depth && count < capacity) {
        if (node >= ARENA_NODES_MAX) {
            return 0;
        }
        offset = atomic_load_explicit(&image->node_chunk[node / ARENA_NODES_PER_CHUNK],
                                      memory_order_acquire);
        const struct arena_node *nodes = arena_at(arena, offset, NODE_CHUNK_BYTES);
        if (nodes == NULL) {
            return 0;
        }
        struct arena_node copy = nodes[node % ARENA_NODES_PER_CHUNK];
        /* Ids fall towards the outside: anything else is damage, and could be a cycle. */
        if (copy.parent >= node) {
            return 0;
        }
        pc[count++] = node_pc(&copy);
        node = copy.parent;
    }
    if (count < capacity && (count != depth || node != 0)) {
        return 0;
    }
    if (flags != NULL) {
        *flags = stack->flags;
    }
    if (epoch != NULL) {
        *epoch = stack->epoch;
    }
    return count;
}
