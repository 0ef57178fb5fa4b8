/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A reader whose writer lies: the input is a script of what the writer writes into
 * the control page and its segments, honest frames among it, and of what the reader
 * does. Some writes are put off until the reader has looked so many times, in the
 * middle of a call, or done over and over. Each call does a bounded number of
 * steps, what is leased stays announced, what is copied is not, what is accepted lies
 * within its segment, and nothing is left over.
 */
#include "turns.h"

#include "../../lib/reader.c"
#include "../../lib/slots.c"

#include <sys/socket.h>

#include "array.h"
#include "fuzz.h"

#define KNOWN_SLOTS 4
#define SEGMENT (2 * 4096)
#define TAIL_AT 4096
#define MAX_STEPS 64

/* More than wait (), which finds a frame at most five times, each time after at
 * most NDSH_RING others in memory it does not know, each of those after at most
 * NDSH_RING that are gone; one such step looks at no more than 80 words. */
#define MAX_TURNS (5 * NDSH_RING * NDSH_RING * 80)

static NdshControl control;
static NdshLeasePage page;
static NdshSegment segments[KNOWN_SLOTS], control_segment, page_segment;
static NdshLink the_link;
static NdshWaiter waiter;
static int sockets[2];

static FuzzInput input;
static guint64 published;
static gsize n_turns, n_until_poke;
static guint every, busy_slot;  /* turns; where to publish then, again and again */

static NdshFrame *held[NDSH_HAZARDS];
static guint n_held;

/* --- What the writer does ------------------------------------------------- */

static void
set_frame (guint slot)
{
  NdshFrameRecord *r = &control.slot[slot].frame;
  gsize shape[] = { 16, 64 };
  NdshArrayInfo array;

  ndsh_array_info_init (&array, NDSH_DTYPE_UINT16, 2, shape);
  *r = (NdshFrameRecord){ .full_seq = published,
                          .payload_size = 2048,
                          .tail_offset = TAIL_AT,
                          .generation = 1,
                          .metadata_size = 4,
                          .description_size = 11,
                          .n_arrays = 1,
                          .ends = control.ends,
                          .format = 1 };
  r->arrays_size = (guint32) ndsh_arrays_packed_size (&array, 1);
  if (slot >= KNOWN_SLOTS)
    return;
  ndsh_arrays_pack (&array, 1, (guint8 *) segments[slot].data + TAIL_AT);
}

static void
publish (guint slot, gboolean withdrawn)
{
  guint32 word = ndsh_word (++published);

  set_frame (slot);
  control.slot[slot].state_seq = withdrawn ? ndsh_word_withdrawn (word) : word;
  control.ring[ndsh_word_ring (word)] = (guint8) slot;
  control.head = word;
}

static guint32
some_word (void)
{
  return ndsh_word (published) + 2 * (guint32) (gint8) fuzz_u8 (&input);
}

/* In the middle of a call as well. */
static void
write_something (void)
{
  guint8 what = fuzz_u8 (&input);
  guint8 where = fuzz_u8 (&input);

  switch (what % 12) {
  case 0:
    control.head = some_word ();
    break;
  case 1:
    control.ring[where % NDSH_RING] = fuzz_u8 (&input);
    break;
  case 2:
    control.slot[where].state_seq = some_word ();
    break;
  case 3:
    fuzz_poke (&input, &control.slot[where].frame, sizeof (NdshFrameRecord));
    break;
  case 4:
    fuzz_poke (&input, &control, offsetof (NdshControl, slot));
    break;
  case 5:
    fuzz_poke (&input, (guint8 *) segments[where % KNOWN_SLOTS].data + TAIL_AT,
               64);
    break;
  case 6:
    control.ends = where;
    break;
  case 7:
    control.writer_waiting = where;
    page.mode = fuzz_u8 (&input);
    page.waiting = fuzz_u8 (&input);
    break;
  case 8:
    publish (where, FALSE);
    break;
  case 9:
    publish (where, TRUE);
    break;
  case 10:
    page.share = where;
    page.room = fuzz_u8 (&input);
    break;
  default:
    published = fuzz_u32 (&input);
    break;
  }
}

static void
take_turn (void)
{
  g_assert (n_turns++ < MAX_TURNS);
  if (n_until_poke > 0 && --n_until_poke == 0)
    write_something ();
  if (every > 0 && n_turns % every == 0)
    publish (busy_slot, FALSE);
}

/* --- What the reader does ------------------------------------------------- */

static gboolean
is_copy (const NdshFrame *frame)
{
  const guint8 *data = ndsh_frame_get_data (frame);

  for (guint i = 0; i < KNOWN_SLOTS; i++)
    if (data == segments[i].data)
      return FALSE;
  return TRUE;
}

static gboolean
is_announced (const NdshFrame *frame)
{
  guint32 word = ndsh_word (ndsh_frame_get_sequence (frame));

  for (guint k = 0; k < the_link.leases.n_leases; k++)
    if (page.hazard[k] == word)
      return TRUE;
  return FALSE;
}

