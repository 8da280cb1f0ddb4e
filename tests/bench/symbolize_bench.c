/*
 * symbolize_bench FILE [ADDRESSES [THREADS [MEBIBYTES]]] - how fast addresses become names.
 *
 * Takes distinct addresses spread evenly over FILE's executable segments, resolves them
 * with their inline chains in one call, and prints addresses per second, the time until
 * the first answer (files opened, units listed), frames per address, and peak memory. MEBIBYTES
 * bounds the index.
 */
#include "symbolize/symbolizer.h"

#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct tally {
    size_t frames;
    size_t by_quality[3];
    size_t with_line;
};

static void count_answer(void *context, const struct symbolizer_answer *answer)
{
    struct tally *tally = context;
    tally->frames += answer->frame_count;
    tally->by_quality[answer->quality]++;
    tally->with_line += answer->frame_count > 0 && answer->frames[0].line > 0;
}

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* The .text section, the bulk of the code; 0 if there is none. */
static uint64_t text_section(const char *path, uint64_t *size)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    elf_version(EV_CURRENT);
    Elf *elf = elf_begin(descriptor, ELF_C_READ_MMAP, NULL);
    uint64_t start = 0;
    *size = 0;
    for (Elf_Scn *section = NULL; elf != NULL && (section = elf_nextscn(elf, section)) != NULL;) {
        GElf_Shdr header;
        if (gelf_getshdr(section, &header) != NULL && (header.sh_flags & SHF_EXECINSTR) != 0
            && header.sh_size > *size) {
            start = header.sh_addr;
            *size = header.sh_size;
        }
    }
    elf_end(elf);
    close(descriptor);
    return start;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: symbolize_bench FILE [ADDRESSES [THREADS [MEBIBYTES]]]\n");
        return 64;
    }
    size_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 100000;
    const struct symbolizer_options options = {
        .thread_count = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 0,
        .memory_max_bytes = argc > 4 ? (size_t)strtoull(argv[4], NULL, 10) << 20 : 0};
    uint64_t size;
    uint64_t start = text_section(argv[1], &size);
    struct symbolizer_query *queries = calloc(count, sizeof(queries[0]));
    if (size == 0 || count == 0 || queries == NULL) {
        fprintf(stderr, "symbolize_bench: %s: no code found: give an ELF file\n", argv[1]);
        return 66;
    }
    for (size_t i = 0; i < count; i++) {
        queries[i].offset = start + (uint64_t)((double)size / (double)count * (double)i);
    }
    const struct symbolizer_module_file file = {.path = argv[1]};
    struct symbolizer *symbolizer;
    struct symbolizer_module *module;
    double begun = seconds(CLOCK_MONOTONIC);
    if (symbolizer_new(&options, &symbolizer) != 0
        || symbolizer_module_open(symbolizer, &file, &module) != 0) {
        return 125;
    }
    double opened = seconds(CLOCK_MONOTONIC);
    struct tally tally = {0};
    if (symbolizer_resolve(module, queries, count, count_answer, &tally) != 0) {
        return 125;
    }
    double resolved = seconds(CLOCK_MONOTONIC);
    struct tally again = {0};
    if (symbolizer_resolve(module, queries, count, count_answer, &again) != 0) {
        return 125;
    }
    double repeated = seconds(CLOCK_MONOTONIC);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("open            %9.3f s\n", opened - begun);
    printf("resolve         %9.3f s   %9.0f addresses/s\n", resolved - opened,
           (double)count / (resolved - opened));
    printf("resolve again   %9.3f s   %9.0f addresses/s\n", repeated - resolved,
           (double)count / (repeated - resolved));
    printf("cpu             %9.3f s\n", seconds(CLOCK_PROCESS_CPUTIME_ID));
    printf("peak rss        %9.1f MiB\n", (double)usage.ru_maxrss / 1024);
    printf("frames/address  %9.2f\n", (double)tally.frames / (double)count);
    printf("debug, symbol, nothing, with line: %zu, %zu, %zu, %zu\n",
           tally.by_quality[SYMBOLIZER_QUALITY_DEBUG], tally.by_quality[SYMBOLIZER_QUALITY_SYMBOL],
           tally.by_quality[SYMBOLIZER_QUALITY_NONE], tally.with_line);
    symbolizer_free(symbolizer);
    free(queries);
    return 0;
}
