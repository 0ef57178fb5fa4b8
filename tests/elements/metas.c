/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What metas of GStreamer's become on the way: through a channel, to programs that do not
 * know GStreamer and from them, and from bytes that nobody should have written. */
#include "elements.h"

#ifdef HAVE_ANALYTICS
#include <gst/analytics/analytics.h>
#endif

#include "gstndshevents.h"
#include "gstndshmeta.h"
#include "gstndshmetas.h"

#include <gst/audio/audio.h>
#include <string.h>

#define CAPS "video/x-raw,format=GRAY8,width=64,height=48,framerate=30/1"
#define FRAME_SIZE (64 * 48)

static gpointer
get_meta (GstBuffer *buffer, const char *name)
{
  gpointer state = NULL;
  GstMeta *meta;

  while ((meta = gst_buffer_iterate_meta (buffer, &state)) != NULL)
    if (strcmp (g_type_name (meta->info->type), name) == 0)
      return meta;
  return NULL;
}

static GstBuffer *
pass_through_bytes (GstBuffer *buffer)
{
  g_autoptr (GByteArray) metadata = g_byte_array_new ();
  GstBuffer *other = gst_buffer_new ();

  gst_ndsh_metas_append (buffer, metadata, NULL);
  gst_ndsh_metas_add (other, metadata->data, metadata->len, NULL);
  return other;
}

/* --- Each kind ------------------------------------------------------------ */

GST_START_TEST (a_crop_crosses)
{
  g_autoptr (GstBuffer) buffer = gst_buffer_new (), got = NULL;
  GstVideoCropMeta *meta = gst_buffer_add_video_crop_meta (buffer);

  meta->x = 1;
  meta->y = 2;
  meta->width = 3;
  meta->height = G_MAXUINT;
  got = pass_through_bytes (buffer);

  meta = get_meta (got, "GstVideoCropMeta");
  g_assert_nonnull (meta);
  g_assert_cmpuint (meta->x, ==, 1);
  g_assert_cmpuint (meta->y, ==, 2);
  g_assert_cmpuint (meta->width, ==, 3);
  g_assert_cmpuint (meta->height, ==, G_MAXUINT);
}
GST_END_TEST

GST_START_TEST (reference_timestamps_cross_in_their_order)
{
  g_autoptr (GstBuffer) buffer = gst_buffer_new (), got = NULL;
  g_autoptr (GstCaps) ntp = gst_caps_new_empty_simple ("timestamp/x-ntp");
  g_autoptr (GstCaps) ptp
    = gst_caps_from_string ("timestamp/x-ptp, version=(string)\"2\\,\\ maybe\"");
  GstReferenceTimestampMeta *meta;

  gst_buffer_add_reference_timestamp_meta (buffer, ntp, G_MAXUINT64 - 1,
                                           GST_CLOCK_TIME_NONE);
  gst_buffer_add_reference_timestamp_meta (buffer, ptp, 5, 6);
  got = pass_through_bytes (buffer);

  meta = gst_buffer_get_reference_timestamp_meta (got, ntp);
  g_assert_nonnull (meta);
  g_assert_cmpuint (meta->timestamp, ==, G_MAXUINT64 - 1);
  g_assert_cmpuint (meta->duration, ==, GST_CLOCK_TIME_NONE);
  meta = gst_buffer_get_reference_timestamp_meta (got, ptp);
  g_assert_nonnull (meta);
  g_assert_true (gst_caps_is_equal (meta->reference, ptp));
  g_assert_cmpuint (meta->timestamp, ==, 5);
  g_assert_cmpuint (meta->duration, ==, 6);
}
GST_END_TEST

GST_START_TEST (a_time_code_crosses_with_the_day_it_counts_from)
{
  g_autoptr (GstBuffer) buffer = gst_buffer_new (), got = NULL;
  g_autoptr (GDateTime) jam = g_date_time_new_utc (2026, 11, 30, 1, 2, 3);
  GstVideoTimeCode *tc = gst_video_time_code_new (
    30000, 1001, jam, GST_VIDEO_TIME_CODE_FLAGS_DROP_FRAME, 10, 11, 12, 13, 0);
  GstVideoTimeCodeMeta *meta;
  g_autofree char *want = gst_video_time_code_to_string (tc), *have = NULL;

  gst_buffer_add_video_time_code_meta (buffer, tc);
  gst_video_time_code_free (tc);
  got = pass_through_bytes (buffer);

  meta = get_meta (got, "GstVideoTimeCodeMeta");
  g_assert_nonnull (meta);
  have = gst_video_time_code_to_string (&meta->tc);
  g_assert_cmpstr (have, ==, want);
  g_assert_cmpuint (meta->tc.config.fps_n, ==, 30000);
  g_assert_true (g_date_time_equal (meta->tc.config.latest_daily_jam, jam));
}
GST_END_TEST

GST_START_TEST (audio_clipping_crosses)
{
  g_autoptr (GstBuffer) buffer = gst_buffer_new (), got = NULL;
  GstAudioClippingMeta *meta;

  gst_buffer_add_audio_clipping_meta (buffer, GST_FORMAT_DEFAULT, 312, 7);
  got = pass_through_bytes (buffer);

  meta = get_meta (got, "GstAudioClippingMeta");
  g_assert_nonnull (meta);
  g_assert_cmpint (meta->format, ==, GST_FORMAT_DEFAULT);
  g_assert_cmpuint (meta->start, ==, 312);
  g_assert_cmpuint (meta->end, ==, 7);
}
GST_END_TEST

#if GST_CHECK_VERSION(1, 16, 0)
GST_START_TEST (captions_cross)
{
  static const guint8 data[] = { 0xfc, 0, 0x80, 0xff };
  g_autoptr (GstBuffer) buffer = gst_buffer_new (), got = NULL;
  GstVideoCaptionMeta *meta;

  gst_buffer_add_video_caption_meta (buffer, GST_VIDEO_CAPTION_TYPE_CEA708_RAW, data,
                                     sizeof data);
  got = pass_through_bytes (buffer);

  meta = get_meta (got, "GstVideoCaptionMeta");
  g_assert_nonnull (meta);
  g_assert_cmpint (meta->caption_type, ==, GST_VIDEO_CAPTION_TYPE_CEA708_RAW);
  g_assert_cmpmem (meta->data, meta->size, data, sizeof data);
}
GST_END_TEST
#endif

#if GST_CHECK_VERSION(1, 18, 0)
GST_START_TEST (active_format_and_bars_cross)
{
  g_autoptr (GstBuffer) buffer = gst_buffer_new (), got = NULL;
  GstVideoAFDMeta *afd;
  GstVideoBarMeta *bar;

  gst_buffer_add_video_afd_meta (buffer, 1, GST_VIDEO_AFD_SPEC_SMPTE_ST2016_1,
                                 GST_VIDEO_AFD_4_3_FULL_16_9_FULL);
  gst_buffer_add_video_bar_meta (buffer, 0, TRUE, 20, 460);
  got = pass_through_bytes (buffer);

  afd = get_meta (got, "GstVideoAFDMeta");
  bar = get_meta (got, "GstVideoBarMeta");
  g_assert_true (afd != NULL && bar != NULL);
  g_assert_cmpuint (afd->field, ==, 1);
  g_assert_cmpint (afd->spec, ==, GST_VIDEO_AFD_SPEC_SMPTE_ST2016_1);
  g_assert_cmpint (afd->afd, ==, GST_VIDEO_AFD_4_3_FULL_16_9_FULL);
  g_assert_true (bar->is_letterbox);
  g_assert_cmpuint (bar->bar_data1, ==, 20);
  g_assert_cmpuint (bar->bar_data2, ==, 460);
}
GST_END_TEST
#endif

#if GST_CHECK_VERSION(1, 20, 0)
GST_START_TEST (an_audio_level_crosses)
{
  g_autoptr (GstBuffer) buffer = gst_buffer_new (), got = NULL;
  GstAudioLevelMeta *meta;

  gst_buffer_add_audio_level_meta (buffer, 127, TRUE);
  got = pass_through_bytes (buffer);

  meta = get_meta (got, "GstAudioLevelMeta");
  g_assert_nonnull (meta);
  g_assert_cmpuint (meta->level, ==, 127);
  g_assert_true (meta->voice_activity);
}
GST_END_TEST

