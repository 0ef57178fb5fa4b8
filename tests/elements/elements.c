/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "elements.h"

#include <string.h>

TCase *
elements_case_new (Suite *suite, const char *name)
{
  TCase *tcase = tcase_create (name);

  tcase_add_checked_fixture (tcase, ndsh_test_dir_setup, ndsh_test_dir_teardown);
  suite_add_tcase (suite, tcase);
  return tcase;
}

/* --- Pipelines --- */

GstElement *
elements_launch_if_there (const char *line)
{
  g_autoptr (GError) error = NULL;
  GstElement *element
    = gst_parse_launch_full (line, NULL, GST_PARSE_FLAG_FATAL_ERRORS, &error);

  if (g_error_matches (error, GST_PARSE_ERROR, GST_PARSE_ERROR_NO_SUCH_ELEMENT)) {
    g_print ("# skipped, %s: %s\n", error->message, line);
    return NULL;
  }
  g_assert_no_error (error);
  return element;
}

GstElement *
elements_launch (const char *description, ...)
{
  g_autofree char *line = NULL;
  GstElement *element;
  va_list arguments;

  va_start (arguments, description);
  line = g_strdup_vprintf (description, arguments);
  va_end (arguments);
  element = elements_launch_if_there (line);
  if (element == NULL)
    g_error ("an element is missing: %s", line);
  return element;
}

void
elements_play (GstElement *pipeline)
{
  g_assert_cmpint (gst_element_set_state (pipeline, GST_STATE_PLAYING), !=,
                   GST_STATE_CHANGE_FAILURE);
}

void
elements_stop (GstElement *pipeline)
{
  g_assert_cmpint (gst_element_set_state (pipeline, GST_STATE_NULL), ==,
                   GST_STATE_CHANGE_SUCCESS);
  gst_object_unref (pipeline);
}

static gpointer
stop_thread (gpointer pipeline)
{
  gst_element_set_state (pipeline, GST_STATE_NULL);
  return NULL;
}

void
elements_stop_promptly (GstElement *pipeline)
{
  gint64 before = g_get_monotonic_time ();
  GThread *thread = g_thread_new ("stop", stop_thread, pipeline);

  /* If it hangs, the time limit of the test ends it. */
  g_thread_join (thread);
  g_assert_cmpint (g_get_monotonic_time () - before, <, 5 * G_USEC_PER_SEC);
  gst_object_unref (pipeline);
}

GstMessage *
elements_wait_message (GstElement *pipeline, GstMessageType types)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  GstMessage *message = gst_bus_timed_pop_filtered (
    bus, WAIT_SECONDS * GST_SECOND, types | GST_MESSAGE_ERROR);

  if (message == NULL)
    g_error ("no message in %d s", WAIT_SECONDS);
  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR
      && (types & GST_MESSAGE_ERROR) == 0) {
    g_autoptr (GError) error = NULL;
    g_autofree char *debug = NULL;

    gst_message_parse_error (message, &error, &debug);
    g_error ("%s: %s (%s)", GST_MESSAGE_SRC_NAME (message), error->message,
             debug);
  }
  return message;
}

void
elements_wait_eos (GstElement *pipeline)
{
  gst_message_unref (elements_wait_message (pipeline, GST_MESSAGE_EOS));
}

void
elements_wait_error (GstElement *pipeline, const char *name, GQuark domain,
                     gint code, const char *part)
{
  g_autoptr (GstMessage) message
    = elements_wait_message (pipeline, GST_MESSAGE_ERROR);
  g_autoptr (GError) error = NULL;

  gst_message_parse_error (message, &error, NULL);
  g_assert_cmpstr (GST_MESSAGE_SRC_NAME (message), ==, name);
  g_assert_error (error, domain, code);
  if (strstr (error->message, part) == NULL)
    g_error ("\"%s\" is not in \"%s\"", part, error->message);
}

GstElement *
elements_find (GstElement *pipeline, const char *name)
{
  GstElement *element = gst_bin_get_by_name (GST_BIN (pipeline), name);

  g_assert_nonnull (element);
  gst_object_unref (element);
  return element;
}

/* --- What elements tell --- */

guint64
elements_get_stat (GstElement *element, const char *key)
{
  GstStructure *stats;
  guint64 value;

  g_object_get (element, "stats", &stats, NULL);
  if (!gst_structure_get_uint64 (stats, key, &value))
    g_error ("there is no %s in the statistics", key);
  gst_structure_free (stats);
  return value;
}

typedef struct {
  GMutex lock;
  GCond changed;
} Watch;

static void
on_notify (GstElement *element, GParamSpec *pspec, Watch *watch)
{
  (void) element;
  (void) pspec;
  g_mutex_lock (&watch->lock);
  g_cond_broadcast (&watch->changed);
  g_mutex_unlock (&watch->lock);
}

