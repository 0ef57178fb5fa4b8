/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What goes in comes out: bytes, layout, division into memories, caps. */
#include "elements.h"

#include <gst/audio/audio.h>
#include <string.h>

static const guint widths[] = { 1, 2, 3, 641, 854, 1366, 1456, 1920 };

#define HEIGHT 6

/* Rows and planes further apart than they need be, as drivers have them. Planes of
 * tiles cannot be told apart like that. */
static gsize
pad_layout (const GstVideoInfo *info, gsize *offset, gint *stride)
{
  gboolean tiled = (info->finfo->flags & GST_VIDEO_FORMAT_FLAG_TILED) != 0;
  gsize end = tiled ? 0 : 64;

  for (guint i = 0; i < GST_VIDEO_INFO_N_PLANES (info); i++) {
    offset[i] = GST_VIDEO_INFO_PLANE_OFFSET (info, i);
    stride[i] = GST_VIDEO_INFO_PLANE_STRIDE (info, i);
    if (tiled)
      continue;
    stride[i] = GST_ROUND_UP_64 (stride[i]) + 64;
    offset[i] = end;
    end += (gsize) stride[i] * (HEIGHT + 2);
  }
  return tiled ? GST_VIDEO_INFO_SIZE (info) : end;
}

static void
assert_same_layout (GstBuffer *a, GstBuffer *b)
{
  GstVideoMeta *before = gst_buffer_get_video_meta (a);
  GstVideoMeta *after = gst_buffer_get_video_meta (b);

  g_assert_nonnull (after);
  if (before == NULL)
    return;
  g_assert_cmpint (after->format, ==, before->format);
  g_assert_cmpuint (after->width, ==, before->width);
  g_assert_cmpuint (after->height, ==, before->height);
  g_assert_cmpuint (after->n_planes, ==, before->n_planes);
  for (guint i = 0; i < before->n_planes; i++) {
    g_assert_cmpuint (after->offset[i], ==, before->offset[i]);
    g_assert_cmpint (after->stride[i], ==, before->stride[i]);
  }
}

static void
pass_and_compare (Link *link, GstBuffer *buffer, gboolean is_video)
{
  GstBuffer *arrived = link_pass (link, gst_buffer_ref (buffer));

  elements_assert_equal_bytes (buffer, arrived);
  if (is_video)
    assert_same_layout (buffer, arrived);
  gst_buffer_unref (arrived);
  gst_buffer_unref (buffer);
}

static void
pass_format (Link *link, GstVideoFormat format, guint width)
{
  gsize offset[GST_VIDEO_MAX_PLANES];
  gint stride[GST_VIDEO_MAX_PLANES];
  GstBufferPool *pool;
  GstVideoInfo info;
  GstBuffer *buffer;
  GstCaps *caps;
  gsize size;

  g_assert_true (gst_video_info_set_format (&info, format, width, HEIGHT));
  info.fps_n = 30;
  info.fps_d = 1;
  caps = gst_video_info_to_caps (&info);
  gst_harness_set_src_caps (link->sink, gst_caps_ref (caps));

  pass_and_compare (link, elements_buffer_new (GST_VIDEO_INFO_SIZE (&info), width),
                    TRUE);
  size = pad_layout (&info, offset, stride);
  buffer = elements_buffer_new (size, width + 1);
  gst_buffer_add_video_meta_full (buffer, GST_VIDEO_FRAME_FLAG_NONE, format, width,
                                  HEIGHT, GST_VIDEO_INFO_N_PLANES (&info), offset,
                                  stride);
  pass_and_compare (link, buffer, TRUE);
  pool = elements_take_pool (link->sink->element, caps);
  buffer = elements_acquire (pool);
  elements_fill (buffer, width + 2);
  pass_and_compare (link, buffer, TRUE);
  gst_object_unref (pool);
  {
    g_autoptr (GstCaps) arrived = link_get_caps (link);

    g_assert_true (gst_caps_is_equal (arrived, caps));
  }
  gst_caps_unref (caps);
}

GST_START_TEST (every_raw_video_format_arrives_as_it_was_sent)
{
  Link *link = link_new ("sync=false", "leaky-type=none", NULL, TRUE);
  guint n = 0;

  for (guint f = GST_VIDEO_FORMAT_I420; f <= elements_last_format (); f++)
    for (guint w = 0; w < G_N_ELEMENTS (widths); w++, n += 3)
      pass_format (link, (GstVideoFormat) f, widths[w]);

  g_print ("# %u frames\n", n);
  /* Two of three were not made in the sink's pool. */
  g_assert_cmpuint (elements_get_stat (link->sink->element, "frames-copied"), ==,
                    n / 3 * 2);
  link_free (link);
}
GST_END_TEST

