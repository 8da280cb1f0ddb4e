/*
 * recording/rows.h - the rows of a recording as C structs, one per table of schema.sql.
 *
 * The writer takes them and the reader gives them. Times are nanoseconds since the run
 * started (struct recording_run.started_realtime_ns), sizes are bytes, text is bytes
 * without NUL as the system gave it, NULL where unknown. Integers that may be unknown
 * use RECORDING_UNKNOWN.
 *
 * Who owns what:
 *   run 1 - n image (what exec made: its mappings, its stacks)
 *           image 1 - n process (an image running in one pid: its sites, its timeline)
 *   module (a file: path and build-id) and address (module and offset) are shared by
 *   all images, so that a symbol is resolved once for a whole run.
 *
 * Ids of processes, images, stacks and nodes are the recorder's own: images and
 * processes count from 0; stack 0 means "no stack", node 0 "no node".
 *
 * Context: recorder, analyzer.
 */
#ifndef MEMTRACK_RECORDING_ROWS_H
#define MEMTRACK_RECORDING_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORDING_UNKNOWN INT64_MIN
#define RECORDING_LIFETIME_BUCKETS 16u

/* Facts of the whole run. */
struct recording_run {
    const char *memtrack_version;
    const char *host;
    const char *kernel;
    const char *command; /* as the person typed it, for display */
    const char *working_directory;
    int64_t started_realtime_ns; /* CLOCK_REALTIME */
    int64_t tick_ns;             /* unit of the lifetime buckets */
    int64_t sample_bytes;        /* RECORDING_UNKNOWN: every allocation */
    int64_t cpu_hz;              /* 0: no CPU samples */
    int64_t depth_max;
    const char *follow;         /* all, none, fork */
    const char *leaks;          /* full, counts, off */
    const char *cpu_clock;      /* cpu, wall */
    const char *allocator;      /* default, jemalloc, a path */
    int64_t tracks_mmap;        /* 0 or 1 */
    int64_t memory_limit_bytes; /* cgroup's or machine's; RECORDING_UNKNOWN */
    int64_t recorder_cpu_ns;    /* memtrack's own; set at the end */
};

enum recording_start {
    RECORDING_START_EXEC = 1,
    RECORDING_START_FORK = 2,
    RECORDING_START_ATTACH = 3
};

/* One entry of the process tree. Write it again (same id) whenever more is known. */
struct recording_process {
    int64_t id;
    int64_t parent; /* id of the process it was forked from or exec'ed over; RECORDING_UNKNOWN */
    int64_t image;
    enum recording_start start;
    int64_t pid;
    int64_t parent_pid;
    const char *executable;
    const char *working_directory;
    const char *allocator;        /* "glibc 2.36" */
    const char *untracked_reason; /* NULL: tracked */
    int64_t arguments_are_cut;    /* 0 or 1 */
    int64_t started_ns;
    int64_t ended_ns;     /* RECORDING_UNKNOWN: still ran when this was written */
    int64_t exit_status;  /* RECORDING_UNKNOWN: ended by a signal, exec'ed over, or not known */
    int64_t signal;       /* RECORDING_UNKNOWN: none */
    int64_t was_replaced; /* 1: ended because it exec'ed another program */
    int64_t live_bytes;   /* the process's own count at the end, to compare with the sites */
    int64_t live_blocks;
    int64_t peak_bytes;
    int64_t peak_blocks;
    int64_t peak_ns;
    int64_t peak_rss_bytes; /* RECORDING_UNKNOWN */
    int64_t cpu_user_ns;    /* RECORDING_UNKNOWN */
    int64_t cpu_system_ns;
    int64_t minor_faults; /* page faults without and with I/O; RECORDING_UNKNOWN */
    int64_t major_faults;
    int64_t threads;
    int64_t dropped_events;
    int64_t unknown_stacks;     /* events recorded under stack 0 */
    int64_t approximate_stacks; /* captures that needed a guess */
    int64_t cut_stacks;         /* captures deeper than depth_max */
    const char *cpu_sampling; /* "off", "on", "ended: WHY", "failed: WHY"; NULL: not known */
    int64_t cpu_samples_lost; /* CPU time of which nobody knows where it was spent, in samples */
    int64_t cpu_threads_missed;
    int64_t errors_beyond_table; /* defects that found no room */
    int64_t own_bytes;           /* memtrack's memory inside the process */
    const char *scan;            /* "full", "counts", "off", "failed: WHY"; NULL: not known yet */
};

/* A file that was mapped. The writer gives equal (path, build_id) the same id. */
struct recording_module {
    int64_t id; /* from 1; 0: no module, then an address's offset is the address itself */
    const char *path;
    const uint8_t *build_id; /* NULL: none */
    size_t build_id_bytes;
    int64_t kind;           /* enum recording_module_kind, set by the writer from the path */
    const char *debug_info; /* "full", "symbols", "none"; NULL: not looked at */
    const char *hint;       /* how to get what is missing, one line, or NULL */
};

