/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_NDSH_TEXT_H
#define GST_NDSH_TEXT_H

#include <gst/gst.h>

G_BEGIN_DECLS

/* Whether GStreamer may be asked to parse @text, of caps or a structure, that may have been
 * written by anybody. Harmless text of kinds that hardly anybody uses is refused as well:
 * structures, caps, samples and tag lists as values. */
gboolean gst_ndsh_text_is_safe (const char *text);

G_END_DECLS

#endif
