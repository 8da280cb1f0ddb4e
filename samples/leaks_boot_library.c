/* A library whose malloc is chosen when somebody asks for it, by a function that allocates. */
#include <stddef.h>

void *malloc(size_t size);
extern void *__libc_malloc(size_t size);

void *leaks_boot_block;
static int is_choosing;

static void *(*choose(void))(size_t)
{
    extern void *calloc(size_t count, size_t size);
    if (!is_choosing) {
        is_choosing = 1;
        leaks_boot_block = calloc(1, 64);
    }
    return __libc_malloc;
}

void *malloc(size_t size) __attribute__((ifunc("choose")));
