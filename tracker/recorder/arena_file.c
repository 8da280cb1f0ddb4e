#include "recorder/arena_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "arena/clock.h"

/* Less than this is of no use to any program. */
#define ARENA_SIZE_MIN_BYTES (UINT64_C(64) << 20)

static uint64_t clock_read_ns(clockid_t clock)
{
    struct timespec now = {0};
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void header_fill(struct arena_file *file, const struct arena_config *config, uint64_t key)
{
    struct arena_header *header = file->arena.header;
    header->magic = ARENA_MAGIC;
    header->version = ARENA_VERSION;
    header->header_bytes = sizeof *header;
    header->size_bytes = file->arena.mapped_bytes;
    header->started_realtime_ns = clock_read_ns(CLOCK_REALTIME);
    header->started_monotonic_ns = clock_read_ns(CLOCK_MONOTONIC);
    header->recorder_pid = getpid();
    header->tick_ns = CLOCK_TICK_NS;
    header->config = *config;
    header->key = key;
    uint64_t first = (sizeof *header + ARENA_EXTENT_BYTES - 1) & ~(ARENA_EXTENT_BYTES - 1);
    atomic_store_explicit(&header->used_bytes, first, memory_order_release);
}

int arena_file_create(const struct arena_config *config, struct arena_file *file,
                      struct mt_error *error)
{
    static const char advice[] = "raise the limit on memory or file size (ulimit -v, ulimit -f)";
    *file = (struct arena_file){
        .fd = memfd_create("memtrack", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    if (file->fd < 0) {
        return mt_error_set(error, -errno, MT_STATUS_FAILED, "shared memory: %s: %s",
                            strerror(errno), advice);
    }
    uint64_t size = ARENA_SIZE_DEFAULT_BYTES;
    void *memory = MAP_FAILED;
    int reason = 0;
    for (; size >= ARENA_SIZE_MIN_BYTES; size /= 2) {
        if (ftruncate(file->fd, (off_t)size) == 0) {
            memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file->fd,
                          0);
            if (memory != MAP_FAILED) {
                break;
            }
        }
        reason = errno;
    }
    uint64_t key = 0;
    if (memory == MAP_FAILED || getrandom(&key, sizeof key, 0) != (ssize_t)sizeof key
        || fcntl(file->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        reason = memory == MAP_FAILED ? reason : errno;
        close(file->fd);
        return mt_error_set(error, -reason, MT_STATUS_FAILED, "shared memory: %s: %s",
                            strerror(reason), advice);
    }
    file->arena.header = memory;
    file->arena.mapped_bytes = size;
    file->block_unit = config->sample_bytes == 0 ? 1 : ARENA_SAMPLE_SCALE;
    header_fill(file, config, key);
    return 0;
}

void arena_file_close(struct arena_file *file)
{
    munmap(file->arena.header, file->arena.mapped_bytes);
    close(file->fd);
    file->fd = -1;
    file->arena.header = NULL;
}

int arena_file_copy(const struct arena_file *file, uint64_t offset, void *to, uint64_t size_bytes)
{
    if (arena_at(&file->arena, offset, size_bytes) == NULL) {
        return -EFAULT;
    }
    char *target = to;
    while (size_bytes > 0) {
        ssize_t got = pread(file->fd, target, size_bytes, (off_t)offset);
        if (got <= 0) {
            if (got < 0 && errno == EINTR) {
                continue;
            }
            return -EFAULT;
        }
        target += got;
        offset += (uint64_t)got;
        size_bytes -= (uint64_t)got;
    }
    return 0;
}

void arena_file_drop(const struct arena_file *file, uint64_t offset, uint64_t size_bytes)
{
    size_bytes = (size_bytes + ARENA_EXTENT_BYTES - 1) & ~(ARENA_EXTENT_BYTES - 1);
    /* Never the header, whatever a damaged directory says. */
    if (offset < file->arena.header->header_bytes || offset < sizeof(struct arena_header)
        || (offset & (ARENA_EXTENT_BYTES - 1)) != 0
        || arena_at(&file->arena, offset, size_bytes) == NULL) {
        return;
    }
    (void)fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
                    (off_t)size_bytes);
}

uint64_t arena_file_now_ns(const struct arena_file *file)
{
    return clock_read_ns(CLOCK_MONOTONIC) - file->arena.header->started_monotonic_ns;
}
