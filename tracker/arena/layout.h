/*
 * arena/layout.h - the memory that the tracked processes and the recorder share.
 *
 * One arena (a memfd, sparse) carries a whole run: every process, every exec'ed
 * image, every thread. The shim writes counters into it; the recorder, outside,
 * reads them at any instant, also after the process was killed. Nothing in it is
 * a log: it grows with distinct stacks and concurrent threads, not with events.
 *
 *   0 +---------------------+
 *     | struct arena_header |  configuration, clock, directories
 *     +---------------------+  ARENA_EXTENT_BYTES aligned from here on
 *     | extent              |  a process record, an image record, a thread table,
 *     | extent              |  a chunk of counters, nodes, stacks ...
 *     | ...                 |  handed out once, by one atomic add on `used_bytes`
 *     +---------------------+  size_bytes
 *
 * An "image" is what exec made: it owns the modules and the stack table, so that
 * a forked child keeps using its parent's stack ids. A "process" is one entry of
 * the recording: an image running in one pid; it owns the threads' counters.
 *
 * Everything refers to everything by byte offset from the arena's start; 0 means
 * "none". All-zero memory is a valid empty state of every structure here.
 *
 * Context: any (the shim, the recorder). Must not be included by the analyzer.
 * Memory:  extents are never freed by the shim; the recorder punches holes into
 *          those of processes that ended and were absorbed.
 * Threads: each field names its writer. Readers outside take every value as
 *          untrusted: a program that scribbles over the arena must not crash the
 *          recorder (see arena.h, arena_at()).
 */
#ifndef MEMTRACK_ARENA_LAYOUT_H
#define MEMTRACK_ARENA_LAYOUT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "arena/resident.h"

#define ARENA_MAGIC UINT64_C(0x314b434152544d4d) /* "MMTRACK1" */
#define ARENA_VERSION 3u
#define ARENA_CACHE_LINE 64u
#define ARENA_EXTENT_BYTES UINT64_C(65536)
#define ARENA_SIZE_DEFAULT_BYTES (UINT64_C(1) << 38)
#define ARENA_PROCESSES_MAX 65536u
#define ARENA_IMAGES_MAX 65536u

/* Stack ids: 1 .. ARENA_STACKS_MAX-1; 0 means "no stack" (table full, or captured
 * where no capture was possible) and has counters like any other site. */
#define ARENA_STACKS_MAX (1u << 20)
#define ARENA_NODES_MAX (1u << 24)

/* How a block was allocated, for the check of mismatched releases. */
enum arena_family {
    ARENA_FAMILY_MALLOC = 0,
    ARENA_FAMILY_NEW = 1,
    ARENA_FAMILY_NEW_ARRAY = 2,
    ARENA_FAMILY_IGNORED = 3 /* on the live map, but not counted: memtrack_pause(), _ignore() */
};

enum arena_follow { ARENA_FOLLOW_ALL = 0, ARENA_FOLLOW_NONE = 1, ARENA_FOLLOW_FORK = 2 };

/* Written by the recorder before the program starts, constant afterwards. */
struct arena_config {
    uint64_t sample_bytes; /* 0: every allocation */
    uint32_t depth_max;    /* frames kept, 1..CAPTURE_DEPTH_LIMIT */
    uint32_t cpu_hz;       /* 0: no CPU samples */
    uint32_t cpu_clock;    /* 0: thread CPU time, 1: wall */
    uint32_t follow;       /* enum arena_follow */
    uint32_t leaks;        /* 0 off, 1 counts, 2 full */
    uint32_t track_mmap;   /* bool */
    uint32_t roots;        /* ARENA_ROOTS_* */
    uint32_t sample_seed;  /* for tests that repeat a run; 0: from the clock */
    uint32_t census_flags; /* ARENA_CENSUS_FLAG_* */
    uint32_t pointer_alignment_bytes; /* of pointers in memory; 0: 8 */
    uint32_t reserved[4];
};

struct arena_header {
    uint64_t magic;
    uint32_t version;
    uint32_t header_bytes;
    uint64_t size_bytes;
    uint64_t started_realtime_ns;  /* CLOCK_REALTIME when the arena was made */
    uint64_t started_monotonic_ns; /* CLOCK_MONOTONIC at the same moment */
    uint64_t key; /* random; a process that finds an arena by pid and number compares it */
    int32_t recorder_pid;
    uint32_t tick_ns; /* length of the first clock ticks: see clock.h */
    struct arena_config config;

