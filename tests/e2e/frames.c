/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Writes frames whose bytes follow from their number, or reads frames and checks
 * that.
 *
 *   frames write CHANNEL [OPTIONS]
 *   frames read CHANNEL [OPTIONS]
 *   frames info CHANNEL
 *
 * Every event is a line of JSON on standard output. With --seed the shape and the
 * dtype of each frame follow from seed and number too. The reader goes on until
 * the writer ends the stream or --frames were read; SIGINT ends both. With --listen
 * a line on standard input asks for the stats so far, and its end is the program's.
 * Built with FRAMES_FROM and the library's internals, --first numbers the frames.
 */
#include <ndsh.h>

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "report.h"
#ifdef FRAMES_FROM
#include "writer.h"
#endif

/* Before that the number of slots still grows. */
#define WARM_UP 1000

static char *mode = (char *) "latest";
static int n_frames, size = 65536, rate, queue, leases, sleep_ms, hold_ms;
static int max_memory, lossless_timeout_ms, n_readers, history, linger_ms;
static gint64 seed = -1, first = 1;
static char *perms = (char *) "0";
static gboolean check, pictures, quiet, measure, persist, listening, follow;

static const GOptionEntry entries[] = {
  { "frames", 0, 0, G_OPTION_ARG_INT, &n_frames, "how many; 0: no end", "N" },
  { "seed", 0, 0, G_OPTION_ARG_INT64, &seed, "change shapes and dtypes", "SEED" },
  { "quiet", 0, 0, G_OPTION_ARG_NONE, &quiet, "no line for each frame", NULL },
  { "measure", 0, 0, G_OPTION_ARG_NONE, &measure, "print what is used", NULL },
  { "listen", 0, 0, G_OPTION_ARG_NONE, &listening, "to standard input", NULL },
  /* write */
  { "size", 0, 0, G_OPTION_ARG_INT, &size, "bytes of a frame", "BYTES" },
  { "rate", 0, 0, G_OPTION_ARG_INT, &rate, "frames a second; 0: no limit", "N" },
  { "history", 0, 0, G_OPTION_ARG_INT, &history, "frames", "N" },
  { "max-memory", 0, 0, G_OPTION_ARG_INT, &max_memory, "bytes", "N" },
  { "lossless-timeout", 0, 0, G_OPTION_ARG_INT, &lossless_timeout_ms, "", "MS" },
  { "wait-for", 0, 0, G_OPTION_ARG_INT, &n_readers, "readers to wait for", "N" },
  { "perms", 0, 0, G_OPTION_ARG_STRING, &perms, "of the socket", "OCTAL" },
  { "persist", 0, 0, G_OPTION_ARG_NONE, &persist, "go on after an error", NULL },
#ifdef FRAMES_FROM
  { "first", 0, 0, G_OPTION_ARG_INT64, &first, "number of the first frame", "N" },
#endif
  /* read */
  { "mode", 0, 0, G_OPTION_ARG_STRING, &mode, "latest, queue, lossless", "MODE" },
  { "queue", 0, 0, G_OPTION_ARG_INT, &queue, "queue length", "N" },
  { "leases", 0, 0, G_OPTION_ARG_INT, &leases, "leases to ask for", "N" },
  { "sleep", 0, 0, G_OPTION_ARG_INT, &sleep_ms, "holding each frame", "MS" },
  { "check", 0, 0, G_OPTION_ARG_NONE, &check, "check each byte", NULL },
  { "pictures", 0, 0, G_OPTION_ARG_NONE, &pictures, "of elements, too", NULL },
  { "hold", 0, 0, G_OPTION_ARG_INT, &hold_ms,
    "compare each frame with itself after that time", "MS" },
  { "follow", 0, 0, G_OPTION_ARG_NONE, &follow, "go on after an end", NULL },
  { "linger", 0, 0, G_OPTION_ARG_INT, &linger_ms, "before leaving", "MS" },
  { NULL, 0, 0, 0, NULL, NULL, NULL }
};

