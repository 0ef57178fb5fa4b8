/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is put together is found again, and what is cut or changed harms nobody. */
#include "ndsh-test.h"

#include <math.h>
#include <string.h>

static GByteArray *
three_items (void)
{
  GByteArray *metadata = g_byte_array_new ();
  const NdshRegion region = { .label = "Löwe",
                              .id = 7,
                              .parent_id = -1,
                              .x = 1,
                              .y = 2,
                              .width = 0x12345678,
                              .height = 4,
                              .confidence = 0.75,
                              .parameters = "color, name=(string)red;" };

  ndsh_metadata_append (metadata, 1000, "abc", 3);
  ndsh_metadata_append_region (metadata, &region);
  ndsh_metadata_append (metadata, 1001, NULL, 0);
  return metadata;
}

static void
test_items_are_found_in_their_order (void)
{
  g_autoptr (GByteArray) metadata = three_items ();
  NdshItem item = { 0 };
  NdshRegion region;

  g_assert_true (ndsh_metadata_next (metadata->data, metadata->len, &item));
  g_assert_cmpuint (item.tag, ==, 1000);
  g_assert_cmpmem (item.data, item.size, "abc", 3);
  g_assert_false (ndsh_item_get_region (&item, &region));

  g_assert_true (ndsh_metadata_next (metadata->data, metadata->len, &item));
  g_assert_true (ndsh_item_get_region (&item, &region));
  g_assert_cmpstr (region.label, ==, "Löwe");
  g_assert_cmpint (region.id, ==, 7);
  g_assert_cmpint (region.parent_id, ==, -1);
  g_assert_cmpuint (region.x, ==, 1);
  g_assert_cmpuint (region.y, ==, 2);
  g_assert_cmpuint (region.width, ==, 0x12345678);
  g_assert_cmpuint (region.height, ==, 4);
  g_assert_cmpfloat (region.confidence, ==, 0.75);
  g_assert_cmpstr (region.parameters, ==, "color, name=(string)red;");

  g_assert_true (ndsh_metadata_next (metadata->data, metadata->len, &item));
  g_assert_cmpuint (item.tag, ==, 1001);
  g_assert_cmpuint (item.size, ==, 0);
  g_assert_false (ndsh_metadata_next (metadata->data, metadata->len, &item));
}

/* As doc/protocol.md has it, on every machine. */
static void
test_items_are_these_bytes (void)
{
  static const guint8 expected[]
    = { 'n', 'd', 'g', '1', 5, 0, 0, 0, 35, 0, 0, 0, 1, 0, 0, 0, 255, 255, 255, 255,
        2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 224, 63, 'a',
        0, 0 };
  const NdshRegion region = { "a", 1, -1, 2, 3, 4, 5, 0.5, NULL };
  g_autoptr (GByteArray) metadata = g_byte_array_new ();

  ndsh_metadata_append_region (metadata, &region);
  g_assert_cmpmem (metadata->data, metadata->len, expected, sizeof expected);
}

static void
test_other_bytes_are_no_items (void)
{
  NdshItem item = { 0 };

  g_assert_false (ndsh_metadata_next (NULL, 0, &item));
  g_assert_false (ndsh_metadata_next ("meta", 4, &item));
  g_assert_false (ndsh_metadata_next ("ndg1", 4, &item));
  g_assert_false (ndsh_metadata_next ("ndg2\0\0\0\0\0\0\0\0", 12, &item));
  g_assert_null (item.data);
}

/* Each in a block of its size, so that a tool sees any byte too many. */
static void
test_what_is_cut_is_no_items (void)
{
  g_autoptr (GByteArray) metadata = three_items ();
  const guint ends[] = { 4 + 8 + 3, metadata->len - 8 };

  for (guint cut = 0; cut < metadata->len; cut++) {
    g_autofree guint8 *copy = g_memdup (metadata->data, cut);
    NdshItem item = { 0 };

    g_assert_true (ndsh_metadata_next (copy, cut, &item)
                   == (cut == ends[0] || cut == ends[1]));
  }
}

static void
test_regions_that_cannot_be_are_none (void)
{
  g_autoptr (GByteArray) metadata = three_items ();
  NdshItem good = { 0 }, item;
  NdshRegion region;

  ndsh_metadata_next (metadata->data, metadata->len, &good);
  ndsh_metadata_next (metadata->data, metadata->len, &good);
  for (gsize size = 0; size < good.size; size++) {
    g_autofree guint8 *copy = g_memdup (good.data, (guint) size);

    item = (NdshItem){ good.tag, size, copy };
    g_assert_false (ndsh_item_get_region (&item, &region));
  }
  item = good;
  ((guint8 *) item.data)[33] = 0xff;    /* of the label's umlaut */
  g_assert_false (ndsh_item_get_region (&item, &region));
}

static void
test_a_confidence_that_cannot_be_is_unknown (void)
{
  const double values[] = { NAN, -5, 1.01, INFINITY };

  for (guint i = 0; i < G_N_ELEMENTS (values); i++) {
    g_autoptr (GByteArray) metadata = g_byte_array_new ();
    NdshRegion region = NDSH_REGION_INIT;
    NdshItem item = { 0 };

    region.confidence = values[i];
    ndsh_metadata_append_region (metadata, &region);
    ndsh_metadata_next (metadata->data, metadata->len, &item);
    g_assert_true (ndsh_item_get_region (&item, &region));
    g_assert_cmpfloat (region.confidence, ==, -1);
    g_assert_cmpint (region.id, ==, -1);
    g_assert_cmpint (region.parent_id, ==, -1);
    g_assert_cmpstr (region.label, ==, "");
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

#define ADD(name, function) g_test_add_func ("/metadata/" name, function)
  ADD ("items-are-found-in-their-order", test_items_are_found_in_their_order);
  ADD ("items-are-these-bytes", test_items_are_these_bytes);
  ADD ("other-bytes-are-no-items", test_other_bytes_are_no_items);
  ADD ("what-is-cut-is-no-items", test_what_is_cut_is_no_items);
  ADD ("regions-that-cannot-be-are-none", test_regions_that_cannot_be_are_none);
  ADD ("a-confidence-that-cannot-be-is-unknown",
       test_a_confidence_that_cannot_be_is_unknown);
#undef ADD
  return g_test_run ();
}
