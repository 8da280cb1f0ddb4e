#include "analyses/suppressions.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_BYTES_MAX (16u << 20)
#define FRAMES_MAX 256u
#define STACK_FRAMES_MAX 1024u
#define ALL_CLASSES                                                                           \
    (1u << RECORDING_LEAK_DEFINITE | 1u << RECORDING_LEAK_INDIRECT | 1u << RECORDING_LEAK_POSSIBLE \
     | 1u << RECORDING_LEAK_REACHABLE)

void suppressions_init(struct suppressions *suppressions, struct region *region)
{
    *suppressions = (struct suppressions){.region = region};
}

void suppressions_deinit(struct suppressions *suppressions)
{
    free(suppressions->items);
    suppressions->items = NULL;
    suppressions->count = 0;
}

static struct suppression *suppression_add(struct suppressions *suppressions)
{
    suppressions->items = mt_grow(suppressions->items, &suppressions->capacity,
                                  suppressions->count + 1, sizeof(*suppressions->items));
    struct suppression *added = &suppressions->items[suppressions->count++];
    *added = (struct suppression){.classes = ALL_CLASSES};
    return added;
}

/* ---- parsing -------------------------------------------------------------- */

struct parser {
    struct suppressions *suppressions;
    const char *origin;
    const char *next; /* NULL: at the end */
    unsigned line;
    char text[2048]; /* the line, without blanks at its ends and without comments */
};

static int parser_fail(const struct parser *parser, struct mt_error *error, const char *expected)
{
    return mt_error_set(error, -EINVAL, MT_STATUS_USAGE, "%s:%u: \"%.80s\": %s", parser->origin,
                        parser->line, parser->text, expected);
}

/* Takes the next line that says something. */
static bool parser_next(struct parser *parser)
{
    while (parser->next != NULL) {
        const char *start = parser->next;
        const char *end = strchr(start, '\n');
        parser->next = end == NULL ? NULL : end + 1;
        end = end == NULL ? start + strlen(start) : end;
        parser->line++;
        while (start < end && strchr(" \t\r", *start) != NULL) {
            start++;
        }
        while (end > start && strchr(" \t\r", end[-1]) != NULL) {
            end--;
        }
        if (start == end || *start == '#') {
            continue;
        }
        size_t length = (size_t)(end - start);
        length = length < sizeof(parser->text) - 1 ? length : sizeof(parser->text) - 1;
        memcpy(parser->text, start, length);
        parser->text[length] = '\0';
        return true;
    }
    return false;
}

static const char *after(const char *text, const char *prefix)
{
    size_t length = strlen(prefix);
    return strncmp(text, prefix, length) == 0 ? text + length : NULL;
}

static int parse_kinds(struct parser *parser, const char *kinds, unsigned *classes,
                       struct mt_error *error)
{
    static const struct {
        const char *name;
        unsigned classes;
    } known[] = {{"definite", 1u << RECORDING_LEAK_DEFINITE},
                 {"indirect", 1u << RECORDING_LEAK_INDIRECT},
                 {"possible", 1u << RECORDING_LEAK_POSSIBLE},
                 {"reachable", 1u << RECORDING_LEAK_REACHABLE},
                 {"all", ALL_CLASSES},
                 {"none", 0}};
    *classes = 0;
    while (*kinds != '\0') {
        size_t length = strcspn(kinds, ", \t");
        bool is_known = length == 0;
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
            if (strlen(known[i].name) == length && strncmp(known[i].name, kinds, length) == 0) {
                *classes |= known[i].classes;
                is_known = true;
            }
        }
        if (!is_known) {
            return parser_fail(parser, error,
                               "expected kinds of definite, indirect, possible, reachable, all");
        }
        kinds += length;
        kinds += strspn(kinds, ", \t");
    }
    return 0;
}

