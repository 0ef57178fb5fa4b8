/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The guests are sockets in this test's hand; the callbacks count. */
#include "service.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lifeline.h"
#include "ndsh-test.h"
#include "rendezvous.h"

typedef struct {
  guint hello, status, woken, writable, gone;
} Counts;

typedef struct {
  guint fds;                    /* before all of this */
  NdshName *name;
  NdshService *service;
  pthread_mutex_t mutex;        /* of all below */
  pthread_cond_t changed;
  gboolean refuses;
  Counts counts;
  NdshGuest *last;              /* who said HELLO last */
  sigset_t blocked;             /* in the service's thread */
} Fixture;

/* --- Callbacks ------------------------------------------------------------ */

static void
count (Fixture *f, guint *counter)
{
  pthread_mutex_lock (&f->mutex);
  ++*counter;
  pthread_cond_broadcast (&f->changed);
  pthread_mutex_unlock (&f->mutex);
}

static void
on_hello (gpointer owner, NdshGuest *guest, const NdshHello *hello)
{
  Fixture *f = owner;
  g_autoptr (GError) error
    = g_error_new (NDSH_ERROR, NDSH_ERROR_DENIED, "no room for %u leases",
                   hello->max_leases);

  pthread_mutex_lock (&f->mutex);
  pthread_sigmask (SIG_BLOCK, NULL, &f->blocked);
  f->last = guest;
  if (f->refuses)
    ndsh_guest_refuse (guest, error);
  else
    guest->joined = f;
  pthread_mutex_unlock (&f->mutex);
  count (f, &f->counts.hello);
}

static void
on_status (gpointer owner, NdshGuest *guest)
{
  Fixture *f = owner;

  /* It may be gone already. */
  (void) !send (guest->fd, "status", 6, MSG_NOSIGNAL);
  count (f, &f->counts.status);
}

static void
on_woken (gpointer owner)
{
  Fixture *f = owner;

  count (f, &f->counts.woken);
}

static gboolean
on_writable (gpointer owner, NdshGuest *guest)
{
  Fixture *f = owner;

  g_assert_true (guest->joined == f);
  count (f, &f->counts.writable);
  return TRUE;
}

static void
on_gone (gpointer owner, NdshGuest *guest)
{
  Fixture *f = owner;

  g_assert_true (guest->joined == f);
  count (f, &f->counts.gone);
}

/* --- The fixture ---------------------------------------------------------- */

static void
setup (Fixture *f, gconstpointer data)
{
  static const NdshServiceCallbacks callbacks
    = { on_hello, on_status, on_woken, on_writable, on_gone, NULL };
  g_autoptr (GError) error = NULL;
  int listen_fd;

  (void) data;
  f->fds = ndsh_test_count_fds ();
  pthread_mutex_init (&f->mutex, NULL);
  pthread_cond_init (&f->changed, NULL);
  f->name = ndsh_name_take ("service", 0600, &listen_fd, &error);
  g_assert_no_error (error);
  f->service = ndsh_service_new (listen_fd, &callbacks, f, &error);
  g_assert_no_error (error);
}

static void
stop (Fixture *f)
{
  if (f->service != NULL)
    ndsh_service_free (f->service);
  f->service = NULL;
}

static void
teardown (Fixture *f, gconstpointer data)
{
  (void) data;
  stop (f);
  ndsh_name_give_back (f->name);
  pthread_cond_destroy (&f->changed);
  pthread_mutex_destroy (&f->mutex);
}

/* Within 10 s. */
static void
wait_for (Fixture *f, const guint *counter, guint n)
{
  struct timespec until;

  clock_gettime (CLOCK_REALTIME, &until);
  until.tv_sec += 10;
  pthread_mutex_lock (&f->mutex);
  while (*counter < n)
    g_assert_cmpint (pthread_cond_timedwait (&f->changed, &f->mutex, &until),
                     ==, 0);
  pthread_mutex_unlock (&f->mutex);
}

static Counts
get_counts (Fixture *f)
{
  Counts counts;

  pthread_mutex_lock (&f->mutex);
  counts = f->counts;
  pthread_mutex_unlock (&f->mutex);
  return counts;
}

