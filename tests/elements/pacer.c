/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "elements.h"

#include "gstndshpacer.h"

/* All times here are milliseconds; CLOCK_MONOTONIC begins at 0, and frames are of
 * 40 ms unless they say otherwise. */
#define MS ((gint64) GST_MSECOND)
#define NONE (-1)

/* What comes, and what should become of it. */
typedef struct {
  gint64 timestamp;
  gint64 now;                   /* when it was published, and is looked at */
  GstNdshVerdict verdict;
  gint64 pts;                   /* if it is shown */
  gint64 duration;              /* 0: 40 */
  gboolean missed;              /* there is a gap before it */
  guint n_newer;
  gboolean is_audio;
  gboolean is_encoded;
  gboolean is_delta;
  gboolean is_header;
  gboolean for_decoding;        /* it is not shown, but others refer to it */
  gint64 waited;                /* it was published so long ago */
  gint64 origin;
  gboolean joins;               /* it is another writer's first */
  gboolean goes_back;
} Step;

typedef struct {
  GstElement *element;
  GstNdshTimeline *timeline;
  GstNdshPacer pacer;
  GstNdshNow now;
  NdshClock clock;
} Fixture;

/* The pipeline began to play at 1000. */
static void
fixture_init (Fixture *f, gboolean is_live, NdshClock clock)
{
  f->element = gst_bin_new (NULL);
  f->timeline = gst_ndsh_timeline_join (f->element);
  gst_ndsh_pacer_init (&f->pacer, f->timeline);
  f->clock = clock;
  f->now = (GstNdshNow){ .is_live = is_live,
                         .has_clock = TRUE,
                         .is_playing = TRUE,
                         .zero = 1000 * MS,
                         .played_at = 1000 * MS,
                         .latency = 35 * MS,
                         .pushed = 50 * MS,
                         .max_age = GST_NDSH_MAX_AGE_AUTO };
}

static void
fixture_clear (Fixture *f)
{
  gst_ndsh_timeline_leave (f->timeline);
  gst_object_unref (f->element);
}

/* It went on after a pause that began at running time @running. */
static void
resume (Fixture *f, gint64 at, gint64 running)
{
  f->now.played_at = at * MS;
  f->now.start = running * MS;
  f->now.zero = (at - running) * MS;
  f->now.round++;
}

static GstNdshFacts
facts_of (const Fixture *f, const Step *step)
{
  return (GstNdshFacts){
    .timing = { f->clock, step->origin * MS, 0 },
    .timestamp = step->timestamp == NONE ? -1 : step->timestamp * MS,
    .dts = -1,
    .duration = (step->duration == 0 ? 40 : step->duration) * MS,
    .publish = (step->now - step->waited) * MS,
    .follows = !step->missed,
    .n_newer = step->n_newer,
    .is_audio = step->is_audio,
    .is_raw_audio = step->is_audio,
    .is_encoded = step->is_encoded || step->is_delta,
    .is_delta = step->is_delta,
    .is_header = step->is_header,
  };
}

static void
take (Fixture *f, const Step *steps, guint n_steps)
{
  for (guint i = 0; i < n_steps; i++) {
    const Step *step = &steps[i];
    GstNdshFacts facts = facts_of (f, step);
    GstNdshVerdict verdict;
    GstNdshTimes times;

    f->now.time = step->now * MS;
    if (step->joins)
      gst_ndsh_pacer_note_join (&f->pacer);
    verdict = gst_ndsh_pacer_judge (&f->pacer, &facts, &f->now, &times);
    if (verdict != step->verdict)
      g_error ("step %u: verdict %d, not %d", i, verdict, step->verdict);
    if (verdict != GST_NDSH_SHOW && verdict != GST_NDSH_CUT)
      continue;
    /* What is just behind something else is so by a nanosecond. */
    if ((times.pts == NONE ? NONE : times.pts / MS) != step->pts)
      g_error ("step %u: pts %.3f ms, not %" G_GINT64_FORMAT, i, times.pts / 1e6,
               step->pts);
    g_assert_cmpint (times.goes_back, ==, step->goes_back);
    g_assert_cmpint (times.is_for_decoding, ==, step->for_decoding);
  }
}

