/*
 * Snapshots and their thinning. The writer keeps a small directory of them, so that a
 * thinning decision needs no query.
 */
#include "foundation/region.h"
#include "recording/writer_state.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static struct writer_snapshot *writer_find_snapshot(struct recording_writer *writer,
                                                    int64_t snapshot)
{
    for (size_t i = writer->snapshot_count; i > 0; i--) {
        if (writer->snapshots[i - 1].snapshot == snapshot) {
            return &writer->snapshots[i - 1];
        }
    }
    return NULL;
}

int recording_writer_add_snapshot(struct recording_writer *writer,
                                  const struct recording_snapshot *snapshot)
{
    if (writer_find_snapshot(writer, snapshot->snapshot) != NULL) {
        return writer->failure.code;
    }
    writer->snapshots = mt_grow(writer->snapshots, &writer->snapshot_capacity,
                                writer->snapshot_count + 1, sizeof(*writer->snapshots));
    size_t at = writer->snapshot_count++;
    while (at > 0 && writer->snapshots[at - 1].snapshot > snapshot->snapshot) {
        writer->snapshots[at] = writer->snapshots[at - 1];
        at--;
    }
    writer->snapshots[at] = (struct writer_snapshot){
        .snapshot = snapshot->snapshot,
        .time_ns = snapshot->time_ns,
        .is_pinned = snapshot->label != NULL,
    };
    writer_start(writer, WRITER_SNAPSHOT);
    writer_int(writer, snapshot->snapshot);
    writer_int(writer, snapshot->time_ns);
    writer_text(writer, snapshot->label);
    writer_text(writer, snapshot->cause);
    return writer_run(writer);
}

int recording_writer_add_snapshot_process(struct recording_writer *writer,
                                          const struct recording_snapshot_process *row)
{
    writer_start(writer, WRITER_SNAPSHOT_PROCESS);
    writer_int(writer, row->snapshot);
    writer_int(writer, row->process);
    writer_int(writer, row->live_bytes);
    writer_int(writer, row->live_blocks);
    writer_int(writer, row->allocations);
    writer_int(writer, row->rss_bytes);
    return writer_run(writer);
}

int recording_writer_add_snapshot_site(struct recording_writer *writer,
                                       const struct recording_snapshot_site *row)
{
    struct writer_snapshot *snapshot = writer_find_snapshot(writer, row->snapshot);
    if (snapshot != NULL) {
        snapshot->rows++;
        writer->snapshot_rows++;
    }
    int64_t values[] = {row->allocations, row->allocated_bytes,
                        packed_live(row->allocations, row->frees),
                        packed_live(row->allocated_bytes, row->freed_bytes), row->temporaries};
    writer_put_packed(writer, PACKED_SNAPSHOT_SITE,
                      &(struct writer_row_key){
                          .first = row->process, .second = row->snapshot, .id = row->stack},
                      values, true);
    return writer->failure.code;
}

/* What only the removed snapshot says holds from its successor on. Returns how many rows. */
static int64_t writer_merge_snapshot(struct recording_writer *writer, int64_t from, int64_t to)
{
    int64_t moved = 0;
    writer_start(writer, WRITER_SNAPSHOT_SITES_OF);
    writer_int(writer, from);
    sqlite3_stmt *chunks = writer->current; /* others run while it is walked */
    int code = chunks != NULL ? SQLITE_ROW : SQLITE_DONE;
    while (code == SQLITE_ROW && (code = sqlite3_step(chunks)) == SQLITE_ROW) {
        struct packed_cursor cursor;
        const char *text = (const char *)sqlite3_column_text(chunks, 2);
        packed_cursor_init(&cursor, text != NULL ? text : "",
                           (size_t)sqlite3_column_bytes(chunks, 2),
                           &packed_shapes[PACKED_SNAPSHOT_SITE]);
        struct writer_row_key key = {.first = sqlite3_column_int64(chunks, 0), .second = to};
        uint64_t first = (uint64_t)sqlite3_column_int64(chunks, 1) 
                         << packed_shapes[PACKED_SNAPSHOT_SITE].rows_log2;
        while (packed_cursor_next(&cursor)) {
            key.id = (int64_t)(first + cursor.row);
            moved += writer_put_packed(writer, PACKED_SNAPSHOT_SITE, &key, cursor.values, false);
        }
        code = cursor.is_damaged ? SQLITE_CORRUPT : code;
    }
    sqlite3_reset(chunks);
    writer->current = NULL;
    if (code != SQLITE_DONE) {
        writer_fail(writer, code);
    }
    return moved;
}

static void writer_delete_by_snapshot(struct recording_writer *writer,
                                      enum writer_statement statement, int64_t snapshot)
{
    writer_start(writer, statement);
    writer_int(writer, snapshot);
    writer_run(writer);
}

