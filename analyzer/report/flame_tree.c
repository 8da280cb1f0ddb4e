#include "report/flame_tree.h"

#include "recording/intern.h"

#include <stdlib.h>
#include <string.h>

struct flame_slot {
    uint32_t parent;
    uint32_t name;
    uint32_t node; /* 0: empty */
};

struct flame_maker {
    struct region *region;
    const struct flame_request *request;
    struct intern_texts names;
    const char **texts; /* by name */
    size_t text_capacity;
    uint32_t *node_names; /* by node */
    size_t node_name_capacity;
    struct flame_node *nodes;
    size_t node_count;
    size_t node_capacity;
    struct flame_slot *slots; /* children by parent and name; open addressing */
    size_t slot_count;        /* power of two */
    uint32_t *name_of;        /* by function of the profile under way */
    bool is_baseline;
};

static struct flame_slot *maker_slot(const struct flame_maker *maker, uint32_t parent,
                                     uint32_t name)
{
    uint64_t hash = (((uint64_t)parent << 32) | name) * UINT64_C(0x9e3779b97f4a7c15);
    hash = (hash ^ hash >> 32) * UINT64_C(0xd6e8feb86659fd93);
    size_t mask = maker->slot_count - 1;
    for (size_t i = (size_t)(hash >> 32) & mask;; i = (i + 1) & mask) {
        struct flame_slot *slot = &maker->slots[i];
        if (slot->node == 0 || (slot->parent == parent && slot->name == name)) {
            return slot;
        }
    }
}

static void maker_reserve(struct flame_maker *maker)
{
    if ((maker->node_count + 1) * 2 <= maker->slot_count) {
        return;
    }
    struct flame_slot *old = maker->slots;
    size_t old_count = maker->slot_count;
    size_t capacity = 0;
    size_t wanted = old_count == 0 ? 4096 : old_count * 2;
    maker->slots = mt_grow(NULL, &capacity, wanted, sizeof(*maker->slots));
    memset(maker->slots, 0, wanted * sizeof(*maker->slots));
    maker->slot_count = wanted;
    for (size_t i = 0; i < old_count; i++) {
        if (old[i].node != 0) {
            *maker_slot(maker, old[i].parent, old[i].name) = old[i];
        }
    }
    free(old);
}

static uint32_t maker_name(struct flame_maker *maker, const char *name)
{
    bool is_new;
    uint32_t id = (uint32_t)intern_texts_get(&maker->names, name, strlen(name), &is_new);
    if (is_new) {
        maker->texts = mt_grow(maker->texts, &maker->text_capacity, id + 1, sizeof(*maker->texts));
        maker->texts[id] = name;
    }
    return id;
}

/* A function on several lines is where it begins. */
static void node_see_line(struct flame_node *node, const struct profile_function *function,
                          int64_t line)
{
    if (node->line != line) {
        node->line = function != NULL ? function->line : 0;
    }
}

static uint32_t maker_child(struct flame_maker *maker, uint32_t parent, uint32_t name,
                            const char *text, const struct profile_function *function,
                            int64_t line)
{
    maker_reserve(maker);
    struct flame_slot *slot = maker_slot(maker, parent, name);
    if (slot->node != 0) {
        node_see_line(&maker->nodes[slot->node], function, line);
        return slot->node;
    }
    uint32_t node = (uint32_t)maker->node_count++;
    *slot = (struct flame_slot){.parent = parent, .name = name, .node = node};
    maker->nodes = mt_grow(maker->nodes, &maker->node_capacity, maker->node_count,
                           sizeof(*maker->nodes));
    maker->node_names = mt_grow(maker->node_names, &maker->node_name_capacity, maker->node_count,
                                sizeof(*maker->node_names));
    maker->node_names[node] = name;
    maker->nodes[node] = (struct flame_node){
        .name = text,
        .file = function != NULL ? function->file : "",
        .line = line,
        .parent = parent,
        .depth = maker->nodes[parent].depth + 1,
    };
    return node;
}

static uint32_t maker_frame(struct flame_maker *maker, const struct profile *profile,
                            uint32_t parent, const struct profile_frame *frame)
{
    const struct profile_function *function = &profile->functions[frame->function];
    uint32_t *name = &maker->name_of[frame->function];
    if (*name == 0) {
        *name = maker_name(maker, function->name);
    }
    return maker_child(maker, parent, *name, function->name, function, frame->line);
}

static uint32_t maker_thread(struct flame_maker *maker, const struct profile *profile,
                             uint32_t index)
{
    const struct profile_thread *thread = &profile->threads[index];
    const char *text =
        region_format(maker->region, "thread %lld %s", (long long)thread->tid, thread->name);
    return maker_child(maker, 0, maker_name(maker, text), text, NULL, 0);
}

static uint32_t maker_walk(struct flame_maker *maker, const struct profile *profile,
                           const struct profile_sample *sample)
{
    uint32_t node = 0;
    bool is_reversed = maker->request->is_reversed;
    if (maker->request->by_thread && sample->thread != PROFILE_NONE) {
        node = maker_thread(maker, profile, sample->thread);
    }
    for (uint32_t i = 0; i < sample->location_count; i++) {
        uint32_t at = is_reversed ? i : sample->location_count - 1 - i;
        const struct profile_location *location = &profile->locations[sample->locations[at]];
        for (uint32_t k = 0; k < location->frame_count; k++) {
            uint32_t frame = is_reversed ? k : location->frame_count - 1 - k;
            node = maker_frame(maker, profile, node, &location->frames[frame]);
        }
    }
    return node;
}

