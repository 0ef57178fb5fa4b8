/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The writer's readers: taking them in, telling them of memory, waking them, waiting
 * for those that want every frame, and forgetting them. What a reader writes in its
 * page is never believed, only listened to.
 */
#include "writer-private.h"

#include <string.h>
#include <unistd.h>

#include "error.h"
#include "wake.h"

#define MAX_LEFT 64     /* readers that hold frames, and want no more */

/* --- What they map -------------------------------------------------------- */

static void
replaced_free (Replaced *replaced)
{
  ndsh_segment_unref (replaced->segment);
  g_free (replaced);
}

/* Lets go of what @reader says it has unmapped. A liar only makes the count of
 * retired bytes too low. */
static void
hear_what_was_unmapped (Reader *reader)
{
  guint32 handled = ndsh_slots_get_report (&reader->slots).segments_handled;
  Replaced *oldest;

  while ((oldest = g_queue_peek_head (&reader->replaced)) != NULL
         && (gint32) (handled - oldest->message) >= 0
         && (gint32) (reader->n_sent - handled) >= 0)
    replaced_free (g_queue_pop_head (&reader->replaced));
}

void
ndsh_audience_hear_unmapped (NdshWriter *writer)
{
  FOR_EACH_READER (writer, reader)
    hear_what_was_unmapped (reader);
}

static void
remember_told (Reader *reader, int slot, NdshSegment *segment)
{
  reader->n_sent++;
  if (reader->told[slot] != NULL) {
    Replaced *replaced = g_new (Replaced, 1);

    replaced->segment = reader->told[slot];
    replaced->message = reader->n_sent;
    g_queue_push_tail (&reader->replaced, replaced);
  }
  reader->told[slot] = segment != NULL ? ndsh_segment_ref (segment) : NULL;
}

/* What does not fit into the reader's socket is sent when there is room; until
 * then it finds frames in memory it does not know, and passes them over. FALSE if
 * it hears nothing any more: whether it is gone the service finds out. */
static gboolean
tell (NdshWriter *writer, Reader *reader, int slot)
{
  SlotMemory *memory = &writer->memory[slot];
  NdshSegment *segment = memory->segment;
  NdshSegmentMessage message = { .slot = (guint32) slot,
                                 .generation = memory->generation };
  NdshIo io;

  if (reader->told[slot] == segment || ndsh_slots_reader_has_left (&reader->slots))
    return TRUE;
  message.size = segment != NULL ? segment->size : 0;
  ndsh_header_init (&message, NDSH_MESSAGE_SEGMENT, sizeof message);
  io = ndsh_message_send (reader->guest->fd, &message, sizeof message,
                          segment != NULL ? &segment->fd : NULL, segment != NULL);
  if (io == NDSH_IO_DONE)
    remember_told (reader, slot, segment);
  else
    ndsh_service_watch_writable (writer->service, reader->guest);
  return io != NDSH_IO_GONE;
}

static gboolean
tell_all_slots (NdshWriter *writer, Reader *reader)
{
  gboolean hears = TRUE;

  for (guint i = 0; i < writer->slots.n_slots && hears; i++)
    hears = tell (writer, reader, (int) i);
  return hears;
}

void
ndsh_audience_tell (NdshWriter *writer, int slot)
{
  FOR_EACH_READER (writer, reader)
    tell (writer, reader, slot);
}

/* --- They come and go ----------------------------------------------------- */

static void
notify (NdshWriter *writer)
{
  if (writer->options.notify != NULL)
    writer->options.notify (writer, writer->options.notify_data);
}

static void
reader_free (Reader *reader)
{
  for (guint i = 0; i < NDSH_N_SLOTS; i++)
    ndsh_segment_unref (reader->told[i]);
  while (!g_queue_is_empty (&reader->replaced))
    replaced_free (g_queue_pop_head (&reader->replaced));
  ndsh_segment_unref (reader->page);
  ndsh_bell_clear (&reader->bell);
  g_free (reader);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Reader, reader_free)

/* One that has left may hold frames yet. Who wants another mode leaves and joins again,
 * and has never been gone to those who count. */
