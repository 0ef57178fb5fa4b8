/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * SECTION:element-ndshsrc
 * @title: ndshsrc
 * @see_also: ndshsink
 *
 * Gets a stream that another process shares by name, without copying it. It may
 * be started before the writer, and goes on with the next writer when one has
 * gone. The caps come with the stream; no capsfilter is needed.
 *
 * Live (#GstNdshSrc:is-live), frames have the running time at which they were captured,
 * on this pipeline's clock; what was captured while it did not play is dropped. A file
 * that is not read in real time begins when its first frame comes. Not live, the first
 * frame has time 0, the pipeline prerolls with it, and time goes on from where it was
 * after a pause and with the next writer. All ndshsrc of one pipeline that read channels
 * of one other pipeline keep their frames at their distances.
 *
 * Unless #GstNdshSrc:leaky-type, #GstNdshSrc:max-buffers or #GstNdshSrc:max-age say
 * otherwise, every frame comes that can be shown in time: a sink that syncs gets all,
 * and a consumer that is slow gets none that is older than the pipeline's latency and
 * one frame.
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 ndshsrc channel=test ! videoconvert ! autovideosink
 * gst-launch-1.0 -e ndshsrc channel=cam leaky-type=none ! videoconvert ! x264enc ! mp4mux ! filesink location=cam.mp4
 * ]|
 *
 * Since: 0.1
 */

/*
 * Hides how a lease becomes a GstBuffer: its memory, caps, layout and times.
 *
 * Locks: the object lock guards properties and what the properties show of the
 * stream; the reader and all else belong to the streaming thread, between start
 * and stop.
 */
#include "gstndshsrc.h"

#include "gstndshcaps.h"
#include "gstndshelement.h"
#include "gstndshincoming.h"
#include "gstndshmeta.h"
#include "gstndshmetas.h"
#include "gstndshpacer.h"

#include <string.h>

GST_DEBUG_CATEGORY_STATIC (gst_ndsh_src_debug);
#define GST_CAT_DEFAULT gst_ndsh_src_debug

#define DEFAULT_CHANNEL "default"
#define DEFAULT_IS_LIVE TRUE
#define DEFAULT_LEAKY_TYPE LEAKY_DOWNSTREAM
#define DEFAULT_MAX_BUFFERS 0
#define DEFAULT_MAX_AGE GST_CLOCK_TIME_NONE
#define DEFAULT_ON_DISCONNECT DISCONNECT_WAIT
#define DEFAULT_IGNORE_EOS FALSE
#define DEFAULT_FOLLOW_FLUSH FALSE
#define DEFAULT_TIMEOUT 0

/* Slots are made when they are needed, so to ask for many costs nothing. */
#define N_LEASES 8

/* Or messages would come faster than they are taken. */
#define LEAST_TIMEOUT_US 1000

/* How often it is seen whether a writer is there, while none is. */
#define LOOK_INTERVAL_US 50000

/* A writer whose frames are published this long after the time that they name, and say
 * no such latency, seems to use another clock. */
#define STRANGE_DELAY ((gint64) GST_SECOND)

/* The numbers of GstAppLeakyType; its upstream is left to a queue. */
typedef enum { LEAKY_NONE = 0, LEAKY_DOWNSTREAM = 2 } LeakyType;
typedef enum { DISCONNECT_WAIT, DISCONNECT_EOS, DISCONNECT_ERROR } OnDisconnect;

/* What a format's description says, see ndsh_frame_get_format (). */
typedef struct {
  guint format;                 /* 0: of none yet */
  gboolean is_audio;
  gboolean is_raw_audio;
  gboolean is_encoded_video;
  gboolean is_image;            /* whole by itself, whatever its encoder's flags say */
  gboolean has_headers;         /* which frames may repeat */
} Kind;

/* Where the planes of a format lie in frames of a size. */
typedef struct {
  guint format;                 /* 0: of none yet */
  gsize size;
  gboolean is_known;
  gboolean is_default;          /* it is what the caps say */
  GstNdshLayout layout;
} Look;

struct _GstNdshSrc {
  GstPushSrc parent;

  /* Properties; the object lock. */
  char *channel;
  LeakyType leaky_type;
  guint max_buffers;
  GstClockTime max_age;
  OnDisconnect on_disconnect;
  gboolean ignore_eos;
  gboolean follow_flush;
  GstClockTime timeout;
  gint max_rate_n;
  gint max_rate_d;
  gint max_width;
  gint max_height;
  gboolean metas_as_events;     /* does not change while it is open */
  GstCaps *array_caps;          /* or NULL */
  gboolean has_uri;             /* the channel is one's */

  /* What the properties show; the object lock. */
  gboolean connected;
  NdshReaderInfo reader_info;
  guint64 n_copied;
  guint64 n_skipped;

  /* Where this pipeline stands; the object lock. */
  gboolean is_playing;
  gboolean has_played;
  gint64 start;                 /* running time at which it last began to play */
  gint64 played_at;             /* the same as CLOCK_MONOTONIC */
  GstClockTime round;           /* of GstNdshStream */
  GstClockTime latency;         /* GST_CLOCK_TIME_NONE before it was configured */

  /* What a LATENCY query is answered with; the object lock. */
  guint longest_queue;          /* that latencies are of */
  GstClockTime least_latency;
  GstClockTime most_latency;
  gboolean is_expected;         /* caps may be about to come: there is no answer yet */
  gboolean was_asked;           /* meanwhile */

  gboolean is_live;             /* does not change while there is a reader */
  gint mode_is_old;             /* leaky-type, max-buffers or a Wish was set; atomic */
  NdshReadMode mode;            /* that follows from them */
  guint longest;                /* what max-buffers was then */
  NdshReader *reader;           /* set and cleared with the object lock, */
  gint is_flushing;             /* like this; read without it */
  NdshChannelInfo *writer;      /* that was there at the start, until its caps are out */

  Kind kind;                    /* of the last frame */
  Look look;                    /* of the last that had no layout of its own */
  GstBuffer *envelope;          /* for the next like that, or NULL */
  GstNdshIncoming *incoming;    /* events */

  /* The stream so far. */
  guint pushed_format;          /* whose caps and events were pushed, 0 if none were */
  char stream_id[33];           /* "" before the first frame */
  guint64 sequence;
  char *description;            /* that the caps came from, NULL if none was used */
  GstCaps *caps;
  GstNdshContent content;
  gboolean downstream_takes_layouts;

  /* Times. */
  GstNdshTimeBase base;
  GstNdshTimeline *timeline;
  GstNdshPacer pacer;
  guint queue_length;           /* as the reader was told, 0 if it was not */
  gint64 created_at;            /* when the last buffer went downstream, */
  gint64 pushed;                /* and how long it was there */
  gint64 due;                   /* from this timestamp on max-rate allows a frame; or 0 */
  guint64 n_unwanted;           /* of those skipped: for max-rate, or of before it played */
  guint64 n_lost_told;
  gint64 tell_loss_at;
  gint64 quiet_since_us;        /* when the wait began, or timeout was told of last */
  gint is_downstream;           /* the streaming thread is; atomic */
  GThread *thread;              /* that thread; atomic */
  gint wants_key;               /* downstream does, a key frame; atomic */
  gboolean has_warned;          /* about a strange clock */
  gboolean has_told_waiting;
  gboolean may_lose;            /* and that was told */
  gboolean has_explained;       /* why encoded frames are skipped */
};

enum {
  PROP_0,
  PROP_CHANNEL,
  PROP_IS_LIVE,
  PROP_LEAKY_TYPE,
  PROP_MAX_BUFFERS,
  PROP_MAX_AGE,
  PROP_ON_DISCONNECT,
  PROP_IGNORE_EOS,
  PROP_FOLLOW_FLUSH,
  PROP_TIMEOUT,
  PROP_MAX_RATE,
  PROP_MAX_WIDTH,
  PROP_MAX_HEIGHT,
  PROP_METAS_AS_EVENTS,
  PROP_ARRAY_CAPS,
  PROP_CURRENT_LEVEL_BUFFERS,
  PROP_CONNECTED,
  PROP_STATS,
  N_PROPS
};

static GParamSpec *props[N_PROPS];

static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE (
  "src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS_ANY);

static void uri_handler_init (gpointer iface, gpointer data);

G_DEFINE_TYPE_WITH_CODE (GstNdshSrc, gst_ndsh_src, GST_TYPE_PUSH_SRC,
                         G_IMPLEMENT_INTERFACE (GST_TYPE_URI_HANDLER,
                                                uri_handler_init))

/**
 * GstNdshSrcLeakyType:
 * @none: every frame: the writer waits for this reader
 * @downstream: drop the oldest frames
 *
 * What becomes of frames that come faster than they are taken.
 *
 * Since: 0.1
 */
#define GST_TYPE_NDSH_SRC_LEAKY_TYPE (leaky_type_get_type ())
static GType
leaky_type_get_type (void)
{
  static const GEnumValue values[]
    = { { LEAKY_NONE, "Every frame: the writer waits for this reader", "none" },
        { LEAKY_DOWNSTREAM, "Drop the oldest frames", "downstream" },
        { 0, NULL, NULL } };
  static gsize type = 0;

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstNdshSrcLeakyType",
                                                      values));
  return type;
}

/**
 * GstNdshSrcOnDisconnect:
 * @wait: wait for the next writer
 * @eos: end the stream
 * @error: post an error
 *
 * What to do when the writer goes without having ended its stream.
 *
 * Since: 0.1
 */
#define GST_TYPE_NDSH_SRC_ON_DISCONNECT (on_disconnect_get_type ())
static GType
on_disconnect_get_type (void)
{
  static const GEnumValue values[]
    = { { DISCONNECT_WAIT, "Wait for the next writer", "wait" },
        { DISCONNECT_EOS, "End the stream", "eos" },
        { DISCONNECT_ERROR, "Post an error", "error" },
        { 0, NULL, NULL } };
  static gsize type = 0;

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstNdshSrcOnDisconnect",
                                                      values));
  return type;
}

/* --- Opening and closing --- */

static void
post_event (GstNdshSrc *self, const char *name)
{
  gst_ndsh_post_structure (GST_ELEMENT_CAST (self), gst_structure_new_empty (name));
}

/* Changed here alone, and by one thread at a time. */
static void
set_connected (GstNdshSrc *self, gboolean connected)
{
  if (self->connected == connected)
    return;
  GST_OBJECT_LOCK (self);
  self->connected = connected;
  GST_OBJECT_UNLOCK (self);
  GST_DEBUG_OBJECT (self, "%s", connected ? "connected" : "disconnected");
  post_event (self, connected ? "GstNdshSrcConnected" : "GstNdshSrcDisconnected");
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_CONNECTED]);
}

/* It asked for every frame, and may lose some: once for each writer. One that has gone is
 * read to its end as it was. */
