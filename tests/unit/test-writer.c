/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A writer as a program meets it through ndsh.h. Its readers live in this process
 * too: what goes between them is the same. */
#include "writer.h"

#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lifeline.h"
#include "message.h"
#include "ndsh-test.h"
#include "rendezvous.h"
#include "segment.h"

/* --- Drafts --------------------------------------------------------------- */

static void
test_the_largest_tail_fits_any_frame (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshReader) reader = ndsh_test_reader (NDSH_READ_LATEST, 0, 0);
  g_autofree char *text = g_strnfill (NDSH_MAX_DESCRIPTION, 'd');
  g_autofree char *metadata = g_strnfill (NDSH_MAX_METADATA, 'm');
  NdshArrayInfo small = ndsh_test_bytes (1);
  g_autoptr (NdshDraft) draft = ndsh_writer_begin (writer, &small, 1, NULL);
  gsize shape[NDSH_MAX_DIMS];
  NdshArrayInfo arrays[NDSH_MAX_ARRAYS];
  g_autoptr (NdshFrame) frame = NULL;
  gsize size;
  guint n;

  for (guint i = 0; i < NDSH_MAX_DIMS; i++)
    shape[i] = 1;
  for (guint i = 0; i < NDSH_MAX_ARRAYS; i++)
    ndsh_array_info_init (&arrays[i], NDSH_DTYPE_UINT8, NDSH_MAX_DIMS, shape);
  g_assert_true (ndsh_writer_set_description (writer, text, NULL));
  g_assert_true (ndsh_writer_set_metadata (writer, metadata, NDSH_MAX_METADATA, NULL));
  g_assert_true (ndsh_draft_describe (draft, arrays, NDSH_MAX_ARRAYS, 0, metadata,
                                      NDSH_MAX_METADATA, NULL));
  memset (ndsh_draft_get_data (draft), 1, 1);
  g_assert_cmpuint (ndsh_draft_publish (draft, NULL), ==, 1);
  frame = ndsh_test_next (reader);

  g_assert_cmpstr (ndsh_frame_get_description (frame), ==, text);
  ndsh_frame_get_metadata (frame, &size);
  g_assert_cmpuint (size, ==, NDSH_MAX_METADATA);
  ndsh_frame_get_stream_metadata (frame, &size);
  g_assert_cmpuint (size, ==, NDSH_MAX_METADATA);
  ndsh_frame_get_arrays (frame, &n);
  g_assert_cmpuint (n, ==, NDSH_MAX_ARRAYS);
}

static void
test_what_cannot_be_is_refused_with_a_sentence (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autofree char *text = g_strnfill (NDSH_MAX_DESCRIPTION + 1, 'd');
  NdshArrayInfo info = ndsh_test_bytes (100);
  g_autoptr (NdshDraft) draft = ndsh_writer_begin (writer, &info, 1, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_false (ndsh_writer_set_description (writer, text, &error));
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_INVALID);
  g_clear_error (&error);
  g_assert_false (ndsh_writer_set_metadata (writer, text, NDSH_MAX_METADATA + 1, &error));
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_INVALID);
  g_clear_error (&error);
  g_assert_false (ndsh_draft_describe (draft, &info, 1, 0, text,
                                       NDSH_MAX_METADATA + 1, &error));
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_INVALID);
  g_clear_error (&error);
  info = ndsh_test_bytes (ndsh_draft_get_size (draft) + 1);
  g_assert_false (ndsh_draft_describe (draft, &info, 1, 0, NULL, 0, &error));
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_INVALID);
  g_clear_error (&error);
  info.strides[0] = -1;
  g_assert_null (ndsh_writer_begin (writer, &info, 1, &error));
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_INVALID);
  g_clear_error (&error);
  g_assert_null (ndsh_writer_begin (writer, &info, 0, &error));
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_INVALID);
}

static void
test_a_draft_is_published_once (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  NdshArrayInfo info = ndsh_test_bytes (100);
  g_autoptr (NdshDraft) draft = ndsh_writer_begin (writer, &info, 1, NULL);

  g_assert_cmpuint (ndsh_draft_publish (draft, NULL), ==, 1);
  g_assert_cmpuint (ndsh_draft_publish (draft, NULL), ==, 0);
}

/* --- Readers that are on their way ---------------------------------------- */

static void *
read_one (void *reader)
{
  return ndsh_reader_read (reader, -1, NULL);
}

/* Each begins to wait before there is a writer, which has gone before it can be met in any
 * other way. How long that stays is an offer, which on a busy machine may be too short. */
static void
test_what_a_short_writer_wrote_reaches_who_waited_for_it (void)
{
  guint n_read = 0;

  if (g_getenv ("NDSH_UNDER_VALGRIND") != NULL) {
    g_test_skip ("it is too slow");
    return;
  }
  for (guint i = 0; i < 20; i++) {
    g_autoptr (NdshReader) reader = ndsh_test_reader (NDSH_READ_LATEST, 0, 0);
    NdshWriter *writer;
    pthread_t thread;
    void *frame;

    g_assert_false (ndsh_reader_wait (reader, 0, NULL));
    g_assert_cmpint (pthread_create (&thread, NULL, read_one, reader), ==, 0);
    writer = ndsh_test_writer (NULL);
    ndsh_test_publish (writer, 100, 1);
    ndsh_writer_free (writer);
    ndsh_reader_set_flushing (reader, TRUE);
    pthread_join (thread, &frame);
    n_read += frame != NULL;
    ndsh_frame_release (frame);
  }
  g_assert_cmpuint (n_read, >=, 10);
}

static void *
join_late (void *data)
{
  NdshReader *reader = ndsh_test_reader (NDSH_READ_LATEST, 0, 0);

  (void) data;
  while (!ndsh_reader_is_connected (reader))
    ndsh_reader_wait (reader, 1000, NULL);
  return reader;
}

static void
test_a_writer_may_wait_for_a_reader (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (GError) error = NULL;
  pthread_t thread;
  void *reader;

  g_assert_false (ndsh_writer_wait_for_reader (writer, 1000, &error));
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_TIMEOUT);
  g_assert_cmpint (pthread_create (&thread, NULL, join_late, NULL), ==, 0);
  g_assert_true (ndsh_writer_wait_for_reader (writer, -1, NULL));
  pthread_join (thread, &reader);
  ndsh_writer_set_flushing (writer, TRUE);
  g_assert_true (ndsh_writer_wait_for_reader (writer, 0, NULL));
  ndsh_reader_free (reader);
}

static void *
wait_for_ever (void *writer)
{
  g_assert_false (ndsh_writer_wait_for_reader (writer, -1, NULL));
  return NULL;
}

static void
test_flushing_ends_the_wait_for_a_reader (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  pthread_t thread;

  g_assert_cmpint (pthread_create (&thread, NULL, wait_for_ever, writer), ==, 0);
  ndsh_writer_set_flushing (writer, TRUE);
  pthread_join (thread, NULL);
}

/* --- Formats -------------------------------------------------------------- */

/* Two of them differ in the description alone, and two in the stream's metadata. */
static const struct {
  gsize shape[2];
  const char *text;
  const char *of_stream;
} kinds[] = {
  { { 10, 20 }, "wide", "" },
  { { 20, 10 }, "high and of a longer text", "a" },
  { { 10, 20 }, "wilde", "" },
  { { 10, 20 }, "wide", "tags" },
};