static gboolean
is_present (const Reader *reader)
{
  return !ndsh_slots_reader_has_left (&reader->slots)
         || (ndsh_slots_reader_comes_back (&reader->slots) && !reader->is_followed);
}

guint
ndsh_audience_count_readers (NdshWriter *writer)
{
  guint n = 0;

  FOR_EACH_READER (writer, reader)
    n += is_present (reader);
  return n;
}

/* Lossless readers can hold the writer up: that is for its own user. */
static guint32
granted_mode (NdshWriter *writer, NdshGuest *guest, const NdshHello *hello)
{
  if (hello->mode >= NDSH_READ_LOSSLESS
      && (guest->uid != (gint64) geteuid ()
          || writer->options.lossless_timeout_us < 0))
    return NDSH_READ_QUEUE;
  return MIN (hello->mode, NDSH_READ_LOSSLESS);
}

static Reader *
reader_new (NdshWriter *writer, NdshGuest *guest, const NdshHello *hello,
            GError **error)
{
  g_autoptr (Reader) reader = g_new0 (Reader, 1);

  g_queue_init (&reader->replaced);
  reader->bell = (NdshBell){ -1, -1 };
  reader->guest = guest;
  reader->asked_queue = CLAMP (hello->queue_length, 1, NDSH_MAX_QUEUE);
  reader->slots.mode = granted_mode (writer, guest, hello);
  reader->slots.queue_length = reader->asked_queue;
  reader->page
    = ndsh_segment_new ("ndsh-leases", sizeof (NdshLeasePage),
                        sizeof (NdshLeasePage), NDSH_SEGMENT_SHARED, error);
  if (reader->page == NULL)
    return NULL;
  if (!ndsh_bell_init (&reader->bell)) {
    ndsh_set_errno (error, "cannot create a bell (eventfd, epoll)");
    return NULL;
  }
  reader->slots.page = reader->page->data;
  reader->wish = (NdshWish){ hello->max_rate, hello->max_width, hello->max_height };
  ndsh_slots_init_wish (&reader->slots, reader->wish);
  return g_steal_pointer (&reader);
}

/* Who has left costs fds and a look before each frame, as long as it holds one. */
static gboolean
too_many_have_left (NdshWriter *writer, guint n_left, GError **error)
{
  if (n_left < MAX_LEFT)
    return FALSE;
  g_set_error (error, NDSH_ERROR, NDSH_ERROR_DENIED,
               "of channel '%s' %u readers that were closed still hold frames, and its "
               "writer admits no more: release those",
               writer->channel, n_left);
  return TRUE;
}

static gboolean
grant_leases (NdshWriter *writer, Reader *reader, guint asked, GError **error)
{
  guint n_readers = 0, n_left = 0;

  FOR_EACH_READER (writer, other)
    if (ndsh_slots_reader_has_left (&other->slots))
      n_left++;
    else
      n_readers++;
  if (too_many_have_left (writer, n_left, error))
    return FALSE;
  if (n_readers >= writer->options.max_readers) {
    g_set_error (error, NDSH_ERROR, NDSH_ERROR_DENIED,
                 "channel '%s' has %u readers, and its writer admits no more: "
                 "raise its max_readers (%u) or stop a reader",
                 writer->channel, n_readers, writer->options.max_readers);
    return FALSE;
  }
  reader->slots.n_leases = CLAMP (asked, 1, NDSH_MAX_LEASES);
  return TRUE;
}

static guint32
count_segments (NdshWriter *writer)
{
  guint32 n = 0;

  for (guint i = 0; i < writer->slots.n_slots; i++)
    n += writer->memory[i].segment != NULL;
  return n;
}

