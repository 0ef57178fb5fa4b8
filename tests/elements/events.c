/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What travels beside frames: tags, custom events, and caps or none. */
#include "elements.h"

#include "gstndshevents.h"

#include <string.h>

#define CAPS "video/x-raw,format=GRAY8,width=64,height=48,framerate=30/1"
#define FRAME_SIZE (64 * 48)

static GstEvent *
tag_event (GstTagScope scope, const char *tag, const char *value)
{
  GstTagList *tags = gst_tag_list_new (tag, value, NULL);

  gst_tag_list_set_scope (tags, scope);
  return gst_event_new_tag (tags);
}

static GstEvent *
custom_event (GstEventType type, const char *name, int number)
{
  return gst_event_new_custom (
    type, gst_structure_new (name, "number", G_TYPE_INT, number, NULL));
}

/* --- What reaches a pad --------------------------------------------------- */

/* "title=a", "custom name number", "buffer": in the order in which they came. Of starts of
 * a stream those that a test names. */
typedef struct {
  GMutex lock;
  GString *seen;
  guint n_starts;
} Watch;

static void
note_tag (const GstTagList *tags, const char *tag, gpointer data)
{
  const GValue *value = gst_tag_list_get_value_index (tags, tag, 0);
  g_autofree char *text = gst_value_serialize (value);

  g_string_append_printf (data, "%s=%s(%d) ", tag, text, gst_tag_list_get_scope (tags));
}

static void
note_event (GString *seen, GstEvent *event)
{
  GstClockTime start, duration;
  GstTagList *tags;
  const char *id;
  int number;

  switch (GST_EVENT_TYPE (event)) {
  case GST_EVENT_TAG:
    gst_event_parse_tag (event, &tags);
    if (gst_tag_list_is_empty (tags))
      g_string_append_printf (seen, "no tags(%d) ", gst_tag_list_get_scope (tags));
    gst_tag_list_foreach (tags, note_tag, seen);
    break;
  case GST_EVENT_CUSTOM_DOWNSTREAM:
  case GST_EVENT_CUSTOM_DOWNSTREAM_STICKY:
    gst_structure_get_int (gst_event_get_structure (event), "number", &number);
    g_string_append_printf (seen, "%s:%d ",
                            gst_structure_get_name (gst_event_get_structure (event)),
                            number);
    break;
  case GST_EVENT_CAPS:
    g_string_append (seen, "caps ");
    break;
  case GST_EVENT_STREAM_START:
    gst_event_parse_stream_start (event, &id);
    if (g_str_has_prefix (id, "test/"))
      g_string_append_printf (seen, "start:%s ", id);
    break;
  case GST_EVENT_STREAM_COLLECTION:
    g_string_append (seen, "collection ");
    break;
  case GST_EVENT_TOC:
    g_string_append (seen, "toc ");
    break;
  case GST_EVENT_FLUSH_START:
    g_string_append (seen, "flush-start ");
    break;
  case GST_EVENT_FLUSH_STOP:
    g_string_append (seen, "flush-stop ");
    break;
  case GST_EVENT_GAP:
    gst_event_parse_gap (event, &start, &duration);
    g_string_append_printf (seen, "gap:%d+%d ", (int) GST_TIME_AS_MSECONDS (start),
                            (int) GST_TIME_AS_MSECONDS (duration));
    break;
  default:
    break;
  }
}

static GstPadProbeReturn
on_item (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Watch *watch = data;

  (void) pad;
  g_mutex_lock (&watch->lock);
  if (GST_PAD_PROBE_INFO_TYPE (info) & GST_PAD_PROBE_TYPE_BUFFER)
    g_string_append (watch->seen, "buffer ");
  else {
    note_event (watch->seen, GST_PAD_PROBE_INFO_EVENT (info));
    watch->n_starts += GST_EVENT_TYPE (GST_PAD_PROBE_INFO_EVENT (info))
                       == GST_EVENT_STREAM_START;
  }
  g_mutex_unlock (&watch->lock);
  return GST_PAD_PROBE_OK;
}

