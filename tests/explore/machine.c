/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>

#define MEMORY (64 * 1024)
#define MESSAGES 40               /* values that one location remembers */
#define CHOICES 4096
#define STEPS 4000

typedef struct {
  uint32_t value;
  MachineView view;
} Message;

typedef struct {
  uint8_t *p;
  size_t size;
  uint8_t newest;
  uint8_t sc;                     /* newest sequentially consistent store */
  Message message[MESSAGES];
} Location;

/* A store that a mutant does too late. */
typedef struct {
  void *p;
  size_t size;
  uint32_t value;
  MemoryOrder order;
  const char *past;
} Postponed;

typedef struct {
  ucontext_t context;
  enum { READY, DONE, DEAD } state;
  const MachineToken *needs;      /* READY, but only once this is given */
  MachineView view;
  MachineView released;           /* at the last release fence */
  MachineView loaded;             /* of what relaxed loads found */
  bool is_behind;                 /* with one location, for good */
  unsigned behind;
  uint32_t last_stored;
  Postponed postponed;
} Routine;

enum { NOBODY = MACHINE_ROUTINES, IGNORED = 255 };

uint8_t machine_memory[MEMORY] __attribute__ ((aligned (4096)));

static uint8_t location_at[MEMORY];       /* 1 + its index, 0: not touched yet */
static Location location[MACHINE_LOCATIONS];
static unsigned n_locations;

static const MachineProgram *program;
static Routine routine[MACHINE_ROUTINES];
static char stack[MACHINE_ROUTINES][128 * 1024] __attribute__ ((aligned (64)));
static ucontext_t home;
static unsigned running = NOBODY;
static unsigned preemptions, deaths, stale, steps;
static const char *violation;
static bool tracing;

/* The path through the tree of choices. */
static uint8_t choice[CHOICES], width[CHOICES];
static unsigned depth, length;

/* --- Choices --- */

static unsigned
choose (unsigned n)
{
  if (n < 2)
    return 0;
  if (depth == CHOICES)
    abort ();
  if (depth == length)
    choice[length++] = 0;
  width[depth] = (uint8_t) n;
  return choice[depth++];
}

static bool
next_path (void)
{
  length = depth;
  while (length > 0 && choice[length - 1] + 1 >= width[length - 1])
    length--;
  if (length == 0)
    return false;
  choice[length - 1]++;
  return true;
}

void
machine_print_choices (void)
{
  const char *comma = "";

  for (unsigned i = 0; i < depth; i++)
    if (choice[i] != 0) {
      printf ("%s%u:%u", comma, i, choice[i]);
      comma = ",";
    }
  puts ("");
}

static void
set_choices (const char *text)
{
  memset (choice, 0, sizeof choice);
  length = 0;
  while (*text != '\0') {
    char *end;
    unsigned long at = strtoul (text, &end, 10);
    unsigned long what = *end == ':' ? strtoul (end + 1, &end, 10) : 0;

    if (at >= CHOICES || end == text)
      break;
    choice[at] = (uint8_t) what;
    if (at + 1 > length)
      length = (unsigned) at + 1;
    text = *end == ',' ? end + 1 : end;
  }
}

/* --- Who goes next --- */

static void
go_to (unsigned next)
{
  unsigned from = running;

  if (next == from)
    return;
  running = next;
  if (tracing && next != NOBODY)
    printf ("  -- routine %u\n", next);
  swapcontext (from == NOBODY ? &home : &routine[from].context,
               next == NOBODY ? &home : &routine[next].context);
}

static void
fail (const char *what)
{
  violation = what;
  go_to (NOBODY);
  abort ();
}

void
machine_expect (bool holds, const char *what)
{
  if (holds || violation != NULL)
    return;
  if (running == NOBODY)
    violation = what;
  else
    fail (what);
}

bool
machine_is_fresh (void)
{
  return stale == 0;
}

static bool
can_run (unsigned r)
{
  return routine[r].state == READY
         && (routine[r].needs == NULL || routine[r].needs->count > 0);
}

static unsigned
list_others (unsigned *others)
{
  unsigned n = 0;

  for (unsigned r = 0; r < program->n_routines; r++)
    if (r != running && can_run (r))
      others[n++] = r;
  return n;
}

/* The one running cannot go on. */
static void
leave_to_others (void)
{
  unsigned others[MACHINE_ROUTINES], n = list_others (others);

  if (n > 0) {
    go_to (others[choose (n)]);
    return;
  }
  for (unsigned r = 0; r < program->n_routines; r++)
    if (routine[r].state == READY)
      fail ("I4: all sleep, and nobody is left to wake them");
  go_to (NOBODY);
}

