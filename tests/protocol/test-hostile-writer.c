/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * One reader, and a writer that keeps to no rule. Whatever that one sends or leaves
 * unsent, and whatever it does to the memory that both map, the reader neither
 * crashes nor hangs nor spins, shows no frame that cannot be, says once what was
 * wrong, keeps nothing of it, and takes the next writer.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "message.h"
#include "ndsh-test.h"
#include "peer.h"

typedef struct {
  guint fds;                    /* before all of this */
  guint maps;
  PeerWriter writer;
  NdshReader *reader;
} Fixture;

static void
setup (Fixture *f, gconstpointer mode)
{
  f->fds = ndsh_test_count_fds ();
  f->maps = ndsh_test_count_maps ();
  peer_writer_init (&f->writer);
  f->reader = ndsh_test_reader ((NdshReadMode) GPOINTER_TO_UINT (mode), 4, 2);
}

static void
teardown (Fixture *f, gconstpointer mode)
{
  (void) mode;
  ndsh_reader_free (f->reader);
  peer_writer_clear (&f->writer);
  g_assert_cmpuint (ndsh_test_count_fds (), ==, f->fds);
  g_assert_cmpuint (ndsh_test_count_maps (), ==, f->maps);
}

static void
join (Fixture *f)
{
  peer_be_joined (&f->writer, f->reader, NDSH_READ_QUEUE);
}

/* With the same pages, made good again. */
static void
takes_the_next_writer (Fixture *f)
{
  g_autoptr (NdshFrame) frame = NULL;

  peer_begin_stream (&f->writer);
  join (f);
  peer_write (&f->writer, 0, 1);
  peer_publish (&f->writer, 0, 1);
  frame = ndsh_test_next (f->reader);
  g_assert_cmpuint (ndsh_frame_get_sequence (frame), ==, 1);
  g_assert_cmpuint (ndsh_frame_get_size (frame), ==, 10);
}

static void
wait_says (Fixture *f, NdshError code, const char *pattern)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (ndsh_reader_wait (f->reader, 10 * G_USEC_PER_SEC, &error));
  g_assert_error (error, NDSH_ERROR, (int) code);
  if (!g_pattern_match_simple (pattern, error->message))
    g_error ("not \"%s\": %s", pattern, error->message);
  g_assert_false (ndsh_reader_is_connected (f->reader));
}

/* --- It answers with what cannot be --------------------------------------- */

typedef struct {
  const char *name;
  void (*act) (PeerWriter *writer);
  const char *sentence;         /* in the error, or in the log */
} Offence;

/* WELCOME as it should be, with other fds. */
static void
welcome_with (PeerWriter *writer, const int *fds, guint n_fds)
{
  g_assert_true (peer_say (writer->fd, NDSH_MESSAGE_WELCOME, &writer->welcome,
                           fds, n_fds));
}

static void
say_refused (PeerWriter *writer, guint32 code, const char *text, gsize size)
{
  NdshRefused refused = { .code = code };

  memcpy (refused.text, text, MIN (size, sizeof refused.text));
  g_assert_true (
    peer_say (writer->fd, NDSH_MESSAGE_REFUSED, &refused, NULL, 0));
}

static void
announce_before_welcome (PeerWriter *writer)
{
  peer_announce (writer, 0, 1);
}

static void
wake_before_welcome (PeerWriter *writer)
{
  g_assert_true (ndsh_test_send (writer->fd, "w", 1, NULL, 0));
}

static void
send_half_a_welcome (PeerWriter *writer)
{
  int fds[3] = { writer->control_fd, writer->page_fd, writer->bell_fd };

  ndsh_header_init (&writer->welcome, NDSH_MESSAGE_WELCOME,
                    sizeof writer->welcome);
  g_assert_true (ndsh_test_send (writer->fd, &writer->welcome, 20, fds, 3));
}

static void
welcome_without_fds (PeerWriter *writer)
{
  welcome_with (writer, NULL, 0);
}

static void
welcome_with_one_fd (PeerWriter *writer)
{
  welcome_with (writer, &writer->control_fd, 1);
}

static void
welcome_with_nine_fds (PeerWriter *writer)
{
  int fds[9];

  for (guint i = 0; i < G_N_ELEMENTS (fds); i++)
    fds[i] = writer->control_fd;
  welcome_with (writer, fds, G_N_ELEMENTS (fds));
}

static void
welcome_with_all_fds (PeerWriter *writer)
{
  int fds[NDSH_TEST_MAX_FDS];

  for (guint i = 0; i < G_N_ELEMENTS (fds); i++)
    fds[i] = writer->page_fd;
  welcome_with (writer, fds, G_N_ELEMENTS (fds));
}

static void
welcome_with_fds_exchanged (PeerWriter *writer)
{
  int fds[3] = { writer->page_fd, writer->control_fd, writer->bell_fd };

  welcome_with (writer, fds, 3);
}

/* It is polled, and what has to be asked for that might have us wait. */
static void
welcome_with_another_bell (PeerWriter *writer, int bell_fd)
{
  int fds[3] = { writer->control_fd, writer->page_fd, bell_fd };

  welcome_with (writer, fds, 3);
}

static void
welcome_with_memory_for_a_bell (PeerWriter *writer)
{
  welcome_with_another_bell (writer, writer->control_fd);
}

static void
welcome_with_a_timer_for_a_bell (PeerWriter *writer)
{
  int timer = timerfd_create (CLOCK_MONOTONIC, TFD_CLOEXEC);

  welcome_with_another_bell (writer, timer);
  close (timer);
}

