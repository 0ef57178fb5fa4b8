/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hides how GstMetas cross to another process, which may have another GStreamer, or none:
 *
 *   regions of interest     as NdshRegion, which C and Python programs read and write
 *   kinds of the table, and custom metas of 1.20 and later
 *                           as a GstStructure that is named like the meta
 *   detections, tensors, overlays
 *                           as several of those (gstndshanalytics.c, gstndshtensors.c,
 *                           gstndshoverlay.c)
 *   any other that can serialise itself, from 1.24 on
 *                           as that
 */
#include "gstndshmetas.h"

#include <gst/audio/audio.h>
#include <gst/video/video.h>
#include <string.h>

#include "gstndshanalytics.h"
#include "gstndshcaps.h"
#include "gstndshmeta.h"
#include "gstndshoverlay.h"
#include "gstndshstructure.h"
#include "gstndshtensors.h"
#include "gstndshtext.h"

#define GST_CAT_DEFAULT get_category ()

static GstDebugCategory *
get_category (void)
{
  static GstDebugCategory *category;

  if (g_once_init_enter (&category))
    g_once_init_leave (&category, _gst_debug_category_new (
                                    "ndshmeta", 0, "metas that cross with frames"));
  return category;
}

/* --- As structures -------------------------------------------------------- */

/*
 * @name: of the meta's type, and of the structure
 * @to_structure: NULL if it cannot be told as one
 * @add: to a buffer, from a structure that anybody may have written; FALSE if that cannot be
 */
typedef struct {
  const char *name;
  GstStructure *(*to_structure) (const char *name, gconstpointer meta);
  gboolean (*add) (GstBuffer *buffer, const GstStructure *structure);
} Kind;

static GstStructure *
crop_to_structure (const char *name, gconstpointer data)
{
  const GstVideoCropMeta *meta = data;

  return gst_structure_new (name, "x", G_TYPE_UINT, meta->x, "y", G_TYPE_UINT, meta->y,
                            "width", G_TYPE_UINT, meta->width, "height", G_TYPE_UINT,
                            meta->height, NULL);
}

static gboolean
add_crop (GstBuffer *buffer, const GstStructure *s)
{
  GstVideoCropMeta *meta;
  guint x, y, width, height;

  if (!gst_ndsh_structure_get_uints (s, G_MAXUINT, "x", &x, "y", &y, "width", &width,
                                     "height", &height, NULL))
    return FALSE;
  meta = gst_buffer_add_video_crop_meta (buffer);
  meta->x = x;
  meta->y = y;
  meta->width = width;
  meta->height = height;
  return TRUE;
}

static GstStructure *
reference_to_structure (const char *name, gconstpointer data)
{
  const GstReferenceTimestampMeta *meta = data;

  g_autofree char *reference = gst_caps_to_string (meta->reference);

  return gst_structure_new (name, "reference", G_TYPE_STRING, reference, "timestamp",
                            G_TYPE_UINT64, meta->timestamp, "duration", G_TYPE_UINT64,
                            meta->duration, NULL);
}

static gboolean
add_reference (GstBuffer *buffer, const GstStructure *s)
{
  const char *text = gst_structure_get_string (s, "reference");
  g_autoptr (GstCaps) reference
    = text != NULL ? gst_ndsh_caps_from_description (text) : NULL;
  guint64 timestamp, duration;

  return reference != NULL && gst_ndsh_structure_get_uint64 (s, "timestamp", &timestamp)
         && gst_ndsh_structure_get_uint64 (s, "duration", &duration)
         && GST_CLOCK_TIME_IS_VALID (timestamp)
         && gst_buffer_add_reference_timestamp_meta (buffer, reference, timestamp,
                                                     duration)
              != NULL;
}

