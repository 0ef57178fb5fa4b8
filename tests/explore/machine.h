/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A machine that runs a few routines through their interleavings, depth first,
 * with a bound on how often a routine is interrupted, and whose memory is as weak
 * as C11 allows: a load may return a value that newer stores have replaced, as
 * long as nothing its routine has seen forbids that.
 *
 * How weak. Each location remembers the values stored to it, and each routine the
 * oldest value of each location that it may still see: its view. A release store
 * takes the view along, an acquire load joins it to the reader's own. Sequentially
 * consistent loads never return less than the newest sequentially consistent store.
 * (The "views" of Kang et al., POPL 2017, without promises; Relacy does much the
 * same.) A release fence has later stores take along the view that it found, an acquire
 * fence joins those of earlier loads. That covers reorderings of stores with later loads, as on x86, and of
 * stores with stores and loads with loads, as on ARM. Left out: loads that
 * overtake later stores, and stores that go back in the order of modification.
 *
 * Plain data is checked for races by the same views, so a missing acquire or
 * release shows even where no value comes out wrong. Data that is copied while somebody
 * may write it is loaded relaxed instead.
 */
#ifndef MACHINE_H
#define MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mutant.h"

#define MACHINE_LOCATIONS 64      /* that one schedule may touch */
#define MACHINE_ROUTINES 4

typedef enum { EXCHANGE, OR, AND } MachineOperator;

typedef struct {
  uint8_t at[MACHINE_LOCATIONS];
} MachineView;

/* What one routine gives and another one waits for: a byte in a socket (does not
 * count, may order nothing) or a mutex (orders). */
typedef struct {
  unsigned count;
  bool orders;
  MachineView view;
} MachineToken;

typedef struct {
  unsigned preemptions;
  unsigned stale;                 /* loads that return something old */
} MachineBounds;

typedef struct {
  unsigned n_routines;
  void (*routine[MACHINE_ROUTINES]) (void);
  bool mortal[MACHINE_ROUTINES];  /* one of these may die, at any step */
  void (*set_up) (void);          /* before each schedule; atomics work */
  void (*died) (unsigned routine);
  void (*check) (void);           /* after each schedule */
  void (*name) (const void *p, char *name, size_t size);
  bool (*is_owned) (const void *p);       /* stores to it must be ordered */
  MachineBounds bounds;
  const Mutant *mutant;
} MachineProgram;

typedef struct {
  unsigned long schedules;
  unsigned long longest;          /* steps */
  bool complete;                  /* all schedules within the bounds were run */
  const char *violation;
} MachineResult;

/* The only memory whose operations are steps. Zero before each set_up. */
extern uint8_t machine_memory[];

/* Operations on @p are no steps: nothing depends on it. */
void machine_ignore (const void *p);

/* Runs schedules until one is bad or @seconds have passed (0: no matter how long). */
MachineResult machine_explore (const MachineProgram *program, double seconds);

/* Runs the schedule told by @choices ("57:1,60:2") and prints its steps. */
MachineResult machine_replay (const MachineProgram *program, const char *choices);

/* The choices of the last schedule. */
void machine_print_choices (void);

/* --- For routines --- */

uint32_t machine_load (const void *p, size_t size, MemoryOrder order,
                       const char *function);
void machine_store (void *p, size_t size, uint32_t value, MemoryOrder order,
                    const char *function);
uint32_t machine_rmw (void *p, MachineOperator operator, uint32_t value,
                      MemoryOrder order, const char *function);

void machine_fence (MemoryOrder order, const char *function);

uint32_t machine_read_plain (const uint32_t *p);
void machine_write_plain (uint32_t *p, uint32_t value);

void machine_give (MachineToken *token);
void machine_take (MachineToken *token);

/* Whether every load of this schedule returned the newest value so far. */
bool machine_is_fresh (void);

/* Ends the schedule unless @holds. */
void machine_expect (bool holds, const char *what);

#endif