static void
warn_of_loss (GstNdshSrc *self, const NdshReaderInfo *info)
{
  gboolean may_lose = self->mode == NDSH_READ_LOSSLESS && self->connected
                      && info->mode != NDSH_READ_LOSSLESS;

  if (may_lose && !self->may_lose) {
    post_event (self, "GstNdshSrcModeLost");
    GST_ELEMENT_WARNING (
      self, RESOURCE, FAILED,
      ("From now on this reader of channel '%s' may lose frames, though leaky-type is "
       "none.",
       self->channel),
      ("the writer waits for readers of its own user only, and for each no longer than "
       "its lossless-timeout"));
  }
  self->may_lose = may_lose;
}

static guint64
count_untold_losses (GstNdshSrc *self)
{
  return self->reader_info.missed + self->n_skipped - self->n_unwanted - self->n_lost_told;
}

/* What was lost since this was last told, but at most once a second, unless that @is_all;
 * while nobody waits. */
static void
tell_loss (GstNdshSrc *self, gboolean is_all)
{
  const guint64 n_lost = count_untold_losses (self);
  gint64 now;

  if (n_lost == 0)
    return;
  now = gst_ndsh_get_monotonic_time ();
  if (now < self->tell_loss_at && !is_all)
    return;
  gst_ndsh_post_structure (
    GST_ELEMENT_CAST (self),
    gst_structure_new ("GstNdshSrcFramesDropped", "dropped", G_TYPE_UINT64,
                       n_lost, "frames-missed", G_TYPE_UINT64,
                       self->reader_info.missed, "frames-skipped", G_TYPE_UINT64,
                       self->n_skipped, NULL));
  self->n_lost_told += n_lost;
  self->tell_loss_at = now + (gint64) GST_SECOND;
}

/* For the properties, since only the streaming thread may ask the reader; and for that
 * thread itself. */
static void
note_reader_info (GstNdshSrc *self)
{
  gboolean connected = ndsh_reader_is_connected (self->reader);
  NdshReaderInfo info;

  ndsh_reader_get_info (self->reader, &info);
  GST_OBJECT_LOCK (self);
  self->reader_info = info;
  GST_OBJECT_UNLOCK (self);
  if (connected)
    self->has_told_waiting = FALSE;
  set_connected (self, connected);
  warn_of_loss (self, &info);
}

static void
reset_stream (GstNdshSrc *self)
{
  self->stream_id[0] = '\0';
  self->sequence = 0;
  self->pushed_format = self->kind.format = self->look.format = 0;
  gst_ndsh_incoming_reset (self->incoming);
  gst_buffer_replace (&self->envelope, NULL);
  g_clear_pointer (&self->description, g_free);
  gst_caps_replace (&self->caps, NULL);
  gst_ndsh_content_init (&self->content, NULL);
  self->downstream_takes_layouts = FALSE;
  self->queue_length = 0;
  self->has_warned = self->has_explained = FALSE;
  self->due = self->tell_loss_at = 0;
  self->n_unwanted = self->n_lost_told = 0;

  GST_OBJECT_LOCK (self);
  memset (&self->reader_info, 0, sizeof self->reader_info);
  self->n_copied = self->n_skipped = 0;
  self->is_expected = TRUE;
  self->was_asked = FALSE;
  self->least_latency = 0;
  self->most_latency = GST_CLOCK_TIME_NONE;
  GST_OBJECT_UNLOCK (self);
}

/* With the object lock. */
static void
fill_options (GstNdshSrc *self, NdshReaderOptions *options)
{
  if (self->leaky_type == LEAKY_NONE) {
    options->mode = NDSH_READ_LOSSLESS;
  } else if (self->max_buffers == 1) {
    options->mode = NDSH_READ_LATEST;
  } else {
    options->mode = NDSH_READ_QUEUE;
    options->queue_length
      = self->max_buffers > 0 ? self->max_buffers : GST_NDSH_QUEUE_LENGTH;
  }
  options->max_leases = N_LEASES;
}

/* What the writer is told that is of use here. */
typedef struct {
  double max_rate;
  gint max_width;
  gint max_height;
} Wish;

/* With the object lock. */
static Wish
note_mode (GstNdshSrc *self, const NdshReaderOptions *options)
{
  g_atomic_int_set (&self->mode_is_old, FALSE);
  self->mode = options->mode;
  self->longest = self->max_buffers;
  return (Wish){ (double) self->max_rate_n / self->max_rate_d, self->max_width,
                 self->max_height };
}

static void
tell_wish (NdshReader *reader, const Wish *wish)
{
  ndsh_reader_set_max_rate (reader, wish->max_rate);
  ndsh_reader_set_max_size (reader, (guint) wish->max_width, (guint) wish->max_height);
}

/* Only the streaming thread may use the reader, so it looks before each frame. How long a
 * queue is follows with the next (update_queue_length ()). */
static void
update_mode (GstNdshSrc *self)
{
  NdshReaderOptions options = { 0 };
  NdshReadMode before = self->mode;
  Wish wish;

  if (!g_atomic_int_get (&self->mode_is_old))
    return;
  GST_OBJECT_LOCK (self);
  fill_options (self, &options);
  wish = note_mode (self, &options);
  GST_OBJECT_UNLOCK (self);
  tell_wish (self->reader, &wish);
  if (options.mode == before)
    return;
  self->queue_length = 0;
  ndsh_reader_set_mode (self->reader, options.mode, options.queue_length);
}

/* How many frames this reader can be behind, 0 for any number. Two are not kept for it:
 * the next is being made, and one may be on its way out. */
static guint
get_longest_queue (GstNdshSrc *self)
{
  guint length = self->longest > 0 ? self->longest : NDSH_MAX_QUEUE - 2;
  guint room = self->reader_info.room;

  if (self->mode == NDSH_READ_LOSSLESS)
    return 0;
  return room > 0 ? MIN (length, MAX (room, 3) - 2) : length;
}

/* What could be kept, not what is: that follows from what the pipeline asks for. Returns
 * whether the pipeline should ask anew. Frames that come at no steady rate change the
 * most with each, which is told when asked. */
static gboolean
refresh_latency (GstNdshSrc *self)
{
  guint length = get_longest_queue (self);
  GstClockTime least, most;
  gboolean changed;

  gst_ndsh_pacer_get_latency (&self->pacer, length, &least, &most);
  GST_OBJECT_LOCK (self);
  changed = length != self->longest_queue || least != self->least_latency
            || GST_CLOCK_TIME_IS_VALID (most)
                 != GST_CLOCK_TIME_IS_VALID (self->most_latency);
  self->longest_queue = length;
  self->least_latency = least;
  self->most_latency = most;
  GST_OBJECT_UNLOCK (self);
  if (changed)
    GST_DEBUG_OBJECT (self, "latency %" GST_TIME_FORMAT " to %" GST_TIME_FORMAT,
                      GST_TIME_ARGS (least), GST_TIME_ARGS (most));
  return changed;
}

/* A mixer that knows a latency begins, and one that has no caps by then begins with
 * some of its own. */
static void
set_expected (GstNdshSrc *self, gboolean expected)
{
  gboolean asked;

  GST_OBJECT_LOCK (self);
  asked = self->was_asked;
  self->is_expected = expected;
  self->was_asked = FALSE;
  GST_OBJECT_UNLOCK (self);
  if (asked)
    gst_element_post_message (GST_ELEMENT_CAST (self),
                              gst_message_new_latency (GST_OBJECT_CAST (self)));
}

/* Who opens a URI adds elements and pads when there are caps, in our thread. uridecodebin
 * may miss that it is done with that, and hang, if it changes state meanwhile, as it does
 * as long as a live pipeline has not begun to play. */
static gboolean
has_uri (GstNdshSrc *self)
{
  gboolean has_uri;

  GST_OBJECT_LOCK (self);
  has_uri = self->has_uri;
  GST_OBJECT_UNLOCK (self);
  return has_uri;
}

/* A source in this process has caps and a latency before the pipeline plays; so has
 * this one, if a writer is there already: a mixer would else begin without it. It is
 * asked, and not yet read: who waits for a reader, to send something, waits for one
 * that plays. */
static void
ask_writer (GstNdshSrc *self, const char *channel)
{
  if (!has_uri (self))
    self->writer = ndsh_channel_info_new (channel, NULL);
  if (self->writer != NULL && self->writer->n_arrays == 0)
    g_clear_pointer (&self->writer, ndsh_channel_info_free);
  if (self->writer == NULL) {
    set_expected (self, FALSE);
    return;
  }
  gst_ndsh_pacer_expect (&self->pacer, &self->writer->timing,
                         self->writer->duration_ns);
  refresh_latency (self);
}

static gboolean
gst_ndsh_src_start (GstBaseSrc *base)
{
  GstNdshSrc *self = GST_NDSH_SRC (base);
  g_autoptr (GError) error = NULL;
  g_autofree char *channel = NULL;
  NdshReaderOptions options = { 0 };
  NdshReader *reader;
  Wish wish;

  reset_stream (self);
  GST_OBJECT_LOCK (self);
  channel = g_strdup (self->channel);
  fill_options (self, &options);
  wish = note_mode (self, &options);
  GST_OBJECT_UNLOCK (self);

  reader = ndsh_reader_new (channel, &options, &error);
  if (reader == NULL) {
    gst_ndsh_post_error (GST_ELEMENT_CAST (self), error, channel);
    return FALSE;
  }
  tell_wish (reader, &wish);
  GST_OBJECT_LOCK (self);
  self->reader = reader;
  ndsh_reader_set_flushing (reader, g_atomic_int_get (&self->is_flushing));
  GST_OBJECT_UNLOCK (self);
  self->is_live = gst_base_src_is_live (base);
  self->timeline = gst_ndsh_timeline_join (GST_ELEMENT_CAST (self));
  gst_ndsh_pacer_init (&self->pacer, self->timeline);
  ask_writer (self, channel);
  return TRUE;
}

static gboolean
gst_ndsh_src_stop (GstBaseSrc *base)
{
  GstNdshSrc *self = GST_NDSH_SRC (base);
  NdshReader *reader;

  GST_OBJECT_LOCK (self);
  reader = g_steal_pointer (&self->reader);
  GST_OBJECT_UNLOCK (self);
  if (reader != NULL) {
    tell_loss (self, TRUE);
    g_clear_pointer (&self->writer, ndsh_channel_info_free);
    ndsh_reader_free (reader);
    gst_ndsh_timeline_leave (g_steal_pointer (&self->timeline));
  }
  gst_ndsh_time_base_clear (&self->base);
  gst_buffer_replace (&self->envelope, NULL);
  set_expected (self, TRUE);
  set_connected (self, FALSE);
  gst_caps_replace (&self->caps, NULL);
  return TRUE;
}

static void
set_flushing (GstNdshSrc *self, gboolean flushing)
{
  GST_OBJECT_LOCK (self);
  g_atomic_int_set (&self->is_flushing, flushing);
  if (self->reader != NULL)
    ndsh_reader_set_flushing (self->reader, flushing);
  GST_OBJECT_UNLOCK (self);
}

static gboolean
gst_ndsh_src_unlock (GstBaseSrc *base)
{
  set_flushing (GST_NDSH_SRC (base), TRUE);
  return TRUE;
}

