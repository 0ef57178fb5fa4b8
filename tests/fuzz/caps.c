/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Caps to arrays, and arrays to caps and back. Caps are put together from names and
 * values that mean something, since whatever text is parsed leaves its words in
 * GLib's table of quarks for good: parsing is GStreamer's business besides.
 */
#include "gstndshcaps.h"

#include <string.h>

#include "array.h"
#include "fuzz.h"

#define MAX_FIELDS 8

static const char *const names[]
  = { "video/x-raw", "audio/x-raw",         "other/tensors",  "other/tensor",
      "video/x-bayer", "application/x-ndarray", "image/jpeg", "video/x-h264" };

static const char *const fields[]
  = { "format", "width",    "height", "framerate", "interlace-mode", "dimensions",
      "types",  "channels", "rate",   "layout",    "channel-mask",   "dtype",
      "shape",  "strides",  "views",  "multiview-mode" };

static const char *const texts[]
  = { "I420",    "NV12",    "RGB",      "v210",           "GRAY16_BE", "NV12_64Z32",
      "RGB8P",   "S16LE",   "S24BE",    "F64LE",          "F32BE",     "U8",
      "interleaved", "non-interleaved", "static", "flexible", "3:640:480:1",
      "3:4:0:1,7", "uint8", "float32,int8", "complex256", "bggr", "rggb10le",
      "grbg12be", "alternate", "progressive", "uint8.uint8", "2:2.3:3",
      "1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1",
      "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1",
      ("bool.bool.bool.bool.bool.bool.bool.bool.bool.int8.int8.int8.int8.int8.int8."
       "int8.int8") };

static void
set_text (FuzzInput *input, GstStructure *structure, const char *field)
{
  guint8 which = fuzz_u8 (input);
  char text[64] = { 0 };

  if (which < 192) {
    gst_structure_set (structure, field, G_TYPE_STRING,
                       texts[which % G_N_ELEMENTS (texts)], NULL);
    return;
  }
  fuzz_bytes (input, text, which % (sizeof text - 1));
  if (g_utf8_validate (text, -1, NULL))
    gst_structure_set (structure, field, G_TYPE_STRING, text, NULL);
}

static void
set_lengths (FuzzInput *input, GstStructure *structure, const char *field)
{
  static const GType types[] = { G_TYPE_INT, G_TYPE_INT64, G_TYPE_STRING };
  guint8 head = fuzz_u8 (input);
  GType type = types[head / 64 % 3];
  GValue all = G_VALUE_INIT;

  g_value_init (&all, GST_TYPE_ARRAY);
  for (guint i = 0; i < head % 64 % 36; i++) {
    GValue one = G_VALUE_INIT;
    guint8 how = fuzz_u8 (input);

    g_value_init (&one, type);
    if (type == G_TYPE_INT)
      g_value_set_int (&one, how < 224 ? how : (gint) fuzz_u32 (input));
    else if (type == G_TYPE_INT64)
      g_value_set_int64 (&one, (gint64) ((guint64) how << (how & 63)));
    gst_value_array_append_and_take_value (&all, &one);
  }
  gst_structure_take_value (structure, field, &all);
}

static void
set_field (FuzzInput *input, GstStructure *structure)
{
  guint8 what = fuzz_u8 (input);
  const char *field = fields[what % 16];

  switch (what / 16 % 8) {
  case 0:
  case 1:
  case 2:
    set_text (input, structure, field);
    break;
  case 3:
    gst_structure_set (structure, field, G_TYPE_INT, (gint) fuzz_u16 (input),
                       NULL);
    break;
  case 4:
    gst_structure_set (structure, field, G_TYPE_INT, (gint) fuzz_u32 (input),
                       NULL);
    break;
  case 5:
    gst_structure_set (structure, field, GST_TYPE_FRACTION,
                       (gint) fuzz_u8 (input), 1, NULL);
    break;
  case 6:
    gst_structure_set (structure, field, GST_TYPE_INT_RANGE, 1, 9, NULL);
    break;
  default:
    set_lengths (input, structure, field);
    break;
  }
}