/* In a reader that has registered it as well. */
GST_START_TEST (a_custom_meta_crosses)
{
  g_autoptr (GstBuffer) buffer = gst_buffer_new (), got = NULL;
  g_autoptr (GByteArray) unknown = g_byte_array_new ();
  static const char *no_tags[] = { NULL };
  static const char text[] = "nobody-has-registered-me, x=(int)1;";
  GstCustomMeta *meta;
  int distance;

  gst_meta_register_custom ("lidar", no_tags, NULL, NULL, NULL);
  meta = gst_buffer_add_custom_meta (buffer, "lidar");
  gst_structure_set (gst_custom_meta_get_structure (meta), "distance", G_TYPE_INT, 42,
                     "unit", G_TYPE_STRING, "mm; or so", NULL);
  got = pass_through_bytes (buffer);

  meta = gst_buffer_get_custom_meta (got, "lidar");
  g_assert_nonnull (meta);
  g_assert_true (gst_structure_get_int (gst_custom_meta_get_structure (meta), "distance",
                                        &distance));
  g_assert_cmpint (distance, ==, 42);
  g_assert_cmpstr (gst_structure_get_string (gst_custom_meta_get_structure (meta), "unit"),
                   ==, "mm; or so");

  ndsh_metadata_append (unknown, NDSH_TAG_META, text, sizeof text);
  gst_ndsh_metas_add (got, unknown->data, unknown->len, NULL);
  g_assert_null (get_meta (got, "nobody-has-registered-me"));
}
GST_END_TEST
#endif

#if GST_CHECK_VERSION(1, 22, 0)
GST_START_TEST (user_data_crosses)
{
  g_autoptr (GstBuffer) buffer = gst_buffer_new (), got = NULL;
  GstVideoSEIUserDataUnregisteredMeta *meta;
  guint8 uuid[16] = { 0, 1, 2, 255 }, data[] = { 0, 9, 8 };

  gst_buffer_add_video_sei_user_data_unregistered_meta (buffer, uuid, data, sizeof data);
  got = pass_through_bytes (buffer);

  meta = get_meta (got, "GstVideoSEIUserDataUnregisteredMeta");
  g_assert_nonnull (meta);
  g_assert_cmpmem (meta->uuid, 16, uuid, 16);
  g_assert_cmpmem (meta->data, meta->size, data, sizeof data);
}
GST_END_TEST
#endif

/* --- Bytes behind the text ------------------------------------------------ */

static void
append_text (GByteArray *metadata, const char *text, gconstpointer data, gsize size)
{
  gsize length = strlen (text) + 1;
  g_autofree char *bytes = g_malloc (length + size);

  memcpy (bytes, text, length);
  if (size > 0)
    memcpy (bytes + length, data, size);
  ndsh_metadata_append (metadata, NDSH_TAG_META, bytes, length + size);
}

static GstBuffer *
add_text (const char *text, gconstpointer data, gsize size)
{
  g_autoptr (GByteArray) metadata = g_byte_array_new ();
  GstBuffer *buffer = gst_buffer_new ();

  append_text (metadata, text, data, size);
  gst_ndsh_metas_add (buffer, metadata->data, metadata->len, NULL);
  return buffer;
}

#if GST_CHECK_VERSION(1, 16, 0)
/* Which is half of what they would take in the text, where they may stand as well. */
GST_START_TEST (bytes_cross_as_bytes)
{
  static const guint8 data[] = { 0xfc, 0, 0x80, 0xff };
  static const char *const head = "GstVideoCaptionMeta, caption-type=(uint)3";
  g_autofree char *text = g_strconcat (head, ", data=(buffer)fc0080ff;", NULL);
  g_autoptr (GstBuffer) buffer = add_text (text, NULL, 0), got = NULL;
  g_autoptr (GByteArray) metadata = g_byte_array_new ();
  GstVideoCaptionMeta *meta = get_meta (buffer, "GstVideoCaptionMeta");
  NdshItem item = { 0 };

  g_assert_nonnull (meta);
  g_assert_cmpmem (meta->data, meta->size, data, sizeof data);
  gst_ndsh_metas_append (buffer, metadata, NULL);
  g_assert_true (ndsh_metadata_next (metadata->data, metadata->len, &item));
  g_assert_true (g_str_has_prefix (item.data, head));
  g_assert_null (strstr (item.data, "fc0080ff"));
  g_assert_cmpmem ((const char *) item.data + strlen (item.data) + 1,
                   item.size - strlen (item.data) - 1, data, sizeof data);
  got = pass_through_bytes (buffer);
  meta = get_meta (got, "GstVideoCaptionMeta");
  g_assert_nonnull (meta);
  g_assert_cmpmem (meta->data, meta->size, data, sizeof data);
}
GST_END_TEST
#endif

/* --- Overlays ------------------------------------------------------------- */

/* Pixels that count from @seed on, in rows with padding behind them. */
static GstBuffer *
picture_new (GstVideoFormat format, guint width, guint height, guint pixel, guint seed)
{
  gsize offset[GST_VIDEO_MAX_PLANES] = { 0 };
  gint stride[GST_VIDEO_MAX_PLANES] = { (gint) (width * pixel + 12) };
  GstBuffer *buffer = elements_buffer_new ((gsize) stride[0] * height, seed);

  gst_buffer_add_video_meta_full (buffer, GST_VIDEO_FRAME_FLAG_NONE, format, width,
                                  height, 1, offset, stride);
  return buffer;
}

static void
assert_equal_pictures (GstBuffer *a, GstBuffer *b, guint pixel)
{
  GstVideoMeta *one = gst_buffer_get_video_meta (a),
               *other = gst_buffer_get_video_meta (b);

  g_assert_true (one != NULL && other != NULL);
  g_assert_cmpint (one->format, ==, other->format);
  g_assert_cmpuint (one->width, ==, other->width);
  g_assert_cmpuint (one->height, ==, other->height);
  for (guint y = 0; y < one->height; y++) {
    guint8 row[256], same[256];
    gsize size = (gsize) one->width * pixel;

    g_assert_cmpuint (gst_buffer_extract (a, y * (gsize) one->stride[0], row, size), ==,
                      size);
    g_assert_cmpuint (gst_buffer_extract (b, y * (gsize) other->stride[0], same, size),
                      ==, size);
    g_assert_cmpmem (row, size, same, size);
  }
}

static GstVideoOverlayRectangle *
rectangle_new (GstVideoFormat format, guint width, guint seed, gint x,
               GstVideoOverlayFormatFlags flags)
{
  g_autoptr (GstBuffer) pixels = picture_new (format, width, 3, 4, seed);

  return gst_video_overlay_rectangle_new_raw (pixels, x, 7, 2 * width, 5, flags);
}

static void
assert_equal_rectangles (GstVideoOverlayRectangle *a, GstVideoOverlayRectangle *b)
{
  GstVideoOverlayFormatFlags flags = gst_video_overlay_rectangle_get_flags (a);
  gint x, y, x2, y2;
  guint w, h, w2, h2;

  gst_video_overlay_rectangle_get_render_rectangle (a, &x, &y, &w, &h);
  gst_video_overlay_rectangle_get_render_rectangle (b, &x2, &y2, &w2, &h2);
  g_assert_true (x == x2 && y == y2 && w == w2 && h == h2);
  g_assert_cmpint (gst_video_overlay_rectangle_get_flags (b), ==, flags);
  g_assert_cmpfloat (gst_video_overlay_rectangle_get_global_alpha (a), ==,
                     gst_video_overlay_rectangle_get_global_alpha (b));
  assert_equal_pictures (gst_video_overlay_rectangle_get_pixels_unscaled_raw (a, flags),
                         gst_video_overlay_rectangle_get_pixels_unscaled_raw (b, flags),
                         4);
}

static GstVideoOverlayComposition *
get_composition (GstBuffer *buffer, guint i)
{
  gpointer state = NULL;
  GstMeta *meta;

  while ((meta = gst_buffer_iterate_meta (buffer, &state)) != NULL)
    if (meta->info->api == GST_VIDEO_OVERLAY_COMPOSITION_META_API_TYPE && i-- == 0)
      return ((GstVideoOverlayCompositionMeta *) meta)->overlay;
  return NULL;
}

static void
add_composition (GstBuffer *buffer, GstVideoOverlayRectangle *first,
                 GstVideoOverlayRectangle *second)
{
  g_autoptr (GstVideoOverlayComposition) composition
    = gst_video_overlay_composition_new (first);

  if (second != NULL)
    gst_video_overlay_composition_add_rectangle (composition, second);
  gst_buffer_add_video_overlay_composition_meta (buffer, composition);
}

