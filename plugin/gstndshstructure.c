/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hides how what a meta says lies in an item of NDSH_TAG_META: as the text of a
 * GstStructure and NUL, and behind that, as bytes, what would be its field "data". In the
 * text each byte would be two, written and read one by one.
 */
#include "gstndshstructure.h"

#include <string.h>

#include "gstndshtext.h"

/* --- Items ---------------------------------------------------------------- */

/* NULL if there are no bytes in it. */
static GstBuffer *
get_data (const GstStructure *structure)
{
  const GValue *value = gst_structure_get_value (structure, "data");
  GstBuffer *data = value != NULL && GST_VALUE_HOLDS_BUFFER (value)
                      ? gst_value_get_buffer (value)
                      : NULL;

  return data != NULL && gst_buffer_get_size (data) > 0 ? data : NULL;
}

static char *
text_without_data (const GstStructure *structure)
{
  GstStructure *rest = gst_structure_copy (structure);
  char *text;

  gst_structure_remove_field (rest, "data");
  text = gst_structure_to_string (rest);
  gst_structure_free (rest);
  return text;
}

const char *
gst_ndsh_structure_append (GByteArray *metadata, const GstStructure *structure)
{
  GstBuffer *data = get_data (structure);
  gsize size = data != NULL ? gst_buffer_get_size (data) : 0, length;
  g_autofree char *text = NULL;
  g_autofree char *bytes = NULL;

  if (size > NDSH_MAX_METADATA)
    return GST_NDSH_NO_ROOM;
  text
    = data != NULL ? text_without_data (structure) : gst_structure_to_string (structure);
  length = strlen (text) + 1;
  if (length > NDSH_MAX_METADATA)
    return GST_NDSH_NO_ROOM;
  if (!gst_ndsh_text_is_structure (text))
    return "it has values that are structures themselves, or of kinds that readers "
           "refuse";
  if (data == NULL) {
    ndsh_metadata_append (metadata, NDSH_TAG_META, text, length);
    return NULL;
  }
  bytes = g_malloc (length + size);
  memcpy (bytes, text, length);
  gst_buffer_extract (data, 0, bytes + length, size);
  ndsh_metadata_append (metadata, NDSH_TAG_META, bytes, length + size);
  return NULL;
}

GstBuffer *
gst_ndsh_wrap_bytes (gconstpointer data, gsize size)
{
  GstBuffer *bytes = gst_buffer_new_allocate (NULL, size, NULL);

  gst_buffer_fill (bytes, 0, data, size);
  return bytes;
}

GstStructure *
gst_ndsh_structure_from_item (const NdshItem *item)
{
  const char *text = item->data;
  const char *nul = item->size > 0 ? memchr (text, '\0', item->size) : NULL;
  GstStructure *structure = nul != NULL ? gst_ndsh_structure_from_text (text) : NULL;
  gsize left = nul != NULL ? item->size - (gsize) (nul + 1 - text) : 0;

  if (structure != NULL && left > 0) {
    g_autoptr (GstBuffer) data = gst_ndsh_wrap_bytes (nul + 1, left);

    gst_structure_set (structure, "data", GST_TYPE_BUFFER, data, NULL);
  }
  return structure;
}

/* --- Numbers -------------------------------------------------------------- */

/* FALSE if it is none, or more than fits. */
static gboolean
get_int64 (const GValue *value, gint64 *number)
{
  if (G_VALUE_HOLDS_INT (value))
    *number = g_value_get_int (value);
  else if (G_VALUE_HOLDS_INT64 (value))
    *number = g_value_get_int64 (value);
  else if (G_VALUE_HOLDS_UINT (value))
    *number = g_value_get_uint (value);
  else if (G_VALUE_HOLDS_UINT64 (value) && g_value_get_uint64 (value) <= G_MAXINT64)
    *number = (gint64) g_value_get_uint64 (value);
  else
    return FALSE;
  return TRUE;
}

gboolean
gst_ndsh_value_get_uint64 (const GValue *value, guint64 *number)
{
  gint64 signed_number;

  if (value == NULL)
    return FALSE;
  if (G_VALUE_HOLDS_UINT64 (value)) {
    *number = g_value_get_uint64 (value);
    return TRUE;
  }
  if (!get_int64 (value, &signed_number) || signed_number < 0)
    return FALSE;
  *number = (guint64) signed_number;
  return TRUE;
}

gboolean
gst_ndsh_value_get_double (const GValue *value, double *number)
{
  gint64 whole;

  if (value == NULL)
    return FALSE;
  if (G_VALUE_HOLDS_DOUBLE (value))
    *number = g_value_get_double (value);
  else if (G_VALUE_HOLDS_FLOAT (value))
    *number = (double) g_value_get_float (value);
  else if (get_int64 (value, &whole))
    *number = (double) whole;
  else
    return FALSE;
  return TRUE;
}

gboolean
gst_ndsh_structure_get_uint64 (const GstStructure *s, const char *field, guint64 *number)
{
  return gst_ndsh_value_get_uint64 (gst_structure_get_value (s, field), number);
}

gboolean
gst_ndsh_structure_get_int (const GstStructure *s, const char *field, gint *number)
{
  const GValue *value = gst_structure_get_value (s, field);
  gint64 whole;

  if (value == NULL || !get_int64 (value, &whole) || whole < G_MININT || whole > G_MAXINT)
    return FALSE;
  *number = (gint) whole;
  return TRUE;
}

