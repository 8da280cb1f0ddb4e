/*
 * recording/writer.h - the one writer of recordings.
 *
 * How a run is written:
 *
 *     recording_writer_create(path, &run, ...)
 *     recording_writer_begin(w, "the modules and stacks")      | as often as needed:
 *         ..._add_module, _add_mapping, _add_node, _add_stack  | few and big, e.g. one
 *         ..._put_process, _add_snapshot, _put_site ...        | per snapshot
 *     recording_writer_commit(w)                               |
 *     recording_writer_set_run(w, &run)     final facts
 *     recording_writer_finish(w, true)      sets `complete`, leaves one file
 *
 * "add" is for rows that are new; adding the same key again is no error and changes
 * nothing, so that a caller may offer what it is not sure of. "put" replaces.
 *
 * A killed writer leaves FILE and FILE-wal; the reader understands both, and all that was
 * committed is there. The first error sticks: later calls do nothing and return it, so a
 * caller may check at commit alone. A failed transaction is rolled back as a whole; what
 * was committed before stays.
 *
 * Context: recorder, analyzer (import, symbols).
 * Memory:  the writer keeps maps of modules, addresses, functions and files (about 40
 *          bytes per distinct address).
 * Threads: one at a time. A writer does not survive fork: finish it before and use
 *          recording_writer_append() after.
 */
#ifndef MEMTRACK_RECORDING_WRITER_H
#define MEMTRACK_RECORDING_WRITER_H

#include "foundation/error.h"
#include "recording/rows.h"
#include "recording/version.h"

struct recording_writer;

/* Creates `path`. An existing file is -EEXIST unless `overwrite`, which replaces a
 * regular file. *writer is set on success only. */
int recording_writer_create(const char *path, const struct recording_run *run, bool overwrite,
                            struct recording_writer **writer, struct mt_error *error);

/* The same for what is written in one go, such as a snapshot: faster, because nothing of it
 * can be taken back. It gets its name, and replaces what had it, when it is finished; until
 * then it is a file beside it, which is removed when the writing fails. */
int recording_writer_create_at_once(const char *path, const struct recording_run *run,
                                    bool overwrite, struct recording_writer **writer,
                                    struct mt_error *error);

/* Opens a recording to add to it (descendants that ended later, symbols). Refuses what
 * the reader would refuse. Clears `complete` when the first transaction is committed and
 * must be finished again. */
int recording_writer_append(const char *path, struct recording_writer **writer,
                            struct mt_error *error);

/* `what` names what is lost if this transaction fails ("the snapshot at 3.0 s"); copied. */
int recording_writer_begin(struct recording_writer *writer, const char *what);
int recording_writer_commit(struct recording_writer *writer, struct mt_error *error);

/* Ends the recording: one file, no companions; writer is freed whatever is returned. With
 * is_complete false the recording is marked as partial. A transaction that is open is
 * committed. */
int recording_writer_finish(struct recording_writer *writer, bool is_complete,
                            struct mt_error *error);

/* Frees the writer and leaves the file as the last commit left it. NULL is fine. */
void recording_writer_abandon(struct recording_writer *writer);

/* The error that stuck, or 0. Fills *error as commit would. */
int recording_writer_failure(const struct recording_writer *writer, struct mt_error *error);

/* Bytes of the file and its companions now. */
int64_t recording_writer_size_bytes(const struct recording_writer *writer);

/* All below: inside a transaction; 0 or the error that stuck. */

int recording_writer_set_run(struct recording_writer *writer, const struct recording_run *run);
/* One more fact, e.g. ("still_running", "2"). */
int recording_writer_set_fact(struct recording_writer *writer, const char *key, const char *value);

int recording_writer_put_process(struct recording_writer *writer,
                                 const struct recording_process *process);
/* arguments[0..count), each NUL-terminated. */
int recording_writer_put_arguments(struct recording_writer *writer, int64_t process,
                                   const char *const *arguments, size_t count);
int recording_writer_put_thread(struct recording_writer *writer,
                                const struct recording_thread *thread);

/* Returns the module's id (> 0), or a negative error. module->id and ->kind are ignored:
 * equal (path, build_id) give the same id, also when it was written by an earlier run of
 * the writer. */
int64_t recording_writer_add_module(struct recording_writer *writer,
                                    const struct recording_module *module);
