/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A reader that has said HELLO, over a real socket: the input is a script of what
 * the other end sends, good messages with some bytes changed or any bytes at all,
 * with fds of every kind, and of what the reader does. Each kind of fd has a size of
 * its own, so that what was mapped tells what was accepted: only sealed memory, and
 * all of it is there. No fd is lost.
 */
#include "../../lib/reader.c"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "array.h"
#include "fuzz.h"
#include "ndsh-test.h"

#define MAX_STEPS 16
#define PAGE 4096
#define TAIL_AT PAGE

enum {
  CONTROL,
  LEASES,
  SEGMENT,
  LARGE_SEGMENT,
  WRONG_CONTROL,                /* large enough, and filled with 7 */
  SHORT_CONTROL,                /* well begun */
  SHORT_LEASES,
  N_GOOD,                       /* all of these are memory that can be mapped */
  NOT_SEALED = N_GOOD,
  WITH_HOLES,
  READ_ONLY,                    /* sealed: will not do as a lease page */
  EMPTY,
  PIPE,
  DIRECTORY,
  DEVICE,
  SOCKET,
  BELL,
  N_KINDS
};

static const gsize sizes[N_KINDS] = {
  [CONTROL] = 9 * PAGE,       [LEASES] = 1 * PAGE,
  [SEGMENT] = 2 * PAGE,       [LARGE_SEGMENT] = 3 * PAGE,
  [WRONG_CONTROL] = 12 * PAGE, [NOT_SEALED] = 10 * PAGE,
  [WITH_HOLES] = 100 * PAGE,  [READ_ONLY] = 11 * PAGE,
  [SHORT_CONTROL] = 5 * PAGE, [SHORT_LEASES] = sizeof (NdshLeasePage) - 4,
};

static int fds[N_KINDS];
static gpointer maps[N_KINDS];
static NdshWaiter waiter;
static int sockets[2];
static FuzzInput input;
static NdshFrame *held[NDSH_HAZARDS];
static guint n_held;

/* In the place of the real one (--wrap): nothing here sleeps, and setting a timer
 * costs more than all the rest. */
void __wrap_ndsh_waiter_set_timer (NdshWaiter *set, int64_t at_us);

void
__wrap_ndsh_waiter_set_timer (NdshWaiter *set, int64_t at_us)
{
  (void) set;
  (void) at_us;
}

/* --- Memory to send ------------------------------------------------------- */

static void
make_memory (guint kind, int seals)
{
  gsize size = sizes[kind];

  fds[kind] = memfd_create ("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  g_assert (fds[kind] >= 0 && ftruncate (fds[kind], (off_t) size) == 0);
  if (size == 0)
    return;
  maps[kind]
    = mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fds[kind], 0);
  g_assert (maps[kind] != MAP_FAILED);
  if (kind != WITH_HOLES)
    memset (maps[kind], kind == WRONG_CONTROL ? 7 : 0, size);
  g_assert (seals == 0 || fcntl (fds[kind], F_ADD_SEALS, seals) == 0);
}

static int
reopen_read_only (int fd)
{
  g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d", fd);
  int read_only = open (path, O_RDONLY | O_CLOEXEC);

  g_assert (read_only >= 0);
  close (fd);
  return read_only;
}

/* Two frames, in slots 0 and 1. */
static void
fill_control (NdshControl *control)
{
  memset (control, 0, offsetof (NdshControl, slot));
  control->magic = NDSH_MAGIC;
  control->major = NDSH_MAJOR;
  control->size = sizeof *control;
  control->record_size = sizeof control->slot[0];
  control->n_slots = NDSH_N_SLOTS;
  control->ring_size = NDSH_RING;
  control->byte_order = 0x01020304;
  for (guint i = 0; i < 2; i++) {
    NdshFrameRecord *r = &control->slot[i].frame;

    *r = (NdshFrameRecord){ .full_seq = i + 1,
                            .payload_size = 100,
                            .tail_offset = TAIL_AT,
                            .generation = 1,
                            .arrays_size = sizeof (NdshPackedArray),
                            .n_arrays = 1 };
    control->slot[i].state_seq = ndsh_word (i + 1);
    control->ring[ndsh_word_ring (ndsh_word (i + 1))] = (guint8) i;
  }
  control->head = ndsh_word (2);
}

