/*
 * symbolize/split_package.h - units out of a .dwp file, which libdw 0.188 does not read.
 *
 * A package joins the .dwo files of a program. Its index says which stretch of each
 * section a unit has; offsets inside a unit count from there. So a unit's stretches, put
 * together as an ELF file of their own, are ordinary debug information, if the addresses
 * and ranges that it takes from the program's file lie beside them:
 *
 *   program.dwp  .debug_cu_index  --->  which stretch of
 *                .debug_info.dwo   [..|unit|....]  -->  .debug_info     \
 *                .debug_abbrev.dwo [.|unit|.....]  -->  .debug_abbrev    | one small ELF
 *                .debug_str.dwo    [all of it]     -->  .debug_str       | file in memory
 *   program      .debug_addr       [....|from its base  .debug_addr      |
 *                .debug_ranges     [....|from its base  .debug_ranges   /
 *
 * Source: DWARF 5, 7.3.5 "DWARF Package Files"; the GNU extension of DWARF 4:
 * https://gcc.gnu.org/wiki/DebugFissionDWP
 *
 * Context: analyzer, recorder.   Memory: the unit's, freed by split_unit_close().
 * Threads: one per Elf at a time: opening reads sections of shared files.
 */
#ifndef MEMTRACK_SYMBOLIZE_SPLIT_PACKAGE_H
#define MEMTRACK_SYMBOLIZE_SPLIT_PACKAGE_H

#include <elfutils/libdw.h>
#include <stdbool.h>
#include <stdint.h>

struct split_unit {
    void *image;
    Elf *elf;
    Dwarf *dwarf; /* NULL: not open */
    Dwarf_Die die;
};

/*
 * Finds the unit of `skeleton` (a DIE of `program`'s debug information) in `package`.
 * False if it is not there or damaged.
 */
bool split_unit_open(struct split_unit *unit, Elf *package, Elf *program, Dwarf_Die *skeleton,
                     uint64_t dwo_id);
void split_unit_close(struct split_unit *unit);

#endif
