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
    = gst_caps_from_string ("timestamp/x-ptp, version=(string)\"2, maybe\"");
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
  return gst_byte_array_interface_append_data (data, &((const OwnMeta *) meta)->number, 1);
}

static GstMeta *
deserialise_own (const GstMetaInfo *info, GstBuffer *buffer, const guint8 *data, gsize size,
                 guint8 version)
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
  static const char *const names[]
    = { "GstVideoMeta", "GstAudioMeta", "GstReferenceTimestampMeta", "GstVideoCropMeta",
        "GstParentBufferMeta", "no-such-meta", "" };
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
  g_assert_cmpuint (gst_buffer_get_n_meta (
                      got, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE), ==, 2);
  gst_buffer_unref (got);

  /* And stay with their frame. */
  got = link_pass (link, elements_buffer_new (FRAME_SIZE, 2));
  g_assert_cmpuint (gst_buffer_get_n_meta (
                      got, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE), ==, 0);
  gst_buffer_unref (got);
  link_free (link);
}
GST_END_TEST

#ifdef HAVE_ANALYTICS
/* What else is in it stays behind. */
GST_START_TEST (detected_objects_cross_as_what_they_are)
{
  Link *link = link_new ("", "", CAPS, TRUE);
  GstBuffer *buffer = elements_buffer_new (FRAME_SIZE, 1), *got;
  GstAnalyticsRelationMeta *relations = gst_buffer_add_analytics_relation_meta (buffer);
  gint x, y, width, height;
  GstAnalyticsMtd mtd;
  gfloat confidence;

  g_assert_true (gst_analytics_relation_meta_add_od_mtd (
    relations, g_quark_from_string ("cat"), 1, 2, 30, 40, 0.5f, &mtd));
  g_assert_true (gst_analytics_relation_meta_add_tracking_mtd (relations, 7, 0, &mtd));
  g_assert_true (gst_analytics_relation_meta_add_od_mtd (
    relations, g_quark_from_string ("dog"), -5, 3, 12, 10, 0.25f, &mtd));
  got = link_pass (link, buffer);

  relations = gst_buffer_get_analytics_relation_meta (got);
  g_assert_nonnull (relations);
  g_assert_cmpuint (gst_analytics_relation_get_length (relations), ==, 2);
  g_assert_true (gst_analytics_relation_meta_get_od_mtd (relations, 0, &mtd));
  g_assert_cmpstr (g_quark_to_string (gst_analytics_od_mtd_get_obj_type (&mtd)), ==,
                   "cat");
  g_assert_true (gst_analytics_od_mtd_get_location (&mtd, &x, &y, &width, &height,
                                                    &confidence));
  g_assert_cmpint (x, ==, 1);
  g_assert_cmpint (y, ==, 2);
  g_assert_cmpint (width, ==, 30);
  g_assert_cmpint (height, ==, 40);
  g_assert_cmpfloat (confidence, ==, 0.5f);
  g_assert_true (gst_analytics_relation_meta_get_od_mtd (relations, 1, &mtd));
  g_assert_true (gst_analytics_od_mtd_get_location (&mtd, &x, &y, &width, &height,
                                                    &confidence));
  g_assert_cmpint (x, ==, 0);
  g_assert_cmpint (width, ==, 7);
  g_assert_cmpuint (gst_buffer_get_n_meta (
                      got, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE), ==, 0);
  gst_buffer_unref (got);

  /* And stay with their frame. */
  got = link_pass (link, elements_buffer_new (FRAME_SIZE, 2));
  g_assert_null (gst_buffer_get_analytics_relation_meta (got));
  gst_buffer_unref (got);
  link_free (link);
}
GST_END_TEST
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
  return suite;
}

GST_CHECK_MAIN (metas)
