/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * For fuzzers of the writer: one without a name, a thread, or shared memory. By the
 * linker's --wrap its segments are plain memory, used again by the next input, with
 * a fence behind: made without the system calls that would take most of the time.
 */
#ifndef NDSH_FUZZ_PLAIN_H
#define NDSH_FUZZ_PLAIN_H

#include "writer-private.h"

/* Without defaults. ndsh_writer_unref () it; its service is the caller's to set. */
NdshWriter *fuzz_writer_new (const NdshWriterOptions *options);

/* Bytes of all segments that somebody refers to. */
extern gsize fuzz_committed;

/* What each segment has for an fd; nobody closes it. */
extern int fuzz_segment_fd;

#endif
