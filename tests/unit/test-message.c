/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The peer is a socket in this test's hand, which can send anything. */
#include "message.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ndsh-test.h"

static const struct {
  guint32 type;
  gsize size;
  guint n_fds;
} kinds[] = {
  { NDSH_MESSAGE_HELLO, sizeof (NdshHello), 0 },
  { NDSH_MESSAGE_STATUS, sizeof (NdshHeader), 0 },
  { NDSH_MESSAGE_WELCOME, sizeof (NdshWelcome), 3 },
  { NDSH_MESSAGE_REFUSED, sizeof (NdshRefused), 0 },
  { NDSH_MESSAGE_SEGMENT, sizeof (NdshSegmentMessage), 1 },
  { NDSH_MESSAGE_WATCH, sizeof (NdshHeader), 0 },
  { NDSH_MESSAGE_YIELD, sizeof (NdshHeader), 0 },
};

static NdshMessage
make_message (guint kind)
{
  NdshMessage message = { .type = 0, .fds = { -1, -1 } };

  if (kinds[kind].type == NDSH_MESSAGE_SEGMENT)
    message.body.segment.size = 4096;
  ndsh_header_init (&message.body, kinds[kind].type, kinds[kind].size);
  return message;
}

/* In just so many bytes of the heap that AddressSanitizer sees a look too far. */
static gboolean
check (const NdshMessage *message, gsize size, guint n_fds)
{
  gsize before = G_STRUCT_OFFSET (NdshMessage, body);
  g_autofree guint8 *exact = g_malloc (before + size);
  g_autoptr (GError) error = NULL;
  gboolean good;

  memcpy (exact, message, before + MIN (size, sizeof message->body));
  if (size > sizeof message->body)
    memset (exact + before + sizeof message->body, 0,
            size - sizeof message->body);
  good = ndsh_message_check ((const NdshMessage *) (gpointer) exact, size,
                             n_fds, &error);
  if (good)
    g_assert_no_error (error);
  else
    g_assert_error (error, NDSH_ERROR, NDSH_ERROR_INCOMPATIBLE);
  g_assert_true (
    good
    == ndsh_message_check ((const NdshMessage *) (gpointer) exact, size, n_fds,
                           NULL));
  return good;
}

/* --- Which bytes are a message -------------------------------------------- */

static void
test_a_header_says_what_follows (void)
{
  NdshHeader header;

  ndsh_header_init (&header, 5, 32);

  g_assert_cmpmem (&header, sizeof header, "NDSH\1\0\0\0\5\0\0\0\40\0\0\0", 16);
}

static void
test_each_kind_passes_with_its_fds_and_no_others (void)
{
  for (guint k = 0; k < G_N_ELEMENTS (kinds); k++) {
    NdshMessage message = make_message (k);

    for (guint n_fds = 0; n_fds < 10; n_fds++)
      g_assert_true (check (&message, kinds[k].size, n_fds)
                     == (n_fds == kinds[k].n_fds));
  }
}

static void
test_a_slot_without_memory_has_no_fd (void)
{
  NdshMessage message = { .fds = { -1, -1 } };
  gsize size = sizeof message.body.segment;

  ndsh_header_init (&message.body, NDSH_MESSAGE_SEGMENT, size);
  for (guint n_fds = 0; n_fds < 10; n_fds++)
    g_assert_true (check (&message, size, n_fds) == (n_fds == 0));
}

static void
test_a_wake_up_is_one_byte_and_no_fd (void)
{
  NdshMessage message = { .type = 0 };

  g_assert_false (check (&message, 1, 0));
  memcpy (&message.body, "ww", 2);
  g_assert_true (check (&message, 1, 0));
  g_assert_false (check (&message, 1, 1));
  g_assert_false (check (&message, 2, 0));
  g_assert_false (check (&message, 0, 0));
}

