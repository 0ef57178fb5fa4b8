/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Leases: who may touch a slot, lib/slots.c, with a writer, its service thread and
 * two readers of several leases each, in any mode, that join, die, leave and are
 * demoted. One step is one access to a shared word; the functions of slots.c that a
 * step stands for are named beside it.
 *
 * Checked:
 *   I1  a frame's bytes do not change while it is leased, and no leased slot is
 *       claimed
 *   I2  a leased frame is complete (its payload goes through the store buffer too)
 *   I3  numbers never go back; a reader misses no frame that the writer kept for it;
 *       a lossless one misses none
 *   I5  with as many slots as count_needed says a claim succeeds at the first try,
 *       unless a lossless reader is in the way
 *   I6  the same once a reader died, at any step, and was taken off the list
 *   a slot that was not claimed after all is as it was
 *   what was copied of a frame is of that frame, if it still is there afterwards
 *
 * Left out: the words (frame n's is n, so no wrap) and the ring's length (a place for
 * each frame); waking (wake.pml: here who must wait tries again at any time); memory
 * and its generations (growth.pml); the bound of 64 tries; a writer that holds frames
 * after publishing; a frame released by another thread of the reader.
 *
 * Not shown by bounds as small as these: what the passes of claim but the first are
 * for, and what becomes of more than two readers.
 *
 * Configured for each reader r by MODEr, LENGTHr (of its queue), LEASESr, FINDSr (how
 * often it looks), LAGr (frames it has not had at the start); then by S, slots at most;
 * START, those that are there at the start; FRAMES, published while readers are at
 * work; LATE, the reader that joins meanwhile; MORTAL, the one that may die; LEAVES:
 * readers may leave and keep their frames; DEMOTES: the writer may lose patience with
 * the first; FEW: S is less than count_needed, so that claims may fail or take what was
 * kept for queues; MAX_LEASABLE: slots that readers may lease together, of the others
 * they copy.
 */
#define LATEST 0
#define QUEUE 1
#define LOSSLESS 2
#define NONE 255

#define R 2
#ifndef S
#define S 4
#endif
#ifndef FRAMES
#define FRAMES 2
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
#ifndef LEASES0
#define LEASES0 1
#endif
#ifndef LEASES1
#define LEASES1 1
#endif
#ifndef FINDS0
#define FINDS0 2
#endif
#ifndef FINDS1
#define FINDS1 2
#endif
#ifndef LAG0
#define LAG0 1
#endif
#ifndef LAG1
#define LAG1 1
#endif
#ifndef START
#define START 2
#endif
#ifndef LATE
#define LATE NONE
#endif
#ifndef MORTAL
#define MORTAL NONE
#endif
#ifndef MAX_LEASABLE
#define MAX_LEASABLE S
#endif
#define K 2                     /* no reader has more leases */

#define MODE(r) ((r) == 0 -> MODE0 : MODE1)
#define LENGTH(r) ((r) == 0 -> LENGTH0 : LENGTH1)
#define LEASES(r) ((r) == 0 -> LEASES0 : LEASES1)
#define LAG(r) ((r) == 0 -> LAG0 : LAG1)
#define FINDS(r) ((r) == 0 -> FINDS0 : FINDS1)

/* Orders, as slots.c has them. */
#ifndef HAZARD_STORE            /* lease */
#define HAZARD_STORE SEQ_CST
#endif
#ifndef HAZARD_CHECK            /* lease */
#define HAZARD_CHECK SEQ_CST
#endif
#ifndef CLAIM_STORE             /* claim_frame */
#define CLAIM_STORE SEQ_CST
#endif
#ifndef SCAN                    /* is_leased */
#define SCAN SEQ_CST
#endif
#ifndef WITHDRAW_STORE          /* withdraw */
#define WITHDRAW_STORE SEQ_CST
#endif
#ifndef PUBLISH_STORE           /* ndsh_slots_publish: state_seq */
#define PUBLISH_STORE RELEASE
#endif
#ifndef HEAD_STORE              /* ndsh_slots_publish */
#define HEAD_STORE SEQ_CST
#endif
#ifndef CURSOR_STORE            /* ndsh_leases_take */
#define CURSOR_STORE SEQ_CST
#endif
#ifndef RELEASE_STORE           /* ndsh_leases_release */
#define RELEASE_STORE SEQ_CST
#endif
#ifndef CURSOR_LOAD             /* look_at_cursor */
#define CURSOR_LOAD SEQ_CST
#endif

/* Shared words. */
#define STATE_SEQ(i) (i)
#define PAYLOAD(i) (S + (i))
#define RING(q) (2 * S + (q))
#define HEAD (2 * S + START + FRAMES + 1)
#define HAZARD(r, k) (HEAD + 1 + K * (r) + (k))
#define CURSOR(r) (HEAD + 1 + K * R + (r))
#define PAGE_MODE(r) (HEAD + 1 + K * R + R + (r))
#define WORDS (HEAD + 1 + K * R + R + R)

/* Threads: readers 0 to R - 1, then the writer's. The service thread's few stores
 * are followed by a system call, so it needs no buffer. */
#define WRITER R
#define THREADS (R + 1)

#include "memory.h"

/* --- The writer's process: private to it, under its mutex ------------------- */

#define WITHDRAWN(q) ((q) + 100)        /* ndsh_word_withdrawn */
#define IS_OF(q, state) ((state) == (q) || (state) == WITHDRAWN (q))

byte frame[S];                  /* NdshSlot.frame */
byte state[S];                  /* NdshSlot.state */
bool leasable[S];               /* NdshSlot.leasable */
byte n_leasable;
byte draft = NONE;              /* NdshSlot.held */
byte n_slots;
byte published;
bool listed[R];                 /* NdshSlots.readers */
byte mode[R];                   /* NdshSlotsReader */
byte cursor[R];
bool locked;

/* --- What nobody knows but the checks ---------------------------------------- */

bool holds[R * S];              /* a living reader leases the slot */
byte welcome[R];                /* 1 + the cursor in WELCOME: the socket */
bool killed;
bool hung_up[R];                /* the reader's socket has closed */
bool took_queued;               /* ndsh_slots_claim_queued was called */

#define IS_LOSSLESS(r)                                                         \
  (listed[r] && mode[r] == LOSSLESS && mem[CURSOR (r)] != 0)

/* !was_had_by_lossless_readers, for one reader */
#define IS_MISSED(r, f) (IS_LOSSLESS (r) && (f) > cursor[r])

#define KEPT_FOR(r) (listed[r] && mode[r] == QUEUE -> LENGTH (r) : 1)
#define KEPT (KEPT_FOR (0) > KEPT_FOR (1) -> KEPT_FOR (0) : KEPT_FOR (1))
#define GRANTED(r) (listed[r] -> LEASES (r) : 0)
#define LEASED_AT_MOST                                                         \
  (GRANTED (0) + GRANTED (1) < MAX_LEASABLE -> GRANTED (0) + GRANTED (1)       \
                                             : MAX_LEASABLE)
#ifdef MUT_ONE_SLOT_FEWER
#define NEEDED (KEPT + LEASED_AT_MOST)
#else
#define NEEDED (KEPT + LEASED_AT_MOST + 1)
#endif
#define PASSES (1 + listed[0] + listed[1])

/* --- The writer --------------------------------------------------------------- */

/* ndsh_slots_lossless_lag, ndsh_slots_get_lag, look_at_cursor */
inline look_at_cursor (q)
{
  atomic {
    !IS_LOSSLESS (q) || CAN_LOAD (WRITER, CURSOR_LOAD) ->
    if
    :: IS_LOSSLESS (q) && mem[CURSOR (q)] > cursor[q] -> cursor[q] = mem[CURSOR (q)]
    :: else
    fi
  }
}

/* On to the next hazard, the same step as the load before. */
inline go_on ()
{
  do
  :: r < R && listed[r] && k < LEASES (r) -> break
  :: r < R && !(listed[r] && k < LEASES (r)) -> r++; k = 0
  :: r >= R -> break
  od
}

/* is_leased: one load a step */
inline scan (word)
{
  atomic { leased = false; go_on () }
  do
  :: atomic {
       r < R && CAN_LOAD (WRITER, SCAN) ->
       if
       :: mem[HAZARD (r, k)] == word -> leased = true; r = R; k = 0
       :: else -> k++; go_on ()
       fi
     }
  :: atomic { r == R -> r = 0; break }
  od
}

/* find_candidate: the oldest that may go, of those after @after. All of it is the
 * writer's own knowledge, but for cursors of 0. */
inline find_candidate ()
{
  c = NONE;
  i = 0;
  do
  :: i == n_slots -> break
  :: else ->
     if
     :: frame[i] > after && published - frame[i] >= kept &&
        !IS_MISSED (0, frame[i]) && !IS_MISSED (1, frame[i]) ->
        if
        :: c == NONE -> c = i
        :: c != NONE && frame[c] > frame[i] -> c = i
        :: else
        fi
     :: else
     fi;
     i++
  od;
  i = 0
}

inline check_claim ()
{
  assert (!holds[c] && !holds[S + c]);
  assert (!IS_MISSED (0, frame[c]) && !IS_MISSED (1, frame[c]))
}

inline claim_frame ()
{
#ifdef MUT_SCAN_BEFORE_CLAIM
  scan (frame[c]);
  if
  :: !leased -> store (WRITER, STATE_SEQ (c), 0, CLAIM_STORE); draft = c
  :: else
  fi;
#else
  if
  :: !leasable[c] -> store (WRITER, STATE_SEQ (c), 0, CLAIM_STORE); draft = c
  :: leasable[c] ->
     scan (frame[c]);
     if
     :: leased
     :: else ->
        store (WRITER, STATE_SEQ (c), 0, CLAIM_STORE);
        scan (frame[c]);
        if
        :: !leased -> draft = c
        :: else ->
#ifndef MUT_NO_RESTORE
           store (WRITER, STATE_SEQ (c), state[c], RELEASE)
#endif
        fi
     fi
  fi;
#endif
  atomic {
    if
    :: draft != NONE -> check_claim ()
    :: else -> after = frame[c]
    fi;
    leased = false
  }
}

/* claim: all but the @kept newest frames may go */
inline claim ()
{
  atomic { passes = PASSES; find_candidate (); if :: c == NONE -> passes = 0 :: else fi };
  do
  :: passes == 0 -> break
  :: else ->
     claim_frame ();
     atomic {
       if
       :: draft != NONE -> passes = 0
       :: else ->
          find_candidate ();
          if
          :: c == NONE -> passes--; after = 0; find_candidate ()
          :: else
          fi;
          if
          :: c == NONE -> passes = 0
          :: else
          fi
       fi
     }
  od;
  atomic { kept = 0; after = 0; c = NONE }
}

/* ndsh_slots_add */
inline add ()
{
  d_step {
    if
    :: draft == NONE && n_slots < NEEDED && n_slots < S ->
       draft = n_slots;
       n_slots++
    :: else
    fi
  }
}

/* A slot that was not claimed is as it was: whoever comes late can lease it. */
inline check_restored ()
{
  d_step {
    IS_DRAINED (WRITER) ->
    i = 0;
    do
    :: i == n_slots -> break
    :: else ->
       assert (i == draft || frame[i] == 0 || mem[STATE_SEQ (i)] == state[i]);
       i++
    od;
    i = 0
  }
}

/* store.c's claim, claim_or_wait. Who waits for a lossless reader may lose patience
 * at any time, as time is not modelled: ndsh_audience_wait_for_lossless demotes it. */
inline begin ()
{
  do
  :: draft != NONE || gives_up -> break
  :: else ->
     atomic { !locked -> locked = true }
     look_at_cursor (0);
     look_at_cursor (1);
     kept = KEPT;
     claim ();
     add ();
     if
     :: draft == NONE ->
        atomic { took_queued = true; kept = 1 };
        claim ()
     :: else
     fi;
     check_restored ();
     atomic {
       if
       :: draft != NONE -> frame[draft] = 0; count_leasable (draft, false)
       :: draft == NONE && IS_LOSSLESS (0) ->
          skip;
#ifdef DEMOTES
          if
          :: mode[0] = QUEUE; mem[PAGE_MODE (0)] = QUEUE
          :: true
          fi
#endif
       :: draft == NONE && !IS_LOSSLESS (0) ->
#ifdef FEW
          gives_up = true
#else
          assert (IS_LOSSLESS (1))      /* I5 */
#endif
       fi;
       locked = false
     }
  od
}

inline count_leasable (x, yes)
{
  n_leasable = n_leasable + yes - leasable[x];
  leasable[x] = yes
}

/* find_leasable: the oldest, of those after @after */
inline find_leasable ()
{
  d_step {
    c = NONE;
    i = 0;
    do
    :: i == n_slots -> break
    :: else ->
       if
       :: leasable[i] && frame[i] > after && c == NONE -> c = i
       :: leasable[i] && frame[i] > after && c != NONE && frame[c] > frame[i] -> c = i
       :: else
       fi;
       i++
    od;
    i = 0
  }
}

/* make_room_for_lease, withdraw */
inline make_room ()
{
  do
  :: n_leasable < MAX_LEASABLE -> break
  :: else ->
     find_leasable ();
     if
     :: c == NONE -> break
     :: else ->
        state[c] = WITHDRAWN (frame[c]);
#ifdef MUT_SCAN_BEFORE_WITHDRAWAL
        scan (frame[c]);
        store (WRITER, STATE_SEQ (c), state[c], WITHDRAW_STORE);
#else
        store (WRITER, STATE_SEQ (c), state[c], WITHDRAW_STORE);
        scan (frame[c]);
#endif
        atomic {
          after = frame[c];
          if
          :: leased
          :: else -> count_leasable (c, false)
          fi;
          leased = false
        }
     fi
  od;
  atomic { c = NONE; after = 0 }
}

/* ndsh_slots_publish */
inline publish ()
{
  atomic { !locked -> locked = true }
  make_room ();
  atomic {
    published++;
    frame[draft] = published;
    fits = n_leasable < MAX_LEASABLE;
    count_leasable (draft, fits);
    fits = false;
    state[draft] = (leasable[draft] -> published : WITHDRAWN (published))
  }
#ifdef MUT_HEAD_BEFORE_FRAME
  store (WRITER, RING (published), draft, RELAXED);
  store (WRITER, HEAD, published, HEAD_STORE);
  store (WRITER, STATE_SEQ (draft), state[draft], PUBLISH_STORE);
#else
#ifdef MUT_HEAD_BEFORE_RING
  store (WRITER, STATE_SEQ (draft), state[draft], PUBLISH_STORE);
  store (WRITER, HEAD, published, HEAD_STORE);
  IS_DRAINED (WRITER);
  store (WRITER, RING (published), draft, RELAXED);
#else
  store (WRITER, STATE_SEQ (draft), state[draft], PUBLISH_STORE);
  store (WRITER, RING (published), draft, RELAXED);
  store (WRITER, HEAD, published, HEAD_STORE);
#endif
#endif
  atomic { IS_DRAINED (WRITER) -> draft = NONE; locked = false }
}

proctype writer ()
{
  byte n, r, k, i, c = NONE, after, kept, passes;
  bool leased, gives_up, fits;

  do
  :: n == FRAMES -> break
  :: else ->
     begin ();
     if
     :: gives_up -> gives_up = false
     :: else ->
        store (WRITER, PAYLOAD (draft), published + 1, RELAXED);
        publish ()
     fi;
     n++
  od
}

/* --- The service thread, under the mutex too ---------------------------------- */

/* ndsh_slots_join; the page is not yet anybody else's */
inline join (q, behind)
{
  cursor[q] = published - behind;
  mem[CURSOR (q)] = published - behind;
  mode[q] = MODE (q);
  mem[PAGE_MODE (q)] = MODE (q);
  listed[q] = true
}

#ifdef MUT_FREED_WHEN_IT_LEAVES
#define IS_GONE(q) (hung_up[q] || mem[CURSOR (q)] == 0)
#else
#define IS_GONE(q) hung_up[q]
#endif

proctype service ()
{
end:
  do
  :: atomic { !locked && listed[0] && IS_GONE (0) -> listed[0] = false }
  :: atomic { !locked && listed[1] && IS_GONE (1) -> listed[1] = false }
#if LATE != NONE
#ifdef MUT_TOLD_BEFORE_JOINED
  :: atomic { welcome[LATE] == 0 -> welcome[LATE] = 1 + published - 1 }
  :: atomic { welcome[LATE] != 0 && mode[LATE] == NONE && !locked -> join (LATE, 1) }
#else
  :: atomic {
       welcome[LATE] == 0 && !locked ->
       join (LATE, 1);
       welcome[LATE] = 1 + cursor[LATE]
     }
#endif
#endif
  od
}

/* --- A reader ------------------------------------------------------------------- */

/* lease */
inline lease ()
{
#ifdef MUT_CHECK_BEFORE_HAZARD
  d_step {
    CAN_LOAD (r, HAZARD_CHECK) ->
    found = (mem[STATE_SEQ (s)] == q)
  }
  store (r, HAZARD (r, k), q, HAZARD_STORE);
  atomic {
#else
  store (r, HAZARD (r, k), q, HAZARD_STORE);
  atomic {
    CAN_LOAD (r, HAZARD_CHECK) ->
#ifdef MUT_NO_CHECK
    found = true;
#else
    found = (mem[STATE_SEQ (s)] == q);
#endif
#endif
    if
    :: found ->
       assert (mem[PAYLOAD (s)] == q);          /* I2 */
       holds[r * S + s] = true
    :: else
    fi
  }
}

/* find_copy, ndsh_leases_confirm. No more is left of it than that it was of the frame.
 * Of the fences nothing is seen here: loads do not overtake loads, and check_restored
 * drains the writer's buffer. The explorer has both. */
inline copy ()
{
#if MAX_LEASABLE < S
  copied = IS_OF (q, mem[STATE_SEQ (s)]);
  if
  :: copied ->
     value = mem[PAYLOAD (s)];
     atomic {
#ifndef MUT_NO_CONFIRM
       copied = IS_OF (q, mem[STATE_SEQ (s)]);
#endif
       assert (!copied || value == q);          /* I2 of a copy */
       value = 0
     }
  :: else
  fi
#else
  skip
#endif
}

/* ndsh_leases_find. The word is checked to be one it may not have: I3. */
inline find ()
{
  d_step {
    if
    :: rmode == LOSSLESS -> rmode = mem[PAGE_MODE (r)]       /* follow_demotion */
    :: else
    fi;
#ifdef MUT_HAZARD_NOT_MARKED
    k = 0
#else
    k = (word[0] == 0 -> 0 : 1)                 /* find_free_hazard */
#endif
  }
  do
  :: atomic {
       mem[HEAD] <= had -> break
     }
  :: atomic {
       mem[HEAD] > had ->
       q = had + 1;                             /* choose */
       if
       :: rmode != LOSSLESS && mem[HEAD] > had + LENGTH (r) ->
          q = mem[HEAD] - LENGTH (r) + 1
       :: else
       fi
     };
     s = mem[RING (q)];
     lease ();
     if
     :: found -> break
     :: else -> store (r, HAZARD (r, k), 0, RELEASE); copy ()
     fi;
     if
     :: copied -> break
     :: else ->
        atomic {
          assert (mode[r] != LOSSLESS);
          assert (published - q >= LENGTH (r) ||
                  (took_queued && published > q));
          had = q;
          q = 0;
          s = 0
        }
     fi
  od
}

/* ndsh_leases_take, and the other thread's part: the frame is held */
inline take ()
{
  store (r, CURSOR (r), q, CURSOR_STORE);
  d_step {
    assert (q > last);
    assert (mode[r] != LOSSLESS || q == last + 1);
    last = q;
    had = q;
    word[k] = (found -> q : 0);
    slot[k] = (found -> s : 0);
    found = false;
    copied = false;
    q = 0;
    s = 0
  }
}

#define CHECK_HELD(x) assert (mem[PAYLOAD (slot[x])] == word[x])    /* I1 */

/* ndsh_leases_release */
inline give_back (x)
{
#ifdef MUT_RELEASED_TOO_EARLY
  store (r, HAZARD (r, x), 0, RELEASE_STORE);
  holds[r * S + slot[x]] = false;
  atomic {
    CHECK_HELD (x);
#else
  CHECK_HELD (x);
  atomic {
    HAS_ROOM (r) ->
    holds[r * S + slot[x]] = false;
    store (r, HAZARD (r, x), 0, RELEASE_STORE);
#endif
    word[x] = 0;
    slot[x] = 0
  }
}

inline read_frames ()
{
  do
  :: finds < FINDS (r) && !left && (word[0] == 0 || (LEASES (r) == 2 && word[1] == 0)) ->
     finds++;
#ifdef MUT_CURSOR_BEFORE_LEASE
     store (r, CURSOR (r), last + 1, CURSOR_STORE);
#endif
     find ();
     if
     :: found || copied -> take ()
     :: else
     fi
  :: word[0] != 0 -> give_back (0)
  :: word[1] != 0 -> give_back (1)
#ifdef LEAVES
  :: !left && finds > 0 ->                      /* ndsh_leases_leave */
     store (r, CURSOR (r), 0, SEQ_CST);
     left = true
#endif
  :: word[0] == 0 && word[1] == 0 && (finds == FINDS (r) || left) -> break
  od
}

proctype reader (byte r)
{
  byte had, last, q, s, k, finds, rmode;
  byte word[K], slot[K];
  bool found, left;
#if MAX_LEASABLE < S
  byte value;
#endif
  bool copied;

  {
    atomic {
      welcome[r] != 0 ->
      had = welcome[r] - 1;                     /* ndsh_leases_init */
      last = had;
      rmode = MODE (r)
    }
    read_frames ()
  } unless { killed && r == MORTAL };

  /* The kernel closes the socket, sooner or later. What the process stored is
   * stored. */
  atomic {
    k = 0;
    do
    :: k == S -> break
    :: else -> holds[r * S + k] = false; k++
    od;
    k = 0
  };
  hung_up[r] = true
}

proctype killer ()
{
end:
  killed = true
}

/* The writer has been at work alone, or with readers of LAGr, and has START slots. */
init
{
  byte i;

  d_step {
    i = 0;
    do
    :: i == R -> break
    :: else ->
       mode[i] = NONE;
       listed[i] = (i != LATE);
       i++
    od;
    n_slots = START;
    i = 0;
    do
    :: i == n_slots -> break
    :: else ->
       published = i + 1;
       frame[i] = published;
       leasable[i] = n_leasable < MAX_LEASABLE;
       n_leasable = n_leasable + leasable[i];
       state[i] = (leasable[i] -> published : WITHDRAWN (published));
       mem[STATE_SEQ (i)] = state[i];
       mem[PAYLOAD (i)] = published;
       mem[RING (published)] = i;
       mem[HEAD] = published;
       i++
    od;
    i = 0;
    do
    :: i == R -> break
    :: else ->
       if
       :: i != LATE -> join (i, LAG (i)); welcome[i] = 1 + cursor[i]
       :: else
       fi;
       i++
    od
  };
  atomic {
    run writer ();
    run service ();
    run reader (0);
    run reader (1);
#if MORTAL != NONE
    run killer ()
#endif
  }
}
