/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Who comes to a writer: the input is a script of what up to four connections send,
 * good messages with some bytes changed or any bytes at all, with or without fds,
 * and of what the writer does meanwhile. It answers with messages that are whole,
 * never grants more than it has, keeps publishing, and when all are gone knows of
 * nobody and has lost no fd.
 */
#include "../../lib/service.c"

#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "ndsh-test.h"
#include "plain.h"

#define MAX_STEPS 24
#define N_GUESTS 4

static NdshService service = { .lock = PTHREAD_MUTEX_INITIALIZER };
static NdshWriter *writer;
static FuzzInput input;
static int ends[N_GUESTS];      /* ours; -1 if not connected */

static void
serve (void)
{
  for (guint i = 0; i < 8 && g_main_context_iteration (service.context, FALSE);
       i++)
    ;
}

static void
check_writer (void)
{
  guint n_readers = 0;

  FOR_EACH_READER (writer, reader) {
    n_readers++;
    g_assert (reader->slots.n_leases >= 1
              && reader->slots.n_leases <= NDSH_MAX_LEASES);
    g_assert (reader->slots.mode <= NDSH_READ_LOSSLESS);
    g_assert (reader->slots.queue_length >= 1
              && reader->slots.queue_length <= NDSH_MAX_QUEUE);
  }
  g_assert (n_readers <= writer->options.max_readers);
}

/* --- What guests do ------------------------------------------------------- */

static void
connect_guest (guint i)
{
  int fds[2];

  if (ends[i] >= 0)
    return;
  g_assert (socketpair (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                        fds)
            == 0);
  ends[i] = fds[0];
  take_in (&service, fds[1]);
}

static void
disconnect_guest (guint i)
{
  if (ends[i] >= 0)
    close (ends[i]);
  ends[i] = -1;
}

static void
send_with_fds (guint i, gconstpointer message, gsize size, guint n_fds)
{
  int fds[16];

  for (guint n = 0; n < G_N_ELEMENTS (fds); n++)
    fds[n] = fuzz_segment_fd;
  if (ends[i] >= 0)
    ndsh_test_send (ends[i], message, size, fds, n_fds);
}

static void
send_hello (guint i)
{
  guint8 mode = fuzz_u8 (&input);
  guint8 queue = fuzz_u8 (&input);
  NdshHello hello
    = { .mode = mode, .queue_length = queue, .max_leases = fuzz_u8 (&input) };
  guint n_changes = fuzz_u8 (&input) % 4;

  ndsh_header_init (&hello, NDSH_MESSAGE_HELLO, sizeof hello);
  for (guint n = 0; n < n_changes; n++)
    fuzz_poke (&input, &hello, sizeof hello);
  send_with_fds (i, &hello, sizeof hello, 0);
}

/* STATUS, or what is for a writer to say, with the fds that belong to it. */
static void
send_another (guint i)
{
  static const struct {
    gsize size;
    guint n_fds;
  } kinds[] = { { sizeof (NdshHeader), 0 }, { sizeof (NdshHello), 0 },
                { sizeof (NdshHeader), 0 }, { sizeof (NdshWelcome), 2 },
                { sizeof (NdshRefused), 0 }, { sizeof (NdshSegmentMessage), 1 } };
  guint type = fuzz_u8 (&input) % 12;
  NdshMessage message = { 0 };

  if (type >= G_N_ELEMENTS (kinds))
    type = NDSH_MESSAGE_STATUS;
  ndsh_header_init (&message.body, type, kinds[type].size);
  send_with_fds (i, &message.body, kinds[type].size, kinds[type].n_fds);
}

static void
send_bytes (guint i)
{
  guint8 bytes[300];
  guint n_fds = fuzz_u8 (&input) % 17;
  gsize size = fuzz_u16 (&input) % sizeof bytes;

  fuzz_bytes (&input, bytes, size);
  send_with_fds (i, bytes, size, n_fds);
}

/* The writer's words are good, whatever it was asked. STATUS is longer than any
 * message that has a struct of its own. */
