/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A reader follows a name through writers that come and go:
 *
 *   ALONE    -> GREETING  a socket connected, HELLO was sent
 *   GREETING -> JOINED    WELCOME came
 *   GREETING -> ALONE     refused, gone, or silent for two seconds
 *   JOINED   -> ALONE     the writer is gone, its last frame was taken, and wait
 *                         has said so
 *
 * ALONE tries again when its name appears in a directory, and every two seconds, where those
 * can be watched; and every 20 to 250 ms where not, or where there is somebody who is of no
 * use. All steps are taken by wait and read, which never block but in the one place where
 * they sleep.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "dirs.h"
#include "error.h"
#include "frame.h"
#include "lifeline.h"
#include "rendezvous.h"
#include "wake.h"

#define DEFAULT_QUEUE 4
#define DEFAULT_LEASES 2
#define MAX_TRIES 4             /* of frames that go while they are copied */
#define PATIENCE_US (2 * G_USEC_PER_SEC)
#define FIRST_RETRY_US 20000
#define LAST_RETRY_US 250000
#define LONG_RETRY_US 2000000    /* a mount or a link may hide who comes from inotify */

struct _NdshReader {
  char *name;
  guint process;
  NdshReaderOptions options;
  NdshWaiter waiter;

  int greeting_fd;              /* GREETING: a lifeline, else -1 */
  NdshLink *link;               /* JOINED, else NULL */
  gint64 next_us;               /* ALONE: the next try; GREETING: when to give up */
  gint64 tried_us;              /* ALONE: the last one */
  NdshDirs *dirs;               /* not JOINED: watched for the name, or NULL */
  gboolean has_appeared;        /* not JOINED: the name has, since the last try */
  gint64 retry_us;
  GError *why_alone;            /* what the last try met */
  GError *why_gone;             /* JOINED: not just the writer's end */
  NdshFormat *format;           /* JOINED: of the last frame, or NULL */
  gboolean unread;              /* JOINED: there is something in the socket */
  NdshLink *left;               /* of a writer that may still be there, to join it again:
                                 * until then it need not think that nobody reads */
  gint flushing;                /* any thread; changed with the mutex */
  pthread_mutex_t flush_mutex;

  NdshWish wish;                /* what the writer is told, */
  NdshWish told_wish;           /* and was by HELLO */
  guint64 delivered;            /* over earlier links */
  guint64 missed;
  guint64 copied;
  char stream_id[33];           /* of the last one, and the word of the last frame */
  guint32 taken;                /* taken there; 0 if none was */
  guint32 told;                 /* ends of that stream that lie behind us */
  guint32 ends;                 /* before the frame that have_frame found */
};

static gboolean
options_are_good (const NdshReaderOptions *o, GError **error)
{
  if ((guint) o->mode <= NDSH_READ_LOSSLESS
      && o->queue_length <= NDSH_MAX_QUEUE && o->max_leases <= NDSH_MAX_LEASES)
    return TRUE;
  g_set_error (error, NDSH_ERROR, NDSH_ERROR_INVALID,
               "a reader has a mode of 0 to 2, a queue of at most %d and at "
               "most %d leases, not %u, %u and %u",
               NDSH_MAX_QUEUE, NDSH_MAX_LEASES, (guint) o->mode,
               o->queue_length, o->max_leases);
  return FALSE;
}

NDSH_API NdshReader *
ndsh_reader_new (const char *name, const NdshReaderOptions *options,
                 GError **error)
{
  static const NdshReaderOptions defaults = { .mode = NDSH_READ_LATEST };
  NdshReader *reader;

  g_return_val_if_fail (name != NULL, NULL);

  if (options == NULL)
    options = &defaults;
  if (!ndsh_name_check (name, error) || !options_are_good (options, error))
    return NULL;
  reader = g_new0 (NdshReader, 1);
  reader->name = g_strdup (name);
  reader->process = ndsh_lifeline_watch ();
  reader->greeting_fd = -1;
  pthread_mutex_init (&reader->flush_mutex, NULL);
  reader->retry_us = FIRST_RETRY_US;
  reader->options = *options;
  if (reader->options.queue_length == 0)
    reader->options.queue_length = DEFAULT_QUEUE;
  if (reader->options.max_leases == 0)
    reader->options.max_leases = DEFAULT_LEASES;
  if (ndsh_waiter_init (&reader->waiter))
    return reader;
  ndsh_set_errno (error, "cannot create a reader of channel '%s'", name);
  ndsh_reader_free (reader);
  return NULL;
}

