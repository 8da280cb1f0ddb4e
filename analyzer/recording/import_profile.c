/* Sources: jemalloc's src/prof_data.c, prof_dump(); gperftools' src/heap-profile-table.cc;
 * scaling: jemalloc's jeprof, AdjustSamples(). */
#include "recording/import_profile.h"

#include "foundation/region.h"
#include "recording/intern.h"
#include "recording/writer.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define IMPORT_DEPTH_MAX 4096u
#define IMPORT_TICK_NS 10000000

enum import_kind { IMPORT_JEMALLOC, IMPORT_GPERFTOOLS };

struct import_mapping {
    uint64_t start;
    uint64_t end;
    uint64_t bias;
    int64_t module; /* the writer's id */
    char *path;
};

struct import_counts {
    int64_t live_blocks;
    int64_t live_bytes;
    int64_t allocations;
    int64_t allocated_bytes;
};

struct import {
    const char *input;
    FILE *file;
    char *line;
    size_t line_capacity;
    struct region *region;
    struct recording_writer *writer;
    enum import_kind kind;
    int64_t sample_bytes; /* 0: every allocation */
    struct import_mapping *mappings;
    size_t mapping_count;
    size_t mapping_capacity;
    struct intern_texts nodes; /* parent and address */
    uint64_t pcs[IMPORT_DEPTH_MAX]; /* innermost first */
    size_t depth;
    int64_t stack;
    struct import_counts totals;
    bool has_maps;
};

static bool import_next_line(struct import *import)
{
    ssize_t length = getline(&import->line, &import->line_capacity, import->file);
    while (length > 0
           && (import->line[length - 1] == '\n' || import->line[length - 1] == '\r')) {
        import->line[--length] = '\0';
    }
    return length >= 0;
}

/* ---- what it is --------------------------------------------------------------- */

static int import_refuse(const struct import *import, const char *why, struct mt_error *error)
{
    return mt_error_set(error, -EINVAL, MT_STATUS_DATA, "%s: %s", import->input, why);
}

static int64_t parse_rate(const char *text)
{
    long long rate = strtoll(text, NULL, 10);
    return rate > 0 ? rate : 0;
}

static int import_read_header(struct import *import, struct mt_error *error)
{
    static const char unknown[] =
        "is no heap profile of jemalloc (heap_v2/...) or gperftools (heap profile: ...); dump "
        "one with MALLOC_CONF=prof:true,prof_final:true or HEAPPROFILE=PREFIX";
    if (!import_next_line(import)) {
        return import_refuse(import, unknown, error);
    }
    const unsigned char *magic = (const unsigned char *)import->line;
    if (magic[0] == 0x1f && magic[1] == 0x8b) {
        return import_refuse(import,
                             "is compressed: unpack it with gunzip, if it is a text profile; Go's "
                             "pprof files are read by `go tool pprof`",
                             error);
    }
    if (strncmp(import->line, "heap_v2/", 8) == 0) {
        import->kind = IMPORT_JEMALLOC;
        import->sample_bytes = parse_rate(import->line + 8);
        return 0;
    }
    if (strncmp(import->line, "heap profile:", 13) == 0) {
        const char *sampled = strstr(import->line, "_v2/");
        import->kind = IMPORT_GPERFTOOLS;
        import->sample_bytes = sampled != NULL ? parse_rate(sampled + 4) : 0;
        return 0;
    }
    return import_refuse(import, unknown, error);
}

/* ---- mappings ------------------------------------------------------------------ */

/* Programs that are not position-independent lie where their file says. Source: ELF
 * specification, e_type at byte 16: 2 is ET_EXEC. */
static bool is_fixed(const char *path, uint64_t start)
{
    unsigned char header[18];
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return start == 0x400000;
    }
    bool is_whole = fread(header, 1, sizeof(header), file) == sizeof(header);
    fclose(file);
    return is_whole && memcmp(header, "\177ELF", 4) == 0 && header[16] == 2;
}

static void import_add_mapping(struct import *import)
{
    uint64_t start;
    uint64_t end;
    uint64_t offset;
    int at = 0;
    char flags[8];
    if (sscanf(import->line, "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64 " %*s %*s %n", &start, &end,
               flags, &offset, &at)
            < 4
        || at == 0 || import->line[at] != '/' || end <= start) {
        return;
    }
    import->mappings = mt_grow(import->mappings, &import->mapping_capacity,
                               import->mapping_count + 1, sizeof(*import->mappings));
    struct import_mapping *mapping = &import->mappings[import->mapping_count++];
    *mapping = (struct import_mapping){
        .start = start, .end = end, .path = region_copy_text(import->region, import->line + at)};
    struct import_mapping *before = mapping - 1;
    bool goes_on = import->mapping_count > 1 && offset > 0
                   && strcmp(before->path, mapping->path) == 0;
    mapping->bias = goes_on                           ? before->bias
                    : is_fixed(mapping->path, start) ? 0
                                                      : start - offset;
}

