#include "symbolize/module.h"

#include "symbolize/module_cache.h"

#include <dwarf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Bounds for damaged files. */
#define UNITS_MAX 4000000u
#define RANGES_PER_UNIT_MAX 1000000u

void module_note(struct symbolizer_module *module, unsigned note)
{
    atomic_fetch_or_explicit(&module->notes, note, memory_order_relaxed);
}

/* ---- units -------------------------------------------------------------- */

struct unit_list {
    struct interval *intervals;
    size_t interval_count;
    size_t interval_room;
    size_t unit_room;
    size_t unmapped_room;
};

/* Makes room for one more element; false when memory is short. */
static bool array_reserve(void **array, size_t count, size_t *room, size_t element_bytes)
{
    if (count < *room) {
        return true;
    }
    size_t wanted = *room == 0 ? 64 : *room * 2;
    void *grown = reallocarray(*array, wanted, element_bytes);
    if (grown == NULL) {
        return false;
    }
    *array = grown;
    *room = wanted;
    return true;
}

static int list_add_ranges(struct symbolizer_module *module, struct unit_list *list, Dwarf_Die *die,
                           uint32_t unit)
{
    size_t before = list->interval_count;
    ptrdiff_t next = 0;
    Dwarf_Addr base;
    for (unsigned i = 0; i < RANGES_PER_UNIT_MAX; i++) {
        Dwarf_Addr low;
        Dwarf_Addr high;
        next = dwarf_ranges(die, next, &base, &low, &high);
        if (next <= 0) {
            break;
        }
        if (low >= high || low == 0 || !debug_file_is_code(&module->file, low)) {
            continue;
        }
        if (!array_reserve((void **)&list->intervals, list->interval_count, &list->interval_room,
                           sizeof(list->intervals[0]))) {
            return -ENOMEM;
        }
        list->intervals[list->interval_count++] =
            (struct interval){.low = low, .high = high, .value = unit};
    }
    if (list->interval_count > before || dwarf_haschildren(die) == 0) {
        return 0;
    }
    if (!array_reserve((void **)&module->unmapped_units, module->unmapped_count,
                       &list->unmapped_room, sizeof(module->unmapped_units[0]))) {
        return -ENOMEM;
    }
    module->unmapped_units[module->unmapped_count++] = unit;
    return 0;
}

static int list_add_unit(struct symbolizer_module *module, struct unit_list *list, Dwarf_Die *die,
                         uint64_t length_bytes)
{
    if (!array_reserve((void **)&module->units, module->unit_count, &list->unit_room,
                       sizeof(module->units[0]))) {
        return -ENOMEM;
    }
    uint32_t unit = (uint32_t)module->unit_count++;
    module->units[unit] =
        (struct module_unit){.die_offset = dwarf_dieoffset(die), .length_bytes = length_bytes};
    return list_add_ranges(module, list, die, unit);
}

/* Reads the headers and the first DIE of all units. */
static int module_list_units(struct symbolizer_module *module, Dwarf *dwarf, struct unit_list *list)
{
    Dwarf_Off offset = 0;
    for (uint32_t i = 0; i < UNITS_MAX; i++) {
        Dwarf_Off next;
        size_t header_bytes;
        Dwarf_Half version;
        int status = dwarf_next_unit(dwarf, offset, &next, &header_bytes, &version, NULL, NULL, NULL,
                                     NULL, NULL);
        if (status != 0 || next <= offset) {
            if (status < 0) {
                module_note(module, SYMBOLIZER_NOTE_DEBUG_DAMAGED);
            }
            return 0;
        }
        Dwarf_Die die;
        if (dwarf_offdie(dwarf, offset + header_bytes, &die) != NULL) {
            int tag = dwarf_tag(&die);
            if (tag == DW_TAG_compile_unit || tag == DW_TAG_skeleton_unit) {
                int result = list_add_unit(module, list, &die, next - offset);
                if (result != 0) {
                    return result;
                }
            }
        }
        offset = next;
    }
    return 0;
}

static int module_map_units(struct symbolizer_module *module)
{
    Dwarf *dwarf = module_handle_open(module, 0);
    if (dwarf == NULL) {
        return 0;
    }
    struct unit_list list = {0};
    int result = module_list_units(module, dwarf, &list);
    if (result == 0) {
        result = interval_map_init(&module->unit_map, list.intervals, list.interval_count);
    }
    free(list.intervals);
    return result;
}

struct unit_index *module_unit_index(struct symbolizer_module *module, uint32_t number,
                                     uint32_t handle, int *result)
{
    struct module_unit *unit = &module->units[number];
    if (unit->index != NULL || unit->is_broken) {
        return unit->index;
    }
    Dwarf *dwarf = module_handle_open(module, handle);
    struct unit_index *index = dwarf == NULL ? NULL : malloc(sizeof(*index));
    if (index == NULL) {
        if (dwarf != NULL) {
            *result = -ENOMEM;
        }
        return NULL;
    }
    int status = unit_index_init(index, dwarf, unit->die_offset, &module->file);
    if (status != 0) {
        free(index);
        if (status == -ENOMEM) {
            *result = status;
        } else {
            unit->is_broken = true;
            module_note(module, SYMBOLIZER_NOTE_DEBUG_DAMAGED);
        }
        return NULL;
    }
    module_note(module, index->notes);
    unit->index = index;
    unit->owner = handle;
    module->handles[handle].memory_bytes += index->memory_bytes + unit->length_bytes / 16;
    return index;
}

void module_unit_drop(struct symbolizer_module *module, uint32_t number)
{
    struct module_unit *unit = &module->units[number];
    unit_index_deinit(unit->index);
    free(unit->index);
    unit->index = NULL;
}