static void
watch_pad (Watch *watch, GstPad *pad)
{
  g_mutex_init (&watch->lock);
  watch->n_starts = 0;
  watch->seen = g_string_new (NULL);
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM
                            | GST_PAD_PROBE_TYPE_EVENT_FLUSH,
                     on_item, watch, NULL);
}

static void
assert_seen (Watch *watch, const char *expected)
{
  g_mutex_lock (&watch->lock);
  g_assert_cmpstr (watch->seen->str, ==, expected);
  g_string_truncate (watch->seen, 0);
  g_mutex_unlock (&watch->lock);
}

static void
watch_clear (Watch *watch)
{
  g_string_free (watch->seen, TRUE);
  g_mutex_clear (&watch->lock);
}

static void
pass (Link *link)
{
  gst_buffer_unref (link_pass (link, elements_buffer_new (FRAME_SIZE, 1)));
}

/* --- Tags and custom events ----------------------------------------------- */

GST_START_TEST (tags_come_before_the_frame_that_follows_them_and_once)
{
  Link *link = link_new ("", "", CAPS, TRUE);
  Watch watch;

  watch_pad (&watch, link->src->sinkpad);
  pass (link);
  assert_seen (&watch, "caps buffer ");
  gst_harness_push_event (link->sink, tag_event (GST_TAG_SCOPE_STREAM, "title", "a"));
  gst_harness_push_event (link->sink, tag_event (GST_TAG_SCOPE_GLOBAL, "artist", "b"));
  pass (link);
  assert_seen (&watch, "title=a(0) artist=b(1) buffer ");
  pass (link);
  assert_seen (&watch, "buffer ");
  gst_harness_push_event (link->sink, tag_event (GST_TAG_SCOPE_STREAM, "title", "c"));
  pass (link);
  assert_seen (&watch, "title=c(0) buffer ");
  link_free (link);
  watch_clear (&watch);
}
GST_END_TEST

GST_START_TEST (who_comes_late_gets_what_is_sticky)
{
  Link *link = link_new ("", "", CAPS, TRUE);
  GstHarness *late = elements_harness_new ("ndshsrc", "");
  Watch watch;

  gst_harness_push_event (link->sink, tag_event (GST_TAG_SCOPE_STREAM,
                                                 "image-orientation", "rotate-90"));
  gst_harness_push_event (
    link->sink, custom_event (GST_EVENT_CUSTOM_DOWNSTREAM_STICKY, "camera", 1));
  gst_harness_push_event (
    link->sink, custom_event (GST_EVENT_CUSTOM_DOWNSTREAM_STICKY, "camera", 2));
  gst_harness_push_event (link->sink,
                          custom_event (GST_EVENT_CUSTOM_DOWNSTREAM, "once", 3));
  pass (link);
  pass (link);
  watch_pad (&watch, late->sinkpad);
  gst_harness_play (late);
  gst_buffer_unref (gst_harness_pull (late));

  g_assert_nonnull (strstr (watch.seen->str, "image-orientation=rotate-90(0) "));
  g_assert_nonnull (strstr (watch.seen->str, "camera:2 "));
  g_assert_null (strstr (watch.seen->str, "camera:1 "));
  g_assert_null (strstr (watch.seen->str, "once"));
  gst_harness_teardown (late);
  link_free (link);
  watch_clear (&watch);
}
GST_END_TEST

GST_START_TEST (a_custom_event_goes_with_the_next_frame)
{
  Link *link = link_new ("", "", CAPS, TRUE);
  Watch watch;

  watch_pad (&watch, link->src->sinkpad);
  gst_harness_push_event (link->sink,
                          custom_event (GST_EVENT_CUSTOM_DOWNSTREAM, "cut", 1));
  gst_harness_push_event (link->sink,
                          custom_event (GST_EVENT_CUSTOM_DOWNSTREAM, "cut", 2));
  pass (link);
  assert_seen (&watch, "caps cut:1 cut:2 buffer ");
  pass (link);
  assert_seen (&watch, "buffer ");
  link_free (link);
  watch_clear (&watch);
}
GST_END_TEST

/* --- Streams ---------------------------------------------------------------- */

