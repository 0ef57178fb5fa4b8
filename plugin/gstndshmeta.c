/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hides how the facts of a buffer that are neither bytes nor caps cross to another
 * process: as items of its frame's metadata.
 */
#include "gstndshmeta.h"

#include <string.h>

enum {
  TAG_DTS = 1,                  /* i64 */
  TAG_OFFSET_END = 2,           /* u64 */
  TAG_LAYOUT = 3,               /* u32 format, flags, width, height, n_planes;
                                 * u64 offset and i32 stride of each plane */
  TAG_MEMORIES = 4              /* u64 size of each */
};

#define LAYOUT_SIZE 20
#define PLANE_SIZE 12

static void
set_nothing_known (GstNdshMeta *meta)
{
  memset (meta, 0, sizeof *meta);
  meta->offset_end = GST_BUFFER_OFFSET_NONE;
}

static void
note_memories (GstNdshMeta *meta, GstBuffer *buffer)
{
  guint n = gst_buffer_n_memory (buffer);

  if (n < 2 || n > GST_NDSH_META_MAX_MEMORIES)
    return;
  meta->n_memories = n;
  for (guint i = 0; i < n; i++)
    meta->memory_sizes[i] = gst_buffer_peek_memory (buffer, i)->size;
}

void
gst_ndsh_meta_init_from_buffer (GstNdshMeta *meta, GstBuffer *buffer)
{
  GstVideoMeta *video = gst_buffer_get_video_meta (buffer);

  set_nothing_known (meta);
  meta->offset_end = GST_BUFFER_OFFSET_END (buffer);
  if (video != NULL) {
    meta->has_layout = TRUE;
    meta->video_flags = (guint32) video->flags;
    gst_ndsh_layout_init_from_meta (&meta->layout, video);
  } else {
    /* The planes of a video frame are found by its layout; a tensor or a slice
     * is found by its memory. */
    note_memories (meta, buffer);
  }
}

/* --- Encoding --- */

/* Numbers lie wherever the one before ended: copied, since GST_WRITE_UINT64_LE and
 * its like store them where they must not lie in C. */
static guint8 *
put_u32 (guint8 *at, guint32 value)
{
  value = GUINT32_TO_LE (value);
  memcpy (at, &value, sizeof value);
  return at + sizeof value;
}

static guint8 *
put_u64 (guint8 *at, guint64 value)
{
  value = GUINT64_TO_LE (value);
  memcpy (at, &value, sizeof value);
  return at + sizeof value;
}

static guint32
get_u32 (const guint8 *at)
{
  guint32 value;

  memcpy (&value, at, sizeof value);
  return GUINT32_FROM_LE (value);
}

static guint64
get_u64 (const guint8 *at)
{
  guint64 value;

  memcpy (&value, at, sizeof value);
  return GUINT64_FROM_LE (value);
}

static void
append_u64 (GByteArray *metadata, guint32 tag, guint64 value)
{
  value = GUINT64_TO_LE (value);
  ndsh_metadata_append (metadata, tag, &value, sizeof value);
}

static void
append_layout (GByteArray *metadata, const GstNdshLayout *layout, guint32 flags)
{
  guint8 data[LAYOUT_SIZE + GST_VIDEO_MAX_PLANES * PLANE_SIZE], *at = data;

  at = put_u32 (at, (guint32) layout->format);
  at = put_u32 (at, flags);
  at = put_u32 (at, layout->width);
  at = put_u32 (at, layout->height);
  at = put_u32 (at, layout->n_planes);
  for (guint i = 0; i < layout->n_planes; i++) {
    at = put_u64 (at, layout->offset[i]);
    at = put_u32 (at, (guint32) layout->stride[i]);
  }
  ndsh_metadata_append (metadata, TAG_LAYOUT, data, (gsize) (at - data));
}

static void
append_memories (GByteArray *metadata, const guint64 *sizes, guint n)
{
  guint8 data[GST_NDSH_META_MAX_MEMORIES * 8], *at = data;

  for (guint i = 0; i < n; i++)
    at = put_u64 (at, sizes[i]);
  ndsh_metadata_append (metadata, TAG_MEMORIES, data, (gsize) (at - data));
}

