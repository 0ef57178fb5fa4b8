/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The life of a slot, in the order in which a frame lives it.
 *
 *   FREE  -> DRAFT   ndsh_slots_add, ndsh_slots_claim
 *   DRAFT -> FRAME   ndsh_slots_publish
 *   FRAME -> DRAFT   ndsh_slots_claim: no reader's hazard names it, the writer's
 *                    side has let go, and it is not one of the newest
 *   DRAFT -> FREE    ndsh_slots_release of what was never published
 *
 * Readers could keep every slot from the writer. So of the frames only so many can be
 * leased at a time that memory for the others stays; the rest are withdrawn: a reader
 * copies what it wants of them, and looks afterwards whether that was still the frame.
 *
 * Why a leased frame is safe: a reader announces (hazard := q), then checks
 * (state_seq == q); the writer invalidates (state_seq := 0), then looks for the
 * announcement. All four are sequentially consistent, so at least one of the two
 * sees what the other did: the reader gives up, or the writer puts the slot back.
 * Acquire and release would not do, on x86 either: a store may pass a later load.
 *
 * No system header is included, so that a test can compile this very file against
 * atomics of its own and run it through its schedules.
 */
#include "slots.h"

enum { MODE_LATEST, MODE_QUEUE, MODE_LOSSLESS };        /* NdshReadMode */

/* What a cursor is of a reader that has left. Words of frames are odd. */
enum { CURSOR_LEFT = 0, CURSOR_COMES_BACK = 2 };

/* --- Step 2: a slot becomes a draft --------------------------------------- */

void
ndsh_slots_init (NdshSlots *slots, NdshControl *control, uint32_t history,
                 uint64_t first)
{
  slots->control = control;
  slots->history = history;
  slots->first = first;
  slots->published = first - 1;
  slots->max_leasable = NDSH_MAX_LEASED;
  slots->max_leasable_bytes = UINT64_MAX;
}

void
ndsh_slots_set_ends (NdshSlots *slots, uint32_t ends)
{
  slots->ends = slots->ends_before = ends;

  /* Relaxed: who comes later finds it by the message that lets it in. */
  store_relaxed (&slots->control->ends, ends);
}

/* The slot of the oldest frame, of those that were published before @reader came, that
 * it has still to come; -1 if there is none. What is kept may be less than history. */
static int
find_first_frame (const NdshSlots *slots, const NdshSlotsReader *reader)
{
  uint64_t wanted = reader->mode == MODE_LATEST ? 1 : reader->queue_length;
  int found = -1;

  if (wanted > slots->history)
    wanted = slots->history;
  for (uint32_t i = 0; i < slots->n_slots; i++)
    if (slots->slot[i].frame != 0
        && slots->published - slots->slot[i].frame < wanted
        && (found < 0 || slots->slot[i].frame < slots->slot[found].frame))
      found = (int) i;
  return found;
}

void
ndsh_slots_join (NdshSlots *slots, NdshSlotsReader *reader)
{
  int first = find_first_frame (slots, reader);
  uint64_t last = first < 0 ? slots->published : slots->slot[first].frame - 1;

  reader->cursor = ndsh_word (last);
  reader->ends
    = first < 0 ? slots->ends_before : slots->control->slot[first].frame.ends;
  store_relaxed (&reader->page->cursor, reader->cursor);
  store_relaxed (&reader->page->mode, reader->mode);
  reader->next = slots->readers;
  slots->readers = reader;
}

void
ndsh_slots_leave (NdshSlots *slots, NdshSlotsReader *reader)
{
  NdshSlotsReader **at = &slots->readers;

  while (*at != reader)
    at = &(*at)->next;
  *at = reader->next;
}

/* Meets the store in ndsh_leases_take, so the hazard that protects the frame from
 * then on is there to be seen; and comes after a writer that goes to sleep on it has
 * armed (wake.h). */
static uint32_t
get_cursor (const NdshSlotsReader *reader)
{
  return load_seq_cst (&reader->page->cursor);
}

bool
ndsh_slots_reader_is_lossless (const NdshSlotsReader *reader)
{
  return reader->mode == MODE_LOSSLESS && !ndsh_slots_reader_has_left (reader);
}

