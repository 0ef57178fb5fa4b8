# SPDX-License-Identifier: LGPL-2.1-or-later
"""Python at one end of a channel, GStreamer at the other."""

import os
import re
import shutil
import socket
import subprocess
import time

import numpy as np
import pytest

import ndsh
from conftest import DEADLINE, address_of, figure, in_shared_memory
from ndsh import formats, pixels

pytestmark = pytest.mark.skipif(
    shutil.which("gst-launch-1.0") is None
    or subprocess.call(["gst-inspect-1.0", "ndshsrc"], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL) != 0,
    reason="no GStreamer, or without the elements")


class Pipeline:
    """gst-launch-1.0; arguments are split at blanks."""

    def __init__(self, *text):
        self.popen = subprocess.Popen(
            ["gst-launch-1.0", "-q"] + " ".join(text).split(),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)

    def end(self):
        out, _ = self.popen.communicate(timeout=DEADLINE)
        assert self.popen.returncode == 0, out


@pytest.fixture
def launch():
    started = []

    def start(*text):
        started.append(Pipeline(*text))
        return started[-1]
    yield start
    for one in started:
        if one.popen.poll() is None:
            one.popen.kill()
        one.popen.communicate()


def wait_for_a_reader(writer):
    until = time.monotonic() + DEADLINE
    while not writer.readers:
        assert time.monotonic() < until
        time.sleep(0.005)


def colours(width=61, height=47):
    """A picture that is smooth, so that halved colours are about the same."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return np.stack([40 + 150 * x, 200 - 140 * y, 60 + 90 * x * y],
                    axis=-1).astype(np.uint8)


# --- What is known of frames -------------------------------------------------

def test_regions_and_metas_go_through_pipelines(launch):
    regions = (ndsh.Region("cat", 1, 2, 3, 4, 0.5, id=7),
               ndsh.Region("a \"dog\"", 5, 6, 7, 8, None, {"more": {"legs": 4}}))
    crop = ndsh.Meta("GstVideoCropMeta", {"x": 1, "y": 2, "width": 30, "height": 40})
    time_of_day = ndsh.Meta("GstReferenceTimestampMeta", {
        "reference": "timestamp/x-unix", "timestamp": 1 << 60,
        "duration": (1 << 64) - 1})
    with ndsh.Writer("a", format="BGR", fps=30) as writer, ndsh.Reader("b") as reader:
        launch("ndshsrc channel=a ! ndshsink channel=b")
        wait_for_a_reader(writer)
        writer.write(colours(), regions=regions, metas=[crop, time_of_day])
        frame = reader.read(timeout=DEADLINE)

    assert frame.regions[0][:6] == regions[0][:6] and frame.regions[0].id == 7
    assert frame.regions[0].parameters == {"detection": {"confidence": 0.5}}
    assert frame.regions[1] == regions[1]
    assert frame.metas == (crop, time_of_day)


def has_analytics():
    """Whether the elements were built with GStreamer's library of that name, of 1.24."""
    with open(os.path.join(os.environ["GST_PLUGIN_PATH"], "libgstndsh.so"), "rb") as file:
        return b"libgstanalytics" in file.read()


def pass_through_a_pipeline(launch, picture=None, elements="", **travels):
    """What a reader gets of a frame that went from ndshsrc to ndshsink."""
    with ndsh.Writer("a", format="BGR", fps=30) as writer, ndsh.Reader("b") as reader:
        launch("ndshsrc channel=a ! %s ndshsink channel=b" % elements)
        wait_for_a_reader(writer)
        writer.write(colours() if picture is None else picture, **travels)
        return reader.read(timeout=DEADLINE)


def test_tracks_and_classes_go_through_pipelines(launch):
    if not has_analytics():
        pytest.skip("needs GStreamer 1.24")
    regions = (ndsh.Region("cat", 1, 2, 3, 4, 0.5, tracking=(1 << 64) - 1,
                           classes=(("tabby; or <so>", 0.75), ("7", -0.125))),
               ndsh.Region("a region of interest", 5, 6, 7, 8, 0.5),
               ndsh.Region("dog", 5, 6, 7, 8, 0.5, tracking=3))
    room = ndsh.Meta("GstAnalyticsClsMtd", {"labels": ("indoors",), "confidences": (0.5,)})
    frame = pass_through_a_pipeline(launch, regions=regions, metas=[room])
    found = {region.label: region for region in frame.regions}

    assert found["cat"].tracking == (1 << 64) - 1 and found["dog"].tracking == 3
    assert found["cat"].classes == regions[0].classes and found["dog"].classes == ()
    assert found["a region of interest"].tracking is None
    assert frame.metas == (room,)


