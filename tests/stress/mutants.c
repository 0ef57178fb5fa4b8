/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mutants.h"

#include <string.h>

/* Where all loads are alike, as on x86, a weaker one cannot show. */
static const Mutant mutants[] = {
  { "none", 0, NO_OPERATION, 0, WEAKEN, 0, 0 },
  MUTANT_ROWS,
  /* More than a wrong order. */
  { "reader-is-not-armed", "ndsh_wake_arm_reader", STORE, SEQ_CST, LEAVE_OUT, 0, 0 },
  { "writer-is-not-armed", "ndsh_wake_arm_writer", STORE, SEQ_CST, LEAVE_OUT, 0, 0 },
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
mutants_is_chosen (const char *function, int operation, MemoryOrder order)
{
  return chosen->function != NULL && (int) chosen->operation == operation
         && chosen->order == order && strcmp (chosen->function, function) == 0;
}

/* A step that is left out, or one that comes much too late: what is postponed in
 * publish and release leaves a window of a few instructions. */
bool
mutants_is_gross (const Mutant *mutant)
{
  return mutant->action == LEAVE_OUT || mutant->action == PRETEND
         || strcmp (mutant->name, "hazard-after-the-check") == 0
         || strcmp (mutant->name, "scan-before-the-claim") == 0;
}

int
mutants_action (void)
{
  return chosen->action;
}

MemoryOrder
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
