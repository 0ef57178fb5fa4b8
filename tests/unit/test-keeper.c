/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lifeline.h"
#include "message.h"
#include "ndsh-test.h"
#include "rendezvous.h"

/* For those that are ended by something else. */
#define LONG_US (120 * G_USEC_PER_SEC)

static NdshWriter *
lingering_writer (gint64 linger_us)
{
  NdshWriterOptions options = { .linger_us = linger_us };

  return ndsh_test_writer (&options);
}

/* Of @n frames, which is left to a keeper. */
static void
leave_frames (gint64 linger_us, guint n)
{
  NdshWriter *writer = lingering_writer (linger_us);

  ndsh_test_publish (writer, 5000, n);
  ndsh_writer_free (writer);
}

static NdshChannelInfo *
ask (void)
{
  g_autoptr (GError) error = NULL;
  NdshChannelInfo *info = ndsh_channel_info_new ("test", &error);

  g_assert_no_error (error);
  return info;
}

static pid_t
get_keeper (void)
{
  g_autoptr (NdshChannelInfo) info = ask ();

  g_assert_cmpint (info->pid, !=, getpid ());
  return (pid_t) info->pid;
}

/* It is no child of ours, and may stay a zombie where nobody waits for orphans. */
static gboolean
has_ended (pid_t pid)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/stat", (int) pid);
  g_autofree char *text = NULL;

  return !g_file_get_contents (path, &text, NULL, NULL)
         || strstr (text, ") Z ") != NULL || strstr (text, ") X ") != NULL;
}

static void
wait_for_end (pid_t pid)
{
  while (!has_ended (pid))
    g_usleep (1000);
}

static gboolean
exists (void)
{
  g_autofree char *path = ndsh_test_path ("test");

  return g_file_test (path, G_FILE_TEST_EXISTS);
}

/* The next writer, which leaves nothing. */
static void
end_keeper (void)
{
  pid_t keeper = get_keeper ();

  ndsh_writer_free (ndsh_test_writer (NULL));
  wait_for_end (keeper);
  g_assert_false (exists ());
}

/* --- What readers get ----------------------------------------------------- */

static void
test_who_comes_late_gets_the_last_frame (void)
{
  NdshWriter *writer = lingering_writer (LONG_US);
  g_autofree char *stream_id = g_strdup (ndsh_writer_get_stream_id (writer));
  g_autoptr (NdshReader) reader = NULL;
  g_autoptr (NdshFrame) frame = NULL;
  g_autoptr (NdshChannelInfo) info = NULL;
  gsize size;

  g_assert_true (ndsh_writer_set_description (writer, "what it is", NULL));
  g_assert_true (ndsh_writer_set_metadata (writer, "stream", 6, NULL));
  ndsh_test_publish (writer, 5000, 3);
  ndsh_writer_free (writer);

  info = ask ();
  reader = ndsh_test_reader (NDSH_READ_LATEST, 0, 0);
  frame = ndsh_test_next (reader);

  g_assert_cmpuint (info->published, ==, 3);
  g_assert_cmpstr (info->description, ==, "what it is");
  g_assert_cmpstr (info->stream_id, ==, stream_id);
  g_assert_cmpuint (info->arrays[0].shape[0], ==, 5000);
  g_assert_cmpuint (ndsh_frame_get_sequence (frame), ==, 3);
  g_assert_cmpuint (ndsh_frame_get_size (frame), ==, 5000);
  g_assert_cmpstr (ndsh_frame_get_stream_id (frame), ==, stream_id);
  g_assert_cmpstr (ndsh_frame_get_description (frame), ==, "what it is");
  g_assert_cmpmem (ndsh_frame_get_stream_metadata (frame, &size), 6, "stream", 6);
  ndsh_test_wait_fails (reader, 1000, NDSH_ERROR_TIMEOUT);
  end_keeper ();
  ndsh_test_check_bytes (frame);
}

static void
test_every_mode_gets_it (void)
{
  leave_frames (LONG_US, 40);

  for (guint mode = NDSH_READ_LATEST; mode <= NDSH_READ_LOSSLESS; mode++) {
    g_autoptr (NdshReader) reader = ndsh_test_reader ((NdshReadMode) mode, 8, 0);
    g_autoptr (NdshFrame) frame = ndsh_test_next (reader);

    g_assert_cmpuint (ndsh_frame_get_sequence (frame), ==, 40);
    ndsh_test_wait_fails (reader, 1000, NDSH_ERROR_TIMEOUT);
  }
  end_keeper ();
}

