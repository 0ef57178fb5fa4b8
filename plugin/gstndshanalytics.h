/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_NDSH_ANALYTICS_H
#define GST_NDSH_ANALYTICS_H

#include <gst/gst.h>
#include <ndsh.h>

G_BEGIN_DECLS

/*
 * GstAnalyticsRelationMeta of GStreamer 1.24 and later, whose detected objects cross as
 * regions: who has no such meta sees regions of interest.
 */

/* FALSE if @meta is none; @all tells whether there was nothing else in it. */
gboolean gst_ndsh_analytics_append (GByteArray *metadata, GstMeta *meta, gboolean *all);

/* FALSE if @region is of no such meta, or GStreamer has none. */
gboolean gst_ndsh_analytics_add (GstBuffer *buffer, const NdshRegion *region);

G_END_DECLS

#endif
