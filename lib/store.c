/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Slots and their memory, within the bound. A slot keeps its segment; a frame that
 * does not fit gets its slot a larger one, and when the bound is reached memory is
 * taken from slots too small to be of use. Memory that was replaced is retired until
 * no reader maps it.
 */
#include "writer-private.h"

#include "error.h"
#include "memory.h"
#include "wake.h"

/* Without a bound of the user's: so many frames of their size, and of the machine's
 * memory no more than a part. */
#define USUAL_BYTES (256u << 20)
#define USUAL_FRAMES 16
#define PART_OF_MEMORY 4

/* How long what the machine could not give is not asked for again. */
#define SHORT_US G_USEC_PER_SEC

/* --- Memory of slots ------------------------------------------------------ */

guint64
ndsh_store_count_retired (NdshWriter *writer)
{
  guint64 bytes = 0;

  ndsh_audience_hear_unmapped (writer);
  for (guint i = writer->retired->len; i-- > 0;) {
    NdshSegment *segment = g_ptr_array_index (writer->retired, i);

    if (g_atomic_int_get (&segment->refs) == 1)
      g_ptr_array_remove_index_fast (writer->retired, i);
    else
      bytes += segment->committed;
  }
  return bytes;
}

/* Readers map it until they hear of the next one. */
static void
retire (NdshWriter *writer, int slot)
{
  SlotMemory *memory = &writer->memory[slot];

  if (memory->segment == NULL)
    return;
  writer->bytes -= memory->segment->committed;
  ndsh_segment_unmap (memory->segment);
  g_ptr_array_add (writer->retired, memory->segment);
  memory->segment = NULL;
  writer->slots.slot[slot].capacity = 0;
  writer->slots.slot[slot].bytes = 0;
}

static gsize
tail_to_commit (NdshWriter *writer)
{
  return ndsh_page_align (MAX (writer->format.size + writer->metadata_hint, 1));
}

/* What begin needs: a draft of so many bytes. */
typedef struct {
  gsize payload;                /* bytes, page-aligned, at least one page */
  gsize tail;
  gboolean may_grow;            /* or of what was made already */
} Need;

static guint64
cost (const Need *need)
{
  return (guint64) need->payload + need->tail;
}

static guint64
slot_cost (NdshWriter *writer, int slot)
{
  NdshSegment *segment = writer->memory[slot].segment;

  return segment != NULL ? segment->committed : 0;
}

/* Bytes of all slots if @slot were replaced by @need. */
static guint64
bytes_with (NdshWriter *writer, int slot, const Need *need)
{
  return writer->bytes - slot_cost (writer, slot) + cost (need);
}

/* Half as much again as before, so that a size that creeps up costs few segments
 * and what stopped readers still map stays within twice what is current; just
 * enough where the bound on memory allows no more. */
static void
add_headroom (NdshWriter *writer, int slot, Need *need)
{
  guint64 capacity = writer->slots.slot[slot].capacity;
  Need ample = *need;

  ample.payload
    = ndsh_page_align (MAX (need->payload, (gsize) (capacity / 2 * 3)));
  if (bytes_with (writer, slot, &ample) <= writer->max_bytes
      && writer->slots.leasable_bytes
             + (writer->options.history + 1) * cost (&ample)
           <= writer->max_bytes)
    *need = ample;
}

static gboolean
may_retire (NdshWriter *writer, int slot)
{
  guint64 bytes = slot_cost (writer, slot);

  return bytes == 0
         || (ndsh_store_count_retired (writer) + bytes) / 2 <= writer->max_bytes;
}

/* ndsh_slots_claim, or ndsh_slots_claim_queued. */
typedef int (*ClaimFunc) (NdshSlots *slots, uint64_t capacity);

/* Whether it is large enough already: it may have come free since that was looked
 * for, and to make it anew would be a waste. */
static gboolean
fits (NdshWriter *writer, int slot, const Need *need)
{
  return writer->slots.slot[slot].capacity >= need->payload;
}

/* Lets go of a claimed slot, and of its memory if that is possible. Readers are told,
 * since it may take long until the slot gets other memory. */
static gboolean
give_up (NdshWriter *writer, int slot)
{
  gboolean freed = may_retire (writer, slot);

  if (freed) {
    retire (writer, slot);
    ndsh_audience_tell (writer, slot);
  }
  ndsh_slots_release (&writer->slots, slot);
  return freed;
}

/* Takes the memory of other slots until @grown fits in the place of @slot; or another
 * slot instead, if one that fits @need as it is has come free. */
static gboolean
make_room (NdshWriter *writer, int *slot, ClaimFunc claim_other, const Need *need,
           const Need *grown)
{
  while (bytes_with (writer, *slot, grown) > writer->max_bytes) {
    int other = claim_other (&writer->slots, 1);

    if (other >= 0 && fits (writer, other, need)) {
      ndsh_slots_release (&writer->slots, *slot);
      *slot = other;
      return TRUE;
    }
    if (other < 0 || !give_up (writer, other))
      return FALSE;
  }
  return may_retire (writer, *slot);
}

