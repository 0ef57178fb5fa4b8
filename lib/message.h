/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Messages of layout.h over a socket, with their fds: whole, checked, or not at
 * all. Nothing here blocks. */
#ifndef NDSH_MESSAGE_H
#define NDSH_MESSAGE_H

#include "layout.h"
#include "ndsh.h"

#define NDSH_MESSAGE_WAKE 0     /* not a number on the wire: the byte 'w' */

#define NDSH_MESSAGE_FDS 3      /* that a message has at most */

typedef struct {
  guint32 type;
  union {
    NdshHeader header;
    NdshHello hello;
    NdshWelcome welcome;
    NdshRefused refused;
    NdshSegmentMessage segment;
  } body;
  int fds[NDSH_MESSAGE_FDS];    /* -1 if there is none; close what you take not */
} NdshMessage;

typedef enum {
  NDSH_IO_DONE,
  NDSH_IO_AGAIN,                /* nothing there; or no room, nothing was sent */
  NDSH_IO_GONE,                 /* the peer closed; what it had sent was read */
  NDSH_IO_BAD                   /* it sent what cannot be; @error says what */
} NdshIo;

void ndsh_header_init (gpointer message, guint32 type, gsize size);

/* Sends @size bytes, and fds 0 to @n_fds - 1, as one message. */
NdshIo ndsh_message_send (int socket, gconstpointer message, gsize size,
                          const int *fds, guint n_fds);

/* Its fds are the caller's. Only DONE leaves anything in @message. */
NdshIo ndsh_message_receive (int socket, NdshMessage *message, GError **error);

void ndsh_message_clear (NdshMessage *message);

/* Text of a peer's as it may stand in an error, which ends up on a terminal or in a
 * log: valid UTF-8 that is only printed. g_free () it. */
char *ndsh_text_to_print (const char *text);

/* 32 hex digits and a NUL, whatever a peer has for an id. */
void ndsh_stream_id_copy (char id[33], const char *foreign);

/* Whether @size received bytes with @n_fds fds are one of the messages above. A
 * pure function. */
gboolean ndsh_message_check (const NdshMessage *message, gsize size,
                             guint n_fds, GError **error);

#endif