/* Takes @start. */
static void
start_stream (Link *link, GstEvent *start)
{
  g_autoptr (GstCaps) caps = gst_caps_from_string (CAPS);
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (link->sink, start);
  gst_harness_push_event (link->sink, gst_event_new_caps (caps));
  gst_harness_push_event (link->sink, gst_event_new_segment (&segment));
}

/* Of a demultiplexer's two streams the one that crosses. */
static void
start_selected_stream (Link *link)
{
  GstStreamCollection *collection = gst_stream_collection_new ("test/file");
  GstStream *video = gst_stream_new ("test/video", NULL, GST_STREAM_TYPE_VIDEO,
                                     GST_STREAM_FLAG_SELECT);
  GstStream *audio = gst_stream_new ("test/audio", NULL, GST_STREAM_TYPE_AUDIO,
                                     GST_STREAM_FLAG_NONE);
  GstEvent *start = gst_event_new_stream_start ("test/video");

  gst_stream_collection_add_stream (collection, gst_object_ref (video));
  gst_stream_collection_add_stream (collection, audio);
  gst_event_set_stream (start, video);
  gst_event_set_stream_flags (start, GST_STREAM_FLAG_SELECT);
  gst_event_set_group_id (start, 1);
  start_stream (link, start);
  gst_harness_push_event (link->sink, gst_event_new_stream_collection (collection));
  gst_object_unref (collection);
  gst_object_unref (video);
}

static void
check_collection (GstHarness *harness)
{
  g_autoptr (GstEvent) event
    = gst_pad_get_sticky_event (harness->sinkpad, GST_EVENT_STREAM_COLLECTION, 0);
  GstStreamCollection *collection;
  GstStream *stream;

  g_assert_nonnull (event);
  gst_event_parse_stream_collection (event, &collection);
  g_assert_cmpstr (gst_stream_collection_get_upstream_id (collection), ==, "test/file");
  g_assert_cmpuint (gst_stream_collection_get_size (collection), ==, 1);
  stream = gst_stream_collection_get_stream (collection, 0);
  g_assert_cmpstr (gst_stream_get_stream_id (stream), ==, "test/video");
  g_assert_cmpint ((int) gst_stream_get_stream_type (stream), ==, GST_STREAM_TYPE_VIDEO);
  gst_object_unref (collection);
}

static void
check_start (GstHarness *harness)
{
  g_autoptr (GstEvent) event
    = gst_pad_get_sticky_event (harness->sinkpad, GST_EVENT_STREAM_START, 0);
  GstStreamFlags flags;
  const char *id;
  guint group_id;

  gst_event_parse_stream_start (event, &id);
  gst_event_parse_stream_flags (event, &flags);
  g_assert_cmpstr (id, ==, "test/video");
  g_assert_cmpint ((int) flags, ==, GST_STREAM_FLAG_SELECT);
  g_assert_true (gst_event_parse_group_id (event, &group_id));
}

GST_START_TEST (a_stream_is_called_what_it_is_in_the_writers_pipeline)
{
  Link *link = link_new ("", "", CAPS, TRUE);
  GstHarness *late = elements_harness_new ("ndshsrc", "");
  Watch watch, late_watch;

  watch_pad (&watch, link->src->sinkpad);
  start_selected_stream (link);
  pass (link);
  assert_seen (&watch, "start:test/video caps collection buffer ");
  check_start (link->src);
  check_collection (link->src);
  pass (link);
  assert_seen (&watch, "buffer ");
  watch_pad (&late_watch, late->sinkpad);
  gst_harness_play (late);
  gst_buffer_unref (gst_harness_pull (late));
  assert_seen (&late_watch, "start:test/video caps collection buffer ");
  check_start (late);
  check_collection (late);
  gst_harness_teardown (late);
  link_free (link);
  watch_clear (&watch);
  watch_clear (&late_watch);
}
GST_END_TEST

static guint
count_starts (Watch *watch)
{
  guint n;

  g_mutex_lock (&watch->lock);
  n = watch->n_starts;
  g_mutex_unlock (&watch->lock);
  return n;
}

