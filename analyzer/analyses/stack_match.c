#include "analyses/stack_match.h"

#include "recording/intern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Beyond this many pairs a group is paired in plain order. */
#define MATCH_CELLS_MAX 250000u
#define MATCH_NAME_MAX 4096u
#define MATCH_LINE_FAR 1000000
#define MATCH_TEXT_COST 1000
#define MATCH_FACTOR UINT64_C(0xd6e8feb86659fd93)

/* The names of an address's frames, so that those of a stack are a polynomial: it is the same
 * whether a call was inlined into its caller's address or has one of its own. */
struct match_name {
    uint64_t hash;
    uint64_t power; /* MATCH_FACTOR to the number of names; 0: not known yet */
};

struct match_side {
    const struct model *model;
    const struct model_process *process;
    uint32_t *places;      /* by address: equal places of both sides have equal ids */
    struct match_name *names; /* by address; filled as they are met */
    uint32_t *module_keys; /* by module: equal builds have equal keys */
    bool *is_rebuilt;      /* by module: the other side has another build of it */
    bool *is_matched;      /* by site */
};

struct matcher {
    struct match_side sides[2]; /* a, b */
    struct intern_texts texts;
    struct intern_addresses addresses;
    struct stack_match result;
};

/* A site without partner whose stack passes through a rebuilt module. */
struct match_entry {
    uint64_t hash; /* of its names */
    uint32_t side;
    size_t site;
};

static void *match_calloc(size_t count, size_t bytes)
{
    size_t capacity = 0;
    void *memory = mt_grow(NULL, &capacity, count + 1, bytes);
    memset(memory, 0, (count + 1) * bytes);
    return memory;
}

static uint32_t match_intern(struct matcher *matcher, char kind, const void *key, size_t bytes)
{
    char text[MATCH_NAME_MAX + 1];
    bool is_new;
    text[0] = kind;
    bytes = bytes > MATCH_NAME_MAX ? MATCH_NAME_MAX : bytes;
    memcpy(text + 1, key, bytes);
    return (uint32_t)intern_texts_get(&matcher->texts, text, bytes + 1, &is_new);
}

/* ---- modules --------------------------------------------------------------- */

static uint32_t match_module_key(struct matcher *matcher, const struct model_module *module)
{
    if (module->build_id != NULL && module->build_id_bytes > 0) {
        return match_intern(matcher, 'b', module->build_id, module->build_id_bytes);
    }
    return match_intern(matcher, 'p', module->path, strlen(module->path));
}

/* Builds of one module have equal names; the program itself may be called anything. */
static uint32_t match_module_name(struct matcher *matcher, const struct match_side *side,
                                  const struct model_module *module)
{
    if (strcmp(module->path, side->process->row.executable) == 0) {
        return match_intern(matcher, 'x', "", 0);
    }
    return match_intern(matcher, 'n', module->name, strlen(module->name));
}

static void match_modules(struct matcher *matcher)
{
    uint32_t *names[2];
    for (size_t i = 0; i < 2; i++) {
        struct match_side *side = &matcher->sides[i];
        size_t count = side->model->module_count;
        side->module_keys = match_calloc(count, sizeof(*side->module_keys));
        side->is_rebuilt = match_calloc(count, sizeof(*side->is_rebuilt));
        names[i] = match_calloc(count, sizeof(*names[i]));
        for (size_t k = 1; k < count; k++) {
            side->module_keys[k] = match_module_key(matcher, &side->model->modules[k]);
            names[i][k] = match_module_name(matcher, side, &side->model->modules[k]);
        }
    }
    for (size_t k = 1; k < matcher->sides[0].model->module_count; k++) {
        for (size_t m = 1; m < matcher->sides[1].model->module_count; m++) {
            struct match_side *a = &matcher->sides[0];
            struct match_side *b = &matcher->sides[1];
            if (names[0][k] != names[1][m]) {
                continue;
            }
            bool is_sure = a->model->modules[k].build_id != NULL;
            if (a->module_keys[k] != b->module_keys[m] || !is_sure) {
                a->is_rebuilt[k] = true;
                b->is_rebuilt[m] = true;
            }
            if (a->module_keys[k] != b->module_keys[m]) {
                matcher->result.are_builds_different = true;
            }
        }
    }
    free(names[0]);
    free(names[1]);
}

