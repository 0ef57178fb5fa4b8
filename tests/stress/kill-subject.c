/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kill-subject.h"

#include <string.h>
#include <unistd.h>

#include "ndsh-test.h"
#include "segment.h"
#include "steps.h"

#define LARGE 10000             /* bytes of a frame that fits no slot */
#define TIMEOUT_US (30 * G_USEC_PER_SEC)

guint64
memory_of (guint n_slots)
{
  return n_slots * 2 * ndsh_page_align (1);
}

struct Subject {
  NdshReader *reader;
  NdshFrame *frame;
  NdshWriter *writer;
  NdshDraft *draft;
  gsize size;
  guint n_slots;
  gboolean has_frame;           /* said the last look */
  GError *error;
};

static void
prepare_connect (Subject *s)
{
  steps_mark ();
  s->reader = ndsh_test_reader (NDSH_READ_LATEST, 4, 2);
}

/* All that the writer has to tell is in the socket when the mark is passed. A lossless
 * reader's queue is so long that the writer's slots are never more than half of it: then
 * each frame that it takes or gives back wakes a writer that waits. */
static void
join (Subject *s, NdshReadMode mode)
{
  s->reader
    = ndsh_test_joined_reader (mode, mode == NDSH_READ_LOSSLESS ? NDSH_MAX_QUEUE : 4, 2);
  steps_mark ();
}

static void
prepare_join (Subject *s)
{
  join (s, NDSH_READ_LATEST);
}

static void
take (Subject *s, NdshReadMode mode)
{
  join (s, mode);
  s->frame = ndsh_test_next (s->reader);
  ndsh_reader_wait (s->reader, 0, NULL);        /* hears all that was said */
}

static void
prepare_hold (Subject *s)
{
  take (s, NDSH_READ_LATEST);
}

static void
prepare_give_back (Subject *s)
{
  take (s, NDSH_READ_LATEST);
  g_clear_pointer (&s->frame, ndsh_frame_release);
}

/* Each frame takes back the mark of the sleeper that a wait has left, so there is
 * none when the operation begins. */
static void
prepare_wait (Subject *s)
{
  prepare_give_back (s);
  steps_mark ();
  ndsh_frame_release (ndsh_reader_acquire (s->reader));
}

static void
prepare_hold_lossless (Subject *s)
{
  take (s, NDSH_READ_LOSSLESS);
}

static void
prepare_give_back_lossless (Subject *s)
{
  take (s, NDSH_READ_LOSSLESS);
  g_clear_pointer (&s->frame, ndsh_frame_release);
}

static void
connect_to_writer (Subject *s)
{
  ndsh_reader_wait (s->reader, TIMEOUT_US, &s->error);
}

/* Without an error: to put its text together takes more steps than all else. */
static void
look (Subject *s)
{
  s->has_frame = ndsh_reader_wait (s->reader, 0, NULL);
}

static void
acquire (Subject *s)
{
  s->frame = ndsh_reader_acquire (s->reader);
}

static void
release (Subject *s)
{
  g_clear_pointer (&s->frame, ndsh_frame_release);
}

static void
leave (Subject *s)
{
  g_clear_pointer (&s->reader, ndsh_reader_free);
  release (s);
}

/* What was leased is whole and has not changed; and all that follows comes. */
static int
finish_reading (Subject *s)
{
  guint64 last = 0;

  g_assert_no_error (s->error);
  while (s->reader != NULL) {
    if (s->frame != NULL) {
      ndsh_test_check_bytes (s->frame);
      g_assert_cmpuint (ndsh_frame_get_sequence (s->frame), >, last);
      last = ndsh_frame_get_sequence (s->frame);
      release (s);
    }
    if (!ndsh_reader_wait (s->reader, TIMEOUT_US, &s->error))
      break;
    acquire (s);
  }
  if (s->reader != NULL)
    g_assert_error (s->error, NDSH_ERROR, NDSH_ERROR_ENDED);
  g_clear_error (&s->error);
  ndsh_reader_free (s->reader);
  return 0;
}

/* Nothing has come since the end of the operation. If there was a frame by then and
 * it was not seen, the fd tells. */
