#include "report/annotate_report.h"

#include "report/quantity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SOURCE_BYTES_MAX (32 << 20)

static const struct {
    enum annotate_value value;
    struct listing_column column;
} columns[] = {
    {ANNOTATE_ALLOCATIONS, {"Allocs", REPORT_COUNT, 4}},
    {ANNOTATE_ALLOCATED, {"Bytes", REPORT_BYTES, 0}},
    {ANNOTATE_LIVE, {"Live", REPORT_BYTES, 1}},
    {ANNOTATE_PEAK, {"Peak", REPORT_BYTES, 3}},
    {ANNOTATE_TEMPORARY, {"Temp", REPORT_COUNT, 5}},
    {ANNOTATE_CPU_SELF, {"CPU self", REPORT_SECONDS, 0}},
    {ANNOTATE_CPU_TOTAL, {"CPU total", REPORT_SECONDS, 2}},
};
#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

/* ---- sources on disk ----------------------------------------------------------- */

struct source {
    char **lines; /* [0] is line 1 */
    size_t count;
};

static bool source_read(struct region *region, const char *path, struct source *source)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    char *text = NULL;
    size_t capacity = 0;
    size_t lines_capacity = 0;
    size_t bytes = 0;
    char **lines = NULL;
    ssize_t length;
    while ((length = getline(&text, &capacity, file)) >= 0 && bytes < SOURCE_BYTES_MAX) {
        bytes += (size_t)length;
        while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r')) {
            length--;
        }
        lines = mt_grow(lines, &lines_capacity, source->count + 1, sizeof(*lines));
        lines[source->count++] = region_copy(region, text, (size_t)length);
    }
    free(text);
    fclose(file);
    source->lines = region_alloc_array(region, source->count, sizeof(*lines));
    if (source->count > 0) {
        memcpy(source->lines, lines, source->count * sizeof(*lines));
    }
    free(lines);
    return source->count > 0;
}

static const char *skip_blanks(const char *text)
{
    return text + strspn(text, " \t");
}

/* Recorded lines may be without indentation, and cut. */
static bool is_same_text(const char *recorded, const char *present)
{
    recorded = skip_blanks(recorded);
    present = skip_blanks(present);
    size_t length = strlen(recorded);
    while (length > 0 && strchr(" \t\r\n", recorded[length - 1]) != NULL) {
        length--;
    }
    return strncmp(recorded, present, length) == 0;
}

/* A source that was edited since would show figures beside the wrong lines. */
static bool source_is_as_recorded(const struct source *source, const struct annotate_file *file)
{
    for (size_t i = 0; i < file->line_count; i++) {
        const struct annotate_line *line = &file->lines[i];
        bool exists = line->line <= (int64_t)source->count;
        if (!exists
            || (line->source != NULL
                && !is_same_text(line->source, source->lines[line->line - 1]))) {
            return false;
        }
    }
    return true;
}

/* ---- the listing --------------------------------------------------------------- */

static double value_of(const struct annotate *result, const int64_t values[], size_t column)
{
    double value = (double)values[columns[column].value];
    bool is_time = columns[column].column.unit == REPORT_SECONDS;
    int64_t hz = result->model->run->cpu_hz > 0 ? result->model->run->cpu_hz : 1;
    return is_time ? value / (double)hz : value;
}

static const double *make_values(struct region *region, const struct annotate *result,
                                 const int64_t values[])
{
    double *copy = region_alloc_array(region, COLUMNS, sizeof(*copy));
    for (size_t i = 0; i < COLUMNS; i++) {
        copy[i] = value_of(result, values, i);
    }
    return copy;
}

/* The largest of a line's own shares. */
static double line_heat(const struct annotate *result, const int64_t values[])
{
    static const enum annotate_value shares[] = {ANNOTATE_ALLOCATED, ANNOTATE_LIVE, ANNOTATE_PEAK,
                                                 ANNOTATE_CPU_SELF};
    double heat = 0;
    for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
        int64_t total = result->totals[shares[i]];
        double share = total > 0 ? (double)values[shares[i]] / (double)total : 0;
        heat = share > heat ? share : heat;
    }
    return heat > 1 ? 1 : heat;
}

