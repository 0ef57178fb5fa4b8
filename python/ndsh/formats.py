# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hides how GStreamer's caps say what the numbers of an array mean.

Pure functions of text and numbers: nothing here has seen a frame, NumPy or the
library. Sizes, strides and offsets are bytes; dtypes are text that NumPy takes.
"""

import re
import sys
from fractions import Fraction
from numbers import Rational

from ._lib import MAX_ARRAYS, MAX_DIMS, Spec

_BIG_ENDIAN = sys.byteorder == "big"


# --- Caps as text ------------------------------------------------------------

class Caps:
    """Caps, taken apart.

    media: "video/x-raw"; "" if the text is not fixed caps
    features: ("memory:NVMM",), mostly empty
    fields: {"width": 640, "framerate": Fraction(30), "format": "BGR"}; arrays are
        tuples, and whatever is not understood is its text
    """

    def __init__(self, text):
        self.text = text
        self.media, self.features, self.fields = "", (), {}
        try:
            self._parse(text)
        except ValueError:
            self.media, self.features, self.fields = "", (), {}

    def _parse(self, text):
        head = re.match(r"\s*([a-zA-Z][\w.+-]*/[\w.+-]+)\s*(?:\(([^)]*)\))?\s*", text)
        if head is None:
            raise ValueError
        self.fields = _fields(text[head.end():])
        self.media = head.group(1)
        if head.group(2):
            self.features = tuple(
                feature.strip() for feature in head.group(2).split(",")
                if feature.strip() != "memory:SystemMemory")

    def get(self, name, kind):
        """The field if it is of that kind, else None."""
        value = self.fields.get(name)
        return value if isinstance(value, kind) else None

    @property
    def format(self):
        """"BGR", "F32LE", "grbg"; None if the caps name none."""
        return self.get("format", str)


def parse_structure(text):
    """(name, fields) of a GstStructure; ValueError for what is none."""
    head = re.match(r"\s*([a-zA-Z][\w.+:/-]*)\s*(?=[,;]|$)", text)
    if head is None:
        raise ValueError("%r is no structure" % text)
    return head.group(1), _fields(text[head.end():])


def structure_text(name, fields):
    """The reverse; ValueError or TypeError for what cannot be one."""
    for word in (name,) + tuple(fields):
        if not re.match(r"[a-zA-Z][\w.+:/-]*$", word):
            raise ValueError("%r cannot be the name of a structure or a field" % word)
    return "".join([name] + [", %s=%s" % (field, _value_text(value))
                             for field, value in fields.items()]) + ";"


def _fields(rest):
    fields = {}
    for field in _split(rest, ",")[1:] if rest else []:
        name, equals, value = field.partition("=")
        if not equals:
            raise ValueError
        fields[name.strip()] = _value(value.strip())
    return fields


_MAX_DEPTH = 32       # as in ndshsrc


def _split(text, separator):
    """At separators outside of quotes and brackets; a final ';' ends it."""
    parts, depth, quoted, start, at = [], 0, False, 0, 0
    while at < len(text):
        character = text[at]
        if character == "\\":
            at += 1
        elif character == '"':
            quoted = not quoted
        elif quoted:
            pass
        elif character in "<{[":
            depth += 1
            if depth > _MAX_DEPTH:
                raise ValueError("lists in lists without end")
        elif character in ">}]":
            depth -= 1
        elif character == ";" and depth == 0:
            if text[at + 1:].strip():
                raise ValueError("more than one structure")
            break
        elif character == separator and depth == 0:
            parts.append(text[start:at])
            start = at + 1
        at += 1
    if depth != 0 or quoted:
        raise ValueError("unbalanced")
    return parts + [text[start:at]]


# As GStreamer names them.
_INTEGERS = ("int", "i", "gint", "uint", "u", "guint", "int64", "gint64", "uint64",
             "guint64", "uchar", "guchar", "glong", "gulong")
_FLOATS = ("double", "d", "gdouble", "float", "f", "gfloat")
_BOOLEANS = ("boolean", "bool", "b", "gboolean")
_INTEGER = re.compile(r"[+-]?(0x[0-9a-fA-F]{1,16}|\d{1,20})$")
_FRACTION = re.compile(r"[+-]?\d{1,10}(/\d{0,9}[1-9]\d{0,9})?$")
_FLOAT = re.compile(r"[+-]?(\d{1,400}\.?\d{0,400}([eE][+-]?\d{1,3})?|inf|nan)$")


def _value(text):
    kind = re.match(r"\(\s*([\w-]+)\s*\)\s*", text)
    name = kind.group(1) if kind else ""
    text = text[kind.end():] if kind else text
    if text[:1] == "<" and text[-1:] == ">":
        inner = text[1:-1].strip()
        return tuple(_value(part.strip()) for part in _split(inner, ",")) \
            if inner else ()
    if text[:1] == '"':
        return _unquote(text) if len(text) > 1 and text[-1] == '"' else text
    if name in ("buffer", "GstBuffer"):
        return bytes.fromhex(text)
    if name in _BOOLEANS:
        return text.lower() in ("true", "yes", "1", "t")
    if name in _INTEGERS and _INTEGER.match(text):
        return int(text, 16 if "x" in text else 10)
    if name in _FLOATS and _FLOAT.match(text):
        return float(text)
    if name in ("fraction", "GstFraction") and _FRACTION.match(text):
        return Fraction(text)
    return text if name else _guess(text)


def _guess(text):
    """As GStreamer reads what has no type: a number, a fraction, else text."""
    if _INTEGER.match(text):
        return int(text, 16 if "x" in text else 10)
    if _FLOAT.match(text):
        return float(text)
    if "/" in text and _FRACTION.match(text):
        return Fraction(text)
    return _WORDS.get(text.lower(), text)


_WORDS = {"true": True, "yes": True, "t": True, "false": False, "no": False, "f": False}


def _unquote(text):
    def escape(match):
        octal = match.group(1)
        return octal if len(octal) == 1 else bytes([int(octal, 8) & 255])
    return re.sub(rb"\\([0-7]{3}|.)", escape, text[1:-1].encode("utf-8"),
                  flags=re.DOTALL).decode("utf-8", "replace")


def _value_text(value):
    if hasattr(value, "item"):
        value = value.item()      # one of NumPy's
    if isinstance(value, bool):
        return "(boolean)%s" % str(value).lower()
    if isinstance(value, int):
        return _integer_text(value)
    if isinstance(value, float):
        return "(double)%r" % value
    if isinstance(value, Fraction):
        if max(abs(value.numerator), value.denominator) >= 1 << 31:
            raise ValueError("%s has more than 32 bits" % value)
        return "(fraction)%d/%d" % (value.numerator, value.denominator)
    if isinstance(value, bytes) and not value:
        raise ValueError("bytes can be a value here, but not none")
    if isinstance(value, bytes):
        return "(buffer)%s" % value.hex()
    if isinstance(value, (tuple, list)):
        return "< %s >" % ", ".join(_value_text(one) for one in value)
    if isinstance(value, str):
        return '(string)"%s"' % "".join(_escape(byte) for byte in value.encode("utf-8"))
    raise TypeError("%r cannot be a value here: a number, text, bytes, a Fraction, or a "
                    "tuple of them can" % (value,))


def _integer_text(value):
    for name, least, most in (("int", -1 << 31, 1 << 31), ("gint64", -1 << 63, 1 << 63),
                              ("guint64", 0, 1 << 64)):
        if least <= value < most:
            return "(%s)%d" % (name, value)
    raise ValueError("%d has more than 64 bits" % value)


def _escape(byte):
    if re.match(rb"[\w+/:.-]", bytes([byte])):
        return chr(byte)
    return "\\" + chr(byte) if 32 <= byte < 127 else "\\%03o" % byte


def fraction(fps):
    """Frames a second as caps have it.

    fps: a text like "30000/1001" or a Fraction, taken as it is; or any other number,
        of which 29.97 and 23.976 are known to mean 30000/1001 and 24000/1001. None is
        0/1, no fixed rate.
    """
    if fps is None:
        return "0/1"
    try:
        exact = isinstance(fps, (str, Rational))
        value = Fraction(fps) if exact else _nearest_rate(float(fps))
    except (ValueError, OverflowError, ZeroDivisionError):
        raise ValueError("fps is %r, which is no rate" % (fps,))
    if value < 0 or (value == 0 and not exact) \
            or max(value.numerator, value.denominator) >= 2 ** 31:
        raise ValueError("fps is %r, which cannot be" % (fps,))
    return "%d/%d" % (value.numerator, value.denominator)


def _nearest_rate(fps):
    """Of what a float may stand for, the rate of NTSC video if that is near."""
    value = Fraction(fps).limit_denominator(10 ** 5)
    ntsc = Fraction(round(value * Fraction(1001, 1000)) * 1000, 1001)
    if value.denominator != 1 and abs(value - ntsc) < min(value / 5000, Fraction(1, 200)):
        return ntsc
    return value


# --- Raw video ---------------------------------------------------------------

class Plane:
    """One plane of a format: how much smaller than the image it is, and its pixels.

    width_shift, height_shift: 1 where it has half as many columns or rows
    channels: numbers in each pixel, 0 if the array has no axis for them
    dtype: "u1", "<u2", ">u2", "<u4", ">u4"
    """

    def __init__(self, width_shift, height_shift, channels, dtype):
        self.width_shift = width_shift
        self.height_shift = height_shift
        self.channels = channels
        self.dtype = dtype

    def shape(self, width, height):
        shape = (-(-height >> self.height_shift), -(-width >> self.width_shift))
        return shape + (self.channels,) if self.channels else shape

    def strides(self):
        """Within a row."""
        item = _item_size(self.dtype)
        return (item * self.channels, item) if self.channels else (item,)


def _planes(*planes):
    return tuple(Plane(*plane) for plane in planes)


def _planar(shifts, dtype, n=3):
    chroma = tuple(shifts) + (0, dtype)
    return _planes(*[(0, 0, 0, dtype), chroma, chroma, (0, 0, 0, dtype)][:n])


def _semiplanar(shifts, dtype):
    return _planes((0, 0, 0, dtype), tuple(shifts) + (2, dtype))


_420, _422, _444 = (1, 1), (1, 0), (0, 0)


def _make_formats():
    formats = {
        "GRAY8": _planes((0, 0, 0, "u1")),
        "NV12": _semiplanar(_420, "u1"), "NV21": _semiplanar(_420, "u1"),
        "NV16": _semiplanar(_422, "u1"), "NV61": _semiplanar(_422, "u1"),
        "NV24": _semiplanar(_444, "u1"),
        "I420": _planar(_420, "u1"), "YV12": _planar(_420, "u1"),
        "Y42B": _planar(_422, "u1"), "Y444": _planar(_444, "u1"),
        "Y41B": _planar((2, 0), "u1"),
        "YUV9": _planar((2, 2), "u1"), "YVU9": _planar((2, 2), "u1"),
        "GBR": _planar(_444, "u1"), "RGBP": _planar(_444, "u1"),
        "BGRP": _planar(_444, "u1"), "GBRA": _planar(_444, "u1", 4),
        "A420": _planar(_420, "u1", 4),
    }
    for name in ("RGB", "BGR", "v308", "IYU2"):
        formats[name] = _planes((0, 0, 3, "u1"))
    for name in ("RGBx", "BGRx", "xRGB", "xBGR", "RGBA", "BGRA", "ARGB", "ABGR",
                 "AYUV", "VUYA"):
        formats[name] = _planes((0, 0, 4, "u1"))
    for name in ("YUY2", "UYVY", "YVYU", "VYUY"):
        formats[name] = _planes((0, 0, 2, "u1"))
    # The machine's byte order, as GStreamer has it.
    native = ">u2" if _BIG_ENDIAN else "<u2"
    for name in ("RGB16", "BGR16", "RGB15", "BGR15"):
        formats[name] = _planes((0, 0, 0, native))
    for name in ("ARGB64", "AYUV64"):
        formats[name] = _planes((0, 0, 4, native))
    for end, dtype in (("LE", "<u2"), ("BE", ">u2")):
        formats["GRAY16_" + end] = _planes((0, 0, 0, dtype))
        for name in ("ARGB64", "RGBA64", "BGRA64", "ABGR64"):
            formats[name + "_" + end] = _planes((0, 0, 4, dtype))
        for name in ("P010_10", "P012_", "P016_"):
            formats[name + end] = _semiplanar(_420, dtype)
        for bits in ("10", "12"):
            formats["I420_" + bits + end] = _planar(_420, dtype)
            formats["I422_" + bits + end] = _planar(_422, dtype)
            formats["GBR_" + bits + end] = _planar(_444, dtype)
        for bits in ("10", "12", "16"):
            formats["Y444_" + bits + end] = _planar(_444, dtype)
    return formats


# Those that pixels.py makes pictures of.
FORMATS = _make_formats()


def _make_layouts():
    """Those, and others whose planes are arrays."""
    layouts = dict(FORMATS)
    layouts["AV12"] = _semiplanar(_420, "u1") + _planes((0, 0, 0, "u1"))
    layouts["A422"] = _planar(_422, "u1", 4)
    layouts["A444"] = _planar(_444, "u1", 4)
    layouts["RBGA"] = _planes((0, 0, 4, "u1"))
    layouts["GRAY10_LE16"] = _planes((0, 0, 0, "<u2"))
    layouts["r210"] = _planes((0, 0, 0, ">u4"))
    for name in ("BGR10A2_LE", "RGB10A2_LE", "BGR10x2_LE", "RGB10x2_LE", "Y410"):
        layouts[name] = _planes((0, 0, 0, "<u4"))
    for name in ("Y210", "v216"):
        layouts[name] = _planes((0, 0, 2, "<u2"))
    for end, dtype in (("LE", "<u2"), ("BE", ">u2")):
        layouts["GBR_16" + end] = _planar(_444, dtype)
        for bits in ("12_", "16_"):
            layouts["Y2" + bits + end] = _planes((0, 0, 2, dtype))
            layouts["Y4" + bits + end] = _planes((0, 0, 4, dtype))
        for bits in ("10", "12"):
            layouts["GBRA_" + bits + end] = _planar(_444, dtype, 4)
        for bits in ("10", "12", "16"):
            for name, shifts in (("A420_", _420), ("A422_", _422), ("A444_", _444)):
                layouts[name + bits + end] = _planar(shifts, dtype, 4)
    return layouts


LAYOUTS = _make_layouts()


def _round_up(value, to):
    return -(-value // to) * to


class Layout:
    """How arrays of certain shapes lie in a frame, and the caps that say so.

    caps: text, "" for none
    specs: a Spec for each array, as the frame carries them
    views: the same, as NumPy is to see them: ">u2" where the specs have bytes
    size: bytes of the frame, padding after the last row included; None for what the
        arrays reach
    is_padded: whether they reach less
    split: for each view, where the numbers of the one array given are: a tuple of
        (first row, rows) in it, or None if each view is an array of its own
    """

    def __init__(self, caps, specs, views=None, size=None, split=None):
        self.caps = caps
        self.specs = tuple(specs)
        self.views = self.specs if views is None else tuple(views)
        self.size = size
        self.is_padded = size is not None and size > max(map(_end, self.specs))
        self.split = split


def _end(spec):
    """Where its last element ends, for one that has elements of 1, 2 or 4 bytes."""
    item = int(re.search(r"\d+$", spec.dtype).group()) // 8
    return spec.offset + item + sum(
        (length - 1) * stride for length, stride in zip(spec.shape, spec.strides))


def _item_size(dtype):
    return int(dtype[-1])


def _is_foreign(dtype):
    return len(dtype) == 3 and (dtype[0] == ">") != _BIG_ENDIAN


def _carried(view):
    """What the frame says of a view: dtypes of frames have no byte order, so an item
    in the other one is its bytes."""
    size = _item_size(view.dtype)
    if _is_foreign(view.dtype):
        return Spec("uint8", view.shape + (size,), view.strides + (1,), view.offset)
    return view._replace(dtype="uint%d" % (8 * size))


def video_layout(format, width, height, fps=None, caps=None):
    """Where GStreamer expects the planes of a frame: rows begin at multiples of 4.

    caps: Caps to take, instead of those that are made of the rest
    """
    views, offset = [], 0
    is_interlaced = caps is not None and _interlacing(caps) != "progressive"
    for plane in LAYOUTS[format]:
        shape = plane.shape(width, height)
        item = _item_size(plane.dtype)
        pixel = item * (plane.channels or 1)
        row = shape[1] * pixel
        if format in _PAIRED:                      # pairs of pixels share a colour
            row = _round_up(shape[1], 2) * pixel
        stride = _round_up(row, 4)
        strides = (stride, pixel) + ((item,) if plane.channels else ())
        views.append(Spec(plane.dtype, shape, strides, offset))
        rows_in_pairs = is_interlaced and _pairs_fields(format) if plane.height_shift \
            else _pairs_rows(format)
        offset += stride * (_round_up(shape[0], 2) if rows_in_pairs else shape[0])
    text = "video/x-raw, format=(string)%s, width=(int)%d, height=(int)%d, " \
        "framerate=(fraction)%s" % (format, width, height, fraction(fps)) \
        if caps is None else caps.text
    return Layout(text, [_carried(view) for view in views], views, offset)


def _interlacing(caps):
    return caps.get("interlace-mode", str) or "progressive"


def _pairs_rows(format):
    """Whether planes of an odd height have one row more; in some without need."""
    return format.startswith(("I422_", "A422")) or format == "A444" or any(
        plane.height_shift == 1 for plane in LAYOUTS[format])


def _pairs_fields(format):
    """Whether planes of chroma have rows for two whole fields."""
    return not format.startswith("P01") and format != "AV12"


_PAIRED = ("YUY2", "UYVY", "YVYU", "VYUY", "Y210", "Y212_LE", "Y212_BE", "Y216_LE",
           "Y216_BE", "v216")


def find_video_size(format, shapes):
    """(width, height) of the image that arrays of @shapes are, in this format.

    One array a plane; or one of height * 3 / 2 rows for NV12, I420 and their like;
    or one of shape (3, height, width) for three planes of full size.
    """
    planes = LAYOUTS[format]
    if len(shapes) == len(planes):
        height, width = (tuple(shapes[0]) + (0, 0))[:2]
        if width > 0 and height > 0 and all(
                plane.shape(width, height) == tuple(shape)
                for plane, shape in zip(planes, shapes)):
            return width, height
    elif len(shapes) == 1:
        size = _find_joined_size(planes, tuple(shapes[0]))
        if size is not None:
            return size
    raise ValueError("%s is %s, not %s" % (
        format, _describe_planes(planes),
        " and ".join(_shape_text(shape) for shape in shapes)))


def _find_joined_size(planes, shape):
    if _are_alike(planes):
        if len(shape) == 3 and shape[0] == len(planes) and 0 not in shape:
            return shape[2], shape[1]
    elif _are_joined_420(planes) and len(shape) == 2:
        rows, width = shape
        if width > 0 and rows > 0 and rows % 3 == 0 and width % 2 == 0:
            return width, rows // 3 * 2
    return None


def _are_alike(planes):
    return len(planes) > 1 and all(
        not plane.width_shift and not plane.height_shift and not plane.channels
        for plane in planes)


def _are_joined_420(planes):
    return (len(planes) in (2, 3)
            and all((p.width_shift, p.height_shift) == _420 for p in planes[1:]))


def _shape_text(shape):
    return "(%s)" % ", ".join(str(length) for length in shape)


def _describe_planes(planes):
    def text(plane):
        names = [name if not shift else "%s / %d" % (name, 1 << shift)
                 for name, shift in (("height", plane.height_shift),
                                     ("width", plane.width_shift))]
        dims = names + ([str(plane.channels)] if plane.channels else [])
        return "%s (%s)" % (
            {1: "uint8", 2: "uint16", 4: "uint32"}[_item_size(plane.dtype)],
            ", ".join(dims))
    said = " and ".join(text(plane) for plane in planes)
    if _are_joined_420(planes):
        said += ", or all of it as one (height * 3 / 2, width)"
    elif _are_alike(planes):
        said += ", or all of it as one (%d, height, width)" % len(planes)
    return said


def _check_dtypes(format, dtypes):
    for plane in LAYOUTS[format]:
        wanted = "uint%d" % (8 * _item_size(plane.dtype))
        for dtype in dtypes:
            if dtype != wanted:
                raise ValueError("%s is made of %s, not of %s" % (
                    format, wanted, dtype))


def _plan_video(format, arrays, fps, caps):
    shapes = [shape for _, shape in arrays]
    _check_dtypes(format, [dtype for dtype, _ in arrays])
    width, height = find_video_size(format, shapes)
    layout = video_layout(format, width, height, fps, caps)
    if len(arrays) == 1 and len(layout.views) > 1:
        layout.split = tuple(view.shape for view in layout.views)
    return layout


def _check_caps_size(caps, layout):
    width, height = caps.get("width", int), caps.get("height", int)
    shape = layout.views[0].shape
    rows = height
    if height is not None and _interlacing(caps) == "alternate":
        rows = -(-height // 2)                     # a frame is one field
    if (width, rows) != (shape[1], shape[0]):
        raise ValueError("the caps say %s x %s pixels, the array has %d x %d" % (
            width, rows, shape[1], shape[0]))


# --- Any arrays --------------------------------------------------------------

ALIGNMENT = 64      # of each array of a frame: for SIMD, and a cache line of its own


def dense_specs(arrays, sizes, align=ALIGNMENT):
    """Row-major arrays, one after the other.

    arrays: (dtype, shape) of each; sizes: bytes of one element of each
    """
    specs, offset = [], 0
    for (dtype, shape), size in zip(arrays, sizes):
        strides, stride = [], size
        for length in reversed(shape):
            strides.append(stride)
            stride *= max(length, 1)
        specs.append(Spec(dtype, tuple(shape), tuple(reversed(strides)), offset))
        if 0 not in shape:
            offset = _round_up(offset + stride, align)
    return specs


def guess_format(dtype, shape):
    """The video that an array is taken for where its writer gives a rate and no
    format: uint8 (height, width) is GRAY8, (height, width, 3) is BGR, OpenCV's
    order, (height, width, 4) is BGRx; uint16 (height, width) is GRAY16_LE. None for
    what is no picture or smaller than 16 x 16."""
    if len(shape) < 2 or min(shape[:2]) < 16:
        return None
    if len(shape) == 2:
        return {"uint8": "GRAY8", "uint16": "GRAY16_LE"}.get(dtype)
    if len(shape) == 3 and dtype == "uint8":
        return {3: "BGR", 4: "BGRx"}.get(shape[2])
    return None


def plan(arrays, sizes, format=None, fps=None, caps=None):
    """The Layout of a frame of these arrays.

    arrays: (dtype, shape) of each; sizes: bytes of one element of each
    Raises ValueError where they are not what @format or @caps say.
    """
    if format is None and caps is None and fps is not None and len(arrays) == 1:
        format = guess_format(*arrays[0])
    if format is not None:
        return _plan_video(format, arrays, fps, None)
    if caps is None:
        return Layout("", dense_specs(arrays, sizes))
    return _plan_caps(Caps(caps), arrays, sizes)


def _plan_caps(caps, arrays, sizes):
    if caps.media == "video/x-raw" and caps.format in LAYOUTS:
        layout = _plan_video(caps.format, arrays, None, caps)
        _check_caps_size(caps, layout)
        return layout
    if _are_incomplete_tensors(caps):
        caps = _complete_tensors(caps, arrays)
    said = arrays_from_caps(caps)
    if said is not None and said != [(dtype, tuple(shape)) for dtype, shape in arrays]:
        raise ValueError("the caps say %s, not %s" % (
            _arrays_text(said), _arrays_text(arrays)))
    # Tensors follow each other closely.
    align = 1 if caps.media.endswith("/tensors") else ALIGNMENT
    if caps.media == "video/x-bayer" and len(arrays) == 1:
        return _plan_bayer(caps, arrays[0], sizes[0])
    specs = dense_specs(arrays, sizes, align)
    if caps.media == "audio/x-raw":
        return _plan_audio(caps, specs)
    if caps.media == "application/x-ndarray" and "strides" in caps.fields:
        specs = [_with_strides(caps, spec, sizes[0]) for spec in specs]
    elif caps.media == "application/x-ndarray" and "order" in caps.fields:
        specs = [_with_order(caps, spec, sizes[0]) for spec in specs]
    return Layout(caps.text, specs)


_TENSOR_TYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
                 "float16", "float32", "float64")
_MAX_TENSOR_DIMS = 16         # that NNStreamer takes


def _are_incomplete_tensors(caps):
    return caps.media == "other/tensors" and (caps.format or "static") == "static" \
        and "types" not in caps.fields and "dimensions" not in caps.fields


def _complete_tensors(caps, arrays):
    """As ndshsrc's array-caps does. GStreamer before 1.22 may refuse a comma in quotes
    that has no backslash."""
    for dtype, shape in arrays:
        if dtype not in _TENSOR_TYPES or 0 in shape \
                or not 1 <= len(shape) <= _MAX_TENSOR_DIMS:
            raise ValueError("a tensor has 1 to %d dimensions and none of 0, of %s; not %s" % (
                _MAX_TENSOR_DIMS, ", ".join(_TENSOR_TYPES), _arrays_text(arrays)))
    said = ['%s=%s' % field for field in (
        ("format", "static"), ("num_tensors", "(int)%d" % len(arrays)),
        ("types", '(string)"%s"' % "\\,".join(dtype for dtype, _ in arrays)),
        ("dimensions", '(string)"%s"' % "\\,".join(
            ":".join(str(length) for length in reversed(shape)) for _, shape in arrays)),
        ("framerate", "(fraction)0/1")) if field[0] not in caps.fields]
    return Caps(", ".join([caps.text.rstrip("; \n")] + said))


def _with_order(caps, spec, size):
    order = caps.fields["order"]
    if order not in ("C", "F"):
        raise ValueError("the caps' order is %s, neither (string)C nor (string)F; F alone "
                         "means false" % order)
    if order == "C":
        return spec
    strides, stride = [], size
    for length in spec.shape:
        strides.append(stride)
        stride *= max(length, 1)
    return spec._replace(strides=tuple(strides))


def _with_strides(caps, spec, size):
    """Where the caps say that the elements lie."""
    strides = caps.get("strides", tuple)
    if strides is None or len(strides) != len(spec.shape) or not all(
            isinstance(stride, int) and stride >= 0 for stride in strides):
        raise ValueError("the caps' strides are %s, not one for each dimension of %s" % (
            caps.fields["strides"], _shape_text(spec.shape)))
    end = size
    for stride, length in sorted(zip(strides, spec.shape)):
        if length > 1 and 0 not in spec.shape:
            if stride < end:
                raise ValueError("with the caps' strides %s elements of %s overlap" % (
                    _shape_text(strides), _shape_text(spec.shape)))
            end += stride * (length - 1)
    return spec._replace(strides=strides)


def _plan_audio(caps, specs):
    """Numbers in the caps' own byte order, which may not be the machine's."""
    found = re.match(r"([FSU])(?:2[04]_)?(8|16|32|64)(?:LE|BE)?$", caps.format or "")
    if found is None:
        return Layout(caps.text, specs)       # in 3 bytes: no dtype has those
    kind, bits = found.groups()
    dtype = {"F": "float", "S": "int", "U": "uint"}[kind] + bits
    for spec in specs:
        if spec.dtype != dtype:
            raise ValueError("%s is made of %s, not of %s" % (
                caps.format, dtype, spec.dtype))
    if not _is_other_order(caps):
        return Layout(caps.text, specs)
    views = [spec._replace(dtype="%s%s%d" % ("<" if _BIG_ENDIAN else ">", _kind(caps),
                                             int(bits) // 8)) for spec in specs]
    return Layout(caps.text, [_carried(view) for view in views], views)


def _plan_bayer(caps, array, size):
    dtype, shape = array
    format = caps.format or ""
    view = Spec({1: "u1", 2: ">u2" if format.endswith("be") else "<u2"}.get(size, ""),
                tuple(shape), (), 0)
    if dtype not in ("uint8", "uint16") or len(shape) != 2 \
            or (caps.get("height", int), caps.get("width", int)) != view.shape:
        raise ValueError("the caps say %s x %s pixels of a sensor, not %s" % (
            caps.get("width", int), caps.get("height", int), _arrays_text([array])))
    stride = _round_up(shape[1] * size, 4)
    view = view._replace(strides=(stride, size))
    return Layout(caps.text, [_carried(view)], [view], stride * shape[0])


def _arrays_text(arrays):
    return " and ".join("%s %s" % (dtype, _shape_text(shape))
                        for dtype, shape in arrays)


def arrays_from_caps(caps):
    """[(dtype, shape), ...] where the caps alone give them; else None."""
    if caps.media == "application/x-ndarray":
        dtype, shape = caps.get("dtype", str), caps.get("shape", tuple)
        if dtype and shape is not None and all(isinstance(n, int) for n in shape):
            return [(dtype, shape)]
    elif caps.media == "other/tensors":
        return _tensors(caps)
    elif caps.media == "neural-network/tensors":
        return _network(caps)
    return None


def _network(caps):
    """type=UINT8, dimensions=<<1, 224, 224, 3>>, as Qualcomm's elements have them."""
    shapes, dtype = caps.get("dimensions", tuple), (caps.get("type", str) or "").lower()
    if not shapes or dtype not in _TENSOR_TYPES or len(shapes) > MAX_ARRAYS or not all(
            isinstance(shape, tuple) and len(shape) <= MAX_DIMS
            and all(isinstance(length, int) and length >= 0 for length in shape)
            for shape in shapes):
        return None
    return [(dtype, shape) for shape in shapes]


