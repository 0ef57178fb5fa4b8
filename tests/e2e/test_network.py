# SPDX-License-Identifier: LGPL-2.1-or-later
"""The recipes of doc/network.md, over the loopback: what comes in at one end of the line
comes out at the other, also when either end was started anew."""

import os
import re
import shlex
import socket
import subprocess
import unittest

import e2e
from test_documents import MAY_BE_MISSING, find_elements, find_pipelines, read
from test_holders import find_python

NEEDED = 30

PYTHON = find_python()

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


def find_lines(section):
    """The recipes of a section, (near, far) for each."""
    text = read("doc", "network.md").split("\n## %s\n" % section)[1].split("\n## ")[0]
    lines = re.findall(r"^    ((?:gst-launch-1.0|python3) .*)$", text, re.MULTILINE)
    return list(zip(lines[::2], lines[1::2]))


def promises():
    """What the table says: {section: {column: text}}"""
    rows = [[cell.strip() for cell in line.strip("|").split("|")]
            for line in read("doc", "network.md").split("\n") if line.startswith("|")]
    return {row[0]: dict(zip(rows[0][1:], row[1:])) for row in rows[2:]}


def has_property(element, name):
    return name.encode() in subprocess.check_output(["gst-inspect-1.0", element])


def has_rtsp_server():
    return subprocess.call(
        [PYTHON, "-c", "import gi; gi.require_version('GstRtspServer', '1.0'); "
         "from gi.repository import GstRtspServer"], stderr=subprocess.DEVNULL) == 0


def find_missing(lines):
    return [name for line in lines for name in find_elements(line)
            if name not in ("ndshsink", "ndshsrc", "python3", "cam")
            and not e2e.has_elements(name)]


class Lines(e2e.TestCase):

    def setUp(self):
        super().setUp()
        self.listen_for_warnings()

    def run_line(self, line):
        return self.start(*shlex.split(line))

    def wait_listening(self, near):
        """The server, before its client looks for it: that is no recipe's business."""
        near.wait_line("Setting pipeline to PLAYING|New clock")

    def run_lines(self, near_line, far_line):
        """Who is called first."""
        if "tcpclientsink" in near_line:
            far = self.run_line(far_line)
            far.wait_line("PREROLLING")
            return self.run_line(near_line), far
        near = self.run_line(near_line)
        self.wait_listening(near)
        return near, self.run_line(far_line)

    def stop(self, *processes):
        for process in processes:
            process.kill()


class Network(Lines):

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

    def run_recipe(self, near_line, far_line):
        near, far = self.run_lines(near_line, far_line)
        reader = self.start(e2e.FRAMES, "read", "remote", "--mode=queue")
        self.wait_frames(reader)
        return near, far, reader

    def test_each_recipe_brings_frames_to_the_other_end(self):
        self.assertGreaterEqual(len(recipes()), 4)
        self.start_camera()
        for lines in recipes():
            missing = find_missing(lines)
            with self.subTest(line=lines[0]):
                if missing:
                    self.assertTrue(set(missing) <= set(MAY_BE_MISSING + FOREIGN), missing)
                    e2e.figure("no %s here" % ", ".join(missing))
                    continue
                self.stop(*self.run_recipe(*over_loopback(*lines)))


def match(frames, wrote):
    """Each frame that came with what was written: the newest that has such a picture."""
    pairs = []
    for frame in frames:
        same = [event for event in wrote if event["number"] % 256 == frame["number"]
                and event["pts"] <= frame["at"]]
        if same:
            pairs.append((frame, same[-1]))
    return pairs


