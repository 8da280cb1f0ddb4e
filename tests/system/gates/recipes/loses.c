#include <stdlib.h>
#include <string.h>

static void lose_block(void)
{
    void *volatile block = malloc(48);
    block = NULL;
    (void)block;
}

/* Overwrites what earlier calls left on the stack. */
static void forget(void)
{
    volatile char rest[16384];
    memset((void *)rest, 0, sizeof rest);
}

int main(void)
{
    lose_block();
    forget();
    return 0;
}
