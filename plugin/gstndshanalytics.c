/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hides how the records of detectors, classifiers and trackers lie in items. A record is
 * known by its number: how many came before it in this frame, whether the reader could make
 * something of them or not.
 */
#include "gstndshanalytics.h"

#ifdef HAVE_ANALYTICS

#include <string.h>

#include <gst/analytics/analytics.h>

#include "gstndshstructure.h"
#include "gstndshtext.h"

#define OBJECT "GstAnalyticsODMtd"
#define CLASSES "GstAnalyticsClsMtd"
#define TRACKING "GstAnalyticsTrackingMtd"
#define SEGMENTATION "GstAnalyticsSegmentationMtd"
#define RELATIONS "GstAnalyticsRelationMeta"

#define NO_RECORD G_MAXUINT     /* for what could not be one here */

/* Room for so many more each time: a matrix of all of them is copied then. */
#define MORE_RECORDS 16
#define MORE_BYTES 1024

/* --- From a buffer -------------------------------------------------------- */

/* What is no UTF-8 readers would refuse. */
static const char *
get_label (GQuark quark)
{
  const char *label = g_quark_to_string (quark);

  return label != NULL && g_utf8_validate (label, -1, NULL) ? label : "";
}

/* Where it lies and how it is turned, if a region cannot tell: it has no side left of the
 * picture, or above it. */
static GstStructure *
describe_object (const GstAnalyticsODMtd *object, NdshRegion *region)
{
  GstStructure *s = gst_structure_new_empty (OBJECT);
  gint x = 0, y = 0, width = 0, height = 0;
  gfloat confidence = -1, rotation = 0;

#if GST_CHECK_VERSION(1, 26, 0)
  gst_analytics_od_mtd_get_oriented_location (object, &x, &y, &width, &height, &rotation,
                                              &confidence);
#else
  gst_analytics_od_mtd_get_location (object, &x, &y, &width, &height, &confidence);
#endif
  region->x = (guint32) MAX (x, 0);
  region->y = (guint32) MAX (y, 0);
  region->width = (guint32) MAX ((gint64) width + MIN (x, 0), 0);
  region->height = (guint32) MAX ((gint64) height + MIN (y, 0), 0);
  region->confidence = (double) confidence;
  if (x < 0 || y < 0 || width < 0 || height < 0)
    gst_structure_set (s, "x", G_TYPE_INT, x, "y", G_TYPE_INT, y, "width", G_TYPE_INT,
                       width, "height", G_TYPE_INT, height, NULL);
  if (rotation < 0 || rotation > 0)
    gst_structure_set (s, "rotation", G_TYPE_FLOAT, rotation, NULL);
  return s;
}

static const char *
append_object (GByteArray *metadata, const GstAnalyticsMtd *object)
{
  NdshRegion region = NDSH_REGION_INIT;
  GstStructure *s = describe_object (object, &region);
  g_autofree char *text = gst_structure_to_string (s);

  gst_structure_free (s);
  region.label = get_label (gst_analytics_od_mtd_get_obj_type (object));
  region.parameters = text;
  ndsh_metadata_append_region (metadata, &region);
  return NULL;
}

static const char *
append_and_free (GByteArray *metadata, GstStructure *s)
{
  const char *why = gst_ndsh_structure_append (metadata, s);

  gst_structure_free (s);
  return why;
}

static const char *
append_classes (GByteArray *metadata, const GstAnalyticsMtd *mtd)
{
  GstStructure *s = gst_structure_new_empty (CLASSES);
  gsize n = gst_analytics_cls_mtd_get_length (mtd);
  GValue labels = G_VALUE_INIT, levels = G_VALUE_INIT;

  g_value_init (&labels, GST_TYPE_ARRAY);
  g_value_init (&levels, GST_TYPE_ARRAY);
  for (gsize i = 0; i < n; i++) {
    gst_ndsh_values_append_text (&labels,
                                 get_label (gst_analytics_cls_mtd_get_quark (mtd, i)));
    gst_ndsh_values_append_float (&levels, gst_analytics_cls_mtd_get_level (mtd, i));
  }
  gst_structure_take_value (s, "labels", &labels);
  gst_structure_take_value (s, "confidences", &levels);
  return append_and_free (metadata, s);
}

