#include "commands/check_options.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands/arguments.h"
#include "commands/quantity.h"

static const char check_help[] =
    "usage: memtrack check [LIMITS] [OPTIONS] [--] PROGRAM [ARG...]\n"
    "       memtrack check [LIMITS] [OPTIONS] FILE\n"
    "\n"
    "Runs PROGRAM and judges its memory, or judges a recording. Status 0 when every limit was\n"
    "kept, 23 when not; the program's own status when it failed itself.\n"
    "\n"
    "Limits, on all processes of the run:\n"
    "      --max-leaked BYTES|off   lost bytes, definite and indirect (default 0)\n"
    "      --max-leaked-blocks N    lost blocks\n"
    "      --leak-classes LIST      what counts as lost: definite,indirect (default),\n"
    "                               possible,reachable\n"
    "      --max-peak BYTES         the largest process's peak of live bytes\n"
    "      --max-live-at-exit BYTES the largest process's live bytes at its end\n"
    "      --max-allocations N      allocations, summed\n"
    "      --max-temporary N        blocks released before the thread allocated again\n"
    "      --max-growth RATE        bytes a second by which any place keeps growing\n"
    "      --no-errors              no double, invalid or mismatched release\n"
    "      --baseline FILE          only what is new or worse than in FILE fails: a recording,\n"
    "                               or a file that --write-baseline wrote\n"
    "      --write-baseline FILE    write what was found, and take it as known\n"
    "      --gen-suppressions FILE  write a suppression for each leak that fails the check\n"
    "      --repeat N               call main() N times (at least 4): what grows each time is\n"
    "                               a leak, even if reachable\n"
    "\n"
    "What may be left out:\n"
    "      --allow-signals LIST     processes that these signals end (TERM,KILL) could not look for\n"
    "                               leaks, and need not\n"
    "      --ignore-program GLOB    all processes of programs with such a name (bash, /usr/bin/*);\n"
    "                               repeatable\n"
    "\n"
    "Results:\n"
    "      --junit FILE             JUnit XML\n"
    "      --sarif FILE             SARIF 2.1.0\n"
    "      --github                 annotations for GitHub Actions\n"
    "      --format FORMAT          text, json, csv or markdown (default text)\n"
    "  -o, --output OUT             a FILE's result instead of to stdout; of a PROGRAM, the\n"
    "                               recording, or with --format its result if OUT is not *.mtk;\n"
    "                               without it the recording is kept when the check fails\n"
    "      --name NAME              the test's name in the results\n"
    "      --error-exitcode N       status instead of 23\n"
    "      --top N                  findings shown (default 10, 0 for all)\n"
    "\n"
    "How the program is recorded:\n";

static const char check_help_tail[] =
    "      --suppressions FILE  known leaks, in LSan's or Valgrind's syntax; repeatable\n"
    "      --log-file FILE      where the result goes (default stderr); %p is the pid\n"
    "  -f, --force              replace a recording that exists\n"
    "  -q, --quiet              nothing is said when all limits were kept\n"
    "      --color=auto|always|never, --no-color\n"
    "  -h, --help               this text\n";

enum check_option {
    CHECK_MAX_LEAKED = RUN_OPTION_OWN,
    CHECK_MAX_LEAKED_BLOCKS,
    CHECK_LEAK_CLASSES,
    CHECK_MAX_PEAK,
    CHECK_MAX_LIVE_AT_EXIT,
    CHECK_MAX_ALLOCATIONS,
    CHECK_MAX_TEMPORARY,
    CHECK_MAX_GROWTH,
    CHECK_NO_ERRORS,
    CHECK_BASELINE,
    CHECK_WRITE_BASELINE,
    CHECK_GEN_SUPPRESSIONS,
    CHECK_ALLOW_SIGNALS,
    CHECK_IGNORE_PROGRAM,
    CHECK_JUNIT,
    CHECK_SARIF,
    CHECK_GITHUB,
    CHECK_FORMAT,
    CHECK_NAME,
    CHECK_REPEAT,
    CHECK_ERROR_EXITCODE
};

