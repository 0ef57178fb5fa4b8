/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Finding channels, and asking a writer about itself without reading. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "channel.h"

#include "array.h"
#include "error.h"
#include "lifeline.h"
#include "rendezvous.h"

#define MAX_STATUS                                                             \
  (sizeof (NdshStatus) + NDSH_MAX_PACKED_ARRAYS + NDSH_MAX_DESCRIPTION + NDSH_MAX_METADATA)

NDSH_API char **
ndsh_list_channels (void)
{
  return ndsh_name_list ();
}

static void
fail (GError **error, NdshError code, const char *name, const char *what)
{
  g_set_error (error, NDSH_ERROR, code, "the writer of channel '%s' %s", name,
               what);
}

NdshIo
ndsh_status_ask (int fd, guint32 type)
{
  NdshHeader question;

  ndsh_header_init (&question, type, sizeof question);
  return ndsh_message_send (fd, &question, sizeof question, NULL, 0);
}

static void
wait_for_answer (int fd)
{
  struct pollfd wait = { .fd = fd, .events = POLLIN };
  gint64 deadline_us = g_get_monotonic_time () + NDSH_PATIENCE_MS * 1000;
  gint64 left_us;

  while ((left_us = deadline_us - g_get_monotonic_time ()) > 0
         && poll (&wait, 1, (int) (left_us / 1000) + 1) < 0 && errno == EINTR)
    ;
}

/* Each number is bounded before it is added to another. */
static gboolean
check (const NdshStatus *status, gsize size)
{
  return status->header.magic == NDSH_MAGIC && status->header.major == NDSH_MAJOR
         && status->header.type == NDSH_MESSAGE_STATUS
         && status->n_arrays <= NDSH_MAX_ARRAYS && status->clock <= NDSH_CLOCK_NONE
         && status->arrays_size <= size && status->description_size <= size
         && status->stream_metadata_size <= size
         && (guint64) status->arrays_size + status->description_size
                + status->stream_metadata_size
              <= size;
}

/* The answer is foreign, but it is ours alone: it does not change. */
static gboolean
parse (const guint8 *answer, gsize size, NdshChannelInfo *info)
{
  NdshStatus status;

  if (size < sizeof status)
    return FALSE;
  memcpy (&status, answer, sizeof status);
  if (!check (&status, size - sizeof status))
    return FALSE;
  answer += sizeof status;
  if (status.n_arrays > 0
      && !ndsh_arrays_unpack (answer, status.arrays_size, G_MAXSIZE,
                              info->arrays, status.n_arrays))
    return FALSE;
  info->n_arrays = status.n_arrays;
  info->description = g_strndup ((const char *) answer + status.arrays_size,
                                 status.description_size);
  info->metadata_size = status.stream_metadata_size;
  info->metadata = g_memdup (answer + status.arrays_size + status.description_size,
                             status.stream_metadata_size);
  ndsh_stream_id_copy (info->stream_id, status.stream_id);
  info->published = status.published;
  info->publish_ns = status.publish_ns;
  info->n_readers = status.n_readers;
  info->bytes = status.bytes;
  info->duration_ns = status.duration_ns;
  info->timing.clock = (NdshClock) status.clock;
  info->timing.origin_ns = status.origin_ns;
  info->timing.latency_ns = status.latency_ns;
  return TRUE;
}

NdshIo
ndsh_status_hear (int fd, NdshChannelInfo **info)
{
  g_autofree guint8 *answer = g_malloc (MAX_STATUS);
  g_autoptr (NdshChannelInfo) heard = g_new0 (NdshChannelInfo, 1);
  gssize size = recv (fd, answer, MAX_STATUS, MSG_DONTWAIT);

  if (size < 0 && (errno == EAGAIN || errno == EINTR))
    return NDSH_IO_AGAIN;
  if (size <= 0)
    return NDSH_IO_GONE;
  if (!parse (answer, (gsize) size, heard))
    return NDSH_IO_BAD;
  ndsh_peer_get (fd, &heard->pid, &heard->uid);
  *info = g_steal_pointer (&heard);
  return NDSH_IO_DONE;
}

static NdshIo
query (int fd, NdshChannelInfo **info)
{
  if (ndsh_status_ask (fd, NDSH_MESSAGE_STATUS) != NDSH_IO_DONE)
    return NDSH_IO_GONE;
  wait_for_answer (fd);
  return ndsh_status_hear (fd, info);
}

static void
explain (NdshIo io, const char *name, GError **error)
{
  switch (io) {
  case NDSH_IO_AGAIN:
    fail (error, NDSH_ERROR_TIMEOUT, name, "does not answer: is it stopped?");
    break;
  case NDSH_IO_GONE:
    fail (error, NDSH_ERROR_NOT_FOUND, name, "went without an answer");
    break;
  case NDSH_IO_BAD:
    fail (error, NDSH_ERROR_INCOMPATIBLE, name,
          "gave an answer that cannot be; run the same release on both sides");
    break;
  case NDSH_IO_DONE:
    break;
  }
}

NDSH_API NdshChannelInfo *
ndsh_channel_info_new (const char *name, GError **error)
{
  NdshChannelInfo *info = NULL;
  NdshIo io = NDSH_IO_GONE;

  g_return_val_if_fail (name != NULL, NULL);

  if (!ndsh_name_check (name, error))
    return NULL;
  /* Twice: where one has gone another may have the name already. */
  for (int tries = 0; tries < 2 && io == NDSH_IO_GONE; tries++) {
    int fd = ndsh_name_connect (name, NULL, error);

    if (fd < 0)
      return NULL;
    io = query (fd, &info);
    ndsh_lifeline_close (fd);
  }
  explain (io, name, error);
  return info;
}

NDSH_API void
ndsh_channel_info_free (NdshChannelInfo *info)
{
  if (info == NULL)
    return;
  g_free (info->description);
  g_free (info->metadata);
  g_free (info);
}
