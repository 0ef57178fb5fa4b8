/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * One thread plays the writer and its readers in turn: what slots.c decides. What
 * it does when they run at once is explored in tests/explore.
 */
#include "slots.h"

#include <glib.h>
#include <string.h>

enum { LATEST, QUEUE, LOSSLESS, N_READERS = 3 };

typedef struct {
  NdshControl control;
  NdshSlots slots;
  NdshLeasePage page[N_READERS];
  NdshSlotsReader entry[N_READERS];
  NdshLeases leases[N_READERS];
} Channel;

static void
open_channel (Channel *channel, gconstpointer first)
{
  memset (channel, 0, sizeof *channel);
  ndsh_slots_init (&channel->slots, &channel->control, 1,
                   first != NULL ? *(const guint64 *) first : 1);
}

static void
join (Channel *channel, guint r, guint mode, guint queue_length, guint n_leases)
{
  channel->entry[r] = (NdshSlotsReader){ .page = &channel->page[r],
                                         .mode = mode,
                                         .queue_length = queue_length,
                                         .n_leases = n_leases };
  ndsh_slots_join (&channel->slots, &channel->entry[r]);
  channel->leases[r] = (NdshLeases){ .mode = mode,
                                     .queue_length = queue_length,
                                     .n_leases = n_leases };
  ndsh_leases_init (&channel->leases[r], &channel->control, &channel->page[r],
                    channel->entry[r].cursor);
}

static int
begin (Channel *channel)
{
  int i;

  ndsh_slots_lossless_lag (&channel->slots);
  i = ndsh_slots_claim (&channel->slots, 1);
  if (i < 0) {
    i = ndsh_slots_add (&channel->slots);
    if (i >= 0)
      channel->slots.slot[i].capacity = 1;
  }
  return i;
}

static guint64
publish (Channel *channel, int i)
{
  guint64 number;

  channel->control.slot[i].frame.full_seq = channel->slots.published + 1;
  channel->control.slot[i].frame.ends = channel->slots.ends;
  number = ndsh_slots_publish (&channel->slots, i);
  ndsh_slots_release (&channel->slots, i);
  return number;
}

/* Returns the slot. */
static int
write_frame (Channel *channel)
{
  int i = begin (channel);

  g_assert_cmpint (i, >=, 0);
  publish (channel, i);
  return i;
}

static guint64
take (Channel *channel, guint r, NdshLease *lease)
{
  if (!ndsh_leases_find (&channel->leases[r], lease))
    return 0;
  ndsh_leases_take (&channel->leases[r], lease);
  return lease->record.full_seq;
}

static guint64
take_and_release (Channel *channel, guint r)
{
  NdshLease lease;
  guint64 number = take (channel, r, &lease);

  if (number != 0)
    ndsh_leases_release (&channel->leases[r], lease.hazard);
  return number;
}

/* --- The writer alone --- */

static void
test_frames_are_numbered_from_the_first (Channel *channel, gconstpointer data)
{
  guint64 first = data != NULL ? *(const guint64 *) data : 1;

  for (guint64 n = first; n < first + 200; n++) {
    int i = begin (channel);

    g_assert_cmpuint (publish (channel, i), ==, n);
    g_assert_cmpuint (channel->control.head, ==, ndsh_word (n));
    g_assert_cmpuint (channel->control.slot[i].state_seq, ==, ndsh_word (n));
    g_assert_cmpuint (channel->control.ring[ndsh_word_ring (ndsh_word (n))], ==,
                      i);
  }
  g_assert_cmpuint (channel->slots.n_slots, ==, 2);
}

static void
test_the_newest_frame_stays (Channel *channel, gconstpointer data)
{
  int newest = write_frame (channel);

  for (guint n = 0; n < 10; n++) {
    int i = begin (channel);

    (void) data;
    g_assert_cmpint (i, !=, newest);
    publish (channel, i);
    newest = i;
  }
}

static void
test_history_is_kept (Channel *channel, gconstpointer data)
{
  (void) data;
  channel->slots.history = 5;

  for (guint n = 0; n < 50; n++)
    write_frame (channel);

  g_assert_cmpuint (channel->slots.n_slots, ==, 6);
  for (guint64 n = 46; n <= 50; n++) {
    guint8 i = channel->control.ring[ndsh_word_ring (ndsh_word (n))];

    g_assert_cmpuint (channel->control.slot[i].state_seq, ==, ndsh_word (n));
  }
}

