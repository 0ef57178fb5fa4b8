/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Listing channels and asking a writer, first a true one, then a socket in this
 * test's hand that answers as it likes. */
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "array.h"
#include "lifeline.h"
#include "message.h"
#include "ndsh-test.h"
#include "rendezvous.h"

static void
assert_fails (const char *name, NdshError code)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (ndsh_channel_info_new (name, &error));
  g_assert_error (error, NDSH_ERROR, (int) code);
}

/* --- Writers -------------------------------------------------------------- */

static void
test_channels_are_listed_and_asked (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autoptr (NdshReader) reader G_GNUC_UNUSED
    = ndsh_test_joined_reader (NDSH_READ_LATEST, 0, 0);
  g_auto (GStrv) names = ndsh_list_channels ();
  g_autoptr (NdshChannelInfo) before = ndsh_channel_info_new ("test", NULL);
  g_autoptr (NdshChannelInfo) info = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_cmpuint (g_strv_length (names), ==, 1);
  g_assert_cmpstr (names[0], ==, "test");
  g_assert_cmpuint (before->published, ==, 0);
  g_assert_cmpuint (before->n_arrays, ==, 0);

  ndsh_writer_set_description (writer, "some caps", NULL);
  ndsh_test_publish (writer, 77, 3);
  info = ndsh_channel_info_new ("test", &error);
  g_assert_no_error (error);
  g_assert_cmpint (info->pid, ==, getpid ());
  g_assert_cmpstr (info->stream_id, ==, ndsh_writer_get_stream_id (writer));
  g_assert_cmpuint (info->published, ==, 3);
  g_assert_cmpuint (info->n_readers, ==, 1);
  g_assert_cmpstr (info->description, ==, "some caps");
  g_assert_cmpuint (info->n_arrays, ==, 1);
  g_assert_cmpuint (info->arrays[0].shape[0], ==, 77);
  g_assert_null (ndsh_channel_info_new ("nobody", &error));
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_NOT_FOUND);
}

static void
test_what_is_no_live_writer_is_not_listed (void)
{
  g_autofree char *file = ndsh_test_path ("a-file");
  g_autoptr (NdshWriter) z = ndsh_writer_new ("z", NULL, NULL);
  g_autoptr (NdshWriter) b = ndsh_writer_new ("b.b", NULL, NULL);
  g_autoptr (NdshWriter) a = ndsh_writer_new ("A", NULL, NULL);
  g_auto (GStrv) names = NULL;
  g_auto (GStrv) none = NULL;
  NdshName *dead;
  int fd;

  g_assert_true (g_file_set_contents (file, "x", 1, NULL));
  dead = ndsh_name_take ("dead", 0600, &fd, NULL);
  ndsh_lifeline_close (fd);
  names = ndsh_list_channels ();
  g_assert_cmpuint (g_strv_length (names), ==, 3);
  g_assert_cmpstr (names[0], ==, "A");
  g_assert_cmpstr (names[1], ==, "b.b");
  g_assert_cmpstr (names[2], ==, "z");

  ndsh_name_give_back (dead);
  unlink (file);
  ndsh_writer_free (g_steal_pointer (&a));
  ndsh_writer_free (g_steal_pointer (&b));
  ndsh_writer_free (g_steal_pointer (&z));
  none = ndsh_list_channels ();
  g_assert_cmpuint (g_strv_length (none), ==, 0);
}

static void
test_a_name_that_cannot_be_is_invalid (void)
{
  assert_fails ("", NDSH_ERROR_INVALID);
  assert_fails ("a b", NDSH_ERROR_INVALID);
  assert_fails ("nobody", NDSH_ERROR_NOT_FOUND);
  ndsh_channel_info_free (NULL);
}

