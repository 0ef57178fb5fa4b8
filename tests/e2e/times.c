/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Runs a pipeline like gst-launch-1.0 and tells of each buffer when it came and what
 * time it has.
 *
 *   times [--clock=CLOCK] DESCRIPTION...
 *
 * Elements whose name begins with "probe" are listened to at their sink pad, sources
 * at their source pad; those with "show" also when they render, if they can say so.
 * Times are nanoseconds. "now" is CLOCK_MONOTONIC, which all processes share; "due" is
 * the moment on that clock which a buffer's PTS stands for in this pipeline, so those
 * of two pipelines can be compared whatever their clocks and base times are.
 *
 * CLOCK is of the pipeline: monotonic and realtime are the system's; coarse moves in
 * steps of 10 ms and began with this process, like one that counts the samples of a
 * sound card; fast gains 1 ms in a second; net is learnt over the network, from one that
 * began with this process.
 *
 * Commands come on standard input, one a line; each is answered by an event "did":
 *
 *   pause, play, ready, null
 *   flush-seek SECONDS [RATE [STOP]]
 *   loop SECONDS STOP TIMES    seeks there now and, TIMES in all, at each EOS
 *   set ELEMENT PROPERTY VALUE
 *   get ELEMENT PROPERTY       and an event "value" comes before
 *   latency                    and an event "latency" comes before
 *   eos                        into the pipeline's sources
 *   quit
 *
 * EOS ends nothing, so that a player can seek back. An error does (exit code 1), and
 * SIGINT.
 */
#include <gst/gst.h>
#include <gst/net/net.h>

#include <glib-unix.h>
#include <signal.h>
#include <string.h>

#include "report.h"

/* --- Clocks --- */

/* Time that passes at another pace than CLOCK_MONOTONIC, or in steps. */
typedef struct {
  GstSystemClock parent;
  GstClockTime origin;          /* CLOCK_MONOTONIC at its 0 */
  GstClockTime step;
  guint64 per_mille;            /* of the real pace */
} TestClock;

typedef GstSystemClockClass TestClockClass;

static GType test_clock_get_type (void);
G_DEFINE_TYPE (TestClock, test_clock, GST_TYPE_SYSTEM_CLOCK)

static GstClockTime
test_clock_get_internal_time (GstClock *clock)
{
  TestClock *self = (TestClock *) clock;
  GstClockTime time
    = (gst_util_get_timestamp () - self->origin) * self->per_mille / 1000;

  return time - time % self->step;
}

static void
test_clock_init (TestClock *self)
{
  self->origin = gst_util_get_timestamp ();
  self->step = 1;
  self->per_mille = 1000;
}

static void
test_clock_class_init (TestClockClass *klass)
{
  GST_CLOCK_CLASS (klass)->get_internal_time = test_clock_get_internal_time;
}

/* Pipelines and elements take new references, so a floating one must be sunk. */
static GstClock *
new_test_clock (GstClockTime step, guint64 per_mille)
{
  TestClock *clock = g_object_new (test_clock_get_type (), NULL);

  clock->step = step;
  clock->per_mille = per_mille;
  return gst_object_ref_sink (clock);
}

static GstClock *
new_system_clock (GstClockType type)
{
  return gst_object_ref_sink (
    g_object_new (GST_TYPE_SYSTEM_CLOCK, "clock-type", type, NULL));
}

/* As the pipelines of several boards share one. */
static GstClock *
new_net_clock (void)
{
  GstClock *original = new_test_clock (1, 1000);
  GstNetTimeProvider *provider
    = gst_net_time_provider_new (original, "127.0.0.1", 0);
  GstClock *clock;
  gint port;

  g_object_get (provider, "port", &port, NULL);
  clock = gst_object_ref_sink (
    gst_net_client_clock_new (NULL, "127.0.0.1", port, 0));
  g_object_set_data_full (G_OBJECT (clock), "provider", provider, gst_object_unref);
  gst_object_unref (original);
  gst_clock_wait_for_sync (clock, GST_CLOCK_TIME_NONE);
  return clock;
}

