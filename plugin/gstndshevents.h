/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_NDSH_EVENTS_H
#define GST_NDSH_EVENTS_H

#include <gst/gst.h>

G_BEGIN_DECLS

/* Events that cross to readers, on a writer's side. Those of the stream, which are true
 * until they change: its start and collection, tags, TOC, and sticky custom events. Those of
 * the next frame: other custom events, gaps, and that there was a flush. For one thread at a
 * time. */
typedef struct _GstNdshEvents GstNdshEvents;

GstNdshEvents *gst_ndsh_events_new (void);
void gst_ndsh_events_free (GstNdshEvents *events);

/* TRUE if one of the stream is new. What is neither, or cannot be told in text, stays
 * behind. A new stream forgets what was of the last. */
gboolean gst_ndsh_events_note (GstNdshEvents *events, GstEvent *event);

/* In nanoseconds, as a frame's timestamp; @duration -1 if unknown. */
void gst_ndsh_events_note_gap (GstNdshEvents *events, gint64 timestamp, gint64 duration);

/* A custom event whose metas are those of @metadata, also if it has none: for what keeps
 * events and no metas. Noted, they are the next frame's; if there are several events, as
 * where a frame got lost on the way, those with the highest @number. */
GstEvent *gst_ndsh_events_new_metas (guint64 number, const guint8 *metadata, gsize size);

/* Appends those of the stream to the stream's @metadata, and those of the next frame to its
 * own, as items. */
void gst_ndsh_events_append_of_stream (const GstNdshEvents *events, GByteArray *metadata);
void gst_ndsh_events_append (const GstNdshEvents *events, GByteArray *metadata);

/* The frame has been published: what was to go with it has gone. */
void gst_ndsh_events_done (GstNdshEvents *events);

/* For a reader, from @metadata of the stream: a GList of GstEvent in the order in which a
 * pad has them, NULL for none, of what is another than @given says, which becomes what
 * @metadata has. Tags that are there no more are empty ones. */
GList *gst_ndsh_events_read_of_stream (const guint8 *metadata, gsize size,
                                       GByteArray *given);

/* From @metadata of a frame, in their order. A flush is its FLUSH_STOP, and the time of a
 * GAP is a frame's. */
GList *gst_ndsh_events_read (const guint8 *metadata, gsize size);

G_END_DECLS

#endif