/* Frame @n, of one of those kinds, which shape, description and metadata tell. */
static void
publish_kind (NdshWriter *writer, guint n, guint kind, gboolean redescribe)
{
  const char *text = kinds[kind].text, *of_stream = kinds[kind].of_stream;
  NdshArrayInfo info;
  g_autoptr (NdshDraft) draft = NULL;

  ndsh_array_info_init (&info, NDSH_DTYPE_UINT8, 2, kinds[kind].shape);
  g_assert_true (ndsh_writer_set_description (writer, text, NULL));
  g_assert_true (ndsh_writer_set_metadata (writer, of_stream, strlen (of_stream), NULL));
  draft = redescribe ? ndsh_writer_begin_bytes (writer, 200, TRUE, NULL)
                     : ndsh_writer_begin (writer, &info, 1, NULL);
  g_assert_nonnull (draft);
  memset (ndsh_draft_get_data (draft), (int) n & 0xff, 200);
  if (redescribe)
    g_assert_true (ndsh_draft_describe (draft, &info, 1, 0, text, strlen (text), NULL));
  g_assert_cmpuint (ndsh_draft_publish (draft, NULL), ==, n);
}

static void
check_kind (NdshFrame *frame, guint kind, gboolean has_metadata)
{
  const NdshArrayInfo *info = ndsh_frame_get_arrays (frame, NULL);
  const char *text = kinds[kind].text, *of_stream = kinds[kind].of_stream;
  gsize size, of_stream_size;
  gconstpointer metadata = ndsh_frame_get_metadata (frame, &size);
  gconstpointer all = ndsh_frame_get_stream_metadata (frame, &of_stream_size);

  g_assert_cmpuint (info->shape[0], ==, kinds[kind].shape[0]);
  g_assert_cmpstr (ndsh_frame_get_description (frame), ==, text);
  g_assert_cmpmem (all, of_stream_size, of_stream, strlen (of_stream));
  if (has_metadata)
    g_assert_cmpmem (metadata, size, text, strlen (text));
  else
    g_assert_cmpuint (size, ==, 0);
}

static void
test_each_frame_looks_as_it_was_described (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshReader) reader = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 2);
  guint n_formats = 0, last_format = 0, last_kind = 9;

  for (guint n = 1; n <= 400; n++) {
    guint kind = n < 100 ? n % 4 : n < 200 ? n / 7 % 4
                                           : (guint) g_test_rand_int_range (0, 4);
    gboolean redescribe = g_test_rand_bit ();
    g_autoptr (NdshFrame) frame = NULL;

    publish_kind (writer, n, kind, redescribe);
    frame = ndsh_test_next (reader);
    check_kind (frame, kind, redescribe);
    g_assert_true ((ndsh_frame_get_format (frame) == last_format)
                   == (kind == last_kind));
    n_formats += kind != last_kind;
    last_format = ndsh_frame_get_format (frame);
    last_kind = kind;
  }
  g_assert_cmpuint (n_formats, >, 100);
}

static void
test_a_draft_that_nobody_described_is_not_published (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshDraft) draft = ndsh_writer_begin_bytes (writer, 100, TRUE, NULL);
  NdshArrayInfo info = ndsh_test_bytes (100);

  g_test_expect_message ("ndsh", G_LOG_LEVEL_CRITICAL, "*draft->described*");
  g_assert_cmpuint (ndsh_draft_publish (draft, NULL), ==, 0);
  g_test_assert_expected_messages ();
  g_assert_true (ndsh_draft_describe (draft, &info, 1, 0, NULL, 0, NULL));
  g_assert_cmpuint (ndsh_draft_publish (draft, NULL), ==, 1);
}

/* What cannot be described leaves the draft as it was. */
static void
test_a_description_that_fails_changes_nothing (void)
{
  NdshWriterOptions options = { .max_bytes = 4 * 4096 };
  g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
  g_autoptr (NdshReader) reader = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 2);
  g_autofree char *metadata = g_strnfill (3 * 4096, 'm');
  NdshArrayInfo info = ndsh_test_bytes (100), other = ndsh_test_bytes (99);
  g_autoptr (NdshDraft) draft = ndsh_writer_begin (writer, &info, 1, NULL);
  g_autoptr (NdshFrame) frame = NULL;
  g_autoptr (GError) error = NULL;
  gsize size;

  memset (ndsh_draft_get_data (draft), 1, 100);
  g_assert_false (ndsh_draft_describe (draft, &other, 1, 0, metadata, 3 * 4096, &error));
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_FULL);
  g_assert_cmpuint (ndsh_draft_publish (draft, NULL), ==, 1);
  frame = ndsh_test_next (reader);

  g_assert_cmpuint (ndsh_frame_get_size (frame), ==, 100);
  g_assert_cmpuint (ndsh_frame_get_arrays (frame, NULL)->shape[0], ==, 100);
  g_assert_null (ndsh_frame_get_metadata (frame, &size));
}

/* Padding after the last row is the frame's, what no array reaches is not. */
static void
test_a_frame_may_be_larger_than_its_arrays (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshReader) reader = ndsh_test_reader (NDSH_READ_LATEST, 0, 0);
  NdshArrayInfo info = ndsh_test_bytes (100);
  g_autoptr (NdshDraft) draft = ndsh_writer_begin (writer, &info, 1, NULL);
  gsize capacity = ndsh_draft_get_size (draft);
  g_autoptr (NdshFrame) frame = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_false (ndsh_draft_describe (draft, &info, 1, 99, NULL, 0, &error));
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_INVALID);
  g_clear_error (&error);
  g_assert_false (ndsh_draft_describe (draft, &info, 1, capacity + 1, NULL, 0, &error));
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_INVALID);
  g_assert_true (ndsh_draft_describe (draft, &info, 1, capacity, NULL, 0, NULL));
  g_assert_true (ndsh_draft_describe (draft, &info, 1, 128, NULL, 0, NULL));
  memset (ndsh_draft_get_data (draft), 1, 128);
  g_assert_cmpuint (ndsh_draft_publish (draft, NULL), ==, 1);
  frame = ndsh_test_next (reader);

  g_assert_cmpuint (ndsh_frame_get_size (frame), ==, 128);
}

static void
test_drafts_are_published_in_any_order (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_QUEUE, 4, 1);
  NdshArrayInfo info = ndsh_test_bytes (10);
  NdshDraft *drafts[4];

  for (guint i = 0; i < 4; i++)
    drafts[i] = ndsh_writer_begin (writer, &info, 1, NULL);
  for (guint i = 4; i-- > 0;) {
    memset (ndsh_draft_get_data (drafts[i]), 4 - (int) i, 10);
    g_assert_cmpuint (ndsh_draft_publish (drafts[i], NULL), ==, 4 - i);
    ndsh_draft_release (drafts[i]);
  }

  for (guint n = 1; n <= 4; n++) {
    g_autoptr (NdshFrame) frame = ndsh_test_next (reader);

    g_assert_cmpuint (ndsh_frame_get_sequence (frame), ==, n);
  }
}

