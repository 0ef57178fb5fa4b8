/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "segment.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib/gstdio.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22           /* Linux 5.14 */
#endif

#define SEAL_EXEC 0x0020          /* comes with MFD_NOEXEC_SEAL (Linux 6.3) */

#define SIZE 10000

static NdshSegment *
make_segment (gsize committed, gsize size, NdshSegmentAccess access)
{
  g_autoptr (GError) error = NULL;
  NdshSegment *segment
    = ndsh_segment_new ("ndsh-test", committed, size, access, &error);

  g_assert_no_error (error);
  g_assert_nonnull (segment);
  return segment;
}

static int
duplicate (int fd)
{
  int copy = fcntl (fd, F_DUPFD_CLOEXEC, 0);

  g_assert_cmpint (copy, >=, 0);
  return copy;
}

/* What the reader gets of @segment. */
static NdshSegment *
open_segment (const NdshSegment *segment, NdshSegmentAccess access)
{
  g_autoptr (GError) error = NULL;
  NdshSegment *opened = ndsh_segment_open (duplicate (segment->fd),
                                           segment->size, 0, access, &error);

  g_assert_no_error (error);
  g_assert_nonnull (opened);
  return opened;
}

static guint
count_fds (void)
{
  g_autoptr (GDir) dir = g_dir_open ("/proc/self/fd", 0, NULL);
  guint n = 0;

  g_assert_nonnull (dir);
  while (g_dir_read_name (dir) != NULL)
    n++;
  return n;
}

/* Mappings of memfds made here. */
static guint
count_maps (void)
{
  g_autofree char *text = NULL;
  guint n = 0;

  g_assert_true (g_file_get_contents ("/proc/self/maps", &text, NULL, NULL));
  for (const char *at = text; (at = strstr (at, "ndsh-test")) != NULL; at++)
    n++;
  return n;
}

static gboolean
kernel_seals_future_writes (void)
{
  int fd = memfd_create ("probe", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  gboolean does = fcntl (fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0;

  close (fd);
  return does;
}

/* --- Making --- */

static void
test_a_new_segment_is_zeros (void)
{
  g_autoptr (NdshSegment) segment = make_segment (SIZE, SIZE, NDSH_SEGMENT_READ);
  const guint8 *data = segment->data;

  g_assert_cmpuint (segment->size, ==, ndsh_page_align (SIZE));
  g_assert_cmpuint (segment->committed, ==, segment->size);
  g_assert_cmpuint ((gsize) data % ndsh_page_align (1), ==, 0);
  for (gsize i = 0; i < segment->size; i++)
    g_assert_cmpuint (data[i], ==, 0);
}

static void
test_pages_are_rounded_up (void)
{
  gsize page = ndsh_page_align (1);

  g_assert_cmpuint (page, ==, (gsize) sysconf (_SC_PAGESIZE));
  g_assert_cmpuint (ndsh_page_align (0), ==, 0);
  g_assert_cmpuint (ndsh_page_align (page), ==, page);
  g_assert_cmpuint (ndsh_page_align (page + 1), ==, 2 * page);
}

static void
test_a_reader_sees_what_is_written (void)
{
  g_autoptr (NdshSegment) segment = make_segment (SIZE, SIZE, NDSH_SEGMENT_READ);
  g_autoptr (NdshSegment) reader = open_segment (segment, NDSH_SEGMENT_READ);

  memset (segment->data, 0xa5, SIZE);

  g_assert_cmpmem (reader->data, SIZE, segment->data, SIZE);
  g_assert_cmpint (reader->fd, ==, -1);
  g_assert_cmpuint (reader->size, ==, segment->size);
}

static void
test_both_sides_write_a_shared_one (void)
{
  g_autoptr (NdshSegment) segment
    = make_segment (SIZE, SIZE, NDSH_SEGMENT_SHARED);
  g_autoptr (NdshSegment) reader = open_segment (segment, NDSH_SEGMENT_SHARED);

  *(guint8 *) segment->data = 1;
  ((guint8 *) reader->data)[1] = 2;

  g_assert_cmpmem (reader->data, 2, segment->data, 2);
  g_assert_cmpmem (segment->data, 2, ((guint8[]){ 1, 2 }), 2);
}

static void
test_too_much_is_refused_before_it_is_made (void)
{
  g_autoptr (GError) error = NULL;
  guint fds = count_fds ();
  gsize size = sizeof (gsize) == 8 ? (gsize) 1 << (sizeof (gsize) * 8 - 8)
                                   : (gsize) 3 << 30;

  g_assert_null (
    ndsh_segment_new ("ndsh-test", size, size, NDSH_SEGMENT_READ, &error));

  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_MEMORY);
  g_assert_cmpuint (count_fds (), ==, fds);
}

/* --- Committing --- */

static gsize
get_blocks (const NdshSegment *segment)
{
  struct stat st;

  g_assert_cmpint (fstat (segment->fd, &st), ==, 0);
  return (gsize) st.st_blocks * 512;
}

/* And no SIGXFSZ. */
static void
test_a_limit_on_files_is_an_error (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NdshSegment) segment = NULL;
  struct rlimit before, low;

  g_assert_cmpint (getrlimit (RLIMIT_FSIZE, &before), ==, 0);
  low = before;
  low.rlim_cur = ndsh_page_align (1);
  g_assert_cmpint (setrlimit (RLIMIT_FSIZE, &low), ==, 0);
  segment = ndsh_segment_new ("ndsh-test", ndsh_page_align (1),
                              2 * ndsh_page_align (1), NDSH_SEGMENT_READ, &error);
  g_assert_cmpint (setrlimit (RLIMIT_FSIZE, &before), ==, 0);

  g_assert_null (segment);
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_MEMORY);
  g_assert_nonnull (strstr (error->message, "ulimit -f"));
}

