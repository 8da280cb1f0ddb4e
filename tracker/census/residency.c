#include "census/residency.h"

#include <fcntl.h>

#include "core/raw_syscall.h"

#define PAGE_SHIFT 12
#define PAGE_IN_MEMORY_OR_SWAP (UINT64_C(3) << 62)

void residency_open(struct residency *residency)
{
    residency->count = 0;
    residency->fd = raw_syscall6(SYS_openat, AT_FDCWD, (long)"/proc/self/pagemap",
                                 O_RDONLY | O_CLOEXEC, 0, 0, 0);
}

void residency_close(struct residency *residency)
{
    if (!raw_failed(residency->fd)) {
        raw_syscall3(SYS_close, residency->fd, 0, 0);
    }
    residency->fd = -1;
}

static bool page_has_content(struct residency *residency, uint64_t page)
{
    if (raw_failed(residency->fd)) {
        return true;
    }
    if (page - residency->first_page >= residency->count) {
        long length = raw_syscall6(SYS_pread64, residency->fd, (long)residency->entries,
                                   sizeof residency->entries, (long)(page * sizeof(uint64_t)), 0, 0);
        if (length < (long)sizeof(uint64_t)) {
            residency->count = 0;
            return true;
        }
        residency->first_page = page;
        residency->count = (uint32_t)length / sizeof(uint64_t);
    }
    return (residency->entries[page - residency->first_page] & PAGE_IN_MEMORY_OR_SWAP) != 0;
}

static uintptr_t page_search(struct residency *residency, uintptr_t address, uintptr_t end,
                             bool has_content)
{
    while (address < end && page_has_content(residency, address >> PAGE_SHIFT) != has_content) {
        address = ((address >> PAGE_SHIFT) + 1) << PAGE_SHIFT;
    }
    return address < end ? address : end;
}

uintptr_t residency_next(struct residency *residency, uintptr_t address, uintptr_t end)
{
    return page_search(residency, address, end, true);
}

uintptr_t residency_stretch(struct residency *residency, uintptr_t address, uintptr_t end)
{
    return page_search(residency, address, end, false);
}
