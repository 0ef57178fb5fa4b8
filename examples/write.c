/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Writes 30 frames of 480 rows, 640 columns and 3 bytes a pixel each second. */
#include <ndsh.h>

int
main (void)
{
  const gsize shape[] = { 480, 640, 3 };
  NdshArrayInfo info;
  g_autoptr (GError) error = NULL;
  g_autoptr (NdshWriter) writer = ndsh_writer_new ("numbers", NULL, &error);

  ndsh_array_info_init (&info, NDSH_DTYPE_UINT8, 3, shape);
  for (guint n = 0; writer != NULL && n < 300; n++) {
    g_autoptr (NdshDraft) draft = ndsh_writer_begin (writer, &info, 1, &error);
    guint8 *pixels = draft != NULL ? ndsh_draft_get_data (draft) : NULL;

    for (gsize i = 0; pixels != NULL && i < 480 * 640 * 3; i++)
      pixels[i] = (guint8) n;
    if (draft == NULL || ndsh_draft_publish (draft, NULL) == 0)
      break;
    g_usleep (G_USEC_PER_SEC / 30);
  }
  if (error != NULL)
    g_printerr ("%s\n", error->message);
  return error != NULL;
}
