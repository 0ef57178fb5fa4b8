/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Sleeping and waking in both directions, lib/wake.h, with what calls it:
 *
 *   reader  ndsh_reader_wait (look, arm_and_look, check_end, sleep_until), find_frame,
 *           ndsh_leases_take, ndsh_link_release, ndsh_link_ring, ndsh_link_ring_for_room,
 *           ndsh_leases_have_backlog, leave
 *   writer  claim_or_wait and ndsh_audience_wait_for_lossless with its condition
 *           variable, publish_locked, ndsh_writer_end, ndsh_audience_ring
 *   service on_woken, on_gone
 *
 * One step is one access to a shared word or one system call. Two readers, each with a
 * bell; a socket to the writer holds SOCKET messages, and a byte that finds it full is
 * lost.
 *
 * Checked:
 *   I4  nobody sleeps for good while there is something for him: a state in which
 *       nothing moves and somebody sleeps is an error ("invalid end state")
 *   I3  a lossless reader gets every frame; any gets the last one
 *   I22 ENDED comes after the last frame before an end and before the first frame behind
 *       it, and nobody who gets the last frame misses the last end
 *   I6  a reader that dies, at any step, keeps nobody waiting
 *
 * Left out: slots, but for this: frame n uses the place of frame n - S, so the writer
 * has to wait for every lossless reader to have taken and released that one (lease.pml
 * has the slots). A reader of the other modes takes what is in head and holds nothing,
 * unless it HOLDS.
 * Time-outs: nothing is mended by one here, and nobody is demoted. Memory (growth.pml).
 *
 * Configured by MODEr; S; FRAMES; END_AFTER (frames before an end; what comes after has
 * one too); ALONE: one reader; MORTAL: reader that may die; NOTIFIED: begin says FULL
 * and the program comes again when notify says so, instead of waiting; RING_ONLY: the
 * writer waits for cursors alone, as for the length of the ring, since the frames stay
 * leased; LEAVES: the first reader wants one frame only, and holds on to it; HALF: frames
 * before a lossless reader up to which it rings; HOLDS:
 * ALONE, and it leases what its wait finds for a moment, and then may do something else
 * for good.
 */
#define LATEST 0
#define LOSSLESS 2
#define NONE 255

#define R 2
#ifdef HOLDS
#define ALONE
#endif
#ifndef S
#define S 4
#endif
#ifndef FRAMES
#define FRAMES 5
#endif
#ifndef HALF
#define HALF 1
#endif
#ifndef END_AFTER
#define END_AFTER NONE
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
#ifndef MORTAL
#define MORTAL NONE
#endif
#define MODE(r) ((r) == 0 -> MODE0 : MODE1)
#define N_ENDS (END_AFTER == NONE -> 0 : (END_AFTER == FRAMES -> 1 : 2))

/* Orders, as the code has them. */
#ifndef HEAD_STORE              /* ndsh_slots_publish */
#define HEAD_STORE SEQ_CST
#endif
#ifndef ENDS_STORE              /* ndsh_slots_end */
#define ENDS_STORE SEQ_CST
#endif
#ifndef ENDS_LOAD               /* ndsh_leases_get_ends */
#define ENDS_LOAD SEQ_CST
#endif
#ifndef SLEEPER_LOOK            /* ndsh_wake_reader_sleeps */
#define SLEEPER_LOOK SEQ_CST
#endif
#ifndef READER_ARM              /* ndsh_wake_arm_reader */
#define READER_ARM SEQ_CST
#endif
#ifndef LAST_LOOK               /* ndsh_leases_have_new */
#define LAST_LOOK SEQ_CST
#endif
#ifndef WRITER_ARM              /* ndsh_wake_arm_writer */
#define WRITER_ARM SEQ_CST
#endif
#ifndef LEFT_LOOK               /* get_cursor, of ndsh_slots_reader_has_left */
#define LEFT_LOOK SEQ_CST
#endif
#ifndef CURSOR_LOOK             /* get_cursor, of look_at_cursor */
#define CURSOR_LOOK SEQ_CST
#endif
#ifndef SCAN                    /* is_leased, the scan before the claim */
#define SCAN SEQ_CST
#endif
#ifndef CURSOR_STORE            /* ndsh_leases_take */
#define CURSOR_STORE SEQ_CST
#endif
#ifndef RELEASE_STORE           /* ndsh_leases_release */
#define RELEASE_STORE SEQ_CST
#endif
#ifndef LEAVE_STORE             /* ndsh_leases_leave */
#define LEAVE_STORE SEQ_CST
#endif
#ifndef WRITER_LOOK             /* ndsh_wake_writer_sleeps */
#define WRITER_LOOK SEQ_CST
#endif

