/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "elements.h"

#include <gst/video/video.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define CAPS "video/x-raw,format=RGB,width=64,height=48,framerate=30/1"
#define SIZE (64 * 48 * 3)

/* A buffer that needs no copy. Its pool lives as long as the buffer does. */
static GstBuffer *
new_draft (GstHarness *harness)
{
  g_autoptr (GstCaps) caps = gst_caps_from_string (CAPS);
  GstBufferPool *pool = elements_take_pool (harness->element, caps);
  GstBuffer *buffer = elements_acquire (pool);

  gst_object_unref (pool);
  return buffer;
}

/* --- Errors, each on the bus, with the element's name and what to do --- */

static void
assert_channel_refused (const char *channel)
{
  GstElement *pipeline = elements_launch ("fakesrc ! ndshsink name=sink");

  g_object_set (elements_find (pipeline, "sink"), "channel", channel, NULL);
  g_assert_cmpint (gst_element_set_state (pipeline, GST_STATE_PLAYING), ==,
                   GST_STATE_CHANGE_FAILURE);
  elements_wait_error (pipeline, "sink", GST_RESOURCE_ERROR,
                       GST_RESOURCE_ERROR_SETTINGS, "");
  elements_stop (pipeline);
}

GST_START_TEST (names_that_cannot_be_are_errors)
{
  g_autofree char *longest = g_strnfill (300, 'x');

  assert_channel_refused ("");
  assert_channel_refused (longest);
  assert_channel_refused ("caf\xc3\xa9");
  assert_channel_refused ("../x");
  assert_channel_refused (".hidden");
}
GST_END_TEST

GST_START_TEST (a_second_writer_is_told_who_the_first_is)
{
  GstHarness *first = elements_harness_new ("ndshsink", "channel=taken");
  GstElement *pipeline
    = elements_launch ("fakesrc ! ndshsink name=sink channel=taken");
  g_autofree char *pid = g_strdup_printf ("%d", (int) getpid ());

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  elements_wait_error (pipeline, "sink", GST_RESOURCE_ERROR,
                       GST_RESOURCE_ERROR_BUSY, pid);

  elements_stop (pipeline);
  gst_harness_teardown (first);
}
GST_END_TEST

GST_START_TEST (a_file_that_is_no_socket_is_left_alone)
{
  g_autofree char *path = ndsh_test_path ("notes.txt");
  GstElement *pipeline
    = elements_launch ("fakesrc ! ndshsink name=sink channel=%s", path);
  g_autofree char *text = NULL;

  g_assert_true (g_file_set_contents (path, "mine", -1, NULL));
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  g_autoptr (GstMessage) message
    = elements_wait_message (pipeline, GST_MESSAGE_ERROR);
  g_assert_cmpstr (GST_MESSAGE_SRC_NAME (message), ==, "sink");

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, "mine");
  elements_stop (pipeline);
  unlink (path);
}
GST_END_TEST

GST_START_TEST (less_memory_than_a_frame_is_an_error)
{
  GstElement *pipeline = elements_launch (
    "videotestsrc ! video/x-raw,width=640,height=480 ! "
    "ndshsink name=sink max-memory=100000");

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  elements_wait_error (pipeline, "sink", GST_RESOURCE_ERROR,
                       GST_RESOURCE_ERROR_NO_SPACE_LEFT, "max-memory=100000");
  elements_stop (pipeline);
}
GST_END_TEST

/* Three frames where four are needed. */
GST_START_TEST (memory_for_few_frames_is_told_with_the_number_to_set)
{
  GstElement *pipeline
    = elements_launch ("videotestsrc num-buffers=5 ! " CAPS
                       " ! ndshsink name=sink sync=false max-memory=%d",
                       3 * (SIZE + 3 * 4096));
  g_autoptr (GstMessage) message = NULL;
  g_autoptr (GError) error = NULL;

  elements_play (pipeline);
  message = elements_wait_message (pipeline, GST_MESSAGE_WARNING);
  gst_message_parse_warning (message, &error, NULL);
  g_assert_true (
    g_error_matches (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NO_SPACE_LEFT));
  g_assert_nonnull (strstr (error->message, "holds 3 frames of this size; set "
                                            "max-memory to "));
  elements_wait_eos (pipeline);
  elements_stop (pipeline);
}
GST_END_TEST