static void
test_a_draft_is_not_given_twice (Channel *channel, gconstpointer data)
{
  int a = begin (channel), b = begin (channel), c = begin (channel);

  (void) data;
  g_assert_cmpint (a, !=, b);
  g_assert_cmpint (b, !=, c);
  g_assert_cmpint (a, !=, c);
}

static void
test_a_forgotten_draft_is_taken_first (Channel *channel, gconstpointer data)
{
  int draft;

  (void) data;
  write_frame (channel);
  draft = begin (channel);
  ndsh_slots_release (&channel->slots, draft);

  g_assert_cmpint (begin (channel), ==, draft);
}

static void
test_a_frame_the_writer_holds_stays (Channel *channel, gconstpointer data)
{
  int held = begin (channel);
  guint32 word = ndsh_word (ndsh_slots_publish (&channel->slots, held));

  (void) data;
  for (guint n = 0; n < 10; n++)
    g_assert_cmpint (write_frame (channel), !=, held);
  g_assert_cmpuint (channel->control.slot[held].state_seq, ==, word);

  ndsh_slots_release (&channel->slots, held);
  g_assert_cmpint (begin (channel), ==, held);
}

static void
test_a_small_slot_is_passed_over (Channel *channel, gconstpointer data)
{
  (void) data;
  for (guint n = 0; n < 4; n++)
    write_frame (channel);

  g_assert_cmpint (ndsh_slots_claim (&channel->slots, 2), ==, -1);
  channel->slots.slot[0].capacity = 2;
  channel->slots.slot[1].capacity = 2;
  g_assert_cmpint (ndsh_slots_claim (&channel->slots, 2), >=, 0);
}

/* --- Leases --- */

static void
test_a_leased_slot_is_never_reused (Channel *channel, gconstpointer data)
{
  NdshLease lease[3];
  guint64 first = data != NULL ? *(const guint64 *) data : 1;

  join (channel, 0, LATEST, 1, 3);
  for (guint k = 0; k < 3; k++) {
    write_frame (channel);
    g_assert_cmpuint (take (channel, 0, &lease[k]), ==, first + k);
  }

  for (guint n = 0; n < 100; n++) {
    int i = write_frame (channel);

    for (guint k = 0; k < 3; k++)
      g_assert_cmpint (i, !=, lease[k].slot);
  }
  for (guint k = 0; k < 3; k++)
    g_assert_cmpuint (channel->control.slot[lease[k].slot].state_seq, ==,
                      lease[k].word);
}

static void
test_enough_slots_for_every_lease (Channel *channel, gconstpointer data)
{
  NdshLease lease;

  (void) data;
  join (channel, 0, LATEST, 1, 4);
  join (channel, 1, QUEUE, 3, 5);
  write_frame (channel);

  for (guint n = 0; n < 100; n++) {
    take (channel, 0, &lease);
    take (channel, 1, &lease);
    write_frame (channel);
  }

  /* Kept by the queue, all leases, and the one to be filled. */
  g_assert_cmpuint (channel->slots.n_slots, <=, 3 + 4 + 5 + 1);
  g_assert_cmpuint (ndsh_slots_count_leases (&channel->entry[0]), ==, 4);
  g_assert_cmpuint (ndsh_slots_count_leases (&channel->entry[1]), ==, 5);
}

static void
test_a_released_slot_comes_back (Channel *channel, gconstpointer data)
{
  NdshLease lease;
  guint n_slots;

  (void) data;
  join (channel, 0, LATEST, 1, 1);
  write_frame (channel);
  take (channel, 0, &lease);
  for (guint n = 0; n < 5; n++)
    write_frame (channel);
  n_slots = channel->slots.n_slots;

  ndsh_leases_release (&channel->leases[0], lease.hazard);

  g_assert_cmpint (begin (channel), ==, lease.slot);
  g_assert_cmpuint (channel->slots.n_slots, ==, n_slots);
}

