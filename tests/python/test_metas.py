# SPDX-License-Identifier: LGPL-2.1-or-later
"""Regions and metas: what is written is read, and bytes of strangers harm nobody."""

import os
import random
from fractions import Fraction

import numpy as np
import pytest

import ndsh
from ndsh import Meta, Region, formats, metas

PICTURE = np.zeros((48, 64, 3), "uint8")

CAT = Region("Löwe; \"und\" mehr", 1, 2, 30, 40, 0.25,
             {"color": {"red": 255, "name": "#f00"}, "empty": {}}, id=7, parent=3)
FIELDS = {"int": 5, "negative": -5, "long": 1 << 40, "huge": (1 << 64) - 1, "float": 0.1,
          "yes": True, "no": False, "text": "a, b; \\ \" \n Ä=(int)3", "empty": "",
          "bytes": b"\0\xff", "rate": Fraction(30000, 1001), "list": (1, 2, "x"),
          "none": ()}


def pass_on(**travels):
    """What a reader gets of a frame that was written with these."""
    with ndsh.Writer("cam", format="BGR") as writer, ndsh.Reader("cam") as reader:
        writer.write(PICTURE, **travels)
        return reader.read()


def test_regions_are_read_as_they_were_written():
    frame = pass_on(regions=[CAT, ("dog", 0, 0, 1, 1)])

    assert frame.regions == (CAT, Region("dog", 0, 0, 1, 1))
    assert frame.regions[1].confidence is None and frame.regions[1].id is None
    assert frame.metas == ()


def test_metas_are_read_as_they_were_written():
    frame = pass_on(metas=[("mine", FIELDS), Meta("GstVideoCropMeta", {"x": 1})])

    assert frame.metas == (Meta("mine", FIELDS), Meta("GstVideoCropMeta", {"x": 1}))
    assert [type(v) for v in frame.metas[0].fields.values()] == [
        type(v) for v in FIELDS.values()]
    assert frame.regions == ()


def test_a_frame_without_has_none():
    frame = pass_on(metadata=b"my own")

    assert frame.regions == () and frame.metas == ()
    assert frame.info.metadata == b"my own"


def test_drafts_take_regions_until_they_are_published():
    with ndsh.Writer("cam", format="BGR") as writer, ndsh.Reader("cam") as reader:
        draft = writer.draft(PICTURE.shape, regions=[CAT])
        with draft as array:
            array[:] = 1
            draft.regions = [Region("dog", 1, 2, 3, 4)]
        assert reader.read().regions == (Region("dog", 1, 2, 3, 4),)


TRACKED = Region("cat", 1, 2, 30, 40, 0.25, tracking=(1 << 64) - 1,
                 classes=(("tabby", 0.5), ("7, \"<or>\" so", -1.0)))
ROOM = Meta("GstAnalyticsClsMtd", {"labels": ("indoors",), "confidences": (0.5,)})


def without_mark(region):
    """The mark of what is a record is among the parameters."""
    return region._replace(parameters={
        name: fields for name, fields in (region.parameters or {}).items()
        if name != "GstAnalyticsODMtd"} or None)


def test_tracks_and_classes_are_read_as_they_were_written():
    more = TRACKED._replace(label="dog", tracking=5, classes=(),
                            parameters={"color": {"red": 255}})
    frame = pass_on(regions=[CAT, TRACKED, more], metas=[ROOM])

    assert tuple(map(without_mark, frame.regions)) == (CAT, TRACKED, more)
    assert frame.metas == (ROOM,)


def test_who_passes_regions_on_keeps_what_belongs_to_them():
    items = metas.pack(b"", [TRACKED, CAT], [ROOM])
    once = pass_on(metadata=items, regions=[TRACKED._replace(label="dog", tracking=0)])
    twice = pass_on(regions=once.regions, metas=once.metas)

    assert [(region.label, region.tracking, region.classes) for region in twice.regions] == [
        ("cat", TRACKED.tracking, TRACKED.classes), (CAT.label, None, ()),
        ("dog", 0, TRACKED.classes)]
    assert twice.metas == (ROOM,) and twice.regions == once.regions


def test_one_track_may_be_of_two_regions():
    mark = {"GstAnalyticsODMtd": {}}
    items = metas.pack(b"", [Region("body", 0, 0, 1, 1, None, mark),
                             Region("face", 0, 0, 1, 1, None, mark)], [
        ("GstAnalyticsTrackingMtd", {"tracking-id": 7}),
        ("GstAnalyticsRelationMeta", {
            "from": (0, 2, 2, 0), "to": (2, 0, 1, 1), "types": (8, 8, 8, 4)})])

    assert [region.tracking for region in metas.regions(items)] == [7, 7]
    assert metas.metas(items) == ()


@pytest.mark.parametrize("relations", [
    {}, {"from": 1, "to": 0}, {"from": (1,), "to": (-1,)}, {"from": (1,), "to": (2,)},
    {"from": (1,), "to": ("x",)}, {"from": (1 << 63,), "to": (0,)},
    {"from": (1, 0), "to": ()}, {"from": (1,), "to": (1,)}, {"from": (0,), "to": (0,)}])
