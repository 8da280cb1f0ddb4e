#include "symbolize/unit_index.h"

#include "symbolize/debug_file.h"

#include <dwarf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bounds for damaged files: sound ones stay far below. */
#define WALK_DEPTH_MAX 512u
#define INTERVALS_MAX ((size_t)32 * 1024 * 1024)
#define RANGES_PER_SCOPE_MAX 65536u

/* A place in the walk: a DIE and what encloses it. */
struct walk_level {
    Dwarf_Die die;
    uint32_t scope; /* innermost enclosing scope with code */
    uint32_t scope_depth;
    uint32_t name; /* enclosing entry of the index's names */
    bool is_in_function;
};

struct walk {
    struct unit_index *index;
    const struct debug_file *file;
    struct interval *intervals;
    size_t interval_count;
    size_t interval_room;
    bool is_full;
    /* Of a unit from a package: where the skeleton says that its code starts. libdw does
     * not know the skeleton then, and takes ranges relative to it for absolute. */
    uint64_t base;
    size_t level_count;
    struct walk_level levels[WALK_DEPTH_MAX];
};

static bool language_is_mangled(int language)
{
    switch (language) {
    case DW_LANG_C_plus_plus:
    case DW_LANG_C_plus_plus_03:
    case DW_LANG_C_plus_plus_11:
    case DW_LANG_C_plus_plus_14:
    case DW_LANG_Rust:
        return true;
    default:
        return false;
    }
}

/* ---- collecting scopes -------------------------------------------------- */

static int walk_add_interval(struct walk *walk, uint64_t low, uint64_t high, uint32_t scope,
                             uint32_t depth)
{
    if (walk->interval_count == walk->interval_room) {
        size_t room = walk->interval_room == 0 ? 256 : walk->interval_room * 2;
        if (room > INTERVALS_MAX) {
            return -EBADMSG;
        }
        struct interval *intervals = reallocarray(walk->intervals, room, sizeof(intervals[0]));
        if (intervals == NULL) {
            return -ENOMEM;
        }
        walk->intervals = intervals;
        walk->interval_room = room;
    }
    walk->intervals[walk->interval_count++] =
        (struct interval){.low = low, .high = high, .value = scope, .depth = depth};
    return 0;
}

static int index_add_scope(struct unit_index *index, const struct unit_scope *scope)
{
    if (index->scope_count == index->scope_room) {
        size_t room = index->scope_room == 0 ? 64 : index->scope_room * 2;
        struct unit_scope *scopes = reallocarray(index->scopes, room, sizeof(scopes[0]));
        if (scopes == NULL) {
            return -ENOMEM;
        }
        index->scopes = scopes;
        index->scope_room = room;
    }
    index->scopes[index->scope_count++] = *scope;
    return 0;
}

/* An inlined call lies inside its function; this range does so only with the base added. */
static bool range_is_relative(const struct walk *walk, uint32_t scope, uint64_t low)
{
    if (scope == INTERVAL_MAP_NONE) {
        return false;
    }
    const struct unit_scope *outer = &walk->index->scopes[scope];
    return (low < outer->start || low >= outer->end) && low + walk->base >= outer->start
           && low + walk->base < outer->end;
}

/*
 * Adds the level's DIE as a scope if it has code. Functions that the linker dropped keep
 * their DIE, with an address of 0 or another that is no code: they must not cover others.
 */
