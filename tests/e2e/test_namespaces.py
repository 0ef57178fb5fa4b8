# SPDX-License-Identifier: LGPL-2.1-or-later
"""Another user, and namespaces of users, networks, processes and mounts: what a
container is made of. It works where the directory is shared, and is refused with a
sentence where it is not."""

import glob
import os
import shutil
import signal
import subprocess
import unittest

import e2e

NOBODY, SOMEBODY = 65534, 12345
is_root = os.geteuid() == 0


def can_unshare(*options):
    try:
        return subprocess.call(
            ["unshare"] + list(options) + ["true"], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


class TestCase(e2e.TestCase):

    def write(self, *options, **more):
        writer = self.start(*(more.get("how", []) + [
            self.frames, "write", "x", "--rate=100", "--quiet"] + list(options)))
        writer.wait_event("open")
        return writer

    def read(self, *options, **more):
        return self.start(*(more.get("how", []) + [
            self.frames, "read", "x", "--check"] + list(options)))

    def info(self, how=()):
        """What the writer tells, or its error."""
        process = self.start(*(list(how) + [self.frames, "info", "x"]))
        process.wait()
        return process.wait_line('"event": "(info|error)"') and e2e.parse(
            process.texts()[-1])

    def assert_reads(self, reader):
        """Three frames, then it is stopped: what it says of itself."""
        since = reader.mark()
        for _ in range(3):
            reader.wait_event("frame", since)
            since = reader.mark()

    def end(self, writer, *readers):
        # Not of the group's leader only: unshare and sh may be in between.
        os.killpg(writer.pid, signal.SIGINT)
        writer.wait_event("written")
        writer.wait()
        for reader in readers:
            reader.wait()
            self.assertEqual(reader.wait_event("read")["wrong"], 0)

    def setUp(self):
        super().setUp()
        self.frames = e2e.FRAMES


@unittest.skipUnless(is_root and shutil.which("setpriv"), "only root can be others")
class AsOthers(TestCase):

    def setUp(self):
        """Copies that everybody can read, and a directory that all can use."""
        super().setUp()
        os.chmod(self.dir, 0o755)
        os.chmod(self.channels, 0o1777)
        programs = os.path.join(self.dir, "programs")
        os.mkdir(programs)
        for path in ([e2e.FRAMES]
                     + glob.glob(os.path.join(e2e.BUILD, "lib", "libndsh.so.?"))):
            shutil.copy(path, programs)
        self.env["LD_LIBRARY_PATH"] = programs
        self.frames = os.path.join(programs, os.path.basename(e2e.FRAMES))

    def be(self, uid):
        return ["setpriv", "--reuid=%d" % uid, "--regid=%d" % uid, "--clear-groups"]


class OtherUsers(AsOthers):

    def test_others_are_denied_unless_the_writer_admits_them(self):
        for perms, admitted in ("0", False), ("0600", False), ("0660", False), (
                "0666", True):
            with self.subTest(perms=perms):
                writer = self.write("--perms=" + perms)
                answer = self.info(self.be(NOBODY))
                reader = self.read(how=self.be(NOBODY))
                if admitted:
                    self.assertEqual(answer["event"], "info")
                    self.assertEqual(answer["pid"], writer.pid)
                    self.assert_reads(reader)
                else:
                    error = reader.wait_event("error")
                    for text in answer["message"], error["message"]:
                        self.assertIn("the writer of channel 'x' does not admit user "
                                      "%d" % NOBODY, text)
                        self.assertIn("allow others by its perms", text)
                    reader.signal(signal.SIGINT)
                self.end(writer, reader)

    def test_a_group_can_be_admitted(self):
        os.chmod(self.channels, 0o3777)         # sockets get the directory's group
        os.chown(self.channels, 0, SOMEBODY)
        writer = self.write("--perms=660")
        reader = self.read(how=["setpriv", "--reuid=%d" % NOBODY,
                                "--regid=%d" % NOBODY, "--groups=%d" % SOMEBODY])
        self.assert_reads(reader)
        self.end(writer, reader)

    def test_another_users_lossless_reader_queues_and_holds_nobody_up(self):
        writer = self.write("--perms=666", "--lossless-timeout=30000")
        own = self.read("--mode=lossless")
        self.assert_reads(own)
        foreign = self.read("--mode=lossless", "--frames=3", how=self.be(NOBODY))
        self.assertEqual(foreign.wait_event("read")["mode"], e2e.QUEUE)
        stopped = self.read("--mode=lossless", how=self.be(NOBODY))
        self.assert_reads(stopped)
        stopped.signal(signal.SIGSTOP)
        for _ in range(30):
            self.assert_reads(own)
        self.end(writer, own)

    def test_a_reader_of_the_same_other_user_may_be_lossless(self):
        writer = self.write(how=self.be(NOBODY))
        reader = self.read("--mode=lossless", "--frames=3", how=self.be(NOBODY))
        self.assertEqual(reader.wait_event("read")["mode"], e2e.LOSSLESS)
        root = self.read("--mode=lossless", "--frames=3")
        self.assertEqual(root.wait_event("read")["mode"], e2e.QUEUE)
        self.end(writer)

    def test_a_directory_that_is_closed_to_others_says_so(self):
        writer = self.write("--perms=666")
        os.chmod(self.channels, 0o700)
        answer = self.info(self.be(NOBODY))
        self.assertRegex(answer["message"], "user %d may not enter the directory %s" % (
            NOBODY, self.channels))
        self.end(writer)

    def test_others_cannot_take_a_name(self):
        # In a directory that all can write to: the lock is its maker's.
        writer = self.write("--perms=666")
        thief = self.start(*(self.be(NOBODY) + [self.frames, "write", "x"]))
        self.assert_exits(thief, 1)
        self.assertIn(self.channels, thief.wait_event("error")["message"])
        reader = self.read()
        self.assert_reads(reader)
        self.end(writer, reader)


class Directories(AsOthers):
    """Where channels are if nobody says so."""

    def setUp(self):
        super().setUp()
        if not e2e.own_mounts():
            self.skipTest("no mounts of its own here")
        self.runtime = "/run/user/%d" % NOBODY
        os.makedirs("/run/user", exist_ok=True)
        e2e.mount("tmpfs", "/run/user", "mode=755")
        self.addCleanup(e2e.umount, "/run/user")
        os.mkdir(self.runtime, 0o700)
        os.chown(self.runtime, NOBODY, NOBODY)
        self.closed = os.path.join(self.dir, "root")
        os.mkdir(self.closed, 0o700)
        self.env["NDSH_DIR"] = ""

    def use(self, runtime):
        self.env["XDG_RUNTIME_DIR"] = runtime
        return self.be(NOBODY)

    def test_who_lacks_the_variable_finds_channels_of_the_same_user(self):
        writer = self.write(how=self.use(self.runtime))
        readers = [self.read(how=self.use(runtime)) for runtime in ("", self.closed)]
        for reader in readers:
            self.assert_reads(reader)
        self.end(writer, *readers)
        writer = self.write(how=self.use(""))
        reader = self.read(how=self.use(self.runtime))
        self.assert_reads(reader)
        self.end(writer, reader)

    def test_a_directory_that_may_not_be_entered_is_not_the_only_one(self):
        answer = self.info(self.use(self.closed))
        self.assertIn("nobody writes channel 'x'; looked in %s/ndsh (which user %d may "
                      "not enter), %s/ndsh" % (self.closed, NOBODY, self.runtime),
                      answer["message"])
        # Nor does a writer's restart end a reader.
        reader = self.read("--mode=queue", how=self.use(self.closed))
        for _ in range(2):
            writer = self.write(how=self.use(self.runtime))
            self.assert_reads(reader)
            os.killpg(writer.pid, signal.SIGKILL)
            writer.wait()
        reader.signal(signal.SIGINT)
        self.assertEqual(reader.wait(), 0)

    def test_permissions_that_a_directory_takes_back_are_told_of(self):
        writer = self.write("--perms=666", how=self.use(self.runtime))
        writer.wait_line("'x' would admit other users .perms 0666., who may not enter "
                         "%s/ndsh" % self.runtime)
        self.end(writer)


class Namespaces(TestCase):

    def unshare(self, *options):
        if not can_unshare(*options):
            self.skipTest("no %s here" % " ".join(("unshare",) + options))
        return ["unshare"] + list(options)

    def assert_pair(self, writer_how, reader_how, mode=e2e.LOSSLESS):
        """They share frames; what a writer and an asker say of each other's pid."""
        writer = self.write(how=writer_how)
        reader = self.read("--mode=lossless", how=reader_how)
        self.assert_reads(reader)
        answer = self.info(reader_how)
        self.assertEqual(answer["event"], "info", answer)
        os.killpg(writer.pid, signal.SIGINT)
        told = writer.wait_event("reader")
        self.assertEqual(told["mode"], mode)
        writer.wait()
        reader.wait()
        read = reader.wait_event("read")
        self.assertEqual((read["wrong"], read["missed"]), (0, 0))
        return told["pid"], answer["pid"]

    def test_users(self):
        how = self.unshare("--user", "--map-root-user")
        for pair in ([], how), (how, []), (how, how):
            with self.subTest(pair=pair):
                seen, asked = self.assert_pair(*pair)
                self.assertGreater(seen, 0)
                self.assertGreater(asked, 0)

    def test_users_that_are_unknown_to_each_other(self):
        # Inside every uid shows as 65534; outside it is who it is.
        how = self.unshare("--user")
        self.assert_pair([], how)
        self.assert_pair(how, [])

    def test_networks(self):
        how = self.unshare("--user", "--map-root-user", "--net")
        for pair in ([], how), (how, []), (how, how):
            with self.subTest(pair=pair):
                self.assert_pair(*pair)

    def test_processes(self):
        how = self.unshare("--user", "--map-root-user", "--pid", "--fork",
                           "--mount-proc", "--kill-child")
        # The outer one sees the inner ones' pids, the inner one 0; siblings see 0.
        seen, asked = self.assert_pair([], how)
        self.assertGreater(seen, 1)
        self.assertEqual(asked, 0)
        seen, asked = self.assert_pair(how, [])
        self.assertEqual(seen, 0)
        self.assertGreater(asked, 1)
        self.assertEqual(self.assert_pair(how, how), (0, 0))

    def test_a_name_that_is_taken_outside_is_taken(self):
        how = self.unshare("--user", "--map-root-user", "--pid", "--fork",
                           "--mount-proc", "--kill-child")
        writer = self.write()
        second = self.start(*(how + [self.frames, "write", "x"]))
        self.assert_exits(second, 1)
        self.assertIn("already written by a process of another pid namespace",
                      second.wait_event("error")["message"])
        self.end(writer)

    def test_a_directory_that_is_bound_elsewhere(self):
        how = self.unshare("--user", "--map-root-user", "--mount", "--net")
        place = os.path.join(self.dir, "place")
        os.mkdir(place)
        script = 'mount --bind "$NDSH_DIR" "$0" && export NDSH_DIR="$0" && exec "$@"'
        bound = how + ["sh", "-c", script, place]
        self.assertEqual(len(self.assert_pair([], bound)), 2)
        self.assertEqual(len(self.assert_pair(bound, [])), 2)
        self.assertEqual(os.listdir(place), [])

    def test_a_directory_that_is_not_shared_is_not_found(self):
        how = self.unshare("--user", "--map-root-user", "--mount", "--net")
        hidden = how + ["sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"',
                        self.channels]
        writer = self.write()
        answer = self.info(hidden)
        self.assertEqual(answer["message"], "nobody writes channel 'x'; looked in "
                         + self.channels)
        # There it can be written by another, whom nobody here sees.
        self.assert_exits(self.start(*(hidden + [
            self.frames, "write", "x", "--frames=3", "--quiet"])))
        reader = self.read()
        self.assert_reads(reader)
        self.end(writer, reader)

    def test_a_writer_without_proc_is_told(self):
        how = self.unshare("--user", "--map-root-user", "--mount")
        # Which the loader would take from /proc.
        self.env["LD_LIBRARY_PATH"] = os.path.join(e2e.BUILD, "lib")
        process = self.start(*(how + [
            "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "-",
            self.frames, "write", "x", "--frames=3"]))
        self.assert_exits(process, 1)
        self.assertRegex(process.wait_event("error")["message"], "it takes a mounted /proc")
        # A reader needs none.
        writer = self.write()
        reader = self.read(how=how + [
            "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "-"])
        self.assert_reads(reader)
        self.end(writer, reader)


if __name__ == "__main__":
    e2e.main()
