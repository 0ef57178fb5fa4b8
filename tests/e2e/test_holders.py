# SPDX-License-Identifier: LGPL-2.1-or-later
"""Readers that hold much, or were stopped, with frames as large as cameras' and memory
for few of them: whoever is awake gets frames all the same."""

import os
import signal
import subprocess
import sys
import unittest

import e2e

MEMORY = 256 << 20
RGBA_4K, NV12_4K = 3840 * 2160 * 4, 3840 * 2160 * 3 // 2
BGR_1080P, BGRX_1080P, RGBA_8K = 1920 * 1080 * 3, 1920 * 1080 * 4, 7680 * 4320 * 4

# What a program does that keeps the last pictures, with default leases.
KEEPER = """
import sys, ndsh
with ndsh.Reader("x") as reader:
    kept = [next(reader) for _ in range(8)]
    print('{"event": "kept"}', flush=True)
    sys.stdin.read()
"""


def find_python():
    """One that has NumPy, which need not be the one that runs this."""
    for python in sys.executable, "/usr/bin/python3":
        if subprocess.call([python, "-c", "import numpy"],
                           stderr=subprocess.DEVNULL) == 0:
            return python
    return None


class Holders(e2e.TestCase):

    def write(self, size, rate=20):
        writer = self.start(e2e.FRAMES, "write", "x", "--rate=%d" % rate, "--quiet",
                            "--persist", "--size=%d" % size, "--max-memory=%d" % MEMORY)
        writer.wait_event("open")
        return writer

    def wait_frames(self, reader, n, event="frame", since=0):
        seen = [0]

        def count(text):
            line = e2e.parse(text)
            seen[0] += bool(line and line["event"] == event)
            return seen[0] >= n
        reader.find(count, since)

    def wait_more(self, reader, n, event="frame"):
        self.wait_frames(reader, n, event, reader.mark())

    def hold(self, leases):
        """A reader that gives nothing back; returns once it has all that it may."""
        holder = self.start(e2e.FRAMES, "read", "x", "--hold=3600000",
                            "--leases=%d" % leases)
        self.wait_frames(holder, leases)
        return holder

    def start_awake(self):
        awake = self.start(e2e.FRAMES, "read", "x")
        self.wait_frames(awake, 2)
        return awake

    def test_readers_that_hold_all_they_may(self):
        for name, size, n_holders, leases in (
                ("a queue without bound at 4K RGBA", RGBA_4K, 1, 8),
                ("64 leases at 1080p BGR", BGR_1080P, 1, 64),
                ("three at 4K NV12", NV12_4K, 3, 8),
                ("five at 1080p BGRx", BGRX_1080P, 5, 8)):
            with self.subTest(name):
                writer, awake = self.write(size), self.start_awake()
                holders = [self.hold(leases) for _ in range(n_holders)]
                self.wait_more(awake, 10)
                for process in holders + [awake, writer]:
                    process.kill()

    @unittest.skipUnless(find_python(), "no Python with NumPy")
    def test_a_list_of_frames_in_python(self):
        writer, awake = self.write(RGBA_4K), self.start_awake()
        keeper = self.start(find_python(), "-c", KEEPER, env={
            "PYTHONPATH": os.path.join(e2e.SOURCE, "python")})
        keeper.wait_event("kept")
        self.wait_more(awake, 10)
        writer.kill()

    @unittest.skipUnless(e2e.PIPELINE, "built without the elements")
    def test_a_stopped_element_where_two_frames_fit(self):
        writer, awake = self.write(RGBA_8K, 5), self.start_awake()
        stopped = self.pipeline("ndshsrc name=r channel=x ! fakesink sync=false")
        stopped.wait_event("playing")
        while stopped.ask_stats()["frames-received"] == 0:
            self.wait_more(awake, 1)
        stopped.signal(signal.SIGSTOP)
        self.wait_more(awake, 10)
        writer.kill()

    @unittest.skipUnless(e2e.TIMES, "built without the elements")
    def test_a_queue_of_elements_that_is_slow(self):
        writer = self.start(e2e.TIMES, *(
            "videotestsrc is-live=true pattern=black ! video/x-raw,format=RGBA,"
            "width=3840,height=2160,framerate=10/1 ! ndshsink channel=x max-memory=%d"
            % MEMORY).split())
        awake = self.start(e2e.TIMES, *"ndshsrc channel=x ! fakesink name=probe".split())
        slow = self.start(e2e.TIMES, *(
            "ndshsrc name=probe channel=x ! queue max-size-bytes=0 max-size-time=0 "
            "max-size-buffers=20 ! identity sleep-time=1000000 ! fakesink").split())
        self.wait_frames(slow, 12, "buffer")
        self.wait_more(awake, 10, "buffer")
        writer.kill()


if __name__ == "__main__":
    e2e.main()
