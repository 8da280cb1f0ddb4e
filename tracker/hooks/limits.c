/*
 * setrlimit and prlimit. The arena is a large reservation of address space. A program that
 * limits its own address space while it runs would find the limit exceeded before its
 * next allocation, so the reservation is made smaller first.
 */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "core/process.h"
#include "core/raw_syscall.h"
#include "hooks/hook.h"

static_assert(sizeof(struct rlimit) == sizeof(struct rlimit64),
              "one layout serves both names");

static int limit_set(pid_t pid, unsigned int resource, const void *new_limit, void *old_limit)
{
    long result = raw_syscall6(SYS_prlimit64, pid, (long)resource, (long)new_limit,
                               (long)old_limit, 0, 0);
    if (raw_failed(result)) {
        errno = (int)-result;
        return -1;
    }
    /* Now, not before: the kernel has read the new limit, so the pointer is good. */
    if (resource == RLIMIT_AS && new_limit != NULL && (pid == 0 || pid == raw_pid())) {
        const struct rlimit *limit = new_limit;
        if (limit->rlim_cur != RLIM_INFINITY) {
            process_limit_address_space(limit->rlim_cur);
        }
    }
    return 0;
}

HOOK_EXPORT int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
    return limit_set(0, (unsigned int)resource, limit, NULL);
}

HOOK_EXPORT int setrlimit64(__rlimit_resource_t resource, const struct rlimit64 *limit)
{
    return limit_set(0, (unsigned int)resource, limit, NULL);
}

HOOK_EXPORT int prlimit(pid_t pid, enum __rlimit_resource resource, const struct rlimit *new_limit,
                        struct rlimit *old_limit)
{
    return limit_set(pid, (unsigned int)resource, new_limit, old_limit);
}

HOOK_EXPORT int prlimit64(pid_t pid, enum __rlimit_resource resource,
                          const struct rlimit64 *new_limit, struct rlimit64 *old_limit)
{
    return limit_set(pid, (unsigned int)resource, new_limit, old_limit);
}
