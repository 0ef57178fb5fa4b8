/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "elements.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#define CAPS "video/x-raw,format=RGB,width=64,height=48,framerate=30/1"
#define OTHER_CAPS "video/x-raw,format=GRAY8,width=32,height=16,framerate=30/1"
#define SIZE (64 * 48 * 3)
#define OTHER_SIZE (32 * 16)

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

/* --- What travels with a buffer --- */

static GstClockTime
now (void)
{
  struct timespec time;

  clock_gettime (CLOCK_MONOTONIC, &time);
  return GST_TIMESPEC_TO_TIME (time);
}

/* Both harnesses have the monotonic clock and base time 0, so times must be the
 * same to the nanosecond. */
GST_START_TEST (times_offsets_and_flags_survive)
{
  Link *link = link_new ("sync=false", "leaky-type=none", CAPS, TRUE);
  const guint flags = GST_BUFFER_FLAG_MARKER | GST_BUFFER_FLAG_DELTA_UNIT
                      | GST_BUFFER_FLAG_HEADER | GST_BUFFER_FLAG_CORRUPTED
                      | GST_VIDEO_BUFFER_FLAG_INTERLACED
                      | GST_VIDEO_BUFFER_FLAG_TFF;
  GstClockTime start = now ();

  for (guint i = 0; i < 5; i++) {
    GstBuffer *buffer = elements_buffer_new (SIZE, i), *arrived;

    GST_BUFFER_PTS (buffer) = start + (i + 2) * 33333333;
    GST_BUFFER_DTS (buffer) = start + i * 33333333;
    GST_BUFFER_DURATION (buffer) = 33333333 + i;
    GST_BUFFER_OFFSET (buffer) = 1000 + i;
    GST_BUFFER_OFFSET_END (buffer) = 1001 + i;
    GST_BUFFER_FLAG_SET (buffer, flags);
    /* Nothing comes before the first, so it refers to nothing. */
    if (i == 0)
      GST_BUFFER_FLAG_UNSET (buffer, GST_BUFFER_FLAG_DELTA_UNIT);
    arrived = link_pass (link, gst_buffer_ref (buffer));

    g_assert_cmpuint (GST_BUFFER_PTS (arrived), ==, GST_BUFFER_PTS (buffer));
    g_assert_cmpuint (GST_BUFFER_DTS (arrived), ==, GST_BUFFER_DTS (buffer));
    g_assert_cmpuint (GST_BUFFER_DURATION (arrived), ==,
                      GST_BUFFER_DURATION (buffer));
    g_assert_cmpuint (GST_BUFFER_OFFSET (arrived), ==, 1000 + i);
    g_assert_cmpuint (GST_BUFFER_OFFSET_END (arrived), ==, 1001 + i);
    g_assert_cmphex (GST_BUFFER_FLAGS (arrived) & flags, ==,
                     GST_BUFFER_FLAGS (buffer) & flags);
    g_assert_cmpint (GST_BUFFER_FLAG_IS_SET (arrived, GST_BUFFER_FLAG_DISCONT),
                     ==, i == 0);
    gst_buffer_unref (arrived);
    gst_buffer_unref (buffer);
  }
  link_free (link);
}
GST_END_TEST

GST_START_TEST (what_is_unknown_stays_unknown)
{
  Link *link = link_new ("sync=false", "leaky-type=none", CAPS, TRUE);
  GstClockTime before = now ();
  GstBuffer *arrived;

  arrived = link_pass (link, elements_buffer_new (SIZE, 0));

  /* A live source knows when it was published. */
  g_assert_cmpuint (GST_BUFFER_PTS (arrived), >=, before);
  g_assert_cmpuint (GST_BUFFER_PTS (arrived), <=, now ());
  g_assert_false (GST_BUFFER_DTS_IS_VALID (arrived));
  g_assert_false (GST_BUFFER_DURATION_IS_VALID (arrived));
  g_assert_false (GST_BUFFER_OFFSET_IS_VALID (arrived));
  g_assert_false (GST_BUFFER_OFFSET_END_IS_VALID (arrived));
  gst_buffer_unref (arrived);
  link_free (link);
}
GST_END_TEST

GST_START_TEST (the_segment_is_time)
{
  Link *link = link_new ("sync=false", "leaky-type=none", CAPS, TRUE);
  const GstSegment *segment;
  GstEvent *event;

  gst_buffer_unref (link_pass (link, elements_buffer_new (SIZE, 0)));
  event = gst_pad_get_sticky_event (link->src->sinkpad, GST_EVENT_SEGMENT, 0);
  gst_event_parse_segment (event, &segment);
  g_assert_cmpint (segment->format, ==, GST_FORMAT_TIME);
  g_assert_cmpuint (segment->start, ==, 0);
  gst_event_unref (event);
  link_free (link);
}
GST_END_TEST

GST_START_TEST (what_arrives_cannot_be_written)
{
  Link *link = link_new ("sync=false", "leaky-type=none", CAPS, TRUE);
  GstBuffer *arrived = link_pass (link, elements_buffer_new (SIZE, 0));
  GstMapInfo map;

  g_assert_true (GST_MEMORY_IS_READONLY (gst_buffer_peek_memory (arrived, 0)));
  g_assert_false (
    gst_memory_map (gst_buffer_peek_memory (arrived, 0), &map, GST_MAP_WRITE));
  gst_buffer_unref (arrived);
  link_free (link);
}
GST_END_TEST

/* --- Caps --- */

/* The reader takes frames slower than caps change. */
GST_START_TEST (new_caps_arrive_before_their_first_frame)
{
  Link *link = link_new ("sync=false", "leaky-type=none", NULL, TRUE);

  for (guint i = 0; i < 20; i++) {
    gboolean other = i % 3 == 1;
    gsize size = other ? OTHER_SIZE : SIZE;
    g_autoptr (GstCaps) wanted = gst_caps_from_string (other ? OTHER_CAPS : CAPS);
    g_autoptr (GstCaps) caps = NULL;
    GstBuffer *arrived;

    gst_harness_set_src_caps (link->sink, gst_caps_copy (wanted));
    arrived = link_pass (link, elements_buffer_new (size, i));
    caps = link_get_caps (link);
    g_assert_true (gst_caps_is_equal (caps, wanted));
    g_assert_cmpuint (gst_buffer_get_size (arrived), ==, size);
    gst_buffer_unref (arrived);
  }
  link_free (link);
}
GST_END_TEST

/* Caps and buffers in the order they came in, written down by a probe. */
static GstPadProbeReturn
note_order (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstCaps *caps;
  GstEvent *event;

  (void) pad;
  if ((info->type & GST_PAD_PROBE_TYPE_BUFFER) != 0) {
    g_string_append_printf (data, "%" G_GSIZE_FORMAT " ",
                            gst_buffer_get_size (info->data));
    return GST_PAD_PROBE_OK;
  }
  event = info->data;
  if (GST_EVENT_TYPE (event) == GST_EVENT_CAPS) {
    gst_event_parse_caps (event, &caps);
    g_string_append_printf (
      data, "%s ",
      gst_structure_get_string (gst_caps_get_structure (caps, 0), "format"));
  }
  return GST_PAD_PROBE_OK;
}

