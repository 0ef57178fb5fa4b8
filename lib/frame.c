/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A frame as its reader has it. The record and the tail are the writer's words
 * and can change under a liar's hand: each is copied once, the copy is checked,
 * and nothing but the copy is used.
 */
#include "frame.h"

#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "error.h"
#include "lifeline.h"

struct _NdshFrame {
  NdshLink *link;
  NdshSegment *segment;         /* NULL if it is a copy */
  void *copy;                   /* page-aligned, for free () */
  guint32 hazard;
  guint64 sequence;
  gint64 publish_ns;
  gsize size;
  NdshFrameInfo info;
  NdshTiming timing;
  GBytes *description;
  guint8 *metadata;
  gsize metadata_size;
  guint n_arrays;
  NdshArrayInfo arrays[];
};

void
ndsh_frame_cache_clear (NdshFrameCache *cache)
{
  g_free (cache->tail);
  g_clear_pointer (&cache->description, g_bytes_unref);
}

/* Each number is bounded before it is added to another. */
gboolean
ndsh_frame_check_record (const NdshLease *lease, gsize segment_size)
{
  const NdshFrameRecord *r = &lease->record;

  return ndsh_word (r->full_seq) == lease->word
         && r->payload_size <= r->tail_offset && r->tail_offset <= segment_size
         && r->metadata_size <= NDSH_MAX_METADATA
         && r->arrays_size <= NDSH_MAX_PACKED_ARRAYS
         && r->description_size <= NDSH_MAX_DESCRIPTION
         && (guint64) r->metadata_size + r->arrays_size + r->description_size
              <= segment_size - r->tail_offset
         && r->n_arrays >= 1 && r->n_arrays <= NDSH_MAX_ARRAYS
         && r->clock <= NDSH_CLOCK_NONE;
}

/* It is the same in nearly every frame. */
static GBytes *
keep_description (NdshFrameCache *cache, const guint8 *text, gsize size)
{
  gsize length;
  const char *last = cache->description != NULL
                       ? g_bytes_get_data (cache->description, &length)
                       : NULL;

  if (last == NULL || length != size + 1 || memcmp (last, text, size) != 0) {
    char *copy = g_malloc (size + 1);

    memcpy (copy, text, size);
    copy[size] = '\0';
    g_clear_pointer (&cache->description, g_bytes_unref);
    cache->description = g_bytes_new_take (copy, size + 1);
  }
  return g_bytes_ref (cache->description);
}

/* As aligned as the original. */
static gboolean
copy_payload (NdshFrame *frame, NdshSegment *segment)
{
  if (posix_memalign (&frame->copy, ndsh_page_align (1), MAX (frame->size, 1)) != 0)
    return FALSE;
  memcpy (frame->copy, segment->data, frame->size);
  return TRUE;
}

static const guint8 *
copy_tail (NdshSegment *segment, const NdshFrameRecord *r, NdshFrameCache *cache)
{
  if (cache->tail == NULL)
    cache->tail = g_malloc (NDSH_MAX_TAIL);
  memcpy (cache->tail, (const guint8 *) segment->data + r->tail_offset,
          (gsize) r->metadata_size + r->arrays_size + r->description_size);
  return cache->tail;
}

static guint8 *
copy_metadata (const guint8 *tail, gsize size)
{
  guint8 *copy = size > 0 ? g_malloc (size) : NULL;

  if (copy != NULL)
    memcpy (copy, tail, size);
  return copy;
}

static NdshFrame *
frame_alloc (const NdshFrameRecord *r)
{
  NdshFrame *frame
    = g_malloc (sizeof *frame + r->n_arrays * sizeof frame->arrays[0]);

  frame->copy = NULL;
  frame->n_arrays = r->n_arrays;
  frame->size = (gsize) r->payload_size;
  frame->sequence = r->full_seq;
  frame->publish_ns = r->publish_ns;
  frame->info = (NdshFrameInfo){ .timestamp_ns = r->timestamp_ns,
                                 .duration_ns = r->duration_ns,
                                 .offset = r->offset,
                                 .flags = r->flags };
  frame->timing.clock = (NdshClock) r->clock;
  frame->timing.origin_ns = r->origin_ns;
  frame->timing.latency_ns = r->latency_ns;
  return frame;
}

static gboolean
refuse_record (GError **error)
{
  g_set_error (error, NDSH_ERROR, NDSH_ERROR_INCOMPATIBLE,
               "the writer published a frame that cannot be");
  return FALSE;
}