static GstClock *
new_clock (const char *name)
{
  if (g_str_equal (name, "monotonic"))
    return new_system_clock (GST_CLOCK_TYPE_MONOTONIC);
  if (g_str_equal (name, "realtime"))
    return new_system_clock (GST_CLOCK_TYPE_REALTIME);
  if (g_str_equal (name, "coarse"))
    return new_test_clock (10 * GST_MSECOND, 1000);
  if (g_str_equal (name, "fast"))
    return new_test_clock (1, 1001);
  if (g_str_equal (name, "net"))
    return new_net_clock ();
  return NULL;
}

/* --- The program --- */

typedef struct {
  GstElement *pipeline;
  GMainLoop *loop;
  GstClock *clock;
  /* What to add to the system's clocks for CLOCK_MONOTONIC. */
  GstClockTimeDiff offset;
  gdouble loop_start, loop_stop;
  guint n_loops;                /* to come */
  int exit_code;
} Program;

/* Who was interrupted between two looks has too large a distance. */
static GstClockTimeDiff
measure_offset (GstClock *clock)
{
  GstClockTimeDiff offset = 0, shortest = G_MAXINT64;

  for (int i = 0; i < 20; i++) {
    GstClockTimeDiff before = (GstClockTimeDiff) gst_util_get_timestamp ();
    GstClockTimeDiff time = (GstClockTimeDiff) gst_clock_get_time (clock);
    GstClockTimeDiff after = (GstClockTimeDiff) gst_util_get_timestamp ();

    if (after - before >= shortest)
      continue;
    shortest = after - before;
    offset = before + shortest / 2 - time;
  }
  return offset;
}

static void
use_clock (Program *program, GstClock *clock)
{
  program->clock = clock;
  if (!G_TYPE_CHECK_INSTANCE_TYPE (clock, test_clock_get_type ()))
    program->offset = measure_offset (clock);
  gst_pipeline_use_clock (GST_PIPELINE (program->pipeline), clock);
}

static GstClockTimeDiff
to_monotonic (const Program *program, GstClockTimeDiff time)
{
  const TestClock *clock = (const TestClock *) program->clock;

  if (program->clock == NULL)   /* the pipeline's own is the monotonic one */
    return time;
  if (!G_TYPE_CHECK_INSTANCE_TYPE (clock, test_clock_get_type ()))
    return time + program->offset;
  return (GstClockTimeDiff) clock->origin
         + time * 1000 / (GstClockTimeDiff) clock->per_mille;
}

/* --- What is told --- */

static GString *
begin_event (const char *name)
{
  GString *json = g_string_new (NULL);

  g_string_printf (json, "{\"event\": \"%s\"", name);
  return json;
}

static void
add_integer (GString *json, const char *name, gint64 value)
{
  g_string_append_printf (json, ", \"%s\": %" G_GINT64_FORMAT, name, value);
}

static void
add_time (GString *json, const char *name, GstClockTime time)
{
  if (GST_CLOCK_TIME_IS_VALID (time))
    add_integer (json, name, (gint64) time);
  else
    g_string_append_printf (json, ", \"%s\": null", name);
}

static void
add_boolean (GString *json, const char *name, gboolean value)
{
  g_string_append_printf (json, ", \"%s\": %s", name, value ? "true" : "false");
}

static void
add_text (GString *json, const char *name, const char *text)
{
  g_autofree char *escaped = report_escape (text);

  g_string_append_printf (json, ", \"%s\": \"%s\"", name, escaped);
}

/* Takes @json. */
static void
end_event (GString *json)
{
  g_print ("%s}\n", json->str);
  g_string_free (json, TRUE);
}

/* --- Buffers and events --- */

typedef struct {
  Program *program;
  const char *name;
  GstSegment segment;           /* only the streaming thread */
} Probe;

static void
add_pipeline_time (GString *json, Program *program)
{
  GstClock *clock = gst_element_get_clock (program->pipeline);
  GstClockTime base = gst_element_get_base_time (program->pipeline);

  add_time (json, "now", gst_util_get_timestamp ());
  if (clock == NULL) {
    g_string_append (json, ", \"running\": null");
    return;
  }
  add_integer (json, "running",
               GST_CLOCK_DIFF (base, gst_clock_get_time (clock)));
  gst_object_unref (clock);
}