    /* Written by the recorder only: ticks since the arena was made, ever longer ones,
     * never beyond CLOCK_TICKS_MAX (clock.h). Read by every event. */
    _Alignas(ARENA_CACHE_LINE) _Atomic uint32_t clock_ticks;
    /* Recorder's: bumped with every tick; lets the shim see that nobody ticks. */
    _Atomic uint64_t clock_updates;

    /* Atomic add by whoever needs an extent. */
    _Alignas(ARENA_CACHE_LINE) _Atomic uint64_t used_bytes;
    _Atomic uint32_t process_count; /* indices handed out in process_offset[] */
    _Atomic uint32_t image_count;
    _Atomic uint32_t wake; /* futex: a process has news (start, snapshot request, ...) */

    /* 0 until the record is complete (release-stored last). */
    _Alignas(ARENA_CACHE_LINE) _Atomic uint64_t process_offset[ARENA_PROCESSES_MAX];
    _Atomic uint64_t image_offset[ARENA_IMAGES_MAX];
};

/* ---- sites: counters of one stack in one thread ------------------------- */

/*
 * One cache line. Written by the owning thread only, with plain adds; readers sum
 * over threads. Blocks freed by another thread are counted by that one, so a
 * single line's live values may be negative: use wrapping arithmetic.
 *
 * When the run samples (config.sample_bytes), a sampled block stands for its weight
 * w = 1/p, p = 1 - exp(-size/sample_bytes): bytes are added as w * size, and every count of
 * blocks (here, and the process's) in units of 1/ARENA_SAMPLE_SCALE of a block. The weight
 * depends on the size alone, so that a release takes away just what the allocation added.
 *
 * live_blocks = allocations - frees, live_bytes = allocated_bytes - freed_bytes.
 * Share at the peak (lazy peak capture): if peak_number equals the process's
 * current peak number then peak_bytes/peak_blocks, else the present live values;
 * these for every site while arena_peak_is_now().
 */
struct arena_site {
    uint64_t allocations;
    uint64_t allocated_bytes;
    uint64_t frees;
    uint64_t freed_bytes;
    uint64_t temporaries;
    int64_t peak_bytes;
    int64_t peak_blocks;
    uint32_t peak_number;
    uint32_t reserved;
};
_Static_assert(sizeof(struct arena_site) == ARENA_CACHE_LINE, "one line per site and thread");

/*
 * Lifetimes of blocks that lived at least one tick: bucket i counts lifetimes in
 * [2^i, 2^(i+1)) ticks. Shorter ones = frees - sum(buckets). Only touched by frees
 * of older blocks, therefore apart from the site's line.
 */
#define ARENA_LIFETIME_BUCKETS 16u
struct arena_lifetimes {
    uint32_t bucket[ARENA_LIFETIME_BUCKETS];
};

/*
 * What the estimates of a sampled site are worth: sums over its sampled blocks of the
 * variance that each adds, (1-p)/p^2 for counts and size^2 (1-p)/p^2 for bytes.
 * Those of live blocks: allocated - freed. Source: Horvitz and Thompson (1952).
 */
#define ARENA_SAMPLE_SCALE 65536
struct arena_sample_site {
    uint64_t sampled_allocations;
    uint64_t sampled_frees;
    double allocated_count_variance;
    double allocated_bytes_variance;
    double freed_count_variance;
    double freed_bytes_variance;
    uint64_t reserved[2];
};
_Static_assert(sizeof(struct arena_sample_site) == ARENA_CACHE_LINE, "one line");

/*
 * CPU samples whose stack is this site's: of the program's own code, and of time inside
 * the allocator (and our own work around it) for blocks that were allocated here.
 * `system` ones are those among them that interrupted a system call.
 * Owner-written: `samples` by the signal handler, the others by its hooks.
 */
struct arena_cpu_site {
    uint32_t samples;
    uint32_t system_samples;
    uint32_t allocator_samples;
    uint32_t allocator_system_samples;
};

#define ARENA_SITES_PER_CHUNK 1024u /* 64 KiB of struct arena_site */
#define ARENA_SITE_CHUNKS (ARENA_STACKS_MAX / ARENA_SITES_PER_CHUNK)
#define ARENA_CPU_SITES_PER_CHUNK 8192u
#define ARENA_CPU_SITE_CHUNKS (ARENA_STACKS_MAX / ARENA_CPU_SITES_PER_CHUNK)

