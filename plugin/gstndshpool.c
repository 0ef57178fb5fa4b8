/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hides how raw video comes to be written straight into slots, plane by plane.
 *
 * A buffer of this pool is only an envelope, recycled empty; each time it is handed out
 * it gets a new memory (gstndshallocator.h).
 */
#include "gstndshpool.h"

#include <string.h>

GST_DEBUG_CATEGORY_STATIC (gst_ndsh_pool_debug);
#define GST_CAT_DEFAULT gst_ndsh_pool_debug

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
  info->data
    = (guint8 *) memory->allocator->mem_map (memory, memory->maxsize, flags)
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

static GstMemory *
new_draft_memory (GstNdshBufferPool *self, gboolean may_block)
{
  GstMemory *memory;

  if (self->params.prefix != 0)
    return NULL;
  memory = gst_ndsh_allocator_new_draft (
    self->allocator, self->size + self->params.padding,
    may_block ? GST_BUFFER_POOL_CAST (self) : NULL);
  if (memory != NULL)
    gst_memory_resize (memory, 0, self->size);
  return memory;
}

/* With a prefix it can never be a draft, and takes no draft's place. */
static GstMemory *
new_other_memory (GstNdshBufferPool *self)
{
  return self->params.prefix != 0
           ? gst_allocator_alloc (NULL, self->size, &self->params)
           : gst_ndsh_allocator_new_substitute (self->allocator, self->size,
                                                &self->params);
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
    memory = new_other_memory (self);
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

  config = gst_buffer_pool_get_config (GST_BUFFER_POOL_CAST (self));
  gst_buffer_pool_config_set_params (config, caps,
                                     (guint) GST_VIDEO_INFO_SIZE (&info), 2, 0);
  gst_buffer_pool_config_add_option (config, GST_BUFFER_POOL_OPTION_VIDEO_META);
  if (!gst_buffer_pool_set_config (GST_BUFFER_POOL_CAST (self), config)) {
    gst_object_unref (self);
    return NULL;
  }
  return GST_BUFFER_POOL_CAST (self);
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

  GST_DEBUG_CATEGORY_INIT (gst_ndsh_pool_debug, "ndshpool", 0, "ndsh buffer pool");
  G_OBJECT_CLASS (klass)->finalize = gst_ndsh_buffer_pool_finalize;
  pool_class->get_options = gst_ndsh_buffer_pool_get_options;
  pool_class->set_config = gst_ndsh_buffer_pool_set_config;
  pool_class->alloc_buffer = gst_ndsh_buffer_pool_alloc_buffer;
  pool_class->acquire_buffer = gst_ndsh_buffer_pool_acquire_buffer;
  pool_class->reset_buffer = gst_ndsh_buffer_pool_reset_buffer;
  pool_class->flush_start = gst_ndsh_buffer_pool_flush_start;
}
