# SPDX-License-Identifier: LGPL-2.1-or-later
"""N-dimensional arrays and raw video, shared between processes without copying.

One process writes frames under a name, a channel; any number of others see them as
NumPy arrays in the same memory:

    with ndsh.Writer("cam", format="BGR", fps=30) as writer:
        writer.write(image)                        # ndarray (height, width, 3)

    for frame in ndsh.Reader("cam"):
        print(frame.array.shape, frame.age)

GStreamer's ndshsink and ndshsrc use the same channels: a Reader sees the frames of
`ndshsink channel=cam`, and `ndshsrc channel=cam` shows those of the Writer above.

Sizes, strides and offsets are bytes, points in time are nanoseconds of
CLOCK_MONOTONIC (names that end in _ns, and pts), time-outs are seconds.
"""

try:
    import numpy as _numpy            # noqa: F401
except ImportError as _error:
    raise ImportError("ndsh needs NumPy (%s): install python3-numpy, or run it with a "
                      "Python that has it, as Debian's /usr/bin/python3 may"
                      % _error) from None

from ._lib import DTYPES as _DTYPES
from ._lib import Error, FrameInfo, ReaderInfo, Spec, Timing, WriterInfo
from .channels import Channel, channel, channels
from .frame import Frame
from .metas import Meta, Region
from .reader import Reader
from .writer import Draft, Writer

__version__ = "0.1.0"
__all__ = ["Channel", "Draft", "Error", "Frame", "FrameInfo", "Meta", "Reader", "ReaderInfo",
           "Region", "Spec", "Timing", "Writer", "WriterInfo", "channel", "channels", "dtypes"]

#: Names of the dtypes that frames can have; the last two where NumPy has them.
dtypes = _DTYPES[1:]