static void
test_the_largest_answer_arrives (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  g_autofree char *text = g_strnfill (NDSH_MAX_DESCRIPTION, 'd');
  g_autoptr (NdshChannelInfo) info = NULL;
  g_autoptr (NdshDraft) draft = NULL;
  g_autoptr (GError) error = NULL;
  NdshArrayInfo arrays[NDSH_MAX_ARRAYS];
  gsize shape[NDSH_MAX_DIMS];

  for (guint d = 0; d < NDSH_MAX_DIMS; d++)
    shape[d] = 1;
  for (guint i = 0; i < NDSH_MAX_ARRAYS; i++)
    ndsh_array_info_init (&arrays[i], NDSH_DTYPE_UINT8, NDSH_MAX_DIMS, shape);
  g_assert_true (ndsh_writer_set_description (writer, text, NULL));
  g_assert_true (ndsh_writer_set_metadata (writer, text, NDSH_MAX_METADATA, NULL));
  draft = ndsh_writer_begin (writer, arrays, NDSH_MAX_ARRAYS, NULL);
  g_assert_cmpuint (ndsh_draft_publish (draft, NULL), ==, 1);
  info = ndsh_channel_info_new ("test", &error);

  g_assert_no_error (error);
  g_assert_cmpuint (info->n_arrays, ==, NDSH_MAX_ARRAYS);
  g_assert_cmpstr (info->description, ==, text);
  g_assert_cmpmem (info->metadata, info->metadata_size, text, NDSH_MAX_METADATA);
}

static void
test_asking_leaks_nothing_and_is_no_reader (void)
{
  g_autoptr (NdshWriter) writer = ndsh_test_writer (NULL);
  guint fds = ndsh_test_count_fds ();

  for (guint i = 0; i < 200; i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (NdshChannelInfo) info = ndsh_channel_info_new ("test", &error);

    g_assert_no_error (error);
    g_assert_cmpuint (info->n_readers, ==, 0);
  }
  ndsh_writer_free (g_steal_pointer (&writer));

  g_assert_cmpuint (ndsh_test_count_fds (), <, fds);
}

/* --- Whoever answers ------------------------------------------------------ */

typedef struct {
  NdshName *name;
  int listen_fd;
  pthread_t thread;
  guint n_going;                /* that close without an answer, before that one */
  GByteArray *answer;           /* NULL: there is none */
} Oracle;

static void
answer_one (Oracle *oracle, gboolean goes)
{
  NdshHeader question;
  int fd;

  ndsh_test_wait_readable (oracle->listen_fd);
  fd = accept4 (oracle->listen_fd, NULL, NULL, SOCK_CLOEXEC);
  g_assert_cmpint (recv (fd, &question, sizeof question, 0), ==,
                   sizeof question);
  g_assert_cmpuint (question.type, ==, NDSH_MESSAGE_STATUS);
  if (!goes)
    g_assert_cmpint (send (fd, oracle->answer->data, oracle->answer->len, 0),
                     ==, (int) oracle->answer->len);
  close (fd);
}

static gpointer
answer_all (gpointer data)
{
  Oracle *oracle = data;

  for (guint i = 0; i < oracle->n_going; i++)
    answer_one (oracle, TRUE);
  if (oracle->answer != NULL)
    answer_one (oracle, FALSE);
  return NULL;
}

static void
oracle_init (Oracle *oracle)
{
  g_autoptr (GError) error = NULL;

  oracle->n_going = 0;
  oracle->name = ndsh_name_take ("test", 0600, &oracle->listen_fd, &error);
  g_assert_no_error (error);
}

static void
oracle_clear (Oracle *oracle)
{
  ndsh_lifeline_close (oracle->listen_fd);
  ndsh_name_give_back (oracle->name);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Oracle, oracle_clear)

static NdshChannelInfo *
ask (Oracle *oracle, GByteArray *answer, GError **error)
{
  NdshChannelInfo *info;

  oracle->answer = answer;
  g_assert_cmpint (pthread_create (&oracle->thread, NULL, answer_all, oracle),
                   ==, 0);
  info = ndsh_channel_info_new ("test", error);
  pthread_join (oracle->thread, NULL);
  return info;
}

/* Of one frame of uint8[2][3], described as "text". */
static GByteArray *
make_answer (void)
{
  GByteArray *answer = g_byte_array_new ();
  NdshArrayInfo array;
  NdshStatus status = { .published = 5,
                        .publish_ns = 6,
                        .bytes = 7,
                        .n_readers = 8,
                        .n_arrays = 1,
                        .description_size = 4,
                        .stream_metadata_size = 3,
                        .duration_ns = 9,
                        .origin_ns = 10,
                        .latency_ns = 11,
                        .clock = NDSH_CLOCK_NONE };
  guint8 packed[1024];

  ndsh_array_info_init (&array, NDSH_DTYPE_UINT8, 2, (gsize[]){ 2, 3 });
  status.arrays_size = (guint32) ndsh_arrays_packed_size (&array, 1);
  ndsh_arrays_pack (&array, 1, packed);
  memset (status.stream_id, 'b', sizeof status.stream_id);
  ndsh_header_init (&status, NDSH_MESSAGE_STATUS,
                    sizeof status + status.arrays_size + 7);
  g_byte_array_append (answer, (const guint8 *) &status, sizeof status);
  g_byte_array_append (answer, packed, status.arrays_size);
  g_byte_array_append (answer, (const guint8 *) "textall", 7);
  return answer;
}