/* What a module is, as far as blame goes: a location is a frame of the program. */
enum recording_module_kind {
    RECORDING_MODULE_PROGRAM = 0,
    RECORDING_MODULE_LIBC = 1,
    RECORDING_MODULE_CXX_RUNTIME = 2,
    RECORDING_MODULE_ALLOCATOR = 3,
    RECORDING_MODULE_TRACKER = 4 /* the shim itself: never shown */
};

/* Where an image had a module: addresses [start, end), address = load_bias + offset. */
struct recording_mapping {
    int64_t image;
    int64_t module;
    uint64_t start;
    uint64_t end;
    uint64_t load_bias;
    int64_t epoch;
};

/* An address inside a module. `offset` is the address in the file's program headers
 * (pc - load_bias). It is a return address; whoever records an exact pc (the innermost
 * frame of a CPU sample, a frame under a signal handler) stores pc + 1. */
struct recording_address {
    int64_t id;
    int64_t module;
    uint64_t offset;
    bool is_resolved; /* a symbolizer looked at it, found or not */
};

/* A node of an image's stack trie. */
struct recording_node {
    int64_t image;
    int64_t node;
    int64_t parent; /* node of the caller; 0: outermost */
    int64_t address;
};

enum recording_stack_flag { RECORDING_STACK_CUT = 1, RECORDING_STACK_APPROXIMATE = 2 };

struct recording_stack {
    int64_t image;
    int64_t stack;
    int64_t leaf; /* innermost node; 0: no frames */
    int64_t depth;
    int64_t flags;
};

/* Counters of one stack in one process, over the whole run. Cumulative; blocks that a
 * fork inherited are in inherited_*, not in allocations. */
struct recording_site {
    int64_t process;
    int64_t stack;
    int64_t allocations;
    int64_t allocated_bytes;
    int64_t frees;
    int64_t freed_bytes;
    int64_t temporaries;
    int64_t peak_blocks; /* share at the process's peak */
    int64_t peak_bytes;
    int64_t inherited_blocks;
    int64_t inherited_bytes;
    /* bucket[i]: blocks that lived [2^i, 2^(i+1)) ticks before they were freed; shorter
     * lives are frees - sum. */
    int64_t lifetimes[RECORDING_LIFETIME_BUCKETS];
};

/* Only in a run that samples: what a site's estimates are worth. A 95 % interval is the
 * estimate +- 1.96 times the root of its variance. Live: at the end. */
struct recording_sample {
    int64_t process;
    int64_t stack;
    int64_t sampled_allocations;
    int64_t sampled_frees;
    double allocations_variance;
    double allocated_bytes_variance;
    double live_blocks_variance;
    double live_bytes_variance;
};

/* CPU samples of a stack in a thread. allocator_samples: time inside malloc and free
 * on behalf of blocks of this stack. The system ones are among these: they interrupted a
 * system call. */
struct recording_cpu {
    int64_t process;
    int64_t thread; /* index within the process, from 0 */
    int64_t stack;
    int64_t samples;
    int64_t system_samples;
    int64_t allocator_samples;
    int64_t allocator_system_samples;
};

struct recording_thread {
    int64_t process;
    int64_t thread;
    int64_t tid;
    const char *name;
    int64_t threads_served; /* threads that used this table one after another */
};

enum recording_error_kind {
    RECORDING_DOUBLE_FREE = 1,
    RECORDING_INVALID_FREE = 2,
    RECORDING_MISMATCHED_FREE = 3
};

struct recording_defect {
    int64_t process;
    enum recording_error_kind kind;
    int64_t count;
    int64_t release_stack;
    int64_t allocation_stack; /* 0: unknown */
    const char *allocated_as; /* "malloc", "new", "new[]" */
    const char *released_as;  /* "free", "delete", "delete[]" */
    uint64_t address;
};

/* A snapshot of the whole run. `snapshot` rises with time; the numbers that people see
 * (FILE@3) are positions, so that thinning leaves no holes. */
struct recording_snapshot {
    int64_t snapshot;
    int64_t time_ns;
    const char *label; /* NULL */
    const char *cause; /* "first", "periodic", "request", "program", "signal", "exit" */
};

/* One process's totals in a snapshot. */
struct recording_snapshot_process {
    int64_t snapshot;
    int64_t process;
    int64_t live_bytes;
    int64_t live_blocks;
    int64_t allocations;
    int64_t rss_bytes; /* RECORDING_UNKNOWN */
};

