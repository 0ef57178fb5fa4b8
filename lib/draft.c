/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A draft: a slot that is the writer's to fill, from begin to release.
 */
#include "writer-private.h"

#include <string.h>
#include <time.h>

#include "array.h"
#include "error.h"

struct _NdshDraft {
  NdshWriter *writer;
  NdshSegment *segment;
  int slot;
  gboolean published;
  gsize capacity;
  gsize payload_size;
  gsize metadata_size;
  guint n_arrays;
  NdshArrayInfo *arrays;
};

/* --- A slot becomes a draft ----------------------------------------------- */

static NdshDraft *
draft_new (NdshWriter *writer, int slot, const NdshArrayInfo *arrays,
           guint n_arrays, gsize size)
{
  NdshDraft *draft = g_new0 (NdshDraft, 1);

  g_atomic_int_inc (&writer->refs);
  draft->writer = writer;
  draft->segment = ndsh_segment_ref (writer->memory[slot].segment);
  draft->slot = slot;
  draft->capacity = (gsize) writer->slots.slot[slot].capacity;
  draft->payload_size = size;
  draft->n_arrays = n_arrays;
  draft->arrays = g_new (NdshArrayInfo, n_arrays);
  memcpy (draft->arrays, arrays, n_arrays * sizeof *arrays);
  return draft;
}

static NdshDraft *
begin (NdshWriter *writer, const NdshArrayInfo *arrays, guint n_arrays,
       gboolean may_wait, GError **error)
{
  NdshDraft *draft = NULL;
  gsize size;
  int slot;

  g_return_val_if_fail (writer != NULL && arrays != NULL, NULL);

  if (ndsh_writer_is_forked (writer)) {
    ndsh_writer_set_forked (writer, error);
    return NULL;
  }
  if (!ndsh_arrays_measure (arrays, n_arrays, &size, error))
    return NULL;
  /* That thread hears the wake-ups that a wait would be for. */
  may_wait = may_wait && !ndsh_service_is_current (writer->service);
  ndsh_writer_lock (writer);
  slot = ndsh_store_take_slot (writer, arrays, n_arrays, size, may_wait, error);
  if (slot >= 0)
    draft = draft_new (writer, slot, arrays, n_arrays, size);
  ndsh_writer_unlock (writer);
  return draft;
}

NDSH_API NdshDraft *
ndsh_writer_begin (NdshWriter *writer, const NdshArrayInfo *arrays,
                   guint n_arrays, GError **error)
{
  return begin (writer, arrays, n_arrays, TRUE, error);
}

NDSH_API NdshDraft *
ndsh_writer_try_begin (NdshWriter *writer, const NdshArrayInfo *arrays,
                       guint n_arrays, GError **error)
{
  return begin (writer, arrays, n_arrays, FALSE, error);
}

/* --- It is filled --------------------------------------------------------- */

NDSH_API gpointer
ndsh_draft_get_data (NdshDraft *draft)
{
  g_return_val_if_fail (draft != NULL, NULL);

  return draft->segment->data;
}

NDSH_API gsize
ndsh_draft_get_size (NdshDraft *draft)
{
  g_return_val_if_fail (draft != NULL, 0);

  return draft->capacity;
}

NDSH_API gboolean
ndsh_draft_set_arrays (NdshDraft *draft, const NdshArrayInfo *arrays,
                       guint n_arrays, GError **error)
{
  gsize size;

  g_return_val_if_fail (draft != NULL && arrays != NULL, FALSE);

  if (!ndsh_arrays_measure (arrays, n_arrays, &size, error))
    return FALSE;
  if (size > draft->capacity) {
    g_set_error (error, NDSH_ERROR, NDSH_ERROR_INVALID,
                 "the arrays need %" G_GSIZE_FORMAT
                 " bytes and the draft has %" G_GSIZE_FORMAT
                 ": begin another with these arrays",
                 size, draft->capacity);
    return FALSE;
  }
  if (n_arrays > draft->n_arrays)
    draft->arrays = g_renew (NdshArrayInfo, draft->arrays, n_arrays);
  memcpy (draft->arrays, arrays, n_arrays * sizeof *arrays);
  draft->n_arrays = n_arrays;
  draft->payload_size = size;
  return TRUE;
}

NDSH_API gboolean
ndsh_draft_set_size (NdshDraft *draft, gsize size, GError **error)
{
  gsize reached = 0;

  g_return_val_if_fail (draft != NULL, FALSE);

  ndsh_arrays_measure (draft->arrays, draft->n_arrays, &reached, NULL);
  if (size < reached || size > draft->capacity) {
    g_set_error (error, NDSH_ERROR, NDSH_ERROR_INVALID,
                 "a frame of %" G_GSIZE_FORMAT
                 " bytes cannot be: its arrays reach %" G_GSIZE_FORMAT
                 " and the draft has %" G_GSIZE_FORMAT,
                 size, reached, draft->capacity);
    return FALSE;
  }
  draft->payload_size = size;
  return TRUE;
}

static gboolean
commit_tail (NdshDraft *draft, gsize size, GError **error)
{
  return ndsh_store_commit_tail (draft->writer, draft->slot, size, error);
}

