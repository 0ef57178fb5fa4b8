/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A name is a socket in a directory. Whether its writer lives is asked of the
 * kernel, by connecting: pids get reused and mean nothing in a container, files
 * survive their makers. A writer binds another name, then renames that over the
 * dead one, so that nobody ever finds a half-made or missing name; a lock keeps a
 * second one from doing the same meanwhile.
 */
#include "rendezvous.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "error.h"
#include "lifeline.h"
#include "message.h"

#define MAX_NAME 64
#define BACKLOG 64
#define KEPT S_ISVTX            /* of a socket: who listens gives it up to a writer */

#if !defined SO_PASSRIGHTS && !defined __sparc__ && !defined __hppa__
#define SO_PASSRIGHTS 83        /* Linux 6.16 */
#endif
#define LOCK_TIMEOUT_US (2 * G_USEC_PER_SEC)

/* --- Directories ---------------------------------------------------------- */

/* Where a socket is. Refers to it through the directory's fd where the path is
 * longer than a socket address can be. */
typedef struct {
  char *dir;
  char *base;
  int dir_fd;
} Place;

static void
place_clear (Place *place)
{
  if (place->dir_fd >= 0)
    close (place->dir_fd);
  g_free (place->dir);
  g_free (place->base);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Place, place_clear)

#define PLACE_INIT { NULL, NULL, -1 }

static char *
runtime_dir (void)
{
  const char *dir = g_getenv ("XDG_RUNTIME_DIR");

  return dir != NULL && dir[0] == '/' ? g_build_filename (dir, "ndsh", NULL)
                                      : NULL;
}

/* The same, as logind makes it: who has not got the variable, as from cron or sudo, or
 * has somebody else's, as from su, is the same user. */
static char *
own_runtime_dir (void)
{
  return g_strdup_printf ("/run/user/%u/ndsh", (unsigned) geteuid ());
}

static char *
fallback_dir (void)
{
  return g_strdup_printf ("/tmp/ndsh-%u", (unsigned) geteuid ());
}

static const char *
chosen_dir (void)
{
  const char *dir = g_getenv ("NDSH_DIR");

  return dir != NULL && dir[0] != '\0' ? dir : NULL;
}

static char *
dir_to_write_in (void)
{
  char *dir;

  if (chosen_dir () != NULL)
    return g_strdup (chosen_dir ());
  if (geteuid () == 0)
    return g_strdup ("/run/ndsh");
  dir = runtime_dir ();
  return dir != NULL ? dir : fallback_dir ();
}

static char **
dirs_to_look_in (void)
{
  GPtrArray *dirs = g_ptr_array_new ();

  if (chosen_dir () != NULL) {
    g_ptr_array_add (dirs, g_strdup (chosen_dir ()));
  } else {
    g_autofree char *own = own_runtime_dir ();
    char *dir = runtime_dir ();

    if (dir != NULL)
      g_ptr_array_add (dirs, dir);
    if (dir == NULL || strcmp (dir, own) != 0)
      g_ptr_array_add (dirs, g_steal_pointer (&own));
    g_ptr_array_add (dirs, g_strdup ("/run/ndsh"));
    g_ptr_array_add (dirs, fallback_dir ());
  }
  g_ptr_array_add (dirs, NULL);
  return (char **) g_ptr_array_free (dirs, FALSE);
}

/* Anybody may have made a directory in /tmp before us. */
static gboolean
dir_is_ours (int dir_fd)
{
  struct stat st;

  return fstat (dir_fd, &st) == 0 && st.st_uid == geteuid ()
         && (st.st_mode & 022) == 0;
}

/* A directory that was named by $NDSH_DIR or in a path is its user's business. */
static gboolean
open_dir (Place *place, gboolean chosen, GError **error)
{
  place->dir_fd
    = open (place->dir, O_PATH | O_DIRECTORY | O_CLOEXEC
                          | (chosen ? 0 : O_NOFOLLOW));
  if (place->dir_fd < 0 && errno == ENOENT) {
    g_set_error (error, NDSH_ERROR, NDSH_ERROR_NOT_FOUND,
                 "there is no directory %s", place->dir);
    return FALSE;
  }
  if (place->dir_fd < 0)
    return ndsh_set_errno (error, "cannot open the directory %s", place->dir);
  if (chosen || !g_str_has_prefix (place->dir, "/tmp/")
      || dir_is_ours (place->dir_fd))
    return TRUE;
  g_set_error (error, NDSH_ERROR, NDSH_ERROR_DENIED,
               "the directory %s is not this user's alone: remove it, or set "
               "NDSH_DIR to another",
               place->dir);
  return FALSE;
}