GST_START_TEST (queued_frames_keep_the_caps_they_were_sent_with)
{
  Link *link = link_new ("sync=false", "leaky-type=none", NULL, TRUE);
  GString *order = g_string_new (NULL);

  gst_pad_add_probe (link->src->sinkpad,
                     GST_PAD_PROBE_TYPE_BUFFER
                       | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM,
                     note_order, order, NULL);
  link_set_caps (link, CAPS);
  gst_harness_push (link->sink, elements_buffer_new (SIZE, 1));
  gst_harness_push (link->sink, elements_buffer_new (SIZE, 2));
  link_set_caps (link, OTHER_CAPS);
  gst_harness_push (link->sink, elements_buffer_new (OTHER_SIZE, 3));
  link_set_caps (link, CAPS);
  gst_harness_push (link->sink, elements_buffer_new (SIZE, 4));
  for (guint i = 0; i < 4; i++)
    gst_buffer_unref (gst_harness_pull (link->src));

  g_assert_cmpstr (order->str, ==, "RGB 9216 9216 GRAY8 512 RGB 9216 ");
  link_free (link);
  g_string_free (order, TRUE);
}
GST_END_TEST

/* --- Modes --- */

GST_START_TEST (leaky_type_and_max_buffers_choose_the_mode)
{
  const struct {
    const char *properties;
    const char *mode;
  } cases[] = { { "", "queue" },
                { "max-buffers=1", "latest" },
                { "max-buffers=5", "queue" },
                { "leaky-type=none", "lossless" },
                { "leaky-type=none max-buffers=5", "lossless" } };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    Link *link = link_new ("sync=false", cases[i].properties, CAPS, TRUE);
    const GValue *readers;
    GstStructure *stats;

    g_object_get (link->sink->element, "stats", &stats, NULL);
    readers = gst_structure_get_value (stats, "readers");
    g_assert_cmpuint (gst_value_array_get_size (readers), ==, 1);
    g_assert_cmpstr (
      gst_structure_get_string (
        gst_value_get_structure (gst_value_array_get_value (readers, 0)), "mode"),
      ==, cases[i].mode);
    gst_structure_free (stats);
    link_free (link);
  }
}
GST_END_TEST

GST_START_TEST (lossless_delivers_every_frame)
{
  Link *link = link_new ("sync=false lossless-timeout=20000000000",
                         "leaky-type=none", CAPS, TRUE);
  guint64 before = GST_BUFFER_OFFSET_NONE;

  for (guint i = 0; i < 500; i++) {
    GstBuffer *buffer = new_draft (link->sink);

    GST_BUFFER_OFFSET (buffer) = i;
    g_assert_cmpint (gst_harness_push (link->sink, buffer), ==, GST_FLOW_OK);
  }
  for (guint i = 0; i < 500; i++) {
    GstBuffer *arrived = gst_harness_pull (link->src);

    g_assert_cmpuint (GST_BUFFER_OFFSET (arrived), ==, before + 1);
    before = GST_BUFFER_OFFSET (arrived);
    gst_buffer_unref (arrived);
  }
  g_assert_cmpuint (elements_get_stat (link->src->element, "frames-missed"), ==, 0);
  link_free (link);
}
GST_END_TEST

GST_START_TEST (the_last_lease_is_copied_so_that_the_stream_goes_on)
{
  Link *link = link_new ("sync=false lossless-timeout=20000000000",
                         "leaky-type=none", CAPS, TRUE);
  GstBuffer *kept[30];

  for (guint i = 0; i < G_N_ELEMENTS (kept); i++)
    kept[i] = link_pass (link, elements_buffer_new (SIZE, i));
  for (guint i = 0; i < G_N_ELEMENTS (kept); i++) {
    GstBuffer *wanted = elements_buffer_new (SIZE, i);

    elements_assert_equal_bytes (wanted, kept[i]);
    gst_buffer_unref (wanted);
    gst_buffer_unref (kept[i]);
  }

  g_assert_cmpuint (elements_get_stat (link->src->element, "frames-copied"), >=,
                    30 - 8);
  link_free (link);
}
GST_END_TEST

/* --- A gap, another writer, the end --- */

/* Holds the streaming thread with the first frame in its hands. */
typedef struct {
  GMutex lock;
  GCond changed;
  gboolean caught;
  gboolean released;
} Trap;

static GstPadProbeReturn
on_buffer (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Trap *trap = data;

  (void) pad;
  (void) info;
  g_mutex_lock (&trap->lock);
  trap->caught = TRUE;
  g_cond_broadcast (&trap->changed);
  while (!trap->released)
    g_cond_wait (&trap->changed, &trap->lock);
  g_mutex_unlock (&trap->lock);
  return GST_PAD_PROBE_OK;
}

GST_START_TEST (a_gap_is_discont)
{
  Link *link = link_new ("sync=false", "max-buffers=1", CAPS, TRUE);
  const gboolean discont[] = { TRUE, TRUE, FALSE };
  Trap trap = { .caught = FALSE };

  g_mutex_init (&trap.lock);
  g_cond_init (&trap.changed);
  gst_pad_add_probe (link->src->sinkpad, GST_PAD_PROBE_TYPE_BUFFER, on_buffer,
                     &trap, NULL);
  gst_harness_push (link->sink, elements_buffer_new (SIZE, 0));
  g_mutex_lock (&trap.lock);
  while (!trap.caught)
    g_cond_wait (&trap.changed, &trap.lock);
  g_mutex_unlock (&trap.lock);
  for (guint i = 0; i < 5; i++)
    gst_harness_push (link->sink, elements_buffer_new (SIZE, i));
  g_mutex_lock (&trap.lock);
  trap.released = TRUE;
  g_cond_broadcast (&trap.changed);
  g_mutex_unlock (&trap.lock);

  for (guint i = 0; i < G_N_ELEMENTS (discont); i++) {
    GstBuffer *arrived = i < 2 ? gst_harness_pull (link->src)
                               : link_pass (link, elements_buffer_new (SIZE, 9));

    g_assert_cmpint (GST_BUFFER_FLAG_IS_SET (arrived, GST_BUFFER_FLAG_DISCONT),
                     ==, discont[i]);
    gst_buffer_unref (arrived);
  }
  link_free (link);
}
GST_END_TEST

GST_START_TEST (the_end_of_the_stream_arrives_after_the_last_frame)
{
  Link *link = link_new ("sync=false", "leaky-type=none", CAPS, TRUE);

  for (guint i = 0; i < 5; i++)
    gst_harness_push (link->sink, elements_buffer_new (SIZE, i));
  gst_harness_push_event (link->sink, gst_event_new_eos ());
  elements_wait_event (link->src, GST_EVENT_EOS);

  g_assert_cmpuint (gst_harness_buffers_in_queue (link->src), ==, 5);
  link_free (link);
}
GST_END_TEST

GST_START_TEST (a_second_stream_follows_the_end_of_the_first)
{
  Link *link = link_new ("sync=false", "leaky-type=none", CAPS, TRUE);
  GstHarness *second;
  GstBuffer *arrived;

  gst_buffer_unref (link_pass (link, elements_buffer_new (SIZE, 1)));
  gst_harness_push_event (link->sink, gst_event_new_eos ());
  elements_wait_event (link->src, GST_EVENT_EOS);
  /* A flush takes the end back, in the sink. */
  gst_harness_push_event (link->sink, gst_event_new_flush_start ());
  gst_harness_push_event (link->sink, gst_event_new_flush_stop (TRUE));
  gst_harness_push_event (link->sink, gst_event_new_segment (&(GstSegment){
                                        .rate = 1.0,
                                        .applied_rate = 1.0,
                                        .format = GST_FORMAT_TIME,
                                        .stop = G_MAXUINT64,
                                        .duration = G_MAXUINT64 }));
  second = elements_harness_new ("ndshsrc", "");
  gst_harness_play (second);
  elements_wait_readers (link->sink->element, 2);
  g_assert_cmpint (gst_harness_push (link->sink, elements_buffer_new (SIZE, 2)), ==,
                   GST_FLOW_OK);

  arrived = gst_harness_pull (second);
  g_assert_nonnull (arrived);
  gst_buffer_unref (arrived);
  gst_harness_teardown (second);
  link_free (link);
}
GST_END_TEST

