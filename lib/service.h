/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The writer's thread: takes in readers, hears what they say, notices that they
 * are gone. It knows sockets and no frames.
 */
#ifndef NDSH_SERVICE_H
#define NDSH_SERVICE_H

#include "message.h"

typedef struct _NdshService NdshService;

/* A connection to the service. Lives until gone () returns, or hello () or
 * status () if it never joined. */
typedef struct {
  int fd;
  gint64 pid;
  gint64 uid;
  gpointer joined;              /* the callbacks' own, NULL before hello () */
  gboolean watches;             /* what status () answered; it stays until that is old */
} NdshGuest;

/* All are called from the service's thread, without locks. */
typedef struct {
  /* Answers; leaves guest->joined NULL to see it dropped. */
  void (*hello) (gpointer owner, NdshGuest *guest, const NdshHello *hello);
  /* Answers; takes guest->watches back if it could not. */
  void (*status) (gpointer owner, NdshGuest *guest);
  void (*woken) (gpointer owner);
  /* FALSE if it cannot be told anything any more. */
  gboolean (*writable) (gpointer owner, NdshGuest *guest);
  void (*gone) (gpointer owner, NdshGuest *guest);
  /* Another process has taken the name. NULL for who gives it up to nobody. */
  void (*yield) (gpointer owner, NdshGuest *guest);
} NdshServiceCallbacks;

/* Takes @listen_fd. NULL if no thread can be had. */
NdshService *ndsh_service_new (int listen_fd,
                               const NdshServiceCallbacks *callbacks,
                               gpointer owner, GError **error);

/* Returns when the thread has ended. Who is there stays, unheard, and who comes waits to be
 * accepted by whoever else has the listening socket. Otherwise like the next one. */
void ndsh_service_stop (NdshService *service);

/* Of the socket that guests connect to; it stays the service's. */
int ndsh_service_get_listen_fd (NdshService *service);

/* Drops all guests, without a call of gone (), and returns when the thread has
 * ended. Not from a callback, nor in a forked child, where the thread is not. */
void ndsh_service_free (NdshService *service);

/* Whether this is the service's thread. */
gboolean ndsh_service_is_current (NdshService *service);

/* A message did not go out: has writable () called once when it may. From any
 * thread, as long as gone () has not returned. */
void ndsh_service_watch_writable (NdshService *service, NdshGuest *guest);

/* Has woken () called, as if a guest had sent a wake-up. From any thread. */
void ndsh_service_wake (NdshService *service);

/* What those who watch were told is old: drops them, and they ask again. From any
 * thread. */
void ndsh_service_end_watches (NdshService *service);

/* Sends REFUSED with @error. */
void ndsh_guest_refuse (NdshGuest *guest, const GError *error);

#endif