static void
test_a_gone_readers_slots_come_back (Channel *channel, gconstpointer data)
{
  NdshLease lease;

  (void) data;
  join (channel, 0, LATEST, 1, 1);
  join (channel, 1, LATEST, 1, 1);
  write_frame (channel);
  take (channel, 0, &lease);
  for (guint n = 0; n < 5; n++)
    write_frame (channel);

  ndsh_slots_leave (&channel->slots, &channel->entry[0]);

  g_assert_cmpint (begin (channel), ==, lease.slot);
  g_assert_true (channel->slots.readers == &channel->entry[1]);
  g_assert_null (channel->slots.readers->next);
}

static void
test_no_more_leases_than_granted (Channel *channel, gconstpointer data)
{
  NdshLease lease[3];

  (void) data;
  join (channel, 0, LATEST, 1, 2);
  for (guint k = 0; k < 2; k++) {
    write_frame (channel);
    g_assert_cmpuint (take (channel, 0, &lease[k]), !=, 0);
  }
  write_frame (channel);

  g_assert_true (ndsh_leases_are_out (&channel->leases[0]));
  g_assert_cmpuint (take (channel, 0, &lease[2]), ==, 0);

  ndsh_leases_release (&channel->leases[0], lease[0].hazard);
  g_assert_cmpuint (ndsh_leases_count (&channel->leases[0]), ==, 1);
  g_assert_cmpuint (take (channel, 0, &lease[2]), ==, 3);
}

static void
test_all_64_leases_work (Channel *channel, gconstpointer data)
{
  NdshLease lease[NDSH_HAZARDS];

  (void) data;
  join (channel, 0, LATEST, 1, NDSH_HAZARDS);
  for (guint k = 0; k < NDSH_HAZARDS; k++) {
    write_frame (channel);
    g_assert_cmpuint (take (channel, 0, &lease[k]), ==, k + 1);
    g_assert_cmpuint (lease[k].hazard, ==, k);
  }
  g_assert_true (ndsh_leases_are_out (&channel->leases[0]));

  ndsh_leases_release (&channel->leases[0], 40);
  write_frame (channel);
  g_assert_cmpuint (take (channel, 0, &lease[40]), ==, NDSH_HAZARDS + 1);
  g_assert_cmpuint (lease[40].hazard, ==, 40);
}

/* --- Modes --- */

static void
test_latest_gets_the_newest (Channel *channel, gconstpointer data)
{
  guint64 first = data != NULL ? *(const guint64 *) data : 1;

  join (channel, 0, LATEST, 1, 1);
  g_assert_cmpuint (take_and_release (channel, 0), ==, 0);
  g_assert_false (ndsh_leases_have_new (&channel->leases[0]));
  for (guint n = 0; n < 5; n++)
    write_frame (channel);

  g_assert_true (ndsh_leases_have_new (&channel->leases[0]));
  g_assert_cmpuint (take_and_release (channel, 0), ==, first + 4);
  g_assert_cmpuint (take_and_release (channel, 0), ==, 0);
  g_assert_false (ndsh_leases_have_new (&channel->leases[0]));
}

static void
test_a_queue_drops_the_oldest (Channel *channel, gconstpointer data)
{
  guint64 first = data != NULL ? *(const guint64 *) data : 1;

  join (channel, 0, QUEUE, 3, 1);
  for (guint n = 0; n < 10; n++)
    write_frame (channel);

  for (guint64 n = first + 7; n < first + 10; n++)
    g_assert_cmpuint (take_and_release (channel, 0), ==, n);
  g_assert_cmpuint (take_and_release (channel, 0), ==, 0);
  g_assert_cmpuint (channel->leases[0].delivered, ==, 3);
  g_assert_cmpuint (channel->leases[0].missed, ==, 7);
}

static void
test_a_queue_in_time_misses_nothing (Channel *channel, gconstpointer data)
{
  guint64 next = data != NULL ? *(const guint64 *) data : 1;

  join (channel, 0, QUEUE, 4, 1);
  for (guint n = 0; n < 50; n++) {
    for (guint k = 0; k < 4; k++)
      write_frame (channel);
    for (guint k = 0; k < 4; k++)
      g_assert_cmpuint (take_and_release (channel, 0), ==, next++);
  }
  g_assert_cmpuint (channel->leases[0].missed, ==, 0);
}

