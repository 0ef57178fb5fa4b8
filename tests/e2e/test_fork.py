# SPDX-License-Identifier: LGPL-2.1-or-later
"""Forks of a process that holds a writer, a reader, frames and a draft: whatever the
child does, nobody else notices; and whatever becomes of the parent, they do."""

import os
import signal
import sys
import time
import unittest

import e2e

FORKED = 10


def fds_of(pid):
    return sorted(os.listdir("/proc/%d/fd" % pid))


def name_of(pid):
    with open("/proc/%d/comm" % pid) as file:
        return file.read().strip()


class Fork(e2e.TestCase):

    def setUp(self):
        super().setUp()
        self.env["NDSH_LIBRARY"] = os.path.join(e2e.BUILD, "lib", "libndsh.so.0")
        self.other = self.start(e2e.FRAMES, "write", "other", "--rate=200", "--quiet",
                                "--size=1000")
        self.other.wait_event("open")
        self.holder = self.start(
            sys.executable, os.path.join(e2e.SOURCE, "tests", "e2e", "forks.py"),
            "own", "other")
        self.holder.wait_event("open")
        # Each byte is looked at, and none may be missing.
        self.watcher = self.start(e2e.FRAMES, "read", "own", "--mode=lossless",
                                  "--check", "--hold=30", "--leases=8")
        self.watcher.wait_event("frame")

    def tell(self, *words):
        self.holder.popen.stdin.write((" ".join(map(str, words)) + "\n").encode())
        self.holder.popen.stdin.flush()

    def fork(self, how):
        since = self.holder.mark()
        self.tell("fork", how)
        child = self.holder.wait_event("child", since)
        # It has no socket and no lock, its frames, and no use for the rest.
        self.assertEqual(child["sockets"], [])
        self.assertTrue(child["whole"])
        self.assertEqual(child["codes"], [FORKED, FORKED, 0])
        return child["pid"]

    def assert_reaped(self, pid):
        status = self.holder.find(lambda text: (e2e.parse(text) or {}).get("pid") == pid
                                  and "reaped" in text and e2e.parse(text))[1]["status"]
        self.assertEqual(status, 0, self.holder.output())

    def assert_goes_on(self):
        since = self.watcher.mark()
        for _ in range(5):
            self.watcher.wait_event("frame", since)
            since = self.watcher.mark()

    def end(self):
        """All that the holder has is as it was; nobody lost anything."""
        self.holder.popen.stdin.close()
        # A child that lives has the other end of the pipe: there is no end of output.
        self.assertEqual(self.holder.popen.wait(e2e.DEADLINE), 0, self.holder.output())
        published = self.holder.wait_event("done")["published"]
        # "gone", since a free without an end is no end of the stream.
        self.watcher.wait_event("closed")
        self.watcher.signal(signal.SIGINT)
        self.assert_exits(self.watcher)
        read = self.watcher.wait_event("read")
        self.assertEqual((read["wrong"], read["changed"], read["missed"]), (0, 0, 0))
        self.assertGreater(published, 0)
        self.assertEqual(self.watcher.events("error"), [])
        self.other.signal(signal.SIGINT)
        self.assert_exits(self.other)

    def count_readers(self, channel):
        information = self.start(e2e.FRAMES, "info", channel)
        self.assert_exits(information)
        return information.wait_event("info")["readers"]

    def wait_for_readers(self, channel, n):
        until = time.monotonic() + e2e.DEADLINE
        while self.count_readers(channel) != n:
            self.assertLess(time.monotonic(), until, "readers of %s" % channel)
            time.sleep(0.02)

    def test_children_that_end_disturb_nothing(self):
        for how in "exit", "leave", "exit", "leave":
            with self.subTest(how=how):
                self.assert_reaped(self.fork(how))
                self.assert_goes_on()
                self.assertEqual(self.count_readers("other"), 1)
                self.assertEqual(self.count_readers("own"), 1)
        self.end()

    def test_children_that_open_channels_of_their_own_can(self):
        for _ in range(2):
            since = self.holder.mark()
            pid = self.fork("use")
            used = self.holder.wait_event("used", since)
            self.assertEqual(used["numbers"], [1, 2, 3])
            self.assertGreater(used["parent"], 0)
            self.assert_reaped(pid)
            self.assert_reaped(self.fork("leaves_its_own"))
            self.assert_goes_on()
        self.wait_for_readers("own", 1)
        self.end()

    def test_a_child_that_execs_keeps_nothing(self):
        pid = self.fork("exec")
        try:
            self.assert_has_nothing(pid)
            self.assert_goes_on()
            self.assert_parents_death_is_noticed(pid)
        finally:
            os.kill(pid, signal.SIGKILL)

    def test_a_program_that_is_spawned_keeps_nothing(self):
        self.tell("spawn", 1000)
        pid = self.holder.wait_event("spawned")["pid"]
        try:
            self.assert_has_nothing(pid)
            self.assert_parents_death_is_noticed(pid)
        finally:
            os.kill(pid, signal.SIGKILL)

    def assert_has_nothing(self, pid):
        until = time.monotonic() + e2e.DEADLINE
        # While it is loaded it has the libraries open.
        while name_of(pid) != "sleep" or fds_of(pid) != ["0", "1", "2"]:
            self.assertLess(time.monotonic(), until, (name_of(pid), fds_of(pid)))
            time.sleep(0.01)

    def assert_parents_death_is_noticed(self, child):
        """While @child lives."""
        since = self.watcher.mark()
        os.kill(self.holder.pid, signal.SIGKILL)
        self.watcher.wait_event("closed", since)
        self.wait_for_readers("other", 0)

        # At once, and not because the child has gone.
        writer = self.start(e2e.FRAMES, "write", "own", "--rate=200", "--quiet",
                            "--size=1000")
        self.assertIsNone(writer.wait_event("open").get("message"))
        since = self.watcher.mark()
        self.watcher.wait_event("frame", since)
        self.assert_goes_on()
        os.kill(child, 0)
        return writer

    def test_a_child_that_outlives_its_parent_keeps_frames_and_nothing_else(self):
        pid = self.fork("stay")
        self.holder.wait_event("staying")
        try:
            self.assert_goes_on()
            writer = self.assert_parents_death_is_noticed(pid)

            os.kill(pid, signal.SIGUSR1)
            stayed = self.holder.wait_event("stayed")
            self.assertNotEqual(stayed["parent"], self.holder.pid)
            # Mapped for good, but the lease was the parent's: the bytes may be those
            # of another frame by now.
            self.assertEqual(stayed["sizes"], [1000] * 3)
            self.holder.wait_event("freed")
            # Freeing what was the parent's does no harm to who has the name now.
            self.assert_goes_on()
            writer.signal(signal.SIGINT)
            self.assert_exits(writer)
            self.assert_exits(self.watcher)
            self.assertEqual(self.watcher.wait_event("read")["wrong"], 0)
        finally:
            os.kill(pid, signal.SIGKILL)

    def test_a_child_that_lives_on_does_not_keep_the_name_of_a_writer_that_ends(self):
        pid = self.fork("stay")
        self.holder.wait_event("staying")
        try:
            self.end()
            self.assertNotIn("own", os.listdir(self.channels))
            writer = self.start(e2e.FRAMES, "write", "own", "--frames=1")
            self.assert_exits(writer)
        finally:
            os.kill(pid, signal.SIGKILL)

    def test_a_pool_of_workers_reads_what_its_parent_writes(self):
        since = self.holder.mark()
        self.tell("multiprocess", 40)
        numbers = self.holder.wait_event("pooled", since)["numbers"]
        self.assertEqual(len(numbers), 40)
        self.assertGreater(min(numbers), 0)
        self.wait_for_readers("own", 1)
        self.assert_goes_on()
        self.end()

    def test_forks_between_any_two_steps_of_other_threads_keep_nothing(self):
        since = self.holder.mark()
        n = int(os.environ.get("NDSH_FORKS", 50))
        self.tell("storm", n)
        stormed = self.holder.wait_event("stormed", since, timeout=20 * e2e.DEADLINE)
        e2e.figure("%d forks, rounds of other threads: %s" % (n, stormed["rounds"]))
        self.assertEqual(stormed["bad"], [])
        self.assertEqual(stormed["trouble"], [])
        self.assertGreater(min(stormed["rounds"]), 0)
        self.assert_goes_on()
        self.end()


if __name__ == "__main__":
    e2e.main()