static int
come (void)
{
  gint64 deadline_us = g_get_monotonic_time () + 10 * G_USEC_PER_SEC;
  int fd;

  /* Its backlog can be full for a moment. */
  while ((fd = ndsh_name_connect ("service", NULL, NULL)) < 0)
    g_assert_cmpint (g_get_monotonic_time (), <, deadline_us);
  return fd;
}

static void
say (int fd, guint32 type)
{
  NdshHello hello = { .max_leases = 77 };

  ndsh_header_init (&hello, type, sizeof hello);
  g_assert_cmpint (ndsh_message_send (fd, &hello, sizeof hello, NULL, 0), ==,
                   NDSH_IO_DONE);
}

static int
join (Fixture *f)
{
  guint n = get_counts (f).hello;
  int fd = come ();

  say (fd, NDSH_MESSAGE_HELLO);
  wait_for (f, &f->counts.hello, n + 1);
  return fd;
}

static void
assert_hears (int fd, const char *text)
{
  char heard[64];
  gssize size;

  ndsh_test_wait_readable (fd);
  size = recv (fd, heard, sizeof heard, 0);
  g_assert_cmpmem (heard, (gsize) MAX (size, 0), text, strlen (text));
}

/* And closes our end, too. */
static void
assert_is_dropped (int fd)
{
  assert_hears (fd, "");
  ndsh_lifeline_close (fd);
}

static void
assert_is_refused (int fd, NdshError code, const char *text)
{
  g_autoptr (GError) error = NULL;
  NdshMessage message;

  ndsh_test_wait_readable (fd);
  g_assert_cmpint (ndsh_message_receive (fd, &message, &error), ==,
                   NDSH_IO_DONE);
  g_assert_cmpuint (message.type, ==, NDSH_MESSAGE_REFUSED);
  g_assert_cmpuint (message.body.refused.code, ==, code);
  g_assert_nonnull (strstr (message.body.refused.text, text));
  assert_is_dropped (fd);
}

/* --- Who behaves ---------------------------------------------------------- */

static void
test_a_guest_joins_wakes_and_goes (Fixture *f, gconstpointer data)
{
  int fd = join (f);

  (void) data;
  g_assert_cmpint (f->last->pid, ==, getpid ());
  g_assert_cmpint (f->last->uid, ==, getuid ());
  for (guint n = 1; n <= 3; n++) {
    g_assert_cmpint (send (fd, "w", 1, 0), ==, 1);
    wait_for (f, &f->counts.woken, n);
  }
  g_assert_cmpuint (get_counts (f).gone, ==, 0);
  ndsh_lifeline_close (fd);
  wait_for (f, &f->counts.gone, 1);
}

static void
test_who_asks_is_told_and_let_go (Fixture *f, gconstpointer data)
{
  int fd = come ();

  (void) data;
  say (fd, NDSH_MESSAGE_STATUS);
  assert_hears (fd, "status");
  assert_is_dropped (fd);

  g_assert_cmpuint (get_counts (f).gone, ==, 0);
}

static void
test_who_is_refused_hears_why (Fixture *f, gconstpointer data)
{
  int fd = come ();

  (void) data;
  pthread_mutex_lock (&f->mutex);
  f->refuses = TRUE;
  pthread_mutex_unlock (&f->mutex);
  say (fd, NDSH_MESSAGE_HELLO);
  assert_is_refused (fd, NDSH_ERROR_DENIED, "no room for 77 leases");

  g_assert_cmpuint (get_counts (f).gone, ==, 0);
}

static void
test_a_long_reason_is_cut (Fixture *f, gconstpointer data)
{
  g_autofree char *text = g_strnfill (1000, 'x');
  g_autoptr (GError) error = g_error_new_literal (NDSH_ERROR, 3, text);
  NdshGuest guest = { .fd = -1 };
  NdshMessage message;
  int ends[2];

  (void) f;
  (void) data;
  ndsh_test_socketpair (ends);
  guest.fd = ends[0];
  ndsh_guest_refuse (&guest, error);

  g_assert_cmpint (ndsh_message_receive (ends[1], &message, NULL), ==,
                   NDSH_IO_DONE);
  g_assert_cmpuint (strlen (message.body.refused.text), ==, 239);
  close (ends[0]);
  close (ends[1]);
}

