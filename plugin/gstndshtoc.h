/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_NDSH_TOC_H
#define GST_NDSH_TOC_H

#include <gst/gst.h>

G_BEGIN_DECLS

/* Lines, each a structure: "toc", then an "entry" for each, in the order of reading. */
char *gst_ndsh_toc_to_text (const GstToc *toc);

/* Whoever wrote @text; NULL if it is none. */
GstToc *gst_ndsh_toc_from_text (const char *text);

G_END_DECLS

#endif
