/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_NDSH_STRUCTURE_H
#define GST_NDSH_STRUCTURE_H

#include <gst/video/video.h>
#include <ndsh.h>

G_BEGIN_DECLS

/* Why what is too large stays behind. */
#define GST_NDSH_NO_ROOM "a frame has at most 64 KiB of metas"

/* NULL, or why readers would refuse @structure: then nothing was appended. Its field
 * "data", if that is a buffer with bytes in it, goes as what it is. */
const char *gst_ndsh_structure_append (GByteArray *metadata,
                                       const GstStructure *structure);

/* NULL for an item of which the text is no structure, or none that GStreamer's parser
 * can be given. */
GstStructure *gst_ndsh_structure_from_item (const NdshItem *item);

/* A buffer with a copy of @data. */
GstBuffer *gst_ndsh_wrap_bytes (gconstpointer data, gsize size);

/* --- Numbers -------------------------------------------------------------- */

/* Of whatever type they are: who writes numbers need not know the one that GStreamer has.
 * FALSE if there is none, or none that fits. */
gboolean gst_ndsh_value_get_uint64 (const GValue *value, guint64 *number);
gboolean gst_ndsh_value_get_double (const GValue *value, double *number);
gboolean gst_ndsh_structure_get_uint64 (const GstStructure *s, const char *field,
                                        guint64 *number);
gboolean gst_ndsh_structure_get_int (const GstStructure *s, const char *field,
                                     gint *number);

/* Numbers up to @most, by field and where they go, up to NULL. */
gboolean gst_ndsh_structure_get_uints (const GstStructure *s, guint most, ...)
  G_GNUC_NULL_TERMINATED;

/* --- Lists ---------------------------------------------------------------- */

/* To an array. */
void gst_ndsh_values_append_uint64 (GValue *array, guint64 number);
void gst_ndsh_values_append_float (GValue *array, gfloat number);
void gst_ndsh_values_append_text (GValue *array, const char *text);

/* FALSE if the field is neither array nor list. */
gboolean gst_ndsh_structure_get_values (const GstStructure *s, const char *field,
                                        const GValue **values, guint *n_values);
const GValue *gst_ndsh_values_get (const GValue *values, guint i);

/* --- Pictures ------------------------------------------------------------- */

/*
 * One plane of whole bytes, without padding: fields format, width, height, data.
 * NULL, or why @pixels, which has a GstVideoMeta, cannot be told.
 */
const char *gst_ndsh_structure_set_picture (GstStructure *s, GstBuffer *pixels);

/* A new buffer with its GstVideoMeta. NULL unless all is there, in one of @formats, up to
 * GST_VIDEO_FORMAT_UNKNOWN. */
GstBuffer *gst_ndsh_structure_get_picture (const GstStructure *s,
                                           const GstVideoFormat *formats);

G_END_DECLS

#endif
