/*
 * plugin.c - a library that plugins.c loads and unloads; built twice, as plugin_red and plugin_blue,
 * with code at the same offsets, so that the loader may put one where the other was.
 */
#include <stdlib.h>

#define JOIN(a, b) a##b
#define NAME(colour) JOIN(allocate_, colour)

__attribute__((noinline)) void *NAME(PLUGIN_COLOUR)(size_t size_bytes);
__attribute__((visibility("default"))) void *plugin_allocate(size_t size_bytes);

__attribute__((noinline)) void *NAME(PLUGIN_COLOUR)(size_t size_bytes)
{
    void *block = malloc(size_bytes);
    __asm__ volatile("" : : "r"(block));
    return block;
}

void *plugin_allocate(size_t size_bytes)
{
    void *block = NAME(PLUGIN_COLOUR)(size_bytes);
    __asm__ volatile("" : : "r"(block));
    return block;
}
