/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A frame as its reader has it. The record and the tail are the writer's words
 * and can change under a liar's hand: each is copied once, the copy is checked,
 * and nothing but the copy is used.
 */
#include "frame.h"

#include <string.h>

#include "array.h"
#include "error.h"
#include "lifeline.h"

#define COPIED_AT_ONCE ((gsize) 1 << 20)

struct _NdshFrame {
  NdshLink *link;
  NdshSegment *segment;         /* NULL if it is a copy */
  NdshCopy *copy;               /* or NULL */
  guint32 hazard;
  guint64 sequence;
  gint64 publish_ns;
  gsize size;
  NdshFrameInfo info;
  NdshTiming timing;
  NdshFormat *format;
  guint8 *metadata;
  gsize metadata_size;
};

/* What stands in the tail before the frame's own metadata. */
static guint64
get_format_size (const NdshFrameRecord *r)
{
  return (guint64) r->arrays_size + r->description_size + r->stream_metadata_size;
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
         && r->stream_metadata_size <= NDSH_MAX_METADATA
         && get_format_size (r) + r->metadata_size <= segment_size - r->tail_offset
         && r->n_arrays >= 1 && r->n_arrays <= NDSH_MAX_ARRAYS
         && r->clock <= NDSH_CLOCK_NONE;
}

/* --- Formats -------------------------------------------------------------- */

/* Arrays, checked, description and the stream's metadata. Frames share it, from one to the
 * next. */
struct _NdshFormat {
  int refs;
  guint32 number;               /* the writer's; 0: no other frame has it */
  guint id;                     /* ours */
  gsize reached;                /* bytes of payload that the arrays need */
  char *description;
  guint8 *metadata;             /* or NULL */
  gsize metadata_size;
  guint n_arrays;
  NdshArrayInfo arrays[];
};

static NdshFormat *
format_ref (NdshFormat *format)
{
  g_atomic_int_inc (&format->refs);
  return format;
}

void
ndsh_format_unref (NdshFormat *format)
{
  if (format == NULL || !g_atomic_int_dec_and_test (&format->refs))
    return;
  g_free (format->description);
  g_free (format->metadata);
  g_free (format);
}

/* NULL if there are none. */
static guint8 *
copy_bytes (const guint8 *from, gsize size)
{
  guint8 *copy = size > 0 ? g_malloc (size) : NULL;

  if (copy != NULL)
    memcpy (copy, from, size);
  return copy;
}

/* From a copy of a tail that begins so; NULL if it cannot be. */
static NdshFormat *
format_new (const NdshFrameRecord *r, const guint8 *tail)
{
  static guint n_formats;
  NdshFormat *format
    = g_malloc (sizeof *format + r->n_arrays * sizeof format->arrays[0]);

  if (!ndsh_arrays_unpack (tail, r->arrays_size, (gsize) r->payload_size,
                           format->arrays, r->n_arrays)
      || !ndsh_arrays_measure (format->arrays, r->n_arrays, &format->reached, NULL)) {
    g_free (format);
    return NULL;
  }
  format->refs = 1;
  format->number = r->format;
  format->id = (guint) g_atomic_int_add (&n_formats, 1) + 1;
  format->n_arrays = r->n_arrays;
  format->description
    = g_strndup ((const char *) tail + r->arrays_size, r->description_size);
  format->metadata_size = r->stream_metadata_size;
  format->metadata = copy_bytes (tail + r->arrays_size + r->description_size,
                                 format->metadata_size);
  return format;
}

/* What the writer calls by the same number is the same, or the writer lies and gets what
 * it said first. */
static gboolean
is_known (const NdshFormat *last, const NdshFrameRecord *r)
{
  return r->format != 0 && last != NULL && last->number == r->format;
}

/* --- Frames --------------------------------------------------------------- */

/* As aligned as the original, and in pieces: one that goes meanwhile is given up at
 * once, and what came instead has just come and stays longest. */
static gboolean
copy_payload (NdshFrame *frame, NdshLink *link, NdshSegment *segment,
              const NdshLease *lease)
{
  gsize at = 0, n;

  frame->copy = ndsh_link_take_copy (link, frame->size);
  if (frame->copy == NULL)
    return FALSE;
  do {
    n = MIN (frame->size - at, COPIED_AT_ONCE);
    memcpy ((guint8 *) frame->copy->data + at, (const guint8 *) segment->data + at, n);
    if (!ndsh_leases_confirm (&link->leases, lease))
      return FALSE;
    at += n;
  } while (at < frame->size);
  return TRUE;
}