static void
assert_frames_without_memory_are_told_of (const char *property)
{
  GstElement *pipeline = elements_launch (
    "videotestsrc num-buffers=3 ! "
    "video/x-raw,format=RGBA,width=1024,height=1024 ! "
    "ndshsink name=sink sync=false %s", property);
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  g_autoptr (GstMessage) message = NULL;
  g_autoptr (GError) error = NULL;

  elements_play (pipeline);
  message = elements_wait_message (pipeline, GST_MESSAGE_WARNING);
  gst_message_parse_warning (message, &error, NULL);
  g_assert_true (
    g_error_matches (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NO_SPACE_LEFT));
  g_assert_true (g_str_has_prefix (error->message, "Frames are dropped: a slot needs"));
  elements_wait_eos (pipeline);
  g_assert_null (gst_bus_pop_filtered (bus, GST_MESSAGE_WARNING));
  g_assert_cmpuint (
    elements_get_stat (elements_find (pipeline, "sink"), "frames-dropped"), ==, 3);
  elements_stop (pipeline);
}

/* Once, and nothing takes their place in this process. */
GST_START_TEST (frames_without_memory_are_told_of)
{
  struct rlimit limit, low;

  g_assert_cmpint (getrlimit (RLIMIT_FSIZE, &limit), ==, 0);
  low = limit;
  low.rlim_cur = 1 << 20;
  g_assert_cmpint (setrlimit (RLIMIT_FSIZE, &low), ==, 0);
  assert_frames_without_memory_are_told_of ("");
  assert_frames_without_memory_are_told_of ("allow-copy=false");
  g_assert_cmpint (setrlimit (RLIMIT_FSIZE, &limit), ==, 0);
}
GST_END_TEST

GST_START_TEST (memory_that_cannot_be_shared_is_an_error_that_says_what_to_do)
{
  GstElement *sink = elements_launch ("ndshsink name=sink");
  g_autoptr (GstBus) bus = gst_bus_new ();
  g_autoptr (GstCaps) caps = gst_caps_from_string (
    "video/x-raw(memory:NVMM),format=NV12,width=64,height=48");
  GstHarness *harness = gst_harness_new_with_element (sink, "sink", NULL);
  g_autoptr (GError) error = NULL;
  GstMessage *message;

  gst_element_set_bus (sink, bus);
  gst_harness_push_event (harness, gst_event_new_stream_start ("id"));
  gst_harness_push_event (harness, gst_event_new_caps (caps));
  message = gst_bus_timed_pop_filtered (bus, WAIT_SECONDS * GST_SECOND,
                                        GST_MESSAGE_ERROR);
  g_assert_nonnull (message);
  gst_message_parse_error (message, &error, NULL);

  g_assert_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT);
  g_assert_nonnull (strstr (error->message, "nvvidconv"));
  gst_message_unref (message);
  gst_element_set_bus (sink, NULL);
  gst_harness_teardown (harness);
  gst_object_unref (sink);
}
GST_END_TEST

GST_START_TEST (a_copy_that_is_forbidden_is_an_error_that_names_the_element)
{
  GstElement *pipeline = elements_launch (
    "fakesrc name=culprit sizetype=fixed sizemax=100 filltype=zero ! "
    "ndshsink name=sink allow-copy=false");

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  elements_wait_error (pipeline, "sink", GST_RESOURCE_ERROR,
                       GST_RESOURCE_ERROR_SETTINGS, "culprit");
  elements_stop (pipeline);
}
GST_END_TEST

/* --- Copies --- */

static guint n_explained;

static void
on_debug (GstDebugCategory *category, GstDebugLevel level, const char *file,
          const char *function, gint line, GObject *object,
          GstDebugMessage *message, gpointer data)
{
  (void) file;
  (void) function;
  (void) line;
  (void) object;
  (void) data;
  if (level == GST_LEVEL_INFO
      && strcmp (gst_debug_category_get_name (category), "ndshsink") == 0
      && strstr (gst_debug_message_get (message), "copying") != NULL)
    n_explained++;
}

GST_START_TEST (a_copy_is_explained_once)
{
  GstHarness *harness = elements_harness_new ("ndshsink", "sync=false");

  gst_harness_set_src_caps_str (harness, CAPS);
  /* In brackets: the macro of that name is not ISO C. */
  (gst_debug_add_log_function) (on_debug, NULL, NULL);
  gst_debug_set_threshold_for_name ("ndshsink", GST_LEVEL_INFO);
  for (guint i = 0; i < 5; i++)
    gst_harness_push (harness, elements_buffer_new (SIZE, i));

  g_assert_cmpuint (n_explained, ==, 1);
  gst_harness_teardown (harness);
}
GST_END_TEST

static const char *
expected_trust (void)
{
  const char *const names[] = { [NDSH_TRUST_UNKNOWN] = "unknown",
                                [NDSH_TRUST_WRITER] = "writer",
                                [NDSH_TRUST_UDMABUF] = "udmabuf",
                                [NDSH_TRUST_USER] = "user" };
  g_autoptr (NdshWriter) writer = ndsh_writer_new ("another", NULL, NULL);
  NdshWriterInfo info;

  ndsh_writer_get_info (writer, &info);
  return names[info.trust];
}

