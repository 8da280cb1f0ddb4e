/* Collapsed stacks. Source: the comments at the top of flamegraph.pl by Brendan Gregg. */
#include "foundation/region.h"
#include "render/export.h"
#include "render/line_text.h"

#include <stdlib.h>

void render_collapsed(FILE *out, const struct flame_tree *tree)
{
    size_t capacity = 0;
    uint32_t *path = mt_grow(NULL, &capacity, tree->depth_max + 1, sizeof(*path));
    for (size_t i = 0; i < tree->node_count; i++) {
        const struct flame_node *node = &tree->nodes[i];
        if (node->self <= 0) {
            continue;
        }
        uint32_t at = (uint32_t)i;
        for (uint32_t depth = node->depth; depth > 0; depth--) {
            path[depth] = at;
            at = tree->nodes[at].parent;
        }
        for (uint32_t depth = 1; depth <= node->depth; depth++) {
            if (depth > 1) {
                fputc(';', out);
            }
            line_text_put(out, tree->nodes[path[depth]].name, ";", ':');
        }
        fprintf(out, "%s %lld\n", node->depth == 0 ? "[unknown]" : "", (long long)node->self);
    }
    free(path);
}