GST_START_TEST (overlays_cross_a_channel)
{
  Link *link = link_new ("", "", CAPS, TRUE);
  GstBuffer *buffer = elements_buffer_new (FRAME_SIZE, 1), *got;
  g_autoptr (GstVideoOverlayRectangle) first
    = rectangle_new (GST_VIDEO_OVERLAY_COMPOSITION_FORMAT_RGB, 5, 1, -3,
                     GST_VIDEO_OVERLAY_FORMAT_FLAG_PREMULTIPLIED_ALPHA);
  g_autoptr (GstVideoOverlayRectangle) second
    = rectangle_new (GST_VIDEO_OVERLAY_COMPOSITION_FORMAT_YUV, 4, 2, 30,
                     GST_VIDEO_OVERLAY_FORMAT_FLAG_NONE);
  GstVideoOverlayComposition *composition;

  gst_video_overlay_rectangle_set_global_alpha (second, 0.3f);
  add_composition (buffer, first, second);
  add_composition (buffer, second, NULL);
  got = link_pass (link, buffer);

  composition = get_composition (got, 0);
  g_assert_nonnull (composition);
  g_assert_cmpuint (gst_video_overlay_composition_n_rectangles (composition), ==, 2);
  assert_equal_rectangles (first,
                           gst_video_overlay_composition_get_rectangle (composition, 0));
  assert_equal_rectangles (second,
                           gst_video_overlay_composition_get_rectangle (composition, 1));
  composition = get_composition (got, 1);
  g_assert_nonnull (composition);
  g_assert_cmpuint (gst_video_overlay_composition_n_rectangles (composition), ==, 1);
  g_assert_null (get_composition (got, 2));
  gst_buffer_unref (got);
  link_free (link);
}
GST_END_TEST

/* Both of its pictures: half of an overlay is another one. */
GST_START_TEST (an_overlay_that_finds_no_room_stays_behind_as_a_whole)
{
  Link *link = link_new ("", "", CAPS, TRUE);
  GstBuffer *buffer = elements_buffer_new (FRAME_SIZE, 1), *got;
  GstVideoFormat format = GST_VIDEO_OVERLAY_COMPOSITION_FORMAT_RGB;
  GstVideoOverlayFormatFlags flags = GST_VIDEO_OVERLAY_FORMAT_FLAG_NONE;
  g_autoptr (GstVideoOverlayRectangle) small = rectangle_new (format, 4, 1, 0, flags);
  g_autoptr (GstVideoOverlayRectangle) large = rectangle_new (format, 6000, 1, 0, flags);

  add_composition (buffer, small, large);
  add_composition (buffer, small, NULL);
  gst_buffer_add_video_crop_meta (buffer);
  got = link_pass (link, buffer);

  g_assert_nonnull (get_composition (got, 0));
  g_assert_cmpuint (gst_video_overlay_composition_n_rectangles (get_composition (got, 0)),
                    ==, 1);
  g_assert_null (get_composition (got, 1));
  g_assert_nonnull (get_meta (got, "GstVideoCropMeta"));
  gst_buffer_unref (got);
  link_free (link);
}
GST_END_TEST

#define RGB (G_BYTE_ORDER == G_LITTLE_ENDIAN ? "BGRA" : "ARGB")

GST_START_TEST (what_is_no_overlay_is_left_out)
{
  static const struct {
    const char *place, *picture;
    gboolean can_be;
  } rows[] = {
    { "index=0, x=-3, y=0, w=4, h=2", "width=4, height=2", TRUE },
    { "index=0, x=-3, y=0, w=16384, h=2048", "width=4, height=2", TRUE },
    { "index=1, x=0, y=0, w=4, h=2", "width=4, height=2", FALSE },
    { "x=0, y=0, w=4, h=2", "width=4, height=2", FALSE },
    { "index=0, x=0, y=0, w=0, h=2", "width=4, height=2", FALSE },
    { "index=0, x=0, y=0, w=4, h=-2", "width=4, height=2", FALSE },
    { "index=0, x=0, y=0, w=16384, h=2049", "width=4, height=2", FALSE },
    { "index=0, x=0, y=0, w=16385, h=1", "width=4, height=2", FALSE },
    { "index=0, x=-2147483648, y=0, w=4, h=2", "width=4, height=2", FALSE },
    { "index=0, x=0, y=2147483647, w=4, h=2", "width=4, height=2", FALSE },
    { "index=0, x=0, y=0, w=4, h=2", "width=4, height=3", FALSE },
    { "index=0, x=0, y=0, w=4, h=2", "width=4, height=1", FALSE },
    { "index=0, x=0, y=0, w=4, h=2", "width=0, height=0", FALSE },
    { "index=0, x=0, y=0, w=4, h=2", "width=(gint64)1073741828, height=2", FALSE },
    { "index=0, x=0, y=0, w=4, h=2", "width=4", FALSE },
  };
  guint8 pixels[32] = { 0 };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree char *text
      = g_strdup_printf ("GstVideoOverlayCompositionMeta, %s, format=(string)%s, %s;",
                         rows[i].place, RGB, rows[i].picture);
    g_autoptr (GstBuffer) buffer = add_text (text, pixels, sizeof pixels);
    g_autoptr (GstBuffer) empty = add_text (text, NULL, 0);

    if ((get_composition (buffer, 0) != NULL) != rows[i].can_be)
      g_error ("\"%s\" is an overlay, or is none", text);
    g_assert_null (get_composition (empty, 0));
  }
}
GST_END_TEST

GST_START_TEST (pixels_of_other_formats_are_left_out)
{
  static const char *const formats[]
    = { "NV12", "GRAY8", "no-such-format", "", "UNKNOWN" };
  guint8 pixels[32] = { 0 };

  for (guint i = 0; i < G_N_ELEMENTS (formats); i++) {
    g_autofree char *text
      = g_strdup_printf ("GstVideoOverlayCompositionMeta, index=0, x=0, y=0, w=4, h=2, "
                         "format=(string)\"%s\", width=4, height=2;",
                         formats[i]);
    g_autoptr (GstBuffer) buffer = add_text (text, pixels, sizeof pixels);

    g_assert_null (get_composition (buffer, 0));
  }
}
GST_END_TEST

/* --- Those that serialise themselves -------------------------------------- */

#if GST_CHECK_VERSION(1, 24, 0)
typedef struct {
  GstMeta meta;
  guint8 number;
} OwnMeta;

static gboolean
init_own (GstMeta *meta, gpointer params, GstBuffer *buffer)
{
  (void) params, (void) buffer;
  ((OwnMeta *) meta)->number = 0;
  return TRUE;
}

static gboolean
serialise_own (const GstMeta *meta, GstByteArrayInterface *data, guint8 *version)
{
  *version = 3;
  return gst_byte_array_interface_append_data (data, &((const OwnMeta *) meta)->number,
                                               1);
}

static GstMeta *
deserialise_own (const GstMetaInfo *info, GstBuffer *buffer, const guint8 *data,
                 gsize size, guint8 version)
{
  GstMeta *meta = NULL;

  if (size == 1 && version == 3) {
    meta = gst_buffer_add_meta (buffer, info, NULL);
    ((OwnMeta *) meta)->number = data[0];
  }
  return meta;
}

static const GstMetaInfo *
register_own (void)
{
  static const char *no_tags[] = { NULL };
  GType api = gst_meta_api_type_register ("OwnMetaAPI", no_tags);
  GstMetaInfo *info = gst_meta_info_new (api, "OwnMeta", sizeof (OwnMeta));

  info->init_func = init_own;
  info->serialize_func = serialise_own;
  info->deserialize_func = deserialise_own;
  return gst_meta_info_register (info);
}

GST_START_TEST (a_meta_that_serialises_itself_crosses)
{
  g_autoptr (GstBuffer) buffer = gst_buffer_new (), got = NULL;
  GstMeta *meta = gst_buffer_add_meta (buffer, register_own (), NULL);

  ((OwnMeta *) meta)->number = 42;
  got = pass_through_bytes (buffer);

  meta = get_meta (got, "OwnMeta");
  g_assert_nonnull (meta);
  g_assert_cmpuint (((OwnMeta *) meta)->number, ==, 42);
}
GST_END_TEST

/* Of names that have a way of their own, or none, and of what is cut. */
GST_START_TEST (what_a_stranger_serialised_is_left_out)
{
  static const char *const names[] = { "GstVideoMeta",
                                       "GstAudioMeta",
                                       "GstReferenceTimestampMeta",
                                       "GstVideoCropMeta",
                                       "GstParentBufferMeta",
                                       "no-such-meta",
                                       "" };
  g_autoptr (GByteArray) whole = g_byte_array_new ();
  g_autoptr (GstBuffer) buffer = gst_buffer_new ();
  gpointer state = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    guint32 length = (guint32) strlen (names[i]);
    guint32 head[2] = { GUINT32_TO_LE (8 + length + 2 + 100), GUINT32_TO_LE (length) };
    g_autoptr (GByteArray) metadata = g_byte_array_new ();
    guint8 payload[101] = { 0 };

    g_byte_array_set_size (whole, 0);
    g_byte_array_append (whole, (const guint8 *) head, sizeof head);
    g_byte_array_append (whole, (const guint8 *) names[i], length + 1);
    g_byte_array_append (whole, payload, sizeof payload);
    for (guint size = 0; size <= whole->len; size++)
      ndsh_metadata_append (metadata, 7, whole->data, size);
    head[1] = GUINT32_TO_LE (G_MAXUINT32 - 9);
    memcpy (whole->data, head, sizeof head);
    ndsh_metadata_append (metadata, 7, whole->data, whole->len);
    gst_ndsh_metas_add (buffer, metadata->data, metadata->len, NULL);
  }
  g_assert_null (gst_buffer_iterate_meta (buffer, &state));
}
GST_END_TEST
#endif

