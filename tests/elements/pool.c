/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The pool that ndshsink offers, as elements of other people use it; and what is left
 * of it when states change and streams begin anew. */
#include "elements.h"

#include <string.h>

#define PICTURE "video/x-raw,format=I420,width=100,height=50,framerate=30/1"

static GstElement *
sink_new (const char *properties)
{
  g_autofree char *line = g_strdup_printf ("ndshsink %s", properties);
  GstElement *sink = gst_parse_launch (line, NULL);

  gst_object_ref_sink (sink);
  g_assert_cmpint (gst_element_set_state (sink, GST_STATE_PAUSED), !=,
                   GST_STATE_CHANGE_FAILURE);
  return sink;
}

static void
sink_free (GstElement *sink)
{
  gst_element_set_state (sink, GST_STATE_NULL);
  gst_object_unref (sink);
}

static GstBufferPool *
take_pool (GstElement *sink, const char *text)
{
  g_autoptr (GstCaps) caps = gst_caps_from_string (text);

  return elements_take_pool (sink, caps);
}

static void
free_pool (GstBufferPool *pool)
{
  gst_buffer_pool_set_active (pool, FALSE);
  gst_object_unref (pool);
}

static gboolean
configure (GstBufferPool *pool, guint padding)
{
  GstStructure *config = gst_buffer_pool_get_config (pool);
  GstVideoAlignment alignment;

  gst_video_alignment_reset (&alignment);
  alignment.padding_right = padding;
  alignment.padding_bottom = 6;
  for (guint i = 0; i < GST_VIDEO_MAX_PLANES; i++)
    alignment.stride_align[i] = 63;
  gst_buffer_pool_config_add_option (config, GST_BUFFER_POOL_OPTION_VIDEO_META);
  gst_buffer_pool_config_add_option (config,
                                     GST_BUFFER_POOL_OPTION_VIDEO_ALIGNMENT);
  gst_buffer_pool_config_set_video_alignment (config, &alignment);
  return gst_buffer_pool_set_config (pool, config);
}

static void
set_no_caps (GstBufferPool *pool)
{
  GstStructure *config = gst_buffer_pool_get_config (pool);

  gst_buffer_pool_config_set_params (config, NULL, 100, 0, 0);
  g_assert_false (gst_buffer_pool_set_config (pool, config));
}

/* --- Configurations ------------------------------------------------------- */

GST_START_TEST (an_alignment_is_that_of_the_buffers)
{
  GstElement *sink = sink_new ("");
  GstBufferPool *pool = take_pool (sink, PICTURE);
  GstVideoMeta *meta;
  GstBuffer *buffer;

  gst_buffer_pool_set_active (pool, FALSE);
  g_assert_true (configure (pool, 28));
  gst_buffer_pool_set_active (pool, TRUE);
  buffer = elements_acquire (pool);
  meta = gst_buffer_get_video_meta (buffer);

  g_assert_cmpint (meta->stride[0], ==, 128);
  g_assert_cmpint (meta->stride[1] % 64, ==, 0);
  g_assert_cmpuint (meta->offset[1], >=, 128 * 56);
  g_assert_cmpuint (gst_buffer_get_size (buffer), >=,
                    meta->offset[2] + (gsize) meta->stride[2] * 25);
  gst_buffer_unref (buffer);
  free_pool (pool);
  sink_free (sink);
}
GST_END_TEST

/* The base class keeps a refused configuration and takes it the second time without
 * asking: it must be one that can be. */
GST_START_TEST (a_refused_configuration_does_no_harm_the_second_time)
{
  GstElement *sink = sink_new ("");
  GstBufferPool *pool = take_pool (sink, PICTURE);
  GstBuffer *buffer;

  gst_buffer_pool_set_active (pool, FALSE);
  g_assert_false (configure (pool, G_MAXINT32));
  configure (pool, G_MAXINT32);
  g_assert_true (configure (pool, 0));
  g_assert_true (gst_buffer_pool_set_active (pool, TRUE));
  buffer = elements_acquire (pool);

  g_assert_cmpuint (gst_buffer_get_size (buffer), >=, 100 * 50 * 3 / 2);
  gst_buffer_unref (buffer);
  free_pool (pool);
  sink_free (sink);
}
GST_END_TEST

GST_START_TEST (a_configuration_without_caps_is_refused)
{
  GstElement *sink = sink_new ("");
  GstBufferPool *pool = take_pool (sink, PICTURE);

  gst_buffer_pool_set_active (pool, FALSE);
  set_no_caps (pool);

  free_pool (pool);
  sink_free (sink);
}
GST_END_TEST

/* --- What outlives what --------------------------------------------------- */

GST_START_TEST (buffers_and_pool_outlive_the_sink)
{
  GstElement *sink = sink_new ("");
  GstBufferPool *pool = take_pool (sink, PICTURE);
  GstBuffer *before = elements_acquire (pool);
  GstBuffer *after;

  sink_free (sink);
  after = elements_acquire (pool);

  gst_buffer_memset (before, 0, 1, gst_buffer_get_size (before));
  gst_buffer_memset (after, 0, 2, gst_buffer_get_size (after));
  gst_buffer_unref (before);
  free_pool (pool);
  gst_buffer_unref (after);
}
GST_END_TEST

/* --- Scarcity ------------------------------------------------------------- */

typedef struct {
  GstBufferPool *pool;
  gint stop;
} Hungry;

