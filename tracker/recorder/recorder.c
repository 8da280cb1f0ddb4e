#include "recorder/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "arena/clock.h"
#include "recorder/recorder_state.h"

/* How long the loop sleeps: a tick while the programs work, more when nothing happens. */
#define SLEEP_BUSY_MS 10
#define SLEEP_IDLE_MS 20
#define SLEEP_QUIET_MS 50
#define IDLE_AFTER_NS UINT64_C(1000000000)
#define QUIET_AFTER_NS UINT64_C(10000000000)
#define RECORDER_EVENTS 32

extern char **environ;

static void recorder_beat(void *context);

/* ---- the output's name ---------------------------------------------------- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

int recorder_expand_name(const char *pattern, pid_t pid, const char *program, char *name,
                         size_t name_bytes, struct mt_error *error)
{
    size_t used = 0;
    for (const char *at = pattern; *at != '\0'; at++) {
        char text[256];
        snprintf(text, sizeof text, "%c", *at);
        if (*at == '%') {
            at++;
            switch (*at) {
            case 'p':
                snprintf(text, sizeof text, "%d", (int)pid);
                break;
            case 'e':
                snprintf(text, sizeof text, "%s", base_name(program));
                break;
            case 'h':
                if (gethostname(text, sizeof text - 1) != 0) {
                    snprintf(text, sizeof text, "localhost");
                }
                break;
            case '%':
                break;
            default:
                return mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                                    "%s: %%%c is not known in a file name: %%p is the pid, %%e the"
                                    " program, %%h the host, %%%% a per cent sign",
                                    pattern, *at == '\0' ? ' ' : *at);
            }
        }
        size_t length = strlen(text);
        if (used + length + 1 > name_bytes) {
            return mt_error_set(error, -ENAMETOOLONG, MT_STATUS_USAGE,
                                "%s: the name is too long: choose a shorter one", pattern);
        }
        memcpy(name + used, text, length);
        used += length;
    }
    name[used] = '\0';
    return 0;
}

/* ---- start ---------------------------------------------------------------- */

static int output_refuse(const char *path, int reason, struct mt_error *error)
{
    return mt_error_set(error, -reason, MT_STATUS_FAILED, "%s: %s", path,
                        reason == EEXIST
                            ? "exists: remove it, choose another name with -o, or give -f"
                        : reason == ENOENT
                            ? "its folder does not exist: make it, or choose another with -o"
                        : reason == ENOTDIR
                            ? "a part of the path is not a folder: choose another with -o"
                            : "is a folder: choose a file's name with -o");
}

/* What is a mistake in the command is refused before the program starts; what may be
 * the machine's trouble (no space, no permission) does not keep the program from
 * running. */
static int output_open(struct recorder *recorder, struct mt_error *error)
{
    const struct recorder_options *options = recorder->options;
    struct recorder_result *result = &recorder->result;
    const char *pattern = options->output == NULL ? "memtrack.%e.%p.mtk" : options->output;
    if (recorder_expand_name(pattern, recorder->launch.pid, options->arguments[0], result->output,
                             sizeof result->output, error)
        != 0) {
        return -1;
    }
    struct stat status;
    if (stat(result->output, &status) == 0) {
        if (S_ISDIR(status.st_mode)) {
            return output_refuse(result->output, EISDIR, error);
        }
        if (!options->overwrite) {
            return output_refuse(result->output, EEXIST, error);
        }
    } else if (errno == ENOENT || errno == ENOTDIR) {
        char folder[sizeof result->output];
        snprintf(folder, sizeof folder, "%s", result->output);
        char *slash = strrchr(folder, '/');
        if (slash != NULL) {
            slash[slash == folder ? 1 : 0] = '\0';
        }
        if (slash != NULL && (stat(folder, &status) != 0 || !S_ISDIR(status.st_mode))) {
            return output_refuse(result->output, errno == ENOTDIR ? ENOTDIR : ENOENT, error);
        }
    }
    struct recording_run run;
    struct mt_error failure = {0};
    recorder_fill_run(recorder, &run);
    int code = recording_writer_create(result->output, &run, options->overwrite,
                                       &recorder->writer, &failure);
    if (code == -EEXIST && !options->overwrite) {
        return output_refuse(result->output, EEXIST, error);
    }
    if (code == -EEXIST) { /* a device, a pipe: never replaced */
        *error = failure;
        return code;
    }
    if (code != 0) {
        recorder->writer = NULL;
        result->lost = failure;
    }
    result->is_recorded = code == 0;
    return 0;
}

