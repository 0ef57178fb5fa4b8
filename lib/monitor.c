/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The channels as they come and go. A writer comes by renaming its socket into a
 * directory, of which inotify tells. That it dies no file tells; but a connection to it
 * does, and one that says WATCH instead of HELLO costs the writer an fd, and is no reader
 * that it would wait for. The writer hangs up, too, when its answer is old: so each
 * hang-up is followed by one attempt to connect again, and a file without a writer behind
 * it is left alone until inotify names it.
 *
 * A line to the writer of a name in one directory:
 *
 *   closed   -> asked      it was found, or named by inotify, and connects
 *   asked    -> answered   it tells of itself                            news
 *   answered -> asked      it hangs up, or its file is another now
 *   any      -> closed     it does not connect, or hangs up while asked  news
 *
 * What it last told stays valid while it is asked again, so that a channel does not seem
 * to go each time its caps change.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "channel.h"
#include "dirs.h"
#include "error.h"
#include "lifeline.h"
#include "rendezvous.h"

/* Events that one call handles: a writer that hangs up again and again must not keep the
 * caller in it. */
#define MAX_EVENTS 256

typedef struct _Channel Channel;

typedef struct {
  Channel *channel;
  guint dir;
  int fd;                       /* a lifeline; -1 if closed */
  gboolean is_asked;
  NdshChannelInfo *info;        /* what it last told, or NULL */
} Line;

struct _Channel {
  char *name;
  gboolean has_news;
  gboolean is_known;            /* to the caller */
  Line line[NDSH_MAX_DIRS];
};

struct _NdshMonitor {
  guint process;
  int epoll_fd;
  NdshDirs *dirs;
  GHashTable *channels;         /* name -> Channel * */
  GQueue news;                  /* Channel *, those that have some */
};

/* --- Lines ---------------------------------------------------------------- */

static void
channel_free (Channel *channel)
{
  for (guint i = 0; i < NDSH_MAX_DIRS; i++) {
    ndsh_lifeline_close (channel->line[i].fd);
    ndsh_channel_info_free (channel->line[i].info);
  }
  g_free (channel->name);
  g_free (channel);
}

static Channel *
get_channel (NdshMonitor *monitor, const char *name)
{
  Channel *channel = g_hash_table_lookup (monitor->channels, name);

  if (channel != NULL)
    return channel;
  channel = g_new0 (Channel, 1);
  channel->name = g_strdup (name);
  for (guint i = 0; i < NDSH_MAX_DIRS; i++) {
    channel->line[i].channel = channel;
    channel->line[i].dir = i;
    channel->line[i].fd = -1;
  }
  g_hash_table_insert (monitor->channels, channel->name, channel);
  return channel;
}

static void
add_news (NdshMonitor *monitor, Channel *channel)
{
  if (!channel->has_news)
    g_queue_push_tail (&monitor->news, channel);
  channel->has_news = TRUE;
}

static void
set_info (NdshMonitor *monitor, Line *line, NdshChannelInfo *info)
{
  ndsh_channel_info_free (line->info);
  line->info = info;
  add_news (monitor, line->channel);
}

static void
hang_up (Line *line)
{
  ndsh_lifeline_close (line->fd);
  line->fd = -1;
  line->is_asked = FALSE;
}

static void
close_line (NdshMonitor *monitor, Line *line)
{
  hang_up (line);
  set_info (monitor, line, NULL);
}

static gboolean
connect_and_ask (NdshMonitor *monitor, Line *line)
{
  struct epoll_event event = { .events = EPOLLIN, .data.ptr = line };

  line->fd = ndsh_name_connect_in (ndsh_dirs_get_path (monitor->dirs, line->dir),
                                   line->channel->name);
  line->is_asked = line->fd >= 0
                   && ndsh_status_ask (line->fd, NDSH_MESSAGE_WATCH) == NDSH_IO_DONE
                   && epoll_ctl (monitor->epoll_fd, EPOLL_CTL_ADD, line->fd, &event) == 0;
  return line->is_asked;
}

/* Whoever has the name now. */
static void
call (NdshMonitor *monitor, Line *line)
{
  hang_up (line);
  if (!connect_and_ask (monitor, line))
    close_line (monitor, line);
}

static void
hear_line (NdshMonitor *monitor, Line *line)
{
  NdshChannelInfo *info;
  NdshIo heard = ndsh_status_hear (line->fd, &info);

  if (heard == NDSH_IO_AGAIN)
    return;
  if (heard == NDSH_IO_DONE && line->is_asked) {
    line->is_asked = FALSE;
    set_info (monitor, line, info);
    return;
  }
  if (heard == NDSH_IO_GONE && !line->is_asked) {
    call (monitor, line);
    return;
  }
  if (heard == NDSH_IO_DONE)    /* which nobody asked for */
    ndsh_channel_info_free (info);
  close_line (monitor, line);
}

/* --- Directories ---------------------------------------------------------- */

static void
call_name (NdshMonitor *monitor, guint dir, const char *name)
{
  if (ndsh_name_check (name, NULL) && name[0] != '/')
    call (monitor, &get_channel (monitor, name)->line[dir]);
}

/* Events may have been missed: also of what is known it is asked whether it is there. */
static void
call_all (NdshMonitor *monitor, guint dir)
{
  g_autoptr (GDir) entries = g_dir_open (ndsh_dirs_get_path (monitor->dirs, dir), 0, NULL);
  GHashTableIter iter;
  gpointer channel;
  const char *name;

  g_hash_table_iter_init (&iter, monitor->channels);
  while (g_hash_table_iter_next (&iter, NULL, &channel)) {
    Line *line = &((Channel *) channel)->line[dir];

    if (line->fd >= 0)
      call (monitor, line);
  }
  while (entries != NULL && (name = g_dir_read_name (entries)) != NULL) {
    Channel *known = g_hash_table_lookup (monitor->channels, name);

    if (known == NULL || known->line[dir].fd < 0)
      call_name (monitor, dir, name);
  }
}

