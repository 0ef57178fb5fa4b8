# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which frames a reader shows, and when: the times that a writer's frames had, on the
reader's clock, with default properties unless a test is of one.

Times are compared with times, and counts with what was published; how long something
took is not, because it says more of the machine. Where a busy machine may lose a
frame, a test waits for a stretch without loss, for so many frames and not so long."""

import time

import e2e

SECOND = 10 ** 9
MS = 10 ** 6

# The first time of a frame is on a pipeline's clock and the last one on another's.
NEAR = 1 * MS


def camera(rate="30/1", more=""):
    return ("videotestsrc is-live=true %s ! video/x-raw,format=RGB,width=160,"
            "height=120,framerate=%s ! " % (more, rate))


def microphone(samples=480, more=""):
    return ("audiotestsrc is-live=true samplesperbuffer=%d %s ! audio/x-raw,"
            "format=S16LE,channels=1,rate=48000 ! " % (samples, more))


def period(rate):
    frames, seconds = map(int, rate.split("/"))
    return SECOND * seconds / frames


class TimeTest(e2e.TestCase):

    # --- Pipelines that tell of their buffers ---

    def play(self, *pipeline, clock=None):
        options = ["--clock=" + clock] if clock else []
        return self.start(e2e.TIMES, *(options + " ".join(pipeline).split()))

    def tell(self, process, line):
        """Returns when it was done: "began" and "now" enclose it."""
        since = process.mark()
        process.say(line)
        did = process.wait_event("did", since)
        self.assertTrue(did["done"], process.output())
        return did

    def ask_latency(self, process):
        since = process.mark()
        process.say("latency")
        return process.wait_event("latency", since)

    def ask_value(self, process, element, name):
        since = process.mark()
        process.say("get %s %s" % (element, name))
        return process.wait_event("value", since)["value"]

    def wait_frames(self, process, n, at="probe", event="buffer", since=0):
        """The first @n frames there since then."""
        found = []

        def count(text):
            frame = e2e.parse(text)
            if frame and frame["event"] == event and frame["at"] == at:
                found.append(frame)
            return len(found) == n
        process.find(count, since)
        return found

    def wait_offset(self, process, offset, at="probe"):
        """Until this frame has come there, or one after it."""
        def is_far_enough(text):
            frame = e2e.parse(text)
            return (frame and frame["event"] == "buffer" and frame["at"] == at
                    and frame["offset"] >= offset)
        process.find(is_far_enough)

    def frames(self, process, at="probe", event="buffer", since=0):
        return [frame for frame in process.events(event, since)
                if frame["at"] == at]

    def wait_stretch(self, process, n, at="probe", event="buffer", step=1, patience=4):
        """Waits for @n frames of which none is missing. Returns how long the longest
        stretch was, which is shorter if there was none among @patience times @n that
        were published."""
        state = {"first": None, "last": None, "now": 0, "longest": 0}

        def count(text):
            frame = e2e.parse(text)
            if not frame or frame["event"] != event or frame["at"] != at:
                return False
            offset = frame["offset"]
            if state["first"] is None:
                state["first"] = offset
            follows = state["last"] is not None and offset == state["last"] + step
            state["now"] = state["now"] + 1 if follows else 1
            state["last"] = offset
            state["longest"] = max(state["longest"], state["now"])
            return (state["longest"] >= n
                    or (offset - state["first"]) / step >= n * patience)
        process.find(count)
        return state["longest"]

    # --- What is compared ---

    def by_offset(self, process, at="probe", since=0):
        """The frames of a writer, each by the number that travels with it."""
        return {frame["offset"]: frame
                for frame in self.frames(process, at, since=since)}

    def errors_of_due(self, frames, originals):
        """How much later than the writer's each frame is, in the reader's pipeline."""
        return [frame["due"] - originals[frame["offset"]]["due"]
                for frame in frames if frame["offset"] in originals]

    def assert_due_as_written(self, frames, originals, shift=0, process=None):
        errors = self.errors_of_due(frames, originals)
        self.assertTrue(errors, process.output() if process else None)
        wrong = [round(error / MS, 3) for error in errors
                 if abs(error - shift) > NEAR]
        self.assertFalse(wrong[:10], "of %d frames %d have another time, in ms" % (
            len(errors), len(wrong)))


class EveryFrame(TimeTest):
    """What is newest is measured in time: who can keep up gets every frame, and who
    cannot gets none that is older than what could be shown."""

    RATES = ["25/1", "30/1", "50/1", "60/1", "120/1"]

    def show(self, *pipeline):
        return self.play(*pipeline)

    def assert_stretch(self, name, process, n, step=1):
        longest = self.wait_stretch(process, n, "show", "shown", step)
        e2e.figure("%s: %d in a row of %d" % (name, longest, n))
        self.assertGreaterEqual(longest, n, name)

    def test_a_screen_shows_every_frame_of_a_camera(self):
        readers = []
        for rate in self.RATES:
            channel = "channel=fps" + rate[:-2]
            self.play(camera(rate), "ndshsink", channel)
            readers += [
                (rate, "one process", self.show(
                    camera(rate), "videoconvert ! fakevideosink name=show")),
                (rate, "fakevideosink", self.show(
                    "ndshsrc", channel, "! videoconvert ! fakevideosink name=show")),
                (rate, "fakesink", self.show(
                    "ndshsrc", channel, "! fakesink sync=true name=show"))]
        for rate, sink, reader in readers:
            with self.subTest(rate=rate, sink=sink):
                self.assert_stretch("%s fps, %s" % (rate, sink), reader,
                                    round(2 * SECOND / period(rate)))

    def test_a_screen_shows_every_frame_of_a_writer_that_does_not_sync(self):
        self.play(camera("60/1"), "ndshsink sync=false")
        reader = self.show("ndshsrc ! videoconvert ! fakevideosink name=show")
        self.assert_stretch("60 fps, sync=false", reader, 120)

    def test_a_loudspeaker_plays_every_buffer_of_a_microphone(self):
        readers = []
        for samples in 480, 960, 4800:
            for sync in "true", "false":
                channel = "channel=of-%d-%s" % (samples, sync)
                self.play(microphone(samples), "ndshsink sync=" + sync, channel)
                readers.append((samples, sync, self.show(
                    "ndshsrc", channel, "! audioconvert ! fakesink sync=true name=show")))
        for samples, sync, reader in readers:
            with self.subTest(samples=samples, sync=sync):
                self.assert_stretch("audio by %d, sync=%s" % (samples, sync), reader,
                                    2 * 48000 // samples, samples)

    def test_a_slow_consumer_gets_frames_that_are_new(self):
        readers = []
        for name, source, duration in [
                ("30 fps", camera("30/1"), period("30/1")),
                ("120 fps", camera("120/1"), period("120/1")),
                ("audio", microphone(), 10 * MS)]:
            channel = "channel=" + name.replace(" ", "")
            self.play(source, "ndshsink", channel)
            readers.append((name, duration, self.play(
                "ndshsrc", channel, "! identity name=probe sleep-time=200000 !"
                "fakesink sync=false")))
        for name, duration, reader in readers:
            with self.subTest(name):
                # The first may be as old as it likes.
                frames = self.wait_frames(reader, 13)[1:]
                latency = self.ask_latency(reader)["min"]
                ages = sorted(frame["running"] - frame["running_pts"]
                              for frame in frames)
                e2e.figure("%s: age %.1f ms, %.1f at most; latency %.1f" % (
                    name, ages[8] / MS, ages[-1] / MS, latency / MS))
                # A few may be late because the machine is; 40 ms for the others.
                self.assertLess(ages[8], duration + latency + 40 * MS)

    def test_the_latency_answer_promises_no_more_than_there_is(self):
        self.play(camera("60/1"), "ndshsink")
        for consumer in "videoconvert ! fakevideosink name=show", \
                "fakesink sync=true name=show":
            with self.subTest(consumer):
                reader = self.show("ndshsrc !", consumer)
                self.wait_frames(reader, 10, "show", "shown")
                latency = self.ask_latency(reader)
                self.assertTrue(latency["live"])
                self.assertIsNotNone(latency["max"], "no bound is promised")
                self.assertGreaterEqual(latency["max"], latency["min"])
                self.assertFalse(reader.events("warning"), reader.output())

    def test_gstreamer_itself_says_when_a_queue_is_missing(self):
        self.play(camera("120/1"), "ndshsink")
        reader = self.show("ndshsrc max-buffers=1 ! videoconvert !"
                           "fakevideosink name=show")
        self.wait_frames(reader, 10, "show", "shown")
        latency = self.ask_latency(reader)
        self.assertIsNotNone(latency["max"], "no bound is promised")
        self.assertLess(latency["max"], latency["min"])
        self.assertIn("queue", reader.wait_event("warning")["message"])


class LateJoin(TimeTest):
    """A frame that is old when a reader comes is late, and that is all: the age of a
    delivery is no offset of clocks."""

    READERS = ["fakesink name=probe sync=false", "fakesink name=probe sync=true"]

    def start_readers(self, source="ndshsrc"):
        return [(reader, self.play(source, "!", reader)) for reader in self.READERS]

    def assert_on_time(self, name, frames, originals):
        e2e.figure("%s: later by %s ms" % (name, [
            round(error / MS, 2)
            for error in self.errors_of_due(frames[:5], originals)]))
        self.assert_due_as_written(frames, originals)
        for frame in frames:
            self.assertLessEqual(frame["due"], frame["now"], "it is of the future")

    def test_the_frames_after_an_old_one_are_on_time(self):
        # A frame each 2.5 s, and readers that come in the middle.
        writers = [(sync, self.play(camera("2/5"), "ndshsink name=probe channel=" + sync,
                                    "sync=" + sync)) for sync in ("true", "false")]
        for _, writer in writers:
            self.wait_frames(writer, 1)
        time.sleep(1.4)
        readers = [(sync, writer, how, reader) for sync, writer in writers
                   for how, reader in self.start_readers("ndshsrc channel=" + sync)]
        for sync, writer, how, reader in readers:
            with self.subTest(sync=sync, reader=how):
                frames = self.wait_frames(reader, 3)[1:]
                self.assert_on_time("sync=%s, %s" % (sync, how), frames,
                                    self.by_offset(writer))

    def test_the_frames_after_a_pause_of_the_writer_are_on_time(self):
        writer = self.play(camera("10/1"), "ndshsink name=probe")
        self.wait_frames(writer, 5)
        self.tell(writer, "pause")
        time.sleep(1.5)
        readers = self.start_readers()
        for _, reader in readers:
            reader.wait_event("segment")
        self.tell(writer, "play")
        # The frame that was on its way is of no time in particular.
        self.wait_frames(writer, 2, since=writer.mark())
        since = writer.mark()
        last = self.wait_frames(writer, 4, since=since)[-1]
        for how, reader in readers:
            with self.subTest(reader=how):
                self.wait_offset(reader, last["offset"])
                originals = self.by_offset(writer, since=since)
                frames = [frame for frame in self.frames(reader)
                          if frame["offset"] in originals]
                self.assert_on_time(how, frames, originals)


class Latency(TimeTest):
    """The latency of what is before a writer travels, and a hand-over adds none."""

    DELAY = "queue min-threshold-time=300000000 ! "
    SCREEN = "fakesink sync=true max-lateness=20000000 name=show"

    def assert_stretch(self, name, process, n):
        longest = self.wait_stretch(process, n, "show", "shown")
        e2e.figure("%s: %d in a row of %d" % (name, longest, n))
        self.assertGreaterEqual(longest, n, process.output())

    def test_frames_that_a_writer_has_late_are_shown(self):
        shows = [("one process", self.play(camera(), self.DELAY, self.SCREEN))]
        for sync in "false", "true":
            channel = "channel=sync-" + sync
            self.play(camera(), self.DELAY, "ndshsink", channel, "sync=" + sync)
            shows.append(("sync=" + sync,
                          self.play("ndshsrc", channel, "!", self.SCREEN)))
        for name, process in shows:
            with self.subTest(name):
                self.assert_stretch(name, process, 60)
                latency = self.ask_latency(process)
                e2e.figure("%s: latency %.1f ms" % (name, latency["min"] / MS))
                self.assertGreaterEqual(latency["min"], 300 * MS)

    def test_a_latency_that_changes_travels_too(self):
        writer = self.play(camera(), "queue name=delay ! ndshsink sync=false")
        reader = self.play("ndshsrc !", self.SCREEN)
        self.wait_frames(reader, 10, "show", "shown")
        self.tell(writer, "set delay min-threshold-time 300000000")
        # Nothing tells when the reader knows.
        self.assert_stretch("changed", reader, 60)
        self.assertGreaterEqual(self.ask_latency(reader)["min"], 300 * MS)

    def hop(self, source, sink, sync):
        return self.play("ndshsrc channel=%s ! identity ! ndshsink channel=%s %s" % (
            source, sink, sync))

    def run_hops(self, n, sync):
        """The frames at the end of @n hops and those at its beginning."""
        names = ["%d-%s-%d" % (n, sync.replace("=", "-") or "default", i)
                 for i in range(n)]
        writer = self.play(camera("25/1"), "ndshsink name=probe", sync,
                           "channel=" + names[0])
        for source, sink in zip(names, names[1:]):
            self.hop(source, sink, sync)
        return writer, self.play("ndshsrc channel=%s ! fakesink name=probe sync=false"
                                 % names[-1])

    def test_hops_add_nothing_to_the_time_of_a_frame(self):
        chains = [(n, sync, self.run_hops(n, sync)) for n in (1, 2, 4)
                  for sync in ("", "sync=false")]
        for n, sync, (writer, reader) in chains:
            with self.subTest(hops=n, sync=sync):
                # The first may have lain there since before the chain was whole.
                frames = self.wait_frames(reader, 50)[5:]
                originals = self.by_offset(writer)
                errors = self.errors_of_due(frames, originals)
                way = [frame["now"] - originals[frame["offset"]]["now"]
                       for frame in frames if frame["offset"] in originals]
                e2e.figure("%d hops, %s: PTS later by %.3f ms, frames by %.2f" % (
                    n, sync or "default", max(errors) / MS, min(way) / MS))
                self.assert_due_as_written(frames, originals)
                # Of the fastest: nobody waited for anything.
                self.assertLess(min(way), n * 5 * MS)


if __name__ == "__main__":
    e2e.main()
