/*
 * memtrack/gate.h - memory limits for one test, or any stretch of a program.
 *
 *   struct memtrack_gate gate;
 *   memtrack_gate_begin(&gate, "parse", &(struct memtrack_budget){
 *       .peak_bytes = MEMTRACK_AT_MOST(64 * 1024)});
 *   parse(document);
 *   if (!memtrack_gate_end(&gate)) { ... gate.message says which limit, by how much ... }
 *
 * What a budget does not name is not limited, except blocks that are left over: none may
 * be, unless may_keep is set. With may_keep_reachable only those count that nothing leads
 * to, as a leak scan finds; MEMTRACK_MAY_KEEP_REACHABLE, defined as 1 before this header,
 * sets that for all gates. What is meant to stay is excused where it is allocated:
 * memtrack_ignore(block), or MEMTRACK_EXCUSED { library_init(); }. What the C library keeps
 * for itself (the loader's data of threads and modules, buffers of streams) never counts.
 *
 * Ready for cmocka, GoogleTest and Catch2: memtrack/cmocka.h, googletest.h, catch2.h.
 *
 * Without memtrack, gates are inactive: they pass and say so once on standard error; with
 * MEMTRACK_REQUIRED=1 in the environment they fail.
 *
 * Threads: a gate counts what the whole process allocates; use one at a time.
 * Memory:  nothing is allocated.
 */
#ifndef MEMTRACK_GATE_H
#define MEMTRACK_GATE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <memtrack/memtrack.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What is one for a program whose files each include this header. */
#define MEMTRACK_SHARED __attribute__((weak))

struct memtrack_limit {
    bool is_set;
    int64_t most;
};
#ifdef __cplusplus
#define MEMTRACK_AT_MOST(n) memtrack_limit{true, (n)}
#else
#define MEMTRACK_AT_MOST(n) {true, (n)}
#endif

struct memtrack_budget {
    struct memtrack_limit live_blocks; /* left over at the end; default: at most 0 */
    struct memtrack_limit live_bytes;
    struct memtrack_limit peak_bytes; /* the most that live bytes rose above the start */
    struct memtrack_limit allocations;
    struct memtrack_limit temporaries; /* released before the thread allocated again */
    bool may_keep;                     /* blocks may be left over */
    bool may_keep_reachable;           /* those may that something still leads to */
};
#ifndef MEMTRACK_MAY_KEEP_REACHABLE
#define MEMTRACK_MAY_KEEP_REACHABLE 0
#endif

struct memtrack_gate {
    struct memtrack_mark mark;
    struct memtrack_budget budget;
    struct memtrack_usage usage; /* after memtrack_gate_end(): live_* are those left over */
    const char *name;
    char message[256]; /* after memtrack_gate_end(): what was exceeded, or "" */
};

extern bool memtrack_gate_was_said;
MEMTRACK_SHARED bool memtrack_gate_was_said;

/* Whether gates can see anything; says once, on standard error, when they cannot. */
static inline bool memtrack_gate_is_active(void)
{
    if (memtrack_is_tracking()) {
        return true;
    }
    if (!memtrack_gate_was_said) {
        memtrack_gate_was_said = true;
        fputs("memtrack: memory gates are inactive: this process is not tracked: run it under"
              " memtrack check\n",
              stderr);
    }
    return false;
}

/* `budget` may be NULL: no block may be left over. Strings are borrowed. */
static inline void memtrack_gate_begin(struct memtrack_gate *gate, const char *name,
                                       const struct memtrack_budget *budget)
{
    memset(gate, 0, sizeof *gate);
    gate->name = name;
    if (budget != NULL) {
        gate->budget = *budget;
    }
    gate->budget.may_keep_reachable =
        gate->budget.may_keep_reachable || MEMTRACK_MAY_KEEP_REACHABLE != 0;
    if (!gate->budget.may_keep && !gate->budget.live_blocks.is_set
        && !gate->budget.live_bytes.is_set) {
        gate->budget.live_blocks.is_set = true;
    }
    if (memtrack_gate_is_active()) {
        gate->mark = memtrack_mark_now();
    }
}

/* MEMTRACK_EXCUSED { ... }: what is allocated in the braces and still live at their end is
 * meant to stay, and no leak. Leave them at their end only. */
