/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A segment is a memfd whose size is sealed, so that no touch of it can be a
 * SIGBUS, and which its maker alone can write: once F_SEAL_FUTURE_WRITE is set
 * the mapping that exists stays the only writable one. Readers get a read-only
 * reopen of it besides, and before Linux 5.1, which has no such seal, the mode
 * 0400 keeps other users from opening it anew through /proc. Some kernels that have it
 * do not mind it in /dev/udmabuf, which is asked (ndsh_segment_find_trust).
 */
#include "segment.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "memory.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010      /* Linux 5.1, glibc 2.29 */
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U         /* Linux 6.3 */
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22           /* Linux 5.14 */
#endif

/* From linux/udmabuf.h, which came with Linux 4.20. */
typedef struct {
  guint32 memfd;
  guint32 flags;                /* 1: close on exec */
  guint64 offset;
  guint64 size;
} UdmabufCreate;

#define UDMABUF_CREATE _IOW ('u', 0x42, UdmabufCreate)

gsize
ndsh_page_align (gsize size)
{
  gsize page = (gsize) getpagesize ();

  return (size + page - 1) & ~(page - 1);
}

static int
create_memfd (const char *name)
{
  unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  int fd = memfd_create (name, flags | MFD_NOEXEC_SEAL);

  if (fd < 0 && errno == EINVAL)
    fd = memfd_create (name, flags);
  return fd;
}

static int
allocate (int fd, gsize from, gsize to)
{
  int result;

  do
    result = fallocate (fd, 0, (off_t) from, (off_t) (to - from));
  while (result < 0 && errno == EINTR);
  return result;
}

/* Maps @size bytes of a file that is @committed long, then lets the file grow.
 * MAP_POPULATE stops at the end of the file, so just the part with memory behind
 * it is faulted in. */
static gboolean
map_all (NdshSegment *segment, int fd, GError **error)
{
  if (ftruncate (fd, (off_t) segment->committed) < 0
      || allocate (fd, 0, segment->committed) < 0)
    return ndsh_set_errno (error, "cannot get %.1f MB of shared memory",
                           segment->committed / 1e6);
  segment->data = mmap (NULL, segment->size, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_POPULATE, fd, 0);
  if (segment->data == MAP_FAILED) {
    segment->data = NULL;
    return ndsh_set_errno (error, "cannot map %.1f MB of shared memory",
                           segment->size / 1e6);
  }
  /* Frames of a camera do not belong into core dumps. */
  madvise (segment->data, segment->size, MADV_DONTDUMP);
  if (ftruncate (fd, (off_t) segment->size) < 0)
    return ndsh_set_errno (error, "cannot set the size of shared memory");
  return TRUE;
}

static gboolean
seal (int fd, NdshSegmentAccess access, GError **error)
{
  int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

  if (fchmod (fd, access == NDSH_SEGMENT_READ ? 0400 : 0600) < 0)
    return ndsh_set_errno (error, "cannot set the mode of shared memory");
  if (access == NDSH_SEGMENT_READ) {
    if (fcntl (fd, F_ADD_SEALS, seals | F_SEAL_FUTURE_WRITE) == 0)
      return TRUE;
  }
  if (fcntl (fd, F_ADD_SEALS, seals) < 0)
    return ndsh_set_errno (error, "cannot seal shared memory");
  return TRUE;
}

/* The fd that a peer gets. Replaces the one given, which could write. */
static gboolean
reopen_read_only (int *fd, GError **error)
{
  char path[32];
  int read_only;

  g_snprintf (path, sizeof path, "/proc/self/fd/%d", *fd);
  read_only = open (path, O_RDONLY | O_CLOEXEC);
  if (read_only < 0)
    return ndsh_set_errno (error, "cannot open %s%s", path,
                           errno == ENOENT ? ": it takes a mounted /proc" : "");
  close (*fd);
  *fd = read_only;
  return TRUE;
}

/* A memfd is a file. Where it passes this limit the kernel sends SIGXFSZ, which
 * ends the program. */
