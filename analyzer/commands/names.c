#include "commands/names.h"

#include <string.h>

#include "symbolize/resolve_recording.h"

int names_resolve(const char *recording, pid_t pid, bool is_complete, struct mt_error *error)
{
    struct recording_writer *writer = NULL;
    int code = recording_writer_append(recording, &writer, error);
    return code != 0 ? code : names_resolve_open(recording, writer, pid, is_complete, error);
}

int names_resolve_open(const char *recording, struct recording_writer *writer, pid_t pid,
                       bool is_complete, struct mt_error *error)
{
    struct symbolizer *symbolizer = NULL;
    /* Only servers that DEBUGINFOD_URLS names are asked. */
    const struct symbolizer_options symbols = {.use_debuginfod = true};
    int code = symbolizer_new(&symbols, &symbolizer);
    if (code != 0) {
        mt_error_set(error, code, MT_STATUS_FAILED,
                     "%s: naming its addresses: %s: free some"
                     " memory",
                     recording, strerror(-code));
    } else {
        int pids[] = {(int)pid};
        struct resolve_recording_options options = {.perf_map_pids = pids,
                                                    .perf_map_pid_count = pid > 0 ? 1 : 0};
        code = resolve_recording(writer, symbolizer, &options, error);
        symbolizer_free(symbolizer);
    }
    if (code != 0) {
        recording_writer_abandon(writer);
        return code;
    }
    return recording_writer_finish(writer, is_complete, error);
}