/* A suppression in braces; its first line has been taken. */
static int parse_braces(struct parser *parser, struct mt_error *error)
{
    struct region *region = parser->suppressions->region;
    struct suppression read = {
        .origin = parser->origin, .line = parser->line, .classes = ALL_CLASSES};
    const char *frames[FRAMES_MAX];
    if (!parser_next(parser) || parser->text[0] == '}') {
        return parser_fail(parser, error, "expected the suppression's name after \"{\"");
    }
    read.name = region_copy_text(region, parser->text);
    if (!parser_next(parser) || strchr(parser->text, ':') == NULL) {
        return parser_fail(parser, error, "expected a tool and a kind such as Memcheck:Leak");
    }
    const char *colon = strchr(parser->text, ':');
    bool is_for_leaks = strcmp(colon, ":Leak") == 0;
    while (parser_next(parser)) {
        const char *kinds = after(parser->text, "match-leak-kinds:");
        if (strcmp(parser->text, "}") == 0) {
            if (is_for_leaks) {
                const char **copy = region_alloc_array(region, read.frame_count + 1, sizeof(*copy));
                memcpy(copy, frames, read.frame_count * sizeof(*copy));
                read.frames = copy;
                *suppression_add(parser->suppressions) = read;
            }
            return 0;
        }
        if (kinds != NULL) {
            int code = parse_kinds(parser, kinds + strspn(kinds, " \t"), &read.classes, error);
            if (code != 0) {
                return code;
            }
        } else if (strcmp(parser->text, "...") == 0 || after(parser->text, "fun:") != NULL
                   || after(parser->text, "obj:") != NULL || after(parser->text, "src:") != NULL) {
            if (read.frame_count == FRAMES_MAX) {
                return parser_fail(parser, error, "more frames than a stack has");
            }
            frames[read.frame_count++] = region_copy_text(region, parser->text);
        } else if (is_for_leaks) {
            return parser_fail(parser, error, "expected fun:, obj:, src:, \"...\" or \"}\"");
        }
    }
    snprintf(parser->text, sizeof(parser->text), "{");
    parser->line = read.line;
    return parser_fail(parser, error, "expected a \"}\" before the end of the file");
}

int suppressions_add_text(struct suppressions *suppressions, const char *origin, const char *text,
                          struct mt_error *error)
{
    struct parser parser = {.suppressions = suppressions,
                            .origin = region_copy_text(suppressions->region, origin),
                            .next = text};
    while (parser_next(&parser)) {
        const char *pattern = after(parser.text, "leak:");
        if (strcmp(parser.text, "{") == 0) {
            int code = parse_braces(&parser, error);
            if (code != 0) {
                return code;
            }
        } else if (pattern != NULL && pattern[0] != '\0') {
            struct suppression *added = suppression_add(suppressions);
            added->origin = parser.origin;
            added->line = parser.line;
            added->pattern = region_copy_text(suppressions->region, pattern);
            added->name = added->pattern;
        } else {
            return parser_fail(&parser, error,
                               "expected leak:PATTERN or \"{\" of a Valgrind suppression");
        }
    }
    return 0;
}

int suppressions_add_file(struct suppressions *suppressions, const char *path,
                          struct mt_error *error)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        int reason = errno;
        return mt_error_set(error, -reason, MT_STATUS_NO_INPUT, "%s: %s: name a suppression file",
                            path, strerror(reason));
    }
    size_t capacity = 65536;
    size_t length = 0;
    char *text = malloc(capacity);
    while (text != NULL && length < FILE_BYTES_MAX) {
        size_t got = fread(text + length, 1, capacity - length - 1, file);
        if (got == 0) {
            break;
        }
        length += got;
        if (capacity - length < 2) {
            capacity *= 2;
            char *larger = realloc(text, capacity);
            if (larger == NULL) {
                free(text);
            }
            text = larger;
        }
    }
    int code;
    if (text == NULL) {
        code = mt_error_set(error, -ENOMEM, MT_STATUS_FAILED, "%s: no memory to read it", path);
    } else if (ferror(file) || length >= FILE_BYTES_MAX || memchr(text, '\0', length) != NULL) {
        code = mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                            "%s: not a suppression file: it cannot be read as text", path);
    } else {
        text[length] = '\0';
        code = suppressions_add_text(suppressions, path, text, error);
    }
    free(text);
    fclose(file);
    return code;
}

/* ---- matching ------------------------------------------------------------- */

