/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hides how upstream elements come to write straight into slots.
 *
 * A GstMemory of ours is a draft: made with it, and released with it. A GstBuffer
 * of our pool is only an envelope, recycled empty; each time it is handed out it
 * gets a new memory. So a slot is held exactly as long as somebody refers to its
 * memory, whatever becomes of buffers, pools and the sink:
 *
 *   acquire_buffer    an empty buffer gets a memory: ndsh_writer_begin
 *   (upstream fills it, the sink publishes it)
 *   reset_buffer      the memory is taken out of the buffer
 *   mem_free          the last reference has gone: ndsh_draft_release
 */
#include "gstndshallocator.h"

#include <string.h>

#define MEMORY_TYPE "NdshMemory"

/* How long a pool waits for a slot while it is readers who hold them, and while
 * upstream holds some itself and may be the one that has to let go. */
#define WAIT_FOR_READERS_US (100 * 1000)
#define WAIT_FOR_UPSTREAM_US (2 * 1000)

/* --- Allocator --- */

struct _GstNdshAllocator {
  GstAllocator parent;

  GMutex lock;                  /* guards the rest */
  GCond changed;                /* of anything below, and of slots */
  NdshWriter *writer;           /* NULL once closed */
  guint history;
  guint n_calls;                /* threads inside the writer now */
  guint n_waiting;              /* threads that wait for changed */
  guint n_memories;             /* memories that hold a draft */
  gsize size;                   /* of the last draft, */
  guint max_frames;             /* and how many like it there can be; 0 before it */
  guint n_changes;              /* how often "changed" was said */
  gboolean flushing;
  gboolean unlocked;
  gboolean closing;
};

typedef struct {
  GstMemory memory;
  NdshDraft *draft;             /* NULL in what mem_share made */
  gint published;               /* atomic */
} Memory;

G_DEFINE_TYPE (GstNdshAllocator, gst_ndsh_allocator, GST_TYPE_ALLOCATOR)

/* An unlocked sink leaves those alone who wait for a slot: they are upstream, and
 * basesink unlocks also where nothing flushes. */
static gboolean
may_wait_for_slot (GstNdshAllocator *self)
{
  return !self->flushing && !self->closing;
}

/* With the lock, as the next one. GLib makes a system call of it even where nobody waits,
 * and there is something to say several times a frame. */
static void
broadcast (GstNdshAllocator *self)
{
  if (self->n_waiting > 0)
    g_cond_broadcast (&self->changed);
}

/* There may be a slot. Who tries, and then waits, must not miss what came
 * in between. */
static void
say_changed (GstNdshAllocator *self)
{
  self->n_changes++;
  broadcast (self);
}

NdshWriter *
gst_ndsh_allocator_enter (GstNdshAllocator *self)
{
  NdshWriter *writer;

  g_mutex_lock (&self->lock);
  writer = self->closing ? NULL : self->writer;
  self->n_calls++;
  g_mutex_unlock (&self->lock);
  return writer;
}

void
gst_ndsh_allocator_leave (GstNdshAllocator *self)
{
  g_mutex_lock (&self->lock);
  self->n_calls--;
  broadcast (self);
  g_mutex_unlock (&self->lock);
}

/* With the lock, so that the last to change a flag is the last to tell. */
static void
tell_writer (GstNdshAllocator *self)
{
  if (self->writer != NULL)
    ndsh_writer_set_flushing (self->writer,
                              self->unlocked || !may_wait_for_slot (self));
  say_changed (self);
}

void
gst_ndsh_allocator_set_flushing (GstNdshAllocator *self, gboolean flushing)
{
  g_mutex_lock (&self->lock);
  self->flushing = flushing;
  tell_writer (self);
  g_mutex_unlock (&self->lock);
}

void
gst_ndsh_allocator_set_unlocked (GstNdshAllocator *self, gboolean unlocked)
{
  g_mutex_lock (&self->lock);
  self->unlocked = unlocked;
  tell_writer (self);
  g_mutex_unlock (&self->lock);
}

void
gst_ndsh_allocator_wake (GstNdshAllocator *self)
{
  g_mutex_lock (&self->lock);
  say_changed (self);
  g_mutex_unlock (&self->lock);
}

