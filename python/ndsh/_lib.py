# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hides that libndsh is C: prototypes, structs, and GErrors turned into exceptions.

The only file that knows ctypes. What it hands out is numbers, text, tuples, and
handles that give back what they hold when they are collected.

Which calls let other threads run: those that may take long go through CDLL, which
releases the interpreter lock. The rest are over in microseconds and go through
PyDLL, which does not; none of them calls back into Python.
"""

import ctypes
import errno
import time
from collections import namedtuple
from ctypes import POINTER, byref, c_char_p, c_double, c_int, c_int64, c_size_t, c_ssize_t
from ctypes import c_uint, c_uint32, c_uint64, c_void_p

from .plain import Plain, plain

LATEST, QUEUE, LOSSLESS = 0, 1, 2

MAX_DIMS = 32
MAX_ARRAYS = 16
MAX_LEASES = 64

# NumPy's names; the index is the library's number.
DTYPES = (None, "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32",
          "int64", "uint64", "float16", "float32", "float64", "complex64",
          "complex128", "float128", "complex256")

UNKNOWN_OFFSET = 2 ** 64 - 1

Spec = plain(namedtuple("Spec", "dtype shape strides offset"))
Spec.__doc__ = """One array of a frame.

dtype: NumPy's name of it; shape: elements; strides, offset: bytes.
"""

Timing = plain(namedtuple("Timing", "clock origin_ns latency_ns"))
Timing.__doc__ = """What the timestamps of a stream's frames are.

clock: "monotonic", CLOCK_MONOTONIC as of a camera; or None: they follow only each
    other, as in a file that is read as fast as it goes
origin_ns: the timestamp that is the stream's beginning, the same for channels that
    belong together
latency_ns: how long after the time it names a frame is published at the latest
"""

FrameInfo = plain(namedtuple("FrameInfo", "timestamp_ns duration_ns offset flags "
                                          "publish_ns stream_id metadata timing "
                                          "stream_metadata"))
FrameInfo.__doc__ = """What travels with a frame beside its arrays.

timestamp_ns: CLOCK_MONOTONIC, when it was captured or is to be shown, or None
duration_ns: or None
offset: the producer's own count, or None
flags: the producer's own bits
publish_ns: CLOCK_MONOTONIC, when the writer published it
stream_id: 32 hex digits; another id is another writer
metadata: bytes that the producer added to this frame, b"" if none
timing: a Timing
stream_metadata: bytes that the producer added to each frame until they are others, b""
    if none
"""

ReaderInfo = plain(namedtuple("ReaderInfo", "pid uid mode max_leases n_leases "
                                            "delivered missed copied lag max_rate "
                                            "max_width max_height"))
ReaderInfo.__doc__ = """A reader as its writer sees it, or as it sees itself.

pid, uid: of the process at the other end; pid 0 in another pid namespace
mode: "latest", "queue" or "lossless", as granted
max_leases, n_leases: frames it may hold, and holds; as its writer sees it, those
    that are no copies
delivered, missed: frames it has had, and those that it did not get
copied: frames it has had as copies, because there was no lease for them
lag: frames published since the last it had
max_rate: frames a second that it wants at most, 0 for all
max_width, max_height: pixels of a picture that are of use to it, 0 for any number
"""

WriterInfo = plain(namedtuple("WriterInfo", "published slots bytes max_bytes max_frames "
                                      "retired_bytes trust key_requests"))
WriterInfo.__doc__ = """What a writer has made.

published: frames since the start; slots: places for frames made so far
bytes: shared memory of those; max_bytes: the bound on that; max_frames: how many
frames like the last it holds; retired_bytes: replaced, and still mapped by a reader;
key_requests: how often readers asked for a frame that refers to no other
trust: whom readers have to trust not to change frames, for this kernel: "writer";
    "udmabuf", who may open /dev/udmabuf, too; "user", all processes of its user, too;
    "unknown"
