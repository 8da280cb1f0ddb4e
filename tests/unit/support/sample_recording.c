#include "support/sample_recording.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND INT64_C(1000000000)

struct sample {
    struct recording_writer *writer;
    int64_t module;
    int64_t libc;
    int64_t cxx;
};

static void check(int64_t code)
{
    if (code < 0) {
        fprintf(stderr, "sample_recording: error %lld\n", (long long)code);
        abort();
    }
}

static struct sample sample_begin(const char *path)
{
    const struct recording_run run = {
        .memtrack_version = "0.0.0",
        .host = "testhost",
        .kernel = "6.1",
        .command = "service --port 80",
        .working_directory = "/srv",
        .started_realtime_ns = INT64_C(1767225600) * SECOND, /* 2026-01-01T00:00:00Z */
        .tick_ns = 10000000,
        .sample_bytes = RECORDING_UNKNOWN,
        .cpu_hz = 99,
        .depth_max = 128,
        .follow = "all",
        .leaks = "full",
        .cpu_clock = "cpu",
        .allocator = "default",
        .memory_limit_bytes = RECORDING_UNKNOWN,
    };
    struct sample sample = {0};
    struct mt_error error = {0};
    if (recording_writer_create(path, &run, true, &sample.writer, &error) != 0) {
        fprintf(stderr, "sample_recording: %s\n", error.text);
        abort();
    }
    check(recording_writer_begin(sample.writer, "the sample"));
    const uint8_t build_id[] = {0xab, 0xcd, 0xef};
    struct recording_module module = {
        .path = "/srv/bin/service", .build_id = build_id, .build_id_bytes = 3};
    struct recording_module libc = {.path = "/lib/x86_64-linux-gnu/libc.so.6"};
    struct recording_module cxx = {.path = "/lib/x86_64-linux-gnu/libstdc++.so.6"};
    sample.module = recording_writer_add_module(sample.writer, &module);
    sample.libc = recording_writer_add_module(sample.writer, &libc);
    sample.cxx = recording_writer_add_module(sample.writer, &cxx);
    check(sample.cxx);
    return sample;
}

static void sample_end(struct sample *sample)
{
    struct mt_error error = {0};
    if (recording_writer_finish(sample->writer, true, &error) != 0) {
        fprintf(stderr, "sample_recording: %s\n", error.text);
        abort();
    }
}

/* An address with one function, or with two when `inlined_into` is set. */
static int64_t add_function(struct sample *sample, int64_t module, uint64_t offset,
                            const char *function, const char *file, int64_t line,
                            const char *inlined_into)
{
    int64_t address = recording_writer_add_address(sample->writer, module, offset);
    check(address);
    struct recording_symbol chain[] = {
        {.function = function, .file = file, .line = line, .is_inlined = inlined_into != NULL},
        {.function = inlined_into,
         .file = file != NULL && strncmp(file, "/usr/include/", 13) == 0 ? "/src/format.cc" : file,
         .line = line + 100}};
    check(
        recording_writer_put_symbols(sample->writer, address, chain, inlined_into != NULL ? 2 : 1));
    return address;
}

static void add_node(struct sample *sample, int64_t image, int64_t node, int64_t parent,
                     int64_t address)
{
    check(recording_writer_add_node(
        sample->writer, &(struct recording_node){
                            .image = image, .node = node, .parent = parent, .address = address}));
}

static void add_stack(struct sample *sample, int64_t image, int64_t stack, int64_t leaf,
                      int64_t depth)
{
    check(recording_writer_add_stack(
        sample->writer,
        &(struct recording_stack){.image = image, .stack = stack, .leaf = leaf, .depth = depth}));
}

static struct recording_process sample_process(int64_t id, int64_t pid)
{
    return (struct recording_process){
        .id = id,
        .parent = RECORDING_UNKNOWN,
        .image = id,
        .start = RECORDING_START_EXEC,
        .pid = pid,
        .parent_pid = 1,
        .executable = "/srv/bin/service",
        .working_directory = "/srv",
        .allocator = "glibc 2.36",
        .started_ns = 0,
        .ended_ns = 10 * SECOND,
        .exit_status = 0,
        .signal = RECORDING_UNKNOWN,
        .peak_rss_bytes = 4194304,
        .cpu_user_ns = 2 * SECOND,
        .cpu_system_ns = 0,
        .threads = 1,
        .own_bytes = 65536,
        .scan = "full",
    };
}