GST_START_TEST (a_source_waits_for_the_next_writer)
{
  Link *link = link_new ("sync=false", "leaky-type=none", CAPS, TRUE);
  GstHarness *next;
  GstBuffer *arrived;

  gst_buffer_unref (link_pass (link, elements_buffer_new (SIZE, 1)));
  gst_element_set_state (link->sink->element, GST_STATE_NULL);
  next = elements_harness_new ("ndshsink", "sync=false");
  elements_wait_readers (next->element, 1);
  gst_harness_set_src_caps_str (next, OTHER_CAPS);
  gst_harness_push (next, elements_buffer_new (OTHER_SIZE, 1));
  arrived = gst_harness_pull (link->src);

  g_assert_cmpuint (gst_buffer_get_size (arrived), ==, OTHER_SIZE);
  g_assert_true (GST_BUFFER_FLAG_IS_SET (arrived, GST_BUFFER_FLAG_DISCONT));
  gst_buffer_unref (arrived);
  gst_harness_teardown (next);
  link_free (link);
}
GST_END_TEST

GST_START_TEST (a_lost_writer_can_mean_the_end)
{
  Link *link
    = link_new ("sync=false", "leaky-type=none on-disconnect=eos", CAPS, TRUE);

  gst_buffer_unref (link_pass (link, elements_buffer_new (SIZE, 1)));
  gst_element_set_state (link->sink->element, GST_STATE_NULL);
  elements_wait_event (link->src, GST_EVENT_EOS);
  link_free (link);
}
GST_END_TEST

GST_START_TEST (a_lost_writer_can_be_an_error)
{
  GstHarness *sink = elements_harness_new ("ndshsink", "sync=false");
  GstElement *pipeline = elements_launch (
    "ndshsrc name=src on-disconnect=error ! fakesink sync=false");

  elements_play (pipeline);
  elements_wait_property (elements_find (pipeline, "src"), "connected");
  gst_harness_teardown (sink);
  elements_wait_error (pipeline, "src", GST_RESOURCE_ERROR,
                       GST_RESOURCE_ERROR_READ, "default");
  elements_stop (pipeline);
}
GST_END_TEST

/* --- Starting and stopping --- */

GST_START_TEST (a_live_source_needs_no_writer_to_play)
{
  GstElement *pipeline = elements_launch ("ndshsrc name=src ! fakesink");
  GstState state;

  g_assert_cmpint (gst_element_set_state (pipeline, GST_STATE_PAUSED), ==,
                   GST_STATE_CHANGE_NO_PREROLL);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  /* The sink has nothing to show, but the source need not wait for that. */
  g_assert_cmpint (gst_element_get_state (elements_find (pipeline, "src"), &state,
                                          NULL, WAIT_SECONDS * GST_SECOND),
                   ==, GST_STATE_CHANGE_SUCCESS);
  g_assert_cmpint (state, ==, GST_STATE_PLAYING);
  elements_stop_promptly (pipeline);
}
GST_END_TEST

GST_START_TEST (a_source_without_a_writer_stops_promptly)
{
  for (guint i = 0; i < 20; i++) {
    GstElement *pipeline = elements_launch ("ndshsrc is-live=%s ! fakesink",
                                            i % 2 ? "true" : "false");

    elements_play (pipeline);
    elements_stop_promptly (pipeline);
  }
}
GST_END_TEST

GST_START_TEST (names_that_cannot_be_are_errors)
{
  g_autofree char *longest = g_strnfill (300, 'x');
  const char *names[] = { "", longest, "caf\xc3\xa9", "../x" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    GstElement *pipeline = elements_launch ("ndshsrc name=src ! fakesink");

    g_object_set (elements_find (pipeline, "src"), "channel", names[i], NULL);
    gst_element_set_state (pipeline, GST_STATE_PLAYING);
    elements_wait_error (pipeline, "src", GST_RESOURCE_ERROR,
                         GST_RESOURCE_ERROR_SETTINGS, "");
    elements_stop (pipeline);
  }
}
GST_END_TEST

GST_START_TEST (the_channel_does_not_change_while_it_is_open)
{
  GstHarness *harness = elements_harness_new ("ndshsrc", "channel=first");
  g_autofree char *channel = NULL;

  gst_harness_play (harness);
  g_object_set (harness->element, "channel", "second", NULL);
  g_object_get (harness->element, "channel", &channel, NULL);

  g_assert_cmpstr (channel, ==, "first");
  gst_harness_teardown (harness);
}
GST_END_TEST

GST_START_TEST (times_start_at_0_if_not_live)
{
  Link *link = link_new ("sync=false", "leaky-type=none is-live=false", CAPS, TRUE);

  for (guint i = 0; i < 3; i++) {
    GstBuffer *buffer = elements_buffer_new (SIZE, i), *arrived;

    GST_BUFFER_PTS (buffer) = 5 * GST_SECOND + i * GST_MSECOND;
    arrived = link_pass (link, buffer);
    g_assert_cmpuint (GST_BUFFER_PTS (arrived), ==, i * GST_MSECOND);
    gst_buffer_unref (arrived);
  }
  link_free (link);
}
GST_END_TEST

GST_START_TEST (frames_of_a_program_become_buffers)
{
  GstHarness *src = elements_harness_new ("ndshsrc", "channel=test");
  NdshWriter *writer = ndsh_test_writer (NULL);
  g_autoptr (GstCaps) caps = NULL;
  GstBuffer *arrived;

  gst_harness_play (src);
  ndsh_test_publish (writer, 100, 1);
  arrived = gst_harness_pull (src);
  caps = gst_pad_get_current_caps (src->sinkpad);

  g_assert_cmpuint (gst_buffer_get_size (arrived), ==, 100);
  g_assert_true (gst_structure_has_name (gst_caps_get_structure (caps, 0),
                                         "application/x-ndarray"));
  gst_buffer_unref (arrived);
  gst_harness_teardown (src);
  ndsh_writer_free (writer);
}
GST_END_TEST

GST_START_TEST (caps_that_downstream_does_not_take_are_told_with_its_own)
{
  GstElement *writer = elements_launch (
    "videotestsrc ! video/x-raw,format=RGB,width=16,height=8 ! ndshsink channel=test");
  GstElement *reader = elements_launch ("ndshsrc name=source channel=test ! "
                                        "video/x-raw,format=NV12 ! fakesink");

  elements_play (writer);
  elements_play (reader);
  elements_wait_error (reader, "source", GST_CORE_ERROR, GST_CORE_ERROR_NEGOTIATION,
                       "downstream takes video/x-raw, format=(string)NV12");
  elements_stop (reader);
  elements_stop (writer);
}
GST_END_TEST

static void
wait_element_message (GstElement *pipeline, const char *name)
{
  gboolean found = FALSE;

  while (!found) {
    GstMessage *message = elements_wait_message (pipeline, GST_MESSAGE_ELEMENT);

    found = gst_message_has_name (message, name);
    gst_message_unref (message);
  }
}

GST_START_TEST (a_reader_that_may_lose_frames_against_its_wish_is_told)
{
  NdshWriterOptions options = { .lossless_timeout_us = -1 };
  NdshWriter *writer = ndsh_test_writer (&options);
  GstElement *pipeline
    = elements_launch ("ndshsrc channel=test leaky-type=none ! fakesink sync=false");
  g_autoptr (GstMessage) message = NULL;
  g_autoptr (GError) error = NULL;

  elements_play (pipeline);
  wait_element_message (pipeline, "GstNdshSrcModeLost");
  message = elements_wait_message (pipeline, GST_MESSAGE_WARNING);
  gst_message_parse_warning (message, &error, NULL);
  g_assert_nonnull (strstr (error->message, "may lose frames"));
  elements_stop (pipeline);
  ndsh_writer_free (writer);
}
GST_END_TEST