static void
test_an_answer_made_by_hand_is_understood (void)
{
  g_auto (Oracle) oracle;
  g_autoptr (GByteArray) answer = make_answer ();
  g_autoptr (NdshChannelInfo) info = NULL;
  g_autoptr (GError) error = NULL;

  oracle_init (&oracle);
  info = ask (&oracle, answer, &error);

  g_assert_no_error (error);
  g_assert_cmpuint (info->published, ==, 5);
  g_assert_cmpint (info->publish_ns, ==, 6);
  g_assert_cmpuint (info->bytes, ==, 7);
  g_assert_cmpuint (info->n_readers, ==, 8);
  g_assert_cmpuint (info->n_arrays, ==, 1);
  g_assert_cmpuint (info->arrays[0].shape[1], ==, 3);
  g_assert_cmpstr (info->description, ==, "text");
  g_assert_cmpint (info->duration_ns, ==, 9);
  g_assert_cmpint (info->timing.origin_ns, ==, 10);
  g_assert_cmpint (info->timing.latency_ns, ==, 11);
  g_assert_cmpint (info->timing.clock, ==, NDSH_CLOCK_NONE);
  g_assert_cmpstr (info->stream_id, ==, "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
  g_assert_cmpint (info->pid, ==, getpid ());
  g_assert_cmpint (info->uid, ==, getuid ());
}

static void
test_an_answer_cut_short_is_incompatible (void)
{
  g_auto (Oracle) oracle;
  g_autoptr (GByteArray) answer = make_answer ();

  oracle_init (&oracle);
  while (answer->len > 1) {
    g_autoptr (GError) error = NULL;

    g_byte_array_set_size (answer, answer->len - 1);
    g_assert_null (ask (&oracle, answer, &error));
    g_assert_error (error, NDSH_ERROR, NDSH_ERROR_INCOMPATIBLE);
  }
}

static void
test_a_clock_that_is_not_known_is_incompatible (void)
{
  g_auto (Oracle) oracle;
  g_autoptr (GByteArray) answer = make_answer ();
  g_autoptr (GError) error = NULL;

  oracle_init (&oracle);
  ((NdshStatus *) (gpointer) answer->data)->clock = NDSH_CLOCK_NONE + 1;

  g_assert_null (ask (&oracle, answer, &error));
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_INCOMPATIBLE);
}

static void
test_lengths_that_lie_are_incompatible (void)
{
  g_auto (Oracle) oracle;
  struct {
    guint32 n_arrays, arrays_size, description_size, stream_metadata_size;
  } lies[] = {
    { 0, 56, 0, 0 },  { 0, 52, 1, 3 },  { 0, 0, 53, 3 },           { 0, G_MAXUINT32, 52, 3 },
    { 1, 48, 5, 3 },  { 1, 49, 3, 3 },  { 1, 48, G_MAXUINT32, 3 }, { 1, 100, 52, 3 },
    { 17, 48, 4, 3 }, { 2, 48, 4, 3 },  { G_MAXUINT32, 48, 4, 3 }, { 1, 47, 4, 3 },
    { 1, 48, 4, 4 },  { 1, 48, 0, 8 },  { 1, 48, 4, G_MAXUINT32 },
    { 1, 48, G_MAXUINT32 - 47, G_MAXUINT32 },
  };

  oracle_init (&oracle);
  for (guint i = 0; i < G_N_ELEMENTS (lies); i++) {
    g_autoptr (GByteArray) answer = make_answer ();
    NdshStatus *status = (NdshStatus *) (gpointer) answer->data;
    g_autoptr (GError) error = NULL;

    g_assert_cmpuint (answer->len, ==, sizeof *status + 55);
    status->n_arrays = lies[i].n_arrays;
    status->arrays_size = lies[i].arrays_size;
    status->description_size = lies[i].description_size;
    status->stream_metadata_size = lies[i].stream_metadata_size;
    g_assert_null (ask (&oracle, answer, &error));
    g_assert_error (error, NDSH_ERROR, NDSH_ERROR_INCOMPATIBLE);
  }
}

