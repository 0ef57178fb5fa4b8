/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Directories in which names appear, and what inotify tells of them: a writer comes by
 * renaming its socket into one. That it dies no file tells.
 */
#ifndef NDSH_DIRS_H
#define NDSH_DIRS_H

#include <glib.h>

#define NDSH_MAX_DIRS 4

typedef struct _NdshDirs NdshDirs;

/* There is news of @name in directory @dir; or of any in there, if it is NULL: the directory
 * has come, or gone, or events were lost. */
typedef void (*NdshDirsCallback) (gpointer data, guint dir, const char *name);

/* Watches @paths, up to NDSH_MAX_DIRS, from now on. They need not exist. NULL if that cannot
 * be, as where a user has no more of inotify's instances. */
NdshDirs *ndsh_dirs_new (char **paths, GError **error);
void ndsh_dirs_free (NdshDirs *dirs);

/* FALSE if one may be there, but cannot be watched, like one that may only be entered. What
 * is moved or mounted above a directory, or a link to it that changes, nobody tells of. */
gboolean ndsh_dirs_see_all (const NdshDirs *dirs);

/* Polls readable when there is news. */
int ndsh_dirs_get_fd (const NdshDirs *dirs);
guint ndsh_dirs_get_n (const NdshDirs *dirs);
const char *ndsh_dirs_get_path (const NdshDirs *dirs, guint dir);

/* Tells what there is so far, and does not wait. */
void ndsh_dirs_hear (NdshDirs *dirs, NdshDirsCallback callback, gpointer data);

#endif
