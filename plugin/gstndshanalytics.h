/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_NDSH_ANALYTICS_H
#define GST_NDSH_ANALYTICS_H

#include <gst/gst.h>
#include <ndsh.h>

G_BEGIN_DECLS

/*
 * GstAnalyticsRelationMeta of GStreamer 1.24 and later: its records cross one by one, in
 * their order, and then how they relate. Detected objects are regions: who has no such
 * meta sees regions of interest.
 */

/* FALSE if @meta is none. *@why is set if something in it stays behind. */
gboolean gst_ndsh_analytics_append (GByteArray *metadata, GstMeta *meta,
                                    const char **why);

/* GstNdshRecords: what has become of the records of one frame so far; at first NULL. */
typedef GArray GstNdshRecords;

void gst_ndsh_records_free (GstNdshRecords *records);

/* FALSE if this is of no such meta, cannot be, or GStreamer has none. */
gboolean gst_ndsh_analytics_add_region (GstBuffer *buffer, const NdshRegion *region,
                                        GstNdshRecords **records);
gboolean gst_ndsh_analytics_add (GstBuffer *buffer, const GstStructure *structure,
                                 GstNdshRecords **records);

G_END_DECLS

#endif