static void
run (gboolean is_live, NdshClock clock, const Step *steps, guint n_steps)
{
  Fixture f;

  fixture_init (&f, is_live, clock);
  take (&f, steps, n_steps);
  fixture_clear (&f);
}

#define RUN(is_live, clock, ...)                                               \
  run (is_live, clock, (const Step[]){ __VA_ARGS__ },                          \
       G_N_ELEMENTS (((const Step[]){ __VA_ARGS__ })))
#define TAKE(f, ...)                                                           \
  take (f, (const Step[]){ __VA_ARGS__ },                                      \
        G_N_ELEMENTS (((const Step[]){ __VA_ARGS__ })))

/* --- Live --- */

GST_START_TEST (live_frames_have_the_time_of_their_capture)
{
  RUN (TRUE, NDSH_CLOCK_MONOTONIC, { 1200, 1201, GST_NDSH_SHOW, .pts = 200 },
       { 1240, 1241, GST_NDSH_SHOW, .pts = 240 }, { 1280, 1290, GST_NDSH_SHOW, .pts = 280 });
}
GST_END_TEST

/* It is late, and that is all. */
GST_START_TEST (the_picture_at_a_join_is_shown_however_old_it_is)
{
  RUN (TRUE, NDSH_CLOCK_MONOTONIC,
       { 900, 1010, GST_NDSH_SHOW, .pts = 0, .missed = TRUE, .waited = 100 },
       { 1400, 1401, GST_NDSH_SHOW, .pts = 400 });
  RUN (TRUE, NDSH_CLOCK_MONOTONIC,
       { 1100, 4000, GST_NDSH_SHOW, .pts = 100, .missed = TRUE, .waited = 2900 },
       { 4010, 4011, GST_NDSH_SHOW, .pts = 3010 });
}
GST_END_TEST

GST_START_TEST (what_remains_of_a_late_picture_is_its_duration)
{
  const Step steps[] = { { 970, 1005, GST_NDSH_SHOW, .pts = 0, .missed = TRUE } };
  GstNdshFacts facts;
  GstNdshTimes times;
  Fixture f;

  fixture_init (&f, TRUE, NDSH_CLOCK_MONOTONIC);
  facts = facts_of (&f, &steps[0]);
  f.now.time = 1005 * MS;
  gst_ndsh_pacer_judge (&f.pacer, &facts, &f.now, &times);
  g_assert_cmpint (times.pts, ==, 0);
  g_assert_cmpint (times.duration, ==, 10 * MS);
  fixture_clear (&f);
}
GST_END_TEST

GST_START_TEST (of_several_old_pictures_the_newest_is_shown)
{
  RUN (TRUE, NDSH_CLOCK_MONOTONIC,
       { 880, 1010, GST_NDSH_DROP_EARLY, .n_newer = 1, .waited = 100 },
       { 920, 1010, GST_NDSH_SHOW, .pts = 0, .waited = 60 },
       { 1040, 1041, GST_NDSH_SHOW, .pts = 40 });
}
GST_END_TEST

GST_START_TEST (sound_is_cut_where_the_pipeline_began_to_play)
{
  RUN (TRUE, NDSH_CLOCK_MONOTONIC,
       { 950, 1010, GST_NDSH_DROP_EARLY, .is_audio = TRUE, .missed = TRUE },
       { 990, 1031, GST_NDSH_CUT, .pts = -10, .is_audio = TRUE },
       { 1030, 1071, GST_NDSH_SHOW, .pts = 30, .is_audio = TRUE });
}
GST_END_TEST

GST_START_TEST (what_was_captured_in_a_pause_is_dropped)
{
  Fixture f;

  fixture_init (&f, TRUE, NDSH_CLOCK_MONOTONIC);
  TAKE (&f, { 1200, 1201, GST_NDSH_SHOW, .pts = 200 });
  /* Paused at 1230, on again at 4230. */
  resume (&f, 4230, 230);
  TAKE (&f, { 1240, 4231, GST_NDSH_DROP_EARLY, .waited = 2990 },
        { 4200, 4231, GST_NDSH_DROP_EARLY, .waited = 30, .missed = TRUE },
        { 4240, 4241, GST_NDSH_SHOW, .pts = 240 });
  fixture_clear (&f);
}
GST_END_TEST