static gboolean
send_welcome (NdshWriter *writer, Reader *reader)
{
  NdshWelcome welcome = { .mode = reader->slots.mode,
                          .queue_length = reader->slots.queue_length,
                          .max_leases = reader->slots.n_leases,
                          .cursor = reader->slots.cursor,
                          .control_size = (guint32) writer->control->size,
                          .page_size = (guint32) reader->page->size,
                          .ends = reader->slots.ends,
                          .n_segments = count_segments (writer) };
  int fds[3] = { writer->control->fd, reader->page->fd, reader->bell.listen_fd };

  ndsh_header_init (&welcome, NDSH_MESSAGE_WELCOME, sizeof welcome);
  return ndsh_message_send (reader->guest->fd, &welcome, sizeof welcome, fds, 3)
         == NDSH_IO_DONE;
}

/* Its old place may last, with frames that it holds. */
static void
find_followed (NdshWriter *writer, const Reader *follower)
{
  FOR_EACH_READER (writer, reader)
    if (!reader->is_followed && ndsh_slots_reader_comes_back (&reader->slots)
        && reader->guest->pid == follower->guest->pid
        && reader->guest->uid == follower->guest->uid) {
      reader->is_followed = TRUE;
      return;
    }
}

/* On the list first, told then: a claim in between must know of the reader. */
static gboolean
admit (NdshWriter *writer, Reader *reader, guint asked, GError **error)
{
  if (!grant_leases (writer, reader, asked, error))
    return FALSE;
  ndsh_slots_join (&writer->slots, &reader->slots);
  if (!send_welcome (writer, reader)) {
    ndsh_slots_leave (&writer->slots, &reader->slots);
    g_set_error (error, NDSH_ERROR, NDSH_ERROR_SYSTEM,
                 "the writer of channel '%s' cannot send its memory",
                 writer->channel);
    return FALSE;
  }
  find_followed (writer, reader);
  tell_all_slots (writer, reader);
  return TRUE;
}

static void
on_hello (gpointer owner, NdshGuest *guest, const NdshHello *hello)
{
  NdshWriter *writer = owner;
  g_autoptr (GError) error = NULL;
  g_autoptr (Reader) reader = reader_new (writer, guest, hello, &error);
  gboolean admitted = FALSE;

  if (reader != NULL) {
    ndsh_writer_lock (writer);
    admitted = admit (writer, reader, hello->max_leases, &error);
    writer->was_read |= admitted;
    pthread_cond_broadcast (&writer->changed);
    ndsh_writer_unlock (writer);
  } else {
    /* The limit is ours, not the reader's. */
    g_prefix_error (&error, "the writer of channel '%s' cannot take a reader in: ",
                    writer->channel);
  }
  if (!admitted) {
    g_debug ("refused process %" G_GINT64_FORMAT ": %s", guest->pid,
             error->message);
    ndsh_guest_refuse (guest, error);
    return;
  }
  guest->joined = g_steal_pointer (&reader);
  notify (writer);
}

static void
on_gone (gpointer owner, NdshGuest *guest)
{
  NdshWriter *writer = owner;
  Reader *reader = guest->joined;

  ndsh_writer_lock (writer);
  ndsh_slots_leave (&writer->slots, &reader->slots);
  reader_free (reader);
  pthread_cond_broadcast (&writer->changed);
  ndsh_writer_unlock (writer);
  notify (writer);
}

void
ndsh_audience_clear (NdshWriter *writer)
{
  while (writer->slots.readers != NULL) {
    Reader *reader = (Reader *) writer->slots.readers;

    ndsh_slots_leave (&writer->slots, &reader->slots);
    reader_free (reader);
  }
}

void
ndsh_audience_hear_queues (NdshWriter *writer)
{
  FOR_EACH_READER (writer, reader) {
    guint32 wanted = ndsh_slots_get_wanted_queue (&reader->slots);

    if (wanted >= 1 && wanted <= NDSH_MAX_QUEUE)
      reader->slots.queue_length = wanted;
  }
}

/* --- They wake and are woken ---------------------------------------------- */

void
ndsh_audience_ring (NdshWriter *writer)
{
  FOR_EACH_READER (writer, reader)
    if (ndsh_wake_reader_sleeps (reader->slots.page))
      ndsh_bell_ring (&reader->bell);
}

static gboolean
on_writable (gpointer owner, NdshGuest *guest)
{
  NdshWriter *writer = owner;
  gboolean hears;

  ndsh_writer_lock (writer);
  hears = tell_all_slots (writer, guest->joined);
  ndsh_writer_unlock (writer);
  return hears;
}

