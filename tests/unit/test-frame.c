/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The segment is a piece of the heap that ends where the frame's last byte does, so
 * that AddressSanitizer sees a look too far; the lease is one that a writer could
 * have left in its control page. */
#include "frame.h"

#include <string.h>

#include "array.h"
#include "lifeline.h"

#define CAPACITY 256
#define DESCRIPTION "video/x-raw"
#define METADATA "meta"
#define STREAM_METADATA "of all"

/* uint8[2][100] at 0 and float32[] at 200. */
typedef struct {
  NdshControl control;
  NdshLeasePage page;
  NdshLink *link;
  NdshSegment segment;
  NdshLease lease;
  NdshFormat *format;
} Fixture;

static gsize
pack_arrays (guint8 *packed)
{
  NdshArrayInfo arrays[2];
  gsize size;

  ndsh_array_info_init (&arrays[0], NDSH_DTYPE_UINT8, 2, (gsize[]){ 2, 100 });
  ndsh_array_info_init (&arrays[1], NDSH_DTYPE_FLOAT32, 0, NULL);
  arrays[1].offset = 200;
  size = ndsh_arrays_packed_size (arrays, 2);
  if (packed != NULL)
    ndsh_arrays_pack (arrays, 2, packed);
  return size;
}

static void
fill_segment (Fixture *f)
{
  NdshFrameRecord *r = &f->lease.record;
  guint8 *tail = (guint8 *) f->segment.data + r->tail_offset;

  for (gsize i = 0; i < CAPACITY; i++)
    ((guint8 *) f->segment.data)[i] = (guint8) i;
  pack_arrays (tail);
  tail += r->arrays_size;
  memcpy (tail, DESCRIPTION, r->description_size);
  tail += r->description_size;
  memcpy (tail, STREAM_METADATA, r->stream_metadata_size);
  memcpy (tail + r->stream_metadata_size, METADATA, r->metadata_size);
}

static NdshFrameRecord
good_record (void)
{
  return (NdshFrameRecord){ .full_seq = 0x100000007,
                            .payload_size = 204,
                            .tail_offset = CAPACITY,
                            .metadata_size = strlen (METADATA),
                            .arrays_size = (guint32) pack_arrays (NULL),
                            .description_size = strlen (DESCRIPTION),
                            .stream_metadata_size = strlen (STREAM_METADATA),
                            .n_arrays = 2,
                            .flags = 3,
                            .timestamp_ns = -5,
                            .duration_ns = 6,
                            .offset = 7,
                            .publish_ns = 8,
                            .origin_ns = 9,
                            .latency_ns = 10,
                            .clock = NDSH_CLOCK_NONE };
}

static void
setup (Fixture *f, gconstpointer data)
{
  (void) data;
  f->link = g_new0 (NdshLink, 1);
  f->link->refs = 1;
  f->link->fd = -1;
  f->link->process = ndsh_lifeline_process ();
  strcpy (f->link->stream_id, "0123456789abcdef0123456789abcdef");
  f->link->leases.n_leases = 4;
  ndsh_leases_init (&f->link->leases, &f->control, &f->page, 1);
  f->lease.word = ndsh_word (0x100000007);
  f->lease.hazard = 2;
  f->lease.record = good_record ();
  f->segment.refs = 1;
  f->segment.fd = -1;
  f->segment.size = CAPACITY + strlen (METADATA) + pack_arrays (NULL)
                    + strlen (DESCRIPTION) + strlen (STREAM_METADATA);
  f->segment.data = g_malloc (f->segment.size);
  fill_segment (f);
}

/* Whatever happened, nobody else refers to link and segment now. */
static void
teardown (Fixture *f, gconstpointer data)
{
  (void) data;
  g_assert_cmpint (f->segment.refs, ==, 1);
  g_assert_cmpint (f->link->refs, ==, 1);
  g_free (f->segment.data);
  ndsh_link_unref (f->link);
  ndsh_format_unref (f->format);
}