"""

TRUSTS = ("unknown", "writer", "udmabuf", "user")

MODES = ("latest", "queue", "lossless")


class Error(Exception, metaclass=Plain):
    """What none of Python's own exceptions fits: the writer speaks another version
    of the protocol, or what the parent process opened was used in its child."""

    __module__ = "ndsh"


# --- The library -------------------------------------------------------------

def _load(loader):
    name = "libndsh.so.0"
    try:
        return loader(name)
    except OSError as error:
        raise ImportError(
            "%s: install libndsh (then run ldconfig), or name its directory in "
            "LD_LIBRARY_PATH" % error)


_slow = _load(ctypes.CDLL)
_quick = _load(ctypes.PyDLL)


class _Array(ctypes.Structure):
    _fields_ = [("dtype", c_int),
                ("n_dims", c_uint),
                ("offset", c_size_t),
                ("shape", c_size_t * MAX_DIMS),
                ("strides", c_ssize_t * MAX_DIMS)]


_ARRAY_SIZE = ctypes.sizeof(_Array)


class _Error(ctypes.Structure):
    _fields_ = [("domain", c_uint32), ("code", c_int), ("message", c_char_p)]


class _WriterOptions(ctypes.Structure):
    _fields_ = [("history", c_uint),
                ("max_readers", c_uint),
                ("max_bytes", c_uint64),
                ("lossless_timeout_us", c_int64),
                ("perms", c_uint),
                ("notify", c_void_p),
                ("notify_data", c_void_p),
                ("reserved", c_void_p * 4)]


class _ReaderOptions(ctypes.Structure):
    _fields_ = [("mode", c_int),
                ("queue_length", c_uint),
                ("max_leases", c_uint),
                ("reserved", c_void_p * 4)]


class _ReaderInfo(ctypes.Structure):
    _fields_ = [("pid", c_int64),
                ("uid", c_int64),
                ("mode", c_int),
                ("max_leases", c_uint),
                ("n_leases", c_uint),
                ("delivered", c_uint64),
                ("missed", c_uint64),
                ("copied", c_uint64),
                ("lag", c_uint64),
                ("room", c_uint),
                ("max_rate", c_double),
                ("max_width", c_uint),
                ("max_height", c_uint),
                ("reserved", c_void_p * 4)]


class _WriterInfo(ctypes.Structure):
    _fields_ = [("published", c_uint64),
                ("n_slots", c_uint),
                ("bytes", c_uint64),
                ("max_bytes", c_uint64),
                ("max_frames", c_uint),
                ("retired_bytes", c_uint64),
                ("trust", c_int),
                ("key_requests", c_uint64),
                ("reserved", c_void_p * 4)]


class _FrameInfo(ctypes.Structure):
    _fields_ = [("timestamp_ns", c_int64),
                ("duration_ns", c_int64),
                ("offset", c_uint64),
                ("flags", c_uint32),
                ("reserved", c_void_p * 4)]


class _Timing(ctypes.Structure):
    _fields_ = [("clock", c_int),
                ("origin_ns", c_int64),
                ("latency_ns", c_int64)]


class _ChannelInfo(ctypes.Structure):
    _fields_ = [("pid", c_int64),
                ("uid", c_int64),
                ("stream_id", ctypes.c_char * 33),
                ("published", c_uint64),
                ("publish_ns", c_int64),
                ("n_readers", c_uint),
                ("bytes", c_uint64),
                ("description", c_char_p),
                ("n_arrays", c_uint),
                ("arrays", _Array * MAX_ARRAYS),
                ("timing", _Timing),
                ("duration_ns", c_int64),
                ("metadata", c_void_p),
                ("metadata_size", c_size_t)]


def _prototype(library, result, name, *arguments):
    function = library[name]
    function.restype = result
    function.argtypes = arguments
    return function


_errors = POINTER(POINTER(_Error))

_g_error_free = _prototype(_quick, None, "g_error_free", POINTER(_Error))
_g_strfreev = _prototype(_quick, None, "g_strfreev", c_void_p)
_g_get_monotonic_time = _prototype(_quick, c_int64, "g_get_monotonic_time")

# What an owner is collected with. It is a default argument of __del__, and so lives
# as long as the class does, whatever the interpreter has torn down by then.
_frame_release = _prototype(_quick, None, "ndsh_frame_release", c_void_p)
_draft_release = _prototype(_quick, None, "ndsh_draft_release", c_void_p)
_reader_free = _prototype(_quick, None, "ndsh_reader_free", c_void_p)
_writer_free = _prototype(_slow, None, "ndsh_writer_free", c_void_p)


class _Handle(c_void_p):
    """ctypes would pickle and copy it as a number, and what that names would then be
    given back twice, or in another process."""

    def __reduce__(self):
        raise TypeError("a %s can neither be copied nor go to another process"
                        % type(self).__name__)

    def end(self, function):
        """Calls what gives it back, and only once: the collector calls __del__ of what
        it finds in a cycle before others in it have had their last word. First it is
        forgotten, because KeyboardInterrupt comes after the call."""
        address, self.value = self.value, None
        function(address)


class FrameHandle(_Handle):
    """A lease. ctypes makes it inside the call that takes the lease, so that no
    KeyboardInterrupt comes between the two."""

    def __del__(self, release=_frame_release):
        self.end(release)


class DraftHandle(_Handle):
    """A slot of the writer's side."""

    def __del__(self, release=_draft_release):
        self.end(release)


