/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Slots that get other memory while readers are at work: how those hear of it, what
 * they do with a frame whose memory they do not know, and how a writer that is in
 * need of room hears what they do.
 *
 *   writer  claim_and_grow, make_room, retire, may_retire, claim_or_wait (store.c),
 *           tell, hear_what_was_unmapped (audience.c), publish_locked
 *   service on_writable, on_woken, ndsh_service_watch_writable
 *   reader  ndsh_reader_wait with arm_and_look, find_frame, find_segment, pass_over
 *           (reader.c), ndsh_link_drain, take_segment, ndsh_link_ring (link.c),
 *           ndsh_leases_stall, _skip, _set_segments_handled, _have_new (slots.c)
 *
 * Checked:
 *   I12 a frame is read in the segment that its record names
 *   I4  who waits for a frame, for the announcement it lacks or for room is woken: a
 *       state in which nothing moves and somebody sleeps is an error
 *   I3  the newest frame is had in the end; a lossless reader has each
 *   I13 memory that the writer takes for unmapped is
 *
 * Left out: store buffers and the steps of a lease, which is one step here (lease.pml
 * and wake.pml have those); a claim sees the leases and cursors of now. A writer that
 * finds no slot gives up that frame, unless it WAITS; then it takes no memory from other
 * slots. Each slot has a segment at the start, known to all.
 *
 * Configured by MODEr, LENGTHr (of a queue), S, FRAMES that are tried, GROWTHS and
 * SOCKET, the messages that a socket holds; ALONE: without the second reader; WAITS;
 * RETIRED: how many segments that were replaced the first reader may map; IDLES: after
 * any wait a reader may do something else for good. A message is a byte: 1 + slot +
 * S * generation.
 */
#define LATEST 0
#define QUEUE 1
#define LOSSLESS 2

#define R 2
#ifndef S
#define S 4                     /* or 2 */
#endif
#ifndef FRAMES
#define FRAMES 3
#endif
#ifndef GROWTHS
#define GROWTHS 2               /* how often a slot gets other memory */
#endif
#ifndef SOCKET
#define SOCKET 1
#endif
#ifndef MODE0
#define MODE0 LATEST
#endif
#ifndef MODE1
#define MODE1 LATEST
#endif
#ifndef LENGTH0
#define LENGTH0 1
#endif
#ifndef LENGTH1
#define LENGTH1 1
#endif
#define MODE(r) ((r) == 0 -> MODE0 : MODE1)
#define LENGTH(r) ((r) == 0 -> LENGTH0 : LENGTH1)
#define NONE 255

/* Shared. */
byte head;
byte ring[S + FRAMES + 1];
byte state_seq[S];
byte generation[S];             /* NdshFrameRecord.generation */
bool waiting[R];
byte leased[R];                 /* the one hazard: 1 + slot */
byte cursor[R];
byte handled[R];                /* segments_handled */
bool writer_waiting;
chan to_reader[R] = [SOCKET] of { byte };
bool bell[R];                   /* rung, and nobody has slept since */

/* The writer's own. */
byte published;
byte frame[S];                  /* NdshSlot.frame; 0 while it is a draft, too */
byte current[S];                /* generation of its segment, NONE if it has none */
byte made[S];                   /* SlotMemory.generation */
byte told[R * S];               /* Reader.told: generation */
byte n_sent[R];
bool watched[R];                /* ndsh_service_watch_writable */
byte replaced_slot[R * (GROWTHS + 1)];          /* Reader.replaced, by message */
byte replaced[R * (GROWTHS + 1)];               /* its generation */
bool is_done;
bool rung;                      /* on_woken signals, or notifies */

/* The readers' own: NdshLink.slot[].generation */
byte knows[R * S];

/* --- The writer ----------------------------------------------------------------- */

#define IS_IN_THE_WAY(q, i)                                                    \
  (leased[q] == 1 + (i) || (MODE (q) == LOSSLESS && frame[i] > cursor[q]))
#define CAN_GO(i)                                                              \
  (i != draft && frame[i] != published && !IS_IN_THE_WAY (0, i) && !IS_IN_THE_WAY (1, i))

/* may_retire, where all is retired that the first reader maps and has been told, or is
 * to be told, to unmap */
#ifdef RETIRED
#define IS_UNTOLD(i) (told[i] != current[i])
#define MAY_RETIRE (n_sent[0] - handled[0] + IS_UNTOLD (0) + IS_UNTOLD (1) < RETIRED)
#else
#define MAY_RETIRE true
#endif

/* tell: a step under the mutex, or part of one */
inline tell (q, i)
{
  if
  :: current[i] == NONE || told[q * S + i] == current[i]
  :: else ->
     if
     :: full (to_reader[q]) ->
#ifndef MUT_FULL_SOCKET_IS_FORGOTTEN
        watched[q] = true
#endif
     :: nfull (to_reader[q]) ->
        n_sent[q]++;
        replaced_slot[q * (GROWTHS + 1) + n_sent[q]] = i;
        replaced[q * (GROWTHS + 1) + n_sent[q]] = told[q * S + i];
        told[q * S + i] = current[i];
        to_reader[q]!1 + i + S * current[i]
     fi
  fi
}

