# SPDX-License-Identifier: LGPL-2.1-or-later
"""Item 2: which elements write into shared memory, and which are copied."""

import e2e

RAW = "video/x-raw,format=I420,width=320,height=240,framerate=30/1"
SINK = "ndshsink name=s sync=false"

# What encodes a clip, and what decodes it straight into the pool.
DECODERS = [
    ("jpegenc", "jpegdec"),
    ("openh264enc ! h264parse", "h264parse ! openh264dec"),
    ("openh264enc ! h264parse", "h264parse ! avdec_h264"),
    ("x264enc bframes=2 ! h264parse", "h264parse ! avdec_h264"),
    ("vp8enc deadline=1", "vp8dec"),
    ("vp8enc deadline=1", "avdec_vp8"),
    ("theoraenc", "theoradec"),
    ("jpegenc", "jpegparse ! avdec_mjpeg"),
    ("avenc_mpeg4", "mpeg4videoparse ! avdec_mpeg4"),
]


def elements_of(pipeline):
    return [part.split()[0] for part in pipeline.split(" ! ") if "/" not in part]


class Copies(e2e.TestCase):

    def run_stats(self, pipeline):
        """The stats of ndshsink at the end."""
        process = self.pipeline(pipeline)
        self.assert_exits(process)
        return process.events("stats")[-1]

    def assert_copies(self, pipeline, n_frames, n_copied):
        stats = self.run_stats(pipeline)
        self.assertEqual(stats["frames-published"], n_frames, stats)
        self.assertEqual(stats["frames-copied"], n_copied, stats)
        self.assertEqual(stats["frames-zero-copy"], n_frames - n_copied, stats)
        self.assertEqual(stats["frames-dropped"], 0, stats)
        return stats

    def test_sources_converters_and_scalers_are_not_copied(self):
        for pipeline in (
                "videotestsrc num-buffers=30 ! " + SINK,
                "videotestsrc num-buffers=30 ! video/x-raw,format=I420,width=641,"
                "height=481 ! " + SINK,
                "videotestsrc num-buffers=30 ! video/x-raw,format=RGB ! videoconvert "
                "! video/x-raw,format=I420 ! " + SINK,
                "videotestsrc num-buffers=30 ! video/x-raw,width=320,height=240 ! "
                "videoscale ! video/x-raw,width=854,height=480 ! " + SINK,
                "videotestsrc num-buffers=30 ! " + RAW + " ! identity ! " + SINK,
                "videotestsrc num-buffers=30 ! " + RAW + " ! queue ! " + SINK):
            with self.subTest(pipeline=pipeline):
                self.assert_copies(pipeline, 30, 0)

    def test_sound_and_what_base_classes_encode_are_not_copied(self):
        for pipeline, elements in (
                ("audiotestsrc num-buffers=30", ""),
                ("audiotestsrc num-buffers=30 ! audioconvert ! "
                 "audio/x-raw,format=F32LE,channels=2", ""),
                ("audiotestsrc num-buffers=30 ! "
                 "audio/x-raw,layout=non-interleaved,channels=2", ""),
                ("audiotestsrc num-buffers=30 ! audioconvert ! opusenc", "opusenc"),
                ("videotestsrc num-buffers=30 ! " + RAW + " ! openh264enc",
                 "openh264enc")):
            with self.subTest(pipeline=pipeline):
                if elements and not e2e.has_elements(elements):
                    e2e.figure("no %s here" % elements)
                    continue
                stats = self.run_stats(pipeline + " ! " + SINK)
                self.assertGreaterEqual(stats["frames-published"], 30)
                self.assertEqual(stats["frames-copied"], 0, stats)

    def test_decoders_are_not_copied(self):
        ran = 0
        for encoder, decoder in DECODERS:
            with self.subTest(encoder=encoder, decoder=decoder):
                missing = [name for name in elements_of(encoder + " ! " + decoder)
                           if not e2e.has_elements(name)]
                if missing:
                    e2e.figure("%s: no %s here" % (decoder, missing[0]))
                    continue
                clip = self.make_clip(encoder, "clip.mkv")
                stats = self.run_stats(
                    "filesrc location=%s ! matroskademux ! %s ! %s" % (
                        clip, decoder, SINK))
                e2e.figure("%s of %s: %d frames, %d copied" % (
                    decoder, encoder, stats["frames-published"],
                    stats["frames-copied"]))
                # Some decoders skip the first frames, or keep the last.
                self.assertGreaterEqual(stats["frames-published"], 58)
                self.assertEqual(stats["frames-copied"], 0)
                ran += 1
        self.assertGreater(ran, 0, "no decoder is installed")

    def count_copies_of_reader(self, decoder, tail):
        """Of a clip behind @decoder: in its writer, and in a reader."""
        reader = self.pipeline(
            "ndshsrc channel=rows leaky-type=none ! videoconvert ! " + tail)
        writer = self.pipeline(
            "filesrc location=clip.mkv ! matroskademux ! %s ! ndshsink sync=false "
            "channel=rows wait-for-connection=true" % decoder)
        self.assert_exits(writer)
        self.assert_exits(reader)
        written, read = [process.events("stats")[-1] for process in (writer, reader)]
        self.assertEqual(read["frames-received"], written["frames-published"])
        return written["frames-copied"], read["frames-copied"], read["frames-received"]

    def test_who_needs_rows_as_caps_say_copies_what_libav_decodes_unless_libav_does(self):
        encoder, decoder = next(pair for pair in DECODERS if pair[1] == "avdec_vp8")
        if not e2e.has_elements(*elements_of(encoder + " ! " + decoder)):
            self.skipTest("no %s here" % decoder)
        self.make_clip(encoder, "clip.mkv")

        *copies, n = self.count_copies_of_reader(decoder, "fakesink")
        self.assertEqual(copies, [0, n])
        *copies, n = self.count_copies_of_reader(
            decoder, "video/x-raw,format=BGR ! fakesink")
        self.assertEqual(copies, [0, 0])
        *copies, n = self.count_copies_of_reader(
            decoder + " direct-rendering=false", "fakesink")
        self.assertEqual(copies, [0, 0])

    def test_a_frame_that_upstream_made_elsewhere_is_copied_once(self):
        raw = self.dir + "/raw"
        self.run_ok("gst-launch-1.0", "-q", "videotestsrc", "num-buffers=30", "!",
                    RAW, "!", "filesink", "location=" + raw)
        size = 320 * 240 * 3 // 2
        for pipeline in (
                "filesrc location=%s ! rawvideoparse format=i420 width=320 "
                "height=240 ! %s" % (raw, SINK),
                "filesrc location=%s blocksize=%d ! %s ! %s" % (raw, size, RAW, SINK)):
            with self.subTest(pipeline=pipeline):
                stats = self.assert_copies(pipeline, 30, 30)
                self.assertEqual(stats["bytes-copied"], 30 * size)

    def test_what_works_in_place_or_has_nothing_to_do_hands_on_what_it_gets(self):
        size = 320 * 240 * 3 // 2
        source = "filesrc location=/dev/zero blocksize=%d num-buffers=30 ! %s ! " % (
            size, RAW)
        for converter, n_copied in (
                ("videoconvert", 30),
                ("videoconvert ! video/x-raw,format=RGB", 0),
                ("videoscale", 30),
                ("videoscale ! video/x-raw,width=640", 0),
                ("videobalance hue=0.5", 30),
                ("queue", 30)):
            with self.subTest(converter=converter):
                self.assert_copies(source + converter + " ! " + SINK, 30, n_copied)

    def test_a_frame_behind_a_tee_is_copied_once_at_most(self):
        stats = self.run_stats(
            "videotestsrc num-buffers=30 ! %s ! tee name=t ! queue ! %s t. ! queue ! "
            "fakesink" % (RAW, SINK))
        e2e.figure("tee: %d of %d copied" % (
            stats["frames-copied"], stats["frames-published"]))
        self.assertEqual(stats["frames-published"], 30)
        self.assertLessEqual(stats["bytes-copied"], 30 * 320 * 240 * 3 // 2)

    def test_a_still_that_is_repeated_is_copied_once_for_each_frame_at_most(self):
        stats = self.run_stats(
            "videotestsrc num-buffers=10 ! video/x-raw,width=320,height=240,"
            "format=I420,framerate=10/1 ! videorate ! video/x-raw,framerate=30/1 ! "
            + SINK)
        e2e.figure("videorate: %d of %d copied" % (
            stats["frames-copied"], stats["frames-published"]))
        self.assertGreaterEqual(stats["frames-published"], 25)
        self.assertLessEqual(stats["bytes-copied"],
                             stats["frames-published"] * 320 * 240 * 3 // 2)

    def test_allow_copy_false_is_an_error_that_names_the_element(self):
        process = self.pipeline(
            "filesrc location=/dev/zero blocksize=115200 name=zeros ! %s ! ndshsink "
            "allow-copy=false" % RAW)

        self.assertNotEqual(process.wait(), 0, process.output())
        error = process.wait_event("error")
        self.assertEqual(error["element"], "ndshsink0")
        self.assertIn("copied", error["message"])
        # Not the one that only looks at caps.
        self.assertIn("from zeros", error["message"])

    def test_allow_copy_false_is_no_error_where_nothing_is_copied(self):
        self.assert_copies(
            "videotestsrc num-buffers=30 ! videoconvert ! %s allow-copy=false" % SINK,
            30, 0)

    def test_info_messages_say_once_why_frames_are_copied(self):
        process = self.start(
            e2e.PIPELINE, *("filesrc location=/dev/zero blocksize=115200 "
                            "num-buffers=20 ! %s ! %s" % (RAW, SINK)).split(),
            env={"GST_DEBUG": "ndshsink:4", "GST_DEBUG_NO_COLOR": "1"})

        self.assert_exits(process)
        why = [text for text in process.texts() if "copying what" in text]
        self.assertEqual(len(why), 1, process.output())
        self.assertIn("what filesrc0 gives", why[0])


if __name__ == "__main__":
    e2e.main()
