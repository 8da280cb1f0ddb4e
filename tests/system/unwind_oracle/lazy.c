/* unwind_oracle/lazy.c - allocates while ld.so resolves a function at its first call. */
#include <stdlib.h>

int edges_target(int value);
int edges_lazy_call(int value);

static int target(int value)
{
    return value + 1;
}

/* The resolver of edges_target: runs below _dl_runtime_resolve. */
static int (*resolve(void))(int)
{
    free(malloc(24));
    return target;
}

int edges_target(int value) __attribute__((ifunc("resolve")));

int edges_lazy_call(int value)
{
    free(malloc(8));
    return edges_target(value) + edges_target(1);
}
