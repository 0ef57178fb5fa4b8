# SPDX-License-Identifier: LGPL-2.1-or-later
"""Shows a camera with OpenCV; without OpenCV or a screen it tells what it sees."""

import os

import ndsh

try:
    import cv2
except ImportError:
    cv2 = None

has_window = cv2 is not None and "DISPLAY" in os.environ

for frame in ndsh.Reader("cam"):
    picture = frame.bgr(copy=None)        # height, width, 3; a view if it is BGR already
    if not has_window:
        print("%d x %d, brightness %.0f, %.1f ms old" % (
            picture.shape[1], picture.shape[0], picture.mean(), frame.age * 1000))
        continue
    cv2.imshow("cam", picture)
    if cv2.waitKey(1) == 27:              # Escape
        break
