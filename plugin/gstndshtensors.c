/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hides how tensors lie in items: a structure each, with its number in its meta, of which
 * a buffer may have several (in 1.26 but one).
 */
#include "gstndshtensors.h"

#include "gstndshstructure.h"
#include "gstndshtext.h"

#if defined(HAVE_ANALYTICS) && GST_CHECK_VERSION(1, 26, 0)

#include <string.h>

#include <gst/analytics/analytics.h>

#define TENSOR "GstTensorMeta"
#define MAX_DIMS 16

static const struct {
  const char *name;
  GstTensorDataType type;
  guint bits;
} types[] = {
  { "int4", GST_TENSOR_DATA_TYPE_INT4, 4 },
  { "int8", GST_TENSOR_DATA_TYPE_INT8, 8 },
  { "int16", GST_TENSOR_DATA_TYPE_INT16, 16 },
  { "int32", GST_TENSOR_DATA_TYPE_INT32, 32 },
  { "int64", GST_TENSOR_DATA_TYPE_INT64, 64 },
  { "uint4", GST_TENSOR_DATA_TYPE_UINT4, 4 },
  { "uint8", GST_TENSOR_DATA_TYPE_UINT8, 8 },
  { "uint16", GST_TENSOR_DATA_TYPE_UINT16, 16 },
  { "uint32", GST_TENSOR_DATA_TYPE_UINT32, 32 },
  { "uint64", GST_TENSOR_DATA_TYPE_UINT64, 64 },
  { "float16", GST_TENSOR_DATA_TYPE_FLOAT16, 16 },
  { "float32", GST_TENSOR_DATA_TYPE_FLOAT32, 32 },
  { "float64", GST_TENSOR_DATA_TYPE_FLOAT64, 64 },
  { "bfloat16", GST_TENSOR_DATA_TYPE_BFLOAT16, 16 },
};

/* --- From a buffer -------------------------------------------------------- */

static const char *
get_type_name (GstTensorDataType type)
{
  for (guint i = 0; i < G_N_ELEMENTS (types); i++)
    if (types[i].type == type)
      return types[i].name;
  return NULL;
}

static GstStructure *
describe_tensor (const GstTensor *tensor, guint index)
{
  gboolean is_row_major = tensor->dims_order == GST_TENSOR_DIM_ORDER_ROW_MAJOR;
  const char *id = g_quark_to_string (tensor->id);
  GValue dims = G_VALUE_INIT;
  GstStructure *s = gst_structure_new (
    TENSOR, "index", G_TYPE_UINT, index, "id", G_TYPE_STRING, id != NULL ? id : "",
    "type", G_TYPE_STRING, get_type_name (tensor->data_type), "order", G_TYPE_STRING,
    is_row_major ? "row-major" : "col-major", "data", GST_TYPE_BUFFER, tensor->data,
    NULL);

  g_value_init (&dims, GST_TYPE_ARRAY);
  for (gsize i = 0; i < tensor->num_dims; i++)
    gst_ndsh_values_append_uint64 (&dims, tensor->dims[i]);
  gst_structure_take_value (s, "dims", &dims);
  return s;
}

static const char *
append_tensor (GByteArray *metadata, const GstTensor *tensor, guint index)
{
  const char *why;
  GstStructure *s;

  if (tensor->num_dims > MAX_DIMS || tensor->layout != GST_TENSOR_LAYOUT_CONTIGUOUS
      || get_type_name (tensor->data_type) == NULL)
    return "it has tensors of a kind that is not told";
  s = describe_tensor (tensor, index);
  /* Without bytes in it, it would stand in the text. */
  if (tensor->data == NULL || gst_buffer_get_size (tensor->data) == 0)
    gst_structure_remove_field (s, "data");
  why = gst_ndsh_structure_append (metadata, s);
  gst_structure_free (s);
  return why;
}

gboolean
gst_ndsh_tensors_append (GByteArray *metadata, GstMeta *meta, const char **why)
{
  const GstTensorMeta *tensors = (const GstTensorMeta *) meta;
  guint before = metadata->len;

  if (meta->info->api != GST_TENSOR_META_API_TYPE)
    return FALSE;
  for (guint i = 0; *why == NULL && i < tensors->num_tensors; i++)
    *why = append_tensor (metadata, tensors->tensors[i], i);
  /* Who decodes them wants all of them. */
  if (*why != NULL)
    g_byte_array_set_size (metadata, before);
  return TRUE;
}

/* --- To a buffer ---------------------------------------------------------- */

static gboolean
find_type (const char *name, GstTensorDataType *type, guint *bits)
{
  for (guint i = 0; name != NULL && i < G_N_ELEMENTS (types); i++)
    if (strcmp (types[i].name, name) == 0) {
      *type = types[i].type;
      *bits = types[i].bits;
      return TRUE;
    }
  return FALSE;
}

