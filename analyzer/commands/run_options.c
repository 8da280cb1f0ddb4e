#include "commands/run_options.h"

#include <elf.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands/arguments.h"
#include "commands/command.h"
#include "commands/quantity.h"
#include "core/capture.h"

#define LIST_OF_RECORDING \
    "      --snapshot-every TIME  500ms, 10s, 5m (default: 1s at first, then ever less often)\n" \
    "      --snapshot-signal USR1|USR2  that signal to memtrack takes a snapshot\n" \
    "      --sample BYTES       record one allocation per BYTES allocated on average\n" \
    "      --cpu HZ, --no-cpu   CPU samples a second (default 99), or none\n" \
    "      --cpu-clock=cpu|wall sample while the program computes, or also while it waits,\n" \
    "                           which interrupts system calls (default cpu)\n" \
    "      --depth N            frames kept of each stack (default 128)\n" \
    "      --follow=all|none|fork  which children to record (default all)\n" \
    "      --allocator=default|jemalloc|PATH  run the program on this allocator\n" \
    "      --leaks=full|counts|off  the leak scan at exit (default full)\n" \
    "      --leaks-every TIME   scan the running program too, three times in a row (default: no)\n" \
    "      --leaks-at-_exit     scan also where a process ends by _exit\n" \
    "      --roots LIST         where pointers count: of globals, stacks, registers, tls,\n" \
    "                           mappings (default all)\n" \
    "      --interior-pointers  a pointer into a block holds it, as for LeakSanitizer\n" \
    "      --pointer-alignment N  of pointers in memory: 1, 2, 4 or 8 (default 8)\n" \
    "      --mmap               count the program's own anonymous mappings too\n"

const char run_options_list[] = LIST_OF_RECORDING;

const char run_options_help[] =
    "usage: memtrack [run] [OPTIONS] [--] PROGRAM [ARG...]\n"
    "\n"
    "Runs PROGRAM, records its allocations and prints a report when it ends.\n"
    "\n"
    "  -o, --output FILE        the recording (default memtrack.%e.%p.mtk); %p is the pid,\n"
    "                           %e the program, %h the host\n"
    "  -f, --force              replace an output that exists\n"
    LIST_OF_RECORDING
    "      --suppressions FILE  known leaks, in LSan's or Valgrind's syntax; repeatable\n"
    "      --report=text|none   what to print at the end (default text)\n"
    "      --top N              sites in the report (default 10)\n"
    "      --log-file FILE      where the report goes (default stderr)\n"
    "  -q, --quiet              no progress line, no remarks\n"
    "  -v, --verbose            say more\n"
    "      --color=auto|always|never, --no-color\n"
    "  -h, --help               this text\n";

enum run_option {
    RUN_OPTION_SNAPSHOT_EVERY = 256,
    RUN_OPTION_SNAPSHOT_SIGNAL,
    RUN_OPTION_SAMPLE,
    RUN_OPTION_CPU,
    RUN_OPTION_NO_CPU,
    RUN_OPTION_CPU_CLOCK,
    RUN_OPTION_DEPTH,
    RUN_OPTION_FOLLOW,
    RUN_OPTION_ALLOCATOR,
    RUN_OPTION_LEAKS,
    RUN_OPTION_LEAKS_EVERY,
    RUN_OPTION_LEAKS_AT_UNDERSCORE_EXIT,
    RUN_OPTION_ROOTS,
    RUN_OPTION_INTERIOR_POINTERS,
    RUN_OPTION_POINTER_ALIGNMENT,
    RUN_OPTION_MMAP,
    RUN_OPTION_SUPPRESSIONS,
    RUN_OPTION_REPORT,
    RUN_OPTION_TOP,
    RUN_OPTION_LOG_FILE,
    RUN_OPTION_COLOR,
    RUN_OPTION_NO_COLOR
};

