# SPDX-License-Identifier: LGPL-2.1-or-later
"""A pipeline that draws the boxes of detect.py, as those of any detector that leaves
GstVideoRegionOfInterestMeta. Needs PyGObject, and pycairo for cairooverlay."""

import contextlib
import sys
import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import GLib, Gst, GstVideo  # noqa: E402

Gst.init(None)
pipeline = Gst.parse_launch(
    "ndshsrc channel=boxes name=boxes ! videoconvert ! cairooverlay name=overlay "
    "! videoconvert ! " + (" ".join(sys.argv[1:]) or "autovideosink"))
regions = []                              # of the buffer that is being drawn on


def note_regions(pad, info):
    del regions[:]
    for id in range(100):                 # detect.py numbers them from 0 on
        region = GstVideo.buffer_get_video_region_of_interest_meta_id(
            info.get_buffer(), id)
        if region is None:
            break
        regions.append((region.x, region.y, region.w, region.h))
    return Gst.PadProbeReturn.OK


def draw(overlay, context, timestamp, duration):
    context.set_source_rgb(1, 0, 0)
    context.set_line_width(4)
    for box in regions:
        context.rectangle(*box)
    context.stroke()


pipeline.get_by_name("boxes").get_static_pad("src").add_probe(
    Gst.PadProbeType.BUFFER, note_regions)
pipeline.get_by_name("overlay").connect("draw", draw)
pipeline.set_state(Gst.State.PLAYING)
loop = GLib.MainLoop()
pipeline.bus.add_signal_watch()
pipeline.bus.connect("message::eos", lambda bus, message: loop.quit())
pipeline.bus.connect("message::error", lambda bus, message: (
    print(message.parse_error()[0].message, file=sys.stderr), loop.quit()))
with contextlib.suppress(KeyboardInterrupt):
    loop.run()
pipeline.set_state(Gst.State.NULL)
