/*
 * model/selector.h - FILE@3, FILE@first, FILE@12.5s, FILE@label:NAME.
 *
 * Context: analyzer.
 */
#ifndef MEMTRACK_MODEL_SELECTOR_H
#define MEMTRACK_MODEL_SELECTOR_H

#include "foundation/error.h"
#include "foundation/region.h"

#include <stdbool.h>
#include <stdint.h>

enum model_state {
    MODEL_STATE_DEFAULT, /* the end if it was recorded, else the last snapshot */
    MODEL_STATE_EXIT,
    MODEL_STATE_LAST,
    MODEL_STATE_FIRST,
    MODEL_STATE_PEAK,
    MODEL_STATE_INDEX, /* snapshot number `index` */
    MODEL_STATE_TIME,  /* the latest snapshot at or before `time_ns` */
    MODEL_STATE_LABEL  /* the last snapshot labelled `label` */
};

struct model_selector {
    const char *path;
    enum model_state state;
    int64_t index;
    int64_t time_ns;
    const char *label;
    const char *text; /* what followed '@'; NULL: nothing */
    /* Load without lifetimes and CPU samples, which few analyses need and which take a
     * third of the time. */
    bool is_lean;
};

/* Takes `argument` apart. A file whose whole name exists is that file, whatever '@' its
 * name contains. Texts are copied into `region`. */
int model_selector_parse(struct region *region, const char *argument,
                         struct model_selector *selector, struct mt_error *error);

#endif
