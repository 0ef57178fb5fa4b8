# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hides how a picture in any of GStreamer's formats becomes BGR, RGB or gray: as a view
where its bytes allow, else by OpenCV if that is there, else by NumPy.

Pure functions of arrays. Colours between two samples of chroma are those of the nearer.
"""

import re

import numpy as np

from . import formats
from .buffers import Buffers

# Kr, Kb of the matrices that colorimetry names; the numbers are GStreamer's.
_MATRICES = {2: (0.30, 0.11), 3: (0.2126, 0.0722), 4: (0.299, 0.114),
             5: (0.212, 0.087), 6: (0.2627, 0.0593)}
_COLORIMETRIES = {"bt601": (2, 4), "bt709": (2, 3), "smpte240m": (2, 5),
                  "bt2020": (2, 6), "bt2020-10": (2, 6), "bt2100-pq": (2, 6),
                  "bt2100-hlg": (2, 6), "sRGB": (1, 1)}
_FULL_RANGE = 1

# Where red, green and blue lie in a pixel.
_ORDERS = {name: name.lower() for name in (
    "RGB", "BGR", "RGBx", "BGRx", "xRGB", "xBGR", "RGBA", "BGRA", "ARGB", "ABGR")}
_ORDERS.update(ARGB64="argb")
for _end in ("LE", "BE"):
    _ORDERS.update({name + "64_" + _end: name.lower()
                    for name in ("ARGB", "RGBA", "BGRA", "ABGR")})
_PLANAR_ORDERS = {"RGBP": "rgb", "BGRP": "bgr", "GBR": "gbr", "GBRA": "gbra"}
_PLANAR_ORDERS.update({"GBR_" + bits: "gbr" for bits in (
    "10LE", "10BE", "12LE", "12BE")})

# Where Y, U and V lie in a pixel, and for two pixels that share a colour.
_PACKED_YUV = {"AYUV": "ayuv", "VUYA": "vuya", "v308": "yuv", "IYU2": "uyv",
               "AYUV64": "ayuv"}
_PAIRS = {"YUY2": (0, 1, 0), "UYVY": (1, 0, 0), "YVYU": (0, 1, 1), "VYUY": (1, 0, 1)}

# Red, green and blue: how far to shift down, and how many bits.
_BITS = {"RGB16": ((11, 5), (5, 6), (0, 5)), "BGR16": ((0, 5), (5, 6), (11, 5)),
         "RGB15": ((10, 5), (5, 5), (0, 5)), "BGR15": ((0, 5), (5, 5), (10, 5))}

_CV_YUV = {"NV12": "NV12", "NV21": "NV21", "I420": "I420", "YV12": "YV12",
           "YUY2": "YUY2", "UYVY": "UYVY", "YVYU": "YVYU"}
_V_FIRST = ("NV21", "NV61", "YV12", "YVU9")
_BY_MATRIX = set(_PAIRS) | {"NV12", "NV21", "NV16", "NV61", "NV24", "I420", "YV12", "Y42B",
                            "Y444"}

# Pixels that are converted at a time, of every other row.
_STRIP = 1 << 18


def _opencv():
    try:
        import cv2
    except ImportError:
        return None
    return cv2


def convert(to, caps, planes, copy=None, buffers=None):
    """@planes as "bgr", "rgb" or "gray"; copy as in Frame.bgr (); what is no view is in
    memory of @buffers."""
    buffers = Buffers() if buffers is None else buffers
    view = _view(to, caps, planes)
    if view is not None:
        return _copy(view, planes, buffers) if copy else view
    if copy is False:
        raise ValueError("%s has no view of %s as %s: leave out copy=False to convert "
                         "it" % (_name(caps), _shapes(planes), to))
    result = _convert(to, caps, planes, buffers)
    if result is None:
        raise ValueError("there is no conversion of %s, %s, to %s; frame.array has it as "
                         "it is" % (_name(caps), _shapes(planes), to))
    return result


def _copy(view, planes, buffers):
    """NumPy goes over three colours at a time where they do not lie in that order, and
    takes ten times as long."""
    if view.ndim == 2 or view.strides[1:] == (3 * view.itemsize, view.itemsize):
        return buffers.copy(view)
    result = buffers.empty(view.shape, view.dtype)
    if not _copy_by_opencv(view, planes, result):
        for colour in range(3):
            result[..., colour] = view[..., colour]
    return result


def _copy_by_opencv(view, planes, result):
    """Those orders of which it can make BGR: "bgrx" and "rgbx", and "rgb"."""
    cv2, whole = _opencv(), planes[0]
    if cv2 is None or view.dtype != np.uint8 or len(planes) != 1 or view.size == 0:
        return False
    at = _address(view) - _address(whole), view.strides[2]
    if whole.shape[2:] == (3,) and at == (2, -1):
        cv2.cvtColor(whole, cv2.COLOR_RGB2BGR, dst=result)
    elif whole.shape[2:] == (4,) and at in ((0, 1), (2, -1)):
        cv2.cvtColor(whole, cv2.COLOR_BGRA2BGR if at[1] == 1 else cv2.COLOR_RGBA2BGR,
                     dst=result)
    else:
        return False
    return True


def _name(caps):
    return caps.format or caps.media or "what came without caps"


def _shapes(planes):
    return " and ".join("%s%s" % (plane.dtype, list(plane.shape)) for plane in planes)


# --- Views -------------------------------------------------------------------

def _view(to, caps, planes):
    if caps.media != "video/x-raw":
        return _view_without_format(to, caps, planes)
    if not _planes_fit(caps, planes):
        return None
    if to == "gray":
        return _gray_view(caps.format, planes)
    order = _ORDERS.get(caps.format)
    if order is not None:
        return _pick(planes[0], order, to)
    order = _PLANAR_ORDERS.get(caps.format)
    return _pick_planes(planes, order, to) if order in ("rgb", "bgr") else None


def _view_without_format(to, caps, planes):
    """What came without caps is what it looks like, in OpenCV's order."""
    if caps.text or not _may_be_picture(planes):
        return None
    array = planes[0]
    if to == "gray" and array.ndim == 2:
        return array
    if to != "gray" and array.ndim == 3 and array.shape[2] in (3, 4):
        return _pick(array, "bgr", to)
    return None


