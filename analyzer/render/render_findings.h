/*
 * render/render_findings.h - findings for the tools that show them beside the code.
 *
 *   JUnit XML         CI servers; a test case for each limit and each finding
 *   SARIF 2.1.0       code scanning; stacks, and fingerprints that survive a rebuild
 *   annotations       GitHub's workflow commands, one line each
 *   Valgrind          memcheck's messages (CTest counts them), and its XML protocol 4
 *
 * Names come from programs: each format's own syntax is escaped here.
 *
 * Context: analyzer. Threads: one at a time. Output errors stay in the FILE.
 * Source:  SARIF 2.1.0 (OASIS); docs/internals/xml-output-protocol4.txt of Valgrind;
 *          docs.github.com, "Workflow commands for GitHub Actions".
 */
#ifndef MEMTRACK_RENDER_RENDER_FINDINGS_H
#define MEMTRACK_RENDER_RENDER_FINDINGS_H

#include "report/findings.h"

#include <stdio.h>

void render_junit(FILE *out, const struct findings *findings);

/* Files below `folder` (absolute; NULL: none) are named relative to it. */
void render_sarif(FILE *out, const struct findings *findings, const char *folder);
void render_github(FILE *out, const struct findings *findings, const char *folder);

struct render_valgrind_options {
    bool shows_reachable;
    bool is_quiet;       /* findings only */
    size_t frames_max;   /* Valgrind's --num-callers; 0: all */
    int argc;            /* memtrack's own command line, for the XML */
    char *const *argv;
};
void render_valgrind_text(FILE *out, const struct findings *findings,
                          const struct render_valgrind_options *options);
void render_valgrind_xml(FILE *out, const struct findings *findings,
                         const struct render_valgrind_options *options);

#endif
