#include "commands/run.h"

#include <limits.h>
#include <stdio.h>

#include "commands/command.h"
#include "commands/report.h"
#include "commands/run_session.h"

/* The report, on stderr or in the log file: stdout is the program's. */
static int run_print_report(const struct run_options *options, const struct recorder_result *result)
{
    struct report_options report = {
        .file = result->output,
        .color = options->color,
        .top = (size_t)options->top,
    };
    struct output output = {.file = stderr, .name = "stderr"};
    struct mt_error error = {0};
    char name[PATH_MAX];
    if (options->log_file != NULL) {
        run_session_log_name(options->log_file, result->pid, name, sizeof(name));
        if (output_open(&output, name, result->output, &error) != 0) {
            return command_fail(&error);
        }
    }
    /* stderr has no buffer: each word of the report would be a system call. */
    static char buffer[1 << 16];
    if (!output.is_own) {
        setvbuf(output.file, buffer, _IOFBF, sizeof(buffer));
    }
    int code = report_print(output.file, &report, &error);
    int closed = output_close(&output, &error);
    if (!output.is_own) {
        setvbuf(stderr, NULL, _IONBF, 0);
    }
    if (closed != 0 || code != 0) {
        return command_fail(&error);
    }
    return 0;
}

int command_run(int argc, char **argv)
{
    struct run_options options;
    struct run_session session;
    struct mt_error error = {0};
    if (run_options_parse(argc, argv, NULL, &options, &error) != 0) {
        return command_fail(&error);
    }
    if (options.wants_help) {
        return fputs(run_options_help, stdout) < 0 || fflush(stdout) != 0 ? MT_STATUS_FAILED
                                                                          : MT_STATUS_OK;
    }
    if (run_session_record(&session, &options, &error) != 0) {
        run_session_end(&session);
        return command_fail(&error);
    }
    if (session.is_readable && options.prints_report
        && run_print_report(&options, session.result) != 0) {
        session.own_status = MT_STATUS_FAILED;
    }
    int status =
        session.own_status != 0 ? session.own_status : run_session_status(&session);
    run_session_end(&session);
    return status;
}