static void put_service_stacks(struct sample *s)
{
    int64_t main_at = add_function(s, s->module, 0x1100, "main", "/src/main.c", 20, NULL);
    int64_t insert = add_function(s, s->module, 0x1200, "cache_insert", "/src/cache.c", 40, NULL);
    int64_t text =
        add_function(s, s->cxx, 0x900, "std::string::_M_construct(char const*)", NULL, 0, NULL);
    int64_t format = add_function(s, s->module, 0x1300, "std::vector<int>::push_back(int&&)",
                                  "/usr/include/c++/12/bits/stl_vector.h", 1287, "format_name");
    int64_t session =
        add_function(s, s->module, 0x1400, "session_new", "/src/session.c", 31, "open_session");
    int64_t start = add_function(s, s->libc, 0x271ca, "__libc_start_call_main", NULL, 0, NULL);
    add_node(s, 0, 1, 0, start);
    add_node(s, 0, 2, 1, main_at);
    add_node(s, 0, 3, 2, insert);
    add_node(s, 0, 4, 2, format);
    add_node(s, 0, 5, 4, text);
    add_node(s, 0, 6, 2, session);
    /* The tracker met the second stack while the first one's slot was being filled. */
    add_node(s, 0, 7, 2, insert);
    add_stack(s, 0, 1, 3, 3);
    add_stack(s, 0, 2, 7, 3);
    add_stack(s, 0, 3, 5, 4);
    add_stack(s, 0, 4, 6, 3);
    check(recording_writer_put_source_line(
        s->writer,
        &(struct recording_source_line){"/src/cache.c", 40, "    entry->key = malloc(length);"}));
}

static void put_service_sites(struct sample *s)
{
    const struct recording_site sites[] = {
        {.stack = 1,
         .allocations = 300,
         .allocated_bytes = 30000,
         .frees = 200,
         .freed_bytes = 20000,
         .peak_blocks = 200,
         .peak_bytes = 20000,
         .lifetimes = {100, 0, 50}},
        {.stack = 2,
         .allocations = 50,
         .allocated_bytes = 5000,
         .peak_blocks = 50,
         .peak_bytes = 5000},
        {.stack = 3,
         .allocations = 1000,
         .allocated_bytes = 64000,
         .frees = 1000,
         .freed_bytes = 64000,
         .temporaries = 1000},
        {.stack = 4, .allocations = 2, .allocated_bytes = 96, .peak_blocks = 1, .peak_bytes = 48},
    };
    for (size_t i = 0; i < sizeof(sites) / sizeof(sites[0]); i++) {
        check(recording_writer_put_site(s->writer, &sites[i]));
    }
    check(recording_writer_put_cpu(
        s->writer, &(struct recording_cpu){.stack = 1, .samples = 60, .allocator_samples = 30}));
    check(recording_writer_put_cpu(s->writer, &(struct recording_cpu){.stack = 3, .samples = 10}));
    check(recording_writer_put_defect(s->writer,
                                      &(struct recording_defect){.kind = RECORDING_MISMATCHED_FREE,
                                                                 .count = 3,
                                                                 .release_stack = 4,
                                                                 .allocation_stack = 1,
                                                                 .allocated_as = "malloc",
                                                                 .released_as = "delete"}));
}

