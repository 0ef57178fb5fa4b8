/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How a program has ndsh in GStreamer pipelines of its own.
 *
 *   embed write CHANNEL     makes pictures: appsrc ! ndshsink
 *   embed read CHANNEL      tells what it reads: ndshsrc ! appsink
 *   embed branch CHANNEL    makes pictures and looks at them itself; Enter adds a
 *                           branch that publishes them, too, Enter removes it again
 *
 * Each can be killed and started anew while the others run. Ctrl-C ends the stream.
 *
 *   gcc embed.c -o embed \
 *     $(pkg-config --cflags --libs gstreamer-app-1.0 gstreamer-video-1.0) */
#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <gst/base/gstbasesrc.h>
#include <gst/gst.h>
#include <gst/video/video.h>

#include <glib-unix.h>
#include <signal.h>
#include <string.h>

#define RATE 30
#define CAPS "video/x-raw,format=GRAY8,width=320,height=240,framerate=30/1"

/* Live, in time format and with the time of the clock: as a camera would be. */
#define SOURCE \
  "appsrc name=source format=time is-live=true do-timestamp=true caps=" CAPS

/* appsink hands pictures over as they come; with sync=true, when they are due. */
#define SINK "appsink name=sink sync=false"

typedef struct {
  const char *name;
  const char *pipeline;
} Role;

/* ndshsrc waits for the next writer when one dies, which is its default, and with
 * ignore-eos also when one ends its stream. */
static const Role roles[] = {
  { "write", SOURCE " ! ndshsink name=channel" },
  { "read", "ndshsrc name=channel ignore-eos=true ! " SINK },
  { "branch", SOURCE " ! tee name=tee ! queue ! " SINK },
};

typedef struct {
  const char *channel;
  GMainLoop *loop;
  GstElement *pipeline;
  int exit_code;

  /* For who makes pictures. */
  GstAppSrc *source;
  GstVideoInfo info;
  guint64 number;               /* of the next one */
  gboolean has_asked;           /* for a pool; appsrc's thread only */
  GstBufferPool *pool;          /* atomic, as it comes from there; NULL: none yet */

  /* What is behind the tee. NULL, or: linked -> ending, by Enter -> NULL, when its
   * EOS has come through. */
  GstElement *tee;
  gboolean hears_enter;
  GstElement *branch;           /* the pipeline's */
  GstPad *tee_pad;              /* that the branch has requested; ours */
  gboolean is_ending;
} Program;

/* --- Pictures in: appsrc --- */

/* Asks ndshsink for its pool, whose buffers are shared memory: what is painted there is
 * not copied. Behind a tee there is none. The query goes where buffers go, so it belongs
 * to the thread that pushes them; that calls here when it has nothing left to push. */
static void
on_need_data (GstAppSrc *source, guint size, gpointer data)
{
  Program *program = data;
  GstBufferPool *pool = NULL;
  GstCaps *caps;
  GstQuery *query;

  (void) size;
  if (program->has_asked)
    return;
  program->has_asked = TRUE;
  caps = gst_app_src_get_caps (source);
  query = gst_query_new_allocation (caps, TRUE);
  if (gst_pad_peer_query (GST_BASE_SRC_PAD (source), query)
      && gst_query_get_n_allocation_pools (query) > 0)
    gst_query_parse_nth_allocation_pool (query, 0, &pool, NULL, NULL, NULL);
  if (pool != NULL)
    gst_buffer_pool_set_active (pool, TRUE);
  g_atomic_pointer_set (&program->pool, pool);
  gst_query_unref (query);
  gst_caps_unref (caps);
}

static GstBuffer *
new_buffer (Program *program)
{
  GstBufferPool *pool = g_atomic_pointer_get (&program->pool);
  GstBuffer *buffer = NULL;

  if (pool != NULL
      && gst_buffer_pool_acquire_buffer (pool, &buffer, NULL) == GST_FLOW_OK)
    return buffer;
  return gst_buffer_new_allocate (NULL, GST_VIDEO_INFO_SIZE (&program->info), NULL);
}

/* By way of a GstVideoFrame, which knows how long a row is in this buffer. */
static void
paint (Program *program, GstBuffer *buffer)
{
  GstVideoFrame frame;
  guint8 *row;

  if (!gst_video_frame_map (&frame, &program->info, buffer, GST_MAP_WRITE))
    return;
  row = GST_VIDEO_FRAME_PLANE_DATA (&frame, 0);
  for (int y = 0; y < GST_VIDEO_FRAME_HEIGHT (&frame); y++) {
    memset (row, (guint8) program->number, GST_VIDEO_FRAME_WIDTH (&frame));
    row += GST_VIDEO_FRAME_PLANE_STRIDE (&frame, 0);
  }
  gst_video_frame_unmap (&frame);
}

