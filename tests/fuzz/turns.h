/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * lib/atomics.h with a hook: before each access to a shared word the other side has
 * its turn. Include it first, then the file of lib/ that is to run so.
 */
#ifndef NDSH_FUZZ_TURNS_H
#define NDSH_FUZZ_TURNS_H

#include "../../lib/atomics.h"

/* The fuzzer's: counts the accesses, and writes between two of them. */
static void take_turn (void);

#define load_relaxed(p) (take_turn (), load_relaxed (p))
#define load_acquire(p) (take_turn (), load_acquire (p))
#define load_seq_cst(p) (take_turn (), load_seq_cst (p))
#define load_relaxed_u8(p) (take_turn (), load_relaxed_u8 (p))
#define store_relaxed(p, v) (take_turn (), store_relaxed (p, v))
#define store_release(p, v) (take_turn (), store_release (p, v))
#define store_seq_cst(p, v) (take_turn (), store_seq_cst (p, v))
#define store_relaxed_u8(p, v) (take_turn (), store_relaxed_u8 (p, v))
#define exchange_seq_cst(p, v) (take_turn (), exchange_seq_cst (p, v))

#endif