int recording_writer_remove_snapshot(struct recording_writer *writer, int64_t snapshot)
{
    struct writer_snapshot *gone = writer_find_snapshot(writer, snapshot);
    if (gone == NULL) {
        return -ENOENT;
    }
    struct writer_snapshot *end = writer->snapshots + writer->snapshot_count;
    struct writer_snapshot *next = gone + 1 < end ? gone + 1 : NULL;
    int64_t moved = 0;
    writer_close_packed(writer, PACKED_SNAPSHOT_SITE);
    if (next != NULL) {
        moved = writer_merge_snapshot(writer, snapshot, next->snapshot);
        next->rows += moved;
    }
    writer->snapshot_rows -= gone->rows - moved;
    writer_delete_by_snapshot(writer, WRITER_SNAPSHOT_SITES_DELETE, snapshot);
    writer_delete_by_snapshot(writer, WRITER_SNAPSHOT_PROCESSES_DELETE, snapshot);
    writer_delete_by_snapshot(writer, WRITER_LEDGER_DELETE, snapshot);
    writer_delete_by_snapshot(writer, WRITER_SNAPSHOT_DELETE, snapshot);
    memmove(gone, gone + 1, (size_t)(end - gone - 1) * sizeof(*gone));
    writer->snapshot_count--;
    return writer->failure.code;
}

/* The snapshot that is missed least: the one whose removal opens the smallest gap,
 * measured against its age. Spacing so grows in proportion to age. NULL: all must stay. */
static const struct writer_snapshot *writer_least_missed(const struct recording_writer *writer)
{
    const struct writer_snapshot *all = writer->snapshots;
    const struct writer_snapshot *best = NULL;
    double best_score = INFINITY;
    size_t count = writer->snapshot_count;
    for (size_t i = 1; i + 1 < count; i++) {
        if (all[i].is_pinned) {
            continue;
        }
        double gap_ns = (double)(all[i + 1].time_ns - all[i - 1].time_ns);
        double age_ns = (double)(all[count - 1].time_ns - all[i].time_ns) + 1e9;
        double score = gap_ns / age_ns;
        if (score < best_score) {
            best_score = score;
            best = &all[i];
        }
    }
    return best;
}

/* The rows of snapshots that were written before this writer opened the recording: counted
 * only when somebody asks, as it takes all of them apart. */
static void writer_count_rows(struct recording_writer *writer)
{
    if (writer->are_rows_counted || writer->failure.code != 0) {
        return;
    }
    writer->are_rows_counted = true;
    writer_store_packed(writer);
    writer->snapshot_rows = 0;
    writer_start(writer, WRITER_SNAPSHOT_ROWS);
    sqlite3_stmt *counts = writer->current;
    int code = counts != NULL ? SQLITE_ROW : SQLITE_DONE;
    while (code == SQLITE_ROW && (code = sqlite3_step(counts)) == SQLITE_ROW) {
        struct writer_snapshot *snapshot =
            writer_find_snapshot(writer, sqlite3_column_int64(counts, 0));
        if (snapshot != NULL) {
            snapshot->rows = sqlite3_column_int64(counts, 1);
            writer->snapshot_rows += snapshot->rows;
        }
    }
    sqlite3_reset(counts);
    writer->current = NULL;
    if (code != SQLITE_DONE) {
        writer_fail(writer, code);
    }
}

int64_t recording_writer_thin_snapshots(struct recording_writer *writer, int64_t snapshots_max,
                                        int64_t rows_max)
{
    int64_t removed = 0;
    writer_count_rows(writer);
    while ((int64_t)writer->snapshot_count > snapshots_max || writer->snapshot_rows > rows_max) {
        const struct writer_snapshot *least = writer_least_missed(writer);
        if (least == NULL) {
            break;
        }
        int code = recording_writer_remove_snapshot(writer, least->snapshot);
        if (code != 0) {
            return code;
        }
        removed++;
    }
    return removed;
}

int recording_writer_put_census(struct recording_writer *writer,
                                const struct recording_census *census)
{
    struct writer_snapshot *snapshot = census->snapshot != RECORDING_UNKNOWN
                                           ? writer_find_snapshot(writer, census->snapshot)
                                           : NULL;
    if (snapshot != NULL) {
        snapshot->is_pinned = true;
    }
    /* One of the same number is replaced with all that it found. */
    writer_start(writer, WRITER_CENSUS_SITES_DELETE);
    writer_int(writer, census->census);
    int code = writer_run(writer);
    if (code != 0) {
        return code;
    }
    writer_start(writer, WRITER_HOLDERS_DELETE);
    writer_int(writer, census->census);
    code = writer_run(writer);
    if (code != 0) {
        return code;
    }
    writer_start(writer, WRITER_CENSUS);
    writer_int(writer, census->census);
    writer_int(writer, census->process);
    writer_int(writer, census->snapshot);
    writer_int(writer, census->time_ns);
    writer_int(writer, census->is_final);
    writer_text(writer, census->scan);
    writer_int(writer, census->pause_ns);
    writer_int(writer, census->scan_ns);
    writer_text(writer, census->remark);
    return writer_run(writer);
}
