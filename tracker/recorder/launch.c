#include "recorder/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "recorder/handover.h"

static const int launch_signal_numbers[] = {SIGINT,  SIGQUIT, SIGTERM, SIGHUP,  SIGTSTP, SIGTTIN,
                                            SIGTTOU, SIGCONT, SIGUSR1, SIGUSR2, SIGCHLD, SIGPIPE,
                                            SIGXFSZ};

void launch_signals(sigset_t *set)
{
    sigemptyset(set);
    for (size_t i = 0; i < sizeof launch_signal_numbers / sizeof launch_signal_numbers[0]; i++) {
        sigaddset(set, launch_signal_numbers[i]);
    }
}

/* A descriptor of ours that lands on 0, 1 or 2 would be taken for the user's stream. */
static void occupy_standard_descriptors(void)
{
    for (;;) {
        int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (fd < 0) {
            return;
        }
        if (fd > STDERR_FILENO) {
            close(fd);
            return;
        }
    }
}

static void raise_limit(__rlimit_resource_t resource, struct rlimit *original)
{
    if (getrlimit(resource, original) == 0 && original->rlim_cur != original->rlim_max) {
        struct rlimit raised = {original->rlim_max, original->rlim_max};
        (void)setrlimit(resource, &raised);
    }
}

void launch_become_recorder(struct launch_origin *origin)
{
    occupy_standard_descriptors();
    sigset_t blocked;
    launch_signals(&blocked);
    sigprocmask(SIG_BLOCK, &blocked, &origin->mask);
    /* Ignored, it would let children vanish before their status is read. */
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigaction(SIGCHLD, &action, &origin->child_action);
    raise_limit(RLIMIT_NOFILE, &origin->files);
    raise_limit(RLIMIT_FSIZE, &origin->file_size);
}

void launch_restore_mask(const struct launch_origin *origin)
{
    sigset_t mask = origin->mask;
    /* A reader that went away or a size limit is an error value for us, never a death. */
    sigaddset(&mask, SIGPIPE);
    sigaddset(&mask, SIGXFSZ);
    sigprocmask(SIG_SETMASK, &mask, NULL);
}

/* In the child. Only async-signal-safe calls from here on. */
static void child_exec(const struct launch_origin *origin, const struct executable *program,
                       char **arguments, char *const *environment, bool is_plain_script,
                       int go_fd, int error_fd)
{
    char go = 0;
    ssize_t got;
    do {
        got = read(go_fd, &go, 1);
    } while (got < 0 && errno == EINTR);
    if (got != 1) {
        _exit(MT_STATUS_FAILED);
    }
    setrlimit(RLIMIT_NOFILE, &origin->files);
    setrlimit(RLIMIT_FSIZE, &origin->file_size);
    sigaction(SIGCHLD, &origin->child_action, NULL);
    sigprocmask(SIG_SETMASK, &origin->mask, NULL);
    execve(program->path, arguments, environment);
    int reason = errno;
    if (reason == ENOEXEC && is_plain_script) {
        /* As every shell does: arguments[-1] and [0] were reserved by the caller. */
        static char shell_name[] = "sh";
        static char path[PATH_MAX];
        memcpy(path, program->path, sizeof path);
        char **shell = arguments - 1;
        shell[0] = shell_name;
        shell[1] = path;
        execve("/bin/sh", shell, environment);
        reason = errno;
    }
    (void)!write(error_fd, &reason, sizeof reason);
    _exit(MT_STATUS_NOT_EXECUTABLE);
}

static int refuse_system(struct mt_error *error, const char *what)
{
    return mt_error_set(error, -errno, MT_STATUS_FAILED,
                        "%s: %s: free some memory, processes or files", what, strerror(errno));
}

int launch_fork(const struct launch_origin *origin, const struct executable *program,
                char *const *arguments, char *const *environment, struct launch *launch,
                struct mt_error *error)
{
    size_t count = 0;
    while (arguments[count] != NULL) {
        count++;
    }
    /* One place in front, for the shell of a script without #!. */
    char **copy = calloc(count + 2, sizeof *copy);
    if (copy == NULL) {
        return refuse_system(error, "starting the program");
    }
    memcpy(copy + 1, arguments, count * sizeof *copy);
    bool is_plain_script = executable_is_plain_script(program->path) != 0;

