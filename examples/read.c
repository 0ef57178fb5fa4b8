/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Prints what it reads, in place, until the writer goes. */
#include <ndsh.h>

int
main (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NdshReader) reader = ndsh_reader_new ("numbers", NULL, &error);

  while (reader != NULL && error == NULL) {
    g_autoptr (NdshFrame) frame = ndsh_reader_read (reader, -1, &error);

    if (frame != NULL) {
      g_autofree char *what
        = ndsh_array_info_to_string (ndsh_frame_get_arrays (frame, NULL));
      const guint8 *pixels = ndsh_frame_get_data (frame);

      g_print ("frame %" G_GUINT64_FORMAT ": %s, first byte %u\n",
               ndsh_frame_get_sequence (frame), what, pixels[0]);
    }
  }
  g_printerr ("%s\n", error->message);
  return !g_error_matches (error, NDSH_ERROR, NDSH_ERROR_CLOSED);
}
