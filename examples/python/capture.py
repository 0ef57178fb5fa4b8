# SPDX-License-Identifier: LGPL-2.1-or-later
"""Channels by OpenCV's own VideoCapture and VideoWriter, for programs that have these.
Needs an OpenCV with GStreamer, which Debian's is and pip's is not."""

import contextlib
import sys

import cv2

import ndsh

# By default appsink shows each picture when it is due; here it is taken when it comes.
SOURCE = ("ndshsrc channel=cam on-disconnect=eos ! videoconvert ! video/x-raw,format=BGR "
          "! appsink sync=false drop=true max-buffers=1")
SINK = "appsrc ! videoconvert ! video/x-raw,format=BGR ! ndshsink channel=seen sync=false"

# VideoCapture waits for ever for a writer.
with ndsh.Reader("cam") as reader:
    if not reader.wait(timeout=10):
        sys.exit("nobody writes channel 'cam'")

capture = cv2.VideoCapture(SOURCE, cv2.CAP_GSTREAMER)
size = tuple(int(capture.get(one)) for one in (cv2.CAP_PROP_FRAME_WIDTH,
                                               cv2.CAP_PROP_FRAME_HEIGHT))
writer = cv2.VideoWriter(SINK, cv2.CAP_GSTREAMER, 0, 30, size)
with contextlib.suppress(KeyboardInterrupt):
    while True:
        is_there, picture = capture.read()
        if not is_there:                  # the camera has ended
            break
        cv2.putText(picture, "seen", (20, 60), cv2.FONT_HERSHEY_SIMPLEX, 2, (0, 0, 0), 3)
        writer.write(picture)
capture.release()
writer.release()