def _tensors(caps):
    """dimensions="3:640:480", innermost first; a 0 is what some fill up with."""
    dimensions, types = caps.fields.get("dimensions"), caps.get("types", str)
    if caps.fields.get("format", "static") != "static" or not types \
            or dimensions is None:
        return None
    found = []
    shapes, types = re.split("[.,]", str(dimensions)), re.split("[.,]", types)
    for text, dtype in zip(shapes, types):
        shape = []
        for length in text.split(":"):
            if not length.strip().isdigit() or len(shape) == MAX_DIMS:
                return None
            if int(length) == 0:
                break
            shape.insert(0, int(length))
        found.append((dtype.strip(), tuple(shape)))
    # More than a frame can have are bytes, as ndshsink takes them.
    return found if len(shapes) == len(types) <= MAX_ARRAYS else None


# --- What a reader sees ------------------------------------------------------

def views(caps, specs):
    """The specs of a frame as NumPy is to see them: numbers in the other byte order,
    which travel as their bytes, are numbers again."""
    if not _is_other_order(caps):
        return specs
    return tuple(_number_from_bytes(spec, _kind(caps)) for spec in specs)


def _kind(caps):
    """Of a number in caps: float, signed or unsigned."""
    if caps.media != "audio/x-raw":
        return "u"
    return {"F": "f", "S": "i"}.get((caps.format or "")[:1], "u")


