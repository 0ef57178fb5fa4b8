# SPDX-License-Identifier: LGPL-2.1-or-later
"""A pipeline's pictures in NumPy by appsink, where it has elements that a Reader has not
(here a scaler); its arguments replace them. Needs PyGObject."""

import contextlib
import sys

import gi
import numpy as np

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
from gi.repository import GLib, Gst, GstApp  # noqa: E402, F401

Gst.init(None)
pipeline = Gst.parse_launch(
    "ndshsrc channel=cam ! %s ! videoconvert ! video/x-raw,format=BGR ! appsink name=sink "
    "emit-signals=true sync=false drop=true max-buffers=1" % (
        " ".join(sys.argv[1:]) or "videoscale ! video/x-raw,width=80,height=60"))


def on_sample(sink):
    sample = sink.pull_sample()
    caps = sample.get_caps().get_structure(0)
    width, height = caps.get_value("width"), caps.get_value("height")
    buffer = sample.get_buffer()
    data = buffer.extract_dup(0, buffer.get_size())                       # one copy
    picture = np.ndarray((height, width, 3), np.uint8, data,
                         strides=(len(data) // height, 3, 1))             # rows are padded
    print("%d x %d, brightness %.0f" % (width, height, picture.mean()))
    return Gst.FlowReturn.OK


loop = GLib.MainLoop()
pipeline.get_by_name("sink").connect("new-sample", on_sample)
pipeline.bus.add_signal_watch()
pipeline.bus.connect("message::eos", lambda bus, message: loop.quit())
pipeline.bus.connect("message::error", lambda bus, message: (
    print(message.parse_error()[0].message, file=sys.stderr), loop.quit()))
pipeline.set_state(Gst.State.PLAYING)
with contextlib.suppress(KeyboardInterrupt):
    loop.run()
pipeline.set_state(Gst.State.NULL)
