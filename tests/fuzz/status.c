/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a tool makes of a writer's answer to STATUS. */
#include "../../lib/channel.c"

#include "fuzz.h"

static guint8 *answer_end;

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  NdshChannelInfo *info;

  if (answer_end == NULL)
    answer_end = fuzz_fence_new (MAX_STATUS);
  size = MIN (size, MAX_STATUS);
  if (size > 0)
    memcpy (answer_end - size, data, size);
  info = g_new0 (NdshChannelInfo, 1);
  if (parse (answer_end - size, size, info)) {
    if (info->n_arrays > 0)
      fuzz_check_arrays (info->arrays, info->n_arrays, G_MAXSIZE);
    g_assert (strlen (info->description) <= size);
    g_assert (strlen (info->stream_id) <= 32);
  }
  ndsh_channel_info_free (info);
  return 0;
}
