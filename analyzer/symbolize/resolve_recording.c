#include "symbolize/resolve_recording.h"

#include "symbolize/perf_map.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOURCE_LINES_DEFAULT 20000u
/* Places are sorted and their repetitions dropped whenever so many are kept. */
#define PLACES_BATCH 262144u

/* A module with addresses that nobody looked at. */
struct pending_module {
    int64_t id;
    char *path;
    uint8_t *build_id;
    size_t build_id_bytes;
    size_t first; /* of its addresses */
    size_t count;
};

/* A source line and how many frames are on it. */
struct place {
    const char *file; /* the symbolizer's: equal names have equal addresses */
    uint32_t line;
    uint32_t uses;
};

struct pending {
    struct recording_writer *writer;
    struct symbolizer *symbolizer;
    const struct resolve_recording_options *options;
    struct pending_module *modules;
    size_t module_count;
    size_t module_room;
    int64_t *ids; /* addresses, by module */
    struct symbolizer_query *queries;
    size_t count;
    size_t room;
    const struct pending_module *current;
    struct place *places;
    size_t place_count;
    size_t place_room;
    size_t place_batch; /* compact when this many are kept */
    int result;
};

/* ---- what is to be done -------------------------------------------------- */

static int pending_add_module(struct pending *pending, const struct recording_module *module)
{
    if (pending->module_count == pending->module_room) {
        size_t room = pending->module_room == 0 ? 16 : pending->module_room * 2;
        struct pending_module *modules = reallocarray(pending->modules, room, sizeof(modules[0]));
        if (modules == NULL) {
            return -ENOMEM;
        }
        pending->modules = modules;
        pending->module_room = room;
    }
    struct pending_module *added = &pending->modules[pending->module_count++];
    *added = (struct pending_module){.first = pending->count};
    if (module == NULL) {
        return 0;
    }
    added->id = module->id;
    added->path = strdup(module->path != NULL ? module->path : "");
    if (added->path == NULL) {
        return -ENOMEM;
    }
    if (module->build_id != NULL && module->build_id_bytes > 0) {
        added->build_id = malloc(module->build_id_bytes);
        if (added->build_id == NULL) {
            return -ENOMEM;
        }
        memcpy(added->build_id, module->build_id, module->build_id_bytes);
        added->build_id_bytes = module->build_id_bytes;
    }
    return 0;
}

static int collect_address(void *context, const struct recording_address *address,
                           const struct recording_module *module)
{
    struct pending *pending = context;
    int64_t id = module != NULL ? module->id : 0;
    if (pending->module_count == 0 || pending->modules[pending->module_count - 1].id != id) {
        if (pending_add_module(pending, module) != 0) {
            return -ENOMEM;
        }
    }
    if (pending->count == pending->room) {
        size_t room = pending->room == 0 ? 1024 : pending->room * 2;
        int64_t *ids = reallocarray(pending->ids, room, sizeof(ids[0]));
        if (ids == NULL) {
            return -ENOMEM;
        }
        pending->ids = ids;
        struct symbolizer_query *queries =
            reallocarray(pending->queries, room, sizeof(queries[0]));
        if (queries == NULL) {
            return -ENOMEM;
        }
        pending->queries = queries;
        pending->room = room;
    }
    pending->ids[pending->count] = address->id;
    /* Recordings hold return addresses alone: an exact pc is stored as pc + 1. */
    pending->queries[pending->count] =
        (struct symbolizer_query){.offset = address->offset, .is_return_address = true};
    pending->count++;
    pending->modules[pending->module_count - 1].count++;
    return 0;
}

static void pending_free(struct pending *pending)
{
    for (size_t i = 0; i < pending->module_count; i++) {
        free(pending->modules[i].path);
        free(pending->modules[i].build_id);
    }
    free(pending->modules);
    free(pending->ids);
    free(pending->queries);
    free(pending->places);
}

/* ---- source lines -------------------------------------------------------- */

static int place_compare(const void *left, const void *right)
{
    const struct place *a = left;
    const struct place *b = right;
    if (a->file != b->file) {
        return (uintptr_t)a->file < (uintptr_t)b->file ? -1 : 1;
    }
    return a->line < b->line ? -1 : a->line > b->line;
}

