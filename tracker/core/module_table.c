#include "core/module_table.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <string.h>

#include "core/module_identity.h"

#define MODULE_CHUNK_BYTES (ARENA_MODULES_PER_CHUNK * sizeof(struct arena_module))

/* How many epochs, newest first, are tried before a new one is made. Epoch 0 is always. */
#define EPOCHS_TRIED 64u

/* What an epoch says about a range of addresses. */
enum module_verdict {
    MODULE_UNKNOWN, /* nothing */
    MODULE_SAME,    /* that this module is there */
    MODULE_OTHER    /* that something else is there, at least in a part of it */
};

/* ---- reading the shared tables ------------------------------------------ */

/* Returns the slot of log position `position`, or -1. */
static int32_t log_slot(const struct arena_image *image, uint32_t position)
{
    uint32_t entry = atomic_load_explicit(&image->module_log[position], memory_order_acquire);
    return entry == 0 || entry > ARENA_MODULES_MAX ? -1 : (int32_t)(entry - 1);
}

/* Returns the end of the log. The hint may be behind: whoever appended was killed, or has
 * not come to it yet. */
static uint32_t log_end(const struct arena_image *image)
{
    uint32_t end = atomic_load_explicit(&image->module_count, memory_order_relaxed);
    if (end > ARENA_MODULES_MAX) {
        end = 0;
    }
    while (end < ARENA_MODULES_MAX
           && atomic_load_explicit(&image->module_log[end], memory_order_acquire) != 0) {
        end++;
    }
    return end;
}

static struct arena_module *module_at(const struct arena *arena, const struct arena_image *image,
                                      uint32_t slot)
{
    uint64_t offset = atomic_load_explicit(&image->module_chunk[slot / ARENA_MODULES_PER_CHUNK],
                                           memory_order_acquire);
    struct arena_module *chunk = arena_at(arena, offset, MODULE_CHUNK_BYTES);
    return chunk == NULL ? NULL : &chunk[slot % ARENA_MODULES_PER_CHUNK];
}

int32_t module_table_parent(const struct arena_image *image, uint32_t epoch)
{
    if (epoch == 0 || epoch >= ARENA_EPOCHS_MAX) {
        return -1;
    }
    uint32_t parent = atomic_load_explicit(&image->epoch_parent[epoch], memory_order_acquire);
    return parent == 0 || parent > epoch ? -1 : (int32_t)(parent - 1);
}

static bool epoch_is_valid(const struct arena_image *image, uint32_t epoch)
{
    return epoch == 0 || module_table_parent(image, epoch) >= 0;
}

/* True if `ancestor` is `epoch` or above it. */
static bool epoch_inherits(const struct arena_image *image, uint32_t epoch, uint32_t ancestor)
{
    int64_t at = epoch;
    while (at > ancestor) {
        at = module_table_parent(image, (uint32_t)at);
    }
    return at == ancestor;
}

/*
 * Returns the log position of the module that `epoch` has within [start, end), from the
 * nearest epoch that has any, or -1. One pass: children have greater numbers than their
 * parents, so the nearest is the greatest that is inherited from.
 */
static int32_t epoch_find(const struct arena_image *image, uint32_t epoch, uint64_t start,
                          uint64_t end)
{
    uint32_t count = log_end(image);
    int32_t best = -1;
    uint32_t best_epoch = 0;
    for (uint32_t i = 0; i < count; i++) {
        int32_t slot = log_slot(image, i);
        if (slot < 0) {
            continue;
        }
        const struct arena_module_range *range = &image->module_range[slot];
        if (range->start < end && start < range->end && range->epoch <= epoch
            && (best < 0 || range->epoch > best_epoch)
            && epoch_inherits(image, epoch, range->epoch)) {
            best = (int32_t)i;
            best_epoch = range->epoch;
        }
    }
    return best;
}

