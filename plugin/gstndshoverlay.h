/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_NDSH_OVERLAY_H
#define GST_NDSH_OVERLAY_H

#include <gst/gst.h>

G_BEGIN_DECLS

/* GstVideoOverlayCompositionMeta: small pictures to be drawn on a frame. */

/* FALSE if @meta is none. *@why is set if it stays behind, as a whole. */
gboolean gst_ndsh_overlay_append (GByteArray *metadata, GstMeta *meta, const char **why);

/* FALSE if @structure is no such picture, or cannot be one. */
gboolean gst_ndsh_overlay_add (GstBuffer *buffer, const GstStructure *structure);

G_END_DECLS

#endif