static void
test_only_what_is_committed_has_memory (void)
{
  gsize page = ndsh_page_align (1);
  g_autoptr (NdshSegment) segment
    = make_segment (page, 100 * page, NDSH_SEGMENT_READ);

  g_assert_cmpuint (segment->size, ==, 100 * page);
  g_assert_cmpuint (get_blocks (segment), ==, page);

  g_assert_true (ndsh_segment_commit (segment, 10 * page - 1, NULL));
  g_assert_cmpuint (segment->committed, ==, 10 * page);
  g_assert_cmpuint (get_blocks (segment), ==, 10 * page);

  g_assert_true (ndsh_segment_commit (segment, 5 * page, NULL));
  g_assert_cmpuint (segment->committed, ==, 10 * page);

  g_assert_true (ndsh_segment_commit (segment, 100 * page, NULL));
  memset (segment->data, 1, segment->size);
  g_assert_cmpuint (get_blocks (segment), ==, 100 * page);
}

static void
test_committing_keeps_what_is_there (void)
{
  gsize page = ndsh_page_align (1);
  g_autoptr (NdshSegment) segment
    = make_segment (page, 4 * page, NDSH_SEGMENT_READ);
  guint8 *data = segment->data;

  memset (data, 7, page);
  g_assert_true (ndsh_segment_commit (segment, 4 * page, NULL));

  g_assert_cmpuint (data[page - 1], ==, 7);
  g_assert_cmpuint (data[page], ==, 0);
}

static void
test_committing_too_much_is_refused (void)
{
  gsize page = ndsh_page_align (1);
  gsize size = (gsize) (G_GUINT64_CONSTANT (1) << 44);
  g_autoptr (GError) error = NULL;
  g_autoptr (NdshSegment) segment = NULL;

  if (sizeof (gsize) < 8) {
    g_test_skip ("needs an address space of 64 bits");
    return;
  }
  segment = ndsh_segment_new ("ndsh-test", page, size, NDSH_SEGMENT_READ, NULL);
  if (segment == NULL) {
    g_test_skip ("this machine does not map 16 TB");
    return;
  }

  g_assert_false (ndsh_segment_commit (segment, size, &error));
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_MEMORY);
  g_assert_cmpuint (segment->committed, ==, page);
}

