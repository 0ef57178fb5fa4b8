/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "elements.h"

#include "gstndshtime.h"

#define MS ((gint64) GST_MSECOND)
#define HOUR (3600 * (gint64) GST_SECOND)

/* --- A clock beside CLOCK_MONOTONIC --- */

/* A clock of which CLOCK_MONOTONIC is @offset ahead at first, and @drift parts in a
 * million more as time goes on; it moves in steps of @grain. */
typedef struct {
  const char *name;
  gint64 offset;
  gint64 grain;
  gint64 drift;
  gint64 error;                 /* how far the estimate may be off in the end */
} OtherClock;

static const OtherClock clocks[] = {
  { "exact", 1000 * MS, 1, 0, 0 },
  { "behind", -7000 * MS, 1, 0, 0 },
  { "coarse", 50 * MS, 10 * MS, 0, MS },
  { "very coarse", 50 * MS, 23 * MS, 0, 2 * MS },
  { "fast", 50 * MS, 1, -200, MS },
  { "slow and coarse", 50 * MS, 10 * MS, 200, 2 * MS },
};

static gint64
true_offset (const OtherClock *clock, gint64 at)
{
  return clock->offset + at / 1000000 * clock->drift;
}

static gint64
show (const OtherClock *clock, gint64 at)
{
  gint64 shown = at - true_offset (clock, at) + HOUR;

  return shown - shown % clock->grain - HOUR;
}

/* What a look may be off by is spread over the frames of seconds. */
GST_START_TEST (an_offset_is_found_and_moves_slowly)
{
  for (guint i = 0; i < G_N_ELEMENTS (clocks); i++) {
    const OtherClock *clock = &clocks[i];
    const gint64 step = 33366701; /* of no simple ratio to a grain */
    GstNdshClockOffset offset = { .is_known = FALSE };
    gint64 last = 0, found = 0, at;

    for (at = 0; at < 20 * (gint64) GST_SECOND; at += step) {
      found = gst_ndsh_clock_offset_add (&offset, at, show (clock, at));
      if (at > 0)
        g_assert_cmpint (ABS (found - last), <=, step / 200);
      last = found;
    }
    if (ABS (found - true_offset (clock, at)) > clock->error)
      g_error ("%s: %" G_GINT64_FORMAT " ns off", clock->name,
               found - true_offset (clock, at));
  }
}
GST_END_TEST

GST_START_TEST (a_clock_that_was_set_is_followed_at_once)
{
  GstNdshClockOffset offset = { .is_known = FALSE };

  gst_ndsh_clock_offset_add (&offset, 1000 * MS, 900 * MS);
  g_assert_cmpint (gst_ndsh_clock_offset_add (&offset, 2000 * MS, 5000 * MS), ==,
                   -3000 * MS);
}
GST_END_TEST

/* --- Both ways --- */

GST_START_TEST (there_and_back_is_the_same)
{
  const gint64 runnings[] = { -5 * MS, 0, 1, 3600 * 1000 * MS };
  const gint64 zeros[] = { 0, 7, 86400 * 1000 * MS };

  for (guint i = 0; i < G_N_ELEMENTS (runnings); i++)
    for (guint j = 0; j < G_N_ELEMENTS (zeros); j++)
      g_assert_cmpint (
        gst_ndsh_monotonic_to_running (
          gst_ndsh_running_to_monotonic (runnings[i], zeros[j]), zeros[j]),
        ==, runnings[i]);
  g_assert_cmpint (gst_ndsh_running_to_monotonic (5, 100), ==, 105);
}
GST_END_TEST

GST_START_TEST (a_segment_gives_running_time_and_length)
{
  const struct {
    gdouble rate;
    guint64 start, base, time;
    gint64 running, length;     /* of a duration of 40 ms */
  } cases[] = {
    { 1.0, 0, 0, 70 * GST_MSECOND, 70 * MS, 40 * MS },
    { 1.0, 50 * GST_MSECOND, 0, 70 * GST_MSECOND, 20 * MS, 40 * MS },
    { 1.0, 50 * GST_MSECOND, 0, 30 * GST_MSECOND, -20 * MS, 40 * MS },
    { 2.0, 0, 5 * GST_MSECOND, 70 * GST_MSECOND, 40 * MS, 20 * MS },
    { 0.5, 0, 0, 70 * GST_MSECOND, 140 * MS, 80 * MS },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    GstSegment segment;
    gint64 running;

    gst_segment_init (&segment, GST_FORMAT_TIME);
    segment.rate = cases[i].rate;
    segment.start = cases[i].start;
    segment.base = cases[i].base;
    g_assert_true (
      gst_ndsh_segment_to_running (&segment, cases[i].time, &running));
    g_assert_cmpint (running, ==, cases[i].running);
    g_assert_cmpint (
      gst_ndsh_segment_scale_duration (&segment, 40 * GST_MSECOND), ==,
      cases[i].length);
  }
}
GST_END_TEST