static void maker_add(struct flame_maker *maker, const struct profile *profile, bool is_baseline)
{
    size_t capacity = 0;
    maker->name_of = mt_grow(NULL, &capacity, profile->function_count + 1, sizeof(uint32_t));
    memset(maker->name_of, 0, (profile->function_count + 1) * sizeof(uint32_t));
    for (size_t i = 0; i < profile->sample_count; i++) {
        const struct profile_sample *sample = &profile->samples[i];
        int64_t value = sample->values[maker->request->metric];
        if (value <= 0) {
            continue;
        }
        struct flame_node *node = &maker->nodes[maker_walk(maker, profile, sample)];
        *(is_baseline ? &node->self_before : &node->self) += value;
    }
    free(maker->name_of);
}

/* Children come after their parents, so one walk backwards sums all. */
static void tree_sum(struct flame_tree *tree)
{
    for (size_t i = 0; i < tree->node_count; i++) {
        tree->nodes[i].value = tree->nodes[i].self;
        tree->nodes[i].before = tree->nodes[i].self_before;
        tree->depth_max =
            tree->nodes[i].depth > tree->depth_max ? tree->nodes[i].depth : tree->depth_max;
    }
    for (size_t i = tree->node_count - 1; i > 0; i--) {
        struct flame_node *parent = &tree->nodes[tree->nodes[i].parent];
        parent->value += tree->nodes[i].value;
        parent->before += tree->nodes[i].before;
    }
}

static int compare_names(const void *left, const void *right, void *texts)
{
    const char *const *all = texts;
    return strcmp(all[*(const uint32_t *)left], all[*(const uint32_t *)right]);
}

/* ranks[name]: its place among all names, from 0. Names are few where nodes are many. */
static uint32_t *rank_names(const struct flame_maker *maker)
{
    size_t count = maker->names.count;
    size_t capacity = 0;
    uint32_t *order = mt_grow(NULL, &capacity, count + 1, sizeof(*order));
    capacity = 0;
    uint32_t *ranks = mt_grow(NULL, &capacity, count + 1, sizeof(*ranks));
    for (size_t i = 0; i < count; i++) {
        order[i] = (uint32_t)i + 1; /* names count from 1 */
    }
    qsort_r(order, count, sizeof(*order), compare_names, maker->texts);
    for (size_t i = 0; i < count; i++) {
        ranks[order[i]] = (uint32_t)i;
    }
    free(order);
    return ranks;
}

/* Links children in order of their names: nodes are put into a list for each name, and the
 * lists are walked from the last name, each node going in front of its siblings. */
static void tree_link(struct flame_tree *tree, const struct flame_maker *maker)
{
    uint32_t *ranks = rank_names(maker);
    size_t capacity = 0;
    uint32_t *heads = mt_grow(NULL, &capacity, maker->names.count + 1, sizeof(*heads));
    memset(heads, 0, (maker->names.count + 1) * sizeof(*heads));
    capacity = 0;
    uint32_t *following = mt_grow(NULL, &capacity, tree->node_count, sizeof(*following));
    for (size_t i = 1; i < tree->node_count; i++) {
        uint32_t rank = ranks[maker->node_names[i]];
        following[i] = heads[rank];
        heads[rank] = (uint32_t)i;
    }
    for (size_t rank = maker->names.count; rank > 0; rank--) {
        for (uint32_t at = heads[rank - 1]; at != 0; at = following[at]) {
            struct flame_node *parent = &tree->nodes[tree->nodes[at].parent];
            tree->nodes[at].next = parent->first_child;
            parent->first_child = at;
        }
    }
    free(following);
    free(heads);
    free(ranks);
}

const struct flame_tree *flame_tree_make(struct region *region, const struct profile *profile,
                                         const struct profile *baseline,
                                         const struct flame_request *request)
{
    struct flame_maker maker = {.region = region, .request = request};
    intern_texts_init(&maker.names);
    maker.nodes = mt_grow(NULL, &maker.node_capacity, 1, sizeof(*maker.nodes));
    maker.nodes[0] = (struct flame_node){.name = "all", .file = ""};
    maker.node_count = 1;
    maker_add(&maker, profile, false);
    if (baseline != NULL) {
        maker_add(&maker, baseline, true);
    }
    struct flame_tree *tree = region_alloc(region, sizeof(*tree));
    *tree = (struct flame_tree){
        .nodes = region_alloc_array(region, maker.node_count, sizeof(*tree->nodes)),
        .node_count = maker.node_count,
        .metric = request->metric,
        .has_baseline = baseline != NULL,
        .is_reversed = request->is_reversed,
        .profile = profile,
    };
    memcpy(tree->nodes, maker.nodes, maker.node_count * sizeof(*tree->nodes));
    tree_sum(tree);
    tree_link(tree, &maker);
    intern_texts_deinit(&maker.names);
    free(maker.nodes);
    free(maker.texts);
    free(maker.node_names);
    free(maker.slots);
    return tree;
}
