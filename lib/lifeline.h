/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * File descriptors whose being open tells others that we live: sockets, and a
 * lock while it is held. A forked child has them all, and would keep a dead
 * parent alive in the eyes of its peers. So each is written down here, and in a
 * child something else is put in its place.
 */
#ifndef NDSH_LIFELINE_H
#define NDSH_LIFELINE_H

#include <glib.h>

/* No fork happens between these two: open the fd and add it. */
void ndsh_lifeline_lock (void);
void ndsh_lifeline_unlock (void);

/* With the lock. Returns @fd; a negative one is not added. */
int ndsh_lifeline_add (int fd);

/* Without the lock. Ignores a negative one, keeps errno. */
void ndsh_lifeline_close (int fd);

/* A number of this process, which in a child forked from now on is another. */
guint ndsh_lifeline_watch (void);

/* That number; for who has watched. */
guint ndsh_lifeline_process (void);

#endif
