#include "commands/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "commands/check_options.h"
#include "commands/command.h"
#include "commands/judgement.h"
#include "commands/run_session.h"
#include "commands/suppression_printer.h"
#include "commands/view.h"
#include "render/render_findings.h"
#include "report/gate_report.h"

#define CHECK_FRAMES_SHOWN 10u

/* ---- results -------------------------------------------------------------- */

struct check_shown {
    const struct gate_result *result;
    const struct gate_report_options *how;
};

static void write_json(struct report_tree *tree, const void *context)
{
    const struct check_shown *shown = context;
    gate_report_write(tree, shown->result, shown->how);
}

static struct report_document *make_table(const void *context)
{
    const struct check_shown *shown = context;
    return gate_report_make_table(shown->result, shown->how);
}

static struct report_document *make_document(const void *context)
{
    const struct check_shown *shown = context;
    return gate_report_make(shown->result, shown->how);
}

static void print_result(FILE *out, const struct check_options *options,
                         const struct gate_result *result, const struct gate_report_options *how)
{
    struct gate_report_options here = *how;
    here.is_comment = options->format == OUTPUT_MARKDOWN;
    const struct check_shown shown = {.result = result, .how = &here};
    const struct view_result view = {.write = write_json,
                                     .make_table = make_table,
                                     .make = make_document,
                                     .context = &shown};
    struct render_options look = output_render_options(out, options->run.color, false);
    view_print(out, &view, options->format, &look);
}

/* Writes one of the files for other tools. */
static int write_file(const char *path, const char *input, const struct findings *findings,
                      void (*render)(FILE *out, const struct findings *findings),
                      struct mt_error *error)
{
    struct output output;
    if (path == NULL) {
        return 0;
    }
    int code = output_open(&output, path, input, error);
    if (code == 0) {
        render(output.file, findings);
        code = output_close(&output, error);
    }
    return code;
}

static void render_sarif_here(FILE *out, const struct findings *findings)
{
    char folder[PATH_MAX];
    render_sarif(out, findings, getcwd(folder, sizeof(folder)));
}

static int write_baseline(const struct check_options *options, const struct gate_result *result,
                          const char *input, struct mt_error *error)
{
    struct output output;
    if (options->write_baseline == NULL) {
        return 0;
    }
    if (!result->is_passed) {
        fprintf(stderr, "memtrack: %s: not written: the check failed: mend what it names first\n",
                options->write_baseline);
        return 0;
    }
    int code = output_open(&output, options->write_baseline, input, error);
    if (code == 0) {
        baseline_write(&result->found, output.file);
        code = output_close(&output, error);
    }
    return code;
}

/* One for each class and stack, though several processes have it. */
static bool is_generated_before(const struct gate_result *result, size_t position)
{
    const struct gate_failure *failure = &result->failures[position];
    for (size_t i = 0; i < position; i++) {
        const struct gate_failure *other = &result->failures[i];
        if (other->kind == GATE_KIND_LEAK && other->leak_class == failure->leak_class
            && other->stack == failure->stack) {
            return true;
        }
    }
    return false;
}

static int write_suppressions(const struct check_options *options, const struct gate_result *result,
                              const char *input, struct mt_error *error)
{
    struct output output;
    int code = 0;
    if (options->gen_suppressions != NULL) {
        code = output_open(&output, options->gen_suppressions, input, error);
        for (size_t i = 0; code == 0 && i < result->failure_count; i++) {
            const struct gate_failure *failure = &result->failures[i];
            if (failure->kind == GATE_KIND_LEAK && !is_generated_before(result, i)) {
                suppression_print(output.file, result->model, failure->stack, failure->leak_class,
                                  failure->blocks, failure->bytes);
            }
        }
        code = code == 0 ? output_close(&output, error) : code;
    }
    return code;
}

/* Everything but the result itself, which goes to `out`. */
static int write_others(const struct check_options *options, const struct gate_result *result,
                        const struct gate_report_options *how, const char *input,
                        struct mt_error *error)
{
    struct region *region = region_new();
    const struct findings *findings = gate_report_findings(region, result, how);
    int code = write_file(options->junit, input, findings, render_junit, error);
    if (code == 0) {
        code = write_file(options->sarif, input, findings, render_sarif_here, error);
    }
    if (code == 0) {
        code = write_suppressions(options, result, input, error);
    }
    if (code == 0) {
        code = write_baseline(options, result, input, error);
    }
    if (options->has_github) {
        /* Runners read both streams; stdout is the program's, or the result's. */
        bool is_free = options->is_file && (options->result != NULL || !options->has_format);
        const char *workspace = getenv("GITHUB_WORKSPACE");
        char folder[PATH_MAX];
        fflush(NULL);
        render_github(is_free ? stdout : stderr, findings,
                      workspace != NULL ? workspace : getcwd(folder, sizeof(folder)));
    }
    region_free(region);
    return code;
}