/* Takes all that the pool gives, and lets go of none of the last. */
static gpointer
acquire_without_end (gpointer data)
{
  Hungry *hungry = data;
  GstBuffer *kept[8] = { NULL };

  for (guint i = 0; !g_atomic_int_get (&hungry->stop); i++) {
    gst_clear_buffer (&kept[i % G_N_ELEMENTS (kept)]);
    if (gst_buffer_pool_acquire_buffer (hungry->pool,
                                        &kept[i % G_N_ELEMENTS (kept)], NULL)
        != GST_FLOW_OK)
      break;
  }
  for (guint i = 0; i < G_N_ELEMENTS (kept); i++)
    gst_clear_buffer (&kept[i]);
  return NULL;
}

GST_START_TEST (the_state_null_comes_while_somebody_waits_for_a_slot)
{
  for (guint i = 0; i < 20; i++) {
    GstElement *sink = sink_new ("max-memory=100000");
    Hungry hungry = { take_pool (sink, PICTURE), FALSE };
    GThread *thread = g_thread_new ("upstream", acquire_without_end, &hungry);

    for (guint k = 0; k < 1000 * i; k++)
      g_thread_yield ();
    elements_stop_promptly (sink);
    g_atomic_int_set (&hungry.stop, TRUE);
    g_thread_join (thread);
    free_pool (hungry.pool);
  }
}
GST_END_TEST

/* --- Again and again ------------------------------------------------------ */

GST_START_TEST (a_hundred_turns_of_states_leave_nothing)
{
  GstElement *writer
    = elements_launch ("videotestsrc ! " PICTURE " ! ndshsink sync=false");
  GstElement *reader = elements_launch ("ndshsrc ! fakesink sync=false");
  guint fds = 0, maps = 0;

  for (guint i = 0; i < 100; i++) {
    static const GstState states[]
      = { GST_STATE_PLAYING, GST_STATE_PAUSED, GST_STATE_READY, GST_STATE_NULL };

    gst_element_set_state (writer, states[i % G_N_ELEMENTS (states)]);
    gst_element_set_state (reader, states[(i / 3) % G_N_ELEMENTS (states)]);
    if (i % 10 != 9)
      continue;
    gst_element_set_state (writer, GST_STATE_NULL);
    gst_element_set_state (reader, GST_STATE_NULL);
    if (i == 19) {
      fds = ndsh_test_count_fds ();
      maps = ndsh_test_count_maps ();
    }
  }

  g_assert_cmpuint (ndsh_test_count_fds (), <=, fds);
  g_assert_cmpuint (ndsh_test_count_maps (), ==, maps);
  elements_stop (writer);
  elements_stop (reader);
}
GST_END_TEST

GST_START_TEST (a_size_and_back_copies_nothing)
{
  GstElement *writer = elements_launch (
    "videotestsrc name=test ! capsfilter name=filter ! ndshsink name=sink "
    "sync=false");
  g_autoptr (NdshReader) reader = ndsh_reader_new ("default", NULL, NULL);
  GstElement *filter = elements_find (writer, "filter");
  GstElement *sink = elements_find (writer, "sink");

  elements_play (writer);
  for (guint i = 0; i < 6; i++) {
    gsize width = i % 2 == 0 ? 320 : 640;
    g_autoptr (GstCaps) caps = gst_caps_new_simple (
      "video/x-raw", "format", G_TYPE_STRING, "GRAY8", "width", G_TYPE_INT,
      (gint) width, "height", G_TYPE_INT, 48, NULL);
    gsize seen = 0;

    g_object_set (filter, "caps", caps, NULL);
    while (seen != width) {
      g_autoptr (NdshFrame) frame = NULL;

      g_assert_true (
        ndsh_reader_wait (reader, WAIT_SECONDS * G_USEC_PER_SEC, NULL));
      frame = ndsh_reader_acquire (reader);
      if (frame != NULL)
        seen = ndsh_frame_get_arrays (frame, NULL)->shape[1];
    }
  }

  g_assert_cmpuint (elements_get_stat (sink, "frames-copied"), ==, 0);
  elements_stop (writer);
}
GST_END_TEST

GST_START_TEST (a_flushing_seek_goes_on_with_frames)
{
  GstElement *writer
    = elements_launch ("videotestsrc ! " PICTURE " ! ndshsink sync=false");
  g_autoptr (NdshReader) reader = ndsh_reader_new ("default", NULL, NULL);

  elements_play (writer);
  for (guint i = 0; i < 10; i++) {
    g_autoptr (NdshFrame) frame = NULL;

    g_assert_true (
      ndsh_reader_wait (reader, WAIT_SECONDS * G_USEC_PER_SEC, NULL));
    frame = ndsh_reader_acquire (reader);
    g_assert_true (gst_element_seek_simple (writer, GST_FORMAT_TIME,
                                            GST_SEEK_FLAG_FLUSH, 0));
  }

  elements_stop_promptly (writer);
}
GST_END_TEST

static Suite *
pool_suite (void)
{
  Suite *suite = suite_create ("pool");
  TCase *tcase = elements_case_new (suite, "pool");

  tcase_add_test (tcase, an_alignment_is_that_of_the_buffers);
  tcase_add_test (tcase, a_refused_configuration_does_no_harm_the_second_time);
  tcase_add_test (tcase, a_configuration_without_caps_is_refused);
  tcase_add_test (tcase, buffers_and_pool_outlive_the_sink);
  tcase_add_test (tcase, the_state_null_comes_while_somebody_waits_for_a_slot);
  tcase_add_test (tcase, a_hundred_turns_of_states_leave_nothing);
  tcase_add_test (tcase, a_size_and_back_copies_nothing);
  tcase_add_test (tcase, a_flushing_seek_goes_on_with_frames);
  return suite;
}

GST_CHECK_MAIN (pool)
