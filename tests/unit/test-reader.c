/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A reader as a program meets it through ndsh.h. Its writer lives in this process
 * too: what goes between them is the same. Below, the writer is a socket in this
 * test's hand, which lies. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lifeline.h"
#include "message.h"
#include "ndsh-test.h"
#include "rendezvous.h"
#include "segment.h"
#include "wake.h"

static gboolean
fd_is_readable (NdshReader *reader, int timeout_ms)
{
  struct pollfd fd = { .fd = ndsh_reader_get_fd (reader), .events = POLLIN };

  return poll (&fd, 1, timeout_ms) == 1;
}

/* --- Writers that come ---------------------------------------------------- */

static gboolean inotify_is_used_up;

/* Instead of the C library's, to the library that is linked in here. */
int
inotify_init1 (int flags)
{
  if (!inotify_is_used_up)
    return (int) syscall (SYS_inotify_init1, flags);
  errno = EMFILE;
  return -1;
}

static gboolean inotify_is_hidden;

int
inotify_add_watch (int fd, const char *name, uint32_t mask)
{
  if (!inotify_is_hidden || !g_str_has_suffix (name, "hidden"))
    return (int) syscall (SYS_inotify_add_watch, fd, name, mask);
  errno = EACCES;
  return -1;
}

static void
find_nobody (NdshReader *reader)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (ndsh_reader_wait (reader, 0, &error));
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_NOT_FOUND);
}

static void
wait_for_one (NdshReader *reader)
{
  while (!ndsh_reader_is_connected (reader)) {
    g_assert_true (fd_is_readable (reader, -1));
    ndsh_reader_wait (reader, 0, NULL);
  }
}

/* Also if it was there for long, and if the directory is made anew. */
static void
test_who_waits_for_a_writer_sleeps_until_it_comes (void)
{
  g_autoptr (NdshReader) reader = ndsh_test_reader (NDSH_READ_LATEST, 0, 0);

  for (guint i = 0; i < 2; i++) {
    g_autoptr (NdshWriter) other = NULL;
    g_autoptr (NdshWriter) writer = NULL;

    find_nobody (reader);
    g_assert_false (fd_is_readable (reader, 600));
    other = ndsh_writer_new ("other", NULL, NULL);
    find_nobody (reader);
    g_assert_false (fd_is_readable (reader, 0));
    writer = ndsh_test_writer (NULL);
    wait_for_one (reader);
    /* Who had nothing is not looked for again at once. */
    ndsh_test_publish (writer, 100, 1);
    ndsh_frame_release (ndsh_test_next (reader));
    ndsh_writer_free (g_steal_pointer (&writer));
    while (ndsh_reader_is_connected (reader))
      ndsh_reader_wait (reader, -1, NULL);
  }
}

/* What a user has of inotify's instances is soon used up. */
static void
test_where_nothing_tells_of_writers_they_are_looked_for (void)
{
  g_autoptr (NdshReader) reader = ndsh_test_reader (NDSH_READ_LATEST, 0, 0);
  g_autoptr (NdshWriter) writer = NULL;

  inotify_is_used_up = TRUE;
  find_nobody (reader);
  writer = ndsh_test_writer (NULL);
  wait_for_one (reader);
  inotify_is_used_up = FALSE;
}

/* inotify has to read it, who connects has not; root may do all. */
static void
test_a_directory_that_may_only_be_entered_is_looked_into (void)
{
  g_autofree char *path = ndsh_test_path ("hidden/socket");
  g_autofree char *dir = g_path_get_dirname (path);
  g_autoptr (NdshReader) reader = ndsh_reader_new (path, NULL, NULL);
  g_autoptr (NdshWriter) writer = NULL;

  g_assert_cmpint (mkdir (dir, 0700), ==, 0);
  inotify_is_hidden = TRUE;
  find_nobody (reader);
  g_assert_true (fd_is_readable (reader, 1000));
  writer = ndsh_writer_new (path, NULL, NULL);
  wait_for_one (reader);
  inotify_is_hidden = FALSE;
  ndsh_writer_free (g_steal_pointer (&writer));
  g_assert_cmpint (rmdir (dir), ==, 0);
}

static void
test_a_path_is_waited_for_as_a_name_is (void)
{
  g_autofree char *path = ndsh_test_path ("below/socket");
  g_autofree char *dir = g_path_get_dirname (path);
  g_autoptr (NdshReader) reader = ndsh_reader_new (path, NULL, NULL);
  g_autoptr (NdshWriter) writer = NULL;

  find_nobody (reader);
  g_assert_false (fd_is_readable (reader, 0));
  g_assert_cmpint (mkdir (dir, 0700), ==, 0);
  writer = ndsh_writer_new (path, NULL, NULL);
  g_assert_nonnull (writer);
  wait_for_one (reader);
  ndsh_writer_free (g_steal_pointer (&writer));
  g_assert_cmpint (rmdir (dir), ==, 0);
}

/* --- One frame ------------------------------------------------------------ */

static void
test_a_frame_arrives_with_all_that_belongs_to_it (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshReader) reader = ndsh_test_reader (NDSH_READ_LATEST, 0, 0);
  gsize shape[] = { 3, 4 };
  NdshFrameInfo sent
    = { .timestamp_ns = 123, .duration_ns = 456, .offset = 789, .flags = 0xabcd };
  NdshArrayInfo arrays[2];
  g_autoptr (NdshDraft) draft = NULL;
  g_autoptr (NdshFrame) frame = NULL;
  const NdshArrayInfo *got;
  gsize size;
  guint n;

  ndsh_array_info_init (&arrays[0], NDSH_DTYPE_FLOAT32, 2, shape);
  ndsh_array_info_init (&arrays[1], NDSH_DTYPE_INT16, 0, NULL);
  arrays[1].offset = 48;
  g_assert_true (ndsh_writer_set_description (writer, "video/x-test", NULL));
  draft = ndsh_writer_begin (writer, arrays, 2, NULL);
  memset (ndsh_draft_get_data (draft), 7, 50);
  g_assert_true (ndsh_draft_describe (draft, arrays, 2, 0, "meta", 4, NULL));
  g_assert_cmpuint (ndsh_draft_publish (draft, &sent), ==, 1);

  g_assert_true (ndsh_reader_wait (reader, G_USEC_PER_SEC, NULL));
  frame = ndsh_reader_acquire (reader);

  g_assert_nonnull (frame);
  got = ndsh_frame_get_arrays (frame, &n);
  g_assert_cmpuint (n, ==, 2);
  g_assert_true (ndsh_array_info_equal (&got[0], &arrays[0]));
  g_assert_true (ndsh_array_info_equal (&got[1], &arrays[1]));
  g_assert_cmpuint (ndsh_frame_get_size (frame), ==, 50);
  g_assert_cmpint (((const guint8 *) ndsh_frame_get_data (frame))[49], ==, 7);
  g_assert_cmpstr (ndsh_frame_get_description (frame), ==, "video/x-test");
  g_assert_cmpmem (ndsh_frame_get_metadata (frame, &size), 4, "meta", 4);
  g_assert_cmpuint (size, ==, 4);
  g_assert_cmpint (ndsh_frame_get_info (frame)->timestamp_ns, ==, 123);
  g_assert_cmpint (ndsh_frame_get_info (frame)->duration_ns, ==, 456);
  g_assert_cmpuint (ndsh_frame_get_info (frame)->offset, ==, 789);
  g_assert_cmpuint (ndsh_frame_get_info (frame)->flags, ==, 0xabcd);
  g_assert_cmpuint (ndsh_frame_get_sequence (frame), ==, 1);
  g_assert_cmpint (ndsh_frame_get_publish_ns (frame), >, 0);
  g_assert_cmpint (ndsh_frame_get_publish_ns (frame), <=,
                   g_get_monotonic_time () * 1000 + 1000);
  g_assert_cmpstr (ndsh_frame_get_stream_id (frame), ==,
                   ndsh_writer_get_stream_id (writer));
}

static void
test_a_frame_is_read_only_memory (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshReader) reader = ndsh_test_reader (NDSH_READ_LATEST, 0, 0);
  g_autoptr (NdshFrame) frame = NULL;
  int fd = open ("/dev/zero", O_RDONLY);

  ndsh_test_publish (writer, 100, 1);
  frame = ndsh_test_next (reader);

  /* The kernel writes for us, and says so where a store would be a SIGSEGV. */
  g_assert_cmpint (read (fd, (gpointer) ndsh_frame_get_data (frame), 1), ==, -1);
  close (fd);
}