static void
test_its_thread_takes_no_signals (Fixture *f, gconstpointer data)
{
  int fd = join (f);

  (void) data;
  g_assert_cmpint (sigismember (&f->blocked, SIGINT), ==, 1);
  g_assert_cmpint (sigismember (&f->blocked, SIGTERM), ==, 1);
  g_assert_cmpint (sigismember (&f->blocked, SIGCHLD), ==, 1);
  ndsh_lifeline_close (fd);
}

static void
test_room_in_a_full_socket_is_told_once (Fixture *f, gconstpointer data)
{
  int fd = join (f);
  char byte;

  (void) data;
  while (send (f->last->fd, "x", 1, MSG_DONTWAIT) == 1)
    ;
  g_assert_cmpint (errno, ==, EAGAIN);
  for (guint i = 0; i < 5; i++)
    ndsh_service_watch_writable (f->service, f->last);
  g_assert_cmpint (send (fd, "w", 1, 0), ==, 1);
  wait_for (f, &f->counts.woken, 1);
  g_assert_cmpuint (get_counts (f).writable, ==, 0);
  while (recv (fd, &byte, 1, MSG_DONTWAIT) == 1)
    ;
  wait_for (f, &f->counts.writable, 1);
  g_assert_cmpint (send (fd, "w", 1, 0), ==, 1);
  wait_for (f, &f->counts.woken, 2);
  g_assert_cmpuint (get_counts (f).writable, ==, 1);

  ndsh_service_watch_writable (f->service, f->last);
  wait_for (f, &f->counts.writable, 2);
  ndsh_lifeline_close (fd);
  wait_for (f, &f->counts.gone, 1);
}

static void
test_freeing_drops_all_without_a_call (Fixture *f, gconstpointer data)
{
  int silent = come (), one = join (f), two = join (f);

  (void) data;
  stop (f);

  assert_is_dropped (silent);
  assert_is_dropped (one);
  assert_is_dropped (two);
  g_assert_cmpuint (f->counts.gone, ==, 0);
}

/* Before the thread runs its loop, while it does, with guests under way. */
static void
test_starting_and_stopping_leaves_nothing (Fixture *f, gconstpointer data)
{
  guint fds;

  teardown (f, data);
  fds = ndsh_test_count_fds ();
  for (guint i = 0; i < 100; i++) {
    int fd;

    setup (f, data);
    fd = i % 2 == 0 ? come () : -1;
    if (i % 4 == 0)
      say (fd, NDSH_MESSAGE_HELLO);
    teardown (f, data);
    ndsh_lifeline_close (fd);
  }

  g_assert_cmpuint (ndsh_test_count_fds (), ==, fds);
  setup (f, data);
}

/* --- Who does not --------------------------------------------------------- */

static void
test_who_says_nothing_is_dropped_after_a_while (Fixture *f, gconstpointer data)
{
  gint64 since_us = g_get_monotonic_time ();
  int joined = join (f), silent;

  (void) data;
  ndsh_test_log_start ("dropped process *: it connected and then said nothing");
  silent = come ();
  assert_is_dropped (silent);

  g_assert_cmpint (g_get_monotonic_time () - since_us, >=, 1900000);
  ndsh_test_log_wait (1);
  g_assert_cmpint (send (joined, "w", 1, 0), ==, 1);
  wait_for (f, &f->counts.woken, 1);
  g_assert_cmpuint (ndsh_test_log_stop (), ==, 1);
  g_assert_cmpuint (get_counts (f).gone, ==, 0);
  ndsh_lifeline_close (joined);
}

static void
test_who_goes_without_a_word_is_no_news (Fixture *f, gconstpointer data)
{
  int fd;

  (void) data;
  ndsh_test_log_start ("nothing");
  for (guint i = 0; i < 20; i++)
    ndsh_lifeline_close (come ());
  fd = join (f);
  stop (f);

  g_assert_cmpuint (ndsh_test_log_stop (), ==, 0);
  ndsh_lifeline_close (fd);
}

static void
test_nonsense_is_refused_with_a_line_in_the_log (Fixture *f, gconstpointer data)
{
  int fd = come ();

  (void) data;
  ndsh_test_log_start ("dropped process *: the peer does not speak*");
  g_assert_cmpint (send (fd, "GET / HTTP/1.1", 14, 0), ==, 14);
  assert_is_refused (fd, NDSH_ERROR_INCOMPATIBLE, "does not speak");

  ndsh_test_log_wait (1);
  stop (f);
  g_assert_cmpuint (ndsh_test_log_stop (), ==, 1);
  g_assert_cmpuint (f->counts.hello, ==, 0);
}

