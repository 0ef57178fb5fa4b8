/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A writer with two readers that write any bytes into their lease pages, and one
 * that is honest. The input is a script of what the four do; some of it is put off
 * until the writer has looked so many times, in the middle of a call, or until it
 * waits. The writer keeps within its bounds and gets a slot or says why not, and
 * what the honest one holds is the frame that was published and stays so.
 */
#include "turns.h"

#include "../../lib/slots.c"

#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "plain.h"
#include "wake.h"

#define MAX_STEPS 96
#define MAX_DRAFTS 8
#define MAX_PAGES 6             /* of a frame */
#define AMPLE (64 << 20)
#define MAX_TURNS (16u << 20)
#define MAX_WAITS 2000

enum { LIAR, LIAR_TOO, HONEST, N_GUESTS };

typedef struct {
  NdshLease lease;
  NdshSegment *segment;
  const guint8 *data;
} Held;

static NdshWriter *writer;
static NdshGuest guests[N_GUESTS];
static gboolean socket_full[N_GUESTS], wants_room[N_GUESTS];
static NdshDraft *drafts[MAX_DRAFTS];
static gsize draft_sizes[MAX_DRAFTS];
static NdshLeases honest;
static Held held[NDSH_HAZARDS];
static guint n_held;
static gboolean told[NDSH_N_SLOTS];
static gboolean asked_lossless;
static guint n_replaced;        /* that the honest one still maps */

static FuzzInput input;
static guint64 first;           /* how many there were before this input */
static gint64 now_us;
static guint n_turns, n_until_meddle, n_meddled, n_waits, n_waits_ever;
static gboolean busy;           /* meddling: nobody meddles with that */

static void meddle (void);

static void
take_turn (void)
{
  g_assert (n_turns++ < MAX_TURNS);
  if (busy || n_until_meddle == 0 || --n_until_meddle > 0)
    return;
  n_meddled++;
  meddle ();
}

/* --- In the place of what asks the system (--wrap) ------------------------ */

NdshIo __wrap_ndsh_message_send (int socket, gconstpointer message, gsize size,
                                 const int *fds, guint n_fds);
void __wrap_ndsh_service_watch_writable (NdshService *service, NdshGuest *guest);
void __wrap_ndsh_service_wake (NdshService *service);
gboolean __wrap_ndsh_service_is_current (NdshService *service);
void __wrap_ndsh_bell_ring (const NdshBell *bell);
gint64 __wrap_g_get_monotonic_time (void);
int __wrap_pthread_cond_timedwait (pthread_cond_t *condition,
                                   pthread_mutex_t *mutex,
                                   const struct timespec *until);

/* The fd is the guest's index. */
NdshIo
__wrap_ndsh_message_send (int socket, gconstpointer message, gsize size,
                          const int *fds, guint n_fds)
{
  const NdshSegmentMessage *segment = message;

  (void) size;
  (void) fds;
  (void) n_fds;
  if (socket_full[socket])
    return NDSH_IO_AGAIN;
  if (socket == HONEST && segment->header.type == NDSH_MESSAGE_SEGMENT) {
    n_replaced += told[segment->slot];
    told[segment->slot] = segment->size > 0;
  }
  return NDSH_IO_DONE;
}

void
__wrap_ndsh_service_watch_writable (NdshService *service, NdshGuest *guest)
{
  (void) service;
  wants_room[guest - guests] = TRUE;
}

void
__wrap_ndsh_service_wake (NdshService *service)
{
  (void) service;
}

/* There is no thread but this. */
gboolean
__wrap_ndsh_service_is_current (NdshService *service)
{
  (void) service;
  return FALSE;
}

void
__wrap_ndsh_bell_ring (const NdshBell *bell)
{
  (void) bell;
}

gint64
__wrap_g_get_monotonic_time (void)
{
  return now_us;
}

int
__wrap_pthread_cond_timedwait (pthread_cond_t *condition, pthread_mutex_t *mutex,
                               const struct timespec *until)
{
  (void) condition;
  (void) mutex;
  (void) until;
  g_assert (n_waits++ < MAX_WAITS);
  n_waits_ever++;
  n_turns = 0;
  now_us += 300000;
  meddle ();
  return 0;
}

