/*
 * analyses/ledger.h - where a process's resident memory was: items that add up to its RSS.
 *
 * Context: analyzer. Memory: the region's.
 */
#ifndef MEMTRACK_ANALYSES_LEDGER_H
#define MEMTRACK_ANALYSES_LEDGER_H

#include "model/model.h"

#define LEDGER_ITEMS_MAX 16u

struct ledger_entry {
    const char *item; /* "requested", "rounding" ...: tracker/recorder/ledger.h */
    int64_t bytes;
};

struct ledger {
    const struct model_snapshot *snapshot; /* NULL: at the process's end */
    struct ledger_entry entries[LEDGER_ITEMS_MAX];
    size_t count;
    int64_t rss_bytes; /* their sum */
};

/* The latest ledger at or before the selected state; NULL: there is none. */
const struct ledger *ledger_find(struct region *region, const struct model *model,
                                 const struct model_process *process);

/* An item in words for people; the item itself where it is not known. */
const char *ledger_label(const char *item);

#endif