static gboolean
is_forked (NdshReader *reader)
{
  return reader->process != ndsh_lifeline_process ();
}

/* Frames still held keep the link, and with it their leases; the writer need not
 * care for this reader otherwise. */
static void
leave (NdshReader *reader, gboolean comes_back)
{
  NdshLink *link = g_steal_pointer (&reader->link);

  if (link == NULL)
    return;
  reader->delivered += link->leases.delivered;
  reader->missed += link->leases.missed;
  reader->copied += link->leases.copied;
  if (link->leases.delivered > 0)
    reader->taken = link->leases.taken;
  if (!is_forked (reader)) {
    ndsh_waiter_remove (&reader->waiter, link->fd);
    ndsh_waiter_remove (&reader->waiter, link->bell_fd);
    ndsh_leases_leave (&link->leases, comes_back);
    /* Else it will see the hang-up. */
    if (ndsh_leases_count (&link->leases) > 0)
      ndsh_wake_ring (link->fd);
    else
      ndsh_link_ring (link);
  }
  ndsh_link_unref (link);
  g_clear_pointer (&reader->format, ndsh_format_unref);
}

/* It does not come back any more. */
static void
forget_left (NdshReader *reader)
{
  NdshLink *link = g_steal_pointer (&reader->left);

  if (link != NULL && !is_forked (reader)) {
    ndsh_leases_leave (&link->leases, FALSE);
    ndsh_wake_ring (link->fd);
  }
  ndsh_link_unref (link);
}

static void
stop_greeting (NdshReader *reader)
{
  if (reader->greeting_fd >= 0 && !is_forked (reader))
    ndsh_waiter_remove (&reader->waiter, reader->greeting_fd);
  ndsh_lifeline_close (reader->greeting_fd);
  reader->greeting_fd = -1;
}

static void
set_next (NdshReader *reader, gint64 at_us)
{
  reader->next_us = at_us;
  ndsh_waiter_set_timer (&reader->waiter, at_us);
}

static void
forget_dirs (NdshReader *reader)
{
  if (reader->dirs != NULL && !is_forked (reader))
    ndsh_waiter_remove (&reader->waiter, ndsh_dirs_get_fd (reader->dirs));
  g_clear_pointer (&reader->dirs, ndsh_dirs_free);
}

NDSH_API void
ndsh_reader_free (NdshReader *reader)
{
  if (reader == NULL)
    return;
  leave (reader, FALSE);
  forget_left (reader);
  stop_greeting (reader);
  forget_dirs (reader);
  ndsh_waiter_clear (&reader->waiter);
  g_clear_error (&reader->why_alone);
  g_clear_error (&reader->why_gone);
  pthread_mutex_destroy (&reader->flush_mutex);
  g_free (reader->name);
  g_free (reader);
}

NDSH_API int
ndsh_reader_get_fd (NdshReader *reader)
{
  g_return_val_if_fail (reader != NULL, -1);

  return reader->waiter.epoll_fd;
}

NDSH_API void
ndsh_reader_set_queue_length (NdshReader *reader, guint queue_length)
{
  g_return_if_fail (reader != NULL);
  g_return_if_fail (queue_length >= 1 && queue_length <= NDSH_MAX_QUEUE);

  reader->options.queue_length = queue_length;
  if (reader->link != NULL && !is_forked (reader))
    ndsh_leases_set_queue_length (&reader->link->leases, queue_length);
}

static void
tell_wish (NdshReader *reader)
{
  if (reader->link == NULL || is_forked (reader))
    return;
  ndsh_leases_set_wish (&reader->link->leases, reader->wish);
  ndsh_wake_ring (reader->link->fd);
}

NDSH_API void
ndsh_reader_set_max_rate (NdshReader *reader, double max_rate)
{
  g_return_if_fail (reader != NULL);
  g_return_if_fail (max_rate >= 0);

  reader->wish.max_rate
    = max_rate == 0 ? 0 : (guint32) CLAMP (max_rate * 1e3 + .5, 1, G_MAXINT);
  tell_wish (reader);
}

