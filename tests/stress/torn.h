/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What torn.c and raw.c share: a run, what its processes tell each other, and the
 * words that frames are made of. */
#ifndef TORN_H
#define TORN_H

#include <glib.h>

#ifdef STRESS_MUTANTS
#include "mutants.h"
#else
#define mutants_settle()
#endif

#define MAX_READERS 8

/* Who may hold whom up. */
typedef enum {
  FREE,                         /* latest and queue */
  MIXED,                        /* at least one is lossless */
  TIGHT,                        /* FREE, with so few slots that each is fought for */
  TIGHT_LOSSLESS,
  HANDED,                       /* FREE, and another thread releases */
  TURNS,                        /* the next frame follows when all have had the last */
  RAW,                          /* TIGHT, TIGHT_LOSSLESS and TURNS of slots.c alone */
  RAW_LOSSLESS,
  RAW_TURNS,
  RAW_COPIES                    /* RAW, and no frame can be leased */
} Kind;

typedef struct {
  Kind kind;
  gsize size;
  guint n_readers;
  guint rate;                   /* frames a second, 0: no limit */
  gint n_leases;                /* when it is enough */
} Plan;

/* In memory that all processes of a run share. Each reader has lines of its own. */
typedef struct {
  gint leases;
  gint missed;
  gint checks;                  /* of one frame's payload */
  gint most_held;
  gint had;                     /* TURNS: the last frame, modulo 2^31 */
  char line[128 - 5 * sizeof (gint)];
} ReaderCounts;

typedef struct {
  gint stop;
  gint failed;                  /* @what is being written, or was */
  char what[240];
  gint frames;
  gint full;
  gint slots;
  ReaderCounts reader[MAX_READERS] __attribute__ ((aligned (128)));
} Shared;

extern Shared *shared;

static inline gboolean
is_over (void)
{
  return g_atomic_int_get (&shared->stop) != 0;
}

/* Notes the first failure of all processes, and ends the run. */
void fail (const char *format, ...) G_GNUC_PRINTF (1, 2);

/* TURNS */
gboolean all_had (const Plan *plan, guint64 n);

#define BY_NUMBER G_GUINT64_CONSTANT (0x9e3779b97f4a7c15)
#define BY_PLACE G_GUINT64_CONSTANT (0xd1b54a32d192ed03)

static inline guint64
word_of (guint64 n, gsize place)
{
  return n * BY_NUMBER + place * BY_PLACE;
}

static inline void
fill (guint64 *words, gsize n_words, guint64 n)
{
  guint64 word = word_of (n, 0);

  for (gsize i = 0; i < n_words; i++, word += BY_PLACE)
    words[i] = word;
}

/* --- raw.c --- */

/* Before the fork: memory of its own for the run. */
void raw_set_up (const Plan *plan);
void raw_write (const Plan *plan);
void raw_read (const Plan *plan, guint reader);

#endif
