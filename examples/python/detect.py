# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where a detector would go: finds what is bright in a camera's pictures, and publishes
them with a box around it."""

import contextlib

import numpy as np

import ndsh


def detect(gray):
    """The smallest box around all that is nearly as bright as the brightest."""
    rows, columns = np.nonzero(gray >= 0.9 * gray.max())
    x, y = columns.min(), rows.min()
    return ndsh.Region("bright", x, y, columns.max() + 1 - x, rows.max() + 1 - y,
                       confidence=gray.max() / 255, id=0)


writer = None
with contextlib.suppress(KeyboardInterrupt), ndsh.Reader("cam") as reader:
    for frame in reader:                      # "latest": a slow detector skips pictures
        if writer is None or writer.caps != frame.caps:
            writer = writer and writer.close()
            writer = ndsh.Writer("boxes", caps=frame.caps)
        region = detect(frame.gray(copy=None))
        writer.write(frame.planes, pts=frame.pts, regions=[region])
        print("picture %d: %s at %d, %d" % (
            frame.sequence, region.label, region.x, region.y))
if writer is not None:
    writer.end()                              # EOS, in pipelines
    writer.close()
