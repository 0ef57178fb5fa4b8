/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Stands in for lib/atomics.h: the same names and, on the whole, the same
 * operations, but the one that mutants_choose () has named is weakened, left out or
 * comes too late. So what tests/explore finds in its model of a machine can be
 * looked for on a real one. The guard keeps the real file out.
 *
 * Each place asks once whether it is the one: a look at a byte that is always the
 * same is nearly nothing beside the operations.
 */
#ifndef NDSH_ATOMICS_H
#define NDSH_ATOMICS_H

#include <stdint.h>

#include "mutants.h"

typedef uint32_t shared_u32;
typedef uint8_t shared_u8;

#define MUTANT_HERE(operation, order)                                          \
  static signed char here = -1;                                                \
  if (here < 0)                                                                \
    here = mutants_is_chosen (__func__, operation, order);                     \
  mutants_do_postponed (__func__)

/* One of three, because an order that is not a constant is taken as seq_cst. */
#define MUTANT_LOAD(p, operation, order)                                       \
  __extension__ ({                                                             \
    __typeof__ (*(p) + 0) value_;                                              \
    MUTANT_HERE (LOAD, operation);                                             \
    if (!here)                                                                 \
      value_ = __atomic_load_n ((p), order);                                   \
    else if (mutants_action () == PRETEND)                                     \
      value_ = mutants_last_stored ();                                         \
    else if (mutants_weaker () == ACQUIRE)                                     \
      value_ = __atomic_load_n ((p), __ATOMIC_ACQUIRE);                        \
    else                                                                       \
      value_ = __atomic_load_n ((p), __ATOMIC_RELAXED);                        \
    value_;                                                                    \
  })

#define MUTANT_STORE(p, v, operation, order)                                   \
  __extension__ ({                                                             \
    __typeof__ (*(p) + 0) value_ = (v);                                        \
    MUTANT_HERE (STORE, operation);                                            \
    mutants_note_stored ((uint32_t) value_);                                   \
    if (!here)                                                                 \
      __atomic_store_n ((p), value_, order);                                   \
    else if (mutants_action () == POSTPONE)                                    \
      mutants_postpone ((p), sizeof *(p), (uint32_t) value_);                  \
    else if (mutants_action () == WEAKEN && mutants_weaker () == RELEASE)      \
      __atomic_store_n ((p), value_, __ATOMIC_RELEASE);                        \
    else if (mutants_action () == WEAKEN)                                      \
      __atomic_store_n ((p), value_, __ATOMIC_RELAXED);                        \
  })

/* As in lib/atomics.h. */
#if defined __SANITIZE_THREAD__ && __GNUC__ >= 11
#pragma GCC diagnostic ignored "-Wtsan"
#endif

#define MUTANT_FENCE(operation, order)                                         \
  __extension__ ({                                                             \
    MUTANT_HERE (FENCE, operation);                                            \
    if (!here)                                                                 \
      __atomic_thread_fence (order);                                           \
  })

#define fence_acquire() MUTANT_FENCE (ACQUIRE, __ATOMIC_ACQUIRE)
#define fence_release() MUTANT_FENCE (RELEASE, __ATOMIC_RELEASE)

#define load_relaxed(p) MUTANT_LOAD ((p), RELAXED, __ATOMIC_RELAXED)
#define load_acquire(p) MUTANT_LOAD ((p), ACQUIRE, __ATOMIC_ACQUIRE)
#define load_seq_cst(p) MUTANT_LOAD ((p), SEQ_CST, __ATOMIC_SEQ_CST)
#define load_relaxed_u8(p) load_relaxed (p)

#define store_relaxed(p, v) MUTANT_STORE ((p), (v), RELAXED, __ATOMIC_RELAXED)
#define store_release(p, v) MUTANT_STORE ((p), (v), RELEASE, __ATOMIC_RELEASE)
#define store_seq_cst(p, v) MUTANT_STORE ((p), (v), SEQ_CST, __ATOMIC_SEQ_CST)
#define store_relaxed_u8(p, v) store_relaxed (p, v)

/* No mutant is one of these, but what is postponed may have to come before. */
#define MUTANT_RMW(call)                                                       \
  __extension__ ({                                                             \
    mutants_do_postponed (__func__);                                           \
    call;                                                                      \
  })

#define exchange_seq_cst(p, v)                                                 \
  MUTANT_RMW (__atomic_exchange_n ((p), (v), __ATOMIC_SEQ_CST))
#define fetch_or_relaxed(p, v)                                                 \
  MUTANT_RMW (__atomic_fetch_or ((p), (v), __ATOMIC_RELAXED))
#define fetch_and_release(p, v)                                                \
  MUTANT_RMW (__atomic_fetch_and ((p), (v), __ATOMIC_RELEASE))

#endif
