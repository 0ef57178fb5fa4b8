/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_NDSH_SRC_H
#define GST_NDSH_SRC_H

#include <gst/base/gstpushsrc.h>

G_BEGIN_DECLS

#define GST_TYPE_NDSH_SRC (gst_ndsh_src_get_type ())
G_DECLARE_FINAL_TYPE (GstNdshSrc, gst_ndsh_src, GST, NDSH_SRC, GstPushSrc)

/* Unchecked, for what happens at each buffer. */
#define GST_NDSH_SRC_CAST(obj) ((GstNdshSrc *) (obj))

#if GST_CHECK_VERSION(1, 20, 0)
GST_ELEMENT_REGISTER_DECLARE (ndshsrc)
#endif

G_END_DECLS

#endif