static void
set_up_once (void)
{
  const NdshPackedArray scalar = { .dtype = NDSH_DTYPE_FLOAT64 };
  const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  int pipes[2];

  if (fds[CONTROL] > 0)
    return;
  for (guint i = 0; i < N_GOOD; i++)
    make_memory (i, seals);
  make_memory (NOT_SEALED, 0);
  make_memory (WITH_HOLES, seals);
  make_memory (READ_ONLY, seals);
  fds[READ_ONLY] = reopen_read_only (fds[READ_ONLY]);
  make_memory (EMPTY, seals);
  memcpy ((guint8 *) maps[SEGMENT] + TAIL_AT, &scalar, sizeof scalar);
  memcpy ((guint8 *) maps[LARGE_SEGMENT] + TAIL_AT, &scalar, sizeof scalar);
  g_assert (pipe (pipes) == 0);
  fds[PIPE] = pipes[0];
  fds[DIRECTORY] = open ("/", O_RDONLY | O_DIRECTORY);
  fds[DEVICE] = open ("/dev/zero", O_RDWR);
  fds[SOCKET] = socket (AF_UNIX, SOCK_STREAM, 0);
  fds[BELL] = epoll_create1 (EPOLL_CLOEXEC);
  g_assert (ndsh_waiter_init (&waiter));
}

/* --- The other end -------------------------------------------------------- */

/* What is to be sent, with some bytes changed. */
static void
send_changed (gpointer message, guint32 type, gsize size, const guint *kinds,
              guint n_fds)
{
  guint n_changes = fuzz_u8 (&input) % 4;
  int sent[NDSH_MESSAGE_FDS];

  ndsh_header_init (message, type, size);
  for (guint i = 0; i < n_changes; i++)
    fuzz_poke (&input, message, size);
  for (guint i = 0; i < n_fds; i++)
    sent[i] = fds[kinds[i]];
  ndsh_test_send (sockets[1], message, size, sent, n_fds);
}

static guint
some_kind (void)
{
  return fuzz_u8 (&input) % BELL;    /* what is good for one thing only */
}

static void
send_welcome (void)
{
  guint kinds[3];
  NdshWelcome welcome = { .cursor = fuzz_u8 (&input) };

  kinds[0] = some_kind ();
  kinds[1] = some_kind ();
  kinds[2] = kinds[0] == PIPE ? PIPE : BELL;
  welcome.control_size = (guint32) sizes[kinds[0]];
  welcome.page_size = (guint32) sizes[kinds[1]];
  welcome.mode = fuzz_u8 (&input) % 4;
  welcome.queue_length = fuzz_u8 (&input) % 40;
  welcome.max_leases = fuzz_u8 (&input) % 80;
  send_changed (&welcome, NDSH_MESSAGE_WELCOME, sizeof welcome, kinds, 3);
}

static void
send_segment (void)
{
  guint kind = some_kind ();
  NdshSegmentMessage segment = { .generation = 1, .size = sizes[kind] };

  segment.slot = fuzz_u8 (&input);
  if (segment.slot == 255)
    segment.slot = fuzz_u16 (&input);
  send_changed (&segment, NDSH_MESSAGE_SEGMENT, sizeof segment, &kind,
                segment.size > 0 || segment.slot % 2 == 1);
}

static void
send_refused (void)
{
  NdshRefused refused = { .code = fuzz_u8 (&input) };
  gsize length = fuzz_u8 (&input);

  memset (refused.text, 'r', MIN (length, sizeof refused.text));
  send_changed (&refused, NDSH_MESSAGE_REFUSED, sizeof refused, NULL, 0);
}

static void
send_bytes (void)
{
  guint8 bytes[300];
  guint n_fds = fuzz_u8 (&input) % 17;
  gsize size = fuzz_u16 (&input) % sizeof bytes;
  int sent[16];

  for (guint i = 0; i < n_fds; i++)
    sent[i] = fds[some_kind ()];
  fuzz_bytes (&input, bytes, size);
  ndsh_test_send (sockets[1], bytes, size, sent, n_fds);
}