def _is_other_order(caps):
    format = caps.format or ""
    if caps.media == "video/x-raw":
        return ("BE" in format or format == "r210") != _BIG_ENDIAN
    if caps.media == "video/x-bayer":
        return format.endswith("be") != _BIG_ENDIAN and len(format) > 4
    if caps.media == "audio/x-raw":
        return format.endswith("LE" if _BIG_ENDIAN else "BE")
    return False


def _number_from_bytes(spec, kind):
    if spec.dtype != "uint8" or len(spec.shape) < 2 or spec.strides[-1] != 1 \
            or spec.shape[-1] not in (2, 4, 8):
        return spec
    return Spec("%s%s%d" % ("<" if _BIG_ENDIAN else ">", kind, spec.shape[-1]),
                spec.shape[:-1], spec.strides[:-1], spec.offset)


def join(caps, specs):
    """All planes of a picture as one array, where they lie so that this can be; else
    None.

    NV12, NV21, I420, YV12 are (height * 3 / 2, width), as OpenCV takes them; formats
    with planes of one size are (planes, height, width).
    """
    planes = LAYOUTS.get(caps.format) if caps.media == "video/x-raw" else None
    if planes is None or len(specs) < 2 or not _are_planes(planes, specs):
        return None
    if _are_alike(planes):
        return _join_alike(specs)
    if _are_joined_420(planes) and _item_size(planes[0].dtype) == 1:
        return _join_420(specs)
    return None


