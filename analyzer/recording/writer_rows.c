/* The plain tables: one row in, one row out. */
#include "recording/writer_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const writer_sql[WRITER_STATEMENTS] = {
    [WRITER_RUN] = "INSERT OR REPLACE INTO run VALUES (?,?)",
    [WRITER_PROCESS] = "INSERT OR REPLACE INTO process VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,"
                       "?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    [WRITER_ARGUMENTS_DELETE] = "DELETE FROM process_argument WHERE process = ?",
    [WRITER_ARGUMENT] = "INSERT OR REPLACE INTO process_argument VALUES (?,?,?)",
    [WRITER_THREAD] = "INSERT OR REPLACE INTO thread VALUES (?,?,?,?,?)",
    [WRITER_MODULE] = "INSERT INTO module VALUES (?,?,?,?,?,?)",
    [WRITER_MAPPING] = "INSERT INTO mapping SELECT ?1,?2,?3,?4,?5,?6 WHERE NOT EXISTS (SELECT 1 "
                       "FROM mapping WHERE image = ?1 AND module = ?2 AND start = ?3 AND "
                       "end = ?4 AND epoch = ?6)",
    [WRITER_ADDRESS] = "INSERT INTO address VALUES (?,?,?,0)",
    [WRITER_NODES] = "INSERT OR REPLACE INTO packed_node VALUES (?,?,?)",
    [WRITER_NODES_LOAD] = "SELECT data FROM packed_node WHERE image = ? AND chunk = ?",
    [WRITER_STACKS] = "INSERT OR REPLACE INTO packed_stack VALUES (?,?,?)",
    [WRITER_STACKS_LOAD] = "SELECT data FROM packed_stack WHERE image = ? AND chunk = ?",
    [WRITER_SITES] = "INSERT OR REPLACE INTO packed_site VALUES (?,?,?)",
    [WRITER_SITES_LOAD] = "SELECT data FROM packed_site WHERE process = ? AND chunk = ?",
    [WRITER_LIFETIMES] = "INSERT OR REPLACE INTO packed_site_lifetime VALUES (?,?,?)",
    [WRITER_LIFETIMES_LOAD] =
        "SELECT data FROM packed_site_lifetime WHERE process = ? AND chunk = ?",
    [WRITER_SAMPLE] = "INSERT OR REPLACE INTO site_sample VALUES (?,?,?,?,?,?,?,?)",
    [WRITER_CPU] = "INSERT OR REPLACE INTO cpu VALUES (?,?,?,?,?,?,?)",
    [WRITER_DEFECT] = "INSERT OR REPLACE INTO defect VALUES (?,?,?,?,?,?,?,?)",
    [WRITER_SNAPSHOT] = "INSERT OR IGNORE INTO snapshot VALUES (?,?,?,?)",
    [WRITER_SNAPSHOT_PROCESS] = "INSERT OR REPLACE INTO snapshot_process VALUES (?,?,?,?,?,?)",
    [WRITER_SNAPSHOT_SITES] = "INSERT OR REPLACE INTO packed_snapshot_site VALUES (?,?,?,?)",
    [WRITER_SNAPSHOT_SITES_LOAD] = "SELECT data FROM packed_snapshot_site "
                                   "WHERE process = ? AND snapshot = ? AND chunk = ?",
    [WRITER_POINT] = "INSERT OR REPLACE INTO point VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    [WRITER_POINTS_DELETE] = "DELETE FROM point WHERE process = ?",
    [WRITER_CENSUS] = "INSERT OR REPLACE INTO census VALUES (?,?,?,?,?,?,?,?,?)",
    [WRITER_CENSUS_SITE] =
        "INSERT OR REPLACE INTO census_site VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    [WRITER_HOLDER] = "INSERT OR REPLACE INTO holder VALUES (?,?,?,?,?,?,?,?,?,?)",
    [WRITER_CENSUS_SITES_DELETE] = "DELETE FROM census_site WHERE census = ?",
    [WRITER_HOLDERS_DELETE] = "DELETE FROM holder WHERE census = ?",
    [WRITER_LEDGER] = "INSERT OR REPLACE INTO ledger VALUES (?,?,?,?)",
    [WRITER_SUPPRESSION] = "INSERT INTO suppression VALUES (NULL,?,?)",
    [WRITER_FUNCTION] = "INSERT INTO function VALUES (?,?,?,?)",
    [WRITER_FILE] = "INSERT INTO file VALUES (?,?)",
    [WRITER_SYMBOL] = "INSERT OR REPLACE INTO symbol VALUES (?,?,?,?,?,?)",
    [WRITER_ADDRESS_RESOLVED] = "UPDATE address SET is_resolved = 1 WHERE id = ?",
    [WRITER_MODULE_DEBUG] = "UPDATE module SET debug_info = ?, hint = ? WHERE id = ?",
    [WRITER_SOURCE_LINE] = "INSERT OR IGNORE INTO source_line VALUES (?,?,?)",
    [WRITER_SNAPSHOT_SITES_OF] =
        "SELECT process, chunk, data FROM packed_snapshot_site WHERE snapshot = ?",
    [WRITER_SNAPSHOT_ROWS] = "SELECT snapshot, sum(json_array_length(data)) "
                             "FROM packed_snapshot_site GROUP BY snapshot",
    [WRITER_SNAPSHOT_SITES_DELETE] = "DELETE FROM packed_snapshot_site WHERE snapshot = ?",
    [WRITER_SNAPSHOT_PROCESSES_DELETE] = "DELETE FROM snapshot_process WHERE snapshot = ?",
    [WRITER_LEDGER_DELETE] = "DELETE FROM ledger WHERE snapshot = ?",
    [WRITER_SNAPSHOT_DELETE] = "DELETE FROM snapshot WHERE snapshot = ?",
};

