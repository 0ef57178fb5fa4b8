/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "elements.h"

#include "gstndshmeta.h"

#include <stdlib.h>
#include <string.h>

#define N_MUTATIONS 200000

static GstNdshMeta
full_meta (void)
{
  GstNdshMeta meta = { .has_dts = TRUE,
                       .dts = 123456789012,
                       .offset_end = 77,
                       .has_layout = TRUE,
                       .video_flags = 5,
                       .n_memories = 16 };

  meta.layout.format = GST_VIDEO_FORMAT_I420;
  meta.layout.width = 641;
  meta.layout.height = 480;
  meta.layout.n_planes = 4;
  for (guint i = 0; i < 4; i++) {
    meta.layout.offset[i] = 1000000 * i;
    meta.layout.stride[i] = 1024 - (gint) i;
  }
  for (guint i = 0; i < 16; i++)
    meta.memory_sizes[i] = 100 + i;
  return meta;
}

GST_START_TEST (what_is_encoded_is_decoded)
{
  const GstNdshMeta meta = full_meta ();
  guint8 data[GST_NDSH_META_MAX_SIZE];
  gsize size = gst_ndsh_meta_encode (&meta, data);
  GstNdshMeta found;

  g_assert_true (gst_ndsh_meta_decode (&found, data, size));

  g_assert_true (found.has_dts && found.has_layout);
  g_assert_cmpint (found.dts, ==, meta.dts);
  g_assert_cmpuint (found.offset_end, ==, meta.offset_end);
  g_assert_cmpuint (found.video_flags, ==, meta.video_flags);
  g_assert_cmpmem (&found.layout, sizeof found.layout, &meta.layout,
                   sizeof meta.layout);
  g_assert_cmpuint (found.n_memories, ==, 16);
  g_assert_cmpmem (found.memory_sizes, sizeof found.memory_sizes,
                   meta.memory_sizes, sizeof meta.memory_sizes);
}
GST_END_TEST

GST_START_TEST (what_says_nothing_takes_no_bytes)
{
  GstNdshMeta meta = { .offset_end = GST_BUFFER_OFFSET_NONE }, found;
  guint8 data[GST_NDSH_META_MAX_SIZE];

  g_assert_cmpuint (gst_ndsh_meta_encode (&meta, data), ==, 0);
  g_assert_false (gst_ndsh_meta_decode (&found, data, 0));

  g_assert_false (found.has_dts || found.has_layout || found.n_memories > 0);
  g_assert_cmpuint (found.offset_end, ==, GST_BUFFER_OFFSET_NONE);
}
GST_END_TEST

static void
assert_sane (const GstNdshMeta *meta)
{
  g_assert_cmpuint (meta->n_memories, <=, GST_NDSH_META_MAX_MEMORIES);
  g_assert_cmpuint (meta->layout.n_planes, <=, GST_VIDEO_MAX_PLANES);
}

/* Each cut in a block of just that size, so that a tool sees any byte too many. */
GST_START_TEST (a_cut_encoding_is_refused_or_a_shorter_one)
{
  const GstNdshMeta meta = full_meta ();
  guint8 data[GST_NDSH_META_MAX_SIZE];
  gsize size = gst_ndsh_meta_encode (&meta, data);

  for (gsize cut = 0; cut < size; cut++) {
    guint8 *copy = malloc (cut + 1);
    GstNdshMeta found;

    memcpy (copy, data, cut);
    if (!gst_ndsh_meta_decode (&found, copy, cut))
      g_assert_false (found.has_dts || found.has_layout || found.n_memories > 0);
    assert_sane (&found);
    free (copy);
  }
}
GST_END_TEST

/* NDSH_SEED repeats a run. */
static guint32
get_seed (void)
{
  const char *text = g_getenv ("NDSH_SEED");
  guint32 seed = text != NULL ? (guint32) g_ascii_strtoull (text, NULL, 10)
                              : g_random_int ();

  g_print ("# NDSH_SEED=%u\n", seed);
  return seed;
}

GST_START_TEST (changed_bytes_never_harm)
{
  const GstNdshMeta meta = full_meta ();
  g_autoptr (GRand) rand = g_rand_new_with_seed (get_seed ());

  for (guint i = 0; i < N_MUTATIONS; i++) {
    guint8 data[GST_NDSH_META_MAX_SIZE];
    gsize size = gst_ndsh_meta_encode (&meta, data);
    guint n = (guint) g_rand_int_range (rand, 1, 6);
    GstNdshMeta found;
    guint8 *copy;

    while (n-- > 0) {
      gsize at = (gsize) g_rand_int_range (rand, 0, (gint32) size);

      data[at] = g_rand_boolean (rand) ? 0xff : (guint8) g_rand_int (rand);
    }
    size = (gsize) g_rand_int_range (rand, 0, (gint32) size + 1);
    copy = malloc (size + 1);
    memcpy (copy, data, size);
    gst_ndsh_meta_decode (&found, copy, size);
    assert_sane (&found);
    free (copy);
  }
}
GST_END_TEST

GST_START_TEST (records_of_a_later_version_are_skipped)
{
  GstNdshMeta meta = { .offset_end = 9 }, found;
  guint8 data[GST_NDSH_META_MAX_SIZE];
  gsize size = gst_ndsh_meta_encode (&meta, data);

  GST_WRITE_UINT32_LE (data + size, 4711);
  GST_WRITE_UINT32_LE (data + size + 4, 3);
  memset (data + size + 8, 1, 3);

  g_assert_true (gst_ndsh_meta_decode (&found, data, size + 11));
  g_assert_cmpuint (found.offset_end, ==, 9);
}
GST_END_TEST

GST_START_TEST (flags_of_this_process_do_not_travel)
{
  guint flags = GST_BUFFER_FLAG_DISCONT | GST_BUFFER_FLAG_TAG_MEMORY
                | GST_VIDEO_BUFFER_FLAG_INTERLACED
                | GST_MINI_OBJECT_FLAG_LOCKABLE;

  g_assert_cmphex (gst_ndsh_buffer_flags_filter (flags), ==,
                   GST_BUFFER_FLAG_DISCONT | GST_VIDEO_BUFFER_FLAG_INTERLACED);
}
GST_END_TEST

static Suite *
meta_suite (void)
{
  Suite *suite = suite_create ("meta");
  TCase *tcase = elements_case_new (suite, "meta");

  tcase_add_test (tcase, what_is_encoded_is_decoded);
  tcase_add_test (tcase, what_says_nothing_takes_no_bytes);
  tcase_add_test (tcase, a_cut_encoding_is_refused_or_a_shorter_one);
  tcase_add_test (tcase, changed_bytes_never_harm);
  tcase_add_test (tcase, records_of_a_later_version_are_skipped);
  tcase_add_test (tcase, flags_of_this_process_do_not_travel);
  return suite;
}

GST_CHECK_MAIN (meta)