static void
check_leases (void)
{
  guint n_copies = 0, n = 0;

  for (guint i = 0; i < n_held; i++) {
    n_copies += is_copy (held[i]);
    g_assert (is_copy (held[i]) || is_announced (held[i]));
  }
  for (guint k = 0; k < NDSH_HAZARDS; k++)
    n += page.hazard[k] != 0;
  g_assert (n + n_copies == n_held && n_held <= the_link.leases.n_leases);
  g_assert (ndsh_leases_count (&the_link.leases) == n_held);
}

static void
acquire (NdshReader *reader)
{
  NdshFrame *frame = ndsh_reader_acquire (reader);

  if (frame == NULL)
    return;
  fuzz_check_frame (frame);
  g_assert (ndsh_frame_get_size (frame) <= SEGMENT);
  held[n_held++] = frame;
}

static void
release (guint i)
{
  if (n_held == 0)
    return;
  i %= n_held;
  fuzz_touch (ndsh_frame_get_data (held[i]), ndsh_frame_get_size (held[i]));
  ndsh_frame_release (held[i]);
  held[i] = held[--n_held];
}

static void
wait_now (NdshReader *reader)
{
  g_autoptr (GError) error = NULL;
  guint32 told = reader->told;
  gboolean has_frame = ndsh_reader_wait (reader, 0, &error);

  g_assert (has_frame == (error == NULL));
  g_assert (has_frame || error->domain == NDSH_ERROR);
  g_assert (g_error_matches (error, NDSH_ERROR, NDSH_ERROR_ENDED)
              ? ndsh_ends_distance (reader->told, told) > 0
              : reader->told == told);
}

static void
do_something (NdshReader *reader)
{
  NdshReaderInfo info;
  guint8 what = fuzz_u8 (&input);

  n_turns = 0;
  switch (what % 9) {
  case 0:
  case 1:
    acquire (reader);
    break;
  case 2:
    wait_now (reader);
    break;
  case 3:
    release (fuzz_u8 (&input));
    break;
  case 4:
    n_until_poke = fuzz_u8 (&input);
    if (n_until_poke < 16)
      every = (guint) n_until_poke;
    busy_slot = fuzz_u8 (&input);
    break;
  case 5:
    the_link.slot[fuzz_u8 (&input) % KNOWN_SLOTS].generation ^= 1;
    ndsh_leases_set_segments_handled (&the_link.leases, 1);
    break;
  case 6:
    ndsh_reader_get_info (reader, &info);
    g_assert (info.n_leases == n_held);
    the_link.gone = fuzz_u8 (&input) == 1;
    break;
  default:
    write_something ();
    break;
  }
  n_turns = 0;
  check_leases ();
}

/* --- One input ------------------------------------------------------------ */

static void
set_up_once (void)
{
  if (segments[0].data != NULL)
    return;
  for (guint i = 0; i < KNOWN_SLOTS; i++)
    segments[i] = (NdshSegment){ .data = fuzz_fence_new (SEGMENT) - SEGMENT,
                                 .size = SEGMENT,
                                 .fd = -1,
                                 .refs = 1 << 30 };
  control_segment = (NdshSegment){ .data = &control, .refs = 1 << 30 };
  page_segment = (NdshSegment){ .data = &page, .refs = 1 << 30 };
  g_assert (socketpair (AF_UNIX, SOCK_SEQPACKET, 0, sockets) == 0);
  g_assert (ndsh_waiter_init (&waiter));
}

static void
set_up_link (void)
{
  memset (&control, 0, sizeof control);
  memset (&page, 0, sizeof page);
  memset (&the_link, 0, sizeof the_link);
  the_link.refs = 1 << 30;      /* never the last */
  the_link.fd = sockets[0];
  the_link.process = ndsh_lifeline_process ();
  the_link.control = &control_segment;
  the_link.page = &page_segment;
  for (guint i = 0; i < KNOWN_SLOTS; i++) {
    the_link.slot[i].segment = &segments[i];
    the_link.slot[i].generation = 1;
    memset ((guint8 *) segments[i].data + TAIL_AT, 'd', 128);
  }
  the_link.leases.mode = fuzz_u8 (&input) % 3;
  the_link.leases.queue_length = 1 + fuzz_u8 (&input) % NDSH_MAX_QUEUE;
  the_link.leases.n_leases = 1 + fuzz_u8 (&input) % NDSH_HAZARDS;
  published = fuzz_u32 (&input);
  n_turns = n_until_poke = every = 0;
  ndsh_leases_init (&the_link.leases, &control, &page, ndsh_word (published));
}

static void
tear_down_link (void)
{
  if (the_link.spare != NULL)
    free (the_link.spare->data);
  g_free (the_link.spare);
  g_free (the_link.spare_frame);
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  NdshReader *reader = g_new0 (NdshReader, 1);

  input = (FuzzInput){ data, size };
  set_up_once ();
  set_up_link ();
  reader->name = g_strdup ("fuzz");
  reader->process = ndsh_lifeline_process ();
  reader->greeting_fd = -1;
  reader->waiter = waiter;
  reader->link = &the_link;

  for (guint i = 0; i < MAX_STEPS && input.size > 0 && reader->link != NULL; i++)
    do_something (reader);

  n_until_poke = n_turns = every = 0;
  while (n_held > 0)
    release (0);
  check_leases ();
  reader->waiter = (NdshWaiter){ -1, -1, -1 };      /* stays open */
  ndsh_reader_free (reader);
  tear_down_link ();
  return 0;
}
