# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hides how arrays of any layout become a frame: which caps say what they are, where
GStreamer expects their rows, and the one copy that puts them there."""

import atexit
import concurrent.futures
import operator
import os
import threading
import weakref

import numpy as np

from . import _lib, arguments, formats
from .frame import show
from .life import Life
from .metas import pack


class Writer:
    """Publishes frames under a name.

        with ndsh.Writer("cam", format="BGR", fps=30) as writer:
            writer.write(image)

    name: 1 to 64 of letters, digits, '.', '_' and '-', not beginning with '.'; a name
        that begins with '/' is the path of the channel's socket
    format: what GStreamer calls it: "BGR", "GRAY8", "NV12", ...: then ndshsrc shows
        the arrays as video. Rows begin at multiples of 4 bytes.
    fps: frames a second: a number, or a text like "30000/1001", which is what 29.97
        is taken for. Without a format it makes video of arrays that look like some:
        uint8 (height, width) is GRAY8, (height, width, 3) is BGR, (height, width, 4)
        is BGRx, uint16 (height, width) is GRAY16_LE.
    caps: instead of both, GStreamer caps that go with each frame as they are. Arrays
        are checked against those of video/x-raw, video/x-bayer, audio/x-raw,
        other/tensors, neural-network/tensors and application/x-ndarray. To
        "other/tensors" types and dimensions are added, as NNStreamer has them.
    history: newest frames kept for late and queueing readers, 1 to 32
    max_readers: readers beyond are refused
    max_bytes: bound on the shared memory for frames; None: 16 frames, or 256 MiB if
        that is more, and a quarter of the machine's memory if that is less
    lossless_timeout: seconds that a write may wait for a lossless reader that does not
        move; negative: lossless is never granted
    perms: who may read, as file permissions: 0o600 the user, 0o660 the group too

    Without format, fps and caps arrays of any kind may be written, and any kind may
    follow another: up to 32 dimensions, sizes of 0, and the dtypes in ndsh.dtypes.

    FileExistsError    a live writer has the name
    ValueError         a name, format or option that cannot be
    PermissionError, OSError  the channel's directory cannot be used

    Any thread may use a writer. The name goes with it: when it is closed, collected,
    or the interpreter ends; then a daemon thread that writes ends, too. In a forked
    child it is of no use: open it in the child (ndsh.Error says so).
    """

    def __init__(self, name, format=None, fps=None, caps=None, history=1,
                 max_readers=16, max_bytes=None, lossless_timeout=1.0,
                 perms=0o600):
        _check_what(format, fps, caps)
        arguments.check_directory(name)
        self.name = name
        self._format, self._fps, self._caps_given = format, fps, caps
        self._caps = None
        self._publishing = threading.RLock()     # a frame goes with its caps
        self._plan = (None, None, None)
        fps = formats.fraction(fps) if fps is not None else "0/1"
        numerator, denominator = (int(part) for part in fps.split("/"))
        self._duration_ns = 10 ** 9 * denominator // numerator if numerator else None
        self._life = _WriterLife(name, _lib.writer_new(
            name, arguments.whole(history, "history", 1, 32),
            arguments.whole(max_readers, "max_readers", 1, (1 << 32) - 1),
            0 if max_bytes is None else arguments.whole(max_bytes, "max_bytes", 1,
                                                        (1 << 64) - 1),
            _microseconds(lossless_timeout), arguments.permissions(perms)))
        weakref.finalize(self, self._life.close).atexit = False
        self.stream_id = self._life.use(_lib.writer_get_stream_id)

    # --- Writing ---

    def write(self, array, pts=None, duration=None, offset=None, flags=0,
              metadata=b"", regions=(), metas=()):
        """Publishes a copy of an array and returns the frame's number, from 1.

        array: an ndarray, or what offers one without a copy (__array_interface__, the
            buffer protocol); a list or tuple of ndarrays is one frame of several
            arrays, at most 16. Any layout is copied exactly once: sliced, transposed,
            Fortran, negative strides, broadcast; other byte orders are swapped
            to the machine's, or to that of the caps.
            NV12, I420 and their like are their planes, or (height * 3 / 2, width).
        pts: nanoseconds of CLOCK_MONOTONIC when it was captured or is to be shown.
            None: now if the writer has an fps, else unknown
        duration: nanoseconds; None: that of one frame if the writer has an fps
        offset: the producer's own count; flags: its own 32 bits
        metadata: bytes, or what offers them, that go with the frame; at most 65536
        regions: Regions of the picture, like a detector's boxes; metas: Metas. In
            pipelines they are GstMetas. Instead of metadata, which has them then

        TypeError          not an array, or a dtype that cannot be shared
        ValueError         not of the format that was given; more than 32 dimensions;
                           larger than max_bytes; the writer is closed
        BlockingIOError    drafts of this process hold all that max_bytes allows, or
                           a lossless reader is behind: drop the frame, or try again
                           later
        MemoryError        the machine has not enough; nothing is published
        """
        arrays = _as_arrays(array)
        draft = self._begin([(a.dtype, a.shape) for a in arrays],
                            (pts, duration, offset, flags, metadata, regions, metas))
        draft._fill(arrays)
        return draft.publish()

    def draft(self, shape, dtype="uint8", pts=None, duration=None, offset=None,
              flags=0, metadata=b"", regions=(), metas=()):
        """A place in shared memory to make a frame in, without any copy:

            with writer.draft((480, 640, 3)) as array:
                camera.read_into(array)

        It is published at the end of the block, and forgotten if that raises. What an
        earlier frame left is still there. Rows of video may be padded: the array is
        contiguous where a row is a multiple of 4 bytes.

        shape: of the array; or a list of shapes, for a frame of several: then the
            block gets a tuple of arrays
        dtype: of the array, or of all
        The rest, and what is raised, is as for write ().

        Let go of the array, too: its place is not used again while you have it. It is
        read-only once it is published; a slice of it that you kept is not, and what is
        written there changes the frame that readers have.
        """
        several = isinstance(shape, list) and bool(shape) and isinstance(
            shape[0], (list, tuple))
        dtype = np.dtype(dtype)
        kinds = [(dtype, _as_shape(one)) for one in (shape if several else [shape])]
        draft = self._begin(kinds, (pts, duration, offset, flags, metadata, regions,
                                    metas))
        draft._offer(several, self._layout_for(kinds)[0])
        return draft

    def _layout_for(self, kinds):
        """The Layout, and what begin takes, for [(dtype, shape), ...]; it is the same
        for nearly every frame."""
        known, layout, packed = self._plan
        if known != kinds:
            named = [(_dtype_name(dtype), tuple(shape)) for dtype, shape in kinds]
            layout = formats.plan(named, [dtype.itemsize for dtype, _ in kinds],
                                  self._format, self._fps, self._caps_given)
            packed = _lib.pack(layout.specs)
            self._plan = (kinds, layout, packed)
        return layout, packed

    def _begin(self, kinds, travels):
        layout, packed = self._layout_for(kinds)
        handle, address = self._life.begin(packed)
        return Draft(self, handle, address, layout, packed, travels)

    def _publish(self, draft, caps, looks, pts, duration, offset, flags):
        if self._fps is not None:
            pts = _lib.monotonic_ns() if pts is None else pts
            duration = self._duration_ns if duration is None else duration
        with self._publishing:
            if caps != self._caps:
                self._caps = None            # what was set, should this be interrupted?
                self._life.use(_lib.writer_set_description, caps)
                self._caps = caps
            return self._life.use(_publish, draft, looks, pts, duration, offset, flags)

    def set_timing(self, clock="monotonic", origin_ns=0, latency_ns=0):
        """Says what the pts of all frames from now on are; who says nothing has
        CLOCK_MONOTONIC.

        clock: "monotonic": CLOCK_MONOTONIC, as of a camera; None: they follow only
            each other, as in a file that is read as fast as it goes
        origin_ns: the pts that is the stream's beginning. Channels that belong together
            say the same, and ndshsrc keeps their frames at their distances.
        latency_ns: how long after its pts a frame is published at the latest; who shows
            frames in real time waits so long
        """
        if clock not in _lib.CLOCKS:
            raise ValueError("clock is %r; it is \"monotonic\" or None" % (clock,))
        self._life.use(_lib.writer_set_timing, clock, origin_ns, latency_ns)

    def end(self):
        """Says that nothing more follows: readers' loops end after the last frame.
        Another write begins anew."""
        self._life.use(_lib.writer_end)

    # --- What is known ---

    @property
    def caps(self):
        """The caps of the newest frame, "" if it has none."""
        return self._caps or ""

    @property
    def readers(self):
        """A list of ReaderInfo."""
        return self._life.use(_lib.writer_get_readers)

    @property
    def info(self):
        """A WriterInfo: frames published, slots and memory in use."""
        return self._life.use(_lib.writer_get_info)

    @property
    def closed(self):
        return self._life.closed

    # --- The end ---

    def close(self):
        """Gives up the name: readers get BrokenPipeError after the last frame, and go
        on with the next writer. Ends a write that waits. Closing twice does nothing."""
        self._life.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        """What ends without an exception has sent all it had to: end (), close ()."""
        if kind is None and not self.closed and not self._life.is_forked():
            self.end()
        self.close()

    def __reduce__(self):
        raise TypeError("the writer of channel '%s' cannot go to another process: open "
                        "it in the child" % self.name)

    def __repr__(self):
        return "<ndsh.Writer of '%s'%s>" % (self.name,
                                            ", closed" if self.closed else "")


def _publish(_writer, draft, looks, *travels):
    """For Life.use (): close () waits for it."""
    _lib.draft_describe(draft, *looks)       # with the caps that were set
    return _lib.draft_publish(draft, *travels)


class Draft:
    """A frame before it is published; see Writer.draft ().

    array: the writable ndarray; arrays: those of a frame of several
    pts, duration, offset, flags, metadata, regions, metas: may be set until it is
        published
    """

    def __init__(self, writer, handle, address, layout, packed, travels):
        self._writer = writer
        self._handle = handle
        self._layout = layout
        self._packed = packed
        (self.pts, self.duration, self.offset, self.flags, self.metadata, self.regions,
         self.metas) = travels
        self._address = address
        self.array = None
        self.arrays = ()
        self.number = 0

    def _views(self):
        return tuple(show(self._handle, self._address, view, read_only=False)
                     for view in self._layout.views)

    def _fill(self, arrays):
        views = self._views()
        if self._layout.split is not None:
            _copy_joined(views, arrays[0])
            return
        for view, array in zip(views, arrays):
            np.copyto(view, array, casting="equiv")

    def _offer(self, several, layout):
        self.arrays = self._views()
        if several or len(self.arrays) == 1:
            self.array = None if several else self.arrays[0]
            return
        joined = formats.join(formats.Caps(layout.caps), layout.views)
        if joined is None:
            raise ValueError(
                "the planes of %s do not lie as one array here, because rows begin at "
                "multiples of 4 bytes: ask for a list of shapes, %s" % (
                    formats.Caps(layout.caps).format,
                    [view.shape for view in layout.views]))
        self.array = show(self._handle, self._address, joined, read_only=False)

    def publish(self):
        """Makes it visible and returns its number; the end of the block does that."""
        self._check_open()
        looks = (self._packed, self._layout.size or 0,
                 pack(self.metadata, self.regions, self.metas))
        for array in self.arrays + ((self.array,) if self.array is not None else ()):
            array.flags.writeable = False
        self.number = self._writer._publish(self._handle, self._layout.caps, looks,
                                            self.pts, self.duration, self.offset,
                                            self.flags)
        self._forget()
        return self.number

    def _check_open(self):
        if self._handle is None:
            raise ValueError("this draft is published, or was given up, already")

    def _forget(self):
        self._handle = None
        self.array, self.arrays = None, ()

    def __enter__(self):
        self._check_open()
        return self.arrays if self.array is None else self.array

    def __exit__(self, kind, error, traceback):
        if kind is None and self._handle is not None:
            self.publish()
        self._forget()

    def __reduce__(self):
        raise TypeError("a draft of channel '%s' can neither be copied nor go to another "
                        "process: write () an array instead" % self._writer.name)


class _WriterLife(Life):
    """That of a writer ends with the interpreter, too, and is of no use in a child."""

    def __init__(self, name, handle):
        super().__init__(handle, _lib.writer_free,
                         "the writer of channel '%s'" % name)
        self._name = name
        self._exiting = False
        self._pid = os.getpid()
        atexit.register(self._exit)

    def is_forked(self):
        return self._pid != os.getpid()

    def use(self, function, *arguments):
        if self.is_forked():
            raise _lib.make_error(
                _lib.FORKED, "channel '%s' was opened by the process that forked this "
                             "one: open it in the child" % self._name)
        return super().use(function, *arguments)

    def begin(self, packed):
        """_lib.writer_begin (), but a signal is handled at once."""
        try:
            return self._begin(packed)
        except BlockingIOError:
            self.check_open()               # or was it closed meanwhile?
            raise

    def _begin(self, packed):
        """Signals come to the main thread only, and not while it is in the library: if
        there is something to wait for, another waits there."""
        if threading.current_thread() is not threading.main_thread():
            return self.use(_lib.writer_begin, packed, True)
        try:
            return self.use(_lib.writer_begin, packed, False)
        except BlockingIOError:
            pass
        return _get_aside(self.use, _lib.writer_begin, packed, True)

    def _interrupt(self, handle):
        _lib.writer_set_flushing(handle, True)

    def _make_closed_error(self):
        """At exit a daemon thread that writes ends, and silently: by then an error that
        it prints may be the end of the interpreter ("could not acquire lock")."""
        if self._exiting and threading.current_thread() is not threading.main_thread():
            return SystemExit()
        return super()._make_closed_error()

    def _exit(self):
        self._exiting = True
        self.close()

    def close(self):
        if self.is_forked():
            self.closed = True              # the name is the parent's
            return
        super().close()
        atexit.unregister(self._exit)


def _get_aside(function, *arguments):
    """What @function returns, called in a thread of its own. Who is interrupted leaves
    the thread to itself, and what it gets is dropped."""
    future = concurrent.futures.Future()
    threading.Thread(target=_fill_future, args=(future, function) + arguments,
                     daemon=True).start()
    try:
        error = future.exception()          # waits
        if error is not None:
            raise error
        return future.result()
    finally:
        error = future = None               # or they and this frame hold each other


def _fill_future(future, function, *arguments):
    try:
        future.set_result(function(*arguments))
    except BaseException as error:
        future.set_exception(error)
    finally:
        future = None


# --- Arguments ---------------------------------------------------------------

def _check_what(format, fps, caps):
    if caps is not None and (format is not None or fps is not None):
        raise ValueError("caps say the format and the rate already: give one or the "
                         "other")
    if caps is not None and not formats.Caps(caps).media:
        raise ValueError("%r are not fixed caps" % (caps,))
    if caps is not None and any(feature.startswith("memory:")
                                for feature in formats.Caps(caps).features):
        raise ValueError("%r are not caps of system memory" % (caps,))
    if format is not None and format not in formats.LAYOUTS:
        likely = [name for name in formats.LAYOUTS if name.lower() == str(format).lower()]
        raise ValueError("there is no format %r; %s" % (
            format, "write %r" % likely[0] if likely
            else "there are " + ", ".join(sorted(formats.LAYOUTS))))


def _microseconds(seconds):
    if seconds is None:
        raise ValueError("lossless_timeout is None; it is seconds, a number")
    seconds = arguments.seconds(seconds, "lossless_timeout")
    if seconds < 0:
        return -1
    # 0 would be the library's default.
    return max(1, int(min(seconds, 1e9) * 1000000))


def _as_shape(shape):
    """As NumPy takes it: a number, or some of them."""
    lengths = shape if hasattr(shape, "__iter__") else (shape,)
    shape = tuple(operator.index(length) for length in lengths)
    _check_n_dims(len(shape))
    for length in shape:
        if not 0 <= length < 1 << 63:
            raise ValueError("an array cannot have a length of %d" % length)
    return shape


def _check_n_dims(n):
    if n > _lib.MAX_DIMS:
        raise ValueError("an array has %d dimensions, and %d at the most" % (
            n, _lib.MAX_DIMS))


def _as_arrays(array):
    if isinstance(array, np.ndarray):
        return [_check_array(array)]
    if isinstance(array, (list, tuple)):
        if not array or not all(isinstance(one, np.ndarray) for one in array):
            raise TypeError("a frame is an ndarray, or a list of them: make one of "
                            "the numbers with numpy.array () first")
        return [_check_array(one) for one in array]
    if hasattr(array, "__array_interface__") or hasattr(array, "__array__"):
        return [_check_array(np.asarray(array))]
    try:
        return [_check_array(np.asarray(memoryview(array)))]
    except TypeError:
        raise TypeError("a frame is an ndarray, not %s" % type(array).__name__)


def _check_array(array):
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError("a mask cannot be shared: write array.filled (), or array.data "
                        "and array.mask")
    _check_n_dims(array.ndim)
    return array


def _dtype_name(dtype):
    """As frames name it; TypeError for what they cannot carry."""
    if dtype.kind in "bifuc" and dtype.name in _lib.DTYPES:
        return dtype.name
    raise TypeError("arrays of %s cannot be shared, only those of %s" % (
        dtype, ", ".join(_lib.DTYPES[1:])))


def _copy_joined(views, array):
    """From all of a picture as one array to its planes, without a third place."""
    if array.ndim == 3:
        for view, plane in zip(views, array):
            np.copyto(view, plane, casting="equiv")
        return
    height, width = views[0].shape
    np.copyto(views[0], array[:height], casting="equiv")
    chroma = array[height:]
    if len(views) == 2:
        np.copyto(views[1], chroma.reshape(height // 2, width // 2, 2), casting="equiv")
        return
    # Two rows of a smaller plane lie in one of the array: row 2 r + half.
    rows = height // 2
    for half in (0, 1):
        part = chroma[:, half * (width // 2):(half + 1) * (width // 2)]
        first = (rows - half + 1) // 2
        np.copyto(views[1][half::2], part[:first], casting="equiv")
        np.copyto(views[2][(half + rows) % 2::2], part[first:], casting="equiv")
