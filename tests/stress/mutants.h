/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which operation of the library is a wrong one in this process: see
 * mutant-atomics.h. To be chosen before the library is used. */
#ifndef MUTANTS_H
#define MUTANTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mutant.h"

/* Number 0 is no mutant at all. */
unsigned mutants_count (void);
const Mutant *mutants_choose (unsigned i);

/* Must be caught on any machine, soon. */
bool mutants_is_gross (const Mutant *mutant);

/* What was postponed has come by now: before the payload is touched. */
void mutants_settle (void);

/* --- For mutant-atomics.h --- */

bool mutants_is_chosen (const char *function, int operation, MemoryOrder order);
int mutants_action (void);
MemoryOrder mutants_weaker (void);
void mutants_note_stored (uint32_t value);
uint32_t mutants_last_stored (void);
void mutants_postpone (void *p, size_t size, uint32_t value);
void mutants_do_postponed (const char *function);

#endif
