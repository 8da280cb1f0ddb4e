/*
 * symbolize/resolve.c - many addresses at once: sorted, cut into jobs by unit, and spread
 * over threads.
 */
#include "symbolize/module.h"
#include "symbolize/symbolizer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A chain is cut here; sound code nests some dozens of inlined calls. */
#define CHAIN_MAX 256u
/* Below this much debug information and this many addresses a thread costs more than it
 * saves. */
#define THREAD_WORTH_BYTES ((uint64_t)256 * 1024)
#define THREAD_WORTH_ADDRESSES 4096u

struct lookup {
    uint64_t address;
    size_t index;
};

/* lookups[first..last) lie in one unit, or in none (INTERVAL_MAP_NONE). */
struct job {
    uint32_t unit;
    uint32_t owner;  /* the handle that built the unit's index, if is_owned */
    bool is_owned;
    uint64_t weight; /* bytes of debug information */
    size_t first;
    size_t last;
};

struct resolve {
    struct symbolizer_module *module;
    struct lookup *lookups;
    struct job *jobs;
    size_t job_count;
    unsigned thread_count;
    _Atomic size_t next_job;
    _Atomic int result;
    pthread_mutex_t answer_lock;
    symbolizer_answer_function *answer;
    void *context;
};

struct worker {
    struct resolve *resolve;
    uint32_t number;
    pthread_t thread;
    struct symbolizer_frame frames[CHAIN_MAX];
};

static int lookup_compare(const void *left, const void *right)
{
    const struct lookup *a = left;
    const struct lookup *b = right;
    if (a->address != b->address) {
        return a->address < b->address ? -1 : 1;
    }
    return a->index < b->index ? -1 : a->index > b->index;
}

/* ---- one address -------------------------------------------------------- */

/* The symbol's name where debug information has no function. */
static size_t frames_from_symbol(struct symbolizer_module *module, uint64_t address,
                                 struct symbolizer_frame *frame)
{
    const struct symbol_table_entry *symbol = NULL;
    if (debug_file_is_code(&module->file, address)) {
        symbol = symbol_table_find(module_symbols(module), address, false);
    }
    if (symbol == NULL) {
        return frame->file != NULL ? 1 : 0;
    }
    struct string_pool *pool = &module->symbolizer->pool;
    const char *name = string_pool_intern(pool, symbol->name, symbol->name_length);
    frame->linkage_name = name;
    frame->function = name == NULL ? NULL : string_pool_demangled(pool, name);
    frame->function_start = symbol->start;
    return 1;
}

static void resolve_answer(struct resolve *resolve, const struct lookup *lookup,
                           const struct symbolizer_frame *frames, size_t count,
                           enum symbolizer_quality quality)
{
    const struct symbolizer_answer answer = {
        .index = lookup->index, .quality = quality, .frames = frames, .frame_count = count};
    pthread_mutex_lock(&resolve->answer_lock);
    if (resolve->module->cache != NULL) {
        answer_cache_add(resolve->module->cache, lookup->address, &answer);
    }
    resolve->answer(resolve->context, &answer);
    pthread_mutex_unlock(&resolve->answer_lock);
}

/*
 * Debug information may lack a name where the symbol table has one: functions of
 * assembler files, artificial ones. Lambdas and functions local to a file have a bare
 * name there ("operator()") and a full one in the symbol table.
 */
static void outermost_name(struct symbolizer_module *module, const struct unit_index *index,
                           uint64_t address, struct symbolizer_frame *frames, size_t *count)
{
    struct symbolizer_frame *last = &frames[*count - 1];
    if (last->is_inlined && *count < CHAIN_MAX) {
        last = &frames[*count];
        *last = (struct symbolizer_frame){0};
        *count += frames_from_symbol(module, address, last);
    } else if (last->function == NULL) {
        frames_from_symbol(module, address, last);
    } else if (last->linkage_name == NULL && index->is_mangled && last->function_start != 0) {
        const struct symbol_table_entry *symbol =
            symbol_table_find(module_symbols(module), last->function_start, false);
        if (symbol != NULL && symbol->start == last->function_start
            && strncmp(symbol->name, "_Z", 2) == 0) {
            frames_from_symbol(module, last->function_start, last);
        }
    }
}

