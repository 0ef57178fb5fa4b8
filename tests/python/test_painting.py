# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a program may paint on is its own: nothing crashes, and nobody else sees it. With
the OpenCV and the PyTorch that ignore NumPy's read-only flag, where they are installed."""

import importlib.util
import pickle

import numpy as np
import pytest

import ndsh
from conftest import address_of, in_shared_memory

needs_opencv = pytest.mark.skipif(importlib.util.find_spec("cv2") is None,
                                  reason="no OpenCV")
needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None,
                                 reason="no PyTorch")

FORMATS = ["BGR", "RGB", "BGRx", "RGBx", "xRGB", "xBGR", "RGBP", "BGRP", "GBR", "GRAY8",
           "NV12", "I420", "YUY2", "UYVY", "Y444", "AYUV"]


def shapes(format, width, height):
    planes = ndsh.formats.LAYOUTS[format]
    return [plane.shape(width, height) for plane in planes]


@pytest.fixture
def channel():
    """Sends a random picture of a format: its frame, and that of another reader."""
    opened = []

    def send(format, width=62, height=48, **options):
        generator = np.random.RandomState(1)
        writer = ndsh.Writer(format, format=format)
        readers = [ndsh.Reader(format, timeout=30, **options),
                   ndsh.Reader(format, timeout=30)]
        opened.extend(readers + [writer])
        for reader in readers:
            reader.wait(0)
        writer.write([generator.randint(0, 256, shape).astype(np.uint8)
                      for shape in shapes(format, width, height)])
        return [reader.read() for reader in readers]
    yield send
    for one in opened:
        one.close()


@pytest.mark.parametrize("to", ["bgr", "rgb", "gray"])
@pytest.mark.parametrize("format", FORMATS)
def test_a_picture_is_the_programs_own(channel, format, to):
    frame, other = channel(format)
    before = [plane.copy() for plane in frame.planes]
    picture = getattr(frame, to)()
    same = getattr(frame, to)(copy=None)

    assert picture.flags.writeable and picture.flags.c_contiguous
    assert not in_shared_memory(picture) and np.array_equal(picture, same)
    picture[...] = 7
    picture += 1

    for one in (frame, other):
        assert all(map(np.array_equal, one.planes, before))
    assert not np.array_equal(getattr(frame, to)(), picture)


@pytest.mark.parametrize("without_opencv", [False, True])
def test_every_order_of_colours_is_copied_as_it_is(channel, monkeypatch, without_opencv):
    if without_opencv:
        monkeypatch.setattr(ndsh.pixels, "_opencv", lambda: None)
    for format in FORMATS[:8]:
        frame, _ = channel(format)
        for to in ("bgr", "rgb"):
            assert np.array_equal(getattr(frame, to)(), getattr(frame, to)(copy=False))


def test_a_view_stays_read_only(channel):
    frame, _ = channel("BGR")
    for view in (frame.array, frame.bgr(copy=False), frame.rgb(copy=False),
                 frame.bgr(copy=None), np.asarray(frame)):
        assert in_shared_memory(view) and not view.flags.writeable
        with pytest.raises(ValueError):
            view[...] = 0


def test_what_came_in_another_byte_order_is_in_the_machines():
    array = np.arange(48 * 62, dtype=np.uint16).reshape(48, 62)
    with ndsh.Writer("a", format="GRAY16_BE") as writer, \
            ndsh.Reader("a", timeout=30) as reader:
        reader.wait(0)
        writer.write(array)
        frame = reader.read()
        assert frame.array.dtype == ">u2"
        for own in (frame.copy(), frame.gray()):
            assert own.dtype.isnative and np.array_equal(own, array)


def test_copy_is_what_array_is_without_padding(channel):
    frame, _ = channel("BGR", width=61)
    assert frame.array.strides[0] == 184
    own = frame.copy()
    assert own.flags.c_contiguous and own.flags.writeable
    assert np.array_equal(own, frame.array)


def test_the_memory_of_what_is_dropped_is_used_again(channel):
    frame, _ = channel("BGR", 320, 240)
    seen = set()
    picture = None
    for _ in range(100):
        picture = frame.bgr()                 # the last is there until this one is
        seen.add(address_of(picture))
    assert len(seen) == 2


def test_the_memory_of_what_is_kept_is_not(channel):
    frame, _ = channel("BGR")
    kept = [frame.bgr() for _ in range(5)]
    kept = []                                 # of which two are used again
    for n in range(50):
        kept.append(frame.bgr()[3:])          # a slice keeps it, too
        kept[-1][...] = n
    assert len({address_of(picture) for picture in kept}) == 50
    assert all((picture == n).all() for n, picture in enumerate(kept))