int recording_writer_add_mapping(struct recording_writer *writer,
                                 const struct recording_mapping *mapping);
/* Returns the address's id (> 0), or a negative error. module 0: offset is absolute. */
int64_t recording_writer_add_address(struct recording_writer *writer, int64_t module,
                                     uint64_t offset);
/* node->address comes from recording_writer_add_address(). */
int recording_writer_add_node(struct recording_writer *writer, const struct recording_node *node);
int recording_writer_add_stack(struct recording_writer *writer,
                               const struct recording_stack *stack);

int recording_writer_put_site(struct recording_writer *writer, const struct recording_site *site);
int recording_writer_put_sample(struct recording_writer *writer,
                                const struct recording_sample *sample);
int recording_writer_put_cpu(struct recording_writer *writer, const struct recording_cpu *cpu);
int recording_writer_put_defect(struct recording_writer *writer,
                                const struct recording_defect *defect);

/* A snapshot and its rows; only sites whose counters changed since the snapshot before
 * need a row. */
int recording_writer_add_snapshot(struct recording_writer *writer,
                                  const struct recording_snapshot *snapshot);
int recording_writer_add_snapshot_process(struct recording_writer *writer,
                                          const struct recording_snapshot_process *row);
int recording_writer_add_snapshot_site(struct recording_writer *writer,
                                       const struct recording_snapshot_site *row);
/* Removes one snapshot; the states of all others stay as they were. -ENOENT: no such
 * snapshot (does not stick). */
int recording_writer_remove_snapshot(struct recording_writer *writer, int64_t snapshot);
/* Removes snapshots until at most snapshots_max remain and they have at most rows_max site
 * rows: those whose neighbours are close relative to their age go first, so that the
 * recent past stays dense. The first, the last, labelled ones and those that a census
 * belongs to stay. Returns the number removed, or a negative error. */
int64_t recording_writer_thin_snapshots(struct recording_writer *writer, int64_t snapshots_max,
                                        int64_t rows_max);

/* Points of a timeline; the same time again replaces. */
int recording_writer_put_point(struct recording_writer *writer,
                               const struct recording_point *point);
/* Forgets a process's points, to write a thinned series in their place. */
int recording_writer_clear_points(struct recording_writer *writer, int64_t process);

int recording_writer_put_census(struct recording_writer *writer,
                                const struct recording_census *census);
int recording_writer_put_census_site(struct recording_writer *writer,
                                     const struct recording_census_site *site);
int recording_writer_put_holder(struct recording_writer *writer,
                                const struct recording_holder *holder);
int recording_writer_put_ledger(struct recording_writer *writer,
                                const struct recording_ledger *ledger);
/* The text of a suppression file that was given with the run. */
int recording_writer_add_suppressions(struct recording_writer *writer, const char *origin,
                                      const char *text);

/* ---- symbols ------------------------------------------------------------- */

/* Calls visit(context, &address, &module) for every address that no symbolizer looked at
 * yet, ordered by module and offset; module is NULL for addresses without one. What is
 * passed is valid during the call only. visit returns 0 to go on, else the walk ends with
 * that value. No other call on this writer inside visit. */
int recording_writer_each_unresolved(struct recording_writer *writer,
                                     int (*visit)(void *context,
                                                  const struct recording_address *address,
                                                  const struct recording_module *module),
                                     void *context);
/* Marks an address as looked at and stores its inline chain chain[0..count), innermost
 * first (count 0: nothing found). chain[].address and .depth are ignored. */
int recording_writer_put_symbols(struct recording_writer *writer, int64_t address,
                                 const struct recording_symbol *chain, size_t count);
/* debug_info "full", "symbols" or "none"; hint: one line that tells how to get what is
 * missing, or NULL. */
int recording_writer_set_module_debug(struct recording_writer *writer, int64_t module,
                                      const char *debug_info, const char *hint);
/* Files and lines of symbols that a report may show, most used first: calls visit for
 * each distinct (file, line), at most `limit`. */
int recording_writer_each_source(struct recording_writer *writer, size_t limit,
                                 int (*visit)(void *context, const char *file, int64_t line),
                                 void *context);
int recording_writer_put_source_line(struct recording_writer *writer,
                                     const struct recording_source_line *line);

#endif
