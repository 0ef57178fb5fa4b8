/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Runs the inputs in the given directories once each: what is left of a fuzzer
 * where there is no libFuzzer. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static guint
replay_directory (const char *path)
{
  g_autoptr (GDir) entries = g_dir_open (path, 0, NULL);
  const char *name;
  guint n = 0;

  while (entries != NULL && (name = g_dir_read_name (entries)) != NULL) {
    g_autofree char *file = g_build_filename (path, name, NULL);
    g_autofree char *text = NULL;
    guint8 *exact;
    gsize size;

    g_assert (g_file_get_contents (file, &text, &size, NULL));
    g_print ("%s\n", file);     /* the last one, if it ends here */
    exact = malloc (size);      /* without the NUL that GLib appends */
    if (size > 0)
      memcpy (exact, text, size);
    LLVMFuzzerTestOneInput (exact, size);
    free (exact);
    n++;
  }
  return n;
}

int
main (int argc, char **argv)
{
  guint n = 0;

  LLVMFuzzerInitialize (&argc, &argv);
  for (int i = 1; i < argc; i++)
    n += replay_directory (argv[i]);
  g_print ("%u inputs\n", n);
  return n > 0 ? 0 : 1;
}
