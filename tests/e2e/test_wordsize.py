# SPDX-License-Identifier: LGPL-2.1-or-later
"""Processes of 32 and of 64 bits on one channel, and other versions of the protocol.
The i386 build is made by i386.sh; where that cannot be, these tests are skipped."""

import os
import random
import signal
import socket
import struct
import subprocess
import unittest

import e2e

DIRECTORY = os.path.join(e2e.SOURCE, "build-tests", "i386")
MAGIC, MAJOR, MINOR = 0x4853444e, 1, 0
HELLO, WELCOME, REFUSED = 1, 3, 4


def build():
    """All that needs no GStreamer, without a warning. Skips what needs it if it cannot
    be had."""
    process = subprocess.Popen(
        [os.path.join(e2e.SOURCE, "tests", "e2e", "i386.sh"), DIRECTORY, e2e.SOURCE],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output = process.communicate()[0].decode("utf-8", "replace").rstrip()
    if process.returncode == 77:
        raise unittest.SkipTest(output.split("\n")[-1])
    if process.returncode != 0:
        raise AssertionError(output)


def program(name):
    return [os.path.join(DIRECTORY, "run"),
            os.path.join(DIRECTORY, "root", "build", "tests", name)]


class WordSizes(e2e.TestCase):

    @classmethod
    def setUpClass(cls):
        build()
        cls.sizes = {32: program("e2e/e2e-frames"), 64: [e2e.FRAMES]}

    def frames(self, bits, *args):
        return self.start(*(self.sizes[bits] + list(args)))

    def assert_all_is_right(self, reader, n_frames, lossless=True):
        self.assert_exits(reader, timeout=120)
        read = reader.wait_event("read")
        self.assertEqual((read["wrong"], read["changed"]), (0, 0))
        self.assertEqual(read["frames"] + read["missed"], n_frames)
        if lossless:
            self.assertEqual(read["missed"], 0)

    def test_changing_arrays_are_read_by_the_other_size(self):
        n = 2000
        for writes, reads in (32, 64), (64, 32), (32, 32):
            seed = int(os.environ.get("NDSH_SEED", random.randrange(1 << 30)))
            with self.subTest(writes=writes, reads=reads, seed=seed):
                options = ["--check", "--seed=%d" % seed]
                readers = [
                    self.frames(reads, "read", "x", "--mode=lossless", "--quiet",
                                *options),
                    self.frames(reads, "read", "x", "--mode=queue", "--queue=4",
                                "--leases=8", "--hold=5", "--quiet", *options),
                    self.frames(reads, "read", "x", "--quiet", *options),
                    self.frames(writes, "read", "x", "--mode=lossless", "--quiet",
                                *options)]
                writer = self.frames(writes, "write", "x", "--seed=%d" % seed,
                                     "--frames=%d" % n, "--wait-for=4", "--quiet",
                                     "--lossless-timeout=60000")
                for i, reader in enumerate(readers):
                    self.assert_all_is_right(reader, n, lossless=i in (0, 3))
                self.assert_exits(writer)
                self.assertEqual(writer.wait_event("written")["frames"], n)

    def test_large_frames_and_long_lossless_waits(self):
        for writes, reads in (32, 64), (64, 32):
            with self.subTest(writes=writes, reads=reads):
                reader = self.frames(reads, "read", "x", "--mode=lossless", "--check",
                                     "--sleep=2", "--quiet")
                writer = self.frames(writes, "write", "x", "--size=%d" % (33 << 20),
                                     "--frames=30", "--wait-for=1", "--quiet",
                                     "--lossless-timeout=60000")
                self.assert_all_is_right(reader, 30)
                self.assert_exits(writer)

    def test_each_tells_the_other_about_itself(self):
        for writes, asks in (32, 64), (64, 32):
            with self.subTest(writes=writes, asks=asks):
                writer = self.frames(writes, "write", "x", "--rate=100", "--seed=1")
                writer.wait_event("frame")
                process = self.frames(asks, "info", "x")
                self.assert_exits(process)
                self.assertEqual(process.wait_event("info")["pid"], writer.pid)
                second = self.frames(asks, "write", "x")
                self.assert_exits(second, 1)
                self.assertIn("already written by process %d" % writer.pid,
                              second.wait_event("error")["message"])
                writer.signal(signal.SIGINT)
                self.assert_exits(writer)

    def test_a_death_is_noticed_by_the_other_size(self):
        for writes, reads in (32, 64), (64, 32):
            with self.subTest(writes=writes, reads=reads):
                reader = self.frames(reads, "read", "x", "--check")
                writer = self.frames(writes, "write", "x", "--rate=100", "--quiet")
                reader.wait_event("frame")
                since = reader.mark()
                writer.kill()
                reader.wait_event("closed", since)
                # The next one may have the reader's size.
                writer = self.frames(reads, "write", "x", "--rate=100", "--quiet")
                since = reader.mark()
                reader.wait_event("frame", since)
                reader.kill()
                while True:
                    process = self.frames(writes, "info", "x")
                    self.assert_exits(process)
                    if process.wait_event("info")["readers"] == 0:
                        break
                writer.signal(signal.SIGINT)
                self.assert_exits(writer)

    def test_what_cannot_be_single_stepped_says_so(self):
        for name in "kill-steps", "cost":
            with self.subTest(name=name):
                process = self.start(*program("stress/" + name))
                self.assert_exits(process, 77)
                process.wait_line("^skipped: .* is not known for this machine$")

    # --- Other versions ---

    def greet(self, message):
        """What the writer of "x" answers."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
            peer.settimeout(e2e.DEADLINE)
            peer.connect(os.path.join(self.channels, "x"))
            peer.send(message)
            answer = peer.recv(4096)
        return struct.unpack_from("<IHHI", answer)[3], answer

    def test_another_major_is_refused_and_a_higher_minor_is_not(self):
        for bits in 32, 64:
            with self.subTest(bits=bits):
                writer = self.frames(bits, "write", "x", "--rate=100", "--quiet")
                writer.wait_event("open")
                size = 48               # 16 more than version 1.0 has
                body = struct.pack("<III", 0, 1, 1).ljust(size - 16, b"\0")
                kind, answer = self.greet(
                    struct.pack("<IHHII", MAGIC, MAJOR + 1, 0, HELLO, size) + body)
                self.assertEqual(kind, REFUSED)
                text = answer[24:].split(b"\0")[0].decode()
                self.assertRegex(text, "version %d.*run the same release" % (MAJOR + 1))
                kind, answer = self.greet(
                    struct.pack("<IHHII", MAGIC, MAJOR, MINOR + 1, HELLO, size) + body)
                self.assertEqual(kind, WELCOME)
                writer.signal(signal.SIGINT)
                self.assert_exits(writer)

    def test_a_writer_of_another_major_is_told(self):
        for bits in 32, 64:
            with self.subTest(bits=bits):
                path = os.path.join(self.channels, "x")
                with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
                    listener.settimeout(e2e.DEADLINE)
                    listener.bind(path)
                    listener.listen(4)
                    reader = self.frames(bits, "read", "x")
                    peer = listener.accept()[0]
                    with peer:
                        hello = peer.recv(4096)
                        self.assertEqual(struct.unpack_from("<IHH", hello),
                                         (MAGIC, MAJOR, MINOR))
                        peer.send(struct.pack("<IHHII", MAGIC, MAJOR + 1, 0, WELCOME,
                                              48).ljust(48, b"\0"))
                        message = reader.wait_event("error")["message"]
                os.unlink(path)
                self.assertRegex(message,
                                 "version %d.*run the same release" % (MAJOR + 1))
                reader.signal(signal.SIGINT)
                self.assert_exits(reader)


@unittest.skipUnless(os.environ.get("NDSH_THOROUGH"), "thorough only")
class UnitTests(e2e.TestCase):

    def test_the_unit_tests_pass_in_32_bits(self):
        build()
        directory = program("unit")[1]
        names = sorted(name for name in os.listdir(directory)
                       if os.access(os.path.join(directory, name), os.X_OK)
                       and os.path.isfile(os.path.join(directory, name)))
        self.assertGreater(len(names), 10)
        for name in names:
            with self.subTest(name=name):
                process = self.start(*program("unit/" + name))
                self.assert_exits(process, timeout=300)
        e2e.figure("%d programs" % len(names))


if __name__ == "__main__":
    e2e.main()
