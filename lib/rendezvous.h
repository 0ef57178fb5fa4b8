/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * How a name becomes a socket: directories, the lock under which a writer starts
 * and stops, taking over from a dead one, finding a live one.
 */
#ifndef NDSH_RENDEZVOUS_H
#define NDSH_RENDEZVOUS_H

#include <sys/types.h>

#include "ndsh.h"

typedef struct _NdshName NdshName;      /* a name taken by this process */

gboolean ndsh_name_check (const char *name, GError **error);

/* Takes @name for this process: @listen_fd is a listening socket that others find
 * under it, a lifeline, and the caller's to close. EXISTS if it is taken. */
NdshName *ndsh_name_take (const char *name, guint perms, int *listen_fd,
                          GError **error);

/* Gives it back, once the socket is closed; a name that another writer has taken
 * over meanwhile is left alone. */
void ndsh_name_give_back (NdshName *name);

/* Frees what is known of it: it is another process's from now on. */
void ndsh_name_forget (NdshName *name);

/* Whoever listens from now on gives the name up to the next writer of this user's, or of
 * root's, which does not ask first. FALSE if it is not ours any more, or cannot be marked. */
gboolean ndsh_name_set_kept (NdshName *name);

/* What another process has to know of it to give it back. */
typedef struct {
  int dir_fd;
  const char *base;
  dev_t dev;
  ino_t ino;
} NdshNameId;

NdshNameId ndsh_name_get_id (const NdshName *name);

/* This process listens on @listen_fd in place of the one that took the name. Takes the
 * directory's fd. */
NdshName *ndsh_name_adopt (const NdshNameId *id, int listen_fd);

/* Connects to the writer of @name without waiting; a lifeline, the caller's to
 * close. -1 with NOT_FOUND if there is none, DENIED if there is no way to it.
 * @is_crowded, or NULL: there is one, or a socket that nobody serves, and so many wait for
 * it already that it is of no use for now. */
int ndsh_name_connect (const char *name, gboolean *is_crowded, GError **error);

/* The directories that names are looked for in, the first first; g_strfreev () them. They
 * need not exist. */
char **ndsh_name_get_dirs (void);

/* The same in one of those; -1 if there is none, or no way to it. */
int ndsh_name_connect_in (const char *dir, const char *name);

/* Names that connect, sorted; g_strfreev () them. */
char **ndsh_name_list (void);

/* Who is at the other end of a socket, as the kernel says. */
void ndsh_peer_get (int fd, gint64 *pid, gint64 *uid);

/* "process 812", or where its pid means nothing here, "a process of another pid
 * namespace". */
char *ndsh_peer_to_string (gint64 pid);

#endif
