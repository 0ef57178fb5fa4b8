/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * One writer, one reader that behaves, and one that does not. Whatever that one
 * does, each frame published meanwhile reaches the other, whole and at once, and
 * when it is gone nothing of it is left.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/falloc.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "message.h"
#include "ndsh-test.h"
#include "peer.h"

#define SIZE 5000
#define SMALL_BOUND (2 << 20)

static const NdshWriterOptions small = { .max_bytes = SMALL_BOUND };

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

/* A user that has no other process, since the kernel counts fds under way by user:
 * other tests may run at the same time. */
static uid_t somebody;

typedef struct {
  guint first_fds;              /* before all of this */
  guint first_maps;
  NdshWriter *writer;
  NdshReader *honest;
  guint fds;                    /* with no hostile peer */
  guint maps;
  guint n_slots;
} Fixture;

/* --- What must stay true -------------------------------------------------- */

static guint64
get_published (Fixture *f)
{
  NdshWriterInfo info;

  ndsh_writer_get_info (f->writer, &info);
  return info.published;
}

/* @n frames go out, and each is the next that the honest reader gets. */
static void
goes_on_with (Fixture *f, gsize size, guint n)
{
  for (guint i = 0; i < n; i++) {
    g_autoptr (NdshFrame) frame = NULL;

    ndsh_test_publish (f->writer, size, 1);
    frame = ndsh_test_next (f->honest);
    g_assert_cmpuint (ndsh_frame_get_sequence (frame), ==, get_published (f));
    g_assert_cmpuint (ndsh_frame_get_size (frame), ==, size);
  }
}

static void
goes_on (Fixture *f)
{
  goes_on_with (f, SIZE, 50);
}

static guint
count_slots (Fixture *f)
{
  NdshWriterInfo info;

  ndsh_writer_get_info (f->writer, &info);
  return info.n_slots;
}

/* Slots are never given back: an fd and a map of the writer's, and a map of the
 * reader's. */
static gboolean
is_as_before (Fixture *f)
{
  guint n_new = count_slots (f) - f->n_slots;

  return ndsh_writer_get_readers (f->writer, NULL, 0) == 1
         && ndsh_test_count_fds () == f->fds + n_new
         && ndsh_test_count_maps () == f->maps + 2 * n_new;
}

/* Once the hostile peer has closed what it had; connections of which the writer has not
 * heard yet may still come and go then. */
static void
is_forgotten (Fixture *f)
{
  gint64 deadline_us = g_get_monotonic_time () + 10 * G_USEC_PER_SEC;

  do {
    goes_on_with (f, SIZE, 1);
    if (is_as_before (f))
      return;
  } while (g_get_monotonic_time () < deadline_us);
  g_assert_cmpuint (ndsh_writer_get_readers (f->writer, NULL, 0), ==, 1);
  g_assert_cmpuint (ndsh_test_count_fds (), ==,
                    f->fds + count_slots (f) - f->n_slots);
  g_assert_cmpuint (ndsh_test_count_maps (), ==,
                    f->maps + 2 * (count_slots (f) - f->n_slots));
}

static void
stays_within (Fixture *f, guint64 max_bytes)
{
  NdshWriterInfo info;

  ndsh_writer_get_info (f->writer, &info);
  g_assert_cmpuint (info.bytes, <=, max_bytes);
  g_assert_cmpuint (info.retired_bytes, <=, 2 * max_bytes);
}

/* --- The fixture ---------------------------------------------------------- */

static void
setup (Fixture *f, gconstpointer options)
{
  f->first_fds = ndsh_test_count_fds ();
  f->first_maps = ndsh_test_count_maps ();
  f->writer = ndsh_test_writer (options);
  f->honest = ndsh_test_joined_reader (NDSH_READ_QUEUE, 4, 2);
  goes_on (f);
  f->fds = ndsh_test_count_fds ();
  f->maps = ndsh_test_count_maps ();
  f->n_slots = count_slots (f);
}

static void
teardown (Fixture *f, gconstpointer options)
{
  NdshReaderInfo info;

  (void) options;
  ndsh_reader_get_info (f->honest, &info);
  g_assert_cmpuint (info.missed, ==, 0);
  ndsh_reader_free (f->honest);
  ndsh_writer_free (f->writer);
  g_assert_cmpuint (ndsh_test_count_fds (), ==, f->first_fds);
  g_assert_cmpuint (ndsh_test_count_maps (), ==, f->first_maps);
}

/* --- It says what cannot be ----------------------------------------------- */

typedef struct {
  const char *name;
  void (*act) (Fixture *f, PeerReader *reader);
  const char *line;             /* the one in the log */
} Offence;

static void
send_garbage (Fixture *f, PeerReader *reader)
{
  guint8 bytes[64];

  (void) f;
  for (guint i = 0; i < sizeof bytes; i++)
    bytes[i] = (guint8) g_test_rand_int ();
  bytes[0] = 'X';               /* no magic */
  g_assert_true (ndsh_test_send (reader->fd, bytes, sizeof bytes, NULL, 0));
}

static void
send_half_a_header (Fixture *f, PeerReader *reader)
{
  NdshHeader header;

  (void) f;
  ndsh_header_init (&header, NDSH_MESSAGE_HELLO, sizeof (NdshHello));
  g_assert_true (ndsh_test_send (reader->fd, &header, 8, NULL, 0));
}

static void
send_half_a_message (Fixture *f, PeerReader *reader)
{
  NdshHeader header;

  (void) f;
  ndsh_header_init (&header, NDSH_MESSAGE_HELLO, sizeof (NdshHello));
  g_assert_true (ndsh_test_send (reader->fd, &header, sizeof header, NULL, 0));
}

static void
send_nothing_at_all (Fixture *f, PeerReader *reader)
{
  (void) f;
  g_assert_cmpint (send (reader->fd, "", 0, 0), ==, 0);
}

static void
send_status (Fixture *f, PeerReader *reader)
{
  NdshHeader header;

  (void) f;
  g_assert_true (peer_say (reader->fd, NDSH_MESSAGE_STATUS, &header, NULL, 0));
}