/* Before the pipeline plays for the first time nothing is due at any time. */
static void
add_due_time (GString *json, Program *program, GstClockTimeDiff running)
{
  GstClock *clock = gst_element_get_clock (program->pipeline);
  GstClockTime base = gst_element_get_base_time (program->pipeline);

  if (clock == NULL)
    return;
  gst_object_unref (clock);
  add_integer (json, "due",
               to_monotonic (program, (GstClockTimeDiff) base + running));
}

static void
add_times (GString *json, Probe *probe, GstBuffer *buffer)
{
  guint64 running;
  gint sign = 0;

  add_time (json, "pts", GST_BUFFER_PTS (buffer));
  add_time (json, "dts", GST_BUFFER_DTS (buffer));
  add_time (json, "duration", GST_BUFFER_DURATION (buffer));
  if (probe->segment.format == GST_FORMAT_TIME
      && GST_BUFFER_PTS_IS_VALID (buffer))
    sign = gst_segment_to_running_time_full (&probe->segment, GST_FORMAT_TIME,
                                             GST_BUFFER_PTS (buffer), &running);
  if (sign == 0)
    return;
  add_integer (json, "running_pts", sign * (gint64) running);
  add_due_time (json, probe->program, sign * (GstClockTimeDiff) running);
}

static void
print_buffer (Probe *probe, const char *event, GstBuffer *buffer)
{
  GString *json = begin_event (event);

  add_pipeline_time (json, probe->program);
  add_text (json, "at", probe->name);
  add_times (json, probe, buffer);
  add_time (json, "offset", GST_BUFFER_OFFSET (buffer));
  add_integer (json, "size", (gint64) gst_buffer_get_size (buffer));
  add_boolean (json, "discont",
               GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DISCONT));
  add_boolean (json, "delta",
               GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DELTA_UNIT));
  end_event (json);
}

static void
print_segment (Probe *probe)
{
  const GstSegment *segment = &probe->segment;
  GString *json = begin_event ("segment");

  add_pipeline_time (json, probe->program);
  add_text (json, "at", probe->name);
  add_text (json, "format", gst_format_get_name (segment->format));
  add_time (json, "start", segment->start);
  add_time (json, "stop", segment->stop);
  add_time (json, "base", segment->base);
  add_time (json, "time", segment->time);
  g_string_append_printf (json, ", \"rate\": %g", segment->rate);
  end_event (json);
}

static void
print_caps (Probe *probe, GstEvent *event)
{
  GString *json = begin_event ("caps");
  g_autofree char *text = NULL;
  GstCaps *caps;

  gst_event_parse_caps (event, &caps);
  text = gst_caps_to_string (caps);
  add_text (json, "at", probe->name);
  add_text (json, "caps", text);
  end_event (json);
}

static void
print_event (Probe *probe, const char *name)
{
  GString *json = begin_event (name);

  add_pipeline_time (json, probe->program);
  add_text (json, "at", probe->name);
  end_event (json);
}

static void
note_event (Probe *probe, GstEvent *event)
{
  switch (GST_EVENT_TYPE (event)) {
  case GST_EVENT_SEGMENT:
    gst_event_copy_segment (event, &probe->segment);
    print_segment (probe);
    break;
  case GST_EVENT_CAPS:
    print_caps (probe, event);
    break;
  case GST_EVENT_EOS:
    print_event (probe, "end");
    break;
  case GST_EVENT_FLUSH_STOP:
    print_event (probe, "flush");
    break;
  default:
    break;
  }
}

static GstPadProbeReturn
on_data (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  (void) pad;
  if (GST_PAD_PROBE_INFO_TYPE (info) & GST_PAD_PROBE_TYPE_BUFFER)
    print_buffer (data, "buffer", GST_PAD_PROBE_INFO_BUFFER (info));
  else
    note_event (data, GST_PAD_PROBE_INFO_EVENT (info));
  return GST_PAD_PROBE_OK;
}

