#include "render/render_findings.h"

#include <inttypes.h>
#include <string.h>

#include "render/unicode.h"

/* Data of a workflow command: '%' and line ends are encoded; in properties ':' and ','
 * too. Other control characters would only garble the log. */
static void write_data(FILE *out, const char *text, bool is_property)
{
    const unsigned char *at = (const unsigned char *)(text != NULL ? text : "");
    while (*at != '\0') {
        uint32_t point = 0;
        size_t length = unicode_decode(at, &point);
        bool is_encoded = point == '%' || point == '\n' || point == '\r'
                          || (is_property && (point == ':' || point == ','));
        if (length == 0 || (!is_encoded && (point < 0x20 || unicode_is_command(point)))) {
            fputc('?', out);
        } else if (is_encoded) {
            fprintf(out, "%%%02X", (unsigned)point);
        } else {
            fwrite(at, 1, length, out);
        }
        at += length > 0 ? length : 1;
    }
}

static const char *below(const char *file, const char *folder)
{
    size_t length = folder != NULL ? strlen(folder) : 0;
    bool is_below = length > 0 && strncmp(file, folder, length) == 0 && file[length] == '/';
    return is_below ? file + length + 1 : file;
}

static void write_finding(FILE *out, const struct findings *findings,
                          const struct finding *finding, const char *folder)
{
    const struct report_frame *place = finding->place;
    fputs("::error ", out);
    if (place != NULL && place->file != NULL) {
        fputs("file=", out);
        write_data(out, below(place->file, folder), true);
        if (place->line > 0) {
            fprintf(out, ",line=%" PRId64, place->line);
        }
        fputc(',', out);
    }
    fputs("title=memtrack", out);
    write_data(out, ": ", true);
    write_data(out, findings->name, true);
    write_data(out, ": ", true);
    fputs(finding_rule_name(finding->rule), out);
    fputs("::", out);
    write_data(out, finding->message, false);
    for (size_t i = 0; i < finding->frame_count && i < 16; i++) {
        const struct report_frame *frame = &finding->frames[i];
        write_data(out, i == 0 ? "\n  at " : "\n  by ", false);
        write_data(out, frame->function != NULL ? frame->function : frame->module, false);
        if (frame->file != NULL) {
            write_data(out, " ", false);
            write_data(out, below(frame->file, folder), false);
            fprintf(out, ":%" PRId64, frame->line);
        }
    }
    fputc('\n', out);
}

void render_github(FILE *out, const struct findings *findings, const char *folder)
{
    for (size_t i = 0; i < findings->count; i++) {
        write_finding(out, findings, &findings->items[i], folder);
    }
    for (size_t i = 0; i < findings->check_count; i++) {
        if (!findings->checks[i].is_met) {
            fputs("::error title=memtrack", out);
            write_data(out, ": ", true);
            write_data(out, findings->name, true);
            fputs("::", out);
            write_data(out, findings->checks[i].name, false);
            write_data(out, ": ", false);
            write_data(out, findings->checks[i].text, false);
            fputc('\n', out);
        }
    }
}