struct memtrack_excuse {
    struct memtrack_mark mark;
    bool is_done;
};
static inline struct memtrack_excuse memtrack_excuse_begin(void)
{
    struct memtrack_excuse excuse;
    excuse.mark = memtrack_mark_now();
    excuse.is_done = false;
    return excuse;
}
static inline void memtrack_excuse_end(struct memtrack_excuse *excuse)
{
    memtrack_ignore_since(&excuse->mark);
    excuse->is_done = true;
}
#define MEMTRACK_EXCUSED                                                              \
    for (struct memtrack_excuse memtrack_excused = memtrack_excuse_begin();           \
         !memtrack_excused.is_done; memtrack_excuse_end(&memtrack_excused))

static inline void memtrack_gate_say(struct memtrack_gate *gate, const char *what, int64_t actual,
                                     int64_t most)
{
    size_t used = strlen(gate->message);
    snprintf(gate->message + used, sizeof gate->message - used, "%s%s: %lld, at most %lld allowed",
             used == 0 ? "" : "; ", what, (long long)actual, (long long)most);
}

static inline bool memtrack_gate_check(struct memtrack_gate *gate, const char *what,
                                       const struct memtrack_limit *limit, int64_t actual)
{
    bool is_kept = !limit->is_set || actual <= limit->most;
    if (!is_kept) {
        memtrack_gate_say(gate, what, actual, limit->most);
    }
    return is_kept;
}

/* Dl_info of dlfcn.h, which declares it for GNU sources only. */
struct memtrack_gate_symbol {
    const char *file;
    void *base;
    const char *name;
    void *address;
};

/* The C library keeps such blocks for itself and uses them again: the loader's for modules
 * and for thread-local data of threads that ended, buffers of streams. */
static inline bool memtrack_gate_is_of_library(const struct memtrack_site *site)
{
    typedef int (*lookup_function)(const void *address, struct memtrack_gate_symbol *symbol);
    lookup_function look_up = (lookup_function)(uintptr_t)dlsym(RTLD_DEFAULT, "dladdr");
    struct memtrack_gate_symbol symbol = {NULL, NULL, NULL, NULL};
    void *caller = NULL;
    if (look_up == NULL || memtrack_stack(site->stack, &caller, 1) == 0
        || look_up((char *)caller - 1, &symbol) == 0) {
        return false;
    }
    const char *slash = symbol.file != NULL ? strrchr(symbol.file, '/') : NULL;
    return (slash != NULL && strncmp(slash, "/ld-linux", 9) == 0)
           || (symbol.name != NULL && strcmp(symbol.name, "_IO_file_doallocate") == 0);
}

/* Sites that left blocks over, most bytes first; more than these are not looked through. */
#define MEMTRACK_GATE_SITES 128

/* Counts what is left over in gate->usage.live_*, and fills sites[0..*count). Returns
 * whether it could be seen. */
static inline bool memtrack_gate_look(struct memtrack_gate *gate, struct memtrack_site *sites,
                                      size_t *count)
{
    struct memtrack_usage *usage = &gate->usage;
    struct memtrack_leaks leaks;
    *count = 0;
    if (usage->live_blocks == 0) {
        return true;
    }
    if (gate->budget.may_keep_reachable) {
        int error =
            memtrack_leak_check_since(&gate->mark, &leaks, sites, MEMTRACK_GATE_SITES, count);
        if (error != 0) {
            snprintf(gate->message, sizeof gate->message,
                     "%llu blocks are live, and a scan for what leads to them was not possible: %s",
                     (unsigned long long)usage->live_blocks, strerror(-error));
            return false;
        }
        usage->live_blocks = leaks.definite_blocks + leaks.indirect_blocks;
        usage->live_bytes = leaks.definite_bytes + leaks.indirect_bytes;
        return true;
    }
    size_t found = memtrack_sites_since(&gate->mark, sites, MEMTRACK_GATE_SITES);
    for (size_t i = 0; i < found; i++) {
        if (memtrack_gate_is_of_library(&sites[i])) {
            usage->live_blocks -= sites[i].blocks < usage->live_blocks ? sites[i].blocks
                                                                       : usage->live_blocks;
            usage->live_bytes -=
                sites[i].bytes < usage->live_bytes ? sites[i].bytes : usage->live_bytes;
        } else {
            sites[(*count)++] = sites[i];
        }
    }
    return true;
}

