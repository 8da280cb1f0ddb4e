/*
 * recording/version.h - how a recording's file is known for one, and for which form of it.
 *
 * Context: any.   Memory: none.   Threads: any.
 * Source: SQLite, "Database File Format", application id and user version.
 */
#ifndef MEMTRACK_RECORDING_VERSION_H
#define MEMTRACK_RECORDING_VERSION_H

#define RECORDING_APPLICATION_ID 0x4d544b52 /* "MTKR" */
#define RECORDING_VERSION 2

#endif
