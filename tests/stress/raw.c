/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * lib/slots.c and lib/wake.h between processes, with nothing in between: no socket,
 * no mutex, no system call, a payload of one line. The library around them takes a
 * hundred times as long as the moment in which a store may still be on its way, so
 * here is where a missing fence shows.
 *
 * To sleep is to look at a byte until somebody sets it, so a lost wake-up is for
 * good.
 */
#include "torn.h"

#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "slots.h"
#include "wake.h"

#define WORDS 8
#define MODE_LATEST 0
#define MODE_LOSSLESS 2

typedef struct {
  NdshControl control;
  NdshLeasePage page[MAX_READERS];
  struct {
    guint64 word[WORDS];
    char line[64];
  } payload[NDSH_N_SLOTS];
  struct {
    gint rung;
    char line[124];
  } wake[1 + MAX_READERS];      /* the writer's is the last */
  gint ready;
} World;

enum { WRITER = MAX_READERS };

static World *world;

void
raw_set_up (const Plan *plan)
{
  (void) plan;
  if (world == NULL)
    world = mmap (NULL, sizeof *world, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  g_assert_true (world != MAP_FAILED);
  memset (world, 0, sizeof *world);
}

/* Others may need the processor, but not at once: who goes to the kernel has no
 * store on its way. */
static void
spin (guint *n)
{
  if (++*n % 4096 == 0)
    sched_yield ();
}

static void
sleep_until_rung (guint who)
{
  guint n = 0;

  while (g_atomic_int_get (&world->wake[who].rung) == 0 && !is_over ())
    spin (&n);
  g_atomic_int_set (&world->wake[who].rung, 0);
}

static void
ring (guint who)
{
  g_atomic_int_set (&world->wake[who].rung, 1);
}

static guint64
next_random (void)
{
  static guint64 state;

  if (state == 0)
    state = (guint64) getpid ();
  state = state * G_GUINT64_CONSTANT (6364136223846793005)
          + G_GUINT64_CONSTANT (1442695040888963407);
  return state >> 33;
}

/* Before a step that must be seen by others: nothing, or a short while, or stores
 * to memory of this process that no cache has. Those take long, and what is stored
 * next waits for them, while loads go ahead. */
static void
disturb (void)
{
  enum { LINES = 1 << 18 };
  static volatile guint64 *cold;
  guint64 random = next_random ();
  guint n = random % 32;

  if (cold == NULL)
    cold = g_malloc0 (LINES * 64);
  switch ((random >> 5) % 4) {
  case 0:
    break;
  case 1:
    for (guint i = 0; i < 8 * n; i++)
      __atomic_signal_fence (__ATOMIC_SEQ_CST);
    break;
  default:
    for (guint i = 0; i < n; i++)
      cold[((random >> 8) + i * 7919) % LINES * 8] = i;
  }
}

/* --- The writer, as store.c and draft.c compose it --- */

static int
claim (NdshSlots *slots, guint most)
{
  int i;

  if (ndsh_slots_lossless_lag (slots) >= NDSH_RING - 1)
    return -1;
  i = ndsh_slots_claim (slots, WORDS);
  if (i < 0 && slots->n_slots < most)
    i = ndsh_slots_add (slots);
  if (i >= 0)
    slots->slot[i].capacity = WORDS;
  return i;
}

static int
claim_or_sleep (const Plan *plan, NdshSlots *slots, guint most)
{
  int i = claim (slots, most);

  if (i >= 0 || plan->kind != RAW_LOSSLESS)
    return i;
  disturb ();
  ndsh_wake_arm_writer (slots->control);
  i = claim (slots, most);
  if (i < 0)
    sleep_until_rung (WRITER);
  ndsh_wake_disarm_writer (slots->control);
  return i;
}

static void
publish (const Plan *plan, NdshSlots *slots, int i, guint64 n)
{
  mutants_settle ();
  fill (world->payload[i].word, WORDS, n);
  slots->control->slot[i].frame.full_seq = n;
  disturb ();
  ndsh_slots_publish (slots, i);
  for (guint r = 0; r < plan->n_readers; r++)
    if (ndsh_wake_reader_sleeps (&world->page[r]))
      ring (r);
  ndsh_slots_release (slots, i);
}

static void
wait_for_all (const Plan *plan, const NdshSlotsReader *readers, guint64 n)
{
  guint n_spins = 0;

  while (!all_had (plan, n) && !is_over ())
    spin (&n_spins);
  for (guint r = 0; r < plan->n_readers && !is_over (); r++)
    if (ndsh_slots_count_leases (&readers[r]) > 0)
      fail ("reader %u still holds what it gave back", r);
}

void
raw_write (const Plan *plan)
{
  NdshSlotsReader readers[MAX_READERS];
  guint most = 2 + (plan->n_readers - 1) / 2;
  NdshSlots *slots = g_new0 (NdshSlots, 1);
  guint64 n = 0;
  guint n_spins = 0;

  ndsh_slots_init (slots, &world->control, 1, 1);
  if (plan->kind == RAW_COPIES)
    slots->max_leasable = 0;
  for (guint r = 0; r < plan->n_readers; r++) {
    readers[r] = (NdshSlotsReader){
      .page = &world->page[r],
      .mode = plan->kind == RAW_LOSSLESS ? MODE_LOSSLESS : MODE_LATEST,
      .queue_length = 1,
      .n_leases = 1,
    };
    ndsh_slots_join (slots, &readers[r]);
  }
  g_atomic_int_set (&world->ready, 1);
  while (!is_over ()) {
    int i;

    disturb ();
    i = claim_or_sleep (plan, slots, most);

    if (i < 0) {
      shared->full++;
      spin (&n_spins);
      continue;
    }
    publish (plan, slots, i, ++n);
    g_atomic_int_set (&shared->frames, (gint) (n & G_MAXINT));
    if (plan->kind == RAW_TURNS)
      wait_for_all (plan, readers, n);
  }
  shared->slots = (gint) slots->n_slots;
  g_free (slots);
}

/* --- A reader, as reader.c composes it --- */

static void
ring_writer (const NdshLeases *leases)
{
  if (ndsh_wake_writer_sleeps (leases->control))
    ring (WRITER);
}

static void
check (guint reader, const NdshLease *lease, const volatile guint64 *words, guint64 n)
{

  if (lease->record.full_seq != n)
    fail ("frame %" G_GUINT64_FORMAT " has the record of frame %" G_GUINT64_FORMAT
          " (reader %u)",
          n, lease->record.full_seq, reader);
  for (guint i = 0; i < WORDS; i++)
    if (words[i] != word_of (n, i)) {
      fail ("frame %" G_GUINT64_FORMAT " is mixed (reader %u)", n, reader);
      return;
    }
}

/* Where to read the payload; NULL if it went while it was copied. */
static const volatile guint64 *
find_words (const NdshLeases *leases, const NdshLease *lease, guint64 *copy)
{
  const volatile guint64 *words = world->payload[lease->slot].word;

  if (!lease->is_copy)
    return words;
  for (guint i = 0; i < WORDS; i++)
    copy[i] = words[i];
  return ndsh_leases_confirm (leases, lease) ? copy : NULL;
}

static void
take (const Plan *plan, guint reader, NdshLeases *leases, const NdshLease *lease)
{
  ReaderCounts *counts = &shared->reader[reader];
  guint64 before = leases->delivered + leases->missed;
  guint64 n = before + (guint64) ndsh_word_distance (lease->word, leases->taken);
  guint64 copy[WORDS];
  const volatile guint64 *words = find_words (leases, lease, copy);

  if (words == NULL) {
    ndsh_leases_skip (leases, lease);
    ring_writer (leases);
    return;
  }
  check (reader, lease, words, n);
  ndsh_leases_take (leases, lease);
  ring_writer (leases);
  disturb ();
  check (reader, lease, words, n);
  disturb ();
  ndsh_leases_release (leases, lease->hazard);
  ring_writer (leases);
  if (plan->kind != RAW && plan->kind != RAW_COPIES && leases->missed > 0)
    fail ("reader %u missed a frame that it was to have", reader);
  counts->checks += 2;
  counts->missed = (gint) (leases->missed & G_MAXINT);
  g_atomic_int_set (&counts->leases, counts->leases + 1);
  g_atomic_int_set (&counts->had, (gint) (n & G_MAXINT));
}

/* Half of the times by looking again. */
static void
wait_for_next (NdshLeases *leases, guint reader)
{
  if (next_random () % 2 == 0)
    return;
  disturb ();
  ndsh_wake_arm_reader (leases->page);
  if (!ndsh_leases_have_new (leases))
    sleep_until_rung (reader);
  ndsh_wake_disarm_reader (leases->page);
}

void
raw_read (const Plan *plan, guint reader)
{
  NdshLeases leases = {
    .mode = plan->kind == RAW_LOSSLESS ? MODE_LOSSLESS : MODE_LATEST,
    .queue_length = 1,
    .n_leases = 1,
  };
  guint n_spins = 0;

  while (g_atomic_int_get (&world->ready) == 0 && !is_over ())
    sched_yield ();
  ndsh_leases_init (&leases, &world->control, &world->page[reader], ndsh_word (0));
  while (!is_over ()) {
    NdshLease lease;

    disturb ();
    if (ndsh_leases_find (&leases, &lease))
      take (plan, reader, &leases, &lease);
    else if (plan->kind != RAW && plan->kind != RAW_COPIES)
      wait_for_next (&leases, reader);
    else
      spin (&n_spins);
  }
}