void
gst_ndsh_meta_append (const GstNdshMeta *meta, GByteArray *metadata)
{
  if (meta->has_dts)
    append_u64 (metadata, TAG_DTS, (guint64) meta->dts);
  if (meta->offset_end != GST_BUFFER_OFFSET_NONE)
    append_u64 (metadata, TAG_OFFSET_END, meta->offset_end);
  if (meta->has_layout)
    append_layout (metadata, &meta->layout, meta->video_flags);
  if (meta->n_memories > 0)
    append_memories (metadata, meta->memory_sizes, meta->n_memories);
}

/* --- Decoding --- */

static void
read_layout (GstNdshMeta *meta, const guint8 *at, gsize length)
{
  guint32 n_planes;
  GstNdshLayout *layout = &meta->layout;

  meta->has_layout = FALSE;
  if (length < LAYOUT_SIZE)
    return;
  n_planes = get_u32 (at + 16);
  if (n_planes > GST_VIDEO_MAX_PLANES
      || length < LAYOUT_SIZE + (gsize) n_planes * PLANE_SIZE)
    return;

  memset (layout, 0, sizeof *layout);
  layout->format = (GstVideoFormat) get_u32 (at);
  meta->video_flags = get_u32 (at + 4);
  layout->width = get_u32 (at + 8);
  layout->height = get_u32 (at + 12);
  layout->n_planes = n_planes;
  at += LAYOUT_SIZE;
  for (guint i = 0; i < n_planes; i++, at += PLANE_SIZE) {
    guint64 offset = get_u64 (at);

    if (offset > G_MAXSSIZE)
      return;
    layout->offset[i] = (gsize) offset;
    layout->stride[i] = (gint) get_u32 (at + 8);
  }
  meta->has_layout = TRUE;
}

static void
read_memories (GstNdshMeta *meta, const guint8 *at, gsize length)
{
  if (length % 8 != 0 || length / 8 > GST_NDSH_META_MAX_MEMORIES)
    return;
  meta->n_memories = (guint) (length / 8);
  for (guint i = 0; i < meta->n_memories; i++)
    meta->memory_sizes[i] = get_u64 (at + 8 * i);
}

gboolean
gst_ndsh_tag_is_meta (guint32 tag)
{
  return tag == NDSH_TAG_REGION || tag == NDSH_TAG_META || tag == GST_NDSH_TAG_SERIALISED;
}

static void
read_item (GstNdshMeta *meta, const NdshItem *item)
{
  const guint8 *at = item->data;

  switch (item->tag) {
  case TAG_DTS:
    meta->has_dts = item->size >= 8;
    if (meta->has_dts)
      meta->dts = (gint64) get_u64 (at);
    break;
  case TAG_OFFSET_END:
    if (item->size >= 8)
      meta->offset_end = get_u64 (at);
    break;
  case TAG_LAYOUT:
    read_layout (meta, at, item->size);
    break;
  case TAG_MEMORIES:
    read_memories (meta, at, item->size);
    break;
  default:
    meta->has_metas |= gst_ndsh_tag_is_meta (item->tag);
    meta->has_events |= item->tag == GST_NDSH_TAG_EVENT;
  }
}

void
gst_ndsh_meta_decode (GstNdshMeta *meta, const guint8 *metadata, gsize size)
{
  NdshItem item = { 0 };

  set_nothing_known (meta);
  while (ndsh_metadata_next (metadata, size, &item))
    read_item (meta, &item);
}

/* --- Flags --- */

guint32
gst_ndsh_buffer_flags_filter (guint flags)
{
  /* Below GST_MINI_OBJECT_FLAG_LAST are locks of this process. */
  const guint local = ((guint) GST_MINI_OBJECT_FLAG_LAST - 1)
                      | (guint) GST_BUFFER_FLAG_TAG_MEMORY;

  return (guint32) flags & ~(local | GST_NDSH_FLAGS);
}
