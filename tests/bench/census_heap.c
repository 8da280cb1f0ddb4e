/*
 * census_heap.c - a heap for census.py: BLOCKS blocks of 192 bytes in 65 536 lists that a
 * global table holds, in no order. Writes its pid to FILE, then rests.
 *
 * usage: census_heap BLOCKS FILE
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct node {
    struct node *next;
    char rest[184];
};

static struct node *table[1 << 16];

int main(int argc, char **argv)
{
    unsigned random = 1;
    long count = argc == 3 ? atol(argv[1]) : 0;
    for (long i = 0; i < count; i++) {
        struct node *node = malloc(sizeof(*node));
        if (node == NULL) {
            return 1;
        }
        memset(node, 0, sizeof(*node));
        random = random * 1103515245u + 12345u;
        node->next = table[random >> 16];
        table[random >> 16] = node;
    }
    FILE *file = argc == 3 ? fopen(argv[2], "w") : NULL;
    if (file == NULL) {
        fprintf(stderr, "usage: census_heap BLOCKS FILE\n");
        return 64;
    }
    fprintf(file, "%d\n", (int)getpid());
    fclose(file);
    for (;;) {
        pause();
    }
}
