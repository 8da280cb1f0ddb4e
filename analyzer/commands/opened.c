#include "commands/opened.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct model_process *opened_find(const struct model *model, const char *name)
{
    const struct model_process *found = model_find_process(model, name);
    for (size_t i = 0; found == NULL && i < model->process_count; i++) {
        const char *path = model->processes[i].row.executable;
        const char *slash = strrchr(path, '/');
        if (strcmp(slash != NULL ? slash + 1 : path, name) == 0) {
            found = &model->processes[i];
        }
    }
    return found;
}

int opened_open(struct opened *opened, const char *file, const char *process,
                struct mt_error *error)
{
    struct region *region = region_new();
    struct model_selector selector;
    *opened = (struct opened){0};
    int code = model_selector_parse(region, file, &selector, error);
    if (code == 0) {
        code = model_load(&selector, &opened->model, error);
    }
    region_free(region);
    if (code != 0) {
        opened->model = NULL;
        return code;
    }
    const struct model *model = opened->model;
    opened->process =
        process == NULL ? &model->processes[0] : opened_find(model, process);
    if (opened->process == NULL) {
        return mt_error_set(error, -ESRCH, MT_STATUS_NO_INPUT,
                            "%s: no process %s in it; it has %zu, #0 to #%zu",
                            model->selector.path, process, model->process_count,
                            model->process_count - 1);
    }
    const char *damage = recording_reader_damage(model->reader);
    if (damage != NULL) {
        struct mt_error line = {0};
        mt_error_set(&line, -EBADMSG, MT_STATUS_DATA, "%s: %s; what follows is what could be read",
                     model->selector.path, damage);
        fprintf(stderr, "memtrack: %s\n", line.text);
    }
    return 0;
}

void opened_close(struct opened *opened)
{
    model_free(opened->model);
    opened->model = NULL;
}
