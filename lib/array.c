/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What an array is: dtypes, sizes, overflow, text, and the packed form. Nothing
 * here looks at data or memory that can change.
 */
#include "array.h"

#include <string.h>

#include "error.h"
#include "layout.h"

G_STATIC_ASSERT (sizeof (gssize) == sizeof (gsize));
G_STATIC_ASSERT (NDSH_MAX_PACKED_ARRAYS
                 == NDSH_MAX_ARRAYS
                      * (sizeof (NdshPackedArray) + 16 * NDSH_MAX_DIMS));

static const struct {
  const char *name;
  guint8 size;
} dtypes[] = {
  [NDSH_DTYPE_BOOL] = { "bool", 1 },
  [NDSH_DTYPE_INT8] = { "int8", 1 },
  [NDSH_DTYPE_UINT8] = { "uint8", 1 },
  [NDSH_DTYPE_INT16] = { "int16", 2 },
  [NDSH_DTYPE_UINT16] = { "uint16", 2 },
  [NDSH_DTYPE_INT32] = { "int32", 4 },
  [NDSH_DTYPE_UINT32] = { "uint32", 4 },
  [NDSH_DTYPE_INT64] = { "int64", 8 },
  [NDSH_DTYPE_UINT64] = { "uint64", 8 },
  [NDSH_DTYPE_FLOAT16] = { "float16", 2 },
  [NDSH_DTYPE_FLOAT32] = { "float32", 4 },
  [NDSH_DTYPE_FLOAT64] = { "float64", 8 },
  [NDSH_DTYPE_COMPLEX64] = { "complex64", 8 },
  [NDSH_DTYPE_COMPLEX128] = { "complex128", 16 },
  [NDSH_DTYPE_FLOAT128] = { "float128", 16 },
  [NDSH_DTYPE_COMPLEX256] = { "complex256", 32 },
};

/* The enum may hold any number: it came from a caller or from a peer. */
static gboolean
dtype_is_known (NdshDtype dtype)
{
  return (guint) dtype != NDSH_DTYPE_INVALID
         && (guint) dtype < G_N_ELEMENTS (dtypes);
}

NDSH_API const char *
ndsh_dtype_to_name (NdshDtype dtype)
{
  return dtype_is_known (dtype) ? dtypes[dtype].name : NULL;
}

NDSH_API NdshDtype
ndsh_dtype_from_name (const char *name)
{
  for (guint i = 1; name != NULL && i < G_N_ELEMENTS (dtypes); i++)
    if (strcmp (dtypes[i].name, name) == 0)
      return (NdshDtype) i;
  return NDSH_DTYPE_INVALID;
}

NDSH_API gsize
ndsh_dtype_get_size (NdshDtype dtype)
{
  return dtype_is_known (dtype) ? dtypes[dtype].size : 0;
}

NDSH_API gboolean
ndsh_array_info_init (NdshArrayInfo *info, NdshDtype dtype, guint n_dims,
                      const gsize *shape)
{
  NdshArrayInfo dense = { .dtype = dtype, .n_dims = n_dims };
  gsize stride = ndsh_dtype_get_size (dtype);

  g_return_val_if_fail (info != NULL, FALSE);
  g_return_val_if_fail (n_dims == 0 || shape != NULL, FALSE);

  if (!dtype_is_known (dtype) || n_dims > NDSH_MAX_DIMS)
    return FALSE;

  /* A dimension of 0 must not make the strides of the outer ones 0, nor hide
   * that their product overflows: NumPy counts it as 1 here as well. */
  for (guint i = n_dims; i-- > 0;) {
    dense.shape[i] = shape[i];
    dense.strides[i] = (gssize) stride;
    if (!g_size_checked_mul (&stride, stride, MAX (shape[i], 1))
        || stride > G_MAXSSIZE)
      return FALSE;
  }
  *info = dense;
  return TRUE;
}

/* Why @info cannot be, or NULL; @size is set then. */
static const char *
find_fault (const NdshArrayInfo *info, gsize *size)
{
  gsize end = ndsh_dtype_get_size (info->dtype);
  gboolean empty = FALSE;

  if (!dtype_is_known (info->dtype))
    return "its dtype is unknown";
  if (info->n_dims > NDSH_MAX_DIMS)
    return "it has more than 32 dimensions";
  for (guint i = 0; i < info->n_dims; i++) {
    gsize along;

    if (info->strides[i] < 0)
      return "a stride is negative; copy the array first";
    if (info->shape[i] == 0)
      empty = TRUE;
    if (info->shape[i] <= 1)
      continue;
    if (info->strides[i] == 0)
      return "a stride is 0 along a dimension of more than 1; copy the array "
             "first";
    if (!g_size_checked_mul (&along, info->shape[i] - 1,
                             (gsize) info->strides[i])
        || !g_size_checked_add (&end, end, along))
      return "its size overflows";
  }
  *size = empty ? 0 : end;
  return NULL;
}

NDSH_API gsize
ndsh_array_info_get_size (const NdshArrayInfo *info)
{
  gsize size;

  g_return_val_if_fail (info != NULL, G_MAXSIZE);

  return find_fault (info, &size) == NULL ? size : G_MAXSIZE;
}

