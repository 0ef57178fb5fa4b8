/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Runs the library's own slots.c, wake.h, reader.c and link.c, a writer and its readers
 * as routines of the machine (machine.h), through all schedules within a bound, and checks
 * that what doc/architecture.md promises of leases, wake-ups and ends stays true.
 *
 *   explore                       all scenarios, small bounds
 *   explore --thorough            larger ones
 *   explore --mutants             breaks the code in known ways, each must be found
 *   explore --scenario NAME [--preemptions N --stale N] [--mutant NAME]
 *   explore --scenario NAME --replay CHOICES         prints one schedule's steps
 */
#include "atomics.h"

#include "../../lib/slots.c"

#include "explored.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_READERS = 2, MAX_LEASES = 2, MAX_SLOTS = 9, MAX_MESSAGES = 6 };

typedef struct {
  uint32_t mode;
  uint32_t queue_length;
  uint32_t n_leases;
  unsigned n_finds;               /* how often it looks for a frame; sleeps if 0 */
  uint32_t share;                 /* of the leases; 0: as many as it likes */
} ReaderPlan;

typedef struct {
  const char *name;
  uint64_t first;                 /* number of the first frame */
  unsigned n_before;              /* frames published before the readers come */
  unsigned n_frames;              /* and after */
  ReaderPlan reader[MAX_READERS];
  unsigned max_slots;             /* 0: as many as the formula has */
  bool scarce;                    /* no more than this can be leased at a time: */
  uint32_t max_leasable;
  unsigned mortal;                /* this reader may die, 1 is the first; 0: none */
  bool late;                      /* the first joins while the writer is at work */
  bool two_threads;               /* its frames are released by another thread */
  bool demotes;                   /* the writer will not wait for lossless readers */
  uint32_t ends;                  /* bit n: after the nth frame; all are waited for */
  bool begins_early;              /* each draft is begun before the end before it */
  bool grows;                     /* each frame is in new memory, announced late */
  MachineBounds bounds[2][2];     /* quick and thorough, two runs each */
} Scenario;

/* What one payload looks like to the machine: a value, and who reads it. */
typedef struct {
  uint32_t value;
  uint32_t reads[MACHINE_ROUTINES];
} Payload;

/* All that routines share. */
typedef struct {
  NdshControl control;
  NdshLeasePage page[MAX_READERS];
  NdshLink link;                  /* where two threads of a reader share it */
  Payload payload[MAX_SLOTS];
  Payload mapping[MAX_MESSAGES];  /* by the message that replaces it */
} World;

/* A lease, and the number of its frame. */
typedef struct {
  NdshLease lease;
  uint64_t number;
} Held;

typedef struct {
  const ReaderPlan *plan;
  NdshSlotsReader list_entry;
  NdshLink *link;
  NdshReader *reader;
  MachineToken bell;
  MachineToken welcome;
  MachineToken full, empty;       /* a frame handed to the other thread, and back */
  Held held[MAX_LEASES];          /* oldest first */
  unsigned n_held;
  unsigned leased[MAX_SLOTS];     /* how often it leases each slot */
  NdshSegmentMessage message[MAX_MESSAGES];     /* to it */
  NdshSegment segment;            /* whatever slot it is of */
  unsigned n_sent, n_received;
  unsigned n_unmapped;            /* as the writer has heard */
  uint64_t before;                /* number of the frame before its first */
  uint64_t last;                  /* number of the last frame taken */
  bool gone;                      /* taken off the list */
  bool dead;
  bool left;
  bool demoted;                   /* or is about to be */
  bool can_know;                  /* that it was */
  bool rung;                      /* the bell, and not for a message */
  struct {                        /* when it last looked for a frame */
    uint64_t published;
    bool could_know;
  } look;
} Reader;

/* Ways to use slots.c wrongly. */
static struct {
  bool told_too_early;
  bool one_slot_fewer;
  bool looks_before_arming;
  bool reads_after_release;
  bool ends_of_begin;
  bool joins_with_all_ends;
  bool copies_are_not_confirmed;
} misuse;

static const Scenario *scenario;
static NdshSlots slots;
static Reader readers[MAX_READERS];
static NdshLink private_links[MAX_READERS];
static unsigned n_readers;
static MachineToken writer_wake, mutex;
static uint64_t frame_in[MAX_SLOTS];      /* what was published there last */
static bool took_queued;                  /* frames that were kept for queues */

static World *
world (void)
{
  return (World *) machine_memory;
}

_Static_assert (sizeof (World) <= 64 * 1024, "fits the machine");

/* --- The writer, as writer.c composes it --- */

static bool
is_lossless (const Reader *reader)
{
  return reader->plan->mode == MODE_LOSSLESS && !reader->demoted;
}

static bool
any_lossless (void)
{
  for (unsigned r = 0; r < n_readers; r++)
    if (is_lossless (&readers[r]) && !readers[r].gone)
      return true;
  return false;
}

static void
check_claim (int i)
{
  for (unsigned r = 0; r < n_readers; r++) {
    machine_expect (readers[r].gone || readers[r].leased[i] == 0,
                    "I1: a leased slot is claimed");
    machine_expect (readers[r].gone || readers[r].dead || readers[r].left
                      || !is_lossless (&readers[r])
                      || frame_in[i] <= readers[r].last,
                    "lossless: a frame that was not yet had is claimed");
  }
}

/* A slot that was not claimed is as it was. */
static void
check_untouched (void)
{
  for (uint32_t i = 0; i < slots.n_slots; i++)
    machine_expect (slots.slot[i].frame == 0
                      || slots.control->slot[i].state_seq == slots.slot[i].state,
                    "a frame that was not claimed is gone");
}

static int
add (void)
{
  int i;

  if (misuse.one_slot_fewer && slots.n_slots + 1 >= count_needed (&slots))
    return -1;
  if (scenario->max_slots > 0 && slots.n_slots == scenario->max_slots)
    return -1;
  i = ndsh_slots_add (&slots);
  machine_expect (i < MAX_SLOTS, "more slots than the test has room for");
  if (i >= 0)
    slots.slot[i].capacity = 1;
  return i;
}

/* What is kept for queues goes last, as in store.c. */
static int
claim_or_add (void)
{
  bool claimed = true;
  int i;

  ndsh_slots_lossless_lag (&slots);
  i = ndsh_slots_claim (&slots, 1);
  if (i < 0) {
    i = add ();
    claimed = i < 0;
  }
  if (i < 0 && count_kept (&slots) > slots.history) {
    took_queued = true;
    i = ndsh_slots_claim_queued (&slots, 1);
  }
  if (i >= 0 && claimed)
    check_claim (i);
  check_untouched ();
  return i;
}

