/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "report.h"

#include <stdio.h>
#include <string.h>

static guint
count_fds (void)
{
  GDir *dir = g_dir_open ("/proc/self/fd", 0, NULL);
  guint n = 0;

  while (g_dir_read_name (dir) != NULL)
    n++;
  g_dir_close (dir);
  return n - 1;                 /* the directory's own */
}

Usage
usage_get (void)
{
  Usage usage = { 0 };
  char line[512];
  FILE *file;

  usage.fds = count_fds ();
  file = fopen ("/proc/self/maps", "re");
  while (fgets (line, sizeof line, file) != NULL) {
    usage.maps++;
    usage.memfd_maps += strstr (line, "/memfd:") != NULL;
  }
  fclose (file);
  file = fopen ("/proc/self/status", "re");
  while (fgets (line, sizeof line, file) != NULL)
    (void) sscanf (line, "RssAnon: %u kB", &usage.anonymous_kib);
  fclose (file);
  return usage;
}

void
usage_print (const char *at)
{
  Usage usage = usage_get ();

  g_print ("{\"event\": \"usage\", \"at\": \"%s\", \"fds\": %u, \"maps\": %u, "
           "\"memfd_maps\": %u, \"anonymous_kib\": %u}\n",
           at, usage.fds, usage.maps, usage.memfd_maps, usage.anonymous_kib);
}

void
pattern_fill (guint8 *data, gsize size, guint64 n)
{
  for (gsize i = 0; i < size; i += 8) {
    guint64 word = pattern_word (n, i);

    memcpy (data + i, &word, MIN (8, size - i));
  }
}

gsize
pattern_count_wrong (const guint8 *data, gsize size, guint64 n)
{
  gsize wrong = 0;

  for (gsize i = 0; i < size; i += 8) {
    guint64 word = pattern_word (n, i);
    gsize length = MIN (8, size - i);

    if (memcmp (data + i, &word, length) == 0)
      continue;
    for (gsize j = 0; j < length; j++)
      wrong += data[i + j] != ((const guint8 *) &word)[j];
  }
  return wrong;
}
