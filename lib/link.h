/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A reader's hold on one writer: the socket, what was mapped, the leases. Frames
 * keep it, so it outlives the reader and the writer as long as one is held.
 */
#ifndef NDSH_LINK_H
#define NDSH_LINK_H

#include "message.h"
#include "segment.h"
#include "slots.h"

/* Memory that frames are copied to where they cannot be leased. */
typedef struct {
  gsize size;
  void *data;                   /* page-aligned */
} NdshCopy;

typedef struct {
  int refs;
  int fd;                       /* a lifeline: the writer frees the leases with it */
  int bell_fd;                  /* of which each ring may mean news */
  guint process;
  gint64 pid;
  gint64 uid;
  char stream_id[33];
  gboolean gone;                /* the writer has died, closed or lied */
  NdshSegment *control;
  NdshSegment *page;
  NdshLeases leases;
  guint32 n_segments_handled;
  guint32 n_segments_at_first;  /* that come without a frame's being new */
  guint32 ends;                 /* before the first frame that it can have */
  NdshCopy *spare;              /* of a frame that was released; atomic, or NULL */
  gpointer spare_frame;         /* such a frame itself; atomic, or NULL */
  struct {
    guint32 generation;
    NdshSegment *segment;
  } slot[NDSH_N_SLOTS];
} NdshLink;

/* From a WELCOME, whose fds it takes. @fd is taken if it succeeds. */
NdshLink *ndsh_link_new (int fd, NdshMessage *welcome, GError **error);
NdshLink *ndsh_link_ref (NdshLink *link);
void ndsh_link_unref (NdshLink *link);

/* Hears all that the writer has sent. Sets gone when it is; FALSE with @error
 * if that is for another reason than its end. */
gboolean ndsh_link_drain (NdshLink *link, GError **error);

/* The same, up to the first wake-up. Mostly that is all there is, and to look for more
 * would be a call for nothing. */
gboolean ndsh_link_hear (NdshLink *link, GError **error);

/* The memory of a leased frame; NULL if it is not known (yet). */
NdshSegment *ndsh_link_find_segment (NdshLink *link, const NdshLease *lease);

/* Gives the lease back, from any thread. */
void ndsh_link_release (NdshLink *link, guint32 hazard);

/* For @size bytes; NULL if there is no memory. What comes back is used again, for the
 * kernel fills new memory with zeros, which takes longer than the copy. From any
 * thread. */
NdshCopy *ndsh_link_take_copy (NdshLink *link, gsize size);
void ndsh_link_give_copy (NdshLink *link, NdshCopy *copy);

/* Wakes the writer if it waits for what this reader just did. */
void ndsh_link_ring (NdshLink *link);

/* The same after a frame was taken or given back, unless more of them are about to be. */
void ndsh_link_ring_for_room (NdshLink *link);

#endif