static volatile sig_atomic_t interrupted;

static void
on_interrupt (int number)
{
  (void) number;
  interrupted = 1;
}

static void
print_error (const GError *error)
{
  g_autofree char *text = g_strescape (error->message, "");

  g_print ("{\"event\": \"error\", \"code\": %d, \"message\": \"%s\"}\n",
           error->code, text);
}

/* Whether the stats are asked for. */
static gboolean
is_asked (void)
{
  struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
  char line[64];
  ssize_t n;

  if (!listening || poll (&input, 1, 0) <= 0)
    return FALSE;
  n = read (STDIN_FILENO, line, sizeof line);
  if (n == 0)
    interrupted = 1;
  return n > 0;
}

/* --- What frame n looks like --- */

/* splitmix64 */
static guint64
next_random (guint64 *state)
{
  guint64 z = *state += G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);

  z = (z ^ (z >> 30)) * G_GUINT64_CONSTANT (0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * G_GUINT64_CONSTANT (0x94d049bb133111eb);
  return z ^ (z >> 31);
}

static void
random_array (NdshArrayInfo *info, guint64 *state)
{
  NdshDtype dtype = (NdshDtype) (1 + next_random (state) % NDSH_DTYPE_COMPLEX256);
  guint n_dims = next_random (state) % 7;
  gsize shape[NDSH_MAX_DIMS];
  /* Few elements along many dimensions; now and then 0. The longest frames
   * become longer now and then. */
  gsize bound = n_dims == 0 ? 1 : n_dims == 1 ? 4000 : n_dims == 2 ? 64 : 6;

  for (guint i = 0; i < n_dims; i++)
    shape[i] = next_random (state) % (bound + 1);
  ndsh_array_info_init (info, dtype, n_dims, shape);
}

static guint
describe_frame (guint64 n, NdshArrayInfo *arrays)
{
  guint64 state = (guint64) seed * 1000003 + n;
  gsize shape = (gsize) size, offset = 0;
  guint n_arrays;

  if (seed < 0) {
    ndsh_array_info_init (arrays, NDSH_DTYPE_UINT8, 1, &shape);
    return 1;
  }
  n_arrays = 1 + next_random (&state) % 4;
  for (guint i = 0; i < n_arrays; i++) {
    random_array (&arrays[i], &state);
    arrays[i].offset = offset;
    offset += ndsh_array_info_get_size (&arrays[i]);
    offset = (offset + 31) & ~(gsize) 31;
  }
  return n_arrays;
}

/* --- Writing --- */

static gboolean
readers_are_done (NdshWriter *writer)
{
  NdshReaderInfo infos[16];
  guint n = ndsh_writer_get_readers (writer, infos, G_N_ELEMENTS (infos));

  for (guint i = 0; i < MIN (n, G_N_ELEMENTS (infos)); i++)
    if (infos[i].lag > 0 || infos[i].n_leases > 0)
      return FALSE;
  return TRUE;
}

static void
measure_writer (NdshWriter *writer, const char *at)
{
  NdshWriterInfo info;

  while (!readers_are_done (writer) && !interrupted)
    g_usleep (1000);
  usage_print (at);
  ndsh_writer_get_info (writer, &info);
  g_print ("{\"event\": \"memory\", \"slots\": %u, \"bytes\": %" G_GUINT64_FORMAT
           ", \"retired\": %" G_GUINT64_FORMAT "}\n",
           info.n_slots, info.bytes, info.retired_bytes);
}

