/* Columns to structs, in the order of schema.sql. */
#include "recording/reader_rows.h"

#include <string.h>

/* Reads columns from left to right. */
struct cursor {
    sqlite3_stmt *statement;
    int column;
};

static int64_t next_int(struct cursor *cursor)
{
    int column = cursor->column++;
    int64_t value = sqlite3_column_int64(cursor->statement, column);
    /* NULL reads as 0: only then is its type worth a second call. */
    return value == 0 && sqlite3_column_type(cursor->statement, column) == SQLITE_NULL
               ? RECORDING_UNKNOWN
               : value;
}

/* For counts: what is unknown or nonsense is none. */
#define RECORDING_SAMPLES_MAX (INT64_C(1) << 36)

static int64_t next_count(struct cursor *cursor)
{
    int64_t value = sqlite3_column_int64(cursor->statement, cursor->column++);
    return value == RECORDING_UNKNOWN ? 0 : value;
}

/* A variance: what is no number, or below zero (rounding, or nonsense), is none. */
static double next_variance(struct cursor *cursor)
{
    double value = sqlite3_column_double(cursor->statement, cursor->column++);
    return value > 0 && value < 1e300 ? value : 0;
}

static const char *next_text(struct cursor *cursor)
{
    return (const char *)sqlite3_column_text(cursor->statement, cursor->column++);
}

static void decode_process(sqlite3_stmt *statement, union reader_row *row)
{
    struct cursor c = {statement, 0};
    struct recording_process *p = &row->process;
    p->id = next_count(&c);
    p->parent = next_int(&c);
    p->image = next_count(&c);
    int64_t start = next_count(&c);
    p->start = start == RECORDING_START_FORK     ? RECORDING_START_FORK
               : start == RECORDING_START_ATTACH ? RECORDING_START_ATTACH
                                                 : RECORDING_START_EXEC;
    p->pid = next_count(&c);
    p->parent_pid = next_count(&c);
    p->executable = next_text(&c);
    p->working_directory = next_text(&c);
    p->allocator = next_text(&c);
    p->untracked_reason = next_text(&c);
    p->arguments_are_cut = next_count(&c);
    p->started_ns = next_count(&c);
    p->ended_ns = next_int(&c);
    p->exit_status = next_int(&c);
    p->signal = next_int(&c);
    p->was_replaced = next_count(&c);
    p->live_bytes = next_count(&c);
    p->live_blocks = next_count(&c);
    p->peak_bytes = next_count(&c);
    p->peak_blocks = next_count(&c);
    p->peak_ns = next_count(&c);
    p->peak_rss_bytes = next_int(&c);
    p->cpu_user_ns = next_int(&c);
    p->cpu_system_ns = next_int(&c);
    p->minor_faults = next_int(&c);
    p->major_faults = next_int(&c);
    p->threads = next_count(&c);
    p->dropped_events = next_count(&c);
    p->unknown_stacks = next_count(&c);
    p->approximate_stacks = next_count(&c);
    p->cut_stacks = next_count(&c);
    p->cpu_sampling = next_text(&c);
    p->cpu_samples_lost = next_count(&c);
    p->cpu_threads_missed = next_count(&c);
    p->errors_beyond_table = next_count(&c);
    p->own_bytes = next_count(&c);
    p->scan = next_text(&c);
}

static void decode_argument(sqlite3_stmt *statement, union reader_row *row)
{
    struct cursor c = {statement, 0};
    row->argument.position = next_count(&c);
    row->argument.value = next_text(&c);
}

static void decode_thread(sqlite3_stmt *statement, union reader_row *row)
{
    struct cursor c = {statement, 0};
    row->thread.process = next_count(&c);
    row->thread.thread = next_count(&c);
    row->thread.tid = next_count(&c);
    row->thread.name = next_text(&c);
    row->thread.threads_served = next_count(&c);
}