/* True if the module at this log position is the very one: same place, same file. */
static bool module_is(const struct module_table *table, int32_t position,
                      const struct module_identity *identity)
{
    int32_t slot = log_slot(table->image, (uint32_t)position);
    const struct arena_module *module = NULL;
    if (slot >= 0) {
        module = module_at(&table->arena, table->image, (uint32_t)slot);
    }
    if (module == NULL) {
        return false;
    }
    if (identity->is_anonymous) {
        return strcmp(module->path, MODULE_PATH_ANONYMOUS) == 0;
    }
    if (module->start != identity->start || module->end != identity->end
        || module->load_bias != identity->load_bias
        || module->build_id_bytes != identity->build_id_bytes) {
        return false;
    }
    if (identity->build_id_bytes > 0) {
        return memcmp(module->build_id, identity->build_id, identity->build_id_bytes) == 0;
    }
    return strncmp(module->path, identity->path, sizeof module->path - 1) == 0;
}

static _Atomic uint64_t *cache_slot(struct module_table *table, uint64_t start)
{
    return &table->cache[(start * UINT64_C(0x9e3779b97f4a7c15)) >> 58];
}
_Static_assert(MODULE_TABLE_CACHE == 1u << (64 - 58), "the shift above gives a cache index");

static enum module_verdict epoch_judge(struct module_table *table, uint32_t epoch,
                                       const struct module_identity *identity)
{
    _Atomic uint64_t *cached = cache_slot(table, identity->start);
    uint64_t guess = atomic_load_explicit(cached, memory_order_relaxed);
    /* What once was the same under an epoch stays so: only the file has to be compared. */
    if (guess >> 32 == epoch && (uint32_t)guess != 0
        && module_is(table, (int32_t)(uint32_t)guess - 1, identity)) {
        return MODULE_SAME;
    }
    int32_t position = epoch_find(table->image, epoch, identity->start, identity->end);
    if (position < 0) {
        return MODULE_UNKNOWN;
    }
    if (!module_is(table, position, identity)) {
        return MODULE_OTHER;
    }
    if (!identity->is_anonymous) {
        atomic_store_explicit(cached, (uint64_t)epoch << 32 | ((uint32_t)position + 1),
                              memory_order_relaxed);
    }
    return MODULE_SAME;
}

/* ---- adding to them ----------------------------------------------------- */

/* Hands out the next number below `limit`, or -1. */
static int32_t number_claim(_Atomic uint32_t *next, uint32_t limit)
{
    uint32_t number = atomic_load_explicit(next, memory_order_relaxed);
    do {
        if (number >= limit) {
            return -1;
        }
    } while (!atomic_compare_exchange_weak_explicit(next, &number, number + 1,
                                                    memory_order_relaxed, memory_order_relaxed));
    return (int32_t)number;
}

/* Fills a slot that nobody sees yet. Returns it, or -1 when there is none. */
static int32_t module_fill(struct module_table *table, uint32_t epoch,
                           const struct module_identity *identity)
{
    struct arena_image *image = table->image;
    int32_t slot = number_claim(&image->module_slots, ARENA_MODULES_MAX);
    if (slot < 0) {
        return -1;
    }
    uint32_t chunk_number = (uint32_t)slot / ARENA_MODULES_PER_CHUNK;
    struct arena_module *chunk =
        arena_chunk_get(&table->arena, image->module_chunk, chunk_number, MODULE_CHUNK_BYTES);
    if (chunk == NULL) {
        return -1;
    }
    struct arena_module *module = &chunk[(uint32_t)slot % ARENA_MODULES_PER_CHUNK];
    module->start = identity->start;
    module->end = identity->end;
    module->load_bias = identity->load_bias;
    module->epoch = epoch;
    module->build_id_bytes = identity->build_id_bytes;
    if (identity->build_id_bytes > 0) {
        memcpy(module->build_id, identity->build_id, identity->build_id_bytes);
    }
    /* Fresh memory is zero, so the text is terminated. */
    memcpy(module->path, identity->path, strnlen(identity->path, sizeof module->path - 1));
    image->module_range[slot] = (struct arena_module_range){
        .start = identity->start, .end = identity->end, .epoch = epoch};
    return slot;
}