static void
join (NdshReader *reader)
{
  while (!ndsh_reader_is_connected (reader))
    ndsh_test_wait_fails (reader, 1000, NDSH_ERROR_TIMEOUT);
}

static void
test_who_had_it_does_not_get_it_twice (void)
{
  NdshWriter *writer = lingering_writer (LONG_US);
  g_autoptr (NdshReader) reader = ndsh_test_joined_reader (NDSH_READ_QUEUE, 4, 0);
  NdshReaderInfo info;

  ndsh_test_publish (writer, 5000, 3);
  for (guint i = 0; i < 3; i++)
    ndsh_frame_release (ndsh_test_next (reader));
  ndsh_writer_free (writer);

  ndsh_test_wait_fails (reader, LONG_US, NDSH_ERROR_CLOSED);
  join (reader);
  ndsh_test_wait_fails (reader, 1000, NDSH_ERROR_TIMEOUT);
  ndsh_reader_get_info (reader, &info);

  g_assert_cmpuint (info.delivered, ==, 3);
  g_assert_cmpuint (info.missed, ==, 0);
  g_assert_cmpint (info.pid, ==, get_keeper ());
  end_keeper ();
}

static void
test_who_had_an_older_one_gets_it (void)
{
  NdshWriter *writer = lingering_writer (LONG_US);
  g_autoptr (NdshReader) reader = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 0);
  g_autoptr (NdshFrame) frame = NULL;
  NdshReaderInfo info;

  ndsh_test_publish (writer, 5000, 1);
  ndsh_frame_release (ndsh_test_next (reader));
  ndsh_reader_set_mode (reader, NDSH_READ_LATEST, 0);
  ndsh_test_publish (writer, 5000, 2);
  ndsh_writer_free (writer);

  frame = ndsh_test_next (reader);
  ndsh_reader_get_info (reader, &info);

  g_assert_cmpuint (ndsh_frame_get_sequence (frame), ==, 3);
  g_assert_cmpuint (info.missed, ==, 1);
  end_keeper ();
}

static void
test_an_end_is_told_once (void)
{
  NdshWriter *writer = lingering_writer (LONG_US);
  g_autoptr (NdshReader) reader = ndsh_test_joined_reader (NDSH_READ_QUEUE, 4, 0);
  g_autoptr (NdshReader) late = ndsh_test_reader (NDSH_READ_LATEST, 0, 0);

  ndsh_test_publish (writer, 5000, 1);
  ndsh_writer_end (writer);
  ndsh_test_publish (writer, 5000, 1);
  ndsh_writer_end (writer);
  ndsh_frame_release (ndsh_test_next (reader));
  ndsh_test_wait_fails (reader, LONG_US, NDSH_ERROR_ENDED);
  ndsh_frame_release (ndsh_test_next (reader));
  ndsh_test_wait_fails (reader, LONG_US, NDSH_ERROR_ENDED);
  ndsh_writer_free (writer);

  ndsh_test_wait_fails (reader, LONG_US, NDSH_ERROR_CLOSED);
  join (reader);
  ndsh_test_wait_fails (reader, 1000, NDSH_ERROR_TIMEOUT);
  ndsh_frame_release (ndsh_test_next (late));
  ndsh_test_wait_fails (late, LONG_US, NDSH_ERROR_ENDED);
  ndsh_test_wait_fails (late, 1000, NDSH_ERROR_TIMEOUT);
  end_keeper ();
}

static void
test_who_asks_never_finds_nobody (void)
{
  NdshWriter *writer = lingering_writer (LONG_US);
  pid_t asker;

  ndsh_test_publish (writer, 5000, 1);
  asker = fork ();
  if (asker == 0) {
    g_autoptr (GError) error = NULL;

    for (guint i = 0; i < 3000 && error == NULL; i++)
      ndsh_channel_info_free (ndsh_channel_info_new ("test", &error));
    _exit (error != NULL ? error->code + 1 : 0);
  }
  for (guint i = 0; i < 5; i++) {
    ndsh_writer_free (writer);
    writer = lingering_writer (LONG_US);
    ndsh_test_publish (writer, 5000, 1);
    g_usleep (20000);
  }

  ndsh_test_child_succeeds (asker);
  ndsh_writer_free (writer);
  end_keeper ();
}

