/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * One side of a hop between pipelines, or both in one process:
 *
 *   bench-hop --sink 'ndshsink channel=x'                a source, and this
 *   bench-hop --source 'ndshsrc channel=x'               this, and a sink
 *   bench-hop --through 'queue'                          a source, this, and a sink
 *
 * The source takes the pool that it is offered, as a camera's driver does: it has its
 * buffer before the frame is there. Each frame begins with its number and the time at
 * which it was there, and may be written from its first byte to its last; the sink may
 * read it so.
 *
 * The sink ends the program after as many frames as were asked for, a source on SIGTERM.
 * What was measured goes to standard output, as one JSON object.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <glib-unix.h>
#include <gst/base/gstbasesink.h>
#include <gst/base/gstpushsrc.h>
#include <gst/video/video.h>

#include "stages.h"

typedef struct {
  guint64 number;               /* from 1 on */
  gint64 stamp_ns;              /* CLOCK_MONOTONIC */
} Header;

static gint width = 1920, height = 1080, fps = 60, n_frames = 300, n_skipped = 60;
static gboolean touches, marks_stages, times_stages;
static char *format, *sink_text, *source_text, *through_text;
static GMainLoop *loop;

static const GOptionEntry entries[] = {
  { "sink", 0, 0, G_OPTION_ARG_STRING, &sink_text, "Where frames go", "PIPELINE" },
  { "source", 0, 0, G_OPTION_ARG_STRING, &source_text, "Where frames come from",
    "PIPELINE" },
  { "through", 0, 0, G_OPTION_ARG_STRING, &through_text, "What frames go through",
    "PIPELINE" },
  { "format", 0, 0, G_OPTION_ARG_STRING, &format, "Video format", "NV12" },
  { "width", 0, 0, G_OPTION_ARG_INT, &width, "Pixels", "1920" },
  { "height", 0, 0, G_OPTION_ARG_INT, &height, "Pixels", "1080" },
  { "fps", 0, 0, G_OPTION_ARG_INT, &fps, "Frames a second, 0 for as many as can be",
    "60" },
  { "frames", 0, 0, G_OPTION_ARG_INT, &n_frames, "Frames that are measured", "300" },
  { "skip", 0, 0, G_OPTION_ARG_INT, &n_skipped, "Frames before those", "60" },
  { "touch", 0, 0, G_OPTION_ARG_NONE, &touches, "Write and read all of each frame",
    NULL },
  { "stages", 0, 0, G_OPTION_ARG_NONE, &marks_stages,
    "Mark what a frame goes through, for a trace of memory", NULL },
  { "stage-times", 0, 0, G_OPTION_ARG_NONE, &times_stages, "The same, and time it", NULL },
  { 0 },
};

/* --- What is measured ----------------------------------------------------- */

/* Of this process, between two frames. */
typedef struct {
  struct rusage usage;
  guint64 n_frames;
} Mark;

static Mark first, last;
static GArray *latencies;       /* gint64, ns */
static guint64 n_lost, last_number;

static gint64
now_ns (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return (gint64) now.tv_sec * 1000000000 + now.tv_nsec;
}

static void
note (Mark *mark, guint64 n)
{
  getrusage (RUSAGE_SELF, &mark->usage);
  mark->n_frames = n;
}

static double
to_us (struct timeval time)
{
  return (double) time.tv_sec * 1e6 + (double) time.tv_usec;
}

static double
per_frame (double before, double after)
{
  return (after - before) / (double) MAX (last.n_frames - first.n_frames, 1);
}

static void
report (void)
{
  const struct rusage *a = &first.usage, *b = &last.usage;

  printf ("{\"frames\": %" G_GUINT64_FORMAT ", \"lost\": %" G_GUINT64_FORMAT
          ", \"cpu_us\": %.3f, \"switches\": %.3f, \"faults\": %.3f, "
          "\"resident_kb\": %ld, \"latencies_us\": [",
          last.n_frames - first.n_frames, n_lost,
          per_frame (to_us (a->ru_utime) + to_us (a->ru_stime),
                     to_us (b->ru_utime) + to_us (b->ru_stime)),
          per_frame ((double) a->ru_nvcsw, (double) b->ru_nvcsw),
          per_frame ((double) a->ru_minflt, (double) b->ru_minflt), b->ru_maxrss);
  for (guint i = 0; i < latencies->len; i++)
    printf ("%s%.2f", i > 0 ? ", " : "",
            (double) g_array_index (latencies, gint64, i) / 1e3);
  putchar (']');
  if (marks_stages || times_stages)
    stages_report ();
  puts ("}");
}

