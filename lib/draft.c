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
  gboolean described;
  guint meaning;
  gboolean published;
  gsize capacity;
  NdshFrameRecord record;       /* but for what is known when it is published */
};

/* --- What it looks like --------------------------------------------------- */

static gboolean
is_format (const Format *format, const NdshArrayInfo *arrays, guint n_arrays)
{
  if (format->number == 0 || format->is_old || format->n_arrays != n_arrays)
    return FALSE;
  for (guint i = 0; i < n_arrays; i++)
    if (!ndsh_array_info_equal (&format->arrays[i], &arrays[i]))
      return FALSE;
  return TRUE;
}

static guint8 *
append (guint8 *to, gconstpointer from, gsize size)
{
  if (size > 0)
    memcpy (to, from, size);
  return to + size;
}

/* FALSE, and it is as it was, if @arrays cannot be. Drafts look like their predecessors,
 * nearly always. */
static gboolean
update_format (NdshWriter *writer, const NdshArrayInfo *arrays, guint n_arrays,
               GError **error)
{
  Format *format = &writer->format;
  gsize reached;

  if (is_format (format, arrays, n_arrays))
    return TRUE;
  if (!ndsh_arrays_measure (arrays, n_arrays, &reached, error))
    return FALSE;
  format->number = MAX (format->number + 1, 1);
  format->is_old = FALSE;
  format->meaning = writer->meaning;
  format->n_arrays = n_arrays;
  format->reached = reached;
  memcpy (format->arrays, arrays, n_arrays * sizeof *arrays);
  format->arrays_size = ndsh_arrays_packed_size (arrays, n_arrays);
  format->description_size = writer->description_size;
  format->size
    = format->arrays_size + writer->description_size + writer->metadata_size;
  format->packed = g_realloc (format->packed, format->size);
  ndsh_arrays_pack (arrays, n_arrays, format->packed);
  append (append (format->packed + format->arrays_size, writer->description,
                  writer->description_size),
          writer->metadata, writer->metadata_size);
  return TRUE;
}

/* The slot's tail keeps its format from one frame to the next. */
static void
write_tail (NdshDraft *draft, gconstpointer metadata, gsize metadata_size)
{
  const Format *format = &draft->writer->format;
  SlotMemory *memory = &draft->writer->memory[draft->slot];
  guint8 *tail = (guint8 *) draft->segment->data + draft->capacity;

  if (memory->format != format->number)
    memcpy (tail, format->packed, format->size);
  memory->format = format->number;
  if (metadata_size > 0)
    memcpy (tail + format->size, metadata, metadata_size);
}

/* Memory for the tail that the writer's format has. It is got without the mutex, and
 * meanwhile another draft may have been described. */
static gboolean
get_tail_memory (NdshDraft *draft, const NdshArrayInfo *arrays, guint n_arrays,
                 gsize metadata_size, GError **error)
{
  NdshWriter *writer = draft->writer;

  for (;;) {
    gsize size = writer->format.size + metadata_size;

    if (ndsh_store_has_tail (writer, draft->slot, size))
      return TRUE;
    if (!ndsh_store_commit_tail (writer, draft->slot, size, error)
        || !update_format (writer, arrays, n_arrays, error))
      return FALSE;
  }
}

/* As the writer's format says, which is that of @arrays. From here on the frame has all
 * the memory that it needs. */
static gboolean
describe (NdshDraft *draft, const NdshArrayInfo *arrays, guint n_arrays, gsize size,
          gconstpointer metadata, gsize metadata_size, GError **error)
{
  NdshWriter *writer = draft->writer;
  const Format *format = &writer->format;
  NdshFrameRecord *record = &draft->record;

  writer->metadata_hint = MAX (writer->metadata_hint, metadata_size);
  if (!get_tail_memory (draft, arrays, n_arrays, metadata_size, error))
    return FALSE;
  write_tail (draft, metadata, metadata_size);
  record->payload_size = size;
  record->tail_offset = draft->capacity;
  record->generation = writer->memory[draft->slot].generation;
  record->arrays_size = (guint32) format->arrays_size;
  record->description_size = (guint32) format->description_size;
  record->stream_metadata_size
    = (guint32) (format->size - format->arrays_size - format->description_size);
  record->metadata_size = (guint32) metadata_size;
  record->n_arrays = n_arrays;
  record->format = format->number;
  draft->meaning = format->meaning;
  draft->described = TRUE;
  return TRUE;
}

/* --- A slot becomes a draft ----------------------------------------------- */