/* An address that no unit claims may belong to one that does not say what it covers. */
static struct unit_index *find_unmapped(struct worker *worker, uint64_t address)
{
    struct resolve *resolve = worker->resolve;
    struct symbolizer_module *module = resolve->module;
    struct unit_index *found = NULL;
    int result = 0;
    size_t kept = 0;
    for (size_t i = 0; i < module->unmapped_count; i++) {
        uint32_t unit = module->unmapped_units[i];
        struct unit_index *index = module_unit_index(module, unit, worker->number, &result);
        if (index != NULL && index->map.count == 0) {
            /* No code in it, as in the units that link-time optimisation leaves behind. */
            module_unit_drop(module, unit);
            index = NULL;
        }
        if (index != NULL) {
            module->unmapped_units[kept++] = unit;
            if (found == NULL && interval_map_find(&index->map, address) != INTERVAL_MAP_NONE) {
                found = index;
            }
        }
    }
    module->unmapped_count = kept;
    if (result != 0) {
        atomic_store_explicit(&resolve->result, result, memory_order_relaxed);
    }
    return found;
}

static void resolve_lookup(struct worker *worker, struct unit_index *index,
                           const struct lookup *lookup)
{
    struct resolve *resolve = worker->resolve;
    struct symbolizer_module *module = resolve->module;
    struct symbolizer_frame *frames = worker->frames;
    struct string_pool *pool = &module->symbolizer->pool;
    frames[0] = (struct symbolizer_frame){0};
    size_t count = 0;
    if (index != NULL) {
        count = unit_index_resolve(index, pool, lookup->address, frames, CHAIN_MAX);
        if (count == 0 && !index->is_complete
            && unit_index_complete(index, &module->file) == 0) {
            count = unit_index_resolve(index, pool, lookup->address, frames, CHAIN_MAX);
        }
    }
    enum symbolizer_quality quality = SYMBOLIZER_QUALITY_DEBUG;
    if (count > 0) {
        outermost_name(module, index, lookup->address, frames, &count);
    } else {
        count = frames_from_symbol(module, lookup->address, &frames[0]);
        quality = count > 0 ? SYMBOLIZER_QUALITY_SYMBOL : SYMBOLIZER_QUALITY_NONE;
    }
    resolve_answer(resolve, lookup, frames, count, quality);
}

/* ---- jobs --------------------------------------------------------------- */

static void run_unit_job(struct worker *worker, const struct job *job, uint32_t handle)
{
    struct resolve *resolve = worker->resolve;
    struct symbolizer_module *module = resolve->module;
    int result = 0;
    struct unit_index *index = module_unit_index(module, job->unit, handle, &result);
    for (size_t i = job->first; i < job->last; i++) {
        resolve_lookup(worker, index, &resolve->lookups[i]);
    }
    if (result != 0) {
        atomic_store_explicit(&resolve->result, result, memory_order_relaxed);
    }
    size_t share = module->symbolizer->memory_max_bytes / module->symbolizer->thread_count;
    if (module->handles[handle].memory_bytes > share) {
        module_handle_drop(module, handle);
        debug_file_release_pages(&module->file);
    }
}

/* Addresses outside all units that say what they cover; after the other jobs, because it
 * may ask any unit. */
static void run_outside_job(struct worker *worker, const struct job *job)
{
    struct resolve *resolve = worker->resolve;
    for (size_t i = job->first; i < job->last; i++) {
        const struct lookup *lookup = &resolve->lookups[i];
        struct unit_index *index = NULL;
        if (debug_file_is_code(&resolve->module->file, lookup->address)) {
            index = find_unmapped(worker, lookup->address);
        }
        resolve_lookup(worker, index, lookup);
    }
}

