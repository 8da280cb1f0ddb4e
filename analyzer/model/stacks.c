/* Stacks: from the tracker's tries to one table of distinct stacks. */
#include "model/tables.h"

#include <stdlib.h>
#include <string.h>

#define STACK_ID_MAX (INT64_C(1) << 25)
#define STACK_DEPTH_MAX 4096u

struct stack_node {
    uint32_t parent;
    uint32_t address;
};

struct stack_loader {
    struct model *model;
    struct model_image *image;
    struct stack_node *nodes;
    size_t node_count;
    size_t node_capacity;
    size_t stack_capacity;
    size_t flag_capacity;
    uint32_t addresses[STACK_DEPTH_MAX];
};

static uint64_t stack_hash(const uint32_t *addresses, uint32_t count)
{
    uint64_t hash = UINT64_C(0x9e3779b97f4a7c15) + count;
    for (uint32_t i = 0; i < count; i++) {
        hash = (hash ^ addresses[i]) * UINT64_C(0xd6e8feb86659fd93);
        hash ^= hash >> 32;
    }
    return hash;
}

static struct model_stack **stack_slot(const struct model_tables *tables, const uint32_t *addresses,
                                       uint32_t count)
{
    size_t mask = tables->slot_count - 1;
    for (size_t i = stack_hash(addresses, count) & mask;; i = (i + 1) & mask) {
        struct model_stack *stack = tables->slots[i];
        if (stack == NULL
            || (stack->address_count == count
                && (count == 0
                    || memcmp(stack->addresses, addresses, count * sizeof(*addresses)) == 0))) {
            return &tables->slots[i];
        }
    }
}

static void stack_reserve_slots(struct model *model)
{
    struct model_tables *tables = model->tables;
    if ((model->stack_count + 1) * 2 <= tables->slot_count) {
        return;
    }
    struct model_tables wider = *tables;
    wider.slot_count = tables->slot_count == 0 ? 1024 : tables->slot_count * 4;
    wider.slots = region_alloc_array(model->region, wider.slot_count, sizeof(*wider.slots));
    for (size_t i = 0; i < tables->slot_count; i++) {
        struct model_stack *stack = tables->slots[i];
        if (stack != NULL) {
            *stack_slot(&wider, stack->addresses, stack->address_count) = stack;
        }
    }
    *tables = wider;
}

/* Frames and location follow from the addresses. */
static void stack_describe(const struct model *model, struct model_stack *stack)
{
    const struct model_frame *first = NULL;
    for (uint32_t i = 0; i < stack->address_count; i++) {
        const struct model_address *address = model_address_at(model, stack->addresses[i]);
        stack->frame_count += address->frame_count;
        for (uint32_t k = 0; k < address->frame_count; k++) {
            const struct model_frame *frame = &address->frames[k];
            if (first == NULL) {
                first = frame;
            }
            if (stack->location == NULL && !frame->is_runtime) {
                stack->location = frame;
            }
        }
    }
    if (stack->location == NULL) {
        stack->location = first;
    }
}

static const struct model_stack *stack_intern(struct model *model, const uint32_t *addresses,
                                              uint32_t count, int64_t flags)
{
    stack_reserve_slots(model);
    struct model_stack **slot = stack_slot(model->tables, addresses, count);
    if (*slot == NULL) {
        struct model_stack *stack = region_alloc(model->region, sizeof(*stack));
        uint32_t *copy = region_alloc_array(model->region, count, sizeof(*copy));
        if (count > 0) {
            memcpy(copy, addresses, count * sizeof(*copy));
        }
        stack->id = (uint32_t)++model->stack_count;
        stack->addresses = copy;
        stack->address_count = count;
        stack_describe(model, stack);
        *slot = stack;
    }
    (*slot)->is_cut |= (flags & RECORDING_STACK_CUT) != 0;
    (*slot)->is_approximate |= (flags & RECORDING_STACK_APPROXIMATE) != 0;
    return *slot;
}

static int stack_visit_node(void *context, const void *row)
{
    struct stack_loader *loader = context;
    const struct recording_node *node = row;
    if (node->node <= 0 || node->node >= STACK_ID_MAX) {
        return 0;
    }
    loader->nodes = mt_grow(loader->nodes, &loader->node_capacity, (size_t)node->node + 1,
                            sizeof(*loader->nodes));
    while (loader->node_count <= (size_t)node->node) {
        loader->nodes[loader->node_count++] = (struct stack_node){0};
    }
    size_t known = loader->model->tables->address_count;
    loader->nodes[node->node] = (struct stack_node){
        .parent = node->parent > 0 && node->parent < STACK_ID_MAX ? (uint32_t)node->parent : 0,
        .address = node->address > 0 && (size_t)node->address < known ? (uint32_t)node->address : 0,
    };
    return 0;
}