static void
close_its_mouth (Fixture *f, PeerReader *reader)
{
  (void) f;
  g_assert_cmpint (shutdown (reader->fd, SHUT_WR), ==, 0);
}

/* Shows when there is something to be told: here, of larger memory. */
static void
close_its_ear (Fixture *f, PeerReader *reader)
{
  g_assert_cmpint (shutdown (reader->fd, SHUT_RD), ==, 0);
  goes_on_with (f, 10 * SIZE, 5);
}

static const Offence offences[] = {
  { "sends-garbage", send_garbage, "dropped process *: the peer does not speak*" },
  { "sends-half-a-header", send_half_a_header,
    "dropped process *: the peer does not speak*(a message of 8 bytes, 0 fds)" },
  { "sends-half-a-message", send_half_a_message,
    "dropped process *: the peer sent a message that cannot be (type 1, 16 *" },
  { "sends-nothing-at-all", send_nothing_at_all,
    "dropped process *: it closed half of its socket, or sent a message of no *" },
  { "asks-for-what-is-not-for-readers", send_status,
    "dropped process *: it sent a message that a reader has no use for" },
  { "closes-its-mouth", close_its_mouth,
    "dropped process *: it closed half of its socket*" },
  { "closes-its-ear", close_its_ear,
    "dropped process *: it closed half of its socket" },
};

/* While it holds leases, which are gone with it. */
static void
test_it_is_dropped (const Offence *offence)
{
  Fixture fixture, *f = &fixture;
  PeerReader reader;

  setup (f, NULL);
  ndsh_test_log_start (offence->line);
  reader = peer_join (NDSH_READ_LATEST, 1, 2);
  goes_on (f);
  peer_lease_newest (&reader, 0);
  goes_on (f);
  offence->act (f, &reader);
  ndsh_test_log_wait (1);
  peer_is_dropped (reader.fd);
  goes_on (f);
  peer_unmap (&reader);
  is_forgotten (f);

  g_assert_cmpuint (ndsh_test_log_stop (), ==, 1);
  teardown (f, NULL);
}

static void
test_each_offender_is_dropped_with_one_line (gconstpointer data)
{
  test_it_is_dropped (data);
}

/* Where the kernel does not refuse them for us (Linux 6.16). */
static void
send_fds_and_be_dropped (Fixture *f, const char *line, guint n_fds)
{
  PeerReader reader = peer_join (NDSH_READ_LATEST, 1, 1);
  int fds[NDSH_TEST_MAX_FDS];

  for (guint i = 0; i < n_fds; i++)
    fds[i] = STDERR_FILENO;
  ndsh_test_log_start (line);
  if (ndsh_test_send (reader.fd, "w", 1, fds, n_fds)) {
    ndsh_test_log_wait (1);
    peer_is_dropped (reader.fd);
    g_assert_cmpuint (ndsh_test_log_stop (), ==, 1);
  } else {
    g_assert_cmpint (errno, ==, EPERM);
    g_assert_cmpuint (ndsh_test_log_stop (), ==, 0);
    close (reader.fd);
  }
  peer_unmap (&reader);
  is_forgotten (f);
}

static void
test_fds_that_nobody_wants_do_not_stay (Fixture *f, gconstpointer data)
{
  (void) data;
  send_fds_and_be_dropped (f, "dropped process *: the peer does not speak*", 1);
  send_fds_and_be_dropped (f, "dropped process *: the peer does not speak*", 8);
  send_fds_and_be_dropped (f, "dropped process *: *sent more than 8 fds*", 9);
  send_fds_and_be_dropped (f, "dropped process *: *sent more than 8 fds*",
                           NDSH_TEST_MAX_FDS);
}

