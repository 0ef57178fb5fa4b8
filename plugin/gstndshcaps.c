/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hides how GStreamer's ways to say what a buffer holds (caps, strides, plane
 * offsets) become the arrays that NumPy and C programs see, and back.
 *
 * A format that cannot be told as arrays without lying, like one that packs
 * three samples into a word or stores tiles, is a row of bytes. Whatever is said
 * here about pixels, a frame's bytes are carried unchanged.
 */
#include "gstndshcaps.h"

#include <string.h>

#include "gstndshtext.h"

#if !GST_CHECK_VERSION(1, 16, 0)
/* Before 1.16 no frame was of one field only. */
#define GST_VIDEO_INFO_FIELD_HEIGHT(info) GST_VIDEO_INFO_HEIGHT (info)
#endif

/* --- The arrays of a video frame --- */

/*
 * One plane, as its components together describe it.
 * @pixel_stride: bytes from one pixel to the next, 0 where there is no such thing
 * @item_size: bytes of one array element; a pixel has pixel_stride / item_size
 * @row_size: bytes of a row that carry something
 */
typedef struct {
  guint width;
  guint rows;
  guint pixel_stride;
  guint item_size;
  gsize row_size;
} Plane;

/* The fields of a pixel share one word: 5-6-5 bits, or 10-10-10-2. */
static gboolean
plane_packs_bits (const GstVideoFormatInfo *finfo, guint plane)
{
  guint first = GST_VIDEO_MAX_COMPONENTS, n = 0;

  for (guint c = 0; c < finfo->n_components; c++) {
    if (finfo->plane[c] != plane)
      continue;
    if (n++ == 0)
      first = c;
    else if (finfo->pixel_stride[c] != finfo->pixel_stride[first]
             || finfo->poffset[c] != finfo->poffset[first])
      return FALSE;
  }
  return n >= 3 && finfo->pixel_stride[first] <= 4;
}

static void
plane_init (Plane *plane, const GstVideoInfo *info, guint index)
{
  const GstVideoFormatInfo *finfo = info->finfo;
  guint bits = 0;

  memset (plane, 0, sizeof *plane);
  for (guint c = 0; c < finfo->n_components; c++) {
    guint width = GST_VIDEO_INFO_COMP_WIDTH (info, c);
    guint pixel_stride = finfo->pixel_stride[c];

    if (finfo->plane[c] != index)
      continue;
    /* In YUY2 the luma says how wide a pixel is, and the chroma, which comes in
     * pairs of pixels, how long a row of odd width is. */
    if (plane->pixel_stride == 0 || pixel_stride < plane->pixel_stride) {
      plane->pixel_stride = pixel_stride;
      plane->width = width;
    }
    plane->row_size = MAX (plane->row_size, (gsize) width * pixel_stride);
    plane->rows = MAX (plane->rows, (guint) GST_VIDEO_INFO_COMP_HEIGHT (info, c));
    bits = MAX (bits, finfo->depth[c] + finfo->shift[c]);
  }
  plane->item_size = plane_packs_bits (finfo, index) ? plane->pixel_stride
                                                     : (bits + 7) / 8;
}

static gboolean
video_is_tiled (const GstVideoInfo *info)
{
  return (info->finfo->flags & GST_VIDEO_FORMAT_FLAG_TILED) != 0;
}

static gboolean
video_has_pixels (const GstVideoInfo *info)
{
  const GstVideoFormatFlags without = GST_VIDEO_FORMAT_FLAG_COMPLEX
                                      | GST_VIDEO_FORMAT_FLAG_TILED
                                      | GST_VIDEO_FORMAT_FLAG_PALETTE;

  return (info->finfo->flags & without) == 0;
}

/* By name: the LE flag is missing from v216, Y210 and Y410, which are
 * little-endian. */
static gboolean
video_is_big_endian (const GstVideoInfo *info)
{
  const char *name = info->finfo->name;

  return strstr (name, "BE") != NULL || strcmp (name, "r210") == 0;
}

static NdshDtype
unsigned_dtype (guint size)
{
  switch (size) {
  case 1:
    return NDSH_DTYPE_UINT8;
  case 2:
    return NDSH_DTYPE_UINT16;
  case 4:
    return NDSH_DTYPE_UINT32;
  default:
    return NDSH_DTYPE_INVALID;
  }
}

static void
append_dim (NdshArrayInfo *array, gsize length, gsize stride)
{
  array->shape[array->n_dims] = length;
  array->strides[array->n_dims] = (gssize) stride;
  array->n_dims++;
}

/* dtypes have no byte order: an item in the other one is its bytes. */
static void
append_item (NdshArrayInfo *array, NdshDtype dtype, guint size, gboolean foreign)
{
  array->dtype = dtype;
  if (foreign && size > 1) {
    array->dtype = NDSH_DTYPE_UINT8;
    append_dim (array, size, 1);
  }
}