static void
welcome_with_a_pipe_for_a_bell (PeerWriter *writer)
{
  int ends[2];

  g_assert_cmpint (pipe (ends), ==, 0);
  welcome_with_another_bell (writer, ends[0]);
  close (ends[0]);
  close (ends[1]);
}

static void
welcome_with_sockets (PeerWriter *writer)
{
  int fds[3] = { writer->fd, writer->listen_fd, writer->bell_fd };

  welcome_with (writer, fds, 3);
}

static void
welcome_with_memory (PeerWriter *writer, gsize size, int seals)
{
  gpointer data;
  int fd = peer_memfd (size, seals, &data);
  int fds[3] = { fd, writer->page_fd, writer->bell_fd };

  memcpy (data, writer->control, MIN (size, sizeof *writer->control));
  welcome_with (writer, fds, 3);
  munmap (data, size);
  close (fd);
}

static void
welcome_with_unsealed_memory (PeerWriter *writer)
{
  welcome_with_memory (writer, writer->welcome.control_size, 0);
}

static void
welcome_with_memory_that_can_shrink (PeerWriter *writer)
{
  welcome_with_memory (writer, writer->welcome.control_size, F_SEAL_GROW);
}

static void
welcome_with_less_memory (PeerWriter *writer)
{
  welcome_with_memory (writer, 4096, F_SEAL_SHRINK);
}

static void
refuse_without_end (PeerWriter *writer)
{
  g_autofree char *text = g_strnfill (240, 'x');

  say_refused (writer, NDSH_ERROR_DENIED, text, 240);
}

static const Offence answers[] = {
  { "announces-before-welcome", announce_before_welcome, "*of type 5" },
  { "wakes-before-welcome", wake_before_welcome, "*of type 0" },
  { "sends-half-a-welcome", send_half_a_welcome, "*(type 3, 20 bytes)" },
  { "sends-no-fds", welcome_without_fds, "*(type 3, 48 bytes)" },
  { "sends-one-fd", welcome_with_one_fd, "*(type 3, 48 bytes)" },
  { "sends-nine-fds", welcome_with_nine_fds, "*more than 8 fds with a message" },
  { "sends-all-fds-it-can", welcome_with_all_fds, "*more than 8 fds*" },
  { "exchanges-fds", welcome_with_fds_exchanged, "*bytes and said*" },
  { "sends-sockets", welcome_with_sockets, "*not sealed" },
  { "sends-memory-for-a-bell", welcome_with_memory_for_a_bell, "*a bell that*" },
  { "sends-a-timer-for-a-bell", welcome_with_a_timer_for_a_bell, "*a bell that*" },
  { "sends-a-pipe-for-a-bell", welcome_with_a_pipe_for_a_bell, "*a bell that*" },
  { "sends-unsealed-memory", welcome_with_unsealed_memory, "*not sealed" },
  { "sends-memory-that-can-shrink", welcome_with_memory_that_can_shrink,
    "*not sealed" },
  { "sends-less-memory", welcome_with_less_memory, "*of 4096 bytes and said*" },
  { "refuses-without-end", refuse_without_end, "*a text without an end" },
};

/* The caller is told; nothing else is left, and the log stays as it was. */
static void
test_each_answer_that_cannot_be_is_told (gconstpointer data)
{
  const Offence *offence = data;
  Fixture f;
  guint fds, maps;

  setup (&f, GUINT_TO_POINTER (NDSH_READ_QUEUE));
  ndsh_test_log_start ("nothing");
  peer_accept (&f.writer, f.reader);
  fds = ndsh_test_count_fds ();
  maps = ndsh_test_count_maps ();
  offence->act (&f.writer);
  wait_says (&f, NDSH_ERROR_INCOMPATIBLE, offence->sentence);

  g_assert_cmpuint (ndsh_test_count_fds (), ==, fds - 1);
  g_assert_cmpuint (ndsh_test_count_maps (), ==, maps);
  takes_the_next_writer (&f);
  g_assert_cmpuint (ndsh_test_log_stop (), ==, 0);
  teardown (&f, NULL);
}

/* Whoever reads the error sees text, and does what a refusal is a reason for. */
static void
test_a_refusal_is_printed_and_not_obeyed (Fixture *f, gconstpointer data)
{
  static const char text[]
    = "no\n\x1b]0;title\x07\x1b[2J \x80\xff \xc2\x9b" "31m \xe2\x80\xae caf\xc3\xa9";

  (void) data;
  for (guint32 code = 0; code <= NDSH_ERROR_SYSTEM + 2; code++) {
    g_autoptr (NdshReader) reader = ndsh_test_reader (NDSH_READ_LATEST, 0, 0);
    g_autoptr (GError) error = NULL;
    gboolean is_a_reason = code == NDSH_ERROR_DENIED || code == NDSH_ERROR_MEMORY
                           || code == NDSH_ERROR_INCOMPATIBLE;
    int expected = is_a_reason ? (int) code : NDSH_ERROR_SYSTEM;

    peer_accept (&f->writer, reader);
    say_refused (&f->writer, code, text, sizeof text);
    g_assert_false (ndsh_reader_wait (reader, 10 * G_USEC_PER_SEC, &error));
    g_assert_error (error, NDSH_ERROR, expected);
    g_assert_cmpstr (error->message, ==,
                     "no??]0;title??[2J \xef\xbf\xbd\xef\xbf\xbd ?31m ? "
                     "caf\xc3\xa9");
  }
}

