#include "commands/view_options.h"

#include "commands/quantity.h"
#include "foundation/region.h"

#include <assert.h>
#include <string.h>

#define VIEW_KEY_FIRST 256 /* above every letter */

enum view_key {
    VIEW_KEY_FORMAT = VIEW_KEY_FIRST,
    VIEW_KEY_BY,
    VIEW_KEY_SORT,
    VIEW_KEY_METRIC,
    VIEW_KEY_TOP,
    VIEW_KEY_MIN_BYTES,
    VIEW_KEY_FOCUS,
    VIEW_KEY_IGNORE,
    VIEW_KEY_PROCESS,
    VIEW_KEY_ALL_PROCESSES,
    VIEW_KEY_REVERSE,
    VIEW_KEY_BY_THREAD,
    VIEW_KEY_SUPPRESSIONS,
    VIEW_KEY_WIDE,
    VIEW_KEY_COLOR,
    VIEW_KEY_NO_COLOR,
    VIEW_KEY_NO_PAGER,
    VIEW_KEY_END
};
static_assert(VIEW_KEY_END <= VIEW_KEY_OWN, "a command's own keys come behind these");

static const struct {
    enum view_option option;
    const char *name;
    int key;
    const char *value; /* NULL: takes none */
    const char *help;
} view_table[] = {
    {VIEW_FORMAT, "format", VIEW_KEY_FORMAT, "FORMAT", NULL},
    {VIEW_OUTPUT, "output", 'o', "OUT", "write to OUT instead of stdout"},
    {VIEW_FORCE, "force", 'f', NULL, "overwrite OUT if it exists"},
    {VIEW_BY, "by", VIEW_KEY_BY, "WHAT", NULL},
    {VIEW_SORT, "sort", VIEW_KEY_SORT, "METRIC", NULL},
    {VIEW_METRIC, "metric", VIEW_KEY_METRIC, "METRIC", NULL},
    {VIEW_TOP, "top", VIEW_KEY_TOP, "N", "rows in each list, 0 for all"},
    {VIEW_MIN_BYTES, "min-bytes", VIEW_KEY_MIN_BYTES, "BYTES",
     "only what changed by so many live bytes"},
    {VIEW_FOCUS, "focus", VIEW_KEY_FOCUS, "REGEX",
     "only stacks with a function, file or module that matches"},
    {VIEW_FOCUS, "ignore", VIEW_KEY_IGNORE, "REGEX",
     "no stacks with a function, file or module that matches"},
    {VIEW_PROCESS, "process", VIEW_KEY_PROCESS, "PID|#INDEX|NAME",
     "one process, as the report lists them (default: the first, or the largest where the first "
     "is small beside it, such as a shell that started it)"},
    {VIEW_ALL_PROCESSES, "all-processes", VIEW_KEY_ALL_PROCESSES, NULL,
     "all processes of the run, added up"},
    {VIEW_REVERSE, "reverse", VIEW_KEY_REVERSE, NULL, "begin at the innermost function"},
    {VIEW_BY_THREAD, "by-thread", VIEW_KEY_BY_THREAD, NULL, "cpu: each thread by itself"},
    {VIEW_SUPPRESSIONS, "suppressions", VIEW_KEY_SUPPRESSIONS, "FILE",
     "known leaks, in LSan's or Valgrind's syntax; repeatable"},
    {VIEW_QUIET, "quiet", 'q', NULL, "say nothing when it worked"},
    {VIEW_LOOK, "wide", VIEW_KEY_WIDE, NULL, "full names, paths and stacks"},
    {VIEW_LOOK, "color", VIEW_KEY_COLOR, "WHEN", NULL},
    {VIEW_LOOK, "no-color", VIEW_KEY_NO_COLOR, NULL, "the same as --color=never"},
    {VIEW_LOOK, "no-pager", VIEW_KEY_NO_PAGER, NULL,
     "do not hand long output to $MEMTRACK_PAGER, $PAGER or less"},
};
#define VIEW_ROWS (sizeof(view_table) / sizeof(view_table[0]))

struct view_parse {
    const struct view_command *command;
    struct view_options *view;
    void *context;
};

static const struct view_take *take_of(const struct view_command *command, enum view_option option)
{
    for (size_t i = 0; i < VIEW_TAKES_MAX && command->takes[i].option != VIEW_NONE; i++) {
        if (command->takes[i].option == option) {
            return &command->takes[i];
        }
    }
    return NULL;
}

static const char *const *words_of(const struct view_take *take, int key)
{
    static const char *metrics[PROFILE_CHOICES + 1];
    if (key == VIEW_KEY_COLOR) {
        return output_color_names;
    }
    if (take->words != NULL) {
        return take->words;
    }
    if (key == VIEW_KEY_METRIC) {
        for (int i = 0; i < PROFILE_CHOICES; i++) {
            metrics[i] = profile_metric_name((enum profile_metric)i);
        }
        return metrics;
    }
    return output_format_names;
}

