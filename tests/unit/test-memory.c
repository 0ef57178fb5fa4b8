/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "memory.h"

#include <string.h>

static void
test_a_little_is_granted (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (ndsh_memory_check (4096, &error));
  g_assert_no_error (error);
}

static void
test_nothing_is_always_granted (void)
{
  g_assert_true (ndsh_memory_check (0, NULL));
}

static void
test_too_much_is_refused_with_both_numbers (void)
{
  g_autoptr (GError) error = NULL;
  const char *available;

  g_assert_false (ndsh_memory_check (G_GUINT64_CONSTANT (1) << 60, &error));

  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_MEMORY);
  g_assert_nonnull (strstr (error->message, "1152921504606.8 MB"));
  available = strstr (error->message, "of shared memory, ");
  g_assert_nonnull (available);
  g_assert_cmpfloat (
    g_ascii_strtod (available + strlen ("of shared memory, "), NULL), >, 0);
  g_assert_nonnull (strstr (error->message, "MB are available"));
}

static void
test_the_largest_number_is_refused (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (ndsh_memory_check (G_MAXUINT64, &error));
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_MEMORY);
}

/* Twice what /proc/meminfo calls total is more than any group can have left. */
static void
test_more_than_the_machine_has_is_refused (void)
{
  g_autofree char *text = NULL;
  guint64 kilobytes;

  g_assert_true (g_file_get_contents ("/proc/meminfo", &text, NULL, NULL));
  g_assert_true (g_str_has_prefix (text, "MemTotal:"));
  kilobytes = g_ascii_strtoull (text + strlen ("MemTotal:"), NULL, 10);

  g_assert_cmpuint (kilobytes, >, 0);
  g_assert_false (ndsh_memory_check (2 * 1024 * kilobytes, NULL));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/memory/a-little-is-granted", test_a_little_is_granted);
  g_test_add_func ("/memory/nothing-is-always-granted",
                   test_nothing_is_always_granted);
  g_test_add_func ("/memory/too-much-is-refused-with-both-numbers",
                   test_too_much_is_refused_with_both_numbers);
  g_test_add_func ("/memory/the-largest-number-is-refused",
                   test_the_largest_number_is_refused);
  g_test_add_func ("/memory/more-than-the-machine-has-is-refused",
                   test_more_than_the_machine_has_is_refused);

  return g_test_run ();
}
