# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hides how the promises of ndsharray are kept by a channel of ndsh: which names a
channel can have, what a second writer of one name is, how a forked child comes to write,
and that a read never waits."""

import errno
import hashlib
import io
import itertools
import os
import re
import resource
import sys
import threading
import time
import warnings
import weakref

import numpy as np

import ndsh

_NAMES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
          "float16", "float32", "float64", "float128", "complex64", "complex128",
          "complex256")

#: What arrays can be of; float128 and complex256 where NumPy has them.
supported_types = [getattr(np, name) for name in _NAMES if hasattr(np, name)] + [bool]

_DTYPES = [np.dtype(one) for one in supported_types]

#: Bytes of the machine's integers.
n_bytes_for_int = (sys.maxsize.bit_length() + 7) // 8

# Memory is bounded by what the machine has. Twice this still fits in 64 bits.
_NO_BOUND = 1 << 60

# A reader takes four descriptors of its writer's process, which has others to open.
_FDS_FOR_EACH = 8
_MAX_READERS = 4096

# The array read last, the next, and one that is kept free.
_LEASES = 3

# Seconds for a writer that is there to answer a new reader. It takes longer than some
# milliseconds only if it is stopped.
_HANDSHAKE = 2.0
_SLICE = 0.05


# --- Names -------------------------------------------------------------------

# Plain names are used as they are. Names that only look like encoded ones are encoded
# too, so that no two names share a channel.
_PLAIN = re.compile(r"(?!ndsharray[._])[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}\Z")


def _to_channel(name):
    """The channel for a name: the name itself if a channel can have it."""
    if not isinstance(name, str):
        raise TypeError("a name is text, not %s" % type(name).__name__)
    if _PLAIN.match(name):
        return name
    data = name.encode("utf-8", "surrogatepass")
    encoded = "ndsharray." + re.sub(
        "[^A-Za-z0-9.-]", lambda found: "_%02x" % ord(found.group()),
        data.decode("latin-1"))
    if len(encoded) <= 64:
        return encoded
    return "ndsharray_" + hashlib.sha256(data).hexdigest()[:54]


# --- Writers -----------------------------------------------------------------

class _Opened:
    """An ndsh.Writer, and the objects of this process that write through it."""

    def __init__(self, writer):
        self.writer = writer
        self.given_up = False         # to a child
        self.numbers = itertools.count(1)


class _Writers:
    """The _Opened of one process, by channel."""

    def __init__(self):
        self.pid = os.getpid()
        # A signal's handler may come to write, too.
        self._lock = threading.RLock()
        # Weak: the name goes with the last object that writes.
        self._opened = weakref.WeakValueDictionary()

    def open(self, channel, options, pids=()):
        """An _Opened; FileExistsError if another process writes, at once unless it is one
        of @pids, which may be about to end that."""
        until = time.monotonic() + _HANDSHAKE
        stranger = None
        while True:
            with self._lock:
                try:
                    opened = self._opened[channel] = self._make(channel, options)
                    return opened
                except FileExistsError:
                    opened = self._opened.get(channel)
                    pid, stream_id = _who_writes(channel)
                    if opened is not None and stream_id == opened.writer.stream_id:
                        return opened
                    # Ours, and nobody's any more: another thread collects it. A stranger
                    # that has just come may be the keeper of who was in the way.
                    if pid not in (None, self.pid) + tuple(pids):
                        if pid == stranger:
                            raise
                        stranger = pid
                    if time.monotonic() >= until:
                        raise
            time.sleep(0.001)

    @staticmethod
    def _make(channel, options):
        writer = ndsh.Writer(channel, max_bytes=_NO_BOUND, max_readers=_count_readers(),
                             lossless_timeout=-1, **options)
        _forks.close_at_end(writer)
        return _Opened(writer)

    def give_up(self, stream_id):
        """Closes that writer, if it is one of these; objects that write through it open
        another with their next write."""
        for opened in list(self._opened.values()):
            if opened.writer.stream_id == stream_id:
                opened.given_up = True
                opened.writer.close()

    def __len__(self):
        return len(self._opened)


def _count_readers():
    """As many as there are descriptors for."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _MAX_READERS if most < 0 else min(max(most // _FDS_FOR_EACH, 1), _MAX_READERS)


def _who_writes(channel):
    """(pid, stream id)"""
    try:
        told = ndsh.channel(channel)
        return told.pid, told.stream_id
    except OSError:
        return None, None


_writers = _Writers()


def _get_writers():
    """In a forked child all is made anew: a thread of the parent's may hold the lock."""
    global _writers
    if _writers.pid != os.getpid():
        _writers = _Writers()
    return _writers


def _open_writer(channel, options):
    return _get_writers().open(channel, options)