def _may_be_picture(planes):
    """Of what came without caps."""
    return len(planes) == 1 and planes[0].dtype in (np.uint8, np.uint16)


def _planes_fit(caps, planes):
    """A writer may say anything: what does not fit is no picture."""
    described = formats.FORMATS.get(caps.format)
    if described is None or len(described) != len(planes) or planes[0].ndim < 2:
        return False
    height, width = planes[0].shape[:2]
    return width > 0 and height > 0 and all(
        plane.shape == what.shape(width, height)
        and plane.dtype.itemsize == int(what.dtype[-1])
        for plane, what in zip(planes, described))


def _pick(array, order, to):
    """Three of the channels of a pixel, by a slice."""
    first, second, third = (order.index(colour) for colour in to)
    step = second - first
    if third - second != step:
        return None
    end = third + step
    return array[..., first:(end if end >= 0 else None):step]


def _pick_planes(planes, order, to):
    """Three planes at equal distances, as one array whose last axis goes over them."""
    first, second, third = (planes[order.index(colour)] for colour in to)
    where = [_address(plane) for plane in (first, second, third)]
    lowest = min((first, second, third), key=_address)
    step = where[1] - where[0]
    if where[2] - where[1] != step or len({p.strides for p in planes}) != 1:
        return None
    view = _Strided(lowest, lowest.shape + (3,), lowest.strides + (abs(step),))
    array = np.asarray(view)
    return array if step > 0 else array[..., ::-1]


class _Strided:
    """A view beyond the end of one plane, into the others: the base that keeps them
    and, unlike as_strided (), keeps it read-only on every NumPy."""

    def __init__(self, array, shape, strides):
        self.array = array
        self.__array_interface__ = {
            "version": 3, "shape": shape, "strides": strides,
            "typestr": array.dtype.str,
            "data": (_address(array), True)}


def _address(array):
    return array.__array_interface__["data"][0]


def _gray_view(format, planes):
    if format.startswith("GRAY") or _is_planar_yuv(format):
        return planes[0]
    if format in _PAIRS:
        return planes[0][..., _PAIRS[format][0]]
    if format in _PACKED_YUV:
        return planes[0][..., _PACKED_YUV[format].index("y")]
    return None


