# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hides how an array keeps the memory it shows.

    array.base -> Window -> lease

An array's memory is given back when the last array, slice, memoryview or tensor
that shows any of it is gone, whichever thread that happens in, and not before. A
Window is what NumPy asks for the memory; as it offers no writable buffer, NumPy
refuses to make an array of a read-only one writeable again.
"""

import numpy as np

from . import _lib, formats, metas, pixels


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
    and the caps."""

    __slots__ = ("caps", "specs", "views")

    def __init__(self, specs, caps):
        self.caps = caps
        self.specs = specs
        self.views = formats.views(caps, specs)


class Frame:
    """A frame: one or more read-only arrays in shared memory, and what they mean.

    The arrays are views; nothing is copied, and no byte of them changes while any of
    them, or a slice, or this object, is alive. They stay valid when the reader is
    closed and when the writer has gone, in any thread. In exchange their place in
    shared memory is taken: a reader may hold as many of them as its `leases`, less one;
    the payload of what comes beyond is copied once into private memory (``copied`` is
    True then, and Reader.copied counts).

    A frame can neither be copied nor go to another process; its arrays can.

    A writer that breaks the rules could change them all the same, but only their
    numbers: code that would come to harm by that works on a copy.

    A forked child sees the arrays too, but does not hold the lease: they are good
    for as long as its parent holds them.
    """

    __slots__ = ("sequence", "dropped", "copied", "_name", "_meaning", "_info", "_owner",
                 "_address", "__weakref__")

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
        private = shared.copy()
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
        return tuple(show(self._owner, self._address, spec)
                     for spec in self._meaning.specs)

    @property
    def planes(self):
        """The planes of a picture, or simply the arrays: a tuple of ndarrays.

        NV12: uint8 (height, width) and (height / 2, width / 2, 2); I420: three of
        uint8; BGR: one of (height, width, 3); GRAY16_BE: one of >u2 (height, width).
        Strides are the writer's: rows may be padded.
        """
        return tuple(show(self._owner, self._address, view)
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
            return show(self._owner, self._address, views[0])
        joined = formats.join(self._meaning.caps, views)
        if joined is None:
            raise ValueError(
                "this frame of channel '%s' is %d arrays that do not lie as one "
                "(%s): take frame.planes" % (self._name, len(views),
                                             self.format or "no format"))
        return show(self._owner, self._address, joined)

    @property
    def __array_interface__(self):
        """np.asarray (frame) is frame.array, and keeps the frame."""
        return self.array.__array_interface__

    def __dlpack__(self, **arguments):
        """For torch.from_dlpack (frame) and the like.

        Without a copy where NumPy (2.1 and later) and the consumer know read-only
        tensors (DLPack 1.0). Else a tensor of a private copy, since its consumer
        might write to it; BufferError if that is asked not to be.
        """
        if arguments.get("dl_device") not in (None, self.__dlpack_device__()):
            raise BufferError("the frame is in the memory of the CPU")
        version = arguments.get("max_version")
        if version is not None and tuple(version) >= (1, 0):
            try:
                return self.array.__dlpack__(**arguments)
            except TypeError:
                pass              # NumPy before 2.1
        if arguments.pop("copy", None) is False:
            raise BufferError("a read-only array cannot be handed over without a copy "
                              "before DLPack 1.0 and NumPy 2.1")
        stream = arguments.get("stream")
        return self.array.copy().__dlpack__(stream=stream)

    def __dlpack_device__(self):
        return (1, 0)             # kDLCPU

    # --- As colours ---

    def bgr(self, copy=None):
        """The picture as (height, width, 3), blue first, as OpenCV has it.

        A read-only view, without a copy, of BGR, RGB, BGRx, xRGB and all others that
        have the three beside each other, and of RGBP and BGRP. Else a conversion,
        which is a new array: by OpenCV if it is installed, else by NumPy, with the
        matrix that the caps' colorimetry names (BT.601, BT.709, BT.2020).

        copy: None is as said; False raises ValueError where it would be a conversion;
            True always returns an array of its own, which may be written to
        dtype: uint8; uint16, in the format's own range, for RGB, BGR, GBR and gray of
            more than 8 bits
        Raises ValueError for what is not a picture.
        """
        return pixels.convert("bgr", self._meaning.caps, self.planes, copy)

    def rgb(self, copy=None):
        """The same, red first."""
        return pixels.convert("rgb", self._meaning.caps, self.planes, copy)

    def gray(self, copy=None):
        """Brightness as (height, width).

        A view of GRAY8, GRAY16 (uint16), and of the Y plane of NV12, I420, YUY2 and
        all other YUV formats, in whose range (mostly 16 to 235; uint16 where it has
        more than 8 bits) it is. Else 0.299 R + 0.587 G + 0.114 B, a new array.

        copy: as for bgr ()
        """
        return pixels.convert("gray", self._meaning.caps, self.planes, copy)

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
                        "process: take frame.array.copy (), or send frame.array"
                        % self._name)

    def __repr__(self):
        arrays = " ".join("%s%s" % (spec.dtype, list(spec.shape))
                          for spec in self._meaning.specs)
        return "<ndsh.Frame %d of '%s': %s%s>" % (
            self.sequence, self._name, arrays,
            " " + self.format if self.format else "")