/* --- A slot is claimed ---------------------------------------------------- */

/* A slot that is too small, or new, which gets memory in exchange for what others
 * have. */
static int
claim_and_grow (NdshWriter *writer, ClaimFunc claim_other, Need *need)
{
  Need grown = *need;
  int slot = claim_other (&writer->slots, 0);

  if (slot < 0)
    slot = ndsh_slots_add (&writer->slots);
  if (slot < 0 || fits (writer, slot, need))
    return slot;
  add_headroom (writer, slot, &grown);
  if (!make_room (writer, &slot, claim_other, need, &grown)) {
    ndsh_slots_release (&writer->slots, slot);
    return -1;
  }
  if (fits (writer, slot, need))
    return slot;
  retire (writer, slot);
  writer->bytes += cost (&grown);
  *need = grown;
  return slot;
}

/* A draft that fits, or one that is to get memory of @need, which is accounted
 * for already. -1 if there is none now. */
static int
claim (NdshWriter *writer, Need *need)
{
  int slot;

  /* One more and the slowest lossless reader could not find its next frame. */
  if (ndsh_slots_lossless_lag (&writer->slots) >= NDSH_RING - 1)
    return -1;
  slot = ndsh_slots_claim (&writer->slots, need->payload);
  if (slot < 0 && need->may_grow)
    slot = claim_and_grow (writer, ndsh_slots_claim, need);
  /* What readers queue is theirs only as long as memory allows. */
  if (slot < 0)
    slot = ndsh_slots_claim_queued (&writer->slots, need->payload);
  if (slot < 0 && need->may_grow)
    slot = claim_and_grow (writer, ndsh_slots_claim_queued, need);
  /* Nor is there memory for the history. */
  if (slot < 0 && writer->short_since_us != 0)
    slot = ndsh_slots_claim_history (&writer->slots, need->payload);
  return slot;
}

static void
set_full (NdshWriter *writer, GError **error)
{
  guint leased = ndsh_audience_count_leases (writer);
  guint64 retired = ndsh_store_count_retired (writer);
  guint held = 0;

  writer->full = TRUE;
  for (guint i = 0; i < writer->slots.n_slots; i++)
    held += writer->slots.slot[i].held;
  g_set_error (error, NDSH_ERROR, NDSH_ERROR_FULL,
               "channel '%s' has no slot free: of %u slots (%.1f MB, bound "
               "%.1f MB) this process holds %u, and readers hold %u frames and "
               "%.1f MB of memory that was replaced",
               writer->channel, writer->slots.n_slots, writer->bytes / 1e6,
               writer->max_bytes / 1e6, held, leased, retired / 1e6);
}

static int
claim_or_wait (NdshWriter *writer, Need *need, gboolean may_wait,
               GError **error)
{
  gint64 since_us = 0;
  gboolean may_go_on = TRUE;

  for (;;) {
    int slot = claim (writer, need);

    if (slot >= 0)
      return slot;

    /* Who gives a slot back from here on rings; who did so before is seen by one
     * more look. */
    if (since_us == 0) {
      since_us = g_get_monotonic_time ();
      ndsh_wake_arm_writer (writer->slots.control);
      continue;
    }
    if (!may_wait || !may_go_on) {
      set_full (writer, error);
      return -1;
    }
    /* Nobody in the way may mean that the last one has moved since we looked, so
     * that is worth another look, and no more than one. */
    may_go_on = ndsh_audience_wait_for_lossless (writer, since_us);
    ndsh_wake_arm_writer (writer->slots.control);
  }
}

/* It follows the largest frame so far. */
static guint64
find_bound (NdshWriter *writer, const Need *need)
{
  guint64 part = ndsh_memory_get_total () / PART_OF_MEMORY;
  guint64 wanted = cost (need) < part / USUAL_FRAMES ? USUAL_FRAMES * cost (need) : part;

  if (writer->options.max_bytes > 0)
    return writer->options.max_bytes;
  return MAX (writer->max_bytes, MAX (wanted, USUAL_BYTES));
}

static gboolean
find_need (NdshWriter *writer, gsize size, Need *need, GError **error)
{
  guint n_slots = writer->options.history + 1;
  guint64 bound = writer->options.max_bytes;

  if (size < G_MAXSSIZE - NDSH_MAX_TAIL) {
    need->payload = ndsh_page_align (MAX (size, 1));
    need->tail = tail_to_commit (writer);
    need->may_grow = TRUE;
    bound = find_bound (writer, need);
    /* What others carried it may not have to. */
    if (cost (need) > bound / n_slots)
      need->tail = ndsh_page_align (1);
    if (cost (need) <= bound / n_slots) {
      writer->max_bytes = bound;
      return TRUE;
    }
  }
  g_set_error (error, NDSH_ERROR, NDSH_ERROR_INVALID,
               "frames of %.1f MB do not fit channel '%s': it needs %u of them, "
               "and shared memory is bounded to %.1f MB; raise max_bytes "
               "(max-memory)",
               size / 1e6, writer->channel, n_slots, bound / 1e6);
  return FALSE;
}