static void
die (void)
{
  unsigned r = running;

  deaths++;
  routine[r].state = DEAD;
  if (tracing)
    printf ("  -- routine %u dies\n", r);
  program->died (r);
  leave_to_others ();
}

static void
step (void)
{
  unsigned others[MACHINE_ROUTINES], n = 0, c;
  bool mortal = program->mortal[running] && deaths == 0;

  if (++steps > STEPS)
    fail ("it does not come to an end");
  if (preemptions < program->bounds.preemptions)
    n = list_others (others);
  c = choose (1 + n + mortal);
  if (c == 0)
    return;
  if (c > n) {
    die ();
    return;
  }
  preemptions++;
  go_to (others[c - 1]);
}

/* --- Memory --- */

static void
join_views (MachineView *view, const MachineView *other)
{
  for (unsigned i = 0; i < MACHINE_LOCATIONS; i++)
    if (other->at[i] > view->at[i])
      view->at[i] = other->at[i];
}

static bool
is_shared (const void *p)
{
  return (const uint8_t *) p >= machine_memory
         && (const uint8_t *) p < machine_memory + MEMORY
         && location_at[(const uint8_t *) p - machine_memory] != IGNORED;
}

void
machine_ignore (const void *p)
{
  location_at[(const uint8_t *) p - machine_memory] = IGNORED;
}

static uint32_t
read_memory (const void *p, size_t size)
{
  return size == 1 ? *(const uint8_t *) p : *(const uint32_t *) p;
}

static void
write_memory (void *p, size_t size, uint32_t value)
{
  if (size == 1)
    *(uint8_t *) p = (uint8_t) value;
  else
    *(uint32_t *) p = value;
}

static unsigned
locate (const void *p, size_t size)
{
  size_t at = (size_t) ((const uint8_t *) p - machine_memory);
  Location *l;

  if (location_at[at] != 0)
    return location_at[at] - 1u;
  if (n_locations == MACHINE_LOCATIONS)
    abort ();
  l = &location[n_locations];
  l->p = &machine_memory[at];
  l->size = size;
  l->newest = l->sc = 0;
  l->message[0].value = read_memory (p, size);
  memset (&l->message[0].view, 0, sizeof l->message[0].view);
  location_at[at] = (uint8_t) ++n_locations;
  return n_locations - 1;
}

static void
forget_memory (void)
{
  for (unsigned i = 0; i < n_locations; i++) {
    write_memory (location[i].p, location[i].size, 0);
    location_at[location[i].p - machine_memory] = 0;
  }
  n_locations = 0;
}

static void
trace (const char *function, const char *what, const void *p, uint32_t value,
       const char *remark)
{
  char name[64];

  if (!tracing || running == NOBODY)
    return;
  program->name (p, name, sizeof name);
  printf ("  %*s%-24s %-9s %s = %u%s\n", (int) running * 2, "", function, what,
          name, value, remark);
}

/* Returns where a new message stands; the order of execution is the order of
 * modification. @view goes along. */
static uint8_t
append (unsigned i, uint32_t value, const MachineView *view)
{
  Location *l = &location[i];
  Message *message;

  if (l->newest + 1 == MESSAGES)
    abort ();
  message = &l->message[++l->newest];
  message->value = value;
  message->view = *view;
  write_memory (l->p, l->size, value);
  return l->newest;
}

static void
store_now (void *p, size_t size, uint32_t value, MemoryOrder order,
           const char *function)
{
  Routine *self;
  unsigned i;

  if (running == NOBODY) {
    locate (p, size);
    write_memory (p, size, value);
    location[locate (p, size)].message[0].value = value;
    return;
  }
  step ();
  self = &routine[running];
  i = locate (p, size);
  if (program->is_owned (p) && self->view.at[i] != location[i].newest)
    fail ("two threads store to one word, and nothing orders them");
  self->last_stored = value;
  self->view.at[i] = location[i].newest + 1;
  append (i, value, order >= RELEASE ? &self->view : &self->released);
  if (order == SEQ_CST)
    location[i].sc = location[i].newest;
  trace (function, order == SEQ_CST ? "store sc" : order == RELEASE
                   ? "store rel" : "store rlx", p, value, "");
}

/* --- Mutants --- */