static size_t match_module_of(const struct match_side *side, const struct model_address *address)
{
    const struct model_module *module = address->frames[0].module;
    return module == NULL ? 0 : (size_t)(module - side->model->modules);
}

/* ---- places ---------------------------------------------------------------- */

static void match_places(struct matcher *matcher, struct match_side *side)
{
    size_t count = model_address_count(side->model);
    side->places = match_calloc(count, sizeof(*side->places));
    side->names = match_calloc(count, sizeof(*side->names));
    for (size_t i = 1; i < count; i++) {
        const struct model_address *address = model_address_at(side->model, (uint32_t)i);
        bool is_new;
        side->places[i] = intern_addresses_get(
            &matcher->addresses, side->module_keys[match_module_of(side, address)],
            address->frames[0].module_offset, &is_new);
    }
}

static uint64_t match_mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * MATCH_FACTOR;
    return hash ^ (hash >> 32);
}

static bool match_is_same_place(const struct matcher *matcher, const struct model_stack *a,
                                const struct model_stack *b)
{
    if (a->address_count != b->address_count) {
        return false;
    }
    for (uint32_t i = 0; i < a->address_count; i++) {
        if (matcher->sides[0].places[a->addresses[i]]
            != matcher->sides[1].places[b->addresses[i]]) {
            return false;
        }
    }
    return true;
}

static uint64_t match_hash_places(const struct match_side *side, const struct model_stack *stack)
{
    uint64_t hash = stack->address_count;
    for (uint32_t i = 0; i < stack->address_count; i++) {
        hash = match_mix(hash, side->places[stack->addresses[i]]);
    }
    return hash;
}

static void match_pair(struct matcher *matcher, size_t a, size_t b)
{
    matcher->result.partner[a] = b;
    matcher->sides[0].is_matched[a] = true;
    matcher->sides[1].is_matched[b] = true;
}

static void match_by_place(struct matcher *matcher)
{
    const struct model_process *a = matcher->sides[0].process;
    const struct model_process *b = matcher->sides[1].process;
    size_t slots = 16;
    while (slots < b->site_count * 2) {
        slots *= 2;
    }
    size_t *table = match_calloc(slots, sizeof(*table)); /* index + 1 of b's site */
    for (size_t i = 0; i < b->site_count; i++) {
        size_t at = match_hash_places(&matcher->sides[1], b->sites[i].stack) & (slots - 1);
        while (table[at] != 0) {
            at = (at + 1) & (slots - 1);
        }
        table[at] = i + 1;
    }
    for (size_t i = 0; i < a->site_count; i++) {
        const struct model_stack *stack = a->sites[i].stack;
        size_t at = match_hash_places(&matcher->sides[0], stack) & (slots - 1);
        for (; table[at] != 0; at = (at + 1) & (slots - 1)) {
            size_t other = table[at] - 1;
            if (!matcher->sides[1].is_matched[other]
                && match_is_same_place(matcher, stack, b->sites[other].stack)) {
                match_pair(matcher, i, other);
                matcher->result.by_place++;
                break;
            }
        }
    }
    free(table);
}

/* ---- names ----------------------------------------------------------------- */

/* Clones that a compiler made of a function (f.part.0, f.constprop.1, f.cold) are f. */
static size_t match_name_length(const char *name)
{
    const char *dot = strchr(name + (name[0] == '.'), '.');
    return dot != NULL ? (size_t)(dot - name) : strlen(name);
}