static gboolean
gst_ndsh_src_unlock_stop (GstBaseSrc *base)
{
  set_flushing (GST_NDSH_SRC (base), FALSE);
  return TRUE;
}

static gboolean
gst_ndsh_src_is_seekable (GstBaseSrc *base)
{
  (void) base;
  return FALSE;
}

/* --- The next frame --- */

static GstFlowReturn
handle_disconnect (GstNdshSrc *self)
{
  g_autofree char *channel = NULL;
  OnDisconnect what;

  GST_OBJECT_LOCK (self);
  what = self->on_disconnect;
  channel = g_strdup (self->channel);
  GST_OBJECT_UNLOCK (self);
  switch (what) {
  case DISCONNECT_EOS:
    return GST_FLOW_EOS;
  case DISCONNECT_ERROR:
    GST_ELEMENT_ERROR (self, RESOURCE, READ,
                       ("The writer of channel \"%s\" has gone.", channel),
                       ("on-disconnect=error"));
    return GST_FLOW_ERROR;
  case DISCONNECT_WAIT:
  default:
    GST_INFO_OBJECT (self, "the writer has gone; waiting for the next");
    return GST_FLOW_OK;
  }
}

static GstFlowReturn
handle_end (GstNdshSrc *self)
{
  gboolean ignore;

  GST_OBJECT_LOCK (self);
  ignore = self->ignore_eos;
  GST_OBJECT_UNLOCK (self);
  if (!ignore)
    return GST_FLOW_EOS;
  GST_INFO_OBJECT (self, "the writer ended its stream; waiting for more");
  return GST_FLOW_OK;
}

/* What the end of a wait means: GST_FLOW_OK to go on waiting. */
static GstFlowReturn
handle_wait_error (GstNdshSrc *self, const GError *error)
{
  switch (error->code) {
  case NDSH_ERROR_TIMEOUT:
  case NDSH_ERROR_NOT_FOUND:
    return GST_FLOW_OK;
  case NDSH_ERROR_ENDED:
    return handle_end (self);
  case NDSH_ERROR_CLOSED:
    return handle_disconnect (self);
  default:
    gst_ndsh_post_error (GST_ELEMENT_CAST (self), error, NULL);
    return GST_FLOW_ERROR;
  }
}

static gboolean
is_no_news (const GError *error)
{
  return error->code == NDSH_ERROR_TIMEOUT || error->code == NDSH_ERROR_NOT_FOUND;
}

/* Once, until there is a writer: the name may be misspelt. */
static void
tell_waiting (GstNdshSrc *self, const GError *error)
{
  if (self->has_told_waiting || error->code != NDSH_ERROR_NOT_FOUND)
    return;
  self->has_told_waiting = TRUE;
  GST_ELEMENT_INFO (self, RESOURCE, NOT_FOUND, ("Waiting for a writer."),
                    ("%s", error->message));
}

/* Until it is told that no frame came; G_MAXINT64 if that is not wanted. */
static gint64
get_silence_left_us (GstNdshSrc *self)
{
  GstClockTime timeout;
  gint64 until_us;

  GST_OBJECT_LOCK (self);
  timeout = self->timeout;
  GST_OBJECT_UNLOCK (self);
  if (timeout == 0)
    return G_MAXINT64;
  until_us = self->quiet_since_us
             + (gint64) CLAMP (timeout / 1000, LEAST_TIMEOUT_US, G_MAXINT64 / 4);
  return MAX (until_us - g_get_monotonic_time (), 0);
}

/* Tells that no frame has come for as long as timeout, each time that it is over. */
static void
tell_silence (GstNdshSrc *self)
{
  if (get_silence_left_us (self) != 0)
    return;
  self->quiet_since_us = g_get_monotonic_time ();
  post_event (self, "GstNdshSrcTimeout");
}

/* How long the next wait may be; -1 for ever. What was lost last is told a second after what
 * was lost before that, whether another frame comes or not. */
static gint64
get_patience_us (GstNdshSrc *self)
{
  gint64 left_us = get_silence_left_us (self);

  if (count_untold_losses (self) > 0)
    left_us = MIN (left_us, MAX (self->tell_loss_at - gst_ndsh_get_monotonic_time (), 0)
                                / 1000 + 1);
  return left_us < G_MAXINT64 ? left_us : -1;
}

/* While there is no writer the wait is cut short, so that it is told when one is there
 * before it has a frame. */
static NdshFrame *
read_frame (GstNdshSrc *self, GError **error)
{
  NdshFrame *frame;

  if (ndsh_reader_is_connected (self->reader))
    return ndsh_reader_read (self->reader, get_patience_us (self), error);
  frame = ndsh_reader_read (self->reader, 0, error);
  if (frame != NULL || !is_no_news (*error))
    return frame;
  tell_waiting (self, *error);
  g_clear_error (error);
  return ndsh_reader_read (self->reader, LOOK_INTERVAL_US, error);
}

static GstFlowReturn
next_frame (GstNdshSrc *self, NdshFrame **frame)
{
  /* What came before, like a pause, is downstream's silence. */
  self->quiet_since_us = g_get_monotonic_time ();
  for (;;) {
    g_autoptr (GError) error = NULL;
    GstFlowReturn result;

    /* At the pace of frames: only this thread may use the reader. */
    if (g_atomic_int_compare_and_exchange (&self->wants_key, TRUE, FALSE))
      ndsh_reader_request_key_frame (self->reader);
    update_mode (self);
    *frame = read_frame (self, &error);
    note_reader_info (self);
    if (*frame != NULL)
      return GST_FLOW_OK;
    tell_silence (self);
    tell_loss (self, FALSE);
    result = handle_wait_error (self, error);
    if (result != GST_FLOW_OK)
      return result;
    if (g_atomic_int_get (&self->is_flushing))
      return GST_FLOW_FLUSHING;
  }
}

/* --- Caps --- */

/* Elements that look at caps only expect rows where those say: without the
 * promise to look at GstVideoMeta a frame in another layout must be copied. */
static void
note_allocation (GstNdshSrc *self, GstQuery *query)
{
  self->downstream_takes_layouts
    = gst_query_find_allocation_meta (query, GST_VIDEO_META_API_TYPE, NULL);
  GST_DEBUG_OBJECT (self, "downstream takes GstVideoMeta: %d",
                    self->downstream_takes_layouts);
}

static void
query_allocation (GstNdshSrc *self)
{
  GstQuery *query = gst_query_new_allocation (self->caps, FALSE);

  self->downstream_takes_layouts = FALSE;
  if (gst_pad_peer_query (GST_BASE_SRC_PAD (self), query))
    note_allocation (self, query);
  gst_query_unref (query);
}

/* The base class asks after a reconfiguration. It would prepare a pool, which
 * would never be used. */
static gboolean
gst_ndsh_src_decide_allocation (GstBaseSrc *base, GstQuery *query)
{
  note_allocation (GST_NDSH_SRC (base), query);
  while (gst_query_get_n_allocation_pools (query) > 0)
    gst_query_remove_nth_allocation_pool (query, 0);
  return TRUE;
}


/* Arrays have no format that an element would convert. */
static const char *
find_remedy (GstCaps *caps)
{
  return gst_structure_has_name (gst_caps_get_structure (caps, 0), "application/x-ndarray")
           ? "set array-caps to what the arrays are, like video/x-raw,format=BGR, or have "
             "the program that writes them say so: Writer (format=\"BGR\")"
           : "put an element that converts behind ndshsrc, like videoconvert or "
             "audioconvert, or have the writer convert";
}

static void
post_caps_error (GstNdshSrc *self, GstCaps *caps)
{
  GstPad *pad = GST_BASE_SRC_PAD (self);
  g_autoptr (GstCaps) wanted = gst_pad_peer_query_caps (pad, NULL);
  g_autofree char *ours = gst_caps_to_string (caps);
  g_autofree char *theirs = gst_caps_to_string (wanted);

  /* Nothing is taken while the pipeline stops, and without a peer. */
  if (GST_PAD_IS_FLUSHING (pad) || !gst_pad_is_linked (pad))
    return;
  GST_ELEMENT_ERROR (self, CORE, NEGOTIATION,
                     ("The frames of channel '%s' are %s, and downstream takes %s.",
                      self->channel, ours, theirs),
                     ("%s", find_remedy (caps)));
}

/* NULL, and an error is posted, if they cannot be what array-caps says. */
static GstCaps *
caps_from_arrays (GstNdshSrc *self, const NdshArrayInfo *arrays, guint n_arrays)
{
  g_autoptr (GstCaps) wanted = NULL;
  g_autofree char *wanted_text = NULL, *text = NULL;
  GstCaps *plain, *caps;

  GST_OBJECT_LOCK (self);
  wanted = self->array_caps != NULL ? gst_caps_ref (self->array_caps) : NULL;
  GST_OBJECT_UNLOCK (self);
  plain = gst_ndsh_caps_from_arrays (arrays, n_arrays);
  if (wanted == NULL)
    return plain;
  caps = gst_ndsh_caps_for_arrays (wanted, arrays, n_arrays);
  if (caps == NULL) {
    wanted_text = gst_caps_to_string (wanted);
    text = gst_caps_to_string (plain);
    GST_ELEMENT_ERROR (self, STREAM, FORMAT,
                       ("Frames of channel '%s' are %s, which cannot be the %s that "
                        "array-caps says.",
                        self->channel, text, wanted_text),
                       ("array-caps must name a format that has as many bytes, and no "
                        "ranges or lists"));
  }
  gst_caps_unref (plain);
  return caps;
}

/* To those of a frame with @description and @arrays. What was bytes without caps in the
 * writer's pipeline is that here, unless there were caps before, which would be taken for
 * its own. */
static gboolean
update_caps (GstNdshSrc *self, const char *description, gboolean from_gst,
             const NdshArrayInfo *arrays, guint n_arrays)
{
  g_autoptr (GstCaps) caps = NULL;

  if (from_gst && *description == '\0' && self->caps == NULL)
    return TRUE;
  if (self->description != NULL && strcmp (self->description, description) == 0)
    return TRUE;
  caps = gst_ndsh_caps_from_description (description);
  g_free (self->description);
  /* Without caps in it, the next frame with this one may have others. */
  self->description = caps != NULL ? g_strdup (description) : NULL;
  if (caps == NULL)
    caps = caps_from_arrays (self, arrays, n_arrays);
  if (caps == NULL)
    return FALSE;
  if (self->caps != NULL && gst_caps_is_equal (caps, self->caps))
    return TRUE;

  GST_INFO_OBJECT (self, "caps %" GST_PTR_FORMAT, (gpointer) caps);
  gst_caps_replace (&self->caps, caps);
  gst_ndsh_content_init (&self->content, caps);
  gst_ndsh_pacer_note_format (&self->pacer);
  /* To push them would not tell: that fails with the first buffer. */
  if (!gst_pad_peer_query_accept_caps (GST_BASE_SRC_PAD (self), caps)) {
    post_caps_error (self, caps);
    return FALSE;
  }
  if (!gst_base_src_set_caps (GST_BASE_SRC_CAST (self), caps))
    return FALSE;
  query_allocation (self);
  return TRUE;
}

