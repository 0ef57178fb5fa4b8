/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Nobody in the writer's process changes a published frame. A reader holds what it
 * gets, with checksums, while upstream does all it can: elements that work in
 * place, pools that hand out the same memory again, decoders that keep frames.
 */
#include "elements.h"

#include <string.h>

#define N_HELD 30

/* --- A reader that holds frames --- */

typedef struct {
  NdshFrame *frames[N_HELD];
  guint32 sums[N_HELD];
  guint n_frames;
} Holder;

static guint32
sum_frame (const NdshFrame *frame)
{
  const guint8 *data = ndsh_frame_get_data (frame);
  guint32 sum = 2166136261u;

  for (gsize i = 0; i < ndsh_frame_get_size (frame); i++)
    sum = (sum ^ data[i]) * 16777619u;
  return sum;
}

static void
check_and_release (Holder *holder, guint i)
{
  if (holder->frames[i] == NULL)
    return;
  if (sum_frame (holder->frames[i]) != holder->sums[i])
    g_error ("frame %" G_GUINT64_FORMAT " was changed after it was published",
             ndsh_frame_get_sequence (holder->frames[i]));
  g_clear_pointer (&holder->frames[i], ndsh_frame_release);
}

static void
hold (Holder *holder, NdshFrame *frame)
{
  guint i = holder->n_frames++ % N_HELD;

  check_and_release (holder, i);
  holder->frames[i] = frame;
  holder->sums[i] = sum_frame (frame);
}

static void
check_all (Holder *holder)
{
  for (guint i = 0; i < N_HELD; i++)
    check_and_release (holder, i);
}

static NdshReader *
holding_reader_new (void)
{
  NdshReaderOptions options
    = { .mode = NDSH_READ_LOSSLESS, .max_leases = N_HELD + 2 };
  g_autoptr (GError) error = NULL;
  NdshReader *reader = ndsh_reader_new ("test", &options, &error);

  g_assert_no_error (error);
  return reader;
}

/* Until the writer says that nothing more follows. */
static void
hold_all (Holder *holder, NdshReader *reader)
{
  for (;;) {
    g_autoptr (GError) error = NULL;
    NdshFrame *frame = ndsh_reader_acquire (reader);

    if (frame != NULL) {
      hold (holder, frame);
      continue;
    }
    if (ndsh_reader_wait (reader, WAIT_SECONDS * G_USEC_PER_SEC, &error))
      continue;
    g_assert_error (error, NDSH_ERROR, NDSH_ERROR_ENDED);
    break;
  }
  check_all (holder);
}

/* --- Pipelines --- */

/* Runs @line, in which there is a sink of channel "test" called "sink", and
 * returns how many frames it copied; -1 if it cannot be run here. */
static gint64
run_unchanged (const char *line, guint n_expected)
{
  GstElement *pipeline = elements_launch_if_there (line);
  Holder holder = { 0 };
  g_autoptr (NdshReader) reader = NULL;
  gint64 n_copied;

  if (pipeline == NULL)
    return -1;
  reader = holding_reader_new ();
  elements_play (pipeline);
  hold_all (&holder, reader);
  elements_wait_eos (pipeline);

  g_assert_cmpuint (holder.n_frames, >=, n_expected);
  n_copied = (gint64) elements_get_stat (elements_find (pipeline, "sink"),
                                         "frames-copied");
  elements_stop (pipeline);
  return n_copied;
}

#define SINK \
  " ndshsink name=sink channel=test sync=false async=false " \
  "wait-for-connection=true lossless-timeout=20000000000"
#define PICTURE "video/x-raw,width=160,height=120,framerate=25/1"
#define SLOW_PICTURE "video/x-raw,width=160,height=120,framerate=10/1"

static const char *const in_place[]
  = { "videobalance saturation=0.2 hue=0.3",
      "videobalance contrast=1.5 ! gamma gamma=2.2",
      "videoflip method=horizontal-flip",
      "coloreffects preset=heat",
      "timeoverlay",
      "textoverlay text=changed",
      "videomedian",
      "smooth" };

