/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A frame comes with the writer's times and at some moment; what is shown has to be in
 * this pipeline's running time, in time, in order, and nothing that belongs to a moment
 * at which it did not play. All of that is decided here and by numbers alone, so that
 * it can be tested without a clock.
 *
 * Live, what follows CLOCK_MONOTONIC has the running time at which it was captured:
 * a difference of clocks, and nothing to decide. All else has the times of its stream
 * plus a shift, which is settled once for a stream, by its first frame, together with
 * the other channels of the pipeline (gstndshtimeline.h).
 */
#include "gstndshpacer.h"

/* What frames may have to wait for while nobody knows it better, and for as long as a
 * busy machine lets a thread wait now and then. */
#define USUAL_WAIT ((gint64) (100 * GST_MSECOND))

/* What is only to be decoded comes at once, but in order: parsers and muxers take
 * frames of one time for one, and some count in milliseconds. */
#define DECODING_STEP ((gint64) GST_MSECOND)

/* How far key frames lie apart at the most where there are any: encoders' own choice is up
 * to 250 frames. */
#define KEY_WAIT (10 * (gint64) GST_SECOND)

/* What is longer apart is no stream, and what is later is a lie. */
#define MAX_INTERVAL (3600 * (gint64) GST_SECOND)

void
gst_ndsh_pacer_init (GstNdshPacer *self, GstNdshTimeline *timeline)
{
  *self = (GstNdshPacer){ .timeline = timeline,
                          .latency = -1,
                          .last_timestamp = -1,
                          .deltas_since = -1 };
}

void
gst_ndsh_pacer_note_join (GstNdshPacer *self)
{
  self->has_shown = FALSE;
  self->has_dropped = FALSE;
  self->wants_key = FALSE;
  gst_ndsh_pacer_note_format (self);
  self->last_timestamp = -1;
  self->lead = 0;
}

void
gst_ndsh_pacer_note_format (GstNdshPacer *self)
{
  self->has_deltas = FALSE;
  self->has_keys = FALSE;
  self->deltas_since = -1;
}

/* --- What a stream is like --- */

static void
set_interval (GstNdshPacer *self, gint64 interval)
{
  /* What depends on it is told to others, so it should not change with each frame. */
  if (interval > 0 && interval < MAX_INTERVAL
      && ABS (interval - self->interval) > self->interval / 8)
    self->interval = interval;
}

static void
set_latency (GstNdshPacer *self, gint64 latency)
{
  self->latency = latency >= 0 && latency < MAX_INTERVAL ? latency : 0;
}

void
gst_ndsh_pacer_expect (GstNdshPacer *self, const NdshTiming *timing,
                       gint64 duration)
{
  set_latency (self, timing->latency_ns);
  set_interval (self, duration);
}

static void
learn (GstNdshPacer *self, const GstNdshFacts *facts, gint64 timestamp)
{
  if (facts->duration > 0)
    set_interval (self, facts->duration);
  else if (facts->follows && self->last_timestamp >= 0)
    set_interval (self, timestamp - self->last_timestamp);
  self->last_timestamp = timestamp;
}

/* --- Running time --- */

/* Whether @stream is that of the last frame but for the round. */
static gboolean
is_resumed (const GstNdshPacer *self, const GstNdshStream *stream)
{
  return self->has_stream && stream->clock == self->stream.clock
         && stream->origin == self->stream.origin;
}

/* What it is of. After a pause that is another, so that time goes on from where it
 * was; but as long as no frame is missing not yet for what was published before this
 * pipeline went on, and not at all where times follow each other only. */
static GstNdshStream
find_stream (const GstNdshPacer *self, const GstNdshFacts *facts,
             const GstNdshNow *now)
{
  GstNdshStream stream
    = { facts->timing.clock, facts->timing.origin_ns, now->round };

  if (is_resumed (self, &stream) && facts->follows
      && (facts->publish < now->played_at || stream.clock == NDSH_CLOCK_NONE))
    stream.round = self->stream.round;
  return stream;
}