static void
test_who_waits_takes_nothing (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshReader) reader = ndsh_test_reader (NDSH_READ_LATEST, 0, 0);
  g_autoptr (NdshFrame) frame = NULL;
  NdshReaderInfo info;

  ndsh_test_publish (writer, 100, 1);
  for (guint i = 0; i < 2; i++)
    g_assert_true (ndsh_reader_wait (reader, -1, NULL));
  ndsh_reader_get_info (reader, &info);
  g_assert_cmpuint (info.delivered + info.n_leases, ==, 0);

  frame = ndsh_reader_acquire (reader);
  ndsh_reader_get_info (reader, &info);
  g_assert_cmpuint (info.delivered, ==, 1);
  g_assert_cmpuint (info.n_leases, ==, 1);
}

static void
test_an_empty_array_is_a_frame (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshReader) reader = ndsh_test_reader (NDSH_READ_LATEST, 0, 0);
  g_autoptr (NdshFrame) frame = NULL;

  ndsh_test_publish (writer, 0, 1);
  frame = ndsh_test_next (reader);

  g_assert_cmpuint (ndsh_frame_get_size (frame), ==, 0);
}

/* --- Modes ---------------------------------------------------------------- */

static void
test_who_comes_late_gets_the_history (void)
{
  static const struct {
    NdshReadMode mode;
    guint queue_length;
    guint64 first;
  } cases[] = { { NDSH_READ_LATEST, 0, 10 },   { NDSH_READ_QUEUE, 1, 10 },
                { NDSH_READ_QUEUE, 4, 7 },     { NDSH_READ_QUEUE, 16, 3 },
                { NDSH_READ_LOSSLESS, 16, 3 } };
  NdshWriterOptions options = { .history = 8 };
  g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);

  ndsh_test_publish (writer, 10, 3);
  ndsh_writer_end (writer);
  ndsh_test_publish (writer, 10, 7);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (NdshReader) late = ndsh_test_reader (
      cases[i].mode, cases[i].queue_length, 1);

    /* It joined the last part only, unless its first frame is of the one before. */
    for (guint64 n = cases[i].first; n <= 10; n++) {
      g_autoptr (NdshFrame) frame = NULL;

      if (n == 4)
        ndsh_test_wait_fails (late, -1, NDSH_ERROR_ENDED);
      frame = ndsh_test_next (late);
      g_assert_cmpuint (ndsh_frame_get_sequence (frame), ==, n);
    }
  }
}

static void
test_latest_skips_to_the_newest (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 0);
  g_autoptr (NdshFrame) frame = NULL;
  NdshReaderInfo info;

  ndsh_test_publish (writer, 1000, 10);
  frame = ndsh_test_next (reader);

  g_assert_cmpuint (ndsh_frame_get_sequence (frame), ==, 10);
  g_assert_null (ndsh_reader_acquire (reader));
  ndsh_reader_get_info (reader, &info);
  g_assert_cmpuint (info.delivered, ==, 1);
  g_assert_cmpuint (info.missed, ==, 9);
  g_assert_cmpuint (info.n_leases, ==, 1);
}

static void
test_queue_keeps_so_many_and_counts_the_rest (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_QUEUE, 6, 1);
  NdshReaderInfo info;

  ndsh_test_publish (writer, 1000, 20);

  for (guint n = 15; n <= 20; n++) {
    g_autoptr (NdshFrame) frame = ndsh_test_next (reader);

    g_assert_cmpuint (ndsh_frame_get_sequence (frame), ==, n);
  }
  g_assert_null (ndsh_reader_acquire (reader));
  ndsh_reader_get_info (reader, &info);
  g_assert_cmpuint (info.delivered, ==, 6);
  g_assert_cmpuint (info.missed, ==, 14);
}

/* The writer keeps what is asked for from its next frame on, and the reader skips what
 * is older at once. */
static void
test_a_queue_may_become_longer_and_shorter (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_QUEUE, 2, 1);

  ndsh_reader_set_queue_length (reader, 9);
  ndsh_test_publish (writer, 1000, 20);
  for (guint n = 12; n <= 14; n++) {
    g_autoptr (NdshFrame) frame = ndsh_test_next (reader);

    g_assert_cmpuint (ndsh_frame_get_sequence (frame), ==, n);
  }
  ndsh_reader_set_queue_length (reader, 2);
  for (guint n = 19; n <= 20; n++) {
    g_autoptr (NdshFrame) frame = ndsh_test_next (reader);

    g_assert_cmpuint (ndsh_frame_get_sequence (frame), ==, n);
  }
}

static void
test_timing_is_that_of_the_moment_of_publishing (void)
{
  const NdshTiming timing = { NDSH_CLOCK_NONE, 5, 6 };
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_QUEUE, 2, 2);
  g_autoptr (NdshFrame) first = NULL;
  g_autoptr (NdshFrame) second = NULL;

  ndsh_test_publish (writer, 1000, 1);
  ndsh_writer_set_timing (writer, &timing);
  ndsh_test_publish (writer, 1000, 1);

  first = ndsh_test_next (reader);
  g_assert_cmpint (ndsh_frame_get_timing (first)->clock, ==, NDSH_CLOCK_MONOTONIC);
  g_assert_cmpint (ndsh_frame_get_timing (first)->origin_ns, ==, 0);
  second = ndsh_test_next (reader);
  g_assert_cmpint (ndsh_frame_get_timing (second)->clock, ==, NDSH_CLOCK_NONE);
  g_assert_cmpint (ndsh_frame_get_timing (second)->origin_ns, ==, 5);
  g_assert_cmpint (ndsh_frame_get_timing (second)->latency_ns, ==, 6);
}

static gpointer
publish_300 (gpointer writer)
{
  ndsh_test_publish (writer, 1000, 300);
  return NULL;
}

static void
test_lossless_misses_nothing (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_LOSSLESS, 0, 0);
  GThread *thread = g_thread_new ("writer", publish_300, writer);
  NdshReaderInfo info;

  for (guint n = 1; n <= 300; n++) {
    g_autoptr (NdshFrame) frame = ndsh_test_next (reader);

    g_assert_cmpuint (ndsh_frame_get_sequence (frame), ==, n);
  }
  g_thread_join (thread);
  ndsh_reader_get_info (reader, &info);
  g_assert_cmpuint (info.missed, ==, 0);
  g_assert_cmpint (info.mode, ==, NDSH_READ_LOSSLESS);
}

/* --- Leases --------------------------------------------------------------- */

static void
test_held_frames_do_not_change (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 8);
  NdshFrame *held[8];

  for (guint i = 0; i < 8; i++) {
    ndsh_test_publish (writer, 1000, 3);
    held[i] = ndsh_test_next (reader);
  }
  g_assert_null (ndsh_reader_acquire (reader));
  ndsh_test_wait_fails (reader, -1, NDSH_ERROR_FULL);
  ndsh_test_publish (writer, 1000, 50);

  for (guint i = 0; i < 8; i++) {
    ndsh_test_check_bytes (held[i]);
    ndsh_frame_release (held[i]);
  }
}

static void
test_frames_outlive_reader_and_writer (void)
{
  NdshWriter *writer = ndsh_test_writer (NULL);
  NdshReader *reader = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 2);
  NdshArrayInfo info = ndsh_test_bytes (1000);
  g_autoptr (NdshDraft) draft = NULL;
  g_autoptr (NdshFrame) one = NULL;
  g_autoptr (NdshFrame) two = NULL;

  ndsh_test_publish (writer, 1000, 1);
  one = ndsh_test_next (reader);
  ndsh_test_publish (writer, 1000, 1);
  two = ndsh_test_next (reader);
  ndsh_reader_free (reader);
  ndsh_test_publish (writer, 1000, 20);
  ndsh_test_check_bytes (one);
  draft = ndsh_writer_begin (writer, &info, 1, NULL);
  ndsh_writer_free (writer);

  ndsh_test_check_bytes (one);
  ndsh_test_check_bytes (two);
  memset (ndsh_draft_get_data (draft), 1, ndsh_draft_get_size (draft));
  g_assert_true (ndsh_draft_describe (draft, &info, 1, 0, "x", 1, NULL));
  g_assert_cmpuint (ndsh_draft_publish (draft, NULL), ==, 0);
}

