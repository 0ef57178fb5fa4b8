/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_NDSH_TIME_H
#define GST_NDSH_TIME_H

#include <gst/gst.h>
#include <ndsh.h>

G_BEGIN_DECLS

/*
 * Times between two pipelines: nanoseconds, signed, of which there are three kinds.
 *
 *   running time   of a pipeline: what it has played; buffers' times, once their
 *                  segment is taken into account
 *   clock time     of the clock that the pipeline plays by
 *   monotonic      CLOCK_MONOTONIC, which all processes of a machine share, and which
 *                  is what frames carry
 */

/* Times that can be added up; nobody's clock shows others. */
static inline gboolean
gst_ndsh_time_is_sane (gint64 time)
{
  return time >= 0 && time < G_MAXINT64 / 4;
}

/* CLOCK_MONOTONIC. */
gint64 gst_ndsh_get_monotonic_time (void);

/* What all elements of this process keep with @object under the name @key: the first
 * that asks has @make make it, and @clear gets it when @object goes. */
gpointer gst_ndsh_object_get_shared (gpointer object, const char *key,
                                     gpointer (*make) (void),
                                     GDestroyNotify clear);

/* --- A clock beside CLOCK_MONOTONIC --- */

/*
 * GstNdshClockOffset: what to add to a clock's time to have CLOCK_MONOTONIC, followed
 * through many looks at both.
 *
 * One look is off by as much as the clock is coarse: an audio clock may move once in
 * 10 ms. Such a clock is behind what it ought to say, never ahead; so the smallest
 * difference seen lately is the best one, and the offset is led there slowly.
 */
typedef struct {
  gboolean is_known;
  gint64 offset;
  gint64 looked_at;             /* CLOCK_MONOTONIC of the last look */
  gint64 since;                 /* when the present period of looks began */
  gint64 least;                 /* smallest difference of this period */
  gint64 least_before;          /* and of the one before */
} GstNdshClockOffset;

/* Takes in a look: the two clocks showed @monotonic and @clock_time at the same moment.
 * Returns the offset from now on. */
gint64 gst_ndsh_clock_offset_add (GstNdshClockOffset *self, gint64 monotonic,
                                  gint64 clock_time);

/* --- Running time and CLOCK_MONOTONIC, both ways --- */

/* @zero is CLOCK_MONOTONIC at running time 0. */
static inline gint64
gst_ndsh_running_to_monotonic (gint64 running, gint64 zero)
{
  return running + zero;
}

static inline gint64
gst_ndsh_monotonic_to_running (gint64 monotonic, gint64 zero)
{
  return monotonic - zero;
}

/*
 * GstNdshTimeBase: an element's clock and base time, and what follows from them.
 * @zero: CLOCK_MONOTONIC at running time 0, as of the last update
 * @origin: the same as of when the base time was set; equal in all elements of this
 *   process that play by the same clock and base time
 */
typedef struct {
  gint64 zero;
  gint64 origin;

  /*< private >*/
  GstClock *clock;
  gboolean is_monotonic;
  gint64 base_time;
} GstNdshTimeBase;

/* FALSE, and nothing valid in @self, if @element has no clock. Any thread may call
 * this, but one at a time. */
gboolean gst_ndsh_time_base_update (GstNdshTimeBase *self, GstElement *element);
void gst_ndsh_time_base_clear (GstNdshTimeBase *self);

/* The signed running time of @time in @segment; FALSE if it has none. */
gboolean gst_ndsh_segment_to_running (const GstSegment *segment,
                                      GstClockTime time, gint64 *running);

/* How long a buffer of @duration plays; -1 if that is unknown. */
gint64 gst_ndsh_segment_scale_duration (const GstSegment *segment,
                                        GstClockTime duration);

/* --- What a reader makes of a writer's times --- */

/* What to add to a stream's timestamps to have running times, if its first frame
 * here is of @timestamp. Where times only follow each other, and nothing was missed
 * (@from_start), it is the stream's origin that becomes @running; else the frame. */
gint64 gst_ndsh_timing_choose_shift (const NdshTiming *timing, gint64 timestamp,
                                     gboolean from_start, gint64 running);

/* What a queue is long while nothing is known of what it is for. */
#define GST_NDSH_QUEUE_LENGTH 8

/* How many frames of @interval have to be kept behind the writer, so that a sink gets
 * each of them that shows a frame @wait after it was published; at least 2, at most
 * NDSH_MAX_QUEUE. An @interval of 0 is unknown. */
guint gst_ndsh_queue_length_for (gint64 wait, gint64 interval);

G_END_DECLS

#endif