/* --- It hangs up ---------------------------------------------------------- */

static void
hang_up (PeerWriter *writer)
{
  close (writer->fd);
  writer->fd = -1;
}

/* Before it said anything: that passes, and the wait goes on. */
static void
test_a_hang_up_before_welcome_is_waited_through (Fixture *f, gconstpointer data)
{
  NdshHello hello;
  int fds[NDSH_TEST_MAX_FDS];
  guint n_fds;

  (void) data;
  peer_accept (&f->writer, f->reader);
  hang_up (&f->writer);
  ndsh_test_wait_fails (f->reader, 1000, NDSH_ERROR_TIMEOUT);
  peer_accept (&f->writer, f->reader);
  g_assert_cmpuint (
    peer_hear (f->writer.fd, &hello, sizeof hello, fds, &n_fds), ==,
    sizeof hello);
  hang_up (&f->writer);
  ndsh_test_wait_fails (f->reader, 1000, NDSH_ERROR_TIMEOUT);
  peer_accept (&f->writer, f->reader);
  g_assert_cmpint (shutdown (f->writer.fd, SHUT_WR), ==, 0);
  ndsh_test_wait_fails (f->reader, 1000, NDSH_ERROR_TIMEOUT);
  peer_accept (&f->writer, f->reader);
  g_assert_cmpint (send (f->writer.fd, "", 0, 0), ==, 0);
  ndsh_test_wait_fails (f->reader, 1000, NDSH_ERROR_TIMEOUT);
  takes_the_next_writer (f);
}

/* After WELCOME, after a SEGMENT, after a frame; with the whole of its socket or
 * with half of it. */
static void
test_a_hang_up_after_welcome_is_told_once (Fixture *f, gconstpointer data)
{
  (void) data;
  for (guint i = 0; i < 6; i++) {
    peer_begin_stream (&f->writer);
    peer_accept (&f->writer, f->reader);
    peer_welcome (&f->writer, NDSH_READ_QUEUE);
    if (i / 2 >= 1)
      peer_announce (&f->writer, 0, 1);
    if (i / 2 >= 2) {
      peer_write (&f->writer, 0, 1);
      peer_publish (&f->writer, 0, 1);
    }
    if (i % 2 == 0)
      hang_up (&f->writer);
    else
      g_assert_cmpint (shutdown (f->writer.fd, SHUT_WR), ==, 0);
    if (i / 2 >= 2)
      ndsh_frame_release (ndsh_test_next (f->reader));
    wait_says (f, NDSH_ERROR_CLOSED, "*has gone");
  }
  takes_the_next_writer (f);
}

/* --- It goes on with what cannot be --------------------------------------- */

static void
welcome_twice (PeerWriter *writer)
{
  peer_welcome (writer, NDSH_READ_QUEUE);
}

static void
refuse_after_welcome (PeerWriter *writer)
{
  say_refused (writer, NDSH_ERROR_DENIED, "no", 3);
}

static void
send_nonsense (PeerWriter *writer)
{
  g_assert_true (ndsh_test_send (writer->fd, "nonsense", 8, NULL, 0));
}

static void
announce_with (PeerWriter *writer, guint32 slot, guint64 size, int fd)
{
  NdshSegmentMessage message = { .slot = slot, .generation = 1, .size = size };

  g_assert_true (
    peer_say (writer->fd, NDSH_MESSAGE_SEGMENT, &message, &fd, 1));
}

static void
announce_too_much (PeerWriter *writer)
{
  announce_with (writer, 0, writer->slot_size + 1, writer->slot_fd);
}

static void
announce_all_there_is (PeerWriter *writer)
{
  announce_with (writer, 0, G_MAXUINT64, writer->slot_fd);
}

static void
announce_a_slot_too_many (PeerWriter *writer)
{
  announce_with (writer, NDSH_N_SLOTS, writer->slot_size, writer->slot_fd);
}

static void
announce_a_socket (PeerWriter *writer)
{
  announce_with (writer, 0, writer->slot_size, writer->fd);
}

static void
announce_memory (PeerWriter *writer, gsize size, int seals)
{
  gpointer data;
  int fd = peer_memfd (65536, seals, &data);

  munmap (data, 65536);
  g_assert_cmpint (ftruncate (fd, (off_t) size), ==, 0);
  announce_with (writer, 0, 65536, fd);
  close (fd);
}

static void
announce_unsealed_memory (PeerWriter *writer)
{
  announce_memory (writer, 65536, 0);
}

static void
announce_truncated_memory (PeerWriter *writer)
{
  announce_memory (writer, 4096, 0);
}

static void
announce_holes (PeerWriter *writer)
{
  gsize size = 64 << 20;
  int fd = memfd_create ("ndsh-peer", MFD_CLOEXEC | MFD_ALLOW_SEALING);

  g_assert_cmpint (ftruncate (fd, (off_t) size), ==, 0);
  g_assert_cmpint (fcntl (fd, F_ADD_SEALS, F_SEAL_SHRINK), ==, 0);
  announce_with (writer, 0, size, fd);
  close (fd);
}

/* --- ... in its record, or in its tail ------------------------------------ */

static NdshFrameRecord *
get_record (PeerWriter *writer)
{
  return &writer->control->slot[0].frame;
}

