/*
 * analyses/cpu.h - where CPU time went.
 *
 * self: samples that interrupted the thing itself. total: in it or in what it called,
 * each sample once, however often a recursive function is on the stack.
 *
 * Time inside malloc and free (and memtrack's own work there) was not unwound: it is known
 * by the stack that allocated the block, for releases too. It is the self time of
 * CPU_ALLOCATOR, and part of the total of that stack's functions.
 *
 * Context: analyzer.
 * Memory:  results live in the region that was given; they borrow from the model.
 */
#ifndef MEMTRACK_ANALYSES_CPU_H
#define MEMTRACK_ANALYSES_CPU_H

#include "model/model.h"

enum cpu_by { CPU_BY_FUNCTION, CPU_BY_LINE, CPU_BY_MODULE, CPU_BY_THREAD, CPU_BY_STACK };

/* The name under which time inside malloc and free is listed. */
#define CPU_ALLOCATOR "[malloc and free]"

struct cpu_entry {
    const char *name;                  /* function, module's path, thread's name; never NULL */
    const struct model_frame *frame;   /* function and line; for a stack its innermost; NULL */
    const struct model_stack *stack;   /* by stack: not NULL */
    const struct model_process *process; /* by thread: not NULL */
    int64_t thread;                    /* by thread: index within the process */
    int64_t tid;
    int64_t threads_served; /* by thread: so many, one after another, have ended here */
    int64_t self;
    int64_t total;
    int64_t system; /* of self: in system calls */
};

struct cpu_list {
    struct cpu_entry *entries; /* by self, then total, largest first */
    size_t count;
};

/* A stack that malloc and free worked for. */
struct cpu_site {
    const struct model_stack *stack;
    int64_t samples;
};

enum cpu_finding_kind {
    CPU_FINDING_FEW,        /* too few samples to say much: `share` is the error in percent points */
    CPU_FINDING_SELF,       /* `name` itself takes `share`; most of it at `frame` (`part`) */
    CPU_FINDING_BELOW,      /* `share` is spent below `name`, in `other` most of all (`part`) */
    CPU_FINDING_FLAT,       /* nothing stands out: the first, `name`, has `share` */
    CPU_FINDING_NAMELESS,   /* functions without names of `frame`'s module take `share` themselves */
    CPU_FINDING_ALLOCATOR,  /* malloc and free take `share`, `part` of all for blocks allocated
                             * where `stack` was */
    CPU_FINDING_SYSTEM,     /* system calls take `share`, most in `name` (`part`) */
    CPU_FINDING_KERNEL,     /* the kernel's `share` beyond system calls: page faults, interrupts */
    CPU_FINDING_THREAD,     /* of many threads `name` alone does `share` */
    CPU_FINDING_WAITING,    /* the CPU was used for `share` of the time that passed */
    CPU_FINDING_LOST        /* `share` has no known place */
};

/* Something to tell; shares and parts are percent of all samples. */
struct cpu_finding {
    enum cpu_finding_kind kind;
    double share;
    double part;
    const char *name;
    const char *other;
    const struct model_frame *frame;
    const struct model_stack *stack;
};
#define CPU_FINDINGS_MAX 12u

/* Callers and callees of one function. callers' totals add up to `total`; callees' totals
 * and `self` do. */
struct cpu_around {
    const char *name;
    int64_t self;
    int64_t total;
    struct cpu_list callers; /* self: 0 */
    struct cpu_list callees;
    int64_t from_nowhere; /* samples in which it is outermost */
};

struct cpu_result {
    const struct model *model;
    const struct model_process *process; /* NULL: the whole run */
    enum cpu_by by;
    int64_t hz;
    bool is_wall;
    int64_t samples; /* with a place; those in the allocator included */
    int64_t lost;    /* without one */
    int64_t system;
    int64_t allocator;
    int64_t allocator_system;
    double wall_seconds;   /* while the processes ran, summed over them */
    double used_seconds;   /* what the kernel says they used; negative: unknown */
    double kernel_seconds; /* of that, in the kernel; negative: unknown */
    int64_t minor_faults;  /* RECORDING_UNKNOWN */
    int64_t major_faults;
    int64_t threads_missed;
    struct cpu_list list;
    const struct cpu_site *sites; /* that the allocator worked for, most first */
    size_t site_count;
    const struct cpu_finding *findings;
    size_t finding_count;
    const struct cpu_around *around; /* NULL: not asked for */
};

struct cpu_request {
    const struct model_process *process; /* NULL: all */
    enum cpu_by by;
    const char *of; /* NULL; else a function: as listed, without its parameters, without its
                       namespaces, or any part of its name; the first of these that fits */
};

/* *result is set when 0 is returned. -ENOENT and *error (MT_STATUS_USAGE): no sample has the
 * function that request->of names. */
int cpu_analyze(struct region *region, const struct model *model, const struct cpu_request *request,
                const struct cpu_result **result, struct mt_error *error);

/* Samples as seconds. */
double cpu_seconds(const struct cpu_result *result, int64_t samples);
/* Samples as percent of all that have a place. */
double cpu_percent(const struct cpu_result *result, int64_t samples);

#endif