static void
publish_at (NdshWriter *writer, gint64 time)
{
  const NdshFrameInfo info = { .timestamp_ns = time, .duration_ns = -1 };
  NdshArrayInfo array = ndsh_test_bytes (100);
  g_autoptr (NdshDraft) draft = ndsh_writer_begin (writer, &array, 1, NULL);

  g_assert_cmpuint (ndsh_draft_publish (draft, &info), >, 0);
}

/* One that shows nothing had better say why. */
GST_START_TEST (times_of_another_clock_are_told_of)
{
  const struct {
    gint64 distance;
    const char *part;
  } cases[] = { { -10 * (gint64) GST_SECOND, "after the time that they name" },
                { 10 * (gint64) GST_SECOND, "before the time that they name" } };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    NdshWriter *writer = ndsh_test_writer (NULL);
    GstElement *pipeline
      = elements_launch ("ndshsrc channel=test ! fakesink sync=true");
    g_autoptr (GError) error = NULL;
    GstMessage *message = NULL;

    elements_play (pipeline);
    while (message == NULL) {
      g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);

      publish_at (writer, (gint64) now () + cases[i].distance);
      message = gst_bus_timed_pop_filtered (bus, 10 * GST_MSECOND,
                                            GST_MESSAGE_WARNING);
    }
    gst_message_parse_warning (message, &error, NULL);
    g_assert_nonnull (strstr (error->message, cases[i].part));
    gst_message_unref (message);
    elements_stop (pipeline);
    ndsh_writer_free (writer);
  }
}
GST_END_TEST

typedef struct {
  GMutex lock;
  GCond changed;
  gboolean open;
  GString *offsets;             /* of what has come */
} Gate;

static void
on_gate_handoff (GstElement *sink, GstBuffer *buffer, GstPad *pad, gpointer data)
{
  Gate *gate = data;

  (void) sink;
  (void) pad;
  g_mutex_lock (&gate->lock);
  g_string_append_printf (gate->offsets, "%" G_GUINT64_FORMAT " ",
                          GST_BUFFER_OFFSET (buffer));
  g_cond_broadcast (&gate->changed);
  while (!gate->open)
    g_cond_wait (&gate->changed, &gate->lock);
  g_mutex_unlock (&gate->lock);
}

static void
wait_at_gate (Gate *gate)
{
  g_mutex_lock (&gate->lock);
  while (gate->offsets->len == 0)
    g_cond_wait (&gate->changed, &gate->lock);
  g_mutex_unlock (&gate->lock);
}

static void
open_gate (Gate *gate)
{
  g_mutex_lock (&gate->lock);
  gate->open = TRUE;
  g_cond_broadcast (&gate->changed);
  g_mutex_unlock (&gate->lock);
}

/* Waits until @source has received it, and so has got rid of the one before. */
static void
send_offset (NdshWriter *writer, GstElement *source, guint64 offset)
{
  const NdshFrameInfo info = { .timestamp_ns = -1, .duration_ns = -1, .offset = offset };
  NdshArrayInfo array = ndsh_test_bytes (100);
  g_autoptr (NdshDraft) draft = ndsh_writer_begin (writer, &array, 1, NULL);

  g_assert_cmpuint (ndsh_draft_publish (draft, &info), >, 0);
  while (elements_get_stat (source, "frames-received") <= offset)
    g_usleep (1000);
}

GST_START_TEST (a_queue_behind_it_drops_the_new_as_leaky_type_upstream_would)
{
  NdshWriter *writer = ndsh_test_writer (NULL);
  GstElement *pipeline = elements_launch (
    "ndshsrc name=src channel=test ! queue leaky=upstream max-size-buffers=4 "
    "max-size-bytes=0 max-size-time=0 ! fakesink name=gate sync=false "
    "signal-handoffs=true");
  GstElement *source = elements_find (pipeline, "src");
  Gate gate = { .offsets = g_string_new (NULL) };

  g_mutex_init (&gate.lock);
  g_cond_init (&gate.changed);
  g_signal_connect (elements_find (pipeline, "gate"), "handoff",
                    G_CALLBACK (on_gate_handoff), &gate);
  elements_play (pipeline);
  send_offset (writer, source, 0);
  wait_at_gate (&gate);
  for (guint64 i = 1; i <= 9; i++)
    send_offset (writer, source, i);
  open_gate (&gate);
  ndsh_writer_end (writer);
  elements_wait_eos (pipeline);

  /* The last may have come when the gate was open. */
  if (g_str_has_suffix (gate.offsets->str, "9 "))
    g_string_truncate (gate.offsets, gate.offsets->len - 2);
  g_assert_cmpstr (gate.offsets->str, ==, "0 1 2 3 4 ");
  g_assert_cmpuint (elements_get_stat (source, "frames-copied"), ==, 0);
  elements_stop (pipeline);
  ndsh_writer_free (writer);
  g_string_free (gate.offsets, TRUE);
  g_mutex_clear (&gate.lock);
  g_cond_clear (&gate.changed);
}
GST_END_TEST

/* So upstream, which is 1 there, can still come. */
GST_START_TEST (leaky_types_have_the_numbers_that_appsrc_gives_them)
{
  GstElement *source = gst_element_factory_make ("ndshsrc", NULL);
  gint leaky;

  g_object_get (source, "leaky-type", &leaky, NULL);
  g_assert_cmpint (leaky, ==, 2);
  gst_util_set_object_arg (G_OBJECT (source), "leaky-type", "none");
  g_object_get (source, "leaky-type", &leaky, NULL);
  g_assert_cmpint (leaky, ==, 0);
  gst_object_unref (source);
}
GST_END_TEST

/* As those of a source in the same process would be. */
GST_START_TEST (caps_and_latency_are_there_before_the_pipeline_plays)
{
  Link *link = link_new ("sync=false", "", CAPS, TRUE);
  GstElement *pipeline = elements_launch ("ndshsrc name=src ! fakesink");
  GstElement *src = elements_find (pipeline, "src");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (src, "src");
  GstBuffer *buffer = elements_buffer_new (SIZE, 1);
  GstQuery *query = gst_query_new_latency ();
  GstClockTime least, most;
  GstCaps *caps = NULL;
  gboolean live;

  GST_BUFFER_DURATION (buffer) = 40 * GST_MSECOND;
  gst_buffer_unref (link_pass (link, buffer));
  g_assert_cmpint (gst_element_set_state (pipeline, GST_STATE_PAUSED), ==,
                   GST_STATE_CHANGE_NO_PREROLL);
  while ((caps = gst_pad_get_current_caps (pad)) == NULL)
    g_usleep (1000);
  g_assert_true (gst_structure_has_name (gst_caps_get_structure (caps, 0),
                                         "video/x-raw"));
  gst_caps_unref (caps);
  while (!gst_pad_query (pad, query))
    g_usleep (1000);
  gst_query_parse_latency (query, &live, &least, &most);
  g_assert_true (live);
  g_assert_cmpuint (least, ==, 0);
  /* So many frames can wait here, each as long as the one that was published. */
  g_assert_true (GST_CLOCK_TIME_IS_VALID (most));
  g_assert_cmpuint (most, >, 0);
  g_assert_cmpuint (most % (40 * GST_MSECOND), ==, 0);
  gst_query_unref (query);
  elements_stop (pipeline);
  link_free (link);
}
GST_END_TEST