/* Shared words. */
#define HEAD 0
#define ENDS 1
#define WRITER_WAITING 2
#define WAITING(r) (3 + (r))
#define CURSOR(r) (3 + R + (r))
#define HAZARD(r) (3 + 2 * R + (r))
#define WORDS (3 + 3 * R)

#define WRITER R
#define SERVICE (R + 1)
#define THREADS (R + 2)

#include "memory.h"

bool bell[R];                   /* rung, and nobody has slept since */
byte to_writer[R];              /* bytes in the sockets */
bool listed[R];
bool hung_up[R];
bool killed;
bool locked;
bool signalled;                 /* writer->changed */
bool is_full;                      /* writer->full */
bool notified;
byte published;
byte last_before[3];            /* each end's last frame, by their count */
byte ends_before[FRAMES + 1];   /* how many came before each frame, */
byte ends_of[FRAMES + 1];       /* and what its record says */

/* --- The writer --------------------------------------------------------------- */

#define IS_LOSSLESS(r) (listed[r] && MODE (r) == LOSSLESS)

/* One reader's part of ndsh_slots_claim: is the place of frame @old free of it? Has
 * the reader left, if not its cursor, then the hazard. Of one that left between the
 * two looks the cursor is not believed, so it seems to stand where it stood. */
inline look_at (q)
{
  if
  :: atomic { IS_LOSSLESS (q) && CAN_LOAD (WRITER, LEFT_LOOK) ->
              counts = (mem[CURSOR (q)] != NONE) }
  :: atomic { !IS_LOSSLESS (q) -> skip }
  fi;
  if
  :: atomic { counts && CAN_LOAD (WRITER, CURSOR_LOOK) ->
              is_free = is_free && mem[CURSOR (q)] >= old && mem[CURSOR (q)] != NONE;
              counts = false }
  :: atomic { !counts -> skip }
  fi;
#ifndef RING_ONLY
  if
  :: atomic { listed[q] && CAN_LOAD (WRITER, SCAN) ->
              is_free = is_free && (old == 0 || mem[HAZARD (q)] != old) }
  :: atomic { !listed[q] -> skip }
  fi
#endif
}

inline claim ()
{
  atomic { old = (published >= S -> published + 1 - S : 0); is_free = true };
  look_at (0);
  look_at (1)
}

/* pthread_cond_timedwait, or the program that waits for notify */
inline sleep_on_changed ()
{
#ifdef NOTIFIED
  atomic { is_full = true; IS_DRAINED (WRITER) -> locked = false };
  atomic { notified && !locked -> notified = false; locked = true }
#else
  atomic { signalled = false; IS_DRAINED (WRITER) -> locked = false };
  atomic { signalled && !locked -> locked = true }
#endif
}

/* claim_or_wait, begin to end under the mutex but for the sleep */
inline begin ()
{
  atomic { !locked -> locked = true };
  do
  :: true ->
     claim ();
     if
     :: is_free -> break
     :: else
     fi;
#ifdef MUT_ARMS_AFTER_THE_LOOK
     store (WRITER, WRITER_WAITING, 1, WRITER_ARM);
     sleep_on_changed ();
#else
#ifdef MUT_WRITER_DOES_NOT_ARM
     sleep_on_changed ();
#else
     if
     :: !armed -> store (WRITER, WRITER_WAITING, 1, WRITER_ARM); armed = true
     :: armed ->
        sleep_on_changed ();
#ifdef NOTIFIED
        armed = false
#else
#ifndef MUT_WRITER_ARMS_ONCE
        store (WRITER, WRITER_WAITING, 1, WRITER_ARM)
#endif
#endif
     fi
#endif
#endif
  od;
  atomic { IS_DRAINED (WRITER) -> armed = false; is_free = false; old = 0; locked = false }
}

/* ndsh_wake_reader_sleeps, ndsh_bell_ring */
inline ring_reader (q)
{
  if
  :: atomic { !listed[q] -> skip }
  :: atomic { listed[q] && CAN_LOAD (WRITER, SLEEPER_LOOK) -> sleeps = mem[WAITING (q)] };
     if
     :: sleeps ->
        atomic { IS_DRAINED (WRITER) -> sleeps = mem[WAITING (q)]; mem[WAITING (q)] = 0 };
        atomic {
          if
          :: sleeps -> bell[q] = true
          :: else
          fi;
          sleeps = false
        }
     :: else
     fi
  fi
}

inline ring_readers ()
{
  ring_reader (0);
  ring_reader (1)
}