static gboolean
update_caps_from_frame (GstNdshSrc *self, const NdshFrame *frame, gboolean from_gst)
{
  guint n_arrays;
  const NdshArrayInfo *arrays = ndsh_frame_get_arrays (frame, &n_arrays);

  return update_caps (self, ndsh_frame_get_description (frame), from_gst, arrays,
                      n_arrays);
}

/* Once they are known, elements that ask can be sure of them. */
static GstCaps *
gst_ndsh_src_get_caps (GstBaseSrc *base, GstCaps *filter)
{
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (GST_BASE_SRC_PAD (base));

  if (caps == NULL)
    return GST_BASE_SRC_CLASS (gst_ndsh_src_parent_class)->get_caps (base, filter);
  if (filter == NULL)
    return g_steal_pointer (&caps);
  return gst_caps_intersect_full (filter, caps, GST_CAPS_INTERSECT_FIRST);
}

/* --- The buffer --- */

/* Caps are the writer's, and come with a frame; or it tells them to who asks, but for
 * frames that have none. */
static gboolean
gst_ndsh_src_negotiate (GstBaseSrc *base)
{
  GstNdshSrc *self = GST_NDSH_SRC (base);
  g_autoptr (NdshChannelInfo) writer = g_steal_pointer (&self->writer);
  gboolean done = TRUE;

  if (writer != NULL) {
    gst_ndsh_incoming_begin (self->incoming, writer->metadata, writer->metadata_size);
    done = update_caps (self, writer->description, TRUE, writer->arrays, writer->n_arrays);
  }
  set_expected (self, FALSE);
  return done;
}

/* The base class also asks before there are caps, which some sinks take amiss. */
static GstPadProbeReturn
on_query (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstQuery *query = GST_PAD_PROBE_INFO_QUERY (info);
  GstCaps *caps = NULL;

  (void) pad;
  (void) data;
  if (GST_QUERY_TYPE (query) != GST_QUERY_ALLOCATION)
    return GST_PAD_PROBE_OK;
  gst_query_parse_allocation (query, &caps, NULL);
  return caps != NULL ? GST_PAD_PROBE_OK : GST_PAD_PROBE_DROP;
}

static void
release_frame (gpointer frame)
{
  ndsh_frame_release (frame);
}

/* Takes the lease: it goes back when the last memory does. */
static GstMemory *
wrap_frame (NdshFrame *frame)
{
  gsize size = ndsh_frame_get_size (frame);

  return gst_memory_new_wrapped (GST_MEMORY_FLAG_READONLY,
                                 (gpointer) ndsh_frame_get_data (frame), size, 0,
                                 size, frame, release_frame);
}

static GstMemory *
copy_frame (const NdshFrame *frame)
{
  gsize size = ndsh_frame_get_size (frame);
  GstMemory *memory = gst_allocator_alloc (NULL, size, NULL);
  GstMapInfo map;

  if (gst_memory_map (memory, &map, GST_MAP_WRITE)) {
    memcpy (map.data, ndsh_frame_get_data (frame), size);
    gst_memory_unmap (memory, &map);
  }
  return memory;
}

static gboolean
memories_add_up (const GstNdshMeta *meta, gsize size)
{
  for (guint i = 0; i < meta->n_memories; i++) {
    if (meta->memory_sizes[i] > size)
      return FALSE;
    size -= (gsize) meta->memory_sizes[i];
  }
  return size == 0;
}

/* Divides @memory as the writer's buffer was: to some elements a memory is a
 * tensor. */
static void
append_divided (GstBuffer *buffer, GstMemory *memory, const GstNdshMeta *meta)
{
  gssize offset = 0;

  for (guint i = 0; i < meta->n_memories; i++) {
    gssize size = (gssize) meta->memory_sizes[i];

    gst_buffer_append_memory (buffer, gst_memory_share (memory, offset, size));
    offset += size;
  }
  gst_memory_unref (memory);
}

/* The last lease that the writer granted must come back, or no other frame would
 * come. */
static gboolean
is_last_lease (GstNdshSrc *self)
{
  return self->reader_info.n_leases >= self->reader_info.max_leases;
}

static void
count_copy (GstNdshSrc *self)
{
  GST_OBJECT_LOCK (self);
  self->n_copied++;
  GST_OBJECT_UNLOCK (self);
}

/* Takes @frame, and puts it into @buffer. */
static void
fill_buffer (GstNdshSrc *self, GstBuffer *buffer, NdshFrame *frame,
             const GstNdshMeta *meta)
{
  gsize size = ndsh_frame_get_size (frame);
  GstMemory *memory;

  if (size == 0) {
    ndsh_frame_release (frame);
    return;
  }
  if (is_last_lease (self)) {
    memory = copy_frame (frame);
    ndsh_frame_release (frame);
    count_copy (self);
    GST_LOG_OBJECT (self, "copied: downstream holds the other leases");
  } else {
    memory = wrap_frame (frame);
  }
  if (meta->n_memories > 1 && memories_add_up (meta, size))
    append_divided (buffer, memory, meta);
  else
    gst_buffer_append_memory (buffer, memory);
}

/* --- Layout --- */

static gboolean
find_layout (GstNdshSrc *self, const NdshFrame *frame, const GstNdshMeta *meta,
             GstNdshLayout *layout)
{
  const GstVideoInfo *info = &self->content.video;
  gsize size = ndsh_frame_get_size (frame);
  const NdshArrayInfo *arrays;
  guint n_arrays;

  if (self->content.kind != GST_NDSH_CONTENT_VIDEO)
    return FALSE;
  if (meta->has_layout) {
    *layout = meta->layout;
    return gst_ndsh_layout_is_valid (layout, info, size);
  }
  arrays = ndsh_frame_get_arrays (frame, &n_arrays);
  if (!gst_ndsh_layout_init_from_arrays (layout, info, arrays, n_arrays))
    gst_ndsh_layout_init_from_info (layout, info);
  return gst_ndsh_layout_is_valid (layout, info, size);
}

/* How the planes lie, if that is known and can be; as in the last frame if it says nothing
 * of its own and is of the same format. */
static Look *
find_look (GstNdshSrc *self, const NdshFrame *frame, const GstNdshMeta *meta)
{
  Look *look = &self->look;
  guint format = ndsh_frame_get_format (frame);
  gsize size = ndsh_frame_get_size (frame);

  if (!meta->has_layout && look->format == format && look->size == size)
    return look;
  gst_buffer_replace (&self->envelope, NULL);
  look->format = meta->has_layout ? 0 : format;
  look->size = size;
  look->is_known = find_layout (self, frame, meta, &look->layout);
  look->is_default
    = look->is_known && size >= GST_VIDEO_INFO_SIZE (&self->content.video)
      && gst_ndsh_layout_is_default (&look->layout, &self->content.video);
  return look;
}

static GstBuffer *
copy_to_default (GstNdshSrc *self, const NdshFrame *frame,
                 const GstNdshLayout *layout)
{
  const GstVideoInfo *info = &self->content.video;
  GstBuffer *buffer
    = gst_buffer_new_allocate (NULL, GST_VIDEO_INFO_SIZE (info), NULL);
  gboolean copied = FALSE;
  GstMapInfo map;

  if (gst_buffer_map (buffer, &map, GST_MAP_WRITE)) {
    copied = gst_ndsh_layout_copy_to_default (
      layout, info, ndsh_frame_get_data (frame), map.data);
    gst_buffer_unmap (buffer, &map);
  }
  if (!copied)
    g_clear_pointer (&buffer, gst_buffer_unref);
  return buffer;
}

static GstBuffer *
envelope_new (Look *look, guint32 video_flags)
{
  GstNdshLayout *layout = &look->layout;
  GstBuffer *buffer = gst_buffer_new ();

  gst_buffer_add_video_meta_full (
    buffer, (GstVideoFrameFlags) video_flags, layout->format, layout->width,
    layout->height, layout->n_planes, layout->offset, layout->stride);
  return buffer;
}

/* While nothing else is to be done: the next frame will look like the last. */
static void
prepare_envelope (GstNdshSrc *self)
{
  if (self->envelope == NULL && self->look.is_known && self->look.format != 0)
    self->envelope = envelope_new (&self->look, 0);
}

/* An empty buffer for frames whose planes lie as in @look, which is that of the last. */
static GstBuffer *
take_envelope (GstNdshSrc *self, Look *look, guint32 video_flags)
{
  if (self->envelope != NULL && video_flags == 0)
    return g_steal_pointer (&self->envelope);
  return envelope_new (look, video_flags);
}

/* Takes @frame, whose planes lie as in @look. */
static GstBuffer *
buffer_from_video (GstNdshSrc *self, NdshFrame *frame, const GstNdshMeta *meta,
                   Look *look)
{
  GstNdshLayout *layout = &look->layout;
  GstBuffer *buffer;

  if (!self->downstream_takes_layouts && !look->is_default) {
    buffer = copy_to_default (self, frame, layout);
    if (buffer != NULL) {
      ndsh_frame_release (frame);
      count_copy (self);
      return buffer;
    }
  }
  buffer = take_envelope (self, look, meta->video_flags);
  fill_buffer (self, buffer, frame, meta);
  return buffer;
}

/* Elements find the planes of sound by a meta alone. It does not travel: they lie one
 * after the other, which is what the caps of a frame say. */
static void
describe_planes (GstNdshSrc *self, GstBuffer *buffer)
{
#if GST_CHECK_VERSION(1, 16, 0)
  const GstAudioInfo *info = &self->content.audio;
  gsize n_samples;

  if (self->content.kind != GST_NDSH_CONTENT_AUDIO
      || info->layout != GST_AUDIO_LAYOUT_NON_INTERLEAVED
      || !GST_AUDIO_INFO_IS_VALID (info) || info->finfo->width < 8)
    return;
  /* Caps come from others, and bpf may have overflowed. */
  n_samples = gst_buffer_get_size (buffer) / ((gsize) info->finfo->width / 8)
              / (gsize) info->channels;
  if (n_samples > 0)
    gst_buffer_add_audio_meta (buffer, info, n_samples, NULL);
#else
  (void) self;
  (void) buffer;
#endif
}

/* --- Which frames, and when --- */

/* CLOCK_MONOTONIC and the running time when it begins to play, or goes on. */
static void
note_playing (GstNdshSrc *self)
{
  gint64 now = gst_ndsh_get_monotonic_time ();
  GstClockTime start = gst_element_get_start_time (GST_ELEMENT_CAST (self));
  GstClockTime base_time = gst_element_get_base_time (GST_ELEMENT_CAST (self));

  GST_OBJECT_LOCK (self);
  self->is_playing = TRUE;
  self->played_at = now;
  /* Who sets base times by hand has no start time. */
  self->start = GST_CLOCK_TIME_IS_VALID (start) ? (gint64) start : 0;
  if (self->has_played)
    self->round = base_time;
  self->has_played = TRUE;
  GST_OBJECT_UNLOCK (self);
}