/*
 * Adds a module to an epoch, unless that has something there already (an epoch that is not
 * valid yet has only what was added to it: no parent). Returns the verdict that holds
 * afterwards; MODULE_UNKNOWN when a table is full.
 */
static enum module_verdict module_add(struct module_table *table, uint32_t epoch,
                                      const struct module_identity *identity)
{
    struct arena_image *image = table->image;
    int32_t slot = -1;
    for (;;) {
        /* First the end, then the look: what is appended later fails the exchange below. */
        uint32_t end = log_end(image);
        enum module_verdict verdict = epoch_judge(table, epoch, identity);
        if (verdict != MODULE_UNKNOWN) {
            return verdict; /* another's came first; a slot already filled is lost */
        }
        if (slot < 0) {
            slot = end < ARENA_MODULES_MAX ? module_fill(table, epoch, identity) : -1;
        }
        if (slot < 0 || end >= ARENA_MODULES_MAX) {
            atomic_fetch_add_explicit(&image->modules_dropped, 1, memory_order_relaxed);
            return MODULE_UNKNOWN;
        }
        uint32_t empty = 0;
        /* Release: the module is complete before its position is seen. */
        if (atomic_compare_exchange_strong_explicit(&image->module_log[end], &empty,
                                                    (uint32_t)slot + 1, memory_order_release,
                                                    memory_order_relaxed)) {
            atomic_store_explicit(&image->module_count, end + 1, memory_order_relaxed);
            return MODULE_SAME;
        }
    }
}

/* ---- the modules that a decision is about ------------------------------- */

/* Called for each module; returns false to stop. */
typedef bool module_visit(struct module_table *table, uint32_t epoch,
                          const struct module_identity *identity);

/* A set of modules to go through: those of a stack, or all that are loaded. */
struct module_set {
    const struct capture_frame *frames; /* NULL: all that are loaded */
    uint32_t depth;
};

struct module_walk {
    struct module_table *table;
    module_visit *visit;
    uint32_t epoch;
};

static int loaded_visit(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    struct module_walk *walk = context;
    for (uint32_t i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_LOAD) {
            struct module_identity identity;
            module_identity_get(&identity, info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
            return identity.is_anonymous || walk->visit(walk->table, walk->epoch, &identity) ? 0 : 1;
        }
    }
    return 0;
}

/* Returns true if every visit did. */
static bool modules_visit(struct module_table *table, uint32_t epoch, const struct module_set *set,
                          module_visit *visit)
{
    if (set->frames == NULL) {
        struct module_walk walk = {table, visit, epoch};
        return dl_iterate_phdr(loaded_visit, &walk) == 0;
    }
    struct module_identity identity = {.start = 0};
    for (uint32_t i = 0; i < set->depth; i++) {
        /* A return address may be the first byte after its module's last. */
        uintptr_t address = set->frames[i].pc - 1;
        if (address >= identity.start && address < identity.end) {
            continue;
        }
        module_identity_get(&identity, address);
        if (!visit(table, epoch, &identity)) {
            return false;
        }
    }
    return true;
}

/* True if the set says by itself what is in [start, end) now. */
static bool modules_cover(const struct module_set *set, uint64_t start, uint64_t end)
{
    for (uint32_t i = 0; i < set->depth; i++) {
        if (set->frames[i].pc - 1 >= start && set->frames[i].pc - 1 < end) {
            return true;
        }
    }
    return set->frames == NULL;
}

static bool visit_agrees(struct module_table *table, uint32_t epoch,
                         const struct module_identity *identity)
{
    return epoch_judge(table, epoch, identity) != MODULE_OTHER;
}

/* Agrees, and adds what the epoch does not know yet. */
static bool visit_adds(struct module_table *table, uint32_t epoch,
                       const struct module_identity *identity)
{
    enum module_verdict verdict = epoch_judge(table, epoch, identity);
    if (verdict == MODULE_UNKNOWN && !identity->is_anonymous) {
        verdict = module_add(table, epoch, identity);
    }
    return verdict != MODULE_OTHER;
}