/* publish_locked */
inline publish ()
{
  atomic { !locked -> locked = true };
#ifdef MUT_RINGS_BEFORE_PUBLISHING
  ring_readers ();
#endif
  atomic {
    HAS_ROOM (WRITER) ->
    published++;
    ends_before[published] = ends;
#ifdef MUT_ENDS_OF_BEGIN
    ends_of[published] = ends_then;
#else
    ends_of[published] = ends;
#endif
    store (WRITER, HEAD, published, HEAD_STORE)
  };
#ifndef MUT_RINGS_BEFORE_PUBLISHING
  ring_readers ();
#endif
  atomic { IS_DRAINED (WRITER) -> locked = false }
}

/* ndsh_writer_end */
inline end_stream ()
{
  atomic { !locked -> locked = true; ends++; last_before[ends] = published };
  store (WRITER, ENDS, ends, ENDS_STORE);
#ifndef MUT_END_DOES_NOT_RING
  ring_readers ();
#endif
  atomic { IS_DRAINED (WRITER) -> locked = false }
}

#define END_IS_DUE                                                             \
  (ends < N_ENDS && (published == FRAMES || (published == END_AFTER && ends == 0)))

/* A draft may be older than the end before it. */
proctype writer ()
{
  byte old, ends;
#ifdef MUT_ENDS_OF_BEGIN
  byte ends_then;
#endif
  bool is_free, counts, armed, sleeps;

  do
  :: END_IS_DUE -> end_stream ()
  :: !END_IS_DUE && published == FRAMES -> break
  :: published < FRAMES ->
#ifdef MUT_ENDS_OF_BEGIN
     ends_then = ends;
#endif
     begin ();
     if
     :: END_IS_DUE -> end_stream ()
     :: else
     fi;
     publish ()
  od
}

/* --- The service thread ------------------------------------------------------- */

/* on_woken and on_gone: under the mutex, so one step but for the store */
inline hear ()
{
  store (SERVICE, WRITER_WAITING, 0, RELAXED);  /* ndsh_wake_disarm_writer */
  atomic {
    IS_DRAINED (SERVICE) ->
#ifndef MUT_SERVICE_DOES_NOT_SIGNAL
    signalled = true;
#endif
#ifndef MUT_SERVICE_DOES_NOT_NOTIFY
    notified = notified || is_full;
#endif
    is_full = false;
    locked = false
  }
}

inline forget (q)
{
  listed[q] = false;
#ifndef MUT_DEATH_DOES_NOT_SIGNAL
  signalled = true;
  notified = true                               /* on_gone's notify */
#endif
}

proctype service ()
{
end:
  do
  :: atomic { to_writer[0] > 0 && !locked -> to_writer[0]--; locked = true }; hear ()
  :: atomic { to_writer[1] > 0 && !locked -> to_writer[1]--; locked = true }; hear ()
  :: atomic { hung_up[0] && listed[0] && !locked -> forget (0) }
  :: atomic { hung_up[1] && listed[1] && !locked -> forget (1) }
  od
}

/* --- A reader ------------------------------------------------------------------- */

/* ndsh_link_ring */
inline ring_writer ()
{
  atomic { CAN_LOAD (r, WRITER_LOOK) -> sleeps = mem[WRITER_WAITING] };
  atomic {
    if
    :: sleeps && to_writer[r] < SOCKET -> to_writer[r]++
    :: else
    fi;
    sleeps = false
  }
}

/* ndsh_link_ring_for_room, of who has not left. A head that is older than the newest has
 * it ring once more: the model has the newest. */
#ifdef MUT_ALWAYS_A_BACKLOG
#define HAS_BACKLOG (true)
#else
#define HAS_BACKLOG (mem[HEAD] > had + HALF)
#endif

inline ring_writer_for_room ()
{
  if
  :: MODE (r) == LOSSLESS && HAS_BACKLOG -> skip
  :: else -> ring_writer ()
  fi
}

#define NEXT(r) (MODE (r) == LOSSLESS -> had + 1 : mem[HEAD])

#ifdef MUT_FRAME_BEFORE_ITS_END
#define COMES_FIRST(e) (false)
#else
#define COMES_FIRST(e) ((e) > told)
#endif

/* have_frame. A lossless reader leases what it finds for a moment, which is left out:
 * it has not had the frame, so the writer leaves it. */
inline look ()
{
#ifdef HOLDS
  atomic { CAN_LOAD (r, LAST_LOOK) -> q = mem[HEAD] };
  if
  :: q > had ->
     store (r, HAZARD (r), q, SEQ_CST);
     (CAN_LOAD (r, SEQ_CST));                   /* the check of state_seq */
     store (r, HAZARD (r), 0, RELEASE_STORE);
#ifndef MUT_LOOK_DOES_NOT_RING
     ring_writer_for_room ();                   /* ndsh_link_release */
#endif
     found = true
  :: else
  fi;
  q = 0
#else
  atomic {
    CAN_LOAD (r, LAST_LOOK) ->
    found = (mem[HEAD] > had);
    ends = (found -> ends_of[NEXT (r)] : 0)
  }
#endif
}

