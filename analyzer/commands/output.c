#include "commands/output.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

const char *const output_format_names[] = {"text", "json", "csv", "markdown", NULL};
const char *const output_color_names[] = {"auto", "always", "never", NULL};

static bool output_is_same_file(const char *path, const char *input)
{
    struct stat a;
    struct stat b;
    return input != NULL && stat(path, &a) == 0 && stat(input, &b) == 0 && a.st_dev == b.st_dev
           && a.st_ino == b.st_ino;
}

int output_open(struct output *output, const char *path, const char *input, struct mt_error *error)
{
    if (path == NULL || strcmp(path, "-") == 0) {
        *output = (struct output){.file = stdout, .name = "stdout"};
        return 0;
    }
    if (output_is_same_file(path, input)) {
        return mt_error_set(error, -EEXIST, MT_STATUS_USAGE,
                            "%s: is the recording itself and is not overwritten; choose another "
                            "name with -o",
                            path);
    }
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        return mt_error_set(error, -errno, MT_STATUS_FAILED,
                            "%s: cannot be written: %s; choose another place with -o", path,
                            strerror(errno));
    }
    *output = (struct output){.file = file, .name = path, .is_own = true};
    return 0;
}

int output_create(struct output *output, const char *path, const char *input, bool overwrite,
                  struct mt_error *error)
{
    struct stat status;
    bool is_file = path != NULL && strcmp(path, "-") != 0 && stat(path, &status) == 0
                   && S_ISREG(status.st_mode);
    if (is_file && !overwrite && !output_is_same_file(path, input)) {
        return mt_error_set(error, -EEXIST, MT_STATUS_USAGE,
                            "%s: exists already; overwrite it with -f, or choose another name "
                            "with -o",
                            path);
    }
    return output_open(output, path, input, error);
}

int output_close(struct output *output, struct mt_error *error)
{
    errno = 0;
    bool has_failed = fflush(output->file) != 0 || ferror(output->file) != 0;
    int code = errno;
    if (output->is_own && fclose(output->file) != 0) {
        has_failed = true;
        code = errno;
    }
    if (!has_failed) {
        return 0;
    }
    return mt_error_set(error, code != 0 ? -code : -EIO, MT_STATUS_FAILED,
                        "%s: the result could not be written: %s; free some space or choose "
                        "another place with -o",
                        output->name, strerror(code != 0 ? code : EIO));
}

static bool output_is_set(const char *variable)
{
    const char *value = getenv(variable);
    return value != NULL && value[0] != '\0';
}

static bool output_is_zero(const char *variable)
{
    const char *value = getenv(variable);
    return value != NULL && strcmp(value, "0") == 0;
}

/* Sources: no-color.org, force-color.org and bixense.com/clicolors. */
static bool output_wants_color(FILE *file, enum output_color color)
{
    if (color != OUTPUT_COLOR_AUTO) {
        return color == OUTPUT_COLOR_ALWAYS;
    }
    if (output_is_set("NO_COLOR")) {
        return false;
    }
    if (output_is_set("FORCE_COLOR")
        || (output_is_set("CLICOLOR_FORCE") && !output_is_zero("CLICOLOR_FORCE"))) {
        return true;
    }
    if (output_is_zero("CLICOLOR")) {
        return false;
    }
    const char *term = getenv("TERM");
    bool is_dumb = term == NULL || strcmp(term, "dumb") == 0;
    return !is_dumb && isatty(fileno(file)) == 1;
}

static size_t output_width(FILE *file)
{
    struct winsize size;
    if (ioctl(fileno(file), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        return size.ws_col;
    }
    const char *columns = getenv("COLUMNS");
    long value = columns != NULL ? strtol(columns, NULL, 10) : 0;
    return value >= 40 && value <= 1000 ? (size_t)value : 100;
}

struct render_options output_render_options(FILE *file, enum output_color color, bool is_wide)
{
    return (struct render_options){
        .width = output_width(file),
        .has_color = output_wants_color(file, color),
        .has_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
        .is_wide = is_wide,
    };
}