class _Forks:
    """How a child comes to write what its parent has opened: it asks for the name by a
    pipe that it inherits, and a thread of the parent's gives it up. Who never forks while
    it writes has none of this."""

    def __init__(self):
        self._now = threading.local()     # ends: of the pipe, while this thread forks
        self._hears = set()               # what threads of this process read
        self._parents = {}                # by pid: what to ask it by
        self._is_child = False

    def prepare(self):
        self._now.ends = None
        if _get_writers():
            try:
                self._now.ends = os.pipe()
            except OSError:           # the child will be refused
                pass

    def go_on_in_parent(self):
        if self._now.ends is None:
            return
        ours, childs = self._now.ends
        os.close(childs)
        self._hears.add(ours)
        threading.Thread(target=self._hear, args=(ours,), name="ndsharray",
                         daemon=True).start()

    def go_on_in_child(self):
        self._is_child = True
        for one in self._hears:
            os.close(one)
        self._hears = set()
        if self._now.ends is not None:
            parents, ours = self._now.ends
            os.close(parents)
            self._parents[os.getppid()] = ours

    def _hear(self, ours):
        """Until all have ended who could ask."""
        asked, more = b"", os.read(ours, 4096)
        while more:
            *ids, asked = (asked + more).split(b"\n")
            for stream_id in ids:
                _get_writers().give_up(stream_id.decode("ascii"))
            more = os.read(ours, 4096)
        self._hears.discard(ours)
        os.close(ours)

    def close_at_end(self, writer):
        """A child of multiprocessing's ends without atexit, and what it wrote last would go
        with it before readers that follow have come."""
        util = sys.modules.get("multiprocessing.util")
        if self._is_child and util is not None:
            util.Finalize(writer, writer._life.close, exitpriority=0)

    def open_writer(self, channel, options, stream_id):
        """What a parent has opened as @stream_id, or its place."""
        for there in self._parents.values():
            try:
                os.write(there, stream_id.encode("ascii") + b"\n")
            except OSError:           # it has ended
                pass
        return _get_writers().open(channel, options, self._parents)


_forks = _Forks()
if hasattr(os, "register_at_fork"):   # from Python 3.7 on
    os.register_at_fork(before=_forks.prepare, after_in_parent=_forks.go_on_in_parent,
                        after_in_child=_forks.go_on_in_child)


def _to_plain_array(array):
    """What is written; TypeError or NotImplementedError for what cannot be."""
    if not isinstance(array, np.ndarray):
        raise TypeError("an array must be a numpy.ndarray, not %s"
                        % type(array).__name__)
    # Another byte order is another dtype.
    if array.dtype not in _DTYPES:
        raise NotImplementedError("arrays of %s are not supported, only those of %s" % (
            array.dtype.str, ", ".join(one.__name__ for one in supported_types)))
    if isinstance(array, np.ma.MaskedArray):
        if np.ma.is_masked(array):
            warnings.warn("the array goes without its mask: write array.filled (), or its "
                          "data and its mask under two names", RuntimeWarning, 3)
        return array.data
    return array


# --- Readers -----------------------------------------------------------------

def _open_reader(channel, wait, timeout):
    """An ndsh.Reader whose first read has a frame.

    wait: for a writer to come, for @timeout seconds; None is for ever
    """
    if not wait:
        ndsh.channel(channel)         # FileNotFoundError, PermissionError
    reader = ndsh.Reader(channel, leases=_LEASES)
    if not _join(reader, timeout if wait else _HANDSHAKE) and wait:
        raise TimeoutError(errno.ETIMEDOUT, "nobody wrote channel '%s' within %.3f s"
                           % (channel, timeout))
    return reader


def _join(reader, timeout):
    """Waits until the writer knows of its reader; False if time is up."""
    until = None if timeout is None else time.monotonic() + timeout
    while not _is_there(reader, _SLICE):
        if until is not None and time.monotonic() >= until:
            return False
    return True


def _is_there(reader, seconds):
    """Whether it has a frame within that time, or at least a writer."""
    try:
        return reader.wait(seconds) or reader.connected
    except (BrokenPipeError, EOFError):
        return reader.connected


# --- Both --------------------------------------------------------------------

# Begins the metadata of frames by all but the first object that writes through one
# ndsh.Writer: each has names of its own for its arrays.
_MARK = b"ndsharray "

_UNKNOWN = ("", "", (), b"")


def _kind_of_frame(frame, array):
    """What a change of makes a new ndarray_mmap_name."""
    metadata = frame.info.metadata
    return (frame.info.stream_id, array.dtype.str, array.shape,
            metadata if metadata.startswith(_MARK) else b"")


def _kind_of_newest(channel):
    """The same, without reading; but for who wrote it."""
    try:
        told = ndsh.channel(channel)
        (spec,) = told.arrays         # ValueError: none yet, or several
        return told.stream_id, np.dtype(spec.dtype).str, spec.shape, b""
    except (OSError, ndsh.Error, ValueError, TypeError):
        return _UNKNOWN