GST_START_TEST (what_cannot_be_shown_in_time_is_skipped_for_a_newer_one)
{
  RUN (TRUE, NDSH_CLOCK_MONOTONIC, { 1200, 1201, GST_NDSH_SHOW, .pts = 200 },
       { 1240, 1314, GST_NDSH_SHOW, .pts = 240, .n_newer = 1 },
       { 1280, 1356, GST_NDSH_DROP_OLD, .n_newer = 1 },
       { 1320, 1356, GST_NDSH_SHOW, .pts = 320 },
       { 1360, 1999, GST_NDSH_SHOW, .pts = 360 });
}
GST_END_TEST

/* A thread that was not run in time, say. What it records is to be whole. */
GST_START_TEST (what_downstream_is_not_slow_with_is_shown_late)
{
  Fixture f;

  fixture_init (&f, TRUE, NDSH_CLOCK_MONOTONIC);
  f.now.pushed = 40 * MS;
  TAKE (&f, { 1200, 1201, GST_NDSH_SHOW, .pts = 200 },
        { 1240, 1999, GST_NDSH_SHOW, .pts = 240, .n_newer = 1 },
        { 1280, 1999, GST_NDSH_SHOW, .pts = 280, .n_newer = 1 });
  f.now.pushed = 41 * MS;
  TAKE (&f, { 1320, 1999, GST_NDSH_DROP_OLD, .n_newer = 1 });
  f.now.pushed = 0;
  f.now.max_age = 100 * MS;
  TAKE (&f, { 1360, 1999, GST_NDSH_DROP_OLD, .n_newer = 1 });
  fixture_clear (&f);
}
GST_END_TEST

/* Or a stream that ends at once would have shown nothing. */
GST_START_TEST (the_first_frame_is_not_too_old)
{
  RUN (TRUE, NDSH_CLOCK_MONOTONIC,
       { 1200, 1999, GST_NDSH_SHOW, .pts = 200, .n_newer = 1 },
       { 1240, 1999, GST_NDSH_DROP_OLD, .n_newer = 1 },
       { 1960, 1999, GST_NDSH_SHOW, .pts = 960 });
}
GST_END_TEST

GST_START_TEST (without_a_time_it_is_that_of_publishing)
{
  RUN (TRUE, NDSH_CLOCK_MONOTONIC, { NONE, 1200, GST_NDSH_SHOW, .pts = 200 });
  RUN (TRUE, NDSH_CLOCK_NONE, { NONE, 1200, GST_NDSH_SHOW, .pts = 200 });
  RUN (FALSE, NDSH_CLOCK_MONOTONIC, { NONE, 1200, GST_NDSH_SHOW, .pts = 0 },
       { NONE, 1240, GST_NDSH_SHOW, .pts = 40 });
  RUN (FALSE, NDSH_CLOCK_NONE, { NONE, 1200, GST_NDSH_SHOW, .pts = NONE });
}
GST_END_TEST

GST_START_TEST (a_file_begins_when_it_is_first_seen)
{
  RUN (TRUE, NDSH_CLOCK_NONE,
       { 700, 1300, GST_NDSH_SHOW, .pts = 300, .origin = 700 },
       { 740, 1301, GST_NDSH_SHOW, .pts = 340, .origin = 700 });
  /* The first sound of a file is not always at its beginning. */
  RUN (TRUE, NDSH_CLOCK_NONE,
       { 1200, 1300, GST_NDSH_SHOW, .pts = 800, .origin = 700 });
  RUN (TRUE, NDSH_CLOCK_NONE,
       { 9000, 1300, GST_NDSH_SHOW, .pts = 300, .origin = 700, .missed = TRUE });
}
GST_END_TEST

GST_START_TEST (a_live_writer_after_a_fast_file_is_shown_now)
{
  Fixture f;

  fixture_init (&f, TRUE, NDSH_CLOCK_NONE);
  TAKE (&f, { 700, 1300, GST_NDSH_SHOW, .pts = 300, .origin = 700 },
        { 16700, 1301, GST_NDSH_SHOW, .pts = 16300, .origin = 700 });
  f.clock = NDSH_CLOCK_MONOTONIC;
  TAKE (&f,
        { 1500, 1501, GST_NDSH_SHOW, .pts = 500, .origin = 900, .joins = TRUE,
          .goes_back = TRUE },
        { 1540, 1541, GST_NDSH_SHOW, .pts = 540, .origin = 900 });
  fixture_clear (&f);
}
GST_END_TEST