/* The service thread's work, which the mutex keeps out of a claim. */
static void
bury_the_dead (void)
{
  for (unsigned r = 0; r < n_readers; r++)
    if (readers[r].dead && !readers[r].gone) {
      readers[r].gone = true;
      ndsh_slots_leave (&slots, &readers[r].list_entry);
    }
}

/* Its time is over. */
static bool
demote_a_reader (void)
{
  for (unsigned r = 0; r < n_readers && scenario->demotes; r++)
    if (is_lossless (&readers[r]) && !readers[r].gone) {
      readers[r].demoted = true;
      ndsh_slots_demote (&readers[r].list_entry, readers[r].plan->queue_length);
      readers[r].can_know = true;
      return true;
    }
  return false;
}

/* -1 if it would not wait, as bounded memory has it. */
static int
begin (void)
{
  for (;;) {
    int i;

    bury_the_dead ();
    i = claim_or_add ();
    if (i >= 0)
      return i;
    machine_expect (!scenario->scarce || any_lossless (),
                    "I21: readers keep all slots from the writer");
    if (scenario->max_slots > 0 && !any_lossless ())
      return -1;
    machine_expect (any_lossless (), "I5: no slot, though the formula holds");
    if (demote_a_reader ())
      continue;
    if (!misuse.looks_before_arming) {
      ndsh_wake_arm_writer (slots.control);
      i = claim_or_add ();
      if (i >= 0) {
        ndsh_wake_disarm_writer (slots.control);
        return i;
      }
    } else
      ndsh_wake_arm_writer (slots.control);
    machine_take (&writer_wake);
  }
}

/* How many ends come before frame @number. */
static uint32_t
ends_before (uint64_t number)
{
  uint32_t n = 0;

  for (uint64_t after = 0; after <= number - scenario->first; after++)
    n += (scenario->ends >> after) & 1;
  return n;
}

/* @ends is what is in the record. */
static void
publish (int i, uint32_t ends)
{
  uint64_t number = slots.published + 1;

  /* The record is plain data of the same slot; the payload's checks cover it. */
  slots.control->slot[i].frame.full_seq = number;
  slots.control->slot[i].frame.generation = (uint32_t) number;
  slots.control->slot[i].frame.ends = ends;
  frame_in[i] = number;
  ndsh_slots_publish (&slots, i);
  ndsh_slots_release (&slots, i);
}

static void
wake_readers (void)
{
  for (unsigned r = 0; r < n_readers; r++)
    if (readers[r].plan->n_finds == 0 && !readers[r].gone
        && ndsh_wake_reader_sleeps (readers[r].list_entry.page)) {
      readers[r].rung = true;
      machine_give (&readers[r].bell);
    }
}

/* SEGMENT, which the service thread sends when there is room. */
static void
tell_readers (int i)
{
  for (unsigned r = 0; r < n_readers && scenario->grows; r++) {
    readers[r].message[readers[r].n_sent++] = (NdshSegmentMessage) {
      .slot = (uint32_t) i, .generation = (uint32_t) slots.published, .size = 1,
    };
    machine_give (&readers[r].bell);
  }
}

/* Memory that a reader says it has unmapped is the writer's again. */
static void
hear_unmapped (void)
{
  for (unsigned r = 0; r < n_readers && scenario->grows; r++) {
    NdshSlotsReport report = ndsh_slots_get_report (&readers[r].list_entry);

    for (; readers[r].n_unmapped < report.segments_handled;
         readers[r].n_unmapped++)
      machine_write_plain (
        &world ()->mapping[readers[r].n_unmapped].value, 1);
  }
}

static void
lock (void)
{
  if (scenario->late)
    machine_take (&mutex);
}

static void
unlock (void)
{
  if (scenario->late)
    machine_give (&mutex);
}

static bool
is_end (void)
{
  return (scenario->ends >> (slots.published + 1 - scenario->first)) & 1;
}

/* As ndsh_writer_end (), whose second call in a row does nothing. */
static void
end (void)
{
  if (!is_end ())
    return;
  lock ();
  ndsh_slots_end (&slots);
  unlock ();
  wake_readers ();
  ndsh_slots_end (&slots);
}

static void
writer (void)
{
  for (unsigned n = 0; n < scenario->n_frames; n++) {
    uint32_t ends;
    int i;

    if (!scenario->begins_early)
      end ();
    lock ();
    hear_unmapped ();
    i = begin ();
    ends = slots.ends;
    unlock ();
    if (i < 0)
      continue;
    if (scenario->begins_early)
      end ();
    machine_write_plain (&world ()->payload[i].value,
                         (uint32_t) (slots.published + 1));
    lock ();
    publish (i, misuse.ends_of_begin ? ends : slots.ends);
    unlock ();
    wake_readers ();
    tell_readers (i);
  }
  end ();
}

/* --- A reader: what reader.c and link.c call --- */

static Reader *
of_link (const NdshLink *link)
{
  return &readers[link->fd];
}

/* Of the writer's socket. */
void
explored_ring (int fd)
{
  (void) fd;
  machine_give (&writer_wake);
}

static bool
has_message (const Reader *reader)
{
  return reader->n_received < reader->n_sent;
}

/* A message is there until it is received, the bell's ring is there until somebody slept. */
bool
explored_sleep (NdshWaiter *waiter, int fd, int64_t deadline_us)
{
  Reader *reader = &readers[fd];

  (void) waiter;
  machine_expect (deadline_us < 0, "it does not wait for news");
  if (!has_message (reader)) {
    machine_take (&reader->bell);
    reader->rung = false;
  }
  return has_message (reader);
}

NdshIo
explored_receive (int fd, NdshMessage *message, GError **error)
{
  Reader *reader = &readers[fd];

  (void) error;
  if (!has_message (reader)) {
    if (!reader->rung)
      reader->bell.count = 0;
    return NDSH_IO_AGAIN;
  }
  message->type = NDSH_MESSAGE_SEGMENT;
  message->body.segment = reader->message[reader->n_received++];
  message->fds[0] = fd;
  message->fds[1] = message->fds[2] = -1;
  return NDSH_IO_DONE;
}

NdshSegment *
explored_open (int fd, guint64 size, gsize max_hole, NdshSegmentAccess access,
               GError **error)
{
  (void) size, (void) max_hole, (void) access, (void) error;
  return &readers[fd].segment;
}

/* What a message replaces is unmapped before it counts as handled. */
void
explored_unmap (NdshSegment *segment)
{
  const Reader *reader = segment == &readers[0].segment ? &readers[0] : &readers[1];

  machine_write_plain (&world ()->mapping[reader->n_received - 1].value, 0);
}

