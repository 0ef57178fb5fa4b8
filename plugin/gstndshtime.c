/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Two pipelines that share frames share no clock, no base time and no segment. What
 * they share is CLOCK_MONOTONIC: the sink translates to it, the source from it, and
 * both translations stand here. Most are functions of plain values; the rest, about a
 * GstClock, keeps what was learnt of a clock with that clock, so that all elements of
 * a process agree.
 */
#include "gstndshtime.h"

#include <time.h>

gint64
gst_ndsh_get_monotonic_time (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return (gint64) GST_TIMESPEC_TO_TIME (now);
}

gpointer
gst_ndsh_object_get_shared (gpointer object, const char *key,
                            gpointer (*make) (void), GDestroyNotify clear)
{
  static GMutex lock;
  gpointer shared;

  g_mutex_lock (&lock);
  shared = g_object_get_data (object, key);
  if (shared == NULL) {
    shared = make ();
    g_object_set_data_full (object, key, shared, clear);
  }
  g_mutex_unlock (&lock);
  return shared;
}

/* --- A clock beside CLOCK_MONOTONIC --- */

/* Looks closer together than this tell nothing new. */
#define LOOK_INTERVAL (5 * GST_MSECOND)

/* The smallest difference of so long counts: enough looks that one of them is close
 * after a step of the clock, and few enough that clocks drift apart by less than a
 * millisecond meanwhile. */
#define PERIOD ((gint64) (4 * GST_SECOND))

/* The offset moves by at most 1/200 of the time that passes: 33 ms between frames
 * become 33.2, which nobody sees. */
#define SLEW 200

/* No clock is that coarse: it was set anew. */
#define STEP ((gint64) (200 * GST_MSECOND))

static void
begin_anew (GstNdshClockOffset *self, gint64 monotonic, gint64 difference)
{
  self->is_known = TRUE;
  self->offset = self->least = self->least_before = difference;
  self->since = self->looked_at = monotonic;
}

gint64
gst_ndsh_clock_offset_add (GstNdshClockOffset *self, gint64 monotonic,
                           gint64 clock_time)
{
  const gint64 difference = monotonic - clock_time;
  gint64 most, best;

  if (!self->is_known || ABS (difference - self->offset) > STEP) {
    begin_anew (self, monotonic, difference);
    return self->offset;
  }
  if (monotonic - self->since >= PERIOD) {
    self->least_before = self->least;
    self->least = difference;
    self->since = monotonic;
  }
  self->least = MIN (self->least, difference);
  best = MIN (self->least, self->least_before);
  most = MAX (0, monotonic - self->looked_at) / SLEW;
  self->offset = CLAMP (best, self->offset - most, self->offset + most);
  self->looked_at = monotonic;
  return self->offset;
}

/* What is known of a clock; all elements of this process that use it share it. */
#define N_ORIGINS 16

typedef struct {
  GMutex lock;
  GstNdshClockOffset offset;
  /* Of the last base times, so that all elements with the same say the same origin. */
  gint64 base_times[N_ORIGINS];
  gint64 origins[N_ORIGINS];
  guint n_origins;              /* so far; the oldest are overwritten */
} ClockNotes;

static void
clock_notes_free (gpointer data)
{
  ClockNotes *notes = data;

  g_mutex_clear (&notes->lock);
  g_free (notes);
}

static gpointer
clock_notes_new (void)
{
  ClockNotes *notes = g_new0 (ClockNotes, 1);

  g_mutex_init (&notes->lock);
  return notes;
}

static ClockNotes *
get_clock_notes (GstClock *clock)
{
  return gst_ndsh_object_get_shared (clock, "gst-ndsh-clock-notes",
                                     clock_notes_new, clock_notes_free);
}

/* Audio and network clocks are subclasses of the system clock that run at rates of
 * their own, so only the class itself will do. */
static gboolean
clock_is_monotonic (GstClock *clock)
{
  GstClockType type;

  if (G_OBJECT_TYPE (clock) != GST_TYPE_SYSTEM_CLOCK)
    return FALSE;
  g_object_get (clock, "clock-type", &type, NULL);
  return type == GST_CLOCK_TYPE_MONOTONIC;
}

/* With the lock of @notes. */
static gint64
look_at_clock (ClockNotes *notes, GstClock *clock)
{
  gint64 before = gst_ndsh_get_monotonic_time ();
  gint64 shown, after;

  if (notes->offset.is_known
      && before - notes->offset.looked_at < (gint64) LOOK_INTERVAL)
    return notes->offset.offset;
  shown = (gint64) gst_clock_get_time (clock);
  after = gst_ndsh_get_monotonic_time ();
  return gst_ndsh_clock_offset_add (&notes->offset, before + (after - before) / 2,
                                    shown);
}

