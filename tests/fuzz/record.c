/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What a reader makes of a record and a tail: a segment size, a record, then the
 * bytes at tail_offset. A frame that is accepted lies within its segment, array for
 * array, and its packed arrays are worth the same when packed again.
 */
#include "fuzz.h"

#include <string.h>

#include "array.h"
#include "frame.h"
#include "lifeline.h"

#define MAX_SEGMENT (4 * NDSH_MAX_METADATA + 4096)

static NdshControl control;
static NdshLeasePage page;
static NdshLink the_link;
static guint8 *segment_end, *packed_end, *tail;

static void
set_up (void)
{
  if (segment_end == NULL) {
    segment_end = fuzz_fence_new (MAX_SEGMENT);
    packed_end = fuzz_fence_new (NDSH_MAX_PACKED_ARRAYS);
    tail = g_malloc (NDSH_MAX_TAIL);    /* once: it is large */
  }
  memset (&the_link, 0, sizeof the_link);
  memset (&page, 0, sizeof page);
  the_link.refs = 1 << 20;      /* never the last */
  the_link.fd = -1;
  the_link.process = ndsh_lifeline_process ();
  the_link.leases.n_leases = 1;
  ndsh_leases_init (&the_link.leases, &control, &page, 1);
}

/* Alone, with nothing but a fence behind. */
static gboolean
unpack_alone (const guint8 *packed, gsize size, gsize payload_size,
              guint n_arrays)
{
  NdshArrayInfo arrays[NDSH_MAX_ARRAYS], again[NDSH_MAX_ARRAYS];
  guint8 *alone = packed_end - size;

  memcpy (alone, packed, size);
  if (!ndsh_arrays_unpack (alone, size, payload_size, arrays, n_arrays))
    return FALSE;
  fuzz_check_arrays (arrays, n_arrays, payload_size);
  g_assert (ndsh_arrays_packed_size (arrays, n_arrays) == size);
  ndsh_arrays_pack (arrays, n_arrays, alone);
  g_assert (ndsh_arrays_unpack (alone, size, payload_size, again, n_arrays));
  for (guint i = 0; i < n_arrays; i++)
    g_assert (ndsh_array_info_equal (&arrays[i], &again[i]));
  return TRUE;
}

/* What the copy of the tail, and all that is added up after this, relies on. */
static void
check_accepted (const NdshFrameRecord *r, gsize segment_size)
{
  g_assert (r->payload_size <= r->tail_offset && r->tail_offset <= segment_size);
  g_assert (r->metadata_size <= NDSH_MAX_METADATA);
  g_assert (r->arrays_size <= NDSH_MAX_PACKED_ARRAYS);
  g_assert (r->description_size <= NDSH_MAX_DESCRIPTION);
  g_assert (r->stream_metadata_size <= NDSH_MAX_METADATA);
  g_assert ((guint64) r->metadata_size + r->arrays_size + r->description_size
              + r->stream_metadata_size
            <= segment_size - r->tail_offset);
  g_assert (r->n_arrays >= 1 && r->n_arrays <= NDSH_MAX_ARRAYS);
}

static void
check_twice (NdshSegment *segment, const NdshLease *lease)
{
  NdshFormat *format = NULL;
  NdshFrame *frame = ndsh_frame_new (&the_link, segment, lease, &format, NULL);
  const NdshFrameRecord *r = &lease->record;
  const guint8 *packed = (guint8 *) segment->data + r->tail_offset;
  NdshFrame *second;

  g_assert (unpack_alone (packed, r->arrays_size, r->payload_size, r->n_arrays)
            == (frame != NULL));
  if (frame == NULL) {
    ndsh_format_unref (format);
    g_clear_pointer (&the_link.spare_frame, g_free);
    return;
  }
  fuzz_check_frame (frame);
  g_assert (ndsh_frame_get_size (frame) <= segment->size);

  second = ndsh_frame_new (&the_link, segment, lease, &format, NULL);
  g_assert ((ndsh_frame_get_format (second) == ndsh_frame_get_format (frame))
            == (r->format != 0));
  ndsh_frame_release (second);
  ndsh_frame_release (frame);
  ndsh_format_unref (format);
  g_clear_pointer (&the_link.spare_frame, g_free);
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  FuzzInput input = { data, size };
  gsize segment_size = fuzz_u32 (&input) % MAX_SEGMENT;
  NdshSegment segment = { .data = NULL, .size = segment_size, .fd = -1, .refs = 9 };
  guint32 wrong = fuzz_u8 (&input) == 255;
  NdshLease lease = { 0 };
  gsize n;

  set_up ();
  segment.data = segment_end - segment_size;
  fuzz_bytes (&input, &lease.record, sizeof lease.record);
  lease.word = ndsh_word (lease.record.full_seq) + 2 * wrong;
  n = lease.record.tail_offset < segment_size
        ? MIN (input.size, segment_size - lease.record.tail_offset)
        : 0;
  if (n > 0)
    fuzz_bytes (&input, (guint8 *) segment.data + lease.record.tail_offset, n);

  if (ndsh_frame_check_record (&lease, segment_size)) {
    g_assert (!wrong);
    check_accepted (&lease.record, segment_size);
    check_twice (&segment, &lease);
  } else {
    NdshFormat *format = NULL;

    g_assert (ndsh_frame_new (&the_link, &segment, &lease, &format, NULL) == NULL);
    g_assert (format == NULL);
  }
  if (n > 0)
    memset ((guint8 *) segment.data + lease.record.tail_offset, 0, n);
  return 0;
}
