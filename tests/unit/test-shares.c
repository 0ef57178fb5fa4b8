/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What readers may keep from the writer and from each other: the frames that they
 * hold are theirs, and whoever is awake gets the next one. */
#include "ndsh-test.h"

#define SIZE (64 << 10)
#define COST (SIZE + 4096)      /* with the tail */
#define MAX_HOLDERS 15          /* and one that is awake */

/* Takes as much as it gets, and gives nothing back. */
typedef struct {
  NdshReader *reader;
  NdshFrame *held[NDSH_MAX_LEASES];
  guint n_held;
} Holder;

typedef struct {
  const char *name;
  guint n_fit;                  /* frames that max_bytes holds */
  guint n_holders;
  guint n_leases;               /* that each has */
  NdshReadMode mode;
  guint growth;                 /* frames become so much larger in the end */
} Case;

/* Those with sizes have as many frames as 256 MiB hold of that size. */
static const Case cases[] = {
  { "a-queue-of-4k-rgba", 8, 1, 8, NDSH_READ_QUEUE, 1 },
  { "a-list-of-eight-4k-rgba", 8, 1, 8, NDSH_READ_LATEST, 1 },
  { "sixty-four-leases-of-1080p-bgr", 43, 1, 64, NDSH_READ_LATEST, 1 },
  { "three-holders-of-4k-nv12", 21, 3, 8, NDSH_READ_LATEST, 1 },
  { "five-holders-of-1080p-bgrx", 32, 5, 8, NDSH_READ_LATEST, 1 },
  { "one-stopped-at-8k-rgba", 2, 1, 2, NDSH_READ_LATEST, 1 },
  { "all-hold-480p", 256, MAX_HOLDERS, 64, NDSH_READ_LATEST, 1 },
  { "all-hold-1080p", 43, MAX_HOLDERS, 64, NDSH_READ_LATEST, 1 },
  { "all-hold-4k", 10, MAX_HOLDERS, 64, NDSH_READ_LATEST, 1 },
  { "all-hold-8k", 2, MAX_HOLDERS, 64, NDSH_READ_LATEST, 1 },
  { "all-hold-480p-then-720p", 256, MAX_HOLDERS, 64, NDSH_READ_QUEUE, 3 },
  { "all-hold-480p-then-4k", 256, MAX_HOLDERS, 64, NDSH_READ_LATEST, 27 },
  { "all-hold-1080p-then-4k", 43, MAX_HOLDERS, 64, NDSH_READ_LATEST, 4 },
};

static void
hold_what_there_is (Holder *holder)
{
  while (ndsh_reader_wait (holder->reader, 0, NULL)) {
    NdshFrame *frame = ndsh_reader_acquire (holder->reader);

    if (frame == NULL)
      return;
    holder->held[holder->n_held++] = frame;
  }
}

/* Returns once @writer knows that it is gone. */
static void
check_and_free (NdshWriter *writer, Holder *holder)
{
  guint n_readers = ndsh_writer_get_readers (writer, NULL, 0);

  for (guint i = 0; i < holder->n_held; i++) {
    ndsh_test_check_bytes (holder->held[i]);
    ndsh_frame_release (holder->held[i]);
  }
  ndsh_reader_free (holder->reader);
  while (ndsh_writer_get_readers (writer, NULL, 0) == n_readers)
    g_thread_yield ();
  /* It counts no more, and its leases until the service has heard the hang-up: before it
   * answers the second of these at the latest. */
  for (guint i = 0; i < 2; i++)
    ndsh_channel_info_free (ndsh_channel_info_new ("test", NULL));
}

