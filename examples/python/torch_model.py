# SPDX-License-Identifier: LGPL-2.1-or-later
"""A camera's pictures in a model of PyTorch, and what it makes of them as a channel."""

import contextlib

import torch

import ndsh

model = torch.nn.Sequential(                  # whatever you have
    torch.nn.AvgPool2d(4),
    torch.nn.Conv2d(3, 8, 3, padding=1),
    torch.nn.ReLU())

with contextlib.suppress(KeyboardInterrupt), torch.no_grad(), \
        ndsh.Reader("cam") as reader, ndsh.Writer("features") as writer:
    for frame in reader:                      # "latest": a slow model skips pictures
        # One copy, and the tensor's own; from_numpy(frame.array) is for who never writes.
        pixels = torch.from_numpy(frame.rgb())
        batch = pixels.permute(2, 0, 1).unsqueeze(0).float() / 255
        features = model(batch)[0]
        writer.write(features.numpy(), pts=frame.pts)
        print("picture %d: %s, %.0f ms after it was published" % (
            frame.sequence, list(features.shape), frame.age * 1000))