/* Where the first frame of a stream goes: live, to now; else, which -1 stands for,
 * behind all that was shown. */
static gint64
choose_start (const GstNdshPacer *self, const GstNdshStream *stream,
              const GstNdshNow *now)
{
  gint64 running;

  if (!now->is_live || !now->has_clock)
    return -1;
  running = MAX (0, gst_ndsh_monotonic_to_running (now->time, now->zero));
  return is_resumed (self, stream) ? MAX (running, self->end) : running;
}

/* What time of a stream its start is. A picture that has lain there for long, as of a
 * writer that pauses, is no beginning: what comes after it would be so much later. */
static gint64
choose_first (const GstNdshPacer *self, const GstNdshFacts *facts,
              const GstNdshNow *now, gint64 timestamp)
{
  if (facts->timing.clock != NDSH_CLOCK_MONOTONIC || self->has_shown
      || facts->n_newer > 0
      || now->time - facts->publish < self->interval + USUAL_WAIT)
    return timestamp;
  return MAX (timestamp, now->time - self->latency - self->interval);
}

static void
settle (GstNdshPacer *self, const GstNdshStream *stream,
        const GstNdshFacts *facts, const GstNdshNow *now, gint64 timestamp)
{
  gint64 running = choose_start (self, stream, now);

  timestamp = choose_first (self, facts, now, timestamp);
  if (!gst_ndsh_timeline_find (self->timeline, stream, !self->has_stream,
                               &self->shift))
    self->shift = gst_ndsh_timeline_settle (self->timeline, stream, timestamp,
                                            facts->follows, running);
}

/* Whether what was shown so far is of times up to now, as those of a camera are. A file
 * that was read fast may be far ahead of what is live. */
static gboolean
is_past (const GstNdshPacer *self, const GstNdshNow *now)
{
  gint64 running = gst_ndsh_monotonic_to_running (now->time, now->zero);

  return self->last <= running + self->interval + USUAL_WAIT;
}

/* Before that nothing of @stream is shown. Another channel may have settled its times
 * such that some of this one is past; and a pipeline that pauses, or a writer that seeks,
 * says that it did so a little before its last frame. */
static void
set_floor (GstNdshPacer *self, const GstNdshStream *stream,
           const GstNdshFacts *facts, const GstNdshNow *now)
{
  if (!now->is_live || !now->has_clock)
    self->floor = self->end;
  else if (stream->clock == NDSH_CLOCK_NONE || !self->has_stream
           || !is_past (self, now))
    self->floor = 0;
  else
    self->floor = facts->is_raw_audio ? self->end : self->last + 1;
}

/* Whether times are of another stream than those of the frame before. */
static gboolean
enter_stream (GstNdshPacer *self, const GstNdshFacts *facts,
              const GstNdshNow *now, gint64 timestamp)
{
  GstNdshStream stream = find_stream (self, facts, now);

  if (self->has_stream && gst_ndsh_stream_equal (&stream, &self->stream))
    return FALSE;
  settle (self, &stream, facts, now, timestamp);
  set_floor (self, &stream, facts, now);
  self->stream = stream;
  self->has_stream = TRUE;
  return TRUE;
}

static gboolean
follows_our_clock (const GstNdshFacts *facts, const GstNdshNow *now)
{
  return now->is_live && now->has_clock
         && facts->timing.clock == NDSH_CLOCK_MONOTONIC;
}

/* Frames of one stream come in the order of their DTS. */
static gint64
get_order (const GstNdshFacts *facts)
{
  return gst_ndsh_time_is_sane (facts->dts) ? facts->dts : facts->timestamp;
}

/* The running time of what a sink shows at once. */
static gint64
find_soonest (const GstNdshNow *now)
{
  return MAX (0, gst_ndsh_monotonic_to_running (now->time, now->zero)
                   - MAX (0, now->latency));
}

