/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_NDSH_TIMELINE_H
#define GST_NDSH_TIMELINE_H

#include "gstndshtime.h"

G_BEGIN_DECLS

/*
 * GstNdshTimeline: where the streams of one reading pipeline stand in its running
 * time, and how long those of a writing one were held up. All ndshsrc and ndshsink of
 * the pipeline share it, so that channels that belong together stay together, whichever
 * of them has its first frame, or reader, first.
 *
 * Any thread may use it.
 */
typedef struct _GstNdshTimeline GstNdshTimeline;

/*
 * GstNdshStream: what has to be the same for two frames to be in one stretch of times.
 * @clock, @origin: as their writer says
 * @round: 0, and another each time this pipeline goes on after a pause
 */
typedef struct {
  NdshClock clock;
  gint64 origin;
  GstClockTime round;
} GstNdshStream;

gboolean gst_ndsh_stream_equal (const GstNdshStream *a, const GstNdshStream *b);

/* That of the pipeline that @element is in. Give it back with leave. */
GstNdshTimeline *gst_ndsh_timeline_join (GstElement *element);
void gst_ndsh_timeline_leave (GstNdshTimeline *self);

/* What to add to the timestamps of @stream, if that is settled already.
 * @is_first: the caller had no stream before; then any that follows CLOCK_MONOTONIC
 * will do for one that does. */
gboolean gst_ndsh_timeline_find (GstNdshTimeline *self,
                                 const GstNdshStream *stream, gboolean is_first,
                                 gint64 *shift);

/* Settles it: the stream's first frame here is of @timestamp and has @running, or,
 * where that is negative, follows all that was shown so far. Returns what was settled,
 * also if another was sooner. */
gint64 gst_ndsh_timeline_settle (GstNdshTimeline *self,
                                 const GstNdshStream *stream, gint64 timestamp,
                                 gboolean from_start, gint64 running);

/* Settles it anew, unless another has done so since it was @shift. */
gint64 gst_ndsh_timeline_settle_anew (GstNdshTimeline *self,
                                      const GstNdshStream *stream, gint64 shift,
                                      gint64 timestamp, gint64 running);

/* A frame ends at @running. */
void gst_ndsh_timeline_advance (GstNdshTimeline *self, gint64 running);

/* A sink has kept its stream waiting for @waited in all: what follows in any of them is
 * so much later. */
void gst_ndsh_timeline_hold_up (GstNdshTimeline *self, gint64 waited);
gint64 gst_ndsh_timeline_get_delay (GstNdshTimeline *self);

/* It is the same as long as this is, which takes no lock. */
guint gst_ndsh_timeline_count_delays (GstNdshTimeline *self);

/* Running time begins anew, without a delay. */
void gst_ndsh_timeline_flush (GstNdshTimeline *self);

G_END_DECLS

#endif
