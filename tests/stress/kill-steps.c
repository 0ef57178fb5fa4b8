/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Goal: a reader or a writer that is killed, or stopped and continued, after any
 * instruction harms nobody (I6, I7, I8).
 *
 * Method: the subject, a process of this program, is taken to a step of one
 * operation (steps.h) and killed or stopped there. This process is everybody else:
 * for a reader its writer and another reader, for a writer its readers and the next
 * writer. It then looks whether all that must hold does.
 *
 * What others can see changes by system calls and by stores to shared memory alone,
 * so a kill after one is as good as any before the next: there are a few dozen
 * moments to be killed in, though many thousand instructions. That this is so is
 * checked where a kill at each step was tried (-m thorough): within one such moment
 * the outcome has to be the same.
 *
 * For a stop it is not so. What has been stopped goes on with what it had read
 * before, so a load from shared memory is an event too, and none that is recorded.
 * Of each moment the first and the last step are tried, hence the step before each
 * store and after all loads that led to it; the rest is a matter of each step, or of
 * chance.
 *
 *   kill-steps [GTest's options: -p PATH, --seed SEED, -m thorough] [--step N]
 */
#include "ndsh-test.h"
#include "steps.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "segment.h"

#define SIZE 64                 /* bytes of a frame */
#define LARGE 10000             /* and of one that fits no slot */
#define TIMEOUT_US (30 * G_USEC_PER_SEC)

/* Of the writer that a reader is taken from: history, the leases of both, and one;
 * so that a claim always succeeds, and every slot that is not given back shows. */
#define READER_SLOTS (1 + 2 + 2 + 1)

/* Of the writer that is the subject: so few that a claim has to take what readers
 * queue, and meets their leases. */
#define WRITER_SLOTS 4
#define N_READERS 3

static char where[200];         /* what is being tried, for who reads of a failure */

static guint64
memory_of (guint n_slots)
{
  return n_slots * 2 * ndsh_page_align (1);     /* payload and tail */
}

/* --- What the subject does ------------------------------------------------ */

typedef struct {
  NdshReader *reader;
  NdshFrame *frame;
  NdshWriter *writer;
  NdshDraft *draft;
  gsize size;
  guint n_slots;
  GError *error;
} Subject;

static void
prepare_connect (Subject *s)
{
  steps_mark ();
  s->reader = ndsh_test_reader (NDSH_READ_LATEST, 4, 2);
}

/* All that the writer has to tell is in the socket when the mark is passed. */
static void
join (Subject *s, NdshReadMode mode)
{
  s->reader = ndsh_test_joined_reader (mode, 4, 2);
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

static void
wait_for_nothing (Subject *s)
{
  ndsh_reader_wait (s->reader, 0, NULL);
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
  return 0;
}

static void
new_writer (Subject *s)
{
  NdshWriterOptions options = { .max_bytes = memory_of (s->n_slots) };

  s->writer = ndsh_writer_new ("test", &options, &s->error);
}

/* Marks let readers join, and then hold frame 3 and leave others unread. */
static void
prepare_five_frames (Subject *s)
{
  new_writer (s);
  g_assert_no_error (s->error);
  steps_mark ();
  ndsh_test_publish (s->writer, SIZE, 3);
  steps_mark ();
  ndsh_test_publish (s->writer, SIZE, 2);
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
begin (Subject *s)
{
  NdshArrayInfo info = ndsh_test_bytes (s->size);

  s->draft = ndsh_writer_begin (s->writer, &info, 1, &s->error);
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

#define NAME_WAS_TAKEN 3

/* Another writer has tried to start while this was stopped. */
static int
finish_contest (Subject *s)
{
  if (s->writer == NULL) {
    g_assert_error (s->error, NDSH_ERROR, NDSH_ERROR_EXISTS);
    return NAME_WAS_TAKEN;
  }
  free_writer (s);
  return 0;
}

typedef enum { READER, LOSSLESS, WRITER, STARTING, CONTEST } Kind;

typedef struct {
  const char *name;
  Kind kind;
  gboolean is_long;             /* too many steps to try each */
  void (*prepare) (Subject *s);
  void (*operate) (Subject *s);
  int (*finish) (Subject *s);
} Operation;

static const Operation operations[] = {
  { "reader-connect", READER, TRUE, prepare_connect, connect_to_writer,
    finish_reading },
  { "reader-acquire", READER, FALSE, prepare_give_back, acquire,
    finish_reading },
  { "reader-hear", READER, FALSE, prepare_join, acquire, finish_reading },
  { "reader-release", READER, FALSE, prepare_hold, release, finish_reading },
  { "reader-wait", READER, FALSE, prepare_give_back, wait_for_nothing,
    finish_reading },
  { "reader-leave", READER, FALSE, prepare_hold, leave, finish_reading },
  { "lossless-acquire", LOSSLESS, FALSE, prepare_give_back_lossless, acquire,
    finish_reading },
  { "lossless-release", LOSSLESS, FALSE, prepare_hold_lossless, release,
    finish_reading },
  { "writer-begin", WRITER, FALSE, prepare_five_frames, begin, finish_writing },
  { "writer-publish", WRITER, FALSE, prepare_publish, publish, finish_writing },
  { "writer-release", WRITER, FALSE, prepare_release_draft, release_draft,
    finish_writing },
  { "writer-end", WRITER, FALSE, prepare_five_frames, end, finish_writing },
  { "writer-grow", WRITER, TRUE, prepare_large, begin, finish_writing },
  { "writer-new", STARTING, TRUE, prepare_start, new_writer, finish_writing },
  { "writer-free", WRITER, TRUE, prepare_five_frames, free_writer,
    finish_writing },
  { "writer-contest", CONTEST, TRUE, prepare_start, new_writer,
    finish_contest },
};

static int
be_subject (const char *name)
{
  Subject s = { .size = SIZE, .n_slots = WRITER_SLOTS };

  for (guint i = 0; i < G_N_ELEMENTS (operations); i++)
    if (strcmp (operations[i].name, name) == 0) {
      operations[i].prepare (&s);
      steps_mark ();
      operations[i].operate (&s);
      steps_mark ();
      return operations[i].finish (&s);
    }
  return 127;
}

/* --- Everybody else ------------------------------------------------------- */

typedef struct {
  const Operation *operation;
  int pid;
  gboolean killed;              /* or stopped */
  gboolean at_mark;             /* the operation is over */
  guint n_fds;                  /* before there was anything */
  GString *outcome;             /* what could be seen, to be compared */

  NdshReader *reader[N_READERS];
  NdshFrame *held;              /* all the time, by the first of them */
  NdshFrame *contested;         /* taken by the second while the writer stood */
  NdshReader *late;             /* came while it stood */
  gboolean first_knows;         /* the first of them, that the writer has gone */

  NdshWriter *writer;           /* of the reader, or the next one */
  guint n_fds_joined;           /* without the subject */
  guint n_maps_joined;
  gint64 back_us;               /* how long until its slots were back */
} World;

/* Stopped, and let go of, it comes to the end of the operation. */
static void
finish_operation (World *world)
{
  if (world->at_mark)
    return;
  steps_continue (world->pid);
  steps_wait_mark (world->pid);
}

static void
check_held (const World *world)
{
  if (world->held != NULL)
    ndsh_test_check_bytes (world->held);
  if (world->contested != NULL)
    ndsh_test_check_bytes (world->contested);
}

static void
check_directory (GString *names, gboolean only_lock)
{
  g_autoptr (GDir) entries = g_dir_open (g_getenv ("NDSH_DIR"), 0, NULL);
  const char *name;
  guint n = 0;

  while ((name = g_dir_read_name (entries)) != NULL) {
    n++;
    if (only_lock && strcmp (name, ".test.lock") != 0)
      g_error ("%s was left behind", name);
  }
  if (names != NULL)
    g_string_append_printf (names, " files:%u", n);
}

/* --- Around a reader ------------------------------------------------------ */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t readers_changed = PTHREAD_COND_INITIALIZER;

static void
on_notify (NdshWriter *writer, gpointer data)
{
  (void) writer;
  (void) data;
  pthread_mutex_lock (&mutex);
  pthread_cond_broadcast (&readers_changed);
  pthread_mutex_unlock (&mutex);
}

static void
wait_for_readers (NdshWriter *writer, guint n)
{
  pthread_mutex_lock (&mutex);
  while (ndsh_writer_get_readers (writer, NULL, 0) != n)
    pthread_cond_wait (&readers_changed, &mutex);
  pthread_mutex_unlock (&mutex);
}

/* All slots that nobody else holds become drafts and are given back; how many. */
static guint
claim_all (NdshWriter *writer)
{
  NdshArrayInfo info = ndsh_test_bytes (SIZE);
  NdshDraft *drafts[READER_SLOTS + 1];
  guint n = 0;

  while ((drafts[n] = ndsh_writer_try_begin (writer, &info, 1, NULL)) != NULL)
    n++;
  for (guint i = 0; i < n; i++)
    ndsh_draft_release (drafts[i]);
  return n;
}

static void
publish_and_read (World *world, guint n)
{
  for (guint i = 0; i < n; i++) {
    g_autoptr (NdshFrame) frame = NULL;
    NdshWriterInfo info;

    ndsh_test_publish (world->writer, SIZE, 1);
    ndsh_writer_get_info (world->writer, &info);
    frame = ndsh_test_next (world->reader[0]);
    g_assert_cmpuint (ndsh_frame_get_sequence (frame), ==, info.published);
  }
  check_held (world);
}

static void
start_writer_and_reader (World *world)
{
  NdshWriterOptions options = { .max_bytes = memory_of (READER_SLOTS),
                                .max_readers = 2,
                                .lossless_timeout_us = 2000,
                                .notify = on_notify };

  world->writer = ndsh_test_writer (&options);
  world->reader[0] = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 2);
}

/* From here on the writer makes no memory, so that the counts of fds and maps have
 * no reason to change but the subject. */
static void
fill_slots (World *world)
{
  g_assert_cmpuint (claim_all (world->writer), ==, READER_SLOTS);
  ndsh_test_publish (world->writer, SIZE, 1);
  world->held = ndsh_test_next (world->reader[0]);
  publish_and_read (world, 2);
  steps_settle (getpid ());
  world->n_fds_joined = ndsh_test_count_fds ();
  world->n_maps_joined = ndsh_test_count_maps ();
}

/* A lossless subject finds a writer that is full and asks to be woken. */
static void
publish_until_full (NdshWriter *writer)
{
  NdshArrayInfo info = ndsh_test_bytes (SIZE);
  NdshDraft *draft;

  while ((draft = ndsh_writer_try_begin (writer, &info, 1, NULL)) != NULL) {
    NdshWriterInfo before;

    ndsh_writer_get_info (writer, &before);
    memset (ndsh_draft_get_data (draft), (int) before.published + 1, SIZE);
    ndsh_draft_publish (draft, NULL);
    ndsh_draft_release (draft);
  }
}

static void
set_out_around_reader (World *world)
{
  gboolean is_first = world->operation->prepare == prepare_join;

  start_writer_and_reader (world);
  if (!is_first)
    fill_slots (world);
  steps_run_to_mark (world->pid);
  steps_settle (getpid ());
  steps_run_to_mark (world->pid);
  if (is_first) {
    /* All memory is news for the subject. The writer has its socket and its page,
     * which is an fd and a mapping. */
    fill_slots (world);
    world->n_fds_joined -= 2;
    world->n_maps_joined -= 1;
  }
  if (world->operation->kind == LOSSLESS)
    publish_until_full (world->writer);
  else if (world->operation->operate == acquire)
    ndsh_test_publish (world->writer, SIZE, 1);
}

static void
see_reader (World *world)
{
  NdshReaderInfo infos[2];
  guint n = ndsh_writer_get_readers (world->writer, infos, 2);

  for (guint i = 0; i < n; i++)
    if (infos[i].pid == world->pid)
      g_string_append_printf (world->outcome, "leases:%u had:%u lag:%u",
                              infos[i].n_leases, (guint) infos[i].delivered,
                              (guint) infos[i].lag);
}

/* It stands: neither the writer nor the other reader does. */
static void
go_on_without_reader (World *world)
{
  publish_and_read (world, 2 * READER_SLOTS);
  finish_operation (world);
  publish_and_read (world, 2);
  ndsh_writer_end (world->writer);
  ndsh_test_wait_fails (world->reader[0], 0, NDSH_ERROR_ENDED);
  steps_continue (world->pid);
  g_assert_cmpint (steps_wait_exit (world->pid), ==, 0);
}

/* From the kill to the moment in which the writer can take every slot but the newest
 * frame and the one that the other reader holds. */
static void
get_slots_back (World *world, gint64 since_us)
{
  wait_for_readers (world->writer, 1);
  g_assert_cmpuint (claim_all (world->writer), ==, READER_SLOTS - 2);
  world->back_us = g_get_monotonic_time () - since_us;
}

static void
check_after_reader (World *world)
{
  NdshReader *next;

  publish_and_read (world, 2);
  steps_settle (getpid ());
  g_assert_cmpuint (ndsh_test_count_fds (), ==, world->n_fds_joined);
  g_assert_cmpuint (ndsh_test_count_maps (), ==, world->n_maps_joined);

  next = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 2);
  ndsh_frame_release (ndsh_test_next (next));
  ndsh_reader_free (next);
  check_held (world);
}

static void
try_reader (World *world)
{
  gint64 since_us;

  see_reader (world);
  if (!world->killed) {
    steps_stop (world->pid);
    go_on_without_reader (world);
  }
  since_us = g_get_monotonic_time ();
  if (world->killed)
    steps_kill (world->pid);
  get_slots_back (world, since_us);
  check_after_reader (world);
}

/* --- Around a writer ------------------------------------------------------ */

static void
wait_until_connected (NdshReader *reader)
{
  gint64 until_us = g_get_monotonic_time () + TIMEOUT_US;

  while (!ndsh_reader_is_connected (reader)) {
    ndsh_reader_wait (reader, 1000, NULL);
    g_assert_cmpint (g_get_monotonic_time (), <, until_us);
  }
}

/* One that wants the newest, and two that want the same ones. */
static void
make_readers (World *world)
{
  for (guint i = 0; i < N_READERS; i++)
    world->reader[i]
      = ndsh_test_reader (i == 0 ? NDSH_READ_LATEST : NDSH_READ_QUEUE, 4, 2);
}

/* What a writer leaves that is killed. */
static void
leave_dead_socket (void)
{
  g_autofree char *path = ndsh_test_path ("test");
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  g_assert_cmpint (bind (fd, (struct sockaddr *) &address, sizeof address), ==, 0);
  close (fd);
}

/* At the end the first reader holds frame 3, has had all, and sleeps; the others have
 * had none. */
static void
set_out_around_writer (World *world)
{
  make_readers (world);
  steps_run_to_mark (world->pid);
  if (world->operation->kind != WRITER) {
    leave_dead_socket ();
    steps_run_to_mark (world->pid);
    return;
  }
  for (guint i = 0; i < N_READERS; i++) {
    wait_until_connected (world->reader[i]);
    ndsh_test_wait_fails (world->reader[i], 0, NDSH_ERROR_TIMEOUT);
  }
  steps_run_to_mark (world->pid);
  world->held = ndsh_test_next (world->reader[0]);
  steps_run_to_mark (world->pid);
  ndsh_frame_release (ndsh_test_next (world->reader[0]));
  ndsh_test_wait_fails (world->reader[0], 0, NDSH_ERROR_TIMEOUT);
}

/* Takes all that the writer had published, whole, in order and each gap counted,
 * until wait says CLOSED. @writes if it is in the reader's first stream. */
static void
read_to_end (NdshReader *reader, gboolean first, GString *outcome)
{
  guint64 last = 0;
  NdshReaderInfo info;

  ndsh_reader_get_info (reader, &info);
  for (;;) {
    g_autoptr (GError) error = NULL;
    g_autoptr (NdshFrame) frame = NULL;

    if (!ndsh_reader_wait (reader, TIMEOUT_US, &error)) {
      if (g_error_matches (error, NDSH_ERROR, NDSH_ERROR_ENDED))
        continue;
      g_assert_error (error, NDSH_ERROR, NDSH_ERROR_CLOSED);
      break;
    }
    frame = ndsh_reader_acquire (reader);
    if (frame == NULL)
      continue;
    ndsh_test_check_bytes (frame);
    g_assert_cmpuint (ndsh_frame_get_sequence (frame), >, last);
    last = ndsh_frame_get_sequence (frame);
    g_string_append_printf (outcome, " %" G_GUINT64_FORMAT, last);
  }
  ndsh_reader_get_info (reader, &info);
  if (first && last > 0)
    g_assert_cmpuint (info.delivered + info.missed, ==, last);
}

static void
read_all_to_end (World *world)
{
  for (guint i = world->first_knows ? 1 : 0; i < N_READERS; i++) {
    g_string_append_printf (world->outcome, " reader%u:", i);
    read_to_end (world->reader[i], TRUE, world->outcome);
  }
  check_held (world);
}

/* It stands in the middle of something. Readers take what there is, one of them
 * perhaps just what the writer is about to claim; nobody waits. */
static void
read_while_it_stands (World *world)
{
  g_autoptr (NdshFrame) newest = NULL;
  g_autoptr (GError) error = NULL;

  ndsh_reader_wait (world->reader[1], 0, NULL);
  world->contested = ndsh_reader_acquire (world->reader[1]);
  ndsh_reader_wait (world->reader[0], 0, &error);
  world->first_knows = g_error_matches (error, NDSH_ERROR, NDSH_ERROR_CLOSED);
  newest = ndsh_reader_acquire (world->reader[0]);
  if (newest != NULL)
    ndsh_test_check_bytes (newest);
  check_held (world);

  world->late = ndsh_test_reader (NDSH_READ_LATEST, 0, 2);
  g_assert_false (ndsh_reader_wait (world->late, 0, NULL));
  g_assert_false (ndsh_reader_wait (world->late, 0, NULL));
}

/* What one reader holds is there for the other: a claim that failed put it back. */
static void
check_contested (World *world)
{
  g_autoptr (NdshFrame) same = NULL;

  check_held (world);
  if (world->contested == NULL)
    return;
  same = ndsh_reader_acquire (world->reader[2]);
  g_assert_nonnull (same);
  ndsh_test_check_bytes (same);
  g_assert_cmpuint (ndsh_frame_get_sequence (same), ==,
                    ndsh_frame_get_sequence (world->contested));
}

static void
go_on_with_writer (World *world)
{
  read_while_it_stands (world);
  finish_operation (world);
  check_contested (world);
  steps_continue (world->pid);
  if (world->operation->operate != free_writer) {
    for (guint i = 0; i < N_READERS; i++)
      wait_until_connected (world->reader[i]);
    wait_until_connected (world->late);
    steps_wait_mark (world->pid);
    steps_continue (world->pid);
  }
  g_assert_cmpint (steps_wait_exit (world->pid), ==, 0);
  read_all_to_end (world);
  if (ndsh_reader_is_connected (world->late))
    read_to_end (world->late, FALSE, world->outcome);
}

/* The name is free, and whoever read the last writer reads this one. */
static void
start_next_writer (World *world)
{
  g_autofree char *last = g_strdup (
    world->held != NULL ? ndsh_frame_get_stream_id (world->held) : "");

  world->writer = ndsh_test_writer (NULL);
  ndsh_test_publish (world->writer, SIZE, 1);
  for (guint i = 0; i < N_READERS; i++) {
    g_autoptr (NdshFrame) frame = ndsh_test_next (world->reader[i]);

    g_assert_cmpuint (ndsh_frame_get_sequence (frame), ==, 1);
    g_assert_cmpstr (ndsh_frame_get_stream_id (frame), !=, last);
  }
  check_held (world);
}

/* Readers that live on keep nothing of writers that do not. */
static void
check_after_writers (World *world)
{
  g_clear_pointer (&world->late, ndsh_reader_free);
  g_clear_pointer (&world->contested, ndsh_frame_release);
  g_clear_pointer (&world->held, ndsh_frame_release);
  g_clear_pointer (&world->writer, ndsh_writer_free);
  for (guint i = 0; i < N_READERS; i++)
    ndsh_test_wait_fails (world->reader[i], TIMEOUT_US, NDSH_ERROR_CLOSED);
  g_assert_cmpuint (ndsh_test_count_maps (), ==, 0);
  g_assert_cmpuint (ndsh_test_count_fds (), ==, world->n_fds + 2 * N_READERS);
}

static void
try_writer (World *world)
{
  if (world->killed) {
    steps_kill (world->pid);
    check_directory (world->outcome, FALSE);
    check_held (world);
    if (world->operation->kind == WRITER)
      read_all_to_end (world);
  } else {
    steps_stop (world->pid);
    go_on_with_writer (world);
  }
  start_next_writer (world);
  check_after_writers (world);
}

/* Another starts meanwhile: one of the two gets the name, never both. It waits two
 * seconds at the most for one that stands with the lock in its hand. */
static void
try_contest (World *world)
{
  g_autoptr (GError) error = NULL;
  NdshWriter *rival;
  int status;

  steps_stop (world->pid);
  rival = ndsh_writer_new ("test", NULL, &error);
  if (rival == NULL)
    g_assert_true (g_error_matches (error, NDSH_ERROR, NDSH_ERROR_EXISTS)
                   || g_error_matches (error, NDSH_ERROR, NDSH_ERROR_SYSTEM));
  finish_operation (world);
  for (guint i = 0; i < N_READERS && rival != NULL; i++)
    wait_until_connected (world->reader[i]);
  steps_continue (world->pid);
  status = steps_wait_exit (world->pid);
  g_assert_cmpint (status, ==, rival != NULL ? NAME_WAS_TAKEN : 0);
  g_clear_pointer (&rival, ndsh_writer_free);
  if (status == NAME_WAS_TAKEN)
    read_all_to_end (world);
  start_next_writer (world);
  check_after_writers (world);
}

/* --- One try -------------------------------------------------------------- */

static gboolean
is_around_reader (const Operation *operation)
{
  return operation->kind == READER || operation->kind == LOSSLESS;
}

static void
set_out (World *world, const Operation *operation, gboolean killed)
{
  world->operation = operation;
  world->killed = killed;
  world->outcome = g_string_new (NULL);
  if (operation->kind == LOSSLESS)
    ndsh_test_log_start ("* wants every frame *");
  world->n_fds = ndsh_test_count_fds ();
  world->pid = steps_spawn (operation->name);
  if (is_around_reader (operation))
    set_out_around_reader (world);
  else
    set_out_around_writer (world);
}

/* What was seen, to be freed. */
static char *
try_it (World *world)
{
  if (is_around_reader (world->operation))
    try_reader (world);
  else if (world->operation->kind == CONTEST)
    try_contest (world);
  else
    try_writer (world);

  if (world->operation->kind == LOSSLESS)
    ndsh_test_log_stop ();
  ndsh_frame_release (world->held);
  for (guint i = 0; i < N_READERS; i++)
    ndsh_reader_free (world->reader[i]);
  ndsh_writer_free (world->writer);
  g_assert_cmpuint (ndsh_test_count_maps (), ==, 0);
  g_assert_cmpuint (ndsh_test_count_fds (), ==, world->n_fds);
  check_directory (NULL, TRUE);
  return g_string_free (world->outcome, FALSE);
}

/* --- All tries of an operation -------------------------------------------- */

typedef struct {
  const Operation *operation;
  gboolean killed;
} Case;

typedef struct {
  const Case *what;
  const StepsRecord *record;
  char **outcome;               /* of each step tried */
  GArray *back_us;              /* gint64 */
  guint n_tried;
  guint n_strayed;
} Campaign;

static gint64 only_step = -1;

/* Of a run that was another, what it saw does not compare. */
#define ELSEWHERE "elsewhere"

static void
say (const Case *what, guint step, guint n_steps)
{
  g_snprintf (where, sizeof where, "%s %s at step %u of %u\n",
              what->operation->name, what->killed ? "killed" : "stopped", step,
              n_steps);
}

static StepsRecord *records[G_N_ELEMENTS (operations)];

/* The operation is the same, however it is to end. */
static const StepsRecord *
get_record (const Case *what)
{
  StepsRecord **record = &records[what->operation - operations];
  World world = { NULL };

  if (*record != NULL)
    return *record;
  say (what, 0, 0);
  set_out (&world, what->operation, what->killed);
  *record = steps_record (world.pid);
  world.at_mark = TRUE;
  g_free (try_it (&world));
  return *record;
}

static void
try_step (Campaign *c, guint step)
{
  World world = { NULL };
  StepsPlace place;

  if (c->outcome[step] != NULL)
    return;
  say (c->what, step, c->record->n_steps);
  set_out (&world, c->what->operation, c->what->killed);
  place = steps_go (world.pid, c->record, step);
  world.at_mark = place == STEPS_AT_MARK;
  c->outcome[step] = try_it (&world);
  c->n_tried++;
  if (place == STEPS_ELSEWHERE || (world.at_mark && step < c->record->n_steps)) {
    c->n_strayed++;
    g_free (c->outcome[step]);
    c->outcome[step] = g_strdup (ELSEWHERE);
  }
  if (world.back_us != 0)
    g_array_append_val (c->back_us, world.back_us);
}

/* The first step of the moment that @step lies in. */
static guint
find_moment (const StepsRecord *record, guint step)
{
  guint first = 0;

  for (guint i = 0; i < record->changes->len; i++) {
    guint change = g_array_index (record->changes, guint, i);

    if (change <= step)
      first = change;
  }
  return first;
}

static guint
get_change (const Campaign *c, guint i)
{
  return g_array_index (c->record->changes, guint, i);
}

static void
try_moment (Campaign *c, guint i)
{
  if (!c->what->killed)
    try_step (c, get_change (c, i) - 1);
  try_step (c, get_change (c, i));
}

static void
try_moments (Campaign *c)
{
  try_step (c, 0);
  for (guint i = 0; i < c->record->changes->len; i++)
    try_moment (c, i);
}

static guint
choose (guint n)
{
  return (guint) g_test_rand_int_range (0, (gint32) n);
}

static void
try_some_moments (Campaign *c, guint n)
{
  for (guint i = 0; i < n; i++)
    try_moment (c, choose (c->record->changes->len));
}

static void
try_some (Campaign *c, guint n)
{
  for (guint i = 0; i < n; i++)
    try_step (c, choose (c->record->n_steps));
}

static void
try_each (Campaign *c)
{
  for (guint step = 0; step <= c->record->n_steps; step++)
    try_step (c, step);
}

static gboolean
is_known (const Campaign *c, guint step)
{
  return c->outcome[step] != NULL && strcmp (c->outcome[step], ELSEWHERE) != 0;
}

/* A moment is one: whoever is killed in it, others see the same. */
static void
compare_outcomes (const Campaign *c)
{
  for (guint step = 0; step <= c->record->n_steps; step++) {
    guint first = find_moment (c->record, step);

    if (is_known (c, step) && is_known (c, first)
        && strcmp (c->outcome[step], c->outcome[first]) != 0)
      g_error ("%s killed at step %u: \"%s\", and at step %u: \"%s\"",
               c->what->operation->name, first, c->outcome[first], step,
               c->outcome[step]);
  }
}

static int
compare_times (gconstpointer a, gconstpointer b)
{
  return *(const gint64 *) a > *(const gint64 *) b ? 1 : -1;
}

/* I6 gives 20 ms. That the writer hears of the death is an event that get_slots_back
 * waits for, however long; the figure is for the median, since a busy machine may
 * let any single one wait. */
static void
check_times (const Campaign *c)
{
  gint64 median;

  if (!is_around_reader (c->what->operation) || !c->what->killed)
    return;
  g_array_sort (c->back_us, compare_times);
  median = g_array_index (c->back_us, gint64, c->back_us->len / 2);
  g_test_message ("slots were back after %.2f ms, at most %.2f ms",
                  (double) median / 1e3,
                  (double) g_array_index (c->back_us, gint64, c->back_us->len - 1)
                    / 1e3);
  if (c->back_us->len >= 10)
    g_assert_cmpint (median, <=, 20000);
}

/* For each change of the code; -m thorough takes half an hour. */
static void
try_quickly (Campaign *c)
{
  if (c->record->changes->len <= 20)
    try_moments (c);
  else
    try_some_moments (c, 12);
  try_some (c, 6);
}

static void
try_all (Campaign *c)
{
  if (only_step >= 0) {
    try_step (c, MIN ((guint) only_step, c->record->n_steps));
  } else if (!g_test_thorough ()) {
    try_quickly (c);
  } else if (c->what->operation->is_long) {
    try_moments (c);
    try_some (c, c->what->operation->kind == CONTEST ? 0 : 300);
  } else {
    try_each (c);
  }
}

static void
run (gconstpointer data)
{
  Campaign c = { .what = data };
  gint64 start_us = g_get_monotonic_time ();

  c.back_us = g_array_new (FALSE, FALSE, sizeof (gint64));
  c.record = get_record (c.what);
  c.outcome = g_new0 (char *, c.record->n_steps + 1);
  try_all (&c);
  if (c.what->killed)
    compare_outcomes (&c);
  check_times (&c);
  g_test_message ("%u of %u steps tried, %u strayed, %u moments, %u system calls, "
                  "%.1f s",
                  c.n_tried, c.record->n_steps, c.n_strayed,
                  c.record->changes->len + 1, c.record->calls->len,
                  (double) (g_get_monotonic_time () - start_us) / 1e6);
  for (guint i = 0; i <= c.record->n_steps; i++)
    g_free (c.outcome[i]);
  g_free (c.outcome);
  g_array_unref (c.back_us);
}

/* --- The program ---------------------------------------------------------- */

static void
on_abort (int number)
{
  (void) number;
  (void) !write (STDERR_FILENO, where, strlen (where));
}

static void
add (const Operation *operation, gboolean killed)
{
  Case *what = g_new (Case, 1);
  g_autofree char *path = g_strdup_printf (
    "/%s/%s-harms-nobody", killed ? "a-kill-in" : "a-stop-in", operation->name);

  what->operation = operation;
  what->killed = killed;
  g_test_add_data_func_full (path, what, run, g_free);
}

int
main (int argc, char **argv)
{
  g_autofree char *why_not = NULL;
  int result;

  if (argc == 3 && strcmp (argv[1], "--subject") == 0)
    return be_subject (argv[2]);

  why_not = steps_why_not ();
  if (why_not != NULL) {
    printf ("skipped: %s\n", why_not);
    return 77;
  }
  g_test_init (&argc, &argv, NULL);
  if (argc == 3 && strcmp (argv[1], "--step") == 0)
    only_step = atoi (argv[2]);
  signal (SIGABRT, on_abort);
  g_setenv ("LD_BIND_NOW", "1", TRUE);
  ndsh_test_dir_setup ();
  ndsh_writer_free (ndsh_test_writer (NULL));   /* GLib keeps an fd since its first */
  for (guint i = 0; i < G_N_ELEMENTS (operations); i++) {
    if (operations[i].kind != CONTEST)
      add (&operations[i], TRUE);
    if (operations[i].kind != CONTEST || g_test_thorough ())
      add (&operations[i], FALSE);
  }
  result = g_test_run ();
  for (guint i = 0; i < G_N_ELEMENTS (operations); i++)
    steps_record_free (records[i]);
  ndsh_test_dir_teardown ();
  return result;
}