/* A socket that its last close waits for, as long as its owner likes. */
static int
make_lingerer (void)
{
  struct sockaddr_in address = { .sin_family = AF_INET };
  struct linger linger = { .l_onoff = 1, .l_linger = 1000 };
  socklen_t size = sizeof address;
  int listener = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  static char data[65536];

  address.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
  g_assert_cmpint (bind (listener, (struct sockaddr *) &address, size), ==, 0);
  g_assert_cmpint (listen (listener, 1), ==, 0);
  getsockname (listener, (struct sockaddr *) &address, &size);
  g_assert_cmpint (connect (fd, (struct sockaddr *) &address, size), ==, 0);
  while (send (fd, data, sizeof data, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
    ;
  setsockopt (fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
  return fd;                    /* the listener stays, and never accepts */
}

static gboolean
kernel_can_refuse_fds (void)
{
  int fd = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), no = 0;
  gboolean can
    = setsockopt (fd, SOL_SOCKET, SO_PASSRIGHTS, &no, sizeof no) == 0;

  close (fd);
  return can;
}

/* A child's, since closing it would hold us up as well; its end closes all at
 * once. */
static void
be_slow_to_close (void)
{
  Fixture fixture, *f = &fixture;
  int lingerer = make_lingerer ();
  PeerReader reader;

  alarm (20);
  setup (f, NULL);
  reader = peer_join (NDSH_READ_LATEST, 1, 1);
  if (ndsh_test_send (reader.fd, "w", 1, &lingerer, 1))
    close (lingerer);           /* that in the message is the last */
  ndsh_reader_free (f->honest);
  f->honest = ndsh_test_joined_reader (NDSH_READ_QUEUE, 4, 2);
  ndsh_frame_release (ndsh_test_next (f->honest));      /* what there was */
  goes_on (f);
  _exit (0);
}

static void
test_an_fd_that_is_slow_to_close_holds_nobody_up (void)
{
  g_autofree char *path = ndsh_test_path ("test");
  int child;

  if (!kernel_can_refuse_fds ()) {
    g_test_skip ("needs SO_PASSRIGHTS (Linux 6.16)");
    return;
  }
  child = fork ();
  if (child == 0)
    be_slow_to_close ();
  ndsh_test_child_succeeds (child);
  g_unlink (path);
}

/* --- It never becomes a reader -------------------------------------------- */

static void
test_a_guest_that_does_not_greet_is_dropped_with_a_line (Fixture *f,
                                                        gconstpointer data)
{
  int fd = peer_connect ();

  (void) data;
  ndsh_test_log_start ("dropped process *: its first message was not HELLO");
  g_assert_true (ndsh_test_send (fd, "w", 1, NULL, 0));
  peer_is_dropped (fd);
  is_forgotten (f);

  g_assert_cmpuint (ndsh_test_log_stop (), ==, 1);
}

/* At each point where it can, without a word more. */
/* Whatever is done to it, who rings does not wait, nor do others. */
static void
test_a_spoilt_bell_holds_nobody_up (Fixture *f, gconstpointer data)
{
  PeerReader reader = peer_join (NDSH_READ_LATEST, 1, 2);
  struct epoll_event event = { .events = EPOLLIN };
  const guint64 most = G_MAXUINT64 - 1;
  int other = eventfd (1, EFD_CLOEXEC);
  guint64 any;

  (void) data;
  fcntl (reader.bell_fd, F_SETFL, O_RDWR);
  fcntl (reader.bell_fd, F_SETOWN, getpid ());
  g_assert_cmpint (write (reader.bell_fd, &most, sizeof most), <, 0);
  g_assert_cmpint (read (reader.bell_fd, &any, sizeof any), <, 0);
  epoll_ctl (reader.bell_fd, EPOLL_CTL_ADD, other, &event);
  epoll_ctl (reader.bell_fd, EPOLL_CTL_ADD, reader.fd, &event);
  alarm (60);
  for (guint i = 0; i < 200; i++) {
    store_seq_cst (&reader.page->waiting, 1);
    goes_on_with (f, SIZE, 1);
  }
  alarm (0);
  close (other);
  peer_leave (&reader);
  is_forgotten (f);
}

static void
test_a_thousand_that_come_and_go_leave_nothing (Fixture *f, gconstpointer data)
{
  NdshHeader status;
  NdshHello hello = { .queue_length = 1, .max_leases = 1 };

  (void) data;
  ndsh_test_log_start ("nothing");
  for (guint i = 0; i < 1000; i++) {
    int fd = peer_connect ();
    PeerReader reader;

    if (i % 4 == 1)
      peer_say (fd, NDSH_MESSAGE_HELLO, &hello, NULL, 0);
    if (i % 4 == 2)
      peer_say (fd, NDSH_MESSAGE_STATUS, &status, NULL, 0);
    close (fd);
    if (i % 20 == 0) {
      reader = peer_join (NDSH_READ_QUEUE, 1, 1);
      peer_catch_up (&reader);
      peer_leave (&reader);
    }
    goes_on_with (f, SIZE, 1);
  }
  is_forgotten (f);

  g_assert_cmpuint (ndsh_test_log_stop (), ==, 0);
}

static void
test_a_thousand_that_talk_nonsense_fill_no_log (Fixture *f, gconstpointer data)
{
  gint64 since_us = g_get_monotonic_time ();
  guint n_lines;

  (void) data;
  ndsh_test_log_start ("dropped *");
  for (guint i = 0; i < 1000; i++) {
    int fd = peer_connect ();

    ndsh_test_send (fd, "nonsense", 8, NULL, 0);
    goes_on_with (f, SIZE, 1);
    close (fd);
  }
  is_forgotten (f);
  ndsh_writer_free (f->writer);         /* says how many more there were */
  n_lines = ndsh_test_log_stop ();
  f->writer = ndsh_test_writer (NULL);

  g_assert_cmpuint (n_lines, >, 10);
  g_assert_cmpuint (n_lines, <=,
                    11 * (2 + (g_get_monotonic_time () - since_us)
                                / G_USEC_PER_SEC));
}

/* Holds @n silent connections until @release is closed; they are there when
 * @ready is. */
static int
start_crowd (guint n, int *ready, int *release)
{
  int there[2], wait[2];
  int child;
  char byte;

  g_assert_cmpint (pipe2 (there, O_CLOEXEC), ==, 0);
  g_assert_cmpint (pipe2 (wait, O_CLOEXEC), ==, 0);
  child = fork ();
  if (child == 0) {
    close (there[0]);
    close (wait[1]);
    while (n-- > 0)
      peer_connect ();
    close (there[1]);
    _exit (read (wait[0], &byte, 1) == 0 ? 0 : 1);
  }
  close (there[1]);
  close (wait[0]);
  *ready = there[0];
  *release = wait[1];
  return child;
}

/* In two processes, because of the usual limit on fds. */
static void
test_a_thousand_silent_connections_keep_nobody_out (Fixture *f,
                                                    gconstpointer data)
{
  /* 64 who are silent, and some who come and go meanwhile, beside four pipes. */
  guint most = ndsh_test_count_fds () + 4 + 64 + 16;
  gint64 since_us = g_get_monotonic_time ();
  int children[2], ready[2], release[2];
  NdshReader *newcomer;

  (void) data;
  ndsh_test_log_start ("dropped *");
  for (guint i = 0; i < 2; i++)
    children[i] = start_crowd (500, &ready[i], &release[i]);
  ndsh_reader_free (ndsh_test_joined_reader (NDSH_READ_LATEST, 1, 1));
  while (!ndsh_test_is_readable (ready[0]) || !ndsh_test_is_readable (ready[1])) {
    goes_on_with (f, SIZE, 1);
    g_assert_cmpuint (ndsh_test_count_fds (), <=, most);
  }
  newcomer = ndsh_test_joined_reader (NDSH_READ_LATEST, 1, 1);
  /* All who came before it were taken in, and let go of but for these. */
  g_assert_cmpuint (ndsh_test_count_fds (), <=, most);
  goes_on (f);
  ndsh_frame_release (ndsh_test_next (newcomer));
  ndsh_reader_free (newcomer);
  for (guint i = 0; i < 2; i++) {
    close (ready[i]);
    close (release[i]);         /* the second child has the first one's, too */
  }
  for (guint i = 0; i < 2; i++)
    ndsh_test_child_succeeds (children[i]);
  is_forgotten (f);

  g_assert_cmpuint (ndsh_test_log_stop (), <=,
                    11 * (2 + (g_get_monotonic_time () - since_us)
                                / G_USEC_PER_SEC));
}

/* A reader that knows the limits, and one more. */
static void
is_refused (const char *why)
{
  g_autoptr (NdshReader) reader = ndsh_test_reader (NDSH_READ_LATEST, 1, 1);
  g_autoptr (GError) error = NULL;

  g_assert_false (ndsh_reader_wait (reader, -1, &error));
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_DENIED);
  if (!g_pattern_match_simple (why, error->message))
    g_error ("not \"%s\": %s", why, error->message);
}

static void
test_who_takes_every_place_is_named_in_the_refusal (Fixture *f,
                                                    gconstpointer data)
{
  PeerReader readers[15];

  (void) data;
  for (guint i = 0; i < G_N_ELEMENTS (readers); i++)
    readers[i] = peer_join (NDSH_READ_LATEST, 1, 1);
  is_refused ("channel 'test' has 16 readers*max_readers (16)*");
  goes_on (f);
  for (guint i = 0; i < G_N_ELEMENTS (readers); i++)
    peer_leave (&readers[i]);
  is_forgotten (f);
}

/* As many as there are, with all the leases that one can have, and none heeds its
 * share. */
static void
test_who_leases_all_there_is_keeps_nobody_from_frames (Fixture *f,
                                                       gconstpointer data)
{
  PeerReader readers[15];

  (void) data;
  for (guint i = 0; i < G_N_ELEMENTS (readers); i++) {
    readers[i] = peer_join (NDSH_READ_LATEST, 1, G_MAXUINT32);
    g_assert_cmpuint (readers[i].welcome.max_leases, ==, NDSH_MAX_LEASES);
  }
  for (guint n = 0; n < G_N_ELEMENTS (readers) * NDSH_MAX_LEASES; n++) {
    PeerReader *reader = &readers[n % G_N_ELEMENTS (readers)];

    goes_on_with (f, SIZE, 1);
    store_seq_cst (&reader->page->hazard[n / G_N_ELEMENTS (readers)],
                   load_acquire (&reader->control->head));
    stays_within (f, SMALL_BOUND);
  }
  goes_on (f);
  for (guint i = 0; i < G_N_ELEMENTS (readers); i++)
    peer_leave (&readers[i]);
  is_forgotten (f);
}

/* Not by asking for a mode that is none either. */
static void
test_lossless_is_not_had_by_a_trick (Fixture *f, gconstpointer data)
{
  guint32 modes[] = { NDSH_READ_LOSSLESS, 3, G_MAXUINT32 };

  (void) data;
  for (guint i = 0; i < G_N_ELEMENTS (modes); i++) {
    PeerReader reader = peer_join (modes[i], 0, 0);

    g_assert_cmpuint (reader.welcome.mode, ==, NDSH_READ_QUEUE);
    g_assert_cmpuint (reader.welcome.queue_length, ==, 1);
    g_assert_cmpuint (reader.welcome.max_leases, ==, 1);
    peer_leave (&reader);
  }
  is_forgotten (f);
}

/* --- It takes and does not give ------------------------------------------- */

/* Checks the frame of @word that it leased through memory of its own. */
static void
did_not_change (PeerReader *reader, guint32 word)
{
  for (guint slot = 0; slot < NDSH_N_SLOTS; slot++) {
    const guint8 *data;

    guint32 state = load_relaxed (&reader->control->slot[slot].state_seq);

    if (state != word && state != ndsh_word_withdrawn (word))
      continue;
    data = mmap (NULL, SIZE, PROT_READ, MAP_SHARED,
                 peer_get_segment (reader, slot), 0);
    g_assert_true (data != MAP_FAILED);
    for (guint i = 0; i < SIZE; i++)
      g_assert_cmpuint (data[i], ==, (guint8) (word >> 1));
    munmap ((gpointer) data, SIZE);
    return;
  }
  g_error ("the frame of word %u is gone", word);
}

static void
test_every_lease_held_for_ever_costs_the_others_nothing (Fixture *f,
                                                         gconstpointer data)
{
  PeerReader reader = peer_join (NDSH_READ_LATEST, 1, NDSH_MAX_LEASES);
  guint32 words[NDSH_MAX_LEASES];

  (void) data;
  for (guint i = 0; i < NDSH_MAX_LEASES; i++) {
    goes_on_with (f, SIZE, 1);
    words[i] = load_acquire (&reader.control->head);
    peer_lease_newest (&reader, i);
  }
  for (guint i = 0; i < 20; i++) {
    goes_on (f);
    goes_on_with (f, SIZE * i, 5);
    stays_within (f, SMALL_BOUND);
  }
  for (guint i = 0; i < NDSH_MAX_LEASES; i++)
    did_not_change (&reader, words[i]);
  g_assert_cmpuint (count_slots (f), <=, NDSH_MAX_LEASES + 2 + 4 + 2);
  peer_leave (&reader);
  is_forgotten (f);
}

/* Its socket is full of wake-ups and of memory; it asks for more. What it is told
 * of and does not look at stays within the bound. */
static void
test_who_never_reads_costs_the_others_nothing (Fixture *f, gconstpointer data)
{
  PeerReader reader = peer_join (NDSH_READ_QUEUE, NDSH_MAX_QUEUE, 2);
  int tiny = 1;

  (void) data;
  setsockopt (reader.fd, SOL_SOCKET, SO_RCVBUF, &tiny, sizeof tiny);
  for (guint i = 0; i < 3000; i++) {
    store_seq_cst (&reader.page->waiting, 1);
    goes_on_with (f, i % 10 == 0 ? SIZE + 40 * i : SIZE, 1);
    stays_within (f, 256 << 20);
  }
  peer_leave (&reader);
  is_forgotten (f);
}

static gboolean
can_begin (Fixture *f, gsize size)
{
  NdshArrayInfo info = ndsh_test_bytes (size);
  g_autoptr (GError) error = NULL;
  g_autoptr (NdshDraft) draft = ndsh_writer_begin (f->writer, &info, 1, &error);

  if (draft != NULL)
    return TRUE;
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_FULL);
  g_assert_nonnull (strstr (error->message, " MB of memory that was replaced"));
  return FALSE;
}

