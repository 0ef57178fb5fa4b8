/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A child does nothing but look and tell what it saw by its exit status. */
#include "lifeline.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ndsh-test.h"
#include "writer-private.h"

static int
add (int fd)
{
  ndsh_lifeline_lock ();
  ndsh_lifeline_add (fd);
  ndsh_lifeline_unlock ();
  return fd;
}

static gboolean
is_socket (int fd)
{
  struct stat st;

  return fstat (fd, &st) == 0 && S_ISSOCK (st.st_mode);
}

/* A child that lives until end_child (). It has begun when hold_child () returns:
 * what a fork does to its fds, it does in the child. */
typedef struct {
  pid_t pid;
  int hold;
} Child;

static Child
hold_child (void)
{
  int begun[2], hold[2];
  Child child;
  char byte;

  g_assert_cmpint (pipe (begun), ==, 0);
  g_assert_cmpint (pipe (hold), ==, 0);
  child.pid = fork ();
  if (child.pid == 0) {
    close (hold[1]);
    _exit (write (begun[1], "b", 1) != 1 || read (hold[0], &byte, 1) != 0);
  }
  g_assert_cmpint (read (begun[0], &byte, 1), ==, 1);
  close (begun[0]);
  close (begun[1]);
  close (hold[0]);
  child.hold = hold[1];
  return child;
}

static void
end_child (Child child)
{
  close (child.hold);
  ndsh_test_child_succeeds (child.pid);
}

/* --- In the child --------------------------------------------------------- */

static void
test_a_child_has_something_else_in_its_place (void)
{
  int ends[2];
  pid_t child;

  ndsh_test_socketpair (ends);
  add (ends[0]);
  child = fork ();
  if (child == 0) {
    int result = is_socket (ends[0]) ? 1 : 0;

    result |= fcntl (ends[0], F_GETFD) == FD_CLOEXEC ? 0 : 2;
    result |= is_socket (ends[1]) ? 0 : 4;      /* not added, left alone */
    result |= ndsh_test_is_readable (ends[0]) ? 8 : 0;
    ndsh_lifeline_close (ends[0]);
    result |= fcntl (ends[0], F_GETFD) == -1 ? 0 : 16;
    _exit (result);
  }

  ndsh_test_child_succeeds (child);
  g_assert_true (is_socket (ends[0]));
  ndsh_lifeline_close (ends[0]);
  close (ends[1]);
}

static void
test_a_child_does_not_keep_a_socket_alive (void)
{
  int ends[2];
  Child child;
  char byte;

  ndsh_test_socketpair (ends);
  add (ends[0]);
  child = hold_child ();
  ndsh_lifeline_close (ends[0]);

  ndsh_test_wait_readable (ends[1]);
  g_assert_cmpint (recv (ends[1], &byte, 1, MSG_DONTWAIT), ==, 0);
  end_child (child);
  close (ends[1]);
}

