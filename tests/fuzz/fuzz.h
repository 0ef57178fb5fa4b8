/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What the fuzzers share. Each is a pure function of the bytes it is given, built
 * for libFuzzer (meson's option fuzz) or, with replay.c, as a program that runs its
 * corpus once.
 */
#ifndef NDSH_FUZZ_H
#define NDSH_FUZZ_H

#include <ndsh.h>

int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

/* Silences the log; what GLib calls critical ends the program. */
int LLVMFuzzerInitialize (int *argc, char ***argv);

/* An input is eaten from its front. After its end come zeros. */
typedef struct {
  const guint8 *data;
  gsize size;
} FuzzInput;

guint8 fuzz_u8 (FuzzInput *input);
guint16 fuzz_u16 (FuzzInput *input);
guint32 fuzz_u32 (FuzzInput *input);
void fuzz_bytes (FuzzInput *input, gpointer to, gsize size);

/* Overwrites up to 8 bytes of @size at @at with bytes of the input. */
void fuzz_poke (FuzzInput *input, gpointer at, gsize size);

/* The end of @max bytes (and the start of a page that faults): what must be n bytes
 * lies n bytes before it, and one step too far is seen without a sanitizer. */
guint8 *fuzz_fence_new (gsize max);

/* Of the first numbers, how many are open. */
guint fuzz_count_fds (void);

/* Reads a byte of each page from @data on, and the last. */
void fuzz_touch (gconstpointer data, gsize size);

/* Fails unless each array, counted anew, lies within @size bytes. */
void fuzz_check_arrays (const NdshArrayInfo *arrays, guint n_arrays, gsize size);

/* Fails unless all that the frame says of itself is so; reads where it says. */
void fuzz_check_frame (const NdshFrame *frame);

#endif
