# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whoever opens a URI reads a channel, as elements.md says, and whoever looks for devices
finds it."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import time
import unittest

import e2e

# Not that which runs the tests: it has what Debian has installed.
PYTHON = "/usr/bin/python3"

READ = """
import sys
import cv2
capture = cv2.VideoCapture(%r, cv2.CAP_GSTREAMER)
for _ in range(%d):
    done, picture = capture.read()
    assert done and picture.shape == (240, 320, 3), picture
print("mean", picture.mean())
"""


def find_lines():
    with open(os.path.join(e2e.SOURCE, "doc", "elements.md")) as file:
        return re.findall(r"^    (gst-launch-1.0 .*ndsh://.*|capture = .*)$", file.read(), re.M)


def has_opencv():
    code = "import cv2, sys; sys.exit('GStreamer:                   YES' not in " \
           "cv2.getBuildInformation())"
    return subprocess.call([PYTHON, "-c", code], stderr=subprocess.DEVNULL) == 0


class Uris(e2e.TestCase):

    def setUp(self):
        super().setUp()
        self.listen_for_warnings()
        self.writer = self.pipeline(
            "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=30/1 "
            "! ndshsink name=s channel=cam")
        self.writer.wait_event("playing")

    def wait_read(self, process, n):
        """By one reader, @n frames of it; returns what the writer knows of that one."""
        until = time.monotonic() + e2e.DEADLINE
        while True:
            readers = self.writer.ask_stats()["readers"]
            if readers and readers[0]["delivered"] >= n:
                self.assertEqual(len(readers), 1)
                return readers[0]
            self.assertTrue(process.is_running(), process.output())
            self.assertLess(time.monotonic(), until, process.output())
            time.sleep(0.05)

    def wait_nobody_reads(self):
        until = time.monotonic() + e2e.DEADLINE
        while self.writer.ask_stats()["readers"]:
            self.assertLess(time.monotonic(), until)
            time.sleep(0.05)

    def test_players_open_them(self):
        lines = [line for line in find_lines() if line.startswith("gst-launch")]
        self.assertGreaterEqual(len(lines), 2)
        for line in lines:
            for name in ("", "3"):
                line = re.sub(r"\b(playbin|uridecodebin)3?\b", r"\g<1>" + name, line)
                with self.subTest(line=line):
                    words = shlex.split(line.replace("autovideosink", "fakesink"))
                    if not e2e.has_elements(words[1]):
                        continue
                    reader = self.start(*words)
                    info = self.wait_read(reader, 20)
                    self.assertEqual(info["mode"],
                                     "lossless" if "leaky-type=none" in line else "queue")
                    reader.wait_until_it_catches(signal.SIGINT)
                    reader.signal(signal.SIGINT)
                    self.assert_exits(reader)
                    self.wait_nobody_reads()

    def test_they_begin_to_play_each_time(self):
        """Bins that add elements while their state changes miss that they are done, if caps
        come before a live pipeline plays: one time in five."""
        for _ in range(20):
            reader = self.launch("-v uridecodebin uri=ndsh://cam ! videoconvert ! "
                                 "fakesink silent=false")
            for _ in range(3):
                reader.wait_line("chain ", reader.mark())
            reader.kill()

    @unittest.skipUnless(shutil.which("gst-play-1.0"), "no gst-play-1.0")
    def test_gst_play_opens_them(self):
        self.wait_read(self.start("gst-play-1.0", "--no-interactive",
                                  "--videosink=fakesink", "ndsh://cam"), 20)

    @unittest.skipUnless(shutil.which("gst-device-monitor-1.0"),
                         "no gst-device-monitor-1.0")
    def test_the_device_monitor_sees_channels_come_and_go(self):
        monitor = self.start("gst-device-monitor-1.0", "-f", "Video/Source")
        monitor.wait_line(r"^\s+name  : cam$")
        monitor.wait_line("video/x-raw.*width=320")
        monitor.wait_line("gst-launch-1.0 ndshsrc channel=cam ! ")
        since = monitor.mark()
        self.writer.kill()
        monitor.wait_line("Device removed", since)
        monitor.wait_line("name  : cam", since)
        since = monitor.mark()
        self.launch("videotestsrc is-live=true ! ndshsink channel=other")
        monitor.wait_line("Device added|Device found", since)
        monitor.wait_line("name  : other", since)

    @unittest.skipUnless(has_opencv(), "no OpenCV that reads GStreamer's")
    def test_opencv_opens_them(self):
        line, = [line for line in find_lines() if line.startswith("capture")]
        uri = re.search(r"\"(ndsh://[^\"]*)\"", line).group(1)
        self.assertEqual(line, 'capture = cv2.VideoCapture("%s", cv2.CAP_GSTREAMER)' % uri)
        reader = self.start(PYTHON, "-c", READ % (uri, 20))
        self.assert_exits(reader)
        mean = float(reader.wait_line(r"^mean ([\d.]+)$").group(1))
        self.assertTrue(50 < mean < 200, mean)


if __name__ == "__main__":
    e2e.main()
