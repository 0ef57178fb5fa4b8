/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The writer is this test: it makes good pages and messages, then lies in one
 * place. */
#include "link.h"
#include "wake.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ndsh-test.h"

typedef struct {
  int ends[2];                  /* the writer's is 0 */
  NdshBell bell;
  NdshSegment *control;
  NdshSegment *page;
  NdshSegment *slot;
  NdshWelcome welcome;
  guint fds;
} Fixture;

static NdshSegment *
make_segment (gsize size, NdshSegmentAccess access)
{
  g_autoptr (GError) error = NULL;
  NdshSegment *segment
    = ndsh_segment_new ("ndsh-test", size, size, access, &error);

  g_assert_no_error (error);
  return segment;
}

static int
duplicate (int fd)
{
  int copy = fcntl (fd, F_DUPFD_CLOEXEC, 0);

  g_assert_cmpint (copy, >=, 0);
  return copy;
}

static void
fill_control (NdshControl *control)
{
  memset (control, 0, sizeof *control);
  control->magic = NDSH_MAGIC;
  control->major = NDSH_MAJOR;
  control->size = sizeof *control;
  control->record_size = sizeof control->slot[0];
  control->n_slots = NDSH_N_SLOTS;
  control->ring_size = NDSH_RING;
  control->byte_order = 0x01020304;
  memset (control->stream_id, 'a', sizeof control->stream_id);
}

static NdshWelcome
good_welcome (const Fixture *f)
{
  NdshWelcome welcome = { .mode = NDSH_READ_QUEUE,
                          .queue_length = 3,
                          .max_leases = 5,
                          .cursor = 41,
                          .control_size = (guint32) f->control->size,
                          .page_size = (guint32) f->page->size };

  ndsh_header_init (&welcome, NDSH_MESSAGE_WELCOME, sizeof welcome);
  return welcome;
}

static void
setup (Fixture *f, gconstpointer data)
{
  (void) data;
  ndsh_test_socketpair (f->ends);
  f->control = make_segment (sizeof (NdshControl), NDSH_SEGMENT_READ);
  f->page = make_segment (sizeof (NdshLeasePage), NDSH_SEGMENT_SHARED);
  f->slot = make_segment (10000, NDSH_SEGMENT_READ);
  fill_control (f->control->data);
  g_assert_true (ndsh_bell_init (&f->bell));
  f->welcome = good_welcome (f);
  f->fds = ndsh_test_count_fds ();
}

/* Each test leaves as many fds open as it found. */
static void
teardown (Fixture *f, gconstpointer data)
{
  (void) data;
  g_assert_cmpuint (ndsh_test_count_fds (), ==, f->fds);
  close (f->ends[0]);
  close (f->ends[1]);
  ndsh_bell_clear (&f->bell);
  ndsh_segment_unref (f->control);
  ndsh_segment_unref (f->page);
  ndsh_segment_unref (f->slot);
}

static NdshLink *
join_with (Fixture *f, int control_fd, int page_fd, GError **error)
{
  NdshMessage message
    = { .type = NDSH_MESSAGE_WELCOME,
        .fds = { control_fd, page_fd, duplicate (f->bell.listen_fd) } };
  int fd = duplicate (f->ends[1]);
  NdshLink *link;

  message.body.welcome = f->welcome;
  fcntl (fd, F_SETFL, O_NONBLOCK);
  link = ndsh_link_new (fd, &message, error);
  ndsh_message_clear (&message);
  if (link == NULL)
    close (fd);
  return link;
}

static NdshLink *
join (Fixture *f)
{
  g_autoptr (GError) error = NULL;
  NdshLink *link = join_with (f, duplicate (f->control->fd),
                              duplicate (f->page->fd), &error);

  if (link == NULL)
    g_assert_error (error, NDSH_ERROR, NDSH_ERROR_INCOMPATIBLE);
  else
    g_assert_no_error (error);
  return link;
}

/* --- Joining -------------------------------------------------------------- */