GST_START_TEST (statistics_count_frames_and_copies)
{
  GstHarness *harness = elements_harness_new ("ndshsink", "sync=false");
  GstElement *sink = harness->element;
  GstStructure *stats;

  gst_harness_set_src_caps_str (harness, CAPS);
  for (guint i = 0; i < 3; i++)
    gst_harness_push (harness, new_draft (harness));
  for (guint i = 0; i < 2; i++)
    gst_harness_push (harness, elements_buffer_new (SIZE, i));

  g_assert_cmpuint (elements_get_stat (sink, "frames-published"), ==, 5);
  g_assert_cmpuint (elements_get_stat (sink, "frames-zero-copy"), ==, 3);
  g_assert_cmpuint (elements_get_stat (sink, "frames-copied"), ==, 2);
  g_assert_cmpuint (elements_get_stat (sink, "bytes-copied"), ==, 2 * SIZE);
  g_assert_cmpuint (elements_get_stat (sink, "frames-dropped"), ==, 0);
  g_object_get (sink, "stats", &stats, NULL);
  g_assert_true (gst_structure_has_field (stats, "average-rate"));
  g_assert_true (gst_structure_has_field (stats, "rendered"));
  g_assert_true (gst_structure_has_field (stats, "dropped"));
  g_assert_true (gst_structure_has_field (stats, "readers"));
  g_assert_cmpstr (gst_structure_get_string (stats, "trust"), ==,
                   expected_trust ());
  gst_structure_free (stats);
  gst_harness_teardown (harness);
}
GST_END_TEST

/* Nothing of it need be written for each frame. */
GST_START_TEST (a_frame_of_a_camera_has_no_metadata)
{
  GstHarness *harness = elements_harness_new ("ndshsink", "sync=false channel=test");
  g_autoptr (NdshReader) reader = NULL;

  gst_harness_set_src_caps_str (harness, CAPS);
  reader = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 2);
  for (guint i = 0; i < 2; i++) {
    GstBuffer *buffer = i == 0 ? new_draft (harness) : elements_buffer_new (SIZE, 1);
    g_autoptr (NdshFrame) frame = NULL;
    gsize size;

    GST_BUFFER_OFFSET (buffer) = 7;
    GST_BUFFER_OFFSET_END (buffer) = 8;
    gst_harness_push (harness, buffer);
    g_assert_true (ndsh_reader_wait (reader, WAIT_SECONDS * G_USEC_PER_SEC, NULL));
    frame = ndsh_reader_acquire (reader);
    ndsh_frame_get_metadata (frame, &size);
    g_assert_cmpuint (size, ==, 0);
  }
  g_clear_pointer (&reader, ndsh_reader_free);
  gst_harness_teardown (harness);
}
GST_END_TEST

/* --- Readers --- */

static void
on_reader (GstElement *sink, gint64 pid, gint64 uid, gint *count)
{
  (void) sink;
  g_assert_cmpint (pid, ==, getpid ());
  g_assert_cmpint (uid, ==, getuid ());
  g_atomic_int_inc (count);
}

static void
wait_count (gint *count, gint wanted)
{
  gint64 deadline = g_get_monotonic_time () + WAIT_SECONDS * G_USEC_PER_SEC;

  while (g_atomic_int_get (count) < wanted && g_get_monotonic_time () < deadline)
    g_usleep (1000);
  g_assert_cmpint (g_atomic_int_get (count), ==, wanted);
}

GST_START_TEST (readers_are_counted_and_announced)
{
  GstHarness *harness = elements_harness_new ("ndshsink", "channel=test");
  NdshReader *reader;
  gint n_added = 0, n_removed = 0;

  g_signal_connect (harness->element, "reader-added", G_CALLBACK (on_reader),
                    &n_added);
  g_signal_connect (harness->element, "reader-removed", G_CALLBACK (on_reader),
                    &n_removed);
  reader = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 0);
  elements_wait_readers (harness->element, 1);
  ndsh_reader_free (reader);
  elements_wait_readers (harness->element, 0);

  /* Who looks at the property may see it change before the signals are emitted. */
  wait_count (&n_added, 1);
  wait_count (&n_removed, 1);
  gst_harness_teardown (harness);
}
GST_END_TEST

/* --- Waiting that can be cut short --- */

static gpointer
push_thread (gpointer harness)
{
  return GINT_TO_POINTER (
    gst_harness_push (harness, elements_buffer_new (SIZE, 1)));
}

static GstPadProbeReturn
note_arrival (GstPad *pad, GstPadProbeInfo *info, gpointer arrived)
{
  (void) pad;
  (void) info;
  g_atomic_int_set ((gint *) arrived, TRUE);
  return GST_PAD_PROBE_OK;
}