/* ---- the run ------------------------------------------------------------- */

int recording_writer_set_fact(struct recording_writer *writer, const char *key, const char *value)
{
    writer_start(writer, WRITER_RUN);
    writer_text(writer, key);
    writer_text(writer, value);
    return writer_run(writer);
}

static void writer_set_number(struct recording_writer *writer, const char *key, int64_t value)
{
    writer_start(writer, WRITER_RUN);
    writer_text(writer, key);
    writer_int(writer, value);
    writer_run(writer);
}

int recording_writer_set_run(struct recording_writer *writer, const struct recording_run *run)
{
    recording_writer_set_fact(writer, "memtrack_version", run->memtrack_version);
    recording_writer_set_fact(writer, "host", run->host);
    recording_writer_set_fact(writer, "kernel", run->kernel);
    recording_writer_set_fact(writer, "command", run->command);
    recording_writer_set_fact(writer, "working_directory", run->working_directory);
    recording_writer_set_fact(writer, "follow", run->follow);
    recording_writer_set_fact(writer, "leaks", run->leaks);
    recording_writer_set_fact(writer, "cpu_clock", run->cpu_clock);
    recording_writer_set_fact(writer, "allocator", run->allocator);
    writer_set_number(writer, "started_realtime_ns", run->started_realtime_ns);
    writer_set_number(writer, "tick_ns", run->tick_ns);
    writer_set_number(writer, "sample_bytes", run->sample_bytes);
    writer_set_number(writer, "cpu_hz", run->cpu_hz);
    writer_set_number(writer, "depth_max", run->depth_max);
    writer_set_number(writer, "tracks_mmap", run->tracks_mmap);
    writer_set_number(writer, "memory_limit_bytes", run->memory_limit_bytes);
    writer_set_number(writer, "recorder_cpu_ns", run->recorder_cpu_ns);
    return writer->failure.code;
}

/* ---- processes ----------------------------------------------------------- */