static int place_compare_uses(const void *left, const void *right)
{
    const struct place *a = left;
    const struct place *b = right;
    if (a->uses != b->uses) {
        return a->uses > b->uses ? -1 : 1;
    }
    return place_compare(left, right);
}

static void places_compact(struct pending *pending)
{
    if (pending->place_count == 0) {
        return;
    }
    struct place *places = pending->places;
    qsort(places, pending->place_count, sizeof(places[0]), place_compare);
    size_t kept = 1;
    for (size_t i = 1; i < pending->place_count; i++) {
        if (places[i].file == places[kept - 1].file && places[i].line == places[kept - 1].line) {
            places[kept - 1].uses += places[i].uses;
        } else {
            places[kept++] = places[i];
        }
    }
    pending->place_count = kept;
    pending->place_batch = kept + PLACES_BATCH;
}

static int places_add(struct pending *pending, const char *file, uint32_t line)
{
    if (pending->place_count >= pending->place_batch) {
        places_compact(pending);
    }
    if (pending->place_count == pending->place_room) {
        size_t room = pending->place_room == 0 ? 1024 : pending->place_room * 2;
        struct place *places = reallocarray(pending->places, room, sizeof(places[0]));
        if (places == NULL) {
            return -ENOMEM;
        }
        pending->places = places;
        pending->place_room = room;
    }
    pending->places[pending->place_count++] = (struct place){.file = file, .line = line, .uses = 1};
    return 0;
}

/* The most used ones, then read file by file. */
static int store_source_lines(struct pending *pending)
{
    size_t most = pending->options->source_line_max;
    most = most == 0 ? SOURCE_LINES_DEFAULT : most;
    places_compact(pending);
    if (pending->place_count > most) {
        qsort(pending->places, pending->place_count, sizeof(pending->places[0]),
              place_compare_uses);
        pending->place_count = most;
        qsort(pending->places, pending->place_count, sizeof(pending->places[0]), place_compare);
    }
    int result = 0;
    for (size_t i = 0; result == 0 && i < pending->place_count; i++) {
        const struct place *place = &pending->places[i];
        const char *text = symbolizer_source_line(pending->symbolizer, place->file, place->line);
        if (text != NULL) {
            const struct recording_source_line line = {
                .file = place->file, .line = place->line, .text = text};
            result = recording_writer_put_source_line(pending->writer, &line);
        }
    }
    return result;
}

/* ---- symbols ------------------------------------------------------------- */

#define CHAIN_STORED_MAX 256u

static void store_answer(void *context, const struct symbolizer_answer *answer)
{
    struct pending *pending = context;
    struct recording_symbol chain[CHAIN_STORED_MAX];
    size_t count = answer->frame_count < CHAIN_STORED_MAX ? answer->frame_count : CHAIN_STORED_MAX;
    if (pending->result != 0) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const struct symbolizer_frame *frame = &answer->frames[i];
        chain[i] = (struct recording_symbol){
            .function = frame->function,
            .linkage_name = frame->linkage_name != frame->function ? frame->linkage_name : NULL,
            .file = frame->file,
            .line = frame->line,
            .function_line = frame->function_line,
            .is_inlined = frame->is_inlined,
        };
        if (frame->file != NULL && frame->line > 0) {
            pending->result = places_add(pending, frame->file, frame->line);
        }
    }
    int64_t id = pending->ids[pending->current->first + answer->index];
    int result = recording_writer_put_symbols(pending->writer, id, chain, count);
    if (pending->result == 0) {
        pending->result = result;
    }
}

/* The module's path below the program's root, if there is such a file. */
static char *path_in_root(const struct pending *pending, const char *path)
{
    char *inside = NULL;
    if (pending->options->root != NULL && path[0] == '/'
        && asprintf(&inside, "%s%s", pending->options->root, path) >= 0
        && access(inside, R_OK) != 0) {
        free(inside);
        inside = NULL;
    }
    return inside;
}

