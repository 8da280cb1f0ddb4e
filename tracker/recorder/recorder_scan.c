#include "recorder/maps_serve.h"
#include "recorder/recorder_state.h"
#include "recorder/site_print.h"

#include <dirent.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* A process that cannot be watched (another pid namespace, or it was gone before we
 * looked) counts as ended after this time without an event. */
#define UNWATCHED_QUIET_NS UINT64_C(2000000000)

static bool entries_reserve(struct recorder *recorder, uint32_t count)
{
    if (count <= recorder->entry_capacity) {
        return true;
    }
    uint32_t capacity = recorder->entry_capacity == 0 ? 16 : recorder->entry_capacity * 2;
    while (capacity < count) {
        capacity *= 2;
    }
    struct recorder_entry *entries =
        realloc(recorder->entries, capacity * sizeof recorder->entries[0]);
    if (entries == NULL) {
        return false;
    }
    recorder->entries = entries;
    recorder->entry_capacity = capacity;
    return true;
}

/* Makes sure that the image of this process has its writer. */
static void image_note(struct recorder *recorder, const struct tracked *tracked)
{
    if (tracked->image >= ARENA_IMAGES_MAX) {
        return;
    }
    if (tracked->image >= recorder->image_count) {
        uint32_t count = tracked->image + 1;
        struct image_writer **images = realloc(recorder->images, count * sizeof *images);
        if (images == NULL) {
            return;
        }
        memset(images + recorder->image_count, 0,
               (count - recorder->image_count) * sizeof *images);
        recorder->images = images;
        recorder->image_count = count;
    }
    if (recorder->images[tracked->image] == NULL) {
        struct image_writer *image = malloc(sizeof *image);
        if (image == NULL) {
            return;
        }
        recorder->images[tracked->image] = image;
        char executable[ARENA_TEXT_BYTES];
        char folder[ARENA_TEXT_BYTES];
        snprintf(executable, sizeof executable, "%.*s", (int)ARENA_TEXT_BYTES - 1,
                 tracked->shared->executable);
        snprintf(folder, sizeof folder, "%.*s", (int)ARENA_TEXT_BYTES - 1,
                 tracked->shared->working_directory);
        image_writer_init(image, tracked->image, executable, folder);
    }
}

/* Which entry this one came from: what it forked from, what it replaced, or the latest
 * process with its parent's pid. */
static void parent_find(struct recorder *recorder, struct tracked *tracked)
{
    if (tracked->start == ARENA_START_FORK && tracked->shared->parent_process != 0
        && tracked->shared->parent_process - 1 < tracked->index) {
        tracked->parent = tracked->shared->parent_process - 1;
    }
    for (uint32_t i = tracked->index; i-- > 0;) {
        struct recorder_entry *entry = &recorder->entries[i];
        bool is_replaced = entry->pid == tracked->pid && entry->tracked != NULL
                           && entry->tracked->is_alive && tracked->start == ARENA_START_EXEC;
        if (is_replaced) {
            entry->tracked->was_replaced = true;
            recorder_end_entry(recorder, i, tracked->started_ns, -1);
            tracked->parent = i;
            return;
        }
        if (tracked->parent == RECORDING_UNKNOWN && entry->pid == tracked->parent_pid) {
            tracked->parent = i;
        }
    }
}

static void unseen_remove(struct recorder *recorder, uint32_t slot)
{
    if (recorder->unseen[slot].pidfd >= 0) {
        close(recorder->unseen[slot].pidfd);
        recorder->unseen[slot].pidfd = -1;
        recorder->unseen_count--;
    }
}

static bool active_add(struct recorder *recorder, uint32_t index)
{
    if (recorder->active_count == recorder->active_capacity) {
        uint32_t capacity = recorder->active_capacity == 0 ? 16 : recorder->active_capacity * 2;
        uint32_t *active = realloc(recorder->active, capacity * sizeof *active);
        if (active == NULL) {
            return false;
        }
        recorder->active = active;
        recorder->active_capacity = capacity;
    }
    recorder->active[recorder->active_count++] = index;
    return true;
}