class ReaderHandle(_Handle):
    """What a Reader holds."""

    def __del__(self, free=_reader_free):
        self.end(free)


class WriterHandle(_Handle):
    """What a Writer holds. Its name must go at exit, too: see writer_free()."""

    def __del__(self, free=_writer_free):
        self.end(free)


_writer_new = _prototype(_slow, WriterHandle, "ndsh_writer_new", c_char_p,
                         POINTER(_WriterOptions), _errors)
_writer_set_description = _prototype(
    _quick, c_int, "ndsh_writer_set_description", c_void_p, c_char_p, _errors)
_writer_set_timing = _prototype(_quick, None, "ndsh_writer_set_timing", c_void_p,
                                POINTER(_Timing))
_writer_end = _prototype(_quick, None, "ndsh_writer_end", c_void_p)
_writer_set_flushing = _prototype(_quick, None, "ndsh_writer_set_flushing",
                                  c_void_p, c_int)
_writer_get_stream_id = _prototype(_quick, c_char_p, "ndsh_writer_get_stream_id",
                                   c_void_p)
_writer_get_readers = _prototype(_quick, c_uint, "ndsh_writer_get_readers",
                                 c_void_p, POINTER(_ReaderInfo), c_uint)
_writer_get_info = _prototype(_quick, None, "ndsh_writer_get_info", c_void_p,
                              POINTER(_WriterInfo))
_writer_begin = _prototype(_slow, DraftHandle, "ndsh_writer_begin", c_void_p,
                           POINTER(_Array), c_uint, _errors)
_writer_try_begin = _prototype(_slow, DraftHandle, "ndsh_writer_try_begin",
                               c_void_p, POINTER(_Array), c_uint, _errors)
_draft_get_data = _prototype(_quick, c_void_p, "ndsh_draft_get_data", c_void_p)
_draft_describe = _prototype(_quick, c_int, "ndsh_draft_describe", c_void_p,
                             c_void_p, c_uint, c_size_t, c_char_p, c_size_t, _errors)
_draft_publish = _prototype(_quick, c_uint64, "ndsh_draft_publish", c_void_p,
                            POINTER(_FrameInfo))

_reader_new = _prototype(_quick, ReaderHandle, "ndsh_reader_new", c_char_p,
                         POINTER(_ReaderOptions), _errors)
_reader_get_fd = _prototype(_quick, c_int, "ndsh_reader_get_fd", c_void_p)
_reader_wait = _prototype(_quick, c_int, "ndsh_reader_wait", c_void_p, c_int64,
                          _errors)
_reader_read = _prototype(_quick, FrameHandle, "ndsh_reader_read", c_void_p, c_int64,
                          _errors)
_reader_is_connected = _prototype(_quick, c_int, "ndsh_reader_is_connected",
                                  c_void_p)
_reader_get_info = _prototype(_quick, None, "ndsh_reader_get_info", c_void_p,
                              POINTER(_ReaderInfo))

