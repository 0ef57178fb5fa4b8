/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_NDSH_ALLOCATOR_H
#define GST_NDSH_ALLOCATOR_H

#include <gst/gst.h>
#include <ndsh.h>

G_BEGIN_DECLS

/*
 * GstNdshAllocator: a writer, seen from the memories that are its drafts.
 *
 * It outlives the writer for as long as a memory or a pool refers to it. From
 * gst_ndsh_allocator_close () on it gives out system memory.
 */
#define GST_TYPE_NDSH_ALLOCATOR (gst_ndsh_allocator_get_type ())
G_DECLARE_FINAL_TYPE (GstNdshAllocator, gst_ndsh_allocator, GST, NDSH_ALLOCATOR,
                      GstAllocator)

/* Takes @writer over, which was made with @options. */
GstNdshAllocator *gst_ndsh_allocator_new (NdshWriter *writer,
                                          const NdshWriterOptions *options);

/* Frees the writer as soon as no call is under way in it, which is made to be
 * soon. */
void gst_ndsh_allocator_close (GstNdshAllocator *self);

/* The writer, NULL if it is closed. Every call of it stands between these two, so
 * that it is not freed meanwhile; leave also after NULL. */
NdshWriter *gst_ndsh_allocator_enter (GstNdshAllocator *self);
void gst_ndsh_allocator_leave (GstNdshAllocator *self);

/* Whoever waits for a slot looks again. */
void gst_ndsh_allocator_wake (GstNdshAllocator *self);

/* While either is set nobody waits. They are two because a flush, from its start
 * to its stop, and the unlocking of the sink, a mere pulse, overlap. */
void gst_ndsh_allocator_set_flushing (GstNdshAllocator *self,
                                      gboolean flushing);
void gst_ndsh_allocator_set_unlocked (GstNdshAllocator *self,
                                      gboolean unlocked);

/* A draft for the sink's own copies. Waits for lossless readers only. */
NdshDraft *gst_ndsh_allocator_begin (GstNdshAllocator *self, gsize size,
                                     GError **error);

/* A memory that is a draft, NULL if there is none. With a @pool it waits for one, for a
 * moment, unless the pool flushes. */
GstMemory *gst_ndsh_allocator_new_draft (GstNdshAllocator *self, gsize size,
                                         GstBufferPool *pool);

/* System memory that takes the place of a draft, where there was none. */
GstMemory *gst_ndsh_allocator_new_substitute (GstNdshAllocator *self, gsize size,
                                              GstAllocationParams *params);

/*
 * GstNdshMemoryState: what a memory is to the allocator it is shown to.
 * @GST_NDSH_MEMORY_FOREIGN: none of these
 * @GST_NDSH_MEMORY_SUBSTITUTE: what it gave because no slot was free
 * @GST_NDSH_MEMORY_PART: a part of a draft that does not begin where that does
 * @GST_NDSH_MEMORY_PUBLISHED: a frame already
 * @GST_NDSH_MEMORY_DRAFT: a draft, to be published
 */
typedef enum {
  GST_NDSH_MEMORY_FOREIGN,
  GST_NDSH_MEMORY_SUBSTITUTE,
  GST_NDSH_MEMORY_PART,
  GST_NDSH_MEMORY_PUBLISHED,
  GST_NDSH_MEMORY_DRAFT
} GstNdshMemoryState;

GstNdshMemoryState gst_ndsh_allocator_classify (GstNdshAllocator *self,
                                                GstMemory *memory);

/* The draft of a GST_NDSH_MEMORY_DRAFT; it stays the memory's. */
NdshDraft *gst_ndsh_memory_get_draft (GstMemory *memory);

/* To be called before its draft is published: nobody gets a writable mapping from
 * now on. */
void gst_ndsh_memory_set_published (GstMemory *memory);

G_END_DECLS

#endif