static const struct option run_long_options[] = {
    {"output", required_argument, NULL, 'o'},
    {"force", no_argument, NULL, 'f'},
    {"snapshot-every", required_argument, NULL, RUN_OPTION_SNAPSHOT_EVERY},
    {"snapshot-signal", required_argument, NULL, RUN_OPTION_SNAPSHOT_SIGNAL},
    {"sample", required_argument, NULL, RUN_OPTION_SAMPLE},
    {"cpu", required_argument, NULL, RUN_OPTION_CPU},
    {"no-cpu", no_argument, NULL, RUN_OPTION_NO_CPU},
    {"cpu-clock", required_argument, NULL, RUN_OPTION_CPU_CLOCK},
    {"depth", required_argument, NULL, RUN_OPTION_DEPTH},
    {"follow", required_argument, NULL, RUN_OPTION_FOLLOW},
    {"allocator", required_argument, NULL, RUN_OPTION_ALLOCATOR},
    {"leaks", required_argument, NULL, RUN_OPTION_LEAKS},
    {"leaks-every", required_argument, NULL, RUN_OPTION_LEAKS_EVERY},
    {"leaks-at-_exit", no_argument, NULL, RUN_OPTION_LEAKS_AT_UNDERSCORE_EXIT},
    {"roots", required_argument, NULL, RUN_OPTION_ROOTS},
    {"interior-pointers", no_argument, NULL, RUN_OPTION_INTERIOR_POINTERS},
    {"pointer-alignment", required_argument, NULL, RUN_OPTION_POINTER_ALIGNMENT},
    {"mmap", no_argument, NULL, RUN_OPTION_MMAP},
    {"suppressions", required_argument, NULL, RUN_OPTION_SUPPRESSIONS},
    {"report", required_argument, NULL, RUN_OPTION_REPORT},
    {"top", required_argument, NULL, RUN_OPTION_TOP},
    {"log-file", required_argument, NULL, RUN_OPTION_LOG_FILE},
    {"quiet", no_argument, NULL, 'q'},
    {"verbose", no_argument, NULL, 'v'},
    {"color", required_argument, NULL, RUN_OPTION_COLOR},
    {"no-color", no_argument, NULL, RUN_OPTION_NO_COLOR},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int suppressions_add(struct run_options *options, const char *path, struct mt_error *error)
{
    struct stat status;
    if (access(path, R_OK) != 0 || stat(path, &status) != 0) {
        return mt_error_set(error, -errno, MT_STATUS_NO_INPUT,
                            "%s: %s: name a readable suppression file", path, strerror(errno));
    }
    if (S_ISDIR(status.st_mode)) {
        return mt_error_set(error, -EISDIR, MT_STATUS_NO_INPUT,
                            "%s: is a folder: name a suppression file in it", path);
    }
    if (options->recorder.suppression_count == RUN_SUPPRESSIONS_MAX) {
        return mt_error_set(error, -E2BIG, MT_STATUS_USAGE,
                            "--suppressions: more than %d files: join some", RUN_SUPPRESSIONS_MAX);
    }
    options->suppressions[options->recorder.suppression_count++] = path;
    return 0;
}

/* ---- allocator and shim --------------------------------------------------- */

static bool is_preloadable(const char *path)
{
    return path[strcspn(path, ": ")] == '\0';
}

/* Whether the file begins as an x86-64 ELF shared object does. */
static bool is_library(const char *path)
{
    Elf64_Ehdr header;
    FILE *file = fopen(path, "re");
    bool is_read = file != NULL && fread(&header, sizeof header, 1, file) == 1;
    if (file != NULL) {
        fclose(file);
    }
    return is_read && memcmp(header.e_ident, ELFMAG, SELFMAG) == 0
           && header.e_ident[EI_CLASS] == ELFCLASS64 && header.e_type == ET_DYN
           && header.e_machine == EM_X86_64;
}

static int allocator_find(struct run_options *options, const char *choice, struct mt_error *error)
{
    static const char *const folders[] = {
        "/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64", "/lib64", "/usr/lib",
        "/usr/local/lib",            "/usr/local/lib64",      NULL};
    options->recorder.allocator_name = choice;
    if (strcmp(choice, "default") == 0) {
        options->recorder.allocator = NULL;
        return 0;
    }
    bool is_jemalloc = strcmp(choice, "jemalloc") == 0;
    options->allocator[0] = '\0';
    if (!is_jemalloc) {
        if (strchr(choice, '/') == NULL) {
            return mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                                "--allocator: '%s' is not known: choose default, jemalloc or the"
                                " path of a library",
                                choice);
        }
        if (realpath(choice, options->allocator) == NULL) {
            return mt_error_set(error, -errno, MT_STATUS_NO_INPUT, "--allocator: %s: %s: check"
                                " the path", choice, strerror(errno));
        }
    }
    for (size_t i = 0; is_jemalloc && folders[i] != NULL; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/libjemalloc.so.2", folders[i]);
        if (access(path, R_OK) == 0) {
            snprintf(options->allocator, sizeof options->allocator, "%s", path);
            break;
        }
    }
    if (options->allocator[0] == '\0') {
        return mt_error_set(error, -ENOENT, MT_STATUS_NO_INPUT,
                            "--allocator=jemalloc: libjemalloc.so.2 is not installed: apt-get"
                            " install libjemalloc2, or give its path");
    }
    if (!is_library(options->allocator)) {
        return mt_error_set(error, -ENOEXEC, MT_STATUS_USAGE,
                            "--allocator: %s: is not a shared library for this machine: give the"
                            " path of one, such as libtcmalloc.so.4", options->allocator);
    }
    if (!is_preloadable(options->allocator)) {
        return mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                            "--allocator: %s: the loader takes no path with a space or a colon:"
                            " copy it elsewhere", options->allocator);
    }
    options->recorder.allocator = options->allocator;
    return 0;
}

