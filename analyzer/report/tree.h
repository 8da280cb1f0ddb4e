/*
 * report/tree.h - where machine-readable results are written: objects, arrays, values.
 *
 * The contract fixes the shapes; results may be large (100 000 sites with their stacks),
 * so they are streamed to a sink instead of being built in memory. A renderer implements
 * the sink.
 *
 * Context: analyzer.
 */
#ifndef MEMTRACK_REPORT_TREE_H
#define MEMTRACK_REPORT_TREE_H

#include <stdbool.h>
#include <stdint.h>

struct report_tree;

struct report_tree_functions {
    /* key is NULL for elements of an array and for the outermost value. */
    void (*begin)(struct report_tree *tree, const char *key, bool is_array);
    void (*end)(struct report_tree *tree);
    void (*integer)(struct report_tree *tree, const char *key, int64_t value);
    void (*number)(struct report_tree *tree, const char *key, double value);
    void (*boolean)(struct report_tree *tree, const char *key, bool value);
    void (*text)(struct report_tree *tree, const char *key, const char *value); /* NULL: null */
};

struct report_tree {
    const struct report_tree_functions *functions;
};

static inline void tree_object(struct report_tree *tree, const char *key)
{
    tree->functions->begin(tree, key, false);
}
static inline void tree_array(struct report_tree *tree, const char *key)
{
    tree->functions->begin(tree, key, true);
}
static inline void tree_end(struct report_tree *tree)
{
    tree->functions->end(tree);
}
static inline void tree_integer(struct report_tree *tree, const char *key, int64_t value)
{
    tree->functions->integer(tree, key, value);
}
static inline void tree_number(struct report_tree *tree, const char *key, double value)
{
    tree->functions->number(tree, key, value);
}
static inline void tree_boolean(struct report_tree *tree, const char *key, bool value)
{
    tree->functions->boolean(tree, key, value);
}
static inline void tree_text(struct report_tree *tree, const char *key, const char *value)
{
    tree->functions->text(tree, key, value);
}

#endif