static GstStructure *
time_code_to_structure (const char *name, gconstpointer data)
{
  const GstVideoTimeCode *tc = &((const GstVideoTimeCodeMeta *) data)->tc;
  GstStructure *s = gst_structure_new (
    name, "fps-n", G_TYPE_UINT, tc->config.fps_n, "fps-d", G_TYPE_UINT, tc->config.fps_d,
    "flags", G_TYPE_UINT, (guint) tc->config.flags, "hours", G_TYPE_UINT, tc->hours,
    "minutes", G_TYPE_UINT, tc->minutes, "seconds", G_TYPE_UINT, tc->seconds, "frames",
    G_TYPE_UINT, tc->frames, "field-count", G_TYPE_UINT, tc->field_count, NULL);

  if (tc->config.latest_daily_jam != NULL) {
    g_autofree char *jam
      = g_date_time_format (tc->config.latest_daily_jam, "%Y-%m-%dT%H:%M:%S%:z");

    gst_structure_set (s, "latest-daily-jam", G_TYPE_STRING, jam, NULL);
  }
  return s;
}

static gboolean
add_time_code (GstBuffer *buffer, const GstStructure *s)
{
  guint fps_n, fps_d, flags, hours, minutes, seconds, frames, field_count;
  const char *text = gst_structure_get_string (s, "latest-daily-jam");
  g_autoptr (GDateTime) jam
    = text != NULL ? g_date_time_new_from_iso8601 (text, NULL) : NULL;
  GstVideoTimeCode tc;
  gboolean valid;

  if (!gst_ndsh_structure_get_uints (s, G_MAXINT, "fps-n", &fps_n, "fps-d", &fps_d,
                                     "flags", &flags, "hours", &hours, "minutes",
                                     &minutes, "seconds", &seconds, "frames", &frames,
                                     "field-count", &field_count, NULL)
      || fps_n == 0 || fps_d == 0)
    return FALSE;
  memset (&tc, 0, sizeof tc);
  gst_video_time_code_init (&tc, fps_n, fps_d, jam, (GstVideoTimeCodeFlags) flags, hours,
                            minutes, seconds, frames, field_count);
  valid = gst_video_time_code_is_valid (&tc)
          && gst_buffer_add_video_time_code_meta (buffer, &tc) != NULL;
  gst_video_time_code_clear (&tc);
  return valid;
}

static GstStructure *
clipping_to_structure (const char *name, gconstpointer data)
{
  const GstAudioClippingMeta *meta = data;

  return gst_structure_new (name, "format", G_TYPE_STRING,
                            gst_format_get_name (meta->format), "start", G_TYPE_UINT64,
                            meta->start, "end", G_TYPE_UINT64, meta->end, NULL);
}

static gboolean
add_clipping (GstBuffer *buffer, const GstStructure *s)
{
  const char *name = gst_structure_get_string (s, "format");
  GstFormat format
    = name != NULL ? gst_format_get_by_nick (name) : GST_FORMAT_UNDEFINED;
  guint64 start, end;

  /* Decoders assert that it is no other. */
  return format == GST_FORMAT_DEFAULT
         && gst_ndsh_structure_get_uint64 (s, "start", &start)
         && gst_ndsh_structure_get_uint64 (s, "end", &end)
         && gst_buffer_add_audio_clipping_meta (buffer, format, start, end) != NULL;
}

#if GST_CHECK_VERSION(1, 16, 0)
static GstStructure *
caption_to_structure (const char *name, gconstpointer data)
{
  const GstVideoCaptionMeta *meta = data;
  g_autoptr (GstBuffer) bytes = gst_ndsh_wrap_bytes (meta->data, meta->size);

  return gst_structure_new (name, "caption-type", G_TYPE_UINT, (guint) meta->caption_type,
                            "data", GST_TYPE_BUFFER, bytes, NULL);
}

static gboolean
add_caption (GstBuffer *buffer, const GstStructure *s)
{
  g_autoptr (GstBuffer) bytes = NULL;
  gboolean added = FALSE;
  GstMapInfo map;
  guint type;

  if (!gst_ndsh_structure_get_uints (s, GST_VIDEO_CAPTION_TYPE_CEA708_CDP, "caption-type",
                                     &type, NULL)
      || type < GST_VIDEO_CAPTION_TYPE_CEA608_RAW
      || !gst_structure_get (s, "data", GST_TYPE_BUFFER, &bytes, NULL) || bytes == NULL
      || !gst_buffer_map (bytes, &map, GST_MAP_READ))
    return FALSE;
  if (map.size > 0)
    added = gst_buffer_add_video_caption_meta (buffer, (GstVideoCaptionType) type,
                                               map.data, map.size)
            != NULL;
  gst_buffer_unmap (bytes, &map);
  return added;
}
#endif

