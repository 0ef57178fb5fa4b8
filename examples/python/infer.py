# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where a model would go: a convolution of each newest picture, and its result as a
channel of its own."""

import contextlib

import numpy as np

import ndsh

KERNEL = np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]], np.float32)


def convolve(image, kernel):
    height, width = (side - 2 for side in image.shape)
    result = np.zeros((height, width), np.float32)
    for (y, x), weight in np.ndenumerate(kernel):
        result += weight * image[y:y + height, x:x + width]
    return result


with contextlib.suppress(KeyboardInterrupt), ndsh.Reader("cam") as reader, \
        ndsh.Writer("edges") as writer:
    for frame in reader:                      # "latest": a slow model skips pictures
        edges = convolve(frame.gray(copy=None), KERNEL)     # only looked at: a view
        writer.write(edges, pts=frame.pts)
        print("picture %d: edges of %.1f, %.0f ms after it was published" % (
            frame.sequence, np.abs(edges).mean(), frame.age * 1000))