static void
test_what_is_cut_short_is_refused (void)
{
  for (guint k = 0; k < G_N_ELEMENTS (kinds); k++) {
    NdshMessage message = make_message (k);

    for (gsize size = 0; size < kinds[k].size; size++)
      g_assert_false (check (&message, size, kinds[k].n_fds));
  }
}

static void
test_a_higher_minor_may_send_more (void)
{
  for (guint k = 0; k < G_N_ELEMENTS (kinds); k++) {
    NdshMessage message = make_message (k);

    message.body.header.minor = 7;
    message.body.header.size = 1000;
    g_assert_true (check (&message, kinds[k].size, kinds[k].n_fds));
    g_assert_true (check (&message, sizeof message.body, kinds[k].n_fds));
    message.body.header.size = (guint32) kinds[k].size - 1;
    g_assert_false (check (&message, kinds[k].size, kinds[k].n_fds));
  }
}

static void
test_another_major_is_refused_with_both_numbers (void)
{
  NdshMessage message = make_message (0);
  g_autoptr (GError) error = NULL;

  message.body.header.major = 77;
  g_assert_false (ndsh_message_check (&message, sizeof (NdshHello), 0, &error));

  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_INCOMPATIBLE);
  g_assert_nonnull (strstr (error->message, "version 77"));
  g_assert_nonnull (strstr (error->message, "version 1"));
}

static void
test_unknown_types_are_refused (void)
{
  guint32 types[] = { 0, 8, 9, 255, G_MAXINT32, G_MAXUINT32 };

  for (guint i = 0; i < G_N_ELEMENTS (types); i++) {
    NdshMessage message = make_message (3);

    message.body.header.type = types[i];
    for (guint n_fds = 0; n_fds < 4; n_fds++)
      g_assert_false (check (&message, sizeof (NdshRefused), n_fds));
  }
}

static void
test_a_text_needs_an_end (void)
{
  NdshMessage message = make_message (3);
  char *text = message.body.refused.text;

  memset (text, 'x', sizeof message.body.refused.text);
  g_assert_false (check (&message, sizeof (NdshRefused), 0));
  text[sizeof message.body.refused.text - 1] = '\0';
  g_assert_true (check (&message, sizeof (NdshRefused), 0));
}

static void
flip_some_bytes (guint8 *bytes, gsize size)
{
  for (int n = g_test_rand_int_range (0, 5); n > 0; n--)
    bytes[g_test_rand_int_range (0, (gint32) size)]
      ^= (guint8) (1u << g_test_rand_int_range (0, 8));
}

/* What passes can be used as what it says it is. */
static void
assert_usable (const NdshMessage *message, gsize size, guint n_fds)
{
  const NdshHeader *header = &message->body.header;

  if (size == 1) {
    g_assert_cmpint (*(const char *) header, ==, 'w');
    g_assert_cmpuint (n_fds, ==, 0);
    return;
  }
  g_assert_cmpuint (header->magic, ==, NDSH_MAGIC);
  g_assert_cmpuint (header->major, ==, NDSH_MAJOR);
  g_assert_cmpuint (header->size, >=, size);
  g_assert_cmpuint (header->type, >=, 1);
  g_assert_cmpuint (header->type, <=, G_N_ELEMENTS (kinds));
  g_assert_cmpuint (size, >=, kinds[header->type - 1].size);
  if (header->type == NDSH_MESSAGE_SEGMENT && message->body.segment.size == 0)
    g_assert_cmpuint (n_fds, ==, 0);
  else
    g_assert_cmpuint (n_fds, ==, kinds[header->type - 1].n_fds);
}

