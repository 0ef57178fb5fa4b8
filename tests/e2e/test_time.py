# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which frames a reader shows, and when: the times that a writer's frames had, on the
reader's clock, with default properties unless a test is of one.

Times are compared with times, and counts with what was published; how long something
took is not, because it says more of the machine. Where a busy machine may lose a
frame, a test waits for a stretch without loss, for so many frames and not so long."""

import time
import unittest

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

    def wait_stretch(self, process, n, at="probe", event="buffer", step=1, patience=3,
                     timeout=e2e.DEADLINE):
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
        process.find(count, timeout=timeout)
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

    def assert_due_as_written(self, frames, originals, shift=0):
        errors = self.errors_of_due(frames, originals)
        self.assertTrue(errors, "no frame of the writer's came")
        wrong = [round(error / MS, 3) for error in errors
                 if abs(error - shift) > NEAR]
        self.assertFalse(wrong[:10], "of %d frames %d have another time, in ms" % (
            len(errors), len(wrong)))

    def assert_stretch(self, name, process, n, step=1):
        longest = self.wait_stretch(process, n, "show", "shown", step)
        e2e.figure("%s: %d in a row of %d" % (name, longest, n))
        self.assertGreaterEqual(longest, n, name)

    def assert_times_go_forward(self, process, at="probe", since=0):
        """That PTS never goes back, but where a new segment says so."""
        last = None
        for event in map(e2e.parse, process.texts(since)):
            if not event or event.get("at") != at:
                continue
            if event["event"] in ("segment", "flush"):
                last = None
            elif event["event"] == "buffer" and event["pts"] is not None:
                if last is not None:
                    self.assertGreaterEqual(event["pts"], last, "PTS goes back")
                last = event["pts"]

    def assert_follow_each_other(self, frames):
        """That no frame is still shown when the next of the writer's begins."""
        for one, next_one in zip(frames, frames[1:]):
            if next_one["offset"] == one["offset"] + 1:
                self.assertLessEqual(one["pts"] + one["duration"],
                                     next_one["pts"] + NEAR)