/* Each writer calls its stream something else, and elements would take it for another. */
GST_START_TEST (the_next_writer_goes_on_with_the_stream)
{
  Link *link = link_new ("", "", CAPS, TRUE);
  Watch watch;

  start_stream (link, gst_event_new_stream_start ("test/first"));
  gst_harness_push_event (link->sink, tag_event (GST_TAG_SCOPE_STREAM, "title", "a"));
  pass (link);
  watch_pad (&watch, link->src->sinkpad);
  gst_harness_teardown (link->sink);
  link->sink = elements_harness_new ("ndshsink", "");
  elements_wait_readers (link->sink->element, 1);
  start_stream (link, gst_event_new_stream_start ("test/second"));
  pass (link);
  assert_seen (&watch, "no tags(0) buffer ");
  start_stream (link, gst_event_new_stream_start ("test/third"));
  pass (link);
  assert_seen (&watch, "start:test/third caps buffer ");
  link_free (link);
  watch_clear (&watch);
}
GST_END_TEST

static void
write_frame (NdshWriter *writer)
{
  g_autoptr (NdshDraft) draft = NULL;
  NdshArrayInfo info;

  ndsh_array_info_init (&info, NDSH_DTYPE_UINT8, 1, (gsize[]){ 100 });
  draft = ndsh_writer_begin (writer, &info, 1, NULL);
  g_assert_cmpuint (ndsh_draft_publish (draft, NULL), >, 0);
}

/* A program's stream is called nothing, and of some there is only an end. */
static void
check_starts (guint n_frames)
{
  GstHarness *harness = elements_harness_new ("ndshsrc", "on-disconnect=eos");
  NdshWriter *writer = ndsh_writer_new ("default", NULL, NULL);
  Watch watch;

  watch_pad (&watch, harness->sinkpad);
  gst_harness_play (harness);
  elements_wait_property (harness->element, "connected");
  for (guint i = 0; i < n_frames; i++) {
    write_frame (writer);
    gst_buffer_unref (gst_harness_pull (harness));
  }
  ndsh_writer_free (writer);
  elements_wait_event (harness, GST_EVENT_EOS);
  g_assert_cmpuint (count_starts (&watch), ==, 1);
  gst_harness_teardown (harness);
  watch_clear (&watch);
}

GST_START_TEST (a_stream_starts_once_whatever_comes_first)
{
  check_starts (0);
  check_starts (1);
}
GST_END_TEST

/* Two chapters, of which the second has two parts. */
static GstToc *
make_toc (void)
{
  GstToc *toc = gst_toc_new (GST_TOC_SCOPE_GLOBAL);
  GstTocEntry *entry;

  gst_toc_set_tags (toc, gst_tag_list_new ("title", "A\nfilm, \"so\"", NULL));
  for (gint64 i = 0; i < 2; i++) {
    g_autofree char *uid = g_strdup_printf ("chapter %d", (int) i);

    entry = gst_toc_entry_new (GST_TOC_ENTRY_TYPE_CHAPTER, uid);
    gst_toc_entry_set_start_stop_times (entry, i * 100, i * 100 + 100);
    if (i == 1) {
      gst_toc_entry_append_sub_entry (
        entry, gst_toc_entry_new (GST_TOC_ENTRY_TYPE_CHAPTER, "part 0"));
      gst_toc_entry_append_sub_entry (
        entry, gst_toc_entry_new (GST_TOC_ENTRY_TYPE_CHAPTER, "part 1"));
    }
    gst_toc_append_entry (toc, entry);
  }
  return toc;
}

static void
check_toc (GstHarness *harness)
{
  g_autoptr (GstEvent) event
    = gst_pad_get_sticky_event (harness->sinkpad, GST_EVENT_TOC, 0);
  g_autofree char *title = NULL;
  GstTocEntry *entry;
  gint64 start, stop;
  GstToc *toc;

  g_assert_nonnull (event);
  gst_event_parse_toc (event, &toc, NULL);
  g_assert_true (gst_tag_list_get_string (gst_toc_get_tags (toc), "title", &title));
  g_assert_cmpstr (title, ==, "A\nfilm, \"so\"");
  g_assert_cmpuint (g_list_length (gst_toc_get_entries (toc)), ==, 2);
  entry = gst_toc_find_entry (toc, "chapter 1");
  g_assert_true (gst_toc_entry_get_start_stop_times (entry, &start, &stop));
  g_assert_cmpint (start, ==, 100);
  g_assert_cmpint (stop, ==, 200);
  g_assert_cmpuint (g_list_length (gst_toc_entry_get_sub_entries (entry)), ==, 2);
  g_assert_nonnull (gst_toc_find_entry (toc, "part 1"));
  gst_toc_unref (toc);
}

