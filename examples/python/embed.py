# SPDX-License-Identifier: LGPL-2.1-or-later
"""Shows a camera; from Enter to Enter publishes it in small, too. Needs PyGObject."""

import contextlib
import sys
import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402

Gst.init(None)
pipeline = Gst.parse_launch("ndshsrc channel=cam ! tee name=tee ! queue ! " + (
    " ".join(sys.argv[1:]) or "videoconvert ! autovideosink"))
branch = Gst.parse_bin_from_description("queue leaky=downstream ! videoscale ! "
    "video/x-raw,width=160,height=120 ! ndshsink channel=small async=false", True)
entrance = branch.get_static_pad("sink")


def on_line(stdin, condition):
    if branch.get_parent() is None:
        pipeline.add(branch)
        if branch.sync_state_with_parent():      # before it is given pictures
            pipeline.get_by_name("tee").link(branch)
    elif entrance.is_linked():
        entrance.get_peer().add_probe(Gst.PadProbeType.IDLE, cut)
    return stdin.readline() != ""


def cut(pad, info):                       # no picture is on its way through the pad
    if pad.unlink(entrance):
        GLib.idle_add(remove, pad)        # that ends threads, of which this may be one
    return Gst.PadProbeReturn.REMOVE


def remove(pad):
    pad.get_parent_element().release_request_pad(pad)
    branch.set_state(Gst.State.NULL)
    pipeline.remove(branch)


loop = GLib.MainLoop()
GLib.io_add_watch(sys.stdin, GLib.IO_IN, on_line)
pipeline.bus.add_signal_watch()
pipeline.bus.connect("message::eos", lambda bus, message: loop.quit())
pipeline.bus.connect("message::error", lambda bus, message: (
    print(message.parse_error()[0].message, file=sys.stderr), loop.quit()))
pipeline.set_state(Gst.State.PLAYING)
with contextlib.suppress(KeyboardInterrupt):
    loop.run()
pipeline.set_state(Gst.State.NULL)