/* hear_what_was_unmapped: what may be forgotten is not mapped any more. I13 */
inline hear_unmapped (q)
{
  n = 1;
  do
  :: n <= handled[q] && n <= n_sent[q] ->
     assert (knows[q * S + replaced_slot[q * (GROWTHS + 1) + n]] != replaced[q * (GROWTHS + 1) + n]);
     n++
  :: else -> break
  od;
  n = 0
}

/* ndsh_wake_reader_sleeps, ndsh_bell_ring */
inline ring_reader (q)
{
  atomic {
    if
    :: waiting[q] ->
       waiting[q] = false;
       bell[q] = true
    :: else
    fi
  }
}

/* find_candidate and claim_frame: the oldest that may go, or NONE; @all: also those
 * that have no memory */
inline claim (found, all)
{
  found = NONE;
  n = 0;
  do
  :: n == S -> break
  :: else ->
     if
     :: (all || current[n] != NONE) && CAN_GO (n) &&
        (found == NONE || frame[n] < frame[found]) -> found = n
     :: else
     fi;
     n++
  od;
  n = 0;
  if
  :: found != NONE -> state_seq[found] = 0; frame[found] = 0
  :: else
  fi
}

/* claim_and_grow: under the mutex, and a reader notices nothing of it but messages
 * and that frames are gone */
inline grow ()
{
  grown++;
  do
  :: break
#ifndef WAITS
  :: claim (other, false);                             /* make_room: of as many as takes */
     if
     :: other != NONE -> current[other] = NONE; other = 0
     :: else -> other = 0; draft = NONE; break  /* and that was not enough */
     fi
#endif
  od;
  if
  :: draft != NONE ->                           /* furnish */
     made[draft]++;
     current[draft] = made[draft];
     tell (0, draft);
     tell (1, draft)
  :: else
  fi
}

/* claim_or_wait: looks once more after it has armed, then it sleeps, or says FULL and
 * the program sleeps until notify */
inline begin ()
{
  if
  :: is_large = false
  :: grown < GROWTHS -> is_large = true
  fi;
  do
  :: draft != NONE -> break
  :: else ->
     atomic {
       hear_unmapped (0);
       hear_unmapped (1);
       claim (draft, true);
       if
       :: draft == NONE
       :: draft != NONE && !is_large
       :: draft != NONE && is_large && MAY_RETIRE -> grow ()
       :: draft != NONE && is_large && !MAY_RETIRE -> draft = NONE
       fi;
       if
       :: draft != NONE -> armed = false
       :: draft == NONE && !armed -> writer_waiting = true; armed = true
       :: draft == NONE && armed -> is_full = true
       fi
     };
     if
     :: is_full ->
        atomic { rung -> rung = false; writer_waiting = false; armed = false;
                 is_full = false }
     :: else
     fi
  od
}

proctype writer ()
{
  byte draft = NONE, other, grown, rounds, n;
  bool is_large, armed, is_full;

  do
  :: rounds == FRAMES -> break
  :: else ->
     rounds++;
#ifdef WAITS
     begin ();
#else
     (CAN_GO (0) || CAN_GO (1) || CAN_GO (2) || CAN_GO (3));
     atomic {
       hear_unmapped (0);
       hear_unmapped (1);
       claim (draft, true);
       if
       :: draft == NONE                         /* leased at this very moment: FULL */
       :: draft != NONE && current[draft] != NONE               /* it fits */
       :: draft != NONE && grown < GROWTHS -> grow ()
       :: draft != NONE && current[draft] == NONE && grown == GROWTHS -> draft = NONE
       fi
     };
#endif
     if
     :: draft == NONE
     :: draft != NONE ->
        atomic {                                /* publish_locked */
          published++;
          generation[draft] = current[draft];
          frame[draft] = published;
          state_seq[draft] = published;
          ring[published] = draft;
          head = published;
          draft = NONE
        };
        ring_reader (0);
        ring_reader (1)
     fi
  od;
  is_done = true
}

/* on_writable */
inline tell_all (q)
{
  watched[q] = false;
#if S > 2
  tell (q, 2);
  tell (q, 3);
#endif
  tell (q, 0);
  tell (q, 1)
}

proctype service ()
{
end:
  do
  :: atomic { watched[0] && nfull (to_reader[0]) -> tell_all (0) }
  :: atomic { watched[1] && nfull (to_reader[1]) -> tell_all (1) }
  od
}

/* --- A reader --------------------------------------------------------------------- */

/* ndsh_link_ring */
#define RING_WRITER rung = rung || writer_waiting

