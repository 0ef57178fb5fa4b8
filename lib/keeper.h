/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * How a frame outlives its writer. A process of its own, ndsh-keeper, gets what a reader
 * would get, read-only, and the listening socket; so there is somebody behind the name at
 * any moment, and nothing is copied.
 */
#ifndef NDSH_KEEPER_H
#define NDSH_KEEPER_H

#include "ndsh.h"

/* The fds that a keeper begins with. */
enum {
  NDSH_KEEPER_LISTEN = 3,
  NDSH_KEEPER_DIR,
  NDSH_KEEPER_CONTROL,
  NDSH_KEEPER_SEGMENT,
  NDSH_KEEPER_N_FDS
};

/* Its arguments: the channel, and numbers. */
enum {
  NDSH_KEEPER_CHANNEL = 1,
  NDSH_KEEPER_LINGER_MS,
  NDSH_KEEPER_MAX_READERS,
  NDSH_KEEPER_SLOT,             /* that the frame is in */
  NDSH_KEEPER_DEV,              /* of the socket's file */
  NDSH_KEEPER_INO,
  NDSH_KEEPER_N_ARGS
};

/* Leaves the newest frame and the name to a keeper, which hears readers when this returns
 * TRUE. The service has stopped. FALSE, and all is as it was, if there is no frame, if the
 * name is not ours any more, or, which is logged once, if no keeper can be started. */
gboolean ndsh_keeper_start (NdshWriter *writer);

#endif
