/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "message.h"
#include "ndsh-test.h"

/* --- Messages ------------------------------------------------------------- */

/* As large as the largest that a test sends, and aligned for its header. */
typedef union {
  struct cmsghdr header;
  char space[CMSG_SPACE (NDSH_TEST_MAX_FDS * sizeof (int))];
} Control;

static guint
take_fds (struct msghdr *msg, int *fds)
{
  guint n = 0;

  for (struct cmsghdr *c = CMSG_FIRSTHDR (msg); c != NULL;
       c = CMSG_NXTHDR (msg, c)) {
    n = (guint) ((c->cmsg_len - CMSG_LEN (0)) / sizeof (int));
    memcpy (fds, CMSG_DATA (c), n * sizeof (int));
  }
  return n;
}

gsize
peer_hear (int fd, gpointer data, gsize size, int *fds, guint *n_fds)
{
  Control control;
  struct iovec iov = { data, size };
  struct msghdr msg = { .msg_iov = &iov,
                        .msg_iovlen = 1,
                        .msg_control = &control,
                        .msg_controllen = sizeof control };
  gssize heard;

  ndsh_test_wait_readable (fd);
  heard = recvmsg (fd, &msg, MSG_CMSG_CLOEXEC);
  if (heard < 0)                /* it closed with something of ours unread */
    heard = recvmsg (fd, &msg, MSG_CMSG_CLOEXEC);
  g_assert_cmpint (heard, >=, 0);
  *n_fds = take_fds (&msg, fds);
  return (gsize) heard;
}

void
peer_is_dropped (int fd)
{
  int fds[NDSH_TEST_MAX_FDS];
  char data[512];
  guint n_fds;

  while (peer_hear (fd, data, sizeof data, fds, &n_fds) > 0)
    while (n_fds > 0)
      close (fds[--n_fds]);
  close (fd);
}

/* --- A reader ------------------------------------------------------------- */

static struct sockaddr_un
get_address (void)
{
  g_autofree char *path = ndsh_test_path ("test");
  struct sockaddr_un address = { .sun_family = AF_UNIX };

  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  return address;
}

int
peer_connect (void)
{
  struct sockaddr_un address = get_address ();
  int fd = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

  g_assert_cmpint (fd, >=, 0);
  if (connect (fd, (struct sockaddr *) &address, sizeof address) < 0)
    g_error ("cannot connect: %s", g_strerror (errno));
  return fd;
}

PeerReader
peer_join (guint32 mode, guint32 queue_length, guint32 max_leases)
{
  PeerReader reader = { .fd = peer_connect () };
  NdshHello hello = { .mode = mode,
                      .queue_length = queue_length,
                      .max_leases = max_leases };
  int fds[NDSH_TEST_MAX_FDS];
  guint n_fds;

  g_assert_true (peer_say (reader.fd, NDSH_MESSAGE_HELLO, &hello, NULL, 0));
  g_assert_cmpuint (
    peer_hear (reader.fd, &reader.welcome, sizeof reader.welcome, fds, &n_fds),
    ==, sizeof reader.welcome);
  g_assert_cmpuint (reader.welcome.header.type, ==, NDSH_MESSAGE_WELCOME);
  g_assert_cmpuint (n_fds, ==, 3);
  reader.control_fd = fds[0];
  reader.page_fd = fds[1];
  reader.bell_fd = fds[2];
  reader.control = mmap (NULL, reader.welcome.control_size, PROT_READ,
                         MAP_SHARED, fds[0], 0);
  reader.page = mmap (NULL, reader.welcome.page_size, PROT_READ | PROT_WRITE,
                      MAP_SHARED, fds[1], 0);
  g_assert_true (reader.control != MAP_FAILED && reader.page != MAP_FAILED);
  return reader;
}