/* --- What it finds --- */

static void
read_payload (const Held *held)
{
  machine_expect (
    machine_read_plain (&world ()->payload[held->lease.slot].value)
      == (uint32_t) held->number,
    "I1: a leased frame changes");
}

/* What is copied may be of any frame, until it is confirmed. */
static bool
copy_payload (const NdshLink *link, const NdshLease *lease)
{
  const uint32_t *from = &world ()->payload[lease->slot].value;
  uint32_t value = machine_load (from, sizeof *from, RELAXED, __func__);

  if (!misuse.copies_are_not_confirmed
      && !ndsh_leases_confirm (&link->leases, lease))
    return false;
  machine_expect (value == (uint32_t) lease->record.full_seq,
                  "I2: what was copied is of another frame");
  return true;
}

/* How far a reader must have come, as it looks when find is called. */
static uint64_t
oldest_permitted (const Reader *reader, uint64_t published)
{
  uint64_t length
    = reader->plan->mode == MODE_LATEST ? 1 : reader->plan->queue_length;

  if (is_lossless (reader) || reader->last + length >= published)
    return reader->last + 1;
  return published - length + 1;
}

/* I2 and I3 of a frame that was just leased. */
static void
check_found (const Reader *reader, const NdshLease *lease)
{
  uint64_t number = lease->record.full_seq;

  machine_expect (ndsh_word (number) == lease->word,
                  "I2: the record is another frame's");
  machine_expect (number > reader->last, "I3: numbers go back");
  machine_expect (!machine_is_fresh () || reader->demoted
                    || number >= oldest_permitted (reader, reader->look.published),
                  "I3: an older frame than the mode permits");
  machine_expect (took_queued || reader->demoted || scenario->grows
                    || reader->link->leases.copied_too_late
                    || number <= oldest_permitted (reader, slots.published),
                  "I3: a frame was left out without need");
  machine_expect (number == (reader->last + 1) || !is_lossless (reader),
                  "lossless: a frame is missing");
}

static void
check_not_found (const Reader *reader, uint32_t had, uint64_t published)
{
  const NdshLeases *leases = &reader->link->leases;

  /* With two threads a hazard may not have been free yet. */
  if (!machine_is_fresh () || scenario->two_threads || scenario->grows)
    return;
  machine_expect (ndsh_word_distance (ndsh_word (published), leases->had) <= 0,
                  "there is a new frame, and it is not found");
  machine_expect (
    leases->had == had
      || ndsh_word_distance (ndsh_word (slots.published), leases->had) > 0,
    "I3: the newest frame is given up");
}

/* Number of the frame in head, which the writer may be about to store. */
static uint64_t
number_in_head (void)
{
  if (slots.control->head == 0)
    return scenario->first - 1;
  return slots.published
         - (slots.control->head != ndsh_word (slots.published));
}

/* The machine knows nothing of records: they are as they are now, whatever else the
 * reader sees. One that is copied lies between the same two looks as its payload, whose
 * checks cover it; here it is what it should be. */
static void
mend_record (NdshLease *lease)
{
  uint64_t number = scenario->first;

  while (ndsh_word (number) != lease->word)
    number++;
  lease->record.full_seq = number;
  lease->record.generation = (uint32_t) number;
  lease->record.ends = ends_before (number);
}

bool
explored_find (NdshLeases *leases, NdshLease *lease)
{
  NdshLink *link = (NdshLink *) ((char *) leases - offsetof (NdshLink, leases));
  Reader *reader = of_link (link);
  uint32_t had = leases->had;

  reader->look.published = number_in_head ();
  reader->look.could_know = reader->can_know;
  if (!ndsh_leases_find (leases, lease)) {
    check_not_found (reader, had, reader->look.published);
    return false;
  }
  if (lease->is_copy)
    mend_record (lease);
  if (!scenario->grows)
    link->slot[lease->slot].generation = lease->record.generation;
  if (ndsh_link_find_segment (link, lease) != NULL)
    check_found (reader, lease);
  return true;
}

static void
check_taken (const Reader *reader, const NdshLease *lease)
{
  machine_expect (explored_reader_get_told (reader->reader)
                    == ends_before (lease->record.full_seq),
                  "I22: the frame is of another part than what was told");
  machine_expect (!machine_is_fresh () || !reader->look.could_know
                    || reader->link->leases.mode == MODE_QUEUE,
                  "a reader does not know that it is demoted");
}

NdshFrame *
explored_frame_new (NdshLink *link, NdshSegment *segment, const NdshLease *lease,
                    NdshFormat **last, GError **error)
{
  Reader *reader = of_link (link);
  Held *held = &reader->held[reader->n_held];

  (void) segment, (void) last, (void) error;
  check_found (reader, lease);
  if (lease->is_copy && !copy_payload (link, lease))
    return NULL;
  check_taken (reader, lease);
  *held = (Held) { .lease = *lease, .number = lease->record.full_seq };
  reader->leased[lease->slot] += !lease->is_copy;
  reader->last = held->number;
  reader->n_held++;
  if (!lease->is_copy)
    read_payload (held);
  return (NdshFrame *) held;
}

/* --- Its routine --- */

/* As ndsh_frame_release (). */
static void
give_back (Reader *reader, const Held *held)
{
  if (!held->lease.is_copy) {
    if (!misuse.reads_after_release)
      read_payload (held);
    reader->leased[held->lease.slot]--;
  }
  ndsh_link_release (reader->link, held->lease.hazard);
  if (misuse.reads_after_release && !held->lease.is_copy)
    read_payload (held);
}

static Held
pop_oldest (Reader *reader)
{
  Held oldest = reader->held[0];

  reader->n_held--;
  reader->held[0] = reader->held[1];
  return oldest;
}

static void
release_oldest (Reader *reader)
{
  Held held;

  if (scenario->two_threads) {
    machine_give (&reader->full);
    machine_take (&reader->empty);
    return;
  }
  held = pop_oldest (reader);
  give_back (reader, &held);
}

/* A frame or an end; where it does not wait, maybe nothing. */
static void
read_one (Reader *reader)
{
  GError *error = NULL;

  if (reader->plan->n_finds > 0)
    ndsh_reader_acquire (reader->reader);
  else
    ndsh_reader_read (reader->reader, -1, &error);
  machine_expect (error == NULL || error->code == NDSH_ERROR_ENDED,
                  "a reader waits, and is told something else");
  machine_expect (explored_reader_get_told (reader->reader) <= slots.ends,
                  "I22: an end is told that was not said");
  g_clear_error (&error);
}