static void
forget_slot (NdshWriter *writer, int slot, const Need *need)
{
  writer->bytes -= cost (need);
  ndsh_slots_release (&writer->slots, slot);
}

/* Gives a claimed slot its memory, which is made without the mutex: that takes
 * about 0.4 ms a megabyte. Nobody else looks at the slot meanwhile. */
static gboolean
furnish (NdshWriter *writer, int slot, const Need *need, GError **error)
{
  SlotMemory *memory = &writer->memory[slot];
  NdshSegment *segment;

  ndsh_writer_unlock (writer);
  segment = ndsh_segment_new ("ndsh-slot", need->payload + need->tail,
                              need->payload + NDSH_MAX_TAIL, NDSH_SEGMENT_READ,
                              error);
  ndsh_writer_lock (writer);
  writer->short_since_us = segment == NULL ? g_get_monotonic_time () : 0;
  if (segment == NULL) {
    forget_slot (writer, slot, need);
    return FALSE;
  }
  memory->segment = segment;
  memory->generation++;
  memory->format = 0;
  writer->slots.slot[slot].capacity = need->payload;
  writer->slots.slot[slot].bytes = cost (need);
  ndsh_audience_tell (writer, slot);
  return TRUE;
}

/* When there is no memory to be had what was made must do, as at the bound. */
static int
take_made_slot (NdshWriter *writer, Need *need, gboolean may_wait)
{
  gboolean any = FALSE;

  for (guint i = 0; i < writer->slots.n_slots; i++)
    any |= fits (writer, (int) i, need);
  need->may_grow = FALSE;
  return any ? claim_or_wait (writer, need, may_wait, NULL) : -1;
}

/* What readers may keep follows the size of frames, and the memory that there is. */
static void
share (NdshWriter *writer, const Need *need)
{
  guint64 bytes = writer->max_bytes;

  writer->frame_bytes = cost (need);
  /* Memory that the machine had not may be there again. */
  if (writer->short_since_us != 0
      && g_get_monotonic_time () - writer->short_since_us < SHORT_US)
    bytes = MIN (bytes, writer->bytes);
  ndsh_slots_share (&writer->slots, bytes, cost (need));
}

int
ndsh_store_take_slot (NdshWriter *writer, gsize size, gboolean may_wait,
                      GError **error)
{
  g_autoptr (GError) why = NULL;
  Need need, grown;
  int slot;

  if (!find_need (writer, size, &need, error))
    return -1;
  grown = need;
  ndsh_audience_hear_queues (writer);
  share (writer, &need);
  slot = claim_or_wait (writer, &grown, may_wait, error);
  if (slot < 0 || writer->memory[slot].segment != NULL
      || furnish (writer, slot, &grown, &why))
    return slot;
  slot = take_made_slot (writer, &need, may_wait);
  if (slot < 0)
    g_propagate_error (error, g_steal_pointer (&why));
  return slot;
}

/* Takes the memory of slots that nobody holds until there is room for @bytes more. */
static gboolean
free_bytes (NdshWriter *writer, guint64 bytes)
{
  while (writer->bytes + bytes > writer->max_bytes) {
    int other = ndsh_slots_claim (&writer->slots, 1);

    if (other < 0)
      other = ndsh_slots_claim_queued (&writer->slots, 1);
    if (other < 0 || !give_up (writer, other))
      return FALSE;
  }
  return TRUE;
}

/* Most tails fit what their slot was made with. */
gboolean
ndsh_store_has_tail (NdshWriter *writer, int slot, gsize size)
{
  return writer->slots.slot[slot].capacity + size
         <= writer->memory[slot].segment->committed;
}

gboolean
ndsh_store_commit_tail (NdshWriter *writer, int slot, gsize size, GError **error)
{
  NdshSegment *segment = writer->memory[slot].segment;
  gsize committed = segment->committed;
  gsize wanted
    = ndsh_page_align ((gsize) writer->slots.slot[slot].capacity + size);
  gboolean done;

  /* Not so much that no other frame would have a place beside it. */
  if (wanted > writer->max_bytes / (writer->options.history + 1)
      || !free_bytes (writer, wanted - committed)) {
    set_full (writer, error);
    return FALSE;
  }
  writer->bytes += wanted - committed;
  writer->slots.slot[slot].bytes = wanted;
  ndsh_writer_unlock (writer);
  done = ndsh_segment_commit (segment, wanted, error);
  ndsh_writer_lock (writer);
  if (!done) {
    writer->bytes -= wanted - committed;
    writer->slots.slot[slot].bytes = committed;
  }
  return done;
}

int
ndsh_store_find_newest (NdshWriter *writer)
{
  for (guint i = 0; i < writer->slots.n_slots; i++)
    if (writer->slots.slot[i].frame != 0
        && writer->slots.slot[i].frame == writer->slots.published)
      return writer->memory[i].segment != NULL ? (int) i : -1;
  return -1;
}