/* 0 if there was no slot for it. */
static guint64
write_frame (NdshWriter *writer, guint64 n, GError **error)
{
  NdshArrayInfo arrays[NDSH_MAX_ARRAYS];
  guint n_arrays = describe_frame (n, arrays);
  g_autoptr (NdshDraft) draft
    = ndsh_writer_begin (writer, arrays, n_arrays, error);

  if (draft == NULL)
    return 0;
  for (guint i = 0; i < n_arrays; i++)
    pattern_fill ((guint8 *) ndsh_draft_get_data (draft) + arrays[i].offset,
                  ndsh_array_info_get_size (&arrays[i]), n);
  return ndsh_draft_publish (draft, NULL);
}

static void
print_readers (NdshWriter *writer)
{
  NdshReaderInfo infos[16];
  guint n = ndsh_writer_get_readers (writer, infos, G_N_ELEMENTS (infos));

  for (guint i = 0; i < MIN (n, G_N_ELEMENTS (infos)); i++)
    g_print ("{\"event\": \"reader\", \"pid\": %" G_GINT64_FORMAT
             ", \"mode\": %d, \"delivered\": %" G_GUINT64_FORMAT
             ", \"missed\": %" G_GUINT64_FORMAT "}\n",
             infos[i].pid, infos[i].mode, infos[i].delivered, infos[i].missed);
}

static void
print_writer_stats (NdshWriter *writer, guint64 n_full)
{
  NdshWriterInfo info;

  ndsh_writer_get_info (writer, &info);
  g_print ("{\"event\": \"stats\", \"frames\": %" G_GUINT64_FORMAT
           ", \"full\": %" G_GUINT64_FORMAT ", \"slots\": %u, \"bytes\": "
           "%" G_GUINT64_FORMAT ", \"retired\": %" G_GUINT64_FORMAT
           ", \"readers\": %u}\n",
           info.published, n_full, info.n_slots, info.bytes, info.retired_bytes,
           ndsh_writer_get_readers (writer, NULL, 0));
}

static void
publish_all (NdshWriter *writer)
{
  guint64 n_written = 0, n_full = 0;
  gint64 started = g_get_monotonic_time (), longest = 0;

  while (!interrupted && (n_frames == 0 || n_written < (guint) n_frames)) {
    g_autoptr (GError) error = NULL;
    gint64 before = g_get_monotonic_time (), took;
    guint64 n = write_frame (writer, (guint64) first + n_written, &error);

    if (n == 0 && !g_error_matches (error, NDSH_ERROR, NDSH_ERROR_FULL)) {
      print_error (error);
      if (!persist)
        exit (1);
    }
    took = g_get_monotonic_time () - before;
    longest = MAX (longest, took);
    if (is_asked ())
      print_writer_stats (writer, n_full);
    n_full += n == 0;
    n_written += n != 0;
    if (!quiet && n != 0)
      g_print ("{\"event\": \"frame\", \"n\": %" G_GUINT64_FORMAT
               ", \"now\": %" G_GINT64_FORMAT ", \"took_us\": %" G_GINT64_FORMAT
               "}\n",
               n, before, took);
    if (measure && n == WARM_UP)
      measure_writer (writer, "warm");
    if (rate > 0)
      g_usleep (MAX (0, started + (gint64) (n_written + n_full) * 1000000 / rate
                          - g_get_monotonic_time ()));
  }
  if (measure)
    measure_writer (writer, "done");
  print_readers (writer);
  g_print ("{\"event\": \"written\", \"frames\": %" G_GUINT64_FORMAT
           ", \"full\": %" G_GUINT64_FORMAT ", \"longest_us\": %" G_GINT64_FORMAT
           "}\n",
           n_written, n_full, longest);
}

static NdshWriter *
open_writer (const char *channel, const NdshWriterOptions *options,
             GError **error)
{
#ifdef FRAMES_FROM
  return ndsh_writer_new_at (channel, options, (guint64) first, error);
#else
  return ndsh_writer_new (channel, options, error);
#endif
}