/* Not const: gst_video_frame_map () took no const before GStreamer 1.20. */
static void
compare_pixels (GstBuffer *a, GstBuffer *b, GstVideoInfo *info)
{
  GstVideoFrame frame_a, frame_b;

  g_assert_true (gst_video_frame_map (&frame_a, info, a, GST_MAP_READ));
  g_assert_true (gst_video_frame_map (&frame_b, info, b, GST_MAP_READ));
  for (guint c = 0; c < GST_VIDEO_INFO_N_COMPONENTS (info); c++) {
    gsize length = (gsize) (GST_VIDEO_INFO_COMP_WIDTH (info, c) - 1)
                     * (gsize) GST_VIDEO_INFO_COMP_PSTRIDE (info, c)
                   + 1;

    for (gint row = 0; row < GST_VIDEO_INFO_COMP_HEIGHT (info, c); row++)
      if (memcmp ((guint8 *) GST_VIDEO_FRAME_COMP_DATA (&frame_a, c)
                    + row * GST_VIDEO_FRAME_COMP_STRIDE (&frame_a, c),
                  (guint8 *) GST_VIDEO_FRAME_COMP_DATA (&frame_b, c)
                    + row * GST_VIDEO_FRAME_COMP_STRIDE (&frame_b, c),
                  length)
          != 0)
        g_error ("%s, width %d: component %u, row %d",
                 GST_VIDEO_INFO_NAME (info), GST_VIDEO_INFO_WIDTH (info), c, row);
  }
  gst_video_frame_unmap (&frame_a);
  gst_video_frame_unmap (&frame_b);
}

static void
pass_to_simple_downstream (Link *link, GstVideoFormat format, guint width)
{
  gsize offset[GST_VIDEO_MAX_PLANES];
  gint stride[GST_VIDEO_MAX_PLANES];
  GstBuffer *buffer, *arrived;
  GstVideoInfo info;
  gsize size;

  g_assert_true (gst_video_info_set_format (&info, format, width, HEIGHT));
  size = pad_layout (&info, offset, stride);
  buffer = elements_buffer_new (size, width);
  gst_buffer_add_video_meta_full (buffer, GST_VIDEO_FRAME_FLAG_NONE, format, width,
                                  HEIGHT, GST_VIDEO_INFO_N_PLANES (&info), offset,
                                  stride);
  gst_harness_set_src_caps (link->sink, gst_video_info_to_caps (&info));

  arrived = link_pass (link, gst_buffer_ref (buffer));
  g_assert_null (gst_buffer_get_video_meta (arrived));
  g_assert_cmpuint (gst_buffer_get_size (arrived), ==, GST_VIDEO_INFO_SIZE (&info));
  compare_pixels (buffer, arrived, &info);
  gst_buffer_unref (arrived);
  gst_buffer_unref (buffer);
}

/* Formats whose components are bytes at known places: what can be compared by
 * rows. */
static gboolean
has_plain_pixels (GstVideoFormat format)
{
  return (gst_video_format_get_info (format)->flags
          & (GST_VIDEO_FORMAT_FLAG_COMPLEX | GST_VIDEO_FORMAT_FLAG_TILED
             | GST_VIDEO_FORMAT_FLAG_PALETTE))
         == 0;
}

GST_START_TEST (downstream_that_knows_no_layouts_gets_the_default_one)
{
  Link *link = link_new ("sync=false", "leaky-type=none", NULL, FALSE);

  for (guint f = GST_VIDEO_FORMAT_I420; f <= elements_last_format (); f++)
    for (guint w = 0; has_plain_pixels ((GstVideoFormat) f)
                      && w < G_N_ELEMENTS (widths);
         w++)
      pass_to_simple_downstream (link, (GstVideoFormat) f, widths[w]);

  g_assert_cmpuint (elements_get_stat (link->src->element, "frames-copied"), >, 0);
  link_free (link);
}
GST_END_TEST

/* --- Sound --- */

#define MAX_CHANNELS 10

typedef struct {
  GstAudioFormat format;
  gint channels;
  GstAudioLayout layout;
} Sound;

