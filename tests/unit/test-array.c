/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "array.h"

#include <string.h>

#include "layout.h"

enum { PACKED_MAX = NDSH_MAX_PACKED_ARRAYS };

static const struct {
  const char *name;
  gsize size;
} dtypes[] = {
  { "bool", 1 },       { "int8", 1 },        { "uint8", 1 },
  { "int16", 2 },      { "uint16", 2 },      { "int32", 4 },
  { "uint32", 4 },     { "int64", 8 },       { "uint64", 8 },
  { "float16", 2 },    { "float32", 4 },     { "float64", 8 },
  { "complex64", 8 },  { "complex128", 16 }, { "float128", 16 },
  { "complex256", 32 },
};

static NdshArrayInfo
make_dense (NdshDtype dtype, guint n_dims, const gsize *shape)
{
  NdshArrayInfo info;

  g_assert_true (ndsh_array_info_init (&info, dtype, n_dims, shape));
  return info;
}

/* 480 rows of 640 pixels of 3 bytes, each row padded to 2048 bytes. */
static NdshArrayInfo
make_padded_image (void)
{
  NdshArrayInfo info = make_dense (NDSH_DTYPE_UINT8, 3,
                                   (gsize[]){ 480, 640, 3 });

  info.strides[0] = 2048;
  return info;
}

static void
test_dtypes_have_names (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (dtypes); i++) {
    NdshDtype dtype = ndsh_dtype_from_name (dtypes[i].name);

    g_assert_cmpint (dtype, ==, i + 1);
    g_assert_cmpstr (ndsh_dtype_to_name (dtype), ==, dtypes[i].name);
    g_assert_cmpuint (ndsh_dtype_get_size (dtype), ==, dtypes[i].size);
  }
}

static void
test_other_dtypes_are_unknown (void)
{
  static const guint unknown[] = { 0, 17, 255, G_MAXUINT };

  for (guint i = 0; i < G_N_ELEMENTS (unknown); i++) {
    g_assert_null (ndsh_dtype_to_name ((NdshDtype) unknown[i]));
    g_assert_cmpuint (ndsh_dtype_get_size ((NdshDtype) unknown[i]), ==, 0);
  }
  g_assert_cmpint (ndsh_dtype_from_name ("object"), ==, NDSH_DTYPE_INVALID);
  g_assert_cmpint (ndsh_dtype_from_name (""), ==, NDSH_DTYPE_INVALID);
  g_assert_cmpint (ndsh_dtype_from_name (NULL), ==, NDSH_DTYPE_INVALID);
}

static void
test_dense_strides_follow_the_shape (void)
{
  NdshArrayInfo info = make_dense (NDSH_DTYPE_FLOAT32, 3, (gsize[]){ 2, 3, 4 });

  g_assert_cmpint (info.strides[0], ==, 48);
  g_assert_cmpint (info.strides[1], ==, 16);
  g_assert_cmpint (info.strides[2], ==, 4);
  g_assert_cmpuint (info.offset, ==, 0);
  g_assert_cmpuint (ndsh_array_info_get_size (&info), ==, 96);
}

static void
test_every_dtype_and_number_of_dims (void)
{
  gsize shape[NDSH_MAX_DIMS];

  for (guint d = 0; d < NDSH_MAX_DIMS; d++)
    shape[d] = d < 3 ? 2 : 1;
  for (guint dtype = 1; dtype <= G_N_ELEMENTS (dtypes); dtype++)
    for (guint n = 0; n <= NDSH_MAX_DIMS; n++) {
      NdshArrayInfo info = make_dense ((NdshDtype) dtype, n, shape);

      g_assert_cmpuint (ndsh_array_info_get_size (&info), ==,
                        dtypes[dtype - 1].size << MIN (n, 3));
    }
}

static void
test_a_scalar_has_one_element (void)
{
  NdshArrayInfo info = make_dense (NDSH_DTYPE_FLOAT64, 0, NULL);

  g_assert_cmpuint (ndsh_array_info_get_size (&info), ==, 8);
}

