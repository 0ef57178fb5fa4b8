/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Watches a channel for some seconds, or until its writer ends: prints the frame
 * rate, the age of frames when they are taken, and how many came by a copy.
 *
 *   watch CHANNEL [SECONDS] */
#include <ndsh.h>

#include <stdlib.h>
#include <time.h>

/* ndshsink sets it in frames that upstream had not written into shared memory
 * (doc/protocol.md, "What ndshsink puts into a frame"). */
#define COPIED (1u << 31)

typedef struct {
  GArray *ages_us;              /* gint64 */
  guint n_copied;
  gint64 first_us, last_us;
} Seen;

static gint64
age_us (NdshFrame *frame)
{
  return g_get_monotonic_time () - ndsh_frame_get_publish_ns (frame) / 1000;
}

static void
see (Seen *seen, NdshFrame *frame)
{
  gint64 age = age_us (frame);

  seen->last_us = g_get_monotonic_time ();
  if (seen->ages_us->len == 0)
    seen->first_us = seen->last_us;
  g_array_append_val (seen->ages_us, age);
  seen->n_copied += (ndsh_frame_get_info (frame)->flags & COPIED) != 0;
}

static gboolean
is_the_end (const GError *error)
{
  return !g_error_matches (error, NDSH_ERROR, NDSH_ERROR_TIMEOUT);
}

static void
watch (NdshReader *reader, gint64 until_us, Seen *seen)
{
  gint64 left_us;

  while ((left_us = until_us - g_get_monotonic_time ()) > 0) {
    g_autoptr (GError) error = NULL;
    g_autoptr (NdshFrame) frame = ndsh_reader_read (reader, left_us, &error);

    if (frame != NULL) {
      see (seen, frame);
    } else if (is_the_end (error)) {
      g_print ("%s\n", error->message);
      return;
    }
  }
}

static int
compare (gconstpointer a, gconstpointer b)
{
  gint64 x = *(const gint64 *) a, y = *(const gint64 *) b;

  return (x > y) - (x < y);
}

static void
report (NdshReader *reader, Seen *seen)
{
  GArray *ages = seen->ages_us;
  double seconds = (seen->last_us - seen->first_us) / 1e6;
  NdshReaderInfo info;

  ndsh_reader_get_info (reader, &info);
  g_print ("%u frames", ages->len);
  if (ages->len > 1 && seconds > 0)
    g_print (", %.1f a second", (ages->len - 1) / seconds);
  g_print (", %" G_GUINT64_FORMAT " missed\n", info.missed);
  if (ages->len == 0)
    return;
  g_array_sort (ages, compare);
  g_print ("age when taken: median %" G_GINT64_FORMAT " us, p99 "
           "%" G_GINT64_FORMAT " us\n",
           g_array_index (ages, gint64, ages->len / 2),
           g_array_index (ages, gint64, (ages->len * 99) / 100));
  g_print ("%u frames were copied into shared memory, 0 out of it\n",
           seen->n_copied);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NdshReader) reader = NULL;
  Seen seen = { .ages_us = g_array_new (FALSE, FALSE, sizeof (gint64)) };
  double seconds = argc > 2 ? g_ascii_strtod (argv[2], NULL) : 10;

  if (argc < 2 || argc > 3 || seconds <= 0) {
    g_printerr ("usage: %s CHANNEL [SECONDS]\n", argv[0]);
    return 2;
  }
  reader = ndsh_reader_new (argv[1], NULL, &error);
  if (reader == NULL) {
    g_printerr ("%s\n", error->message);
    return 1;
  }
  watch (reader, g_get_monotonic_time () + (gint64) (seconds * 1e6), &seen);
  report (reader, &seen);
  g_array_unref (seen.ages_us);
  return 0;
}
