/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_NDSH_POOL_H
#define GST_NDSH_POOL_H

#include <gst/video/video.h>

#include "gstndshallocator.h"

G_BEGIN_DECLS

/*
 * GstNdshBufferPool: a pool of buffers that come with a draft in them.
 *
 * Raw video only. Where no draft is to be had the buffer comes with system
 * memory.
 */
#define GST_TYPE_NDSH_BUFFER_POOL (gst_ndsh_buffer_pool_get_type ())
G_DECLARE_FINAL_TYPE (GstNdshBufferPool, gst_ndsh_buffer_pool, GST,
                      NDSH_BUFFER_POOL, GstBufferPool)

/* Configured for @caps and ready to be activated; NULL if they are not raw video. */
GstBufferPool *gst_ndsh_buffer_pool_new (GstNdshAllocator *allocator,
                                         GstCaps *caps);

G_END_DECLS

#endif