static const struct option check_long_options[] = {
    {"max-leaked", required_argument, NULL, CHECK_MAX_LEAKED},
    {"max-leaked-blocks", required_argument, NULL, CHECK_MAX_LEAKED_BLOCKS},
    {"leak-classes", required_argument, NULL, CHECK_LEAK_CLASSES},
    {"max-peak", required_argument, NULL, CHECK_MAX_PEAK},
    {"max-live-at-exit", required_argument, NULL, CHECK_MAX_LIVE_AT_EXIT},
    {"max-allocations", required_argument, NULL, CHECK_MAX_ALLOCATIONS},
    {"max-temporary", required_argument, NULL, CHECK_MAX_TEMPORARY},
    {"max-growth", required_argument, NULL, CHECK_MAX_GROWTH},
    {"no-errors", no_argument, NULL, CHECK_NO_ERRORS},
    {"baseline", required_argument, NULL, CHECK_BASELINE},
    {"write-baseline", required_argument, NULL, CHECK_WRITE_BASELINE},
    {"gen-suppressions", required_argument, NULL, CHECK_GEN_SUPPRESSIONS},
    {"allow-signals", required_argument, NULL, CHECK_ALLOW_SIGNALS},
    {"ignore-program", required_argument, NULL, CHECK_IGNORE_PROGRAM},
    {"junit", required_argument, NULL, CHECK_JUNIT},
    {"sarif", required_argument, NULL, CHECK_SARIF},
    {"github", no_argument, NULL, CHECK_GITHUB},
    {"format", required_argument, NULL, CHECK_FORMAT},
    {"name", required_argument, NULL, CHECK_NAME},
    {"repeat", required_argument, NULL, CHECK_REPEAT},
    {"error-exitcode", required_argument, NULL, CHECK_ERROR_EXITCODE},
    {NULL, 0, NULL, 0},
};

int check_options_print_help(void)
{
    bool is_written = fputs(check_help, stdout) >= 0 && fputs(run_options_list, stdout) >= 0
                      && fputs(check_help_tail, stdout) >= 0 && fflush(stdout) == 0;
    return is_written ? MT_STATUS_OK : MT_STATUS_FAILED;
}

static int parse_classes(const char *value, unsigned *classes, struct mt_error *error)
{
    *classes = 0;
    while (*value != '\0') {
        size_t length = strcspn(value, ",");
        int found = -1;
        for (int i = RECORDING_LEAK_DEFINITE; i <= RECORDING_LEAK_REACHABLE; i++) {
            const char *name = leaks_class_name((enum recording_leak_class)i);
            if (strlen(name) == length && strncmp(name, value, length) == 0) {
                found = i;
            }
        }
        if (found < 0) {
            return mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                                "--leak-classes: '%.*s' is no class: choose of definite, indirect,"
                                " possible, reachable",
                                (int)(length < 40 ? length : 40), value);
        }
        *classes |= 1u << found;
        value += length + (value[length] == ',');
    }
    if (*classes == 0) {
        return mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                            "--leak-classes: no class is named: choose of definite, indirect,"
                            " possible, reachable");
    }
    return 0;
}

static int parse_limit(struct gate_options *gate, enum gate_limit limit, bool is_bytes,
                       const char *value, struct mt_error *error)
{
    char option[40];
    uint64_t number = 0;
    snprintf(option, sizeof(option), "--%s", gate_limit_name(limit));
    if (limit == GATE_MAX_LEAKED && strcmp(value, "off") == 0) {
        gate->is_set[limit] = false;
        return 0;
    }
    int code = is_bytes ? quantity_parse_bytes(option, value, &number, error)
                        : quantity_parse_number(option, value, 0, INT64_MAX, &number, error);
    gate->is_set[limit] = true;
    gate->most[limit] = number > INT64_MAX ? INT64_MAX : (int64_t)number;
    return code;
}

/* "10k" or "10k/s". */
static int parse_growth(struct gate_options *gate, const char *value, struct mt_error *error)
{
    char rate[64];
    size_t length = strlen(value);
    if (length >= 2 && strcmp(value + length - 2, "/s") == 0) {
        length -= 2;
    }
    snprintf(rate, sizeof(rate), "%.*s", (int)(length < 63 ? length : 63), value);
    return parse_limit(gate, GATE_MAX_GROWTH, true, rate, error);
}

/* "TERM", "SIGTERM" or "15"; 0: none such. */
static int signal_of(const char *text, size_t length)
{
    for (int i = 1; i < 64; i++) {
        const char *name = sigabbrev_np(i);
        char number[4];
        snprintf(number, sizeof(number), "%d", i);
        if ((strlen(number) == length && strncmp(text, number, length) == 0)
            || (name != NULL && strlen(name) == length && strncmp(text, name, length) == 0)
            || (name != NULL && strlen(name) + 3 == length && strncmp(text, "SIG", 3) == 0
                && strncmp(text + 3, name, length - 3) == 0)) {
            return i;
        }
    }
    return 0;
}

