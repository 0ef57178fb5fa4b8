/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_NDSH_INCOMING_H
#define GST_NDSH_INCOMING_H

#include <gst/base/gstbasesrc.h>

G_BEGIN_DECLS

/* The events of a writer's pipeline on their way down a reader's. For the streaming thread
 * alone. */
typedef struct _GstNdshIncoming GstNdshIncoming;

/* @src owns it. */
GstNdshIncoming *gst_ndsh_incoming_new (GstBaseSrc *src);
void gst_ndsh_incoming_free (GstNdshIncoming *incoming);

/* Nothing was pushed yet. */
void gst_ndsh_incoming_reset (GstNdshIncoming *incoming);

/* Those that ride with a frame, be it shown or not: they go before the next that is. */
void gst_ndsh_incoming_take (GstNdshIncoming *incoming, const guint8 *metadata, gsize size);

/* What comes from here on is another writer's. */
void gst_ndsh_incoming_note_writer (GstNdshIncoming *incoming);

/* Before caps: the start of a stream, if @metadata of the stream has another. */
void gst_ndsh_incoming_begin (GstNdshIncoming *incoming, const guint8 *metadata,
                              gsize size);

/* Whether there was a flush since this was last asked. */
gboolean gst_ndsh_incoming_was_flushed (GstNdshIncoming *incoming);

/* Flushes what is downstream. */
void gst_ndsh_incoming_flush (GstNdshIncoming *incoming);

/* All others, once there are caps. A time of the writer's is shown @shift later; or
 * GST_CLOCK_STIME_NONE. */
void gst_ndsh_incoming_push (GstNdshIncoming *incoming, gint64 shift);

/* The metas in @metadata of a frame, see gst_ndsh_events_new_metas (). */
void gst_ndsh_incoming_push_metas (GstNdshIncoming *incoming, guint64 number,
                                   const guint8 *metadata, gsize size);

/* The segment once more, before the next buffer. */
void gst_ndsh_incoming_push_segment (GstNdshIncoming *incoming);

G_END_DECLS

#endif
