/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What ndshsrc makes of a video frame: metadata that any program wrote, or arrays
 * that did, for caps of any format. A layout that is called valid is copied out of a
 * buffer that ends where the frame does, and the arrays made of it lie within.
 */
#include "gstndshmeta.h"
#include "gstndshmetas.h"

#include <string.h>

#include "array.h"
#include "fuzz.h"

#define MAX_FRAME (1 << 16)
#define N_FORMATS 160           /* more than there are */

static guint8 *from_end, *to_end;

static void
set_up_once (void)
{
  if (from_end != NULL)
    return;
  /* Without plugins, which would be looked for. */
  g_setenv ("GST_REGISTRY_DISABLE", "yes", TRUE);
  gst_init (NULL, NULL);
  from_end = fuzz_fence_new (MAX_FRAME);
  to_end = fuzz_fence_new (4 * MAX_FRAME);
}

static void
check_meta (const GstNdshMeta *meta)
{
  g_autoptr (GByteArray) encoded = g_byte_array_new ();
  GstNdshMeta again;

  g_assert (meta->n_memories <= GST_NDSH_META_MAX_MEMORIES);
  if (meta->has_layout)
    g_assert (meta->layout.n_planes <= GST_VIDEO_MAX_PLANES);
  gst_ndsh_meta_append (meta, encoded);
  gst_ndsh_meta_decode (&again, encoded->data, encoded->len);
  g_assert (again.has_dts == meta->has_dts && again.offset_end == meta->offset_end
            && (!meta->has_dts || again.dts == meta->dts));
  g_assert (again.n_memories == meta->n_memories
            && memcmp (again.memory_sizes, meta->memory_sizes,
                       meta->n_memories * sizeof meta->memory_sizes[0])
                 == 0);
  g_assert (again.has_layout == meta->has_layout);
  if (meta->has_layout)
    g_assert (again.video_flags == meta->video_flags
              && memcmp (&again.layout, &meta->layout, sizeof meta->layout) == 0);
}

/* Of which to scale would take long. */
static gboolean
is_small (GstVideoOverlayComposition *composition)
{
  guint w, h;

  for (guint i = 0; i < gst_video_overlay_composition_n_rectangles (composition); i++) {
    gst_video_overlay_rectangle_get_render_rectangle (
      gst_video_overlay_composition_get_rectangle (composition, i), NULL, NULL, &w, &h);
    if (w > 256 || h > 256)
      return FALSE;
  }
  return TRUE;
}

/* What elements do to a buffer without asking what is on it. */
static void
use_metas (GstBuffer *buffer)
{
  g_autoptr (GstBuffer) copy = gst_buffer_copy (buffer);
  GstVideoOverlayCompositionMeta *meta
    = gst_buffer_get_video_overlay_composition_meta (copy);
  g_autoptr (GstBuffer) pixels = NULL;
  GstVideoFrame frame;
  GstVideoInfo info;

  if (meta == NULL || !is_small (meta->overlay))
    return;
  gst_video_info_set_format (&info, GST_VIDEO_FORMAT_BGRA, 32, 32);
  pixels = gst_buffer_new_allocate (NULL, info.size, NULL);
  gst_buffer_memset (pixels, 0, 0, info.size);
  g_assert (gst_video_frame_map (&frame, &info, pixels, GST_MAP_READWRITE));
  gst_video_overlay_composition_blend (meta->overlay, &frame);
  gst_video_frame_unmap (&frame);
}

/* What is added to a buffer, and taken from there, is the same when it is added again. */
static void
check_metas (const guint8 *metadata, gsize size)
{
  g_autoptr (GByteArray) taken = g_byte_array_new (), again = g_byte_array_new ();
  g_autoptr (GstBuffer) buffer = gst_buffer_new (), other = gst_buffer_new ();

  gst_ndsh_metas_add (buffer, metadata, size, NULL);
  use_metas (buffer);
  gst_ndsh_metas_append (buffer, taken, NULL);
  gst_ndsh_metas_add (other, taken->data, taken->len, NULL);
  gst_ndsh_metas_append (other, again, NULL);
  g_assert (taken->len == again->len
            && (taken->len == 0 || memcmp (taken->data, again->data, taken->len) == 0));
}

/* Each row is whole, and the last one lies within the frame: up to the last pixel of
 * each component, as the format has it; or, where there are no pixels, all that a
 * row has by default. */
static void
check_valid (const GstNdshLayout *layout, const GstVideoInfo *info, gsize size)
{
  const GstVideoFormatInfo *f = info->finfo;

  for (guint c = 0; c < f->n_components
                    && (f->flags & GST_VIDEO_FORMAT_FLAG_TILED) == 0;
       c++) {
    guint plane = f->plane[c];
    gsize at = layout->offset[plane];
    guint rows = (guint) GST_VIDEO_INFO_COMP_HEIGHT (info, c);
    guint columns = (guint) GST_VIDEO_INFO_COMP_WIDTH (info, c);
    gsize last = (gsize) GST_VIDEO_INFO_PLANE_STRIDE (info, plane) - 1;

    g_assert (at < size && layout->stride[plane] > 0);
    if ((f->flags & GST_VIDEO_FORMAT_FLAG_PALETTE) != 0 && plane == 1) {
      g_assert (at + 4 * 256 <= size);
      continue;
    }
    if (f->pixel_stride[c] > 0)
      last = (gsize) f->pixel_stride[c] * (columns - 1) + (gsize) f->poffset[c];
    g_assert (last < (gsize) layout->stride[plane]);
    g_assert (at + (gsize) layout->stride[plane] * (rows - 1) + last < size);
  }
}