def test_gstreamer_draws_what_a_program_has_tracked(launch):
    if not has_analytics() or subprocess.call(
            ["gst-inspect-1.0", "--exists", "objectdetectionoverlay"]) != 0:
        pytest.skip("no objectdetectionoverlay")
    cat = ndsh.Region("cat", 50, 60, 70, 80, 0.5, tracking=7)
    frame = pass_through_a_pipeline(
        launch, np.zeros((240, 320, 3), np.uint8),
        "videoconvert ! objectdetectionoverlay ! videoconvert !", regions=[cat])
    picture = frame.gray()

    assert picture[100, 45:55].any() and picture[140, 45:125].any()
    assert not picture[90:110, 60:110].any() and not picture[150:].any()


def test_overlays_go_through_pipelines(launch):
    pixels = np.arange(48, dtype=np.uint8)
    overlay = ndsh.Meta("GstVideoOverlayCompositionMeta", {
        "index": 0, "x": -3, "y": 2, "w": 8, "h": 6, "premultiplied-alpha": False,
        "format": "BGRA", "width": 4, "height": 3, "data": pixels.tobytes()})
    frame = pass_through_a_pipeline(launch, metas=[overlay])

    assert frame.metas == (overlay,)


def test_tags_are_read(launch):
    launch("videotestsrc is-live=true ! video/x-raw,width=64,height=48 ! taginject"
           " tags=title=door,image-orientation=rotate-90 ! ndshsink channel=v")
    with ndsh.Reader("v") as reader:
        for _ in range(3):
            assert reader.read(timeout=DEADLINE).tags == {
                "title": "door", "image-orientation": "rotate-90"}


def test_time_codes_are_read(launch):
    if subprocess.call(["gst-inspect-1.0", "--exists", "timecodestamper"]) != 0:
        pytest.skip("no timecodestamper")
    launch("videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=25/1 !"
           " timecodestamper ! ndshsink channel=v")
    with ndsh.Reader("v") as reader:
        metas = reader.read(timeout=DEADLINE).metas

    assert [meta.name for meta in metas] == ["GstVideoTimeCodeMeta"]
    assert metas[0].fields["fps-n"] == 25 and metas[0].fields["hours"] < 24


# --- Beyond one machine ------------------------------------------------------