GST_START_TEST (nobody_is_asked_for_a_pool_without_caps)
{
  GstElement *pipeline = elements_launch ("ndshsrc ! fakevideosink");
  GstHarness *sink;

  if (pipeline == NULL)
    return;
  /* A critical message would fail this. */
  elements_play (pipeline);
  sink = elements_harness_new ("ndshsink", "sync=false");
  elements_wait_readers (sink->element, 1);
  elements_stop (pipeline);
  gst_harness_teardown (sink);
}
GST_END_TEST

/* As a program does that is interrupted: it never stops the pipeline. */
static void
drop (GstElement *pipeline)
{
  GstBus *bus = gst_element_get_bus (pipeline);

  gst_bus_set_flushing (bus, TRUE);
  gst_object_unref (bus);
  ASSERT_CRITICAL (gst_object_unref (pipeline));
}

GST_START_TEST (a_pipeline_may_be_dropped_while_it_waits_for_a_writer)
{
  for (gint i = 1; i <= 20; i++) {
    GstElement *pipeline = elements_launch ("ndshsrc name=src ! fakesink");
    GstElement *source = elements_find (pipeline, "src");

    elements_play (pipeline);
    gst_message_unref (elements_wait_message (pipeline, GST_MESSAGE_INFO));
    g_object_add_weak_pointer (G_OBJECT (source), (gpointer *) &source);
    drop (pipeline);
    while (g_atomic_pointer_get (&source) != NULL)
      g_thread_yield ();
  }
}
GST_END_TEST

GST_START_TEST (properties_are_kept)
{
  elements_assert_properties_are_kept ("ndshsrc");
}
GST_END_TEST

/* --- Finding a channel --- */

GST_START_TEST (a_uri_names_a_channel_and_properties)
{
  g_autoptr (GError) error = NULL;
  GstElement *source = gst_element_make_from_uri (
    GST_URI_SRC, "ndsh://my%20cam?max-buffers=3&max-rate=5/2&leaky-type=none", NULL, &error);
  g_autofree char *channel = NULL, *uri = NULL;
  guint max_buffers;
  gint leaky;

  g_assert_no_error (error);
  gst_object_ref_sink (source);
  g_object_get (source, "channel", &channel, "max-buffers", &max_buffers, "leaky-type",
                &leaky, NULL);
  uri = gst_uri_handler_get_uri (GST_URI_HANDLER (source));
  g_assert_cmpstr (channel, ==, "my cam");
  g_assert_cmpuint (max_buffers, ==, 3);
  g_assert_cmpint (leaky, ==, 0);
  g_assert_cmpstr (uri, ==, "ndsh://my%20cam");
  g_assert_true (gst_uri_handler_set_uri (GST_URI_HANDLER (source), "ndsh:///run/x", NULL));
  g_clear_pointer (&channel, g_free);
  g_object_get (source, "channel", &channel, NULL);
  g_assert_cmpstr (channel, ==, "/run/x");
  gst_object_unref (source);
}
GST_END_TEST

GST_START_TEST (a_uri_that_cannot_be_says_what_is_wrong)
{
  static const char *const uris[] = { "ndsh://", "ndsh://?max-rate=1", "ndsh://a?b",
                                      "ndsh://a?no-such-property=1", "ndsh://a?stats=1",
                                      "ndsh://a?max-rate=abc", "ndsh://a?leaky-type=foo",
                                      "ndsh://a?max-buffers=99", "ndsh://a?max-rate=",
                                      "ndsh://%zz" };

  for (guint i = 0; i < G_N_ELEMENTS (uris); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (gst_element_make_from_uri (GST_URI_SRC, uris[i], NULL, &error));
    g_assert_error (error, GST_URI_ERROR, GST_URI_ERROR_BAD_URI);
    g_assert_nonnull (strstr (error->message, uris[i]));
  }
}
GST_END_TEST

GST_START_TEST (channels_are_devices)
{
  GstDeviceProvider *provider
    = gst_device_provider_factory_get_by_name ("ndshdeviceprovider");
  GstHarness *sink = elements_harness_new ("ndshsink", "channel=test");
  NdshWriter *silent = ndsh_writer_new ("silent", NULL, NULL);
  g_autofree char *name = NULL, *channel = NULL;
  g_autoptr (GstCaps) caps = NULL, expected = gst_caps_from_string (CAPS);
  g_autoptr (GstCaps) silent_caps = NULL;
  GstElement *source;
  GList *devices;

  gst_harness_set_src_caps_str (sink, CAPS);
  gst_harness_push (sink, elements_buffer_new (SIZE, 1));
  devices = gst_device_provider_get_devices (provider);
  g_assert_cmpuint (g_list_length (devices), ==, 2);
  silent_caps = gst_device_get_caps (devices->data);
  g_assert_true (gst_caps_is_any (silent_caps));        /* it says nothing yet */
  g_assert_true (gst_device_has_classes (devices->data, "Source"));
  gst_object_unref (devices->data);
  devices = g_list_delete_link (devices, devices);
  name = gst_device_get_display_name (devices->data);
  caps = gst_device_get_caps (devices->data);
  source = gst_device_create_element (devices->data, NULL);
  gst_object_ref_sink (source);
  g_object_get (source, "channel", &channel, NULL);

  g_assert_cmpstr (name, ==, "test");
  g_assert_cmpstr (channel, ==, "test");
  g_assert_true (gst_caps_is_equal (caps, expected));
  g_assert_true (gst_device_has_classes (devices->data, "Video/Source"));
  gst_object_unref (source);
  g_list_free_full (devices, gst_object_unref);
  gst_object_unref (provider);
  ndsh_writer_free (silent);
  gst_harness_teardown (sink);
}
GST_END_TEST

/* --- What an application hears --- */

/* What the writer takes its one reader for. */
static gboolean
is_read_as (GstElement *sink, const char *mode)
{
  g_autofree char *wanted = g_strdup_printf ("mode\\=\\(string\\)%s", mode);
  g_autofree char *text = NULL;
  GstStructure *stats;

  g_object_get (sink, "stats", &stats, NULL);
  text = gst_structure_to_string (stats);
  gst_structure_free (stats);
  return strstr (text, wanted) != NULL;
}

static void
pass_numbers (Link *link, guint first, guint last)
{
  for (guint n = first; n <= last; n++) {
    GstBuffer *wanted = elements_buffer_new (SIZE, n);
    GstBuffer *arrived = link_pass (link, elements_buffer_new (SIZE, n));

    elements_assert_equal_bytes (wanted, arrived);
    gst_buffer_unref (wanted);
    gst_buffer_unref (arrived);
  }
}

static void
on_overrun (GstElement *queue, Trap *trap)
{
  (void) queue;
  g_mutex_lock (&trap->lock);
  trap->caught = TRUE;
  g_cond_broadcast (&trap->changed);
  g_mutex_unlock (&trap->lock);
}

/* They are published all at once, and there are more than are kept for a reader. */
GST_START_TEST (what_a_queue_held_before_a_reader_came_is_not_lost)
{
  GstElement *writer = elements_launch (
    "audiotestsrc num-buffers=300 samplesperbuffer=480 ! queue name=queue "
    "max-size-buffers=100 ! ndshsink channel=test wait-for-connection=true sync=false");
  GstElement *reader
    = elements_launch ("ndshsrc name=src channel=test leaky-type=none ! fakesink");
  Trap trap = { .caught = FALSE };

  g_signal_connect (elements_find (writer, "queue"), "overrun", G_CALLBACK (on_overrun),
                    &trap);
  elements_play (writer);
  g_mutex_lock (&trap.lock);
  while (!trap.caught)
    g_cond_wait (&trap.changed, &trap.lock);
  g_mutex_unlock (&trap.lock);
  elements_play (reader);
  elements_wait_eos (reader);
  g_assert_cmpuint (elements_get_stat (elements_find (reader, "src"), "frames-received"),
                    ==, 300);
  elements_stop (reader);
  elements_stop (writer);
}
GST_END_TEST

