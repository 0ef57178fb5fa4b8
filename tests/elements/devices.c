/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Channels as devices that are added and removed as writers come and go. */
#include "elements.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define CAPS "video/x-raw,format=GRAY8,width=4,height=4,framerate=30/1"
#define SIZE 16

#if GST_CHECK_VERSION(1, 16, 0)
#define CHANGED GST_MESSAGE_DEVICE_CHANGED
#else
#define CHANGED GST_MESSAGE_UNKNOWN
#endif
#define NEWS (GST_MESSAGE_DEVICE_ADDED | GST_MESSAGE_DEVICE_REMOVED | CHANGED)

static GstDeviceProvider *
get_provider (void)
{
  GstDeviceProvider *provider
    = gst_device_provider_factory_get_by_name ("ndshdeviceprovider");

  g_assert_nonnull (provider);
  g_assert_true (gst_device_provider_can_monitor (provider));
  return provider;
}

static GstDeviceProvider *
start_provider (void)
{
  GstDeviceProvider *provider = get_provider ();

  g_assert_true (gst_device_provider_start (provider));
  return provider;
}

static void
stop_provider (GstDeviceProvider *provider)
{
  gst_device_provider_stop (provider);
  gst_object_unref (provider);
}

static gboolean
is_news (GstMessageType type)
{
  return type == GST_MESSAGE_DEVICE_ADDED || type == GST_MESSAGE_DEVICE_REMOVED
         || type == CHANGED;
}

/* The filter lets all through that has the bit of extended messages, with GStreamer 1.28
 * that a monitor started. */
static GstMessage *
pop_news (GstBus *bus)
{
  GstMessage *message;

  while ((message = gst_bus_timed_pop_filtered (bus, WAIT_SECONDS * GST_SECOND, NEWS))
         && !is_news (GST_MESSAGE_TYPE (message)))
    gst_message_unref (message);
  return message;
}

/* The next that is told, of which there is nothing else than the device. */
static GstMessageType
wait_news (GstBus *bus, GstDevice **device)
{
  g_autoptr (GstMessage) message = pop_news (bus);

  if (message == NULL)
    g_error ("no news of devices in %d s", WAIT_SECONDS);
  switch (GST_MESSAGE_TYPE (message)) {
  case GST_MESSAGE_DEVICE_ADDED:
    gst_message_parse_device_added (message, device);
    break;
  case GST_MESSAGE_DEVICE_REMOVED:
    gst_message_parse_device_removed (message, device);
    break;
  default:
#if GST_CHECK_VERSION(1, 16, 0)
    gst_message_parse_device_changed (message, device, NULL);
#endif
    break;
  }
  return GST_MESSAGE_TYPE (message);
}

static void
assert_is (GstDevice *device, const char *channel, const char *caps)
{
  g_autofree char *name = gst_device_get_display_name (device);
  g_autoptr (GstCaps) has = gst_device_get_caps (device);
  g_autoptr (GstCaps) expected = gst_caps_from_string (caps);

  g_assert_cmpstr (name, ==, channel);
  g_assert_true (gst_caps_is_equal (has, expected));
}

static GstMessageType
wait_device (GstBus *bus, const char *channel, const char *caps)
{
  g_autoptr (GstDevice) device = NULL;
  GstMessageType type = wait_news (bus, &device);

  assert_is (device, channel, caps);
  return type;
}

static void
assert_added (GstBus *bus, const char *channel, const char *caps)
{
  g_assert_cmpint (wait_device (bus, channel, caps), ==, GST_MESSAGE_DEVICE_ADDED);
}

static void
assert_removed (GstBus *bus, const char *channel, const char *caps)
{
  g_assert_cmpint (wait_device (bus, channel, caps), ==, GST_MESSAGE_DEVICE_REMOVED);
}

/* Before the first frame, which it then pushes. */
static GstHarness *
start_sink (GstBus *bus, const char *channel)
{
  g_autofree char *properties = g_strconcat ("channel=", channel, NULL);
  GstHarness *sink = elements_harness_new ("ndshsink", properties);

  gst_harness_set_src_caps_str (sink, CAPS);
  assert_added (bus, channel, "ANY");
  gst_harness_push (sink, elements_buffer_new (SIZE, 1));
  assert_removed (bus, channel, "ANY");
  assert_added (bus, channel, CAPS);
  return sink;
}

