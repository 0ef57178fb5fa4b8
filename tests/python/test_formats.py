# SPDX-License-Identifier: LGPL-2.1-or-later
"""Caps and arrays, without a channel: what caps text says, where planes lie, which
pictures are views and what the others are converted to."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import ndsh
from ndsh import formats, pixels
from ndsh.formats import Caps, Spec


# --- Text --------------------------------------------------------------------

def test_caps_are_taken_apart():
    caps = Caps("video/x-raw, format=(string)BGR, width=(int)640, height=(int)480, "
                "framerate=(fraction)30/1, interlace-mode=(string)progressive, "
                "pixel-aspect-ratio=1/1, rate=44100, scale=(double)1.5, b=(boolean)true")
    assert caps.media == "video/x-raw" and caps.format == "BGR"
    assert caps.fields["width"] == 640 and caps.fields["framerate"] == Fraction(30)
    assert caps.fields["pixel-aspect-ratio"] == 1 and caps.fields["rate"] == 44100
    assert caps.fields["scale"] == 1.5 and caps.fields["b"] is True
    assert caps.features == ()


def test_quotes_arrays_and_features_are_understood():
    caps = Caps('application/x-ndarray, dtype=(string)float32, '
                'shape=(int)< 480, 640 >, x=<>, '
                'y="a, \\"b\\" = c", z=(string)"d\\054e"')
    assert caps.fields["shape"] == (480, 640) and caps.fields["x"] == ()
    assert caps.fields["y"] == 'a, "b" = c' and caps.fields["z"] == "d,e"
    assert Caps("video/x-raw(memory:NVMM), width=3").features == ("memory:NVMM",)
    assert Caps("video/x-raw(memory:SystemMemory), width=3").features == ()
    assert Caps("image/jpeg").media == "image/jpeg"
    assert Caps("video/x-raw, format=BGR;").format == "BGR"
    assert Caps("other/tensors, dimensions=(string)3:4.5:6, types=(string)uint8.int8") \
        .fields["dimensions"] == "3:4.5:6"


@pytest.mark.parametrize("text", ["", "hello", "some text, with = a/b", "a/b; c/d",
                                  "video/x-raw, width", "video/x-raw, x=<1, 2", "{}", "/",
                                  "video/x-raw, x=\"abc", "a/b, c=1 >"])
def test_text_that_is_not_fixed_caps_has_no_media(text):
    assert Caps(text).media == "" and Caps(text).fields == {} and Caps(text).text == text


def test_lists_in_lists_without_end_are_no_caps():
    assert Caps("a/b, x=" + "<" * 30000 + ">" * 30000).media == ""


def test_numbers_without_end_take_no_time():
    for text in ("(fraction)1e9999999999", "(int)" + "9" * 60000, "1e9999999999",
                 "(double)1e99999999", "9" * 60000):
        assert isinstance(Caps("a/b, x=" + text).fields["x"], (str, int, float))


def test_values_are_read_as_gstreamer_reads_them():
    assert Caps("a/b, a=(gboolean)true, b=(guchar)5, c=(gdouble)1.5, d=(GstFraction)1/2, "
                "e=1.5, f=true, g=(int)0x10, h=(float)1e-3, i=30/1, j=5, k=text").fields == {
                    "a": True, "b": 5, "c": 1.5, "d": Fraction(1, 2), "e": 1.5, "f": True,
                    "g": 16, "h": 0.001, "i": Fraction(30), "j": 5, "k": "text"}
    assert Caps("a/b, a=yes, b=F, c=t, d=No, e=(string)F, f=1, g=\"f\"").fields == {
        "a": True, "b": False, "c": True, "d": False, "e": "F", "f": 1, "g": "f"}


def test_odd_values_do_not_raise():
    for value in ("(int)abc", "(fraction)1/0", "(int)", "<<1,2>,3>", "[ 1, 5 ]",
                  "{ a, b }", '"', "(unknown)x", "=", "\\"):
        Caps("video/x-raw, x=" + value)


def test_rates_are_fractions():
    for fps, text in ((30, "30/1"), (29.97, "30000/1001"), (59.94, "60000/1001"),
                      (23.976, "24000/1001"), (12.5, "25/2"), ("30000/1001",
                      "30000/1001"), (None, "0/1"), (0, "0/1"), (0.5, "1/2"),
                      (Fraction(7, 3), "7/3"), (np.float64(25), "25/1")):
        assert formats.fraction(fps) == text
    for fps, text in ((1 / 60., "1/60"), (1 / 3., "1/3"), (100 / 3., "100/3"),
                      (1 / 0.033, "1000/33"), (0.005, "1/200"), (0.99, "99/100"),
                      ("1/300", "1/300"), ("2998/100", "1499/50"), ("29.97", "2997/100"),
                      (Fraction(2997, 100), "2997/100"), (np.float32(30), "30/1"),
                      (np.float32(29.97), "30000/1001"), (np.int64(30), "30/1"),
                      (Decimal("29.97"), "30000/1001"), (Decimal("12.5"), "25/2"),
                      (23.98, "24000/1001"), (119.88, "120000/1001"), (7.5, "15/2"),
                      (14.985, "15000/1001"), ("2147483647", "2147483647/1")):
        assert formats.fraction(fps) == text, fps
    got = Fraction(formats.fraction(12.3456789012))
    assert abs(got - Fraction(12.3456789012)) < Fraction(1, 10 ** 7)


def test_every_rate_that_is_a_whole_number_or_one_over_it_is_exact():
    for n in range(1, 1000):
        assert formats.fraction(float(n)) == formats.fraction(n) == "%d/1" % n
        assert Fraction(formats.fraction(1.0 / n)) == Fraction(1, n)
        ntsc = Fraction(n * 1000, 1001)
        assert Fraction(formats.fraction(float(ntsc))) == ntsc


def test_what_is_no_rate_is_refused():
    infinity = float("inf")
    for fps in (-1, -29.97, 1e12, 1e-12, "x", "", "x/0", "1/0", "0/0", "-1", "nan", "inf",
                float("nan"), infinity, -infinity, Decimal("nan"), np.float32("inf"),
                "1/2147483648", "2147483648"):
        with pytest.raises(ValueError, match="fps is"):
            formats.fraction(fps)


# --- Layouts -----------------------------------------------------------------

def test_rows_begin_at_multiples_of_four():
    layout = formats.video_layout("BGR", 5, 3, 30)
    assert layout.specs == (Spec("uint8", (3, 5, 3), (16, 3, 1), 0),)
    assert layout.size == 48
    assert layout.caps == ("video/x-raw, format=(string)BGR, width=(int)5, "
                           "height=(int)3, framerate=(fraction)30/1")


def test_numbers_in_the_other_order_travel_as_bytes_and_come_back():
    layout = formats.video_layout("GRAY16_BE", 5, 3)
    assert layout.specs == (Spec("uint8", (3, 5, 2), (12, 2, 1), 0),)
    assert layout.views == (Spec(">u2", (3, 5), (12, 2), 0),)
    assert formats.views(Caps(layout.caps), layout.specs) == layout.views


@pytest.mark.parametrize("format, dtype", [
    ("S16BE", ">i2"), ("U16BE", ">u2"), ("S32BE", ">i4"), ("F32BE", ">f4"),
    ("F64BE", ">f8"), ("S24_32BE", ">i4"), ("S16LE", "<i2"), ("F32LE", "<f4"),
    ("F64LE", "<f8"), ("U32LE", "<u4"), ("S8", "i1"), ("U8", "u1")])
def test_audio_is_written_in_the_order_of_its_caps_and_read_as_numbers(format, dtype):
    caps = "audio/x-raw,format=%s,rate=8000,channels=2,layout=interleaved" % format
    sound = np.arange(200).reshape(100, 2).astype(np.dtype(dtype).newbyteorder("="))
    with ndsh.Writer("a", caps=caps) as writer, ndsh.Reader("a", timeout=30) as reader:
        reader.wait(0)
        for one in (sound, sound.astype(dtype), np.asfortranarray(sound)):
            writer.write(one)
            frame = reader.read()
            assert frame.array.dtype == dtype and np.array_equal(frame.array, sound)
            assert frame.arrays[0].tobytes() == sound.astype(dtype).tobytes()
        with writer.draft(sound.shape, sound.dtype) as draft:
            draft[...] = sound
        assert reader.read().array.tobytes() == sound.astype(dtype).tobytes()
        wrong = "u2" if dtype[-2:] != "u2" else "i2"
        with pytest.raises(ValueError, match=format + " is made of .*, not of"):
            writer.write(sound.astype(wrong))
        assert writer.info.published == 4


def test_planes_are_joined_where_they_lie_so():
    def join(format, width, height):
        layout = formats.video_layout(format, width, height)
        return formats.join(Caps(layout.caps), layout.views)

    assert join("NV12", 8, 6) == Spec("u1", (9, 8), (8, 1), 0)
    assert join("NV21", 6, 6) == Spec("u1", (9, 6), (8, 1), 0)
    assert join("I420", 8, 6) == Spec("u1", (9, 8), (8, 1), 0)
    assert join("I420", 12, 6) is None          # rows of 6 bytes are padded to 8
    assert join("YV12", 16, 4) == Spec("u1", (6, 16), (16, 1), 0)
    assert join("NV12", 8, 5) is None and join("NV12", 7, 6) is None
    assert join("RGBP", 6, 5) == Spec("u1", (3, 5, 6), (40, 8, 1), 0)
    assert join("Y42B", 8, 6) is None and join("BGR", 8, 6) is None


def test_planes_that_are_not_what_the_caps_say_are_not_joined():
    """The joined array would reach beyond the memory that the writer described."""
    for format in ("NV12", "I420", "RGBP"):
        layout = formats.video_layout(format, 16, 8)
        caps = Caps(layout.caps)
        assert formats.join(caps, layout.specs) is not None
        for at in range(len(layout.specs)):
            spec = layout.specs[at]
            for wrong in (spec._replace(shape=(1,) + spec.shape[1:]),
                          spec._replace(shape=spec.shape[:1], strides=spec.strides[:1]),
                          spec._replace(dtype="float64"), spec._replace(dtype="bool"),
                          spec._replace(strides=(spec.strides[0] + 4,) + spec.strides[1:]),
                          spec._replace(strides=spec.strides[:1]
                                        + (5,) + spec.strides[2:]),
                          spec._replace(offset=spec.offset + 4)):
                specs = layout.specs[:at] + (wrong,) + layout.specs[at + 1:]
                assert formats.join(caps, specs) is None, (format, at, wrong)
        assert formats.join(caps, layout.specs[:-1]) is None


def plan(arrays, **what):
    sizes = [np.dtype(dtype).itemsize for dtype, _ in arrays]
    return formats.plan(arrays, sizes, **what)


def test_a_rate_makes_video_of_what_looks_like_it():
    for dtype, shape, format in (
            ("uint8", (16, 17), "GRAY8"), ("uint16", (16, 17), "GRAY16_LE"),
            ("uint8", (16, 17, 3), "BGR"), ("uint8", (16, 17, 4), "BGRx"),
            ("uint8", (15, 17), None), ("float32", (16, 17), None),
            ("uint8", (16, 17, 2), None), ("uint8", (16,), None),
            ("uint16", (16, 17, 3), None), ("uint8", (2, 16, 17, 3), None)):
        caps = Caps(plan([(dtype, shape)], fps=30).caps)
        assert caps.format == format
        assert plan([(dtype, shape)]).caps == ""


def test_arrays_are_checked_against_format_and_caps():
    for arrays, what in (
            ([("uint8", (4, 5))], {"format": "BGR"}),
            ([("uint8", (4, 5, 4))], {"format": "BGR"}),
            ([("int8", (4, 5, 3))], {"format": "BGR"}),
            ([("uint8", (0, 5, 3))], {"format": "BGR"}),
            ([("uint8", (4, 5, 3))] * 2, {"format": "BGR"}),
            ([("uint8", (4, 6))], {"format": "NV12"}),
            ([("uint8", (6, 5))], {"format": "NV12"}),
            ([("uint8", (4, 6)), ("uint8", (2, 3))], {"format": "NV12"}),
            ([("uint8", (4, 6))], {"format": "GRAY16_LE"}),
            ([("uint8", ())], {"format": "GRAY8"}),
            ([("uint8", (4, 6, 3))],
             {"caps": "video/x-raw,format=BGR,width=5,height=4"}),
            ([("uint8", (4, 6, 3))], {"caps": "video/x-raw,format=BGR"}),
            ([("uint8", (4, 6))],
             {"caps": "application/x-ndarray,dtype=float32,shape=(int)<4,6>"}),
            ([("uint8", (4, 6))], {"caps": "other/tensors,num_tensors=1,"
                                           "types=(string)uint8,dimensions=(string)4:6"}),
            ([("uint8", (4, 6))], {"caps": "video/x-bayer,format=rggb,width=4,height=6"}),
            ([("uint16", (4, 2))], {"caps": "audio/x-raw,format=S16LE"}),
            ([("int8", (8,))], {"caps": "audio/x-raw,format=S16BE"}),
            ([("int32", (4, 2))], {"caps": "audio/x-raw,format=F32BE"}),
            ([("float64", (4, 2))], {"caps": "audio/x-raw,format=S24_32BE"}),
            ([("int8", (4, 2))], {"caps": "audio/x-raw,format=U8"}),
            ([("uint8", (4, 6))], {"caps": "application/x-ndarray,dtype=uint8,"
                                           "shape=(int)<4,6>,order=F"}),
            ([("uint8", (4, 6))], {"caps": "neural-network/tensors,type=UINT8,"
                                           "dimensions=<<6,4>>"}),
            ([("bool", (4, 6))], {"caps": "other/tensors"}),
    ):
        with pytest.raises(ValueError):
            plan(arrays, **what)


def test_arrays_that_caps_describe_are_taken():
    for arrays, caps in (
            ([("uint8", (4, 6))], "other/tensors,types=(string)uint8,"
                                  "dimensions=(string)6:4:0:0"),
            ([("float32", (4, 6)), ("int8", (2,))],
             'other/tensors,types=(string)"float32,int8",dimensions=(string)"6:4,2"'),
            ([("bool", ())], "application/x-ndarray,dtype=bool,shape=<>"),
            ([("uint8", (77,))], "image/jpeg"),
            ([("int16", (100, 2))], "audio/x-raw,format=S16LE,rate=8000,channels=2"),
            ([("uint8", (100, 2, 3))], "audio/x-raw,format=S24LE,rate=8000,channels=2"),
            ([("float64", (2, 100))], "audio/x-raw,format=F64BE,layout=non-interleaved"),
            ([("int32", (9, 2))], "audio/x-raw,format=S24_32LE,rate=8000,channels=2"),
            ([("uint32", (9, 2))], "audio/x-raw,format=U20_32BE,rate=8000,channels=2"),
            ([("uint8", (4, 6))], "video/x-bayer,format=rggb,width=6,height=4"),
            ([("uint16", (4, 6))], "video/x-bayer,format=rggb10le,width=6,height=4"),
            ([("uint8", (6, 4))], "video/x-raw,format=NV12,width=4,height=4")):
        assert plan(arrays, caps=caps).caps == caps
    assert plan([("uint8", (4, 5))], caps="video/x-bayer,format=rggb,width=5,height=4") \
        .specs == (Spec("uint8", (4, 5), (8, 1), 0),)
    tensors = plan([("uint8", (3,)), ("uint8", (5,))],
                   caps='other/tensors,types="uint8,uint8",dimensions="3,5"')
    assert [spec.offset for spec in tensors.specs] == [0, 3]


# --- Views and conversions ---------------------------------------------------

def make(format, width=6, height=4, value=None, **fields):
    """(caps, planes) with rows padded, as they lie in a frame."""
    layout = formats.video_layout(format, width, height)
    memory = np.zeros(layout.size, np.uint8) if value is None \
        else np.full(layout.size, value, np.uint8)
    if value is None:
        memory[:] = np.random.RandomState(3).randint(0, 256, layout.size)
    memory.flags.writeable = False
    planes = tuple(
        np.ndarray(view.shape, view.dtype, memory, view.offset, view.strides)
        for view in layout.views)
    extra = "".join(", %s=(string)%s" % item for item in fields.items())
    return Caps(layout.caps + extra), planes


def channels_of(format, array):
    names = format.lower().replace("64_le", "").replace("64_be", "").replace("64", "")
    return {name: array[..., names.index(name)] for name in "rgb"}


PACKED = sorted(pixels._ORDERS)


@pytest.mark.parametrize("format", PACKED)
@pytest.mark.parametrize("to", ["bgr", "rgb"])
def test_colours_side_by_side_are_views(format, to):
    caps, planes = make(format)
    picture = pixels.convert(to, caps, planes, copy=False)

    assert np.shares_memory(picture, planes[0]) and not picture.flags.writeable
    assert picture.shape == (4, 6, 3)
    for i, name in enumerate(to):
        assert np.array_equal(picture[..., i], channels_of(format, planes[0])[name])
    own = pixels.convert(to, caps, planes, copy=True)
    assert own.flags.writeable and np.array_equal(own, picture)


@pytest.mark.parametrize("format", ["RGBP", "BGRP", "GBR", "GBRA"])
def test_planes_of_colours_are_views_where_they_lie_in_order(format):
    caps, planes = make(format)
    for to in ("rgb", "bgr"):
        picture = pixels.convert(to, caps, planes)
        assert np.shares_memory(picture, planes[0]) == (format in ("RGBP", "BGRP"))
        for i, name in enumerate(to):
            assert np.array_equal(picture[..., i],
                                  planes[format.lower().index(name)])
        if np.shares_memory(picture, planes[0]):
            assert not picture.flags.writeable
            with pytest.raises(ValueError):
                picture.setflags(write=1)
        else:
            with pytest.raises(ValueError, match="no view"):
                pixels.convert(to, caps, planes, copy=False)


@pytest.mark.parametrize("format, take", [
    ("GRAY8", lambda p: p[0]), ("GRAY16_LE", lambda p: p[0]),
    ("GRAY16_BE", lambda p: p[0]), ("NV12", lambda p: p[0]), ("I420", lambda p: p[0]),
    ("YV12", lambda p: p[0]), ("Y42B", lambda p: p[0]), ("Y444", lambda p: p[0]),
    ("P010_10LE", lambda p: p[0]), ("I420_10LE", lambda p: p[0]),
    ("YUY2", lambda p: p[0][..., 0]), ("UYVY", lambda p: p[0][..., 1]),
    ("YVYU", lambda p: p[0][..., 0]), ("VYUY", lambda p: p[0][..., 1]),
    ("AYUV", lambda p: p[0][..., 1]), ("VUYA", lambda p: p[0][..., 2])])
def test_gray_is_a_view_of_luma(format, take):
    caps, planes = make(format)
    gray = pixels.convert("gray", caps, planes, copy=False)
    assert np.shares_memory(gray, planes[0]) and gray.shape == (4, 6)
    assert np.array_equal(gray, take(planes))


def test_gray_of_colours_is_weighted():
    caps, planes = make("RGB")
    gray = pixels.convert("gray", caps, planes)
    wanted = np.rint(planes[0] @ np.array([0.299, 0.587, 0.114]))
    assert gray.dtype == np.uint8 and np.abs(gray - wanted).max() <= 1
    with pytest.raises(ValueError, match="copy=False"):
        pixels.convert("gray", caps, planes, copy=False)


# Y, U, V of pure red by matrix, 16 to 235; from the definitions of each.
@pytest.mark.parametrize("colorimetry, yuv", [
    ("bt601", (81, 90, 240)), ("bt709", (63, 102, 240)), ("2:4:16:4", (81, 90, 240)),
    ("2:3:5:1", (63, 102, 240)), ("bt2020", (74, 97, 240)),
    ("1:4:0:0", (76, 85, 255)), ("1:3:0:0", (54, 99, 255))])
@pytest.mark.parametrize("format", ["I420", "NV12", "NV21", "YV12", "Y444", "YUY2",
                                    "UYVY", "VYUY", "YVYU", "AYUV"])
def test_the_matrix_is_that_of_the_caps(format, colorimetry, yuv):
    caps, planes = make(format, value=0, colorimetry=colorimetry)
    memory = [np.array(plane) for plane in planes]
    y, u, v = yuv
    if format in ("I420", "Y444", "YV12"):
        for plane, value in zip(memory, (y, v, u) if format == "YV12" else (y, u, v)):
            plane[...] = value
    elif format in ("NV12", "NV21"):
        memory[0][...] = y
        memory[1][...] = (u, v) if format == "NV12" else (v, u)
    elif format == "AYUV":
        memory[0][...] = (255, y, u, v)
    else:
        pairs = {"YUY2": (y, u, y, v), "UYVY": (u, y, v, y), "YVYU": (y, v, y, u),
                 "VYUY": (v, y, u, y)}[format]
        memory[0][:, 0::2], memory[0][:, 1::2] = pairs[:2], pairs[2:]

    rgb = pixels.convert("rgb", caps, tuple(memory)).astype(int)
    bgr = pixels.convert("bgr", caps, tuple(memory))

    assert np.abs(rgb - (255, 0, 0)).max() <= 3, rgb[0, 0]
    assert np.array_equal(rgb, bgr[..., ::-1])


@pytest.mark.parametrize("colorimetry, kr, kb, low, luma, chroma", [
    ("bt601", 0.299, 0.114, 16, 219, 224), ("bt709", 0.2126, 0.0722, 16, 219, 224),
    ("bt2020", 0.2627, 0.0593, 16, 219, 224), ("1:4:0:0", 0.299, 0.114, 0, 255, 255)])
def test_colours_that_are_not_pure_come_back(colorimetry, kr, kb, low, luma, chroma):
    """To YUV by the definition, and back."""
    for red, green, blue in ((200, 100, 50), (90, 120, 180), (60, 130, 70), (128,) * 3):
        bright = kr * red + (1 - kr - kb) * green + kb * blue
        y = low + bright * luma / 255.0
        u = 128 + (blue - bright) / (2 * (1 - kb)) * chroma / 255.0
        v = 128 + (red - bright) / (2 * (1 - kr)) * chroma / 255.0
        for format, unit in (("Y444", 1), ("Y444_10LE", 4), ("Y444_16LE", 256)):
            caps, planes = make(format, value=0, colorimetry=colorimetry)
            if unit > 1 and low == 0:
                continue
            planes = tuple(np.full_like(plane, int(round(value * unit)))
                           for plane, value in zip(planes, (y, u, v)))
            rgb = pixels.convert("rgb", caps, planes).astype(int)
            assert np.abs(rgb - (red, green, blue)).max() <= 2, (format, rgb[0, 0])


def test_without_colorimetry_the_height_decides():
    assert pixels._colorimetry(Caps("video/x-raw"), 576)[1] == 4
    assert pixels._colorimetry(Caps("video/x-raw"), 577)[1] == 3


@pytest.mark.parametrize("format", sorted(formats.FORMATS))
def test_every_format_has_every_picture(format):
    for width, height in ((6, 4), (7, 5), (1, 1), (2, 1), (1, 2)):
        caps, planes = make(format, width, height)
        for to, shape in (("bgr", (height, width, 3)), ("rgb", (height, width, 3)),
                          ("gray", (height, width))):
            picture = pixels.convert(to, caps, planes)
            assert picture.shape == shape and picture.dtype.kind == "u"


def test_gray_becomes_three_equal_channels():
    caps, planes = make("GRAY8")
    for to in ("rgb", "bgr"):
        picture = pixels.convert(to, caps, planes)
        assert all(np.array_equal(picture[..., i], planes[0]) for i in range(3))
    caps, planes = make("GRAY16_BE")
    assert np.array_equal(pixels.convert("rgb", caps, planes)[..., 1], planes[0])


def test_bits_become_bytes():
    for format, red in (("RGB16", 0xf800), ("BGR16", 0x001f), ("RGB15", 0x7c00),
                        ("BGR15", 0x001f)):
        caps, planes = make(format)
        planes = (np.full_like(planes[0], red),)
        assert np.array_equal(pixels.convert("rgb", caps, planes)[2, 3], [255, 0, 0])
    caps, planes = make("RGB16")
    white = pixels.convert("bgr", caps, (np.full_like(planes[0], 0xffff),))
    assert (white == 255).all()


def test_what_came_without_caps_is_in_opencv_order():
    array = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    assert pixels.convert("bgr", Caps(""), (array,)).base is array.base
    assert np.array_equal(pixels.convert("rgb", Caps(""), (array,)), array[..., ::-1])
    assert pixels.convert("gray", Caps(""), (array,)).shape == (4, 5)
    assert pixels.convert("gray", Caps(""), (array[..., 0],)).shape == (4, 5)
    assert pixels.convert("bgr", Caps(""), (array[..., 0],)).shape == (4, 5, 3)


def test_what_is_no_picture_says_so():
    array = np.zeros(10, np.uint8)
    for caps in ("", "audio/x-raw, format=S16LE", "application/octet-stream",
                 "video/x-raw, format=v210, width=4, height=2",
                 "video/x-raw, format=BGR, width=4, height=2"):
        for to in ("bgr", "gray"):
            with pytest.raises(ValueError, match="no conversion"):
                pixels.convert(to, Caps(caps), (array,))


@pytest.mark.parametrize("order", ["rggb", "bggr", "grbg", "gbrg"])
@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2"])
def test_a_sensor_of_one_colour_is_that_colour(order, dtype):
    array = np.zeros((6, 8), dtype)
    for at, name in enumerate(order):
        array[at // 2::2, at % 2::2] = {"r": 200, "g": 100, "b": 50}[name]
    suffix = "" if dtype == "u1" else "16be" if dtype[0] == ">" else "16le"
    caps = Caps("video/x-bayer, format=%s%s, width=8, height=6" % (order, suffix))

    assert (pixels.convert("rgb", caps, (array,)) == (200, 100, 50)).all()
    assert (pixels.convert("bgr", caps, (array,)) == (50, 100, 200)).all()


def test_opencv_and_numpy_agree(monkeypatch):
    pytest.importorskip("cv2")
    for format in sorted(pixels._CV_YUV) + ["RGB", "BGRx"]:
        caps, planes = make(format, 8, 6, colorimetry="bt601")
        # Beyond that range OpenCV limits Y, too, where NumPy limits the result only.
        planes = tuple(np.clip(plane, 16, 235) for plane in planes)
        for to in ("bgr", "rgb", "gray"):
            with_it = pixels.convert(to, caps, planes).astype(int)
            with monkeypatch.context() as context:
                context.setattr(pixels, "_opencv", lambda: None)
                without = pixels.convert(to, caps, planes).astype(int)
            assert np.abs(with_it - without).max() <= 3, (format, to)


# All that cameras give, in what OpenCV has no conversion of.
@pytest.mark.parametrize("colorimetry", ["bt709", "1:3:0:0", "1:4:0:0", "bt2020"])
@pytest.mark.parametrize("format", sorted(pixels._BY_MATRIX))
def test_opencv_converts_by_any_matrix(monkeypatch, format, colorimetry):
    """Within one level of the definition, for all that bytes can be."""
    pytest.importorskip("cv2")
    monkeypatch.setattr(pixels, "_STRIP", 30)           # several strips, and a last one
    for width, height in ((32, 24), (62, 10), (31, 7), (8, 1), (2, 2)):
        caps, planes = make(format, width, height, colorimetry=colorimetry)
        generator = np.random.RandomState(width)
        planes = tuple(generator.randint(0, 256, plane.shape).astype(np.uint8)
                       for plane in planes)
        for to in ("bgr", "rgb"):
            with monkeypatch.context() as context:
                context.setattr(pixels, "_opencv", lambda: None)
                wanted = pixels.convert(to, caps, planes).astype(int)
            with monkeypatch.context() as context:
                if format not in pixels._PAIRS or width % 2 == 0:
                    context.setattr(pixels, "_from_yuv", None)
                got = pixels.convert(to, caps, planes).astype(int)
            assert np.abs(got - wanted).max() <= 1, (width, height, to)
