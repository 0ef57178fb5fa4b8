# SPDX-License-Identifier: LGPL-2.1-or-later
"""The first of two consoles, with the interface of ndsharray."""

import numpy as np
from ndsharray import NdShArray

numbers = np.random.random((4, 2))
shared = NdShArray("two_consoles", array=numbers, r_w="w")
print("%s, opened to '%s', lies in %s" % (
    shared.name, shared.access, shared.ndarray_mmap_name))
print(numbers)

input("Start console_2.py; when it has read that, press Enter here: ")
pixels = (255 * np.random.random((6, 3))).astype(np.uint8)
shared.write(pixels)                      # another shape and dtype, as you like
print("now it lies in %s" % shared.ndarray_mmap_name)
print(pixels)

input("Press Enter when console_2.py has read that, too: ")
shared.close()                            # the name stays for a minute
