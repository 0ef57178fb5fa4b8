/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * SECTION:element-ndshsink
 * @title: ndshsink
 * @see_also: ndshsrc
 *
 * Shares a stream with any number of processes on this machine, by name and
 * without copying it. Readers are pipelines with an ndshsrc, and programs that
 * use libndsh; they come and go as they like, and none can hold this pipeline up
 * unless it asked for every frame and #GstNdshSink:lossless-timeout allows that.
 *
 * A frame of a live source is published when it comes, one of a file at its time; with
 * sync=false the file goes as fast as its readers allow. The latency of what is before
 * this element travels with the frames, so that readers wait for it.
 *
 * Elements that take a buffer pool from downstream (most that make raw video do), or an
 * allocator (most that make sound, and some encoders), write straight into the shared
 * memory. Anything else is copied once: also what a camera's driver has in memory of its
 * own, and a converter that has nothing to convert hands on. With `v4l2src
 * io-mode=userptr` most drivers fill the shared memory. The #GstNdshSink:stats tell which
 * it was, and a message of level INFO says why.
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 videotestsrc is-live=true ! ndshsink channel=test
 * gst-launch-1.0 v4l2src ! videoconvert ! ndshsink channel=cam
 * ]|
 * Show the second with `gst-launch-1.0 ndshsrc channel=cam ! videoconvert !
 * autovideosink`.
 *
 * Since: 0.1
 */

/*
 * Hides how a buffer becomes a frame: which memories are published as they are,
 * and what happens to the rest.
 *
 * Locks: the object lock guards properties and statistics; readers_lock guards
 * who reads. Neither is held while calling the library, posting a message or
 * emitting a signal.
 */
#include "gstndshsink.h"

#include "gstndshcaps.h"
#include "gstndshelement.h"
#include "gstndshevents.h"
#include "gstndshmeta.h"
#include "gstndshmetas.h"
#include "gstndshpool.h"
#include "gstndshtext.h"
#include "gstndshtime.h"
#include "gstndshtimeline.h"

#include <gst/base/gstbasetransform.h>
#include <string.h>

GST_DEBUG_CATEGORY_STATIC (gst_ndsh_sink_debug);
#define GST_CAT_DEFAULT gst_ndsh_sink_debug

#define DEFAULT_CHANNEL "default"
#define DEFAULT_PERMS 0600
#define DEFAULT_HISTORY 1
#define DEFAULT_MAX_MEMORY 0
#define DEFAULT_MAX_READERS 16
#define DEFAULT_WAIT_FOR_CONNECTION FALSE
#define DEFAULT_LOSSLESS_TIMEOUT GST_SECOND
#define DEFAULT_ALLOW_COPY TRUE

#define MAX_MAX_READERS 1024

/* At most one warning about lost frames in this time. */
#define WARNING_INTERVAL (5 * GST_SECOND)

/* A frame that comes so much later than upstream's latency is a reason to ask again. */
#define LATE ((gint64) (50 * GST_MSECOND))

/* At most one request for a key frame in this time: each makes the next frames larger. */
#define KEY_INTERVAL ((gint64) (500 * GST_MSECOND))

/* How a frame lies in memory, and the arrays that follow from it. */
typedef struct {
  gboolean is_known;
  gsize size;
  gboolean has_layout;
  GstNdshLayout layout;
  gboolean is_default;          /* the layout is what the caps say */
  guint n_arrays;
  NdshArrayInfo arrays[NDSH_MAX_ARRAYS];
} Look;

struct _GstNdshSink {
  GstBaseSink parent;

  /* Properties; the object lock. */
  char *channel;
  guint perms;
  guint history;
  guint64 max_memory;
  guint max_readers;
  gboolean wait_for_connection;
  GstClockTime lossless_timeout;
  gboolean allow_copy;
  GstClockTimeDiff ts_offset;
  GstClockTime latency;         /* of the pipeline, as it was configured */
  gint64 delay;                 /* of the timeline */
  gboolean is_ending;           /* an EOS is about to come */

  /* From READY to PAUSED until back in READY; replaced with the object lock. */
  GstNdshAllocator *allocator;

  /* Only the streaming thread. */
  GstNdshContent content;
  Look look;                    /* of the last frame */
  GByteArray *metadata;         /* of this one; kept to be used again */
  GstNdshEvents *events;        /* that ride with frames */
  gboolean is_encoded;          /* frames may refer to others */
  gboolean copy_explained;
  gboolean want_explained;      /* of memory */
  gsize largest;                /* frame so far */
  GstClockTime last_warning;
  GstClockTime tell_dropped_at;
  guint64 n_dropped_told;
  GstNdshTimeBase base;
  GstNdshTimeline *timeline;
  gint64 waited;                /* for a reader, in all */
  gint64 opened_at;             /* CLOCK_MONOTONIC */
  gboolean upstream_is_live;
  gint64 asked_at;              /* CLOCK_MONOTONIC when upstream was asked */
  GstClockTime upstream_latency;
  NdshTiming timing;            /* as the writer was told */
  gint64 zero;                  /* a timestamp minus its running time */
  gint timing_is_old;           /* any thread: upstream has to be asked again */
  gint offset_is_old;           /* any thread: sync or an offset is another */
  gint wants_key;               /* any thread: so do readers of encoded frames */
  gint64 key_requested_at;      /* CLOCK_MONOTONIC */
  guint n_keys_requested;
  gint64 base_zero;             /* what the timing was found with: of the clock, */
  gint64 told_waited;           /* of our own waits */
  guint n_delays;               /* and of others' */

  /* Statistics; the object lock. */
  guint64 n_published;
  guint64 n_copied;
  guint64 n_dropped;
  guint64 bytes_copied;

  GMutex readers_lock;          /* guards the rest */
  GCond readers_changed;        /* or unlocked did */
  NdshReaderInfo *readers;
  guint n_readers;
  guint64 key_requests;         /* of readers, so far */
  gboolean unlocked;
  guint n_unlocks;
};

enum {
  PROP_0,
  PROP_CHANNEL,
  PROP_PERMS,
  PROP_HISTORY,
  PROP_MAX_MEMORY,
  PROP_MAX_READERS,
  PROP_WAIT_FOR_CONNECTION,
  PROP_LOSSLESS_TIMEOUT,
  PROP_ALLOW_COPY,
  PROP_TS_OFFSET,
  PROP_NUM_READERS,
  PROP_MAX_RATE,
  PROP_MAX_WIDTH,
  PROP_MAX_HEIGHT,
  PROP_STATS,
  N_PROPS
};

enum { SIGNAL_READER_ADDED, SIGNAL_READER_REMOVED, N_SIGNALS };

