# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the Python tests share: a directory of channels for each test, and programs in
processes of their own."""

import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

# Generous: it is there to end a test that hangs.
DEADLINE = 60


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


class Program:
    """Python code in a process; it is killed when the test ends."""

    def __init__(self, code, *arguments, **environment):
        self.popen = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)] + [str(a) for a in arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            universal_newlines=True, env=dict(os.environ, **environment))
        self.pid = self.popen.pid

    def line(self):
        """Its next line, without the line end."""
        dead_man = threading.Timer(DEADLINE, self.kill)
        dead_man.start()
        try:
            line = self.popen.stdout.readline()
        finally:
            dead_man.cancel()
        assert line, "it ended: " + self.popen.stderr.read()
        return line.rstrip("\n")

    def say(self, text="go"):
        self.popen.stdin.write(text + "\n")
        self.popen.stdin.flush()

    def kill(self, number=signal.SIGKILL):
        if self.popen.poll() is None:
            self.popen.send_signal(number)

    def wait(self):
        """(exit code, rest of stdout, stderr)"""
        out, err = self.popen.communicate(timeout=DEADLINE)
        return self.popen.returncode, out, err

    def succeed(self):
        code, out, err = self.wait()
        assert code == 0, "exit code %d\n%s\n%s" % (code, out, err)
        assert "Exception ignored" not in err and "CRITICAL" not in err, err
        return out


@pytest.fixture
def program():
    started = []

    def start(code, *arguments, **environment):
        started.append(Program(code, *arguments, **environment))
        return started[-1]
    yield start
    for one in started:
        one.kill()
        one.popen.communicate()


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
