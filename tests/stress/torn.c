/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Processes that write and read as fast as they can, or at 30 frames a second, and
 * frames of which everything tells their number: payload, arrays, metadata, times,
 * description. A frame that is mixed from two, or that changes while it is held, is
 * found when it was leased and when it goes back. The same once more for slots.c
 * alone, where the steps of the protocol are as near to each other as can be.
 *
 *   torn [--seed N] [--thorough] [--only NAME] [--list]
 *
 * Built as torn-mutants it has the library compiled against mutant-atomics.h, and
 * shows whether this machine can tell a library with one operation weakened or left
 * out from the real one:
 *
 *   torn-mutants [--seconds S] [--mutant NAME | --gross]
 */
#include <ndsh.h>

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ndsh-test.h"
#include "torn.h"

#define MAX_HELD 8
#define SMALL 65536             /* bytes; of larger frames not each is looked at */
#define MOST_MEMORY ((guint64) 512 << 20)
#define METADATA_WORDS 3

static gint64 seed = -1;
static double stuck = 30;        /* seconds without a frame */
Shared *shared;

static const char *const kind_names[]
  = { "free", "mixed", "tight", "tight-lossless", "handed", "turns",
      "raw", "raw-lossless", "raw-turns",
      "raw-copies" };

void
fail (const char *format, ...)
{
  va_list args;

  if (g_atomic_int_compare_and_exchange (&shared->failed, 0, 1)) {
    va_start (args, format);
    g_vsnprintf (shared->what, sizeof shared->what, format, args);
    va_end (args);
  }
  g_atomic_int_set (&shared->stop, 1);
}

/* --- What frame n looks like --- */

/* The number in a word: the factor is odd, so it has an inverse. */
static guint64
number_in (guint64 word, gsize place)
{
  guint64 inverse = BY_NUMBER;

  for (int i = 0; i < 6; i++)
    inverse *= 2 - BY_NUMBER * inverse;
  return (word - place * BY_PLACE) * inverse;
}

/* An array without elements can have any number in its shape. */
static void
describe (guint64 n, gsize size, NdshArrayInfo arrays[2])
{
  gsize number[3] = { n & 0xfffff, 0, 1 + ((n >> 20) & 0xfff) };

  ndsh_array_info_init (&arrays[0], NDSH_DTYPE_UINT8, 1, &size);
  ndsh_array_info_init (&arrays[1],
                        (NdshDtype) (1 + n % NDSH_DTYPE_COMPLEX128), 3, number);
  arrays[1].offset = n % size;
}

static NdshFrameInfo
info_of (guint64 n)
{
  return (NdshFrameInfo){ .timestamp_ns = (gint64) n * 3,
                          .duration_ns = (gint64) n * 5 + 1,
                          .offset = n * 7,
                          .flags = (guint32) n * 11 };
}

static char *
description_of (guint64 n)
{
  return g_strdup_printf ("frames %" G_GUINT64_FORMAT " and on", n / 16 * 16);
}

/* --- Writing --- */

static guint64
slot_cost (gsize size)
{
  gsize page = (gsize) sysconf (_SC_PAGESIZE);

  return (size + page - 1) / page * page + page;
}

static NdshWriterOptions
writer_options (const Plan *plan, GRand *rand)
{
  NdshWriterOptions options = { .history = 1 };
  guint64 n_slots = 2 + plan->n_readers;

  if (plan->kind == TIGHT || plan->kind == TIGHT_LOSSLESS)
    n_slots = 2 + (plan->n_readers - 1) / 2;
  else if (plan->kind != TURNS) {
    options.history = (guint) g_rand_int_range (rand, 1, 4);
    n_slots = 12 + plan->n_readers * MAX_HELD;
  }
  options.max_bytes = MIN (n_slots * slot_cost (plan->size), MOST_MEMORY);
  options.lossless_timeout_us = 600 * G_USEC_PER_SEC;
  return options;
}

static void
fill_draft (NdshWriter *writer, NdshDraft *draft, const NdshArrayInfo *arrays,
            const Plan *plan, guint64 n)
{
  guint64 metadata[METADATA_WORDS];

  fill (ndsh_draft_get_data (draft), plan->size / 8, n);
  fill (metadata, METADATA_WORDS, n);
  if (n % 16 == 0) {
    g_autofree char *text = description_of (n);

    ndsh_writer_set_description (writer, text, NULL);
  }
  ndsh_draft_describe (draft, arrays, 2, 0, metadata, sizeof metadata, NULL);
}