static int walk_add_scope(struct walk *walk, struct walk_level *level, bool is_inlined)
{
    struct unit_index *index = walk->index;
    uint32_t number = (uint32_t)index->scope_count;
    uint32_t depth = is_inlined ? level->scope_depth + 1 : 0;
    size_t intervals_before = walk->interval_count;
    ptrdiff_t next = 0;
    Dwarf_Addr base;
    uint64_t last = 0;
    for (unsigned i = 0; i < RANGES_PER_SCOPE_MAX; i++) {
        Dwarf_Addr low;
        Dwarf_Addr high;
        next = dwarf_ranges(&level->die, next, &base, &low, &high);
        if (next <= 0) {
            break;
        }
        if (is_inlined && walk->base != 0 && range_is_relative(walk, level->scope, low)) {
            low += walk->base;
            high += walk->base;
        }
        last = high > last ? high : last;
        if (low < high && low != 0 && debug_file_is_code(walk->file, low)) {
            int result = walk_add_interval(walk, low, high, number, depth);
            if (result != 0) {
                return result;
            }
        }
    }
    if (walk->interval_count == intervals_before) {
        return 0;
    }
    struct unit_scope scope = {.die = level->die,
                               .parent = is_inlined ? level->scope : INTERVAL_MAP_NONE,
                               .is_inlined = is_inlined,
                               .end = last,
                               .start = walk->intervals[intervals_before].low};
    int result = index_add_scope(index, &scope);
    level->scope = number;
    level->scope_depth = depth;
    return result;
}

/* Looks at the level's DIE; *is_entered: its children matter. */
static int walk_visit(struct walk *walk, struct walk_level *level, bool *is_entered)
{
    *is_entered = false;
    switch (dwarf_tag(&level->die)) {
    case DW_TAG_subprogram:
        /* A function without code may still hold a lambda's or a local class's code. */
        *is_entered = true;
        level->scope = INTERVAL_MAP_NONE;
        level->is_in_function = true;
        return walk_add_scope(walk, level, false);
    case DW_TAG_inlined_subroutine:
        *is_entered = true;
        return walk_add_scope(walk, level, true);
    case DW_TAG_lexical_block:
    case DW_TAG_try_block:
    case DW_TAG_catch_block:
    case DW_TAG_with_stmt:
    case DW_TAG_common_block:
    case DW_TAG_namespace:
    case DW_TAG_module:
        *is_entered = true;
        return 0;
    case DW_TAG_class_type:
    case DW_TAG_structure_type:
    case DW_TAG_union_type:
    case DW_TAG_interface_type:
    case DW_TAG_variant_part:
        *is_entered = walk->is_full || level->is_in_function;
        return 0;
    default:
        return 0;
    }
}

static void walk_note_name(struct walk *walk, struct walk_level *level, bool is_entered)
{
    struct unit_index *index = walk->index;
    if (!index->is_mangled) {
        return;
    }
    int tag = dwarf_tag(&level->die);
    bool is_name = tag == DW_TAG_namespace || tag == DW_TAG_subprogram
                   || tag == DW_TAG_structure_type || tag == DW_TAG_class_type
                   || tag == DW_TAG_union_type;
    if (is_entered && is_name) {
        name_space_extend(&index->names, level->name, &level->die);
        level->name = name_space_enter(&index->names, &level->die, level->name,
                                       (uint32_t)walk->level_count);
    }
}

/*
 * Moves the walk to the next DIE that was not seen; false at its end. Addresses must
 * rise, or a damaged sibling reference would make a circle.
 *
 * libdw skips a DIE's children one by one where the producer left no DW_AT_sibling
 * (clang). Children that were walked anyway need no skipping: where their list ends, the
 * parent's next sibling begins.
 */
static bool walk_advance(struct walk *walk, const struct walk_level *context)
{
    struct walk_level *level = &walk->levels[walk->level_count - 1];
    Dwarf_Die next;
    if (dwarf_siblingof(&level->die, &next) == 0) {
        if ((const char *)next.addr <= (const char *)level->die.addr) {
            return false;
        }
        uint32_t depth = (uint32_t)walk->level_count - 1;
        *level = depth == 0 ? *context : walk->levels[depth - 1];
        level->die = next;
        return true;
    }
    return false;
}

static int walk_children(struct walk *walk, Dwarf_Die *root)
{
    const struct walk_level outside = {.scope = INTERVAL_MAP_NONE, .name = INTERVAL_MAP_NONE};
    walk->level_count = 1;
    walk->levels[0] = outside;
    if (dwarf_child(root, &walk->levels[0].die) != 0) {
        return 0;
    }
    /* levels[i] holds the DIE being visited at depth i, with the context that its own
     * children will see once it was visited. */
    while (walk->level_count > 0) {
        struct walk_level *level = &walk->levels[walk->level_count - 1];
        bool is_entered;
        int result = walk_visit(walk, level, &is_entered);
        if (result != 0) {
            return result;
        }
        walk_note_name(walk, level, is_entered);
        if (is_entered && walk->level_count < WALK_DEPTH_MAX) {
            struct walk_level *child = level + 1;
            *child = *level;
            if (dwarf_child(&level->die, &child->die) == 0
                && (const char *)child->die.addr > (const char *)level->die.addr) {
                walk->level_count++;
                continue;
            }
        }
        while (walk->level_count > 0 && !walk_advance(walk, &outside)) {
            walk->level_count--;
        }
    }
    return 0;
}

