/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What tests want of a writer beyond ndsh.h. */
#ifndef NDSH_WRITER_H
#define NDSH_WRITER_H

#include "ndsh.h"

/* The first frame published has the number @first. */
NdshWriter *ndsh_writer_new_at (const char *name,
                                const NdshWriterOptions *options,
                                guint64 first, GError **error);

#endif
