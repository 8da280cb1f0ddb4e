#include "recorder/holder_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/module_table.h"
#include "symbolize/symbolizer.h"

/* The list of threads is memory that the program can write to. */
#define THREADS_LOOKED_AT 65536u

/* A module as far as it was asked for. */
struct named_module {
    bool is_known;
    uint64_t load_bias;
    char *name; /* its file's, without folders */
    struct symbolizer_module *symbols;
};

struct holder_names {
    const struct arena_file *file;
    const struct image_writer *image;
    const struct arena_image *shared;
    const struct arena_process *process;
    struct symbolizer *symbolizer;
    struct named_module *modules; /* [0..module_count), in the order of the module log */
    uint32_t module_count;
};

struct holder_names *holder_names_new(const struct arena_file *file,
                                      const struct image_writer *image,
                                      const struct arena_process *process)
{
    struct holder_names *names = calloc(1, sizeof *names);
    if (names == NULL) {
        return NULL;
    }
    names->file = file;
    names->image = image;
    names->process = process;
    names->shared = arena_at(&file->arena, image->offset, sizeof *names->shared);
    names->module_count = image->module_count;
    names->modules = calloc(names->module_count + 1, sizeof *names->modules);
    if (names->modules == NULL || symbolizer_new(NULL, &names->symbolizer) != 0) {
        free(names->modules);
        free(names);
        return NULL;
    }
    return names;
}

void holder_names_free(struct holder_names *names)
{
    if (names == NULL) {
        return;
    }
    for (uint32_t i = 0; i < names->module_count; i++) {
        free(names->modules[i].name);
    }
    free(names->modules);
    symbolizer_free(names->symbolizer);
    free(names);
}

static void module_open(struct holder_names *names, uint32_t index, struct named_module *named)
{
    struct arena_module *module = malloc(sizeof *module);
    named->is_known = true;
    if (module == NULL) {
        return;
    }
    if (module_table_read(&names->file->arena, names->shared, index, module) == 0) {
        const char *path = module->path[0] == '\0' && names->image->executable != NULL
                               ? names->image->executable
                               : module->path;
        const char *slash = strrchr(path, '/');
        named->load_bias = module->load_bias;
        named->name = strdup(slash == NULL ? path : slash + 1);
        struct symbolizer_module_file wanted = {.path = path,
                                                .build_id = module->build_id,
                                                .build_id_bytes = module->build_id_bytes};
        if (symbolizer_module_open(names->symbolizer, &wanted, &named->symbols) != 0) {
            named->symbols = NULL;
        }
    }
    free(module);
}

/* Returns the module of an address, or NULL; *index: in the log. */
static struct named_module *module_find(struct holder_names *names, uint64_t address,
                                        uint32_t *index)
{
    if (names->shared == NULL) {
        return NULL;
    }
    int32_t found = module_table_resolve(&names->file->arena, names->shared, 0, address);
    if (found < 0 || (uint32_t)found >= names->module_count) {
        return NULL;
    }
    struct named_module *named = &names->modules[found];
    *index = (uint32_t)found;
    if (!named->is_known) {
        module_open(names, *index, named);
    }
    return named;
}

static void describe_global(struct holder_names *names, uint64_t address, char *text,
                            size_t text_bytes)
{
    uint32_t index;
    struct named_module *named = module_find(names, address, &index);
    if (named == NULL || named->name == NULL) {
        snprintf(text, text_bytes, "a global at 0x%llx", (unsigned long long)address);
        return;
    }
    const char *symbol =
        named->symbols == NULL
            ? NULL
            : symbolizer_data_symbol(named->symbols, address - named->load_bias, NULL);
    if (symbol != NULL) {
        snprintf(text, text_bytes, "%s (%s)", symbol, named->name);
    } else {
        snprintf(text, text_bytes, "globals of %s", named->name);
    }
}

/* "thread 17 'worker'" */
static void describe_thread(const struct holder_names *names, int32_t tid, char *text,
                            size_t text_bytes)
{
    uint64_t offset = atomic_load_explicit(&names->process->first_thread, memory_order_acquire);
    const struct arena_thread *table;
    for (uint32_t i = 0; i < THREADS_LOOKED_AT
                         && (table = arena_at(&names->file->arena, offset, sizeof *table)) != NULL;
         i++) {
        if (table->tid == tid && table->name[0] != '\0') {
            snprintf(text, text_bytes, "thread %d '%.*s'", tid, (int)sizeof table->name,
                     table->name);
            return;
        }
        offset = atomic_load_explicit(&table->next, memory_order_acquire);
    }
    snprintf(text, text_bytes, "thread %d", tid);
}

void holder_names_describe(struct holder_names *names, const struct arena_census_edge *edge,
                           char *text, size_t text_bytes)
{
    char thread[64];
    describe_thread(names, edge->tid, thread, sizeof thread);
    switch ((enum arena_holder_kind)edge->kind) {
    case ARENA_HOLDER_GLOBAL:
        describe_global(names, edge->holder, text, text_bytes);
        return;
    case ARENA_HOLDER_STACK:
        snprintf(text, text_bytes, "the stack of %s", thread);
        return;
    case ARENA_HOLDER_REGISTER:
        snprintf(text, text_bytes, "a register of %s", thread);
        return;
    case ARENA_HOLDER_TLS:
        snprintf(text, text_bytes, "thread-local data of %s", thread);
        return;
    case ARENA_HOLDER_MAPPING:
        snprintf(text, text_bytes, "memory that the program mapped");
        return;
    case ARENA_HOLDER_SITE:
        break;
    }
    snprintf(text, text_bytes, "an unknown holder");
}

int64_t holder_names_address(struct holder_names *names, const struct arena_census_edge *edge,
                             struct recording_writer *recording)
{
    if (edge->kind != ARENA_HOLDER_STACK && edge->kind != ARENA_HOLDER_REGISTER) {
        return 0;
    }
    uint32_t index;
    struct named_module *named = module_find(names, edge->holder, &index);
    if (named == NULL || edge->holder == 0) {
        return 0;
    }
    return recording_writer_add_address(recording, names->image->modules[index].module,
                                        edge->holder - named->load_bias);
}