/* --- Sleeping ------------------------------------------------------------- */

typedef struct {
  NdshWriter *writer;
  guint n;
  gint asked;                   /* frames that the reader has asked for */
} Asked;

/* At another moment each time, from before the reader looks until it sleeps. */
static gpointer
publish_what_is_asked_for (gpointer data)
{
  Asked *p = data;

  for (guint i = 0; i < p->n; i++) {
    while (g_atomic_int_get (&p->asked) <= (gint) i)
      g_thread_yield ();
    for (guint spin = i * 37 % 2000; spin > 0; spin--)
      g_atomic_int_get (&p->asked);
    ndsh_test_publish (p->writer, 8, 1);
  }
  return NULL;
}

/* Who falls asleep beside a frame that is there sleeps until the deadline of
 * ndsh_test_next (). */
static void
test_no_wake_up_is_lost (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 1);
  Asked publisher = { .writer = writer, .n = 5000 };
  GThread *thread
    = g_thread_new ("writer", publish_what_is_asked_for, &publisher);

  for (guint n = 1; n <= publisher.n; n++) {
    g_autoptr (NdshFrame) frame = NULL;

    g_atomic_int_inc (&publisher.asked);
    frame = ndsh_test_next (reader);
    g_assert_cmpuint (ndsh_frame_get_sequence (frame), ==, n);
  }
  g_thread_join (thread);
}

static gpointer
flush (gpointer reader)
{
  ndsh_reader_set_flushing (reader, TRUE);
  return NULL;
}

static void
test_flushing_ends_a_wait_and_those_that_follow (void)
{
  g_autoptr (NdshReader) reader = ndsh_test_reader (NDSH_READ_LATEST, 0, 1);
  GThread *thread = g_thread_new ("flush", flush, reader);
  g_autoptr (NdshWriter) writer = NULL;

  ndsh_test_wait_fails (reader, -1, NDSH_ERROR_TIMEOUT);
  g_thread_join (thread);
  ndsh_test_wait_fails (reader, -1, NDSH_ERROR_TIMEOUT);
  ndsh_reader_set_flushing (reader, TRUE);
  ndsh_reader_set_flushing (reader, FALSE);

  writer = ndsh_test_writer (NULL);
  ndsh_test_wait_fails (reader, 100000, NDSH_ERROR_TIMEOUT);
  thread = g_thread_new ("flush", flush, reader);
  ndsh_test_wait_fails (reader, -1, NDSH_ERROR_TIMEOUT);
  g_thread_join (thread);
  ndsh_test_publish (writer, 8, 1);
  ndsh_reader_set_flushing (reader, FALSE);
  ndsh_frame_release (ndsh_test_next (reader));
}

static gpointer
flush_and_go_on (gpointer reader)
{
  for (guint i = 0; i < 20000; i++)
    ndsh_reader_set_flushing (reader, i % 2 == 0 ? 2 : FALSE);
  return NULL;
}

/* Whoever was last, nothing of the others is left. */
static void
test_flushing_from_two_threads_is_over_in_the_end (void)
{
  g_autoptr (NdshReader) reader = ndsh_test_reader (NDSH_READ_LATEST, 0, 1);
  GThread *one = g_thread_new ("one", flush_and_go_on, reader);
  GThread *two = g_thread_new ("two", flush_and_go_on, reader);

  g_thread_join (one);
  g_thread_join (two);
  /* It becomes readable each time that a writer is to be looked for. */
  for (guint tries = 0; fd_is_readable (reader, 0); tries++) {
    g_assert_cmpuint (tries, <, 100);
    ndsh_test_wait_fails (reader, 0, NDSH_ERROR_NOT_FOUND);
  }
}

/* --- Ends ----------------------------------------------------------------- */

static void
test_the_end_comes_once_after_the_last_frame (void)
{
  NdshWriter *writer = ndsh_test_writer (NULL);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_QUEUE, 4, 1);

  ndsh_test_publish (writer, 100, 2);
  ndsh_writer_end (writer);
  ndsh_frame_release (ndsh_test_next (reader));
  ndsh_frame_release (ndsh_test_next (reader));
  ndsh_test_wait_fails (reader, -1, NDSH_ERROR_ENDED);
  ndsh_test_wait_fails (reader, 1000, NDSH_ERROR_TIMEOUT);

  ndsh_test_publish (writer, 100, 1);
  ndsh_writer_end (writer);
  ndsh_writer_free (writer);
  ndsh_frame_release (ndsh_test_next (reader));
  ndsh_test_wait_fails (reader, -1, NDSH_ERROR_ENDED);
  ndsh_test_wait_fails (reader, -1, NDSH_ERROR_CLOSED);
  g_assert_false (ndsh_reader_is_connected (reader));
  ndsh_test_wait_fails (reader, 0, NDSH_ERROR_NOT_FOUND);
  ndsh_test_wait_fails (reader, 1000, NDSH_ERROR_TIMEOUT);
}

static void
check_next_is (NdshReader *reader, guint64 number)
{
  g_autoptr (NdshFrame) frame = ndsh_test_next (reader);

  g_assert_cmpuint (ndsh_frame_get_sequence (frame), ==, number);
}

static void
check_next_is_an_end (NdshReader *reader)
{
  g_assert_null (ndsh_reader_acquire (reader));
  ndsh_test_wait_fails (reader, -1, NDSH_ERROR_ENDED);
}

static void
check_nothing_is_next (NdshReader *reader)
{
  g_assert_null (ndsh_reader_acquire (reader));
  ndsh_test_wait_fails (reader, 0, NDSH_ERROR_TIMEOUT);
}

static void
publish_a_part (NdshWriter *writer, guint n)
{
  ndsh_test_publish (writer, 100, n);
  ndsh_writer_end (writer);
}

static void
check_ends_lie_between_frames (NdshReadMode mode)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshReader) reader = ndsh_test_joined_reader (mode, 8, 8);

  publish_a_part (writer, 1);
  publish_a_part (writer, 2);
  publish_a_part (writer, 1);

  check_next_is (reader, 1);
  check_next_is_an_end (reader);
  check_next_is (reader, 2);
  check_next_is (reader, 3);
  check_next_is_an_end (reader);
  check_next_is (reader, 4);
  check_next_is_an_end (reader);
  check_nothing_is_next (reader);
}

static void
test_ends_lie_between_frames (void)
{
  check_ends_lie_between_frames (NDSH_READ_QUEUE);
  check_ends_lie_between_frames (NDSH_READ_LOSSLESS);
}

static void
test_who_missed_several_parts_hears_one_end (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshReader) latest
    = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 1);
  g_autoptr (NdshReader) queue
    = ndsh_test_joined_reader (NDSH_READ_QUEUE, 2, 1);

  publish_a_part (writer, 1);
  check_next_is (latest, 1);
  for (guint i = 0; i < 4; i++)
    publish_a_part (writer, 1);

  check_next_is_an_end (latest);
  check_next_is (latest, 5);
  check_next_is_an_end (latest);
  check_nothing_is_next (latest);
  check_next_is_an_end (queue);
  check_next_is (queue, 4);
  check_next_is_an_end (queue);
  check_next_is (queue, 5);
  check_next_is_an_end (queue);
  check_nothing_is_next (queue);
}

static void
test_an_end_is_told_once_however_often_it_is_said (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_QUEUE, 4, 2);

  ndsh_writer_end (writer);
  ndsh_writer_end (writer);
  check_next_is_an_end (reader);
  check_nothing_is_next (reader);
  ndsh_writer_end (writer);
  check_nothing_is_next (reader);

  publish_a_part (writer, 1);
  ndsh_writer_end (writer);
  check_next_is (reader, 1);
  check_next_is_an_end (reader);
  check_nothing_is_next (reader);
}

/* Begun before the end, and published after it. */
static void
test_a_draft_belongs_to_the_part_it_is_published_in (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_QUEUE, 4, 2);
  NdshArrayInfo info = ndsh_test_bytes (1);
  g_autoptr (NdshDraft) draft = ndsh_writer_begin (writer, &info, 1, NULL);

  publish_a_part (writer, 1);
  *(guint8 *) ndsh_draft_get_data (draft) = 2;
  g_assert_cmpuint (ndsh_draft_publish (draft, NULL), ==, 2);

  check_next_is (reader, 1);
  check_next_is_an_end (reader);
  check_next_is (reader, 2);
  check_nothing_is_next (reader);
}

