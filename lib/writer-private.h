/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A writer, as the four files see it that make one:
 *
 *   writer.c     it starts and stops
 *   draft.c      drafts begin, are filled, published and released
 *   store.c      slots and their memory, within the bound
 *   audience.c   readers: who comes, what they are told, who goes
 *
 * One mutex makes begin, publish and the coming and going of readers one after the
 * other; no process but this one can hold it, and nothing that blocks happens under
 * it, but for the wait that a lossless reader asked for. Functions below want it
 * held.
 */
#ifndef NDSH_WRITER_PRIVATE_H
#define NDSH_WRITER_PRIVATE_H

#include <pthread.h>

#include "lifeline.h"
#include "rendezvous.h"
#include "segment.h"
#include "service.h"
#include "slots.h"
#include "wake.h"

/* The writer's part of a reader. */
typedef struct {
  NdshSlotsReader slots;        /* first: the list is of these */
  NdshGuest *guest;
  NdshSegment *page;
  NdshBell bell;
  guint asked_queue;
  guint32 seen_cursor;          /* to tell whether a lossless one moves */
  gint64 moved_us;
  guint32 n_sent;               /* SEGMENT messages */
  guint32 key_requests;         /* as far as they were heard, */
  NdshWish wish;                /* as this */
  gboolean is_followed;         /* it has left, and its process joined again */
  NdshSegment *told[NDSH_N_SLOTS];      /* what it knows of each slot */
  GQueue replaced;              /* Replaced *, which it may still map */
} Reader;

/* Mapped by a reader until it has handled the message that replaced it. */
typedef struct {
  NdshSegment *segment;
  guint32 message;
} Replaced;

typedef struct {
  NdshSegment *segment;         /* NULL before the first frame that fits none */
  guint32 generation;
  guint32 format;               /* that stands in its tail, 0 if none does */
} SlotMemory;

/* What frames look like: arrays, description and the stream's metadata, which tails begin
 * with. */
typedef struct {
  guint32 number;               /* 0 before the first */
  gboolean is_old;              /* description or metadata are others now */
  guint meaning;                /* the number of the description */
  guint n_arrays;
  NdshArrayInfo arrays[NDSH_MAX_ARRAYS];
  gsize reached;                /* bytes of payload that the arrays need */
  guint8 *packed;               /* as it stands in tails */
  gsize arrays_size;
  gsize description_size;
  gsize size;
} Format;

struct _NdshWriter {
  int refs;
  guint process;
  NdshWriterOptions options;
  char *channel;
  char stream_id[33];
  NdshName *name;
  NdshService *service;
  NdshSegment *control;

  pthread_mutex_t mutex;        /* of all below */
  pthread_cond_t changed;       /* a reader moved or went, a slot came free */
  gboolean flushing;
  gboolean closed;
  gboolean full;                /* somebody was told so and waits for notify */
  gint64 since_us;              /* when it began */
  gboolean was_read;            /* there is, or was, a reader */
  guint64 key_requests;         /* of readers for a frame that refers to no other */
  NdshSlots slots;
  SlotMemory memory[NDSH_N_SLOTS];
  guint64 max_bytes;            /* the bound on what follows, */
  guint64 frame_bytes;          /* and what a frame takes of it, 0 before the first */
  guint64 bytes;                /* committed, or about to be */
  gint64 short_since_us;        /* there was no memory for a slot last time; else 0 */
  GPtrArray *retired;           /* NdshSegment *, replaced and still referred to */
  Format format;                /* of the draft described last */
  NdshDraft *spare_draft;       /* one that was released, or NULL */
  gsize metadata_hint;          /* bytes to be ready for */
  char *description;
  gsize description_size;
  guint8 *metadata;             /* of the stream, or NULL */
  gsize metadata_size;
  guint meaning;                /* number of the description; from 1 on, */
  guint meaning_shown;          /* of the newest frame's; 0 before the first */
  gboolean is_watched;          /* by somebody who wants to know when that is another */
  NdshTiming timing;
};

static inline void
ndsh_writer_lock (NdshWriter *writer)
{
  pthread_mutex_lock (&writer->mutex);
}

static inline void
ndsh_writer_unlock (NdshWriter *writer)
{
  pthread_mutex_unlock (&writer->mutex);
}

static inline gboolean
ndsh_writer_is_forked (NdshWriter *writer)
{
  return writer->process != ndsh_lifeline_process ();
}

#define FOR_EACH_READER(writer, reader)                                        \
  for (Reader *reader = (Reader *) (writer)->slots.readers; reader != NULL;    \
       reader = (Reader *) reader->slots.next)

/* --- writer.c --- */

void ndsh_writer_unref (NdshWriter *writer);

/* Sets FORKED and returns FALSE. */
gboolean ndsh_writer_set_forked (NdshWriter *writer, GError **error);

/* --- store.c --- */

/* A draft with memory for @size bytes of payload and a tail like the last, or -1 as
 * ndsh_writer_begin () says. Gives the mutex up meanwhile. */
int ndsh_store_take_slot (NdshWriter *writer, gsize size, gboolean may_wait,
                          GError **error);

/* Whether there is memory behind the first @size bytes of the tail of @slot, a draft. */
gboolean ndsh_store_has_tail (NdshWriter *writer, int slot, gsize size);

/* Puts some there, where there is none. Gives the mutex up meanwhile. */
gboolean ndsh_store_commit_tail (NdshWriter *writer, int slot, gsize size,
                                 GError **error);

/* Bytes that were replaced and that a reader may still map. */
guint64 ndsh_store_count_retired (NdshWriter *writer);

/* --- audience.c --- */

extern const NdshServiceCallbacks ndsh_audience_callbacks;

/* Tells every reader where @slot lies now, or that it lies nowhere. */
void ndsh_audience_tell (NdshWriter *writer, int slot);

/* Lets go of what readers say they have unmapped. */
void ndsh_audience_hear_unmapped (NdshWriter *writer);

/* Takes note of how far behind queueing readers want to be. */
void ndsh_audience_hear_queues (NdshWriter *writer);

/* Wakes who sleeps. */
void ndsh_audience_ring (NdshWriter *writer);

/* Waits for a lossless reader to move; demotes one that has not since @since_us,
 * for its time. FALSE if no such reader is in the way. */
gboolean ndsh_audience_wait_for_lossless (NdshWriter *writer, gint64 since_us);

/* Before a frame is published: demotes readers that could not find their next one
 * any more. */
void ndsh_audience_demote_overrun (NdshWriter *writer);

/* Frames that readers hold. */
guint ndsh_audience_count_leases (NdshWriter *writer);

void ndsh_audience_clear (NdshWriter *writer);

#endif
