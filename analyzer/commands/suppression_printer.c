#include "commands/suppression_printer.h"

#include <inttypes.h>

#include "analyses/leaks.h"
#include "render/render.h"

#define FRAMES_PRINTED 24u

static void print_frame(FILE *out, const struct model_frame *frame)
{
    const char *name = frame->linkage_name != NULL ? frame->linkage_name : frame->function;
    if (name != NULL) {
        fputs("   fun:", out);
    } else {
        fputs("   obj:", out);
        name = frame->module != NULL && frame->module->path[0] != '\0' ? frame->module->path : "*";
    }
    (void)render_safe_text(out, name, 0, true);
    fputc('\n', out);
}

void suppression_print(FILE *out, const struct model *model, const struct model_stack *stack,
                       enum recording_leak_class leak_class, int64_t blocks, int64_t bytes)
{
    const struct model_frame *frames[FRAMES_PRINTED];
    size_t count = model_stack_frames(model, stack, frames, FRAMES_PRINTED);
    const struct model_frame *place = stack->location;
    fputs("{\n   ", out);
    (void)render_safe_text(
        out, place != NULL && place->function != NULL ? place->function : "leak", 0, true);
    fprintf(out, ": %" PRId64 " bytes in %" PRId64 " blocks\n   Memcheck:Leak\n", bytes, blocks);
    fprintf(out, "   match-leak-kinds: %s\n", leaks_class_name(leak_class));
    for (size_t i = 0; i < count; i++) {
        print_frame(out, frames[i]);
    }
    fputs("}\n", out);
}
