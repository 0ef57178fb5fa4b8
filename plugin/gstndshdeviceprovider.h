/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_NDSH_DEVICE_PROVIDER_H
#define GST_NDSH_DEVICE_PROVIDER_H

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_NDSH_DEVICE_PROVIDER (gst_ndsh_device_provider_get_type ())
G_DECLARE_FINAL_TYPE (GstNdshDeviceProvider, gst_ndsh_device_provider, GST,
                      NDSH_DEVICE_PROVIDER, GstDeviceProvider)

G_END_DECLS

#endif
