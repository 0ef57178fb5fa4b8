/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A writer starts and stops: its options, its name, its thread, its control page. */
#include "writer.h"
#include "writer-private.h"

#include <string.h>

#include "error.h"

#define DEFAULT_HISTORY 1
#define DEFAULT_MAX_READERS 16
#define DEFAULT_LOSSLESS_TIMEOUT_US G_USEC_PER_SEC
#define YOUTH_US 20000
#define DEFAULT_PERMS 0600

/* As good as for ever, and a time that can be added to another. */
#define MAX_LOSSLESS_TIMEOUT_US (365 * G_TIME_SPAN_DAY)

static gboolean
option_is_bad (GError **error, const char *name, guint64 value, guint64 max)
{
  if (value <= max)
    return FALSE;
  g_set_error (error, NDSH_ERROR, NDSH_ERROR_INVALID,
               "%s is %" G_GUINT64_FORMAT ", and %" G_GUINT64_FORMAT
               " at the most",
               name, value, max);
  return TRUE;
}

static gboolean
set_options (NdshWriter *writer, const NdshWriterOptions *given, GError **error)
{
  NdshWriterOptions *o = &writer->options;

  if (given != NULL)
    *o = *given;
  if (option_is_bad (error, "history", o->history, NDSH_MAX_QUEUE)
      || option_is_bad (error, "perms", o->perms, 0777))
    return FALSE;
  if (o->history == 0)
    o->history = DEFAULT_HISTORY;
  if (o->max_readers == 0)
    o->max_readers = DEFAULT_MAX_READERS;
  if (o->lossless_timeout_us == 0)
    o->lossless_timeout_us = DEFAULT_LOSSLESS_TIMEOUT_US;
  o->lossless_timeout_us = MIN (o->lossless_timeout_us, MAX_LOSSLESS_TIMEOUT_US);
  if (o->perms == 0)
    o->perms = DEFAULT_PERMS;
  return TRUE;
}

static void
init_sync (NdshWriter *writer)
{
  pthread_condattr_t attributes;

  pthread_mutex_init (&writer->mutex, NULL);
  pthread_condattr_init (&attributes);
  pthread_condattr_setclock (&attributes, CLOCK_MONOTONIC);
  pthread_cond_init (&writer->changed, &attributes);
  pthread_condattr_destroy (&attributes);
}

static void
make_stream_id (char id[33])
{
  g_autofree char *uuid = g_uuid_string_random ();
  guint n = 0;

  for (const char *c = uuid; *c != '\0' && n < 32; c++)
    if (*c != '-')
      id[n++] = *c;
  id[n] = '\0';
}

static NdshTrust trust;         /* the same for all writers of a process */

static void
find_trust (void)
{
  static const char *const words[]
    = { [NDSH_TRUST_UNKNOWN] = "the writer, and perhaps who may open /dev/udmabuf, as "
                               "this process may not",
        [NDSH_TRUST_WRITER] = "the writer alone",
        [NDSH_TRUST_UDMABUF] = "the writer, and who may open /dev/udmabuf, which "
                               "on this kernel makes read-only memory writable",
        [NDSH_TRUST_USER] = "the writer, and all processes of its user, for there is no "
                            "F_SEAL_FUTURE_WRITE before Linux 5.1" };

  trust = ndsh_segment_find_trust ("/dev/udmabuf");
  g_info ("those who could write to frames: %s", words[trust]);
}

static gboolean
make_control (NdshWriter *writer, guint64 first, GError **error)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  NdshControl *control;

  pthread_once (&once, find_trust);
  writer->control = ndsh_segment_new ("ndsh-control", sizeof *control,
                                      sizeof *control, NDSH_SEGMENT_READ, error);
  if (writer->control == NULL)
    return FALSE;
  control = writer->control->data;
  control->magic = NDSH_MAGIC;
  control->major = NDSH_MAJOR;
  control->minor = NDSH_MINOR;
  control->size = sizeof *control;
  control->record_size = sizeof control->slot[0];
  control->n_slots = NDSH_N_SLOTS;
  control->ring_size = NDSH_RING;
  control->byte_order = 0x01020304;
  memcpy (control->stream_id, writer->stream_id, sizeof control->stream_id);
  ndsh_slots_init (&writer->slots, control, writer->options.history, first);
  return TRUE;
}

void
ndsh_writer_unref (NdshWriter *writer)
{
  if (!g_atomic_int_dec_and_test (&writer->refs))
    return;
  for (guint i = 0; i < NDSH_N_SLOTS; i++)
    ndsh_segment_unref (writer->memory[i].segment);
  g_ptr_array_unref (writer->retired);
  ndsh_segment_unref (writer->control);
  pthread_cond_destroy (&writer->changed);
  pthread_mutex_destroy (&writer->mutex);
  g_free (writer->format.packed);
  g_free (writer->spare_draft);
  g_free (writer->description);
  g_free (writer->metadata);
  g_free (writer->channel);
  g_free (writer);
}

