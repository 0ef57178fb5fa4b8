/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* That no wake-up is lost is shown by tests/explore; here are the calls. */
#include "wake.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "ndsh-test.h"

#define HOUR_US (3600 * (gint64) G_USEC_PER_SEC)

static void
init_waiter (NdshWaiter *waiter)
{
  g_assert_true (ndsh_waiter_init (waiter));
  g_assert_false (ndsh_test_is_readable (waiter->epoll_fd));
}

/* --- Marks ---------------------------------------------------------------- */

static void
test_one_sleep_is_rung_for_once (void)
{
  NdshLeasePage page = { .waiting = 0 };

  g_assert_false (ndsh_wake_reader_sleeps (&page));
  ndsh_wake_arm_reader (&page);
  g_assert_true (ndsh_wake_reader_sleeps (&page));
  g_assert_false (ndsh_wake_reader_sleeps (&page));

  ndsh_wake_arm_reader (&page);
  ndsh_wake_disarm_reader (&page);
  g_assert_false (ndsh_wake_reader_sleeps (&page));
}

static void
test_a_waiting_writer_is_told_by_everybody (void)
{
  g_autofree NdshControl *control = g_new0 (NdshControl, 1);

  g_assert_false (ndsh_wake_writer_sleeps (control));
  ndsh_wake_arm_writer (control);
  g_assert_true (ndsh_wake_writer_sleeps (control));
  g_assert_true (ndsh_wake_writer_sleeps (control));

  ndsh_wake_disarm_writer (control);
  g_assert_false (ndsh_wake_writer_sleeps (control));
}

/* --- The bell ------------------------------------------------------------- */

static void
test_a_ring_is_one_byte (void)
{
  char heard[2] = { 0 };
  int ends[2];

  ndsh_test_socketpair (ends);
  ndsh_wake_ring (ends[0]);

  g_assert_cmpint (recv (ends[1], heard, sizeof heard, MSG_DONTWAIT), ==, 1);
  g_assert_cmpint (heard[0], ==, 'w');
  g_assert_cmpint (recv (ends[1], heard, sizeof heard, MSG_DONTWAIT), ==, -1);
  close (ends[0]);
  close (ends[1]);
}

/* The sockets block by themselves: a ring that does would hang here. */
static void
test_a_full_socket_does_not_block (void)
{
  int ends[2];

  ndsh_test_socketpair (ends);
  while (send (ends[0], "x", 1, MSG_DONTWAIT) == 1)
    ;
  g_assert_cmpint (errno, ==, EAGAIN);
  alarm (10);
  for (guint i = 0; i < 1000; i++)
    ndsh_wake_ring (ends[0]);
  alarm (0);

  g_assert_cmpint (errno, ==, EAGAIN);
  close (ends[0]);
  close (ends[1]);
}

/* SIGPIPE would end this program; Linux sends it for a stream alone. */
static void
test_a_peer_that_is_gone_is_rung_in_vain (void)
{
  int ends[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM, 0, ends), ==, 0);
  close (ends[1]);
  errno = 12345;
  ndsh_wake_ring (ends[0]);
  ndsh_wake_ring (-1);

  g_assert_cmpint (errno, ==, 12345);
  close (ends[0]);
}

/* --- Where a reader sleeps ------------------------------------------------ */

static void
test_the_timer_goes_off_and_is_silenced (void)
{
  NdshWaiter waiter;

  init_waiter (&waiter);
  ndsh_waiter_set_timer (&waiter, 1);           /* long ago */
  ndsh_test_wait_readable (waiter.epoll_fd);
  ndsh_waiter_set_timer (&waiter, g_get_monotonic_time () + HOUR_US);
  g_assert_false (ndsh_test_is_readable (waiter.epoll_fd));
  ndsh_waiter_set_timer (&waiter, g_get_monotonic_time () + 1000);
  ndsh_test_wait_readable (waiter.epoll_fd);
  ndsh_waiter_set_timer (&waiter, 0);
  g_assert_false (ndsh_test_is_readable (waiter.epoll_fd));

  ndsh_waiter_clear (&waiter);
}