static NdshDraft *
draft_new (NdshWriter *writer, int slot)
{
  NdshDraft *draft = writer->spare_draft != NULL ? g_steal_pointer (&writer->spare_draft)
                                                 : g_new (NdshDraft, 1);

  g_atomic_int_inc (&writer->refs);
  memset (draft, 0, sizeof *draft);
  draft->writer = writer;
  draft->segment = ndsh_segment_ref (writer->memory[slot].segment);
  draft->slot = slot;
  draft->capacity = (gsize) writer->slots.slot[slot].capacity;
  return draft;
}

/* With the mutex, like the next one. */
static NdshDraft *
begin_bytes (NdshWriter *writer, gsize size, gboolean may_wait, GError **error)
{
  int slot;

  /* That thread hears the wake-ups that a wait would be for. */
  may_wait = may_wait && !ndsh_service_is_current (writer->service);
  slot = ndsh_store_take_slot (writer, size, may_wait, error);
  return slot >= 0 ? draft_new (writer, slot) : NULL;
}

/* Gives the mutex up on failure, as ndsh_draft_release () takes it. */
static NdshDraft *
begin_arrays (NdshWriter *writer, const NdshArrayInfo *arrays, guint n_arrays,
              gboolean may_wait, GError **error)
{
  NdshDraft *draft;
  gsize size;

  if (!update_format (writer, arrays, n_arrays, error))
    return NULL;
  size = writer->format.reached;
  draft = begin_bytes (writer, size, may_wait, error);
  /* That may have waited, without the mutex. */
  if (draft == NULL
      || (update_format (writer, arrays, n_arrays, error)
          && describe (draft, arrays, n_arrays, size, NULL, 0, error)))
    return draft;
  ndsh_writer_unlock (writer);
  ndsh_draft_release (draft);
  ndsh_writer_lock (writer);
  return NULL;
}

static NdshDraft *
begin (NdshWriter *writer, const NdshArrayInfo *arrays, guint n_arrays,
       gboolean may_wait, GError **error)
{
  NdshDraft *draft;

  if (ndsh_writer_is_forked (writer)) {
    ndsh_writer_set_forked (writer, error);
    return NULL;
  }
  ndsh_writer_lock (writer);
  draft = begin_arrays (writer, arrays, n_arrays, may_wait, error);
  ndsh_writer_unlock (writer);
  return draft;
}

NDSH_API NdshDraft *
ndsh_writer_begin (NdshWriter *writer, const NdshArrayInfo *arrays,
                   guint n_arrays, GError **error)
{
  g_return_val_if_fail (writer != NULL && arrays != NULL, NULL);

  return begin (writer, arrays, n_arrays, TRUE, error);
}

NDSH_API NdshDraft *
ndsh_writer_try_begin (NdshWriter *writer, const NdshArrayInfo *arrays,
                       guint n_arrays, GError **error)
{
  g_return_val_if_fail (writer != NULL && arrays != NULL, NULL);

  return begin (writer, arrays, n_arrays, FALSE, error);
}