static void
test_lossless_gets_every_frame (Channel *channel, gconstpointer data)
{
  guint64 next = data != NULL ? *(const guint64 *) data : 1;
  guint full = 0;

  join (channel, 0, LOSSLESS, 1, 1);
  for (guint n = 0; n < 200; n++) {
    int i = begin (channel);

    if (i < 0) {
      full++;
      g_assert_cmpuint (take_and_release (channel, 0), ==, next++);
      i = begin (channel);
    }
    g_assert_cmpint (i, >=, 0);
    publish (channel, i);
  }
  g_assert_cmpuint (full, >, 100);
  while (ndsh_leases_have_new (&channel->leases[0]))
    g_assert_cmpuint (take_and_release (channel, 0), ==, next++);
  g_assert_cmpuint (next, ==, channel->slots.published + 1);
}

static void
test_lag_counts_frames_and_drafts (Channel *channel, gconstpointer data)
{
  (void) data;
  g_assert_cmpint (ndsh_slots_lossless_lag (&channel->slots), ==, -1);

  join (channel, 0, LOSSLESS, 1, 2);
  g_assert_cmpint (ndsh_slots_lossless_lag (&channel->slots), ==, 0);
  write_frame (channel);
  write_frame (channel);
  begin (channel);
  g_assert_cmpint (ndsh_slots_lossless_lag (&channel->slots), ==, 3);
  take_and_release (channel, 0);
  g_assert_cmpint (ndsh_slots_lossless_lag (&channel->slots), ==, 2);
}

static void
test_a_demoted_reader_goes_on_as_queue (Channel *channel, gconstpointer data)
{
  (void) data;
  join (channel, 0, LOSSLESS, 2, 1);
  while (channel->slots.published < 2)
    write_frame (channel);
  ndsh_slots_demote (&channel->entry[0], 2);
  g_assert_false (ndsh_slots_reader_is_lossless (&channel->entry[0]));
  for (guint n = 0; n < 6; n++)
    write_frame (channel);

  g_assert_cmpuint (take_and_release (channel, 0), ==, 7);
  g_assert_cmpuint (take_and_release (channel, 0), ==, 8);
  g_assert_cmpuint (take_and_release (channel, 0), ==, 0);
  g_assert_cmpuint (channel->leases[0].missed, ==, 6);
}

static void
test_a_reader_that_leaves_keeps_its_lease (Channel *channel, gconstpointer data)
{
  NdshLease lease;

  (void) data;
  join (channel, 0, LOSSLESS, 1, 1);
  write_frame (channel);
  take (channel, 0, &lease);

  ndsh_leases_leave (&channel->leases[0], false);

  g_assert_true (ndsh_slots_reader_has_left (&channel->entry[0]));
  g_assert_cmpint (ndsh_slots_lossless_lag (&channel->slots), ==, -1);
  for (guint n = 0; n < 20; n++)
    g_assert_cmpint (write_frame (channel), !=, lease.slot);
}

static void
test_who_comes_late_starts_with_the_newest (Channel *channel, gconstpointer data)
{
  guint64 first = data != NULL ? *(const guint64 *) data : 1;

  for (guint n = 0; n < 5; n++)
    write_frame (channel);
  join (channel, 0, LATEST, 1, 1);
  join (channel, 1, QUEUE, 4, 1);
  join (channel, 2, LOSSLESS, 1, 1);

  for (guint r = 0; r < N_READERS; r++)
    g_assert_cmpuint (take_and_release (channel, r), ==, first + 4);
}

static void
test_a_stall_ends_with_a_newer_frame (Channel *channel, gconstpointer data)
{
  NdshLease lease;

  (void) data;
  join (channel, 0, LOSSLESS, 1, 1);
  write_frame (channel);
  g_assert_true (ndsh_leases_find (&channel->leases[0], &lease));
  ndsh_leases_stall (&channel->leases[0], &lease);
  g_assert_false (ndsh_leases_have_new (&channel->leases[0]));
  g_assert_cmpuint (ndsh_leases_count (&channel->leases[0]), ==, 0);

  write_frame (channel);
  g_assert_true (ndsh_leases_have_new (&channel->leases[0]));
  g_assert_cmpuint (take_and_release (channel, 0), ==, 1);
}

static void
test_a_stall_ends_with_a_segment (Channel *channel, gconstpointer data)
{
  NdshLease lease;

  (void) data;
  join (channel, 0, LATEST, 1, 1);
  write_frame (channel);
  ndsh_leases_find (&channel->leases[0], &lease);
  ndsh_leases_stall (&channel->leases[0], &lease);

  ndsh_leases_set_segments_handled (&channel->leases[0], 7);

  g_assert_true (ndsh_leases_have_new (&channel->leases[0]));
  g_assert_cmpuint (
    ndsh_slots_get_report (&channel->entry[0]).segments_handled, ==, 7);
}