/* --- Writers -------------------------------------------------------------- */

GST_START_TEST (a_device_comes_and_goes_with_its_writer)
{
  GstDeviceProvider *provider = start_provider ();
  g_autoptr (GstBus) bus = gst_device_provider_get_bus (provider);

  for (guint i = 0; i < 3; i++) {
    GstHarness *sink = start_sink (bus, "test");

    gst_element_set_state (sink->element, GST_STATE_NULL);
    assert_removed (bus, "test", CAPS);
    gst_harness_teardown (sink);
  }
  stop_provider (provider);
}
GST_END_TEST

GST_START_TEST (what_is_there_is_a_device_from_the_start)
{
  GstHarness *sink = elements_harness_new ("ndshsink", "channel=test");
  g_autoptr (GstBus) bus = NULL;
  GstDeviceProvider *provider;
  GList *devices;

  gst_harness_set_src_caps_str (sink, CAPS);
  gst_harness_push (sink, elements_buffer_new (SIZE, 1));
  provider = start_provider ();
  devices = gst_device_provider_get_devices (provider);

  g_assert_cmpuint (g_list_length (devices), ==, 1);
  assert_is (devices->data, "test", CAPS);
  g_assert_true (gst_device_has_classes (devices->data, "Video/Source"));
  g_list_free_full (devices, gst_object_unref);

  bus = gst_device_provider_get_bus (provider);
  gst_harness_teardown (sink);
  /* Whether it was told of as added, too, is up to the release of GStreamer. */
  if (wait_device (bus, "test", CAPS) == GST_MESSAGE_DEVICE_ADDED)
    assert_removed (bus, "test", CAPS);
  stop_provider (provider);
}
GST_END_TEST

GST_START_TEST (other_caps_change_the_device)
{
  static const char *const others
    = "video/x-raw,format=GRAY8,width=2,height=8,framerate=30/1";
  static const char *const audio
    = "audio/x-raw,format=S8,rate=8000,channels=1,layout=interleaved";
  GstDeviceProvider *provider = start_provider ();
  g_autoptr (GstBus) bus = gst_device_provider_get_bus (provider);
  GstHarness *sink = start_sink (bus, "test");
  GList *devices;

  gst_harness_set_src_caps_str (sink, others);
  gst_harness_push (sink, elements_buffer_new (SIZE, 2));
#if GST_CHECK_VERSION(1, 16, 0)
  g_assert_cmpint (wait_device (bus, "test", others), ==, CHANGED);
#else
  assert_removed (bus, "test", CAPS);
  assert_added (bus, "test", others);
#endif
  devices = gst_device_provider_get_devices (provider);
  g_assert_cmpuint (g_list_length (devices), ==, 1);
  assert_is (devices->data, "test", others);
  g_list_free_full (devices, gst_object_unref);

  gst_harness_set_src_caps_str (sink, audio);
  gst_harness_push (sink, elements_buffer_new (SIZE, 3));
  assert_removed (bus, "test", others);
  assert_added (bus, "test", audio);
  gst_harness_teardown (sink);
  stop_provider (provider);
}
GST_END_TEST

/* A child that writes frames of CAPS once it is let go, until it is killed. */
static pid_t
fork_writer (int *go)
{
  NdshArrayInfo info = ndsh_test_bytes (SIZE);
  NdshWriter *writer;
  int ends[2];
  pid_t child;
  char none;

  ndsh_test_socketpair (ends);
  child = fork ();
  g_assert_cmpint (child, >=, 0);
  if (child > 0) {
    close (ends[0]);
    *go = ends[1];
    return child;
  }
  prctl (PR_SET_PDEATHSIG, SIGKILL);
  close (ends[1]);
  (void) !read (ends[0], &none, 1);
  writer = ndsh_test_writer (NULL);
  ndsh_writer_set_description (writer, CAPS, NULL);
  ndsh_draft_publish (ndsh_writer_begin (writer, &info, 1, NULL), NULL);
  for (;;)
    pause ();
}

/* A byte, as other children have the fd too. */
static void
let_go (int go)
{
  g_assert_cmpint (write (go, "g", 1), ==, 1);
  close (go);
}

