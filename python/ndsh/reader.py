# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hides how a reader waits: in poll () on its file descriptor, with the interpreter
lock released, so that signals, other threads and event loops go on."""

import asyncio
import os
import select
import threading
import time
import warnings

from . import _lib, arguments, formats
from .frame import Frame, Meaning, PaintableFrame
from .life import Life

_UNSET = object()

# After so many seconds it is told once that nobody writes.
_SILENCE = 3.0

# How soon a thread that waits sees that another has closed the reader.
_CLOSE_CHECK = 0.25


class Reader:
    """Follows a channel through writers that come and go.

        for frame in ndsh.Reader("cam"):
            print(frame.array.shape)

    name: 1 to 64 of letters, digits, '.', '_' and '-', not beginning with '.'; a name
        that begins with '/' is the path of the channel's socket
    mode: "latest" is the newest frame at each read; "queue" is in order, up to
        `queue` behind, then the oldest are dropped; "lossless" is every frame: the
        writer waits, as long as it allows
    queue: frames, 1 to 32 (4)
    max_fps: take no more frames a second than that. The reader waits until the next
        is due; what is published meanwhile is the mode's business.
    timeout: seconds that wait (), read () and iteration wait for a frame; None is for
        ever
    leases: frames that may be held in shared memory, 1 to 64; the last one is kept
        free, so at 1 every frame is copied, as are those beyond this reader's share
        of the writer's memory. Slots are made when they are needed. Who keeps many
        frames, like the last ten seconds, keeps frame.copy () of each, or asks for
        leases and has the writer's max_bytes raised.
    follow: iteration goes on with the next writer when one has gone. False: it stops.
    paintable: True copies each frame once, into memory that its arrays may be written
        to: for programs that hand frame.array to what does not mind that it is
        read-only (OpenCV before 4.9, PyTorch). None: as the environment has it, where
        NDSH_PAINTABLE=1 is True

    Opening fails only for a name or an option that cannot be (ValueError): the writer
    may come later. Who waits for ever is told after three seconds that nobody writes
    (RuntimeWarning), and which channels there are.

    Iteration, also `async for`, ends when the writer has said that nothing more
    follows; iterating anew waits for more. It raises TimeoutError, and what read ()
    raises for a channel that cannot be read.

    Any thread may use a reader; each frame goes to one of them. close () from another
    thread ends a wait within a moment. Only one task may wait by `async for`.

    After a fork the child's reader opens the channel anew by itself; frames that the
    parent has had may come again. A pickled reader (spawn) is opened where it is
    unpickled.
    """

    def __init__(self, name, mode="latest", queue=4, max_fps=None, timeout=None,
                 leases=8, follow=True, paintable=None):
        self._arguments = (name, mode, queue, max_fps, timeout, leases, follow,
                           paintable)
        arguments.mode(mode)
        arguments.whole(leases, "leases", 1, _lib.MAX_LEASES)
        arguments.whole(queue, "queue", 1, 32)
        arguments.rate(max_fps, "max_fps")
        arguments.check_directory(name)
        if paintable is None:
            paintable = os.environ.get("NDSH_PAINTABLE", "0") not in ("", "0")
        self.name = name
        self._frame_type = PaintableFrame if paintable else Frame
        self._timeout = arguments.seconds(timeout, "timeout")
        self._follow = follow
        self._interval = 1.0 / max_fps if max_fps else 0.0
        self._copied = 0
        self._nobody_since = None
        self._open()

    def _open(self):
        name, mode, queue, _, _, leases = self._arguments[:6]
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._life = Life(_lib.reader_new(name, arguments.mode(mode), queue, leases),
                          _lib.reader_free, "the reader of channel '%s'" % name)
        self._fd = self._life.use(_lib.reader_get_fd)
        self._last = (b"", 0)         # stream id and sequence of the last frame
        self._look = None             # how it looked; mostly the next looks the same
        self._meaning = None
        self._due = None              # monotonic: when max_fps allows another frame
        self._copied_there = 0        # frames, by the library
        self._waiting = None          # a _Waiting while a task waits

    def _get_lock(self):
        """What a thread holds while it uses the handle. In a forked child all is made
        anew: a thread of the parent's may hold the parent's lock for ever."""
        if self._pid != os.getpid() and not self._life.closed:
            self._open()
        return self._lock

    # --- One step, without waiting ---

    def _peek(self):
        """None if there is a frame, else the library's (code, message)."""
        with self._get_lock():
            return self._life.use(_lib.reader_poll)

    def _take(self):
        """A Frame; or else the library's (code, message)."""
        with self._get_lock():
            return self._life.use(self._take_from)

    def _take_from(self, reader):
        handle, failed = _lib.reader_read(reader)
        return self._make_frame(reader, handle) if failed is None else failed

    def _make_frame(self, reader, handle):
        look = _lib.frame_get_look(handle)
        if look != self._look:
            specs, text = _lib.parse_look(look)
            self._look, self._meaning = look, Meaning(specs, formats.Caps(text))
        frame = self._frame_type(self.name, handle, self._meaning)
        frame.dropped = self._count(handle, frame.sequence)
        held, granted, copied = _lib.reader_leases(reader)
        if held >= granted or copied != self._copied_there:
            self._make_copy(frame, held >= granted, copied)
        if self._interval:
            now = time.monotonic()
            due = now if self._due is None else max(self._due, now - self._interval)
            self._due = due + self._interval
        return frame

    def _make_copy(self, frame, is_last, copied):
        """Notes that the library made one, or makes one instead of the last lease."""
        self._copied += copied != self._copied_there or (is_last and not frame.copied)
        if is_last and not frame.copied:
            frame._make_private()
        frame.copied = True
        self._copied_there = copied

    def _count(self, handle, sequence):
        """Frames missed since the last one."""
        last_stream, last = self._last
        stream = _lib.frame_get_stream_id(handle)
        self._last = (stream, sequence)
        return sequence - last - 1 if stream == last_stream else 0

    # --- Waiting ---

    def _look_until(self, step, timeout, deadline):
        """One look. Once the wait is over, (what @step returned or why there is none,
        None); before, (None, how to sleep): seconds, and whether for a frame or, as
        max_fps has it, for nothing but the time."""
        pause = self._until_due()
        patience = float("inf")
        if pause > 0:
            self._life.check_open()
            result = _lib.TIMEOUT, "the next frame of channel '%s' is due in %.3f s" % (
                self.name, pause)
        else:
            result = step()
            if not _is_failure(result, _lib.TIMEOUT, _lib.NOT_FOUND):
                return result, None
            if deadline is None and result[0] == _lib.NOT_FOUND:
                patience = self._warn_of_nobody()
        left = float("inf") if deadline is None else deadline - time.monotonic()
        if left <= 0:
            return self._name_time_out(result, timeout), None
        return None, (min(left, pause if pause > 0 else patience), pause <= 0)

    def _warn_of_nobody(self):
        """Once, to who waits for ever for a name that may be misspelt. Returns in how
        many seconds that is to be."""
        now = time.monotonic()
        if self._nobody_since is None:
            self._nobody_since = now
        left = self._nobody_since + _SILENCE - now
        if left <= 0:
            self._nobody_since = float("inf")
            others = ", ".join("'%s'" % one for one in _lib.list_channels())
            warnings.warn("nobody writes channel '%s' so far; %s" % (
                self.name, "there is %s" % others if others else "there is no other"),
                RuntimeWarning)
        return left if left > 0 else float("inf")

    def _until_due(self):
        return 0.0 if self._due is None else self._due - time.monotonic()

    def _wait_for(self, step, timeout):
        """What @step returns once it has a frame; its last failure if time is up."""
        timeout = self._timeout if timeout is _UNSET else arguments.seconds(
            timeout, "timeout")
        deadline = _deadline(timeout)
        while True:
            result, sleep = self._look_until(step, timeout, deadline)
            if sleep is None:
                return result
            self._sleep(*sleep)

    def _sleep(self, seconds, for_a_frame):
        """Not too long to see that another thread has closed the reader."""
        seconds = min(seconds, _CLOSE_CHECK)
        if not for_a_frame:
            time.sleep(seconds)
            return
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        poll.poll(int(seconds * 1000) + 1)

    def _name_time_out(self, failure, timeout):
        if timeout <= 0:
            return failure
        code, message = failure
        return _lib.TIMEOUT, "no frame of channel '%s' came within %.3f s%s" % (
            self.name, timeout, ": " + message if code == _lib.NOT_FOUND else "")

    def wait(self, timeout=_UNSET):
        """Waits until read () has a frame; False if none came within @timeout seconds.

        timeout: seconds, 0 does not wait, None waits for ever
        Raises what read () raises, but for time-outs.
        """
        failure = self._wait_for(self._peek, timeout)
        if failure is None:
            return True
        if failure[0] in (_lib.TIMEOUT, _lib.NOT_FOUND):
            return False
        raise _lib.make_error(*failure)

    def read(self, timeout=_UNSET):
        """The next Frame, as the mode has it.

        timeout: seconds, 0 does not wait, None waits for ever

        TimeoutError       none came in time
        FileNotFoundError  with a time-out of 0: nobody writes
        EOFError           the writer said that nothing more follows; once
        BrokenPipeError    the writer has gone; once, then the next is waited for
        PermissionError    not allowed, or the writer has no place left
        ndsh.Error         the writer speaks another version of the protocol
        ValueError         the reader is closed
        """
        result = self._wait_for(self._take, timeout)
        if isinstance(result, Frame):
            return result
        raise _lib.make_error(*result)

    def __iter__(self):
        return self

    def __next__(self):
        while True:
            result = self._wait_for(self._take, _UNSET)
            if isinstance(result, Frame):
                return result
            if self._is_end(result):
                raise StopIteration

    def _is_end(self, failure):
        """Whether iteration ends; False: it goes on with the next writer."""
        code, message = failure
        if code == _lib.ENDED or (code == _lib.CLOSED and not self._follow):
            return True
        if code == _lib.CLOSED:
            return False
        raise _lib.make_error(code, message)

    # --- In an event loop ---

    def __aiter__(self):
        return self

    async def __anext__(self):
        deadline = _deadline(self._timeout)
        while True:
            result, sleep = self._look_until(self._take, self._timeout, deadline)
            if sleep is not None:
                await self._sleep_in_loop(*sleep)
            elif isinstance(result, Frame):
                return result
            elif self._is_end(result):
                raise StopAsyncIteration

    async def _sleep_in_loop(self, seconds, for_a_frame):
        if not for_a_frame:
            await asyncio.sleep(min(seconds, _CLOSE_CHECK))
            return
        with self._get_lock():
            if self._waiting is not None and not self._waiting.loop.is_closed():
                raise RuntimeError("another task waits for this reader of channel '%s'"
                                   % self.name)
            self._waiting = waiting = _Waiting(self._fd, self._life)
        try:
            await waiting.wait(seconds)
        finally:
            if self._waiting is waiting:
                self._waiting = None

    # --- What is known ---

    def fileno(self):
        """For select, poll and event loops: after a read (0) or wait (0) that found
        nothing it is readable as soon as the next would not; then call it again. It
        stays the same through reconnects. Do not read or close it."""
        with self._get_lock():
            self._life.check_open()
            return self._fd

    @property
    def connected(self):
        """Whether there was a writer at the last read or wait."""
        with self._get_lock():
            return self._life.use(_lib.reader_is_connected)

    @property
    def info(self):
        """A ReaderInfo: what was granted, delivered and missed."""
        with self._get_lock():
            return self._life.use(_lib.reader_get_info)

    @property
    def copied(self):
        """Frames whose payload was copied because too many others were held: more than
        `leases` less one by this reader, or by all readers more than half of what the
        writer's memory has room for."""
        return self._copied

    @property
    def closed(self):
        return self._life.closed

    # --- The end ---

    def close(self):
        """Frames still held stay valid. Closing twice does nothing."""
        with self._get_lock():
            self._life.closed = True        # no other task begins to wait
            waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.stop()
        self._life.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        self.close()

    def __reduce__(self):
        return type(self), self._arguments

    def __repr__(self):
        return "<ndsh.Reader of '%s'%s>" % (self.name,
                                            ", closed" if self.closed else "")