static GParamSpec *props[N_PROPS];
static guint signals[N_SIGNALS];

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE (
  "sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS_ANY);

G_DEFINE_TYPE (GstNdshSink, gst_ndsh_sink, GST_TYPE_BASE_SINK)

#define PARENT_CLASS GST_BASE_SINK_CLASS (gst_ndsh_sink_parent_class)

static GstNdshAllocator *
ref_allocator (GstNdshSink *self)
{
  GstNdshAllocator *allocator;

  GST_OBJECT_LOCK (self);
  allocator = self->allocator != NULL ? gst_object_ref (self->allocator) : NULL;
  GST_OBJECT_UNLOCK (self);
  return allocator;
}

/* --- Upstream --- */

/* The element at the other end of @pad, through the pads of bins. */
static GstElement *
find_peer_element (GstPad *pad)
{
  g_autoptr (GstPad) peer = gst_pad_get_peer (pad);

  while (peer != NULL) {
    g_autoptr (GstObject) parent = gst_object_get_parent (GST_OBJECT (peer));
    g_autoptr (GstPad) next = NULL;

    if (GST_IS_GHOST_PAD (peer))        /* a bin before us */
      next = gst_ghost_pad_get_target (GST_GHOST_PAD (peer));
    else if (parent != NULL && GST_IS_GHOST_PAD (parent)) /* the one around us */
      next = gst_pad_get_peer (GST_PAD (parent));
    else
      return parent != NULL && GST_IS_ELEMENT (parent)
               ? GST_ELEMENT (g_steal_pointer (&parent))
               : NULL;
    gst_object_replace ((GstObject **) &peer, GST_OBJECT (next));
  }
  return NULL;
}

/* Whether it gives what it gets: capsfilter and converters that have nothing to do,
 * queues, tees. */
static gboolean
passes_on (GstElement *element)
{
  const char *kind
    = gst_element_class_get_metadata (GST_ELEMENT_GET_CLASS (element),
                                      GST_ELEMENT_METADATA_KLASS);

  if (element->numsinkpads != 1)
    return FALSE;
  return (GST_IS_BASE_TRANSFORM (element)
          && gst_base_transform_is_passthrough (GST_BASE_TRANSFORM (element)))
         || (kind != NULL && g_str_has_prefix (kind, "Generic"));
}

/* Who made the buffers, as far as that can be told from outside. */
static GstElement *
find_maker (GstNdshSink *self)
{
  GstElement *element = find_peer_element (GST_BASE_SINK_PAD (self));

  while (element != NULL && passes_on (element)) {
    g_autoptr (GstElement) passes = element;
    g_autoptr (GstPad) pad = gst_element_get_static_pad (passes, "sink");

    element = pad != NULL ? find_peer_element (pad) : NULL;
  }
  return element;
}

static char *
name_maker (GstNdshSink *self)
{
  g_autoptr (GstElement) element = find_maker (self);

  if (element == NULL)
    return g_strdup ("the element upstream");
  return gst_object_get_name (GST_OBJECT (element));
}

/* --- Readers --- */

static gboolean
same_reader (const NdshReaderInfo *a, const NdshReaderInfo *b)
{
  return a->pid == b->pid && a->uid == b->uid;
}

/* Emits @signal for each of @infos that is not among @others. One process may
 * read more than once, so a match is used up. */
static void
emit_difference (GstNdshSink *self, guint signal, const NdshReaderInfo *infos,
                 guint n_infos, const NdshReaderInfo *others, guint n_others)
{
  g_autofree gboolean *used = g_new0 (gboolean, n_others + 1);

  for (guint i = 0; i < n_infos; i++) {
    guint j = 0;

    while (j < n_others && (used[j] || !same_reader (&infos[i], &others[j])))
      j++;
    used[j] = TRUE;
    if (j == n_others) {
      used[j] = FALSE;
      g_signal_emit (self, signals[signal], 0, infos[i].pid, infos[i].uid);
    }
  }
}

/* The largest that one of them wants: each is G_MAXINT if it is all, 0 if there is none. */
typedef struct {
  double max_rate;
  guint max_width;
  guint max_height;
} Demand;

static guint
larger_number (guint so_far, guint wanted)
{
  return MAX (so_far, wanted > 0 ? MIN (wanted, G_MAXINT) : G_MAXINT);
}

static Demand
find_demand (const NdshReaderInfo *readers, guint n_readers)
{
  Demand demand = { 0 };

  for (guint i = 0; i < n_readers; i++) {
    demand.max_rate
      = MAX (demand.max_rate, readers[i].max_rate > 0 ? readers[i].max_rate : G_MAXINT);
    demand.max_width = larger_number (demand.max_width, readers[i].max_width);
    demand.max_height = larger_number (demand.max_height, readers[i].max_height);
  }
  return demand;
}

static void
set_rate (GValue *value, double rate)
{
  gint n, d;

  gst_util_double_to_fraction (rate, &n, &d);
  gst_value_set_fraction (value, n, d);
}

/* For who starts and stops a camera by it, and need not poll. */
static void
post_readers (GstNdshSink *self, guint n_readers, const Demand *demand)
{
  GstStructure *structure = gst_structure_new (
    "GstNdshSinkReaders", "num-readers", G_TYPE_UINT, n_readers, "max-width", G_TYPE_INT,
    (gint) demand->max_width, "max-height", G_TYPE_INT, (gint) demand->max_height, NULL);
  GValue rate = G_VALUE_INIT;

  g_value_init (&rate, GST_TYPE_FRACTION);
  set_rate (&rate, demand->max_rate);
  gst_structure_take_value (structure, "max-rate", &rate);
  gst_ndsh_post_structure (GST_ELEMENT_CAST (self), structure);
}

/* Of what differs in @a and @b. */
static void
notify_demand (GstNdshSink *self, const Demand *a, const Demand *b)
{
  if (a->max_rate != b->max_rate)
    g_object_notify_by_pspec (G_OBJECT (self), props[PROP_MAX_RATE]);
  if (a->max_width != b->max_width)
    g_object_notify_by_pspec (G_OBJECT (self), props[PROP_MAX_WIDTH]);
  if (a->max_height != b->max_height)
    g_object_notify_by_pspec (G_OBJECT (self), props[PROP_MAX_HEIGHT]);
}

/* @now becomes who reads. */
static void
set_readers (GstNdshSink *self, NdshReaderInfo *now, guint n_now)
{
  g_autofree NdshReaderInfo *shown = g_new (NdshReaderInfo, n_now + 1);
  g_autofree NdshReaderInfo *before = NULL;
  Demand demand_before, demand = find_demand (now, n_now);
  guint n_before;

  if (n_now > 0)
    memcpy (shown, now, n_now * sizeof now[0]);
  g_mutex_lock (&self->readers_lock);
  before = self->readers;
  n_before = self->n_readers;
  demand_before = find_demand (before, n_before);
  /* Before it can be seen that somebody came. */
  if (n_now > n_before)
    g_atomic_int_set (&self->wants_key, TRUE);
  self->readers = now;
  self->n_readers = n_now;
  g_cond_broadcast (&self->readers_changed);
  g_mutex_unlock (&self->readers_lock);

  emit_difference (self, SIGNAL_READER_REMOVED, before, n_before, shown, n_now);
  emit_difference (self, SIGNAL_READER_ADDED, shown, n_now, before, n_before);
  if (n_before == n_now && demand_before.max_rate == demand.max_rate
      && demand_before.max_width == demand.max_width
      && demand_before.max_height == demand.max_height)
    return;
  post_readers (self, n_now, &demand);
  if (n_before != n_now)
    g_object_notify_by_pspec (G_OBJECT (self), props[PROP_NUM_READERS]);
  notify_demand (self, &demand_before, &demand);
}

static Demand
get_demand (GstNdshSink *self)
{
  Demand demand;

  g_mutex_lock (&self->readers_lock);
  demand = find_demand (self->readers, self->n_readers);
  g_mutex_unlock (&self->readers_lock);
  return demand;
}

/* The bound does not change while there is a writer. */
static guint
get_max_readers (GstNdshSink *self)
{
  guint max_readers;

  GST_OBJECT_LOCK (self);
  max_readers = self->max_readers;
  GST_OBJECT_UNLOCK (self);
  return max_readers;
}

static void
update_readers (GstNdshSink *self, NdshWriter *writer)
{
  guint max_readers = get_max_readers (self);
  NdshReaderInfo *now = g_new0 (NdshReaderInfo, max_readers);
  guint n = ndsh_writer_get_readers (writer, now, max_readers);

  set_readers (self, now, MIN (n, max_readers));
}

static void
note_key_requests (GstNdshSink *self, NdshWriter *writer)
{
  NdshWriterInfo info;

  ndsh_writer_get_info (writer, &info);
  g_mutex_lock (&self->readers_lock);
  if (info.key_requests != self->key_requests)
    g_atomic_int_set (&self->wants_key, TRUE);
  self->key_requests = info.key_requests;
  g_mutex_unlock (&self->readers_lock);
}

/* In the writer's own thread, perhaps before there is an allocator. */
static void
on_writer_changed (NdshWriter *writer, gpointer data)
{
  GstNdshSink *self = GST_NDSH_SINK (data);
  GstNdshAllocator *allocator = ref_allocator (self);

  update_readers (self, writer);
  note_key_requests (self, writer);
  if (allocator != NULL) {
    gst_ndsh_allocator_wake (allocator);
    gst_object_unref (allocator);
  }
}

static guint
get_num_readers (GstNdshSink *self)
{
  guint n;

  g_mutex_lock (&self->readers_lock);
  n = self->n_readers;
  g_mutex_unlock (&self->readers_lock);
  return n;
}

static gboolean
must_wait_first (GstNdshSink *self)
{
  gboolean wait_first;

  GST_OBJECT_LOCK (self);
  wait_first = self->wait_for_connection && !self->is_ending;
  GST_OBJECT_UNLOCK (self);
  return wait_first;
}

/* FALSE if the wait was cut short.
 *
 * Without the preroll lock, as where the base class waits for the clock: it wants
 * that lock for every change of state, also for those that unlock nothing. So an
 * unlocking may be over before this thread runs again; its number tells. And one
 * that is not over yet is waited for, which gives way to who unlocks. */
static gboolean
wait_for_reader (GstNdshSink *self)
{
  gboolean found;
  guint n_unlocks;
  gint64 since;

  g_mutex_lock (&self->readers_lock);
  n_unlocks = self->n_unlocks;
  GST_BASE_SINK_PREROLL_UNLOCK (self);
  since = gst_ndsh_get_monotonic_time ();
  while (self->n_readers == 0 && self->n_unlocks == n_unlocks
         && !self->unlocked && must_wait_first (self))
    g_cond_wait (&self->readers_changed, &self->readers_lock);
  self->waited += gst_ndsh_get_monotonic_time () - since;
  while (self->unlocked)
    g_cond_wait (&self->readers_changed, &self->readers_lock);
  found = (self->n_readers > 0 || !must_wait_first (self))
          && self->n_unlocks == n_unlocks;
  g_mutex_unlock (&self->readers_lock);
  GST_BASE_SINK_PREROLL_LOCK (self);
  return found;
}

static void
look_for_readers_again (GstNdshSink *self)
{
  g_mutex_lock (&self->readers_lock);
  g_cond_broadcast (&self->readers_changed);
  g_mutex_unlock (&self->readers_lock);
}

static void
set_ending (GstNdshSink *self, gboolean is_ending)
{
  GST_OBJECT_LOCK (self);
  self->is_ending = is_ending;
  GST_OBJECT_UNLOCK (self);
  look_for_readers_again (self);
}

/* What is sent to a pipeline goes to its sources only, and GstBaseSrc lets who sends an
 * EOS wait for the frame that waits here for a reader. So this is one of them as far as
 * events go, and hears of it first where it was added last; but not yet while it is
 * added, or its bin would become one, too, and send events to its own sink pads. */
static void
set_taking_events (GstNdshSink *self, gboolean taking)
{
  set_ending (self, FALSE);
  if (taking)
    GST_OBJECT_FLAG_SET (self, GST_ELEMENT_FLAG_SOURCE);
  else
    GST_OBJECT_FLAG_UNSET (self, GST_ELEMENT_FLAG_SOURCE);
}

static gboolean
is_unlocked (GstNdshSink *self)
{
  gboolean unlocked;

  g_mutex_lock (&self->readers_lock);
  unlocked = self->unlocked;
  g_mutex_unlock (&self->readers_lock);
  return unlocked;
}

static void
set_unlocked (GstNdshSink *self, gboolean unlocked)
{
  GstNdshAllocator *allocator = ref_allocator (self);

  g_mutex_lock (&self->readers_lock);
  self->unlocked = unlocked;
  self->n_unlocks += unlocked;
  g_cond_broadcast (&self->readers_changed);
  g_mutex_unlock (&self->readers_lock);
  if (allocator != NULL) {
    gst_ndsh_allocator_set_unlocked (allocator, unlocked);
    gst_object_unref (allocator);
  }
}

/* --- Times --- */

/* A sink for a screen shows a frame at its time plus the latency of the pipeline, so
 * that every frame has come by then. Here it is handed over to others, who wait
 * themselves: a frame goes at its time, and if it comes later, when it comes. */
static void
apply_offset (GstNdshSink *self)
{
  GstClockTimeDiff offset;

  GST_OBJECT_LOCK (self);
  offset = self->ts_offset + self->delay - (GstClockTimeDiff) self->latency;
  GST_OBJECT_UNLOCK (self);
  gst_base_sink_set_ts_offset (GST_BASE_SINK_CAST (self), offset);
  g_atomic_int_set (&self->offset_is_old, TRUE);
}

static void
on_sync_changed (GObject *object, GParamSpec *pspec, gpointer data)
{
  (void) pspec;
  (void) data;
  g_atomic_int_set (&GST_NDSH_SINK (object)->offset_is_old, TRUE);
}

static GstClockTimeDiff
get_ts_offset (GstNdshSink *self)
{
  GstClockTimeDiff offset;

  GST_OBJECT_LOCK (self);
  offset = self->ts_offset + self->delay;
  GST_OBJECT_UNLOCK (self);
  return offset;
}

/* A file that was held up goes on from where it was. What is live does not: it is late. */
static void
update_delay (GstNdshSink *self)
{
  gint64 delay;
  gboolean changed;

  if (!self->upstream_is_live)
    gst_ndsh_timeline_hold_up (self->timeline, self->waited);
  self->told_waited = self->waited;
  self->n_delays = gst_ndsh_timeline_count_delays (self->timeline);
  delay = gst_ndsh_timeline_get_delay (self->timeline);
  GST_OBJECT_LOCK (self);
  changed = delay != self->delay;
  self->delay = delay;
  GST_OBJECT_UNLOCK (self);
  if (changed)
    apply_offset (self);
}

static void
set_latency (GstNdshSink *self, GstClockTime latency)
{
  GST_OBJECT_LOCK (self);
  self->latency = latency;
  GST_OBJECT_UNLOCK (self);
  apply_offset (self);
  /* It may be another because upstream's is. */
  g_atomic_int_set (&self->timing_is_old, TRUE);
}

static gboolean
gst_ndsh_sink_send_event (GstElement *element, GstEvent *event)
{
  if (GST_EVENT_TYPE (event) == GST_EVENT_LATENCY) {
    GstClockTime latency;

    gst_event_parse_latency (event, &latency);
    set_latency (GST_NDSH_SINK (element), latency);
  } else if (GST_EVENT_TYPE (event) == GST_EVENT_EOS) {
    set_ending (GST_NDSH_SINK (element), TRUE);
  }
  return GST_ELEMENT_CLASS (gst_ndsh_sink_parent_class)
    ->send_event (element, event);
}

/* The base class asks only if it syncs. */
static void
ask_upstream (GstNdshSink *self)
{
  GstQuery *query = gst_query_new_latency ();
  gboolean live = FALSE;
  GstClockTime least = 0;

  if (gst_pad_peer_query (GST_BASE_SINK_PAD (self), query))
    gst_query_parse_latency (query, &live, &least, NULL);
  gst_query_unref (query);
  self->asked_at = gst_ndsh_get_monotonic_time ();
  self->upstream_is_live = live;
  self->upstream_latency
    = live && GST_CLOCK_TIME_IS_VALID (least) ? least : 0;
  GST_DEBUG_OBJECT (self, "upstream is %slive, latency %" GST_TIME_FORMAT,
                    live ? "" : "not ", GST_TIME_ARGS (self->upstream_latency));
}

/* Whether readers need it: it is to be seen, or others refer to it. */
static gboolean
is_part_of_segment (GstNdshSink *self, GstBuffer *buffer)
{
  const GstSegment *segment = &GST_BASE_SINK_CAST (self)->segment;
  GstClockTime end = GST_BUFFER_PTS (buffer);

  if (GST_BUFFER_DURATION_IS_VALID (buffer))
    end += GST_BUFFER_DURATION (buffer);
  return self->is_encoded || GST_BUFFER_PTS (buffer) >= segment->start
         || end > segment->start;
}

/* The base class takes a buffer for one of the time at which it is decoded. That may be
 * before the segment begins, as for the first frames of a file, or for those between
 * where a player seeks to and the frame that can be decoded by itself; then it takes
 * them for no part of it, and drops them or does not wait for the pipeline to play. */
static void
gst_ndsh_sink_get_times (GstBaseSink *base, GstBuffer *buffer,
                         GstClockTime *start, GstClockTime *end)
{
  const GstSegment *segment = &base->segment;

  PARENT_CLASS->get_times (base, buffer, start, end);
  if (segment->format != GST_FORMAT_TIME || segment->rate < 0
      || !GST_BUFFER_PTS_IS_VALID (buffer) || !GST_CLOCK_TIME_IS_VALID (*start)
      || *start >= segment->start
      || !is_part_of_segment (GST_NDSH_SINK_CAST (base), buffer))
    return;
  *start = segment->start;
  /* It takes the distance between the two for the duration. */
  if (GST_CLOCK_TIME_IS_VALID (*end))
    *end = *start
           + (GST_BUFFER_DURATION_IS_VALID (buffer) ? GST_BUFFER_DURATION (buffer) : 0);
}

/* Those before the segment are for who decodes, those after it for nobody. */
static gboolean
is_after_segment (GstNdshSink *self, GstBuffer *buffer)
{
  const GstSegment *segment = &GST_BASE_SINK_CAST (self)->segment;

  return self->is_encoded && segment->rate > 0
         && GST_CLOCK_TIME_IS_VALID (segment->stop)
         && GST_BUFFER_PTS_IS_VALID (buffer)
         && GST_BUFFER_PTS (buffer) >= segment->stop;
}

static void
tell_timing (GstNdshSink *self, const NdshTiming *timing)
{
  NdshWriter *writer;

  if (timing->clock == self->timing.clock
      && timing->origin_ns == self->timing.origin_ns
      && timing->latency_ns == self->timing.latency_ns)
    return;
  self->timing = *timing;
  writer = gst_ndsh_allocator_enter (self->allocator);
  if (writer != NULL)
    ndsh_writer_set_timing (writer, timing);
  gst_ndsh_allocator_leave (self->allocator);
  GST_INFO_OBJECT (self,
                   "times %s, origin %" GST_STIME_FORMAT
                   ", latency %" GST_STIME_FORMAT,
                   timing->clock == NDSH_CLOCK_MONOTONIC
                     ? "follow CLOCK_MONOTONIC"
                     : "follow each other",
                   GST_STIME_ARGS (timing->origin_ns),
                   GST_STIME_ARGS (timing->latency_ns));
}

/* It follows from these, which hardly ever change. */
static gboolean
timing_is_known (GstNdshSink *self, gboolean has_clock)
{
  return has_clock && self->base.zero == self->base_zero
         && self->waited == self->told_waited
         && gst_ndsh_timeline_count_delays (self->timeline) == self->n_delays
         && !g_atomic_int_get (&self->timing_is_old)
         && !g_atomic_int_compare_and_exchange (&self->offset_is_old, TRUE, FALSE);
}

/* What the times of the next frame are. They follow a clock if frames come at their
 * times, be it that they are made then or that they are held until then. */
static void
update_timing (GstNdshSink *self)
{
  gboolean syncs;
  NdshTiming timing = { NDSH_CLOCK_NONE, self->opened_at, 0 };
  gboolean has_clock
    = gst_ndsh_time_base_update (&self->base, GST_ELEMENT_CAST (self));

  if (timing_is_known (self, has_clock))
    return;
  self->base_zero = self->base.zero;
  syncs = gst_base_sink_get_sync (GST_BASE_SINK_CAST (self));
  if (g_atomic_int_compare_and_exchange (&self->timing_is_old, TRUE, FALSE))
    ask_upstream (self);
  if (has_clock)
    timing.origin_ns = self->base.origin;
  self->zero = timing.origin_ns;
  if (has_clock && (syncs || self->upstream_is_live)) {
    timing.clock = NDSH_CLOCK_MONOTONIC;
    timing.latency_ns = (gint64) self->upstream_latency;
    self->zero = self->base.zero;
  }
  /* It shifts when frames are shown, hence their times for who shows them. */
  update_delay (self);
  if (syncs)
    self->zero += get_ts_offset (self);
  tell_timing (self, &timing);
}

/* From the segment's time to a frame's; FALSE if there is no such time. */
static gboolean
to_timestamp (GstNdshSink *self, GstClockTime time, gint64 *timestamp)
{
  gint64 running;

  if (!gst_ndsh_segment_to_running (&GST_BASE_SINK_CAST (self)->segment, time,
                                    &running))
    return FALSE;
  *timestamp = gst_ndsh_running_to_monotonic (running, self->zero);
  return *timestamp >= 0;
}

/* Not every element says that its latency is another; but its frames show it. */
static void
check_latency (GstNdshSink *self, gint64 timestamp)
{
  gint64 now;

  if (timestamp < 0 || !self->upstream_is_live
      || self->timing.clock != NDSH_CLOCK_MONOTONIC)
    return;
  now = gst_ndsh_get_monotonic_time ();
  if (now - timestamp > self->timing.latency_ns + LATE
      && now - self->asked_at > (gint64) GST_SECOND)
    g_atomic_int_set (&self->timing_is_old, TRUE);
}

/* As frames of a camera have. */
static gboolean
has_next_offset (GstBuffer *buffer)
{
  return GST_BUFFER_OFFSET_IS_VALID (buffer)
         && GST_BUFFER_OFFSET_END (buffer) == GST_BUFFER_OFFSET (buffer) + 1;
}

static void
fill_frame_info (GstNdshSink *self, GstBuffer *buffer, NdshFrameInfo *info)
{
  if (!to_timestamp (self, GST_BUFFER_PTS (buffer), &info->timestamp_ns))
    info->timestamp_ns = -1;
  info->duration_ns = gst_ndsh_segment_scale_duration (
    &GST_BASE_SINK_CAST (self)->segment, GST_BUFFER_DURATION (buffer));
  info->offset = GST_BUFFER_OFFSET (buffer);
  info->flags
    = gst_ndsh_buffer_flags_filter (GST_BUFFER_FLAGS (buffer)) | GST_NDSH_FLAG_GST;
  if (has_next_offset (buffer))
    info->flags |= GST_NDSH_FLAG_NEXT_OFFSET;
}

/* At most once a second, unless that @is_all. */
static void
tell_dropped (GstNdshSink *self, gboolean is_all)
{
  GstClockTime now;

  if (self->n_dropped == self->n_dropped_told)
    return;
  now = (GstClockTime) gst_ndsh_get_monotonic_time ();
  if (now < self->tell_dropped_at && !is_all)
    return;
  gst_ndsh_post_structure (
    GST_ELEMENT_CAST (self),
    gst_structure_new ("GstNdshSinkFramesDropped", "dropped", G_TYPE_UINT64,
                       self->n_dropped - self->n_dropped_told, "frames-dropped",
                       G_TYPE_UINT64, self->n_dropped, NULL));
  self->n_dropped_told = self->n_dropped;
  self->tell_dropped_at = now + GST_SECOND;
}

/* --- Opening and closing --- */

static void
fill_options (GstNdshSink *self, NdshWriterOptions *options)
{
  GST_OBJECT_LOCK (self);
  options->history = self->history;
  options->max_readers = self->max_readers;
  options->max_bytes = self->max_memory;
  /* 0 would mean the library's default. */
  options->lossless_timeout_us
    = self->lossless_timeout == 0
        ? -1
        : MAX (1, (gint64) GST_TIME_AS_USECONDS (self->lossless_timeout));
  options->perms = self->perms;
  GST_OBJECT_UNLOCK (self);
  options->notify = on_writer_changed;
  options->notify_data = self;
}

static void
reset_stream (GstNdshSink *self)
{
  gst_ndsh_content_init (&self->content, NULL);
  gst_ndsh_events_free (self->events);
  self->events = gst_ndsh_events_new ();
  self->look.is_known = FALSE;
  self->copy_explained = self->want_explained = FALSE;
  self->largest = 0;
  self->last_warning = GST_CLOCK_TIME_NONE;
  self->tell_dropped_at = self->n_dropped_told = 0;
  self->opened_at = gst_ndsh_get_monotonic_time ();
  memset (&self->timing, 0, sizeof self->timing);
  set_latency (self, 0);

  GST_OBJECT_LOCK (self);
  self->n_published = self->n_copied = self->n_dropped = self->bytes_copied = 0;
  GST_OBJECT_UNLOCK (self);
}

static gboolean
open_channel (GstNdshSink *self)
{
  g_autoptr (GError) error = NULL;
  NdshWriterOptions options = { 0 };
  g_autofree char *channel = NULL;
  NdshWriter *writer;

  reset_stream (self);
  fill_options (self, &options);
  GST_OBJECT_LOCK (self);
  channel = g_strdup (self->channel);
  GST_OBJECT_UNLOCK (self);

  writer = ndsh_writer_new (channel, &options, &error);
  if (writer == NULL) {
    gst_ndsh_post_error (GST_ELEMENT_CAST (self), error, channel);
    return FALSE;
  }
  self->timeline = gst_ndsh_timeline_join (GST_ELEMENT_CAST (self));
  self->waited = 0;
  GST_OBJECT_LOCK (self);
  self->allocator = gst_ndsh_allocator_new (writer, &options);
  GST_OBJECT_UNLOCK (self);
  GST_DEBUG_OBJECT (self, "writing channel %s, stream %s", channel,
                    ndsh_writer_get_stream_id (writer));
  return TRUE;
}

static void
close_channel (GstNdshSink *self)
{
  GstNdshAllocator *allocator;

  GST_OBJECT_LOCK (self);
  allocator = g_steal_pointer (&self->allocator);
  GST_OBJECT_UNLOCK (self);
  if (allocator == NULL)
    return;
  tell_dropped (self, TRUE);
  gst_ndsh_allocator_close (allocator);
  gst_object_unref (allocator);
  gst_ndsh_time_base_clear (&self->base);
  gst_ndsh_timeline_leave (g_steal_pointer (&self->timeline));
  set_readers (self, NULL, 0);
}

static void
set_flushing (GstNdshSink *self, gboolean flushing)
{
  GstNdshAllocator *allocator = ref_allocator (self);

  if (allocator == NULL)
    return;
  gst_ndsh_allocator_set_flushing (allocator, flushing);
  gst_object_unref (allocator);
}

/* basesink starts in READY; the channel may still be changed there, so it opens
 * one state later. */
static GstStateChangeReturn
gst_ndsh_sink_change_state (GstElement *element, GstStateChange transition)
{
  GstNdshSink *self = GST_NDSH_SINK (element);
  GstStateChangeReturn result;

  if (transition == GST_STATE_CHANGE_READY_TO_PAUSED && !open_channel (self))
    return GST_STATE_CHANGE_FAILURE;
  /* An element upstream may have become live, or not. */
  if (transition == GST_STATE_CHANGE_PAUSED_TO_PLAYING)
    g_atomic_int_set (&self->timing_is_old, TRUE);
  /* Upstream may sit in a pool of ours, which the base class cannot know. */
  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY)
    set_flushing (self, TRUE);
  if (transition == GST_STATE_CHANGE_READY_TO_PAUSED
      || transition == GST_STATE_CHANGE_PAUSED_TO_READY)
    set_taking_events (self, transition == GST_STATE_CHANGE_READY_TO_PAUSED);

  result = GST_ELEMENT_CLASS (gst_ndsh_sink_parent_class)
             ->change_state (element, transition);

  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY
      || (transition == GST_STATE_CHANGE_READY_TO_PAUSED
          && result == GST_STATE_CHANGE_FAILURE))
    close_channel (self);
  return result;
}

