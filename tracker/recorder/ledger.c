#include "recorder/ledger.h"

#include <errno.h>
#include <string.h>

int ledger_parse(FILE *smaps, struct resident *resident)
{
    struct resident_parser parser;
    char text[4096];
    size_t length;
    resident_begin(&parser);
    while ((length = fread(text, 1, sizeof text, smaps)) > 0) {
        resident_feed(&parser, text, length);
    }
    *resident = parser.resident;
    return ferror(smaps) ? -EIO : 0;
}

int ledger_read(pid_t pid, struct resident *resident)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/smaps", (int)pid);
    FILE *smaps = fopen(path, "re");
    if (smaps == NULL) {
        return -errno;
    }
    int code = ledger_parse(smaps, resident);
    fclose(smaps);
    return code;
}

static int64_t ledger_positive(int64_t bytes)
{
    return bytes > 0 ? bytes : 0;
}

int ledger_make(const struct ledger_input *input, struct ledger_item items[LEDGER_ITEMS])
{
    const struct resident *resident = &input->resident;
    int64_t own = input->own_bytes < resident->anonymous_bytes ? input->own_bytes
                                                               : resident->anonymous_bytes;
    int64_t anonymous = resident->anonymous_bytes - own;
    int count = 0;
    items[count++] = (struct ledger_item){"requested", input->live_bytes};
    int64_t heap = input->live_bytes;
    if (input->has_figures) {
        int64_t rounding = ledger_positive(input->figures_allocated_bytes - input->live_bytes);
        int64_t held = input->figures_resident_bytes > input->figures_active_bytes
                           ? input->figures_resident_bytes
                           : input->figures_active_bytes;
        int64_t unused = ledger_positive(held - input->figures_allocated_bytes);
        if (held > input->figures_active_bytes && unused > anonymous - heap - rounding) {
            unused = ledger_positive(anonymous - heap - rounding); /* an upper bound */
        }
        items[count++] = (struct ledger_item){"rounding", rounding};
        items[count++] = (struct ledger_item){"allocator-free", unused};
        heap += rounding + unused;
    }
    items[count++] = (struct ledger_item){"own-mappings", ledger_positive(anonymous - heap)};
    items[count++] = (struct ledger_item){"stacks", resident->stack_bytes};
    items[count++] = (struct ledger_item){"files-and-code", resident->file_bytes};
    items[count++] = (struct ledger_item){"memtrack", resident->memtrack_bytes + own};
    int64_t rest = resident->rss_bytes;
    for (int i = 0; i < count; i++) {
        rest -= items[i].bytes;
    }
    items[count++] = (struct ledger_item){"unexplained", rest};
    return count;
}