static gboolean
describe_plane (const GstVideoInfo *info, const GstNdshLayout *layout,
                guint index, NdshArrayInfo *array)
{
  gboolean foreign
    = video_is_big_endian (info) != (G_BYTE_ORDER == G_BIG_ENDIAN);
  NdshDtype dtype;
  Plane plane;

  plane_init (&plane, info, index);
  dtype = unsigned_dtype (plane.item_size);
  if (dtype == NDSH_DTYPE_INVALID || plane.pixel_stride % plane.item_size != 0
      || layout->stride[index] < 0
      || (gsize) layout->stride[index] < plane.row_size)
    return FALSE;

  memset (array, 0, sizeof *array);
  array->offset = layout->offset[index];
  append_dim (array, plane.rows, (gsize) layout->stride[index]);
  append_dim (array, plane.width, plane.pixel_stride);
  if (plane.pixel_stride > plane.item_size)
    append_dim (array, plane.pixel_stride / plane.item_size, plane.item_size);
  append_item (array, dtype, plane.item_size, foreign);
  return TRUE;
}

static guint
describe_video (const GstVideoInfo *info, const GstNdshLayout *layout,
                NdshArrayInfo *arrays)
{
  GstNdshLayout standard;
  guint n_planes = GST_VIDEO_INFO_N_PLANES (info);

  if (!video_has_pixels (info))
    return 0;
  if (layout == NULL) {
    gst_ndsh_layout_init_from_info (&standard, info);
    layout = &standard;
  }
  if (layout->n_planes != n_planes)
    return 0;
  for (guint i = 0; i < n_planes; i++)
    if (!describe_plane (info, layout, i, &arrays[i]))
      return 0;
  return n_planes;
}

/* --- The array of an audio buffer --- */

static NdshDtype
audio_dtype (const GstAudioFormatInfo *finfo)
{
  gboolean is_signed = GST_AUDIO_FORMAT_INFO_IS_SIGNED (finfo);

  switch (GST_AUDIO_FORMAT_INFO_WIDTH (finfo)) {
  case 8:
    return is_signed ? NDSH_DTYPE_INT8 : NDSH_DTYPE_UINT8;
  case 16:
    return is_signed ? NDSH_DTYPE_INT16 : NDSH_DTYPE_UINT16;
  case 32:
    if (GST_AUDIO_FORMAT_INFO_IS_FLOAT (finfo))
      return NDSH_DTYPE_FLOAT32;
    return is_signed ? NDSH_DTYPE_INT32 : NDSH_DTYPE_UINT32;
  case 64:
    return GST_AUDIO_FORMAT_INFO_IS_FLOAT (finfo) ? NDSH_DTYPE_FLOAT64
                                                  : NDSH_DTYPE_INVALID;
  default:
    return NDSH_DTYPE_INVALID;  /* 24 bits in three bytes, and the like */
  }
}

static guint
describe_audio (const GstAudioInfo *info, gsize size, NdshArrayInfo *array)
{
  const GstAudioFormatInfo *finfo = info->finfo;
  NdshDtype dtype = audio_dtype (finfo);
  gint order = GST_AUDIO_FORMAT_INFO_ENDIANNESS (finfo);
  guint item = (guint) GST_AUDIO_FORMAT_INFO_WIDTH (finfo) / 8;
  gsize channels = (gsize) GST_AUDIO_INFO_CHANNELS (info);
  gsize frames;

  if (channels == 0 || item == 0)
    return 0;
  frames = size / item / channels;

  memset (array, 0, sizeof *array);
  if (GST_AUDIO_INFO_LAYOUT (info) == GST_AUDIO_LAYOUT_INTERLEAVED) {
    append_dim (array, frames, item * channels);
    append_dim (array, channels, item);
  } else {
    append_dim (array, channels, MAX (frames, 1) * item);
    append_dim (array, frames, item);
  }
  append_item (array, dtype, item,
               dtype == NDSH_DTYPE_INVALID
                 || (order != 0 && order != G_BYTE_ORDER));
  return 1;
}

/* --- Caps that give the arrays --- */

/* That NNStreamer takes. */
#define MAX_TENSOR_DIMS 16

/* The whole of @text as a length; FALSE for what no array can have. */
static gboolean
parse_length (const char *text, gsize *length)
{
  char *end;
  guint64 value;

  if (!g_ascii_isdigit (text[0]))
    return FALSE;
  value = g_ascii_strtoull (text, &end, 10);
  *length = (gsize) value;
  return *end == '\0' && value <= G_MAXINT32;
}