/* --- Regions -------------------------------------------------------------- */

static GstVideoRegionOfInterestMeta *
add_cat (GstBuffer *buffer)
{
  GstVideoRegionOfInterestMeta *roi
    = gst_buffer_add_video_region_of_interest_meta (buffer, "cat", 1, 2, 30, 40);

  roi->id = 5;
  roi->parent_id = 4;
  gst_video_region_of_interest_meta_add_param (
    roi, gst_structure_new ("detection", "confidence", G_TYPE_DOUBLE, 0.1, "line",
                            G_TYPE_STRING, "one\ntwo", NULL));
  gst_video_region_of_interest_meta_add_param (
    roi, gst_structure_new ("color", "red", G_TYPE_INT, 255, NULL));
  return roi;
}

GST_START_TEST (regions_cross_a_channel_with_their_parameters)
{
  Link *link = link_new ("", "", CAPS, TRUE);
  GstBuffer *buffer = elements_buffer_new (FRAME_SIZE, 1), *got;
  GstVideoRegionOfInterestMeta *roi;
  double confidence;
  GstStructure *param;

  add_cat (buffer);
  gst_buffer_add_video_region_of_interest_meta (buffer, "dog", 0, 0, 1, 1);
  got = link_pass (link, buffer);

  roi = gst_buffer_get_video_region_of_interest_meta_id (got, 5);
  g_assert_nonnull (roi);
  g_assert_cmpstr (g_quark_to_string (roi->roi_type), ==, "cat");
  g_assert_cmpint (roi->parent_id, ==, 4);
  g_assert_cmpuint (roi->x, ==, 1);
  g_assert_cmpuint (roi->y, ==, 2);
  g_assert_cmpuint (roi->w, ==, 30);
  g_assert_cmpuint (roi->h, ==, 40);
  g_assert_cmpuint (g_list_length (roi->params), ==, 2);
  param = gst_video_region_of_interest_meta_get_param (roi, "detection");
  g_assert_true (gst_structure_get_double (param, "confidence", &confidence));
  g_assert_cmpfloat (confidence, ==, 0.1);
  g_assert_cmpstr (gst_structure_get_string (param, "line"), ==, "one\ntwo");
  g_assert_nonnull (gst_video_region_of_interest_meta_get_param (roi, "color"));
  g_assert_cmpuint (
    gst_buffer_get_n_meta (got, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE), ==, 2);
  gst_buffer_unref (got);

  /* And stay with their frame. */
  got = link_pass (link, elements_buffer_new (FRAME_SIZE, 2));
  g_assert_cmpuint (
    gst_buffer_get_n_meta (got, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE), ==, 0);
  gst_buffer_unref (got);
  link_free (link);
}
GST_END_TEST

/* --- Detections ----------------------------------------------------------- */

#ifdef HAVE_ANALYTICS
static GQuark
quark (const char *text)
{
  return g_quark_from_string (text);
}

static void
assert_object (GstAnalyticsRelationMeta *meta, guint id, const char *label, gint x,
               gint y, gint width, gint height, gfloat confidence)
{
  gint x2, y2, w2, h2;
  GstAnalyticsMtd mtd;
  gfloat c2;

  g_assert_true (gst_analytics_relation_meta_get_od_mtd (meta, id, &mtd));
  g_assert_cmpstr (g_quark_to_string (gst_analytics_od_mtd_get_obj_type (&mtd)), ==,
                   label);
  g_assert_true (gst_analytics_od_mtd_get_location (&mtd, &x2, &y2, &w2, &h2, &c2));
  g_assert_cmpint (x2, ==, x);
  g_assert_cmpint (y2, ==, y);
  g_assert_cmpint (w2, ==, width);
  g_assert_cmpint (h2, ==, height);
  g_assert_cmpfloat (c2, ==, confidence);
}

static GstAnalyticsRelationMeta *
get_relations (GstBuffer *buffer, guint n)
{
  GstAnalyticsRelationMeta *meta = gst_buffer_get_analytics_relation_meta (buffer);

  g_assert_nonnull (meta);
  g_assert_cmpuint (gst_analytics_relation_get_length (meta), ==, n);
  return meta;
}

GST_START_TEST (detected_objects_cross_as_what_they_are)
{
  Link *link = link_new ("", "", CAPS, TRUE);
  GstBuffer *buffer = elements_buffer_new (FRAME_SIZE, 1), *got;
  GstAnalyticsRelationMeta *relations = gst_buffer_add_analytics_relation_meta (buffer);
  GstAnalyticsMtd mtd;

  g_assert_true (gst_analytics_relation_meta_add_od_mtd (relations, quark ("cat"), 1, 2,
                                                         30, 40, 0.5f, &mtd));
  g_assert_true (gst_analytics_relation_meta_add_od_mtd (relations, quark ("dog"), -5, 3,
                                                         12, 10, 0.25f, &mtd));
  got = link_pass (link, buffer);

  relations = get_relations (got, 2);
  assert_object (relations, 0, "cat", 1, 2, 30, 40, 0.5f);
  assert_object (relations, 1, "dog", -5, 3, 12, 10, 0.25f);
  g_assert_cmpuint (
    gst_buffer_get_n_meta (got, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE), ==, 0);
  gst_buffer_unref (got);

  /* And stay with their frame. */
  got = link_pass (link, elements_buffer_new (FRAME_SIZE, 2));
  g_assert_null (gst_buffer_get_analytics_relation_meta (got));
  gst_buffer_unref (got);
  link_free (link);
}
GST_END_TEST

/* A program that does not know what is left of a picture has the part that is in it. */
GST_START_TEST (an_object_at_the_edge_is_cut_for_programs)
{
  g_autoptr (GstBuffer) buffer = gst_buffer_new ();
  g_autoptr (GByteArray) metadata = g_byte_array_new ();
  GstAnalyticsMtd mtd;
  NdshItem item = { 0 };
  NdshRegion region;

  gst_analytics_relation_meta_add_od_mtd (gst_buffer_add_analytics_relation_meta (buffer),
                                          quark ("dog"), -5, 3, 12, 10, 0.25f, &mtd);
  gst_ndsh_metas_append (buffer, metadata, NULL);

  g_assert_true (ndsh_metadata_next (metadata->data, metadata->len, &item));
  g_assert_true (ndsh_item_get_region (&item, &region));
  g_assert_cmpstr (region.label, ==, "dog");
  g_assert_cmpuint (region.x, ==, 0);
  g_assert_cmpuint (region.width, ==, 7);
}
GST_END_TEST

static const GstAnalyticsMtdImpl unknown_impl = { .name = "of-this-test" };

/* One in the middle that nobody knows, which leaves the others related as they were. */
static GstBuffer *
related_new (void)
{
  GstBuffer *buffer = elements_buffer_new (FRAME_SIZE, 1);
  GstAnalyticsRelationMeta *meta = gst_buffer_add_analytics_relation_meta (buffer);
  GQuark labels[] = { quark ("tabby; or <so>"), quark ("7") };
  gfloat levels[] = { 0.75f, 0.1f };
  GstAnalyticsMtd cat, head, unknown, kind, track, lost, all;

  gst_analytics_relation_meta_add_od_mtd (meta, quark ("cat"), 1, 2, 30, 40, 0.5f, &cat);
  gst_analytics_relation_meta_add_mtd (meta, &unknown_impl, 4, &unknown);
  gst_analytics_relation_meta_add_od_mtd (meta, quark ("head"), 1, 2, 3, 4, 0.5f, &head);
  gst_analytics_relation_meta_add_cls_mtd (meta, 2, levels, labels, &kind);
  gst_analytics_relation_meta_add_tracking_mtd (meta, G_MAXUINT64, 5, &track);
  gst_analytics_tracking_mtd_update_last_seen (&track, 6);
  gst_analytics_relation_meta_add_tracking_mtd (meta, 8, 1, &lost);
  gst_analytics_tracking_mtd_set_lost (&lost);
  gst_analytics_relation_meta_add_one_cls_mtd (meta, -1.0f, quark ("indoors"), &all);
  gst_analytics_relation_meta_set_relation (meta, GST_ANALYTICS_REL_TYPE_RELATE_TO,
                                            cat.id, unknown.id);
  gst_analytics_relation_meta_set_relation (meta, GST_ANALYTICS_REL_TYPE_CONTAIN, cat.id,
                                            head.id);
  gst_analytics_relation_meta_set_relation (meta, GST_ANALYTICS_REL_TYPE_IS_PART_OF,
                                            head.id, cat.id);
  gst_analytics_relation_meta_set_relation (meta, GST_ANALYTICS_REL_TYPE_RELATE_TO,
                                            cat.id, kind.id);
  gst_analytics_relation_meta_set_relation (
    meta,
    (GstAnalyticsRelTypes) (GST_ANALYTICS_REL_TYPE_RELATE_TO
                            | GST_ANALYTICS_REL_TYPE_IS_PART_OF),
    track.id, cat.id);
  return buffer;
}