/* Drafts that are given up must leave no trace, and the writer's side may hold on
 * to a frame, as an element downstream does. */
static gboolean
publish (const Plan *plan, NdshDraft *draft, guint64 n, GRand *rand,
         NdshDraft **kept)
{
  NdshFrameInfo info = info_of (n);
  gboolean is_given_up = g_rand_int_range (rand, 0, 64) == 0;
  gboolean is_kept = plan->kind < TIGHT && g_rand_int_range (rand, 0, 16) == 0;

  if (!is_given_up && ndsh_draft_publish (draft, &info) != n)
    fail ("frame %" G_GUINT64_FORMAT " got another number", n);
  if (is_given_up || !is_kept)
    ndsh_draft_release (draft);
  if (is_given_up)
    return FALSE;
  ndsh_draft_release (*kept);
  *kept = is_kept ? draft : NULL;
  return TRUE;
}

/* FALSE if it was not published: there was no slot, or it was given up. */
static gboolean
write_frame (NdshWriter *writer, const Plan *plan, guint64 n, GRand *rand,
             NdshDraft **kept)
{
  g_autoptr (GError) error = NULL;
  NdshArrayInfo arrays[2];
  NdshDraft *draft;

  describe (n, plan->size, arrays);
  draft = ndsh_writer_begin (writer, arrays, 2, &error);
  mutants_settle ();
  if (draft == NULL) {
    if (!g_error_matches (error, NDSH_ERROR, NDSH_ERROR_FULL))
      fail ("begin: %s", error->message);
    return FALSE;
  }
  fill_draft (writer, draft, arrays, plan, n);
  return publish (plan, draft, n, rand, kept);
}

gboolean
all_had (const Plan *plan, guint64 n)
{
  for (guint i = 0; i < plan->n_readers; i++)
    if ((guint) g_atomic_int_get (&shared->reader[i].had) != (n & G_MAXINT))
      return FALSE;
  return TRUE;
}

static void
write_frames (const Plan *plan, const char *channel, GRand *rand)
{
  NdshWriterOptions options = writer_options (plan, rand);
  g_autoptr (GError) error = NULL;
  g_autofree char *description = description_of (0);
  g_autoptr (NdshWriter) writer = ndsh_writer_new (channel, &options, &error);
  NdshDraft *kept = NULL;
  NdshWriterInfo info;
  gint64 started;
  guint64 n = 0;

  if (writer == NULL) {
    fail ("%s", error->message);
    return;
  }
  ndsh_writer_set_description (writer, description, NULL);
  while (ndsh_writer_get_readers (writer, NULL, 0) < plan->n_readers
         && !is_over ())
    g_usleep (1000);
  started = g_get_monotonic_time ();
  while (!is_over ()) {
    if (write_frame (writer, plan, n + 1, rand, &kept))
      g_atomic_int_set (&shared->frames, (gint) ++n);
    else {
      g_atomic_int_inc (&shared->full);
      sched_yield ();
    }
    while (plan->kind == TURNS && !all_had (plan, n) && !is_over ())
      sched_yield ();
    if (plan->rate > 0)
      g_usleep (MAX (0, started + (gint64) n * G_USEC_PER_SEC / plan->rate
                          - g_get_monotonic_time ()));
  }
  ndsh_writer_get_info (writer, &info);
  g_atomic_int_set (&shared->slots, (gint) info.n_slots);
  ndsh_draft_release (kept);
}

/* --- Reading --- */

typedef struct {
  const Plan *plan;
  guint index;
  ReaderCounts *counts;
  GRand *rand;
  gint keeps;                   /* 1: it lets each frame go before the next */
  NdshReader *reader;
  NdshReaderOptions options;
  NdshFrame *held[MAX_HELD];
  guint n_held;
  guint64 last;
  GAsyncQueue *handed;          /* HANDED: to the thread that releases */
} Reading;

static gboolean
word_is_right (const Reading *reading, const guint64 *words, gsize place,
               guint64 n, const char *when)
{
  guint64 word = ((const volatile guint64 *) words)[place];

  if (word == word_of (n, place))
    return TRUE;
  fail ("%s frame %" G_GUINT64_FORMAT " is mixed: word %" G_GSIZE_FORMAT
        " of its payload is of frame %" G_GUINT64_FORMAT
        " (reader %u, mode %d)",
        when, n, place, number_in (word, place), reading->index,
        reading->options.mode);
  return FALSE;
}