static error_t take_word(const struct view_parse *parse, const struct view_take *take, int key,
                         const char *option, const char *value, const struct argp_state *state)
{
    struct mt_error error = {0};
    int position = arguments_find_word(option, value, words_of(take, key), &error);
    if (position < 0) {
        return arguments_fail(state, "%s", error.text);
    }
    switch (key) {
    case VIEW_KEY_FORMAT:
        parse->view->format = (unsigned)position;
        parse->view->has_format = true;
        return 0;
    case VIEW_KEY_BY:
        parse->view->by = (unsigned)position;
        return 0;
    case VIEW_KEY_SORT:
        parse->view->sort = (unsigned)position;
        return 0;
    case VIEW_KEY_METRIC:
        parse->view->metric = (enum profile_metric)position;
        return 0;
    default:
        parse->view->color = (enum output_color)position;
        return 0;
    }
}

static error_t take_number(struct view_options *view, int key, const char *value,
                           const struct argp_state *state)
{
    struct mt_error error = {0};
    uint64_t number = 0;
    int code = key == VIEW_KEY_TOP
                   ? quantity_parse_number("--top", value, 0, 1000000, &number, &error)
                   : quantity_parse_bytes("--min-bytes", value, &number, &error);
    if (code != 0) {
        return arguments_fail(state, "%s", error.text);
    }
    if (key == VIEW_KEY_TOP) {
        view->top = (size_t)number;
    } else {
        view->min_bytes = number > INT64_MAX ? INT64_MAX : (int64_t)number;
    }
    return 0;
}

static error_t take_pattern(struct view_options *view, int key, const char *value,
                            const struct argp_state *state)
{
    bool is_focus = key == VIEW_KEY_FOCUS;
    const regex_t **pattern = is_focus ? &view->focus : &view->ignore;
    regex_t *space = &view->patterns[is_focus ? 0 : 1];
    if (*pattern != NULL) {
        return arguments_fail(state, "--%s: given twice; join both patterns: A|B",
                              is_focus ? "focus" : "ignore");
    }
    int code = regcomp(space, value, REG_EXTENDED | REG_NOSUB);
    if (code != 0) {
        char why[128];
        regerror(code, space, why, sizeof(why));
        return arguments_fail(state, "--%s=%s: %s; it is a POSIX extended regular expression",
                              is_focus ? "focus" : "ignore", value, why);
    }
    *pattern = space;
    return 0;
}

static error_t take_suppressions(struct view_options *view, const char *value,
                                 const struct argp_state *state)
{
    if (view->suppression_count == VIEW_SUPPRESSIONS_MAX) {
        return arguments_fail(state, "--suppressions: more than %u files, join some of them",
                              VIEW_SUPPRESSIONS_MAX);
    }
    view->suppressions[view->suppression_count++] = value;
    return 0;
}

static error_t take_operand(const struct view_parse *parse, const char *value,
                            const struct argp_state *state)
{
    const struct view_command *command = parse->command;
    struct view_options *view = parse->view;
    if (view->file_count == command->operands_max) {
        return arguments_fail(state, "%s: \"%s\" is %s", command->name, value,
                              command->one_more != NULL ? command->one_more
                                                        : "one file too many, name one recording");
    }
    view->files[view->file_count++] = value;
    return 0;
}

static error_t finish(const struct view_parse *parse, const struct argp_state *state)
{
    const struct view_command *command = parse->command;
    const struct view_options *view = parse->view;
    if (view->file_count < command->operands_min) {
        return arguments_fail(state, "%s: %s, write `memtrack %s %s`", command->name,
                              command->missing != NULL ? command->missing : "no recording was named",
                              command->name,
                              command->example != NULL ? command->example : "FILE");
    }
    if (view->process != NULL && view->all_processes) {
        return arguments_fail(state,
                              "--process and --all-processes: contradict each other, give one");
    }
    if (view->by_thread && view->metric != PROFILE_CPU) {
        return arguments_fail(state, "--by-thread: memory is counted by site, not by thread; use it "
                                     "with --metric cpu");
    }
    return command->parse != NULL ? command->parse(ARGP_KEY_END, NULL, state, parse->context) : 0;
}

static error_t take_value(const struct view_parse *parse, size_t row, char *value,
                          const struct argp_state *state)
{
    struct view_options *view = parse->view;
    int key = view_table[row].key;
    char option[40];
    switch (key) {
    case VIEW_KEY_FORMAT:
    case VIEW_KEY_BY:
    case VIEW_KEY_SORT:
    case VIEW_KEY_METRIC:
    case VIEW_KEY_COLOR:
        snprintf(option, sizeof(option), "--%s", view_table[row].name);
        return take_word(parse, take_of(parse->command, view_table[row].option), key, option, value,
                         state);
    case VIEW_KEY_TOP:
    case VIEW_KEY_MIN_BYTES:
        return take_number(view, key, value, state);
    case VIEW_KEY_FOCUS:
    case VIEW_KEY_IGNORE:
        return take_pattern(view, key, value, state);
    case VIEW_KEY_SUPPRESSIONS:
        return take_suppressions(view, value, state);
    case VIEW_KEY_PROCESS:
        view->process = value;
        return 0;
    default:
        view->output = value;
        return 0;
    }
}