static void add_line(struct region *region, const struct annotate *result,
                     const struct annotate_line *line, const char *text, int64_t number,
                     struct listing_line *lines, size_t *count)
{
    lines[*count] = (struct listing_line){
        .number = number,
        .text = text,
        .values = line != NULL ? make_values(region, result, line->values) : NULL,
        .heat = line != NULL ? line_heat(result, line->values) : 0,
        .follows = *count > 0 && lines[*count - 1].number == number - 1,
    };
    (*count)++;
}

static void list_recorded(struct region *region, const struct annotate *result,
                          const struct annotate_file *file, struct listing_file *listed)
{
    struct listing_line *lines = region_alloc_array(region, file->line_count, sizeof(*lines));
    for (size_t i = 0; i < file->line_count; i++) {
        add_line(region, result, &file->lines[i], file->lines[i].source, file->lines[i].line,
                 lines, &listed->line_count);
    }
    listed->lines = lines;
}

static void list_source(struct region *region, const struct annotate *result,
                        const struct annotate_file *file, const struct source *source,
                        const struct annotate_report_options *options, struct listing_file *listed)
{
    struct listing_line *lines = region_alloc_array(region, source->count, sizeof(*lines));
    size_t next = 0; /* line with figures at or after the present one */
    for (size_t i = 0; i < source->count; i++) {
        int64_t number = (int64_t)i + 1;
        while (next < file->line_count && file->lines[next].line < number) {
            next++;
        }
        const struct annotate_line *ahead =
            next < file->line_count ? &file->lines[next] : NULL;
        bool is_near =
            (ahead != NULL && ahead->line - number <= options->context_lines)
            || (next > 0 && number - file->lines[next - 1].line <= options->context_lines);
        if (is_near || options->all_lines) {
            add_line(region, result, ahead != NULL && ahead->line == number ? ahead : NULL,
                     source->lines[i], number, lines, &listed->line_count);
        }
    }
    listed->lines = lines;
}

static struct listing_file list_file(struct region *region, const struct annotate *result,
                                     const struct annotate_file *file,
                                     const struct annotate_report_options *options)
{
    struct listing_file listed = {.path = file->path,
                                  .sums = make_values(region, result, file->values),
                                  .heat = line_heat(result, file->values)};
    struct source source = {0};
    if (!source_read(region, file->path, &source)) {
        listed.note = "the source is not on this machine: only the lines that were recorded are "
                      "shown; put it at this path to see it";
        list_recorded(region, result, file, &listed);
    } else if (!source_is_as_recorded(&source, file)) {
        listed.note = "the source was changed after the recording: only the lines that were "
                      "recorded are shown; record again to see the new ones";
        list_recorded(region, result, file, &listed);
    } else {
        list_source(region, result, file, &source, options, &listed);
    }
    return listed;
}

static bool has_end(const char *path, const char *end)
{
    size_t path_length = strlen(path);
    size_t length = strlen(end);
    return length <= path_length && strcmp(path + path_length - length, end) == 0
           && (length == path_length || end[0] == '/' || path[path_length - length - 1] == '/');
}

bool annotate_report_is_wanted(const struct annotate_file *file,
                               const struct annotate_report_options *options)
{
    for (size_t i = 0; i < options->source_count; i++) {
        const char *name = options->sources[i];
        while (strncmp(name, "./", 2) == 0) {
            name += 2;
        }
        if (has_end(file->path, name)) {
            return true;
        }
    }
    return options->source_count == 0;
}

static const char *lineless_note(struct region *region, const struct annotate *result)
{
    int64_t bytes = result->lineless[ANNOTATE_ALLOCATED];
    const struct model_module *module = result->lineless_module;
    if (bytes <= 0) {
        return NULL;
    }
    double total = (double)result->totals[ANNOTATE_ALLOCATED];
    return region_format(region,
                         "%s of the allocated bytes have no source line%s%s: %s",
                         quantity_percent(100.0 * (double)bytes / (total > 0 ? total : 1)).text,
                         module != NULL ? ", most in " : "", module != NULL ? module->path : "",
                         module != NULL && module->hint != NULL
                             ? module->hint
                             : "build with -g, or install the debug symbols, and record again");
}