/* Leading frames of the allocator itself are not part of a stack, unless there is nothing
 * else: an inlined operator new leaves its caller in the same address. */
static uint32_t stack_skip_allocator(const struct model *model, const uint32_t *addresses,
                                     uint32_t count)
{
    uint32_t skip = 0;
    while (skip + 1 < count) {
        const struct model_address *address = model_address_at(model, addresses[skip]);
        const struct model_frame *outermost = &address->frames[address->frame_count - 1];
        if (!outermost->is_allocator) {
            break;
        }
        skip++;
    }
    return skip;
}

static int stack_visit_stack(void *context, const void *row)
{
    struct stack_loader *loader = context;
    const struct recording_stack *stack = row;
    if (stack->stack < 0 || stack->stack >= STACK_ID_MAX) {
        return 0;
    }
    uint32_t count = 0;
    uint32_t node =
        stack->leaf > 0 && (size_t)stack->leaf < loader->node_count ? (uint32_t)stack->leaf : 0;
    while (node != 0 && node < loader->node_count && count < STACK_DEPTH_MAX) {
        loader->addresses[count++] = loader->nodes[node].address;
        node = loader->nodes[node].parent;
    }
    uint32_t skip = stack_skip_allocator(loader->model, loader->addresses, count);
    struct model_image *image = loader->image;
    image->stacks = mt_grow(image->stacks, &loader->stack_capacity, (size_t)stack->stack + 1,
                            sizeof(*image->stacks));
    image->is_in_allocator = mt_grow(image->is_in_allocator, &loader->flag_capacity,
                                     (size_t)stack->stack + 1, sizeof(*image->is_in_allocator));
    while (image->stack_count <= (size_t)stack->stack) {
        image->is_in_allocator[image->stack_count] = false;
        image->stacks[image->stack_count++] = NULL;
    }
    image->is_in_allocator[stack->stack] = skip > 0;
    image->stacks[stack->stack] =
        stack_intern(loader->model, loader->addresses + skip, count - skip, stack->flags);
    return 0;
}

const struct model_image *model_load_image(struct model *model, int64_t image)
{
    struct model_tables *tables = model->tables;
    for (size_t i = 0; i < tables->image_count; i++) {
        if (tables->images[i].image == image) {
            return &tables->images[i];
        }
    }
    tables->images = mt_grow(tables->images, &tables->image_capacity, tables->image_count + 1,
                             sizeof(*tables->images));
    struct model_image *made = &tables->images[tables->image_count++];
    *made = (struct model_image){.image = image};
    struct stack_loader *loader = calloc(1, sizeof(*loader));
    if (loader == NULL) {
        return made;
    }
    loader->model = model;
    loader->image = made;
    if (tables->empty == NULL) {
        tables->empty = stack_intern(model, NULL, 0, 0);
    }
    recording_reader_each(model->reader, RECORDING_TABLE_NODE, image, stack_visit_node, loader);
    recording_reader_each(model->reader, RECORDING_TABLE_STACK, image, stack_visit_stack, loader);
    free(loader->nodes);
    free(loader);
    return made;
}

const struct model_address *model_address_at(const struct model *model, uint32_t index)
{
    return &model->tables->addresses[index < model->tables->address_count ? index : 0];
}

size_t model_address_count(const struct model *model)
{
    return model->tables->address_count;
}

size_t model_stack_frames(const struct model *model, const struct model_stack *stack,
                          const struct model_frame **frames, size_t capacity)
{
    size_t count = 0;
    for (uint32_t i = 0; i < stack->address_count; i++) {
        const struct model_address *address = model_address_at(model, stack->addresses[i]);
        for (uint32_t k = 0; k < address->frame_count && count < capacity; k++) {
            frames[count++] = &address->frames[k];
        }
    }
    return count;
}

const struct model_stack *model_find_stack(const struct model *model,
                                           const struct model_process *process, int64_t stack)
{
    const struct model_tables *tables = model->tables;
    for (size_t i = 0; i < tables->image_count; i++) {
        const struct model_image *image = &tables->images[i];
        if (image->image != process->row.image) {
            continue;
        }
        if (stack >= 0 && (size_t)stack < image->stack_count && image->stacks[stack] != NULL) {
            return image->stacks[stack];
        }
        break;
    }
    return tables->empty;
}
