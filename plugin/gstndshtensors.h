/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_NDSH_TENSORS_H
#define GST_NDSH_TENSORS_H

#include <gst/gst.h>

G_BEGIN_DECLS

/* GstTensorMeta of GStreamer 1.26 and later: what a model made of a buffer. */

/* FALSE if @meta is none. *@why is set if it stays behind, as a whole. */
gboolean gst_ndsh_tensors_append (GByteArray *metadata, GstMeta *meta, const char **why);

/* FALSE if @structure is no tensor, cannot be one, or GStreamer has none. */
gboolean gst_ndsh_tensors_add (GstBuffer *buffer, const GstStructure *structure);

G_END_DECLS

#endif
