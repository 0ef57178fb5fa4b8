/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Channels that have a writer, as devices: applications that let one choose a camera show
 * them beside it, and gst-device-monitor-1.0 lists them with their caps, and with -f as they
 * come and go.
 *
 * While it is started a thread sleeps in NdshMonitor, and turns its news into devices that
 * are added, changed and removed. A channel whose writer has not published yet is a device
 * of any caps, in class "Source": there may be a writer that waits for its first reader.
 */
#include "gstndshdeviceprovider.h"

#include <errno.h>
#include <ndsh.h>
#include <string.h>

#include "gstndshcaps.h"

/* --- A channel ------------------------------------------------------------ */

#define GST_TYPE_NDSH_DEVICE (gst_ndsh_device_get_type ())
G_DECLARE_FINAL_TYPE (GstNdshDevice, gst_ndsh_device, GST, NDSH_DEVICE, GstDevice)

struct _GstNdshDevice {
  GstDevice parent;
  char *channel;
  gint64 writer_pid;
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
  device->writer_pid = info->pid;
  return GST_DEVICE (device);
}

static gboolean
is_same_class (GstDevice *a, GstDevice *b)
{
  g_autofree char *class_a = gst_device_get_device_class (a);
  g_autofree char *class_b = gst_device_get_device_class (b);

  return strcmp (class_a, class_b) == 0;
}

/* How many read is no reason to tell of it again. */
static gboolean
is_same_device (GstDevice *a, GstDevice *b)
{
  g_autoptr (GstCaps) caps_a = gst_device_get_caps (a);
  g_autoptr (GstCaps) caps_b = gst_device_get_caps (b);

  return GST_NDSH_DEVICE (a)->writer_pid == GST_NDSH_DEVICE (b)->writer_pid
         && gst_caps_is_strictly_equal (caps_a, caps_b);
}

/* --- All of them ---------------------------------------------------------- */

struct _GstNdshDeviceProvider {
  GstDeviceProvider parent;

  /* From start to stop; the thread's own in between. */
  NdshMonitor *monitor;
  GHashTable *devices;          /* channel -> GstDevice */
  GstPoll *poll;                /* of the monitor; flushing means stop */
  GThread *thread;
};

G_DEFINE_TYPE (GstNdshDeviceProvider, gst_ndsh_device_provider, GST_TYPE_DEVICE_PROVIDER)

GST_DEBUG_CATEGORY_STATIC (debug_category);
#define GST_CAT_DEFAULT debug_category

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

/* --- As they come and go -------------------------------------------------- */

static void
remove_device (GstNdshDeviceProvider *self, const char *channel)
{
  GstDevice *device = g_hash_table_lookup (self->devices, channel);

  if (device == NULL)
    return;
  GST_DEBUG_OBJECT (self, "channel '%s' has gone", channel);
  gst_device_provider_device_remove (GST_DEVICE_PROVIDER (self), device);
  g_hash_table_remove (self->devices, channel);
}

static void
remove_all_devices (GstNdshDeviceProvider *self)
{
  GHashTableIter iter;
  gpointer device;

  g_hash_table_iter_init (&iter, self->devices);
  while (g_hash_table_iter_next (&iter, NULL, &device))
    gst_device_provider_device_remove (GST_DEVICE_PROVIDER (self), device);
}

/* Takes @device, which the provider has or is to have as well. */
static void
keep_device (GstNdshDeviceProvider *self, const char *channel, GstDevice *device)
{
  g_hash_table_replace (self->devices, g_strdup (channel), device);
}

static void
add_device (GstNdshDeviceProvider *self, const char *channel, GstDevice *device)
{
  GST_DEBUG_OBJECT (self, "channel '%s' has come", channel);
  gst_device_provider_device_add (GST_DEVICE_PROVIDER (self), device);
  keep_device (self, channel, device);
}

/* An application that looks for cameras is not told of a device of another class, and so
 * knows nothing that could change into one. */
