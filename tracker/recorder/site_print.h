/*
 * recorder/site_print.h - answers a program that asks to see sites of its own, such as a
 * test that found blocks left over.
 *
 * Context: recorder. Memory: freed before it returns. Threads: the recorder's.
 */
#ifndef MEMTRACK_RECORDER_SITE_PRINT_H
#define MEMTRACK_RECORDER_SITE_PRINT_H

#include "recorder/recorder_state.h"

/* Resolves the request's stacks to modules and hands them to options->print_sites. What the
 * program wrote is taken as untrusted. */
void site_print_serve(struct recorder *recorder, const struct tracked *tracked,
                      const struct arena_request *request, const char *title);

#endif
