/* Source: ms_print, which reads the format, and Valgrind's massif/ms_main.c, pp_snapshot().
 * Time is in milliseconds. */
#include "foundation/region.h"
#include "render/export.h"
#include "render/line_text.h"

#include <stdlib.h>

#define MASSIF_THRESHOLD 0.01
#define MASSIF_SNAPSHOTS_MAX 100u

struct massif {
    FILE *out;
    const struct profile *profile;
    unsigned snapshot;
};

/* A line of a tree that is yet to be printed. */
struct massif_item {
    uint32_t node; /* 0: what is below the threshold */
    uint32_t depth;
    int64_t value;
    size_t places;
};

struct massif_stack {
    struct massif_item *items;
    size_t count;
    size_t capacity;
};

static void push(struct massif_stack *stack, struct massif_item item)
{
    stack->items =
        mt_grow(stack->items, &stack->capacity, stack->count + 1, sizeof(*stack->items));
    stack->items[stack->count++] = item;
}

static int compare_items(const void *left, const void *right)
{
    const struct massif_item *a = left;
    const struct massif_item *b = right;
    if (a->value != b->value) {
        return a->value < b->value ? -1 : 1;
    }
    return (a->node < b->node) - (a->node > b->node);
}

/* Pushes a node's children so that the largest comes first; returns how many. */
static size_t push_children(const struct flame_tree *tree, struct massif_stack *stack,
                            uint32_t node)
{
    size_t first = stack->count;
    uint32_t depth = tree->nodes[node].depth + 1;
    struct massif_item rest = {.depth = depth};
    double least = (double)tree->nodes[0].value * MASSIF_THRESHOLD;
    for (uint32_t at = tree->nodes[node].first_child; at != 0; at = tree->nodes[at].next) {
        if ((double)tree->nodes[at].value >= least) {
            push(stack, (struct massif_item){
                            .node = at, .depth = depth, .value = tree->nodes[at].value});
        } else {
            rest.value += tree->nodes[at].value;
            rest.places++;
        }
    }
    if (rest.places > 0) {
        push(stack, rest);
    }
    size_t count = stack->count - first;
    if (count > 0) {
        qsort(stack->items + first, count, sizeof(*stack->items), compare_items);
    }
    return count;
}

static void put_item(FILE *out, const struct flame_tree *tree, const struct massif_item *item,
                     size_t children)
{
    fprintf(out, "%*sn%zu: %lld ", (int)item->depth, "", children, (long long)item->value);
    if (item->places > 0) {
        fprintf(out, "in %zu place%s, %sbelow massif's threshold (%.2f%%)\n", item->places,
                item->places == 1 ? "" : "s", item->places == 1 ? "" : "all ",
                MASSIF_THRESHOLD * 100);
        return;
    }
    const struct flame_node *node = &tree->nodes[item->node];
    fprintf(out, "0x%X: ", item->node);
    line_text_put(out, node->name, "", '?');
    if (node->file[0] != '\0') {
        fputs(" (", out);
        line_text_put(out, node->file, "", '?');
        if (node->line > 0) {
            fprintf(out, ":%lld", (long long)node->line);
        }
        fputc(')', out);
    }
    fputc('\n', out);
}

static void put_tree(FILE *out, const struct flame_tree *tree)
{
    struct massif_stack stack = {0};
    size_t children = push_children(tree, &stack, 0);
    fprintf(out, "n%zu: %lld (heap allocation functions) malloc/new/new[], --alloc-fns, etc.\n",
            children, (long long)tree->nodes[0].value);
    while (stack.count > 0) {
        struct massif_item item = stack.items[--stack.count];
        children = item.node != 0 ? push_children(tree, &stack, item.node) : 0;
        put_item(out, tree, &item, children);
    }
    free(stack.items);
}

static void put_snapshot(struct massif *massif, double seconds, int64_t bytes,
                         const struct flame_tree *tree, const char *kind)
{
    fprintf(massif->out,
            "#-----------\nsnapshot=%u\n#-----------\ntime=%lld\nmem_heap_B=%lld\n"
            "mem_heap_extra_B=0\nmem_stacks_B=0\nheap_tree=%s\n",
            massif->snapshot++, (long long)(seconds * 1e3), (long long)bytes, kind);
    if (tree != NULL) {
        put_tree(massif->out, tree);
    }
}

/* Points before `end`, no more than about MASSIF_SNAPSHOTS_MAX in all. */
static size_t put_points(struct massif *massif, size_t from, double end)
{
    const struct profile_timeline *timeline = &massif->profile->timelines[0];
    size_t step = timeline->point_count / MASSIF_SNAPSHOTS_MAX + 1;
    size_t i = from;
    for (; i < timeline->point_count && timeline->points[i].seconds < end; i++) {
        if (i % step == 0) {
            put_snapshot(massif, timeline->points[i].seconds, timeline->points[i].live_bytes,
                         NULL, "empty");
        }
    }
    return i;
}

void render_massif(FILE *out, const struct flame_tree *peak, const struct flame_tree *live)
{
    const struct profile *profile = peak->profile;
    struct massif massif = {.out = out, .profile = profile};
    double end = profile->state_seconds > profile->peak_seconds ? profile->state_seconds
                                                                : profile->peak_seconds;
    fputs("desc: memtrack\ncmd: ", out);
    line_text_put(out, profile->command, "", '?');
    fputs("\ntime_unit: ms\n", out);
    put_snapshot(&massif, 0, 0, NULL, "empty");
    size_t next = put_points(&massif, 0, profile->peak_seconds);
    put_snapshot(&massif, profile->peak_seconds, peak->nodes[0].value, peak, "peak");
    put_points(&massif, next, end);
    put_snapshot(&massif, end, live->nodes[0].value, live, "detailed");
}
