/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sockets and files are put in the way by hand. No thread runs here, so a child may
 * do as it likes. */
#include "rendezvous.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lifeline.h"
#include "ndsh-test.h"

#define NOBODY 65534

/* --- What is put in the way ----------------------------------------------- */

static int
bind_socket (const char *path, int type, gboolean listens)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, type | SOCK_CLOEXEC, 0);

  g_assert_cmpuint (g_strlcpy (address.sun_path, path, sizeof address.sun_path),
                    <, sizeof address.sun_path);
  g_assert_cmpint (bind (fd, (struct sockaddr *) &address, sizeof address), ==,
                   0);
  if (listens)
    g_assert_cmpint (listen (fd, 5), ==, 0);
  return fd;
}

static ino_t
get_inode (const char *path)
{
  struct stat st;

  return lstat (path, &st) == 0 ? st.st_ino : 0;
}

static NdshName *
take (const char *name, guint perms, int *fd)
{
  g_autoptr (GError) error = NULL;
  NdshName *taken = ndsh_name_take (name, perms, fd, &error);

  g_assert_no_error (error);
  g_assert_cmpint (*fd, >=, 0);
  return taken;
}

static void
give_back (NdshName *name, int fd)
{
  ndsh_lifeline_close (fd);
  ndsh_name_give_back (name);
}

/* Returns whether the words are in the sentence, for children. */
static gboolean
take_fails (const char *name, NdshError code, const char *words)
{
  guint fds = ndsh_test_count_fds ();
  g_autoptr (GError) error = NULL;
  int fd = -1;

  if (ndsh_name_take (name, 0600, &fd, &error) == NULL && fd == -1
      && g_error_matches (error, NDSH_ERROR, (int) code)
      && strstr (error->message, words) != NULL
      && ndsh_test_count_fds () == fds)
    return TRUE;
  g_printerr ("taking '%s': %s\n", name,
              error != NULL ? error->message : "no error");
  return FALSE;
}

static gboolean
connect_fails (const char *name, NdshError code, const char *words)
{
  g_autoptr (GError) error = NULL;

  if (ndsh_name_connect (name, &error) == -1
      && g_error_matches (error, NDSH_ERROR, (int) code)
      && strstr (error->message, words) != NULL)
    return TRUE;
  g_printerr ("connecting to '%s': %s\n", name,
              error != NULL ? error->message : "no error");
  return FALSE;
}

static gboolean
connects (const char *name)
{
  int fd = ndsh_name_connect (name, NULL);

  ndsh_lifeline_close (fd);
  return fd >= 0;
}

/* --- Names ---------------------------------------------------------------- */

static void
test_good_names_pass (void)
{
  g_autofree char *longest = g_strnfill (64, 'x');
  g_autofree char *path = g_strdup_printf ("/a b/caf\303\251/%s", longest);
  const char *good[] = { "a", "Z9._-", "a.b",   "-",          "9",   "_",    "a..",
                         "/x", "/x/y", "/a//b", "/x/a b", longest, path };

  for (guint i = 0; i < G_N_ELEMENTS (good); i++) {
    g_autoptr (GError) error = NULL;

    ndsh_name_check (good[i], &error);
    g_assert_no_error (error);
    g_assert_true (ndsh_name_check (good[i], NULL));
  }
}

static void
test_bad_names_are_refused_before_anything_is_made (void)
{
  g_autofree char *endless = g_strnfill (300, 'x');
  g_autofree char *just = g_strnfill (65, 'x');
  g_autofree char *path = g_strdup_printf ("/x/%s", just);
  const char *bad[] = { "",    ".",    "..",    ".hidden", "a b", "caf\303\251",
                        "a:b", "a\nb", "a@b",   "x/y",     "./x", "../x",
                        "/",   "/x/",  "/x/.",  "/x/..",   path,  just,
                        endless, "/x/.hidden" };

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_true (take_fails (bad[i], NDSH_ERROR_INVALID, "cannot be"));
    g_assert_null (ndsh_writer_new (bad[i], NULL, &error));
    g_assert_error (error, NDSH_ERROR, NDSH_ERROR_INVALID);
    g_clear_error (&error);
    g_assert_null (ndsh_reader_new (bad[i], NULL, &error));
    g_assert_error (error, NDSH_ERROR, NDSH_ERROR_INVALID);
  }
  g_assert_true (take_fails ("/no/such", NDSH_ERROR_NOT_FOUND, "no directory"));
}

