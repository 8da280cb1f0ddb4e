#include "recorder/image_writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/capture.h"
#include "core/module_table.h"

#define IMAGE_CHAIN_MAX (CAPTURE_DEPTH_LIMIT + 8u)

void image_writer_init(struct image_writer *writer, uint32_t index, const char *executable,
                       const char *working_directory)
{
    memset(writer, 0, sizeof *writer);
    writer->index = index;
    writer->executable = strdup(executable);
    writer->working_directory = strdup(working_directory);
    writer->stacks_first = 1;
}

void image_writer_forget(struct image_writer *writer)
{
    free(writer->modules);
    free(writer->nodes_written);
    free(writer->stacks_written);
    writer->modules = NULL;
    writer->module_count = 0;
    writer->module_capacity = 0;
    writer->nodes_written = NULL;
    writer->node_bits = 0;
    writer->stacks_written = NULL;
    writer->stack_bits = 0;
    writer->stacks_first = 1;
}

void image_writer_deinit(struct image_writer *writer)
{
    image_writer_forget(writer);
    free(writer->executable);
    free(writer->working_directory);
    memset(writer, 0, sizeof *writer);
}

/* ---- bit sets ------------------------------------------------------------- */

static int bits_reserve(uint8_t **bits, size_t *count, size_t wanted)
{
    if (wanted <= *count) {
        return 0;
    }
    size_t grown = *count * 2 > wanted ? *count * 2 : wanted;
    grown = (grown + 4095) & ~(size_t)4095;
    uint8_t *larger = realloc(*bits, grown / 8);
    if (larger == NULL) {
        return -ENOMEM;
    }
    memset(larger + *count / 8, 0, (grown - *count) / 8);
    *bits = larger;
    *count = grown;
    return 0;
}

static bool bits_has(const uint8_t *bits, size_t index)
{
    return (bits[index / 8] >> (index % 8) & 1) != 0;
}

static void bits_set(uint8_t *bits, size_t index)
{
    bits[index / 8] = (uint8_t)(bits[index / 8] | 1u << (index % 8));
}

/* ---- modules -------------------------------------------------------------- */

/* The path under which a module's file is found from anywhere. */
static void module_path(const struct image_writer *writer, const struct arena_module *module,
                        char *path, size_t path_bytes)
{
    if (module->path[0] == '\0') {
        snprintf(path, path_bytes, "%s", writer->executable == NULL ? "" : writer->executable);
    } else if (module->path[0] == '/' || module->path[0] == '[') {
        snprintf(path, path_bytes, "%s", module->path);
    } else if (strchr(module->path, '/') == NULL) {
        /* A bare name such as linux-vdso.so.1 is no file. */
        snprintf(path, path_bytes, "[%s]", module->path);
    } else {
        snprintf(path, path_bytes, "%s/%s",
                 writer->working_directory == NULL ? "" : writer->working_directory, module->path);
    }
}

static int module_add(struct image_writer *writer, const struct image_module *module)
{
    if (writer->module_count == writer->module_capacity) {
        uint32_t capacity = writer->module_capacity == 0 ? 16 : writer->module_capacity * 2;
        struct image_module *modules = realloc(writer->modules, capacity * sizeof *modules);
        if (modules == NULL) {
            return -ENOMEM;
        }
        writer->modules = modules;
        writer->module_capacity = capacity;
    }
    writer->modules[writer->module_count++] = *module;
    return 0;
}

/* Writes one module; returns its id in the recording or a negative error. */
static int64_t module_write(const struct image_writer *writer, const struct arena_module *module,
                            struct recording_writer *recording)
{
    char path[2 * ARENA_TEXT_BYTES];
    module_path(writer, module, path, sizeof path);
    struct recording_module row = {
        .path = path,
        .build_id = module->build_id_bytes == 0 ? NULL : module->build_id,
        .build_id_bytes = module->build_id_bytes};
    int64_t id = recording_writer_add_module(recording, &row);
    if (id < 0) {
        return id;
    }
    int result = recording_writer_add_mapping(
        recording, &(struct recording_mapping){.image = writer->index,
                                               .module = id,
                                               .start = module->start,
                                               .end = module->end,
                                               .load_bias = module->load_bias,
                                               .epoch = module->epoch});
    return result != 0 ? result : id;
}

