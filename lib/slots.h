/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Which slot is draft, frame or free, and who holds a lease: hazard pointers
 * (M. Michael, 2004) without a lock between writer and readers. All that is said
 * about order between processes is said here and in wake.h.
 *
 * The writer's functions want its mutex held; a reader's are for one thread, but
 * for ndsh_leases_release ().
 */
#ifndef NDSH_SLOTS_H
#define NDSH_SLOTS_H

#include <stdbool.h>

#include "layout.h"

/* --- The writer's side ---------------------------------------------------- */

/* What the writer remembers of a slot; no peer can reach it. */
typedef struct {
  uint64_t capacity;        /* bytes of payload that fit */
  uint64_t bytes;           /* that it costs */
  uint64_t frame;           /* number of the frame in it, 0 if none */
  uint32_t state;           /* what state_seq is while it holds that */
  bool leasable;            /* readers may lease it, or do */
  bool held;                /* a draft, or a frame not yet released by its draft */
} NdshSlot;

/* A reader on the writer's list. */
typedef struct NdshSlotsReader NdshSlotsReader;
struct NdshSlotsReader {
  NdshSlotsReader *next;
  NdshLeasePage *page;
  uint32_t mode;            /* NdshReadMode as granted */
  uint32_t queue_length;    /* frames it may be behind */
  uint32_t n_leases;
  uint32_t cursor;          /* word of the last frame it is known to have had */
  uint32_t ends;            /* when it joined: those before its first frame */
};

typedef struct {
  NdshControl *control;
  NdshSlotsReader *readers;
  uint64_t first;           /* number of the first frame */
  uint64_t published;       /* and of the newest */
  uint32_t ends;            /* so far; each lies between two frames */
  uint32_t ends_before;     /* those before the newest frame */
  uint32_t history;
  uint32_t max_leasable;    /* slots that readers may keep from the writer together, */
  uint64_t max_leasable_bytes;  /* and what those may cost */
  uint32_t n_leasable;
  uint64_t leasable_bytes;
  uint32_t n_slots;
  NdshSlot slot[NDSH_N_SLOTS];
} NdshSlots;

/* The next frame published is @first. */
void ndsh_slots_init (NdshSlots *slots, NdshControl *control, uint32_t history,
                      uint64_t first);

/* The same, of a stream that goes on, and had @ends before. Before any reader comes. */
void ndsh_slots_set_ends (NdshSlots *slots, uint32_t ends);

/* Puts @reader on the list with the newest frame still to come, or as many as are kept
 * and it queues. Before the reader hears of it: a claim that missed it could take what
 * it leases. */
void ndsh_slots_join (NdshSlots *slots, NdshSlotsReader *reader);

/* What it held is free at once. Only when it is known to be gone. */
void ndsh_slots_leave (NdshSlots *slots, NdshSlotsReader *reader);

/* Makes the oldest slot that nobody holds, and that has room for @capacity bytes,
 * a draft. -1 if there is none. */
int ndsh_slots_claim (NdshSlots *slots, uint64_t capacity);

/* The same, and takes frames that were kept for queueing readers, which then miss
 * them: for a writer that has nothing else left, since it does not wait for them. */
int ndsh_slots_claim_queued (NdshSlots *slots, uint64_t capacity);

/* The same, and takes the history, but for the newest frame: for a writer that gets no
 * memory for another slot. */
int ndsh_slots_claim_history (NdshSlots *slots, uint64_t capacity);

/* Makes a new slot a draft; -1 if there are as many as can be of use. */
int ndsh_slots_add (NdshSlots *slots);

/* Frames cost @cost bytes from now on, and @max_bytes hold them all: divides what
 * readers may lease of that among them. At least half stays for what nobody leases, so
 * that there is a place for the newest frames and for a draft whatever readers do. */
void ndsh_slots_share (NdshSlots *slots, uint64_t max_bytes, uint64_t cost);

/* The draft becomes the newest frame; its record, with @slots' ends as they are now,
 * and its payload are complete. Readers can lease it if that keeps within what they
 * may lease together; else they copy it. */
uint64_t ndsh_slots_publish (NdshSlots *slots, int slot);

/* The writer's side lets go of a draft or of a frame. */
void ndsh_slots_release (NdshSlots *slots, int slot);

/* Takes note of what lossless readers have had since the last call. Returns how
 * many frames the slowest of them is behind, drafts counted; at NDSH_RING it would
 * lose one. -1 if there is no such reader. */
int ndsh_slots_lossless_lag (NdshSlots *slots);

bool ndsh_slots_reader_is_lossless (const NdshSlotsReader *reader);

/* It is a queueing reader from now on. */
void ndsh_slots_demote (NdshSlotsReader *reader, uint32_t queue_length);

uint32_t ndsh_slots_count_leases (const NdshSlotsReader *reader);

/* Frames published since the last one it had, as far as it says. */
uint32_t ndsh_slots_get_lag (const NdshSlots *slots, NdshSlotsReader *reader);

/* It wants no more frames, though it may hold some. */
bool ndsh_slots_reader_has_left (const NdshSlotsReader *reader);

/* It has, and said that it joins again at once. */
bool ndsh_slots_reader_comes_back (const NdshSlotsReader *reader);