static gboolean
make_dir (const char *dir, GError **error)
{
  mode_t mode = strcmp (dir, "/run/ndsh") == 0 ? 0755 : 0700;

  if (mkdir (dir, mode) == 0) {
    chmod (dir, mode);          /* whatever the umask */
    return TRUE;
  }
  if (errno == EEXIST)
    return TRUE;
  return ndsh_set_errno (error, "cannot create the directory %s", dir);
}

/* --- Names ---------------------------------------------------------------- */

/* A relative path would be another one in each process's working directory. */
static gboolean
name_is_path (const char *name)
{
  return name[0] == '/';
}

gboolean
ndsh_name_check (const char *name, GError **error)
{
  gsize length = strlen (name);
  const char *base = strrchr (name, '/');

  if (name_is_path (name)) {
    if (base[1] != '\0' && base[1] != '.' && strlen (base + 1) <= MAX_NAME)
      return TRUE;
    g_set_error (error, NDSH_ERROR, NDSH_ERROR_INVALID,
                 "'%s' cannot be the path of a channel's socket: its last part "
                 "must be a name of 1 to %d characters, not beginning with '.'",
                 name, MAX_NAME);
    return FALSE;
  }
  if (length >= 1 && length <= MAX_NAME && name[0] != '.'
      && strspn (name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                       "0123456789._-")
           == length)
    return TRUE;
  g_set_error (error, NDSH_ERROR, NDSH_ERROR_INVALID,
               "'%.80s' cannot be the name of a channel: use 1 to %d of "
               "letters, digits, '.', '_' and '-', not beginning with '.'; or "
               "the path of a socket, from '/' on",
               name, MAX_NAME);
  return FALSE;
}

/* In @dir, unless @name is a path. */
static gboolean
place_open (Place *place, const char *dir, const char *name, GError **error)
{
  if (name_is_path (name)) {
    place->dir = g_path_get_dirname (name);
    place->base = g_path_get_basename (name);
  } else {
    place->dir = g_strdup (dir);
    place->base = g_strdup (name);
  }
  return open_dir (place, name_is_path (name) || chosen_dir () != NULL, error);
}