static void
test_the_sequence_wraps (void)
{
  guint64 starts[] = { 0x7ffffff0, 0xfffffff0, G_MAXUINT64 / 2 };

  for (guint i = 0; i < G_N_ELEMENTS (starts); i++) {
    g_autoptr (NdshWriter) writer
      = ndsh_writer_new_at ("test", NULL, starts[i], NULL);
    g_autoptr (NdshReader) reader
      = ndsh_test_joined_reader (NDSH_READ_QUEUE, 8, 2);

    for (guint64 n = starts[i]; n < starts[i] + 40; n++) {
      g_autoptr (NdshFrame) frame = NULL;

      ndsh_test_publish (writer, 100, 1);
      frame = ndsh_test_next (reader);
      g_assert_cmpuint (ndsh_frame_get_sequence (frame), ==, n);
    }
  }
}

/* --- Lossless readers ----------------------------------------------------- */

static gpointer
publish_300 (gpointer writer)
{
  ndsh_test_publish (writer, 1000, 300);
  return NULL;
}

/* The writer is held up once, and says so once. */
static void
test_a_demotion_is_told_once (void)
{
  NdshWriterOptions options = { .lossless_timeout_us = 30000 };
  g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
  g_autoptr (NdshReader) stuck G_GNUC_UNUSED
    = ndsh_test_joined_reader (NDSH_READ_LOSSLESS, 2, 1);

  ndsh_test_log_start ("process * wants every frame of channel 'test' and took "
                       "none for 0.0 s: *");
  ndsh_test_publish (writer, 1000, 300);

  g_assert_cmpuint (ndsh_test_log_stop (), ==, 1);
}

/* One that moves is waited for however slow it is, another is not. */
static void
test_only_who_does_not_move_is_demoted (void)
{
  NdshWriterOptions options = { .lossless_timeout_us = 100000 };
  g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
  g_autoptr (NdshReader) good
    = ndsh_test_joined_reader (NDSH_READ_LOSSLESS, 0, 1);
  g_autoptr (NdshReader) stuck G_GNUC_UNUSED
    = ndsh_test_joined_reader (NDSH_READ_LOSSLESS, 2, 1);
  GThread *thread;
  NdshReaderInfo info;

  ndsh_test_log_start ("process * wants every frame*");
  thread = g_thread_new ("writer", publish_300, writer);
  for (guint n = 1; n <= 300; n++) {
    g_autoptr (NdshFrame) frame = ndsh_test_next (good);

    g_assert_cmpuint (ndsh_frame_get_sequence (frame), ==, n);
  }
  g_thread_join (thread);

  g_assert_cmpuint (ndsh_test_log_stop (), ==, 1);
  ndsh_reader_get_info (good, &info);
  g_assert_cmpint (info.mode, ==, NDSH_READ_LOSSLESS);
}

/* "For ever" is a time as well. */
static void
test_a_lossless_reader_can_be_waited_for_without_end (void)
{
  NdshWriterOptions options = { .lossless_timeout_us = G_MAXINT64 };
  g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_LOSSLESS, 0, 1);
  GThread *thread;

  ndsh_test_log_start ("nothing");
  thread = g_thread_new ("writer", publish_300, writer);
  for (guint n = 1; n <= 300; n++) {
    g_autoptr (NdshFrame) frame = ndsh_test_next (reader);

    g_assert_cmpuint (ndsh_frame_get_sequence (frame), ==, n);
  }
  g_thread_join (thread);

  g_assert_cmpuint (ndsh_test_log_stop (), ==, 0);
}

static gpointer
publish_5000 (gpointer writer)
{
  ndsh_test_publish (writer, 8, 5000);
  return NULL;
}

/* With room for three frames the writer sleeps before nearly every one. If it falls
 * asleep beside a slot that came back, the reader has no more frames to give back
 * that could wake it, and is demoted. */
static void
test_no_wake_up_of_the_writer_is_lost (void)
{
  NdshWriterOptions options = { .max_bytes = 3 * 8192,
                                .lossless_timeout_us = 5 * G_USEC_PER_SEC };
  g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_LOSSLESS, 0, 1);
  GThread *thread;

  ndsh_test_log_start ("nothing");
  thread = g_thread_new ("writer", publish_5000, writer);
  for (guint n = 1; n <= 5000; n++) {
    g_autoptr (NdshFrame) frame = ndsh_test_next (reader);

    g_assert_cmpuint (ndsh_frame_get_sequence (frame), ==, n);
    for (guint spin = n * 37 % 2000; spin > 0; spin--)
      ndsh_frame_get_sequence (frame);
  }
  g_thread_join (thread);

  g_assert_cmpuint (ndsh_test_log_stop (), ==, 0);
}

static gpointer
read_until_closed (gpointer reader)
{
  g_autoptr (GError) error = NULL;

  while (ndsh_reader_wait (reader, -1, &error))
    ndsh_frame_release (ndsh_reader_acquire (reader));
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_CLOSED);
  return NULL;
}

/* It may move on at any moment, also between two looks of the writer's. */
static void
test_a_lossless_reader_that_moves_is_never_a_reason_for_full (void)
{
  NdshWriterOptions options = { .lossless_timeout_us = G_MAXINT64 };
  NdshWriter *writer = ndsh_test_writer (&options);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_LOSSLESS, 0, 1);
  GThread *thread = g_thread_new ("reader", read_until_closed, reader);
  guint n = g_test_slow () ? 1000000 : 20000;

  ndsh_test_publish (writer, 1, n);
  ndsh_writer_free (writer);
  g_thread_join (thread);
}

/* As at the bound on memory: the frames that a lossless reader gives back will do. */
static void
test_a_lossless_reader_is_waited_for_when_nothing_can_be_made (void)
{
  NdshWriterOptions options = { .lossless_timeout_us = 10 * G_USEC_PER_SEC };
  g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_LOSSLESS, 0, 1);
  g_autoptr (GError) error = NULL;
  NdshArrayInfo larger = ndsh_test_bytes (9000);
  GThread *thread;

  for (guint i = 0; i < 3; i++) {
    ndsh_test_publish (writer, 1000, 1);
    ndsh_frame_release (ndsh_test_next (reader));
  }
  ndsh_test_log_start ("nothing");
  ndsh_test_limit_fds (0);
  thread = g_thread_new ("writer", publish_300, writer);
  for (guint n = 1; n <= 300; n++)
    ndsh_frame_release (ndsh_test_next (reader));
  g_thread_join (thread);

  /* But no reader is held responsible for what no slot has room for. */
  ndsh_test_publish (writer, 1000, 1);
  g_assert_null (ndsh_writer_begin (writer, &larger, 1, &error));
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_SYSTEM);
  ndsh_test_unlimit_fds ();
  g_assert_cmpuint (ndsh_test_log_stop (), ==, 0);
}

static void
test_a_lossless_reader_that_left_is_not_waited_for (void)
{
  NdshWriterOptions options = { .lossless_timeout_us = 10 * G_USEC_PER_SEC };
  g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
  NdshReader *reader = ndsh_test_joined_reader (NDSH_READ_LOSSLESS, 0, 2);
  g_autoptr (NdshFrame) frame = NULL;
  gint64 since_us;

  ndsh_test_log_start ("nothing");
  ndsh_test_publish (writer, 1000, 3);
  frame = ndsh_test_next (reader);
  ndsh_reader_free (reader);
  since_us = g_get_monotonic_time ();
  ndsh_test_publish (writer, 1000, 300);

  g_assert_cmpint (g_get_monotonic_time () - since_us, <, 9 * G_USEC_PER_SEC);
  g_assert_cmpuint (ndsh_test_log_stop (), ==, 0);
  ndsh_test_check_bytes (frame);
}

