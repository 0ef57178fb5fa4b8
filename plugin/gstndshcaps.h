/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_NDSH_CAPS_H
#define GST_NDSH_CAPS_H

#include <gst/audio/audio.h>
#include <gst/video/video.h>
#include <ndsh.h>

G_BEGIN_DECLS

/*
 * What the bytes of a buffer mean, as caps say it and as arrays say it. Nothing
 * here touches a pipeline or a payload, but for gst_ndsh_layout_copy_to_default ().
 */

/*
 * GstNdshLayout: where the planes of a video frame lie in its buffer.
 *
 * The part of a GstVideoMeta that says so, as a plain value.
 */
typedef struct {
  GstVideoFormat format;
  guint width;
  guint height;
  guint n_planes;
  gsize offset[GST_VIDEO_MAX_PLANES];
  gint stride[GST_VIDEO_MAX_PLANES];
} GstNdshLayout;

typedef enum {
  GST_NDSH_CONTENT_BYTES,       /* no more is known than how many */
  GST_NDSH_CONTENT_VIDEO,       /* video/x-raw */
  GST_NDSH_CONTENT_AUDIO,       /* audio/x-raw */
  GST_NDSH_CONTENT_ARRAYS       /* the caps alone give the arrays */
} GstNdshContentKind;

/*
 * GstNdshContent: caps, parsed once when they arrive.
 * @kind: which of the others is valid
 * @arrays: for GST_NDSH_CONTENT_ARRAYS, the @n_arrays the caps describe
 */
typedef struct {
  GstNdshContentKind kind;
  GstVideoInfo video;
  GstAudioInfo audio;
  guint n_arrays;
  NdshArrayInfo arrays[NDSH_MAX_ARRAYS];
} GstNdshContent;

/* Caps that are not understood are bytes; this cannot fail. */
void gst_ndsh_content_init (GstNdshContent *content, const GstCaps *caps);

/* Describes a buffer of @size bytes and returns the number of arrays, at least 1.
 * They lie within the buffer, which may go on after them. @layout is that of the
 * buffer's GstVideoMeta, NULL if it has none. */
guint gst_ndsh_content_get_arrays (const GstNdshContent *content,
                                   const GstNdshLayout *layout, gsize size,
                                   NdshArrayInfo arrays[NDSH_MAX_ARRAYS]);

/* Caps that elements can do something with, fixed and of system memory; NULL if that is
 * not what @description is, which may be any text. */
GstCaps *gst_ndsh_caps_from_description (const char *description);

/* Caps for a frame that came without any. */
GstCaps *gst_ndsh_caps_from_arrays (const NdshArrayInfo *arrays,
                                    guint n_arrays);

/* The same for somebody who knows what they are: @wanted, with what it leaves out of the
 * size of pictures; NULL if frames of these arrays cannot be that. */
GstCaps *gst_ndsh_caps_for_arrays (const GstCaps *wanted, const NdshArrayInfo *arrays,
                                   guint n_arrays);

/* Whether frames of these caps may refer to others; looks at the name only. */
gboolean gst_ndsh_caps_are_encoded_video (const char *caps);

/* The first memory feature of @caps that means anything but system memory, or
 * NULL. */
const char *gst_ndsh_caps_get_foreign_memory (const GstCaps *caps);

void gst_ndsh_layout_init_from_info (GstNdshLayout *layout,
                                     const GstVideoInfo *info);
void gst_ndsh_layout_init_from_meta (GstNdshLayout *layout,
                                     const GstVideoMeta *meta);

/* The layout in which a writer that knows nothing of GStreamer has put a frame
 * of @info; FALSE if its arrays are not one a plane. */
gboolean gst_ndsh_layout_init_from_arrays (GstNdshLayout *layout,
                                           const GstVideoInfo *info,
                                           const NdshArrayInfo *arrays,
                                           guint n_arrays);

/* Whether the planes lie where elements expect them that look at caps only. */
gboolean gst_ndsh_layout_is_default (const GstNdshLayout *layout,
                                     const GstVideoInfo *info);

/* Whether @layout is one of a frame of @info and lies within @size bytes. */
gboolean gst_ndsh_layout_is_valid (const GstNdshLayout *layout,
                                   const GstVideoInfo *info, gsize size);

/* Copies a frame in a valid @layout to the default one, which takes
 * GST_VIDEO_INFO_SIZE (@info) bytes. FALSE for tiled formats, whose strides are
 * not bytes. */
gboolean gst_ndsh_layout_copy_to_default (const GstNdshLayout *layout,
                                          const GstVideoInfo *info,
                                          const guint8 *from, guint8 *to);

G_END_DECLS

#endif