void
peer_catch_up (PeerReader *reader)
{
  while (ndsh_test_is_readable (reader->fd)) {
    NdshSegmentMessage message = { .slot = 0 };
    int fds[NDSH_TEST_MAX_FDS];
    guint n_fds;
    gsize size
      = peer_hear (reader->fd, &message, sizeof message, fds, &n_fds);

    if (size < sizeof message)  /* a wake-up */
      continue;
    g_assert_cmpuint (message.header.type, ==, NDSH_MESSAGE_SEGMENT);
    g_assert_cmpuint (n_fds, ==, 1);
    if (reader->segment_fds[message.slot] > 0)
      close (reader->segment_fds[message.slot]);
    reader->segment_fds[message.slot] = fds[0];
    reader->generations[message.slot] = message.generation;
    reader->n_segments++;
  }
}

int
peer_get_segment (PeerReader *reader, guint slot)
{
  peer_catch_up (reader);
  while (reader->segment_fds[slot] == 0
         || reader->generations[slot]
              != reader->control->slot[slot].frame.generation) {
    ndsh_test_wait_readable (reader->fd);
    peer_catch_up (reader);
  }
  return reader->segment_fds[slot];
}

void
peer_unmap (PeerReader *reader)
{
  for (guint i = 0; i < NDSH_N_SLOTS; i++)
    if (reader->segment_fds[i] > 0)
      close (reader->segment_fds[i]);
  munmap ((gpointer) reader->control, reader->welcome.control_size);
  munmap (reader->page, reader->welcome.page_size);
  close (reader->control_fd);
  close (reader->page_fd);
  close (reader->bell_fd);
}

void
peer_leave (PeerReader *reader)
{
  peer_unmap (reader);
  close (reader->fd);
}

void
peer_lease_newest (PeerReader *reader, guint hazard)
{
  guint32 head = load_acquire (&reader->control->head);
  guint slot
    = load_relaxed_u8 (&reader->control->ring[ndsh_word_ring (head)]);

  store_seq_cst (&reader->page->hazard[hazard], head);
  g_assert_cmpuint (load_seq_cst (&reader->control->slot[slot].state_seq), ==,
                    head);
}

/* --- A writer ------------------------------------------------------------- */

int
peer_memfd (gsize size, int seals, gpointer *data)
{
  int fd = memfd_create ("ndsh-peer", MFD_CLOEXEC | MFD_ALLOW_SEALING);

  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (ftruncate (fd, (off_t) size), ==, 0);
  g_assert_cmpint (fallocate (fd, 0, 0, (off_t) size), ==, 0);
  *data = mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  g_assert_true (*data != MAP_FAILED);
  if (seals != 0)
    g_assert_cmpint (fcntl (fd, F_ADD_SEALS, seals), ==, 0);
  return fd;
}

static void
make_pages (PeerWriter *writer)
{
  gsize page_size = (gsize) sysconf (_SC_PAGESIZE);
  NdshWelcome *w = &writer->welcome;
  NdshControl *control;
  gpointer data;

  w->queue_length = 4;
  w->max_leases = 2;
  w->cursor = 1;
  w->control_size = (guint32) ((sizeof *control + page_size - 1)
                               & ~(page_size - 1));
  w->page_size = (guint32) page_size;
  writer->control_fd = peer_memfd (w->control_size, F_SEAL_SHRINK, &data);
  writer->control = control = data;
  writer->page_fd = peer_memfd (w->page_size, F_SEAL_SHRINK, &data);
  writer->page = data;
  writer->bell_fd = epoll_create1 (EPOLL_CLOEXEC);      /* that nobody rings */
  writer->slot_size = PEER_PAYLOAD + page_size;
  writer->slot_fd = peer_memfd (writer->slot_size, F_SEAL_SHRINK, &data);
  writer->slot = data;

  control->magic = NDSH_MAGIC;
  control->major = NDSH_MAJOR;
  control->size = sizeof *control;
  control->record_size = sizeof control->slot[0];
  control->n_slots = NDSH_N_SLOTS;
  control->ring_size = NDSH_RING;
  control->byte_order = 0x01020304;
}

