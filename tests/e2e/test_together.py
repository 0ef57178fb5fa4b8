# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a pipeline makes of two channels at once: recordings and mixed pictures, with
default properties. NDSH_THOROUGH records a minute."""

import os
import re
import signal
import unittest

import e2e
from test_time import MS, TimeTest, camera, microphone, period

SECONDS = 60 if os.environ.get("NDSH_THOROUGH") else 3


class Recording(TimeTest):
    """Picture and sound of one writer, each over a channel of its own."""

    PARTS = ["probe-picture", "probe-sound"]
    FORMATS = [
        ("mkv", "vp8enc deadline=1", "audioresample", "matroskamux", "matroskademux"),
        ("mp4", "openh264enc complexity=low ! h264parse", "avenc_aac ! aacparse",
         "mp4mux", "qtdemux")]

    # Of the muxers: Matroska's clusters count milliseconds.
    GRAIN = 1 * MS

    def start_writer(self, name, sync):
        return self.play(
            camera(), "ndshsink name=probe-picture channel=%s-picture sync=%s" % (
                name, sync),
            microphone(), "ndshsink name=probe-sound channel=%s-sound sync=%s" % (
                name, sync))

    def start_recorder(self, name, picture, sound, muxer):
        return self.play(
            "ndshsrc channel=%s-picture ! queue ! identity name=probe-picture !" % name,
            "videoconvert !", picture, "! m.",
            "ndshsrc channel=%s-sound ! queue ! identity name=probe-sound !" % name,
            "audioconvert !", sound, "! m.",
            muxer, "name=m ! filesink location=" + name)

    def start_player(self, name, demuxer):
        return self.play(
            "filesrc location=%s ! %s name=d" % (name, demuxer),
            "d.video_0 ! queue ! fakesink name=probe-picture sync=false",
            "d.audio_0 ! queue ! fakesink name=probe-sound sync=false")

    def assert_is_of_its_time(self, writer, recorder):
        """But the first buffer may be cut where the recording begins."""
        for part in self.PARTS:
            self.assert_due_as_written(self.frames(recorder, part)[1:],
                                       self.by_offset(writer, part))

    def assert_file_is_as_recorded(self, name, recorder, player):
        """Each picture at its time; sound, in packets of other sizes, without a gap."""
        recorded = self.frames(recorder, "probe-picture")
        played = self.frames(player, "probe-picture")
        self.assertEqual(len(played), len(recorded))
        errors = [there["running_pts"] - here["running_pts"]
                  for here, there in zip(recorded, played)]
        sound = self.frames(player, "probe-sound")
        gaps = [after["pts"] - before["pts"] - before["duration"]
                for before, after in zip(sound, sound[1:-1])]
        first = self.frames(recorder, "probe-sound")[0]["running_pts"]
        distance = sound[0]["running_pts"] - first
        e2e.figure("%s: %d pictures, %.3f to %.3f ms off; %d packets of sound, gaps of "
                   "%.3f ms at most, the first %.3f ms off" % (
                       name, len(played), min(errors) / MS, max(errors) / MS,
                       len(sound), max(map(abs, gaps)) / MS, distance / MS))
        self.assertLessEqual(max(errors) - min(errors), self.GRAIN)
        self.assertLessEqual(max(map(abs, gaps)), self.GRAIN)
        return errors[0], distance

    def test_a_recording_has_every_frame_at_its_time(self):
        runs = []
        for kind, picture, sound, muxer, demuxer in self.FORMATS:
            if not e2e.has_elements(picture.split()[0], sound.split()[0], muxer):
                e2e.figure("no %s, %s or %s here" % (picture, sound, muxer))
                continue
            for sync in "true", "false":
                name = "%s.%s" % (sync, kind)
                writer = self.start_writer(name, sync)
                recorder = self.start_recorder(name, picture, sound, muxer)
                runs.append((name, writer, recorder, demuxer))
        self.assertTrue(runs)
        for name, _, recorder, _ in runs:
            for part, n, step in zip(self.PARTS, (30, 100), (1, 480)):
                longest = self.wait_stretch(recorder, SECONDS * n, part, step=step,
                                            timeout=e2e.DEADLINE + 3 * SECONDS)
                self.assertGreaterEqual(longest, SECONDS * n, name)
        for name, writer, recorder, demuxer in runs:
            with self.subTest(name):
                self.tell(recorder, "eos")
                recorder.wait_event("eos")
                self.assert_is_of_its_time(writer, recorder)
                player = self.start_player(name, demuxer)
                player.wait_event("eos")
                picture, sound = self.assert_file_is_as_recorded(name, recorder, player)
                # A muxer may let the file begin with its first buffer.
                self.assertLessEqual(abs(sound - picture), 1 * MS + self.GRAIN)


@unittest.skipUnless(e2e.has_elements("compositor"), "compositor is not there")
class Mixed(TimeTest):
    """A picture made of two live channels goes on whatever becomes of one of them."""

    def start_writer(self, name):
        return self.play(camera(), "ndshsink name=probe channel=" + name)

    def wait_more(self, process, n=30):
        self.wait_frames(process, n, since=process.mark())

    def find_warnings(self, log):
        """But for what a mixer says of any source that has not begun, as of those of
        its own process."""
        with open(log, errors="replace") as file:
            return [text for text in file if re.search(r" (WARN|ERROR) ", text)
                    and not text.endswith("Latency query failed\n")]

    def test_a_compositor_goes_on_at_full_rate(self):
        first, second = self.start_writer("first"), self.start_writer("second")
        # GStreamer 1.28 writes a line in parts: other output would come between them.
        log = os.path.join(self.dir, "mixer.log")
        mixer = self.start(
            e2e.TIMES, *("ndshsrc channel=first ! queue ! c. ndshsrc channel=second ! "
                         "queue ! c. compositor name=c sink_1::xpos=160 ! "
                         "video/x-raw,framerate=30/1 ! fakesink name=probe sync=true"
                         ).split(), env={
                             "GST_DEBUG": "*:3", "GST_DEBUG_NO_COLOR": "1",
                             "GST_DEBUG_FILE": log})
        self.wait_more(mixer)
        second.signal(signal.SIGSTOP)
        self.wait_more(mixer)
        second.signal(signal.SIGCONT)
        self.wait_more(mixer)
        second.kill()
        self.wait_more(mixer)
        second = self.start_writer("second")
        self.wait_more(mixer)
        self.tell(second, "pause")
        self.wait_more(mixer)
        self.tell(second, "play")
        self.wait_more(mixer)
        frames = self.frames(mixer)
        steps = [after["pts"] - before["pts"]
                 for before, after in zip(frames, frames[1:])]
        e2e.figure("%d pictures, %.2f to %.2f ms apart" % (
            len(frames), min(steps) / MS, max(steps) / MS))
        self.assertLess(max(abs(step - period("30/1")) for step in steps), 1 * MS)
        self.assertEqual(self.find_warnings(log), [])


if __name__ == "__main__":
    e2e.main()