/* Before its first frame or after, and then with its caps. */
static void
wait_child (GstBus *bus)
{
  g_autoptr (GstDevice) device = NULL;
  g_autoptr (GstCaps) caps = NULL;

  g_assert_cmpint (wait_news (bus, &device), ==, GST_MESSAGE_DEVICE_ADDED);
  caps = gst_device_get_caps (device);
  if (!gst_caps_is_any (caps)) {
    assert_is (device, "test", CAPS);
    return;
  }
  assert_removed (bus, "test", "ANY");
  assert_added (bus, "test", CAPS);
}

GST_START_TEST (a_device_goes_when_its_writer_is_killed)
{
  g_autofree char *path = ndsh_test_path ("test");
  int go[2];
  pid_t writers[2] = { fork_writer (&go[0]), fork_writer (&go[1]) };
  GstDeviceProvider *provider = start_provider ();
  g_autoptr (GstBus) bus = gst_device_provider_get_bus (provider);

  for (guint i = 0; i < 2; i++) {       /* the second takes the name over */
    let_go (go[i]);
    wait_child (bus);
    kill (writers[i], SIGKILL);
    waitpid (writers[i], NULL, 0);
    assert_removed (bus, "test", CAPS);
    g_assert_cmpint (g_access (path, F_OK), ==, 0);
  }
  g_unlink (path);
  stop_provider (provider);
}
GST_END_TEST

/* --- Directories ---------------------------------------------------------- */

GST_START_TEST (a_directory_may_come_later)
{
  g_autofree char *old = g_strdup (g_getenv ("NDSH_DIR"));
  g_autofree char *above = ndsh_test_path ("above");
  g_autofree char *dir = g_build_filename (above, "dir", NULL);
  g_autofree char *lock = g_build_filename (dir, ".test.lock", NULL);
  GstDeviceProvider *provider;
  g_autoptr (GstBus) bus = NULL;

  g_setenv ("NDSH_DIR", dir, TRUE);
  provider = start_provider ();
  bus = gst_device_provider_get_bus (provider);
  g_assert_cmpint (g_mkdir_with_parents (dir, 0700), ==, 0);
  gst_harness_teardown (start_sink (bus, "test"));
  assert_removed (bus, "test", CAPS);
  stop_provider (provider);

  g_unlink (lock);
  g_rmdir (dir);
  g_rmdir (above);
  g_setenv ("NDSH_DIR", old, TRUE);
}
GST_END_TEST

/* --- Applications --------------------------------------------------------- */

GST_START_TEST (a_device_makes_a_source_that_reads)
{
  GstDeviceProvider *provider = start_provider ();
  g_autoptr (GstBus) bus = gst_device_provider_get_bus (provider);
  GstHarness *sink = start_sink (bus, "test"), *src;
  GList *devices = gst_device_provider_get_devices (provider);
  GstElement *source = gst_device_create_element (devices->data, NULL);
  GstBuffer *buffer;

  gst_object_ref_sink (source);
  src = gst_harness_new_with_element (source, NULL, "src");
  gst_harness_use_systemclock (src);
  gst_harness_play (src);
  elements_wait_readers (sink->element, 1);
  gst_harness_push (sink, elements_buffer_new (SIZE, 2));
  buffer = gst_harness_pull (src);
  g_assert_nonnull (buffer);

  gst_buffer_unref (buffer);
  g_list_free_full (devices, gst_object_unref);
  gst_harness_teardown (src);
  gst_object_unref (source);
  gst_harness_teardown (sink);
  stop_provider (provider);
}
GST_END_TEST

/* As long as nobody reads, a sink that waits for a reader does. */
GST_START_TEST (a_provider_is_no_reader)
{
  GstDeviceProvider *provider = start_provider ();
  g_autoptr (GstBus) bus = gst_device_provider_get_bus (provider);
  GstElement *pipeline
    = elements_launch ("videotestsrc ! ndshsink name=sink channel=test "
                       "wait-for-connection=true");
  guint n_readers;

  elements_play (pipeline);
  assert_added (bus, "test", "ANY");
  g_object_get (elements_find (pipeline, "sink"), "num-readers", &n_readers, NULL);
  g_assert_cmpuint (n_readers, ==, 0);
  g_assert_cmpuint (elements_get_stat (elements_find (pipeline, "sink"), "frames-published"),
                    ==, 0);

  elements_stop_promptly (pipeline);
  assert_removed (bus, "test", "ANY");
  stop_provider (provider);
}
GST_END_TEST