/* Of a large frame the ends of each page, and some words at random: to read all of
 * it would test the memory and not the protocol. */
static void
check_payload (Reading *reading, GRand *rand, const NdshFrame *frame,
               const char *when)
{
  const guint64 *words = ndsh_frame_get_data (frame);
  guint64 n = ndsh_frame_get_sequence (frame);
  gsize n_words = reading->plan->size / 8;
  gsize step = (gsize) sysconf (_SC_PAGESIZE) / 8;
  gboolean right = TRUE;

  g_atomic_int_inc (&reading->counts->checks);
  if (reading->plan->size <= SMALL) {
    for (gsize i = 0; i < n_words && right; i++)
      right = word_is_right (reading, words, i, n, when);
    return;
  }
  for (gsize i = 0; i < n_words && right; i += step)
    right = word_is_right (reading, words, i, n, when)
            && word_is_right (reading, words, MIN (i + step, n_words) - 1, n,
                              when);
  for (guint i = 0; i < 64 && right; i++)
    right = word_is_right (reading, words,
                           (gsize) g_rand_int_range (rand, 0, (gint) n_words), n,
                           when);
}

static gboolean
info_is_right (const NdshFrame *frame, guint64 n)
{
  const NdshFrameInfo *info = ndsh_frame_get_info (frame);
  NdshFrameInfo expected = info_of (n);

  return info->timestamp_ns == expected.timestamp_ns
         && info->duration_ns == expected.duration_ns
         && info->offset == expected.offset && info->flags == expected.flags;
}

static gboolean
arrays_are_right (const NdshFrame *frame, guint64 n, gsize size)
{
  NdshArrayInfo expected[2];
  guint n_arrays;
  const NdshArrayInfo *arrays = ndsh_frame_get_arrays (frame, &n_arrays);

  describe (n, size, expected);
  return n_arrays == 2 && ndsh_frame_get_size (frame) == size
         && ndsh_array_info_equal (&arrays[0], &expected[0])
         && ndsh_array_info_equal (&arrays[1], &expected[1]);
}

static gboolean
metadata_is_right (const NdshFrame *frame, guint64 n)
{
  guint64 expected[METADATA_WORDS];
  gsize size;
  const void *metadata = ndsh_frame_get_metadata (frame, &size);

  fill (expected, METADATA_WORDS, n);
  return size == sizeof expected && memcmp (metadata, expected, size) == 0;
}

static void
check_frame (Reading *reading, const NdshFrame *frame)
{
  guint64 n = ndsh_frame_get_sequence (frame);
  g_autofree char *description = description_of (n);
  const char *wrong
    = !info_is_right (frame, n)                          ? "times or flags"
      : !arrays_are_right (frame, n, reading->plan->size) ? "arrays"
      : !metadata_is_right (frame, n)                     ? "metadata"
      : strcmp (description, ndsh_frame_get_description (frame)) != 0
        ? "description"
        : NULL;

  if (wrong != NULL)
    fail ("frame %" G_GUINT64_FORMAT " has the %s of another (reader %u)", n,
          wrong, reading->index);
  check_payload (reading, reading->rand, frame, "new");
}

/* The reader was there before the first frame. */
static void
check_order (Reading *reading, guint64 n)
{
  NdshReaderInfo info;

  ndsh_reader_get_info (reading->reader, &info);
  g_atomic_int_set (&reading->counts->missed, (gint) info.missed);
  if (n <= reading->last)
    fail ("frame %" G_GUINT64_FORMAT " came after %" G_GUINT64_FORMAT, n,
          reading->last);
  if (info.delivered + info.missed != n)
    fail ("at frame %" G_GUINT64_FORMAT " reader %u had %" G_GUINT64_FORMAT
          " and missed %" G_GUINT64_FORMAT,
          n, reading->index, info.delivered, info.missed);
  if (reading->options.mode == NDSH_READ_LOSSLESS
      && (info.missed > 0 || info.mode != NDSH_READ_LOSSLESS))
    fail ("reader %u, which wants every frame, missed %" G_GUINT64_FORMAT
          ", its mode is %d",
          reading->index, info.missed, info.mode);
  if (reading->plan->kind == TURNS && info.missed > 0)
    fail ("reader %u missed a frame that nothing followed", reading->index);
  reading->last = n;
}

