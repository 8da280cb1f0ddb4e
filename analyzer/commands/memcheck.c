#include "commands/memcheck.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands/check_options.h"
#include "commands/command.h"
#include "commands/judgement.h"
#include "commands/quantity.h"
#include "commands/run_session.h"
#include "render/render_findings.h"
#include "report/gate_report.h"

#define MEMCHECK_ARGUMENTS_OWN 8

struct memcheck {
    struct check_options check;
    struct render_valgrind_options look;
    const char *log_file;
    const char *xml_file;
    bool has_xml;
    bool has_leak_check;
    int error_exitcode; /* 0: the program's own status */
    char **arguments;   /* for `memtrack check` */
    int argument_count;
    char folder[PATH_MAX]; /* of the recording */
    char recording[PATH_MAX + 16];
};

/* The part of an argument behind "--name=", or NULL. */
static const char *value_of(const char *argument, const char *name)
{
    size_t length = strlen(name);
    return strncmp(argument, name, length) == 0 && argument[length] == '=' ? argument + length + 1
                                                                           : NULL;
}

bool memcheck_is_meant(int argc, char **argv)
{
    for (int i = 1; i < argc && argv[i][0] == '-' && strcmp(argv[i], "--") != 0; i++) {
        if (value_of(argv[i], "--tool") != NULL || value_of(argv[i], "--leak-check") != NULL
            || value_of(argv[i], "--xml") != NULL) {
            return true;
        }
    }
    return false;
}

/* Options of Valgrind that ask for nothing memtrack does, or for what it does anyway. */
static bool is_without_effect(const char *argument)
{
    static const char *const names[] = {
        "--track-origins", "--undef-value-errors", "--leak-resolution",
        "--child-silent-after-fork", "--gen-suppressions", "--demangle",
        "--errors-for-leak-kinds", "--track-fds", "--time-stamp", "--read-var-info",
        "--read-inline-info", "--max-stackframe", "--main-stacksize", "--freelist-vol",
        "--freelist-big-blocks", "--leak-check-heuristics", "--partial-loads-ok",
        "--expensive-definedness-checks", "--keep-stacktraces", "--fair-sched", "--vgdb",
        "--vgdb-error", "--fullpath-after", "--error-limit", "--show-below-main",
        "--default-suppressions", "--sim-hints", "--run-libc-freeres", "--run-cxx-freeres",
        "--keep-debuginfo", "--trace-children-skip", "--malloc-fill", "--free-fill",
        "--show-error-list", "--xml-user-comment", "--smc-check", "--verbose", "-v"};
    size_t length = strcspn(argument, "=");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strlen(names[i]) == length && strncmp(argument, names[i], length) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_yes(const char *value)
{
    return strcmp(value, "yes") == 0;
}

/* "definite,possible", "all" or "none", as in Valgrind. */
static void take_kinds(struct memcheck *memcheck, const char *value)
{
    unsigned classes = 0;
    bool is_all = strcmp(value, "all") == 0;
    for (int i = RECORDING_LEAK_DEFINITE; i <= RECORDING_LEAK_REACHABLE; i++) {
        if (is_all || strstr(value, leaks_class_name((enum recording_leak_class)i)) != NULL) {
            classes |= 1u << i;
        }
    }
    memcheck->check.gate.leak_classes = classes;
}

static int take_number(const char *option, const char *value, uint64_t most, uint64_t *number,
                       struct mt_error *error)
{
    return quantity_parse_number(option, value, 0, most, number, error);
}

/* Takes one of Valgrind's options; *is_taken: it was one. */
static int take_option(struct memcheck *memcheck, const char *argument, bool *is_taken,
                       struct mt_error *error)
{
    const char *value;
    uint64_t number = 0;
    int code = 0;
    *is_taken = true;
    if ((value = value_of(argument, "--tool")) != NULL) {
        if (strcmp(value, "memcheck") != 0) {
            return mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                                "--tool=%s: memtrack stands in for memcheck only", value);
        }
    } else if ((value = value_of(argument, "--log-file")) != NULL) {
        memcheck->log_file = value;
    } else if ((value = value_of(argument, "--xml-file")) != NULL) {
        memcheck->xml_file = value;
    } else if ((value = value_of(argument, "--xml")) != NULL) {
        memcheck->has_xml = is_yes(value);
    } else if ((value = value_of(argument, "--leak-check")) != NULL) {
        memcheck->has_leak_check = strcmp(value, "no") != 0;
    } else if ((value = value_of(argument, "--show-reachable")) != NULL) {
        take_kinds(memcheck, is_yes(value) ? "all" : "definite,possible");
    } else if ((value = value_of(argument, "--show-leak-kinds")) != NULL) {
        take_kinds(memcheck, value);
    } else if ((value = value_of(argument, "--show-possibly-lost")) != NULL) {
        memcheck->check.gate.leak_classes &=
            is_yes(value) ? ~0u : ~(1u << RECORDING_LEAK_POSSIBLE);
    } else if ((value = value_of(argument, "--num-callers")) != NULL) {
        code = take_number("--num-callers", value, 500, &number, error);
        memcheck->look.frames_max = (size_t)number;
    } else if ((value = value_of(argument, "--error-exitcode")) != NULL) {
        code = take_number("--error-exitcode", value, 255, &number, error);
        memcheck->error_exitcode = (int)number;
    } else if (strcmp(argument, "-q") == 0 || strcmp(argument, "--quiet") == 0) {
        memcheck->look.is_quiet = true;
    } else {
        *is_taken = is_without_effect(argument);
    }
    return code;
}