int recording_writer_put_process(struct recording_writer *writer,
                                 const struct recording_process *process)
{
    writer_start(writer, WRITER_PROCESS);
    writer_int(writer, process->id);
    writer_int(writer, process->parent);
    writer_int(writer, process->image);
    writer_int(writer, (int64_t)process->start);
    writer_int(writer, process->pid);
    writer_int(writer, process->parent_pid);
    writer_text(writer, process->executable);
    writer_text(writer, process->working_directory);
    writer_text(writer, process->allocator);
    writer_text(writer, process->untracked_reason);
    writer_int(writer, process->arguments_are_cut);
    writer_int(writer, process->started_ns);
    writer_int(writer, process->ended_ns);
    writer_int(writer, process->exit_status);
    writer_int(writer, process->signal);
    writer_int(writer, process->was_replaced);
    writer_int(writer, process->live_bytes);
    writer_int(writer, process->live_blocks);
    writer_int(writer, process->peak_bytes);
    writer_int(writer, process->peak_blocks);
    writer_int(writer, process->peak_ns);
    writer_int(writer, process->peak_rss_bytes);
    writer_int(writer, process->cpu_user_ns);
    writer_int(writer, process->cpu_system_ns);
    writer_int(writer, process->minor_faults);
    writer_int(writer, process->major_faults);
    writer_int(writer, process->threads);
    writer_int(writer, process->dropped_events);
    writer_int(writer, process->unknown_stacks);
    writer_int(writer, process->approximate_stacks);
    writer_int(writer, process->cut_stacks);
    writer_text(writer, process->cpu_sampling);
    writer_int(writer, process->cpu_samples_lost);
    writer_int(writer, process->cpu_threads_missed);
    writer_int(writer, process->errors_beyond_table);
    writer_int(writer, process->own_bytes);
    writer_text(writer, process->scan);
    return writer_run(writer);
}

int recording_writer_put_arguments(struct recording_writer *writer, int64_t process,
                                   const char *const *arguments, size_t count)
{
    writer_start(writer, WRITER_ARGUMENTS_DELETE);
    writer_int(writer, process);
    writer_run(writer);
    for (size_t i = 0; i < count; i++) {
        writer_start(writer, WRITER_ARGUMENT);
        writer_int(writer, process);
        writer_int(writer, (int64_t)i);
        writer_text(writer, arguments[i]);
        writer_run(writer);
    }
    return writer->failure.code;
}

int recording_writer_put_thread(struct recording_writer *writer,
                                const struct recording_thread *thread)
{
    writer_start(writer, WRITER_THREAD);
    writer_int(writer, thread->process);
    writer_int(writer, thread->thread);
    writer_int(writer, thread->tid);
    writer_text(writer, thread->name);
    writer_int(writer, thread->threads_served);
    return writer_run(writer);
}

/* ---- modules and stacks -------------------------------------------------- */

int64_t recording_writer_add_module(struct recording_writer *writer,
                                    const struct recording_module *module)
{
    const char *path = module->path != NULL ? module->path : "";
    size_t path_bytes = strlen(path) + 1;
    size_t id_bytes = module->build_id != NULL ? module->build_id_bytes : 0;
    char *key = malloc(path_bytes + id_bytes);
    if (key == NULL) {
        return writer_fail(writer, SQLITE_NOMEM);
    }
    memcpy(key, path, path_bytes);
    if (id_bytes > 0) {
        memcpy(key + path_bytes, module->build_id, id_bytes);
    }
    bool is_new;
    int64_t id = intern_texts_get(&writer->modules, key, path_bytes + id_bytes, &is_new);
    free(key);
    if (is_new) {
        writer_start(writer, WRITER_MODULE);
        writer_int(writer, id);
        writer_text(writer, module->path);
        writer_blob(writer, id_bytes > 0 ? module->build_id : NULL, id_bytes);
        writer_int(writer, (int64_t)recording_module_kind_of(module->path));
        writer_text(writer, module->debug_info);
        writer_text(writer, module->hint);
        writer_run(writer);
    }
    return writer->failure.code != 0 ? writer->failure.code : id;
}

