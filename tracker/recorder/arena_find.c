#include "recorder/arena_find.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define FIND_PATH_BYTES 4200

struct find_mapping {
    dev_t device;
    ino_t inode;
    bool is_memfd;
    char path[FIND_PATH_BYTES];
};

int arena_find_map(int fd, const char *name, struct arena_file *file, struct mt_error *error)
{
    struct stat status;
    void *memory = MAP_FAILED;
    *file = (struct arena_file){.fd = fd};
    if (fstat(fd, &status) == 0 && (uint64_t)status.st_size >= sizeof(struct arena_header)) {
        /* Private: whatever happens here, the tracked program's memory is not written. */
        memory = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_NORESERVE, fd, 0);
    } else {
        errno = EBADMSG;
    }
    if (memory == MAP_FAILED) {
        int reason = errno;
        close(fd);
        file->fd = -1;
        return mt_error_set(error, -reason, reason == EBADMSG ? MT_STATUS_DATA : MT_STATUS_FAILED,
                            "%s: its shared memory cannot be read: %s", name, strerror(reason));
    }
    file->arena.header = memory;
    file->arena.mapped_bytes = (uint64_t)status.st_size;
    const struct arena_header *header = file->arena.header;
    if (header->magic != ARENA_MAGIC || header->version != ARENA_VERSION
        || header->header_bytes != sizeof *header) {
        bool is_arena = header->magic == ARENA_MAGIC;
        arena_file_close(file);
        return mt_error_set(error, -EBADMSG, MT_STATUS_DATA,
                            is_arena ? "%s: was made by another version of memtrack: use that one"
                                     : "%s: is no memory of a tracked program",
                            name);
    }
    file->block_unit = header->config.sample_bytes == 0 ? 1 : ARENA_SAMPLE_SCALE;
    return 0;
}

bool arena_find_is_arena(const char *path)
{
    uint64_t magic = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        return false;
    }
    bool is_arena = pread(fd, &magic, sizeof magic, 0) == (ssize_t)sizeof magic
                    && magic == ARENA_MAGIC;
    close(fd);
    return is_arena;
}

int arena_find_open(const char *path, struct arena_file *file, struct mt_error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return mt_error_set(error, -errno, MT_STATUS_NO_INPUT, "%s: cannot be opened: %s", path,
                            strerror(errno));
    }
    return arena_find_map(fd, path, file, error);
}

/* "/memfd:memtrack (deleted)" or "/dir/memtrack.NAME.PID.arena". */
static bool find_is_arena_name(const char *path)
{
    size_t length = strlen(path);
    return strncmp(path, "/memfd:memtrack", 15) == 0
           || (length > 6 && strcmp(path + length - 6, ".arena") == 0
               && strstr(path, "/memtrack.") != NULL);
}

/* The first arena among the process's mappings. 0, -ENOENT, -ESRCH or -EACCES. */
static int find_mapping(pid_t pid, struct find_mapping *found)
{
    char name[64];
    snprintf(name, sizeof name, "/proc/%d/maps", (int)pid);
    FILE *maps = fopen(name, "re");
    if (maps == NULL) {
        return errno == EACCES || errno == EPERM ? -EACCES : -ESRCH;
    }
    char *line = NULL;
    size_t room = 0;
    int result = -ENOENT;
    errno = 0;
    while (result != 0 && getline(&line, &room, maps) > 0) {
        unsigned major;
        unsigned minor;
        unsigned long inode;
        int path_at = 0;
        if (sscanf(line, "%*x-%*x %*s %*x %x:%x %lu %n", &major, &minor, &inode, &path_at) < 3
            || path_at == 0) {
            continue;
        }
        char *path = line + path_at;
        path[strcspn(path, "\n")] = '\0';
        if (find_is_arena_name(path)) {
            found->device = makedev(major, minor);
            found->inode = inode;
            found->is_memfd = strncmp(path, "/memfd:", 7) == 0;
            snprintf(found->path, sizeof found->path, "%s", path);
            result = 0;
        }
    }
    if (result != 0 && errno == EACCES) {
        result = -EACCES;
    }
    free(line);
    fclose(maps);
    return result;
}

