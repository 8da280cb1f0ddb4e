/* Modules, addresses and their frames, shared by all images of a run. */
#include "model/frame_kind.h"
#include "model/tables.h"

#include <stdlib.h>
#include <string.h>

/* Ids are dense counts; one beyond this is damage. */
#define MODEL_ID_MAX (INT64_C(1) << 25)

struct symbol_function {
    const char *name;
    const char *linkage_name;
    int64_t line;
};

struct symbol_source {
    int64_t file;
    int64_t line;
    const char *text;
};

struct symbol_address {
    uint64_t offset;
    uint32_t module; /* index into model->modules */
    bool exists;
};

struct symbol_loader {
    struct model *model;
    const char **files;
    size_t file_count;
    size_t file_capacity;
    struct symbol_function *functions;
    size_t function_count;
    size_t function_capacity;
    struct symbol_source *sources;
    size_t source_count;
    size_t source_capacity;
    struct symbol_address *addresses;
    size_t address_count;
    size_t address_capacity;
    size_t module_capacity;
    /* The chain being collected. */
    int64_t chain_address;
    struct model_frame chain[64];
    uint32_t chain_count;
};

/* Makes array[id] exist, zeroing what is new. */
static void *symbol_reach(void *array, size_t *count, size_t *capacity, int64_t id,
                          size_t element_bytes)
{
    array = mt_grow(array, capacity, (size_t)id + 1, element_bytes);
    if ((size_t)id >= *count) {
        memset((char *)array + *count * element_bytes, 0,
               ((size_t)id + 1 - *count) * element_bytes);
        *count = (size_t)id + 1;
    }
    return array;
}

static bool symbol_id_is_sane(int64_t id)
{
    return id > 0 && id < MODEL_ID_MAX;
}

static int symbol_visit_module(void *context, const void *row)
{
    struct symbol_loader *loader = context;
    const struct recording_module *module = row;
    if (!symbol_id_is_sane(module->id)) {
        return 0;
    }
    struct model *model = loader->model;
    model->modules = symbol_reach(model->modules, &model->module_count, &loader->module_capacity,
                                  module->id, sizeof(*model->modules));
    const char *path = region_copy_text(model->region, module->path != NULL ? module->path : "");
    const char *slash = strrchr(path, '/');
    model->modules[module->id] = (struct model_module){
        .id = module->id,
        .path = path,
        .name = slash != NULL ? slash + 1 : path,
        .build_id = (const uint8_t *)region_copy(model->region, (const char *)module->build_id,
                                                 module->build_id_bytes),
        .build_id_bytes = module->build_id_bytes,
        .kind = module->kind >= RECORDING_MODULE_PROGRAM && module->kind <= RECORDING_MODULE_TRACKER
                    ? (enum recording_module_kind)module->kind
                    : RECORDING_MODULE_PROGRAM,
        .debug_info = region_copy_text(model->region, module->debug_info),
        .hint = region_copy_text(model->region, module->hint),
    };
    return 0;
}

static int symbol_visit_file(void *context, const void *row)
{
    struct symbol_loader *loader = context;
    const struct recording_file *file = row;
    if (symbol_id_is_sane(file->id)) {
        loader->files = symbol_reach(loader->files, &loader->file_count, &loader->file_capacity,
                                     file->id, sizeof(*loader->files));
        loader->files[file->id] = region_copy_text(loader->model->region, file->path);
    }
    return 0;
}

static int symbol_visit_function(void *context, const void *row)
{
    struct symbol_loader *loader = context;
    const struct recording_function *function = row;
    if (symbol_id_is_sane(function->id)) {
        loader->functions =
            symbol_reach(loader->functions, &loader->function_count, &loader->function_capacity,
                         function->id, sizeof(*loader->functions));
        loader->functions[function->id] = (struct symbol_function){
            .name = region_copy_text(loader->model->region, function->name),
            .linkage_name = region_copy_text(loader->model->region, function->linkage_name),
            .line = function->line,
        };
    }
    return 0;
}

static int symbol_visit_source(void *context, const void *row)
{
    struct symbol_loader *loader = context;
    const struct recording_source_row *source = row;
    loader->sources = mt_grow(loader->sources, &loader->source_capacity, loader->source_count + 1,
                              sizeof(*loader->sources));
    loader->sources[loader->source_count++] =
        (struct symbol_source){.file = source->file,
                               .line = source->line,
                               .text = region_copy_text(loader->model->region, source->text)};
    return 0;
}

static int symbol_visit_address(void *context, const void *row)
{
    struct symbol_loader *loader = context;
    const struct recording_address *address = row;
    if (symbol_id_is_sane(address->id)) {
        loader->addresses =
            symbol_reach(loader->addresses, &loader->address_count, &loader->address_capacity,
                         address->id, sizeof(*loader->addresses));
        bool is_known =
            address->module > 0 && (size_t)address->module < loader->model->module_count;
        loader->addresses[address->id] =
            (struct symbol_address){.offset = address->offset,
                                    .module = is_known ? (uint32_t)address->module : 0,
                                    .exists = true};
    }
    return 0;
}

static int symbol_compare_source(const void *left, const void *right)
{
    const struct symbol_source *a = left;
    const struct symbol_source *b = right;
    if (a->file != b->file) {
        return a->file < b->file ? -1 : 1;
    }
    return a->line < b->line ? -1 : a->line > b->line;
}