static void
test_a_good_welcome_joins (Fixture *f, gconstpointer data)
{
  NdshLink *link = join (f);

  (void) data;
  g_assert_nonnull (link);
  g_assert_cmpstr (link->stream_id, ==, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
  g_assert_cmpint (link->pid, ==, getpid ());
  g_assert_cmpint (link->uid, ==, getuid ());
  g_assert_cmpuint (link->leases.mode, ==, NDSH_READ_QUEUE);
  g_assert_cmpuint (link->leases.queue_length, ==, 3);
  g_assert_cmpuint (link->leases.n_leases, ==, 5);
  g_assert_cmpuint (link->leases.had, ==, 41);
  g_assert_false (link->gone);
  g_assert_true (ndsh_link_ref (link) == link);
  ndsh_link_unref (link);
  ndsh_link_unref (link);
  ndsh_link_unref (NULL);
}

static void
test_a_grant_that_cannot_be_is_refused (Fixture *f, gconstpointer data)
{
#define LIE(field, value)                                                      \
  f->welcome = good_welcome (f);                                               \
  f->welcome.field = (value);                                                  \
  g_assert_null (join (f))

  (void) data;
  LIE (mode, 3);
  LIE (mode, G_MAXUINT32);
  LIE (queue_length, 0);
  LIE (queue_length, NDSH_MAX_QUEUE + 1);
  LIE (max_leases, 0);
  LIE (max_leases, NDSH_HAZARDS + 1);
  LIE (max_leases, G_MAXUINT32);
  LIE (cursor, 0);
  LIE (cursor, 42);
  LIE (control_size, 0);
  LIE (control_size, sizeof (NdshControl) - 1);
  LIE (control_size, f->welcome.control_size + 4096);
  LIE (control_size, G_MAXUINT32);
  LIE (page_size, 0);
  LIE (page_size, sizeof (NdshLeasePage) - 1);
  LIE (page_size, f->welcome.page_size + 1);
  LIE (page_size, G_MAXUINT32);
#undef LIE
}

static void
test_a_control_page_that_cannot_be_is_refused (Fixture *f, gconstpointer data)
{
  NdshControl *control = f->control->data;

#define LIE(field, value)                                                      \
  fill_control (control);                                                      \
  control->field = (value);                                                    \
  g_assert_null (join (f))

  (void) data;
  LIE (magic, 0);
  LIE (major, NDSH_MAJOR + 1);
  LIE (record_size, sizeof (NdshRecord) - 1);
  LIE (n_slots, 0);
  LIE (n_slots, NDSH_N_SLOTS + 1);
  LIE (ring_size, 2 * NDSH_RING);
  LIE (byte_order, 0x04030201);
#undef LIE
}

/* A page that could be cut under us, or that is no memory at all. */
static void
test_pages_must_be_sealed_memory (Fixture *f, gconstpointer data)
{
  gsize size = f->control->size;

  (void) data;
  for (guint i = 0; i < 2; i++) {
    g_autoptr (GError) error = NULL;
    int unsealed = memfd_create ("test", MFD_CLOEXEC);

    g_assert_cmpint (ftruncate (unsealed, (off_t) size), ==, 0);
    g_assert_null (
      join_with (f, i == 0 ? unsealed : duplicate (f->control->fd),
                 i == 1 ? unsealed : duplicate (f->page->fd), &error));
    g_assert_error (error, NDSH_ERROR, NDSH_ERROR_INCOMPATIBLE);
    g_clear_error (&error);
    g_assert_null (
      join_with (f, i == 0 ? duplicate (f->ends[0]) : duplicate (f->control->fd),
                 i == 1 ? duplicate (f->ends[0]) : duplicate (f->page->fd),
                 &error));
    g_assert_error (error, NDSH_ERROR, NDSH_ERROR_INCOMPATIBLE);
  }
}

static void
test_a_bell_must_be_one (Fixture *f, gconstpointer data)
{
  int listen_fd = f->bell.listen_fd;
  g_autoptr (GError) error = NULL;

  (void) data;
  f->bell.listen_fd = f->ends[0];
  g_assert_null (join_with (f, duplicate (f->control->fd), duplicate (f->page->fd),
                            &error));
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_INCOMPATIBLE);
  f->bell.listen_fd = listen_fd;
}

static void
test_a_lease_page_must_be_writable (Fixture *f, gconstpointer data)
{
  g_autoptr (NdshSegment) read_only
    = make_segment (sizeof (NdshLeasePage), NDSH_SEGMENT_READ);
  g_autoptr (GError) error = NULL;

  (void) data;
  g_assert_null (join_with (f, duplicate (f->control->fd),
                            duplicate (read_only->fd), &error));
  g_assert_nonnull (error);
  ndsh_segment_unref (g_steal_pointer (&read_only));
}