static socklen_t
make_address (const Place *place, const char *base, struct sockaddr_un *address)
{
  int length;

  memset (address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  length = snprintf (address->sun_path, sizeof address->sun_path, "%s/%s",
                     place->dir, base);
  if (length >= (int) sizeof address->sun_path)
    snprintf (address->sun_path, sizeof address->sun_path,
              "/proc/self/fd/%d/%s", place->dir_fd, base);
  return sizeof *address;
}

static int
new_socket (void)
{
  int fd;

  ndsh_lifeline_lock ();
  fd = ndsh_lifeline_add (
    socket (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  ndsh_lifeline_unlock ();
  return fd;
}

/* A connected socket, or -1 with errno. */
static int
connect_to (const Place *place)
{
  struct sockaddr_un address;
  socklen_t size = make_address (place, place->base, &address);
  int fd = new_socket ();

  if (fd < 0 || connect (fd, (struct sockaddr *) &address, size) == 0)
    return fd;
  ndsh_lifeline_close (fd);
  return -1;
}

void
ndsh_peer_get (int fd, gint64 *pid, gint64 *uid)
{
  struct ucred credentials = { 0, (uid_t) -1, (gid_t) -1 };
  socklen_t size = sizeof credentials;

  getsockopt (fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size);
  *pid = credentials.pid;
  *uid = credentials.uid;
}

char *
ndsh_peer_to_string (gint64 pid)
{
  if (pid == 0)
    return g_strdup ("a process of another pid namespace");
  return g_strdup_printf ("process %" G_GINT64_FORMAT, pid);
}

/* --- Taking a name -------------------------------------------------------- */

struct _NdshName {
  Place place;
  struct stat st;       /* of our socket, as others find it */
};

static gboolean
fail_lock (const Place *place, const char *file, GError **error)
{
  if (errno != EWOULDBLOCK)
    return ndsh_set_errno (error, "cannot lock %s/%s", place->dir, file);
  return ndsh_set_errno (error,
                         "another process has been starting to write channel "
                         "'%s' for two seconds (lock %s/%s)",
                         place->base, place->dir, file);
}

static char *
name_lock (const Place *place)
{
  return g_strdup_printf (".%s.lock", place->base);
}

static int
open_lock (const Place *place, const char *file, GError **error)
{
  int fd;

  ndsh_lifeline_lock ();
  fd = ndsh_lifeline_add (openat (
    place->dir_fd, file, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  ndsh_lifeline_unlock ();
  if (fd < 0)
    ndsh_set_errno (error, "cannot open %s/%s", place->dir, file);
  return fd;
}

static gboolean
lock_until (int fd, gint64 deadline)
{
  while (flock (fd, LOCK_EX | LOCK_NB) < 0) {
    if (errno == EINTR)
      continue;
    if (errno != EWOULDBLOCK || g_get_monotonic_time () >= deadline)
      return FALSE;
    g_usleep (5000);
  }
  return TRUE;
}

/* Who had it last may have removed the file meanwhile. */
static gboolean
is_in_place (const Place *place, const char *file, int fd)
{
  struct stat ours, there;

  return fstat (fd, &ours) == 0
         && fstatat (place->dir_fd, file, &there, AT_SYMLINK_NOFOLLOW) == 0
         && ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

/* A writer holds it for a moment; one that was stopped in that moment must not
 * stop us too. */
static int
take_lock (const Place *place, gint64 timeout_us, GError **error)
{
  g_autofree char *file = name_lock (place);
  gint64 deadline = g_get_monotonic_time () + timeout_us;
  int fd;

  while ((fd = open_lock (place, file, error)) >= 0) {
    if (!lock_until (fd, deadline)) {
      fail_lock (place, file, error);
      ndsh_lifeline_close (fd);
      return -1;
    }
    if (is_in_place (place, file, fd))
      return fd;
    ndsh_lifeline_close (fd);
  }
  return -1;
}

static gboolean
refuse_foreign (const Place *place, const char *what, GError **error)
{
  g_set_error (error, NDSH_ERROR, NDSH_ERROR_EXISTS,
               "%s/%s is %s, which ndsh did not make: remove it or choose "
               "another channel",
               place->dir, place->base, what);
  return FALSE;
}

static gboolean
refuse_taken (const Place *place, int fd, GError **error)
{
  g_autofree char *who = NULL;
  gint64 pid, uid;

  ndsh_peer_get (fd, &pid, &uid);
  who = ndsh_peer_to_string (pid);
  g_set_error (error, NDSH_ERROR, NDSH_ERROR_EXISTS,
               "channel '%s' is already written by %s; choose another channel "
               "or stop it",
               place->base, who);
  return FALSE;
}

/* Whether who listens there only keeps the name until somebody writes. A bit of the file
 * tells: to ask would be to wait for an answer. */
static gboolean
is_kept (const struct stat *st, int fd)
{
  gint64 pid, uid;

  ndsh_peer_get (fd, &pid, &uid);
  return (st->st_mode & KEPT) != 0 && (uid == (gint64) geteuid () || geteuid () == 0);
}

/* TRUE if there is nothing, or what a dead writer left, or a keeper, to which @keeper is
 * a connection then. */
static gboolean
name_is_free (const Place *place, int *keeper, GError **error)
{
  struct stat st;
  int fd;

  if (fstatat (place->dir_fd, place->base, &st, AT_SYMLINK_NOFOLLOW) < 0)
    return errno == ENOENT
           || ndsh_set_errno (error, "cannot look at %s/%s", place->dir,
                              place->base);
  if (!S_ISSOCK (st.st_mode))
    return refuse_foreign (place, "a file", error);

  fd = connect_to (place);
  if (fd >= 0 && is_kept (&st, fd)) {
    *keeper = fd;
    return TRUE;
  }
  if (fd >= 0) {
    refuse_taken (place, fd, error);
    ndsh_lifeline_close (fd);
    return FALSE;
  }
  if (errno == ECONNREFUSED || errno == ENOENT)
    return TRUE;
  if (errno == EPROTOTYPE)
    return refuse_foreign (place, "a socket of another kind", error);
  if (errno == EAGAIN) {
    g_set_error (error, NDSH_ERROR, NDSH_ERROR_EXISTS,
                 "channel '%s' is already written by a process that does not "
                 "answer; choose another channel or stop it",
                 place->base);
    return FALSE;
  }
  return ndsh_set_errno (error,
                         "cannot find out whether channel '%s' is written "
                         "already (connecting to %s/%s)",
                         place->base, place->dir, place->base);
}

/* Readers have no fds to send, and closing what one sends can take as long as it
 * likes: think of a TCP socket that lingers. Connections inherit this. */
static void
refuse_fds (int fd)
{
#ifdef SO_PASSRIGHTS
  int no = 0;

  setsockopt (fd, SOL_SOCKET, SO_PASSRIGHTS, &no, sizeof no);
#else
  (void) fd;
#endif
}

/* Only who has the lock uses that name: a socket that is there was left by a writer
 * that was killed before it came to move it. Anything else is somebody's. */
static void
remove_left_socket (const Place *place, const char *fresh)
{
  struct stat st;

  if (fstatat (place->dir_fd, fresh, &st, AT_SYMLINK_NOFOLLOW) == 0
      && S_ISSOCK (st.st_mode))
    unlinkat (place->dir_fd, fresh, 0);
}

/* Binds a name that nobody looks for, makes it ready to be found, then moves it to
 * the place where others look. */
static gboolean
bind_and_rename (NdshName *name, guint perms, int fd, GError **error)
{
  const Place *place = &name->place;
  g_autofree char *fresh = g_strdup_printf (".%s.new", place->base);
  struct sockaddr_un address;
  socklen_t size = make_address (place, fresh, &address);

  refuse_fds (fd);
  remove_left_socket (place, fresh);
  if (bind (fd, (struct sockaddr *) &address, size) < 0)
    return ndsh_set_errno (error, "cannot create the socket %s/%s", place->dir,
                           fresh);
  if (fchmodat (place->dir_fd, fresh, perms, 0) == 0
      && fstatat (place->dir_fd, fresh, &name->st, AT_SYMLINK_NOFOLLOW) == 0
      && listen (fd, BACKLOG) == 0
      && renameat (place->dir_fd, fresh, place->dir_fd, place->base) == 0)
    return TRUE;
  ndsh_set_errno (error, "cannot make the socket %s/%s", place->dir,
                  place->base);
  unlinkat (place->dir_fd, fresh, 0);
  return FALSE;
}

void
ndsh_name_forget (NdshName *name)
{
  place_clear (&name->place);
  g_free (name);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (NdshName, ndsh_name_forget)

static gboolean
make_socket (NdshName *name, guint perms, int *listen_fd, GError **error)
{
  int fd = new_socket ();

  if (fd < 0)
    return ndsh_set_errno (error, "cannot create a socket");
  if (!bind_and_rename (name, perms, fd, error)) {
    ndsh_lifeline_close (fd);
    return FALSE;
  }
  *listen_fd = fd;
  return TRUE;
}

/* A keeper is told once others find our socket, so that there is somebody at any time; and
 * no answer is waited for, so that one that was stopped holds nobody up. */
static gboolean
take_under_lock (NdshName *name, guint perms, int *listen_fd, GError **error)
{
  int keeper = -1;
  gboolean taken = name_is_free (&name->place, &keeper, error)
                   && make_socket (name, perms, listen_fd, error);
  NdshHeader yield;

  if (taken && keeper >= 0) {
    ndsh_header_init (&yield, NDSH_MESSAGE_YIELD, sizeof yield);
    ndsh_message_send (keeper, &yield, sizeof yield, NULL, 0);
  }
  ndsh_lifeline_close (keeper);
  return taken;
}

/* Whether one of @bits, S_IXGRP and S_IXOTH, is set all the way to the directory. */
static gboolean
lets_through (const char *dir, mode_t bits)
{
  g_autofree char *at = realpath (dir, NULL);
  struct stat st;

  while (at != NULL && stat (at, &st) == 0) {
    char *slash = strrchr (at, '/');

    if ((st.st_mode & bits) == 0)
      return FALSE;
    if (slash == at)
      return TRUE;
    *slash = '\0';
  }
  return TRUE;
}

/* The socket may admit others who cannot come near it. */
static void
warn_of_closed_dir (const Place *place, guint perms)
{
  gboolean for_all = (perms & 002) != 0 && !lets_through (place->dir, S_IXOTH);
  gboolean for_group = (perms & 020) != 0 && !lets_through (place->dir, S_IXGRP | S_IXOTH);

  if (for_all || for_group)
    g_message ("channel '%s' would admit %s (perms %04o), who may not enter %s: name "
               "it by a path in a directory that they may enter, such as "
               "/var/tmp/%s, or set NDSH_DIR to one for writer and readers",
               place->base, for_all ? "other users" : "its group", perms, place->dir,
               place->base);
}

NdshName *
ndsh_name_take (const char *text, guint perms, int *listen_fd, GError **error)
{
  g_autoptr (NdshName) name = g_new0 (NdshName, 1);
  g_autofree char *dir = dir_to_write_in ();
  gboolean taken;
  int lock;

  name->place.dir_fd = -1;
  if (!ndsh_name_check (text, error))
    return NULL;
  if (!name_is_path (text) && !make_dir (dir, error))
    return NULL;
  if (!place_open (&name->place, dir, text, error))
    return NULL;
  lock = take_lock (&name->place, LOCK_TIMEOUT_US, error);
  if (lock < 0)
    return NULL;
  taken = take_under_lock (name, perms, listen_fd, error);
  ndsh_lifeline_close (lock);
  if (taken)
    warn_of_closed_dir (&name->place, perms);
  return taken ? g_steal_pointer (&name) : NULL;
}

static gboolean
is_ours (const NdshName *name)
{
  const Place *place = &name->place;
  struct stat st;

  return fstatat (place->dir_fd, place->base, &st, AT_SYMLINK_NOFOLLOW) == 0
         && st.st_ino == name->st.st_ino && st.st_dev == name->st.st_dev;
}

/* If the lock cannot be had at once the socket stays: a dead one, which the next writer
 * takes over. To wait would hold up who closes. Who has nothing to give back, like a keeper
 * that yielded, is not in the way of who has. */
void
ndsh_name_give_back (NdshName *name)
{
  const Place *place = &name->place;
  g_autofree char *lock_file = name_lock (place);
  int lock = is_ours (name) ? take_lock (place, 0, NULL) : -1;

  if (lock >= 0 && is_ours (name)) {
    unlinkat (place->dir_fd, place->base, 0);
    unlinkat (place->dir_fd, lock_file, 0);
  }
  ndsh_lifeline_close (lock);
  ndsh_name_forget (name);
}

/* --- A name changes hands ------------------------------------------------- */

gboolean
ndsh_name_set_kept (NdshName *name)
{
  const Place *place = &name->place;

  return is_ours (name)
         && fchmodat (place->dir_fd, place->base, (name->st.st_mode & 0777) | KEPT, 0) == 0;
}

NdshNameId
ndsh_name_get_id (const NdshName *name)
{
  return (NdshNameId){ name->place.dir_fd, name->place.base, name->st.st_dev,
                       name->st.st_ino };
}

NdshName *
ndsh_name_adopt (const NdshNameId *id, int listen_fd)
{
  NdshName *name = g_new0 (NdshName, 1);

  name->place.dir = g_strdup (".");
  name->place.base = g_strdup (id->base);
  name->place.dir_fd = id->dir_fd;
  name->st.st_dev = id->dev;
  name->st.st_ino = id->ino;
  /* Who connects is told by the kernel which process called this last. */
  listen (listen_fd, BACKLOG);
  return name;
}

/* --- Finding a writer ----------------------------------------------------- */

/* Why connecting failed, in words; NOT_FOUND for all that can pass by itself. */
static void
explain (const Place *place, int saved, GError **error)
{
  struct stat st;
  gboolean exists = fstatat (place->dir_fd, place->base, &st,
                             AT_SYMLINK_NOFOLLOW)
                    == 0;

  errno = saved;
  if (exists && (!S_ISSOCK (st.st_mode) || saved == EPROTOTYPE))
    refuse_foreign (place,
                    S_ISSOCK (st.st_mode) ? "a socket of another kind"
                                          : "a file",
                    error);
  else if (saved == EACCES && !exists)
    g_set_error (error, NDSH_ERROR, NDSH_ERROR_DENIED,
                 "user %u may not enter the directory %s; its mode must allow it, "
                 "or NDSH_DIR name another",
                 (unsigned) geteuid (), place->dir);
  else if (saved == EACCES)
    g_set_error (error, NDSH_ERROR, NDSH_ERROR_DENIED,
                 "the writer of channel '%s' does not admit user %u "
                 "(permissions of %s/%s); it can allow others by its perms",
                 place->base, (unsigned) geteuid (), place->dir, place->base);
  else if (saved == EAGAIN || saved == ECONNREFUSED || saved == ENOENT)
    g_set_error (error, NDSH_ERROR, NDSH_ERROR_NOT_FOUND,
                 "nobody writes channel '%s' in %s%s", place->base, place->dir,
                 saved == EAGAIN ? " who answers" : "");
  else
    ndsh_set_errno (error, "cannot connect to %s/%s", place->dir, place->base);
}

/* A directory that this user was not told to look in, and may not enter, has no channel
 * for it. */
static gboolean
is_somebody_elses (const Place *place, const char *name, int saved)
{
  struct stat st;

  return saved == EACCES && !name_is_path (name) && chosen_dir () == NULL
         && (place->dir_fd < 0
             || fstatat (place->dir_fd, place->base, &st, AT_SYMLINK_NOFOLLOW) < 0);
}

/* What was found in the places where a writer could be. */
typedef struct {
  GError *why;                  /* the first that says more than NOT_FOUND */
  GString *looked_in;
  gboolean is_crowded;          /* somebody is there, for whom others wait as well */
} Search;

static void
search_clear (Search *search)
{
  g_clear_error (&search->why);
  g_string_free (search->looked_in, TRUE);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Search, search_clear)

static void
note_failure (Search *search, const Place *place, const char *name, int saved,
              GError *why)
{
  gboolean closed = is_somebody_elses (place, name, saved);

  search->is_crowded |= saved == EAGAIN;
  g_string_append_printf (search->looked_in, "%s%s",
                          search->looked_in->len > 0 ? ", " : "", place->dir);
  if (closed)
    g_string_append_printf (search->looked_in, " (which user %u may not enter)",
                            (unsigned) geteuid ());
  if (closed || search->why != NULL
      || g_error_matches (why, NDSH_ERROR, NDSH_ERROR_NOT_FOUND))
    g_error_free (why);
  else
    search->why = why;
}

static int
try_dir (const char *dir, const char *name, Search *search)
{
  g_auto (Place) place = PLACE_INIT;
  GError *why = NULL;
  int fd = -1, saved = 0;

  if (place_open (&place, dir, name, &why)) {
    fd = connect_to (&place);
    saved = errno;
    if (fd < 0)
      explain (&place, saved, &why);
  } else if (place.dir_fd < 0 && g_error_matches (why, NDSH_ERROR, NDSH_ERROR_DENIED)) {
    saved = EACCES;
  }
  if (fd < 0)
    note_failure (search, &place, name, saved, why);
  return fd;
}

int
ndsh_name_connect (const char *name, gboolean *is_crowded, GError **error)
{
  g_auto (GStrv) dirs = dirs_to_look_in ();
  g_auto (Search) search = { NULL, g_string_new (NULL), FALSE };

  for (guint i = 0; dirs[i] != NULL; i++) {
    int fd = try_dir (dirs[i], name, &search);

    if (fd >= 0)
      return fd;
    if (name_is_path (name))
      break;
  }
  if (is_crowded != NULL)
    *is_crowded = search.is_crowded;
  if (search.why != NULL)
    g_propagate_error (error, g_steal_pointer (&search.why));
  else
    g_set_error (error, NDSH_ERROR, NDSH_ERROR_NOT_FOUND,
                 "nobody writes channel '%s'%s%s", name,
                 name_is_path (name) ? "" : "; looked in ",
                 name_is_path (name) ? "" : search.looked_in->str);
  return -1;
}

char **
ndsh_name_get_dirs (void)
{
  return dirs_to_look_in ();
}

int
ndsh_name_connect_in (const char *dir, const char *name)
{
  g_auto (Search) ignored = { NULL, g_string_new (NULL), FALSE };

  return try_dir (dir, name, &ignored);
}

static void
list_dir (const char *dir, GHashTable *names)
{
  g_autoptr (GDir) entries = g_dir_open (dir, 0, NULL);
  const char *name;

  while (entries != NULL && (name = g_dir_read_name (entries)) != NULL) {
    int fd;

    if (!ndsh_name_check (name, NULL))
      continue;
    fd = ndsh_name_connect_in (dir, name);
    if (fd >= 0 && !g_hash_table_contains (names, name))
      g_hash_table_add (names, g_strdup (name));
    ndsh_lifeline_close (fd);
  }
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

char **
ndsh_name_list (void)
{
  g_autoptr (GHashTable) names = g_hash_table_new (g_str_hash, g_str_equal);
  g_auto (GStrv) dirs = dirs_to_look_in ();
  char **list;
  guint n;

  for (guint i = 0; dirs[i] != NULL; i++)
    list_dir (dirs[i], names);
  list = (char **) g_hash_table_get_keys_as_array (names, &n);
  qsort (list, n, sizeof *list, compare_names);
  return list;
}