static uint64_t
last_number (void)
{
  return scenario->first + scenario->n_before + scenario->n_frames - 1;
}

static bool
has_enough (const Reader *reader, unsigned finds)
{
  if (scenario->ends != 0)
    return reader->last == last_number ()
           && explored_reader_get_told (reader->reader)
                == ends_before (last_number () + 1);
  return reader->last == last_number ()
         || (reader->plan->n_finds > 0 && finds == reader->plan->n_finds);
}

static void
read_frames (Reader *reader)
{
  if (scenario->late && reader == &readers[0])
    machine_take (&reader->welcome);
  for (unsigned finds = 0; !has_enough (reader, finds); finds++) {
    if (reader->n_held == reader->plan->n_leases)
      release_oldest (reader);
    read_one (reader);
  }
  while (reader->n_held > 0)
    release_oldest (reader);
  if (reader->plan->mode == MODE_LOSSLESS) {
    reader->left = true;
    explored_reader_leave (reader->reader);
  }
  if (scenario->two_threads)
    machine_give (&reader->full);       /* nothing follows */
}

static void
first_reader (void)
{
  read_frames (&readers[0]);
}

static void
second_reader (void)
{
  read_frames (&readers[1]);
}

/* Another thread of the first reader's process, as a buffer's last unref. The
 * hand-over takes the frame; its hazard is released while the reader goes on. */
static void
releaser (void)
{
  Reader *reader = &readers[0];

  for (;;) {
    Held held;

    machine_take (&reader->full);
    if (reader->n_held == 0)
      return;
    held = pop_oldest (reader);
    machine_give (&reader->empty);
    give_back (reader, &held);
  }
}

/* --- Coming and going --- */

static void
prepare_reader (unsigned r)
{
  Reader *reader = &readers[r];
  const ReaderPlan *plan = reader->plan;

  reader->list_entry = (NdshSlotsReader) {
    .page = &world ()->page[r],
    .mode = plan->mode,
    .queue_length = plan->queue_length,
    .n_leases = plan->n_leases,
  };
  *reader->link = (NdshLink) {
    .refs = 2,
    .fd = (int) r,
    .leases = { .mode = plan->mode,
                .queue_length = plan->queue_length,
                .n_leases = plan->n_leases },
  };
  for (unsigned i = 0; i < MAX_SLOTS; i++)
    reader->link->slot[i].segment = &reader->segment;
  world ()->page[r].share = plan->share;
  world ()->page[r].queue_length = plan->queue_length;
  machine_ignore (&world ()->page[r].queue_length);
  machine_ignore (&world ()->page[r].share);
  machine_ignore (&world ()->page[r].delivered);
  machine_ignore (&world ()->page[r].missed);
}

/* What WELCOME tells it. */
static void
welcome (Reader *reader, uint64_t last)
{
  reader->last = reader->before = last;
  reader->link->ends
    = misuse.joins_with_all_ends ? slots.ends : reader->list_entry.ends;
  ndsh_leases_init (&reader->link->leases, &world ()->control,
                    reader->list_entry.page, ndsh_word (last));
  reader->reader = explored_reader_join (reader->link);
}

static void
admit (Reader *reader)
{
  ndsh_slots_join (&slots, &reader->list_entry);
  welcome (reader, slots.published - (slots.control->head != 0));
}

/* The writer's service thread at a HELLO. */
static void
service (void)
{
  Reader *reader = &readers[0];

  if (misuse.told_too_early) {
    welcome (reader, slots.published - 1);
    machine_give (&reader->welcome);
    machine_take (&mutex);
    ndsh_slots_join (&slots, &reader->list_entry);
    machine_give (&mutex);
    return;
  }
  machine_take (&mutex);
  admit (reader);
  machine_give (&mutex);
  machine_give (&reader->welcome);
}

static void
reader_died (unsigned routine)
{
  readers[routine - 1].dead = true;
  writer_wake.count = 1;          /* its socket hangs up */
}

static void
set_up (void)
{
  memset (&slots, 0, offsetof (NdshSlots, slot));
  memset (slots.slot, 0, MAX_SLOTS * sizeof slots.slot[0]);
  memset (readers, 0, sizeof readers);
  memset (frame_in, 0, sizeof frame_in);
  took_queued = false;
  n_readers = 0;
  memset (&writer_wake, 0, sizeof writer_wake);
  mutex = (MachineToken) { .count = 1, .orders = true };

  ndsh_slots_init (&slots, &world ()->control, 1, scenario->first);
  if (scenario->scarce)
    slots.max_leasable = scenario->max_leasable;
  for (unsigned n = 0; n < scenario->n_before; n++) {
    int i = claim_or_add ();

    world ()->payload[i].value = (uint32_t) (slots.published + 1);
    if (is_end ())
      ndsh_slots_end (&slots);
    publish (i, slots.ends);
  }
  n_readers = scenario->reader[1].n_leases > 0 ? 2 : 1;
  for (unsigned r = 0; r < n_readers; r++) {
    readers[r].plan = &scenario->reader[r];
    readers[r].link
      = scenario->two_threads ? &world ()->link : &private_links[r];
    readers[r].welcome.orders = true;
    readers[r].full.orders = readers[r].empty.orders = true;
    prepare_reader (r);
    if (!scenario->late || r > 0)
      admit (&readers[r]);
  }
}

/* I6, and nothing is lost: with all readers gone each slot but the newest frame's
 * can be claimed. */
static void
check_end (void)
{
  unsigned claimed = 0;

  for (unsigned r = 0; r < n_readers; r++) {
    machine_expect (readers[r].dead || readers[r].plan->mode != MODE_LOSSLESS
                      || readers[r].plan->n_finds > 0
                      || readers[r].last == last_number (),
                    "lossless: the last frame was not had");
    machine_expect (readers[r].dead
                      || ndsh_slots_count_leases (&readers[r].list_entry) == 0,
                    "a hazard stays behind");
    machine_expect (readers[r].dead || ndsh_leases_count (&readers[r].link->leases) == 0,
                    "a hazard cannot be used again");
    machine_expect (readers[r].dead
                      || readers[r].link->leases.delivered + readers[r].link->leases.missed
                           == readers[r].last - readers[r].before,
                    "I3: a gap is not counted");
    if (!readers[r].gone)
      ndsh_slots_leave (&slots, &readers[r].list_entry);
    readers[r].gone = true;
  }
  while (ndsh_slots_claim (&slots, 1) >= 0)
    claimed++;
  machine_expect (claimed == slots.n_slots - 1, "I6: a slot does not come back");
}

