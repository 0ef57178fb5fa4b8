/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Channels that have a writer, as devices: applications that let one choose a camera show
 * them beside it, and gst-device-monitor-1.0 lists them with their caps.
 */
#include "gstndshdeviceprovider.h"

#include <ndsh.h>

#include "gstndshcaps.h"

/* --- A channel ------------------------------------------------------------ */

#define GST_TYPE_NDSH_DEVICE (gst_ndsh_device_get_type ())
G_DECLARE_FINAL_TYPE (GstNdshDevice, gst_ndsh_device, GST, NDSH_DEVICE, GstDevice)

struct _GstNdshDevice {
  GstDevice parent;
  char *channel;
};

G_DEFINE_TYPE (GstNdshDevice, gst_ndsh_device, GST_TYPE_DEVICE)

static GstElement *
gst_ndsh_device_create_element (GstDevice *device, const gchar *name)
{
  GstElement *source = gst_element_factory_make ("ndshsrc", name);

  if (source != NULL)
    g_object_set (source, "channel", GST_NDSH_DEVICE (device)->channel, NULL);
  return source;
}

static void
gst_ndsh_device_finalize (GObject *object)
{
  g_free (GST_NDSH_DEVICE (object)->channel);
  G_OBJECT_CLASS (gst_ndsh_device_parent_class)->finalize (object);
}

static void
gst_ndsh_device_init (GstNdshDevice *device)
{
  (void) device;
}

static void
gst_ndsh_device_class_init (GstNdshDeviceClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = gst_ndsh_device_finalize;
  GST_DEVICE_CLASS (klass)->create_element = gst_ndsh_device_create_element;
}

/* What applications look for. */
static const char *
get_device_class (const GstCaps *caps)
{
  const char *media;

  if (gst_caps_is_any (caps))
    return "Source";
  media = gst_structure_get_name (gst_caps_get_structure (caps, 0));
  if (g_str_has_prefix (media, "video/") || g_str_has_prefix (media, "image/"))
    return "Video/Source";
  return g_str_has_prefix (media, "audio/") ? "Audio/Source" : "Source";
}

/* Those of frames that came without any are their arrays'; before the first frame there may
 * be any. */
static GstCaps *
get_caps (const NdshChannelInfo *info)
{
  GstCaps *caps = gst_ndsh_caps_from_description (info->description);

  if (caps == NULL && info->n_arrays > 0)
    caps = gst_ndsh_caps_from_arrays (info->arrays, info->n_arrays);
  return caps != NULL ? caps : gst_caps_new_any ();
}

static GstDevice *
make_device (const char *channel, const NdshChannelInfo *info)
{
  g_autoptr (GstCaps) caps = get_caps (info);
  GstStructure *properties;
  GstNdshDevice *device;

  properties = gst_structure_new ("ndsh-properties", "channel", G_TYPE_STRING, channel,
                                  "writer-pid", G_TYPE_INT64, info->pid, "readers",
                                  G_TYPE_UINT, info->n_readers, NULL);
  device = g_object_new (GST_TYPE_NDSH_DEVICE, "display-name", channel, "device-class",
                         get_device_class (caps), "caps", caps, "properties", properties,
                         NULL);
  gst_structure_free (properties);
  device->channel = g_strdup (channel);
  return GST_DEVICE (device);
}

/* --- All of them ---------------------------------------------------------- */

struct _GstNdshDeviceProvider {
  GstDeviceProvider parent;
};

G_DEFINE_TYPE (GstNdshDeviceProvider, gst_ndsh_device_provider, GST_TYPE_DEVICE_PROVIDER)

static GList *
gst_ndsh_device_provider_probe (GstDeviceProvider *provider)
{
  g_auto (GStrv) channels = ndsh_list_channels ();
  GList *devices = NULL;

  (void) provider;
  for (guint i = 0; channels[i] != NULL; i++) {
    g_autoptr (NdshChannelInfo) info = ndsh_channel_info_new (channels[i], NULL);

    if (info != NULL)
      devices = g_list_prepend (devices,
                                gst_object_ref_sink (make_device (channels[i], info)));
  }
  return g_list_reverse (devices);
}

static void
gst_ndsh_device_provider_init (GstNdshDeviceProvider *provider)
{
  (void) provider;
}

static void
gst_ndsh_device_provider_class_init (GstNdshDeviceProviderClass *klass)
{
  GstDeviceProviderClass *provider_class = GST_DEVICE_PROVIDER_CLASS (klass);

  provider_class->probe = gst_ndsh_device_provider_probe;
  gst_device_provider_class_set_static_metadata (
    provider_class, "ndsh channels", "Source/Video/Audio",
    "Lists the channels that have a writer", "The ndsh developers");
}