void
ndsh_slots_demote (NdshSlotsReader *reader, uint32_t queue_length)
{
  reader->mode = MODE_QUEUE;
  reader->queue_length = queue_length;

  /* Comes before the next look at the reader's hazards: who released one after that look
   * must know that the writer does not count on its cursor any more (wake.h). */
  store_seq_cst (&reader->page->mode, MODE_QUEUE);
}

uint32_t
ndsh_slots_count_leases (const NdshSlotsReader *reader)
{
  uint32_t n = 0;

  for (uint32_t k = 0; k < reader->n_leases; k++)
    n += load_relaxed (&reader->page->hazard[k]) != 0;
  return n;
}

bool
ndsh_slots_reader_has_left (const NdshSlotsReader *reader)
{
  return (get_cursor (reader) & 1) == 0;
}

bool
ndsh_slots_reader_comes_back (const NdshSlotsReader *reader)
{
  return get_cursor (reader) == CURSOR_COMES_BACK;
}

NdshSlotsReport
ndsh_slots_get_report (const NdshSlotsReader *reader)
{
  /* What the count says is unmapped, is; and this is the look of a writer that goes
   * to sleep on it (wake.h). The rest is for people. */
  return (NdshSlotsReport){
    .segments_handled = load_seq_cst (&reader->page->segments_handled),
    .delivered = load_relaxed (&reader->page->delivered),
    .missed = load_relaxed (&reader->page->missed),
    .copied = load_relaxed (&reader->page->copied),
    .key_requests = load_relaxed (&reader->page->key_requests),
    .wish = {
      .max_rate = load_relaxed (&reader->page->max_rate),
      .max_width = load_relaxed (&reader->page->max_width),
      .max_height = load_relaxed (&reader->page->max_height),
    },
  };
}

uint32_t
ndsh_slots_get_wanted_queue (const NdshSlotsReader *reader)
{
  /* Relaxed: a wish, which the next claim hears if this one does not. */
  return load_relaxed (&reader->page->queue_length);
}

/* The cursor is foreign: it can only move on, and not past what there is, to which
 * end it is made a word before it is compared. */
static void
look_at_cursor (const NdshSlots *slots, NdshSlotsReader *reader)
{
  uint32_t cursor = get_cursor (reader) | 1;

  if (ndsh_word_distance (cursor, reader->cursor) > 0
      && ndsh_word_distance (ndsh_word (slots->published), cursor) >= 0)
    reader->cursor = cursor;
}

uint32_t
ndsh_slots_get_lag (const NdshSlots *slots, NdshSlotsReader *reader)
{
  look_at_cursor (slots, reader);
  return (uint32_t) ndsh_word_distance (ndsh_word (slots->published),
                                        reader->cursor);
}

int
ndsh_slots_lossless_lag (NdshSlots *slots)
{
  int lag = -1;
  int drafts = 0;

  for (uint32_t i = 0; i < slots->n_slots; i++)
    drafts += slots->slot[i].held && slots->slot[i].frame == 0;

  for (NdshSlotsReader *r = slots->readers; r != NULL; r = r->next) {
    int behind;

    if (!ndsh_slots_reader_is_lossless (r))
      continue;
    behind = drafts + (int) ndsh_slots_get_lag (slots, r);
    if (behind > lag)
      lag = behind;
  }
  return lag;
}

/* The newest frames stay for who comes late, and for whoever queues. */
static uint32_t
count_kept (const NdshSlots *slots)
{
  uint32_t kept = slots->history;

  for (const NdshSlotsReader *r = slots->readers; r != NULL; r = r->next)
    if (r->mode != MODE_LATEST && r->queue_length > kept)
      kept = r->queue_length;
  return kept;
}

static bool
was_had_by_lossless_readers (const NdshSlots *slots, uint64_t frame)
{
  for (const NdshSlotsReader *r = slots->readers; r != NULL; r = r->next)
    if (ndsh_slots_reader_is_lossless (r)
        && ndsh_word_distance (ndsh_word (frame), r->cursor) > 0)
      return false;
  return true;
}

