# SPDX-License-Identifier: LGPL-2.1-or-later
"""The second of two consoles, with the interface of ndsharray."""

import ndsharray

shared = ndsharray.NdShArray("two_consoles", r_w="r", timeout=60)
is_new, array = shared.read()
print("new: %s, %.3f ms after it was written" % (is_new, shared.read_time_ms))
print(array)

is_new, same = shared.read()
print("new: %s" % is_new)                 # the same array until there is another

shared.wait()                             # the original had only polling
is_new, array = shared.read()
print("new: %s, lies in %s" % (is_new, shared.ndarray_mmap_name))
print(array)
shared.close()