_frame_get_data = _prototype(_quick, c_void_p, "ndsh_frame_get_data", c_void_p)
_frame_get_size = _prototype(_quick, c_size_t, "ndsh_frame_get_size", c_void_p)
_frame_get_arrays = _prototype(_quick, POINTER(_Array), "ndsh_frame_get_arrays",
                               c_void_p, POINTER(c_uint))
_frame_get_description = _prototype(_quick, c_char_p, "ndsh_frame_get_description",
                                    c_void_p)
_frame_get_metadata = _prototype(_quick, c_void_p, "ndsh_frame_get_metadata",
                                 c_void_p, POINTER(c_size_t))
_frame_get_stream_metadata = _prototype(
    _quick, c_void_p, "ndsh_frame_get_stream_metadata", c_void_p, POINTER(c_size_t))
_frame_get_info = _prototype(_quick, POINTER(_FrameInfo), "ndsh_frame_get_info",
                             c_void_p)
_frame_get_timing = _prototype(_quick, POINTER(_Timing), "ndsh_frame_get_timing",
                               c_void_p)
_frame_get_publish_ns = _prototype(_quick, c_int64, "ndsh_frame_get_publish_ns",
                                   c_void_p)
_frame_get_sequence = _prototype(_quick, c_uint64, "ndsh_frame_get_sequence",
                                 c_void_p)
_frame_get_stream_id = _prototype(_quick, c_char_p, "ndsh_frame_get_stream_id",
                                  c_void_p)

_list_channels = _prototype(_slow, POINTER(c_char_p), "ndsh_list_channels")
_channel_info_new = _prototype(_slow, POINTER(_ChannelInfo),
                               "ndsh_channel_info_new", c_char_p, _errors)
_channel_info_free = _prototype(_quick, None, "ndsh_channel_info_free",
                                POINTER(_ChannelInfo))


# --- Errors ------------------------------------------------------------------

NOT_FOUND, EXISTS, DENIED, INCOMPATIBLE, INVALID, FULL, MEMORY, TIMEOUT, CLOSED, \
    ENDED, FORKED, SYSTEM = range(12)

_exceptions = {
    NOT_FOUND: (FileNotFoundError, errno.ENOENT),
    EXISTS: (FileExistsError, errno.EEXIST),
    DENIED: (PermissionError, errno.EACCES),
    INVALID: (ValueError, None),
    FULL: (BlockingIOError, errno.EAGAIN),
    MEMORY: (MemoryError, None),
    TIMEOUT: (TimeoutError, errno.ETIMEDOUT),
    CLOSED: (BrokenPipeError, errno.EPIPE),
    ENDED: (EOFError, None),
    SYSTEM: (OSError, errno.EIO),
}


def make_error(code, message):
    """Python's exception for one of the library's codes."""
    kind, number = _exceptions.get(code, (Error, None))
    return kind(message) if number is None else kind(number, message)


def _take(error):
    """(code, message); @error is used up."""
    code = error.contents.code
    message = error.contents.message.decode("utf-8", "replace")
    _g_error_free(error)
    return code, message


def _raise(error):
    raise make_error(*_take(error))


def _encode(text, what):
    """Text for C; the library checks the rest."""
    if not isinstance(text, str):
        raise TypeError("%s is text, not %s" % (what, type(text).__name__))
    if "\0" in text:
        raise ValueError("%s cannot hold a NUL" % what)
    return text.encode("utf-8", "surrogateescape")


def _bounded(value, bits, what):
    """ctypes would drop the bits that do not fit."""
    if not 0 <= value < 1 << bits:
        raise ValueError("%s is %d, which cannot be" % (what, value))
    return value


# --- Time --------------------------------------------------------------------

if hasattr(time, "monotonic_ns"):
    monotonic_ns = time.monotonic_ns
else:
    def monotonic_ns():
        """CLOCK_MONOTONIC; microseconds before Python 3.7."""
        return 1000 * _g_get_monotonic_time()


# --- Writing -----------------------------------------------------------------

