#include "commands/import.h"

#include "commands/arguments.h"
#include "commands/command.h"
#include "commands/names.h"
#include "foundation/region.h"
#include "recording/import_profile.h"

#include <stdbool.h>
#include <string.h>

struct import_arguments {
    const char *input;
    const char *output;
    bool overwrite;
    bool is_quiet;
};

static const struct argp_option import_option_table[] = {
    {"output", 'o', "OUT", 0, "the recording (default: FILE's name and .mtk, in this folder)", 0},
    {"force", 'f', NULL, 0, "overwrite OUT if it exists", 0},
    {"quiet", 'q', NULL, 0, "do not say what was written", 0},
    {0},
};

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct import_arguments *arguments = state->input;
    switch (key) {
    case 'o':
        arguments->output = value;
        return 0;
    case 'f':
        arguments->overwrite = true;
        return 0;
    case 'q':
        arguments->is_quiet = true;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->input != NULL) {
            return arguments_fail(state, "import: \"%s\" is one file too many, import one by one",
                                  value);
        }
        arguments->input = value;
        return 0;
    case ARGP_KEY_END:
        return arguments->input != NULL
                   ? 0
                   : arguments_fail(state, "import: no profile was named, write `memtrack import "
                                           "FILE -o OUT.mtk`");
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int import(const struct import_arguments *arguments, const char *output,
                  struct mt_error *error)
{
    struct import_result result;
    int code =
        import_profile(arguments->input, output, arguments->overwrite, &result, error);
    if (code != 0) {
        return code;
    }
    struct mt_error names = {0};
    if (names_resolve(output, 0, !result.is_cut, &names) != 0) {
        command_fail(&names); /* the recording stands, without names */
    }
    if (result.is_cut) {
        fprintf(stderr, "memtrack: %s: has no MAPPED_LIBRARIES part: addresses get no names; dump "
                        "it again to its end\n",
                arguments->input);
    }
    if (!arguments->is_quiet) {
        fprintf(stderr, "memtrack: wrote %s, %zu stacks\n", output, result.stacks);
    }
    return 0;
}

int command_import(int argc, char **argv)
{
    static const struct argp parser = {
        .options = import_option_table,
        .parser = parse_option,
        .args_doc = "FILE",
        .doc = "Makes a recording of a heap profile that jemalloc (prof:true) or gperftools "
               "(HEAPPROFILE) wrote, so that report, diff, check, flame and export work on it.\v"
               "Counts of a sampled profile become estimates, as jeprof makes them. A profile is "
               "one moment: the peak is not known, and stands for that moment.",
    };
    struct import_arguments arguments = {0};
    struct mt_error error = {0};
    int code = arguments_parse(&parser, argc, argv, &arguments, &error);
    if (code != 0) {
        return code > 0 ? MT_STATUS_OK : command_fail(&error);
    }
    struct region *region = region_new();
    const char *slash = strrchr(arguments.input, '/');
    const char *output = arguments.output != NULL
                             ? arguments.output
                             : region_format(region, "%s.mtk",
                                             slash != NULL ? slash + 1 : arguments.input);
    code = import(&arguments, output, &error);
    int status = code != 0 ? command_fail(&error) : MT_STATUS_OK;
    region_free(region);
    return status;
}