GST_START_TEST (a_file_that_begins_anew_is_shown_now)
{
  RUN (TRUE, NDSH_CLOCK_NONE,
       { 700, 1300, GST_NDSH_SHOW, .pts = 300, .origin = 700 },
       { 7700, 1301, GST_NDSH_SHOW, .pts = 7300, .origin = 700 },
       { 1400, 1400, GST_NDSH_SHOW, .pts = 400, .origin = 1400, .goes_back = TRUE });
}
GST_END_TEST

/* --- Not live --- */

GST_START_TEST (the_first_frame_is_at_0_and_time_goes_on_after_a_pause)
{
  Fixture f;

  fixture_init (&f, FALSE, NDSH_CLOCK_MONOTONIC);
  TAKE (&f, { 5000, 1001, GST_NDSH_SHOW, .pts = 0 }, { 5040, 1041, GST_NDSH_SHOW, .pts = 40 });
  resume (&f, 3000, 60);
  /* Published before, and waiting in the queue. */
  TAKE (&f, { 5080, 3001, GST_NDSH_SHOW, .pts = 80, .waited = 500 },
        { 6900, 3002, GST_NDSH_SHOW, .pts = 120, .missed = TRUE, .waited = 100 },
        { 6940, 3003, GST_NDSH_SHOW, .pts = 160, .waited = 60 },
        { 7000, 3004, GST_NDSH_SHOW, .pts = 220 });
  fixture_clear (&f);
}
GST_END_TEST

GST_START_TEST (a_writer_follows_where_the_one_before_ended)
{
  RUN (FALSE, NDSH_CLOCK_MONOTONIC,
       { 5000, 1001, GST_NDSH_SHOW, .pts = 0, .origin = 1 },
       { 9000, 5001, GST_NDSH_SHOW, .pts = 40, .origin = 2, .joins = TRUE },
       { 9040, 5041, GST_NDSH_SHOW, .pts = 80, .origin = 2 });
}
GST_END_TEST

GST_START_TEST (a_file_read_without_loss_goes_on_through_a_pause)
{
  Fixture f;

  fixture_init (&f, FALSE, NDSH_CLOCK_NONE);
  TAKE (&f, { 1000, 1001, GST_NDSH_SHOW, .pts = 0, .origin = 1000 },
        { 1040, 1002, GST_NDSH_SHOW, .pts = 40, .origin = 1000 });
  resume (&f, 3000, 60);
  TAKE (&f, { 1080, 3001, GST_NDSH_SHOW, .pts = 80, .origin = 1000 });
  fixture_clear (&f);
}
GST_END_TEST

/* A writer that seeks has another origin, and may have published a little ahead. */
GST_START_TEST (what_follows_a_seek_of_the_writer_does_not_overlap)
{
  RUN (TRUE, NDSH_CLOCK_MONOTONIC,
       { 1200, 1200, GST_NDSH_SHOW, .pts = 200, .is_audio = TRUE, .origin = 100 },
       { 1230, 1231, GST_NDSH_CUT, .pts = 230, .is_audio = TRUE, .origin = 200 },
       { 1270, 1271, GST_NDSH_SHOW, .pts = 270, .is_audio = TRUE, .origin = 200 });
  RUN (TRUE, NDSH_CLOCK_MONOTONIC,
       { 1200, 1200, GST_NDSH_SHOW, .pts = 200, .origin = 100 },
       { 1190, 1231, GST_NDSH_DROP_EARLY, .origin = 200 },
       { 1230, 1231, GST_NDSH_SHOW, .pts = 230, .origin = 200 });
  RUN (TRUE, NDSH_CLOCK_MONOTONIC,
       { 1200, 1200, GST_NDSH_SHOW, .pts = 200, .is_encoded = TRUE, .origin = 100 },
       { 500, 1231, GST_NDSH_SHOW, .pts = 201, .is_encoded = TRUE,
         .origin = 200, .for_decoding = TRUE });
}
GST_END_TEST

