/* unwind_oracle/plugin.c - a library in two forms: the same addresses, other frames. */
#include <alloca.h>

__attribute__((noinline)) static int recurse(void (*call)(void), int depth)
{
    volatile char room[ROOM];
    room[0] = (char)depth;
    call();
    return depth == 0 ? room[0] : recurse(call, depth - 1) + room[0];
}

void edges_plugin(void (*call)(void), int depth);
void edges_plugin(void (*call)(void), int depth)
{
    volatile char room[ROOM + 16];
    room[0] = (char)recurse(call, depth);
    call();
}
