/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a writer tells of itself, as it goes over the socket. */
#ifndef NDSH_CHANNEL_H
#define NDSH_CHANNEL_H

#include "message.h"

#define NDSH_PATIENCE_MS 2000   /* with a writer that has stopped */

/* Sends @type, STATUS or WATCH. */
NdshIo ndsh_status_ask (int fd, guint32 type);

/* Takes the answer, if it is there. Only DONE sets @info; BAD is whatever else came. */
NdshIo ndsh_status_hear (int fd, NdshChannelInfo **info);

#endif