static void
note_pausing (GstNdshSrc *self)
{
  GST_OBJECT_LOCK (self);
  self->is_playing = FALSE;
  GST_OBJECT_UNLOCK (self);
}

static void
note_beginning (GstNdshSrc *self)
{
  GST_OBJECT_LOCK (self);
  self->is_playing = self->has_played = FALSE;
  self->start = self->played_at = 0;
  self->round = 0;
  self->latency = GST_CLOCK_TIME_NONE;
  GST_OBJECT_UNLOCK (self);
}

static GstStateChangeReturn
gst_ndsh_src_change_state (GstElement *element, GstStateChange transition)
{
  GstNdshSrc *self = GST_NDSH_SRC (element);

  if (transition == GST_STATE_CHANGE_READY_TO_PAUSED)
    note_beginning (self);
  else if (transition == GST_STATE_CHANGE_PAUSED_TO_PLAYING)
    note_playing (self);
  else if (transition == GST_STATE_CHANGE_PLAYING_TO_PAUSED)
    note_pausing (self);
  return GST_ELEMENT_CLASS (gst_ndsh_src_parent_class)
    ->change_state (element, transition);
}

static gboolean
gst_ndsh_src_event (GstBaseSrc *base, GstEvent *event)
{
  GstNdshSrc *self = GST_NDSH_SRC (base);

  if (GST_EVENT_TYPE (event) == GST_EVENT_LATENCY) {
    GstClockTime latency;

    gst_event_parse_latency (event, &latency);
    GST_OBJECT_LOCK (self);
    self->latency = latency;
    GST_OBJECT_UNLOCK (self);
  } else if (gst_video_event_is_force_key_unit (event)) {
    g_atomic_int_set (&self->wants_key, TRUE);
    return TRUE;
  }
  return GST_BASE_SRC_CLASS (gst_ndsh_src_parent_class)->event (base, event);
}

/* With the object lock. Only a queue whose length is ours to choose is read by age. */
static gint64
get_max_age (GstNdshSrc *self)
{
  if (self->leaky_type == LEAKY_NONE)
    return -1;
  if (GST_CLOCK_TIME_IS_VALID (self->max_age))
    return (gint64) self->max_age;
  return self->max_buffers == 0 ? GST_NDSH_MAX_AGE_AUTO : -1;
}

static void
find_now (GstNdshSrc *self, GstNdshNow *now)
{
  now->is_live = self->is_live;
  now->has_clock
    = gst_ndsh_time_base_update (&self->base, GST_ELEMENT_CAST (self));
  now->zero = self->base.zero;
  now->time = gst_ndsh_get_monotonic_time ();
  GST_OBJECT_LOCK (self);
  now->is_playing = self->is_playing;
  now->start = self->start;
  now->played_at = self->played_at;
  now->round = self->round;
  now->latency = GST_CLOCK_TIME_IS_VALID (self->latency)
                   ? (gint64) self->latency
                   : -1;
  now->pushed = self->pushed;
  now->max_age = get_max_age (self);
  GST_OBJECT_UNLOCK (self);
}

/* Says whether no frame is missing before @frame. */
static gboolean
note_sequence (GstNdshSrc *self, const NdshFrame *frame)
{
  const char *stream_id = ndsh_frame_get_stream_id (frame);
  guint64 sequence = ndsh_frame_get_sequence (frame);
  guint64 expected = self->sequence + 1;

  self->sequence = sequence;
  if (strcmp (self->stream_id, stream_id) == 0)
    return sequence == expected;
  GST_DEBUG_OBJECT (self, "stream %s", stream_id);
  g_strlcpy (self->stream_id, stream_id, sizeof self->stream_id);
  gst_ndsh_pacer_note_join (&self->pacer);
  gst_ndsh_incoming_note_writer (self->incoming);
  return sequence == 1;
}

/* Caps are looked at by name only: those of @frame may not be set yet. */
static const Kind *
find_kind (GstNdshSrc *self, const NdshFrame *frame)
{
  Kind *kind = &self->kind;
  const char *description;

  if (kind->format == ndsh_frame_get_format (frame))
    return kind;
  description = ndsh_frame_get_description (frame);
  kind->format = ndsh_frame_get_format (frame);
  kind->is_audio = g_str_has_prefix (description, "audio/");
  kind->is_raw_audio = g_str_has_prefix (description, "audio/x-raw")
                       && strstr (description, "non-interleaved") == NULL;
  kind->is_encoded_video = gst_ndsh_caps_are_encoded_video (description);
  kind->is_image = g_str_has_prefix (description, "image/");
  kind->has_headers = strstr (description, "streamheader=") != NULL;
  return kind;
}

static void
find_facts (GstNdshSrc *self, const NdshFrame *frame, const GstNdshMeta *meta,
            gboolean from_gst, GstNdshFacts *facts)
{
  const NdshFrameInfo *info = ndsh_frame_get_info (frame);
  const Kind *kind = find_kind (self, frame);

  facts->timing = *ndsh_frame_get_timing (frame);
  facts->timestamp = info->timestamp_ns;
  facts->dts = meta->has_dts ? meta->dts : -1;
  facts->duration
    = gst_ndsh_time_is_sane (info->duration_ns) ? info->duration_ns : -1;
  facts->publish = gst_ndsh_time_is_sane (ndsh_frame_get_publish_ns (frame))
                     ? ndsh_frame_get_publish_ns (frame)
                     : -1;
  facts->follows = note_sequence (self, frame);
  facts->n_newer = (guint) MIN (self->reader_info.lag, NDSH_MAX_QUEUE);
  facts->is_audio = kind->is_audio;
  facts->is_raw_audio = kind->is_raw_audio;
  /* Another program's flags mean nothing here. */
  facts->is_encoded = from_gst && kind->is_encoded_video;
  facts->is_delta = from_gst && !kind->is_image
                    && (info->flags & GST_BUFFER_FLAG_DELTA_UNIT) != 0;
  /* Those that the caps repeat are no frames. */
  facts->is_header = from_gst && (info->flags & GST_BUFFER_FLAG_HEADER) != 0
                     && kind->has_headers;
  facts->is_untimed = FALSE;
}

/* A writer whose times are of another clock would never be seen: what is too early is
 * dropped, and what is too late is waited for. */
static void
warn_of_strange_clock (GstNdshSrc *self, const GstNdshFacts *facts,
                       const GstNdshNow *now, GstNdshVerdict verdict)
{
  gint64 time = gst_ndsh_time_is_sane (facts->dts) ? facts->dts : facts->timestamp;
  gint64 delay = facts->publish - time;

  if (self->has_warned || facts->timing.clock != NDSH_CLOCK_MONOTONIC
      || !gst_ndsh_time_is_sane (time) || facts->publish < now->played_at
      || (verdict == GST_NDSH_DROP_EARLY ? delay - self->pacer.latency
                                         : -delay) < STRANGE_DELAY)
    return;
  self->has_warned = TRUE;
  GST_ELEMENT_WARNING (
    self, STREAM, FAILED,
    ("Frames %s: they were published %.3f s %s the time that they name.",
     delay > 0 ? "are dropped because their times are of before this pipeline played"
               : "will be shown late",
     ABS (delay) / 1e9, delay > 0 ? "after" : "before"),
    ("if the writer's times do not follow CLOCK_MONOTONIC it should say so: "
     "ndsh_writer_set_timing (), Writer.set_timing ()"));
}

static void
explain_skip (GstNdshSrc *self, GstNdshVerdict verdict)
{
  static const char *const why[] = {
    [GST_NDSH_DROP_EARLY] = "it is of before this pipeline played",
    [GST_NDSH_DROP_OLD] = "it is too old to be shown in time",
    [GST_NDSH_DROP_DELTA] = "what it refers to is missing",
  };

  GST_LOG_OBJECT (self, "frame %" G_GUINT64_FORMAT " skipped: %s",
                  self->sequence, why[verdict]);
  if (verdict == GST_NDSH_DROP_DELTA && !self->has_explained) {
    self->has_explained = TRUE;
    GST_INFO_OBJECT (self,
                     "skipping frames until the next that can be decoded without "
                     "those before it; max-buffers=32 misses fewer");
  }
}

static void
note_skipped (GstNdshSrc *self)
{
  GST_OBJECT_LOCK (self);
  self->n_skipped++;
  GST_OBJECT_UNLOCK (self);
}

/* How many frames the writer should keep for this reader. */
static void
update_queue_length (GstNdshSrc *self, const GstNdshNow *now)
{
  guint length = self->longest > 0
                   ? self->longest
                   : gst_ndsh_pacer_get_queue_length (&self->pacer, now);

  if (self->mode == NDSH_READ_LOSSLESS || length == self->queue_length)
    return;
  self->queue_length = length;
  ndsh_reader_set_queue_length (self->reader, length);
  GST_DEBUG_OBJECT (self, "up to %u frames behind", length);
}

static void
update_latency (GstNdshSrc *self)
{
  if (refresh_latency (self) && gst_base_src_is_live (GST_BASE_SRC_CAST (self)))
    gst_element_post_message (GST_ELEMENT_CAST (self),
                              gst_message_new_latency (GST_OBJECT_CAST (self)));
}

/* --- Create --- */

static void
set_times (GstNdshSrc *self, GstBuffer *buffer, const GstNdshTimes *times)
{
  if (times->duration >= 0)
    GST_BUFFER_DURATION (buffer) = (GstClockTime) times->duration;
  /* The base class puts the time in at which a buffer is here. */
  if (gst_base_src_get_do_timestamp (GST_BASE_SRC_CAST (self)))
    return;
  if (times->pts >= 0)
    GST_BUFFER_PTS (buffer) = (GstClockTime) times->pts;
  if (times->dts >= 0)
    GST_BUFFER_DTS (buffer) = (GstClockTime) times->dts;
}

/* Takes @buffer, whose sound begins at @times->pts, and that may be negative. Returns
 * what is left of it from running time @times->cut on, or NULL. */
static GstBuffer *
cut_sound (GstNdshSrc *self, GstBuffer *buffer, const GstNdshTimes *times)
{
  const GstAudioInfo *info = &self->content.audio;
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.start = (guint64) times->duration;
  GST_BUFFER_PTS (buffer)
    = (GstClockTime) (times->pts - times->cut + times->duration);
  GST_BUFFER_DTS (buffer) = GST_CLOCK_TIME_NONE;
  buffer = gst_audio_buffer_clip (buffer, &segment, info->rate, info->bpf);
  if (buffer != NULL)
    GST_BUFFER_PTS (buffer)
      = GST_BUFFER_PTS (buffer) - segment.start + (GstClockTime) times->cut;
  return buffer;
}

/* A copy of what gst_ndsh_metas_add () is for, since the frame goes before its buffer is
 * there; mostly NULL. */
