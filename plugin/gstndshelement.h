/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_NDSH_ELEMENT_H
#define GST_NDSH_ELEMENT_H

#include <gst/gst.h>

G_BEGIN_DECLS

/* What ndshsink and ndshsrc do alike. */

/* Ends the pipeline of @element with what the library says, which is of #NDSH_ERROR.
 * @debug: more, for who looks for the cause; or NULL. */
void gst_ndsh_post_error (GstElement *element, const GError *error,
                          const char *debug);

/* How a property may be set: until the element is open, which it is from PAUSED on; at any
 * time; by nobody. */
#define GST_NDSH_PARAM_OPEN                                                    \
  (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY)
#define GST_NDSH_PARAM_LIVE                                                    \
  (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING)
#define GST_NDSH_PARAM_READ (G_PARAM_READABLE | G_PARAM_STATIC_STRINGS)

/* Whether a property may be set now; else that is logged. */
gboolean gst_ndsh_may_set (GstElement *element, const GParamSpec *pspec,
                           gboolean is_open);

/* For properties that are a field of the element and no more: a string, boolean, number or
 * enumeration. @fields: the offset of each property's field by its id, 0 for any other,
 * which is no property then. They take the object lock. */
void gst_ndsh_set_field (GObject *object, const gsize *fields, guint id,
                         const GValue *value, GParamSpec *pspec);
void gst_ndsh_get_field (GObject *object, const gsize *fields, guint id, GValue *value,
                         GParamSpec *pspec);

/* Takes @structure, and posts it with the channel of @element. Not with its object lock. */
void gst_ndsh_post_structure (GstElement *element, GstStructure *structure);

G_END_DECLS

#endif