static void
test_mutated_welcomes_are_usable_or_refused (Fixture *f, gconstpointer data)
{
  guint n_good = 0, n = g_test_slow () ? 20000 : 1000;

  (void) data;
  for (guint i = 0; i < n; i++) {
    guint32 *word = &f->welcome.mode + g_test_rand_int_range (0, 6);
    guint8 *byte = (guint8 *) f->control->data + g_test_rand_int_range (0, 64);
    NdshLink *link;

    f->welcome = good_welcome (f);
    fill_control (f->control->data);
    if (i % 2 == 0)
      *word ^= 1u << g_test_rand_int_range (0, 32);
    else
      *byte ^= (guint8) (1u << g_test_rand_int_range (0, 8));
    link = join (f);
    if (link == NULL)
      continue;
    n_good++;
    g_assert_cmpuint (link->leases.mode, <=, NDSH_READ_LOSSLESS);
    g_assert_cmpuint (link->leases.queue_length, <=, NDSH_MAX_QUEUE);
    g_assert_cmpuint (link->leases.n_leases, <=, NDSH_HAZARDS);
    g_assert_cmpuint (link->control->size, >=, sizeof (NdshControl));
    g_assert_cmpuint (link->page->size, >=, sizeof (NdshLeasePage));
    g_assert_cmpuint (strlen (link->stream_id), <=, 32);
    ndsh_link_unref (link);
  }

  g_assert_cmpuint (n_good, >, 0);
  g_assert_cmpuint (n_good, <, n);
}

/* --- Hearing -------------------------------------------------------------- */

static void
announce (Fixture *f, guint32 slot, guint32 generation, guint64 size, int fd)
{
  NdshSegmentMessage message
    = { .slot = slot, .generation = generation, .size = size };

  ndsh_header_init (&message, NDSH_MESSAGE_SEGMENT, sizeof message);
  g_assert_cmpint (
    ndsh_message_send (f->ends[0], &message, sizeof message, &fd, fd >= 0), ==,
    NDSH_IO_DONE);
}

static NdshSegment *
find (NdshLink *link, guint32 slot, guint32 generation)
{
  NdshLease lease = { .slot = slot, .record = { .generation = generation } };

  return ndsh_link_find_segment (link, &lease);
}

static void
assert_drains (NdshLink *link)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (ndsh_link_drain (link, &error));
  g_assert_no_error (error);
}

/* Drops @link, too. */
static void
assert_leaves (NdshLink *link)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (ndsh_link_drain (link, &error));
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_INCOMPATIBLE);
  g_assert_true (link->gone);
  ndsh_link_unref (link);
}

static void
test_segments_are_found_by_slot_and_generation (Fixture *f, gconstpointer data)
{
  NdshLink *link = join (f);
  const NdshLeasePage *page = f->page->data;

  (void) data;
  g_assert_null (find (link, 255, 8));
  announce (f, 255, 8, f->slot->size, f->slot->fd);
  announce (f, 0, 8, f->slot->size, f->slot->fd);
  assert_drains (link);

  g_assert_cmpuint (find (link, 255, 8)->size, ==, f->slot->size);
  g_assert_nonnull (find (link, 0, 8));
  g_assert_null (find (link, 255, 7));
  g_assert_null (find (link, 255, 9));
  g_assert_null (find (link, 1, 8));
  g_assert_cmpuint (page->segments_handled, ==, 2);
  ndsh_link_unref (link);
}

static void
test_what_is_replaced_is_unmapped (Fixture *f, gconstpointer data)
{
  NdshLink *link = join (f);
  guint maps;

  (void) data;
  announce (f, 3, 0, f->slot->size, f->slot->fd);
  assert_drains (link);
  maps = ndsh_test_count_maps ();
  for (guint i = 1; i < 100; i++) {
    announce (f, 3, i, f->slot->size, f->slot->fd);
    assert_drains (link);
    g_assert_nonnull (find (link, 3, i));
  }

  g_assert_cmpuint (ndsh_test_count_maps (), ==, maps);
  ndsh_link_unref (link);
}