/* Under the mutex, so that the first reader waits until all is in place. */
static gboolean
start_service (NdshWriter *writer, int listen_fd, GError **error)
{
  ndsh_writer_lock (writer);
  writer->service = ndsh_service_new (listen_fd, &ndsh_audience_callbacks, writer, error);
  ndsh_writer_unlock (writer);
  return writer->service != NULL;
}

static gboolean
start (NdshWriter *writer, guint64 first, GError **error)
{
  int listen_fd;

  if (!make_control (writer, first, error))
    return FALSE;
  writer->name = ndsh_name_take (writer->channel, writer->options.perms,
                                 &listen_fd, error);
  return writer->name != NULL && start_service (writer, listen_fd, error);
}

NdshWriter *
ndsh_writer_new_at (const char *channel, const NdshWriterOptions *options,
                    guint64 first, GError **error)
{
  NdshWriter *writer = g_new0 (NdshWriter, 1);

  writer->refs = 1;
  writer->process = ndsh_lifeline_watch ();
  writer->channel = g_strdup (channel);
  writer->meaning = 1;
  writer->since_us = g_get_monotonic_time ();
  writer->retired
    = g_ptr_array_new_with_free_func ((GDestroyNotify) ndsh_segment_unref);
  init_sync (writer);
  make_stream_id (writer->stream_id);
  if (set_options (writer, options, error) && start (writer, first, error))
    return writer;
  if (writer->name != NULL)
    ndsh_name_give_back (writer->name);
  ndsh_writer_unref (writer);
  return NULL;
}

NDSH_API NdshWriter *
ndsh_writer_new (const char *name, const NdshWriterOptions *options,
                 GError **error)
{
  g_return_val_if_fail (name != NULL, NULL);

  return ndsh_writer_new_at (name, options, 1, error);
}

/* With the mutex. FALSE once it is too late, -1 for never. */
static gboolean
wait_for_change (NdshWriter *writer, gint64 deadline_us)
{
  struct timespec until = { .tv_sec = deadline_us / G_USEC_PER_SEC,
                            .tv_nsec = deadline_us % G_USEC_PER_SEC * 1000 };

  return (deadline_us < 0 ? pthread_cond_wait (&writer->changed, &writer->mutex)
                          : pthread_cond_timedwait (&writer->changed, &writer->mutex,
                                                    &until))
         == 0;
}

/* With the mutex. Who waits for a writer has just heard of one that is so young, and is on
 * its way to what that has published. */
static void
let_readers_come (NdshWriter *writer)
{
  gboolean is_awaited = !writer->was_read && writer->slots.control->head != 0;

  while (is_awaited && !writer->was_read
         && wait_for_change (writer, writer->since_us + YOUTH_US))
    ;
}

NDSH_API gboolean
ndsh_writer_wait_for_reader (NdshWriter *writer, gint64 timeout_us, GError **error)
{
  gint64 now_us = g_get_monotonic_time (), deadline_us = -1;
  gboolean is_read;

  g_return_val_if_fail (writer != NULL, FALSE);

  if (ndsh_writer_is_forked (writer))
    return ndsh_writer_set_forked (writer, error);
  if (timeout_us >= 0 && timeout_us < G_MAXINT64 - now_us)
    deadline_us = now_us + timeout_us;
  ndsh_writer_lock (writer);
  while (writer->slots.readers == NULL && !writer->flushing
         && wait_for_change (writer, deadline_us))
    ;
  is_read = writer->slots.readers != NULL;
  ndsh_writer_unlock (writer);
  if (!is_read)
    g_set_error (error, NDSH_ERROR, NDSH_ERROR_TIMEOUT,
                 "no reader of channel '%s' came within %.3f s", writer->channel,
                 timeout_us / 1e6);
  return is_read;
}

NDSH_API void
ndsh_writer_free (NdshWriter *writer)
{
  /* A child has neither the thread nor, for sure, the mutex: what it inherited
   * stays as it is. */
  if (writer == NULL || ndsh_writer_is_forked (writer))
    return;

  ndsh_writer_lock (writer);
  let_readers_come (writer);
  writer->closed = TRUE;
  pthread_cond_broadcast (&writer->changed);
  ndsh_writer_unlock (writer);

  ndsh_service_free (writer->service);
  ndsh_name_give_back (writer->name);
  ndsh_writer_lock (writer);
  ndsh_audience_clear (writer);
  ndsh_writer_unlock (writer);
  ndsh_writer_unref (writer);
}