static GBytes *
copy_metas (const NdshFrame *frame, const GstNdshMeta *meta)
{
  gsize size;
  gconstpointer metadata = ndsh_frame_get_metadata (frame, &size);

  return meta->has_metas ? g_bytes_new (metadata, size) : NULL;
}

static void
add_metas (GstNdshSrc *self, GstBuffer *buffer, GBytes *metas)
{
  gsize size;
  gconstpointer metadata;

  if (metas == NULL)
    return;
  metadata = g_bytes_get_data (metas, &size);
  gst_ndsh_metas_add (buffer, metadata, size, GST_ELEMENT_CAST (self));
}

/* A program's tensors are a memory each, as elements expect them. */
static void
note_tensors (const GstNdshSrc *self, GstNdshMeta *meta)
{
  const GstNdshContent *content = &self->content;

  if (content->kind != GST_NDSH_CONTENT_ARRAYS || content->n_arrays < 2)
    return;
  G_STATIC_ASSERT (NDSH_MAX_ARRAYS <= GST_NDSH_META_MAX_MEMORIES);
  meta->n_memories = content->n_arrays;
  for (guint i = 0; i < content->n_arrays; i++)
    meta->memory_sizes[i] = ndsh_array_info_get_size (&content->arrays[i]);
}

/* Takes @frame. Downstream elements parse what they get, so all that says how to
 * is checked here. */
static GstBuffer *
make_buffer (GstNdshSrc *self, NdshFrame *frame, GstNdshMeta *meta, gboolean from_gst)
{
  const NdshFrameInfo info = *ndsh_frame_get_info (frame);
  g_autoptr (GBytes) metas = copy_metas (frame, meta);
  Look *look = find_look (self, frame, meta);
  GstBuffer *buffer;

  if (!from_gst)
    note_tensors (self, meta);
  if (look->is_known) {
    buffer = buffer_from_video (self, frame, meta, look);
  } else {
    buffer = gst_buffer_new ();
    fill_buffer (self, buffer, frame, meta);
  }
  describe_planes (self, buffer);
  add_metas (self, buffer, metas);

  GST_BUFFER_OFFSET (buffer) = info.offset;
  GST_BUFFER_OFFSET_END (buffer) = from_gst && (info.flags & GST_NDSH_FLAG_NEXT_OFFSET)
                                     ? info.offset + 1
                                     : meta->offset_end;
  if (from_gst)
    GST_BUFFER_FLAG_SET (buffer, gst_ndsh_buffer_flags_filter (info.flags));
  return buffer;
}

static gboolean
is_cut (const GstNdshSrc *self, GstNdshVerdict verdict)
{
  return verdict == GST_NDSH_CUT && self->content.kind == GST_NDSH_CONTENT_AUDIO
         && self->content.audio.layout == GST_AUDIO_LAYOUT_INTERLEAVED;
}

/* What is the same for all frames of a format, downstream: caps and events. */
static gboolean
update_format (GstNdshSrc *self, const NdshFrame *frame, gboolean from_gst)
{
  guint format = ndsh_frame_get_format (frame);
  const guint8 *metadata;
  gsize size;

  if (self->pushed_format == format)
    return TRUE;
  metadata = ndsh_frame_get_stream_metadata (frame, &size);
  gst_ndsh_incoming_begin (self->incoming, metadata, size);
  if (!update_caps_from_frame (self, frame, from_gst))
    return FALSE;
  self->pushed_format = format;
  self->look.format = 0;
  return TRUE;
}

static void
follow_flush (GstNdshSrc *self)
{
  gboolean follow;

  GST_OBJECT_LOCK (self);
  follow = self->follow_flush;
  GST_OBJECT_UNLOCK (self);
  if (follow)
    gst_ndsh_incoming_flush (self->incoming);
}

/* What the writer's times are later in this pipeline. */
static gint64
find_shift (const NdshFrame *frame, const GstNdshTimes *times)
{
  gint64 timestamp = ndsh_frame_get_info (frame)->timestamp_ns;

  return times->pts >= 0 && gst_ndsh_time_is_sane (timestamp) ? times->pts - timestamp
                                                              : GST_CLOCK_STIME_NONE;
}

/* Without any, too, or those of a frame that got lost on the way would be the next one's. */
static void
send_metas (GstNdshSrc *self, const NdshFrame *frame)
{
  gsize size;
  const guint8 *metadata = ndsh_frame_get_metadata (frame, &size);

  gst_ndsh_incoming_push_metas (self->incoming, ndsh_frame_get_sequence (frame), metadata,
                                size);
}

/* Takes @frame. */
static GstFlowReturn
show (GstNdshSrc *self, NdshFrame *frame, GstNdshMeta *meta,
      gboolean from_gst, GstNdshVerdict verdict, const GstNdshTimes *times,
      GstBuffer **buffer)
{
  if (gst_ndsh_incoming_was_flushed (self->incoming))
    follow_flush (self);
  if (!update_format (self, frame, from_gst)) {
    ndsh_frame_release (frame);
    return GST_FLOW_NOT_NEGOTIATED;
  }
  gst_ndsh_incoming_push (self->incoming, find_shift (frame, times));
  if (times->goes_back) {
    /* As when a live writer follows one that was ahead. */
    GST_INFO_OBJECT (self, "running time goes back: a new segment");
    gst_ndsh_incoming_push_segment (self->incoming);
  }
  if (self->metas_as_events)
    send_metas (self, frame);
  *buffer = make_buffer (self, frame, meta, from_gst);
  set_times (self, *buffer, times);
  if (times->is_discont)
    GST_BUFFER_FLAG_SET (*buffer, GST_BUFFER_FLAG_DISCONT);
  if (times->is_for_decoding)
    GST_BUFFER_FLAG_SET (*buffer, GST_BUFFER_FLAG_DECODE_ONLY);
  if (is_cut (self, verdict))
    *buffer = cut_sound (self, *buffer, times);
  return GST_FLOW_OK;
}

/* The nanoseconds from one frame to the next that max-rate allows, 0 for any. */
static gint64
get_least_interval (GstNdshSrc *self)
{
  gint64 interval = 0;

  GST_OBJECT_LOCK (self);
  if (self->max_rate_n > 0)
    interval = (gint64) gst_util_uint64_scale (GST_SECOND, (guint64) self->max_rate_d,
                                               (guint64) self->max_rate_n);
  GST_OBJECT_UNLOCK (self);
  return interval;
}

/* Frames of a steady rate that max-rate divides come a little early or late: each may be
 * an eighth before it is due, and the next is due as if it had been on time. */
static gboolean
is_too_soon (GstNdshSrc *self, const NdshFrame *frame)
{
  gint64 interval = get_least_interval (self);
  gint64 at = ndsh_frame_get_info (frame)->timestamp_ns;

  if (interval == 0 || self->kind.is_audio || self->kind.is_encoded_video)
    return FALSE;
  if (at < 0)
    at = ndsh_frame_get_publish_ns (frame);
  if (!gst_ndsh_time_is_sane (at))
    return FALSE;
  if (self->due != 0 && at < self->due - interval / 8 && at >= self->due - 2 * interval)
    return TRUE;
  if (self->due != 0 && at < self->due + interval && at >= self->due - interval)
    self->due += interval;
  else
    self->due = at + interval;
  return FALSE;
}

/* Takes @frame. No buffer, and GST_FLOW_OK, if it is not to be shown. */
static GstFlowReturn
judge_and_show (GstNdshSrc *self, NdshFrame *frame, GstBuffer **buffer)
{
  const guint8 *metadata;
  GstNdshVerdict verdict;
  GstNdshFacts facts;
  GstNdshTimes times;
  GstNdshMeta meta;
  gboolean from_gst;
  GstNdshNow now;
  gsize size;

  metadata = ndsh_frame_get_metadata (frame, &size);
  from_gst = (ndsh_frame_get_info (frame)->flags & GST_NDSH_FLAG_GST) != 0;
  gst_ndsh_meta_decode (&meta, metadata, metadata != NULL ? size : 0);
  if (meta.has_events)
    gst_ndsh_incoming_take (self->incoming, metadata, size);
  find_facts (self, frame, &meta, from_gst, &facts);
  if (is_too_soon (self, frame)) {
    ndsh_frame_release (frame);
    self->n_unwanted++;
    note_skipped (self);
    return GST_FLOW_OK;
  }
  find_now (self, &now);
  verdict = gst_ndsh_pacer_judge (&self->pacer, &facts, &now, &times);
  update_queue_length (self, &now);
  update_latency (self);
  warn_of_strange_clock (self, &facts, &now, verdict);
  if (verdict == GST_NDSH_SHOW || verdict == GST_NDSH_CUT)
    return show (self, frame, &meta, from_gst, verdict, &times, buffer);
  ndsh_frame_release (frame);
  self->n_unwanted += verdict == GST_NDSH_DROP_EARLY;
  note_skipped (self);
  explain_skip (self, verdict);
  return GST_FLOW_OK;
}

/* A live source gives nothing while it does not play: a frame that comes then waits, to
 * be judged by what the pipeline's times are when it goes on. */
static GstFlowReturn
wait_playing (GstNdshSrc *self)
{
  gboolean is_playing;

  GST_OBJECT_LOCK (self);
  is_playing = self->is_playing;
  GST_OBJECT_UNLOCK (self);
  if (is_playing || !gst_base_src_is_live (GST_BASE_SRC_CAST (self)))
    return GST_FLOW_OK;
  return gst_base_src_wait_playing (GST_BASE_SRC_CAST (self));
}

/* Takes @frame. */
static GstFlowReturn
handle_frame (GstNdshSrc *self, NdshFrame *frame, GstBuffer **buffer)
{
  GstFlowReturn result = wait_playing (self);

  if (result == GST_FLOW_OK)
    return judge_and_show (self, frame, buffer);
  ndsh_frame_release (frame);
  return result;
}

static GstFlowReturn
gst_ndsh_src_create (GstPushSrc *push, GstBuffer **buffer)
{
  GstNdshSrc *self = GST_NDSH_SRC_CAST (push);
  NdshFrame *frame = NULL;
  GstFlowReturn result;

  *buffer = NULL;
  g_atomic_pointer_set (&self->thread, g_thread_self ());
  g_atomic_int_set (&self->is_downstream, FALSE);
  prepare_envelope (self);
  tell_loss (self, FALSE);
  self->pushed = gst_ndsh_get_monotonic_time () - self->created_at;
  for (;;) {
    result = next_frame (self, &frame);
    if (result == GST_FLOW_OK)
      result = handle_frame (self, frame, buffer);
    if (result != GST_FLOW_OK || *buffer != NULL)
      break;
    /* next_frame () notices it only where it sleeps. */
    if (g_atomic_int_get (&self->is_flushing))
      return GST_FLOW_FLUSHING;
    tell_loss (self, FALSE);
  }
  if (result == GST_FLOW_OK)
    GST_LOG_OBJECT (self, "frame %" G_GUINT64_FORMAT ": %" GST_PTR_FORMAT,
                    self->sequence, (gpointer) *buffer);
  else if (result == GST_FLOW_EOS)
    tell_loss (self, TRUE);
  self->created_at = gst_ndsh_get_monotonic_time ();
  g_atomic_int_set (&self->is_downstream, result == GST_FLOW_OK);
  return result;
}