static void suppressions_write(struct recorder *recorder)
{
    for (size_t i = 0; recorder->writer != NULL && i < recorder->options->suppression_count; i++) {
        const char *path = recorder->options->suppressions[i];
        FILE *file = fopen(path, "re");
        static char text[1 << 20];
        size_t length = file == NULL ? 0 : fread(text, 1, sizeof text - 1, file);
        text[length] = '\0';
        if (file != NULL) {
            fclose(file);
        }
        struct mt_error error = {0};
        int code = recording_writer_begin(recorder->writer, "the suppressions");
        if (code == 0) {
            code = recording_writer_add_suppressions(recorder->writer, path, text);
        }
        int committed = recording_writer_commit(recorder->writer, &error);
        recorder_check_writer(recorder, committed != 0 ? committed : code, &error);
    }
}

static int loop_open(struct recorder *recorder, struct mt_error *error)
{
    sigset_t signals;
    launch_signals(&signals);
    recorder->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    recorder->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (recorder->epoll_fd < 0 || recorder->signal_fd < 0) {
        return mt_error_set(error, -errno, MT_STATUS_FAILED,
                            "watching the program: %s: close some files or raise ulimit -n",
                            strerror(errno));
    }
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = RECORDER_EVENT_SIGNAL};
    (void)epoll_ctl(recorder->epoll_fd, EPOLL_CTL_ADD, recorder->signal_fd, &event);
    handover_watch(&recorder->handover, recorder->epoll_fd, RECORDER_EVENT_HANDOVER);
    return 0;
}

static int recorder_prepare(struct recorder *recorder, struct mt_error *error)
{
    const struct recorder_options *options = recorder->options;
    if (executable_find(options->arguments[0], getenv("PATH"), &recorder->program, error) != 0
        || executable_check(recorder->program.path, error) != 0
        || arena_file_create(&options->config, &recorder->file, error) != 0) {
        return -1;
    }
    recorder->file.beat = recorder_beat;
    recorder->file.beat_context = recorder;
    handover_open(&recorder->handover, &recorder->file);
    if (loop_open(recorder, error) != 0) {
        return -1;
    }
    recorder->environment = launch_environment(environ, options->shim, options->allocator,
                                               recorder->handover.text);
    if (recorder->environment == NULL) {
        return mt_error_set(error, -ENOMEM, MT_STATUS_FAILED,
                            "starting the program: out of memory: free some");
    }
    return 0;
}

/* Without it, news waits for the next tick. */
static void waker_watch(struct recorder *recorder)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = RECORDER_EVENT_WAKE};
    if (waker_start(&recorder->waker, &recorder->file.arena.header->wake) == 0) {
        (void)epoll_ctl(recorder->epoll_fd, EPOLL_CTL_ADD, recorder->waker.event_fd, &event);
    }
}

static int recorder_launch(struct recorder *recorder, struct mt_error *error)
{
    const struct recorder_options *options = recorder->options;
    if (launch_fork(&recorder->origin, &recorder->program, options->arguments,
                    recorder->environment, &recorder->launch, error)
        != 0) {
        return -1;
    }
    recorder->result.pid = recorder->launch.pid;
    if (output_open(recorder, error) != 0) {
        launch_cancel(&recorder->launch);
        return -1;
    }
    suppressions_write(recorder);
    if (launch_go(&recorder->launch, options->arguments[0], error) != 0) {
        recording_writer_abandon(recorder->writer);
        recorder->writer = NULL;
        if (recorder->result.is_recorded) {
            (void)unlink(recorder->result.output);
        }
        return -1;
    }
    waker_watch(recorder);
    progress_start(&recorder->progress, recorder->launch.pid, !options->is_quiet);
    return 0;
}

