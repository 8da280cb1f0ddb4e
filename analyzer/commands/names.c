#include "commands/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "symbolize/resolve_recording.h"

/* A folder of this user's: that of sudo's caller is not. */
static bool names_is_own_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == geteuid();
}

/* Where answers are kept for later runs: $MEMTRACK_SYMBOL_CACHE, else as the XDG Base
 * Directory Specification says. Returns NULL for nowhere. */
static const char *names_cache_folder(char *folder, size_t room)
{
    const char *chosen = getenv("MEMTRACK_SYMBOL_CACHE");
    const char *base = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    int length;
    if (chosen != NULL) {
        return chosen[0] == '/' ? chosen : NULL;
    }
    if (base != NULL && base[0] == '/') {
        length = snprintf(folder, room, "%s/memtrack/symbols", base);
    } else if (home != NULL && home[0] == '/' && names_is_own_folder(home)) {
        length = snprintf(folder, room, "%s/.cache/memtrack/symbols", home);
    } else {
        return NULL;
    }
    return length > 0 && (size_t)length < room ? folder : NULL;
}

int names_resolve(const char *recording, pid_t pid, bool is_complete, struct mt_error *error)
{
    struct recording_writer *writer = NULL;
    int code = recording_writer_append(recording, &writer, error);
    return code != 0 ? code : names_resolve_open(recording, writer, pid, is_complete, error);
}

static int names_add(const char *recording, struct recording_writer *writer, pid_t pid,
                     struct mt_error *error)
{
    struct symbolizer *symbolizer = NULL;
    /* Only servers that DEBUGINFOD_URLS names are asked. */
    char folder[4096];
    const struct symbolizer_options symbols = {
        .use_debuginfod = true, .cache_directory = names_cache_folder(folder, sizeof(folder))};
    int code = symbolizer_new(&symbols, &symbolizer);
    if (code != 0) {
        return mt_error_set(error, code, MT_STATUS_FAILED,
                            "%s: naming its addresses: %s: free some"
                            " memory",
                            recording, strerror(-code));
    }
    int pids[] = {(int)pid};
    struct resolve_recording_options options = {.perf_map_pids = pids,
                                                .perf_map_pid_count = pid > 0 ? 1 : 0};
    code = resolve_recording(writer, symbolizer, &options, error);
    symbolizer_free(symbolizer);
    return code;
}

int names_resolve_open(const char *recording, struct recording_writer *writer, pid_t pid,
                       bool is_complete, struct mt_error *error)
{
    int code = names_add(recording, writer, pid, error);
    if (code != 0) {
        recording_writer_abandon(writer);
        return code;
    }
    return recording_writer_finish(writer, is_complete, error);
}

int names_take_snapshot(const struct arena_file *file, const struct snapshot_file_options *options,
                        pid_t pid, bool is_nameless, struct mt_error *error)
{
    struct recording_writer *writer = NULL;
    int code = snapshot_file_write(file, options, &writer, error);
    if (code != 0) {
        return code;
    }
    if (!is_nameless) {
        struct mt_error ignored = {0};
        (void)names_add(options->output, writer, pid, &ignored);
    }
    return recording_writer_finish(writer, true, error);
}