@unittest.skipUnless(PYTHON, "no Python with NumPy")
class Kept(Lines):
    """Each cell of the table."""

    def python(self, role, channel):
        return self.start(PYTHON, os.path.join(e2e.SOURCE, "tests", "e2e", "kept.py"), role,
                          channel, env={"PYTHONPATH": os.path.join(e2e.SOURCE, "python")})

    def start_camera(self):
        camera = self.python("near", "raw")
        camera.wait_event("wrote")
        tags = self.run_line("gst-launch-1.0 ndshsrc channel=raw ! taginject "
                             "tags=title=door ! ndshsink channel=cam")
        self.wait_listening(tags)
        return camera

    def start_near(self, line):
        near = self.run_line(line.replace("python3", PYTHON).replace(
            "examples/", os.path.join(e2e.SOURCE, "examples/")))
        if "rtsp.py" in line:
            near.wait_line("^rtsp://")
        else:
            self.wait_listening(near)
        return near

    def wait_more(self, reader, n=NEEDED):
        """The next frames, and those that follow each other from then on."""
        since = reader.mark()
        for _ in range(n):
            reader.wait_event("frame", since)
            since = reader.mark()

    def take(self, camera, reader):
        since = reader.mark()
        reader.find(lambda text, seen=[0]: self.count(seen, text) == NEEDED, since)
        return match(reader.events("frame", since), camera.events("wrote"))

    def count(self, seen, text):
        event = e2e.parse(text)
        seen[0] += bool(event and event["event"] == "frame")
        return seen[0]

    def see_times(self, says, pairs):
        offsets = sorted(frame["pts"] - wrote["pts"] for frame, wrote in pairs)
        if says.endswith("distances kept"):
            self.assertEqual(offsets[0], offsets[-1])
            return
        self.assertTrue(says.endswith("distances within 20 ms"), says)
        tenth = len(offsets) // 10         # one may be late on a busy machine
        self.assertLess(offsets[-1 - tenth] - offsets[tenth], 20 * 10 ** 6)
        for frame, _ in pairs:
            self.assertLess(abs(frame["pts"] - frame["at"]), 10 ** 9)

    def see_what_is_kept(self, says, pairs):
        def see(column, has, right):
            self.assertIn(says[column], ("kept", "lost"))
            for pair in pairs:
                self.assertEqual(says[column] == "kept", has(*pair), (column, pair))
                self.assertTrue(says[column] == "lost" or right(*pair), (column, pair))

        see("metas", lambda frame, _: bool(frame["regions"]), lambda frame, wrote:
            frame["regions"] == [["thing", wrote["number"], 2, 30, 40]])
        see("tags", lambda frame, _: frame["title"] is not None,
            lambda frame, _: frame["title"] == "door")
        if not says["reference timestamps"].startswith("made"):
            see("reference timestamps", lambda frame, _: bool(frame["ntp"]),
                lambda frame, wrote: frame["ntp"] == [wrote["ntp"]])
        self.assertIn(says["picture"], ("encoded", "kept"))
        for frame, wrote in pairs:
            if says["picture"] == "kept":
                self.assertEqual(frame["crc"], wrote["crc"])

    def see_its_end(self, says, far, reader, near_line):
        """What comes after the near end was started anew."""
        self.start_near(near_line)
        if says.startswith("ends"):
            far.wait()
        else:
            self.assertTrue(says.startswith("goes on"), says)
            self.wait_more(reader)
            self.assertTrue(far.is_running())

    def see_row(self, says, near_line, far_line):
        camera, near = self.start_camera(), self.start_near(near_line)
        far = self.run_line(far_line)
        reader = self.python("far", "remote")
        self.wait_more(reader)

        for time in "first", "again":
            pairs = self.take(camera, reader)
            self.assertGreater(len(pairs), NEEDED // 2)
            self.see_times(says["PTS"], pairs)
            self.see_what_is_kept(says, pairs)
            if time == "again":
                break
            self.assertEqual(says["far end started anew"], "goes on")
            self.stop(far)
            far = self.run_line(far_line)
            self.wait_more(reader)
        self.stop(near)
        self.see_its_end(says["near end started anew"], far, reader, near_line)

    def test_each_cell_of_the_table(self):
        self.assertGreaterEqual(len(promises()), 5)
        for section, says in promises().items():
            for lines in find_lines(section):
                missing = find_missing(lines)
                if "rtsp.py" in lines[0] and not has_rtsp_server():
                    missing.append("gst-rtsp-server")
                with self.subTest(section, line=lines[0]):
                    if missing:
                        e2e.figure("no %s here" % ", ".join(missing))
                        continue
                    try:
                        self.see_row(says, *self.here(lines))
                    finally:
                        self.stop(*self.processes)
                        self.processes = []

    def here(self, lines):
        if "rtsp.py" not in lines[0]:
            return over_loopback(*lines)
        port = str(free_port(socket.SOCK_STREAM))
        return (lines[0] + " " + port,
                lines[1].replace("192.168.1.10:8554", "127.0.0.1:" + port))

    def test_rtsp_says_when_a_frame_was_captured(self):
        lines = find_lines("RTSP")[0]
        name = "add-reference-timestamp-meta"
        if find_missing(lines) or not has_rtsp_server() or not has_property("rtspsrc", name):
            self.skipTest("no rtspsrc %s, or what the line needs" % name)
        near_line, far_line = self.here(lines)
        camera = self.start_camera()
        self.start_near(near_line)
        self.run_line(far_line.replace("rtspsrc ", "rtspsrc %s=true " % name))
        reader = self.python("far", "remote")
        reader.wait_line('"ntp": \\[[0-9]')
        frame, wrote = self.take(camera, reader)[-1]
        self.assertLess(abs(frame["ntp"][0] - wrote["ntp"]), 10 ** 9)

    def test_tcp_keeps_what_an_encoder_made_and_its_metas(self):
        """With an encoder before gdppay, from the first frame on that who joins sees."""
        near_line, far_line = find_lines("Raw, without loss, over TCP")[0]
        if not e2e.has_elements("vp8enc", "vp8dec"):
            self.skipTest("no VP8")
        lines = over_loopback(
            near_line.replace("gdppay", "vp8enc deadline=1 ! gdppay"),
            far_line.replace("gdpdepay", "gdpdepay ! vp8dec"))
        says = dict(promises()["Raw, without loss, over TCP"], picture="encoded")
        camera = self.start_camera()
        self.start_near(lines[0])
        for _ in range(3):
            reader, far = self.python("far", "remote"), self.run_line(lines[1])
            reader.wait_event("frame")
            pairs = match(reader.events("frame"), camera.events("wrote"))
            self.see_what_is_kept(says, pairs + self.take(camera, reader))
            self.stop(reader, far)

    def test_arrays_cross_to_the_bit(self):
        arrays = self.python("arrays", "cam")
        reader = self.python("sums", "remote")
        lines = over_loopback(*find_lines("Arrays whose shape changes, over TCP")[0])
        near, far = self.run_lines(*lines)
        looks = set()
        for _ in range(NEEDED):
            got = reader.wait_event("frame", reader.mark())
            wrote = e2e.parse(arrays.wait_line('.*"crc": %d,.*' % got["crc"]).group())
            self.assertEqual(got["looks"], wrote["looks"])
            looks.add(got["looks"])
        self.assertGreater(len(looks), 1)
        self.stop(far)
        near.wait()
        near, far = self.run_lines(*lines)
        reader.wait_event("frame", reader.mark())
        self.stop(near)
        far.wait()


if __name__ == "__main__":
    e2e.main()