NDSH_API void
ndsh_reader_set_max_size (NdshReader *reader, guint max_width, guint max_height)
{
  g_return_if_fail (reader != NULL);

  reader->wish.max_width = max_width;
  reader->wish.max_height = max_height;
  tell_wish (reader);
}

NDSH_API void
ndsh_reader_request_key_frame (NdshReader *reader)
{
  g_return_if_fail (reader != NULL);

  if (reader->link == NULL || is_forked (reader))
    return;
  ndsh_leases_request_key (&reader->link->leases);
  ndsh_wake_ring (reader->link->fd);
}

/* --- ALONE and GREETING --------------------------------------------------- */

static void
try_again_later (NdshReader *reader)
{
  stop_greeting (reader);
  set_next (reader, g_get_monotonic_time () + reader->retry_us);
  reader->retry_us = MIN (2 * reader->retry_us, LAST_RETRY_US);
}

/* That nobody writes is what a reader waits through; anything else is for the
 * caller to know, once for each try. */
static gboolean
fail_try (NdshReader *reader, GError *why, GError **error)
{
  g_clear_error (&reader->why_alone);
  reader->why_alone = why;
  try_again_later (reader);
  if (!g_error_matches (why, NDSH_ERROR, NDSH_ERROR_NOT_FOUND)) {
    g_propagate_error (error, g_error_copy (why));
    return FALSE;
  }
  if (reader->left == NULL)
    return TRUE;
  /* It went meanwhile. */
  forget_left (reader);
  g_set_error (error, NDSH_ERROR, NDSH_ERROR_CLOSED,
               "the writer of channel '%s' has gone", reader->name);
  return FALSE;
}

static gboolean
fail_not_found (NdshReader *reader, const char *what, GError **error)
{
  return fail_try (reader,
                   g_error_new (NDSH_ERROR, NDSH_ERROR_NOT_FOUND,
                                "the writer of channel '%s' %s", reader->name,
                                what),
                   error);
}

static gboolean
say_hello (NdshReader *reader, int fd, GError **error)
{
  NdshHello hello = { .mode = reader->options.mode,
                      .queue_length = reader->options.queue_length,
                      .max_leases = reader->options.max_leases,
                      .max_rate = reader->wish.max_rate,
                      .max_width = reader->wish.max_width,
                      .max_height = reader->wish.max_height };

  reader->told_wish = reader->wish;
  ndsh_header_init (&hello, NDSH_MESSAGE_HELLO, sizeof hello);
  reader->greeting_fd = fd;
  if (!ndsh_waiter_add (&reader->waiter, fd)) {
    GError *why = NULL;

    ndsh_set_errno (&why, "cannot wait for channel '%s'", reader->name);
    return fail_try (reader, why, error);
  }
  if (ndsh_message_send (fd, &hello, sizeof hello, NULL, 0) != NDSH_IO_DONE)
    return fail_not_found (reader, "does not listen", error);
  set_next (reader, g_get_monotonic_time () + PATIENCE_US);
  return TRUE;
}

static char **
get_dirs (const NdshReader *reader)
{
  char **dirs;

  if (!g_path_is_absolute (reader->name))
    return ndsh_name_get_dirs ();
  dirs = g_new0 (char *, 2);
  dirs[0] = g_path_get_dirname (reader->name);
  return dirs;
}

/* TRUE if this is new: somebody may have come just before. */
static gboolean
watch_dirs (NdshReader *reader)
{
  g_auto (GStrv) dirs = NULL;

  if (reader->dirs != NULL)
    return FALSE;
  dirs = get_dirs (reader);
  reader->dirs = ndsh_dirs_new (dirs, NULL);
  if (reader->dirs != NULL
      && ndsh_waiter_add (&reader->waiter, ndsh_dirs_get_fd (reader->dirs)))
    return TRUE;
  g_clear_pointer (&reader->dirs, ndsh_dirs_free);
  return FALSE;
}

static void
on_news (gpointer data, guint dir, const char *name)
{
  NdshReader *reader = data;
  const char *slash = strrchr (reader->name, '/');

  (void) dir;
  reader->has_appeared
    |= name == NULL || strcmp (name, slash != NULL ? slash + 1 : reader->name) == 0;
}

