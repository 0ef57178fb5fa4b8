/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hides how overlay rectangles lie in items: a structure each, with its number in its
 * composition, of which a buffer may have several.
 */
#include "gstndshoverlay.h"

#include "gstndshstructure.h"

#define RECTANGLE "GstVideoOverlayCompositionMeta"

static const char too_large[] = "its pictures find no room in the 64 KiB of metas that a "
                                "frame has; draw them before ndshsink";

/* What is drawn is scaled to w and h first: to no more than a picture of 8K, and not so
 * far off that where it ends has more than 31 bits. */
#define MAX_SIDE 16384
#define MAX_PIXELS (1 << 25)
#define MAX_OFFSET (1 << 24)

/* --- From a buffer -------------------------------------------------------- */

static const char *
append_rectangle (GByteArray *metadata, GstVideoOverlayRectangle *rectangle, guint index)
{
  GstVideoOverlayFormatFlags flags = gst_video_overlay_rectangle_get_flags (rectangle);
  GstBuffer *pixels
    = gst_video_overlay_rectangle_get_pixels_unscaled_raw (rectangle, flags);
  gint x = 0, y = 0;
  guint w = 0, h = 0;
  const char *why;
  GstStructure *s;

  gst_video_overlay_rectangle_get_render_rectangle (rectangle, &x, &y, &w, &h);
  s = gst_structure_new (
    RECTANGLE, "index", G_TYPE_UINT, index, "x", G_TYPE_INT, x, "y", G_TYPE_INT, y, "w",
    G_TYPE_UINT, w, "h", G_TYPE_UINT, h, "premultiplied-alpha", G_TYPE_BOOLEAN,
    (flags & GST_VIDEO_OVERLAY_FORMAT_FLAG_PREMULTIPLIED_ALPHA) != 0, NULL);
  if (flags & GST_VIDEO_OVERLAY_FORMAT_FLAG_GLOBAL_ALPHA)
    gst_structure_set (s, "global-alpha", G_TYPE_FLOAT,
                       gst_video_overlay_rectangle_get_global_alpha (rectangle), NULL);
  why = pixels != NULL ? gst_ndsh_structure_set_picture (s, pixels)
                       : "its pictures cannot be read";
  if (why == NULL)
    why = gst_ndsh_structure_append (metadata, s);
  gst_structure_free (s);
  return why;
}

gboolean
gst_ndsh_overlay_append (GByteArray *metadata, GstMeta *meta, const char **why)
{
  GstVideoOverlayComposition *composition;
  guint before = metadata->len, n;

  if (meta->info->api != GST_VIDEO_OVERLAY_COMPOSITION_META_API_TYPE)
    return FALSE;
  composition = ((GstVideoOverlayCompositionMeta *) meta)->overlay;
  n = gst_video_overlay_composition_n_rectangles (composition);
  for (guint i = 0; *why == NULL && i < n; i++)
    *why = append_rectangle (
      metadata, gst_video_overlay_composition_get_rectangle (composition, i), i);
  if (metadata->len > NDSH_MAX_METADATA || g_strcmp0 (*why, GST_NDSH_NO_ROOM) == 0)
    *why = too_large;
  /* Half of what was to be seen may say something else. */
  if (*why != NULL)
    g_byte_array_set_size (metadata, before);
  return TRUE;
}

/* --- To a buffer ---------------------------------------------------------- */

static gboolean
get_place (const GstStructure *s, gint *x, gint *y, guint *w, guint *h)
{
  return gst_ndsh_structure_get_int (s, "x", x) && gst_ndsh_structure_get_int (s, "y", y)
         && gst_ndsh_structure_get_uints (s, MAX_SIDE, "w", w, "h", h, NULL)
         && ABS ((gint64) *x) <= MAX_OFFSET && ABS ((gint64) *y) <= MAX_OFFSET && *w > 0
         && *h > 0 && *w <= MAX_PIXELS / *h;
}

static GstVideoOverlayFormatFlags
get_flags (const GstStructure *s)
{
  gboolean is_premultiplied;

  return gst_structure_get_boolean (s, "premultiplied-alpha", &is_premultiplied)
             && is_premultiplied
           ? GST_VIDEO_OVERLAY_FORMAT_FLAG_PREMULTIPLIED_ALPHA
           : GST_VIDEO_OVERLAY_FORMAT_FLAG_NONE;
}

static GstVideoOverlayRectangle *
make_rectangle (const GstStructure *s)
{
  static const GstVideoFormat formats[]
    = { GST_VIDEO_OVERLAY_COMPOSITION_FORMAT_RGB,
        GST_VIDEO_OVERLAY_COMPOSITION_FORMAT_YUV, GST_VIDEO_FORMAT_UNKNOWN };
  g_autoptr (GstBuffer) pixels = NULL;
  GstVideoOverlayRectangle *rectangle;
  gint x, y;
  guint w, h;
  double alpha;

  if (!get_place (s, &x, &y, &w, &h))
    return NULL;
  pixels = gst_ndsh_structure_get_picture (s, formats);
  if (pixels == NULL)
    return NULL;
  rectangle = gst_video_overlay_rectangle_new_raw (pixels, x, y, w, h, get_flags (s));
  if (rectangle != NULL
      && gst_ndsh_value_get_double (gst_structure_get_value (s, "global-alpha"), &alpha)
      && alpha >= 0 && alpha <= 1)
    gst_video_overlay_rectangle_set_global_alpha (rectangle, (gfloat) alpha);
  return rectangle;
}

static GstVideoOverlayComposition *
get_last_composition (GstBuffer *buffer)
{
  GstVideoOverlayComposition *last = NULL;
  gpointer state = NULL;
  GstMeta *meta;

  while ((meta = gst_buffer_iterate_meta (buffer, &state)) != NULL)
    if (meta->info->api == GST_VIDEO_OVERLAY_COMPOSITION_META_API_TYPE)
      last = ((GstVideoOverlayCompositionMeta *) meta)->overlay;
  return last;
}

gboolean
gst_ndsh_overlay_add (GstBuffer *buffer, const GstStructure *structure)
{
  g_autoptr (GstVideoOverlayRectangle) rectangle = NULL;
  g_autoptr (GstVideoOverlayComposition) composition = NULL;
  GstVideoOverlayComposition *last = NULL;
  guint index;

  if (!gst_structure_has_name (structure, RECTANGLE)
      || !gst_ndsh_structure_get_uints (structure, G_MAXINT, "index", &index, NULL))
    return FALSE;
  if (index > 0) {
    last = get_last_composition (buffer);
    if (last == NULL || gst_video_overlay_composition_n_rectangles (last) != index)
      return FALSE;
  }
  rectangle = make_rectangle (structure);
  if (rectangle == NULL)
    return FALSE;
  if (last != NULL) {
    gst_video_overlay_composition_add_rectangle (last, rectangle);
    return TRUE;
  }
  composition = gst_video_overlay_composition_new (rectangle);
  return gst_buffer_add_video_overlay_composition_meta (buffer, composition) != NULL;
}