/* One frame a time, which the one that is awake gets before the next. */
static void
write_and_read (NdshWriter *writer, NdshReader *awake, Holder *holders,
                guint n_holders, gsize size, guint n)
{
  while (n-- > 0) {
    g_autoptr (NdshFrame) frame = NULL;
    NdshWriterInfo info;

    ndsh_test_publish (writer, size, 1);
    ndsh_writer_get_info (writer, &info);
    g_assert_cmpuint (info.bytes, <=, info.max_bytes);
    frame = ndsh_test_next (awake);
    g_assert_cmpuint (ndsh_frame_get_sequence (frame), ==, info.published);
    g_assert_cmpuint (ndsh_frame_get_size (frame), ==, size);
    for (guint i = 0; i < n_holders; i++)
      hold_what_there_is (&holders[i]);
  }
}

static void
test_who_is_awake_gets_every_frame (gconstpointer data)
{
  const Case *c = data;
  NdshWriterOptions options = { .max_bytes = (guint64) c->n_fit * COST };
  g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
  g_autoptr (NdshReader) awake = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 1);
  Holder holders[MAX_HOLDERS] = { 0 };
  guint n = c->n_leases + 20;

  for (guint i = 0; i < c->n_holders; i++)
    holders[i].reader
      = ndsh_test_joined_reader (c->mode, NDSH_MAX_QUEUE, c->n_leases);
  write_and_read (writer, awake, holders, c->n_holders, SIZE, n);
  /* They had all that they may hold. */
  for (guint i = 0; i < c->n_holders; i++)
    g_assert_cmpuint (holders[i].n_held, ==, c->n_leases);
  if (c->growth > 1)
    write_and_read (writer, awake, holders, c->n_holders, c->growth * SIZE, 20);
  for (guint i = 0; i < c->n_holders; i++)
    check_and_free (writer, &holders[i]);
}

/* A frame that is kept may lie in a slot of a larger one that came before. */
static void
test_smaller_frames_have_room_beside_larger_slots (void)
{
  static const guint sizes[][4] = { { 49, 49, 1, 1 }, { 22, 22, 1, 23 } };

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    NdshWriterOptions options = { .max_bytes = 100 * 4096 };
    g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
    Holder holder = { ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 8), { 0 }, 0 };

    for (guint n = 0; n < 4; n++) {
      ndsh_test_publish (writer, sizes[i][n] * 4096, 1);
      hold_what_there_is (&holder);
    }
    ndsh_test_publish (writer, sizes[i][3] * 4096, 10);
    check_and_free (writer, &holder);
  }
}

/* Memory that is taken from slots which are too small comes back, for readers are told
 * that it is of no use to them any more. */
static void
test_sizes_may_creep_up_to_the_bound (void)
{
  for (guint queue = 1; queue <= NDSH_MAX_QUEUE; queue *= 2) {
    NdshWriterOptions options = { .max_bytes = 100 * 4096 };
    g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
    Holder none = { ndsh_test_joined_reader (NDSH_READ_QUEUE, queue, 8), { 0 }, 0 };

    for (guint pages = 1; pages < 50; pages++)
      write_and_read (writer, none.reader, NULL, 0, pages * 4096, 3);
    check_and_free (writer, &none);
  }
}

/* It holds all that it may, and hears even so that memory was replaced. */
static void
test_who_holds_all_it_may_still_lets_memory_go (void)
{
  NdshWriterOptions options = { .max_bytes = 1000 * 4096 };
  g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
  Holder holder = { ndsh_test_joined_reader (NDSH_READ_QUEUE, 8, 16), { 0 }, 0 };

  while (holder.n_held < 16) {
    ndsh_test_publish (writer, 70 * 4096, 1);
    hold_what_there_is (&holder);
  }
  for (guint pages = 71; pages < 200; pages++) {
    ndsh_test_publish (writer, pages * 4096, 3);
    ndsh_test_wait_fails (holder.reader, 0, NDSH_ERROR_FULL);
  }
  check_and_free (writer, &holder);
}

