# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the Python tests share: a directory of channels for each test, and programs in
processes of their own."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading

import pytest

# Generous: it is there to end a test that hangs.
DEADLINE = 60

# Set by the suite `thorough`.
THOROUGH = "NDSH_THOROUGH" in os.environ


def figure(text):
    """Prints what a test measured; meson keeps it in its log."""
    sys.__stdout__.write("    %s\n" % text)
    sys.__stdout__.flush()


@pytest.fixture(autouse=True)
def channel_directory(tmp_path, monkeypatch):
    directory = tmp_path / "channels"
    directory.mkdir()
    monkeypatch.setenv("NDSH_DIR", str(directory))
    return directory


# A shell's background job ignores it, and so would what the job starts.
HEAR_SIGINT = """import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
"""


class Program:
    """Python code in a process; it is killed when the test ends."""

    def __init__(self, code, *arguments, **environment):
        # Not a pipe, which would stop a program that says much there.
        self.errors = tempfile.TemporaryFile()
        self.popen = subprocess.Popen(
            [sys.executable, "-c", HEAR_SIGINT + textwrap.dedent(code)]
            + [str(a) for a in arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
            universal_newlines=True, env=dict(os.environ, **environment))
        self.pid = self.popen.pid

    @contextlib.contextmanager
    def within_deadline(self):
        timer = threading.Timer(DEADLINE, self.kill)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def line(self):
        """Its next line, without the line end."""
        with self.within_deadline():
            line = self.popen.stdout.readline()
        assert line, "it ended: " + self.stderr()
        return line.rstrip("\n")

    def stderr(self):
        """What it has said there; its own place in the file stays."""
        return os.pread(self.errors.fileno(), 1 << 20, 0).decode()

    def say(self, text="go"):
        self.popen.stdin.write(text + "\n")
        self.popen.stdin.flush()

    def kill(self, number=signal.SIGKILL):
        if self.popen.poll() is None:
            self.popen.send_signal(number)

    def wait(self):
        """(exit code, rest of stdout, stderr); its stdin ends. communicate () would not
        know what line () has read ahead."""
        with self.within_deadline():
            self.popen.stdin.close()
            out = self.popen.stdout.read()
            code = self.popen.wait()
        return code, out, self.stderr()

    def succeed(self):
        code, out, err = self.wait()
        assert code == 0, "exit code %d\n%s\n%s" % (code, out, err)
        assert "Exception ignored" not in err and "CRITICAL" not in err, err
        return out

    def end(self):
        with self.popen, self.errors:
            self.kill()


@pytest.fixture
def program():
    started = []

    def start(code, *arguments, **environment):
        started.append(Program(code, *arguments, **environment))
        return started[-1]
    yield start
    for one in started:
        one.end()


def mapped_at(address):
    """The line of /proc/self/maps that holds an address."""
    with open("/proc/self/maps") as maps:
        for line in maps:
            first, last = (int(end, 16) for end in line.split()[0].split("-"))
            if first <= address < last:
                return line
    return ""


def address_of(array):
    return array.__array_interface__["data"][0]


def in_shared_memory(array):
    return "memfd:ndsh" in mapped_at(address_of(array))