enum arena_thread_state {
    ARENA_THREAD_FREE = 0,  /* its thread ended; the next thread may take the table */
    ARENA_THREAD_IN_USE = 1
};

/* A thread's table; handed to the next thread when its thread ends, so that their
 * number is that of concurrent threads. Owner-written unless said otherwise. */
struct arena_thread {
    _Atomic uint64_t next; /* list of the process's tables, insert-only */
    _Atomic uint32_t state;
    int32_t tid;
    char name[16];         /* of the last thread that used it */
    uint32_t threads_served;
    uint32_t is_inherited; /* 1: pseudo table, holds the live blocks a fork inherited */
    uint64_t cpu_samples_lost; /* the signal was blocked: CPU time without a place */
    uint32_t is_named;         /* bool: by the program, for us */
    uint32_t reserved_word;
    uint64_t reserved[7];
    _Alignas(ARENA_CACHE_LINE) _Atomic uint64_t site_chunk[ARENA_SITE_CHUNKS];
    _Atomic uint64_t lifetime_chunk[ARENA_SITE_CHUNKS];
    _Atomic uint64_t sample_chunk[ARENA_SITE_CHUNKS]; /* only when the run samples */
    _Atomic uint64_t cpu_chunk[ARENA_CPU_SITE_CHUNKS];
};

/* ---- census: a walk through the process's heap --------------------------- */

enum arena_leak_class {
    ARENA_LEAK_DEFINITE,
    ARENA_LEAK_INDIRECT,
    ARENA_LEAK_POSSIBLE,
    ARENA_LEAK_REACHABLE,
    ARENA_LEAK_IGNORED, /* the program asked to ignore these blocks */
    ARENA_LEAK_CLASSES
};

/* What a census found of one site. */
struct arena_census_site {
    uint32_t stack;
    uint32_t oldest_tick; /* birth of its oldest block */
    uint64_t blocks[ARENA_LEAK_CLASSES];
    uint64_t bytes[ARENA_LEAK_CLASSES];
    uint64_t led_blocks; /* indirect blocks that only this site's definite ones lead to */
    uint64_t led_bytes;
    uint64_t pinned_pages; /* pages less than a quarter full, most of it of this site */
    uint64_t pinned_bytes; /* what of them is not live */
};

enum arena_holder_kind {
    ARENA_HOLDER_GLOBAL = 1,   /* holder: address of the pointer in a module's data */
    ARENA_HOLDER_STACK = 2,    /* holder: return address of the frame it is in; 0: not known */
    ARENA_HOLDER_REGISTER = 3, /* holder: as of a stack, the innermost frame */
    ARENA_HOLDER_TLS = 4,      /* holder: address */
    ARENA_HOLDER_MAPPING = 5,  /* holder: address of the pointer in memory the program mapped */
    ARENA_HOLDER_SITE = 6      /* holder: stack id of the block with the pointer */
};

/* Blocks of `stack` to which the first pointer that was found is held by one holder. */
struct arena_census_edge {
    uint32_t stack;
    uint32_t kind; /* enum arena_holder_kind */
    uint64_t holder;
    int32_t tid;          /* of stack, register and TLS holders; 0: not known */
    uint32_t is_interior; /* the pointer leads into the block, not to its start */
    uint64_t blocks;
    uint64_t bytes;
};

/* A block that a census found lost; the next one looks whether it still is. */
struct arena_census_suspect {
    uint64_t scans_address; /* how many censuses in a row found it lost << 48 | address */
    uint64_t record;        /* of the live map: another block at this address differs */
};
#define ARENA_CENSUS_SCANS_MAX 255u
#define ARENA_CENSUS_SUSPECTS_MAX (1u << 22)

enum arena_census_state {
    ARENA_CENSUS_NONE = 0,
    ARENA_CENSUS_RUNNING = 1,
    ARENA_CENSUS_FULL = 2,
    ARENA_CENSUS_FAILED = 3 /* see failure */
};