gboolean
gst_ndsh_structure_get_uints (const GstStructure *s, guint most, ...)
{
  gboolean found = TRUE;
  const char *field;
  guint64 number;
  va_list rest;

  va_start (rest, most);
  while (found && (field = va_arg (rest, const char *)) != NULL) {
    guint *to = va_arg (rest, guint *);

    found = gst_ndsh_structure_get_uint64 (s, field, &number) && number <= most;
    *to = found ? (guint) number : 0;
  }
  va_end (rest);
  return found;
}

/* --- Lists ---------------------------------------------------------------- */

void
gst_ndsh_values_append_uint64 (GValue *array, guint64 number)
{
  GValue value = G_VALUE_INIT;

  g_value_init (&value, G_TYPE_UINT64);
  g_value_set_uint64 (&value, number);
  gst_value_array_append_and_take_value (array, &value);
}

void
gst_ndsh_values_append_float (GValue *array, gfloat number)
{
  GValue value = G_VALUE_INIT;

  g_value_init (&value, G_TYPE_FLOAT);
  g_value_set_float (&value, number);
  gst_value_array_append_and_take_value (array, &value);
}

void
gst_ndsh_values_append_text (GValue *array, const char *text)
{
  GValue value = G_VALUE_INIT;

  g_value_init (&value, G_TYPE_STRING);
  g_value_set_string (&value, text);
  gst_value_array_append_and_take_value (array, &value);
}

gboolean
gst_ndsh_structure_get_values (const GstStructure *s, const char *field,
                               const GValue **values, guint *n_values)
{
  const GValue *value = gst_structure_get_value (s, field);

  if (value == NULL || (!GST_VALUE_HOLDS_ARRAY (value) && !GST_VALUE_HOLDS_LIST (value)))
    return FALSE;
  *values = value;
  *n_values = GST_VALUE_HOLDS_ARRAY (value) ? gst_value_array_get_size (value)
                                            : gst_value_list_get_size (value);
  return TRUE;
}

const GValue *
gst_ndsh_values_get (const GValue *values, guint i)
{
  return GST_VALUE_HOLDS_ARRAY (values) ? gst_value_array_get_value (values, i)
                                        : gst_value_list_get_value (values, i);
}

/* --- Pictures ------------------------------------------------------------- */

/* Bytes of a pixel where the format has one plane, and of nothing else; else 0. */
static guint
get_pixel_size (GstVideoFormat format)
{
  const GstVideoFormatInfo *info = gst_video_format_get_info (format);

  return info != NULL && GST_VIDEO_FORMAT_INFO_N_PLANES (info) == 1
             && GST_VIDEO_FORMAT_INFO_W_SUB (info, 0) == 0
           ? (guint) GST_VIDEO_FORMAT_INFO_PSTRIDE (info, 0)
           : 0;
}

static GstBuffer *
pack_rows (GstVideoMeta *meta, gsize row)
{
  gpointer from;
  GstBuffer *packed;
  GstMapInfo map;
  gint stride;

  if (!gst_video_meta_map (meta, 0, &map, &from, &stride, GST_MAP_READ))
    return NULL;
  packed = gst_buffer_new_allocate (NULL, row * meta->height, NULL);
  for (guint y = 0; y < meta->height; y++)
    gst_buffer_fill (packed, y * row,
                     (const guint8 *) from + (gssize) y * (gssize) stride, row);
  gst_video_meta_unmap (meta, 0, &map);
  return packed;
}

const char *
gst_ndsh_structure_set_picture (GstStructure *s, GstBuffer *pixels)
{
  GstVideoMeta *meta = gst_buffer_get_video_meta (pixels);
  g_autoptr (GstBuffer) packed = NULL;
  guint64 row;

  if (meta == NULL || get_pixel_size (meta->format) == 0)
    return "its pictures have a format that is not told";
  row = (guint64) meta->width * get_pixel_size (meta->format);
  if (row > NDSH_MAX_METADATA || row * meta->height > NDSH_MAX_METADATA)
    return GST_NDSH_NO_ROOM;
  packed = pack_rows (meta, (gsize) row);
  if (packed == NULL)
    return "its pictures cannot be read";
  gst_structure_set (s, "format", G_TYPE_STRING,
                     gst_video_format_to_string (meta->format), "width", G_TYPE_UINT,
                     meta->width, "height", G_TYPE_UINT, meta->height, "data",
                     GST_TYPE_BUFFER, packed, NULL);
  return NULL;
}

static gboolean
is_one_of (GstVideoFormat format, const GstVideoFormat *formats)
{
  for (; *formats != GST_VIDEO_FORMAT_UNKNOWN; formats++)
    if (*formats == format)
      return TRUE;
  return FALSE;
}

GstBuffer *
gst_ndsh_structure_get_picture (const GstStructure *s, const GstVideoFormat *formats)
{
  const char *name = gst_structure_get_string (s, "format");
  GstVideoFormat format
    = name != NULL ? gst_video_format_from_string (name) : GST_VIDEO_FORMAT_UNKNOWN;
  GstBuffer *data = get_data (s), *pixels;
  gsize offset[GST_VIDEO_MAX_PLANES] = { 0 };
  gint stride[GST_VIDEO_MAX_PLANES] = { 0 };
  guint width, height;
  guint64 row;

  if (data == NULL || !is_one_of (format, formats)
      || !gst_ndsh_structure_get_uints (s, NDSH_MAX_METADATA, "width", &width, "height",
                                        &height, NULL))
    return NULL;
  row = (guint64) width * get_pixel_size (format);
  if (row == 0 || height == 0 || row * height != gst_buffer_get_size (data))
    return NULL;
  stride[0] = (gint) row;
  pixels = gst_buffer_copy_deep (data);
  gst_buffer_add_video_meta_full (pixels, GST_VIDEO_FRAME_FLAG_NONE, format, width,
                                  height, 1, offset, stride);
  return pixels;
}
