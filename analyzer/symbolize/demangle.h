/*
 * symbolize/demangle.h - C++ and Rust names as their authors wrote them.
 *
 * libiberty does the work; this bounds it, because names come from files that may be
 * hostile: a name of a few hundred bytes can stand for a text of gigabytes, and a deeply
 * nested one for a deep recursion.
 *
 * Context: analyzer, recorder.   Memory: the caller's.   Threads: any.
 */
#ifndef MEMTRACK_SYMBOLIZE_DEMANGLE_H
#define MEMTRACK_SYMBOLIZE_DEMANGLE_H

/* Returns the demangled name, which the caller frees; NULL if `name` is not a mangled
 * name, cannot be demangled, or would become longer than DEMANGLE_TEXT_MAX_BYTES. */
#define DEMANGLE_TEXT_MAX_BYTES 65536u
char *demangle_name(const char *name);

#endif
