/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_NDSH_ERROR_H
#define GST_NDSH_ERROR_H

#include <gst/gst.h>

G_BEGIN_DECLS

/* What ndshsink and ndshsrc do alike. */

/* Ends the pipeline of @element with what the library says, which is of #NDSH_ERROR.
 * @debug: more, for who looks for the cause; or NULL. */
void gst_ndsh_post_error (GstElement *element, const GError *error,
                          const char *debug);

/* Takes @structure, and posts it with the channel of @element. Not with its object lock. */
void gst_ndsh_post_structure (GstElement *element, GstStructure *structure);

G_END_DECLS

#endif