static bool
is_mutated (const char *function, int operation, MemoryOrder order)
{
  const Mutant *m = program->mutant;

  return m != NULL && (int) m->operation == operation && m->order == order
         && running != NOBODY && strcmp (m->function, function) == 0;
}

static void
do_postponed (const char *function)
{
  Postponed late;

  if (running == NOBODY || routine[running].postponed.p == NULL)
    return;
  late = routine[running].postponed;
  if (strcmp (function, late.past) == 0)
    return;
  routine[running].postponed.p = NULL;
  store_now (late.p, late.size, late.value, late.order, "(late)");
}

/* --- What the code under test calls --- */

void
machine_store (void *p, size_t size, uint32_t value, MemoryOrder order,
               const char *function)
{
  if (!is_shared (p)) {
    write_memory (p, size, value);
    return;
  }
  do_postponed (function);
  if (is_mutated (function, STORE, order)) {
    const Mutant *m = program->mutant;

    if (m->action == LEAVE_OUT)
      return;
    if (m->action == POSTPONE) {
      routine[running].postponed
        = (Postponed) { p, size, value, order, m->past };
      return;
    }
    order = m->weaker;
  }
  store_now (p, size, value, order, function);
}

/* How old a value a load of location @i returns, of @oldest that are permitted. It
 * may stay behind for good at the price of once: a store that is long in coming is
 * one event, however often somebody looks for it. Not so a relaxed load: nothing
 * is promised on grounds of those, and progress may need them. */
static unsigned
choose_age (Routine *self, unsigned i, unsigned oldest, MemoryOrder order)
{
  unsigned age;

  if (self->is_behind && self->behind == i && order != RELAXED)
    return oldest;
  if (oldest == 0 || stale == program->bounds.stale)
    return 0;
  age = choose (1 + oldest * (order != RELAXED ? 2 : 1));
  stale += age > 0;
  if (age <= oldest)
    return age;
  self->is_behind = true;
  self->behind = i;
  return age - oldest;
}

uint32_t
machine_load (const void *p, size_t size, MemoryOrder order,
              const char *function)
{
  Routine *self;
  Location *l;
  unsigned i, oldest, age;

  if (!is_shared (p) || running == NOBODY)
    return read_memory (p, size);
  do_postponed (function);
  if (is_mutated (function, LOAD, order)) {
    if (program->mutant->action == PRETEND)
      return routine[running].last_stored;
    order = program->mutant->weaker;
  }
  step ();
  self = &routine[running];
  i = locate (p, size);
  l = &location[i];
  oldest = self->view.at[i];
  if (order == SEQ_CST && l->sc > oldest)
    oldest = l->sc;
  age = choose_age (self, i, l->newest - oldest, order);
  self->view.at[i] = (uint8_t) (l->newest - age);
  join_views (order != RELAXED ? &self->view : &self->loaded,
              &l->message[l->newest - age].view);
  trace (function, order == SEQ_CST ? "load sc" : order == ACQUIRE ? "load acq"
                   : "load rlx", p, l->message[l->newest - age].value,
         age > 0 ? " (old)" : "");
  return l->message[l->newest - age].value;
}

uint32_t
machine_rmw (void *p, MachineOperator operator, uint32_t value,
             MemoryOrder order, const char *function)
{
  uint32_t old, new;
  Routine *self;
  Message *from;
  MachineView view;
  unsigned i;

  old = read_memory (p, sizeof (uint32_t));
  if (is_shared (p) && running != NOBODY) {
    do_postponed (function);
    if (is_mutated (function, RMW, order)) {
      if (program->mutant->action == LEAVE_OUT)
        return old;
      order = program->mutant->weaker;
    }
    step ();
    old = read_memory (p, sizeof (uint32_t));
  }
  new = operator == EXCHANGE ? value : operator == OR ? old | value : old & value;
  if (!is_shared (p) || running == NOBODY) {
    write_memory (p, sizeof (uint32_t), new);
    return old;
  }
  self = &routine[running];
  i = locate (p, sizeof (uint32_t));
  from = &location[i].message[location[i].newest];
  view = from->view;              /* the release sequence goes on */
  if (order == SEQ_CST)
    join_views (&self->view, &view);
  self->view.at[i] = location[i].newest + 1;
  if (order >= RELEASE)
    join_views (&view, &self->view);
  append (i, new, &view);
  if (order == SEQ_CST)
    location[i].sc = location[i].newest;
  trace (function, "exchange", p, new, "");
  return old;
}

