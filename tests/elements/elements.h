/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What tests of the elements share: pipelines whose parts may be missing, two
 * harnesses with a channel between them, and waiting for what is to happen. */
#ifndef ELEMENTS_H
#define ELEMENTS_H

#include <gst/check/gstcheck.h>
#include <gst/check/gstharness.h>
#include <gst/video/video.h>

#include "ndsh-test.h"

#define WAIT_SECONDS 30

/* A case whose fixture is an empty $NDSH_DIR. */
TCase *elements_case_new (Suite *suite, const char *name);

/* --- Pipelines --- */

GstElement *elements_launch (const char *description, ...) G_GNUC_PRINTF (1, 2);

/* NULL, and a line that says so, if an element of @line is not installed. */
GstElement *elements_launch_if_there (const char *line);

/* Starts @pipeline; fails the test if that fails. */
void elements_play (GstElement *pipeline);

/* To NULL, and lets go of it. */
void elements_stop (GstElement *pipeline);

/* To NULL in another thread, while this one keeps watch; fails the test if that
 * takes longer than any state change may. */
void elements_stop_promptly (GstElement *pipeline);

/* Waits for one of @types; an error that is not among them fails the test. */
GstMessage *elements_wait_message (GstElement *pipeline, GstMessageType types);
void elements_wait_eos (GstElement *pipeline);

/* Waits for an error from the element called @name with @code, whose text has
 * @part in it. */
void elements_wait_error (GstElement *pipeline, const char *name, GQuark domain,
                          gint code, const char *part);

/* The element called @name, which @pipeline owns. */
GstElement *elements_find (GstElement *pipeline, const char *name);

/* --- What elements tell --- */

guint64 elements_get_stat (GstElement *element, const char *key);

/* Waits until that many read. */
void elements_wait_readers (GstElement *sink, guint n);

/* Waits until @property, which notifies, is TRUE. */
void elements_wait_property (GstElement *element, const char *property);

/* Until one of @type has come, dropping others. */
void elements_wait_event (GstHarness *harness, GstEventType type);


/* That each property of its own keeps what it was set to, and no other. */
void elements_assert_properties_are_kept (const char *element);

/* --- Two harnesses --- */

typedef struct {
  GstHarness *sink;
  GstHarness *src;
} Link;

/* An ndshsink and an ndshsrc with these properties, connected, on the system
 * clock. @takes_layouts: whether what is behind the source says that it knows
 * GstVideoMeta. */
Link *link_new (const char *sink_properties, const char *src_properties,
                const char *caps, gboolean takes_layouts);
void link_free (Link *link);

/* Sends @buffer, which it takes, and returns what arrives; at most WAIT_SECONDS. */
GstBuffer *link_pass (Link *link, GstBuffer *buffer);

void link_set_caps (Link *link, const char *caps);
GstCaps *link_get_caps (Link *link);

/* A harness around one ndshsink or ndshsrc. */
GstHarness *elements_harness_new (const char *element, const char *properties);

/* The pool that @sink offers for @caps, active. */
GstBufferPool *elements_take_pool (GstElement *sink, GstCaps *caps);
GstBuffer *elements_acquire (GstBufferPool *pool);

/* --- Bytes --- */

/* The last raw video format that this GStreamer knows. */
guint elements_last_format (void);

/* A buffer of system memory in which byte i is i * 31 + @seed. */
GstBuffer *elements_buffer_new (gsize size, guint seed);
void elements_fill (GstBuffer *buffer, guint seed);
void elements_assert_equal_bytes (GstBuffer *a, GstBuffer *b);

#endif
