/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Channels as they come and go: writers of this process, and of others that are killed. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channel.h"
#include "lifeline.h"
#include "ndsh-test.h"
#include "rendezvous.h"

static NdshMonitor *
start (void)
{
  g_autoptr (GError) error = NULL;
  NdshMonitor *monitor = ndsh_monitor_new (&error);

  g_assert_no_error (error);
  return monitor;
}

/* The next news, which is of @name; NULL if that has gone. */
static NdshChannelInfo *
wait_news (NdshMonitor *monitor, const char *name)
{
  NdshChannelInfo *info = NULL;
  g_autofree char *of = NULL;

  while ((of = ndsh_monitor_next (monitor, &info)) == NULL)
    ndsh_test_wait_readable (ndsh_monitor_get_fd (monitor));
  g_assert_cmpstr (of, ==, name);
  return info;
}

static void
assert_comes (NdshMonitor *monitor, const char *name, const char *description)
{
  g_autoptr (NdshChannelInfo) info = wait_news (monitor, name);

  g_assert_nonnull (info);
  g_assert_cmpstr (info->description, ==, description);
}

static void
assert_goes (NdshMonitor *monitor, const char *name)
{
  g_assert_null (wait_news (monitor, name));
}

static void
assert_no_news (NdshMonitor *monitor)
{
  NdshChannelInfo *info;

  g_assert_null (ndsh_monitor_next (monitor, &info));
}

/* The service has handled all that came before. */
static void
settle (const char *name)
{
  g_autoptr (NdshChannelInfo) info = ndsh_channel_info_new (name, NULL);

  g_assert_nonnull (info);
}

/* --- Writers -------------------------------------------------------------- */

static void
test_a_writer_comes_and_goes (void)
{
  g_autoptr (NdshMonitor) monitor = start ();
  NdshWriter *writer;

  assert_no_news (monitor);
  writer = ndsh_test_writer (NULL);
  assert_comes (monitor, "test", "");
  ndsh_writer_free (writer);
  assert_goes (monitor, "test");
  assert_no_news (monitor);
}

static void
test_what_is_there_is_news_at_once (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshMonitor) monitor = NULL;
  g_autoptr (NdshChannelInfo) info = NULL;
  g_autofree char *name = NULL;

  ndsh_writer_set_description (writer, "caps", NULL);
  ndsh_test_publish (writer, 10, 1);
  monitor = start ();

  name = ndsh_monitor_next (monitor, &info);
  g_assert_cmpstr (name, ==, "test");
  g_assert_cmpstr (info->description, ==, "caps");
  g_assert_cmpint (info->pid, ==, getpid ());
  g_assert_cmpuint (info->n_arrays, ==, 1);
}

static void
test_the_first_frame_and_another_description_are_news (void)
{
  g_autoptr (NdshMonitor) monitor = start ();
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);

  assert_comes (monitor, "test", "");
  ndsh_writer_set_description (writer, "caps", NULL);
  ndsh_test_publish (writer, 10, 1);
  assert_comes (monitor, "test", "caps");
  ndsh_writer_set_description (writer, "others", NULL);
  assert_no_news (monitor);             /* no frame has it */
  ndsh_test_publish (writer, 10, 1);
  assert_comes (monitor, "test", "others");
}

static void
test_a_frame_of_another_size_is_no_news (void)
{
  g_autoptr (NdshMonitor) monitor = start ();
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);

  ndsh_test_publish (writer, 10, 1);
  assert_comes (monitor, "test", "");
  settle ("test");
  for (guint size = 1; size < 100; size++)
    ndsh_test_publish (writer, size, 1);
  settle ("test");

  assert_no_news (monitor);
}

static void
test_who_watches_is_no_reader (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshMonitor) monitor G_GNUC_UNUSED = start ();
  g_autoptr (NdshChannelInfo) info = ndsh_channel_info_new ("test", NULL);

  g_assert_cmpuint (info->n_readers, ==, 0);
  g_assert_cmpuint (ndsh_writer_get_readers (writer, NULL, 0), ==, 0);
}

