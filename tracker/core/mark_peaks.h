/*
 * core/mark_peaks.h - the most live bytes since any mark, also where later marks were set.
 *
 * Marks cut the process's time into stretches. While one lasts, its peak is kept in
 * process_hot.mark_peak_bytes; when a mark ends it, the peak goes to a list here. Only
 * stretches that exceed all later ones can matter, so the list falls from old to new, and it
 * is bounded: where it is full, the two oldest become one, at worst a peak too high for a
 * mark between them.
 *
 *   stretch   1   2   3   4   now           list: (2, 900) (4, 300)
 *   peak    400 900 100 300   200           since mark 3: 300
 *
 * Context: inside the tracked program, outside of the path of an event.
 * Memory:  static.
 * Threads: one at a time, by a lock that is only ever tried: who does not get it in time
 *          leaves its stretch out.
 */
#ifndef MEMTRACK_CORE_MARK_PEAKS_H
#define MEMTRACK_CORE_MARK_PEAKS_H

#include <stdint.h>

/* A mark at birth clock `tick`, with `live_bytes` live, ends a stretch and begins another. */
void mark_peaks_begin(uint32_t tick, int64_t live_bytes);

/* The most live bytes since the mark of that tick. */
int64_t mark_peaks_since(uint32_t tick);

#endif