static void
test_a_path_is_a_name (void)
{
  g_autofree char *path = ndsh_test_path ("by-path");
  g_autoptr (NdshWriter) writer = ndsh_writer_new (path, NULL, NULL);
  g_autoptr (NdshReader) reader = ndsh_reader_new ("by-path", NULL, NULL);

  ndsh_test_publish (writer, 10, 1);
  ndsh_frame_release (ndsh_test_next (reader));
}

/* --- Taking --------------------------------------------------------------- */

static void
test_a_name_is_found_until_it_is_given_back (void)
{
  g_autofree char *path = ndsh_test_path ("test");
  g_autofree char *lock = ndsh_test_path (".test.lock");
  guint fds = ndsh_test_count_fds ();
  NdshName *name;
  int fd;

  g_assert_true (connect_fails ("test", NDSH_ERROR_NOT_FOUND, "nobody writes"));
  name = take ("test", 0600, &fd);
  g_assert_true (connects ("test"));
  give_back (name, fd);

  g_assert_true (connect_fails ("test", NDSH_ERROR_NOT_FOUND, "nobody writes"));
  g_assert_cmpuint (get_inode (path), ==, 0);
  g_assert_cmpuint (get_inode (lock), ==, 0);
  g_assert_cmpuint (ndsh_test_count_fds (), ==, fds);
}

static void
test_a_second_writer_is_refused_with_the_pid (void)
{
  g_autoptr (NdshWriter) writer G_GNUC_UNUSED = ndsh_test_writer (NULL);
  g_autofree char *pid = g_strdup_printf ("process %d", (int) getpid ());
  g_autoptr (GError) error = NULL;

  g_assert_null (ndsh_writer_new ("test", NULL, &error));

  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_EXISTS);
  g_assert_nonnull (strstr (error->message, pid));
}

static void
test_what_a_dead_writer_left_is_taken_over (void)
{
  g_autofree char *path = ndsh_test_path ("test");
  g_autofree char *half_made = ndsh_test_path (".test.new");
  NdshName *name;
  ino_t dead;
  int fd;

  close (bind_socket (path, SOCK_SEQPACKET, TRUE));
  close (bind_socket (half_made, SOCK_SEQPACKET, FALSE));
  dead = get_inode (path);
  g_assert_true (connect_fails ("test", NDSH_ERROR_NOT_FOUND, "nobody"));
  name = take ("test", 0600, &fd);

  g_assert_true (connects ("test"));
  g_assert_cmpuint (get_inode (path), !=, dead);
  g_assert_cmpuint (get_inode (half_made), ==, 0);
  give_back (name, fd);
}

static void
test_a_writer_that_was_killed_leaves_its_name (void)
{
  int ready[2], fd;
  NdshName *name;
  pid_t child;
  char byte;

  g_assert_cmpint (pipe (ready), ==, 0);
  child = fork ();
  if (child == 0) {
    take ("test", 0600, &fd);
    _exit (write (ready[1], "r", 1) == 1 ? 0 : 1);
  }
  g_assert_cmpint (read (ready[0], &byte, 1), ==, 1);
  ndsh_test_child_succeeds (child);
  name = take ("test", 0600, &fd);

  g_assert_true (connects ("test"));
  give_back (name, fd);
  close (ready[0]);
  close (ready[1]);
}

static void
test_a_writer_whose_backlog_is_full_has_the_name (void)
{
  g_autofree char *path = ndsh_test_path ("test");
  int fd = bind_socket (path, SOCK_SEQPACKET, TRUE);
  GArray *callers = g_array_new (FALSE, FALSE, sizeof (int));
  int caller;

  while ((caller = ndsh_name_connect ("test", NULL)) >= 0)
    g_array_append_val (callers, caller);

  g_assert_true (take_fails ("test", NDSH_ERROR_EXISTS, "does not answer"));
  g_assert_true (connect_fails ("test", NDSH_ERROR_NOT_FOUND, "nobody"));
  for (guint i = 0; i < callers->len; i++)
    ndsh_lifeline_close (g_array_index (callers, int, i));
  g_array_unref (callers);
  close (fd);
  unlink (path);
}

