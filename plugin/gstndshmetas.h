/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_NDSH_METAS_H
#define GST_NDSH_METAS_H

#include <gst/gst.h>

G_BEGIN_DECLS

/* Appends to @metadata, items or nothing, what metas of @buffer can cross to another
 * process, but for those that say how its bytes lie. What cannot, or finds no room, is
 * told of in the log of @element: at INFO and once for each kind. */
void gst_ndsh_metas_append (GstBuffer *buffer, GByteArray *metadata,
                            GstElement *element);

/* Adds the metas that are in @metadata to @buffer. What this GStreamer does not know, or
 * cannot be, is left out. */
void gst_ndsh_metas_add (GstBuffer *buffer, const guint8 *metadata, gsize size,
                         GstElement *element);

G_END_DECLS

#endif