static NdshFrame *
make_frame (Fixture *f)
{
  g_autoptr (GError) error = NULL;
  NdshFrame *frame
    = ndsh_frame_new (f->link, &f->segment, &f->lease, &f->format, &error);

  if (frame != NULL)
    g_assert_no_error (error);
  else
    g_assert_error (error, NDSH_ERROR, NDSH_ERROR_INCOMPATIBLE);
  return frame;
}

/* --- What is true --------------------------------------------------------- */

static void
test_a_frame_has_what_its_record_says (Fixture *f, gconstpointer data)
{
  g_autoptr (NdshFrame) frame = make_frame (f);
  const NdshArrayInfo *arrays;
  gconstpointer metadata;
  guint n_arrays;
  gsize size;

  (void) data;
  g_assert_nonnull (frame);
  arrays = ndsh_frame_get_arrays (frame, &n_arrays);
  metadata = ndsh_frame_get_metadata (frame, &size);
  g_assert_cmpuint (n_arrays, ==, 2);
  g_assert_cmpuint (arrays[0].shape[1], ==, 100);
  g_assert_cmpuint (arrays[1].offset, ==, 200);
  g_assert_cmpmem (metadata, size, METADATA, strlen (METADATA));
  metadata = ndsh_frame_get_stream_metadata (frame, &size);
  g_assert_cmpmem (metadata, size, STREAM_METADATA, strlen (STREAM_METADATA));
  g_assert_cmpstr (ndsh_frame_get_description (frame), ==, DESCRIPTION);
  g_assert_true (ndsh_frame_get_data (frame) == f->segment.data);
  g_assert_cmpuint (ndsh_frame_get_size (frame), ==, 204);
  g_assert_cmpuint (ndsh_frame_get_sequence (frame), ==, 0x100000007);
  g_assert_cmpint (ndsh_frame_get_publish_ns (frame), ==, 8);
  g_assert_cmpint (ndsh_frame_get_timing (frame)->origin_ns, ==, 9);
  g_assert_cmpint (ndsh_frame_get_timing (frame)->latency_ns, ==, 10);
  g_assert_cmpint (ndsh_frame_get_timing (frame)->clock, ==, NDSH_CLOCK_NONE);
  g_assert_cmpstr (ndsh_frame_get_stream_id (frame), ==, f->link->stream_id);
  g_assert_cmpuint (ndsh_frame_get_info (frame)->flags, ==, 3);
  g_assert_cmpint (ndsh_frame_get_info (frame)->timestamp_ns, ==, -5);
  g_assert_cmpint (ndsh_frame_get_info (frame)->duration_ns, ==, 6);
  g_assert_cmpuint (ndsh_frame_get_info (frame)->offset, ==, 7);
}

static void
test_a_frame_holds_link_segment_and_lease (Fixture *f, gconstpointer data)
{
  NdshFrame *frame = make_frame (f);

  (void) data;
  f->page.hazard[2] = f->lease.word;
  f->link->leases.used[0] = 1 << 2;
  g_assert_cmpint (f->link->refs, ==, 2);
  g_assert_cmpint (f->segment.refs, ==, 2);

  ndsh_frame_release (frame);

  g_assert_cmpuint (f->page.hazard[2], ==, 0);
  g_assert_cmpuint (f->link->leases.used[0], ==, 0);
  ndsh_frame_release (NULL);
}

/* The lease is that of the process which took it. */
/* What came instead of it stays longest if its copy begins at once. */
static void
test_a_copy_that_is_too_late_is_given_up_at_once (Fixture *f, gconstpointer data)
{
  const gsize size = 4 << 20;
  gsize tail = f->segment.size - CAPACITY;
  NdshCopy *copy = ndsh_link_take_copy (f->link, size);

  (void) data;
  f->segment.data = g_realloc (f->segment.data, size + tail);
  f->segment.size = size + tail;
  f->lease.record.payload_size = f->lease.record.tail_offset = size;
  fill_segment (f);
  f->lease.is_copy = true;
  f->control.slot[f->lease.slot].state_seq = f->lease.word + 2;
  memset (copy->data, 0xaa, size);
  ndsh_link_give_copy (f->link, copy);

  g_assert_null (ndsh_frame_new (f->link, &f->segment, &f->lease, &f->format, NULL));
  g_assert_cmpuint (((guint8 *) copy->data)[1], ==, 1);
  g_assert_cmpuint (((guint8 *) copy->data)[size / 2], ==, 0xaa);
}

