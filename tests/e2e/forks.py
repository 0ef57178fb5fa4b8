# SPDX-License-Identifier: LGPL-2.1-or-later
"""A process that holds a writer, a reader, frames and a draft, and forks as it is
told on standard input; what test_fork.py talks to.

    forks.py OWN OTHER      writes channel OWN, reads channel OTHER

Children tell what they see in lines of JSON of the same output. Through ctypes, as
Python programs come to the library.
"""

import ctypes
import json
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import threading

SIZE = 1000
UINT8 = 3


class ArrayInfo(ctypes.Structure):
    _fields_ = [("dtype", ctypes.c_int), ("n_dims", ctypes.c_uint),
                ("offset", ctypes.c_size_t), ("shape", ctypes.c_size_t * 32),
                ("strides", ctypes.c_ssize_t * 32)]


class Error(ctypes.Structure):
    _fields_ = [("domain", ctypes.c_uint32), ("code", ctypes.c_int),
                ("message", ctypes.c_char_p)]


class ReaderOptions(ctypes.Structure):
    _fields_ = [("mode", ctypes.c_int), ("queue_length", ctypes.c_uint),
                ("max_leases", ctypes.c_uint), ("reserved", ctypes.c_void_p * 4)]


ndsh = ctypes.CDLL(os.environ["NDSH_LIBRARY"])
for name, result in (
        ("writer_new", ctypes.c_void_p), ("writer_begin", ctypes.c_void_p),
        ("draft_get_data", ctypes.c_void_p), ("draft_publish", ctypes.c_uint64),
        ("reader_new", ctypes.c_void_p), ("reader_acquire", ctypes.c_void_p),
        ("frame_get_data", ctypes.c_void_p), ("frame_get_size", ctypes.c_size_t),
        ("frame_get_sequence", ctypes.c_uint64), ("writer_free", None),
        ("reader_free", None), ("frame_release", None), ("draft_release", None)):
    getattr(ndsh, "ndsh_" + name).restype = result


def say(event, **more):
    more["event"] = event
    os.write(1, (json.dumps(more) + "\n").encode())


def check(error):
    if error:
        raise OSError(error.contents.code, error.contents.message.decode())


class Writer:

    def __init__(self, channel):
        error = ctypes.POINTER(Error)()
        self.pointer = ndsh.ndsh_writer_new(channel.encode(), None, ctypes.byref(error))
        check(error)
        self.pointer = ctypes.c_void_p(self.pointer)

    def begin(self):
        error = ctypes.POINTER(Error)()
        info = ArrayInfo()
        shape = (ctypes.c_size_t * 1)(SIZE)
        ndsh.ndsh_array_info_init(ctypes.byref(info), UINT8, 1, shape)
        draft = ndsh.ndsh_writer_begin(self.pointer, ctypes.byref(info), 1,
                                       ctypes.byref(error))
        check(error)
        return ctypes.c_void_p(draft)

    def publish(self, n):
        """Frame @n, with the bytes that frames.c expects in it."""
        draft = self.begin()
        fill(draft, n)
        number = ndsh.ndsh_draft_publish(draft, None)
        ndsh.ndsh_draft_release(draft)
        return number

    def free(self):
        ndsh.ndsh_writer_free(self.pointer)


class Reader:

    def __init__(self, channel, leases=8):
        error = ctypes.POINTER(Error)()
        options = ReaderOptions(mode=1, queue_length=4, max_leases=leases)
        self.pointer = ndsh.ndsh_reader_new(
            channel.encode(), ctypes.byref(options), ctypes.byref(error))
        check(error)
        self.pointer = ctypes.c_void_p(self.pointer)

    def next(self, timeout_us=20000000):
        frame = None
        while not frame:
            error = ctypes.POINTER(Error)()
            ndsh.ndsh_reader_wait(self.pointer, ctypes.c_int64(timeout_us),
                                  ctypes.byref(error))
            check(error)
            frame = ndsh.ndsh_reader_acquire(self.pointer)
        return ctypes.c_void_p(frame)

    def free(self):
        ndsh.ndsh_reader_free(self.pointer)


def fill(draft, n):
    words = SIZE // 8
    data = (ctypes.c_uint64 * words).from_address(ndsh.ndsh_draft_get_data(draft))
    data[:] = [pattern_word(n, 8 * i) for i in range(words)]


def pattern_word(n, i):
    """As in report.h."""
    return (n * 0x9e3779b97f4a7c15 + i * 0xd1b54a32d192ed03) & (2 ** 64 - 1)


def content(frame):
    return ctypes.string_at(ndsh.ndsh_frame_get_data(frame),
                            ndsh.ndsh_frame_get_size(frame))


def sockets():
    """fds that a child should not have."""
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink("/proc/self/fd/" + fd)
        except OSError:
            continue
        if target.startswith("socket:") or target.endswith(".lock"):
            found.append(target)
    return found


def code_of(call, *args):
    try:
        call(*args)
    except OSError as error:
        return error.errno
    return None