static void
assert_related (GstBuffer *buffer)
{
  enum { CAT, HEAD, KIND, TRACK, LOST, ALL, N };
  static const guint8 types[N][N] = {
    [CAT] = { [HEAD] = GST_ANALYTICS_REL_TYPE_CONTAIN,
              [KIND] = GST_ANALYTICS_REL_TYPE_RELATE_TO },
    [HEAD] = { [CAT] = GST_ANALYTICS_REL_TYPE_IS_PART_OF },
    [TRACK]
    = { [CAT] = GST_ANALYTICS_REL_TYPE_RELATE_TO | GST_ANALYTICS_REL_TYPE_IS_PART_OF },
  };
  GstAnalyticsRelationMeta *meta = get_relations (buffer, N);
  GstClockTime first_seen, last_seen;
  GstAnalyticsMtd mtd;
  gboolean lost;
  guint64 id;

  assert_object (meta, CAT, "cat", 1, 2, 30, 40, 0.5f);
  assert_object (meta, HEAD, "head", 1, 2, 3, 4, 0.5f);
  g_assert_true (gst_analytics_relation_meta_get_cls_mtd (meta, KIND, &mtd));
  g_assert_cmpuint (gst_analytics_cls_mtd_get_length (&mtd), ==, 2);
  g_assert_cmpuint (gst_analytics_cls_mtd_get_quark (&mtd, 0), ==,
                    quark ("tabby; or <so>"));
  g_assert_cmpuint (gst_analytics_cls_mtd_get_quark (&mtd, 1), ==, quark ("7"));
  g_assert_cmpfloat (gst_analytics_cls_mtd_get_level (&mtd, 1), ==, 0.1f);
  g_assert_true (gst_analytics_relation_meta_get_tracking_mtd (meta, TRACK, &mtd));
  gst_analytics_tracking_mtd_get_info (&mtd, &id, &first_seen, &last_seen, &lost);
  g_assert_true (id == G_MAXUINT64 && first_seen == 5 && last_seen == 6 && !lost);
  g_assert_true (gst_analytics_relation_meta_get_tracking_mtd (meta, LOST, &mtd));
  gst_analytics_tracking_mtd_get_info (&mtd, &id, &first_seen, &last_seen, &lost);
  g_assert_true (id == 8 && first_seen == 1 && last_seen == 1 && lost);
  g_assert_true (gst_analytics_relation_meta_get_cls_mtd (meta, ALL, &mtd));
  g_assert_cmpfloat (gst_analytics_cls_mtd_get_level (&mtd, 0), ==, -1.0f);
  for (guint i = 0; i < N; i++)
    for (guint j = 0; j < N; j++)
      g_assert_cmpuint (gst_analytics_relation_meta_get_relation (meta, i, j), ==,
                        types[i][j]);
}

GST_START_TEST (classes_and_tracks_cross_and_know_whose_they_are)
{
  Link *link = link_new ("", "", CAPS, TRUE);
  GstBuffer *got = link_pass (link, related_new ());

  assert_related (got);
  gst_buffer_unref (got);
  link_free (link);
}
GST_END_TEST

/* What a reader cannot make anything of has a number as well. */
GST_START_TEST (records_that_cannot_be_are_counted)
{
  static const char *const cannot_be[]
    = { "GstAnalyticsClsMtd, labels=<(string)a>, confidences=<0.5, 0.5>;",
        "GstAnalyticsClsMtd, labels=<1>, confidences=<0.5>;",
        "GstAnalyticsClsMtd, labels=<(string)a>, confidences=<(string)b>;",
        "GstAnalyticsClsMtd, labels=(string)a, confidences=0.5;",
        "GstAnalyticsClsMtd;",
        "GstAnalyticsTrackingMtd, tracking-id=-5;",
        "GstAnalyticsTrackingMtd;",
        "GstAnalyticsSegmentationMtd;" };
  const NdshRegion cat = { .label = "cat", .parameters = "GstAnalyticsODMtd" };

  for (guint i = 0; i < G_N_ELEMENTS (cannot_be); i++) {
    g_autoptr (GByteArray) metadata = g_byte_array_new ();
    g_autoptr (GstBuffer) buffer = gst_buffer_new ();
    GstAnalyticsRelationMeta *meta;

    append_text (metadata, cannot_be[i], NULL, 0);
    ndsh_metadata_append_region (metadata, &cat);
    append_text (metadata, "GstAnalyticsTrackingMtd, tracking-id=7;", NULL, 0);
    append_text (
      metadata,
      "GstAnalyticsRelationMeta, from=<0, 1, 2, 3, 1, -1, (gint64)4294967297, 1>, "
      "to=<0, 2, 0, 1, 3, 1, 1, 1>, types=<8, 8, 8, 8, 8, 8, 8, 1000>;",
      NULL, 0);
    gst_ndsh_metas_add (buffer, metadata->data, metadata->len, NULL);

    meta = get_relations (buffer, 2);
    assert_object (meta, 0, "cat", 0, 0, 0, 0, 0.0f);
    g_assert_cmpuint (gst_analytics_relation_meta_get_relation (meta, 0, 1), ==, 8);
    g_assert_cmpuint (gst_analytics_relation_meta_get_relation (meta, 1, 0), ==, 0);
    g_assert_cmpuint (gst_analytics_relation_meta_get_relation (meta, 0, 0), ==, 0);
  }
}
GST_END_TEST

GST_START_TEST (relations_of_nothing_are_left_out)
{
  static const char *const texts[]
    = { "GstAnalyticsRelationMeta, from=<0>, to=<0>, types=<8>;",
        "GstAnalyticsRelationMeta, from=<0>, to=<0, 1>, types=<8>;",
        "GstAnalyticsRelationMeta;" };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autoptr (GstBuffer) buffer = add_text (texts[i], NULL, 0);

    g_assert_null (gst_buffer_get_analytics_relation_meta (buffer));
  }
}
GST_END_TEST

#if GST_CHECK_VERSION(1, 26, 0)
GST_START_TEST (a_turned_object_crosses)
{
  g_autoptr (GstBuffer) buffer = gst_buffer_new (), got = NULL;
  GstAnalyticsMtd mtd;
  gint x, y, w, h;
  gfloat rotation, confidence;

  gst_analytics_relation_meta_add_oriented_od_mtd (
    gst_buffer_add_analytics_relation_meta (buffer), quark ("cat"), 1, -2, 3, 4, -0.7f,
    0.5f, &mtd);
  got = pass_through_bytes (buffer);

  g_assert_true (
    gst_analytics_relation_meta_get_od_mtd (get_relations (got, 1), 0, &mtd));
  g_assert_true (gst_analytics_od_mtd_get_oriented_location (&mtd, &x, &y, &w, &h,
                                                             &rotation, &confidence));
  g_assert_true (x == 1 && y == -2 && w == 3 && h == 4);
  g_assert_cmpfloat (rotation, ==, -0.7f);
}
GST_END_TEST

static void
add_segmentation (GstBuffer *buffer, guint width)
{
  GstAnalyticsRelationMeta *meta = gst_buffer_add_analytics_relation_meta (buffer);
  GQuark labels[] = { quark ("sky"), quark ("road") };
  gfloat levels[] = { -1, -1 };
  guint ids[] = { 12, 7 };
  GstAnalyticsMtd mask, kinds;

  g_assert_true (gst_analytics_relation_meta_add_segmentation_mtd (
    meta, picture_new (GST_VIDEO_FORMAT_GRAY16_LE, width, 3, 2, 4),
    GST_SEGMENTATION_TYPE_SEMANTIC, 2, ids, -1, 2, 640, 480, &mask));
  gst_analytics_relation_meta_add_cls_mtd (meta, 2, levels, labels, &kinds);
  gst_analytics_relation_meta_set_relation (meta, GST_ANALYTICS_REL_TYPE_N_TO_N, mask.id,
                                            kinds.id);
}

GST_START_TEST (a_segmentation_crosses)
{
  g_autoptr (GstBuffer) buffer = gst_buffer_new (), got = NULL, mask = NULL;
  g_autoptr (GstBuffer) want = picture_new (GST_VIDEO_FORMAT_GRAY16_LE, 5, 3, 2, 4);
  GstAnalyticsRelationMeta *meta;
  GstAnalyticsMtd mtd;
  guint w, h;
  gint x, y;

  add_segmentation (buffer, 5);
  got = pass_through_bytes (buffer);

  meta = get_relations (got, 2);
  g_assert_true (gst_analytics_relation_meta_get_segmentation_mtd (meta, 0, &mtd));
  mask = gst_analytics_segmentation_mtd_get_mask (&mtd, &x, &y, &w, &h);
  g_assert_true (x == -1 && y == 2 && w == 640 && h == 480);
  assert_equal_pictures (mask, want, 2);
  g_assert_cmpuint (gst_analytics_segmentation_mtd_get_region_count (&mtd), ==, 2);
  g_assert_cmpuint (gst_analytics_segmentation_mtd_get_region_id (&mtd, 0), ==, 12);
  g_assert_cmpuint (gst_analytics_segmentation_mtd_get_region_id (&mtd, 1), ==, 7);
  g_assert_cmpuint (gst_analytics_relation_meta_get_relation (meta, 0, 1), ==,
                    GST_ANALYTICS_REL_TYPE_N_TO_N);
}
GST_END_TEST