static void take_flag(struct view_options *view, int key)
{
    view->overwrite |= key == 'f';
    view->is_quiet |= key == 'q';
    view->all_processes |= key == VIEW_KEY_ALL_PROCESSES;
    view->is_reversed |= key == VIEW_KEY_REVERSE;
    view->by_thread |= key == VIEW_KEY_BY_THREAD;
    view->is_wide |= key == VIEW_KEY_WIDE;
    view->is_unpaged |= key == VIEW_KEY_NO_PAGER;
    view->color = key == VIEW_KEY_NO_COLOR ? OUTPUT_COLOR_NEVER : view->color;
}

static error_t view_parse(int key, char *value, struct argp_state *state)
{
    const struct view_parse *parse = state->input;
    if (key == ARGP_KEY_ARG) {
        return take_operand(parse, value, state);
    }
    if (key == ARGP_KEY_END) {
        return finish(parse, state);
    }
    for (size_t i = 0; i < VIEW_ROWS; i++) {
        if (view_table[i].key != key || take_of(parse->command, view_table[i].option) == NULL) {
            continue;
        }
        if (view_table[i].value != NULL) {
            return take_value(parse, i, value, state);
        }
        take_flag(parse->view, key);
        return 0;
    }
    /* argp tells of more than options, by keys of its own. */
    bool is_own = key >= VIEW_KEY_OWN && key < ARGP_KEY_END;
    for (const struct argp_option *own = parse->command->own; own != NULL && own->key != 0; own++) {
        is_own |= own->key == key;
    }
    return is_own ? parse->command->parse(key, value, state, parse->context) : ARGP_ERR_UNKNOWN;
}

/* What --help says of a row: "text, json, csv or markdown (default text)". */
static const char *help_of(struct region *region, const struct view_take *take, size_t row,
                           const struct view_options *defaults)
{
    int key = view_table[row].key;
    bool is_shared = view_table[row].option == VIEW_LOOK || view_table[row].option == VIEW_FOCUS;
    const char *help = take->help != NULL && !is_shared ? take->help : view_table[row].help;
    if (key == VIEW_KEY_TOP) {
        return region_format(region, "%s (default %zu)", help, defaults->top);
    }
    if (help != NULL) {
        return help;
    }
    char list[512];
    const char *const *words = words_of(take, key);
    arguments_list_words(words, list, sizeof(list));
    size_t first = key == VIEW_KEY_METRIC ? (size_t)defaults->metric : 0;
    return region_format(region, "%s (default %s)", list, words[first]);
}

/* The options that the command takes, and its own behind them. */
static const struct argp_option *make_options(struct region *region,
                                              const struct view_command *command,
                                              const struct view_options *defaults)
{
    size_t own = 0;
    while (command->own != NULL && command->own[own].key != 0) {
        own++;
    }
    struct argp_option *options = region_alloc(region, (VIEW_ROWS + own + 1) * sizeof(*options));
    memset(options, 0, (VIEW_ROWS + own + 1) * sizeof(*options));
    size_t count = 0;
    for (size_t i = 0; i < VIEW_ROWS; i++) {
        const struct view_take *take = take_of(command, view_table[i].option);
        if (take != NULL) {
            bool has_name = take->value != NULL && view_table[i].value != NULL;
            options[count++] =
                (struct argp_option){.name = view_table[i].name,
                                     .key = view_table[i].key,
                                     .arg = has_name ? take->value : view_table[i].value,
                                     .doc = help_of(region, take, i, defaults)};
        }
    }
    if (own > 0) {
        memcpy(options + count, command->own, own * sizeof(*options));
    }
    return options;
}

int view_options_parse(const struct view_command *command, int argc, char **argv,
                       struct view_options *view, void *context, struct mt_error *error)
{
    struct region *region = region_new();
    struct view_parse parse = {.command = command, .view = view, .context = context};
    const struct argp argp = {
        .options = make_options(region, command, view),
        .parser = view_parse,
        .args_doc = command->operands,
        .doc = command->doc,
        .help_filter = command->help_filter,
    };
    int code = arguments_parse(&argp, argc, argv, &parse, error);
    region_free(region);
    return code;
}

void view_options_deinit(struct view_options *view)
{
    if (view->focus != NULL) {
        regfree(&view->patterns[0]);
    }
    if (view->ignore != NULL) {
        regfree(&view->patterns[1]);
    }
    view->focus = NULL;
    view->ignore = NULL;
}
