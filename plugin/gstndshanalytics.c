/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstndshanalytics.h"

#ifdef HAVE_ANALYTICS

#include <string.h>

#include <gst/analytics/analytics.h>

/* The parameter of a region that says what it was; no structure of a region of interest
 * is named like it. */
#define MARK "GstAnalyticsODMtd;"

/* What lies left of the picture, or above it, no region can tell. */
static guint32
clip (gint from, gint length)
{
  return (guint32) MAX ((gint64) length + MIN (from, 0), 0);
}

static void
append_object (GByteArray *metadata, const GstAnalyticsODMtd *object)
{
  NdshRegion region = NDSH_REGION_INIT;
  gint x = 0, y = 0, width = 0, height = 0;
  gfloat confidence = -1;

  gst_analytics_od_mtd_get_location (object, &x, &y, &width, &height, &confidence);
  region.label = g_quark_to_string (gst_analytics_od_mtd_get_obj_type (object));
  region.x = (guint32) MAX (x, 0);
  region.y = (guint32) MAX (y, 0);
  region.width = clip (x, width);
  region.height = clip (y, height);
  region.confidence = (double) confidence;
  region.parameters = MARK;
  ndsh_metadata_append_region (metadata, &region);
}

gboolean
gst_ndsh_analytics_append (GByteArray *metadata, GstMeta *meta, gboolean *all)
{
  GstAnalyticsRelationMeta *relations = (GstAnalyticsRelationMeta *) meta;
  gpointer state = NULL;
  GstAnalyticsMtd mtd;
  gsize n = 0;

  if (meta->info->api != GST_ANALYTICS_RELATION_META_API_TYPE)
    return FALSE;
  while (gst_analytics_relation_meta_iterate (
    relations, &state, gst_analytics_od_mtd_get_mtd_type (), &mtd)) {
    append_object (metadata, &mtd);
    n++;
  }
  *all = n == gst_analytics_relation_get_length (relations);
  return TRUE;
}

gboolean
gst_ndsh_analytics_add (GstBuffer *buffer, const NdshRegion *region)
{
  GstAnalyticsRelationMeta *relations;
  GstAnalyticsODMtd object;

  if (strcmp (region->parameters, MARK) != 0 || region->x > G_MAXINT
      || region->y > G_MAXINT || region->width > G_MAXINT || region->height > G_MAXINT)
    return FALSE;
  relations = gst_buffer_get_analytics_relation_meta (buffer);
  if (relations == NULL)
    relations = gst_buffer_add_analytics_relation_meta (buffer);
  return gst_analytics_relation_meta_add_od_mtd (
    relations, g_quark_from_string (region->label), (gint) region->x, (gint) region->y,
    (gint) region->width, (gint) region->height, (gfloat) region->confidence, &object);
}

#else

gboolean
gst_ndsh_analytics_append (GByteArray *metadata, GstMeta *meta, gboolean *all)
{
  (void) metadata;
  (void) meta;
  (void) all;
  return FALSE;
}

gboolean
gst_ndsh_analytics_add (GstBuffer *buffer, const NdshRegion *region)
{
  (void) buffer;
  (void) region;
  return FALSE;
}

#endif