static void
note_arrivals (GstElement *sink, gint *arrived)
{
  g_autoptr (GstPad) pad = gst_element_get_static_pad (sink, "sink");

  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, note_arrival, arrived, NULL);
}

/* The thread is in render () once the lock was seen taken after a buffer came, or, if
 * it is rightly not held there, some turns later. */
static void
let_it_render (GstElement *sink, gint *arrived)
{
  while (!g_atomic_int_get (arrived))
    g_thread_yield ();
  for (guint i = 0; i < 100000 && GST_BASE_SINK_PREROLL_TRYLOCK (sink); i++) {
    GST_BASE_SINK_PREROLL_UNLOCK (sink);
    g_thread_yield ();
  }
}

/* A buffer that waits for the first reader, in a thread. Nothing tells when it
 * begins to wait; whether it does so before or after what is to cut the wait short,
 * the outcome must be the same. */
static GThread *
start_waiting (GstHarness **harness)
{
  *harness = elements_harness_new (
    "ndshsink", "channel=test sync=false wait-for-connection=true");
  gst_harness_set_src_caps_str (*harness, CAPS);
  return g_thread_new ("push", push_thread, *harness);
}

GST_START_TEST (a_wait_for_the_first_reader_ends_when_it_comes)
{
  GstHarness *harness;
  GThread *thread = start_waiting (&harness);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 0);

  g_assert_nonnull (reader);
  g_assert_cmpint (GPOINTER_TO_INT (g_thread_join (thread)), ==, GST_FLOW_OK);
  gst_harness_teardown (harness);
}
GST_END_TEST

GST_START_TEST (a_wait_for_the_first_reader_ends_with_its_property)
{
  GstHarness *harness;
  GThread *thread = start_waiting (&harness);

  g_object_set (harness->element, "wait-for-connection", FALSE, NULL);
  g_assert_cmpint (GPOINTER_TO_INT (g_thread_join (thread)), ==, GST_FLOW_OK);
  g_assert_cmpuint (elements_get_stat (harness->element, "frames-published"), ==, 1);
  gst_harness_teardown (harness);
}
GST_END_TEST

/* As gst-launch-1.0 -e sends it. */
GST_START_TEST (a_wait_for_the_first_reader_ends_with_the_stream)
{
  GstElement *pipeline = elements_launch (
    "videotestsrc ! " CAPS " ! ndshsink name=sink wait-for-connection=true");
  GstElement *sink = elements_find (pipeline, "sink");
  gint arrived = FALSE;

  note_arrivals (sink, &arrived);
  elements_play (pipeline);
  /* Not before: the base class of the source waits for what prerolls, and that for
   * the state. */
  gst_element_get_state (pipeline, NULL, NULL, GST_CLOCK_TIME_NONE);
  let_it_render (sink, &arrived);
  gst_element_send_event (pipeline, gst_event_new_eos ());
  elements_wait_eos (pipeline);
  elements_stop_promptly (pipeline);
}
GST_END_TEST

GST_START_TEST (the_stream_after_one_that_ended_waits_for_a_reader)
{
  GstHarness *harness;
  GThread *thread = start_waiting (&harness);
  gint arrived = FALSE;
  GstSegment segment;

  gst_element_send_event (harness->element, gst_event_new_eos ());
  g_assert_cmpint (GPOINTER_TO_INT (g_thread_join (thread)), ==, GST_FLOW_OK);
  gst_harness_push_event (harness, gst_event_new_eos ());

  gst_harness_push_event (harness, gst_event_new_flush_start ());
  gst_harness_push_event (harness, gst_event_new_flush_stop (TRUE));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (harness, gst_event_new_segment (&segment));
  note_arrivals (harness->element, &arrived);
  thread = g_thread_new ("push", push_thread, harness);
  let_it_render (harness->element, &arrived);
  elements_stop_promptly (gst_object_ref (harness->element));
  g_assert_cmpint (GPOINTER_TO_INT (g_thread_join (thread)), ==,
                   GST_FLOW_FLUSHING);
  gst_harness_teardown (harness);
}
GST_END_TEST

GST_START_TEST (a_wait_for_the_first_reader_ends_with_a_flush)
{
  GstHarness *harness;
  GThread *thread = start_waiting (&harness);

  gst_harness_push_event (harness, gst_event_new_flush_start ());
  g_assert_cmpint (GPOINTER_TO_INT (g_thread_join (thread)), ==,
                   GST_FLOW_FLUSHING);
  gst_harness_push_event (harness, gst_event_new_flush_stop (TRUE));
  gst_harness_teardown (harness);
}
GST_END_TEST