static void
free_watch (gpointer data, GClosure *closure)
{
  Watch *watch = data;

  (void) closure;
  g_mutex_clear (&watch->lock);
  g_cond_clear (&watch->changed);
  g_free (watch);
}

static gint
get_int (GstElement *element, const char *property)
{
  GParamSpec *spec = g_object_class_find_property (G_OBJECT_GET_CLASS (element), property);
  GValue value = G_VALUE_INIT, number = G_VALUE_INIT;
  gint result;

  /* GLib before 2.60 does not do the former. */
  g_value_init (&value, spec->value_type);
  g_value_init (&number, G_TYPE_INT);
  g_object_get_property (G_OBJECT (element), property, &value);
  g_value_transform (&value, &number);
  result = g_value_get_int (&number);
  g_value_unset (&value);
  return result;
}

static void
wait_value (GstElement *element, const char *property, gint wanted)
{
  gint64 deadline = g_get_monotonic_time () + WAIT_SECONDS * G_USEC_PER_SEC;
  g_autofree char *signal = g_strconcat ("notify::", property, NULL);
  Watch *watch = g_new (Watch, 1);
  gulong id;

  g_mutex_init (&watch->lock);
  g_cond_init (&watch->changed);
  /* A handler that runs when it is disconnected uses the watch after that. */
  id = g_signal_connect_data (element, signal, G_CALLBACK (on_notify), watch,
                              free_watch, 0);
  g_mutex_lock (&watch->lock);
  while (get_int (element, property) != wanted)
    if (!g_cond_wait_until (&watch->changed, &watch->lock, deadline))
      g_error ("%s is %d, not %d", property, get_int (element, property), wanted);
  g_mutex_unlock (&watch->lock);
  g_signal_handler_disconnect (element, id);
}

void
elements_wait_readers (GstElement *sink, guint n)
{
  wait_value (sink, "num-readers", (gint) n);
}

void
elements_wait_property (GstElement *element, const char *property)
{
  wait_value (element, property, TRUE);
}

/* The value behind the one that @value has, or the first. */
static void
set_next_enum (const GParamSpecEnum *pspec, GValue *value)
{
  const GEnumClass *klass = pspec->enum_class;
  guint i = 0;

  while (klass->values[i].value != g_value_get_enum (value))
    i++;
  g_value_set_enum (value, klass->values[(i + 1) % klass->n_values].value);
}

/* Another than the default, and than that of most others. */
static void
init_other (GParamSpec *pspec, GValue *value, guint number)
{
  g_value_init (value, pspec->value_type);
  g_param_value_set_default (pspec, value);
  if (G_VALUE_HOLDS_STRING (value))
    g_value_set_static_string (value, "other");
  else if (G_VALUE_HOLDS_BOOLEAN (value))
    g_value_set_boolean (value, !g_value_get_boolean (value));
  else if (G_VALUE_HOLDS_INT (value))
    g_value_set_int (value, (gint) number);
  else if (G_VALUE_HOLDS_UINT (value))
    g_value_set_uint (value, number);
  else if (G_VALUE_HOLDS_UINT64 (value))
    g_value_set_uint64 (value, number);
  else if (G_VALUE_HOLDS_INT64 (value))
    g_value_set_int64 (value, number);
  else if (G_VALUE_HOLDS_ENUM (value))
    set_next_enum ((GParamSpecEnum *) pspec, value);
  else if (GST_VALUE_HOLDS_FRACTION (value))
    gst_value_set_fraction (value, (gint) number, 7);
  else if (GST_VALUE_HOLDS_CAPS (value))
    g_value_take_boxed (value, gst_caps_new_empty_simple ("video/x-raw"));
  else
    g_error ("%s is of a type that no value is known of", pspec->name);
}

static gboolean
is_own_property (GstElement *element, const GParamSpec *pspec)
{
  return pspec->owner_type == G_OBJECT_TYPE (element)
         && (pspec->flags & G_PARAM_WRITABLE) != 0;
}

void
elements_assert_properties_are_kept (const char *name)
{
  GstElement *element = elements_launch ("%s", name);
  guint n, n_own = 0;
  g_autofree GParamSpec **list
    = g_object_class_list_properties (G_OBJECT_GET_CLASS (element), &n);
  g_autofree GValue *values = g_new0 (GValue, n);

  for (guint i = 0; i < n; i++) {
    if (!is_own_property (element, list[i]))
      continue;
    init_other (list[i], &values[i], 2 + n_own++);
    g_object_set_property (G_OBJECT (element), list[i]->name, &values[i]);
  }
  g_assert_cmpuint (n_own, >, 5);
  for (guint i = 0; i < n; i++) {
    g_auto (GValue) kept = G_VALUE_INIT;

    if (!is_own_property (element, list[i]))
      continue;
    g_value_init (&kept, list[i]->value_type);
    g_object_get_property (G_OBJECT (element), list[i]->name, &kept);
    if (gst_value_compare (&kept, &values[i]) != GST_VALUE_EQUAL)
      g_error ("%s of %s is not what it was set to", list[i]->name, name);
    g_value_unset (&values[i]);
  }
  gst_object_unref (element);
}