GST_START_TEST (a_frame_behind_tee_does_not_change_when_the_other_branch_works_in_place)
{
  guint n_run = 0;

  for (guint i = 0; i < G_N_ELEMENTS (in_place); i++) {
    g_autofree char *line = g_strdup_printf (
      "videotestsrc num-buffers=60 ! " PICTURE ",format=I420 ! tee name=t "
      "t. ! " SINK " t. ! videoconvert ! %s ! fakesink sync=false async=false",
      in_place[i]);

    n_run += run_unchanged (line, 60) >= 0;
  }
  g_assert_cmpuint (n_run, >, 0);
}
GST_END_TEST

GST_START_TEST (a_frame_does_not_change_when_elements_before_it_work_in_place)
{
  guint n_run = 0;

  for (guint i = 0; i < G_N_ELEMENTS (in_place); i++) {
    g_autofree char *line = g_strdup_printf (
      "videotestsrc num-buffers=60 ! " PICTURE ",format=I420 ! videoconvert ! %s ! " SINK,
      in_place[i]);

    n_run += run_unchanged (line, 60) >= 0;
  }
  g_assert_cmpuint (n_run, >, 0);
}
GST_END_TEST

GST_START_TEST (a_frame_that_videorate_repeats_does_not_change)
{
  guint n_run = 0;

  n_run += run_unchanged ("videotestsrc num-buffers=20 ! " SLOW_PICTURE " ! "
                 "videorate ! video/x-raw,framerate=30/1 ! " SINK,
                 50) >= 0;
  n_run += run_unchanged ("videotestsrc num-buffers=20 ! " SLOW_PICTURE " ! "
                 "videorate ! video/x-raw,framerate=30/1 ! "
                 "videobalance saturation=0.2 ! " SINK,
                 50) >= 0;
  n_run += run_unchanged ("videotestsrc num-buffers=1 ! " PICTURE " ! "
                 "imagefreeze num-buffers=60 ! videobalance hue=0.4 ! " SINK,
                 50) >= 0;
  g_assert_cmpuint (n_run, >, 0);
}
GST_END_TEST

static const char *const codecs[]
  = { "x264enc bframes=2 ref=4 speed-preset=ultrafast ! avdec_h264",
      "x264enc tune=zerolatency speed-preset=ultrafast ! avdec_h264",
      "x264enc tune=zerolatency speed-preset=ultrafast ! openh264dec",
      "avenc_mpeg4 ! mpeg4videoparse ! avdec_mpeg4",
      "vp8enc deadline=1 ! vp8dec",
      "vp8enc deadline=1 ! avdec_vp8",
      "vp9enc deadline=1 cpu-used=8 ! vp9dec",
      "theoraenc ! theoradec",
      "jpegenc ! jpegdec" };

GST_START_TEST (a_frame_that_a_decoder_refers_to_does_not_change)
{
  guint n_run = 0;

  for (guint i = 0; i < G_N_ELEMENTS (codecs); i++) {
    g_autofree char *line = g_strdup_printf (
      "videotestsrc pattern=ball num-buffers=60 ! " PICTURE ",format=I420 ! %s ! "
      SINK,
      codecs[i]);
    gint64 n_copied = run_unchanged (line, 55);

    n_run += n_copied >= 0;
    if (n_copied >= 0)
      g_print ("# %s: %" G_GINT64_FORMAT " copied\n", codecs[i], n_copied);
  }
  g_assert_cmpuint (n_run, >, 0);
}
GST_END_TEST

/* --- Buffers kept and pools of others --- */

#define CAPS "video/x-raw,format=RGB,width=64,height=48,framerate=30/1"

static GstHarness *
sink_new (void)
{
  GstHarness *harness = elements_harness_new (
    "ndshsink", "channel=test sync=false lossless-timeout=20000000000");

  gst_harness_set_src_caps_str (harness, CAPS);
  return harness;
}

