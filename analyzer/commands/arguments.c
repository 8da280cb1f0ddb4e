#include "commands/arguments.h"

#include "commands/command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* argp has no room for more than one pointer in its state, and that is the command's. */
static struct mt_error *arguments_error;

error_t arguments_fail(const struct argp_state *state, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    mt_error_set(arguments_error, -EINVAL, MT_STATUS_USAGE, "%s", text);
    (void)state;
    return EINVAL;
}

void arguments_list_words(const char *const *words, char *list, size_t list_bytes)
{
    size_t length = 0;
    list[0] = '\0';
    for (size_t i = 0; words[i] != NULL && length < list_bytes; i++) {
        const char *between = i == 0 ? "" : words[i + 1] != NULL ? ", " : " or ";
        length += (size_t)snprintf(list + length, list_bytes - length, "%s%s", between, words[i]);
    }
}

int arguments_find_word(const char *option, const char *text, const char *const *words,
                        struct mt_error *error)
{
    size_t count = 0;
    for (; words[count] != NULL; count++) {
        if (strcmp(words[count], text) == 0) {
            return (int)count;
        }
    }
    const char *guess = command_guess(text, words, count);
    if (guess != NULL) {
        return mt_error_set(error, -EINVAL, MT_STATUS_USAGE, "%s=%s: unknown, did you mean %s?",
                            option, text, guess);
    }
    char list[512];
    arguments_list_words(words, list, sizeof(list));
    return mt_error_set(error, -EINVAL, MT_STATUS_USAGE, "%s=%s: unknown, choose %s", option, text,
                        list);
}

static const struct argp_option *arguments_find_long(const struct argp *argp, const char *name,
                                                     size_t length, bool *is_ambiguous)
{
    const struct argp_option *found = NULL;
    *is_ambiguous = false;
    for (const struct argp_option *o = argp->options; o != NULL && (o->name || o->key || o->doc);
         o++) {
        if (o->name == NULL || strncmp(o->name, name, length) != 0) {
            continue;
        }
        if (o->name[length] == '\0') {
            *is_ambiguous = false;
            return o;
        }
        *is_ambiguous = found != NULL;
        found = found != NULL ? found : o;
    }
    return found;
}

static int arguments_unknown(const struct argp *argp, const char *command, const char *argument,
                             size_t length, struct mt_error *error)
{
    const char *names[64];
    size_t count = 0;
    char text[64];
    snprintf(text, sizeof(text), "%.*s", (int)(length < 60 ? length : 60), argument);
    for (const struct argp_option *o = argp->options;
         o != NULL && (o->name || o->key || o->doc) && count < 63; o++) {
        if (o->name != NULL) {
            names[count++] = o->name;
        }
    }
    names[count++] = "help";
    const char *guess = command_guess(text, names, count);
    if (guess != NULL) {
        return mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                            "%s: unknown option --%s, did you mean --%s?", command, text, guess);
    }
    return mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                        "%s: unknown option --%s, see `memtrack %s --help`", command, text,
                        command);
}

/* One long option; *takes_next tells that its value is the next argument. */
static int arguments_check_long(const struct argp *argp, const char *command, const char *argument,
                                bool has_next, bool *takes_next, struct mt_error *error)
{
    size_t length = strcspn(argument, "=");
    if (length == 4 && strncmp(argument, "help", 4) == 0) {
        return 0;
    }
    bool is_ambiguous;
    const struct argp_option *option = arguments_find_long(argp, argument, length, &is_ambiguous);
    if (option == NULL || is_ambiguous) {
        return arguments_unknown(argp, command, argument, length, error);
    }
    if (option->arg == NULL && argument[length] == '=') {
        return mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                            "%s: --%s takes no value, leave \"%s\" out", command, option->name,
                            argument + length);
    }
    *takes_next = option->arg != NULL && argument[length] == '\0'
                  && (option->flags & OPTION_ARG_OPTIONAL) == 0;
    if (*takes_next && !has_next) {
        return mt_error_set(error, -EINVAL, MT_STATUS_USAGE, "%s: --%s needs a value: --%s=%s",
                            command, option->name, option->name, option->arg);
    }
    return 0;
}

static int arguments_check_short(const struct argp *argp, const char *command, const char *letters,
                                 bool has_next, bool *takes_next, struct mt_error *error)
{
    for (; *letters != '\0'; letters++) {
        const struct argp_option *option = argp->options;
        while (option != NULL && (option->name || option->key || option->doc)
               && option->key != *letters) {
            option++;
        }
        if (*letters == 'h') {
            continue;
        }
        if (option == NULL || option->key != *letters) {
            return mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                                "%s: unknown option -%c, see `memtrack %s --help`", command,
                                *letters, command);
        }
        if (option->arg != NULL) {
            *takes_next = letters[1] == '\0';
            if (*takes_next && !has_next) {
                return mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                                    "%s: -%c needs a value: -%c %s", command, *letters, *letters,
                                    option->arg);
            }
            return 0;
        }
    }
    return 0;
}

static int arguments_check(const struct argp *argp, int argc, char **argv, struct mt_error *error)
{
    for (int i = 1; i < argc; i++) {
        bool takes_next = false;
        int code = 0;
        if (strcmp(argv[i], "--") == 0) {
            return 0;
        }
        if (strncmp(argv[i], "--", 2) == 0) {
            code =
                arguments_check_long(argp, argv[0], argv[i] + 2, i + 1 < argc, &takes_next, error);
        } else if (argv[i][0] == '-' && argv[i][1] != '\0') {
            code =
                arguments_check_short(argp, argv[0], argv[i] + 1, i + 1 < argc, &takes_next, error);
        }
        if (code != 0) {
            return code;
        }
        i += takes_next;
    }
    return 0;
}

static bool arguments_want_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return true;
        }
    }
    return false;
}

int arguments_parse(const struct argp *argp, int argc, char **argv, void *input,
                    struct mt_error *error)
{
    if (arguments_want_help(argc, argv)) {
        char name[64];
        snprintf(name, sizeof(name), "memtrack %s", argv[0]);
        /* Every option is explained below; what argp would add of its own is noise. */
        (void)setenv("ARGP_HELP_FMT", "no-dup-args-note", 0);
        argp_help(argp, stdout,
                  ARGP_HELP_SHORT_USAGE | ARGP_HELP_PRE_DOC | ARGP_HELP_LONG | ARGP_HELP_POST_DOC, name);
        if (fflush(stdout) != 0 || ferror(stdout)) {
            return mt_error_set(error, -EIO, MT_STATUS_FAILED,
                                "stdout: the help could not be written: %s", strerror(errno));
        }
        return 1;
    }
    int code = arguments_check(argp, argc, argv, error);
    if (code != 0) {
        return code;
    }
    arguments_error = error;
    error_t result =
        argp_parse(argp, argc, argv, ARGP_NO_EXIT | ARGP_NO_ERRS | ARGP_NO_HELP, NULL, input);
    arguments_error = NULL;
    if (result != 0) {
        return mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                            "%s: its arguments make no sense, see `memtrack %s --help`", argv[0],
                            argv[0]);
    }
    return 0;
}