/* Who was of no use is not tried again at once, whoever comes. */
static void
hear_dirs (NdshReader *reader)
{
  ndsh_dirs_hear (reader->dirs, on_news, reader);
  if (!reader->has_appeared || reader->greeting_fd >= 0)
    return;
  reader->has_appeared = FALSE;
  set_next (reader, reader->retry_us > FIRST_RETRY_US ? reader->tried_us + reader->retry_us
                                                      : g_get_monotonic_time ());
}

/* The directories will tell of who comes. */
static gboolean
fail_nobody (NdshReader *reader, GError *why, GError **error)
{
  gint64 retry_us = reader->retry_us;
  gboolean goes_on = fail_try (reader, why, error);

  if (reader->dirs == NULL || !ndsh_dirs_see_all (reader->dirs))
    return goes_on;
  reader->retry_us = retry_us;
  set_next (reader, reader->tried_us + LONG_RETRY_US);
  return goes_on;
}

static gboolean
try_to_connect (NdshReader *reader, GError **error)
{
  gint64 now_us = g_get_monotonic_time ();
  gboolean is_crowded = FALSE;
  GError *why = NULL;
  int fd;

  if (now_us < reader->next_us)
    return TRUE;
  reader->tried_us = now_us;
  fd = ndsh_name_connect (reader->name, &is_crowded, &why);
  if (g_error_matches (why, NDSH_ERROR, NDSH_ERROR_NOT_FOUND) && watch_dirs (reader)) {
    g_clear_error (&why);
    fd = ndsh_name_connect (reader->name, &is_crowded, &why);
  }
  if (fd >= 0)
    return say_hello (reader, fd, error);
  /* Of an end of the crowd no directory tells. */
  return g_error_matches (why, NDSH_ERROR, NDSH_ERROR_NOT_FOUND) && !is_crowded
           ? fail_nobody (reader, why, error)
           : fail_try (reader, why, error);
}

/* The writer may be the one that was left, and knows nothing of that. */
static void
resume (NdshReader *reader)
{
  NdshLink *link = reader->link;

  if (strcmp (reader->stream_id, link->stream_id) != 0) {
    memcpy (reader->stream_id, link->stream_id, sizeof reader->stream_id);
    reader->taken = 0;
    reader->told = link->ends;
  }
  if (reader->taken == 0)
    return;
  ndsh_leases_resume (&link->leases, reader->taken);
  ndsh_link_ring (link);
}

static gboolean
join (NdshReader *reader, NdshMessage *welcome, GError **error)
{
  GError *why = NULL;

  reader->link = ndsh_link_new (reader->greeting_fd, welcome, &why);
  if (reader->link == NULL)
    return fail_try (reader, why, error);
  reader->greeting_fd = -1;
  g_clear_pointer (&reader->left, ndsh_link_unref);
  forget_dirs (reader);
  /* It may have changed since HELLO. */
  ndsh_leases_set_queue_length (&reader->link->leases,
                                reader->options.queue_length);
  if (memcmp (&reader->wish, &reader->told_wish, sizeof reader->wish) != 0)
    tell_wish (reader);
  resume (reader);
  set_next (reader, 0);
  g_clear_error (&reader->why_alone);
  if (ndsh_waiter_add_bell (&reader->waiter, reader->link->bell_fd))
    return TRUE;
  ndsh_set_errno (&why, "cannot wait for channel '%s'", reader->name);
  leave (reader, FALSE);
  return fail_try (reader, why, error);
}

/* ENDED, say, or FULL would have the caller do what no refusal is a reason for. */
static NdshError
refusal_code (guint32 code)
{
  return code == NDSH_ERROR_DENIED || code == NDSH_ERROR_INCOMPATIBLE
             || code == NDSH_ERROR_MEMORY
           ? (NdshError) code
           : NDSH_ERROR_SYSTEM;
}

static gboolean
fail_refused (NdshReader *reader, const NdshRefused *refused, GError **error)
{
  g_autofree char *text = ndsh_text_to_print (refused->text);

  return fail_try (reader,
                   g_error_new_literal (NDSH_ERROR, refusal_code (refused->code),
                                        text),
                   error);
}

