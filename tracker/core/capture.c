/* Captures by libunwind's unw_backtrace, opened privately: its _Unwind_* names must not
 * replace the program's own. */
#include "core/capture.h"

#include <dlfcn.h>
#include <stdbool.h>

#include "core/module_table.h"
#include "core/stack_table.h"

static struct stack_table capture_stacks;
static struct module_table capture_modules;
static struct arena_process *capture_process;
static uint32_t capture_depth_max;

/* libunwind allocates its own thread-local storage on first use. */
static _Thread_local bool is_capturing __attribute__((tls_model("initial-exec")));
static int (*unwind)(void **, int);

size_t capture_thread_bytes(void)
{
    return 64;
}

int capture_start(const struct arena *arena, struct arena_image *image,
                  struct arena_process *process)
{
    stack_table_open(&capture_stacks, arena, image);
    module_table_open(&capture_modules, arena, image);
    capture_process = process;
    capture_depth_max = arena->header->config.depth_max;
    void *library = dlopen("libunwind.so.8", RTLD_LAZY | RTLD_LOCAL);
    if (library == NULL) {
        return -2;
    }
    *(void **)&unwind = dlsym(library, "unw_backtrace");
    return unwind == NULL ? -2 : 0;
}

void capture_forked(struct arena_process *process)
{
    capture_process = process;
}

uint32_t capture_stack(struct capture_thread *thread, const struct capture_origin *origin)
{
    (void)thread;
    if (is_capturing) {
        return 0;
    }
    is_capturing = true;
    void *pc[256];
    int count = unwind(pc, 256);
    is_capturing = false;
    int first = 0;
    while (first < count && (uintptr_t)pc[first] != origin->pc) {
        first++;
    }
    struct capture_frame frames[256];
    uint32_t depth = 0;
    for (int i = first; i < count && pc[i] != NULL && depth < capture_depth_max; i++) {
        frames[depth++].pc = (uintptr_t)pc[i];
    }
    if (depth == 0) {
        frames[depth++].pc = origin->pc;
    }
    for (;;) {
        uint32_t epoch = module_table_epoch(&capture_modules);
        uint64_t hash = UINT64_C(0x9e3779b97f4a7c15) + epoch;
        for (uint32_t i = depth; i-- > 0;) {
            hash = (hash ^ frames[i].pc) * UINT64_C(0xff51afd7ed558ccd);
            hash ^= hash >> 32;
            frames[i].hash = hash | 1;
        }
        uint32_t id = stack_table_find(&capture_stacks, frames[0].hash);
        if (id != 0) {
            return id;
        }
        if (module_table_note(&capture_modules, frames, depth) == epoch) {
            return stack_table_insert(&capture_stacks, frames, depth, 0, epoch);
        }
    }
}
