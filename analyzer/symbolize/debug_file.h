/*
 * symbolize/debug_file.h - a module's ELF file and, wherever it lies, its debug file.
 *
 * Looked for in this order: the file itself; a debug file named by build-id
 * (DIR/.build-id/xx/rest.debug) or by .gnu_debuglink (beside the file, in .debug/ beside
 * it, under DIR + its folder) in each debug directory; debuginfod's cache and servers.
 * Source: GDB manual, "Debugging Information in Separate Files".
 *
 * Context: analyzer, recorder.
 * Memory:  file descriptors and mappings, released by debug_file_close().
 * Threads: one at a time.
 */
#ifndef MEMTRACK_SYMBOLIZE_DEBUG_FILE_H
#define MEMTRACK_SYMBOLIZE_DEBUG_FILE_H

#include <libelf.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEBUG_FILE_BUILD_ID_MAX 64u
#define DEBUG_FILE_CODE_RANGES_MAX 16u

/* Where to look, the same for all modules; constant while files are opened. */
struct debug_file_places {
    char **directories; /* NULL-terminated */
    bool use_debuginfod;
    struct debug_server *server; /* NULL until first needed; see debug_server.h */
};

struct debug_file {
    /* Held by whoever reads sections: libelf's handles are not made for several threads.
     * Set by the owner after opening. */
    pthread_mutex_t *elf_lock;
    Elf *main;  /* what was mapped; NULL: not there, or replaced */
    Elf *debug; /* the one with debug information; may equal `main`; NULL: none */
    Elf *package; /* FILE.dwp, the .dwo files of a program in one; NULL: none */
    int main_descriptor;
    int debug_descriptor;
    int package_descriptor;
    char *debug_path;
    bool is_packed; /* `debug` has sections that debug_file_unpack() must decompress first */
    size_t expanded_bytes;
    size_t mapped_bytes; /* not 0: `expanded` is a mapping, and this long */
    void *expanded; /* `debug` lies here, its sections decompressed by us; NULL: in its file */
    unsigned notes; /* enum symbolizer_note */
    uint8_t build_id[DEBUG_FILE_BUILD_ID_MAX];
    size_t build_id_bytes;
    struct {
        uint64_t low;
        uint64_t high;
    } code[DEBUG_FILE_CODE_RANGES_MAX]; /* executable segments */
    size_t code_count;
};

/* Opens what can be opened; what cannot is told in file->notes. `build_id` is what is
 * expected (length 0: whatever the file has). Returns 0 or -ENOMEM. */
int debug_file_open(struct debug_file *file, struct debug_file_places *places, const char *path,
                    const char *readable_path, const uint8_t *build_id, size_t build_id_bytes);

/* Makes the debug information readable, where it is compressed: must be called before it is
 * read. Apart from opening because it costs far more, and not all questions need it. */
void debug_file_unpack(struct debug_file *file);

/* The same with an image that was made earlier: takes bytes[0..mapped_bytes), a mapping
 * whose first image_bytes are the file. False: it is no ELF file, and stays the caller's. */
bool debug_file_use_image(struct debug_file *file, char *bytes, size_t image_bytes,
                          size_t mapped_bytes);

void debug_file_close(struct debug_file *file);

/* Whether a section of this name is there: ".debug_info" and the like. */
bool debug_file_has_section(Elf *elf, const char *name);

/* Whether the address lies in an executable segment; true if none is known. */
bool debug_file_is_code(const struct debug_file *file, uint64_t address);

/* Lets the kernel take back what was read of the files so far. */
void debug_file_release_pages(const struct debug_file *file);

#endif
