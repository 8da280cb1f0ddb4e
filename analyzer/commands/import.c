#include "commands/import.h"

#include "commands/command.h"
#include "commands/names.h"
#include "commands/view_options.h"
#include "foundation/region.h"
#include "recording/import_profile.h"

#include <stdbool.h>
#include <string.h>

static const struct view_command import_command = {
    .name = "import",
    .operands = "FILE",
    .operands_min = 1,
    .operands_max = 1,
    .missing = "no profile was named",
    .example = "FILE -o OUT.mtk",
    .one_more = "one file too many, import one by one",
    .doc = "Makes a recording of a heap profile that jemalloc (prof:true) or gperftools "
           "(HEAPPROFILE) wrote, so that report, diff, check, flame and export work on it.\v"
           "Counts of a sampled profile become estimates, as jeprof makes them. A profile is one "
           "moment: the peak is not known, and stands for that moment.",
    .takes = {{.option = VIEW_OUTPUT,
               .help = "the recording (default: FILE's name and .mtk, in this folder)"},
              {.option = VIEW_FORCE},
              {.option = VIEW_QUIET, .help = "do not say what was written"}},
};

static int import(const struct view_options *options, const char *output, struct mt_error *error)
{
    struct import_result result;
    int code = import_profile(options->files[0], output, options->overwrite, &result, error);
    if (code != 0) {
        return code;
    }
    struct mt_error names = {0};
    if (names_resolve(output, 0, !result.is_cut, &names) != 0) {
        command_fail(&names); /* the recording stands, without names */
    }
    if (result.is_cut) {
        fprintf(stderr,
                "memtrack: %s: has no MAPPED_LIBRARIES part: addresses get no names; dump "
                "it again to its end\n",
                options->files[0]);
    }
    if (!options->is_quiet) {
        fprintf(stderr, "memtrack: wrote %s, %zu stacks\n", output, result.stacks);
    }
    return 0;
}

int command_import(int argc, char **argv)
{
    struct view_options options = {0};
    struct mt_error error = {0};
    int code = view_options_parse(&import_command, argc, argv, &options, NULL, &error);
    if (code == 0) {
        struct region *region = region_new();
        const char *slash = strrchr(options.files[0], '/');
        const char *output =
            options.output != NULL
                ? options.output
                : region_format(region, "%s.mtk", slash != NULL ? slash + 1 : options.files[0]);
        code = import(&options, output, &error);
        region_free(region);
    }
    view_options_deinit(&options);
    return code < 0 ? command_fail(&error) : MT_STATUS_OK;
}
