#include "render/render_findings.h"

#include <inttypes.h>
#include <string.h>

#include "render/render.h"
#include "render/xml.h"

/* "1,234", as Valgrind writes counts and CTest reads them. */
struct grouped {
    char text[40];
};
static struct grouped grouped(int64_t value)
{
    char digits[24];
    struct grouped result;
    size_t used = 0;
    int length = snprintf(digits, sizeof(digits), "%" PRId64, value < 0 ? 0 : value);
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) {
            result.text[used++] = ',';
        }
        result.text[used++] = digits[i];
    }
    result.text[used] = '\0';
    return result;
}

static bool is_leak(const struct finding *finding)
{
    return finding->rule <= FINDING_LEAK_REACHABLE;
}

static bool is_shown(const struct finding *finding, const struct render_valgrind_options *options)
{
    return finding->rule != FINDING_LIMIT && finding->rule != FINDING_GROWTH
           && (finding->rule != FINDING_LEAK_REACHABLE || options->shows_reachable);
}

static size_t frames_shown(size_t count, const struct render_valgrind_options *options)
{
    return options->frames_max > 0 && count > options->frames_max ? options->frames_max : count;
}

/* Valgrind's sentence; CTest looks for its words. */
static void write_what(FILE *out, const struct finding *finding, size_t record, size_t records)
{
    static const char *const lost[] = {"definitely lost", "indirectly lost", "possibly lost",
                                       "still reachable"};
    if (finding->rule == FINDING_MISMATCHED_FREE) {
        fputs("Mismatched free() / delete / delete []", out);
    } else if (finding->rule == FINDING_DOUBLE_FREE || finding->rule == FINDING_INVALID_FREE) {
        fputs("Invalid free() / delete / delete[] / realloc()", out);
    } else if (!is_leak(finding)) {
        fputs("memtrack could not see all: ", out);
        render_safe_text(out, finding->message, 0, true);
    } else if (finding->led_blocks > 0) {
        fprintf(out,
                "%s (%s direct, %s indirect) bytes in %s blocks are %s in loss record %s of %s",
                grouped(finding->bytes + finding->led_bytes).text, grouped(finding->bytes).text,
                grouped(finding->led_bytes).text,
                grouped(finding->blocks + finding->led_blocks).text, lost[finding->rule],
                grouped((int64_t)record).text, grouped((int64_t)records).text);
    } else {
        fprintf(out, "%s bytes in %s blocks are %s in loss record %s of %s",
                grouped(finding->bytes).text, grouped(finding->blocks).text, lost[finding->rule],
                grouped((int64_t)record).text, grouped((int64_t)records).text);
    }
}

static size_t count_records(const struct findings *findings,
                            const struct render_valgrind_options *options)
{
    size_t count = 0;
    for (size_t i = 0; i < findings->count; i++) {
        count += is_leak(&findings->items[i]) && is_shown(&findings->items[i], options);
    }
    return count;
}

/* ---- text ----------------------------------------------------------------- */

static void write_frames(FILE *out, int64_t pid, const struct report_frame *frames, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct report_frame *frame = &frames[i];
        fprintf(out, "==%" PRId64 "==    %s 0x%" PRIX64 ": ", pid, i == 0 ? "at" : "by",
                frame->module_offset);
        render_safe_text(out, frame->function != NULL ? frame->function : "???", 0, true);
        if (frame->file != NULL) {
            const char *slash = strrchr(frame->file, '/');
            fputs(" (", out);
            render_safe_text(out, slash != NULL ? slash + 1 : frame->file, 0, true);
            fprintf(out, ":%" PRId64 ")\n", frame->line);
        } else {
            fputs(" (in ", out);
            render_safe_text(out, frame->module != NULL ? frame->module : "???", 0, true);
            fputs(")\n", out);
        }
    }
}

void render_valgrind_text(FILE *out, const struct findings *findings,
                          const struct render_valgrind_options *options)
{
    size_t records = count_records(findings, options);
    size_t record = 0;
    size_t shown = 0;
    if (!options->is_quiet) {
        fprintf(out, "==%" PRId64 "== memtrack " MEMTRACK_VERSION ", in memcheck's words\n",
                findings->pid);
        fprintf(out, "==%" PRId64 "== Command: ", findings->pid);
        render_safe_text(out, findings->arguments, 0, true);
        fprintf(out, "\n==%" PRId64 "== \n", findings->pid);
    }
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->items[i];
        int64_t pid = finding->pid != 0 ? finding->pid : findings->pid;
        if (!is_shown(finding, options)) {
            continue;
        }
        record += is_leak(finding);
        shown++;
        fprintf(out, "==%" PRId64 "== ", pid);
        write_what(out, finding, record, records);
        fputc('\n', out);
        write_frames(out, pid, finding->frames, frames_shown(finding->frame_count, options));
        if (finding->origin_count > 0) {
            fprintf(out, "==%" PRId64 "==  The block was allocated\n", pid);
            write_frames(out, pid, finding->origin, frames_shown(finding->origin_count, options));
        }
        fprintf(out, "==%" PRId64 "== \n", pid);
    }
    if (!options->is_quiet) {
        fprintf(out, "==%" PRId64 "== ERROR SUMMARY: %zu errors from %zu contexts\n", findings->pid,
                shown, shown);
    }
}

/* ---- XML ------------------------------------------------------------------ */