/* The oldest frame after number @after that may go, as far as the writer knows. */
static int
find_candidate (const NdshSlots *slots, uint64_t capacity, uint32_t kept,
                uint64_t after)
{
  int found = -1;

  for (uint32_t i = 0; i < slots->n_slots; i++) {
    const NdshSlot *slot = &slots->slot[i];

    if (slot->held || slot->frame <= after || slot->capacity < capacity
        || slots->published - slot->frame < kept)
      continue;
    if (found >= 0 && slots->slot[found].frame < slot->frame)
      continue;
    if (was_had_by_lossless_readers (slots, slot->frame))
      found = (int) i;
  }
  return found;
}

/* A hazard that is gone was taken back by a store that comes after every load of
 * the payload; this load meets it, so our writes come later still. */
static bool
is_leased (const NdshSlots *slots, uint32_t word)
{
  for (const NdshSlotsReader *r = slots->readers; r != NULL; r = r->next)
    for (uint32_t k = 0; k < r->n_leases; k++)
      if (load_seq_cst (&r->page->hazard[k]) == word)
        return true;
  return false;
}

static bool
claim_frame (NdshSlots *slots, int i)
{
  shared_u32 *state_seq = &slots->control->slot[i].state_seq;
  uint32_t word = ndsh_word (slots->slot[i].frame);
  bool leasable = slots->slot[i].leasable;

  /* Spares readers the moment in which the frame seems gone. Not relaxed: a "no"
   * here is final for a writer that goes to sleep on it, so the look must come
   * after ndsh_wake_arm_writer (). */
  if (leasable && is_leased (slots, word))
    return false;

  store_seq_cst (state_seq, 0);
  if (leasable && is_leased (slots, word)) {
    /* Nothing was touched; who leases it from here on finds it complete. */
    store_release (state_seq, slots->slot[i].state);
    return false;
  }

  /* Who copies what is written from now on sees that state_seq has changed. */
  fence_release ();
  return true;
}

static void
count_leasable (NdshSlots *slots, NdshSlot *slot, bool leasable)
{
  if (slot->leasable == leasable)
    return;
  slot->leasable = leasable;
  slots->n_leasable += leasable ? 1 : -1u;
  slots->leasable_bytes += leasable ? slot->bytes : -slot->bytes;
}

static int
make_draft (NdshSlots *slots, int i)
{
  count_leasable (slots, &slots->slot[i], false);
  slots->slot[i].held = true;
  slots->slot[i].frame = 0;
  return i;
}

/* All but the @kept newest frames may go. */
static int
claim (NdshSlots *slots, uint64_t capacity, uint32_t kept)
{
  uint32_t n_readers = 0;

  /* Never published, or forgotten: state_seq is 0, no hazard can name it. */
  for (uint32_t i = 0; i < slots->n_slots; i++)
    if (!slots->slot[i].held && slots->slot[i].frame == 0
        && slots->slot[i].capacity >= capacity)
      return make_draft (slots, (int) i);

  for (const NdshSlotsReader *r = slots->readers; r != NULL; r = r->next)
    n_readers++;

  /* A scan is not atomic: a reader that moves on from one slot to the next can
   * seem to hold both. Each pass more takes one more reader that does so. */
  for (uint32_t pass = 0; pass <= n_readers; pass++) {
    uint64_t after = 0;

    for (;;) {
      int i = find_candidate (slots, capacity, kept, after);

      if (i < 0)
        break;
      if (claim_frame (slots, i))
        return make_draft (slots, i);
      after = slots->slot[i].frame;
    }
  }
  return -1;
}

int
ndsh_slots_claim (NdshSlots *slots, uint64_t capacity)
{
  return claim (slots, capacity, count_kept (slots));
}

int
ndsh_slots_claim_queued (NdshSlots *slots, uint64_t capacity)
{
  return claim (slots, capacity, slots->history);
}

int
ndsh_slots_claim_history (NdshSlots *slots, uint64_t capacity)
{
  return claim (slots, capacity, 1);
}

/* Frames that readers can keep from the writer; one of 2^31 always. */
static uint32_t
count_leases (const NdshSlots *slots)
{
  uint32_t most = slots->max_leasable > 0 ? slots->max_leasable : 1;
  uint32_t n = 0;

  for (const NdshSlotsReader *r = slots->readers; r != NULL; r = r->next)
    n += r->n_leases;
  return n < most ? n : most;
}

