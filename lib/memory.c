/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Reads /proc/meminfo and the limits of the control groups this process is in
 * (proc(5), and Documentation/admin-guide/cgroup-v{1,2} of the kernel). What
 * cannot be read does not limit.
 */
#include "memory.h"

#include <string.h>

#include "error.h"

/* The number after "@key" at the start of a line of @text. */
static gboolean
find_number (const char *text, const char *key, guint64 *number)
{
  gsize length = strlen (key);

  for (const char *line = text; line != NULL;) {
    if (strncmp (line, key, length) == 0
        && (line[length] == ' ' || line[length] == ':')) {
      *number = g_ascii_strtoull (line + length + 1, NULL, 10);
      return TRUE;
    }
    line = strchr (line, '\n');
    line = line != NULL ? line + 1 : NULL;
  }
  return FALSE;
}

static guint64
read_meminfo (const char *key)
{
  g_autofree char *text = NULL;
  guint64 kilobytes;

  if (!g_file_get_contents ("/proc/meminfo", &text, NULL, NULL)
      || !find_number (text, key, &kilobytes))
    return G_MAXUINT64;
  return kilobytes * 1024;
}

guint64
ndsh_memory_get_total (void)
{
  static gsize total;

  /* It stays what it is, and is asked with each frame. */
  if (g_once_init_enter (&total))
    g_once_init_leave (&total, (gsize) MIN (read_meminfo ("MemTotal"), G_MAXSIZE));
  return total;
}

static gboolean
read_number (const char *group, const char *file, guint64 *number)
{
  g_autofree char *path = g_build_filename (group, file, NULL);
  g_autofree char *text = NULL;

  if (!g_file_get_contents (path, &text, NULL, NULL)
      || !g_ascii_isdigit (text[0]))
    return FALSE;                 /* "max" is no number and no limit */
  *number = g_ascii_strtoull (text, NULL, 10);
  return TRUE;
}

/* A group's page cache counts as used, but the kernel drops it before it refuses
 * memory; shared memory is in the cache's number and is not dropped. */
static guint64
reclaimable_in_group (const char *group, const char *cache_key)
{
  g_autofree char *path = g_build_filename (group, "memory.stat", NULL);
  g_autofree char *text = NULL;
  guint64 cache, shared = 0;

  if (!g_file_get_contents (path, &text, NULL, NULL)
      || !find_number (text, cache_key, &cache))
    return 0;
  find_number (text, "shmem", &shared);
  return cache > shared ? cache - shared : 0;
}

static guint64
available_in_group (const char *group, gboolean v2)
{
  guint64 limit, used;

  if (!read_number (group, v2 ? "memory.max" : "memory.limit_in_bytes", &limit)
      || !read_number (group, v2 ? "memory.current" : "memory.usage_in_bytes",
                       &used))
    return G_MAXUINT64;
  used -= MIN (used, reclaimable_in_group (group, v2 ? "file" : "cache"));
  return limit > used ? limit - used : 0;
}

/* Limits of parents bind as well. */
static guint64
available_in_groups (const char *root, const char *path, gboolean v2)
{
  g_autofree char *group = g_build_filename (root, path, NULL);
  guint64 available = G_MAXUINT64;

  for (;;) {
    guint64 own;
    char *slash;

    own = available_in_group (group, v2);
    available = MIN (available, own);
    slash = strrchr (group, '/');
    if (slash == NULL || strlen (group) <= strlen (root))
      return available;
    *slash = '\0';
  }
}

/* Lines of /proc/self/cgroup: "0::/path" or "9:memory:/path". */
static guint64
available_to_control_groups (void)
{
  guint64 available = G_MAXUINT64;
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;

  if (!g_file_get_contents ("/proc/self/cgroup", &text, NULL, NULL))
    return available;
  lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++) {
    g_auto (GStrv) parts = g_strsplit (lines[i], ":", 3);
    guint64 here = G_MAXUINT64;

    if (g_strv_length (parts) != 3)
      continue;
    if (parts[1][0] == '\0')
      here = available_in_groups ("/sys/fs/cgroup", parts[2], TRUE);
    else if (strcmp (parts[1], "memory") == 0)
      here = available_in_groups ("/sys/fs/cgroup/memory", parts[2], FALSE);
    available = MIN (available, here);
  }
  return available;
}

gboolean
ndsh_memory_check (guint64 size, GError **error)
{
  guint64 machine = read_meminfo ("MemAvailable");
  guint64 groups = available_to_control_groups ();

  if (size <= MIN (machine, groups))
    return TRUE;
  g_set_error (error, NDSH_ERROR, NDSH_ERROR_MEMORY,
               "a slot needs %.1f MB of shared memory, %.1f MB are available%s",
               size / 1e6, MIN (machine, groups) / 1e6,
               groups < machine ? " to this control group" : "");
  return FALSE;
}