/* Near the bound each frame that is larger by a little takes new memory, and what
 * was replaced stays with who does not hear of it. That ends at the bound for
 * retired memory: larger frames are refused then, at once, and no others. */
static void
test_memory_that_is_never_given_back_is_bounded (Fixture *f, gconstpointer data)
{
  PeerReader reader = peer_join (NDSH_READ_LATEST, 1, 1);
  gsize size = 300000;

  (void) data;
  goes_on_with (f, size, 10);
  while (can_begin (f, size)) {
    goes_on_with (f, size, 1);
    stays_within (f, SMALL_BOUND);
    size += 4096;
  }
  g_assert_cmpuint (size, <, SMALL_BOUND / 2);
  for (guint i = 0; i < 10; i++) {
    goes_on_with (f, 300000, 3);
    goes_on (f);
    stays_within (f, SMALL_BOUND);
  }
  peer_leave (&reader);
  is_forgotten (f);
  goes_on_with (f, size, 10);
}

/* Says that it has unmapped what it still maps, and what it was never sent. */
static void
test_a_liar_about_memory_gains_what_it_was_sent (Fixture *f, gconstpointer data)
{
  PeerReader reader = peer_join (NDSH_READ_QUEUE, 4, 2);
  NdshWriterInfo info;

  (void) data;
  for (guint i = 0; i < 500; i++) {
    guint32 lie = i % 2 ? reader.n_segments : (guint32) g_test_rand_int ();

    store_release (&reader.page->segments_handled, lie);
    goes_on_with (f, SIZE + 100 * i, 1);
    stays_within (f, 256 << 20);
    peer_catch_up (&reader);
  }
  store_release (&reader.page->segments_handled, reader.n_segments);
  goes_on (f);
  ndsh_writer_get_info (f->writer, &info);
  g_assert_cmpuint (info.retired_bytes, ==, 0);
  g_assert_cmpuint (reader.n_segments, <, 100);
  peer_leave (&reader);
  is_forgotten (f);
}