/* What a frame of a rebuilt module is called. */
static uint32_t match_frame_name(struct matcher *matcher, const struct match_side *side,
                                 const struct model_frame *frame)
{
    const struct model_module *module = &side->model->modules[0];
    module = frame->module != NULL ? frame->module : module;
    /* The program itself may be called anything. */
    bool is_program = strcmp(module->path, side->process->row.executable) == 0;
    const char *function = frame->linkage_name != NULL ? frame->linkage_name : frame->function;
    char key[MATCH_NAME_MAX];
    int length = function != NULL
                     ? snprintf(key, sizeof(key), "%.255s|%.*s", is_program ? "" : module->name,
                                (int)match_name_length(function), function)
                     : snprintf(key, sizeof(key), "%.255s|+%llx", is_program ? "" : module->name,
                                (unsigned long long)frame->module_offset);
    size_t used = (size_t)length < sizeof(key) ? (size_t)length : sizeof(key) - 1;
    return match_intern(matcher, 'f', key, used);
}

/* What an address is called: the place itself where its module is the same build. */
static const struct match_name *match_name(struct matcher *matcher, struct match_side *side,
                                           uint32_t index)
{
    struct match_name *name = &side->names[index];
    if (name->power != 0) {
        return name;
    }
    const struct model_address *address = model_address_at(side->model, index);
    name->power = 1;
    if (!side->is_rebuilt[match_module_of(side, address)]) {
        name->power = MATCH_FACTOR;
        name->hash = match_mix(0, side->places[index] ^ UINT64_C(1) << 32);
        return name;
    }
    for (uint32_t i = address->frame_count; i > 0; i--) {
        uint32_t id = match_frame_name(matcher, side, &address->frames[i - 1]);
        name->hash = name->hash * MATCH_FACTOR + match_mix(0, id);
        name->power *= MATCH_FACTOR;
    }
    return name;
}

/* Frames of a stack, outermost first. */
struct match_walk {
    const struct model *model;
    const struct model_stack *stack;
    const struct model_address *address;
    uint32_t addresses_left;
    uint32_t frames_left;
};

static struct match_walk match_walk_of(const struct match_side *side, size_t site)
{
    const struct model_stack *stack = side->process->sites[site].stack;
    return (struct match_walk){
        .model = side->model, .stack = stack, .addresses_left = stack->address_count};
}

static const struct model_frame *match_walk_next(struct match_walk *walk)
{
    while (walk->frames_left == 0) {
        if (walk->addresses_left == 0) {
            return NULL;
        }
        walk->address =
            model_address_at(walk->model, walk->stack->addresses[--walk->addresses_left]);
        walk->frames_left = walk->address->frame_count;
    }
    return &walk->address->frames[--walk->frames_left];
}

static bool match_passes_rebuilt(const struct match_side *side, const struct model_stack *stack)
{
    for (uint32_t i = 0; i < stack->address_count; i++) {
        const struct model_address *address = model_address_at(side->model, stack->addresses[i]);
        if (side->is_rebuilt[match_module_of(side, address)]) {
            return true;
        }
    }
    return false;
}

static int match_compare_entries(const void *left, const void *right)
{
    const struct match_entry *a = left;
    const struct match_entry *b = right;
    if (a->hash != b->hash) {
        return a->hash < b->hash ? -1 : 1;
    }
    if (a->side != b->side) {
        return a->side < b->side ? -1 : 1;
    }
    return a->site < b->site ? -1 : a->site > b->site;
}

/* A line counted from its function's first one: edits above do not move it. */
static int64_t match_line(const struct model_frame *frame)
{
    return frame->function_line > 0 && frame->line >= frame->function_line
               ? frame->line - frame->function_line
               : frame->line;
}

/* Both lines' texts were recorded, and are not the same. */
static bool match_is_other_text(const struct model_frame *a, const struct model_frame *b)
{
    return a->source != NULL && b->source != NULL && strcmp(a->source, b->source) != 0;
}

/* The sum of line distances, other texts counting as far away; stacks of equal names have
 * equally many frames. */