static void *worker_run(void *argument)
{
    struct worker *worker = argument;
    struct resolve *resolve = worker->resolve;
    /* Units built in an earlier call belong to a handle, so to one thread. */
    for (size_t i = 0; i < resolve->job_count; i++) {
        const struct job *job = &resolve->jobs[i];
        if (job->is_owned && job->owner % resolve->thread_count == worker->number) {
            run_unit_job(worker, job, job->owner);
        }
    }
    for (;;) {
        size_t i = atomic_fetch_add_explicit(&resolve->next_job, 1, memory_order_relaxed);
        if (i >= resolve->job_count) {
            return NULL;
        }
        uint32_t unit = resolve->jobs[i].unit;
        bool is_first_of_unit = i == 0 || resolve->jobs[i - 1].unit != unit;
        if (unit == INTERVAL_MAP_NONE || resolve->jobs[i].is_owned || !is_first_of_unit) {
            continue;
        }
        /* A unit's index is one thread's: it does all jobs of the unit. */
        for (; i < resolve->job_count && resolve->jobs[i].unit == unit; i++) {
            run_unit_job(worker, &resolve->jobs[i], worker->number);
        }
    }
}

/* Cuts the sorted lookups by unit. Returns 0 or -ENOMEM. */
static int resolve_cut_jobs(struct resolve *resolve, size_t count)
{
    struct symbolizer_module *module = resolve->module;
    size_t room = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t unit = interval_map_find(&module->unit_map, resolve->lookups[i].address);
        if (resolve->job_count == 0 || resolve->jobs[resolve->job_count - 1].unit != unit) {
            if (resolve->job_count == room) {
                room = room == 0 ? 64 : room * 2;
                struct job *jobs = reallocarray(resolve->jobs, room, sizeof(jobs[0]));
                if (jobs == NULL) {
                    return -ENOMEM;
                }
                resolve->jobs = jobs;
            }
            resolve->jobs[resolve->job_count++] = (struct job){.unit = unit, .first = i};
        }
        resolve->jobs[resolve->job_count - 1].last = i + 1;
    }
    return 0;
}

/* By unit, the largest first: the last job to end should be a small one. A unit's code
 * often lies in several places; all of them are one thread's work. */
static int job_compare(const void *left, const void *right)
{
    const struct job *a = left;
    const struct job *b = right;
    if (a->weight != b->weight) {
        return a->weight > b->weight ? -1 : 1;
    }
    if (a->unit != b->unit) {
        return a->unit < b->unit ? -1 : 1;
    }
    return a->first < b->first ? -1 : a->first > b->first;
}

static unsigned resolve_plan_threads(struct resolve *resolve, size_t count)
{
    struct symbolizer_module *module = resolve->module;
    uint64_t bytes = 0;
    size_t units = 0;
    for (size_t i = 0; i < resolve->job_count; i++) {
        struct job *job = &resolve->jobs[i];
        if (job->unit == INTERVAL_MAP_NONE) {
            continue;
        }
        const struct module_unit *unit = &module->units[job->unit];
        job->weight = unit->length_bytes;
        job->is_owned = unit->index != NULL;
        job->owner = unit->owner;
        bytes += job->is_owned ? 0 : unit->length_bytes;
        units++;
    }
    qsort(resolve->jobs, resolve->job_count, sizeof(resolve->jobs[0]), job_compare);
    unsigned threads = module->symbolizer->thread_count;
    if ((bytes < THREAD_WORTH_BYTES && count < THREAD_WORTH_ADDRESSES) || units < 2) {
        return 1;
    }
    return threads;
}