static void
test_mutated_answers_are_usable_or_refused (void)
{
  g_auto (Oracle) oracle;
  guint n_good = 0, n = g_test_slow () ? 20000 : 1000;

  oracle_init (&oracle);
  for (guint i = 0; i < n; i++) {
    g_autoptr (GByteArray) answer = make_answer ();
    g_autoptr (NdshChannelInfo) info = NULL;
    g_autoptr (GError) error = NULL;

    for (int k = g_test_rand_int_range (1, 4); k > 0; k--)
      answer->data[g_test_rand_int_range (0, (gint32) answer->len)]
        = (guint8) g_test_rand_int ();
    info = ask (&oracle, answer, &error);
    if (info == NULL) {
      g_assert_error (error, NDSH_ERROR, NDSH_ERROR_INCOMPATIBLE);
      continue;
    }
    n_good++;
    g_assert_cmpuint (info->n_arrays, <=, NDSH_MAX_ARRAYS);
    g_assert_cmpuint (strlen (info->stream_id), <=, 32);
    g_assert_cmpuint (strlen (info->description), <=, NDSH_MAX_DESCRIPTION);
    for (guint a = 0; a < info->n_arrays; a++)
      g_assert_cmpuint (ndsh_array_info_get_size (&info->arrays[a]), <,
                        G_MAXSIZE);
  }

  g_assert_cmpuint (n_good, >, 0);
  g_assert_cmpuint (n_good, <, n);
}

static void
test_a_writer_that_goes_is_not_found (void)
{
  g_auto (Oracle) oracle;
  g_autoptr (GError) error = NULL;

  oracle_init (&oracle);
  oracle.n_going = 2;

  g_assert_null (ask (&oracle, NULL, &error));
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_NOT_FOUND);
}

static void
test_a_writer_that_goes_may_have_a_successor (void)
{
  g_auto (Oracle) oracle;
  g_autoptr (GByteArray) answer = make_answer ();
  g_autoptr (NdshChannelInfo) info = NULL;
  g_autoptr (GError) error = NULL;

  oracle_init (&oracle);
  oracle.n_going = 1;

  info = ask (&oracle, answer, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (info->published, ==, 5);
}

static void
test_a_writer_that_has_stopped_costs_two_seconds (void)
{
  g_auto (Oracle) oracle;
  gint64 since_us = g_get_monotonic_time ();

  oracle_init (&oracle);

  assert_fails ("test", NDSH_ERROR_TIMEOUT);
  g_assert_cmpint (g_get_monotonic_time () - since_us, >=, 1900000);
}

#define ADD(path, function) g_test_add_func ("/channel/" path, function)

int
main (int argc, char **argv)
{
  int result;

  g_test_init (&argc, &argv, NULL);
  ndsh_test_dir_setup ();

  ADD ("channels-are-listed-and-asked", test_channels_are_listed_and_asked);
  ADD ("what-is-no-live-writer-is-not-listed",
       test_what_is_no_live_writer_is_not_listed);
  ADD ("a-name-that-cannot-be-is-invalid",
       test_a_name_that_cannot_be_is_invalid);
  ADD ("the-largest-answer-arrives", test_the_largest_answer_arrives);
  ADD ("asking-leaks-nothing-and-is-no-reader",
       test_asking_leaks_nothing_and_is_no_reader);
  ADD ("an-answer-made-by-hand-is-understood",
       test_an_answer_made_by_hand_is_understood);
  ADD ("an-answer-cut-short-is-incompatible",
       test_an_answer_cut_short_is_incompatible);
  ADD ("a-clock-that-is-not-known-is-incompatible",
       test_a_clock_that_is_not_known_is_incompatible);
  ADD ("lengths-that-lie-are-incompatible",
       test_lengths_that_lie_are_incompatible);
  ADD ("mutated-answers-are-usable-or-refused",
       test_mutated_answers_are_usable_or_refused);
  ADD ("a-writer-that-goes-is-not-found", test_a_writer_that_goes_is_not_found);
  ADD ("a-writer-that-goes-may-have-a-successor",
       test_a_writer_that_goes_may_have_a_successor);
  ADD ("a-writer-that-has-stopped-costs-two-seconds",
       test_a_writer_that_has_stopped_costs_two_seconds);
  result = g_test_run ();
  ndsh_test_dir_teardown ();
  return result;
}