static void
test_the_timer_is_not_early (void)
{
  gint64 at_us = g_get_monotonic_time () + 20000;
  NdshWaiter waiter;

  init_waiter (&waiter);
  ndsh_waiter_set_timer (&waiter, at_us);
  ndsh_test_wait_readable (waiter.epoll_fd);

  g_assert_cmpint (g_get_monotonic_time (), >=, at_us);
  ndsh_waiter_clear (&waiter);
}

static void
test_sockets_come_and_go (void)
{
  NdshWaiter waiter;
  int ends[2];

  init_waiter (&waiter);
  ndsh_test_socketpair (ends);
  ndsh_wake_ring (ends[0]);
  g_assert_false (ndsh_test_is_readable (waiter.epoll_fd));
  g_assert_true (ndsh_waiter_add (&waiter, ends[1]));
  g_assert_true (ndsh_test_is_readable (waiter.epoll_fd));
  g_assert_false (ndsh_waiter_add (&waiter, ends[1]));
  g_assert_cmpint (errno, ==, EEXIST);

  ndsh_waiter_remove (&waiter, ends[1]);
  g_assert_false (ndsh_test_is_readable (waiter.epoll_fd));
  ndsh_waiter_remove (&waiter, ends[1]);
  g_assert_true (ndsh_waiter_add (&waiter, ends[1]));
  g_assert_true (ndsh_test_is_readable (waiter.epoll_fd));

  close (ends[0]);
  close (ends[1]);
  ndsh_waiter_clear (&waiter);
}

static void
test_sleep_ends_with_news_or_its_deadline (void)
{
  gint64 deadline_us;
  NdshWaiter waiter;
  int ends[2];

  init_waiter (&waiter);
  ndsh_test_socketpair (ends);
  g_assert_true (ndsh_waiter_add (&waiter, ends[1]));
  alarm (10);
  g_assert_false (ndsh_waiter_sleep (&waiter, ends[1], 0));     /* long ago */
  g_assert_false (ndsh_waiter_sleep (&waiter, ends[1], g_get_monotonic_time ()));
  deadline_us = g_get_monotonic_time () + 10500;
  while (g_get_monotonic_time () < deadline_us)
    g_assert_false (ndsh_waiter_sleep (&waiter, ends[1], deadline_us));

  ndsh_wake_ring (ends[0]);
  g_assert_true (ndsh_waiter_sleep (&waiter, ends[1], -1));
  g_assert_false (ndsh_waiter_sleep (&waiter, ends[0], -1));
  g_assert_true (ndsh_waiter_sleep (&waiter, ends[1],
                                    g_get_monotonic_time () + 1000 * HOUR_US));
  g_assert_true (ndsh_waiter_sleep (&waiter, ends[1], G_MAXINT64));
  alarm (0);

  close (ends[0]);
  close (ends[1]);
  ndsh_waiter_clear (&waiter);
}

/* Also of who polls the set elsewhere, and comes for what there is. */
static void
test_each_ring_ends_one_sleep (void)
{
  NdshWaiter waiter;
  NdshBell bell;

  init_waiter (&waiter);
  g_assert_true (ndsh_bell_init (&bell));
  g_assert_true (ndsh_waiter_add_bell (&waiter, bell.listen_fd));
  for (guint i = 0; i < 3; i++) {
    g_assert_false (ndsh_test_is_readable (waiter.epoll_fd));
    g_assert_false (ndsh_waiter_sleep (&waiter, bell.listen_fd, 0));
    ndsh_bell_ring (&bell);
    ndsh_bell_ring (&bell);
    g_assert_true (ndsh_test_is_readable (waiter.epoll_fd));
    g_assert_true (ndsh_waiter_sleep (&waiter, bell.listen_fd, -1));
  }
  ndsh_waiter_clear (&waiter);
  ndsh_bell_clear (&bell);
}