static void
test_mutated_messages_pass_only_if_usable (void)
{
  guint n_good = 0, n = g_test_slow () ? 1000000 : 50000;

  for (guint i = 0; i < n; i++) {
    guint k = (guint) g_test_rand_int_range (0, G_N_ELEMENTS (kinds));
    NdshMessage message = make_message (k);
    gsize size = kinds[k].size;
    guint n_fds = kinds[k].n_fds;

    flip_some_bytes ((guint8 *) &message.body, MIN (size, 40));
    if (g_test_rand_int_range (0, 4) == 0)
      size = (gsize) g_test_rand_int_range (0, sizeof message.body + 1);
    if (g_test_rand_int_range (0, 4) == 0)
      n_fds = (guint) g_test_rand_int_range (0, 10);
    if (check (&message, size, n_fds)) {
      assert_usable (&message, size, n_fds);
      n_good++;
    }
  }

  g_assert_cmpuint (n_good, >, n / 100);
  g_assert_cmpuint (n_good, <, n);
}

/* --- Over a socket -------------------------------------------------------- */

typedef struct {
  int ends[2];                  /* the peer's is 0, ours is 1 */
  guint fds;
} Sockets;

static void
sockets_init (Sockets *sockets)
{
  sockets->fds = ndsh_test_count_fds ();
  ndsh_test_socketpair (sockets->ends);
}

/* And that nothing else was left open. */
static void
sockets_clear (Sockets *sockets)
{
  for (guint i = 0; i < 2; i++)
    if (sockets->ends[i] >= 0)
      close (sockets->ends[i]);
  g_assert_cmpuint (ndsh_test_count_fds (), ==, sockets->fds);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Sockets, sockets_clear)

static void
close_end (Sockets *sockets, guint end)
{
  close (sockets->ends[end]);
  sockets->ends[end] = -1;
}

static NdshIo
receive (Sockets *sockets, NdshMessage *message)
{
  g_autoptr (GError) error = NULL;
  NdshIo io = ndsh_message_receive (sockets->ends[1], message, &error);

  g_assert_true ((io == NDSH_IO_BAD) == (error != NULL));
  return io;
}

static void
send_anything (Sockets *sockets, gconstpointer data, gsize size, guint n_fds)
{
  int fds[64];

  for (guint i = 0; i < n_fds; i++)
    fds[i] = sockets->ends[0];
  g_assert_true (ndsh_test_send (sockets->ends[0], data, size, fds, n_fds));
}

static NdshIo
send_hello (Sockets *sockets)
{
  NdshMessage hello = make_message (0);

  return ndsh_message_send (sockets->ends[0], &hello.body, sizeof (NdshHello),
                            NULL, 0);
}

static void
test_a_message_arrives_with_its_fds (void)
{
  g_auto (Sockets) sockets;
  NdshMessage sent = make_message (2), got;
  struct stat st[2 * NDSH_MESSAGE_FDS];
  int fds[NDSH_MESSAGE_FDS];

  sockets_init (&sockets);
  for (guint i = 0; i < NDSH_MESSAGE_FDS; i++) {
    fds[i] = memfd_create ("test", 0);
    fstat (fds[i], &st[i]);
  }
  sent.body.welcome.cursor = 99;
  g_assert_cmpint (ndsh_message_send (sockets.ends[0], &sent.body,
                                      sizeof (NdshWelcome), fds, NDSH_MESSAGE_FDS),
                   ==, NDSH_IO_DONE);
  for (guint i = 0; i < NDSH_MESSAGE_FDS; i++)
    close (fds[i]);
  g_assert_cmpint (receive (&sockets, &got), ==, NDSH_IO_DONE);

  g_assert_cmpuint (got.type, ==, NDSH_MESSAGE_WELCOME);
  g_assert_cmpuint (got.body.welcome.cursor, ==, 99);
  for (guint i = 0; i < NDSH_MESSAGE_FDS; i++) {
    guint other = NDSH_MESSAGE_FDS + i;

    g_assert_cmpint (fcntl (got.fds[i], F_GETFD), ==, FD_CLOEXEC);
    g_assert_cmpint (fstat (got.fds[i], &st[other]), ==, 0);
    g_assert_cmpuint (st[other].st_ino, ==, st[i].st_ino);
  }
  ndsh_message_clear (&got);
  g_assert_cmpint (got.fds[0], ==, -1);
  ndsh_message_clear (&got);
}