/* For a new epoch, not valid yet: adds modules where the present epoch has others. */
static bool visit_overrides(struct module_table *table, uint32_t epoch,
                            const struct module_identity *identity)
{
    if (!identity->is_anonymous
        && epoch_judge(table, module_table_epoch(table), identity) == MODULE_OTHER) {
        return module_add(table, epoch, identity) == MODULE_SAME;
    }
    return true;
}

/* The same for code that belongs to no module where the present epoch has one. Takes the
 * place of that module as far as the new epoch has nothing there. */
static bool visit_overrides_anonymous(struct module_table *table, uint32_t epoch,
                                      const struct module_identity *identity)
{
    const struct arena_image *image = table->image;
    uint32_t present = module_table_epoch(table);
    if (!identity->is_anonymous || epoch_judge(table, present, identity) != MODULE_OTHER) {
        return true;
    }
    int32_t old = epoch_find(image, present, identity->start, identity->end);
    int32_t slot = old < 0 ? -1 : log_slot(image, (uint32_t)old);
    if (slot < 0) {
        return false;
    }
    struct module_identity hole = *identity;
    hole.start = image->module_range[slot].start;
    hole.end = image->module_range[slot].end;
    uint32_t count = log_end(image);
    for (uint32_t i = 0; i < count; i++) {
        slot = log_slot(image, i);
        if (slot < 0 || image->module_range[slot].epoch != epoch) {
            continue;
        }
        const struct arena_module_range *range = &image->module_range[slot];
        if (range->start <= identity->start && identity->start < range->end) {
            return true; /* a hole made for another frame covers it */
        }
        if (range->end <= identity->start && range->end > hole.start) {
            hole.start = range->end;
        }
        if (range->start > identity->start && range->start < hole.end) {
            hole.end = range->start;
        }
    }
    return module_add(table, epoch, &hole) == MODULE_SAME;
}

/* ---- choosing an epoch -------------------------------------------------- */

/*
 * True if going from one epoch to another loses nothing that the process (still) has
 * beside the set, as far as the loader's ranges tell: a process that went back and forth
 * between two epochs would store its stacks twice. Modules are not looked into: another
 * thread may be closing them.
 */
static bool epoch_keeps(struct module_table *table, uint32_t from, uint32_t to,
                        const struct module_set *set)
{
    const struct arena_image *image = table->image;
    uint32_t count = log_end(image);
    for (uint32_t i = 0; i < count; i++) {
        int32_t slot = log_slot(image, i);
        struct dl_find_object found;
        if (slot < 0) {
            continue;
        }
        const struct arena_module_range *range = &image->module_range[slot];
        if (modules_cover(set, range->start, range->end)
            || epoch_find(image, from, range->start, range->end) != (int32_t)i
            || _dl_find_object((void *)(uintptr_t)range->start, &found) != 0
            || (uintptr_t)found.dlfo_map_start != range->start
            || (uintptr_t)found.dlfo_map_end != range->end) {
            continue;
        }
        const struct arena_module *module = module_at(&table->arena, image, (uint32_t)slot);
        int32_t there = epoch_find(image, to, range->start, range->end);
        if (module == NULL || there == (int32_t)i || there < 0) {
            continue;
        }
        struct module_identity identity = {.start = module->start,
                                           .end = module->end,
                                           .load_bias = module->load_bias,
                                           .path = module->path,
                                           .build_id = module->build_id,
                                           .build_id_bytes = module->build_id_bytes};
        if (!module_is(table, there, &identity)) {
            return false;
        }
    }
    return true;
}

/* Returns an existing epoch that agrees with these modules, and with what else the present
 * one knows of this process; -1 if there is none. */
static int64_t epoch_search(struct module_table *table, const struct module_set *set)
{
    const struct arena_image *image = table->image;
    uint32_t present = module_table_epoch(table);
    uint32_t newest = atomic_load_explicit(&image->epoch_count, memory_order_relaxed);
    if (newest >= ARENA_EPOCHS_MAX) {
        newest = ARENA_EPOCHS_MAX - 1;
    }
    for (uint32_t tried = 0, epoch = newest;; tried++, epoch--) {
        if (tried == EPOCHS_TRIED) {
            epoch = 0;
        }
        if (epoch != present && epoch_is_valid(image, epoch)
            && modules_visit(table, epoch, set, visit_agrees)
            && epoch_keeps(table, present, epoch, set)) {
            return epoch;
        }
        if (epoch == 0) {
            return -1;
        }
    }
}

