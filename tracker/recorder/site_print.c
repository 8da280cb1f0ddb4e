#include "recorder/site_print.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/capture.h"
#include "core/module_table.h"
#include "core/stack_table.h"

/* Modules that a request's stacks touch; each is copied once. */
#define SITE_PRINT_MODULES 64u

struct site_print {
    const struct arena *arena;
    const struct arena_image *image;
    const char *executable;
    struct arena_module *modules; /* [0..module_count) */
    int32_t positions[SITE_PRINT_MODULES];
    size_t module_count;
};

static const struct arena_module *module_at(struct site_print *print, uint32_t epoch,
                                            uint64_t address)
{
    int32_t position = module_table_resolve(print->arena, print->image, epoch, address);
    if (position < 0) {
        return NULL;
    }
    for (size_t i = 0; i < print->module_count; i++) {
        if (print->positions[i] == position) {
            return &print->modules[i];
        }
    }
    struct arena_module *module = &print->modules[print->module_count];
    if (print->module_count == SITE_PRINT_MODULES
        || module_table_read(print->arena, print->image, (uint32_t)position, module) != 0) {
        return NULL;
    }
    if (module->path[0] == '\0') {
        snprintf(module->path, sizeof module->path, "%.*s", (int)sizeof module->path - 1,
                 print->executable);
    }
    print->positions[print->module_count++] = position;
    return module;
}

/* Returns the stack's addresses, which the caller frees; *count is 0 where none is known. */
static struct recorder_address *site_addresses(struct site_print *print, uint32_t stack,
                                               size_t *count)
{
    uint64_t pc[CAPTURE_DEPTH_LIMIT];
    uint32_t epoch = 0;
    uint32_t depth =
        stack_table_read(print->arena, print->image, stack, pc, CAPTURE_DEPTH_LIMIT, NULL, &epoch);
    struct recorder_address *addresses = calloc(depth == 0 ? 1 : depth, sizeof *addresses);
    *count = 0;
    for (uint32_t i = 0; addresses != NULL && i < depth; i++) {
        const struct arena_module *module = module_at(print, epoch, pc[i] - 1);
        struct recorder_address *address = &addresses[(*count)++];
        *address = (struct recorder_address){.path = "", .offset = pc[i]};
        if (module != NULL) {
            address->path = module->path;
            address->build_id = module->build_id;
            address->build_id_bytes = module->build_id_bytes;
            address->offset = pc[i] - module->load_bias;
        }
    }
    return addresses;
}

void site_print_serve(struct recorder *recorder, const struct tracked *tracked,
                      const struct arena_request *request, const char *title)
{
    const struct arena *arena = &recorder->file.arena;
    struct arena_image *image = NULL;
    if (tracked->image < ARENA_IMAGES_MAX) {
        uint64_t offset = atomic_load_explicit(&arena->header->image_offset[tracked->image],
                                               memory_order_acquire);
        image = arena_at(arena, offset, sizeof *image);
    }
    if (recorder->options->print_sites == NULL || image == NULL) {
        return;
    }
    char executable[ARENA_TEXT_BYTES];
    snprintf(executable, sizeof executable, "%.*s", (int)sizeof executable - 1,
             tracked->shared->executable);
    struct site_print print = {.arena = arena, .image = image, .executable = executable};
    struct recorder_site sites[ARENA_REQUEST_SITES];
    size_t count = 0;
    print.modules = calloc(SITE_PRINT_MODULES, sizeof *print.modules);
    uint32_t asked = request->site_count;
    for (uint32_t i = 0; print.modules != NULL && i < asked && i < ARENA_REQUEST_SITES; i++) {
        struct recorder_site *site = &sites[count];
        site->blocks = request->sites[i].blocks;
        site->bytes = request->sites[i].bytes;
        site->addresses = site_addresses(&print, request->sites[i].stack, &site->address_count);
        count += site->addresses != NULL;
    }
    recorder->options->print_sites(recorder->options->print_context, title, sites, count);
    for (size_t i = 0; i < count; i++) {
        free((void *)(uintptr_t)sites[i].addresses);
    }
    free(print.modules);
}