void
gst_ndsh_allocator_close (GstNdshAllocator *self)
{
  NdshWriter *writer;

  g_mutex_lock (&self->lock);
  self->closing = TRUE;
  tell_writer (self);
  self->n_waiting++;
  while (self->n_calls > 0)
    g_cond_wait (&self->changed, &self->lock);
  self->n_waiting--;
  writer = g_steal_pointer (&self->writer);
  g_mutex_unlock (&self->lock);

  /* Not under the lock: it waits for the thread that calls
   * gst_ndsh_allocator_wake (). */
  ndsh_writer_free (writer);
}

NdshDraft *
gst_ndsh_allocator_begin (GstNdshAllocator *self, gsize size, GError **error)
{
  NdshWriter *writer = gst_ndsh_allocator_enter (self);
  NdshDraft *draft = NULL;

  if (writer != NULL)
    draft = ndsh_writer_begin_bytes (writer, size, TRUE, error);
  else
    g_set_error_literal (error, NDSH_ERROR, NDSH_ERROR_CLOSED,
                         "the channel is closed");
  gst_ndsh_allocator_leave (self);
  return draft;
}

/* --- Memory --- */

/* Foreign frames need a slot to be copied to, and the newest frames keep theirs:
 * what is left is for memories. But no more than a reader can be behind that wants every
 * frame: those that a queue holds are published all at once when such a reader comes. Who
 * @does_not_wait has other memory, too, and leaves the half that readers may lease: where
 * it held that as well, the sink would wait for what lies behind it in a queue. */
static gboolean
may_have_another (GstNdshAllocator *self, gboolean does_not_wait)
{
  guint n_frames = does_not_wait ? self->max_frames / 2 : self->max_frames;

  if (self->n_memories == 0 || self->max_frames == 0)
    return TRUE;
  return self->n_memories < NDSH_MAX_QUEUE
         && n_frames > self->n_memories + self->history + 1;
}

/* A place among the memories is taken before the draft, so that two threads do
 * not both take the last. */
static gboolean
reserve_memory (GstNdshAllocator *self, gboolean does_not_wait)
{
  gboolean may;

  g_mutex_lock (&self->lock);
  may = !self->closing && may_have_another (self, does_not_wait);
  if (may)
    self->n_memories++;
  g_mutex_unlock (&self->lock);
  return may;
}

static void
unreserve_memory (GstNdshAllocator *self)
{
  g_mutex_lock (&self->lock);
  self->n_memories--;
  g_mutex_unlock (&self->lock);
}

/* Frames of one size follow each other for long, and the writer counts for a while. */
static void
note_max_frames (GstNdshAllocator *self, NdshWriter *writer, gsize size)
{
  NdshWriterInfo info;
  gboolean is_known;

  g_mutex_lock (&self->lock);
  is_known = self->size == size;
  g_mutex_unlock (&self->lock);
  if (is_known)
    return;
  ndsh_writer_get_info (writer, &info);
  g_mutex_lock (&self->lock);
  self->size = size;
  self->max_frames = info.max_frames;
  g_mutex_unlock (&self->lock);
}

static GstMemory *
wrap_draft (GstNdshAllocator *self, NdshDraft *draft, gsize size)
{
  Memory *memory = g_new0 (Memory, 1);

  memory->draft = draft;
  gst_memory_init (GST_MEMORY_CAST (memory), 0, GST_ALLOCATOR_CAST (self), NULL,
                   ndsh_draft_get_size (draft), 4095, 0, size);
  return GST_MEMORY_CAST (memory);
}

/* NULL with NDSH_ERROR_FULL if there is no slot now, with another error if there
 * never will be. */
static GstMemory *
try_new_memory (GstNdshAllocator *self, gsize size, gboolean may_block,
                NdshError *why)
{
  g_autoptr (GError) error = NULL;
  NdshWriter *writer;
  NdshDraft *draft = NULL;

  *why = NDSH_ERROR_FULL;
  if (!reserve_memory (self, !may_block))
    return NULL;
  writer = gst_ndsh_allocator_enter (self);
  if (writer != NULL)
    draft = ndsh_writer_begin_bytes (writer, size, may_block, &error);
  if (draft != NULL)
    note_max_frames (self, writer, size);
  gst_ndsh_allocator_leave (self);
  if (draft == NULL) {
    unreserve_memory (self);
    *why = error != NULL ? (NdshError) error->code : NDSH_ERROR_CLOSED;
    return NULL;
  }
  return wrap_draft (self, draft, size);
}

