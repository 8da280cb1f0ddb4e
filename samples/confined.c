/*
 * confined.c - programs that take away what a tracker might want to use, and allocate on; then
 * a forked child does the same. Nothing may get lost, and the limits must work as they did.
 *
 * usage: confined nothing|close-all|close-range|chroot|setuid|limit-memory|limit-files|limit-file-size|seccomp
 *
 * chroot and setuid need root; without it the status is 77.
 *
 * Truth
 *   before(): allocations 100, frees 0, live_bytes 1000
 *   after(): allocations 1000, frees 900, live_blocks 100, live_bytes 2000
 *   child after(): allocations 1000, frees 900
 *   status: 0
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NO_RIGHTS = 77 };

static void *kept[1100];

__attribute__((noinline)) static void before(void)
{
    for (int i = 0; i < 100; i++) {
        kept[i] = malloc(10);
    }
}

__attribute__((noinline)) static void after(void)
{
    for (int i = 0; i < 1000; i++) {
        kept[100 + i] = malloc(20);
    }
    for (int i = 100; i < 1000; i++) {
        free(kept[100 + i]);
    }
}

static void close_all(void)
{
    for (int descriptor = 0; descriptor < 65536; descriptor++) {
        close(descriptor);
    }
}

static int limit(__rlimit_resource_t resource, rlim_t value)
{
    struct rlimit both = {.rlim_cur = value, .rlim_max = value};
    return setrlimit(resource, &both);
}

static int change_root(void)
{
    char folder[] = "/tmp/confined.XXXXXX";
    if (mkdtemp(folder) == NULL || chroot(folder) != 0) {
        return NO_RIGHTS;
    }
    return chdir("/") == 0 ? 0 : 1;
}

static int drop_rights(void)
{
    if (geteuid() != 0) {
        return NO_RIGHTS;
    }
    if (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0) {
        return 1;
    }
    return 0;
}

/* What malloc, fork, waiting and ending need, and an error for all else: no open, no socket,
 * no clock, no prctl. */
static int forbid_syscalls(void)
{
    static const unsigned int allowed[] = {
        SYS_brk,        SYS_mmap,       SYS_munmap,          SYS_mremap,   SYS_mprotect,
        SYS_madvise,    SYS_clone,      SYS_wait4,           SYS_exit,     SYS_exit_group,
        SYS_futex,      SYS_getpid,     SYS_rt_sigprocmask,  SYS_rt_sigreturn,
        SYS_set_robust_list, SYS_rseq,  SYS_gettid,
    };
    enum { COUNT = sizeof(allowed) / sizeof(allowed[0]) };
    struct sock_filter filter[COUNT + 3];
    filter[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                             offsetof(struct seccomp_data, nr));
    for (unsigned int i = 0; i < COUNT; i++) {
        filter[1 + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i],
                                                     (unsigned char)(COUNT - i), 0);
    }
    filter[COUNT + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    filter[COUNT + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {.len = COUNT + 3, .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return 1;
    }
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 ? 0 : 1;
}

static int confine(const char *how)
{
    if (strcmp(how, "nothing") == 0) {
        return 0;
    } else if (strcmp(how, "close-all") == 0) {
        close_all();
        return 0;
    } else if (strcmp(how, "close-range") == 0) {
        return (int)syscall(SYS_close_range, 0u, ~0u, 0u);
    } else if (strcmp(how, "chroot") == 0) {
        return change_root();
    } else if (strcmp(how, "setuid") == 0) {
        return drop_rights();
    } else if (strcmp(how, "limit-memory") == 0) {
        return limit(RLIMIT_AS, 256u << 20);
    } else if (strcmp(how, "limit-files") == 0) {
        return limit(RLIMIT_NOFILE, 3);
    } else if (strcmp(how, "limit-file-size") == 0) {
        return limit(RLIMIT_FSIZE, 0);
    } else if (strcmp(how, "seccomp") == 0) {
        return forbid_syscalls();
    }
    return 2;
}

int main(int count, char **arguments)
{
    before();
    int status = confine(count > 1 ? arguments[1] : "nothing");
    if (status != 0) {
        return status;
    }
    after();
    pid_t child = fork();
    if (child == 0) {
        after();
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
        return 3;
    }
    return 0;
}