/* Its encoder says of each that it is none by itself. */
GST_START_TEST (images_are_whole_whatever_their_flags_say)
{
  Link *link = link_new ("sync=false", "", "image/png,width=16,height=16,framerate=30/1",
                         TRUE);
  GstBuffer *buffer = elements_buffer_new (SIZE, 1);

  GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_DELTA_UNIT);
  gst_buffer_unref (link_pass (link, buffer));
  link_free (link);
}
GST_END_TEST

/* Until the writer says that this is the most that somebody wants. */
static void
wait_rate (GstElement *writer, gint wanted_n, gint wanted_d)
{
  gint n = -1, d = -1;

  while (n != wanted_n || d != wanted_d) {
    g_autoptr (GstMessage) message = elements_wait_message (writer, GST_MESSAGE_ELEMENT);

    if (gst_message_has_name (message, "GstNdshSinkReaders"))
      g_assert_true (gst_structure_get_fraction (gst_message_get_structure (message),
                                                 "max-rate", &n, &d));
  }
}

GST_START_TEST (a_writer_knows_the_largest_rate_that_is_wanted)
{
  GstElement *writer = elements_launch ("videotestsrc is-live=true ! ndshsink channel=test");
  GstElement *slow
    = elements_launch ("ndshsrc name=src channel=test max-rate=25/2 ! fakesink");
  GstElement *fast = elements_launch ("ndshsrc channel=test ! fakesink");

  elements_play (slow);
  elements_play (writer);
  wait_rate (writer, 25, 2);
  gst_util_set_object_arg (G_OBJECT (elements_find (slow, "src")), "max-rate", "30000/1001");
  wait_rate (writer, 2997, 100);
  elements_play (fast);
  wait_rate (writer, G_MAXINT, 1);
  elements_stop (fast);
  wait_rate (writer, 2997, 100);
  elements_stop (slow);
  wait_rate (writer, 0, 1);
  elements_stop (writer);
}
GST_END_TEST

/* Until the writer says so, which is the last size that it was told of. */
static void
wait_size (GstElement *writer, gint wanted_width, gint wanted_height)
{
  gint width = -1, height = -1;

  while (width != wanted_width || height != wanted_height) {
    g_autoptr (GstMessage) message = elements_wait_message (writer, GST_MESSAGE_ELEMENT);
    const GstStructure *structure = gst_message_get_structure (message);

    if (!gst_message_has_name (message, "GstNdshSinkReaders"))
      continue;
    g_assert_true (gst_structure_get_int (structure, "max-width", &width));
    g_assert_true (gst_structure_get_int (structure, "max-height", &height));
  }
  g_object_get (elements_find (writer, "sink"), "max-width", &width, "max-height", &height,
                NULL);
  g_assert_cmpint (width, ==, wanted_width);
  g_assert_cmpint (height, ==, wanted_height);
}

static void
count_notify (GObject *object, GParamSpec *pspec, gpointer count)
{
  (void) object;
  (void) pspec;
  g_atomic_int_inc ((gint *) count);
}

GST_START_TEST (a_writer_knows_the_largest_size_that_is_wanted)
{
  GstElement *writer
    = elements_launch ("videotestsrc is-live=true ! ndshsink name=sink channel=test");
  GstElement *flat = elements_launch (
    "ndshsrc name=src channel=test max-width=320 max-height=240 ! fakesink");
  GstElement *high
    = elements_launch ("ndshsrc channel=test max-width=64 max-height=480 ! fakesink");
  GstElement *any = elements_launch ("ndshsrc channel=test max-width=64 ! fakesink");
  gint n_widths = 0;

  g_signal_connect (elements_find (writer, "sink"), "notify::max-width",
                    G_CALLBACK (count_notify), &n_widths);
  elements_play (flat);
  elements_play (writer);
  wait_size (writer, 320, 240);
  elements_play (high);
  wait_size (writer, 320, 480);
  elements_play (any);
  wait_size (writer, 320, G_MAXINT);
  elements_stop (any);
  wait_size (writer, 320, 480);
  g_object_set (elements_find (flat, "src"), "max-width", 0, NULL);
  wait_size (writer, G_MAXINT, 480);
  elements_stop (high);
  elements_stop (flat);
  wait_size (writer, 0, 0);
  elements_stop (writer);
  /* To nothing, 320, any number and nothing, and once more if the wish came later than
   * the reader. */
  g_assert_cmpint (g_atomic_int_get (&n_widths), >=, 3);
}
GST_END_TEST

/* What a camera service does: its bus handler, in the thread that posts. */
static GstBusSyncReply
follow_size (GstBus *bus, GstMessage *message, gpointer filter)
{
  const GstStructure *structure = gst_message_get_structure (message);
  gint width, height;

  (void) bus;
  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ELEMENT
      && gst_structure_get_int (structure, "max-width", &width)
      && gst_structure_get_int (structure, "max-height", &height) && width > 0) {
    g_autoptr (GstCaps) caps
      = gst_caps_new_simple ("video/x-raw", "width", G_TYPE_INT, MIN (width, 640), "height",
                             G_TYPE_INT, MIN (height, 480), NULL);

    g_object_set (filter, "caps", caps, NULL);
  }
  return GST_BUS_PASS;
}

static void
wait_caps (GstElement *sink, gint wanted)
{
  g_autoptr (GstPad) pad = gst_element_get_static_pad (sink, "sink");
  gint width = 0;

  while (width != wanted) {
    g_autoptr (GstCaps) caps = gst_pad_get_current_caps (pad);

    if (caps == NULL
        || !gst_structure_get_int (gst_caps_get_structure (caps, 0), "width", &width))
      g_usleep (1000);
  }
}

GST_START_TEST (a_camera_can_follow_the_size_that_is_wanted)
{
  GstElement *writer = elements_launch (
    "videotestsrc is-live=true ! capsfilter name=filter ! ndshsink channel=test");
  GstElement *small = elements_launch (
    "ndshsrc channel=test max-width=160 max-height=120 ! fakesink name=sink");
  GstElement *large = elements_launch ("ndshsrc channel=test ! fakesink name=sink");
  g_autoptr (GstBus) bus = gst_element_get_bus (writer);

  gst_bus_set_sync_handler (bus, follow_size, elements_find (writer, "filter"), NULL);
  elements_play (small);
  elements_play (writer);
  wait_caps (elements_find (small, "sink"), 160);
  elements_play (large);
  wait_caps (elements_find (small, "sink"), 640);
  wait_caps (elements_find (large, "sink"), 640);
  elements_stop (large);
  wait_caps (elements_find (small, "sink"), 160);
  elements_stop (small);
  elements_stop (writer);
}
GST_END_TEST