static guint
count_changes (GstNdshAllocator *self)
{
  guint n;

  g_mutex_lock (&self->lock);
  n = self->n_changes;
  g_mutex_unlock (&self->lock);
  return n;
}

static gboolean
may_wait (GstNdshAllocator *self, GstBufferPool *pool)
{
  return may_wait_for_slot (self) && !GST_BUFFER_POOL_IS_FLUSHING (pool);
}

/* Sleeps until something changed since there were @n_changes that may mean a free slot;
 * FALSE if it is time to do without. */
static gboolean
wait_for_slot (GstNdshAllocator *self, GstBufferPool *pool, guint n_changes,
               gint64 *deadline)
{
  gboolean changed;

  g_mutex_lock (&self->lock);
  if (*deadline == 0)
    *deadline = g_get_monotonic_time ()
                + (self->n_memories == 0 ? WAIT_FOR_READERS_US
                                         : WAIT_FOR_UPSTREAM_US);
  self->n_waiting++;
  while (self->n_changes == n_changes && may_wait (self, pool)
         && g_cond_wait_until (&self->changed, &self->lock, *deadline))
    ;
  self->n_waiting--;
  changed = self->n_changes != n_changes && may_wait (self, pool)
            && g_get_monotonic_time () < *deadline;
  g_mutex_unlock (&self->lock);
  return changed;
}

GstMemory *
gst_ndsh_allocator_new_draft (GstNdshAllocator *self, gsize size,
                              GstBufferPool *pool)
{
  GstMemory *memory;
  gint64 deadline = 0;
  guint n_changes;
  NdshError why;

  do {
    n_changes = count_changes (self);
    memory = try_new_memory (self, size, pool != NULL, &why);
  } while (memory == NULL && why == NDSH_ERROR_FULL && pool != NULL
           && wait_for_slot (self, pool, n_changes, &deadline));
  return memory;
}

static Memory *
get_root (GstMemory *memory)
{
  return (Memory *) (memory->parent != NULL ? memory->parent : memory);
}

static gpointer
memory_map (GstMemory *memory, gsize max_size, GstMapFlags flags)
{
  (void) max_size;
  (void) flags;
  return ndsh_draft_get_data (get_root (memory)->draft);
}

static void
memory_unmap (GstMemory *memory)
{
  (void) memory;
}

/* That it is one, and whose. */
static GQuark
get_substitute_quark (void)
{
  return g_quark_from_static_string ("gst-ndsh-substitute");
}

GstMemory *
gst_ndsh_allocator_new_substitute (GstNdshAllocator *self, gsize size,
                                   GstAllocationParams *params)
{
  GstMemory *memory = gst_allocator_alloc (NULL, size, params);

  if (memory != NULL)
    gst_mini_object_set_qdata (GST_MINI_OBJECT_CAST (memory), get_substitute_quark (),
                               self, NULL);
  return memory;
}

static gboolean
is_substitute (GstNdshAllocator *self, GstMemory *memory)
{
  return gst_mini_object_get_qdata (GST_MINI_OBJECT_CAST (memory), get_substitute_quark ())
         == self;
}

/* A copy on write that lands in a slot need not be copied again at the sink. */
static GstMemory *
memory_copy (GstMemory *memory, gssize offset, gssize size)
{
  GstNdshAllocator *self = GST_NDSH_ALLOCATOR (memory->allocator);
  const guint8 *from = ndsh_draft_get_data (get_root (memory)->draft);
  GstMemory *copy;
  NdshError why;
  GstMapInfo map;

  if (size < 0)
    size = (gssize) memory->size - offset;
  copy = try_new_memory (self, (gsize) size, FALSE, &why);
  if (copy == NULL)
    copy = gst_ndsh_allocator_new_substitute (self, (gsize) size, NULL);
  if (copy == NULL)
    return NULL;
  if (!gst_memory_map (copy, &map, GST_MAP_WRITE)) {
    gst_memory_unref (copy);
    return NULL;
  }
  memcpy (map.data, from + (gssize) memory->offset + offset, (gsize) size);
  gst_memory_unmap (copy, &map);
  return copy;
}