static void
test_a_wake_up_arrives (void)
{
  g_auto (Sockets) sockets;
  NdshMessage got;

  sockets_init (&sockets);
  send_anything (&sockets, "w", 1, 0);

  g_assert_cmpint (receive (&sockets, &got), ==, NDSH_IO_DONE);
  g_assert_cmpuint (got.type, ==, NDSH_MESSAGE_WAKE);
}

static void
test_an_empty_socket_says_again (void)
{
  g_auto (Sockets) sockets;
  NdshMessage got;

  sockets_init (&sockets);
  alarm (10);                   /* it blocks by itself */
  g_assert_cmpint (receive (&sockets, &got), ==, NDSH_IO_AGAIN);
  alarm (0);
}

/* And what went before arrives whole. */
static void
test_a_full_socket_says_again (void)
{
  g_auto (Sockets) sockets;
  guint n_sent = 0;
  NdshMessage got;

  sockets_init (&sockets);
  alarm (10);
  while (send_hello (&sockets) == NDSH_IO_DONE)
    n_sent++;
  alarm (0);
  g_assert_cmpint (send_hello (&sockets), ==, NDSH_IO_AGAIN);
  g_assert_cmpuint (n_sent, >, 10);

  for (guint i = 0; i < n_sent; i++)
    g_assert_cmpint (receive (&sockets, &got), ==, NDSH_IO_DONE);
  g_assert_cmpint (receive (&sockets, &got), ==, NDSH_IO_AGAIN);
  g_assert_cmpint (send_hello (&sockets), ==, NDSH_IO_DONE);
}

static void
test_a_peer_that_closed_is_gone_after_its_last_message (void)
{
  g_auto (Sockets) sockets;
  NdshMessage got;

  sockets_init (&sockets);
  g_assert_cmpint (send_hello (&sockets), ==, NDSH_IO_DONE);
  close_end (&sockets, 0);

  g_assert_cmpint (receive (&sockets, &got), ==, NDSH_IO_DONE);
  g_assert_cmpint (receive (&sockets, &got), ==, NDSH_IO_GONE);
  g_assert_cmpint (receive (&sockets, &got), ==, NDSH_IO_GONE);
}

/* A peer that closes while something of ours is unread resets us once. */
static void
test_a_reset_does_not_hide_the_last_message (void)
{
  g_auto (Sockets) sockets;
  NdshMessage got;

  sockets_init (&sockets);
  g_assert_cmpint (send_hello (&sockets), ==, NDSH_IO_DONE);
  g_assert_cmpint (send (sockets.ends[1], "w", 1, 0), ==, 1);
  close_end (&sockets, 0);

  g_assert_cmpint (receive (&sockets, &got), ==, NDSH_IO_DONE);
  g_assert_cmpuint (got.type, ==, NDSH_MESSAGE_HELLO);
  g_assert_cmpint (receive (&sockets, &got), ==, NDSH_IO_GONE);
}

/* SIGPIPE would end this program; Linux sends it for a stream alone. */
static void
test_sending_to_nobody_is_no_signal (void)
{
  int types[] = { SOCK_SEQPACKET, SOCK_STREAM };

  for (guint i = 0; i < G_N_ELEMENTS (types); i++) {
    int ends[2];

    g_assert_cmpint (socketpair (AF_UNIX, types[i], 0, ends), ==, 0);
    close (ends[1]);
    g_assert_cmpint (ndsh_message_send (ends[0], "w", 1, NULL, 0), ==,
                     NDSH_IO_GONE);
    close (ends[0]);
  }
}