static void
write_array (PeerWriter *writer, guint8 dtype, guint64 offset, guint64 shape,
             gint64 stride)
{
  NdshPackedArray array
    = { .dtype = dtype, .n_dims = 1, .offset = offset };
  guint8 *tail = writer->slot + PEER_PAYLOAD;

  memcpy (tail, &array, sizeof array);
  memcpy (tail + sizeof array, &shape, sizeof shape);
  memcpy (tail + sizeof array + sizeof shape, &stride, sizeof stride);
}

static void
lie_of_payload (PeerWriter *writer)
{
  get_record (writer)->payload_size = PEER_PAYLOAD + 1;
}

static void
lie_of_tail (PeerWriter *writer)
{
  get_record (writer)->tail_offset = writer->slot_size - 16;
}

static void
lie_of_tail_far_away (PeerWriter *writer)
{
  get_record (writer)->tail_offset = G_MAXUINT64 - 31;
}

static void
lie_of_description (PeerWriter *writer)
{
  get_record (writer)->description_size = (guint32) writer->slot_size;
}

static void
lie_of_metadata (PeerWriter *writer)
{
  get_record (writer)->metadata_size = G_MAXUINT32;
}

static void
lie_of_no_arrays (PeerWriter *writer)
{
  get_record (writer)->n_arrays = 0;
}

static void
lie_of_many_arrays (PeerWriter *writer)
{
  get_record (writer)->n_arrays = NDSH_MAX_ARRAYS + 1;
}

static void
lie_of_number (PeerWriter *writer)
{
  get_record (writer)->full_seq = 3;
}

static void
lie_of_dtype (PeerWriter *writer)
{
  write_array (writer, 200, 0, 10, 1);
}

static void
lie_of_offset (PeerWriter *writer)
{
  write_array (writer, NDSH_DTYPE_UINT8, 1, 10, 1);
}

static void
lie_of_shape (PeerWriter *writer)
{
  write_array (writer, NDSH_DTYPE_UINT8, 0, G_MAXUINT64, 1);
}

static void
stride_backwards (PeerWriter *writer)
{
  write_array (writer, NDSH_DTYPE_UINT8, 0, 10, -1);
}

static void
stride_nowhere (PeerWriter *writer)
{
  write_array (writer, NDSH_DTYPE_UINT8, 0, 10, 0);
}

static void
stride_too_far (PeerWriter *writer)
{
  write_array (writer, NDSH_DTYPE_UINT8, 0, 10, 2);
}

static void
stride_around_the_world (PeerWriter *writer)
{
  write_array (writer, NDSH_DTYPE_UINT8, 0, 9, (gint64) 1 << 61);
}

#define NO_FRAME "*published a frame that cannot be"

static const Offence messages[] = {
  { "welcomes-twice", welcome_twice, "*sent a message that cannot be" },
  { "refuses-after-welcome", refuse_after_welcome, "*a message that cannot be" },
  { "sends-nonsense", send_nonsense, "*does not speak ndsh's protocol*" },
  { "announces-too-much", announce_too_much, "*bytes and said*" },
  { "announces-all-there-is", announce_all_there_is, "*and said 18446744*" },
  { "announces-a-slot-too-many", announce_a_slot_too_many, "*sent a slot*" },
  { "announces-a-socket", announce_a_socket, "*not sealed" },
  { "announces-unsealed-memory", announce_unsealed_memory, "*not sealed" },
  { "announces-truncated-memory", announce_truncated_memory, "*not sealed" },
  { "announces-holes", announce_holes, "*memory with holes" },
}, frames[] = {
  { "lies-of-its-payload", lie_of_payload, NO_FRAME },
  { "lies-of-its-tail", lie_of_tail, NO_FRAME },
  { "has-its-tail-far-away", lie_of_tail_far_away, NO_FRAME },
  { "lies-of-its-description", lie_of_description, NO_FRAME },
  { "lies-of-its-metadata", lie_of_metadata, NO_FRAME },
  { "has-no-arrays", lie_of_no_arrays, NO_FRAME },
  { "has-too-many-arrays", lie_of_many_arrays, NO_FRAME },
  { "has-another-number", lie_of_number, NO_FRAME },
  { "has-no-dtype", lie_of_dtype, NO_FRAME },
  { "lies-of-its-offset", lie_of_offset, NO_FRAME },
  { "lies-of-its-shape", lie_of_shape, NO_FRAME },
  { "strides-backwards", stride_backwards, NO_FRAME },
  { "strides-nowhere", stride_nowhere, NO_FRAME },
  { "strides-too-far", stride_too_far, NO_FRAME },
  { "strides-around-the-world", stride_around_the_world, NO_FRAME },
};

/* Told to the caller and in one line of the log; a frame that was had stays. */
static void
ends_the_link (const Offence *offence, gboolean in_a_frame)
{
  g_autofree char *line
    = g_strconcat ("left the writer of channel 'test': ", offence->sentence,
                   NULL);
  NdshFrame *before;
  Fixture f;

  setup (&f, GUINT_TO_POINTER (NDSH_READ_QUEUE));
  join (&f);
  peer_announce (&f.writer, 1, 1);
  peer_write (&f.writer, 1, 1);
  peer_publish (&f.writer, 1, 1);
  before = ndsh_test_next (f.reader);
  ndsh_test_log_start (line);
  peer_write (&f.writer, 0, 2);
  memset (f.writer.slot, 1, 10);        /* both frames lie in one memfd */
  offence->act (&f.writer);
  if (in_a_frame) {
    peer_publish (&f.writer, 0, 2);
    g_assert_true (ndsh_reader_wait (f.reader, -1, NULL));
    g_assert_null (ndsh_reader_acquire (f.reader));
  }
  wait_says (&f, NDSH_ERROR_INCOMPATIBLE, offence->sentence);

  g_assert_cmpuint (ndsh_test_log_stop (), ==, 1);
  ndsh_test_check_bytes (before);
  ndsh_frame_release (before);
  takes_the_next_writer (&f);
  teardown (&f, NULL);
}