static void
test_watching_leaks_nothing (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  guint before;

  g_assert_nonnull (writer);
  settle ("test");
  before = ndsh_test_count_fds ();
  for (guint i = 0; i < 200; i++)
    ndsh_monitor_free (start ());
  settle ("test");

  g_assert_cmpuint (ndsh_test_count_fds (), <=, before + 1);
}

/* A child that writes as soon as it is let go, and lives until it is killed. */
static pid_t
fork_writer (int *go)
{
  int ends[2];
  pid_t child;
  char none;

  ndsh_test_socketpair (ends);
  child = fork ();
  g_assert_cmpint (child, >=, 0);
  if (child == 0) {
    prctl (PR_SET_PDEATHSIG, SIGKILL);
    close (ends[1]);
    (void) !read (ends[0], &none, 1);
    ndsh_test_publish (ndsh_test_writer (NULL), 10, 1);
    for (;;)
      pause ();
  }
  close (ends[0]);
  *go = ends[1];
  return child;
}

/* A byte, as other children have the fd too. */
static void
let_go (int go)
{
  g_assert_cmpint (write (go, "g", 1), ==, 1);
  close (go);
}

static void
kill_writer (pid_t child)
{
  kill (child, SIGKILL);
  g_assert_cmpint (waitpid (child, NULL, 0), ==, child);
}

/* The first news of a child: before or after its first frame. */
static void
wait_child (NdshMonitor *monitor, pid_t child)
{
  guint64 published = 0;

  while (published == 0) {
    g_autoptr (NdshChannelInfo) info = wait_news (monitor, "test");

    g_assert_nonnull (info);
    g_assert_cmpint (info->pid, ==, child);
    published = info->published;
  }
}

static void
test_a_killed_writer_has_gone_and_its_name_can_be_taken_over (void)
{
  g_autofree char *path = ndsh_test_path ("test");
  int go[2];
  pid_t first = fork_writer (&go[0]), second = fork_writer (&go[1]);
  g_autoptr (NdshMonitor) monitor = start ();

  let_go (go[0]);
  wait_child (monitor, first);
  kill_writer (first);
  assert_goes (monitor, "test");
  g_assert_cmpint (g_access (path, F_OK), ==, 0);
  assert_no_news (monitor);

  let_go (go[1]);
  wait_child (monitor, second);
  kill_writer (second);
  assert_goes (monitor, "test");
  g_unlink (path);
}

static void
test_a_stopped_writer_does_not_hold_up_others (void)
{
  int go;
  pid_t child = fork_writer (&go);
  g_autoptr (NdshMonitor) monitor = start ();
  g_autofree char *path = ndsh_test_path ("test");
  NdshWriter *writer;

  let_go (go);
  wait_child (monitor, child);
  kill (child, SIGSTOP);
  writer = ndsh_writer_new ("other", NULL, NULL);
  assert_comes (monitor, "other", "");
  ndsh_writer_free (writer);
  assert_goes (monitor, "other");
  kill_writer (child);
  assert_goes (monitor, "test");
  g_unlink (path);
}

static void
test_a_forked_child_hears_nothing (void)
{
  g_autoptr (NdshMonitor) monitor = start ();
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  pid_t child;

  ndsh_test_wait_readable (ndsh_monitor_get_fd (monitor));
  child = fork ();
  if (child == 0) {
    assert_no_news (monitor);
    ndsh_monitor_free (monitor);
    _exit (0);
  }
  ndsh_test_child_succeeds (child);
  assert_comes (monitor, "test", "");
  ndsh_test_publish (writer, 10, 1);
  assert_comes (monitor, "test", "");
}

/* --- Who answers otherwise ------------------------------------------------ */

static int
watch_by_hand (void)
{
  int fd = ndsh_name_connect ("test", NULL);

  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (ndsh_status_ask (fd, NDSH_MESSAGE_WATCH), ==, NDSH_IO_DONE);
  ndsh_test_wait_readable (fd);
  return fd;
}