static void entry_begin(struct recorder *recorder, uint32_t index, uint64_t offset)
{
    struct recorder_entry *entry = &recorder->entries[index];
    *entry = (struct recorder_entry){.pid = 0};
    struct tracked *tracked = tracked_new(&recorder->file, index, offset);
    if (tracked == NULL) {
        return;
    }
    if (!active_add(recorder, index)) {
        tracked_free(tracked);
        return;
    }
    entry->pid = tracked->pid;
    entry->image = tracked->image;
    entry->offset = offset;
    entry->tracked = tracked;
    recorder->alive_count++;
    recorder->result.is_tracked = true;
    parent_find(recorder, tracked);
    image_note(recorder, tracked);
    for (uint32_t i = 0; i < RECORDER_UNSEEN_MAX; i++) {
        if (recorder->unseen[i].pidfd >= 0 && recorder->unseen[i].pid == tracked->pid) {
            unseen_remove(recorder, i);
        }
    }
    if (tracked->pidfd >= 0) {
        struct epoll_event event = {.events = EPOLLIN,
                                    .data.u64 = RECORDER_EVENT_TRACKED | index};
        (void)epoll_ctl(recorder->epoll_fd, EPOLL_CTL_ADD, tracked->pidfd, &event);
    }
}

void recorder_scan(struct recorder *recorder, uint64_t now_ns)
{
    (void)now_ns;
    struct arena_header *header = recorder->file.arena.header;
    uint32_t count = atomic_load_explicit(&header->process_count, memory_order_acquire);
    count = count > ARENA_PROCESSES_MAX ? ARENA_PROCESSES_MAX : count;
    /* An index is handed out a moment before its record is complete; or for ever, when
     * its process died just then. */
    bool is_awaiting = false;
    for (uint32_t index = recorder->awaited_first; index < count; index++) {
        if (index >= recorder->entry_count) {
            if (!entries_reserve(recorder, index + 1)) {
                return;
            }
            recorder->entry_count = index + 1;
            recorder->entries[index] = (struct recorder_entry){.is_awaited = true};
        }
        if (!recorder->entries[index].is_awaited) {
            continue;
        }
        uint64_t offset =
            atomic_load_explicit(&header->process_offset[index], memory_order_acquire);
        if (offset != 0) {
            entry_begin(recorder, index, offset);
        } else if (!is_awaiting) {
            is_awaiting = true;
            recorder->awaited_first = index;
        }
    }
    if (!is_awaiting) {
        recorder->awaited_first = count;
    }
}

void recorder_end_entry(struct recorder *recorder, uint32_t index, uint64_t ended_ns,
                        int wait_status)
{
    struct tracked *tracked = recorder->entries[index].tracked;
    if (tracked == NULL || !tracked->is_alive) {
        return;
    }
    tracked_end(tracked, &recorder->file, ended_ns, wait_status);
    recorder->alive_count--;
}

bool recorder_poll(struct recorder *recorder, uint64_t now_ns)
{
    bool is_active = false;
    for (uint32_t k = 0; k < recorder->active_count; k++) {
        uint32_t i = recorder->active[k];
        struct tracked *tracked = recorder->entries[i].tracked;
        if (tracked == NULL || !tracked->is_alive) {
            continue;
        }
        if (tracked_poll(tracked, &recorder->file, now_ns)) {
            is_active = true;
            tracked->active_ns = now_ns;
        }
        bool says_it_exited =
            atomic_load_explicit(&tracked->shared->exited, memory_order_acquire) != 0;
        if (tracked->pidfd < 0
            && (says_it_exited || now_ns - tracked->active_ns > UNWATCHED_QUIET_NS)) {
            recorder_end_entry(recorder, i, tracked->active_ns, -1);
        }
    }
    return is_active;
}