static void
test_what_is_taken_away_is_unmapped (Fixture *f, gconstpointer data)
{
  NdshLink *link = join (f);
  const NdshLeasePage *page = f->page->data;
  guint maps = ndsh_test_count_maps ();

  (void) data;
  announce (f, 3, 0, 0, -1);
  announce (f, 3, 0, f->slot->size, f->slot->fd);
  announce (f, 3, 0, 0, -1);
  assert_drains (link);

  g_assert_null (find (link, 3, 0));
  g_assert_cmpuint (ndsh_test_count_maps (), ==, maps);
  g_assert_cmpuint (page->segments_handled, ==, 3);
  ndsh_link_unref (link);
}

static void
test_a_stall_ends_with_an_announcement (Fixture *f, gconstpointer data)
{
  NdshLink *link = join (f);

  (void) data;
  link->leases.stalled = 99;
  g_assert_cmpint (ndsh_message_send (f->ends[0], "w", 1, NULL, 0), ==,
                   NDSH_IO_DONE);
  assert_drains (link);
  g_assert_cmpuint (link->leases.stalled, ==, 99);
  announce (f, 3, 0, f->slot->size, f->slot->fd);
  assert_drains (link);
  g_assert_cmpuint (link->leases.stalled, ==, 0);
  ndsh_link_unref (link);
}

