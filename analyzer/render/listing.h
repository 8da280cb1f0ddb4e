/*
 * render/listing.h - annotated sources on a terminal and as one HTML file.
 *
 * Context: analyzer.
 * Threads: one at a time. Output errors stay in the FILE: callers check ferror().
 */
#ifndef MEMTRACK_RENDER_LISTING_H
#define MEMTRACK_RENDER_LISTING_H

#include "render/render.h"
#include "report/listing.h"

void render_listing_text(FILE *out, const struct listing *listing,
                         const struct render_options *options);
/* Needs nothing else: no script, no network. */
void render_listing_html(FILE *out, const struct listing *listing);

#endif