static void
test_a_skipped_frame_counts_as_missed (Channel *channel, gconstpointer data)
{
  NdshLease lease;

  (void) data;
  join (channel, 0, QUEUE, 4, 1);
  write_frame (channel);
  write_frame (channel);
  ndsh_leases_find (&channel->leases[0], &lease);
  ndsh_leases_skip (&channel->leases[0], &lease);

  g_assert_cmpuint (take_and_release (channel, 0), ==, 2);
  g_assert_cmpuint (channel->leases[0].missed, ==, 1);
}

static void
test_the_writer_may_be_ahead_of_a_lossless_reader (Channel *channel,
                                                   gconstpointer data)
{
  guint n = 0;

  (void) data;
  join (channel, 0, LOSSLESS, 5, 1);
  for (int i = begin (channel); i >= 0; i = begin (channel)) {
    publish (channel, i);
    n++;
  }
  /* Beside its lease, and the one to be filled. */
  g_assert_cmpuint (n, ==, 5 + 1 + 1);
}

/* What the writer need not be woken for yet. */
static void
test_more_than_half_a_queue_is_a_backlog (Channel *channel, gconstpointer data)
{
  NdshLeases *leases = &channel->leases[0];

  (void) data;
  join (channel, 0, LOSSLESS, 4, 2);
  ndsh_leases_set_queue_length (leases, 4);
  for (guint n = 0; n < 4; n++)
    write_frame (channel);

  take_and_release (channel, 0);
  g_assert_true (ndsh_leases_have_backlog (leases));
  take_and_release (channel, 0);
  g_assert_false (ndsh_leases_have_backlog (leases));
}

static void
test_who_need_not_take_every_frame_has_no_backlog (Channel *channel,
                                                   gconstpointer data)
{
  (void) data;
  for (guint r = 0; r < N_READERS; r++)
    join (channel, r, r, 1, 1);
  write_frame (channel);
  write_frame (channel);

  g_assert_false (ndsh_leases_have_backlog (&channel->leases[LATEST]));
  g_assert_false (ndsh_leases_have_backlog (&channel->leases[QUEUE]));
  g_assert_true (ndsh_leases_have_backlog (&channel->leases[LOSSLESS]));
  ndsh_slots_demote (&channel->entry[LOSSLESS], 1);
  g_assert_false (ndsh_leases_have_backlog (&channel->leases[LOSSLESS]));
}

/* What it still holds is all that the writer can wait for. */
static void
test_who_left_has_no_backlog (Channel *channel, gconstpointer data)
{
  (void) data;
  join (channel, 0, LOSSLESS, 1, 1);
  write_frame (channel);
  write_frame (channel);
  g_assert_true (ndsh_leases_have_backlog (&channel->leases[0]));

  ndsh_leases_leave (&channel->leases[0], false);

  g_assert_false (ndsh_leases_have_backlog (&channel->leases[0]));
}

/* So that a reader which copies more slowly than the writer writes gets frames. */
static void
test_after_a_copy_that_came_too_late_comes_a_lease (Channel *channel,
                                                    gconstpointer data)
{
  NdshLease lease;

  (void) data;
  channel->slots.max_leasable = 2;
  join (channel, 0, QUEUE, 4, 2);
  for (guint n = 0; n < 4; n++)
    write_frame (channel);
  g_assert_true (ndsh_leases_find (&channel->leases[0], &lease));
  g_assert_true (lease.is_copy);
  g_assert_cmpuint (lease.record.full_seq, ==, 1);
  ndsh_leases_skip (&channel->leases[0], &lease);

  g_assert_cmpuint (take_and_release (channel, 0), ==, 3);
  write_frame (channel);
  write_frame (channel);
  g_assert_cmpuint (take_and_release (channel, 0), ==, 5);
  g_assert_cmpuint (take_and_release (channel, 0), ==, 6);
  g_assert_cmpuint (channel->leases[0].copied, ==, 0);
  /* Once it has caught up a copy may be in time again. */
  for (guint n = 0; n < 4; n++)
    write_frame (channel);
  g_assert_cmpuint (take_and_release (channel, 0), ==, 7);
  g_assert_cmpuint (channel->leases[0].copied, ==, 1);
}