/* Enough for every claim to succeed: what is kept, what can be leased, what the
 * writer's side holds, and the one to be filled. */
static uint32_t
count_needed (const NdshSlots *slots)
{
  uint32_t needed = count_kept (slots) + count_leases (slots) + 1;

  for (uint32_t i = 0; i < slots->n_slots; i++)
    needed += slots->slot[i].held;
  return needed < NDSH_N_SLOTS ? needed : NDSH_N_SLOTS;
}

int
ndsh_slots_add (NdshSlots *slots)
{
  if (slots->n_slots >= count_needed (slots))
    return -1;
  return make_draft (slots, (int) slots->n_slots++);
}

/* --- What readers may lease ----------------------------------------------- */

/* Leases of all readers if none has more than @share. */
static uint64_t
count_shared (const NdshSlots *slots, uint32_t share)
{
  uint64_t n = 0;

  for (const NdshSlotsReader *r = slots->readers; r != NULL; r = r->next)
    n += r->n_leases < share ? r->n_leases : share;
  return n;
}

static uint64_t
least (uint64_t a, uint64_t b)
{
  return a < b ? a : b;
}

/* Relaxed: a wish. Who keeps to nothing is bounded by ndsh_slots_publish (). */
static void
tell (shared_u32 *word, uint32_t value)
{
  if (load_relaxed (word) != value)
    store_relaxed (word, value);
}

/* What the newest frames may cost each: one that came before may lie in a larger slot. */
static uint64_t
most_bytes (const NdshSlots *slots, uint64_t cost)
{
  for (uint32_t i = 0; i < slots->n_slots; i++)
    if (slots->slot[i].bytes > cost)
      cost = slots->slot[i].bytes;
  return cost;
}

void
ndsh_slots_share (NdshSlots *slots, uint64_t max_bytes, uint64_t cost)
{
  uint64_t reserved = slots->history * most_bytes (slots, cost) + cost;
  uint32_t share = NDSH_HAZARDS;
  uint64_t most;

  if (reserved < max_bytes / 2)
    reserved = max_bytes / 2;
  slots->max_leasable_bytes = max_bytes - least (reserved, max_bytes);
  most = least (slots->max_leasable, slots->max_leasable_bytes / cost);
  while (share > 1 && count_shared (slots, share) > most)
    share--;
  for (NdshSlotsReader *r = slots->readers; r != NULL; r = r->next) {
    tell (&r->page->share, share);
    tell (&r->page->room, (uint32_t) least (max_bytes / cost, NDSH_N_SLOTS));
  }
}

static bool
fits_leases (const NdshSlots *slots, const NdshSlot *slot)
{
  return slots->n_leasable < slots->max_leasable
         && slots->leasable_bytes + slot->bytes <= slots->max_leasable_bytes;
}

/* The same handshake as in claim_frame, but the frame stays. Who holds it keeps it, and
 * then it is asked again when this is. */
static bool
withdraw (NdshSlots *slots, int i)
{
  NdshSlot *slot = &slots->slot[i];
  uint32_t word = ndsh_word (slot->frame);

  slot->state = ndsh_word_withdrawn (word);
  store_seq_cst (&slots->control->slot[i].state_seq, slot->state);
  if (is_leased (slots, word))
    return false;
  count_leasable (slots, slot, false);
  return true;
}

/* The oldest after number @after that readers may lease. */
static int
find_leasable (const NdshSlots *slots, uint64_t after)
{
  int found = -1;

  for (uint32_t i = 0; i < slots->n_slots; i++) {
    const NdshSlot *slot = &slots->slot[i];

    if (slot->leasable && slot->frame > after
        && ndsh_word_withdrawn (ndsh_word (slot->frame)) != 0
        && (found < 0 || slot->frame < slots->slot[found].frame))
      found = (int) i;
  }
  return found;
}

/* Whether readers may lease the frame that is about to be in @slot; older ones that
 * nobody leases make room for it. */