static void
test_empty_arrays_have_size_0 (void)
{
  NdshArrayInfo flat = make_dense (NDSH_DTYPE_INT64, 1, (gsize[]){ 0 });
  NdshArrayInfo outer = make_dense (NDSH_DTYPE_INT64, 2, (gsize[]){ 0, 5 });
  NdshArrayInfo inner = make_dense (NDSH_DTYPE_INT64, 2, (gsize[]){ 5, 0 });

  g_assert_cmpuint (ndsh_array_info_get_size (&flat), ==, 0);
  g_assert_cmpuint (ndsh_array_info_get_size (&outer), ==, 0);
  g_assert_cmpuint (ndsh_array_info_get_size (&inner), ==, 0);
  g_assert_cmpint (inner.strides[0], ==, 8);
}

static void
test_what_cannot_be_described_leaves_info_alone (void)
{
  gsize shape[NDSH_MAX_DIMS + 1] = { 1 };
  NdshArrayInfo info, before;

  memset (&info, 0x5a, sizeof info);
  before = info;

  g_assert_false (ndsh_array_info_init (&info, NDSH_DTYPE_INVALID, 1, shape));
  g_assert_false (ndsh_array_info_init (&info, (NdshDtype) 17, 1, shape));
  g_assert_false (
    ndsh_array_info_init (&info, NDSH_DTYPE_INT8, NDSH_MAX_DIMS + 1, shape));
  g_assert_false (ndsh_array_info_init (&info, NDSH_DTYPE_INT8, 2,
                                        (gsize[]){ G_MAXSIZE / 2, 3 }));
  g_assert_false (ndsh_array_info_init (&info, NDSH_DTYPE_INT8, 1,
                                        (gsize[]){ G_MAXSIZE }));
  g_assert_false (ndsh_array_info_init (&info, NDSH_DTYPE_INT16, 1,
                                        (gsize[]){ G_MAXSSIZE }));
  g_assert_cmpmem (&info, sizeof info, &before, sizeof before);
}

static void
test_a_zero_does_not_hide_an_overflow (void)
{
  NdshArrayInfo info;

  g_assert_false (
    ndsh_array_info_init (&info, NDSH_DTYPE_INT8, 3,
                          (gsize[]){ G_MAXSIZE / 2, 0, G_MAXSIZE / 2 }));
}

static void
test_the_largest_size_fits (void)
{
  NdshArrayInfo info = make_dense (NDSH_DTYPE_INT8, 1, (gsize[]){ G_MAXSSIZE });

  g_assert_cmpuint (ndsh_array_info_get_size (&info), ==, G_MAXSSIZE);
}

static void
test_padding_ends_with_the_last_element (void)
{
  NdshArrayInfo info = make_padded_image ();

  g_assert_cmpuint (ndsh_array_info_get_size (&info), ==, 479 * 2048 + 640 * 3);
}

static void
test_strides_that_overflow_are_refused (void)
{
  NdshArrayInfo info = make_padded_image ();

  info.strides[0] = G_MAXSSIZE;

  g_assert_cmpuint (ndsh_array_info_get_size (&info), ==, G_MAXSIZE);
}

static void
test_negative_strides_are_refused (void)
{
  NdshArrayInfo info = make_padded_image ();

  info.strides[0] = -2048;
  g_assert_cmpuint (ndsh_array_info_get_size (&info), ==, G_MAXSIZE);

  /* Where nothing overflows, and where nothing moves. */
  info = make_dense (NDSH_DTYPE_UINT8, 1, (gsize[]){ 2 });
  info.strides[0] = -4096;
  g_assert_cmpuint (ndsh_array_info_get_size (&info), ==, G_MAXSIZE);
  info.shape[0] = 1;
  g_assert_cmpuint (ndsh_array_info_get_size (&info), ==, G_MAXSIZE);
}

