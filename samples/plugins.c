/*
 * plugins.c - loads and unloads two libraries in turn, mostly at the same addresses: the
 * allocations of each must be its own. What the loader allocates is not part of the truth.
 *
 * Truth
 *   allocate_red(): allocations 150, frees 100, allocated_bytes 4500, live_blocks 50, live_bytes 1500
 *   allocate_blue(): allocations 150, frees 100, allocated_bytes 7500, live_blocks 50, live_bytes 2500
 *   status: 0
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 50 };

static void *kept[2 * ROUNDS];

static void use(const char *library, size_t size_bytes, void **keep)
{
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        fprintf(stderr, "plugins: %s\n", dlerror());
        exit(1);
    }
    void *(*allocate)(size_t) = NULL;
    *(void **)&allocate = dlsym(handle, "plugin_allocate");
    void *first = allocate(size_bytes);
    void *second = allocate(size_bytes);
    *keep = allocate(size_bytes);
    free(first);
    free(second);
    dlclose(handle);
}

int main(int count, char **arguments)
{
    if (count < 1) {
        return 2;
    }
    /* The libraries lie beside the program. */
    char red[4096];
    char blue[4096];
    const char *slash = strrchr(arguments[0], '/');
    int folder = slash == NULL ? 0 : (int)(slash + 1 - arguments[0]);
    snprintf(red, sizeof(red), "%.*splugin_red.so", folder, arguments[0]);
    snprintf(blue, sizeof(blue), "%.*splugin_blue.so", folder, arguments[0]);
    for (int i = 0; i < ROUNDS; i++) {
        use(red, 30, &kept[2 * i]);
        use(blue, 50, &kept[2 * i + 1]);
    }
    return 0;
}