static void
on_handoff (GstElement *element, GstBuffer *buffer, GstPad *pad, gpointer data)
{
  (void) element;
  (void) pad;
  print_buffer (data, "shown", buffer);
}

static void
listen (Program *program, GstElement *element)
{
  GstPad *pad = gst_element_get_static_pad (element, "sink");
  Probe *probe = g_new0 (Probe, 1);     /* as old as the process */

  probe->program = program;
  probe->name = g_intern_string (GST_ELEMENT_NAME (element));
  gst_segment_init (&probe->segment, GST_FORMAT_UNDEFINED);
  if (pad == NULL)
    pad = gst_element_get_static_pad (element, "src");
  gst_pad_add_probe (pad,
                     GST_PAD_PROBE_TYPE_BUFFER
                       | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM
                       | GST_PAD_PROBE_TYPE_EVENT_FLUSH,
                     on_data, probe, NULL);
  gst_object_unref (pad);

  if (g_str_has_prefix (probe->name, "show")
      && g_object_class_find_property (G_OBJECT_GET_CLASS (element),
                                       "signal-handoffs") != NULL) {
    g_object_set (element, "signal-handoffs", TRUE, NULL);
    g_signal_connect (element, "handoff", G_CALLBACK (on_handoff), probe);
  }
}

/* Not in bins: an element that is one has pads of its own. */
static void
listen_to_all (Program *program)
{
  GstIterator *elements
    = gst_bin_iterate_elements (GST_BIN (program->pipeline));
  GValue item = G_VALUE_INIT;

  while (gst_iterator_next (elements, &item) == GST_ITERATOR_OK) {
    GstElement *element = g_value_get_object (&item);

    if (g_str_has_prefix (GST_ELEMENT_NAME (element), "probe")
        || g_str_has_prefix (GST_ELEMENT_NAME (element), "show"))
      listen (program, element);
    g_value_unset (&item);
  }
  gst_iterator_free (elements);
}

/* --- Commands --- */

static gboolean
set_state (Program *program, GstState state)
{
  return gst_element_set_state (program->pipeline, state)
         != GST_STATE_CHANGE_FAILURE;
}

/* Without a limit if @stop is not after @start. */
static gboolean
seek (Program *program, gdouble start, gdouble rate, gdouble stop)
{
  gint64 end = stop > start ? (gint64) (stop * GST_SECOND) : -1;

  return gst_element_seek (program->pipeline, rate, GST_FORMAT_TIME,
                           GST_SEEK_FLAG_FLUSH | GST_SEEK_FLAG_ACCURATE,
                           GST_SEEK_TYPE_SET, (gint64) (start * GST_SECOND),
                           GST_SEEK_TYPE_SET, end);
}

/* @words: SECONDS [RATE [STOP]] */
static gboolean
flush_seek (Program *program, char **words)
{
  gdouble rate = 1, stop = 0;

  if (words[1] != NULL)
    rate = g_ascii_strtod (words[1], NULL);
  if (words[1] != NULL && words[2] != NULL)
    stop = g_ascii_strtod (words[2], NULL);
  return seek (program, g_ascii_strtod (words[0], NULL), rate, stop);
}

static void
go_on_with_loop (Program *program)
{
  if (program->n_loops == 0)
    return;
  program->n_loops--;
  seek (program, program->loop_start, 1, program->loop_stop);
}

/* @words: SECONDS STOP TIMES */
static gboolean
loop (Program *program, char **words)
{
  program->loop_start = g_ascii_strtod (words[0], NULL);
  program->loop_stop = g_ascii_strtod (words[1], NULL);
  program->n_loops = (guint) g_ascii_strtoull (words[2], NULL, 10);
  go_on_with_loop (program);
  return TRUE;
}

/* @words: ELEMENT PROPERTY VALUE */
static gboolean
set_property (Program *program, char **words)
{
  g_autoptr (GstElement) element
    = gst_bin_get_by_name (GST_BIN (program->pipeline), words[0]);

  if (element == NULL)
    return FALSE;
  gst_util_set_object_arg (G_OBJECT (element), words[1], words[2]);
  return TRUE;
}