/* tell_frame; false if there is an end before the frame */
inline tell_frame ()
{
  atomic {
    if
    :: COMES_FIRST (ends) ->
#ifdef MUT_TOLD_WHAT_CONTROL_SAYS
       told = mem[ENDS];
#else
       told = ends;
#endif
       found = false
    :: else
    fi;
    ends = 0
  }
}

/* What is taken lies behind the ends that were told, and before the others. */
#define CHECK_TAKEN assert (ends_before[had] == told)

/* ndsh_reader_acquire and, some time later, ndsh_frame_release */
inline take_and_give_back ()
{
  if
  :: MODE (r) == LOSSLESS ->
     store (r, HAZARD (r), had + 1, SEQ_CST);
     atomic { CAN_LOAD (r, SEQ_CST) -> had++; CHECK_TAKEN };    /* checks state_seq */
     store (r, CURSOR (r), had, CURSOR_STORE);
     ring_writer_for_room ();
#ifdef MUT_RINGS_BEFORE_RELEASING
     ring_writer_for_room ();
#endif
#ifndef RING_ONLY
     store (r, HAZARD (r), 0, RELEASE_STORE);
#ifndef MUT_RINGS_BEFORE_RELEASING
#ifndef MUT_RELEASE_DOES_NOT_RING
     ring_writer_for_room ();
#endif
#endif
#endif
  :: else ->
     atomic {
       if
       :: !COMES_FIRST (ends_of[mem[HEAD]]) -> had = mem[HEAD]; CHECK_TAKEN
       :: else
       fi
     }
  fi
}

/* check_end; @found says that wait returns */
inline check_end ()
{
#ifdef MUT_ENDS_AFTER_THE_LOOK
  look ();
  atomic { CAN_LOAD (r, ENDS_LOAD) -> said = mem[ENDS] };
#else
  atomic { CAN_LOAD (r, ENDS_LOAD) -> said = mem[ENDS] };
  look ();
#endif
  atomic {
    if
    :: !found && said > told ->
       assert (had == last_before[said]);               /* ENDED after the last */
       told = said;
       found = true
    :: else
    fi;
    said = 0
  }
}

/* What who sleeps elsewhere does before it arms: rings so far count no more */
inline poll_bell ()
{
  if
  :: bell[r] -> bell[r] = false
  :: true
  fi
}

/* The rest of a round of ndsh_reader_wait, after a look that found nothing */
inline wait_once ()
{
#ifndef MUT_POLLS_LAST
  poll_bell ();
#endif
#ifndef MUT_ARMS_LAST
  store (r, WAITING (r), 1, READER_ARM);
#endif
  check_end ();
#ifdef MUT_ARMS_LAST
  store (r, WAITING (r), 1, READER_ARM);
#endif
#ifdef MUT_POLLS_LAST
  poll_bell ();
#endif
  if
  :: found ->
     /* ndsh_wake_disarm_reader */
     if
     :: mem[WAITING (r)] != 0 -> store (r, WAITING (r), 0, RELAXED)
     :: else
     fi;
     atomic { found = false; ends = 0 }
  :: else -> atomic { bell[r] -> bell[r] = false }      /* sleep */
  fi
}

#ifdef LEAVES
#define IS_OVER (had >= 1 && r == 0 || had == FRAMES)
#else
#define IS_OVER (told == N_ENDS && had == FRAMES)
#endif

proctype reader (byte r)
{
  byte had, told, said, ends;
  bool found, sleeps;
#ifdef HOLDS
  byte q;
#endif

  {
    do
    :: IS_OVER -> break
    :: else ->
       look ();
       if
       :: found ->
          tell_frame ();
          if
          :: found -> found = false; take_and_give_back ()
          :: else
          fi
#ifdef HOLDS
       :: found ->
end_idle: false                                 /* the program does something else */
#endif
       :: else -> wait_once ()
       fi
    od;
    store (r, CURSOR (r), NONE, LEAVE_STORE);   /* ndsh_leases_leave */
#ifdef MUT_LEAVES_WITH_A_BACKLOG
    ring_writer_for_room ()
#else
    ring_writer ()
#endif
  } unless { killed && r == MORTAL };
#ifdef LEAVES
end:
  r != 0;                       /* a frame that is still held keeps the socket */
#endif
  hung_up[r] = true
}

proctype killer ()
{
end:
  killed = true
}

init
{
  atomic {
    run writer ();
    run service ();
    listed[0] = true;
    run reader (0);
#ifndef ALONE
    listed[1] = true;
    run reader (1);
#endif
#if MORTAL != NONE
    run killer ()
#endif
  }
}