static const char *
append_tracking (GByteArray *metadata, const GstAnalyticsMtd *mtd)
{
  GstClockTime first_seen = 0, last_seen = 0;
  gboolean lost = FALSE;
  guint64 id = 0;

  gst_analytics_tracking_mtd_get_info (mtd, &id, &first_seen, &last_seen, &lost);
  return append_and_free (
    metadata, gst_structure_new (TRACKING, "tracking-id", G_TYPE_UINT64, id, "first-seen",
                                 G_TYPE_UINT64, first_seen, "last-seen", G_TYPE_UINT64,
                                 last_seen, "lost", G_TYPE_BOOLEAN, lost, NULL));
}

#if GST_CHECK_VERSION(1, 26, 0)
/* Whether regions are kinds or individuals nobody can ask it. */
static const char *
append_segmentation (GByteArray *metadata, const GstAnalyticsMtd *mtd)
{
  gsize n = gst_analytics_segmentation_mtd_get_region_count (mtd);
  gint x = 0, y = 0;
  guint width = 0, height = 0;
  g_autoptr (GstBuffer) mask
    = gst_analytics_segmentation_mtd_get_mask (mtd, &x, &y, &width, &height);
  GValue ids = G_VALUE_INIT;
  GstStructure *s = gst_structure_new (
    SEGMENTATION, "x", G_TYPE_INT, x, "y", G_TYPE_INT, y, "w", G_TYPE_UINT, width, "h",
    G_TYPE_UINT, height, NULL);
  const char *why = gst_ndsh_structure_set_picture (s, mask);

  g_value_init (&ids, GST_TYPE_ARRAY);
  for (gsize i = 0; i < n; i++)
    gst_ndsh_values_append_uint64 (&ids,
                                   gst_analytics_segmentation_mtd_get_region_id (mtd, i));
  gst_structure_take_value (s, "region-ids", &ids);
  if (why == NULL)
    return append_and_free (metadata, s);
  gst_structure_free (s);
  return why;
}
#endif

/* NULL, or why there is no record more. */
static const char *
append_record (GByteArray *metadata, const GstAnalyticsMtd *mtd)
{
  GstAnalyticsMtdType type = gst_analytics_mtd_get_mtd_type (mtd);

  if (type == gst_analytics_od_mtd_get_mtd_type ())
    return append_object (metadata, mtd);
  if (type == gst_analytics_cls_mtd_get_mtd_type ())
    return append_classes (metadata, mtd);
  if (type == gst_analytics_tracking_mtd_get_mtd_type ())
    return append_tracking (metadata, mtd);
#if GST_CHECK_VERSION(1, 26, 0)
  if (type == gst_analytics_segmentation_mtd_get_mtd_type ())
    return append_segmentation (metadata, mtd);
#endif
  return "of its records objects, classes, tracking and segmentation do";
}

/* @ids: those of the records that were appended, by their numbers. */
static const char *
append_relations (GByteArray *metadata, GstAnalyticsRelationMeta *meta, const GArray *ids)
{
  GstStructure *s = gst_structure_new_empty (RELATIONS);
  GValue from = G_VALUE_INIT, to = G_VALUE_INIT, types = G_VALUE_INIT;
  guint n = 0;

  g_value_init (&from, GST_TYPE_ARRAY);
  g_value_init (&to, GST_TYPE_ARRAY);
  g_value_init (&types, GST_TYPE_ARRAY);
  for (guint i = 0; i < ids->len; i++)
    for (guint j = 0; j < ids->len; j++) {
      GstAnalyticsRelTypes type = gst_analytics_relation_meta_get_relation (
        meta, g_array_index (ids, guint, i), g_array_index (ids, guint, j));

      if (type == GST_ANALYTICS_REL_TYPE_NONE)
        continue;
      gst_ndsh_values_append_uint64 (&from, i);
      gst_ndsh_values_append_uint64 (&to, j);
      gst_ndsh_values_append_uint64 (&types, (guint64) type);
      n++;
    }
  gst_structure_take_value (s, "from", &from);
  gst_structure_take_value (s, "to", &to);
  gst_structure_take_value (s, "types", &types);
  if (n > 0)
    return append_and_free (metadata, s);
  gst_structure_free (s);
  return NULL;
}