GST_START_TEST (a_table_of_contents_crosses_also_to_who_comes_late)
{
  Link *link = link_new ("", "", CAPS, TRUE);
  GstHarness *late = elements_harness_new ("ndshsrc", "");
  GstToc *toc = make_toc ();

  gst_harness_push_event (link->sink, gst_event_new_toc (toc, FALSE));
  gst_toc_unref (toc);
  pass (link);
  check_toc (link->src);
  gst_harness_play (late);
  gst_buffer_unref (gst_harness_pull (late));
  check_toc (late);
  gst_harness_teardown (late);
  link_free (link);
}
GST_END_TEST

/* --- Gaps and flushes ------------------------------------------------------- */

/* The frame @n, at so many tenths of a second. */
static void
pass_at (Link *link, guint n)
{
  GstBuffer *buffer = elements_buffer_new (FRAME_SIZE, n);

  GST_BUFFER_PTS (buffer) = n * 100 * GST_MSECOND;
  gst_buffer_unref (link_pass (link, buffer));
}

GST_START_TEST (a_gap_goes_with_the_next_frame_and_those_in_a_row_are_one)
{
  Link *link = link_new ("sync=false", "is-live=false", CAPS, TRUE);
  Watch watch;

  pass_at (link, 0);
  watch_pad (&watch, link->src->sinkpad);
  gst_harness_push_event (link->sink, gst_event_new_gap (100 * GST_MSECOND,
                                                         100 * GST_MSECOND));
  gst_harness_push_event (link->sink, gst_event_new_gap (200 * GST_MSECOND,
                                                         100 * GST_MSECOND));
  pass_at (link, 3);
  assert_seen (&watch, "gap:100+200 buffer ");
  pass_at (link, 4);
  assert_seen (&watch, "buffer ");
  link_free (link);
  watch_clear (&watch);
}
GST_END_TEST

static void
flush (Link *link)
{
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (link->sink, gst_event_new_flush_start ());
  gst_harness_push_event (link->sink, gst_event_new_flush_stop (TRUE));
  gst_harness_push_event (link->sink, gst_event_new_segment (&segment));
}

static void
check_flush (const char *properties, const char *expected)
{
  Link *link = link_new ("", properties, CAPS, TRUE);
  Watch watch;

  pass (link);
  watch_pad (&watch, link->src->sinkpad);
  flush (link);
  pass (link);
  assert_seen (&watch, expected);
  pass (link);
  assert_seen (&watch, "buffer ");
  link_free (link);
  watch_clear (&watch);
}

GST_START_TEST (who_asks_for_it_is_flushed_with_the_writer)
{
  check_flush ("follow-flush=true", "flush-start flush-stop buffer ");
}
GST_END_TEST

GST_START_TEST (nobody_else_is_flushed_with_the_writer)
{
  check_flush ("", "buffer ");
}
GST_END_TEST

/* As one process has it, where a stream-start takes them away. */
GST_START_TEST (tags_end_with_their_stream)
{
  Link *link = link_new ("", "", CAPS, TRUE);
  Watch watch;

  gst_harness_push_event (link->sink, tag_event (GST_TAG_SCOPE_STREAM, "title", "a"));
  pass (link);
  watch_pad (&watch, link->src->sinkpad);
  start_stream (link, gst_event_new_stream_start ("test/another"));
  pass (link);
  assert_seen (&watch, "start:test/another caps no tags(0) buffer ");
  pass (link);
  assert_seen (&watch, "buffer ");
  link_free (link);
  watch_clear (&watch);
}
GST_END_TEST

