/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Sleeping and waking, in both directions, and when a wake-up may be left out.
 *
 * Who sleeps says so and then looks again; who has news tells it and then looks
 * whether somebody sleeps. Both are sequentially consistent, so that one of the
 * two sees the other, and no wake-up is lost. A wake-up is a hint: it may come
 * without news, and one may stand for many.
 *
 *   reader sleeps   ndsh_wake_arm_reader   then ndsh_leases_have_new and
 *                                          ndsh_leases_get_ends, then sleep
 *   writer wakes    ndsh_slots_publish, ndsh_slots_end
 *                                          then ndsh_wake_reader_sleeps, then ring
 *   writer sleeps   ndsh_wake_arm_writer   then claim again, then sleep
 *   reader wakes    ndsh_leases_take, ndsh_leases_release, ndsh_leases_leave,
 *                   ndsh_leases_resume, ndsh_leases_set_segments_handled
 *                                          then ndsh_wake_writer_sleeps, then ring
 *
 * After take and release a reader that wants every frame rings only while at most half
 * of its queue lies before it (ndsh_leases_have_backlog), as a socket is writable only
 * once a good part of it is free: a writer that were woken for each place would sleep
 * again after each frame. Whoever leaves frames lying that it could take is who the
 * writer waits for in any case, and no longer than lossless_timeout_us.
 */
#ifndef NDSH_WAKE_H
#define NDSH_WAKE_H

#include <stdbool.h>

#include "layout.h"

static inline void
ndsh_wake_arm_reader (NdshLeasePage *page)
{
  store_seq_cst (&page->waiting, 1);
}

static inline void
ndsh_wake_disarm_reader (NdshLeasePage *page)
{
  /* Relaxed: who misses this rings once for nothing. */
  store_relaxed (&page->waiting, 0);
}

/* Whether nobody has rung since. Relaxed: who heard the byte sees that. */
static inline bool
ndsh_wake_reader_is_armed (const NdshLeasePage *page)
{
  return load_relaxed (&page->waiting) != 0;
}

/* Takes the reader's mark away, so that one sleep is rung for once. Looks before
 * it exchanges: most readers are awake, and a look leaves their line alone. */
static inline bool
ndsh_wake_reader_sleeps (NdshLeasePage *page)
{
  return load_seq_cst (&page->waiting) != 0
         && exchange_seq_cst (&page->waiting, 0) != 0;
}

static inline void
ndsh_wake_arm_writer (NdshControl *control)
{
  store_seq_cst (&control->writer_waiting, 1);
}

static inline void
ndsh_wake_disarm_writer (NdshControl *control)
{
  store_relaxed (&control->writer_waiting, 0);
}

static inline bool
ndsh_wake_writer_sleeps (const NdshControl *control)
{
  return load_seq_cst (&control->writer_waiting) != 0;
}

/* Sends the one byte, to the writer at the other end of socket @fd. Never blocks:
 * a full socket has wake-ups in it already. */
void ndsh_wake_ring (int fd);

/* --- Bells ---------------------------------------------------------------- */

/*
 * What wakes a reader: an eventfd of the writer's. A socket would do, but its kernel counts
 * on the one who sends to sleep soon, and has who is woken wait for that on the same
 * processor; and each byte has to be read. Readers get an epoll set with the eventfd in it:
 * who had the eventfd itself could fill it, and make it one that blocks who rings.
 */
typedef struct {
  int ring_fd;
  int listen_fd;                /* for the reader */
} NdshBell;

/* False with errno, and to be cleared even so. */
bool ndsh_bell_init (NdshBell *bell);
void ndsh_bell_clear (NdshBell *bell);

/* Never blocks. */
void ndsh_bell_ring (const NdshBell *bell);

/* Whether @listen_fd, which a peer sent, is one, as far as that can be told. */
bool ndsh_bell_check (int listen_fd);

/* --- Where a reader sleeps ------------------------------------------------ */

/* An epoll set: one fd to poll, that stays while sockets come and go. */
typedef struct {
  int epoll_fd;
  int timer_fd;
  int flush_fd;                 /* readable while flushing */
} NdshWaiter;

/* False with errno. */
bool ndsh_waiter_init (NdshWaiter *waiter);
void ndsh_waiter_clear (NdshWaiter *waiter);

bool ndsh_waiter_add (NdshWaiter *waiter, int fd);

/* Each ring ends one sleep, and nothing need be read. */
bool ndsh_waiter_add_bell (NdshWaiter *waiter, int listen_fd);
void ndsh_waiter_remove (NdshWaiter *waiter, int fd);

/* Readable from @at_us on, in the time of g_get_monotonic_time (); 0 for never. */
void ndsh_waiter_set_timer (NdshWaiter *waiter, int64_t at_us);

/* From any thread: all sleep ends at once, until it is taken back. */
void ndsh_waiter_set_flushing (NdshWaiter *waiter, bool flushing);

/* Until something is readable or @deadline_us, -1 for no deadline and 0 for not at all;
 * or for less, as on a signal. Whether @fd is among what is readable. */
bool ndsh_waiter_sleep (NdshWaiter *waiter, int fd, int64_t deadline_us);

#endif