static void
test_another_version_is_refused_by_name (Fixture *f, gconstpointer data)
{
  NdshHello hello = { .mode = 0 };
  int fd = come ();

  (void) data;
  ndsh_header_init (&hello, NDSH_MESSAGE_HELLO, sizeof hello);
  hello.header.major = 9;
  ndsh_test_log_start ("dropped process *version 9*");
  g_assert_cmpint (send (fd, &hello, sizeof hello, 0), ==, sizeof hello);
  assert_is_refused (fd, NDSH_ERROR_INCOMPATIBLE, "version 9");

  ndsh_test_log_wait (1);
  stop (f);
  g_assert_cmpuint (ndsh_test_log_stop (), ==, 1);
}

static void
test_what_only_a_writer_says_joins_nobody (Fixture *f, gconstpointer data)
{
  NdshRefused refused = { .code = 0 };
  int fd = come ();

  (void) data;
  ndsh_test_log_start ("dropped process *: its first message was not HELLO");
  ndsh_header_init (&refused, NDSH_MESSAGE_REFUSED, sizeof refused);
  g_assert_cmpint (send (fd, &refused, sizeof refused, 0), ==, sizeof refused);
  assert_is_dropped (fd);
  fd = come ();
  g_assert_cmpint (send (fd, "w", 1, 0), ==, 1);
  assert_is_dropped (fd);

  g_assert_cmpuint (ndsh_test_log_stop (), ==, 2);
  g_assert_cmpuint (get_counts (f).woken, ==, 0);
  g_assert_cmpuint (get_counts (f).gone, ==, 0);
}

static void
test_a_second_hello_is_one_too_many (Fixture *f, gconstpointer data)
{
  int fd = join (f);

  (void) data;
  ndsh_test_log_start ("dropped process *: it sent a message that*");
  say (fd, NDSH_MESSAGE_HELLO);
  assert_is_dropped (fd);
  wait_for (f, &f->counts.gone, 1);

  ndsh_test_log_wait (1);
  g_assert_cmpuint (ndsh_test_log_stop (), ==, 1);
  g_assert_cmpuint (get_counts (f).hello, ==, 1);
}

/* One that never reads and floods, one that sends nonsense: neither is felt. */
static void
test_guests_do_not_feel_each_other (Fixture *f, gconstpointer data)
{
  int good = join (f), flood = join (f), bad = join (f);

  (void) data;
  ndsh_test_log_start ("dropped process *");
  while (send (f->last->fd, "x", 1, MSG_DONTWAIT) == 1)
    ;
  while (send (flood, "w", 1, MSG_DONTWAIT) == 1)
    ;
  g_assert_cmpint (send (bad, "nonsense", 8, 0), ==, 8);
  wait_for (f, &f->counts.gone, 1);
  say (good, NDSH_MESSAGE_STATUS);      /* of no use to it: dropped, not stuck */
  wait_for (f, &f->counts.gone, 2);
  ndsh_lifeline_close (join (f));
  wait_for (f, &f->counts.gone, 3);

  g_assert_cmpuint (ndsh_test_log_stop (), ==, 2);
  ndsh_lifeline_close (flood);
  wait_for (f, &f->counts.gone, 4);
  ndsh_lifeline_close (good);
  ndsh_lifeline_close (bad);
}

static void
test_mutated_messages_end_one_guest_at_most (Fixture *f, gconstpointer data)
{
  int witness = join (f);

  (void) data;
  ndsh_test_log_start ("dropped *");
  for (guint i = 0; i < 300; i++) {
    NdshHello hello = { .max_leases = 1 };
    int fd = come ();

    ndsh_header_init (&hello, (guint32) g_test_rand_int_range (0, 7),
                      sizeof hello);
    ((guint8 *) &hello)[g_test_rand_int_range (0, sizeof hello)]
      ^= (guint8) (1u << g_test_rand_int_range (0, 8));
    send (fd, &hello, (gsize) g_test_rand_int_range (1, sizeof hello + 1),
          MSG_NOSIGNAL);
    ndsh_lifeline_close (fd);
  }
  g_assert_cmpint (send (witness, "w", 1, 0), ==, 1);
  wait_for (f, &f->counts.woken, 1);
  stop (f);
  ndsh_test_log_stop ();

  ndsh_lifeline_close (witness);
  g_assert_cmpuint (ndsh_test_count_fds (), ==, f->fds + 1);    /* the name's */
}