/* The next frame is taken as it was before: the streaming thread waits for it. */
GST_START_TEST (what_is_lost_may_change_while_it_plays)
{
  Link *link = link_new ("sync=false", "max-buffers=1", CAPS, TRUE);
  g_autoptr (GstBus) bus = gst_bus_new (), sink_bus = gst_bus_new ();

  gst_element_set_bus (link->src->element, bus);
  gst_element_set_bus (link->sink->element, sink_bus);
  pass_numbers (link, 1, 2);
  g_assert_true (is_read_as (link->sink->element, "latest"));
  gst_util_set_object_arg (G_OBJECT (link->src->element), "leaky-type", "none");
  pass_numbers (link, 3, 5);
  g_assert_true (is_read_as (link->sink->element, "lossless"));
  g_object_set (link->src->element, "max-buffers", 5, NULL);
  gst_util_set_object_arg (G_OBJECT (link->src->element), "leaky-type", "downstream");
  pass_numbers (link, 6, 8);
  g_assert_true (is_read_as (link->sink->element, "queue"));

  g_assert_cmpuint (elements_get_stat (link->src->element, "frames-missed"), ==, 0);
  g_assert_null (gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR | GST_MESSAGE_WARNING));
  /* Nobody came or went. */
  g_assert_null (gst_bus_pop_filtered (sink_bus, GST_MESSAGE_ELEMENT));
  gst_element_set_bus (link->src->element, NULL);
  gst_element_set_bus (link->sink->element, NULL);
  link_free (link);
}
GST_END_TEST

static void
publish_picture (NdshWriter *writer)
{
  const gsize shape[] = { 48, 64, 3 };
  g_autoptr (NdshDraft) draft = NULL;
  NdshArrayInfo array;

  g_assert_true (ndsh_array_info_init (&array, NDSH_DTYPE_UINT8, 3, shape));
  draft = ndsh_writer_begin (writer, &array, 1, NULL);
  g_assert_cmpuint (ndsh_draft_publish (draft, NULL), >, 0);
}

GST_START_TEST (arrays_without_caps_get_those_of_array_caps)
{
  NdshWriterOptions options = { .history = 1 };
  NdshWriter *writer = ndsh_test_writer (&options);
  GstElement *pipeline = elements_launch (
    "ndshsrc name=src channel=test array-caps=video/x-raw,format=BGR num-buffers=1 ! "
    "videoconvert ! video/x-raw,format=I420,width=64,height=48 ! fakesink");

  publish_picture (writer);
  elements_play (pipeline);
  elements_wait_eos (pipeline);
  elements_stop (pipeline);
  ndsh_writer_free (writer);
}
GST_END_TEST

GST_START_TEST (arrays_that_cannot_be_what_array_caps_says_are_an_error)
{
  NdshWriterOptions options = { .history = 1 };
  NdshWriter *writer = ndsh_test_writer (&options);
  GstElement *pipeline = elements_launch (
    "ndshsrc name=src channel=test array-caps=video/x-raw,format=BGRx ! fakesink");

  publish_picture (writer);
  elements_play (pipeline);
  elements_wait_error (pipeline, "src", GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
                       "array-caps");
  elements_stop (pipeline);
  ndsh_writer_free (writer);
}
GST_END_TEST

/* A reader that takes longer for each frame than its writer. */
GST_START_TEST (losses_are_told_and_counted)
{
  GstElement *writer = elements_launch (
    "videotestsrc is-live=true ! video/x-raw,width=16,height=16,framerate=500/1 ! "
    "ndshsink channel=test");
  GstElement *reader = elements_launch (
    "ndshsrc channel=test max-buffers=1 ! identity sleep-time=20000 ! fakesink");
  guint64 sum = 0, dropped, missed = 0, skipped;

  elements_play (reader);
  elements_play (writer);
  for (guint i = 0; i < 2; i++) {
    g_autoptr (GstMessage) message = NULL;
    const GstStructure *structure;

    while (message == NULL
           || !gst_message_has_name (message, "GstNdshSrcFramesDropped")) {
      g_clear_pointer (&message, gst_message_unref);
      message = elements_wait_message (reader, GST_MESSAGE_ELEMENT);
    }
    structure = gst_message_get_structure (message);
    g_assert_cmpstr (gst_structure_get_string (structure, "channel"), ==, "test");
    g_assert_true (gst_structure_get_uint64 (structure, "dropped", &dropped));
    g_assert_true (gst_structure_get_uint64 (structure, "frames-missed", &missed));
    g_assert_true (gst_structure_get_uint64 (structure, "frames-skipped", &skipped));
    g_assert_cmpuint (dropped, >, 0);
    sum += dropped;
    g_assert_cmpuint (sum, ==, missed + skipped);
  }
  elements_stop (writer);
  elements_stop (reader);
}
GST_END_TEST

static guint64
wait_losses (GstElement *reader)
{
  g_autoptr (GstMessage) message = NULL;
  guint64 dropped;

  while (message == NULL || !gst_message_has_name (message, "GstNdshSrcFramesDropped")) {
    g_clear_pointer (&message, gst_message_unref);
    message = elements_wait_message (reader, GST_MESSAGE_ELEMENT | GST_MESSAGE_EOS);
    g_assert_cmpint (GST_MESSAGE_TYPE (message), !=, GST_MESSAGE_EOS);
  }
  g_assert_true (gst_structure_get_uint64 (gst_message_get_structure (message), "dropped",
                                           &dropped));
  return dropped;
}

static guint64
count_losses (GstElement *source)
{
  return elements_get_stat (source, "frames-missed")
         + elements_get_stat (source, "frames-skipped");
}

typedef enum { WITH_EOS, WITH_SILENCE, WITH_READY } End;

/* More is lost within a second of the message about what was lost first. */
static void
lose_frames_and_end (End end)
{
  NdshWriter *writer = ndsh_test_writer (NULL);
  GstElement *reader = elements_launch (
    "ndshsrc name=src channel=test max-buffers=1 ! identity sleep-time=20000 ! "
    "fakesink sync=false");
  GstElement *source = elements_find (reader, "src");
  guint64 told;

  elements_play (reader);
  elements_wait_property (source, "connected");
  ndsh_test_publish (writer, 100, 50);
  told = wait_losses (reader);
  ndsh_test_publish (writer, 100, 50);
  if (end == WITH_EOS)
    ndsh_writer_end (writer);
  if (end == WITH_READY) {
    while (count_losses (source) == told)
      g_thread_yield ();
    gst_element_set_state (reader, GST_STATE_READY);
  }
  told += wait_losses (reader);
  g_assert_cmpuint (told, ==, count_losses (source));
  elements_stop (reader);
  ndsh_writer_free (writer);
}

GST_START_TEST (what_is_lost_last_is_told_whatever_comes_then)
{
  lose_frames_and_end (WITH_EOS);
  lose_frames_and_end (WITH_SILENCE);
  lose_frames_and_end (WITH_READY);
}
GST_END_TEST

/* What a writer has left is read as it was published for this reader. */
GST_START_TEST (a_mode_that_changes_when_the_writer_has_gone_is_not_lost)
{
  NdshWriter *writer = ndsh_test_writer (NULL);
  GstElement *reader
    = elements_launch ("ndshsrc name=src channel=test max-buffers=8 ! fakesink sync=false");
  GstElement *source = elements_find (reader, "src");
  gboolean is_next = FALSE;

  elements_play (reader);
  elements_wait_property (source, "connected");
  ndsh_test_publish (writer, 100, 1);
  while (elements_get_stat (source, "frames-received") == 0)
    g_thread_yield ();
  gst_element_set_state (reader, GST_STATE_PAUSED);
  ndsh_test_publish (writer, 100, 3);
  ndsh_writer_free (writer);
  gst_util_set_object_arg (G_OBJECT (source), "leaky-type", "none");
  wait_element_message (reader, "GstNdshSrcConnected");
  elements_play (reader);
  wait_element_message (reader, "GstNdshSrcDisconnected");
  writer = ndsh_test_writer (NULL);
  while (!is_next) {
    g_autoptr (GstMessage) message = elements_wait_message (reader, GST_MESSAGE_ELEMENT);

    g_assert_false (gst_message_has_name (message, "GstNdshSrcModeLost"));
    is_next = gst_message_has_name (message, "GstNdshSrcConnected");
  }
  elements_stop (reader);
  ndsh_writer_free (writer);
}
GST_END_TEST