/* More than this is of no use to a reader; 0: all is. As NdshLeasePage has it. */
typedef struct {
  uint32_t max_rate;
  uint32_t max_width;
  uint32_t max_height;
} NdshWish;

/* What a reader says of itself; it may lie. */
typedef struct {
  uint32_t delivered;
  uint32_t missed;
  uint32_t copied;
  uint32_t segments_handled;
  uint32_t key_requests;
  NdshWish wish;
} NdshSlotsReport;

NdshSlotsReport ndsh_slots_get_report (const NdshSlotsReader *reader);

/* How far behind it wants to be; any number, 0 if it did not say. */
uint32_t ndsh_slots_get_wanted_queue (const NdshSlotsReader *reader);

/* Nothing follows the newest frame for now. Said twice it is one end. */
void ndsh_slots_end (NdshSlots *slots);

/* --- A reader's side ------------------------------------------------------ */

typedef struct {
  const NdshControl *control;
  NdshLeasePage *page;
  uint32_t mode;            /* NdshReadMode as granted */
  uint32_t queue_length;
  uint32_t n_leases;        /* at most NDSH_HAZARDS */
  uint32_t had;             /* word of the last frame it took or gave up */
  uint32_t taken;           /* word of the last frame it took */
  uint32_t stalled;         /* head when nothing could be used; 0: it can */
  bool copied_too_late;     /* one went meanwhile, and it has not caught up since */
  uint64_t delivered;
  uint64_t missed;
  uint64_t copied;          /* of those delivered */
  shared_u32 used[NDSH_HAZARDS / 32];   /* which hazards are out: process-private */
} NdshLeases;

typedef struct {
  uint32_t hazard;
  uint32_t slot;
  uint32_t word;
  uint32_t head;            /* the newest when it was found */
  bool is_copy;             /* nothing keeps the frame: see ndsh_leases_confirm () */
  NdshFrameRecord record;   /* a copy, not yet checked */
} NdshLease;

/* The rest of @leases is the caller's to fill. The next frame is the one after
 * @cursor. */
void ndsh_leases_init (NdshLeases *leases, const NdshControl *control,
                       NdshLeasePage *page, uint32_t cursor);

/* It had taken frame @taken of the same stream before: that one, and what came before
 * it, is not new; what came after it, and is lost, was missed. */
void ndsh_leases_resume (NdshLeases *leases, uint32_t taken);

/* How many ends there were. After this shows one, ndsh_leases_have_new () knows of
 * every frame before it. */
uint32_t ndsh_leases_get_ends (const NdshLeases *leases);

/* Whether the writer has published at all. */
bool ndsh_leases_have_any (const NdshLeases *leases);

/* Whether there is a frame after the last one had, and no stall. */
bool ndsh_leases_have_new (const NdshLeases *leases);

uint32_t ndsh_leases_get_lag (const NdshLeases *leases);

/* Frames that the writer's memory can keep, as it says; 0 if it did not. */
uint32_t ndsh_leases_get_room (const NdshLeases *leases);

/* More than half of the queue of a reader that wants every frame: it will take those, so
 * the writer need not be woken for each place that becomes free. From any thread. */
bool ndsh_leases_have_backlog (const NdshLeases *leases);

/* Nothing can be used until more is known of the writer's memory. */
bool ndsh_leases_are_stalled (const NdshLeases *leases);

bool ndsh_leases_are_out (const NdshLeases *leases);
uint32_t ndsh_leases_count (const NdshLeases *leases);

/* Leases the next frame as the mode has it, or finds it to be copied, where leases are
 * scarce. What to do with it is said next. */
bool ndsh_leases_find (NdshLeases *leases, NdshLease *lease);

/* Whether all that was copied of a frame since it was found is of that frame. */
bool ndsh_leases_confirm (const NdshLeases *leases, const NdshLease *lease);

/* It counts as had. */
void ndsh_leases_take (NdshLeases *leases, const NdshLease *lease);

/* It cannot be used: released, and given up for good; or released, and found again
 * once there is a newer one or the stall is over. */
void ndsh_leases_skip (NdshLeases *leases, const NdshLease *lease);
void ndsh_leases_stall (NdshLeases *leases, const NdshLease *lease);

/* From now on this reader is up to @queue_length frames behind. */
void ndsh_leases_set_queue_length (NdshLeases *leases, uint32_t queue_length);

/* Before a reader has its page. */
void ndsh_slots_init_wish (NdshSlotsReader *reader, NdshWish wish);

/* What it wants at most, in frames a 1000 s, 0 for all; a hint. */
void ndsh_leases_set_wish (NdshLeases *leases, NdshWish wish);

/* Counts a wish for a frame that refers to no other. */
void ndsh_leases_request_key (NdshLeases *leases);

/* @n SEGMENT messages were handled, a stall may be over. */
void ndsh_leases_set_segments_handled (NdshLeases *leases, uint32_t n);

/* From any thread. */
void ndsh_leases_release (NdshLeases *leases, uint32_t hazard);

/* No more frames are wanted: the writer need not wait or wake. If @comes_back that is
 * until this reader has joined again. */
void ndsh_leases_leave (NdshLeases *leases, bool comes_back);

#endif