static void
test_an_end_before_all_frames_is_told (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshReader) reader = ndsh_test_reader (NDSH_READ_QUEUE, 4, 2);

  ndsh_writer_end (writer);
  check_next_is_an_end (reader);
  publish_a_part (writer, 1);

  check_next_is (reader, 1);
  check_next_is_an_end (reader);
}

static void
test_who_comes_late_hears_the_ends_after_its_first_frame (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshReader) ended = NULL;
  g_autoptr (NdshReader) between = NULL;
  g_autoptr (NdshReader) within = NULL;

  ndsh_writer_end (writer);
  publish_a_part (writer, 1);
  ended = ndsh_test_joined_reader (NDSH_READ_QUEUE, 4, 1);
  between = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 1);
  check_next_is (ended, 1);
  check_next_is_an_end (ended);
  ndsh_test_publish (writer, 100, 1);
  within = ndsh_test_joined_reader (NDSH_READ_QUEUE, 4, 1);

  check_next_is (ended, 2);
  check_next_is_an_end (between);
  check_next_is (between, 2);
  check_next_is (within, 2);
  check_nothing_is_next (within);
}

static void
test_an_end_waits_for_a_lease (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_QUEUE, 4, 1);
  NdshFrame *frame;

  publish_a_part (writer, 1);
  publish_a_part (writer, 1);
  frame = ndsh_test_next (reader);
  g_assert_null (ndsh_reader_acquire (reader));
  ndsh_test_wait_fails (reader, 0, NDSH_ERROR_FULL);
  ndsh_frame_release (frame);

  check_next_is_an_end (reader);
  check_next_is (reader, 2);
  check_next_is_an_end (reader);
}

/* Nothing else follows that would wake it. */
static void
test_who_sleeps_is_woken_by_the_end (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshReader) reader = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 1);

  ndsh_test_publish (writer, 100, 1);
  ndsh_frame_release (ndsh_test_next (reader));
  ndsh_test_wait_fails (reader, 0, NDSH_ERROR_TIMEOUT);
  g_assert_false (fd_is_readable (reader, 0));
  ndsh_writer_end (writer);
  g_assert_true (fd_is_readable (reader, 10000));
  check_next_is_an_end (reader);
}

#define PART 3                  /* frames; an end follows each */

static gpointer
publish_parts (gpointer data)
{
  Asked *p = data;

  for (guint i = 1; i <= p->n; i++) {
    ndsh_test_publish (p->writer, 8, 1);
    for (guint spin = i * 37 % 2000; spin > 0; spin--)
      g_atomic_int_get (&p->asked);
    if (i % PART == 0)
      ndsh_writer_end (p->writer);
  }
  return NULL;
}

/* It is told an end before a frame exactly if that is of another part than the frame
 * before, and never more ends than there were. */
static void
read_parts (NdshReader *reader, guint n)
{
  guint64 last = 0, n_ends;
  guint told = 0;

  while (last < n || told == 0) {
    g_autoptr (GError) error = NULL;
    g_autoptr (NdshFrame) frame = NULL;

    if (!ndsh_reader_wait (reader, 10 * G_USEC_PER_SEC, &error)) {
      g_assert_error (error, NDSH_ERROR, NDSH_ERROR_ENDED);
      told++;
      continue;
    }
    frame = ndsh_reader_acquire (reader);
    if (frame == NULL)
      continue;
    n_ends = (ndsh_frame_get_sequence (frame) - 1) / PART
             - (MAX (last, 1) - 1) / PART;
    g_assert_cmpuint (told, <=, n_ends);
    g_assert_cmpuint (told > 0, ==, n_ends > 0);
    last = ndsh_frame_get_sequence (frame);
    told = 0;
  }
  ndsh_test_wait_fails (reader, 0, NDSH_ERROR_TIMEOUT);
}

static void
test_ends_are_told_in_order_at_full_speed (void)
{
  for (guint mode = NDSH_READ_LATEST; mode <= NDSH_READ_LOSSLESS; mode++) {
    g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
    g_autoptr (NdshReader) reader
      = ndsh_test_joined_reader ((NdshReadMode) mode, 2, 2);
    Asked publisher = { .writer = writer, .n = 1000 * PART };
    GThread *thread = g_thread_new ("writer", publish_parts, &publisher);

    read_parts (reader, publisher.n);
    g_thread_join (thread);
  }
}

static void
test_a_reader_goes_on_with_the_next_writer (void)
{
  g_autoptr (NdshReader) reader = ndsh_test_reader (NDSH_READ_LATEST, 0, 0);
  g_autofree char *last_id = NULL;

  ndsh_test_wait_fails (reader, 0, NDSH_ERROR_NOT_FOUND);
  for (guint i = 0; i < 5; i++) {
    NdshWriter *writer = ndsh_test_writer (NULL);
    g_autoptr (NdshFrame) frame = NULL;

    ndsh_test_publish (writer, 1000 << i, 1);
    frame = ndsh_test_next (reader);
    g_assert_cmpstr (ndsh_frame_get_stream_id (frame), !=, last_id);
    g_free (last_id);
    last_id = g_strdup (ndsh_frame_get_stream_id (frame));
    ndsh_writer_free (writer);
    ndsh_test_wait_fails (reader, -1, NDSH_ERROR_CLOSED);
  }
}

/* --- The fd --------------------------------------------------------------- */

static void
test_the_fd_tells_of_each_change (void)
{
  g_autoptr (NdshReader) reader = ndsh_test_reader (NDSH_READ_LATEST, 0, 0);
  int fd = ndsh_reader_get_fd (reader);
  NdshWriter *writer;

  ndsh_test_wait_fails (reader, 0, NDSH_ERROR_NOT_FOUND);
  writer = ndsh_test_writer (NULL);
  while (!ndsh_reader_is_connected (reader)) {
    g_assert_true (fd_is_readable (reader, 10000));
    ndsh_reader_wait (reader, 0, NULL);
  }
  ndsh_test_wait_fails (reader, 0, NDSH_ERROR_TIMEOUT);
  g_assert_false (fd_is_readable (reader, 0));

  /* Of a new slot there is a message as well; later frames have but the wake-up. */
  for (guint i = 0; i < 10; i++) {
    ndsh_test_publish (writer, 100, 1);
    g_assert_true (fd_is_readable (reader, 10000));
    ndsh_frame_release (ndsh_test_next (reader));
    ndsh_test_wait_fails (reader, 0, NDSH_ERROR_TIMEOUT);
    g_assert_false (fd_is_readable (reader, 0));
  }

  ndsh_writer_free (writer);
  g_assert_true (fd_is_readable (reader, 10000));
  ndsh_test_wait_fails (reader, 0, NDSH_ERROR_CLOSED);
  g_assert_cmpint (ndsh_reader_get_fd (reader), ==, fd);
}

/* --- Options and times ---------------------------------------------------- */

static void
test_options_out_of_range_are_refused (void)
{
  NdshReaderOptions bad[] = {
    { .mode = (NdshReadMode) 3 },
    { .mode = (NdshReadMode) -1 },
    { .queue_length = NDSH_MAX_QUEUE + 1 },
    { .max_leases = NDSH_MAX_LEASES + 1 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (ndsh_reader_new ("test", &bad[i], &error));
    g_assert_error (error, NDSH_ERROR, NDSH_ERROR_INVALID);
  }
}

static void
test_want_of_fds_is_told (void)
{
  guint fds = ndsh_test_count_fds ();
  g_autoptr (GError) error = NULL;
  NdshReader *reader;

  ndsh_test_limit_fds (1);
  reader = ndsh_reader_new ("test", NULL, &error);
  ndsh_test_unlimit_fds ();

  g_assert_null (reader);
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_SYSTEM);
  g_assert_cmpuint (ndsh_test_count_fds (), ==, fds);
}

/* Those that come with a message are limited by the kernel, and valgrind has raised
 * that limit for itself. */
static gboolean
fds_cannot_be_limited (void)
{
  if (g_getenv ("NDSH_UNDER_VALGRIND") == NULL)
    return FALSE;
  g_test_skip ("valgrind lets in fds beyond the limit");
  return TRUE;
}