/* Whether there are new ones, or one has left. A count is foreign: any other is one. */
static gboolean
hear_wishes (NdshWriter *writer)
{
  gboolean changed = FALSE;

  FOR_EACH_READER (writer, reader) {
    NdshSlotsReport now = ndsh_slots_get_report (&reader->slots);
    gboolean has_left = !is_present (reader);

    writer->key_requests += now.key_requests != reader->key_requests;
    changed |= now.key_requests != reader->key_requests || has_left != reader->has_left
               || memcmp (&now.wish, &reader->wish, sizeof now.wish) != 0;
    reader->key_requests = now.key_requests;
    reader->wish = now.wish;
    reader->has_left = has_left;
  }
  return changed;
}

/* A reader moved on or gave a lease back while the writer was waiting, or asks for
 * something; or this process gave back a draft. */
static void
on_woken (gpointer owner)
{
  NdshWriter *writer = owner;
  gboolean was_full, was_asked;

  ndsh_writer_lock (writer);
  was_asked = hear_wishes (writer);
  ndsh_wake_disarm_writer (writer->slots.control);
  was_full = writer->full;
  writer->full = FALSE;
  pthread_cond_broadcast (&writer->changed);
  ndsh_writer_unlock (writer);
  if (was_full || was_asked)
    notify (writer);
}

/* --- Those that want every frame ------------------------------------------ */

/* A reader that stops with more than half of its queue before it does not tell of what it
 * has given back: that is looked for besides. */
#define RECHECK_US (100 * 1000)

/* Demotes it if its time is over, else tells until when that may take. */
static gint64
look_after_lossless (NdshWriter *writer, Reader *reader, gint64 since_us)
{
  gint64 now_us = g_get_monotonic_time ();
  gint64 until_us;

  if (reader->slots.cursor != reader->seen_cursor) {
    reader->seen_cursor = reader->slots.cursor;
    reader->moved_us = now_us;
  }
  until_us = MAX (reader->moved_us, since_us)
             + writer->options.lossless_timeout_us;
  if (until_us > now_us)
    return until_us;
  ndsh_slots_demote (&reader->slots, reader->asked_queue);
  g_message ("process %" G_GINT64_FORMAT " wants every frame of channel '%s' "
             "and took none for %.1f s: from now on it may lose some",
             reader->guest->pid, writer->channel,
             writer->options.lossless_timeout_us / 1e6);
  return now_us;
}

static gboolean
is_in_the_way (NdshWriter *writer, Reader *reader)
{
  return ndsh_slots_reader_is_lossless (&reader->slots)
         && (ndsh_slots_get_lag (&writer->slots, &reader->slots) > 0
             || ndsh_slots_count_leases (&reader->slots) > 0);
}

gboolean
ndsh_audience_wait_for_lossless (NdshWriter *writer, gint64 since_us)
{
  gint64 until_us = G_MAXINT64;
  struct timespec until;

  if (writer->flushing || writer->closed)
    return FALSE;
  FOR_EACH_READER (writer, reader)
    if (is_in_the_way (writer, reader)) {
      gint64 its_us = look_after_lossless (writer, reader, since_us);

      until_us = MIN (until_us, its_us);
    }
  if (until_us == G_MAXINT64)
    return FALSE;
  until_us = MIN (until_us, g_get_monotonic_time () + RECHECK_US);
  until.tv_sec = until_us / G_USEC_PER_SEC;
  until.tv_nsec = until_us % G_USEC_PER_SEC * 1000;
  pthread_cond_timedwait (&writer->changed, &writer->mutex, &until);
  return TRUE;
}

/* Begin keeps lossless readers within the ring, but for drafts that were begun
 * before the reader came. */
void
ndsh_audience_demote_overrun (NdshWriter *writer)
{
  FOR_EACH_READER (writer, reader)
    if (ndsh_slots_reader_is_lossless (&reader->slots)
        && ndsh_slots_get_lag (&writer->slots, &reader->slots) >= NDSH_RING - 1)
      ndsh_slots_demote (&reader->slots, reader->asked_queue);
}