/* "3:640:480:1" is innermost first; a 0 is what some versions fill up with. */
static gboolean
parse_tensor_shape (const char *text, gsize *shape, guint *n_dims)
{
  g_auto (GStrv) lengths = g_strsplit (text, ":", NDSH_MAX_DIMS + 1);
  gboolean good = TRUE;
  guint n = 0;

  while (good && lengths[n] != NULL) {
    good = n < NDSH_MAX_DIMS && parse_length (g_strstrip (lengths[n]), &shape[n]);
    if (good && shape[n] == 0)
      break;
    n++;
  }
  *n_dims = n;
  for (guint i = 0; good && i < n / 2; i++) {
    gsize swap = shape[i];

    shape[i] = shape[n - 1 - i];
    shape[n - 1 - i] = swap;
  }
  return good && n > 0;
}

/* The next tensor, right behind those that end at @end. */
static gboolean
place_tensor (NdshArrayInfo *array, const char *type, const gsize *shape, guint n_dims,
              gsize *end)
{
  if (!ndsh_array_info_init (array, ndsh_dtype_from_name (type), n_dims, shape))
    return FALSE;
  array->offset = *end;
  return g_size_checked_add (end, *end, ndsh_array_info_get_size (array));
}

/* other/tensors: one tensor after the other in the buffer. */
static guint
parse_tensors (const GstStructure *structure, NdshArrayInfo *arrays)
{
  const char *format = gst_structure_get_string (structure, "format");
  const char *dimensions = gst_structure_get_string (structure, "dimensions");
  const char *types = gst_structure_get_string (structure, "types");
  g_auto (GStrv) each_shape = NULL;
  g_auto (GStrv) each_type = NULL;
  gsize end = 0;
  guint n;

  if ((format != NULL && strcmp (format, "static") != 0) || dimensions == NULL
      || types == NULL)
    return 0;
  /* A comma separates fields of caps, so some write a dot instead. */
  each_shape = g_strsplit_set (dimensions, ",.", -1);
  each_type = g_strsplit_set (types, ",.", -1);
  n = g_strv_length (each_type);
  if (n == 0 || n > NDSH_MAX_ARRAYS || g_strv_length (each_shape) != n)
    return 0;

  for (guint i = 0; i < n; i++) {
    gsize shape[NDSH_MAX_DIMS];
    guint n_dims;

    if (!parse_tensor_shape (each_shape[i], shape, &n_dims)
        || !place_tensor (&arrays[i], g_strstrip (each_type[i]), shape, n_dims, &end))
      return 0;
  }
  return n;
}

static gboolean
parse_lengths (const GValue *values, gsize *lengths, guint *n)
{
  if (values == NULL || !GST_VALUE_HOLDS_ARRAY (values)
      || gst_value_array_get_size (values) > NDSH_MAX_DIMS)
    return FALSE;
  *n = gst_value_array_get_size (values);
  for (guint i = 0; i < *n; i++) {
    const GValue *value = gst_value_array_get_value (values, i);
    gint64 length = -1;

    if (G_VALUE_HOLDS_INT (value))
      length = g_value_get_int (value);
    else if (G_VALUE_HOLDS_INT64 (value))
      length = g_value_get_int64 (value);
    if (length < 0 || (guint64) length > G_MAXSSIZE)
      return FALSE;
    lengths[i] = (gsize) length;
  }
  return TRUE;
}

/* neural-network/tensors, as Qualcomm's elements have it: one type for all tensors, and a
 * list of lists, outermost dimension first. */
static guint
parse_network (const GstStructure *structure, NdshArrayInfo *arrays)
{
  const char *upper = gst_structure_get_string (structure, "type");
  const GValue *shapes = gst_structure_get_value (structure, "dimensions");
  g_autofree char *type = upper != NULL ? g_ascii_strdown (upper, -1) : NULL;
  gsize end = 0;
  guint n;

  if (type == NULL || shapes == NULL || !GST_VALUE_HOLDS_ARRAY (shapes))
    return 0;
  n = gst_value_array_get_size (shapes);
  if (n > NDSH_MAX_ARRAYS)
    return 0;
  for (guint i = 0; i < n; i++) {
    gsize shape[NDSH_MAX_DIMS];
    guint n_dims;

    if (!parse_lengths (gst_value_array_get_value (shapes, i), shape, &n_dims)
        || !place_tensor (&arrays[i], type, shape, n_dims, &end))
      return 0;
  }
  return n;
}

/* Columns first, as Fortran has them. */
static void
reverse_strides (NdshArrayInfo *array)
{
  gssize stride = (gssize) ndsh_dtype_get_size (array->dtype);

  for (guint i = 0; i < array->n_dims; i++) {
    array->strides[i] = stride;
    stride *= (gssize) MAX (array->shape[i], 1);
  }
}

/* application/x-ndarray: what gst_ndsh_caps_from_arrays () makes, or with an order
 * instead of strides. */