/* What is not Valgrind's goes to the parser of `memtrack check`. */
static int memcheck_parse(struct memcheck *memcheck, int argc, char **argv, struct mt_error *error)
{
    static char quiet[] = "-q";
    static char check[] = "check";
    static char follow[] = "--follow=fork";
    static char dashes[] = "--";
    unsigned classes;
    int i = 1;
    memcheck->look.argc = argc;
    memcheck->look.argv = argv;
    memcheck->has_leak_check = true;
    take_kinds(memcheck, "definite,possible");
    memcheck->arguments =
        calloc((size_t)argc + MEMCHECK_ARGUMENTS_OWN, sizeof(*memcheck->arguments));
    if (memcheck->arguments == NULL) {
        return mt_error_set(error, -ENOMEM, MT_STATUS_FAILED, "the command line: no memory is left");
    }
    memcheck->arguments[memcheck->argument_count++] = check;
    memcheck->arguments[memcheck->argument_count++] = quiet;
    for (; i < argc && argv[i][0] == '-' && strcmp(argv[i], "--") != 0; i++) {
        bool is_taken;
        const char *children = value_of(argv[i], "--trace-children");
        int code = take_option(memcheck, argv[i], &is_taken, error);
        if (code != 0) {
            return code;
        }
        if (children != NULL) {
            if (!is_yes(children)) {
                memcheck->arguments[memcheck->argument_count++] = follow;
            }
        } else if (!is_taken) {
            memcheck->arguments[memcheck->argument_count++] = argv[i];
        }
    }
    i += i < argc && strcmp(argv[i], "--") == 0;
    memcheck->arguments[memcheck->argument_count++] = dashes;
    while (i < argc) {
        memcheck->arguments[memcheck->argument_count++] = argv[i++];
    }
    classes = memcheck->check.gate.leak_classes;
    int code =
        check_options_parse(memcheck->argument_count, memcheck->arguments, &memcheck->check, error);
    struct gate_options *gate = &memcheck->check.gate;
    gate->leak_classes = memcheck->has_leak_check ? classes : 0;
    gate->is_set[GATE_MAX_LEAKED] = memcheck->has_leak_check;
    gate->is_set[GATE_NO_ERRORS] = true;
    memcheck->look.shows_reachable = (classes >> RECORDING_LEAK_REACHABLE & 1u) != 0;
    return code;
}

/* ---- the run -------------------------------------------------------------- */

static int make_folder(struct memcheck *memcheck, struct mt_error *error)
{
    const char *temporary = getenv("TMPDIR");
    snprintf(memcheck->folder, sizeof(memcheck->folder), "%s/memtrack-XXXXXX",
             temporary != NULL && temporary[0] == '/' ? temporary : "/tmp");
    if (mkdtemp(memcheck->folder) == NULL) {
        return mt_error_set(error, -errno, MT_STATUS_FAILED,
                            "%s: no folder for the recording: %s: set TMPDIR", memcheck->folder,
                            strerror(errno));
    }
    snprintf(memcheck->recording, sizeof(memcheck->recording), "%s/run.mtk", memcheck->folder);
    memcheck->check.run.recorder.output = memcheck->recording;
    return 0;
}