/* --- What is asked about them --------------------------------------------- */

guint
ndsh_audience_count_leases (NdshWriter *writer)
{
  guint n = 0;

  FOR_EACH_READER (writer, reader)
    n += ndsh_slots_count_leases (&reader->slots);
  return n;
}

static void
describe_reader (NdshWriter *writer, Reader *reader, NdshReaderInfo *info)
{
  NdshSlotsReport report = ndsh_slots_get_report (&reader->slots);

  memset (info, 0, sizeof *info);
  info->pid = reader->guest->pid;
  info->uid = reader->guest->uid;
  info->mode = (NdshReadMode) reader->slots.mode;
  info->max_leases = reader->slots.n_leases;
  info->n_leases = ndsh_slots_count_leases (&reader->slots);
  info->delivered = report.delivered;
  info->missed = report.missed;
  info->copied = report.copied;
  info->max_rate = report.wish.max_rate / 1e3;
  info->max_width = report.wish.max_width;
  info->max_height = report.wish.max_height;
  info->lag = ndsh_slots_get_lag (&writer->slots, &reader->slots);
}

NDSH_API guint
ndsh_writer_get_readers (NdshWriter *writer, NdshReaderInfo *infos,
                         guint n_infos)
{
  guint n = 0;

  g_return_val_if_fail (writer != NULL, 0);
  g_return_val_if_fail (n_infos == 0 || infos != NULL, 0);

  if (ndsh_writer_is_forked (writer))
    return 0;
  ndsh_writer_lock (writer);
  FOR_EACH_READER (writer, reader) {
    if (!is_present (reader))
      continue;
    if (n < n_infos)
      describe_reader (writer, reader, &infos[n]);
    n++;
  }
  ndsh_writer_unlock (writer);
  return n;
}

/* --- What tools ask ------------------------------------------------------- */

/* The newest frame's arrays, description and stream's metadata stand in its tail as they
 * are to be sent. */
static void
append_newest (NdshWriter *writer, NdshStatus *status, GByteArray *tail)
{
  int newest = ndsh_store_find_newest (writer);
  const NdshFrameRecord *record;
  const guint8 *data;

  if (newest < 0)
    return;
  record = &writer->slots.control->slot[newest].frame;
  data = writer->memory[newest].segment->data;
  status->publish_ns = record->publish_ns;
  status->duration_ns = record->duration_ns;
  status->origin_ns = record->origin_ns;
  status->latency_ns = record->latency_ns;
  status->clock = record->clock;
  status->n_arrays = record->n_arrays;
  status->arrays_size = record->arrays_size;
  status->description_size = record->description_size;
  status->stream_metadata_size = record->stream_metadata_size;
  g_byte_array_append (tail, data + record->tail_offset,
                       record->arrays_size + record->description_size
                         + record->stream_metadata_size);
}

static void
on_status (gpointer owner, NdshGuest *guest)
{
  NdshWriter *writer = owner;
  GByteArray *message = g_byte_array_new ();
  NdshStatus status = { .duration_ns = -1 };

  g_byte_array_set_size (message, sizeof status);
  ndsh_writer_lock (writer);
  memcpy (status.stream_id, writer->stream_id, sizeof status.stream_id);
  status.published = writer->slots.published;
  status.bytes = writer->bytes;
  status.n_readers = ndsh_audience_count_readers (writer);
  append_newest (writer, &status, message);
  writer->is_watched |= guest->watches;
  ndsh_writer_unlock (writer);

  ndsh_header_init (&status, NDSH_MESSAGE_STATUS, message->len);
  memcpy (message->data, &status, sizeof status);
  if (ndsh_message_send (guest->fd, message->data, message->len, NULL, 0) != NDSH_IO_DONE)
    guest->watches = FALSE;
  g_byte_array_unref (message);
}

const NdshServiceCallbacks ndsh_audience_callbacks
  = { on_hello, on_status, on_woken, on_writable, on_gone, NULL };