static gboolean
take_answer (NdshReader *reader, NdshMessage *message, GError **error)
{
  if (message->type == NDSH_MESSAGE_WELCOME)
    return join (reader, message, error);
  if (message->type == NDSH_MESSAGE_REFUSED)
    return fail_refused (reader, &message->body.refused, error);
  return fail_try (reader,
                   g_error_new (NDSH_ERROR, NDSH_ERROR_INCOMPATIBLE,
                                "the writer of channel '%s' answered with a "
                                "message of type %u",
                                reader->name, message->type),
                   error);
}

static gboolean
hear_answer (NdshReader *reader, GError **error)
{
  NdshMessage message;
  GError *why = NULL;
  gboolean good;

  switch (ndsh_message_receive (reader->greeting_fd, &message, &why)) {
  case NDSH_IO_DONE:
    good = take_answer (reader, &message, error);
    ndsh_message_clear (&message);
    return good;
  case NDSH_IO_BAD:
    return fail_try (reader, why, error);
  case NDSH_IO_GONE:
    return fail_not_found (reader, "went without an answer", error);
  default:
    break;
  }
  if (g_get_monotonic_time () < reader->next_us)
    return TRUE;
  return fail_not_found (reader, "does not answer: is it stopped?", error);
}

/* --- JOINED --------------------------------------------------------------- */

/* Notes why, where it is not the writer's end; wait tells it, once what it had
 * published was taken if the writer is not to blame. */
static void
hear (NdshReader *reader, gboolean (*listen) (NdshLink *link, GError **error))
{
  GError *why = NULL;

  reader->unread = FALSE;
  if (listen (reader->link, &why))
    return;
  g_message ("left the writer of channel '%s': %s", reader->name, why->message);
  g_clear_error (&reader->why_gone);
  reader->why_gone = why;
}

/* A link that is gone ends by itself, once all that is to be said of it was. */
NDSH_API void
ndsh_reader_set_mode (NdshReader *reader, NdshReadMode mode, guint queue_length)
{
  g_return_if_fail (reader != NULL);
  g_return_if_fail ((guint) mode <= NDSH_READ_LOSSLESS);
  g_return_if_fail (queue_length <= NDSH_MAX_QUEUE);

  reader->options.mode = mode;
  reader->options.queue_length = queue_length > 0 ? queue_length : DEFAULT_QUEUE;
  if (is_forked (reader))
    return;
  if (reader->link != NULL)
    hear (reader, ndsh_link_drain);
  if (reader->link != NULL && reader->link->gone)
    return;
  if (reader->link != NULL)
    reader->left = ndsh_link_ref (reader->link);
  leave (reader, TRUE);
  stop_greeting (reader);
  reader->retry_us = FIRST_RETRY_US;
  set_next (reader, g_get_monotonic_time ());
}

/* --- Which frame is next -------------------------------------------------- */

/* A frame in memory that was announced but not yet heard of, or not even
 * announced. A newer one may be usable; the newest, a lossless reader's next, and what
 * was there when we came, are worth waiting for: the announcement will wake us. */
static void
pass_over (NdshLink *link, const NdshLease *lease)
{
  gboolean worth_waiting = link->leases.mode == NDSH_READ_LOSSLESS
                           || lease->word == lease->head
                           || link->n_segments_handled < link->n_segments_at_first;

  if (worth_waiting && !link->gone)
    ndsh_leases_stall (&link->leases, lease);
  else
    ndsh_leases_skip (&link->leases, lease);

  /* The writer may have met the lease meanwhile, and found itself full. */
  ndsh_link_ring (link);
}

static NdshSegment *
find_segment (NdshReader *reader, const NdshLease *lease)
{
  NdshSegment *segment = ndsh_link_find_segment (reader->link, lease);

  if (segment != NULL)
    return segment;
  hear (reader, ndsh_link_drain);
  return ndsh_link_find_segment (reader->link, lease);
}

/* The next frame that can be had, leased, with its memory. */
static NdshSegment *
find_frame (NdshReader *reader, NdshLease *lease)
{
  NdshLink *link = reader->link;

  /* Bounded, because head is not ours to believe. */
  for (int tries = 0; tries < NDSH_RING; tries++) {
    NdshSegment *segment;

    if (!ndsh_leases_find (&link->leases, lease))
      return NULL;
    segment = find_segment (reader, lease);
    if (segment != NULL)
      return segment;
    pass_over (link, lease);
    if (link->leases.stalled != 0)
      return NULL;
  }
  return NULL;
}