/* Whether frames of a file that were missed are waited for, while more than a queue
 * holds come, so that others are missed, too. It is read faster than it is shown. */
static gboolean
is_far_ahead (const GstNdshPacer *self, const GstNdshFacts *facts,
              const GstNdshNow *now, gint64 running)
{
  gint64 reach = self->interval > 0 ? (NDSH_MAX_QUEUE - 1) * self->interval
                                    : (gint64) GST_SECOND;
  gint64 from = self->end;

  if (facts->follows || facts->timing.clock != NDSH_CLOCK_NONE)
    return FALSE;
  if (now->is_live && now->has_clock)
    from = find_soonest (now);
  return running + facts->n_newer * self->interval - from > reach;
}

static void
catch_up (GstNdshPacer *self, const GstNdshFacts *facts, const GstNdshNow *now)
{
  gint64 running = now->is_live && now->has_clock
                     ? MAX (find_soonest (now), self->end)
                     : -1;

  self->shift = gst_ndsh_timeline_settle_anew (self->timeline, &self->stream,
                                               self->shift, get_order (facts),
                                               running);
  set_floor (self, &self->stream, facts, now);
}

static void
find_times (GstNdshPacer *self, const GstNdshFacts *facts, const GstNdshNow *now,
            GstNdshTimes *times)
{
  gint64 shift;

  /* A frame without a time among others is no other stream. */
  if (!facts->is_untimed || !follows_our_clock (facts, now))
    times->is_discont |= enter_stream (self, facts, now, get_order (facts));
  if (is_far_ahead (self, facts, now, get_order (facts) + self->shift)) {
    catch_up (self, facts, now);
    times->is_discont = TRUE;
  }
  shift = follows_our_clock (facts, now) ? -now->zero : self->shift;
  times->pts = facts->timestamp + shift;
  times->dts = facts->dts + shift;
}

/* --- Whether to show it --- */

/* If nobody said when it is of, that is when it was published; but it has no time where
 * the times of others do not follow a clock, nor do headers. */
static GstNdshFacts
complete (const GstNdshFacts *facts, const GstNdshNow *now)
{
  GstNdshFacts complete = *facts;

  complete.is_untimed = !gst_ndsh_time_is_sane (get_order (facts));
  if (!complete.is_untimed || facts->is_header
      || !gst_ndsh_time_is_sane (facts->publish))
    return complete;
  if (now->is_live || facts->timing.clock == NDSH_CLOCK_MONOTONIC) {
    complete.timestamp = facts->publish;
    complete.timing.clock = NDSH_CLOCK_MONOTONIC;
  }
  return complete;
}

static gint64
get_floor (const GstNdshPacer *self, const GstNdshFacts *facts,
           const GstNdshNow *now)
{
  return follows_our_clock (facts, now) ? MAX (now->start, self->floor)
                                        : self->floor;
}

/* A picture stays until there is another: who comes late sees it, late. */
static gboolean
is_still_shown (const GstNdshPacer *self, const GstNdshFacts *facts)
{
  return !self->has_shown && facts->n_newer == 0 && !facts->is_audio;
}

/* The same time as get_order () as running time. */
static gint64
get_running_order (const GstNdshFacts *facts, const GstNdshTimes *times)
{
  return gst_ndsh_time_is_sane (facts->dts) ? times->dts : times->pts;
}

/* When it is to be seen or heard, as running time. */
static gint64
get_running_time (const GstNdshFacts *facts, const GstNdshTimes *times)
{
  return gst_ndsh_time_is_sane (facts->timestamp) ? times->pts : times->dts;
}

static void
move_to (GstNdshTimes *times, gint64 running, gint64 floor)
{
  gint64 late = floor - running;

  if (late > 0 && times->duration > 0)
    times->duration = times->duration > late ? times->duration - late : -1;
  times->pts = MAX (times->pts, floor);
  times->dts = MAX (times->dts, floor);
}

