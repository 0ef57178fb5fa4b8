/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstndshsink.h"
#include "gstndshsrc.h"

static gboolean
plugin_init (GstPlugin *plugin)
{
  return gst_element_register (plugin, "ndshsink", GST_RANK_NONE,
                               GST_TYPE_NDSH_SINK)
         && gst_element_register (plugin, "ndshsrc", GST_RANK_NONE,
                                  GST_TYPE_NDSH_SRC);
}

GST_PLUGIN_DEFINE (GST_VERSION_MAJOR, GST_VERSION_MINOR, ndsh,
                   "Streams shared between processes, without copies",
                   plugin_init, PACKAGE_VERSION, "LGPL", PACKAGE,
                   "Unknown package origin")