static int64_t match_distance(const struct matcher *matcher, size_t a, size_t b)
{
    struct match_walk x = match_walk_of(&matcher->sides[0], a);
    struct match_walk y = match_walk_of(&matcher->sides[1], b);
    int64_t sum = 0;
    const struct model_frame *p;
    const struct model_frame *q;
    while ((p = match_walk_next(&x)) != NULL && (q = match_walk_next(&y)) != NULL) {
        int64_t distance = match_line(p) - match_line(q);
        distance = distance < 0 ? -distance : distance;
        sum += distance > MATCH_LINE_FAR ? MATCH_LINE_FAR : distance;
        sum += match_is_other_text(p, q) ? MATCH_TEXT_COST : 0;
    }
    return sum;
}

/* qsort has no context: the side whose entries are being put in order. */
static const struct match_side *match_ordered_side;

/* By lines, outermost frame first: the order in which a person meets them in the source. */
static int match_compare_lines(const void *left, const void *right)
{
    const struct match_entry *a = left;
    const struct match_entry *b = right;
    struct match_walk x = match_walk_of(match_ordered_side, a->site);
    struct match_walk y = match_walk_of(match_ordered_side, b->site);
    const struct model_frame *p;
    const struct model_frame *q;
    while ((p = match_walk_next(&x)) != NULL && (q = match_walk_next(&y)) != NULL) {
        if (p->line != q->line) {
            return p->line < q->line ? -1 : 1;
        }
        if (p->module_offset != q->module_offset) {
            return p->module_offset < q->module_offset ? -1 : 1;
        }
    }
    return a->site < b->site ? -1 : a->site > b->site;
}

static void match_pair_sides(struct matcher *matcher, const struct match_entry *shorter,
                             const struct match_entry *longer)
{
    const struct match_entry *a = shorter->side == 0 ? shorter : longer;
    const struct match_entry *b = shorter->side == 0 ? longer : shorter;
    match_pair(matcher, a->site, b->site);
    matcher->result.by_name++;
}

/*
 * Every one of few[0..n) gets a partner among many[0..m), n <= m, in order, so that the sum
 * of distances is least: best[i][j] = least sum for the first i of `few` among the first j
 * of `many` = min(best[i][j-1], best[i-1][j-1] + distance(i, j)).
 */
static void match_align(struct matcher *matcher, const struct match_entry *few, size_t n,
                        const struct match_entry *many, size_t m)
{
    if (n == m || (n + 1) * (m + 1) > MATCH_CELLS_MAX) {
        for (size_t i = 0; i < n; i++) {
            match_pair_sides(matcher, &few[i], &many[i]);
        }
        return;
    }
    int64_t *best = match_calloc((n + 1) * (m + 1), sizeof(*best));
    size_t width = m + 1;
    for (size_t i = 1; i <= n; i++) {
        best[i * width + i - 1] = INT64_MAX / 2;
        for (size_t j = i; j <= m; j++) {
            size_t a = few->side == 0 ? few[i - 1].site : many[j - 1].site;
            size_t b = few->side == 0 ? many[j - 1].site : few[i - 1].site;
            int64_t taken = best[(i - 1) * width + j - 1] + match_distance(matcher, a, b);
            int64_t skipped = best[i * width + j - 1];
            best[i * width + j] = taken < skipped ? taken : skipped;
        }
    }
    size_t j = m;
    for (size_t i = n; i > 0; i--) {
        while (j > i && best[i * width + j] == best[i * width + j - 1]) {
            j--;
        }
        match_pair_sides(matcher, &few[i - 1], &many[j - 1]);
        j--;
    }
    free(best);
}

/* entries[0..a_count) are a's with one name, the b_count after them b's with the same. */
static void match_group(struct matcher *matcher, struct match_entry *entries, size_t a_count,
                        size_t b_count)
{
    struct match_entry *b = entries + a_count;
    match_ordered_side = &matcher->sides[0];
    qsort(entries, a_count, sizeof(*entries), match_compare_lines);
    match_ordered_side = &matcher->sides[1];
    qsort(b, b_count, sizeof(*b), match_compare_lines);
    if (a_count <= b_count) {
        match_align(matcher, entries, a_count, b, b_count);
    } else {
        match_align(matcher, b, b_count, entries, a_count);
    }
}