/* A descriptor of that file in any process's table; the memfd has no path. */
static int find_descriptor_in(const char *pid, const struct find_mapping *wanted)
{
    char name[300];
    snprintf(name, sizeof name, "/proc/%.20s/fd", pid);
    DIR *folder = opendir(name);
    int found = -1;
    for (struct dirent *entry; folder != NULL && found < 0 && (entry = readdir(folder)) != NULL;) {
        struct stat status;
        if (!isdigit((unsigned char)entry->d_name[0])) {
            continue;
        }
        snprintf(name, sizeof name, "/proc/%.20s/fd/%.20s", pid, entry->d_name);
        char link[64];
        ssize_t length = readlink(name, link, sizeof link - 1);
        link[length < 0 ? 0 : length] = '\0';
        if (strncmp(link, "/memfd:memtrack", 15) == 0 && stat(name, &status) == 0
            && status.st_ino == wanted->inode) {
            found = open(name, O_RDONLY | O_CLOEXEC);
        }
    }
    if (folder != NULL) {
        closedir(folder);
    }
    return found;
}

static int find_descriptor(const struct find_mapping *wanted)
{
    DIR *folder = opendir("/proc");
    int found = -1;
    for (struct dirent *entry; folder != NULL && found < 0 && (entry = readdir(folder)) != NULL;) {
        if (isdigit((unsigned char)entry->d_name[0])) {
            found = find_descriptor_in(entry->d_name, wanted);
        }
    }
    if (folder != NULL) {
        closedir(folder);
    }
    return found;
}

static int find_open(pid_t pid, const struct find_mapping *mapping)
{
    if (mapping->is_memfd) {
        return find_descriptor(mapping);
    }
    char path[FIND_PATH_BYTES + 32];
    snprintf(path, sizeof path, "/proc/%d/root%s", (int)pid, mapping->path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 ? fd : open(mapping->path, O_RDONLY | O_CLOEXEC);
}

int arena_find_process(pid_t pid, struct arena_file *file, struct mt_error *error)
{
    struct find_mapping mapping = {0};
    int code = find_mapping(pid, &mapping);
    if (code == -ESRCH) {
        return mt_error_set(error, code, MT_STATUS_NO_INPUT,
                            "%d: no such process: `memtrack list` shows those that are tracked",
                            (int)pid);
    }
    if (code == -EACCES) {
        return mt_error_set(error, code, MT_STATUS_NO_INPUT,
                            "%d: it is another user's process: ask as that user or as root",
                            (int)pid);
    }
    if (code != 0) {
        return mt_error_set(error, code, MT_STATUS_NO_INPUT,
                            "%d: memtrack does not track it: start it by `memtrack run`, or see "
                            "`memtrack list`",
                            (int)pid);
    }
    int fd = find_open(pid, &mapping);
    if (fd < 0) {
        return mt_error_set(error, -ENOENT, MT_STATUS_NO_INPUT,
                            "%d: its recorder was not found: it ended, or is another user's",
                            (int)pid);
    }
    char name[32];
    snprintf(name, sizeof name, "%d", (int)pid);
    return arena_find_map(fd, name, file, error);
}

int64_t arena_find_index(const struct arena_file *file, pid_t pid)
{
    const struct arena_header *header = file->arena.header;
    uint32_t count = atomic_load_explicit(&header->process_count, memory_order_acquire);
    count = count > ARENA_PROCESSES_MAX ? ARENA_PROCESSES_MAX : count;
    for (uint32_t i = count; i-- > 0;) {
        uint64_t offset = atomic_load_explicit(&header->process_offset[i], memory_order_acquire);
        const struct arena_process *process =
            arena_at(&file->arena, offset, sizeof(struct arena_process));
        if (process != NULL && process->pid == pid) {
            return i;
        }
    }
    return -1;
}

int arena_find_each(int (*visit)(void *context, pid_t pid, const struct arena_file *file,
                                 uint32_t index),
                    void *context)
{
    DIR *folder = opendir("/proc");
    int result = 0;
    for (struct dirent *entry; folder != NULL && result == 0 && (entry = readdir(folder)) != NULL;) {
        struct arena_file file;
        struct mt_error ignored = {0};
        pid_t pid = (pid_t)atoi(entry->d_name);
        struct find_mapping mapping = {0};
        if (pid <= 0 || find_mapping(pid, &mapping) != 0) {
            continue;
        }
        int fd = find_open(pid, &mapping);
        if (fd < 0 || arena_find_map(fd, entry->d_name, &file, &ignored) != 0) {
            continue;
        }
        int64_t index = arena_find_index(&file, pid);
        if (index >= 0) {
            result = visit(context, pid, &file, (uint32_t)index);
        }
        arena_file_close(&file);
    }
    if (folder != NULL) {
        closedir(folder);
    }
    return result;
}