static gboolean
feed (gpointer data)
{
  Program *program = data;
  GstBuffer *buffer;

  /* appsrc would queue without end what a pipeline cannot take. */
  if (gst_app_src_get_current_level_bytes (program->source)
      >= gst_app_src_get_max_bytes (program->source))
    return G_SOURCE_CONTINUE;

  buffer = new_buffer (program);
  paint (program, buffer);
  GST_BUFFER_OFFSET (buffer) = program->number++;
  GST_BUFFER_DURATION (buffer) = GST_SECOND / RATE;
  gst_app_src_push_buffer (program->source, buffer);
  return G_SOURCE_CONTINUE;
}

/* --- Pictures out: appsink --- */

static void
look_at_row (const guint8 *row, int width, guint8 *darkest, guint8 *brightest)
{
  for (int x = 0; x < width; x++) {
    *darkest = MIN (*darkest, row[x]);
    *brightest = MAX (*brightest, row[x]);
  }
}

/* Not const: gst_video_frame_map () took no const before GStreamer 1.20. */
static void
tell (GstBuffer *buffer, GstVideoInfo *info)
{
  guint8 darkest = 255, brightest = 0;
  GstVideoFrame frame;
  const guint8 *row;

  if (!gst_video_frame_map (&frame, info, buffer, GST_MAP_READ))
    return;
  row = GST_VIDEO_FRAME_PLANE_DATA (&frame, 0);
  for (int y = 0; y < GST_VIDEO_FRAME_HEIGHT (&frame); y++) {
    look_at_row (row, GST_VIDEO_FRAME_WIDTH (&frame), &darkest, &brightest);
    row += GST_VIDEO_FRAME_PLANE_STRIDE (&frame, 0);
  }
  g_print ("picture %" G_GUINT64_FORMAT " at %" GST_TIME_FORMAT
           ": pixels from %u to %u\n",
           GST_BUFFER_OFFSET (buffer), GST_TIME_ARGS (GST_BUFFER_PTS (buffer)),
           darkest, brightest);
  gst_video_frame_unmap (&frame);
}

/* A streaming thread calls it, not the main loop. The sample lies in shared memory:
 * it stays as it is while it is kept, but who keeps many has the rest copied. */
static GstFlowReturn
on_sample (GstAppSink *sink, gpointer data)
{
  GstSample *sample = gst_app_sink_pull_sample (sink);
  GstVideoInfo info;

  (void) data;
  if (sample == NULL)
    return GST_FLOW_EOS;
  if (gst_video_info_from_caps (&info, gst_sample_get_caps (sample)))
    tell (gst_sample_get_buffer (sample), &info);
  gst_sample_unref (sample);
  return GST_FLOW_OK;
}

/* --- A branch that comes and goes while the pipeline plays --- */

static void
set_channel (GstElement *bin, const char *channel)
{
  GstElement *element = gst_bin_get_by_name (GST_BIN (bin), "channel");

  if (element == NULL)
    return;
  g_object_set (element, "channel", channel, NULL);
  gst_object_unref (element);
}

static void
drop_branch (Program *program)
{
  gst_element_set_state (program->branch, GST_STATE_NULL);
  gst_bin_remove (GST_BIN (program->pipeline), program->branch);
  program->branch = NULL;
  program->is_ending = FALSE;
  if (program->tee_pad != NULL)
    gst_element_release_request_pad (program->tee, program->tee_pad);
  g_clear_object (&program->tee_pad);
}

/* The queue gives the branch a thread, and if the branch is held up loses pictures
 * instead of holding up the tee. A pipeline that plays need not wait until this sink,
 * too, has a picture: async=false. */
static void
add_branch (Program *program)
{
  GstPad *pad;

  program->branch = gst_parse_bin_from_description (
    "queue leaky=downstream ! ndshsink name=channel async=false", TRUE, NULL);
  set_channel (program->branch, program->channel);
  gst_bin_add (GST_BIN (program->pipeline), program->branch);

  /* Linked last, when it can take what comes. The bus says why if it cannot. */
  if (!gst_element_sync_state_with_parent (program->branch)
      || !gst_element_link (program->tee, program->branch)) {
    drop_branch (program);
    return;
  }
  pad = gst_element_get_static_pad (program->branch, "sink");
  program->tee_pad = gst_pad_get_peer (pad);
  gst_object_unref (pad);
  gst_bin_recalculate_latency (GST_BIN (program->pipeline));
  g_print ("the branch is there\n");
}