static const Sound sounds[] = {
  { GST_AUDIO_FORMAT_S16LE, 2, GST_AUDIO_LAYOUT_INTERLEAVED },
  { GST_AUDIO_FORMAT_F32LE, 6, GST_AUDIO_LAYOUT_INTERLEAVED },
  { GST_AUDIO_FORMAT_S24BE, 1, GST_AUDIO_LAYOUT_NON_INTERLEAVED },
  { GST_AUDIO_FORMAT_S16LE, 2, GST_AUDIO_LAYOUT_NON_INTERLEAVED },
  { GST_AUDIO_FORMAT_F32LE, 6, GST_AUDIO_LAYOUT_NON_INTERLEAVED },
  { GST_AUDIO_FORMAT_F64BE, MAX_CHANNELS, GST_AUDIO_LAYOUT_NON_INTERLEAVED },
};

static void
init_sound (GstAudioInfo *info, const Sound *sound)
{
  GstAudioChannelPosition positions[MAX_CHANNELS];

  for (gint c = 0; c < sound->channels; c++)
    positions[c] = GST_AUDIO_CHANNEL_POSITION_NONE;
  gst_audio_info_init (info);
  gst_audio_info_set_format (info, sound->format, 48000, sound->channels,
                             sound->channels > 2 ? positions : NULL);
  info->layout = sound->layout;
}

/* What elements see that map it as its caps say. */
static void
assert_same_sound (GstBuffer *a, GstBuffer *b, const GstAudioInfo *info)
{
  GstAudioBuffer sound_a, sound_b;

  g_assert_true (gst_audio_buffer_map (&sound_a, info, a, GST_MAP_READ));
  g_assert_true (gst_audio_buffer_map (&sound_b, info, b, GST_MAP_READ));
  g_assert_cmpuint (sound_a.n_samples, ==, sound_b.n_samples);
  g_assert_cmpint (sound_a.n_planes, ==, sound_b.n_planes);
  for (gint i = 0; i < sound_a.n_planes; i++)
    g_assert_cmpmem (sound_a.planes[i], GST_AUDIO_BUFFER_PLANE_SIZE (&sound_a),
                     sound_b.planes[i], GST_AUDIO_BUFFER_PLANE_SIZE (&sound_b));
  gst_audio_buffer_unmap (&sound_a);
  gst_audio_buffer_unmap (&sound_b);
}

static GstBuffer *
sound_new (const GstAudioInfo *info, gsize n_samples, guint seed)
{
  GstBuffer *buffer = elements_buffer_new (n_samples * (gsize) info->bpf, seed);

  if (info->layout == GST_AUDIO_LAYOUT_NON_INTERLEAVED)
    gst_buffer_add_audio_meta (buffer, info, n_samples, NULL);
  return buffer;
}

/* From sample @first on. Of planar sound what is left is not one piece. */
static GstBuffer *
cut (GstBuffer *buffer, const GstAudioInfo *info, gsize first)
{
  buffer = gst_buffer_make_writable (buffer);
  GST_BUFFER_PTS (buffer) = 0;
  return gst_audio_buffer_truncate (buffer, info->bpf, first, 50);
}

/* Takes @buffer. */
static void
pass_and_compare_sound (Link *link, GstBuffer *buffer, const GstAudioInfo *info)
{
  GstBuffer *arrived;

  GST_BUFFER_DURATION (buffer) = 20 * GST_MSECOND;
  GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_GAP);
  arrived = link_pass (link, gst_buffer_ref (buffer));

  assert_same_sound (buffer, arrived, info);
  g_assert_cmpuint (GST_BUFFER_DURATION (arrived), ==, 20 * GST_MSECOND);
  g_assert_true (GST_BUFFER_FLAG_IS_SET (arrived, GST_BUFFER_FLAG_GAP));
  gst_buffer_unref (arrived);
  gst_buffer_unref (buffer);
}

static void
pass_sound (Link *link, const Sound *sound)
{
  const gsize lengths[] = { 1, 64, 1024 };
  g_autoptr (GstCaps) arrived = NULL;
  g_autoptr (GstCaps) caps = NULL;
  GstAudioInfo info;

  init_sound (&info, sound);
  caps = gst_audio_info_to_caps (&info);
  gst_harness_set_src_caps (link->sink, gst_caps_ref (caps));
  for (guint i = 0; i < G_N_ELEMENTS (lengths); i++)
    pass_and_compare_sound (link, sound_new (&info, lengths[i], i), &info);
  pass_and_compare_sound (link, cut (sound_new (&info, 100, 7), &info, 0), &info);
  pass_and_compare_sound (link, cut (sound_new (&info, 100, 8), &info, 7), &info);

  arrived = link_get_caps (link);
  g_assert_true (gst_caps_is_equal (arrived, caps));
}