/* The DIE above the functions. Of a split unit they are in a .dwo or .dwp file; only its
 * lines are here. */
static Dwarf_Die *index_find_root(struct unit_index *index, const struct debug_file *file,
                                  Dwarf_Die *split)
{
    uint8_t unit_type = 0;
    uint64_t dwo_id = 0;
    memset(split, 0, sizeof(*split));
    if (index->packaged.dwarf != NULL) {
        return &index->packaged.die;
    }
    dwarf_cu_info(index->unit.cu, NULL, &unit_type, NULL, split, &dwo_id, NULL, NULL);
    if (unit_type != DW_UT_skeleton) {
        return &index->unit;
    }
    if (split->addr == NULL && file->package != NULL) {
        pthread_mutex_lock(file->elf_lock);
        bool is_found = split_unit_open(&index->packaged, file->package, file->debug,
                                        &index->unit, dwo_id);
        pthread_mutex_unlock(file->elf_lock);
        if (is_found) {
            return &index->packaged.die;
        }
    }
    if (split->addr == NULL) {
        index->notes |= SYMBOLIZER_NOTE_SPLIT_MISSING;
    }
    return split;
}

static int index_build_scopes(struct unit_index *index, const struct debug_file *file, bool is_full)
{
    struct walk *walk = malloc(sizeof(*walk));
    if (walk == NULL) {
        return -ENOMEM;
    }
    walk->index = index;
    walk->file = file;
    walk->intervals = NULL;
    walk->interval_count = 0;
    walk->interval_room = 0;
    walk->is_full = is_full;

    Dwarf_Die split;
    Dwarf_Die *root = index_find_root(index, file, &split);
    walk->base = 0;
    if (index->packaged.dwarf != NULL) {
        Dwarf_Addr low;
        walk->base = dwarf_lowpc(&index->unit, &low) == 0 ? low : 0;
    }
    index->is_mangled = root->addr != NULL && language_is_mangled(dwarf_srclang(root));
    int result = root->addr == NULL ? 0 : walk_children(walk, root);
    if (result == -EBADMSG) {
        index->notes |= SYMBOLIZER_NOTE_DEBUG_DAMAGED;
        result = 0;
    }
    if (result == 0) {
        result = interval_map_init(&index->map, walk->intervals, walk->interval_count);
    }
    index->memory_bytes += index->scope_room * sizeof(index->scopes[0])
                           + 2 * walk->interval_count * (sizeof(uint64_t) + sizeof(uint32_t));
    index->memory_bytes += index->names.room
                           * (sizeof(index->names.entries[0]) + sizeof(struct interval));
    free(walk->intervals);
    free(walk);
    return result;
}

int unit_index_init(struct unit_index *index, Dwarf *dwarf, Dwarf_Off offset,
                    const struct debug_file *file)
{
    *index = (struct unit_index){0};
    if (dwarf_offdie(dwarf, offset, &index->unit) == NULL) {
        return -EBADMSG;
    }
    int result = index_build_scopes(index, file, false);
    if (result != 0) {
        unit_index_deinit(index);
        return result;
    }
    if (dwarf_getsrclines(&index->unit, &index->lines, &index->line_count) != 0) {
        index->lines = NULL;
        index->line_count = 0;
    }
    if (dwarf_getsrcfiles(&index->unit, &index->files, &index->file_count) != 0) {
        index->files = NULL;
        index->file_count = 0;
    }
    if (index->file_count > 0) {
        index->file_paths = calloc(index->file_count, sizeof(index->file_paths[0]));
        if (index->file_paths == NULL) {
            unit_index_deinit(index);
            return -ENOMEM;
        }
    }
    index->memory_bytes += index->line_count * 56 + index->file_count * 64;
    return 0;
}

