/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ndsh-test.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TIMEOUT_US (10 * G_USEC_PER_SEC)

static char *directory;

/* --- The log -------------------------------------------------------------- */

/* Not g_test_expect_message (), which is for one thread, and not GMutex, which
 * ThreadSanitizer does not know. */
static struct {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  const char *pattern;          /* NULL: nobody listens */
  guint n_lines;
} the_log = { .mutex = PTHREAD_MUTEX_INITIALIZER,
              .changed = PTHREAD_COND_INITIALIZER };

static void
on_log (const char *domain, GLogLevelFlags level, const char *line,
        gpointer data)
{
  pthread_mutex_lock (&the_log.mutex);
  if (the_log.pattern == NULL)
    g_log_default_handler (domain, level, line, data);
  else if (!g_pattern_match_simple (the_log.pattern, line))
    g_error ("in the log stands \"%s\", which is not \"%s\"", line,
             the_log.pattern);
  the_log.n_lines++;
  pthread_cond_broadcast (&the_log.changed);
  pthread_mutex_unlock (&the_log.mutex);
}

void
ndsh_test_log_start (const char *pattern)
{
  pthread_mutex_lock (&the_log.mutex);
  the_log.pattern = pattern;
  the_log.n_lines = 0;
  pthread_mutex_unlock (&the_log.mutex);
}

void
ndsh_test_log_wait (guint n_lines)
{
  struct timespec until;

  clock_gettime (CLOCK_REALTIME, &until);
  until.tv_sec += TIMEOUT_US / G_USEC_PER_SEC;
  pthread_mutex_lock (&the_log.mutex);
  while (the_log.n_lines < n_lines)
    if (pthread_cond_timedwait (&the_log.changed, &the_log.mutex, &until) != 0)
      g_error ("%u of %u lines in the log, none is \"%s\"", the_log.n_lines,
               n_lines, the_log.pattern);
  pthread_mutex_unlock (&the_log.mutex);
}

guint
ndsh_test_log_stop (void)
{
  guint n;

  pthread_mutex_lock (&the_log.mutex);
  n = the_log.n_lines;
  the_log.pattern = NULL;
  pthread_mutex_unlock (&the_log.mutex);
  return n;
}

/* --- A directory of the test's own ---------------------------------------- */

void
ndsh_test_dir_setup (void)
{
  g_autoptr (GError) error = NULL;

  /* Before any thread: what GLib keeps of handlers is not for ThreadSanitizer. */
  g_log_set_handler ("ndsh", G_LOG_LEVEL_WARNING | G_LOG_LEVEL_MESSAGE, on_log,
                     NULL);

  directory = g_dir_make_tmp ("ndsh-test-XXXXXX", &error);
  g_assert_no_error (error);
  g_setenv ("NDSH_DIR", directory, TRUE);       /* no thread is running yet */
}

void
ndsh_test_dir_teardown (void)
{
  g_autoptr (GDir) entries = g_dir_open (directory, 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (entries)) != NULL) {
    g_autofree char *path = g_build_filename (directory, name, NULL);

    g_assert_true (g_str_has_suffix (name, ".lock"));
    g_unlink (path);
  }
  g_rmdir (directory);
  g_clear_pointer (&directory, g_free);
}

static gboolean
write_file (const char *path, const char *text)
{
  int fd = open (path, O_WRONLY);
  gboolean good = fd >= 0 && write (fd, text, strlen (text)) > 0;

  close (fd);
  return good;
}