/* A new stream has tags of its own. */
GST_START_TEST (a_new_stream_forgets_the_tags_of_the_last)
{
  g_autoptr (GByteArray) metadata = g_byte_array_new ();
  GstNdshEvents *events = gst_ndsh_events_new ();
  GstEvent *event = tag_event (GST_TAG_SCOPE_STREAM, "title", "a");

  gst_ndsh_events_note (events, event);
  gst_event_unref (event);
  event = gst_event_new_stream_start ("x");
  gst_ndsh_events_note (events, event);
  gst_event_unref (event);
  gst_ndsh_events_append_of_stream (events, metadata);

  g_assert_null (g_strstr_len ((char *) metadata->data, metadata->len, "title"));
  gst_ndsh_events_free (events);
}
GST_END_TEST

GST_START_TEST (events_without_end_are_bounded)
{
  g_autoptr (GByteArray) metadata = g_byte_array_new ();
  GstNdshEvents *events = gst_ndsh_events_new ();

  for (int i = 0; i < 10000; i++) {
    GstEvent *event = custom_event (GST_EVENT_CUSTOM_DOWNSTREAM, "many", i);

    g_assert_false (gst_ndsh_events_note (events, event));
    gst_event_unref (event);
  }
  gst_ndsh_events_append (events, metadata);

  g_assert_cmpuint (metadata->len, <=, NDSH_MAX_METADATA / 2);
  gst_ndsh_events_free (events);
}
GST_END_TEST

GST_START_TEST (one_tag_that_is_too_long_does_not_keep_the_rest)
{
  g_autoptr (GByteArray) metadata = g_byte_array_new (), given = g_byte_array_new ();
  GstNdshEvents *events = gst_ndsh_events_new ();
  g_autofree char *lyrics = g_strnfill (40000, 'a'), *title = NULL;
  GstTagList *tags = gst_tag_list_new ("lyrics", lyrics, "title", "<<<<[[[({\n\"", NULL);
  GstEvent *event = gst_event_new_tag (tags);
  GList *list;

  g_assert_true (gst_ndsh_events_note (events, event));
  gst_event_unref (event);
  gst_ndsh_events_append_of_stream (events, metadata);
  list = gst_ndsh_events_read_of_stream (metadata->data, metadata->len, given);
  g_assert_cmpuint (g_list_length (list), ==, 1);
  gst_event_parse_tag (list->data, &tags);
  g_assert_cmpint (gst_tag_list_n_tags (tags), ==, 1);
  g_assert_true (gst_tag_list_get_string (tags, "title", &title));
  g_assert_cmpstr (title, ==, "<<<<[[[({\n\"");
  g_list_free_full (list, (GDestroyNotify) gst_mini_object_unref);
  gst_ndsh_events_free (events);
}
GST_END_TEST

static const char *const no_events[]
  = { "", "1", "taglist, title=(buffer)zz;", "{{{{", "taglist, no-such-tag=(string)a;",
      "taglist, title=(int)1, bitrate=(string)a;", "stream-start, stream-id=(int)1;",
      "stream-start, stream-id=(string)a, flags=(int)-1, type=(string)b;",
      "stream-start, stream-id=(string)a, flags=(uint)4294967295, type=(uint)4294967295;",
      "gap, start=(gint64)-1;", "gap, start=(gint64)9223372036854775807;", "toc;",
      "application/x-gst-dvd;", "toc;\nentry, level=(uint)1;", "entry;\nentry, level=(uint)4294967295;",
      "toc, tags=(string)1;\nentry, uid=(int)1, type=(int)-9;\n\nentry, level=(uint)1;" };

/* Nothing that muxers are known to crash on. */
static void
assert_usual (GList *events)
{
  for (GList *l = events; l != NULL; l = l->next) {
    GstToc *toc = NULL;

    if (GST_EVENT_TYPE (l->data) == GST_EVENT_TOC) {
      gst_event_parse_toc (l->data, &toc, NULL);
      g_assert_nonnull (gst_toc_get_entries (toc));
      gst_toc_unref (toc);
    } else if (gst_event_get_structure (l->data) != NULL) {
      g_assert_false (gst_event_has_name (l->data, "application/x-gst-dvd"));
    }
  }
}