GST_START_TEST (sound_can_be_mapped_as_its_caps_say)
{
  Link *link = link_new ("sync=false", "leaky-type=none", NULL, FALSE);

  for (guint i = 0; i < G_N_ELEMENTS (sounds); i++)
    pass_sound (link, &sounds[i]);
  link_free (link);
}
GST_END_TEST

/* --- Everything else --- */

static const char *const others[]
  = { "audio/x-opus,channel-mapping-family=0,channels=2,rate=48000",
      "audio/x-raw,format=S16LE,rate=48000,channels=2,layout=interleaved",
      "image/jpeg,width=640,height=480,framerate=30/1",
      "video/x-h264,stream-format=byte-stream,alignment=au",
      ("other/tensors,format=static,num_tensors=1,types=float32,"
       "dimensions=3:10:1:1,framerate=0/1"),
      "application/octet-stream",
      "meta/x-klv,parsed=true",
      "text/x-raw,format=utf8" };

GST_START_TEST (other_media_arrive_as_they_were_sent)
{
  const gsize sizes[] = { 1, 120, 4095, 4096, 4097, 100000 };
  Link *link = link_new ("sync=false", "leaky-type=none", NULL, FALSE);

  for (guint i = 0; i < G_N_ELEMENTS (others); i++) {
    g_autoptr (GstCaps) sent = gst_caps_from_string (others[i]);
    g_autoptr (GstCaps) arrived = NULL;

    link_set_caps (link, others[i]);
    for (guint s = 0; s < G_N_ELEMENTS (sizes); s++)
      pass_and_compare (link, elements_buffer_new (sizes[s], i + s), FALSE);
    arrived = link_get_caps (link);
    g_assert_true (gst_caps_is_equal (sent, arrived));
  }
  link_free (link);
}
GST_END_TEST

GST_START_TEST (a_buffer_of_several_memories_arrives_divided_alike)
{
  Link *link
    = link_new ("sync=false", "leaky-type=none", "application/x-parts", FALSE);
  GstBuffer *buffer = gst_buffer_new (), *arrived;

  for (guint i = 1; i <= 5; i++) {
    GstBuffer *part = elements_buffer_new (100 * i + 1, i);

    gst_buffer_append_memory (buffer, gst_buffer_get_memory (part, 0));
    gst_buffer_unref (part);
  }
  arrived = link_pass (link, gst_buffer_ref (buffer));

  g_assert_cmpuint (gst_buffer_n_memory (arrived), ==, 5);
  for (guint i = 0; i < 5; i++)
    g_assert_cmpuint (gst_buffer_peek_memory (arrived, i)->size, ==,
                      100 * (i + 1) + 1);
  elements_assert_equal_bytes (buffer, arrived);
  gst_buffer_unref (arrived);
  gst_buffer_unref (buffer);
  link_free (link);
}
GST_END_TEST

GST_START_TEST (an_empty_buffer_arrives)
{
  Link *link
    = link_new ("sync=false", "leaky-type=none", "application/x-empty", FALSE);
  GstBuffer *arrived = link_pass (link, gst_buffer_new ());

  g_assert_cmpuint (gst_buffer_get_size (arrived), ==, 0);
  gst_buffer_unref (arrived);
  link_free (link);
}
GST_END_TEST

static Suite *
formats_suite (void)
{
  Suite *suite = suite_create ("formats");
  TCase *tcase = elements_case_new (suite, "formats");

  tcase_add_test (tcase, every_raw_video_format_arrives_as_it_was_sent);
  tcase_add_test (tcase, downstream_that_knows_no_layouts_gets_the_default_one);
  tcase_add_test (tcase, sound_can_be_mapped_as_its_caps_say);
  tcase_add_test (tcase, other_media_arrive_as_they_were_sent);
  tcase_add_test (tcase, a_buffer_of_several_memories_arrives_divided_alike);
  tcase_add_test (tcase, an_empty_buffer_arrives);
  return suite;
}

GST_CHECK_MAIN (formats)