static void
test_another_process_leaves_the_lease_alone (Fixture *f, gconstpointer data)
{
  NdshFrame *frame;

  (void) data;
  f->link->process++;
  frame = make_frame (f);
  f->page.hazard[2] = f->lease.word;
  ndsh_frame_release (frame);

  g_assert_cmpuint (f->page.hazard[2], ==, f->lease.word);
}

static void
test_what_is_absent_is_null_or_empty (Fixture *f, gconstpointer data)
{
  g_autoptr (NdshFrame) frame = NULL;
  gsize size = 99;

  (void) data;
  f->lease.record.metadata_size = 0;
  f->lease.record.stream_metadata_size = 0;
  f->lease.record.description_size = 0;
  frame = make_frame (f);

  g_assert_nonnull (frame);
  g_assert_null (ndsh_frame_get_metadata (frame, &size));
  g_assert_cmpuint (size, ==, 0);
  g_assert_null (ndsh_frame_get_metadata (frame, NULL));
  size = 99;
  g_assert_null (ndsh_frame_get_stream_metadata (frame, &size));
  g_assert_cmpuint (size, ==, 0);
  g_assert_cmpstr (ndsh_frame_get_description (frame), ==, "");
}

/* The first bytes of the description. */
static void
write_description (Fixture *f, const char *text)
{
  guint8 *tail = (guint8 *) f->segment.data + f->lease.record.tail_offset;

  memcpy (tail + f->lease.record.arrays_size, text, strlen (text));
}

static void
test_frames_of_no_format_are_each_for_themselves (Fixture *f, gconstpointer data)
{
  g_autoptr (NdshFrame) one = make_frame (f);
  g_autoptr (NdshFrame) other = NULL;

  (void) data;
  write_description (f, "audio");
  other = make_frame (f);

  g_assert_cmpuint (ndsh_frame_get_format (one), !=, ndsh_frame_get_format (other));
  g_assert_cmpstr (ndsh_frame_get_description (one), ==, "video/x-raw");
  g_assert_cmpstr (ndsh_frame_get_description (other), ==, "audio/x-raw");
}

/* A writer that calls two things by one number gets what it said first. */
static void
test_frames_of_one_format_are_looked_at_once (Fixture *f, gconstpointer data)
{
  g_autoptr (NdshFrame) one = NULL;
  g_autoptr (NdshFrame) same = NULL;
  g_autoptr (NdshFrame) other = NULL;

  (void) data;
  f->lease.record.format = 7;
  one = make_frame (f);
  write_description (f, "audio");
  same = make_frame (f);
  f->lease.record.format = 8;
  other = make_frame (f);

  g_assert_cmpuint (ndsh_frame_get_format (one), ==, ndsh_frame_get_format (same));
  g_assert_cmpuint (ndsh_frame_get_format (one), !=, ndsh_frame_get_format (other));
  g_assert_true (ndsh_frame_get_arrays (one, NULL) == ndsh_frame_get_arrays (same, NULL));
  g_assert_cmpstr (ndsh_frame_get_description (same), ==, "video/x-raw");
  g_assert_cmpstr (ndsh_frame_get_description (other), ==, "audio/x-raw");
}

static void
test_a_known_format_must_fit_each_frame (Fixture *f, gconstpointer data)
{
  g_autoptr (NdshFrame) one = NULL;

  (void) data;
  f->lease.record.format = 7;
  one = make_frame (f);
  g_assert_nonnull (one);
  f->lease.record.payload_size = 203;   /* the last array ends at 204 */
  g_assert_null (make_frame (f));
}

/* --- What cannot be ------------------------------------------------------- */