static void
test_a_monitor_does_not_see_it_go (void)
{
  NdshWriter *writer = lingering_writer (LONG_US);
  g_autoptr (NdshMonitor) monitor = NULL;
  gint64 until_us;
  char *name;

  ndsh_test_publish (writer, 5000, 1);
  monitor = ndsh_monitor_new (NULL);
  ndsh_writer_free (writer);

  until_us = g_get_monotonic_time () + 300000;
  while (g_get_monotonic_time () < until_us) {
    NdshChannelInfo *info = NULL;

    while ((name = ndsh_monitor_next (monitor, &info)) != NULL) {
      g_assert_cmpstr (name, ==, "test");
      g_assert_nonnull (info);
      ndsh_channel_info_free (g_steal_pointer (&info));
      g_free (name);
    }
    g_usleep (1000);
  }
  end_keeper ();
}

static void
test_no_more_readers_than_before (void)
{
  NdshWriterOptions options = { .linger_us = LONG_US, .max_readers = 1, .perms = 0640 };
  NdshWriter *writer = ndsh_test_writer (&options);
  g_autofree char *path = ndsh_test_path ("test");
  g_autoptr (NdshReader) reader = NULL, other = NULL;
  struct stat st;

  ndsh_test_publish (writer, 5000, 1);
  ndsh_writer_free (writer);

  reader = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 0);
  other = ndsh_test_reader (NDSH_READ_LATEST, 0, 0);
  ndsh_test_wait_fails (other, LONG_US, NDSH_ERROR_DENIED);
  g_assert_cmpint (stat (path, &st), ==, 0);
  g_assert_cmpint (st.st_mode & 0777, ==, 0640);
  end_keeper ();
}

/* --- Whose the name is ---------------------------------------------------- */

static void
test_the_next_writer_has_the_name_at_once (void)
{
  g_autoptr (NdshReader) reader = ndsh_test_reader (NDSH_READ_LATEST, 0, 0);
  g_autoptr (NdshWriter) writer = NULL;
  g_autoptr (GError) error = NULL;
  pid_t keeper;

  leave_frames (LONG_US, 2);
  keeper = get_keeper ();
  ndsh_frame_release (ndsh_test_next (reader));

  writer = ndsh_test_writer (NULL);
  ndsh_test_publish (writer, 100, 1);

  ndsh_test_wait_fails (reader, LONG_US, NDSH_ERROR_CLOSED);
  ndsh_frame_release (ndsh_test_next (reader));
  wait_for_end (keeper);
  g_assert_true (exists ());
  g_assert_null (ndsh_writer_new ("test", NULL, &error));
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_EXISTS);
}

static void
test_a_stopped_keeper_holds_nobody_up (void)
{
  gint64 since_us;
  g_autoptr (NdshWriter) writer = NULL;
  pid_t keeper;

  leave_frames (LONG_US, 1);
  keeper = get_keeper ();
  g_assert_cmpint (kill (keeper, SIGSTOP), ==, 0);

  since_us = g_get_monotonic_time ();
  writer = ndsh_test_writer (NULL);
  g_assert_cmpint (g_get_monotonic_time () - since_us, <, G_USEC_PER_SEC);

  g_assert_cmpint (kill (keeper, SIGCONT), ==, 0);
  wait_for_end (keeper);
  g_assert_true (exists ());
}

static void
test_a_writer_that_is_alive_yields_to_nobody (void)
{
  NdshWriter *writer = lingering_writer (LONG_US);
  g_autoptr (NdshReader) reader = NULL;
  g_autoptr (GError) error = NULL;
  int fd = ndsh_name_connect ("test", NULL, NULL);
  NdshHeader yield;

  ndsh_header_init (&yield, NDSH_MESSAGE_YIELD, sizeof yield);
  g_assert_true (ndsh_test_send (fd, &yield, sizeof yield, NULL, 0));
  ndsh_test_wait_readable (fd);
  ndsh_lifeline_close (fd);

  g_assert_null (ndsh_writer_new ("test", NULL, &error));
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_EXISTS);
  reader = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 0);
  ndsh_writer_free (writer);
}