/* A draft that needs a slot of its own, which the reader is told of where it has no
 * fd for it: it leaves, for a while. */
static NdshDraft *
drive_away (NdshWriter *writer, NdshReader *reader, gsize size)
{
  NdshArrayInfo info = ndsh_test_bytes (size);
  NdshDraft *draft = ndsh_writer_begin (writer, &info, 1, NULL);

  ndsh_test_limit_fds (0);
  ndsh_test_wait_fails (reader, 0, NDSH_ERROR_SYSTEM);
  ndsh_test_unlimit_fds ();
  return draft;
}

static void
publish_draft (NdshDraft *draft, guint number)
{
  memset (ndsh_draft_get_data (draft), (int) number, ndsh_draft_get_size (draft));
  g_assert_cmpuint (ndsh_draft_publish (draft, NULL), ==, number);
  ndsh_draft_release (draft);
}

static void
next_is (NdshReader *reader, guint64 sequence, guint64 missed)
{
  g_autoptr (NdshFrame) frame = ndsh_test_next (reader);
  NdshReaderInfo info;

  g_assert_cmpuint (ndsh_frame_get_sequence (frame), ==, sequence);
  ndsh_reader_get_info (reader, &info);
  g_assert_cmpuint (info.missed, ==, missed);
}

/* Nothing comes twice, and what was published between is counted. */
static void
test_a_reader_that_joins_again_goes_on_where_it_was (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_LOSSLESS, 0, 1);
  NdshReaderInfo seen;
  NdshDraft *draft;

  if (fds_cannot_be_limited ())
    return;
  ndsh_test_publish (writer, 1000, 1);
  next_is (reader, 1, 0);
  ndsh_test_log_start ("left the writer of channel 'test': *open files*");
  publish_draft (drive_away (writer, reader, 1000), 2);
  ndsh_test_publish (writer, 1000, 3);
  next_is (reader, 5, 3);

  draft = drive_away (writer, reader, 100000);
  while (!ndsh_reader_is_connected (reader))
    ndsh_test_wait_fails (reader, 10000, NDSH_ERROR_TIMEOUT);
  ndsh_test_wait_fails (reader, 0, NDSH_ERROR_TIMEOUT);
  g_assert_cmpuint (ndsh_writer_get_readers (writer, &seen, 1), ==, 1);
  g_assert_cmpuint (seen.lag, ==, 0);
  publish_draft (draft, 6);
  next_is (reader, 6, 3);
  g_assert_cmpuint (ndsh_test_log_stop (), ==, 2);
}

static void
mode_is (NdshReader *reader, NdshReadMode mode)
{
  NdshReaderInfo info;

  ndsh_reader_get_info (reader, &info);
  g_assert_cmpint (info.mode, ==, mode);
}

/* What was published before it has joined again is not lost as long as it is kept. */
static void
test_a_reader_may_change_its_mode (void)
{
  NdshWriterOptions options = { .history = 8 };
  g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 2);
  g_autoptr (NdshFrame) held = NULL;

  ndsh_test_publish (writer, 1000, 1);
  held = ndsh_test_next (reader);
  ndsh_reader_set_mode (reader, NDSH_READ_LOSSLESS, 0);
  ndsh_test_publish (writer, 1000, 3);
  for (guint n = 2; n <= 4; n++)
    next_is (reader, n, 0);
  mode_is (reader, NDSH_READ_LOSSLESS);

  ndsh_reader_set_mode (reader, NDSH_READ_QUEUE, 3);
  ndsh_reader_set_mode (reader, NDSH_READ_QUEUE, 2);
  ndsh_test_publish (writer, 1000, 4);
  next_is (reader, 7, 2);
  mode_is (reader, NDSH_READ_QUEUE);
  next_is (reader, 8, 2);
  ndsh_test_wait_fails (reader, 0, NDSH_ERROR_TIMEOUT);
  ndsh_test_check_bytes (held);
}

/* With two frames and their end to be read, and the writer has gone. */
static NdshReader *
join_a_stream_that_ended (void)
{
  NdshWriter *writer = ndsh_test_writer (NULL);
  NdshReader *reader = ndsh_test_joined_reader (NDSH_READ_QUEUE, 4, 1);

  ndsh_test_publish (writer, 1000, 2);
  ndsh_writer_end (writer);
  ndsh_writer_free (writer);
  return reader;
}

/* It is told what is left to be told of that writer first. */
static void
test_a_mode_that_changes_when_the_writer_has_gone_loses_nothing (void)
{
  g_autoptr (NdshReader) reader = join_a_stream_that_ended ();

  next_is (reader, 1, 0);
  next_is (reader, 2, 0);
  ndsh_test_wait_fails (reader, 0, NDSH_ERROR_ENDED);
  g_assert_false (ndsh_reader_is_connected (reader));
  ndsh_reader_set_mode (reader, NDSH_READ_LATEST, 0);
  ndsh_test_wait_fails (reader, 0, NDSH_ERROR_CLOSED);
}

/* Nor where nobody has heard yet that it has. */
static void
test_a_mode_that_changes_behind_an_end_loses_nothing (void)
{
  g_autoptr (NdshReader) reader = join_a_stream_that_ended ();

  ndsh_reader_set_mode (reader, NDSH_READ_LOSSLESS, 0);
  next_is (reader, 1, 0);
  next_is (reader, 2, 0);
  ndsh_test_wait_fails (reader, -1, NDSH_ERROR_ENDED);
  ndsh_test_wait_fails (reader, -1, NDSH_ERROR_CLOSED);
}

static void
test_a_writer_that_goes_while_a_mode_changes_has_gone (void)
{
  NdshWriter *writer = ndsh_test_writer (NULL);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 1);

  ndsh_reader_set_mode (reader, NDSH_READ_QUEUE, 4);
  ndsh_writer_free (writer);
  ndsh_test_wait_fails (reader, -1, NDSH_ERROR_CLOSED);
}

/* The link that it has left is there as long as its frame is held. */
static void
test_a_reader_in_another_mode_takes_no_other_s_place (void)
{
  NdshWriterOptions options = { .max_readers = 1 };
  g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 2);
  g_autoptr (NdshFrame) held = NULL;

  ndsh_test_publish (writer, 1000, 1);
  held = ndsh_test_next (reader);
  ndsh_reader_set_mode (reader, NDSH_READ_QUEUE, 4);
  ndsh_test_publish (writer, 1000, 1);
  next_is (reader, 2, 0);
}

/* How many readers there were at most and at least when the writer was told. */
static gint most_readers, least_readers;

static void
note_readers (NdshWriter *writer, gpointer data)
{
  gint n = (gint) ndsh_writer_get_readers (writer, NULL, 0);

  (void) data;
  g_atomic_int_set (&most_readers, MAX (n, g_atomic_int_get (&most_readers)));
  g_atomic_int_set (&least_readers, MIN (n, g_atomic_int_get (&least_readers)));
}

static void
change_mode_and_count_readers (gboolean holds_a_frame)
{
  NdshWriterOptions options = { .notify = note_readers };
  g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 2);
  g_autoptr (NdshFrame) held = NULL;
  g_autoptr (NdshChannelInfo) info = NULL;

  ndsh_test_publish (writer, 1000, 1);
  held = ndsh_test_next (reader);
  if (!holds_a_frame)
    g_clear_pointer (&held, ndsh_frame_release);
  g_atomic_int_set (&most_readers, 1);
  g_atomic_int_set (&least_readers, 1);
  ndsh_reader_set_max_rate (reader, 25);        /* of which the writer is told, too */
  ndsh_reader_set_mode (reader, NDSH_READ_QUEUE, 4);
  /* Time for the writer to hear of what there is to be heard. */
  ndsh_channel_info_free (ndsh_channel_info_new ("test", NULL));
  ndsh_test_publish (writer, 1000, 1);
  next_is (reader, 2, 0);
  info = ndsh_channel_info_new ("test", NULL);

  g_assert_cmpuint (info->n_readers, ==, 1);
  g_assert_cmpint (g_atomic_int_get (&most_readers), ==, 1);
  g_assert_cmpint (g_atomic_int_get (&least_readers), ==, 1);
}

static void
test_a_reader_in_another_mode_is_the_same_reader (void)
{
  change_mode_and_count_readers (FALSE);
  change_mode_and_count_readers (TRUE);
}