/* All jobs of units, on this thread and others. */
static int resolve_run_units(struct resolve *resolve)
{
    struct worker *workers = calloc(resolve->thread_count, sizeof(workers[0]));
    if (workers == NULL) {
        return -ENOMEM;
    }
    unsigned started = 1;
    for (unsigned i = 0; i < resolve->thread_count; i++) {
        workers[i].resolve = resolve;
        workers[i].number = i;
    }
    while (started < resolve->thread_count
           && pthread_create(&workers[started].thread, NULL, worker_run, &workers[started]) == 0) {
        started++;
    }
    worker_run(&workers[0]);
    for (unsigned i = 1; i < started; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    /* Threads that could not be started leave the jobs that only they may do. */
    for (unsigned i = started; i < resolve->thread_count; i++) {
        worker_run(&workers[i]);
    }
    for (size_t i = 0; i < resolve->job_count; i++) {
        if (resolve->jobs[i].unit == INTERVAL_MAP_NONE) {
            run_outside_job(&workers[0], &resolve->jobs[i]);
        }
    }
    free(workers);
    return atomic_load_explicit(&resolve->result, memory_order_relaxed);
}

/* Answers what earlier runs found out. Returns how many lookups are left. */
static size_t resolve_from_cache(struct resolve *resolve, size_t count)
{
    struct answer_cache *cache = resolve->module->cache;
    struct symbolizer_frame *frames =
        cache == NULL ? NULL : malloc(CHAIN_MAX * sizeof(frames[0]));
    size_t left = 0;
    for (size_t i = 0; frames != NULL && i < count; i++) {
        struct symbolizer_answer answer = {.index = resolve->lookups[i].index, .frames = frames};
        if (answer_cache_find(cache, resolve->lookups[i].address, frames, CHAIN_MAX,
                              &answer.frame_count, &answer.quality)) {
            resolve->answer(resolve->context, &answer);
        } else {
            resolve->lookups[left++] = resolve->lookups[i];
        }
    }
    free(frames);
    return frames == NULL ? count : left;
}

/* Reads the debug information. */
static int resolve_from_files(struct resolve *resolve, size_t count)
{
    int result = module_open_units(resolve->module);
    if (result == 0) {
        result = resolve_cut_jobs(resolve, count);
    }
    if (result == 0) {
        pthread_mutex_init(&resolve->answer_lock, NULL);
        resolve->thread_count = resolve_plan_threads(resolve, count);
        result = resolve_run_units(resolve);
        pthread_mutex_destroy(&resolve->answer_lock);
    }
    return result;
}

static int resolve_locked(struct symbolizer_module *module, const struct symbolizer_query *queries,
                          size_t count, symbolizer_answer_function *answer, void *context)
{
    int result = module_open_files(module);
    if (result != 0) {
        return result;
    }
    struct resolve resolve = {.module = module, .answer = answer, .context = context};
    resolve.lookups = malloc(count * sizeof(resolve.lookups[0]));
    if (resolve.lookups == NULL) {
        return -ENOMEM;
    }
    bool is_sorted = true;
    for (size_t i = 0; i < count; i++) {
        uint64_t offset = queries[i].offset;
        bool is_before = queries[i].is_return_address && offset > 0;
        resolve.lookups[i] = (struct lookup){.address = offset - (is_before ? 1 : 0), .index = i};
        is_sorted = is_sorted && (i == 0 || resolve.lookups[i - 1].address <= resolve.lookups[i].address);
    }
    if (!is_sorted) {
        qsort(resolve.lookups, count, sizeof(resolve.lookups[0]), lookup_compare);
    }
    count = resolve_from_cache(&resolve, count);
    if (count > 0) {
        result = resolve_from_files(&resolve, count);
    }
    free(resolve.jobs);
    free(resolve.lookups);
    return result;
}

int symbolizer_resolve(struct symbolizer_module *module, const struct symbolizer_query *queries,
                       size_t count, symbolizer_answer_function *answer, void *context)
{
    if (count == 0) {
        return 0;
    }
    pthread_mutex_lock(&module->lock);
    int result = resolve_locked(module, queries, count, answer, context);
    pthread_mutex_unlock(&module->lock);
    return result;
}
