# SPDX-License-Identifier: LGPL-2.1-or-later
"""What caps mean as arrays, both ways and to the last bit.

An array goes through ndsh.Writer and ndshsrc to a program that knows caps and bytes
alone, and a buffer of such a program through ndshsink to ndsh.Reader. Where the bytes
of a plane lie is asked of GStreamer; what dtype and shape it has stands here, and
nothing is taken from ndsh.formats. NDSH_SEED repeats the bytes.
"""

import os
import random
import time

import numpy as np
import pytest

import ndsh
from conftest import DEADLINE, figure, in_shared_memory

gi = pytest.importorskip("gi")
try:
    for name in ("Gst", "GstApp", "GstAudio", "GstVideo"):
        gi.require_version(name, "1.0")
    from gi.repository import Gst, GstApp, GstAudio, GstVideo  # noqa: F401
except (ValueError, ImportError) as error:
    pytest.skip("no GStreamer for Python: %s" % error, allow_module_level=True)

Gst.init(None)

pytestmark = pytest.mark.skipif(Gst.ElementFactory.find("ndshsrc") is None,
                                reason="without the elements")


@pytest.fixture
def generator():
    seed = int(os.environ.get("NDSH_SEED", random.randrange(10 ** 9)))
    print("NDSH_SEED=%d" % seed)
    return np.random.RandomState(seed)


def fill(generator, dtype, shape):
    """Any bits; of a bool only those that one has."""
    dtype = np.dtype(dtype)
    n = int(np.prod(shape, dtype=int)) * dtype.itemsize
    raw = generator.randint(0, 2 if dtype.kind == "b" else 256, n).astype(np.uint8)
    return raw.view(dtype).reshape(shape)


def assert_same(got, expected):
    """Bits, not numbers: of which some are no numbers."""
    assert got.dtype == expected.dtype and got.shape == expected.shape
    assert got.tobytes() == expected.tobytes()


# --- The two ends of a pipeline ----------------------------------------------

class Pipeline:
    """One of the two elements, and the program that knows caps and bytes alone."""

    def __init__(self, text, name):
        self.pipeline = Gst.parse_launch(text)
        self.end = self.pipeline.get_by_name(name)

    def __enter__(self):
        self.pipeline.set_state(Gst.State.PLAYING)
        return self

    def __exit__(self, kind, error, traceback):
        self.pipeline.set_state(Gst.State.NULL)

    def check(self):
        message = self.pipeline.get_bus().pop_filtered(Gst.MessageType.ERROR)
        assert message is None, message.parse_error()


class Into(Pipeline):
    """Buffers of caps to the frames that a reader has."""

    def __init__(self, caps, channel="i"):
        super().__init__("appsrc name=end format=time ! ndshsink channel=%s sync=false "
                         "wait-for-connection=true" % channel, "end")
        self.end.set_property("caps", Gst.Caps.from_string(caps))
        self.reader = ndsh.Reader(channel, mode="queue", queue=8)

    def __exit__(self, *what):
        self.reader.close()
        super().__exit__(*what)

    def push(self, *buffers):
        """A buffer of bytes, or of several memories."""
        whole = Gst.Buffer.new()
        for one in buffers:
            if isinstance(one, Gst.Buffer):
                whole = one
            elif one:                       # no wrapper takes no bytes
                whole.append_memory(Gst.Buffer.new_wrapped(one).get_memory(0))
        self.end.push_buffer(whole)
        frame = self.reader.read(timeout=DEADLINE)
        self.check()
        return frame


class OutOf(Pipeline):
    """Frames of a writer to the samples that a pipeline has."""

    def __init__(self, writer, channel="o", properties=""):
        super().__init__("ndshsrc name=source channel=%s leaky-type=none %s ! appsink "
                         "name=end sync=false" % (channel, properties), "end")
        self.writer = writer

    def __enter__(self):
        super().__enter__()
        wait_for_a_reader(self.writer)
        return self

    def pull(self):
        """(caps, bytes of each memory)"""
        sample = self.end.try_pull_sample(DEADLINE * Gst.SECOND)
        self.check()
        assert sample is not None
        return sample.get_caps(), memories_of(sample.get_buffer())

    def copied(self):
        """Frames whose rows ndshsrc had to bring to where caps alone say they are."""
        stats = self.pipeline.get_by_name("source").get_property("stats")
        return stats.get_value("frames-copied")