/* Freed by another thread while begin waits for it, or is about to. */
static void
test_begin_goes_on_when_the_reader_leaves (void)
{
  NdshWriterOptions options = { .lossless_timeout_us = 20 * G_USEC_PER_SEC };
  g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);

  ndsh_test_log_start ("nothing");
  for (guint i = 0; i < 20; i++) {
    NdshReader *reader = ndsh_test_joined_reader (NDSH_READ_LOSSLESS, 0, 2);
    NdshWriterInfo info = { .published = 0 };
    GThread *thread = g_thread_new ("writer", publish_300, writer);

    while (info.published < 300 * i + 3)
      ndsh_writer_get_info (writer, &info);
    ndsh_reader_free (reader);
    g_thread_join (thread);
  }

  g_assert_cmpuint (ndsh_test_log_stop (), ==, 0);
}

/* The writer is held up once, for its time-out, and never again. */
static void
test_a_stuck_lossless_reader_is_demoted (void)
{
  NdshWriterOptions options = { .lossless_timeout_us = 50000 };
  g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_LOSSLESS, 2, 1);
  g_autoptr (NdshFrame) frame = NULL;
  NdshReaderInfo info;

  ndsh_test_publish (writer, 1000, 100);

  ndsh_writer_get_readers (writer, &info, 1);
  g_assert_cmpint (info.mode, ==, NDSH_READ_QUEUE);
  frame = ndsh_test_next (reader);
  g_assert_cmpuint (ndsh_frame_get_sequence (frame), ==, 99);
  ndsh_reader_get_info (reader, &info);
  g_assert_cmpint (info.mode, ==, NDSH_READ_QUEUE);
  g_assert_cmpuint (info.missed, ==, 98);
}

static void
test_lossless_can_be_refused (void)
{
  NdshWriterOptions options = { .lossless_timeout_us = -1 };
  g_autoptr (NdshWriter) writer G_GNUC_UNUSED = ndsh_test_writer (&options);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_LOSSLESS, 0, 0);
  NdshReaderInfo info;

  ndsh_reader_get_info (reader, &info);

  g_assert_cmpint (info.mode, ==, NDSH_READ_QUEUE);
}

static void
test_begin_that_must_not_wait_does_not (void)
{
  NdshWriterOptions options = { .lossless_timeout_us = G_MAXINT64 / 4 };
  g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
  g_autoptr (NdshReader) reader G_GNUC_UNUSED
    = ndsh_test_joined_reader (NDSH_READ_LOSSLESS, 0, 1);
  NdshArrayInfo info = ndsh_test_bytes (1000);
  g_autoptr (GError) error = NULL;

  /* Until the reader, which takes nothing, is in the way. */
  for (;;) {
    g_autoptr (NdshDraft) draft
      = ndsh_writer_try_begin (writer, &info, 1, &error);

    if (draft == NULL)
      break;
    ndsh_draft_publish (draft, NULL);
  }
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_FULL);
  g_clear_error (&error);

  ndsh_writer_set_flushing (writer, TRUE);
  g_assert_null (ndsh_writer_begin (writer, &info, 1, &error));
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_FULL);
}

/* --- Memory --------------------------------------------------------------- */

static void
test_memory_stays_within_its_bound (void)
{
  NdshWriterOptions options = { .max_bytes = 1 << 20 };
  g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 1);
  NdshArrayInfo info = ndsh_test_bytes (600 << 10);
  g_autoptr (GError) error = NULL;
  NdshWriterInfo now;

  /* The reader follows none of the growth: it never drains. */
  for (gsize size = 1; size <= 400 << 10; size += size / 3 + 1) {
    ndsh_test_publish (writer, size, 3);
    ndsh_writer_get_info (writer, &now);
    g_assert_cmpuint (now.bytes, <=, options.max_bytes);
    g_assert_cmpuint (now.retired_bytes, <=, 2 * options.max_bytes);
  }
  g_assert_null (ndsh_writer_begin (writer, &info, 1, &error));
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_INVALID);
  ndsh_frame_release (ndsh_test_next (reader));

  ndsh_reader_wait (reader, 1000, NULL);
  ndsh_writer_get_info (writer, &now);
  g_assert_cmpuint (now.retired_bytes, ==, 0);
}

/* It holds what a lease can hold, and is none of those that may hold the writer up. */
static void
test_a_reader_that_may_lose_frames_is_not_waited_for (void)
{
  NdshWriterOptions options = { .max_bytes = 3 * 2 * ndsh_page_align (1),
                                .lossless_timeout_us = 1000 };
  g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 2);
  NdshArrayInfo info = ndsh_test_bytes (8);
  g_autoptr (NdshFrame) frame = NULL;
  g_autoptr (NdshDraft) draft = NULL;
  g_autoptr (GError) error = NULL;

  ndsh_test_publish (writer, 8, 1);
  frame = ndsh_test_next (reader);
  ndsh_test_publish (writer, 8, 1);
  draft = ndsh_writer_begin (writer, &info, 1, &error);
  g_assert_no_error (error);
  ndsh_test_log_start ("nothing");

  g_assert_null (ndsh_writer_begin (writer, &info, 1, &error));
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_FULL);
  g_assert_cmpuint (ndsh_test_log_stop (), ==, 0);
}

static void
test_full_is_said_and_passes (void)
{
  NdshWriterOptions options = { .max_bytes = 1 << 20 };
  g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
  NdshArrayInfo info = ndsh_test_bytes (400 << 10);
  g_autoptr (NdshDraft) one = ndsh_writer_begin (writer, &info, 1, NULL);
  g_autoptr (NdshDraft) two = ndsh_writer_begin (writer, &info, 1, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (NdshDraft) three = ndsh_writer_begin (writer, &info, 1, &error);

  g_assert_nonnull (two);
  g_assert_null (three);
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_FULL);
  ndsh_draft_release (g_steal_pointer (&one));
  three = ndsh_writer_begin (writer, &info, 1, NULL);
  g_assert_nonnull (three);
}

static void
test_steady_state_makes_no_more_slots (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 2);
  NdshWriterInfo info;

  for (guint i = 0; i < 1000; i++) {
    g_autoptr (NdshFrame) frame = NULL;

    ndsh_test_publish (writer, 1000, 2);
    frame = ndsh_test_next (reader);
  }

  ndsh_writer_get_info (writer, &info);
  g_assert_cmpuint (info.published, ==, 2000);
  g_assert_cmpuint (info.n_slots, <=, 5);   /* history + leases + held + 1 */
}

static void
test_nothing_leaks (void)
{
  guint fds = 0, maps = 0;

  for (guint i = 0; i < 30; i++) {
    NdshWriter *writer = ndsh_test_writer (NULL);
    NdshReader *reader = ndsh_test_joined_reader (NDSH_READ_QUEUE, 3, 3);

    ndsh_test_publish (writer, 1000, 2);
    ndsh_test_publish (writer, 100000, 2);
    ndsh_frame_release (ndsh_test_next (reader));
    if (i % 2 == 0)
      ndsh_reader_free (reader);
    ndsh_writer_free (writer);
    if (i % 2 == 1)
      ndsh_reader_free (reader);
    if (i == 9) {
      fds = ndsh_test_count_fds ();
      maps = ndsh_test_count_maps ();
    }
  }

  g_assert_cmpuint (ndsh_test_count_fds (), ==, fds);
  g_assert_cmpuint (ndsh_test_count_maps (), ==, maps);
}

