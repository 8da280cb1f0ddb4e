#include "symbolize/source_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_OPEN 8u
#define FILE_MAX_BYTES ((off_t)16 * 1024 * 1024)

/* A file that was looked for; text NULL: not here. */
struct source_file {
    char *name;
    char *text;
    size_t size;
    uint32_t *line_starts; /* line_starts[0..line_count), offsets into text */
    size_t line_count;
    uint64_t used_at;
};

struct source_root {
    char *from;
    char *to;
};

struct source_cache {
    pthread_mutex_t lock;
    struct source_file files[FILES_OPEN];
    uint64_t clock;
    struct source_root *roots;
    size_t root_count;
};

int source_cache_new(struct source_cache **out, const struct symbolizer_source_root *roots,
                     size_t root_count)
{
    struct source_cache *cache = calloc(1, sizeof(*cache));
    if (cache == NULL) {
        return -ENOMEM;
    }
    pthread_mutex_init(&cache->lock, NULL);
    cache->roots = calloc(root_count + 1, sizeof(cache->roots[0]));
    for (size_t i = 0; cache->roots != NULL && i < root_count; i++) {
        cache->roots[i].from = strdup(roots[i].from);
        cache->roots[i].to = strdup(roots[i].to);
        cache->root_count = i + 1;
        if (cache->roots[i].from == NULL || cache->roots[i].to == NULL) {
            source_cache_free(cache);
            return -ENOMEM;
        }
    }
    if (cache->roots == NULL) {
        source_cache_free(cache);
        return -ENOMEM;
    }
    *out = cache;
    return 0;
}

static void source_file_clear(struct source_file *file)
{
    free(file->name);
    free(file->text);
    free(file->line_starts);
    *file = (struct source_file){0};
}

void source_cache_free(struct source_cache *cache)
{
    if (cache == NULL) {
        return;
    }
    for (size_t i = 0; i < FILES_OPEN; i++) {
        source_file_clear(&cache->files[i]);
    }
    for (size_t i = 0; i < cache->root_count; i++) {
        free(cache->roots[i].from);
        free(cache->roots[i].to);
    }
    free(cache->roots);
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

/* Reads the whole file: copied, not mapped, because an editor may cut it short. */
static char *read_text(const char *path, size_t *size)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0) {
        return NULL;
    }
    struct stat status;
    char *text = NULL;
    if (fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0
        && status.st_size <= FILE_MAX_BYTES) {
        text = malloc((size_t)status.st_size);
    }
    *size = 0;
    while (text != NULL && *size < (size_t)status.st_size) {
        ssize_t got = read(descriptor, text + *size, (size_t)status.st_size - *size);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            break;
        }
        *size += (size_t)got;
    }
    close(descriptor);
    /* Bytes of zero: no text. */
    if (text != NULL && memchr(text, '\0', *size < 8192 ? *size : 8192) != NULL) {
        free(text);
        text = NULL;
    }
    return text;
}

static bool index_lines(struct source_file *file)
{
    size_t count = 1;
    for (size_t i = 0; i < file->size; i++) {
        count += file->text[i] == '\n';
    }
    file->line_starts = malloc(count * sizeof(file->line_starts[0]));
    if (file->line_starts == NULL) {
        return false;
    }
    file->line_starts[0] = 0;
    file->line_count = 1;
    for (size_t i = 0; i + 1 < file->size; i++) {
        if (file->text[i] == '\n') {
            file->line_starts[file->line_count++] = (uint32_t)(i + 1);
        }
    }
    return true;
}

/* The first root that the name begins with, as whole folders, applies. */
static char *mapped_path(const struct source_cache *cache, const char *name)
{
    for (size_t i = 0; i < cache->root_count; i++) {
        const struct source_root *root = &cache->roots[i];
        size_t length = strlen(root->from);
        while (length > 0 && root->from[length - 1] == '/') {
            length--;
        }
        if (strncmp(name, root->from, length) == 0
            && (name[length] == '/' || name[length] == '\0')) {
            char *path;
            return asprintf(&path, "%s%s", root->to, name + length) < 0 ? NULL : path;
        }
    }
    return strdup(name);
}

static struct source_file *cache_file(struct source_cache *cache, const char *name)
{
    struct source_file *oldest = &cache->files[0];
    for (size_t i = 0; i < FILES_OPEN; i++) {
        struct source_file *file = &cache->files[i];
        if (file->name != NULL && strcmp(file->name, name) == 0) {
            file->used_at = ++cache->clock;
            return file;
        }
        if (file->used_at < oldest->used_at) {
            oldest = file;
        }
    }
    source_file_clear(oldest);
    oldest->name = strdup(name);
    char *path = mapped_path(cache, name);
    if (oldest->name != NULL && path != NULL) {
        oldest->text = read_text(path, &oldest->size);
        if (oldest->text != NULL && !index_lines(oldest)) {
            free(oldest->text);
            oldest->text = NULL;
        }
    }
    free(path);
    oldest->used_at = ++cache->clock;
    return oldest;
}

int source_cache_line(struct source_cache *cache, const char *name, uint32_t line,
                      char text[SOURCE_CACHE_LINE_MAX_BYTES + 1])
{
    int length = -1;
    pthread_mutex_lock(&cache->lock);
    /* Names that say no folder could mean any file here. */
    const struct source_file *file = name[0] == '/' ? cache_file(cache, name) : NULL;
    if (file != NULL && file->text != NULL && line > 0 && line <= file->line_count) {
        size_t start = file->line_starts[line - 1];
        size_t end = start;
        while (end < file->size && file->text[end] != '\n'
               && end - start < SOURCE_CACHE_LINE_MAX_BYTES) {
            end++;
        }
        if (end > start && file->text[end - 1] == '\r') {
            end--;
        }
        memcpy(text, file->text + start, end - start);
        text[end - start] = '\0';
        length = (int)(end - start);
    }
    pthread_mutex_unlock(&cache->lock);
    return length;
}
