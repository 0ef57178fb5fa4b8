# SPDX-License-Identifier: LGPL-2.1-or-later
"""A camera's pictures in a model in a file of ONNX, run by OpenCV:

    onnx_model.py FILE.onnx [WIDTH HEIGHT]

What comes out of it is a channel of its own, "outputs".
"""

import contextlib
import sys

import cv2

import ndsh

net = cv2.dnn.readNetFromONNX(sys.argv[1])
size = tuple(int(side) for side in sys.argv[2:4]) or None

with contextlib.suppress(KeyboardInterrupt), ndsh.Reader("cam") as reader, \
        ndsh.Writer("outputs") as writer:
    for frame in reader:                      # "latest": a slow model skips pictures
        picture = frame.bgr(copy=None)        # a model does not write to its input
        net.setInput(cv2.dnn.blobFromImage(
            picture, 1 / 255, size or picture.shape[1::-1], swapRB=True))
        output = net.forward()
        writer.write(output, pts=frame.pts)
        print("picture %d: %s, %.0f ms after it was published" % (
            frame.sequence, list(output.shape), frame.age * 1000))
