/* Callers and callees of one function. */
#include "analyses/cpu_parts.h"

#include <errno.h>
#include <string.h>

/* ---- names ---------------------------------------------------------------- */

static bool is_equal(const char *function, const char *name)
{
    return strcmp(function, name) == 0;
}

/* Where the parameters begin: at the first parenthesis outside of brackets that is not
 * "(anonymous namespace)" or part of "operator()". */
static size_t plain_length(const char *function)
{
    int depth = 0;
    for (size_t i = 0; function[i] != '\0'; i++) {
        if (function[i] == '<') {
            depth++;
        } else if (function[i] == '>' && depth > 0) {
            depth--;
        } else if (function[i] == '(' && depth == 0 && i > 0
                   && strncmp(function + i, "(anonymous", 10) != 0
                   && !(i >= 8 && strncmp(function + i - 8, "operator", 8) == 0)) {
            return i;
        }
    }
    return strlen(function);
}

/* Without its parameters, with or without its namespaces. */
static bool is_plainly(const char *function, const char *name)
{
    size_t length = plain_length(function);
    size_t wanted = strlen(name);
    if (wanted == 0 || wanted > length
        || strncmp(function + length - wanted, name, wanted) != 0) {
        return false;
    }
    return wanted == length || function[length - wanted - 1] == ':'
           || function[length - wanted - 1] == ' ';
}

static bool is_part(const char *function, const char *name)
{
    return strstr(function, name) != NULL;
}

/* ---- edges ---------------------------------------------------------------- */

struct around_work {
    struct cpu_work *work;
    const char *name;
    bool (*is_wanted)(const char *function, const char *name);
    struct cpu_around *around;
    struct cpu_tally callers;
    struct cpu_tally callees;
    size_t row;
};

static void around_count(void *context, const struct model_process *process,
                         const struct model_cpu *row)
{
    (void)process;
    struct around_work *state = context;
    struct cpu_work *work = state->work;
    struct cpu_around *around = state->around;
    state->row++;
    size_t count =
        model_stack_frames(work->result->model, row->stack, work->frames, CPU_FRAMES_MAX);
    size_t innermost = count;
    size_t outermost = count;
    for (size_t i = 0; i < count; i++) {
        if (state->is_wanted(cpu_frame_name(work->region, work->frames[i]), state->name)) {
            innermost = innermost == count ? i : innermost;
            outermost = i;
        }
    }
    if (innermost == count) {
        return;
    }
    int64_t both = row->samples + row->allocator_samples;
    around->total += both;
    if (outermost + 1 < count) {
        size_t caller =
            cpu_tally_function(&state->callers, work->region, work->frames[outermost + 1]);
        cpu_tally_total(&state->callers, caller, state->row, both);
    } else {
        around->from_nowhere += both;
    }
    if (innermost > 0) {
        size_t callee =
            cpu_tally_function(&state->callees, work->region, work->frames[innermost - 1]);
        cpu_tally_total(&state->callees, callee, state->row, both);
        return;
    }
    around->self += row->samples;
    if (row->allocator_samples > 0) {
        size_t index = cpu_tally_allocator(&state->callees); /* may move the entries */
        state->callees.entries[index].total += row->allocator_samples;
    }
}

const struct cpu_around *cpu_make_around(struct cpu_work *work, const char *name,
                                         bool (*is_wanted)(const char *function, const char *name))
{
    struct cpu_around *around = region_alloc(work->region, sizeof(*around));
    around->name = name;
    struct around_work state = {
        .work = work, .name = name, .is_wanted = is_wanted, .around = around};
    cpu_tally_init(&state.callers);
    cpu_tally_init(&state.callees);
    cpu_each_row(work->result, around_count, &state);
    around->callers = cpu_tally_take(&state.callers, work->region);
    around->callees = cpu_tally_take(&state.callees, work->region);
    cpu_tally_deinit(&state.callers);
    cpu_tally_deinit(&state.callees);
    return around;
}

int cpu_find_around(struct cpu_work *work, const char *name, struct mt_error *error)
{
    static bool (*const ways[])(const char *, const char *) = {is_equal, is_plainly, is_part};
    const struct cpu_list *list = &work->function_list;
    for (size_t way = 0; way < sizeof(ways) / sizeof(ways[0]); way++) {
        for (size_t i = 0; i < list->count; i++) {
            if (list->entries[i].frame != NULL && ways[way](list->entries[i].name, name)) {
                work->result->around = cpu_make_around(work, name, ways[way]);
                return 0;
            }
        }
    }
    return mt_error_set(error, -ENOENT, MT_STATUS_USAGE,
                        "--of %s: no sample has a function of that name, see the names in "
                        "`memtrack cpu %s`",
                        name, work->result->model->selector.path);
}