static void put_service_snapshots(struct sample *s)
{
    static const int64_t live_bytes[] = {1000, 20000, 15096};
    for (int64_t i = 0; i < 3; i++) {
        check(recording_writer_add_snapshot(
            s->writer, &(struct recording_snapshot){.snapshot = 10 + i * 7,
                                                    .time_ns = (i * 4 + 1) * SECOND,
                                                    .label = i == 1 ? "after warm-up" : NULL,
                                                    .cause = i == 1 ? "program" : "periodic"}));
        check(recording_writer_add_snapshot_process(
            s->writer, &(struct recording_snapshot_process){.snapshot = 10 + i * 7,
                                                            .live_bytes = live_bytes[i],
                                                            .live_blocks = live_bytes[i] / 100,
                                                            .allocations = 10 + i * 400,
                                                            .rss_bytes = 2097152}));
    }
    const struct recording_snapshot_site rows[] = {
        {.snapshot = 10, .stack = 1, .allocations = 10, .allocated_bytes = 1000},
        {.snapshot = 17,
         .stack = 1,
         .allocations = 200,
         .allocated_bytes = 20000,
         .frees = 50,
         .freed_bytes = 5000},
        {.snapshot = 17, .stack = 2, .allocations = 50, .allocated_bytes = 5000},
        {.snapshot = 24,
         .stack = 1,
         .allocations = 300,
         .allocated_bytes = 30000,
         .frees = 200,
         .freed_bytes = 20000},
        {.snapshot = 24, .stack = 4, .allocations = 2, .allocated_bytes = 96},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check(recording_writer_add_snapshot_site(s->writer, &rows[i]));
    }
}

static void put_service_timeline(struct sample *s)
{
    for (int64_t i = 0; i <= 100; i++) {
        int64_t live = i < 60 ? i * 400 : 24000 - (i - 60) * 222;
        check(recording_writer_put_point(
            s->writer, &(struct recording_point){.time_ns = i * SECOND / 10,
                                                 .live_bytes = live,
                                                 .live_min_bytes = live,
                                                 .live_max_bytes = i == 60 ? 25048 : live,
                                                 .live_blocks = live / 100,
                                                 .rss_bytes = 2097152,
                                                 .allocations = i * 13,
                                                 .cpu_ns = i * SECOND / 50,
                                                 .allocator_allocated_bytes = RECORDING_UNKNOWN,
                                                 .allocator_active_bytes = RECORDING_UNKNOWN,
                                                 .allocator_metadata_bytes = RECORDING_UNKNOWN,
                                                 .allocator_resident_bytes = RECORDING_UNKNOWN,
                                                 .allocator_retained_bytes = RECORDING_UNKNOWN}));
    }
}

static void put_service_census(struct sample *s)
{
    check(recording_writer_put_census(s->writer,
                                      &(struct recording_census){.census = 1,
                                                                 .snapshot = RECORDING_UNKNOWN,
                                                                 .time_ns = 10 * SECOND,
                                                                 .is_final = true,
                                                                 .scan = "full"}));
    check(recording_writer_put_census_site(
        s->writer, &(struct recording_census_site){.census = 1,
                                                   .stack = 4,
                                                   .blocks = {2, 0, 0, 0, 0},
                                                   .bytes = {96, 0, 0, 0, 0},
                                                   .oldest_ns = 3 * SECOND,
                                                   .retained_bytes = RECORDING_UNKNOWN,
                                                   .pinned_pages = RECORDING_UNKNOWN,
                                                   .pinned_bytes = RECORDING_UNKNOWN}));
    check(recording_writer_put_census_site(
        s->writer, &(struct recording_census_site){.census = 1,
                                                   .stack = 1,
                                                   .blocks = {0, 0, 0, 100, 0},
                                                   .bytes = {0, 0, 0, 10000, 0},
                                                   .oldest_ns = RECORDING_UNKNOWN,
                                                   .retained_bytes = RECORDING_UNKNOWN,
                                                   .pinned_pages = RECORDING_UNKNOWN,
                                                   .pinned_bytes = RECORDING_UNKNOWN}));
}