/* Judges what is left over, and prints it with its stacks if it should not be. */
static inline bool memtrack_gate_judge_left(struct memtrack_gate *gate)
{
    struct memtrack_site sites[MEMTRACK_GATE_SITES];
    size_t count = 0;
    char title[120];
    if (!gate->budget.live_blocks.is_set && !gate->budget.live_bytes.is_set) {
        return true;
    }
    if (!memtrack_gate_look(gate, sites, &count)) {
        return false;
    }
    bool is_lost = gate->budget.may_keep_reachable;
    bool has_few = memtrack_gate_check(gate, is_lost ? "blocks lost" : "blocks left over",
                                       &gate->budget.live_blocks, (int64_t)gate->usage.live_blocks);
    bool has_little = memtrack_gate_check(gate, is_lost ? "bytes lost" : "bytes left over",
                                          &gate->budget.live_bytes, (int64_t)gate->usage.live_bytes);
    if (has_few && has_little) {
        return true;
    }
    snprintf(title, sizeof title, "%.80s: %s", gate->name == NULL ? "" : gate->name,
             is_lost ? "lost" : "left over");
    fflush(NULL); /* what the test printed comes first */
    memtrack_print_sites(sites, count, title);
    return false;
}

/* Returns whether the budget was kept. If blocks are left over that should not be, they are
 * printed with their stacks. */
static inline bool memtrack_gate_end(struct memtrack_gate *gate)
{
    gate->message[0] = '\0';
    if (!gate->mark.is_valid) {
        const char *required = getenv("MEMTRACK_REQUIRED");
        bool is_required = required != NULL && strcmp(required, "1") == 0;
        if (is_required) {
            snprintf(gate->message, sizeof gate->message,
                     "MEMTRACK_REQUIRED is set, but this process is not tracked: run it under"
                     " memtrack check");
        }
        return !is_required;
    }
    struct memtrack_budget *budget = &gate->budget;
    if (budget->may_keep && budget->live_blocks.most == 0) {
        budget->live_blocks.is_set = false; /* said after the gate had begun */
    }
    gate->usage = memtrack_usage_since(&gate->mark);
    const struct memtrack_usage *usage = &gate->usage;
    bool is_low = memtrack_gate_check(gate, "peak bytes", &budget->peak_bytes, usage->peak_bytes);
    bool is_rare = memtrack_gate_check(gate, "allocations", &budget->allocations,
                                       (int64_t)usage->allocations);
    bool is_calm = memtrack_gate_check(gate, "temporary allocations", &budget->temporaries,
                                       (int64_t)usage->temporary_allocations);
    bool is_clean = memtrack_gate_judge_left(gate);
    return is_low && is_rare && is_calm && is_clean;
}

/* ---- repetitions ---------------------------------------------------------- */

#define MEMTRACK_REPEAT_WARM 2u     /* in these what is kept may be allocated */
#define MEMTRACK_REPEAT_MANY 10u    /* so many judged ones may have exceptions */
#define MEMTRACK_REPEAT_SITES 8192u /* more than these are not looked at */

/* Live bytes of a site, over repetitions. */
struct memtrack_repeat_site {
    uint32_t stack;
    bool is_used;
    unsigned rises; /* above all that was before */
    uint64_t first; /* after the warm repetitions */
    uint64_t most;
    uint64_t last;
};

struct memtrack_repeat_room {
    struct memtrack_site now[MEMTRACK_REPEAT_SITES];
    struct memtrack_repeat_site table[2 * MEMTRACK_REPEAT_SITES]; /* by stack; never full */
};

static inline struct memtrack_repeat_site *memtrack_repeat_find(struct memtrack_repeat_room *room,
                                                                uint32_t stack)
{
    uint32_t at = stack % (2 * MEMTRACK_REPEAT_SITES);
    while (room->table[at].is_used && room->table[at].stack != stack) {
        at = (at + 1) % (2 * MEMTRACK_REPEAT_SITES);
    }
    return &room->table[at];
}

