/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A writer, and readers that poll or sleep, with nothing of their own in the loop
 * that would be a system call: what strace counts is the library's.
 *
 *   steady write CHANNEL BYTES FRAMES INTERVAL_US
 *   steady poll CHANNEL
 *   steady sleep CHANNEL
 *
 * The second half of the frames is measured: page faults.
 */
#include <ndsh.h>

#include <stdlib.h>
#include <sys/resource.h>

#define PAGE 4096

/* More than history, a reader's leases and a draft can need at the same time. */
#define N_SLOTS 16

/* In a frame's flags, since a reader that polls hears of nothing else. */
enum { MEASURED = 1, LAST = 2 };

typedef struct {
  glong faults;
  guint64 frames;
} Figures;

static Figures
get_figures (guint64 frames)
{
  struct rusage usage;
  Figures figures = { 0, frames };

  getrusage (RUSAGE_SELF, &usage);
  figures.faults = usage.ru_minflt + usage.ru_majflt;
  return figures;
}

static void
print_figures (Figures first, Figures last)
{
  g_print ("{\"event\": \"steady\", \"frames\": %" G_GUINT64_FORMAT
           ", \"faults\": %ld}\n",
           last.frames - first.frames, last.faults - first.faults);
}

static void
touch (guint8 *data, gsize size, guint8 value)
{
  for (gsize i = 0; i < size; i += PAGE)
    data[i] = value;
}

static guint64
sum (const guint8 *data, gsize size)
{
  guint64 all = 0;

  for (gsize i = 0; i < size; i += PAGE)
    all += data[i];
  return all;
}

/* A slot is made when it is first needed, which may be late: when the reader was long
 * without a core. So all are needed once at the start: by drafts that exist at the
 * same time. The reader hears of them before it is measured. */
static void
make_all_slots (NdshWriter *writer, const NdshArrayInfo *info, gsize size)
{
  NdshDraft *draft[N_SLOTS];

  for (guint i = 0; i < N_SLOTS; i++) {
    draft[i] = ndsh_writer_begin (writer, info, 1, NULL);
    g_assert_nonnull (draft[i]);
    touch (ndsh_draft_get_data (draft[i]), size, 1);
  }
  for (guint i = 0; i < N_SLOTS; i++)
    ndsh_draft_release (draft[i]);
}

/* The clock is read without a system call. */
static void
spin_until (gint64 time_us)
{
  while (g_get_monotonic_time () < time_us)
    ;
}

static int
write_frames (const char *channel, gsize size, guint n_frames,
              gint64 interval_us)
{
  g_autoptr (GError) error = NULL;
  NdshWriterOptions options = { .max_bytes = N_SLOTS * (size + (1 << 20)) };
  g_autoptr (NdshWriter) writer = ndsh_writer_new (channel, &options, &error);
  Figures first = { 0 }, last;
  NdshArrayInfo info;
  gint64 next;

  if (writer == NULL)
    g_error ("%s", error->message);
  g_print ("{\"event\": \"open\"}\n");
  ndsh_array_info_init (&info, NDSH_DTYPE_UINT8, 1, &size);
  while (ndsh_writer_get_readers (writer, NULL, 0) == 0)
    g_usleep (1000);
  make_all_slots (writer, &info, size);

  next = g_get_monotonic_time ();
  for (guint n = 1; n <= n_frames; n++) {
    NdshFrameInfo frame_info = { .timestamp_ns = -1, .duration_ns = -1, .offset = n };
    NdshDraft *draft = ndsh_writer_begin (writer, &info, 1, &error);

    if (draft == NULL)
      g_error ("%s", error->message);
    touch (ndsh_draft_get_data (draft), size, (guint8) n);
    if (n > n_frames / 2)
      frame_info.flags |= MEASURED;
    if (n == n_frames)
      frame_info.flags |= LAST;
    ndsh_draft_publish (draft, &frame_info);
    ndsh_draft_release (draft);
    if (n == n_frames / 2)
      first = get_figures (n);
    spin_until (next += interval_us);
  }
  last = get_figures (n_frames);
  while (ndsh_writer_get_readers (writer, NULL, 0) > 0)
    g_usleep (1000);
  print_figures (first, last);
  return 0;
}

static NdshFrame *
poll_for_frame (NdshReader *reader)
{
  NdshFrame *frame;

  while ((frame = ndsh_reader_acquire (reader)) == NULL)
    ;
  return frame;
}

static NdshFrame *
sleep_for_frame (NdshReader *reader)
{
  g_autoptr (GError) error = NULL;
  NdshFrame *frame = ndsh_reader_read (reader, -1, &error);

  if (frame == NULL)
    g_error ("%s", error->message);
  return frame;
}

static int
read_frames (const char *channel, NdshFrame *(*next) (NdshReader *))
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NdshReader) reader = ndsh_reader_new (channel, NULL, &error);
  Figures first = { 0 };
  guint64 n_read = 0, all = 0;
  guint32 flags = 0;

  if (reader == NULL)
    g_error ("%s", error->message);
  ndsh_frame_release (sleep_for_frame (reader));
  while ((flags & LAST) == 0) {
    NdshFrame *frame = next (reader);

    if (frame == NULL)
      continue;
    flags = ndsh_frame_get_info (frame)->flags;
    all += sum (ndsh_frame_get_data (frame), ndsh_frame_get_size (frame));
    n_read++;
    if (first.frames == 0 && (flags & MEASURED) != 0)
      first = get_figures (n_read);
    ndsh_frame_release (frame);
  }
  print_figures (first, get_figures (n_read));
  return all == 0;
}

int
main (int argc, char **argv)
{
  if (argc == 6 && g_str_equal (argv[1], "write"))
    return write_frames (argv[2], strtoul (argv[3], NULL, 10),
                         (guint) atoi (argv[4]), atoi (argv[5]));
  if (argc == 3 && g_str_equal (argv[1], "poll"))
    return read_frames (argv[2], poll_for_frame);
  if (argc == 3 && g_str_equal (argv[1], "sleep"))
    return read_frames (argv[2], sleep_for_frame);
  g_printerr ("usage: see the source\n");
  return 2;
}