static void
hold_next (Holder *holder, NdshReader *reader)
{
  NdshFrame *frame;

  while ((frame = ndsh_reader_acquire (reader)) == NULL) {
    g_autoptr (GError) error = NULL;

    ndsh_reader_wait (reader, WAIT_SECONDS * G_USEC_PER_SEC, &error);
    g_assert_no_error (error);
  }
  hold (holder, frame);
}

static NdshReader *
join (GstHarness *harness)
{
  NdshReader *reader = holding_reader_new ();

  while (!ndsh_reader_is_connected (reader))
    ndsh_reader_wait (reader, 1000, NULL);
  elements_wait_readers (harness->element, 1);
  return reader;
}

static GstBufferPool *
foreign_pool_new (GstAllocator *allocator, GstCaps *caps, guint size)
{
  GstBufferPool *pool = gst_video_buffer_pool_new ();
  GstStructure *config = gst_buffer_pool_get_config (pool);

  gst_buffer_pool_config_set_params (config, caps, size, 2, 4);
  gst_buffer_pool_config_set_allocator (config, allocator, NULL);
  g_assert_true (gst_buffer_pool_set_config (pool, config));
  g_assert_true (gst_buffer_pool_set_active (pool, TRUE));
  return pool;
}

GST_START_TEST (a_frame_from_a_foreign_pool_over_our_allocator_does_not_change)
{
  GstHarness *harness = sink_new ();
  g_autoptr (GstCaps) caps = gst_caps_from_string (CAPS);
  GstBufferPool *ours = elements_take_pool (harness->element, caps);
  GstBuffer *buffer = elements_acquire (ours);
  GstBufferPool *foreign
    = foreign_pool_new (gst_buffer_peek_memory (buffer, 0)->allocator, caps,
                        (guint) gst_buffer_get_size (buffer));
  g_autoptr (NdshReader) reader = join (harness);
  Holder holder = { 0 };

  gst_buffer_unref (buffer);
  for (guint i = 0; i < 60; i++) {
    buffer = elements_acquire (foreign);
    elements_fill (buffer, i);
    g_assert_cmpint (gst_harness_push (harness, buffer), ==, GST_FLOW_OK);
    hold_next (&holder, reader);
  }
  check_all (&holder);

  g_assert_cmpuint (elements_get_stat (harness->element, "frames-copied"), ==, 0);
  gst_buffer_pool_set_active (foreign, FALSE);
  gst_object_unref (foreign);
  gst_object_unref (ours);
  gst_harness_teardown (harness);
}
GST_END_TEST

GST_START_TEST (a_buffer_kept_after_it_was_published_gives_writers_a_copy)
{
  GstHarness *harness = sink_new ();
  g_autoptr (GstCaps) caps = gst_caps_from_string (CAPS);
  GstBufferPool *pool = elements_take_pool (harness->element, caps);
  GstBuffer *kept = elements_acquire (pool);
  g_autoptr (NdshReader) reader = join (harness);
  Holder holder = { 0 };
  GstVideoFrame frame;
  GstVideoInfo info;
  GstMapInfo map;

  elements_fill (kept, 1);
  gst_harness_push (harness, gst_buffer_ref (kept));
  hold_next (&holder, reader);
  gst_video_info_from_caps (&info, caps);

  g_assert_false (gst_memory_map (gst_buffer_peek_memory (kept, 0), &map,
                                  GST_MAP_WRITE));
  /* Mapping a buffer, or its planes, puts a copy in the memory's place. */
  g_assert_true (gst_video_frame_map (&frame, &info, kept, GST_MAP_WRITE));
  memset (GST_VIDEO_FRAME_PLANE_DATA (&frame, 0), 7, 64);
  gst_video_frame_unmap (&frame);
  elements_fill (kept, 2);
  check_all (&holder);

  gst_buffer_unref (kept);
  gst_object_unref (pool);
  gst_harness_teardown (harness);
}
GST_END_TEST