/* Small slots give their memory to large ones. */
static void
test_growth_takes_the_memory_of_small_slots (void)
{
  NdshWriterOptions options = { .max_bytes = 1 << 20 };
  g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 1);
  NdshArrayInfo small = ndsh_test_bytes (100 << 10);
  NdshDraft *drafts[9];
  NdshWriterInfo info;

  for (guint i = 0; i < G_N_ELEMENTS (drafts); i++) {
    g_autoptr (GError) error = NULL;

    drafts[i] = ndsh_writer_begin (writer, &small, 1, &error);
    g_assert_no_error (error);
  }
  for (guint i = 0; i < G_N_ELEMENTS (drafts); i++) {
    memset (ndsh_draft_get_data (drafts[i]), (int) i + 1, 100 << 10);
    ndsh_draft_publish (drafts[i], NULL);
    ndsh_draft_release (drafts[i]);
  }
  ndsh_writer_get_info (writer, &info);
  g_assert_cmpuint (info.bytes, >, 900 << 10);

  for (guint i = 0; i < 20; i++) {
    g_autoptr (NdshFrame) frame = NULL;

    ndsh_test_publish (writer, i % 3 == 2 ? 100 << 10 : 400 << 10, 1);
    frame = ndsh_test_next (reader);
    ndsh_writer_get_info (writer, &info);
    g_assert_cmpuint (info.bytes, <=, options.max_bytes);
  }
}

/* So large that sums of it wrap. */
static void
test_sizes_that_wrap_are_refused (void)
{
  guint histories[] = { 1, 3, 7, 15, 31 };

  for (guint i = 0; i < G_N_ELEMENTS (histories); i++) {
    NdshWriterOptions options = { .history = histories[i], .max_bytes = 256 << 20 };
    g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);

    for (guint bits = 29; bits < 64; bits++)
      for (int off = -5000; off <= 5000; off += 2500) {
        guint64 size = ((guint64) 1 << bits) + (guint64) (gint64) off;
        g_autoptr (GError) error = NULL;
        NdshArrayInfo info;

        if (size >= G_MAXSSIZE)
          continue;
        info = ndsh_test_bytes ((gsize) size);
        g_assert_null (ndsh_writer_begin (writer, &info, 1, &error));
        g_assert_error (error, NDSH_ERROR, NDSH_ERROR_INVALID);
      }
  }
}

/* --- Changes of shape and dtype ------------------------------------------- */

static NdshArrayInfo
random_array (void)
{
  NdshArrayInfo info;
  gsize shape[4];
  guint n_dims = (guint) g_test_rand_int_range (0, 5);

  for (guint d = 0; d < n_dims; d++)
    shape[d] = (gsize) g_test_rand_int_range (0, 14);
  g_assert_true (ndsh_array_info_init (
    &info, (NdshDtype) g_test_rand_int_range (1, NDSH_DTYPE_COMPLEX256 + 1),
    n_dims, shape));
  return info;
}

static guint
random_arrays (NdshArrayInfo *arrays)
{
  guint n = (guint) g_test_rand_int_range (1, NDSH_MAX_ARRAYS + 1);
  gsize end = 0;

  for (guint i = 0; i < n; i++) {
    arrays[i] = random_array ();
    arrays[i].offset = end;
    end += ndsh_array_info_get_size (&arrays[i]) + 7;
  }
  return n;
}

static void
publish_arrays (NdshWriter *writer, const NdshArrayInfo *arrays, guint n,
                guint64 number)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NdshDraft) draft = ndsh_writer_begin (writer, arrays, n, &error);

  g_assert_no_error (error);
  memset (ndsh_draft_get_data (draft), (int) (number & 0xff),
          ndsh_draft_get_size (draft));
  g_assert_cmpuint (ndsh_draft_publish (draft, NULL), ==, number);
}

/* Each frame is of another shape and dtype, under a bound on memory that makes
 * slots change hands; what the process holds stays what it was. */
static void
test_a_thousand_changes_of_shape_cost_nothing (void)
{
  NdshWriterOptions options = { .max_bytes = 8 << 20 };
  g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_QUEUE, 3, 3);
  guint n_frames = g_test_slow () ? 10000 : 1000;
  guint fds = ndsh_test_count_fds (), maps = ndsh_test_count_maps ();
  NdshFrame *held = NULL;

  for (guint number = 1; number <= n_frames; number++) {
    NdshArrayInfo arrays[NDSH_MAX_ARRAYS];
    guint n_got, n = random_arrays (arrays);
    const NdshArrayInfo *got;
    NdshFrame *frame;
    NdshWriterInfo info;

    publish_arrays (writer, arrays, n, number);
    frame = ndsh_test_next (reader);            /* looks at every byte */
    got = ndsh_frame_get_arrays (frame, &n_got);
    g_assert_cmpuint (n_got, ==, n);
    for (guint i = 0; i < n; i++)
      g_assert_true (ndsh_array_info_equal (&got[i], &arrays[i]));
    if (number % 10 == 0) {
      if (held != NULL)
        ndsh_test_check_bytes (held);
      ndsh_frame_release (held);
      held = frame;
    } else {
      ndsh_frame_release (frame);
    }
    ndsh_writer_get_info (writer, &info);
    g_assert_cmpuint (info.bytes, <=, options.max_bytes);
    g_assert_cmpuint (info.retired_bytes, <=, 2 * options.max_bytes);
    g_assert_cmpuint (info.n_slots, <=, 8);
    if (number % 100 == 0) {
      g_assert_cmpuint (ndsh_test_count_fds (), <=, fds + info.n_slots);
      /* Both sides', and what is held. */
      g_assert_cmpuint (ndsh_test_count_maps (), <=,
                        maps + 2 * info.n_slots + 1);
    }
  }
  ndsh_frame_release (held);
}

/* --- Readers -------------------------------------------------------------- */

static void
test_too_many_readers_are_refused (void)
{
  NdshWriterOptions options = { .max_readers = 1 };
  g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
  g_autoptr (NdshReader) first
    = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 0);
  g_autoptr (NdshReader) second = ndsh_test_reader (NDSH_READ_LATEST, 0, 0);

  ndsh_test_wait_fails (second, -1, NDSH_ERROR_DENIED);
  ndsh_reader_free (g_steal_pointer (&first));

  ndsh_test_publish (writer, 10, 1);
  while (!ndsh_reader_is_connected (second))
    ndsh_reader_wait (second, 10000, NULL);
  ndsh_frame_release (ndsh_test_next (second));
}

/* --- Notices -------------------------------------------------------------- */

/* pthread's, so that ThreadSanitizer knows them. */
typedef struct {
  pthread_mutex_t mutex;
  pthread_cond_t cond;
  guint n;
} Told;

#define TOLD_INIT { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 }

static void
count_notify (NdshWriter *writer, gpointer data)
{
  Told *told = data;

  (void) writer;
  pthread_mutex_lock (&told->mutex);
  told->n++;
  pthread_cond_signal (&told->cond);
  pthread_mutex_unlock (&told->mutex);
}

