/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Wrong operations of lib/slots.c and lib/wake.h, for those who look for them: in all
 * schedules of a machine (tests/explore), and on a real one (tests/stress). Either
 * has lib/atomics.h replaced by a file that does what the mutant says. */
#ifndef MUTANT_H
#define MUTANT_H

typedef enum { RELAXED, ACQUIRE, RELEASE, SEQ_CST } MemoryOrder;

/* A wrong order, a store left out and the like, told by the function of the code
 * under test, by operation and by order. */
typedef struct {
  const char *name;
  const char *function;
  enum { NO_OPERATION, LOAD, STORE, RMW, FENCE } operation;
  MemoryOrder order;
  enum { WEAKEN, LEAVE_OUT, PRETEND, POSTPONE } action;
  MemoryOrder weaker;           /* WEAKEN: the order instead */
  const char *past;             /* POSTPONE: behind the operations of this one */
} Mutant;

/* Rows that begin an array. */
#define MUTANT_ROWS                                                            \
  /* The four of the handshake: each must be sequentially consistent. */       \
  { "hazard-store-is-release", "lease", STORE, SEQ_CST, WEAKEN, RELEASE, 0 },  \
  { "hazard-check-is-acquire", "lease", LOAD, SEQ_CST, WEAKEN, ACQUIRE, 0 },   \
  { "claim-store-is-release", "claim_frame", STORE, SEQ_CST, WEAKEN, RELEASE,  \
    0 },                                                                       \
  { "scan-is-acquire", "is_leased", LOAD, SEQ_CST, WEAKEN, ACQUIRE, 0 },       \
  /* Its steps and their places. */                                            \
  { "no-hazard", "lease", STORE, SEQ_CST, LEAVE_OUT, 0, 0 },                   \
  { "no-check-after-the-hazard", "lease", LOAD, SEQ_CST, PRETEND, 0, 0 },      \
  { "hazard-after-the-check", "lease", STORE, SEQ_CST, POSTPONE, 0, "lease" }, \
  { "scan-before-the-claim", "claim_frame", STORE, SEQ_CST, POSTPONE, 0,       \
    "is_leased" },                                                             \
  { "no-claim", "claim_frame", STORE, SEQ_CST, LEAVE_OUT, 0, 0 },              \
  { "hazard-is-not-released", "ndsh_leases_release", STORE, SEQ_CST,           \
    LEAVE_OUT, 0, 0 },                                                         \
  { "hazard-is-free-before-it-is-0", "ndsh_leases_release", STORE, SEQ_CST,    \
    POSTPONE, 0, "ndsh_leases_release" },                                      \
  { "hazard-release-is-relaxed", "ndsh_leases_release", STORE, SEQ_CST,        \
    WEAKEN, RELAXED, 0 },                                                      \
  { "scan-is-relaxed", "is_leased", LOAD, SEQ_CST, WEAKEN, RELAXED, 0 },       \
  /* Publishing. */                                                            \
  { "hazard-check-is-relaxed", "lease", LOAD, SEQ_CST, WEAKEN, RELAXED, 0 },   \
  { "head-before-the-frame", "ndsh_slots_publish", STORE, RELEASE, POSTPONE,   \
    0, "ndsh_slots_publish" },                                                 \
  { "head-before-the-ring", "ndsh_slots_publish", STORE, RELAXED, POSTPONE, 0, \
    "ndsh_slots_publish" },                                                    \
  { "head-store-is-relaxed", "ndsh_slots_publish", STORE, SEQ_CST, WEAKEN,     \
    RELAXED, 0 },                                                              \
  { "head-load-is-relaxed", "ndsh_leases_find", LOAD, ACQUIRE, WEAKEN,         \
    RELAXED, 0 },                                                              \
  /* Waking. */                                                                \
  { "head-store-is-release", "ndsh_slots_publish", STORE, SEQ_CST, WEAKEN,     \
    RELEASE, 0 },                                                              \
  { "last-look-is-acquire", "ndsh_leases_have_new", LOAD, SEQ_CST, WEAKEN,     \
    ACQUIRE, 0 },                                                              \
  { "reader-arms-with-release", "ndsh_wake_arm_reader", STORE, SEQ_CST,        \
    WEAKEN, RELEASE, 0 },                                                      \
  { "look-at-sleepers-is-acquire", "ndsh_wake_reader_sleeps", LOAD, SEQ_CST,   \
    WEAKEN, ACQUIRE, 0 },                                                      \
  { "writer-arms-with-release", "ndsh_wake_arm_writer", STORE, SEQ_CST,        \
    WEAKEN, RELEASE, 0 },                                                      \
  { "look-at-the-writer-is-acquire", "ndsh_wake_writer_sleeps", LOAD, SEQ_CST, \
    WEAKEN, ACQUIRE, 0 },                                                      \
  { "cursor-store-is-release", "ndsh_leases_take", STORE, SEQ_CST, WEAKEN,     \
    RELEASE, 0 },                                                              \
  { "cursor-is-not-stored", "ndsh_leases_take", STORE, SEQ_CST, LEAVE_OUT, 0,  \
    0 },                                                                       \
  { "look-at-cursor-is-acquire", "get_cursor", LOAD, SEQ_CST, WEAKEN, ACQUIRE, \
    0 },                                                                       \
  { "hazard-release-is-release", "ndsh_leases_release", STORE, SEQ_CST,        \
    WEAKEN, RELEASE, 0 }

#endif