/* ndsh_link_drain, obey, take_segment */
inline drain ()
{
  do
  :: atomic { empty (to_reader[r]) -> m = 0; break }
  :: atomic { nempty (to_reader[r]) -> to_reader[r]?m };
     if
     :: true ->
#ifdef MUT_COUNTS_BEFORE_UNMAPPING
        handled[r]++;
        knows[r * S + (m - 1) % S] = (m - 1) / S;
#else
        knows[r * S + (m - 1) % S] = (m - 1) / S;
        handled[r]++;
#endif
#ifndef MUT_STALL_OUTLIVES_THE_MESSAGE
        stalled = 0;                            /* ndsh_leases_set_segments_handled */
#endif
#ifndef MUT_SEGMENT_DOES_NOT_RING
        RING_WRITER
#endif
     fi
  od
}

#ifdef MUT_GENERATION_IS_NOT_CHECKED
#define IS_KNOWN true
#else
#define IS_KNOWN (knows[r * S + s] == generation[s])
#endif
#ifdef MUT_NEWEST_IS_SKIPPED
#define IS_WORTH_WAITING (MODE (r) == LOSSLESS)
#else
#ifdef MUT_LOSSLESS_SKIPS
#define IS_WORTH_WAITING (q == h)
#else
#define IS_WORTH_WAITING (MODE (r) == LOSSLESS || q == h)
#endif
#endif

/* ndsh_leases_find, in one step: the word of a frame, leased, or 0 */
inline find ()
{
  atomic {
    h = head;
    q = 0;
    do
    :: head <= had || leased[r] != 0 -> break
    :: else ->
       q = had + 1;
       if
       :: MODE (r) != LOSSLESS && head > had + LENGTH (r) -> q = head - LENGTH (r) + 1
       :: else
       fi;
       s = ring[q];
       if
       :: state_seq[s] == q -> leased[r] = 1 + s; break
       :: else -> assert (MODE (r) != LOSSLESS); had = q; q = 0
       fi
    od
  }
}

/* Not found, and not stalled over it: what drain heard may have made it known */
inline pass_over ()
{
  if
  :: IS_KNOWN
  :: else ->
     if
     :: IS_WORTH_WAITING -> stalled = h         /* ndsh_leases_stall */
     :: else -> had = q                         /* ndsh_leases_skip */
     fi;
     q = 0;
     s = 0;
#ifndef MUT_STALL_KEEPS_THE_LEASE
     leased[r] = 0;
#endif
#ifndef MUT_PASS_OVER_DOES_NOT_RING
     RING_WRITER;
#endif
     if
     :: stalled == 0 -> find ()                 /* a newer one */
     :: else -> h = 0
     fi
  fi
}

/* find_frame, with find_segment: @q is leased and its memory known, or @q is 0. It
 * begins inside the step of who calls it. */
inline find_frame ()
{
  find ();
  do
  :: q == 0 || IS_KNOWN -> break
  :: else -> drain (); atomic { pass_over () }
  od
}

/* have_frame: leases it for a moment */
inline look ()
{
  if
  :: atomic { head > had && head != stalled -> find () };       /* _have_new */
     do
     :: q == 0 || IS_KNOWN -> break
     :: else -> drain (); atomic { pass_over () }
     od;
     if
     :: q != 0 ->
        atomic {
          leased[r] = 0;
#ifndef MUT_LOOK_DOES_NOT_RING
          RING_WRITER;                          /* ndsh_link_release */
#endif
          found = true;
          q = 0;
          s = 0;
          h = 0
        }
     :: else
     fi
  :: else
  fi
}

/* ndsh_reader_wait until it sleeps or returns */
inline wait_once ()
{
  look ();
  if
  :: !found ->
     drain ();
     waiting[r] = true;
     look ()
  :: else
  fi;
  if
  :: found -> waiting[r] = false                        /* ndsh_wake_disarm_reader */
  :: else
  fi
}

/* ndsh_reader_acquire, and release some time after */
inline acquire ()
{
  find_frame ();
  if
  :: q != 0 ->
     atomic {
       assert (knows[r * S + s] == generation[s]);      /* I12 */
       assert (q > last && (MODE (r) != LOSSLESS || q == last + 1));
       last = q;
       had = q;
       stalled = 0;
       cursor[r] = q;
       q = 0;
       s = 0;
       RING_WRITER
     };
     atomic { leased[r] = 0; RING_WRITER }
  :: else
  fi
}

proctype reader (byte r)
{
  byte had, last, stalled, h, q, s, m;
  bool found;

  had = S - 1;
  last = S - 1;
  do
  :: true ->
     wait_once ();
     if
     :: found -> found = false; acquire ()
#ifdef IDLES
     :: break
#endif
     :: !found ->
        if
        :: atomic { bell[r] -> bell[r] = false }        /* sleep */
        :: nempty (to_reader[r])
        :: is_done && last == published && empty (to_reader[r]) && !bell[r] -> break
        fi
     fi
  od
}

init
{
  byte i;

  d_step {
    do
    :: i == S -> break
    :: else ->
       published = i + 1;
       frame[i] = published;
       state_seq[i] = published;
       ring[published] = i;
       i++
    od;
    head = S;
    cursor[0] = S - 1;
    cursor[1] = S - 1
  };
  atomic {
    run writer ();
    run service ();
#ifndef ALONE
    run reader (1);
#endif
    run reader (0)
  }
}