/* --- Two channels --- */

GST_START_TEST (channels_of_one_stream_keep_their_distance)
{
  const struct {
    gboolean is_live;
    NdshClock clock;
    gboolean missed;
  } cases[] = {
    { TRUE, NDSH_CLOCK_NONE, FALSE },       { TRUE, NDSH_CLOCK_NONE, TRUE },
    { FALSE, NDSH_CLOCK_NONE, FALSE },      { FALSE, NDSH_CLOCK_NONE, TRUE },
    { FALSE, NDSH_CLOCK_MONOTONIC, FALSE }, { FALSE, NDSH_CLOCK_MONOTONIC, TRUE },
    { TRUE, NDSH_CLOCK_MONOTONIC, FALSE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    const Step picture = { 1500, 1510, .origin = 1400, .missed = cases[i].missed };
    const Step sound = { 2000, 1530, .origin = 1400, .missed = cases[i].missed };
    GstNdshTimes picture_times, sound_times;
    GstNdshFacts facts;
    GstNdshPacer other;
    Fixture f;

    fixture_init (&f, cases[i].is_live, cases[i].clock);
    gst_ndsh_pacer_init (&other, f.timeline);
    f.now.time = picture.now * MS;
    facts = facts_of (&f, &picture);
    gst_ndsh_pacer_judge (&f.pacer, &facts, &f.now, &picture_times);
    f.now.time = sound.now * MS;
    facts = facts_of (&f, &sound);
    gst_ndsh_pacer_judge (&other, &facts, &f.now, &sound_times);
    g_assert_cmpint (sound_times.pts - picture_times.pts, ==, 500 * MS);
    fixture_clear (&f);
  }
}
GST_END_TEST

/* --- Frames that refer to others --- */

GST_START_TEST (after_a_gap_comes_a_frame_that_refers_to_none)
{
  RUN (TRUE, NDSH_CLOCK_MONOTONIC,
       { 1200, 1201, GST_NDSH_DROP_DELTA, .is_delta = TRUE, .missed = TRUE },
       { 1240, 1241, GST_NDSH_SHOW, .pts = 240 },
       { 1280, 1281, GST_NDSH_SHOW, .pts = 280, .is_delta = TRUE },
       { 1360, 1361, GST_NDSH_DROP_DELTA, .is_delta = TRUE, .missed = TRUE },
       { 1400, 1401, GST_NDSH_DROP_DELTA, .is_delta = TRUE },
       { 1440, 1441, GST_NDSH_SHOW, .pts = 440 },
       { 1480, 1481, GST_NDSH_SHOW, .pts = 480, .is_delta = TRUE },
       { 1520, 1521, GST_NDSH_DROP_DELTA, .is_delta = TRUE, .joins = TRUE,
         .missed = TRUE });
}
GST_END_TEST

/* As in one pipeline: a decoder there has no more. */
GST_START_TEST (from_a_stream_s_start_on_nothing_is_missing)
{
  RUN (TRUE, NDSH_CLOCK_MONOTONIC,
       { 1200, 1201, GST_NDSH_SHOW, .pts = 200, .is_delta = TRUE, .joins = TRUE },
       { 1240, 1241, GST_NDSH_SHOW, .pts = 240, .is_delta = TRUE },
       { 1320, 1321, GST_NDSH_DROP_DELTA, .is_delta = TRUE, .missed = TRUE },
       { 1360, 1361, GST_NDSH_SHOW, .pts = 360, .is_delta = TRUE, .joins = TRUE });
}
GST_END_TEST

/* Sound that mpegtsmux packs has none. */
GST_START_TEST (a_frame_that_refers_to_none_is_not_waited_for_for_ever)
{
  RUN (TRUE, NDSH_CLOCK_MONOTONIC,
       { 1200, 1201, GST_NDSH_DROP_DELTA, .is_delta = TRUE, .joins = TRUE,
         .missed = TRUE },
       { 6200, 6201, GST_NDSH_DROP_DELTA, .is_delta = TRUE },
       { 11200, 11200, GST_NDSH_DROP_DELTA, .is_delta = TRUE },
       { 11201, 11201, GST_NDSH_SHOW, .pts = 10201, .is_delta = TRUE },
       { 11240, 11241, GST_NDSH_SHOW, .pts = 10240, .is_delta = TRUE },
       { 11320, 11321, GST_NDSH_SHOW, .pts = 10320, .is_delta = TRUE, .missed = TRUE });
}
GST_END_TEST

GST_START_TEST (where_some_frames_refer_to_none_the_next_is_waited_for)
{
  RUN (TRUE, NDSH_CLOCK_MONOTONIC,
       { 1200, 1201, GST_NDSH_SHOW, .pts = 200, .joins = TRUE },
       { 1280, 1281, GST_NDSH_DROP_DELTA, .is_delta = TRUE, .missed = TRUE },
       { 61280, 61281, GST_NDSH_DROP_DELTA, .is_delta = TRUE },
       { 61320, 61321, GST_NDSH_SHOW, .pts = 60320 });
}
GST_END_TEST

GST_START_TEST (frames_that_others_refer_to_are_not_skipped_for_their_age)
{
  RUN (TRUE, NDSH_CLOCK_MONOTONIC, { 1200, 1201, GST_NDSH_SHOW, .pts = 200 },
       { 1240, 1241, GST_NDSH_SHOW, .pts = 240, .is_delta = TRUE },
       { 1280, 1999, GST_NDSH_SHOW, .pts = 280, .is_delta = TRUE, .n_newer = 1 });
}
GST_END_TEST

/* A decoder needs them, or what comes after them is lost as well. */
GST_START_TEST (what_others_refer_to_is_not_dropped_for_being_early)
{
  Fixture f;

  fixture_init (&f, TRUE, NDSH_CLOCK_MONOTONIC);
  /* The first is older than the pipeline, as are those that refer to it. */
  TAKE (&f,
        { 900, 1010, GST_NDSH_SHOW, .pts = 0, .is_encoded = TRUE, .n_newer = 1,
          .for_decoding = TRUE },
        { 940, 1010, GST_NDSH_SHOW, .pts = 1, .is_delta = TRUE,
          .n_newer = 1, .for_decoding = TRUE },
        { 980, 1010, GST_NDSH_SHOW, .pts = 2, .is_delta = TRUE,
          .n_newer = 1, .for_decoding = TRUE },
        { 1020, 1021, GST_NDSH_SHOW, .pts = 20, .is_delta = TRUE });
  resume (&f, 1400, 60);
  TAKE (&f,
        { 1060, 1401, GST_NDSH_SHOW, .pts = 60, .is_delta = TRUE,
          .for_decoding = TRUE, .n_newer = 1, .waited = 300 },
        { 1420, 1421, GST_NDSH_SHOW, .pts = 80, .is_delta = TRUE });
  fixture_clear (&f);
}
GST_END_TEST

/* --- What lies far from now --- */

/* A queue in front of a file that is read fast gets a few frames here and there; to
 * wait for the time of each would hide the next writer for minutes. */
GST_START_TEST (frames_that_were_missed_are_not_waited_for)
{
  RUN (TRUE, NDSH_CLOCK_NONE, { 700, 1300, GST_NDSH_SHOW, .pts = 300, .origin = 700 },
       { 60700, 1301, GST_NDSH_SHOW, .pts = 340, .origin = 700, .missed = TRUE },
       { 60740, 1302, GST_NDSH_SHOW, .pts = 380, .origin = 700 },
       /* No more than a queue is long: that is a gap. */
       { 60900, 1303, GST_NDSH_SHOW, .pts = 540, .origin = 700, .missed = TRUE });
  RUN (FALSE, NDSH_CLOCK_NONE, { 700, 1300, GST_NDSH_SHOW, .pts = 0, .origin = 700 },
       { 60700, 1301, GST_NDSH_SHOW, .pts = 40, .origin = 700, .missed = TRUE });
}
GST_END_TEST

GST_START_TEST (a_picture_of_long_ago_is_no_beginning)
{
  RUN (FALSE, NDSH_CLOCK_MONOTONIC,
       { 5000, 15000, GST_NDSH_SHOW, .pts = 0, .missed = TRUE, .waited = 9990 },
       { 15000, 15001, GST_NDSH_SHOW, .pts = 40 });
}
GST_END_TEST

GST_START_TEST (a_frame_may_be_decoded_before_its_file_begins)
{
  const NdshTiming timing = { NDSH_CLOCK_NONE, 1000, 0 };

  g_assert_cmpint (gst_ndsh_timing_choose_shift (&timing, 940, TRUE, 7000), ==,
                   6060);
}
GST_END_TEST

GST_START_TEST (headers_have_no_time)
{
  RUN (TRUE, NDSH_CLOCK_MONOTONIC,
       { NONE, 1200, GST_NDSH_SHOW, .pts = NONE, .is_header = TRUE },
       { 1190, 1201, GST_NDSH_SHOW, .pts = 190 },
       /* The time of publishing is not before one that was named. */
       { NONE, 1185, GST_NDSH_SHOW, .pts = 190 });
}
GST_END_TEST

/* --- Latency --- */

GST_START_TEST (latency_is_the_writers_and_what_a_queue_can_hold)
{
  const struct {
    guint queue_length;
    GstClockTime most;
  } cases[] = { { 1, 300 * GST_MSECOND },
                { 2, 340 * GST_MSECOND },
                { 30, 1460 * GST_MSECOND },
                { 0, GST_CLOCK_TIME_NONE } };
  const Step step = { 1200, 1500, .pts = 200 };
  GstClockTime least, most;
  GstNdshFacts facts;
  GstNdshTimes times;
  Fixture f;

  fixture_init (&f, TRUE, NDSH_CLOCK_MONOTONIC);
  gst_ndsh_pacer_get_latency (&f.pacer, 30, &least, &most);
  g_assert_cmpuint (least, ==, 0);
  g_assert_cmpuint (most, ==, GST_CLOCK_TIME_NONE);

  f.now.time = step.now * MS;
  facts = facts_of (&f, &step);
  facts.timing.latency_ns = 300 * MS;
  gst_ndsh_pacer_judge (&f.pacer, &facts, &f.now, &times);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    gst_ndsh_pacer_get_latency (&f.pacer, cases[i].queue_length, &least, &most);
    g_assert_cmpuint (least, ==, 300 * GST_MSECOND);
    g_assert_cmpuint (most, ==, cases[i].most);
  }
  f.now.latency = 335 * MS;
  g_assert_cmpuint (gst_ndsh_pacer_get_queue_length (&f.pacer, &f.now), ==, 5);
  f.now.latency = 500 * MS;
  g_assert_cmpuint (gst_ndsh_pacer_get_queue_length (&f.pacer, &f.now), ==, 7);
  fixture_clear (&f);
}
GST_END_TEST