gboolean
gst_ndsh_analytics_append (GByteArray *metadata, GstMeta *meta, const char **why)
{
  GstAnalyticsRelationMeta *relations = (GstAnalyticsRelationMeta *) meta;
  g_autoptr (GArray) ids = NULL;
  const char *reason = NULL;
  GstAnalyticsMtd mtd;
  gsize n;

  if (meta->info->api != GST_ANALYTICS_RELATION_META_API_TYPE)
    return FALSE;
  ids = g_array_new (FALSE, FALSE, sizeof (guint));
  n = gst_analytics_relation_get_length (relations);
  for (guint id = 0; id < n; id++) {
    if (!gst_analytics_relation_meta_get_mtd (relations, id, GST_ANALYTICS_MTD_TYPE_ANY,
                                              &mtd))
      continue;
    reason = append_record (metadata, &mtd);
    if (reason == NULL)
      g_array_append_val (ids, id);
    else
      *why = reason;
  }
  reason = append_relations (metadata, relations, ids);
  if (reason != NULL)
    *why = reason;
  return TRUE;
}

/* --- To a buffer ---------------------------------------------------------- */

void
gst_ndsh_records_free (GstNdshRecords *records)
{
  if (records != NULL)
    g_array_unref (records);
}

static void
note (GstNdshRecords **records, guint id)
{
  if (*records == NULL)
    *records = g_array_new (FALSE, FALSE, sizeof (guint));
  g_array_append_val (*records, id);
}

/* Of the record with this number, NO_RECORD if there is none. */
static guint
find_id (GstNdshRecords *records, const GValue *number)
{
  guint64 i;

  return gst_ndsh_value_get_uint64 (number, &i) && records != NULL && i < records->len
           ? g_array_index (records, guint, i)
           : NO_RECORD;
}

static GstAnalyticsRelationMeta *
take_meta (GstBuffer *buffer)
{
  GstAnalyticsRelationMetaInitParams params = { MORE_RECORDS, MORE_BYTES };
  GstAnalyticsRelationMeta *meta = gst_buffer_get_analytics_relation_meta (buffer);

  return meta != NULL ? meta
                      : gst_buffer_add_analytics_relation_meta_full (buffer, &params);
}

static gboolean
add_object (GstBuffer *buffer, const NdshRegion *region, const GstStructure *s,
            GstAnalyticsMtd *mtd)
{
  gint x, y, width, height;
  gboolean is_told = gst_ndsh_structure_get_int (s, "x", &x)
                     && gst_ndsh_structure_get_int (s, "y", &y)
                     && gst_ndsh_structure_get_int (s, "width", &width)
                     && gst_ndsh_structure_get_int (s, "height", &height);
  double rotation = 0;

  if (!is_told) {
    if (region->x > G_MAXINT || region->y > G_MAXINT || region->width > G_MAXINT
        || region->height > G_MAXINT)
      return FALSE;
    x = (gint) region->x;
    y = (gint) region->y;
    width = (gint) region->width;
    height = (gint) region->height;
  }
  if (!gst_ndsh_may_use_name (region->label))
    return FALSE;
#if GST_CHECK_VERSION(1, 26, 0)
  gst_ndsh_value_get_double (gst_structure_get_value (s, "rotation"), &rotation);
  return gst_analytics_relation_meta_add_oriented_od_mtd (
    take_meta (buffer), g_quark_from_string (region->label), x, y, width, height,
    (gfloat) rotation, (gfloat) region->confidence, mtd);
#else
  (void) rotation;
  return gst_analytics_relation_meta_add_od_mtd (
    take_meta (buffer), g_quark_from_string (region->label), x, y, width, height,
    (gfloat) region->confidence, mtd);
#endif
}