void sample_write_service(const char *path)
{
    struct sample s = sample_begin(path);
    struct recording_process process = sample_process(0, 100);
    process.peak_bytes = 25048;
    process.peak_blocks = 251;
    process.peak_ns = 6 * SECOND;
    process.live_bytes = 15096;
    process.live_blocks = 152;
    process.cut_stacks = 2;
    check(recording_writer_put_process(s.writer, &process));
    const char *arguments[] = {"service", "--port", "80"};
    check(recording_writer_put_arguments(s.writer, 0, arguments, 3));
    put_service_stacks(&s);
    put_service_sites(&s);
    put_service_snapshots(&s);
    put_service_timeline(&s);
    put_service_census(&s);
    check(recording_writer_set_module_debug(s.writer, s.libc, "symbols", NULL));
    sample_end(&s);
}

void sample_write_tree(const char *path)
{
    struct sample s = sample_begin(path);
    struct recording_process shell = sample_process(0, 100);
    struct recording_process worker = sample_process(1, 101);
    struct recording_process other = sample_process(2, 101);
    worker.parent = 0;
    worker.image = 0;
    worker.start = RECORDING_START_FORK;
    worker.parent_pid = 100;
    worker.started_ns = SECOND;
    worker.ended_ns = 2 * SECOND;
    worker.exit_status = RECORDING_UNKNOWN;
    worker.was_replaced = 1;
    other.parent = 1;
    other.parent_pid = 100;
    other.started_ns = 2 * SECOND;
    other.exit_status = RECORDING_UNKNOWN;
    other.signal = 9;
    other.executable = "/usr/bin/other";
    other.scan = "failed: the process was killed";
    check(recording_writer_put_process(s.writer, &shell));
    check(recording_writer_put_process(s.writer, &worker));
    check(recording_writer_put_process(s.writer, &other));
    put_service_stacks(&s);
    check(recording_writer_put_site(
        s.writer, &(struct recording_site){
                      .process = 0, .stack = 1, .allocations = 7, .allocated_bytes = 700}));
    check(recording_writer_put_site(s.writer, &(struct recording_site){.process = 1,
                                                                       .stack = 1,
                                                                       .allocations = 1,
                                                                       .allocated_bytes = 10,
                                                                       .frees = 3,
                                                                       .freed_bytes = 210,
                                                                       .inherited_blocks = 7,
                                                                       .inherited_bytes = 700}));
    sample_end(&s);
}

void sample_write_hostile(const char *path)
{
    static const char nasty[] = "evil\x1b[31m\"'\n</script><b>|`*\xff\xe2\x80\xae${x}\t\\";
    struct sample s = sample_begin(path);
    struct recording_process process = sample_process(0, 100);
    process.executable = nasty;
    process.peak_bytes = 64;
    process.peak_blocks = 1;
    check(recording_writer_put_process(s.writer, &process));
    const char *arguments[] = {nasty, "=1+1", ""};
    check(recording_writer_put_arguments(s.writer, 0, arguments, 3));
    int64_t address = add_function(&s, s.module, 0x1100, nasty, nasty, 20, nasty);
    add_node(&s, 0, 1, 0, address);
    add_stack(&s, 0, 1, 1, 1);
    check(recording_writer_put_source_line(s.writer,
                                           &(struct recording_source_line){nasty, 20, nasty}));
    check(recording_writer_put_site(s.writer, &(struct recording_site){.stack = 1,
                                                                       .allocations = 1,
                                                                       .allocated_bytes = 64,
                                                                       .peak_blocks = 1,
                                                                       .peak_bytes = 64}));
    check(recording_writer_put_thread(
        s.writer, &(struct recording_thread){.tid = 100, .name = nasty, .threads_served = 3}));
    check(recording_writer_put_cpu(
        s.writer, &(struct recording_cpu){.stack = 1, .samples = 5, .allocator_samples = 2}));
    check(recording_writer_add_snapshot(
        s.writer, &(struct recording_snapshot){.snapshot = 1, .label = nasty, .cause = nasty}));
    check(recording_writer_add_snapshot_process(
        s.writer, &(struct recording_snapshot_process){.snapshot = 1}));
    sample_end(&s);
}

void sample_write_empty(const char *path)
{
    struct sample s = sample_begin(path);
    struct recording_process process = sample_process(0, 100);
    check(recording_writer_put_process(s.writer, &process));
    sample_end(&s);
}
