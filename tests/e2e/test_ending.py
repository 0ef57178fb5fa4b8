# SPDX-License-Identifier: LGPL-2.1-or-later
"""Item 7: how streams end, and how people end them."""

import signal
import time

import e2e

LIVE = ("videotestsrc is-live=true ! video/x-raw,width=320,height=240,"
        "framerate=30/1,format=RGB ! ")


class Ending(e2e.TestCase):

    def interrupt(self, name, process):
        process.wait_until_it_catches(signal.SIGINT)
        began = time.monotonic()
        process.signal(signal.SIGINT)
        self.assert_exits(process)
        e2e.figure("%s: %.2f s" % (name, time.monotonic() - began))

    def test_the_end_of_the_writer_ends_its_readers(self):
        readers = [
            self.launch("ndshsrc ! fakesink"),
            self.launch("ndshsrc leaky-type=none ! videoconvert ! fakesink"),
            self.launch("ndshsrc is-live=false ! fakesink"),
            self.start(e2e.FRAMES, "read", "default"),
            self.start(e2e.FRAMES, "read", "default", "--mode=queue", "--sleep=50"),
        ]
        writer = self.launch("-e", LIVE + "ndshsink")
        for reader in readers[3:]:
            reader.wait_event("frame")
        while self.get_info()["readers"] < len(readers):
            time.sleep(0.05)

        self.interrupt("a writer -e", writer)

        for reader in readers:
            self.assert_exits(reader)
        last = []
        for reader in readers[3:]:
            reader.wait_event("ended")
            last.append(reader.events("frame")[-1]["n"])
        # The last frame is taken before the end is told.
        self.assertEqual(last[0], last[1])

    def get_info(self):
        information = self.start(e2e.FRAMES, "info", "default")
        self.assert_exits(information)
        return information.wait_event("info")

    def test_interrupting_a_reader_that_waits_for_a_writer_ends_it(self):
        for options in "", "-e":
            for source in "ndshsrc", "ndshsrc is-live=false", "ndshsrc leaky-type=none":
                with self.subTest(options=options, source=source):
                    reader = self.launch(options, source, "! videoconvert ! fakesink")
                    reader.wait_line("Setting pipeline to PLAYING|is PREROLLING")
                    self.interrupt("waiting, gst-launch-1.0 %s %s" % (
                        options, source), reader)

    def test_interrupting_a_reader_that_plays_ends_it_and_nobody_else(self):
        writer = self.pipeline(LIVE + "ndshsink")
        watcher = self.start(e2e.FRAMES, "read", "default")
        watcher.wait_event("frame")
        for options in "", "-e":
            for source in "ndshsrc", "ndshsrc is-live=false", "ndshsrc leaky-type=none":
                with self.subTest(options=options, source=source):
                    reader = self.launch("-v", options, source,
                                         "! fakesink silent=false")
                    reader.wait_line("chain ")
                    self.interrupt("playing, gst-launch-1.0 %s %s" % (
                        options, source), reader)
        watcher.wait_event("frame", watcher.mark())
        self.assertTrue(writer.is_running())

    def test_interrupting_a_reader_whose_writer_is_stopped_ends_it(self):
        writer = self.pipeline(LIVE + "ndshsink")
        reader = self.launch("-v ndshsrc ! fakesink silent=false")
        reader.wait_line("chain ")

        writer.signal(signal.SIGSTOP)
        self.interrupt("the writer is stopped", reader)

        late = self.launch("-v ndshsrc ! fakesink")
        late.wait_line("Setting pipeline to PLAYING")
        self.interrupt("the writer was stopped before", late)
        writer.signal(signal.SIGCONT)

    def test_interrupting_a_writer_ends_it(self):
        for options in "", "-e":
            with self.subTest(options=options, state="playing"):
                writer = self.launch(options, LIVE + "ndshsink")
                reader = self.start(e2e.FRAMES, "read", "default")
                reader.wait_event("frame")
                self.interrupt("a writer %s" % options, writer)
                # With -e the stream ends, without it is cut off.
                reader.wait_event("ended" if options else "closed")
                reader.signal(signal.SIGINT)
                self.assert_exits(reader)
            with self.subTest(options=options, state="waiting for a connection"):
                writer = self.launch("-m", options, LIVE + "ndshsink "
                                     "wait-for-connection=true")
                # While a pipeline prerolls, GStreamer itself may wait for ever.
                writer.wait_line('"pipeline0" .*new-state=.GstState.playing')
                self.interrupt("a writer that waits %s" % options, writer)

    def test_interrupting_a_writer_that_waits_for_a_stopped_reader_ends_it(self):
        for options in "", "-e":
            with self.subTest(options=options):
                reader = self.start(e2e.FRAMES, "read", "default", "--mode=lossless")
                writer = self.launch(
                    options, "videotestsrc ! video/x-raw,width=320,height=240 ! "
                    "ndshsink sync=false lossless-timeout=%d000000000" % (
                        # EOS comes behind the frame that waits.
                        3 if options else 25))
                reader.wait_event("frame")
                reader.signal(signal.SIGSTOP)
                # No event tells that it waits now: what it publishes stands still.
                count = None
                while True:
                    last, count = count, self.get_info()["published"]
                    if last == count:
                        break
                    time.sleep(0.2)
                began = time.monotonic()
                self.interrupt("a writer %s held up" % options, writer)
                if not options:
                    self.assertLess(time.monotonic() - began, 10)
                reader.kill()


if __name__ == "__main__":
    e2e.main()