/* --- Two harnesses --- */

GstHarness *
elements_harness_new (const char *element, const char *properties)
{
  GstElement *made = elements_launch ("%s %s", element, properties);
  gboolean is_sink = strcmp (element, "ndshsink") == 0;
  GstHarness *harness = gst_harness_new_with_element (
    made, is_sink ? "sink" : NULL, is_sink ? NULL : "src");

  gst_object_unref (made);
  gst_harness_use_systemclock (harness);
  return harness;
}

void
elements_wait_event (GstHarness *harness, GstEventType type)
{
  GstEventType found;

  do {
    GstEvent *event = gst_harness_pull_event (harness);

    g_assert_nonnull (event);
    found = GST_EVENT_TYPE (event);
    gst_event_unref (event);
  } while (found != type);
}

Link *
link_new (const char *sink_properties, const char *src_properties,
          const char *caps, gboolean takes_layouts)
{
  Link *link = g_new0 (Link, 1);

  link->sink = elements_harness_new ("ndshsink", sink_properties);
  link->src = elements_harness_new ("ndshsrc", src_properties);
  if (takes_layouts)
    gst_harness_add_propose_allocation_meta (link->src,
                                             GST_VIDEO_META_API_TYPE, NULL);
  gst_harness_play (link->src);
  elements_wait_readers (link->sink->element, 1);
  if (caps != NULL)
    gst_harness_set_src_caps_str (link->sink, caps);
  return link;
}

void
link_free (Link *link)
{
  gst_harness_teardown (link->src);
  gst_harness_teardown (link->sink);
  g_free (link);
}

GstBuffer *
link_pass (Link *link, GstBuffer *buffer)
{
  GstBuffer *arrived;

  g_assert_cmpint (gst_harness_push (link->sink, buffer), ==, GST_FLOW_OK);
  arrived = gst_harness_pull (link->src);
  g_assert_nonnull (arrived);
  return arrived;
}

void
link_set_caps (Link *link, const char *caps)
{
  gst_harness_set_src_caps_str (link->sink, caps);
}

GstCaps *
link_get_caps (Link *link)
{
  return gst_pad_get_current_caps (link->src->sinkpad);
}

GstBufferPool *
elements_take_pool (GstElement *sink, GstCaps *caps)
{
  GstQuery *query = gst_query_new_allocation (caps, TRUE);
  g_autoptr (GstPad) pad = gst_element_get_static_pad (sink, "sink");
  GstBufferPool *pool;

  g_assert_true (gst_pad_query (pad, query));
  gst_query_parse_nth_allocation_pool (query, 0, &pool, NULL, NULL, NULL);
  g_assert_nonnull (pool);
  gst_query_unref (query);
  g_assert_true (gst_buffer_pool_set_active (pool, TRUE));
  return pool;
}

GstBuffer *
elements_acquire (GstBufferPool *pool)
{
  GstBuffer *buffer;

  g_assert_cmpint (gst_buffer_pool_acquire_buffer (pool, &buffer, NULL), ==,
                   GST_FLOW_OK);
  return buffer;
}

/* --- Bytes --- */

/* Formats are numbered without gaps. Not by asking for names until there is none: from
 * 1.24 on that is a critical message. */
guint
elements_last_format (void)
{
  GEnumClass *formats = g_type_class_ref (GST_TYPE_VIDEO_FORMAT);
  guint last = (guint) formats->maximum;

  g_type_class_unref (formats);
  return last;
}

void
elements_fill (GstBuffer *buffer, guint seed)
{
  GstMapInfo map;

  g_assert_true (gst_buffer_map (buffer, &map, GST_MAP_WRITE));
  for (gsize i = 0; i < map.size; i++)
    map.data[i] = (guint8) (i * 31 + seed);
  gst_buffer_unmap (buffer, &map);
}

GstBuffer *
elements_buffer_new (gsize size, guint seed)
{
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, size, NULL);

  elements_fill (buffer, seed);
  return buffer;
}

void
elements_assert_equal_bytes (GstBuffer *a, GstBuffer *b)
{
  GstMapInfo map_a, map_b;

  g_assert_true (gst_buffer_map (a, &map_a, GST_MAP_READ));
  g_assert_true (gst_buffer_map (b, &map_b, GST_MAP_READ));
  g_assert_cmpmem (map_a.data, map_a.size, map_b.data, map_b.size);
  gst_buffer_unmap (a, &map_a);
  gst_buffer_unmap (b, &map_b);
}