static guint
parse_ndarray (const GstStructure *structure, NdshArrayInfo *array)
{
  const char *dtype = gst_structure_get_string (structure, "dtype");
  const char *order = gst_structure_get_string (structure, "order");
  const GValue *strides = gst_structure_get_value (structure, "strides");
  gsize lengths[NDSH_MAX_DIMS];
  guint n;

  if (dtype == NULL
      || !parse_lengths (gst_structure_get_value (structure, "shape"), lengths, &n)
      || !ndsh_array_info_init (array, ndsh_dtype_from_name (dtype), n, lengths))
    return 0;
  if (strides != NULL) {
    if (!parse_lengths (strides, lengths, &n) || n != array->n_dims)
      return 0;
    for (guint i = 0; i < n; i++)
      array->strides[i] = (gssize) lengths[i];
  } else if (g_strcmp0 (order, "F") == 0) {
    reverse_strides (array);
  } else if (gst_structure_has_field (structure, "order")
             && g_strcmp0 (order, "C") != 0) {
    return 0;
  }
  return 1;
}

/* video/x-bayer: rows are rounded up to 4 bytes as in video/x-raw. */
static guint
parse_bayer (const GstStructure *structure, NdshArrayInfo *array)
{
  const char *format = gst_structure_get_string (structure, "format");
  gint width, height;
  guint item;

  if (format == NULL || !gst_structure_get_int (structure, "width", &width)
      || !gst_structure_get_int (structure, "height", &height) || width <= 0
      || height <= 0 || width > G_MAXINT / 4)
    return 0;
  if (strlen (format) == 4)
    item = 1;
  else if (g_str_has_suffix (format, "le") || g_str_has_suffix (format, "be"))
    item = 2;
  else
    return 0;

  memset (array, 0, sizeof *array);
  append_dim (array, (gsize) height, GST_ROUND_UP_4 ((gsize) width * item));
  append_dim (array, (gsize) width, item);
  append_item (array, unsigned_dtype (item), item,
               g_str_has_suffix (format, "be")
                 != (G_BYTE_ORDER == G_BIG_ENDIAN));
  return 1;
}

static guint
parse_arrays (const GstStructure *structure, NdshArrayInfo *arrays)
{
  if (gst_structure_has_name (structure, "other/tensors"))
    return parse_tensors (structure, arrays);
  if (gst_structure_has_name (structure, "neural-network/tensors"))
    return parse_network (structure, arrays);
  if (gst_structure_has_name (structure, "application/x-ndarray"))
    return parse_ndarray (structure, arrays);
  if (gst_structure_has_name (structure, "video/x-bayer"))
    return parse_bayer (structure, arrays);
  return 0;
}

/* --- Content --- */

static gboolean
parse_video (const GstCaps *caps, GstVideoInfo *info)
{
  return gst_video_info_from_caps (info, caps)
         && GST_VIDEO_INFO_FORMAT (info) > GST_VIDEO_FORMAT_ENCODED;
}

void
gst_ndsh_content_init (GstNdshContent *content, const GstCaps *caps)
{
  const GstStructure *structure;

  memset (content, 0, sizeof *content);
  content->kind = GST_NDSH_CONTENT_BYTES;
  if (caps == NULL || gst_caps_get_size (caps) != 1
      || !gst_caps_is_fixed (caps))
    return;

  structure = gst_caps_get_structure (caps, 0);
  if (gst_structure_has_name (structure, "video/x-raw")) {
    if (parse_video (caps, &content->video))
      content->kind = GST_NDSH_CONTENT_VIDEO;
  } else if (gst_structure_has_name (structure, "audio/x-raw")) {
    if (gst_audio_info_from_caps (&content->audio, caps))
      content->kind = GST_NDSH_CONTENT_AUDIO;
  } else {
    content->n_arrays = parse_arrays (structure, content->arrays);
    if (content->n_arrays > 0)
      content->kind = GST_NDSH_CONTENT_ARRAYS;
  }
}

static guint
describe_content (const GstNdshContent *content, const GstNdshLayout *layout,
                  gsize size, NdshArrayInfo *arrays)
{
  switch (content->kind) {
  case GST_NDSH_CONTENT_VIDEO:
    return describe_video (&content->video, layout, arrays);
  case GST_NDSH_CONTENT_AUDIO:
    return describe_audio (&content->audio, size, arrays);
  case GST_NDSH_CONTENT_ARRAYS:
    memcpy (arrays, content->arrays, content->n_arrays * sizeof arrays[0]);
    return content->n_arrays;
  case GST_NDSH_CONTENT_BYTES:
  default:
    return 0;
  }
}

/* Where the last of them ends; G_MAXSIZE if one cannot be. */
static gsize
find_end (const NdshArrayInfo *arrays, guint n_arrays)
{
  gsize end = 0;

  for (guint i = 0; i < n_arrays; i++) {
    gsize size = ndsh_array_info_get_size (&arrays[i]);

    if (size > G_MAXSIZE - arrays[i].offset)
      return G_MAXSIZE;
    end = MAX (end, arrays[i].offset + size);
  }
  return end;
}