/* The shim lies in ../lib/memtrack beside the folder of the program: so does a build, and
 * so does an installation. */
int run_options_find_shim(struct run_options *options, struct mt_error *error)
{
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length <= 0) {
        return mt_error_set(error, -errno, MT_STATUS_FAILED,
                            "/proc/self/exe: %s: mount /proc", strerror(errno));
    }
    self[length] = '\0';
    for (int level = 0; level < 2; level++) {
        char *slash = strrchr(self, '/');
        if (slash != NULL) {
            *slash = '\0';
        }
    }
    int written = snprintf(options->shim, sizeof options->shim, "%s/lib/memtrack/libmemtrack.so",
                           self);
    if (written >= (int)sizeof options->shim || access(options->shim, R_OK) != 0) {
        return mt_error_set(error, -ENOENT, MT_STATUS_FAILED,
                            "%s/lib/memtrack/libmemtrack.so: is not there: install memtrack again",
                            self);
    }
    if (!is_preloadable(options->shim)) {
        return mt_error_set(error, -EINVAL, MT_STATUS_FAILED,
                            "%s: the loader takes no path with a space or a colon: install"
                            " memtrack elsewhere", options->shim);
    }
    options->recorder.shim = options->shim;
    return 0;
}

/* ---- parsing -------------------------------------------------------------- */

static int number_into(const char *option, const char *text, uint32_t least, uint32_t most,
                       uint32_t *into, struct mt_error *error)
{
    uint64_t number = 0;
    int code = quantity_parse_number(option, text, least, most, &number, error);
    *into = (uint32_t)number;
    return code;
}

static int choice_into(const char *option, const char *text, const char *const *names,
                       uint32_t *into, struct mt_error *error)
{
    int position = arguments_find_word(option, text, names, error);
    if (position < 0) {
        return position;
    }
    *into = (uint32_t)position;
    return 0;
}

/* A list such as "globals,stacks". */
static int roots_parse(const char *list, uint32_t *roots, struct mt_error *error)
{
    static const struct {
        const char *name;
        uint32_t bit;
    } kinds[] = {{"globals", ARENA_ROOTS_GLOBALS},
                 {"stacks", ARENA_ROOTS_STACKS},
                 {"registers", ARENA_ROOTS_REGISTERS},
                 {"tls", ARENA_ROOTS_TLS},
                 {"mappings", ARENA_ROOTS_MAPPINGS}};
    *roots = 0;
    for (const char *at = list;; at++) {
        size_t length = strcspn(at, ",");
        uint32_t bit = 0;
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
            if (strlen(kinds[i].name) == length && strncmp(kinds[i].name, at, length) == 0) {
                bit = kinds[i].bit;
            }
        }
        if (bit == 0) {
            return mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                                "--roots: '%.*s' is not known: list some of globals, stacks, "
                                "registers, tls, mappings",
                                (int)length, at);
        }
        *roots |= bit;
        at += length;
        if (*at == '\0') {
            return 0;
        }
    }
}

static int alignment_parse(const char *value, uint32_t *alignment, struct mt_error *error)
{
    static const char *const names[] = {"1", "2", "4", "8", NULL};
    int position = arguments_find_word("--pointer-alignment", value, names, error);
    if (position < 0) {
        return position;
    }
    *alignment = 1u << position;
    return 0;
}