static gboolean
gst_ndsh_sink_unlock (GstBaseSink *base)
{
  set_unlocked (GST_NDSH_SINK (base), TRUE);
  return TRUE;
}

static gboolean
gst_ndsh_sink_unlock_stop (GstBaseSink *base)
{
  set_unlocked (GST_NDSH_SINK (base), FALSE);
  return TRUE;
}

static void
end_stream (GstNdshSink *self)
{
  GstNdshAllocator *allocator = ref_allocator (self);
  NdshWriter *writer;

  if (allocator == NULL)
    return;
  tell_dropped (self, TRUE);
  writer = gst_ndsh_allocator_enter (allocator);
  if (writer != NULL)
    ndsh_writer_end (writer);
  gst_ndsh_allocator_leave (allocator);
  gst_object_unref (allocator);
}

static void
set_metadata (GstNdshSink *self, const GByteArray *metadata)
{
  GstNdshAllocator *allocator = ref_allocator (self);
  g_autoptr (GError) error = NULL;
  NdshWriter *writer;

  if (allocator == NULL)
    return;
  writer = gst_ndsh_allocator_enter (allocator);
  if (writer != NULL
      && !ndsh_writer_set_metadata (writer, metadata->data, metadata->len, &error))
    GST_WARNING_OBJECT (self, "readers do not hear of events: %s", error->message);
  gst_ndsh_allocator_leave (allocator);
  gst_object_unref (allocator);
}

