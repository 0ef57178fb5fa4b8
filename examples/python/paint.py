# SPDX-License-Identifier: LGPL-2.1-or-later
"""Takes a camera's pictures, paints on them, and publishes them as video."""

import contextlib

import ndsh

with contextlib.suppress(KeyboardInterrupt), ndsh.Reader("cam") as reader, \
        ndsh.Writer("painted", format="BGR", fps=30) as writer:
    for frame in reader:
        seen = frame.bgr(copy=None)           # only looked at: no copy if it is BGR
        with writer.draft(seen.shape, pts=frame.pts) as picture:
            picture[:] = seen[:, ::-1]        # mirrored, straight into shared memory
            picture[:20] = (0, 0, 255)        # a red bar on top