def writer_new(name, history, max_readers, max_bytes, lossless_timeout_us, perms):
    """A WriterHandle."""
    options = _WriterOptions(
        _bounded(history, 32, "history"),
        _bounded(max_readers, 32, "max_readers"),
        _bounded(max_bytes, 64, "max_bytes"),
        lossless_timeout_us, _bounded(perms, 32, "perms"))
    error = POINTER(_Error)()
    writer = _writer_new(_encode(name, "a channel's name"), byref(options),
                         byref(error))
    if error:
        _raise(error)
    return writer


def writer_free(writer):
    """Frees it now; not while a call uses it."""
    writer.end(_writer_free)


def reader_free(reader):
    """Frees it now; not while a call uses it."""
    reader.end(_reader_free)


def writer_set_description(writer, text):
    error = POINTER(_Error)()
    _writer_set_description(writer, _encode(text, "a description"), byref(error))
    if error:
        _raise(error)


# NdshClock's names; the index is the library's number.
CLOCKS = ("monotonic", None)


def writer_set_timing(writer, clock, origin_ns, latency_ns):
    _writer_set_timing(writer, byref(_Timing(
        CLOCKS.index(clock), _bounded(origin_ns, 63, "an origin"),
        _bounded(latency_ns, 63, "a latency"))))


def writer_end(writer):
    _writer_end(writer)


def writer_set_flushing(writer, flushing):
    _writer_set_flushing(writer, flushing)


def writer_get_stream_id(writer):
    return _writer_get_stream_id(writer).decode("ascii")


def writer_get_info(writer):
    info = _WriterInfo()
    _writer_get_info(writer, byref(info))
    return WriterInfo(info.published, info.n_slots, info.bytes, info.max_bytes,
                      info.max_frames, info.retired_bytes, TRUSTS[info.trust],
                      info.key_requests)


def writer_get_readers(writer):
    n = _writer_get_readers(writer, None, 0) + 4
    infos = (_ReaderInfo * n)()
    n = min(n, _writer_get_readers(writer, infos, n))
    return [_reader_info(info) for info in infos[:n]]


def pack(specs):
    """Specs as begin() takes them; the same value may be used again."""
    packed = (_Array * len(specs))()
    for array, spec in zip(packed, specs):
        array.dtype = DTYPES.index(spec.dtype)
        array.n_dims = len(spec.shape)
        array.offset = spec.offset
        array.shape[:len(spec.shape)] = spec.shape
        array.strides[:len(spec.shape)] = spec.strides
    return packed


def writer_begin(writer, packed, may_wait):
    """A DraftHandle, and the address where its memory begins."""
    error = POINTER(_Error)()
    begin = _writer_begin if may_wait else _writer_try_begin
    draft = begin(writer, packed, len(packed), byref(error))
    if error:
        _raise(error)
    return draft, _draft_get_data(draft)


def draft_describe(draft, arrays, size, metadata):
    """arrays: from pack (); size: of the payload, 0 for what they reach."""
    error = POINTER(_Error)()
    _draft_describe(draft, arrays, len(arrays), size, metadata, len(metadata),
                    byref(error))
    if error:
        _raise(error)


def draft_publish(draft, timestamp_ns, duration_ns, offset, flags):
    """The frame's number, 0 if it could not be published; None is unknown."""
    info = _FrameInfo(
        -1 if timestamp_ns is None else _bounded(timestamp_ns, 63, "a time"),
        -1 if duration_ns is None else _bounded(duration_ns, 63, "a duration"),
        UNKNOWN_OFFSET if offset is None else _bounded(offset, 64, "an offset"),
        _bounded(flags, 32, "flags"))
    return _draft_publish(draft, byref(info))


# --- Reading -----------------------------------------------------------------

def reader_new(name, mode, queue, leases):
    options = _ReaderOptions(mode, queue, leases)
    error = POINTER(_Error)()
    reader = _reader_new(_encode(name, "a channel's name"), byref(options),
                         byref(error))
    if error:
        _raise(error)
    return reader


def reader_get_fd(reader):
    return _reader_get_fd(reader)