/* FALSE if this user cannot be another. */
static gboolean
run_as_another_user (void (*function) (void))
{
  pid_t child;

  if (geteuid () != 0)
    return FALSE;
  child = fork ();
  if (child == 0) {
    if (setgid (65534) == 0 && setuid (65534) == 0)
      function ();
    _exit (0);
  }
  ndsh_test_child_succeeds (child);
  return TRUE;
}

static void
want_the_name (void)
{
  g_autoptr (GError) error = NULL;
  int fd = ndsh_name_connect ("test", NULL, &error);
  NdshHeader yield;

  g_assert_no_error (error);
  ndsh_header_init (&yield, NDSH_MESSAGE_YIELD, sizeof yield);
  g_assert_true (ndsh_test_send (fd, &yield, sizeof yield, NULL, 0));
  ndsh_test_wait_readable (fd);
  g_assert_null (ndsh_writer_new ("test", NULL, &error));
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_EXISTS);
}

static void
test_another_user_cannot_have_the_name (void)
{
  NdshWriterOptions options = { .linger_us = LONG_US, .perms = 0666 };
  NdshWriter *writer = ndsh_test_writer (&options);
  g_autofree char *dir = ndsh_test_path ("");
  g_autofree char *lock = ndsh_test_path (".test.lock");
  pid_t keeper;

  g_assert_cmpint (chmod (dir, 0777), ==, 0);
  g_assert_cmpint (chmod (lock, 0666), ==, 0);
  ndsh_test_publish (writer, 100, 1);
  ndsh_writer_free (writer);
  keeper = get_keeper ();

  if (!run_as_another_user (want_the_name))
    g_test_skip ("not root");
  g_assert_cmpint (get_keeper (), ==, keeper);
  end_keeper ();
}

/* --- Its end -------------------------------------------------------------- */

static void
test_it_ends_when_the_time_is_up (void)
{
  g_autoptr (NdshReader) reader = ndsh_test_reader (NDSH_READ_LATEST, 0, 0);
  g_autoptr (NdshFrame) frame = NULL;
  gint64 since_us = g_get_monotonic_time ();
  pid_t keeper;

  leave_frames (300000, 1);
  keeper = get_keeper ();
  frame = ndsh_test_next (reader);

  ndsh_test_wait_fails (reader, LONG_US, NDSH_ERROR_CLOSED);
  g_assert_cmpint (g_get_monotonic_time () - since_us, >=, 300000);
  wait_for_end (keeper);
  ndsh_test_check_bytes (frame);
  g_assert_false (exists ());
}

static void
test_it_ends_on_sigterm (void)
{
  pid_t keeper;

  leave_frames (LONG_US, 1);
  keeper = get_keeper ();

  g_assert_cmpint (kill (keeper, SIGTERM), ==, 0);
  wait_for_end (keeper);
  g_assert_false (exists ());
}

static gboolean
finds_nobody (NdshReader *reader)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (ndsh_reader_read (reader, 0, &error));
  return g_error_matches (error, NDSH_ERROR, NDSH_ERROR_NOT_FOUND);
}

static void
test_a_killed_one_is_a_dead_writer (void)
{
  g_autoptr (NdshReader) reader = ndsh_test_reader (NDSH_READ_LATEST, 0, 0);
  pid_t keeper;

  leave_frames (LONG_US, 1);
  keeper = get_keeper ();
  ndsh_frame_release (ndsh_test_next (reader));

  g_assert_cmpint (kill (keeper, SIGKILL), ==, 0);
  ndsh_test_wait_fails (reader, LONG_US, NDSH_ERROR_CLOSED);
  while (!finds_nobody (reader))
    g_usleep (1000);
  g_assert_true (exists ());
  ndsh_writer_free (ndsh_test_writer (NULL));
  g_assert_false (exists ());
}

/* --- What it leaves to the program ---------------------------------------- */

static void
test_without_a_frame_there_is_none (void)
{
  leave_frames (LONG_US, 0);

  g_assert_false (exists ());
}