/* Makes a child of the present epoch that has these modules in place of others. Returns
 * it, or -1 when a table is full. */
static int64_t epoch_new(struct module_table *table, const struct module_set *set)
{
    struct arena_image *image = table->image;
    int32_t claimed = number_claim(&image->epoch_count, ARENA_EPOCHS_MAX - 1);
    if (claimed < 0) {
        return -1;
    }
    uint32_t epoch = (uint32_t)claimed + 1;
    if (!modules_visit(table, epoch, set, visit_overrides)
        || !modules_visit(table, epoch, set, visit_overrides_anonymous)) {
        return -1;
    }
    /* Release: whoever finds the epoch valid finds all that it overrides. */
    atomic_store_explicit(&image->epoch_parent[epoch], module_table_epoch(table) + 1,
                          memory_order_release);
    return epoch;
}

/* Moves the process to an epoch under which all of the set resolves as it is now. */
static uint32_t epoch_settle(struct module_table *table, const struct module_set *set,
                             module_visit *visit)
{
    /* Another process may add to the chosen epoch meanwhile: then once more. */
    for (int round = 0; round < 8; round++) {
        uint32_t present = module_table_epoch(table);
        if (present == ARENA_EPOCH_UNKNOWN || modules_visit(table, present, set, visit)) {
            return present;
        }
        int64_t next = epoch_search(table, set);
        if (next < 0) {
            next = epoch_new(table, set);
        }
        if (next < 0) {
            break;
        }
        atomic_store_explicit(&table->epoch, (uint32_t)next, memory_order_relaxed);
    }
    atomic_fetch_add_explicit(&table->image->modules_dropped, 1, memory_order_relaxed);
    atomic_store_explicit(&table->epoch, ARENA_EPOCH_UNKNOWN, memory_order_relaxed);
    return ARENA_EPOCH_UNKNOWN;
}

/* ---- the interface ------------------------------------------------------ */

void module_table_open(struct module_table *table, const struct arena *arena,
                       struct arena_image *image)
{
    memset(table, 0, sizeof *table);
    table->arena = *arena;
    table->image = image;
}

uint32_t module_table_note(struct module_table *table, const struct capture_frame *frames,
                           uint32_t depth)
{
    struct module_set set = {.frames = frames, .depth = depth};
    return epoch_settle(table, &set, visit_adds);
}

uint32_t module_table_refresh(struct module_table *table)
{
    struct module_set set = {.frames = NULL};
    return epoch_settle(table, &set, visit_agrees);
}

int module_table_read(const struct arena *arena, const struct arena_image *image, uint32_t index,
                      struct arena_module *module)
{
    if (index >= ARENA_MODULES_MAX
        || atomic_load_explicit(&image->module_log[index], memory_order_acquire) == 0) {
        return -ENOENT;
    }
    int32_t slot = log_slot(image, index);
    const struct arena_module *shared = NULL;
    if (slot >= 0) {
        shared = module_at(arena, image, (uint32_t)slot);
    }
    if (shared == NULL) {
        return -EBADMSG;
    }
    memcpy(module, shared, sizeof *module);
    module->path[sizeof module->path - 1] = '\0';
    if (module->build_id_bytes > ARENA_BUILD_ID_MAX) {
        module->build_id_bytes = 0;
    }
    return module->start <= module->end ? 0 : -EBADMSG;
}

int32_t module_table_resolve(const struct arena *arena, const struct arena_image *image,
                             uint32_t epoch, uint64_t address)
{
    (void)arena;
    if (epoch >= ARENA_EPOCHS_MAX || address == UINT64_MAX) {
        return -1;
    }
    return epoch_find(image, epoch, address, address + 1);
}