struct recorder *recorder_start(const struct recorder_options *options, struct mt_error *error)
{
    struct recorder *recorder = calloc(1, sizeof *recorder);
    if (recorder == NULL) {
        mt_error_set(error, -ENOMEM, MT_STATUS_FAILED,
                     "starting the program: out of memory: free some");
        return NULL;
    }
    recorder->options = options;
    recorder->epoll_fd = -1;
    recorder->signal_fd = -1;
    recorder->file.fd = -1;
    recorder->handover.listen_fd = -1;
    recorder->launch.pidfd = -1;
    recorder->progress.io_fd = -1;
    recorder->waker.event_fd = -1;
    recorder->foreground_fd[0] = -1;
    recorder->foreground_fd[1] = -1;
    for (uint32_t i = 0; i < RECORDER_UNSEEN_MAX; i++) {
        recorder->unseen[i].pidfd = -1;
    }
    for (int i = 0; i < HANDOVER_CLIENTS_MAX; i++) {
        recorder->handover.client_fd[i] = -1;
    }
    launch_become_recorder(&recorder->origin);
    if (recorder_prepare(recorder, error) != 0 || recorder_launch(recorder, error) != 0) {
        launch_restore_mask(&recorder->origin);
        recorder_free(recorder);
        return NULL;
    }
    return recorder;
}

const struct recorder_result *recorder_result(const struct recorder *recorder)
{
    return &recorder->result;
}

void recorder_free(struct recorder *recorder)
{
    if (recorder == NULL) {
        return;
    }
    waker_stop(&recorder->waker);
    for (uint32_t i = 0; i < recorder->entry_count; i++) {
        tracked_free(recorder->entries[i].tracked);
    }
    for (uint32_t i = 0; i < recorder->image_count; i++) {
        if (recorder->images[i] != NULL) {
            image_writer_deinit(recorder->images[i]);
            free(recorder->images[i]);
        }
    }
    for (uint32_t i = 0; i < RECORDER_UNSEEN_MAX; i++) {
        if (recorder->unseen[i].pidfd >= 0) {
            close(recorder->unseen[i].pidfd);
        }
    }
    int descriptors[] = {recorder->epoll_fd, recorder->signal_fd, recorder->launch.pidfd,
                         recorder->foreground_fd[0], recorder->foreground_fd[1]};
    for (size_t i = 0; i < sizeof descriptors / sizeof descriptors[0]; i++) {
        if (descriptors[i] >= 0) {
            close(descriptors[i]);
        }
    }
    handover_close(&recorder->handover);
    if (recorder->file.fd >= 0) {
        arena_file_close(&recorder->file);
    }
    recording_writer_abandon(recorder->writer);
    free(recorder->environment);
    free(recorder->entries);
    free(recorder->active);
    free(recorder->images);
    free(recorder);
}

/* ---- the loop ------------------------------------------------------------- */

static void clock_tick(struct recorder *recorder, uint64_t now_ns)
{
    struct arena_header *header = recorder->file.arena.header;
    atomic_store_explicit(&header->clock_ticks, clock_ns_to_ticks(now_ns, CLOCK_TICK_NS),
                          memory_order_relaxed);
    /* The recorder's alone: no read-modify-write needed. */
    atomic_store_explicit(&header->clock_updates,
                          atomic_load_explicit(&header->clock_updates, memory_order_relaxed) + 1,
                          memory_order_release);
}

static int sleep_ms(const struct recorder *recorder, uint64_t now_ns)
{
    uint64_t quiet_ns = now_ns - recorder->active_ns;
    uint32_t tick = clock_ns_to_ticks(now_ns, CLOCK_TICK_NS);
    uint64_t tick_ns = clock_ticks_to_ns(tick + 1, CLOCK_TICK_NS)
                       - clock_ticks_to_ns(tick, CLOCK_TICK_NS);
    int least = tick_ns / 1000000 > SLEEP_QUIET_MS ? SLEEP_QUIET_MS : (int)(tick_ns / 1000000);
    int wanted = quiet_ns > QUIET_AFTER_NS  ? SLEEP_QUIET_MS
                 : quiet_ns > IDLE_AFTER_NS ? SLEEP_IDLE_MS
                                            : SLEEP_BUSY_MS;
    return wanted < least ? least : wanted;
}