static void
test_each_message_that_cannot_be_ends_the_link (gconstpointer data)
{
  ends_the_link (data, FALSE);
}

static void
test_each_frame_that_cannot_be_ends_the_link (gconstpointer data)
{
  ends_the_link (data, TRUE);
}

/* --- It has no end -------------------------------------------------------- */

/* A thread's work for as long as a test runs. */
typedef struct {
  PeerWriter *writer;
  guint32 seed;
  guint n_done;
  gint stop;
} Worker;

static GThread *
start (Worker *worker, PeerWriter *writer, GThreadFunc function)
{
  *worker
    = (Worker){ .writer = writer, .seed = (guint32) g_test_rand_int () | 1 };
  return g_thread_new ("worker", function, worker);
}

static void
stop (Worker *worker, GThread *thread)
{
  g_atomic_int_set (&worker->stop, 1);
  g_thread_join (thread);
}

static gint64
get_cpu_us (void)
{
  struct timespec used;

  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &used);
  return (gint64) used.tv_sec * G_USEC_PER_SEC + used.tv_nsec / 1000;
}

/* It says TIMEOUT, and not long after that was due. */
static void
times_out (Fixture *f, gint64 timeout_us)
{
  gint64 since_us = g_get_monotonic_time ();

  ndsh_test_wait_fails (f->reader, timeout_us, NDSH_ERROR_TIMEOUT);
  g_assert_cmpint (g_get_monotonic_time () - since_us, <,
                   timeout_us + 10 * G_USEC_PER_SEC);
}

static gpointer
flood_with_wakes (gpointer data)
{
  Worker *worker = data;

  while (!g_atomic_int_get (&worker->stop))
    ndsh_test_send (worker->writer->fd, "w", 1, NULL, 0);
  return NULL;
}

static gpointer
flood_with_segments (gpointer data)
{
  Worker *worker = data;
  NdshSegmentMessage message = { .size = 0 };

  ndsh_header_init (&message, NDSH_MESSAGE_SEGMENT, sizeof message);
  while (!g_atomic_int_get (&worker->stop)) {
    message.slot = worker->n_done % NDSH_N_SLOTS;
    /* Now and then one is taken away. */
    message.size = worker->n_done % 7 > 0 ? worker->writer->slot_size : 0;
    worker->n_done += ndsh_test_send (worker->writer->fd, &message, sizeof message,
                                      &worker->writer->slot_fd, message.size > 0);
  }
  return NULL;
}

static void
test_a_flood_of_wake_ups_does_not_keep_wait_from_its_time_out (
  Fixture *f, gconstpointer data)
{
  Worker worker;
  GThread *thread;

  (void) data;
  join (f);
  thread = start (&worker, &f->writer, flood_with_wakes);
  times_out (f, 300000);
  stop (&worker, thread);
  g_assert_true (ndsh_reader_is_connected (f->reader));
}

/* Each takes the place of another: no more maps than slots. */
static void
test_a_flood_of_memory_does_not_keep_wait_from_its_time_out (
  Fixture *f, gconstpointer data)
{
  guint fds = ndsh_test_count_fds (), maps = ndsh_test_count_maps ();
  Worker worker;
  GThread *thread;

  (void) data;
  join (f);
  thread = start (&worker, &f->writer, flood_with_segments);
  times_out (f, 300000);
  stop (&worker, thread);
  times_out (f, 0);
  g_assert_cmpuint (worker.n_done, >, 2 * NDSH_N_SLOTS);
  g_assert_cmpuint (ndsh_test_count_fds (), <=, fds + 3);
  g_assert_cmpuint (ndsh_test_count_maps (), <=, maps + 2 + NDSH_N_SLOTS);
  g_assert_true (ndsh_reader_is_connected (f->reader));
}

/* A lossless reader does not go past it, and the newest is worth waiting for. */
static void
test_memory_that_is_never_announced_is_slept_for (Fixture *f, gconstpointer data)
{
  gint64 cpu_us;

  (void) data;
  peer_be_joined (&f->writer, f->reader, NDSH_READ_LOSSLESS);
  peer_write (&f->writer, 0, 1);
  f->writer.control->slot[0].frame.generation = 7;
  peer_publish (&f->writer, 0, 1);
  cpu_us = get_cpu_us ();
  times_out (f, 500000);
  times_out (f, 0);
  g_assert_cmpint (get_cpu_us () - cpu_us, <, 250000);

  peer_announce (&f->writer, 0, 7);
  ndsh_frame_release (ndsh_test_next (f->reader));
}

/* A connection, or -1 if none came for a moment. */
static int
accept_one (PeerWriter *writer)
{
  struct pollfd pending = { .fd = writer->listen_fd, .events = POLLIN };

  poll (&pending, 1, 20);
  return accept4 (writer->listen_fd, NULL, NULL, SOCK_CLOEXEC);
}

static gpointer
accept_and_hang_up (gpointer data)
{
  Worker *worker = data;

  while (!g_atomic_int_get (&worker->stop)) {
    int fd = accept_one (worker->writer);

    if (fd < 0)
      continue;
    close (fd);
    worker->n_done++;
  }
  return NULL;
}

