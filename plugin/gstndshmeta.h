/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_NDSH_META_H
#define GST_NDSH_META_H

#include "gstndshcaps.h"

G_BEGIN_DECLS

/* More than any GstBuffer has without merging them. */
#define GST_NDSH_META_MAX_MEMORIES 16

/* Of what gst_meta_serialize () makes, from GStreamer 1.24 on; beside NDSH_TAG_REGION and
 * NDSH_TAG_META. */
#define GST_NDSH_TAG_SERIALISED 7

/* Of gst_ndsh_events_append (). */
#define GST_NDSH_TAG_EVENT 8

/*
 * GstNdshMeta: what GStreamer knows of a frame and NdshFrameInfo has no place for.
 * @has_dts: whether @dts is valid
 * @dts: nanoseconds of CLOCK_MONOTONIC
 * @offset_end: GST_BUFFER_OFFSET_NONE if unknown
 * @has_layout: whether the buffer has a GstVideoMeta: @layout and @video_flags
 * @n_memories: into how many memories the buffer is divided, 0 if that does not
 *   matter
 * @memory_sizes: bytes in each, together the whole frame
 * @has_metas: whether there is more for gst_ndsh_metas_add (),
 * @has_events: and for gst_ndsh_events_read ()
 */
typedef struct {
  gboolean has_dts;
  gint64 dts;
  guint64 offset_end;
  gboolean has_layout;
  GstNdshLayout layout;
  guint32 video_flags;
  guint n_memories;
  guint64 memory_sizes[GST_NDSH_META_MAX_MEMORIES];
  gboolean has_metas;
  gboolean has_events;
} GstNdshMeta;

/* Everything but the DTS, which needs a clock. */
void gst_ndsh_meta_init_from_buffer (GstNdshMeta *meta, GstBuffer *buffer);

/* Appends what is known to @metadata, items or nothing. */
void gst_ndsh_meta_append (const GstNdshMeta *meta, GByteArray *metadata);

/* From @metadata of any writer: what is no item of ours says nothing. Whether the values
 * fit the frame is for the caller to check. */
void gst_ndsh_meta_decode (GstNdshMeta *meta, const guint8 *metadata, gsize size);

/* Whether items with this tag are for gst_ndsh_metas_add (). */
gboolean gst_ndsh_tag_is_meta (guint32 tag);

/* Set beside a buffer's flags in a frame that was copied into shared memory; whose flags
 * are those of a GstBuffer; whose offset_end is the offset after its own. No buffer has
 * them: their flags end below GST_VIDEO_BUFFER_FLAG_LAST, bit 28. */
#define GST_NDSH_FLAG_COPIED (1u << 31)
#define GST_NDSH_FLAG_GST (1u << 30)
#define GST_NDSH_FLAG_NEXT_OFFSET (1u << 29)
#define GST_NDSH_FLAGS                                                         \
  (GST_NDSH_FLAG_COPIED | GST_NDSH_FLAG_GST | GST_NDSH_FLAG_NEXT_OFFSET)

/* The flags of a buffer that mean something in another process. */
guint32 gst_ndsh_buffer_flags_filter (guint flags);

G_END_DECLS

#endif