def _is_planar_yuv(format):
    return re.match(r"(NV|P01|I42|YV12|YUV9|YVU9|Y4|A420)", format) is not None


# --- Conversions -------------------------------------------------------------

def _convert(to, caps, planes, buffers):
    cv2 = _opencv()
    if caps.media == "video/x-bayer":
        return _from_bayer(to, caps, planes, cv2)
    if caps.media == "image/jpeg":
        return _from_jpeg(to, planes, cv2)
    if caps.media == "video/x-raw":
        return _from_video(to, caps, planes, cv2, buffers)
    if not caps.text and _may_be_picture(planes):
        return _from_unknown(to, planes[0], cv2)
    return None


def _from_video(to, caps, planes, cv2, buffers):
    if not _planes_fit(caps, planes):
        return None
    format = caps.format
    if to == "gray":
        rgb = _convert_or_view("rgb", caps, planes, buffers)
        return None if rgb is None else _gray_of(rgb, "rgb", cv2)
    if format.startswith("GRAY"):
        return _stack(planes[0], planes[0], planes[0])
    if format in _PLANAR_ORDERS:
        return _stack(*[planes[_PLANAR_ORDERS[format].index(c)] for c in to])
    if format in _BITS:
        return _stack(*[_expand(planes[0], *_BITS[format]["rgb".index(c)])
                        for c in to])
    limits = _colorimetry(caps, planes[0].shape[0])
    done = None if cv2 is None else _from_yuv_by_opencv(
        to, format, planes, limits, cv2, buffers)
    return _from_yuv(to, format, planes, limits) if done is None else done


def _convert_or_view(to, caps, planes, buffers):
    view = _view(to, caps, planes)
    return _convert(to, caps, planes, buffers) if view is None else view


def _from_unknown(to, array, cv2):
    if array.ndim == 2 and to != "gray":
        return _stack(array, array, array)
    if array.ndim == 3 and array.shape[2] in (3, 4) and to == "gray":
        return _gray_of(array[..., :3], "bgr", cv2)
    return None


def _stack(*channels):
    result = np.empty(channels[0].shape + (3,), channels[0].dtype.newbyteorder("="))
    for i, channel in enumerate(channels):
        result[..., i] = channel
    return result


def _expand(array, shift, bits):
    """5 or 6 bits to 8, so that all ones are 255."""
    value = (array >> shift) & ((1 << bits) - 1)
    return ((value << (8 - bits)) | (value >> (2 * bits - 8))).astype(np.uint8)


def _gray_of(array, order, cv2):
    if cv2 is not None and array.dtype == np.uint8:
        return cv2.cvtColor(np.ascontiguousarray(array),
                            cv2.COLOR_RGB2GRAY if order == "rgb" else cv2.COLOR_BGR2GRAY)
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    gray = np.dot(array, weights if order == "rgb" else weights[::-1])
    if array.dtype.kind in "ui":
        gray = gray + 0.5
    return gray.astype(array.dtype.newbyteorder("="))


# --- YUV ---------------------------------------------------------------------

def _colorimetry(caps, height):
    """(range, matrix); what is unknown is as GStreamer takes it: BT.709 from 577 rows
    on, else BT.601, and 16 to 235."""
    text = caps.get("colorimetry", str) or ""
    scope, matrix = _COLORIMETRIES.get(text, (0, 0))
    numbers = re.match(r"(\d+):(\d+):\d+:\d+$", text)
    if numbers is not None:
        scope, matrix = int(numbers.group(1)), int(numbers.group(2))
    return scope, matrix if matrix in _MATRICES else (3 if height > 576 else 4)


def _from_yuv_by_opencv(to, format, planes, limits, cv2, buffers):
    """By the conversion that it has, of BT.601 with 16 to 235, or else by a matrix."""
    scope, matrix = limits
    height, width = planes[0].shape[:2]
    if format in _CV_YUV and matrix == 4 and scope != _FULL_RANGE \
            and height % 2 == 0 and width % 2 == 0:
        whole = planes[0] if len(planes) == 1 else _join(planes, height, width)
        code = getattr(cv2, "COLOR_YUV2%s_%s" % (to.upper(), _CV_YUV[format]))
        return cv2.cvtColor(whole, code, dst=buffers.empty((height, width, 3)))
    if format not in _BY_MATRIX or (format in _PAIRS and width % 2):
        return None
    result = buffers.empty((height, width, 3))
    _convert_strips(format, planes, _to_matrix(to, *limits), cv2, buffers, result)
    return result


