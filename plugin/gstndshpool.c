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
#include "gstndshpool.h"

#include <string.h>

GST_DEBUG_CATEGORY_STATIC (gst_ndsh_pool_debug);
#define GST_CAT_DEFAULT gst_ndsh_pool_debug

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

/* With the lock: there may be a slot. Who tries, and then waits, must not miss what came
 * in between. */
static void
say_changed (GstNdshAllocator *self)
{
  self->n_changes++;
  g_cond_broadcast (&self->changed);
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
  g_cond_broadcast (&self->changed);
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
  while (self->n_calls > 0)
    g_cond_wait (&self->changed, &self->lock);
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
 * what is left is for memories. */
static gboolean
may_have_another (GstNdshAllocator *self)
{
  if (self->n_memories == 0 || self->max_frames == 0)
    return TRUE;
  return self->max_frames > self->n_memories + self->history + 1;
}

/* A place among the memories is taken before the draft, so that two threads do
 * not both take the last. */
static gboolean
reserve_memory (GstNdshAllocator *self)
{
  gboolean may;

  g_mutex_lock (&self->lock);
  may = !self->closing && may_have_another (self);
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
  if (!reserve_memory (self))
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
    copy = gst_allocator_alloc (NULL, (gsize) size, NULL);
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
  GstMemory *memory = NULL;
  gsize all = size;
  NdshError why;

  if (params->prefix == 0 && g_size_checked_add (&all, size, params->padding))
    memory
      = try_new_memory (GST_NDSH_ALLOCATOR (allocator), all, FALSE, &why);
  if (memory == NULL)
    return gst_allocator_alloc (NULL, size, params);
  gst_memory_resize (memory, 0, size);
  return memory;
}

GstNdshMemoryState
gst_ndsh_allocator_classify (GstNdshAllocator *self, GstMemory *memory)
{
  if (memory->allocator != GST_ALLOCATOR_CAST (self))
    return GST_NDSH_MEMORY_FOREIGN;
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
  GST_DEBUG_CATEGORY_INIT (gst_ndsh_pool_debug, "ndshpool", 0,
                           "ndsh drafts as GstMemory");
  G_OBJECT_CLASS (klass)->finalize = gst_ndsh_allocator_finalize;
  GST_ALLOCATOR_CLASS (klass)->alloc = gst_ndsh_allocator_alloc;
  GST_ALLOCATOR_CLASS (klass)->free = gst_ndsh_allocator_free;
}

/* --- The mapping of planes --- */

/*
 * Decoders keep frames mapped for reading and writing while they push them, and
 * a memory that is locked like that cannot be put into a second buffer: the copy
 * that an upstream base class makes of the GstBuffer would copy the pixels too.
 * A draft needs no lock to be mapped, so the meta of our buffers maps without.
 *
 * The meta is copied along with buffers that may hold any memory: whatever is
 * not one draft, or must not be written, takes the way a buffer is usually mapped.
 */
static gboolean
may_map_unlocked (GstBuffer *buffer, GstMapFlags flags)
{
  GstMemory *memory;

  if (gst_buffer_n_memory (buffer) != 1)
    return FALSE;
  memory = gst_buffer_peek_memory (buffer, 0);
  if (!GST_IS_NDSH_ALLOCATOR (memory->allocator))
    return FALSE;
  return (flags & GST_MAP_WRITE) == 0
         || (!GST_MEMORY_IS_READONLY (memory) && gst_memory_is_writable (memory));
}

static gboolean
map_unlocked (GstBuffer *buffer, GstMapInfo *info, GstMapFlags flags)
{
  GstMemory *memory = gst_buffer_peek_memory (buffer, 0);

  memset (info, 0, sizeof *info);
  info->flags = flags;
  info->data = (guint8 *) memory_map (memory, memory->maxsize, flags)
               + memory->offset;
  info->size = memory->size;
  info->maxsize = memory->maxsize - memory->offset;
  /* info->memory stays NULL, which tells unmap_plane () how this was mapped. */
  info->user_data[0] = gst_memory_ref (memory);
  return TRUE;
}

static gboolean
map_plane (GstVideoMeta *meta, guint plane, GstMapInfo *info, gpointer *data,
           gint *stride, GstMapFlags flags)
{
  gsize offset = meta->offset[plane], skip;
  guint first, n;

  if (may_map_unlocked (meta->buffer, flags)) {
    if (offset >= gst_buffer_get_size (meta->buffer))
      return FALSE;
    map_unlocked (meta->buffer, info, flags);
    skip = offset;
  } else if (!gst_buffer_find_memory (meta->buffer, offset, 1, &first, &n, &skip)
             || !gst_buffer_map_range (meta->buffer, first, (gint) n, info,
                                       flags)) {
    return FALSE;
  }
  *data = info->data + skip;
  *stride = meta->stride[plane];
  return TRUE;
}

static gboolean
unmap_plane (GstVideoMeta *meta, guint plane, GstMapInfo *info)
{
  (void) plane;
  if (info->memory != NULL)
    gst_buffer_unmap (meta->buffer, info);
  else
    gst_memory_unref (info->user_data[0]);
  return TRUE;
}

/* --- Pool --- */

struct _GstNdshBufferPool {
  GstBufferPool parent;

  GstNdshAllocator *allocator;
  /* Set by set_config, which cannot happen while the pool is active. */
  GstVideoInfo info;
  GstVideoAlignment alignment;
  gboolean add_video_meta;
  GstAllocationParams params;
  gsize size;
};

G_DEFINE_TYPE (GstNdshBufferPool, gst_ndsh_buffer_pool, GST_TYPE_BUFFER_POOL)

#define PARENT_CLASS GST_BUFFER_POOL_CLASS (gst_ndsh_buffer_pool_parent_class)

static const gchar **
gst_ndsh_buffer_pool_get_options (GstBufferPool *pool)
{
  static const gchar *options[] = { GST_BUFFER_POOL_OPTION_VIDEO_META,
                                    GST_BUFFER_POOL_OPTION_VIDEO_ALIGNMENT,
                                    NULL };

  (void) pool;
  return options;
}

/*
 * Makes @info that of the planes as the config wants them, and the config say what
 * came of it.
 *
 * The base class keeps even a config that is refused, and when it meets the same
 * one again takes it without asking us: what is left in it must suit us.
 */
static gboolean
apply_alignment (GstStructure *config, GstVideoAlignment *alignment,
                 GstVideoInfo *info)
{
  GstVideoInfo plain = *info;
  gboolean good;

  gst_video_alignment_reset (alignment);
  if (!gst_buffer_pool_config_has_option (
        config, GST_BUFFER_POOL_OPTION_VIDEO_ALIGNMENT)
      || !gst_buffer_pool_config_get_video_alignment (config, alignment))
    return TRUE;
  good = gst_video_info_align (info, alignment);
  if (!good) {
    *info = plain;
    gst_video_alignment_reset (alignment);
  }
  gst_buffer_pool_config_set_video_alignment (config, alignment);
  return good;
}

static gboolean
gst_ndsh_buffer_pool_set_config (GstBufferPool *pool, GstStructure *config)
{
  GstNdshBufferPool *self = GST_NDSH_BUFFER_POOL (pool);
  guint size, min_buffers, max_buffers;
  GstStructure *base;
  GstVideoInfo info;
  GstCaps *caps;
  gboolean good;

  if (!gst_buffer_pool_config_get_params (config, &caps, &size, &min_buffers,
                                          &max_buffers)
      || caps == NULL || !gst_video_info_from_caps (&info, caps)
      || !gst_buffer_pool_config_get_allocator (config, NULL, &self->params)) {
    gst_buffer_pool_config_set_params (config, NULL, 0, 0, 0);
    return FALSE;
  }

  good = apply_alignment (config, &self->alignment, &info);
  self->info = info;
  self->size = MAX (size, GST_VIDEO_INFO_SIZE (&info));
  self->add_video_meta = gst_buffer_pool_config_has_option (
    config, GST_BUFFER_POOL_OPTION_VIDEO_META);
  gst_buffer_pool_config_set_params (config, caps, (guint) self->size,
                                     min_buffers, max_buffers);

  /* The base class discards buffers of another size than it was told; ours lie
   * empty in it. And at its maximum it waits without bound, while it is slots
   * that are scarce and not buffers. */
  base = gst_structure_copy (config);
  gst_buffer_pool_config_set_params (base, caps, 0, min_buffers, 0);
  good = PARENT_CLASS->set_config (pool, base) && good;
  gst_structure_free (base);
  return good;
}

/* An envelope: takes no slot, so that preallocated buffers cost none. */
static GstFlowReturn
gst_ndsh_buffer_pool_alloc_buffer (GstBufferPool *pool, GstBuffer **buffer,
                                   GstBufferPoolAcquireParams *params)
{
  GstNdshBufferPool *self = GST_NDSH_BUFFER_POOL (pool);
  GstVideoInfo *info = &self->info;
  GstVideoMeta *meta;

  (void) params;
  *buffer = gst_buffer_new ();
  if (!self->add_video_meta)
    return GST_FLOW_OK;
  meta = gst_buffer_add_video_meta_full (
    *buffer, GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_INFO_FORMAT (info),
    (guint) GST_VIDEO_INFO_WIDTH (info), (guint) GST_VIDEO_INFO_HEIGHT (info),
    GST_VIDEO_INFO_N_PLANES (info), info->offset, info->stride);
#if GST_CHECK_VERSION(1, 18, 0)
  gst_video_meta_set_alignment (meta, self->alignment);
#endif
  meta->map = map_plane;
  meta->unmap = unmap_plane;
  return GST_FLOW_OK;
}

static guint
count_changes (GstNdshAllocator *allocator)
{
  guint n;

  g_mutex_lock (&allocator->lock);
  n = allocator->n_changes;
  g_mutex_unlock (&allocator->lock);
  return n;
}

static gboolean
may_wait (GstNdshBufferPool *self)
{
  return may_wait_for_slot (self->allocator)
         && !GST_BUFFER_POOL_IS_FLUSHING (GST_BUFFER_POOL (self));
}

/* Sleeps until something changed since there were @n_changes that may mean a free slot;
 * FALSE if it is time to do without. */
static gboolean
wait_for_slot (GstNdshBufferPool *self, guint n_changes, gint64 *deadline)
{
  GstNdshAllocator *allocator = self->allocator;
  gboolean changed;

  g_mutex_lock (&allocator->lock);
  if (*deadline == 0)
    *deadline = g_get_monotonic_time ()
                + (allocator->n_memories == 0 ? WAIT_FOR_READERS_US
                                              : WAIT_FOR_UPSTREAM_US);
  while (allocator->n_changes == n_changes && may_wait (self)
         && g_cond_wait_until (&allocator->changed, &allocator->lock, *deadline))
    ;
  changed = allocator->n_changes != n_changes && may_wait (self)
            && g_get_monotonic_time () < *deadline;
  g_mutex_unlock (&allocator->lock);
  return changed;
}

static GstMemory *
new_draft_memory (GstNdshBufferPool *self, gboolean may_block)
{
  GstMemory *memory = NULL;
  gint64 deadline = 0;
  guint n_changes;
  NdshError why;

  if (self->params.prefix != 0)
    return NULL;
  do {
    n_changes = count_changes (self->allocator);
    memory = try_new_memory (self->allocator, self->size + self->params.padding,
                             may_block, &why);
  } while (memory == NULL && why == NDSH_ERROR_FULL && may_block
           && wait_for_slot (self, n_changes, &deadline));
  if (memory != NULL)
    gst_memory_resize (memory, 0, self->size);
  return memory;
}

static GstFlowReturn
gst_ndsh_buffer_pool_acquire_buffer (GstBufferPool *pool, GstBuffer **buffer,
                                     GstBufferPoolAcquireParams *params)
{
  GstNdshBufferPool *self = GST_NDSH_BUFFER_POOL (pool);
  gboolean may_block
    = params == NULL
      || (params->flags & GST_BUFFER_POOL_ACQUIRE_FLAG_DONTWAIT) == 0;
  GstFlowReturn result
    = PARENT_CLASS->acquire_buffer (pool, buffer, params);
  GstMemory *memory;

  if (result != GST_FLOW_OK)
    return result;
  memory = new_draft_memory (self, may_block);
  if (memory == NULL && GST_BUFFER_POOL_IS_FLUSHING (pool)) {
    /* The buffer does not know its pool yet, so it is not enough to unref it. */
    PARENT_CLASS->release_buffer (pool, *buffer);
    *buffer = NULL;
    return GST_FLOW_FLUSHING;
  }
  if (memory == NULL) {
    GST_DEBUG_OBJECT (pool, "no slot is free; giving system memory");
    memory = gst_allocator_alloc (NULL, self->size, &self->params);
  }
  gst_buffer_append_memory (*buffer, memory);
  GST_BUFFER_FLAG_UNSET (*buffer, GST_BUFFER_FLAG_TAG_MEMORY);
  return GST_FLOW_OK;
}

static void
gst_ndsh_buffer_pool_reset_buffer (GstBufferPool *pool, GstBuffer *buffer)
{
  gst_buffer_remove_all_memory (buffer);
  /* It is as we want it: the base class need not throw it away. */
  GST_BUFFER_FLAG_UNSET (buffer, GST_BUFFER_FLAG_TAG_MEMORY);
  PARENT_CLASS->reset_buffer (pool, buffer);
}

static void
gst_ndsh_buffer_pool_flush_start (GstBufferPool *pool)
{
  gst_ndsh_allocator_wake (GST_NDSH_BUFFER_POOL (pool)->allocator);
}

GstBufferPool *
gst_ndsh_buffer_pool_new (GstNdshAllocator *allocator, GstCaps *caps)
{
  GstNdshBufferPool *self;
  GstStructure *config;
  GstVideoInfo info;

  if (!gst_video_info_from_caps (&info, caps)
      || GST_VIDEO_INFO_FORMAT (&info) <= GST_VIDEO_FORMAT_ENCODED)
    return NULL;
  self = g_object_new (GST_TYPE_NDSH_BUFFER_POOL, NULL);
  gst_object_ref_sink (self);
  self->allocator = gst_object_ref (allocator);

  config = gst_buffer_pool_get_config (GST_BUFFER_POOL (self));
  gst_buffer_pool_config_set_params (config, caps,
                                     (guint) GST_VIDEO_INFO_SIZE (&info), 2, 0);
  gst_buffer_pool_config_add_option (config, GST_BUFFER_POOL_OPTION_VIDEO_META);
  if (!gst_buffer_pool_set_config (GST_BUFFER_POOL (self), config)) {
    gst_object_unref (self);
    return NULL;
  }
  return GST_BUFFER_POOL (self);
}

static void
gst_ndsh_buffer_pool_finalize (GObject *object)
{
  GstNdshBufferPool *self = GST_NDSH_BUFFER_POOL (object);
  GstNdshAllocator *allocator = self->allocator;

  /* The base class stops the pool in its finalize and still calls us. */
  G_OBJECT_CLASS (gst_ndsh_buffer_pool_parent_class)->finalize (object);
  gst_object_unref (allocator);
}

static void
gst_ndsh_buffer_pool_init (GstNdshBufferPool *self)
{
  gst_allocation_params_init (&self->params);
  gst_video_alignment_reset (&self->alignment);
}

static void
gst_ndsh_buffer_pool_class_init (GstNdshBufferPoolClass *klass)
{
  GstBufferPoolClass *pool_class = GST_BUFFER_POOL_CLASS (klass);

  G_OBJECT_CLASS (klass)->finalize = gst_ndsh_buffer_pool_finalize;
  pool_class->get_options = gst_ndsh_buffer_pool_get_options;
  pool_class->set_config = gst_ndsh_buffer_pool_set_config;
  pool_class->alloc_buffer = gst_ndsh_buffer_pool_alloc_buffer;
  pool_class->acquire_buffer = gst_ndsh_buffer_pool_acquire_buffer;
  pool_class->reset_buffer = gst_ndsh_buffer_pool_reset_buffer;
  pool_class->flush_start = gst_ndsh_buffer_pool_flush_start;
}
