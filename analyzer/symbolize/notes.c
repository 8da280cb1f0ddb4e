/* symbolize/notes.c - what stood in the way of better names, in words. */
#include "symbolize/symbolizer.h"

const char *symbolizer_note_text(enum symbolizer_note note)
{
    switch (note) {
    case SYMBOLIZER_NOTE_FILE_MISSING:
        return "the file is not there or cannot be read: names need the file that was running";
    case SYMBOLIZER_NOTE_FILE_DAMAGED:
        return "the file is not an ELF file that can be read: reinstall or rebuild it";
    case SYMBOLIZER_NOTE_BUILD_ID_DIFFERS:
        return "the file was replaced since it was mapped (its build-id differs): report before "
               "rebuilding or upgrading, or keep the old file's debug information by build-id";
    case SYMBOLIZER_NOTE_NO_DEBUG:
        return "no debug information: compile with -g, install the package's -dbgsym, or set "
               "DEBUGINFOD_URLS";
    case SYMBOLIZER_NOTE_NO_SYMBOLS:
        return "stripped, and no debug information was found: keep the symbol table, or install "
               "the package's -dbgsym";
    case SYMBOLIZER_NOTE_DEBUG_DAMAGED:
        return "the debug information is damaged: names may be missing; rebuild with -g";
    case SYMBOLIZER_NOTE_DEBUG_COMPRESSED:
        return "the debug information is compressed in a way that cannot be read here: link with "
               "-gz=zlib or -gz=none, or run objcopy --decompress-debug-sections";
    case SYMBOLIZER_NOTE_SPLIT_MISSING:
        return "compiled with -gsplit-dwarf, and .dwo or .dwp files are missing: keep them where "
               "they were written, or the .dwp beside the program";
    case SYMBOLIZER_NOTE_ALTERNATE_MISSING:
        return "dwz moved names into a shared file (.gnu_debugaltlink) that is not there: install "
               "the whole -dbgsym package";
    case SYMBOLIZER_NOTE_DEBUGINFOD_FAILED:
        return "the debuginfod servers did not answer in time: try again, or check DEBUGINFOD_URLS";
    }
    return "";
}
