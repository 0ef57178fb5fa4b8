/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Messages from one process to others, by one way; one run is one turn of one
 * contender:
 *
 *   bench-message ndsh --size 64 --fps 0 --readers 2 --touch
 *
 * Each message begins with its number and the time at which it was there, and may be
 * written from its first byte to its last, and read so. What was measured goes to
 * standard output, as one JSON object.
 *
 * What each way does is its own section. The floors, word to socket, say what the machine
 * can do; word to memcpy share a ring of slots, whose writer spins while the slowest
 * reader has all of them before it. The contenders are as deep as their defaults are, but
 * for large messages no deeper than N_BYTES; and ndsh, whose default is for the newest
 * frame, keeps as many as it can where nothing may be lost. That is so without a pace:
 * then the writer waits. At a pace ndsh and iceoryx drop the oldest, and it never does.
 *
 * This process starts writer and readers, and what all of them use, and looks after them.
 * Exit status: 77 if the way is not built in, or its daemon does not start.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <ndsh.h>

#ifdef HAVE_ZMQ
#include <zmq.h>
#endif
#ifdef HAVE_ICEORYX
#include <iceoryx_binding_c/log.h>
#include <iceoryx_binding_c/publisher.h>
#include <iceoryx_binding_c/runtime.h>
#include <iceoryx_binding_c/subscriber.h>
#include <iceoryx_binding_c/wait_set.h>
#endif

#define MAX_READERS 16
#define N_BYTES (64u << 20)     /* of messages on their way */
#define LIMIT_S 20              /* without a message */

typedef struct {
  guint64 number;               /* from 1 on */
  gint64 stamp_ns;              /* CLOCK_MONOTONIC */
} Header;

typedef struct {
  const char *name;
  void (*prepare) (void);       /* before the fork */
  void (*open_writer) (void);   /* in any order with the next */
  void (*open_reader) (void);   /* returns when no message can be missed */
  void *(*begin) (void);
  void (*publish) (void);
  const void *(*take) (void);   /* waits */
  void (*release) (void);
  void (*close_writer) (void);  /* after the last message was read */
  void (*finish) (void);        /* when all processes have ended */
  gboolean spins;
  void (*wake) (void);          /* of a ring */
  void (*sleep) (void);
} Way;

static int size = 64, fps = 60, n_measured = 300, n_skipped = 60, n_readers = 1;
static gboolean touches;
static const Way *way;
static int reader;              /* which of them this process is, if it is one */

static const GOptionEntry entries[] = {
  { "size", 0, 0, G_OPTION_ARG_INT, &size, "Bytes of a message", "64" },
  { "fps", 0, 0, G_OPTION_ARG_INT, &fps, "Messages a second, 0 for as many as can be",
    "60" },
  { "messages", 0, 0, G_OPTION_ARG_INT, &n_measured, "Messages that are measured",
    "300" },
  { "skip", 0, 0, G_OPTION_ARG_INT, &n_skipped, "Messages before those", "60" },
  { "readers", 0, 0, G_OPTION_ARG_INT, &n_readers, "Processes that read", "1" },
  { "touch", 0, 0, G_OPTION_ARG_NONE, &touches, "Write and read all of each message",
    NULL },
  { 0 },
};

/* --- What is measured ----------------------------------------------------- */

typedef struct {
  gint64 ns;
  struct rusage usage;
} Mark;

/* Of one process. Costs are those between the first measured message and the last. */
typedef struct {
  _Alignas (64) volatile int n_all, n_messages;
  Mark first, last;
} Part;

/* What all processes see. Each word that one of them writes has its own line. */
typedef struct {
  _Alignas (64) atomic_int n_ready, n_done;
  _Alignas (64) _Atomic guint32 published;
  struct {
    _Alignas (64) _Atomic guint32 count;
  } taken[MAX_READERS];
  Part writer, readers[MAX_READERS];
  gint64 latencies_ns[];        /* of reader 0 */
} Shared;

static Shared *shared;

static gint64
now_ns (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return (gint64) now.tv_sec * 1000000000 + now.tv_nsec;
}

static void
count (Part *part, guint64 number)
{
  Mark *mark = part->n_messages == 0 ? &part->first : &part->last;

  part->n_all++;
  if (number <= (guint64) n_skipped)
    return;
  if (++part->n_messages == 1 || number == (guint64) (n_skipped + n_measured)) {
    mark->ns = now_ns ();
    getrusage (RUSAGE_SELF, &mark->usage);
  }
}