static int
write_frames (const char *channel)
{
  g_autoptr (GError) error = NULL;
  NdshWriterOptions options = { 0 };
  NdshWriter *writer;

  options.history = (guint) history;
  options.max_bytes = (guint64) max_memory;
  options.perms = (guint) strtoul (perms, NULL, 8);
  options.lossless_timeout_us = lossless_timeout_ms * (gint64) 1000;
  if (measure) {
    /* GLib keeps what it opens for a first thread. */
    ndsh_writer_free (ndsh_writer_new (channel, &options, NULL));
    usage_print ("start");
  }
  writer = open_writer (channel, &options, &error);
  if (writer == NULL) {
    print_error (error);
    return 1;
  }
  g_print ("{\"event\": \"open\"}\n");
  while (!interrupted
         && ndsh_writer_get_readers (writer, NULL, 0) < (guint) n_readers)
    g_usleep (1000);
  publish_all (writer);
  ndsh_writer_end (writer);
  while (!interrupted && n_readers > 0
         && ndsh_writer_get_readers (writer, NULL, 0) > 0)
    g_usleep (1000);
  ndsh_writer_free (writer);
  if (measure)
    usage_print ("end");
  return 0;
}

/* --- Reading --- */

typedef struct {
  NdshFrame *frame;
  char *checksum;
  gint64 until;
} Held;

typedef struct {
  NdshReader *reader;
  GQueue held;
  guint64 n_read, n_wrong, n_changed, n_compared, n_miscounted, n_streams;
  guint64 expected;             /* number of the next frame if none is missed */
  guint64 gaps;                 /* sum of what was missed between two frames */
  guint64 missed;               /* what the library said then */
  guint64 picture;              /* number in the last one */
  char stream_id[33];
  gboolean was_away;            /* since the last frame: some may be lost */
} Reading;

static char *
get_checksum (const NdshFrame *frame)
{
  return g_compute_checksum_for_data (G_CHECKSUM_MD5, ndsh_frame_get_data (frame),
                                      ndsh_frame_get_size (frame));
}

/* Lets go of the frames whose time has come. */
static void
look_at_held (Reading *reading, gint64 now)
{
  Held *held;

  while ((held = g_queue_peek_head (&reading->held)) != NULL
         && held->until <= now) {
    g_autofree char *checksum = get_checksum (held->frame);

    reading->n_compared++;
    if (strcmp (checksum, held->checksum) != 0) {
      reading->n_changed++;
      g_print ("{\"event\": \"changed\", \"n\": %" G_GUINT64_FORMAT "}\n",
               ndsh_frame_get_sequence (held->frame));
    }
    g_free (held->checksum);
    ndsh_frame_release (held->frame);
    g_free (g_queue_pop_head (&reading->held));
  }
}

static void
hold (Reading *reading, NdshFrame *frame)
{
  Held *held = g_new0 (Held, 1);

  held->frame = frame;
  held->checksum = get_checksum (frame);
  held->until = g_get_monotonic_time () + hold_ms * (gint64) 1000;
  g_queue_push_tail (&reading->held, held);
}

static gboolean
frame_is_right (Reading *reading, const NdshFrame *frame)
{
  guint64 n = ndsh_frame_get_sequence (frame);
  NdshArrayInfo expected[NDSH_MAX_ARRAYS];
  guint n_arrays, n_expected = describe_frame (n, expected);
  const NdshArrayInfo *arrays = ndsh_frame_get_arrays (frame, &n_arrays);
  const guint8 *data = ndsh_frame_get_data (frame);
  const char *caps = ndsh_frame_get_description (frame);

  /* With caps it is from an element. */
  if (*caps != '\0')
    return !pictures
           || picture_is_right (data, ndsh_frame_get_size (frame),
                                strstr (caps, "GRAY8") != NULL, &reading->picture);
  if (seed >= 0 && n_arrays != n_expected)
    return FALSE;
  for (guint i = 0; i < n_arrays; i++) {
    if (seed >= 0 && !ndsh_array_info_equal (&arrays[i], &expected[i]))
      return FALSE;
    if (pattern_count_wrong (data + arrays[i].offset,
                             ndsh_array_info_get_size (&arrays[i]), n)
        > 0)
      return FALSE;
  }
  return TRUE;
}