static void
use_layout (const GstNdshLayout *layout, const GstVideoInfo *info, gsize size)
{
  gsize needed = GST_VIDEO_INFO_SIZE (info);
  GstNdshContent content = { .kind = GST_NDSH_CONTENT_VIDEO, .video = *info };
  NdshArrayInfo arrays[NDSH_MAX_ARRAYS];

  fuzz_check_arrays (
    arrays, gst_ndsh_content_get_arrays (&content, layout, size, arrays), size);
  if (!gst_ndsh_layout_is_valid (layout, info, size))
    return;
  check_valid (layout, info, size);
  if (needed > 4 * MAX_FRAME)
    return;
  gst_ndsh_layout_is_default (layout, info);
  gst_ndsh_layout_copy_to_default (layout, info, from_end - size,
                                   to_end - needed);
}

/* To ask for another one is criticised. */
static gboolean
is_raw_format (guint format)
{
  static GEnumClass *formats;

  if (formats == NULL)
    formats = g_type_class_ref (GST_TYPE_VIDEO_FORMAT);
  return format > GST_VIDEO_FORMAT_ENCODED
         && g_enum_get_value (formats, (gint) format) != NULL
         && strcmp (gst_video_format_to_string ((GstVideoFormat) format), "UNKNOWN") != 0;
}

static gboolean
make_info (FuzzInput *input, GstVideoInfo *info)
{
  guint format = fuzz_u8 (input) % N_FORMATS;
  guint interlace = fuzz_u8 (input) % 4;
  guint width = 1 + fuzz_u8 (input);
  guint height = 1 + fuzz_u8 (input) % 64;

  if (!is_raw_format (format))
    format = GST_VIDEO_FORMAT_I420;
  gst_video_info_init (info);
#if GST_CHECK_VERSION(1, 16, 0)
  return gst_video_info_set_interlaced_format (
    info, (GstVideoFormat) format,
    interlace == 1 ? GST_VIDEO_INTERLACE_MODE_ALTERNATE
                   : GST_VIDEO_INTERLACE_MODE_PROGRESSIVE,
    width, height);
#else
  (void) interlace;
  return gst_video_info_set_format (info, (GstVideoFormat) format, width, height);
#endif
}

/* Those of the frame's own description, of which one in a few is changed. */
static guint
take_arrays (FuzzInput *input, const GstVideoInfo *info, gsize size,
             NdshArrayInfo *arrays)
{
  GstNdshContent content = { .kind = GST_NDSH_CONTENT_VIDEO, .video = *info };
  guint n = gst_ndsh_content_get_arrays (&content, NULL, G_MAXSSIZE, arrays);
  gsize needed;

  for (guint8 how = fuzz_u8 (input); how != 0 && input->size > 0;
       how = fuzz_u8 (input)) {
    NdshArrayInfo *array = &arrays[how % n];
    guint dim = how / 16 % NDSH_MAX_DIMS;

    if (how < 64)
      array->offset = fuzz_u16 (input);
    else if (how < 128)
      array->strides[dim] = fuzz_u16 (input);
    else if (how < 160)
      array->shape[dim] = fuzz_u16 (input);
    else if (how < 192)
      fuzz_poke (input, array, sizeof *array);
    else
      n = 1 + how % NDSH_MAX_ARRAYS;
    if (array->n_dims > NDSH_MAX_DIMS)
      array->n_dims = 1;
    for (guint i = 1; i < n; i++)
      if (arrays[i].dtype == NDSH_DTYPE_INVALID)
        arrays[i] = arrays[i - 1];
  }
  /* Else there would be no such frame. */
  return ndsh_arrays_measure (arrays, n, &needed, NULL) && needed <= size ? n : 0;
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  FuzzInput input = { data, size };
  NdshArrayInfo arrays[NDSH_MAX_ARRAYS] = { 0 };
  gsize frame_size;
  g_autofree NdshArrayInfo *exact = NULL;
  GstNdshLayout layout;
  GstVideoInfo info;
  GstNdshMeta meta;
  guint n_arrays;

  set_up_once ();
  frame_size = fuzz_u16 (&input);
  if (!make_info (&input, &info))
    return 0;
  if (fuzz_u8 (&input) % 2 == 0) {
    gst_ndsh_meta_decode (&meta, input.data, input.size);
    check_meta (&meta);
    check_metas (input.data, input.size);
    if (meta.has_layout)
      use_layout (&meta.layout, &info, frame_size);
    return 0;
  }
  n_arrays = take_arrays (&input, &info, frame_size, arrays);
  if (n_arrays == 0)
    return 0;
  exact = g_new (NdshArrayInfo, n_arrays);
  memcpy (exact, arrays, n_arrays * sizeof arrays[0]);
  if (gst_ndsh_layout_init_from_arrays (&layout, &info, exact, n_arrays))
    use_layout (&layout, &info, frame_size);
  return 0;
}
