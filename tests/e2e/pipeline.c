/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Runs a pipeline like gst-launch-1.0, and tells the stats of each ndshsink and
 * ndshsrc in it: after the end, and whenever a line comes in on standard input.
 *
 *   pipeline DESCRIPTION...
 *
 * What goes through an element that is called "fill" gets other bytes, which follow
 * from a number that grows, from writer to writer too; one that is called "check" has
 * an event "wrong" told of each picture that is not whole or not newer.
 *
 * Ends with EOS, an error (exit code 1) or SIGINT.
 */
#include <gst/gst.h>

#include <glib-unix.h>
#include <signal.h>

#include "report.h"

typedef struct {
  GstElement *pipeline;
  GMainLoop *loop;
  int exit_code;
  guint64 number;               /* of the last picture */
  gint n_checked;
} Program;

static void append_value (GString *json, const GValue *value);

static gboolean
append_field (GQuark name, const GValue *value, gpointer json)
{
  GString *text = json;

  if (text->len > 0 && text->str[text->len - 1] != '{')
    g_string_append (text, ", ");
  g_string_append_printf (text, "\"%s\": ", g_quark_to_string (name));
  append_value (text, value);
  return TRUE;
}

static void
append_array (GString *json, const GValue *array)
{
  g_string_append_c (json, '[');
  for (guint i = 0; i < gst_value_array_get_size (array); i++) {
    if (i > 0)
      g_string_append (json, ", ");
    append_value (json, gst_value_array_get_value (array, i));
  }
  g_string_append_c (json, ']');
}

static void
append_value (GString *json, const GValue *value)
{
  g_autofree char *text = NULL;

  if (GST_VALUE_HOLDS_STRUCTURE (value)) {
    g_string_append_c (json, '{');
    gst_structure_foreach (gst_value_get_structure (value), append_field, json);
    g_string_append_c (json, '}');
  } else if (GST_VALUE_HOLDS_ARRAY (value)) {
    append_array (json, value);
  } else if (G_VALUE_HOLDS_STRING (value)) {
    text = report_escape (g_value_get_string (value));
    g_string_append_printf (json, "\"%s\"", text);
  } else {
    text = gst_value_serialize (value);
    g_string_append (json, text);
  }
}

static void
print_stats (Program *program, GstElement *element)
{
  g_autoptr (GString) json = g_string_new ("{");
  GValue stats = G_VALUE_INIT;

  g_value_init (&stats, GST_TYPE_STRUCTURE);
  g_object_get_property (G_OBJECT (element), "stats", &stats);
  gst_structure_foreach (gst_value_get_structure (&stats), append_field, json);
  g_print ("%s, \"event\": \"stats\", \"element\": \"%s\", \"now\": %" G_GINT64_FORMAT
           ", \"checked\": %d}\n",
           json->str, GST_ELEMENT_NAME (element), g_get_monotonic_time (),
           g_atomic_int_get (&program->n_checked));
  g_value_unset (&stats);
}

static void
print_all_stats (Program *program)
{
  GstIterator *elements
    = gst_bin_iterate_recurse (GST_BIN (program->pipeline));
  GValue item = G_VALUE_INIT;

  while (gst_iterator_next (elements, &item) == GST_ITERATOR_OK) {
    GstElement *element = g_value_get_object (&item);
    const char *type = G_OBJECT_TYPE_NAME (element);

    if (g_str_equal (type, "GstNdshSink") || g_str_equal (type, "GstNdshSrc"))
      print_stats (program, element);
    g_value_unset (&item);
  }
  gst_iterator_free (elements);
}

static gboolean
on_line (GIOChannel *input, GIOCondition condition, gpointer data)
{
  g_autofree char *line = NULL;

  (void) condition;
  if (g_io_channel_read_line (input, &line, NULL, NULL, NULL)
      != G_IO_STATUS_NORMAL)
    return G_SOURCE_REMOVE;
  print_all_stats (data);
  return G_SOURCE_CONTINUE;
}

static gboolean
on_interrupt (gpointer data)
{
  Program *program = data;

  g_print ("{\"event\": \"interrupted\"}\n");
  g_main_loop_quit (program->loop);
  return G_SOURCE_REMOVE;
}

