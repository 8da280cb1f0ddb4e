#include "hooks/real.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <string.h>

struct real_functions real;

char boot_arena[BOOT_ARENA_BYTES] __attribute__((aligned(64)));
static _Atomic size_t boot_used;

/* Each block is preceded by its size. */
void *boot_allocate(size_t size, size_t alignment)
{
    if (alignment < 16) {
        alignment = 16;
    }
    if (size > BOOT_ARENA_BYTES || alignment > 4096) {
        return NULL;
    }
    size_t need = size + alignment + 16;
    size_t start = atomic_fetch_add_explicit(&boot_used, need, memory_order_relaxed);
    if (start + need > BOOT_ARENA_BYTES) {
        return NULL;
    }
    uintptr_t address = ((uintptr_t)&boot_arena[start] + 16 + alignment - 1) & ~(alignment - 1);
    memcpy((void *)(address - sizeof size), &size, sizeof size);
    return (void *)address;
}

size_t boot_size(const void *block)
{
    size_t size;
    memcpy(&size, (const char *)block - sizeof size, sizeof size);
    return size;
}

bool real_resolve(void)
{
    static _Atomic int is_resolving;
    if (atomic_exchange_explicit(&is_resolving, 1, memory_order_acquire) != 0) {
        return real.free != NULL;
    }
    struct real_functions found = {0};
    *(void **)&found.malloc = dlsym(RTLD_NEXT, "malloc");
    *(void **)&found.calloc = dlsym(RTLD_NEXT, "calloc");
    *(void **)&found.realloc = dlsym(RTLD_NEXT, "realloc");
    *(void **)&found.memalign = dlsym(RTLD_NEXT, "memalign");
    *(void **)&found.aligned_alloc = dlsym(RTLD_NEXT, "aligned_alloc");
    *(void **)&found.posix_memalign = dlsym(RTLD_NEXT, "posix_memalign");
    *(void **)&found.valloc = dlsym(RTLD_NEXT, "valloc");
    *(void **)&found.pvalloc = dlsym(RTLD_NEXT, "pvalloc");
    *(void **)&found.malloc_usable_size = dlsym(RTLD_NEXT, "malloc_usable_size");
    *(void **)&found.free = dlsym(RTLD_NEXT, "free");
    real = found;
    return real.free != NULL;
}

void *real_find(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    static const char *const late_libraries[] = {"libstdc++.so.6", "libc++abi.so.1", "libc++.so.1"};
    for (size_t i = 0; function == NULL && i < sizeof late_libraries / sizeof *late_libraries;
         i++) {
        void *library = dlopen(late_libraries[i], RTLD_LAZY | RTLD_NOLOAD);
        if (library != NULL) {
            function = dlsym(library, name);
            dlclose(library);
        }
    }
    return function;
}