static gint64
get_offset (GstClock *clock)
{
  ClockNotes *notes = get_clock_notes (clock);
  gint64 offset;

  g_mutex_lock (&notes->lock);
  offset = look_at_clock (notes, clock);
  g_mutex_unlock (&notes->lock);
  return offset;
}

/* With the lock of @notes. */
static gint64
find_origin (ClockNotes *notes, GstClock *clock, gint64 base_time)
{
  guint at;

  for (guint i = 0; i < MIN (notes->n_origins, N_ORIGINS); i++)
    if (notes->base_times[i] == base_time)
      return notes->origins[i];
  at = notes->n_origins++ % N_ORIGINS;
  notes->base_times[at] = base_time;
  notes->origins[at] = base_time + look_at_clock (notes, clock);
  return notes->origins[at];
}

static gint64
get_origin (GstClock *clock, gint64 base_time)
{
  ClockNotes *notes = get_clock_notes (clock);
  gint64 origin;

  g_mutex_lock (&notes->lock);
  origin = find_origin (notes, clock, base_time);
  g_mutex_unlock (&notes->lock);
  return origin;
}

/* --- Running time and CLOCK_MONOTONIC, both ways --- */

static void
note_base (GstNdshTimeBase *self)
{
  self->is_monotonic = clock_is_monotonic (self->clock);
  self->origin = self->is_monotonic ? self->base_time
                                    : get_origin (self->clock, self->base_time);
}

gboolean
gst_ndsh_time_base_update (GstNdshTimeBase *self, GstElement *element)
{
  gboolean changed;

  GST_OBJECT_LOCK (element);
  changed = self->clock != GST_ELEMENT_CLOCK (element)
            || self->base_time != element->base_time;
  if (changed) {
    gst_object_replace ((GstObject **) &self->clock,
                        GST_OBJECT (GST_ELEMENT_CLOCK (element)));
    self->base_time = element->base_time;
  }
  GST_OBJECT_UNLOCK (element);

  if (self->clock == NULL)
    return FALSE;
  if (changed)
    note_base (self);
  self->zero
    = self->base_time + (self->is_monotonic ? 0 : get_offset (self->clock));
  return TRUE;
}

void
gst_ndsh_time_base_clear (GstNdshTimeBase *self)
{
  gst_object_replace ((GstObject **) &self->clock, NULL);
  self->base_time = 0;
}

gboolean
gst_ndsh_segment_to_running (const GstSegment *segment, GstClockTime time,
                             gint64 *running)
{
  guint64 distance;
  gint sign;

  if (!GST_CLOCK_TIME_IS_VALID (time) || segment->format != GST_FORMAT_TIME)
    return FALSE;
  sign = gst_segment_to_running_time_full (segment, GST_FORMAT_TIME, time,
                                           &distance);
  if (sign == 0 || !gst_ndsh_time_is_sane ((gint64) distance))
    return FALSE;
  *running = sign * (gint64) distance;
  return TRUE;
}

gint64
gst_ndsh_segment_scale_duration (const GstSegment *segment,
                                 GstClockTime duration)
{
  if (!gst_ndsh_time_is_sane ((gint64) duration))
    return -1;
  if (segment->format != GST_FORMAT_TIME || ABS (segment->rate) == 1.0)
    return (gint64) duration;
  return (gint64) ((gdouble) duration / ABS (segment->rate));
}

/* --- What a reader makes of a writer's times --- */

gint64
gst_ndsh_timing_choose_shift (const NdshTiming *timing, gint64 timestamp,
                              gboolean from_start, gint64 running)
{
  gboolean at_origin = timing->clock == NDSH_CLOCK_NONE && from_start
                       && gst_ndsh_time_is_sane (timing->origin_ns);

  /* A first frame may be decoded before the time that counts as the beginning. */
  return running - (at_origin ? MIN (timing->origin_ns, timestamp) : timestamp);
}

guint
gst_ndsh_queue_length_for (gint64 wait, gint64 interval)
{
  /* One is on its way, and one more may come a little early. */
  const gint64 more = 2;

  if (interval <= 0)
    return GST_NDSH_QUEUE_LENGTH;
  return (guint) CLAMP ((MAX (wait, 0) + interval - 1) / interval + more, 2,
                        NDSH_MAX_QUEUE);
}
