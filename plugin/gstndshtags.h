/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_NDSH_TAGS_H
#define GST_NDSH_TAGS_H

#include <gst/gst.h>

G_BEGIN_DECLS

/* Without pictures and other samples, which are no text, and values that are too long. */
char *gst_ndsh_tags_to_text (const GstTagList *tags);

/* Whoever wrote @text: what is no tag of this process is left out. NULL if it is none at
 * all. */
GstTagList *gst_ndsh_tags_from_text (const char *text);

G_END_DECLS

#endif
