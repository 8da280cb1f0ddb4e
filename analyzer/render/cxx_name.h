/*
 * render/cxx_name.h - C++ function names that fit.
 *
 * Context: analyzer.
 */
#ifndef MEMTRACK_RENDER_CXX_NAME_H
#define MEMTRACK_RENDER_CXX_NAME_H

#include <stddef.h>

/* Shortens a demangled name in place until it has at most `columns` characters, by leaving
 * out what tells least: the arguments of templates ("map<..>::at"), parameters
 * ("(..)"), scopes from the left ("..::at"). May stay longer. */
void cxx_name_shorten(char *name, size_t columns);

#endif
