/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Offsets and sizes are asserted where they are declared; this is the arithmetic. */
#include "layout.h"

#include <glib.h>

static void
test_a_word_is_never_0 (void)
{
  static const guint64 numbers[]
    = { 0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, G_MAXUINT64 };

  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++)
    g_assert_cmpuint (ndsh_word (numbers[i]) & 1, ==, 1);
}

static void
test_distances_are_exact_across_the_wrap (void)
{
  static const guint64 starts[] = { 1, 0x7ffffff0, 0xfffffff0, 0x17ffffff0 };

  for (guint i = 0; i < G_N_ELEMENTS (starts); i++)
    for (guint64 a = starts[i]; a < starts[i] + 40; a++)
      for (guint64 b = starts[i]; b < starts[i] + 40; b++)
        g_assert_cmpint (ndsh_word_distance (ndsh_word (a), ndsh_word (b)), ==,
                         (gint64) (a - b));
}

static void
test_the_next_word_is_two_more (void)
{
  g_assert_cmpuint (ndsh_word (0x7fffffff) + 2, ==, ndsh_word (0x80000000));
  g_assert_cmpuint (ndsh_word (5) + 2, ==, ndsh_word (6));
}

static void
test_neighbours_have_places_of_their_own (void)
{
  for (guint64 first = 0x7fffffff - 40; first < 0x80000000; first++) {
    guint64 seen = 0;

    for (guint64 n = first; n < first + NDSH_RING; n++)
      seen |= G_GUINT64_CONSTANT (1) << ndsh_word_ring (ndsh_word (n));
    g_assert_cmpuint (seen, ==, G_MAXUINT64);
  }
}

static void
test_no_two_writers_share_a_line (void)
{
  g_assert_cmpuint (offsetof (NdshControl, head) % NDSH_LINE, ==, 0);
  g_assert_cmpuint (offsetof (NdshControl, ends) % NDSH_LINE, ==, 0);
  g_assert_cmpuint (offsetof (NdshControl, writer_waiting) % NDSH_LINE, ==, 0);
  g_assert_cmpuint (offsetof (NdshControl, slot) % NDSH_LINE, ==, 0);
  g_assert_cmpuint (sizeof (NdshRecord), ==, NDSH_LINE);
  g_assert_cmpuint (offsetof (NdshLeasePage, waiting) % NDSH_LINE, ==, 0);
  g_assert_cmpuint (offsetof (NdshLeasePage, cursor) % NDSH_LINE, ==, 0);
  g_assert_cmpuint (offsetof (NdshLeasePage, mode) % NDSH_LINE, ==, 0);
}

static void
test_head_and_ring_share_a_line (void)
{
  g_assert_cmpuint (offsetof (NdshControl, head) / NDSH_LINE, ==,
                    (offsetof (NdshControl, ring) + NDSH_RING - 1) / NDSH_LINE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/layout/a-word-is-never-0", test_a_word_is_never_0);
  g_test_add_func ("/layout/distances-are-exact-across-the-wrap",
                   test_distances_are_exact_across_the_wrap);
  g_test_add_func ("/layout/the-next-word-is-two-more",
                   test_the_next_word_is_two_more);
  g_test_add_func ("/layout/neighbours-have-places-of-their-own",
                   test_neighbours_have_places_of_their_own);
  g_test_add_func ("/layout/no-two-writers-share-a-line",
                   test_no_two_writers_share_a_line);
  g_test_add_func ("/layout/head-and-ring-share-a-line",
                   test_head_and_ring_share_a_line);

  return g_test_run ();
}
