# SPDX-License-Identifier: LGPL-2.1-or-later
"""Both ends of a network for test_network.py: frames that are known again by what is
painted on them, with all that can be known of a frame, and what of that arrives."""

import json
import sys
import time
import zlib

import numpy as np

import ndsh

WIDTH, HEIGHT, BITS = 320, 240, 8


def say(**what):
    print(json.dumps(what), flush=True)


def paint(number):
    """A bar for each bit, that no encoder takes away."""
    bits = (number >> np.arange(BITS)) & 1
    row = np.repeat(np.where(bits, 235, 16), WIDTH // BITS).astype(np.uint8)
    return [np.tile(row, (HEIGHT, 1))] + [
        np.full((HEIGHT // 2, WIDTH // 2), 128, np.uint8)] * 2


def look(luma):
    columns = luma.reshape(HEIGHT, BITS, WIDTH // BITS).mean(axis=(0, 2))
    return int(sum(1 << bit for bit in range(BITS) if columns[bit] > 125))


def crc_of(arrays):
    crc = 0
    for array in arrays:
        crc = zlib.crc32(array.tobytes(), crc)
    return crc


def near(channel):
    """30 frames a second and not quite steady."""
    caps = ("video/x-raw, format=I420, width=%d, height=%d, framerate=30/1, "
            "colorimetry=bt601" % (WIDTH, HEIGHT))
    with ndsh.Writer(channel, caps=caps) as writer:
        number, due = 0, time.monotonic()
        while True:
            due += (0.025, 0.035, 0.040)[number % 3]
            time.sleep(max(0, due - time.monotonic()))
            number += 1
            now, ntp = time.monotonic_ns(), time.time_ns() + 2208988800 * 10 ** 9
            picture = paint(number % (1 << BITS))
            # Before it can arrive.
            say(event="wrote", number=number, pts=now, ntp=ntp, crc=crc_of(picture))
            writer.write(
                picture, pts=now,
                regions=[ndsh.Region("thing", number, 2, 30, 40, 0.5)],
                metas=[ndsh.Meta("GstReferenceTimestampMeta", {
                    "reference": "timestamp/x-ntp", "timestamp": ntp, "duration": 2 ** 64 - 1})])


def references(frame):
    return [meta.fields["timestamp"] for meta in frame.metas
            if meta.name == "GstReferenceTimestampMeta"
            and meta.fields.get("reference") == "timestamp/x-ntp"]


def far(channel):
    with ndsh.Reader(channel, mode="queue", queue=32) as reader:
        while True:
            try:
                frame = reader.read()
            except (EOFError, BrokenPipeError):
                continue                   # the line ended, and is started again
            say(event="frame", number=look(frame.planes[0]), pts=frame.pts,
                at=time.monotonic_ns(),
                regions=[region[:5] for region in frame.regions],
                ntp=references(frame), crc=crc_of(frame.planes), title=frame.tags.get("title"))


def arrays(channel):
    """Of some kinds, in turns."""
    generator = np.random.RandomState(1)
    with ndsh.Writer(channel) as writer:
        for i in range(10 ** 9):
            dtype = ("float32", "complex128", "bool", "int16")[i // 8 % 4]
            array = generator.randint(0, 2, (7, 5, 1 + i // 8 % 3)).astype(dtype)
            say(event="wrote", crc=crc_of([array]), looks=looks_of(array))
            writer.write(array)
            time.sleep(0.02)


def looks_of(array):
    return "%s %s" % (array.dtype.str, array.shape)


def sums(channel):
    with ndsh.Reader(channel, mode="queue", queue=32) as reader:
        for frame in reader:
            say(event="frame", crc=crc_of([frame.array]), looks=looks_of(frame.array))


if __name__ == "__main__":
    {"near": near, "far": far, "arrays": arrays, "sums": sums}[sys.argv[1]](sys.argv[2])
