# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hides how what is known of a frame beside its arrays lies in its metadata.

doc/protocol.md has the bytes: items, each a tag and so many bytes, of which regions are
numbers and text, and all other metas the text of a GstStructure and bytes behind it.
"""

import operator
import struct
from typing import Any, Dict, NamedTuple, Optional, Sequence, Tuple

from . import formats
from .plain import plain

_MAGIC = b"ndg1"
_HEAD = struct.Struct("<II")
_REGION = struct.Struct("<iiIIIId")
_TAG_REGION, _TAG_META, _TAG_EVENT = 5, 6, 8
_STREAM_TAGS, _GLOBAL_TAGS = 0, 1     # kinds of events

# What is a record of GstAnalyticsRelationMeta, the first of them as a region.
_OBJECT, _CLASSES, _TRACKING = (
    "GstAnalyticsODMtd", "GstAnalyticsClsMtd", "GstAnalyticsTrackingMtd")
_RECORDS = (_CLASSES, _TRACKING, "GstAnalyticsSegmentationMtd")
_RELATIONS = "GstAnalyticsRelationMeta"
_RELATES_TO = 8


@plain
class Region(NamedTuple):
    """A part of a picture that something is known of, like a detector's box.

    In pipelines it is a GstVideoRegionOfInterestMeta; with tracking or classes, and from
    GStreamer 1.24 on, an object of a GstAnalyticsRelationMeta and what relates to it.

    label: what it is
    x, y, w, h: pixels; they become whole, and what lies left of the picture or above it is
        cut off
    confidence: 0 to 1, None if unknown
    parameters: what more is known: {name: {field: value}}, or None
    id, parent: its number, and that of the region it was found in; None if there is none
    tracking: the number that a tracker knows it by, in each frame; None if there is none
    classes: what kind of label it is: pairs of a text and its confidence
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
    tracking: Optional[int] = None
    classes: Sequence[Tuple[str, float]] = ()


@plain
class Meta(NamedTuple):
    """What one of GStreamer's metas says, or one of a program's own.

    name: like "GstReferenceTimestampMeta"; of a custom meta (GStreamer 1.20) its own
    fields: what it says: numbers, text, Fraction, bytes, tuples of them. Bytes are best
        in one named "data"
    """

    name: str
    fields: Dict[str, Any]


# --- Reading -----------------------------------------------------------------

def regions(metadata):
    return tuple(_read(metadata)[0])


def metas(metadata):
    return tuple(_read(metadata)[1])


def _read(metadata):
    """(regions, metas). Which record belongs to which only regions say."""
    found, records, relations = [], [], []
    for one in _found(metadata):
        if _is_record(one):
            records.append(len(found))
        if isinstance(one, Meta) and one.name == _RELATIONS:
            relations += _relations(one.fields, records)
        else:
            found.append(one)
    joined = _join(found, relations)
    return ([one for one in found if isinstance(one, Region)],
            [one for at, one in enumerate(found)
             if isinstance(one, Meta) and at not in joined])


def _found(metadata):
    """Regions and metas, as they come."""
    for tag, data in _items(metadata):
        one = (_read_region(data) if tag == _TAG_REGION else
               _read_meta(data) if tag == _TAG_META else None)
        if one is not None:
            yield one


def _is_record(one):
    if isinstance(one, Meta):
        return one.name in _RECORDS
    return next(iter(one.parameters or ()), None) == _OBJECT


def _relations(fields, records):
    """Pairs of what two records are among all that was found."""
    sides = fields.get("from"), fields.get("to")
    if not all(isinstance(side, tuple) for side in sides):
        return []
    return [(records[a], records[b]) for a, b in zip(*sides)
            if _is_index(a, records) and _is_index(b, records)]


def _is_index(number, records):
    return isinstance(number, int) and 0 <= number < len(records)