static gpointer
welcome_and_hang_up (gpointer data)
{
  Worker *worker = data;
  PeerWriter *writer = worker->writer;

  while (!g_atomic_int_get (&worker->stop)) {
    writer->fd = accept_one (writer);
    if (writer->fd < 0)
      continue;
    peer_welcome (writer, NDSH_READ_QUEUE);
    close (writer->fd);
    worker->n_done++;
  }
  writer->fd = -1;
  return NULL;
}

/* The first retry comes after 20 ms, and each twice as late as the one before, up
 * to 250 ms. */
static void
is_not_led_to_spin (Fixture *f, GThreadFunc function)
{
  gint64 since_us = g_get_monotonic_time (), cpu_us = get_cpu_us (), took_us;
  Worker worker;
  GThread *thread = start (&worker, &f->writer, function);

  do {
    ndsh_reader_wait (f->reader, 500000, NULL);
    took_us = g_get_monotonic_time () - since_us;
  } while (took_us < G_USEC_PER_SEC);
  stop (&worker, thread);

  g_assert_cmpuint (worker.n_done, >, 2);
  g_assert_cmpuint (worker.n_done, <=, took_us / 250000 + 8);
  g_assert_cmpint (get_cpu_us () - cpu_us, <, took_us / 2);
  takes_the_next_writer (f);
}

/* Each new number is told of once, by a wait of its own; an old one never. */
static void
test_ends_that_cannot_be_are_told_once_each (Fixture *f, gconstpointer data)
{
  static const guint32 lies[] = { 7, 6, 0, 7, 0x80000006, 0x80000005, 0xf0000000, 7 };
  static const gboolean is_more[] = { TRUE, FALSE, FALSE, FALSE, TRUE, FALSE, TRUE,
                                      TRUE };

  (void) data;
  join (f);
  for (guint i = 0; i < G_N_ELEMENTS (lies); i++) {
    store_seq_cst (&f->writer.control->ends, lies[i]);
    if (is_more[i])
      ndsh_test_wait_fails (f->reader, -1, NDSH_ERROR_ENDED);
    times_out (f, 1000);
  }
  g_assert_true (ndsh_reader_is_connected (f->reader));
}

/* However far they jump; and one that goes back keeps no frame from the reader. */
static void
test_a_frame_that_lies_of_its_ends_is_had_after_one (Fixture *f,
                                                     gconstpointer data)
{
  static const guint32 lies[] = { 5, 4, 0, 0x7fffffff, 1 };
  static const gboolean is_more[] = { TRUE, FALSE, FALSE, TRUE, FALSE };

  (void) data;
  join (f);
  for (guint i = 0; i < G_N_ELEMENTS (lies); i++) {
    g_autoptr (NdshFrame) frame = NULL;

    peer_write (&f->writer, 0, i + 1);
    f->writer.control->slot[0].frame.ends = lies[i];
    peer_publish (&f->writer, 0, i + 1);
    if (is_more[i]) {
      g_assert_null (ndsh_reader_acquire (f->reader));
      ndsh_test_wait_fails (f->reader, -1, NDSH_ERROR_ENDED);
    }
    frame = ndsh_test_next (f->reader);
    g_assert_cmpuint (ndsh_frame_get_sequence (frame), ==, i + 1);
  }
  times_out (f, 1000);
}

static void
test_writers_that_hang_up_without_end_are_not_spun_on (Fixture *f,
                                                      gconstpointer data)
{
  (void) data;
  is_not_led_to_spin (f, accept_and_hang_up);
}

static void
test_writers_that_welcome_and_hang_up_are_not_spun_on (Fixture *f,
                                                       gconstpointer data)
{
  (void) data;
  is_not_led_to_spin (f, welcome_and_hang_up);
}

/* --- It changes what both map --------------------------------------------- */

static guint32
next_random (guint32 *seed)
{
  *seed ^= *seed << 13;
  *seed ^= *seed >> 17;
  *seed ^= *seed << 5;
  return *seed;
}

/* Sometimes what it is, sometimes near it, sometimes anything. */
static guint32
falsify (Worker *w, guint32 truth)
{
  guint32 random = next_random (&w->seed);

  return random % 4096 == 0   ? random
         : random % 4096 == 1 ? truth + next_random (&w->seed) % 64 - 32
                              : truth;
}

static void
flip_record (Worker *w, guint32 slot, guint32 n)
{
  NdshFrameRecord *r = &w->writer->control->slot[slot].frame;

  r->payload_size = falsify (w, 10);
  r->tail_offset = falsify (w, PEER_PAYLOAD);
  r->generation = falsify (w, 1);
  r->metadata_size = falsify (w, 0) & 0xffff;
  r->arrays_size = falsify (w, 32);
  r->description_size = falsify (w, 0) & 0xffff;
  r->n_arrays = falsify (w, 1);
  r->full_seq = falsify (w, n);
  r->ends = falsify (w, 0);
  r->format = falsify (w, n % 3);
}

static void
flip_tail (Worker *w)
{
  guint8 *tail = w->writer->slot + PEER_PAYLOAD;
  guint32 random = next_random (&w->seed);

  if (random % 1024 == 0)
    tail[(random >> 10) % 32] ^= (guint8) (1u << (random >> 16) % 8);
}

/* Publishes, most often what can be, and puts that in doubt while it is looked
 * at. */