/* With no lease to be had the newest is what a copy may be in time for. */
static void
test_after_a_copy_that_came_too_late_comes_the_newest (Channel *channel,
                                                       gconstpointer data)
{
  NdshLease lease;

  (void) data;
  channel->slots.max_leasable = 1;
  join (channel, 0, LATEST, 1, 1);
  write_frame (channel);
  g_assert_cmpuint (take (channel, 0, &lease), ==, 1);
  join (channel, 1, QUEUE, 4, 1);
  for (guint n = 0; n < 4; n++)
    write_frame (channel);
  g_assert_true (ndsh_leases_find (&channel->leases[1], &lease));
  g_assert_true (lease.is_copy);
  ndsh_leases_skip (&channel->leases[1], &lease);

  g_assert_cmpuint (take_and_release (channel, 1), ==, 5);
  g_assert_cmpuint (channel->leases[1].copied, ==, 1);
}

static void
test_ends_are_counted_once_for_each_part (Channel *channel, gconstpointer data)
{
  const NdshLeases *leases = &channel->leases[0];

  (void) data;
  join (channel, 0, LATEST, 1, 1);
  g_assert_cmpuint (ndsh_leases_get_ends (leases), ==, 0);
  ndsh_slots_end (&channel->slots);
  ndsh_slots_end (&channel->slots);
  g_assert_cmpuint (ndsh_leases_get_ends (leases), ==, 1);
  write_frame (channel);
  g_assert_cmpuint (ndsh_leases_get_ends (leases), ==, 1);
  ndsh_slots_end (&channel->slots);
  ndsh_slots_end (&channel->slots);
  g_assert_cmpuint (ndsh_leases_get_ends (leases), ==, 2);
}

static void
test_who_joins_knows_the_ends_before_the_newest_frame (Channel *channel,
                                                       gconstpointer data)
{
  (void) data;
  ndsh_slots_end (&channel->slots);
  join (channel, 0, LATEST, 1, 1);
  write_frame (channel);
  ndsh_slots_end (&channel->slots);
  join (channel, 1, LATEST, 1, 1);
  write_frame (channel);
  join (channel, 2, LATEST, 1, 1);

  g_assert_cmpuint (channel->entry[0].ends, ==, 0);
  g_assert_cmpuint (channel->entry[1].ends, ==, 1);
  g_assert_cmpuint (channel->entry[2].ends, ==, 2);
}

static void
test_the_count_of_ends_wraps (Channel *channel, gconstpointer data)
{
  const NdshLeases *leases = &channel->leases[0];

  (void) data;
  join (channel, 0, LATEST, 1, 1);
  channel->slots.ends = channel->slots.ends_before = G_MAXUINT32;
  ndsh_slots_end (&channel->slots);
  ndsh_slots_end (&channel->slots);

  g_assert_cmpuint (ndsh_leases_get_ends (leases), ==, 0);
  g_assert_cmpint (ndsh_ends_distance (0, G_MAXUINT32), ==, 1);
  g_assert_cmpint (ndsh_ends_distance (G_MAXUINT32, 0), ==, -1);
}

/* --- Lies --- */

static void
spoil (gpointer data, gsize size)
{
  guint8 *bytes = data;

  for (gsize i = 0; i < size; i++)
    bytes[i] = (guint8) (g_test_rand_int_range (0, 3) > 0 ? g_test_rand_int ()
                                                           : 0);
}

/* I10: whatever its page says, a reader blocks no more than what it was granted,
 * and a lossless one what it is owed. */
static void
test_a_spoilt_page_blocks_no_more_than_its_leases (Channel *channel,
                                                   gconstpointer data)
{
  guint32 *words = (guint32 *) &channel->page[0];

  (void) data;
  join (channel, 0, LATEST, 1, 4);
  for (guint n = 0; n < 2000; n++) {
    spoil (words, sizeof channel->page[0]);
    for (guint k = 0; k < NDSH_HAZARDS; k++)
      if (g_test_rand_int_range (0, 2) == 0)
        words[k] = ndsh_word (channel->slots.published
                              - (guint) g_test_rand_int_range (0, 8));
    write_frame (channel);
    ndsh_slots_get_lag (&channel->slots, &channel->entry[0]);
  }
  g_assert_cmpuint (channel->slots.n_slots, <=, 1 + 4 + 1);
}

