/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A leased frame, made from a record that was checked. */
#ifndef NDSH_FRAME_H
#define NDSH_FRAME_H

#include "link.h"

/* What frames of one link look like. */
typedef struct _NdshFormat NdshFormat;

void ndsh_format_unref (NdshFormat *format);

/* @last: the format of the last frame of @link, or NULL; becomes that of this one.
 * Takes the lease, but not on failure: INCOMPATIBLE if its record, or what it says of
 * @segment, cannot be; NULL and no error if it is a copy, and the frame went before it
 * was copied, or there is no memory for it. */
NdshFrame *ndsh_frame_new (NdshLink *link, NdshSegment *segment,
                           const NdshLease *lease, NdshFormat **last,
                           GError **error);

/* Whether all that the record of @lease says can be, in so large a segment. */
gboolean ndsh_frame_check_record (const NdshLease *lease, gsize segment_size);

#endif
