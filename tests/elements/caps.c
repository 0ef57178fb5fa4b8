/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "elements.h"

#include "gstndshcaps.h"
#include "gstndshtext.h"

static const guint widths[] = { 1, 2, 3, 641, 854, 1366, 1456, 1920 };

static GstNdshContent
parse (const char *text)
{
  g_autoptr (GstCaps) caps = gst_caps_from_string (text);
  GstNdshContent content;

  g_assert_nonnull (caps);
  gst_ndsh_content_init (&content, caps);
  return content;
}

/* "uint8[2,3](8,1)@16": strides and offset too. */
static char *
array_to_text (const NdshArrayInfo *array)
{
  GString *text = g_string_new (NULL);
  g_autofree char *shape = ndsh_array_info_to_string (array);

  g_string_append_printf (text, "%s(", shape);
  for (guint i = 0; i < array->n_dims; i++)
    g_string_append_printf (text, "%s%" G_GSSIZE_FORMAT, i > 0 ? "," : "",
                            array->strides[i]);
  g_string_append_printf (text, ")@%" G_GSIZE_FORMAT, array->offset);
  return g_string_free (text, FALSE);
}

static char *
describe (const char *caps, gsize size)
{
  GstNdshContent content = parse (caps);
  NdshArrayInfo arrays[NDSH_MAX_ARRAYS];
  guint n = gst_ndsh_content_get_arrays (&content, NULL, size, arrays);
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < n; i++) {
    g_autofree char *one = array_to_text (&arrays[i]);

    g_string_append_printf (text, "%s%s", i > 0 ? " " : "", one);
  }
  return g_string_free (text, FALSE);
}

static const struct {
  const char *caps;
  gsize size;
  const char *arrays;
} mapping[] = {
  { "video/x-raw,format=GRAY8,width=5,height=3", 24, "uint8[3,5](8,1)@0" },
  { "video/x-raw,format=GRAY16_LE,width=5,height=3", 36, "uint16[3,5](12,2)@0" },
  { "video/x-raw,format=GRAY16_BE,width=5,height=3", 36,
    "uint8[3,5,2](12,2,1)@0" },
  { "video/x-raw,format=RGB,width=5,height=3", 48, "uint8[3,5,3](16,3,1)@0" },
  { "video/x-raw,format=BGRx,width=5,height=3", 60, "uint8[3,5,4](20,4,1)@0" },
  { "video/x-raw,format=RGB16,width=5,height=3", 36, "uint16[3,5](12,2)@0" },
#if GST_CHECK_VERSION(1, 20, 0)
  { "video/x-raw,format=ARGB64_LE,width=2,height=1", 16,
    "uint16[1,2,4](16,8,2)@0" },
#endif
  { "video/x-raw,format=YUY2,width=6,height=2", 24, "uint8[2,6,2](12,2,1)@0" },
  { "video/x-raw,format=NV12,width=6,height=4", 48,
    "uint8[4,6](8,1)@0 uint8[2,3,2](8,2,1)@32" },
  { "video/x-raw,format=I420,width=6,height=4", 48,
    "uint8[4,6](8,1)@0 uint8[2,3](4,1)@32 uint8[2,3](4,1)@40" },
  { "video/x-raw,format=P010_10LE,width=6,height=4", 72,
    "uint16[4,6](12,2)@0 uint16[2,3,2](12,4,2)@48" },
  { "video/x-raw,format=v210,width=48,height=1", 128, "uint8[128](1)@0" },
  { "video/x-raw,format=NV12_64Z32,width=64,height=32", 9999,
    "uint8[9999](1)@0" },
  { "video/x-bayer,format=rggb,width=5,height=3", 24, "uint8[3,5](8,1)@0" },
  { "audio/x-raw,format=S16LE,rate=8000,channels=2,layout=interleaved", 40,
    "int16[10,2](4,2)@0" },
  { "audio/x-raw,format=F32LE,rate=8000,channels=1,layout=interleaved", 40,
    "float32[10,1](4,4)@0" },
  { "audio/x-raw,format=S24LE,rate=8000,channels=2,layout=interleaved", 60,
    "uint8[10,2,3](6,3,1)@0" },
  { "audio/x-raw,format=S16LE,rate=8000,channels=2,layout=non-interleaved", 40,
    "int16[2,10](20,2)@0" },
  { "image/jpeg", 77, "uint8[77](1)@0" },
  { "text/x-raw,format=utf8", 7, "uint8[7](1)@0" },
  { "application/octet-stream", 0, "uint8[0](1)@0" },
  { "other/tensors,format=static,num_tensors=1,types=float32,dimensions=3:640:2",
    15360, "float32[2,640,3](7680,12,4)@0" },
  { "other/tensors,format=static,num_tensors=2,types=(string)\"uint8\\,float32\","
    "dimensions=(string)\"4:1\\,2:1\"",
    12, "uint8[1,4](4,1)@0 float32[1,2](8,4)@4" },
  { "other/tensors,format=flexible", 9, "uint8[9](1)@0" },
  { "application/x-ndarray,dtype=complex64,shape=(int)<2,3>", 48,
    "complex64[2,3](24,8)@0" },
  /* A buffer that is too short for its caps is bytes. */
  { "video/x-raw,format=RGB,width=5,height=3", 40, "uint8[40](1)@0" },
};