static void
test_a_lying_cursor_stays_within_what_there_is (Channel *channel,
                                                gconstpointer data)
{
  NdshSlotsReader *entry = &channel->entry[0];

  (void) data;
  join (channel, 0, LOSSLESS, 1, 4);
  write_frame (channel);
  write_frame (channel);
  for (guint n = 0; n < 10000; n++) {
    int lag;

    channel->page[0].cursor = n % 2 ? (guint) g_test_rand_int () : n % 8;
    lag = ndsh_slots_lossless_lag (&channel->slots);
    g_assert_cmpint (lag, >=, -1);
    g_assert_cmpint (lag, <=, 2);
    g_assert_cmpuint (entry->cursor & 1, ==, 1);
  }
  channel->page[0].cursor = ndsh_word (2);
  ndsh_slots_lossless_lag (&channel->slots);
  channel->page[0].cursor = ndsh_word (1);
  g_assert_cmpint (ndsh_slots_lossless_lag (&channel->slots), ==, 0);
  g_assert_cmpuint (entry->cursor, ==, ndsh_word (2));
}

/* Between the newest and the next: nobody's word. */
static void
test_an_even_cursor_is_not_past_the_newest_frame (Channel *channel,
                                                  gconstpointer data)
{
  NdshSlotsReader *entry = &channel->entry[0];

  (void) data;
  join (channel, 0, LOSSLESS, 1, 4);
  write_frame (channel);
  write_frame (channel);

  channel->page[0].cursor = ndsh_word (2) + 1;

  g_assert_cmpuint (ndsh_slots_get_lag (&channel->slots, entry), <=, 2);
  g_assert_cmpint (ndsh_word_distance (entry->cursor, ndsh_word (2)), <=, 0);
}

/* I11: find and have_new come to an end, within the tables. */
static void
test_a_spoilt_control_page_does_no_harm (Channel *channel, gconstpointer data)
{
  (void) data;
  for (guint mode = LATEST; mode <= LOSSLESS; mode++) {
    join (channel, 0, mode, 4, 2);
    for (guint n = 0; n < 3000; n++) {
      NdshLease lease;

      spoil (&channel->control, offsetof (NdshControl, slot));
      channel->control.slot[g_test_rand_int_range (0, NDSH_N_SLOTS)].state_seq
        = channel->control.head;
      ndsh_leases_have_new (&channel->leases[0]);
      if (!ndsh_leases_find (&channel->leases[0], &lease))
        continue;
      g_assert_cmpuint (lease.slot, <, NDSH_N_SLOTS);
      g_assert_cmpuint (lease.hazard, <, 2);
      ndsh_leases_take (&channel->leases[0], &lease);
      ndsh_leases_release (&channel->leases[0], lease.hazard);
    }
  }
}

/* --- */

typedef void (*Test) (Channel *channel, gconstpointer data);

static void
close_channel (Channel *channel, gconstpointer data)
{
  (void) channel;
  (void) data;
}

static void
add (const char *path, Test test)
{
  g_test_add (path, Channel, NULL, open_channel, test, close_channel);
}

/* And once more where words and where numbers of 32 bits wrap (I16). */
static void
add_with_wraps (const char *path, Test test)
{
  static const guint64 words = 0x7ffffffe, numbers = 0xfffffffe, near = 0xfffffff0;
  g_autofree char *words_path = g_strconcat (path, "/where-words-wrap", NULL);
  g_autofree char *numbers_path = g_strconcat (path, "/where-numbers-wrap", NULL);
  g_autofree char *near_path = g_strconcat (path, "/from-0xfffffff0", NULL);
  g_autofree char *plain_path = g_strconcat (path, "/from-1", NULL);

  add (plain_path, test);
  g_test_add (words_path, Channel, &words, open_channel, test, close_channel);
  g_test_add (numbers_path, Channel, &numbers, open_channel, test, close_channel);
  g_test_add (near_path, Channel, &near, open_channel, test, close_channel);
}

