# SPDX-License-Identifier: LGPL-2.1-or-later
"""Serves a channel by RTSP, to recorders of cameras, VLC and the like.

    rtsp.py CHANNEL [PORT, 0 for any]

Needs PyGObject and gst-rtsp-server. Nothing is read, or encoded, while nobody looks, and
all who look share one encoder.
"""

import contextlib
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

channel = sys.argv[1]
port = sys.argv[2] if len(sys.argv) > 2 else "8554"

Gst.init(None)
factory = GstRtspServer.RTSPMediaFactory()
factory.set_shared(True)
factory.set_launch(
    "( ndshsrc channel=%s ! videoconvert ! vp8enc deadline=1 keyframe-max-dist=30 ! "
    "rtpvp8pay name=pay0 pt=96 )" % channel)

server = GstRtspServer.RTSPServer()
server.set_service(port)
server.get_mount_points().add_factory("/" + channel, factory)
if server.attach(None) == 0:
    sys.exit("port %s is taken" % port)
print("rtsp://127.0.0.1:%d/%s" % (server.get_bound_port(), channel), flush=True)
with contextlib.suppress(KeyboardInterrupt):
    GLib.MainLoop().run()