static void
test_a_flood_of_wake_ups_costs_the_others_nothing (Fixture *f,
                                                   gconstpointer data)
{
  PeerReader reader = peer_join (NDSH_READ_LATEST, 1, 1);
  guint n_sent = 0;

  (void) data;
  ndsh_test_log_start ("nothing");
  while (n_sent < 20000) {
    while (ndsh_test_send (reader.fd, "w", 1, NULL, 0))
      n_sent++;
    goes_on_with (f, SIZE, 1);
  }
  peer_leave (&reader);
  is_forgotten (f);
  g_assert_cmpuint (ndsh_test_log_stop (), ==, 0);
}

/* Its own end says nothing as long as somebody else has the socket. */
static void
test_a_socket_passed_on_is_one_reader_until_all_are_gone (Fixture *f,
                                                          gconstpointer data)
{
  PeerReader reader = peer_join (NDSH_READ_LATEST, 1, 2);
  int wait[2], child;
  char byte;

  (void) data;
  peer_lease_newest (&reader, 0);
  g_assert_cmpint (pipe2 (wait, O_CLOEXEC), ==, 0);
  child = fork ();
  if (child == 0) {
    close (wait[1]);
    _exit (read (wait[0], &byte, 1) == 0 ? 0 : 1);
  }
  peer_leave (&reader);
  goes_on (f);
  g_assert_cmpuint (ndsh_writer_get_readers (f->writer, NULL, 0), ==, 2);
  close (wait[0]);
  close (wait[1]);
  ndsh_test_child_succeeds (child);
  is_forgotten (f);
}

/* --- It spoils its lease page --------------------------------------------- */

typedef struct {
  PeerReader *reader;
  guint32 seed;
  gint stop;
} Spoiler;

static guint32
next_random (guint32 *seed)
{
  *seed ^= *seed << 13;
  *seed ^= *seed >> 17;
  *seed ^= *seed << 5;
  return *seed;
}

/* A word that may be a frame's of late, or any. */
static guint32
choose_word (Spoiler *s)
{
  guint32 head = load_relaxed (&s->reader->control->head);
  guint32 random = next_random (&s->seed);

  return random % 4 == 0 ? random : head - 2 * (random % 16) + 4;
}

static gpointer
spoil (gpointer data)
{
  Spoiler *s = data;
  NdshLeasePage *page = s->reader->page;
  guint32 *words = (guint32 *) (gpointer) page;

  while (!g_atomic_int_get (&s->stop)) {
    store_relaxed (&words[next_random (&s->seed) % (sizeof *page / 4)],
                   next_random (&s->seed));
    for (guint i = 0; i < NDSH_HAZARDS; i++)
      store_seq_cst (&page->hazard[i], choose_word (s));
    store_relaxed (&page->cursor, choose_word (s));
    store_relaxed (&page->waiting, next_random (&s->seed) % 2);
    store_relaxed (&page->segments_handled, next_random (&s->seed) % 100);
  }
  return NULL;
}

/* Says that it holds whatever the writer is about to take, as soon as the writer
 * shows that it is. */
static gpointer
cling (gpointer data)
{
  Spoiler *s = data;
  const NdshControl *control = s->reader->control;
  NdshLeasePage *page = s->reader->page;
  guint32 words[8] = { 0 };

  while (!g_atomic_int_get (&s->stop))
    for (guint i = 0; i < G_N_ELEMENTS (words); i++) {
      guint32 word = load_relaxed (&control->slot[i].state_seq);

      if (word == 0 && words[i] != 0)
        store_seq_cst (&page->hazard[0], words[i]);
      if (word != 0)
        words[i] = word;
    }
  return NULL;
}

static gpointer
punch (gpointer data)
{
  Spoiler *s = data;
  gsize size = s->reader->welcome.page_size;

  while (!g_atomic_int_get (&s->stop)) {
    memset (s->reader->page, 0xff, sizeof *s->reader->page);
    g_assert_cmpint (madvise (s->reader->page, size, MADV_REMOVE), ==, 0);
    g_assert_cmpint (fallocate (s->reader->page_fd,
                                FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                                (off_t) size), ==, 0);
  }
  return NULL;
}

