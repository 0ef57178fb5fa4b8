# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hides how an array keeps the memory it shows.

    array.base -> Window -> lease

An array's memory is given back when the last array, slice, memoryview or tensor
that shows any of it is gone, whichever thread that happens in, and not before. A
Window is what NumPy asks for the memory; as it offers no writable buffer, NumPy
refuses to make an array of a read-only one writeable again.
"""

import numpy as np

from . import _lib, formats, metas, pixels, png
from .buffers import Buffers


class Window:
    """One array in memory that @owner keeps: the base of the arrays NumPy makes."""

    __slots__ = ("owner", "__array_interface__", "__weakref__")

    def __init__(self, owner, address, view, read_only):
        self.owner = owner
        self.__array_interface__ = {
            "version": 3,
            "data": (address + view.offset, read_only),
            "typestr": _typestr(view.dtype),
            "shape": view.shape,
            "strides": view.strides,
        }


def _typestr(dtype):
    try:
        return np.dtype(dtype).str
    except TypeError:
        raise TypeError("this NumPy has no %s" % dtype)


def show(owner, address, view, read_only=True):
    """The ndarray that lies at a Spec's place in memory."""
    return np.asarray(Window(owner, address, view, read_only))


class Meaning:
    """What frames that look alike are: specs as carried, views as NumPy is to see them,
    the caps, and the memory that their copies share."""

    __slots__ = ("buffers", "caps", "specs", "views")

    def __init__(self, specs, caps):
        self.buffers = Buffers()
        self.caps = caps
        self.specs = specs
        self.views = formats.views(caps, specs)