void recorder_serve_requests(struct recorder *recorder, uint64_t now_ns)
{
    for (uint32_t k = 0; k < recorder->active_count; k++) {
        struct tracked *tracked = recorder->entries[recorder->active[k]].tracked;
        if (tracked == NULL || !tracked->is_alive) {
            continue;
        }
        for (uint32_t slot = 0; slot < ARENA_REQUESTS; slot++) {
            struct arena_request *request = &tracked->shared->requests[slot];
            if (atomic_load_explicit(&request->state, memory_order_acquire) != 1) {
                continue;
            }
            char label[sizeof request->label + 1];
            snprintf(label, sizeof label, "%.*s", (int)sizeof request->label, request->label);
            if (request->kind == ARENA_REQUEST_SNAPSHOT) {
                recorder_write_snapshot(recorder, now_ns, "program",
                                        label[0] == '\0' ? NULL : label);
            } else if (request->kind == ARENA_REQUEST_PRINT) {
                site_print_serve(recorder, tracked, request, label);
            } else if (request->kind == ARENA_REQUEST_MAPS) {
                maps_serve(&recorder->file, tracked, request);
            }
            atomic_store_explicit(&request->state, 2, memory_order_release);
            syscall(SYS_futex, &request->state, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
        }
    }
}

/* ---- descendants that have not registered --------------------------------- */

/* Whether the process has the arena mapped. */
static bool maps_arena(pid_t pid, const struct stat *arena)
{
    char path[64];
    char line[512];
    char wanted[64];
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    snprintf(wanted, sizeof wanted, " %lu ", (unsigned long)arena->st_ino);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    bool is_found = false;
    while (!is_found && fgets(line, sizeof line, file) != NULL) {
        is_found = strstr(line, "/memfd:memtrack") != NULL && strstr(line, wanted) != NULL;
    }
    fclose(file);
    return is_found;
}

static void unseen_add(struct recorder *recorder, pid_t pid)
{
    for (uint32_t i = 0; i < RECORDER_UNSEEN_MAX; i++) {
        struct recorder_unseen *unseen = &recorder->unseen[i];
        if (unseen->pidfd >= 0) {
            continue;
        }
        unseen->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        if (unseen->pidfd >= 0) {
            unseen->pid = pid;
            recorder->unseen_count++;
            struct epoll_event event = {.events = EPOLLIN,
                                        .data.u64 = RECORDER_EVENT_UNSEEN | i};
            (void)epoll_ctl(recorder->epoll_fd, EPOLL_CTL_ADD, unseen->pidfd, &event);
        }
        return;
    }
}

static bool is_known_alive(const struct recorder *recorder, pid_t pid)
{
    for (uint32_t i = 0; i < recorder->entry_count; i++) {
        const struct tracked *tracked = recorder->entries[i].tracked;
        if (tracked != NULL && tracked->is_alive && tracked->pid == pid) {
            return true;
        }
    }
    for (uint32_t i = 0; i < RECORDER_UNSEEN_MAX; i++) {
        if (recorder->unseen[i].pidfd >= 0 && recorder->unseen[i].pid == pid) {
            return true;
        }
    }
    return false;
}

/* Pids are given out in turn: so soon after the start they cannot have come all the way
 * round to this program's again. */
#define UNSEEN_IN_TURN_NS UINT64_C(250000000)

/* No descendant has a lower pid than this; 1 when that cannot be told. Asking each process
 * of the machine costs short programs more than all else that happens after their end. */
static pid_t unseen_first_pid(const struct recorder *recorder)
{
    pid_t latest = procfs_latest_pid();
    bool is_in_turn = arena_file_now_ns(&recorder->file) < UNSEEN_IN_TURN_NS
                      && latest >= recorder->launch.pid;
    return is_in_turn ? recorder->launch.pid : 1;
}

/* Calls visit for each process that carries the arena without being known; returns their
 * number, or -1 when that cannot be told. */
static int unseen_visit(struct recorder *recorder,
                        void (*visit)(struct recorder *recorder, pid_t pid))
{
    struct stat arena;
    int count = 0;
    DIR *folder = opendir("/proc");
    if (folder == NULL || fstat(recorder->file.fd, &arena) != 0) {
        if (folder != NULL) {
            closedir(folder);
        }
        return -1;
    }
    pid_t first = unseen_first_pid(recorder);
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        char *end;
        long pid = strtol(entry->d_name, &end, 10);
        /* A descendant's pid may be any after a wrap, so ask for its start instead. */
        if (*end != '\0' || pid < first || pid == getpid()
            || is_known_alive(recorder, (pid_t)pid)) {
            continue;
        }
        struct procfs_stat stat_now = {0};
        bool is_candidate = procfs_stat_process((pid_t)pid, &stat_now) && stat_now.state != 'Z';
        struct timespec boot = {0};
        clock_gettime(CLOCK_BOOTTIME, &boot);
        uint64_t boot_ns = (uint64_t)boot.tv_sec * 1000000000u + (uint64_t)boot.tv_nsec;
        uint64_t age_ns = boot_ns > stat_now.started_ns ? boot_ns - stat_now.started_ns : 0;
        if (is_candidate && age_ns <= arena_file_now_ns(&recorder->file) + 50000000u
            && maps_arena((pid_t)pid, &arena)) {
            count++;
            if (visit != NULL) {
                visit(recorder, (pid_t)pid);
            }
        }
    }
    closedir(folder);
    return count;
}