guint
gst_ndsh_content_get_arrays (const GstNdshContent *content,
                             const GstNdshLayout *layout, gsize size,
                             NdshArrayInfo arrays[NDSH_MAX_ARRAYS])
{
  guint n = describe_content (content, layout, size, arrays);

  if (n > 0 && find_end (arrays, n) <= size)
    return n;
  ndsh_array_info_init (&arrays[0], NDSH_DTYPE_UINT8, 1, &size);
  return 1;
}

/* --- Caps from arrays --- */

/* Plain ints where all fit, so that caps can be typed by hand. A GstValueArray holds
 * values of one type. */
static GType
lengths_type (const gint64 *lengths, guint n)
{
  for (guint i = 0; i < n; i++)
    if (lengths[i] > G_MAXINT)
      return G_TYPE_INT64;
  return G_TYPE_INT;
}

static void
set_lengths (GstStructure *structure, const char *field, const gint64 *lengths,
             guint n)
{
  GType type = lengths_type (lengths, n);
  GValue all = G_VALUE_INIT;

  g_value_init (&all, GST_TYPE_ARRAY);
  for (guint i = 0; i < n; i++) {
    GValue one = G_VALUE_INIT;

    g_value_init (&one, type);
    if (type == G_TYPE_INT)
      g_value_set_int (&one, (gint) lengths[i]);
    else
      g_value_set_int64 (&one, lengths[i]);
    gst_value_array_append_and_take_value (&all, &one);
  }
  gst_structure_take_value (structure, field, &all);
}

static gboolean
array_is_dense (const NdshArrayInfo *array)
{
  NdshArrayInfo dense;

  return ndsh_array_info_init (&dense, array->dtype, array->n_dims, array->shape)
         && memcmp (dense.strides, array->strides,
                    array->n_dims * sizeof array->strides[0])
              == 0;
}

/* An array without elements may be of any length in its other dimensions. */
static gboolean
caps_can_tell (const NdshArrayInfo *arrays, guint n_arrays)
{
  if (n_arrays != 1 || arrays[0].offset != 0)
    return FALSE;
  for (guint i = 0; i < arrays[0].n_dims; i++)
    if (arrays[0].shape[i] > G_MAXSSIZE)
      return FALSE;
  return TRUE;
}

GstCaps *
gst_ndsh_caps_from_arrays (const NdshArrayInfo *arrays, guint n_arrays)
{
  gint64 shape[NDSH_MAX_DIMS], strides[NDSH_MAX_DIMS];
  GstStructure *structure;
  GstCaps *caps;

  if (!caps_can_tell (arrays, n_arrays))
    return gst_caps_new_empty_simple ("application/octet-stream");

  for (guint i = 0; i < arrays[0].n_dims; i++) {
    shape[i] = (gint64) arrays[0].shape[i];
    strides[i] = (gint64) arrays[0].strides[i];
  }
  structure = gst_structure_new ("application/x-ndarray", "dtype", G_TYPE_STRING,
                                 ndsh_dtype_to_name (arrays[0].dtype), NULL);
  set_lengths (structure, "shape", shape, arrays[0].n_dims);
  if (!array_is_dense (&arrays[0]))
    set_lengths (structure, "strides", strides, arrays[0].n_dims);
  caps = gst_caps_new_empty ();
  gst_caps_append_structure (caps, structure);
  return caps;
}

GstCaps *
gst_ndsh_caps_from_description (const char *description)
{
  g_autoptr (GstCaps) caps = NULL;

  if (strchr (description, '/') == NULL)
    return NULL;
  g_type_ensure (GST_TYPE_VIDEO_MULTIVIEW_FLAGSET);     /* or it could not be parsed */
  caps = gst_ndsh_caps_from_text (description);
  if (caps == NULL || gst_caps_get_size (caps) != 1 || !gst_caps_is_fixed (caps)
      || strchr (gst_structure_get_name (gst_caps_get_structure (caps, 0)), '/')
           == NULL
      || gst_ndsh_caps_get_foreign_memory (caps) != NULL)
    return NULL;
  return g_steal_pointer (&caps);
}

gboolean
gst_ndsh_caps_are_encoded_video (const char *caps)
{
  return g_str_has_prefix (caps, "video/") && !g_str_has_prefix (caps, "video/x-raw")
         && !g_str_has_prefix (caps, "video/x-bayer");
}

const char *
gst_ndsh_caps_get_foreign_memory (const GstCaps *caps)
{
  for (guint i = 0; i < gst_caps_get_size (caps); i++) {
    GstCapsFeatures *features = gst_caps_get_features (caps, i);

    if (features == NULL || gst_caps_features_is_any (features))
      continue;
    for (guint j = 0; j < gst_caps_features_get_size (features); j++) {
      const char *feature = gst_caps_features_get_nth (features, j);

      if (g_str_has_prefix (feature, "memory:")
          && strcmp (feature, GST_CAPS_FEATURE_MEMORY_SYSTEM_MEMORY) != 0)
        return feature;
    }
  }
  return NULL;
}