static void
let_go (Reading *reading, guint i)
{
  NdshFrame *frame = reading->held[i];

  reading->held[i] = reading->held[--reading->n_held];
  if (reading->handed != NULL) {
    g_async_queue_push (reading->handed, frame);
    return;
  }
  check_payload (reading, reading->rand, frame, "held");
  ndsh_frame_release (frame);
}

static void
let_go_of_one (Reading *reading)
{
  let_go (reading,
          (guint) g_rand_int_range (reading->rand, 0, (gint) reading->n_held));
}

static gpointer
release_what_is_handed (gpointer data)
{
  Reading *reading = data;
  GRand *rand = g_rand_new_with_seed (reading->index);
  gpointer frame;

  while ((frame = g_async_queue_pop (reading->handed)) != reading) {
    check_payload (reading, rand, frame, "held");
    ndsh_frame_release (frame);
  }
  g_rand_free (rand);
  return NULL;
}

/* Now and then, so that it is preempted in other places as well. */
static void
dawdle (Reading *reading)
{
  gboolean slow = reading->plan->rate > 0;
  gint one_in = slow ? 4 : reading->plan->size > SMALL ? 16 : 1024;

  if (reading->plan->kind == TIGHT || reading->plan->kind == TURNS) {
    for (gint i = g_rand_int_range (reading->rand, 0, 256); i > 0; i--)
      __atomic_signal_fence (__ATOMIC_SEQ_CST);
    return;
  }
  if (g_rand_int_range (reading->rand, 0, one_in) == 0)
    g_usleep (
      (gulong) g_rand_int_range (reading->rand, 0, slow ? 100000 : 2000));
}

static void
take (Reading *reading, NdshFrame *frame)
{
  guint64 n = ndsh_frame_get_sequence (frame);
  guint most = MIN (reading->options.max_leases, MAX_HELD);

  check_frame (reading, frame);
  check_order (reading, n);
  reading->held[reading->n_held++] = frame;
  reading->counts->most_held
    = MAX (reading->counts->most_held, (gint) reading->n_held);
  dawdle (reading);
  if (reading->n_held == most
      || g_rand_int_range (reading->rand, 0, reading->keeps) == 0)
    let_go_of_one (reading);
  g_atomic_int_inc (&reading->counts->leases);
  g_atomic_int_set (&reading->counts->had, (gint) (n & G_MAXINT));
}

/* Nothing is held meanwhile: the writer may need it to go on. */
static void
wait_for_next (Reading *reading)
{
  g_autoptr (GError) error = NULL;
  NdshFrame *frame;

  if (reading->n_held > 0) {
    let_go_of_one (reading);
    return;
  }
  frame = ndsh_reader_read (reading->reader, -1, &error);
  if (frame != NULL)
    take (reading, frame);
  else if (g_error_matches (error, NDSH_ERROR, NDSH_ERROR_FULL))
    sched_yield ();             /* the other thread will release one */
  else if (!is_over ())
    fail ("reader %u: %s", reading->index, error->message);
}

static NdshReadMode
choose_mode (const Plan *plan, guint index, GRand *rand)
{
  switch (plan->kind) {
  case TIGHT_LOSSLESS:
    return NDSH_READ_LOSSLESS;
  case MIXED:
    return index == 0 ? NDSH_READ_LOSSLESS
                      : (NdshReadMode) g_rand_int_range (rand, 0, 3);
  case TURNS:
    return (NdshReadMode) (index % 3);
  default:
    return (NdshReadMode) g_rand_int_range (rand, 0, 2);
  }
}

