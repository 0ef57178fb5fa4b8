/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Everything that comes from the writer is checked here before anything is built
 * on it, but for the records of frames, which frame.c checks one by one.
 */
#include "link.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "lifeline.h"
#include "rendezvous.h"
#include "wake.h"

static gboolean
refuse (GError **error, const char *what)
{
  g_set_error (error, NDSH_ERROR, NDSH_ERROR_INCOMPATIBLE,
               "the writer sent %s that cannot be", what);
  return FALSE;
}

static gboolean
check_welcome (const NdshWelcome *welcome, GError **error)
{
  return (welcome->mode <= NDSH_READ_LOSSLESS && welcome->queue_length >= 1
          && welcome->queue_length <= NDSH_MAX_QUEUE && welcome->max_leases >= 1
          && welcome->max_leases <= NDSH_HAZARDS && (welcome->cursor & 1) == 1
          && welcome->control_size >= sizeof (NdshControl)
          && welcome->page_size >= sizeof (NdshLeasePage))
         || refuse (error, "a grant");
}

static gboolean
check_control (const NdshControl *control, GError **error)
{
  return (control->magic == NDSH_MAGIC && control->major == NDSH_MAJOR
          && control->record_size == sizeof control->slot[0]
          && control->n_slots == NDSH_N_SLOTS
          && control->ring_size == NDSH_RING
          && control->byte_order == 0x01020304)
         || refuse (error, "a control page");
}

static NdshSegment *
open_fd (NdshMessage *message, guint i, guint64 size, gsize max_hole,
         NdshSegmentAccess access, GError **error)
{
  int fd = message->fds[i];

  message->fds[i] = -1;
  return ndsh_segment_open (fd, size, max_hole, access, error);
}

static gboolean
join (NdshLink *link, NdshMessage *message, GError **error)
{
  const NdshWelcome *welcome = &message->body.welcome;
  const NdshControl *control;

  if (!check_welcome (welcome, error))
    return FALSE;
  link->control = open_fd (message, 0, welcome->control_size, 0,
                           NDSH_SEGMENT_READ, error);
  if (link->control == NULL)
    return FALSE;
  control = link->control->data;
  if (!check_control (control, error))
    return FALSE;
  link->page = open_fd (message, 1, welcome->page_size, 0,
                        NDSH_SEGMENT_SHARED, error);
  if (link->page == NULL)
    return FALSE;
  if (!ndsh_bell_check (message->fds[2]))
    return refuse (error, "a bell");
  link->bell_fd = message->fds[2];
  message->fds[2] = -1;

  ndsh_stream_id_copy (link->stream_id, control->stream_id);
  link->leases.mode = welcome->mode;
  link->leases.queue_length = welcome->queue_length;
  link->leases.n_leases = welcome->max_leases;
  link->ends = welcome->ends;
  link->n_segments_at_first = welcome->n_segments;
  ndsh_leases_init (&link->leases, control, link->page->data, welcome->cursor);
  return TRUE;
}

NdshLink *
ndsh_link_new (int fd, NdshMessage *welcome, GError **error)
{
  NdshLink *link = g_new0 (NdshLink, 1);

  link->refs = 1;
  link->fd = link->bell_fd = -1;
  link->process = ndsh_lifeline_watch ();
  if (!join (link, welcome, error)) {
    ndsh_link_unref (link);
    return NULL;
  }
  link->fd = fd;
  ndsh_peer_get (fd, &link->pid, &link->uid);
  return link;
}

NdshLink *
ndsh_link_ref (NdshLink *link)
{
  g_atomic_int_inc (&link->refs);
  return link;
}

static void
copy_free (NdshCopy *copy)
{
  if (copy != NULL)
    free (copy->data);
  g_free (copy);
}

void
ndsh_link_unref (NdshLink *link)
{
  if (link == NULL || !g_atomic_int_dec_and_test (&link->refs))
    return;
  for (guint i = 0; i < NDSH_N_SLOTS; i++)
    ndsh_segment_unref (link->slot[i].segment);
  ndsh_segment_unref (link->control);
  ndsh_segment_unref (link->page);
  ndsh_lifeline_close (link->fd);
  if (link->bell_fd >= 0)
    close (link->bell_fd);
  copy_free (link->spare);
  g_free (link->spare_frame);
  g_free (link);
}

