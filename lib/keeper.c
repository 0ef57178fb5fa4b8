/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * posix_spawn, because it runs no handler of pthread_atfork, whose one would take the
 * socket away (lifeline.c), and copies no page tables. The keeper goes on in a child of its
 * own and ends here, which is waited for: so the program has no child left, and knows that
 * readers are heard.
 */
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "error.h"
#include "writer-private.h"

#define FIRST_FREE_FD 16        /* above those that the keeper begins with */

extern char **environ;

/* A program with the rights of another user starts no program that its caller named. */
static const char *
get_path (void)
{
  const char *path = secure_getenv ("NDSH_KEEPER");

  return path != NULL && path[0] != '\0' ? path : NDSH_KEEPER_PATH;
}

static void
say_once (NdshWriter *writer, int code)
{
  static gint said;

  if (g_atomic_int_compare_and_exchange (&said, 0, 1))
    g_message ("the last frame of channel '%s' goes with its writer, because %s cannot be "
               "started: %s",
               writer->channel, get_path (),
               code != 0 ? g_strerror (code) : "it failed");
}

/* Copies that are in nobody's way, and like the others are not a forked child's. */
static gboolean
copy_fds (const int *fds, int *copies)
{
  gboolean good = TRUE;

  ndsh_lifeline_lock ();
  for (int i = NDSH_KEEPER_LISTEN; i < NDSH_KEEPER_N_FDS; i++) {
    copies[i] = ndsh_lifeline_add (fcntl (fds[i], F_DUPFD_CLOEXEC, FIRST_FREE_FD));
    good &= copies[i] >= 0;
  }
  ndsh_lifeline_unlock ();
  return good;
}

static void
close_fds (const int *fds)
{
  for (int i = NDSH_KEEPER_LISTEN; i < NDSH_KEEPER_N_FDS; i++)
    ndsh_lifeline_close (fds[i]);
}

/* Nothing of the program's terminal, pipes and signals is the keeper's. */
static int
spawn (char **args, const int *fds, pid_t *pid)
{
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
  sigset_t none, all;
  int code;

  sigemptyset (&none);
  sigfillset (&all);
#ifdef POSIX_SPAWN_SETSID
  flags |= POSIX_SPAWN_SETSID;
#endif
  posix_spawnattr_init (&attributes);
  posix_spawnattr_setsigmask (&attributes, &none);
  posix_spawnattr_setsigdefault (&attributes, &all);
  posix_spawnattr_setflags (&attributes, flags);
  posix_spawn_file_actions_init (&actions);
  for (int fd = 0; fd < NDSH_KEEPER_LISTEN; fd++)
    posix_spawn_file_actions_addopen (&actions, fd, "/dev/null", O_RDWR, 0);
  for (int fd = NDSH_KEEPER_LISTEN; fd < NDSH_KEEPER_N_FDS; fd++)
    posix_spawn_file_actions_adddup2 (&actions, fds[fd], fd);
  code = posix_spawn (pid, get_path (), &actions, &attributes, args, environ);
  posix_spawn_file_actions_destroy (&actions);
  posix_spawnattr_destroy (&attributes);
  return code;
}

/* A program that waits for all its children may have been told in our place. */
static gboolean
has_succeeded (pid_t pid)
{
  int status;

  while (waitpid (pid, &status, 0) < 0)
    if (errno != EINTR)
      return TRUE;
  return WIFEXITED (status) && WEXITSTATUS (status) == 0;
}

static gboolean
start (NdshWriter *writer, char **args, const int *fds)
{
  int copies[NDSH_KEEPER_N_FDS];
  int code = EMFILE;
  gboolean good = FALSE;
  pid_t pid;

  if (copy_fds (fds, copies)) {
    code = spawn (args, copies, &pid);
    good = code == 0 && has_succeeded (pid);
  }
  close_fds (copies);
  if (!good)
    say_once (writer, code);
  return good;
}

gboolean
ndsh_keeper_start (NdshWriter *writer)
{
  int slot = ndsh_store_find_newest (writer);
  NdshNameId id = ndsh_name_get_id (writer->name);
  char *args[NDSH_KEEPER_N_ARGS + 1] = { (char *) "ndsh-keeper", (char *) id.base };
  int fds[NDSH_KEEPER_N_FDS];
  gboolean good;

  if (slot < 0 || !ndsh_name_set_kept (writer->name))
    return FALSE;
  fds[NDSH_KEEPER_LISTEN] = ndsh_service_get_listen_fd (writer->service);
  fds[NDSH_KEEPER_DIR] = id.dir_fd;
  fds[NDSH_KEEPER_CONTROL] = writer->control->fd;
  fds[NDSH_KEEPER_SEGMENT] = writer->memory[slot].segment->fd;
  args[NDSH_KEEPER_LINGER_MS]
    = g_strdup_printf ("%d", (int) ((writer->options.linger_us + 999) / 1000));
  args[NDSH_KEEPER_MAX_READERS] = g_strdup_printf ("%u", writer->options.max_readers);
  args[NDSH_KEEPER_SLOT] = g_strdup_printf ("%d", slot);
  args[NDSH_KEEPER_DEV] = g_strdup_printf ("%ju", (uintmax_t) id.dev);
  args[NDSH_KEEPER_INO] = g_strdup_printf ("%ju", (uintmax_t) id.ino);
  good = start (writer, args, fds);
  for (int i = NDSH_KEEPER_LINGER_MS; i < NDSH_KEEPER_N_ARGS; i++)
    g_free (args[i]);
  return good;
}
