/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is done in the process that is stopped or killed: kill-steps.c is all the
 * others. */
#ifndef NDSH_KILL_SUBJECT_H
#define NDSH_KILL_SUBJECT_H

#include <glib.h>

#define SIZE 64                 /* bytes of a frame */

/* Slots of a writer that is the subject: so few that a claim has to take what readers
 * queue, and meets their leases. */
#define WRITER_SLOTS 4

/* Of readers that a writer has, when it is the subject; one more comes. */
enum { HOLDER, FIRST, SECOND, IDLER, N_READERS };

typedef enum {
  READER,               /* has had all there is */
  READER_BEHIND,        /* has a new frame before it */
  READER_UNTOLD,        /* the same, in memory that it has not yet heard of */
  READER_WAITING,       /* was woken, has had all since, and asks whether there is
                         * more: if not it can sleep, for it will be woken */
  READER_LOSSLESS,      /* its writer waits for it */
  READER_AWAITED,       /* the same, and the writer is to be woken by it alone */
  WRITER,               /* has published five frames, and has N_READERS */
  WRITER_FULL,          /* the same, but four; and a reader holds its other slot */
  WRITER_LEAVING,       /* the same, and does not come back */
  WRITER_STARTING,      /* finds a dead writer's socket, and others that wait */
  WRITER_STARTING_RACE, /* the same, and another that starts as well */
  WRITER_STOPPING_RACE  /* has published nothing; another starts meanwhile */
} Setting;

typedef struct Subject Subject;

typedef struct {
  const char *name;
  Setting setting;
  gboolean is_long;             /* too many steps to try each */
  void (*prepare) (Subject *s);
  void (*operate) (Subject *s);
  int (*finish) (Subject *s);
} Operation;

extern const Operation operations[];
extern const guint n_operations;

/* Passes, in this order: one mark, and in READER_WAITING, WRITER, WRITER_FULL and
 * WRITER_LEAVING two; one where operation @name begins and one where it ends; in
 * READER_WAITING and WRITER_FULL one when what it was promised has come; and, for a
 * writer that goes on, one when it has all readers. Returns an exit status. */
int be_subject (const char *name);

#define NAME_WAS_TAKEN 3        /* the exit status of WRITER_STARTING_RACE if it lost */

/* For so many slots with frames of SIZE: payload and tail. */
guint64 memory_of (guint n_slots);

#endif