/* The one before is unmapped here, or with the last frame in it. */
static gboolean
take_segment (NdshLink *link, NdshMessage *message, GError **error)
{
  const NdshSegmentMessage *body = &message->body.segment;
  NdshSegment *segment = NULL;

  if (body->slot >= NDSH_N_SLOTS)
    return refuse (error, "a slot");
  if (body->size > 0) {
    segment = open_fd (message, 0, body->size,
                       NDSH_MAX_TAIL + ndsh_page_align (1), NDSH_SEGMENT_READ,
                       error);
    if (segment == NULL)
      return FALSE;
  }
  ndsh_segment_unref (link->slot[body->slot].segment);
  link->slot[body->slot].segment = segment;
  link->slot[body->slot].generation = body->generation;
  ndsh_leases_set_segments_handled (&link->leases, ++link->n_segments_handled);

  /* What the writer replaced may have kept it from replacing more. */
  ndsh_link_ring (link);
  return TRUE;
}

static gboolean
obey (NdshLink *link, NdshMessage *message, GError **error)
{
  switch (message->type) {
  case NDSH_MESSAGE_WAKE:
    return TRUE;
  case NDSH_MESSAGE_SEGMENT:
    return take_segment (link, message, error);
  default:
    return refuse (error, "a message");
  }
}

/* Bounded, or a writer that sends without end would keep a wait from its
 * time-out. */
static gboolean
hear (NdshLink *link, gboolean all, GError **error)
{
  for (guint n = 0; n < 4 * NDSH_N_SLOTS && !link->gone; n++) {
    NdshMessage message;
    NdshIo io = ndsh_message_receive (link->fd, &message, error);
    gboolean good = io != NDSH_IO_BAD;

    if (io == NDSH_IO_AGAIN)
      return TRUE;
    if (io == NDSH_IO_DONE) {
      good = obey (link, &message, error);
      ndsh_message_clear (&message);
    }
    link->gone = io == NDSH_IO_GONE || !good;
    /* No announcement will come that could end it. */
    if (link->gone)
      link->leases.stalled = 0;
    if (!good)
      return FALSE;
    if (!all && message.type == NDSH_MESSAGE_WAKE)
      return TRUE;
  }
  return TRUE;
}

gboolean
ndsh_link_drain (NdshLink *link, GError **error)
{
  return hear (link, TRUE, error);
}

gboolean
ndsh_link_hear (NdshLink *link, GError **error)
{
  return hear (link, FALSE, error);
}

NdshSegment *
ndsh_link_find_segment (NdshLink *link, const NdshLease *lease)
{
  NdshSegment *segment = link->slot[lease->slot].segment;

  return segment != NULL
             && link->slot[lease->slot].generation == lease->record.generation
           ? segment
           : NULL;
}

void
ndsh_link_ring (NdshLink *link)
{
  if (ndsh_wake_writer_sleeps (link->leases.control))
    ndsh_wake_ring (link->fd);
}

void
ndsh_link_ring_for_room (NdshLink *link)
{
  if (ndsh_wake_writer_sleeps (link->leases.control)
      && !ndsh_leases_have_backlog (&link->leases))
    ndsh_wake_ring (link->fd);
}

void
ndsh_link_release (NdshLink *link, guint32 hazard)
{
  ndsh_leases_release (&link->leases, hazard);
  ndsh_link_ring_for_room (link);
}

/* --- Copies --------------------------------------------------------------- */

NdshCopy *
ndsh_link_take_copy (NdshLink *link, gsize size)
{
  NdshCopy *copy = g_atomic_pointer_get (&link->spare);

  if (copy != NULL && g_atomic_pointer_compare_and_exchange (&link->spare, copy, NULL)) {
    /* Nor is much kept for small frames. */
    if (copy->size >= size && copy->size / 2 <= size)
      return copy;
    copy_free (copy);
  }
  copy = g_new (NdshCopy, 1);
  copy->size = size;
  if (posix_memalign (&copy->data, ndsh_page_align (1), MAX (size, 1)) == 0)
    return copy;
  g_free (copy);
  return NULL;
}

void
ndsh_link_give_copy (NdshLink *link, NdshCopy *copy)
{
  if (copy != NULL
      && !g_atomic_pointer_compare_and_exchange (&link->spare, NULL, copy))
    copy_free (copy);
}