/* Called when no buffer is between tee and branch, by whichever thread that is. */
static GstPadProbeReturn
end_branch (GstPad *tee_pad, GstPadProbeInfo *info, gpointer data)
{
  GstPad *pad = gst_pad_get_peer (tee_pad);

  (void) info;
  (void) data;
  gst_pad_unlink (tee_pad, pad);
  gst_pad_send_event (pad, gst_event_new_eos ());
  gst_object_unref (pad);
  return GST_PAD_PROBE_REMOVE;
}

static void
switch_branch (Program *program)
{
  if (program->branch == NULL) {
    add_branch (program);
  } else if (!program->is_ending) {
    program->is_ending = TRUE;
    gst_pad_add_probe (program->tee_pad, GST_PAD_PROBE_TYPE_IDLE, end_branch, NULL,
                       NULL);
  }
}

/* The pipeline's EOS is that of all its sinks; with message-forward it tells of each
 * as well. */
static gboolean
is_end_of_branch (Program *program, GstMessage *message)
{
  GstMessage *forwarded = NULL;
  gboolean is_end;

  if (!gst_message_has_name (message, "GstBinForwarded"))
    return FALSE;
  gst_structure_get (gst_message_get_structure (message), "message",
                     GST_TYPE_MESSAGE, &forwarded, NULL);
  is_end = program->is_ending && GST_MESSAGE_TYPE (forwarded) == GST_MESSAGE_EOS
    && GST_MESSAGE_SRC (forwarded) == GST_OBJECT (program->branch);
  gst_message_unref (forwarded);
  return is_end;
}

static gboolean
on_line (GIOChannel *input, GIOCondition condition, gpointer data)
{
  g_autofree char *line = NULL;

  (void) condition;
  if (g_io_channel_read_line (input, &line, NULL, NULL, NULL)
      != G_IO_STATUS_NORMAL)
    return G_SOURCE_REMOVE;
  switch_branch (data);
  return G_SOURCE_CONTINUE;
}

/* Not before it plays: a branch that fails while the pipeline still changes its state
 * would make that change fail. */
static void
hear_enter (Program *program)
{
  GIOChannel *input;

  if (program->tee == NULL || program->hears_enter)
    return;
  program->hears_enter = TRUE;
  input = g_io_channel_unix_new (0);
  g_io_add_watch (input, G_IO_IN | G_IO_HUP, on_line, program);
  g_io_channel_unref (input);
}

/* --- What the bus says --- */

static gboolean
is_of_the_pipeline (Program *program, GstMessage *message)
{
  return GST_MESSAGE_SRC (message) == GST_OBJECT (program->pipeline)
    || gst_object_has_as_ancestor (GST_MESSAGE_SRC (message),
                                   GST_OBJECT (program->pipeline));
}

/* A branch that could not start is no longer there: the rest goes on. */
static void
on_error (Program *program, GstMessage *message)
{
  g_autoptr (GError) error = NULL;

  gst_message_parse_error (message, &error, NULL);
  g_printerr ("%s: %s\n", GST_MESSAGE_SRC_NAME (message), error->message);
  if (!is_of_the_pipeline (program, message))
    return;
  program->exit_code = 1;
  g_main_loop_quit (program->loop);
}

/* ndshsrc says that it waits for a writer, for example. */
static void
on_info (GstMessage *message)
{
  g_autoptr (GError) error = NULL;

  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_WARNING)
    gst_message_parse_warning (message, &error, NULL);
  else
    gst_message_parse_info (message, &error, NULL);
  g_printerr ("%s: %s\n", GST_MESSAGE_SRC_NAME (message), error->message);
}

static void
on_element_message (Program *program, GstMessage *message)
{
  if (gst_message_has_name (message, "GstNdshSrcConnected")) {
    g_print ("there is a writer\n");
  } else if (gst_message_has_name (message, "GstNdshSrcDisconnected")) {
    g_print ("the writer has gone\n");
  } else if (is_end_of_branch (program, message)) {
    drop_branch (program);
    g_print ("the branch is gone\n");
  }
}

static void
on_state_changed (Program *program, GstMessage *message)
{
  GstState state;

  gst_message_parse_state_changed (message, NULL, &state, NULL);
  if (GST_MESSAGE_SRC (message) == GST_OBJECT (program->pipeline)
      && state == GST_STATE_PLAYING)
    hear_enter (program);
}

static gboolean
on_message (GstBus *bus, GstMessage *message, gpointer data)
{
  Program *program = data;

  (void) bus;
  switch (GST_MESSAGE_TYPE (message)) {
  case GST_MESSAGE_ERROR:
    on_error (program, message);
    break;
  case GST_MESSAGE_WARNING:
  case GST_MESSAGE_INFO:
    on_info (message);
    break;
  case GST_MESSAGE_ELEMENT:
    on_element_message (program, message);
    break;
  case GST_MESSAGE_STATE_CHANGED:
    on_state_changed (program, message);
    break;
  case GST_MESSAGE_LATENCY:     /* that of another writer may be another */
    gst_bin_recalculate_latency (GST_BIN (program->pipeline));
    break;
  case GST_MESSAGE_EOS:
    g_main_loop_quit (program->loop);
    break;
  default:
    break;
  }
  return G_SOURCE_CONTINUE;
}

