# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hides where arrays lie that are a program's own, and that their memory stays warm.

New memory of the size of a picture costs a page fault for each of its pages, as much as
the copy into it. So memory that nobody has an array in any more is kept for the next
array of that size.
"""

import numpy as np

# A loop has the last picture while the next is made.
_MAX_SPARE = 2


class Buffers:
    """What frames that look alike are copied and converted into. Any thread may use it:
    what is done to dict and lists is one operation each."""

    __slots__ = ("_spare",)

    def __init__(self):
        self._spare = {}              # by size

    def empty(self, shape, dtype=np.uint8):
        """A writable array in nobody else's memory."""
        dtype = np.dtype(dtype).newbyteorder("=")
        size = dtype.itemsize
        for length in shape:
            size *= length
        spare = self._spare.setdefault(size, [])
        try:
            memory = spare.pop()
        except IndexError:
            memory = np.empty(size, np.uint8)
        return np.asarray(_Loan(memory, spare, tuple(shape), dtype))

    def copy(self, array):
        """The same numbers, rows without padding, in the machine's byte order."""
        copied = self.empty(array.shape, array.dtype)
        np.copyto(copied, array)
        return copied


class _Loan:
    """The base of an array: once no array has it any more, the memory is spare."""

    __slots__ = ("__array_interface__", "_memory", "_spare")

    def __init__(self, memory, spare, shape, dtype):
        self._memory = memory
        self._spare = spare
        self.__array_interface__ = {
            "version": 3, "shape": shape, "typestr": dtype.str,
            "data": (memory.__array_interface__["data"][0], False)}

    def __del__(self, most=_MAX_SPARE):
        if len(self._spare) < most:
            self._spare.append(self._memory)