def wait_for_a_reader(writer):
    until = time.monotonic() + DEADLINE
    while not writer.readers:
        assert time.monotonic() < until
        time.sleep(0.002)


def memories_of(buffer):
    ends, all_bytes = [0], buffer.extract_dup(0, buffer.get_size())
    for i in range(buffer.n_memory()):
        ends.append(ends[-1] + buffer.peek_memory(i).size)
    return [all_bytes[a:b] for a, b in zip(ends, ends[1:])]


def send(arrays, **how):
    """(caps, bytes) of what a pipeline has of the arrays of a writer."""
    with ndsh.Writer("o", **how) as writer, OutOf(writer) as out:
        writer.write(arrays)
        caps, memories = out.pull()
        return caps, b"".join(memories)


def assert_caps(got, expected):
    expected = Gst.Caps.from_string(expected)
    assert got.is_equal(expected), "%s, not %s" % (got.to_string(), expected.to_string())


# --- Raw video ---------------------------------------------------------------

_NATIVE = "<u2" if np.little_endian else ">u2"


def full(dtype, *channels):
    return (lambda w, h: (h, w) + channels), dtype


def half_both(dtype, *channels):
    return (lambda w, h: (-(-h // 2), -(-w // 2)) + channels), dtype


def half_width(dtype, *channels):
    return (lambda w, h: (h, -(-w // 2)) + channels), dtype


def quarter_width(dtype):
    return (lambda w, h: (h, -(-w // 4))), dtype


def quarter_both(dtype):
    return (lambda w, h: (-(-h // 4), -(-w // 4))), dtype


def make_table():
    """Of each format its planes, (shape of (width, height), dtype)."""
    table = {"GRAY8": [full("u1")], "Y41B": [full("u1")] + [quarter_width("u1")] * 2}
    for name in ("RGB", "BGR", "v308", "IYU2"):
        table[name] = [full("u1", 3)]
    for name in ("RGBx", "BGRx", "xRGB", "xBGR", "RGBA", "BGRA", "ARGB", "ABGR", "AYUV",
                 "VUYA"):
        table[name] = [full("u1", 4)]
    for name in ("RGB16", "BGR16", "RGB15", "BGR15"):
        table[name] = [full(_NATIVE)]
    for name in ("ARGB64", "AYUV64"):
        table[name] = [full(_NATIVE, 4)]
    for name in ("YUY2", "UYVY", "YVYU", "VYUY"):
        table[name] = [full("u1", 2)]
    for name in ("NV12", "NV21"):
        table[name] = [full("u1"), half_both("u1", 2)]
    for name in ("NV16", "NV61"):
        table[name] = [full("u1"), half_width("u1", 2)]
    table["NV24"] = [full("u1"), full("u1", 2)]
    for name in ("I420", "YV12"):
        table[name] = [full("u1")] + [half_both("u1")] * 2
    table["A420"] = table["I420"] + [full("u1")]
    table["Y42B"] = [full("u1")] + [half_width("u1")] * 2
    for name in ("YUV9", "YVU9"):
        table[name] = [full("u1")] + [quarter_both("u1")] * 2
    for name in ("Y444", "GBR", "RGBP", "BGRP"):
        table[name] = [full("u1")] * 3
    table["GBRA"] = [full("u1")] * 4
    for end, dtype in (("LE", "<u2"), ("BE", ">u2")):
        table["GRAY16_" + end] = [full(dtype)]
        for name in ("ARGB64_", "RGBA64_", "BGRA64_", "ABGR64_"):
            table[name + end] = [full(dtype, 4)]
        for name in ("P010_10", "P012_", "P016_"):
            table[name + end] = [full(dtype), half_both(dtype, 2)]
        for bits in ("10", "12", "16"):
            table["I420_" + bits + end] = [full(dtype)] + [half_both(dtype)] * 2
            table["I422_" + bits + end] = [full(dtype)] + [half_width(dtype)] * 2
            table["Y444_" + bits + end] = [full(dtype)] * 3
            table["GBR_" + bits + end] = [full(dtype)] * 3
    for name in ("GRAY10_LE32", "NV12_10LE32", "NV16_10LE32", "NV12_10LE40",
                 "NV16_10LE40", "v210", "UYVP", "IYU1", "RGB8P", "NV12_64Z32", "NV12_4L4",
                 "NV12_32L32", "NV12_16L32S", "NV12_8L128", "NV12_10BE_8L128",
                 "NV12_10LE40_4L4", "MT2110T", "MT2110R"):
        table[name] = None        # no pixels that an array could show
    return table


def make_rest():
    """Those of which ndsh makes no pictures."""
    table = {"AV12": [full("u1"), half_both("u1", 2), full("u1")],
             "A422": [full("u1")] + [half_width("u1")] * 2 + [full("u1")],
             "A444": [full("u1")] * 4, "RBGA": [full("u1", 4)],
             "Y410": [full("<u4")], "r210": [full(">u4")], "GRAY10_LE16": [full("<u2")],
             "Y210": [full("<u2", 2)], "v216": [full("<u2", 2)]}
    for order in ("BGR10", "RGB10"):
        table[order + "A2_LE"] = table[order + "x2_LE"] = [full("<u4")]
    for end, dtype in (("LE", "<u2"), ("BE", ">u2")):
        for bits in ("_10", "_12", "_16"):
            whole = [full(dtype)]
            table["A420" + bits + end] = whole + [half_both(dtype)] * 2 + whole
            table["A422" + bits + end] = whole + [half_width(dtype)] * 2 + whole
            table["A444" + bits + end] = whole * 4
            table["GBRA" + bits + end] = whole * 4
        for bits in ("12_", "16_"):
            table["Y2" + bits + end] = [full(dtype, 2)]
            table["Y4" + bits + end] = [full(dtype, 4)]
    return table


TABLE = dict(make_table(), **make_rest())


def nicks(enumeration):
    """Of what formats there are, without those that are none."""
    values = sorted(enumeration.__enum_values__.items())
    return {enumeration.to_string(value) for number, value in values if number > 1}


def known_formats():
    return nicks(GstVideo.VideoFormat)


FORMATS = sorted(set(TABLE) & known_formats())
PIXELS = [name for name in FORMATS if TABLE[name] is not None]
SIZES = ((64, 48), (63, 47), (1, 1), (6, 3))


def video_caps(format, width, height):
    return "video/x-raw, format=%s, width=%d, height=%d, framerate=30/1" % (
        format, width, height)


def video_info(caps):
    caps = Gst.Caps.from_string(caps)
    if hasattr(GstVideo.VideoInfo, "new_from_caps"):
        return GstVideo.VideoInfo.new_from_caps(caps)
    info = GstVideo.VideoInfo()
    assert info.from_caps(caps)
    return info


def plane_views(format, width, height, raw, offsets, strides):
    """The planes in the bytes of a frame, each where GStreamer says."""
    views = []
    for (shape_of, dtype), offset, stride in zip(TABLE[format], offsets, strides):
        shape, dtype = shape_of(width, height), np.dtype(dtype)
        inner = (dtype.itemsize * (shape[2] if len(shape) > 2 else 1), dtype.itemsize)
        views.append(np.ndarray(shape, dtype, raw, offset,
                                (stride,) + inner[:len(shape) - 1]))
    return views


# Not of this memory, so refused; and what came with 1.30.
ELSEWHERE = {"DMA_DRM", "AHARDWARE_BUFFER"}
LATER = {"RGBA_F16LE", "RGBA_F16BE", "RGBA_F32LE", "RGBA_F32BE"}


def test_the_table_knows_what_gstreamer_knows():
    """Up to 1.28."""
    missing = known_formats() - set(TABLE) - ELSEWHERE - LATER
    figure("%d formats, %d of them with pixels" % (len(FORMATS), len(PIXELS)))
    assert len(PIXELS) > 50
    assert not missing or Gst.version()[:2] > (1, 28), missing


@pytest.mark.parametrize("is_padded", [False, True], ids=["dense", "padded"])
@pytest.mark.parametrize("format", PIXELS)
def test_planes_of_a_pipeline_are_arrays(generator, format, is_padded):
    for width, height in SIZES:
        caps = video_caps(format, width, height)
        info = video_info(caps)
        offsets, strides, size = list(info.offset), list(info.stride), info.size
        if is_padded:
            size = 32
            for i in range(info.finfo.n_planes):
                strides[i], offsets[i] = strides[i] + 20, size
                size += strides[i] * (height + 3)
        raw = generator.randint(0, 256, size).astype(np.uint8)
        buffer = Gst.Buffer.new_wrapped(raw.tobytes())
        if is_padded:
            GstVideo.buffer_add_video_meta_full(
                buffer, 0, info.finfo.format, width, height, info.finfo.n_planes,
                offsets, strides)
        with Into(caps) as into:
            frame = into.push(buffer)
            expected = plane_views(format, width, height, raw, offsets, strides)

            assert frame.format == format
            assert_caps(Gst.Caps.from_string(frame.caps), caps)
            assert len(frame.planes) == len(expected)
            for got, wanted, stride in zip(frame.planes, expected, strides):
                assert_same(got, wanted)
                assert got.strides == wanted.strides and got.strides[0] == stride
                assert in_shared_memory(got) and not got.flags.writeable


@pytest.mark.parametrize("format", [name for name in FORMATS if TABLE[name] is None])
def test_what_has_no_pixels_is_bytes(generator, format):
    caps = video_caps(format, 64, 32)
    raw = generator.randint(0, 256, video_info(caps).size).astype(np.uint8)
    with Into(caps) as into:
        assert_same(into.push(raw.tobytes()).array, raw)
    got, out = send(raw, caps=caps)
    assert_caps(got, caps)
    assert out == raw.tobytes()


def layouts_of(array):
    """The same numbers as they may lie in a program's memory."""
    padded = np.zeros(tuple(n + 3 for n in array.shape), array.dtype)
    inner = padded[tuple(slice(1, n + 1) for n in array.shape)]
    inner[...] = array
    reverse = (slice(None, None, -1),) * array.ndim
    return {"dense": array, "a part of a larger one": inner,
            "the last axis first": np.asfortranarray(array),
            "from its end": array[reverse].copy()[reverse],
            "the other byte order": array.astype(array.dtype.newbyteorder())}


@pytest.mark.parametrize("format", PIXELS)
def test_arrays_are_planes_of_a_pipeline(generator, format):
    for width, height in SIZES:
        caps = video_caps(format, width, height)
        info = video_info(caps)
        planes = [fill(generator, dtype, shape(width, height))
                  for shape, dtype in TABLE[format]]
        ways = [layouts_of(plane) for plane in planes]
        with ndsh.Writer("o", format=format, fps=30) as writer, OutOf(writer) as out:
            for way in ways[0]:
                writer.write([plane[way] for plane in ways])
                got_caps, memories = out.pull()
                raw = np.frombuffer(b"".join(memories), np.uint8)

                assert video_info(got_caps.to_string()).is_equal(info)
                assert raw.size == info.size, (width, height, way)
                for got, plane in zip(plane_views(format, width, height, raw,
                                                  info.offset, info.stride), planes):
                    assert_same(got, plane)
            assert out.copied() == 0, (width, height)


@pytest.mark.parametrize("mode", ["progressive", "interleaved", "mixed", "fields",
                                  "alternate"])
@pytest.mark.parametrize("format", ["GRAY8", "BGR", "GRAY16_BE", "NV12", "I420", "GBR",
                                    "YUV9", "Y42B", "A420_10LE", "I420_12BE", "P010_10LE"])
def test_caps_do_as_well_as_a_format(generator, format, mode):
    """Interlaced planes are as high as two fields are, or as one if each is a frame."""
    for height in (47, 46, 45):
        caps = video_caps(format, 63, height) + (
            ", colorimetry=bt709, pixel-aspect-ratio=4/3, interlace-mode=%s" % mode)
        rows = height
        if mode == "alternate":
            caps = caps.replace("x-raw", "x-raw(format:Interlaced)")
            rows = (height + 1) // 2
        info = video_info(caps)
        planes = [fill(generator, dtype, shape(63, rows)) for shape, dtype in TABLE[format]]
        with ndsh.Writer("o", caps=caps) as writer, OutOf(writer) as out:
            writer.write(planes)
            got_caps, memories = out.pull()
            raw = np.frombuffer(b"".join(memories), np.uint8)
            assert out.copied() == 0

        assert_caps(got_caps, caps)
        assert raw.size == info.size
        for got, plane in zip(plane_views(format, 63, rows, raw, info.offset, info.stride),
                              planes):
            assert_same(got, plane)
        with Into(caps) as into:
            for got, plane in zip(into.push(raw.tobytes()).planes, planes):
                assert_same(got, plane)


# --- Sensors -----------------------------------------------------------------

BAYER = [(order + suffix, dtype) for order in ("bggr", "gbrg", "grbg", "rggb")
         for suffix, dtype in [("", "u1")] + [
             ("%d%s" % (bits, end), ">u2" if end == "be" else "<u2")
             for bits in (10, 12, 14, 16) for end in ("le", "be")]]


@pytest.mark.parametrize("format, dtype", BAYER)
def test_sensors_are_arrays_both_ways(generator, format, dtype):
    for width, height in ((64, 48), (63, 47), (1, 1), (5, 2)):
        caps = "video/x-bayer, format=%s, width=%d, height=%d, framerate=30/1" % (
            format, width, height)
        array = fill(generator, dtype, (height, width))
        stride = -(-width * array.itemsize // 4) * 4
        raw = np.zeros(stride * height, np.uint8)
        view = np.ndarray(array.shape, dtype, raw, 0, (stride, array.itemsize))
        view[...] = array
        with Into(caps) as into:
            frame = into.push(raw.tobytes())
            assert_same(frame.array, array)
            assert frame.array.strides == view.strides and frame.format == format
        with ndsh.Writer("o", caps=caps) as writer, OutOf(writer) as out:
            for one in layouts_of(array).values():
                writer.write(one)
                got_caps, memories = out.pull()
                got = np.frombuffer(b"".join(memories), np.uint8)

                assert_caps(got_caps, caps)
                assert got.size == raw.size
                assert_same(np.ndarray(array.shape, dtype, got, 0, view.strides), array)


# --- Sound -------------------------------------------------------------------

def make_sounds():
    """Of each format dtype, and bytes of a sample that has none."""
    sounds = {"S8": ("i1", 0), "U8": ("u1", 0)}
    for end, order in (("LE", "<"), ("BE", ">")):
        for kind, letter in (("S", "i"), ("U", "u")):
            sounds[kind + "16" + end] = (order + letter + "2", 0)
            for bits in ("32", "24_32", "20_32"):
                sounds[kind + bits + end] = (order + letter + "4", 0)
            for bits in ("24", "20", "18"):
                sounds[kind + bits + end] = ("u1", 3)
        sounds["F32" + end] = (order + "f4", 0)
        sounds["F64" + end] = (order + "f8", 0)
    return sounds


SOUNDS = make_sounds()


def known_sounds():
    return nicks(GstAudio.AudioFormat)


def test_every_sound_has_a_row():
    assert known_sounds() <= set(SOUNDS)


@pytest.mark.parametrize("layout", ["interleaved", "non-interleaved"])
@pytest.mark.parametrize("format", sorted(set(SOUNDS) & known_sounds()))
def test_sound_is_an_array_both_ways(generator, format, layout):
    dtype, n_bytes = SOUNDS[format]
    for channels in (1, 2, 5):
        for samples in (1, 63, 1024):
            shape = (samples, channels) if layout == "interleaved" else (channels, samples)
            sound = fill(generator, dtype, shape + ((n_bytes,) if n_bytes else ()))
            caps = "audio/x-raw, format=%s, rate=8000, channels=%d, layout=%s" % (
                format, channels, layout)
            if channels > 2:
                caps += ", channel-mask=(bitmask)0x0"
            with Into(caps) as into:
                frame = into.push(sound.tobytes())
                assert_same(frame.array, sound)
                assert_caps(Gst.Caps.from_string(frame.caps), caps)
            with ndsh.Writer("o", caps=caps) as writer, OutOf(writer) as out:
                for one in layouts_of(sound).values():
                    writer.write(one)
                    got_caps, memories = out.pull()
                    assert_caps(got_caps, caps)
                    assert b"".join(memories) == sound.tobytes()


# --- Tensors and arrays ------------------------------------------------------

TENSOR_TYPES = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
                "float16", "float32", "float64"]
SHAPES = [(1,), (7,), (3, 5), (1, 4, 1), (2, 47, 63, 3), (1, 2, 1, 3, 2, 1, 2, 1)]


def tensor_caps(kinds):
    # GStreamer 1.18 wants the backslash before a comma in quotes, newer ones write it.
    return ("other/tensors, format=(string)static, num_tensors=(int)%d, "
            "types=(string)\"%s\", dimensions=(string)\"%s\", framerate=(fraction)30/1" % (
                len(kinds), "\\,".join(dtype for dtype, _ in kinds),
                "\\,".join(":".join(str(n) for n in reversed(shape)) for _, shape in kinds)))


@pytest.mark.parametrize("dtype", TENSOR_TYPES)
def test_a_tensor_is_an_array_both_ways(generator, dtype):
    for shape in SHAPES:
        caps = tensor_caps([(dtype, shape)])
        array = fill(generator, dtype, shape)
        with Into(caps) as into:
            assert_same(into.push(array.tobytes()).array, array)
        with ndsh.Writer("o", caps=caps) as writer, OutOf(writer) as out:
            for one in layouts_of(array).values():
                writer.write(one)
                got_caps, memories = out.pull()
                assert_caps(got_caps, caps)
                assert b"".join(memories) == array.tobytes()


def test_dimensions_may_be_filled_up(generator):
    """With 1, which is a dimension, and with 0, which is none."""
    array = fill(generator, "float32", (2, 3))
    for dimensions, shape in (("3:2:1:1", (1, 1, 2, 3)), ("3:2:0:0", (2, 3)),
                              ("3:2", (2, 3))):
        caps = ("other/tensors, format=static, num_tensors=1, types=(string)float32, "
                "dimensions=(string)%s, framerate=0/1" % dimensions)
        with Into(caps) as into:
            assert_same(into.push(array.tobytes()).array, array.reshape(shape))
        got, raw = send(array.reshape(shape), caps=caps)
        assert_caps(got, caps)
        assert raw == array.tobytes()


@pytest.mark.parametrize("n", [2, 3, 16])
def test_several_tensors_are_several_arrays_both_ways(generator, n):
    kinds = [(TENSOR_TYPES[i % len(TENSOR_TYPES)], SHAPES[i % len(SHAPES)])
             for i in range(n)]
    caps = tensor_caps(kinds)
    arrays = [fill(generator, dtype, shape) for dtype, shape in kinds]
    with Into(caps) as into:
        for buffers in ([b"".join(a.tobytes() for a in arrays)],
                        [a.tobytes() for a in arrays]):
            got = into.push(*buffers).arrays
            assert len(got) == n
            for one, array in zip(got, arrays):
                assert_same(one, array)
    with ndsh.Writer("o", caps=caps) as writer, OutOf(writer) as out:
        writer.write(arrays)
        got, memories = out.pull()
    assert_caps(got, caps)
    assert memories == [a.tobytes() for a in arrays]


@pytest.mark.parametrize("n", [1, 2, 16])
def test_what_caps_of_tensors_leave_out_is_the_arrays(generator, n):
    """Whether a writer knows it, or the pipeline alone."""
    kinds = [(TENSOR_TYPES[i % len(TENSOR_TYPES)], SHAPES[1:][i % 5]) for i in range(n)]
    arrays = [fill(generator, dtype, shape) for dtype, shape in kinds]
    one, wanted = arrays if n > 1 else arrays[0], tensor_caps(kinds)
    with ndsh.Writer("o", caps="other/tensors, framerate=30/1") as writer:
        with OutOf(writer) as out:
            writer.write(one)
            got, memories = out.pull()
    assert_caps(got, wanted)
    assert memories == [a.tobytes() for a in arrays]

    if n > 1:
        return         # without caps they do not follow each other closely
    with ndsh.Writer("o") as writer, OutOf(
            writer, properties="array-caps=other/tensors,framerate=30/1") as out:
        writer.write(one)
        got, memories = out.pull()
    assert_caps(got, wanted)
    assert memories == [a.tobytes() for a in arrays]


@pytest.mark.parametrize("dtype, shape", [
    ("bool", (3,)), ("complex64", (3,)), ("uint8", ()), ("uint8", (3, 0)),
    ("uint8", (1,) * 17)])
def test_no_tensor_is_what_none_can_be(dtype, shape):
    with ndsh.Writer("o", caps="other/tensors") as writer:
        with pytest.raises(ValueError, match="tensor"):
            writer.write(np.zeros(shape, dtype))


def test_tensors_of_four_dimensions_for_who_compares_text(generator):
    """Older NNStreamer fills up with 1, and capsfilters compare letters."""
    array = fill(generator, "float32", (480, 3))
    fixed = ("other/tensors, format=static, num_tensors=1, types=(string)float32, "
             "dimensions=(string)3:480:1:1, framerate=0/1")
    with ndsh.Writer("o") as writer, OutOf(
            writer, properties='array-caps="%s"' % fixed) as out:
        writer.write(array)
        got, memories = out.pull()
    assert_caps(got, fixed)
    assert memories == [array.tobytes()]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32", "int64", "uint64",
                                   "float16", "float32"])
def test_a_network_s_tensors_are_arrays_both_ways(generator, dtype):
    """As Qualcomm's elements have them: one type for all, outermost dimension first."""
    for shapes in ([(1, 47, 63, 3)], [(7,)], [(1, 4, 100), (1, 7, 100)], [(2, 3)] * 16):
        caps = "neural-network/tensors, type=(string)%s, dimensions=(int)<%s>" % (
            dtype.upper(), ", ".join("<%s>" % ", ".join(map(str, s)) for s in shapes))
        arrays = [fill(generator, dtype, shape) for shape in shapes]
        with Into(caps) as into:
            for got, array in zip(into.push(*[a.tobytes() for a in arrays]).arrays, arrays):
                assert_same(got, array)
        with ndsh.Writer("o", caps=caps) as writer, OutOf(writer) as out:
            writer.write(arrays if len(arrays) > 1 else arrays[0])
            got, memories = out.pull()
        assert_caps(got, caps)
        assert memories == [a.tobytes() for a in arrays]


@pytest.mark.parametrize("caps", [
    "other/tensors, format=flexible, framerate=30/1",
    "other/tensors, format=sparse, framerate=30/1",
    tensor_caps([("uint8", (3,))] * 17),
    "neural-network/tensors, type=(string)NUMBER, dimensions=(int)<<1>>",
    "neural-network/tensors, type=(string)UINT8, dimensions=(int)<1,51>",
    "neural-network/tensors, type=(string)UINT8, dimensions=(int)<<1,-51>>",
    "image/jpeg, width=64, height=48", "application/octet-stream",
    "video/x-h264, stream-format=byte-stream, alignment=au",
    "meta/x-klv, parsed=true", "text/x-raw, format=utf8", "application/x-nobody-knows"])
def test_the_rest_is_bytes_both_ways(generator, caps):
    with Into(caps) as into:
        for n in (1, 51, 4097):
            raw = fill(generator, "u1", (n,))
            frame = into.push(raw.tobytes())
            assert_same(frame.array, raw)
            assert_caps(Gst.Caps.from_string(frame.caps), caps)
    raw = fill(generator, "u1", (777,))
    got, out = send(raw, caps=caps)
    assert_caps(got, caps)
    assert out == raw.tobytes()


NDARRAY_SHAPES = [(), (0,), (0, 5), (1,), (3, 4), (2, 47, 63, 3), (70000,), (1,) * 32]


def ndarray_caps(dtype, shape, more=""):
    return "application/x-ndarray, dtype=(string)%s, shape=(int)<%s>%s" % (
        dtype, ",".join(map(str, shape)), more)


@pytest.mark.parametrize("dtype", [name for name in ndsh.dtypes])
def test_any_array_is_an_ndarray_both_ways(generator, dtype):
    dtype = np.dtype(dtype)
    for shape in NDARRAY_SHAPES:
        caps = ndarray_caps(dtype.name, shape)
        array = fill(generator, dtype, shape)
        with Into(caps) as into:
            frame = into.push(array.tobytes())
            assert_same(frame.array, array)
            assert_caps(Gst.Caps.from_string(frame.caps), caps)
        for how in ({}, {"caps": caps}):
            got, raw = send(array, **how)
            assert_caps(got, caps)
            assert raw == array.tobytes()


# In elements, of an array of (5, 7, 2).
@pytest.mark.parametrize("strides", [(17, 2, 1), (14, 2, 1), (1, 5, 35), (4, 20, 1)],
                         ids=["padded", "dense", "Fortran", "swapped"])
@pytest.mark.parametrize("dtype", ["bool", "int16", "float64", "complex64"])
def test_an_ndarray_may_have_strides(generator, dtype, strides):
    array = fill(generator, dtype, (5, 7, 2))
    strides = tuple(n * array.itemsize for n in strides)
    caps = ndarray_caps(dtype, array.shape,
                        ", strides=(int)<%s>" % ",".join(map(str, strides)))
    size = array.itemsize + sum(n * (length - 1)
                                for n, length in zip(strides, array.shape))
    raw = np.zeros(size, np.uint8)
    np.ndarray(array.shape, dtype, raw, 0, strides)[...] = array
    with Into(caps) as into:
        frame = into.push(raw.tobytes())
        assert_same(frame.array, array)
        assert frame.array.strides == strides
    for one in layouts_of(array).values():
        got, out = send(one, caps=caps)
        assert_caps(got, caps)
        assert len(out) == size
        assert_same(np.ndarray(array.shape, dtype, out, 0, strides), array)


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_ndarray_may_have_an_order(generator, order):
    """As others may write them; F is what strides say, too."""
    array = fill(generator, "int16", (5, 7, 2))
    caps = ndarray_caps("int16", array.shape, ", order=(string)%s" % order)
    with Into(caps) as into:
        frame = into.push(array.tobytes(order=order))
        assert_same(frame.array, array)
        assert frame.array.flags[order + "_CONTIGUOUS"]
    for one in layouts_of(array).values():
        got, out = send(one, caps=caps)
        assert_caps(got, caps)
        assert out == array.tobytes(order=order)


def test_an_order_that_nobody_knows_is_none():
    caps = ndarray_caps("uint8", (5, 7), ", order=(string)K")
    with Into(caps) as into:
        assert into.push(bytes(35)).array.shape == (35,)
    with ndsh.Writer("o", caps=caps) as writer:
        with pytest.raises(ValueError, match="order"):
            writer.write(np.zeros((5, 7), np.uint8))


@pytest.mark.parametrize("strides", ["<1, 1>", "<7>", "<7, 1, 1>", "<0, 1>", "<-7, 1>",
                                     "<6, 1>", "7", "<a, b>"])
def test_strides_that_cannot_be_are_refused(strides):
    caps = ndarray_caps("uint8", (5, 7), ", strides=(int)%s" % strides)
    with ndsh.Writer("o", caps=caps) as writer:
        with pytest.raises(ValueError, match="strides"):
            writer.write(np.zeros((5, 7), np.uint8))


# --- Caps from arrays --------------------------------------------------------

@pytest.mark.parametrize("dtype, shape, format", [
    ("uint8", (16, 16), "GRAY8"), ("uint8", (47, 63), "GRAY8"),
    ("uint16", (47, 63), "GRAY16_LE"), ("uint8", (47, 63, 3), "BGR"),
    ("uint8", (47, 63, 4), "BGRx"), ("uint8", (15, 63), None),
    ("uint8", (47, 15), None), ("int8", (47, 63), None), ("uint16", (47, 63, 3), None),
    ("float32", (47, 63), None), ("uint8", (47, 63, 2), None),
    ("uint8", (2, 47, 63, 3), None), ("uint8", (47,), None)])
def test_a_rate_makes_video_of_pictures_alone(generator, dtype, shape, format):
    array = fill(generator, dtype, shape)
    caps, raw = send(array, fps=25)
    if format is None:
        assert_caps(caps, ndarray_caps(dtype, shape))
        assert raw == array.tobytes()
        return
    info = video_info(caps.to_string())
    assert caps.to_string().startswith("video/x-raw, format=(string)%s," % format)
    assert (info.width, info.height, info.fps_n, info.fps_d) == (shape[1], shape[0], 25, 1)
    got, = plane_views(format, shape[1], shape[0], np.frombuffer(raw, np.uint8),
                       info.offset, info.stride)
    assert_same(got, array)


def test_several_arrays_without_caps_are_bytes(generator):
    arrays = [fill(generator, "float32", (3, 4)), fill(generator, "uint8", (5,))]
    caps, raw = send(arrays)
    assert_caps(caps, "application/octet-stream")
    assert raw[:48] == arrays[0].tobytes() and raw[64:69] == arrays[1].tobytes()


# --- There and back ----------------------------------------------------------

@pytest.mark.parametrize("how, dtype, shape", [
    ({"format": "BGR", "fps": 30}, "uint8", (47, 63, 3)),
    ({"format": "GRAY16_BE", "fps": 30}, ">u2", (47, 63)),
    ({"caps": "video/x-bayer, format=rggb12be, width=63, height=47, framerate=30/1"},
     ">u2", (47, 63)),
    ({"caps": "audio/x-raw, format=F64BE, rate=8000, channels=3, "
              "channel-mask=(bitmask)0x0, layout=non-interleaved"}, ">f8", (3, 63)),
    ({"caps": tensor_caps([("float16", (2, 3, 5))])}, "float16", (2, 3, 5)),
    ({}, "complex64", (0, 3)), ({}, "complex128", ()), ({}, "bool", (1,) * 32)])
def test_through_a_pipeline_an_array_is_what_it_was(generator, how, dtype, shape):
    array = fill(generator, dtype, shape)
    with ndsh.Writer("o", **how) as writer, ndsh.Reader("i", mode="queue") as reader:
        with Pipeline("ndshsrc name=end channel=o leaky-type=none ! ndshsink channel=i "
                      "sync=false wait-for-connection=true", "end"):
            wait_for_a_reader(writer)
            writer.write(array)
            assert_same(reader.read(timeout=DEADLINE).array, array)
