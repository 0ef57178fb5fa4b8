/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Prints what the compiler makes of the structs of ndsh.h, one a line: its name, size
 * and offset; and constants after '='. The Python package repeats them for ctypes.
 */
#include <ndsh.h>

#include <stddef.h>

#define STRUCT(type) g_print (#type " %zu 0\n", sizeof (type))
#define FIELD(type, field)                                                     \
  g_print (#type "." #field " %zu %zu\n", sizeof (((type *) NULL)->field),     \
           offsetof (type, field))
#define CONSTANT(name) g_print ("=" #name " %d 0\n", (int) name)

static void
print_writing (void)
{
  STRUCT (NdshWriterOptions);
  FIELD (NdshWriterOptions, history);
  FIELD (NdshWriterOptions, max_readers);
  FIELD (NdshWriterOptions, max_bytes);
  FIELD (NdshWriterOptions, lossless_timeout_us);
  FIELD (NdshWriterOptions, perms);
  FIELD (NdshWriterOptions, notify);
  FIELD (NdshWriterOptions, notify_data);
  FIELD (NdshWriterOptions, reserved);
  STRUCT (NdshWriterInfo);
  FIELD (NdshWriterInfo, published);
  FIELD (NdshWriterInfo, n_slots);
  FIELD (NdshWriterInfo, bytes);
  FIELD (NdshWriterInfo, max_bytes);
  FIELD (NdshWriterInfo, max_frames);
  FIELD (NdshWriterInfo, retired_bytes);
  FIELD (NdshWriterInfo, key_requests);
  FIELD (NdshWriterInfo, trust);
  FIELD (NdshWriterInfo, reserved);
  STRUCT (NdshFrameInfo);
  FIELD (NdshFrameInfo, timestamp_ns);
  FIELD (NdshFrameInfo, duration_ns);
  FIELD (NdshFrameInfo, offset);
  FIELD (NdshFrameInfo, flags);
  FIELD (NdshFrameInfo, reserved);
  STRUCT (NdshTiming);
  FIELD (NdshTiming, clock);
  FIELD (NdshTiming, origin_ns);
  FIELD (NdshTiming, latency_ns);
}

static void
print_reading (void)
{
  STRUCT (NdshReaderOptions);
  FIELD (NdshReaderOptions, mode);
  FIELD (NdshReaderOptions, queue_length);
  FIELD (NdshReaderOptions, max_leases);
  FIELD (NdshReaderOptions, reserved);
  STRUCT (NdshReaderInfo);
  FIELD (NdshReaderInfo, pid);
  FIELD (NdshReaderInfo, uid);
  FIELD (NdshReaderInfo, mode);
  FIELD (NdshReaderInfo, max_leases);
  FIELD (NdshReaderInfo, n_leases);
  FIELD (NdshReaderInfo, delivered);
  FIELD (NdshReaderInfo, missed);
  FIELD (NdshReaderInfo, copied);
  FIELD (NdshReaderInfo, lag);
  FIELD (NdshReaderInfo, room);
  FIELD (NdshReaderInfo, max_rate);
  FIELD (NdshReaderInfo, max_width);
  FIELD (NdshReaderInfo, max_height);
  FIELD (NdshReaderInfo, reserved);
}

static void
print_channel (void)
{
  STRUCT (NdshChannelInfo);
  FIELD (NdshChannelInfo, pid);
  FIELD (NdshChannelInfo, uid);
  FIELD (NdshChannelInfo, stream_id);
  FIELD (NdshChannelInfo, published);
  FIELD (NdshChannelInfo, publish_ns);
  FIELD (NdshChannelInfo, n_readers);
  FIELD (NdshChannelInfo, bytes);
  FIELD (NdshChannelInfo, description);
  FIELD (NdshChannelInfo, n_arrays);
  FIELD (NdshChannelInfo, arrays);
  FIELD (NdshChannelInfo, timing);
  FIELD (NdshChannelInfo, duration_ns);
  FIELD (NdshChannelInfo, metadata);
  FIELD (NdshChannelInfo, metadata_size);
  STRUCT (NdshArrayInfo);
  FIELD (NdshArrayInfo, dtype);
  FIELD (NdshArrayInfo, n_dims);
  FIELD (NdshArrayInfo, offset);
  FIELD (NdshArrayInfo, shape);
  FIELD (NdshArrayInfo, strides);
  STRUCT (GError);
  FIELD (GError, domain);
  FIELD (GError, code);
  FIELD (GError, message);
}

int
main (void)
{
  print_writing ();
  print_reading ();
  print_channel ();
  CONSTANT (NDSH_ERROR_SYSTEM);
  CONSTANT (NDSH_DTYPE_COMPLEX256);
  CONSTANT (NDSH_READ_LOSSLESS);
  CONSTANT (NDSH_MAX_DIMS);
  CONSTANT (NDSH_MAX_ARRAYS);
  CONSTANT (NDSH_MAX_LEASES);
  return 0;
}