GST_START_TEST (what_strangers_write_in_their_place_harms_nobody)
{
  for (guint i = 0; i < G_N_ELEMENTS (no_events); i++)
    for (guint8 kind = 0; kind < 10; kind++) {
      g_autoptr (GByteArray) metadata = g_byte_array_new (), given = g_byte_array_new ();
      g_autofree char *text = g_strdup_printf ("%c%s", '0', no_events[i]);
      GList *list;

      text[0] = (char) kind;
      ndsh_metadata_append (metadata, 8, text, strlen (no_events[i]) + 2);
      ndsh_metadata_append (metadata, 8, text, strlen (no_events[i]) + 1);
      ndsh_metadata_append (metadata, 8, NULL, 0);
      list = gst_ndsh_events_read (metadata->data, metadata->len);
      assert_usual (list);
      g_list_free_full (list, (GDestroyNotify) gst_mini_object_unref);
      list = gst_ndsh_events_read_of_stream (metadata->data, metadata->len, given);
      assert_usual (list);
      g_list_free_full (list, (GDestroyNotify) gst_mini_object_unref);
    }
}
GST_END_TEST

/* --- Caps, or none -------------------------------------------------------- */

/* As filesrc has it. */
GST_START_TEST (a_stream_without_caps_stays_without)
{
  Link *link = link_new ("", "", NULL, TRUE);
  g_autoptr (GstCaps) caps = NULL;
  GstBuffer *buffer;
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (link->sink, gst_event_new_stream_start ("x"));
  gst_harness_push_event (link->sink, gst_event_new_segment (&segment));
  for (guint i = 1; i < 4; i++) {
    buffer = link_pass (link, elements_buffer_new (1000 * i, i));
    g_assert_cmpuint (gst_buffer_get_size (buffer), ==, 1000 * i);
    gst_buffer_unref (buffer);
  }

  caps = link_get_caps (link);
  g_assert_null (caps);
  link_free (link);
}
GST_END_TEST

GST_START_TEST (caps_that_are_too_long_go_without_headers)
{
  g_autofree char *hex = g_strnfill (NDSH_MAX_DESCRIPTION, 'a');
  g_autofree char *text
    = g_strdup_printf ("audio/x-vorbis,rate=8000,streamheader=(buffer)< %s >", hex);
  Link *link = link_new ("", "", text, TRUE);
  g_autoptr (GstCaps) caps = NULL;

  gst_buffer_unref (link_pass (link, elements_buffer_new (100, 1)));
  caps = link_get_caps (link);
  g_assert_true (gst_structure_has_name (gst_caps_get_structure (caps, 0),
                                         "audio/x-vorbis"));
  g_assert_true (gst_structure_has_field (gst_caps_get_structure (caps, 0), "rate"));
  g_assert_false (
    gst_structure_has_field (gst_caps_get_structure (caps, 0), "streamheader"));
  link_free (link);
}
GST_END_TEST

GST_START_TEST (the_source_answers_with_the_caps_of_the_channel)
{
  Link *link = link_new ("", "", CAPS, TRUE);
  g_autoptr (GstPad) pad = gst_element_get_static_pad (link->src->element, "src");
  g_autoptr (GstCaps) filter = gst_caps_from_string ("video/x-raw,width=[1,100];audio/x-raw");
  g_autoptr (GstCaps) before = gst_pad_query_caps (pad, NULL), caps = NULL, some = NULL;
  g_autoptr (GstCaps) expected = gst_caps_from_string (CAPS);

  g_assert_true (gst_caps_is_any (before));
  pass (link);
  caps = gst_pad_query_caps (pad, NULL);
  some = gst_pad_query_caps (pad, filter);

  g_assert_true (gst_caps_is_equal (caps, expected));
  g_assert_true (gst_caps_is_equal (some, expected));
  link_free (link);
}
GST_END_TEST

/* --- Key frames ----------------------------------------------------------- */

#define ENCODED "video/x-h264,stream-format=byte-stream,alignment=au"

/* Returns whether the encoder behind @link, which is us, was asked for a key frame. */
static gboolean
pass_and_look (Link *link, gboolean is_delta)
{
  GstBuffer *buffer = elements_buffer_new (100, 1);
  gboolean asked = FALSE;
  GstEvent *event;

  if (is_delta)
    GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_DELTA_UNIT);
  gst_harness_push (link->sink, buffer);
  while ((event = gst_harness_try_pull_upstream_event (link->sink)) != NULL) {
    asked |= gst_video_event_is_force_key_unit (event);
    gst_event_unref (event);
  }
  return asked;
}

