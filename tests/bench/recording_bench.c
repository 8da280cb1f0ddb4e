/*
 * Writes a recording of N sites (default 100 000) with stacks of 30 frames and S snapshots
 * (default 200) in each of which a tenth of the sites changed, loads it and reports it.
 * Prints seconds and bytes. NEW: how many frames of a stack are not those of the one before, on
 * average (default 4), so that there are N * NEW nodes.
 *
 * usage: recording_bench [SITES [SNAPSHOTS [FILE [NEW]]]]
 */
#include "analyses/summary.h"
#include "recording/writer.h"
#include "render/render.h"
#include "report/run_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define FRAMES 30
#define FUNCTIONS 20000

static double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void lap(const char *what, double *since)
{
    double now = now_seconds();
    printf("%-28s %8.3f s\n", what, now - *since);
    *since = now_seconds();
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void must(int64_t code)
{
    if (code < 0) {
        fprintf(stderr, "recording_bench: error %lld\n", (long long)code);
        exit(1);
    }
}

/* Stacks that share most of their outer frames; 4 new nodes a stack are as in a compiler. */
static void write_stacks(struct recording_writer *writer, int64_t sites, int new_frames)
{
    uint32_t random = 1;
    int64_t nodes = 0;
    struct recording_module module = {.path = "/usr/bin/program"};
    int64_t id = recording_writer_add_module(writer, &module);
    int64_t *at_depth = calloc(FRAMES + 1, sizeof(*at_depth));
    for (int64_t stack = 1; stack <= sites && at_depth != NULL; stack++) {
        int keep = stack == 1 ? 0 : FRAMES - 1 - (int)(next_random(&random) % (2u * (unsigned)new_frames - 1));
        for (int depth = keep + 1; depth <= FRAMES; depth++) {
            int64_t address =
                recording_writer_add_address(writer, id, 16 * (next_random(&random) % FUNCTIONS));
            must(address);
            at_depth[depth] = ++nodes;
            must(recording_writer_add_node(
                writer, &(struct recording_node){
                            .node = nodes, .parent = at_depth[depth - 1], .address = address}));
        }
        must(recording_writer_add_stack(
            writer, &(struct recording_stack){.stack = stack, .leaf = nodes, .depth = FRAMES}));
    }
    free(at_depth);
}

static int name_address(void *context, const struct recording_address *address,
                        const struct recording_module *module)
{
    (void)module;
    int64_t **next = context;
    *(*next)++ = address->id;
    return 0;
}

static void write_symbols(struct recording_writer *writer)
{
    int64_t *addresses = calloc(FUNCTIONS + 1, sizeof(*addresses));
    int64_t *next = addresses;
    must(recording_writer_each_unresolved(writer, name_address, &next));
    for (int64_t *at = addresses; at < next; at++) {
        char function[64];
        char file[64];
        snprintf(function, sizeof(function), "some_namespace::function_%lld(int)", (long long)*at);
        snprintf(file, sizeof(file), "/src/folder/file_%lld.cc", (long long)*at % 1000);
        struct recording_symbol chain[] = {
            {.function = "inlined_helper", .file = "/src/h.h", .line = 3, .is_inlined = true},
            {.function = function, .file = file, .line = *at % 2000 + 1}};
        must(recording_writer_put_symbols(writer, *at, *at % 2 ? chain : chain + 1,
                                          *at % 2 ? 2 : 1));
    }
    free(addresses);
}

static void write_snapshots(struct recording_writer *writer, int64_t sites, int64_t snapshots,
                            struct recording_snapshot_site *state)
{
    uint32_t random = 7;
    for (int64_t i = 0; i < snapshots; i++) {
        must(recording_writer_begin(writer, "a snapshot"));
        must(recording_writer_add_snapshot(
            writer, &(struct recording_snapshot){.snapshot = i, .time_ns = i * 1000000000}));
        must(recording_writer_add_snapshot_process(
            writer, &(struct recording_snapshot_process){.snapshot = i, .live_bytes = i * 1000}));
        int64_t from = i == 0 ? 1 : 1 + (int64_t)(next_random(&random) % 10);
        for (int64_t stack = from; stack <= sites; stack += i == 0 ? 1 : 10) {
            struct recording_snapshot_site *site = &state[stack];
            /* A few sites allocate very often, most now and then. */
            int64_t allocations = next_random(&random) % (2u << stack % 12);
            int64_t frees = next_random(&random) % (allocations + 1);
            /* Most sites ask for one size, some for any. */
            int64_t size = 16 + (stack % 4 == 0 ? next_random(&random) : (uint32_t)stack) % 500;
            site->snapshot = i;
            site->stack = stack;
            site->allocations += allocations;
            site->allocated_bytes += allocations * size;
            site->frees += frees;
            site->freed_bytes += frees * size;
            site->temporaries += frees / 3;
            must(recording_writer_add_snapshot_site(writer, site));
        }
        must(recording_writer_commit(writer, NULL));
    }
}

static void write_all(const char *path, int64_t sites, int64_t snapshots, int new_frames)
{
    double since = now_seconds();
    struct recording_run run = {.memtrack_version = "bench",
                                .tick_ns = 10000000,
                                .cpu_hz = 99,
                                .sample_bytes = RECORDING_UNKNOWN};
    struct recording_writer *writer = NULL;
    must(recording_writer_create(path, &run, true, &writer, NULL));
    must(recording_writer_begin(writer, "stacks"));
    must(recording_writer_put_process(
        writer, &(struct recording_process){.executable = "/usr/bin/program",
                                            .parent = RECORDING_UNKNOWN,
                                            .ended_ns = snapshots * 1000000000,
                                            .peak_bytes = sites * 1000}));
    write_stacks(writer, sites, new_frames);
    must(recording_writer_commit(writer, NULL));
    lap("write stacks", &since);
    struct recording_snapshot_site *state = calloc((size_t)sites + 1, sizeof(*state));
    must(state != NULL ? 0 : -1);
    write_snapshots(writer, sites, snapshots, state);
    lap("write snapshots", &since);
    must(recording_writer_begin(writer, "sites and symbols"));
    for (int64_t stack = 1; stack <= sites; stack++) {
        must(recording_writer_put_site(writer,
                                       &(struct recording_site){.stack = stack,
                                                                .allocations = state[stack].allocations,
                                                                .allocated_bytes = state[stack].allocated_bytes,
                                                                .frees = state[stack].frees,
                                                                .freed_bytes = state[stack].freed_bytes,
                                                                .temporaries = state[stack].temporaries,
                                                                .peak_bytes = stack * 50,
                                                                .peak_blocks = stack / 2,
                                                                .lifetimes = {1, 2, 3}}));
    }
    free(state);
    write_symbols(writer);
    must(recording_writer_commit(writer, NULL));
    lap("write sites and symbols", &since);
    must(recording_writer_begin(writer, "thinning"));
    int64_t removed = recording_writer_thin_snapshots(writer, snapshots / 2, INT64_MAX);
    must(removed);
    must(recording_writer_commit(writer, NULL));
    lap("thin to half the snapshots", &since);
    must(recording_writer_finish(writer, true, NULL));
    lap("finish", &since);
}

int main(int argc, char **argv)
{
    int64_t sites = argc > 1 ? atoll(argv[1]) : 100000;
    int64_t snapshots = argc > 2 ? atoll(argv[2]) : 200;
    const char *path = argc > 3 ? argv[3] : "recording_bench.mtk";
    int new_frames = argc > 4 ? atoi(argv[4]) : 4;
    if (new_frames < 1 || new_frames > FRAMES / 2) {
        fprintf(stderr, "recording_bench: %s: from 1 to %d\n", argv[4], FRAMES / 2);
        return 1;
    }
    write_all(path, sites, snapshots, new_frames);
    FILE *file = fopen(path, "rb");
    if (file != NULL) {
        fseek(file, 0, SEEK_END);
        printf("%-28s %8.1f MiB\n", "size", (double)ftell(file) / 1048576);
        fclose(file);
    }
    double since = now_seconds();
    struct model *model = NULL;
    must(model_load(&(struct model_selector){.path = path}, &model, NULL));
    lap("load", &since);
    struct region *region = region_new();
    const struct summary *summary = summary_make(region, model, &model->processes[0]);
    struct report_document *document =
        run_report_make(summary, &(struct run_report_options){.top = 10});
    FILE *out = fopen("/dev/null", "w");
    render_text(out, document, &(struct render_options){.width = 100});
    lap("text report", &since);
    struct render_json json;
    render_json_init(&json, out);
    run_report_write(&json.tree, model, &model->processes[0]);
    render_json_finish(&json);
    fclose(out);
    lap("json report", &since);
    report_document_free(document);
    region_free(region);
    model_free(model);
    must(model_load(&(struct model_selector){.path = path, .state = MODEL_STATE_LAST}, &model,
                    NULL));
    lap("load at the last snapshot", &since);
    printf("%-28s %8.1f MiB\n", "model in memory",
           (double)region_size_bytes(model->region) / 1048576);
    model_free(model);
    if (argc <= 3) {
        unlink(path);
    }
    return 0;
}