static bool
make_room_for_lease (NdshSlots *slots, const NdshSlot *slot)
{
  uint64_t after = 0;

  while (!fits_leases (slots, slot)) {
    int i = find_leasable (slots, after);

    if (i < 0)
      return ndsh_word_withdrawn (ndsh_word (slots->published + 1)) == 0;
    after = slots->slot[i].frame;
    withdraw (slots, i);
  }
  return true;
}

/* --- Step 4: the draft becomes a frame ------------------------------------ */

uint64_t
ndsh_slots_publish (NdshSlots *slots, int slot)
{
  NdshControl *control = slots->control;
  bool leasable = make_room_for_lease (slots, &slots->slot[slot]);
  uint64_t frame = ++slots->published;
  uint32_t word = ndsh_word (frame);
  uint32_t state = leasable ? word : ndsh_word_withdrawn (word);

  count_leasable (slots, &slots->slot[slot], leasable);
  slots->slot[slot].frame = frame;
  slots->slot[slot].state = state;
  slots->ends_before = slots->ends;

  /* Permits readers to look at record and payload, which are complete. */
  store_release (&control->slot[slot].state_seq, state);

  /* Relaxed: whoever finds the new head finds this too; who finds it sooner, at
   * the place of an older frame, is turned away by state_seq. */
  store_relaxed_u8 (&control->ring[ndsh_word_ring (word)], (shared_u8) slot);

  /* Comes after both above, and before the look at who sleeps (wake.h). */
  store_seq_cst (&control->head, word);
  return frame;
}

void
ndsh_slots_release (NdshSlots *slots, int slot)
{
  slots->slot[slot].held = false;
}

void
ndsh_slots_end (NdshSlots *slots)
{
  if (slots->ends != slots->ends_before)
    return;

  /* Comes after the last frame, and before the look at who sleeps (wake.h). */
  store_seq_cst (&slots->control->ends, ++slots->ends);
}

/* --- Step 6: a lease is taken --------------------------------------------- */

void
ndsh_leases_init (NdshLeases *leases, const NdshControl *control,
                  NdshLeasePage *page, uint32_t cursor)
{
  leases->control = control;
  leases->page = page;
  leases->had = leases->taken = cursor;
}

void
ndsh_leases_resume (NdshLeases *leases, uint32_t taken)
{
  leases->taken = taken;
  if (ndsh_word_distance (taken, leases->had) <= 0)
    return;
  leases->had = taken;

  /* As in ndsh_leases_take: the writer need not keep what was had. */
  store_seq_cst (&leases->page->cursor, taken);
}

/* Meets the store in ndsh_slots_end, which comes after every frame before that end;
 * and comes after a reader that goes to sleep has armed (wake.h). */
uint32_t
ndsh_leases_get_ends (const NdshLeases *leases)
{
  return load_seq_cst (&leases->control->ends);
}

bool
ndsh_leases_have_any (const NdshLeases *leases)
{
  /* Relaxed: for people. */
  return load_relaxed (&leases->control->head) != 0;
}

bool
ndsh_leases_have_new (const NdshLeases *leases)
{
  uint32_t head = load_seq_cst (&leases->control->head);

  return (head & 1) != 0 && head != leases->stalled
         && ndsh_word_distance (head, leases->had) > 0;
}

uint32_t
ndsh_leases_get_lag (const NdshLeases *leases)
{
  int32_t lag = ndsh_word_distance (load_relaxed (&leases->control->head),
                                    leases->taken);

  return lag > 0 ? (uint32_t) lag : 0;
}

bool
ndsh_leases_have_backlog (const NdshLeases *leases)
{
  const NdshLeasePage *page = leases->page;
  uint32_t cursor = load_relaxed (&page->cursor);
  int32_t lag = ndsh_word_distance (load_relaxed (&leases->control->head), cursor);
  uint32_t half = (load_relaxed (&page->queue_length) + 1) / 2;

  /* Once it has left it wants nothing any more. */
  return load_seq_cst (&page->mode) == MODE_LOSSLESS && (cursor & 1) != 0
         && lag > (int32_t) half;
}

uint32_t
ndsh_leases_get_room (const NdshLeases *leases)
{
  return load_relaxed (&leases->page->room);
}

bool
ndsh_leases_are_stalled (const NdshLeases *leases)
{
  return leases->stalled != 0;
}