static void
name_location (const void *p, char *name, size_t size)
{
  size_t at = (size_t) ((const uint8_t *) p - machine_memory);
  size_t page_at;

  if (at >= offsetof (World, payload))
    snprintf (name, size, "payload[%zu]",
              (at - offsetof (World, payload)) / sizeof (Payload));
  else if (at >= offsetof (World, link))
    snprintf (name, size, "used");
  else if (at >= offsetof (World, page)) {
    page_at = (at - offsetof (World, page)) % sizeof (NdshLeasePage);
    snprintf (name, size, "page[%zu].%s[%zu]",
              (at - offsetof (World, page)) / sizeof (NdshLeasePage),
              page_at < 256    ? "hazard"
              : page_at == 256 ? "waiting"
              : page_at == 384 ? "cursor"
                               : "",
              page_at < 256 ? page_at / 4 : page_at);
  } else if (at >= offsetof (NdshControl, slot))
    snprintf (name, size, "slot[%zu].state_seq",
              (at - offsetof (NdshControl, slot)) / sizeof (NdshRecord));
  else if (at >= offsetof (NdshControl, ring)
           && at < offsetof (NdshControl, ring) + NDSH_RING)
    snprintf (name, size, "ring[%zu]", at - offsetof (NdshControl, ring));
  else
    snprintf (name, size, "%s",
              at == offsetof (NdshControl, head)             ? "head"
              : at == offsetof (NdshControl, ends)           ? "ends"
              : at == offsetof (NdshControl, writer_waiting) ? "writer_waiting"
                                                             : "control");
}

/* The threads of one process that use a hazard must agree whose turn it is. */
static bool
is_a_hazard (const void *p)
{
  size_t at = (size_t) ((const uint8_t *) p - machine_memory);

  return at >= offsetof (World, page) && at < offsetof (World, link)
         && (at - offsetof (World, page)) % sizeof (NdshLeasePage)
              < sizeof world ()->page[0].hazard;
}

/* --- Scenarios --- */

#define LATEST(leases, finds) { MODE_LATEST, 1, leases, finds, 0 }
#define SHARE(share, leases, finds) { MODE_LATEST, 1, leases, finds, share }
#define QUEUE(length, leases, finds) { MODE_QUEUE, length, leases, finds, 0 }
#define LOSSLESS(leases) { MODE_LOSSLESS, 1, leases, 0, 0 }
#define LOSSLESS_UNTIL(finds) { MODE_LOSSLESS, 1, 1, finds, 0 }