/* The writer is not to blame, so what came before the reader left is taken. */
static void
test_want_of_fds_loses_no_more_than_it_must (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_QUEUE, 4, 1);

  if (fds_cannot_be_limited ())
    return;
  for (guint n = 1; n <= 10; n++) {
    ndsh_test_publish (writer, 1000, 1);
    next_is (reader, n, 0);
  }
  ndsh_test_publish (writer, 100000, 1);
  ndsh_test_publish (writer, 1000, 1);

  ndsh_test_log_start ("left the writer of channel 'test': *open files*");
  ndsh_test_limit_fds (0);
  next_is (reader, 12, 1);
  ndsh_test_wait_fails (reader, 0, NDSH_ERROR_SYSTEM);
  ndsh_test_unlimit_fds ();
  g_assert_cmpuint (ndsh_test_log_stop (), ==, 1);

  ndsh_test_publish (writer, 100000, 1);
  next_is (reader, 13, 1);
}

static gpointer
publish_one (gpointer writer)
{
  ndsh_test_publish (writer, 100, 1);
  return NULL;
}

/* The longest time is for ever, not the past. */
static void
test_a_wait_can_be_as_long_as_a_number (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 0);
  GThread *thread = g_thread_new ("writer", publish_one, writer);
  g_autoptr (GError) error = NULL;
  gboolean came;

  came = ndsh_reader_wait (reader, G_MAXINT64, &error);
  g_thread_join (thread);

  g_assert_no_error (error);
  g_assert_true (came);
}

/* --- A writer that lies --------------------------------------------------- */

typedef struct {
  NdshName *name;
  int listen_fd;
  int fd;
  NdshSegment *control;
  NdshSegment *page;
  NdshBell bell;
  NdshSegment *slot;
  NdshReader *reader;
} Liar;

static NdshSegment *
make_segment (gsize size, NdshSegmentAccess access)
{
  g_autoptr (GError) error = NULL;
  NdshSegment *segment
    = ndsh_segment_new ("ndsh-test", size, size, access, &error);

  g_assert_no_error (error);
  return segment;
}

static void
make_control (Liar *liar)
{
  NdshControl *control;

  liar->control = make_segment (sizeof *control, NDSH_SEGMENT_READ);
  liar->page = make_segment (sizeof (NdshLeasePage), NDSH_SEGMENT_SHARED);
  g_assert_true (ndsh_bell_init (&liar->bell));
  liar->slot = make_segment (4096 + NDSH_MAX_TAIL, NDSH_SEGMENT_READ);
  control = liar->control->data;
  control->magic = NDSH_MAGIC;
  control->major = NDSH_MAJOR;
  control->size = sizeof *control;
  control->record_size = sizeof control->slot[0];
  control->n_slots = NDSH_N_SLOTS;
  control->ring_size = NDSH_RING;
  control->byte_order = 0x01020304;
}

static void
send_welcome (Liar *liar, NdshReadMode mode)
{
  NdshWelcome welcome = { .mode = mode,
                          .queue_length = 4,
                          .max_leases = 2,
                          .cursor = 1,
                          .control_size = (guint32) liar->control->size,
                          .page_size = (guint32) liar->page->size };
  int fds[3] = { liar->control->fd, liar->page->fd, liar->bell.listen_fd };

  ndsh_header_init (&welcome, NDSH_MESSAGE_WELCOME, sizeof welcome);
  g_assert_cmpint (
    ndsh_message_send (liar->fd, &welcome, sizeof welcome, fds, 3), ==,
    NDSH_IO_DONE);
}

static void
announce (Liar *liar, guint32 generation)
{
  NdshSegmentMessage message = { .generation = generation,
                                 .size = liar->slot->size };

  ndsh_header_init (&message, NDSH_MESSAGE_SEGMENT, sizeof message);
  g_assert_cmpint (ndsh_message_send (liar->fd, &message, sizeof message,
                                      &liar->slot->fd, 1),
                   ==, NDSH_IO_DONE);
}

static void
send_segment (Liar *liar)
{
  announce (liar, 1);
}

static void
accept_reader (Liar *liar)
{
  ndsh_test_wait_fails (liar->reader, 0, NDSH_ERROR_TIMEOUT);
  liar->fd = accept4 (liar->listen_fd, NULL, NULL, SOCK_CLOEXEC);
  g_assert_cmpint (liar->fd, >=, 0);
}

static void
liar_init (Liar *liar)
{
  g_autoptr (GError) error = NULL;

  liar->name = ndsh_name_take ("test", 0600, &liar->listen_fd, &error);
  g_assert_no_error (error);
  make_control (liar);
  liar->reader = ndsh_test_reader (NDSH_READ_QUEUE, 4, 2);
  accept_reader (liar);
}

static void
liar_join (Liar *liar, NdshReadMode mode)
{
  liar_init (liar);
  send_welcome (liar, mode);
  send_segment (liar);
  while (!ndsh_reader_is_connected (liar->reader))
    ndsh_reader_wait (liar->reader, 1000, NULL);
}

static void
liar_clear (Liar *liar)
{
  ndsh_reader_free (liar->reader);
  close (liar->fd);
  ndsh_lifeline_close (liar->listen_fd);
  ndsh_name_give_back (liar->name);
  ndsh_segment_unref (liar->control);
  ndsh_segment_unref (liar->page);
  ndsh_bell_clear (&liar->bell);
  ndsh_segment_unref (liar->slot);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Liar, liar_clear)

/* Frame 1 in slot 0: uint8[10]. */
static void
write_frame (Liar *liar)
{
  NdshControl *control = liar->control->data;
  NdshPackedArray array = { .dtype = NDSH_DTYPE_UINT8, .n_dims = 1 };
  guint64 numbers[2] = { 10, 1 };
  NdshRecord *record = &control->slot[0];

  memset (liar->slot->data, 1, 10);
  memcpy ((guint8 *) liar->slot->data + 4096, &array, sizeof array);
  memcpy ((guint8 *) liar->slot->data + 4096 + sizeof array, numbers,
          sizeof numbers);
  record->frame = (NdshFrameRecord){ .full_seq = 1,
                                     .payload_size = 10,
                                     .tail_offset = 4096,
                                     .generation = 1,
                                     .arrays_size = 32,
                                     .n_arrays = 1 };
}

static void
publish (Liar *liar)
{
  NdshControl *control = liar->control->data;

  store_release (&control->slot[0].state_seq, ndsh_word (1));
  store_relaxed_u8 (&control->ring[1], 0);
  store_seq_cst (&control->head, ndsh_word (1));
}

static void
test_a_writer_made_by_hand_is_read (void)
{
  g_auto (Liar) liar = { .fd = -1 };
  g_autoptr (NdshFrame) frame = NULL;

  liar_join (&liar, NDSH_READ_QUEUE);
  write_frame (&liar);
  publish (&liar);
  frame = ndsh_test_next (liar.reader);

  g_assert_cmpuint (ndsh_frame_get_size (frame), ==, 10);
  g_assert_cmpuint (ndsh_frame_get_sequence (frame), ==, 1);
}

static void
test_a_frame_that_cannot_be_ends_the_link (void)
{
  g_auto (Liar) liar = { .fd = -1 };
  NdshControl *control;

  liar_join (&liar, NDSH_READ_QUEUE);
  control = liar.control->data;
  write_frame (&liar);
  control->slot[0].frame.payload_size = G_MAXUINT64;
  publish (&liar);
  ndsh_test_log_start ("left the writer of channel 'test': *");

  g_assert_true (ndsh_reader_wait (liar.reader, 0, NULL));
  g_assert_null (ndsh_reader_acquire (liar.reader));
  ndsh_test_wait_fails (liar.reader, 0, NDSH_ERROR_INCOMPATIBLE);
  g_assert_false (ndsh_reader_is_connected (liar.reader));
  g_assert_cmpuint (ndsh_test_log_stop (), ==, 1);
}

/* Any bits at all in the control page: no crash, no endless loop, many lines in the
 * log. */