GST_START_TEST (silence_is_told_of_each_time)
{
  GstElement *pipeline
    = elements_launch ("ndshsrc channel=test timeout=20000000 ! fakesink");
  NdshWriter *writer;

  elements_play (pipeline);
  wait_element_message (pipeline, "GstNdshSrcTimeout");
  wait_element_message (pipeline, "GstNdshSrcTimeout");
  writer = ndsh_test_writer (NULL);
  wait_element_message (pipeline, "GstNdshSrcConnected");
  wait_element_message (pipeline, "GstNdshSrcTimeout");
  wait_element_message (pipeline, "GstNdshSrcTimeout");
  ndsh_writer_free (writer);
  wait_element_message (pipeline, "GstNdshSrcDisconnected");
  elements_stop (pipeline);
}
GST_END_TEST

/* A writer of @n frames of 30 a second, each some milliseconds early or late, that ends. */
static gpointer
write_unsteadily (gpointer data)
{
  static const gint jitter_ms[] = { 0, 3, -3, 2, -2, 0, 1, -3 };
  g_autoptr (NdshWriter) writer = data;

  ndsh_writer_set_description (writer, OTHER_CAPS, NULL);
  for (guint i = 0; i < 40; i++) {
    const gsize shape[] = { 16, 32 };
    NdshFrameInfo info = { .timestamp_ns = (gint64) GST_SECOND + i * (gint64) GST_SECOND / 30
                                           + jitter_ms[i % 8] * (gint64) GST_MSECOND,
                           .duration_ns = -1,
                           .offset = G_MAXUINT64 };
    g_autoptr (NdshDraft) draft = NULL;
    NdshArrayInfo array;

    ndsh_array_info_init (&array, NDSH_DTYPE_UINT8, 2, shape);
    draft = ndsh_writer_begin (writer, &array, 1, NULL);
    ndsh_draft_publish (draft, &info);
  }
  ndsh_writer_end (writer);
  return NULL;
}

static guint
count_at_rate (const char *max_rate)
{
  NdshWriterOptions options = { .lossless_timeout_us = G_MAXINT64 };
  GstHarness *src = elements_harness_new ("ndshsrc", max_rate);
  NdshWriter *writer = ndsh_test_writer (&options);
  GThread *thread;
  gboolean is_over = FALSE;
  guint n;

  gst_harness_play (src);
  while (ndsh_writer_get_readers (writer, NULL, 0) == 0)
    g_thread_yield ();
  thread = g_thread_new ("writes", write_unsteadily, writer);
  while (!is_over) {
    GstEvent *event = gst_harness_pull_event (src);

    is_over = GST_EVENT_TYPE (event) == GST_EVENT_EOS;
    gst_event_unref (event);
  }
  n = gst_harness_buffers_received (src);
  g_thread_join (thread);
  gst_harness_teardown (src);
  return n;
}

GST_START_TEST (a_rate_has_its_most)
{
#define AT(rate) "channel=test leaky-type=none is-live=false max-rate=" rate
  g_assert_cmpuint (count_at_rate (AT ("0")), ==, 40);
  g_assert_cmpuint (count_at_rate (AT ("30")), ==, 40);
  g_assert_cmpuint (count_at_rate (AT ("15")), ==, 20);
  g_assert_cmpuint (count_at_rate (AT ("10/1")), ==, 14);
  g_assert_cmpuint (count_at_rate (AT ("1/2")), ==, 1);
#undef AT
}
GST_END_TEST

static Suite *
src_suite (void)
{
  Suite *suite = suite_create ("src");
  TCase *tcase = elements_case_new (suite, "src");

  tcase_add_test (tcase, times_offsets_and_flags_survive);
  tcase_add_test (tcase, what_is_unknown_stays_unknown);
  tcase_add_test (tcase, the_segment_is_time);
  tcase_add_test (tcase, what_arrives_cannot_be_written);
  tcase_add_test (tcase, new_caps_arrive_before_their_first_frame);
  tcase_add_test (tcase, queued_frames_keep_the_caps_they_were_sent_with);
  tcase_add_test (tcase, leaky_type_and_max_buffers_choose_the_mode);
  tcase_add_test (tcase, lossless_delivers_every_frame);
  tcase_add_test (tcase, the_last_lease_is_copied_so_that_the_stream_goes_on);
  tcase_add_test (tcase, a_gap_is_discont);
  tcase_add_test (tcase, the_end_of_the_stream_arrives_after_the_last_frame);
  tcase_add_test (tcase, a_second_stream_follows_the_end_of_the_first);
  tcase_add_test (tcase, a_pipeline_may_be_dropped_while_it_waits_for_a_writer);
  tcase_add_test (tcase, a_source_waits_for_the_next_writer);
  tcase_add_test (tcase, a_lost_writer_can_mean_the_end);
  tcase_add_test (tcase, a_lost_writer_can_be_an_error);
  tcase_add_test (tcase, a_live_source_needs_no_writer_to_play);
  tcase_add_test (tcase, a_source_without_a_writer_stops_promptly);
  tcase_add_test (tcase, names_that_cannot_be_are_errors);
  tcase_add_test (tcase, the_channel_does_not_change_while_it_is_open);
  tcase_add_test (tcase, times_start_at_0_if_not_live);
  tcase_add_test (tcase, frames_of_a_program_become_buffers);
  tcase_add_test (tcase, caps_that_downstream_does_not_take_are_told_with_its_own);
  tcase_add_test (tcase, a_reader_that_may_lose_frames_against_its_wish_is_told);
  tcase_add_test (tcase, times_of_another_clock_are_told_of);
  tcase_add_test (tcase, a_queue_behind_it_drops_the_new_as_leaky_type_upstream_would);
  tcase_add_test (tcase, leaky_types_have_the_numbers_that_appsrc_gives_them);
  tcase_add_test (tcase, caps_and_latency_are_there_before_the_pipeline_plays);
  tcase_add_test (tcase, nobody_is_asked_for_a_pool_without_caps);
  tcase_add_test (tcase, properties_are_kept);
  tcase_add_test (tcase, a_uri_names_a_channel_and_properties);
  tcase_add_test (tcase, a_uri_that_cannot_be_says_what_is_wrong);
  tcase_add_test (tcase, channels_are_devices);
  tcase_add_test (tcase, what_is_lost_last_is_told_whatever_comes_then);
  tcase_add_test (tcase, a_mode_that_changes_when_the_writer_has_gone_is_not_lost);
  tcase_add_test (tcase, silence_is_told_of_each_time);
  tcase_add_test (tcase, losses_are_told_and_counted);
  tcase_add_test (tcase, what_a_queue_held_before_a_reader_came_is_not_lost);
  tcase_add_test (tcase, images_are_whole_whatever_their_flags_say);
  tcase_add_test (tcase, a_writer_knows_the_largest_rate_that_is_wanted);
  tcase_add_test (tcase, a_writer_knows_the_largest_size_that_is_wanted);
  tcase_add_test (tcase, a_camera_can_follow_the_size_that_is_wanted);
  tcase_add_test (tcase, what_is_lost_may_change_while_it_plays);
  tcase_add_test (tcase, arrays_without_caps_get_those_of_array_caps);
  tcase_add_test (tcase, arrays_that_cannot_be_what_array_caps_says_are_an_error);
  tcase_add_test (tcase, a_rate_has_its_most);
  return suite;
}

GST_CHECK_MAIN (src)
