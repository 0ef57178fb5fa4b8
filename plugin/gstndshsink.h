/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_NDSH_SINK_H
#define GST_NDSH_SINK_H

#include <gst/base/gstbasesink.h>

G_BEGIN_DECLS

#define GST_TYPE_NDSH_SINK (gst_ndsh_sink_get_type ())
G_DECLARE_FINAL_TYPE (GstNdshSink, gst_ndsh_sink, GST, NDSH_SINK, GstBaseSink)

/* Unchecked, for what happens at each buffer. */
#define GST_NDSH_SINK_CAST(obj) ((GstNdshSink *) (obj))

#if GST_CHECK_VERSION(1, 20, 0)
GST_ELEMENT_REGISTER_DECLARE (ndshsink)
#endif

G_END_DECLS

#endif