static void
test_a_control_page_gone_wild_is_survived (void)
{
  g_auto (Liar) liar = { .fd = -1 };
  guint n = g_test_slow () ? 100000 : 3000;

  liar_init (&liar);
  alarm (100);
  for (guint i = 0; i < n; i++) {
    NdshControl *control = liar.control->data;
    guint32 *words = (guint32 *) (gpointer) &control->head;
    gsize n_words = (sizeof *control - G_STRUCT_OFFSET (NdshControl, head)) / 4;

    if (liar.fd < 0)
      accept_reader (&liar);
    if (!ndsh_reader_is_connected (liar.reader)) {
      send_welcome (&liar, (NdshReadMode) (i % 3));
      send_segment (&liar);
    }
    for (guint k = 0; k < 20; k++)
      words[g_test_rand_int_range (0, k % 2 ? 40 : (gint32) n_words)]
        = (guint32) g_test_rand_int ();
    write_frame (&liar);
    control->slot[0].state_seq = control->head;
    control->slot[0].frame.full_seq = control->head >> 1;
    memset (control->ring, 0, i % 2 ? sizeof control->ring : 0);
    ndsh_reader_wait (liar.reader, 0, NULL);
    ndsh_frame_release (ndsh_reader_acquire (liar.reader));
    if (!ndsh_reader_is_connected (liar.reader)) {
      close (liar.fd);
      ndsh_reader_free (liar.reader);
      liar.reader = ndsh_test_reader (NDSH_READ_QUEUE, 4, 2);
      liar.fd = -1;
    }
  }
  alarm (0);
}

/* The announcement of its memory may come after the reader has seen both the frame
 * and the end. */
static void
test_the_end_waits_for_a_frame_whose_memory_is_not_known (void)
{
  g_auto (Liar) liar = { .fd = -1 };
  NdshControl *control;

  liar_init (&liar);
  control = liar.control->data;
  write_frame (&liar);
  publish (&liar);
  store_release (&control->ends, 1);
  send_welcome (&liar, NDSH_READ_LATEST);
  while (!ndsh_reader_is_connected (liar.reader))
    ndsh_test_wait_fails (liar.reader, 1000, NDSH_ERROR_TIMEOUT);
  ndsh_test_wait_fails (liar.reader, 0, NDSH_ERROR_TIMEOUT);

  send_segment (&liar);

  ndsh_frame_release (ndsh_test_next (liar.reader));
  ndsh_test_wait_fails (liar.reader, -1, NDSH_ERROR_ENDED);
}

/* An end that lies before such a frame comes with it. */
static void
test_an_end_before_a_frame_whose_memory_is_not_known (void)
{
  g_auto (Liar) liar = { .fd = -1 };
  NdshControl *control;

  liar_join (&liar, NDSH_READ_LOSSLESS);
  control = liar.control->data;
  write_frame (&liar);
  publish (&liar);
  check_next_is (liar.reader, 1);
  store_release (&control->ends, 1);
  control->slot[0].frame.full_seq = 2;
  control->slot[0].frame.generation = 2;
  control->slot[0].frame.ends = 1;
  store_release (&control->slot[0].state_seq, ndsh_word (2));
  store_seq_cst (&control->head, ndsh_word (2));
  check_nothing_is_next (liar.reader);

  announce (&liar, 2);

  check_next_is_an_end (liar.reader);
  g_assert_true (ndsh_reader_wait (liar.reader, 0, NULL));
  ndsh_frame_release (ndsh_reader_acquire (liar.reader));
  check_nothing_is_next (liar.reader);
}

/* The writer hangs up, and welcomes the reader that comes again. */
static void
join_again (Liar *liar)
{
  close (liar->fd);
  ndsh_test_wait_fails (liar->reader, -1, NDSH_ERROR_CLOSED);
  while (!ndsh_test_is_readable (liar->listen_fd))
    ndsh_reader_wait (liar->reader, 1000, NULL);
  liar->fd = accept4 (liar->listen_fd, NULL, NULL, SOCK_CLOEXEC);
  send_welcome (liar, NDSH_READ_QUEUE);
  send_segment (liar);
}

static void
test_who_joins_a_stream_again_knows_its_ends (void)
{
  g_auto (Liar) liar = { .fd = -1 };
  NdshControl *control;

  liar_join (&liar, NDSH_READ_QUEUE);
  control = liar.control->data;
  write_frame (&liar);
  publish (&liar);
  store_seq_cst (&control->ends, 1);
  check_next_is (liar.reader, 1);
  check_next_is_an_end (liar.reader);

  join_again (&liar);
  while (!ndsh_reader_is_connected (liar.reader))
    ndsh_test_wait_fails (liar.reader, 1000, NDSH_ERROR_TIMEOUT);
  check_nothing_is_next (liar.reader);

  control->stream_id[0] = 'f';
  join_again (&liar);
  check_next_is (liar.reader, 1);
  check_next_is_an_end (liar.reader);
}

/* Publishes frames in memory that is never announced, and rings for each. */
typedef struct {
  Liar *liar;
  pthread_mutex_t mutex;
  gboolean stop;
} Publisher;

static gpointer
publish_unknown_memory (gpointer data)
{
  Publisher *publisher = data;
  NdshControl *control = publisher->liar->control->data;
  gboolean stop = FALSE;

  control->slot[0].frame.generation = 9;
  for (guint n = 1; !stop; n++) {
    pthread_mutex_lock (&publisher->mutex);
    store_release (&control->slot[0].state_seq, ndsh_word (n));
    store_relaxed_u8 (&control->ring[n % NDSH_RING], 0);
    store_seq_cst (&control->head, ndsh_word (n));
    if (ndsh_wake_reader_sleeps (publisher->liar->page->data))
      ndsh_bell_ring (&publisher->liar->bell);
    stop = publisher->stop;
    pthread_mutex_unlock (&publisher->mutex);
    g_thread_yield ();
  }
  return NULL;
}

/* Looking for a frame may take long and pass over several. Whenever a wait has timed out
 * the next frame must ring, or the fd must be readable. */
static void
test_a_wake_up_heard_while_looking_is_not_lost (void)
{
  g_auto (Liar) liar = { .fd = -1 };
  Publisher publisher = { .liar = &liar };
  const NdshLeasePage *page;
  GThread *thread;

  liar_join (&liar, NDSH_READ_LATEST);
  page = liar.page->data;
  pthread_mutex_init (&publisher.mutex, NULL);
  thread = g_thread_new ("publisher", publish_unknown_memory, &publisher);

  for (guint i = 0; i < 100000; i++) {
    ndsh_test_wait_fails (liar.reader, 0, NDSH_ERROR_TIMEOUT);
    pthread_mutex_lock (&publisher.mutex);
    g_assert_true (load_seq_cst (&page->waiting) != 0
                   || fd_is_readable (liar.reader, 10000));
    pthread_mutex_unlock (&publisher.mutex);
  }

  pthread_mutex_lock (&publisher.mutex);
  publisher.stop = TRUE;
  pthread_mutex_unlock (&publisher.mutex);
  g_thread_join (thread);
  pthread_mutex_destroy (&publisher.mutex);
}

/* For a moment it has a lease, which may be what its writer finds in the way. */
static void
test_who_passes_a_frame_over_wakes_a_writer_that_is_full (void)
{
  g_auto (Liar) liar = { .fd = -1 };
  NdshControl *control;
  NdshHello hello;
  char wake = 0;

  liar_init (&liar);
  control = liar.control->data;
  write_frame (&liar);
  publish (&liar);
  ndsh_wake_arm_writer (control);
  send_welcome (&liar, NDSH_READ_LATEST);
  g_assert_cmpint (recv (liar.fd, &hello, sizeof hello, 0), ==, sizeof hello);
  while (!ndsh_reader_is_connected (liar.reader))
    ndsh_test_wait_fails (liar.reader, 1000, NDSH_ERROR_TIMEOUT);

  g_assert_cmpint (recv (liar.fd, &wake, 1, MSG_DONTWAIT), ==, 1);
  g_assert_cmpint (wake, ==, 'w');
}

static void
test_nonsense_ends_the_link (void)
{
  g_auto (Liar) liar = { .fd = -1 };

  liar_join (&liar, NDSH_READ_QUEUE);
  ndsh_test_log_start ("left the writer of channel 'test': *");
  g_assert_cmpint (send (liar.fd, "nonsense", 8, 0), ==, 8);

  ndsh_test_wait_fails (liar.reader, -1, NDSH_ERROR_INCOMPATIBLE);
  g_assert_cmpuint (ndsh_test_log_stop (), ==, 1);
}