/* --- What ndsh did not make ----------------------------------------------- */

static void
test_a_foreign_file_stays (void)
{
  g_autofree char *path = ndsh_test_path ("test");
  g_autofree char *half_made = ndsh_test_path (".test.new");
  g_autoptr (NdshReader) reader = ndsh_test_reader (NDSH_READ_LATEST, 0, 0);

  g_assert_true (g_file_set_contents (path, "mine", -1, NULL));

  g_assert_true (take_fails ("test", NDSH_ERROR_EXISTS, "did not make"));
  ndsh_test_wait_fails (reader, 0, NDSH_ERROR_EXISTS);
  g_assert_true (g_file_test (path, G_FILE_TEST_IS_REGULAR));
  unlink (path);

  g_assert_true (g_file_set_contents (half_made, "mine", -1, NULL));
  g_assert_true (take_fails ("test", NDSH_ERROR_SYSTEM, ".test.new"));
  g_assert_true (g_file_test (half_made, G_FILE_TEST_IS_REGULAR));
  unlink (half_made);
}

static void
test_a_directory_or_a_link_stays (void)
{
  g_autofree char *path = ndsh_test_path ("test");
  g_autofree char *target = ndsh_test_path ("target");
  int fd = bind_socket (target, SOCK_SEQPACKET, FALSE);

  close (fd);
  g_assert_cmpint (mkdir (path, 0700), ==, 0);
  g_assert_true (take_fails ("test", NDSH_ERROR_EXISTS, "did not make"));
  rmdir (path);
  g_assert_cmpint (symlink (target, path), ==, 0);
  g_assert_true (take_fails ("test", NDSH_ERROR_EXISTS, "did not make"));

  g_assert_cmpuint (get_inode (target), !=, 0);
  unlink (path);
  unlink (target);
}

static void
test_a_socket_of_another_kind_stays (void)
{
  g_autofree char *path = ndsh_test_path ("test");
  int types[] = { SOCK_STREAM, SOCK_DGRAM };

  for (guint i = 0; i < G_N_ELEMENTS (types); i++) {
    int fd = bind_socket (path, types[i], types[i] == SOCK_STREAM);

    g_assert_true (take_fails ("test", NDSH_ERROR_EXISTS, "another kind"));
    g_assert_true (connect_fails ("test", NDSH_ERROR_EXISTS, "another kind"));
    close (fd);
    g_assert_cmpint (unlink (path), ==, 0);
  }
}

/* Else the lock could be made to create a file anywhere. */
static void
test_a_lock_that_is_a_link_is_not_followed (void)
{
  g_autofree char *lock = ndsh_test_path (".linked.lock");
  g_autofree char *target = ndsh_test_path ("target");

  g_assert_cmpint (symlink (target, lock), ==, 0);
  g_assert_true (take_fails ("linked", NDSH_ERROR_SYSTEM, ".linked.lock"));

  g_assert_cmpuint (get_inode (target), ==, 0);
  unlink (lock);
}

/* --- The lock ------------------------------------------------------------- */

static gboolean
has_open (pid_t pid, const char *path)
{
  g_autofree char *fds = g_strdup_printf ("/proc/%d/fd", (int) pid);
  g_autoptr (GDir) entries = g_dir_open (fds, 0, NULL);
  gboolean found = FALSE;
  const char *fd;

  while (!found && entries != NULL && (fd = g_dir_read_name (entries)) != NULL) {
    g_autofree char *entry = g_build_filename (fds, fd, NULL);
    g_autofree char *target = g_file_read_link (entry, NULL);

    found = g_strcmp0 (target, path) == 0;
  }
  return found;
}

/* Once the other end of @go is closed. */
static pid_t
take_in_a_child (const int go[2])
{
  pid_t pid = fork ();
  char byte;
  int fd;

  if (pid != 0)
    return pid;
  close (go[1]);
  (void) !read (go[0], &byte, 1);
  give_back (take ("test", 0600, &fd), fd);
  _exit (0);
}

