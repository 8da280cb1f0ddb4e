#include "analyses/ledger.h"

#include <string.h>

struct ledger_search {
    struct region *region;
    const struct model *model;
    struct ledger *latest;
    int64_t snapshot;
};

static int ledger_visit(void *context, const void *row)
{
    struct ledger_search *search = context;
    const struct recording_ledger *from = row;
    const struct model_snapshot *state = search->model->state_snapshot;
    struct ledger *ledger = search->latest;
    bool is_last = from->snapshot == RECORDING_LEDGER_AT_END;
    if (state != NULL && (is_last || from->snapshot > state->snapshot)) {
        return 0;
    }
    bool is_later = search->snapshot != RECORDING_LEDGER_AT_END
                    && (is_last || from->snapshot > search->snapshot);
    if (ledger->count == 0 || is_later) {
        *ledger = (struct ledger){0};
        search->snapshot = from->snapshot;
    }
    if (from->snapshot == search->snapshot && ledger->count < LEDGER_ITEMS_MAX
        && from->item != NULL) {
        ledger->entries[ledger->count++] = (struct ledger_entry){
            .item = region_copy_text(search->region, from->item), .bytes = from->bytes};
    }
    return 0;
}

/* In the order in which they are read: what was asked for first, the rest last. */
static int ledger_place(const char *item)
{
    static const char *const order[] = {"requested", "rounding", "allocator-free", "own-mappings",
                                        "stacks",    "files-and-code", "memtrack"};
    int count = (int)(sizeof(order) / sizeof(order[0]));
    for (int i = 0; i < count; i++) {
        if (strcmp(item, order[i]) == 0) {
            return i;
        }
    }
    return count;
}

const struct ledger *ledger_find(struct region *region, const struct model *model,
                                 const struct model_process *process)
{
    struct ledger *ledger = region_alloc(region, sizeof(*ledger));
    struct ledger_search search = {.region = region, .model = model, .latest = ledger};
    recording_reader_each(model->reader, RECORDING_TABLE_LEDGER, process->row.id, ledger_visit,
                          &search);
    if (ledger->count == 0) {
        return NULL;
    }
    for (size_t i = 1; i < ledger->count; i++) {
        struct ledger_entry entry = ledger->entries[i];
        size_t at = i;
        for (; at > 0 && ledger_place(ledger->entries[at - 1].item) > ledger_place(entry.item);
             at--) {
            ledger->entries[at] = ledger->entries[at - 1];
        }
        ledger->entries[at] = entry;
    }
    for (size_t i = 0; i < ledger->count; i++) {
        ledger->rss_bytes += ledger->entries[i].bytes;
    }
    for (size_t i = 0; i < model->snapshot_count; i++) {
        if (model->snapshots[i].snapshot == search.snapshot) {
            ledger->snapshot = &model->snapshots[i];
        }
    }
    return ledger;
}

const char *ledger_label(const char *item)
{
    static const char *const labels[][2] = {
        {"requested", "asked for by the program"},
        {"rounding", "rounding by the allocator"},
        {"allocator-free", "free, but held by the allocator"},
        {"own-mappings", "the program's own mappings"},
        {"stacks", "stacks of threads"},
        {"files-and-code", "files and code"},
        {"memtrack", "memtrack itself"},
        {"unexplained", "unexplained"},
    };
    for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
        if (strcmp(labels[i][0], item) == 0) {
            return labels[i][1];
        }
    }
    return item;
}