static void
test_fds_in_wrong_number_are_refused_and_closed (void)
{
  for (guint n_fds = 0; n_fds <= 64; n_fds++) {
    g_auto (Sockets) sockets;
    NdshMessage sent = make_message (2), got;

    sockets_init (&sockets);
    if (n_fds == NDSH_MESSAGE_FDS)
      n_fds++;
    send_anything (&sockets, &sent.body, sizeof (NdshWelcome), n_fds);

    g_assert_cmpint (receive (&sockets, &got), ==, NDSH_IO_BAD);
    g_assert_cmpint (got.fds[0], ==, -1);
    g_assert_cmpint (got.fds[1], ==, -1);
    g_assert_cmpint (receive (&sockets, &got), ==, NDSH_IO_AGAIN);
  }
}

/* It reads like the end, but its fds are here. */
static void
test_an_empty_message_leaks_no_fds (void)
{
  g_auto (Sockets) sockets;
  NdshMessage got;

  sockets_init (&sockets);
  send_anything (&sockets, "", 0, 2);

  g_assert_cmpint (receive (&sockets, &got), ==, NDSH_IO_GONE);
}

static void
test_fds_lost_at_the_limit_are_told_with_advice (void)
{
  for (guint room = 0; room < 2; room++) {
    g_auto (Sockets) sockets;
    NdshMessage sent = make_message (2), got;
    g_autoptr (GError) error = NULL;
    NdshIo io;

    sockets_init (&sockets);
    send_anything (&sockets, &sent.body, sizeof (NdshWelcome), 2);
    ndsh_test_limit_fds (room);
    io = ndsh_message_receive (sockets.ends[1], &got, &error);
    ndsh_test_unlimit_fds ();

    g_assert_cmpint (io, ==, NDSH_IO_BAD);
    g_assert_error (error, NDSH_ERROR, NDSH_ERROR_SYSTEM);
    g_assert_nonnull (strstr (error->message, "ulimit -n"));
  }
}

/* No limit of ours was in the way. */
static void
test_more_fds_than_are_looked_at_are_the_senders_fault (void)
{
  guint numbers[] = { 9, 20, 64 };

  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++) {
    g_auto (Sockets) sockets;
    NdshMessage sent = make_message (2), got;
    g_autoptr (GError) error = NULL;

    sockets_init (&sockets);
    send_anything (&sockets, &sent.body, sizeof (NdshWelcome), numbers[i]);

    g_assert_cmpint (ndsh_message_receive (sockets.ends[1], &got, &error), ==,
                     NDSH_IO_BAD);
    g_assert_error (error, NDSH_ERROR, NDSH_ERROR_INCOMPATIBLE);
    g_assert_nonnull (strstr (error->message, "more than 8 fds"));
  }
}

static void
test_a_long_message_is_cut (void)
{
  g_auto (Sockets) sockets;
  g_autofree NdshHello *large = g_malloc0 (60000);
  NdshMessage got;

  sockets_init (&sockets);
  ndsh_header_init (large, NDSH_MESSAGE_HELLO, 60000);
  large->max_leases = 5;
  send_anything (&sockets, large, 60000, 0);

  g_assert_cmpint (receive (&sockets, &got), ==, NDSH_IO_DONE);
  g_assert_cmpuint (got.body.hello.max_leases, ==, 5);
  g_assert_cmpint (receive (&sockets, &got), ==, NDSH_IO_AGAIN);
}

static void
test_hostile_messages_leak_no_fds (void)
{
  g_auto (Sockets) sockets;

  sockets_init (&sockets);
  for (guint i = 0; i < 5000; i++) {
    guint k = (guint) g_test_rand_int_range (0, G_N_ELEMENTS (kinds));
    NdshMessage message = make_message (k), got;
    NdshIo io;

    flip_some_bytes ((guint8 *) &message.body, sizeof (NdshHeader));
    send_anything (&sockets, &message.body,
                   (gsize) g_test_rand_int_range (1, sizeof message.body),
                   (guint) g_test_rand_int_range (0, 20));
    io = receive (&sockets, &got);
    g_assert_true (io == NDSH_IO_DONE || io == NDSH_IO_BAD);
    if (io == NDSH_IO_DONE)
      ndsh_message_clear (&got);
  }
}

