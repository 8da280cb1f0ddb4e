#include "census/thread_names.h"

#include <fcntl.h>

#include "core/process.h"
#include "core/raw_syscall.h"

static char *text_append(char *to, const char *text)
{
    while (*text != '\0') {
        *to++ = *text++;
    }
    *to = '\0';
    return to;
}

static char *number_append(char *to, int32_t number)
{
    char digits[12];
    unsigned count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    while (count > 0) {
        *to++ = digits[--count];
    }
    *to = '\0';
    return to;
}

/* /proc/PID/task/TID/comm: the name and a newline. */
static void name_read(int32_t pid, struct arena_thread *table)
{
    char path[64];
    char *end = number_append(text_append(path, "/proc/"), pid);
    end = number_append(text_append(end, "/task/"), table->tid);
    text_append(end, "/comm");
    long fd = raw_syscall6(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
    if (raw_failed(fd)) {
        return;
    }
    char name[sizeof table->name + 1] = "";
    long length = raw_syscall3(SYS_read, fd, (long)name, sizeof name - 1);
    raw_syscall3(SYS_close, fd, 0, 0);
    for (long i = 0; i < length && i < (long)sizeof table->name; i++) {
        table->name[i] = name[i] == '\n' ? '\0' : name[i];
    }
}

void thread_names_note(const struct arena *arena)
{
    uint64_t offset =
        atomic_load_explicit(&process_cold.process->first_thread, memory_order_acquire);
    struct arena_thread *table;
    while ((table = arena_at(arena, offset, sizeof *table)) != NULL) {
        if (atomic_load_explicit(&table->state, memory_order_relaxed) == ARENA_THREAD_IN_USE
            && table->tid > 0 && !table->is_named) {
            name_read(process_cold.process->pid, table);
        }
        offset = atomic_load_explicit(&table->next, memory_order_relaxed);
    }
}