static guint8 *
get_tail (NdshDraft *draft)
{
  return (guint8 *) draft->segment->data + draft->capacity;
}

NDSH_API gboolean
ndsh_draft_set_metadata (NdshDraft *draft, gconstpointer data, gsize size,
                         GError **error)
{
  gboolean fits_in;

  g_return_val_if_fail (draft != NULL && (data != NULL || size == 0), FALSE);
  g_return_val_if_fail (!draft->published, FALSE);

  if (size > NDSH_MAX_METADATA) {
    g_set_error (error, NDSH_ERROR, NDSH_ERROR_INVALID,
                 "a frame has %d bytes of metadata at the most, not "
                 "%" G_GSIZE_FORMAT,
                 NDSH_MAX_METADATA, size);
    return FALSE;
  }
  if (ndsh_writer_is_forked (draft->writer))
    return ndsh_writer_set_forked (draft->writer, error);
  ndsh_writer_lock (draft->writer);
  draft->writer->tail_hint = MAX (draft->writer->tail_hint, size);
  fits_in = commit_tail (draft, size, error);
  ndsh_writer_unlock (draft->writer);
  if (!fits_in)
    return FALSE;
  if (size > 0)
    memcpy (get_tail (draft), data, size);
  draft->metadata_size = size;
  return TRUE;
}

/* --- It becomes a frame --------------------------------------------------- */

static gint64
now_ns (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return (gint64) now.tv_sec * 1000000000 + now.tv_nsec;
}

static gboolean
write_tail (NdshDraft *draft, NdshFrameRecord *record, GError **error)
{
  NdshWriter *writer = draft->writer;
  gsize arrays_size = ndsh_arrays_packed_size (draft->arrays, draft->n_arrays);
  guint8 *at = get_tail (draft) + draft->metadata_size;

  if (!commit_tail (draft,
                    draft->metadata_size + arrays_size
                      + writer->description_size,
                    error))
    return FALSE;
  ndsh_arrays_pack (draft->arrays, draft->n_arrays, at);
  if (writer->description_size > 0)
    memcpy (at + arrays_size, writer->description, writer->description_size);
  record->tail_offset = draft->capacity;
  record->metadata_size = (guint32) draft->metadata_size;
  record->arrays_size = (guint32) arrays_size;
  record->description_size = (guint32) writer->description_size;
  record->n_arrays = draft->n_arrays;
  return TRUE;
}

static gboolean
write_record (NdshDraft *draft, const NdshFrameInfo *info, GError **error)
{
  static const NdshFrameInfo unknown
    = { .timestamp_ns = -1, .duration_ns = -1, .offset = G_MAXUINT64 };
  NdshWriter *writer = draft->writer;
  NdshFrameRecord record = { .full_seq = writer->slots.published + 1,
                             .payload_size = draft->payload_size,
                             .generation = writer->memory[draft->slot].generation,
                             .publish_ns = now_ns (),
                             .ends = writer->slots.ends };

  if (info == NULL)
    info = &unknown;
  record.timestamp_ns = info->timestamp_ns;
  record.duration_ns = info->duration_ns;
  record.offset = info->offset;
  record.flags = info->flags;
  record.origin_ns = writer->timing.origin_ns;
  record.latency_ns = writer->timing.latency_ns;
  record.clock = writer->timing.clock;
  if (!write_tail (draft, &record, error))
    return FALSE;
  writer->slots.control->slot[draft->slot].frame = record;
  return TRUE;
}

static guint64
publish_locked (NdshDraft *draft, const NdshFrameInfo *info)
{
  NdshWriter *writer = draft->writer;
  g_autoptr (GError) error = NULL;
  guint64 number;

  if (writer->closed || draft->published)
    return 0;
  if (!write_record (draft, info, &error)) {
    g_message ("a frame of channel '%s' is lost: %s", writer->channel,
               error->message);
    return 0;
  }
  draft->published = TRUE;
  ndsh_audience_demote_overrun (writer);
  number = ndsh_slots_publish (&writer->slots, draft->slot);
  ndsh_audience_ring (writer);
  return number;
}

NDSH_API guint64
ndsh_draft_publish (NdshDraft *draft, const NdshFrameInfo *info)
{
  guint64 number;

  g_return_val_if_fail (draft != NULL, 0);

  if (ndsh_writer_is_forked (draft->writer))
    return 0;
  ndsh_writer_lock (draft->writer);
  number = publish_locked (draft, info);
  ndsh_writer_unlock (draft->writer);
  return number;
}

/* --- The writer's side lets go -------------------------------------------- */

NDSH_API void
ndsh_draft_release (NdshDraft *draft)
{
  NdshWriter *writer;

  if (draft == NULL)
    return;
  writer = draft->writer;
  if (!ndsh_writer_is_forked (writer)) {
    ndsh_writer_lock (writer);
    ndsh_slots_release (&writer->slots, draft->slot);
    pthread_cond_broadcast (&writer->changed);
    if (writer->full && !writer->closed)
      ndsh_service_wake (writer->service);
    ndsh_writer_unlock (writer);
    ndsh_segment_unref (draft->segment);
    ndsh_writer_unref (writer);
  }
  g_free (draft->arrays);
  g_free (draft);
}
