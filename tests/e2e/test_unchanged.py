# SPDX-License-Identifier: LGPL-2.1-or-later
"""Item 11: a published frame is never written again."""

import e2e

SMALL = "video/x-raw,format=%s,width=160,height=120,framerate=30/1"
N = 60


class Unchanged(e2e.TestCase):

    def assert_unchanged(self, name, pipeline):
        """A reader holds each frame for a second, and compares."""
        reader = self.start(e2e.FRAMES, "read", "held", "--mode=lossless",
                            "--leases=64", "--hold=1000", "--quiet")
        reader.wait_event("open")
        writer = self.pipeline(pipeline.replace(
            "SINK", "ndshsink name=s channel=held wait-for-connection=true "
            "lossless-timeout=10000000000"))
        self.assert_exits(writer)
        self.assert_exits(reader)
        read = reader.wait_event("read")
        stats = writer.events("stats")[-1]
        e2e.figure("%s: %d frames (%d copied), %d compared, %d changed" % (
            name, stats["frames-published"], stats["frames-copied"],
            read["compared"], read["changed"]))
        self.assertGreaterEqual(read["compared"], 50)
        self.assertEqual(read["compared"], stats["frames-published"])
        self.assertEqual(read["changed"], 0)

    def test_elements_that_work_in_place_behind_a_tee(self):
        ran = 0
        for element, caps in (
                ("gamma gamma=2", SMALL % "I420"), ("videobalance hue=0.5", SMALL % "I420"),
                ("timeoverlay", SMALL % "I420"), ("coloreffects preset=sepia", SMALL % "RGBA"),
                ("alpha method=green ! video/x-raw,format=AYUV", SMALL % "AYUV"),
                ("videoflip method=clockwise", SMALL % "I420")):
            with self.subTest(element=element):
                if not e2e.has_elements(element.split()[0]):
                    e2e.figure("no %s here" % element)
                    continue
                self.assert_unchanged(
                    element, "videotestsrc num-buffers=%d ! %s ! tee name=t ! queue ! SINK "
                    "t. ! queue ! %s ! fakesink" % (N, caps, element))
                ran += 1
        self.assertGreater(ran, 0)

    def test_elements_that_work_in_place_on_a_frame_that_upstream_repeats(self):
        # They get the memory of our pool, once more after it was published.
        for element in "gamma gamma=2", "videobalance hue=0.5", "gamma ! tee":
            with self.subTest(element=element):
                self.assert_unchanged(
                    "videorate ! " + element, "videotestsrc num-buffers=20 ! "
                    "video/x-raw,format=I420,width=160,height=120,framerate=10/1 ! "
                    "videorate ! video/x-raw,framerate=30/1 ! %s ! SINK" % element)

    def test_two_sinks_behind_a_tee(self):
        self.assert_unchanged(
            "two sinks", "videotestsrc num-buffers=%d ! %s ! tee name=t ! queue ! SINK t. ! "
            "queue ! ndshsink name=other channel=other" % (N, SMALL % "I420"))

    def test_decoders_with_reference_frames(self):
        ran = 0
        for encoder, decoder in (
                ("x264enc bframes=2 key-int-max=60 ! h264parse", "h264parse ! avdec_h264"),
                ("openh264enc gop-size=60 ! h264parse", "h264parse ! avdec_h264"),
                ("openh264enc gop-size=60 ! h264parse", "h264parse ! openh264dec"),
                ("vp8enc deadline=1 keyframe-max-dist=60", "vp8dec"),
                ("vp8enc deadline=1 keyframe-max-dist=60", "avdec_vp8"),
                ("theoraenc keyframe-force=64", "theoradec"),
                ("avenc_mpeg4", "mpeg4videoparse ! avdec_mpeg4")):
            with self.subTest(encoder=encoder, decoder=decoder):
                if not e2e.has_elements(*[part.split()[0] for part in
                                          (encoder + " ! " + decoder).split(" ! ")]):
                    e2e.figure("no %s or %s here" % (encoder, decoder))
                    continue
                clip = self.make_clip(encoder, "clip.mkv", frames=N)
                self.assert_unchanged(
                    decoder, "filesrc location=%s ! matroskademux ! %s ! SINK" % (
                        clip, decoder))
                ran += 1
        self.assertGreater(ran, 0)

    def test_frames_that_upstream_repeats(self):
        self.assert_unchanged(
            "videorate", "videotestsrc num-buffers=20 ! video/x-raw,format=I420,width=160,"
            "height=120,framerate=10/1 ! videorate ! video/x-raw,framerate=30/1 ! SINK")

    def test_frames_that_upstream_overwrites_piece_by_piece(self):
        self.assert_unchanged(
            "videobox", "videotestsrc num-buffers=%d ! %s ! videobox border-alpha=0 top=-20 "
            "! videoconvert ! SINK" % (N, SMALL % "I420"))


if __name__ == "__main__":
    e2e.main()
