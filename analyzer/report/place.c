#include "report/place.h"

#include <string.h>

#define PLACE_FRAMES_MAX 8192u

struct report_frame place_frame(const struct model_frame *frame)
{
    return (struct report_frame){
        .function = frame->function,
        .file = frame->file,
        .line = frame->line,
        .module = frame->module != NULL ? frame->module->path : NULL,
        .module_offset = frame->module_offset,
        .source = frame->source,
        .is_inlined = frame->is_inlined,
    };
}

const struct report_frame *place_location(struct report_document *document,
                                          const struct model_stack *stack)
{
    if (stack == NULL || stack->location == NULL) {
        return NULL;
    }
    struct report_frame *frame = region_alloc(document->region, sizeof(*frame));
    *frame = place_frame(stack->location);
    return frame;
}

void place_set_frames(struct report_document *document, const struct model *model,
                      const struct model_stack *stack, struct report_row *row)
{
    static const struct model_frame *frames[PLACE_FRAMES_MAX];
    size_t count = model_stack_frames(model, stack, frames, PLACE_FRAMES_MAX);
    struct report_frame *copies = region_alloc_array(document->region, count, sizeof(*copies));
    for (size_t i = 0; i < count; i++) {
        copies[i] = place_frame(frames[i]);
    }
    row->frames = copies;
    row->frame_count = count;
}

bool place_is_startup(const struct report_frame *frame)
{
    static const char *const names[] = {"__libc_start_call_main",
                                        "__libc_start_main",
                                        "__libc_start_main_impl",
                                        "_start",
                                        "start_thread",
                                        "clone3",
                                        "__clone3",
                                        "clone",
                                        "__clone"};
    for (size_t i = 0; frame->function != NULL && i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(frame->function, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void place_write_source(struct report_tree *tree, const struct model_frame *frame)
{
    tree_text(tree, "function", frame != NULL ? frame->function : NULL);
    tree_text(tree, "file", frame != NULL ? frame->file : NULL);
    if (frame != NULL && frame->line > 0) {
        tree_integer(tree, "line", frame->line);
    } else {
        tree_text(tree, "line", NULL);
    }
}

void place_write_stack(struct report_tree *tree, const char *key, const struct model *model,
                       const struct model_stack *stack)
{
    tree_array(tree, key);
    for (uint32_t i = 0; stack != NULL && i < stack->address_count; i++) {
        const struct model_address *address = model_address_at(model, stack->addresses[i]);
        for (uint32_t k = 0; k < address->frame_count; k++) {
            const struct model_frame *frame = &address->frames[k];
            tree_object(tree, NULL);
            place_write_source(tree, frame);
            tree_text(tree, "module", frame->module != NULL ? frame->module->path : NULL);
            tree_integer(tree, "module_offset", (int64_t)frame->module_offset);
            tree_boolean(tree, "inlined", frame->is_inlined);
            tree_end(tree);
        }
    }
    tree_end(tree);
}

void place_write_location(struct report_tree *tree, const char *key,
                          const struct model_stack *stack)
{
    tree_object(tree, key);
    place_write_source(tree, stack != NULL ? stack->location : NULL);
    tree_end(tree);
}
