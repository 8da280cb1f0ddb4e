/*
 * growth/edited.c - one program in two versions, for a diff across builds.
 *
 * Built twice: edited_before, and edited_after with -DEDITED, which adds code above the
 * leaking lines and another leak between them, and leaks more.
 *
 * Truth
 *   keep(): one site in edited_before, 100 blocks of 100 bytes each; two more lines above it
 *           in edited_after, where it keeps 300
 *   keep_more(): 10 blocks of 1000 bytes in both: unchanged
 *   added(): edited_after alone, 50 blocks of 10 bytes
 *   removed(): edited_before alone, 20 blocks of 50 bytes
 *   status: 0
 */
#include <stdlib.h>

static void *kept[1000];
static int count;

#ifdef EDITED
static int scale(int value)
{
    return value * 3;
}

static void added(void)
{
    for (int i = 0; i < 50; i++) {
        kept[count++] = malloc(10);
    }
}
#else
static void removed(void)
{
    for (int i = 0; i < 20; i++) {
        kept[count++] = malloc(50);
    }
}
#endif

static void keep(void)
{
    int blocks = 100;
#ifdef EDITED
    blocks = scale(blocks);
#endif
    for (int i = 0; i < blocks; i++) {
        kept[count++] = malloc(100);
    }
}

static void keep_more(void)
{
    for (int i = 0; i < 10; i++) {
        kept[count++] = malloc(1000);
    }
}

int main(void)
{
    keep();
#ifdef EDITED
    added();
#else
    removed();
#endif
    keep_more();
    return 0;
}