uint32_t
ndsh_leases_count (const NdshLeases *leases)
{
  uint32_t n = 0;

  for (uint32_t i = 0; 32 * i < leases->n_leases; i++)
    n += (uint32_t) __builtin_popcount (load_relaxed (&leases->used[i]));
  return n;
}

bool
ndsh_leases_are_out (const NdshLeases *leases)
{
  return ndsh_leases_count (leases) == leases->n_leases;
}

/* From the private bitmap: the page could say anything. The acquire meets the
 * release in ndsh_leases_release. */
static bool
find_free_hazard (const NdshLeases *leases, uint32_t *hazard)
{
  for (uint32_t k = 0; k < leases->n_leases; k++)
    if (!((load_acquire (&leases->used[k / 32]) >> k % 32) & 1)) {
      *hazard = k;
      return true;
    }
  return false;
}

static void
follow_demotion (NdshLeases *leases)
{
  if (leases->mode == MODE_LOSSLESS
      && load_relaxed (&leases->page->mode) == MODE_QUEUE)
    leases->mode = MODE_QUEUE;
}

/* The word of the frame to try next. */
static uint32_t
choose (const NdshLeases *leases, uint32_t head)
{
  uint32_t length = leases->mode == MODE_LATEST ? 1 : leases->queue_length;

  if (leases->mode == MODE_LOSSLESS
      || ndsh_word_distance (head, leases->had) <= (int32_t) length)
    return leases->had + 2;
  return head - 2 * (length - 1);
}

/* Leases that keep slots from the writer. This thread alone makes them more. */
static bool
has_its_share (const NdshLeases *leases)
{
  uint32_t share = load_relaxed (&leases->page->share);
  uint32_t n = 0;

  if (share == 0 || share >= leases->n_leases)
    return false;
  for (uint32_t k = 0; k < leases->n_leases; k++)
    n += load_relaxed (&leases->page->hazard[k]) != 0;
  return n >= share;
}

/* Announce, then check: see the top of the file. */
static bool
lease (NdshLeases *leases, NdshLease *lease)
{
  const NdshRecord *record = &leases->control->slot[lease->slot];

  store_seq_cst (&leases->page->hazard[lease->hazard], lease->word);
  if (load_seq_cst (&record->state_seq) != lease->word) {
    store_release (&leases->page->hazard[lease->hazard], 0);
    return false;
  }
  lease->record = record->frame;
  lease->is_copy = false;
  return true;
}

static bool
is_of (uint32_t state, uint32_t word)
{
  return state == word || (state == ndsh_word_withdrawn (word) && state != 0);
}

/* Copies the record, without a lease. */
static bool
find_copy (NdshLeases *leases, NdshLease *lease)
{
  const NdshRecord *record = &leases->control->slot[lease->slot];

  if (!is_of (load_acquire (&record->state_seq), lease->word))
    return false;
  lease->record = record->frame;
  lease->is_copy = true;
  return ndsh_leases_confirm (leases, lease);
}

bool
ndsh_leases_confirm (const NdshLeases *leases, const NdshLease *lease)
{
  /* Meets the fence in claim_frame: if one byte was of another frame, the load that
   * follows does not return what it was. */
  fence_acquire ();
  return is_of (load_relaxed (&leases->control->slot[lease->slot].state_seq),
                lease->word);
}

static bool
may_copy (const NdshLeases *leases, const NdshLease *found)
{
  return !leases->copied_too_late || found->word == found->head;
}

static bool
lease_or_copy (NdshLeases *leases, NdshLease *found)
{
  if ((has_its_share (leases) || !lease (leases, found))
      && (!may_copy (leases, found) || !find_copy (leases, found)))
    return false;
  fetch_or_relaxed (&leases->used[found->hazard / 32],
                    1u << found->hazard % 32);
  return true;
}

_Static_assert (NDSH_N_SLOTS > (shared_u8) -1, "a ring entry names some slot");