GST_START_TEST (who_looks_for_cameras_is_told_of_a_channel_once_it_is_one)
{
  GstDeviceMonitor *monitor = gst_device_monitor_new ();
  g_autoptr (GstBus) bus = gst_device_monitor_get_bus (monitor);
  GstHarness *sink;

  gst_device_monitor_add_filter (monitor, "Video/Source", NULL);
  g_assert_true (gst_device_monitor_start (monitor));
  sink = elements_harness_new ("ndshsink", "channel=test");
  gst_harness_set_src_caps_str (sink, CAPS);
  gst_harness_push (sink, elements_buffer_new (SIZE, 1));
  assert_added (bus, "test", CAPS);
  gst_harness_teardown (sink);
  assert_removed (bus, "test", CAPS);

  gst_device_monitor_stop (monitor);
  gst_object_unref (monitor);
}
GST_END_TEST

/* --- It starts and stops -------------------------------------------------- */

static guint
count_threads (void)
{
  g_autoptr (GDir) threads = g_dir_open ("/proc/self/task", 0, NULL);
  guint n = 0;

  while (g_dir_read_name (threads) != NULL)
    n++;
  return n;
}

GST_START_TEST (starting_and_stopping_leaks_nothing)
{
  GstDeviceProvider *provider = get_provider ();
  GstHarness *sink = elements_harness_new ("ndshsink", "channel=test");
  NdshChannelInfo *info;
  guint n_fds, n_threads;

  gst_harness_set_src_caps_str (sink, CAPS);
  gst_harness_push (sink, elements_buffer_new (SIZE, 1));
  gst_device_provider_start (provider);
  gst_device_provider_stop (provider);
  ndsh_channel_info_free (ndsh_channel_info_new ("test", NULL));
  n_fds = ndsh_test_count_fds ();
  n_threads = count_threads ();
  for (guint i = 0; i < 100; i++) {
    g_assert_true (gst_device_provider_start (provider));
    g_assert_true (gst_device_provider_start (provider));
    gst_device_provider_stop (provider);
    gst_device_provider_stop (provider);
  }
  /* The writer answers once it has seen all of them go; and may still have this fd. */
  info = ndsh_channel_info_new ("test", NULL);
  g_assert_cmpuint (info->n_readers, ==, 0);
  ndsh_channel_info_free (info);

  g_assert_cmpuint (ndsh_test_count_fds (), <=, n_fds + 1);
  g_assert_cmpuint (count_threads (), ==, n_threads);
  gst_object_unref (provider);
  gst_harness_teardown (sink);
}
GST_END_TEST

GST_START_TEST (a_provider_stops_while_channels_come_and_go)
{
  GstDeviceProvider *provider = get_provider ();

  for (guint i = 0; i < 50; i++) {
    NdshWriter *writer;

    g_assert_true (gst_device_provider_start (provider));
    writer = ndsh_test_writer (NULL);
    ndsh_test_publish (writer, SIZE, 1);
    if (i % 2 == 0)
      ndsh_writer_free (writer);
    gst_device_provider_stop (provider);
    if (i % 2 != 0)
      ndsh_writer_free (writer);
  }
  gst_object_unref (provider);
}
GST_END_TEST

static Suite *
devices_suite (void)
{
  Suite *suite = suite_create ("devices");
  TCase *tcase = elements_case_new (suite, "devices");

  tcase_add_test (tcase, a_device_comes_and_goes_with_its_writer);
  tcase_add_test (tcase, what_is_there_is_a_device_from_the_start);
  tcase_add_test (tcase, other_caps_change_the_device);
  tcase_add_test (tcase, a_device_goes_when_its_writer_is_killed);
  tcase_add_test (tcase, a_directory_may_come_later);
  tcase_add_test (tcase, a_device_makes_a_source_that_reads);
  tcase_add_test (tcase, a_provider_is_no_reader);
  tcase_add_test (tcase, who_looks_for_cameras_is_told_of_a_channel_once_it_is_one);
  tcase_add_test (tcase, starting_and_stopping_leaks_nothing);
  tcase_add_test (tcase, a_provider_stops_while_channels_come_and_go);
  return suite;
}

GST_CHECK_MAIN (devices)