static void
test_a_full_bell_does_not_block (void)
{
  const guint64 most = G_MAXUINT64 - 1;
  NdshBell bell;

  g_assert_true (ndsh_bell_init (&bell));
  g_assert_cmpint (write (bell.ring_fd, &most, sizeof most), ==, sizeof most);
  errno = 77;
  ndsh_bell_ring (&bell);
  g_assert_cmpint (errno, ==, 77);
  ndsh_bell_clear (&bell);
}

static void
test_bells_are_known_from_others (void)
{
  int others[] = { memfd_create ("anon_inode:[eventpoll]", MFD_CLOEXEC),
                   timerfd_create (CLOCK_MONOTONIC, TFD_CLOEXEC),
                   eventfd (0, EFD_CLOEXEC), open ("/", O_RDONLY | O_CLOEXEC) };
  NdshBell bell;

  g_assert_true (ndsh_bell_init (&bell));
  g_assert_true (ndsh_bell_check (bell.listen_fd));
  for (guint i = 0; i < G_N_ELEMENTS (others); i++) {
    g_assert_cmpint (others[i], >=, 0);
    g_assert_false (ndsh_bell_check (others[i]));
    close (others[i]);
  }
  ndsh_bell_clear (&bell);
}

static void
test_flushing_lasts_until_it_is_taken_back (void)
{
  NdshWaiter waiter;

  init_waiter (&waiter);
  ndsh_waiter_set_flushing (&waiter, true);
  for (guint i = 0; i < 3; i++)
    ndsh_waiter_sleep (&waiter, -1, -1);
  g_assert_true (ndsh_test_is_readable (waiter.epoll_fd));
  ndsh_waiter_set_flushing (&waiter, false);
  g_assert_false (ndsh_test_is_readable (waiter.epoll_fd));
  ndsh_waiter_clear (&waiter);
}

static void
test_want_of_fds_is_told_and_leaks_none (void)
{
  guint fds = ndsh_test_count_fds ();

  for (guint n = 0; n < 3; n++) {
    NdshWaiter waiter;
    gboolean good;
    int saved;

    ndsh_test_limit_fds (n);
    good = ndsh_waiter_init (&waiter);
    saved = errno;
    ndsh_waiter_clear (&waiter);
    ndsh_test_unlimit_fds ();

    g_assert_false (good);
    g_assert_cmpint (saved, ==, EMFILE);
  }

  g_assert_cmpuint (ndsh_test_count_fds (), ==, fds);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/wake/one-sleep-is-rung-for-once",
                   test_one_sleep_is_rung_for_once);
  g_test_add_func ("/wake/a-waiting-writer-is-told-by-everybody",
                   test_a_waiting_writer_is_told_by_everybody);
  g_test_add_func ("/wake/a-ring-is-one-byte", test_a_ring_is_one_byte);
  g_test_add_func ("/wake/a-full-socket-does-not-block",
                   test_a_full_socket_does_not_block);
  g_test_add_func ("/wake/a-peer-that-is-gone-is-rung-in-vain",
                   test_a_peer_that_is_gone_is_rung_in_vain);
  g_test_add_func ("/wake/the-timer-goes-off-and-is-silenced",
                   test_the_timer_goes_off_and_is_silenced);
  g_test_add_func ("/wake/the-timer-is-not-early", test_the_timer_is_not_early);
  g_test_add_func ("/wake/sockets-come-and-go", test_sockets_come_and_go);
  g_test_add_func ("/wake/sleep-ends-with-news-or-its-deadline",
                   test_sleep_ends_with_news_or_its_deadline);
  g_test_add_func ("/wake/each-ring-ends-one-sleep", test_each_ring_ends_one_sleep);
  g_test_add_func ("/wake/a-full-bell-does-not-block", test_a_full_bell_does_not_block);
  g_test_add_func ("/wake/bells-are-known-from-others",
                   test_bells_are_known_from_others);
  g_test_add_func ("/wake/flushing-lasts-until-it-is-taken-back",
                   test_flushing_lasts_until_it_is_taken_back);
  g_test_add_func ("/wake/want-of-fds-is-told-and-leaks-none",
                   test_want_of_fds_is_told_and_leaks_none);

  return g_test_run ();
}
