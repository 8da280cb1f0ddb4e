#include "commands/profiled.h"

#include <errno.h>
#include <stdio.h>

#define NAMELESS_TOLD_MAX 3

int profiled_open(struct profiled *profiled, const struct profiled_request *request,
                  struct mt_error *error)
{
    *profiled = (struct profiled){0};
    profiled->region = region_new();
    int code = opened_open_whole(&profiled->opened, request->file, request->process, error);
    if (code == 0) {
        if (!request->all_processes) {
            opened_tell_choice(&profiled->opened);
        }
        profiled->profile = profile_make(profiled->region, profiled->opened.model,
                                         request->all_processes ? NULL : profiled->opened.process);
    }
    return code;
}

void profiled_close(struct profiled *profiled)
{
    region_free(profiled->region);
    opened_close(&profiled->opened);
    profiled->region = NULL;
    profiled->profile = NULL;
}

int profiled_need(const struct profiled *profiled, enum profile_metric metric,
                  struct mt_error *error)
{
    if (profiled->profile->has_metric[metric]) {
        return 0;
    }
    return mt_error_set(error, -ENODATA, MT_STATUS_DATA, "%s",
                        profile_missing(profiled->region, profiled->opened.model,
                                        profiled->profile, metric));
}

void profiled_tell_nameless(const struct profiled *profiled)
{
    const struct model *model = profiled->opened.model;
    int told = 0;
    for (size_t i = 1; i < model->module_count && told < NAMELESS_TOLD_MAX; i++) {
        const struct model_module *module = &model->modules[i];
        bool is_shown = false;
        for (size_t k = 0; k < profiled->profile->module_count && !is_shown; k++) {
            is_shown = profiled->profile->modules[k].path == module->path;
        }
        if (!is_shown || module->nameless * 2 <= module->addresses) {
            continue;
        }
        struct mt_error line = {0};
        mt_error_set(&line, -ENODATA, MT_STATUS_DATA, "%s: most of its functions have no names: %s",
                     module->path,
                     module->hint != NULL ? module->hint
                                          : "install its debug symbols or build it with -g, then "
                                            "record again");
        fprintf(stderr, "memtrack: %s\n", line.text);
        told++;
    }
}
