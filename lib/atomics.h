/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Loads, stores and exchanges of shared words by name, the memory order in the
 * name. No other file says memory_order, so that a test can put its own atomics.h
 * in the place of this one and see every step that a peer could see.
 *
 * Words are 32 bits wide: a 64-bit load may be a compare-and-swap on 32-bit ARM,
 * which is a write, and readers map the control page read-only. GCC's builtins
 * stand here rather than <stdatomic.h> because that cannot load through a pointer
 * to const in C11.
 */
#ifndef NDSH_ATOMICS_H
#define NDSH_ATOMICS_H

#include <stdint.h>

typedef uint32_t shared_u32;
typedef uint8_t shared_u8;

#if __GCC_ATOMIC_INT_LOCK_FREE != 2
#error "a lock would be private to one process"
#endif

#define LOAD(name, type, order)                                                \
  static inline type name (const type *p)                                      \
  {                                                                            \
    return __atomic_load_n (p, order);                                         \
  }
#define STORE(name, type, order)                                               \
  static inline void name (type *p, type v)                                    \
  {                                                                            \
    __atomic_store_n (p, v, order);                                            \
  }

LOAD (load_relaxed, shared_u32, __ATOMIC_RELAXED)
LOAD (load_acquire, shared_u32, __ATOMIC_ACQUIRE)
LOAD (load_seq_cst, shared_u32, __ATOMIC_SEQ_CST)
LOAD (load_relaxed_u8, shared_u8, __ATOMIC_RELAXED)
STORE (store_relaxed, shared_u32, __ATOMIC_RELAXED)
STORE (store_release, shared_u32, __ATOMIC_RELEASE)
STORE (store_seq_cst, shared_u32, __ATOMIC_SEQ_CST)
STORE (store_relaxed_u8, shared_u8, __ATOMIC_RELAXED)

#undef LOAD
#undef STORE

/* ThreadSanitizer knows no fences, which gcc says each time. Those here order memory
 * of two processes, of which it sees one. */
#if defined __SANITIZE_THREAD__ && __GNUC__ >= 11
#pragma GCC diagnostic ignored "-Wtsan"
#endif

static inline void
fence_acquire (void)
{
  __atomic_thread_fence (__ATOMIC_ACQUIRE);
}

static inline void
fence_release (void)
{
  __atomic_thread_fence (__ATOMIC_RELEASE);
}

static inline uint32_t
exchange_seq_cst (shared_u32 *p, uint32_t v)
{
  return __atomic_exchange_n (p, v, __ATOMIC_SEQ_CST);
}

static inline uint32_t
fetch_or_relaxed (shared_u32 *p, uint32_t v)
{
  return __atomic_fetch_or (p, v, __ATOMIC_RELAXED);
}

static inline uint32_t
fetch_and_release (shared_u32 *p, uint32_t v)
{
  return __atomic_fetch_and (p, v, __ATOMIC_RELEASE);
}

#endif