/* --- Text of a peer's ----------------------------------------------------- */

static void
test_text_is_printed_without_what_is_not (void)
{
  static const struct {
    const char *text;
    const char *printed;
  } texts[] = {
    { "", "" },
    { "caf\xc3\xa9 \xe2\x82\xac", "caf\xc3\xa9 \xe2\x82\xac" },
    { "a\nb\tc\x1b[2J\x7f", "a?b?c?[2J?" },
    { "\xc2\x9b" "1m \xe2\x80\xae", "?1m ?" },
    { "cut \xe2\x82", "cut \xef\xbf\xbd\xef\xbf\xbd" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autofree char *printed = ndsh_text_to_print (texts[i].text);

    g_assert_true (g_utf8_validate (printed, -1, NULL));
    g_assert_cmpstr (printed, ==, texts[i].printed);
  }
}

static void
test_a_stream_id_is_hex_digits_whatever_comes (void)
{
  char id[33];

  ndsh_stream_id_copy (id, "0123456789abcdefABCDEF\x1b[2J\n\0\xff..");
  g_assert_cmpstr (id, ==, "0123456789abcdefABCDEF0020000000");
}

#define ADD(path, function) g_test_add_func ("/message/" path, function)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  ADD ("a-header-says-what-follows", test_a_header_says_what_follows);
  ADD ("each-kind-passes-with-its-fds-and-no-others",
       test_each_kind_passes_with_its_fds_and_no_others);
  g_test_add_func ("/message/a-slot-without-memory-has-no-fd",
                   test_a_slot_without_memory_has_no_fd);
  ADD ("a-wake-up-is-one-byte-and-no-fd", test_a_wake_up_is_one_byte_and_no_fd);
  ADD ("what-is-cut-short-is-refused", test_what_is_cut_short_is_refused);
  ADD ("a-higher-minor-may-send-more", test_a_higher_minor_may_send_more);
  ADD ("another-major-is-refused-with-both-numbers",
       test_another_major_is_refused_with_both_numbers);
  ADD ("unknown-types-are-refused", test_unknown_types_are_refused);
  ADD ("a-text-needs-an-end", test_a_text_needs_an_end);
  ADD ("mutated-messages-pass-only-if-usable",
       test_mutated_messages_pass_only_if_usable);
  ADD ("a-message-arrives-with-its-fds", test_a_message_arrives_with_its_fds);
  ADD ("a-wake-up-arrives", test_a_wake_up_arrives);
  ADD ("an-empty-socket-says-again", test_an_empty_socket_says_again);
  ADD ("a-full-socket-says-again", test_a_full_socket_says_again);
  ADD ("a-peer-that-closed-is-gone-after-its-last-message",
       test_a_peer_that_closed_is_gone_after_its_last_message);
  ADD ("a-reset-does-not-hide-the-last-message",
       test_a_reset_does_not_hide_the_last_message);
  ADD ("sending-to-nobody-is-no-signal", test_sending_to_nobody_is_no_signal);
  ADD ("fds-in-wrong-number-are-refused-and-closed",
       test_fds_in_wrong_number_are_refused_and_closed);
  ADD ("an-empty-message-leaks-no-fds", test_an_empty_message_leaks_no_fds);
  ADD ("fds-lost-at-the-limit-are-told-with-advice",
       test_fds_lost_at_the_limit_are_told_with_advice);
  ADD ("more-fds-than-are-looked-at-are-the-senders-fault",
       test_more_fds_than_are_looked_at_are_the_senders_fault);
  ADD ("a-long-message-is-cut", test_a_long_message_is_cut);
  ADD ("hostile-messages-leak-no-fds", test_hostile_messages_leak_no_fds);
  ADD ("text-is-printed-without-what-is-not",
       test_text_is_printed_without_what_is_not);
  ADD ("a-stream-id-is-hex-digits-whatever-comes",
       test_a_stream_id_is_hex_digits_whatever_comes);

  return g_test_run ();
}