bool suppressions_glob(const char *pattern, const char *text)
{
    const char *star = NULL;
    const char *resume = NULL;
    while (*text != '\0') {
        if (*pattern == '*') {
            star = pattern++;
            resume = text;
        } else if (*pattern == '?' || *pattern == *text) {
            pattern++;
            text++;
        } else if (star != NULL) {
            pattern = star + 1;
            text = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return *pattern == '\0';
}

/* LeakSanitizer's: the pattern matches somewhere in the text. */
static bool pattern_matches(const char *pattern, const char *text)
{
    char whole[2100];
    size_t length = strlen(pattern);
    bool holds_start = pattern[0] == '^';
    bool holds_end = length > 0 && pattern[length - 1] == '$';
    if (text == NULL) {
        return false;
    }
    if (holds_start) {
        pattern++;
        length--;
    }
    length -= holds_end && length > 0;
    snprintf(whole, sizeof(whole), "%s%.*s%s", holds_start ? "" : "*", (int)length, pattern,
             holds_end ? "" : "*");
    return suppressions_glob(whole, text);
}

/* A demangled name without its parameters: what Valgrind's fun: lines name. */
static bool function_matches(const char *pattern, const struct model_frame *frame)
{
    char plain[1024];
    if (frame->linkage_name != NULL && suppressions_glob(pattern, frame->linkage_name)) {
        return true;
    }
    if (frame->function == NULL) {
        return false;
    }
    const char *parameters = strchr(frame->function, '(');
    snprintf(plain, sizeof(plain), "%.*s",
             (int)(parameters == NULL ? strlen(frame->function)
                                      : (size_t)(parameters - frame->function)),
             frame->function);
    return suppressions_glob(pattern, frame->function) || suppressions_glob(pattern, plain);
}

static bool line_matches(const char *line, const struct model_frame *frame)
{
    const char *pattern = after(line, "fun:");
    if (pattern != NULL) {
        return function_matches(pattern, frame);
    }
    pattern = after(line, "obj:");
    if (pattern != NULL) {
        return frame->module != NULL && suppressions_glob(pattern, frame->module->path);
    }
    pattern = after(line, "src:");
    if (pattern != NULL && frame->file != NULL) {
        char place[1200];
        const char *slash = strrchr(frame->file, '/');
        snprintf(place, sizeof(place), "%s:%lld", slash == NULL ? frame->file : slash + 1,
                 (long long)frame->line);
        return suppressions_glob(pattern, place) || suppressions_glob(pattern, frame->file)
               || suppressions_glob(pattern, slash == NULL ? frame->file : slash + 1);
    }
    return false;
}

/* The functions that memtrack's stacks leave out, because each begins at their caller. */
static bool is_allocator_line(const char *line)
{
    static const char *const names[] = {"malloc", "calloc", "realloc", "memalign", "posix_memalign",
                                        "aligned_alloc", "valloc", "_Znwm", "_Znam", "operator new*",
                                        "reallocarray", "_Znw*", "_Zna*", "*alloc"};
    const char *pattern = after(line, "fun:");
    for (size_t i = 0; pattern != NULL && i < sizeof(names) / sizeof(names[0]); i++) {
        if (suppressions_glob(names[i], pattern)) {
            return true;
        }
    }
    return false;
}

/* Lines from lines[0] on match frames from frames[0] on; like a glob with "..." for '*'. */
static bool lines_match(const char *const *lines, size_t line_count,
                        const struct model_frame *const *frames, size_t frame_count)
{
    size_t line = 0;
    size_t frame = 0;
    size_t star = SIZE_MAX;
    size_t resume = 0;
    while (line < line_count) {
        if (strcmp(lines[line], "...") == 0) {
            star = line++;
            resume = frame;
        } else if (frame < frame_count && line_matches(lines[line], frames[frame])) {
            line++;
            frame++;
        } else if (star != SIZE_MAX && resume < frame_count) {
            line = star + 1;
            frame = ++resume;
        } else {
            return false;
        }
    }
    return true; /* outer frames may be anything */
}

static bool suppression_matches(const struct suppression *suppression,
                                const struct model_frame *const *frames, size_t frame_count)
{
    if (suppression->pattern == NULL) {
        const char *const *lines = suppression->frames;
        size_t count = suppression->frame_count;
        if (lines_match(lines, count, frames, frame_count)) {
            return true;
        }
        return count > 0 && is_allocator_line(lines[0])
               && lines_match(lines + 1, count - 1, frames, frame_count);
    }
    for (size_t i = 0; i < frame_count; i++) {
        if (pattern_matches(suppression->pattern, frames[i]->function)
            || pattern_matches(suppression->pattern, frames[i]->linkage_name)
            || pattern_matches(suppression->pattern, frames[i]->file)
            || (frames[i]->module != NULL
                && pattern_matches(suppression->pattern, frames[i]->module->path))) {
            return true;
        }
    }
    return false;
}

struct suppression *suppressions_match(struct suppressions *suppressions,
                                       const struct model *model, const struct model_stack *stack,
                                       enum recording_leak_class leak_class, int64_t blocks,
                                       int64_t bytes)
{
    const struct model_frame *frames[STACK_FRAMES_MAX];
    size_t count =
        suppressions->count == 0 ? 0 : model_stack_frames(model, stack, frames, STACK_FRAMES_MAX);
    for (size_t i = 0; i < suppressions->count; i++) {
        struct suppression *suppression = &suppressions->items[i];
        if ((suppression->classes & 1u << leak_class) != 0
            && suppression_matches(suppression, frames, count)) {
            suppression->blocks += blocks;
            suppression->bytes += bytes;
            return suppression;
        }
    }
    return NULL;
}