static void write_xml_stack(FILE *out, const struct report_frame *frames, size_t count)
{
    fputs("  <stack>\n", out);
    for (size_t i = 0; i < count; i++) {
        const struct report_frame *frame = &frames[i];
        fprintf(out, "    <frame>\n<ip>0x%" PRIX64 "</ip>\n", frame->module_offset);
        if (frame->module != NULL) {
            xml_write_element(out, "obj", frame->module);
        }
        if (frame->function != NULL) {
            xml_write_element(out, "fn", frame->function);
        }
        if (frame->file != NULL) {
            const char *slash = strrchr(frame->file, '/');
            if (slash != NULL) {
                char folder[4096];
                snprintf(folder, sizeof(folder), "%.*s", (int)(slash - frame->file), frame->file);
                xml_write_element(out, "dir", folder);
            }
            xml_write_element(out, "file", slash != NULL ? slash + 1 : frame->file);
            fprintf(out, "<line>%" PRId64 "</line>\n", frame->line);
        }
        fputs("    </frame>\n", out);
    }
    fputs("  </stack>\n", out);
}

static void write_xml_error(FILE *out, const struct finding *finding, size_t number, size_t record,
                            size_t records, const struct render_valgrind_options *options)
{
    static const char *const kinds[FINDING_RULES] = {
        "Leak_DefinitelyLost", "Leak_IndirectlyLost", "Leak_PossiblyLost", "Leak_StillReachable",
        "InvalidFree",         "InvalidFree",         "MismatchedFree"};
    fprintf(out, "<error>\n  <unique>0x%zx</unique>\n  <tid>1</tid>\n  <kind>%s</kind>\n", number,
            kinds[finding->rule]);
    if (is_leak(finding)) {
        fputs("  <xwhat>\n    <text>", out);
        write_what(out, finding, record, records);
        fprintf(out,
                "</text>\n    <leakedbytes>%" PRId64 "</leakedbytes>\n    <leakedblocks>%" PRId64
                "</leakedblocks>\n  </xwhat>\n",
                finding->bytes + finding->led_bytes, finding->blocks + finding->led_blocks);
    } else {
        fputs("  <what>", out);
        write_what(out, finding, 0, 0);
        fputs("</what>\n", out);
    }
    write_xml_stack(out, finding->frames, frames_shown(finding->frame_count, options));
    if (finding->origin_count > 0) {
        fputs("  <auxwhat>The block was allocated</auxwhat>\n", out);
        write_xml_stack(out, finding->origin, frames_shown(finding->origin_count, options));
    }
    fputs("</error>\n\n", out);
}

static void write_xml_errors(FILE *out, const struct findings *findings, bool leaks,
                             const struct render_valgrind_options *options)
{
    size_t records = count_records(findings, options);
    size_t record = 0;
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->items[i];
        if (finding->rule != FINDING_INCOMPLETE && is_leak(finding) == leaks
            && is_shown(finding, options)) {
            record += leaks;
            write_xml_error(out, finding, i, record, records, options);
        }
    }
}

static void write_xml_status(FILE *out, const char *state, double seconds)
{
    int64_t ms = (int64_t)(seconds * 1000);
    fprintf(out,
            "<status>\n  <state>%s</state>\n  <time>%02d:%02d:%02d:%02d.%03d </time>\n</status>\n\n",
            state, (int)(ms / 86400000), (int)(ms / 3600000 % 24), (int)(ms / 60000 % 60),
            (int)(ms / 1000 % 60), (int)(ms % 1000));
}

static void write_xml_head(FILE *out, const struct findings *findings,
                           const struct render_valgrind_options *options)
{
    fputs("<?xml version=\"1.0\"?>\n\n<valgrindoutput>\n\n<protocolversion>4</protocolversion>\n"
          "<protocoltool>memcheck</protocoltool>\n\n<preamble>\n"
          "  <line>memtrack " MEMTRACK_VERSION ", in memcheck's words</line>\n",
          out);
    for (size_t i = 0; i < findings->count; i++) {
        if (findings->items[i].rule == FINDING_INCOMPLETE) {
            fputs("  ", out);
            xml_write_element(out, "line", findings->items[i].message);
        }
    }
    fprintf(out,
            "</preamble>\n\n<pid>%" PRId64 "</pid>\n<ppid>%" PRId64
            "</ppid>\n<tool>memcheck</tool>\n\n<args>\n  <vargv>\n",
            findings->pid, findings->parent_pid);
    for (int i = 0; i < options->argc; i++) {
        xml_write_element(out, i == 0 ? "exe" : "arg", options->argv[i]);
    }
    fputs("  </vargv>\n  <argv>\n", out);
    xml_write_element(out, "exe", findings->program);
    xml_write_element(out, "arg", findings->arguments);
    fputs("  </argv>\n</args>\n\n", out);
}

void render_valgrind_xml(FILE *out, const struct findings *findings,
                         const struct render_valgrind_options *options)
{
    write_xml_head(out, findings, options);
    write_xml_status(out, "RUNNING", 0);
    write_xml_errors(out, findings, false, options);
    write_xml_status(out, "FINISHED", findings->seconds);
    fputs("<errorcounts>\n</errorcounts>\n\n", out);
    write_xml_errors(out, findings, true, options);
    fputs("<suppcounts>\n</suppcounts>\n\n</valgrindoutput>\n", out);
}