static void draw_progress(struct recorder *recorder, uint64_t now_ns)
{
    if (!progress_is_due(&recorder->progress, now_ns)) {
        return;
    }
    struct progress_figures figures = {.elapsed_ns = now_ns, .processes = recorder->alive_count};
    for (uint32_t i = 0; i < recorder->entry_count; i++) {
        const struct tracked *tracked = recorder->entries[i].tracked;
        if (tracked == NULL || !tracked->is_alive) {
            continue;
        }
        int64_t live =
            atomic_load_explicit(&tracked->shared->shared_live_bytes, memory_order_relaxed);
        int64_t peak = atomic_load_explicit(&tracked->shared->peak_bytes, memory_order_relaxed);
        figures.live_bytes += live;
        figures.peak_bytes += live > peak ? live : peak;
        figures.allocations += tracked->sums.total.allocations;
    }
    progress_draw(&recorder->progress, &figures);
}

/* The foreground is done with the recording: from now on it is ours. */
static void foreground_ended(struct recorder *recorder)
{
    (void)epoll_ctl(recorder->epoll_fd, EPOLL_CTL_DEL, recorder->foreground_fd[0], NULL);
    close(recorder->foreground_fd[0]);
    recorder->foreground_fd[0] = -1;
}

static void event_handle(struct recorder *recorder, uint64_t data, uint64_t now_ns)
{
    uint32_t index = (uint32_t)data;
    switch (RECORDER_EVENT_KIND(data)) {
    case RECORDER_EVENT_SIGNAL:
        recorder_handle_signals(recorder, now_ns);
        break;
    case RECORDER_EVENT_HANDOVER:
        handover_serve(&recorder->handover, &recorder->file, recorder->epoll_fd,
                       RECORDER_EVENT_HANDOVER);
        break;
    case RECORDER_EVENT_TRACKED:
        /* The program itself ends by its SIGCHLD, which tells the status too. */
        if (index < recorder->entry_count
            && (recorder->entries[index].pid != recorder->launch.pid
                || recorder->has_program_ended)) {
            recorder_end_entry(recorder, index, now_ns, -1);
        }
        break;
    case RECORDER_EVENT_UNSEEN:
        if (index < RECORDER_UNSEEN_MAX && recorder->unseen[index].pidfd >= 0) {
            close(recorder->unseen[index].pidfd);
            recorder->unseen[index].pidfd = -1;
            recorder->unseen_count--;
        }
        break;
    case RECORDER_EVENT_WAKE:
        waker_clear(&recorder->waker);
        break;
    case RECORDER_EVENT_FOREGROUND:
        foreground_ended(recorder);
        break;
    default:
        break;
    }
}

/* Ticks and looks. */
static void recorder_look(struct recorder *recorder, uint64_t now_ns)
{
    recorder->round_ns = now_ns;
    clock_tick(recorder, now_ns);
    /* Processes that came and went while we slept must be entries before their end is. */
    recorder_scan(recorder, now_ns);
    if (recorder_poll(recorder, now_ns)) {
        recorder->active_ns = now_ns;
    }
}

/* In the middle of long work: the rest of a round waits until that is done. */
static void recorder_beat(void *context)
{
    struct recorder *recorder = context;
    uint64_t now_ns = arena_file_now_ns(&recorder->file);
    if (now_ns - recorder->round_ns >= CLOCK_TICK_NS) {
        recorder_look(recorder, now_ns);
    }
}

/* One round: sleep, tick, look, write. */
static void recorder_round(struct recorder *recorder)
{
    struct epoll_event events[RECORDER_EVENTS];
    uint64_t now_ns = arena_file_now_ns(&recorder->file);
    int count = epoll_wait(recorder->epoll_fd, events, RECORDER_EVENTS,
                           sleep_ms(recorder, now_ns));
    now_ns = arena_file_now_ns(&recorder->file);
    uint32_t wake =
        atomic_load_explicit(&recorder->file.arena.header->wake, memory_order_acquire);
    recorder_look(recorder, now_ns);
    for (int i = 0; i < count; i++) {
        event_handle(recorder, events[i].data.u64, now_ns);
    }
    if (wake != recorder->wake_seen) {
        recorder->wake_seen = wake;
        recorder->active_ns = now_ns;
        recorder_serve_requests(recorder, now_ns);
    }
    if (recorder->is_background) {
        recorder_write_background(recorder, now_ns, false);
        return;
    }
    if (recorder->alive_count > 0 && now_ns >= recorder->snapshot_next_ns) {
        recorder_write_snapshot(recorder, now_ns,
                                recorder->snapshot_next == 0 ? "first" : "periodic", NULL);
    }
    if (!recorder->has_program_ended) {
        recorder_write_censuses(recorder);
        recorder_ask_censuses(recorder, now_ns);
        recorder_write_ended(recorder);
        recorder_sweep(recorder, now_ns);
        draw_progress(recorder, now_ns);
    }
}

