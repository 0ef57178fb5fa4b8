/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What lib/reader.c and lib/link.c call while they are explored. They are compiled as
 * they are (reader.c and link.c here), but their atomics are steps of the machine, and
 * calls that would leave it come to explore.c instead: those below.
 */
#ifndef EXPLORED_H
#define EXPLORED_H

#include "atomics.h"

#include "../../lib/frame.h"
#include "../../lib/wake.h"

/* Joined, to a link whose fd says which reader it is. Any earlier one of this number is
 * no more. */
NdshReader *explored_reader_join (NdshLink *link);

/* Ends that it has told of, or that came before it. */
uint32_t explored_reader_get_told (const NdshReader *reader);

/* Its link stays where it is. */
void explored_reader_leave (NdshReader *reader);

bool explored_find (NdshLeases *leases, NdshLease *lease);
NdshFrame *explored_frame_new (NdshLink *link, NdshSegment *segment,
                               const NdshLease *lease, NdshFormat **last,
                               GError **error);
NdshIo explored_receive (int fd, NdshMessage *message, GError **error);
NdshSegment *explored_open (int fd, guint64 size, gsize max_hole,
                            NdshSegmentAccess access, GError **error);
void explored_unmap (NdshSegment *segment);
bool explored_sleep (NdshWaiter *waiter, int fd, int64_t deadline_us);
void explored_ring (int fd);

#ifdef EXPLORED
#define ndsh_leases_find explored_find
#define ndsh_frame_new explored_frame_new
#define ndsh_message_receive explored_receive
#define ndsh_segment_open explored_open
#define ndsh_segment_unref explored_unmap
#define ndsh_waiter_sleep explored_sleep
#define ndsh_wake_ring explored_ring
#endif

#endif
