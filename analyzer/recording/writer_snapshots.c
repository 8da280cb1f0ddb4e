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
    writer_start(writer, WRITER_SNAPSHOT_SITE);
    writer_int(writer, row->snapshot);
    writer_int(writer, row->process);
    writer_int(writer, row->stack);
    writer_int(writer, row->allocations);
    writer_int(writer, row->allocated_bytes);
    writer_int(writer, row->frees);
    writer_int(writer, row->freed_bytes);
    writer_int(writer, row->temporaries);
    return writer_run(writer);
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
    if (next != NULL) {
        writer_start(writer, WRITER_SNAPSHOT_MERGE);
        writer_int(writer, next->snapshot);
        writer_int(writer, snapshot);
        if (writer_run(writer) == 0) {
            moved = sqlite3_changes64(writer->database);
        }
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

int64_t recording_writer_thin_snapshots(struct recording_writer *writer, int64_t snapshots_max,
                                        int64_t rows_max)
{
    int64_t removed = 0;
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