static gboolean
check_file_limit (gsize size, GError **error)
{
  struct rlimit limit;

  if (getrlimit (RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY
      || size <= limit.rlim_cur)
    return TRUE;
  g_set_error (error, NDSH_ERROR, NDSH_ERROR_MEMORY,
               "a slot needs %.1f MB of shared memory, and this process may make "
               "files of %.1f MB at the most; raise the limit (ulimit -f)",
               size / 1e6, limit.rlim_cur / 1e6);
  return FALSE;
}

NdshSegment *
ndsh_segment_new (const char *name, gsize committed, gsize size,
                  NdshSegmentAccess access, GError **error)
{
  g_autoptr (NdshSegment) segment = g_new0 (NdshSegment, 1);

  segment->refs = 1;
  segment->fd = -1;
  segment->committed = ndsh_page_align (committed);
  segment->size = MAX (ndsh_page_align (size), segment->committed);
  if (!ndsh_memory_check (segment->committed, error)
      || !check_file_limit (segment->size, error))
    return NULL;
  segment->fd = create_memfd (name);
  if (segment->fd < 0) {
    ndsh_set_errno (error, "cannot create shared memory (memfd_create)");
    return NULL;
  }
  if (!map_all (segment, segment->fd, error)
      || !seal (segment->fd, access, error))
    return NULL;
  if (access == NDSH_SEGMENT_READ && !reopen_read_only (&segment->fd, error))
    return NULL;
  return g_steal_pointer (&segment);
}

/* By touching: no fd that could write is left, and a page of a memfd has memory
 * from its first touch on. That a control group's limit could be reached here is
 * what the check is for. */
gboolean
ndsh_segment_commit (NdshSegment *segment, gsize committed, GError **error)
{
  committed = ndsh_page_align (committed);
  g_assert (committed <= segment->size);
  if (committed <= segment->committed)
    return TRUE;
  if (!ndsh_memory_check (committed - segment->committed, error))
    return FALSE;
  for (gsize at = segment->committed; at < committed; at += ndsh_page_align (1))
    ((volatile guint8 *) segment->data)[at] = 0;
  segment->committed = committed;
  return TRUE;
}

/* --- Whom to trust -------------------------------------------------------- */

/* Whether @device turns @memory, which is sealed as all is, into memory to write to. */
static NdshTrust
ask_udmabuf (int device, const NdshSegment *memory)
{
  UdmabufCreate create = { (guint32) memory->fd, 1, 0, memory->size };
  int dmabuf = ioctl (device, UDMABUF_CREATE, &create);

  if (dmabuf < 0)
    return errno == EINVAL ? NDSH_TRUST_WRITER : NDSH_TRUST_UNKNOWN;
  close (dmabuf);
  return NDSH_TRUST_UDMABUF;
}

NdshTrust
ndsh_segment_find_trust (const char *device)
{
  g_autoptr (NdshSegment) memory
    = ndsh_segment_new ("ndsh-trust", 1, 1, NDSH_SEGMENT_READ, NULL);
  NdshTrust trust;
  int fd;

  if (memory == NULL)
    return NDSH_TRUST_UNKNOWN;
  if (!(fcntl (memory->fd, F_GET_SEALS) & F_SEAL_FUTURE_WRITE))
    return NDSH_TRUST_USER;
  fd = open (device, O_RDWR | O_CLOEXEC);
  if (fd < 0)
    return errno == ENOENT || errno == ENODEV || errno == ENXIO ? NDSH_TRUST_WRITER
                                                                 : NDSH_TRUST_UNKNOWN;
  trust = ask_udmabuf (fd, memory);
  close (fd);
  return trust;
}

/* --- A reader's side ------------------------------------------------------ */

/* @backed: bytes that have memory behind them; where a writer is honest, the first. */
static gboolean
check_fd (int fd, guint64 size, gsize max_hole, gsize *backed, GError **error)
{
  int seals = fcntl (fd, F_GET_SEALS);
  struct stat st;

  if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat (fd, &st) < 0) {
    g_set_error (error, NDSH_ERROR, NDSH_ERROR_INCOMPATIBLE,
                 "the writer sent memory that is not sealed");
    return FALSE;
  }
  if ((guint64) st.st_size != size || size == 0 || size > G_MAXSSIZE) {
    g_set_error (error, NDSH_ERROR, NDSH_ERROR_INCOMPATIBLE,
                 "the writer sent memory of %" G_GINT64_FORMAT
                 " bytes and said %" G_GUINT64_FORMAT,
                 (gint64) st.st_size, size);
    return FALSE;
  }
  if ((guint64) st.st_blocks * 512 + max_hole < size) {
    g_set_error (error, NDSH_ERROR, NDSH_ERROR_INCOMPATIBLE,
                 "the writer sent memory with holes");
    return FALSE;
  }
  *backed = (gsize) MIN ((guint64) st.st_blocks * 512, size);
  return TRUE;
}

/* Now, and not while somebody waits for the first frame in it, where the kernel can. What
 * has no memory yet would get some. */
static void
populate (const NdshSegment *segment, gsize backed)
{
  madvise (segment->data, ndsh_page_align (backed), MADV_POPULATE_READ);
}

NdshSegment *
ndsh_segment_open (int fd, guint64 size, gsize max_hole,
                   NdshSegmentAccess access, GError **error)
{
  g_autoptr (NdshSegment) segment = g_new0 (NdshSegment, 1);
  gsize backed;

  segment->refs = 1;
  segment->fd = fd;
  if (!check_fd (fd, size, max_hole, &backed, error))
    return NULL;
  segment->size = (gsize) size;
  segment->data = mmap (NULL, segment->size,
                        access == NDSH_SEGMENT_SHARED ? PROT_READ | PROT_WRITE
                                                      : PROT_READ,
                        MAP_SHARED, fd, 0);
  if (segment->data == MAP_FAILED) {
    segment->data = NULL;
    ndsh_set_errno (error, "cannot map %.1f MB of the writer's memory",
                    size / 1e6);
    return NULL;
  }
  if (access == NDSH_SEGMENT_READ)
    populate (segment, backed);
  madvise (segment->data, segment->size, MADV_DONTDUMP);
  close (segment->fd);
  segment->fd = -1;
  return g_steal_pointer (&segment);
}

NdshSegment *
ndsh_segment_ref (NdshSegment *segment)
{
  g_atomic_int_inc (&segment->refs);
  return segment;
}

void
ndsh_segment_unmap (NdshSegment *segment)
{
  if (segment->data != NULL)
    munmap (segment->data, segment->size);
  if (segment->fd >= 0)
    close (segment->fd);
  segment->data = NULL;
  segment->fd = -1;
}

void
ndsh_segment_unref (NdshSegment *segment)
{
  if (segment == NULL || !g_atomic_int_dec_and_test (&segment->refs))
    return;
  ndsh_segment_unmap (segment);
  g_free (segment);
}