GST_START_TEST (caps_become_the_arrays_of_the_table)
{
  for (guint i = 0; i < G_N_ELEMENTS (mapping); i++) {
    g_autofree char *arrays = describe (mapping[i].caps, mapping[i].size);

    if (g_strcmp0 (arrays, mapping[i].arrays) != 0)
      g_error ("%s: %s, not %s", mapping[i].caps, arrays, mapping[i].arrays);
  }
}
GST_END_TEST

static void
assert_inside (const char *what, const NdshArrayInfo *arrays, guint n, gsize size)
{
  g_assert_cmpuint (n, >=, 1);
  g_assert_cmpuint (n, <=, NDSH_MAX_ARRAYS);
  for (guint i = 0; i < n; i++) {
    gsize length = ndsh_array_info_get_size (&arrays[i]);

    if (length > size || arrays[i].offset > size - length)
      g_error ("%s: array %u goes beyond %" G_GSIZE_FORMAT, what, i, size);
  }
}

GST_START_TEST (every_raw_video_format_has_arrays_that_lie_in_its_buffer)
{
  for (guint f = GST_VIDEO_FORMAT_I420; f <= elements_last_format (); f++) {
    for (guint w = 0; w < G_N_ELEMENTS (widths); w++) {
      GstNdshContent content = { .kind = GST_NDSH_CONTENT_VIDEO };
      NdshArrayInfo arrays[NDSH_MAX_ARRAYS];
      const char *name = gst_video_format_to_string ((GstVideoFormat) f);
      GstNdshLayout layout;
      gsize size;

      g_assert_true (gst_video_info_set_format (
        &content.video, (GstVideoFormat) f, widths[w], 5));
      size = GST_VIDEO_INFO_SIZE (&content.video);
      gst_ndsh_layout_init_from_info (&layout, &content.video);
      g_assert_true (gst_ndsh_layout_is_default (&layout, &content.video));
      if (!gst_ndsh_layout_is_valid (&layout, &content.video, size))
        g_error ("%s of width %u: the default layout is refused", name,
                 widths[w]);
      assert_inside (name, arrays,
                     gst_ndsh_content_get_arrays (&content, &layout, size, arrays),
                     size);
      assert_inside (
        name, arrays,
        gst_ndsh_content_get_arrays (&content, &layout, size / 2, arrays),
        size / 2);
    }
  }
}
GST_END_TEST

GST_START_TEST (a_layout_beyond_the_buffer_is_refused)
{
  GstNdshContent content
    = parse ("video/x-raw,format=I420,width=641,height=480,framerate=30/1");
  const GstVideoInfo *info = &content.video;
  gsize size = GST_VIDEO_INFO_SIZE (info);
  GstNdshLayout good, bad;

  gst_ndsh_layout_init_from_info (&good, info);
  bad = good;
  bad.offset[2] = size;
  g_assert_false (gst_ndsh_layout_is_valid (&bad, info, size));
  bad = good;
  bad.offset[1] = G_MAXSIZE;
  g_assert_false (gst_ndsh_layout_is_valid (&bad, info, size));
  bad = good;
  bad.stride[0] = G_MAXINT;
  g_assert_false (gst_ndsh_layout_is_valid (&bad, info, size));
  bad = good;
  bad.stride[0] = -bad.stride[0];
  g_assert_false (gst_ndsh_layout_is_valid (&bad, info, size));
  bad = good;
  bad.n_planes = 2;
  g_assert_false (gst_ndsh_layout_is_valid (&bad, info, size));
  bad = good;
  bad.width++;
  g_assert_false (gst_ndsh_layout_is_valid (&bad, info, size));
  g_assert_true (gst_ndsh_layout_is_valid (&good, info, size));
}
GST_END_TEST