#if GST_CHECK_VERSION(1, 18, 0)
static GstStructure *
afd_to_structure (const char *name, gconstpointer data)
{
  const GstVideoAFDMeta *meta = data;

  return gst_structure_new (name, "field", G_TYPE_UINT, (guint) meta->field, "spec",
                            G_TYPE_UINT, (guint) meta->spec, "afd", G_TYPE_UINT,
                            (guint) meta->afd, NULL);
}

static gboolean
add_afd (GstBuffer *buffer, const GstStructure *s)
{
  guint field, spec, afd;

  return gst_ndsh_structure_get_uints (s, 15, "field", &field, "spec", &spec, "afd", &afd,
                                       NULL)
         && field <= 1 && spec <= GST_VIDEO_AFD_SPEC_SMPTE_ST2016_1
         && gst_buffer_add_video_afd_meta (buffer, (guint8) field, (GstVideoAFDSpec) spec,
                                           (GstVideoAFDValue) afd)
              != NULL;
}

static GstStructure *
bar_to_structure (const char *name, gconstpointer data)
{
  const GstVideoBarMeta *meta = data;

  return gst_structure_new (name, "field", G_TYPE_UINT, (guint) meta->field,
                            "is-letterbox", G_TYPE_BOOLEAN, meta->is_letterbox,
                            "bar-data1", G_TYPE_UINT, meta->bar_data1, "bar-data2",
                            G_TYPE_UINT, meta->bar_data2, NULL);
}

static gboolean
add_bar (GstBuffer *buffer, const GstStructure *s)
{
  guint field, first, second;
  gboolean is_letterbox;

  return gst_ndsh_structure_get_uints (s, G_MAXUINT, "field", &field, "bar-data1", &first,
                                       "bar-data2", &second, NULL)
         && gst_structure_get_boolean (s, "is-letterbox", &is_letterbox) && field <= 1
         && gst_buffer_add_video_bar_meta (buffer, (guint8) field, is_letterbox, first,
                                           second)
              != NULL;
}
#endif

#if GST_CHECK_VERSION(1, 20, 0)
static GstStructure *
level_to_structure (const char *name, gconstpointer data)
{
  const GstAudioLevelMeta *meta = data;

  return gst_structure_new (name, "level", G_TYPE_UINT, (guint) meta->level,
                            "voice-activity", G_TYPE_BOOLEAN, meta->voice_activity, NULL);
}

static gboolean
add_level (GstBuffer *buffer, const GstStructure *s)
{
  guint level;
  gboolean voice;

  return gst_ndsh_structure_get_uints (s, 127, "level", &level, NULL)
         && gst_structure_get_boolean (s, "voice-activity", &voice)
         && gst_buffer_add_audio_level_meta (buffer, (guint8) level, voice) != NULL;
}
#endif

#if GST_CHECK_VERSION(1, 22, 0)
static GstStructure *
sei_to_structure (const char *name, gconstpointer data)
{
  const GstVideoSEIUserDataUnregisteredMeta *meta = data;
  g_autoptr (GstBuffer) uuid = gst_ndsh_wrap_bytes (meta->uuid, sizeof meta->uuid);
  g_autoptr (GstBuffer) bytes = gst_ndsh_wrap_bytes (meta->data, meta->size);

  return gst_structure_new (name, "uuid", GST_TYPE_BUFFER, uuid, "data", GST_TYPE_BUFFER,
                            bytes, NULL);
}

static gboolean
add_sei (GstBuffer *buffer, const GstStructure *s)
{
  g_autoptr (GstBuffer) bytes = NULL, uuid = NULL;
  guint8 id[16];
  gboolean added;
  GstMapInfo map;

  if (!gst_structure_get (s, "uuid", GST_TYPE_BUFFER, &uuid, "data", GST_TYPE_BUFFER,
                          &bytes, NULL)
      || uuid == NULL || bytes == NULL
      || gst_buffer_extract (uuid, 0, id, sizeof id) != sizeof id
      || !gst_buffer_map (bytes, &map, GST_MAP_READ))
    return FALSE;
  added = map.size > 0
          && gst_buffer_add_video_sei_user_data_unregistered_meta (buffer, id, map.data,
                                                                   map.size)
               != NULL;
  gst_buffer_unmap (bytes, &map);
  return added;
}
#endif

