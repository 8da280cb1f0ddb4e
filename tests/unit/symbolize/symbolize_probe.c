/*
 * symbolize_probe FILE [DEBUG_DIRECTORY] < offsets - what the symbolizer says, as text.
 *
 * Reads module offsets in hexadecimal, one a line, and prints as llvm-symbolizer
 * --no-demangle does: for each frame, innermost first, the function (its linkage name
 * where it has one), then FILE:LINE:COLUMN; an empty line after each address. Its answers
 * are compared with theirs.
 */
#include "symbolize/symbolizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct printed {
    char **texts;
};

static void keep_answer(void *context, const struct symbolizer_answer *answer)
{
    struct printed *printed = context;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    for (size_t i = 0; i < answer->frame_count; i++) {
        const struct symbolizer_frame *frame = &answer->frames[i];
        const char *name = frame->linkage_name != NULL ? frame->linkage_name : frame->function;
        fprintf(out, "%s\n%s:%u:%u\n", name != NULL ? name : "??",
                frame->file != NULL ? frame->file : "??", frame->line, frame->column);
    }
    if (answer->frame_count == 0) {
        fputs("??\n??:0:0\n", out);
    }
    fclose(out);
    printed->texts[answer->index] = text;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: symbolize_probe FILE [DEBUG_DIRECTORY] < offsets\n");
        return 64;
    }
    const char *directories[] = {argc > 2 ? argv[2] : NULL, NULL};
    const struct symbolizer_options options = {.debug_directories = directories};
    const struct symbolizer_module_file file = {.path = argv[1]};
    struct symbolizer *symbolizer;
    struct symbolizer_module *module;
    if (symbolizer_new(&options, &symbolizer) != 0
        || symbolizer_module_open(symbolizer, &file, &module) != 0) {
        return 125;
    }
    size_t room = 1024;
    size_t count = 0;
    struct symbolizer_query *queries = malloc(room * sizeof(queries[0]));
    char line[64];
    while (queries != NULL && fgets(line, sizeof(line), stdin) != NULL) {
        if (count == room) {
            room *= 2;
            queries = reallocarray(queries, room, sizeof(queries[0]));
        }
        if (queries != NULL) {
            queries[count++] = (struct symbolizer_query){.offset = strtoull(line, NULL, 16)};
        }
    }
    struct printed printed = {.texts = calloc(count + 1, sizeof(char *))};
    if (queries == NULL || printed.texts == NULL
        || symbolizer_resolve(module, queries, count, keep_answer, &printed) != 0) {
        return 125;
    }
    for (size_t i = 0; i < count; i++) {
        printf("%s\n", printed.texts[i]);
        free(printed.texts[i]);
    }
    unsigned notes = symbolizer_module_notes(module);
    for (unsigned bit = 1; bit <= SYMBOLIZER_NOTE_DEBUGINFOD_FAILED; bit <<= 1) {
        if ((notes & bit) != 0) {
            fprintf(stderr, "note: %s\n", symbolizer_note_text((enum symbolizer_note)bit));
        }
    }
    free(printed.texts);
    free(queries);
    symbolizer_free(symbolizer);
    return 0;
}