/* The mappings stand behind the stacks, which need them: a first pass over the file. */
static void import_read_mappings(struct import *import)
{
    while (import_next_line(import)) {
        if (import->has_maps) {
            import_add_mapping(import);
        }
        import->has_maps |= strncmp(import->line, "MAPPED_LIBRARIES:", 17) == 0;
    }
    rewind(import->file);
    import_next_line(import);
}

static void import_write_mappings(struct import *import)
{
    for (size_t i = 0; i < import->mapping_count; i++) {
        struct import_mapping *mapping = &import->mappings[i];
        struct recording_module module = {.path = mapping->path};
        mapping->module = recording_writer_add_module(import->writer, &module);
        recording_writer_add_mapping(import->writer,
                                     &(struct recording_mapping){.module = mapping->module,
                                                                 .start = mapping->start,
                                                                 .end = mapping->end,
                                                                 .load_bias = mapping->bias});
    }
}

static int64_t import_address(struct import *import, uint64_t pc)
{
    for (size_t i = 0; i < import->mapping_count; i++) {
        const struct import_mapping *mapping = &import->mappings[i];
        if (pc > mapping->start && pc <= mapping->end && mapping->module > 0) {
            return recording_writer_add_address(import->writer, mapping->module,
                                                pc - mapping->bias);
        }
    }
    return recording_writer_add_address(import->writer, 0, pc);
}

/* ---- stacks -------------------------------------------------------------------- */

static void import_take_stack(struct import *import, const char *text)
{
    import->depth = 0;
    while (import->depth < IMPORT_DEPTH_MAX) {
        char *end;
        uint64_t pc = strtoull(text, &end, 16);
        if (end == text) {
            return;
        }
        import->pcs[import->depth++] = pc;
        text = end;
    }
}

static bool import_take_counts(const char *text, struct import_counts *counts)
{
    long long values[4];
    if (sscanf(text, "%lld: %lld [%lld: %lld]", &values[0], &values[1], &values[2], &values[3])
        != 4) {
        return false;
    }
    for (size_t i = 0; i < 4; i++) {
        if (values[i] < 0 || values[i] > (INT64_C(1) << 60)) {
            return false;
        }
    }
    *counts = (struct import_counts){values[0], values[1], values[2], values[3]};
    return true;
}

/* A block of the mean size was sampled with the probability 1 - exp(-size / rate). */
static void unbias(int64_t *blocks, int64_t *bytes, int64_t rate)
{
    if (rate <= 0 || *blocks <= 0 || *bytes <= 0) {
        return;
    }
    double size = (double)*bytes / (double)*blocks;
    double scale = 1 / (1 - exp(-size / (double)rate));
    double more = (double)*bytes * scale;
    double many = (double)*blocks * scale;
    if (more < 1e18 && many < 1e18) {
        *bytes = llround(more);
        *blocks = llround(many);
    }
}

static int64_t import_write_stack(struct import *import)
{
    int64_t parent = 0;
    for (size_t i = import->depth; i > 0; i--) {
        int64_t key[2] = {parent, import_address(import, import->pcs[i - 1])};
        bool is_new;
        int64_t node = intern_texts_get(&import->nodes, key, sizeof(key), &is_new);
        if (is_new) {
            recording_writer_add_node(
                import->writer,
                &(struct recording_node){.node = node, .parent = parent, .address = key[1]});
        }
        parent = node;
    }
    import->stack++;
    recording_writer_add_stack(import->writer,
                               &(struct recording_stack){.stack = import->stack,
                                                         .leaf = parent,
                                                         .depth = (int64_t)import->depth});
    return import->stack;
}

static void import_write_site(struct import *import, struct import_counts counts)
{
    unbias(&counts.live_blocks, &counts.live_bytes, import->sample_bytes);
    unbias(&counts.allocations, &counts.allocated_bytes, import->sample_bytes);
    /* Without prof_accum jemalloc knows only what lives. */
    if (counts.allocations < counts.live_blocks || counts.allocated_bytes < counts.live_bytes) {
        counts.allocations = counts.live_blocks;
        counts.allocated_bytes = counts.live_bytes;
    }
    recording_writer_put_site(
        import->writer,
        &(struct recording_site){.stack = import_write_stack(import),
                                 .allocations = counts.allocations,
                                 .allocated_bytes = counts.allocated_bytes,
                                 .frees = counts.allocations - counts.live_blocks,
                                 .freed_bytes = counts.allocated_bytes - counts.live_bytes,
                                 .peak_blocks = counts.live_blocks,
                                 .peak_bytes = counts.live_bytes});
    import->totals.live_blocks += counts.live_blocks;
    import->totals.live_bytes += counts.live_bytes;
}