/* Whom a sink holds until then meanwhile misses none of those that follow. */
GST_START_TEST (a_queue_is_as_long_as_frames_are_early)
{
  const Step steps[] = { { 0, 1200, .pts = 200 },
                         { 200, 1200, .pts = 400, .missed = TRUE, .n_newer = 5 },
                         { 440, 1600, .pts = 640 } };
  Fixture f;

  fixture_init (&f, TRUE, NDSH_CLOCK_NONE);
  take (&f, steps, 1);
  g_assert_cmpuint (gst_ndsh_pacer_get_queue_length (&f.pacer, &f.now), ==, 5);
  take (&f, steps + 1, 1);
  g_assert_cmpuint (gst_ndsh_pacer_get_queue_length (&f.pacer, &f.now), ==, 13);
  /* Later ones may be as early again. */
  take (&f, steps + 2, 1);
  g_assert_cmpuint (gst_ndsh_pacer_get_queue_length (&f.pacer, &f.now), ==, 13);
  gst_ndsh_pacer_note_join (&f.pacer);
  g_assert_cmpuint (gst_ndsh_pacer_get_queue_length (&f.pacer, &f.now), ==, 5);
  fixture_clear (&f);
}
GST_END_TEST

/* 31 frames less the latency are 1205. */
GST_START_TEST (what_no_queue_can_hold_is_not_waited_for)
{
  RUN (TRUE, NDSH_CLOCK_NONE,
       { 0, 1200, GST_NDSH_SHOW, .pts = 200 },
       { 200, 1200, GST_NDSH_SHOW, .pts = 400, .missed = TRUE, .n_newer = 25 },
       { 280, 1200, GST_NDSH_SHOW, .pts = 440, .missed = TRUE, .n_newer = 31 },
       { 320, 1240, GST_NDSH_SHOW, .pts = 480, .n_newer = 31 });
}
GST_END_TEST

