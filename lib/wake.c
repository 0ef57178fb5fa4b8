/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The calls; the decisions stand in wake.h, where a test can reach them. */
#include "wake.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

void
ndsh_wake_ring (int fd)
{
  int saved = errno;

  /* A failure is a full socket or a peer that is gone: nobody has to be told. */
  (void) !send (fd, "w", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
  errno = saved;
}

/* --- Bells ---------------------------------------------------------------- */

bool
ndsh_bell_init (NdshBell *bell)
{
  struct epoll_event event = { .events = EPOLLIN | EPOLLET };

  bell->ring_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  bell->listen_fd = bell->ring_fd >= 0 ? epoll_create1 (EPOLL_CLOEXEC) : -1;
  return bell->listen_fd >= 0
         && epoll_ctl (bell->listen_fd, EPOLL_CTL_ADD, bell->ring_fd, &event) == 0;
}

void
ndsh_bell_clear (NdshBell *bell)
{
  if (bell->ring_fd >= 0)
    close (bell->ring_fd);
  if (bell->listen_fd >= 0)
    close (bell->listen_fd);
  bell->ring_fd = bell->listen_fd = -1;
}

void
ndsh_bell_ring (const NdshBell *bell)
{
  const uint64_t one = 1;
  int saved = errno;

  (void) !write (bell->ring_fd, &one, sizeof one);
  errno = saved;
}

/* By its name, which no file can have, and which the file behind it is not asked for.
 * Where there is no /proc the writer is believed. */
bool
ndsh_bell_check (int listen_fd)
{
  static const char set[] = "anon_inode:[eventpoll]";
  char link[32], name[64];
  ssize_t length;

  snprintf (link, sizeof link, "/proc/self/fd/%d", listen_fd);
  length = readlink (link, name, sizeof name);
  if (length < 0)
    return errno == ENOENT || errno == ENOTDIR || errno == EACCES;
  return length == sizeof set - 1 && memcmp (name, set, sizeof set - 1) == 0;
}

/* --- Where a reader sleeps ------------------------------------------------ */

bool
ndsh_waiter_init (NdshWaiter *waiter)
{
  waiter->timer_fd = waiter->flush_fd = -1;
  waiter->epoll_fd = epoll_create1 (EPOLL_CLOEXEC);
  if (waiter->epoll_fd < 0)
    return false;
  waiter->timer_fd
    = timerfd_create (CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (waiter->timer_fd < 0 || !ndsh_waiter_add (waiter, waiter->timer_fd))
    return false;
  waiter->flush_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  return waiter->flush_fd >= 0 && ndsh_waiter_add (waiter, waiter->flush_fd);
}

void
ndsh_waiter_clear (NdshWaiter *waiter)
{
  if (waiter->timer_fd >= 0)
    close (waiter->timer_fd);
  if (waiter->flush_fd >= 0)
    close (waiter->flush_fd);
  if (waiter->epoll_fd >= 0)
    close (waiter->epoll_fd);
}

static bool
add (NdshWaiter *waiter, int fd, uint32_t events)
{
  struct epoll_event event = { .events = events, .data.fd = fd };

  return epoll_ctl (waiter->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

bool
ndsh_waiter_add (NdshWaiter *waiter, int fd)
{
  return add (waiter, fd, EPOLLIN);
}

bool
ndsh_waiter_add_bell (NdshWaiter *waiter, int listen_fd)
{
  return add (waiter, listen_fd, EPOLLIN | EPOLLET);
}

void
ndsh_waiter_remove (NdshWaiter *waiter, int fd)
{
  epoll_ctl (waiter->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

/* Setting a timer also makes it unreadable again until it expires. */
void
ndsh_waiter_set_timer (NdshWaiter *waiter, int64_t at_us)
{
  struct itimerspec when = { .it_value = { .tv_sec = at_us / 1000000,
                                           .tv_nsec = at_us % 1000000 * 1000 } };

  timerfd_settime (waiter->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

void
ndsh_waiter_set_flushing (NdshWaiter *waiter, bool flushing)
{
  uint64_t n = 1;

  if (flushing)
    (void) !write (waiter->flush_fd, &n, sizeof n);
  else
    (void) !read (waiter->flush_fd, &n, sizeof n);
}

static int
milliseconds_until (int64_t deadline_us)
{
  struct timespec now;
  int64_t left_us;

  if (deadline_us < 0)
    return -1;
  clock_gettime (CLOCK_MONOTONIC, &now);
  left_us = deadline_us - ((int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000);
  if (left_us <= 0)
    return 0;
  return left_us > 3600000000 ? 3600000 : (int) ((left_us + 999) / 1000);
}

bool
ndsh_waiter_sleep (NdshWaiter *waiter, int fd, int64_t deadline_us)
{
  struct epoll_event events[4];         /* as many as there are fds */
  int n = epoll_wait (waiter->epoll_fd, events, 4,
                      deadline_us == 0 ? 0 : milliseconds_until (deadline_us));

  for (int i = 0; i < n; i++)
    if (events[i].data.fd == fd)
      return true;
  return false;
}