static void decode_module(sqlite3_stmt *statement, union reader_row *row)
{
    struct cursor c = {statement, 0};
    row->module.id = next_count(&c);
    row->module.path = next_text(&c);
    row->module.build_id = sqlite3_column_blob(statement, c.column);
    row->module.build_id_bytes = (size_t)sqlite3_column_bytes(statement, c.column++);
    row->module.kind = next_count(&c);
    row->module.debug_info = next_text(&c);
    row->module.hint = next_text(&c);
}

static void decode_mapping(sqlite3_stmt *statement, union reader_row *row)
{
    struct cursor c = {statement, 0};
    row->mapping.image = next_count(&c);
    row->mapping.module = next_count(&c);
    row->mapping.start = (uint64_t)next_count(&c);
    row->mapping.end = (uint64_t)next_count(&c);
    row->mapping.load_bias = (uint64_t)next_count(&c);
    row->mapping.epoch = next_count(&c);
}

static void decode_address(sqlite3_stmt *statement, union reader_row *row)
{
    struct cursor c = {statement, 0};
    row->address.id = next_count(&c);
    row->address.module = next_count(&c);
    row->address.offset = (uint64_t)next_count(&c);
    row->address.is_resolved = next_count(&c) != 0;
}

static void unpack_node(const struct reader_place *place, const int64_t *values,
                        union reader_row *row)
{
    row->node = (struct recording_node){
        .image = place->key, .node = place->id, .parent = values[0], .address = values[1]};
}

static void unpack_stack(const struct reader_place *place, const int64_t *values,
                         union reader_row *row)
{
    row->stack = (struct recording_stack){.image = place->key,
                                          .stack = place->id,
                                          .leaf = values[0],
                                          .depth = values[1],
                                          .flags = values[2]};
}

static void unpack_site(const struct reader_place *place, const int64_t *values,
                        union reader_row *row)
{
    row->site = (struct recording_site){.process = place->key,
                                        .stack = place->id,
                                        .allocations = values[0],
                                        .allocated_bytes = values[1],
                                        .frees = packed_live(values[0], values[2]),
                                        .freed_bytes = packed_live(values[1], values[3]),
                                        .temporaries = values[4],
                                        .peak_blocks = values[5],
                                        .peak_bytes = values[6],
                                        .inherited_blocks = values[7],
                                        .inherited_bytes = values[8]};
}

static void decode_sample(sqlite3_stmt *statement, union reader_row *row)
{
    struct cursor c = {statement, 0};
    struct recording_sample *sample = &row->sample;
    sample->process = next_count(&c);
    sample->stack = next_count(&c);
    sample->sampled_allocations = next_count(&c);
    sample->sampled_frees = next_count(&c);
    sample->allocations_variance = next_variance(&c);
    sample->allocated_bytes_variance = next_variance(&c);
    sample->live_blocks_variance = next_variance(&c);
    sample->live_bytes_variance = next_variance(&c);
}

static void unpack_lifetime(const struct reader_place *place, const int64_t *values,
                            union reader_row *row)
{
    row->lifetime.stack = place->id;
    memcpy(row->lifetime.frees, values, sizeof(row->lifetime.frees));
}

/* Bounded, so that sums over all rows that a file can hold stay in range. */
static int64_t next_samples(struct cursor *cursor)
{
    int64_t value = next_count(cursor);
    return value < 0 ? 0 : value > RECORDING_SAMPLES_MAX ? RECORDING_SAMPLES_MAX : value;
}

static void decode_cpu(sqlite3_stmt *statement, union reader_row *row)
{
    struct cursor c = {statement, 0};
    row->cpu.process = next_count(&c);
    row->cpu.thread = next_count(&c);
    row->cpu.stack = next_count(&c);
    row->cpu.samples = next_samples(&c);
    row->cpu.system_samples = next_samples(&c);
    row->cpu.allocator_samples = next_samples(&c);
    row->cpu.allocator_system_samples = next_samples(&c);
}