def reader_poll(reader):
    """None if there is a frame, else (code, message). Never sleeps."""
    error = POINTER(_Error)()
    if _reader_wait(reader, 0, byref(error)):
        return None
    return _take(error)


def reader_read(reader):
    """(FrameHandle, None), or (None, (code, message)). Never sleeps."""
    error = POINTER(_Error)()
    handle = _reader_read(reader, 0, byref(error))
    return (handle, None) if handle else (None, _take(error))


def reader_is_connected(reader):
    return bool(_reader_is_connected(reader))


def reader_leases(reader):
    """(held, granted, how many frames were copied where they could not be leased)"""
    info = _ReaderInfo()
    _reader_get_info(reader, byref(info))
    return info.n_leases, info.max_leases, info.copied


def reader_get_info(reader):
    info = _ReaderInfo()
    _reader_get_info(reader, byref(info))
    return _reader_info(info)


def _reader_info(info):
    return ReaderInfo(info.pid, info.uid, MODES[info.mode], info.max_leases,
                      info.n_leases, info.delivered, info.missed, info.copied,
                      info.lag, info.max_rate, info.max_width, info.max_height)


def frame_get_data(frame):
    """The address."""
    return _frame_get_data(frame)


def frame_get_size(frame):
    return _frame_get_size(frame)


def frame_get_look(frame):
    """(arrays, description) as bytes: what parse_look () takes, and mostly the same as
    in the frame before."""
    n = c_uint()
    arrays = _frame_get_arrays(frame, byref(n))
    return (ctypes.string_at(arrays, n.value * _ARRAY_SIZE),
            _frame_get_description(frame))


def parse_look(look):
    """(specs, text)"""
    arrays, description = look
    n = len(arrays) // _ARRAY_SIZE
    return (_specs((_Array * n).from_buffer_copy(arrays), n),
            description.decode("utf-8", "replace"))


def _specs(arrays, n):
    specs = []
    for array in arrays[:n]:
        dims = array.n_dims
        specs.append(Spec(DTYPES[array.dtype], tuple(array.shape[:dims]),
                          tuple(array.strides[:dims]), array.offset))
    return tuple(specs)


def frame_get_sequence(frame):
    return _frame_get_sequence(frame)


def frame_get_stream_id(frame):
    return _frame_get_stream_id(frame)


def frame_get_info(frame):
    info = _frame_get_info(frame).contents
    return FrameInfo(
        None if info.timestamp_ns < 0 else info.timestamp_ns,
        None if info.duration_ns < 0 else info.duration_ns,
        None if info.offset == UNKNOWN_OFFSET else info.offset,
        info.flags, _frame_get_publish_ns(frame),
        _frame_get_stream_id(frame).decode("ascii"),
        _bytes(_frame_get_metadata, frame), _timing(_frame_get_timing(frame).contents),
        _bytes(_frame_get_stream_metadata, frame))


def _bytes(get, frame):
    size = c_size_t()
    data = get(frame, byref(size))
    return ctypes.string_at(data, size.value) if data else b""


def _timing(timing):
    return Timing(CLOCKS[timing.clock], timing.origin_ns, timing.latency_ns)


# --- Finding -----------------------------------------------------------------

def list_channels():
    names = _list_channels()
    found = []
    while names[len(found)] is not None:
        found.append(names[len(found)])
    _g_strfreev(names)
    return [name.decode("utf-8", "surrogateescape") for name in found]


def channel_info(name):
    """What the writer tells of itself, as a dict."""
    error = POINTER(_Error)()
    answer = _channel_info_new(_encode(name, "a channel's name"), byref(error))
    if error:
        _raise(error)
    info = answer.contents
    try:
        return {
            "pid": info.pid, "uid": info.uid,
            "stream_id": info.stream_id.decode("ascii", "replace"),
            "published": info.published, "publish_ns": info.publish_ns,
            "readers": info.n_readers, "bytes": info.bytes,
            "caps": info.description.decode("utf-8", "replace"),
            "arrays": _specs(info.arrays, info.n_arrays),
            "timing": _timing(info.timing),
        }
    finally:
        _channel_info_free(answer)