/* Rides with the next frame. */
static void
note_gap (GstNdshSink *self, GstEvent *event)
{
  GstClockTime start, duration;
  gint64 timestamp;

  gst_event_parse_gap (event, &start, &duration);
  if (self->timeline == NULL)
    return;
  update_timing (self);
  if (to_timestamp (self, start, &timestamp))
    gst_ndsh_events_note_gap (
      self->events, timestamp,
      gst_ndsh_segment_scale_duration (&GST_BASE_SINK_CAST (self)->segment, duration));
}

/* Others than these come at any time, and stay behind. */
static void
note_serialized (GstNdshSink *self, GstEvent *event)
{
  g_autoptr (GByteArray) metadata = NULL;

  if (GST_EVENT_TYPE (event) == GST_EVENT_GAP)
    note_gap (self, event);
  else if (gst_ndsh_events_note (self->events, event)) {
    metadata = g_byte_array_new ();
    gst_ndsh_events_append_of_stream (self->events, metadata);
    set_metadata (self, metadata);
  }
}

static gboolean
gst_ndsh_sink_event (GstBaseSink *base, GstEvent *event)
{
  GstNdshSink *self = GST_NDSH_SINK (base);
  GstEventType type = GST_EVENT_TYPE (event);
  gboolean done;

  if (type == GST_EVENT_FLUSH_START)
    set_flushing (self, TRUE);
  else if (type == GST_EVENT_FLUSH_STOP)
    set_flushing (self, FALSE);
  if (type == GST_EVENT_FLUSH_STOP)
    set_ending (self, FALSE);

  if (type == GST_EVENT_FLUSH_STOP && self->timeline != NULL) {
    gst_ndsh_timeline_flush (self->timeline);
    self->waited = 0;
  }

  if (GST_EVENT_IS_SERIALIZED (event))
    note_serialized (self, event);
  done = PARENT_CLASS->event (base, event);

  /* Only now: the base class has waited until the last frame was over. */
  if (type == GST_EVENT_EOS && done)
    end_stream (self);
  return done;
}

/* --- Caps and allocation --- */

/* Elements that can give several kinds of memory are steered to the right one; for
 * those that cannot, set_caps says what to do. */
static GstCaps *
gst_ndsh_sink_get_caps (GstBaseSink *base, GstCaps *filter)
{
  GstCaps *caps = gst_caps_new_empty ();

  (void) base;
  if (filter == NULL) {
    gst_caps_unref (caps);
    return gst_caps_new_any ();
  }
  for (guint i = 0; i < gst_caps_get_size (filter); i++) {
    GstCaps *one = gst_caps_copy_nth (filter, i);

    if (gst_ndsh_caps_get_foreign_memory (one) == NULL)
      gst_caps_append (caps, one);
    else
      gst_caps_unref (one);
  }
  if (gst_caps_is_empty (caps)) {
    gst_caps_unref (caps);
    return gst_caps_ref (filter);
  }
  return caps;
}

static gboolean
set_description (GstNdshSink *self, const char *text, GError **error)
{
  GstNdshAllocator *allocator = ref_allocator (self);
  NdshWriter *writer;
  gboolean done = TRUE;

  if (allocator == NULL)
    return TRUE;                /* no frame will follow these caps */
  writer = gst_ndsh_allocator_enter (allocator);
  if (writer != NULL)
    done = ndsh_writer_set_description (writer, text, error);
  gst_ndsh_allocator_leave (allocator);
  gst_object_unref (allocator);
  return done;
}

/* What readers are told. Headers that make caps longer than a description can be are in
 * the stream as well. */
static char *
caps_to_text (GstNdshSink *self, const GstCaps *caps)
{
  g_autofree char *text = gst_caps_to_string (caps);
  g_autoptr (GstCaps) shorter = NULL;

  if (strlen (text) <= NDSH_MAX_DESCRIPTION)
    return g_steal_pointer (&text);
  if (strstr (text, "streamheader") == NULL)
    return g_steal_pointer (&text);     /* too long, which is an error */
  shorter = gst_caps_copy (caps);
  for (guint i = 0; i < gst_caps_get_size (shorter); i++)
    gst_structure_remove_field (gst_caps_get_structure (shorter, i), "streamheader");
  GST_ELEMENT_WARNING (self, STREAM, FORMAT,
                       ("The caps are %" G_GSIZE_FORMAT " bytes long, and readers can be "
                        "told of %d: they go without streamheader.",
                        strlen (text), NDSH_MAX_DESCRIPTION),
                       ("who joins late may need it to decode the stream"));
  return gst_caps_to_string (shorter);
}