/* An empty /run and /tmp of our own. */
static gboolean
enter_empty_world (void)
{
  g_autofree char *map
    = g_strdup_printf ("%u %u 1", (unsigned) geteuid (), (unsigned) geteuid ());

  if (geteuid () == 0 ? unshare (CLONE_NEWNS) < 0
                      : unshare (CLONE_NEWNS | CLONE_NEWUSER) < 0
                          || !write_file ("/proc/self/uid_map", map))
    return FALSE;
  g_unsetenv ("NDSH_DIR");
  g_unsetenv ("XDG_RUNTIME_DIR");
  return mount ("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0
         && mount ("tmpfs", "/run", "tmpfs", 0, "mode=755") == 0
         && mount ("tmpfs", "/tmp", "tmpfs", 0, "mode=1777") == 0;
}

void
ndsh_test_in_empty_world (gboolean (*function) (void), guint uid)
{
  pid_t child = fork ();
  int status;

  if (child == 0) {
    if (!enter_empty_world ())
      _exit (77);
    if (geteuid () == 0 && uid != 0 && seteuid (uid) < 0)
      _exit (77);
    _exit (function () ? 0 : 1);
  }
  g_assert_cmpint (waitpid (child, &status, 0), ==, child);
  if (WIFEXITED (status) && WEXITSTATUS (status) == 77)
    g_test_skip ("no namespace of its own to be had");
  else
    g_assert_cmpint (status, ==, 0);
}

NdshArrayInfo
ndsh_test_bytes (gsize size)
{
  NdshArrayInfo info;

  g_assert_true (ndsh_array_info_init (&info, NDSH_DTYPE_UINT8, 1, &size));
  return info;
}

void
ndsh_test_publish (NdshWriter *writer, gsize size, guint n)
{
  NdshArrayInfo info = ndsh_test_bytes (size);

  for (guint i = 0; i < n; i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (NdshDraft) draft = ndsh_writer_begin (writer, &info, 1, &error);
    NdshWriterInfo before;

    g_assert_no_error (error);
    ndsh_writer_get_info (writer, &before);
    memset (ndsh_draft_get_data (draft), (int) (before.published + 1) & 0xff,
            size);
    g_assert_cmpuint (ndsh_draft_publish (draft, NULL), ==,
                      before.published + 1);
  }
}

void
ndsh_test_check_bytes (NdshFrame *frame)
{
  const guint8 *data = ndsh_frame_get_data (frame);
  guint8 number = (guint8) ndsh_frame_get_sequence (frame);

  for (gsize i = 0; i < ndsh_frame_get_size (frame); i++)
    if (data[i] != number)
      g_error ("byte %" G_GSIZE_FORMAT " of frame %" G_GUINT64_FORMAT " is %u",
               i, ndsh_frame_get_sequence (frame), data[i]);
}

NdshFrame *
ndsh_test_next (NdshReader *reader)
{
  g_autoptr (GError) error = NULL;
  NdshFrame *frame = ndsh_reader_read (reader, TIMEOUT_US, &error);

  g_assert_no_error (error);
  ndsh_test_check_bytes (frame);
  return frame;
}

void
ndsh_test_wait_fails (NdshReader *reader, gint64 timeout_us, NdshError code)
{
  g_autoptr (GError) error = NULL;

  if (timeout_us == 0)
    g_assert_null (ndsh_reader_read (reader, timeout_us, &error));
  else
    g_assert_false (ndsh_reader_wait (reader, timeout_us, &error));
  g_assert_error (error, NDSH_ERROR, (int) code);
  g_assert_cmpuint (strlen (error->message), >, 10);
}

NdshWriter *
ndsh_test_writer (const NdshWriterOptions *options)
{
  g_autoptr (GError) error = NULL;
  NdshWriter *writer = ndsh_writer_new ("test", options, &error);

  g_assert_no_error (error);
  return writer;
}

NdshReader *
ndsh_test_reader (NdshReadMode mode, guint queue, guint leases)
{
  NdshReaderOptions options
    = { .mode = mode, .queue_length = queue, .max_leases = leases };
  g_autoptr (GError) error = NULL;
  NdshReader *reader = ndsh_reader_new ("test", &options, &error);

  g_assert_no_error (error);
  return reader;
}

NdshReader *
ndsh_test_joined_reader (NdshReadMode mode, guint queue, guint leases)
{
  NdshReader *reader = ndsh_test_reader (mode, queue, leases);

  while (!ndsh_reader_is_connected (reader))
    ndsh_reader_wait (reader, 1000, NULL);
  return reader;
}

/* --- The system ----------------------------------------------------------- */

void
ndsh_test_socketpair (int ends[2])
{
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends),
                   ==, 0);
}

gboolean
ndsh_test_send (int socket, gconstpointer data, gsize size, const int *fds,
                guint n_fds)
{
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE (NDSH_TEST_MAX_FDS * sizeof (int))];
  } control = { .space = { 0 } };
  struct iovec iov = { (gpointer) data, size };
  struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

  if (n_fds > 0) {
    msg.msg_control = &control;
    msg.msg_controllen = CMSG_SPACE (n_fds * sizeof (int));
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN (n_fds * sizeof (int));
    memcpy (CMSG_DATA (&control.header), fds, n_fds * sizeof (int));
  }
  return sendmsg (socket, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) == (gssize) size;
}

gboolean
ndsh_test_is_readable (int fd)
{
  struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

  return poll (&poll_fd, 1, 0) == 1;
}

void
ndsh_test_wait_readable (int fd)
{
  struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

  g_assert_cmpint (poll (&poll_fd, 1, TIMEOUT_US / 1000), ==, 1);
}

static struct rlimit fd_limit;

/* The kernel gives the lowest number that is free. */
static int
find_free_fd (guint n_before)
{
  int found = fcntl (STDERR_FILENO, F_DUPFD_CLOEXEC, 0);

  g_assert_cmpint (found, >=, 0);
  if (n_before > 0) {
    int next = find_free_fd (n_before - 1);

    close (found);
    return next;
  }
  close (found);
  return found;
}

void
ndsh_test_limit_fds (guint n_fds)
{
  struct rlimit low;

  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, &fd_limit), ==, 0);
  low = fd_limit;
  low.rlim_cur = (rlim_t) find_free_fd (n_fds);
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &low), ==, 0);
}

void
ndsh_test_unlimit_fds (void)
{
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &fd_limit), ==, 0);
}

char *
ndsh_test_path (const char *name)
{
  return g_build_filename (directory, name, NULL);
}

void
ndsh_test_child_succeeds (int child)
{
  int status;

  g_assert_cmpint (child, >, 0);
  g_assert_cmpint (waitpid (child, &status, 0), ==, child);
  g_assert_cmpint (status, ==, 0);
}

guint
ndsh_test_count_fds (void)
{
  g_autoptr (GDir) entries = g_dir_open ("/proc/self/fd", 0, NULL);
  guint n = 0;

  while (g_dir_read_name (entries) != NULL)
    n++;
  return n - 1;                 /* that of the directory */
}

guint
ndsh_test_count_maps (void)
{
  g_autofree char *text = NULL;
  guint n = 0;

  g_assert_true (g_file_get_contents ("/proc/self/maps", &text, NULL, NULL));
  for (const char *at = text; (at = strstr (at, "/memfd:ndsh")) != NULL; at++)
    n++;
  return n;
}