GST_START_TEST (what_has_no_time_has_none)
{
  GstSegment segment;
  gint64 running;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  g_assert_false (gst_ndsh_segment_to_running (&segment, GST_CLOCK_TIME_NONE,
                                               &running));
  g_assert_cmpint (
    gst_ndsh_segment_scale_duration (&segment, GST_CLOCK_TIME_NONE), ==, -1);
  /* What cannot be added up without running over. */
  g_assert_false (
    gst_ndsh_segment_to_running (&segment, G_MAXINT64, &running));
  g_assert_cmpint (
    gst_ndsh_segment_scale_duration (&segment, (GstClockTime) G_MAXINT64 + 9),
    ==, -1);
  gst_segment_init (&segment, GST_FORMAT_BYTES);
  g_assert_false (gst_ndsh_segment_to_running (&segment, 5, &running));
}
GST_END_TEST

/* Two elements of one pipeline, whatever the moment at which they ask. */
GST_START_TEST (elements_with_one_base_time_have_one_origin)
{
  GstClock *clock = g_object_new (GST_TYPE_SYSTEM_CLOCK, "clock-type",
                                  GST_CLOCK_TYPE_REALTIME, NULL);
  GstElement *elements[2];
  GstNdshTimeBase bases[2] = { { 0 }, { 0 } };

  for (guint i = 0; i < 2; i++) {
    elements[i] = gst_bin_new (NULL);
    gst_element_set_clock (elements[i], clock);
    gst_element_set_base_time (elements[i], 12345);
    g_assert_true (gst_ndsh_time_base_update (&bases[i], elements[i]));
    g_usleep (1000);
  }
  g_assert_cmpint (bases[0].origin, ==, bases[1].origin);
  gst_element_set_base_time (elements[0], 23456);
  g_assert_true (gst_ndsh_time_base_update (&bases[0], elements[0]));
  g_assert_cmpint (bases[0].origin, !=, bases[1].origin);

  for (guint i = 0; i < 2; i++) {
    gst_ndsh_time_base_clear (&bases[i]);
    gst_object_unref (elements[i]);
  }
  gst_object_unref (clock);
}
GST_END_TEST

/* --- What a reader makes of it --- */

GST_START_TEST (a_stream_begins_at_its_origin_or_where_it_is_joined)
{
  const struct {
    NdshClock clock;
    gboolean from_start;
    gint64 shift;               /* of origin 1000 and timestamp 1500, to 7000 */
  } cases[] = {
    { NDSH_CLOCK_NONE, TRUE, 6000 },
    { NDSH_CLOCK_NONE, FALSE, 5500 },
    { NDSH_CLOCK_MONOTONIC, TRUE, 5500 },
    { NDSH_CLOCK_MONOTONIC, FALSE, 5500 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    const NdshTiming timing = { cases[i].clock, 1000, 0 };

    g_assert_cmpint (gst_ndsh_timing_choose_shift (
                       &timing, 1500, cases[i].from_start, 7000),
                     ==, cases[i].shift);
  }
}
GST_END_TEST

GST_START_TEST (a_queue_holds_what_waits_for_its_time)
{
  const struct {
    gint64 wait, interval;
    guint length;
  } cases[] = {
    { 35 * MS, 40 * MS, 3 },         { 35 * MS, 33333333, 4 },
    { 35 * MS, 16666667, 5 },        { 35 * MS, 8333333, 7 },
    { 0, 33333333, 2 },              { -5 * MS, 33333333, 2 },
    { 35 * MS, 1, NDSH_MAX_QUEUE },  { 35 * MS, 0, GST_NDSH_QUEUE_LENGTH },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    g_assert_cmpuint (
      gst_ndsh_queue_length_for (cases[i].wait, cases[i].interval), ==,
      cases[i].length);
}
GST_END_TEST

static Suite *
time_suite (void)
{
  Suite *suite = suite_create ("time");
  TCase *tcase = elements_case_new (suite, "time");

  tcase_add_test (tcase, an_offset_is_found_and_moves_slowly);
  tcase_add_test (tcase, a_clock_that_was_set_is_followed_at_once);
  tcase_add_test (tcase, there_and_back_is_the_same);
  tcase_add_test (tcase, a_segment_gives_running_time_and_length);
  tcase_add_test (tcase, what_has_no_time_has_none);
  tcase_add_test (tcase, elements_with_one_base_time_have_one_origin);
  tcase_add_test (tcase, a_stream_begins_at_its_origin_or_where_it_is_joined);
  tcase_add_test (tcase, a_queue_holds_what_waits_for_its_time);
  return suite;
}

GST_CHECK_MAIN (time)
