# SPDX-License-Identifier: LGPL-2.1-or-later
"""Item 5: the writer dies and comes back, with another size."""

import os
import re
import signal

import e2e

# "Within a second", and as much again for machines that are busy.
LONGEST_GAP = 5
RATE = 30


class Restart(e2e.TestCase):

    def start_writer(self, width):
        return self.pipeline(
            "videotestsrc is-live=true ! video/x-raw,format=RGB,width=%d,height=240,"
            "framerate=%d/1 ! ndshsink" % (width, RATE))

    def test_readers_go_on_with_a_writer_that_is_killed_ten_times(self):
        elements = self.launch("-v ndshsrc ! fakesink silent=false sync=false")
        modes = ["latest", "queue", "lossless"]
        programs = [self.start(e2e.FRAMES, "read", "default", "--mode=" + mode)
                    for mode in modes]
        writer = self.start_writer(320)
        for program in programs:
            program.wait_event("frame")
        elements.wait_line("chain ")
        dark, joining, streams = [], [], set()

        for n in range(10):
            width = 336 + 16 * n
            marks = [program.mark() for program in programs]
            mark = elements.mark()
            writer.kill()
            writer = self.start_writer(width)
            for program, since in zip(programs, marks):
                def is_new(text):
                    event = e2e.parse(text)
                    return event if (
                        event and event["event"] == "frame"
                        and event["array"] == "uint8[240,%d,3]" % width) else None
                event = program.find(is_new, since)[1]
                last = program.events("frame")
                last = [one for one in last if one["stream"] != event["stream"]][-1]
                started = event["published"] - (event["n"] - 1) * 1e6 / RATE
                dark.append((event["now"] - last["now"]) / 1e6)
                joining.append((event["now"] - started) / 1e6)
                streams.add(event["stream"])
            elements.wait_line(r"chain .*\(%d bytes" % (width * 3 * 240), mark)

        e2e.figure("longest time without a frame %.2f s, of which the new writer was "
                   "there %.3f s" % (max(dark), max(joining)))
        self.assertEqual(len(streams), 10)
        self.assertLess(max(joining), LONGEST_GAP)
        self.assertLess(max(dark), LONGEST_GAP)
        for program in programs:
            self.assertEqual(len(program.events("closed")), 10)
            program.signal(signal.SIGINT)
            self.assert_exits(program)
        self.assertTrue(elements.is_running())
        texts = elements.texts()
        widths = [int(match.group(1)) for match in
                  (re.search(r"ndshsrc0.GstPad:src: caps = .*width=\(int\)(\d+)", text)
                   for text in texts) if match]
        self.assertEqual(widths, [320] + [336 + 16 * n for n in range(10)])
        self.assertFalse([text for text in texts if "ERROR" in text])

    def test_a_pipeline_that_shows_in_real_time_goes_on_too(self):
        # sync=true: times of the next writer must not lie in the past or the future.
        reader = self.launch("-v ndshsrc ! fakesink silent=false sync=true")
        writer = self.start_writer(320)
        reader.wait_line("chain ")
        for n in range(3):
            since = reader.mark()
            writer.kill()
            writer = self.start_writer(400 + n)
            reader.wait_line(r"chain .*\(%d bytes" % (((400 + n) * 3 + 3) // 4 * 4 * 240),
                             since)
            since = reader.mark()
            for _ in range(10):
                reader.wait_line("chain ", since)
                since = reader.mark()

    def test_nothing_of_a_killed_writer_is_left_but_its_name(self):
        writer = self.start_writer(320)
        writer.wait_event("playing")
        writer.kill()
        writer = self.start_writer(320)
        writer.wait_event("playing")
        writer.signal(signal.SIGINT)
        self.assert_exits(writer)
        self.assertEqual(os.listdir(self.channels), [])


if __name__ == "__main__":
    e2e.main()
