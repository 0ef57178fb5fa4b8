/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"

#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

const char *__asan_default_options (void);

/* A large quarantine would have every input touch new pages. */
const char *
__asan_default_options (void)
{
  return "quarantine_size_mb=2:malloc_context_size=8";
}

static void
swallow (const char *domain, GLogLevelFlags level, const char *line,
         gpointer data)
{
  (void) domain;
  (void) level;
  (void) line;
  (void) data;
}

int
LLVMFuzzerInitialize (int *argc, char ***argv)
{
  (void) argc;
  (void) argv;
  g_log_set_always_fatal (G_LOG_LEVEL_CRITICAL | G_LOG_FATAL_MASK);
  g_log_set_handler ("ndsh",
                     G_LOG_LEVEL_MESSAGE | G_LOG_LEVEL_INFO | G_LOG_LEVEL_DEBUG,
                     swallow, NULL);
  return 0;
}

void
fuzz_bytes (FuzzInput *input, gpointer to, gsize size)
{
  gsize n = MIN (size, input->size);

  memset (to, 0, size);
  if (n > 0)
    memcpy (to, input->data, n);
  input->data += n;
  input->size -= n;
}

guint8
fuzz_u8 (FuzzInput *input)
{
  guint8 value;

  fuzz_bytes (input, &value, sizeof value);
  return value;
}

guint16
fuzz_u16 (FuzzInput *input)
{
  guint16 value;

  fuzz_bytes (input, &value, sizeof value);
  return value;
}

guint32
fuzz_u32 (FuzzInput *input)
{
  guint32 value;

  fuzz_bytes (input, &value, sizeof value);
  return value;
}

void
fuzz_poke (FuzzInput *input, gpointer at, gsize size)
{
  gsize offset = fuzz_u16 (input) % size;
  gsize n = 1 + fuzz_u8 (input) % 8;

  fuzz_bytes (input, (guint8 *) at + offset, MIN (n, size - offset));
}

guint8 *
fuzz_fence_new (gsize max)
{
  gsize page = (gsize) sysconf (_SC_PAGESIZE);
  gsize size = (max + page - 1) / page * page;
  guint8 *start = mmap (NULL, size + page, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

  g_assert (start != MAP_FAILED);
  g_assert (mprotect (start + size, page, PROT_NONE) == 0);
  return start + size;
}

guint
fuzz_count_fds (void)
{
  struct pollfd fds[100];
  guint n = 0;

  for (guint i = 0; i < G_N_ELEMENTS (fds); i++)
    fds[i] = (struct pollfd){ .fd = (int) i };
  g_assert (poll (fds, G_N_ELEMENTS (fds), 0) >= 0);
  for (guint i = 0; i < G_N_ELEMENTS (fds); i++)
    n += !(fds[i].revents & POLLNVAL);
  return n;
}

void
fuzz_touch (gconstpointer data, gsize size)
{
  const volatile guint8 *bytes = data;

  for (gsize i = 0; i < size; i += 4096)
    (void) bytes[i];
  if (size > 0)
    (void) bytes[size - 1];
}

void
fuzz_check_arrays (const NdshArrayInfo *arrays, guint n_arrays, gsize size)
{
  g_assert (n_arrays >= 1 && n_arrays <= NDSH_MAX_ARRAYS);
  for (guint i = 0; i < n_arrays; i++) {
    const NdshArrayInfo *a = &arrays[i];
    long double end = (long double) ndsh_dtype_get_size (a->dtype);
    gboolean empty = FALSE;

    g_assert (end > 0 && a->n_dims <= NDSH_MAX_DIMS);
    for (guint d = 0; d < a->n_dims; d++) {
      g_assert (a->strides[d] >= 0);
      empty |= a->shape[d] == 0;
      if (a->shape[d] > 1)
        end += (long double) (a->shape[d] - 1) * (long double) a->strides[d];
    }
    g_assert (a->offset <= size);
    g_assert (empty || (long double) a->offset + end <= (long double) size);
  }
}

void
fuzz_check_frame (const NdshFrame *frame)
{
  gsize size = ndsh_frame_get_size (frame), metadata_size;
  const char *description = ndsh_frame_get_description (frame);
  gconstpointer metadata = ndsh_frame_get_metadata (frame, &metadata_size);
  guint n_arrays;
  const NdshArrayInfo *arrays = ndsh_frame_get_arrays (frame, &n_arrays);

  fuzz_check_arrays (arrays, n_arrays, size);
  fuzz_touch (ndsh_frame_get_data (frame), size);
  for (guint i = 0; i < n_arrays; i++)
    fuzz_touch ((const guint8 *) ndsh_frame_get_data (frame) + arrays[i].offset,
                ndsh_array_info_get_size (&arrays[i]));
  g_assert (strlen (description) <= NDSH_MAX_DESCRIPTION);
  g_assert (metadata_size <= NDSH_MAX_METADATA);
  g_assert (metadata != NULL || metadata_size == 0);
  fuzz_touch (metadata, metadata_size);
}
