/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hides in which order, and by which way, events can go down the pad of a base source: it
 * starts a stream and a segment by itself, lets some events go behind those if it is asked
 * to, and knows nothing of others.
 *
 * Its start of a stream is held back until it is known what the writer's pipeline calls it:
 * elements take two in a row for two streams. The next writer goes on with the same.
 */
#include "gstndshincoming.h"

#include "gstndshevents.h"
#include "gstndshtime.h"

/* Of a frame's own, while none is shown. */
#define MAX_WAITING 256

/* Custom events that stay on a pad: it keeps each name's last for ever, and looks through
 * all for each. */
#define MAX_STICKY 64

struct _GstNdshIncoming {
  GstBaseSrc *src;
  GByteArray *given;            /* the stream's metadata whose events were taken last */
  GQueue waiting;               /* GstEvent *, for caps and a frame that is shown */
  gboolean was_flushed;
  gboolean has_begun;           /* a start of the stream has gone */
  gboolean is_next_writer;      /* than that of the last events */
};

static GstPadProbeReturn on_event (GstPad *pad, GstPadProbeInfo *info, gpointer data);

GstNdshIncoming *
gst_ndsh_incoming_new (GstBaseSrc *src)
{
  GstNdshIncoming *incoming = g_new0 (GstNdshIncoming, 1);

  incoming->src = src;
  incoming->given = g_byte_array_new ();
  g_queue_init (&incoming->waiting);
  gst_pad_add_probe (GST_BASE_SRC_PAD (src), GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, on_event,
                     incoming, NULL);
  return incoming;
}

void
gst_ndsh_incoming_reset (GstNdshIncoming *incoming)
{
  GstEvent *event;

  while ((event = g_queue_pop_head (&incoming->waiting)) != NULL)
    gst_event_unref (event);
  g_byte_array_set_size (incoming->given, 0);
  incoming->was_flushed = incoming->has_begun = incoming->is_next_writer = FALSE;
}

void
gst_ndsh_incoming_free (GstNdshIncoming *incoming)
{
  gst_ndsh_incoming_reset (incoming);
  g_byte_array_unref (incoming->given);
  g_free (incoming);
}

void
gst_ndsh_incoming_take (GstNdshIncoming *incoming, const guint8 *metadata, gsize size)
{
  GList *events = gst_ndsh_events_read (metadata, size);

  for (GList *l = events; l != NULL; l = l->next) {
    incoming->was_flushed |= GST_EVENT_TYPE (l->data) == GST_EVENT_FLUSH_STOP;
    if (GST_EVENT_TYPE (l->data) == GST_EVENT_FLUSH_STOP
        || incoming->waiting.length == MAX_WAITING)
      gst_event_unref (l->data);
    else
      g_queue_push_tail (&incoming->waiting, l->data);
  }
  g_list_free (events);
}

gboolean
gst_ndsh_incoming_was_flushed (GstNdshIncoming *incoming)
{
  gboolean was_flushed = incoming->was_flushed;

  incoming->was_flushed = FALSE;
  return was_flushed;
}

static gboolean
push (GstNdshIncoming *incoming, GstEvent *event)
{
  return gst_pad_push_event (GST_BASE_SRC_PAD (incoming->src), event);
}

void
gst_ndsh_incoming_push_segment (GstNdshIncoming *incoming)
{
  GstBaseSrc *src = incoming->src;

#if GST_CHECK_VERSION(1, 18, 0)
  gst_base_src_new_segment (src, &src->segment);
#else
  push (incoming, gst_event_new_segment (&src->segment));
#endif
}

void
gst_ndsh_incoming_flush (GstNdshIncoming *incoming)
{
  push (incoming, gst_event_new_flush_start ());
  push (incoming, gst_event_new_flush_stop (FALSE));
  gst_ndsh_incoming_push_segment (incoming);
}

static gboolean
has_sticky (GstNdshIncoming *incoming, GstEventType type, guint n)
{
  GstEvent *event
    = gst_pad_get_sticky_event (GST_BASE_SRC_PAD (incoming->src), type, n);

  if (event == NULL)
    return FALSE;
  gst_event_unref (event);
  return TRUE;
}

/* Takes @event. In the group of the base class's stream; and what belongs to a stream
 * comes again. */
static void
push_start (GstNdshIncoming *incoming, GstEvent *event)
{
  GstPad *pad = GST_BASE_SRC_PAD (incoming->src);
  GstEvent *last = gst_pad_get_sticky_event (pad, GST_EVENT_STREAM_START, 0);
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (pad);
  guint group_id;

  if (last == NULL || !gst_event_parse_group_id (last, &group_id))
    group_id = gst_util_group_id_next ();
  gst_event_set_group_id (event, group_id);
  incoming->has_begun = TRUE;
  push (incoming, event);
  if (caps != NULL)
    push (incoming, gst_event_new_caps (caps));
  if (has_sticky (incoming, GST_EVENT_SEGMENT, 0))
    gst_ndsh_incoming_push_segment (incoming);
  g_clear_pointer (&last, gst_event_unref);
}