static void
test_announcements_that_cannot_be_end_the_link (Fixture *f, gconstpointer data)
{
  int unsealed = memfd_create ("test", MFD_CLOEXEC);
  int hole = memfd_create ("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  gsize large = 16 * NDSH_MAX_TAIL;
  guint64 size = f->slot->size;
  const struct {
    guint32 slot;
    guint64 size;
    int fd;
  } lies[] = {
    { NDSH_N_SLOTS, size, f->slot->fd }, { G_MAXUINT32, size, f->slot->fd },
    { 0, size + 1, f->slot->fd },        { 0, 0, f->slot->fd },
    { 0, G_MAXUINT64, f->slot->fd },     { 0, 4096, unsealed },
    { 0, large, hole },                  { 0, size, f->ends[0] },
  };

  (void) data;
  g_assert_cmpint (ftruncate (unsealed, 4096), ==, 0);
  g_assert_cmpint (ftruncate (hole, (off_t) large), ==, 0);
  g_assert_cmpint (fcntl (hole, F_ADD_SEALS, F_SEAL_SHRINK), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (lies); i++) {
    NdshLink *link = join (f);

    announce (f, lies[i].slot, 1, lies[i].size, lies[i].fd);
    assert_leaves (link);
  }
  close (unsealed);
  close (hole);
}

static void
test_what_a_writer_does_not_say_ends_the_link (Fixture *f, gconstpointer data)
{
  NdshRefused refused = { .code = 0 };
  NdshHello hello = { .mode = 0 };
  int fds[3] = { f->control->fd, f->page->fd, f->bell.listen_fd };
  NdshLink *link = join (f);

  (void) data;
  ndsh_message_send (f->ends[0], &f->welcome, sizeof f->welcome, fds, 3);
  assert_leaves (link);
  link = join (f);
  ndsh_header_init (&refused, NDSH_MESSAGE_REFUSED, sizeof refused);
  ndsh_message_send (f->ends[0], &refused, sizeof refused, NULL, 0);
  assert_leaves (link);
  link = join (f);
  ndsh_header_init (&hello, NDSH_MESSAGE_HELLO, sizeof hello);
  ndsh_message_send (f->ends[0], &hello, sizeof hello, NULL, 0);
  assert_leaves (link);
  link = join (f);
  ndsh_message_send (f->ends[0], "nonsense", 8, NULL, 0);
  assert_leaves (link);
}

/* What it knew by then can still be read. */
static void
test_an_end_is_no_error (Fixture *f, gconstpointer data)
{
  NdshLink *link = join (f);

  (void) data;
  announce (f, 3, 5, f->slot->size, f->slot->fd);
  close (f->ends[0]);
  assert_drains (link);

  g_assert_true (link->gone);
  g_assert_nonnull (find (link, 3, 5));
  assert_drains (link);
  ndsh_link_unref (link);
  f->ends[0] = duplicate (f->ends[1]);
}

/* --- Copies --------------------------------------------------------------- */

static void
test_the_memory_of_copies_is_used_again (Fixture *f, gconstpointer data)
{
  NdshLink *link = join (f);
  NdshCopy *first = ndsh_link_take_copy (link, 100000);
  NdshCopy *second = ndsh_link_take_copy (link, 100000);

  (void) data;
  g_assert_cmpuint (GPOINTER_TO_SIZE (first->data) % 4096, ==, 0);
  ndsh_link_give_copy (link, first);
  ndsh_link_give_copy (link, second);   /* one is enough */
  g_assert_true (ndsh_link_take_copy (link, 60000) == first);

  /* Neither one that is too small, nor much for little. */
  ndsh_link_give_copy (link, first);
  first = ndsh_link_take_copy (link, 100001);
  g_assert_cmpuint (first->size, ==, 100001);
  ndsh_link_give_copy (link, first);
  first = ndsh_link_take_copy (link, 100);
  g_assert_cmpuint (first->size, ==, 100);
  ndsh_link_give_copy (link, first);
  ndsh_link_unref (link);
}

/* --- Ringing -------------------------------------------------------------- */

static void
test_the_writer_is_rung_only_if_it_waits (Fixture *f, gconstpointer data)
{
  NdshControl *control = f->control->data;
  NdshLeasePage *page = f->page->data;
  NdshLink *link = join (f);

  (void) data;
  page->hazard[1] = 43;
  ndsh_link_release (link, 1);
  g_assert_cmpuint (page->hazard[1], ==, 0);
  g_assert_false (ndsh_test_is_readable (f->ends[0]));

  control->writer_waiting = 1;
  ndsh_link_release (link, 1);
  g_assert_true (ndsh_test_is_readable (f->ends[0]));
  ndsh_link_unref (link);
}

/* It may be full for want of just that memory. */
static void
test_a_waiting_writer_hears_that_memory_was_unmapped (Fixture *f,
                                                      gconstpointer data)
{
  NdshControl *control = f->control->data;
  NdshLink *link = join (f);

  (void) data;
  announce (f, 3, 0, f->slot->size, f->slot->fd);
  assert_drains (link);
  g_assert_false (ndsh_test_is_readable (f->ends[0]));

  control->writer_waiting = 1;
  announce (f, 3, 1, f->slot->size, f->slot->fd);
  assert_drains (link);
  g_assert_true (ndsh_test_is_readable (f->ends[0]));
  ndsh_link_unref (link);
}

#define ADD(path, function)                                                    \
  g_test_add ("/link/" path, Fixture, NULL, setup, function, teardown)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  ADD ("a-good-welcome-joins", test_a_good_welcome_joins);
  ADD ("a-grant-that-cannot-be-is-refused",
       test_a_grant_that_cannot_be_is_refused);
  ADD ("a-control-page-that-cannot-be-is-refused",
       test_a_control_page_that_cannot_be_is_refused);
  ADD ("pages-must-be-sealed-memory", test_pages_must_be_sealed_memory);
  ADD ("a-bell-must-be-one", test_a_bell_must_be_one);
  ADD ("a-lease-page-must-be-writable", test_a_lease_page_must_be_writable);
  ADD ("mutated-welcomes-are-usable-or-refused",
       test_mutated_welcomes_are_usable_or_refused);
  ADD ("segments-are-found-by-slot-and-generation",
       test_segments_are_found_by_slot_and_generation);
  ADD ("what-is-replaced-is-unmapped", test_what_is_replaced_is_unmapped);
  ADD ("what-is-taken-away-is-unmapped", test_what_is_taken_away_is_unmapped);
  ADD ("a-stall-ends-with-an-announcement",
       test_a_stall_ends_with_an_announcement);
  ADD ("announcements-that-cannot-be-end-the-link",
       test_announcements_that_cannot_be_end_the_link);
  ADD ("what-a-writer-does-not-say-ends-the-link",
       test_what_a_writer_does_not_say_ends_the_link);
  ADD ("an-end-is-no-error", test_an_end_is_no_error);
  ADD ("the-memory-of-copies-is-used-again",
       test_the_memory_of_copies_is_used_again);
  ADD ("the-writer-is-rung-only-if-it-waits",
       test_the_writer_is_rung_only_if_it_waits);
  ADD ("a-waiting-writer-hears-that-memory-was-unmapped",
       test_a_waiting_writer_hears_that_memory_was_unmapped);

  return g_test_run ();
}