/* Nothing more is taken from a writer that lied, or it would be told about each
 * lie. That fds or memory of our own ran out is no lie. */
static gboolean
is_trusted (NdshReader *reader)
{
  return reader->link != NULL
         && (reader->why_gone == NULL
             || reader->why_gone->code != NDSH_ERROR_INCOMPATIBLE);
}

/* Whether at least one of @ends was not told. What the writer says of them is foreign:
 * it can only go on, so one that lies is told of once for each new lie. */
static gboolean
comes_first (const NdshReader *reader, guint32 ends)
{
  return ndsh_ends_distance (ends, reader->told) > 0;
}

static void
distrust (NdshReader *reader, GError *why)
{
  g_message ("left the writer of channel '%s': %s", reader->name, why->message);
  g_clear_error (&reader->why_gone);
  reader->why_gone = why;
  reader->link->gone = TRUE;
}

static NdshFrame *
make_frame (NdshReader *reader, const NdshLease *lease, NdshSegment *segment)
{
  NdshLink *link = reader->link;
  GError *why = NULL;
  NdshFrame *frame = ndsh_frame_new (link, segment, lease, &reader->format, &why);

  if (frame == NULL) {
    ndsh_leases_skip (&link->leases, lease);
    if (why != NULL)
      distrust (reader, why);
    return NULL;
  }
  ndsh_leases_take (&link->leases, lease);
  ndsh_link_ring_for_room (link);
  return frame;
}

/* Whether there is one. It is taken unless @frame is NULL or an end lies before it;
 * *@frame stays NULL as well if it went while it was copied. */
static gboolean
find_next (NdshReader *reader, NdshFrame **frame)
{
  NdshLease lease;
  NdshSegment *segment = find_frame (reader, &lease);

  if (segment == NULL)
    return FALSE;
  reader->ends = lease.record.ends;
  if (frame == NULL || comes_first (reader, reader->ends))
    ndsh_link_release (reader->link, lease.hazard);
  else
    *frame = make_frame (reader, &lease, segment);
  return TRUE;
}

/* The same before a sleep. Where only the number is new, and its memory not known yet, it
 * is leased for a moment to see that. */
static gboolean
have_frame (NdshReader *reader, NdshFrame **frame)
{
  return is_trusted (reader) && ndsh_leases_have_new (&reader->link->leases)
         && find_next (reader, frame);
}

/* --- JOINED: ends --------------------------------------------------------- */

/* If several came, the frames between them were lost. */
static gboolean
fail_ended (NdshReader *reader, guint32 ends, GError **error)
{
  reader->told = ends;
  g_set_error (error, NDSH_ERROR, NDSH_ERROR_ENDED,
               "the writer of channel '%s' has sent all it had to",
               reader->name);
  return FALSE;
}

/* What wait says once have_frame has found one. No wake-up is needed for it any more. */
static gboolean
tell_frame (NdshReader *reader, GError **error)
{
  if (ndsh_wake_reader_is_armed (reader->link->leases.page))
    ndsh_wake_disarm_reader (reader->link->leases.page);
  return !comes_first (reader, reader->ends)
         || fail_ended (reader, reader->ends, error);
}

/* --- JOINED: waiting ------------------------------------------------------ */

/* One step, whatever the state. */
static gboolean
advance (NdshReader *reader, GError **error)
{
  if (reader->link != NULL) {
    if (reader->unread)
      hear (reader, ndsh_link_hear);
    return TRUE;
  }
  if (reader->dirs != NULL)
    hear_dirs (reader);
  if (reader->greeting_fd < 0 && !try_to_connect (reader, error))
    return FALSE;
  if (reader->greeting_fd >= 0 && !hear_answer (reader, error))
    return FALSE;
  if (reader->link != NULL)
    hear (reader, ndsh_link_drain);
  return TRUE;
}

/* What is not read then is there to be read before the next sleep. */
static void
sleep_until (NdshReader *reader, gint64 deadline_us)
{
  int fd = reader->link != NULL ? reader->link->fd : -1;

  reader->unread |= ndsh_waiter_sleep (&reader->waiter, fd, deadline_us);
}

/* The next writer may be there already. But one that had nothing for us is no
 * better than none: where such come and go without end, so many a second do. */