/* Prints the result to -o, the log file, stdout or stderr. */
static int show(const struct check_options *options, const struct judgement *judgement,
                const char *recording, pid_t pid, bool is_kept)
{
    const struct gate_result *result = &judgement->result;
    struct gate_report_options how = {.name = options->name,
                                      .recording = is_kept ? recording : NULL,
                                      .top = (size_t)options->run.top,
                                      .frames_max = CHECK_FRAMES_SHOWN,
                                      .baseline = options->baseline,
                                      .suppressions = &judgement->suppressions};
    struct output output = {.file = stderr, .name = "stderr"};
    struct mt_error error = {0};
    char log[PATH_MAX];
    int code = 0;
    if (how.name == NULL && result->model == NULL) {
        const char *program = options->run.recorder.arguments[0];
        const char *slash = strrchr(program, '/');
        how.name = slash != NULL ? slash + 1 : program;
    }
    bool is_silent = options->run.is_quiet && result->is_passed && !options->has_format;
    if (options->result != NULL || options->is_file) {
        code = output_open(&output, options->result, recording, &error);
    } else if (options->run.log_file != NULL) {
        run_session_log_name(options->run.log_file, pid, log, sizeof(log));
        code = output_open(&output, log, recording, &error);
    }
    if (code == 0 && !is_silent) {
        print_result(output.file, options, result, &how);
    }
    if (code == 0) {
        code = output_close(&output, &error);
    }
    if (code == 0) {
        code = write_others(options, result, &how, recording, &error);
    }
    return code == 0 ? MT_STATUS_OK : command_fail(&error);
}

/* ---- a recording ---------------------------------------------------------- */

static int check_file(const struct check_options *options, struct judgement *judgement)
{
    struct mt_error error = {0};
    if (judgement_judge(judgement, options->file, true, &error) != 0) {
        return command_fail(&error);
    }
    int status = show(options, judgement, judgement->opened.model->selector.path, 0, true);
    if (status != MT_STATUS_OK) {
        return status;
    }
    return judgement->result.is_passed ? MT_STATUS_OK : options->error_exitcode;
}

/* ---- a program ------------------------------------------------------------ */

static void tell_own_failure(const struct check_options *options,
                             const struct recorder_result *result)
{
    const char *program = options->run.recorder.arguments[0];
    int wait_status = result->wait_status;
    if (WIFSIGNALED(wait_status)) {
        fprintf(stderr, "memtrack: %s: ended by signal %d (%s): its recording is %s\n", program,
                WTERMSIG(wait_status), strsignal(WTERMSIG(wait_status)), result->output);
    } else {
        fprintf(stderr, "memtrack: %s: failed with status %d: its recording is %s\n", program,
                WEXITSTATUS(wait_status), result->output);
    }
}

static const char *why_unreadable(const struct recorder_result *result)
{
    if (!result->is_tracked) {
        return "nothing was recorded: the shim was not loaded";
    }
    return result->lost.code != 0 ? result->lost.text : "no recording was written";
}

static int judge_session(const struct check_options *options, struct judgement *judgement,
                         struct run_session *session)
{
    const struct recorder_result *result = session->result;
    struct mt_error error = {0};
    judgement->options.still_running = result->still_running;
    bool is_loaded = result->is_tracked && session->is_readable;
    if (!is_loaded) {
        judgement_judge_nothing(judgement, why_unreadable(result));
    } else if (judgement_judge(judgement, result->output, false, &error) != 0) {
        return command_fail(&error);
    }
    int program_status = run_session_status(session);
    bool is_kept = session->is_readable
                   && (options->recording != NULL || program_status != 0
                       || !judgement->result.is_passed || result->still_running > 0);
    if (program_status != 0 && session->is_readable) {
        tell_own_failure(options, result);
    }
    int status = show(options, judgement, result->output, result->pid, is_kept);
    if (!is_kept && session->is_readable) {
        (void)unlink(result->output);
    }
    if (session->own_status != 0) {
        return session->own_status;
    }
    if (status != MT_STATUS_OK) {
        return status;
    }
    return program_status != 0                ? program_status
           : judgement->result.is_passed ? MT_STATUS_OK
                                              : options->error_exitcode;
}

static int check_program(struct check_options *options, struct judgement *judgement)
{
    struct run_session session;
    struct mt_error error = {0};
    int status;
    /* Whatever way the program ends, it has to be judged. */
    options->run.recorder.config.census_flags |= ARENA_CENSUS_FLAG_AT_UNDERSCORE_EXIT;
    if (run_session_record(&session, &options->run, &error) != 0) {
        status = command_fail(&error);
    } else {
        status = judge_session(options, judgement, &session);
    }
    run_session_end(&session);
    return status;
}

int command_check(int argc, char **argv)
{
    static struct check_options options;
    struct judgement judgement;
    struct mt_error error = {0};
    if (check_options_parse(argc, argv, &options, &error) != 0) {
        return command_fail(&error);
    }
    if (options.run.wants_help) {
        return check_options_print_help();
    }
    /* What was given is read before the program runs for an hour. */
    judgement_begin(&judgement, &options.gate);
    int code =
        judgement_add_suppressions(&judgement, options.run.recorder.suppressions,
                                   options.run.recorder.suppression_count, &error);
    if (code == 0 && options.baseline != NULL) {
        code = judgement_read_baseline(&judgement, options.baseline, &error);
    }
    int status = code != 0          ? command_fail(&error)
                 : options.is_file ? check_file(&options, &judgement)
                                    : check_program(&options, &judgement);
    judgement_end(&judgement);
    return status;
}
