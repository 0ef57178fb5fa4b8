/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * In the child the fds are replaced, never closed: objects inherited from the
 * parent still know the numbers, and a late close would hit whatever had got the
 * number since. Nor are locks released: that would release the parent's, which
 * shares the open file.
 *
 * pthread's mutexes rather than GLib's, here and in the whole library: GMutex is
 * a futex of GLib's own, which ThreadSanitizer does not know for a lock.
 */
#include "lifeline.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "error.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static GArray *fds;
static guint process;

static void
before_fork (void)
{
  pthread_mutex_lock (&mutex);
}

static void
in_parent (void)
{
  pthread_mutex_unlock (&mutex);
}

/* An eventfd, because it never reports anything by itself. */
static int
open_nothing (void)
{
  return eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
}

/* Async-signal-safe calls only: other threads' locks may be held for ever.
 *
 * At the limit of open files every number below it is taken: the first that is
 * closed is the one that nothing gets. A number above the limit, which was lowered
 * since, can only be closed; nobody gets it again. */
static void
in_child (void)
{
  int spare = fds->len > 0 ? open_nothing () : -1;
  int nothing = spare;

  for (guint i = 0; i < fds->len; i++) {
    int fd = g_array_index (fds, int, i);

    if (nothing >= 0 && dup3 (nothing, fd, O_CLOEXEC) == fd)
      continue;
    close (fd);
    if (nothing < 0)
      nothing = open_nothing ();
  }
  if (spare >= 0)
    close (spare);
  process++;
  pthread_mutex_unlock (&mutex);
}

static void
start (void)
{
  fds = g_array_new (FALSE, FALSE, sizeof (int));
  pthread_atfork (before_fork, in_parent, in_child);
}

void
ndsh_lifeline_lock (void)
{
  pthread_once (&once, start);
  pthread_mutex_lock (&mutex);
}

void
ndsh_lifeline_unlock (void)
{
  pthread_mutex_unlock (&mutex);
}

int
ndsh_lifeline_add (int fd)
{
  if (fd >= 0)
    g_array_append_val (fds, fd);
  return fd;
}

void
ndsh_lifeline_close (int fd)
{
  int saved = errno;

  if (fd < 0)
    return;
  ndsh_lifeline_lock ();
  for (guint i = 0; i < fds->len; i++)
    if (g_array_index (fds, int, i) == fd) {
      g_array_remove_index_fast (fds, i);
      break;
    }
  close (fd);
  ndsh_lifeline_unlock ();
  errno = saved;
}

guint
ndsh_lifeline_watch (void)
{
  pthread_once (&once, start);
  return process;
}

guint
ndsh_lifeline_process (void)
{
  return process;
}