static gboolean
gst_ndsh_sink_set_caps (GstBaseSink *base, GstCaps *caps)
{
  GstNdshSink *self = GST_NDSH_SINK (base);
  const char *foreign = gst_ndsh_caps_get_foreign_memory (caps);
  g_autofree char *text = caps_to_text (self, caps);
  g_autoptr (GError) error = NULL;

  if (foreign != NULL) {
    GST_ELEMENT_ERROR (
      self, STREAM, FORMAT,
      ("Frames in %s cannot be shared; add an element that brings them to system "
       "memory, such as \"nvvidconv ! video/x-raw\" for NVMM or \"gldownload\" "
       "for GLMemory.",
       foreign),
      ("caps %s", text));
    return FALSE;
  }
  if (!set_description (self, text, &error)) {
    gst_ndsh_post_error (GST_ELEMENT_CAST (self), error, "the caps are too long");
    return FALSE;
  }
  if (!gst_ndsh_text_is_caps (text))
    GST_WARNING_OBJECT (self, "readers will take frames for bytes without caps, which have "
                        "values that do not cross: %s", text);
  gst_ndsh_content_init (&self->content, caps);
  self->look.is_known = FALSE;
  self->is_encoded = gst_ndsh_caps_are_encoded_video (text);
  gst_base_sink_set_drop_out_of_segment (base, !self->is_encoded);
  GST_INFO_OBJECT (self, "caps %s", text);
  return TRUE;
}

/* A new one each time. The old one may be busy with the old caps. */
static void
offer_pool (GstQuery *query, GstNdshAllocator *allocator, GstCaps *caps)
{
  GstBufferPool *pool = gst_ndsh_buffer_pool_new (allocator, caps);
  GstVideoInfo info;

  if (pool == NULL)
    return;
  gst_video_info_from_caps (&info, caps);
  /* A maximum of less than 32 makes libav's decoders do without the pool. */
  gst_query_add_allocation_pool (query, pool, (guint) GST_VIDEO_INFO_SIZE (&info), 2, 0);
  gst_object_unref (pool);
}

/* Raw video gets a pool: elements that would put the allocator into one of their own are
 * served by ours. All else is allocated piece by piece, of sizes that are known then. */
static gboolean
gst_ndsh_sink_propose_allocation (GstBaseSink *base, GstQuery *query)
{
  GstNdshAllocator *allocator = ref_allocator (GST_NDSH_SINK (base));
  gboolean need_pool, is_video, is_ours;
  GstAllocationParams params;
  GstCaps *caps;

  gst_query_parse_allocation (query, &caps, &need_pool);
  gst_query_add_allocation_meta (query, GST_VIDEO_META_API_TYPE, NULL);
  is_ours = caps != NULL && allocator != NULL
            && gst_ndsh_caps_get_foreign_memory (caps) == NULL;
  is_video = is_ours
             && gst_structure_has_name (gst_caps_get_structure (caps, 0), "video/x-raw");
  gst_allocation_params_init (&params);
  params.align = 31;
  gst_query_add_allocation_param (
    query, is_ours && !is_video ? GST_ALLOCATOR (allocator) : NULL, &params);
  if (is_video && need_pool)
    offer_pool (query, allocator, caps);
  if (allocator != NULL)
    gst_object_unref (allocator);
  return TRUE;
}

/* --- Rendering --- */

/* Frames lie as the last one did, nearly always. */
static const Look *
find_look (GstNdshSink *self, const GstNdshMeta *meta, gsize size)
{
  Look *look = &self->look;

  if (look->is_known && look->size == size && look->has_layout == meta->has_layout
      && memcmp (&look->layout, &meta->layout, sizeof look->layout) == 0)
    return look;
  look->is_known = TRUE;
  look->size = size;
  look->has_layout = meta->has_layout;
  look->layout = meta->layout;
  look->is_default
    = meta->has_layout && self->content.kind == GST_NDSH_CONTENT_VIDEO
      && size == GST_VIDEO_INFO_SIZE (&self->content.video)
      && gst_ndsh_layout_is_default (&meta->layout, &self->content.video);
  look->n_arrays = gst_ndsh_content_get_arrays (
    &self->content, meta->has_layout ? &meta->layout : NULL, size, look->arrays);
  return look;
}

/* The frame is as long as the buffer: the padding after the last row comes along. */
static gboolean
describe (GstNdshSink *self, NdshDraft *draft, GstBuffer *buffer, GstNdshMeta *meta,
          gsize size, GError **error)
{
  const Look *look = find_look (self, meta, size);

  /* What the caps say readers know. */
  if (look->is_default && meta->video_flags == 0)
    meta->has_layout = FALSE;
  g_byte_array_set_size (self->metadata, 0);
  gst_ndsh_meta_append (meta, self->metadata);
  gst_ndsh_events_append (self->events, self->metadata);
  gst_ndsh_metas_append (buffer, self->metadata, GST_ELEMENT_CAST (self));
  return ndsh_draft_describe (draft, look->arrays, look->n_arrays, size,
                              self->metadata->data, self->metadata->len, error);
}

/* Whether there is room for what the writer promises: that readers cannot keep the next
 * frame from each other, also when frames become larger. */
static void
check_room (GstNdshSink *self, gsize size)
{
  NdshWriterInfo info = { 0 };
  NdshWriter *writer;
  guint least;

  if (size <= self->largest)
    return;
  self->largest = size;
  writer = gst_ndsh_allocator_enter (self->allocator);
  if (writer != NULL)
    ndsh_writer_get_info (writer, &info);
  gst_ndsh_allocator_leave (self->allocator);
  GST_OBJECT_LOCK (self);
  least = 2 * (self->history + 1);
  GST_OBJECT_UNLOCK (self);
  if (info.max_frames == 0 || info.max_frames >= least)
    return;
  GST_ELEMENT_WARNING (
    self, RESOURCE, NO_SPACE_LEFT,
    ("Shared memory of %" G_GUINT64_FORMAT " bytes holds %u frames of this size; set "
     "max-memory to %" G_GUINT64_FORMAT " or more.",
     info.max_bytes, info.max_frames, info.max_bytes / info.max_frames * least),
    ("readers copy each frame meanwhile, or lose some"));
}

/* What nobody waits for. */
static void
note_published (GstNdshSink *self, const NdshFrameInfo *info, gsize size,
                gboolean copied)
{
  gsize bytes_copied = copied ? size : 0;

  gst_ndsh_events_done (self->events);
  check_latency (self, info->timestamp_ns);
  check_room (self, size);
  tell_dropped (self, FALSE);
  GST_OBJECT_LOCK (self);
  self->n_published++;
  self->n_copied += copied;
  self->bytes_copied += bytes_copied;
  GST_OBJECT_UNLOCK (self);
}

/* Whether it was to be made in our memory, and no slot was free then. */
static gboolean
found_no_slot (GstNdshSink *self, GstBuffer *buffer)
{
  return gst_buffer_n_memory (buffer) == 1
         && gst_ndsh_allocator_classify (self->allocator,
                                         gst_buffer_peek_memory (buffer, 0))
              == GST_NDSH_MEMORY_SUBSTITUTE;
}

/* Why @buffer must be copied, for people; NULL and @draft if it need not. */
static const char *
find_draft (GstNdshSink *self, GstBuffer *buffer, NdshDraft **draft)
{
  GstMemory *memory;

  if (gst_buffer_n_memory (buffer) != 1)
    return "it is not one memory";
  memory = gst_buffer_peek_memory (buffer, 0);
  switch (gst_ndsh_allocator_classify (self->allocator, memory)) {
  case GST_NDSH_MEMORY_PART:
    return "it is a part of a frame";
  case GST_NDSH_MEMORY_PUBLISHED:
    return "its memory was shared before";
  case GST_NDSH_MEMORY_DRAFT:
    *draft = gst_ndsh_memory_get_draft (memory);
    return NULL;
  case GST_NDSH_MEMORY_SUBSTITUTE:
    return "no shared memory was free when it was made";
  case GST_NDSH_MEMORY_FOREIGN:
  default:
    return "it was not made in the memory that ndshsink offers";
  }
}

static void
explain_copy (GstNdshSink *self, const char *reason)
{
  g_autofree char *name = NULL;

  if (self->copy_explained)
    return;
  self->copy_explained = TRUE;
  name = name_maker (self);
  GST_INFO_OBJECT (self, "copying what %s gives, because %s%s", name, reason,
                   g_str_has_prefix (name, "v4l2src")
                     ? "; with its io-mode=userptr most drivers fill that"
                     : "");
}

static GstFlowReturn
refuse_copy (GstNdshSink *self, const char *reason)
{
  g_autofree char *name = name_maker (self);

  GST_ELEMENT_ERROR (self, RESOURCE, SETTINGS,
                     ("A frame from %s would have to be copied, which "
                      "allow-copy=false forbids: %s.",
                      name, reason),
                     ("set allow-copy=true, or put an element before ndshsink "
                      "that writes into its buffer pool, like a decoder, or a "
                      "videoconvert that has something to convert"));
  return GST_FLOW_ERROR;
}

static void
post_qos (GstNdshSink *self, GstBuffer *buffer, guint64 n_published,
          guint64 n_dropped)
{
  GstSegment *segment = &GST_BASE_SINK_CAST (self)->segment;
  GstClockTime pts = GST_BUFFER_PTS (buffer);
  guint64 running = GST_CLOCK_TIME_NONE, stream = GST_CLOCK_TIME_NONE;
  GstMessage *message;

  if (segment->format == GST_FORMAT_TIME) {
    running = gst_segment_to_running_time (segment, GST_FORMAT_TIME, pts);
    stream = gst_segment_to_stream_time (segment, GST_FORMAT_TIME, pts);
  }
  message = gst_message_new_qos (GST_OBJECT_CAST (self), FALSE, running, stream, pts,
                                 GST_BUFFER_DURATION (buffer));
  gst_message_set_qos_stats (message, GST_FORMAT_BUFFERS, n_published,
                             n_dropped);
  gst_element_post_message (GST_ELEMENT_CAST (self), message);
}

