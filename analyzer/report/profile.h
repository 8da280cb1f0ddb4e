/*
 * report/profile.h - a state of a run as weighted stacks: what profile viewers read.
 *
 *   sample --- locations (innermost first) --- frames (an inline chain) --- function
 *     |            |
 *   values,      module (build-id)
 *   thread
 *
 * Samples of memory come first, then those of CPU time, which have a thread. A sample's
 * values are zero for the metrics it does not speak of, so sums over all samples are the
 * totals.
 *
 * Context: analyzer.
 * Memory:  all of it is one region's, or borrowed from the model that it was made of.
 * Threads: read by any.
 */
#ifndef MEMTRACK_REPORT_PROFILE_H
#define MEMTRACK_REPORT_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum profile_metric {
    PROFILE_ALLOCATED,   /* bytes */
    PROFILE_ALLOCATIONS,
    PROFILE_LIVE,        /* bytes */
    PROFILE_BLOCKS,      /* live blocks */
    PROFILE_PEAK,        /* bytes at the process's peak */
    PROFILE_TEMPORARY,   /* temporary allocations */
    PROFILE_LEAKED,      /* bytes, definite and indirect */
    PROFILE_CPU,         /* samples */
    PROFILE_CHOICES,     /* those above can be asked for by name */
    PROFILE_PEAK_BLOCKS = PROFILE_CHOICES,
    PROFILE_LEAKED_BLOCKS,
    PROFILE_LIFETIMES, /* microseconds, summed over blocks that were freed; estimated */
    PROFILE_METRICS
};

#define PROFILE_NONE UINT32_MAX

struct profile_module {
    const char *path;     /* never NULL */
    const char *name;     /* its last part */
    const char *build_id; /* hexadecimal, "" if it has none */
    uint64_t end;         /* offsets of locations are below it */
};

struct profile_function {
    const char *name;         /* "[in libx.so]" if unknown; never NULL */
    const char *linkage_name; /* never NULL */
    const char *file;         /* "" if unknown */
    int64_t line;             /* where it is declared; 0: unknown */
    uint32_t module;          /* PROFILE_NONE */
};

struct profile_frame {
    uint32_t function; /* index */
    int64_t line;      /* 0: unknown */
};

struct profile_location {
    const struct profile_frame *frames; /* innermost first; at least one */
    uint32_t frame_count;
    uint32_t module; /* PROFILE_NONE */
    uint64_t offset; /* of the call, in the module */
};

struct profile_sample {
    const uint32_t *locations; /* indices, innermost first */
    uint32_t location_count;
    uint32_t thread; /* PROFILE_NONE: not CPU time */
    int64_t values[PROFILE_METRICS];
};

struct profile_thread {
    const char *name; /* never NULL */
    int64_t pid;
    int64_t tid;
};

/* The timeline of one process. */
struct profile_point {
    double seconds; /* since it started */
    int64_t live_bytes;
    int64_t live_max_bytes; /* since the point before */
    int64_t live_blocks;
    int64_t rss_bytes; /* negative: unknown */
    int64_t allocations;
    double cpu_seconds;
};
struct profile_timeline {
    const char *program;
    int64_t pid;
    const struct profile_point *points;
    size_t point_count;
};

struct profile {
    const char *program; /* path of the main process's */
    const char *command; /* as it was started */
    int64_t pid;
    size_t process_count; /* how many are in it */
    int64_t started_ns;   /* since 1970; 0: unknown */
    double seconds;
    double state_seconds; /* the moment that "live" is about */
    int64_t cpu_hz;       /* 0: unknown */
    bool is_wall;         /* CPU samples are by wall clock */
    int64_t sample_bytes; /* 0: every allocation was seen */
    int64_t peak_bytes;
    double peak_seconds;
    bool has_metric[PROFILE_METRICS];
    int64_t totals[PROFILE_METRICS];

    const struct profile_module *modules;
    size_t module_count;
    uint32_t program_module; /* PROFILE_NONE */
    const struct profile_function *functions;
    size_t function_count;
    const struct profile_location *locations;
    size_t location_count;
    const struct profile_sample *samples;
    size_t sample_count;
    const struct profile_thread *threads;
    size_t thread_count;
    const struct profile_timeline *timelines;
    size_t timeline_count;
};

/* The metric that a person names: "allocated", "live" ...; PROFILE_METRICS: no such one. */
enum profile_metric profile_metric_find(const char *name);
const char *profile_metric_name(enum profile_metric metric);
bool profile_metric_is_bytes(enum profile_metric metric);
/* "bytes", "blocks", "allocations", "samples". */
const char *profile_metric_unit(enum profile_metric metric);

#endif