static void
read_frames (Reading *reading, const char *channel)
{
  const Plan *plan = reading->plan;
  NdshReaderOptions *options = &reading->options;
  gboolean is_tight = plan->kind == TIGHT || plan->kind == TIGHT_LOSSLESS;
  GThread *thread = NULL;

  options->mode = choose_mode (plan, reading->index, reading->rand);
  options->queue_length
    = (guint) g_rand_int_range (reading->rand, 1, is_tight ? 2 : 9);
  options->max_leases
    = is_tight ? 1 : (guint) g_rand_int_range (reading->rand, 1, MAX_HELD + 1);
  reading->keeps = g_rand_int_range (reading->rand, 1, 5);
  reading->reader = ndsh_reader_new (channel, options, NULL);
  if (plan->kind == HANDED) {
    reading->handed = g_async_queue_new ();
    thread = g_thread_new ("releases", release_what_is_handed, reading);
  }
  while (!is_over ()) {
    NdshFrame *frame = ndsh_reader_acquire (reading->reader);

    if (frame != NULL)
      take (reading, frame);
    else
      wait_for_next (reading);
  }
  while (reading->n_held > 0)
    let_go (reading, 0);
  if (thread != NULL) {
    g_async_queue_push (reading->handed, reading);
    g_thread_join (thread);
  }
  ndsh_reader_free (reading->reader);
}

/* --- A run --- */

static gint
count_leases (const Plan *plan)
{
  gint n = 0;

  for (guint i = 0; i < plan->n_readers; i++)
    n += g_atomic_int_get (&shared->reader[i].leases);
  return n;
}

/* Forks before anything of ndsh is opened: 0 is the writer. */
static pid_t
start (const Plan *plan, const char *channel, guint i)
{
  pid_t pid = fork ();
  Reading reading = { .plan = plan };

  g_assert_cmpint (pid, >=, 0);
  if (pid > 0)
    return pid;
  reading.rand = g_rand_new_with_seed ((guint32) seed * 31 + i);
  if (plan->kind >= RAW && i == 0)
    raw_write (plan);
  else if (plan->kind >= RAW)
    raw_read (plan, i - 1);
  else if (i == 0)
    write_frames (plan, channel, reading.rand);
  else {
    reading.index = i - 1;
    reading.counts = &shared->reader[i - 1];
    read_frames (&reading, channel);
  }
  _exit (0);
}

/* A process that ends by itself during a run is a failure. */
static void
look_at_child (pid_t *pid)
{
  int status;

  if (*pid <= 0 || waitpid (*pid, &status, WNOHANG) <= 0)
    return;
  if (!WIFEXITED (status) || WEXITSTATUS (status) != 0)
    fail ("a process ended with status %#x", (guint) status);
  *pid = 0;
}

static void
supervise (const Plan *plan, pid_t *pids, gint64 until_us)
{
  gint64 moved_us = g_get_monotonic_time ();
  gint before = -1;

  while (!is_over ()) {
    gint64 now_us = g_get_monotonic_time ();
    gint n = count_leases (plan);

    if (n != before)
      moved_us = now_us;
    else if (now_us - moved_us > stuck * G_USEC_PER_SEC)
      fail ("nobody had a new frame for %.0f s", stuck);
    /* Who moves no more when the time is up shall be found stuck. */
    if (n >= plan->n_leases
        || (now_us > until_us && n > 0
            && now_us - moved_us < G_USEC_PER_SEC / 10))
      g_atomic_int_set (&shared->stop, 1);
    before = n;
    for (guint i = 0; i <= plan->n_readers; i++)
      look_at_child (&pids[i]);
    g_usleep (1000);
  }
}

static void
join (const Plan *plan, pid_t *pids)
{
  gint64 until_us = g_get_monotonic_time () + (gint64) (stuck * G_USEC_PER_SEC);
  guint n_left = 1;

  while (n_left > 0) {
    n_left = 0;
    for (guint i = 0; i <= plan->n_readers; i++) {
      look_at_child (&pids[i]);
      if (pids[i] > 0 && g_get_monotonic_time () > until_us) {
        fail ("a process does not end");
        kill (pids[i], SIGKILL);
      }
      n_left += pids[i] > 0;
    }
    g_usleep (1000);
  }
}

/* FALSE if something was wrong; then shared->what says what. */
static gboolean
run (const Plan *plan, gint64 until_us)
{
  static guint n_runs;
  g_autofree char *channel = g_strdup_printf ("torn-%u", n_runs++);
  g_autofree char *path = ndsh_test_path (channel);
  pid_t pids[1 + MAX_READERS];

  memset (shared, 0, sizeof *shared);
  if (plan->kind >= RAW)
    raw_set_up (plan);
  for (guint i = 0; i <= plan->n_readers; i++)
    pids[i] = start (plan, channel, i);
  supervise (plan, pids, until_us);
  join (plan, pids);
  if (shared->failed != 0)
    unlink (path);              /* of a process that had to be killed */
  return shared->failed == 0;
}

