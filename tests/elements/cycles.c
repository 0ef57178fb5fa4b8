/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * NULL to PLAYING and back, again and again, with a peer that stays: nothing may grow.
 *
 * Looked at after each cycle: fds, threads, bytes that malloc has given out, and resident
 * memory; and after the last one, when the peer is gone, too: objects of GStreamer that
 * its tracer "leaks" finds alive. NDSH_CYCLES says how many cycles; a hundred come
 * before the first look.
 */
#include "elements.h"

#include <malloc.h>
#include <string.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN
#endif
#endif

/* A channel grows with readers that come, until it has slots for all it may have. */
#define WARM_UP 100
#define MAX_CYCLES 100000
#define FORMAT "video/x-raw,format=BGR,width=63,height=47,framerate=1000/1"

static guint
n_cycles (void)
{
  const char *text = g_getenv ("NDSH_CYCLES");

  return text != NULL ? (guint) g_ascii_strtoull (text, NULL, 10) : 100;
}

/* --- Objects that are alive --- */

/* As the tracer tells them: "object-alive, type-name=..., address=..., ...". Its signal
 * that would return them takes references of theirs away, in 1.22. */
static GPtrArray *alive;

#if GST_CHECK_VERSION(1, 18, 0)
static void
note_alive (GstDebugCategory *category, GstDebugLevel level, const gchar *file,
            const gchar *function, gint line, GObject *object, GstDebugMessage *message,
            gpointer data)
{
  const char *text = gst_debug_message_get (message);

  (void) category, (void) level, (void) file, (void) function, (void) line;
  (void) object, (void) data;
  if (alive != NULL && text != NULL && g_str_has_prefix (text, "object-alive"))
    g_ptr_array_add (alive, g_strdup (text));
}

static void
ask_tracer (void)
{
  GList *tracers = gst_tracing_get_active_tracers ();

  /* In brackets, since the macros of these names compare functions with data. */
  (gst_debug_add_log_function) (note_alive, NULL, NULL);
  gst_debug_set_threshold_for_name ("GST_TRACER", GST_LEVEL_TRACE);
  for (GList *at = tracers; at != NULL; at = at->next)
    if (strcmp (G_OBJECT_TYPE_NAME (at->data), "GstLeaksTracer") == 0)
      g_signal_emit_by_name (at->data, "log-live-objects");
  gst_debug_unset_threshold_for_name ("GST_TRACER");
  (gst_debug_remove_log_function) (note_alive);
  g_list_free_full (tracers, gst_object_unref);
}
#else
/* It tells of them at the end of the process only. */
static void
ask_tracer (void)
{
}
#endif

static GPtrArray *
get_alive (void)
{
  GPtrArray *found = g_ptr_array_new_with_free_func (g_free);

  alive = found;
  ask_tracer ();
  alive = NULL;
  return found;
}

/*
 * As soon as no more than @limit are: the thread that ran a pad's task lets go of it a
 * while after the pad was stopped.
 */
static GPtrArray *
get_alive_once_within (guint limit)
{
  gint64 deadline = g_get_monotonic_time () + WAIT_SECONDS * G_USEC_PER_SEC;
  GPtrArray *found = get_alive ();

  while (found->len > limit && g_get_monotonic_time () < deadline) {
    g_usleep (200);
    g_ptr_array_unref (found);
    found = get_alive ();
  }
  return found;
}

/* --- What is counted --- */

typedef struct {
  guint fds;
  guint threads;
} Counts;

/* Of what malloc knows and of what the kernel does, one for each cycle. */
typedef struct {
  guint n;
  gdouble heap[MAX_CYCLES];
  gdouble resident[MAX_CYCLES];
} Sizes;

static guint
count_threads (void)
{
  g_autoptr (GDir) entries = g_dir_open ("/proc/self/task", 0, NULL);
  guint n = 0;

  g_assert_nonnull (entries);
  while (g_dir_read_name (entries) != NULL)
    n++;
  return n;
}

static gdouble
get_resident (void)
{
  g_autofree char *text = NULL;
  char *at;

  g_assert_true (g_file_get_contents ("/proc/self/statm", &text, NULL, NULL));
  g_ascii_strtoull (text, &at, 10);
  return (gdouble) g_ascii_strtoull (at, NULL, 10) * (gdouble) sysconf (_SC_PAGESIZE);
}

static gdouble
get_heap (void)
{
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
  struct mallinfo2 info = mallinfo2 ();
#else
  struct mallinfo info = mallinfo ();
#endif

  return (gdouble) info.uordblks + (gdouble) info.hblkhd;
}

static Counts
count (void)
{
  return (Counts){ .fds = ndsh_test_count_fds (), .threads = count_threads () };
}

static gboolean
is_above (Counts counts, Counts limit)
{
  return counts.fds > limit.fds || counts.threads > limit.threads;
}