/* Written by the census; the state is release-stored last. */
struct arena_census {
    _Atomic uint32_t state;
    uint32_t number;   /* 1, 2, ... within the process */
    uint32_t tick;     /* when the program stood still */
    uint32_t is_final; /* made at the process's end */
    uint32_t roots;    /* bits: ARENA_ROOTS_* */
    uint32_t threads;
    uint32_t threads_unparked; /* whose stacks were scanned as a whole */
    uint32_t site_count;
    uint32_t edge_count;
    uint32_t edges_merged; /* edges whose holder is only known to the page: no room for more */
    uint64_t sites; /* offset of struct arena_census_site [0..site_count), by stack */
    uint64_t edges; /* offset of struct arena_census_edge [0..edge_count) */
    uint64_t pause_ns;
    uint64_t scan_ns;
    uint64_t scanned_bytes;
    uint64_t own_bytes; /* memory the census needed */
    uint32_t since_tick; /* blocks born earlier are not counted; 0: all are */
    uint32_t agreement;  /* lost is what so many censuses in a row found lost, this one the last */
    uint64_t suspended_blocks; /* seem lost, but not to all of those: they count as reachable */
    uint64_t suspended_bytes;
    uint64_t suspects; /* offset of struct arena_census_suspect [0..suspect_count), by address */
    uint32_t suspect_count;
    uint32_t row; /* how many censuses in a row came to an end, with this one */
    char failure[128];  /* one line, for a person */
};

/* What counts as a root (struct arena_config.roots); 0 means all of them. */
#define ARENA_ROOTS_GLOBALS 1u
#define ARENA_ROOTS_STACKS 2u
#define ARENA_ROOTS_REGISTERS 4u
#define ARENA_ROOTS_TLS 8u
#define ARENA_ROOTS_MAPPINGS 16u
#define ARENA_ROOTS_ALL 31u

/* struct arena_config.census_flags */
#define ARENA_CENSUS_FLAG_AT_UNDERSCORE_EXIT 1u /* also where the program calls _exit */
#define ARENA_CENSUS_FLAG_INTERIOR 2u  /* a pointer into a block holds it */
#define ARENA_CENSUS_FLAG_NO_HEURISTICS 4u

/* Censuses of a process, newest last: number n stands in slot n % ARENA_CENSUSES, so that
 * one is complete while the next is made. */
#define ARENA_CENSUSES 2u
struct arena_census_slot {
    _Atomic uint64_t census; /* offset of struct arena_census */
    uint64_t capacity_bytes; /* of the space behind `sites`, used again by later ones */
    uint64_t space;          /* offset of that space */
};

/* ---- processes ---------------------------------------------------------- */

enum arena_start { ARENA_START_EXEC = 1, ARENA_START_FORK = 2, ARENA_START_ATTACH = 3 };

enum arena_error_kind {
    ARENA_ERROR_DOUBLE_FREE = 1,
    ARENA_ERROR_INVALID_FREE = 2,
    ARENA_ERROR_MISMATCHED_FREE = 3
};

/* One distinct defect; found again: count rises. kind is release-stored last. */
struct arena_error {
    _Atomic uint32_t kind;
    uint32_t release_stack;
    uint32_t allocation_stack; /* 0 unknown */
    uint8_t allocated_as;      /* enum arena_family */
    uint8_t released_as;
    uint16_t reserved;
    _Atomic uint64_t count;
    uint64_t address; /* of the first occurrence */
};
#define ARENA_ERRORS_MAX 256u

/* Extremes of live bytes within one clock tick; the slot is tick % ARENA_WINDOWS. */
struct arena_window {
    _Atomic uint32_t tick; /* release-stored last; 0 with max_bytes 0: empty */
    uint32_t reserved;
    int64_t max_bytes;
    int64_t min_bytes;
};
#define ARENA_WINDOWS 64u

/* A request of the program to the recorder, e.g. memtrack_snapshot("label"). The
 * program fills a slot (state 0 -> 1), wakes the recorder through header.wake and
 * waits on state; the recorder answers with state 2 and a futex wake. */
enum arena_request_kind {
    ARENA_REQUEST_SNAPSHOT = 1,
    ARENA_REQUEST_PRINT = 2, /* print these sites with names and lines on memtrack's stderr */
    ARENA_REQUEST_MAPS = 3   /* /proc/PID/maps, which the process itself cannot read */
};
#define ARENA_REQUEST_SITES 16u
struct arena_request_site {
    uint64_t blocks;
    uint64_t bytes;
    uint32_t stack;
    uint32_t reserved;
};
struct arena_request {
    _Atomic uint32_t state; /* 0 free, 1 filled, 2 done, 3 being filled */
    uint32_t kind;
    uint32_t site_count;
    char label[120];
    struct arena_request_site sites[ARENA_REQUEST_SITES];
    int32_t pid;         /* of ARENA_REQUEST_MAPS: the process, or its census's child */
    uint32_t text_bytes; /* the answer: so many at offset `text`; 0: there is none */
    uint64_t text;
};
#define ARENA_REQUESTS 8u

