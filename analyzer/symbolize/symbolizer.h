/*
 * symbolize/symbolizer.h - from addresses to functions, source lines and inlined calls.
 *
 * A symbolizer opens the files that a program had mapped ("modules"), finds their debug
 * information wherever it lives (in the file, in a separate debug file found by build-id
 * or .gnu_debuglink, in .dwo files, in a file shared by dwz, at a debuginfod server) and
 * answers for each address the chain of functions whose code it is, inlined calls
 * included. DWARF is read by elfutils' libdw; the way from an address to its scope is an
 * index of our own, because libdw's takes a walk through the unit for each address and
 * finds nothing where .debug_aranges is missing.
 *
 * Nothing fails for want of symbols: an address without debug information gets its
 * symbol's name, without a symbol nothing but its module and offset. What was missing is
 * told per module as notes (symbolizer_module_notes), so that a report can say how to get
 * better names.
 *
 * Names are data from the program's files: they may hold quotes, control characters and
 * newlines, and need not be valid UTF-8. Whoever prints them must escape them.
 *
 * Context: analyzer, recorder; never inside the tracked program.
 * Memory:  the symbolizer owns everything. Strings that it hands out stay valid, and
 *          equal strings have equal addresses, until symbolizer_free(). Units of debug
 *          information are indexed when first asked for and dropped again when their
 *          sum passes a bound (symbolizer_options.memory_max_bytes).
 * Threads: any thread may call any function; calls for one module run one after the
 *          other. symbolizer_resolve() itself uses several threads.
 */
#ifndef MEMTRACK_SYMBOLIZE_SYMBOLIZER_H
#define MEMTRACK_SYMBOLIZE_SYMBOLIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct symbolizer;
struct symbolizer_module;

/* Source files that lie elsewhere now: a file that begins with `from` is read at `to`. */
struct symbolizer_source_root {
    const char *from;
    const char *to;
};

/* All-zero is a valid choice of defaults. Strings are copied. */
struct symbolizer_options {
    /* Folders with separate debug files, NULL-terminated; looked into before
     * /usr/lib/debug. NULL: that one alone. */
    const char *const *debug_directories;
    /* Ask the servers that DEBUGINFOD_URLS names, for files that are not here. */
    bool use_debuginfod;
    /* Seconds that all questions to debuginfod servers together may take; 0: 20. */
    unsigned debuginfod_max_seconds;
    /* Threads that one symbolizer_resolve() may use; 0: as many as there are cores. */
    unsigned thread_count;
    /* Bound for indexed units and libdw's own tables, all threads of one module
     * together; 0: 512 MiB. Files are mapped, not read, and do not count. */
    size_t memory_max_bytes;
    /* Folder in which later runs find what this one worked out; NULL: none. See
     * cache_folder.h. */
    const char *cache_directory;
    const struct symbolizer_source_root *source_roots;
    size_t source_root_count;
};

/* Returns 0 and a symbolizer, which the caller frees with symbolizer_free(); -ENOMEM.
 * options: NULL means defaults. */
int symbolizer_new(const struct symbolizer_options *options, struct symbolizer **symbolizer);

/* Frees it, its modules and all strings that it handed out. NULL is allowed. */
void symbolizer_free(struct symbolizer *symbolizer);

enum symbolizer_quality {
    SYMBOLIZER_QUALITY_NONE = 0,   /* nothing known: count is 0 */
    SYMBOLIZER_QUALITY_SYMBOL = 1, /* a symbol's name; no file unless a line table has it */
    SYMBOLIZER_QUALITY_DEBUG = 2   /* function from debug information */
};

/* ---- modules ------------------------------------------------------------ */

struct symbolizer_module_file {
    /* The file as the tracked process saw it; the module's name in all texts. */
    const char *path;
    /* The same file as this process can open it, say /proc/PID/root/lib/libc.so.6 or
     * /proc/PID/exe; NULL: `path`. */
    const char *readable_path;
    /* What the process had mapped; length 0: unknown, take the file as it is. A file
     * with another build-id is not used, but a separate debug file with this one is. */
    const uint8_t *build_id;
    size_t build_id_bytes;
};

/*
 * Opens a module, or returns the one opened earlier for the same path and build-id.
 * A missing, damaged or replaced file is no error: the module then has notes, and its
 * addresses resolve as far as possible. "[vdso]" and other names in brackets name no
 * file; they resolve to nothing. The module lives as long as the symbolizer.
 *
 * Returns 0; -ENOMEM.
 */
int symbolizer_module_open(struct symbolizer *symbolizer, const struct symbolizer_module_file *file,
                           struct symbolizer_module **module);

/* Releases a module's file, index and threads' tables when no more questions are
 * expected soon; its notes stay, its next question opens it again. */
void symbolizer_module_close(struct symbolizer_module *module);

