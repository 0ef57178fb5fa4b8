/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Picture and sound of one file come over two channels, and two ndshsrc show them.
 * Each could say when its first frame is due; only together can they say it such that
 * the two stay in step. So the first of them settles it for a stream, and the others
 * find it settled. It lies with the outermost bin, which is what elements of one pipeline
 * have in common.
 */
#include "gstndshtimeline.h"

/* More than a pipeline has channels; the oldest settlement is forgotten first. */
#define N_SETTLED 64

typedef struct {
  GstNdshStream stream;
  gint64 shift;
} Settled;

struct _GstNdshTimeline {
  gint refs;                    /* the bin's, and one of each member */
  GMutex lock;                  /* of the rest */
  guint n_members;
  gint64 position;              /* where the last of all frames ended */
  gint64 delay;                 /* the longest that a sink was held up */
  gint n_delays;                /* how often it changed; read without the lock */
  guint n_settled;              /* so far */
  Settled settled[N_SETTLED];
};

static void
timeline_unref (gpointer data)
{
  GstNdshTimeline *self = data;

  if (!g_atomic_int_dec_and_test (&self->refs))
    return;
  g_mutex_clear (&self->lock);
  g_free (self);
}

static gpointer
timeline_new (void)
{
  GstNdshTimeline *self = g_new0 (GstNdshTimeline, 1);

  self->refs = 1;
  g_mutex_init (&self->lock);
  return self;
}

static GstObject *
find_outermost (GstElement *element)
{
  GstObject *at = gst_object_ref (GST_OBJECT (element));
  GstObject *parent;

  while ((parent = gst_object_get_parent (at)) != NULL) {
    gst_object_unref (at);
    at = parent;
  }
  return at;
}

GstNdshTimeline *
gst_ndsh_timeline_join (GstElement *element)
{
  GstObject *bin = find_outermost (element);
  GstNdshTimeline *self = gst_ndsh_object_get_shared (
    bin, "gst-ndsh-timeline", timeline_new, timeline_unref);

  /* The bin may go before this member does. */
  g_atomic_int_inc (&self->refs);
  gst_object_unref (bin);
  g_mutex_lock (&self->lock);
  /* Running time begins anew where nobody is left who knew it. */
  if (self->n_members++ == 0) {
    self->position = 0;
    self->delay = 0;
    self->n_settled = 0;
  }
  g_mutex_unlock (&self->lock);
  return self;
}

void
gst_ndsh_timeline_leave (GstNdshTimeline *self)
{
  g_mutex_lock (&self->lock);
  self->n_members--;
  g_mutex_unlock (&self->lock);
  timeline_unref (self);
}

gboolean
gst_ndsh_stream_equal (const GstNdshStream *a, const GstNdshStream *b)
{
  return a->clock == b->clock && a->origin == b->origin && a->round == b->round;
}

/* Both are times of one clock, in one round. */
static gboolean
is_comparable (const GstNdshStream *a, const GstNdshStream *b)
{
  return a->clock == NDSH_CLOCK_MONOTONIC && b->clock == NDSH_CLOCK_MONOTONIC
         && a->round == b->round;
}

/* With the lock. The newest first: what came later is nearer to now. */
static Settled *
find_settled (GstNdshTimeline *self, const GstNdshStream *stream,
              gboolean (*matches) (const GstNdshStream *,
                                   const GstNdshStream *))
{
  for (guint i = 1; i <= MIN (self->n_settled, N_SETTLED); i++) {
    Settled *settled = &self->settled[(self->n_settled - i) % N_SETTLED];

    if (matches (&settled->stream, stream))
      return settled;
  }
  return NULL;
}

gboolean
gst_ndsh_timeline_find (GstNdshTimeline *self, const GstNdshStream *stream,
                        gboolean is_first, gint64 *shift)
{
  const Settled *settled;

  g_mutex_lock (&self->lock);
  settled = find_settled (self, stream, gst_ndsh_stream_equal);
  if (settled == NULL && is_first)
    settled = find_settled (self, stream, is_comparable);
  if (settled != NULL)
    *shift = settled->shift;
  g_mutex_unlock (&self->lock);
  return settled != NULL;
}

gint64
gst_ndsh_timeline_settle (GstNdshTimeline *self, const GstNdshStream *stream,
                          gint64 timestamp, gboolean from_start, gint64 running)
{
  const NdshTiming timing = { stream->clock, stream->origin, 0 };
  const Settled *sooner;
  gint64 shift;

  g_mutex_lock (&self->lock);
  sooner = find_settled (self, stream, gst_ndsh_stream_equal);
  if (sooner != NULL) {
    shift = sooner->shift;
  } else {
    shift = gst_ndsh_timing_choose_shift (
      &timing, timestamp, from_start, running >= 0 ? running : self->position);
    self->settled[self->n_settled++ % N_SETTLED]
      = (Settled){ .stream = *stream, .shift = shift };
  }
  g_mutex_unlock (&self->lock);
  return shift;
}

gint64
gst_ndsh_timeline_settle_anew (GstNdshTimeline *self,
                               const GstNdshStream *stream, gint64 shift,
                               gint64 timestamp, gint64 running)
{
  Settled *settled;

  g_mutex_lock (&self->lock);
  settled = find_settled (self, stream, gst_ndsh_stream_equal);
  if (settled != NULL && settled->shift == shift)
    settled->shift = (running >= 0 ? running : self->position) - timestamp;
  if (settled != NULL)
    shift = settled->shift;
  g_mutex_unlock (&self->lock);
  return shift;
}

void
gst_ndsh_timeline_advance (GstNdshTimeline *self, gint64 running)
{
  g_mutex_lock (&self->lock);
  self->position = MAX (self->position, running);
  g_mutex_unlock (&self->lock);
}

void
gst_ndsh_timeline_hold_up (GstNdshTimeline *self, gint64 waited)
{
  g_mutex_lock (&self->lock);
  if (waited > self->delay) {
    self->delay = waited;
    g_atomic_int_inc (&self->n_delays);
  }
  g_mutex_unlock (&self->lock);
}

guint
gst_ndsh_timeline_count_delays (GstNdshTimeline *self)
{
  return (guint) g_atomic_int_get (&self->n_delays);
}

gint64
gst_ndsh_timeline_get_delay (GstNdshTimeline *self)
{
  gint64 delay;

  g_mutex_lock (&self->lock);
  delay = self->delay;
  g_mutex_unlock (&self->lock);
  return delay;
}

void
gst_ndsh_timeline_flush (GstNdshTimeline *self)
{
  g_mutex_lock (&self->lock);
  self->delay = 0;
  g_atomic_int_inc (&self->n_delays);
  g_mutex_unlock (&self->lock);
}
