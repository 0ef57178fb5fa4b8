/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dirs.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "error.h"

#define MASK                                                                   \
  (IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF        \
   | IN_MOVE_SELF | IN_ONLYDIR)

/* A directory that is not there is awaited in the nearest one above it that is. */
typedef struct {
  char *path;
  char *awaited;                /* the name that is to appear there; NULL: it is there */
  gboolean is_hidden;           /* it may be there, and cannot be watched */
  int wd;
} Dir;

struct _NdshDirs {
  int fd;
  guint n;
  Dir dir[NDSH_MAX_DIRS];
};

/* Sets awaited as well. A negative errno if not even the root may be watched. */
static int
watch_nearest (const NdshDirs *dirs, Dir *dir)
{
  g_autofree char *at = g_strdup (dir->path);
  int wd;

  g_clear_pointer (&dir->awaited, g_free);
  dir->is_hidden = FALSE;
  while ((wd = inotify_add_watch (dirs->fd, at, MASK)) < 0) {
    int why = errno;
    char *above = g_path_get_dirname (at);
    gboolean is_top = strcmp (above, at) == 0;

    dir->is_hidden |= why != ENOENT && why != ENOTDIR;
    g_free (dir->awaited);
    dir->awaited = g_path_get_basename (at);
    g_free (at);
    at = above;
    if (is_top)
      return -why;
  }
  return wd;
}

static gboolean
is_watched (const NdshDirs *dirs, int wd)
{
  for (guint i = 0; i < dirs->n; i++)
    if (dirs->dir[i].wd == wd)
      return TRUE;
  return FALSE;
}

/* Until it is twice the same: what was made below a directory just before that was watched
 * makes no event. */
static void
watch (NdshDirs *dirs, Dir *dir)
{
  int before;

  do {
    before = dir->wd;
    dir->wd = watch_nearest (dirs, dir);
    if (before >= 0 && !is_watched (dirs, before))
      inotify_rm_watch (dirs->fd, before);
  } while (dir->wd != before);
}

static gboolean
watch_all (NdshDirs *dirs, char **paths, GError **error)
{
  for (guint i = 0; paths[i] != NULL; i++) {
    Dir *dir = &dirs->dir[i];

    g_assert (i < NDSH_MAX_DIRS);
    *dir = (Dir) { .path = g_strdup (paths[i]), .wd = -1 };
    dirs->n = i + 1;
    watch (dirs, dir);
    if (dir->wd < 0) {
      errno = -dir->wd;
      return ndsh_set_errno (error, "cannot watch the directory %s", paths[i]);
    }
  }
  return TRUE;
}

NdshDirs *
ndsh_dirs_new (char **paths, GError **error)
{
  NdshDirs *dirs = g_new0 (NdshDirs, 1);

  dirs->fd = inotify_init1 (IN_CLOEXEC | IN_NONBLOCK);
  if (dirs->fd < 0)
    ndsh_set_errno (error, "cannot watch directories for channels");
  else if (watch_all (dirs, paths, error))
    return dirs;
  ndsh_dirs_free (dirs);
  return NULL;
}

void
ndsh_dirs_free (NdshDirs *dirs)
{
  if (dirs == NULL)
    return;
  if (dirs->fd >= 0)
    close (dirs->fd);
  for (guint i = 0; i < dirs->n; i++) {
    g_free (dirs->dir[i].path);
    g_free (dirs->dir[i].awaited);
  }
  g_free (dirs);
}

gboolean
ndsh_dirs_see_all (const NdshDirs *dirs)
{
  for (guint i = 0; i < dirs->n; i++)
    if (dirs->dir[i].is_hidden)
      return FALSE;
  return TRUE;
}

int
ndsh_dirs_get_fd (const NdshDirs *dirs)
{
  return dirs->fd;
}

guint
ndsh_dirs_get_n (const NdshDirs *dirs)
{
  return dirs->n;
}

const char *
ndsh_dirs_get_path (const NdshDirs *dirs, guint dir)
{
  return dirs->dir[dir].path;
}

static gboolean
concerns (const Dir *dir, const struct inotify_event *event)
{
  if ((event->mask & IN_Q_OVERFLOW) != 0)
    return TRUE;
  if (event->wd != dir->wd)
    return FALSE;
  return event->len == 0 || dir->awaited == NULL || strcmp (event->name, dir->awaited) == 0;
}

/* An event without a name is about the directory itself. */
static void
hear_event (NdshDirs *dirs, const struct inotify_event *event, NdshDirsCallback callback,
            gpointer data)
{
  for (guint i = 0; i < dirs->n; i++) {
    Dir *dir = &dirs->dir[i];

    if (!concerns (dir, event))
      continue;
    if (event->len > 0 && dir->awaited == NULL) {
      callback (data, i, event->name);
    } else {
      watch (dirs, dir);
      callback (data, i, NULL);
    }
  }
}

void
ndsh_dirs_hear (NdshDirs *dirs, NdshDirsCallback callback, gpointer data)
{
  union {
    struct inotify_event event;
    char bytes[16 * (sizeof (struct inotify_event) + NAME_MAX + 1)];
  } buffer;
  ssize_t size = read (dirs->fd, &buffer, sizeof buffer);
  ssize_t at = 0;

  while (at < size) {
    const struct inotify_event *event
      = (const struct inotify_event *) (const void *) (buffer.bytes + at);

    hear_event (dirs, event, callback, data);
    at += (ssize_t) (sizeof *event + event->len);
  }
}