/* --- A source ------------------------------------------------------------- */

typedef struct {
  GstPushSrc parent;
  GstVideoInfo info;
  guint64 number;
  gint64 next_ns;
} BenchSrc;

typedef GstPushSrcClass BenchSrcClass;

static GType bench_src_get_type (void);
G_DEFINE_TYPE (BenchSrc, bench_src, GST_TYPE_PUSH_SRC)

static gboolean
bench_src_set_caps (GstBaseSrc *base, GstCaps *caps)
{
  BenchSrc *self = (BenchSrc *) base;

  if (!gst_video_info_from_caps (&self->info, caps))
    return FALSE;
  gst_base_src_set_blocksize (base, (guint) GST_VIDEO_INFO_SIZE (&self->info));
  return TRUE;
}

/* On the dot: a timer's slack is no one's latency, for the stamp comes after it. */
static void
wait_for_frame (BenchSrc *self)
{
  struct timespec until;

  if (fps == 0)
    return;
  if (self->next_ns == 0)
    self->next_ns = now_ns ();
  self->next_ns += 1000000000 / fps;
  until.tv_sec = self->next_ns / 1000000000;
  until.tv_nsec = self->next_ns % 1000000000;
  while (clock_nanosleep (CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
    ;
}

static void
set_times (BenchSrc *self, GstBuffer *buffer, gint64 stamp_ns)
{
  GST_BUFFER_PTS (buffer)
    = (GstClockTime) stamp_ns - gst_element_get_base_time (GST_ELEMENT (self));
  if (fps > 0)
    GST_BUFFER_DURATION (buffer) = GST_SECOND / (guint) fps;
}

static GstFlowReturn
bench_src_fill (GstPushSrc *push, GstBuffer *buffer)
{
  BenchSrc *self = (BenchSrc *) push;
  Header header;
  GstMapInfo map;

  wait_for_frame (self);
  if (!gst_buffer_map (buffer, &map, GST_MAP_WRITE))
    return GST_FLOW_ERROR;
  header.number = ++self->number;
  if (touches)
    memset (map.data, (int) header.number & 0xff, map.size);
  header.stamp_ns = now_ns ();
  memcpy (map.data, &header, sizeof header);
  gst_buffer_unmap (buffer, &map);
  set_times (self, buffer, header.stamp_ns);
  if (sink_text != NULL && header.number > (guint64) n_skipped)
    note (header.number == (guint64) n_skipped + 1 ? &first : &last, header.number);
  return GST_FLOW_OK;
}

static void
bench_src_class_init (BenchSrcClass *klass)
{
  GstBaseSrcClass *base_class = GST_BASE_SRC_CLASS (klass);

  g_autoptr (GstCaps) caps = gst_caps_new_empty_simple ("video/x-raw");

  gst_element_class_add_pad_template (
    GST_ELEMENT_CLASS (klass),
    gst_pad_template_new ("src", GST_PAD_SRC, GST_PAD_ALWAYS, caps));
  gst_element_class_set_static_metadata (GST_ELEMENT_CLASS (klass), "Bench source",
                                         "Source", "Stamps frames", "ndsh");
  base_class->set_caps = bench_src_set_caps;
  klass->fill = bench_src_fill;
}

static void
bench_src_init (BenchSrc *self)
{
  gst_base_src_set_live (GST_BASE_SRC (self), TRUE);
  gst_base_src_set_format (GST_BASE_SRC (self), GST_FORMAT_TIME);
}

/* --- A sink --------------------------------------------------------------- */

typedef GstBaseSink BenchSink;
typedef GstBaseSinkClass BenchSinkClass;

static GType bench_sink_get_type (void);
G_DEFINE_TYPE (BenchSink, bench_sink, GST_TYPE_BASE_SINK)

static volatile guint64 sum;    /* of what was read, so that it is */

static void
read_all (GstBuffer *buffer)
{
  GstMapInfo map;

  if (!gst_buffer_map (buffer, &map, GST_MAP_READ))
    return;
  for (gsize i = 0; i + 8 <= map.size; i += 8)
    sum += *(const guint64 *) (map.data + i);
  gst_buffer_unmap (buffer, &map);
}

static void
count (const Header *header, gint64 latency)
{
  guint64 n = ++last.n_frames;

  if (n <= (guint64) n_skipped) {
    last_number = header->number;
    return;
  }
  if (n == (guint64) n_skipped + 1)
    note (&first, n);
  g_array_append_val (latencies, latency);
  n_lost += header->number - last_number - 1;
  last_number = header->number;
  if (latencies->len < (guint) n_frames)
    return;
  note (&last, n);
  g_main_loop_quit (loop);
}

static GstFlowReturn
bench_sink_render (GstBaseSink *sink, GstBuffer *buffer)
{
  gint64 now = now_ns ();
  Header header;

  (void) sink;
  if (gst_buffer_extract (buffer, 0, &header, sizeof header) != sizeof header
      || latencies->len >= (guint) n_frames)
    return GST_FLOW_OK;
  if (touches)
    read_all (buffer);
  count (&header, now - header.stamp_ns);
  return GST_FLOW_OK;
}

static gboolean
bench_sink_propose_allocation (GstBaseSink *sink, GstQuery *query)
{
  (void) sink;
  gst_query_add_allocation_meta (query, GST_VIDEO_META_API_TYPE, NULL);
  return TRUE;
}

static void
bench_sink_class_init (BenchSinkClass *klass)
{
  gst_element_class_add_pad_template (
    GST_ELEMENT_CLASS (klass),
    gst_pad_template_new ("sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_CAPS_ANY));
  gst_element_class_set_static_metadata (GST_ELEMENT_CLASS (klass), "Bench sink",
                                         "Sink", "Reads stamps", "ndsh");
  klass->render = bench_sink_render;
  klass->propose_allocation = bench_sink_propose_allocation;
}

static void
bench_sink_init (BenchSink *self)
{
  gst_base_sink_set_sync (self, FALSE);
}

/* --- The pipeline --------------------------------------------------------- */

static char *
describe (void)
{
  g_autofree char *caps = g_strdup_printf (
    "video/x-raw,format=%s,width=%d,height=%d,framerate=%d/1",
    format != NULL ? format : "NV12", width, height, fps > 0 ? fps : 30);

  if (source_text != NULL)
    return g_strdup_printf ("%s ! benchsink", source_text);
  if (sink_text != NULL)
    return g_strdup_printf ("benchsrc ! %s ! %s", caps, sink_text);
  return g_strdup_printf ("benchsrc ! %s ! %s ! benchsink", caps, through_text);
}

static gboolean
on_terminated (gpointer data)
{
  (void) data;
  g_main_loop_quit (loop);
  return G_SOURCE_CONTINUE;
}

static gboolean
on_message (GstBus *bus, GstMessage *message, gpointer data)
{
  g_autoptr (GError) error = NULL;

  (void) bus;
  (void) data;
  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR) {
    gst_message_parse_error (message, &error, NULL);
    g_printerr ("%s: %s\n", GST_MESSAGE_SRC_NAME (message), error->message);
    exit (1);
  }
  return TRUE;
}

static void
parse_arguments (int argc, char **argv)
{
  g_autoptr (GOptionContext) context = g_option_context_new ("- measure a hop");
  g_autoptr (GError) error = NULL;

  g_option_context_add_main_entries (context, entries, NULL);
  g_option_context_add_group (context, gst_init_get_option_group ());
  if (g_option_context_parse (context, &argc, &argv, &error)
      && (sink_text != NULL) + (source_text != NULL) + (through_text != NULL) == 1)
    return;
  g_printerr ("%s: %s\n", argv[0],
              error != NULL ? error->message : "one of --sink, --source, --through");
  exit (2);
}

int
main (int argc, char **argv)
{
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  GstElement *pipeline;
  GstBus *bus;

  parse_arguments (argc, argv);
  gst_element_register (NULL, "benchsrc", GST_RANK_NONE, bench_src_get_type ());
  gst_element_register (NULL, "benchsink", GST_RANK_NONE, bench_sink_get_type ());
  latencies = g_array_new (FALSE, FALSE, sizeof (gint64));
  loop = g_main_loop_new (NULL, FALSE);
  text = describe ();
  pipeline = gst_parse_launch (text, &error);
  if (error != NULL) {
    g_printerr ("%s: %s\n", text, error->message);
    return 1;
  }
  if (marks_stages || times_stages) {
    stages_init (times_stages);
    stages_watch (GST_BIN (pipeline));
  }
  bus = gst_element_get_bus (pipeline);
  gst_bus_add_watch (bus, on_message, NULL);
  g_unix_signal_add (SIGTERM, on_terminated, NULL);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  g_main_loop_run (loop);
  report ();
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_bus_remove_watch (bus);
  gst_object_unref (bus);
  gst_object_unref (pipeline);
  g_array_unref (latencies);
  g_main_loop_unref (loop);
  return 0;
}
