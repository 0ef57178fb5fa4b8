# SPDX-License-Identifier: LGPL-2.1-or-later
"""Item 4: eight readers at once, and what the slow ones do to the others."""

import signal
import time

import e2e

FRAME = 320 * 240 * 3
MAX_MEMORY = 40 * FRAME
# Who waits for a reader, which none here asks for, does so for an hour.
WRITER = ("videotestsrc is-live=true ! video/x-raw,format=RGB,width=320,height=240,"
          "framerate=30/1 ! ndshsink name=s channel=eight max-memory=%d "
          "lossless-timeout=3600000000000" % MAX_MEMORY)


class Readers(e2e.TestCase):

    def wait_frames(self, reader, n, since=None):
        """The last of @n more frames."""
        since = reader.mark() if since is None else since
        for _ in range(n):
            event = reader.wait_event("frame", since)
            since = reader.mark()
        return event

    def wait_received(self, reader, n):
        """Until a pipeline has got so many frames."""
        until = time.monotonic() + e2e.DEADLINE
        while reader.ask_stats()["frames-received"] < n:
            self.assertLess(time.monotonic(), until, reader.output())
            time.sleep(0.05)

    def print_gaps(self, name, reader, since_us):
        times = [event["now"] for event in reader.events("frame")
                 if event["now"] >= since_us]
        e2e.figure("%s: %d frames in %.1f s, longest gap %.0f ms" % (
            name, len(times), (times[-1] - times[0]) / 1e6,
            max(b - a for a, b in zip(times, times[1:])) / 1e3))

    def test_a_slow_a_stopped_and_a_killed_reader_hold_up_nobody(self):
        writer = self.pipeline(WRITER)
        writer.wait_event("playing")
        gst = "ndshsrc channel=eight %s ! fakesink sync=false"
        pipelines = [self.pipeline(gst % "name=r"),
                     self.pipeline(gst % "name=r max-buffers=4")]
        latest = self.start(e2e.FRAMES, "read", "eight")
        queue = self.start(e2e.FRAMES, "read", "eight", "--mode=queue", "--queue=8")
        slow = self.start(e2e.FRAMES, "read", "eight", "--sleep=500")
        slow_queue = self.start(e2e.FRAMES, "read", "eight", "--mode=queue",
                                "--queue=4", "--sleep=500")
        stopped = self.start(e2e.FRAMES, "read", "eight", "--sleep=20")
        killed = self.start(e2e.FRAMES, "read", "eight", "--mode=queue",
                            "--sleep=20")
        everybody = [latest, queue, slow, slow_queue, stopped, killed]
        for reader in everybody:
            self.wait_frames(reader, 3, since=0)
        for reader in pipelines:
            reader.wait_event("playing")
        while len(writer.ask_stats()["readers"]) < 8:
            time.sleep(0.05)

        stopped.signal(signal.SIGSTOP)
        self.wait_frames(latest, 30)
        killed.kill()
        before = [process.ask_stats() for process in pipelines + [writer]]
        marks = [reader.mark() for reader in everybody]
        # Everybody else gets frames, and more than the slow ones do.
        self.wait_frames(latest, 90)
        self.wait_frames(queue, 90, marks[1])
        for reader, stats in zip(pipelines, before):
            self.wait_received(reader, stats["frames-received"] + 90)
        n_frames = [len(reader.events("frame", since))
                    for reader, since in zip(everybody, marks)]
        after = writer.ask_stats()
        self.assertLess(n_frames[2], n_frames[0])
        self.assertLess(n_frames[3], n_frames[1])
        for reader in slow, slow_queue:
            self.assertGreater(reader.events("frame")[-1]["missed"], 0)
        self.assertEqual(n_frames[4:], [0, 0])
        self.assertEqual(after["frames-dropped"], 0)
        self.assertEqual(after["frames-copied"], 0)
        self.assertEqual(len(after["readers"]), 7)
        for name, reader in ("latest", latest), ("queue", queue), ("slow", slow):
            self.print_gaps(name, reader, before[-1]["now"])

        last_before = stopped.events("frame")[-1]
        since = stopped.mark()
        newest = latest.events("frame")[-1]["n"]
        stopped.signal(signal.SIGCONT)
        # One frame may have been on its way through the program when it stopped.
        resumed = self.wait_frames(stopped, 2, since=since)
        stopped.signal(signal.SIGINT)
        self.assert_exits(stopped)

        # It goes on with the newest, and its gaps are what it says it missed.
        self.assertGreaterEqual(resumed["n"], newest)
        read = stopped.wait_event("read")
        e2e.figure("stopped: frame %d, then %d; missed %d" % (
            last_before["n"], resumed["n"], read["missed"]))
        self.assertGreaterEqual(read["missed"], 80)
        self.assertEqual(read["missed"], read["gaps"])

        # Slots' segments are whole pages with a tail; the bound is on those.
        information = self.start(e2e.FRAMES, "info", "eight")
        self.assert_exits(information)
        bytes_used = information.wait_event("info")["bytes"]
        e2e.figure("%d bytes of %d" % (bytes_used, MAX_MEMORY))
        self.assertLessEqual(bytes_used, MAX_MEMORY)

        since = latest.mark()
        self.wait_frames(latest, 5, since)
        for reader in [latest, queue, slow, slow_queue]:
            reader.signal(signal.SIGINT)
            self.assert_exits(reader)
            read = reader.wait_event("read")
            self.assertEqual(read["missed"], read["gaps"])

    def test_memory_stays_within_its_bound_when_readers_hold_all_they_may(self):
        # They would hold more than max-memory allows: they copy, and no frame is dropped.
        writer = self.pipeline(
            "videotestsrc is-live=true ! video/x-raw,format=RGB,width=320,height=240,"
            "framerate=30/1 ! ndshsink channel=tight max-memory=%d" % (6 * FRAME))
        readers = [self.start(e2e.FRAMES, "read", "tight", "--leases=8",
                              "--mode=queue", "--queue=8", "--hold=500", "--listen")
                   for _ in range(2)]
        for reader in readers:
            self.wait_frames(reader, 20, since=0)
            while reader.ask_stats()["compared"] == 0:
                time.sleep(0.05)
        information = self.start(e2e.FRAMES, "info", "tight")
        self.assert_exits(information)
        bytes_used = information.wait_event("info")["bytes"]
        stats = writer.ask_stats()
        e2e.figure("%d bytes of %d" % (bytes_used, 6 * FRAME))
        self.assertLessEqual(bytes_used, 6 * FRAME)
        self.assertEqual(stats["frames-dropped"], 0)
        for reader in readers:
            reader.signal(signal.SIGINT)
            self.assert_exits(reader)

    def test_a_queue_longer_than_memory_can_hold_does_not_stop_the_writer(self):
        writer = self.start(e2e.FRAMES, "write", "long", "--size=1000000",
                            "--rate=30", "--max-memory=5200000")
        self.wait_frames(writer, 10, since=0)

        reader = self.start(e2e.FRAMES, "read", "long", "--mode=queue", "--queue=8",
                            "--check")

        self.wait_frames(reader, 30, since=0)
        self.wait_frames(writer, 30)
        reader.signal(signal.SIGINT)
        self.assert_exits(reader)
        writer.signal(signal.SIGINT)
        self.assert_exits(writer)
        self.assertEqual(writer.wait_event("written")["full"], 0)

    def test_a_lossless_reader_gets_every_frame_of_a_file(self):
        encoder, decoder = next(
            (pair for pair in (("jpegenc", "jpegdec"), ("vp8enc", "vp8dec"))
             if e2e.has_elements(*pair)), (None, None))
        if encoder is None:
            self.skipTest("neither jpegenc nor vp8enc is here")
        clip = self.make_clip(encoder, "clip.mkv", frames=150)
        program = self.start(e2e.FRAMES, "read", "one", "--mode=lossless", "--sleep=5")
        program.wait_event("open")
        elements = self.pipeline("ndshsrc name=r channel=other leaky-type=none ! "
                                 "identity sleep-time=3000 ! fakesink sync=false")
        writers = [self.pipeline(
            "filesrc location=%s ! matroskademux ! %s ! ndshsink name=s channel=%s "
            "sync=false wait-for-connection=true" % (clip, decoder, channel))
                   for channel in ("one", "other")]

        for process in writers + [program, elements]:
            self.assert_exits(process)
        for writer in writers:
            self.assertEqual(writer.events("stats")[-1]["frames-published"], 150)
        read = program.wait_event("read")
        self.assertEqual(read["frames"], 150)
        self.assertEqual(read["missed"], 0)
        stats = elements.events("stats")[-1]
        self.assertEqual(stats["frames-received"], 150)
        self.assertEqual(stats["frames-missed"], 0)

    def test_a_stopped_lossless_reader_holds_the_writer_up_once_and_is_demoted(self):
        timeout_ms = 1500
        reader = self.start(e2e.FRAMES, "read", "once", "--mode=lossless", "--check")
        writer = self.start(
            e2e.FRAMES, "write", "once", "--rate=100", "--wait-for=1",
            "--lossless-timeout=%d" % timeout_ms, "--max-memory=%d" % (1 << 20))
        self.wait_frames(reader, 20, since=0)

        reader.signal(signal.SIGSTOP)
        held_up = writer.find(
            lambda text: (e2e.parse(text) or {}).get("took_us", 0)
            >= timeout_ms * 900)[0]
        since = writer.mark()
        self.wait_frames(writer, 200, since)
        took = [event["took_us"] for event in writer.events("frame")]
        waits = [us for us in took if us >= timeout_ms * 900]
        e2e.figure("held up %s ms, the longest after that %.1f ms (at %.1f)" % (
            [us // 1000 for us in waits],
            max(event["took_us"] for event in writer.events("frame", since)) / 1e3,
            held_up))
        self.assertEqual(len(waits), 1)

        since = reader.mark()
        reader.signal(signal.SIGCONT)
        self.wait_frames(reader, 20, since)
        reader.signal(signal.SIGINT)
        self.assert_exits(reader)
        read = reader.wait_event("read")
        self.assertEqual(read["mode"], e2e.QUEUE)
        self.assertGreater(read["missed"], 0)
        self.assertEqual(read["missed"], read["gaps"])
        self.assertEqual(read["wrong"], 0)

    def test_a_stopped_lossless_pipeline_holds_ndshsink_up_once(self):
        reader = self.pipeline("ndshsrc name=r channel=once leaky-type=none ! fakesink "
                               "sync=false")
        writer = self.pipeline(
            "videotestsrc is-live=true ! video/x-raw,width=320,height=240,format=RGB,"
            "framerate=30/1 ! ndshsink name=s channel=once "
            "lossless-timeout=1000000000 sync=false max-memory=%d" % MAX_MEMORY)
        writer.wait_event("playing")
        while (not writer.ask_stats()["readers"]
               or reader.ask_stats()["frames-received"] < 10):
            time.sleep(0.05)
        self.assertEqual(writer.ask_stats()["readers"][0]["mode"], "lossless")

        reader.signal(signal.SIGSTOP)
        until = time.monotonic() + e2e.DEADLINE
        while (writer.ask_stats()["readers"][0]["mode"] != "queue"
               and time.monotonic() < until):
            time.sleep(0.05)
        self.assertEqual(writer.ask_stats()["readers"][0]["mode"], "queue")
        # Held up by each of these it would take a minute.
        first = writer.ask_stats()
        while writer.ask_stats()["frames-published"] < first["frames-published"] + 60:
            time.sleep(0.05)
            self.assertLess(time.monotonic(), until, writer.output())
        last = writer.ask_stats()
        e2e.figure("%d frames in %.1f s after it was demoted" % (
            last["frames-published"] - first["frames-published"],
            (last["now"] - first["now"]) / 1e6))
        self.assertEqual(last["readers"][0]["mode"], "queue")
        self.assertEqual(last["frames-dropped"], 0)
        reader.signal(signal.SIGCONT)


if __name__ == "__main__":
    e2e.main()
