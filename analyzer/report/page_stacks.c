#include "report/page_stacks.h"

#include "report/page_data.h"

#include <stdlib.h>
#include <string.h>

void page_stacks_init(struct page_stacks *stacks, const struct model *model)
{
    *stacks = (struct page_stacks){.model = model};
    intern_texts_init(&stacks->text_ids);
    intern_texts_init(&stacks->node_ids);
    size_t capacity = 0;
    size_t count = model_address_count(model) + 1;
    stacks->address_ids = mt_grow(NULL, &capacity, count, sizeof(*stacks->address_ids));
    memset(stacks->address_ids, 0, count * sizeof(*stacks->address_ids));
    capacity = 0;
    stacks->addresses = mt_grow(NULL, &capacity, count, sizeof(*stacks->addresses));
    capacity = 0;
    count = model->stack_count + 1;
    stacks->leaves = mt_grow(NULL, &capacity, count, sizeof(*stacks->leaves));
    memset(stacks->leaves, 0, count * sizeof(*stacks->leaves));
    stacks->nodes = mt_grow(NULL, &stacks->node_capacity, 1, sizeof(*stacks->nodes));
    stacks->nodes[stacks->node_count++] = (struct page_node){0, 0};
}

void page_stacks_deinit(struct page_stacks *stacks)
{
    intern_texts_deinit(&stacks->text_ids);
    intern_texts_deinit(&stacks->node_ids);
    free(stacks->texts);
    free(stacks->nodes);
    free(stacks->address_ids);
    free(stacks->addresses);
    free(stacks->leaves);
}

int64_t page_stacks_text(struct page_stacks *stacks, const char *text)
{
    if (text == NULL) {
        return -1;
    }
    bool is_new = false;
    int64_t id = intern_texts_get(&stacks->text_ids, text, strlen(text), &is_new) - 1;
    if (is_new) {
        stacks->texts = mt_grow(stacks->texts, &stacks->text_capacity, stacks->text_count + 1,
                                sizeof(*stacks->texts));
        stacks->texts[stacks->text_count++] = text;
    }
    return id;
}

static uint32_t page_address(struct page_stacks *stacks, uint32_t index)
{
    if (stacks->address_ids[index] == 0) {
        stacks->addresses[stacks->address_count++] = index;
        stacks->address_ids[index] = (uint32_t)stacks->address_count;
    }
    return stacks->address_ids[index] - 1;
}

int64_t page_stacks_leaf(struct page_stacks *stacks, const struct model_stack *stack)
{
    if (stack == NULL || stack->address_count == 0) {
        return 0;
    }
    if (stacks->leaves[stack->id] != 0) {
        return stacks->leaves[stack->id];
    }
    struct page_node key = {0, 0};
    for (uint32_t i = stack->address_count; i > 0; i--) {
        key.address = page_address(stacks, stack->addresses[i - 1]);
        bool is_new = false;
        int64_t id = intern_texts_get(&stacks->node_ids, &key, sizeof(key), &is_new);
        if (is_new) {
            stacks->nodes = mt_grow(stacks->nodes, &stacks->node_capacity, stacks->node_count + 1,
                                    sizeof(*stacks->nodes));
            stacks->nodes[stacks->node_count++] = key;
        }
        key.parent = (uint32_t)id;
    }
    stacks->leaves[stack->id] = key.parent;
    return key.parent;
}

int64_t page_stacks_location(const struct page_stacks *stacks, const struct model_stack *stack)
{
    int64_t position = 0;
    for (uint32_t i = 0; stack->location != NULL && i < stack->address_count; i++) {
        const struct model_address *address =
            model_address_at(stacks->model, stack->addresses[i]);
        for (uint32_t k = 0; k < address->frame_count; k++, position++) {
            if (&address->frames[k] == stack->location) {
                return position;
            }
        }
    }
    return -1;
}

/* ---- output -------------------------------------------------------------- */

static int64_t page_frame_function(struct page_stacks *stacks, const struct model_frame *frame)
{
    return page_stacks_text(stacks, frame->function);
}
static int64_t page_frame_file(struct page_stacks *stacks, const struct model_frame *frame)
{
    return page_stacks_text(stacks, frame->file);
}
static int64_t page_frame_line(struct page_stacks *stacks, const struct model_frame *frame)
{
    (void)stacks;
    return frame->line;
}
static int64_t page_frame_module(struct page_stacks *stacks, const struct model_frame *frame)
{
    return page_stacks_text(stacks, frame->module != NULL ? frame->module->path : NULL);
}
static int64_t page_frame_offset(struct page_stacks *stacks, const struct model_frame *frame)
{
    (void)stacks;
    return (int64_t)frame->module_offset;
}
static int64_t page_frame_flags(struct page_stacks *stacks, const struct model_frame *frame)
{
    (void)stacks;
    return (frame->is_inlined ? PAGE_FRAME_INLINED : 0)
           | (frame->is_runtime ? PAGE_FRAME_RUNTIME : 0)
           | (frame->is_allocator ? PAGE_FRAME_ALLOCATOR : 0);
}
static int64_t page_frame_source(struct page_stacks *stacks, const struct model_frame *frame)
{
    return page_stacks_text(stacks, frame->source);
}

static void page_write_frames(struct page_stacks *stacks, struct report_tree *tree)
{
    static const struct {
        const char *name;
        int64_t (*value)(struct page_stacks *stacks, const struct model_frame *frame);
    } columns[] = {
        {"function", page_frame_function}, {"file", page_frame_file},
        {"line", page_frame_line},         {"module", page_frame_module},
        {"offset", page_frame_offset},     {"flags", page_frame_flags},
        {"source", page_frame_source},
    };
    tree_object(tree, "frames");
    for (size_t c = 0; c < sizeof(columns) / sizeof(columns[0]); c++) {
        tree_array(tree, columns[c].name);
        for (size_t i = 0; i < stacks->address_count; i++) {
            const struct model_address *address =
                model_address_at(stacks->model, stacks->addresses[i]);
            for (uint32_t k = 0; k < address->frame_count; k++) {
                tree_integer(tree, NULL, columns[c].value(stacks, &address->frames[k]));
            }
        }
        tree_end(tree);
    }
    tree_end(tree);
}

void page_stacks_write(struct page_stacks *stacks, struct report_tree *tree)
{
    tree_object(tree, "nodes");
    tree_array(tree, "parent");
    for (size_t i = 0; i < stacks->node_count; i++) {
        tree_integer(tree, NULL, (int64_t)i - stacks->nodes[i].parent);
    }
    tree_end(tree);
    tree_array(tree, "address");
    for (size_t i = 0; i < stacks->node_count; i++) {
        tree_integer(tree, NULL, i == 0 ? INT64_C(-1) : (int64_t)stacks->nodes[i].address);
    }
    tree_end(tree);
    tree_end(tree);

    tree_array(tree, "addresses");
    int64_t first = 0;
    for (size_t i = 0; i < stacks->address_count; i++) {
        tree_integer(tree, NULL, first);
        first += model_address_at(stacks->model, stacks->addresses[i])->frame_count;
    }
    tree_integer(tree, NULL, first);
    tree_end(tree);

    page_write_frames(stacks, tree);

    tree_array(tree, "texts");
    for (size_t i = 0; i < stacks->text_count; i++) {
        tree_text(tree, NULL, stacks->texts[i]);
    }
    tree_end(tree);
}