/*
 * The allocator's own figures, which only the program can read: jemalloc's mallctl, or
 * glibc's mallinfo2 (allocated: in use; active: got from the system; retained: free). The
 * latter walks the free lists: not for every second of a large heap.
 * The recorder raises `requested` (at most once a second); the shim looks at it where it
 * is on a slow path anyway, outside of any signal handler and of the allocator, reads the
 * figures, stores them and then sets `answered` to the number it saw (release).
 */
struct arena_allocator_figures {
    _Atomic uint32_t requested; /* the recorder's */
    _Atomic uint32_t answered;  /* the shim's; 0: never */
    _Atomic uint64_t allocated_bytes;
    _Atomic uint64_t active_bytes;
    _Atomic uint64_t resident_bytes;
    _Atomic uint64_t retained_bytes;
    _Atomic uint64_t metadata_bytes;
};

/*
 * What a process tells of itself when it ends by exit, as nobody can look it up afterwards. Where
 * its memory was is looked at in processes that lived for a while only: it takes some 100 us.
 */
struct arena_ending {
    _Atomic uint32_t has_resident; /* bool; release-stored last */
    uint32_t has_figures;          /* bool: allocator_figures are of the same moment */
    struct resident resident;
    _Atomic uint32_t has_usage; /* bool; release-stored last */
    int64_t user_ns;
    int64_t system_ns;
    int64_t peak_rss_bytes; /* 0: not known */
};

#define ARENA_TEXT_BYTES 4096u
#define ARENA_ARGUMENTS_BYTES 16384u

struct arena_process {
    /* Constant once process_offset[] is set. */
    int32_t pid;
    int32_t parent_pid;
    uint32_t parent_process; /* index + 1 of the process it was forked from; 0: unknown */
    uint32_t start;          /* enum arena_start */
    uint32_t image;          /* index into image_offset[] */
    uint32_t index;
    uint64_t started_monotonic_ns;

    /* How it ended, as far as it could say so itself. */
    _Atomic uint32_t exited; /* 1: exit_status is valid */
    int32_t exit_status;

    /* Our own failures and approximations: atomic adds, rare. */
    _Atomic uint64_t dropped_events;   /* could not be recorded at all */
    _Atomic uint64_t unknown_stacks;   /* recorded under stack 0 */
    _Atomic uint64_t approximate_stacks; /* distinct stacks that needed a guess */
    _Atomic uint64_t own_bytes;        /* private memory the shim mapped and touched: see live map */
    _Atomic uint64_t threads_started;
    _Atomic uint32_t untracked_reason; /* enum arena_untracked */

    /* CPU samples: what was missed. */
    _Atomic uint32_t cpu_sampling;       /* enum arena_cpu_sampling */
    _Atomic uint64_t cpu_threads_missed; /* the kernel gave no timer (RLIMIT_SIGPENDING) */
    _Atomic uint64_t cpu_samples_lost;   /* beside those that a thread counted itself */

    /* The total. While there is one thread: plain stores by it; with more: atomic adds
     * in batches. A reader who wants it exact sums the sites. */
    _Alignas(ARENA_CACHE_LINE) _Atomic int64_t shared_live_bytes;
    _Atomic int64_t shared_live_blocks;
    /* The present tick's extremes, as in windows[], on the line that every event of a single
     * thread touches anyway; the shim's own. */
    int64_t window_low;
    int64_t window_high;
    uint32_t window_tick;

    /* The peak: on a line of its own, because every event reads the number, and it
     * changes only when the total leaves a new maximum. While it still rises, the total is
     * above it: see arena_peak_is_now(). */
    _Alignas(ARENA_CACHE_LINE) _Atomic int64_t peak_bytes;
    _Atomic int64_t peak_blocks;
    _Atomic uint32_t peak_number; /* rises with every new maximum */
    _Atomic uint32_t peak_tick;
    _Atomic uint32_t is_multi_threaded;