/* One site's cumulative counters in a snapshot. Only sites that changed since the
 * snapshot before have a row: the state at snapshot k is each site's latest row <= k. */
struct recording_snapshot_site {
    int64_t snapshot;
    int64_t process;
    int64_t stack;
    int64_t allocations;
    int64_t allocated_bytes;
    int64_t frees;
    int64_t freed_bytes;
    int64_t temporaries;
};

/* An interval of the timeline that ends at time_ns. Minima and maxima are true ones. */
struct recording_point {
    int64_t process;
    int64_t time_ns;
    int64_t live_bytes; /* at the end of the interval */
    int64_t live_min_bytes;
    int64_t live_max_bytes;
    int64_t live_blocks;
    int64_t rss_bytes;   /* RECORDING_UNKNOWN */
    int64_t allocations; /* cumulative */
    int64_t cpu_ns;      /* cumulative, user and system */
    /* jemalloc's stats.*; RECORDING_UNKNOWN without jemalloc. */
    int64_t allocator_allocated_bytes;
    int64_t allocator_active_bytes;
    int64_t allocator_metadata_bytes;
    int64_t allocator_resident_bytes;
    int64_t allocator_retained_bytes;
};

/* A walk through one process's heap. */
struct recording_census {
    int64_t census; /* from 1, chosen by the recorder */
    int64_t process;
    int64_t snapshot; /* RECORDING_UNKNOWN: none taken with it */
    int64_t time_ns;
    bool is_final;    /* at the process's end */
    const char *scan; /* "full", "counts", "failed: WHY" */
    int64_t pause_ns; /* how long the program stood still */
    int64_t scan_ns;
    const char *remark; /* what was scanned conservatively or left out; NULL */
};

enum recording_leak_class {
    RECORDING_LEAK_DEFINITE,
    RECORDING_LEAK_INDIRECT,
    RECORDING_LEAK_POSSIBLE,
    RECORDING_LEAK_REACHABLE,
    RECORDING_LEAK_IGNORED, /* the program asked to ignore these blocks */
    RECORDING_LEAK_CLASSES
};

struct recording_census_site {
    int64_t census;
    int64_t stack;
    int64_t blocks[RECORDING_LEAK_CLASSES];
    int64_t bytes[RECORDING_LEAK_CLASSES];
    int64_t led_blocks; /* indirect blocks under this site's definite ones */
    int64_t led_bytes;
    int64_t oldest_ns;      /* age of its oldest block; RECORDING_UNKNOWN */
    int64_t retained_bytes; /* what would go if this site went; RECORDING_UNKNOWN */
    int64_t pinned_pages;   /* mostly empty pages that its blocks keep; RECORDING_UNKNOWN */
    int64_t pinned_bytes;   /* what would be returned */
};

enum recording_holder_kind {
    RECORDING_HOLDER_GLOBAL = 1, /* address: the variable */
    RECORDING_HOLDER_STACK = 2,  /* thread and the stack frame's return address */
    RECORDING_HOLDER_REGISTER = 3,
    RECORDING_HOLDER_TLS = 4,
    RECORDING_HOLDER_MAPPING = 5, /* the program's own mapping or announced region */
    RECORDING_HOLDER_SITE = 6     /* a block of this stack */
};

/* One step of a chain from a root (step 0) to the blocks of `stack`. */
struct recording_holder {
    int64_t census;
    int64_t stack; /* whose blocks are held */
    int64_t chain; /* from 0, heaviest first */
    int64_t step;
    enum recording_holder_kind kind;
    int64_t holder_stack; /* RECORDING_HOLDER_SITE; else 0 */
    int64_t address;      /* recording_address id for globals and frames; 0: none */
    const char *text;     /* ".bss", thread's name, mapping's name; NULL */
    int64_t blocks;       /* of `stack`, that come through this chain */
    int64_t bytes;
};

/* A line of the table that adds up to RSS. */
#define RECORDING_LEDGER_AT_END (-1)
struct recording_ledger {
    int64_t snapshot; /* or RECORDING_LEDGER_AT_END: as the process itself told when it ended */
    int64_t process;
    const char *item;
    int64_t bytes;
};

/* One function of an address's inline chain, depth 0 innermost; all but the last are
 * inlined. */
struct recording_symbol {
    int64_t address;
    int64_t depth;
    const char *function;     /* demangled, as people read it; NULL */
    const char *linkage_name; /* mangled; NULL when equal or unknown */
    const char *file;         /* NULL */
    int64_t line;             /* 0: unknown */
    int64_t function_line;    /* where the function is declared; 0: unknown */
    bool is_inlined;
};

struct recording_source_line {
    const char *file;
    int64_t line;
    const char *text;
};

/* What a path is, by its file name. */
enum recording_module_kind recording_module_kind_of(const char *path);

#endif
