/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "error.h"

#include <errno.h>
#include <string.h>

static GError *
make_error (int number)
{
  GError *error = NULL;

  errno = number;
  g_assert_false (ndsh_set_errno (&error, "cannot open %s", "the door"));
  g_assert_cmpint (errno, ==, number);
  return error;
}

static void
assert_code (int number, NdshError code)
{
  g_autoptr (GError) error = make_error (number);

  g_assert_error (error, NDSH_ERROR, (int) code);
}

static void
assert_advises (int number, const char *advice)
{
  g_autoptr (GError) error = make_error (number);

  g_assert_nonnull (strstr (error->message, advice));
}

static void
test_the_message_says_what_and_why (void)
{
  g_autoptr (GError) error = make_error (EIO);
  g_autofree char *text
    = g_strdup_printf ("cannot open the door: %s", g_strerror (EIO));

  g_assert_cmpstr (error->message, ==, text);
}

static void
test_the_code_is_what_a_caller_can_act_on (void)
{
  assert_code (EACCES, NDSH_ERROR_DENIED);
  assert_code (EPERM, NDSH_ERROR_DENIED);
  assert_code (ENOMEM, NDSH_ERROR_MEMORY);
  assert_code (EMFILE, NDSH_ERROR_SYSTEM);
  assert_code (EIO, NDSH_ERROR_SYSTEM);
}

static void
test_a_limit_comes_with_advice (void)
{
  assert_advises (EMFILE, "ulimit -n");
  assert_advises (ENFILE, "fs.file-max");
  assert_advises (ENOMEM, "free some memory");
  assert_advises (ENOMEM, "ulimit -v");
  assert_advises (ENOSPC, "NDSH_DIR");
}

static void
test_nobody_need_listen (void)
{
  errno = EIO;

  g_assert_false (ndsh_set_errno (NULL, "x"));

  g_assert_cmpint (errno, ==, EIO);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/error/the-message-says-what-and-why",
                   test_the_message_says_what_and_why);
  g_test_add_func ("/error/the-code-is-what-a-caller-can-act-on",
                   test_the_code_is_what_a_caller_can_act_on);
  g_test_add_func ("/error/a-limit-comes-with-advice",
                   test_a_limit_comes_with_advice);
  g_test_add_func ("/error/nobody-need-listen", test_nobody_need_listen);

  return g_test_run ();
}