static void
look_for_the_next (NdshReader *reader)
{
  gboolean was_of_use = reader->link->leases.delivered > 0;

  leave (reader, FALSE);
  if (was_of_use) {
    reader->retry_us = FIRST_RETRY_US;
    set_next (reader, g_get_monotonic_time ());
  } else {
    try_again_later (reader);
  }
}

/* FALSE with ENDED or CLOSED if the writer has come to one, @ends before the last look
 * found no frame. */
static gboolean
check_end (NdshReader *reader, guint32 ends, GError **error)
{
  /* There is one before the end, and its memory will be announced. */
  if (ndsh_leases_are_stalled (&reader->link->leases) && !reader->link->gone)
    return TRUE;
  if (comes_first (reader, ends) && reader->why_gone == NULL)
    return fail_ended (reader, ends, error);
  if (!reader->link->gone)
    return TRUE;
  g_set_error (error, NDSH_ERROR,
               reader->why_gone != NULL ? reader->why_gone->code
                                        : NDSH_ERROR_CLOSED,
               "the writer of channel '%s' has gone%s%s", reader->name,
               reader->why_gone != NULL ? ": " : "",
               reader->why_gone != NULL ? reader->why_gone->message : "");
  g_clear_error (&reader->why_gone);
  look_for_the_next (reader);
  return FALSE;
}

static const char *
what_its_writer_did (NdshReader *reader)
{
  if (reader->link == NULL)
    return "has not answered so far";
  if (!ndsh_leases_have_any (&reader->link->leases))
    return "is there, and has published nothing so far";
  if (!ndsh_leases_have_new (&reader->link->leases))
    return "is there, and has published nothing new";
  return "published frames that cannot be had yet";
}

static gboolean
fail_time_out (NdshReader *reader, gint64 timeout_us, GError **error)
{
  const GError *why = reader->link == NULL ? reader->why_alone : NULL;

  if (timeout_us == 0
      && g_error_matches (why, NDSH_ERROR, NDSH_ERROR_NOT_FOUND)) {
    g_propagate_error (error, g_error_copy (why));
    return FALSE;
  }
  if (why != NULL)
    g_set_error_literal (error, NDSH_ERROR, NDSH_ERROR_TIMEOUT, why->message);
  else
    g_set_error (error, NDSH_ERROR, NDSH_ERROR_TIMEOUT, "the writer of channel '%s' %s",
                 reader->name, what_its_writer_did (reader));
  if (timeout_us != 0)
    g_prefix_error (error, "no frame of channel '%s' came within %.3f s: ", reader->name,
                    timeout_us / 1e6);
  return FALSE;
}

static gboolean
check_can_wait (NdshReader *reader, GError **error)
{
  if (is_forked (reader)) {
    g_set_error (error, NDSH_ERROR, NDSH_ERROR_FORKED,
                 "channel '%s' was opened by the process that forked this one: "
                 "open it in the child",
                 reader->name);
    return FALSE;
  }
  if (reader->link != NULL && ndsh_leases_are_out (&reader->link->leases)) {
    /* The writer waits to hear that memory which it replaced is not mapped any more. */
    hear (reader, ndsh_link_drain);
    g_set_error (error, NDSH_ERROR, NDSH_ERROR_FULL,
                 "all %u frames that this reader of channel '%s' may hold are "
                 "held: release one first",
                 reader->link->leases.n_leases, reader->name);
    return FALSE;
  }
  return TRUE;
}

/* The last look before a sleep: whatever comes after it rings. */
static gboolean
arm_and_look (NdshReader *reader, NdshFrame **frame, gboolean *found, GError **error)
{
  guint32 ends;

  ndsh_wake_arm_reader (reader->link->leases.page);
  ends = ndsh_leases_get_ends (&reader->link->leases);
  *found = have_frame (reader, frame);
  return *found ? tell_frame (reader, error) : check_end (reader, ends, error);
}

/* FALSE with an error, or TRUE: there is a frame, or else it is time to sleep; elsewhere
 * if @polls: then it is not known why it woke, and what has rung so far is over. */