gboolean
gst_ndsh_analytics_add_region (GstBuffer *buffer, const NdshRegion *region,
                               GstNdshRecords **records)
{
  g_autofree char *first = NULL;
  GstAnalyticsMtd mtd;
  GstStructure *s;
  gboolean is_object;

  if (!g_str_has_prefix (region->parameters, OBJECT))
    return FALSE;
  first = g_strndup (region->parameters, strcspn (region->parameters, "\n"));
  s = gst_ndsh_structure_from_text (first);
  if (s == NULL)
    return FALSE;
  is_object = gst_structure_has_name (s, OBJECT);
  if (is_object)
    note (records, add_object (buffer, region, s, &mtd) ? mtd.id : NO_RECORD);
  gst_structure_free (s);
  return is_object;
}

static gboolean
add_classes (GstBuffer *buffer, const GstStructure *s, GstAnalyticsMtd *mtd)
{
  const GValue *labels, *levels;
  g_autofree GQuark *quarks = NULL;
  g_autofree gfloat *confidences = NULL;
  guint n, n_levels;

  if (!gst_ndsh_structure_get_values (s, "labels", &labels, &n)
      || !gst_ndsh_structure_get_values (s, "confidences", &levels, &n_levels)
      || n != n_levels)
    return FALSE;
  quarks = g_new (GQuark, n + 1);
  confidences = g_new (gfloat, n + 1);
  for (guint i = 0; i < n; i++) {
    const GValue *label = gst_ndsh_values_get (labels, i);
    const char *text = G_VALUE_HOLDS_STRING (label) ? g_value_get_string (label) : NULL;
    double level;

    if (text == NULL || !gst_ndsh_may_use_name (text)
        || !gst_ndsh_value_get_double (gst_ndsh_values_get (levels, i), &level))
      return FALSE;
    quarks[i] = g_quark_from_string (text);
    confidences[i] = (gfloat) level;
  }
  return gst_analytics_relation_meta_add_cls_mtd (take_meta (buffer), n, confidences,
                                                  quarks, mtd);
}

static gboolean
add_tracking (GstBuffer *buffer, const GstStructure *s, GstAnalyticsMtd *mtd)
{
  guint64 id, first_seen, last_seen;
  gboolean lost = FALSE;

  if (!gst_ndsh_structure_get_uint64 (s, "tracking-id", &id))
    return FALSE;
  if (!gst_ndsh_structure_get_uint64 (s, "first-seen", &first_seen))
    first_seen = GST_CLOCK_TIME_NONE;
  if (!gst_ndsh_structure_get_uint64 (s, "last-seen", &last_seen))
    last_seen = first_seen;
  if (!gst_analytics_relation_meta_add_tracking_mtd (take_meta (buffer), id, first_seen,
                                                     mtd))
    return FALSE;
  gst_analytics_tracking_mtd_update_last_seen (mtd, last_seen);
  if (gst_structure_get_boolean (s, "lost", &lost) && lost)
    gst_analytics_tracking_mtd_set_lost (mtd);
  return TRUE;
}

#if GST_CHECK_VERSION(1, 26, 0)
static gboolean
get_region_ids (const GstStructure *s, guint **ids, guint *n)
{
  const GValue *values;

  if (!gst_ndsh_structure_get_values (s, "region-ids", &values, n))
    return FALSE;
  *ids = g_new (guint, *n + 1);
  for (guint i = 0; i < *n; i++) {
    guint64 id;

    if (!gst_ndsh_value_get_uint64 (gst_ndsh_values_get (values, i), &id)
        || id > G_MAXUINT32)
      return FALSE;
    (*ids)[i] = (guint) id;
  }
  return TRUE;
}
#endif

