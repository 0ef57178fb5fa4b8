/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_NDSH_META_H
#define GST_NDSH_META_H

#include "gstndshcaps.h"

G_BEGIN_DECLS

/* More than any GstBuffer has without merging them. */
#define GST_NDSH_META_MAX_MEMORIES 16

/* Room that every encoding fits in. */
#define GST_NDSH_META_MAX_SIZE 512

/*
 * GstNdshMeta: what GStreamer knows of a frame and NdshFrameInfo has no place for.
 * @has_dts: whether @dts is valid
 * @dts: nanoseconds of CLOCK_MONOTONIC
 * @offset_end: GST_BUFFER_OFFSET_NONE if unknown
 * @has_layout: whether the buffer has a GstVideoMeta: @layout and @video_flags
 * @n_memories: into how many memories the buffer is divided, 0 if that does not
 *   matter
 * @memory_sizes: bytes in each, together the whole frame
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
} GstNdshMeta;

/* Everything but the DTS, which needs a clock. */
void gst_ndsh_meta_init_from_buffer (GstNdshMeta *meta, GstBuffer *buffer);

/* Returns how many bytes of @data were used: 0 if nothing is known. */
gsize gst_ndsh_meta_encode (const GstNdshMeta *meta,
                            guint8 data[GST_NDSH_META_MAX_SIZE]);

/* FALSE, and @meta says that nothing is known, if this is not what
 * gst_ndsh_meta_encode () made. Nothing in @data is trusted; whether the values
 * fit the frame is for the caller to check. */
gboolean gst_ndsh_meta_decode (GstNdshMeta *meta, const guint8 *data,
                               gsize size);

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
