# SPDX-License-Identifier: LGPL-2.1-or-later
"""Numbers of frames that pass 2^31, where words in shared memory wrap, and 2^32, and
a clock that is far from zero, or near it."""

import os
import signal
import subprocess
import unittest

import e2e

YEAR = 365 * 86400
N = 200


def uptime():
    with open("/proc/uptime") as file:
        return int(float(file.read().split()[0]))


def clock_namespaces():
    """Whether a process can have a clock of its own: Linux 5.6, root, util-linux."""
    return subprocess.call(
        ["unshare", "--time", "--monotonic", "1", "true"], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL) == 0


class Wrap(e2e.TestCase):

    def write(self, first, *options):
        writer = self.start(e2e.FRAMES_FROM, "write", "x", "--first=%d" % first,
                            "--seed=5", *options)
        writer.wait_event("open")
        return writer

    def read(self, *options):
        reader = self.start(e2e.FRAMES, "read", "x", "--check", "--seed=5", *options)
        reader.wait_event("open")
        return reader

    def wait_for_number(self, writer, n):
        def matches(text):
            event = e2e.parse(text)
            return event and event["event"] == "frame" and event["n"] >= n
        writer.find(matches)

    def numbers(self, reader):
        return [event["n"] for event in reader.events("frame")]

    def assert_gaps_are_counted(self, reader):
        """Frame by frame, and in all."""
        frames = reader.events("frame")
        for one, other in zip(frames, frames[1:]):
            self.assertEqual(other["missed"] - one["missed"],
                             other["n"] - one["n"] - 1)
        read = reader.wait_event("read")
        self.assertEqual(read["missed"], frames[-1]["missed"])
        self.assertEqual(read["missed"], read["gaps"])

    def test_every_mode_passes_both_wraps(self):
        for first in 0x7ffffff0, 0xfffffff0:
            with self.subTest(first=hex(first)):
                lossless = self.read("--mode=lossless")
                slow_lossless = self.read("--mode=lossless", "--sleep=3")
                others = [self.read(), self.read("--mode=queue", "--queue=8"),
                          self.read("--sleep=7"),
                          self.read("--mode=queue", "--queue=3", "--sleep=7"),
                          self.read("--hold=20", "--leases=4")]
                writer = self.write(first, "--frames=%d" % N, "--rate=500",
                                    "--wait-for=7", "--lossless-timeout=20000")
                for reader in others + [lossless, slow_lossless]:
                    self.assert_exits(reader)
                    numbers = self.numbers(reader)
                    read = reader.wait_event("read")
                    self.assertEqual((read["wrong"], read["changed"]), (0, 0))
                    # In order, all that is not had is counted, and the last is had.
                    self.assertEqual(numbers, sorted(set(numbers)))
                    self.assertEqual(numbers[-1], first + N - 1)
                    self.assertEqual(len(numbers) + read["missed"], N)
                    self.assertEqual(read["delivered"], len(numbers))
                self.assert_exits(writer)
                for reader in lossless, slow_lossless:
                    self.assertEqual(self.numbers(reader), list(range(first, first + N)))

    def test_who_joins_at_the_wrap_starts_with_the_newest(self):
        # The sixteenth frame after the first is the one that wraps.
        for first in 0x7ffffff0, 0xfffffff0:
            with self.subTest(first=hex(first)):
                writer = self.write(first, "--rate=100", "--history=4")
                readers = []
                for i, mode in enumerate(["latest", "queue", "lossless"] * 3):
                    self.wait_for_number(writer, first + 8 + 2 * i)
                    readers.append(self.read("--mode=" + mode, "--queue=8"))
                self.wait_for_number(writer, first + 60)
                writer.signal(signal.SIGINT)
                self.assert_exits(writer)
                last = writer.events("frame")[-1]["n"]
                starts = []
                for reader in readers:
                    self.assert_exits(reader)
                    numbers = self.numbers(reader)
                    read = reader.wait_event("read")
                    starts.append(numbers[0] - first)
                    self.assertEqual(numbers[-1], last)
                    self.assertEqual(numbers, sorted(set(numbers)))
                    self.assert_gaps_are_counted(reader)
                    self.assertEqual(read["wrong"], 0)
                e2e.figure("joined at frames %s after the first" % starts)

    def test_a_stopped_reader_counts_what_it_missed_across_the_wrap(self):
        first = 0xfffffff0
        writer = self.write(first, "--rate=100")
        reader = self.read()
        reader.wait_event("frame")
        reader.signal(signal.SIGSTOP)
        self.wait_for_number(writer, first + 40)
        reader.signal(signal.SIGCONT)
        since = reader.mark()
        reader.wait_event("frame", since)
        writer.signal(signal.SIGINT)
        self.assert_exits(writer)
        self.assert_exits(reader)
        read = reader.wait_event("read")
        e2e.figure("missed %d" % read["missed"])
        self.assertGreater(read["missed"], 20)
        self.assert_gaps_are_counted(reader)


@unittest.skipUnless(clock_namespaces(), "no time namespaces here")
class Clock(e2e.TestCase):
    """CLOCK_MONOTONIC far on, where seconds do not fit 31 bits; and just begun."""

    FAR, NEAR = 100 * YEAR, 0

    def start_at(self, when, *args):
        offset = self.FAR if when == self.FAR else -uptime()
        return self.start("unshare", "--time", "--monotonic", str(offset), *args)

    def pair(self, writer_at, reader_at):
        """A writer, a lossless reader and one that hangs, which must not hold them."""
        def start(at, *args):
            return self.start(*args) if at is None else self.start_at(at, *args)
        good = start(reader_at, e2e.FRAMES, "read", "x", "--mode=lossless", "--check")
        stuck = start(reader_at, e2e.FRAMES, "read", "x", "--mode=lossless")
        # It starts alone: the readers' retries go by the clock.
        good.wait_event("open")
        stuck.wait_event("open")
        writer = start(writer_at, e2e.FRAMES, "write", "x", "--rate=200",
                       "--lossless-timeout=300", "--wait-for=2")
        stuck.wait_event("frame")
        os.killpg(stuck.pid, signal.SIGSTOP)
        line = writer.wait_line("took none for 0.3 s")
        self.assertTrue(line)
        since = good.mark()
        frame = None
        for _ in range(20):
            frame = good.wait_event("frame", since)
            since = good.mark()
        os.killpg(writer.pid, signal.SIGINT)
        self.assert_exits(writer)
        self.assert_exits(good)
        read = good.wait_event("read")
        self.assertEqual((read["wrong"], read["missed"]), (0, 0))
        return frame

    def test_both_far_on(self):
        frame = self.pair(self.FAR, self.FAR)
        self.assertGreater(frame["published"], self.FAR * 1000000)
        self.assertLess(abs(frame["now"] - frame["published"]), 60 * 1000000)

    def test_both_at_the_beginning(self):
        frame = self.pair(self.NEAR, self.NEAR)
        self.assertLess(frame["published"], 60 * 1000000)
        self.assertLess(abs(frame["now"] - frame["published"]), 60 * 1000000)

    def test_clocks_that_differ_hold_nobody_up(self):
        # Times are the writer's clock: an age across namespaces means nothing.
        for writer_at, reader_at in (self.FAR, None), (None, self.FAR):
            with self.subTest(writer_at=writer_at, reader_at=reader_at):
                frame = self.pair(writer_at, reader_at)
                age = (frame["now"] - frame["published"]) / 1e6
                e2e.figure("an age of %.1f s" % age)
                self.assertGreater(abs(age), self.FAR - 3600)


if __name__ == "__main__":
    e2e.main()