static gpointer
flip_everything (gpointer data)
{
  Worker *w = data;
  NdshControl *control = w->writer->control;

  while (!g_atomic_int_get (&w->stop)) {
    guint32 n = ++w->n_done, slot = n % 4;

    peer_write (w->writer, slot, n);
    peer_publish (w->writer, slot, n);
    for (guint i = 0; i < next_random (&w->seed) % 300; i++) {
      flip_record (w, slot, n);
      flip_tail (w);
    }
    store_relaxed_u8 (&control->ring[next_random (&w->seed) % NDSH_RING],
                      (guint8) next_random (&w->seed) & 7);
    store_relaxed (&control->head, falsify (w, ndsh_word (n)));
    store_relaxed (&control->ends, falsify (w, 0));
    store_relaxed (&control->writer_waiting, falsify (w, 0));
    store_relaxed (&control->slot[slot].state_seq, falsify (w, ndsh_word (n)));
    store_relaxed (&w->writer->page->mode, falsify (w, 0));
    store_relaxed (&w->writer->page->hazard[0], falsify (w, 0));
  }
  return NULL;
}

/* All that a program would. Its bytes may change, its bounds may not. */
static guint
look_at (const NdshFrame *frame)
{
  guint n_arrays;
  const NdshArrayInfo *arrays = ndsh_frame_get_arrays (frame, &n_arrays);
  const guint8 *data = ndsh_frame_get_data (frame), *metadata;
  gsize size = ndsh_frame_get_size (frame), metadata_size;
  guint sum = 0;

  g_assert_cmpuint (n_arrays, >=, 1);
  g_assert_cmpuint (n_arrays, <=, NDSH_MAX_ARRAYS);
  for (guint i = 0; i < n_arrays; i++)
    g_assert_cmpuint (ndsh_array_info_get_size (&arrays[i]), <=,
                      size - arrays[i].offset);
  for (gsize i = 0; i < size; i++)
    sum += data[i];
  metadata = ndsh_frame_get_metadata (frame, &metadata_size);
  for (gsize i = 0; i < metadata_size; i++)
    sum += metadata[i];
  for (const char *c = ndsh_frame_get_stream_id (frame); *c != '\0'; c++)
    g_assert_true (g_ascii_isxdigit (*c));
  return sum + (guint) strlen (ndsh_frame_get_description (frame));
}

/* Without a wait that would be for the other thread, which is us. */
static void
greet (Fixture *f)
{
  static const NdshReadMode modes[]
    = { NDSH_READ_LATEST, NDSH_READ_QUEUE, NDSH_READ_LOSSLESS };

  if (f->writer.fd >= 0)
    close (f->writer.fd);
  f->writer.fd = accept4 (f->writer.listen_fd, NULL, NULL, SOCK_CLOEXEC);
  if (f->writer.fd < 0)
    return;
  peer_welcome (&f->writer, modes[g_test_rand_int_range (0, 3)]);
  for (guint32 slot = 0; slot < 4; slot++)
    peer_announce (&f->writer, slot, 1);
}

/* Each link that was left for a reason is one line in the log and one error. */
static void
test_a_control_page_that_changes_under_the_readers_eyes (Fixture *f,
                                                         gconstpointer data)
{
  gint64 until_us = g_get_monotonic_time ()
                    + (g_test_slow () ? 100 : 3) * G_USEC_PER_SEC;
  guint n_left = 0, n_frames = 0, n_idle = 0, sum = 0;
  Worker worker;
  GThread *thread;

  (void) data;
  memset (f->writer.control->stream_id, '\x1b', 32);
  ndsh_test_log_start ("left the writer of channel 'test': *");
  thread = start (&worker, &f->writer, flip_everything);
  while (g_get_monotonic_time () < until_us) {
    g_autoptr (GError) error = NULL;
    NdshFrame *frames[2] = { NULL, NULL };

    if (ndsh_test_is_readable (f->writer.listen_fd))
      greet (f);
    ndsh_reader_wait (f->reader, 1000, &error);
    n_idle += g_error_matches (error, NDSH_ERROR, NDSH_ERROR_TIMEOUT);
    n_left += g_error_matches (error, NDSH_ERROR, NDSH_ERROR_INCOMPATIBLE);
    if (n_idle > 20
        || g_error_matches (error, NDSH_ERROR, NDSH_ERROR_INCOMPATIBLE)) {
      n_idle = 0;               /* anew: it believes to be far ahead, or waits */
      ndsh_reader_free (f->reader);
      f->reader = ndsh_test_reader (NDSH_READ_QUEUE, 4, 2);
    }
    for (guint i = 0; i < 2; i++)
      frames[i] = ndsh_reader_acquire (f->reader);
    for (guint i = 0; i < 2; i++)
      if (frames[i] != NULL) {
        sum += look_at (frames[i]);
        ndsh_frame_release (frames[i]);
        n_frames++;
      }
  }
  stop (&worker, thread);
  g_test_message ("%u frames, %u links left, sum %u", n_frames, n_left, sum);

  g_assert_cmpuint (n_frames, >, 100);
  g_assert_cmpuint (n_left, >, 0);
  g_assert_cmpuint (ndsh_test_log_stop () - n_left, <=, 1);
}

/* The reader writes its hazards where it reads its control page and its frames: one
 * over the magic number, its cursor over writer_waiting; and its mode is the slot's
 * state_seq. None of that keeps it from a frame. */