static int modules_update(struct image_writer *writer, const struct arena_file *file,
                          const struct arena_image *image, struct recording_writer *recording)
{
    struct arena_module *module = malloc(sizeof *module);
    if (module == NULL) {
        return -ENOMEM;
    }
    int result = 0;
    while (result == 0) {
        struct image_module known = {0};
        int status = module_table_read(&file->arena, image, writer->module_count, module);
        if (status == -ENOENT) {
            break;
        }
        if (status == 0) {
            known.load_bias = module->load_bias;
            known.module = module_write(writer, module, recording);
        }
        result = known.module < 0 ? (int)known.module : module_add(writer, &known);
    }
    free(module);
    return result;
}

/* Writes a return address; returns its id or a negative error. */
static int64_t address_write(const struct image_writer *writer, const struct arena_file *file,
                             const struct arena_image *image, struct recording_writer *recording,
                             uint64_t pc, uint32_t epoch)
{
    /* pc - 1: a call may be a function's last instruction. */
    int32_t position = module_table_resolve(&file->arena, image, epoch, pc - 1);
    if (position < 0 || (uint32_t)position >= writer->module_count
        || writer->modules[position].module == 0) {
        return recording_writer_add_address(recording, 0, pc);
    }
    const struct image_module *module = &writer->modules[position];
    return recording_writer_add_address(recording, module->module, pc - module->load_bias);
}

/* ---- stacks --------------------------------------------------------------- */

static bool node_read(const struct arena_file *file, const struct arena_image *image,
                      uint32_t node, struct arena_node *copy)
{
    if (node >= ARENA_NODES_MAX) {
        return false;
    }
    uint64_t offset = atomic_load_explicit(&image->node_chunk[node / ARENA_NODES_PER_CHUNK],
                                           memory_order_acquire);
    const struct arena_node *chunk =
        arena_at(&file->arena, offset, ARENA_NODES_PER_CHUNK * sizeof(struct arena_node));
    if (chunk == NULL) {
        return false;
    }
    *copy = chunk[node % ARENA_NODES_PER_CHUNK];
    /* Ids fall towards the outside: anything else is damage, and could be a cycle. */
    return copy->parent < node;
}

/* Writes the nodes of a stack that are not written yet, outermost first. Returns 0,
 * -EINVAL when the chain is damaged, or the writer's error. */
static int nodes_write(struct image_writer *writer, const struct arena_file *file,
                       const struct arena_image *image, struct recording_writer *recording,
                       uint32_t leaf, uint32_t epoch)
{
    struct {
        uint32_t id;
        struct arena_node node;
    } chain[IMAGE_CHAIN_MAX];
    size_t length = 0;
    for (uint32_t id = leaf; id != 0;) {
        if (length == IMAGE_CHAIN_MAX || !node_read(file, image, id, &chain[length].node)) {
            return -EINVAL;
        }
        if (bits_reserve(&writer->nodes_written, &writer->node_bits, (size_t)id + 1) != 0) {
            return -ENOMEM;
        }
        if (bits_has(writer->nodes_written, id)) {
            break;
        }
        chain[length].id = id;
        id = chain[length].node.parent;
        length++;
    }
    while (length > 0) {
        length--;
        uint64_t pc =
            (uint64_t)chain[length].node.pc_high << 32 | chain[length].node.pc_low;
        int64_t address = address_write(writer, file, image, recording, pc, epoch);
        if (address < 0) {
            return (int)address;
        }
        int result = recording_writer_add_node(
            recording, &(struct recording_node){.image = writer->index,
                                                .node = chain[length].id,
                                                .parent = chain[length].node.parent,
                                                .address = address});
        if (result != 0) {
            return result;
        }
        bits_set(writer->nodes_written, chain[length].id);
    }
    return 0;
}

/* Returns 1 when the stack is written (or never will be), 0 when it is not filled yet,
 * or a negative error. */