/* What stood in the way of better names. Bits; several may hold. */
enum symbolizer_note {
    SYMBOLIZER_NOTE_FILE_MISSING = 1 << 0,      /* no such file (any more), or unreadable */
    SYMBOLIZER_NOTE_FILE_DAMAGED = 1 << 1,      /* not an ELF file for this machine */
    SYMBOLIZER_NOTE_BUILD_ID_DIFFERS = 1 << 2,  /* the file was replaced since */
    SYMBOLIZER_NOTE_NO_DEBUG = 1 << 3,          /* no debug information anywhere */
    SYMBOLIZER_NOTE_NO_SYMBOLS = 1 << 4,        /* not even a symbol table */
    SYMBOLIZER_NOTE_DEBUG_DAMAGED = 1 << 5,     /* libdw refuses it, or it contradicts itself */
    SYMBOLIZER_NOTE_DEBUG_COMPRESSED = 1 << 6,  /* in a way that cannot be read here */
    SYMBOLIZER_NOTE_SPLIT_MISSING = 1 << 7,     /* .dwo or .dwp files not found */
    SYMBOLIZER_NOTE_ALTERNATE_MISSING = 1 << 8, /* the file that dwz shares names in */
    SYMBOLIZER_NOTE_DEBUGINFOD_FAILED = 1 << 9  /* asked, but no answer in time */
};

/* The bits found so far: some show up only when addresses are resolved. */
unsigned symbolizer_module_notes(const struct symbolizer_module *module);

/* One sentence for a person, why and what to do, for one bit; without the module's name
 * and without a final stop. "" for an unknown bit. The text is constant. */
const char *symbolizer_note_text(enum symbolizer_note note);

/* The best that addresses of this module can get. */
enum symbolizer_quality symbolizer_module_quality(struct symbolizer_module *module);

/* The path given to symbolizer_module_open(). */
const char *symbolizer_module_path(const struct symbolizer_module *module);

/* The file that the debug information came from; NULL if there is none. */
const char *symbolizer_module_debug_path(const struct symbolizer_module *module);

/* ---- addresses ---------------------------------------------------------- */

/* One question: `offset` is the address less the module's load bias, that is the address
 * in the file's program headers. A return address is looked up at offset - 1: the call,
 * not what follows it (often another line, after a noreturn call another function). */
struct symbolizer_query {
    uint64_t offset;
    bool is_return_address;
};

/* Strings: see Memory above; NULL where unknown. */
struct symbolizer_frame {
    const char *function;     /* demangled, with parameters; else the plain name */
    const char *linkage_name; /* as the linker knows it, NULL where it has none */
    const char *file;         /* absolute if its compilation said where, "." and ".." resolved */
    uint32_t line;            /* from 1; 0: unknown */
    uint32_t column;          /* from 1; 0: unknown */
    uint32_t function_line;   /* where the function is declared; 0: unknown */
    uint64_t function_start;  /* module offset of the function's or inlined call's first byte */
    bool is_inlined;          /* its code was inlined into the next frame's function */
};

struct symbolizer_answer {
    size_t index; /* of the query */
    enum symbolizer_quality quality;
    /* frames[0..frame_count), innermost first: zero or more inlined calls, then the
     * function itself. Valid during the callback. */
    const struct symbolizer_frame *frames;
    size_t frame_count;
};

/* Called once for each query, one call at a time, in no particular order and not
 * necessarily on the caller's thread. Must not call back into the symbolizer. */
typedef void symbolizer_answer_function(void *context, const struct symbolizer_answer *answer);

/*
 * Resolves queries[0..count). The more at once, the better: units are read once per call
 * and spread over threads.
 *
 * Returns 0, or -ENOMEM: then some queries got no answer.
 */
int symbolizer_resolve(struct symbolizer_module *module, const struct symbolizer_query *queries,
                       size_t count, symbolizer_answer_function *answer, void *context);

/* A symbol by address, for data: name of the global or static object that covers the
 * offset, demangled; NULL if none. *start (may be NULL) gets its first byte's offset. */
const char *symbolizer_data_symbol(struct symbolizer_module *module, uint64_t offset,
                                   uint64_t *start);

/* Demangles a C++ or Rust name; the name itself if it is none. The string is the
 * symbolizer's; NULL only when memory is short. */
const char *symbolizer_demangle(struct symbolizer *symbolizer, const char *linkage_name);

/* ---- source lines ------------------------------------------------------- */

/*
 * The text of one line (from 1) of a source file, without its end of line, at most 512
 * bytes; NULL if the file is not here, not a regular text file, too large (16 MiB) or
 * shorter. Source roots apply. The string is the symbolizer's. Files are kept open in a
 * small cache, so ask file by file.
 */
const char *symbolizer_source_line(struct symbolizer *symbolizer, const char *file, uint32_t line);

#endif