static void
goes_on_under (Fixture *f, GThreadFunc spoiler, guint32 mode)
{
  PeerReader reader = peer_join (mode, NDSH_MAX_QUEUE, 3);
  Spoiler s = { .reader = &reader, .seed = (guint32) g_test_rand_int () | 1 };
  GThread *thread = g_thread_new ("spoiler", spoiler, &s);

  for (guint i = 0; i < (g_test_slow () ? 5000 : 100); i++) {
    goes_on (f);
    goes_on_with (f, SIZE * (i % 5 + 1), 1);
    stays_within (f, SMALL_BOUND);
  }
  g_atomic_int_set (&s.stop, 1);
  g_thread_join (thread);
  peer_leave (&reader);
  is_forgotten (f);
}

static void
test_a_lease_page_full_of_lies_spoils_nothing (Fixture *f, gconstpointer data)
{
  (void) data;
  goes_on_under (f, spoil, NDSH_READ_QUEUE);
  goes_on_under (f, cling, NDSH_READ_QUEUE);
}

/* It can slow the writer down until it is demoted, and no longer. */
static void
test_a_lossless_liar_is_demoted_at_most_once (Fixture *f, gconstpointer data)
{
  (void) data;
  ndsh_test_log_start ("process *wants every frame of channel 'test'*");
  goes_on_under (f, spoil, NDSH_READ_LOSSLESS);
  g_assert_cmpuint (ndsh_test_log_stop (), <=, 1);
}

static void
test_holes_in_a_lease_page_hurt_nobody (Fixture *f, gconstpointer data)
{
  (void) data;
  goes_on_under (f, punch, NDSH_READ_QUEUE);
}

/* --- It tries to change what it was given (I9) ---------------------------- */

static gboolean
can_map (int fd, gsize size)
{
  gpointer data
    = mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

  if (data == MAP_FAILED)
    return FALSE;
  munmap (data, size);
  return TRUE;
}

static gboolean
can_change_map (int fd, gsize size)
{
  gpointer data = mmap (NULL, size, PROT_READ, MAP_SHARED, fd, 0);
  gboolean can;

  if (data == MAP_FAILED)
    return FALSE;
  can = mprotect (data, size, PROT_READ | PROT_WRITE) == 0
        || madvise (data, size, MADV_REMOVE) == 0;
  munmap (data, size);
  return can;
}

