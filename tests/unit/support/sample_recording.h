/*
 * sample_recording.h - recordings whose every number is known, made by the writer.
 *
 *   service   one process that ran 10 s, three snapshots, a census, one mismatched free, CPU
 * samples
 *             - main -> cache_insert (cache.c:40)            100 blocks, 10 000 bytes live
 *             - the same stack once more under another id     50 blocks,  5 000 bytes live
 *             - main -> std::string::_M_construct             1000 temporaries, nothing live
 *             - main -> session_new (inlined) -> open_session 2 definite leaks of 48 bytes
 *   tree      a shell that forked a worker, which exec'ed another program
 *   hostile   names with terminal escapes, quotes, newlines, markup and invalid UTF-8
 *   empty     a process that allocated nothing
 */
#ifndef MEMTRACK_TESTS_SAMPLE_RECORDING_H
#define MEMTRACK_TESTS_SAMPLE_RECORDING_H

#include "recording/writer.h"

/* Each replaces `path`. They end the test program if something fails. */
void sample_write_service(const char *path);
void sample_write_tree(const char *path);
void sample_write_hostile(const char *path);
void sample_write_empty(const char *path);

#endif