/* Within 10 s. */
static void
wait_told (Told *told, guint n)
{
  struct timespec until;

  clock_gettime (CLOCK_REALTIME, &until);
  until.tv_sec += 10;
  pthread_mutex_lock (&told->mutex);
  while (told->n < n)
    g_assert_cmpint (pthread_cond_timedwait (&told->cond, &told->mutex, &until),
                     ==, 0);
  pthread_mutex_unlock (&told->mutex);
}

static void
test_readers_coming_and_going_are_told (void)
{
  Told told = TOLD_INIT;
  NdshWriterOptions options
    = { .notify = count_notify, .notify_data = &told };
  g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
  NdshReader *reader = ndsh_test_joined_reader (NDSH_READ_QUEUE, 5, 3);
  NdshReaderInfo info;

  wait_told (&told, 1);
  g_assert_cmpuint (ndsh_writer_get_readers (writer, &info, 1), ==, 1);
  g_assert_cmpint (info.pid, ==, getpid ());
  g_assert_cmpint (info.uid, ==, getuid ());
  g_assert_cmpint (info.mode, ==, NDSH_READ_QUEUE);
  g_assert_cmpuint (info.max_leases, ==, 3);
  ndsh_test_publish (writer, 10, 4);
  ndsh_frame_release (ndsh_test_next (reader));
  ndsh_writer_get_readers (writer, &info, 1);
  g_assert_cmpuint (info.delivered, ==, 1);
  g_assert_cmpuint (info.lag, ==, 3);

  ndsh_reader_free (reader);
  wait_told (&told, 2);
  g_assert_cmpuint (ndsh_writer_get_readers (writer, NULL, 0), ==, 0);
}

static NdshFrame *
keep_frame_of_a_freed_reader (void)
{
  NdshReader *reader = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 1);
  NdshFrame *frame = ndsh_test_next (reader);

  ndsh_reader_free (reader);
  return frame;
}

static void
test_a_freed_reader_whose_frame_is_held_counts_no_more (void)
{
  Told told = TOLD_INIT;
  NdshWriterOptions options
    = { .max_readers = 1, .notify = count_notify, .notify_data = &told };
  g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
  g_autoptr (NdshFrame) kept = NULL;
  g_autoptr (NdshFrame) other = NULL;
  NdshChannelInfo *info;

  ndsh_test_publish (writer, 10, 1);
  kept = keep_frame_of_a_freed_reader ();
  wait_told (&told, 2);
  g_assert_cmpuint (ndsh_writer_get_readers (writer, NULL, 0), ==, 0);
  g_assert_false (ndsh_writer_wait_for_reader (writer, 0, NULL));
  info = ndsh_channel_info_new ("test", NULL);
  g_assert_cmpuint (info->n_readers, ==, 0);
  ndsh_channel_info_free (info);

  other = keep_frame_of_a_freed_reader ();
  g_assert_cmpuint (ndsh_frame_get_sequence (other), ==, 1);
}

static void
test_freed_readers_that_hold_frames_are_bounded (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (GPtrArray) kept
    = g_ptr_array_new_with_free_func ((GDestroyNotify) ndsh_frame_release);
  g_autoptr (NdshReader) late = NULL;
  g_autoptr (GError) error = NULL;

  ndsh_test_publish (writer, 10, 1);
  for (guint i = 0; i < 64; i++)
    g_ptr_array_add (kept, keep_frame_of_a_freed_reader ());
  late = ndsh_test_reader (NDSH_READ_LATEST, 0, 1);
  g_assert_false (ndsh_reader_wait (late, -1, &error));
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_DENIED);
  g_assert_nonnull (strstr (error->message, "64 readers that were closed"));
  g_ptr_array_set_size (kept, 63);
  while (!ndsh_reader_wait (late, -1, NULL))
    ;
}

/* A count is foreign, and may be any. */
static void
test_requests_for_a_key_frame_are_told (void)
{
  Told told = TOLD_INIT;
  NdshWriterOptions options = { .notify = count_notify, .notify_data = &told };
  g_autoptr (NdshReader) alone = ndsh_test_reader (NDSH_READ_LATEST, 0, 0);
  g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
  g_autoptr (NdshReader) reader = NULL;
  NdshWriterInfo info;

  ndsh_reader_request_key_frame (alone);        /* nobody hears it yet */
  reader = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 0);
  wait_told (&told, 1);
  for (guint i = 1; i <= 3; i++) {
    ndsh_reader_request_key_frame (reader);
    wait_told (&told, 1 + i);
    ndsh_writer_get_info (writer, &info);
    g_assert_cmpuint (info.key_requests, ==, i);
  }
}

static void
rate_is (NdshWriter *writer, double max_rate)
{
  NdshReaderInfo info;

  g_assert_cmpuint (ndsh_writer_get_readers (writer, &info, 1), ==, 1);
  g_assert_cmpfloat (info.max_rate, ==, max_rate);
}

static void
test_the_rate_that_a_reader_wants_is_told (void)
{
  Told told = TOLD_INIT;
  NdshWriterOptions options = { .notify = count_notify, .notify_data = &told };
  g_autoptr (NdshReader) reader = ndsh_test_reader (NDSH_READ_LATEST, 0, 0);
  g_autoptr (NdshWriter) writer = NULL;

  ndsh_reader_set_max_rate (reader, 30);        /* before there is a writer */
  writer = ndsh_test_writer (&options);
  while (!ndsh_reader_is_connected (reader))
    ndsh_test_wait_fails (reader, 10000, NDSH_ERROR_TIMEOUT);
  wait_told (&told, 1);
  rate_is (writer, 30);
  ndsh_reader_set_max_rate (reader, 29.97);
  wait_told (&told, 2);
  rate_is (writer, 29.97);
  ndsh_reader_set_max_rate (reader, 1e-9);
  wait_told (&told, 3);
  rate_is (writer, 0.001);
  ndsh_reader_set_max_rate (reader, 0);
  wait_told (&told, 4);
  rate_is (writer, 0);
}

static void
size_is (NdshWriter *writer, guint width, guint height)
{
  NdshReaderInfo info;

  g_assert_cmpuint (ndsh_writer_get_readers (writer, &info, 1), ==, 1);
  g_assert_cmpuint (info.max_width, ==, width);
  g_assert_cmpuint (info.max_height, ==, height);
}

static void
test_the_size_that_a_reader_wants_is_told (void)
{
  Told told = TOLD_INIT;
  NdshWriterOptions options = { .notify = count_notify, .notify_data = &told };
  g_autoptr (NdshReader) reader = ndsh_test_reader (NDSH_READ_LATEST, 0, 0);
  g_autoptr (NdshWriter) writer = NULL;
  NdshReaderInfo own;

  ndsh_reader_set_max_size (reader, 0, 480);    /* before there is a writer */
  writer = ndsh_test_writer (&options);
  while (!ndsh_reader_is_connected (reader))
    ndsh_test_wait_fails (reader, 10000, NDSH_ERROR_TIMEOUT);
  wait_told (&told, 1);
  size_is (writer, 0, 480);
  ndsh_reader_set_max_size (reader, 640, 480);
  wait_told (&told, 2);
  size_is (writer, 640, 480);
  ndsh_reader_get_info (reader, &own);
  g_assert_cmpuint (own.max_width, ==, 640);
  g_assert_cmpuint (own.max_height, ==, 480);
  ndsh_reader_set_max_size (reader, 640, 0);
  wait_told (&told, 3);
  size_is (writer, 640, 0);
}