/* --- Layouts --- */

void
gst_ndsh_layout_init_from_info (GstNdshLayout *layout, const GstVideoInfo *info)
{
  memset (layout, 0, sizeof *layout);
  layout->format = GST_VIDEO_INFO_FORMAT (info);
  layout->width = (guint) GST_VIDEO_INFO_WIDTH (info);
  layout->height = (guint) GST_VIDEO_INFO_HEIGHT (info);
  layout->n_planes = GST_VIDEO_INFO_N_PLANES (info);
  for (guint i = 0; i < layout->n_planes; i++) {
    layout->offset[i] = GST_VIDEO_INFO_PLANE_OFFSET (info, i);
    layout->stride[i] = GST_VIDEO_INFO_PLANE_STRIDE (info, i);
  }
}

void
gst_ndsh_layout_init_from_meta (GstNdshLayout *layout, const GstVideoMeta *meta)
{
  memset (layout, 0, sizeof *layout);
  layout->format = meta->format;
  layout->width = meta->width;
  layout->height = meta->height;
  layout->n_planes = MIN (meta->n_planes, GST_VIDEO_MAX_PLANES);
  for (guint i = 0; i < layout->n_planes; i++) {
    layout->offset[i] = meta->offset[i];
    layout->stride[i] = meta->stride[i];
  }
}

/* Same dtype and shape: only where the elements lie may differ. */
static gboolean
same_elements (const NdshArrayInfo *a, const NdshArrayInfo *b)
{
  return a->dtype == b->dtype && a->n_dims == b->n_dims
         && memcmp (a->shape, b->shape, a->n_dims * sizeof a->shape[0]) == 0;
}

gboolean
gst_ndsh_layout_init_from_arrays (GstNdshLayout *layout,
                                  const GstVideoInfo *info,
                                  const NdshArrayInfo *arrays, guint n_arrays)
{
  NdshArrayInfo expected[GST_VIDEO_MAX_PLANES];
  GstNdshLayout found;
  guint n_planes = describe_video (info, NULL, expected);

  if (n_planes == 0 || n_arrays != n_planes)
    return FALSE;
  gst_ndsh_layout_init_from_info (&found, info);
  for (guint i = 0; i < n_planes; i++) {
    if (!same_elements (&arrays[i], &expected[i])
        || memcmp (arrays[i].strides + 1, expected[i].strides + 1,
                   (expected[i].n_dims - 1) * sizeof expected[i].strides[0])
             != 0
        || arrays[i].strides[0] > G_MAXINT)
      return FALSE;
    found.offset[i] = arrays[i].offset;
    found.stride[i] = (gint) arrays[i].strides[0];
  }
  *layout = found;
  return TRUE;
}

/* Rows come first, then pixels, then what a pixel has. */
static void
complete_video (GstStructure *structure, const NdshArrayInfo *array)
{
  static const char *const fields[] = { "height", "width" };

  for (guint i = 0; i < 2 && array->n_dims >= 2; i++)
    if (!gst_structure_has_field (structure, fields[i])
        && array->shape[i] <= G_MAXINT)
      gst_structure_set (structure, fields[i], G_TYPE_INT, (gint) array->shape[i], NULL);
  if (!gst_structure_has_field (structure, "framerate"))
    gst_structure_set (structure, "framerate", GST_TYPE_FRACTION, 0, 1, NULL);
}

static gboolean
is_tensor (const NdshArrayInfo *array)
{
  if (array->dtype < NDSH_DTYPE_INT8 || array->dtype > NDSH_DTYPE_FLOAT64
      || array->n_dims < 1 || array->n_dims > MAX_TENSOR_DIMS)
    return FALSE;
  for (guint i = 0; i < array->n_dims; i++)
    if (array->shape[i] < 1 || array->shape[i] > G_MAXINT32)
      return FALSE;
  return TRUE;
}

/* FALSE if they are no tensors. */
static gboolean
complete_tensors (GstStructure *structure, const NdshArrayInfo *arrays, guint n_arrays)
{
  g_autoptr (GString) types = g_string_new (NULL);
  g_autoptr (GString) dimensions = g_string_new (NULL);

  for (guint i = 0; i < n_arrays; i++) {
    if (!is_tensor (&arrays[i]))
      return FALSE;
    g_string_append_printf (types, "%s%s", i > 0 ? "," : "",
                            ndsh_dtype_to_name (arrays[i].dtype));
    for (guint j = arrays[i].n_dims; j-- > 0;)
      g_string_append_printf (dimensions, "%" G_GSIZE_FORMAT "%s", arrays[i].shape[j],
                              j > 0 ? ":" : i + 1 < n_arrays ? "," : "");
  }
  gst_structure_set (structure, "format", G_TYPE_STRING, "static", "num_tensors", G_TYPE_INT,
                     (gint) n_arrays, "types", G_TYPE_STRING, types->str, "dimensions",
                     G_TYPE_STRING, dimensions->str, NULL);
  if (!gst_structure_has_field (structure, "framerate"))
    gst_structure_set (structure, "framerate", GST_TYPE_FRACTION, 0, 1, NULL);
  return TRUE;
}