int recording_writer_add_mapping(struct recording_writer *writer,
                                 const struct recording_mapping *mapping)
{
    writer_start(writer, WRITER_MAPPING);
    writer_int(writer, mapping->image);
    writer_int(writer, mapping->module);
    writer_int(writer, (int64_t)mapping->start);
    writer_int(writer, (int64_t)mapping->end);
    writer_int(writer, (int64_t)mapping->load_bias);
    writer_int(writer, mapping->epoch);
    return writer_run(writer);
}

int64_t recording_writer_add_address(struct recording_writer *writer, int64_t module,
                                     uint64_t offset)
{
    bool is_new;
    int64_t id = intern_addresses_get(&writer->addresses, (uint32_t)module, offset, &is_new);
    if (is_new) {
        writer_start(writer, WRITER_ADDRESS);
        writer_int(writer, id);
        writer_int(writer, module);
        writer_int(writer, (int64_t)offset);
        writer_run(writer);
    }
    return writer->failure.code != 0 ? writer->failure.code : id;
}

int recording_writer_add_node(struct recording_writer *writer, const struct recording_node *node)
{
    int64_t values[] = {node->parent, node->address};
    writer_put_packed(writer, PACKED_NODE,
                      &(struct writer_row_key){.first = node->image, .id = node->node}, values,
                      false);
    return writer->failure.code;
}

int recording_writer_add_stack(struct recording_writer *writer, const struct recording_stack *stack)
{
    int64_t values[] = {stack->leaf, stack->depth, stack->flags};
    writer_put_packed(writer, PACKED_STACK,
                      &(struct writer_row_key){.first = stack->image, .id = stack->stack}, values,
                      false);
    return writer->failure.code;
}

/* ---- sites --------------------------------------------------------------- */

int recording_writer_put_site(struct recording_writer *writer, const struct recording_site *site)
{
    int64_t values[] = {site->allocations,
                        site->allocated_bytes,
                        packed_live(site->allocations, site->frees),
                        packed_live(site->allocated_bytes, site->freed_bytes),
                        site->temporaries,
                        site->peak_blocks,
                        site->peak_bytes,
                        site->inherited_blocks,
                        site->inherited_bytes};
    struct writer_row_key key = {.first = site->process, .id = site->stack};
    writer_put_packed(writer, PACKED_SITE, &key, values, true);
    bool has_lifetimes = false;
    for (size_t i = 0; i < RECORDING_LIFETIME_BUCKETS; i++) {
        has_lifetimes |= site->lifetimes[i] != 0;
    }
    if (has_lifetimes) {
        writer_put_packed(writer, PACKED_LIFETIME, &key, site->lifetimes, true);
    }
    return writer->failure.code;
}

int recording_writer_put_sample(struct recording_writer *writer,
                                const struct recording_sample *sample)
{
    writer_start(writer, WRITER_SAMPLE);
    writer_int(writer, sample->process);
    writer_int(writer, sample->stack);
    writer_int(writer, sample->sampled_allocations);
    writer_int(writer, sample->sampled_frees);
    writer_real(writer, sample->allocations_variance);
    writer_real(writer, sample->allocated_bytes_variance);
    writer_real(writer, sample->live_blocks_variance);
    writer_real(writer, sample->live_bytes_variance);
    return writer_run(writer);
}

int recording_writer_put_cpu(struct recording_writer *writer, const struct recording_cpu *cpu)
{
    writer_start(writer, WRITER_CPU);
    writer_int(writer, cpu->process);
    writer_int(writer, cpu->thread);
    writer_int(writer, cpu->stack);
    writer_int(writer, cpu->samples);
    writer_int(writer, cpu->system_samples);
    writer_int(writer, cpu->allocator_samples);
    writer_int(writer, cpu->allocator_system_samples);
    return writer_run(writer);
}