static const Scenario scenarios[] = {
  { .name = "the-end", .first = 1, .n_frames = 2,
    .reader = { LATEST (1, 0) }, .ends = 1u << 2,
    .bounds = { { { 3, 1 }, { 4, 0 } }, { { 5, 0 }, { 4, 1 } } } },
  { .name = "parts", .first = 1, .n_frames = 2,
    .reader = { LATEST (1, 0) }, .ends = 1u << 1 | 1u << 2,
    .bounds = { { { 3, 1 }, { 4, 0 } }, { { 5, 0 }, { 4, 1 } } } },
  { .name = "parts-and-a-queue", .first = 1, .n_frames = 3,
    .reader = { QUEUE (2, 1, 0) }, .ends = 1u << 1 | 1u << 2 | 1u << 3,
    .bounds = { { { 2, 1 }, { 3, 0 } }, { { 4, 0 }, { 3, 1 } } } },
  { .name = "parts-without-loss", .first = 1, .n_frames = 3,
    .reader = { LOSSLESS (1) }, .ends = 1u << 0 | 1u << 1 | 1u << 3,
    .begins_early = true,
    .bounds = { { { 2, 1 }, { 3, 0 } }, { { 4, 0 }, { 3, 1 } } } },
  { .name = "a-reader-joins-after-a-part", .first = 1, .n_before = 1, .n_frames = 2,
    .reader = { LATEST (1, 0) }, .late = true, .ends = 1u << 0 | 1u << 1 | 1u << 3,
    .bounds = { { { 2, 1 }, { 3, 0 } }, { { 4, 0 }, { 3, 1 } } } },
  { .name = "memory-is-announced-late", .first = 1, .n_frames = 3,
    .reader = { LATEST (1, 0) }, .grows = true,
    .bounds = { { { 2, 1 }, { 3, 0 } }, { { 4, 0 }, { 3, 1 } } } },
  { .name = "memory-of-a-queue", .first = 1, .n_frames = 3,
    .reader = { QUEUE (2, 2, 0) }, .grows = true,
    .bounds = { { { 2, 1 }, { 3, 0 } }, { { 4, 0 }, { 3, 1 } } } },
  { .name = "a-lossless-reader-leaves", .first = 1, .n_frames = 4,
    .max_slots = 2, .reader = { LOSSLESS_UNTIL (1) },
    .bounds = { { { 2, 1 }, { 3, 0 } }, { { 4, 0 }, { 3, 1 } } } },
  { .name = "latest", .first = 1, .n_before = 1, .n_frames = 5,
    .reader = { LATEST (2, 4) },
    .bounds = { { { 3, 1 }, { 4, 0 } }, { { 5, 0 }, { 4, 1 } } } },
  { .name = "latest-from-nothing", .first = 1, .n_frames = 4,
    .reader = { LATEST (1, 4) },
    .bounds = { { { 3, 1 }, { 4, 0 } }, { { 5, 0 }, { 4, 1 } } } },
  { .name = "two-readers", .first = 1, .n_before = 1, .n_frames = 4,
    .reader = { LATEST (1, 2), LATEST (1, 2) },
    .bounds = { { { 2, 1 }, { 3, 0 } }, { { 4, 0 }, { 3, 1 } } } },
  { .name = "queue", .first = 1, .n_before = 1, .n_frames = 5,
    .reader = { QUEUE (2, 2, 4) },
    .bounds = { { { 3, 1 }, { 4, 0 } }, { { 5, 0 }, { 4, 1 } } } },
  { .name = "queue-and-latest", .first = 1, .n_before = 1, .n_frames = 4,
    .reader = { QUEUE (2, 1, 2), LATEST (1, 2) },
    .bounds = { { { 2, 1 }, { 3, 0 } }, { { 4, 0 }, { 3, 1 } } } },
  { .name = "lossless", .first = 1, .n_before = 1, .n_frames = 4,
    .reader = { LOSSLESS (1) },
    .bounds = { { { 2, 1 }, { 3, 0 } }, { { 4, 0 }, { 3, 1 } } } },
  { .name = "lossless-and-latest", .first = 1, .n_before = 1, .n_frames = 4,
    .reader = { LOSSLESS (1), LATEST (1, 2) },
    .bounds = { { { 1, 1 }, { 2, 0 } }, { { 3, 0 }, { 2, 1 } } } },
  { .name = "a-reader-dies", .first = 1, .n_before = 1, .n_frames = 4,
    .reader = { LATEST (2, 3) }, .mortal = 1,
    .bounds = { { { 2, 1 }, { 3, 0 } }, { { 4, 0 }, { 3, 1 } } } },
  { .name = "a-lossless-reader-dies", .first = 1, .n_before = 1, .n_frames = 4,
    .reader = { LOSSLESS (1) }, .mortal = 1,
    .bounds = { { { 1, 1 }, { 2, 0 } }, { { 3, 0 }, { 2, 1 } } } },
  { .name = "a-reader-joins", .first = 1, .n_before = 2, .n_frames = 3,
    .reader = { LATEST (1, 2) }, .late = true,
    .bounds = { { { 2, 1 }, { 3, 0 } }, { { 4, 0 }, { 3, 1 } } } },
  { .name = "another-thread-releases", .first = 1, .n_before = 1, .n_frames = 3,
    .reader = { LATEST (1, 3) }, .two_threads = true,
    .bounds = { { { 2, 1 }, { 3, 0 } }, { { 4, 0 }, { 3, 1 } } } },
  { .name = "wake-the-reader", .first = 1, .n_frames = 3,
    .reader = { LATEST (1, 0) },
    .bounds = { { { 3, 1 }, { 4, 0 } }, { { 5, 0 }, { 4, 1 } } } },
  { .name = "wake-two-readers", .first = 1, .n_frames = 2,
    .reader = { LATEST (1, 0), QUEUE (2, 1, 0) },
    .bounds = { { { 2, 1 }, { 3, 0 } }, { { 4, 0 }, { 3, 1 } } } },
  { .name = "wake-the-writer", .first = 1, .n_frames = 5,
    .reader = { LOSSLESS (1) },
    .bounds = { { { 1, 2 }, { 3, 0 } }, { { 4, 0 }, { 3, 1 } } } },
  { .name = "wake-the-writer-of-few-slots", .first = 1, .n_frames = 4,
    .max_slots = 2, .reader = { LOSSLESS (2) },
    .bounds = { { { 2, 2 }, { 3, 0 } }, { { 4, 0 }, { 3, 1 } } } },
  { .name = "words-wrap", .first = 0x7ffffffe, .n_before = 1, .n_frames = 4,
    .reader = { QUEUE (2, 2, 3) },
    .bounds = { { { 3, 1 }, { 4, 0 } }, { { 5, 0 }, { 4, 1 } } } },
  { .name = "words-wrap-lossless", .first = 0x7ffffffe, .n_before = 1,
    .n_frames = 4, .reader = { LOSSLESS (2) },
    .bounds = { { { 2, 1 }, { 3, 0 } }, { { 4, 0 }, { 3, 1 } } } },
  { .name = "numbers-wrap", .first = 0xfffffffe, .n_before = 1, .n_frames = 4,
    .reader = { LATEST (2, 3) },
    .bounds = { { { 3, 1 }, { 4, 0 } }, { { 5, 0 }, { 4, 1 } } } },
  { .name = "numbers-near-the-wrap", .first = 0xfffffff0, .n_before = 1,
    .n_frames = 18, .reader = { LATEST (1, 6) },
    .bounds = { { { 1, 1 }, { 2, 0 } }, { { 3, 0 }, { 2, 1 } } } },
  { .name = "two-leases-each", .first = 1, .n_before = 1, .n_frames = 3,
    .reader = { LATEST (2, 3), LATEST (2, 2) },
    .bounds = { { { 1, 2 }, { 3, 0 } }, { { 4, 0 }, { 3, 1 } } } },
  { .name = "one-of-two-readers-dies", .first = 1, .n_before = 1, .n_frames = 3,
    .reader = { LATEST (2, 2), LATEST (2, 2) }, .mortal = 1,
    .bounds = { { { 1, 1 }, { 2, 0 } }, { { 3, 0 }, { 2, 1 } } } },
  { .name = "one-joins-and-one-dies", .first = 1, .n_before = 2, .n_frames = 2,
    .reader = { LATEST (1, 2), LATEST (2, 2) }, .late = true, .mortal = 2,
    .bounds = { { { 1, 1 }, { 2, 0 } }, { { 3, 0 }, { 2, 1 } } } },
  { .name = "queue-and-lossless", .first = 1, .n_before = 1, .n_frames = 3,
    .reader = { LOSSLESS (1), QUEUE (2, 2, 2) },
    .bounds = { { { 1, 2 }, { 2, 1 } }, { { 4, 0 }, { 3, 1 } } } },
  { .name = "queues-and-few-slots", .first = 1, .n_before = 3, .n_frames = 3,
    .reader = { QUEUE (3, 1, 2), LATEST (1, 2) }, .max_slots = 3,
    .bounds = { { { 2, 1 }, { 3, 0 } }, { { 4, 0 }, { 3, 1 } } } },
  { .name = "leases-are-scarce", .first = 1, .n_before = 1, .n_frames = 5,
    .reader = { LATEST (2, 4) }, .max_slots = 3, .scarce = true, .max_leasable = 1,
    .bounds = { { { 2, 1 }, { 3, 0 } }, { { 4, 0 }, { 3, 1 } } } },
  { .name = "no-frame-can-be-leased", .first = 1, .n_before = 1, .n_frames = 4,
    .reader = { LATEST (1, 3) }, .max_slots = 2, .scarce = true,
    .bounds = { { { 2, 2 }, { 3, 1 } }, { { 5, 0 }, { 3, 2 } } } },
  { .name = "two-readers-and-one-lease", .first = 1, .n_before = 1, .n_frames = 4,
    .reader = { LATEST (1, 2), LATEST (2, 2) }, .max_slots = 3, .scarce = true,
    .max_leasable = 1,
    .bounds = { { { 2, 1 }, { 3, 0 } }, { { 4, 0 }, { 3, 1 } } } },
  { .name = "a-queue-copies", .first = 1, .n_before = 1, .n_frames = 4,
    .reader = { QUEUE (2, 2, 3) }, .max_slots = 4, .scarce = true, .max_leasable = 1,
    .bounds = { { { 2, 1 }, { 3, 0 } }, { { 4, 0 }, { 3, 1 } } } },
  { .name = "a-lossless-reader-copies", .first = 1, .n_before = 1, .n_frames = 4,
    .reader = { LOSSLESS (2) }, .max_slots = 3, .scarce = true, .max_leasable = 1,
    .bounds = { { { 2, 1 }, { 3, 0 } }, { { 4, 0 }, { 3, 1 } } } },
  { .name = "a-reader-has-its-share", .first = 1, .n_before = 1, .n_frames = 4,
    .reader = { SHARE (1, 2, 4) },
    .bounds = { { { 2, 1 }, { 3, 0 } }, { { 4, 0 }, { 3, 1 } } } },
  { .name = "one-dies-with-the-only-lease", .first = 1, .n_before = 1, .n_frames = 4,
    .reader = { LATEST (2, 2), LATEST (1, 2) }, .max_slots = 3, .scarce = true,
    .max_leasable = 1, .mortal = 1,
    .bounds = { { { 1, 1 }, { 2, 0 } }, { { 3, 0 }, { 2, 1 } } } },
  { .name = "words-wrap-withdrawn", .first = 0x7ffffffe, .n_before = 1,
    .n_frames = 4, .reader = { LATEST (2, 4) }, .max_slots = 4, .scarce = true,
    .bounds = { { { 2, 1 }, { 3, 0 } }, { { 4, 0 }, { 3, 1 } } } },
  { .name = "a-lossless-reader-is-demoted", .first = 1, .n_frames = 4,
    .max_slots = 3, .reader = { LOSSLESS (1) }, .demotes = true,
    .bounds = { { { 2, 1 }, { 3, 0 } }, { { 4, 0 }, { 3, 1 } } } },
};

