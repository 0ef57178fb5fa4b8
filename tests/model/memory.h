/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Shared words, and what a thread's stores go through before others see them: the
 * part of lib/atomics.h for the models. A store stands in its thread's buffer until
 * a processor takes it out, at any time.
 *
 *   a release or sequentially consistent store leaves in its turn
 *   a relaxed one may overtake an older one to another word, as on ARM
 *   a sequentially consistent load waits until no sequentially consistent store of
 *     its thread is in the buffer; any other load goes ahead, as on x86
 *   an exchange waits until the buffer is empty
 *
 * So a store and a later load stay in order only if both are sequentially
 * consistent, which is what C11 and ARM's STLR and LDAR promise; x86 gives more.
 * Left out: loads that overtake loads, and loads overtaken by later stores. The
 * explorer (tests/explore) has the former. No thread of ours loads what it stored
 * itself, so loads do not look into the buffer.
 *
 * Who includes this has defined WORDS and THREADS.
 */
#define RELAXED 0
#define RELEASE 1
#define SEQ_CST 2
#define ACQUIRE 1

typedef Buffer {
  byte n;
  byte at[2];
  byte value[2];
  byte order[2]
};

byte mem[WORDS];
Buffer buffer[THREADS];

#define HAS_ROOM(t) (buffer[t].n < 2)
#define IS_DRAINED(t) (buffer[t].n == 0)
#define IS_PAST_SEQ_CST(t)                                                     \
  (buffer[t].order[0] != SEQ_CST && buffer[t].order[1] != SEQ_CST)
#define CAN_LOAD(t, ord) ((ord) != SEQ_CST || IS_PAST_SEQ_CST (t))

/* One step, inside an atomic { HAS_ROOM (t) -> ... } or with it as its guard. */
inline store (t, a, v, ord)
{
  d_step {
    HAS_ROOM (t) ->
    buffer[t].at[buffer[t].n] = a;
    buffer[t].value[buffer[t].n] = v;
    buffer[t].order[buffer[t].n] = ord;
    buffer[t].n++
  }
}

#define CAN_OVERTAKE(t)                                                        \
  (buffer[t].n == 2 && buffer[t].order[1] == RELAXED                           \
   && buffer[t].at[0] != buffer[t].at[1])

#define FORGET(t, i)                                                           \
  buffer[t].at[i] = 0; buffer[t].value[i] = 0; buffer[t].order[i] = 0

/* The first THREADS processes. */
active [THREADS] proctype processor ()
{
end:
  do
  :: d_step {
       buffer[_pid].n > 0 ->
       mem[buffer[_pid].at[0]] = buffer[_pid].value[0];
       buffer[_pid].n--;
       buffer[_pid].at[0] = buffer[_pid].at[1];
       buffer[_pid].value[0] = buffer[_pid].value[1];
       buffer[_pid].order[0] = buffer[_pid].order[1];
       FORGET (_pid, 1)
     }
  :: d_step {
       CAN_OVERTAKE (_pid) ->
       mem[buffer[_pid].at[1]] = buffer[_pid].value[1];
       buffer[_pid].n--;
       FORGET (_pid, 1)
     }
  od
}