static void
test_there_is_an_end_to_who_may_watch (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshMonitor) monitor = NULL;
  int fds[64];

  g_assert_nonnull (writer);
  for (guint i = 0; i < G_N_ELEMENTS (fds); i++)
    fds[i] = watch_by_hand ();
  monitor = start ();
  assert_no_news (monitor);

  for (guint i = 0; i < G_N_ELEMENTS (fds); i++)
    ndsh_lifeline_close (fds[i]);
  settle ("test");
  ndsh_monitor_free (monitor);
  monitor = start ();
  assert_comes (monitor, "test", "");
}

static void
test_who_watches_and_says_more_is_dropped (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshChannelInfo) info = NULL;
  int fd = watch_by_hand ();

  g_assert_nonnull (writer);
  g_assert_cmpint (ndsh_status_hear (fd, &info), ==, NDSH_IO_DONE);
  ndsh_test_log_start ("*a reader has no use for*");
  g_assert_cmpint (send (fd, "w", 1, MSG_NOSIGNAL), ==, 1);
  ndsh_test_log_wait (1);
  ndsh_test_wait_readable (fd);
  g_assert_cmpint (ndsh_status_hear (fd, &info), ==, NDSH_IO_GONE);
  ndsh_test_log_stop ();
  ndsh_lifeline_close (fd);
}

/* A writer in this test's hand. */
typedef struct {
  NdshName *name;
  int listen_fd;
  int fd;                       /* of the monitor, who has asked */
} Hand;

static void
answer (Hand *hand)
{
  NdshStatus status = { .duration_ns = -1 };

  ndsh_header_init (&status, NDSH_MESSAGE_STATUS, sizeof status);
  g_assert_cmpint (send (hand->fd, &status, sizeof status, 0), ==, sizeof status);
}

/* Waits until the monitor has handled what came. */
static void
let_hear (NdshMonitor *monitor)
{
  ndsh_test_wait_readable (ndsh_monitor_get_fd (monitor));
  assert_no_news (monitor);
}

/* The monitor hears of something, and asks. */
static void
let_ask (Hand *hand, NdshMonitor *monitor)
{
  NdshHeader question;

  let_hear (monitor);
  ndsh_test_wait_readable (hand->listen_fd);
  hand->fd = accept (hand->listen_fd, NULL, NULL);
  ndsh_test_wait_readable (hand->fd);
  g_assert_cmpint (recv (hand->fd, &question, sizeof question, 0), ==, sizeof question);
  g_assert_cmpuint (question.type, ==, NDSH_MESSAGE_WATCH);
}

static Hand
show_hand (NdshMonitor *monitor)
{
  Hand hand;

  hand.name = ndsh_name_take ("test", 0600, &hand.listen_fd, NULL);
  let_ask (&hand, monitor);
  return hand;
}

static void
withdraw (Hand *hand)
{
  ndsh_lifeline_close (hand->listen_fd);
  ndsh_name_give_back (hand->name);
}

static void
test_who_does_not_answer_is_asked_once (void)
{
  g_autoptr (NdshMonitor) monitor = start ();
  Hand hand = show_hand (monitor);

  close (hand.fd);
  let_hear (monitor);
  g_assert_false (ndsh_test_is_readable (hand.listen_fd));
  withdraw (&hand);
}

static void
test_who_says_what_cannot_be_is_left (void)
{
  g_autoptr (NdshMonitor) monitor = start ();
  Hand hand = show_hand (monitor);

  answer (&hand);
  assert_comes (monitor, "test", "");
  answer (&hand);                       /* nobody asked again */
  assert_goes (monitor, "test");
  close (hand.fd);
  g_assert_false (ndsh_test_is_readable (hand.listen_fd));
  withdraw (&hand);
}