void unit_index_deinit(struct unit_index *index)
{
    split_unit_close(&index->packaged);
    name_space_deinit(&index->names);
    interval_map_deinit(&index->map);
    free(index->scopes);
    free(index->file_paths);
    *index = (struct unit_index){0};
}

int unit_index_complete(struct unit_index *index, const struct debug_file *file)
{
    if (index->is_complete) {
        return 0;
    }
    interval_map_deinit(&index->map);
    name_space_deinit(&index->names);
    free(index->scopes);
    index->scopes = NULL;
    index->scope_count = 0;
    index->scope_room = 0;
    index->is_complete = true;
    return index_build_scopes(index, file, true);
}

/* ---- names and lines ---------------------------------------------------- */

/* libdw leaves a path relative to a compilation folder that is itself relative: "../x.c"
 * compiled in "./string" is "./string/../x.c". */
static const char *path_in_compilation(struct unit_index *index, struct string_pool *pool,
                                       const char *path)
{
    Dwarf_Attribute attribute;
    const char *folder = NULL;
    if (strncmp(path, "../", 3) == 0
        && dwarf_attr(&index->unit, DW_AT_comp_dir, &attribute) != NULL) {
        folder = dwarf_formstring(&attribute);
    }
    char *joined;
    if (folder == NULL || folder[0] == '\0' || asprintf(&joined, "%s/%s", folder, path) < 0) {
        return string_pool_intern(pool, path, strlen(path));
    }
    path = string_pool_intern(pool, joined, strlen(joined));
    free(joined);
    return path;
}

static const char *index_file_path(struct unit_index *index, struct string_pool *pool, size_t number)
{
    if (number >= index->file_count) {
        return NULL;
    }
    if (index->file_paths[number] == NULL) {
        const char *path = dwarf_filesrc(index->files, number, NULL, NULL);
        if (path == NULL || path[0] == '\0' || strcmp(path, "???") == 0) {
            return NULL;
        }
        path = path_in_compilation(index, pool, path);
        if (path != NULL) {
            path = string_pool_normalized_path(pool, path);
        }
        index->file_paths[number] = path;
    }
    return index->file_paths[number];
}

static uint32_t die_number(Dwarf_Die *die, unsigned name)
{
    Dwarf_Attribute attribute;
    Dwarf_Word value;
    if (dwarf_attr(die, name, &attribute) == NULL || dwarf_formudata(&attribute, &value) != 0
        || value > UINT32_MAX) {
        return 0;
    }
    return (uint32_t)value;
}

static const char *die_linkage_name(Dwarf_Die *die)
{
    Dwarf_Attribute attribute;
    if (dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute) == NULL
        && dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attribute) == NULL) {
        return NULL;
    }
    return dwarf_formstring(&attribute);
}

static void scope_read_names(struct unit_index *index, struct string_pool *pool,
                             struct unit_scope *scope)
{
    scope->is_named = true;
    const char *linkage = die_linkage_name(&scope->die);
    if (linkage != NULL && linkage[0] != '\0') {
        scope->linkage_name = string_pool_intern(pool, linkage, strlen(linkage));
        if (scope->linkage_name != NULL) {
            scope->function = string_pool_demangled(pool, scope->linkage_name);
        }
    }
    char *qualified = scope->function == NULL && index->is_mangled
                          ? name_space_qualify(&index->names, &scope->die)
                          : NULL;
    if (qualified != NULL) {
        scope->function = string_pool_intern(pool, qualified, strlen(qualified));
        free(qualified);
    }
    if (scope->function == NULL || scope->function == scope->linkage_name) {
        const char *name = dwarf_diename(&scope->die);
        if (name != NULL && name[0] != '\0') {
            scope->function = string_pool_intern(pool, name, strlen(name));
        }
    }
    int line;
    if (dwarf_decl_line(&scope->die, &line) == 0 && line > 0) {
        scope->line = (uint32_t)line;
    }
    Dwarf_Addr start;
    if (dwarf_entrypc(&scope->die, &start) == 0) {
        scope->start = start;
    }
    if (scope->is_inlined) {
        scope->call_file = index_file_path(index, pool, die_number(&scope->die, DW_AT_call_file));
        scope->call_line = die_number(&scope->die, DW_AT_call_line);
        scope->call_column = die_number(&scope->die, DW_AT_call_column);
    }
}