static void
change_device (GstNdshDeviceProvider *self, const char *channel, GstDevice *old,
               GstDevice *device)
{
#if GST_CHECK_VERSION(1, 16, 0)
  if (is_same_class (old, device)) {
    GST_DEBUG_OBJECT (self, "channel '%s' has changed", channel);
    gst_device_provider_device_changed (GST_DEVICE_PROVIDER (self), device, old);
    keep_device (self, channel, device);
    return;
  }
#endif
  remove_device (self, channel);
  add_device (self, channel, device);
}

static void
show_channel (GstNdshDeviceProvider *self, const char *channel, const NdshChannelInfo *info)
{
  g_autoptr (GstDevice) device = gst_object_ref_sink (make_device (channel, info));
  GstDevice *old = g_hash_table_lookup (self->devices, channel);

  if (old == NULL)
    add_device (self, channel, gst_object_ref (device));
  else if (!is_same_device (old, device))
    change_device (self, channel, old, gst_object_ref (device));
}

static void
take_news (GstNdshDeviceProvider *self)
{
  NdshChannelInfo *info;
  char *channel;

  while ((channel = ndsh_monitor_next (self->monitor, &info)) != NULL) {
    if (info != NULL)
      show_channel (self, channel, info);
    else
      remove_device (self, channel);
    ndsh_channel_info_free (info);
    g_free (channel);
  }
}

static gpointer
run (gpointer data)
{
  GstNdshDeviceProvider *self = data;

  while (gst_poll_wait (self->poll, GST_CLOCK_TIME_NONE) >= 0 || errno == EINTR
         || errno == EAGAIN)
    take_news (self);
  return NULL;
}

static gboolean
start_thread (GstNdshDeviceProvider *self)
{
  g_autoptr (GError) error = NULL;
  GstPollFD fd = GST_POLL_FD_INIT;

  self->poll = gst_poll_new (TRUE);
  if (self->poll == NULL) {
    GST_WARNING_OBJECT (self, "cannot wait for channels: no file descriptor is left");
    return FALSE;
  }
  fd.fd = ndsh_monitor_get_fd (self->monitor);
  gst_poll_add_fd (self->poll, &fd);
  gst_poll_fd_ctl_read (self->poll, &fd, TRUE);
  self->thread = g_thread_try_new ("ndsh-devices", run, self, &error);
  if (self->thread == NULL)
    GST_WARNING_OBJECT (self, "cannot wait for channels: %s", error->message);
  return self->thread != NULL;
}

/* GStreamer lets go of the devices itself. */
static void
gst_ndsh_device_provider_stop (GstDeviceProvider *provider)
{
  GstNdshDeviceProvider *self = GST_NDSH_DEVICE_PROVIDER (provider);

  if (self->thread != NULL) {
    gst_poll_set_flushing (self->poll, TRUE);
    g_thread_join (self->thread);
  }
  self->thread = NULL;
  g_clear_pointer (&self->poll, gst_poll_free);
  g_clear_pointer (&self->devices, g_hash_table_unref);
  g_clear_pointer (&self->monitor, ndsh_monitor_free);
}

/* What there is already is there when this returns, as applications expect. */
static gboolean
gst_ndsh_device_provider_start (GstDeviceProvider *provider)
{
  GstNdshDeviceProvider *self = GST_NDSH_DEVICE_PROVIDER (provider);
  g_autoptr (GError) error = NULL;

  self->monitor = ndsh_monitor_new (&error);
  if (self->monitor == NULL) {
    GST_WARNING_OBJECT (self, "%s", error->message);
    return FALSE;
  }
  self->devices = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, gst_object_unref);
  take_news (self);
  if (start_thread (self))
    return TRUE;
  remove_all_devices (self);
  gst_ndsh_device_provider_stop (provider);
  return FALSE;
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

  GST_DEBUG_CATEGORY_INIT (debug_category, "ndshdeviceprovider", 0, "ndsh channels as devices");
  provider_class->start = gst_ndsh_device_provider_start;
  provider_class->stop = gst_ndsh_device_provider_stop;
  provider_class->probe = gst_ndsh_device_provider_probe;
  gst_device_provider_class_set_static_metadata (
    provider_class, "ndsh channels", "Source/Video/Audio",
    "Lists the channels that have a writer, as they come and go", "The ndsh developers");
}
