#include "commands/run_session.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "commands/names.h"

static int session_print_error(const struct mt_error *error)
{
    fprintf(stderr, "memtrack: %s\n", error->text);
    return (int)error->status;
}

/* In the background, after the last descendant has ended: nobody is left to read a
 * message. */
static void session_finish_in_background(const char *recording)
{
    struct mt_error error = {0};
    (void)names_resolve(recording, 0, true, &error);
}

void run_session_log_name(const char *pattern, pid_t pid, char *name, size_t room)
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

/* Says what a person must know besides the report. Returns memtrack's own status, or 0. */
static int session_remarks(const struct run_options *options, const struct recorder_result *result,
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
                "memtrack: %s: nothing was recorded: the shim could not work in it: run it without"
                " what clears its environment, or build it without -fsanitize=leak or thread\n",
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

int run_session_status(const struct run_session *session)
{
    int wait_status = session->result->wait_status;
    return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

static int session_name(const struct run_session *session, struct mt_error *error)
{
    const struct recorder_result *result = session->result;
    struct recording_writer *writer = recorder_take_writer(session->recorder);
    return writer != NULL
               ? names_resolve_open(result->output, writer, result->pid, true, error)
               : names_resolve(result->output, result->pid, result->still_running == 0, error);
}

int run_session_record(struct run_session *session, struct run_options *options,
                       struct mt_error *error)
{
    *session = (struct run_session){.printer = {.out = stderr}};
    options->recorder.print_sites = site_printer_print;
    options->recorder.print_context = &session->printer;
    options->recorder.finished = session_finish_in_background;
    session->recorder = recorder_start(&options->recorder, error);
    if (session->recorder == NULL) {
        return error->code;
    }
    /* Said at once: a person may rather end the program now. */
    bool is_loss_known = recorder_result(session->recorder)->lost.code != 0;
    if (is_loss_known) {
        fprintf(stderr, "memtrack: %s\n", recorder_result(session->recorder)->lost.text);
    }
    session->result = recorder_wait(session->recorder);
    session->own_status = session_remarks(options, session->result, is_loss_known);
    struct mt_error own = {0};
    if (recorder_detach(session->recorder, &own) != 0) {
        session->own_status = session_print_error(&own);
    }
    if (session->result->is_recorded && session->result->lost.code == 0) {
        own = (struct mt_error){0};
        session->is_readable = true;
        if (session_name(session, &own) != 0) {
            session->own_status = session_print_error(&own);
        }
    }
    return 0;
}

void run_session_end(struct run_session *session)
{
    recorder_free(session->recorder);
    site_printer_deinit(&session->printer);
    session->recorder = NULL;
}
