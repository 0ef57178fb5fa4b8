/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_NDSH_EVENTS_H
#define GST_NDSH_EVENTS_H

#include <gst/gst.h>

G_BEGIN_DECLS

/* Events that ride with frames, on a writer's side: tags and sticky custom events with each
 * until they change, so that late readers get them too, other custom events with the next
 * one. For one thread at a time. */
typedef struct _GstNdshEvents GstNdshEvents;

GstNdshEvents *gst_ndsh_events_new (void);
void gst_ndsh_events_free (GstNdshEvents *events);

/* What is neither, or cannot be told in text, stays behind. A new stream forgets what was
 * of the last. */
void gst_ndsh_events_note (GstNdshEvents *events, GstEvent *event);

/* A custom event whose metas are those of @metadata, also if it has none: for what keeps
 * events and no metas. Noted, they are the next frame's; if there are several events, as
 * where a frame got lost on the way, those with the highest @number. */
GstEvent *gst_ndsh_events_new_metas (guint64 number, const guint8 *metadata, gsize size);

/* Appends items to @metadata. */
void gst_ndsh_events_append (const GstNdshEvents *events, GByteArray *metadata);

/* The frame has been published: what was to go with the next one has gone. */
void gst_ndsh_events_done (GstNdshEvents *events);

/* The events of a frame for a reader, in their order, with @sticky what it was given of
 * those that ride with each; a GList of GstEvent, NULL for none. */
GList *gst_ndsh_events_read (const guint8 *metadata, gsize size, GByteArray *sticky);

G_END_DECLS

#endif