static void match_by_name(struct matcher *matcher)
{
    struct match_entry *entries = NULL;
    size_t count = 0;
    size_t capacity = 0;
    for (uint32_t s = 0; s < 2; s++) {
        struct match_side *side = &matcher->sides[s];
        for (size_t i = 0; i < side->process->site_count; i++) {
            const struct model_stack *stack = side->process->sites[i].stack;
            if (side->is_matched[i] || !match_passes_rebuilt(side, stack)) {
                continue;
            }
            uint64_t hash = 0;
            for (uint32_t k = stack->address_count; k > 0; k--) {
                const struct match_name *name =
                    match_name(matcher, side, stack->addresses[k - 1]);
                hash = hash * name->power + name->hash;
            }
            entries = mt_grow(entries, &capacity, count + 1, sizeof(*entries));
            entries[count++] = (struct match_entry){.hash = hash, .side = s, .site = i};
        }
    }
    if (count > 0) {
        qsort(entries, count, sizeof(*entries), match_compare_entries);
    }
    for (size_t first = 0; first < count;) {
        size_t b = first;
        while (b < count && entries[b].hash == entries[first].hash && entries[b].side == 0) {
            b++;
        }
        size_t end = b;
        while (end < count && entries[end].hash == entries[first].hash) {
            end++;
        }
        if (b > first && end > b) {
            match_group(matcher, entries + first, b - first, end - b);
        }
        first = end;
    }
    free(entries);
}

/* Two states of one process: equal stacks are the same object, and both sides are in the
 * order of their ids. */
static void match_by_identity(struct matcher *matcher)
{
    const struct model_process *a = matcher->sides[0].process;
    const struct model_process *b = matcher->sides[1].process;
    size_t other = 0;
    for (size_t i = 0; i < a->site_count; i++) {
        uint32_t id = a->sites[i].stack->id;
        while (other < b->site_count && b->sites[other].stack->id < id) {
            other++;
        }
        if (other < b->site_count && b->sites[other].stack->id == id) {
            matcher->result.partner[i] = other++;
            matcher->result.by_place++;
        }
    }
}

/* ---- the whole ------------------------------------------------------------- */

struct stack_match stack_match_make(const struct model *a, const struct model_process *process_a,
                                    const struct model *b, const struct model_process *process_b)
{
    struct matcher matcher = {.sides = {{.model = a, .process = process_a},
                                        {.model = b, .process = process_b}}};
    matcher.result.partner = match_calloc(process_a->site_count, sizeof(size_t));
    for (size_t i = 0; i < process_a->site_count; i++) {
        matcher.result.partner[i] = STACK_MATCH_NONE;
    }
    if (a->tables == b->tables && process_a->index == process_b->index) {
        match_by_identity(&matcher);
        return matcher.result;
    }
    intern_texts_init(&matcher.texts);
    match_modules(&matcher);
    for (size_t i = 0; i < 2; i++) {
        struct match_side *side = &matcher.sides[i];
        side->is_matched = match_calloc(side->process->site_count, sizeof(*side->is_matched));
        match_places(&matcher, side);
    }
    match_by_place(&matcher);
    match_by_name(&matcher);
    for (size_t i = 0; i < 2; i++) {
        free(matcher.sides[i].places);
        free(matcher.sides[i].names);
        free(matcher.sides[i].module_keys);
        free(matcher.sides[i].is_rebuilt);
        free(matcher.sides[i].is_matched);
    }
    intern_addresses_deinit(&matcher.addresses);
    intern_texts_deinit(&matcher.texts);
    return matcher.result;
}

void stack_match_deinit(struct stack_match *match)
{
    free(match->partner);
    match->partner = NULL;
}
