# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the end-to-end tests share: processes that are started, listened to and
cleaned up, in a directory of their own."""

import ctypes
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

# Generous: it is there to end a test that hangs.
DEADLINE = 30

FRAMES = os.environ["NDSH_FRAMES"]
FRAMES_FROM = os.environ["NDSH_FRAMES_FROM"]
STEADY = os.environ["NDSH_STEADY"]
PIPELINE = os.environ.get("NDSH_PIPELINE", "")
TIMES = os.environ.get("NDSH_TIMES", "")
BUILD = os.environ["NDSH_BUILD"]
SOURCE = os.environ["NDSH_SOURCE"]

# A line of GStreamer's log whose category, file or object is ours; but not where a base
# class tells of it what downstream failed with.
WARNING = re.compile(r" (WARN|ERROR) (?!.*gst_base_src_loop).*ndsh")

LATEST, QUEUE, LOSSLESS = 0, 1, 2


def figure(text):
    """Prints what a test measured; meson keeps it in its log."""
    print("    " + text)
    sys.stdout.flush()


def has_elements(*names):
    # Not --exists: it asks for a version of GStreamer's own, too.
    return all(
        subprocess.call(["gst-inspect-1.0", name], stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL) == 0
        for name in names)


# --- Mounts, which vanish with the test ---

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, MS_REC, MS_PRIVATE, MNT_DETACH = 0x20000, 0x4000, 1 << 18, 2


def own_mounts():
    """Whether this process, and those that it starts, see mounts of their own."""
    return (libc.unshare(CLONE_NEWNS) == 0
            and libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None) == 0)


def mount(kind, path, options=""):
    if libc.mount(kind.encode(), path.encode(), kind.encode(), 0, options.encode()) < 0:
        raise OSError(ctypes.get_errno(), "mount", path)


def umount(path):
    libc.umount2(path.encode(), MNT_DETACH)


class Process:
    """A process in a group of its own whose lines are kept as they come."""

    def __init__(self, args, env, cwd):
        self.args = args
        self.lines = []           # (seconds of the monotonic clock, text)
        self.changed = threading.Condition()
        self.closed = False
        self.popen = subprocess.Popen(
            args, env=env, cwd=cwd, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True)
        self.pid = self.popen.pid
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self):
        for line in self.popen.stdout:
            with self.changed:
                self.lines.append(
                    (time.monotonic(), line.decode("utf-8", "replace").rstrip()))
                self.changed.notify_all()
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def output(self):
        with self.changed:
            lines = [text for _, text in self.lines]
        if len(lines) > 60:
            lines = lines[:20] + ["..."] + lines[-40:]
        return "$ %s\n%s" % (" ".join(self.args), "\n".join(lines))

    def mark(self):
        """A place in the output, for wait_line() to go on from."""
        with self.changed:
            return len(self.lines)

    def find(self, matches, since=0, timeout=DEADLINE):
        """The first (time, what matches() made of the text) after @since."""
        until = time.monotonic() + timeout
        at = since
        with self.changed:
            while True:
                while at < len(self.lines):
                    when, text = self.lines[at]
                    found = matches(text)
                    if found:
                        return when, found
                    at += 1
                left = until - time.monotonic()
                if self.closed or left <= 0:
                    break
                self.changed.wait(left)
        raise AssertionError("what was waited for did not come (%s)\n%s" % (
            "the process ended" if self.closed else "time is up", self.output()))

    def wait_line(self, pattern, since=0, timeout=DEADLINE):
        return self.find(re.compile(pattern).search, since, timeout)[1]

    def wait_event(self, name, since=0, timeout=DEADLINE):
        def matches(text):
            event = parse(text)
            return event if event and event["event"] == name else None
        return self.find(matches, since, timeout)[1]

    def events(self, name, since=0):
        with self.changed:
            lines = [text for _, text in self.lines[since:]]
        return [event for event in map(parse, lines)
                if event and event["event"] == name]

    def texts(self, since=0):
        with self.changed:
            return [text for _, text in self.lines[since:]]

    def say(self, line):
        self.popen.stdin.write(line.encode() + b"\n")
        self.popen.stdin.flush()

    def request_stats(self):
        self.say("stats")

    def ask_stats(self, element=None):
        """The stats now, of a PIPELINE's only, or this, element of ours; or of a
        FRAMES that listens."""
        since = self.mark()
        self.request_stats()

        def matches(text):
            event = parse(text)
            return (event if event and event["event"] == "stats"
                    and element in (None, event.get("element")) else None)
        return self.find(matches, since)[1]

    def signal(self, number):
        os.kill(self.pid, number)

    def wait_until_it_catches(self, number):
        """gst-launch-1.0 does so a while after it said what it is doing."""
        until = time.monotonic() + DEADLINE
        while time.monotonic() < until and self.is_running():
            with open("/proc/%d/status" % self.pid) as file:
                caught = re.search(r"SigCgt:\s*(\w+)", file.read())
            if int(caught.group(1), 16) & (1 << (number - 1)):
                return
            time.sleep(0.01)
        raise AssertionError("it does not catch signal %d\n%s" % (number, self.output()))

    def is_running(self):
        return self.popen.poll() is None

    def wait(self, timeout=DEADLINE):
        """The exit code, when all of the output is there."""
        try:
            code = self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError("it did not end\n" + self.output())
        self.thread.join(timeout)
        return code

    def kill(self):
        # The group, even when its leader has ended.
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        self.popen.wait()
        self.thread.join(DEADLINE)
        self.popen.stdin.close()
        self.popen.stdout.close()


def parse(text):
    if not text.startswith("{"):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


class TestCase(unittest.TestCase):

    def setUp(self):
        self.processes = []
        self.listens = False
        self.dir = tempfile.mkdtemp(prefix="ndsh-e2e-")
        self.channels = os.path.join(self.dir, "channels")
        os.mkdir(self.channels)
        self.env = dict(os.environ)
        self.env["NDSH_DIR"] = self.channels
        # Messages are compared; the tests' own files lie in the current directory.
        self.env["LC_ALL"] = "C.UTF-8"
        self.addCleanup(self.clean)

    def clean(self):
        for process in self.processes:
            process.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    def listen_for_warnings(self):
        """From here on no process may log a warning that is about one of our elements;
        what others say of each other is theirs."""
        self.env.update(GST_DEBUG="*:3", GST_DEBUG_NO_COLOR="1")
        self.listens = True
        self.addCleanup(self.assert_no_warnings)

    def assert_no_warnings(self):
        for path in glob.glob(os.path.join(self.dir, "gst-*.log")):
            with open(path, errors="replace") as file:
                self.assertEqual([line for line in file if WARNING.search(line)], [])

    def start(self, *args, **more):
        env = dict(self.env)
        env.update(more.pop("env", {}))
        if self.listens:        # in a file: a line in the middle of another is none
            env["GST_DEBUG_FILE"] = os.path.join(self.dir, "gst-%d.log" % len(self.processes))
        assert not more
        process = Process([str(arg) for arg in args], env, self.dir)
        self.processes.append(process)
        return process

    def launch(self, *pipeline):
        """gst-launch-1.0; each argument is split at blanks."""
        return self.start("gst-launch-1.0", *" ".join(pipeline).split())

    def pipeline(self, *pipeline):
        return self.start(PIPELINE, *" ".join(pipeline).split())

    def run_ok(self, *args):
        process = self.start(*args)
        self.assert_exits(process)
        return process

    def assert_exits(self, process, code=0, timeout=DEADLINE):
        self.assertEqual(process.wait(timeout), code, process.output())

    def make_clip(self, encoder, name, frames=60):
        """A file that @encoder wrote, with the frames numbered by a moving ball."""
        self.run_ok(
            "gst-launch-1.0", "-q", "videotestsrc", "num-buffers=%d" % frames,
            "pattern=ball", "!", "video/x-raw,format=I420,width=320,height=240,"
            "framerate=30/1", "!", *(encoder.split() + [
                "!", "matroskamux", "!", "filesink", "location=" + name]))
        return os.path.join(self.dir, name)


class Result(unittest.TextTestResult):

    n_passed = 0

    def addSuccess(self, test):
        super().addSuccess(test)
        self.n_passed += 1


def main():
    """Says what could not be tried here; if that was everything, meson is told so."""
    runner = unittest.TextTestRunner(verbosity=2, resultclass=Result)
    result = unittest.main(testRunner=runner, exit=False).result
    for test, reason in result.skipped:
        print("skipped: %s: %s" % (test, reason))
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(77 if result.skipped and result.n_passed == 0 else 0)