static void
test_each_number_of_a_record_is_checked (Fixture *f, gconstpointer data)
{
  gsize size = f->segment.size;

#define LIES(field, ...)                                                       \
  {                                                                            \
    guint64 lies[] = { __VA_ARGS__ };                                          \
                                                                               \
    for (guint i = 0; i < G_N_ELEMENTS (lies); i++) {                          \
      f->lease.record = good_record ();                                        \
      f->lease.record.field = (__typeof__ (f->lease.record.field)) lies[i];    \
      g_assert_false (ndsh_frame_check_record (&f->lease, size));              \
      g_assert_null (make_frame (f));                                          \
    }                                                                          \
  }

  (void) data;
  g_assert_true (ndsh_frame_check_record (&f->lease, size));
  LIES (full_seq, 0, 6, 8, G_MAXUINT64);
  LIES (payload_size, CAPACITY + 1, size, size + 1, G_MAXUINT64);
  LIES (tail_offset, 0, 203, CAPACITY + 1, size, size + 1, G_MAXUINT64);
  LIES (metadata_size, 5, NDSH_MAX_METADATA, NDSH_MAX_METADATA + 1,
        G_MAXUINT32);
  LIES (arrays_size, pack_arrays (NULL) + 1, NDSH_MAX_PACKED_ARRAYS,
        NDSH_MAX_PACKED_ARRAYS + 1, G_MAXUINT32);
  LIES (description_size, strlen (DESCRIPTION) + 1, NDSH_MAX_DESCRIPTION,
        NDSH_MAX_DESCRIPTION + 1, G_MAXUINT32);
  LIES (stream_metadata_size, strlen (STREAM_METADATA) + 1, NDSH_MAX_METADATA,
        NDSH_MAX_METADATA + 1, G_MAXUINT32);
  LIES (n_arrays, 0, NDSH_MAX_ARRAYS + 1, G_MAXUINT32);
#undef LIES
}

/* Sums that wrap, and a segment smaller than anything. */
static void
test_sums_cannot_wrap (Fixture *f, gconstpointer data)
{
  NdshFrameRecord *r = &f->lease.record;

  (void) data;
  r->tail_offset = r->payload_size = G_MAXUINT64;
  g_assert_false (ndsh_frame_check_record (&f->lease, f->segment.size));
  r->tail_offset = r->payload_size = f->segment.size;
  g_assert_false (ndsh_frame_check_record (&f->lease, f->segment.size));
  *r = good_record ();
  r->metadata_size = r->arrays_size = r->description_size = r->stream_metadata_size
    = 0xaaaaaaab;
  g_assert_false (ndsh_frame_check_record (&f->lease, f->segment.size));
  *r = good_record ();
  for (gsize size = 0; size < f->segment.size; size++)
    g_assert_false (ndsh_frame_check_record (&f->lease, size));
}

static void
test_a_clock_is_one_that_is_known (Fixture *f, gconstpointer data)
{
  (void) data;
  f->lease.record.clock = NDSH_CLOCK_NONE + 1;

  g_assert_null (make_frame (f));
}

static void
test_arrays_must_be_what_was_counted (Fixture *f, gconstpointer data)
{
  NdshFrameRecord *r = &f->lease.record;

  (void) data;
  r->n_arrays = 1;
  g_assert_null (make_frame (f));
  r->n_arrays = 3;
  g_assert_null (make_frame (f));
  *r = good_record ();
  r->arrays_size -= 8;
  g_assert_null (make_frame (f));
  *r = good_record ();
  r->payload_size = 203;        /* the last array ends at 204 */
  g_assert_null (make_frame (f));
}

static guint64
random_number (guint64 near)
{
  switch (g_test_rand_int_range (0, 6)) {
  case 0:
    return near + (guint64) g_test_rand_int_range (-9, 9);
  case 1:
    return (guint64) g_test_rand_int_range (0, 2 * CAPACITY);
  case 2:
    return G_MAXUINT64 - (guint64) g_test_rand_int_range (0, 300);
  case 3:
    return (guint64) 1 << g_test_rand_int_range (0, 64);
  default:
    return near;
  }
}

static void
mutate_record (NdshFrameRecord *r)
{
  r->payload_size = random_number (r->payload_size);
  r->tail_offset = random_number (r->tail_offset);
  r->metadata_size = (guint32) random_number (r->metadata_size);
  r->arrays_size = (guint32) random_number (r->arrays_size);
  r->description_size = (guint32) random_number (r->description_size);
  r->stream_metadata_size = (guint32) random_number (r->stream_metadata_size);
  r->n_arrays = (guint32) random_number (r->n_arrays);
}