static void
test_an_answer_that_cannot_be_is_told_for_each_try (void)
{
  g_auto (Liar) liar = { .fd = -1 };
  NdshRefused refused = { .code = 1000, .text = "go away" };
  g_autoptr (GError) error = NULL;

  liar_init (&liar);
  g_assert_cmpint (send (liar.fd, "nonsense", 8, 0), ==, 8);
  ndsh_test_wait_fails (liar.reader, -1, NDSH_ERROR_INCOMPATIBLE);
  close (liar.fd);
  while (!ndsh_test_is_readable (liar.listen_fd))
    ndsh_reader_wait (liar.reader, 1000, NULL);
  liar.fd = accept4 (liar.listen_fd, NULL, NULL, SOCK_CLOEXEC);
  ndsh_header_init (&refused, NDSH_MESSAGE_REFUSED, sizeof refused);
  g_assert_cmpint (send (liar.fd, &refused, sizeof refused, 0), ==,
                   sizeof refused);

  g_assert_false (ndsh_reader_wait (liar.reader, -1, &error));
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_SYSTEM);
  g_assert_cmpstr (error->message, ==, "go away");
}

static void
test_a_writer_that_does_not_answer_is_given_up (void)
{
  g_auto (Liar) liar = { .fd = -1 };
  g_autoptr (GError) error = NULL;

  liar_init (&liar);

  while (!ndsh_test_is_readable (liar.listen_fd)) {     /* the second try */
    g_clear_error (&error);
    g_assert_false (ndsh_reader_wait (liar.reader, 2200000, &error));
    g_assert_error (error, NDSH_ERROR, NDSH_ERROR_TIMEOUT);
  }
  g_assert_nonnull (strstr (error->message, "does not answer"));
}

#define ADD(path, function) g_test_add_func ("/reader/" path, function)

int
main (int argc, char **argv)
{
  int result;

  g_test_init (&argc, &argv, NULL);
  ndsh_test_dir_setup ();

  ADD ("who-waits-for-a-writer-sleeps-until-it-comes",
       test_who_waits_for_a_writer_sleeps_until_it_comes);
  ADD ("where-nothing-tells-of-writers-they-are-looked-for",
       test_where_nothing_tells_of_writers_they_are_looked_for);
  ADD ("a-directory-that-may-only-be-entered-is-looked-into",
       test_a_directory_that_may_only_be_entered_is_looked_into);
  ADD ("a-path-is-waited-for-as-a-name-is", test_a_path_is_waited_for_as_a_name_is);
  ADD ("a-frame-arrives-with-all-that-belongs-to-it",
       test_a_frame_arrives_with_all_that_belongs_to_it);
  ADD ("a-frame-is-read-only-memory", test_a_frame_is_read_only_memory);
  ADD ("who-waits-takes-nothing", test_who_waits_takes_nothing);
  ADD ("an-empty-array-is-a-frame", test_an_empty_array_is_a_frame);
  ADD ("who-comes-late-gets-the-history", test_who_comes_late_gets_the_history);
  ADD ("latest-skips-to-the-newest", test_latest_skips_to_the_newest);
  ADD ("queue-keeps-so-many-and-counts-the-rest",
       test_queue_keeps_so_many_and_counts_the_rest);
  ADD ("a-queue-may-become-longer-and-shorter",
       test_a_queue_may_become_longer_and_shorter);
  ADD ("timing-is-that-of-the-moment-of-publishing",
       test_timing_is_that_of_the_moment_of_publishing);
  ADD ("lossless-misses-nothing", test_lossless_misses_nothing);
  ADD ("held-frames-do-not-change", test_held_frames_do_not_change);
  ADD ("frames-outlive-reader-and-writer",
       test_frames_outlive_reader_and_writer);
  ADD ("no-wake-up-is-lost", test_no_wake_up_is_lost);
  ADD ("flushing-from-two-threads-is-over-in-the-end",
       test_flushing_from_two_threads_is_over_in_the_end);
  ADD ("flushing-ends-a-wait-and-those-that-follow",
       test_flushing_ends_a_wait_and_those_that_follow);
  ADD ("the-end-comes-once-after-the-last-frame",
       test_the_end_comes_once_after_the_last_frame);
  ADD ("who-sleeps-is-woken-by-the-end", test_who_sleeps_is_woken_by_the_end);
  ADD ("ends-lie-between-frames", test_ends_lie_between_frames);
  ADD ("who-missed-several-parts-hears-one-end",
       test_who_missed_several_parts_hears_one_end);
  ADD ("an-end-is-told-once-however-often-it-is-said",
       test_an_end_is_told_once_however_often_it_is_said);
  ADD ("a-draft-belongs-to-the-part-it-is-published-in",
       test_a_draft_belongs_to_the_part_it_is_published_in);
  ADD ("an-end-before-all-frames-is-told", test_an_end_before_all_frames_is_told);
  ADD ("who-comes-late-hears-the-ends-after-its-first-frame",
       test_who_comes_late_hears_the_ends_after_its_first_frame);
  ADD ("an-end-waits-for-a-lease", test_an_end_waits_for_a_lease);
  ADD ("ends-are-told-in-order-at-full-speed",
       test_ends_are_told_in_order_at_full_speed);
  ADD ("a-reader-goes-on-with-the-next-writer",
       test_a_reader_goes_on_with_the_next_writer);
  ADD ("the-fd-tells-of-each-change", test_the_fd_tells_of_each_change);
  ADD ("options-out-of-range-are-refused",
       test_options_out_of_range_are_refused);
  ADD ("want-of-fds-is-told", test_want_of_fds_is_told);
  ADD ("a-reader-that-joins-again-goes-on-where-it-was",
       test_a_reader_that_joins_again_goes_on_where_it_was);
  ADD ("a-reader-may-change-its-mode", test_a_reader_may_change_its_mode);
  ADD ("a-mode-that-changes-behind-an-end-loses-nothing",
       test_a_mode_that_changes_behind_an_end_loses_nothing);
  ADD ("a-writer-that-goes-while-a-mode-changes-has-gone",
       test_a_writer_that_goes_while_a_mode_changes_has_gone);
  ADD ("a-reader-in-another-mode-takes-no-other-s-place",
       test_a_reader_in_another_mode_takes_no_other_s_place);
  ADD ("a-reader-in-another-mode-is-the-same-reader",
       test_a_reader_in_another_mode_is_the_same_reader);
  ADD ("a-mode-that-changes-when-the-writer-has-gone-loses-nothing",
       test_a_mode_that_changes_when_the_writer_has_gone_loses_nothing);
  ADD ("want-of-fds-loses-no-more-than-it-must",
       test_want_of_fds_loses_no_more_than_it_must);
  ADD ("a-wait-can-be-as-long-as-a-number",
       test_a_wait_can_be_as_long_as_a_number);
  ADD ("a-writer-made-by-hand-is-read", test_a_writer_made_by_hand_is_read);
  ADD ("a-frame-that-cannot-be-ends-the-link",
       test_a_frame_that_cannot_be_ends_the_link);
  ADD ("a-control-page-gone-wild-is-survived",
       test_a_control_page_gone_wild_is_survived);
  ADD ("the-end-waits-for-a-frame-whose-memory-is-not-known",
       test_the_end_waits_for_a_frame_whose_memory_is_not_known);
  ADD ("an-end-before-a-frame-whose-memory-is-not-known",
       test_an_end_before_a_frame_whose_memory_is_not_known);
  ADD ("who-joins-a-stream-again-knows-its-ends",
       test_who_joins_a_stream_again_knows_its_ends);
  ADD ("a-wake-up-heard-while-looking-is-not-lost",
       test_a_wake_up_heard_while_looking_is_not_lost);
  ADD ("who-passes-a-frame-over-wakes-a-writer-that-is-full",
       test_who_passes_a_frame_over_wakes_a_writer_that_is_full);
  ADD ("nonsense-ends-the-link", test_nonsense_ends_the_link);
  ADD ("an-answer-that-cannot-be-is-told-for-each-try",
       test_an_answer_that_cannot_be_is_told_for_each_try);
  ADD ("a-writer-that-does-not-answer-is-given-up",
       test_a_writer_that_does_not_answer_is_given_up);
  result = g_test_run ();
  ndsh_test_dir_teardown ();
  return result;
}