static gboolean
gst_ndsh_src_query (GstBaseSrc *base, GstQuery *query)
{
  GstNdshSrc *self = GST_NDSH_SRC (base);
  GstClockTime least, most;
  gboolean expected;

  if (GST_QUERY_TYPE (query) != GST_QUERY_LATENCY
      || !gst_base_src_is_live (base))
    return GST_BASE_SRC_CLASS (gst_ndsh_src_parent_class)->query (base, query);
  GST_OBJECT_LOCK (self);
  least = self->least_latency;
  most = self->most_latency;
  expected = self->is_expected;
  self->was_asked |= expected;
  GST_OBJECT_UNLOCK (self);
  if (expected)
    return FALSE;
  gst_query_set_latency (query, TRUE, least, most);
  return TRUE;
}

/* --- Properties --- */

static GstStructure *
get_stats (GstNdshSrc *self)
{
  GstStructure *stats;

  GST_OBJECT_LOCK (self);
  stats = gst_structure_new (
    "stats",
    "frames-received", G_TYPE_UINT64, self->reader_info.delivered,
    "frames-missed", G_TYPE_UINT64, self->reader_info.missed,
    "frames-copied", G_TYPE_UINT64, self->n_copied + self->reader_info.copied,
    "frames-skipped", G_TYPE_UINT64, self->n_skipped,
    "lag", G_TYPE_UINT64, self->reader_info.lag,
    "leases", G_TYPE_UINT, self->reader_info.n_leases,
    "max-leases", G_TYPE_UINT, self->reader_info.max_leases,
    "writer-pid", G_TYPE_INT64,
    self->reader_info.pid, NULL);
  GST_OBJECT_UNLOCK (self);
  return stats;
}

/* Then what is MUTABLE_READY stays as it is. */
static gboolean
is_open (GstNdshSrc *self)
{
  gboolean open;

  GST_OBJECT_LOCK (self);
  open = self->reader != NULL;
  GST_OBJECT_UNLOCK (self);
  return open;
}

static const gsize fields[N_PROPS] = {
  [PROP_CHANNEL] = G_STRUCT_OFFSET (GstNdshSrc, channel),
  [PROP_LEAKY_TYPE] = G_STRUCT_OFFSET (GstNdshSrc, leaky_type),
  [PROP_MAX_BUFFERS] = G_STRUCT_OFFSET (GstNdshSrc, max_buffers),
  [PROP_MAX_AGE] = G_STRUCT_OFFSET (GstNdshSrc, max_age),
  [PROP_ON_DISCONNECT] = G_STRUCT_OFFSET (GstNdshSrc, on_disconnect),
  [PROP_IGNORE_EOS] = G_STRUCT_OFFSET (GstNdshSrc, ignore_eos),
  [PROP_FOLLOW_FLUSH] = G_STRUCT_OFFSET (GstNdshSrc, follow_flush),
  [PROP_TIMEOUT] = G_STRUCT_OFFSET (GstNdshSrc, timeout),
  [PROP_MAX_WIDTH] = G_STRUCT_OFFSET (GstNdshSrc, max_width),
  [PROP_MAX_HEIGHT] = G_STRUCT_OFFSET (GstNdshSrc, max_height),
  [PROP_METAS_AS_EVENTS] = G_STRUCT_OFFSET (GstNdshSrc, metas_as_events),
  [PROP_CONNECTED] = G_STRUCT_OFFSET (GstNdshSrc, connected),
};

static void
set_max_rate (GstNdshSrc *self, const GValue *value)
{
  GST_OBJECT_LOCK (self);
  self->max_rate_n = gst_value_get_fraction_numerator (value);
  self->max_rate_d = gst_value_get_fraction_denominator (value);
  GST_OBJECT_UNLOCK (self);
}

static void
set_array_caps (GstNdshSrc *self, const GValue *value)
{
  GST_OBJECT_LOCK (self);
  gst_caps_replace (&self->array_caps, (GstCaps *) gst_value_get_caps (value));
  GST_OBJECT_UNLOCK (self);
}

static void
gst_ndsh_src_set_property (GObject *object, guint id, const GValue *value,
                           GParamSpec *pspec)
{
  GstNdshSrc *self = GST_NDSH_SRC (object);

  if (!gst_ndsh_may_set (GST_ELEMENT_CAST (self), pspec, is_open (self)))
    return;
  switch (id) {
  case PROP_IS_LIVE:
    gst_base_src_set_live (GST_BASE_SRC_CAST (self), g_value_get_boolean (value));
    break;
  case PROP_MAX_RATE:
    set_max_rate (self, value);
    break;
  case PROP_ARRAY_CAPS:
    set_array_caps (self, value);
    break;
  default:
    gst_ndsh_set_field (object, fields, id, value, pspec);
    break;
  }
  if (id == PROP_LEAKY_TYPE || id == PROP_MAX_BUFFERS || id == PROP_MAX_RATE
      || id == PROP_MAX_WIDTH || id == PROP_MAX_HEIGHT)
    g_atomic_int_set (&self->mode_is_old, TRUE);
}

static void
get_shown (GstNdshSrc *self, guint id, GValue *value)
{
  GST_OBJECT_LOCK (self);
  if (id == PROP_MAX_RATE)
    gst_value_set_fraction (value, self->max_rate_n, self->max_rate_d);
  else if (id == PROP_ARRAY_CAPS)
    gst_value_set_caps (value, self->array_caps);
  else
    g_value_set_uint (value, self->reader_info.lag);
  GST_OBJECT_UNLOCK (self);
}