def test_nothing_is_lost_over_tcp(launch):
    """The last recipe of doc/network.md, with numbers of which each is another."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    n = 300
    with ndsh.Writer("a", lossless_timeout=DEADLINE) as writer, \
            ndsh.Reader("b", mode="lossless", queue=32) as reader:
        launch("ndshsrc channel=a leaky-type=none ! gdppay !"
               " tcpserversink name=s host=127.0.0.1 port=%d" % port)
        wait_for_a_reader(writer)
        wait_for_a_port(port)
        launch("tcpclientsrc host=127.0.0.1 port=%d ! gdpdepay !"
               " ndshsink channel=b wait-for-connection=true" % port)
        first = None
        while first is None:              # until the far end is there
            writer.write(np.full((3, 1000), 0, np.int32))
            if reader.wait(timeout=0.05):
                first = reader.read()
        for number in range(1, n + 1):
            writer.write(np.full((3, 1000), number, np.int32))
        seen = []
        while not seen or seen[-1] < n:
            array = reader.read(timeout=DEADLINE).array
            assert array.shape == (3, 1000) and array.dtype == np.int32
            assert (array == array[0, 0]).all()
            seen.append(int(array[0, 0]))

    assert [number for number in seen if number > 0] == list(range(1, n + 1))


def wait_for_a_port(port):
    until = time.monotonic() + DEADLINE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            assert time.monotonic() < until
            time.sleep(0.02)


# --- NumPy into a pipeline ---------------------------------------------------

def test_video_is_shown_with_no_caps_typed(launch, tmp_path):
    picture = colours()
    with ndsh.Writer("v", format="BGR", fps=30) as writer:
        pipeline = launch("ndshsrc channel=v num-buffers=3 ! videoconvert !",
                          "video/x-raw,format=RGB ! filesink location=%s/out" % tmp_path)
        wait_for_a_reader(writer)
        for _ in range(3):
            writer.write(picture)
            time.sleep(0.1)
        pipeline.end()
    raw = np.fromfile(str(tmp_path / "out"), np.uint8)

    rows = raw[:47 * 184].reshape(47, 184)[:, :183].reshape(47, 61, 3)
    assert np.array_equal(rows, picture[..., ::-1])


@pytest.mark.parametrize("array, format", [
    (colours(), "BGR"), (colours()[..., 0], "GRAY8"),
    (np.dstack([colours(), colours()[..., :1]]), "BGRx"),
    (colours()[..., 0].astype("u2") * 256, "GRAY16_LE")])
def test_a_rate_is_enough(launch, tmp_path, array, format):
    with ndsh.Writer("v", fps="30000/1001") as writer:
        pipeline = launch("ndshsrc channel=v num-buffers=1 ! videoconvert !",
                          "video/x-raw,format=RGB ! filesink location=%s/out" % tmp_path)
        wait_for_a_reader(writer)
        writer.write(array)
        pipeline.end()
        assert "format=(string)%s," % format in writer.caps
        assert "30000/1001" in writer.caps
    assert os.path.getsize(str(tmp_path / "out")) == 47 * 184


@pytest.mark.parametrize("format", ["BGR", "RGBA", "GRAY8", "GRAY16_LE", "GRAY16_BE",
                                    "NV12", "NV21", "I420", "YV12", "Y42B", "Y444",
                                    "YUY2", "UYVY", "GBR", "P010_10LE", "I420_10BE",
                                    "RGB16", "ARGB64", "NV16", "NV24", "AYUV"])
@pytest.mark.parametrize("width, height", [(64, 48), (63, 47)])
def test_what_is_written_in_a_format_is_what_the_pipeline_has(launch, tmp_path, format,
                                                             width, height):
    """ndshsrc gives elements that look at caps only the standard layout: then each
    byte of the planes must be where GStreamer expects it."""
    layout = formats.video_layout(format, width, height)
    random = np.random.RandomState(1)
    planes = [random.randint(0, 1 << 8 * int(v.dtype[-1]), v.shape).astype(v.dtype)
              for v in layout.views]
    with ndsh.Writer("v", format=format, fps=30) as writer:
        pipeline = launch("ndshsrc channel=v num-buffers=1 !",
                          "filesink location=%s/out" % tmp_path)
        wait_for_a_reader(writer)
        writer.write(planes)
        pipeline.end()

    raw = np.fromfile(str(tmp_path / "out"), np.uint8)
    assert raw.size == layout.size
    for view, plane in zip(layout.views, planes):
        got = np.ndarray(view.shape, view.dtype, raw, view.offset, view.strides)
        assert np.array_equal(got, plane)


@pytest.mark.parametrize("format, width", [("NV12", 64), ("I420", 64), ("YV12", 64),
                                           ("I420", 60), ("NV12", 62), ("NV21", 62)])
@pytest.mark.parametrize("height", [48, 46])
def test_planes_as_one_array_arrive_as_planes(format, width, height):
    """OpenCV's way to pass NV12 and I420; also where GStreamer pads the rows."""
    array = np.random.RandomState(1).randint(
        0, 256, (height * 3 // 2, width)).astype(np.uint8)
    shapes = [(height, width)] + [(height // 2, width // 2)] * 2
    ends = np.cumsum([0] + [np.prod(shape) for shape in shapes])
    flat = array.reshape(-1)
    planes = [flat[a:b].reshape(s) for a, b, s in zip(ends, ends[1:], shapes)]
    if format.startswith("NV"):
        planes[1:] = [flat[ends[1]:].reshape(height // 2, width // 2, 2)]

    with ndsh.Writer("v", format=format, fps=30) as writer:
        with ndsh.Reader("v", timeout=30) as reader:
            reader.wait(0)
            for one in (array, np.asfortranarray(array), np.repeat(array, 2, 1)[:, ::2]):
                writer.write(one)
                frame = reader.read()

                for got, plane in zip(frame.planes, planes):
                    assert np.array_equal(got, plane)
                if len(planes) == 2 and width % 4 == 0 or width % 8 == 0:
                    assert np.array_equal(frame.array, array)
                    assert in_shared_memory(frame.array)
                    with writer.draft(array.shape) as draft:
                        draft[...] = array
                    assert np.array_equal(reader.read().array, array)
                elif format == "I420":
                    with pytest.raises(ValueError, match="planes"):
                        frame.array
                    with pytest.raises(ValueError, match="list of shapes"):
                        writer.draft(array.shape)


def test_times_and_ends_travel(launch, tmp_path):
    with ndsh.Writer("v", format="GRAY8", fps=10) as writer:
        pipeline = launch("ndshsrc channel=v leaky-type=none !",
                          "filesink location=%s/out" % tmp_path)
        wait_for_a_reader(writer)
        for n in range(5):
            writer.write(np.full((16, 16), n, np.uint8))
        writer.end()
        pipeline.end()
    raw = np.fromfile(str(tmp_path / "out"), np.uint8)
    assert np.array_equal(raw[::256], range(5))


def test_arrays_without_caps_are_ndarrays(launch, tmp_path):
    with ndsh.Writer("v") as writer:
        pipeline = launch("ndshsrc channel=v num-buffers=1 !",
                          "application/x-ndarray,dtype=float32 !",
                          "filesink location=%s/out" % tmp_path)
        wait_for_a_reader(writer)
        writer.write(np.arange(12, dtype=np.float32).reshape(3, 4))
        pipeline.end()
    assert np.array_equal(np.fromfile(str(tmp_path / "out"), "f4"), range(12))


@pytest.mark.parametrize("format, dtype", [("S16BE", ">i2"), ("F32BE", ">f4"),
                                           ("S16LE", "<i2")])
def test_audio_has_the_byte_order_of_its_caps(launch, tmp_path, format, dtype):
    sound = np.arange(-100, 100).reshape(100, 2).astype(dtype[1:])
    caps = "audio/x-raw,format=%s,rate=8000,channels=2,layout=interleaved" % format
    with ndsh.Writer("s", caps=caps) as writer:
        pipeline = launch("ndshsrc channel=s num-buffers=1 ! audioconvert !",
                          "audio/x-raw,format=S32LE !",
                          "filesink location=%s/out" % tmp_path)
        wait_for_a_reader(writer)
        writer.write(sound)
        pipeline.end()
    got = np.fromfile(str(tmp_path / "out"), "<i4").reshape(100, 2)
    unit = 1 << 16 if dtype[1] == "i" else 1 << 31
    assert np.array_equal(got, np.clip(sound.astype("f8") * unit, -2 ** 31, 2 ** 31 - 1))


# --- A pipeline into NumPy ---------------------------------------------------

def read_one(launch, caps, *more):
    launch("videotestsrc is-live=true pattern=smpte !", caps, "!", *more,
           "ndshsink channel=t")
    with ndsh.Reader("t", timeout=DEADLINE) as reader:
        return reader.read()


@pytest.mark.parametrize("format, shapes, joined", [
    ("BGR", [(48, 62, 3)], (48, 62, 3)),
    ("RGBA", [(48, 62, 4)], (48, 62, 4)),
    ("GRAY8", [(48, 62)], (48, 62)),
    ("GRAY16_BE", [(48, 62)], (48, 62)),
    ("NV12", [(48, 62), (24, 31, 2)], (72, 62)),
    ("I420", [(48, 62), (24, 31), (24, 31)], None),
    ("YUY2", [(48, 62, 2)], (48, 62, 2)),
    ("Y444", [(48, 62)] * 3, (3, 48, 62)),
    ("GBR", [(48, 62)] * 3, (3, 48, 62)),
    ("P010_10LE", [(48, 62), (24, 31, 2)], None)])
def test_frames_of_a_pipeline_are_arrays(launch, format, shapes, joined):
    frame = read_one(launch,
                     "video/x-raw,format=%s,width=62,height=48,framerate=30/1" % format)

    assert frame.format == format and "video/x-raw" in frame.caps
    assert [plane.shape for plane in frame.planes] == shapes
    assert all(in_shared_memory(plane) for plane in frame.planes)
    assert frame.pts is not None and frame.info.duration_ns > 3 * 10 ** 7
    if format.startswith("GRAY16"):
        assert frame.array.dtype == ">u2" and frame.arrays[0].dtype == np.uint8
        assert np.array_equal(frame.array, frame.arrays[0][..., 0].astype(int) * 256
                              + frame.arrays[0][..., 1].astype(int))
    if joined is None:
        with pytest.raises(ValueError):
            frame.array
    else:
        assert frame.array.shape == joined and in_shared_memory(frame.array)
    assert frame.bgr().shape == frame.rgb().shape == (48, 62, 3)
    assert frame.gray().shape == (48, 62)


def test_raw_bytes_and_audio_are_arrays(launch):
    frame = read_one(launch, "video/x-raw,format=I420,width=64,height=48",
                     "jpegenc !")
    assert frame.array.ndim == 1 and bytes(frame.array[:2]) == b"\xff\xd8"
    assert "image/jpeg" in frame.caps

    for format, dtype in (("S16LE", "<i2"), ("F32LE", "<f4"), ("S32BE", ">i4"),
                          ("F64BE", ">f8"), ("U16BE", ">u2")):
        sound = launch("audiotestsrc is-live=true samplesperbuffer=100 !",
                       "audio/x-raw,format=%s,channels=2,rate=8000 !" % format,
                       "ndshsink channel=s")
        with ndsh.Reader("s", timeout=DEADLINE) as reader:
            array = next(reader).array
        sound.popen.kill()
        sound.popen.wait()
        assert array.shape == (100, 2) and array.dtype == dtype
        assert np.array_equal(array[:, 0], array[:, 1])
        assert 0 < np.abs(array.astype(float)).max() < 2 ** 32


def test_a_sensor_is_an_array(launch):
    frame = read_one(launch, "video/x-bayer,format=rggb,width=62,height=48,"
                             "framerate=30/1")
    assert frame.array.shape == (48, 62) and frame.array.strides == (64, 1)
    assert frame.format == "rggb" and frame.bgr().shape == (48, 62, 3)


def test_the_reader_sees_the_pipeline_end(launch):
    pipeline = launch("videotestsrc num-buffers=20 is-live=true ! ndshsink channel=t",
                      "wait-for-connection=true")
    with ndsh.Reader("t", mode="lossless", timeout=DEADLINE) as reader:
        numbers = [frame.sequence for frame in reader]
    assert numbers == list(range(1, 21))
    pipeline.end()


# --- Layouts and conversions, against GStreamer's own ------------------------

def reference(launch, tmp_path, width, height):
    """The same picture in every format GStreamer knows, in its standard layout."""
    known = [name for name in sorted(formats.FORMATS) if knows(name)]
    branches = ["t. ! queue ! videoconvert dither=none ! video/x-raw,format=%s !"
                " filesink location=%s/%s" % (name, tmp_path, name) for name in known]
    launch("videotestsrc num-buffers=1 pattern=smpte !",
           "video/x-raw,format=RGB,width=%d,height=%d,framerate=30/1" % (width, height),
           "! tee name=t", *branches).end()
    return known


_all_formats = []


def knows(name):
    if not _all_formats:
        text = subprocess.check_output(["gst-inspect-1.0", "videoconvert"],
                                       universal_newlines=True)
        _all_formats.extend(re.findall(r"\w+", text))
    return name in _all_formats


@pytest.mark.parametrize("width, height", [(140, 60), (139, 59)])
def test_layouts_and_conversions_are_those_of_gstreamer(launch, tmp_path, width, height):
    """At the edges of the bars colours are interpolated in one way or another; but most
    pixels must be about those of the RGB picture."""
    known = reference(launch, tmp_path, width, height)
    expected = None
    for name in ["RGB"] + known:
        raw = np.fromfile(str(tmp_path / name), np.uint8)
        layout = formats.video_layout(name, width, height)
        assert raw.size == layout.size, name
        planes = tuple(np.ndarray(v.shape, v.dtype, raw, v.offset, v.strides)
                       for v in layout.views)
        rgb = pixels.convert("rgb", formats.Caps(layout.caps), planes).astype(float)
        expected = rgb if expected is None else expected
        if name.startswith("GRAY"):
            continue
        if planes[0].dtype.itemsize == 2 and rgb.max() > 255:
            rgb /= {"10": 4, "12": 16}.get(name[4:6], 256)
        wrong = np.abs(rgb - expected).max(axis=-1) > 9
        # The right quarter of the lower rows is noise.
        wrong = wrong[:height * 2 // 3]
        assert wrong.mean() < 0.25, (name, wrong.mean())
    figure("%d formats of GStreamer at %dx%d have its layout and colours" % (
        len(known), width, height))
    assert len(known) > 40


def test_one_copy_and_none(launch):
    """A Python writer's frames go through ndshsrc as they lie."""
    with ndsh.Writer("v", format="GRAY8", fps=30) as writer:
        with ndsh.Reader("v", timeout=30) as reader:
            reader.wait(0)
            writer.write(np.zeros((480, 640), np.uint8))
            frame = reader.read()
            assert address_of(frame.array) % 4096 == 0
            assert frame.array.flags.c_contiguous