/* What one frame carried, or could not, is nothing that others must find room for. */
static void
test_a_long_tail_is_not_for_all (void)
{
  for (guint pages = 4; pages < 40; pages++) {
    NdshWriterOptions options = { .max_bytes = pages * 4096 };
    g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
    g_autofree char *text = g_strnfill (NDSH_MAX_METADATA, 'd');
    NdshArrayInfo info = ndsh_test_bytes (4096);
    NdshDraft *draft = ndsh_writer_begin (writer, &info, 1, NULL);

    if (ndsh_draft_describe (draft, &info, 1, 0, text, NDSH_MAX_METADATA, NULL))
      ndsh_draft_publish (draft, NULL);
    ndsh_draft_release (draft);
    ndsh_test_publish (writer, 4096, 10);

    g_assert_true (ndsh_writer_set_description (writer, text, NULL));
    draft = ndsh_writer_begin_bytes (writer, 4096, FALSE, NULL);
    g_assert_nonnull (draft);
    ndsh_draft_describe (draft, &info, 1, 0, NULL, 0, NULL);
    ndsh_draft_release (draft);
    g_assert_true (ndsh_writer_set_description (writer, NULL, NULL));
    ndsh_test_publish (writer, 4096, 10);
  }
}

static void
publish_described (NdshWriter *writer, gsize n_metadata, gsize n_description)
{
  NdshArrayInfo info = ndsh_test_bytes (SIZE);
  g_autofree char *text = g_strnfill (MAX (n_metadata, n_description), 'd');
  g_autoptr (NdshDraft) draft = NULL;
  g_autoptr (GError) error = NULL;
  NdshWriterInfo after;

  text[n_description] = '\0';
  g_assert_true (ndsh_writer_set_description (writer, text, &error));
  draft = ndsh_writer_begin (writer, &info, 1, &error);
  g_assert_no_error (error);
  g_assert_true (ndsh_draft_describe (draft, &info, 1, 0, text, n_metadata, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (ndsh_draft_publish (draft, NULL), !=, 0);
  ndsh_writer_get_info (writer, &after);
  g_assert_cmpuint (after.bytes, <=, after.max_bytes);
}

/* What is said of frames may grow when all memory is used. */
static void
test_tails_grow_at_the_bound (void)
{
  NdshWriterOptions options = { .max_bytes = 8 * COST };
  g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
  g_autoptr (NdshReader) reader = ndsh_test_joined_reader (NDSH_READ_QUEUE, 32, 8);

  ndsh_test_publish (writer, SIZE, 20);
  for (gsize size = 1000; size < 60000; size += 1000) {
    publish_described (writer, size, 0);
    publish_described (writer, 0, size);
  }
  g_assert_true (ndsh_reader_is_connected (reader));
}

/* --- Shares --------------------------------------------------------------- */

static guint
count_copied (NdshReader *reader)
{
  NdshReaderInfo info;

  ndsh_reader_get_info (reader, &info);
  return (guint) info.copied;
}

static void
test_who_holds_much_copies_and_others_do_not (void)
{
  NdshWriterOptions options = { .max_bytes = 12 * COST };
  g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
  g_autoptr (NdshReader) modest = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 2);
  Holder holder = { ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 20), { 0 }, 0 };

  write_and_read (writer, modest, &holder, 1, SIZE, 40);

  g_assert_cmpuint (holder.n_held, ==, 20);
  /* Six of twelve can be leased, and two are for the other. */
  g_assert_cmpuint (count_copied (holder.reader), ==, 16);
  g_assert_cmpuint (count_copied (modest), ==, 0);
  check_and_free (writer, &holder);
}

static void
test_where_there_is_room_nothing_is_copied (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshReader) awake = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 1);
  Holder holders[2] = { 0 };

  for (guint i = 0; i < G_N_ELEMENTS (holders); i++)
    holders[i].reader
      = ndsh_test_joined_reader (NDSH_READ_QUEUE, 8, NDSH_MAX_LEASES);
  write_and_read (writer, awake, holders, G_N_ELEMENTS (holders), SIZE, 100);

  for (guint i = 0; i < G_N_ELEMENTS (holders); i++) {
    g_assert_cmpuint (holders[i].n_held, ==, NDSH_MAX_LEASES);
    /* The first reader's place counts as well. */
    g_assert_cmpuint (count_copied (holders[i].reader), <=, 1);
    check_and_free (writer, &holders[i]);
  }
}