/* --- What a reader cannot do (I9) --- */

static void
test_seals_are_set (void)
{
  g_autoptr (NdshSegment) segment = make_segment (SIZE, SIZE, NDSH_SEGMENT_READ);
  g_autoptr (NdshSegment) shared
    = make_segment (SIZE, SIZE, NDSH_SEGMENT_SHARED);
  int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

  g_assert_cmpint (fcntl (shared->fd, F_GET_SEALS) & ~SEAL_EXEC, ==, seals);
  if (kernel_seals_future_writes ())
    seals |= F_SEAL_FUTURE_WRITE;
  g_assert_cmpint (fcntl (segment->fd, F_GET_SEALS) & ~SEAL_EXEC, ==, seals);
}

static void
test_the_fd_only_reads_and_closes_on_exec (void)
{
  g_autoptr (NdshSegment) segment = make_segment (SIZE, SIZE, NDSH_SEGMENT_READ);
  struct stat st;

  g_assert_cmpint (fcntl (segment->fd, F_GETFL) & O_ACCMODE, ==, O_RDONLY);
  g_assert_cmpint (fcntl (segment->fd, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
  g_assert_cmpint (fstat (segment->fd, &st), ==, 0);
  g_assert_cmpuint (st.st_mode & 07777, ==, 0400);
}

static void
assert_cannot_alter (int fd, gsize size)
{
  g_assert_true (mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
                 == MAP_FAILED);
  g_assert_cmpint (pwrite (fd, "x", 1, 0), ==, -1);
  g_assert_cmpint (ftruncate (fd, 0), ==, -1);
  g_assert_cmpint (ftruncate (fd, (off_t) (2 * size)), ==, -1);
  g_assert_cmpint (fallocate (fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                              (off_t) size), ==, -1);
  g_assert_cmpint (fallocate (fd, 0, 0, (off_t) (2 * size)), ==, -1);
  g_assert_cmpint (fcntl (fd, F_ADD_SEALS, F_SEAL_WRITE), ==, -1);
}

static void
test_a_readers_fd_cannot_alter_frames (void)
{
  g_autoptr (NdshSegment) segment = make_segment (SIZE, SIZE, NDSH_SEGMENT_READ);

  assert_cannot_alter (segment->fd, segment->size);
}

static void
test_a_readers_map_cannot_be_made_writable (void)
{
  g_autoptr (NdshSegment) segment = make_segment (SIZE, SIZE, NDSH_SEGMENT_READ);
  g_autoptr (NdshSegment) reader = open_segment (segment, NDSH_SEGMENT_READ);

  *(guint8 *) segment->data = 1;

  g_assert_cmpint (mprotect (reader->data, reader->size, PROT_READ | PROT_WRITE),
                   ==, -1);
  g_assert_cmpint (madvise (reader->data, reader->size, MADV_REMOVE), ==, -1);
  g_assert_cmpuint (*(const guint8 *) reader->data, ==, 1);
}

/* As the same user, even as root: the seal stands in the way, not the mode. */
static void
test_reopening_does_not_help (void)
{
  g_autoptr (NdshSegment) segment = make_segment (SIZE, SIZE, NDSH_SEGMENT_READ);
  g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d", segment->fd);
  int fd;

  if (!kernel_seals_future_writes ()) {
    g_test_skip ("needs F_SEAL_FUTURE_WRITE (Linux 5.1)");
    return;
  }
  fd = open (path, O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    g_assert_cmpint (errno, ==, EACCES);
    return;
  }
  assert_cannot_alter (fd, segment->size);
  close (fd);
  fd = open (path, O_RDWR | O_CLOEXEC | O_TRUNC);
  g_assert_cmpint (fd, ==, -1);
}

static void
test_a_shared_one_keeps_its_size (void)
{
  g_autoptr (NdshSegment) segment
    = make_segment (SIZE, SIZE, NDSH_SEGMENT_SHARED);

  g_assert_cmpint (ftruncate (segment->fd, 0), ==, -1);
  g_assert_cmpint (errno, ==, EPERM);
  g_assert_cmpint (ftruncate (segment->fd, (off_t) (2 * segment->size)), ==, -1);
  g_assert_cmpint (fcntl (segment->fd, F_ADD_SEALS, F_SEAL_WRITE), ==, -1);
}

/* --- What a reader does not take (I12) --- */

static int
make_memfd (gsize size, gboolean filled, int seals)
{
  int fd = memfd_create ("ndsh-test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (ftruncate (fd, (off_t) size), ==, 0);
  if (filled)
    g_assert_cmpint (fallocate (fd, 0, 0, (off_t) size), ==, 0);
  if (seals != 0)
    g_assert_cmpint (fcntl (fd, F_ADD_SEALS, seals), ==, 0);
  return fd;
}

/* And that the fd is closed either way. */
static void
assert_refused (int fd, guint64 size, gsize max_hole, const char *why)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (
    ndsh_segment_open (fd, size, max_hole, NDSH_SEGMENT_READ, &error));
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_INCOMPATIBLE);
  g_assert_nonnull (strstr (error->message, why));
  g_assert_cmpint (fcntl (fd, F_GETFD), ==, -1);
}

static void
test_unsealed_memory_is_refused (void)
{
  gsize size = ndsh_page_align (SIZE);

  assert_refused (make_memfd (size, TRUE, 0), size, 0, "not sealed");
  assert_refused (make_memfd (size, TRUE, F_SEAL_GROW | F_SEAL_WRITE), size, 0,
                  "not sealed");
}

static void
test_other_files_are_refused (void)
{
  int pipes[2];
  char *path = NULL;
  int file = g_file_open_tmp (NULL, &path, NULL);

  g_assert_cmpint (pipe (pipes), ==, 0);
  close (pipes[1]);
  assert_refused (pipes[0], 4096, 0, "not sealed");

  g_assert_cmpint (file, >=, 0);
  g_assert_cmpint (ftruncate (file, 4096), ==, 0);
  g_unlink (path);
  g_free (path);
  assert_refused (file, 4096, 4096, "not sealed");
}

static void
test_another_size_is_refused (void)
{
  gsize size = ndsh_page_align (SIZE);
  g_autofree char *both
    = g_strdup_printf ("%" G_GSIZE_FORMAT " bytes and said %" G_GSIZE_FORMAT,
                       size, size + 1);

  assert_refused (make_memfd (size, TRUE, F_SEAL_SHRINK), size + 1, 0, both);
  assert_refused (make_memfd (size, TRUE, F_SEAL_SHRINK), size - 1, 0, "said");
  assert_refused (make_memfd (size, TRUE, F_SEAL_SHRINK), 0, 0, "said 0");
  assert_refused (make_memfd (0, FALSE, F_SEAL_SHRINK), 0, 0, "of 0 bytes");
  assert_refused (make_memfd (size, TRUE, F_SEAL_SHRINK), G_MAXUINT64, 0,
                  "said 18446744073709551615");
  assert_refused (make_memfd (size / 2, TRUE, F_SEAL_SHRINK), size, 0, "said");
}

static void
test_holes_are_refused (void)
{
  gsize page = ndsh_page_align (1);

  assert_refused (make_memfd (10 * page, FALSE, F_SEAL_SHRINK), 10 * page, 0,
                  "holes");
  assert_refused (make_memfd (10 * page, FALSE, F_SEAL_SHRINK), 10 * page,
                  9 * page, "holes");
}

static void
test_holes_are_taken_as_far_as_agreed (void)
{
  gsize page = ndsh_page_align (1);
  g_autoptr (NdshSegment) segment
    = make_segment (page, 10 * page, NDSH_SEGMENT_READ);
  g_autoptr (NdshSegment) reader = ndsh_segment_open (
    duplicate (segment->fd), 10 * page, 9 * page, NDSH_SEGMENT_READ, NULL);

  g_assert_nonnull (reader);
  assert_refused (duplicate (segment->fd), 10 * page, 9 * page - 1, "holes");
}

static void
test_a_closed_fd_is_refused (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (ndsh_segment_open (-1, 4096, 0, NDSH_SEGMENT_READ, &error));
  g_assert_error (error, NDSH_ERROR, NDSH_ERROR_INCOMPATIBLE);
}

/* --- Coming and going --- */

static void
test_the_last_unref_unmaps (void)
{
  guint maps = count_maps (), fds = count_fds ();
  NdshSegment *segment = make_segment (SIZE, SIZE, NDSH_SEGMENT_READ);

  g_assert_cmpuint (count_maps (), ==, maps + 1);
  g_assert_cmpuint (count_fds (), ==, fds + 1);

  g_assert_true (ndsh_segment_ref (segment) == segment);
  ndsh_segment_unref (segment);
  g_assert_cmpuint (count_maps (), ==, maps + 1);
  *(guint8 *) segment->data = 1;

  ndsh_segment_unref (segment);
  g_assert_cmpuint (count_maps (), ==, maps);
  g_assert_cmpuint (count_fds (), ==, fds);

  ndsh_segment_unref (NULL);
}

static void
test_a_reader_outlives_the_writer (void)
{
  NdshSegment *segment = make_segment (SIZE, SIZE, NDSH_SEGMENT_READ);
  g_autoptr (NdshSegment) reader = open_segment (segment, NDSH_SEGMENT_READ);

  memset (segment->data, 9, SIZE);
  ndsh_segment_unref (segment);

  for (gsize i = 0; i < SIZE; i++)
    g_assert_cmpuint (((const guint8 *) reader->data)[i], ==, 9);
}

static void
test_unmapping_leaves_the_other_side_alone (void)
{
  guint maps = count_maps ();
  g_autoptr (NdshSegment) segment = make_segment (SIZE, SIZE, NDSH_SEGMENT_READ);
  g_autoptr (NdshSegment) reader = open_segment (segment, NDSH_SEGMENT_READ);

  *(guint8 *) segment->data = 5;
  ndsh_segment_unmap (segment);

  g_assert_cmpuint (count_maps (), ==, maps + 1);
  g_assert_cmpuint (*(const guint8 *) reader->data, ==, 5);
}

static void
test_nothing_leaks (void)
{
  guint maps = count_maps (), fds = count_fds ();

  for (guint n = 0; n < 500; n++) {
    NdshSegmentAccess access = n % 2 ? NDSH_SEGMENT_READ : NDSH_SEGMENT_SHARED;
    g_autoptr (NdshSegment) segment = make_segment (SIZE, 4 * SIZE, access);
    g_autoptr (NdshSegment) reader = ndsh_segment_open (
      duplicate (segment->fd), segment->size, 4 * SIZE, access, NULL);

    g_assert_nonnull (reader);
    g_assert_null (ndsh_segment_open (duplicate (segment->fd), 1, 0, access,
                                      NULL));
  }

  g_assert_cmpuint (count_maps (), ==, maps);
  g_assert_cmpuint (count_fds (), ==, fds);
}

/* VmFlags "dd": not in core dumps. */
static void
test_frames_stay_out_of_core_dumps (void)
{
  g_autoptr (NdshSegment) segment = make_segment (SIZE, SIZE, NDSH_SEGMENT_READ);
  g_autoptr (NdshSegment) reader = open_segment (segment, NDSH_SEGMENT_READ);
  g_autofree char *text = NULL;
  guint found = 0;

  g_assert_true (reader->data != segment->data);
  if (!g_file_get_contents ("/proc/self/smaps", &text, NULL, NULL)
      || strstr (text, "VmFlags:") == NULL) {
    g_test_skip ("no VmFlags in /proc/self/smaps");
    return;
  }
  for (const char *at = text; (at = strstr (at, "ndsh-test")) != NULL; at++) {
    const char *flags = strstr (at, "VmFlags:");
    g_autofree char *line = g_strndup (flags, strcspn (flags, "\n"));

    g_assert_nonnull (strstr (line, " dd"));
    found++;
  }
  g_assert_cmpuint (found, ==, 2);
}

static void
test_trust_is_what_the_kernel_deserves (void)
{
  gboolean seals = kernel_seals_future_writes ();
  guint fds = count_fds ();

  g_assert_cmpint (ndsh_segment_find_trust ("/dev/there-is-none"), ==,
                   seals ? NDSH_TRUST_WRITER : NDSH_TRUST_USER);
  /* It may not be looked at, or does not answer. */
  g_assert_cmpint (ndsh_segment_find_trust ("/dev/null/x"), ==,
                   seals ? NDSH_TRUST_UNKNOWN : NDSH_TRUST_USER);
  g_assert_cmpint (ndsh_segment_find_trust ("/dev/null"), ==,
                   seals ? NDSH_TRUST_UNKNOWN : NDSH_TRUST_USER);
  g_assert_cmpuint (count_fds (), ==, fds);
}

/* The same question, asked by somebody who wants to write. */
static void
test_what_is_trusted_cannot_be_written_by_way_of_udmabuf (void)
{
  g_autoptr (NdshSegment) segment = make_segment (SIZE, SIZE, NDSH_SEGMENT_READ);
  NdshTrust trust = ndsh_segment_find_trust ("/dev/udmabuf");
  struct {
    guint32 memfd, flags;
    guint64 offset, size;
  } create = { (guint32) segment->fd, 1, 0, segment->size };
  int device = open ("/dev/udmabuf", O_RDWR | O_CLOEXEC);
  int dmabuf;
  guint8 *data;

  if (device < 0) {
    g_test_skip ("needs /dev/udmabuf (Linux 4.20)");
    return;
  }
  dmabuf = ioctl (device, _IOW ('u', 0x42, create), &create);
  if (dmabuf < 0) {
    g_assert_cmpint (trust, ==, NDSH_TRUST_WRITER);
  } else {
    g_assert_cmpint (trust, >=, NDSH_TRUST_UDMABUF);
    data = mmap (NULL, segment->size, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf, 0);
    g_assert_true (data != MAP_FAILED);
    data[0] = 'x';
    g_assert_cmpint (*(guint8 *) segment->data, ==, 'x');
    munmap (data, segment->size);
    close (dmabuf);
  }
  close (device);
}

/* Pages of this process's tables, by the kernel's word: to touch them would map them. */
static guint
count_mapped_pages (const guint8 *data, gsize size)
{
  int pagemap = open ("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  guint n = 0;

  g_assert_cmpint (pagemap, >=, 0);
  for (gsize at = 0; at < size; at += 4096) {
    off_t entry = (off_t) ((guintptr) (data + at) / 4096 * 8);
    guint64 page = 0;

    g_assert_cmpint (pread (pagemap, &page, sizeof page, entry), ==, sizeof page);
    n += page >> 63;
  }
  close (pagemap);
  return n;
}

/* Who waits for the first frame in it does not wait for its pages. What has no memory
 * yet is left so. */
static void
test_a_reader_finds_the_pages_there (void)
{
  gsize size = 256 * 4096, hole = 16 * 4096;
  g_autoptr (NdshSegment) segment = make_segment (size, size + hole, NDSH_SEGMENT_READ);
  g_autoptr (NdshSegment) opened = NULL;
  struct stat before, after;

  fstat (segment->fd, &before);
  opened = ndsh_segment_open (duplicate (segment->fd), segment->size, hole,
                              NDSH_SEGMENT_READ, NULL);
  fstat (segment->fd, &after);

  g_assert_cmpint (after.st_blocks, ==, before.st_blocks);
  if (madvise (segment->data, 4096, MADV_POPULATE_READ) < 0)
    g_test_skip ("needs MADV_POPULATE_READ (Linux 5.14)");
  else
    g_assert_cmpuint (count_mapped_pages (opened->data, segment->size), ==, 256);
}

static void
add_what_is_refused (void)
{
  g_test_add_func ("/segment/unsealed-memory-is-refused",
                   test_unsealed_memory_is_refused);
  g_test_add_func ("/segment/other-files-are-refused",
                   test_other_files_are_refused);
  g_test_add_func ("/segment/another-size-is-refused",
                   test_another_size_is_refused);
  g_test_add_func ("/segment/holes-are-refused", test_holes_are_refused);
  g_test_add_func ("/segment/holes-are-taken-as-far-as-agreed",
                   test_holes_are_taken_as_far_as_agreed);
  g_test_add_func ("/segment/a-closed-fd-is-refused",
                   test_a_closed_fd_is_refused);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/segment/a-new-segment-is-zeros",
                   test_a_new_segment_is_zeros);
  g_test_add_func ("/segment/trust-is-what-the-kernel-deserves",
                   test_trust_is_what_the_kernel_deserves);
  g_test_add_func ("/segment/what-is-trusted-cannot-be-written-by-way-of-udmabuf",
                   test_what_is_trusted_cannot_be_written_by_way_of_udmabuf);
  g_test_add_func ("/segment/a-reader-finds-the-pages-there",
                   test_a_reader_finds_the_pages_there);
  g_test_add_func ("/segment/pages-are-rounded-up", test_pages_are_rounded_up);
  g_test_add_func ("/segment/a-reader-sees-what-is-written",
                   test_a_reader_sees_what_is_written);
  g_test_add_func ("/segment/both-sides-write-a-shared-one",
                   test_both_sides_write_a_shared_one);
  g_test_add_func ("/segment/too-much-is-refused-before-it-is-made",
                   test_too_much_is_refused_before_it_is_made);
  g_test_add_func ("/segment/a-limit-on-files-is-an-error",
                   test_a_limit_on_files_is_an_error);
  g_test_add_func ("/segment/only-what-is-committed-has-memory",
                   test_only_what_is_committed_has_memory);
  g_test_add_func ("/segment/committing-keeps-what-is-there",
                   test_committing_keeps_what_is_there);
  g_test_add_func ("/segment/committing-too-much-is-refused",
                   test_committing_too_much_is_refused);
  g_test_add_func ("/segment/seals-are-set", test_seals_are_set);
  g_test_add_func ("/segment/the-fd-only-reads-and-closes-on-exec",
                   test_the_fd_only_reads_and_closes_on_exec);
  g_test_add_func ("/segment/a-readers-fd-cannot-alter-frames",
                   test_a_readers_fd_cannot_alter_frames);
  g_test_add_func ("/segment/a-readers-map-cannot-be-made-writable",
                   test_a_readers_map_cannot_be_made_writable);
  g_test_add_func ("/segment/reopening-does-not-help",
                   test_reopening_does_not_help);
  g_test_add_func ("/segment/a-shared-one-keeps-its-size",
                   test_a_shared_one_keeps_its_size);
  add_what_is_refused ();
  g_test_add_func ("/segment/the-last-unref-unmaps", test_the_last_unref_unmaps);
  g_test_add_func ("/segment/a-reader-outlives-the-writer",
                   test_a_reader_outlives_the_writer);
  g_test_add_func ("/segment/unmapping-leaves-the-other-side-alone",
                   test_unmapping_leaves_the_other_side_alone);
  g_test_add_func ("/segment/nothing-leaks", test_nothing_leaks);
  g_test_add_func ("/segment/frames-stay-out-of-core-dumps",
                   test_frames_stay_out_of_core_dumps);

  return g_test_run ();
}
