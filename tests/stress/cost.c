/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Goal: what a frame costs does not depend on its size (I19).
 *
 * Method: instructions and system calls are counted, since no other process makes
 * them more or fewer. The subject, a process of this program, is writer and reader of
 * large frames and of small ones, and touches no payload; it is taken step by step
 * (steps.h) through each operation.
 */
#include "ndsh-test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "steps.h"

/* Of which all slots exist, and are known, before anything is counted. */
#define WARM_UP 20

#define N_SLOTS 8

static const gsize sizes[]
  = { 64, 640 * 480 * 3, 1920 * 1080 * 3, 3840 * 2160 * 3 };

static const char *const operations[]
  = { "begin", "describe", "publish", "release-draft", "acquire", "release" };

#define N_OPERATIONS G_N_ELEMENTS (operations)

/* --- The subject ---------------------------------------------------------- */

static void
do_nothing (void)
{
}

/* @mark: before the first operation, and after each. */
static void
pass_a_frame (NdshWriter *writer, NdshReader *reader, gsize size,
              void (*mark) (void))
{
  NdshArrayInfo info = ndsh_test_bytes (size);
  NdshDraft *draft;
  NdshFrame *frame;

  mark ();
  draft = ndsh_writer_begin (writer, &info, 1, NULL);
  mark ();
  ndsh_draft_describe (draft, &info, 1, 0, "data", 4, NULL);
  mark ();
  ndsh_draft_publish (draft, NULL);
  mark ();
  ndsh_draft_release (draft);
  mark ();
  frame = ndsh_reader_acquire (reader);
  mark ();
  ndsh_frame_release (frame);
  mark ();
  g_assert_true (draft != NULL && frame != NULL);
}

static int
be_subject (gsize size)
{
  NdshWriterOptions options = { .max_bytes = N_SLOTS * (size + (1 << 20)) };
  NdshWriter *writer = ndsh_test_writer (&options);
  NdshReader *reader = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 2);

  for (guint i = 0; i < WARM_UP; i++)
    pass_a_frame (writer, reader, size, do_nothing);
  pass_a_frame (writer, reader, size, steps_mark);
  ndsh_reader_free (reader);
  ndsh_writer_free (writer);
  return 0;
}

/* --- Who counts ----------------------------------------------------------- */

typedef struct {
  guint n_steps[N_OPERATIONS];
  guint n_calls[N_OPERATIONS];
} Cost;

static Cost
count_once (gsize size)
{
  g_autofree char *role = g_strdup_printf ("%" G_GSIZE_FORMAT, size);
  int pid = steps_spawn (role);
  Cost cost;

  steps_run_to_mark (pid);
  for (guint i = 0; i < N_OPERATIONS; i++) {
    StepsRecord *record = steps_record (pid);

    cost.n_steps[i] = record->n_steps;
    cost.n_calls[i] = record->calls->len;
    g_test_message ("%" G_GSIZE_FORMAT " bytes: %s takes %u steps, %u of them calls",
                    size, operations[i], record->n_steps, record->calls->len);
    steps_record_free (record);
  }
  steps_stop (pid);
  steps_continue (pid);
  g_assert_cmpint (steps_wait_exit (pid), ==, 0);
  return cost;
}

/* The least of some runs: a clock that is set just then is read twice. */
static Cost
get_cost (gsize size)
{
  Cost least = count_once (size);

  for (guint run = 1; run < 3; run++) {
    Cost cost = count_once (size);

    for (guint i = 0; i < N_OPERATIONS; i++) {
      least.n_steps[i] = MIN (least.n_steps[i], cost.n_steps[i]);
      least.n_calls[i] = MIN (least.n_calls[i], cost.n_calls[i]);
    }
  }
  return least;
}

static void
test_a_large_frame_takes_the_steps_of_a_small_one (void)
{
  Cost small = get_cost (sizes[0]);

  for (guint i = 1; i < G_N_ELEMENTS (sizes); i++) {
    Cost large = get_cost (sizes[i]);

    for (guint j = 0; j < N_OPERATIONS; j++) {
      g_assert_cmpuint (large.n_steps[j], ==, small.n_steps[j]);
      g_assert_cmpuint (large.n_calls[j], ==, small.n_calls[j]);
    }
  }
}

/* What they took on x86-64 from gcc 12 when this was last looked at. A change that makes
 * one longer by more than a compiler does is seen here, and told, or done otherwise. */
static void
test_no_operation_has_grown_long (void)
{
#if defined(__x86_64__) && defined(__OPTIMIZE__) && !defined(__clang__)
  static const guint usual[N_OPERATIONS] = { 1141, 444, 340, 212, 579, 337 };
  Cost cost = get_cost (sizes[0]);

  for (guint i = 0; i < N_OPERATIONS; i++)
    if (cost.n_steps[i] > usual[i] * 115 / 100)
      g_error ("%s takes %u steps and took %u", operations[i], cost.n_steps[i], usual[i]);
#else
  g_test_skip ("the table is of gcc's code for x86-64");
#endif
}

int
main (int argc, char **argv)
{
  g_autofree char *why_not = NULL;
  int result;

  if (argc == 3 && strcmp (argv[1], "--subject") == 0)
    return be_subject (strtoul (argv[2], NULL, 10));

  why_not = steps_why_not ();
  if (why_not != NULL) {
    printf ("skipped: %s\n", why_not);
    return 77;
  }
  g_test_init (&argc, &argv, NULL);
  g_setenv ("LD_BIND_NOW", "1", TRUE);
  ndsh_test_dir_setup ();
  g_test_add_func ("/cost/a-large-frame-takes-the-steps-of-a-small-one",
                   test_a_large_frame_takes_the_steps_of_a_small_one);
  g_test_add_func ("/cost/no-operation-has-grown-long",
                   test_no_operation_has_grown_long);
  result = g_test_run ();
  ndsh_test_dir_teardown ();
  return result;
}