static gint must_begin;          /* atomic */

/* Once, and then as often as there is a slot. */
static void
begin_in_notify (NdshWriter *writer, gpointer data)
{
  NdshArrayInfo info = ndsh_test_bytes (100);
  NdshDraft *drafts[8];
  guint n = 0;

  if (!g_atomic_int_compare_and_exchange (&must_begin, TRUE, FALSE))
    return;
  while (n < G_N_ELEMENTS (drafts)
         && (drafts[n] = ndsh_writer_begin (writer, &info, 1, NULL)) != NULL)
    n++;
  while (n > 0)
    ndsh_draft_release (drafts[--n]);
  count_notify (writer, data);
}

/* It would sleep until a lossless reader moves, which this very thread hears of. */
static void
test_to_begin_while_told_does_not_wait (void)
{
  Told told = TOLD_INIT;
  NdshWriterOptions options = { .notify = begin_in_notify,
                                .notify_data = &told,
                                .lossless_timeout_us = G_GINT64_CONSTANT (3600000000),
                                .max_bytes = 3 * 2 * ndsh_page_align (1) };
  g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
  g_autoptr (NdshReader) lossless
    = ndsh_test_joined_reader (NDSH_READ_LOSSLESS, 0, 1);
  g_autoptr (NdshReader) other = NULL;
  NdshArrayInfo info = ndsh_test_bytes (100);
  NdshDraft *draft;

  g_assert_nonnull (lossless);
  while ((draft = ndsh_writer_try_begin (writer, &info, 1, NULL)) != NULL) {
    ndsh_draft_publish (draft, NULL);
    ndsh_draft_release (draft);
  }
  g_atomic_int_set (&must_begin, TRUE);
  other = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 1);
  g_assert_nonnull (other);
  wait_told (&told, 1);
}

static void
assert_full (NdshWriter *writer, const NdshArrayInfo *info)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (ndsh_writer_try_begin (writer, info, 1, &error));
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_FULL);
}

/* Four slots fit: one is held by a reader, the newest stays, and two are drafts. */
static void
test_a_lease_that_goes_back_is_told_after_full (void)
{
  Told told = TOLD_INIT;
  NdshWriterOptions options = { .notify = count_notify,
                                .notify_data = &told,
                                .max_bytes = 450 << 10 };
  g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 1);
  NdshArrayInfo info = ndsh_test_bytes (100 << 10);

  wait_told (&told, 1);
  for (guint n = 2; n < 50; n++) {
    g_autoptr (NdshFrame) frame = NULL;
    g_autoptr (NdshDraft) one = NULL;
    g_autoptr (NdshDraft) two = NULL;

    ndsh_test_publish (writer, 100 << 10, 1);
    frame = ndsh_test_next (reader);
    ndsh_test_publish (writer, 100 << 10, 1);
    one = ndsh_writer_begin (writer, &info, 1, NULL);
    two = ndsh_writer_begin (writer, &info, 1, NULL);
    g_assert_nonnull (two);
    assert_full (writer, &info);
    ndsh_frame_release (g_steal_pointer (&frame));
    wait_told (&told, n);
    ndsh_draft_release (ndsh_writer_try_begin (writer, &info, 1, NULL));
  }
}

static void
test_a_draft_that_goes_back_is_told_after_full (void)
{
  Told told = TOLD_INIT;
  NdshWriterOptions options = { .notify = count_notify,
                                .notify_data = &told,
                                .max_bytes = 250 << 10 };
  g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
  NdshArrayInfo info = ndsh_test_bytes (100 << 10);
  g_autoptr (NdshDraft) one = ndsh_writer_begin (writer, &info, 1, NULL);
  g_autoptr (NdshDraft) two = ndsh_writer_begin (writer, &info, 1, NULL);

  g_assert_nonnull (two);
  assert_full (writer, &info);
  ndsh_draft_release (g_steal_pointer (&one));

  wait_told (&told, 1);
}

/* Its frames are kept as long as memory allows, and it is told what it missed. */
static void
test_a_long_queue_does_not_stop_the_writer (void)
{
  NdshWriterOptions options = { .max_bytes = 600 << 10 };
  g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_QUEUE, NDSH_MAX_QUEUE, 1);
  g_autoptr (NdshFrame) frame = NULL;
  NdshReaderInfo info;

  ndsh_test_publish (writer, 100 << 10, 50);
  ndsh_test_publish (writer, 150 << 10, 50);

  do {
    ndsh_frame_release (g_steal_pointer (&frame));
    frame = ndsh_test_next (reader);
  } while (ndsh_frame_get_sequence (frame) < 100);
  ndsh_reader_get_info (reader, &info);
  g_assert_cmpuint (info.delivered, >=, 2);
  g_assert_cmpuint (info.delivered + info.missed, ==, 100);
}

/* --- Announcements that do not fit ---------------------------------------- */

/* Makes @n slots of @size bytes, which readers are told of. */
static void
make_slots (NdshWriter *writer, guint n, gsize size)
{
  NdshArrayInfo info = ndsh_test_bytes (size);
  g_autofree NdshDraft **drafts = g_new0 (NdshDraft *, n);

  for (guint i = 0; i < n; i++) {
    g_autoptr (GError) error = NULL;

    drafts[i] = ndsh_writer_begin (writer, &info, 1, &error);
    g_assert_no_error (error);
  }
  for (guint i = 0; i < n; i++)
    ndsh_draft_release (drafts[i]);
}

#define N_JAMMED 60            /* a lossless reader allows no more drafts */
#define N_GROWTHS 9

/* More than any socket takes; each growth replaces all. */
static gsize
jam (NdshWriter *writer)
{
  gsize size = 4096;

  for (guint i = 0; i < N_GROWTHS; i++, size = size * 3 / 2 + 4096)
    make_slots (writer, N_JAMMED, size);
  return size;
}

/* The reader itself never looks; when it does, it gets the newest frame. */
static void
test_a_reader_that_was_told_too_much_goes_on (void)
{
  NdshReadMode modes[] = { NDSH_READ_LATEST, NDSH_READ_QUEUE,
                           NDSH_READ_LOSSLESS };

  for (guint i = 0; i < G_N_ELEMENTS (modes); i++) {
    g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
    g_autoptr (NdshReader) reader = ndsh_test_joined_reader (modes[i], 4, 2);
    g_autoptr (NdshFrame) frame = NULL;
    NdshWriterInfo info;
    NdshReaderInfo lost;

    jam (writer);
    ndsh_test_publish (writer, 1000, 1);
    frame = ndsh_test_next (reader);

    g_assert_cmpuint (ndsh_frame_get_sequence (frame), ==, 1);
    ndsh_reader_get_info (reader, &lost);
    g_assert_cmpuint (lost.missed, ==, 0);
    for (guint n = 0; n < N_JAMMED; n++) {
      g_autoptr (NdshFrame) next = NULL;

      ndsh_test_publish (writer, 2000, 1);
      next = ndsh_test_next (reader);
    }
    ndsh_writer_get_info (writer, &info);
    g_assert_cmpuint (info.retired_bytes, ==, 0);
  }
}