/* A writer may say anything. */
GST_START_TEST (a_latency_that_cannot_be_is_none)
{
  const gint64 latencies[] = { -1, G_MININT64, G_MAXINT64 };
  const Step step = { 1200, 1201, .pts = 200 };
  GstClockTime least, most;
  Fixture f;

  fixture_init (&f, TRUE, NDSH_CLOCK_MONOTONIC);
  for (guint i = 0; i < G_N_ELEMENTS (latencies); i++) {
    GstNdshFacts facts = facts_of (&f, &step);
    GstNdshTimes times;

    facts.timing.latency_ns = latencies[i];
    facts.duration = G_MAXINT64 / 5;
    gst_ndsh_pacer_judge (&f.pacer, &facts, &f.now, &times);
    gst_ndsh_pacer_get_latency (&f.pacer, 30, &least, &most);
    g_assert_cmpuint (least, ==, 0);
    g_assert_cmpuint (most, ==, GST_CLOCK_TIME_NONE);
  }
  fixture_clear (&f);
}
GST_END_TEST

static Suite *
pacer_suite (void)
{
  Suite *suite = suite_create ("pacer");
  TCase *live = elements_case_new (suite, "live");
  TCase *other = elements_case_new (suite, "other");

  tcase_add_test (live, live_frames_have_the_time_of_their_capture);
  tcase_add_test (live, the_picture_at_a_join_is_shown_however_old_it_is);
  tcase_add_test (live, what_remains_of_a_late_picture_is_its_duration);
  tcase_add_test (live, of_several_old_pictures_the_newest_is_shown);
  tcase_add_test (live, sound_is_cut_where_the_pipeline_began_to_play);
  tcase_add_test (live, what_was_captured_in_a_pause_is_dropped);
  tcase_add_test (live, what_cannot_be_shown_in_time_is_skipped_for_a_newer_one);
  tcase_add_test (live, what_downstream_is_not_slow_with_is_shown_late);
  tcase_add_test (live, what_follows_a_seek_of_the_writer_does_not_overlap);
  tcase_add_test (live, the_first_frame_is_not_too_old);
  tcase_add_test (live, without_a_time_it_is_that_of_publishing);
  tcase_add_test (live, a_file_begins_when_it_is_first_seen);
  tcase_add_test (live, a_live_writer_after_a_fast_file_is_shown_now);
  tcase_add_test (live, a_file_that_begins_anew_is_shown_now);
  tcase_add_test (other, the_first_frame_is_at_0_and_time_goes_on_after_a_pause);
  tcase_add_test (other, a_writer_follows_where_the_one_before_ended);
  tcase_add_test (other, a_file_read_without_loss_goes_on_through_a_pause);
  tcase_add_test (other, channels_of_one_stream_keep_their_distance);
  tcase_add_test (other, after_a_gap_comes_a_frame_that_refers_to_none);
  tcase_add_test (other, from_a_stream_s_start_on_nothing_is_missing);
  tcase_add_test (other, a_frame_that_refers_to_none_is_not_waited_for_for_ever);
  tcase_add_test (other, where_some_frames_refer_to_none_the_next_is_waited_for);
  tcase_add_test (other,
                  frames_that_others_refer_to_are_not_skipped_for_their_age);
  tcase_add_test (other, what_others_refer_to_is_not_dropped_for_being_early);
  tcase_add_test (other, frames_that_were_missed_are_not_waited_for);
  tcase_add_test (other, a_picture_of_long_ago_is_no_beginning);
  tcase_add_test (other, a_frame_may_be_decoded_before_its_file_begins);
  tcase_add_test (other, headers_have_no_time);
  tcase_add_test (other, latency_is_the_writers_and_what_a_queue_can_hold);
  tcase_add_test (other, a_queue_is_as_long_as_frames_are_early);
  tcase_add_test (other, what_no_queue_can_hold_is_not_waited_for);
  tcase_add_test (other, a_latency_that_cannot_be_is_none);
  return suite;
}

GST_CHECK_MAIN (pacer)
