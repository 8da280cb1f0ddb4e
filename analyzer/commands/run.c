#include "commands/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "commands/names.h"
#include "commands/report.h"
#include "commands/run_options.h"
#include "commands/site_printer.h"
#include "recording/writer.h"

static int print_error(const struct mt_error *error)
{
    fprintf(stderr, "memtrack: %s\n", error->text);
    return (int)error->status;
}

/* In the background, after the last descendant has ended: nobody is left to read a
 * message. */
static void run_finish_in_background(const char *recording)
{
    struct mt_error error = {0};
    (void)names_resolve(recording, 0, true, &error);
}

/* %p in the name of the log file is the program's pid. */
static void run_log_name(const char *pattern, pid_t pid, char *name, size_t room)
{
    size_t used = 0;
    for (const char *c = pattern; *c != '\0' && used + 16 < room; c++) {
        if (c[0] == '%' && c[1] == 'p') {
            used += (size_t)snprintf(name + used, room - used, "%d", (int)pid);
            c++;
        } else {
            name[used++] = *c;
        }
    }
    name[used] = '\0';
}

/* The report, on stderr or in the log file: stdout is the program's. */
static int run_print_report(const struct run_options *options, const struct recorder_result *result)
{
    static const enum output_color colors[] = {[RUN_COLOR_AUTO] = OUTPUT_COLOR_AUTO,
                                               [RUN_COLOR_ALWAYS] = OUTPUT_COLOR_ALWAYS,
                                               [RUN_COLOR_NEVER] = OUTPUT_COLOR_NEVER};
    struct report_options report = {
        .file = result->output,
        .color = colors[options->color],
        .top = (size_t)options->top,
    };
    struct output output = {.file = stderr, .name = "stderr"};
    struct mt_error error = {0};
    char name[PATH_MAX];
    if (options->log_file != NULL) {
        run_log_name(options->log_file, result->pid, name, sizeof(name));
        if (output_open(&output, name, result->output, &error) != 0) {
            return print_error(&error);
        }
    }
    int code = report_print(output.file, &report, &error);
    if (output_close(&output, &error) != 0 || code != 0) {
        return print_error(&error);
    }
    return 0;
}

static int program_status(int wait_status)
{
    return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

/* Says what a person must know besides the report. Returns memtrack's own status, or 0. */
static int run_remarks(const struct run_options *options, const struct recorder_result *result,
                       bool is_loss_known)
{
    int status = 0;
    if (result->lost.code != 0) {
        if (!is_loss_known) {
            fprintf(stderr, "memtrack: %s\n", result->lost.text);
        }
        status = MT_STATUS_FAILED;
    }
    if (!result->is_tracked) {
        fprintf(stderr,
                "memtrack: %s: nothing was recorded: the shim was not loaded (did the program"
                " clear its environment?)\n",
                options->recorder.arguments[0]);
    }
    if (result->still_running > 0 && !options->is_quiet) {
        fprintf(stderr,
                "memtrack: %u of its processes still run%s: what they do is added to %s when they"
                " end\n",
                result->still_running, result->still_running == 1 ? "s" : "", result->output);
    }
    return status;
}

int command_run(int argc, char **argv)
{
    struct run_options options;
    struct mt_error error = {0};
    if (run_options_parse(argc, argv, &options, &error) != 0) {
        return print_error(&error);
    }
    if (options.wants_help) {
        return fputs(run_options_help, stdout) < 0 || fflush(stdout) != 0 ? MT_STATUS_FAILED
                                                                          : MT_STATUS_OK;
    }
    struct site_printer printer = {.out = stderr};
    options.recorder.print_sites = site_printer_print;
    options.recorder.print_context = &printer;
    options.recorder.finished = run_finish_in_background;
    struct recorder *recorder = recorder_start(&options.recorder, &error);
    if (recorder == NULL) {
        return print_error(&error);
    }
    /* Said at once: a person may rather end the program now. */
    bool is_loss_known = recorder_result(recorder)->lost.code != 0;
    if (is_loss_known) {
        fprintf(stderr, "memtrack: %s\n", recorder_result(recorder)->lost.text);
    }
    const struct recorder_result *result = recorder_wait(recorder);
    int own_status = run_remarks(&options, result, is_loss_known);
    if (recorder_detach(recorder, &error) != 0) {
        own_status = print_error(&error);
    }
    if (result->is_recorded && result->lost.code == 0) {
        error = (struct mt_error){0};
        if (names_resolve(result->output, result->pid, result->still_running == 0, &error) != 0) {
            own_status = print_error(&error);
        }
        if (options.prints_report && run_print_report(&options, result) != 0) {
            own_status = MT_STATUS_FAILED;
        }
    }
    int status = own_status != 0 ? own_status : program_status(result->wait_status);
    recorder_free(recorder);
    site_printer_deinit(&printer);
    return status;
}