static gboolean
are_incomplete_tensors (const GstStructure *structure)
{
  const char *format = gst_structure_get_string (structure, "format");

  return gst_structure_has_name (structure, "other/tensors")
         && (format == NULL || strcmp (format, "static") == 0)
         && !gst_structure_has_field (structure, "types")
         && !gst_structure_has_field (structure, "dimensions");
}

/* Samples, or bytes that are. */
static gboolean
is_sound (const GstAudioInfo *info, NdshDtype dtype)
{
  return GST_AUDIO_INFO_IS_VALID (info) && info->bpf > 0 && info->rate > 0
         && info->layout == GST_AUDIO_LAYOUT_INTERLEAVED
         && (dtype == NDSH_DTYPE_UINT8 || dtype == audio_dtype (info->finfo));
}

/* One after the other without gaps, and their numbers in the order of their bytes. */
static gboolean
are_close (const NdshArrayInfo *arrays, guint n_arrays)
{
  gsize end = 0;

  for (guint i = 0; i < n_arrays; i++) {
    if (!array_is_dense (&arrays[i]) || arrays[i].offset != end)
      return FALSE;
    end += ndsh_array_info_get_size (&arrays[i]);
  }
  return TRUE;
}

static gboolean
are_same (const NdshArrayInfo *a, const NdshArrayInfo *b, guint n_arrays)
{
  for (guint i = 0; i < n_arrays; i++)
    if (!same_elements (&a[i], &b[i]) || a[i].offset != b[i].offset
        || memcmp (a[i].strides, b[i].strides, a[i].n_dims * sizeof a[i].strides[0]) != 0)
      return FALSE;
  return TRUE;
}

static gboolean
content_can_be (const GstNdshContent *content, const NdshArrayInfo *arrays,
                guint n_arrays)
{
  gboolean is_one = n_arrays == 1 && array_is_dense (&arrays[0]);
  gsize size = ndsh_array_info_get_size (&arrays[0]);
  GstNdshLayout layout;

  switch (content->kind) {
  case GST_NDSH_CONTENT_VIDEO:
    if (gst_ndsh_layout_init_from_arrays (&layout, &content->video, arrays, n_arrays))
      return gst_ndsh_layout_is_valid (&layout, &content->video, find_end (arrays, n_arrays));
    return is_one && arrays[0].dtype == NDSH_DTYPE_UINT8 && arrays[0].n_dims <= 2
           && size == GST_VIDEO_INFO_SIZE (&content->video);
  case GST_NDSH_CONTENT_AUDIO:
    return is_one && is_sound (&content->audio, arrays[0].dtype)
           && size % (guint) content->audio.bpf == 0;
  case GST_NDSH_CONTENT_ARRAYS:
    return find_end (content->arrays, content->n_arrays) == find_end (arrays, n_arrays)
           && (are_close (arrays, n_arrays)
               || (n_arrays == content->n_arrays
                   && are_same (arrays, content->arrays, n_arrays)));
  default:
    return is_one;
  }
}

GstCaps *
gst_ndsh_caps_for_arrays (const GstCaps *wanted, const NdshArrayInfo *arrays,
                          guint n_arrays)
{
  g_autoptr (GstCaps) caps = gst_caps_copy (wanted);
  GstNdshContent content;
  GstStructure *structure;

  if (gst_caps_get_size (caps) != 1 || gst_ndsh_caps_get_foreign_memory (caps) != NULL)
    return NULL;
  structure = gst_caps_get_structure (caps, 0);
  if (gst_structure_has_name (structure, "video/x-raw"))
    complete_video (structure, &arrays[0]);
  else if (are_incomplete_tensors (structure)
           && !complete_tensors (structure, arrays, n_arrays))
    return NULL;
  if (!gst_caps_is_fixed (caps))
    return NULL;
  gst_ndsh_content_init (&content, caps);
  /* What they leave out is not known. */
  if (content.kind == GST_NDSH_CONTENT_BYTES
      && g_str_has_suffix (gst_structure_get_name (structure), "/x-raw"))
    return NULL;
  return content_can_be (&content, arrays, n_arrays) ? g_steal_pointer (&caps) : NULL;
}