/* @words: ELEMENT PROPERTY */
static gboolean
get_property (Program *program, char **words)
{
  g_autoptr (GstElement) element
    = gst_bin_get_by_name (GST_BIN (program->pipeline), words[0]);
  GParamSpec *spec = element != NULL ? g_object_class_find_property (
                       G_OBJECT_GET_CLASS (element), words[1])
                                     : NULL;
  g_autofree char *text = NULL;
  GValue value = G_VALUE_INIT;
  GString *json;

  if (spec == NULL)
    return FALSE;
  g_value_init (&value, spec->value_type);
  g_object_get_property (G_OBJECT (element), words[1], &value);
  text = GST_VALUE_HOLDS_STRUCTURE (&value)
           ? gst_structure_to_string (gst_value_get_structure (&value))
           : gst_value_serialize (&value);
  g_value_unset (&value);
  json = begin_event ("value");
  add_text (json, "element", words[0]);
  add_text (json, "property", words[1]);
  add_text (json, "value", text);
  end_event (json);
  return TRUE;
}

static gboolean
print_latency (Program *program)
{
  GstQuery *query = gst_query_new_latency ();
  GString *json = begin_event ("latency");
  gboolean live = FALSE, answered;
  GstClockTime min = 0, max = GST_CLOCK_TIME_NONE;

  answered = gst_element_query (program->pipeline, query);
  if (answered)
    gst_query_parse_latency (query, &live, &min, &max);
  gst_query_unref (query);
  add_boolean (json, "live", live);
  add_time (json, "min", min);
  add_time (json, "max", max);
  end_event (json);
  return answered;
}

static gboolean
quit (Program *program)
{
  g_main_loop_quit (program->loop);
  return TRUE;
}

/* TRUE if it could be done. */
static gboolean
obey (Program *program, char **words)
{
  const char *command = words[0];
  guint n = g_strv_length (words);

  if (g_strcmp0 (command, "pause") == 0)
    return set_state (program, GST_STATE_PAUSED);
  if (g_strcmp0 (command, "play") == 0)
    return set_state (program, GST_STATE_PLAYING);
  if (g_strcmp0 (command, "ready") == 0)
    return set_state (program, GST_STATE_READY);
  if (g_strcmp0 (command, "null") == 0)
    return set_state (program, GST_STATE_NULL);
  if (g_strcmp0 (command, "flush-seek") == 0 && n >= 2)
    return flush_seek (program, words + 1);
  if (g_strcmp0 (command, "loop") == 0 && n == 4)
    return loop (program, words + 1);
  if (g_strcmp0 (command, "set") == 0 && n == 4)
    return set_property (program, words + 1);
  if (g_strcmp0 (command, "get") == 0 && n == 3)
    return get_property (program, words + 1);
  if (g_strcmp0 (command, "latency") == 0)
    return print_latency (program);
  if (g_strcmp0 (command, "eos") == 0)
    return gst_element_send_event (program->pipeline, gst_event_new_eos ());
  if (g_strcmp0 (command, "quit") == 0)
    return quit (program);
  return FALSE;
}

/* "began" and "now" enclose what was done: what was captured in between may be of
 * either side. */
static void
obey_and_tell (Program *program, const char *line)
{
  g_auto (GStrv) words = g_strsplit (line, " ", -1);
  GstClockTime began = gst_util_get_timestamp ();
  gboolean done = obey (program, words);
  GString *json = begin_event ("did");

  add_text (json, "line", line);
  add_boolean (json, "done", done);
  add_time (json, "began", began);
  add_time (json, "now", gst_util_get_timestamp ());
  end_event (json);
}

static gboolean
on_line (GIOChannel *input, GIOCondition condition, gpointer data)
{
  g_autofree char *line = NULL;
  Program *program = data;

  (void) condition;
  if (g_io_channel_read_line (input, &line, NULL, NULL, NULL)
      != G_IO_STATUS_NORMAL) {
    g_main_loop_quit (program->loop);
    return G_SOURCE_REMOVE;
  }
  obey_and_tell (program, g_strchomp (line));
  return G_SOURCE_CONTINUE;
}

static gboolean
on_interrupt (gpointer data)
{
  Program *program = data;

  g_main_loop_quit (program->loop);
  return G_SOURCE_REMOVE;
}