/* --- The liars ------------------------------------------------------------ */

static guint32
some_word (void)
{
  guint8 how = fuzz_u8 (&input);

  if (how == 255)
    return fuzz_u32 (&input);
  return ndsh_word (writer->slots.published) + 8 - how % 128;
}

static void
lie (guint i)
{
  Reader *reader = guests[i].joined;
  NdshLeasePage *page;
  guint8 what = fuzz_u8 (&input);

  if (reader == NULL)
    return;
  page = reader->slots.page;
  switch (what % 8) {
  case 0:
  case 1:
  case 2:
    page->hazard[what / 8] = some_word ();
    break;
  case 3:
    page->cursor = some_word ();
    break;
  case 4:
    page->segments_handled = reader->n_sent - 4 + fuzz_u8 (&input) % 8;
    break;
  case 5:
    page->waiting = what / 8;
    page->mode = fuzz_u8 (&input);
    break;
  case 6:
    page->cursor = 0;
    break;
  default:
    fuzz_poke (&input, page, sizeof *page);
    break;
  }
}

/* --- The honest one ------------------------------------------------------- */

static void
check_held (const Held *h)
{
  const NdshFrameRecord *r = &h->lease.record;
  const NdshRecord *now = &writer->slots.control->slot[h->lease.slot];
  guint64 first, last;

  g_assert (ndsh_word (r->full_seq) == h->lease.word);
  g_assert (memcmp (&now->frame, r, sizeof *r) == 0);
  memcpy (&first, h->data, sizeof first);
  memcpy (&last, h->data + r->payload_size - sizeof last, sizeof last);
  g_assert (first == r->full_seq && last == r->full_seq);
}

static void
honest_release (guint i)
{
  if (n_held == 0)
    return;
  i %= n_held;
  check_held (&held[i]);
  ndsh_leases_release (&honest, held[i].lease.hazard);
  ndsh_segment_unref (held[i].segment);
  held[i] = held[--n_held];
}

static void
honest_acquire (void)
{
  guint32 taken = honest.taken;
  Held *h = &held[n_held];

  if (!ndsh_leases_find (&honest, &h->lease))
    return;
  g_assert (writer->memory[h->lease.slot].generation
            == h->lease.record.generation);
  h->segment = ndsh_segment_ref (writer->memory[h->lease.slot].segment);
  h->data = h->segment->data;
  ndsh_leases_take (&honest, &h->lease);
  /* What is copied may change at once. */
  g_assert (ndsh_leases_confirm (&honest, &h->lease));
  g_assert (ndsh_word_distance (h->lease.word, taken) > 0);
  if (honest.mode == NDSH_READ_LOSSLESS)
    g_assert (h->lease.word == taken + 2);
  check_held (h);
  n_held++;
  if (h->lease.is_copy)
    honest_release (n_held - 1);
}

/* --- Who does what -------------------------------------------------------- */

static void
meddle (void)
{
  guint8 who = fuzz_u8 (&input);
  gboolean was_busy = busy;

  busy = TRUE;
  switch (who % 8) {
  case 0:
  case 1:
    honest_acquire ();
    break;
  case 2:
    honest_release (who / 8);
    break;
  case 3:
    ndsh_leases_set_segments_handled (
      &honest, ((Reader *) guests[HONEST].joined)->n_sent);
    n_replaced = 0;
    break;
  default:
    lie (who % 2 == 0 ? LIAR : LIAR_TOO);
    break;
  }
  busy = was_busy;
  /* And once more, later in the same call. */
  if (!busy && who >= 128)
    n_until_meddle = fuzz_u8 (&input);
}