void recorder_find_unseen(struct recorder *recorder)
{
    (void)unseen_visit(recorder, unseen_add);
}

/* ---- giving memory back --------------------------------------------------- */

#define SWEEP_GAP_NS UINT64_C(2000000000)
#define SWEEP_GAP_BYTES (UINT64_C(256) << 20) /* handed out, most of it never touched */

static bool image_is_in_use(const struct recorder *recorder, uint32_t image)
{
    for (uint32_t i = 0; i < recorder->entry_count; i++) {
        const struct recorder_entry *entry = &recorder->entries[i];
        if (entry->is_awaited || (entry->tracked != NULL && entry->image == image)) {
            return true;
        }
    }
    return false;
}

void recorder_sweep(struct recorder *recorder, uint64_t now_ns)
{
    struct arena_header *header = recorder->file.arena.header;
    uint64_t used_bytes = atomic_load_explicit(&header->used_bytes, memory_order_relaxed);
    if (recorder->sweep_next_bytes == 0) { /* nothing can be unused yet */
        recorder->sweep_next_bytes = used_bytes + SWEEP_GAP_BYTES;
    }
    if (now_ns < recorder->sweep_next_ns || used_bytes < recorder->sweep_next_bytes) {
        return;
    }
    recorder->sweep_next_ns = now_ns + SWEEP_GAP_NS;
    recorder->sweep_next_bytes = used_bytes + SWEEP_GAP_BYTES;
    /* Processes that begin after this look descend from living ones, whose images stay. */
    if (unseen_visit(recorder, NULL) != 0 || recorder->unseen_count != 0) {
        return;
    }
    for (uint32_t i = 0; i < recorder->image_count; i++) {
        if (recorder->images[i] != NULL && !image_is_in_use(recorder, i)) {
            image_writer_drop(recorder->images[i], &recorder->file);
            image_writer_deinit(recorder->images[i]);
            free(recorder->images[i]);
            recorder->images[i] = NULL;
        }
    }
    for (uint32_t i = 0; i < recorder->entry_count; i++) {
        struct recorder_entry *entry = &recorder->entries[i];
        if (entry->tracked == NULL && entry->offset != 0 && !entry->is_swept) {
            tracked_sweep(entry->offset, &recorder->file);
            entry->is_swept = true;
        }
    }
}