/* Two would have locked something, and each another file. */
static void
test_a_lock_that_was_removed_is_none (void)
{
  g_autofree char *path = ndsh_test_path ("test");
  g_autofree char *lock_path = ndsh_test_path (".test.lock");
  int old, lock, status, go[2];
  pid_t child;

  g_assert_cmpint (pipe (go), ==, 0);
  child = take_in_a_child (go);
  old = open (lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  g_assert_cmpint (flock (old, LOCK_EX), ==, 0);
  close (go[1]);
  while (!has_open (child, lock_path))
    sched_yield ();
  unlink (lock_path);
  lock = open (lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  g_assert_cmpint (flock (lock, LOCK_EX), ==, 0);
  close (old);
  while (!has_open (child, lock_path))
    sched_yield ();
  g_assert_cmpuint (get_inode (path), ==, 0);
  close (lock);
  close (go[0]);
  g_assert_cmpint (waitpid (child, &status, 0), ==, child);
  g_assert_cmpint (status, ==, 0);
  g_assert_cmpuint (get_inode (lock_path), ==, 0);
}

static void
test_a_lock_that_is_held_is_waited_for_two_seconds (void)
{
  g_autofree char *path = ndsh_test_path (".test.lock");
  int lock = open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  gint64 since_us = g_get_monotonic_time ();
  NdshName *name;
  int fd;

  g_assert_cmpint (flock (lock, LOCK_EX), ==, 0);
  g_assert_true (take_fails ("test", NDSH_ERROR_SYSTEM, "for two seconds"));
  g_assert_cmpint (g_get_monotonic_time () - since_us, >=, 1900000);
  close (lock);

  name = take ("test", 0600, &fd);
  give_back (name, fd);
}

static void
test_of_many_at_once_one_gets_the_name (void)
{
  for (guint round = 0; round < 20; round++) {
    int start[2], won[2], end[2];
    pid_t children[4];
    char byte;

    g_assert_cmpint (pipe (start), ==, 0);
    g_assert_cmpint (pipe (won), ==, 0);
    g_assert_cmpint (pipe (end), ==, 0);
    for (guint i = 0; i < G_N_ELEMENTS (children); i++) {
      children[i] = fork ();
      if (children[i] == 0) {
        g_autoptr (GError) error = NULL;
        gboolean taken;
        int fd, bad;

        close (start[1]);
        close (end[1]);
        bad = read (start[0], &byte, 1) != 0;
        taken = ndsh_name_take ("test", 0600, &fd, &error) != NULL;
        bad |= !taken
               && !g_error_matches (error, NDSH_ERROR, NDSH_ERROR_EXISTS);
        bad |= write (won[1], taken ? "y" : "n", 1) != 1;
        bad |= read (end[0], &byte, 1) != 0;
        _exit (bad);
      }
    }
    close (start[1]);
    for (guint i = 0, n = 0; i < G_N_ELEMENTS (children); i++) {
      g_assert_cmpint (read (won[0], &byte, 1), ==, 1);
      n += byte == 'y';
      g_assert_true (i + 1 < G_N_ELEMENTS (children) || n == 1);
    }
    close (end[1]);
    for (guint i = 0; i < G_N_ELEMENTS (children); i++)
      ndsh_test_child_succeeds (children[i]);
    close (start[0]);
    close (won[0]);
    close (won[1]);
    close (end[0]);
  }
  {
    g_autofree char *path = ndsh_test_path ("test");

    unlink (path);
  }
}

static void
test_a_name_taken_over_is_not_given_back (void)
{
  NdshName *old, *next;
  int fd;

  old = take ("test", 0600, &fd);
  ndsh_lifeline_close (fd);
  next = take ("test", 0600, &fd);
  ndsh_name_give_back (old);

  g_assert_true (connects ("test"));
  give_back (next, fd);
}

/* --- Permissions ---------------------------------------------------------- */

static void
test_perms_are_those_of_the_socket (void)
{
  guint all[] = { 0600, 0660, 0666, 0622 };
  g_autofree char *path = ndsh_test_path ("test");

  for (guint i = 0; i < G_N_ELEMENTS (all); i++) {
    mode_t mask = umask (i % 2 == 0 ? 0777 : 0);
    struct stat st;
    int fd;
    NdshName *name = take ("test", all[i], &fd);

    umask (mask);
    g_assert_cmpint (lstat (path, &st), ==, 0);
    g_assert_cmpuint (st.st_mode & 0777, ==, all[i]);
    give_back (name, fd);
  }
}

static void
test_perms_of_a_writer_are_passed_on (void)
{
  NdshWriterOptions options = { .perms = 0660 };
  g_autoptr (NdshWriter) writer G_GNUC_UNUSED = ndsh_test_writer (&options);
  g_autofree char *path = ndsh_test_path ("test");
  struct stat st;

  g_assert_cmpint (lstat (path, &st), ==, 0);

  g_assert_cmpuint (st.st_mode & 0777, ==, 0660);
}

static gboolean
become_nobody (void)
{
  return geteuid () == 0 && setegid (NOBODY) == 0 && seteuid (NOBODY) == 0;
}

static void
test_who_is_not_admitted_is_told_so (void)
{
  NdshName *name;
  pid_t child;
  int fd;

  if (geteuid () != 0) {
    g_test_skip ("needs root to be somebody else");
    return;
  }
  g_assert_cmpint (chmod (g_getenv ("NDSH_DIR"), 0755), ==, 0);
  name = take ("test", 0600, &fd);
  child = fork ();
  if (child == 0)
    _exit (become_nobody ()
               && connect_fails ("test", NDSH_ERROR_DENIED,
                                 "does not admit user 65534")
             ? 0
             : 1);

  ndsh_test_child_succeeds (child);
  give_back (name, fd);
  g_assert_cmpint (chmod (g_getenv ("NDSH_DIR"), 0700), ==, 0);
}

static void
test_a_directory_that_cannot_be_written_is_named (void)
{
  const char *dir = g_getenv ("NDSH_DIR");
  pid_t child;

  g_assert_cmpint (chmod (dir, geteuid () == 0 ? 0755 : 0500), ==, 0);
  child = fork ();
  if (child == 0) {
    if (geteuid () == 0 && !become_nobody ())
      _exit (2);
    _exit (take_fails ("unwritable", NDSH_ERROR_DENIED, dir) ? 0 : 1);
  }

  ndsh_test_child_succeeds (child);
  g_assert_cmpint (chmod (dir, 0700), ==, 0);
}

/* --- Directories ---------------------------------------------------------- */

/* $NDSH_DIR is another until the end of the block. */
typedef char *OtherDir;

static OtherDir
set_dir (const char *dir)
{
  char *before = g_strdup (g_getenv ("NDSH_DIR"));

  g_setenv ("NDSH_DIR", dir, TRUE);
  return before;
}

static void
other_dir_clear (OtherDir *before)
{
  g_setenv ("NDSH_DIR", *before, TRUE);
  g_free (*before);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (OtherDir, other_dir_clear)

static void
test_a_missing_directory_is_made_for_its_user_alone (void)
{
  g_autofree char *dir = ndsh_test_path ("made");
  g_auto (OtherDir) before G_GNUC_UNUSED = set_dir (dir);
  g_autofree char *lock = g_build_filename (dir, ".test.lock", NULL);
  mode_t mask = umask (0);
  struct stat st;
  int fd;
  NdshName *name;

  g_assert_true (connect_fails ("test", NDSH_ERROR_NOT_FOUND, dir));
  name = take ("test", 0600, &fd);
  umask (mask);

  g_assert_cmpint (lstat (dir, &st), ==, 0);
  g_assert_cmpuint (st.st_mode & 07777, ==, 0700);
  g_assert_true (connects ("test"));
  give_back (name, fd);
  unlink (lock);
  g_assert_cmpint (rmdir (dir), ==, 0);
}

static void
test_a_directory_that_cannot_be_made_is_named (void)
{
  g_autofree char *dir = ndsh_test_path ("no/such");
  g_auto (OtherDir) before G_GNUC_UNUSED = set_dir (dir);

  g_assert_true (take_fails ("test", NDSH_ERROR_SYSTEM, dir));
}

/* Longer than the address of a socket can be. */
static void
test_a_path_can_be_long (void)
{
  g_autofree char *part = g_strnfill (150, 'd');
  g_autofree char *dir = ndsh_test_path (part);
  g_auto (OtherDir) before G_GNUC_UNUSED = set_dir (dir);
  g_autofree char *base = g_strnfill (64, 'x');
  g_autofree char *path = g_build_filename (dir, base, NULL);
  g_autofree char *lock = g_strdup_printf ("%s/.%s.lock", dir, base);
  NdshName *name;
  int fd;

  name = take (base, 0600, &fd);
  {
    g_auto (GStrv) list = ndsh_name_list ();

    g_assert_cmpuint (g_strv_length (list), ==, 1);
    g_assert_cmpstr (list[0], ==, base);
  }
  g_assert_true (connects (base));
  g_assert_true (connects (path));
  g_assert_true (take_fails (base, NDSH_ERROR_EXISTS, "already written"));
  ndsh_lifeline_close (fd);
  g_assert_true (connect_fails (path, NDSH_ERROR_NOT_FOUND, "nobody"));
  ndsh_name_give_back (name);

  name = take (path, 0600, &fd);
  g_assert_true (connects (base));
  give_back (name, fd);
  unlink (lock);
  g_assert_cmpint (rmdir (dir), ==, 0);
}

/* What was named by hand may be anything; what is found by itself may not. */
static void
test_a_chosen_directory_may_be_a_link (void)
{
  g_autofree char *target = g_strdup (g_getenv ("NDSH_DIR"));
  g_autofree char *link = ndsh_test_path ("link");
  g_auto (OtherDir) before G_GNUC_UNUSED = set_dir (link);
  NdshName *name;
  int fd;

  g_assert_cmpint (symlink (target, link), ==, 0);
  name = take ("test", 0600, &fd);

  g_assert_true (connects ("test"));
  give_back (name, fd);
  unlink (link);
}

/* --- Where names are by default ------------------------------------------- */

static gboolean
socket_is_in (const char *dir, mode_t mode)
{
  g_autofree char *path = g_build_filename (dir, "test", NULL);
  struct stat st;

  return get_inode (path) != 0 && stat (dir, &st) == 0
         && (st.st_mode & 07777) == mode;
}

static gboolean
find_roots_place (void)
{
  int fd;
  NdshName *name;

  if (geteuid () != 0)
    return TRUE;
  name = take ("test", 0666, &fd);
  return socket_is_in ("/run/ndsh", 0755) && connects ("test")
         && seteuid (1000) == 0 && connects ("test") && seteuid (0) == 0
         && (give_back (name, fd), TRUE);
}

static gboolean
find_users_place (void)
{
  g_autofree char *fallback
    = g_strdup_printf ("/tmp/ndsh-%u", (unsigned) geteuid ());
  int fd;
  NdshName *name;

  if (geteuid () == 0)
    return TRUE;
  name = take ("test", 0600, &fd);
  if (!socket_is_in (fallback, 0700) || !connects ("test"))
    return FALSE;
  give_back (name, fd);
  if (mkdir ("/tmp/xdg", 0700) < 0)
    return FALSE;
  g_setenv ("XDG_RUNTIME_DIR", "/tmp/xdg", TRUE);
  name = take ("test", 0600, &fd);
  if (!socket_is_in ("/tmp/xdg/ndsh", 0700) || !connects ("test"))
    return FALSE;
  give_back (name, fd);
  g_setenv ("XDG_RUNTIME_DIR", "relative", TRUE);
  name = take ("test", 0600, &fd);
  return socket_is_in (fallback, 0700) && (give_back (name, fd), TRUE);
}

static void
test_root_and_users_have_places_of_their_own (void)
{
  ndsh_test_in_empty_world (find_roots_place, 0);
  ndsh_test_in_empty_world (find_users_place, 1000);
}

/* LeakSanitizer, where it is built in: a child that ends by _exit () is not looked
 * at by itself. */
extern int __lsan_do_recoverable_leak_check (void) __attribute__ ((weak));

static gboolean
leaks_nothing (void)
{
  return __lsan_do_recoverable_leak_check == NULL
         || __lsan_do_recoverable_leak_check () == 0;
}

/* A name in two of them is listed once, and the user's own is the one found. */
static gboolean
list_both_places (void)
{
  g_auto (GStrv) list = NULL;
  gint64 pid, uid;
  int fd;

  if (mkdir ("/tmp/xdg", 0700) < 0 || mkdir ("/tmp/xdg/ndsh", 0700) < 0
      || mkdir ("/tmp/xdg/ndsh/b-directory", 0700) < 0)
    return FALSE;
  if (geteuid () == 0 && mkdir ("/run/ndsh", 0755) < 0)
    return FALSE;
  g_setenv ("XDG_RUNTIME_DIR", "/tmp/xdg", TRUE);
  bind_socket ("/tmp/xdg/ndsh/test", SOCK_SEQPACKET, TRUE);
  if (geteuid () == 0) {
    bind_socket ("/run/ndsh/test", SOCK_SEQPACKET, TRUE);
    bind_socket ("/run/ndsh/also", SOCK_SEQPACKET, TRUE);
    close (bind_socket ("/run/ndsh/dead", SOCK_SEQPACKET, TRUE));
  }
  fd = ndsh_name_connect ("test", NULL);
  ndsh_peer_get (fd, &pid, &uid);
  list = ndsh_name_list ();
  return leaks_nothing () && pid == getpid () && uid == geteuid ()
         && g_strv_length (list) == (geteuid () == 0 ? 2u : 1u)
         && strcmp (list[geteuid () == 0 ? 1 : 0], "test") == 0
         && connect_fails ("none", NDSH_ERROR_NOT_FOUND,
                           "/tmp/xdg/ndsh, /run/user/")
         && connect_fails ("none", NDSH_ERROR_NOT_FOUND,
                           "/ndsh, /run/ndsh, /tmp/ndsh-");
}

static void
test_a_reader_looks_in_all_places (void)
{
  ndsh_test_in_empty_world (list_both_places, 0);
}

static gboolean
meet_squatters (void)
{
  g_autofree char *dir
    = g_strdup_printf ("/tmp/ndsh-%u", (unsigned) geteuid ());

  if (geteuid () == 0)
    return TRUE;
  if (mkdir (dir, 0700) < 0 || chmod (dir, 0777) < 0
      || !take_fails ("test", NDSH_ERROR_DENIED, "not this user's alone")
      || !connect_fails ("test", NDSH_ERROR_DENIED, "not this user's alone"))
    return FALSE;
  if (rmdir (dir) < 0 || mkdir ("/tmp/elsewhere", 0700) < 0
      || symlink ("/tmp/elsewhere", dir) < 0
      || !take_fails ("test", NDSH_ERROR_SYSTEM, dir))
    return FALSE;
  return unlink (dir) == 0 && symlink ("/nowhere", dir) == 0
         && !connects ("test")
         && take_fails ("test", NDSH_ERROR_SYSTEM, dir);
}

/* As root, the directory of another user. */
static gboolean
meet_another_users_directory (void)
{
  if (geteuid () != 0)
    return TRUE;
  if (mkdir ("/tmp/ndsh-1000", 0755) < 0 || seteuid (1000) < 0)
    return FALSE;
  return take_fails ("test", NDSH_ERROR_DENIED, "not this user's alone")
         && connect_fails ("test", NDSH_ERROR_DENIED, "not this user's alone");
}

static void
test_a_directory_that_others_made_is_not_used (void)
{
  ndsh_test_in_empty_world (meet_squatters, 1000);
  ndsh_test_in_empty_world (meet_another_users_directory, 0);
}

/* --- Peers ---------------------------------------------------------------- */

static void
test_peers_have_a_name (void)
{
  g_autofree char *known = ndsh_peer_to_string (812);
  g_autofree char *unknown = ndsh_peer_to_string (0);
  gint64 pid, uid;
  int ends[2];

  ndsh_test_socketpair (ends);
  ndsh_peer_get (ends[0], &pid, &uid);

  g_assert_cmpint (pid, ==, getpid ());
  g_assert_cmpint (uid, ==, getuid ());
  g_assert_cmpstr (known, ==, "process 812");
  g_assert_cmpstr (unknown, ==, "a process of another pid namespace");
  close (ends[0]);
  close (ends[1]);
}

#define ADD(path, function) g_test_add_func ("/rendezvous/" path, function)

/* Each try would be a sleep. */
static long
count_sleeps (void)
{
  struct rusage usage;

  getrusage (RUSAGE_THREAD, &usage);
  return usage.ru_nvcsw;
}

static void
test_who_stops_does_not_wait_for_the_lock (void)
{
  g_autofree char *path = g_build_filename (g_getenv ("NDSH_DIR"), ".test.lock", NULL);
  int fd = -1;
  NdshName *name = take ("test", 0600, &fd);
  int lock = open (path, O_RDWR | O_CLOEXEC);
  long before;

  g_assert_cmpint (flock (lock, LOCK_EX | LOCK_NB), ==, 0);
  before = count_sleeps ();
  give_back (name, fd);
  g_assert_cmpint (count_sleeps () - before, <, 100);
  close (lock);

  /* What it left is dead, and is taken over. */
  give_back (take ("test", 0600, &fd), fd);
}

int
main (int argc, char **argv)
{
  int result;

  g_test_init (&argc, &argv, NULL);
  ndsh_test_dir_setup ();

  ADD ("good-names-pass", test_good_names_pass);
  ADD ("bad-names-are-refused-before-anything-is-made",
       test_bad_names_are_refused_before_anything_is_made);
  ADD ("a-path-is-a-name", test_a_path_is_a_name);
  ADD ("a-name-is-found-until-it-is-given-back",
       test_a_name_is_found_until_it_is_given_back);
  ADD ("a-second-writer-is-refused-with-the-pid",
       test_a_second_writer_is_refused_with_the_pid);
  ADD ("what-a-dead-writer-left-is-taken-over",
       test_what_a_dead_writer_left_is_taken_over);
  ADD ("a-writer-that-was-killed-leaves-its-name",
       test_a_writer_that_was_killed_leaves_its_name);
  ADD ("a-writer-whose-backlog-is-full-has-the-name",
       test_a_writer_whose_backlog_is_full_has_the_name);
  ADD ("a-foreign-file-stays", test_a_foreign_file_stays);
  ADD ("a-directory-or-a-link-stays", test_a_directory_or_a_link_stays);
  ADD ("a-socket-of-another-kind-stays", test_a_socket_of_another_kind_stays);
  ADD ("a-lock-that-is-a-link-is-not-followed",
       test_a_lock_that_is_a_link_is_not_followed);
  ADD ("a-lock-that-was-removed-is-none", test_a_lock_that_was_removed_is_none);
  ADD ("a-lock-that-is-held-is-waited-for-two-seconds",
       test_a_lock_that_is_held_is_waited_for_two_seconds);
  ADD ("of-many-at-once-one-gets-the-name",
       test_of_many_at_once_one_gets_the_name);
  ADD ("a-name-taken-over-is-not-given-back",
       test_a_name_taken_over_is_not_given_back);
  ADD ("perms-are-those-of-the-socket", test_perms_are_those_of_the_socket);
  ADD ("perms-of-a-writer-are-passed-on", test_perms_of_a_writer_are_passed_on);
  ADD ("who-is-not-admitted-is-told-so", test_who_is_not_admitted_is_told_so);
  ADD ("a-directory-that-cannot-be-written-is-named",
       test_a_directory_that_cannot_be_written_is_named);
  ADD ("a-missing-directory-is-made-for-its-user-alone",
       test_a_missing_directory_is_made_for_its_user_alone);
  ADD ("a-directory-that-cannot-be-made-is-named",
       test_a_directory_that_cannot_be_made_is_named);
  ADD ("a-path-can-be-long", test_a_path_can_be_long);
  ADD ("a-chosen-directory-may-be-a-link",
       test_a_chosen_directory_may_be_a_link);
  ADD ("root-and-users-have-places-of-their-own",
       test_root_and_users_have_places_of_their_own);
  ADD ("a-reader-looks-in-all-places", test_a_reader_looks_in_all_places);
  ADD ("a-directory-that-others-made-is-not-used",
       test_a_directory_that_others_made_is_not_used);
  ADD ("who-stops-does-not-wait-for-the-lock",
       test_who_stops_does_not_wait_for_the_lock);
  ADD ("peers-have-a-name", test_peers_have_a_name);
  result = g_test_run ();
  ndsh_test_dir_teardown ();
  return result;
}