static const char *skip_blanks(const char *text)
{
    return text + strspn(text, " \t");
}

static void import_read_stacks(struct import *import)
{
    bool has_stack = false;
    struct import_counts counts;
    while (import_next_line(import) && strncmp(import->line, "MAPPED_LIBRARIES:", 17) != 0) {
        const char *text = skip_blanks(import->line);
        if (import->kind == IMPORT_GPERFTOOLS) {
            const char *at = strchr(text, '@');
            if (at != NULL && import_take_counts(text, &counts)) {
                import_take_stack(import, at + 1);
                import_write_site(import, counts);
            }
        } else if (text[0] == '@') {
            import_take_stack(import, text + 1);
            has_stack = true;
        } else if (has_stack && strncmp(text, "t*:", 3) == 0
                   && import_take_counts(skip_blanks(text + 3), &counts)) {
            import_write_site(import, counts);
            has_stack = false;
        }
    }
}

/* ---- the recording --------------------------------------------------------------- */

static void import_write_process(struct import *import)
{
    bool is_known = import->mapping_count > 0;
    recording_writer_put_process(
        import->writer,
        &(struct recording_process){
            .parent = RECORDING_UNKNOWN,
            .start = RECORDING_START_ATTACH,
            .executable = is_known ? import->mappings[0].path : import->input,
            .allocator = import->kind == IMPORT_JEMALLOC ? "jemalloc" : "tcmalloc",
            .ended_ns = 0, /* all that is known ends with the dump: gates judge that moment */
            .exit_status = RECORDING_UNKNOWN,
            .signal = RECORDING_UNKNOWN,
            .live_bytes = import->totals.live_bytes,
            .live_blocks = import->totals.live_blocks,
            .peak_bytes = import->totals.live_bytes,
            .peak_blocks = import->totals.live_blocks,
            .peak_rss_bytes = RECORDING_UNKNOWN,
            .cpu_user_ns = RECORDING_UNKNOWN,
            .cpu_system_ns = RECORDING_UNKNOWN,
            .minor_faults = RECORDING_UNKNOWN,
            .major_faults = RECORDING_UNKNOWN,
            .cpu_sampling = "off",
            .scan = "failed: it was imported from a heap profile",
        });
}

static int import_write(struct import *import, const char *output, bool overwrite,
                        struct mt_error *error)
{
    struct stat status = {0};
    stat(import->input, &status);
    struct recording_run run = {
        .memtrack_version = MEMTRACK_VERSION,
        .command = import->input,
        .started_realtime_ns = (int64_t)status.st_mtim.tv_sec * 1000000000,
        .tick_ns = IMPORT_TICK_NS,
        .sample_bytes = import->sample_bytes > 0 ? import->sample_bytes : RECORDING_UNKNOWN,
        .depth_max = IMPORT_DEPTH_MAX,
        .follow = "none",
        .leaks = "off",
        .memory_limit_bytes = RECORDING_UNKNOWN,
        .recorder_cpu_ns = RECORDING_UNKNOWN,
    };
    int code = recording_writer_create(output, &run, overwrite, &import->writer, error);
    if (code != 0) {
        return code;
    }
    recording_writer_begin(import->writer, "the profile");
    recording_writer_set_fact(import->writer, "imported_from",
                              import->kind == IMPORT_JEMALLOC ? "jemalloc" : "gperftools");
    import_write_mappings(import);
    import_read_stacks(import);
    import_write_process(import);
    return recording_writer_finish(import->writer, import->has_maps, error);
}

int import_profile(const char *input, const char *output, bool overwrite,
                   struct import_result *result, struct mt_error *error)
{
    struct import *import = calloc(1, sizeof(*import));
    if (import == NULL) {
        return mt_error_set(error, -ENOMEM, MT_STATUS_FAILED, "%s: out of memory, try again",
                            input);
    }
    import->input = input;
    import->file = fopen(input, "re");
    int code = 0;
    if (import->file == NULL) {
        code = mt_error_set(error, -errno, MT_STATUS_NO_INPUT,
                            "%s: cannot be read: %s; name a heap profile", input, strerror(errno));
    } else {
        import->region = region_new();
        intern_texts_init(&import->nodes);
        code = import_read_header(import, error);
        if (code == 0) {
            import_read_mappings(import);
            code = import_write(import, output, overwrite, error);
        }
        intern_texts_deinit(&import->nodes);
        region_free(import->region);
        fclose(import->file);
    }
    *result = (struct import_result){.stacks = (size_t)import->stack,
                                     .is_cut = !import->has_maps};
    free(import->mappings);
    free(import->line);
    free(import);
    return code;
}
