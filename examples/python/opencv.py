# SPDX-License-Identifier: LGPL-2.1-or-later
"""Shows a camera with OpenCV; without OpenCV or a screen it tells what it sees."""

import os
from contextlib import suppress

import ndsh

try:
    import cv2
except ImportError:
    cv2 = None

has_window = cv2 is not None and "DISPLAY" in os.environ

with suppress(KeyboardInterrupt):             # Ctrl-C
    for frame in ndsh.Reader("cam"):
        picture = frame.bgr()             # height, width, 3; a view if it is BGR already
        if not has_window:
            print("%d x %d, brightness %.0f, %.1f ms old" % (
                picture.shape[1], picture.shape[0], frame.gray().mean(), frame.age * 1000))
            continue
        cv2.imshow("cam", picture)
        if cv2.waitKey(1) == 27:              # Escape
            break