static void
test_news_that_are_asked_for_again_do_not_look_like_an_end (void)
{
  g_autoptr (NdshMonitor) monitor = start ();
  Hand hand = show_hand (monitor);

  answer (&hand);
  assert_comes (monitor, "test", "");
  close (hand.fd);
  let_ask (&hand, monitor);             /* again */
  answer (&hand);
  assert_comes (monitor, "test", "");
  close (hand.fd);
  withdraw (&hand);
  assert_goes (monitor, "test");
}

/* --- Directories ---------------------------------------------------------- */

static void
test_a_directory_can_come_go_and_come_again (void)
{
  g_autofree char *old = g_strdup (g_getenv ("NDSH_DIR"));
  g_autofree char *above = ndsh_test_path ("above");
  g_autofree char *dir = g_build_filename (above, "dir", NULL);
  g_autofree char *lock = g_build_filename (dir, ".test.lock", NULL);
  g_autoptr (NdshMonitor) monitor = NULL;

  g_setenv ("NDSH_DIR", dir, TRUE);
  monitor = start ();
  for (guint i = 0; i < 3; i++) {
    NdshWriter *writer;

    g_assert_cmpint (g_mkdir_with_parents (dir, 0700), ==, 0);
    writer = ndsh_test_writer (NULL);
    assert_comes (monitor, "test", "");
    ndsh_writer_free (writer);
    assert_goes (monitor, "test");
    g_unlink (lock);
    g_assert_cmpint (g_rmdir (dir), ==, 0);
    g_assert_cmpint (g_rmdir (above), ==, 0);
  }
  g_setenv ("NDSH_DIR", old, TRUE);
}

/* Whoever is no longer found under the name has gone, though it lives. */
static void
test_a_socket_that_is_removed_has_gone (void)
{
  g_autofree char *path = ndsh_test_path ("test");
  g_autoptr (NdshMonitor) monitor = start ();
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);

  g_assert_nonnull (writer);
  assert_comes (monitor, "test", "");
  g_unlink (path);
  assert_goes (monitor, "test");
}

/* The next news of channel "test" is that this writes it, whom readers find, too. */
static void
assert_is (NdshMonitor *monitor, NdshWriter *writer)
{
  g_autoptr (NdshChannelInfo) info = wait_news (monitor, "test");
  g_autoptr (NdshChannelInfo) found = ndsh_channel_info_new ("test", NULL);

  g_assert_cmpstr (info->stream_id, ==, ndsh_writer_get_stream_id (writer));
  g_assert_cmpstr (found->stream_id, ==, info->stream_id);
}

/* Who names a socket by its path may have it in any of the directories. */
static gboolean
write_in_two_directories (void)
{
  g_autofree char *dir = g_strdup_printf ("/tmp/ndsh-%u", (guint) geteuid ());
  g_autofree char *path = g_build_filename (dir, "test", NULL);
  g_autoptr (NdshMonitor) monitor = NULL;
  NdshWriter *first, *last;

  g_setenv ("XDG_RUNTIME_DIR", "/tmp/xdg", TRUE);
  g_assert_cmpint (g_mkdir_with_parents ("/tmp/xdg/ndsh", 0700), ==, 0);
  g_assert_cmpint (g_mkdir_with_parents (dir, 0700), ==, 0);
  monitor = start ();
  last = ndsh_writer_new (path, NULL, NULL);
  assert_is (monitor, last);
  first = ndsh_writer_new ("/tmp/xdg/ndsh/test", NULL, NULL);
  assert_is (monitor, first);
  ndsh_test_publish (last, 10, 1);      /* news, but of whom nobody finds */
  assert_is (monitor, first);
  ndsh_writer_free (first);
  assert_is (monitor, last);
  ndsh_writer_free (last);
  assert_goes (monitor, "test");
  return TRUE;
}

static void
test_of_two_directories_the_first_goes_first (void)
{
  ndsh_test_in_empty_world (write_in_two_directories, 0);
}

static guint64
get_max_events (void)
{
  g_autofree char *text = NULL;

  g_file_get_contents ("/proc/sys/fs/inotify/max_queued_events", &text, NULL, NULL);
  return text != NULL ? g_ascii_strtoull (text, NULL, 10) : G_MAXUINT64;
}