/* Each gap within a stream is what the library says was missed, and nothing comes
 * twice; a lossless reader has none while it stays. How many were published between its joining and its
 * first frame only the reader knows. */
static void
count_gap (Reading *reading, const NdshFrame *frame)
{
  guint64 n = ndsh_frame_get_sequence (frame);
  NdshReaderInfo info;

  ndsh_reader_get_info (reading->reader, &info);
  if (strcmp (reading->stream_id, ndsh_frame_get_stream_id (frame)) != 0) {
    reading->n_streams++;
    reading->gaps = info.missed;
  } else {
    guint64 gap = n - reading->expected;

    if (n < reading->expected || gap != info.missed - reading->missed
        || (gap > 0 && info.mode == NDSH_READ_LOSSLESS && !reading->was_away)
        || info.delivered != reading->n_read) {
      reading->n_miscounted++;
      g_print ("{\"event\": \"miscounted\", \"n\": %" G_GUINT64_FORMAT
               ", \"expected\": %" G_GUINT64_FORMAT
               ", \"missed\": %" G_GUINT64_FORMAT "}\n",
               n, reading->expected, info.missed - reading->missed);
    }
    reading->gaps += gap;
  }
  g_strlcpy (reading->stream_id, ndsh_frame_get_stream_id (frame), 33);
  reading->was_away = FALSE;
  reading->expected = n + 1;
  reading->missed = info.missed;
}

static void
print_frame (Reading *reading, const NdshFrame *frame)
{
  g_autofree char *array
    = ndsh_array_info_to_string (ndsh_frame_get_arrays (frame, NULL));
  NdshReaderInfo info;

  ndsh_reader_get_info (reading->reader, &info);
  g_print ("{\"event\": \"frame\", \"n\": %" G_GUINT64_FORMAT
           ", \"now\": %" G_GINT64_FORMAT ", \"published\": %" G_GINT64_FORMAT
           ", \"stream\": \"%s\", \"array\": \"%s\", \"missed\": %" G_GUINT64_FORMAT
           "}\n",
           ndsh_frame_get_sequence (frame), g_get_monotonic_time (),
           ndsh_frame_get_publish_ns (frame) / 1000,
           ndsh_frame_get_stream_id (frame), array, info.missed);
}

/* Takes @frame. */
static void
take (Reading *reading, NdshFrame *frame)
{
  reading->n_read++;
  count_gap (reading, frame);
  if (check && !frame_is_right (reading, frame)) {
    reading->n_wrong++;
    g_print ("{\"event\": \"wrong\", \"n\": %" G_GUINT64_FORMAT "}\n",
             ndsh_frame_get_sequence (frame));
  }
  if (!quiet)
    print_frame (reading, frame);
  if (sleep_ms > 0)
    g_usleep (sleep_ms * (gulong) 1000);
  if (hold_ms > 0)
    hold (reading, frame);
  else
    ndsh_frame_release (frame);
  if (measure && reading->n_read == WARM_UP)
    usage_print ("warm");
}

static void
print_reader_stats (const Reading *reading, const char *event)
{
  NdshReaderInfo info;

  ndsh_reader_get_info (reading->reader, &info);
  g_print ("{\"event\": \"%s\", \"frames\": %" G_GUINT64_FORMAT
           ", \"wrong\": %" G_GUINT64_FORMAT ", \"changed\": %" G_GUINT64_FORMAT
           ", \"compared\": %" G_GUINT64_FORMAT ", \"gaps\": %" G_GUINT64_FORMAT
           ", \"miscounted\": %" G_GUINT64_FORMAT ", \"streams\": %" G_GUINT64_FORMAT
           ", \"delivered\": %" G_GUINT64_FORMAT ", \"missed\": %" G_GUINT64_FORMAT
           ", \"mode\": %d, \"max_leases\": %u}\n",
           event, reading->n_read, reading->n_wrong, reading->n_changed,
           reading->n_compared, reading->gaps, reading->n_miscounted,
           reading->n_streams, info.delivered, info.missed, info.mode,
           info.max_leases);
}

