/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_NDSH_TEXT_H
#define GST_NDSH_TEXT_H

#include <gst/gst.h>

G_BEGIN_DECLS

/* The structure, or caps, that @text is, which may have been written by anybody; NULL if it
 * is none, or if something in it is not among what gstndshtext.c lists. */
GstStructure *gst_ndsh_structure_from_text (const char *text);
GstCaps *gst_ndsh_caps_from_text (const char *text);

/* Whether they would be made of it. */
gboolean gst_ndsh_text_is_structure (const char *text);
gboolean gst_ndsh_text_is_caps (const char *text);

/* GLib keeps each name that a process has ever used, of fields, structures and regions.
 * FALSE for one too many, or too long. */
gboolean gst_ndsh_may_use_name (const char *name);

G_END_DECLS

#endif