static void
hear (guint i)
{
  NdshStatus status;
  NdshMessage message;
  g_autoptr (GError) error = NULL;

  if (ends[i] < 0)
    return;
  if (recv (ends[i], &status, sizeof status, MSG_DONTWAIT | MSG_PEEK)
        == (ssize_t) sizeof status
      && status.header.type == NDSH_MESSAGE_STATUS) {
    recv (ends[i], &status, sizeof status, MSG_DONTWAIT);
    g_assert (status.n_arrays <= NDSH_MAX_ARRAYS
              && status.n_readers <= writer->options.max_readers);
    return;
  }
  if (ndsh_message_receive (ends[i], &message, &error) != NDSH_IO_DONE) {
    g_assert_no_error (error);
    return;
  }
  g_assert (message.type != NDSH_MESSAGE_HELLO);
  ndsh_message_clear (&message);
}

/* --- What the writer does ------------------------------------------------- */

/* With memory enough, and nobody who reads: it cannot be in want of a slot but for
 * a lossless reader, who is waited for if that is allowed. */
static void
publish (gboolean may_wait)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NdshDraft) draft = NULL;
  NdshArrayInfo info;
  gsize size = 1 + fuzz_u8 (&input) * 64;

  ndsh_array_info_init (&info, NDSH_DTYPE_UINT8, 1, &size);
  draft = may_wait ? ndsh_writer_begin (writer, &info, 1, &error)
                   : ndsh_writer_try_begin (writer, &info, 1, &error);
  if (draft == NULL) {
    g_assert (!may_wait);
    g_assert_error (error, NDSH_ERROR, NDSH_ERROR_FULL);
    return;
  }
  memset (ndsh_draft_get_data (draft), 'p', size);
  g_assert (ndsh_draft_publish (draft, NULL) == writer->slots.published);
}

static void
do_something (void)
{
  guint8 what = fuzz_u8 (&input);
  guint i = what / 16 % N_GUESTS;

  switch (what % 16) {
  case 0:
  case 1:
    connect_guest (i);
    send_hello (i);
    break;
  case 2:
    connect_guest (i);
    send_bytes (i);
    break;
  case 3:
    connect_guest (i);
    send_another (i);
    break;
  case 4:
    connect_guest (i);
    break;
  case 5:
    disconnect_guest (i);
    break;
  case 6:
  case 7:
    hear (i);
    break;
  case 8:
    send_with_fds (i, "w", 1, 0);
    break;
  case 9:
    publish (what >= 128);
    break;
  case 10:
    ndsh_writer_end (writer);
    break;
  default:
    serve ();
    break;
  }
  check_writer ();
}

/* --- One input ------------------------------------------------------------ */

static void
set_up_once (void)
{
  if (fuzz_segment_fd >= 0)
    return;
  fuzz_segment_fd = memfd_create ("fuzz", MFD_CLOEXEC);
  g_assert (fuzz_segment_fd >= 0);
  service.context = g_main_context_new ();
  service.listen_fd = -1;
  service.members
    = g_ptr_array_new_with_free_func ((GDestroyNotify) member_free);
  service.callbacks = ndsh_audience_callbacks;
  for (guint i = 0; i < N_GUESTS; i++)
    ends[i] = -1;
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  NdshWriterOptions options = { .max_bytes = 64 << 20, .history = 1,
                                .lossless_timeout_us = 1 };
  guint n_fds_before;

  input = (FuzzInput){ data, size };
  set_up_once ();
  n_fds_before = fuzz_count_fds ();
  options.max_readers = 1 + fuzz_u8 (&input) % N_GUESTS;
  options.history = 1 + fuzz_u8 (&input) % NDSH_MAX_QUEUE;
  if (fuzz_u8 (&input) % 4 == 0)
    options.lossless_timeout_us = -1;
  writer = fuzz_writer_new (&options);
  writer->service = &service;
  service.owner = writer;

  for (guint i = 0; i < MAX_STEPS && input.size > 0; i++)
    do_something ();

  for (guint i = 0; i < N_GUESTS; i++)
    disconnect_guest (i);
  while (g_main_context_iteration (service.context, FALSE))
    ;
  g_assert (service.members->len == 0 && writer->slots.readers == NULL);
  publish (TRUE);
  ndsh_writer_unref (writer);
  g_assert (fuzz_committed == 0);
  g_assert (fuzz_count_fds () == n_fds_before);
  return 0;
}
