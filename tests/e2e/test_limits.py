# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a process may have runs out: file descriptors, address space, memory of a
control group, the directory's room and the directory itself. Each is an error that
says what to do, nothing else stops, and things go on when there is enough again."""

import os
import re
import resource
import shutil
import signal
import time
import unittest

import e2e

MEGABYTE = 1000000
EMFILE = "Too many open files; raise the limit of open files \\(ulimit -n\\)"


def fds(process):
    """What each is. Some may come and go meanwhile."""
    found = {}
    for name in os.listdir("/proc/%d/fd" % process.pid):
        try:
            found[int(name)] = os.readlink("/proc/%d/fd/%s" % (process.pid, name))
        except FileNotFoundError:
            pass
    return found


def count_fds(process, pattern):
    return sum(bool(re.search(pattern, what)) for what in fds(process).values())


def state(process):
    with open("/proc/%d/stat" % process.pid) as file:
        return file.read().rpartition(")")[2].split()[0]


def stop_between_tries(process, directory):
    """A reader that looks for a writer, with nothing open for that."""
    until = time.monotonic() + e2e.DEADLINE
    while time.monotonic() < until:
        process.signal(signal.SIGSTOP)
        while state(process) != "T":
            time.sleep(0.001)
        if count_fds(process, "^socket:|^" + directory) == 0:
            return
        process.signal(signal.SIGCONT)
        time.sleep(0.005)
    raise AssertionError("there is always something open: %s" % fds(process))


def limit_fds(process, n_more):
    """From here on it can open @n_more: the kernel gives the lowest number free."""
    _, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    used = fds(process)
    number = 0
    while number in used or n_more > 0:
        n_more -= number not in used
        number += 1
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (number, hard))


def limit(process, what, value):
    _, hard = resource.prlimit(process.pid, what)
    resource.prlimit(process.pid, what, (value, hard))


def unlimit(process, what=resource.RLIMIT_NOFILE):
    _, hard = resource.prlimit(process.pid, what)
    resource.prlimit(process.pid, what, (hard, hard))


def address_space(process):
    with open("/proc/%d/statm" % process.pid) as file:
        return int(file.read().split()[0]) * resource.getpagesize()


class TestCase(e2e.TestCase):

    def write(self, *options):
        writer = self.start(e2e.FRAMES, "write", "x", *options)
        writer.wait_event("open")
        return writer

    def read(self, *options):
        reader = self.start(e2e.FRAMES, "read", "x", "--check", *options)
        reader.wait_event("open")
        return reader

    def stop(self, *processes):
        for process in processes:
            process.signal(signal.SIGINT)
        for process in processes:
            self.assert_exits(process)

    def assert_goes_on(self, *readers):
        for reader in readers:
            since = reader.mark()
            for _ in range(3):
                reader.wait_event("frame", since)
                since = reader.mark()

    def wait_for_fds(self, process, pattern, n):
        """Who is at the other end may notice later."""
        until = time.monotonic() + e2e.DEADLINE
        while count_fds(process, pattern) != n:
            self.assertLess(time.monotonic(), until, fds(process))
            time.sleep(0.005)

    def wait_for_errors(self, process, n):
        until = time.monotonic() + e2e.DEADLINE
        while len(process.events("error")) < n:
            self.assertLess(time.monotonic(), until, process.output())
            time.sleep(0.02)

    def assert_says(self, process, pattern, since=0):
        """Its next error."""
        message = process.wait_event("error", since)["message"]
        self.assertRegex(message, pattern)
        return message


class Descriptors(TestCase):

    def test_programs_that_start_with_few_say_so(self):
        # Whatever call is the first that cannot be had.
        for args in (["write", "x", "--frames=3", "--quiet"], ["info", "x"],
                     ["read", "x", "--frames=1", "--quiet"]):
            n_failed = 0
            other = args[0] != "write" and self.write("--rate=100", "--quiet")
            for n in range(4, 20):
                process = self.start(
                    "prlimit", "--nofile=%d:%d" % (n, n), e2e.FRAMES, *args)
                if args[0] == "read":
                    process.wait_line('"(error|read)"')
                    process.signal(signal.SIGINT)
                code = process.wait()
                with self.subTest(args=args, n=n, output=process.output()):
                    self.assertIn(code, (0, 1))
                    failed = bool(process.events("error"))
                    self.assertLessEqual(code, failed)
                    if failed:
                        self.assert_says(process, EMFILE)
                    n_failed += failed
            e2e.figure("%s: %d of 16 limits are too low" % (args[0], n_failed))
            self.assertGreater(n_failed, 0)
            self.assertLess(n_failed, 14)
            if other:
                self.stop(other)

    def test_a_writer_that_has_none_left_keeps_its_readers_and_takes_more_later(self):
        # It may need one more slot just then, if the reader was long without a core.
        writer = self.write("--rate=100", "--quiet", "--size=1000", "--persist")
        reader = self.read("--mode=lossless")
        self.assert_goes_on(reader)
        but_slots = "^(?!/memfd:ndsh-slot)"
        n_fds = count_fds(writer, but_slots)

        for n in 0, 1, 2, 3, 0, 1:
            with self.subTest(n=n):
                since = writer.mark()
                limit_fds(writer, n)
                other = self.read()
                if n == 0:
                    text = writer.wait_line("cannot accept readers.*", since).group()
                    self.assertRegex(text, "for now: " + EMFILE)
                else:
                    self.assert_says(
                        other, "^the writer of channel 'x' cannot take a reader in: "
                        "cannot create (shared memory|a bell).*" + EMFILE)
                self.assert_goes_on(reader)
                self.assertEqual(other.events("frame"), [])
                unlimit(writer)
                self.assert_goes_on(other)
                self.stop(other)
                self.assert_goes_on(reader)
                self.wait_for_fds(writer, but_slots, n_fds)

        self.stop(writer)
        self.assert_exits(reader)
        read = reader.wait_event("read")
        self.assertEqual((read["wrong"], read["missed"]), (0, 0))

    def test_a_writer_that_has_none_left_for_a_slot_says_so_and_goes_on(self):
        writer = self.write("--rate=500", "--wait-for=1", "--persist", "--measure")
        # For the connection, the reader's page and the two of its bell, but for no segment.
        limit_fds(writer, 4)
        reader = self.read()

        self.assert_says(writer, "shared memory.*" + EMFILE)
        self.assertEqual(reader.events("frame"), [])
        # More often than there can be slots: none is lost by the attempt.
        self.wait_for_errors(writer, 300)
        unlimit(writer)
        self.assert_goes_on(reader)

        writer.signal(signal.SIGINT)
        self.assert_exits(writer)
        use = {event["at"]: event["fds"] for event in writer.events("usage")}
        self.assertEqual(use["end"], use["start"])

    def test_a_reader_that_has_none_left_for_a_writer_says_so_and_goes_on(self):
        # The directory and the socket; the socket and what WELCOME brings.
        for n in range(5):
            with self.subTest(n=n):
                reader = self.read()
                stop_between_tries(reader, self.channels)
                limit_fds(reader, n)
                reader.signal(signal.SIGCONT)
                writer = self.write("--rate=50", "--quiet")
                other = self.read()
                self.assert_goes_on(other)
                if n < 4:
                    self.assert_says(reader, EMFILE)
                    self.assert_goes_on(other)
                    self.assertEqual(reader.events("frame"), [])
                    unlimit(reader)
                self.assert_goes_on(reader)
                # What was mapped is closed.
                self.wait_for_fds(reader, "^socket:", 1)
                self.wait_for_fds(reader, "^/memfd:|" + self.channels, 0)
                self.stop(writer)
                self.assert_exits(reader)
                self.assert_exits(other)

    def test_a_reader_that_has_none_left_for_a_segment_says_so_and_comes_back(self):
        # Frames that change all along bring new segments; the kernel drops their fds.
        seed = "--seed=%d" % int(os.environ.get("NDSH_SEED", 7))
        writer = self.write("--rate=300", "--quiet", "--wait-for=2", seed,
                            "--lossless-timeout=30000")
        other = self.read("--mode=lossless", "--quiet", seed)
        reader = self.read(seed)
        self.assert_goes_on(reader)
        but_segments = "^(?!/memfd:)"
        before = count_fds(reader, but_segments)

        since = reader.mark()
        limit_fds(reader, 0)
        self.assert_says(reader, "has gone: cannot receive shared memory: " + EMFILE,
                         since)
        unlimit(reader)
        self.assert_goes_on(reader)

        self.wait_for_fds(reader, but_segments, before)
        self.stop(writer)
        for process in reader, other:
            self.assert_exits(process)
            self.assertEqual(process.wait_event("read")["wrong"], 0)
        self.assertEqual(other.wait_event("read")["missed"], 0)

    @unittest.skipUnless(e2e.PIPELINE, "built without the elements")
    def test_elements_that_have_none_left_say_so_on_the_bus(self):
        write = ("videotestsrc is-live=true ! video/x-raw,format=RGB,width=320,"
                 "height=240,framerate=30/1 ! ndshsink channel=")
        sink = self.pipeline(write + "x")
        sink.wait_event("playing")
        writer = self.pipeline(write + "y")
        source = self.pipeline("ndshsrc channel=y ! fakesink")
        source.wait_event("playing")

        # The one has to make slots, the other to connect anew.
        limit_fds(sink, 4)
        reader = self.start(e2e.FRAMES, "read", "x", "--leases=8", "--hold=100")
        limit_fds(source, 0)
        writer.kill()
        self.pipeline(write + "y").wait_event("playing")
        for process, element in (sink, "ndshsink"), (source, "ndshsrc"):
            self.assertNotEqual(process.wait(), 0, process.output())
            error = process.wait_event("error")
            self.assertRegex(error["element"], element)
            self.assertRegex(error["message"], EMFILE)
        self.stop(reader)


class AddressSpace(TestCase):

    SIZE = 16 * MEGABYTE

    def test_a_writer_without_room_for_a_slot_says_so_and_goes_on(self):
        writer = self.write("--rate=20", "--wait-for=1", "--persist",
                            "--size=%d" % self.SIZE)
        limit(writer, resource.RLIMIT_AS, address_space(writer) + self.SIZE // 2)
        reader = self.read()

        self.assert_says(writer, "cannot map 16.. MB of shared memory: Cannot allocate "
                         "memory; .*ulimit -v")
        # More often than there can be bytes of all slots: none is lost either.
        self.wait_for_errors(writer, 30)
        unlimit(writer, resource.RLIMIT_AS)
        self.assert_goes_on(reader)
        self.stop(writer)
        self.assert_exits(reader)

    def test_a_reader_without_room_for_a_segment_says_so_and_goes_on(self):
        writer = self.write("--rate=20", "--size=%d" % self.SIZE)
        other = self.read()
        self.assert_goes_on(other)
        reader = self.read()
        self.assert_goes_on(reader)
        self.stop(writer)
        for process in reader, other:
            self.assert_exits(process)

        reader = self.start(e2e.FRAMES, "read", "x", "--check")
        reader.wait_event("open")
        limit(reader, resource.RLIMIT_AS, address_space(reader) + self.SIZE // 2)
        writer = self.write("--rate=20", "--size=%d" % self.SIZE)
        other = self.read()
        self.assert_says(reader, "cannot map 16.. MB of the writer's memory: Cannot "
                         "allocate memory; .*ulimit -v")
        self.assert_goes_on(other)
        unlimit(reader, resource.RLIMIT_AS)
        self.assert_goes_on(reader, other)
        self.stop(writer)
        for process in reader, other:
            self.assert_exits(process)

    def test_a_limit_on_files_is_an_error_and_no_signal(self):
        # memfds are files, and beyond RLIMIT_FSIZE comes SIGXFSZ.
        writer = self.write("--rate=20", "--persist", "--wait-for=1",
                            "--size=%d" % (2 * MEGABYTE))
        limit(writer, resource.RLIMIT_FSIZE, MEGABYTE)
        reader = self.read()

        self.assert_says(writer, "a slot needs 2.. MB.*files of 1.0 MB at the most; "
                         "raise the limit \\(ulimit -f\\)")
        unlimit(writer, resource.RLIMIT_FSIZE)
        self.assert_goes_on(reader)
        self.stop(writer)
        self.assert_exits(reader)

        process = self.start("prlimit", "--fsize=1000", e2e.FRAMES, "write", "x")
        self.assert_exits(process, 1)
        self.assert_says(process, "ulimit -f")


class ControlGroup(TestCase):
    """A group below our own with little memory; of either version of control
    groups."""

    def setUp(self):
        super().setUp()
        for root, key, controllers, limit_name in (
                ("/sys/fs/cgroup/memory", "memory", None, "memory.limit_in_bytes"),
                ("/sys/fs/cgroup", "", "cgroup.controllers", "memory.max")):
            group = self.make_group(root, key)
            if group and os.path.exists(os.path.join(group, limit_name)):
                self.group, self.limit_name = group, limit_name
                return
        self.skipTest("no group with a limit of memory can be made here")

    def make_group(self, root, key):
        with open("/proc/self/cgroup") as file:
            groups = {line.split(":")[1]: line.strip().split(":", 2)[2]
                      for line in file}
        if key not in groups:
            return None
        path = "%s%s/ndsh-test-%d" % (root, groups[key].rstrip("/"), os.getpid())
        try:
            os.mkdir(path)
        except OSError:
            return None
        self.addCleanup(self.remove_group, path)
        return path

    def remove_group(self, path):
        until = time.monotonic() + e2e.DEADLINE
        while time.monotonic() < until:
            try:
                os.rmdir(path)
                return
            except OSError:             # processes that are ending
                time.sleep(0.05)

    def set_limit(self, value):
        with open(os.path.join(self.group, self.limit_name), "w") as file:
            file.write(str(value))

    def start_in_group(self, *args):
        return self.start("sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"',
                          self.group, *args)

    def test_a_writer_without_memory_is_told_both_numbers_and_not_killed(self):
        # 20 MB each: room for two of the four that the reader's leases take.
        self.set_limit(60 * MEGABYTE)
        writer = self.start_in_group(
            e2e.FRAMES, "write", "x", "--rate=20", "--size=%d" % (20 * MEGABYTE),
            "--persist", "--max-memory=%d" % (500 * MEGABYTE), "--wait-for=1")
        writer.wait_event("open")
        reader = self.read("--mode=queue", "--queue=8", "--leases=4", "--hold=300")

        text = self.assert_says(
            writer, "a slot needs 20.* MB of shared memory, .* MB are available to "
            "this control group")
        needed, available = map(float, re.findall("([0-9.]+) MB", text))
        e2e.figure(text)
        self.assertLess(available, needed)
        self.assertLess(available, 60)

        # What is given back is used again.
        since = reader.mark()
        for _ in range(5):
            reader.wait_event("frame", since)
            since = reader.mark()
        self.assertTrue(writer.is_running(), writer.output())
        self.stop(reader)
        writer.signal(signal.SIGINT)
        self.assert_exits(writer)
        self.assertEqual(reader.wait_event("read")["wrong"], 0)

    @unittest.skipUnless(e2e.PIPELINE, "built without the elements")
    def test_elements_without_memory_for_the_history_keep_less_of_it(self):
        # Seventeen slots of 3 MB, and none of the same size elsewhere instead.
        self.set_limit(30 * MEGABYTE)
        pipeline = self.start_in_group(e2e.PIPELINE, *(
            "videotestsrc num-buffers=60 ! video/x-raw,format=NV12,width=1920,"
            "height=1080 ! ndshsink name=s history=16 sync=false".split()))
        self.assert_exits(pipeline)
        stats = pipeline.events("stats")[-1]
        self.assertEqual(stats["frames-published"], 60)

    def test_a_reader_pays_for_no_frame(self):
        # What it reads was charged to who wrote it first.
        self.set_limit(16 * MEGABYTE)
        writer = self.write("--rate=50", "--quiet", "--size=%d" % (20 * MEGABYTE))
        reader = self.start_in_group(e2e.FRAMES, "read", "x", "--mode=queue", "--check")
        self.assert_goes_on(reader)
        self.stop(reader, writer)


class Directory(TestCase):

    def test_a_full_directory_is_told_and_frames_do_not_lie_in_it(self):
        if not e2e.own_mounts():
            self.skipTest("nothing can be mounted here")
        # An inode is the directory, one the lock, one the socket.
        for n_inodes in 1, 2, 3:
            with self.subTest(n_inodes=n_inodes):
                e2e.mount("tmpfs", self.channels, "size=64k,nr_inodes=%d" % n_inodes)
                self.addCleanup(e2e.umount, self.channels)
                process = self.start(e2e.FRAMES, "write", "x", "--frames=1")
                if n_inodes < 3:
                    self.assert_exits(process, 1)
                    self.assert_says(process, "%s.*No space left on device; make room "
                                     "there or set NDSH_DIR" % self.channels)
                else:
                    self.assert_exits(process)

    def test_a_directory_that_fills_up_does_not_matter(self):
        if not e2e.own_mounts():
            self.skipTest("nothing can be mounted here")
        e2e.mount("tmpfs", self.channels, "size=64k")
        self.addCleanup(e2e.umount, self.channels)
        writer = self.write("--rate=50", "--size=%d" % (2 * MEGABYTE))
        first = self.read()
        self.assert_goes_on(first)
        with open(os.path.join(self.channels, "file"), "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * 4096)
            except OSError:
                pass

        second = self.read("--mode=queue", "--queue=8", "--leases=8", "--hold=200")
        self.assert_goes_on(first, second)
        self.stop(writer)
        self.assert_exits(first)
        self.assert_exits(second)
        self.assertEqual(sorted(os.listdir(self.channels)), ["file"])
        self.stop(self.write("--rate=50"))

    def test_a_directory_that_is_removed_leaves_who_is_connected(self):
        writer = self.write("--rate=50", "--quiet")
        reader = self.read()
        self.assert_goes_on(reader)
        shutil.rmtree(self.channels)

        self.assert_goes_on(reader)
        information = self.start(e2e.FRAMES, "info", "x")
        self.assert_exits(information, 1)
        self.assert_says(information, "nobody writes channel 'x'; looked in "
                         + self.channels)
        self.stop(writer)
        self.assert_exits(reader)
        self.assertFalse(os.path.exists(self.channels))

        # It is made anew by the next.
        writer = self.write("--rate=50", "--quiet")
        reader = self.read()
        self.assert_goes_on(reader)
        self.stop(writer)
        self.assert_exits(reader)

    def test_a_directory_that_is_made_anew_has_another_writer(self):
        old_writer = self.write("--rate=50", "--quiet")
        old_reader = self.read()
        self.assert_goes_on(old_reader)
        shutil.rmtree(self.channels)
        os.mkdir(self.channels)

        writer = self.write("--rate=50", "--quiet")
        reader = self.read()
        self.assert_goes_on(old_reader, reader)
        # The end of the old one does not take the new one's name away.
        self.stop(old_writer)
        self.assert_exits(old_reader)
        another = self.read()
        self.assert_goes_on(reader, another)

        # And who was left alone finds the new one.
        shutil.rmtree(self.channels)
        newest = self.write("--rate=50", "--quiet")
        self.assert_goes_on(reader, another)
        writer.kill()
        for process in reader, another:
            since = process.mark()
            process.wait_event("closed")
            process.wait_event("frame", since)
        self.assert_goes_on(reader, another)
        self.stop(newest)
        for process in reader, another:
            self.assert_exits(process)


if __name__ == "__main__":
    e2e.main()