static void decode_defect(sqlite3_stmt *statement, union reader_row *row)
{
    struct cursor c = {statement, 0};
    struct recording_defect *defect = &row->defect;
    defect->process = next_count(&c);
    int64_t kind = next_count(&c);
    defect->kind = kind == RECORDING_DOUBLE_FREE    ? RECORDING_DOUBLE_FREE
                   : kind == RECORDING_INVALID_FREE ? RECORDING_INVALID_FREE
                                                    : RECORDING_MISMATCHED_FREE;
    defect->release_stack = next_count(&c);
    defect->allocation_stack = next_count(&c);
    defect->allocated_as = next_text(&c);
    defect->released_as = next_text(&c);
    defect->count = next_count(&c);
    defect->address = (uint64_t)next_count(&c);
}

static void decode_snapshot(sqlite3_stmt *statement, union reader_row *row)
{
    struct cursor c = {statement, 0};
    row->snapshot.snapshot = next_count(&c);
    row->snapshot.time_ns = next_count(&c);
    row->snapshot.label = next_text(&c);
    row->snapshot.cause = next_text(&c);
}

static void decode_snapshot_process(sqlite3_stmt *statement, union reader_row *row)
{
    struct cursor c = {statement, 0};
    row->snapshot_process.snapshot = next_count(&c);
    row->snapshot_process.process = next_count(&c);
    row->snapshot_process.live_bytes = next_count(&c);
    row->snapshot_process.live_blocks = next_count(&c);
    row->snapshot_process.allocations = next_count(&c);
    row->snapshot_process.rss_bytes = next_int(&c);
}

static void unpack_snapshot_site(const struct reader_place *place, const int64_t *values,
                                 union reader_row *row)
{
    row->snapshot_site =
        (struct recording_snapshot_site){.snapshot = place->snapshot,
                                         .process = place->key,
                                         .stack = place->id,
                                         .allocations = values[0],
                                         .allocated_bytes = values[1],
                                         .frees = packed_live(values[0], values[2]),
                                         .freed_bytes = packed_live(values[1], values[3]),
                                         .temporaries = values[4]};
}

static void decode_point(sqlite3_stmt *statement, union reader_row *row)
{
    struct cursor c = {statement, 0};
    struct recording_point *point = &row->point;
    point->process = next_count(&c);
    point->time_ns = next_count(&c);
    point->live_bytes = next_count(&c);
    point->live_min_bytes = next_count(&c);
    point->live_max_bytes = next_count(&c);
    point->live_blocks = next_count(&c);
    point->rss_bytes = next_int(&c);
    point->allocations = next_count(&c);
    point->cpu_ns = next_int(&c);
    point->allocator_allocated_bytes = next_int(&c);
    point->allocator_active_bytes = next_int(&c);
    point->allocator_metadata_bytes = next_int(&c);
    point->allocator_resident_bytes = next_int(&c);
    point->allocator_retained_bytes = next_int(&c);
}

static void decode_census(sqlite3_stmt *statement, union reader_row *row)
{
    struct cursor c = {statement, 0};
    row->census.census = next_count(&c);
    row->census.process = next_count(&c);
    row->census.snapshot = next_int(&c);
    row->census.time_ns = next_count(&c);
    row->census.is_final = next_count(&c) != 0;
    row->census.scan = next_text(&c);
    row->census.pause_ns = next_int(&c);
    row->census.scan_ns = next_int(&c);
    row->census.remark = next_text(&c);
}

static void decode_census_site(sqlite3_stmt *statement, union reader_row *row)
{
    struct cursor c = {statement, 0};
    struct recording_census_site *site = &row->census_site;
    site->census = next_count(&c);
    site->stack = next_count(&c);
    for (size_t i = 0; i < RECORDING_LEAK_CLASSES; i++) {
        site->blocks[i] = next_count(&c);
        site->bytes[i] = next_count(&c);
    }
    site->led_blocks = next_count(&c);
    site->led_bytes = next_count(&c);
    site->oldest_ns = next_int(&c);
    site->retained_bytes = next_int(&c);
    site->pinned_pages = next_int(&c);
    site->pinned_bytes = next_int(&c);
}