static void
test_the_program_keeps_no_fd_and_no_child (void)
{
  guint before;

  leave_frames (LONG_US, 1);
  before = ndsh_test_count_fds ();
  leave_frames (LONG_US, 1);

  g_assert_cmpuint (ndsh_test_count_fds (), ==, before);
  g_assert_cmpint (waitpid (-1, NULL, WNOHANG), ==, -1);
  g_assert_cmpint (errno, ==, ECHILD);
  end_keeper ();
}

/* Who waits for a program's output waits for the end of all that have it. */
static void
test_it_has_nothing_that_the_program_had_open (void)
{
  int ends[2];
  char byte;

  g_assert_cmpint (pipe2 (ends, O_CLOEXEC), ==, 0);
  /* Without the flag, and not one of the numbers that it gets something else for. */
  g_assert_cmpint (dup2 (ends[1], 100), ==, 100);
  leave_frames (LONG_US, 1);
  close (ends[1]);
  close (100);

  ndsh_test_wait_readable (ends[0]);
  g_assert_cmpint (read (ends[0], &byte, 1), ==, 0);
  close (ends[0]);
  end_keeper ();
}

static void
assert_goes_with_its_writer (const char *path)
{
  g_autofree char *before = g_strdup (g_getenv ("NDSH_KEEPER"));

  g_setenv ("NDSH_KEEPER", path, TRUE);
  leave_frames (LONG_US, 1);
  g_setenv ("NDSH_KEEPER", before, TRUE);
  g_assert_false (exists ());
}

static void
test_without_the_program_the_frame_goes_with_its_writer (void)
{
  ndsh_test_log_start ("the last frame of channel 'test' goes with its writer, because "
                       "/nowhere/ndsh-keeper cannot be started: No such file*");
  assert_goes_with_its_writer ("/nowhere/ndsh-keeper");
  assert_goes_with_its_writer ("/bin/false");
  g_assert_cmpuint (ndsh_test_log_stop (), ==, 1);
}

static void
test_a_forked_child_starts_none (void)
{
  NdshWriter *writer = lingering_writer (LONG_US);
  g_autoptr (NdshChannelInfo) info = NULL;
  pid_t child;

  ndsh_test_publish (writer, 100, 1);
  child = fork ();
  if (child == 0) {
    ndsh_writer_free (writer);
    _exit (0);
  }
  ndsh_test_child_succeeds (child);

  info = ask ();
  g_assert_cmpint (info->pid, ==, getpid ());
  ndsh_test_publish (writer, 100, 1);
  ndsh_writer_free (writer);
  end_keeper ();
}

static void
test_a_time_that_cannot_be_is_invalid (void)
{
  gint64 times[] = { -1, G_MAXINT64, 25 * G_TIME_SPAN_DAY };

  for (guint i = 0; i < G_N_ELEMENTS (times); i++) {
    NdshWriterOptions options = { .linger_us = times[i] };
    g_autoptr (GError) error = NULL;

    g_assert_null (ndsh_writer_new ("test", &options, &error));
    g_assert_error (error, NDSH_ERROR, NDSH_ERROR_INVALID);
    g_assert_nonnull (strstr (error->message, "linger_us"));
  }
}

/* --- Killed at any moment ------------------------------------------------- */

#define N_KILLS 60
#define YOUTH_US 20000           /* for which a writer stays for its first reader */

static void
write_and_leave (int told)
{
  NdshWriter *writer = lingering_writer (LONG_US);

  ndsh_test_publish (writer, 5000, 3);
  g_usleep (YOUTH_US);
  g_assert_cmpint (write (told, "", 1), ==, 1);
  ndsh_writer_free (writer);
  _exit (0);
}

/* Whole or not at all. */
static gboolean
is_kept (void)
{
  g_autoptr (NdshReader) reader = ndsh_test_reader (NDSH_READ_LATEST, 0, 0);
  g_autoptr (GError) error = NULL;
  gint64 until_us = g_get_monotonic_time () + 10 * G_USEC_PER_SEC;

  while (g_get_monotonic_time () < until_us) {
    g_autoptr (NdshFrame) frame = NULL;

    g_clear_error (&error);
    frame = ndsh_reader_read (reader, 0, &error);
    if (frame != NULL) {
      ndsh_test_check_bytes (frame);
      g_assert_cmpuint (ndsh_frame_get_sequence (frame), ==, 3);
    }
    /* What it had from a writer that is dying says nothing of the keeper. */
    if (frame != NULL && ndsh_reader_is_connected (reader))
      return TRUE;
    if (g_error_matches (error, NDSH_ERROR, NDSH_ERROR_NOT_FOUND))
      return FALSE;
    g_usleep (1000);
  }
  g_error ("neither a frame nor nobody: %s", error->message);
}