void
peer_writer_init (PeerWriter *writer)
{
  struct sockaddr_un address = get_address ();

  memset (writer, 0, sizeof *writer);
  writer->fd = -1;
  writer->listen_fd
    = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  g_assert_cmpint (bind (writer->listen_fd, (struct sockaddr *) &address,
                         sizeof address), ==, 0);
  g_assert_cmpint (listen (writer->listen_fd, 8), ==, 0);
  make_pages (writer);
  peer_begin_stream (writer);
}

void
peer_writer_clear (PeerWriter *writer)
{
  g_autofree char *path = ndsh_test_path ("test");

  munmap (writer->control, writer->welcome.control_size);
  munmap (writer->page, writer->welcome.page_size);
  munmap (writer->slot, writer->slot_size);
  close (writer->control_fd);
  close (writer->page_fd);
  close (writer->bell_fd);
  close (writer->slot_fd);
  if (writer->fd >= 0)
    close (writer->fd);
  close (writer->listen_fd);
  g_unlink (path);
}

void
peer_begin_stream (PeerWriter *writer)
{
  static guint n_streams;
  g_autofree char *id = g_strdup_printf ("%032x", ++n_streams);

  memcpy (writer->control->stream_id, id, sizeof writer->control->stream_id);
  store_release (&writer->control->head, 0);
  store_release (&writer->control->ends, 0);
}

void
peer_accept (PeerWriter *writer, NdshReader *reader)
{
  struct pollfd pending = { .fd = writer->listen_fd, .events = POLLIN };

  if (writer->fd >= 0)
    close (writer->fd);
  while (poll (&pending, 1, 0) == 0)
    ndsh_reader_wait (reader, 1000, NULL);
  writer->fd = accept4 (writer->listen_fd, NULL, NULL, SOCK_CLOEXEC);
  g_assert_cmpint (writer->fd, >=, 0);
}

void
peer_welcome (PeerWriter *writer, guint32 mode)
{
  int fds[3] = { writer->control_fd, writer->page_fd, writer->bell_fd };

  writer->welcome.mode = mode;
  g_assert_true (peer_say (writer->fd, NDSH_MESSAGE_WELCOME, &writer->welcome,
                           fds, 3));
}

void
peer_announce (PeerWriter *writer, guint32 slot, guint32 generation)
{
  NdshSegmentMessage message = { .slot = slot,
                                 .generation = generation,
                                 .size = writer->slot_size };

  g_assert_true (peer_say (writer->fd, NDSH_MESSAGE_SEGMENT, &message,
                           &writer->slot_fd, 1));
}

void
peer_be_joined (PeerWriter *writer, NdshReader *reader, guint32 mode)
{
  peer_accept (writer, reader);
  peer_welcome (writer, mode);
  peer_announce (writer, 0, 1);
  while (!ndsh_reader_is_connected (reader))
    ndsh_reader_wait (reader, 1000, NULL);
}

void
peer_write (PeerWriter *writer, guint32 slot, guint32 n)
{
  NdshPackedArray array = { .dtype = NDSH_DTYPE_UINT8, .n_dims = 1 };
  guint64 shape_and_stride[2] = { 10, 1 };
  guint8 *tail = writer->slot + PEER_PAYLOAD;

  memset (writer->slot, (int) n, 10);
  memcpy (tail, &array, sizeof array);
  memcpy (tail + sizeof array, shape_and_stride, sizeof shape_and_stride);
  writer->control->slot[slot].frame
    = (NdshFrameRecord){ .full_seq = n,
                         .payload_size = 10,
                         .tail_offset = PEER_PAYLOAD,
                         .generation = 1,
                         .arrays_size = sizeof array + sizeof shape_and_stride,
                         .n_arrays = 1 };
}

void
peer_publish (PeerWriter *writer, guint32 slot, guint32 n)
{
  guint32 word = ndsh_word (n);
  NdshControl *control = writer->control;

  store_release (&control->slot[slot].state_seq, word);
  store_relaxed_u8 (&control->ring[ndsh_word_ring (word)], (guint8) slot);
  store_seq_cst (&control->head, word);
}