static enum recording_holder_kind holder_kind_of(int64_t kind)
{
    return kind >= RECORDING_HOLDER_GLOBAL && kind <= RECORDING_HOLDER_SITE
               ? (enum recording_holder_kind)kind
               : RECORDING_HOLDER_MAPPING;
}

static void decode_holder(sqlite3_stmt *statement, union reader_row *row)
{
    struct cursor c = {statement, 0};
    row->holder.census = next_count(&c);
    row->holder.stack = next_count(&c);
    row->holder.chain = next_count(&c);
    row->holder.step = next_count(&c);
    row->holder.kind = holder_kind_of(next_count(&c));
    row->holder.holder_stack = next_count(&c);
    row->holder.address = next_count(&c);
    row->holder.text = next_text(&c);
    row->holder.blocks = next_count(&c);
    row->holder.bytes = next_count(&c);
}

static void decode_ledger(sqlite3_stmt *statement, union reader_row *row)
{
    struct cursor c = {statement, 0};
    row->ledger.snapshot = next_count(&c);
    row->ledger.process = next_count(&c);
    row->ledger.item = next_text(&c);
    row->ledger.bytes = next_count(&c);
}

static void decode_suppression(sqlite3_stmt *statement, union reader_row *row)
{
    struct cursor c = {statement, 0};
    row->suppression.origin = next_text(&c);
    row->suppression.text = next_text(&c);
}

static void decode_function(sqlite3_stmt *statement, union reader_row *row)
{
    struct cursor c = {statement, 0};
    row->function.id = next_count(&c);
    row->function.name = next_text(&c);
    row->function.linkage_name = next_text(&c);
    row->function.line = next_count(&c);
}

static void decode_file(sqlite3_stmt *statement, union reader_row *row)
{
    struct cursor c = {statement, 0};
    row->file.id = next_count(&c);
    row->file.path = next_text(&c);
}

static void decode_symbol(sqlite3_stmt *statement, union reader_row *row)
{
    struct cursor c = {statement, 0};
    row->symbol.address = next_count(&c);
    row->symbol.depth = next_count(&c);
    row->symbol.function = next_count(&c);
    row->symbol.file = next_count(&c);
    row->symbol.line = next_count(&c);
    row->symbol.is_inlined = next_count(&c) != 0;
}

static void decode_source_line(sqlite3_stmt *statement, union reader_row *row)
{
    struct cursor c = {statement, 0};
    row->source_line.file = next_count(&c);
    row->source_line.line = next_count(&c);
    row->source_line.text = next_text(&c);
}

