/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Shared memory that nobody can pull away: made, sealed, mapped and checked here.
 * A segment is counted; the last unref unmaps it.
 */
#ifndef NDSH_SEGMENT_H
#define NDSH_SEGMENT_H

#include "ndsh.h"

typedef enum {
  NDSH_SEGMENT_READ,    /* readers get no way to write */
  NDSH_SEGMENT_SHARED   /* the one peer that gets it writes too */
} NdshSegmentAccess;

typedef struct {
  gpointer data;        /* page-aligned; the writer's can be written */
  gsize size;
  gsize committed;      /* bytes that have memory behind them (writer's side) */
  int fd;               /* what a peer gets; -1 at the reader's side */
  int refs;
} NdshSegment;

/* Memory for @committed bytes, filled with zeros and in no need of a page fault;
 * of @size bytes in all, to be committed later. MEMORY if there is not enough. */
NdshSegment *ndsh_segment_new (const char *name, gsize committed, gsize size,
                               NdshSegmentAccess access, GError **error);

/* Makes sure that the first @committed bytes can be written. */
gboolean ndsh_segment_commit (NdshSegment *segment, gsize committed,
                              GError **error);

/* Maps what a peer sent, once it is known to be @size bytes that can never become
 * fewer, no more than @max_hole of them without memory behind. Takes @fd. */
NdshSegment *ndsh_segment_open (int fd, guint64 size, gsize max_hole,
                                NdshSegmentAccess access, GError **error);

/* Whom a reader has to trust with NDSH_SEGMENT_READ, if @device is that of udmabuf. */
NdshTrust ndsh_segment_find_trust (const char *device);

/* Ends its use on this side; who has it otherwise, still has it. */
void ndsh_segment_unmap (NdshSegment *segment);

NdshSegment *ndsh_segment_ref (NdshSegment *segment);
void ndsh_segment_unref (NdshSegment *segment);

gsize ndsh_page_align (gsize size);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (NdshSegment, ndsh_segment_unref)

#endif