class _Waiting:
    """A task that waits in an event loop until a reader's descriptor is readable. It
    holds the reader: the number of a closed descriptor may be another's soon."""

    def __init__(self, fd, life):
        self.loop = asyncio.get_event_loop()
        self._thread = threading.get_ident()
        self._fd = fd
        self._future = self.loop.create_future()
        self._life = life
        self._held = life.hold()

    async def wait(self, seconds):
        if self._fd is None:          # closed already, by a signal's handler
            return
        timer = None
        if seconds < float("inf"):
            timer = self.loop.call_later(seconds, self._wake)
        self.loop.add_reader(self._fd, self._wake)
        try:
            await self._future
        finally:
            self._forget()
            if timer is not None:
                timer.cancel()

    def _wake(self):
        if not self._future.done():
            self._future.set_result(None)

    def _forget(self):
        fd, self._fd = self._fd, None
        if fd is not None and not self.loop.is_closed():
            self.loop.remove_reader(fd)
        self._life.let_go(self._held)

    def stop(self):
        """Wakes the task, and lets go of the reader once the loop does not watch the
        descriptor any more: now, or in the loop's own thread."""
        if self._thread == threading.get_ident() or self.loop.is_closed():
            self._stop()
            return
        try:
            self.loop.call_soon_threadsafe(self._stop)
        except RuntimeError:          # it was closed just now
            self._stop()

    def _stop(self):
        self._forget()
        if not self.loop.is_closed():
            self._wake()


def _deadline(timeout):
    return None if timeout is None else time.monotonic() + timeout


def _is_failure(result, *codes):
    return isinstance(result, tuple) and result[0] in codes
