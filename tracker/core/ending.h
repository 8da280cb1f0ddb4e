/*
 * core/ending.h - what a process looks up about itself when it ends by exit: where its memory
 * was, its CPU time and the peak of its resident memory. Afterwards nobody can, and where no
 * recorder runs nobody did before.
 *
 * Context: inside the tracked program, at exit, once. Memory: none kept. Threads: others may
 *          still run.
 */
#ifndef MEMTRACK_CORE_ENDING_H
#define MEMTRACK_CORE_ENDING_H

/* Notes it in the process's record. Before the leak scan, which needs memory of its own. */
void ending_note(void);

#endif