class Frame:
    """A frame: one or more read-only arrays in shared memory, and what they mean.

    array, arrays and planes are read-only views of what others see, too; copy (),
    bgr (), rgb () and gray () give arrays that are the program's own, to paint on.
    OpenCV before 4.9 and PyTorch do not mind that an array is read-only, and end the
    interpreter when they write to one: give them arrays of the program's own, or open
    the reader with paintable=True.

    No byte of a view changes while any of them, or a slice, or this object, is alive.
    They stay valid when the reader is
    closed and when the writer has gone, in any thread. In exchange their place in
    shared memory is taken: a reader may hold as many of them as its `leases`, less one,
    and all readers together half of what the writer's memory has room for. The payload
    of what comes beyond is copied once into private memory (``copied`` is True then, and
    Reader.copied counts): nothing fails, but each frame costs a copy. Who means to keep
    many does better with the copy () of each: then shared memory is free, and readers
    that keep little go on without copies.

    A frame can neither be copied nor go to another process; its arrays can.

    A writer that breaks the rules could change them all the same, but only their
    numbers: code that would come to harm by that works on a copy.

    A forked child sees the arrays too, but does not hold the lease: they are good
    for as long as its parent holds them.
    """

    __slots__ = ("sequence", "dropped", "copied", "_name", "_meaning", "_info", "_owner",
                 "_address", "__weakref__")

    _read_only = True

    def __init__(self, name, handle, meaning):
        self._name = name
        self._meaning = meaning
        self._info = None
        self._owner = handle
        self._address = _lib.frame_get_data(handle)
        self.sequence = _lib.frame_get_sequence(handle)
        self.dropped = 0
        self.copied = False

    def _make_private(self):
        """One copy; the lease goes back when the caller forgets the handle."""
        self._info = _lib.frame_get_info(self._owner)
        size = _lib.frame_get_size(self._owner)
        shared = show(self._owner, self._address, _lib.Spec("uint8", (size,), (1,), 0))
        private = self._meaning.buffers.copy(shared)
        self._owner = private
        self._address = private.__array_interface__["data"][0]
        self.copied = True

    # --- The arrays ---

    @property
    def arrays(self):
        """The arrays as their writer described them, a tuple of ndarrays.

        Numbers that are not in the machine's byte order are uint8 with one more
        dimension here; planes has them as numbers.
        """
        return tuple(show(self._owner, self._address, spec, self._read_only)
                     for spec in self._meaning.specs)

    @property
    def planes(self):
        """The planes of a picture, or simply the arrays: a tuple of ndarrays.

        NV12: uint8 (height, width) and (height / 2, width / 2, 2); I420: three of
        uint8; BGR: one of (height, width, 3); GRAY16_BE: one of >u2 (height, width).
        Strides are the writer's: rows may be padded.
        """
        return tuple(show(self._owner, self._address, view, self._read_only)
                     for view in self._meaning.views)

    @property
    def array(self):
        """All of it as one ndarray.

        Video: (height, width) or (height, width, channels); NV12, NV21, I420 and
        YV12 whose planes follow each other without a gap are (height * 3 / 2,
        width), as OpenCV's cvtColor takes them; RGBP, BGRP, GBR, Y444 are
        (3, height, width). Audio: (frames, channels). Bytes without such a meaning,
        like jpeg: uint8 (n,).

        ValueError if it is several arrays that no single one can show: take planes.
        """
        views = self._meaning.views
        if len(views) == 1:
            return show(self._owner, self._address, views[0], self._read_only)
        joined = formats.join(self._meaning.caps, views)
        if joined is None:
            raise ValueError(
                "this frame of channel '%s' is %d arrays that do not lie as one "
                "(%s): take frame.planes" % (self._name, len(views),
                                             self.format or "no format"))
        return show(self._owner, self._address, joined, self._read_only)

    def copy(self):
        """What array is, as an array of its own: writable, and with no padding in its
        rows. It costs one copy, into memory that is warm if you drop the array before
        the last."""
        return self._meaning.buffers.copy(self.array)

    @property
    def shape(self):
        """That of array."""
        return self.array.shape

    @property
    def dtype(self):
        """That of array."""
        return self.array.dtype

    def __len__(self):
        """That of array: rows of a picture."""
        return len(self.array)

    def __bool__(self):
        """A frame is one, also if it has no elements."""
        return True

    @property
    def __array_interface__(self):
        """np.asarray (frame) is frame.array, and keeps the frame."""
        return self.array.__array_interface__

    def __dlpack__(self, **arguments):
        """For torch.from_dlpack (frame) and the like.

        Without a copy where NumPy (2.1 and later) and the consumer know read-only
        tensors (DLPack 1.0), and of paintable frames. Else a tensor of a private copy,
        since its consumer might write to it; BufferError if that is asked not to be.
        """
        if arguments.get("dl_device") not in (None, self.__dlpack_device__()):
            raise BufferError("the frame is in the memory of the CPU")
        version = arguments.get("max_version")
        if version is not None and tuple(version) >= (1, 0):
            try:
                return self.array.__dlpack__(**arguments)
            except TypeError:
                pass              # NumPy before 2.1
        copy, stream = arguments.get("copy"), arguments.get("stream")
        if not self._read_only and not copy:
            return self.array.__dlpack__(stream=stream)
        if copy is False:
            raise BufferError("a read-only array cannot be handed over without a copy "
                              "before DLPack 1.0 and NumPy 2.1: take frame.copy ()")
        return self.copy().__dlpack__(stream=stream)

    def __dlpack_device__(self):
        return (1, 0)             # kDLCPU

    # --- As colours ---

    def bgr(self, copy=True):
        """The picture as (height, width, 3), blue first, as OpenCV has it: an array of
        its own, to paint on, in memory that is used again when you drop it.

        Formats that have the three beside each other (BGR, RGB, BGRx, xRGB, ...), RGBP
        and BGRP are copied. All others are converted: by OpenCV if it is installed,
        else by NumPy, with the matrix that the caps' colorimetry names (BT.601, BT.709,
        BT.2020).

        copy: False is a read-only view instead, which costs nothing, and ValueError
            where it would be a conversion; None is the view where there is one, else
            the conversion
        It is uint8, or uint16 in the format's own range, for RGB, BGR, GBR and gray of
        more than 8 bits
        Raises ValueError for what is not a picture: without caps, what is not uint8 or
        uint16, (height, width), (height, width, 3) or (height, width, 4).
        """
        return self._convert("bgr", copy)

    def rgb(self, copy=True):
        """The same, red first."""
        return self._convert("rgb", copy)

    def gray(self, copy=True):
        """Brightness as (height, width), an array of its own, to paint on.

        Of GRAY8, GRAY16 (uint16), and the Y plane of NV12, I420, YUY2 and all other YUV
        formats it is a copy, in whose range (mostly 16 to 235; uint16 where it has
        more than 8 bits) it is. Else 0.299 R + 0.587 G + 0.114 B.

        copy: as for bgr ()
        """
        return self._convert("gray", copy)

    def _convert(self, to, copy):
        return pixels.convert(to, self._meaning.caps, self.planes, copy,
                              self._meaning.buffers)

    def _repr_png_(self):
        """For notebooks; None, and so its repr (), for what is not a picture."""
        try:
            return png.encode(self.rgb(copy=None))
        except ValueError:
            return None

    # --- What is known of it ---

    @property
    def caps(self):
        """What describes it, as text: GStreamer's caps; "" if the writer gave none."""
        return self._meaning.caps.text

    @property
    def info(self):
        """A FrameInfo: times, counts, flags and bytes that travelled with it."""
        if self._info is None:
            self._info = _lib.frame_get_info(self._owner)
        return self._info

    @property
    def regions(self):
        """Its Regions, a tuple: boxes of a detector, GStreamer's regions of interest."""
        return metas.regions(self.info.metadata)

    @property
    def metas(self):
        """What else GStreamer's metas say, or a writer's own: a tuple of Metas, such as
        GstReferenceTimestampMeta, GstVideoTimeCodeMeta, GstTensorMeta. Who passes a frame
        on has all of them, and how they relate, with metadata=frame.info.metadata."""
        return metas.metas(self.info.metadata)

    @property
    def tags(self):
        """A dict of the stream's tags in GStreamer, as of this frame, like
        {"image-orientation": "rotate-90", "title": "the door"}."""
        return metas.tags(self.info.stream_metadata)

    @property
    def format(self):
        """The caps' format, like "BGR", "NV12", "F32LE"; None if they name none."""
        return self._meaning.caps.format

    @property
    def pts(self):
        """When it was captured or is to be shown: nanoseconds of CLOCK_MONOTONIC;
        None if the writer did not say."""
        return self.info.timestamp_ns

    @property
    def age(self):
        """Seconds since it was published."""
        return (_lib.monotonic_ns() - self.info.publish_ns) / 1e9

    def __reduce__(self):
        raise TypeError("a frame of channel '%s' can neither be copied nor go to another "
                        "process: take frame.copy (), or send frame.array"
                        % self._name)

    def __repr__(self):
        arrays = " ".join("%s%s" % (spec.dtype, list(spec.shape))
                          for spec in self._meaning.specs)
        return "<ndsh.Frame %d of '%s': %s%s>" % (
            self.sequence, self._name, arrays,
            " " + self.format if self.format else "")


class PaintableFrame(Frame):
    """One whose arrays are all its own; see Reader's paintable."""

    __slots__ = ()

    _read_only = False

    def __init__(self, name, handle, meaning):
        super().__init__(name, handle, meaning)
        self._make_private()
