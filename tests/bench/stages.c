/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stages.h"

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <gst/base/gstbasesink.h>
#include <gst/base/gstpushsrc.h>

#define MAX_FRAMES 4096

/* A store here is a mark, for who reads the trace. */
static volatile guint8 marks[N_STAGES];

static gboolean is_timed;
static gint64 now[N_STAGES];    /* ns; the last ones */
static GArray *spans[N_STAGES]; /* gint64, from the mark before to this one */
static __thread gboolean in_render, in_create;

static GstFlowReturn (*real_render) (GstBaseSink *, GstBuffer *);
static GstFlowReturn (*real_create) (GstPushSrc *, GstBuffer **);
static GstFlowReturn (*real_acquire) (GstBufferPool *, GstBuffer **,
                                      GstBufferPoolAcquireParams *);

static void
mark (Stage stage)
{
  struct timespec time;

  if (is_timed) {
    clock_gettime (CLOCK_MONOTONIC, &time);
    now[stage] = (gint64) time.tv_sec * 1000000000 + time.tv_nsec;
  }
  marks[stage] = 1;
}

static void
keep (Stage from, Stage to)
{
  gint64 span = now[to] - now[from];

  if (is_timed && now[from] != 0 && span >= 0 && spans[to]->len < MAX_FRAMES)
    g_array_append_val (spans[to], span);
}

/* --- What our code calls: these come before the C library's ---------------- */

#define SHOWN __attribute__ ((visibility ("default")))

SHOWN ssize_t
write (int fd, const void *data, size_t size)
{
  ssize_t result;

  if (!in_render || size != 8)
    return syscall (SYS_write, fd, data, size);
  mark (STAGE_RING);
  result = syscall (SYS_write, fd, data, size);
  mark (STAGE_RUNG);
  return result;
}

SHOWN int
epoll_wait (int fd, struct epoll_event *events, int n, int timeout)
{
  int result;

  if (in_create)
    mark (STAGE_SLEEP);
  result = (int) syscall (SYS_epoll_pwait, fd, events, n, timeout, NULL, 8);
  if (in_create)
    mark (STAGE_WOKEN);
  return result;
}

/* --- What calls our code -------------------------------------------------- */

static GstFlowReturn
acquire (GstBufferPool *pool, GstBuffer **buffer, GstBufferPoolAcquireParams *params)
{
  GstFlowReturn result;

  mark (STAGE_BEGIN);
  result = real_acquire (pool, buffer, params);
  mark (STAGE_BEGUN);
  return result;
}

/* Its type is there once the sink has offered one. */
static void
watch_pool (void)
{
  GType type = g_type_from_name ("GstNdshBufferPool");
  GstBufferPoolClass *pool_class;

  if (type == 0 || real_acquire != NULL)
    return;
  pool_class = g_type_class_ref (type);
  real_acquire = pool_class->acquire_buffer;
  pool_class->acquire_buffer = acquire;
}

static GstFlowReturn
render (GstBaseSink *sink, GstBuffer *buffer)
{
  GstFlowReturn result;

  watch_pool ();
  in_render = TRUE;
  mark (STAGE_RENDER);
  result = real_render (sink, buffer);
  mark (STAGE_RENDERED);
  in_render = FALSE;
  keep (STAGE_BEGIN, STAGE_BEGUN);
  if (now[STAGE_RING] > now[STAGE_RENDER]) {
    keep (STAGE_RENDER, STAGE_RING);
    keep (STAGE_RING, STAGE_RUNG);
    keep (STAGE_RUNG, STAGE_RENDERED);
  }
  return result;
}

static GstFlowReturn
create (GstPushSrc *src, GstBuffer **buffer)
{
  GstFlowReturn result;

  in_create = TRUE;
  mark (STAGE_CREATE);
  result = real_create (src, buffer);
  mark (STAGE_CREATED);
  in_create = FALSE;
  if (now[STAGE_SLEEP] > now[STAGE_CREATE]) {
    keep (STAGE_CREATE, STAGE_SLEEP);
    keep (STAGE_WOKEN, STAGE_CREATED);
  }
  return result;
}

void
stages_init (gboolean timed)
{
  is_timed = timed;
  for (guint i = 0; i < N_STAGES; i++)
    spans[i] = g_array_new (FALSE, FALSE, sizeof (gint64));
}

static void
watch (const GValue *item, gpointer data)
{
  GstElement *element = g_value_get_object (item);
  const char *type = G_OBJECT_TYPE_NAME (element);

  (void) data;
  if (strcmp (type, "GstNdshSink") == 0) {
    real_render = GST_BASE_SINK_GET_CLASS (element)->render;
    GST_BASE_SINK_GET_CLASS (element)->render = render;
  } else if (strcmp (type, "GstNdshSrc") == 0) {
    real_create = GST_PUSH_SRC_GET_CLASS (element)->create;
    GST_PUSH_SRC_GET_CLASS (element)->create = create;
  }
}

void
stages_watch (GstBin *pipeline)
{
  GstIterator *elements = gst_bin_iterate_elements (pipeline);

  gst_iterator_foreach (elements, watch, NULL);
  gst_iterator_free (elements);
}

/* --- What is told --------------------------------------------------------- */

static void
report_objects (void)
{
  FILE *maps = fopen ("/proc/self/maps", "r");
  char line[4096], name[4096];
  unsigned long from, to;
  const char *comma = "";

  printf (", \"objects\": [");
  while (maps != NULL && fgets (line, sizeof line, maps) != NULL)
    if (sscanf (line, "%lx-%lx r-xp %*s %*s %*s %4095s", &from, &to, name) == 3) {
      printf ("%s[%lu, %lu, \"%s\"]", comma, from, to, name);
      comma = ", ";
    }
  putchar (']');
  if (maps != NULL)
    fclose (maps);
}

static void
report_spans (Stage stage)
{
  printf ("%s[", stage > 0 ? ", " : "");
  for (guint i = 0; i < spans[stage]->len; i++)
    printf ("%s%.2f", i > 0 ? ", " : "",
            (double) g_array_index (spans[stage], gint64, i) / 1e3);
  putchar (']');
}

void
stages_report (void)
{
  printf (", \"marks\": %lu", (unsigned long) (gsize) marks);
  report_objects ();
  printf (", \"spans_us\": [");
  for (guint i = 0; i < N_STAGES; i++)
    report_spans ((Stage) i);
  putchar (']');
}