def _are_planes(planes, specs):
    """A writer may say anything, and an array must not reach beyond what it describes."""
    if len(planes) != len(specs) or len(specs[0].shape) < 2:
        return False
    height, width = specs[0].shape[:2]
    return all(
        spec.shape == plane.shape(width, height)
        and spec.dtype in (plane.dtype, "uint%d" % (8 * _item_size(plane.dtype)))
        and spec.strides[1:] == plane.strides() for plane, spec in zip(planes, specs))


def _join_alike(specs):
    first = specs[0]
    step = specs[1].offset - first.offset
    for i, spec in enumerate(specs):
        if (spec.dtype, spec.shape, spec.strides) != first[:3] \
                or spec.offset != first.offset + i * step:
            return None
    if step < first.strides[0] * first.shape[0]:
        return None
    return Spec(first.dtype, (len(specs),) + first.shape, (step,) + first.strides,
                first.offset)


def _join_420(specs):
    luma = specs[0]
    height, width = luma.shape
    if height % 2 or width % 2:
        return None
    end = luma.offset + luma.strides[0] * height
    if len(specs) == 2:
        fits = specs[1].strides[0] == luma.strides[0] and specs[1].offset == end
    else:
        fits = luma.strides[0] == width
        for spec in specs[1:]:
            fits = fits and spec.offset == end and spec.strides[0] == width // 2
            end += (width // 2) * (height // 2)
    if not fits:
        return None
    return Spec(luma.dtype, (height // 2 * 3, width), (luma.strides[0], 1),
                luma.offset)
