# SPDX-License-Identifier: LGPL-2.1-or-later
"""Item 9: what cannot work is an error on the bus that says what to do."""

import glob
import os
import shutil
import signal
import socket
import struct
import threading
import unittest

import e2e

MAGIC, MAJOR = 0x4853444e, 1
HELLO, WELCOME, REFUSED = 1, 3, 4
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]

is_root = os.geteuid() == 0


class BadInput(e2e.TestCase):

    def assert_error(self, process, element, pattern):
        """It ends, with an error of @element that says @pattern."""
        self.assertNotEqual(process.wait(), 0, process.output())
        error = process.wait_event("error")
        self.assertRegex(error["element"], element)
        self.assertRegex(error["message"], pattern)
        return error["message"]

    # Not gst-launch-1.0: that of 1.22 forgets an error that a streaming thread posts
    # before its main loop runs, whoever posts it, and goes on for ever.

    def write(self, *options, **more):
        return self.start(e2e.PIPELINE, "videotestsrc", "num-buffers=300", "!",
                          "video/x-raw,format=RGB,width=320,height=240", "!",
                          "ndshsink", *options, **more)

    def read(self, *options, **more):
        return self.start(e2e.PIPELINE, "ndshsrc", *(options + ("!", "fakesink")),
                          **more)

    def assert_writable_again(self):
        """No lock was left."""
        self.assert_exits(self.start(
            "gst-launch-1.0", "-q", "videotestsrc", "num-buffers=1", "!", "ndshsink"))

    def test_names_that_cannot_be(self):
        for name in ("", "x" * 300, "caméra", "../x", "x/y", "a b", ".hidden", "a*b"):
            with self.subTest(name=name):
                option = "channel=" + ('"%s"' % name if name in ("", "a b") else name)
                says = "name of a channel: use 1 to 64 of letters, digits"
                self.assert_error(self.write(option), "ndshsink", says)
                self.assert_error(self.read(option), "ndshsrc", says)
        self.assertEqual(os.listdir(self.channels), [])

    def test_paths_that_cannot_be(self):
        for name in "/", "/dev/null/x", self.dir + "/nowhere/x", self.channels + "/..":
            with self.subTest(name=name):
                self.assert_error(self.write("channel=" + name), "ndshsink",
                                  "path|directory")
        self.assertEqual(os.listdir(self.channels), [])

    def test_a_path_is_the_place_of_the_socket(self):
        path = os.path.join(self.dir, "x")
        writer = self.pipeline("videotestsrc is-live=true ! ndshsink channel=" + path)
        self.assert_exits(self.read("num-buffers=1", "channel=" + path))
        self.assertEqual(os.listdir(self.channels), [])
        writer.signal(signal.SIGINT)
        self.assert_exits(writer)
        self.assertFalse(os.path.exists(path))

    def test_a_directory_that_cannot_be(self):
        open(os.path.join(self.dir, "file"), "w").close()
        for path in os.path.join(self.dir, "file", "below"), "/proc/ndsh":
            with self.subTest(path=path):
                self.assert_error(self.write(env={"NDSH_DIR": path}), "ndshsink",
                                  "directory " + path)

    def test_a_directory_that_cannot_be_written(self):
        pipeline = self.as_somebody_else() if is_root else [e2e.PIPELINE]
        os.chmod(self.channels, 0o555)
        text = self.assert_error(
            self.start(*(pipeline + ["videotestsrc", "!", "ndshsink"])),
            "ndshsink", self.channels)
        self.assertRegex(text, "[Pp]ermission denied")

    def test_a_foreign_file_in_the_place_of_the_socket_is_left_alone(self):
        path = os.path.join(self.channels, "default")
        with open(path, "w") as file:
            file.write("mine")

        self.assert_error(self.write(), "ndshsink", "remove it or choose another")
        self.assert_error(self.read(), "ndshsrc", "a file")

        with open(path) as file:
            self.assertEqual(file.read(), "mine")
        os.unlink(path)
        self.assert_writable_again()

    def test_a_foreign_socket_in_the_place_of_ours_is_left_alone(self):
        path = os.path.join(self.channels, "default")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
            stream.bind(path)
            stream.listen(1)

            self.assert_error(self.write(), "ndshsink", "remove it or choose another")
            self.assert_error(self.read(), "ndshsrc", "a socket of another kind")
        self.assertTrue(os.path.exists(path))

    def test_max_memory_below_one_frame(self):
        for source in "videotestsrc", "filesrc location=/dev/zero blocksize=230400":
            with self.subTest(source=source):
                process = self.pipeline(
                    source, "! video/x-raw,format=RGB,width=320,height=240,"
                    "framerate=30/1 ! ndshsink max-memory=100000")
                self.assert_error(process, "ndshsink", "max-memory=100000")
        self.assert_writable_again()

    def test_frames_in_the_memory_of_a_device(self):
        process = self.pipeline(
            "filesrc location=/dev/zero blocksize=115200 ! video/x-raw(memory:NVMM),"
            "format=NV12,width=320,height=240,framerate=30/1 ! ndshsink")
        self.assert_error(process, "ndshsink", "nvvidconv")
        self.assert_writable_again()

    # --- Other users ---

    def as_somebody_else(self):
        """The beginning of a pipeline's command, with copies of the program, the
        elements and the library that everybody can read; the directory is open too."""
        if shutil.which("setpriv") is None:
            self.skipTest("no setpriv here")
        os.chmod(self.dir, 0o755)
        libraries = os.path.join(self.dir, "lib")
        if not os.path.exists(libraries):
            os.mkdir(libraries)
            for path in (glob.glob(os.path.join(e2e.BUILD, "plugin", "*.so"))
                         + glob.glob(os.path.join(e2e.BUILD, "lib", "libndsh.so.?"))
                         + [e2e.PIPELINE]):
                shutil.copy(path, libraries)
        return NOBODY + ["env", "GST_PLUGIN_PATH=" + libraries,
                         "LD_LIBRARY_PATH=" + libraries, "HOME=/nonexistent",
                         "GST_REGISTRY=/tmp/nobody/no-registry",
                         "GST_REGISTRY_FORK=no",
                         os.path.join(libraries, os.path.basename(e2e.PIPELINE))]

    @unittest.skipUnless(is_root, "only root can be somebody else")
    def test_a_reader_without_permission_is_told_and_one_with_reads(self):
        os.chmod(self.channels, 0o755)
        pipeline = self.as_somebody_else()
        writer = self.pipeline("videotestsrc is-live=true ! ndshsink")
        writer.wait_event("playing")

        reader = self.start(*(pipeline + ["ndshsrc", "!", "fakesink"]))
        text = self.assert_error(reader, "ndshsrc", "does not admit user 65534")
        self.assertIn("perms", text)

        writer.kill()
        writer = self.pipeline("videotestsrc is-live=true ! ndshsink perms=438")
        writer.wait_event("playing")
        reader = self.start(*(pipeline + ["ndshsrc", "num-buffers=3", "leaky-type=none",
                                          "!", "fakesink"]))
        self.assert_exits(reader)

    # --- Other versions ---

    def serve(self, answer):
        """A writer that sends @answer to whoever comes; the messages it got."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(listener.close)
        listener.bind(os.path.join(self.channels, "default"))
        listener.listen(4)
        got = []

        def run():
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer:
                    got.append(peer.recv(4096))
                    peer.send(answer)
                    peer.recv(4096)

        threading.Thread(target=run, daemon=True).start()
        return got

    def test_a_writer_of_another_version_of_the_protocol(self):
        size = 48
        answer = struct.pack("<IHHII", MAGIC, MAJOR + 1, 0, WELCOME, size)
        self.serve(answer.ljust(size, b"\0"))

        text = self.assert_error(self.read(), "ndshsrc", "version %d" % (MAJOR + 1))
        self.assertIn("run the same release", text)

    def test_a_writer_that_speaks_something_else(self):
        self.serve(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        self.assert_error(self.read(), "ndshsrc", "does not speak ndsh's protocol")

    def test_a_writer_that_sends_a_welcome_without_memory(self):
        self.serve(struct.pack("<IHHII", MAGIC, MAJOR, 0, WELCOME, 48).ljust(48, b"\0"))
        self.assert_error(self.read(), "ndshsrc", "cannot be")

    def test_a_reader_of_another_version_is_refused_and_disturbs_nobody(self):
        writer = self.pipeline("videotestsrc is-live=true ! ndshsink")
        reader = self.start(e2e.FRAMES, "read", "default")
        reader.wait_event("frame")
        for message in (
                struct.pack("<IHHII", MAGIC, MAJOR + 1, 0, HELLO, 32).ljust(32, b"\0"),
                b"GET / HTTP/1.1\r\n\r\n", b"w", b"\0" * 5000):
            with self.subTest(message=message[:16]):
                peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                peer.settimeout(e2e.DEADLINE)
                with peer:
                    peer.connect(os.path.join(self.channels, "default"))
                    peer.send(message)
                    try:
                        answer = peer.recv(4096)
                    except ConnectionResetError:
                        answer = b""
                    if len(message) == 32:
                        self.assertEqual(struct.unpack_from("<IHHI", answer)[3], REFUSED)
                        text = answer[24:].split(b"\0")[0].decode()
                        self.assertIn("version %d" % (MAJOR + 1), text)
                        self.assertIn("run the same release", text)
        since = reader.mark()
        reader.wait_event("frame", since)
        self.assertTrue(writer.is_running())
        self.assertEqual(len(writer.ask_stats()["readers"]), 1)


if __name__ == "__main__":
    e2e.main()