NDSH_API gboolean
ndsh_array_info_equal (const NdshArrayInfo *a, const NdshArrayInfo *b)
{
  g_return_val_if_fail (a != NULL && b != NULL, FALSE);

  return a->dtype == b->dtype && a->n_dims == b->n_dims
         && a->offset == b->offset && a->n_dims <= NDSH_MAX_DIMS
         && memcmp (a->shape, b->shape, a->n_dims * sizeof a->shape[0]) == 0
         && memcmp (a->strides, b->strides, a->n_dims * sizeof a->strides[0])
              == 0;
}

NDSH_API char *
ndsh_array_info_to_string (const NdshArrayInfo *info)
{
  GString *text;
  const char *name;

  g_return_val_if_fail (info != NULL, NULL);

  name = ndsh_dtype_to_name (info->dtype);
  text = g_string_new (name != NULL ? name : "unknown");
  g_string_append_c (text, '[');
  for (guint i = 0; i < MIN (info->n_dims, NDSH_MAX_DIMS); i++)
    g_string_append_printf (text, i == 0 ? "%" G_GSIZE_FORMAT
                                         : ",%" G_GSIZE_FORMAT,
                            info->shape[i]);
  g_string_append_c (text, ']');
  return g_string_free (text, FALSE);
}

gboolean
ndsh_arrays_measure (const NdshArrayInfo *arrays, guint n_arrays, gsize *size,
                     GError **error)
{
  gsize all = 0;

  if (n_arrays < 1 || n_arrays > NDSH_MAX_ARRAYS) {
    g_set_error (error, NDSH_ERROR, NDSH_ERROR_INVALID,
                 "a frame has 1 to %d arrays, not %u", NDSH_MAX_ARRAYS,
                 n_arrays);
    return FALSE;
  }
  for (guint i = 0; i < n_arrays; i++) {
    gsize one = 0, end = 0;
    const char *fault = find_fault (&arrays[i], &one);

    if (fault == NULL && !g_size_checked_add (&end, arrays[i].offset, one))
      fault = "its size overflows";
    if (fault != NULL) {
      g_autofree char *text = ndsh_array_info_to_string (&arrays[i]);

      g_set_error (error, NDSH_ERROR, NDSH_ERROR_INVALID,
                   "array %u (%s) cannot be written: %s", i, text, fault);
      return FALSE;
    }
    all = MAX (all, end);
  }
  *size = all;
  return TRUE;
}

/* --- The packed form --- */

static gsize
packed_size (guint n_dims)
{
  return sizeof (NdshPackedArray) + n_dims * 2 * sizeof (guint64);
}

gsize
ndsh_arrays_packed_size (const NdshArrayInfo *arrays, guint n_arrays)
{
  gsize size = 0;

  for (guint i = 0; i < n_arrays; i++)
    size += packed_size (arrays[i].n_dims);
  return size;
}

static void
pack_u64 (guint8 **to, guint64 value)
{
  memcpy (*to, &value, sizeof value);
  *to += sizeof value;
}

void
ndsh_arrays_pack (const NdshArrayInfo *arrays, guint n_arrays, guint8 *packed)
{
  for (guint i = 0; i < n_arrays; i++) {
    const NdshArrayInfo *info = &arrays[i];
    NdshPackedArray head = { .dtype = (guint8) info->dtype,
                             .n_dims = (guint8) info->n_dims,
                             .offset = info->offset };

    memcpy (packed, &head, sizeof head);
    packed += sizeof head;
    for (guint d = 0; d < info->n_dims; d++)
      pack_u64 (&packed, info->shape[d]);
    for (guint d = 0; d < info->n_dims; d++)
      pack_u64 (&packed, (guint64) info->strides[d]);
  }
}

/* Numbers that a 32-bit process cannot hold make the array bad, not small. */
static gboolean
unpack_size (const guint8 **from, gsize limit, gsize *value)
{
  guint64 wide;

  memcpy (&wide, *from, sizeof wide);
  *from += sizeof wide;
  *value = (gsize) wide;
  return wide <= limit;
}

static gboolean
unpack_one (const guint8 *packed, NdshArrayInfo *info)
{
  gboolean good = TRUE;

  for (guint d = 0; d < info->n_dims; d++)
    good &= unpack_size (&packed, G_MAXSIZE, &info->shape[d]);
  for (guint d = 0; d < info->n_dims; d++) {
    gsize stride;

    good &= unpack_size (&packed, G_MAXSSIZE, &stride);
    info->strides[d] = (gssize) stride;
  }
  return good;
}

gboolean
ndsh_arrays_unpack (const guint8 *packed, gsize size, gsize payload_size,
                    NdshArrayInfo *arrays, guint n_arrays)
{
  gsize needed;

  if (n_arrays > NDSH_MAX_ARRAYS)
    return FALSE;
  for (guint i = 0; i < n_arrays; i++) {
    NdshPackedArray head;

    if (size < sizeof head)
      return FALSE;
    memcpy (&head, packed, sizeof head);
    if (head.n_dims > NDSH_MAX_DIMS || size < packed_size (head.n_dims)
        || head.offset > payload_size)
      return FALSE;
    arrays[i].dtype = (NdshDtype) head.dtype;
    arrays[i].n_dims = head.n_dims;
    arrays[i].offset = (gsize) head.offset;
    if (!unpack_one (packed + sizeof head, &arrays[i]))
      return FALSE;
    packed += packed_size (head.n_dims);
    size -= packed_size (head.n_dims);
  }
  return size == 0 && ndsh_arrays_measure (arrays, n_arrays, &needed, NULL)
         && needed <= payload_size;
}