static int
finish_waiting (Subject *s)
{
  if (!s->has_frame)
    ndsh_test_wait_readable (ndsh_reader_get_fd (s->reader));
  g_assert_true (ndsh_reader_wait (s->reader, 0, NULL));
  steps_mark ();
  return finish_reading (s);
}

static gint n_notices;

static void
on_notify (NdshWriter *writer, gpointer data)
{
  (void) writer;
  (void) data;
  g_atomic_int_inc (&n_notices);
}

static void
wait_for_notices (gint n)
{
  gint64 until_us = g_get_monotonic_time () + TIMEOUT_US;

  while (g_atomic_int_get (&n_notices) < n) {
    if (g_get_monotonic_time () >= until_us)
      g_error ("the writer was not woken");
    g_usleep (1000);
  }
}

static void
new_writer (Subject *s)
{
  NdshWriterOptions options = { .max_bytes = memory_of (2 * s->n_slots),
                                .notify = on_notify };

  s->writer = ndsh_writer_new ("test", &options, &s->error);
}

/* Half of the memory is never leased, so this process keeps as much: readers can lease
 * every slot that is left. */
static void
hold_drafts (Subject *s)
{
  NdshArrayInfo info = ndsh_test_bytes (SIZE);

  for (guint i = 0; i < s->n_slots; i++)
    g_assert_nonnull (ndsh_writer_begin (s->writer, &info, 1, NULL));
}

/* Marks let readers join, and then hold frame 3 and leave others unread. */
static void
prepare_frames (Subject *s, guint n_unread)
{
  new_writer (s);
  g_assert_no_error (s->error);
  hold_drafts (s);
  steps_mark ();
  ndsh_test_publish (s->writer, SIZE, 3);
  steps_mark ();
  ndsh_test_publish (s->writer, SIZE, n_unread);
}

static void
prepare_five_frames (Subject *s)
{
  prepare_frames (s, 2);
}

/* Frame 3 is held, frame 4 the newest. All notices of readers that came are in. */
static void
prepare_full (Subject *s)
{
  s->n_slots = 2;
  prepare_frames (s, 1);
  wait_for_notices (N_READERS);
}

/* GLib does much once, which is none of the protocol: not for the first time. */
static void
prepare_start (Subject *s)
{
  new_writer (s);
  g_clear_pointer (&s->writer, ndsh_writer_free);
  steps_mark ();
}

static void
prepare_stop (Subject *s)
{
  new_writer (s);
  g_assert_no_error (s->error);
  steps_mark ();
}

static void
begin (Subject *s)
{
  NdshArrayInfo info = ndsh_test_bytes (s->size);

  s->draft = ndsh_writer_begin (s->writer, &info, 1, &s->error);
}

static void
try_begin (Subject *s)
{
  NdshArrayInfo info = ndsh_test_bytes (s->size);

  s->draft = ndsh_writer_try_begin (s->writer, &info, 1, NULL);
}

static void
fill (Subject *s)
{
  NdshWriterInfo info;

  ndsh_writer_get_info (s->writer, &info);
  memset (ndsh_draft_get_data (s->draft), (int) info.published + 1, s->size);
}

static void
publish (Subject *s)
{
  ndsh_draft_publish (s->draft, NULL);
}

static void
release_draft (Subject *s)
{
  g_clear_pointer (&s->draft, ndsh_draft_release);
}

static void
prepare_publish (Subject *s)
{
  prepare_five_frames (s);
  begin (s);
  fill (s);
}

static void
prepare_release_draft (Subject *s)
{
  prepare_publish (s);
  publish (s);
}

/* There has to be room for it, whatever readers hold. */
static void
prepare_large (Subject *s)
{
  s->n_slots = 2 * WRITER_SLOTS;
  prepare_five_frames (s);
  s->size = LARGE;
}

static void
end (Subject *s)
{
  ndsh_writer_end (s->writer);
}

static void
free_writer (Subject *s)
{
  g_clear_pointer (&s->writer, ndsh_writer_free);
}