static void
test_a_writer_may_be_killed_while_it_leaves (void)
{
  guint n_kept = 0;

  for (guint i = 0; i < N_KILLS; i++) {
    int ends[2];
    pid_t child;
    char byte;

    g_assert_cmpint (pipe2 (ends, O_CLOEXEC), ==, 0);
    child = fork ();
    if (child == 0)
      write_and_leave (ends[1]);
    g_assert_cmpint (read (ends[0], &byte, 1), ==, 1);
    g_usleep ((gulong) g_test_rand_int_range (0, 1500));
    kill (child, SIGKILL);
    g_assert_cmpint (waitpid (child, NULL, 0), ==, child);
    close (ends[0]);
    close (ends[1]);

    n_kept += is_kept ();
    ndsh_writer_free (ndsh_test_writer (NULL));
    g_assert_false (exists ());
  }
  g_test_message ("%u of %d frames were kept", n_kept, N_KILLS);
}

/* Where the build has it; tests/unit lies beside lib. */
static void
find_keeper (const char *program)
{
  g_autofree char *dir = g_path_get_dirname (program);
  g_autofree char *path = g_build_filename (dir, "..", "..", "lib", "ndsh-keeper", NULL);

  g_setenv ("NDSH_KEEPER", path, FALSE);
}

#define ADD(path, function) g_test_add_func ("/keeper/" path, function)

int
main (int argc, char **argv)
{
  int failures;

  find_keeper (argv[0]);
  g_test_init (&argc, &argv, NULL);
  ADD ("who-comes-late-gets-the-last-frame", test_who_comes_late_gets_the_last_frame);
  ADD ("every-mode-gets-it", test_every_mode_gets_it);
  ADD ("who-had-it-does-not-get-it-twice", test_who_had_it_does_not_get_it_twice);
  ADD ("who-had-an-older-one-gets-it", test_who_had_an_older_one_gets_it);
  ADD ("an-end-is-told-once", test_an_end_is_told_once);
  ADD ("who-asks-never-finds-nobody", test_who_asks_never_finds_nobody);
  ADD ("a-monitor-does-not-see-it-go", test_a_monitor_does_not_see_it_go);
  ADD ("no-more-readers-than-before", test_no_more_readers_than_before);
  ADD ("the-next-writer-has-the-name-at-once", test_the_next_writer_has_the_name_at_once);
  ADD ("a-stopped-keeper-holds-nobody-up", test_a_stopped_keeper_holds_nobody_up);
  ADD ("a-writer-that-is-alive-yields-to-nobody",
       test_a_writer_that_is_alive_yields_to_nobody);
  ADD ("another-user-cannot-have-the-name", test_another_user_cannot_have_the_name);
  ADD ("it-ends-when-the-time-is-up", test_it_ends_when_the_time_is_up);
  ADD ("it-ends-on-sigterm", test_it_ends_on_sigterm);
  ADD ("a-killed-one-is-a-dead-writer", test_a_killed_one_is_a_dead_writer);
  ADD ("without-a-frame-there-is-none", test_without_a_frame_there_is_none);
  ADD ("the-program-keeps-no-fd-and-no-child", test_the_program_keeps_no_fd_and_no_child);
  ADD ("it-has-nothing-that-the-program-had-open",
       test_it_has_nothing_that_the_program_had_open);
  ADD ("without-the-program-the-frame-goes-with-its-writer",
       test_without_the_program_the_frame_goes_with_its_writer);
  ADD ("a-forked-child-starts-none", test_a_forked_child_starts_none);
  ADD ("a-time-that-cannot-be-is-invalid", test_a_time_that_cannot_be_is_invalid);
  ADD ("a-writer-may-be-killed-while-it-leaves",
       test_a_writer_may_be_killed_while_it_leaves);
  ndsh_test_dir_setup ();
  failures = g_test_run ();
  ndsh_test_dir_teardown ();
  return failures;
}
