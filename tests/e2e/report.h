/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How the helper programs tell the tests what happens: one JSON object a line on
 * standard output, with an "event" each. And what a process uses. */
#ifndef REPORT_H
#define REPORT_H

#include <glib.h>

/* Entries of /proc/self/fd; mappings of memory that has an fd but no name; memory
 * of this process alone that is resident, in KiB. */
typedef struct {
  guint fds;
  guint maps;
  guint memfd_maps;
  guint anonymous_kib;
} Usage;

Usage usage_get (void);

/* {"event": "usage", "at": @at, ...} */
void usage_print (const char *at);

/* The inside of a JSON string; characters beyond ASCII stay as they are. */
char *report_escape (const char *text);

/* A word of frame @n's payload: the same in the process that writes it and in the
 * one that checks it. */
static inline guint64
pattern_word (guint64 n, gsize i)
{
  return n * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15)
         + i * G_GUINT64_CONSTANT (0xd1b54a32d192ed03);
}

void pattern_fill (guint8 *data, gsize size, guint64 n);

/* Bytes of @data that are wrong. */
gsize pattern_count_wrong (const guint8 *data, gsize size, guint64 n);

/* Whether these are a picture that an element wrote, whole: filled by pipeline.c with a
 * number larger than *@last, which is set to it; or, as GRAY8, of videotestsrc
 * pattern=blink, all of one colour, which is not black. */
gboolean picture_is_right (const guint8 *data, gsize size, gboolean is_gray,
                           guint64 *last);

#endif
