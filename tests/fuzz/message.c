/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Whether so many bytes, with so many fds, are a message. One that is accepted has
 * all fields of its type, and its text an end.
 */
#include "fuzz.h"

#include <string.h>

#include "message.h"

static const gsize sizes[]
  = { 0, sizeof (NdshHello), sizeof (NdshHeader), sizeof (NdshWelcome),
      sizeof (NdshRefused), sizeof (NdshSegmentMessage), sizeof (NdshHeader),
      sizeof (NdshHeader) };

static void
check_accepted (const NdshMessage *message, gsize size, guint n_fds)
{
  const NdshHeader *header = &message->body.header;

  if (size == 1) {
    g_assert (n_fds == 0 && *(const char *) header == 'w');
    return;
  }
  g_assert (header->magic == NDSH_MAGIC && header->major == NDSH_MAJOR);
  g_assert (header->type >= 1 && header->type < G_N_ELEMENTS (sizes));
  g_assert (size >= sizes[header->type]);
  g_assert (n_fds == (header->type == NDSH_MESSAGE_WELCOME   ? 3
                      : header->type == NDSH_MESSAGE_SEGMENT ? message->body.segment.size > 0
                                                             : 0));
  if (header->type == NDSH_MESSAGE_REFUSED)
    g_assert (strnlen (message->body.refused.text,
                       sizeof message->body.refused.text)
              < sizeof message->body.refused.text);
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  FuzzInput input = { data, size };
  guint n_fds = fuzz_u8 (&input) % 9;
  g_autoptr (GError) error = NULL;
  NdshMessage message;

  /* A socket gives no more than there is room for. */
  size = MIN (input.size, sizeof message.body);
  memset (&message, 0, sizeof message);
  fuzz_bytes (&input, &message.body, size);
  if (ndsh_message_check (&message, size, n_fds, &error)) {
    g_assert_no_error (error);
    check_accepted (&message, size, n_fds);
  } else {
    g_assert_error (error, NDSH_ERROR, NDSH_ERROR_INCOMPATIBLE);
  }
  return 0;
}