/* Of those that others refer to some are decoded before @floor, and come at once then. */
static void
keep_in_order (GstNdshPacer *self, const GstNdshFacts *facts, gint64 floor,
               GstNdshTimes *times)
{
  gint64 least = MAX (floor, self->last + DECODING_STEP);

  if (!facts->is_encoded || get_running_order (facts, times) >= floor)
    return;
  times->dts = MAX (times->dts, least);
  times->pts = MAX (times->pts, least);
  self->floor = least;
}

static GstNdshVerdict
judge_early (GstNdshPacer *self, const GstNdshFacts *facts, gint64 floor,
             GstNdshTimes *times)
{
  gint64 running = get_running_time (facts, times);

  if (running < floor && facts->is_raw_audio
      && running + MAX (0, times->duration) > floor) {
    times->cut = floor;
    return GST_NDSH_CUT;
  }
  if (running < floor && !is_still_shown (self, facts)) {
    if (!facts->is_encoded)
      return GST_NDSH_DROP_EARLY;
    times->is_for_decoding = TRUE;
  }
  if (self->has_shown)
    keep_in_order (self, facts, floor, times);
  move_to (times, running, floor);
  return GST_NDSH_SHOW;
}

static gboolean
is_too_old (const GstNdshPacer *self, const GstNdshFacts *facts,
            const GstNdshNow *now, const GstNdshTimes *times)
{
  gint64 limit = now->max_age;

  /* The first is shown: what follows may be the end. */
  if (limit < 0 || facts->n_newer == 0 || !self->has_shown || self->has_deltas
      || !now->has_clock || !now->is_playing)
    return FALSE;
  /* Downstream that is not slow may be late, as a whole machine is now and then: what
   * it records should be whole nevertheless. */
  if (limit == GST_NDSH_MAX_AGE_AUTO && now->pushed <= self->interval)
    return FALSE;
  if (limit == GST_NDSH_MAX_AGE_AUTO)
    limit = MAX (now->latency, self->latency) + self->interval;
  return gst_ndsh_monotonic_to_running (now->time, now->zero)
           - get_running_order (facts, times)
         > limit;
}

/* Some streams are without: sound in MPEG-TS, pictures that are refreshed bit by bit. */
static gboolean
has_keys_to_wait_for (GstNdshPacer *self, const GstNdshFacts *facts)
{
  if (self->deltas_since < 0)
    self->deltas_since = facts->publish;
  return self->has_keys || facts->publish - self->deltas_since < KEY_WAIT;
}

static GstNdshVerdict
judge_delta (GstNdshPacer *self, const GstNdshFacts *facts)
{
  self->has_keys |= !facts->is_delta && !facts->is_header;
  self->wants_key = (self->wants_key || !facts->follows) && facts->is_delta;
  if (facts->is_delta && !has_keys_to_wait_for (self, facts))
    self->wants_key = FALSE;
  return self->wants_key ? GST_NDSH_DROP_DELTA : GST_NDSH_SHOW;
}

static void
note_shown (GstNdshPacer *self, const GstNdshFacts *facts, GstNdshTimes *times)
{
  gint64 order = get_running_order (facts, times);
  gint64 start = MAX (order, times->cut);
  gint64 length = times->duration > 0 ? times->duration : self->interval;

  if (times->is_for_decoding)
    length = 0;
  times->goes_back = times->is_discont && start < self->last;
  if (times->goes_back)
    self->end = 0;
  self->last = start;
  self->end = MAX (self->end, MAX (order, times->pts) + length);
  gst_ndsh_timeline_advance (self->timeline, self->end);
}

/* Frames may come long before they are due, as where a reader that loses nothing paces
 * a writer that does not sync. It is not forgotten: those that follow may be as early,
 * and others are told of each change. */
