#include "symbolize/cache_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NEW_NAME_SUFFIX ".new"
/* Down to this when the folder has become too large, so that not every run must clean. */
#define FOLDER_CLEANED_BYTES (CACHE_FOLDER_MAX_BYTES / 4 * 3)
#define FOLDER_FILES_MAX 4096u
#define FILE_NAME_BYTES 200
/* A file's time of change tells when it was last of use, to the day. */
#define USED_STEP_SECONDS (24 * 3600)
#define NEW_NAME_SECONDS 3600

/* ---- reading ------------------------------------------------------------- */

static bool folder_is_safe(const char *folder)
{
    struct stat status;
    if (stat(folder, &status) != 0) {
        return errno == ENOENT;
    }
    return S_ISDIR(status.st_mode) && status.st_uid == geteuid() && (status.st_mode & 022) == 0;
}

int cache_folder_init(struct cache_folder *folder, const char *path)
{
    folder->path = NULL;
    if (path == NULL || !folder_is_safe(path)) {
        return 0;
    }
    folder->path = strdup(path);
    return folder->path == NULL ? -ENOMEM : 0;
}

void cache_folder_deinit(struct cache_folder *folder)
{
    free(folder->path);
    folder->path = NULL;
}

/* Opens a regular file; -1 if there is none. */
static int file_open(const struct cache_folder *folder, const char *name, size_t *size)
{
    char *path;
    struct stat status;
    if (folder->path == NULL || asprintf(&path, "%s/%s", folder->path, name) < 0) {
        return -1;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    free(path);
    if (fd < 0) {
        return -1;
    }
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size <= 0) {
        close(fd);
        return -1;
    }
    *size = (size_t)status.st_size;
    if (time(NULL) - status.st_mtime > USED_STEP_SECONDS) {
        (void)futimens(fd, NULL);
    }
    return fd;
}

char *cache_folder_read(const struct cache_folder *folder, const char *name, size_t max_bytes,
                        size_t *size)
{
    int fd = file_open(folder, name, size);
    if (fd < 0) {
        return NULL;
    }
    char *bytes = *size > max_bytes ? NULL : malloc(*size);
    size_t got = 0;
    while (bytes != NULL && got < *size) {
        ssize_t count = read(fd, bytes + got, *size - got);
        if (count <= 0) {
            free(bytes);
            bytes = NULL;
            break;
        }
        got += (size_t)count;
    }
    close(fd);
    return bytes;
}

char *cache_folder_map(const struct cache_folder *folder, const char *name, size_t *size)
{
    int fd = file_open(folder, name, size);
    if (fd < 0) {
        return NULL;
    }
    void *bytes = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    close(fd);
    return bytes == MAP_FAILED ? NULL : bytes;
}

/* ---- writing ------------------------------------------------------------- */

/* Makes the folder and up to two above it: a home folder is there or not to be made. */
static int folder_make(const char *folder)
{
    if (mkdir(folder, 0700) == 0 || errno == EEXIST) {
        return 0;
    }
    char *copy = strdup(folder);
    if (copy == NULL) {
        return -ENOMEM;
    }
    char *ends[2] = {NULL, NULL};
    for (int i = 0; i < 2; i++) {
        ends[i] = strrchr(copy, '/');
        if (ends[i] == NULL || ends[i] == copy) {
            break;
        }
        *ends[i] = '\0';
    }
    for (int i = 1; i >= 0; i--) {
        if (ends[i] != NULL && ends[i] != copy) {
            (void)mkdir(copy, 0700);
            *ends[i] = '/';
        }
    }
    int result = mkdir(copy, 0700) == 0 || errno == EEXIST ? 0 : -errno;
    free(copy);
    return result;
}

static int file_write_parts(int fd, const struct cache_part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *bytes = parts[i].bytes;
        for (size_t done = 0; done < parts[i].size;) {
            ssize_t written = write(fd, bytes + done, parts[i].size - done);
            if (written < 0 && errno != EINTR) {
                return -errno;
            }
            done += written < 0 ? 0 : (size_t)written;
        }
    }
    return 0;
}

static int file_write(const char *folder, const char *name, const struct cache_part *parts,
                      size_t count)
{
    char *path;
    char *temporary;
    if (asprintf(&path, "%s/%s", folder, name) < 0) {
        return -ENOMEM;
    }
    if (asprintf(&temporary, "%s.%d" NEW_NAME_SUFFIX, path, (int)getpid()) < 0) {
        free(path);
        return -ENOMEM;
    }
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    int result = fd < 0 ? -errno : file_write_parts(fd, parts, count);
    if (fd >= 0 && close(fd) != 0 && result == 0) {
        result = -errno;
    }
    if (result == 0 && rename(temporary, path) != 0) {
        result = -errno;
    }
    if (result != 0 && fd >= 0) {
        (void)unlink(temporary);
    }
    free(temporary);
    free(path);
    return result;
}

struct folder_file {
    char name[FILE_NAME_BYTES];
    int64_t used_seconds;
    uint64_t bytes;
};

static int folder_compare(const void *left, const void *right)
{
    const struct folder_file *a = left;
    const struct folder_file *b = right;
    return a->used_seconds < b->used_seconds ? -1 : a->used_seconds > b->used_seconds;
}

/* Keeps the folder within its bound. Files that are not ours have other names. */
static void folder_clean(const char *folder)
{
    DIR *directory = opendir(folder);
    struct folder_file *files = malloc(FOLDER_FILES_MAX * sizeof(files[0]));
    size_t count = 0;
    uint64_t total_bytes = 0;
    while (directory != NULL && files != NULL && count < FOLDER_FILES_MAX) {
        const struct dirent *entry = readdir(directory);
        struct stat status;
        if (entry == NULL) {
            break;
        }
        size_t length = strlen(entry->d_name);
        if (length >= sizeof(files[0].name) || strspn(entry->d_name, "0123456789abcdef") < 2
            || fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0
            || !S_ISREG(status.st_mode)) {
            continue;
        }
        bool is_left_over = strstr(entry->d_name, NEW_NAME_SUFFIX) != NULL
                            && time(NULL) - status.st_mtime > NEW_NAME_SECONDS;
        memcpy(files[count].name, entry->d_name, length + 1);
        files[count].used_seconds = is_left_over ? 0 : status.st_mtime;
        files[count].bytes = (uint64_t)status.st_size;
        total_bytes += files[count++].bytes;
    }
    bool is_too_large = total_bytes > CACHE_FOLDER_MAX_BYTES || count == FOLDER_FILES_MAX;
    if (is_too_large) {
        qsort(files, count, sizeof(files[0]), folder_compare);
    }
    for (size_t i = 0; i < count; i++) {
        bool goes = is_too_large && (total_bytes > FOLDER_CLEANED_BYTES || i < count / 4);
        if ((goes || files[i].used_seconds == 0)
            && unlinkat(dirfd(directory), files[i].name, 0) == 0) {
            total_bytes -= files[i].bytes;
        }
    }
    free(files);
    if (directory != NULL) {
        closedir(directory);
    }
}

int cache_folder_write(const struct cache_folder *folder, const char *name,
                       const struct cache_part *parts, size_t count)
{
    if (folder->path == NULL) {
        return -ENOENT;
    }
    int result = folder_make(folder->path);
    if (result == 0 && !folder_is_safe(folder->path)) {
        result = -EPERM;
    }
    if (result == 0) {
        result = file_write(folder->path, name, parts, count);
    }
    if (result == 0) {
        folder_clean(folder->path);
    }
    return result;
}