gboolean
gst_ndsh_layout_is_default (const GstNdshLayout *layout,
                            const GstVideoInfo *info)
{
  for (guint i = 0; i < layout->n_planes; i++)
    if (layout->offset[i] != GST_VIDEO_INFO_PLANE_OFFSET (info, i)
        || layout->stride[i] != GST_VIDEO_INFO_PLANE_STRIDE (info, i))
      return FALSE;
  return TRUE;
}

/* What elements read of a row. Where there are no pixels, only the default stride
 * tells. */
static gsize
row_size (const GstVideoInfo *info, guint index, const Plane *plane)
{
  return plane->row_size != 0
           ? plane->row_size
           : (gsize) GST_VIDEO_INFO_PLANE_STRIDE (info, index);
}

/* 256 colours of 4 bytes, however high the image; its stride says nothing. */
#define PALETTE_SIZE 1024

static gboolean
plane_is_palette (const GstVideoInfo *info, guint index)
{
  return (info->finfo->flags & GST_VIDEO_FORMAT_FLAG_PALETTE) != 0 && index == 1;
}

static gsize
tile_size (const GstVideoFormatInfo *finfo, guint plane)
{
#if GST_CHECK_VERSION(1, 22, 0)
  return finfo->tile_info[plane].size;
#else
  (void) plane;
  return (gsize) 1 << (finfo->tile_ws + finfo->tile_hs);
#endif
}

/* The stride of a tiled plane counts tiles, in both directions. */
static gsize
tiled_plane_extent (const GstNdshLayout *layout, const GstVideoInfo *info,
                    guint index)
{
  gint stride = layout->stride[index];
  gint least = GST_VIDEO_INFO_PLANE_STRIDE (info, index);
  gsize tiles, size;

  if (GST_VIDEO_TILE_X_TILES (stride) < GST_VIDEO_TILE_X_TILES (least)
      || GST_VIDEO_TILE_Y_TILES (stride) < GST_VIDEO_TILE_Y_TILES (least))
    return 0;
  tiles = (gsize) GST_VIDEO_TILE_X_TILES (stride)
          * (gsize) GST_VIDEO_TILE_Y_TILES (stride);    /* at most 2^31 */
  return g_size_checked_mul (&size, tiles, tile_size (info->finfo, index)) ? size
                                                                           : 0;
}

/* Bytes from the start of the plane to the end of its last row, 0 if there can
 * be no such plane. */
static gsize
plane_extent (const GstNdshLayout *layout, const GstVideoInfo *info, guint index)
{
  gsize stride = (gsize) layout->stride[index], row, size;
  Plane plane;

  if (layout->stride[index] <= 0)
    return 0;
  if (video_is_tiled (info))
    return tiled_plane_extent (layout, info, index);
  if (plane_is_palette (info, index))
    return PALETTE_SIZE;
  plane_init (&plane, info, index);
  row = row_size (info, index, &plane);
  if (plane.rows == 0 || stride < row
      || !g_size_checked_mul (&size, stride, plane.rows - 1)
      || !g_size_checked_add (&size, size, row))
    return 0;
  return size;
}

gboolean
gst_ndsh_layout_is_valid (const GstNdshLayout *layout, const GstVideoInfo *info,
                          gsize size)
{
  if (layout->format != GST_VIDEO_INFO_FORMAT (info)
      || layout->n_planes != GST_VIDEO_INFO_N_PLANES (info)
      || layout->width != (guint) GST_VIDEO_INFO_WIDTH (info)
      || (layout->height != (guint) GST_VIDEO_INFO_HEIGHT (info)
          && layout->height != (guint) GST_VIDEO_INFO_FIELD_HEIGHT (info)))
    return FALSE;
  for (guint i = 0; i < layout->n_planes; i++) {
    gsize extent = plane_extent (layout, info, i);

    if (extent == 0 || layout->offset[i] > size
        || extent > size - layout->offset[i])
      return FALSE;
  }
  return TRUE;
}

gboolean
gst_ndsh_layout_copy_to_default (const GstNdshLayout *layout,
                                 const GstVideoInfo *info, const guint8 *from,
                                 guint8 *to)
{
  if (video_is_tiled (info))
    return FALSE;

  for (guint i = 0; i < layout->n_planes; i++) {
    const guint8 *source = from + layout->offset[i];
    guint8 *target = to + GST_VIDEO_INFO_PLANE_OFFSET (info, i);
    gsize length;
    Plane plane;

    plane_init (&plane, info, i);
    length = row_size (info, i, &plane);
    if (plane_is_palette (info, i)) {
      plane.rows = 1;
      length = PALETTE_SIZE;
    }
    for (guint row = 0; row < plane.rows; row++) {
      memcpy (target, source, length);
      source += layout->stride[i];
      target += GST_VIDEO_INFO_PLANE_STRIDE (info, i);
    }
  }
  return TRUE;
}
