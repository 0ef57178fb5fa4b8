/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "plain.h"

#include <string.h>
#include <sys/mman.h>

#include "fuzz.h"

/* --- Segments ------------------------------------------------------------- */

/* As large as any that a fuzzer asks for. */
#define MAX_SIZE ((gsize) 512 * 1024)

typedef struct {
  NdshSegment segment;          /* first: the library knows it as this */
  gpointer data;                /* stays when the writer has unmapped it */
  guint8 *end;
} Plain;

static GPtrArray *unused;       /* Plain * */

gsize fuzz_committed;
int fuzz_segment_fd = -1;

/* AddressSanitizer's, if that is there. */
void __asan_poison_memory_region (void const volatile *, size_t)
  __attribute__ ((weak));
void __asan_unpoison_memory_region (void const volatile *, size_t)
  __attribute__ ((weak));

gboolean __wrap_ndsh_memory_check (guint64 size, GError **error);
NdshSegment *__wrap_ndsh_segment_new (const char *name, gsize committed, gsize size,
                                      NdshSegmentAccess access, GError **error);
gboolean __wrap_ndsh_segment_commit (NdshSegment *segment, gsize committed,
                                     GError **error);
void __wrap_ndsh_segment_unmap (NdshSegment *segment);
void __wrap_ndsh_segment_unref (NdshSegment *segment);

static Plain *
take_plain (void)
{
  Plain *plain;

  if (unused == NULL)
    unused = g_ptr_array_new ();
  if (unused->len > 0)
    return g_ptr_array_remove_index_fast (unused, unused->len - 1);
  plain = g_new0 (Plain, 1);
  plain->end = fuzz_fence_new (MAX_SIZE);
  return plain;
}

static void
set_poisoned (Plain *plain, gboolean poisoned)
{
  if (poisoned && __asan_poison_memory_region != NULL)
    __asan_poison_memory_region (plain->data, plain->segment.committed);
  if (!poisoned && __asan_unpoison_memory_region != NULL)
    __asan_unpoison_memory_region (plain->data, plain->segment.committed);
}

NdshSegment *
__wrap_ndsh_segment_new (const char *name, gsize committed, gsize size,
                         NdshSegmentAccess access, GError **error)
{
  Plain *plain = take_plain ();
  NdshSegment *segment = &plain->segment;

  (void) name;
  (void) access;
  (void) error;
  memset (segment, 0, sizeof *segment);
  segment->refs = 1;
  segment->fd = fuzz_segment_fd;
  segment->committed = ndsh_page_align (committed);
  segment->size = MAX (ndsh_page_align (size), segment->committed);
  g_assert (segment->size <= MAX_SIZE);
  segment->data = plain->data = plain->end - segment->size;
  set_poisoned (plain, FALSE);
  if (access == NDSH_SEGMENT_SHARED)
    memset (segment->data, 0, committed);
  fuzz_committed += segment->committed;
  return segment;
}

gboolean
__wrap_ndsh_segment_commit (NdshSegment *segment, gsize committed, GError **error)
{
  Plain *plain = (Plain *) segment;

  (void) error;
  committed = ndsh_page_align (committed);
  g_assert (committed <= segment->size);
  if (committed <= segment->committed)
    return TRUE;
  fuzz_committed += committed - segment->committed;
  segment->committed = committed;
  set_poisoned (plain, FALSE);
  return TRUE;
}

void
__wrap_ndsh_segment_unmap (NdshSegment *segment)
{
  segment->data = NULL;
}

void
__wrap_ndsh_segment_unref (NdshSegment *segment)
{
  Plain *plain = (Plain *) segment;

  if (segment == NULL || --segment->refs > 0)
    return;
  g_assert (segment->refs == 0);
  fuzz_committed -= segment->committed;
  set_poisoned (plain, TRUE);
  g_ptr_array_add (unused, plain);
}

gboolean
__wrap_ndsh_memory_check (guint64 size, GError **error)
{
  (void) size;
  (void) error;
  return TRUE;
}

/* --- A writer ------------------------------------------------------------- */

static void
set_control (NdshWriter *writer, guint32 history)
{
  memset (writer->stream_id, 'a', 32);
  writer->control
    = ndsh_segment_new ("", sizeof (NdshControl), sizeof (NdshControl),
                        NDSH_SEGMENT_SHARED, NULL);
  ndsh_slots_init (&writer->slots, writer->control->data, history, 1);
}

NdshWriter *
fuzz_writer_new (const NdshWriterOptions *options)
{
  NdshWriter *writer = g_new0 (NdshWriter, 1);

  writer->refs = 1;
  writer->process = ndsh_lifeline_process ();
  writer->options = *options;
  writer->channel = g_strdup ("fuzz");
  writer->retired
    = g_ptr_array_new_with_free_func ((GDestroyNotify) ndsh_segment_unref);
  pthread_mutex_init (&writer->mutex, NULL);
  pthread_cond_init (&writer->changed, NULL);
  set_control (writer, options->history);
  return writer;
}
