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

static GByteArray *
encode (const GstNdshMeta *meta)
{
  GByteArray *metadata = g_byte_array_new ();

  gst_ndsh_meta_append (meta, metadata);
  return metadata;
}

GST_START_TEST (what_is_encoded_is_decoded)
{
  const GstNdshMeta meta = full_meta ();
  g_autoptr (GByteArray) metadata = encode (&meta);
  GstNdshMeta found;

  gst_ndsh_meta_decode (&found, metadata->data, metadata->len);

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
  g_autoptr (GByteArray) metadata = encode (&meta);

  g_assert_cmpuint (metadata->len, ==, 0);
  gst_ndsh_meta_decode (&found, metadata->data, 0);

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
GST_START_TEST (a_cut_encoding_is_a_shorter_one_or_says_nothing)
{
  const GstNdshMeta meta = full_meta ();
  g_autoptr (GByteArray) metadata = encode (&meta);

  for (gsize cut = 0; cut < metadata->len; cut++) {
    guint8 *copy = malloc (cut + 1);
    GstNdshMeta found;

    memcpy (copy, metadata->data, cut);
    gst_ndsh_meta_decode (&found, copy, cut);
    assert_sane (&found);
    g_assert_cmpuint (found.n_memories, ==, 0); /* comes last */
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
    g_autoptr (GByteArray) metadata = encode (&meta);
    guint8 *data = metadata->data;
    gsize size = metadata->len;
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

GST_START_TEST (items_of_a_later_version_are_skipped)
{
  GstNdshMeta meta = { .offset_end = 9 }, found;
  g_autoptr (GByteArray) metadata = g_byte_array_new ();

  ndsh_metadata_append (metadata, 4711, "abc", 3);
  gst_ndsh_meta_append (&meta, metadata);

  gst_ndsh_meta_decode (&found, metadata->data, metadata->len);
  g_assert_cmpuint (found.offset_end, ==, 9);
  g_assert_false (found.has_metas);
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
  tcase_add_test (tcase, a_cut_encoding_is_a_shorter_one_or_says_nothing);
  tcase_add_test (tcase, changed_bytes_never_harm);
  tcase_add_test (tcase, items_of_a_later_version_are_skipped);
  tcase_add_test (tcase, flags_of_this_process_do_not_travel);
  return suite;
}

GST_CHECK_MAIN (meta)
