# SPDX-License-Identifier: LGPL-2.1-or-later
"""The recipes of doc/network.md, over the loopback: what comes in at one end of the line
comes out at the other, also when either end was started anew."""

import re
import shlex
import socket

import e2e
from test_documents import MAY_BE_MISSING, find_elements, find_pipelines

NEEDED = 30

# Not everywhere.
FOREIGN = ["openh264enc", "avdec_h264", "srtsink", "srtsrc"]


def recipes():
    """(near, far) for each."""
    lines = find_pipelines("doc", "network.md")
    return list(zip(lines[::2], lines[1::2]))


def free_port(kind):
    with socket.socket(socket.AF_INET, kind) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def over_loopback(near, far):
    """The lines with addresses and ports of this machine."""
    port = re.search(r"(?:port=|srt://:)(\d+)", near).group(1)
    kind = socket.SOCK_STREAM if "tcp" in near else socket.SOCK_DGRAM
    free = str(free_port(kind))
    return [re.sub(r"192\.168\.1\.\d+|0\.0\.0\.0", "127.0.0.1", line).replace(port, free)
            for line in (near, far)]


class Network(e2e.TestCase):

    def setUp(self):
        super().setUp()
        self.listen_for_warnings()

    def run_line(self, line):
        return self.start(*shlex.split(line))

    def start_camera(self):
        camera = self.pipeline("videotestsrc is-live=true ! "
                               "video/x-raw,format=I420,width=320,height=240,framerate=30/1 "
                               "! ndshsink channel=cam name=s")
        camera.wait_event("playing")

    def wait_frames(self, reader):
        """That come from now on."""
        for _ in range(NEEDED):
            since = reader.mark()
            reader.wait_event("frame", since)

    def wait_listening(self, near):
        """The server, before its client looks for it: that is no recipe's business."""
        near.wait_line("Setting pipeline to PLAYING|New clock")

    def run_recipe(self, near_line, far_line):
        near = self.run_line(near_line)
        self.wait_listening(near)
        far = self.run_line(far_line)
        reader = self.start(e2e.FRAMES, "read", "remote", "--mode=queue")
        self.wait_frames(reader)
        return near, far, reader

    def stop(self, *processes):
        for process in processes:
            process.kill()

    def test_each_recipe_brings_frames_to_the_other_end(self):
        self.assertGreaterEqual(len(recipes()), 4)
        self.start_camera()
        for lines in recipes():
            missing = [name for line in lines for name in find_elements(line)
                       if name not in ("ndshsink", "ndshsrc")
                       and not e2e.has_elements(name)]
            with self.subTest(line=lines[0]):
                if missing:
                    self.assertTrue(set(missing) <= set(MAY_BE_MISSING + FOREIGN), missing)
                    e2e.figure("no %s here" % ", ".join(missing))
                    continue
                self.stop(*self.run_recipe(*over_loopback(*lines)))

    def test_either_end_of_rtp_may_be_started_anew(self):
        lines = over_loopback(*recipes()[0])
        if not e2e.has_elements("vp8enc", "vp8dec"):
            self.skipTest("no VP8")
        self.start_camera()
        near, far, reader = self.run_recipe(*lines)
        self.stop(near)
        near = self.run_line(lines[0])
        self.wait_frames(reader)
        self.stop(far)
        self.run_line(lines[1])
        self.wait_frames(reader)


if __name__ == "__main__":
    e2e.main()