NDSH_API NdshDraft *
ndsh_writer_begin_bytes (NdshWriter *writer, gsize size, gboolean may_wait,
                         GError **error)
{
  NdshDraft *draft;

  g_return_val_if_fail (writer != NULL, NULL);

  if (ndsh_writer_is_forked (writer)) {
    ndsh_writer_set_forked (writer, error);
    return NULL;
  }
  ndsh_writer_lock (writer);
  draft = begin_bytes (writer, size, may_wait, error);
  ndsh_writer_unlock (writer);
  return draft;
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

static gboolean
check_size (NdshDraft *draft, gsize size, GError **error)
{
  gsize reached = draft->writer->format.reached;

  if (size >= reached && size <= draft->capacity)
    return TRUE;
  g_set_error (error, NDSH_ERROR, NDSH_ERROR_INVALID,
               "a frame of %" G_GSIZE_FORMAT
               " bytes cannot be: its arrays reach %" G_GSIZE_FORMAT
               " and the draft has %" G_GSIZE_FORMAT,
               size, reached, draft->capacity);
  return FALSE;
}

static gboolean
check_metadata (gsize size, GError **error)
{
  if (size <= NDSH_MAX_METADATA)
    return TRUE;
  g_set_error (error, NDSH_ERROR, NDSH_ERROR_INVALID,
               "a frame has %d bytes of metadata at the most, not "
               "%" G_GSIZE_FORMAT,
               NDSH_MAX_METADATA, size);
  return FALSE;
}

/* With the mutex. @size 0: what the arrays reach. */
static gboolean
check_and_describe (NdshDraft *draft, const NdshArrayInfo *arrays, guint n_arrays,
                    gsize size, gconstpointer metadata, gsize metadata_size,
                    GError **error)
{
  if (!check_metadata (metadata_size, error)
      || !update_format (draft->writer, arrays, n_arrays, error))
    return FALSE;
  if (size == 0)
    size = draft->writer->format.reached;
  return check_size (draft, size, error)
         && describe (draft, arrays, n_arrays, size, metadata, metadata_size, error);
}

NDSH_API gboolean
ndsh_draft_describe (NdshDraft *draft, const NdshArrayInfo *arrays, guint n_arrays,
                     gsize size, gconstpointer metadata, gsize metadata_size,
                     GError **error)
{
  gboolean done;

  g_return_val_if_fail (draft != NULL && arrays != NULL, FALSE);
  g_return_val_if_fail (metadata != NULL || metadata_size == 0, FALSE);
  g_return_val_if_fail (!draft->published, FALSE);

  if (ndsh_writer_is_forked (draft->writer))
    return ndsh_writer_set_forked (draft->writer, error);
  ndsh_writer_lock (draft->writer);
  done = check_and_describe (draft, arrays, n_arrays, size, metadata, metadata_size,
                             error);
  ndsh_writer_unlock (draft->writer);
  return done;
}

/* --- It becomes a frame --------------------------------------------------- */

static gint64
now_ns (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return (gint64) now.tv_sec * 1000000000 + now.tv_nsec;
}

static void
write_record (NdshDraft *draft, const NdshFrameInfo *info)
{
  static const NdshFrameInfo unknown
    = { .timestamp_ns = -1, .duration_ns = -1, .offset = G_MAXUINT64 };
  NdshWriter *writer = draft->writer;
  NdshFrameRecord *record = &draft->record;

  if (info == NULL)
    info = &unknown;
  record->full_seq = writer->slots.published + 1;
  record->publish_ns = now_ns ();
  record->ends = writer->slots.ends;
  record->timestamp_ns = info->timestamp_ns;
  record->duration_ns = info->duration_ns;
  record->offset = info->offset;
  record->flags = info->flags;
  record->origin_ns = writer->timing.origin_ns;
  record->latency_ns = writer->timing.latency_ns;
  record->clock = writer->timing.clock;
  writer->slots.control->slot[draft->slot].frame = *record;
}

/* Who watches is told of the first frame and of another description. Not of other arrays
 * with the same: of encoded frames, and of lists, each has another size. */
static void
show_meaning (NdshWriter *writer, guint meaning)
{
  if (meaning == writer->meaning_shown)
    return;
  writer->meaning_shown = meaning;
  if (writer->is_watched)
    ndsh_service_end_watches (writer->service);
  writer->is_watched = FALSE;
}

/* Nothing here can fail or allocate before readers were woken. */
static guint64
publish_locked (NdshDraft *draft, const NdshFrameInfo *info)
{
  NdshWriter *writer = draft->writer;
  guint64 number;

  if (writer->closed || draft->published)
    return 0;
  write_record (draft, info);
  draft->published = TRUE;
  ndsh_audience_demote_overrun (writer);
  number = ndsh_slots_publish (&writer->slots, draft->slot);
  ndsh_audience_ring (writer);
  show_meaning (writer, draft->meaning);
  return number;
}

NDSH_API guint64
ndsh_draft_publish (NdshDraft *draft, const NdshFrameInfo *info)
{
  guint64 number;

  g_return_val_if_fail (draft != NULL && draft->described, 0);

  if (ndsh_writer_is_forked (draft->writer))
    return 0;
  ndsh_writer_lock (draft->writer);
  number = publish_locked (draft, info);
  ndsh_writer_unlock (draft->writer);
  return number;
}

/* --- The writer's side lets go -------------------------------------------- */

/* With the mutex. The next draft can have it. */
static void
forget (NdshDraft *draft)
{
  NdshWriter *writer = draft->writer;

  if (writer->spare_draft == NULL)
    writer->spare_draft = draft;
  else
    g_free (draft);
}

NDSH_API void
ndsh_draft_release (NdshDraft *draft)
{
  NdshSegment *segment;
  NdshWriter *writer;

  if (draft == NULL)
    return;
  writer = draft->writer;
  segment = draft->segment;
  /* A child has a copy of it, and neither mutex nor slot. */
  if (ndsh_writer_is_forked (writer)) {
    g_free (draft);
    return;
  }
  ndsh_writer_lock (writer);
  ndsh_slots_release (&writer->slots, draft->slot);
  pthread_cond_broadcast (&writer->changed);
  if (writer->full && !writer->closed)
    ndsh_service_wake (writer->service);
  forget (draft);
  ndsh_writer_unlock (writer);
  ndsh_segment_unref (segment);
  ndsh_writer_unref (writer);
}
