/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Stands in for lib/atomics.h: the same names, but each operation is a step of the
 * machine, which decides who goes next and what a weakly ordered processor could
 * let a load see. The guard keeps the real file out.
 */
#ifndef NDSH_ATOMICS_H
#define NDSH_ATOMICS_H

#include "machine.h"

typedef uint32_t shared_u32;
typedef uint8_t shared_u8;

#define load_relaxed(p) machine_load ((p), sizeof *(p), RELAXED, __func__)
#define load_acquire(p) machine_load ((p), sizeof *(p), ACQUIRE, __func__)
#define load_seq_cst(p) machine_load ((p), sizeof *(p), SEQ_CST, __func__)
#define load_relaxed_u8(p) load_relaxed (p)

#define store_relaxed(p, v)                                                    \
  machine_store ((p), sizeof *(p), (v), RELAXED, __func__)
#define store_release(p, v)                                                    \
  machine_store ((p), sizeof *(p), (v), RELEASE, __func__)
#define store_seq_cst(p, v)                                                    \
  machine_store ((p), sizeof *(p), (v), SEQ_CST, __func__)
#define store_relaxed_u8(p, v) store_relaxed (p, v)

#define exchange_seq_cst(p, v) machine_rmw ((p), EXCHANGE, (v), SEQ_CST, __func__)
#define fence_acquire() machine_fence (ACQUIRE, __func__)
#define fence_release() machine_fence (RELEASE, __func__)

#define fetch_or_relaxed(p, v) machine_rmw ((p), OR, (v), RELAXED, __func__)
#define fetch_and_release(p, v) machine_rmw ((p), AND, (v), RELEASE, __func__)

#endif