const struct listing *annotate_report_make(struct region *region, const struct annotate *result,
                                           const struct annotate_report_options *options)
{
    struct listing *listing = region_alloc(region, sizeof(*listing));
    struct listing_column *titles = region_alloc_array(region, COLUMNS, sizeof(*titles));
    struct listing_file *files =
        region_alloc_array(region, result->file_count, sizeof(*files));
    const char **notes = region_alloc_array(region, 2, sizeof(*notes));
    size_t left_out = 0;
    for (size_t i = 0; i < COLUMNS; i++) {
        titles[i] = columns[i].column;
    }
    for (size_t i = 0; i < result->file_count; i++) {
        const struct annotate_file *file = &result->files[i];
        if (!annotate_report_is_wanted(file, options)) {
            continue;
        }
        bool is_hot = file->heat > 0 || options->source_count > 0;
        bool has_room = options->files_max == 0 || options->source_count > 0
                        || listing->file_count < options->files_max;
        if (is_hot && has_room) {
            files[listing->file_count++] = list_file(region, result, file, options);
        } else {
            left_out++;
        }
    }
    if (left_out > 0) {
        notes[listing->note_count++] = region_format(
            region, "%zu more files have figures: name them, or see all with --top 0", left_out);
    }
    const char *note = lineless_note(region, result);
    if (note != NULL) {
        notes[listing->note_count++] = note;
    }
    listing->title = "Source lines";
    listing->subtitle = result->process != NULL ? result->process->row.executable
                                                : result->model->run->command;
    listing->columns = titles;
    listing->column_count = COLUMNS;
    listing->files = files;
    listing->notes = notes;
    return listing;
}

/* ---- JSON ---------------------------------------------------------------------- */

static void write_values(struct report_tree *tree, const struct annotate *result,
                         const int64_t values[])
{
    int64_t hz = result->model->run->cpu_hz > 0 ? result->model->run->cpu_hz : 1;
    tree_integer(tree, "allocations", values[ANNOTATE_ALLOCATIONS]);
    tree_integer(tree, "allocated_bytes", values[ANNOTATE_ALLOCATED]);
    tree_integer(tree, "live_bytes", values[ANNOTATE_LIVE]);
    tree_integer(tree, "live_blocks", values[ANNOTATE_BLOCKS]);
    tree_integer(tree, "peak_bytes", values[ANNOTATE_PEAK]);
    tree_integer(tree, "temporary_allocations", values[ANNOTATE_TEMPORARY]);
    tree_integer(tree, "leaked_bytes", values[ANNOTATE_LEAKED]);
    tree_integer(tree, "cpu_self_samples", values[ANNOTATE_CPU_SELF]);
    tree_integer(tree, "cpu_total_samples", values[ANNOTATE_CPU_TOTAL]);
    tree_number(tree, "cpu_self_seconds", (double)values[ANNOTATE_CPU_SELF] / (double)hz);
    tree_number(tree, "cpu_total_seconds", (double)values[ANNOTATE_CPU_TOTAL] / (double)hz);
    tree_integer(tree, "allocated_bytes_total", values[ANNOTATE_ALLOCATED_TOTAL]);
    tree_integer(tree, "live_bytes_total", values[ANNOTATE_LIVE_TOTAL]);
}

static void write_file(struct report_tree *tree, const struct annotate *result,
                       const struct annotate_file *file)
{
    tree_object(tree, NULL);
    tree_text(tree, "file", file->path);
    write_values(tree, result, file->values);
    tree_array(tree, "lines");
    for (size_t i = 0; i < file->line_count; i++) {
        const struct annotate_line *line = &file->lines[i];
        tree_object(tree, NULL);
        tree_integer(tree, "line", line->line);
        tree_text(tree, "source", line->source);
        tree_text(tree, "function", line->function);
        write_values(tree, result, line->values);
        tree_end(tree);
    }
    tree_end(tree);
    tree_end(tree);
}

void annotate_report_write(struct report_tree *tree, const struct annotate *result,
                           const struct annotate_report_options *options)
{
    tree_object(tree, NULL);
    tree_integer(tree, "schema", 1);
    tree_object(tree, "totals");
    write_values(tree, result, result->totals);
    tree_end(tree);
    tree_object(tree, "without_line");
    write_values(tree, result, result->lineless);
    tree_end(tree);
    tree_array(tree, "files");
    for (size_t i = 0; i < result->file_count; i++) {
        if (annotate_report_is_wanted(&result->files[i], options)) {
            write_file(tree, result, &result->files[i]);
        }
    }
    tree_end(tree);
    tree_end(tree);
}
