/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Arrays as the library moves them: measured, packed, unpacked. Pure functions. */
#ifndef NDSH_ARRAY_H
#define NDSH_ARRAY_H

#include "ndsh.h"

/* Bytes of data that @arrays need together. INVALID with a sentence if one of
 * them, or their number, cannot be. */
gboolean ndsh_arrays_measure (const NdshArrayInfo *arrays, guint n_arrays,
                              gsize *size, GError **error);

/* The form in shared memory: see NdshPackedArray. */
gsize ndsh_arrays_packed_size (const NdshArrayInfo *arrays, guint n_arrays);
void ndsh_arrays_pack (const NdshArrayInfo *arrays, guint n_arrays,
                       guint8 *packed);

/* Reads foreign bytes, which must not change meanwhile: hand over a copy. FALSE
 * unless they are exactly @n_arrays good descriptions of arrays that lie within
 * @payload_size bytes; @arrays is then undefined. */
gboolean ndsh_arrays_unpack (const guint8 *packed, gsize packed_size,
                             gsize payload_size, NdshArrayInfo *arrays,
                             guint n_arrays);

#endif
