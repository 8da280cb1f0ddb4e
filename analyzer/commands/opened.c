#include "commands/opened.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyses/leaks.h"
#include "commands/names.h"
#include "recorder/arena_find.h"
#include "recorder/snapshot_file.h"

static const struct model_process *opened_find(const struct model *model, const char *name)
{
    const struct model_process *found = model_find_process(model, name);
    for (size_t i = 0; found == NULL && i < model->process_count; i++) {
        if (strcmp(model_program_name(&model->processes[i]), name) == 0) {
            found = &model->processes[i];
        }
    }
    return found;
}

int opened_choose(const struct model *model, const char *name,
                  const struct model_process **process, struct mt_error *error)
{
    *process = name == NULL ? model_main_process(model) : opened_find(model, name);
    if (*process == NULL) {
        return mt_error_set(error, -ESRCH, MT_STATUS_NO_INPUT,
                            "%s: no process %s in it; it has %zu, #0 to #%zu",
                            model->selector.path, name, model->process_count,
                            model->process_count - 1);
    }
    return 0;
}

/* A number that names no file is a process's. */
static pid_t opened_pid(const char *path)
{
    size_t digits = strspn(path, "0123456789");
    if (digits == 0 || digits > 9 || path[digits] != '\0' || access(path, F_OK) == 0) {
        return 0;
    }
    return (pid_t)atoi(path);
}

/* Makes a recording of a process's arena at `path`, an existing empty file. */
static int opened_convert(const char *name, pid_t pid, const char *path, struct mt_error *error)
{
    struct arena_file file;
    struct snapshot_file_options options = {
        .output = path, .cause = "request", .overwrite = true, .only = -1};
    int code =
        pid > 0 ? arena_find_process(pid, &file, error) : arena_find_open(name, &file, error);
    if (code != 0) {
        return code;
    }
    if (pid > 0) {
        options.only = arena_find_index(&file, pid);
    }
    code = names_take_snapshot(&file, &options, pid, false, error);
    arena_file_close(&file);
    return code;
}

/* Loads a running process, or what one left, by way of a recording that nobody sees. */
static int opened_load_arena(struct model_selector *selector, pid_t pid, struct model **model,
                             struct mt_error *error)
{
    const char *folder = getenv("TMPDIR");
    const char *name = selector->path;
    char path[4096];
    snprintf(path, sizeof(path), "%s/memtrack-XXXXXX",
             folder != NULL && folder[0] != '\0' ? folder : "/tmp");
    int fd = mkstemp(path);
    if (fd < 0) {
        return mt_error_set(error, -errno, MT_STATUS_FAILED,
                            "%s: cannot be written: %s; set TMPDIR to another folder", path,
                            strerror(errno));
    }
    close(fd);
    int code = opened_convert(name, pid, path, error);
    if (code == 0) {
        selector->path = path;
        code = model_load(selector, model, error);
    }
    (void)unlink(path);
    if (code == 0) {
        (*model)->selector.path = region_copy_text((*model)->region, name);
    }
    return code;
}

static int opened_load_as(const char *file, bool is_lean, struct model **model,
                          struct mt_error *error)
{
    struct region *region = region_new();
    struct model_selector selector;
    int code = model_selector_parse(region, file, &selector, error);
    selector.is_lean = is_lean;
    if (code == 0) {
        pid_t pid = opened_pid(selector.path);
        code = pid > 0 || arena_find_is_arena(selector.path)
                   ? opened_load_arena(&selector, pid, model, error)
                   : model_load(&selector, model, error);
    }
    region_free(region);
    return code;
}

/* They were checked when the run began: only a damaged recording has one that cannot be read. */
static void opened_settle(struct model *model)
{
    struct mt_error error = {0};
    if (leaks_settle(model, &error) != 0) {
        fprintf(stderr, "memtrack: %s: its suppressions cannot be read: %s\n", model->selector.path,
                error.text);
    }
}

int opened_load(const char *file, struct model **model, struct mt_error *error)
{
    int code = opened_load_as(file, false, model, error);
    if (code == 0) {
        opened_settle(*model);
    }
    return code;
}

static int opened_open_as(struct opened *opened, const char *file, const char *process,
                          bool is_lean, struct mt_error *error)
{
    *opened = (struct opened){0};
    int code = opened_load_as(file, is_lean, &opened->model, error);
    if (code != 0) {
        opened->model = NULL;
        return code;
    }
    const struct model *model = opened->model;
    opened->is_named = process != NULL;
    code = opened_choose(model, process, &opened->process, error);
    if (code != 0) {
        return code;
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

bool opened_is_same_file(const char *file, const char *other)
{
    struct region *region = region_new();
    struct model_selector selectors[2];
    struct mt_error ignored = {0};
    bool is_same = model_selector_parse(region, file, &selectors[0], &ignored) == 0
                   && model_selector_parse(region, other, &selectors[1], &ignored) == 0
                   && strcmp(selectors[0].path, selectors[1].path) == 0
                   && opened_pid(selectors[0].path) == 0
                   && !arena_find_is_arena(selectors[0].path);
    region_free(region);
    return is_same;
}

int opened_open_beside(struct opened *opened, const struct opened *first, const char *file,
                       const char *process, struct mt_error *error)
{
    struct region *region = region_new();
    struct model_selector selector;
    *opened = (struct opened){.is_named = process != NULL};
    int code = model_selector_parse(region, file, &selector, error);
    selector.is_lean = true;
    if (code == 0) {
        code = model_load_state(first->model, &selector, &opened->model, error);
    }
    region_free(region);
    return code != 0 ? code : opened_choose(opened->model, process, &opened->process, error);
}

int opened_open(struct opened *opened, const char *file, const char *process,
                struct mt_error *error)
{
    return opened_open_as(opened, file, process, true, error);
}

int opened_open_whole(struct opened *opened, const char *file, const char *process,
                      struct mt_error *error)
{
    int code = opened_open_as(opened, file, process, false, error);
    if (code == 0) {
        opened_settle(opened->model);
    }
    return code;
}

void opened_tell_choice(const struct opened *opened)
{
    const struct model *model = opened->model;
    const struct model_process *shown = opened->process;
    const struct model_process *first = &model->processes[0];
    if (opened->is_named || shown == first) {
        return;
    }
    fprintf(stderr,
            "memtrack: %s: shows #%zu (pid %lld, %s), the largest of %zu processes; --process P "
            "shows another, #0 is %s, which began the run\n",
            model->selector.path, (size_t)shown->index, (long long)shown->row.pid,
            model_program_name(shown), model->process_count, model_program_name(first));
}

void opened_close(struct opened *opened)
{
    model_free(opened->model);
    opened->model = NULL;
}