/* --- Messages --- */

static void
print_message (GstMessage *message, const char *name)
{
  g_autoptr (GError) error = NULL;
  GString *json = begin_event (name);

  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR)
    gst_message_parse_error (message, &error, NULL);
  else
    gst_message_parse_warning (message, &error, NULL);
  add_text (json, "element", GST_MESSAGE_SRC_NAME (message));
  add_text (json, "message", error->message);
  end_event (json);
}

static void
print_state (Program *program, GstMessage *message)
{
  GString *json;
  GstState state;

  if (GST_MESSAGE_SRC (message) != GST_OBJECT (program->pipeline))
    return;
  gst_message_parse_state_changed (message, NULL, &state, NULL);
  json = begin_event ("state");
  add_text (json, "state", gst_element_state_get_name (state));
  add_time (json, "now", gst_util_get_timestamp ());
  end_event (json);
}

static gboolean
on_message (GstBus *bus, GstMessage *message, gpointer data)
{
  Program *program = data;

  (void) bus;
  switch (GST_MESSAGE_TYPE (message)) {
  case GST_MESSAGE_EOS:
    end_event (begin_event ("eos"));
    go_on_with_loop (program);
    break;
  case GST_MESSAGE_WARNING:
    print_message (message, "warning");
    break;
  case GST_MESSAGE_ERROR:
    print_message (message, "error");
    program->exit_code = 1;
    g_main_loop_quit (program->loop);
    break;
  case GST_MESSAGE_LATENCY:
    gst_bin_recalculate_latency (GST_BIN (program->pipeline));
    break;
  case GST_MESSAGE_STATE_CHANGED:
    print_state (program, message);
    break;
  default:
    break;
  }
  return G_SOURCE_CONTINUE;
}

static void
run (Program *program)
{
  GstBus *bus = gst_element_get_bus (program->pipeline);
  GIOChannel *input = g_io_channel_unix_new (0);

  program->loop = g_main_loop_new (NULL, FALSE);
  gst_bus_add_watch (bus, on_message, program);
  g_unix_signal_add (SIGINT, on_interrupt, program);
  g_io_add_watch (input, G_IO_IN | G_IO_HUP, on_line, program);
  gst_element_set_state (program->pipeline, GST_STATE_PLAYING);
  g_main_loop_run (program->loop);

  gst_element_set_state (program->pipeline, GST_STATE_NULL);
  gst_bus_remove_watch (bus);
  gst_object_unref (bus);
  g_io_channel_unref (input);
  g_main_loop_unref (program->loop);
}

/* Even a single element is put into a pipeline: only that has a clock. */
static GstElement *
parse (char **description)
{
  g_autoptr (GError) error = NULL;
  GstElement *parsed
    = gst_parse_launchv ((const char **) description, &error);
  GstElement *pipeline;

  if (error != NULL) {
    g_printerr ("%s\n", error->message);
    g_clear_pointer (&parsed, gst_object_unref);
    return NULL;
  }
  if (GST_IS_PIPELINE (parsed))
    return parsed;
  pipeline = gst_pipeline_new (NULL);
  gst_bin_add (GST_BIN (pipeline), parsed);
  return pipeline;
}

int
main (int argc, char **argv)
{
  const char *prefix = "--clock=";
  Program program = { 0 };
  GstClock *clock = NULL;
  char **arguments;

  gst_init (&argc, &argv);
  arguments = argv + 1;
  if (arguments[0] != NULL && g_str_has_prefix (arguments[0], prefix)) {
    const char *name = arguments[0] + strlen (prefix);

    clock = new_clock (name);
    if (clock == NULL) {
      g_printerr ("There is no clock \"%s\".\n", name);
      return 2;
    }
    arguments++;
  }
  program.pipeline = parse (arguments);
  if (program.pipeline == NULL)
    return 2;
  if (clock != NULL)
    use_clock (&program, clock);
  listen_to_all (&program);
  run (&program);
  gst_object_unref (program.pipeline);
  if (clock != NULL)
    gst_object_unref (clock);
  return program.exit_code;
}