/* Nor does it release the lock of its parent. */
static void
test_a_child_does_not_keep_a_lock (void)
{
  g_autofree char *path = ndsh_test_path (".test.lock");
  int fd = add (open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  int other = open (path, O_RDWR | O_CLOEXEC);
  Child child;

  g_assert_cmpint (flock (fd, LOCK_EX | LOCK_NB), ==, 0);
  end_child (hold_child ());
  child = hold_child ();
  g_assert_cmpint (flock (other, LOCK_EX | LOCK_NB), ==, -1);

  ndsh_lifeline_close (fd);
  g_assert_cmpint (flock (other, LOCK_EX | LOCK_NB), ==, 0);
  end_child (child);
  close (other);
}

static void
test_a_number_used_again_is_left_alone (void)
{
  int ends[2], again;
  pid_t child;

  ndsh_test_socketpair (ends);
  add (ends[0]);
  ndsh_lifeline_close (ends[0]);
  again = fcntl (ends[1], F_DUPFD_CLOEXEC, ends[0]);
  g_assert_cmpint (again, ==, ends[0]);
  child = fork ();
  if (child == 0)
    _exit (is_socket (again) ? 0 : 1);

  ndsh_test_child_succeeds (child);
  close (again);
  close (ends[1]);
}

/* A number that was closed would soon be somebody else's, and an object of the
 * parent's would close that. */
static void
test_at_the_limit_of_fds_they_are_replaced_too (void)
{
  int a[2], b[2];
  pid_t child;

  ndsh_test_socketpair (a);
  ndsh_test_socketpair (b);
  add (a[0]);
  add (b[0]);
  ndsh_test_limit_fds (0);
  child = fork ();
  if (child == 0) {
    int result = fcntl (a[0], F_GETFD) == FD_CLOEXEC && !is_socket (a[0]) ? 0 : 1;

    result |= fcntl (b[0], F_GETFD) == FD_CLOEXEC && !is_socket (b[0]) ? 0 : 2;
    result |= open ("/dev/null", O_RDONLY) == -1 ? 0 : 4;       /* nor fewer */
    _exit (result);
  }
  ndsh_test_unlimit_fds ();

  ndsh_test_child_succeeds (child);
  ndsh_lifeline_close (a[0]);
  ndsh_lifeline_close (b[0]);
  close (a[1]);
  close (b[1]);
}

/* dup3 () refuses numbers like that. */
static void
test_above_a_limit_that_was_lowered_they_are_closed (void)
{
  int ends[2], high;
  pid_t child;

  ndsh_test_socketpair (ends);
  high = add (fcntl (ends[0], F_DUPFD_CLOEXEC, 100));
  close (ends[0]);
  g_assert_cmpint (high, >=, 100);
  ndsh_test_limit_fds (1);
  child = fork ();
  if (child == 0)
    _exit (fcntl (high, F_GETFD) == -1 ? 0 : 1);
  ndsh_test_unlimit_fds ();

  ndsh_test_child_succeeds (child);
  ndsh_lifeline_close (high);
  close (ends[1]);
}

static void
test_each_process_has_a_number (void)
{
  guint mine = ndsh_lifeline_process ();
  pid_t child;

  add (-1);                     /* a library that was never used forks nothing */
  child = fork ();
  if (child == 0) {
    guint its = ndsh_lifeline_process ();
    pid_t grandchild = fork ();

    if (grandchild == 0)
      _exit (ndsh_lifeline_process () != its
                 && ndsh_lifeline_process () != mine
               ? 0
               : 1);
    ndsh_test_child_succeeds (grandchild);
    _exit (its != mine && ndsh_lifeline_process () == its ? 0 : 1);
  }

  ndsh_test_child_succeeds (child);
  g_assert_cmpuint (ndsh_lifeline_process (), ==, mine);
}

/* --- Closing -------------------------------------------------------------- */

static void
test_closing_keeps_errno_and_accepts_none (void)
{
  int fd = add (open ("/dev/null", O_RDONLY | O_CLOEXEC));

  errno = 12345;
  ndsh_lifeline_close (-1);
  ndsh_lifeline_close (fd);
  ndsh_lifeline_close (fd);

  g_assert_cmpint (errno, ==, 12345);
  g_assert_cmpint (fcntl (fd, F_GETFD), ==, -1);
}

/* --- While others work ---------------------------------------------------- */

typedef struct {
  pthread_mutex_t mutex;
  gboolean stop;
} Worker;

static gpointer
open_and_close (gpointer data)
{
  Worker *worker = data;
  gboolean stop = FALSE;

  while (!stop) {
    int fd;

    ndsh_lifeline_lock ();
    fd = ndsh_lifeline_add (
      socket (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    ndsh_lifeline_unlock ();
    ndsh_lifeline_close (fd);
    pthread_mutex_lock (&worker->mutex);
    stop = worker->stop;
    pthread_mutex_unlock (&worker->mutex);
  }
  return NULL;
}

static guint
count_sockets (void)
{
  guint n = 0;

  for (int fd = 0; fd < 1024; fd++)
    n += is_socket (fd);
  return n;
}

/* A fork falls between the two steps of another thread never. */
static void
test_no_fork_catches_a_socket_not_yet_added (void)
{
  Worker worker = { PTHREAD_MUTEX_INITIALIZER, FALSE };
  guint sockets = count_sockets ();
  pthread_t thread;

  g_assert_cmpint (pthread_create (&thread, NULL, open_and_close, &worker), ==,
                   0);
  for (guint i = 0; i < 100; i++) {
    pid_t child = fork ();

    if (child == 0)
      _exit (count_sockets () == sockets ? 0 : 1);
    ndsh_test_child_succeeds (child);
  }

  pthread_mutex_lock (&worker.mutex);
  worker.stop = TRUE;
  pthread_mutex_unlock (&worker.mutex);
  pthread_join (thread, NULL);
}

/* --- The whole library ---------------------------------------------------- */

static int
use_in_child (NdshWriter *writer, NdshReader *reader, NdshFrame *frame,
              NdshDraft *draft)
{
  NdshArrayInfo info = ndsh_test_bytes (10);
  g_autoptr (GError) error = NULL;

  if (ndsh_writer_begin (writer, &info, 1, &error) != NULL
      || !g_error_matches (error, NDSH_ERROR, NDSH_ERROR_FORKED))
    return 1;
  g_clear_error (&error);
  if (ndsh_reader_wait (reader, -1, &error)
      || !g_error_matches (error, NDSH_ERROR, NDSH_ERROR_FORKED))
    return 2;
  g_clear_error (&error);
  if (ndsh_reader_acquire (reader) != NULL)
    return 3;
  if (ndsh_draft_describe (draft, &info, 1, 0, "x", 1, &error)
      || !g_error_matches (error, NDSH_ERROR, NDSH_ERROR_FORKED))
    return 4;
  if (ndsh_draft_publish (draft, NULL) != 0)
    return 5;
  if (ndsh_writer_get_readers (writer, NULL, 0) != 0)
    return 6;
  ndsh_writer_end (writer);
  ndsh_writer_set_flushing (writer, TRUE);
  ndsh_draft_release (draft);
  ndsh_frame_release (frame);
  ndsh_reader_free (reader);
  ndsh_writer_free (writer);
  return 0;
}

static void
test_a_forked_child_disturbs_nothing (void)
{
  NdshWriter *writer = ndsh_test_writer (NULL);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 1);
  NdshArrayInfo info = ndsh_test_bytes (10);
  g_autoptr (NdshDraft) draft = ndsh_writer_begin (writer, &info, 1, NULL);
  g_autoptr (NdshFrame) frame = NULL;
  int hold[2];
  pid_t child;

  ndsh_test_publish (writer, 1000, 1);
  frame = ndsh_test_next (reader);
  g_assert_cmpint (pipe (hold), ==, 0);
  child = fork ();
  if (child == 0) {
    int result = use_in_child (writer, reader, frame, draft);
    char byte;

    close (hold[1]);
    result += read (hold[0], &byte, 1) != 0;    /* lives until the end below */
    _exit (result);
  }
  close (hold[0]);

  ndsh_test_publish (writer, 1000, 10);
  ndsh_test_check_bytes (frame);
  ndsh_frame_release (g_steal_pointer (&frame));
  frame = ndsh_test_next (reader);
  ndsh_frame_release (g_steal_pointer (&frame));

  /* The name comes free and the reader notices, though the child still has all
   * that it inherited. */
  ndsh_writer_free (writer);
  ndsh_test_wait_fails (reader, -1, NDSH_ERROR_CLOSED);
  writer = ndsh_test_writer (NULL);
  ndsh_writer_free (writer);
  close (hold[1]);
  ndsh_test_child_succeeds (child);
}

/* Forked while another thread has the writer's mutex, which in the child is locked
 * for ever; and with a frame that the reader could take. */
static void
test_a_forked_child_waits_for_no_mutex (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshReader) reader
    = ndsh_test_joined_reader (NDSH_READ_QUEUE, 4, 4);
  NdshArrayInfo info = ndsh_test_bytes (10);
  g_autoptr (NdshDraft) draft = ndsh_writer_begin (writer, &info, 1, NULL);
  g_autoptr (NdshFrame) frame = NULL;
  pid_t child;

  ndsh_test_publish (writer, 1000, 2);
  frame = ndsh_test_next (reader);
  ndsh_writer_lock (writer);
  child = fork ();
  if (child == 0) {
    alarm (60);                 /* rather than to hang */
    _exit (use_in_child (writer, reader, frame, draft));
  }
  ndsh_test_child_succeeds (child);

  /* What the two processes share is as it was. */
  g_assert_false (ndsh_slots_reader_has_left (writer->slots.readers));
  g_assert_cmpuint (ndsh_slots_count_leases (writer->slots.readers), ==, 1);
  ndsh_writer_unlock (writer);
}

/* The parent's mutex may be locked in the child for ever. */
static void
test_a_forked_child_cannot_describe (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  pid_t child = fork ();

  if (child == 0) {
    g_autoptr (GError) error = NULL;

    _exit (!ndsh_writer_set_description (writer, "x", &error)
               && g_error_matches (error, NDSH_ERROR, NDSH_ERROR_FORKED)
             ? 0
             : 1);
  }

  ndsh_test_child_succeeds (child);
}

#define ADD(path, function) g_test_add_func ("/lifeline/" path, function)

/* Whose first call into the library is not one that opens anything. */
static void
test_a_child_of_who_only_looked_knows (void)
{
  guint process;
  int status;
  pid_t pid;

  if (!g_test_subprocess ()) {
    g_test_trap_subprocess (NULL, 0, 0);
    g_test_trap_assert_passed ();
    return;
  }
  process = ndsh_lifeline_watch ();
  pid = fork ();
  if (pid == 0)
    _exit (ndsh_lifeline_process () == process);
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, 0);
}