/* A file that is no channel's comes and goes, until the kernel has dropped events. */
static void
overflow (guint64 n_events)
{
  g_autofree char *one = ndsh_test_path (".one"), *other = ndsh_test_path (".other");

  g_assert_true (g_file_set_contents (one, "", 0, NULL));
  for (guint64 i = 0; i < n_events; i += 4) {
    g_assert_cmpint (g_rename (one, other), ==, 0);
    g_assert_cmpint (g_rename (other, one), ==, 0);
  }
  g_unlink (one);
}

static void
test_what_came_and_went_while_events_were_lost_is_found (void)
{
  g_autofree char *path = ndsh_test_path ("test");
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshWriter) other = NULL;
  g_autoptr (NdshMonitor) monitor = NULL;
  guint64 n_events = get_max_events ();

  if (n_events > 1000000) {
    g_test_skip ("more events than this can make are kept");
    return;
  }
  g_assert_nonnull (writer);
  monitor = start ();
  assert_comes (monitor, "test", "");
  overflow (n_events + 100);
  g_unlink (path);
  other = ndsh_writer_new ("other", NULL, NULL);
  assert_goes (monitor, "test");
  assert_comes (monitor, "other", "");
  assert_no_news (monitor);
}

static void
test_a_file_is_no_channel (void)
{
  g_autofree char *path = ndsh_test_path ("file");
  g_autoptr (NdshMonitor) monitor = start ();

  g_assert_true (g_file_set_contents (path, "", 0, NULL));
  let_hear (monitor);
  g_unlink (path);
}

#define ADD(path, function) g_test_add_func ("/monitor/" path, function)

int
main (int argc, char **argv)
{
  int result;

  g_test_init (&argc, &argv, NULL);
  ndsh_test_dir_setup ();

  ADD ("a-writer-comes-and-goes", test_a_writer_comes_and_goes);
  ADD ("what-is-there-is-news-at-once", test_what_is_there_is_news_at_once);
  ADD ("the-first-frame-and-another-description-are-news",
       test_the_first_frame_and_another_description_are_news);
  ADD ("a-frame-of-another-size-is-no-news", test_a_frame_of_another_size_is_no_news);
  ADD ("who-watches-is-no-reader", test_who_watches_is_no_reader);
  ADD ("watching-leaks-nothing", test_watching_leaks_nothing);
  ADD ("a-killed-writer-has-gone-and-its-name-can-be-taken-over",
       test_a_killed_writer_has_gone_and_its_name_can_be_taken_over);
  ADD ("a-stopped-writer-does-not-hold-up-others",
       test_a_stopped_writer_does_not_hold_up_others);
  ADD ("a-forked-child-hears-nothing", test_a_forked_child_hears_nothing);
  ADD ("there-is-an-end-to-who-may-watch", test_there_is_an_end_to_who_may_watch);
  ADD ("who-watches-and-says-more-is-dropped", test_who_watches_and_says_more_is_dropped);
  ADD ("who-does-not-answer-is-asked-once", test_who_does_not_answer_is_asked_once);
  ADD ("who-says-what-cannot-be-is-left", test_who_says_what_cannot_be_is_left);
  ADD ("news-that-are-asked-for-again-do-not-look-like-an-end",
       test_news_that_are_asked_for_again_do_not_look_like_an_end);
  ADD ("a-directory-can-come-go-and-come-again",
       test_a_directory_can_come_go_and_come_again);
  ADD ("a-socket-that-is-removed-has-gone", test_a_socket_that_is_removed_has_gone);
  ADD ("a-file-is-no-channel", test_a_file_is_no_channel);
  ADD ("of-two-directories-the-first-goes-first",
       test_of_two_directories_the_first_goes_first);
  ADD ("what-came-and-went-while-events-were-lost-is-found",
       test_what_came_and_went_while_events_were_lost_is_found);
  result = g_test_run ();
  ndsh_test_dir_teardown ();
  return result;
}