static int stack_write(struct image_writer *writer, const struct arena_file *file,
                       const struct arena_image *image, struct recording_writer *recording,
                       uint32_t id)
{
    uint64_t offset = atomic_load_explicit(&image->stack_chunk[id / ARENA_STACKS_PER_CHUNK],
                                           memory_order_acquire);
    const struct arena_stack *chunk =
        arena_at(&file->arena, offset, ARENA_STACKS_PER_CHUNK * sizeof(struct arena_stack));
    if (chunk == NULL) {
        return 0;
    }
    const struct arena_stack *stack = &chunk[id % ARENA_STACKS_PER_CHUNK];
    uint32_t leaf = atomic_load_explicit(&stack->leaf, memory_order_acquire);
    if (leaf == 0) {
        return 0;
    }
    uint16_t depth = stack->depth;
    uint8_t flags = stack->flags;
    int result = nodes_write(writer, file, image, recording, leaf, stack->epoch);
    if (result == -EINVAL) {
        return 1; /* damaged: its counters will show under a stack without frames */
    }
    if (result != 0) {
        return result;
    }
    result = recording_writer_add_stack(recording,
                                        &(struct recording_stack){.image = writer->index,
                                                                  .stack = id,
                                                                  .leaf = leaf,
                                                                  .depth = depth,
                                                                  .flags = flags});
    return result == 0 ? 1 : result;
}

int image_writer_update(struct image_writer *writer, const struct arena_file *file,
                        struct recording_writer *recording)
{
    if (writer->index >= ARENA_IMAGES_MAX) {
        return 0;
    }
    writer->offset = atomic_load_explicit(&file->arena.header->image_offset[writer->index],
                                          memory_order_acquire);
    const struct arena_image *image =
        arena_at(&file->arena, writer->offset, sizeof(struct arena_image));
    if (image == NULL) {
        return 0;
    }
    /* Stacks first known, modules after: a stack's modules are registered before it. */
    uint32_t count = atomic_load_explicit(&image->stack_next, memory_order_acquire);
    count = count > ARENA_STACKS_MAX ? ARENA_STACKS_MAX : count;
    int result = modules_update(writer, file, image, recording);
    if (result == 0) {
        result = bits_reserve(&writer->stacks_written, &writer->stack_bits, count);
    }
    for (uint32_t id = writer->stacks_first; result == 0 && id < count; id++) {
        if (bits_has(writer->stacks_written, id)) {
            continue;
        }
        if (id % 256 == 0) {
            arena_file_beat(file);
        }
        int written = stack_write(writer, file, image, recording, id);
        if (written < 0) {
            result = written;
        } else if (written > 0) {
            bits_set(writer->stacks_written, id);
        }
    }
    while (writer->stacks_first < count && bits_has(writer->stacks_written, writer->stacks_first)) {
        writer->stacks_first++;
    }
    return result;
}

/* ---- giving memory back --------------------------------------------------- */

static void directory_drop(const struct arena_file *file, const _Atomic uint64_t *directory,
                           size_t count, uint64_t chunk_bytes)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t offset = atomic_load_explicit(&directory[i], memory_order_relaxed);
        if (offset != 0) {
            arena_file_drop(file, offset, chunk_bytes);
        }
    }
}

static void hash_table_drop(const struct arena_file *file, const struct arena_hash_table *table,
                            unsigned first_log2)
{
    for (unsigned i = 0; i < ARENA_HASH_GENERATIONS; i++) {
        uint64_t offset = atomic_load_explicit(&table->table[i], memory_order_relaxed);
        if (offset != 0) {
            arena_file_drop(file, offset, sizeof(uint64_t) << (first_log2 + i));
        }
    }
}

void image_writer_drop(const struct image_writer *writer, const struct arena_file *file)
{
    const struct arena_image *image =
        arena_at(&file->arena, writer->offset, sizeof(struct arena_image));
    if (image == NULL) {
        return;
    }
    directory_drop(file, image->module_chunk, ARENA_MODULE_CHUNKS,
                   ARENA_MODULES_PER_CHUNK * sizeof(struct arena_module));
    directory_drop(file, image->stack_chunk, ARENA_STACK_CHUNKS,
                   ARENA_STACKS_PER_CHUNK * sizeof(struct arena_stack));
    directory_drop(file, image->node_chunk, ARENA_NODE_CHUNKS,
                   ARENA_NODES_PER_CHUNK * sizeof(struct arena_node));
    hash_table_drop(file, &image->stacks, ARENA_STACK_HASH_FIRST_LOG2);
    hash_table_drop(file, &image->prefixes, ARENA_PREFIX_HASH_FIRST_LOG2);
    arena_file_drop(file, writer->offset, sizeof *image);
}