def test_relations_of_strangers_harm_nobody(relations):
    records = [("GstAnalyticsTrackingMtd", {"tracking-id": 7}),
               ("GstAnalyticsRelationMeta", relations)]
    items = metas.pack(b"", [CAT._replace(parameters={"GstAnalyticsODMtd": {}})], records)

    assert [region.tracking for region in metas.regions(items)] == [None]
    assert [meta.name for meta in metas.metas(items)] == ["GstAnalyticsTrackingMtd"]


def test_bytes_named_data_lie_behind_the_text():
    meta = Meta("GstVideoCaptionMeta", {"caption-type": 3, "data": b"\0\xff;\0"})
    items = metas.pack(b"", [], [meta])

    assert items.endswith(b"GstVideoCaptionMeta, caption-type=(int)3;\0\0\xff;\0")
    assert metas.metas(items) == (meta,)
    with pytest.raises(ValueError, match="but not none"):
        metas.pack(b"", [], [("mine", {"data": b""})])


def test_numbers_of_numpy_are_numbers():
    fields = {"a": np.uint8(3), "b": np.float32(0.5), "c": np.bool_(True)}
    frame = pass_on(metas=[("mine", fields)],
                    regions=[Region("x", *np.array([1, 2, 3, 4]), np.float32(0.5))])

    assert frame.metas[0].fields == {"a": 3, "b": 0.5, "c": True}
    assert frame.regions[0][1:6] == (1, 2, 3, 4, 0.5)


def test_metadata_of_items_goes_with_regions():
    items = metas.pack(b"", [CAT], [])

    assert pass_on(metadata=items, regions=[Region("dog", 1, 2, 3, 4)]).regions == (
        CAT, Region("dog", 1, 2, 3, 4))


@pytest.mark.parametrize("region", [
    ("x", 0, 0, -1, 1), ("x", 0, 0, 1 << 32, 1), ("x", float("nan"), 0, 1, 1),
    ("x", None, 0, 1, 1), ("x", 0, 0, 1, 1, 1.5), ("x", 0, 0, 1, 1, None, None, -5),
    ("x", 0, 0, 1, 1, None, {"a": {"b": b""}}),
    ("x", 0, 0, 1, 1, None, {"a": {"b": Fraction(1 << 40, 3)}}),
    ("x", 0, 0, 1, 1, None, None, None, None, -1),
    ("x", 0, 0, 1, 1, None, None, None, None, 1 << 64),
    ("x", 0, 0, 1, 1, None, None, None, None, 1, (("a", "b"),)),
    ("x\0y", 0, 0, 1, 1), ("x", 0, 0, 1, 1, None, {"a b": {}}),
    ("x", 0, 0, 1, 1, None, {"a": {"b": 1 << 64}})])
def test_a_region_that_cannot_be_is_a_value_error(region):
    with pytest.raises(ValueError):
        pass_on(regions=[region])


def test_boxes_of_detectors_are_forgiven():
    frame = pass_on(regions=[Region("x", -3.4, 2.6, 10.2, np.float32(4), 1.0000001)])

    assert frame.regions == (Region("x", 0, 3, 7, 4, 1.0),)


def test_a_value_that_cannot_be_is_a_type_error():
    with pytest.raises(TypeError, match="number, text, bytes"):
        pass_on(metas=[("mine", {"a": object()})])


def test_metadata_of_its_own_has_no_regions():
    with pytest.raises(ValueError, match="metadata of its own, or regions"):
        pass_on(metadata=b"mine", regions=[CAT])


def test_structures_of_gstreamer_are_understood():
    assert formats.parse_structure(
        'GstVideoTimeCodeMeta, fps-n=(uint)30, day=(string)"2026-11-30T01\\:02\\:03", '
        'name=(string)"L\\303\\266we", jam=(GDateTime)x, drop=(boolean)true;') == (
            "GstVideoTimeCodeMeta", {
                "fps-n": 30, "day": "2026-11-30T01:02:03", "name": "Löwe", "jam": "x",
                "drop": True})
    for text in ("", "a b", "1a;", "a, b", "a, b=(buffer)zz", "a, b=<1"):
        with pytest.raises(ValueError):
            formats.parse_structure(text)


def test_bytes_that_are_cut_or_changed_harm_nobody():
    whole = metas.pack(b"", [CAT, TRACKED], [("mine", dict(FIELDS, data=b"\0\1"))])
    seed = int(os.environ.get("NDSH_SEED", random.randrange(10 ** 6)))
    print("NDSH_SEED", seed)
    rand = random.Random(seed)

    ends = [4]                  # of items: between them there is none
    while ends[-1] < len(whole):
        ends.append(ends[-1] + 8 + int.from_bytes(whole[ends[-1] + 4:ends[-1] + 8], "little"))
    for cut in range(len(whole)):
        found = metas.regions(whole[:cut]) + metas.metas(whole[:cut])
        assert (len(found) > 0) == (cut in ends[1:])
    for _ in range(5000):
        data = bytearray(whole)
        for _ in range(rand.randrange(1, 6)):
            data[rand.randrange(len(data))] = rand.randrange(256)
        metas.regions(bytes(data))
        metas.metas(bytes(data))
