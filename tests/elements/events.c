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

/* "title=a", "custom name number", "buffer": in the order in which they came. */
typedef struct {
  GMutex lock;
  GString *seen;
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
  GstTagList *tags;
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
  else
    note_event (watch->seen, GST_PAD_PROBE_INFO_EVENT (info));
  g_mutex_unlock (&watch->lock);
  return GST_PAD_PROBE_OK;
}

static void
watch_pad (Watch *watch, GstPad *pad)
{
  g_mutex_init (&watch->lock);
  watch->seen = g_string_new (NULL);
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM,
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

/* As one process has it, where a stream-start takes them away. */
GST_START_TEST (tags_end_with_their_stream)
{
  Link *link = link_new ("", "", CAPS, TRUE);
  g_autoptr (GstCaps) caps = gst_caps_from_string (CAPS);
  GstSegment segment;
  Watch watch;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (link->sink, tag_event (GST_TAG_SCOPE_STREAM, "title", "a"));
  pass (link);
  watch_pad (&watch, link->src->sinkpad);
  gst_harness_push_event (link->sink, gst_event_new_stream_start ("another"));
  gst_harness_push_event (link->sink, gst_event_new_caps (caps));
  gst_harness_push_event (link->sink, gst_event_new_segment (&segment));
  pass (link);
  assert_seen (&watch, "no tags(0) buffer ");
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
  gst_ndsh_events_append (events, metadata);

  g_assert_cmpuint (metadata->len, ==, 0);
  gst_ndsh_events_free (events);
}
GST_END_TEST

GST_START_TEST (events_without_end_are_bounded)
{
  g_autoptr (GByteArray) metadata = g_byte_array_new ();
  GstNdshEvents *events = gst_ndsh_events_new ();

  for (int i = 0; i < 10000; i++) {
    GstEvent *event = custom_event (GST_EVENT_CUSTOM_DOWNSTREAM, "many", i);

    gst_ndsh_events_note (events, event);
    gst_event_unref (event);
  }
  gst_ndsh_events_append (events, metadata);

  g_assert_cmpuint (metadata->len, <=, NDSH_MAX_METADATA / 2);
  gst_ndsh_events_free (events);
}
GST_END_TEST

GST_START_TEST (one_tag_that_is_too_long_does_not_keep_the_rest)
{
  g_autoptr (GByteArray) metadata = g_byte_array_new (), sticky = g_byte_array_new ();
  GstNdshEvents *events = gst_ndsh_events_new ();
  g_autofree char *lyrics = g_strnfill (40000, 'a'), *title = NULL;
  GstTagList *tags = gst_tag_list_new ("lyrics", lyrics, "title", "<<<<[[[({\n\"", NULL);
  GstEvent *event = gst_event_new_tag (tags);
  GList *list;

  gst_ndsh_events_note (events, event);
  gst_event_unref (event);
  gst_ndsh_events_append (events, metadata);
  list = gst_ndsh_events_read (metadata->data, metadata->len, sticky);
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
      "taglist, title=(int)1, bitrate=(string)a;" };

GST_START_TEST (what_strangers_write_in_their_place_harms_nobody)
{
  for (guint i = 0; i < G_N_ELEMENTS (no_events); i++)
    for (guint8 kind = 0; kind < 6; kind++) {
      g_autoptr (GByteArray) metadata = g_byte_array_new (), sticky = g_byte_array_new ();
      g_autofree char *text = g_strdup_printf ("%c%s", '0', no_events[i]);
      GList *list;

      text[0] = (char) kind;
      ndsh_metadata_append (metadata, 8, text, strlen (no_events[i]) + 2);
      ndsh_metadata_append (metadata, 8, text, strlen (no_events[i]) + 1);
      ndsh_metadata_append (metadata, 8, NULL, 0);
      list = gst_ndsh_events_read (metadata->data, metadata->len, sticky);
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