static int record_option(int option, const char *value, struct run_options *options,
                         struct mt_error *error)
{
    static const char *const clocks[] = {"cpu", "wall", NULL};
    static const char *const follows[] = {"all", "none", "fork", NULL};
    static const char *const leaks[] = {"off", "counts", "full", NULL};
    struct arena_config *config = &options->recorder.config;
    int code = 0;
    switch (option) {
    case RUN_OPTION_SNAPSHOT_EVERY:
        code = quantity_parse_time("--snapshot-every", value, &options->recorder.snapshot_every_ns,
                                   error);
        if (code == 0 && options->recorder.snapshot_every_ns < 10000000) {
            code = mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                                "--snapshot-every: '%s' is too short: 10ms is the least", value);
        }
        return code;
    case RUN_OPTION_LEAKS_EVERY:
        code = quantity_parse_time("--leaks-every", value, &options->recorder.leaks_every_ns,
                                   error);
        if (code == 0 && options->recorder.leaks_every_ns < 100000000) {
            code = mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                                "--leaks-every: '%s' is too short: 100ms is the least", value);
        }
        return code;
    case RUN_OPTION_SNAPSHOT_SIGNAL:
        value += strncmp(value, "SIG", 3) == 0 ? 3 : 0;
        options->recorder.snapshot_signal = strcmp(value, "USR1") == 0   ? SIGUSR1
                                            : strcmp(value, "USR2") == 0 ? SIGUSR2
                                                                         : 0;
        return options->recorder.snapshot_signal != 0
                   ? 0
                   : mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                                  "--snapshot-signal: '%s' cannot be used: choose USR1 or USR2",
                                  value);
    case RUN_OPTION_SAMPLE:
        code = quantity_parse_bytes("--sample", value, &config->sample_bytes, error);
        if (code == 0 && config->sample_bytes == 1) {
            config->sample_bytes = 0; /* one per byte: every allocation */
        }
        return code;
    case RUN_OPTION_CPU:
        return number_into("--cpu", value, 0, 10000, &config->cpu_hz, error);
    case RUN_OPTION_NO_CPU:
        config->cpu_hz = 0;
        return 0;
    case RUN_OPTION_CPU_CLOCK:
        return choice_into("--cpu-clock", value, clocks, &config->cpu_clock, error);
    case RUN_OPTION_DEPTH:
        return number_into("--depth", value, 1, CAPTURE_DEPTH_LIMIT, &config->depth_max, error);
    case RUN_OPTION_FOLLOW:
        return choice_into("--follow", value, follows, &config->follow, error);
    case RUN_OPTION_ALLOCATOR:
        return allocator_find(options, value, error);
    case RUN_OPTION_LEAKS:
        return choice_into("--leaks", value, leaks, &config->leaks, error);
    case RUN_OPTION_LEAKS_AT_UNDERSCORE_EXIT:
        config->census_flags |= ARENA_CENSUS_FLAG_AT_UNDERSCORE_EXIT;
        return 0;
    case RUN_OPTION_ROOTS:
        return roots_parse(value, &config->roots, error);
    case RUN_OPTION_INTERIOR_POINTERS:
        config->census_flags |= ARENA_CENSUS_FLAG_INTERIOR;
        return 0;
    case RUN_OPTION_POINTER_ALIGNMENT:
        return alignment_parse(value, &config->pointer_alignment_bytes, error);
    case RUN_OPTION_MMAP:
        config->track_mmap = 1;
        return 0;
    default:
        return suppressions_add(options, value, error);
    }
}

static int report_option(int option, const char *value, struct run_options *options,
                         struct mt_error *error)
{
    static const char *const reports[] = {"none", "text", NULL};
    uint32_t choice = 0;
    int code = 0;
    switch (option) {
    case 'o':
        options->recorder.output = value;
        if (value[0] == '\0') {
            code = mt_error_set(error, -EINVAL, MT_STATUS_USAGE, "-o: an empty name: name a file");
        }
        return code;
    case 'f':
        options->recorder.overwrite = true;
        return 0;
    case 'q':
        options->is_quiet = true;
        options->recorder.is_quiet = true;
        return 0;
    case 'v':
        options->is_verbose = true;
        return 0;
    case RUN_OPTION_REPORT:
        code = choice_into("--report", value, reports, &choice, error);
        options->prints_report = choice != 0;
        return code;
    case RUN_OPTION_TOP:
        return quantity_parse_number("--top", value, 0, 1000000, &options->top, error);
    case RUN_OPTION_LOG_FILE:
        options->log_file = value;
        return 0;
    case RUN_OPTION_NO_COLOR:
        options->color = OUTPUT_COLOR_NEVER;
        return 0;
    default:
        code = choice_into("--color", value, output_color_names, &choice, error);
        options->color = (enum output_color)choice;
        return code;
    }
}