static gboolean
can_resize (int fd, gsize size)
{
  return ftruncate (fd, 0) == 0 || ftruncate (fd, (off_t) (2 * size)) == 0
         || fallocate (fd, 0, (off_t) size, (off_t) size) == 0
         || fcntl (fd, F_ADD_SEALS, F_SEAL_WRITE) == 0
         || fcntl (fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0;
}

static gboolean
can_punch (int fd, gsize size)
{
  return fallocate (fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                    (off_t) size) == 0
         || fallocate (fd, FALLOC_FL_ZERO_RANGE, 0, (off_t) size) == 0;
}

static gsize
get_size (int fd)
{
  struct stat st;

  g_assert_cmpint (fstat (fd, &st), ==, 0);
  return (gsize) st.st_size;
}

static void
cannot_be_changed_through (int fd)
{
  gsize size = get_size (fd);

  g_assert_cmpint (pwrite (fd, "x", 1, 0), ==, -1);
  g_assert_false (can_map (fd, size));
  g_assert_false (can_change_map (fd, size));
  g_assert_false (can_resize (fd, size));
  g_assert_false (can_punch (fd, size));
}

static gboolean
kernel_seals_future_writes (void)
{
  int fd = memfd_create ("ndsh-peer", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  gboolean can = fcntl (fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0;

  close (fd);
  return can;
}

/* The seal is in the way of whoever may; where there is none, before Linux 5.1,
 * the mode is, of who may not. */
static void
cannot_be_reopened_and_changed (int fd)
{
  g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d", fd);
  int flags[] = { O_RDWR, O_WRONLY, O_RDWR | O_APPEND, O_RDWR | O_TRUNC };

  for (guint i = 0; i < G_N_ELEMENTS (flags); i++) {
    int again = open (path, flags[i] | O_CLOEXEC);

    if (again < 0)
      continue;
    g_assert_cmpuint (geteuid (), !=, somebody);
    if (kernel_seals_future_writes ())
      cannot_be_changed_through (again);
    close (again);
  }
}

static void
cannot_change (int fd)
{
  g_assert_cmpint (fcntl (fd, F_GETFL) & O_ACCMODE, ==, O_RDONLY);
  cannot_be_changed_through (fd);
  cannot_be_reopened_and_changed (fd);

  /* The owner of a memfd can make it writable for others, and itself. */
  if (fchmod (fd, 0666) == 0) {
    cannot_be_reopened_and_changed (fd);
    g_assert_cmpint (fchmod (fd, 0400), ==, 0);
  }
}

/* All it was sent. Its own page it may write, but not take away. */
static void
cannot_change_anything (PeerReader *reader)
{
  guint n = 0;

  cannot_change (reader->control_fd);
  for (guint i = 0; i < NDSH_N_SLOTS; i++)
    if (reader->segment_fds[i] > 0) {
      cannot_change (reader->segment_fds[i]);
      n++;
    }
  g_assert_cmpuint (n, >, 2);
  g_assert_false (can_resize (reader->page_fd, reader->welcome.page_size));
}

static void
test_no_fd_is_good_for_changing_frames (Fixture *f, gconstpointer data)
{
  PeerReader reader = peer_join (NDSH_READ_LATEST, 1, 2);
  guint32 word;

  (void) data;
  goes_on (f);
  peer_lease_newest (&reader, 0);
  word = load_relaxed (&reader.control->head);
  goes_on (f);
  peer_catch_up (&reader);
  cannot_change_anything (&reader);
  did_not_change (&reader, word);
  goes_on (f);
  peer_leave (&reader);
  is_forgotten (f);
}

static gboolean
become_somebody (void)
{
  return setresgid (somebody, somebody, somebody) == 0
         && setresuid (somebody, somebody, somebody) == 0;
}

static gboolean
can_become_somebody (void)
{
  int child;
  int status;

  if (geteuid () != 0)
    return FALSE;
  child = fork ();
  if (child == 0)
    _exit (become_somebody () ? 0 : 1);
  return waitpid (child, &status, 0) == child && status == 0;
}

/* Admits all users to the directory. */
static void
open_dir (int mode)
{
  g_autofree char *dir = ndsh_test_path ("");

  g_assert_cmpint (chmod (dir, (mode_t) mode), ==, 0);
}

static void
be_another_user (void)
{
  PeerReader reader;

  g_assert_true (become_somebody ());
  reader = peer_join (3, 4, 2);
  g_assert_cmpuint (reader.welcome.mode, ==, NDSH_READ_QUEUE);
  peer_lease_newest (&reader, 0);
  while (reader.n_segments < 3) {
    ndsh_test_wait_readable (reader.fd);
    peer_catch_up (&reader);
  }
  cannot_change_anything (&reader);
  did_not_change (&reader, reader.page->hazard[0]);
  _exit (0);
}

static void
test_another_user_cannot_change_frames_either (Fixture *f, gconstpointer data)
{
  int child;

  (void) data;
  if (!can_become_somebody ()) {
    g_test_skip ("only root can become another user");
    return;
  }
  open_dir (0711);
  child = fork ();
  if (child == 0)
    be_another_user ();
  ndsh_test_child_succeeds (child);
  open_dir (0700);
  is_forgotten (f);
}

/* All readers have one open file of the control page, and of each segment. */
static void
do_all_to (int fd)
{
  struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };

  flock (fd, LOCK_EX);
  lseek (fd, 12345, SEEK_SET);
  fcntl (fd, F_OFD_SETLK, &lock);
  fcntl (fd, F_SETLK, &lock);
  fcntl (fd, F_SETLEASE, F_RDLCK);
  fcntl (fd, F_SETOWN, getpid ());
  fcntl (fd, F_SETSIG, SIGKILL);
  fcntl (fd, F_SETFL, O_APPEND | O_NONBLOCK | O_NOATIME | O_ASYNC);
  fcntl (fd, F_SETFL, O_DIRECT);
}

static void
test_shared_open_files_do_not_join_readers_fates (Fixture *f, gconstpointer data)
{
  PeerReader reader = peer_join (NDSH_READ_LATEST, 1, 2);
  g_autoptr (NdshReader) newcomer = NULL;

  (void) data;
  goes_on (f);
  peer_catch_up (&reader);
  do_all_to (reader.control_fd);
  do_all_to (reader.page_fd);
  for (guint i = 0; i < NDSH_N_SLOTS; i++)
    if (reader.segment_fds[i] > 0)
      do_all_to (reader.segment_fds[i]);
  newcomer = ndsh_test_joined_reader (NDSH_READ_LATEST, 1, 1);
  goes_on (f);
  goes_on_with (f, 10 * SIZE, 10);
  ndsh_frame_release (ndsh_test_next (newcomer));
  ndsh_reader_free (g_steal_pointer (&newcomer));
  peer_leave (&reader);
  is_forgotten (f);
}

/* --- Fds under way --------------------------------------------------------- */

#define N_DEAF 3
#define N_THEIR_LEASES 40

/* The kernel bounds a user's fds that lie unread in sockets, all of them taken
 * together: who does not read must not use that up for who does. */
static void
setup_with_few_fds (Fixture *f, PeerReader *readers, guint n_fds, guint n_leases)
{
  struct rlimit few = { n_fds, n_fds };

  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &few), ==, 0);
  g_assert_true (become_somebody ());
  setup (f, NULL);
  for (guint i = 0; i < N_DEAF; i++)
    readers[i] = peer_join (NDSH_READ_LATEST, 1, n_leases);
  for (guint i = 0; i < n_leases; i++)
    for (guint k = 0; k < N_DEAF; k++) {
      goes_on_with (f, SIZE, 1);
      peer_lease_newest (&readers[k], i);
    }
}

static void
be_a_writer_with_few_fds (void)
{
  Fixture fixture, *f = &fixture;
  PeerReader readers[N_DEAF];

  setup_with_few_fds (f, readers, 240, N_THEIR_LEASES);
  for (guint size = SIZE; size < 5 * SIZE; size *= 2)
    goes_on_with (f, size, 50);
  for (guint i = 0; i < N_DEAF; i++)
    peer_leave (&readers[i]);
  is_forgotten (f);
  teardown (f, NULL);
  _exit (0);
}

static gint64
get_cpu_us (void)
{
  struct timespec used;

  clock_gettime (CLOCK_PROCESS_CPUTIME_ID, &used);
  return (gint64) used.tv_sec * G_USEC_PER_SEC + used.tv_nsec / 1000;
}

#define N_LEASES 6

/* Even so few that it is not enough: frames in memory that cannot be announced are
 * passed over, without spinning, and once there is room all is well. */
static void
be_a_writer_with_too_few_fds (void)
{
  Fixture fixture, *f = &fixture;
  PeerReader readers[N_DEAF];
  g_autoptr (NdshFrame) frame = NULL;
  NdshReaderInfo info;
  guint n = 0, size = SIZE;
  gint64 cpu_us;

  setup_with_few_fds (f, readers, 100, N_LEASES);
  do {
    ndsh_test_publish (f->writer, size, 1);
    peer_lease_newest (&readers[n % N_DEAF], n / N_DEAF % N_LEASES);
    while (ndsh_reader_wait (f->honest, 0, NULL))
      ndsh_frame_release (ndsh_reader_acquire (f->honest));
    ndsh_reader_get_info (f->honest, &info);
    if (++n % 20 == 0)
      size = size / 2 * 3;
  } while (info.lag == 0);
  cpu_us = get_cpu_us ();
  ndsh_test_wait_fails (f->honest, G_USEC_PER_SEC, NDSH_ERROR_TIMEOUT);
  g_assert_cmpint (get_cpu_us () - cpu_us, <, G_USEC_PER_SEC / 10);

  for (guint i = 0; i < N_DEAF; i++)
    peer_leave (&readers[i]);
  frame = ndsh_test_next (f->honest);
  g_assert_cmpuint (ndsh_frame_get_sequence (frame), ==, get_published (f));
  _exit (0);
}

