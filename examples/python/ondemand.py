# SPDX-License-Identifier: LGPL-2.1-or-later
"""A camera that is on only while somebody looks. Needs PyGObject."""

import contextlib
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402

Gst.init(None)
camera = Gst.parse_bin_from_description(
    " ".join(sys.argv[1:]) or "v4l2src ! videoconvert", True)
sink = Gst.ElementFactory.make("ndshsink")
sink.set_property("channel", "cam")
sink.set_property("async", False)         # it need not have a picture to play
pipeline = Gst.Pipeline()
pipeline.add(camera)
pipeline.add(sink)
camera.link(sink)


def switch_camera(on):
    camera.set_locked_state(not on)       # or it would follow the pipeline
    if on:
        camera.sync_state_with_parent()
    else:
        camera.set_state(Gst.State.NULL)
    print("the camera is", "on" if on else "off", flush=True)


def on_element_message(bus, message):
    if message.has_name("GstNdshSinkReaders"):
        switch_camera(message.get_structure().get_value("num-readers") > 0)


loop = GLib.MainLoop()
pipeline.bus.add_signal_watch()
pipeline.bus.connect("message::element", on_element_message)
pipeline.bus.connect("message::error", lambda bus, message: (
    print(message.parse_error()[0].message, file=sys.stderr), loop.quit()))
switch_camera(False)
pipeline.set_state(Gst.State.PLAYING)
with contextlib.suppress(KeyboardInterrupt):
    loop.run()
pipeline.set_state(Gst.State.NULL)