static const Kind kinds[] = {
  { "GstVideoCropMeta", crop_to_structure, add_crop },
  { "GstReferenceTimestampMeta", reference_to_structure, add_reference },
  { "GstVideoTimeCodeMeta", time_code_to_structure, add_time_code },
  { "GstAudioClippingMeta", clipping_to_structure, add_clipping },
#if GST_CHECK_VERSION(1, 16, 0)
  { "GstVideoCaptionMeta", caption_to_structure, add_caption },
#endif
#if GST_CHECK_VERSION(1, 18, 0)
  { "GstVideoAFDMeta", afd_to_structure, add_afd },
  { "GstVideoBarMeta", bar_to_structure, add_bar },
#endif
#if GST_CHECK_VERSION(1, 20, 0)
  { "GstAudioLevelMeta", level_to_structure, add_level },
#endif
#if GST_CHECK_VERSION(1, 22, 0)
  { "GstVideoSEIUserDataUnregisteredMeta", sei_to_structure, add_sei },
#endif
};

static const Kind *
find_kind (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    if (strcmp (kinds[i].name, name) == 0)
      return &kinds[i];
  return NULL;
}

/* --- From a buffer -------------------------------------------------------- */

/* Says why metas of this kind stay behind, once. */
static void
leave_out (const GstMetaInfo *info, const char *why, GstElement *element)
{
  static GQuark told;

  if (told == 0)
    told = g_quark_from_static_string ("gst-ndsh-meta-told");
  if (g_type_get_qdata (info->type, told) != NULL)
    return;
  g_type_set_qdata (info->type, told, GINT_TO_POINTER (TRUE));
  GST_INFO_OBJECT (element, "a %s does not cross to readers, or not all of it: %s",
                   g_type_name (info->type), why);
}