static GstMemory *
memory_share (GstMemory *memory, gssize offset, gssize size)
{
  Memory *part = g_new0 (Memory, 1);

  if (size < 0)
    size = (gssize) memory->size - offset;
  gst_memory_init (GST_MEMORY_CAST (part), GST_MEMORY_FLAG_READONLY,
                   memory->allocator, GST_MEMORY_CAST (get_root (memory)),
                   memory->maxsize, memory->align,
                   (gsize) ((gssize) memory->offset + offset), (gsize) size);
  return GST_MEMORY_CAST (part);
}

static void
gst_ndsh_allocator_free (GstAllocator *allocator, GstMemory *memory)
{
  Memory *self = (Memory *) memory;

  if (self->draft != NULL) {
    ndsh_draft_release (self->draft);
    unreserve_memory (GST_NDSH_ALLOCATOR (allocator));
    gst_ndsh_allocator_wake (GST_NDSH_ALLOCATOR (allocator));
  }
  g_free (self);
}

/* For pools of somebody else's that found this allocator. Never NULL for want of
 * a slot: not everybody can cope with that. */
static GstMemory *
gst_ndsh_allocator_alloc (GstAllocator *allocator, gsize size,
                          GstAllocationParams *params)
{
  GstNdshAllocator *self = GST_NDSH_ALLOCATOR (allocator);
  GstMemory *memory;
  NdshError why;
  gsize all;

  if (params->prefix != 0 || !g_size_checked_add (&all, size, params->padding))
    return gst_allocator_alloc (NULL, size, params);
  memory = try_new_memory (self, all, FALSE, &why);
  if (memory == NULL)
    return gst_ndsh_allocator_new_substitute (self, size, params);
  gst_memory_resize (memory, 0, size);
  return memory;
}

GstNdshMemoryState
gst_ndsh_allocator_classify (GstNdshAllocator *self, GstMemory *memory)
{
  if (memory->allocator != GST_ALLOCATOR_CAST (self))
    return is_substitute (self, memory) ? GST_NDSH_MEMORY_SUBSTITUTE
                                        : GST_NDSH_MEMORY_FOREIGN;
  if (memory->offset != 0)
    return GST_NDSH_MEMORY_PART;
  if (g_atomic_int_get (&get_root (memory)->published))
    return GST_NDSH_MEMORY_PUBLISHED;
  return GST_NDSH_MEMORY_DRAFT;
}

NdshDraft *
gst_ndsh_memory_get_draft (GstMemory *memory)
{
  return get_root (memory)->draft;
}

void
gst_ndsh_memory_set_published (GstMemory *memory)
{
  Memory *root = get_root (memory);

  g_atomic_int_set (&root->published, TRUE);
  GST_MINI_OBJECT_FLAG_SET (memory, GST_MEMORY_FLAG_READONLY);
  GST_MINI_OBJECT_FLAG_SET (root, GST_MEMORY_FLAG_READONLY);
}

GstNdshAllocator *
gst_ndsh_allocator_new (NdshWriter *writer, const NdshWriterOptions *options)
{
  GstNdshAllocator *self = g_object_new (GST_TYPE_NDSH_ALLOCATOR, NULL);

  gst_object_ref_sink (self);
  self->writer = writer;
  self->history = options->history;
  return self;
}

static void
gst_ndsh_allocator_finalize (GObject *object)
{
  GstNdshAllocator *self = GST_NDSH_ALLOCATOR (object);

  g_assert (self->writer == NULL && self->n_memories == 0);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->changed);
  G_OBJECT_CLASS (gst_ndsh_allocator_parent_class)->finalize (object);
}

static void
gst_ndsh_allocator_init (GstNdshAllocator *self)
{
  GstAllocator *allocator = GST_ALLOCATOR (self);

  g_mutex_init (&self->lock);
  g_cond_init (&self->changed);
  allocator->mem_type = MEMORY_TYPE;
  allocator->mem_map = memory_map;
  allocator->mem_unmap = memory_unmap;
  allocator->mem_copy = memory_copy;
  allocator->mem_share = memory_share;
}

static void
gst_ndsh_allocator_class_init (GstNdshAllocatorClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = gst_ndsh_allocator_finalize;
  GST_ALLOCATOR_CLASS (klass)->alloc = gst_ndsh_allocator_alloc;
  GST_ALLOCATOR_CLASS (klass)->free = gst_ndsh_allocator_free;
}