GST_START_TEST (a_mask_that_finds_no_room_stays_behind_alone)
{
  g_autoptr (GstBuffer) buffer = gst_buffer_new (), got = NULL;
  GstAnalyticsMtd mtd;

  add_segmentation (buffer, 20000);
  got = pass_through_bytes (buffer);

  g_assert_true (
    gst_analytics_relation_meta_get_cls_mtd (get_relations (got, 1), 0, &mtd));
}
GST_END_TEST

GST_START_TEST (what_is_no_segmentation_is_left_out)
{
  static const struct {
    const char *fields;
    gboolean can_be;
  } rows[] = {
    { "x=0, y=0, w=9, h=9, region-ids=<1, 2>, width=4, height=2", TRUE },
    { "x=0, y=0, w=9, h=9, region-ids=<>, width=4, height=2", TRUE },
    { "x=0, y=0, w=9, h=9, region-ids=<-1>, width=4, height=2", FALSE },
    { "x=0, y=0, w=9, h=9, region-ids=<(gint64)4294967296>, width=4, height=2", FALSE },
    { "x=0, y=0, w=9, h=9, region-ids=<a>, width=4, height=2", FALSE },
    { "x=0, y=0, w=9, h=9, width=4, height=2", FALSE },
    { "x=0, y=0, w=-9, h=9, region-ids=<1>, width=4, height=2", FALSE },
    { "y=0, w=9, h=9, region-ids=<1>, width=4, height=2", FALSE },
    { "x=0, y=0, w=9, h=9, region-ids=<1>, width=4, height=4", FALSE },
  };
  guint8 pixels[8] = { 0 };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree char *text = g_strdup_printf (
      "GstAnalyticsSegmentationMtd, %s, format=(string)GRAY8;", rows[i].fields);
    g_autoptr (GstBuffer) buffer = add_text (text, pixels, sizeof pixels);

    if ((gst_buffer_get_analytics_relation_meta (buffer) != NULL) != rows[i].can_be)
      g_error ("\"%s\" is a segmentation, or is none", text);
  }
}
GST_END_TEST

/* --- Tensors -------------------------------------------------------------- */

static GstTensor *
tensor_new (const char *id, GstTensorDataType type, gsize size, gsize rows, gsize columns)
{
  gsize dims[] = { rows, columns };

  return gst_tensor_new_simple (quark (id), type, elements_buffer_new (size, 3),
                                GST_TENSOR_DIM_ORDER_COL_MAJOR, 2, dims);
}

static void
add_tensors (GstBuffer *buffer, guint n, GstTensor *const *tensors)
{
  GstTensor **copies = g_new (GstTensor *, n);

  for (guint i = 0; i < n; i++)
    copies[i] = gst_tensor_copy (tensors[i]);
  gst_tensor_meta_set (gst_buffer_add_tensor_meta (buffer), n, copies);
}

static void
assert_equal_tensors (const GstTensor *a, const GstTensor *b)
{
  g_assert_cmpuint (a->id, ==, b->id);
  g_assert_cmpint (a->data_type, ==, b->data_type);
  g_assert_cmpint (a->dims_order, ==, b->dims_order);
  g_assert_cmpint (a->layout, ==, b->layout);
  g_assert_cmpmem (a->dims, a->num_dims * sizeof (gsize), b->dims,
                   b->num_dims * sizeof (gsize));
  elements_assert_equal_bytes (a->data, b->data);
}

GST_START_TEST (tensors_cross_a_channel)
{
  Link *link = link_new ("", "", CAPS, TRUE);
  GstBuffer *buffer = elements_buffer_new (FRAME_SIZE, 1), *got;
  GstTensor *tensors[]
    = { tensor_new ("boxes", GST_TENSOR_DATA_TYPE_FLOAT32, 48, 3, 4),
        tensor_new ("bits; or so", GST_TENSOR_DATA_TYPE_UINT4, 8, 3, 5),
        tensor_new ("none", GST_TENSOR_DATA_TYPE_INT64, 0, 0, 5) };
  const GstTensorMeta *meta;

  add_tensors (buffer, 3, tensors);
  got = link_pass (link, buffer);

  meta = gst_buffer_get_tensor_meta (got);
  g_assert_nonnull (meta);
  g_assert_cmpuint (meta->num_tensors, ==, 3);
  for (guint i = 0; i < 3; i++) {
    assert_equal_tensors (meta->tensors[i], tensors[i]);
    gst_tensor_free (tensors[i]);
  }
  gst_buffer_unref (got);
  link_free (link);
}
GST_END_TEST

GST_START_TEST (tensors_that_find_no_room_stay_behind_together)
{
  g_autoptr (GstBuffer) buffer = gst_buffer_new (), got = NULL;
  GstTensor *tensors[]
    = { tensor_new ("small", GST_TENSOR_DATA_TYPE_UINT8, 4, 2, 2),
        tensor_new ("large", GST_TENSOR_DATA_TYPE_UINT8, 70000, 1000, 70) };

  add_tensors (buffer, 2, tensors);
  gst_buffer_add_video_crop_meta (buffer);
  got = pass_through_bytes (buffer);

  g_assert_null (gst_buffer_get_tensor_meta (got));
  g_assert_nonnull (get_meta (got, "GstVideoCropMeta"));
  gst_tensor_free (tensors[0]);
  gst_tensor_free (tensors[1]);
}
GST_END_TEST

GST_START_TEST (what_is_no_tensor_is_left_out)
{
  static const struct {
    const char *fields;
    gboolean can_be;
  } rows[] = {
    { "index=0, id=(string)a, type=(string)float32, dims=<2, 1>", TRUE },
    { "index=0, id=(string)a, type=(string)int4, dims=<15, 1>", TRUE },
    { "index=0, id=(string)a, type=(string)float32, dims=<0, 17>", TRUE },
    { "index=1, id=(string)a, type=(string)float32, dims=<2, 1>", FALSE },
    { "id=(string)a, type=(string)float32, dims=<2, 1>", FALSE },
    { "index=0, type=(string)float32, dims=<2, 1>", FALSE },
    { "index=0, id=(string)a, type=(string)float33, dims=<2, 1>", FALSE },
    { "index=0, id=(string)a, type=3, dims=<2, 1>", FALSE },
    { "index=0, id=(string)a, type=(string)float32, dims=<>", FALSE },
    { "index=0, id=(string)a, type=(string)float32, dims=2", FALSE },
    { "index=0, id=(string)a, type=(string)float32, dims=<2, 2>", FALSE },
    { "index=0, id=(string)a, type=(string)float32, dims=<-2, -1>", FALSE },
    { "index=0, id=(string)a, type=(string)float64, dims=<1073741824, 1073741824, 16>",
      FALSE },
    { "index=0, id=(string)a, type=(string)float64, "
      "dims=<(gint64)4294967297, (gint64)4294967297>",
      FALSE },
    { "index=0, id=(string)a, type=(string)float64, "
      "dims=<1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1>",
      FALSE },
  };
  guint8 data[8] = { 0 };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree char *text = g_strdup_printf ("GstTensorMeta, %s;", rows[i].fields);
    g_autoptr (GstBuffer) buffer = add_text (text, data, sizeof data);

    if ((gst_buffer_get_tensor_meta (buffer) != NULL) != rows[i].can_be)
      g_error ("\"%s\" is a tensor, or is none", text);
  }
}
GST_END_TEST
#endif
#endif

GST_START_TEST (a_program_reads_the_regions_of_a_pipeline)
{
  GstHarness *sink = elements_harness_new ("ndshsink", "channel=test");
  GstBuffer *buffer = elements_buffer_new (FRAME_SIZE, 1);
  g_autoptr (NdshReader) reader = NULL;
  g_autoptr (NdshFrame) frame = NULL;
  gconstpointer metadata;
  NdshItem item = { 0 };
  NdshRegion region;
  gsize size;

  add_cat (buffer);
  gst_harness_set_src_caps_str (sink, CAPS);
  gst_harness_push (sink, buffer);
  reader = ndsh_test_reader (NDSH_READ_LATEST, 0, 2);
  frame = ndsh_reader_read (reader, WAIT_SECONDS * G_USEC_PER_SEC, NULL);

  g_assert_nonnull (frame);
  metadata = ndsh_frame_get_metadata (frame, &size);
  while (ndsh_metadata_next (metadata, size, &item))
    if (item.tag == NDSH_TAG_REGION)
      break;
  g_assert_true (ndsh_item_get_region (&item, &region));
  g_assert_cmpstr (region.label, ==, "cat");
  g_assert_cmpuint (region.height, ==, 40);
  g_assert_cmpfloat (region.confidence, ==, 0.1);
  g_assert_nonnull (strstr (region.parameters, "\ncolor, red=(int)255"));
  gst_harness_teardown (sink);
}
GST_END_TEST

