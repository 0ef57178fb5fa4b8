/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mutants.h"

#include <string.h>

/* Those of tests/explore/explore.c that are a wrong operation. Where all loads are
 * alike, as on x86, a weaker one cannot show. */
static const Mutant mutants[] = {
  { "none", 0, NO_OPERATION, 0, WEAKEN, 0, 0, false },
  /* The four of the handshake: each must be sequentially consistent. */
  { "hazard-store-is-release", "lease", STORE, SEQ_CST, WEAKEN, RELEASE, 0, false },
  { "hazard-check-is-acquire", "lease", LOAD, SEQ_CST, WEAKEN, ACQUIRE, 0, false },
  { "claim-store-is-release", "claim_frame", STORE, SEQ_CST, WEAKEN, RELEASE, 0,
    false },
  { "scan-is-acquire", "is_leased", LOAD, SEQ_CST, WEAKEN, ACQUIRE, 0, false },
  /* Its steps and their places. */
  { "no-hazard", "lease", STORE, SEQ_CST, LEAVE_OUT, 0, 0, true },
  { "no-check-after-the-hazard", "lease", LOAD, SEQ_CST, PRETEND, 0, 0, true },
  { "hazard-after-the-check", "lease", STORE, SEQ_CST, POSTPONE, 0, "lease", true },
  { "scan-before-the-claim", "claim_frame", STORE, SEQ_CST, POSTPONE, 0,
    "is_leased", true },
  { "no-claim", "claim_frame", STORE, SEQ_CST, LEAVE_OUT, 0, 0, true },
  { "hazard-is-not-released", "ndsh_leases_release", STORE, SEQ_CST, LEAVE_OUT,
    0, 0, true },
  { "hazard-is-free-before-it-is-0", "ndsh_leases_release", STORE, SEQ_CST,
    POSTPONE, 0, "ndsh_leases_release", false },
  { "hazard-release-is-relaxed", "ndsh_leases_release", STORE, SEQ_CST, WEAKEN,
    RELAXED, 0, false },
  { "scan-is-relaxed", "is_leased", LOAD, SEQ_CST, WEAKEN, RELAXED, 0, false },
  /* Publishing. */
  { "hazard-check-is-relaxed", "lease", LOAD, SEQ_CST, WEAKEN, RELAXED, 0, false },
  { "head-before-the-frame", "ndsh_slots_publish", STORE, RELEASE, POSTPONE, 0,
    "ndsh_slots_publish", false },
  { "head-before-the-ring", "ndsh_slots_publish", STORE, RELAXED, POSTPONE, 0,
    "ndsh_slots_publish", false },
  { "head-store-is-relaxed", "ndsh_slots_publish", STORE, SEQ_CST, WEAKEN,
    RELAXED, 0, false },
  { "head-load-is-relaxed", "ndsh_leases_find", LOAD, ACQUIRE, WEAKEN, RELAXED,
    0, false },
  /* Waking. */
  { "head-store-is-release", "ndsh_slots_publish", STORE, SEQ_CST, WEAKEN,
    RELEASE, 0, false },
  { "last-look-is-acquire", "ndsh_leases_have_new", LOAD, SEQ_CST, WEAKEN,
    ACQUIRE, 0, false },
  { "reader-arms-with-release", "ndsh_wake_arm_reader", STORE, SEQ_CST, WEAKEN,
    RELEASE, 0, false },
  { "look-at-sleepers-is-acquire", "ndsh_wake_reader_sleeps", LOAD, SEQ_CST,
    WEAKEN, ACQUIRE, 0, false },
  { "writer-arms-with-release", "ndsh_wake_arm_writer", STORE, SEQ_CST, WEAKEN,
    RELEASE, 0, false },
  { "look-at-the-writer-is-acquire", "ndsh_wake_writer_sleeps", LOAD, SEQ_CST,
    WEAKEN, ACQUIRE, 0, false },
  { "cursor-store-is-release", "ndsh_leases_take", STORE, SEQ_CST, WEAKEN,
    RELEASE, 0, false },
  { "cursor-is-not-stored", "ndsh_leases_take", STORE, SEQ_CST, LEAVE_OUT, 0,
    0, true },
  { "look-at-cursor-is-acquire", "look_at_cursor", LOAD, SEQ_CST, WEAKEN, ACQUIRE,
    0, false },
  { "hazard-release-is-release", "ndsh_leases_release", STORE, SEQ_CST, WEAKEN,
    RELEASE, 0, false },
  /* More than a wrong order. */
  { "reader-is-not-armed", "ndsh_wake_arm_reader", STORE, SEQ_CST, LEAVE_OUT, 0, 0,
    true },
  { "writer-is-not-armed", "ndsh_wake_arm_writer", STORE, SEQ_CST, LEAVE_OUT, 0, 0,
    true },
};

static const Mutant *chosen = &mutants[0];

/* A routine of the machine is a thread here. */
static __thread uint32_t last_stored;
static __thread struct {
  void *p;
  size_t size;
  uint32_t value;
} late;

unsigned
mutants_count (void)
{
  return sizeof mutants / sizeof mutants[0];
}

const Mutant *
mutants_choose (unsigned i)
{
  chosen = &mutants[i];
  return chosen;
}

bool
mutants_is_chosen (const char *function, int operation, MutantOrder order)
{
  return chosen->function != NULL && (int) chosen->operation == operation
         && chosen->order == order && strcmp (chosen->function, function) == 0;
}

int
mutants_action (void)
{
  return chosen->action;
}

MutantOrder
mutants_weaker (void)
{
  return chosen->weaker;
}

void
mutants_note_stored (uint32_t value)
{
  last_stored = value;
}

uint32_t
mutants_last_stored (void)
{
  return last_stored;
}

void
mutants_settle (void)
{
  if (late.p == NULL)
    return;
  if (late.size == 1)
    __atomic_store_n ((uint8_t *) late.p, (uint8_t) late.value, __ATOMIC_SEQ_CST);
  else
    __atomic_store_n ((uint32_t *) late.p, late.value, __ATOMIC_SEQ_CST);
  late.p = NULL;
}

void
mutants_postpone (void *p, size_t size, uint32_t value)
{
  late.p = p;
  late.size = size;
  late.value = value;
}

void
mutants_do_postponed (const char *function)
{
  if (late.p != NULL && strcmp (function, chosen->past) != 0)
    mutants_settle ();
}
