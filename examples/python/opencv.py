# SPDX-License-Identifier: LGPL-2.1-or-later
"""Shows a camera with OpenCV; without OpenCV or a screen it tells what it sees."""

import contextlib
import os

import ndsh

try:
    import cv2
except ImportError:
    cv2 = None

has_window = cv2 is not None and "DISPLAY" in os.environ

with contextlib.suppress(KeyboardInterrupt), ndsh.Reader("cam") as reader:
    for frame in reader:
        picture = frame.bgr()             # height, width, 3; yours, to paint on
        if not has_window:
            print("%d x %d, brightness %.0f, %.1f ms old" % (
                picture.shape[1], picture.shape[0], picture.mean(), frame.age * 1000))
            continue
        cv2.putText(picture, "%.1f ms" % (frame.age * 1000), (10, 30),
                    cv2.FONT_HERSHEY_SIMPLEX, 1, (0, 255, 0), 2)
        cv2.imshow("cam", picture)
        if cv2.waitKey(1) == 27:          # Escape
            break