static const char *symbol_source_text(const struct symbol_loader *loader, int64_t file,
                                      int64_t line)
{
    if (loader->source_count == 0) {
        return NULL;
    }
    struct symbol_source key = {.file = file, .line = line};
    const struct symbol_source *found =
        bsearch(&key, loader->sources, loader->source_count, sizeof(key), symbol_compare_source);
    return found != NULL ? found->text : NULL;
}

/* Stores the chain collected so far as the frames of its address. */
static void symbol_finish_chain(struct symbol_loader *loader)
{
    struct model *model = loader->model;
    if (loader->chain_count > 0) {
        struct model_frame *frames =
            region_alloc_array(model->region, loader->chain_count, sizeof(*frames));
        memcpy(frames, loader->chain, loader->chain_count * sizeof(*frames));
        model->tables->addresses[loader->chain_address] =
            (struct model_address){.frames = frames, .frame_count = loader->chain_count};
    }
    loader->chain_count = 0;
}

static struct model_frame symbol_bare_frame(const struct symbol_loader *loader, int64_t address)
{
    const struct symbol_address *known = &loader->addresses[address];
    const struct model_module *module = &loader->model->modules[known->module];
    return (struct model_frame){
        .module = known->module != 0 ? module : NULL,
        .module_offset = known->offset,
        .is_allocator = frame_kind_is_allocator(NULL, module),
        .is_runtime = frame_kind_is_runtime(NULL, NULL, module),
    };
}

static int symbol_visit_symbol(void *context, const void *row)
{
    struct symbol_loader *loader = context;
    const struct recording_symbol_row *symbol = row;
    if (!symbol_id_is_sane(symbol->address) || (size_t)symbol->address >= loader->address_count) {
        return 0;
    }
    if (symbol->address != loader->chain_address) {
        symbol_finish_chain(loader);
        loader->chain_address = symbol->address;
    }
    if (loader->chain_count == sizeof(loader->chain) / sizeof(loader->chain[0])) {
        return 0;
    }
    struct model_frame *frame = &loader->chain[loader->chain_count++];
    *frame = symbol_bare_frame(loader, symbol->address);
    if (symbol->function > 0 && (size_t)symbol->function < loader->function_count) {
        const struct symbol_function *function = &loader->functions[symbol->function];
        frame->function = function->name;
        frame->linkage_name = function->linkage_name;
        frame->function_line = function->line;
    }
    if (symbol->file > 0 && (size_t)symbol->file < loader->file_count) {
        frame->file = loader->files[symbol->file];
        frame->line = symbol->line > 0 ? symbol->line : 0;
        frame->source = symbol_source_text(loader, symbol->file, symbol->line);
    }
    frame->is_inlined = symbol->is_inlined;
    const struct model_module *module = frame->module;
    frame->is_allocator = frame_kind_is_allocator(frame->function, module);
    frame->is_runtime = frame_kind_is_runtime(frame->function, frame->file, module);
    return 0;
}

/* What no symbolizer knew is shown as module and offset. */
static void symbol_fill_bare(struct symbol_loader *loader)
{
    struct model *model = loader->model;
    for (size_t i = 1; i < loader->address_count; i++) {
        struct model_address *address = &model->tables->addresses[i];
        struct model_module *module = &model->modules[loader->addresses[i].module];
        module->addresses++;
        if (address->frame_count > 0) {
            module->nameless += address->frames[0].function == NULL;
            continue;
        }
        module->nameless++;
        struct model_frame *frame = region_alloc(model->region, sizeof(*frame));
        *frame = symbol_bare_frame(loader, (int64_t)i);
        *address = (struct model_address){.frames = frame, .frame_count = 1};
    }
}

void model_load_symbols(struct model *model)
{
    struct symbol_loader loader = {.model = model};
    model->modules = symbol_reach(NULL, &model->module_count, &loader.module_capacity, 0,
                                  sizeof(*model->modules));
    model->modules[0].path = "";
    model->modules[0].name = "";
    recording_reader_each(model->reader, RECORDING_TABLE_MODULE, 0, symbol_visit_module, &loader);
    for (size_t i = 0; i < model->module_count; i++) {
        if (model->modules[i].path == NULL) {
            model->modules[i].path = model->modules[i].name = "";
        }
    }
    recording_reader_each(model->reader, RECORDING_TABLE_FILE, 0, symbol_visit_file, &loader);
    recording_reader_each(model->reader, RECORDING_TABLE_FUNCTION, 0, symbol_visit_function,
                          &loader);
    recording_reader_each(model->reader, RECORDING_TABLE_SOURCE_LINE, 0, symbol_visit_source,
                          &loader);
    recording_reader_each(model->reader, RECORDING_TABLE_ADDRESS, 0, symbol_visit_address, &loader);
    loader.addresses = symbol_reach(loader.addresses, &loader.address_count,
                                    &loader.address_capacity, 0, sizeof(*loader.addresses));
    struct model_tables *tables = model->tables;
    tables->address_count = loader.address_count;
    tables->addresses =
        region_alloc_array(model->region, loader.address_count, sizeof(*tables->addresses));
    recording_reader_each(model->reader, RECORDING_TABLE_SYMBOL, 0, symbol_visit_symbol, &loader);
    symbol_finish_chain(&loader);
    symbol_fill_bare(&loader);
    struct model_frame *unknown = region_alloc(model->region, sizeof(*unknown));
    tables->addresses[0] = (struct model_address){.frames = unknown, .frame_count = 1};
    free(loader.files);
    free(loader.functions);
    free(loader.sources);
    free(loader.addresses);
}