static gboolean
add_segmentation (GstBuffer *buffer, const GstStructure *s, GstAnalyticsMtd *mtd)
{
#if GST_CHECK_VERSION(1, 26, 0)
  static const GstVideoFormat formats[]
    = { GST_VIDEO_FORMAT_GRAY8, GST_VIDEO_FORMAT_GRAY16_LE, GST_VIDEO_FORMAT_GRAY16_BE,
        GST_VIDEO_FORMAT_UNKNOWN };
  g_autofree guint *ids = NULL;
  guint width, height, n;
  GstBuffer *mask;
  gint x, y;

  if (!get_region_ids (s, &ids, &n) || !gst_ndsh_structure_get_int (s, "x", &x)
      || !gst_ndsh_structure_get_int (s, "y", &y)
      || !gst_ndsh_structure_get_uints (s, G_MAXINT, "w", &width, "h", &height, NULL))
    return FALSE;
  mask = gst_ndsh_structure_get_picture (s, formats);
  return mask != NULL
         && gst_analytics_relation_meta_add_segmentation_mtd (
           take_meta (buffer), mask, GST_SEGMENTATION_TYPE_SEMANTIC, n, ids, x, y, width,
           height, mtd);
#else
  (void) buffer;
  (void) s;
  (void) mtd;
  return FALSE;
#endif
}

/* Of those that are here: who relates what is not there has said nothing. */
static gboolean
add_relations (GstBuffer *buffer, const GstStructure *s, GstNdshRecords *records)
{
  GstAnalyticsRelationMeta *meta = gst_buffer_get_analytics_relation_meta (buffer);
  const GValue *from, *to, *types;
  guint n, n_to, n_types;

  if (meta == NULL || !gst_ndsh_structure_get_values (s, "from", &from, &n)
      || !gst_ndsh_structure_get_values (s, "to", &to, &n_to)
      || !gst_ndsh_structure_get_values (s, "types", &types, &n_types) || n_to != n
      || n_types != n)
    return FALSE;
  for (guint i = 0; i < n; i++) {
    guint first = find_id (records, gst_ndsh_values_get (from, i));
    guint second = find_id (records, gst_ndsh_values_get (to, i));
    guint64 type;

    if (first != NO_RECORD && second != NO_RECORD
        && gst_ndsh_value_get_uint64 (gst_ndsh_values_get (types, i), &type)
        && type <= G_MAXUINT8)
      gst_analytics_relation_meta_set_relation (meta, (GstAnalyticsRelTypes) type, first,
                                                second);
  }
  return TRUE;
}

gboolean
gst_ndsh_analytics_add (GstBuffer *buffer, const GstStructure *structure,
                        GstNdshRecords **records)
{
  static const struct {
    const char *name;
    gboolean (*add) (GstBuffer *buffer, const GstStructure *s, GstAnalyticsMtd *mtd);
  } kinds[] = { { CLASSES, add_classes },
                { TRACKING, add_tracking },
                { SEGMENTATION, add_segmentation } };
  GstAnalyticsMtd mtd;
  gboolean added;

  if (gst_structure_has_name (structure, RELATIONS))
    return add_relations (buffer, structure, *records);
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++) {
    if (!gst_structure_has_name (structure, kinds[i].name))
      continue;
    added = kinds[i].add (buffer, structure, &mtd);
    note (records, added ? mtd.id : NO_RECORD);
    return added;
  }
  return FALSE;
}

#else

gboolean
gst_ndsh_analytics_append (GByteArray *metadata, GstMeta *meta, const char **why)
{
  (void) metadata;
  (void) meta;
  (void) why;
  return FALSE;
}

void
gst_ndsh_records_free (GstNdshRecords *records)
{
  (void) records;
}

gboolean
gst_ndsh_analytics_add_region (GstBuffer *buffer, const NdshRegion *region,
                               GstNdshRecords **records)
{
  (void) buffer;
  (void) region;
  (void) records;
  return FALSE;
}

gboolean
gst_ndsh_analytics_add (GstBuffer *buffer, const GstStructure *structure,
                        GstNdshRecords **records)
{
  (void) buffer;
  (void) structure;
  (void) records;
  return FALSE;
}

#endif