/* The last row at or before `address`, unless its sequence ended before. */
static Dwarf_Line *index_find_line(struct unit_index *index, uint64_t address, size_t *row)
{
    size_t low = 0;
    size_t high = index->line_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        Dwarf_Addr start;
        if (dwarf_lineaddr(dwarf_onesrcline(index->lines, middle), &start) != 0) {
            return NULL;
        }
        if (start <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == 0) {
        return NULL;
    }
    *row = low - 1;
    Dwarf_Line *line = dwarf_onesrcline(index->lines, low - 1);
    bool is_end;
    return line == NULL || dwarf_lineendsequence(line, &is_end) != 0 || is_end ? NULL : line;
}

/*
 * Rows with line 0 stand for code that the compiler made up or moved. The nearest row
 * before it in the same function or inlined call is what a person can look at; there is
 * none when such code comes first.
 */
#define ROWS_BACK_MAX 32u

static Dwarf_Line *index_find_person_line(struct unit_index *index, uint32_t scope, size_t row)
{
    for (unsigned i = 0; i < ROWS_BACK_MAX && row > 0; i++) {
        Dwarf_Line *line = dwarf_onesrcline(index->lines, --row);
        Dwarf_Addr start;
        bool is_end;
        int number;
        if (line == NULL || dwarf_lineendsequence(line, &is_end) != 0 || is_end
            || dwarf_lineno(line, &number) != 0 || dwarf_lineaddr(line, &start) != 0) {
            return NULL;
        }
        if (number > 0 && interval_map_find(&index->map, start) == scope) {
            return line;
        }
    }
    return NULL;
}

static void frame_set_line(struct unit_index *index, struct string_pool *pool, uint64_t address,
                           uint32_t scope, struct symbolizer_frame *frame)
{
    size_t row;
    Dwarf_Line *line = index_find_line(index, address, &row);
    int number = 0;
    if (line == NULL || dwarf_lineno(line, &number) != 0) {
        return;
    }
    if (number == 0) {
        Dwarf_Line *other = index_find_person_line(index, scope, row);
        line = other != NULL ? other : line;
        dwarf_lineno(line, &number);
    }
    Dwarf_Files *files;
    size_t file;
    int column;
    if (dwarf_line_file(line, &files, &file) == 0) {
        frame->file = index_file_path(index, pool, file);
    }
    frame->line = number > 0 ? (uint32_t)number : 0;
    frame->column = dwarf_linecol(line, &column) == 0 && column > 0 ? (uint32_t)column : 0;
}

size_t unit_index_resolve(struct unit_index *index, struct string_pool *pool, uint64_t address,
                          struct symbolizer_frame *frames, size_t room)
{
    frames[0] = (struct symbolizer_frame){0};
    size_t count = 0;
    uint32_t number = interval_map_find(&index->map, address);
    frame_set_line(index, pool, address, number, &frames[0]);
    while (number != INTERVAL_MAP_NONE && count < room) {
        struct unit_scope *scope = &index->scopes[number];
        if (!scope->is_named) {
            scope_read_names(index, pool, scope);
        }
        struct symbolizer_frame *frame = &frames[count++];
        frame->function = scope->function;
        frame->linkage_name = scope->linkage_name;
        frame->function_start = scope->start;
        frame->function_line = scope->line;
        frame->is_inlined = scope->is_inlined;
        number = scope->is_inlined ? scope->parent : INTERVAL_MAP_NONE;
        if (number != INTERVAL_MAP_NONE && count < room) {
            frames[count] = (struct symbolizer_frame){.file = scope->call_file,
                                                      .line = scope->call_line,
                                                      .column = scope->call_column};
        }
    }
    return count;
}