/* That the machine has no memory is for who runs it, once; QoS messages are for
 * programs. */
static void
warn_of_want (GstNdshSink *self, const GError *error)
{
  if (error->code != NDSH_ERROR_MEMORY || self->want_explained)
    return;
  self->want_explained = TRUE;
  GST_ELEMENT_WARNING (self, RESOURCE, NO_SPACE_LEFT,
                       ("Frames are dropped: %s.", error->message),
                       ("smaller frames, a smaller history or more memory would help"));
}

/* There is no room for it. The stream goes on, without this frame, and of frames that
 * refer to others from the next on that does not. */
static GstFlowReturn
drop (GstNdshSink *self, GstBuffer *buffer, const GError *error)
{
  GstClockTime now = (GstClockTime) gst_ndsh_get_monotonic_time ();
  guint64 n_published, n_dropped;

  GST_OBJECT_LOCK (self);
  n_dropped = ++self->n_dropped;
  n_published = self->n_published;
  GST_OBJECT_UNLOCK (self);
  tell_dropped (self, FALSE);
  if (!GST_CLOCK_TIME_IS_VALID (self->last_warning)
      || now - self->last_warning >= WARNING_INTERVAL) {
    self->last_warning = now;
    GST_WARNING_OBJECT (self, "%" G_GUINT64_FORMAT " frames dropped so far: %s%s",
                        n_dropped, error->message,
                        error->code == NDSH_ERROR_FULL
                          ? "; a larger max-memory would help"
                          : "");
  }
  if (self->is_encoded)
    g_atomic_int_set (&self->wants_key, TRUE);
  warn_of_want (self, error);
  post_qos (self, buffer, n_published, n_dropped);
  return GST_FLOW_OK;
}

/* A draft for a copy of @size bytes. With GST_FLOW_OK it may be NULL: then there is
 * none, and @error says why. */
static GstFlowReturn
begin_copy (GstNdshSink *self, gsize size, NdshDraft **draft, GError **error)
{
  for (;;) {
    GstFlowReturn result;

    *draft = gst_ndsh_allocator_begin (self->allocator, size, error);
    if (*draft != NULL || !is_unlocked (self)
        || !g_error_matches (*error, NDSH_ERROR, NDSH_ERROR_FULL))
      return GST_FLOW_OK;
    /* It was not the slots: the pipeline pauses or flushes. */
    g_clear_error (error);
    result = gst_base_sink_wait_preroll (GST_BASE_SINK_CAST (self));
    if (result != GST_FLOW_OK)
      return result;
  }
}

static GstFlowReturn
post_begin_error (GstNdshSink *self, gsize size, const GError *error)
{
  guint64 max_memory;

  GST_OBJECT_LOCK (self);
  max_memory = self->max_memory;
  GST_OBJECT_UNLOCK (self);
  if (g_error_matches (error, NDSH_ERROR, NDSH_ERROR_INVALID) && max_memory > 0
      && size >= max_memory / 2)
    GST_ELEMENT_ERROR (self, RESOURCE, NO_SPACE_LEFT,
                       ("A frame of %" G_GSIZE_FORMAT " bytes does not fit into "
                        "max-memory=%" G_GUINT64_FORMAT "; set it to a few times "
                        "that size.",
                        size, max_memory),
                       ("%s", error->message));
  else
    gst_ndsh_post_error (GST_ELEMENT_CAST (self), error, "no slot for the copy of a frame");
  return GST_FLOW_ERROR;
}

static GstFlowReturn
go_without_draft (GstNdshSink *self, GstBuffer *buffer, const GError *error)
{
  return error->code == NDSH_ERROR_FULL || error->code == NDSH_ERROR_MEMORY
           ? drop (self, buffer, error)
           : post_begin_error (self, gst_buffer_get_size (buffer), error);
}

/* There was no slot for it, and it must not be copied to one that is free now. */
static GstFlowReturn
drop_uncopied (GstNdshSink *self, GstBuffer *buffer)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NdshDraft) draft = NULL;
  GstFlowReturn result
    = begin_copy (self, gst_buffer_get_size (buffer), &draft, &error);

  if (result != GST_FLOW_OK)
    return result;
  if (draft != NULL)
    g_set_error_literal (&error, NDSH_ERROR, NDSH_ERROR_FULL,
                         "no slot was free when the frame was made, and "
                         "allow-copy=false forbids to copy it now");
  return go_without_draft (self, buffer, error);
}

static GstFlowReturn
publish_in_place (GstNdshSink *self, GstBuffer *buffer, NdshDraft *draft,
                  GstNdshMeta *meta)
{
  GstMemory *memory = gst_buffer_peek_memory (buffer, 0);
  g_autoptr (GError) error = NULL;
  NdshFrameInfo info = { 0 };
  guint64 number;

  if (!describe (self, draft, buffer, meta, memory->size, &error))
    return go_without_draft (self, buffer, error);
  fill_frame_info (self, buffer, &info);

  /* From here on nobody may write: a pool that gets this buffer back has to take
   * another memory, and whoever wants to change it has to copy. */
  gst_ndsh_memory_set_published (memory);
  GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_TAG_MEMORY);
  number = ndsh_draft_publish (draft, &info);
  GST_LOG_OBJECT (self, "frame %" G_GUINT64_FORMAT ", in place", number);
  note_published (self, &info, memory->size, FALSE);
  return GST_FLOW_OK;
}

/* The bytes with their layout: what strides and padding there are, the frame
 * keeps. */
static GstFlowReturn
publish_copy (GstNdshSink *self, GstBuffer *buffer, GstNdshMeta *meta)
{
  gsize size = gst_buffer_get_size (buffer);
  g_autoptr (GError) error = NULL;
  g_autoptr (NdshDraft) draft = NULL;
  NdshFrameInfo info = { 0 };
  guint64 number;
  GstFlowReturn result = begin_copy (self, size, &draft, &error);

  if (result != GST_FLOW_OK)
    return result;
  if (draft == NULL)
    return go_without_draft (self, buffer, error);
  if (gst_buffer_extract (buffer, 0, ndsh_draft_get_data (draft), size) != size) {
    GST_ELEMENT_ERROR (self, RESOURCE, READ,
                       ("The frame's memory cannot be read."), (NULL));
    return GST_FLOW_ERROR;
  }
  if (!describe (self, draft, buffer, meta, size, &error))
    return go_without_draft (self, buffer, error);
  fill_frame_info (self, buffer, &info);
  info.flags |= GST_NDSH_FLAG_COPIED;
  number = ndsh_draft_publish (draft, &info);
  GST_LOG_OBJECT (self, "frame %" G_GUINT64_FORMAT ", copied", number);
  note_published (self, &info, size, TRUE);
  return GST_FLOW_OK;
}

static void
fill_meta (GstNdshSink *self, GstBuffer *buffer, GstNdshMeta *meta)
{
  gst_ndsh_meta_init_from_buffer (meta, buffer);
  if (has_next_offset (buffer))
    meta->offset_end = GST_BUFFER_OFFSET_NONE;
  update_timing (self);
  meta->has_dts = to_timestamp (self, GST_BUFFER_DTS (buffer), &meta->dts);
}

#if GST_CHECK_VERSION(1, 16, 0)
static gboolean
has_gaps (const GstAudioMeta *meta, gsize size)
{
  gsize plane = meta->samples * (gsize) meta->info.finfo->width / 8;
  gsize end = 0;

  for (gint i = 0; i < meta->info.channels; i++, end += plane)
    if (meta->offsets[i] != end)
      return TRUE;
  return size != end;
}

/* Whether @buffer is planar sound of which not all bytes count, or not in the order of
 * the planes: so it is after samples were cut off. */
static gboolean
has_scattered_planes (GstNdshSink *self, GstBuffer *buffer)
{
  const GstAudioInfo *info = &self->content.audio;
  GstAudioMeta *meta = gst_buffer_get_audio_meta (buffer);

  return meta != NULL && info->layout == GST_AUDIO_LAYOUT_NON_INTERLEAVED
         && meta->info.layout == info->layout
         && meta->info.finfo == info->finfo
         && meta->info.channels == info->channels
         && has_gaps (meta, gst_buffer_get_size (buffer));
}

static gboolean
copy_meta (GstBuffer *from, GstMeta **meta, gpointer to)
{
  GstMetaTransformCopy whole = { FALSE, 0, (gsize) -1 };

  /* Which says how the planes lie in the other. */
  if ((*meta)->info->api != GST_AUDIO_META_API_TYPE
      && (*meta)->info->transform_func != NULL)
    (*meta)->info->transform_func (to, *meta, from, _gst_meta_transform_copy, &whole);
  return TRUE;
}

/* A buffer of the samples that count, plane after plane, because readers know no more
 * than caps and size; NULL if @buffer is like that. */
static GstBuffer *
pack_planes (GstNdshSink *self, GstBuffer *buffer)
{
  GstBuffer *packed;
  GstAudioBuffer sound;
  gsize size;

  if (self->content.kind != GST_NDSH_CONTENT_AUDIO
      || !has_scattered_planes (self, buffer)
      || !gst_audio_buffer_map (&sound, &self->content.audio, buffer,
                                GST_MAP_READ))
    return NULL;
  size = GST_AUDIO_BUFFER_PLANE_SIZE (&sound);
  packed = gst_buffer_new_allocate (NULL, (gsize) sound.n_planes * size, NULL);
  for (gint i = 0; i < sound.n_planes; i++)
    gst_buffer_fill (packed, (gsize) i * size, sound.planes[i], size);
  gst_audio_buffer_unmap (&sound);
  gst_buffer_copy_into (packed, buffer,
                        GST_BUFFER_COPY_FLAGS | GST_BUFFER_COPY_TIMESTAMPS, 0, -1);
  gst_buffer_foreach_meta (buffer, copy_meta, packed);
  return packed;
}
#else
/* Before 1.16 nothing says where planes lie. */
static GstBuffer *
pack_planes (GstNdshSink *self, GstBuffer *buffer)
{
  (void) self;
  (void) buffer;
  return NULL;
}
#endif