static inline void memtrack_repeat_note(struct memtrack_repeat_room *room, unsigned repetition,
                                        unsigned *used)
{
    const struct memtrack_mark begin = {{0, 0, 0, 0, 0, 0, 0, 0}, 0, true}; /* all that is live */
    size_t count = memtrack_sites_since(&begin, room->now, MEMTRACK_REPEAT_SITES);
    for (size_t i = 0; i < count; i++) {
        struct memtrack_repeat_site *site = memtrack_repeat_find(room, room->now[i].stack);
        uint64_t bytes = room->now[i].bytes;
        if (!site->is_used) {
            if (*used == MEMTRACK_REPEAT_SITES) {
                continue;
            }
            (*used)++;
            site->is_used = true;
            site->stack = room->now[i].stack;
        }
        if (repetition == MEMTRACK_REPEAT_WARM) {
            site->first = bytes;
        } else if (bytes > site->most) {
            site->rises++;
        }
        site->most = bytes > site->most ? bytes : site->most;
        site->last = bytes;
    }
}

/* Whether the site grew with every repetition that was judged, or, of many, with three of four. */
static inline bool memtrack_repeat_grows(const struct memtrack_repeat_site *site, unsigned judged)
{
    return site->is_used && site->last > site->first
           && (site->rises == judged
               || (judged >= MEMTRACK_REPEAT_MANY && 4 * site->rises >= 3 * judged));
}

/* Sums what the growing sites add each time, and prints them. */
static inline int64_t memtrack_repeat_judge(struct memtrack_repeat_room *room, const char *name,
                                            const struct memtrack_mark *warm, unsigned judged)
{
    char title[120];
    int64_t sum = 0;
    for (size_t i = 0; i < 2 * MEMTRACK_REPEAT_SITES; i++) {
        const struct memtrack_repeat_site *site = &room->table[i];
        if (memtrack_repeat_grows(site, judged)) {
            int64_t each = (int64_t)((site->last - site->first) / judged);
            sum += each > 0 ? each : 1;
        }
    }
    if (sum == 0) {
        return 0;
    }
    size_t shown = 0;
    size_t count = memtrack_sites_since(warm, room->now, MEMTRACK_REPEAT_SITES);
    for (size_t i = 0; i < count; i++) {
        if (memtrack_repeat_grows(memtrack_repeat_find(room, room->now[i].stack), judged)) {
            room->now[shown++] = room->now[i];
        }
    }
    snprintf(title, sizeof title, "%.80s: grows with every repetition", name);
    fflush(NULL);
    memtrack_print_sites(room->now, shown, title);
    return sum;
}

/*
 * Calls function(argument) `repetitions` times (at least 4). What grows with every
 * repetition is a leak, reachable or not; what is allocated once, in the first two, is not,
 * nor is what grows now and then, as a table that doubles. Of twelve repetitions and more,
 * a quarter may be without growth.
 * Returns the bytes that each repetition adds, 0 when nothing grows or without memtrack;
 * prints what has grown.
 */
static inline int64_t memtrack_repeat(const char *name, void (*function)(void *argument),
                                      void *argument, unsigned repetitions)
{
    struct memtrack_mark warm = memtrack_mark_now();
    void *room = MAP_FAILED; /* not in the heap that is judged */
    unsigned used = 0;
    int64_t added = 0;
    if (repetitions < 4) {
        repetitions = 4;
    }
    if (memtrack_gate_is_active()) {
        room = mmap(NULL, sizeof(struct memtrack_repeat_room), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    for (unsigned i = 1; i <= repetitions; i++) {
        function(argument);
        if (room != MAP_FAILED && i >= MEMTRACK_REPEAT_WARM) {
            memtrack_repeat_note((struct memtrack_repeat_room *)room, i, &used);
        }
        if (i == MEMTRACK_REPEAT_WARM) {
            warm = memtrack_mark_now();
        }
    }
    if (room != MAP_FAILED) {
        added = memtrack_repeat_judge((struct memtrack_repeat_room *)room, name, &warm,
                                      repetitions - MEMTRACK_REPEAT_WARM);
        munmap(room, sizeof(struct memtrack_repeat_room));
    }
    return added;
}

#ifdef __cplusplus
}
#endif

#endif