static void
frame_free (NdshFrame *frame)
{
  free (frame->copy);
  g_free (frame);
}

/* All that is taken from @segment. */
static const guint8 *
copy_all (NdshFrame *frame, NdshLink *link, NdshSegment *segment,
          const NdshLease *lease, NdshFrameCache *cache)
{
  const guint8 *tail = copy_tail (segment, &lease->record, cache);

  if (!lease->is_copy
      || (copy_payload (frame, segment)
          && ndsh_leases_confirm (&link->leases, lease)))
    return tail;
  return NULL;
}

NdshFrame *
ndsh_frame_new (NdshLink *link, NdshSegment *segment, const NdshLease *lease,
                NdshFrameCache *cache, GError **error)
{
  const NdshFrameRecord *r = &lease->record;
  const guint8 *tail;
  NdshFrame *frame;

  if (!ndsh_frame_check_record (lease, segment->size)) {
    refuse_record (error);
    return NULL;
  }
  frame = frame_alloc (r);
  tail = copy_all (frame, link, segment, lease, cache);
  if (tail == NULL) {
    frame_free (frame);
    return NULL;
  }
  if (!ndsh_arrays_unpack (tail + r->metadata_size, r->arrays_size, frame->size,
                           frame->arrays, frame->n_arrays)) {
    frame_free (frame);
    refuse_record (error);
    return NULL;
  }
  frame->metadata = copy_metadata (tail, r->metadata_size);
  frame->metadata_size = r->metadata_size;
  frame->description = keep_description (
    cache, tail + r->metadata_size + r->arrays_size, r->description_size);
  frame->hazard = lease->hazard;
  frame->link = ndsh_link_ref (link);
  frame->segment = lease->is_copy ? NULL : ndsh_segment_ref (segment);
  return frame;
}

NDSH_API gconstpointer
ndsh_frame_get_data (const NdshFrame *frame)
{
  g_return_val_if_fail (frame != NULL, NULL);

  return frame->copy != NULL ? frame->copy : frame->segment->data;
}

NDSH_API gsize
ndsh_frame_get_size (const NdshFrame *frame)
{
  g_return_val_if_fail (frame != NULL, 0);

  return frame->size;
}

NDSH_API const NdshArrayInfo *
ndsh_frame_get_arrays (const NdshFrame *frame, guint *n_arrays)
{
  g_return_val_if_fail (frame != NULL, NULL);

  if (n_arrays != NULL)
    *n_arrays = frame->n_arrays;
  return frame->arrays;
}

NDSH_API const char *
ndsh_frame_get_description (const NdshFrame *frame)
{
  g_return_val_if_fail (frame != NULL, NULL);

  return g_bytes_get_data (frame->description, NULL);
}

NDSH_API gconstpointer
ndsh_frame_get_metadata (const NdshFrame *frame, gsize *size)
{
  g_return_val_if_fail (frame != NULL, NULL);

  if (size != NULL)
    *size = frame->metadata_size;
  return frame->metadata;
}

NDSH_API const NdshFrameInfo *
ndsh_frame_get_info (const NdshFrame *frame)
{
  g_return_val_if_fail (frame != NULL, NULL);

  return &frame->info;
}

NDSH_API const NdshTiming *
ndsh_frame_get_timing (const NdshFrame *frame)
{
  g_return_val_if_fail (frame != NULL, NULL);

  return &frame->timing;
}

NDSH_API gint64
ndsh_frame_get_publish_ns (const NdshFrame *frame)
{
  g_return_val_if_fail (frame != NULL, 0);

  return frame->publish_ns;
}

NDSH_API guint64
ndsh_frame_get_sequence (const NdshFrame *frame)
{
  g_return_val_if_fail (frame != NULL, 0);

  return frame->sequence;
}

NDSH_API const char *
ndsh_frame_get_stream_id (const NdshFrame *frame)
{
  g_return_val_if_fail (frame != NULL, NULL);

  return frame->link->stream_id;
}

NDSH_API void
ndsh_frame_release (NdshFrame *frame)
{
  if (frame == NULL)
    return;
  /* A forked child has the page too, but the lease is its parent's. */
  if (frame->link->process == ndsh_lifeline_process ())
    ndsh_link_release (frame->link, frame->hazard);
  ndsh_segment_unref (frame->segment);
  ndsh_link_unref (frame->link);
  g_bytes_unref (frame->description);
  g_free (frame->metadata);
  frame_free (frame);
}