static void
test_shares_follow_readers_and_sizes (void)
{
  NdshWriterOptions options = { .max_bytes = 16 * COST };
  g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
  g_autoptr (NdshReader) awake = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 1);
  Holder first = { ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 20), { 0 }, 0 };
  Holder second = { ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 20), { 0 }, 0 };

  /* Eight: one for who is awake, three each, and one that is not divided. */
  write_and_read (writer, awake, &first, 1, SIZE, 5);
  g_assert_cmpuint (count_copied (first.reader), ==, 2);
  check_and_free (writer, &second);
  write_and_read (writer, awake, &first, 1, SIZE, 6);
  g_assert_cmpuint (count_copied (first.reader), ==, 4);
  g_assert_cmpuint (count_copied (awake), ==, 0);
  /* Half the memory holds two of these, but it is full of what was leased before. */
  write_and_read (writer, awake, &first, 1, 3 * SIZE, 2);
  g_assert_cmpuint (count_copied (first.reader), ==, 6);
  g_assert_cmpuint (count_copied (awake), ==, 2);
  check_and_free (writer, &first);
  write_and_read (writer, awake, NULL, 0, 3 * SIZE, 2);
  g_assert_cmpuint (count_copied (awake), ==, 2);
}

static void
test_a_copy_outlives_its_writer (void)
{
  NdshWriterOptions options = { .max_bytes = 2 * COST };
  g_autoptr (NdshWriter) writer = ndsh_test_writer (&options);
  g_autoptr (NdshReader) reader = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 1);
  g_autoptr (NdshFrame) frame = NULL;

  ndsh_test_publish (writer, SIZE, 1);
  frame = ndsh_test_next (reader);
  ndsh_test_wait_fails (reader, 0, NDSH_ERROR_FULL);
  ndsh_test_publish (writer, SIZE, 10);
  ndsh_writer_free (g_steal_pointer (&writer));
  ndsh_reader_free (g_steal_pointer (&reader));

  g_assert_cmpuint (GPOINTER_TO_SIZE (ndsh_frame_get_data (frame)) % 4096, ==, 0);
  ndsh_test_check_bytes (frame);
}

int
main (int argc, char **argv)
{
  int result;

  g_test_init (&argc, &argv, NULL);
  ndsh_test_dir_setup ();

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *path
      = g_strdup_printf ("/shares/who-is-awake-gets-every-frame/%s", cases[i].name);

    g_test_add_data_func (path, &cases[i], test_who_is_awake_gets_every_frame);
  }
  g_test_add_func ("/shares/smaller-frames-have-room-beside-larger-slots",
                   test_smaller_frames_have_room_beside_larger_slots);
  g_test_add_func ("/shares/sizes-may-creep-up-to-the-bound",
                   test_sizes_may_creep_up_to_the_bound);
  g_test_add_func ("/shares/who-holds-all-it-may-still-lets-memory-go",
                   test_who_holds_all_it_may_still_lets_memory_go);
  g_test_add_func ("/shares/a-long-tail-is-not-for-all", test_a_long_tail_is_not_for_all);
  g_test_add_func ("/shares/tails-grow-at-the-bound", test_tails_grow_at_the_bound);
  g_test_add_func ("/shares/who-holds-much-copies-and-others-do-not",
                   test_who_holds_much_copies_and_others_do_not);
  g_test_add_func ("/shares/where-there-is-room-nothing-is-copied",
                   test_where_there_is_room_nothing_is_copied);
  g_test_add_func ("/shares/shares-follow-readers-and-sizes",
                   test_shares_follow_readers_and_sizes);
  g_test_add_func ("/shares/a-copy-outlives-its-writer",
                   test_a_copy_outlives_its_writer);
  result = g_test_run ();
  ndsh_test_dir_teardown ();
  return result;
}