static void
mutate_tail (Fixture *f)
{
  guint8 *bytes = f->segment.data;

  for (int n = g_test_rand_int_range (0, 4); n > 0; n--)
    bytes[g_test_rand_int_range (CAPACITY, (gint32) f->segment.size)]
      = (guint8) g_test_rand_int ();
}

static guint
touch (gconstpointer data, gsize size)
{
  guint sum = 0;

  for (gsize i = 0; i < size; i++)
    sum += ((const volatile guint8 *) data)[i];
  return sum;
}

static void
assert_can_be_used (const NdshFrame *frame, const NdshSegment *segment)
{
  const NdshArrayInfo *arrays;
  gconstpointer metadata;
  guint n_arrays;
  gsize size;

  g_assert_cmpuint (ndsh_frame_get_size (frame), <=, segment->size);
  touch (ndsh_frame_get_data (frame), ndsh_frame_get_size (frame));
  metadata = ndsh_frame_get_metadata (frame, &size);
  touch (metadata, size);
  g_assert_cmpuint (strlen (ndsh_frame_get_description (frame)), <=,
                    NDSH_MAX_DESCRIPTION);
  arrays = ndsh_frame_get_arrays (frame, &n_arrays);
  g_assert_cmpuint (n_arrays, <=, NDSH_MAX_ARRAYS);
  for (guint i = 0; i < n_arrays; i++) {
    gsize bytes = ndsh_array_info_get_size (&arrays[i]);

    g_assert_cmpuint (bytes, <=, ndsh_frame_get_size (frame));
    g_assert_cmpuint (arrays[i].offset, <=, ndsh_frame_get_size (frame) - bytes);
  }
}

static void
test_mutated_frames_are_usable_or_refused (Fixture *f, gconstpointer data)
{
  guint n_good = 0, n = g_test_slow () ? 1000000 : 50000;

  (void) data;
  for (guint i = 0; i < n; i++) {
    NdshFrame *frame;

    f->lease.record = good_record ();
    fill_segment (f);
    if (i % 3 != 0)
      mutate_record (&f->lease.record);
    if (i % 3 != 1)
      mutate_tail (f);
    frame = make_frame (f);
    if (frame != NULL) {
      assert_can_be_used (frame, &f->segment);
      n_good++;
    }
    ndsh_frame_release (frame);
  }

  g_assert_cmpuint (n_good, >, n / 100);
  g_assert_cmpuint (n_good, <, n);
}

#define ADD(path, function)                                                    \
  g_test_add ("/frame/" path, Fixture, NULL, setup, function, teardown)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  ADD ("a-frame-has-what-its-record-says", test_a_frame_has_what_its_record_says);
  ADD ("a-frame-holds-link-segment-and-lease",
       test_a_frame_holds_link_segment_and_lease);
  ADD ("a-copy-that-is-too-late-is-given-up-at-once",
       test_a_copy_that_is_too_late_is_given_up_at_once);
  ADD ("another-process-leaves-the-lease-alone",
       test_another_process_leaves_the_lease_alone);
  ADD ("what-is-absent-is-null-or-empty", test_what_is_absent_is_null_or_empty);
  ADD ("frames-of-no-format-are-each-for-themselves",
       test_frames_of_no_format_are_each_for_themselves);
  ADD ("frames-of-one-format-are-looked-at-once",
       test_frames_of_one_format_are_looked_at_once);
  ADD ("a-known-format-must-fit-each-frame", test_a_known_format_must_fit_each_frame);
  ADD ("each-number-of-a-record-is-checked",
       test_each_number_of_a_record_is_checked);
  ADD ("sums-cannot-wrap", test_sums_cannot_wrap);
  ADD ("a-clock-is-one-that-is-known", test_a_clock_is_one_that_is_known);
  ADD ("arrays-must-be-what-was-counted", test_arrays_must_be_what_was_counted);
  ADD ("mutated-frames-are-usable-or-refused",
       test_mutated_frames_are_usable_or_refused);

  return g_test_run ();
}