GST_START_TEST (an_encoder_is_asked_for_a_key_frame_when_a_reader_joins)
{
  Link *link = link_new ("", "", ENCODED, TRUE);
  GstHarness *late = elements_harness_new ("ndshsrc", "");

  /* The first has it. */
  g_assert_false (pass_and_look (link, FALSE));
  g_assert_false (pass_and_look (link, TRUE));
  gst_harness_play (late);
  elements_wait_readers (link->sink->element, 2);
  while (!pass_and_look (link, TRUE))
    ;
  g_assert_false (pass_and_look (link, TRUE));
  gst_harness_teardown (late);
  link_free (link);
}
GST_END_TEST

GST_START_TEST (a_request_for_a_key_frame_reaches_the_encoder)
{
  Link *link = link_new ("", "", ENCODED, TRUE);

  g_assert_false (pass_and_look (link, FALSE));
  g_assert_false (pass_and_look (link, TRUE));
  gst_harness_push_upstream_event (link->src, gst_video_event_new_upstream_force_key_unit (
                                                GST_CLOCK_TIME_NONE, FALSE, 1));
  /* It goes when the next frame comes, and comes by way of the writer's thread. */
  while (!pass_and_look (link, TRUE))
    ;
  link_free (link);
}
GST_END_TEST

GST_START_TEST (nobody_is_asked_for_key_frames_of_what_is_not_encoded)
{
  Link *link = link_new ("", "", CAPS, TRUE);

  gst_harness_push_upstream_event (link->src, gst_video_event_new_upstream_force_key_unit (
                                                GST_CLOCK_TIME_NONE, FALSE, 1));
  for (guint i = 0; i < 5; i++) {
    pass (link);
    g_assert_false (pass_and_look (link, TRUE));
    gst_buffer_unref (gst_harness_pull (link->src));
  }
  link_free (link);
}
GST_END_TEST

static Suite *
events_suite (void)
{
  Suite *suite = suite_create ("events");
  TCase *tcase = elements_case_new (suite, "events");

  tcase_add_test (tcase, tags_come_before_the_frame_that_follows_them_and_once);
  tcase_add_test (tcase, who_comes_late_gets_what_is_sticky);
  tcase_add_test (tcase, a_custom_event_goes_with_the_next_frame);
  tcase_add_test (tcase, a_new_stream_forgets_the_tags_of_the_last);
  tcase_add_test (tcase, tags_end_with_their_stream);
  tcase_add_test (tcase, a_stream_is_called_what_it_is_in_the_writers_pipeline);
  tcase_add_test (tcase, the_next_writer_goes_on_with_the_stream);
  tcase_add_test (tcase, a_stream_starts_once_whatever_comes_first);
  tcase_add_test (tcase, a_table_of_contents_crosses_also_to_who_comes_late);
  tcase_add_test (tcase, a_gap_goes_with_the_next_frame_and_those_in_a_row_are_one);
  tcase_add_test (tcase, who_asks_for_it_is_flushed_with_the_writer);
  tcase_add_test (tcase, nobody_else_is_flushed_with_the_writer);
  tcase_add_test (tcase, one_tag_that_is_too_long_does_not_keep_the_rest);
  tcase_add_test (tcase, events_without_end_are_bounded);
  tcase_add_test (tcase, what_strangers_write_in_their_place_harms_nobody);
  tcase_add_test (tcase, a_stream_without_caps_stays_without);
  tcase_add_test (tcase, caps_that_are_too_long_go_without_headers);
  tcase_add_test (tcase, the_source_answers_with_the_caps_of_the_channel);
  tcase_add_test (tcase, an_encoder_is_asked_for_a_key_frame_when_a_reader_joins);
  tcase_add_test (tcase, a_request_for_a_key_frame_reaches_the_encoder);
  tcase_add_test (tcase, nobody_is_asked_for_key_frames_of_what_is_not_encoded);
  return suite;
}

GST_CHECK_MAIN (events)