def test_little_is_kept_of_what_is_dropped(channel):
    frame, _ = channel("BGR")
    kept = [frame.bgr() for _ in range(50)]
    del kept
    assert [len(spare) for spare in frame._meaning.buffers._spare.values()] == [2]


# --- Paintable frames --------------------------------------------------------

@pytest.mark.parametrize("format", ["BGR", "NV12"])
def test_a_paintable_frame_is_the_programs_own(channel, format):
    frame, other = channel(format, paintable=True)
    assert np.array_equal(frame.array, other.array)
    assert frame.copied and not other.copied
    for array in (frame.array, frame.planes[0], frame.arrays[0], np.asarray(frame)):
        assert array.flags.writeable and not in_shared_memory(array)
        array[...] = 7
    assert (frame.array[:48] == 7).all() and (frame.planes[0] == 7).all()
    assert not (other.array == 7).all()
    assert frame.sequence == other.sequence and frame.info == other.info


def test_a_paintable_reader_holds_no_leases():
    with ndsh.Writer("a") as writer, \
            ndsh.Reader("a", timeout=30, paintable=True) as reader:
        reader.wait(0)
        kept = []
        for n in range(50):
            writer.write(np.full((30, 40), n))
            kept.append(reader.read())
            kept[-1].array[0] = -1
        assert reader.info.n_leases == 0 and reader.copied == 0
        assert all((frame.array[1:] == n).all() for n, frame in enumerate(kept))
        assert pickle.loads(pickle.dumps(reader))._frame_type is reader._frame_type


@pytest.mark.parametrize("value, option, paintable", [
    ("1", None, True), ("1", False, False), ("0", None, False), ("", None, False),
    ("0", True, True)])
def test_the_environment_has_all_readers_paintable(monkeypatch, channel, value, option,
                                                   paintable):
    monkeypatch.setenv("NDSH_PAINTABLE", value)
    frame, _ = channel("BGR", paintable=option)
    assert frame.array.flags.writeable == paintable == frame.copied


# --- Those that ignore the flag ----------------------------------------------

# In a process of its own: what is wrong here ends the interpreter.
PREPARED = """
import numpy as np, ndsh, ndsharray
picture = np.random.RandomState(1).randint(0, 256, (240, 320, 3)).astype(np.uint8)
writer = ndsh.Writer("a", format="BGR")
reader, other = ndsh.Reader("a", timeout=30), ndsh.Reader("a", timeout=30)
all_own = ndsh.Reader("a", timeout=30, paintable=True)
original = ndsharray.NdShArray("a", r_w="r")
for one in (reader, other, all_own):
    one.wait(0)

def painted(paint):
    writer.write(picture)
    frame = reader.read()
    for own in (frame.bgr(), frame.rgb(), frame.copy(), original.read()[1],
                all_own.read().array):
        paint(own)
        assert not np.array_equal(own, picture)
    gray = frame.gray()
    assert np.array_equal(other.read().array, picture)
    assert np.array_equal(frame.array, picture)
    return frame.gray()
"""


@needs_opencv
def test_opencv_paints_and_nobody_else_sees_it(program):
    said = program(PREPARED + """
import cv2
red = (0, 0, 255)
calls = [
    lambda a: cv2.rectangle(a, (10, 10), (200, 200), red, -1),
    lambda a: cv2.circle(a, (100, 100), 50, red, 3),
    lambda a: cv2.line(a, (0, 0), (319, 239), red, 2),
    lambda a: cv2.putText(a, "hello", (20, 90), cv2.FONT_HERSHEY_SIMPLEX, 2, red, 3),
    lambda a: cv2.flip(a, 1, dst=a),
    lambda a: cv2.GaussianBlur(a, (9, 9), 0, dst=a),
    lambda a: cv2.fillPoly(a, [np.array([[5, 5], [90, 9], [50, 200]])], red),
    lambda a: cv2.add(a, 40, dst=a),
    lambda a: cv2.bitwise_not(a, dst=a),
    lambda a: cv2.normalize(a, a, 0, 100, cv2.NORM_MINMAX)]
for n in range(40):
    gray = painted(calls[n % len(calls)])
    cv2.rectangle(gray, (10, 10), (200, 200), 7, -1)
    assert (gray[50:100, 50:100] == 7).all()
print("painted")
""").succeed()
    assert said == "painted\n"


@needs_torch
def test_torch_writes_and_nobody_else_sees_it(program):
    said = program(PREPARED + """
import torch

def double(a):
    tensor = torch.from_numpy(a)
    tensor += 1
    tensor.mul_(2)
    tensor[..., 0] = 5

for n in range(40):
    torch.from_numpy(painted(double)).zero_()
print("painted")
""").succeed()
    assert said == "painted\n"
