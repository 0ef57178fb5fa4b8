/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The error domain, and what errno says to a person. */
#include "error.h"

#include <errno.h>

NDSH_API GQuark
ndsh_error_quark (void)
{
  return g_quark_from_static_string ("ndsh-error");
}

static const char *
advice (int error)
{
  switch (error) {
  case EMFILE:
    return "; raise the limit of open files (ulimit -n)";
  case ENFILE:
    return "; the system's limit of open files is reached (fs.file-max)";
  case ENOMEM:
    return "; free some memory, raise this process's limit of it (ulimit -v), or "
           "lower the bound on shared memory";
  case ENOSPC:
    return "; make room there or set NDSH_DIR to another directory";
  default:
    return "";
  }
}

gboolean
ndsh_set_errno (GError **error, const char *format, ...)
{
  int saved = errno;
  g_autofree char *what = NULL;
  va_list args;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);

  g_set_error (error, NDSH_ERROR,
               saved == EACCES || saved == EPERM ? NDSH_ERROR_DENIED
               : saved == ENOMEM                 ? NDSH_ERROR_MEMORY
                                                 : NDSH_ERROR_SYSTEM,
               "%s: %s%s", what, g_strerror (saved), advice (saved));
  errno = saved;
  return FALSE;
}