static void
note_lead (GstNdshPacer *self, const GstNdshFacts *facts, const GstNdshNow *now)
{
  gint64 newest = self->last + facts->n_newer * self->interval;

  if (now->is_live && now->has_clock)
    self->lead
      = MAX (self->lead,
             newest - gst_ndsh_monotonic_to_running (now->time, now->zero));
}

static void
hide_unknown (const GstNdshFacts *facts, GstNdshTimes *times)
{
  if (!gst_ndsh_time_is_sane (facts->timestamp))
    times->pts = -1;
  if (!gst_ndsh_time_is_sane (facts->dts))
    times->dts = -1;
}

static GstNdshVerdict
judge_times (GstNdshPacer *self, const GstNdshFacts *facts,
             const GstNdshNow *now, GstNdshTimes *times)
{
  GstNdshVerdict verdict;

  if (!gst_ndsh_time_is_sane (get_order (facts)))
    return GST_NDSH_SHOW;
  learn (self, facts, get_order (facts));
  find_times (self, facts, now, times);
  verdict = judge_early (self, facts, get_floor (self, facts, now), times);
  if (verdict != GST_NDSH_DROP_EARLY && is_too_old (self, facts, now, times))
    verdict = GST_NDSH_DROP_OLD;
  /* It may have been published before the time that one before it names. */
  if (facts->is_untimed && self->has_shown)
    times->pts = MAX (times->pts, self->last);
  if (verdict == GST_NDSH_SHOW || verdict == GST_NDSH_CUT) {
    note_shown (self, facts, times);
    note_lead (self, facts, now);
  }
  return verdict;
}

GstNdshVerdict
gst_ndsh_pacer_judge (GstNdshPacer *self, const GstNdshFacts *given,
                      const GstNdshNow *now, GstNdshTimes *times)
{
  GstNdshFacts facts = complete (given, now);
  GstNdshVerdict verdict;

  *times = (GstNdshTimes){ .pts = -1,
                           .dts = -1,
                           .duration = facts.duration,
                           .cut = G_MININT64,
                           .is_discont = !self->has_shown };
  set_latency (self, facts.timing.latency_ns);
  self->has_deltas |= facts.is_delta;
  facts.follows = facts.follows && !self->has_dropped;
  verdict = judge_delta (self, &facts);
  if (verdict == GST_NDSH_SHOW)
    verdict = judge_times (self, &facts, now, times);
  self->has_dropped
    = verdict != GST_NDSH_SHOW && verdict != GST_NDSH_CUT;
  self->has_shown |= !self->has_dropped;
  times->is_discont |= !facts.follows;
  hide_unknown (&facts, times);
  return verdict;
}

/* --- What to be ready for --- */

guint
gst_ndsh_pacer_get_queue_length (const GstNdshPacer *self, const GstNdshNow *now)
{
  gint64 wait;

  if (self->has_deltas)
    return NDSH_MAX_QUEUE;
  /* A pipeline that is not live is behind by what it took to begin to play. */
  wait = now->is_live && now->latency >= 0
           ? now->latency + (self->lead > 0 ? self->lead : -self->latency)
           : 0;
  wait = MAX (wait, USUAL_WAIT);
  if (now->max_age >= 0 && now->max_age != GST_NDSH_MAX_AGE_AUTO)
    wait = MAX (wait, now->max_age - self->latency);
  return gst_ndsh_queue_length_for (wait, self->interval);
}

void
gst_ndsh_pacer_get_latency (const GstNdshPacer *self, guint queue_length,
                            GstClockTime *least, GstClockTime *most)
{
  *least = (GstClockTime) MAX (0, self->latency);
  *most = GST_CLOCK_TIME_NONE;
  /* A queue of one is the frame at hand, and none that waits. */
  if (queue_length > 0 && (self->interval > 0 || queue_length == 1))
    *most = *least + (queue_length - 1) * (GstClockTime) self->interval;
}