static void
test_zero_strides_only_where_nothing_moves (void)
{
  NdshArrayInfo one = make_dense (NDSH_DTYPE_INT32, 2, (gsize[]){ 1, 4 });
  NdshArrayInfo two = make_dense (NDSH_DTYPE_INT32, 2, (gsize[]){ 2, 4 });

  one.strides[0] = 0;
  two.strides[0] = 0;

  g_assert_cmpuint (ndsh_array_info_get_size (&one), ==, 16);
  g_assert_cmpuint (ndsh_array_info_get_size (&two), ==, G_MAXSIZE);
}

static void
test_bad_enums_and_dims_have_no_size (void)
{
  NdshArrayInfo dtype = make_padded_image ();
  NdshArrayInfo dims = make_padded_image ();

  dtype.dtype = (NdshDtype) 99;
  dims.n_dims = NDSH_MAX_DIMS + 1;

  g_assert_cmpuint (ndsh_array_info_get_size (&dtype), ==, G_MAXSIZE);
  g_assert_cmpuint (ndsh_array_info_get_size (&dims), ==, G_MAXSIZE);
}

static void
assert_text (const NdshArrayInfo *info, const char *expected)
{
  g_autofree char *text = ndsh_array_info_to_string (info);

  g_assert_cmpstr (text, ==, expected);
}

static void
test_text_shows_dtype_and_shape (void)
{
  NdshArrayInfo image = make_padded_image ();
  NdshArrayInfo scalar = make_dense (NDSH_DTYPE_COMPLEX64, 0, NULL);
  NdshArrayInfo unknown = { .dtype = (NdshDtype) 77, .n_dims = 1 };
  NdshArrayInfo deep = { .dtype = NDSH_DTYPE_BOOL, .n_dims = G_MAXUINT };
  g_autofree char *text = ndsh_array_info_to_string (&deep);

  assert_text (&image, "uint8[480,640,3]");
  assert_text (&scalar, "complex64[]");
  assert_text (&unknown, "unknown[0]");
  g_assert_true (g_str_has_prefix (text, "bool[0,0,"));
}

static void
test_equal_compares_what_is_in_use (void)
{
  NdshArrayInfo a = make_padded_image (), b = a;

  b.shape[3] = 99;
  b.strides[31] = 99;
  g_assert_true (ndsh_array_info_equal (&a, &b));

  b = a, b.dtype = NDSH_DTYPE_INT8;
  g_assert_false (ndsh_array_info_equal (&a, &b));
  b = a, b.n_dims = 2;
  g_assert_false (ndsh_array_info_equal (&a, &b));
  b = a, b.offset = 1;
  g_assert_false (ndsh_array_info_equal (&a, &b));
  b = a, b.shape[2] = 4;
  g_assert_false (ndsh_array_info_equal (&a, &b));
  b = a, b.strides[0] = 1920;
  g_assert_false (ndsh_array_info_equal (&a, &b));
}

/* --- Several arrays --- */