static GstFlowReturn
publish (GstNdshSink *self, GstBuffer *buffer, gboolean allow_copy)
{
  NdshDraft *draft = NULL;
  const char *reason;
  GstNdshMeta meta;

  fill_meta (self, buffer, &meta);
  reason = find_draft (self, buffer, &draft);
  if (reason == NULL)
    return publish_in_place (self, buffer, draft, &meta);
  if (!allow_copy)
    return found_no_slot (self, buffer) ? drop_uncopied (self, buffer)
                                        : refuse_copy (self, reason);
  explain_copy (self, reason);
  return publish_copy (self, buffer, &meta);
}

static GstFlowReturn
wait_while_alone (GstNdshSink *self, GstBuffer *buffer)
{
  GstBaseSink *base = GST_BASE_SINK_CAST (self);

  if (get_num_readers (self) == 0)
    GST_ELEMENT_INFO (self, RESOURCE, NOT_FOUND,
                      ("Waiting for a reader of channel \"%s\".", self->channel),
                      ("wait-for-connection=true"));
  while (get_num_readers (self) == 0 && !wait_for_reader (self)) {
    GstFlowReturn result;

    if (base->flushing)
      return GST_FLOW_FLUSHING;
    /* Not wait_preroll (): this returns at once if there is nothing to wait for,
     * and whoever ends that wait may have come and gone already. */
    result = gst_base_sink_do_preroll (base, GST_MINI_OBJECT_CAST (buffer));
    if (result != GST_FLOW_OK)
      return result;
  }
  return base->flushing ? GST_FLOW_FLUSHING : GST_FLOW_OK;
}

/* Who joins a stream of frames that refer to others sees nothing before one that does
 * not, as @buffer may be, which went out after the wish was there. */
static void
request_key_frame (GstNdshSink *self, GstBuffer *buffer)
{
  gint64 now = gst_ndsh_get_monotonic_time ();

  if (self->n_keys_requested > 0 && now - self->key_requested_at < KEY_INTERVAL)
    return;
  g_atomic_int_set (&self->wants_key, FALSE);
  if (!self->is_encoded || !GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DELTA_UNIT))
    return;
  GST_DEBUG_OBJECT (self, "asking upstream for a key frame");
  self->key_requested_at = now;
  gst_pad_push_event (GST_BASE_SINK_PAD (self),
                      gst_video_event_new_upstream_force_key_unit (
                        GST_CLOCK_TIME_NONE, TRUE, ++self->n_keys_requested));
}

static GstFlowReturn
gst_ndsh_sink_render (GstBaseSink *base, GstBuffer *buffer)
{
  GstNdshSink *self = GST_NDSH_SINK_CAST (base);
  g_autoptr (GstBuffer) packed = NULL;
  gboolean allow_copy, wants_key;
  GstFlowReturn result;

  if (is_after_segment (self, buffer))
    return GST_FLOW_OK;
  GST_OBJECT_LOCK (self);
  allow_copy = self->allow_copy;
  GST_OBJECT_UNLOCK (self);

  result = must_wait_first (self) ? wait_while_alone (self, buffer) : GST_FLOW_OK;
  if (result != GST_FLOW_OK)
    return result;
  wants_key = g_atomic_int_get (&self->wants_key);
  packed = pack_planes (self, buffer);
  result = publish (self, packed != NULL ? packed : buffer, allow_copy);
  if (wants_key)
    request_key_frame (self, buffer);
  return result;
}

/* --- Properties --- */

static const char *
mode_name (NdshReadMode mode)
{
  switch (mode) {
  case NDSH_READ_QUEUE:
    return "queue";
  case NDSH_READ_LOSSLESS:
    return "lossless";
  case NDSH_READ_LATEST:
  default:
    return "latest";
  }
}

static GstStructure *
reader_to_structure (const NdshReaderInfo *info)
{
  return gst_structure_new (
    "reader", "pid", G_TYPE_INT64, info->pid, "uid", G_TYPE_INT64, info->uid,
    "mode", G_TYPE_STRING, mode_name (info->mode), "lag", G_TYPE_UINT64,
    info->lag, "delivered", G_TYPE_UINT64, info->delivered, "dropped",
    G_TYPE_UINT64, info->missed, "leases", G_TYPE_UINT, info->n_leases, NULL);
}

static const char *
trust_name (NdshTrust trust)
{
  switch (trust) {
  case NDSH_TRUST_WRITER:
    return "writer";
  case NDSH_TRUST_UDMABUF:
    return "udmabuf";
  case NDSH_TRUST_USER:
    return "user";
  case NDSH_TRUST_UNKNOWN:
  default:
    return "unknown";
  }
}

static NdshTrust
get_trust (GstNdshAllocator *allocator)
{
  NdshWriter *writer = gst_ndsh_allocator_enter (allocator);
  NdshWriterInfo info = { .trust = NDSH_TRUST_UNKNOWN };

  if (writer != NULL)
    ndsh_writer_get_info (writer, &info);
  gst_ndsh_allocator_leave (allocator);
  return info.trust;
}

/* Asks the writer, whose numbers are newer than those of the last change. */
static guint
get_readers (GstNdshAllocator *allocator, NdshReaderInfo *infos, guint n_infos)
{
  NdshWriter *writer = gst_ndsh_allocator_enter (allocator);
  guint n = 0;

  if (writer != NULL)
    n = ndsh_writer_get_readers (writer, infos, n_infos);
  gst_ndsh_allocator_leave (allocator);
  return MIN (n, n_infos);
}

static void
add_readers (GstNdshSink *self, GstStructure *stats, GstNdshAllocator *allocator)
{
  guint max_readers = get_max_readers (self);
  g_autofree NdshReaderInfo *infos = g_new0 (NdshReaderInfo, max_readers);
  GValue all = G_VALUE_INIT;
  guint n = 0;

  if (allocator != NULL)
    n = get_readers (allocator, infos, max_readers);
  g_value_init (&all, GST_TYPE_ARRAY);
  for (guint i = 0; i < n; i++) {
    GValue one = G_VALUE_INIT;

    g_value_init (&one, GST_TYPE_STRUCTURE);
    g_value_take_boxed (&one, reader_to_structure (&infos[i]));
    gst_value_array_append_and_take_value (&all, &one);
  }
  gst_structure_take_value (stats, "readers", &all);
}

static GstStructure *
base_stats (GstNdshSink *self)
{
#if GST_CHECK_VERSION(1, 18, 0)
  return gst_base_sink_get_stats (GST_BASE_SINK_CAST (self));
#else
  (void) self;
  return gst_structure_new ("stats", "average-rate", G_TYPE_DOUBLE, 0.0,
                            "dropped", G_TYPE_UINT64, G_GUINT64_CONSTANT (0),
                            "rendered", G_TYPE_UINT64, G_GUINT64_CONSTANT (0),
                            NULL);
#endif
}

static GstStructure *
get_stats (GstNdshSink *self)
{
  GstStructure *stats = base_stats (self);
  GstNdshAllocator *allocator = ref_allocator (self);

  GST_OBJECT_LOCK (self);
  gst_structure_set (
    stats, "frames-published", G_TYPE_UINT64, self->n_published,
    "frames-zero-copy", G_TYPE_UINT64, self->n_published - self->n_copied,
    "frames-copied", G_TYPE_UINT64, self->n_copied, "frames-dropped",
    G_TYPE_UINT64, self->n_dropped, "bytes-copied", G_TYPE_UINT64,
    self->bytes_copied, NULL);
  GST_OBJECT_UNLOCK (self);

  add_readers (self, stats, allocator);
  if (allocator != NULL) {
    gst_structure_set (stats, "trust", G_TYPE_STRING,
                       trust_name (get_trust (allocator)), NULL);
    gst_object_unref (allocator);
  }
  return stats;
}

/* Then what is MUTABLE_READY stays as it is. */
static gboolean
is_open (GstNdshSink *self)
{
  gboolean open;

  GST_OBJECT_LOCK (self);
  open = self->allocator != NULL;
  GST_OBJECT_UNLOCK (self);
  return open;
}

static const gsize fields[N_PROPS] = {
  [PROP_CHANNEL] = G_STRUCT_OFFSET (GstNdshSink, channel),
  [PROP_PERMS] = G_STRUCT_OFFSET (GstNdshSink, perms),
  [PROP_HISTORY] = G_STRUCT_OFFSET (GstNdshSink, history),
  [PROP_MAX_MEMORY] = G_STRUCT_OFFSET (GstNdshSink, max_memory),
  [PROP_MAX_READERS] = G_STRUCT_OFFSET (GstNdshSink, max_readers),
  [PROP_WAIT_FOR_CONNECTION] = G_STRUCT_OFFSET (GstNdshSink, wait_for_connection),
  [PROP_LOSSLESS_TIMEOUT] = G_STRUCT_OFFSET (GstNdshSink, lossless_timeout),
  [PROP_ALLOW_COPY] = G_STRUCT_OFFSET (GstNdshSink, allow_copy),
  [PROP_TS_OFFSET] = G_STRUCT_OFFSET (GstNdshSink, ts_offset),
};

static void
gst_ndsh_sink_set_property (GObject *object, guint id, const GValue *value,
                            GParamSpec *pspec)
{
  GstNdshSink *self = GST_NDSH_SINK (object);

  if (!gst_ndsh_may_set (GST_ELEMENT_CAST (self), pspec, is_open (self)))
    return;
  gst_ndsh_set_field (object, fields, id, value, pspec);
  if (id == PROP_TS_OFFSET)
    apply_offset (self);
  if (id == PROP_WAIT_FOR_CONNECTION)
    look_for_readers_again (self);
}

static void
gst_ndsh_sink_get_property (GObject *object, guint id, GValue *value,
                            GParamSpec *pspec)
{
  GstNdshSink *self = GST_NDSH_SINK (object);

  switch (id) {
  case PROP_STATS:
    g_value_take_boxed (value, get_stats (self));
    break;
  case PROP_NUM_READERS:
    g_value_set_uint (value, get_num_readers (self));
    break;
  case PROP_MAX_RATE:
    set_rate (value, get_demand (self).max_rate);
    break;
  case PROP_MAX_WIDTH:
    g_value_set_int (value, (gint) get_demand (self).max_width);
    break;
  case PROP_MAX_HEIGHT:
    g_value_set_int (value, (gint) get_demand (self).max_height);
    break;
  default:
    gst_ndsh_get_field (object, fields, id, value, pspec);
    break;
  }
}

