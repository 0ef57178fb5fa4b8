/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A leased frame, made from a record that was checked. */
#ifndef NDSH_FRAME_H
#define NDSH_FRAME_H

#include "link.h"

/* What a reader keeps from one frame to the next, to save allocations. */
typedef struct {
  guint8 *tail;                 /* NDSH_MAX_TAIL bytes, or NULL */
  GBytes *description;          /* of the last frame, NUL included */
} NdshFrameCache;

void ndsh_frame_cache_clear (NdshFrameCache *cache);

/* Takes the lease, but not on failure: INCOMPATIBLE if its record, or what it says of
 * @segment, cannot be; NULL and no error if it is a copy, and the frame went before it
 * was copied, or there is no memory for it. */
NdshFrame *ndsh_frame_new (NdshLink *link, NdshSegment *segment,
                           const NdshLease *lease, NdshFrameCache *cache,
                           GError **error);

/* Whether all that the record of @lease says can be, in so large a segment. */
gboolean ndsh_frame_check_record (const NdshLease *lease, gsize segment_size);

#endif