static void
join (guint i)
{
  NdshHello hello = { .mode = fuzz_u8 (&input) % 3 };
  Reader *reader;

  hello.queue_length = 1 + fuzz_u8 (&input) % NDSH_MAX_QUEUE;
  hello.max_leases = fuzz_u8 (&input);
  if (hello.max_leases < 248)   /* most have few, or each look takes long */
    hello.max_leases = 1 + hello.max_leases % 8;
  if (guests[i].joined != NULL)
    return;
  guests[i] = (NdshGuest){ .fd = (int) i, .pid = 1, .uid = geteuid () };
  socket_full[i] = wants_room[i] = FALSE;
  ndsh_audience_callbacks.hello (writer, &guests[i], &hello);
  reader = guests[i].joined;
  g_assert (reader != NULL);
  if (i != HONEST)
    return;
  memset (&honest, 0, sizeof honest);
  honest.mode = reader->slots.mode;
  asked_lossless = hello.mode == NDSH_READ_LOSSLESS;
  honest.queue_length = reader->slots.queue_length;
  honest.n_leases = reader->slots.n_leases;
  ndsh_leases_init (&honest, writer->slots.control, reader->slots.page,
                    reader->slots.cursor);
}

static void
leave (guint i)
{
  if (guests[i].joined == NULL)
    return;
  ndsh_audience_callbacks.gone (writer, &guests[i]);
  guests[i].joined = NULL;
}

/* --- The writer ----------------------------------------------------------- */

/* It is we who look, so nobody meddles. */
static gboolean
somebody_is_lossless (void)
{
  gboolean found = FALSE;

  busy = TRUE;
  FOR_EACH_READER (writer, reader)
    found |= ndsh_slots_reader_is_lossless (&reader->slots);
  busy = FALSE;
  return found;
}

/* There is always a slot if there is memory; unless a lossless reader has to be
 * waited for, or somebody meddled while it was looking. */
static void
check_refusal (const GError *error, gboolean may_wait)
{
  if (writer->options.max_bytes < AMPLE) {
    g_assert (error->domain == NDSH_ERROR
              && (error->code == NDSH_ERROR_FULL
                  || error->code == NDSH_ERROR_INVALID));
    return;
  }
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_FULL);
  g_assert (n_meddled > 0 || (!may_wait && somebody_is_lossless ()));
}

/* Memory is made for what does not fit. */
static void
check_made (gsize size, const guint64 *capacities, const guint32 *generations)
{
  for (guint k = 0; k < NDSH_N_SLOTS; k++)
    g_assert (writer->memory[k].generation == generations[k]
              || capacities[k] < size);
}

static void
begin (guint i, gboolean may_wait)
{
  g_autoptr (GError) error = NULL;
  NdshArrayInfo info;
  gsize size = 8 + fuzz_u8 (&input) % MAX_PAGES * 4096;
  guint64 capacities[NDSH_N_SLOTS];
  guint32 generations[NDSH_N_SLOTS];

  if (drafts[i] != NULL)
    return;
  for (guint k = 0; k < NDSH_N_SLOTS; k++) {
    capacities[k] = writer->slots.slot[k].capacity;
    generations[k] = writer->memory[k].generation;
  }
  ndsh_array_info_init (&info, NDSH_DTYPE_UINT8, 1, &size);
  drafts[i] = may_wait ? ndsh_writer_begin (writer, &info, 1, &error)
                       : ndsh_writer_try_begin (writer, &info, 1, &error);
  draft_sizes[i] = size;
  if (drafts[i] == NULL) {
    check_refusal (error, may_wait);
    return;
  }
  check_made (size, capacities, generations);
  memset (ndsh_draft_get_data (drafts[i]), 0xff, size);
}

static void
publish (guint i)
{
  guint64 number = writer->slots.published + 1;
  guint8 *data;

  if (drafts[i] == NULL)
    return;
  data = ndsh_draft_get_data (drafts[i]);
  memcpy (data, &number, sizeof number);
  memcpy (data + draft_sizes[i] - sizeof number, &number, sizeof number);
  g_assert (ndsh_draft_publish (drafts[i], NULL) == number);
  ndsh_draft_release (drafts[i]);
  drafts[i] = NULL;
}

