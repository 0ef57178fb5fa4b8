/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The mark of a public symbol, and an error made from errno. */
#ifndef NDSH_ERROR_H
#define NDSH_ERROR_H

#include "ndsh.h"

/* Stands on the definition of a public function; all else is hidden. */
#define NDSH_API __attribute__ ((visibility ("default")))

/* Sets "<what>: <errno in words>"; EMFILE and the like say what to do. Returns
 * FALSE, so that a function can end with it. */
gboolean ndsh_set_errno (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

#endif