/* FALSE at the end. */
static gboolean
step (Reading *reading)
{
  g_autoptr (GError) error = NULL;
  NdshFrame *frame;

  look_at_held (reading, g_get_monotonic_time ());
  if (is_asked ())
    print_reader_stats (reading, "stats");
  if (ndsh_reader_wait (reading->reader, 50000, &error)) {
    frame = ndsh_reader_acquire (reading->reader);
    if (frame != NULL)
      take (reading, frame);
    return n_frames == 0 || reading->n_read < (guint) n_frames;
  }
  switch (error->code) {
  case NDSH_ERROR_FULL:
    g_usleep (1000);
    return TRUE;
  case NDSH_ERROR_TIMEOUT:
    return TRUE;
  case NDSH_ERROR_ENDED:
    g_print ("{\"event\": \"ended\"}\n");
    return follow;
  case NDSH_ERROR_CLOSED:
    g_print ("{\"event\": \"closed\", \"now\": %" G_GINT64_FORMAT "}\n",
             g_get_monotonic_time ());
    return TRUE;
  default:
    print_error (error);
    reading->was_away = TRUE;
    return TRUE;
  }
}

static int
read_frames (const char *channel)
{
  g_autoptr (GError) error = NULL;
  NdshReaderOptions options = { 0 };
  Reading reading = { 0 };

  options.mode = g_str_equal (mode, "lossless") ? NDSH_READ_LOSSLESS
                 : g_str_equal (mode, "queue")  ? NDSH_READ_QUEUE
                                                : NDSH_READ_LATEST;
  options.queue_length = (guint) queue;
  options.max_leases = (guint) leases;
  g_queue_init (&reading.held);
  if (measure)
    usage_print ("start");
  reading.reader = ndsh_reader_new (channel, &options, &error);
  if (reading.reader == NULL) {
    print_error (error);
    return 1;
  }
  g_print ("{\"event\": \"open\"}\n");
  while (!interrupted && step (&reading))
    ;
  if (measure)
    usage_print ("done");
  while (!g_queue_is_empty (&reading.held) && !interrupted) {
    look_at_held (&reading, g_get_monotonic_time ());
    g_usleep (1000);
  }
  g_usleep (linger_ms * (gulong) 1000);
  print_reader_stats (&reading, "read");
  ndsh_reader_free (reading.reader);
  if (measure)
    usage_print ("end");
  return reading.n_wrong > 0 || reading.n_changed > 0 || reading.n_miscounted > 0;
}

static int
print_info (const char *channel)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NdshChannelInfo) info = ndsh_channel_info_new (channel, &error);

  if (info == NULL) {
    print_error (error);
    return 1;
  }
  g_print ("{\"event\": \"info\", \"pid\": %" G_GINT64_FORMAT
           ", \"published\": %" G_GUINT64_FORMAT ", \"readers\": %u, \"bytes\": "
           "%" G_GUINT64_FORMAT "}\n",
           info->pid, info->published, info->n_readers, info->bytes);
  return 0;
}

int
main (int argc, char **argv)
{
  g_autoptr (GOptionContext) context
    = g_option_context_new ("write|read|info CHANNEL");
  g_autoptr (GError) error = NULL;

  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error) || argc != 3) {
    g_printerr ("%s\n", error != NULL ? error->message : "see --help");
    return 2;
  }
  signal (SIGINT, on_interrupt);
  if (g_str_equal (argv[1], "write"))
    return write_frames (argv[2]);
  if (g_str_equal (argv[1], "info"))
    return print_info (argv[2]);
  return read_frames (argv[2]);
}