enum { N_SCENARIOS = sizeof scenarios / sizeof scenarios[0] };

static const Mutant mutants[] = {
  MUTANT_ROWS,
  /* Those of functions that the above leave alone. */
  { "claim-is-not-taken-back", "claim_frame", STORE, RELEASE, LEAVE_OUT, 0, 0 },
  { "hazard-is-not-marked", "lease_or_copy", RMW, RELAXED, LEAVE_OUT, 0, 0 },
  { "mark-is-not-cleared", "ndsh_leases_release", RMW, RELEASE, LEAVE_OUT, 0, 0 },
  { "mark-is-cleared-relaxed", "ndsh_leases_release", RMW, RELEASE, WEAKEN,
    RELAXED, 0 },
  { "look-at-marks-is-relaxed", "find_free_hazard", LOAD, ACQUIRE, WEAKEN, RELAXED,
    0 },
  { "leave-is-not-stored", "ndsh_leases_leave", STORE, SEQ_CST, LEAVE_OUT, 0, 0 },
  { "ends-store-is-release", "ndsh_slots_end", STORE, SEQ_CST, WEAKEN, RELEASE, 0 },
  { "ends-store-is-relaxed", "ndsh_slots_end", STORE, SEQ_CST, WEAKEN, RELAXED, 0 },
  { "ends-are-not-stored", "ndsh_slots_end", STORE, SEQ_CST, LEAVE_OUT, 0, 0 },
  { "readers-are-rung-before-the-end", "ndsh_slots_end", STORE, SEQ_CST, POSTPONE, 0,
    "ndsh_wake_reader_sleeps" },
  { "ends-load-is-acquire", "ndsh_leases_get_ends", LOAD, SEQ_CST, WEAKEN, ACQUIRE,
    0 },
  { "ends-load-is-relaxed", "ndsh_leases_get_ends", LOAD, SEQ_CST, WEAKEN, RELAXED,
    0 },
  { "handled-is-relaxed", "ndsh_leases_set_segments_handled", STORE, SEQ_CST, WEAKEN,
    RELAXED, 0 },
  { "look-at-handled-is-relaxed", "ndsh_slots_get_report", LOAD, SEQ_CST, WEAKEN,
    RELAXED, 0 },
  { "withdrawal-is-release", "withdraw", STORE, SEQ_CST, WEAKEN, RELEASE, 0 },
  { "withdrawal-is-not-stored", "withdraw", STORE, SEQ_CST, LEAVE_OUT, 0, 0 },
  { "scan-before-the-withdrawal", "withdraw", STORE, SEQ_CST, POSTPONE, 0,
    "is_leased" },
  { "claim-without-a-fence-for-copies", "claim_frame", FENCE, RELEASE, LEAVE_OUT, 0,
    0 },
  { "copy-without-a-fence", "ndsh_leases_confirm", FENCE, ACQUIRE, LEAVE_OUT, 0, 0 },
  { "demotion-is-not-stored", "ndsh_slots_demote", STORE, SEQ_CST, LEAVE_OUT, 0, 0 },
  /* Misuse of slots.c, done in this file. */
  { "told-before-joined", 0, NO_OPERATION, 0, WEAKEN, 0, 0 },
  { "one-slot-fewer", 0, NO_OPERATION, 0, WEAKEN, 0, 0 },
  { "looks-before-arming", 0, NO_OPERATION, 0, WEAKEN, 0, 0 },
  { "reads-after-release", 0, NO_OPERATION, 0, WEAKEN, 0, 0 },
  { "ends-of-begin", 0, NO_OPERATION, 0, WEAKEN, 0, 0 },
  { "joins-with-all-ends", 0, NO_OPERATION, 0, WEAKEN, 0, 0 },
  { "copies-are-not-confirmed", 0, NO_OPERATION, 0, WEAKEN, 0, 0 },
};

enum { N_MUTANTS = sizeof mutants / sizeof mutants[0] };

static void
set_misuse (const Mutant *mutant)
{
  const char *name = mutant != NULL ? mutant->name : "";

  misuse.told_too_early = strcmp (name, "told-before-joined") == 0;
  misuse.one_slot_fewer = strcmp (name, "one-slot-fewer") == 0;
  misuse.looks_before_arming = strcmp (name, "looks-before-arming") == 0;
  misuse.reads_after_release = strcmp (name, "reads-after-release") == 0;
  misuse.ends_of_begin = strcmp (name, "ends-of-begin") == 0;
  misuse.joins_with_all_ends = strcmp (name, "joins-with-all-ends") == 0;
  misuse.copies_are_not_confirmed = strcmp (name, "copies-are-not-confirmed") == 0;
}

static MachineProgram
make_program (const Scenario *s, const Mutant *mutant,
              MachineBounds bounds)
{
  MachineProgram program = {
    .n_routines = 2,
    .routine = { writer, first_reader },
    .is_owned = is_a_hazard,
    .set_up = set_up,
    .died = reader_died,
    .check = check_end,
    .name = name_location,
    .bounds = bounds,
    .mutant = mutant != NULL && mutant->function != NULL ? mutant : NULL,
  };

  scenario = s;
  program.mortal[s->mortal] = s->mortal > 0;
  set_misuse (mutant);
  if (s->reader[1].n_leases > 0)
    program.routine[program.n_routines++] = second_reader;
  if (s->late)
    program.routine[program.n_routines++] = service;
  if (s->two_threads)
    program.routine[program.n_routines++] = releaser;
  return program;
}