def _join(found, relations):
    """Puts tracking and classes into the regions that they relate to; their places."""
    joined = set()
    for object_at, at in dict.fromkeys(
            one for pair in relations for one in (pair, pair[::-1])):
        if isinstance(found[object_at], Region) and isinstance(found[at], Meta):
            region = _joined(found[object_at], found[at].fields)
            if region is not None:
                found[object_at] = region
                joined.add(at)
    return joined


def _joined(region, fields):
    """None if that is nothing that a region has, or has already."""
    number = fields.get("tracking-id")
    labels, levels = fields.get("labels"), fields.get("confidences")
    if isinstance(number, int) and region.tracking is None:
        return region._replace(tracking=number)
    if not isinstance(labels, tuple) or not isinstance(levels, tuple):
        return None
    return region._replace(classes=region.classes + tuple(
        (str(label), level) for label, level in zip(labels, levels)
        if isinstance(level, (int, float))))


def tags(stream_metadata):
    found = {}
    for tag, data in _items(stream_metadata):
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
    text, nul, rest = data.partition(b"\0")
    meta = _parse(text) if nul else None
    if meta is not None and rest:
        meta.fields["data"] = rest
    return meta


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
    regions = [Region(*region) for region in regions]
    metas = [Meta(*meta) for meta in metas]
    if not regions and not metas:
        return metadata
    if metadata and not _items(metadata):
        raise ValueError("a frame has metadata of its own, or regions and metas")
    items = [(_TAG_REGION, _pack_region(region)) for region in regions]
    items += [(_TAG_META, _pack_meta(*meta)) for meta in metas + _relate(
        metadata, regions, metas)]
    return (metadata or _MAGIC) + b"".join(
        _HEAD.pack(tag, len(data)) + data for tag, data in items)


def _relate(metadata, regions, metas):
    """What tracking and classes of regions are beside them, and to whom they belong."""
    before = sum(map(_is_record, _found(metadata)))
    objects = [region for region in regions if _is_object(region)]
    records, owners = [], []
    for number, region in enumerate(objects, before):
        records += _records(region)
        owners += [number] * (len(records) - len(owners))
    if not records:
        return []
    first = before + len(objects) + sum(map(_is_record, metas))
    return records + [Meta(_RELATIONS, {
        "from": tuple(owners), "to": tuple(range(first, first + len(records))),
        "types": (_RELATES_TO,) * len(records)})]


def _is_object(region):
    return region.tracking is not None or bool(region.classes) or _is_record(region)


def _records(region):
    records = []
    if region.tracking is not None:
        if not 0 <= operator.index(region.tracking) < 1 << 64:
            raise ValueError("tracking of %r is not possible" % (region,))
        records.append(Meta(_TRACKING, {"tracking-id": region.tracking}))
    if region.classes:
        labels, levels = zip(*region.classes)
        records.append(Meta(_CLASSES, {
            "labels": labels, "confidences": tuple(map(float, levels))}))
    return records


def _pack_region(region):
    parameters = dict(region.parameters or {})
    if _is_object(region):      # which the first of them says
        parameters = {_OBJECT: parameters.pop(_OBJECT, {}), **parameters}
    lines = "\n".join(formats.structure_text(name, fields)
                      for name, fields in parameters.items())
    x, w = _clip(region, "x", "w")
    y, h = _clip(region, "y", "h")
    numbers = _REGION.pack(_id(region, "id"), _id(region, "parent"), x, y, w, h,
                           _confidence(region))
    if not isinstance(region.label, str):
        raise TypeError("the label of %r is no text" % (region,))
    return numbers + _pack_text(region.label) + _pack_text(lines)


def _pack_meta(name, fields):
    """Bytes named "data" go behind the text: in it they would be twice as many."""
    data = fields.get("data")
    if not isinstance(data, bytes) or not data:
        return _pack_text(formats.structure_text(name, fields))
    rest = {field: value for field, value in fields.items() if field != "data"}
    return _pack_text(formats.structure_text(name, rest)) + data


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