static char *
name_plan (const Plan *plan)
{
  return g_strdup_printf ("%" G_GSIZE_FORMAT "x%u-%s-%s", plan->size,
                          plan->n_readers, plan->rate > 0 ? "30fps" : "full",
                          kind_names[plan->kind]);
}

static void
set_up (void)
{
  shared = mmap (NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  g_assert_true (shared != MAP_FAILED);
  if (seed < 0)
    seed = g_random_int ();
  g_print ("--seed %" G_GINT64_FORMAT "\n", seed);
  ndsh_test_dir_setup ();
}

#ifdef STRESS_MUTANTS

/* --- Which mutants show on this machine --- */

#define PAGE 4096

static const Plan battery[] = {
  { RAW, 64, 1, 0, 0 },
  { RAW_TURNS, 64, 1, 0, 0 },
  { RAW_LOSSLESS, 64, 1, 0, 0 },
  { RAW, 64, 2, 0, 0 },
  { RAW_COPIES, 64, 2, 0, 0 },
  { TIGHT, 64, 1, 0, 0 },
  { TIGHT, PAGE, 1, 0, 0 },
  { TIGHT, 64, 2, 0, 0 },
  { TIGHT, 64, 4, 0, 0 },
  { TURNS, 64, 1, 0, 0 },
  { TURNS, 64, 3, 0, 0 },
  { TIGHT_LOSSLESS, 64, 1, 0, 0 },
  { TIGHT_LOSSLESS, 64, 3, 0, 0 },
  { HANDED, 64, 1, 0, 0 },
  { MIXED, 64, 4, 0, 0 },
};

static double seconds = 20;
static char *mutant_wanted;
static gboolean gross_only;

static void
be_silent (const char *domain, GLogLevelFlags level, const char *line,
           gpointer data)
{
  (void) domain, (void) level, (void) line, (void) data;
}

/* Takes turns among the plans, and gives each longer the next time. */
static gboolean
is_caught (const char *name)
{
  gint64 until_us
    = g_get_monotonic_time () + (gint64) (seconds * G_USEC_PER_SEC);
  gint64 slice_us = G_USEC_PER_SEC / 5;
  guint64 n_leases = 0;

  for (; g_get_monotonic_time () < until_us; slice_us *= 2)
    for (guint i = 0; i < G_N_ELEMENTS (battery); i++) {
      Plan plan = battery[i];
      g_autofree char *plan_name = name_plan (&plan);
      gboolean good;

      plan.n_leases = G_MAXINT;
      good = run (&plan, MIN (until_us, g_get_monotonic_time () + slice_us));
      n_leases += (guint64) count_leases (&plan);
      seed++;
      if (!good) {
        g_print ("%-32s caught by %-22s after %9" G_GUINT64_FORMAT
                 " leases: %s\n",
                 name, plan_name, n_leases, shared->what);
        return TRUE;
      }
    }
  g_print ("%-32s not caught in                    %9" G_GUINT64_FORMAT
           " leases\n",
           name, n_leases);
  return FALSE;
}

static const GOptionEntry entries[] = {
  { "seed", 0, 0, G_OPTION_ARG_INT64, &seed, "", "N" },
  { "stuck", 0, 0, G_OPTION_ARG_DOUBLE, &stuck, "how long that takes", "S" },
  { "seconds", 0, 0, G_OPTION_ARG_DOUBLE, &seconds, "for each", "S" },
  { "mutant", 0, 0, G_OPTION_ARG_STRING, &mutant_wanted, "only this", "NAME" },
  { "gross", 0, 0, G_OPTION_ARG_NONE, &gross_only,
    "only those that must be caught", NULL },
  { NULL, 0, 0, 0, NULL, NULL, NULL }
};

/* That nothing is caught without a mutant shows that the rest is its work. */
static int
run_all (void)
{
  guint n_caught = 0, n_run = 0;
  gboolean good = TRUE;

  g_log_set_default_handler (be_silent, NULL);
  for (guint i = 0; i < mutants_count (); i++) {
    const Mutant *mutant = mutants_choose (i);
    gboolean caught;

    if (i > 0 && ((gross_only && !mutants_is_gross (mutant))
                  || (mutant_wanted != NULL
                      && strcmp (mutant_wanted, mutant->name) != 0)))
      continue;
    caught = is_caught (mutant->name);
    good &= i == 0 ? !caught : caught || !mutants_is_gross (mutant);
    n_caught += caught;
    n_run += i > 0;
  }
  g_print ("%u of %u mutants were caught\n", n_caught, n_run);
  return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

#else

/* --- Nothing is mixed --- */

#define BGR(width, height) ((gsize) (width) * (height) * 3)

static const struct {
  gsize size;
  gint quick, thorough;         /* leases at full speed */
} sizes[] = {
  { 64, 10000, 60000 },
  { BGR (640, 480), 1000, 4000 },
  { BGR (1920, 1080), 150, 800 },
  { BGR (3840, 2160), 60, 300 },
};

static gboolean thorough, list_only;
static char *only;
static guint n_failed;
static guint64 n_total;

static void
print_counts (const char *name, const Plan *plan, gint64 started_us)
{
  gint missed = 0, checks = 0, most_held = 0;

  for (guint i = 0; i < plan->n_readers; i++) {
    missed += shared->reader[i].missed;
    checks += shared->reader[i].checks;
    most_held = MAX (most_held, shared->reader[i].most_held);
  }
  g_print ("%-30s %8d leases %8d checks %8d frames %7d not written %8d missed, "
           "%3d slots, %d held, %.1f s\n",
           name, count_leases (plan), checks, shared->frames, shared->full,
           missed, shared->slots, most_held,
           (g_get_monotonic_time () - started_us) / 1e6);
}

static void
run_one (Plan plan)
{
  g_autofree char *name = name_plan (&plan);
  gint64 started_us = g_get_monotonic_time ();

  if (only != NULL && strstr (name, only) == NULL)
    return;
  if (list_only) {
    g_print ("%s\n", name);
    return;
  }
  if (!run (&plan, G_MAXINT64)) {
    g_print ("FAILED %s: %s\n", name, shared->what);
    n_failed++;
  }
  n_total += (guint64) count_leases (&plan);
  print_counts (name, &plan, started_us);
}

static gboolean
is_for_now (guint size, guint n_readers)
{
  return thorough
         || (size == 0 && (n_readers <= 2 || n_readers == MAX_READERS))
         || (size == 1 && n_readers == 4) || (size == 2 && n_readers == 2)
         || (size == 3 && n_readers == 3);
}

static int
run_all (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    for (guint n = 1; n <= MAX_READERS; n++)
      for (guint kind = FREE; kind <= MIXED && is_for_now (i, n); kind++) {
        run_one ((Plan){ (Kind) kind, sizes[i].size, n, 0,
                         thorough ? sizes[i].thorough : sizes[i].quick });
        if (thorough || ((n == 8 || i > 0) && kind == MIXED))
          run_one ((Plan){ (Kind) kind, sizes[i].size, n, 30,
                           (gint) n * (thorough ? 60 : 30) });
      }
  for (guint kind = TIGHT; kind <= RAW_COPIES; kind++)
    for (guint n = 1; n <= 4; n *= 2)
      run_one ((Plan){ (Kind) kind, 64, n, 0,
                       thorough      ? 200000
                       : kind >= RAW ? 10000
                                     : 20000 });
  g_print ("%" G_GUINT64_FORMAT " leases, %u runs failed\n", n_total, n_failed);
  return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static const GOptionEntry entries[] = {
  { "seed", 0, 0, G_OPTION_ARG_INT64, &seed, "", "N" },
  { "stuck", 0, 0, G_OPTION_ARG_DOUBLE, &stuck, "how long that takes", "S" },
  { "thorough", 0, 0, G_OPTION_ARG_NONE, &thorough, "a million leases", NULL },
  { "only", 0, 0, G_OPTION_ARG_STRING, &only, "runs whose name has this",
    "NAME" },
  { "list", 0, 0, G_OPTION_ARG_NONE, &list_only, "their names", NULL },
  { NULL, 0, 0, 0, NULL, NULL, NULL }
};

#endif

int
main (int argc, char **argv)
{
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_autoptr (GError) error = NULL;
  int result;

  setvbuf (stdout, NULL, _IOLBF, 0);
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error) || argc != 1) {
    g_printerr ("%s\n", error != NULL ? error->message : "see --help");
    return 2;
  }
  set_up ();
  result = run_all ();
  ndsh_test_dir_teardown ();
  return result;
}
