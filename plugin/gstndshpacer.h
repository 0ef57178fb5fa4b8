/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_NDSH_PACER_H
#define GST_NDSH_PACER_H

#include "gstndshtimeline.h"

G_BEGIN_DECLS

/*
 * GstNdshFacts: what is known of a frame that came.
 * @timing: what its times are
 * @timestamp, @dts, @duration: as the writer said, -1 if unknown
 * @publish: CLOCK_MONOTONIC, when it was published
 * @follows: no frame is missing before it
 * @n_newer: those that came after it so far
 * @is_audio: it sounds: half of it can be shown, and none of it twice
 * @is_raw_audio: it can be cut
 * @is_encoded: frames may refer to those before them
 * @is_delta: this one does: it cannot be decoded without them
 * @is_header: it is no frame, but something to be known before the first
 * @is_untimed: for the pacer: nobody said when it is of
 */
typedef struct {
  NdshTiming timing;
  gint64 timestamp;
  gint64 dts;
  gint64 duration;
  gint64 publish;
  gboolean follows;
  guint n_newer;
  gboolean is_audio;
  gboolean is_raw_audio;
  gboolean is_encoded;
  gboolean is_delta;
  gboolean is_header;
  gboolean is_untimed;
} GstNdshFacts;

/*
 * GstNdshNow: where this pipeline stands.
 * @is_live: whether frames have the running time at which they were captured
 * @has_clock: whether @zero is known
 * @is_playing: whether running time goes on
 * @zero: CLOCK_MONOTONIC at running time 0
 * @time: CLOCK_MONOTONIC
 * @start: running time at which it last began to play
 * @played_at: the same as CLOCK_MONOTONIC
 * @round: 0, and another each time it went on after a pause
 * @latency: of the pipeline, -1 if none was configured yet
 * @pushed: how long downstream took with the frame before
 * @max_age: frames older than this are skipped, -1: none is for its age
 */
typedef struct {
  gboolean is_live;
  gboolean has_clock;
  gboolean is_playing;
  gint64 zero;
  gint64 time;
  gint64 start;
  gint64 played_at;
  GstClockTime round;
  gint64 latency;
  gint64 pushed;
  gint64 max_age;
} GstNdshNow;

/* max_age: a frame's duration and the pipeline's latency, where downstream is slow. */
#define GST_NDSH_MAX_AGE_AUTO G_MAXINT64

typedef enum {
  GST_NDSH_SHOW,                /* at the times that were found */
  GST_NDSH_CUT,                 /* the same, without what is before running time @cut */
  GST_NDSH_DROP_EARLY,          /* it is of before this pipeline played */
  GST_NDSH_DROP_OLD,            /* too old to be shown in time, and there is a newer one */
  GST_NDSH_DROP_DELTA           /* what it refers to is missing */
} GstNdshVerdict;

/*
 * GstNdshTimes: running times of a frame, -1 where there is none.
 * @cut: for GST_NDSH_CUT
 * @goes_back: they are before those of the frame before
 * @is_discont: they do not go on from those of the frame before
 * @is_for_decoding: it is too early to be shown, but others refer to it
 */
typedef struct {
  gint64 pts;
  gint64 dts;
  gint64 duration;
  gint64 cut;
  gboolean goes_back;
  gboolean is_discont;
  gboolean is_for_decoding;
} GstNdshTimes;

/*
 * GstNdshPacer: which frames a source shows, and at which running time.
 *
 * For one thread. All but the timeline are plain values: clocks are read by the caller.
 */
typedef struct {
  GstNdshTimeline *timeline;

  gboolean has_stream;          /* whether the next three are valid */
  GstNdshStream stream;
  gint64 shift;                 /* what to add to its timestamps */
  gint64 floor;                 /* running time before which nothing is shown */

  gboolean has_shown;           /* anything since the last join */
  gboolean has_dropped;         /* the last frame that came */
  gint64 last;                  /* running time of the last frame shown */
  gint64 end;                   /* where it ended */
  gint64 lead;                  /* how early the newest came at most since the last join */
  gint64 last_timestamp;        /* of the last frame that came, -1 if it had none */
  gint64 interval;              /* between frames, 0 if unknown */
  gint64 latency;               /* of the stream, -1 before the first frame */
  gboolean has_deltas;          /* some frames refer to others */
  gboolean has_keys;            /* and some to none, as headers do but are no frames */
  gint64 deltas_since;          /* when the first that refers to others was published, -1 */
  gboolean wants_key;           /* what the next ones may refer to is missing */
} GstNdshPacer;

/* @timeline stays the caller's. */
void gst_ndsh_pacer_init (GstNdshPacer *self, GstNdshTimeline *timeline);

/* What is known of a stream before its first frame is judged. */
void gst_ndsh_pacer_expect (GstNdshPacer *self, const NdshTiming *timing,
                            gint64 duration);

/* The next frame is another writer's. */
void gst_ndsh_pacer_note_join (GstNdshPacer *self);

/* Frames are of another kind from now on. */
void gst_ndsh_pacer_note_format (GstNdshPacer *self);

/* Whether to show a frame, and when. */
GstNdshVerdict gst_ndsh_pacer_judge (GstNdshPacer *self,
                                     const GstNdshFacts *facts,
                                     const GstNdshNow *now,
                                     GstNdshTimes *times);

/* How far a reader should be ready to be behind. */
guint gst_ndsh_pacer_get_queue_length (const GstNdshPacer *self,
                                       const GstNdshNow *now);

/* How late frames are by the time they are here, and how late they may be shown if
 * @queue_length of them are kept: nanoseconds, GST_CLOCK_TIME_NONE for any time. */
void gst_ndsh_pacer_get_latency (const GstNdshPacer *self, guint queue_length,
                                 GstClockTime *least, GstClockTime *most);

G_END_DECLS

#endif