int
main (int argc, char **argv)
{
  int result;

  g_test_init (&argc, &argv, NULL);
  ndsh_test_dir_setup ();

  ADD ("a-child-has-something-else-in-its-place",
       test_a_child_has_something_else_in_its_place);
  ADD ("a-child-does-not-keep-a-socket-alive",
       test_a_child_does_not_keep_a_socket_alive);
  ADD ("a-child-does-not-keep-a-lock", test_a_child_does_not_keep_a_lock);
  ADD ("a-number-used-again-is-left-alone",
       test_a_number_used_again_is_left_alone);
  ADD ("at-the-limit-of-fds-they-are-replaced-too",
       test_at_the_limit_of_fds_they_are_replaced_too);
  ADD ("above-a-limit-that-was-lowered-they-are-closed",
       test_above_a_limit_that_was_lowered_they_are_closed);
  ADD ("each-process-has-a-number", test_each_process_has_a_number);
  ADD ("a-child-of-who-only-looked-knows", test_a_child_of_who_only_looked_knows);
  ADD ("closing-keeps-errno-and-accepts-none",
       test_closing_keeps_errno_and_accepts_none);
  ADD ("no-fork-catches-a-socket-not-yet-added",
       test_no_fork_catches_a_socket_not_yet_added);
  ADD ("a-forked-child-disturbs-nothing", test_a_forked_child_disturbs_nothing);
  ADD ("a-forked-child-waits-for-no-mutex",
       test_a_forked_child_waits_for_no_mutex);
  ADD ("a-forked-child-cannot-describe", test_a_forked_child_cannot_describe);
  result = g_test_run ();
  ndsh_test_dir_teardown ();
  return result;
}