static void
test_one_memory_for_everything_is_survived (Fixture *f, gconstpointer data)
{
  int fds[3] = { f->writer.control_fd, f->writer.control_fd, f->writer.bell_fd };
  NdshControl *control = f->writer.control;
  NdshControl good = *control;
  guint32 page_size = f->writer.welcome.page_size;

  (void) data;
  ndsh_test_log_start ("left the writer of channel 'test': *");
  f->writer.welcome.page_size = f->writer.welcome.control_size;
  f->writer.welcome.max_leases = NDSH_MAX_LEASES;
  peer_accept (&f->writer, f->reader);
  welcome_with (&f->writer, fds, 3);
  announce_with (&f->writer, 0, f->writer.welcome.control_size,
                 f->writer.control_fd);
  ndsh_reader_wait (f->reader, 0, NULL);
  g_assert_true (ndsh_reader_is_connected (f->reader));
  for (guint i = 1; i <= 1000; i++) {
    g_autoptr (NdshFrame) frame = NULL;

    peer_write (&f->writer, 0, i);
    memcpy ((guint8 *) control + PEER_PAYLOAD, f->writer.slot + PEER_PAYLOAD, 32);
    peer_publish (&f->writer, 0, i);
    g_assert_true (ndsh_reader_wait (f->reader, 0, NULL));
    frame = ndsh_reader_acquire (f->reader);
    g_assert_nonnull (frame);
    g_assert_cmpuint (ndsh_frame_get_sequence (frame), ==, i);
    look_at (frame);
  }
  g_assert_cmpuint (ndsh_test_log_stop (), ==, 0);
  *control = good;
  f->writer.welcome.page_size = page_size;
  takes_the_next_writer (f);
}

static void
punch (int fd)
{
  g_assert_cmpint (fallocate (fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                              1 << 20), ==, 0);
  g_assert_cmpint (ftruncate (fd, 0), ==, -1);
}

/* What is not sealed against writing can lose its memory, but not its size. */
static void
test_memory_that_is_taken_away_is_zeros (Fixture *f, gconstpointer data)
{
  g_autoptr (NdshFrame) frame = NULL;

  (void) data;
  join (f);
  peer_write (&f->writer, 0, 1);
  peer_publish (&f->writer, 0, 1);
  frame = ndsh_test_next (f->reader);
  punch (f->writer.slot_fd);
  punch (f->writer.page_fd);
  punch (f->writer.control_fd);

  g_assert_cmpuint (((const guint8 *) ndsh_frame_get_data (frame))[9], ==, 0);
  times_out (f, 1000);
  g_assert_true (ndsh_reader_is_connected (f->reader));
}

/* --- All of it ------------------------------------------------------------ */

static void
add_offences (const char *which, const Offence *offences, guint n,
              GTestDataFunc function)
{
  for (guint i = 0; i < n; i++) {
    g_autofree char *path = g_strdup_printf ("/hostile-writer/%s-that-%s",
                                             which, offences[i].name);

    g_test_add_data_func (path, &offences[i], function);
  }
}

#define ADD(path, function)                                                    \
  g_test_add ("/hostile-writer/" path, Fixture,                                \
              GUINT_TO_POINTER (NDSH_READ_QUEUE), setup, function, teardown)

int
main (int argc, char **argv)
{
  int result;

  g_test_init (&argc, &argv, NULL);
  ndsh_test_dir_setup ();

  add_offences ("an-answer", answers, G_N_ELEMENTS (answers),
                test_each_answer_that_cannot_be_is_told);
  add_offences ("a-writer", messages, G_N_ELEMENTS (messages),
                test_each_message_that_cannot_be_ends_the_link);
  add_offences ("a-frame", frames, G_N_ELEMENTS (frames),
                test_each_frame_that_cannot_be_ends_the_link);
  ADD ("a-refusal-is-printed-and-not-obeyed",
       test_a_refusal_is_printed_and_not_obeyed);
  ADD ("a-hang-up-before-welcome-is-waited-through",
       test_a_hang_up_before_welcome_is_waited_through);
  ADD ("a-hang-up-after-welcome-is-told-once",
       test_a_hang_up_after_welcome_is_told_once);
  ADD ("a-flood-of-wake-ups-does-not-keep-wait-from-its-time-out",
       test_a_flood_of_wake_ups_does_not_keep_wait_from_its_time_out);
  ADD ("a-flood-of-memory-does-not-keep-wait-from-its-time-out",
       test_a_flood_of_memory_does_not_keep_wait_from_its_time_out);
  ADD ("memory-that-is-never-announced-is-slept-for",
       test_memory_that_is_never_announced_is_slept_for);
  ADD ("ends-that-cannot-be-are-told-once-each",
       test_ends_that_cannot_be_are_told_once_each);
  ADD ("a-frame-that-lies-of-its-ends-is-had-after-one",
       test_a_frame_that_lies_of_its_ends_is_had_after_one);
  ADD ("writers-that-hang-up-without-end-are-not-spun-on",
       test_writers_that_hang_up_without_end_are_not_spun_on);
  ADD ("writers-that-welcome-and-hang-up-are-not-spun-on",
       test_writers_that_welcome_and_hang_up_are_not_spun_on);
  ADD ("a-control-page-that-changes-under-the-readers-eyes",
       test_a_control_page_that_changes_under_the_readers_eyes);
  ADD ("one-memory-for-everything-is-survived",
       test_one_memory_for_everything_is_survived);
  ADD ("memory-that-is-taken-away-is-zeros",
       test_memory_that_is_taken_away_is_zeros);
  result = g_test_run ();
  ndsh_test_dir_teardown ();
  return result;
}