/* What it takes for the rest to be looked at. */
static void
set_usual_fields (GstStructure *structure, guint name)
{
  if (name == 0)
    gst_structure_set (structure, "format", G_TYPE_STRING, "I420", "width",
                       G_TYPE_INT, 33, "height", G_TYPE_INT, 17, NULL);
  else if (name == 1)
    gst_structure_set (structure, "format", G_TYPE_STRING, "S16LE", "rate",
                       G_TYPE_INT, 8000, "channels", G_TYPE_INT, 2, "layout",
                       G_TYPE_STRING, "interleaved", NULL);
}

static GstCaps *
take_caps (FuzzInput *input)
{
  guint name = fuzz_u8 (input) % G_N_ELEMENTS (names);
  GstStructure *structure = gst_structure_new_empty (names[name]);
  GstCaps *caps = gst_caps_new_empty ();

  set_usual_fields (structure, name);
  for (guint i = 0; i < MAX_FIELDS && input->size > 0; i++)
    set_field (input, structure);
  gst_caps_append_structure (caps, structure);
  return caps;
}

static void
caps_to_arrays (FuzzInput *input)
{
  gsize size = fuzz_u32 (input) >> (fuzz_u8 (input) & 31);
  g_autoptr (GstCaps) caps = take_caps (input);
  NdshArrayInfo arrays[NDSH_MAX_ARRAYS];
  GstNdshContent content;
  guint n;

  gst_ndsh_caps_get_foreign_memory (caps);
  gst_ndsh_content_init (&content, caps);
  n = gst_ndsh_content_get_arrays (&content, NULL, size, arrays);
  fuzz_check_arrays (arrays, n, size);
}

/* An array that is told by caps is understood from them, but for those that would
 * be too large if they were dense. */
static void
check_same (const NdshArrayInfo *array, const GstCaps *caps, gsize size)
{
  NdshArrayInfo again[NDSH_MAX_ARRAYS], dense;
  GstNdshContent content;

  if (!gst_structure_has_name (gst_caps_get_structure (caps, 0),
                               "application/x-ndarray"))
    return;
  for (guint i = 0; i < array->n_dims; i++)
    g_assert (array->shape[i] <= G_MAXSSIZE);
  if (!ndsh_array_info_init (&dense, array->dtype, array->n_dims, array->shape))
    return;
  gst_ndsh_content_init (&content, caps);
  g_assert (content.kind == GST_NDSH_CONTENT_ARRAYS);
  g_assert (gst_ndsh_content_get_arrays (&content, NULL, size, again) == 1);
  g_assert (ndsh_array_info_equal (array, again));
}

static void
arrays_to_caps (FuzzInput *input)
{
  guint n_arrays = fuzz_u8 (input) % (NDSH_MAX_ARRAYS + 1);
  NdshArrayInfo arrays[NDSH_MAX_ARRAYS];
  g_autoptr (GstCaps) caps = NULL;
  gsize size;

  if (!ndsh_arrays_unpack (input->data, input->size, G_MAXSSIZE, arrays, n_arrays))
    return;
  caps = gst_ndsh_caps_from_arrays (arrays, n_arrays);
  g_assert (gst_caps_is_fixed (caps));
  if (ndsh_arrays_measure (arrays, 1, &size, NULL))
    check_same (&arrays[0], caps, size);
}

/* Without plugins, which would be looked for. */
static void
start_gstreamer (void)
{
  if (gst_is_initialized ())
    return;
  g_setenv ("GST_REGISTRY_DISABLE", "yes", TRUE);
  gst_init (NULL, NULL);
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  FuzzInput input = { data, size };

  start_gstreamer ();
  if (fuzz_u8 (&input) % 4 == 0)
    arrays_to_caps (&input);
  else
    caps_to_arrays (&input);
  return 0;
}