/* ---- handles ------------------------------------------------------------ */

Dwarf *module_handle_open(struct symbolizer_module *module, uint32_t number)
{
    struct module_handle *handle = &module->handles[number];
    if (handle->dwarf != NULL || module->file.debug == NULL) {
        return handle->dwarf;
    }
    /* Reading the sections touches the shared Elf. */
    pthread_mutex_lock(&module->symbolizer->lock);
    handle->dwarf = dwarf_begin_elf(module->file.debug, DWARF_C_READ, NULL);
    if (handle->dwarf == NULL) {
        module_note(module, SYMBOLIZER_NOTE_DEBUG_DAMAGED);
    } else if (debug_file_has_section(module->file.debug, ".gnu_debugaltlink")
               && dwarf_getalt(handle->dwarf) == NULL) {
        module_note(module, SYMBOLIZER_NOTE_ALTERNATE_MISSING);
    }
    pthread_mutex_unlock(&module->symbolizer->lock);
    return handle->dwarf;
}

void module_handle_drop(struct symbolizer_module *module, uint32_t number)
{
    struct module_handle *handle = &module->handles[number];
    if (handle->dwarf == NULL) {
        return;
    }
    for (size_t i = 0; i < module->unit_count; i++) {
        if (module->units[i].index != NULL && module->units[i].owner == number) {
            module_unit_drop(module, (uint32_t)i);
        }
    }
    dwarf_end(handle->dwarf);
    *handle = (struct module_handle){0};
}

/* ---- files -------------------------------------------------------------- */

static void module_read_symbols(struct symbolizer_module *module)
{
    Elf *main = module->file.main;
    Elf *debug = module->file.debug;
    /* When memory is short, names are missing: the callers have nothing better to do. */
    if (main != NULL) {
        symbol_table_add_file(&module->symbols, main);
    }
    if (debug != NULL && debug != main && !module->file.is_packed) {
        symbol_table_add_file(&module->symbols, debug);
    }
    symbol_table_sort(&module->symbols);
    if (main != NULL && debug == NULL && !module->symbols.has_full_table) {
        module_note(module, SYMBOLIZER_NOTE_NO_SYMBOLS);
    }
}

const struct symbol_table *module_symbols(struct symbolizer_module *module)
{
    if (!atomic_load_explicit(&module->has_symbols, memory_order_acquire)) {
        pthread_mutex_lock(&module->symbolizer->lock);
        if (!atomic_load_explicit(&module->has_symbols, memory_order_relaxed)) {
            module_read_symbols(module);
            atomic_store_explicit(&module->has_symbols, true, memory_order_release);
        }
        pthread_mutex_unlock(&module->symbolizer->lock);
    }
    return &module->symbols;
}

enum symbolizer_quality module_quality(struct symbolizer_module *module)
{
    struct answer_cache_facts facts;
    if (!module->has_units && module->cache != NULL && answer_cache_facts(module->cache, &facts)) {
        return facts.quality;
    }
    if (module_open_units(module) != 0) {
        return SYMBOLIZER_QUALITY_NONE;
    }
    return module->unit_count > 0                 ? SYMBOLIZER_QUALITY_DEBUG
           : module_symbols(module)->count > 0 ? SYMBOLIZER_QUALITY_SYMBOL
                                                  : SYMBOLIZER_QUALITY_NONE;
}

int module_open_files(struct symbolizer_module *module)
{
    if (module->is_open) {
        return 0;
    }
    module->is_open = true;
    if (module->path[0] == '[' || module->path[0] == '\0') {
        return 0;
    }
    struct symbolizer *symbolizer = module->symbolizer;
    module->handles = calloc(symbolizer->thread_count, sizeof(module->handles[0]));
    int result = module->handles == NULL ? -ENOMEM : 0;
    if (result == 0) {
        pthread_mutex_lock(&symbolizer->lock);
        result = debug_file_open(&module->file, &symbolizer->places, module->path,
                                 module->readable_path, module->build_id, module->build_id_bytes);
        module->file.elf_lock = &symbolizer->lock;
        pthread_mutex_unlock(&symbolizer->lock);
        module_note(module, module->file.notes);
    }
    if (result == 0) {
        module_cache_open(module);
    } else {
        module_close_files(module);
    }
    return result;
}

int module_open_units(struct symbolizer_module *module)
{
    if (module->has_units || module->handles == NULL) {
        return 0;
    }
    pthread_mutex_lock(&module->symbolizer->lock);
    if (!module_cache_load_debug(module)) {
        debug_file_unpack(&module->file);
        module_cache_store_debug(module);
    }
    pthread_mutex_unlock(&module->symbolizer->lock);
    module_note(module, module->file.notes);
    int result = 0;
    if (module->file.debug != NULL && !module_cache_load_units(module)) {
        result = module_map_units(module);
        if (result == 0) {
            module_cache_store_units(module);
        }
    }
    if (result == 0) {
        module->has_units = true;
    } else {
        module_close_files(module);
    }
    return result;
}

void module_close_files(struct symbolizer_module *module)
{
    module_cache_close(module);
    for (uint32_t i = 0; module->handles != NULL && i < module->symbolizer->thread_count; i++) {
        module_handle_drop(module, i);
    }
    free(module->handles);
    module->handles = NULL;
    free(module->units);
    module->units = NULL;
    module->unit_count = 0;
    free(module->unmapped_units);
    module->unmapped_units = NULL;
    module->unmapped_count = 0;
    interval_map_deinit(&module->unit_map);
    symbol_table_deinit(&module->symbols);
    atomic_store_explicit(&module->has_symbols, false, memory_order_relaxed);
    debug_file_close(&module->file);
    module->is_open = false;
    module->has_units = false;
}