/* --- The reader ----------------------------------------------------------- */

static void
check_segment (const NdshSegment *segment, gsize least)
{
  if (segment == NULL)
    return;
  g_assert (segment->fd == -1 && segment->size >= least);
  g_assert (segment->size != sizes[NOT_SEALED]);
  g_assert (segment->size != sizes[WITH_HOLES]);
  fuzz_touch (segment->data, segment->size);
}

static void
check_link (const NdshLink *link)
{
  if (link == NULL)
    return;
  check_segment (link->control, sizeof (NdshControl));
  check_segment (link->page, sizeof (NdshLeasePage));
  g_assert (link->control->size == sizes[CONTROL]);
  g_assert (link->page->size != sizes[READ_ONLY]);
  g_assert ((link->leases.had & 1) == 1);
  g_assert (link->leases.mode <= NDSH_READ_LOSSLESS);
  g_assert (link->leases.queue_length >= 1
            && link->leases.queue_length <= NDSH_MAX_QUEUE);
  g_assert (link->leases.n_leases >= 1
            && link->leases.n_leases <= NDSH_HAZARDS);
  for (guint i = 0; i < NDSH_N_SLOTS; i++)
    check_segment (link->slot[i].segment, 1);
}

static void
wait_now (NdshReader *reader)
{
  g_autoptr (GError) error = NULL;

  /* It would look for another writer. */
  if (reader->link == NULL && reader->greeting_fd < 0)
    return;
  if (ndsh_reader_wait (reader, 0, &error))
    return;
  g_assert (error->domain == NDSH_ERROR && error->code >= 0
            && error->code <= NDSH_ERROR_SYSTEM);
}

static void
acquire (NdshReader *reader)
{
  NdshFrame *frame = ndsh_reader_acquire (reader);

  if (frame == NULL)
    return;
  fuzz_check_frame (frame);
  held[n_held++] = frame;
}

static void
do_something (NdshReader *reader)
{
  switch (fuzz_u8 (&input) % 8) {
  case 0:
    send_welcome ();
    break;
  case 1:
    send_segment ();
    break;
  case 2:
    send_refused ();
    break;
  case 3:
    send_bytes ();
    break;
  case 4:
    acquire (reader);
    break;
  case 5:
    if (n_held > 0)
      ndsh_frame_release (held[--n_held]);
    break;
  case 6:
    shutdown (sockets[1], SHUT_WR);
    break;
  default:
    wait_now (reader);
    break;
  }
}

/* --- One input ------------------------------------------------------------ */

static NdshReader *
greeting_reader (void)
{
  NdshReader *reader = g_new0 (NdshReader, 1);

  reader->name = g_strdup ("fuzz");
  reader->process = ndsh_lifeline_process ();
  reader->waiter = waiter;
  reader->greeting_fd = sockets[0];
  reader->options.queue_length = DEFAULT_QUEUE;
  reader->next_us = G_MAXINT64;
  return reader;
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  NdshReader *reader;
  guint n_fds_before;

  input = (FuzzInput){ data, size };
  set_up_once ();
  /* What a reader writes into, if it is told that this is its lease page. */
  for (guint i = 0; i < N_GOOD; i++)
    memset (maps[i], i == WRONG_CONTROL ? 7 : 0, sizeof (NdshLeasePage) - 4);
  fill_control (maps[CONTROL]);
  fill_control (maps[SHORT_CONTROL]);
  n_fds_before = fuzz_count_fds ();
  g_assert (socketpair (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) == 0);
  reader = greeting_reader ();

  for (guint i = 0; i < MAX_STEPS && input.size > 0; i++)
    do_something (reader);
  wait_now (reader);
  check_link (reader->link);

  while (n_held > 0)
    ndsh_frame_release (held[--n_held]);
  reader->waiter = (NdshWaiter){ -1, -1, -1 };      /* stays open */
  ndsh_reader_free (reader);
  close (sockets[1]);
  g_assert (fuzz_count_fds () == n_fds_before);
  return 0;
}