GST_START_TEST (a_wait_for_the_first_reader_ends_with_the_state_null)
{
  GstElement *pipeline = elements_launch (
    "videotestsrc ! " CAPS " ! ndshsink wait-for-connection=true");

  elements_play (pipeline);
  elements_stop_promptly (pipeline);

  pipeline = elements_launch (
    "videotestsrc ! " CAPS " ! ndshsink name=sink wait-for-connection=true");
  elements_play (pipeline);
  gst_message_unref (
    elements_wait_message (pipeline, GST_MESSAGE_ASYNC_DONE));
  elements_stop_promptly (pipeline);
}
GST_END_TEST

/* Goal: nobody's wait for a reader keeps a state from changing. The base class takes
 * the preroll lock for that, and a sink that is not async renders before PLAYING. */
GST_START_TEST (a_wait_for_the_first_reader_does_not_keep_the_state_from_changing)
{
  GstElement *pipeline
    = elements_launch ("videotestsrc ! " CAPS " ! ndshsink name=sink async=false "
                       "sync=false wait-for-connection=true");
  GstElement *sink = elements_find (pipeline, "sink");
  g_autoptr (NdshReader) reader = NULL;
  gint arrived = FALSE;

  note_arrivals (sink, &arrived);
  gst_element_set_state (pipeline, GST_STATE_PAUSED);
  let_it_render (sink, &arrived);

  g_assert_cmpint (gst_element_set_state (pipeline, GST_STATE_PLAYING), !=,
                   GST_STATE_CHANGE_FAILURE);
  g_assert_cmpint (gst_element_set_state (pipeline, GST_STATE_PAUSED), !=,
                   GST_STATE_CHANGE_FAILURE);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  reader = ndsh_reader_new ("default", NULL, NULL);
  g_assert_true (ndsh_reader_wait (reader, WAIT_SECONDS * G_USEC_PER_SEC, NULL));
  elements_stop_promptly (pipeline);
}
GST_END_TEST

/* --- A lossless reader that does not read --- */

static void
assert_mode_of_only_reader (GstElement *sink, const char *mode)
{
  const GValue *readers;
  GstStructure *stats;
  const GstStructure *reader;

  g_object_get (sink, "stats", &stats, NULL);
  readers = gst_structure_get_value (stats, "readers");
  g_assert_cmpuint (gst_value_array_get_size (readers), ==, 1);
  reader = gst_value_get_structure (gst_value_array_get_value (readers, 0));
  g_assert_cmpstr (gst_structure_get_string (reader, "mode"), ==, mode);
  gst_structure_free (stats);
}

/* Once, because it loses the right to it; each time would take a minute. */
GST_START_TEST (a_stuck_lossless_reader_holds_the_stream_up_once)
{
  GstHarness *harness = elements_harness_new (
    "ndshsink", "channel=test sync=false lossless-timeout=200000000");
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_LOSSLESS, 0, 0);
  gint64 before = g_get_monotonic_time ();

  g_assert_nonnull (reader);
  assert_mode_of_only_reader (harness->element, "lossless");
  gst_harness_set_src_caps_str (harness, CAPS);
  for (guint i = 0; i < 300; i++)
    g_assert_cmpint (gst_harness_push (harness, elements_buffer_new (SIZE, i)), ==,
                     GST_FLOW_OK);

  g_assert_cmpint (g_get_monotonic_time () - before, >=, 190 * 1000);
  g_assert_cmpuint (elements_get_stat (harness->element, "frames-published"), ==,
                    300);
  assert_mode_of_only_reader (harness->element, "queue");
  gst_harness_teardown (harness);
}
GST_END_TEST

GST_START_TEST (a_wait_for_a_lossless_reader_ends_with_the_state_null)
{
  GstElement *pipeline = elements_launch (
    "videotestsrc ! " CAPS " ! ndshsink name=sink channel=test sync=false "
    "lossless-timeout=3600000000000");
  g_autoptr (NdshReader) reader = NULL;
  guint64 before, now = 0;

  elements_play (pipeline);
  gst_message_unref (elements_wait_message (pipeline, GST_MESSAGE_ASYNC_DONE));
  reader = ndsh_test_joined_reader (NDSH_READ_LOSSLESS, 0, 0);
  elements_wait_readers (elements_find (pipeline, "sink"), 1);
  /* It is stuck when no frame comes for a while; if not yet, it must stop too. */
  do {
    before = now;
    g_usleep (100 * 1000);
    now = elements_get_stat (elements_find (pipeline, "sink"), "frames-published");
  } while (now != before);
  elements_stop_promptly (pipeline);
}
GST_END_TEST

/* --- Scarcity --- */

#define SOUND "audio/x-raw,format=S16LE,rate=8000,channels=1,layout=interleaved"

/* As a base class makes it, of the allocator that the sink offers. */
static GstBuffer *
new_piece (GstHarness *harness)
{
  return gst_harness_create_buffer (harness, SIZE);
}