static int parse_signals(struct gate_options *gate, const char *value, struct mt_error *error)
{
    for (const char *at = value;; at++) {
        size_t length = strcspn(at, ",");
        int signal = signal_of(at, length);
        if (signal == 0) {
            return mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                                "--allow-signals: '%.*s' is no signal: list some such as TERM,KILL",
                                (int)(length < 40 ? length : 40), at);
        }
        gate->signals_allowed |= UINT64_C(1) << signal;
        at += length;
        if (*at == '\0') {
            return 0;
        }
    }
}

static int add_ignored(struct check_options *options, const char *glob, struct mt_error *error)
{
    struct gate_options *gate = &options->gate;
    if (glob[0] == '\0' || gate->program_ignored_count == CHECK_PROGRAMS_MAX) {
        return mt_error_set(error, -EINVAL, MT_STATUS_USAGE, "--ignore-program: %s",
                            glob[0] == '\0' ? "an empty name: name a program"
                                            : "more than 64 of them: use a glob such as *sh");
    }
    options->programs_ignored[gate->program_ignored_count++] = glob;
    gate->programs_ignored = options->programs_ignored;
    return 0;
}

static int parse_result(struct check_options *options, int option, const char *value,
                        struct mt_error *error)
{
    uint64_t number = 0;
    int code = 0;
    int format;
    switch (option) {
    case CHECK_FORMAT:
        format = arguments_find_word("--format", value, output_format_names, error);
        if (format < 0) {
            return format;
        }
        options->format = (enum output_format)format;
        options->has_format = true;
        return 0;
    case CHECK_ERROR_EXITCODE:
        code = quantity_parse_number("--error-exitcode", value, 0, 255, &number, error);
        options->error_exitcode = (int)number;
        return code;
    case CHECK_REPEAT:
        code = quantity_parse_number("--repeat", value, 4, 1000, &number, error);
        options->gate.repetitions = (unsigned)number;
        options->gate.is_set[GATE_REPEAT] = true;
        return code;
    case CHECK_JUNIT:
        options->junit = value;
        return 0;
    case CHECK_SARIF:
        options->sarif = value;
        return 0;
    case CHECK_GITHUB:
        options->has_github = true;
        return 0;
    default:
        options->name = value;
        return 0;
    }
}

static int parse_own(void *context, int option, const char *value, struct mt_error *error)
{
    struct check_options *options = context;
    struct gate_options *gate = &options->gate;
    switch (option) {
    case CHECK_MAX_LEAKED:
        return parse_limit(gate, GATE_MAX_LEAKED, true, value, error);
    case CHECK_MAX_LEAKED_BLOCKS:
        return parse_limit(gate, GATE_MAX_LEAKED_BLOCKS, false, value, error);
    case CHECK_LEAK_CLASSES:
        return parse_classes(value, &gate->leak_classes, error);
    case CHECK_MAX_PEAK:
        return parse_limit(gate, GATE_MAX_PEAK, true, value, error);
    case CHECK_MAX_LIVE_AT_EXIT:
        return parse_limit(gate, GATE_MAX_LIVE_AT_EXIT, true, value, error);
    case CHECK_MAX_ALLOCATIONS:
        return parse_limit(gate, GATE_MAX_ALLOCATIONS, false, value, error);
    case CHECK_MAX_TEMPORARY:
        return parse_limit(gate, GATE_MAX_TEMPORARY, false, value, error);
    case CHECK_MAX_GROWTH:
        return parse_growth(gate, value, error);
    case CHECK_NO_ERRORS:
        gate->is_set[GATE_NO_ERRORS] = true;
        return 0;
    case CHECK_BASELINE:
        options->baseline = value;
        gate->is_set[GATE_BASELINE] = true;
        return 0;
    case CHECK_WRITE_BASELINE:
        options->write_baseline = value;
        gate->accepts_findings = true;
        return 0;
    case CHECK_GEN_SUPPRESSIONS:
        options->gen_suppressions = value;
        return 0;
    case CHECK_ALLOW_SIGNALS:
        return parse_signals(gate, value, error);
    case CHECK_IGNORE_PROGRAM:
        return add_ignored(options, value, error);
    default:
        return parse_result(options, option, value, error);
    }
}

/* ---- a program or a recording --------------------------------------------- */

static bool has_magic(const char *path, size_t length)
{
    char name[PATH_MAX];
    char bytes[16] = "";
    struct stat status;
    snprintf(name, sizeof(name), "%.*s", (int)(length < sizeof(name) ? length : 0), path);
    if (stat(name, &status) != 0 || !S_ISREG(status.st_mode)) {
        return false;
    }
    FILE *file = fopen(name, "re");
    if (file == NULL) {
        return false;
    }
    size_t got = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    return got == sizeof(bytes) && memcmp(bytes, "SQLite format 3", 16) == 0;
}

