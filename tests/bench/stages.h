/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Marks on a frame's way through ndshsink and ndshsrc, where a library calls out of our
 * code or into it: what lies between two of them is all of our own, and of what it calls.
 */
#ifndef STAGES_H
#define STAGES_H

#include <gst/gst.h>

typedef enum {
  STAGE_BEGIN,                  /* a source asks the sink's pool for memory */
  STAGE_BEGUN,                  /* and has it */
  STAGE_RENDER,                 /* the sink is given the buffer */
  STAGE_RING,                   /* rings, */
  STAGE_RUNG,                   /* has rung */
  STAGE_RENDERED,               /* and is done */
  STAGE_CREATE,                 /* the source's thread wants the next frame, */
  STAGE_SLEEP,                  /* sleeps, */
  STAGE_WOKEN,                  /* has slept */
  STAGE_CREATED,                /* and has a buffer to push */
  N_STAGES
} Stage;

/* Before anything is made of them; either way marks are set and nothing else is changed.
 * @timed: each mark reads a clock. */
void stages_init (gboolean timed);

/* Those in @pipeline are marked from now on. */
void stages_watch (GstBin *pipeline);

/* A member of a JSON object: what lies where, as a trace of memory needs it; and if timed
 * the times between marks. */
void stages_report (void);

#endif