static void
succeeds_as_somebody (void (*function) (void))
{
  g_autofree char *path = ndsh_test_path ("test");
  g_autofree char *lock = ndsh_test_path (".test.lock");
  int child;

  if (!can_become_somebody ()) {
    g_test_skip ("the kernel's bound is not for root");
    return;
  }
  open_dir (0777);
  g_unlink (lock);              /* which is ours alone */
  child = fork ();
  if (child == 0)
    function ();
  ndsh_test_child_succeeds (child);
  g_unlink (path);
  g_unlink (lock);
  open_dir (0700);
}

static void
test_who_never_reads_uses_up_no_fds_of_others (void)
{
  succeeds_as_somebody (be_a_writer_with_few_fds);
}

static void
test_want_of_fds_under_way_is_slept_for_and_passes (void)
{
  succeeds_as_somebody (be_a_writer_with_too_few_fds);
}

/* --- All of it ------------------------------------------------------------ */

#define ADD(path, options, function)                                           \
  g_test_add ("/hostile-reader/" path, Fixture, options, setup, function,      \
              teardown)

static void
add_floods (void)
{
  static const NdshWriterOptions never = { .lossless_timeout_us = -1 };

  ADD ("fds-that-nobody-wants-do-not-stay", NULL,
       test_fds_that_nobody_wants_do_not_stay);
  g_test_add_func ("/hostile-reader/an-fd-that-is-slow-to-close-holds-nobody-up",
                   test_an_fd_that_is_slow_to_close_holds_nobody_up);
  ADD ("a-guest-that-does-not-greet-is-dropped-with-a-line", NULL,
       test_a_guest_that_does_not_greet_is_dropped_with_a_line);
  ADD ("a-spoilt-bell-holds-nobody-up", NULL, test_a_spoilt_bell_holds_nobody_up);
  ADD ("a-thousand-that-come-and-go-leave-nothing", NULL,
       test_a_thousand_that_come_and_go_leave_nothing);
  ADD ("a-thousand-that-talk-nonsense-fill-no-log", NULL,
       test_a_thousand_that_talk_nonsense_fill_no_log);
  ADD ("a-thousand-silent-connections-keep-nobody-out", NULL,
       test_a_thousand_silent_connections_keep_nobody_out);
  ADD ("who-takes-every-place-is-named-in-the-refusal", NULL,
       test_who_takes_every_place_is_named_in_the_refusal);
  ADD ("who-leases-all-there-is-keeps-nobody-from-frames", &small,
       test_who_leases_all_there_is_keeps_nobody_from_frames);
  ADD ("lossless-is-not-had-by-a-trick", &never,
       test_lossless_is_not_had_by_a_trick);
}

static void
add_takers (void)
{
  static const NdshWriterOptions hasty
    = { .max_bytes = SMALL_BOUND, .lossless_timeout_us = 1000 };

  ADD ("every-lease-held-for-ever-costs-the-others-nothing", &small,
       test_every_lease_held_for_ever_costs_the_others_nothing);
  ADD ("who-never-reads-costs-the-others-nothing", NULL,
       test_who_never_reads_costs_the_others_nothing);
  ADD ("memory-that-is-never-given-back-is-bounded", &small,
       test_memory_that_is_never_given_back_is_bounded);
  ADD ("a-liar-about-memory-gains-what-it-was-sent", NULL,
       test_a_liar_about_memory_gains_what_it_was_sent);
  ADD ("a-flood-of-wake-ups-costs-the-others-nothing", NULL,
       test_a_flood_of_wake_ups_costs_the_others_nothing);
  ADD ("a-socket-passed-on-is-one-reader-until-all-are-gone", NULL,
       test_a_socket_passed_on_is_one_reader_until_all_are_gone);
  g_test_add_func ("/hostile-reader/who-never-reads-uses-up-no-fds-of-others",
                   test_who_never_reads_uses_up_no_fds_of_others);
  g_test_add_func (
    "/hostile-reader/want-of-fds-under-way-is-slept-for-and-passes",
    test_want_of_fds_under_way_is_slept_for_and_passes);
  ADD ("a-lease-page-full-of-lies-spoils-nothing", &small,
       test_a_lease_page_full_of_lies_spoils_nothing);
  ADD ("a-lossless-liar-is-demoted-at-most-once", &hasty,
       test_a_lossless_liar_is_demoted_at_most_once);
  ADD ("holes-in-a-lease-page-hurt-nobody", &small,
       test_holes_in_a_lease_page_hurt_nobody);
}

int
main (int argc, char **argv)
{
  static const NdshWriterOptions for_all = { .perms = 0666 };
  int result;

  g_test_init (&argc, &argv, NULL);
  somebody = 20000 + (uid_t) getpid () % 40000;
  ndsh_test_dir_setup ();
  ndsh_writer_free (ndsh_test_writer (NULL));   /* GLib keeps an fd from the first */

  for (guint i = 0; i < G_N_ELEMENTS (offences); i++) {
    g_autofree char *path
      = g_strdup_printf ("/hostile-reader/who-%s-is-dropped-with-one-line",
                         offences[i].name);

    g_test_add_data_func (path, &offences[i],
                          test_each_offender_is_dropped_with_one_line);
  }
  add_floods ();
  add_takers ();
  ADD ("no-fd-is-good-for-changing-frames", NULL,
       test_no_fd_is_good_for_changing_frames);
  ADD ("another-user-cannot-change-frames-either", &for_all,
       test_another_user_cannot_change_frames_either);
  ADD ("shared-open-files-do-not-join-readers-fates", NULL,
       test_shared_open_files_do_not_join_readers_fates);
  result = g_test_run ();
  ndsh_test_dir_teardown ();
  return result;
}
