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

/* Without /proc: entries made up from mincore(); fewer where the mapping ends before. */
static uint32_t entries_by_mincore(struct residency *residency, uint64_t page)
{
    unsigned char in_memory[RESIDENCY_ENTRIES];
    uint32_t count = RESIDENCY_ENTRIES;
    while (count > 0
           && raw_failed(raw_syscall3(SYS_mincore, (long)(page << PAGE_SHIFT),
                                      (long)count << PAGE_SHIFT, (long)in_memory))) {
        count /= 2;
    }
    for (uint32_t i = 0; i < count; i++) {
        residency->entries[i] = (in_memory[i] & 1) != 0 ? PAGE_IN_MEMORY_OR_SWAP : 0;
    }
    return count;
}

static bool page_has_content(struct residency *residency, uint64_t page)
{
    if (page - residency->first_page >= residency->count && raw_failed(residency->fd)) {
        residency->first_page = page;
        residency->count = entries_by_mincore(residency, page);
        if (residency->count == 0) {
            return true;
        }
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