/* What it maps is counted, and it is demoted for being slow only. */
static void
check_honest (void)
{
  const Reader *reader = guests[HONEST].joined;

  g_assert (reader->replaced.length >= n_replaced);
  if (asked_lossless && reader->slots.mode != NDSH_READ_LOSSLESS)
    g_assert (n_waits_ever >= 4);       /* each of 0.3 s */
  for (guint i = 0; i < n_held; i++) {
    check_held (&held[i]);
    g_assert (writer->slots.control->slot[held[i].lease.slot].state_seq
                == held[i].lease.word
              || writer->slots.control->slot[held[i].lease.slot].state_seq
                   == ndsh_word_withdrawn (held[i].lease.word));
  }
}

static void
check_bounds (void)
{
  const gsize others = 64 * MAX_PAGES * 4096;   /* control, pages, what is held */
  NdshWriterInfo info;
  NdshReaderInfo readers[N_GUESTS];

  ndsh_writer_get_info (writer, &info);
  g_assert (info.bytes <= writer->options.max_bytes);
  g_assert (info.retired_bytes <= 2 * writer->options.max_bytes);
  g_assert (fuzz_committed <= 3 * writer->options.max_bytes + others);
  g_assert (info.n_slots <= NDSH_N_SLOTS);
  for (guint n = ndsh_writer_get_readers (writer, readers, N_GUESTS); n > 0; n--) {
    g_assert (readers[n - 1].lag <= MAX (info.published - first, 1));
    g_assert (readers[n - 1].n_leases <= readers[n - 1].max_leases);
  }
  check_honest ();
}

static void
do_something (void)
{
  guint8 what = fuzz_u8 (&input);
  guint i = what / 16 % MAX_DRAFTS;

  n_turns = n_meddled = n_waits = 0;
  switch (what % 16) {
  case 0:
  case 1:
  case 2:
    begin (i, what >= 128);
    publish (i);
    break;
  case 3:
    begin (i, what >= 128);
    break;
  case 4:
    publish (i);
    break;
  case 5:
    ndsh_draft_release (drafts[i]);
    drafts[i] = NULL;
    break;
  case 6:
    join (i % HONEST);
    break;
  case 7:
    leave (i % HONEST);
    break;
  case 8:
    socket_full[i % N_GUESTS] = !socket_full[i % N_GUESTS];
    if (!socket_full[i % N_GUESTS] && wants_room[i % N_GUESTS]
        && guests[i % N_GUESTS].joined != NULL)
      ndsh_audience_callbacks.writable (writer, &guests[i % N_GUESTS]);
    break;
  case 9:
    n_until_meddle = 1 + fuzz_u8 (&input);
    break;
  case 10:
    ndsh_audience_callbacks.woken (writer);
    break;
  default:
    meddle ();
    break;
  }
  check_bounds ();
}

/* --- One input ------------------------------------------------------------ */

static void
set_up (void)
{
  NdshWriterOptions options = { .max_readers = N_GUESTS,
                                .lossless_timeout_us = G_USEC_PER_SEC };
  guint8 pages = fuzz_u8 (&input);

  options.max_bytes = pages >= 128 ? AMPLE : (8 + pages) * 4096;
  options.history = 1 + fuzz_u8 (&input) % 4;
  now_us = G_USEC_PER_SEC;
  busy = FALSE;
  n_replaced = n_waits_ever = 0;
  memset (told, 0, sizeof told);
  n_turns = n_until_meddle = n_meddled = n_waits = 0;
  writer = fuzz_writer_new (&options);
  writer->slots.published = first = fuzz_u32 (&input);
  writer->slots.first = first + 1;
  join (HONEST);
  join (LIAR);
}

static void
tear_down (void)
{
  n_until_meddle = n_turns = 0;
  while (n_held > 0)
    honest_release (0);
  for (guint i = 0; i < MAX_DRAFTS; i++) {
    ndsh_draft_release (drafts[i]);
    drafts[i] = NULL;
  }
  for (guint i = 0; i < N_GUESTS; i++)
    leave (i);
  g_assert (writer->slots.readers == NULL);
  ndsh_writer_unref (writer);
  g_assert (fuzz_committed == 0);
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  input = (FuzzInput){ data, size };
  set_up ();
  for (guint i = 0; i < MAX_STEPS && input.size > 0; i++)
    do_something ();
  tear_down ();
  return 0;
}
