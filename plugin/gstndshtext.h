/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_NDSH_TEXT_H
#define GST_NDSH_TEXT_H

#include <gst/gst.h>

G_BEGIN_DECLS

/* Whether GStreamer may be asked to parse the fields in @text, of caps or a structure, which
 * may have been written by anybody. Harmless text of kinds that hardly anybody uses is
 * refused as well: structures, caps, samples, tag lists and ranges as values. */
gboolean gst_ndsh_text_is_safe (const char *text);

/* The structure, or caps, that @text is; NULL if it is none, or not safe. */
GstStructure *gst_ndsh_structure_from_text (const char *text);
GstCaps *gst_ndsh_caps_from_text (const char *text);

G_END_DECLS

#endif