int recording_writer_put_defect(struct recording_writer *writer,
                                const struct recording_defect *defect)
{
    writer_start(writer, WRITER_DEFECT);
    writer_int(writer, defect->process);
    writer_int(writer, (int64_t)defect->kind);
    writer_int(writer, defect->release_stack);
    writer_int(writer, defect->allocation_stack);
    /* Part of the key, where a NULL would be refused. */
    writer_text(writer, defect->allocated_as != NULL ? defect->allocated_as : "");
    writer_text(writer, defect->released_as != NULL ? defect->released_as : "");
    writer_int(writer, defect->count);
    writer_int(writer, (int64_t)defect->address);
    return writer_run(writer);
}

/* ---- timeline ------------------------------------------------------------ */

int recording_writer_put_point(struct recording_writer *writer, const struct recording_point *point)
{
    writer_start(writer, WRITER_POINT);
    writer_int(writer, point->process);
    writer_int(writer, point->time_ns);
    writer_int(writer, point->live_bytes);
    writer_int(writer, point->live_min_bytes);
    writer_int(writer, point->live_max_bytes);
    writer_int(writer, point->live_blocks);
    writer_int(writer, point->rss_bytes);
    writer_int(writer, point->allocations);
    writer_int(writer, point->cpu_ns);
    writer_int(writer, point->allocator_allocated_bytes);
    writer_int(writer, point->allocator_active_bytes);
    writer_int(writer, point->allocator_metadata_bytes);
    writer_int(writer, point->allocator_resident_bytes);
    writer_int(writer, point->allocator_retained_bytes);
    return writer_run(writer);
}

int recording_writer_clear_points(struct recording_writer *writer, int64_t process)
{
    writer_start(writer, WRITER_POINTS_DELETE);
    writer_int(writer, process);
    return writer_run(writer);
}

/* ---- census -------------------------------------------------------------- */

int recording_writer_put_census_site(struct recording_writer *writer,
                                     const struct recording_census_site *site)
{
    writer_start(writer, WRITER_CENSUS_SITE);
    writer_int(writer, site->census);
    writer_int(writer, site->stack);
    for (size_t i = 0; i < RECORDING_LEAK_CLASSES; i++) {
        writer_int(writer, site->blocks[i]);
        writer_int(writer, site->bytes[i]);
    }
    writer_int(writer, site->led_blocks);
    writer_int(writer, site->led_bytes);
    writer_int(writer, site->oldest_ns);
    writer_int(writer, site->retained_bytes);
    writer_int(writer, site->pinned_pages);
    writer_int(writer, site->pinned_bytes);
    return writer_run(writer);
}

int recording_writer_put_holder(struct recording_writer *writer,
                                const struct recording_holder *holder)
{
    writer_start(writer, WRITER_HOLDER);
    writer_int(writer, holder->census);
    writer_int(writer, holder->stack);
    writer_int(writer, holder->chain);
    writer_int(writer, holder->step);
    writer_int(writer, (int64_t)holder->kind);
    writer_int(writer, holder->holder_stack);
    writer_int(writer, holder->address);
    writer_text(writer, holder->text);
    writer_int(writer, holder->blocks);
    writer_int(writer, holder->bytes);
    return writer_run(writer);
}

int recording_writer_put_ledger(struct recording_writer *writer,
                                const struct recording_ledger *ledger)
{
    writer_start(writer, WRITER_LEDGER);
    writer_int(writer, ledger->snapshot);
    writer_int(writer, ledger->process);
    writer_text(writer, ledger->item);
    writer_int(writer, ledger->bytes);
    return writer_run(writer);
}

int recording_writer_add_suppressions(struct recording_writer *writer, const char *origin,
                                      const char *text)
{
    writer_start(writer, WRITER_SUPPRESSION);
    writer_text(writer, origin);
    writer_text(writer, text);
    return writer_run(writer);
}
