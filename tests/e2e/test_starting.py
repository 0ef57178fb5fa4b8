# SPDX-License-Identifier: LGPL-2.1-or-later
"""Items 1 and 6: who starts first, and who comes second."""

import re

import e2e


def parse_time(text):
    hours, minutes, seconds = text.split(":")
    return (int(hours) * 60 + int(minutes)) * 60 + float(seconds)


class Starting(e2e.TestCase):

    def read_some(self, reader):
        """What fakesink says of 30 frames."""
        reader.wait_line(r"chain .*pts: .*offset: \d")
        for _ in range(29):
            reader.wait_line(r"chain .*pts: ", since=reader.mark())
        return reader.texts()

    def assert_is_right(self, texts):
        caps = [text for text in texts if "ndshsrc0.GstPad:src: caps = " in text]
        self.assertEqual(len(caps), 1, texts)
        self.assertIn("video/x-raw", caps[0])
        self.assertIn("width=(int)320", caps[0])
        self.assertIn("framerate=(fraction)30/1", caps[0])

        segments = [text for text in texts if "GstEventSegment" in text]
        self.assertEqual(len(segments), 1, texts)
        self.assertIn("format=(GstFormat)time", segments[0])

        times = [parse_time(re.search(r"pts: ([0-9:.]+)", text).group(1))
                 for text in texts if "chain " in text]
        self.assertGreaterEqual(len(times), 30)
        for before, after in zip(times, times[1:]):
            self.assertGreater(after, before)

    def test_the_reader_starts_first(self):
        reader = self.launch("-v ndshsrc ! videoconvert ! fakesink silent=false")
        reader.wait_line("Setting pipeline to PLAYING")
        writer = self.launch("videotestsrc ! ndshsink")

        self.assert_is_right(self.read_some(reader))
        self.assertTrue(writer.is_running())

    def test_the_writer_starts_first(self):
        writer = self.launch("videotestsrc ! ndshsink")
        writer.wait_line("Setting pipeline to PLAYING")
        reader = self.launch("-v ndshsrc ! videoconvert ! fakesink silent=false")

        self.assert_is_right(self.read_some(reader))
        self.assertTrue(writer.is_running())

    def test_a_reader_that_is_not_live_prerolls_and_starts_at_zero(self):
        self.launch("videotestsrc ! ndshsink")
        reader = self.launch(
            "-v ndshsrc is-live=false ! fakesink silent=false sync=true")

        texts = self.read_some(reader)

        self.assert_is_right(texts)
        first = [text for text in texts if "chain " in text][0]
        self.assertIn("pts: 0:00:00.000000000", first)

    def test_a_second_writer_is_told_the_pid_of_the_first_who_goes_on(self):
        first = self.pipeline("videotestsrc is-live=true ! ndshsink")
        first.wait_event("playing")
        reader = self.start(e2e.FRAMES, "read", "default")
        reader.wait_event("frame")

        second = self.launch("videotestsrc ! ndshsink")

        self.assertNotEqual(second.wait(), 0, second.output())
        second.wait_line(r"ERROR: .*ndshsink0: .*process %d\b" % first.pid)
        since = reader.mark()
        for _ in range(10):
            reader.wait_event("frame", since)
            since = reader.mark()
        self.assertTrue(first.is_running())
        self.assertEqual(len({event["stream"] for event in reader.events("frame")}), 1)

    def test_a_second_writer_in_c_is_told_the_pid_of_the_first(self):
        first = self.start(e2e.FRAMES, "write", "twice", "--rate=30")
        first.wait_event("open")

        second = self.start(e2e.FRAMES, "write", "twice")

        self.assert_exits(second, code=1)
        self.assertIn("process %d;" % first.pid,
                      second.wait_event("error")["message"])


if __name__ == "__main__":
    e2e.main()
