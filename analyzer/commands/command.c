#include "commands/command.h"

#include "commands/annotate.h"
#include "commands/check.h"
#include "commands/cpu.h"
#include "commands/diff.h"
#include "commands/export.h"
#include "commands/flame.h"
#include "commands/import.h"
#include "commands/leaks.h"
#include "commands/list.h"
#include "commands/growth.h"
#include "commands/report.h"
#include "commands/run.h"
#include "commands/snapshot.h"
#include "commands/timeline.h"

#include <string.h>

#define GUESS_LENGTH_MAX 40u

const struct command command_table[] = {
    {"run", "[OPTIONS] [--] PROGRAM [ARG...]", "record PROGRAM, then print its report",
     command_run},
    {"report", "FILE [OPTIONS]", "the report of a recording: peak, top sites, leaks, CPU, timeline",
     command_report},
    {"cpu", "FILE [OPTIONS]", "where CPU time went: self and total, by function, line, thread ...",
     command_cpu},
    {"diff", "A B [OPTIONS]", "what changed between two states, or two recordings",
     command_diff},
    {"leaks", "FILE [OPTIONS]", "what was lost, by class, and who holds what was not",
     command_leaks},
    {"growth", "FILE [OPTIONS]", "sites that keep growing, over all snapshots of a recording",
     command_growth},
    {"timeline", "FILE [OPTIONS]", "live and resident bytes over time, drawn or as csv and json",
     command_timeline},
    {"snapshot", "PID -o FILE", "a snapshot of a tracked process now, without stopping it",
     command_snapshot},
    {"list", "", "tracked processes of this user", command_list},
    {"check", "[LIMITS] [--] PROGRAM [ARG...] | FILE", "leak gate: run, then pass or fail",
     command_check},
    {"annotate", "FILE [SOURCE...] [OPTIONS]", "source lines with memory and CPU beside them",
     command_annotate},
    {"flame", "FILE|A B [OPTIONS]", "flame graph of any metric, or of what changed, as one SVG",
     command_flame},
    {"export", "FILE --format F [OPTIONS]", "pprof, speedscope, collapsed, dhat, massif, callgrind ...",
     command_export},
    {"import", "FILE [OPTIONS]", "a heap profile of jemalloc or gperftools as a recording",
     command_import},
    {NULL, NULL, NULL, NULL},
};

const struct command *command_find(const char *name)
{
    for (const struct command *command = command_table; command->name != NULL; command++) {
        if (strcmp(command->name, name) == 0) {
            return command;
        }
    }
    return NULL;
}

bool command_exists(const char *name)
{
    return command_find(name) != NULL;
}

int command_fail(const struct mt_error *error)
{
    fprintf(stderr, "memtrack: %s\n", error->text);
    return (int)error->status;
}

int command_print_help(FILE *out)
{
    fputs("usage: memtrack [OPTIONS] [--] PROGRAM [ARG...]   record PROGRAM and print its report\n"
          "       memtrack COMMAND [ARGUMENTS]\n"
          "\n"
          "Sees every allocation of an unmodified program with its full backtrace: who allocates,\n"
          "who holds memory at the peak and at the end, what leaked.\n"
          "\n",
          out);
    for (const struct command *command = command_table; command->name != NULL; command++) {
        fprintf(out, "  %-9s %s\n", command->name, command->summary);
    }
    fputs("\n"
          "FILE may select one state of a recording: FILE@3 (snapshot 3), @first, @last, @peak,\n"
          "@exit, @12.5s, @label:NAME.\n"
          "\n"
          "`memtrack COMMAND --help` or `memtrack help COMMAND` explains a command,\n"
          "`memtrack --version` names the version.\n",
          out);
    return fflush(out) != 0 || ferror(out) ? MT_STATUS_FAILED : MT_STATUS_OK;
}

/* Edit distance with transpositions; both at most GUESS_LENGTH_MAX long.
 * Source: optimal string alignment, e.g. Boytsov, "Indexing methods for approximate
 * dictionary searching", section 2.2. */
static size_t guess_distance(const char *a, const char *b)
{
    size_t rows[3][GUESS_LENGTH_MAX + 1];
    size_t *before = rows[0];
    size_t *previous = rows[1];
    size_t *current = rows[2];
    size_t width = strlen(b);
    for (size_t k = 0; k <= width; k++) {
        previous[k] = k;
    }
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        current[0] = i;
        for (size_t k = 1; k <= width; k++) {
            size_t best = previous[k - 1] + (a[i - 1] != b[k - 1]);
            best = previous[k] + 1 < best ? previous[k] + 1 : best;
            best = current[k - 1] + 1 < best ? current[k - 1] + 1 : best;
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1]
                && before[k - 2] + 1 < best) {
                best = before[k - 2] + 1;
            }
            current[k] = best;
        }
        size_t *oldest = before;
        before = previous;
        previous = current;
        current = oldest;
    }
    return previous[width];
}

const char *command_guess(const char *text, const char *const *names, size_t count)
{
    const char *best = NULL;
    size_t length = strlen(text);
    /* A third of the letters may be wrong, at least one. */
    size_t best_distance = length / 3 + 2;
    if (length > GUESS_LENGTH_MAX) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        if (strlen(names[i]) > GUESS_LENGTH_MAX) {
            continue;
        }
        size_t distance = guess_distance(text, names[i]);
        if (distance < best_distance) {
            best_distance = distance;
            best = names[i];
        }
    }
    return best;
}

const char *command_guess_name(const char *name)
{
    const char *names[64];
    size_t count = 0;
    for (const struct command *command = command_table; command->name != NULL && count < 64;
         command++) {
        names[count++] = command->name;
    }
    return command_guess(name, names, count);
}
