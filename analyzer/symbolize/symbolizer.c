#include "symbolize/symbolizer.h"

#include "symbolize/debug_server.h"
#include "symbolize/module.h"
#include "symbolize/source_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEBUG_DIRECTORY_SYSTEM "/usr/lib/debug"
#define THREADS_MAX 64u
#define MEMORY_MAX_BYTES_DEFAULT ((size_t)512 << 20)
#define DEBUGINFOD_SECONDS_DEFAULT 20u

static int copy_directories(struct symbolizer *symbolizer, const char *const *directories)
{
    size_t count = 0;
    while (directories != NULL && directories[count] != NULL) {
        count++;
    }
    char **copy = calloc(count + 2, sizeof(copy[0]));
    symbolizer->places.directories = copy;
    if (copy == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i <= count; i++) {
        copy[i] = strdup(i < count ? directories[i] : DEBUG_DIRECTORY_SYSTEM);
        if (copy[i] == NULL) {
            return -ENOMEM;
        }
    }
    return 0;
}

static unsigned default_threads(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 1 ? 1 : cores > (long)THREADS_MAX ? THREADS_MAX : (unsigned)cores;
}

int symbolizer_new(const struct symbolizer_options *options, struct symbolizer **out)
{
    const struct symbolizer_options defaults = {0};
    if (options == NULL) {
        options = &defaults;
    }
    struct symbolizer *symbolizer = calloc(1, sizeof(*symbolizer));
    if (symbolizer == NULL) {
        return -ENOMEM;
    }
    if (string_pool_init(&symbolizer->pool) != 0) {
        free(symbolizer);
        return -ENOMEM;
    }
    pthread_mutex_init(&symbolizer->lock, NULL);
    symbolizer->thread_count = options->thread_count == 0           ? default_threads()
                               : options->thread_count > THREADS_MAX ? THREADS_MAX
                                                                     : options->thread_count;
    symbolizer->memory_max_bytes =
        options->memory_max_bytes == 0 ? MEMORY_MAX_BYTES_DEFAULT : options->memory_max_bytes;
    symbolizer->places.use_debuginfod = options->use_debuginfod;
    unsigned seconds = options->debuginfod_max_seconds == 0 ? DEBUGINFOD_SECONDS_DEFAULT
                                                            : options->debuginfod_max_seconds;
    elf_version(EV_CURRENT);
    int result = copy_directories(symbolizer, options->debug_directories);
    if (result == 0) {
        result = cache_folder_init(&symbolizer->cache_folder, options->cache_directory);
    }
    if (result == 0) {
        result = source_cache_new(&symbolizer->sources, options->source_roots,
                                  options->source_root_count);
    }
    if (result == 0 && options->use_debuginfod) {
        result = debug_server_new(&symbolizer->places.server, seconds);
    }
    if (result != 0) {
        symbolizer_free(symbolizer);
        return result;
    }
    *out = symbolizer;
    return 0;
}

static void module_free(struct symbolizer_module *module)
{
    module_close_files(module);
    pthread_mutex_destroy(&module->lock);
    free(module->path);
    free(module->readable_path);
    free(module);
}

void symbolizer_free(struct symbolizer *symbolizer)
{
    if (symbolizer == NULL) {
        return;
    }
    struct symbolizer_module *module = symbolizer->modules;
    while (module != NULL) {
        struct symbolizer_module *next = module->next;
        module_free(module);
        module = next;
    }
    char **directories = symbolizer->places.directories;
    for (size_t i = 0; directories != NULL && directories[i] != NULL; i++) {
        free(directories[i]);
    }
    free(directories);
    cache_folder_deinit(&symbolizer->cache_folder);
    debug_server_free(symbolizer->places.server);
    source_cache_free(symbolizer->sources);
    string_pool_deinit(&symbolizer->pool);
    pthread_mutex_destroy(&symbolizer->lock);
    free(symbolizer);
}

/* ---- modules ------------------------------------------------------------ */

static struct symbolizer_module *find_module(struct symbolizer *symbolizer,
                                             const struct symbolizer_module_file *file)
{
    for (struct symbolizer_module *module = symbolizer->modules; module != NULL;
         module = module->next) {
        if (strcmp(module->path, file->path) == 0
            && module->build_id_bytes == file->build_id_bytes
            && memcmp(module->build_id, file->build_id, file->build_id_bytes) == 0) {
            return module;
        }
    }
    return NULL;
}