const struct reader_table reader_tables[RECORDING_TABLES] = {
    [RECORDING_TABLE_PROCESS] = {.sql = "SELECT * FROM process ORDER BY id",
                                 .decode = decode_process},
    [RECORDING_TABLE_ARGUMENT] =
        {.sql = "SELECT position, value FROM process_argument WHERE process = ? ORDER BY position",
         .decode = decode_argument},
    [RECORDING_TABLE_THREAD] = {.sql = "SELECT * FROM thread WHERE process = ? ORDER BY thread",
                                .decode = decode_thread},
    [RECORDING_TABLE_MODULE] = {.sql = "SELECT * FROM module ORDER BY id", .decode = decode_module},
    [RECORDING_TABLE_MAPPING] = {.sql = "SELECT * FROM mapping", .decode = decode_mapping},
    [RECORDING_TABLE_ADDRESS] = {.sql = "SELECT * FROM address ORDER BY id",
                                 .decode = decode_address},
    [RECORDING_TABLE_NODE] =
        {.sql = "SELECT 0, chunk, data FROM packed_node WHERE image = ? ORDER BY chunk",
         .shape = &packed_shapes[PACKED_NODE],
         .unpack = unpack_node},
    [RECORDING_TABLE_STACK] =
        {.sql = "SELECT 0, chunk, data FROM packed_stack WHERE image = ? ORDER BY chunk",
         .shape = &packed_shapes[PACKED_STACK],
         .unpack = unpack_stack},
    [RECORDING_TABLE_SITE] =
        {.sql = "SELECT 0, chunk, data FROM packed_site WHERE process = ? ORDER BY chunk",
         .shape = &packed_shapes[PACKED_SITE],
         .unpack = unpack_site},
    [RECORDING_TABLE_LIFETIME] =
        {.sql = "SELECT 0, chunk, data FROM packed_site_lifetime WHERE process = ? ORDER BY chunk",
         .shape = &packed_shapes[PACKED_LIFETIME],
         .unpack = unpack_lifetime},
    [RECORDING_TABLE_SAMPLE] = {.sql = "SELECT * FROM site_sample WHERE process = ? ORDER BY stack",
                                .decode = decode_sample},
    [RECORDING_TABLE_CPU] = {.sql = "SELECT * FROM cpu WHERE process = ? ORDER BY thread, stack",
                             .decode = decode_cpu},
    [RECORDING_TABLE_DEFECT] = {.sql = "SELECT * FROM defect WHERE process = ? "
                                       "ORDER BY kind, release_stack, allocation_stack",
                                .decode = decode_defect},
    [RECORDING_TABLE_SNAPSHOT] = {.sql = "SELECT * FROM snapshot ORDER BY snapshot",
                                  .decode = decode_snapshot},
    [RECORDING_TABLE_SNAPSHOT_PROCESS] =
        {.sql = "SELECT * FROM snapshot_process WHERE process = ? ORDER BY snapshot",
         .decode = decode_snapshot_process},
    [RECORDING_TABLE_SNAPSHOT_SITE] =
        {.sql = "SELECT snapshot, chunk, data FROM packed_snapshot_site WHERE process = ? "
                "ORDER BY snapshot, chunk",
         .shape = &packed_shapes[PACKED_SNAPSHOT_SITE],
         .unpack = unpack_snapshot_site},
    [RECORDING_TABLE_POINT] = {.sql = "SELECT * FROM point WHERE process = ? ORDER BY time_ns",
                               .decode = decode_point},
    [RECORDING_TABLE_CENSUS] = {.sql = "SELECT * FROM census WHERE process = ? ORDER BY census",
                                .decode = decode_census},
    [RECORDING_TABLE_CENSUS_SITE] =
        {.sql = "SELECT * FROM census_site WHERE census = ? ORDER BY stack",
         .decode = decode_census_site},
    [RECORDING_TABLE_HOLDER] =
        {.sql = "SELECT * FROM holder WHERE census = ? ORDER BY stack, chain, step",
         .decode = decode_holder},
    [RECORDING_TABLE_LEDGER] =
        {.sql = "SELECT * FROM ledger WHERE process = ? ORDER BY snapshot, item",
         .decode = decode_ledger},
    [RECORDING_TABLE_SUPPRESSION] = {.sql =
                                         "SELECT origin, text FROM suppression ORDER BY position",
                                     .decode = decode_suppression},
    [RECORDING_TABLE_FUNCTION] = {.sql = "SELECT * FROM function ORDER BY id",
                                  .decode = decode_function},
    [RECORDING_TABLE_FILE] = {.sql = "SELECT * FROM file ORDER BY id", .decode = decode_file},
    [RECORDING_TABLE_SYMBOL] = {.sql = "SELECT * FROM symbol ORDER BY address, depth",
                                .decode = decode_symbol},
    [RECORDING_TABLE_SOURCE_LINE] = {.sql = "SELECT * FROM source_line ORDER BY file, line",
                                     .decode = decode_source_line},
};
