#include "commands/site_printer.h"

#include <inttypes.h>
#include <string.h>

#include "render/render.h"
#include "symbolize/symbolizer.h"

#define FRAMES_MAX 24u
#define NAME_COLUMNS 60u

struct frames {
    FILE *out;
    const struct recorder_address *address;
    unsigned *printed;
    bool is_at_main;
};

static void print_frame(struct frames *frames, const char *function, const char *file,
                        uint32_t line, bool is_inlined)
{
    fprintf(frames->out, "    %s ", *frames->printed == 0 ? "at" : "by");
    if (function != NULL) {
        render_safe_text(frames->out, function, NAME_COLUMNS, false);
    } else {
        render_safe_text(frames->out, frames->address->path, NAME_COLUMNS, false);
        fprintf(frames->out, "+0x%" PRIx64, frames->address->offset);
    }
    if (file != NULL) {
        fputs("  ", frames->out);
        render_safe_text(frames->out, file, 0, false);
        fprintf(frames->out, ":%" PRIu32, line);
    }
    fputs(is_inlined ? " [inlined]\n" : "\n", frames->out);
    (*frames->printed)++;
}

static void print_answer(void *context, const struct symbolizer_answer *answer)
{
    struct frames *frames = context;
    for (size_t i = 0; i < answer->frame_count && *frames->printed < FRAMES_MAX; i++) {
        const struct symbolizer_frame *frame = &answer->frames[i];
        print_frame(frames, frame->function, frame->file, frame->line, frame->is_inlined);
        frames->is_at_main = frame->function != NULL && strcmp(frame->function, "main") == 0;
    }
    if (answer->frame_count == 0) {
        print_frame(frames, NULL, NULL, 0, false);
    }
}

/* The shim's own frames, such as the hook of pthread_create, are nobody's code. */
static bool is_shim(const char *path)
{
    const char *name = strrchr(path, '/');
    return name != NULL && strcmp(name, "/libmemtrack.so") == 0;
}

static void print_site(struct site_printer *printer, const struct recorder_site *site)
{
    fprintf(printer->out, "  %" PRIu64 " byte%s in %" PRIu64 " block%s, allocated\n", site->bytes,
            site->bytes == 1 ? "" : "s", site->blocks, site->blocks == 1 ? "" : "s");
    unsigned printed = 0;
    for (size_t i = 0; i < site->address_count && printed < FRAMES_MAX; i++) {
        const struct recorder_address *address = &site->addresses[i];
        struct symbolizer_module_file file = {.path = address->path,
                                              .build_id = address->build_id,
                                              .build_id_bytes = address->build_id_bytes};
        struct symbolizer_module *module = NULL;
        struct frames frames = {.out = printer->out, .address = address, .printed = &printed};
        if (is_shim(address->path)) {
            continue;
        }
        struct symbolizer_query query = {.offset = address->offset, .is_return_address = true};
        if (address->path[0] == '\0'
            || symbolizer_module_open(printer->symbolizer, &file, &module) != 0
            || symbolizer_resolve(module, &query, 1, print_answer, &frames) != 0) {
            print_frame(&frames, NULL, NULL, 0, false);
        }
        if (frames.is_at_main) {
            break;
        }
    }
}

void site_printer_print(void *context, const char *title, const struct recorder_site *sites,
                        size_t count)
{
    struct site_printer *printer = context;
    fputs("memtrack: ", printer->out);
    render_safe_text(printer->out, title, 0, false);
    fputc('\n', printer->out);
    if (printer->symbolizer == NULL) {
        /* No threads: the recorder may have to fork later. */
        const struct symbolizer_options options = {.thread_count = 1};
        if (symbolizer_new(&options, &printer->symbolizer) != 0) {
            return;
        }
    }
    for (size_t i = 0; i < count; i++) {
        print_site(printer, &sites[i]);
    }
    fflush(printer->out);
}

void site_printer_deinit(struct site_printer *printer)
{
    symbolizer_free(printer->symbolizer);
    printer->symbolizer = NULL;
}