static void
add_modes (void)
{
  add_with_wraps ("/slots/latest-gets-the-newest", test_latest_gets_the_newest);
  add_with_wraps ("/slots/a-queue-drops-the-oldest",
                  test_a_queue_drops_the_oldest);
  add_with_wraps ("/slots/a-queue-in-time-misses-nothing",
                  test_a_queue_in_time_misses_nothing);
  add_with_wraps ("/slots/lossless-gets-every-frame",
                  test_lossless_gets_every_frame);
  add ("/slots/lag-counts-frames-and-drafts", test_lag_counts_frames_and_drafts);
  add ("/slots/a-demoted-reader-goes-on-as-queue",
       test_a_demoted_reader_goes_on_as_queue);
  add ("/slots/a-reader-that-leaves-keeps-its-lease",
       test_a_reader_that_leaves_keeps_its_lease);
  add_with_wraps ("/slots/who-comes-late-starts-with-the-newest",
                  test_who_comes_late_starts_with_the_newest);
  add ("/slots/a-stall-ends-with-a-newer-frame",
       test_a_stall_ends_with_a_newer_frame);
  add ("/slots/a-stall-ends-with-a-segment", test_a_stall_ends_with_a_segment);
  add ("/slots/a-skipped-frame-counts-as-missed",
       test_a_skipped_frame_counts_as_missed);
  add ("/slots/the-writer-may-be-ahead-of-a-lossless-reader",
       test_the_writer_may_be_ahead_of_a_lossless_reader);
  add ("/slots/more-than-half-a-queue-is-a-backlog",
       test_more_than_half_a_queue_is_a_backlog);
  add ("/slots/who-need-not-take-every-frame-has-no-backlog",
       test_who_need_not_take_every_frame_has_no_backlog);
  add ("/slots/who-left-has-no-backlog", test_who_left_has_no_backlog);
  add ("/slots/after-a-copy-that-came-too-late-comes-a-lease",
       test_after_a_copy_that_came_too_late_comes_a_lease);
  add ("/slots/after-a-copy-that-came-too-late-comes-the-newest",
       test_after_a_copy_that_came_too_late_comes_the_newest);
  add ("/slots/ends-are-counted-once-for-each-part",
       test_ends_are_counted_once_for_each_part);
  add ("/slots/who-joins-knows-the-ends-before-the-newest-frame",
       test_who_joins_knows_the_ends_before_the_newest_frame);
  add ("/slots/the-count-of-ends-wraps", test_the_count_of_ends_wraps);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  add_with_wraps ("/slots/frames-are-numbered-from-the-first",
                  test_frames_are_numbered_from_the_first);
  add ("/slots/the-newest-frame-stays", test_the_newest_frame_stays);
  add ("/slots/history-is-kept", test_history_is_kept);
  add ("/slots/a-draft-is-not-given-twice", test_a_draft_is_not_given_twice);
  add ("/slots/a-forgotten-draft-is-taken-first",
       test_a_forgotten_draft_is_taken_first);
  add ("/slots/a-frame-that-the-writer-holds-stays",
       test_a_frame_the_writer_holds_stays);
  add ("/slots/a-small-slot-is-passed-over", test_a_small_slot_is_passed_over);
  add_with_wraps ("/slots/a-leased-slot-is-never-reused",
                  test_a_leased_slot_is_never_reused);
  add ("/slots/there-are-enough-slots-for-every-lease",
       test_enough_slots_for_every_lease);
  add ("/slots/a-released-slot-comes-back", test_a_released_slot_comes_back);
  add ("/slots/the-slots-of-a-reader-that-is-gone-come-back",
       test_a_gone_readers_slots_come_back);
  add ("/slots/there-are-no-more-leases-than-granted",
       test_no_more_leases_than_granted);
  add ("/slots/all-64-leases-work", test_all_64_leases_work);
  add_modes ();
  add ("/slots/a-spoilt-page-blocks-no-more-than-its-leases",
       test_a_spoilt_page_blocks_no_more_than_its_leases);
  add ("/slots/a-lying-cursor-stays-within-what-there-is",
       test_a_lying_cursor_stays_within_what_there_is);
  add ("/slots/an-even-cursor-is-not-past-the-newest-frame",
       test_an_even_cursor_is_not_past_the_newest_frame);
  add ("/slots/a-spoilt-control-page-does-no-harm",
       test_a_spoilt_control_page_does_no_harm);

  return g_test_run ();
}