static bool ends_with_mtk(const char *text)
{
    size_t length = strcspn(text, "@");
    return length >= 4 && strncmp(text + length - 4, ".mtk", 4) == 0;
}

/* A lone word that is a recording, or calls itself one, is not a program. A file that
 * cannot be executed is a recording that is damaged: its reader says in what way. */
static bool is_recording(const struct run_options *run)
{
    const char *word = run->recorder.arguments[0];
    struct stat status;
    if (run->is_after_dashes) {
        return false;
    }
    if (has_magic(word, strlen(word)) || has_magic(word, strcspn(word, "@"))
        || ends_with_mtk(word)) {
        return true;
    }
    return strchr(word, '/') != NULL && stat(word, &status) == 0 && S_ISREG(status.st_mode)
           && (status.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) == 0;
}

/* Parses once; options may follow a recording's name, but a program's are its own. */
static int parse_once(int argc, char **argv, struct check_options *options, struct mt_error *error)
{
    *options = (struct check_options){
        .error_exitcode = MT_STATUS_GATE,
        .gate = {.leak_classes = 1u << RECORDING_LEAK_DEFINITE | 1u << RECORDING_LEAK_INDIRECT}};
    options->gate.is_set[GATE_MAX_LEAKED] = true;
    const struct run_options_extension extension = {
        .command = "check",
        .operand = "check: nothing was named: memtrack check [LIMITS] PROGRAM [ARG...], or a"
                   " recording",
        .options = check_long_options,
        .parse = parse_own,
        .context = options};
    return run_options_parse(argc, argv, &extension, &options->run, error);
}

/* Moves the recording's name behind the options that follow it. */
static int move_file_last(int argc, char **argv, struct check_options *options,
                          struct mt_error *error)
{
    int at = (int)(options->run.recorder.arguments - argv);
    char *file = argv[at];
    for (int i = at; i + 1 < argc; i++) {
        argv[i] = argv[i + 1];
    }
    argv[argc - 1] = file;
    int code = parse_once(argc, argv, options, error);
    if (code == 0 && !options->run.wants_help && options->run.recorder.arguments[1] != NULL) {
        code = mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                            "check: \"%s\" is one file too many, name one recording",
                            options->run.recorder.arguments[0]);
    }
    return code;
}

/* The library that repeats main() lies beside the shim and takes the place of an
 * allocator in LD_PRELOAD; the program reads the number from its environment. */
static int prepare_repetition(struct check_options *options, struct mt_error *error)
{
    struct recorder_options *recorder = &options->run.recorder;
    char number[16];
    const char *slash = strrchr(recorder->shim, '/');
    if (recorder->allocator != NULL) {
        return mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                            "--repeat: not together with --allocator: leave one out");
    }
    snprintf(options->repeat_library, sizeof(options->repeat_library), "%.*s/libmemtrack-repeat.so",
             (int)(slash - recorder->shim), recorder->shim);
    snprintf(number, sizeof(number), "%u", options->gate.repetitions);
    if (access(options->repeat_library, R_OK) != 0 || setenv("MEMTRACK_REPEAT", number, 1) != 0) {
        return mt_error_set(error, -errno, MT_STATUS_FAILED, "%s: %s: install memtrack again",
                            options->repeat_library, strerror(errno));
    }
    recorder->allocator = options->repeat_library;
    return 0;
}

int check_options_parse(int argc, char **argv, struct check_options *options,
                        struct mt_error *error)
{
    int code = parse_once(argc, argv, options, error);
    if (code != 0 || options->run.wants_help) {
        return code;
    }
    bool is_file = is_recording(&options->run);
    if (is_file && options->run.recorder.arguments[1] != NULL) {
        code = move_file_last(argc, argv, options, error);
    }
    if (code != 0 || options->run.wants_help) {
        return code;
    }
    options->is_file = is_file;
    const char *output = options->run.recorder.output;
    if (options->is_file) {
        options->file = options->run.recorder.arguments[0];
        options->result = output;
        return 0;
    }
    code = run_options_find_shim(&options->run, error);
    if (code != 0) {
        return code;
    }
    if (output != NULL && options->has_format && !ends_with_mtk(output)) {
        options->result = output;
        options->run.recorder.output = NULL;
    } else {
        options->recording = output;
    }
    return options->gate.is_set[GATE_REPEAT] ? prepare_repetition(options, error) : 0;
}