/* One more has come while this was stopped; at the mark all have been welcomed. */
static int
finish_writing (Subject *s)
{
  g_assert_no_error (s->error);
  if (s->writer == NULL)
    return 0;
  while (ndsh_writer_get_readers (s->writer, NULL, 0) < N_READERS + 1)
    g_usleep (1000);
  steps_mark ();
  if (s->draft != NULL) {
    fill (s);
    publish (s);                /* unless it was */
    release_draft (s);
  }
  ndsh_test_publish (s->writer, SIZE, 3);
  free_writer (s);
  return 0;
}

/* A slot came free while this was stopped: it has it, or hears of it. */
static int
finish_full (Subject *s)
{
  if (s->draft == NULL) {
    wait_for_notices (N_READERS + 1);
    try_begin (s);
    g_assert_nonnull (s->draft);
  }
  steps_mark ();
  return finish_writing (s);
}

/* Another writer has tried to start while this was stopped. */
static int
finish_race (Subject *s)
{
  if (s->error != NULL) {
    g_assert_error (s->error, NDSH_ERROR, NDSH_ERROR_EXISTS);
    return NAME_WAS_TAKEN;
  }
  free_writer (s);
  return 0;
}

const Operation operations[] = {
  { "reader-connect", READER, TRUE, prepare_connect, connect_to_writer,
    finish_reading },
  { "reader-acquire", READER_BEHIND, FALSE, prepare_give_back, acquire,
    finish_reading },
  { "reader-hear", READER_UNTOLD, FALSE, prepare_join, acquire, finish_reading },
  { "reader-release", READER, FALSE, prepare_hold, release, finish_reading },
  { "reader-wait", READER_WAITING, FALSE, prepare_wait, look, finish_waiting },
  { "reader-look", READER_BEHIND, FALSE, prepare_give_back, look, finish_reading },
  { "reader-leave", READER, FALSE, prepare_hold, leave, finish_reading },
  { "lossless-acquire", READER_LOSSLESS, FALSE, prepare_give_back_lossless, acquire,
    finish_reading },
  { "lossless-release", READER_LOSSLESS, FALSE, prepare_hold_lossless, release,
    finish_reading },
  { "awaited-acquire", READER_AWAITED, FALSE, prepare_give_back_lossless, acquire,
    finish_reading },
  { "awaited-release", READER_AWAITED, FALSE, prepare_hold_lossless, release,
    finish_reading },
  { "writer-begin", WRITER, FALSE, prepare_five_frames, begin, finish_writing },
  { "writer-full", WRITER_FULL, FALSE, prepare_full, try_begin, finish_full },
  { "writer-publish", WRITER, FALSE, prepare_publish, publish, finish_writing },
  { "writer-release", WRITER, FALSE, prepare_release_draft, release_draft,
    finish_writing },
  { "writer-end", WRITER, FALSE, prepare_five_frames, end, finish_writing },
  { "writer-grow", WRITER, TRUE, prepare_large, begin, finish_writing },
  { "writer-new", WRITER_STARTING, TRUE, prepare_start, new_writer, finish_writing },
  { "writer-free", WRITER_LEAVING, TRUE, prepare_five_frames, free_writer,
    finish_writing },
  { "writer-new-race", WRITER_STARTING_RACE, TRUE, prepare_start, new_writer,
    finish_race },
  { "writer-free-race", WRITER_STOPPING_RACE, TRUE, prepare_stop, free_writer,
    finish_race },
};

const guint n_operations = G_N_ELEMENTS (operations);

int
be_subject (const char *name)
{
  Subject s = { .size = SIZE, .n_slots = WRITER_SLOTS };

  /* The library has nothing to complain of, whatever happens. */
  g_log_set_always_fatal (G_LOG_LEVEL_MESSAGE | G_LOG_LEVEL_WARNING
                          | G_LOG_LEVEL_CRITICAL);

  for (guint i = 0; i < n_operations; i++)
    if (strcmp (operations[i].name, name) == 0) {
      operations[i].prepare (&s);
      steps_mark ();
      operations[i].operate (&s);
      steps_mark ();
      return operations[i].finish (&s);
    }
  return 127;
}