void
machine_fence (MemoryOrder order, const char *function)
{
  const Mutant *m = program->mutant;
  Routine *self;

  if (running == NOBODY || (is_mutated (function, FENCE, order)
                            && m->action == LEAVE_OUT))
    return;
  self = &routine[running];
  if (order == ACQUIRE)
    join_views (&self->view, &self->loaded);
  else
    self->released = self->view;
}

/* --- Plain data --- */

/* Reads are locations too, one for each place and routine, so that views tell
 * which of them are over. */
static unsigned
locate_reads (const uint32_t *p, unsigned r)
{
  return locate (p + 1 + r, sizeof *p);
}

uint32_t
machine_read_plain (const uint32_t *p)
{
  Routine *self;
  unsigned i;

  do_postponed ("");
  step ();
  self = &routine[running];
  i = locate (p, sizeof *p);
  trace ("", "read", p, *p, "");
  if (self->view.at[i] != location[i].newest)
    fail ("I1: data is read that somebody writes");
  i = locate_reads (p, running);
  self->view.at[i] = ++location[i].newest;
  return *p;
}

void
machine_write_plain (uint32_t *p, uint32_t value)
{
  Routine *self;
  unsigned i;

  do_postponed ("");
  step ();
  self = &routine[running];
  i = locate (p, sizeof *p);
  trace ("", "write", p, value, "");
  if (self->view.at[i] != location[i].newest)
    fail ("I1: data is written that somebody else writes");
  for (unsigned r = 0; r < program->n_routines; r++) {
    unsigned k = locate_reads (p, r);

    if (self->view.at[k] != location[k].newest && routine[r].state != DEAD)
      fail ("I1: data is written that somebody may still read");
  }
  self->view.at[i] = append (i, value, &self->released);
}

/* --- Waiting --- */

void
machine_give (MachineToken *token)
{
  if (running != NOBODY) {
    do_postponed ("");
    step ();
    if (token->orders)
      join_views (&token->view, &routine[running].view);
  }
  token->count = 1;
  if (tracing)
    puts ("  gives a token");
}

void
machine_take (MachineToken *token)
{
  Routine *self;

  do_postponed ("");
  step ();
  self = &routine[running];
  self->needs = token;
  while (token->count == 0)
    leave_to_others ();
  self->needs = NULL;
  token->count = 0;
  if (token->orders)
    join_views (&self->view, &token->view);
}

/* --- Schedules --- */

static void
run (void)
{
  unsigned r = running;

  program->routine[r] ();
  do_postponed ("");
  routine[r].state = DONE;
  leave_to_others ();
}

static void
prepare_routine (unsigned r)
{
  Routine *self = &routine[r];

  if (self->context.uc_stack.ss_sp == NULL) {
    getcontext (&self->context);
    self->context.uc_stack.ss_sp = stack[r];
    self->context.uc_stack.ss_size = sizeof stack[r];
    self->context.uc_link = &home;
  }
  makecontext (&self->context, run, 0);
  self->state = READY;
  self->needs = NULL;
  self->postponed.p = NULL;
  self->is_behind = false;
  memset (&self->view, 0, sizeof self->view);
  memset (&self->released, 0, sizeof self->released);
  memset (&self->loaded, 0, sizeof self->loaded);
}

static void
run_schedule (void)
{
  forget_memory ();
  depth = preemptions = deaths = stale = steps = 0;
  violation = NULL;
  running = NOBODY;
  for (unsigned r = 0; r < program->n_routines; r++)
    prepare_routine (r);
  program->set_up ();
  leave_to_others ();
  if (violation == NULL)
    program->check ();
}

static double
now (void)
{
  struct timespec t;

  clock_gettime (CLOCK_MONOTONIC, &t);
  return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

MachineResult
machine_explore (const MachineProgram *p, double seconds)
{
  MachineResult result = { 0 };
  double end = now () + seconds;

  program = p;
  length = 0;
  do {
    run_schedule ();
    result.schedules++;
    if (steps > result.longest)
      result.longest = steps;
    result.violation = violation;
    if (violation != NULL)
      return result;
    if (seconds > 0 && result.schedules % 1024 == 0 && now () > end)
      return result;
  } while (next_path ());
  result.complete = true;
  return result;
}

MachineResult
machine_replay (const MachineProgram *p, const char *choices)
{
  MachineResult result = { .schedules = 1 };

  program = p;
  set_choices (choices);
  tracing = true;
  run_schedule ();
  tracing = false;
  result.longest = steps;
  result.violation = violation;
  return result;
}