static void
install_properties (GObjectClass *klass)
{
  const GParamFlags open = GST_NDSH_PARAM_OPEN;
  const GParamFlags live = GST_NDSH_PARAM_LIVE;
  const GParamFlags read = GST_NDSH_PARAM_READ;

  /**
   * GstNdshSink:channel:
   *
   * Since: 0.1
   */
  props[PROP_CHANNEL] = g_param_spec_string (
    "channel", "Channel",
    "Name to share the stream under: up to 64 letters, digits, '.', '_' and '-'; "
    "or the path of a socket, which begins with '/'",
    DEFAULT_CHANNEL, open);
  /**
   * GstNdshSink:perms:
   *
   * Since: 0.1
   */
  props[PROP_PERMS] = g_param_spec_uint (
    "perms", "Permissions",
    "Who may read, as file permissions of the socket; connecting takes write "
    "permission: 0660 (432) admits the group, 0666 (438) everybody; 0 is the default",
    0, 0777, DEFAULT_PERMS, open);
  /**
   * GstNdshSink:history:
   *
   * Since: 0.1
   */
  props[PROP_HISTORY] = g_param_spec_uint (
    "history", "History",
    "Number of newest frames kept for readers that come late or queue", 1,
    NDSH_MAX_QUEUE, DEFAULT_HISTORY, open);
  /**
   * GstNdshSink:max-memory:
   *
   * Since: 0.1
   */
  props[PROP_MAX_MEMORY] = g_param_spec_uint64 (
    "max-memory", "Maximum memory",
    "Shared memory for frames at most (in bytes); it is taken as it is needed. 0: what "
    "16 frames need, at least 256 MiB and otherwise a quarter of the machine's memory",
    0, G_MAXUINT64, DEFAULT_MAX_MEMORY, open);
  /**
   * GstNdshSink:max-readers:
   *
   * Since: 0.1
   */
  props[PROP_MAX_READERS] = g_param_spec_uint (
    "max-readers", "Maximum readers", "Readers beyond this number are refused", 1,
    MAX_MAX_READERS, DEFAULT_MAX_READERS, open);
  /**
   * GstNdshSink:wait-for-connection:
   *
   * Since: 0.1
   */
  props[PROP_WAIT_FOR_CONNECTION] = g_param_spec_boolean (
    "wait-for-connection", "Wait for connection",
    "Block the stream while there is no reader, unless an EOS is about to end it",
    DEFAULT_WAIT_FOR_CONNECTION, live);
  /**
   * GstNdshSink:lossless-timeout:
   *
   * Since: 0.1
   */
  props[PROP_LOSSLESS_TIMEOUT] = g_param_spec_uint64 (
    "lossless-timeout", "Lossless timeout",
    "How long a reader that asked for every frame may hold the stream up before "
    "it loses that right (in nanoseconds); 0 does not grant it at all",
    0, G_MAXINT64, DEFAULT_LOSSLESS_TIMEOUT, open);
  /**
   * GstNdshSink:allow-copy:
   *
   * Since: 0.1
   */
  props[PROP_ALLOW_COPY] = g_param_spec_boolean (
    "allow-copy", "Allow copy",
    "Copy frames that upstream did not write into shared memory; false makes "
    "such a frame an error, so that a pipeline can prove that it copies nothing. Where "
    "upstream wanted to write into shared memory and none was free just then, the frame is "
    "dropped instead",
    DEFAULT_ALLOW_COPY, live);
  /**
   * GstNdshSink:ts-offset:
   *
   * Since: 0.1
   */
  props[PROP_TS_OFFSET] = g_param_spec_int64 (
    "ts-offset", "Timestamp offset",
    "Publish frames so much later, and with times that are so much later, if sync is "
    "true (in nanoseconds)",
    G_MININT64 / 4, G_MAXINT64 / 4, 0, live);
  /**
   * GstNdshSink:num-readers:
   *
   * Since: 0.1
   */
  props[PROP_NUM_READERS]
    = g_param_spec_uint ("num-readers", "Number of readers", "Readers now", 0,
                         G_MAXUINT, 0, read);
  /**
   * GstNdshSink:max-rate:
   *
   * Since: 0.1
   */
  props[PROP_MAX_RATE] = gst_param_spec_fraction (
    "max-rate", "Maximum rate",
    "The most frames a second that one of the readers wants (max-rate of ndshsrc); "
    "2147483647 if one wants all, 0 if there is no reader",
    0, 1, G_MAXINT, 1, 0, 1, read);
  /**
   * GstNdshSink:max-width:
   *
   * Since: 0.1
   */
  props[PROP_MAX_WIDTH] = g_param_spec_int (
    "max-width", "Maximum width",
    "The most pixels of a row that are of use to one of the readers (max-width of "
    "ndshsrc); 2147483647 if all are to one, 0 if there is no reader. Frames are shared "
    "as they come all the same",
    0, G_MAXINT, 0, read);
  /**
   * GstNdshSink:max-height:
   *
   * Since: 0.1
   */
  props[PROP_MAX_HEIGHT] = g_param_spec_int (
    "max-height", "Maximum height", "The same for rows (max-height of ndshsrc)", 0,
    G_MAXINT, 0, read);
  /**
   * GstNdshSink:stats:
   *
   * Since: 0.1
   */
  props[PROP_STATS] = g_param_spec_boxed (
    "stats", "Statistics",
    "average-rate, dropped and rendered as in every sink; frames-published, "
    "frames-zero-copy, frames-copied, frames-dropped, bytes-copied; trust, who could change "
    "frames that were published: \"writer\", this process alone; \"udmabuf\", who may open "
    "/dev/udmabuf as well; \"user\", each process of this user as well; \"unknown\"; and for "
    "each of the readers its pid, uid, mode, lag, delivered, dropped, leases",
    GST_TYPE_STRUCTURE, read);
  g_object_class_install_properties (klass, N_PROPS, props);
}

static void
install_signals (GType type)
{
  /**
   * GstNdshSink::reader-added:
   * @sink: the sink
   * @pid: process that reads, 0 if it is in another pid namespace
   * @uid: its user
   *
   * A reader came. Emitted from a thread of the sink that looks after readers:
   * do not change states in it.
   *
   * Since: 0.1
   */
  signals[SIGNAL_READER_ADDED]
    = g_signal_new ("reader-added", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                    G_TYPE_NONE, 2, G_TYPE_INT64, G_TYPE_INT64);
  /**
   * GstNdshSink::reader-removed:
   * @sink: the sink
   * @pid: process that read, 0 if it is in another pid namespace
   * @uid: its user
   *
   * A reader went. Emitted like #GstNdshSink::reader-added.
   *
   * Since: 0.1
   */
  signals[SIGNAL_READER_REMOVED]
    = g_signal_new ("reader-removed", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                    NULL, G_TYPE_NONE, 2, G_TYPE_INT64, G_TYPE_INT64);
}

static void
gst_ndsh_sink_finalize (GObject *object)
{
  GstNdshSink *self = GST_NDSH_SINK (object);

  g_free (self->channel);
  g_free (self->readers);
  g_byte_array_unref (self->metadata);
  gst_ndsh_events_free (self->events);
  g_mutex_clear (&self->readers_lock);
  g_cond_clear (&self->readers_changed);
  G_OBJECT_CLASS (gst_ndsh_sink_parent_class)->finalize (object);
}

static void
gst_ndsh_sink_init (GstNdshSink *self)
{
  self->channel = g_strdup (DEFAULT_CHANNEL);
  self->perms = DEFAULT_PERMS;
  self->history = DEFAULT_HISTORY;
  self->max_memory = DEFAULT_MAX_MEMORY;
  self->max_readers = DEFAULT_MAX_READERS;
  self->wait_for_connection = DEFAULT_WAIT_FOR_CONNECTION;
  self->lossless_timeout = DEFAULT_LOSSLESS_TIMEOUT;
  self->allow_copy = DEFAULT_ALLOW_COPY;
  self->last_warning = GST_CLOCK_TIME_NONE;
  self->metadata = g_byte_array_new ();
  self->events = gst_ndsh_events_new ();
  g_mutex_init (&self->readers_lock);
  g_cond_init (&self->readers_changed);
  g_signal_connect (self, "notify::sync", G_CALLBACK (on_sync_changed), NULL);
  /* The last sample would hold a slot, and be copied at each new caps. */
  gst_base_sink_set_last_sample_enabled (GST_BASE_SINK_CAST (self), FALSE);
#if GST_CHECK_VERSION(1, 16, 0)
  /* Nobody need wait for what this sink takes to hand a frame over. */
  gst_base_sink_set_processing_deadline (GST_BASE_SINK_CAST (self), 0);
#endif
}

static void
gst_ndsh_sink_class_init (GstNdshSinkClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstBaseSinkClass *sink_class = GST_BASE_SINK_CLASS (klass);

  GST_DEBUG_CATEGORY_INIT (gst_ndsh_sink_debug, "ndshsink", 0, "ndsh sink");

  object_class->set_property = gst_ndsh_sink_set_property;
  object_class->get_property = gst_ndsh_sink_get_property;
  object_class->finalize = gst_ndsh_sink_finalize;
  install_properties (object_class);
  install_signals (G_OBJECT_CLASS_TYPE (klass));

  element_class->change_state = GST_DEBUG_FUNCPTR (gst_ndsh_sink_change_state);
  element_class->send_event = GST_DEBUG_FUNCPTR (gst_ndsh_sink_send_event);
  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_set_static_metadata (
    element_class, "Shared memory sink", "Sink",
    "Shares a stream with other processes, by name and without copies",
    "The ndsh developers");

  sink_class->unlock = GST_DEBUG_FUNCPTR (gst_ndsh_sink_unlock);
  sink_class->unlock_stop = GST_DEBUG_FUNCPTR (gst_ndsh_sink_unlock_stop);
  sink_class->event = GST_DEBUG_FUNCPTR (gst_ndsh_sink_event);
  sink_class->get_times = GST_DEBUG_FUNCPTR (gst_ndsh_sink_get_times);
  sink_class->get_caps = GST_DEBUG_FUNCPTR (gst_ndsh_sink_get_caps);
  sink_class->set_caps = GST_DEBUG_FUNCPTR (gst_ndsh_sink_set_caps);
  sink_class->propose_allocation = GST_DEBUG_FUNCPTR (gst_ndsh_sink_propose_allocation);
  sink_class->render = GST_DEBUG_FUNCPTR (gst_ndsh_sink_render);
}
