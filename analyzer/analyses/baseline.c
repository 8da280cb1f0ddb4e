#include "analyses/baseline.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BASELINE_HEADER "# memtrack baseline 1"

void baseline_init(struct baseline *baseline, struct region *region, const char *name)
{
    *baseline = (struct baseline){.region = region, .name = name};
}

void baseline_deinit(struct baseline *baseline)
{
    free(baseline->entries);
    *baseline = (struct baseline){0};
}

static int compare_keys(const struct baseline_entry *a, const struct baseline_entry *b)
{
    int order = strcmp(a->signature, b->signature);
    return order != 0 ? order : strcmp(a->kind, b->kind);
}

static int compare_entries(const void *left, const void *right)
{
    return compare_keys(left, right);
}

void baseline_add(struct baseline *baseline, const char *kind, const char *signature,
                  int64_t blocks, int64_t bytes)
{
    baseline->entries = mt_grow(baseline->entries, &baseline->capacity, baseline->count + 1,
                                sizeof(*baseline->entries));
    baseline->entries[baseline->count++] = (struct baseline_entry){
        .kind = kind, .signature = signature, .blocks = blocks, .bytes = bytes};
}

void baseline_sort(struct baseline *baseline)
{
    if (baseline->count == 0) {
        return;
    }
    qsort(baseline->entries, baseline->count, sizeof(*baseline->entries), compare_entries);
    size_t kept = 0;
    for (size_t i = 1; i < baseline->count; i++) {
        struct baseline_entry *last = &baseline->entries[kept];
        const struct baseline_entry *next = &baseline->entries[i];
        if (compare_keys(last, next) == 0) {
            last->blocks += next->blocks;
            last->bytes += next->bytes;
        } else {
            baseline->entries[++kept] = *next;
        }
    }
    baseline->count = kept + 1;
}

const struct baseline_entry *baseline_find(const struct baseline *baseline, const char *kind,
                                           const char *signature)
{
    const struct baseline_entry key = {.kind = kind, .signature = signature};
    return baseline->count == 0 ? NULL
                                : bsearch(&key, baseline->entries, baseline->count, sizeof(key),
                                          compare_entries);
}

/* ---- the file ------------------------------------------------------------- */

static const char *known_kind(const char *text)
{
    static const char *const kinds[] = {"definite",    "indirect",     "possible",       "reachable",
                                        "double-free", "invalid-free", "mismatched-free"};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(kinds[i], text) == 0) {
            return kinds[i];
        }
    }
    return NULL;
}

/* A number and the word behind it, "2 blocks" or "1 times". */
static bool take_number(const char **at, const char *word, const char *other, int64_t *number)
{
    const char *text = *at + strspn(*at, " \t");
    char *end;
    if (*text < '0' || *text > '9') {
        return false;
    }
    errno = 0;
    *number = strtoll(text, &end, 10);
    if (errno != 0) {
        return false;
    }
    end += strspn(end, " \t");
    size_t length = strcspn(end, " \t");
    bool is_word = (strlen(word) == length && strncmp(end, word, length) == 0)
                   || (strlen(other) == length && strncmp(end, other, length) == 0);
    *at = end + length;
    return is_word;
}

static int take_line(struct baseline *baseline, const char *line, const char *path, size_t number,
                     struct mt_error *error)
{
    char kind[32];
    size_t length = strcspn(line, " \t");
    snprintf(kind, sizeof(kind), "%.*s", (int)(length < 31 ? length : 31), line);
    const char *known = known_kind(kind);
    const char *at = line + length;
    int64_t blocks = 0;
    int64_t bytes = 0;
    if (known == NULL) {
        return mt_error_set(error, -EINVAL, MT_STATUS_DATA,
                            "%s:%zu: \"%s\" is no kind of finding: definite, indirect, possible,"
                            " reachable, double-free, invalid-free or mismatched-free was expected",
                            path, number, kind);
    }
    if (!take_number(&at, "blocks", "times", &blocks)
        || !take_number(&at, "bytes", "bytes", &bytes)) {
        return mt_error_set(error, -EINVAL, MT_STATUS_DATA,
                            "%s:%zu: numbers are missing: \"%s  N blocks  N bytes  function <"
                            " caller\" was expected",
                            path, number, known);
    }
    at += strspn(at, " \t");
    if (*at == '\0') {
        return mt_error_set(error, -EINVAL, MT_STATUS_DATA,
                            "%s:%zu: the stack is missing: \"function < caller\" was expected"
                            " behind the numbers",
                            path, number);
    }
    baseline_add(baseline, known, region_copy_text(baseline->region, at), blocks, bytes);
    return 0;
}

int baseline_read(struct baseline *baseline, const char *path, struct mt_error *error)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return mt_error_set(error, -errno, MT_STATUS_NO_INPUT,
                            "%s: the baseline cannot be read: %s; write one with --write-baseline",
                            path, strerror(errno));
    }
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    size_t number = 0;
    int code = 0;
    while (code == 0 && (length = getline(&line, &room, file)) >= 0) {
        number++;
        while (length > 0 && strchr("\r\n \t", line[length - 1]) != NULL) {
            line[--length] = '\0';
        }
        if (number == 1 && strcmp(line, BASELINE_HEADER) != 0) {
            code = mt_error_set(error, -EINVAL, MT_STATUS_DATA,
                                "%s:1: not a baseline: \"%s\" was expected; write one with"
                                " --write-baseline",
                                path, BASELINE_HEADER);
        } else if (length > 0 && line[0] != '#') {
            code = take_line(baseline, line, path, number, error);
        }
    }
    if (code == 0 && ferror(file)) {
        code = mt_error_set(error, -EIO, MT_STATUS_NO_INPUT, "%s: cannot be read: %s", path,
                            strerror(errno));
    } else if (code == 0 && number == 0) {
        code = mt_error_set(error, -EINVAL, MT_STATUS_DATA,
                            "%s:1: not a baseline: \"%s\" was expected, the file is empty", path,
                            BASELINE_HEADER);
    }
    free(line);
    fclose(file);
    baseline_sort(baseline);
    return code;
}

void baseline_write(const struct baseline *baseline, FILE *out)
{
    fputs(BASELINE_HEADER "\n"
          "# Known findings, tolerated by `memtrack check --baseline`: one line per stack,\n"
          "# innermost function first. More than this fails; lower the numbers as you fix them.\n",
          out);
    for (size_t i = 0; i < baseline->count; i++) {
        const struct baseline_entry *entry = &baseline->entries[i];
        bool is_error = strstr(entry->kind, "-free") != NULL;
        fprintf(out, "%-15s %6" PRId64 " %-6s %10" PRId64 " bytes  %s\n", entry->kind,
                entry->blocks, is_error ? "times" : "blocks", entry->bytes, entry->signature);
    }
}