/* --- Running them --- */

typedef struct {
  const char *scenario;
  const char *mutant;
  const char *replay;
  int preemptions;                /* -1: as the scenario has it */
  int stale;
  bool thorough;
  bool all_mutants;
} Options;

static void
print_violation (const Scenario *s, const Mutant *mutant,
                 MachineBounds bounds, const char *what)
{
  printf ("%s: %s\n  replay with --scenario %s%s%s --preemptions %u --stale %u"
          " --replay ",
          s->name, what, s->name, mutant != NULL ? " --mutant " : "",
          mutant != NULL ? mutant->name : "", bounds.preemptions, bounds.stale);
  machine_print_choices ();
}

static bool
is_good (const Scenario *s, MachineBounds bounds)
{
  MachineProgram program = make_program (s, NULL, bounds);
  clock_t start = clock ();
  MachineResult result = machine_explore (&program, 0);

  if (result.violation != NULL) {
    print_violation (s, NULL, bounds, result.violation);
    return false;
  }
  printf ("%-24s %u preemptions %u stale %10lu schedules of up to %3lu steps"
          " %7.2f s\n",
          s->name, bounds.preemptions, bounds.stale, result.schedules,
          result.longest, (double) (clock () - start) / CLOCKS_PER_SEC);
  fflush (stdout);
  return true;
}

static MachineBounds
choose_bounds (const Options *options, const Scenario *s, unsigned run)
{
  MachineBounds bounds = s->bounds[options->thorough][run];

  if (options->preemptions >= 0)
    bounds.preemptions = (unsigned) options->preemptions;
  if (options->stale >= 0)
    bounds.stale = (unsigned) options->stale;
  return bounds;
}

static bool
is_wanted (const Options *options, const Scenario *s)
{
  return options->scenario == NULL || strcmp (options->scenario, s->name) == 0;
}

static bool
run_scenarios (const Options *options)
{
  bool good = true;

  for (unsigned i = 0; i < N_SCENARIOS; i++)
    for (unsigned run = 0; run < 2 && is_wanted (options, &scenarios[i]); run++)
      good &= is_good (&scenarios[i],
                       choose_bounds (options, &scenarios[i], run));
  return good;
}

/* Most are noticed within small bounds; those of the scenarios come last. */
static const MachineBounds small_bounds[] = { { 1, 0 }, { 1, 1 }, { 2, 0 }, { 2, 1 } };

enum { N_SMALL = sizeof small_bounds / sizeof small_bounds[0] };

static MachineBounds
choose_bounds_of_run (const Options *options, const Scenario *s, unsigned run)
{
  return run < N_SMALL && options->preemptions < 0 && options->stale < 0
           ? small_bounds[run]
           : choose_bounds (options, s, run % 2);
}

/* Finds the first scenario that notices @mutant. */
static bool
is_caught (const Options *options, const Mutant *mutant)
{
  unsigned long schedules = 0;

  for (unsigned run = 0; run < N_SMALL + 2; run++)
    for (unsigned i = 0; i < N_SCENARIOS; i++) {
      MachineBounds bounds
        = choose_bounds_of_run (options, &scenarios[i], run);
      MachineProgram program = make_program (&scenarios[i], mutant, bounds);
      MachineResult result;

      if (!is_wanted (options, &scenarios[i]))
        continue;
      result = machine_explore (&program, 0);
      schedules += result.schedules;
      if (result.violation == NULL)
        continue;
      printf ("%-34s %-24s %8lu %s\n", mutant->name, scenarios[i].name,
              schedules, result.violation);
      if (options->mutant != NULL)
        print_violation (&scenarios[i], mutant, bounds, result.violation);
      fflush (stdout);
      return true;
    }
  printf ("%-34s is not noticed in %lu schedules\n", mutant->name, schedules);
  return false;
}

static bool
run_mutants (const Options *options)
{
  bool good = true;

  for (unsigned i = 0; i < N_MUTANTS; i++)
    if (options->all_mutants
        || strcmp (options->mutant, mutants[i].name) == 0)
      good &= is_caught (options, &mutants[i]);
  return good;
}

static bool
replay (const Options *options)
{
  const Mutant *mutant = NULL;
  bool good = true;

  for (unsigned i = 0; i < N_MUTANTS && options->mutant != NULL; i++)
    if (strcmp (options->mutant, mutants[i].name) == 0)
      mutant = &mutants[i];
  for (unsigned i = 0; i < N_SCENARIOS; i++)
    if (is_wanted (options, &scenarios[i])) {
      MachineProgram program = make_program (
        &scenarios[i], mutant, choose_bounds (options, &scenarios[i], 0));
      MachineResult result = machine_replay (&program, options->replay);

      printf ("%s: %s\n", scenarios[i].name,
              result.violation != NULL ? result.violation : "all good");
      good &= result.violation == NULL;
    }
  return good;
}

static bool
parse (int argc, char **argv, Options *options)
{
  static const struct option longs[] = {
    { "scenario", required_argument, NULL, 's' },
    { "mutant", required_argument, NULL, 'm' },
    { "mutants", no_argument, NULL, 'M' },
    { "replay", required_argument, NULL, 'r' },
    { "preemptions", required_argument, NULL, 'p' },
    { "stale", required_argument, NULL, 'o' },
    { "thorough", no_argument, NULL, 't' },
    { NULL, 0, NULL, 0 },
  };
  int c;

  while ((c = getopt_long (argc, argv, "", longs, NULL)) != -1)
    switch (c) {
    case 's': options->scenario = optarg; break;
    case 'm': options->mutant = optarg; break;
    case 'M': options->all_mutants = true; break;
    case 'r': options->replay = optarg; break;
    case 'p': options->preemptions = atoi (optarg); break;
    case 'o': options->stale = atoi (optarg); break;
    case 't': options->thorough = true; break;
    default: return false;
    }
  return optind == argc;
}

int
main (int argc, char **argv)
{
  Options options = { .preemptions = -1, .stale = -1 };
  bool good;

  if (!parse (argc, argv, &options))
    return 2;
  if (options.replay != NULL)
    good = replay (&options);
  else if (options.all_mutants || options.mutant != NULL)
    good = run_mutants (&options);
  else
    good = run_scenarios (&options);
  return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