class EveryFrame(TimeTest):
    """What is newest is measured in time: who can keep up gets every frame, and who
    cannot gets none that is older than what could be shown."""

    RATES = ["25/1", "30/1", "50/1", "60/1", "120/1"]

    def test_a_screen_shows_every_frame_of_a_camera(self):
        readers = []
        for rate in self.RATES:
            channel = "channel=fps" + rate[:-2]
            self.play(camera(rate), "ndshsink", channel)
            readers += [
                (rate, "one process", self.play(
                    camera(rate), "videoconvert ! fakevideosink name=show")),
                (rate, "fakevideosink", self.play(
                    "ndshsrc", channel, "! videoconvert ! fakevideosink name=show")),
                (rate, "fakesink", self.play(
                    "ndshsrc", channel, "! fakesink sync=true name=show"))]
        for rate, sink, reader in readers:
            with self.subTest(rate=rate, sink=sink):
                self.assert_stretch("%s fps, %s" % (rate, sink), reader,
                                    round(2 * SECOND / period(rate)))

    def test_a_screen_shows_every_frame_of_a_writer_that_does_not_sync(self):
        self.play(camera("60/1"), "ndshsink sync=false")
        reader = self.play("ndshsrc ! videoconvert ! fakevideosink name=show")
        self.assert_stretch("60 fps, sync=false", reader, 120)

    def test_a_screen_shows_the_frames_that_a_recorder_paces(self):
        """They come long before they are due: the writer is as far ahead as its memory
        lets it be."""
        recorder = self.play("ndshsrc leaky-type=none ! fakesink sync=true name=show")
        self.play("videotestsrc ! video/x-raw,format=RGB,width=160,height=120,"
                  "framerate=60/1 ! ndshsink wait-for-connection=true sync=false")
        self.wait_frames(recorder, 30, "show", "shown")
        reader = self.play("ndshsrc ! videoconvert ! fakevideosink name=show")
        self.assert_stretch("beside a recorder", reader, 120)

    def test_a_loudspeaker_plays_every_buffer_of_a_microphone(self):
        readers = []
        for samples in 480, 960, 4800:
            for sync in "true", "false":
                channel = "channel=of-%d-%s" % (samples, sync)
                self.play(microphone(samples), "ndshsink sync=" + sync, channel)
                readers.append((samples, sync, self.play(
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
                reader = self.play("ndshsrc !", consumer)
                self.wait_frames(reader, 10, "show", "shown")
                latency = self.ask_latency(reader)
                self.assertTrue(latency["live"])
                self.assertIsNotNone(latency["max"], "no bound is promised")
                self.assertGreaterEqual(latency["max"], latency["min"])
                self.assertFalse(reader.events("warning"), reader.output())

    def test_gstreamer_itself_says_when_a_queue_is_missing(self):
        self.play(camera("120/1"), "ndshsink")
        reader = self.play("ndshsrc max-buffers=1 ! videoconvert !"
                           "fakevideosink name=show")
        self.wait_frames(reader, 10, "show", "shown")
        latency = self.ask_latency(reader)
        self.assertIsNotNone(latency["max"], "no bound is promised")
        # The sink says so, and asks for no more than there is.
        self.assertLessEqual(latency["max"], latency["min"])
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
        readers = self.start_readers()
        for _, reader in readers:
            self.wait_frames(reader, 3)
        self.tell(writer, "pause")
        time.sleep(1.5)
        late = self.start_readers()
        for _, reader in late:
            reader.wait_event("segment")
        readers += [("late " + how, reader) for how, reader in late]
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

    def test_a_frame_is_there_when_it_was_captured(self):
        runs = []
        for i, (rate, sync) in enumerate(
                [("25/1", ""), ("60/1", ""), ("25/1", "sync=false")]):
            writer = self.play(camera(rate), "ndshsink name=probe channel=%d" % i, sync)
            runs.append((rate, sync, writer, self.play(
                "ndshsrc channel=%d ! fakesink name=probe sync=false" % i)))
        for rate, sync, writer, reader in runs:
            with self.subTest(rate=rate, sync=sync):
                frames = self.wait_frames(reader, 60)[5:]
                originals = self.by_offset(writer)
                way = sorted(frame["now"] - originals[frame["offset"]]["due"]
                             for frame in frames if frame["offset"] in originals)
                e2e.figure("%s fps, %s: %.2f ms, of the fastest %.2f" % (
                    rate, sync or "default", way[len(way) // 2] / MS, way[0] / MS))
                # A busy machine makes many late, but not each.
                self.assertLess(way[0], 2 * MS)

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


class Pause(TimeTest):
    """Live means live: what was captured while a reader did not play is not shown. Not
    live, time stands still meanwhile."""

    def pause_all(self, processes):
        """For a while; how long for each is in its two events."""
        paused = [self.tell(process, "pause") for process in processes]
        time.sleep(1.5)
        return [(before, self.tell(process, "play"))
                for before, process in zip(paused, processes)]

    def leave_out_held(self, frames, originals, paused):
        """@frames but for one that was on its way when the pipeline paused: up to
        GStreamer 1.22 GstBaseSrc holds it until it goes on. In running time it is right."""
        rest = [frame for frame in frames if frame["offset"] not in originals
                or originals[frame["offset"]]["due"] > paused["now"]]
        self.assertLessEqual(len(frames) - len(rest), 1, "frames of before the pause")
        return rest

    def count_from_pause(self, frames, originals, paused, resumed):
        return len([frame for frame in frames if frame["offset"] in originals
                    and paused["now"] < originals[frame["offset"]]["due"]
                    < resumed["began"]])

    LIVE = [("30/1", "max-buffers=16"), ("10/1", "max-buffers=16"),
            ("2/1", "max-buffers=16"), ("30/1", ""), ("2/1", ""),
            ("30/1", "leaky-type=none"), ("2/1", "leaky-type=none")]

    def test_a_live_reader_goes_on_with_what_is_captured_then(self):
        pairs = []
        for i, (rate, options) in enumerate(self.LIVE):
            writer = self.play(camera(rate), "ndshsink name=probe channel=%d" % i)
            pairs.append((writer, self.play(
                "ndshsrc channel=%d" % i, options,
                "! identity name=probe ! fakesink sync=false")))
        for _, reader in pairs:
            self.wait_frames(reader, 3)
        pauses = self.pause_all([reader for _, reader in pairs])
        for (rate, options), (writer, reader), (paused, resumed) in zip(
                self.LIVE, pairs, pauses):
            with self.subTest(rate=rate, options=options):
                def is_of_now(text):
                    frame = e2e.parse(text)
                    return (frame and frame["event"] == "buffer"
                            and frame["now"] > resumed["now"] + 1.2 * SECOND)
                reader.find(is_of_now)
                before, later = (
                    [frame for frame in self.frames(reader)
                     if (frame["now"] > resumed["began"]) == is_later]
                    for is_later in (False, True))
                originals = self.by_offset(writer)
                n = self.count_from_pause(later, originals, paused, resumed)
                e2e.figure("%s fps %s: %d of the pause; PTS %s, then %s" % (
                    rate, options, n, *([round(frame["pts"] / MS) for frame in frames]
                                        for frames in (before[-1:], later[:4]))))
                self.assert_times_go_forward(reader)
                self.assertEqual(n, 0)
                self.assert_due_as_written(
                    self.leave_out_held(later, originals, paused), originals)

    def test_a_live_source_in_the_same_process_does_so(self):
        reader = self.play(camera("10/1"), "identity name=probe ! fakesink sync=false")
        self.wait_frames(reader, 3)
        (paused, resumed), = self.pause_all([reader])
        self.wait_frames(reader, 5, since=reader.mark())
        self.assert_times_go_forward(reader)
        self.assertFalse([frame for frame in self.frames(reader)
                          if paused["now"] < frame["due"] < resumed["began"]])

    def assert_goes_on(self, name, reader, before, since):
        """That the frames since then go on where those before, and the clock, are."""
        later = self.wait_frames(reader, 5, since=since)
        gap = later[0]["running_pts"] - before[-1]["running_pts"]
        lead = max(frame["running_pts"] - frame["running"] for frame in later)
        e2e.figure("%s: %.0f ms from the last to the first, at most %.0f ahead" % (
            name, gap / MS, lead / MS))
        self.assertGreaterEqual(gap, 0)
        # The pause was three times as long.
        self.assertLess(gap, 500 * MS)
        self.assertLess(lead, 500 * MS)
        self.assert_times_go_forward(reader)

    def test_time_goes_on_from_where_it_was_if_the_reader_is_not_live(self):
        kinds = ["", "max-buffers=16", "leaky-type=none"]
        readers = []
        for i, options in enumerate(kinds):
            # Frames that are lost while it plays leave a gap: a lossless reader must
            # not be given up for the pause.
            self.play(camera(), "ndshsink lossless-timeout=60000000000 channel=%d" % i)
            readers.append(self.play("ndshsrc is-live=false channel=%d" % i, options,
                                     "! identity name=probe ! fakesink sync=true"))
        for reader in readers:
            self.wait_frames(reader, 10)
        for reader in readers:
            self.tell(reader, "pause")
        time.sleep(1.5)
        before = [self.frames(reader) for reader in readers]
        marks = [reader.mark() for reader in readers]
        for reader in readers:
            self.tell(reader, "play")
        for options, reader, frames, since in zip(kinds, readers, before, marks):
            with self.subTest(options):
                self.assert_goes_on("a pause " + options, reader, frames, since)

    def test_time_goes_on_with_the_next_writer_if_the_reader_is_not_live(self):
        writer = self.play(camera(), "ndshsink")
        reader = self.play("ndshsrc is-live=false ! identity name=probe !"
                           "fakesink sync=true")
        self.wait_frames(reader, 10)
        self.tell(writer, "null")
        time.sleep(1.5)
        before = self.frames(reader)
        since = reader.mark()
        self.play(camera(), "ndshsink")
        self.assert_goes_on("the next writer", reader, before, since)


class Channels(TimeTest):
    """All channels of one writer's pipeline have one origin."""

    PARTS = ["probe-picture", "probe-sound"]

    def start_writer(self, name, picture, sound, options):
        return self.play(*(
            "%s ndshsink name=probe-%s channel=%s-%s %s" % (
                source, part, name, part, options)
            for part, source in (("picture", picture), ("sound", sound))))

    def start_reader(self, name, options):
        return self.play(*(
            "ndshsrc channel=%s-%s %s ! identity name=probe-%s ! fakesink sync=false" % (
                name, part, options, part) for part in ("picture", "sound")))

    def file(self, more="", n=45):
        picture = ("videotestsrc num-buffers=%d ! video/x-raw,format=RGB,width=160,"
                   "height=120,framerate=30/1 ! " % n)
        # It begins half a second later than the picture.
        sound = ("audiotestsrc num-buffers=%d samplesperbuffer=1600 "
                 "timestamp-offset=500000000 ! "
                 "audio/x-raw,format=S16LE,channels=1,rate=48000 ! " % n)
        return picture + more, sound + more

    def find_shifts(self, writer, reader, part, first):
        """How much later each frame is in the reader's pipeline than in the writer's."""
        originals = self.by_offset(writer, part)
        return [frame["running_pts"] - originals[frame["offset"]]["running_pts"]
                for frame in self.frames(reader, part)[first:]
                if frame["offset"] in originals]

    def assert_distance_stays(self, name, writer, reader, first=0):
        """From frame @first on."""
        shifts = [self.find_shifts(writer, reader, part, first) for part in self.PARTS]
        self.assertTrue(all(shifts), reader.output())
        e2e.figure("%s: the sound is later by %.3f ms; %.3f within a channel" % (
            name, (shifts[1][0] - shifts[0][0]) / MS,
            max(max(one) - min(one) for one in shifts) / MS))
        self.assertLess(max(shifts[0] + shifts[1]) - min(shifts[0] + shifts[1]), NEAR)

    def test_a_file_that_is_read_from_its_start_keeps_it(self):
        pairs = []
        for live in "true", "false":
            writer = self.start_writer(live, *self.file(),
                                       "sync=false wait-for-connection=true")
            pairs.append((live, writer, self.start_reader(
                live, "leaky-type=none is-live=" + live)))
        for live, writer, reader in pairs:
            with self.subTest(live=live):
                for part in self.PARTS:
                    self.wait_frames(reader, 45, part)
                self.assert_distance_stays("is-live=" + live, writer, reader)

    def test_a_reader_that_comes_late_to_a_file_keeps_it(self):
        pairs = []
        # As fast as it is meant, and three times so.
        for pause in 33000, 11000:
            for live in "true", "false":
                name = "%s-%d" % (live, pause)
                writer = self.start_writer(name, *self.file(
                    "identity sleep-time=%d ! " % pause, n=-1), "sync=false")
                pairs.append((name, writer, live))
        for _, writer, _ in pairs:
            self.wait_frames(writer, 60, self.PARTS[0])
        readers = [self.start_reader(name, "max-buffers=16 is-live=" + live)
                   for name, _, live in pairs]
        for (name, writer, _), reader in zip(pairs, readers):
            with self.subTest(name):
                for part in self.PARTS:
                    self.wait_frames(reader, 15, part)
                self.assert_distance_stays("late " + name, writer, reader, 2)

    def test_a_reader_of_live_channels_keeps_it(self):
        pairs = []
        for live in "true", "false":
            for sync in "true", "false":
                name = "%s-%s" % (live, sync)
                writer = self.start_writer(name, camera(), microphone(4800),
                                           "sync=" + sync)
                self.wait_frames(writer, 10, self.PARTS[0])
                pairs.append((live, sync, writer, self.start_reader(
                    name, "max-buffers=16 is-live=" + live)))
        for live, sync, writer, reader in pairs:
            with self.subTest(live=live, sync=sync):
                for part in self.PARTS:
                    self.wait_frames(reader, 10, part)
                self.assert_distance_stays("sync=%s, is-live=%s" % (sync, live),
                                           writer, reader, 2)


    def test_a_file_that_waits_for_its_readers_loses_nothing(self):
        """Its pipeline plays meanwhile; and one reader comes later than the other."""
        writer = self.start_writer("waits", *self.file(), "wait-for-connection=true")
        time.sleep(0.7)
        one = self.play("ndshsrc channel=waits-picture ! fakesink name=probe-picture "
                        "sync=true")
        self.wait_frames(one, 5, self.PARTS[0])
        other = self.play("ndshsrc channel=waits-sound ! fakesink name=probe-sound "
                          "sync=true")
        for reader, part in (one, self.PARTS[0]), (other, self.PARTS[1]):
            reader.wait_event("eos")
            self.assertEqual(len(self.frames(reader, part)), 45)
            self.assertNotIn("Frames are dropped", reader.output())
        # From when both were there.
        due = [self.frames(reader, part)[-1]["due"] - self.by_offset(writer, part)[
            self.frames(reader, part)[-1]["offset"]]["running_pts"]
            for reader, part in ((one, self.PARTS[0]), (other, self.PARTS[1]))]
        self.assertLess(abs(due[0] - due[1]), NEAR)


class Untimed(TimeTest):
    """A live reader gives a frame without a time that of its publishing."""

    def start_writer(self, channel, source):
        return self.play(source, "identity sleep-time=33000 ! ndshsink name=probe "
                         "wait-for-connection=true channel=" + channel)

    def test_a_frame_without_a_time_is_of_when_it_was_published(self):
        self.run_ok("gst-launch-1.0", "-q", *(
            "videotestsrc num-buffers=60 ! video/x-raw,width=160,height=120 ! jpegenc !"
            " multipartmux ! filesink location=clip").split())
        # The time of the last is of no segment of times, so nobody knows what it means.
        sources = [
            ("fakesrc", "fakesrc sizetype=fixed sizemax=4096 ! "),
            ("of-time", "fakesrc format=time sizetype=fixed sizemax=4096 ! "),
            ("multipart", "filesrc location=clip ! multipartdemux ! image/jpeg ! "),
            ("of-bytes", "fakesrc is-live=true sizetype=fixed sizemax=4096 ! ")]
        pairs = [(name, self.start_writer(name, source), self.play(
            "ndshsrc leaky-type=none channel=%s ! identity name=probe !" % name,
            "fakesink sync=false")) for name, source in sources]
        for name, writer, reader in pairs:
            with self.subTest(name):
                # Each frame comes, so the numbers are the same. The writer's base class
                # gives the first one a time.
                arrived = self.wait_frames(reader, 15)[1:]
                published = self.wait_frames(writer, 15)[1:]
                self.assertFalse([frame for frame in published if "due" in frame])
                e2e.figure("%s: %d of %d frames have a time" % (name, len(
                    [frame for frame in arrived if frame["pts"] is not None]),
                    len(arrived)))
                for before, after in zip(published, arrived):
                    self.assertIsNotNone(after["pts"])
                    self.assertLessEqual(before["now"] - NEAR, after["due"])
                    self.assertLessEqual(after["due"], after["now"] + NEAR)


class Order(TimeTest):
    """PTS never goes back, or a new segment says that times start anew."""

    FILE = ("videotestsrc ! video/x-raw,format=RGB,width=160,height=120,"
            "framerate=30/1 ! identity sleep-time=2000 ! ndshsink sync=false "
            "name=probe channel=")

    def start_readers(self, channel):
        return [(live, self.play("ndshsrc name=probe is-live=%s channel=%s !" % (
            live, channel), "fakesink sync=false")) for live in ("true", "false")]

    def test_a_live_writer_may_follow_a_fast_file(self):
        first = self.play(self.FILE + "one")
        readers = self.start_readers("one")
        for _, reader in readers:
            self.wait_frames(reader, 200)
        self.tell(first, "null")
        marks = [reader.mark() for _, reader in readers]
        second = self.play(camera(), "ndshsink name=probe channel=one")
        for (live, reader), since in zip(readers, marks):
            with self.subTest(live=live):
                frames = self.wait_frames(reader, 20, since=since)
                before = self.frames(reader)[:-20]
                e2e.figure("is-live=%s: PTS %d ms, then %d" % (
                    live, before[-1]["pts"] / MS, frames[10]["pts"] / MS))
                self.assert_times_go_forward(reader)
                if live == "true":
                    self.assert_due_as_written(frames[10:], self.by_offset(second))

    def test_a_reader_does_not_wait_for_what_it_missed_of_a_fast_file(self):
        readers = [self.play("ndshsrc ignore-eos=true is-live=%s ! "
                             "fakesink name=probe sync=true" % live)
                   for live in ("true", "false")]
        first = self.play("videotestsrc ! video/x-raw,format=RGB,width=160,height=120,"
                          "framerate=30/1 ! ndshsink name=probe sync=false")
        for reader in readers:
            self.wait_frames(reader, 3)
        self.tell(first, "null")
        second = self.play(camera(), "ndshsink name=probe")
        for reader in readers:
            self.wait_frames(reader, 30, since=reader.mark())
            self.assert_times_go_forward(reader)
        self.assertTrue(second.is_running())

    def test_a_writer_that_does_not_sync_may_seek_back(self):
        writer = self.play(self.FILE + "one")
        readers = self.start_readers("one")
        for _, reader in readers:
            self.wait_frames(reader, 200)
        marks = [reader.mark() for _, reader in readers]
        self.tell(writer, "flush-seek 0")
        for (live, reader), since in zip(readers, marks):
            with self.subTest(live=live):
                self.wait_frames(reader, 100, since=since)
                self.assert_times_go_forward(reader)

    def test_a_live_writer_may_be_restarted(self):
        writer = self.play(camera(), "ndshsink name=probe channel=one")
        readers = self.start_readers("one")
        for _, reader in readers:
            self.wait_frames(reader, 10)
        self.tell(writer, "ready")
        marks = [reader.mark() for _, reader in readers]
        since_restart = writer.mark()
        self.tell(writer, "play")
        for (live, reader), since in zip(readers, marks):
            with self.subTest(live=live):
                frames = self.wait_frames(reader, 15, since=since)
                self.assert_times_go_forward(reader)
                if live == "true":
                    self.assert_due_as_written(
                        frames[5:], self.by_offset(writer, since=since_restart))

    def test_the_channel_may_be_changed_in_between(self):
        writers = {name: self.play(camera(), "ndshsink name=probe channel=" + name)
                   for name in ("one", "two")}
        readers = self.start_readers("one")
        for _, reader in readers:
            self.wait_frames(reader, 10)
            self.tell(reader, "ready")
            self.tell(reader, "set probe channel two")
        marks = [reader.mark() for _, reader in readers]
        for _, reader in readers:
            self.tell(reader, "play")
        for (live, reader), since in zip(readers, marks):
            with self.subTest(live=live):
                frames = self.wait_frames(reader, 10, since=since)
                self.assert_times_go_forward(reader, since=since)
                self.assert_follow_each_other(frames)
                if live == "true":
                    self.assert_due_as_written(frames[1:],
                                               self.by_offset(writers["two"]))

    def test_the_first_frames_of_a_join_do_not_overlap(self):
        writer = self.play(camera("5/1"), "ndshsink name=probe")
        self.wait_frames(writer, 2)
        readers = []
        # At several places between two frames.
        for _ in range(4):
            readers.append(self.play("ndshsrc name=probe ! fakesink sync=false"))
            readers[-1].wait_event("segment")
        for reader in readers:
            frames = self.wait_frames(reader, 4)
            with self.subTest(joined=frames[0]["pts"]):
                e2e.figure("(%d, %d), (%d, %d)" % tuple(
                    round(frame[what] / MS) for frame in frames[:2]
                    for what in ("pts", "duration")))
                self.assert_follow_each_other(frames)
                self.assert_times_go_forward(reader)


class Clocks(TimeTest):
    """The offset between a pipeline's clock and the one that processes share is
    estimated once and followed, not sampled for each frame."""

    # Of the writer and the reader, and how far the coarse ones are from the truth.
    PAIRS = [("coarse", None, 10), (None, "coarse", 10), ("coarse", "coarse", 20),
             ("realtime", None, 0), (None, "realtime", 0), ("fast", None, 1),
             (None, "fast", 1), ("net", None, 10), (None, "net", 10),
             ("net", "net", 20)]

    def find_jitter(self, frames, originals):
        errors = [(frame["offset"], frame["due"] - originals[frame["offset"]]["due"])
                  for frame in frames if frame["offset"] in originals]
        return max(abs(next_error - error) for (_, error), (_, next_error)
                   in zip(errors, errors[1:]))

    def test_a_frame_is_as_far_from_the_next_as_it_was(self):
        runs = []
        for i, (theirs, ours, grain) in enumerate(self.PAIRS):
            writer = self.play(camera(), "ndshsink name=probe channel=%d" % i,
                               clock=theirs)
            reader = self.play("ndshsrc channel=%d ! fakesink name=probe" % i,
                               "sync=false", clock=ours)
            runs.append((theirs, ours, grain, writer, reader))
        for theirs, ours, grain, writer, reader in runs:
            with self.subTest(writer=theirs, reader=ours):
                frames = self.wait_frames(reader, 120)[2:]
                originals = self.by_offset(writer)
                jitter = self.find_jitter(frames, originals)
                errors = self.errors_of_due(frames, originals)
                e2e.figure("%s to %s: jitter %.3f ms, from %.2f to %.2f ms" % (
                    theirs or "default", ours or "default", jitter / MS,
                    min(errors) / MS, max(errors) / MS))
                # One of the network is corrected in steps while it is learnt.
                self.assertLess(jitter, (10 if "net" in (theirs, ours) else 1) * MS)
                self.assertLess(max(map(abs, errors)), NEAR + grain * MS)


class Properties(TimeTest):
    """What changes times in one process does so between two."""

    def test_the_offset_of_the_sink_is_in_the_time(self):
        shifts = [200 * MS, -50 * MS]
        pairs = []
        for i, shift in enumerate(shifts):
            writer = self.play(camera(), "ndshsink name=probe channel=%d" % i,
                               "ts-offset=%d" % shift)
            pairs.append((writer, self.play("ndshsrc channel=%d !" % i,
                                            "fakesink name=probe sync=false")))
        for shift, (writer, reader) in zip(shifts, pairs):
            with self.subTest(shift=shift):
                frames = self.wait_frames(reader, 15)[2:]
                originals = self.by_offset(writer)
                e2e.figure("%d ms are %s" % (shift / MS, round(
                    self.errors_of_due(frames, originals)[0] / MS, 3)))
                self.assert_due_as_written(frames, originals, shift)

    def test_another_rate_is_in_times_and_durations(self):
        rates = ["2.0", "0.5"]
        pairs = []
        for rate in rates:
            writer = self.play(
                "videotestsrc ! video/x-raw,format=RGB,width=160,height=120,"
                "framerate=30/1 ! ndshsink name=probe channel=rate-" + rate)
            self.wait_frames(writer, 3)
            self.tell(writer, "flush-seek 0 " + rate)
            pairs.append((writer, self.play(
                "ndshsrc leaky-type=none channel=rate-%s !" % rate,
                "fakesink name=probe sync=false")))
        for rate, (writer, reader) in zip(rates, pairs):
            with self.subTest(rate=rate):
                frames = self.wait_frames(reader, 15)[2:]
                wanted = SECOND / 30 / float(rate)
                spacing = [next_one["pts"] - one["pts"]
                           for one, next_one in zip(frames, frames[1:])
                           if next_one["offset"] == one["offset"] + 1]
                e2e.figure("rate %s: spacing %.2f ms, duration %.2f" % (
                    rate, spacing[0] / MS, frames[0]["duration"] / MS))
                for one in spacing + [frame["duration"] for frame in frames]:
                    self.assertLess(abs(one - wanted), NEAR)

    def test_no_frame_is_decoded_after_it_was_shown(self):
        writer = self.play(camera(), "queue min-threshold-time=200000000 !"
                           "ndshsink name=probe")
        for sync in "true", "false":
            with self.subTest(sync=sync):
                reader = self.play("ndshsrc do-timestamp=true !"
                                   "fakesink name=probe sync=" + sync)
                frames = self.wait_frames(reader, 15)
                late = [frame["dts"] - frame["pts"] for frame in frames
                        if frame["dts"] is not None]
                e2e.figure("%d with DTS, after PTS by %s ms" % (
                    len(late), round(max(late) / MS, 2) if late else None))
                self.assertFalse([one for one in late if one > 0])
                # That is what do-timestamp is: the time at which a frame is here.
                for frame in frames[2:]:
                    self.assertGreaterEqual(
                        frame["due"], self.by_offset(writer)[frame["offset"]]["due"])


class Audio(TimeTest):
    """Sound that began before its reader did is cut: moved, it would lie over what
    follows."""

    # Of 16 bits, one channel.
    SAMPLE = SECOND // 48000 + 1

    def test_the_first_buffer_keeps_its_distance_to_the_next(self):
        readers = []
        kinds = [(samples, sync) for samples in (24000, 48000)
                 for sync in ("true", "false")]
        for samples, sync in kinds:
            writer = self.play(microphone(samples), "ndshsink name=probe sync=" + sync,
                               "channel=%d-%s" % (samples, sync))
            self.wait_frames(writer, 1)
        # At several places in the buffer.
        for _ in range(3):
            for samples, sync in kinds:
                readers.append((samples, self.play(
                    "ndshsrc name=probe channel=%d-%s" % (samples, sync),
                    "! audiorate name=rate silent=false ! fakesink sync=false")))
            time.sleep(0.2)
        for samples, reader in readers:
            frames = self.wait_frames(reader, 3)
            with self.subTest(samples=samples, first=frames[0]["running"]):
                dropped = self.ask_value(reader, "rate", "drop")
                e2e.figure("by %d: %s; audiorate drops %s" % (
                    samples, ", ".join("(%d, %d)" % (
                        round(frame["pts"] / MS), round(frame["duration"] / MS))
                        for frame in frames), dropped))
                for one, next_one in zip(frames, frames[1:]):
                    self.assertLessEqual(
                        abs(one["pts"] + one["duration"] - next_one["pts"]),
                        self.SAMPLE)
                for frame in frames:
                    self.assertLessEqual(
                        abs(frame["size"] / 2 * SECOND / 48000 - frame["duration"]),
                        self.SAMPLE)
                self.assertEqual(dropped, "0")


class Ends(TimeTest):
    """An end has its place among the frames, and a reader may go on after it."""

    def play_on(self, channel, options=""):
        """A reader that goes on after an end."""
        reader = self.play("ndshsrc name=probe ignore-eos=true channel=" + channel,
                           options, "! fakesink sync=false")
        reader.wait_event("state")
        return reader

    def test_a_reader_that_ignores_ends_goes_on_with_the_next_writer(self):
        for live in "true", "false":
            with self.subTest(live=live):
                reader = self.play_on("live-" + live, "is-live=" + live)
                for n in 1, 2:
                    writer = self.play(camera(more="num-buffers=10"), "ndshsink "
                                       "wait-for-connection=true channel=live-" + live)
                    writer.wait_event("eos")
                    self.wait_frames(reader, 10 * n)
                    self.tell(writer, "null")
                self.assertFalse(reader.events("end"))
                self.assertFalse(reader.events("eos"))
                self.assert_times_go_forward(reader)

    def start_player(self, channel, options="", rounds=1, n=15):
        """A clip of @n frames. What was on its way before the stream was limited has
        not been published, as there was no reader."""
        player = self.play(
            "videotestsrc ! video/x-raw,format=RGB,width=160,height=120,"
            "framerate=30/1 ! ndshsink wait-for-connection=true name=probe", options,
            "channel=" + channel)
        self.wait_frames(player, 1)
        self.tell(player, "loop 0 %f %d" % (n / 30, rounds))
        return player

    def test_no_round_of_a_player_is_lost(self):
        for options in "sync=true", "sync=false", "sync=false history=16":
            with self.subTest(options):
                channel = "loop-%d" % len(options)
                self.start_player(channel, options, 5)
                reader = self.play_on(channel, "leaky-type=none ! "
                                      "identity sleep-time=5000")
                frames = self.wait_frames(reader, 5 * 15)
                self.assertEqual([frame["offset"] for frame in frames],
                                 list(range(15)) * 5)
                self.assertFalse(reader.events("end"))
                self.assert_times_go_forward(reader)

    def test_each_round_ends_after_its_last_frame(self):
        # The reader is slow, and several rounds are there that it has not taken.
        self.start_player("loop", "sync=false history=16", 30, n=3)
        reader = self.start(e2e.FRAMES, "read", "loop", "--mode=lossless", "--follow",
                            "--sleep=10")
        rounds = [0]

        def is_all(text):
            event = e2e.parse(text)
            if event and event["event"] == "frame":
                rounds[-1] += 1
            elif event and event["event"] == "ended":
                rounds.append(0)
            return sum(rounds) == 30 * 3 and rounds[-1] == 0
        try:
            reader.find(is_all, timeout=10)
        except AssertionError:
            # What is missing says more than that it is missing.
            pass
        e2e.figure("frames before each end: %s" % rounds)
        self.assertEqual(rounds, [3] * 30 + [0])

    def test_a_reader_ends_with_the_first_round(self):
        modes = ["", "max-buffers=16", "leaky-type=none"]
        for i in range(len(modes)):
            self.start_player("loop-%d" % i, "history=16 sync=false", 5, n=3)
        # Slow, so that the next rounds are there when it has not taken the first.
        readers = [self.play("ndshsrc channel=loop-%d" % i, mode,
                             "name=probe ! identity sleep-time=30000 !"
                             "fakesink sync=false") for i, mode in enumerate(modes)]
        for mode, reader in zip(modes, readers):
            with self.subTest(mode):
                reader.wait_event("end")
                offsets = [frame["offset"] for frame in self.frames(reader)]
                e2e.figure("%s: %s" % (mode or "default", offsets))
                self.assertEqual(offsets, sorted(set(offsets)))
                if mode == "leaky-type=none":
                    self.assertEqual(offsets, [0, 1, 2])


class Encoded(TimeTest):
    """What only makes sense with frames that a reader has not got is not for it."""

    ENCODERS = [("vp8enc", "vp8enc deadline=1 keyframe-max-dist=45 ! "),
                ("openh264enc", "openh264enc gop-size=45 ! ")]
    MODES = ["max-buffers=16", "leaky-type=none"]

    def wait_for_delta(self, writer):
        """Not one that comes shortly before the next whole frame."""
        frames = []

        def is_in_the_middle(text):
            frame = e2e.parse(text)
            if frame and frame["event"] == "buffer":
                frames.append(frame)
            return (len(frames) > 5 and not frames[-5]["delta"]
                    and all(frame["delta"] for frame in frames[-4:]))
        writer.find(is_in_the_middle, writer.mark())

    def assert_can_be_decoded(self, name, frames):
        e2e.figure("%s: %s" % (name, "".join(
            ("d" if frame["delta"] else "K") + ("!" if frame["discont"] else "")
            for frame in frames)))
        after_gaps = [frame for frame in frames if frame["discont"]]
        self.assertTrue(after_gaps)
        self.assertFalse([frame for frame in after_gaps if frame["delta"]])

    def test_a_reader_begins_with_a_frame_that_stands_alone(self):
        encoders = [one for one in self.ENCODERS if e2e.has_elements(one[0])]
        for name, encoder in encoders:
            writer = self.play(
                "videotestsrc is-live=true ! video/x-raw,format=I420,width=160,"
                "height=120,framerate=30/1 !", encoder, "ndshsink name=probe channel="
                + name)
            self.wait_for_delta(writer)
            readers = [self.play("ndshsrc name=probe channel=%s" % name, mode,
                                 "! fakesink sync=false") for mode in self.MODES]
            for mode, reader in zip(self.MODES, readers):
                with self.subTest(encoder=name, mode=mode):
                    self.assert_can_be_decoded("%s %s" % (name, mode),
                                               self.wait_frames(reader, 50))

    def test_a_reader_goes_on_after_a_gap_with_one(self):
        name, encoder = self.ENCODERS[0]
        writer = self.play(
            "videotestsrc is-live=true ! video/x-raw,format=I420,width=160,height=120,"
            "framerate=30/1 !", encoder, "ndshsink name=probe")
        reader = self.play("ndshsrc name=probe max-buffers=16 ! fakesink sync=false")
        self.wait_frames(reader, 5)
        self.tell(reader, "pause")
        time.sleep(1)
        self.wait_for_delta(writer)
        since = reader.mark()
        self.tell(reader, "play")
        self.assert_can_be_decoded("after a pause",
                                   self.wait_frames(reader, 50, since=since))

    @unittest.skipUnless(e2e.has_elements("x265enc", "h265parse", "qtdemux"),
                         "x265enc, h265parse or qtdemux is not there")
    def test_a_file_whose_frames_are_decoded_in_another_order_is_whole(self):
        """Its first frame is decoded before its segment begins."""
        self.run_ok("gst-launch-1.0", "-q", *(
            "videotestsrc num-buffers=60 ! video/x-raw,format=I420,width=160,height=120,"
            "framerate=30/1 ! x265enc speed-preset=ultrafast key-int-max=30 "
            "option-string=bframes=3 ! h265parse ! mp4mux ! filesink location=b.mp4"
        ).split())
        readers = [self.play("ndshsrc channel=%s leaky-type=none is-live=%s !" % (
            live, live), "fakesink name=probe sync=true") for live in ("true", "false")]
        for live in "true", "false":
            self.play("filesrc location=b.mp4 ! qtdemux ! h265parse ! identity name=probe"
                      " ! ndshsink wait-for-connection=true channel=" + live)
        for reader in readers:
            reader.wait_event("eos")
            frames = self.frames(reader)
            self.assertEqual(len(frames), 60)
            self.assertEqual([frame["discont"] for frame in frames].count(True), 1)
            first = frames[0]["pts"]
            self.assertEqual(
                [round((frame["pts"] - first) * 30 / SECOND) for frame in sorted(
                    frames, key=lambda frame: frame["pts"])], list(range(60)))

    def test_a_short_pause_leaves_no_gap_to_be_waited_out(self):
        """What the queue held meanwhile is not shown, but others refer to it."""
        reader = self.play("ndshsrc leaky-type=none ! fakesink name=probe sync=true")
        self.play("videotestsrc is-live=true ! video/x-raw,format=I420,width=160,"
                  "height=120,framerate=30/1 ! vp8enc deadline=1 "
                  "keyframe-max-dist=100000 ! ndshsink wait-for-connection=true")
        self.wait_frames(reader, 10)
        self.tell(reader, "pause")
        time.sleep(0.3)
        since = reader.mark()
        self.tell(reader, "play")
        frames = self.wait_frames(reader, 60, since=since)
        self.assert_times_go_forward(reader)
        self.assertTrue(frames[0]["delta"])
        # Parsers and muxers take frames of one time for one.
        times = [frame["pts"] for frame in frames]
        self.assertEqual(times, sorted(set(times)))

    @unittest.skipUnless(e2e.has_elements("avenc_aac", "mpegtsmux"), "no AAC or MPEG-TS")
    def test_a_stream_without_key_frames_arrives(self):
        """As mpegtsmux of 1.22 flags sound. Who is there from its start has all of it."""
        reader = self.play("ndshsrc leaky-type=none ! fakesink name=probe sync=false")
        writer = self.play("audiotestsrc is-live=true ! audioconvert ! avenc_aac ! mpegtsmux ! "
                           "identity name=probe ! ndshsink wait-for-connection=true")
        got = self.wait_frames(reader, 50)
        sent = self.wait_frames(writer, 50)
        self.assertEqual([frame["size"] for frame in got], [frame["size"] for frame in sent])
        if not all(frame["delta"] for frame in sent):
            e2e.figure("this mpegtsmux has key frames")
        late = self.play("ndshsrc ! fakesink name=probe sync=false")
        self.wait_frames(late, 50)

    def test_a_seek_of_the_writer_brings_what_the_frame_there_refers_to(self):
        encoder = "vp8enc deadline=1 keyframe-max-dist=30"
        self.make_clip(encoder, "clip.mkv", 120)
        reader = self.play("ndshsrc max-buffers=32 ! fakesink name=probe sync=false")
        writer = self.play("filesrc location=clip.mkv ! matroskademux !",
                           "identity name=probe ! ndshsink wait-for-connection=true")
        self.wait_frames(reader, 10)
        since = writer.mark()
        self.tell(writer, "flush-seek 2.7")
        writer.wait_event("flush", since)
        reader.wait_event("eos")
        writer.wait_event("eos")
        sent = [frame["size"] for frame in self.frames(writer, since=since)]
        # What was sent before the seek was done is not asked for.
        key = [frame["delta"] for frame in self.frames(writer, since=since)].index(False)
        got = [frame["size"] for frame in self.frames(reader)]
        self.assertEqual(got[key - len(sent):], sent[key:])
        self.assert_times_go_forward(reader)


if __name__ == "__main__":
    e2e.main()