def _is_same(frame, other):
    return (frame.sequence == other.sequence
            and frame.info.stream_id == other.info.stream_id)


class NdShArray:
    """An array under a name: one process writes it, any number of others read it.

    name: any text. Where a channel of ndsh cannot have it, another is made of it; see
        channel.
    array: what a writer publishes at once, by default an empty one of uint8; what a
        reader returns before it has read any
    r_w: "r" or "w", must be given
    timeout: seconds that a reader waits here for its writer
    wait: True waits for as long as that takes, or for timeout seconds
    perms: who may read what this writes, as file permissions: 0o600 the user, 0o660 the
        group too, 0o666 all users; where the channel's directory lets them in.
    linger: seconds for which the array last written stays, when the last object that
        writes is closed or collected, or the interpreter ends; 0: not at all. What the
        first object says is true of those that join it.

    ValueError         r_w is neither
    FileNotFoundError  nobody writes (and the reader shall not wait)
    TimeoutError       nobody did within timeout
    FileExistsError    another process writes
    TypeError, NotImplementedError, MemoryError  as for write ()

    When the writing object is closed or collected, or its interpreter ends, a small
    process, ndsh-keeper, has the last array for linger seconds: who comes meanwhile reads
    it. The next writer, in any process of this user, takes the name from it at once. If
    the process is killed, the name ends with it. Readers stay, and follow the next writer.

    A second writing object of one name in one process takes over: both write to the
    same readers then, the array last written is what they get, and the name goes with
    the last object. A second process is refused, as long as the first one lives.

    After a fork (multiprocessing's default) an object can be used in the child. A child
    that writes has the name from then on: readers follow it, and the parent, or
    another child, gets FileExistsError as long as it lives. With Python 3.6 the parent has
    to close its object first. A reading object can be pickled (spawn), and is opened where
    it is unpickled; a writing one must be made there.

    Any thread may use it.
    """

    def __init__(self, name, array=np.ndarray((0,), dtype=np.uint8), r_w=None,
                 timeout=None, wait=False, perms=0o600, linger=60):
        if r_w not in ("r", "w", "R", "W"):
            raise ValueError("r_w must be given, as 'r' to read or 'w' to write; it is "
                             "%r" % (r_w,))
        self._name = name
        self._access = r_w.lower()
        self._channel = _to_channel(name)
        self._array = array
        self._frame = None
        self._read_time_ms = 0.0
        self._kind = _UNKNOWN
        self._pid = os.getpid()
        if self._access == "w":
            self._begin_to_write(array, _to_plain_array(array),
                                 {"perms": perms, "linger": linger})
        else:
            self._reader = _open_reader(self._channel, wait or timeout is not None,
                                        timeout)
            self._kind = _kind_of_newest(self._channel)

    def _begin_to_write(self, array, plain, options):
        self._options = options
        self._use(_open_writer(self._channel, options))
        self._publish(array, plain)

    def _use(self, opened):
        self._opened = opened
        number = next(opened.numbers)
        self._mark = _MARK + b"%d" % number if number > 1 else b""

    # --- What it is ---

    @property
    def name(self):
        """As it was given."""
        return self._name

    @property
    def access(self):
        """'r' or 'w'."""
        return self._access

    @property
    def channel(self):
        """The channel: what ndsh.Reader and `ndshsrc channel=` take for this name."""
        return self._channel

    @property
    def ndarray_mmap_name(self):
        """The name, '_' and 32 hex digits: the same for writer and reader, and new
        with each dtype, shape and writer."""
        what = repr(self._kind).encode("ascii")
        return "%s_%s" % (self._name, hashlib.blake2b(what, digest_size=16).hexdigest())

    @property
    def read_time_ms(self):
        """Milliseconds from the publishing of the last array to its reading; 0.0 before
        any was read. To copy the array took no part of it."""
        return self._read_time_ms

    @property
    def is_valid(self):
        """Whether there is a writer now, or what it wrote last is kept; for a writing
        object, whether it is open."""
        if self._access == "w":
            return self._opened is not None and not self._opened.writer.closed
        try:
            return self._reader is not None and _is_there(self._reader, 0)
        except (OSError, ndsh.Error):
            return False              # read () says why

    @property
    def frame(self):
        """The ndsh.Frame of the last array that was read, or None: the array in shared
        memory, its sequence, how many were missed before it (dropped), age, pts and
        more. Of those that are kept two stay in shared memory, others are copied."""
        return self._frame

    # --- Writing ---

    def write(self, array):
        """Publishes a copy of an array, of any layout. Shape and dtype may change.

        A mask does not go along (RuntimeWarning).

        TypeError            not an ndarray
        NotImplementedError  a dtype that is not in supported_types
        MemoryError          the machine has not enough
        FileExistsError      after a fork: the child writes, or the parent that does not let
                             the name go
        io.UnsupportedOperation  r_w is 'r'
        ValueError           it was closed
        Nothing is published then, and readers keep what they have.
        """
        if self._access != "w":
            raise io.UnsupportedOperation("'%s' was opened with r_w='r': it cannot be "
                                          "written to" % self._name)
        plain = _to_plain_array(array)
        if self._opened is None:
            raise ValueError("'%s' is closed" % self._name)
        if self._pid != os.getpid():
            self._use(_forks.open_writer(self._channel, self._options,
                                         self._opened.writer.stream_id))
            self._pid = os.getpid()
        while not self._was_published(array, plain):
            self._use(_open_writer(self._channel, self._options))

    def _was_published(self, array, plain):
        """False if the name was given up to a child, perhaps just now."""
        opened = self._opened
        if opened.given_up:
            return False
        try:
            self._publish(array, plain)
        except ValueError:
            if not opened.given_up:
                raise
            return False
        return True

    def _publish(self, array, plain):
        writer = self._opened.writer
        # The object itself may be given another shape or dtype meanwhile.
        kind = writer.stream_id, plain.dtype.str, plain.shape, self._mark
        writer.write(plain, metadata=self._mark)
        self._kind = kind
        self._array = array

    # --- Reading ---

    def read(self):
        """(True, array) for one that was not read before, at once (False, the array
        read last) if there is none.

        It is the newest there is, complete, C-contiguous, and the program's own: it may
        be written to, and no later write changes it. That takes one copy, into
        memory that is used again once it is dropped; frame.array is the same in shared
        memory, read-only and without a copy.

        Where r_w is 'w' it is (False, the array written last).

        PermissionError          the next writer does not let us
        ndsh.Error               it speaks another version
        ValueError               it was closed, or a frame of another program is
                                 several arrays
        """
        if self._access != "r":
            return False, self._array
        if self._reader is None:
            raise ValueError("'%s' is closed" % self._name)
        frame = self._take()
        if frame is None:
            return False, self._array
        is_new = self._frame is None or not _is_same(frame, self._frame)
        if is_new:
            age = frame.age
            self._array = frame.copy()
            self._read_time_ms = max(0.0, age * 1e3)
            self._kind = _kind_of_frame(frame, self._array)
        self._frame = frame
        return is_new, self._array

    def _take(self):
        """The next ndsh.Frame, or None."""
        if self._pid != os.getpid():
            # In a forked child it is the parent who holds the last frame. The child's
            # reader is given it anew, and then holds it, too.
            if _who_writes(self._channel) != (None, None):
                _join(self._reader, _HANDSHAKE)
            self._pid = os.getpid()
        try:
            return self._reader.read(0) if self._reader.wait(0) else None
        except (BrokenPipeError, EOFError, FileNotFoundError, TimeoutError):
            return None

    def wait(self, timeout=None):
        """Waits until read () has a new array; False if none came within @timeout
        seconds, None is for ever. It takes no processor time, and Ctrl-C ends it."""
        if self._access != "r":
            raise io.UnsupportedOperation("'%s' was opened with r_w='w': nothing will "
                                          "come" % self._name)
        if self._reader is None:
            raise ValueError("'%s' is closed" % self._name)
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if until is None else max(0.0, until - time.monotonic())
            try:
                return self._reader.wait(left)
            except (BrokenPipeError, EOFError):
                pass                  # wait for the next writer

    # --- The end ---

    def close(self):
        """Gives up the name, see linger, or lets the writer go; arrays that were read
        stay. What collection does, too."""
        # None where __init__ failed.
        reader = self.__dict__.get("_reader")
        self._reader = self._opened = None
        if reader is not None:
            reader.close()

    def __del__(self):
        self.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        self.close()

    def __reduce__(self):
        if self._access == "w":
            raise TypeError("what writes '%s' cannot go to another process: make it in "
                            "the child" % self._name)
        return _reopen, (self._name,)

    def __repr__(self):
        return "<ndsharray.NdShArray of '%s', %s>" % (
            self._name, "writing" if self._access == "w" else "reading")


def _reopen(name):
    return NdShArray(name, r_w="r", wait=True, timeout=_HANDSHAKE)


# --- For those who imported them ---------------------------------------------

def int_to_bytes(i, *, signed=False):
    """n_bytes_for_int bytes, the most significant first."""
    return i.to_bytes(n_bytes_for_int, "big", signed=signed)


def bytes_to_int(b, *, signed=False):
    """From any number of bytes, the most significant first."""
    return int.from_bytes(b, "big", signed=signed)


def str_to_bytes(s):
    """A bytearray of UTF-8."""
    return bytearray(s, "utf-8")


def bytes_to_str(b):
    """From UTF-8."""
    return b.decode("utf-8")