    int go[2];
    int failed[2];
    if (pipe2(go, O_CLOEXEC) != 0) {
        free(copy);
        return refuse_system(error, "starting the program");
    }
    if (pipe2(failed, O_CLOEXEC) != 0) {
        close(go[0]);
        close(go[1]);
        free(copy);
        return refuse_system(error, "starting the program");
    }
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(go[1]);
        child_exec(origin, program, copy + 1, environment, is_plain_script, go[0], failed[1]);
    }
    free(copy);
    close(go[0]);
    close(failed[1]);
    if (pid < 0) {
        close(go[1]);
        close(failed[0]);
        return refuse_system(error, "starting the program");
    }
    *launch = (struct launch){.pid = pid, .pidfd = -1, .go_fd = go[1], .error_fd = failed[0]};
    launch->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (launch->pidfd < 0) {
        int reason = errno;
        launch_cancel(launch);
        errno = reason;
        return refuse_system(error, "watching the program (pidfd_open, Linux 5.3)");
    }
    return 0;
}

static void launch_close(struct launch *launch)
{
    close(launch->go_fd);
    close(launch->error_fd);
    launch->go_fd = -1;
    launch->error_fd = -1;
}

static void launch_reap(struct launch *launch)
{
    while (waitpid(launch->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    if (launch->pidfd >= 0) {
        close(launch->pidfd);
        launch->pidfd = -1;
    }
}

void launch_cancel(struct launch *launch)
{
    launch_close(launch);
    launch_reap(launch);
}

int launch_go(struct launch *launch, const char *name, struct mt_error *error)
{
    char go = 1;
    int reason = 0;
    ssize_t got = -1;
    if (write(launch->go_fd, &go, 1) == 1) {
        do {
            got = read(launch->error_fd, &reason, sizeof reason);
        } while (got < 0 && errno == EINTR);
    }
    launch_close(launch);
    if (got == 0) {
        return 0;
    }
    launch_reap(launch);
    return mt_error_set(error, -reason,
                        reason == ENOENT ? MT_STATUS_NOT_FOUND : MT_STATUS_NOT_EXECUTABLE,
                        "%s: cannot be executed: %s", name, strerror(reason));
}

/* ---- the environment ------------------------------------------------------ */

/* Appends the entries of an LD_PRELOAD value that are not `shim` (a memtrack that runs
 * under memtrack would else load it twice). */
static void append_preloads(char *value, const char *inherited, const char *shim)
{
    size_t shim_length = strlen(shim);
    while (*inherited != '\0') {
        size_t length = strcspn(inherited, ": ");
        if (length > 0 && !(length == shim_length && memcmp(inherited, shim, length) == 0)) {
            strcat(value, ":");
            strncat(value, inherited, length);
        }
        inherited += length;
        inherited += strspn(inherited, ": ");
    }
}

char **launch_environment(char *const *base, const char *shim, const char *allocator,
                          const char *arena)
{
    static const char preload_name[] = "LD_PRELOAD=";
    static const char arena_name[] = HANDOVER_VARIABLE "=";
    size_t count = 0;
    const char *inherited = "";
    for (; base[count] != NULL; count++) {
        if (strncmp(base[count], preload_name, sizeof preload_name - 1) == 0) {
            inherited = base[count] + sizeof preload_name - 1;
        }
    }
    size_t preload_bytes = sizeof preload_name + strlen(shim) + 1
                           + (allocator == NULL ? 0 : strlen(allocator) + 1)
                           + 2 * strlen(inherited) + 2;
    size_t arena_bytes = sizeof arena_name + strlen(arena);
    char **environment = malloc((count + 3) * sizeof *environment + preload_bytes + arena_bytes);
    if (environment == NULL) {
        return NULL;
    }
    char *preload = (char *)(environment + count + 3);
    char *arena_entry = preload + preload_bytes;
    snprintf(preload, preload_bytes, "%s%s%s%s", preload_name, shim, allocator == NULL ? "" : ":",
             allocator == NULL ? "" : allocator);
    append_preloads(preload, inherited, shim);
    snprintf(arena_entry, arena_bytes, "%s%s", arena_name, arena);

    size_t used = 0;
    bool has_preload = false;
    for (size_t i = 0; i < count; i++) {
        if (strncmp(base[i], arena_name, sizeof arena_name - 1) == 0) {
            continue;
        }
        /* In its place, so that the order of the others stays. */
        if (strncmp(base[i], preload_name, sizeof preload_name - 1) == 0) {
            if (!has_preload) {
                environment[used++] = preload;
                has_preload = true;
            }
            continue;
        }
        environment[used++] = base[i];
    }
    if (!has_preload) {
        environment[used++] = preload;
    }
    environment[used++] = arena_entry;
    environment[used] = NULL;
    return environment;
}