/* Why no encoding could help. */
static const char *
explain (const char *name)
{
  static const struct {
    const char *name;
    const char *why;
  } reasons[] = {
    { "GstParentBufferMeta", "it keeps a buffer of this process" },
    { "GstProtectionMeta", "it is about keys of this process" },
    { "GstVideoGLTextureUploadMeta", "it is a function of this process" },
    { "GstVideoCodecAlphaMeta", "it is a second buffer" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (reasons); i++)
    if (strcmp (reasons[i].name, name) == 0)
      return reasons[i].why;
  return "nothing says how, neither ndsh nor this GStreamer";
}

static double
find_confidence (GList *params)
{
  double confidence;

  for (; params != NULL; params = params->next)
    if (gst_structure_get_double (params->data, "confidence", &confidence))
      return confidence;
  return -1;
}

static void
append_region (GByteArray *metadata, const GstVideoRegionOfInterestMeta *roi)
{
  g_autoptr (GString) parameters = g_string_new (NULL);
  NdshRegion region = { .label = g_quark_to_string (roi->roi_type),
                        .id = roi->id,
                        .parent_id = roi->parent_id,
                        .x = roi->x,
                        .y = roi->y,
                        .width = roi->w,
                        .height = roi->h,
                        .confidence = find_confidence (roi->params) };

  for (GList *l = roi->params; l != NULL; l = l->next) {
    g_autofree char *text = gst_structure_to_string (l->data);

    g_string_append_printf (parameters, "%s%s", l == roi->params ? "" : "\n", text);
  }
  region.parameters = parameters->str;
  ndsh_metadata_append_region (metadata, &region);
}

static gboolean
append_custom (GByteArray *metadata, GstMeta *meta, const char **why)
{
#if GST_CHECK_VERSION(1, 20, 0)
  if (gst_meta_info_is_custom (meta->info)) {
    *why = gst_ndsh_structure_append (
      metadata, gst_custom_meta_get_structure ((GstCustomMeta *) meta));
    return TRUE;
  }
#endif
  (void) metadata;
  (void) meta;
  (void) why;
  return FALSE;
}

static gboolean
append_serialised (GByteArray *metadata, const GstMeta *meta)
{
#if GST_CHECK_VERSION(1, 24, 0)
  g_autoptr (GByteArray) bytes = g_byte_array_new ();

  if (meta->info->serialize_func != NULL && gst_meta_serialize_simple (meta, bytes)
      && bytes->len <= NDSH_MAX_METADATA) {
    ndsh_metadata_append (metadata, GST_NDSH_TAG_SERIALISED, bytes->data, bytes->len);
    return TRUE;
  }
#endif
  (void) metadata;
  (void) meta;
  return FALSE;
}

/* NULL, or why not all of it crosses. */
static const char *
append_meta (GByteArray *metadata, GstMeta *meta)
{
  const char *name = g_type_name (meta->info->type);
  const Kind *kind = find_kind (name);
  const char *why = NULL;

  if (meta->info->api == GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE) {
    append_region (metadata, (GstVideoRegionOfInterestMeta *) meta);
    return NULL;
  }
  if (kind != NULL) {
    GstStructure *structure = kind->to_structure (kind->name, meta);

    why = gst_ndsh_structure_append (metadata, structure);
    gst_structure_free (structure);
    return why;
  }
  if (gst_ndsh_analytics_append (metadata, meta, &why)
      || gst_ndsh_tensors_append (metadata, meta, &why)
      || gst_ndsh_overlay_append (metadata, meta, &why)
      || append_custom (metadata, meta, &why) || append_serialised (metadata, meta))
    return why;
  return explain (name);
}

/* Which is told elsewhere. */
static gboolean
says_how_bytes_lie (const GstMetaInfo *info)
{
  return info->api == GST_VIDEO_META_API_TYPE
#if GST_CHECK_VERSION(1, 16, 0)
         || info->api == GST_AUDIO_META_API_TYPE
#endif
    ;
}

void
gst_ndsh_metas_append (GstBuffer *buffer, GByteArray *metadata, GstElement *element)
{
  gpointer state = NULL;
  GstMeta *meta;

  while ((meta = gst_buffer_iterate_meta (buffer, &state)) != NULL) {
    guint before = metadata->len;
    const char *why;

    if (says_how_bytes_lie (meta->info))
      continue;
    why = append_meta (metadata, meta);
    if (metadata->len > NDSH_MAX_METADATA) {
      g_byte_array_set_size (metadata, before);
      why = GST_NDSH_NO_ROOM;
    }
    if (why != NULL)
      leave_out (meta->info, why, element);
  }
}

/* --- To a buffer ---------------------------------------------------------- */

/* Where no structure says so already, as detectors of GStreamer have it. */
static void
add_confidence (GstVideoRegionOfInterestMeta *roi, double confidence)
{
  if (confidence >= 0 && find_confidence (roi->params) < 0)
    gst_video_region_of_interest_meta_add_param (
      roi, gst_structure_new ("detection", "confidence", G_TYPE_DOUBLE, confidence, NULL));
}

static gboolean
add_region (GstBuffer *buffer, const NdshItem *item, GstNdshRecords **records)
{
  GstVideoRegionOfInterestMeta *roi;
  g_auto (GStrv) lines = NULL;
  NdshRegion region;

  if (!ndsh_item_get_region (item, &region))
    return FALSE;
  if (gst_ndsh_analytics_add_region (buffer, &region, records))
    return TRUE;
  if (!gst_ndsh_may_use_name (region.label))
    return FALSE;
  roi = gst_buffer_add_video_region_of_interest_meta (
    buffer, region.label, region.x, region.y, region.width, region.height);
  roi->id = region.id;
  roi->parent_id = region.parent_id;
  lines = g_strsplit (region.parameters, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++) {
    GstStructure *param = *lines[i] != '\0' ? gst_ndsh_structure_from_text (lines[i]) : NULL;

    if (param != NULL)
      gst_video_region_of_interest_meta_add_param (roi, param);
  }
  add_confidence (roi, region.confidence);
  return TRUE;
}

static gboolean
add_custom (GstBuffer *buffer, const GstStructure *structure)
{
#if GST_CHECK_VERSION(1, 20, 0)
  const char *name = gst_structure_get_name (structure);
  const GstMetaInfo *info = gst_meta_get_info (name);
  GstCustomMeta *meta;
  GstStructure *own;

  if (info == NULL || !gst_meta_info_is_custom (info))
    return FALSE;
  meta = gst_buffer_add_custom_meta (buffer, name);
  own = meta != NULL ? gst_custom_meta_get_structure (meta) : NULL;
  for (gint i = 0; own != NULL && i < gst_structure_n_fields (structure); i++) {
    const char *field = gst_structure_nth_field_name (structure, (guint) i);

    gst_structure_set_value (own, field, gst_structure_get_value (structure, field));
  }
  return meta != NULL;
#else
  (void) buffer;
  (void) structure;
  return FALSE;
#endif
}

static gboolean
add_structure (GstBuffer *buffer, const NdshItem *item, GstNdshRecords **records)
{
  GstStructure *structure = gst_ndsh_structure_from_item (item);
  const Kind *kind;
  gboolean added;

  if (structure == NULL)
    return FALSE;
  kind = find_kind (gst_structure_get_name (structure));
  added = kind != NULL ? kind->add (buffer, structure)
                       : gst_ndsh_analytics_add (buffer, structure, records)
                           || gst_ndsh_tensors_add (buffer, structure)
                           || gst_ndsh_overlay_add (buffer, structure)
                           || add_custom (buffer, structure);
  gst_structure_free (structure);
  return added;
}

#if GST_CHECK_VERSION(1, 24, 0)
/* GStreamer's format: u32 size of all, u32 length of the name, the name and its NUL, u8
 * version, and what the meta makes of itself. The name that a stranger gives, if it is
 * that of a meta which this process knows, that says nothing of how bytes lie, which is
 * checked elsewhere, and that has no text for GStreamer to parse. */
static const char *
get_serialised_name (const NdshItem *item)
{
  const guint8 *data = item->data;
  guint32 total, length;
  const GstMetaInfo *info;
  const char *name = (const char *) data + 8;

  if (item->size < 10)
    return NULL;
  memcpy (&total, data, sizeof total);
  memcpy (&length, data + 4, sizeof length);
  total = GUINT32_FROM_LE (total);
  length = GUINT32_FROM_LE (length);
  if (total != item->size || length > item->size - 10 || name[length] != '\0')
    return NULL;
  info = gst_meta_get_info (name);
  return info != NULL && info->deserialize_func != NULL && find_kind (name) == NULL
             && !gst_meta_info_is_custom (info) && !says_how_bytes_lie (info)
           ? name
           : NULL;
}

static gboolean
add_serialised (GstBuffer *buffer, const NdshItem *item)
{
  guint32 consumed;

  return get_serialised_name (item) != NULL
         && gst_meta_deserialize (buffer, item->data, item->size, &consumed) != NULL;
}
#else
static gboolean
add_serialised (GstBuffer *buffer, const NdshItem *item)
{
  (void) buffer;
  (void) item;
  return FALSE;
}
#endif

static gboolean
add_item (GstBuffer *buffer, const NdshItem *item, GstNdshRecords **records)
{
  switch (item->tag) {
  case NDSH_TAG_REGION:
    return add_region (buffer, item, records);
  case NDSH_TAG_META:
    return add_structure (buffer, item, records);
  case GST_NDSH_TAG_SERIALISED:
    return add_serialised (buffer, item);
  default:
    return TRUE;
  }
}

void
gst_ndsh_metas_add (GstBuffer *buffer, const guint8 *metadata, gsize size,
                    GstElement *element)
{
  GstNdshRecords *records = NULL;
  NdshItem item = { 0 };

  while (ndsh_metadata_next (metadata, size, &item))
    if (!add_item (buffer, &item, &records))
      GST_LOG_OBJECT (element,
                      "a meta (tag %u, %" G_GSIZE_FORMAT
                      " bytes) is left out: it cannot be, or nobody has registered it",
                      item.tag, item.size);
  gst_ndsh_records_free (records);
}