/* A dimension of 0 is one that varies. FALSE if it cannot be. */
static gboolean
get_dims (const GstStructure *s, gsize dims[MAX_DIMS], guint *n)
{
  const GValue *values;

  if (!gst_ndsh_structure_get_values (s, "dims", &values, n) || *n == 0 || *n > MAX_DIMS)
    return FALSE;
  for (guint i = 0; i < *n; i++) {
    guint64 dim;

    if (!gst_ndsh_value_get_uint64 (gst_ndsh_values_get (values, i), &dim)
        || dim > G_MAXINT32)
      return FALSE;
    dims[i] = (gsize) dim;
  }
  return TRUE;
}

/* Whether that many bytes are as many as it has; any are if a dimension varies. */
static gboolean
fits (const gsize *dims, guint n, guint bits, gsize size)
{
  guint64 elements = 1;

  for (guint i = 0; i < n; i++)
    if (dims[i] == 0)
      return TRUE;
  for (guint i = 0; i < n; i++) {
    if (elements > G_MAXINT32)
      return FALSE;
    elements *= dims[i];
  }
  return elements <= G_MAXINT32 && (elements * bits + 7) / 8 == size;
}

static GstBuffer *
copy_data (const GstStructure *s)
{
  g_autoptr (GstBuffer) data = NULL;

  gst_structure_get (s, "data", GST_TYPE_BUFFER, &data, NULL);
  return data != NULL ? gst_buffer_copy_deep (data) : gst_buffer_new ();
}

static GstTensor *
make_tensor (const GstStructure *s)
{
  const char *order = gst_structure_get_string (s, "order");
  const char *id = gst_structure_get_string (s, "id");
  gboolean is_col_major = order != NULL && strcmp (order, "col-major") == 0;
  GstTensorDataType type;
  gsize dims[MAX_DIMS];
  GstBuffer *data;
  GstTensor *tensor;
  guint bits, n;

  if (id == NULL || !gst_ndsh_may_use_name (id) || !get_dims (s, dims, &n)
      || !find_type (gst_structure_get_string (s, "type"), &type, &bits))
    return NULL;
  data = copy_data (s);
  tensor = fits (dims, n, bits, gst_buffer_get_size (data))
             ? gst_tensor_new_simple (g_quark_from_string (id), type, data,
                                      is_col_major ? GST_TENSOR_DIM_ORDER_COL_MAJOR
                                                   : GST_TENSOR_DIM_ORDER_ROW_MAJOR,
                                      n, dims)
             : NULL;
  if (tensor == NULL)
    gst_buffer_unref (data);
  return tensor;
}

static GstTensorMeta *
get_last_meta (GstBuffer *buffer)
{
  gpointer state = NULL;
  GstMeta *meta, *last = NULL;

  while (
    (meta = gst_buffer_iterate_meta_filtered (buffer, &state, GST_TENSOR_META_API_TYPE))
    != NULL)
    last = meta;
  return (GstTensorMeta *) last;
}

/* Takes @tensor. */
static void
append_to_meta (GstTensorMeta *meta, GstTensor *tensor)
{
  guint n = (guint) meta->num_tensors;
  GstTensor **tensors = g_new (GstTensor *, n + 1);

  for (guint i = 0; i < n; i++)
    tensors[i] = gst_tensor_copy (meta->tensors[i]);
  tensors[n] = tensor;
  gst_tensor_meta_set (meta, n + 1, tensors);
}

gboolean
gst_ndsh_tensors_add (GstBuffer *buffer, const GstStructure *structure)
{
  GstTensorMeta *meta = NULL;
  GstTensor *tensor;
  guint index;

  if (!gst_structure_has_name (structure, TENSOR)
      || !gst_ndsh_structure_get_uints (structure, G_MAXINT, "index", &index, NULL))
    return FALSE;
  if (index > 0) {
    meta = get_last_meta (buffer);
    if (meta == NULL || meta->num_tensors != index)
      return FALSE;
  }
  tensor = make_tensor (structure);
  if (tensor == NULL)
    return FALSE;
  append_to_meta (meta != NULL ? meta : gst_buffer_add_tensor_meta (buffer), tensor);
  return TRUE;
}

#else

gboolean
gst_ndsh_tensors_append (GByteArray *metadata, GstMeta *meta, const char **why)
{
  (void) metadata;
  (void) meta;
  (void) why;
  return FALSE;
}

gboolean
gst_ndsh_tensors_add (GstBuffer *buffer, const GstStructure *structure)
{
  (void) buffer;
  (void) structure;
  return FALSE;
}

#endif