/* Returns how many of 40 frames of @caps, each made by @make and all kept by upstream, the
 * sink counted as @stat. */
static guint64
count_kept_frames (const char *caps, GstBuffer *(*make) (GstHarness *),
                   const char *properties, const char *stat)
{
  GstHarness *harness = elements_harness_new ("ndshsink", properties);
  GstElement *sink = harness->element;
  GstBuffer *kept[40];
  guint64 n;

  gst_harness_set_src_caps_str (harness, caps);
  for (guint i = 0; i < G_N_ELEMENTS (kept); i++) {
    kept[i] = make (harness);
    g_assert_nonnull (kept[i]);
    g_assert_cmpint (gst_harness_push (harness, gst_buffer_ref (kept[i])), ==,
                     GST_FLOW_OK);
  }

  n = elements_get_stat (sink, stat);
  g_assert_cmpuint (elements_get_stat (sink, "frames-zero-copy"), >, 0);
  g_assert_cmpuint (elements_get_stat (sink, "frames-zero-copy") + n, ==,
                    G_N_ELEMENTS (kept));
  for (guint i = 0; i < G_N_ELEMENTS (kept); i++)
    gst_buffer_unref (kept[i]);
  gst_harness_teardown (harness);
  return n;
}

GST_START_TEST (when_upstream_keeps_every_draft_frames_are_copied)
{
  const char *properties = "sync=false max-memory=100000";

  g_assert_cmpuint (count_kept_frames (CAPS, new_draft, properties, "frames-copied"), >, 0);
  g_assert_cmpuint (count_kept_frames (SOUND, new_piece, properties, "frames-copied"), >,
                    0);
}
GST_END_TEST

/* The next may find room. */
GST_START_TEST (when_upstream_keeps_every_draft_what_may_not_be_copied_is_dropped)
{
  const char *properties = "sync=false max-memory=100000 allow-copy=false";

  g_assert_cmpuint (count_kept_frames (CAPS, new_draft, properties, "frames-dropped"), >,
                    0);
  g_assert_cmpuint (count_kept_frames (SOUND, new_piece, properties, "frames-dropped"), >,
                    0);
}
GST_END_TEST

static gboolean
was_asked_for_key (GstHarness *harness)
{
  gboolean asked = FALSE;
  GstEvent *event;

  while ((event = gst_harness_try_pull_upstream_event (harness)) != NULL) {
    asked |= gst_video_event_is_force_key_unit (event);
    gst_event_unref (event);
  }
  return asked;
}

static GstBuffer *
push_delta (GstHarness *harness)
{
  GstBuffer *buffer = new_piece (harness);

  GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_DELTA_UNIT);
  g_assert_cmpint (gst_harness_push (harness, gst_buffer_ref (buffer)), ==, GST_FLOW_OK);
  return buffer;
}

static void
unref_buffer (gpointer buffer)
{
  gst_buffer_unref (buffer);
}

/* No frame that follows can be decoded before one that refers to none. */
GST_START_TEST (after_a_drop_the_encoder_is_asked_for_a_key_frame)
{
  GstHarness *harness = elements_harness_new (
    "ndshsink", "sync=false max-memory=100000 allow-copy=false");
  GPtrArray *kept = g_ptr_array_new_with_free_func (unref_buffer);

  gst_harness_set_src_caps_str (harness, "video/x-h264,stream-format=avc,alignment=au");
  while (elements_get_stat (harness->element, "frames-dropped") == 0) {
    g_assert_cmpuint (kept->len, <, 40);
    g_ptr_array_add (kept, push_delta (harness));
    g_assert_false (was_asked_for_key (harness));
  }
  g_ptr_array_unref (kept);
  gst_buffer_unref (push_delta (harness));
  g_assert_true (was_asked_for_key (harness));
  gst_harness_teardown (harness);
}
GST_END_TEST

static void
push_at (GstHarness *harness, GstBuffer *buffer, GstClockTime pts)
{
  GST_BUFFER_PTS (buffer) = pts;
  GST_BUFFER_DURATION (buffer) = 33 * GST_MSECOND;
  g_assert_cmpint (gst_harness_push (harness, buffer), ==, GST_FLOW_OK);
}