static void
print_error (GstMessage *message)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;

  gst_message_parse_error (message, &error, NULL);
  text = report_escape (error->message);
  g_print ("{\"event\": \"error\", \"element\": \"%s\", \"message\": \"%s\"}\n",
           GST_MESSAGE_SRC_NAME (message), text);
}

static gboolean
on_message (GstBus *bus, GstMessage *message, gpointer data)
{
  Program *program = data;
  GstState state;

  (void) bus;
  switch (GST_MESSAGE_TYPE (message)) {
  case GST_MESSAGE_EOS:
    g_print ("{\"event\": \"eos\"}\n");
    g_main_loop_quit (program->loop);
    break;
  case GST_MESSAGE_ERROR:
    print_error (message);
    program->exit_code = 1;
    g_main_loop_quit (program->loop);
    break;
  case GST_MESSAGE_STATE_CHANGED:
    gst_message_parse_state_changed (message, NULL, &state, NULL);
    if (GST_MESSAGE_SRC (message) == GST_OBJECT (program->pipeline)
        && state == GST_STATE_PLAYING)
      g_print ("{\"event\": \"playing\"}\n");
    break;
  default:
    break;
  }
  return G_SOURCE_CONTINUE;
}

/* All processes have the one clock, and pictures are further apart than it ticks. */
static GstPadProbeReturn
fill (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstBuffer *buffer = gst_buffer_make_writable (GST_PAD_PROBE_INFO_BUFFER (info));
  GstMapInfo map;

  (void) pad;
  (void) data;
  g_assert (gst_buffer_map (buffer, &map, GST_MAP_WRITE));
  pattern_fill (map.data, map.size, (guint64) g_get_monotonic_time ());
  gst_buffer_unmap (buffer, &map);
  GST_PAD_PROBE_INFO_DATA (info) = buffer;
  return GST_PAD_PROBE_OK;
}

static gboolean
is_gray (GstPad *pad)
{
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (pad);
  const GstStructure *structure = gst_caps_get_structure (caps, 0);

  return g_strcmp0 (gst_structure_get_string (structure, "format"), "GRAY8") == 0;
}

static GstPadProbeReturn
check (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  Program *program = data;
  guint64 last = program->number;
  GstMapInfo map;

  g_assert (gst_buffer_map (buffer, &map, GST_MAP_READ));
  if (!picture_is_right (map.data, map.size, is_gray (pad), &program->number))
    g_print ("{\"event\": \"wrong\", \"after\": %" G_GUINT64_FORMAT "}\n", last);
  gst_buffer_unmap (buffer, &map);
  g_atomic_int_inc (&program->n_checked);
  return GST_PAD_PROBE_OK;
}

static void
add_probe (Program *program, const char *name, GstPadProbeCallback probe)
{
  g_autoptr (GstElement) element
    = gst_bin_get_by_name (GST_BIN (program->pipeline), name);
  g_autoptr (GstPad) pad = NULL;

  if (element == NULL)
    return;
  pad = gst_element_get_static_pad (element, "src");
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, probe, program, NULL);
}

static void
run (Program *program)
{
  GstBus *bus = gst_element_get_bus (program->pipeline);
  GIOChannel *input = g_io_channel_unix_new (0);

  gst_bus_add_watch (bus, on_message, program);
  g_unix_signal_add (SIGINT, on_interrupt, program);
  g_io_add_watch (input, G_IO_IN | G_IO_HUP, on_line, program);
  gst_element_set_state (program->pipeline, GST_STATE_PLAYING);
  g_main_loop_run (program->loop);

  print_all_stats (program);
  gst_element_set_state (program->pipeline, GST_STATE_NULL);
  gst_bus_remove_watch (bus);
  gst_object_unref (bus);
  g_io_channel_unref (input);
}

int
main (int argc, char **argv)
{
  Program program = { 0 };
  g_autoptr (GError) error = NULL;

  gst_init (&argc, &argv);
  program.pipeline
    = gst_parse_launchv ((const char **) argv + 1, &error);
  if (error != NULL) {
    g_printerr ("%s\n", error->message);
    return 2;
  }
  add_probe (&program, "fill", fill);
  add_probe (&program, "check", check);
  program.loop = g_main_loop_new (NULL, FALSE);
  run (&program);
  g_main_loop_unref (program.loop);
  gst_object_unref (program.pipeline);
  return program.exit_code;
}