NDSH_API gboolean
ndsh_writer_set_description (NdshWriter *writer, const char *description,
                             GError **error)
{
  gsize size;

  g_return_val_if_fail (writer != NULL, FALSE);

  if (ndsh_writer_is_forked (writer))
    return ndsh_writer_set_forked (writer, error);
  size = description != NULL ? strlen (description) : 0;
  if (size > NDSH_MAX_DESCRIPTION) {
    g_set_error (error, NDSH_ERROR, NDSH_ERROR_INVALID,
                 "a description has %d bytes at the most, not %" G_GSIZE_FORMAT,
                 NDSH_MAX_DESCRIPTION, size);
    return FALSE;
  }
  ndsh_writer_lock (writer);
  if (g_strcmp0 (writer->description, description) != 0) {
    g_free (writer->description);
    writer->description = g_strdup (description);
    writer->description_size = size;
    writer->meaning++;
    writer->format.is_old = TRUE;
  }
  ndsh_writer_unlock (writer);
  return TRUE;
}

static gboolean
is_metadata (const NdshWriter *writer, gconstpointer metadata, gsize size)
{
  return writer->metadata_size == size
         && (size == 0 || memcmp (writer->metadata, metadata, size) == 0);
}

NDSH_API gboolean
ndsh_writer_set_metadata (NdshWriter *writer, gconstpointer metadata, gsize size,
                          GError **error)
{
  g_return_val_if_fail (writer != NULL && (metadata != NULL || size == 0), FALSE);

  if (ndsh_writer_is_forked (writer))
    return ndsh_writer_set_forked (writer, error);
  if (size > NDSH_MAX_METADATA) {
    g_set_error (error, NDSH_ERROR, NDSH_ERROR_INVALID,
                 "a stream has %d bytes of metadata at the most, not %" G_GSIZE_FORMAT,
                 NDSH_MAX_METADATA, size);
    return FALSE;
  }
  ndsh_writer_lock (writer);
  if (!is_metadata (writer, metadata, size)) {
    writer->metadata = g_realloc (writer->metadata, size);
    if (size > 0)
      memcpy (writer->metadata, metadata, size);
    writer->metadata_size = size;
    writer->format.is_old = TRUE;
  }
  ndsh_writer_unlock (writer);
  return TRUE;
}

NDSH_API void
ndsh_writer_set_timing (NdshWriter *writer, const NdshTiming *timing)
{
  g_return_if_fail (writer != NULL && timing != NULL);

  if (ndsh_writer_is_forked (writer))
    return;
  ndsh_writer_lock (writer);
  writer->timing = *timing;
  ndsh_writer_unlock (writer);
}

NDSH_API void
ndsh_writer_end (NdshWriter *writer)
{
  g_return_if_fail (writer != NULL);

  if (ndsh_writer_is_forked (writer))
    return;
  ndsh_writer_lock (writer);
  ndsh_slots_end (&writer->slots);
  ndsh_audience_ring (writer);
  ndsh_writer_unlock (writer);
}

NDSH_API void
ndsh_writer_set_flushing (NdshWriter *writer, gboolean flushing)
{
  g_return_if_fail (writer != NULL);

  if (ndsh_writer_is_forked (writer))
    return;
  ndsh_writer_lock (writer);
  writer->flushing = flushing;
  pthread_cond_broadcast (&writer->changed);
  ndsh_writer_unlock (writer);
}

NDSH_API const char *
ndsh_writer_get_stream_id (NdshWriter *writer)
{
  g_return_val_if_fail (writer != NULL, NULL);

  return writer->stream_id;
}

NDSH_API void
ndsh_writer_get_info (NdshWriter *writer, NdshWriterInfo *info)
{
  g_return_if_fail (writer != NULL && info != NULL);

  memset (info, 0, sizeof *info);
  if (ndsh_writer_is_forked (writer))
    return;
  ndsh_writer_lock (writer);
  info->published = writer->slots.published;
  info->n_slots = writer->slots.n_slots;
  info->bytes = writer->bytes;
  info->max_bytes = writer->max_bytes;
  if (writer->frame_bytes > 0)
    info->max_frames = (guint) MIN (writer->max_bytes / writer->frame_bytes,
                                    NDSH_N_SLOTS);
  info->retired_bytes = ndsh_store_count_retired (writer);
  info->trust = trust;
  info->key_requests = writer->key_requests;
  ndsh_writer_unlock (writer);
}

gboolean
ndsh_writer_set_forked (NdshWriter *writer, GError **error)
{
  g_set_error (error, NDSH_ERROR, NDSH_ERROR_FORKED,
               "channel '%s' was opened by the process that forked this one: "
               "open it in the child",
               writer->channel);
  return FALSE;
}