/* --- Want of file descriptors --------------------------------------------- */

static void
test_want_of_fds_is_told_once_and_passes (Fixture *f, gconstpointer data)
{
  g_autofree char *path = ndsh_test_path ("service");
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

  (void) data;
  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  ndsh_test_log_start ("cannot accept readers for now: *");
  ndsh_test_limit_fds (0);
  g_assert_cmpint (connect (fd, (struct sockaddr *) &address, sizeof address),
                   ==, 0);
  say (fd, NDSH_MESSAGE_HELLO);
  ndsh_test_log_wait (1);
  ndsh_test_unlimit_fds ();
  wait_for (f, &f->counts.hello, 1);

  g_assert_cmpuint (ndsh_test_log_stop (), ==, 1);
  close (fd);
}

/* GLib would end the program. */
static void
test_without_a_fd_it_cannot_be_started (Fixture *f, gconstpointer data)
{
  static const NdshServiceCallbacks callbacks
    = { on_hello, on_status, on_woken, on_writable, on_gone, NULL };
  g_autoptr (GError) error = NULL;
  int listen_fd = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

  (void) data;
  ndsh_test_limit_fds (0);
  g_assert_null (ndsh_service_new (listen_fd, &callbacks, f, &error));
  ndsh_test_unlimit_fds ();

  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_SYSTEM);
  g_assert_nonnull (strstr (error->message, "ulimit -n"));
  g_assert_cmpint (fcntl (listen_fd, F_GETFD), ==, -1);
}

#define ADD(path, function)                                                    \
  g_test_add ("/service/" path, Fixture, NULL, setup, function, teardown)

int
main (int argc, char **argv)
{
  int result;

  g_test_init (&argc, &argv, NULL);
  ndsh_test_dir_setup ();

  ADD ("a-guest-joins-wakes-and-goes", test_a_guest_joins_wakes_and_goes);
  ADD ("who-asks-is-told-and-let-go", test_who_asks_is_told_and_let_go);
  ADD ("who-is-refused-hears-why", test_who_is_refused_hears_why);
  ADD ("a-long-reason-is-cut", test_a_long_reason_is_cut);
  ADD ("its-thread-takes-no-signals", test_its_thread_takes_no_signals);
  ADD ("room-in-a-full-socket-is-told-once",
       test_room_in_a_full_socket_is_told_once);
  ADD ("freeing-drops-all-without-a-call",
       test_freeing_drops_all_without_a_call);
  ADD ("starting-and-stopping-leaves-nothing",
       test_starting_and_stopping_leaves_nothing);
  ADD ("who-says-nothing-is-dropped-after-a-while",
       test_who_says_nothing_is_dropped_after_a_while);
  ADD ("who-goes-without-a-word-is-no-news",
       test_who_goes_without_a_word_is_no_news);
  ADD ("nonsense-is-refused-with-a-line-in-the-log",
       test_nonsense_is_refused_with_a_line_in_the_log);
  ADD ("another-version-is-refused-by-name",
       test_another_version_is_refused_by_name);
  ADD ("what-only-a-writer-says-joins-nobody",
       test_what_only_a_writer_says_joins_nobody);
  ADD ("a-second-hello-is-one-too-many", test_a_second_hello_is_one_too_many);
  ADD ("guests-do-not-feel-each-other", test_guests_do_not_feel_each_other);
  ADD ("mutated-messages-end-one-guest-at-most",
       test_mutated_messages_end_one_guest_at_most);
  ADD ("want-of-fds-is-told-once-and-passes",
       test_want_of_fds_is_told_once_and_passes);
  ADD ("without-a-fd-it-cannot-be-started",
       test_without_a_fd_it_cannot_be_started);
  result = g_test_run ();
  ndsh_test_dir_teardown ();
  return result;
}
