#include "census/pinning.h"

#define PAGE_BYTES UINT64_C(4096)
#define FULL_BYTES (PAGE_BYTES / 4)
#define PAGE_SITES 8u

/* What lies in one page, as far as it has been seen. */
struct page {
    uintptr_t start;
    uint64_t live_bytes;
    uint32_t site_count;
    uint32_t stack[PAGE_SITES];
    uint64_t bytes[PAGE_SITES];
};

static void page_add(struct page *page, uint32_t stack, uint64_t bytes)
{
    page->live_bytes += bytes;
    for (uint32_t i = 0; i < page->site_count; i++) {
        if (page->stack[i] == stack) {
            page->bytes[i] += bytes;
            return;
        }
    }
    /* With more sites than that in a quarter page none of them keeps it alone. */
    if (page->site_count < PAGE_SITES) {
        page->stack[page->site_count] = stack;
        page->bytes[page->site_count++] = bytes;
    }
}

static void page_finish(const struct page *page, struct findings *findings)
{
    if (page->site_count == 0 || page->live_bytes >= FULL_BYTES) {
        return;
    }
    uint32_t greatest = 0;
    for (uint32_t i = 1; i < page->site_count; i++) {
        if (page->bytes[i] > page->bytes[greatest]) {
            greatest = i;
        }
    }
    struct arena_census_site *site = findings_site(findings, page->stack[greatest]);
    site->pinned_pages++;
    site->pinned_bytes += PAGE_BYTES - page->live_bytes;
}

void pinning_count(const struct block_index *index, struct findings *findings)
{
    struct page page = {.start = 0};
    for (uint32_t i = 0; i < index->count; i++) {
        uintptr_t at = block_address(&index->blocks[i]);
        uint64_t size_bytes = block_size_bytes(&index->blocks[i]);
        uintptr_t end = at + (size_bytes == 0 ? 1 : size_bytes);
        while (at < end) {
            uintptr_t start = at & ~(PAGE_BYTES - 1);
            if (start != page.start) {
                page_finish(&page, findings);
                page = (struct page){.start = start};
            }
            uintptr_t stop = start + PAGE_BYTES < end ? start + PAGE_BYTES : end;
            /* Pages in the middle of a block are full. */
            if (stop - at == PAGE_BYTES && end - stop > PAGE_BYTES) {
                stop = end & ~(PAGE_BYTES - 1);
                page = (struct page){.start = start, .live_bytes = PAGE_BYTES};
                at = stop;
                continue;
            }
            page_add(&page, block_stack(&index->blocks[i]), stop - at);
            at = stop;
        }
    }
    page_finish(&page, findings);
}