class Holder:

    def __init__(self, own, other):
        self.own = own
        self.writer = Writer(own)
        self.reader = Reader(other)
        self.frames = [self.reader.next() for _ in range(3)]
        self.contents = [content(frame) for frame in self.frames]
        self.draft = self.writer.begin()
        self.n = 0

    def step(self):
        """Publishes a frame, and takes one."""
        self.n += 1
        assert self.writer.publish(self.n) == self.n
        ndsh.ndsh_frame_release(self.reader.next())

    def frames_are_whole(self):
        return [content(frame) for frame in self.frames] == self.contents

    def use_what_is_inherited(self):
        """The codes that it answers with."""
        return [code_of(self.writer.begin), code_of(self.reader.next),
                ndsh.ndsh_draft_publish(self.draft, None)]

    def free(self):
        for frame in self.frames:
            ndsh.ndsh_frame_release(frame)
        ndsh.ndsh_draft_release(self.draft)
        self.reader.free()
        self.writer.free()

    # --- What children do ---

    def child(self, how):
        say("child", how=how, pid=os.getpid(), sockets=sockets(),
            whole=self.frames_are_whole(), codes=self.use_what_is_inherited())
        getattr(self, "child_" + how)()

    def child_exit(self):
        """As at the end of main(): atexit handlers and destructors run. What is freed
        closes no file that the child has opened."""
        files = [os.open("/dev/null", os.O_RDONLY) for _ in range(50)]
        self.free()
        for file in files:
            os.fstat(file)
        ctypes.CDLL(None).exit(0)

    def child_leave(self):
        """With all in its hands."""
        os._exit(0)

    def child_exec(self):
        os.execvp("sleep", ["sleep", "1000"])

    def child_stay(self):
        """Through the parent's end; tells on SIGUSR1 what it still has."""
        signal.signal(signal.SIGUSR1, lambda *_: None)
        say("staying")
        signal.pause()
        say("stayed", sizes=[len(content(frame)) for frame in self.frames],
            parent=os.getppid())
        self.free()
        say("freed")
        signal.pause()

    def child_use(self):
        """Opens channels of its own, and a reader of the parent's."""
        reader = Reader(self.own, leases=2)
        frame = reader.next()
        writer = Writer("child")
        own = Reader("child")
        numbers = []
        for n in range(1, 4):
            writer.publish(n)
            mine = own.next()
            numbers.append(ndsh.ndsh_frame_get_sequence(mine))
            ndsh.ndsh_frame_release(mine)
        say("used", parent=ndsh.ndsh_frame_get_sequence(frame), numbers=numbers)
        ndsh.ndsh_frame_release(frame)
        for thing in own, writer, reader:
            thing.free()
        self.free()
        ctypes.CDLL(None).exit(0)

    def child_leaves_its_own(self):
        """Dies with a writer and a reader open."""
        self.kept = Writer("child"), Reader(self.own), Reader("child")
        self.kept[0].publish(1)
        self.kept[1].next()
        self.kept[2].next()
        os._exit(0)

    # --- How it forks ---

    def fork(self, how):
        pid = os.fork()
        if pid == 0:
            try:
                self.child(how)
            finally:
                os._exit(99)
        return pid

    def spawn(self, seconds):
        """Without pthread_atfork's handlers, as vfork() and posix_spawn() are."""
        process = subprocess.Popen(["sleep", str(seconds)], close_fds=False)
        say("spawned", pid=process.pid)
        self.spawned = process          # which Python would complain about

    def multiprocess(self, n):
        """A pool whose workers read the channel that this process writes."""
        with multiprocessing.get_context("fork").Pool(2) as pool:
            result = pool.map_async(read_one, [self.own] * n)
            while not result.ready():
                self.step()
            say("pooled", numbers=result.get())

    def storm(self, n):
        """Forks while other threads of this process connect, greet, take names and
        give them back."""
        stop, rounds, trouble = [], [0] * 3, []
        threads = [threading.Thread(target=work,
                                    args=(self.own, i, stop, rounds, trouble))
                   for i in range(3)]
        for thread in threads:
            thread.start()
        bad = []
        for i in range(n):
            pid = os.fork()
            if pid == 0:
                self.storm_child(i)
                os._exit(99)
            self.step()
            status = os.waitpid(pid, 0)[1]
            if status:
                bad.append(status)
        stop.append(True)
        for thread in threads:
            thread.join()
        say("stormed", forks=n, bad=bad, rounds=rounds, trouble=trouble)

    def storm_child(self, i):
        found = sockets()
        if found:
            say("found", what=found)
        elif i % 2:
            read_one(self.own)
        os._exit(len(found))

    def serve(self):
        children = set()
        say("open", pid=os.getpid())
        while True:
            self.step()
            while children:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                children.discard(pid)
                say("reaped", pid=pid, status=status)
            if not select.select([0], [], [], 0.01)[0]:
                continue
            words = os.read(0, 1000).decode().split()
            if not words:
                break
            if words[0] == "fork":
                children.add(self.fork(words[1]))
            else:
                getattr(self, words[0])(int(words[1]))
        assert self.frames_are_whole()
        self.free()
        say("done", published=self.n)


def read_one(channel):
    reader = Reader(channel)
    frame = reader.next()
    number = ndsh.ndsh_frame_get_sequence(frame)
    ndsh.ndsh_frame_release(frame)
    reader.free()
    return number


def leave_on_the_way(channel):
    """Most often before it is connected."""
    reader = Reader(channel)
    try:
        ndsh.ndsh_frame_release(reader.next(1000))
    except OSError:
        pass
    reader.free()


def work(own, i, stop, rounds, trouble):
    try:
        while not stop:
            rounds[i] += 1
            if i == 0:
                Writer("storm").free()
            elif i == 1:
                read_one(own)
            else:
                leave_on_the_way(own)
    except OSError as error:
        trouble.append(str(error))


if __name__ == "__main__":
    Holder(*sys.argv[1:]).serve()
