/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * ndsh-keeper: has the last frame of a writer that ended, for a while, and hands it to who
 * reads. Only a writer starts it, see keeper.h. It ends
 *
 *   when its time is up, or on SIGTERM: and the name with it
 *   on YIELD: the next writer has the name
 */
#include <dirent.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keeper.h"
#include "writer-private.h"

static GMainLoop *loop;

/* What the program had open, and did not mark, would stay open for others: a pipe whose end
 * somebody waits for. */
static void
close_rest (void)
{
  DIR *dir = opendir ("/proc/self/fd");
  struct dirent *entry;

  while (dir != NULL && (entry = readdir (dir)) != NULL) {
    int fd = atoi (entry->d_name);

    if (fd >= NDSH_KEEPER_N_FDS && fd != dirfd (dir))
      close (fd);
  }
  if (dir != NULL)
    closedir (dir);
}

static gboolean
on_over (gpointer data)
{
  (void) data;
  g_main_loop_quit (loop);
  return G_SOURCE_CONTINUE;
}

/* Whoever else is admitted may read, and not end it. As a source, because this is another
 * thread, and a quit before the loop runs would be lost. */
static void
on_yield (gpointer owner, NdshGuest *guest)
{
  (void) owner;
  if (guest->uid == (gint64) geteuid () || guest->uid == 0)
    g_idle_add (on_over, NULL);
}

/* To read, and to hand on: it keeps its fd. */
static NdshSegment *
open_memory (int fd)
{
  struct stat st;
  NdshSegment *segment;

  if (fstat (fd, &st) < 0)
    return NULL;
  segment = ndsh_segment_open (dup (fd), (guint64) st.st_size,
                               NDSH_MAX_TAIL + ndsh_page_align (1),
                               NDSH_SEGMENT_READ, NULL);
  if (segment == NULL)
    return NULL;
  segment->fd = fd;
  segment->committed = (gsize) MIN ((guint64) st.st_blocks * 512, (guint64) st.st_size);
  return segment;
}

/* A library of another release may have started this. */
static gboolean
is_understood (const NdshSegment *segment)
{
  const NdshControl *control = segment->data;

  return segment->size >= sizeof *control && control->magic == NDSH_MAGIC
         && control->major == NDSH_MAJOR && control->minor == NDSH_MINOR
         && control->record_size == sizeof control->slot[0];
}

static gboolean
fits (const NdshFrameRecord *record, const NdshSegment *segment)
{
  guint64 tail = (guint64) record->arrays_size + record->description_size
                 + record->stream_metadata_size + record->metadata_size;

  return record->payload_size <= record->tail_offset
         && record->tail_offset <= segment->size
         && tail <= segment->size - record->tail_offset;
}

/* FALSE if this cannot be handed on. */
static gboolean
open_frame (char **args, NdshKept *kept)
{
  NdshSegment *control = open_memory (NDSH_KEEPER_CONTROL);
  const NdshControl *was;

  kept->segment = open_memory (NDSH_KEEPER_SEGMENT);
  if (control == NULL || kept->segment == NULL || !is_understood (control))
    return FALSE;
  was = control->data;
  ndsh_stream_id_copy (kept->stream_id, was->stream_id);
  kept->record = was->slot[atoi (args[NDSH_KEEPER_SLOT]) & (NDSH_N_SLOTS - 1)].frame;
  kept->ends = was->ends;
  ndsh_segment_unref (control);
  return fits (&kept->record, kept->segment);
}

static NdshWriter *
take_over (char **args, NdshKept *kept)
{
  NdshNameId id = { NDSH_KEEPER_DIR, args[NDSH_KEEPER_CHANNEL],
                    (dev_t) g_ascii_strtoull (args[NDSH_KEEPER_DEV], NULL, 10),
                    (ino_t) g_ascii_strtoull (args[NDSH_KEEPER_INO], NULL, 10) };

  kept->name = ndsh_name_adopt (&id, NDSH_KEEPER_LISTEN);
  kept->listen_fd = NDSH_KEEPER_LISTEN;
  kept->channel = id.base;
  kept->options.max_readers = (guint) atoi (args[NDSH_KEEPER_MAX_READERS]);
  kept->yield = on_yield;
  return ndsh_writer_new_kept (kept, NULL);
}

/* @told hears of it when readers are heard, by the process that the writer waits for. */
static int
keep (char **args, NdshKept *kept, int told)
{
  NdshWriter *writer;

  loop = g_main_loop_new (NULL, FALSE);
  g_unix_signal_add (SIGTERM, on_over, NULL);
  g_timeout_add ((guint) atoi (args[NDSH_KEEPER_LINGER_MS]), on_over, NULL);
  writer = take_over (args, kept);
  if (writer == NULL || write (told, "", 1) != 1)
    return EXIT_FAILURE;
  close (told);
  g_main_loop_run (loop);
  ndsh_writer_free (writer);
  g_main_loop_unref (loop);
  return EXIT_SUCCESS;
}

static int
wait_for (int fd)
{
  char byte;

  return read (fd, &byte, 1) == 1 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int
main (int argc, char **argv)
{
  NdshKept kept = { .ends = 0 };
  int ends[2];
  pid_t pid;

  if (argc != NDSH_KEEPER_N_ARGS) {
    g_printerr ("ndsh-keeper is started by a writer that lingers, not by hand.\n");
    return EXIT_FAILURE;
  }
  close_rest ();
  if (!open_frame (argv, &kept) || pipe (ends) < 0 || chdir ("/") < 0)
    return EXIT_FAILURE;
  /* Threads come later. The writer waits for this process to end. */
  pid = fork ();
  if (pid < 0)
    return EXIT_FAILURE;
  close (ends[pid != 0]);
  if (pid > 0)
    _exit (wait_for (ends[0]));
  setsid ();
  return keep (argv, &kept, ends[1]);
}