static void
test_arrays_are_measured_together (void)
{
  NdshArrayInfo planes[2] = { make_padded_image (), make_padded_image () };
  gsize size = 0;
  g_autoptr (GError) error = NULL;

  planes[1].offset = 1 << 20;

  g_assert_true (ndsh_arrays_measure (planes, 2, &size, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (size, ==, (1 << 20) + 479 * 2048 + 640 * 3);
}

static void
assert_invalid (const NdshArrayInfo *arrays, guint n_arrays, const char *why)
{
  g_autoptr (GError) error = NULL;
  gsize size = 4711;

  g_assert_false (ndsh_arrays_measure (arrays, n_arrays, &size, &error));
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_INVALID);
  g_assert_nonnull (strstr (error->message, why));
  g_assert_cmpuint (size, ==, 4711);
}

static void
test_bad_arrays_are_refused_with_a_sentence (void)
{
  NdshArrayInfo arrays[NDSH_MAX_ARRAYS + 1];

  for (guint i = 0; i < G_N_ELEMENTS (arrays); i++)
    arrays[i] = make_padded_image ();
  assert_invalid (arrays, 0, "1 to 16 arrays, not 0");
  assert_invalid (arrays, NDSH_MAX_ARRAYS + 1, "not 17");

  arrays[1].strides[0] = -1;
  assert_invalid (arrays, 2, "array 1 (uint8[480,640,3])");
  arrays[1] = make_padded_image ();
  arrays[1].strides[1] = 0;
  assert_invalid (arrays, 2, "stride is 0");
  arrays[1] = make_padded_image ();
  arrays[1].offset = G_MAXSIZE;
  assert_invalid (arrays, 2, "overflows");
  arrays[1].dtype = NDSH_DTYPE_INVALID;
  assert_invalid (arrays, 2, "dtype is unknown");
}

/* --- The packed form --- */

static void
assert_round_trip (const NdshArrayInfo *arrays, guint n_arrays,
                   gsize payload_size)
{
  gsize size = ndsh_arrays_packed_size (arrays, n_arrays);
  g_autofree guint8 *packed = g_malloc (size);
  NdshArrayInfo back[NDSH_MAX_ARRAYS];

  ndsh_arrays_pack (arrays, n_arrays, packed);

  g_assert_true (
    ndsh_arrays_unpack (packed, size, payload_size, back, n_arrays));
  for (guint i = 0; i < n_arrays; i++)
    g_assert_true (ndsh_array_info_equal (&arrays[i], &back[i]));
}

static void
test_packed_arrays_come_back (void)
{
  NdshArrayInfo arrays[NDSH_MAX_ARRAYS];
  gsize shape[NDSH_MAX_DIMS];

  for (guint d = 0; d < NDSH_MAX_DIMS; d++)
    shape[d] = 1 + d % 2;
  for (guint i = 0; i < NDSH_MAX_ARRAYS; i++) {
    arrays[i] = make_dense ((NdshDtype) (i + 1), i == 15 ? 32 : i, shape);
    arrays[i].offset = 64 * i;
  }
  for (guint n = 1; n <= NDSH_MAX_ARRAYS; n++)
    assert_round_trip (arrays, n, 1 << 24);
}

static void
test_the_most_that_can_be_packed_fits_its_bound (void)
{
  NdshArrayInfo arrays[NDSH_MAX_ARRAYS];
  gsize shape[NDSH_MAX_DIMS];

  for (guint d = 0; d < NDSH_MAX_DIMS; d++)
    shape[d] = 1;
  for (guint i = 0; i < NDSH_MAX_ARRAYS; i++)
    arrays[i] = make_dense (NDSH_DTYPE_INT8, NDSH_MAX_DIMS, shape);

  g_assert_cmpuint (ndsh_arrays_packed_size (arrays, NDSH_MAX_ARRAYS), ==,
                    PACKED_MAX);
}

typedef struct {
  guint8 bytes[PACKED_MAX];
  gsize size;
  gsize payload_size;
} Packed;

/* Two images, of which the second ends where the payload does. */
static void
pack_two_images (Packed *packed)
{
  NdshArrayInfo arrays[2] = { make_padded_image (), make_padded_image () };

  arrays[1].offset = 1 << 20;
  packed->size = ndsh_arrays_packed_size (arrays, 2);
  packed->payload_size = (1 << 20) + 479 * 2048 + 640 * 3;
  ndsh_arrays_pack (arrays, 2, packed->bytes);
}

static gboolean
unpack_two (const Packed *packed)
{
  /* A block of its own size, so that a sanitizer sees a byte too far. */
  g_autofree guint8 *exact = g_malloc (MAX (packed->size, 1));
  NdshArrayInfo arrays[2];

  memcpy (exact, packed->bytes, packed->size);
  return ndsh_arrays_unpack (exact, packed->size, packed->payload_size, arrays,
                             2);
}

static void
test_truncated_bytes_are_refused (void)
{
  Packed packed;
  gsize size;

  pack_two_images (&packed);
  g_assert_true (unpack_two (&packed));

  size = packed.size;
  for (packed.size = 0; packed.size < size; packed.size++)
    g_assert_false (unpack_two (&packed));
  packed.size = size + 1;
  g_assert_false (unpack_two (&packed));
}

static void
test_arrays_beyond_the_payload_are_refused (void)
{
  Packed packed;

  pack_two_images (&packed);
  packed.payload_size--;
  g_assert_false (unpack_two (&packed));

  packed.payload_size = 0;
  g_assert_false (unpack_two (&packed));
}

static void
test_too_many_are_refused (void)
{
  NdshArrayInfo arrays[NDSH_MAX_ARRAYS + 1];
  Packed packed;

  pack_two_images (&packed);

  g_assert_false (ndsh_arrays_unpack (packed.bytes, packed.size,
                                      packed.payload_size, arrays, 0));
  g_assert_false (ndsh_arrays_unpack (packed.bytes, packed.size,
                                      packed.payload_size, arrays, 1));
  g_assert_false (ndsh_arrays_unpack (packed.bytes, packed.size,
                                      packed.payload_size, arrays, 17));
  g_assert_false (ndsh_arrays_unpack (packed.bytes, packed.size,
                                      packed.payload_size, arrays, G_MAXUINT));
}

/* All the bytes that 255 dimensions need are there; their place is not. */
static void
test_too_many_dims_are_refused (void)
{
  NdshPackedArray head = { .dtype = NDSH_DTYPE_INT8, .n_dims = 255 };
  gsize size = sizeof head + 255 * 2 * sizeof (guint64);
  g_autofree guint8 *packed = g_malloc0 (size);
  NdshArrayInfo arrays[4], untouched;

  memcpy (packed, &head, sizeof head);
  memset (arrays, 0x5a, sizeof arrays);
  untouched = arrays[1];

  g_assert_false (ndsh_arrays_unpack (packed, size, 1 << 20, arrays, 1));
  g_assert_cmpmem (&arrays[1], sizeof untouched, &untouched, sizeof untouched);
}

static void
spoil_u64 (Packed *packed, gsize at, guint64 value)
{
  pack_two_images (packed);
  memcpy (packed->bytes + at, &value, sizeof value);
}

static void
test_spoilt_fields_are_refused (void)
{
  gsize offset = offsetof (NdshPackedArray, offset);
  gsize shape = sizeof (NdshPackedArray), strides = shape + 3 * 8;
  Packed packed;

  pack_two_images (&packed);
  packed.bytes[0] = 0;
  g_assert_false (unpack_two (&packed));
  packed.bytes[0] = 17;
  g_assert_false (unpack_two (&packed));
  pack_two_images (&packed);
  packed.bytes[1] = 33;
  g_assert_false (unpack_two (&packed));
  packed.bytes[1] = 255;
  g_assert_false (unpack_two (&packed));

  spoil_u64 (&packed, offset, packed.payload_size);
  g_assert_false (unpack_two (&packed));
  spoil_u64 (&packed, offset, G_MAXUINT64);
  g_assert_false (unpack_two (&packed));
  spoil_u64 (&packed, shape, G_MAXUINT64);
  g_assert_false (unpack_two (&packed));
  spoil_u64 (&packed, shape, 1 << 20);
  g_assert_false (unpack_two (&packed));
  spoil_u64 (&packed, strides, G_MAXUINT64);
  g_assert_false (unpack_two (&packed));
  spoil_u64 (&packed, strides, (guint64) G_MAXINT64 + 1);
  g_assert_false (unpack_two (&packed));
  spoil_u64 (&packed, strides, 0);
  g_assert_false (unpack_two (&packed));
}

/* What is accepted must be usable without another thought. */
static void
assert_within (const NdshArrayInfo *info, gsize payload_size)
{
  gsize size = ndsh_array_info_get_size (info);

  g_assert_nonnull (ndsh_dtype_to_name (info->dtype));
  g_assert_cmpuint (info->n_dims, <=, NDSH_MAX_DIMS);
  g_assert_cmpuint (info->offset, <=, payload_size);
  g_assert_cmpuint (size, <=, payload_size - info->offset);
}

/* Random bytes over good ones; the seed is printed and taken back by --seed. */
static void
test_random_bytes_do_no_harm (void)
{
  guint accepted = 0;

  for (guint n = 0; n < 50000; n++) {
    g_autofree guint8 *exact = NULL;
    NdshArrayInfo arrays[2];
    Packed packed;

    pack_two_images (&packed);
    for (gint k = g_test_rand_int_range (1, 5); k > 0; k--)
      packed.bytes[g_test_rand_int_range (0, (gint32) packed.size)]
        = (guint8) g_test_rand_int ();
    if (g_test_rand_int_range (0, 4) == 0)
      packed.size = (gsize) g_test_rand_int_range (0, (gint32) packed.size + 1);
    exact = g_malloc (MAX (packed.size, 1));
    memcpy (exact, packed.bytes, packed.size);

    if (!ndsh_arrays_unpack (exact, packed.size, packed.payload_size, arrays,
                             2))
      continue;
    accepted++;
    assert_within (&arrays[0], packed.payload_size);
    assert_within (&arrays[1], packed.payload_size);
  }
  g_assert_cmpuint (accepted, >, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/array/every-dtype-has-a-name-and-a-size",
                   test_dtypes_have_names);
  g_test_add_func ("/array/other-dtypes-are-unknown",
                   test_other_dtypes_are_unknown);
  g_test_add_func ("/array/dense-strides-follow-the-shape",
                   test_dense_strides_follow_the_shape);
  g_test_add_func ("/array/every-dtype-works-with-0-to-32-dimensions",
                   test_every_dtype_and_number_of_dims);
  g_test_add_func ("/array/a-scalar-has-one-element",
                   test_a_scalar_has_one_element);
  g_test_add_func ("/array/empty-arrays-have-size-0",
                   test_empty_arrays_have_size_0);
  g_test_add_func ("/array/what-cannot-be-described-leaves-info-alone",
                   test_what_cannot_be_described_leaves_info_alone);
  g_test_add_func ("/array/a-zero-does-not-hide-an-overflow",
                   test_a_zero_does_not_hide_an_overflow);
  g_test_add_func ("/array/the-largest-size-fits", test_the_largest_size_fits);
  g_test_add_func ("/array/padding-ends-with-the-last-element",
                   test_padding_ends_with_the_last_element);
  g_test_add_func ("/array/strides-that-overflow-are-refused",
                   test_strides_that_overflow_are_refused);
  g_test_add_func ("/array/negative-strides-are-refused",
                   test_negative_strides_are_refused);
  g_test_add_func ("/array/strides-of-0-are-taken-only-where-nothing-moves",
                   test_zero_strides_only_where_nothing_moves);
  g_test_add_func ("/array/bad-enums-and-dims-have-no-size",
                   test_bad_enums_and_dims_have_no_size);
  g_test_add_func ("/array/text-shows-dtype-and-shape",
                   test_text_shows_dtype_and_shape);
  g_test_add_func ("/array/equal-compares-what-is-in-use",
                   test_equal_compares_what_is_in_use);
  g_test_add_func ("/array/arrays-are-measured-together",
                   test_arrays_are_measured_together);
  g_test_add_func ("/array/bad-arrays-are-refused-with-a-sentence",
                   test_bad_arrays_are_refused_with_a_sentence);
  g_test_add_func ("/array/packed-arrays-come-back-as-they-were",
                   test_packed_arrays_come_back);
  g_test_add_func ("/array/the-most-that-can-be-packed-fits-its-bound",
                   test_the_most_that_can_be_packed_fits_its_bound);
  g_test_add_func ("/array/truncated-bytes-are-refused",
                   test_truncated_bytes_are_refused);
  g_test_add_func ("/array/arrays-beyond-the-payload-are-refused",
                   test_arrays_beyond_the_payload_are_refused);
  g_test_add_func ("/array/another-number-of-arrays-is-refused",
                   test_too_many_are_refused);
  g_test_add_func ("/array/too-many-dims-are-refused",
                   test_too_many_dims_are_refused);
  g_test_add_func ("/array/spoilt-fields-are-refused",
                   test_spoilt_fields_are_refused);
  g_test_add_func ("/array/random-bytes-do-no-harm",
                   test_random_bytes_do_no_harm);

  return g_test_run ();
}
