/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The hostile side of a connection: bare sockets, mappings and memfds, which
 * nothing holds back from what the library would not do. The side under test is
 * the library through ndsh.h.
 */
#ifndef NDSH_TEST_PEER_H
#define NDSH_TEST_PEER_H

#include "layout.h"
#include "ndsh.h"

/* --- Messages ------------------------------------------------------------- */

/* With a header of @type and of the size of @message. */
#define peer_say(fd, type, message, fds, n_fds)                                \
  (ndsh_header_init (message, type, sizeof *(message)),                        \
   ndsh_test_send (fd, message, sizeof *(message), fds, n_fds))

/* The next message within 10 s; its size, 0 at the end. */
gsize peer_hear (int fd, gpointer data, gsize size, int *fds, guint *n_fds);

/* Fails unless the other side hangs up within 10 s; what it sent before is lost.
 * Closes @fd. */
void peer_is_dropped (int fd);

/* --- A reader ------------------------------------------------------------- */

typedef struct {
  int fd;
  NdshWelcome welcome;
  int control_fd;
  int page_fd;
  int bell_fd;
  const NdshControl *control;
  NdshLeasePage *page;
  int segment_fds[NDSH_N_SLOTS];        /* the last of each slot, or 0 */
  guint32 generations[NDSH_N_SLOTS];    /* and what that is */
  guint n_segments;             /* SEGMENT messages heard */
} PeerReader;

/* A connection to channel "test". Waits while its backlog is full. */
int peer_connect (void);

/* Says HELLO and maps what comes with WELCOME. */
PeerReader peer_join (guint32 mode, guint32 queue_length, guint32 max_leases);

/* Hears what has been said so far. */
void peer_catch_up (PeerReader *reader);

/* Hears on until it knows the memory of the frame in @slot, which it has leased. */
int peer_get_segment (PeerReader *reader, guint slot);

/* Gives up all but the socket, or that as well. */
void peer_unmap (PeerReader *reader);
void peer_leave (PeerReader *reader);

/* Leases the newest frame in @hazard; it must still be there. */
void peer_lease_newest (PeerReader *reader, guint hazard);

/* --- A writer ------------------------------------------------------------- */

#define PEER_PAYLOAD 4096       /* of a slot: the tail lies behind it */

typedef struct {
  int listen_fd;
  int fd;                       /* the reader's connection, or -1 */
  NdshWelcome welcome;
  int control_fd;
  int page_fd;
  int bell_fd;
  int slot_fd;                  /* of any slot */
  NdshControl *control;         /* mapped for writing, whatever the seals say */
  NdshLeasePage *page;
  guint8 *slot;
  gsize slot_size;
} PeerWriter;

/* A memfd of @size bytes, all with memory; *@data is a mapping of it. */
int peer_memfd (gsize size, int seals, gpointer *data);

/* Listens as channel "test", with pages that a reader takes. */
void peer_writer_init (PeerWriter *writer);
void peer_writer_clear (PeerWriter *writer);

/* Another id, and no frame yet: a reader that finds the old one goes on where it was. */
void peer_begin_stream (PeerWriter *writer);

/* Drives @reader until it has connected anew and said HELLO. */
void peer_accept (PeerWriter *writer, NdshReader *reader);

/* Sends WELCOME; SEGMENT: @slot has @generation. */
void peer_welcome (PeerWriter *writer, guint32 mode);
void peer_announce (PeerWriter *writer, guint32 slot, guint32 generation);

/* Drives @reader through all of it: accept, welcome, slot 0. */
void peer_be_joined (PeerWriter *writer, NdshReader *reader, guint32 mode);

/* Makes frame @n, uint8[10] of its number, in @slot; a second call publishes. */
void peer_write (PeerWriter *writer, guint32 slot, guint32 n);
void peer_publish (PeerWriter *writer, guint32 slot, guint32 n);

#endif