    _Alignas(ARENA_CACHE_LINE) struct arena_window windows[ARENA_WINDOWS];
    _Atomic uint64_t first_thread; /* list of struct arena_thread */
    _Atomic uint32_t error_count;
    _Atomic uint64_t errors_beyond_table;
    struct arena_error errors[ARENA_ERRORS_MAX];
    struct arena_request requests[ARENA_REQUESTS];
    struct arena_allocator_figures allocator_figures;
    struct arena_ending ending;

    /* Censuses. The recorder (or the program, by the API) raises `requested` and sends the
     * signal `census_signal` to the process; `finished` is the number of the latest complete
     * one. */
    _Atomic uint32_t census_requested;
    _Atomic uint32_t census_finished;
    _Atomic int32_t census_signal; /* 0: the program left none free */
    char census_forbidden[64]; /* why there is none; "": there is */
    struct arena_census_slot censuses[ARENA_CENSUSES];

    /* Text, NUL-terminated; arguments NUL-separated, argument_bytes long in all. */
    uint32_t argument_bytes;
    uint32_t arguments_cut; /* bool: longer than the space here */
    char executable[ARENA_TEXT_BYTES];
    char working_directory[ARENA_TEXT_BYTES];
    char allocator[64]; /* "glibc 2.36", "jemalloc 5.3.0-..." */
    char arguments[ARENA_ARGUMENTS_BYTES];
};

/* Whether the process is at its peak at this moment, which it has not noted yet. */
static inline int arena_peak_is_now(const struct arena_process *process)
{
    return atomic_load_explicit(&process->shared_live_bytes, memory_order_relaxed)
           > atomic_load_explicit(&process->peak_bytes, memory_order_relaxed);
}

enum arena_cpu_sampling {
    ARENA_CPU_OFF = 0,
    ARENA_CPU_ON = 1,
    ARENA_CPU_ENDED = 2,      /* the program installed a seccomp filter: samples end there */
    ARENA_CPU_UNAVAILABLE = 3 /* the kernel refused the signal's handler */
};

/* Why the shim, though loaded, records nothing in this process. */
enum arena_untracked {
    ARENA_UNTRACKED_NO = 0,
    ARENA_UNTRACKED_OWN_MALLOC = 1, /* the executable defines malloc itself: our names are never called */
    ARENA_UNTRACKED_FOLLOW = 2      /* --follow excludes it */
};

/* ---- images: modules and stacks ----------------------------------------- */

/*
 * A module as it was mapped. Filled in by the shim when a frame of it is first seen.
 *
 * An epoch says what addresses mean. Epochs form a tree: an address of a stack of epoch
 * e belongs to the module of epoch e that covers it (the earliest in module_log), else to
 * that of e's parent, and so on up to epoch 0. A process changes its epoch when it
 * meets a module where its epoch has another one: after a dlclose with a later dlopen
 * of something else there, or when two children of a fork opened different libraries at
 * the same place. Each process has a current epoch of its own (core/module_table.h).
 */
#define ARENA_BUILD_ID_MAX 32u
struct arena_module {
    uint64_t start; /* addresses [start, end) */
    uint64_t end;
    uint64_t load_bias; /* address = load_bias + address in the file's program headers */
    uint32_t epoch;
    uint32_t build_id_bytes;
    uint8_t build_id[ARENA_BUILD_ID_MAX];
    char path[ARENA_TEXT_BYTES - 64]; /* "" for the executable itself, "[vdso]", or
                                       * "[anonymous]": was a module's, is code without a file */
};
_Static_assert(sizeof(struct arena_module) == ARENA_TEXT_BYTES, "modules fill pages");
#define ARENA_MODULES_PER_CHUNK 64u /* 256 KiB, sparse */
#define ARENA_MODULE_CHUNKS 64u
#define ARENA_MODULES_MAX (ARENA_MODULES_PER_CHUNK * ARENA_MODULE_CHUNKS)
#define ARENA_EPOCHS_MAX 4096u
#define ARENA_EPOCH_UNKNOWN UINT32_MAX /* no epoch was left: its addresses stay unresolved */

/* The part of a module that look-ups compare, apart so that they touch few lines. */
struct arena_module_range {
    uint64_t start;
    uint64_t end;
    uint32_t epoch;
    uint32_t reserved;
};

/* A node of the stack trie, 12 bytes: parent node and return address. Node 0 is no
 * node; parent 0 marks an outermost frame. A parent's id is less than its children's. */
