# SPDX-License-Identifier: LGPL-2.1-or-later
"""Three processes on one camera. None holds up another, or the camera."""

import contextlib
import multiprocessing
import time

import numpy as np

import ndsh


def brightness():
    for frame in ndsh.Reader("cam", max_fps=2):
        print("brightness: %.0f" % frame.gray(copy=None).mean())


def motion():
    before = None
    for frame in ndsh.Reader("cam"):
        gray = frame.gray(copy=None)          # stays as it is while we keep it
        if before is not None and before.shape == gray.shape:
            change = np.abs(gray.astype(np.int16) - before)
            print("motion: %.1f, %d pictures missed" % (change.mean(), frame.dropped))
        before = gray


def slow():
    for frame in ndsh.Reader("cam", mode="queue", queue=8):
        time.sleep(0.3)                       # a recorder with a slow disk, say
        print("slow: picture %d, %d missed" % (frame.sequence, frame.dropped))


def quietly(function):
    with contextlib.suppress(KeyboardInterrupt):
        function()


if __name__ == "__main__":
    processes = [multiprocessing.Process(target=quietly, args=(one,))
                 for one in (brightness, motion, slow)]
    for process in processes:
        process.start()
    for process in processes:
        quietly(process.join)