static struct symbolizer_module *new_module(struct symbolizer *symbolizer,
                                            const struct symbolizer_module_file *file)
{
    struct symbolizer_module *module = calloc(1, sizeof(*module));
    if (module == NULL) {
        return NULL;
    }
    const char *readable_path = file->readable_path != NULL ? file->readable_path : file->path;
    module->symbolizer = symbolizer;
    module->path = strdup(file->path);
    module->readable_path = strdup(readable_path);
    if (module->path == NULL || module->readable_path == NULL) {
        free(module->path);
        free(module->readable_path);
        free(module);
        return NULL;
    }
    memcpy(module->build_id, file->build_id, file->build_id_bytes);
    module->build_id_bytes = file->build_id_bytes;
    pthread_mutex_init(&module->lock, NULL);
    module->next = symbolizer->modules;
    symbolizer->modules = module;
    return module;
}

int symbolizer_module_open(struct symbolizer *symbolizer, const struct symbolizer_module_file *given,
                           struct symbolizer_module **out)
{
    static const uint8_t no_build_id[1];
    struct symbolizer_module_file file = *given;
    if (file.build_id == NULL || file.build_id_bytes > DEBUG_FILE_BUILD_ID_MAX) {
        file.build_id_bytes = 0;
    }
    if (file.build_id_bytes == 0) {
        file.build_id = no_build_id;
    }
    pthread_mutex_lock(&symbolizer->lock);
    struct symbolizer_module *module = find_module(symbolizer, &file);
    if (module == NULL) {
        module = new_module(symbolizer, &file);
    }
    pthread_mutex_unlock(&symbolizer->lock);
    if (module == NULL) {
        return -ENOMEM;
    }
    pthread_mutex_lock(&module->lock);
    int result = module_open_files(module);
    pthread_mutex_unlock(&module->lock);
    *out = module;
    return result;
}

void symbolizer_module_close(struct symbolizer_module *module)
{
    pthread_mutex_lock(&module->lock);
    module_close_files(module);
    pthread_mutex_unlock(&module->lock);
}

unsigned symbolizer_module_notes(const struct symbolizer_module *module)
{
    return atomic_load_explicit(&module->notes, memory_order_relaxed);
}

enum symbolizer_quality symbolizer_module_quality(struct symbolizer_module *module)
{
    enum symbolizer_quality quality = SYMBOLIZER_QUALITY_NONE;
    pthread_mutex_lock(&module->lock);
    if (module_open_files(module) == 0) {
        quality = module_quality(module);
    }
    pthread_mutex_unlock(&module->lock);
    return quality;
}

const char *symbolizer_module_path(const struct symbolizer_module *module)
{
    return module->path;
}

const char *symbolizer_module_debug_path(const struct symbolizer_module *module)
{
    return module->file.debug_path;
}

/* ---- names and lines ---------------------------------------------------- */

const char *symbolizer_data_symbol(struct symbolizer_module *module, uint64_t offset,
                                   uint64_t *start)
{
    const char *name = NULL;
    pthread_mutex_lock(&module->lock);
    if (module_open_files(module) == 0) {
        const struct symbol_table_entry *symbol =
            symbol_table_find(module_symbols(module), offset, true);
        if (symbol != NULL) {
            struct string_pool *pool = &module->symbolizer->pool;
            name = string_pool_intern(pool, symbol->name, symbol->name_length);
            name = name == NULL ? NULL : string_pool_demangled(pool, name);
            if (start != NULL) {
                *start = symbol->start;
            }
        }
    }
    pthread_mutex_unlock(&module->lock);
    return name;
}

const char *symbolizer_demangle(struct symbolizer *symbolizer, const char *linkage_name)
{
    const char *name =
        string_pool_intern(&symbolizer->pool, linkage_name, strlen(linkage_name));
    return name == NULL ? NULL : string_pool_demangled(&symbolizer->pool, name);
}

const char *symbolizer_source_line(struct symbolizer *symbolizer, const char *file, uint32_t line)
{
    char text[SOURCE_CACHE_LINE_MAX_BYTES + 1];
    int length = source_cache_line(symbolizer->sources, file, line, text);
    return length < 0 ? NULL : string_pool_intern(&symbolizer->pool, text, (size_t)length);
}