/* A thread is gone a while after it was joined, and a peer hears later of who left. */
static void
wait_until_within (Counts limit, guint i)
{
  gint64 deadline = g_get_monotonic_time () + WAIT_SECONDS * G_USEC_PER_SEC;

  while (is_above (count (), limit) && g_get_monotonic_time () < deadline)
    g_usleep (200);
  if (is_above (count (), limit))
    g_error ("after cycle %u: %u fds and %u threads, of at most %u and %u", i,
             count ().fds, count ().threads, limit.fds, limit.threads);
}

static void
note_sizes (Sizes *sizes)
{
  sizes->heap[sizes->n] = get_heap ();
  sizes->resident[sizes->n] = get_resident ();
  sizes->n++;
}

/* The slope of the line that is nearest to all @values. */
static gdouble
growth_per_cycle (const gdouble *values, guint n)
{
  gdouble middle = (n - 1) / 2.0, sum = 0, squares = 0;

  for (guint i = 0; i < n; i++) {
    sum += (i - middle) * values[i];
    squares += (i - middle) * (i - middle);
  }
  return sum / squares;
}

/* --- Cycles --- */

typedef struct {
  GMutex lock;
  GCond changed;
  guint64 n_frames;
} Arrivals;

static void
on_handoff (GstElement *sink, GstBuffer *buffer, GstPad *pad, Arrivals *arrivals)
{
  (void) sink;
  (void) buffer;
  (void) pad;
  g_mutex_lock (&arrivals->lock);
  arrivals->n_frames++;
  g_cond_signal (&arrivals->changed);
  g_mutex_unlock (&arrivals->lock);
}

static void
wait_for_another_frame (Arrivals *arrivals)
{
  gint64 deadline = g_get_monotonic_time () + WAIT_SECONDS * G_USEC_PER_SEC;
  guint64 before;

  g_mutex_lock (&arrivals->lock);
  before = arrivals->n_frames;
  while (arrivals->n_frames == before)
    if (!g_cond_wait_until (&arrivals->changed, &arrivals->lock, deadline))
      g_error ("no frame in %d s", WAIT_SECONDS);
  g_mutex_unlock (&arrivals->lock);
}

/* Nobody reads them, and a bus keeps them all. */
static GstBusSyncReply
drop_message (GstBus *bus, GstMessage *message, gpointer data)
{
  (void) bus;
  (void) data;
  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR)
    g_error ("%s: error", GST_MESSAGE_SRC_NAME (message));
  gst_message_unref (message);
  return GST_BUS_DROP;
}

static GstElement *
launch (const char *description, Arrivals *arrivals)
{
  GstElement *pipeline = elements_launch ("%s", description);
  GstElement *end = gst_bin_get_by_name (GST_BIN (pipeline), "end");
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);

  gst_bus_set_sync_handler (bus, drop_message, NULL, NULL);
  if (end != NULL) {
    g_signal_connect (end, "handoff", G_CALLBACK (on_handoff), arrivals);
    gst_object_unref (end);
  }
  return pipeline;
}

static void
play_and_stop (GstElement *pipeline, Arrivals *arrivals)
{
  elements_play (pipeline);
  wait_for_another_frame (arrivals);
  g_assert_cmpint (gst_element_set_state (pipeline, GST_STATE_NULL), ==,
                   GST_STATE_CHANGE_SUCCESS);
}

/* The pipeline @again, or one that is made of @description for each. */
static void
cycle (GstElement *again, const char *description, Arrivals *arrivals)
{
  GstElement *pipeline
    = again != NULL ? gst_object_ref (again) : launch (description, arrivals);

  play_and_stop (pipeline, arrivals);
  gst_object_unref (pipeline);
}

static gboolean
memory_can_be_measured (void)
{
#ifdef WITH_ASAN
  return FALSE;                 /* what was freed is kept a while */
#else
  return g_getenv ("NDSH_UNDER_VALGRIND") == NULL;
#endif
}

/*
 * Of the heap, which is counted to the byte: what the peer happens to have in its hands,
 * and less than any object has. GStreamer's own elements, counted so, grow by 16 bytes a
 * cycle. Pages are given back when the allocator likes to; 256 KiB are a fortieth of
 * those that the process has.
 */
#define HEAP_BYTES (32 * 1024.0)
#define HEAP_BYTES_PER_CYCLE 128.0
#define RESIDENT_BYTES (256 * 1024.0)

static void
check_sizes (const char *what, const Sizes *sizes)
{
  gdouble heap = sizes->n * growth_per_cycle (sizes->heap, sizes->n);
  gdouble resident = sizes->n * growth_per_cycle (sizes->resident, sizes->n);

  g_print ("# %s: %u cycles, heap %+.0f B, resident %+.0f B of %.1f MB\n", what,
           sizes->n, heap, resident, sizes->resident[sizes->n - 1] / 1e6);
  if (!memory_can_be_measured ())
    return;
  g_assert_cmpfloat (heap, <=, HEAP_BYTES + HEAP_BYTES_PER_CYCLE * sizes->n);
  g_assert_cmpfloat (resident, <=, RESIDENT_BYTES);
}