bool
ndsh_leases_find (NdshLeases *leases, NdshLease *found)
{
  follow_demotion (leases);
  if (!find_free_hazard (leases, &found->hazard))
    return false;

  /* Bounded for every lie in the control page, and enough to pass over a queue
   * that was lost. An honest writer makes the newest frame go only after it has
   * published another, so something is there for the next call. */
  for (int tries = 0; tries < NDSH_RING; tries++) {
    uint32_t head = load_acquire (&leases->control->head);

    if ((head & 1) == 0 || ndsh_word_distance (head, leases->had) <= 0)
      return false;
    found->head = head;
    found->word = choose (leases, head);
    found->slot
      = load_relaxed_u8 (&leases->control->ring[ndsh_word_ring (found->word)]);
    if (lease_or_copy (leases, found))
      return true;
    leases->had = found->word;    /* lost, and a gap in what the reader sees */
  }
  return false;
}

void
ndsh_leases_take (NdshLeases *leases, const NdshLease *lease)
{
  leases->missed += (uint32_t) ndsh_word_distance (lease->word, leases->taken) - 1;
  leases->delivered++;
  leases->copied += lease->is_copy;
  leases->had = leases->taken = lease->word;
  leases->stalled = 0;
  leases->copied_too_late &= lease->word != lease->head;
  store_relaxed (&leases->page->delivered, (uint32_t) leases->delivered);
  store_relaxed (&leases->page->missed, (uint32_t) leases->missed);
  store_relaxed (&leases->page->copied, (uint32_t) leases->copied);

  /* Permits the writer to reclaim the frame once the hazard is gone, which was
   * stored before; and comes before the look at writer_waiting (wake.h). */
  store_seq_cst (&leases->page->cursor, lease->word);
}

void
ndsh_leases_skip (NdshLeases *leases, const NdshLease *lease)
{
  leases->had = lease->word;

  /* Of a fast writer's the oldest would be gone again and again before they are copied.
   * So until it has caught up it gets those that can be leased, or else the newest. None
   * goes before a lossless reader has it. */
  leases->copied_too_late = lease->is_copy && leases->mode != MODE_LOSSLESS;
  ndsh_leases_release (leases, lease->hazard);
}

void
ndsh_leases_stall (NdshLeases *leases, const NdshLease *lease)
{
  leases->stalled = lease->head;
  ndsh_leases_release (leases, lease->hazard);
}

void
ndsh_leases_set_queue_length (NdshLeases *leases, uint32_t queue_length)
{
  leases->queue_length = queue_length;
  store_relaxed (&leases->page->queue_length, queue_length);
}

static void
store_wish (NdshLeasePage *page, NdshWish wish)
{
  store_relaxed (&page->max_rate, wish.max_rate);
  store_relaxed (&page->max_width, wish.max_width);
  store_relaxed (&page->max_height, wish.max_height);
}

void
ndsh_slots_init_wish (NdshSlotsReader *reader, NdshWish wish)
{
  store_wish (reader->page, wish);
}

void
ndsh_leases_set_wish (NdshLeases *leases, NdshWish wish)
{
  store_wish (leases->page, wish);
}

void
ndsh_leases_request_key (NdshLeases *leases)
{
  shared_u32 *requests = &leases->page->key_requests;

  /* Relaxed: the byte that tells of it comes after it. */
  store_relaxed (requests, load_relaxed (requests) + 1);
}

void
ndsh_leases_set_segments_handled (NdshLeases *leases, uint32_t n)
{
  leases->stalled = 0;

  /* Permits the writer to count what was replaced as given back; and comes before
   * the look at writer_waiting (wake.h). */
  store_seq_cst (&leases->page->segments_handled, n);
}

/* --- Step 8: the lease goes back ------------------------------------------ */

void
ndsh_leases_release (NdshLeases *leases, uint32_t hazard)
{
  /* The reader's licence ends here: every load of the payload comes before. And
   * it comes before the look at writer_waiting (wake.h), hence seq_cst. */
  store_seq_cst (&leases->page->hazard[hazard], 0);

  /* The hazard may be used again: its 0 must not come after the next word. */
  fetch_and_release (&leases->used[hazard / 32], ~(1u << hazard % 32));
}

void
ndsh_leases_leave (NdshLeases *leases, bool comes_back)
{
  store_seq_cst (&leases->page->cursor, comes_back ? CURSOR_COMES_BACK : CURSOR_LEFT);
}