/* The map of a draft takes no lock, so one made before publishing is still there
 * after it: what decoders do that keep reference frames. They only read. */
GST_START_TEST (a_buffer_of_the_pool_comes_back_with_other_memory)
{
  GstHarness *harness = sink_new ();
  g_autoptr (GstCaps) caps = gst_caps_from_string (CAPS);
  GstBufferPool *pool = elements_take_pool (harness->element, caps);
  g_autoptr (NdshReader) reader = join (harness);
  Holder holder = { 0 };

  for (guint i = 0; i < 60; i++) {
    GstBuffer *buffer = elements_acquire (pool);

    elements_fill (buffer, i);
    g_assert_cmpint (gst_harness_push (harness, buffer), ==, GST_FLOW_OK);
    hold_next (&holder, reader);
  }
  check_all (&holder);

  g_assert_cmpuint (elements_get_stat (harness->element, "frames-copied"), ==, 0);
  gst_object_unref (pool);
  gst_harness_teardown (harness);
}
GST_END_TEST

/* The other branch of a tee gets its turn when the sink has let go already, and
 * finds itself the only one to refer to the buffer. */
GST_START_TEST (a_draft_behind_tee_does_not_change_after_the_sink_let_go)
{
  GstElement *bin = elements_launch (
    "bin.( tee name=t ! ndshsink name=sink channel=test sync=false async=false "
    "t. ! videobalance saturation=0.1 ! fakesink sync=false async=false )");
  g_autoptr (GstCaps) caps = gst_caps_from_string (CAPS);
  g_autoptr (NdshReader) reader = NULL;
  Holder holder = { 0 };
  GstBufferPool *pool;
  GstHarness *harness;
  GstPad *pad;

  g_assert_nonnull (bin);
  pad = gst_element_get_static_pad (elements_find (bin, "t"), "sink");
  gst_element_add_pad (bin, gst_ghost_pad_new ("sink", pad));
  gst_object_unref (pad);
  harness = gst_harness_new_with_element (bin, "sink", NULL);
  gst_harness_set_src_caps_str (harness, CAPS);
  pool = elements_take_pool (elements_find (bin, "sink"), caps);
  reader = holding_reader_new ();
  while (!ndsh_reader_is_connected (reader))
    ndsh_reader_wait (reader, 1000, NULL);

  for (guint i = 0; i < 30; i++) {
    GstBuffer *buffer = elements_acquire (pool);

    elements_fill (buffer, i);
    g_assert_cmpint (gst_harness_push (harness, buffer), ==, GST_FLOW_OK);
    hold_next (&holder, reader);
  }
  check_all (&holder);

  g_assert_cmpuint (
    elements_get_stat (elements_find (bin, "sink"), "frames-copied"), ==, 0);
  gst_object_unref (pool);
  gst_harness_teardown (harness);
  gst_object_unref (bin);
}
GST_END_TEST

static Suite *
unchanged_suite (void)
{
  Suite *suite = suite_create ("unchanged");
  TCase *tcase = elements_case_new (suite, "unchanged");

  tcase_add_test (tcase, a_buffer_kept_after_it_was_published_gives_writers_a_copy);
  tcase_add_test (tcase, a_buffer_of_the_pool_comes_back_with_other_memory);
  tcase_add_test (
    tcase, a_frame_from_a_foreign_pool_over_our_allocator_does_not_change);
  tcase_add_test (tcase, a_draft_behind_tee_does_not_change_after_the_sink_let_go);
  tcase_add_test (
    tcase,
    a_frame_behind_tee_does_not_change_when_the_other_branch_works_in_place);
  tcase_add_test (tcase,
                  a_frame_does_not_change_when_elements_before_it_work_in_place);
  tcase_add_test (tcase, a_frame_that_videorate_repeats_does_not_change);
  tcase_add_test (tcase, a_frame_that_a_decoder_refers_to_does_not_change);
  return suite;
}

GST_CHECK_MAIN (unchanged)
