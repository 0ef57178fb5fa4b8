/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Whether the machine can give so much memory. A memfd is never refused for want
 * of it: who asks for too much is found out by the OOM killer. */
#ifndef NDSH_MEMORY_H
#define NDSH_MEMORY_H

#include "ndsh.h"

/* FALSE with MEMORY and both numbers if @size bytes are more than what is left of
 * the machine's memory or of a control group's limit. */
gboolean ndsh_memory_check (guint64 size, GError **error);

/* Bytes that the machine has. */
guint64 ndsh_memory_get_total (void);

#endif
