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

void place_set_callers(struct report_document *document, const struct model *model,
                       const struct model_stack *stack, struct report_row *row)
{
    static const struct model_frame *frames[PLACE_FRAMES_MAX];
    size_t count = model_stack_frames(model, stack, frames, PLACE_FRAMES_MAX);
    size_t first = 0;
    while (first < count && frames[first] != stack->location) {
        first++;
    }
    struct report_frame *callers =
        region_alloc_array(document->region, PLACE_CALLERS_MAX, sizeof(*callers));
    row->caller_count = 0;
    for (size_t i = first + 1; i < count && row->caller_count < PLACE_CALLERS_MAX; i++) {
        callers[row->caller_count] = place_frame(frames[i]);
        if (place_is_startup(&callers[row->caller_count])) {
            break;
        }
        row->caller_count++;
    }
    row->callers = callers;
}

static bool place_is_same(const struct report_frame *a, const struct report_frame *b)
{
    return a->module == b->module && a->module_offset == b->module_offset && a->line == b->line
           && a->function == b->function;
}

static bool place_reads_same(const struct report_frame *a, const struct report_frame *b)
{
    return a->function != NULL ? a->function == b->function : place_is_same(a, b);
}

/* How many callers two rows of one place have in common; SIZE_MAX: their places differ. */
static size_t place_callers_shared(const struct report_row *row, const struct report_row *other,
                                   size_t column)
{
    const struct report_frame *place = row->cells[column].frame;
    const struct report_frame *others = other->cells[column].frame;
    if (place == NULL || others == NULL || !place_is_same(place, others)) {
        return SIZE_MAX;
    }
    size_t shared = 0;
    while (shared < row->caller_count && shared < other->caller_count
           && place_reads_same(&row->callers[shared], &other->callers[shared])) {
        shared++;
    }
    return shared;
}

/* The callers from `first` on, as far as `last` or the first named one after it. Unnamed
 * ones and those before `first` become "..". */
static const char *place_callers_text(struct region *region, const struct report_row *row,
                                      size_t first, size_t last)
{
    const char *text = first > 0 ? "< .." : "";
    bool is_gap = first > 0;
    size_t named = 0;
    for (size_t i = first;
         i < row->caller_count && (i <= last || named == 0) && named < PLACE_CALLERS_SHOWN; i++) {
        const char *function = row->callers[i].function;
        if (function != NULL) {
            text = region_format(region, "%s%s< %s", text, text[0] != '\0' ? " " : "", function);
            named++;
        } else if (!is_gap) {
            text = region_format(region, "%s%s< ..", text, text[0] != '\0' ? " " : "");
        }
        is_gap = function == NULL;
    }
    return named > 0 ? text : NULL;
}

void place_tell_apart(struct report_document *document, struct report_table *table,
                      size_t place_column)
{
    for (size_t i = 0; i < table->row_count; i++) {
        struct report_row *row = &table->rows[i];
        size_t least = SIZE_MAX;
        size_t most = 0;
        for (size_t k = 0; k < table->row_count && row->frame_count == 0; k++) {
            size_t shared =
                k != i ? place_callers_shared(row, &table->rows[k], place_column) : SIZE_MAX;
            if (shared != SIZE_MAX) {
                least = shared < least ? shared : least;
                most = shared > most ? shared : most;
            }
        }
        row->cells[place_column].text =
            least != SIZE_MAX ? place_callers_text(document->region, row, least, most) : NULL;
    }
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