static int store_module_debug(struct pending *pending, struct symbolizer_module *module, int64_t id)
{
    /* In the order in which they explain most. */
    static const enum symbolizer_note notes[] = {
        SYMBOLIZER_NOTE_BUILD_ID_DIFFERS, SYMBOLIZER_NOTE_FILE_MISSING,
        SYMBOLIZER_NOTE_FILE_DAMAGED,     SYMBOLIZER_NOTE_DEBUG_COMPRESSED,
        SYMBOLIZER_NOTE_DEBUG_DAMAGED,    SYMBOLIZER_NOTE_SPLIT_MISSING,
        SYMBOLIZER_NOTE_ALTERNATE_MISSING, SYMBOLIZER_NOTE_DEBUGINFOD_FAILED,
        SYMBOLIZER_NOTE_NO_SYMBOLS,       SYMBOLIZER_NOTE_NO_DEBUG,
    };
    const char *debug_info = "none";
    switch (symbolizer_module_quality(module)) {
    case SYMBOLIZER_QUALITY_DEBUG:
        debug_info = "full";
        break;
    case SYMBOLIZER_QUALITY_SYMBOL:
        debug_info = "symbols";
        break;
    case SYMBOLIZER_QUALITY_NONE:
        break;
    }
    unsigned found = symbolizer_module_notes(module);
    const char *hint = NULL;
    for (size_t i = 0; hint == NULL && i < sizeof(notes) / sizeof(notes[0]); i++) {
        hint = (found & notes[i]) != 0 ? symbolizer_note_text(notes[i]) : NULL;
    }
    return recording_writer_set_module_debug(pending->writer, id, debug_info, hint);
}

static int resolve_module(struct pending *pending, const struct pending_module *module)
{
    char *inside = path_in_root(pending, module->path);
    const struct symbolizer_module_file file = {.path = module->path,
                                                .readable_path = inside,
                                                .build_id = module->build_id,
                                                .build_id_bytes = module->build_id_bytes};
    struct symbolizer_module *opened;
    int result = symbolizer_module_open(pending->symbolizer, &file, &opened);
    free(inside);
    if (result != 0) {
        return result;
    }
    pending->current = module;
    result = symbolizer_resolve(opened, pending->queries + module->first, module->count,
                                store_answer, pending);
    if (result == 0) {
        result = pending->result;
    }
    if (result == 0) {
        result = store_module_debug(pending, opened, module->id);
    }
    symbolizer_module_close(opened);
    return result;
}

/* Addresses outside all files: what a JIT compiler made, if it tells. */
static int resolve_jit(struct pending *pending, const struct pending_module *module)
{
    struct perf_map map = {0};
    for (size_t i = 0; i < pending->options->perf_map_pid_count; i++) {
        char path[64];
        snprintf(path, sizeof(path), "/tmp/perf-%d.map", pending->options->perf_map_pids[i]);
        perf_map_add_file(&map, path, geteuid());
    }
    perf_map_sort(&map);
    int result = 0;
    for (size_t i = module->first; result == 0 && i < module->first + module->count; i++) {
        const struct perf_map_entry *entry = perf_map_find(&map, pending->queries[i].offset - 1);
        const struct recording_symbol symbol = {.function = entry != NULL ? entry->name : NULL};
        result = recording_writer_put_symbols(pending->writer, pending->ids[i], &symbol,
                                              entry != NULL ? 1 : 0);
    }
    perf_map_deinit(&map);
    return result;
}

int resolve_recording(struct recording_writer *writer, struct symbolizer *symbolizer,
                      const struct resolve_recording_options *options, struct mt_error *error)
{
    const struct resolve_recording_options defaults = {0};
    struct pending pending = {.writer = writer,
                              .symbolizer = symbolizer,
                              .options = options != NULL ? options : &defaults,
                              .place_batch = PLACES_BATCH};
    int result = recording_writer_begin(writer, "the symbols");
    if (result == 0) {
        result = recording_writer_each_unresolved(writer, collect_address, &pending);
    }
    for (size_t i = 0; result == 0 && i < pending.module_count; i++) {
        const struct pending_module *module = &pending.modules[i];
        result =
            module->id == 0 ? resolve_jit(&pending, module) : resolve_module(&pending, module);
    }
    if (result == 0) {
        result = store_source_lines(&pending);
    }
    pending_free(&pending);
    /* Also after a failure: what was resolved is good. */
    int committed = recording_writer_commit(writer, error);
    if (committed == 0 && result != 0) {
        return mt_error_set(error, result, MT_STATUS_FAILED,
                            "symbols: %s, so some names are missing: free memory, then run it "
                            "again",
                            strerror(-result));
    }
    return committed;
}
