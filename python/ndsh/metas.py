# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hides how what is known of a frame beside its arrays lies in its metadata.

doc/protocol.md has the bytes: items, each a tag and so many bytes, of which regions are
numbers and text, and all other metas the text of a GstStructure.
"""

import struct
from typing import Any, Dict, NamedTuple, Optional

from . import formats
from .plain import plain

_MAGIC = b"ndg1"
_HEAD = struct.Struct("<II")
_REGION = struct.Struct("<iiIIIId")
_TAG_REGION, _TAG_META, _TAG_EVENT = 5, 6, 8
_STREAM_TAGS, _GLOBAL_TAGS = 0, 1     # kinds of events

@plain
class Region(NamedTuple):
    """A part of a picture that something is known of, like a detector's box.

    In pipelines it is a GstVideoRegionOfInterestMeta.

    label: what it is
    x, y, w, h: pixels; they become whole, and what lies left of the picture or above it is
        cut off
    confidence: 0 to 1, None if unknown
    parameters: what more is known: {name: {field: value}}, or None
    id, parent: its number, and that of the region it was found in; None if there is none
    """

    label: str
    x: int
    y: int
    w: int
    h: int
    confidence: Optional[float] = None
    parameters: Optional[Dict[str, Dict[str, Any]]] = None
    id: Optional[int] = None
    parent: Optional[int] = None


@plain
class Meta(NamedTuple):
    """What one of GStreamer's metas says, or one of a program's own.

    name: like "GstReferenceTimestampMeta"; of a custom meta (GStreamer 1.20) its own
    fields: what it says: numbers, text, Fraction, bytes, tuples of them
    """

    name: str
    fields: Dict[str, Any]


# --- Reading -----------------------------------------------------------------

def regions(metadata):
    found = (_read_region(data) for tag, data in _items(metadata) if tag == _TAG_REGION)
    return tuple(region for region in found if region is not None)


def metas(metadata):
    found = (_read_meta(data) for tag, data in _items(metadata) if tag == _TAG_META)
    return tuple(meta for meta in found if meta is not None)


def tags(metadata):
    found = {}
    for tag, data in _items(metadata):
        if tag == _TAG_EVENT and data[:1] and data[0] in (_STREAM_TAGS, _GLOBAL_TAGS):
            meta = _read_meta(data[1:])
            found.update(meta.fields if meta is not None else {})
    return found


def _items(metadata):
    """[(tag, bytes)]; none if these are no items, or one is cut."""
    items, at = [], len(_MAGIC)
    if metadata[:at] != _MAGIC:
        return []
    while at < len(metadata):
        if len(metadata) - at < _HEAD.size:
            return []
        tag, size = _HEAD.unpack_from(metadata, at)
        at += _HEAD.size
        if size > len(metadata) - at:
            return []
        items.append((tag, metadata[at:at + size]))
        at += size
    return items


def _read_region(data):
    texts = data[_REGION.size:].split(b"\0")
    if len(data) < _REGION.size or len(texts) < 3:
        return None
    id, parent, x, y, w, h, confidence = _REGION.unpack_from(data)
    parsed = (_parse(line) for line in texts[1].split(b"\n"))
    return Region(texts[0].decode("utf-8", "replace"), x, y, w, h,
                  confidence if 0 <= confidence <= 1 else None,
                  {one.name: one.fields for one in parsed if one is not None} or None,
                  _known(id), _known(parent))


def _known(id):
    return id if id >= 0 else None


def _read_meta(data):
    return _parse(data[:data.index(b"\0")]) if b"\0" in data else None


def _parse(data):
    """None for text that is no structure."""
    try:
        return Meta(*formats.parse_structure(data.decode("utf-8", "replace")))
    except ValueError:
        return None


# --- Writing -----------------------------------------------------------------

def pack(metadata, regions, metas):
    """@metadata, or items; bytes."""
    metadata = bytes(memoryview(metadata))
    items = [(_TAG_REGION, _pack_region(region)) for region in regions]
    items += [(_TAG_META, _pack_text(formats.structure_text(name, fields)))
              for name, fields in metas]
    if not items:
        return metadata
    if metadata and not _items(metadata):
        raise ValueError("a frame has metadata of its own, or regions and metas")
    return (metadata or _MAGIC) + b"".join(
        _HEAD.pack(tag, len(data)) + data for tag, data in items)


def _pack_region(region):
    region = Region(*region)
    lines = "\n".join(formats.structure_text(name, fields)
                      for name, fields in (region.parameters or {}).items())
    x, w = _clip(region, "x", "w")
    y, h = _clip(region, "y", "h")
    numbers = _REGION.pack(_id(region, "id"), _id(region, "parent"), x, y, w, h,
                           _confidence(region))
    if not isinstance(region.label, str):
        raise TypeError("the label of %r is no text" % (region,))
    return numbers + _pack_text(region.label) + _pack_text(lines)


def _whole(region, field, least):
    value = getattr(region, field)
    try:
        whole = int(round(float(value)))
    except (TypeError, ValueError, OverflowError):
        whole = None
    if whole is None or not least <= whole < 1 << 31:
        raise ValueError("%s of %r is not possible" % (field, region))
    return whole


def _clip(region, at, length):
    """Whole pixels, from 0 on: boxes of detectors are neither."""
    start, size = _whole(region, at, -1 << 31), _whole(region, length, 0)
    return max(start, 0), max(size + min(start, 0), 0)


def _id(region, field):
    return -1 if getattr(region, field) is None else _whole(region, field, 0)


def _confidence(region):
    if region.confidence is None:
        return -1.0
    confidence = float(region.confidence)
    if not -1e-3 <= confidence <= 1 + 1e-3:
        raise ValueError("confidence of %r is not from 0 to 1" % (region,))
    return min(max(confidence, 0.0), 1.0)


def _pack_text(text):
    data = text.encode("utf-8")
    if b"\0" in data:
        raise ValueError("%r has a NUL in it" % text)
    return data + b"\0"
