/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstndshdeviceprovider.h"
#include "gstndshsink.h"
#include "gstndshsrc.h"

static gboolean
register_devices (GstPlugin *plugin)
{
  return gst_device_provider_register (plugin, "ndshdeviceprovider", GST_RANK_SECONDARY,
                                       GST_TYPE_NDSH_DEVICE_PROVIDER);
}

#if GST_CHECK_VERSION(1, 20, 0)
GST_ELEMENT_REGISTER_DEFINE (ndshsink, "ndshsink", GST_RANK_NONE,
                             GST_TYPE_NDSH_SINK)
GST_ELEMENT_REGISTER_DEFINE (ndshsrc, "ndshsrc", GST_RANK_NONE, GST_TYPE_NDSH_SRC)

static gboolean
plugin_init (GstPlugin *plugin)
{
  return GST_ELEMENT_REGISTER (ndshsink, plugin)
         && GST_ELEMENT_REGISTER (ndshsrc, plugin) && register_devices (plugin);
}
#else
static gboolean
plugin_init (GstPlugin *plugin)
{
  return gst_element_register (plugin, "ndshsink", GST_RANK_NONE,
                               GST_TYPE_NDSH_SINK)
         && gst_element_register (plugin, "ndshsrc", GST_RANK_NONE,
                                  GST_TYPE_NDSH_SRC)
         && register_devices (plugin);
}
#endif

GST_PLUGIN_DEFINE (GST_VERSION_MAJOR, GST_VERSION_MINOR, ndsh,
                   "Streams shared between processes, without copies",
                   plugin_init, PACKAGE_VERSION, "LGPL", PACKAGE, PACKAGE_ORIGIN)