static double
to_us (const struct rusage *usage)
{
  return (double) (usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1e6
         + (double) (usage->ru_utime.tv_usec + usage->ru_stime.tv_usec);
}

/* Means of @n processes. */
static void
report_costs (const char *who, const Part *parts, int n)
{
  double cpu_us = 0, faults = 0, switches = 0;

  for (const Part *p = parts; p < parts + n; p++) {
    const struct rusage *a = &p->first.usage, *b = &p->last.usage;
    double part = 1.0 / MAX (p->n_messages - 1, 1) / n;

    cpu_us += (to_us (b) - to_us (a)) * part;
    faults += (double) (b->ru_minflt - a->ru_minflt) * part;
    switches += (double) (b->ru_nvcsw - a->ru_nvcsw) * part;
  }
  printf (", \"%s_cpu_us\": %.3f, \"%s_faults\": %.4f, \"%s_switches\": %.4f", who,
          cpu_us, who, faults, who, switches);
}

static void
report (void)
{
  double seconds = 0, rate = G_MAXDOUBLE;
  int n_lost = 0;

  for (const Part *p = shared->readers; p < shared->readers + n_readers; p++) {
    double taken_s = (double) MAX (p->last.ns - p->first.ns, 1) / 1e9;

    seconds = MAX (seconds, taken_s);
    rate = MIN (rate, (p->n_messages - 1) / taken_s);
    n_lost += n_measured - p->n_messages;
  }
  printf ("{\"messages\": %d, \"lost\": %d, \"seconds\": %.6f, \"rate\": %.3f",
          n_measured, n_lost, seconds, rate);
  report_costs ("writer", &shared->writer, 1);
  report_costs ("reader", shared->readers, n_readers);
  printf (", \"latencies_us\": [");
  for (int i = 0; i < shared->readers[0].n_messages; i++)
    printf ("%s%.2f", i > 0 ? ", " : "", (double) shared->latencies_ns[i] / 1e3);
  puts ("]}");
}

/* --- What ways share ------------------------------------------------------ */

static void G_GNUC_PRINTF (1, 2)
fail (const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_printerr ("bench-message %s: %s\n", way->name, text);
  exit (1);
}

static void
call (void (*function) (void))
{
  if (function != NULL)
    function ();
}

static void *
map (gsize n_bytes)
{
  void *data
    = mmap (NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

  if (data == MAP_FAILED)
    fail ("%zu bytes of memory: %s", n_bytes, g_strerror (errno));
  return data;
}

/* How many messages may be on their way, of a way that allows @most. */
static guint
depth (guint most)
{
  return CLAMP (N_BYTES / (guint) size, 4, most);
}

static gboolean is_crowded;     /* by more processes than processors */

/* Who spins gives way where it has to, and now and then to what else runs. */
static void
relax (void)
{
  static guint n;

  if (is_crowded || ++n % 4096 == 0)
    sched_yield ();
}

/* --- A ring in shared memory; for word, looked at all the time ------------ */

static char *slots;
static guint32 n_slots;
static void *own;               /* memory of this process, for a message */
static int bells[MAX_READERS];  /* eventfds */

static void
prepare_ring (void)
{
  n_slots = depth (64);
  slots = map ((gsize) size * n_slots);
  own = g_malloc0 ((gsize) size);
  for (int i = 0; i < n_readers; i++)
    bells[i] = eventfd (0, 0);
}

static char *
get_slot (guint32 number)
{
  return slots + (gsize) size * (number % n_slots);
}

static void *
begin_ring (void)
{
  for (int i = 0; i < n_readers; i++)
    while (shared->published - shared->taken[i].count >= n_slots)
      relax ();
  return get_slot (shared->published);
}

static void
publish_ring (void)
{
  shared->published++;
  call (way->wake);
}

static const void *
take_ring (void)
{
  while (shared->published == shared->taken[reader].count)
    way->sleep ();
  return get_slot (shared->taken[reader].count);
}

static void
release_ring (void)
{
  shared->taken[reader].count++;
}

/* --- futex: readers sleep on the count of messages, all woken by one call -- */

static void
wake_futex (void)
{
  syscall (SYS_futex, &shared->published, FUTEX_WAKE, n_readers, NULL, NULL, 0);
}

static void
sleep_futex (void)
{
  syscall (SYS_futex, &shared->published, FUTEX_WAIT, shared->taken[reader].count, NULL,
           NULL, 0);
}

/* --- eventfd: one for each reader ----------------------------------------- */

static void
wake_eventfd (void)
{
  for (int i = 0; i < n_readers; i++)
    eventfd_write (bells[i], 1);
}

static void
sleep_eventfd (void)
{
  eventfd_t n;

  eventfd_read (bells[reader], &n);
}

/* --- memcpy: the same, copied into the ring and out of it ----------------- */

static void *
get_own (void)
{
  return own;
}

static void
publish_memcpy (void)
{
  memcpy (begin_ring (), own, (gsize) size);
  publish_ring ();
}

static const void *
take_memcpy (void)
{
  memcpy (own, take_ring (), (gsize) size);
  release_ring ();
  return own;
}

/* --- socket: the header alone, sent to each reader ------------------------ */

static int sockets[MAX_READERS][2];

static void
prepare_socket (void)
{
  size = sizeof (Header);
  prepare_ring ();
  for (int i = 0; i < n_readers; i++)
    if (socketpair (AF_UNIX, SOCK_SEQPACKET, 0, sockets[i]) != 0)
      fail ("socketpair: %s", g_strerror (errno));
}

static void
publish_socket (void)
{
  for (int i = 0; i < n_readers; i++)
    if (send (sockets[i][0], own, (gsize) size, MSG_NOSIGNAL) != size)
      fail ("send: %s", g_strerror (errno));
}

static const void *
take_socket (void)
{
  if (recv (sockets[reader][1], own, (gsize) size, 0) != size)
    fail ("recv: %s", g_strerror (errno));
  return own;
}

/* --- ndsh ----------------------------------------------------------------- */

static char *address;           /* that no other run has */
static NdshWriter *ndsh_writer;
static NdshReader *ndsh_reader;
static NdshArrayInfo info;
static NdshDraft *draft;
static NdshFrame *frame;

static void
prepare_ndsh (void)
{
  gsize n_bytes = (gsize) size;

  address = g_strdup_printf ("bench-message-%d", getpid ());
  ndsh_array_info_init (&info, NDSH_DTYPE_UINT8, 1, &n_bytes);
}

/* A reader that has to share its processor is not one that does not move. */
static void
open_ndsh_writer (void)
{
  NdshWriterOptions options = { .lossless_timeout_us = LIMIT_S * G_USEC_PER_SEC };
  g_autoptr (GError) error = NULL;

  ndsh_writer = ndsh_writer_new (address, &options, &error);
  if (ndsh_writer == NULL)
    fail ("%s", error->message);
}

static void
open_ndsh_reader (void)
{
  NdshReaderOptions options
    = { .mode = fps > 0 ? NDSH_READ_QUEUE : NDSH_READ_LOSSLESS,
        .queue_length = fps > 0 ? 0 : depth (NDSH_MAX_QUEUE) };
  g_autoptr (GError) error = NULL;

  ndsh_reader = ndsh_reader_new (address, &options, &error);
  if (ndsh_reader == NULL)
    fail ("%s", error->message);
  while (!ndsh_reader_is_connected (ndsh_reader))
    ndsh_reader_wait (ndsh_reader, 1000, NULL);
}

static void *
begin_ndsh (void)
{
  g_autoptr (GError) error = NULL;

  draft = ndsh_writer_begin (ndsh_writer, &info, 1, &error);
  if (draft == NULL)
    fail ("%s", error->message);
  return ndsh_draft_get_data (draft);
}

static void
publish_ndsh (void)
{
  ndsh_draft_publish (draft, NULL);
  ndsh_draft_release (draft);
}

static const void *
take_ndsh (void)
{
  while ((frame = ndsh_reader_read (ndsh_reader, -1, NULL)) == NULL)
    ;
  return ndsh_frame_get_data (frame);
}

/* ndsh-spin: the writer's side is the same. */
static const void *
take_ndsh_spinning (void)
{
  while ((frame = ndsh_reader_acquire (ndsh_reader)) == NULL)
    relax ();
  return ndsh_frame_get_data (frame);
}

static void
release_ndsh (void)
{
  ndsh_frame_release (frame);
}

static void
close_ndsh_writer (void)
{
  ndsh_writer_free (ndsh_writer);
}

/* --- zmq: PUSH to one reader, PUB to several ------------------------------ */

#ifdef HAVE_ZMQ
static void *zmq;
static zmq_msg_t message;

static void
prepare_zmq (void)
{
  address = g_strdup_printf ("ipc://@bench-message-%d", getpid ());
}

/* PUB would drop what is more than its bound: it has none. */
static void
open_zmq (int type, int option)
{
  int bound = n_readers == 1 ? (int) depth (1000) : 0;

  zmq = zmq_socket (zmq_ctx_new (), type);
  zmq_setsockopt (zmq, option, &bound, sizeof bound);
}

static const void *
take_zmq (void)
{
  if (zmq_msg_recv (&message, zmq, 0) < 0)
    fail ("recv: %s", zmq_strerror (errno));
  return zmq_msg_data (&message);
}

/* XPUB is PUB that hears of its subscribers, each of whom it hears with VERBOSE. */
static void
open_zmq_writer (void)
{
  const int yes = 1;

  open_zmq (n_readers == 1 ? ZMQ_PUSH : ZMQ_XPUB, ZMQ_SNDHWM);
  if (n_readers > 1)
    zmq_setsockopt (zmq, ZMQ_XPUB_VERBOSE, &yes, sizeof yes);
  if (zmq_bind (zmq, address) != 0)
    fail ("%s: %s", address, zmq_strerror (errno));
  zmq_msg_init (&message);
  for (int i = 0; n_readers > 1 && i < n_readers; i++)
    take_zmq ();
}

static void
open_zmq_reader (void)
{
  open_zmq (n_readers == 1 ? ZMQ_PULL : ZMQ_SUB, ZMQ_RCVHWM);
  if (n_readers > 1)
    zmq_setsockopt (zmq, ZMQ_SUBSCRIBE, "", 0);
  zmq_msg_init (&message);
  if (zmq_connect (zmq, address) != 0)
    fail ("%s: %s", address, zmq_strerror (errno));
}

static void *
begin_zmq (void)
{
  zmq_msg_init_size (&message, (gsize) size);
  return zmq_msg_data (&message);
}

static void
publish_zmq (void)
{
  if (zmq_msg_send (&message, zmq, 0) < 0)
    fail ("send: %s", zmq_strerror (errno));
}
#endif

/* --- iceoryx, with a daemon of its own ------------------------------------ */

#ifdef HAVE_ICEORYX
static pid_t daemon_pid;
static iox_pub_t iox_publisher;
static iox_sub_t iox_subscriber;
static iox_ws_t iox_set;
static const void *chunk;

/* The pool has room for all queues, which hold the same newest, and for what is held. */
static void
become_daemon (int out)
{
  int config = memfd_create ("roudi", 0);
  g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d", config);

  dprintf (config,
           "[general]\nversion = 1\n[[segment]]\n[[segment.mempool]]\n"
           "size = %d\ncount = %u\n",
           (size + 63) / 64 * 64, depth (256) + 2 * (guint) n_readers + 8);
  prctl (PR_SET_PDEATHSIG, SIGTERM);
  dup2 (out, STDOUT_FILENO);
  dup2 (out, STDERR_FILENO);
  execlp ("iox-roudi", "iox-roudi", "-m", "off", "-c", path, NULL);
  _exit (1);
}

/* It dies before it says that it is ready where another one runs. */
static void
start_daemon (void)
{
  g_autofree char *line = NULL;
  gsize n_bytes = 0;
  int ends[2];
  FILE *out;

  iox_set_loglevel (Iceoryx_LogLevel_Error);
  if (pipe2 (ends, O_CLOEXEC) != 0 || (daemon_pid = fork ()) < 0)
    fail ("iox-roudi: %s", g_strerror (errno));
  if (daemon_pid == 0)
    become_daemon (ends[1]);
  close (ends[1]);
  out = fdopen (ends[0], "r");
  while (getline (&line, &n_bytes, out) > 0)
    if (strstr (line, "is ready") != NULL)
      return;
  g_printerr ("bench-message: iox-roudi is not there, or another one runs\n");
  exit (77);
}

static void
open_iceoryx_writer (void)
{
  static iox_pub_storage_t storage;
  iox_pub_options_t options;

  iox_runtime_init ("bench-message-writer");
  iox_pub_options_init (&options);
  options.subscriberTooSlowPolicy = fps > 0 ? ConsumerTooSlowPolicy_DISCARD_OLDEST_DATA
                                            : ConsumerTooSlowPolicy_WAIT_FOR_CONSUMER;
  iox_publisher = iox_pub_init (&storage, "bench", "message", "data", &options);
}

static void
open_iceoryx_reader (void)
{
  static iox_sub_storage_t storage;
  static iox_ws_storage_t set_storage;
  g_autofree char *name = g_strdup_printf ("bench-message-reader-%d", reader);
  iox_sub_options_t options;

  iox_runtime_init (name);
  iox_sub_options_init (&options);
  options.queueCapacity = depth (256);
  options.queueFullPolicy
    = fps > 0 ? QueueFullPolicy_DISCARD_OLDEST_DATA : QueueFullPolicy_BLOCK_PRODUCER;
  iox_subscriber = iox_sub_init (&storage, "bench", "message", "data", &options);
  iox_set = iox_ws_init (&set_storage);
  iox_ws_attach_subscriber_state (iox_set, iox_subscriber, SubscriberState_HAS_DATA, 0,
                                  NULL);
  while (iox_sub_get_subscription_state (iox_subscriber) != SubscribeState_SUBSCRIBED)
    g_usleep (1000);
}

static void *
begin_iceoryx (void)
{
  void *data = NULL;

  if (iox_pub_loan_chunk (iox_publisher, &data, (guint32) size)
      != AllocationResult_SUCCESS)
    fail ("no chunk");
  chunk = data;
  return data;
}

static void
publish_iceoryx (void)
{
  iox_pub_publish_chunk (iox_publisher, (void *) chunk);
}

static const void *
take_iceoryx (void)
{
  const struct timespec limit = { .tv_sec = LIMIT_S };
  iox_notification_info_t notification;
  guint64 n_missed;

  while (iox_sub_take_chunk (iox_subscriber, &chunk) != ChunkReceiveResult_SUCCESS)
    iox_ws_timed_wait (iox_set, limit, &notification, 1, &n_missed);
  return chunk;
}

static void
release_iceoryx (void)
{
  iox_sub_release_chunk (iox_subscriber, chunk);
}

/* Not from a process that it knows: it ends those with it. */
static void
stop_daemon (void)
{
  kill (daemon_pid, SIGTERM);
  waitpid (daemon_pid, NULL, 0);
}
#endif

/* --- A run ---------------------------------------------------------------- */

static const Way ways[] = {
#define RING                                                             \
  .prepare = prepare_ring, .begin = begin_ring, .publish = publish_ring, \
  .take = take_ring, .release = release_ring
  { "word", RING, .spins = TRUE, .sleep = relax },
  { "futex", RING, .wake = wake_futex, .sleep = sleep_futex },
  { "eventfd", RING, .wake = wake_eventfd, .sleep = sleep_eventfd },
  { "memcpy", .prepare = prepare_ring, .begin = get_own, .publish = publish_memcpy,
    .take = take_memcpy, .wake = wake_eventfd, .sleep = sleep_eventfd },
  { "socket", .prepare = prepare_socket, .begin = get_own, .publish = publish_socket,
    .take = take_socket },
#define NDSH                                                                     \
  .prepare = prepare_ndsh, .open_writer = open_ndsh_writer,                      \
  .open_reader = open_ndsh_reader, .begin = begin_ndsh, .publish = publish_ndsh, \
  .release = release_ndsh, .close_writer = close_ndsh_writer
  { "ndsh", NDSH, .take = take_ndsh },
  { "ndsh-spin", NDSH, .spins = TRUE, .take = take_ndsh_spinning },
#ifdef HAVE_ZMQ
  { "zmq", .prepare = prepare_zmq, .open_writer = open_zmq_writer,
    .open_reader = open_zmq_reader, .begin = begin_zmq, .publish = publish_zmq,
    .take = take_zmq },
#endif
#ifdef HAVE_ICEORYX
  { "iceoryx", .prepare = start_daemon, .open_writer = open_iceoryx_writer,
    .open_reader = open_iceoryx_reader, .begin = begin_iceoryx,
    .publish = publish_iceoryx, .take = take_iceoryx, .release = release_iceoryx,
    .finish = stop_daemon },
#endif
};

/* Who is late does not catch up: nor does a camera. */
static void
wait_until_due (void)
{
  static gint64 due_ns;
  struct timespec until;

  if (fps == 0)
    return;
  due_ns = MAX (due_ns + 1000000000 / fps, now_ns ());
  until.tv_sec = due_ns / 1000000000;
  until.tv_nsec = due_ns % 1000000000;
  clock_nanosleep (CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static void
write_messages (void)
{
  Header header = { 0, 0 };

  while (header.number < (guint64) (n_skipped + n_measured)) {
    char *data;

    wait_until_due ();
    data = way->begin ();
    header.number++;
    if (touches)
      memset (data, (int) header.number & 0xff, (gsize) size);
    header.stamp_ns = now_ns ();
    memcpy (data, &header, sizeof header);
    way->publish ();
    count (&shared->writer, header.number);
  }
}

static void
read_all (const char *data)
{
  static volatile guint64 kept; /* so that it is read */
  guint64 sum = 0, word;

  for (int i = 0; i + 8 <= size; i += 8) {
    memcpy (&word, data + i, 8);
    sum += word;
  }
  kept = sum;
  (void) kept;
}

static void
read_messages (void)
{
  Part *part = &shared->readers[reader];
  Header header = { 0, 0 };

  while (header.number < (guint64) (n_skipped + n_measured)) {
    const void *data = way->take ();
    gint64 now = now_ns ();

    memcpy (&header, data, sizeof header);
    if (touches)
      read_all (data);
    if (reader == 0 && header.number > (guint64) n_skipped)
      shared->latencies_ns[part->n_messages] = now - header.stamp_ns;
    call (way->release);
    count (part, header.number);
  }
}

static void
run_reader (void)
{
  call (way->open_reader);
  /* So that noting a latency is no fault of the way's. */
  if (reader == 0)
    memset (shared->latencies_ns, 0, sizeof (gint64) * (gsize) n_measured);
  shared->n_ready++;
  read_messages ();
  shared->n_done++;
}

static void
run_writer (void)
{
  call (way->open_writer);
  while (shared->n_ready < n_readers)
    g_usleep (1000);
  write_messages ();
  while (shared->n_done < n_readers)
    g_usleep (1000);
  call (way->close_writer);
}

/* Where the writer woke on the processor of one who spins, that one would have to wait. */
static void
pin (int processor)
{
  cpu_set_t set;

  CPU_ZERO (&set);
  CPU_SET (processor, &set);
  sched_setaffinity (0, sizeof set, &set);
}

static void
start (void (*run) (void), int processor)
{
  pid_t pid = fork ();

  if (pid < 0)
    fail ("fork: %s", g_strerror (errno));
  if (pid > 0)
    return;
  prctl (PR_SET_PDEATHSIG, SIGKILL);
  if (way->spins && !is_crowded)
    pin (processor);
  run ();
  exit (0);
}

/* One limit for every wait, that costs none of them anything. */
static void
on_alarm (int number)
{
  static const char text[] = "bench-message: no message moved for a long time\n";
  static int before;
  int now = shared->writer.n_all;

  (void) number;
  for (int i = 0; i < n_readers; i++)
    now += shared->readers[i].n_all;
  if (now == before) {
    (void) !write (STDERR_FILENO, text, sizeof text - 1);
    _exit (1);
  }
  before = now;
  alarm (LIMIT_S);
}

/* One that failed takes the others with it. */
static void
await_processes (void)
{
  int status;

  for (int i = 0; i < n_readers + 1; i++)
    if (wait (&status) < 0 || status != 0)
      fail ("a process failed");
}

static void
parse_arguments (int argc, char **argv)
{
  g_autoptr (GOptionContext) context = g_option_context_new ("WAY - measure messages");
  g_autoptr (GError) error = NULL;

  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error) || argc != 2
      || size < (int) sizeof (Header) || fps < 0 || n_measured < 1 || n_skipped < 0
      || n_readers < 1 || n_readers > MAX_READERS) {
    g_printerr ("bench-message: %s\n", error != NULL ? error->message : "see --help");
    exit (2);
  }
  for (gsize i = 0; i < G_N_ELEMENTS (ways); i++)
    if (strcmp (argv[1], ways[i].name) == 0)
      way = &ways[i];
  if (way == NULL) {
    g_printerr ("bench-message: '%s' is not built in\n", argv[1]);
    exit (77);
  }
}

int
main (int argc, char **argv)
{
  parse_arguments (argc, argv);
  is_crowded = n_readers >= (int) g_get_num_processors ();
  shared = map (sizeof (Shared) + sizeof (gint64) * (gsize) n_measured);
  signal (SIGALRM, on_alarm);
  alarm (LIMIT_S);
  way->prepare ();
  start (run_writer, 0);
  for (reader = 0; reader < n_readers; reader++)
    start (run_reader, reader + 1);
  await_processes ();
  call (way->finish);
  report ();
  return 0;
}
