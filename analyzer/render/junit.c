#include "render/render_findings.h"
#include "render/xml.h"

#include <inttypes.h>

static void write_attribute(FILE *out, const char *name, const char *value)
{
    fprintf(out, " %s=\"", name);
    xml_write(out, value);
    fputc('"', out);
}

/* Lines are real ones in content: people read it in CI servers. */
static void write_frames(FILE *out, const struct report_frame *frames, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct report_frame *frame = &frames[i];
        fputs(i == 0 ? "    at " : "    by ", out);
        xml_write(out, frame->function != NULL ? frame->function : frame->module);
        if (frame->file != NULL) {
            fputs(" (", out);
            xml_write(out, frame->file);
            fprintf(out, ":%" PRId64 ")", frame->line);
        }
        fputc('\n', out);
    }
}

static void write_check(FILE *out, const struct findings *findings,
                        const struct finding_check *check)
{
    fputs("    <testcase", out);
    write_attribute(out, "classname", findings->name);
    write_attribute(out, "name", check->name);
    fprintf(out, " time=\"0\"");
    if (check->is_met) {
        fputs("/>\n", out);
        return;
    }
    fputs(">\n      <failure", out);
    write_attribute(out, "type", check->name);
    write_attribute(out, "message", check->text);
    fputs("/>\n    </testcase>\n", out);
}

static void write_finding(FILE *out, const struct findings *findings,
                          const struct finding *finding)
{
    const struct report_frame *place = finding->place;
    fputs("    <testcase", out);
    write_attribute(out, "classname", findings->name);
    fprintf(out, " name=\"%s", finding_rule_name(finding->rule));
    if (place != NULL && place->function != NULL) {
        fputs(": ", out);
        xml_write(out, place->function);
    }
    fputs("\" time=\"0\"", out);
    if (place != NULL && place->file != NULL) {
        write_attribute(out, "file", place->file);
        fprintf(out, " line=\"%" PRId64 "\"", place->line);
    }
    fputs(">\n      <failure", out);
    write_attribute(out, "type", finding_rule_name(finding->rule));
    write_attribute(out, "message", finding->message);
    fputs(">", out);
    xml_write(out, finding->message);
    fputc('\n', out);
    write_frames(out, finding->frames, finding->frame_count);
    if (finding->origin_count > 0) {
        fputs("  the block was allocated\n", out);
        write_frames(out, finding->origin, finding->origin_count);
    }
    if (finding->held_by != NULL) {
        fputs("  held by: ", out);
        xml_write(out, finding->held_by);
        fputc('\n', out);
    }
    fputs("</failure>\n    </testcase>\n", out);
}

void render_junit(FILE *out, const struct findings *findings)
{
    size_t failures = findings->count;
    for (size_t i = 0; i < findings->check_count; i++) {
        failures += !findings->checks[i].is_met;
    }
    size_t tests = findings->check_count + findings->count;
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"memtrack\"", out);
    fprintf(out, " tests=\"%zu\" failures=\"%zu\" errors=\"0\" time=\"%.3f\">\n  <testsuite", tests,
            failures, findings->seconds);
    write_attribute(out, "name", findings->name);
    fprintf(out, " tests=\"%zu\" failures=\"%zu\" errors=\"0\" skipped=\"0\" time=\"%.3f\"", tests,
            failures, findings->seconds);
    if (findings->started != NULL) {
        write_attribute(out, "timestamp", findings->started);
    }
    fputs(">\n", out);
    for (size_t i = 0; i < findings->check_count; i++) {
        write_check(out, findings, &findings->checks[i]);
    }
    for (size_t i = 0; i < findings->count; i++) {
        write_finding(out, findings, &findings->items[i]);
    }
    fputs("  </testsuite>\n</testsuites>\n", out);
}