GST_START_TEST (a_pipeline_reads_the_regions_of_a_program)
{
  const NdshRegion person
    = { "person", -1, -1, 10, 20, 30, 40, 0.5, "pose, arms=(int)2;\nno structure {" };
  g_autoptr (GByteArray) metadata = g_byte_array_new ();
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshDraft) draft = NULL;
  GstHarness *src = elements_harness_new ("ndshsrc", "channel=test");
  GstVideoRegionOfInterestMeta *roi;
  const gsize shape[] = { 48, 64 };
  g_autoptr (GstBuffer) buffer = NULL;
  NdshArrayInfo info;
  double confidence;

  ndsh_writer_set_description (writer, CAPS, NULL);
  ndsh_array_info_init (&info, NDSH_DTYPE_UINT8, 2, shape);
  draft = ndsh_writer_begin (writer, &info, 1, NULL);
  ndsh_metadata_append_region (metadata, &person);
  g_assert_true (ndsh_draft_describe (draft, &info, 1, 0, metadata->data, metadata->len,
                                      NULL));
  g_assert_cmpuint (ndsh_draft_publish (draft, NULL), ==, 1);
  gst_harness_play (src);
  buffer = gst_harness_pull (src);

  roi = get_meta (buffer, "GstVideoRegionOfInterestMeta");
  g_assert_nonnull (roi);
  g_assert_cmpstr (g_quark_to_string (roi->roi_type), ==, "person");
  g_assert_cmpuint (roi->w, ==, 30);
  g_assert_cmpuint (g_list_length (roi->params), ==, 2);
  g_assert_true (gst_structure_get_double (
    gst_video_region_of_interest_meta_get_param (roi, "detection"), "confidence",
    &confidence));
  g_assert_cmpfloat (confidence, ==, 0.5);
  gst_harness_teardown (src);
}
GST_END_TEST

/* --- As events ------------------------------------------------------------ */

static void
append_cat (GByteArray *metadata, int x)
{
  const NdshRegion cat = { .label = "cat", .x = (guint) x, .width = 3, .height = 4,
                           .parameters = "" };

  ndsh_metadata_append_region (metadata, &cat);
}

/* What gdppay and gdpdepay make of a type. */
static const GstEventType through_gdp
  = (GstEventType) (GST_EVENT_CUSTOM_DOWNSTREAM & 0xffff);

/* The event, as text as on a network. */
static void
note_cat (GstNdshEvents *events, guint64 number, int x)
{
  g_autoptr (GByteArray) metadata = g_byte_array_new ();
  g_autoptr (GstEvent) event = NULL, other = NULL;
  g_autofree char *text = NULL;

  if (x >= 0)
    append_cat (metadata, x);
  event = gst_ndsh_events_new_metas (number, metadata->data, metadata->len);
  text = gst_structure_to_string (gst_event_get_structure (event));
  other = gst_event_new_custom (x % 2 != 0 ? through_gdp : GST_EVENT_CUSTOM_DOWNSTREAM,
                                gst_structure_from_string (text, NULL));
  gst_ndsh_events_note (events, other);
}

/* The cat's x; -1 for no cat. */
static int
find_cat (GstNdshEvents *events)
{
  g_autoptr (GByteArray) metadata = g_byte_array_new ();
  NdshItem item = { 0 };
  NdshRegion region;
  int x = -1;

  gst_ndsh_events_append (events, metadata);
  while (ndsh_metadata_next (metadata->data, metadata->len, &item)) {
    g_assert_cmpint (x, ==, -1);
    g_assert_true (ndsh_item_get_region (&item, &region));
    x = (int) region.x;
  }
  return x;
}

GST_START_TEST (metas_that_come_as_an_event_are_the_next_frame_s)
{
  GstNdshEvents *events = gst_ndsh_events_new ();

  g_assert_cmpint (find_cat (events), ==, -1);
  note_cat (events, 9, 1);
  g_assert_cmpint (find_cat (events), ==, 1);
  gst_ndsh_events_done (events);
  g_assert_cmpint (find_cat (events), ==, -1);

  /* The frame that was to follow the first of two got lost. */
  note_cat (events, 2, 2);
  note_cat (events, 3, 3);
  g_assert_cmpint (find_cat (events), ==, 3);
  note_cat (events, 2, 2);
  g_assert_cmpint (find_cat (events), ==, 3);
  note_cat (events, 4, -1);
  g_assert_cmpint (find_cat (events), ==, -1);
  gst_ndsh_events_free (events);
}
GST_END_TEST

GST_START_TEST (an_event_of_metas_may_be_anything)
{
  static const char *const texts[]
    = { "GstNdshMetas", "GstNdshMetas, items=(int)5", "GstNdshMetas, items=(buffer)00",
        "GstNdshMetas, items=(string)\"\"", "GstNdshMetas, frame=(guint64)1, items=(int)5",
        "GstNdshMetas, frame=(guint64)1, items=(buffer)00",
        "GstNdshMetas, frame=(guint64)0, items=(buffer)00",
        "GstNdshMetas, frame=(string)a, items=(buffer)00" };
  GstNdshEvents *events = gst_ndsh_events_new ();
  g_autoptr (GByteArray) large = g_byte_array_new ();

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autoptr (GstEvent) event = gst_event_new_custom (
      GST_EVENT_CUSTOM_DOWNSTREAM, gst_structure_from_string (texts[i], NULL));

    gst_ndsh_events_note (events, event);
    g_assert_cmpint (find_cat (events), ==, -1);
  }
  while (large->len < NDSH_MAX_METADATA / 2)
    append_cat (large, 1);
  for (guint i = 0; i < 3; i++) {
    g_autoptr (GstEvent) event = gst_ndsh_events_new_metas (i + 1, large->data, large->len);

    gst_ndsh_events_note (events, event);
    g_assert_cmpint (find_cat (events), ==, -1);
  }
  note_cat (events, 7, 7);
  g_assert_cmpint (find_cat (events), ==, 7);
  gst_ndsh_events_free (events);
}
GST_END_TEST

/* Items of others that ride with a frame are its writer's alone. */
GST_START_TEST (what_is_no_meta_does_not_go_as_one)
{
  g_autoptr (GByteArray) metadata = g_byte_array_new (), got = g_byte_array_new ();
  GstNdshEvents *events = gst_ndsh_events_new ();
  g_autoptr (GstEvent) event = NULL;

  ndsh_metadata_append (metadata, GST_NDSH_TAG_EVENT, "\3a;", 4);
  ndsh_metadata_append (metadata, 1, "12345678", 8);
  event = gst_ndsh_events_new_metas (1, metadata->data, metadata->len);
  gst_ndsh_events_note (events, event);
  gst_ndsh_events_append (events, got);
  g_assert_cmpuint (got->len, ==, 0);
  gst_ndsh_events_free (events);
}
GST_END_TEST

GST_START_TEST (each_buffer_has_its_metas_before_it)
{
  Link *link = link_new ("", "metas-as-events=true", CAPS, TRUE);

  for (guint i = 0; i < 3; i++) {
    GstBuffer *buffer = elements_buffer_new (FRAME_SIZE, 1);
    gboolean has_metas = FALSE;
    GstEvent *event;
    guint n = 0;

    if (i == 1)
      gst_buffer_add_video_region_of_interest_meta (buffer, "cat", 1, 2, 3, 4);
    gst_buffer_unref (link_pass (link, buffer));
    while ((event = gst_harness_try_pull_event (link->src)) != NULL) {
      if (GST_EVENT_TYPE (event) == GST_EVENT_CUSTOM_DOWNSTREAM) {
        n++;
        has_metas = gst_structure_has_field (gst_event_get_structure (event), "items");
      }
      gst_event_unref (event);
    }
    g_assert_cmpuint (n, ==, 1);
    g_assert_cmpint (has_metas, ==, i == 1);
  }
  link_free (link);
}
GST_END_TEST

/* --- What cannot be ------------------------------------------------------- */

GST_START_TEST (what_cannot_cross_stays_behind_alone)
{
  Link *link = link_new ("", "", CAPS, TRUE);
  GstBuffer *buffer = elements_buffer_new (FRAME_SIZE, 1), *got;
  g_autoptr (GstBuffer) parent = gst_buffer_new ();

  gst_buffer_add_parent_buffer_meta (buffer, parent);
  gst_buffer_add_video_crop_meta (buffer);
  got = link_pass (link, buffer);

  g_assert_null (get_meta (got, "GstParentBufferMeta"));
  g_assert_nonnull (get_meta (got, "GstVideoCropMeta"));
  gst_buffer_unref (got);
  link_free (link);
}
GST_END_TEST