/* All long options: run's, then the extension's. */
#define OPTIONS_MAX 96
struct option_table {
    struct option options[OPTIONS_MAX];
    const char *names[OPTIONS_MAX];
    size_t count;
};

static void table_add(struct option_table *table, const struct option *options)
{
    for (; options != NULL && options->name != NULL && table->count < OPTIONS_MAX - 1; options++) {
        table->names[table->count] = options->name;
        table->options[table->count++] = *options;
    }
}

/* getopt has met something that is no option of ours, or one without its value. */
static int refuse_option(int argc, char **argv, int position, int found,
                         const struct option_table *table, const char *name, struct mt_error *error)
{
    const char *text = position > 0 && position < argc ? argv[position] : "";
    char letter[3] = {'-', (char)optopt, '\0'};
    bool is_short = text[0] != '-' || text[1] != '-';
    if (found == ':') {
        return mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                            "%s: needs a value: memtrack %s --help lists the options",
                            is_short ? letter : text, name);
    }
    char word[64];
    snprintf(word, sizeof word, "%.*s", (int)strcspn(text + (is_short ? 0 : 2), "="),
             text + (is_short ? 0 : 2));
    const char *guess = is_short ? NULL : command_guess(word, table->names, table->count);
    if (guess != NULL && strcmp(guess, word) != 0) {
        return mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                            "%s: unknown option --%s, did you mean --%s?", name, word, guess);
    }
    return mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                        "%s: is no option of %s, or not used so: memtrack %s --help lists the"
                        " options",
                        is_short ? letter : text, name, name);
}

static int parse_options(int argc, char **argv, const struct run_options_extension *extension,
                         struct run_options *options, struct mt_error *error)
{
    static struct option_table table;
    const char *name = extension != NULL ? extension->command : "run";
    table = (struct option_table){.count = 0};
    table_add(&table, run_long_options);
    table_add(&table, extension != NULL ? extension->options : NULL);
    optind = 0; /* also resets what an earlier command line left */
    for (;;) {
        int position = optind == 0 ? 1 : optind;
        int found = getopt_long(argc, argv, "+:o:fqvh", table.options, NULL);
        int code;
        if (found == -1) {
            return 0;
        }
        if (found == '?' || found == ':') {
            code = refuse_option(argc, argv, position, found, &table, name, error);
        } else if (found == 'h') {
            options->wants_help = true;
            return 0;
        } else if (found >= RUN_OPTION_OWN) {
            code = extension->parse(extension->context, found, optarg, error);
        } else if (found >= RUN_OPTION_SNAPSHOT_EVERY && found <= RUN_OPTION_SUPPRESSIONS) {
            code = record_option(found, optarg, options, error);
        } else {
            code = report_option(found, optarg, options, error);
        }
        if (code != 0) {
            return code;
        }
    }
}

int run_options_parse(int argc, char **argv, const struct run_options_extension *extension,
                      struct run_options *options, struct mt_error *error)
{
    *options = (struct run_options){
        .prints_report = true,
        .top = 10,
        .recorder = {.config = {.depth_max = 128, .cpu_hz = 99, .leaks = 2},
                     .allocator_name = "default"}};
    options->recorder.suppressions = options->suppressions;
    int code = parse_options(argc, argv, extension, options, error);
    if (code != 0 || options->wants_help) {
        return code;
    }
    if (optind >= argc) {
        return extension != NULL
                   ? mt_error_set(error, -EINVAL, MT_STATUS_USAGE, "%s", extension->operand)
                   : mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                                  "no program was named: memtrack [OPTIONS] PROGRAM [ARG...]");
    }
    options->is_after_dashes = optind > 1 && strcmp(argv[optind - 1], "--") == 0;
    options->recorder.arguments = argv + optind;
    return extension != NULL ? 0 : run_options_find_shim(options, error);
}