static NdshFrame *
frame_alloc (NdshLink *link, const NdshFrameRecord *r)
{
  NdshFrame *frame = g_atomic_pointer_get (&link->spare_frame);

  if (frame == NULL
      || !g_atomic_pointer_compare_and_exchange (&link->spare_frame, frame, NULL))
    frame = g_malloc (sizeof *frame);
  frame->copy = NULL;
  frame->format = NULL;
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
  frame->metadata = NULL;
  frame->metadata_size = r->metadata_size;
  return frame;
}

static void
frame_free (NdshFrame *frame, NdshLink *link)
{
  ndsh_link_give_copy (link, frame->copy);
  if (frame->metadata != NULL)
    g_free (frame->metadata);
  ndsh_format_unref (frame->format);
  if (!g_atomic_pointer_compare_and_exchange (&link->spare_frame, NULL, frame))
    g_free (frame);
}

static gboolean
refuse_record (GError **error)
{
  g_set_error (error, NDSH_ERROR, NDSH_ERROR_INCOMPATIBLE,
               "the writer published a frame that cannot be");
  return FALSE;
}

/* All that is taken from @segment; FALSE if the frame went meanwhile. @packed is set to
 * the format's bytes unless it is the @last. */
static gboolean
copy_all (NdshFrame *frame, NdshLink *link, NdshSegment *segment,
          const NdshLease *lease, const NdshFormat *last, guint8 **packed)
{
  const NdshFrameRecord *r = &lease->record;
  const guint8 *tail = (const guint8 *) segment->data + r->tail_offset;
  gsize format_size = (gsize) get_format_size (r);

  if (!is_known (last, r))
    *packed = copy_bytes (tail, format_size);
  frame->metadata = copy_bytes (tail + format_size, r->metadata_size);
  return !lease->is_copy || copy_payload (frame, link, segment, lease);
}

static gboolean
set_format (NdshFrame *frame, const NdshFrameRecord *r, const guint8 *packed,
            NdshFormat **last)
{
  if (!is_known (*last, r)) {
    NdshFormat *format = packed != NULL ? format_new (r, packed) : NULL;

    if (format == NULL)
      return FALSE;
    ndsh_format_unref (*last);
    *last = format;
  }
  frame->format = format_ref (*last);
  return frame->format->reached <= frame->size;
}

NdshFrame *
ndsh_frame_new (NdshLink *link, NdshSegment *segment, const NdshLease *lease,
                NdshFormat **last, GError **error)
{
  const NdshFrameRecord *r = &lease->record;
  g_autofree guint8 *packed = NULL;
  NdshFrame *frame;

  if (!ndsh_frame_check_record (lease, segment->size)) {
    refuse_record (error);
    return NULL;
  }
  frame = frame_alloc (link, r);
  if (!copy_all (frame, link, segment, lease, *last, &packed)) {
    frame_free (frame, link);
    return NULL;
  }
  if (!set_format (frame, r, packed, last)) {
    frame_free (frame, link);
    refuse_record (error);
    return NULL;
  }
  frame->hazard = lease->hazard;
  frame->link = ndsh_link_ref (link);
  frame->segment = lease->is_copy ? NULL : ndsh_segment_ref (segment);
  return frame;
}

NDSH_API gconstpointer
ndsh_frame_get_data (const NdshFrame *frame)
{
  g_return_val_if_fail (frame != NULL, NULL);

  return frame->copy != NULL ? frame->copy->data : frame->segment->data;
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
    *n_arrays = frame->format->n_arrays;
  return frame->format->arrays;
}

NDSH_API guint
ndsh_frame_get_format (const NdshFrame *frame)
{
  g_return_val_if_fail (frame != NULL, 0);

  return frame->format->id;
}

NDSH_API const char *
ndsh_frame_get_description (const NdshFrame *frame)
{
  g_return_val_if_fail (frame != NULL, NULL);

  return frame->format->description;
}

NDSH_API gconstpointer
ndsh_frame_get_stream_metadata (const NdshFrame *frame, gsize *size)
{
  g_return_val_if_fail (frame != NULL, NULL);

  if (size != NULL)
    *size = frame->format->metadata_size;
  return frame->format->metadata;
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
  NdshLink *link;

  if (frame == NULL)
    return;
  link = frame->link;
  /* A forked child has the page too, but the lease is its parent's. */
  if (link->process == ndsh_lifeline_process ())
    ndsh_link_release (link, frame->hazard);
  ndsh_segment_unref (frame->segment);
  frame_free (frame, link);
  ndsh_link_unref (link);
}