GST_START_TEST (metas_that_find_no_room_leave_the_frame_alone)
{
  Link *link = link_new ("", "", CAPS, TRUE);
  GstBuffer *buffer = elements_buffer_new (FRAME_SIZE, 1), *got;
  g_autofree char *label = g_strnfill (NDSH_MAX_METADATA, 'x');

  gst_buffer_add_video_region_of_interest_meta (buffer, label, 1, 2, 3, 4);
  gst_buffer_add_video_crop_meta (buffer);
  got = link_pass (link, buffer);

  g_assert_null (get_meta (got, "GstVideoRegionOfInterestMeta"));
  g_assert_nonnull (get_meta (got, "GstVideoCropMeta"));
  gst_buffer_unref (got);
  link_free (link);
}
GST_END_TEST

static const char *const no_metas[]
  = { "",
      "GstVideoCropMeta",
      "GstVideoCropMeta, x=(uint)1, y=(uint)2, width=(uint)3;",
      "GstVideoCropMeta, x=(string)1, y=(uint)2, width=(uint)3, height=(uint)4;",
      "GstVideoCropMeta, x=(int)-1, y=(uint)2, width=(uint)3, height=(uint)4;",
      "GstVideoCropMeta, x=(gint64)4294967296, y=(int)2, width=(int)3, height=(int)4;",
      "GstVideoMeta, width=(uint)1;",
      "GstParentBufferMeta;",
      "GstVideoTimeCodeMeta, fps-n=(uint)0, fps-d=(uint)1, flags=(uint)0, hours=(uint)1, "
      "minutes=(uint)1, seconds=(uint)1, frames=(uint)1, field-count=(uint)0;",
      "GstVideoTimeCodeMeta, fps-n=(uint)30, fps-d=(uint)1, flags=(uint)0, "
      "hours=(uint)99, minutes=(uint)1, seconds=(uint)1, frames=(uint)1, "
      "field-count=(uint)0;",
      "GstReferenceTimestampMeta, reference=(string)hello, timestamp=(guint64)1, "
      "duration=(guint64)1;",
      "GstVideoCaptionMeta, caption-type=(uint)77, data=(buffer)ff;",
      "GstVideoCaptionMeta, caption-type=(uint)1, data=(buffer)NULL;",
      "GstVideoAFDMeta, field=(uint)200, spec=(uint)0, afd=(uint)0;",
      "GstVideoSEIUserDataUnregisteredMeta, uuid=(buffer)00, data=(buffer)00;" };

GST_START_TEST (text_that_is_no_meta_is_left_out)
{
  for (guint i = 0; i < G_N_ELEMENTS (no_metas); i++) {
    g_autoptr (GByteArray) metadata = g_byte_array_new ();
    g_autoptr (GstBuffer) buffer = gst_buffer_new ();
    gpointer state = NULL;

    ndsh_metadata_append (metadata, NDSH_TAG_META, no_metas[i], strlen (no_metas[i]) + 1);
    ndsh_metadata_append (metadata, NDSH_TAG_META, no_metas[i], strlen (no_metas[i]));
    gst_ndsh_metas_add (buffer, metadata->data, metadata->len, NULL);
    if (gst_buffer_iterate_meta (buffer, &state) != NULL)
      g_error ("\"%s\" became a meta", no_metas[i]);
  }
}
GST_END_TEST

GST_START_TEST (lists_in_lists_without_end_are_left_out)
{
  g_autofree char *open = g_strnfill (30000, '{'), *close = g_strnfill (30000, '}');
  g_autofree char *text = g_strconcat ("GstVideoCropMeta, x=", open, close, NULL);
  const NdshRegion region = { .label = "", .parameters = text };
  g_autoptr (GByteArray) metadata = g_byte_array_new ();
  g_autoptr (GstBuffer) buffer = gst_buffer_new ();
  GstVideoRegionOfInterestMeta *roi;

  ndsh_metadata_append (metadata, NDSH_TAG_META, text, strlen (text) + 1);
  ndsh_metadata_append_region (metadata, &region);
  gst_ndsh_metas_add (buffer, metadata->data, metadata->len, NULL);

  g_assert_null (get_meta (buffer, "GstVideoCropMeta"));
  roi = get_meta (buffer, "GstVideoRegionOfInterestMeta");
  g_assert_nonnull (roi);
  g_assert_cmpuint (g_list_length (roi->params), ==, 1);        /* the confidence */
}
GST_END_TEST

/* From GStreamer 1.26 on names of fields are no quarks. */
GST_START_TEST (names_that_were_heard_before_are_no_new_ones)
{
  for (guint i = 0; i < 20000; i++) {
    g_autoptr (GstBuffer) buffer
      = add_text ("GstAudioClippingMeta, format=default, start=1, end=2, hello=3;", NULL, 0);

    g_assert_nonnull (get_meta (buffer, "GstAudioClippingMeta"));
  }
}
GST_END_TEST

static Suite *
metas_suite (void)
{
  Suite *suite = suite_create ("metas");
  TCase *tcase = elements_case_new (suite, "metas");

  tcase_add_test (tcase, a_crop_crosses);
  tcase_add_test (tcase, reference_timestamps_cross_in_their_order);
  tcase_add_test (tcase, a_time_code_crosses_with_the_day_it_counts_from);
  tcase_add_test (tcase, audio_clipping_crosses);
#if GST_CHECK_VERSION(1, 16, 0)
  tcase_add_test (tcase, captions_cross);
#endif
#if GST_CHECK_VERSION(1, 16, 0)
  tcase_add_test (tcase, bytes_cross_as_bytes);
#endif
  tcase_add_test (tcase, overlays_cross_a_channel);
  tcase_add_test (tcase, an_overlay_that_finds_no_room_stays_behind_as_a_whole);
  tcase_add_test (tcase, what_is_no_overlay_is_left_out);
  tcase_add_test (tcase, pixels_of_other_formats_are_left_out);
#if GST_CHECK_VERSION(1, 18, 0)
  tcase_add_test (tcase, active_format_and_bars_cross);
#endif
#if GST_CHECK_VERSION(1, 20, 0)
  tcase_add_test (tcase, an_audio_level_crosses);
  tcase_add_test (tcase, a_custom_meta_crosses);
#endif
#if GST_CHECK_VERSION(1, 22, 0)
  tcase_add_test (tcase, user_data_crosses);
#endif
#if GST_CHECK_VERSION(1, 24, 0)
  tcase_add_test (tcase, a_meta_that_serialises_itself_crosses);
  tcase_add_test (tcase, what_a_stranger_serialised_is_left_out);
#endif
  tcase_add_test (tcase, regions_cross_a_channel_with_their_parameters);
#ifdef HAVE_ANALYTICS
  tcase_add_test (tcase, detected_objects_cross_as_what_they_are);
  tcase_add_test (tcase, an_object_at_the_edge_is_cut_for_programs);
  tcase_add_test (tcase, classes_and_tracks_cross_and_know_whose_they_are);
  tcase_add_test (tcase, records_that_cannot_be_are_counted);
  tcase_add_test (tcase, relations_of_nothing_are_left_out);
#if GST_CHECK_VERSION(1, 26, 0)
  tcase_add_test (tcase, a_turned_object_crosses);
  tcase_add_test (tcase, a_segmentation_crosses);
  tcase_add_test (tcase, a_mask_that_finds_no_room_stays_behind_alone);
  tcase_add_test (tcase, what_is_no_segmentation_is_left_out);
  tcase_add_test (tcase, tensors_cross_a_channel);
  tcase_add_test (tcase, tensors_that_find_no_room_stay_behind_together);
  tcase_add_test (tcase, what_is_no_tensor_is_left_out);
#endif
#endif
  tcase_add_test (tcase, a_program_reads_the_regions_of_a_pipeline);
  tcase_add_test (tcase, a_pipeline_reads_the_regions_of_a_program);
  tcase_add_test (tcase, metas_that_come_as_an_event_are_the_next_frame_s);
  tcase_add_test (tcase, an_event_of_metas_may_be_anything);
  tcase_add_test (tcase, what_is_no_meta_does_not_go_as_one);
  tcase_add_test (tcase, each_buffer_has_its_metas_before_it);
  tcase_add_test (tcase, what_cannot_cross_stays_behind_alone);
  tcase_add_test (tcase, metas_that_find_no_room_leave_the_frame_alone);
  tcase_add_test (tcase, text_that_is_no_meta_is_left_out);
  tcase_add_test (tcase, lists_in_lists_without_end_are_left_out);
  tcase_add_test (tcase, names_that_were_heard_before_are_no_new_ones);
  return suite;
}

GST_CHECK_MAIN (metas)