/* The next message says that the frame of @pts was dropped, after so many. */
static void
assert_drop_told (GstBus *bus, GstClockTime pts, guint64 n_published,
                  guint64 n_dropped)
{
  g_autoptr (GstMessage) message = gst_bus_pop_filtered (bus, GST_MESSAGE_QOS);
  guint64 running, stream, timestamp, duration, processed, dropped;
  GstFormat format;

  g_assert_nonnull (message);
  gst_message_parse_qos (message, NULL, &running, &stream, &timestamp, &duration);
  gst_message_parse_qos_stats (message, &format, &processed, &dropped);
  g_assert_cmpuint (running, ==, pts);
  g_assert_cmpuint (stream, ==, pts);
  g_assert_cmpuint (timestamp, ==, pts);
  g_assert_cmpuint (duration, ==, 33 * GST_MSECOND);
  g_assert_cmpint (format, ==, GST_FORMAT_BUFFERS);
  g_assert_cmpuint (processed, ==, n_published);
  g_assert_cmpuint (dropped, ==, n_dropped);
}

/* The message that is posted at most once a second. */
static void
assert_drops_posted (GstBus *bus, guint64 wanted, guint64 wanted_in_all)
{
  g_autoptr (GstMessage) message = gst_bus_pop_filtered (bus, GST_MESSAGE_ELEMENT);
  const GstStructure *structure;
  guint64 dropped, in_all;

  g_assert_nonnull (message);
  g_assert_true (gst_message_has_name (message, "GstNdshSinkFramesDropped"));
  structure = gst_message_get_structure (message);
  g_assert_true (gst_structure_get_uint64 (structure, "dropped", &dropped));
  g_assert_true (gst_structure_get_uint64 (structure, "frames-dropped", &in_all));
  g_assert_cmpuint (dropped, ==, wanted);
  g_assert_cmpuint (in_all, ==, wanted_in_all);
}

/* Four drafts of a small size, which upstream keeps, leave room for frames of that size
 * and none for one that takes nearly half of all there is. */
static void
drop_frames_and_end (gboolean with_eos)
{
  GstHarness *harness
    = elements_harness_new ("ndshsink", "sync=false max-memory=100000");
  GstElement *sink = harness->element;
  g_autoptr (GstBus) bus = gst_bus_new ();
  GstBuffer *kept[4];

  gst_element_set_bus (sink, bus);
  gst_harness_set_src_caps_str (harness, CAPS);
  for (guint i = 0; i < G_N_ELEMENTS (kept); i++)
    kept[i] = new_draft (harness);
  push_at (harness, elements_buffer_new (SIZE, 1), 0);
  g_assert_cmpuint (elements_get_stat (sink, "frames-dropped"), ==, 0);

  for (guint i = 1; i <= 3; i++) {
    push_at (harness, elements_buffer_new (40000, i), i * GST_SECOND);
    if (i == 1)
      assert_drops_posted (bus, 1, 1);
    assert_drop_told (bus, i * GST_SECOND, 1, i);
  }
  g_assert_cmpuint (elements_get_stat (sink, "frames-published"), ==, 1);
  g_assert_cmpuint (elements_get_stat (sink, "frames-dropped"), ==, 3);

  /* It goes on as soon as there is room. */
  for (guint i = 0; i < G_N_ELEMENTS (kept); i++)
    gst_buffer_unref (kept[i]);
  push_at (harness, elements_buffer_new (40000, 4), 4 * GST_SECOND);
  g_assert_cmpuint (elements_get_stat (sink, "frames-published"), ==, 2);
  g_assert_cmpuint (elements_get_stat (sink, "frames-dropped"), ==, 3);
  g_assert_null (gst_bus_pop_filtered (
    bus, GST_MESSAGE_QOS | GST_MESSAGE_ERROR | GST_MESSAGE_ELEMENT));

  /* What came within a second of the last message is told at the end. */
  if (with_eos)
    gst_harness_push_event (harness, gst_event_new_eos ());
  else
    gst_element_set_state (sink, GST_STATE_READY);
  assert_drops_posted (bus, 2, 3);
  gst_element_set_bus (sink, NULL);
  gst_harness_teardown (harness);
}

GST_START_TEST (frames_that_find_no_room_are_dropped_and_told_of)
{
  drop_frames_and_end (TRUE);
  drop_frames_and_end (FALSE);
}
GST_END_TEST

GST_START_TEST (a_buffer_published_twice_is_copied_the_second_time)
{
  GstHarness *harness = elements_harness_new ("ndshsink", "sync=false");
  GstBuffer *buffer;

  gst_harness_set_src_caps_str (harness, CAPS);
  buffer = new_draft (harness);
  gst_harness_push (harness, gst_buffer_ref (buffer));
  gst_harness_push (harness, buffer);

  g_assert_cmpuint (elements_get_stat (harness->element, "frames-published"), ==, 2);
  g_assert_cmpuint (elements_get_stat (harness->element, "frames-copied"), ==, 1);
  gst_harness_teardown (harness);
}
GST_END_TEST

/* --- Properties --- */

GST_START_TEST (properties_are_kept)
{
  elements_assert_properties_are_kept ("ndshsink");
}
GST_END_TEST