static void
say_hello (int fd)
{
  NdshHello hello = { .queue_length = 1, .max_leases = 1 };

  ndsh_header_init (&hello, NDSH_MESSAGE_HELLO, sizeof hello);
  g_assert_cmpint (ndsh_message_send (fd, &hello, sizeof hello, NULL, 0), ==,
                   NDSH_IO_DONE);
}

static NdshMessage
hear (int fd)
{
  g_autoptr (GError) error = NULL;
  NdshMessage message;

  ndsh_test_wait_readable (fd);
  g_assert_cmpint (ndsh_message_receive (fd, &message, &error), ==,
                   NDSH_IO_DONE);
  ndsh_message_clear (&message);
  return message;
}

/* What was too much is not lost but late, and only the last word counts. The peer
 * is a bare socket, which reads nothing until all is said. */
static void
test_what_did_not_fit_is_told_when_there_is_room (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  int fd = ndsh_name_connect ("test", NULL, NULL);
  gsize sizes[N_JAMMED] = { 0 };
  guint n_heard = 0, n_done = 0;
  gsize last;

  say_hello (fd);
  g_assert_cmpuint (hear (fd).type, ==, NDSH_MESSAGE_WELCOME);
  last = jam (writer) * 2 / 3 - 4096;
  while (n_done < N_JAMMED) {
    NdshMessage message = hear (fd);
    const NdshSegmentMessage *segment = &message.body.segment;

    n_heard++;
    g_assert_cmpuint (message.type, ==, NDSH_MESSAGE_SEGMENT);
    g_assert_cmpuint (segment->slot, <, N_JAMMED);
    g_assert_cmpuint (segment->size, >, sizes[segment->slot]);
    n_done += sizes[segment->slot] < last && segment->size >= last + NDSH_MAX_TAIL;
    sizes[segment->slot] = segment->size;
  }

  g_assert_false (ndsh_test_is_readable (fd));
  ndsh_lifeline_close (fd);
  if (n_heard == N_JAMMED * N_GROWTHS)
    g_test_skip ("the socket took it all");
}

#define ADD(path, function) g_test_add_func ("/writer/" path, function)

int
main (int argc, char **argv)
{
  int result;

  g_test_init (&argc, &argv, NULL);
  ndsh_test_dir_setup ();

  ADD ("the-largest-tail-fits-any-frame", test_the_largest_tail_fits_any_frame);
  ADD ("what-cannot-be-is-refused-with-a-sentence",
       test_what_cannot_be_is_refused_with_a_sentence);
  ADD ("a-draft-is-published-once", test_a_draft_is_published_once);
  ADD ("each-frame-looks-as-it-was-described",
       test_each_frame_looks_as_it_was_described);
  ADD ("a-draft-that-nobody-described-is-not-published",
       test_a_draft_that_nobody_described_is_not_published);
  ADD ("what-a-short-writer-wrote-reaches-who-waited-for-it",
       test_what_a_short_writer_wrote_reaches_who_waited_for_it);
  ADD ("a-writer-may-wait-for-a-reader", test_a_writer_may_wait_for_a_reader);
  ADD ("flushing-ends-the-wait-for-a-reader", test_flushing_ends_the_wait_for_a_reader);
  ADD ("a-description-that-fails-changes-nothing",
       test_a_description_that_fails_changes_nothing);
  ADD ("a-frame-may-be-larger-than-its-arrays",
       test_a_frame_may_be_larger_than_its_arrays);
  ADD ("drafts-are-published-in-any-order",
       test_drafts_are_published_in_any_order);
  ADD ("the-sequence-wraps", test_the_sequence_wraps);
  ADD ("a-demotion-is-told-once", test_a_demotion_is_told_once);
  ADD ("only-who-does-not-move-is-demoted",
       test_only_who_does_not_move_is_demoted);
  ADD ("a-lossless-reader-can-be-waited-for-without-end",
       test_a_lossless_reader_can_be_waited_for_without_end);
  ADD ("no-wake-up-of-the-writer-is-lost",
       test_no_wake_up_of_the_writer_is_lost);
  ADD ("a-lossless-reader-that-moves-is-never-a-reason-for-full",
       test_a_lossless_reader_that_moves_is_never_a_reason_for_full);
  ADD ("a-lossless-reader-is-waited-for-when-nothing-can-be-made",
       test_a_lossless_reader_is_waited_for_when_nothing_can_be_made);
  ADD ("a-lossless-reader-that-left-is-not-waited-for",
       test_a_lossless_reader_that_left_is_not_waited_for);
  ADD ("begin-goes-on-when-the-reader-leaves",
       test_begin_goes_on_when_the_reader_leaves);
  ADD ("a-stuck-lossless-reader-is-demoted",
       test_a_stuck_lossless_reader_is_demoted);
  ADD ("lossless-can-be-refused", test_lossless_can_be_refused);
  ADD ("begin-that-must-not-wait-does-not",
       test_begin_that_must_not_wait_does_not);
  ADD ("memory-stays-within-its-bound", test_memory_stays_within_its_bound);
  ADD ("a-reader-that-may-lose-frames-is-not-waited-for",
       test_a_reader_that_may_lose_frames_is_not_waited_for);
  ADD ("full-is-said-and-passes", test_full_is_said_and_passes);
  ADD ("steady-state-makes-no-more-slots",
       test_steady_state_makes_no_more_slots);
  ADD ("a-long-queue-does-not-stop-the-writer",
       test_a_long_queue_does_not_stop_the_writer);
  ADD ("nothing-leaks", test_nothing_leaks);
  ADD ("growth-takes-the-memory-of-small-slots",
       test_growth_takes_the_memory_of_small_slots);
  ADD ("sizes-that-wrap-are-refused", test_sizes_that_wrap_are_refused);
  ADD ("a-thousand-changes-of-shape-cost-nothing",
       test_a_thousand_changes_of_shape_cost_nothing);
  ADD ("too-many-readers-are-refused", test_too_many_readers_are_refused);
  ADD ("requests-for-a-key-frame-are-told", test_requests_for_a_key_frame_are_told);
  ADD ("the-rate-that-a-reader-wants-is-told",
       test_the_rate_that_a_reader_wants_is_told);
  ADD ("the-size-that-a-reader-wants-is-told",
       test_the_size_that_a_reader_wants_is_told);
  ADD ("readers-coming-and-going-are-told",
       test_readers_coming_and_going_are_told);
  ADD ("a-freed-reader-whose-frame-is-held-counts-no-more",
       test_a_freed_reader_whose_frame_is_held_counts_no_more);
  ADD ("freed-readers-that-hold-frames-are-bounded",
       test_freed_readers_that_hold_frames_are_bounded);
  ADD ("to-begin-while-told-does-not-wait", test_to_begin_while_told_does_not_wait);
  ADD ("a-lease-that-goes-back-is-told-after-full",
       test_a_lease_that_goes_back_is_told_after_full);
  ADD ("a-draft-that-goes-back-is-told-after-full",
       test_a_draft_that_goes_back_is_told_after_full);
  ADD ("a-reader-that-was-told-too-much-goes-on",
       test_a_reader_that_was_told_too_much_goes_on);
  ADD ("what-did-not-fit-is-told-when-there-is-room",
       test_what_did_not_fit_is_told_when_there_is_room);
  result = g_test_run ();
  ndsh_test_dir_teardown ();
  return result;
}