/* What the base class calls it. */
static void
push_own_start (GstNdshIncoming *incoming)
{
  GstEvent *last = gst_pad_get_sticky_event (GST_BASE_SRC_PAD (incoming->src),
                                             GST_EVENT_STREAM_START, 0);

  if (last == NULL)
    return;
  incoming->has_begun = TRUE;
  push (incoming, gst_event_copy (last));
  gst_event_unref (last);
}

/* An EOS may come before the first frame. */
static GstPadProbeReturn
on_event (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstNdshIncoming *incoming = data;
  GstEvent *event = GST_PAD_PROBE_INFO_EVENT (info);

  (void) pad;
  if (incoming->has_begun)
    return GST_PAD_PROBE_OK;
  if (GST_EVENT_TYPE (event) == GST_EVENT_STREAM_START)
    return GST_PAD_PROBE_DROP;
  if (GST_EVENT_TYPE (event) == GST_EVENT_EOS)
    push_own_start (incoming);
  return GST_PAD_PROBE_OK;
}

void
gst_ndsh_incoming_note_writer (GstNdshIncoming *incoming)
{
  incoming->is_next_writer = TRUE;
}

void
gst_ndsh_incoming_begin (GstNdshIncoming *incoming, const guint8 *metadata, gsize size)
{
  GList *events = gst_ndsh_events_read_of_stream (metadata, size, incoming->given);

  if (events != NULL && GST_EVENT_TYPE (events->data) == GST_EVENT_STREAM_START) {
    if (incoming->has_begun && incoming->is_next_writer)
      gst_event_unref (events->data);
    else
      push_start (incoming, events->data);
    events = g_list_delete_link (events, events);
  }
  if (!incoming->has_begun)
    push_own_start (incoming);
  incoming->is_next_writer = FALSE;
  /* Before those of the frame. */
  for (GList *l = g_list_last (events); l != NULL; l = l->prev)
    g_queue_push_head (&incoming->waiting, l->data);
  g_list_free (events);
}

/* Takes @event. */
static void
push_gap (GstNdshIncoming *incoming, GstEvent *event, gint64 shift)
{
  GstClockTime start, duration;

  gst_event_parse_gap (event, &start, &duration);
  gst_event_unref (event);
  if (shift == GST_CLOCK_STIME_NONE || !gst_ndsh_time_is_sane ((gint64) start)
      || (gint64) start + shift < 0
      || !has_sticky (incoming, GST_EVENT_SEGMENT, 0))
    return;
  push (incoming, gst_event_new_gap ((GstClockTime) ((gint64) start + shift), duration));
}

/* Takes @event. */
static void
push_sticky (GstNdshIncoming *incoming, GstEvent *event)
{
  if (!has_sticky (incoming, GST_EVENT_CUSTOM_DOWNSTREAM_STICKY, MAX_STICKY - 1)) {
    push (incoming, event);
    return;
  }
  GST_LOG_OBJECT (incoming->src, "a sticky event is one of more than %d", MAX_STICKY);
  gst_event_unref (event);
}

/* Takes @event. It goes behind the segment, which may not have gone yet. */
static void
send (GstNdshIncoming *incoming, GstEvent *event)
{
  GstElement *element = GST_ELEMENT_CAST (incoming->src);

  GST_ELEMENT_GET_CLASS (element)->send_event (element, event);
}

void
gst_ndsh_incoming_push_metas (GstNdshIncoming *incoming, guint64 number,
                              const guint8 *metadata, gsize size)
{
  send (incoming, gst_ndsh_events_new_metas (number, metadata, size));
}

void
gst_ndsh_incoming_push (GstNdshIncoming *incoming, gint64 shift)
{
  GstEvent *event;

  while ((event = g_queue_pop_head (&incoming->waiting)) != NULL) {
    GST_DEBUG_OBJECT (incoming->src, "event %" GST_PTR_FORMAT, (gpointer) event);
    switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_TAG:
    case GST_EVENT_CUSTOM_DOWNSTREAM:
      send (incoming, event);
      break;
    case GST_EVENT_GAP:
      push_gap (incoming, event, shift);
      break;
    case GST_EVENT_CUSTOM_DOWNSTREAM_STICKY:
      push_sticky (incoming, event);
      break;
    default:
      push (incoming, event);
      break;
    }
  }
}