static void
gst_ndsh_src_get_property (GObject *object, guint id, GValue *value,
                           GParamSpec *pspec)
{
  GstNdshSrc *self = GST_NDSH_SRC (object);

  switch (id) {
  case PROP_IS_LIVE:
    g_value_set_boolean (value, gst_base_src_is_live (GST_BASE_SRC_CAST (self)));
    break;
  case PROP_STATS:
    g_value_take_boxed (value, get_stats (self));
    break;
  case PROP_MAX_RATE:
  case PROP_ARRAY_CAPS:
  case PROP_CURRENT_LEVEL_BUFFERS:
    get_shown (self, id, value);
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
   * GstNdshSrc:channel:
   *
   * Since: 0.1
   */
  props[PROP_CHANNEL] = g_param_spec_string (
    "channel", "Channel",
    "Name that the stream is shared under; or the path of the socket, which begins "
    "with '/'",
    DEFAULT_CHANNEL, open);
  /**
   * GstNdshSrc:is-live:
   *
   * Since: 0.1
   */
  props[PROP_IS_LIVE] = g_param_spec_boolean (
    "is-live", "Is live",
    "Give frames the time at which they were captured, on this pipeline's clock; the "
    "picture that is there at the start is shown at once. False starts at 0 with the "
    "first frame and prerolls with it",
    DEFAULT_IS_LIVE, open);
  /**
   * GstNdshSrc:leaky-type:
   *
   * Since: 0.1
   */
  props[PROP_LEAKY_TYPE] = g_param_spec_enum (
    "leaky-type", "Leaky type",
    "What happens to frames that come faster than they are taken: none makes the "
    "writer, and so all its readers, go at this one's pace, if it allows that and runs "
    "as the same user. To drop the newest instead of the oldest, put a queue "
    "leaky=upstream behind this element. Set while it plays it counts from the next "
    "frame on",
    GST_TYPE_NDSH_SRC_LEAKY_TYPE, DEFAULT_LEAKY_TYPE, live);
  /**
   * GstNdshSrc:max-buffers:
   *
   * Since: 0.1
   */
  props[PROP_MAX_BUFFERS] = g_param_spec_uint (
    "max-buffers", "Maximum buffers",
    "How far to fall behind the writer before frames are dropped (in frames); 1 "
    "takes the newest each time, 0 falls behind as far as max-age allows. Without "
    "effect if leaky-type is none. Set while it plays it counts from the next frame on",
    0, NDSH_MAX_QUEUE, DEFAULT_MAX_BUFFERS, live);
  /**
   * GstNdshSrc:max-age:
   *
   * Since: 0.1
   */
  props[PROP_MAX_AGE] = g_param_spec_uint64 (
    "max-age", "Maximum age",
    "Skip frames that are older than this if there is a newer one (in nanoseconds). "
    "The default is the pipeline's latency and the duration of a frame: what is older "
    "cannot be shown in time. Nothing is skipped while downstream takes each frame before "
    "the next is due. If max-buffers is set the default is no limit. Without effect if "
    "leaky-type is none, and on encoded frames that refer to others",
    0, G_MAXUINT64, DEFAULT_MAX_AGE, live);
  /**
   * GstNdshSrc:on-disconnect:
   *
   * Since: 0.1
   */
  props[PROP_ON_DISCONNECT] = g_param_spec_enum (
    "on-disconnect", "On disconnect",
    "What to do when the writer goes without having ended the stream",
    GST_TYPE_NDSH_SRC_ON_DISCONNECT, DEFAULT_ON_DISCONNECT, live);
  /**
   * GstNdshSrc:ignore-eos:
   *
   * Since: 0.1
   */
  props[PROP_IGNORE_EOS] = g_param_spec_boolean (
    "ignore-eos", "Ignore EOS",
    "Go on with what follows when the writer has ended its stream, instead of ending "
    "this one",
    DEFAULT_IGNORE_EOS, live);
  /**
   * GstNdshSrc:follow-flush:
   *
   * Since: 0.1
   */
  props[PROP_FOLLOW_FLUSH] = g_param_spec_boolean (
    "follow-flush", "Follow flush",
    "Flush downstream when the writer's pipeline was flushed, as by a seek, with the first "
    "frame that follows: what is queued there is of before",
    DEFAULT_FOLLOW_FLUSH, live);
  /**
   * GstNdshSrc:timeout:
   *
   * Since: 0.1
   */
  props[PROP_TIMEOUT] = g_param_spec_uint64 (
    "timeout", "Timeout",
    "Post an element message, GstNdshSrcTimeout, each time that no frame has come for as "
    "long (in nanoseconds, at least a millisecond); 0 for never. What it is when the wait "
    "for a frame begins counts",
    0, G_MAXUINT64, DEFAULT_TIMEOUT, live);
  /**
   * GstNdshSrc:max-rate:
   *
   * Since: 0.1
   */
  props[PROP_MAX_RATE] = gst_param_spec_fraction (
    "max-rate", "Maximum rate",
    "Skip frames so that no more than this many a second are shown, before anything is "
    "done with them; 0 for all. The framerate of the caps stays the writer's. Without "
    "effect on sound, and on encoded frames that refer to others",
    0, 1, G_MAXINT, 1, 0, 1, live);
  /**
   * GstNdshSrc:max-width:
   *
   * Since: 0.1
   */
  props[PROP_MAX_WIDTH] = g_param_spec_int (
    "max-width", "Maximum width",
    "More pixels of a row than this are of no use here, which the writer is told "
    "(max-width of ndshsink); frames come as it makes them all the same. 0 for any number",
    0, G_MAXINT, 0, live);
  /**
   * GstNdshSrc:max-height:
   *
   * Since: 0.1
   */
  props[PROP_MAX_HEIGHT] = g_param_spec_int (
    "max-height", "Maximum height", "The same for rows (max-height of ndshsink)", 0,
    G_MAXINT, 0, live);
  /**
   * GstNdshSrc:metas-as-events:
   *
   * Since: 0.1
   */
  props[PROP_METAS_AS_EVENTS] = g_param_spec_boolean (
    "metas-as-events", "Metas as events",
    "Before each buffer send its metas as a custom event, GstNdshMetas, of which ndshsink "
    "makes metas of the next frame: over a network by elements that keep events and no "
    "metas, as gdppay and gdpdepay",
    FALSE, open);
  /**
   * GstNdshSrc:array-caps:
   *
   * Since: 0.1
   */
  props[PROP_ARRAY_CAPS] = g_param_spec_boxed (
    "array-caps", "Array caps",
    "Caps of frames that are arrays without caps, as programs write them that know nothing "
    "of GStreamer; NULL for application/x-ndarray. Width, height and framerate of pictures "
    "may be left out, types and dimensions of tensors too: they are those of the arrays, as "
    "in video/x-raw,format=BGR or other/tensors. Frames that cannot be that are an error",
    GST_TYPE_CAPS, open);
  /**
   * GstNdshSrc:current-level-buffers:
   *
   * Since: 0.1
   */
  props[PROP_CURRENT_LEVEL_BUFFERS] = g_param_spec_uint (
    "current-level-buffers", "Current level buffers",
    "How far behind the writer this reader was when it took its last frame (in frames)", 0,
    G_MAXUINT, 0, read);
  /**
   * GstNdshSrc:connected:
   *
   * Since: 0.1
   */
  props[PROP_CONNECTED]
    = g_param_spec_boolean ("connected", "Connected",
                            "Whether there is a writer now", FALSE, read);
  /**
   * GstNdshSrc:stats:
   *
   * Since: 0.1
   */
  props[PROP_STATS] = g_param_spec_boxed (
    "stats", "Statistics",
    "frames-received; frames-missed, published but not received; frames-copied, "
    "because leases are scarce or downstream cannot cope with the layout; "
    "frames-skipped, received but too old, beyond max-rate, of before this pipeline "
    "played, or not to be decoded; lag in frames; leases and max-leases, frames held and at most; writer-pid",
    GST_TYPE_STRUCTURE, read);
  g_object_class_install_properties (klass, N_PROPS, props);
}

static void
stop (GstElement *element, gpointer data)
{
  (void) data;
  gst_element_set_state (element, GST_STATE_NULL);
}

/* --- ndsh://channel?property=value ---------------------------------------- */

static GstURIType
get_uri_type (GType type)
{
  (void) type;
  return GST_URI_SRC;
}

static const gchar *const *
get_protocols (GType type)
{
  static const gchar *const protocols[] = { "ndsh", NULL };

  (void) type;
  return protocols;
}

/* A path begins with '/', and so ndsh:///run/cam is the socket /run/cam. */
static gchar *
get_uri (GstURIHandler *handler)
{
  GstNdshSrc *self = GST_NDSH_SRC (handler);
  g_autofree char *escaped = NULL;

  GST_OBJECT_LOCK (self);
  escaped = g_uri_escape_string (self->channel, "/", FALSE);
  GST_OBJECT_UNLOCK (self);
  return g_strconcat ("ndsh://", escaped, NULL);
}

static gboolean
fail_uri (GError **error, const char *uri, const char *why)
{
  g_set_error (error, GST_URI_ERROR, GST_URI_ERROR_BAD_URI,
               "%s is no ndsh://channel?property=value: %s", uri, why);
  return FALSE;
}

static gboolean
set_property_from_uri (GstNdshSrc *self, const char *uri, const char *text,
                       GError **error)
{
  g_auto (GStrv) parts = g_strsplit (text, "=", 2);
  GParamSpec *pspec = g_object_class_find_property (G_OBJECT_GET_CLASS (self), parts[0]);
  g_autofree char *value_text
    = parts[1] != NULL ? g_uri_unescape_string (parts[1], NULL) : NULL;
  g_auto (GValue) value = G_VALUE_INIT;

  if (pspec == NULL || (pspec->flags & G_PARAM_WRITABLE) == 0 || value_text == NULL)
    return fail_uri (error, uri, text);
  g_value_init (&value, pspec->value_type);
  if (!gst_value_deserialize (&value, value_text)
      || g_param_value_validate (pspec, &value))
    return fail_uri (error, uri, text);
  g_object_set_property (G_OBJECT (self), parts[0], &value);
  return TRUE;
}

static gboolean
set_uri (GstURIHandler *handler, const gchar *uri, GError **error)
{
  GstNdshSrc *self = GST_NDSH_SRC (handler);
  g_auto (GStrv) parts = g_strsplit (uri, "?", 2);
  g_auto (GStrv) settings = NULL;
  g_autofree char *channel = NULL;
  gboolean done = TRUE;

  if (g_ascii_strncasecmp (parts[0], "ndsh://", 7) == 0)
    channel = g_uri_unescape_string (parts[0] + 7, NULL);
  if (channel == NULL || *channel == '\0')
    return fail_uri (error, uri, "it names no channel");
  g_object_set (self, "channel", channel, NULL);
  GST_OBJECT_LOCK (self);
  self->has_uri = TRUE;
  GST_OBJECT_UNLOCK (self);
  settings = g_strsplit (parts[1] != NULL ? parts[1] : "", "&", -1);
  for (guint i = 0; settings[i] != NULL && done; i++)
    done = set_property_from_uri (self, uri, settings[i], error);
  return done;
}

static void
uri_handler_init (gpointer iface, gpointer data)
{
  GstURIHandlerInterface *handler = iface;

  (void) data;
  handler->get_type = get_uri_type;
  handler->get_protocols = get_protocols;
  handler->get_uri = get_uri;
  handler->set_uri = set_uri;
}

/* A program may drop its pipeline without stopping it first, as where it is interrupted
 * while we wait for a writer. GStreamer says that it must not, and frees what our thread
 * uses all the same; so that thread is ended, unless it is where we cannot reach it. It
 * may be the one that let go last, of a message that it has just posted: then another
 * does that, and has the element until it is done. */
static void
gst_ndsh_src_dispose (GObject *object)
{
  GstElement *element = GST_ELEMENT (object);
  GstNdshSrc *self = GST_NDSH_SRC (object);

  if (GST_STATE (element) != GST_STATE_NULL && !g_atomic_int_get (&self->is_downstream)) {
    if (g_atomic_pointer_get (&self->thread) == g_thread_self ()) {
      gst_element_call_async (element, stop, NULL, NULL);
      return;
    }
    stop (element, NULL);
  }
  G_OBJECT_CLASS (gst_ndsh_src_parent_class)->dispose (object);
}

static void
gst_ndsh_src_finalize (GObject *object)
{
  GstNdshSrc *self = GST_NDSH_SRC (object);

  /* Up to 1.18 the base class still calls us from its own. */
  G_OBJECT_CLASS (gst_ndsh_src_parent_class)->finalize (object);
  g_free (self->channel);
  g_free (self->description);
  gst_ndsh_incoming_free (self->incoming);
  gst_caps_replace (&self->caps, NULL);
  gst_caps_replace (&self->array_caps, NULL);
}

static void
gst_ndsh_src_init (GstNdshSrc *self)
{
  self->channel = g_strdup (DEFAULT_CHANNEL);
  self->leaky_type = DEFAULT_LEAKY_TYPE;
  self->max_buffers = DEFAULT_MAX_BUFFERS;
  self->max_age = DEFAULT_MAX_AGE;
  self->on_disconnect = DEFAULT_ON_DISCONNECT;
  self->ignore_eos = DEFAULT_IGNORE_EOS;
  self->follow_flush = DEFAULT_FOLLOW_FLUSH;
  self->timeout = DEFAULT_TIMEOUT;
  self->max_rate_d = 1;
  self->latency = GST_CLOCK_TIME_NONE;
  self->is_expected = TRUE;
  self->incoming = gst_ndsh_incoming_new (GST_BASE_SRC_CAST (self));
  gst_pad_add_probe (GST_BASE_SRC_PAD (self), GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM,
                     on_query, NULL, NULL);
  gst_base_src_set_format (GST_BASE_SRC_CAST (self), GST_FORMAT_TIME);
  gst_base_src_set_live (GST_BASE_SRC_CAST (self), DEFAULT_IS_LIVE);
}

static void
gst_ndsh_src_class_init (GstNdshSrcClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstBaseSrcClass *src_class = GST_BASE_SRC_CLASS (klass);

  GST_DEBUG_CATEGORY_INIT (gst_ndsh_src_debug, "ndshsrc", 0, "ndsh source");

  object_class->set_property = gst_ndsh_src_set_property;
  object_class->get_property = gst_ndsh_src_get_property;
  object_class->dispose = gst_ndsh_src_dispose;
  object_class->finalize = gst_ndsh_src_finalize;
  install_properties (object_class);
#if GST_CHECK_VERSION(1, 18, 0)
  gst_type_mark_as_plugin_api (GST_TYPE_NDSH_SRC_LEAKY_TYPE, 0);
  gst_type_mark_as_plugin_api (GST_TYPE_NDSH_SRC_ON_DISCONNECT, 0);
#endif

  element_class->change_state = GST_DEBUG_FUNCPTR (gst_ndsh_src_change_state);
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (
    element_class, "Shared memory source", "Source",
    "Gets a stream that another process shares by name, without copies",
    "The ndsh developers");

  src_class->start = GST_DEBUG_FUNCPTR (gst_ndsh_src_start);
  src_class->stop = GST_DEBUG_FUNCPTR (gst_ndsh_src_stop);
  src_class->unlock = GST_DEBUG_FUNCPTR (gst_ndsh_src_unlock);
  src_class->unlock_stop = GST_DEBUG_FUNCPTR (gst_ndsh_src_unlock_stop);
  src_class->is_seekable = GST_DEBUG_FUNCPTR (gst_ndsh_src_is_seekable);
  src_class->get_caps = GST_DEBUG_FUNCPTR (gst_ndsh_src_get_caps);
  src_class->negotiate = GST_DEBUG_FUNCPTR (gst_ndsh_src_negotiate);
  src_class->decide_allocation = GST_DEBUG_FUNCPTR (gst_ndsh_src_decide_allocation);
  src_class->event = GST_DEBUG_FUNCPTR (gst_ndsh_src_event);
  src_class->query = GST_DEBUG_FUNCPTR (gst_ndsh_src_query);
  GST_PUSH_SRC_CLASS (klass)->create = GST_DEBUG_FUNCPTR (gst_ndsh_src_create);
}