const struct recorder_result *recorder_wait(struct recorder *recorder)
{
    while (!recorder->has_program_ended) {
        recorder_round(recorder);
    }
    uint64_t now_ns = arena_file_now_ns(&recorder->file);
    progress_stop(&recorder->progress);
    waker_stop(&recorder->waker);
    recorder_scan(recorder, now_ns);
    recorder_find_unseen(recorder);
    for (uint32_t i = 0; i < recorder->entry_count; i++) {
        struct tracked *tracked = recorder->entries[i].tracked;
        if (tracked != NULL && tracked->is_alive && tracked->pidfd < 0) {
            recorder_end_entry(recorder, i, tracked->active_ns, -1);
        }
    }
    recorder_write_snapshot(recorder, now_ns, "exit", NULL);
    recorder_write_ended(recorder);
    recorder_write_living(recorder);
    recorder->result.still_running = recorder->alive_count + recorder->unseen_count;
    recorder_finish_run(recorder, recorder->result.still_running == 0);
    if (recorder->result.still_running > 0) {
        recorder_close_writer(recorder, false); /* the background opens it again */
    }
    launch_restore_mask(&recorder->origin);
    return &recorder->result;
}

struct recording_writer *recorder_take_writer(struct recorder *recorder)
{
    struct recording_writer *writer = recorder->writer;
    recorder->writer = NULL;
    return writer;
}

/* ---- the background ------------------------------------------------------- */

/* What the program's caller waits for or reads from must not be held open by us: all
 * descriptors that are not ours, which are close-on-exec, go. */
static void descriptors_detach(void)
{
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; null_fd >= 0 && fd <= STDERR_FILENO; fd++) {
        (void)dup2(null_fd, fd);
    }
    long limit = sysconf(_SC_OPEN_MAX);
    for (int fd = STDERR_FILENO + 1; fd < limit && fd < 65536; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags >= 0 && (flags & FD_CLOEXEC) == 0) {
            close(fd);
        }
    }
}

static void background_run(struct recorder *recorder)
{
    sigset_t signals;
    launch_signals(&signals);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    recorder->is_background = true;
    waker_watch(recorder);
    while (recorder->alive_count + recorder->unseen_count > 0
           || recorder->foreground_fd[0] >= 0) {
        recorder_round(recorder);
    }
    recorder_write_background(recorder, arena_file_now_ns(&recorder->file), true);
    if (recorder->result.is_recorded && recorder->result.lost.code == 0
        && recorder->options->finished != NULL) {
        recorder->options->finished(recorder->result.output);
    }
}

int recorder_detach(struct recorder *recorder, struct mt_error *error)
{
    if (recorder->result.still_running == 0) {
        return 0;
    }
    if (pipe2(recorder->foreground_fd, O_CLOEXEC) != 0) {
        return mt_error_set(error, -errno, MT_STATUS_FAILED,
                            "following the processes that still run: %s: their part is lost",
                            strerror(errno));
    }
    char absolute[sizeof recorder->result.output];
    if (realpath(recorder->result.output, absolute) != NULL) {
        memcpy(recorder->result.output, absolute, sizeof absolute);
    }
    fflush(NULL);
    pid_t middle = fork();
    if (middle < 0) {
        return mt_error_set(error, -errno, MT_STATUS_FAILED,
                            "following the processes that still run: %s: their part is lost",
                            strerror(errno));
    }
    if (middle > 0) {
        close(recorder->foreground_fd[0]);
        recorder->foreground_fd[0] = -1;
        while (waitpid(middle, NULL, 0) < 0 && errno == EINTR) {
        }
        return 0;
    }
    setsid();
    if (fork() != 0) {
        _exit(0);
    }
    close(recorder->foreground_fd[1]);
    recorder->foreground_fd[1] = -1;
    descriptors_detach();
    (void)!chdir("/");
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = RECORDER_EVENT_FOREGROUND};
    (void)epoll_ctl(recorder->epoll_fd, EPOLL_CTL_ADD, recorder->foreground_fd[0], &event);
    background_run(recorder);
    _exit(0);
}