/* Elements read whole rows, the last one too, and the whole of a palette, whatever
 * the layout's strides say. */
GST_START_TEST (a_layout_whose_rows_are_cut_short_is_refused)
{
  static const struct {
    const char *caps;
    guint plane;
    gint least;
  } planes[] = {
    { "video/x-raw,format=RGB,width=7,height=5", 0, 21 },
    { "video/x-raw,format=I420,width=7,height=1", 1, 4 },
    { "video/x-raw,format=YUY2,width=7,height=5", 0, 16 },
    { "video/x-raw,format=v210,width=7,height=5", 0, 128 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (planes); i++) {
    GstNdshContent content = parse (planes[i].caps);
    gsize size = GST_VIDEO_INFO_SIZE (&content.video);
    GstNdshLayout layout;

    gst_ndsh_layout_init_from_info (&layout, &content.video);
    layout.stride[planes[i].plane] = planes[i].least;
    g_assert_true (gst_ndsh_layout_is_valid (&layout, &content.video, size));
    layout.stride[planes[i].plane]--;
    g_assert_false (gst_ndsh_layout_is_valid (&layout, &content.video, size));
  }
}
GST_END_TEST

GST_START_TEST (a_palette_is_whole)
{
  GstNdshContent content = parse ("video/x-raw,format=RGB8P,width=8,height=2");
  const GstVideoInfo *info = &content.video;
  guint8 from[16 + 1024], to[16 + 1024];
  GstNdshLayout layout;

  g_assert_cmpuint (GST_VIDEO_INFO_SIZE (info), ==, sizeof to);
  for (gsize i = 0; i < sizeof from; i++)
    from[i] = (guint8) (i * 7);
  memset (to, 0, sizeof to);
  gst_ndsh_layout_init_from_info (&layout, info);

  g_assert_false (gst_ndsh_layout_is_valid (&layout, info, sizeof from - 1));
  g_assert_true (gst_ndsh_layout_is_valid (&layout, info, sizeof from));
  g_assert_true (gst_ndsh_layout_copy_to_default (&layout, info, from, to));
  g_assert_cmpmem (to, sizeof to, from, sizeof from);
}
GST_END_TEST

GST_START_TEST (caps_made_from_an_array_give_that_array)
{
  const gsize shape[] = { 2, 3, 4 };

  for (guint dtype = NDSH_DTYPE_BOOL; dtype <= NDSH_DTYPE_COMPLEX256; dtype++) {
    for (guint n_dims = 0; n_dims <= 3; n_dims++) {
      NdshArrayInfo array, arrays[NDSH_MAX_ARRAYS];
      g_autoptr (GstCaps) caps = NULL;
      GstNdshContent content;

      g_assert_true (
        ndsh_array_info_init (&array, (NdshDtype) dtype, n_dims, shape));
      if (n_dims == 3)
        array.strides[0] += 64; /* rows with padding */
      caps = gst_ndsh_caps_from_arrays (&array, 1);
      gst_ndsh_content_init (&content, caps);

      g_assert_cmpuint (gst_ndsh_content_get_arrays (
                          &content, NULL, ndsh_array_info_get_size (&array),
                          arrays),
                        ==, 1);
      g_assert_true (ndsh_array_info_equal (&array, &arrays[0]));
    }
  }
}
GST_END_TEST

/* A stride means nothing where the dimension is 1, and some writers put any number
 * there. GStreamer's arrays hold values of one type. */
GST_START_TEST (large_strides_beside_small_ones_are_kept)
{
  const gsize shape[] = { 1, 10 };
  NdshArrayInfo array, arrays[NDSH_MAX_ARRAYS];
  g_autoptr (GstCaps) caps = NULL;
  GstNdshContent content;

  g_assert_true (ndsh_array_info_init (&array, NDSH_DTYPE_UINT8, 2, shape));
  array.strides[0] = G_MAXSSIZE;
  caps = gst_ndsh_caps_from_arrays (&array, 1);
  gst_ndsh_content_init (&content, caps);

  g_assert_cmpuint (gst_ndsh_content_get_arrays (&content, NULL, 10, arrays), ==,
                    1);
  g_assert_true (ndsh_array_info_equal (&array, &arrays[0]));
}
GST_END_TEST

/* Of which there can be no element. */
GST_START_TEST (a_shape_that_no_caps_can_tell_is_bytes)
{
  const gsize shape[] = { 0, 1 };
  g_autoptr (GstCaps) caps = NULL;
  NdshArrayInfo array;

  g_assert_true (ndsh_array_info_init (&array, NDSH_DTYPE_UINT8, 2, shape));
  array.shape[1] = (gsize) G_MAXSSIZE + 1;
  g_assert_cmpuint (ndsh_array_info_get_size (&array), ==, 0);
  caps = gst_ndsh_caps_from_arrays (&array, 1);

  g_assert_true (gst_structure_has_name (gst_caps_get_structure (caps, 0),
                                         "application/octet-stream"));
}
GST_END_TEST

/* What array-caps makes of an array of bytes with @shape, or NULL. */
static char *
apply (const char *wanted, guint n_dims, const gsize *shape)
{
  g_autoptr (GstCaps) wish = gst_caps_from_string (wanted);
  g_autoptr (GstCaps) caps = NULL;
  NdshArrayInfo array;

  g_assert_true (ndsh_array_info_init (&array, NDSH_DTYPE_UINT8, n_dims, shape));
  caps = gst_ndsh_caps_for_arrays (wish, &array, 1);
  return caps != NULL ? gst_caps_to_string (caps) : NULL;
}

GST_START_TEST (arrays_are_what_somebody_says_they_are)
{
  static const struct {
    const char *wanted;
    gsize shape[3];
    guint n_dims;
    gboolean fits;
  } cases[] = {
    { "video/x-raw,format=BGR", { 48, 64, 3 }, 3, TRUE },
    { "video/x-raw,format=BGR,width=64,height=48,framerate=30/1", { 48, 64, 3 }, 3, TRUE },
    { "video/x-raw,format=BGR", { 48, 63, 3 }, 3, TRUE },        /* rows without padding */
    { "video/x-raw,format=GRAY8", { 48, 64 }, 2, TRUE },
    { "video/x-raw,format=NV12,width=64,height=48", { 72, 64 }, 2, TRUE },
    { "audio/x-raw,format=S16LE,channels=2,rate=48000,layout=interleaved", { 400 }, 1,
      TRUE },
    { "image/jpeg", { 12345 }, 1, TRUE },
    { "video/x-raw,format=BGR", { 3, 48, 64 }, 3, FALSE },
    { "video/x-raw,format=BGRx", { 48, 64, 3 }, 3, FALSE },
    { "video/x-raw,format=BGR,width=32", { 48, 64, 3 }, 3, FALSE },
    { "video/x-raw,format=BGR", { 9216 }, 1, FALSE },
    { "video/x-raw,format={ BGR, RGB }", { 48, 64, 3 }, 3, FALSE },
    { "video/x-raw,format=NV12,width=64,height=48", { 48, 64 }, 2, FALSE },
    { "audio/x-raw,format=S16LE,channels=2,rate=48000,layout=interleaved", { 401 }, 1,
      FALSE },
    { "video/x-raw; audio/x-raw", { 9216 }, 1, FALSE },
    { "video/x-raw(memory:DMABuf),format=BGR", { 48, 64, 3 }, 3, FALSE },
    { "video/x-raw,format=BGR,width=48,height=64", { 48, 64, 3 }, 3, FALSE },
    { "video/x-raw,format=YUY2", { 4, 7, 2 }, 3, FALSE },
    { "audio/x-raw,format=S16LE,channels=2,rate=0,layout=interleaved", { 400 }, 1, FALSE },
    { "application/x-ndarray,dtype=float64,shape=(int)<100,100>", { 48, 64, 3 }, 3, FALSE },
    { "other/tensors", { 48, 64, 3 }, 3, TRUE },
    { "other/tensors,format=flexible", { 48 }, 1, TRUE },
    { "other/tensors,types=uint8,dimensions=(string)3:64:48:1", { 48, 64, 3 }, 3, TRUE },
    { "other/tensors,types=uint8,dimensions=(string)3:64:49", { 48, 64, 3 }, 3, FALSE },
    { "other/tensors", { 0 }, 0, FALSE },
    { "other/tensors", { 48, 0 }, 2, FALSE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *text = apply (cases[i].wanted, cases[i].n_dims, cases[i].shape);

    if ((text != NULL) != cases[i].fits)
      g_error ("%s of case %u is %s", cases[i].wanted, i, text);
  }
}
GST_END_TEST

GST_START_TEST (what_array_caps_leave_out_is_the_array_s)
{
  const gsize shape[] = { 48, 64, 3 };
  g_autofree char *text = apply ("video/x-raw,format=BGR", 3, shape);
  g_autoptr (GstCaps) caps = gst_caps_from_string (text);
  g_autoptr (GstCaps) wanted = gst_caps_from_string (
    "video/x-raw,format=BGR,height=48,width=64,framerate=0/1");

  g_assert_true (gst_caps_is_equal (caps, wanted));
}
GST_END_TEST

GST_START_TEST (tensors_that_array_caps_leave_out_are_the_arrays)
{
  const gsize shapes[][2] = { { 48, 3 }, { 5, 1 } };
  g_autoptr (GstCaps) wish = gst_caps_from_string ("other/tensors");
  g_autoptr (GstCaps) wanted = gst_caps_from_string (
    "other/tensors,format=static,num_tensors=2,types=(string)\"float32\\,int8\","
    "dimensions=(string)\"3:48\\,1:5\",framerate=0/1");
  g_autoptr (GstCaps) caps = NULL;
  NdshArrayInfo arrays[2];

  ndsh_array_info_init (&arrays[0], NDSH_DTYPE_FLOAT32, 2, shapes[0]);
  ndsh_array_info_init (&arrays[1], NDSH_DTYPE_INT8, 2, shapes[1]);
  arrays[1].offset = 48 * 3 * 4;
  caps = gst_ndsh_caps_for_arrays (wish, arrays, 2);
  g_assert_true (caps != NULL && gst_caps_is_equal (caps, wanted));

  /* Bytes between them would be taken for numbers. */
  arrays[1].offset += 64;
  g_assert_null (gst_ndsh_caps_for_arrays (wish, arrays, 2));
}
GST_END_TEST

/* Else each number would be taken for another. */
GST_START_TEST (columns_first_is_no_tensor)
{
  const gsize shape[] = { 48, 3 };
  g_autoptr (GstCaps) tensor = gst_caps_from_string ("other/tensors");
  g_autoptr (GstCaps) fortran = gst_caps_from_string (
    "application/x-ndarray,dtype=uint8,shape=(int)<48,3>,order=(string)F");
  g_autoptr (GstCaps) caps = NULL;
  NdshArrayInfo array;

  ndsh_array_info_init (&array, NDSH_DTYPE_UINT8, 2, shape);
  array.strides[0] = 1;
  array.strides[1] = 48;
  g_assert_null (gst_ndsh_caps_for_arrays (tensor, &array, 1));
  caps = gst_ndsh_caps_for_arrays (fortran, &array, 1);
  g_assert_nonnull (caps);
}
GST_END_TEST

GST_START_TEST (memory_features_but_system_memory_are_foreign)
{
  g_autoptr (GstCaps) nvmm
    = gst_caps_from_string ("video/x-raw(memory:NVMM),format=NV12");
  g_autoptr (GstCaps) plain = gst_caps_from_string (
    "video/x-raw(memory:SystemMemory);video/x-raw;video/x-raw(format:Interlaced)");

  g_assert_cmpstr (gst_ndsh_caps_get_foreign_memory (nvmm), ==, "memory:NVMM");
  g_assert_null (gst_ndsh_caps_get_foreign_memory (plain));
}
GST_END_TEST

/* GStreamer's parser needs stack for each. */
static char *
nest (guint depth)
{
  g_autofree char *open = g_strnfill (depth, '{');
  g_autofree char *close = g_strnfill (depth, '}');

  return g_strconcat ("video/x-test, y=", open, "1", close, NULL);
}

GST_START_TEST (text_that_harms_the_parser_is_no_caps)
{
  static const char *const texts[]
    = { "video/x-test, x=(buffer)zz", "video/x-test, x=( GstBuffer ) 0z",
        "video/x-test, x=(buffer)<00, zz>", "video/x-test, x=<(buffer)00, (buffer)zz>",
        "video/x-test, x=(buffer)NULL", "video/x-test, x=(GstCaps)\"a/b, x=(buffer)zz\"",
        "video/x-test, x=(structure)\"a\\, x\\=\\050buffer\\051zz\"",
        "video/x-test, x=(GstSample)abcd", "1/2", "-/x",
        "video/x-test(1)", "video/x-test(, )", "video/x-test(memory:x",
        "video/x-test, x=[5,1]", "video/x-test, x=(double)[ 2, 1 ]",
        "video/x-test, x=(buffer)<(int)5,zz>", "video/x-test, x=(buffer){(buffer)ab,zz}",
        "video/x-test, x=(GEnum)1", "video/x-test, x=(GFlags)1", "video/x-test, x=(void)1",
        "video/x-test, x=(GTypePlugin)1", "video/x-test, x=-2147483648/1",
        "video/x-test, x=(fraction)1/-2147483648", "video/x-test, x=1/0",
        "video/x-test; 1", "video/x-test, x=1; video/x-test", "video/x-test, x=\"\"",
        "video/x-test, x=(GstIntRange)\"x\"", "video/x-test, x=<1", "video/x-test, x=",
        "video/x-test, =5", "video/x-test, x=(int)\"5\"", "video/x-test, x=\"a", "video/x-test, x=(taglist)\"taglist\"" };
  g_autofree char *deep = nest (30000);
  /* With as many that close in quotes. */
  g_autoptr (GString) hidden = g_string_new ("video/x-test, y=");

  for (guint i = 0; i < 1000; i++)
    g_string_append (hidden, "<<<<<<<<\">>>>>>>>\",");
  g_assert_null (gst_ndsh_caps_from_description (hidden->str));
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    g_assert_null (gst_ndsh_caps_from_description (texts[i]));
  g_assert_null (gst_ndsh_caps_from_description (deep));
}
GST_END_TEST

/* At which GStreamer's parser would forget to free what it has. */
GST_START_TEST (text_with_an_item_that_does_not_fit_is_refused)
{
  static const char *const broken[]
    = { "(int)x", "(boolean)trwe", "(fraction)5x/3", "(int)99999999999", "<(int)8, (int)x>", "{(int)x}", "(int)<8, x>", "<(int)4294967296>", "<1, <(int)x>>", "<(int)08>",
        "(int)<99999999999>", "(boolean)<true, 5>", "(double)<0.5, a>", "(float)<1.2.3>",
        "(GDate)<2026-13-01>", "(string)<\"\377\">", "<\"\377\">",
        "(GstFormat)<no-format>", "(bitmask)<x>", "<1,,2>", "(datetime)<yesterday>" };
  static const char *const whole[]
    = { "<(int)8, (int)-9, (int)0x1f>", "{}", "<>", "(int)<8, 2147483647, -2147483648>",
        "(gint64)<123456789012>", "(float)<0.5, -1e-5, 1234567890123456789>", "<a, 1, 0.5>",
        "(boolean)<true, false>", "(GstFormat)<time>", "<\"a, b\", \"\\303\\266\">",
        "(GDate)<2026-12-01>" };

  for (guint i = 0; i < G_N_ELEMENTS (broken); i++) {
    g_autofree char *text = g_strconcat ("a, b=", broken[i], ";", NULL);

    if (gst_ndsh_text_is_structure (text))
      g_error ("not refused: %s", text);
  }
  for (guint i = 0; i < G_N_ELEMENTS (whole); i++) {
    g_autofree char *text = g_strconcat ("a, b=", whole[i], ";", NULL);
    GstStructure *structure = gst_ndsh_structure_from_text (text);

    if (structure == NULL)
      g_error ("refused: %s", text);
    gst_structure_free (structure);
  }
}
GST_END_TEST

GST_START_TEST (text_of_caps_is_safe)
{
  static const char *const texts[]
    = { "video/x-raw(format:Interlaced), format=NV12",
        "video/x-raw(memory:SystemMemory, meta:GstVideoOverlayComposition), format=NV12",
        "image/jpeg", "video/x-test, title=(string)\"\\[live\\]\"",
        "video/x-h264, codec_data=(buffer)0164001fff, width=(int)5",
        "audio/x-vorbis, streamheader=(buffer)< 01aa, 02bb >",
        "audio/x-flac, streamheader=(buffer)< (buffer)01aa, (buffer)02bb >;",
        "video/x-raw, format=(string)I420, width=(int)320, height=(int)240, "
        "framerate=(fraction)30/1, multiview-mode=(string)mono, "
        "multiview-flags=(GstVideoMultiviewFlagsSet)0:ffffffff:/right-view-first, "
        "pixel-aspect-ratio=(fraction)1/1, interlace-mode=(string)progressive",
        "audio/x-raw, channel-mask=(bitmask)0x3, layout=(string)\"a\\ \\(good\\)\\ one\"",
        "other/tensors, dimensions=(string)\"1:2\\,3\", x=< 1, 2, < 3, 4 > >",
#if GST_CHECK_VERSION(1, 22, 0)
        /* Older ones, 1.18 for one, want a backslash before each of these in quotes. */
        "audio/x-raw, channel-mask=(bitmask)0x3, layout=(string)\"a (good) one\"",
        "other/tensors, dimensions=(string)\"1:2,3\", x=< 1, 2, < 3, 4 > >",
#endif
        "a/b, on=(GDate)2026-11-30, at=(datetime)2026-11-30" };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autoptr (GstCaps) caps = gst_ndsh_caps_from_description (texts[i]);

    if (caps == NULL)
      g_error ("refused: %s", texts[i]);
  }
}
GST_END_TEST

/* From 1.26 on GStreamer's parser makes no quarks of them, by which they were known. */
GST_START_TEST (a_name_counts_once_however_often_it_comes)
{
  for (guint i = 0; i < 20000; i++)
    g_assert_true (gst_ndsh_text_is_caps ("video/x-never-parsed, never-parsed=(int)1"));
}
GST_END_TEST

static Suite *
caps_suite (void)
{
  Suite *suite = suite_create ("caps");
  TCase *tcase = elements_case_new (suite, "caps");

  tcase_add_test (tcase, caps_become_the_arrays_of_the_table);
  tcase_add_test (tcase,
                  every_raw_video_format_has_arrays_that_lie_in_its_buffer);
  tcase_add_test (tcase, a_layout_beyond_the_buffer_is_refused);
  tcase_add_test (tcase, a_layout_whose_rows_are_cut_short_is_refused);
  tcase_add_test (tcase, a_palette_is_whole);
  tcase_add_test (tcase, caps_made_from_an_array_give_that_array);
  tcase_add_test (tcase, large_strides_beside_small_ones_are_kept);
  tcase_add_test (tcase, a_shape_that_no_caps_can_tell_is_bytes);
  tcase_add_test (tcase, arrays_are_what_somebody_says_they_are);
  tcase_add_test (tcase, what_array_caps_leave_out_is_the_array_s);
  tcase_add_test (tcase, tensors_that_array_caps_leave_out_are_the_arrays);
  tcase_add_test (tcase, columns_first_is_no_tensor);
  tcase_add_test (tcase, memory_features_but_system_memory_are_foreign);
  tcase_add_test (tcase, text_that_harms_the_parser_is_no_caps);
  tcase_add_test (tcase, text_with_an_item_that_does_not_fit_is_refused);
  tcase_add_test (tcase, text_of_caps_is_safe);
  tcase_add_test (tcase, a_name_counts_once_however_often_it_comes);
  return suite;
}

GST_CHECK_MAIN (caps)