/* A segment of memory is an fd, and how many a channel has is a matter of luck, but
 * bounded. */
#define MORE_SEGMENTS 3

/* The most that there was after a cycle: some is still on its way out then. */
static Counts
warm_up (GstElement *again, const char *description, Arrivals *arrivals, guint n)
{
  Counts most = { 0, 0 };

  for (guint i = 0; i < n; i++) {
    Counts counts;

    cycle (again, description, arrivals);
    counts = count ();
    most.fds = MAX (most.fds, counts.fds);
    most.threads = MAX (most.threads, counts.threads);
  }
  most.fds += MORE_SEGMENTS;
  return most;
}

static void
run_cycles (const char *what, GstElement *again, const char *description,
            Arrivals *arrivals)
{
  guint n = MIN (n_cycles (), MAX_CYCLES);
  g_autofree Sizes *sizes = g_new0 (Sizes, 1);
  Counts limit = warm_up (again, description, arrivals, WARM_UP);

  for (guint i = 0; i < n; i++) {
    cycle (again, description, arrivals);
    wait_until_within (limit, i);
    note_sizes (sizes);
  }
  g_print ("# %s: at most %u fds and %u threads\n", what, limit.fds, limit.threads);
  check_sizes (what, sizes);
}

/* @peer_description plays from the first cycle to the last. */
static void
cycle_beside (const char *what, const char *peer_description, const char *description,
              gboolean is_made_anew, gboolean is_rehearsal)
{
  Arrivals arrivals = { 0 };
  GstElement *peer = launch (peer_description, &arrivals);
  GstElement *again = is_made_anew ? NULL : launch (description, &arrivals);

  elements_play (peer);
  if (is_rehearsal)
    cycle (again, description, &arrivals);
  else
    run_cycles (what, again, description, &arrivals);
  g_clear_pointer (&again, gst_object_unref);
  elements_stop (peer);
}

/* What GStreamer makes once for the process is made in a rehearsal. */
static void
test_cycles (const char *what, const char *peer, const char *description,
             gboolean is_made_anew)
{
  g_autoptr (GPtrArray) before = NULL;
  g_autoptr (GPtrArray) after = NULL;

  cycle_beside (what, peer, description, is_made_anew, TRUE);
  before = get_alive ();
  cycle_beside (what, peer, description, is_made_anew, FALSE);
  after = get_alive_once_within (before->len);

  g_print ("# %s: %u objects are alive, %u were\n", what, after->len, before->len);
  for (guint i = 0; after->len > before->len && i < after->len; i++)
    g_print ("# %s\n", (const char *) g_ptr_array_index (after, i));
  g_assert_cmpuint (after->len, <=, before->len);
}

#define WRITER "videotestsrc is-live=true ! " FORMAT " ! ndshsink channel=test sync=false"
#define READER \
  "ndshsrc channel=test ! fakesink name=end sync=false signal-handoffs=true"

GST_START_TEST (ndshsink_comes_and_goes_and_nothing_grows)
{
  test_cycles ("ndshsink", READER, WRITER, FALSE);
}
GST_END_TEST

GST_START_TEST (ndshsink_is_made_again_and_again_and_nothing_grows)
{
  test_cycles ("ndshsink, made anew", READER, WRITER, TRUE);
}
GST_END_TEST

GST_START_TEST (ndshsrc_comes_and_goes_and_nothing_grows)
{
  test_cycles ("ndshsrc", WRITER, READER, FALSE);
}
GST_END_TEST

GST_START_TEST (ndshsrc_is_made_again_and_again_and_nothing_grows)
{
  test_cycles ("ndshsrc, made anew", WRITER, READER, TRUE);
}
GST_END_TEST

static Suite *
cycles_suite (void)
{
  Suite *suite = suite_create ("cycles");
  TCase *tcase = elements_case_new (suite, "cycles");

  /* Idle threads of its pool would come and go by the clock. */
  g_thread_pool_set_max_unused_threads (0);
  tcase_set_timeout (tcase, 3600);
  tcase_add_test (tcase, ndshsink_comes_and_goes_and_nothing_grows);
  tcase_add_test (tcase, ndshsink_is_made_again_and_again_and_nothing_grows);
  tcase_add_test (tcase, ndshsrc_comes_and_goes_and_nothing_grows);
  tcase_add_test (tcase, ndshsrc_is_made_again_and_again_and_nothing_grows);
  return suite;
}

GST_CHECK_MAIN (cycles)