static void
on_news (gpointer data, guint dir, const char *name)
{
  if (name != NULL)
    call_name (data, dir, name);
  else
    call_all (data, dir);
}

/* --- News ----------------------------------------------------------------- */

static gboolean
hear_one (NdshMonitor *monitor)
{
  struct epoll_event event;

  if (epoll_wait (monitor->epoll_fd, &event, 1, 0) != 1)
    return FALSE;
  if (event.data.ptr == monitor)
    ndsh_dirs_hear (monitor->dirs, on_news, monitor);
  else
    hear_line (monitor, event.data.ptr);
  return TRUE;
}

static gboolean
is_open (const Channel *channel)
{
  for (guint i = 0; i < NDSH_MAX_DIRS; i++)
    if (channel->line[i].fd >= 0)
      return TRUE;
  return FALSE;
}

/* What readers would find: the first directory goes first. */
static NdshChannelInfo *
copy_info (const Channel *channel)
{
  for (guint i = 0; i < NDSH_MAX_DIRS; i++) {
    const NdshChannelInfo *info = channel->line[i].info;

    if (info != NULL) {
      NdshChannelInfo *copy = g_memdup (info, sizeof *info);

      copy->description = g_strdup (info->description);
      copy->metadata = g_memdup (info->metadata, (guint) info->metadata_size);
      return copy;
    }
  }
  return NULL;
}

/* NULL if it would be news to nobody. */
static char *
tell (NdshMonitor *monitor, Channel *channel, NdshChannelInfo **info)
{
  NdshChannelInfo *found = copy_info (channel);
  gboolean is_news = found != NULL || channel->is_known;
  char *name = is_news ? g_strdup (channel->name) : NULL;

  channel->has_news = FALSE;
  channel->is_known = found != NULL;
  if (!channel->is_known && !is_open (channel))
    g_hash_table_remove (monitor->channels, channel->name);
  if (is_news)
    *info = found;
  return name;
}

NDSH_API char *
ndsh_monitor_next (NdshMonitor *monitor, NdshChannelInfo **info)
{
  char *name = NULL;

  g_return_val_if_fail (monitor != NULL && info != NULL, NULL);

  if (monitor->process != ndsh_lifeline_process ())
    return NULL;
  for (guint i = 0; i < MAX_EVENTS && hear_one (monitor); i++)
    ;
  while (name == NULL && !g_queue_is_empty (&monitor->news))
    name = tell (monitor, g_queue_pop_head (&monitor->news), info);
  return name;
}

NDSH_API int
ndsh_monitor_get_fd (NdshMonitor *monitor)
{
  g_return_val_if_fail (monitor != NULL, -1);

  return monitor->epoll_fd;
}

/* --- It starts and ends --------------------------------------------------- */

static gboolean
is_waiting (NdshMonitor *monitor)
{
  GHashTableIter iter;
  gpointer channel;

  g_hash_table_iter_init (&iter, monitor->channels);
  while (g_hash_table_iter_next (&iter, NULL, &channel))
    for (guint i = 0; i < NDSH_MAX_DIRS; i++)
      if (((Channel *) channel)->line[i].is_asked)
        return TRUE;
  return FALSE;
}

static void
wait_for_answers (NdshMonitor *monitor)
{
  gint64 deadline_us = g_get_monotonic_time () + NDSH_PATIENCE_MS * 1000;
  struct pollfd wait = { .fd = monitor->epoll_fd, .events = POLLIN };
  gint64 left_us;

  while (is_waiting (monitor)
         && (left_us = deadline_us - g_get_monotonic_time ()) > 0) {
    poll (&wait, 1, (int) (left_us / 1000) + 1);
    hear_one (monitor);
  }
}

static gboolean
open_fds (NdshMonitor *monitor, GError **error)
{
  struct epoll_event event = { .events = EPOLLIN, .data.ptr = monitor };
  g_auto (GStrv) paths = ndsh_name_get_dirs ();

  monitor->dirs = ndsh_dirs_new (paths, error);
  if (monitor->dirs == NULL)
    return FALSE;
  monitor->epoll_fd = epoll_create1 (EPOLL_CLOEXEC);
  return (monitor->epoll_fd >= 0
          && epoll_ctl (monitor->epoll_fd, EPOLL_CTL_ADD, ndsh_dirs_get_fd (monitor->dirs),
                        &event) == 0)
         || ndsh_set_errno (error, "cannot watch channels");
}

NDSH_API NdshMonitor *
ndsh_monitor_new (GError **error)
{
  g_autoptr (NdshMonitor) monitor = g_new0 (NdshMonitor, 1);

  monitor->process = ndsh_lifeline_watch ();
  monitor->epoll_fd = -1;
  monitor->channels = g_hash_table_new_full (g_str_hash, g_str_equal, NULL,
                                             (GDestroyNotify) channel_free);
  g_queue_init (&monitor->news);
  if (!open_fds (monitor, error))
    return NULL;
  for (guint i = 0; i < ndsh_dirs_get_n (monitor->dirs); i++)
    call_all (monitor, i);
  wait_for_answers (monitor);
  return g_steal_pointer (&monitor);
}

NDSH_API void
ndsh_monitor_free (NdshMonitor *monitor)
{
  if (monitor == NULL)
    return;
  g_queue_clear (&monitor->news);
  g_hash_table_unref (monitor->channels);
  if (monitor->epoll_fd >= 0)
    close (monitor->epoll_fd);
  ndsh_dirs_free (monitor->dirs);
  g_free (monitor);
}