/* Readers hear of an end that the pipeline was told of; without that the writer is
 * gone, for all they know. A second Ctrl-C ends the program as ever. */
static gboolean
on_interrupt (gpointer data)
{
  Program *program = data;

  gst_element_send_event (program->pipeline, gst_event_new_eos ());
  return G_SOURCE_REMOVE;
}

/* --- The program --- */

static GstElement *
make_pipeline (const char *role)
{
  g_autoptr (GError) error = NULL;
  GstElement *pipeline = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (roles); i++)
    if (g_strcmp0 (role, roles[i].name) == 0)
      pipeline = gst_parse_launch (roles[i].pipeline, &error);
  if (error != NULL)
    g_printerr ("%s\n", error->message);
  return pipeline;
}

static void
set_up_source (Program *program)
{
  GstAppSrcCallbacks callbacks = { .need_data = on_need_data };
  GstElement *source
    = gst_bin_get_by_name (GST_BIN (program->pipeline), "source");
  GstCaps *caps;

  if (source == NULL)
    return;
  program->source = GST_APP_SRC (source);
  gst_app_src_set_callbacks (program->source, &callbacks, program, NULL);
  caps = gst_app_src_get_caps (program->source);
  gst_video_info_from_caps (&program->info, caps);
  gst_caps_unref (caps);
  g_timeout_add (1000 / RATE, feed, program);
}

static void
set_up_sink (Program *program)
{
  GstAppSinkCallbacks callbacks = { .new_sample = on_sample };
  GstElement *sink = gst_bin_get_by_name (GST_BIN (program->pipeline), "sink");

  if (sink == NULL)
    return;
  gst_app_sink_set_callbacks (GST_APP_SINK (sink), &callbacks, program, NULL);
  gst_object_unref (sink);
}

static void
set_up_branch (Program *program)
{
  program->tee = gst_bin_get_by_name (GST_BIN (program->pipeline), "tee");
  if (program->tee != NULL)
    g_object_set (program->pipeline, "message-forward", TRUE, NULL);
}

/* What ndshsink says about this, and much else, is its property stats. */
static void
tell_what_was_copied (Program *program)
{
  GstElement *element
    = gst_bin_get_by_name (GST_BIN (program->pipeline), "channel");
  guint64 published, copied;
  GstStructure *stats;

  if (program->source == NULL || element == NULL) {
    g_clear_object (&element);
    return;
  }
  g_object_get (element, "stats", &stats, NULL);
  if (gst_structure_get (stats, "frames-published", G_TYPE_UINT64, &published,
                         "frames-copied", G_TYPE_UINT64, &copied, NULL))
    g_print ("%" G_GUINT64_FORMAT " pictures, of which %" G_GUINT64_FORMAT
             " were copied\n", published, copied);
  gst_structure_free (stats);
  gst_object_unref (element);
}

static void
run (Program *program)
{
  GstBus *bus = gst_element_get_bus (program->pipeline);

  gst_bus_add_watch (bus, on_message, program);
  g_unix_signal_add (SIGINT, on_interrupt, program);
  g_unix_signal_add (SIGTERM, on_interrupt, program);
  gst_element_set_state (program->pipeline, GST_STATE_PLAYING);
  g_main_loop_run (program->loop);
  tell_what_was_copied (program);
  gst_element_set_state (program->pipeline, GST_STATE_NULL);
  gst_bus_remove_watch (bus);
  gst_object_unref (bus);
}

static void
clear (Program *program)
{
  if (program->pool != NULL)
    gst_buffer_pool_set_active (program->pool, FALSE);
  g_clear_object (&program->pool);
  g_clear_object (&program->tee_pad);
  g_clear_object (&program->tee);
  g_clear_object (&program->source);
  g_clear_object (&program->pipeline);
  g_main_loop_unref (program->loop);
}

int
main (int argc, char **argv)
{
  Program program = { 0 };

  gst_init (&argc, &argv);
  program.pipeline = argc == 3 ? make_pipeline (argv[1]) : NULL;
  if (program.pipeline == NULL) {
    g_printerr ("usage: %s write|read|branch CHANNEL\n", argv[0]);
    return 2;
  }
  program.channel = argv[2];
  program.loop = g_main_loop_new (NULL, FALSE);
  set_channel (program.pipeline, program.channel);
  set_up_source (&program);
  set_up_sink (&program);
  set_up_branch (&program);
  run (&program);
  clear (&program);
  return program.exit_code;
}