struct arena_node {
    uint32_t parent;
    uint32_t pc_low;
    uint32_t pc_high;
};
#define ARENA_NODES_PER_CHUNK 16384u /* 192 KiB */
#define ARENA_NODE_CHUNKS (ARENA_NODES_MAX / ARENA_NODES_PER_CHUNK)

enum arena_stack_flag {
    ARENA_STACK_CUT = 1,        /* deeper than depth_max: outer frames are missing */
    ARENA_STACK_APPROXIMATE = 2 /* a guess was needed */
};

/* stack id -> innermost node. */
struct arena_stack {
    _Atomic uint32_t leaf; /* release-stored last; 0: not (yet) filled */
    uint16_t depth;
    uint8_t flags;
    uint8_t reserved;
    uint32_t epoch; /* of the modules */
    uint32_t reserved2;
};
#define ARENA_STACKS_PER_CHUNK 4096u /* 64 KiB */
#define ARENA_STACK_CHUNKS (ARENA_STACKS_MAX / ARENA_STACKS_PER_CHUNK)

/*
 * hash -> id, 8 bytes an entry, so that one compare-and-swap publishes it and nobody
 * ever meets a half-filled one:
 *
 *     63                                  id bits  0
 *     | low (64 - id bits) bits of the hash | id   |     0: empty
 *
 * The hash's other bits choose the place (see core/hash_index.h). Tables only grow:
 * generation g has
 * 2^(first_log2 + ARENA_HASH_GROWTH_LOG2(g)) entries; the newest is looked up first.
 */
#define ARENA_STACK_ID_BITS 20u
#define ARENA_NODE_ID_BITS 24u
_Static_assert(ARENA_STACKS_MAX == 1u << ARENA_STACK_ID_BITS, "an entry holds any stack id");
_Static_assert(ARENA_NODES_MAX == 1u << ARENA_NODE_ID_BITS, "an entry holds any node id");

#define ARENA_STACK_HASH_FIRST_LOG2 9u  /* 4 KiB: small programs touch one page */
#define ARENA_PREFIX_HASH_FIRST_LOG2 10u
#define ARENA_HASH_GENERATIONS 16u
/* What is not there is looked for in all generations, so let there be few, and the older
 * ones small: 1, 8, 64, 512 times the first one, then twice the one before. */
#define ARENA_HASH_GROWTH_LOG2(generation) ((generation) < 3 ? 3 * (generation) : 6 + (generation))
struct arena_hash_table {
    _Atomic uint32_t generations;                  /* count of valid entries below */
    _Atomic uint32_t used[ARENA_HASH_GENERATIONS]; /* entries filled; atomic add */
    /* Offset of an array of _Atomic uint64_t; set once, before `generations` counts it. */
    _Atomic uint64_t table[ARENA_HASH_GENERATIONS];
};

struct arena_image {
    _Atomic uint32_t module_slots; /* slots of module_chunk handed out */
    _Atomic uint32_t module_count; /* published modules; a hint, see module_log */
    _Atomic uint32_t epoch_count;  /* epochs handed out beside epoch 0 */
    _Atomic uint32_t node_next;    /* next id to hand out; 0: table not opened yet */
    _Atomic uint32_t stack_next;
    uint32_t reserved;
    _Atomic uint64_t cut_captures; /* distinct stacks deeper than depth_max */
    _Atomic uint64_t modules_dropped; /* could not be registered: a table was full */
    struct arena_hash_table stacks;   /* hash of a whole stack -> stack id */
    struct arena_hash_table prefixes; /* hash of outer frames -> node */

    /* Slot + 1 of each published module in the order of publication, which is what
     * decides between processes that register at the same moment: an entry is set by a
     * compare-and-swap from 0, after its author saw all earlier ones. */
    _Atomic uint32_t module_log[ARENA_MODULES_MAX];
    struct arena_module_range module_range[ARENA_MODULES_MAX]; /* by slot */
    _Atomic uint32_t epoch_parent[ARENA_EPOCHS_MAX]; /* parent + 1; 0: not valid (yet) */

    _Atomic uint64_t module_chunk[ARENA_MODULE_CHUNKS];
    _Atomic uint64_t stack_chunk[ARENA_STACK_CHUNKS];
    _Atomic uint64_t node_chunk[ARENA_NODE_CHUNKS];
};

#endif