def _join(planes, height, width):
    """OpenCV takes the planes as one array without gaps."""
    whole = np.asarray(_Strided(planes[0], (height * 3 // 2, width), (width, 1)))
    ends = [_address(plane) + plane.nbytes for plane in planes]
    if [_address(plane) for plane in planes[1:]] == ends[:-1] \
            and all(plane.flags.c_contiguous for plane in planes):
        return whole
    return np.concatenate([plane.reshape(-1) for plane in planes]).reshape(whole.shape)


def _to_matrix(to, scope, matrix):
    """Three rows of what Y, U, V and 1 are multiplied with."""
    kr, kb = _MATRICES[matrix]
    low, luma, chroma = (0, 1, 1) if scope == _FULL_RANGE else (16, 255 / 219.0,
                                                                255 / 224.0)
    red, blue = 2 * (1 - kr) * chroma, 2 * (1 - kb) * chroma
    kg = 1 - kr - kb
    rows = {"r": (luma, 0, red), "g": (luma, -kb * blue / kg, -kr * red / kg),
            "b": (luma, blue, 0)}
    return np.array([rows[colour] + (-np.dot(rows[colour], (low, 128, 128)),)
                     for colour in to])


def _convert_strips(format, planes, matrix, cv2, buffers, result):
    """In strips, so that what lies between two steps is small."""
    height, width = result.shape[:2]
    rows = max(_STRIP // width, 1) * 2
    shifts = [plane.height_shift for plane in formats.FORMATS[format]]
    convert = _convert_pairs if format in _PAIRS else _convert_planes
    for first in range(0, height, rows):
        last = min(first + rows, height)
        strip = [plane[first >> shift:-(-last >> shift)]
                 for plane, shift in zip(planes, shifts)]
        convert(format, strip, matrix, cv2, buffers, result[first:last])


def _convert_pairs(format, planes, matrix, cv2, buffers, result):
    height, width = result.shape[:2]
    luma, at, swapped = _PAIRS[format]
    u, v = (at + 2, at) if swapped else (at, at + 2)
    whole = buffers.empty(result.shape)
    cv2.mixChannels([planes[0].reshape(height, width // 2, 4)],
                    [whole.reshape(height, width // 2, 6)],
                    [luma, 0, u, 1, v, 2, luma + 2, 3, u, 4, v, 5])
    cv2.transform(whole, matrix, result)


def _convert_planes(format, planes, matrix, cv2, buffers, result):
    width = result.shape[1]
    y, (u, v) = planes[0], cv2.split(planes[1]) if len(planes) == 2 else planes[1:3]
    if u.shape[1] < width:
        u, v = [cv2.merge([plane, plane]).reshape(len(plane), -1)[:, :width]
                for plane in (u, v)]
    if format in _V_FIRST:
        u, v = v, u
    step = 2 if len(u) < len(y) else 1
    for first in range(step):
        lines = y[first::step]
        whole = cv2.merge([lines, u[:len(lines)], v[:len(lines)]],
                          buffers.empty(lines.shape + (3,)))
        cv2.transform(whole, matrix, result[first::step])
        del whole                     # the next is in the same memory


def _from_yuv(to, format, planes, limits):
    found = _yuv(format, planes)
    if found is None:
        return None
    y, u, v, bits = found
    scope, matrix = limits
    kr, kb = _MATRICES[matrix]
    unit = 1 << (bits - 8)
    if scope == _FULL_RANGE:
        low, luma, chroma = 0.0, 1.0, 1.0
    else:
        low, luma, chroma = 16.0 * unit, 255 / 219.0, 255 / 224.0
    scale = 255.0 / ((1 << bits) - 1) if scope == _FULL_RANGE else 1.0 / unit
    y = (y.astype(np.float32) - low) * (luma * scale)
    u = (u.astype(np.float32) - 128.0 * unit) * (chroma * scale)
    v = (v.astype(np.float32) - 128.0 * unit) * (chroma * scale)
    red = y + 2 * (1 - kr) * v
    blue = y + 2 * (1 - kb) * u
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    colours = {"r": red, "g": green, "b": blue}
    result = np.empty(y.shape + (3,), np.uint8)
    for i, colour in enumerate(to):
        result[..., i] = np.clip(colours[colour] + 0.5, 0, 255)
    return result


def _yuv(format, planes):
    """(y, u, v, bits), all of the picture's size; None for what is none of YUV."""
    first = planes[0]
    height, width = first.shape[:2]
    if format in _PACKED_YUV:
        order = _PACKED_YUV[format]
        return tuple(first[..., order.index(c)] for c in "yuv") \
            + (8 * first.dtype.itemsize,)
    if format in _PAIRS:
        luma, at, swapped = _PAIRS[format]
        even, odd = first[:, 0::2, at], first[:, 1::2, at]
        if odd.shape[1] < even.shape[1]:
            # The second colour of a last pixel without a pair lies beyond the array.
            last = odd[:, -1:] if odd.shape[1] else np.full_like(even[:, :1], 128)
            odd = np.concatenate([odd, last], axis=1)
        u, v = (odd, even) if swapped else (even, odd)
        return (first[..., luma], _grow(u, height, width), _grow(v, height, width), 8)
    if not _is_planar_yuv(format):
        return None
    if len(planes) == 2:
        u, v = planes[1][..., 0], planes[1][..., 1]
    else:
        u, v = planes[1], planes[2]
    if format in _V_FIRST:
        u, v = v, u
    return first, _grow(u, height, width), _grow(v, height, width), _depth(format)


def _depth(format):
    """Bits in which a value lies: P010 has its ten at the top of sixteen."""
    if format.startswith("P01"):
        return 16
    number = re.search(r"_(\d+)[LB]E$", format)
    return int(number.group(1)) if number else 8


def _grow(plane, height, width):
    """Each value as often as it takes."""
    rows = -(-height // plane.shape[0])
    columns = -(-width // plane.shape[1])
    if rows > 1:
        plane = np.repeat(plane, rows, axis=0)
    if columns > 1:
        plane = np.repeat(plane, columns, axis=1)
    return plane[:height, :width]


# --- Sensors and files -------------------------------------------------------

def _from_bayer(to, caps, planes, cv2):
    order = (caps.format or "")[:4]
    if order not in ("rggb", "bggr", "grbg", "gbrg") or len(planes) != 1 \
            or planes[0].ndim != 2 or min(planes[0].shape) < 2:
        return None
    array = planes[0].astype(planes[0].dtype.newbyteorder("="))
    channels = dict(zip("rgb", _demosaic(array, order)))
    if to == "gray":
        return _gray_of(_stack(*[channels[c] for c in "rgb"]), "rgb", cv2)
    return _stack(*[channels[c] for c in to])


def _demosaic(array, order):
    """Red, green, blue; each the mean of its neighbours where it was not measured."""
    weights = np.array([1, 2, 1])
    for colour in "rgb":
        mask = np.zeros(array.shape, np.uint32)
        for at, name in enumerate(order):
            if name == colour:
                mask[at // 2::2, at % 2::2] = 1
        total = _smooth(_smooth(array * mask, weights, 0), weights, 1)
        count = _smooth(_smooth(mask, weights, 0), weights, 1)
        mean = (total + count // 2) // count
        yield np.where(mask, array, mean).astype(array.dtype)


def _smooth(array, weights, axis):
    pad = [(0, 0), (0, 0)]
    pad[axis] = (1, 1)
    padded = np.pad(array, pad, "constant")
    n = array.shape[axis]
    if axis == 0:
        return sum(w * padded[i:i + n] for i, w in enumerate(weights))
    return sum(w * padded[:, i:i + n] for i, w in enumerate(weights))


def _from_jpeg(to, planes, cv2):
    if cv2 is None or len(planes) != 1:
        raise ValueError("a jpeg is decoded by OpenCV only: install it, or put a jpegdec "
                         "before ndshsink")
    flag = cv2.IMREAD_GRAYSCALE if to == "gray" else cv2.IMREAD_COLOR
    picture = cv2.imdecode(planes[0], flag)
    if picture is None:
        raise ValueError("this jpeg cannot be decoded")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) if to == "rgb" else picture
