#include "symbolize/name_space.h"

#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

/* Bounds for damaged files. */
#define NESTING_MAX 32u
#define REFERENCES_MAX 16u
#define NAME_MAX_BYTES 65536u

uint32_t name_space_enter(struct name_space *names, const Dwarf_Die *die, uint32_t parent,
                          uint32_t depth)
{
    if (names->count == names->room) {
        size_t room = names->room == 0 ? 64 : names->room * 2;
        struct name_space_entry *entries =
            reallocarray(names->entries, room, sizeof(entries[0]));
        if (entries == NULL) {
            return INTERVAL_MAP_NONE;
        }
        names->entries = entries;
        struct interval *intervals =
            reallocarray(names->intervals, room, sizeof(intervals[0]));
        if (intervals == NULL) {
            return INTERVAL_MAP_NONE;
        }
        names->intervals = intervals;
        names->room = room;
    }
    uint32_t number = (uint32_t)names->count++;
    uint64_t low = (uint64_t)(uintptr_t)die->addr;
    names->entries[number] = (struct name_space_entry){.die = *die, .parent = parent};
    names->intervals[number] =
        (struct interval){.low = low, .high = low + 1, .value = number, .depth = depth};
    return number;
}

void name_space_extend(struct name_space *names, uint32_t number, const Dwarf_Die *die)
{
    uint64_t high = (uint64_t)(uintptr_t)die->addr + 1;
    /* What is inside an inner one is inside the outer ones. */
    while (number != INTERVAL_MAP_NONE && names->intervals[number].high < high) {
        names->intervals[number].high = high;
        number = names->entries[number].parent;
    }
}

/* From an instance to the declaration, which stands where the name belongs. */
static void die_declaration(Dwarf_Die *die)
{
    for (unsigned i = 0; i < REFERENCES_MAX; i++) {
        Dwarf_Attribute attribute;
        Dwarf_Die next;
        if ((dwarf_attr(die, DW_AT_abstract_origin, &attribute) == NULL
             && dwarf_attr(die, DW_AT_specification, &attribute) == NULL)
            || dwarf_formref_die(&attribute, &next) == NULL) {
            return;
        }
        *die = next;
    }
}

static const char *entry_name(struct name_space_entry *entry)
{
    const char *name = dwarf_diename(&entry->die);
    if (name != NULL && name[0] != '\0') {
        return name;
    }
    return dwarf_tag(&entry->die) == DW_TAG_namespace ? "(anonymous namespace)" : "(unnamed)";
}

static char *join_names(const char *const *parts, size_t count)
{
    size_t length = 1;
    for (size_t i = 0; i < count; i++) {
        length += strlen(parts[i]) + 2;
    }
    char *text = length > NAME_MAX_BYTES ? NULL : malloc(length);
    char *end = text;
    for (size_t i = count; text != NULL && i > 0; i--) {
        end = stpcpy(end, parts[i - 1]);
        if (i > 1) {
            end = stpcpy(end, "::");
        }
    }
    return text;
}

char *name_space_qualify(struct name_space *names, Dwarf_Die *die)
{
    Dwarf_Die declaration = *die;
    die_declaration(&declaration);
    const char *parts[NESTING_MAX];
    parts[0] = dwarf_diename(&declaration);
    if (!names->is_sorted) {
        names->is_sorted = true;
        /* When memory is short the map is empty, and names are shorter. */
        interval_map_init(&names->map, names->intervals, names->count);
        free(names->intervals);
        names->intervals = NULL;
    }
    uint32_t number =
        interval_map_find(&names->map, (uint64_t)(uintptr_t)declaration.addr);
    if (parts[0] == NULL || number == INTERVAL_MAP_NONE) {
        return NULL;
    }
    if (names->entries[number].die.addr == declaration.addr) {
        number = names->entries[number].parent;
    }
    size_t count = 1;
    while (number != INTERVAL_MAP_NONE && count < NESTING_MAX) {
        parts[count++] = entry_name(&names->entries[number]);
        number = names->entries[number].parent;
    }
    return count > 1 ? join_names(parts, count) : NULL;
}

void name_space_deinit(struct name_space *names)
{
    interval_map_deinit(&names->map);
    free(names->entries);
    free(names->intervals);
    *names = (struct name_space){0};
}