static int write_log(const struct memcheck *memcheck, const struct findings *findings, pid_t pid,
                     struct mt_error *error)
{
    struct output output = {.file = stderr, .name = "stderr"};
    char name[PATH_MAX];
    const char *pattern = memcheck->has_xml ? memcheck->xml_file : memcheck->log_file;
    if (pattern != NULL) {
        run_session_log_name(pattern, pid, name, sizeof(name));
        if (output_open(&output, name, NULL, error) != 0) {
            return error->code;
        }
    }
    if (memcheck->has_xml) {
        render_valgrind_xml(output.file, findings, &memcheck->look);
    } else {
        render_valgrind_text(output.file, findings, &memcheck->look);
    }
    return output_close(&output, error);
}

/* Errors as Valgrind counts them: indirect and reachable blocks are none. */
static int status_of(const struct memcheck *memcheck, const struct findings *findings,
                     int program_status)
{
    bool has_errors = false;
    bool is_blind = false;
    for (size_t i = 0; i < findings->count; i++) {
        enum finding_rule rule = findings->items[i].rule;
        is_blind = is_blind || rule == FINDING_INCOMPLETE;
        has_errors = has_errors
                     || (rule != FINDING_LEAK_INDIRECT && rule != FINDING_LEAK_REACHABLE
                         && rule != FINDING_INCOMPLETE);
        if (rule == FINDING_INCOMPLETE && program_status == 0) {
            fprintf(stderr, "memtrack: %s: could not see all: %s\n", findings->name,
                    findings->items[i].message);
        }
    }
    if (has_errors && memcheck->error_exitcode != 0) {
        return memcheck->error_exitcode;
    }
    return program_status != 0 ? program_status : is_blind ? MT_STATUS_GATE : MT_STATUS_OK;
}

static int judge_session(struct memcheck *memcheck, struct judgement *judgement,
                         const struct run_session *session, struct mt_error *error)
{
    const struct recorder_result *result = session->result;
    judgement->options.still_running = result->still_running;
    if (!result->is_tracked || !session->is_readable) {
        judgement_judge_nothing(judgement, "nothing was recorded: the shim was not loaded, or the"
                                           " recording could not be written");
    } else if (judgement_judge(judgement, result->output, false, error) != 0) {
        return command_fail(error);
    }
    const struct gate_report_options how = {.name = memcheck->check.name};
    const struct findings *findings =
        gate_report_findings(judgement->region, &judgement->result, &how);
    if (write_log(memcheck, findings, result->pid, error) != 0) {
        return command_fail(error);
    }
    return session->own_status != 0
               ? session->own_status
               : status_of(memcheck, findings, run_session_status(session));
}

static int memcheck_run(struct memcheck *memcheck, struct judgement *judgement,
                        struct mt_error *error)
{
    struct run_session session;
    int status;
    if (make_folder(memcheck, error) != 0) {
        return command_fail(error);
    }
    memcheck->check.run.recorder.config.census_flags |= ARENA_CENSUS_FLAG_AT_UNDERSCORE_EXIT;
    if (run_session_record(&session, &memcheck->check.run, error) != 0) {
        status = command_fail(error);
    } else {
        status = judge_session(memcheck, judgement, &session, error);
    }
    if (session.result == NULL || session.result->still_running == 0) {
        (void)unlink(memcheck->recording);
        (void)rmdir(memcheck->folder);
    }
    run_session_end(&session);
    return status;
}

int command_memcheck(int argc, char **argv)
{
    static struct memcheck memcheck;
    struct judgement judgement;
    struct mt_error error = {0};
    int code = memcheck_parse(&memcheck, argc, argv, &error);
    if (code == 0 && memcheck.check.run.wants_help) {
        free(memcheck.arguments);
        return check_options_print_help();
    }
    if (code == 0 && memcheck.has_xml && memcheck.xml_file == NULL) {
        code = mt_error_set(&error, -EINVAL, MT_STATUS_USAGE,
                            "--xml=yes: says where with --xml-file=FILE");
    }
    judgement_begin(&judgement, &memcheck.check.gate);
    if (code == 0) {
        code = judgement_add_suppressions(&judgement, memcheck.check.run.recorder.suppressions,
                                          memcheck.check.run.recorder.suppression_count, &error);
    }
    int status =
        code != 0 ? command_fail(&error) : memcheck_run(&memcheck, &judgement, &error);
    judgement_end(&judgement);
    free(memcheck.arguments);
    return status;
}