static gboolean
look (NdshReader *reader, gboolean polls, NdshFrame **frame, gboolean *found,
      GError **error)
{
  *found = have_frame (reader, frame);
  if (*found)
    return tell_frame (reader, error);
  if (polls)
    sleep_until (reader, 0);
  return advance (reader, error)
         && (reader->link == NULL || arm_and_look (reader, frame, found, error));
}

/* Until there is a frame, which is taken unless @frame is NULL. One that went while it
 * was copied is no reason to sleep: another may have come before we armed. */
static gboolean
wait_for (NdshReader *reader, gint64 timeout_us, NdshFrame **frame, GError **error)
{
  gint64 deadline_us = -1;      /* never; nor if it would not be a number */
  gint64 now_us = timeout_us > 0 ? g_get_monotonic_time () : 0;
  gboolean found;

  if (!check_can_wait (reader, error))
    return FALSE;
  if (timeout_us >= 0 && timeout_us < G_MAXINT64 - now_us)
    deadline_us = now_us + timeout_us;
  for (;;) {
    if (!look (reader, timeout_us == 0, frame, &found, error))
      return FALSE;
    if (found && (frame == NULL || *frame != NULL))
      return TRUE;
    if (g_atomic_int_get (&reader->flushing)
        || (deadline_us >= 0 && g_get_monotonic_time () >= deadline_us))
      return fail_time_out (reader, timeout_us, error);
    if (!found)
      sleep_until (reader, deadline_us);
  }
}

NDSH_API gboolean
ndsh_reader_wait (NdshReader *reader, gint64 timeout_us, GError **error)
{
  g_return_val_if_fail (reader != NULL, FALSE);

  return wait_for (reader, timeout_us, NULL, error);
}

NDSH_API NdshFrame *
ndsh_reader_read (NdshReader *reader, gint64 timeout_us, GError **error)
{
  NdshFrame *frame = NULL;

  g_return_val_if_fail (reader != NULL, NULL);

  wait_for (reader, timeout_us, &frame, error);
  return frame;
}

NDSH_API void
ndsh_reader_set_flushing (NdshReader *reader, gboolean flushing)
{
  g_return_if_fail (reader != NULL);

  if (is_forked (reader))
    return;
  flushing = flushing != FALSE;
  pthread_mutex_lock (&reader->flush_mutex);
  if (g_atomic_int_get (&reader->flushing) != flushing)
    ndsh_waiter_set_flushing (&reader->waiter, flushing);
  g_atomic_int_set (&reader->flushing, flushing);
  pthread_mutex_unlock (&reader->flush_mutex);
}

NDSH_API NdshFrame *
ndsh_reader_acquire (NdshReader *reader)
{
  NdshFrame *frame = NULL;

  g_return_val_if_fail (reader != NULL, NULL);

  if (is_forked (reader))
    return NULL;
  /* A writer may be faster than we copy, and who reads may have to be somewhere else. */
  for (int tries = 0; tries < MAX_TRIES && frame == NULL; tries++)
    if (!is_trusted (reader) || !find_next (reader, &frame)
        || comes_first (reader, reader->ends))
      break;
  return frame;
}

/* --- What is known -------------------------------------------------------- */

NDSH_API gboolean
ndsh_reader_is_connected (NdshReader *reader)
{
  g_return_val_if_fail (reader != NULL, FALSE);

  return reader->link != NULL && !reader->link->gone;
}

NDSH_API void
ndsh_reader_get_info (NdshReader *reader, NdshReaderInfo *info)
{
  const NdshLink *link;

  g_return_if_fail (reader != NULL && info != NULL);

  memset (info, 0, sizeof *info);
  info->max_rate = reader->wish.max_rate / 1e3;
  info->max_width = reader->wish.max_width;
  info->max_height = reader->wish.max_height;
  info->delivered = reader->delivered;
  info->missed = reader->missed;
  info->copied = reader->copied;
  link = reader->link;
  if (link == NULL)
    return;
  info->pid = link->pid;
  info->uid = link->uid;
  info->mode = (NdshReadMode) link->leases.mode;
  info->max_leases = link->leases.n_leases;
  info->n_leases = ndsh_leases_count (&link->leases);
  info->delivered += link->leases.delivered;
  info->missed += link->leases.missed;
  info->copied += link->leases.copied;
  info->room = ndsh_leases_get_room (&link->leases);
  info->lag = ndsh_leases_get_lag (&link->leases);
}