GST_START_TEST (no_channel_is_the_default_one)
{
  GstElement *sink = elements_launch ("ndshsink channel=other");
  g_autofree char *channel = NULL;

  g_object_set (sink, "channel", NULL, NULL);
  g_object_get (sink, "channel", &channel, NULL);

  g_assert_cmpstr (channel, ==, "default");
  gst_object_unref (sink);
}
GST_END_TEST

GST_START_TEST (the_channel_does_not_change_while_it_is_open)
{
  GstHarness *harness = elements_harness_new ("ndshsink", "channel=first");
  g_autofree char *channel = NULL;

  g_object_set (harness->element, "channel", "second", NULL);
  g_object_get (harness->element, "channel", &channel, NULL);

  g_assert_cmpstr (channel, ==, "first");
  gst_harness_teardown (harness);
}
GST_END_TEST

GST_START_TEST (the_frame_is_as_long_as_the_buffer)
{
  GstHarness *harness = elements_harness_new ("ndshsink", "channel=test sync=false");
  g_autoptr (NdshReader) reader = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 0);
  g_autoptr (NdshFrame) frame = NULL;
  guint n_arrays;

  /* Three bytes of padding follow the last row. */
  gst_harness_set_src_caps_str (
    harness, "video/x-raw,format=RGB,width=3,height=2,framerate=30/1");
  gst_harness_push (harness, elements_buffer_new (24, 1));
  g_assert_true (ndsh_reader_wait (reader, WAIT_SECONDS * G_USEC_PER_SEC, NULL));
  frame = ndsh_reader_acquire (reader);

  g_assert_cmpuint (ndsh_frame_get_size (frame), ==, 24);
  ndsh_frame_get_arrays (frame, &n_arrays);
  g_assert_cmpuint (n_arrays, ==, 1);
  gst_harness_teardown (harness);
}
GST_END_TEST

static Suite *
sink_suite (void)
{
  Suite *suite = suite_create ("sink");
  TCase *tcase = elements_case_new (suite, "sink");

  tcase_add_test (tcase, names_that_cannot_be_are_errors);
  tcase_add_test (tcase, a_second_writer_is_told_who_the_first_is);
  tcase_add_test (tcase, a_file_that_is_no_socket_is_left_alone);
  tcase_add_test (tcase, less_memory_than_a_frame_is_an_error);
  tcase_add_test (tcase, memory_for_few_frames_is_told_with_the_number_to_set);
  tcase_add_test (tcase, frames_without_memory_are_told_of);
  tcase_add_test (tcase,
                  memory_that_cannot_be_shared_is_an_error_that_says_what_to_do);
  tcase_add_test (tcase,
                  a_copy_that_is_forbidden_is_an_error_that_names_the_element);
  tcase_add_test (tcase, a_copy_is_explained_once);
  tcase_add_test (tcase, statistics_count_frames_and_copies);
  tcase_add_test (tcase, a_frame_of_a_camera_has_no_metadata);
  tcase_add_test (tcase, readers_are_counted_and_announced);
  tcase_add_test (tcase, a_wait_for_the_first_reader_ends_when_it_comes);
  tcase_add_test (tcase, a_wait_for_the_first_reader_ends_with_its_property);
  tcase_add_test (tcase, a_wait_for_the_first_reader_ends_with_the_stream);
  tcase_add_test (tcase, the_stream_after_one_that_ended_waits_for_a_reader);
  tcase_add_test (tcase, a_wait_for_the_first_reader_ends_with_a_flush);
  tcase_add_test (tcase, a_wait_for_the_first_reader_ends_with_the_state_null);
  tcase_add_test (
    tcase, a_wait_for_the_first_reader_does_not_keep_the_state_from_changing);
  tcase_add_test (tcase, a_stuck_lossless_reader_holds_the_stream_up_once);
  tcase_add_test (tcase, a_wait_for_a_lossless_reader_ends_with_the_state_null);
  tcase_add_test (tcase, when_upstream_keeps_every_draft_frames_are_copied);
  tcase_add_test (
    tcase, when_upstream_keeps_every_draft_what_may_not_be_copied_is_dropped);
  tcase_add_test (tcase, after_a_drop_the_encoder_is_asked_for_a_key_frame);
  tcase_add_test (tcase, frames_that_find_no_room_are_dropped_and_told_of);
  tcase_add_test (tcase, a_buffer_published_twice_is_copied_the_second_time);
  tcase_add_test (tcase, properties_are_kept);
  tcase_add_test (tcase, no_channel_is_the_default_one);
  tcase_add_test (tcase, the_channel_does_not_change_while_it_is_open);
  tcase_add_test (tcase, the_frame_is_as_long_as_the_buffer);
  return suite;
}

GST_CHECK_MAIN (sink)
