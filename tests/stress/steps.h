/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A process of this same program, the subject, that is taken to any instruction of
 * what it does and stopped or killed there: ptrace, single steps, and how to come to
 * a step without taking each one before it.
 *
 * Only the subject's main thread is traced. A writer's service goes on by itself, as
 * it would. After each system call of the subject nothing is done until that thread,
 * and those of this process, have done what the call gave them to do: so the same
 * step is the same moment in each run.
 */
#ifndef NDSH_STEPS_H
#define NDSH_STEPS_H

#include <glib.h>

/* NULL, or a sentence why this machine cannot do it. */
char *steps_why_not (void);

/* --- In the subject ------------------------------------------------------- */

/* Stops until the tracer says go on, or, once it was let go of, SIGCONT. */
void steps_mark (void);

/* --- In the tracer -------------------------------------------------------- */

/* Starts this program with the arguments "--subject @role", stopped before the first
 * instruction. It dies with this process. */
int steps_spawn (const char *role);

/* What was found out by taking each step from one mark to the next. Step n is the
 * moment after n instructions. */
typedef struct {
  guint n_steps;        /* instructions from mark to mark */
  GArray *changes;      /* guint: steps after which others can see what they could
                         * not before: a system call, or a store to shared memory */
  GArray *calls;        /* guint: steps that were a system call */
  GArray *places;       /* guint16 of each step: where in its page the code is */
} StepsRecord;

void steps_run_to_mark (int pid);
StepsRecord *steps_record (int pid);
void steps_record_free (StepsRecord *record);

typedef enum {
  STEPS_THERE,
  STEPS_ELSEWHERE,      /* this run was another: as good a step as any */
  STEPS_AT_MARK         /* the end: there will be no other mark */
} StepsPlace;

/* From a mark to step @n of @record. */
StepsPlace steps_go (int pid, const StepsRecord *record, guint n);

/* SIGKILL; returns when it is gone. */
void steps_kill (int pid);

/* Lets go of it with SIGSTOP: returns when all its threads have stopped. */
void steps_stop (int pid);

/* What was let go of goes on after SIGCONT; returns when it has stopped at the next
 * mark, or its exit status. */
void steps_continue (int pid);
void steps_wait_mark (int pid);
int steps_wait_exit (int pid);

/* Returns when no thread of @pid but the main one has anything to do. */
void steps_settle (int pid);

#endif
