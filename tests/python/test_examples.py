# SPDX-License-Identifier: LGPL-2.1-or-later
"""The programs of doc/cookbook.md run as written, and those of examples/python are they.
A test picture stands for the camera."""

import importlib.util
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.request

import numpy as np
import pytest

import ndsh
from conftest import DEADLINE, HEAR_SIGINT, Program

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EXAMPLES = os.path.join(ROOT, "examples", "python")


def cookbook():
    with open(os.path.join(ROOT, "doc", "cookbook.md")) as file:
        return file.read()


def pipelines():
    return re.findall(r"^    (gst-launch-1.0 .*)$", cookbook(), re.M)


class Command(Program):
    """A command, both of whose outputs are one."""

    def __init__(self, *words):
        # In a file: a line in the middle of the program's would not be understood.
        self.log = tempfile.NamedTemporaryFile()
        environment = dict(os.environ, PYTHONUNBUFFERED="1", GST_DEBUG="*:3",
                           GST_DEBUG_NO_COLOR="1", GST_DEBUG_FILE=self.log.name)
        environment.pop("DISPLAY", None)
        self.popen = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, universal_newlines=True, env=environment,
            start_new_session=True)
        self.pid = self.popen.pid
        self.dead_man = threading.Timer(2 * DEADLINE, self.kill)
        self.dead_man.start()

    def kill(self, number=signal.SIGKILL):
        """Its children, too, who have its output."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass

    def line(self):
        line = self.popen.stdout.readline()
        assert line, "%s ended" % (self.popen.args,)
        return line.rstrip("\n")

    def find(self, pattern):
        """The match in the first line that has one."""
        lines = []
        while True:
            lines.append(self.line())
            assert "Traceback" not in lines[-1], self.popen.stdout.read()
            found = re.search(pattern, lines[-1])
            if found:
                return found

    def end_well(self):
        out = self.popen.stdout.read()
        assert self.popen.wait(DEADLINE) == 0, out
        return out

    def assert_no_warnings(self):
        """Of GStreamer, about our elements."""
        log = self.log.read().decode("utf-8", "replace")
        assert not re.search(r" (WARN|ERROR) .*ndsh", log), log


@pytest.fixture
def start():
    started = []

    def run(*words):
        started.append(Command(*words))
        return started[-1]
    yield run
    for one in started:
        one.dead_man.cancel()
        one.kill()
        one.popen.communicate()
        one.assert_no_warnings()


@pytest.fixture
def example(start):
    return lambda name: start(sys.executable, os.path.join(EXAMPLES, name))


@pytest.fixture
def camera(start):
    """Starts the cookbook's camera; Ctrl-C ends it, and says so to readers."""
    def run(line=pipelines()[0]):
        words = shlex.split(line.replace("v4l2src", "videotestsrc is-live=true").replace(
            "gst-launch-1.0", "gst-launch-1.0 -e"))
        camera = start(*words)
        camera.find("Setting pipeline to PLAYING|New clock|Redistribute")
        return camera
    return run


def stop(camera):
    camera.kill(signal.SIGINT)
    camera.end_well()


def test_the_cookbook_shows_the_examples_as_they_are():
    blocks = re.findall(r"\[examples/python/(\w+\.py)\]\(../examples/python/(\w+\.py)\):"
                        r"\n\n```python\n(.*?)```", cookbook(), re.S)
    assert len(blocks) == cookbook().count("```python")
    assert sorted(name for name, _, _ in blocks) == sorted(
        name for name in os.listdir(EXAMPLES) if name.endswith(".py"))
    for name, link, block in blocks:
        with open(os.path.join(EXAMPLES, name)) as file:
            first, _, rest = file.read().partition("\n")
        assert name == link and block == rest, name
        assert first == "# SPDX-License-Identifier: LGPL-2.1-or-later"
        assert rest.count("\n") < 50, name + " is longer than a screen"


def test_the_readme_shows_an_example_as_it_is():
    with open(os.path.join(ROOT, "README.md")) as file:
        shown = re.search(r"```python\n(.*?)```", file.read(), re.S).group(1)
    with open(os.path.join(EXAMPLES, "paint.py")) as file:
        assert shown == file.read().partition("\n")[2]


def test_a_camera_in_opencv(example, camera):
    shown = example("opencv.py")
    source = camera()
    for _ in range(5):
        found = shown.find(r"^320 x 240, brightness (\d+), ([\d.]+) ms old$")
        assert 10 < int(found.group(1)) < 250
    stop(source)
    shown.end_well()


@pytest.mark.parametrize("line", pipelines()[:2])
def test_every_camera_of_the_cookbook_is_one(example, camera, line):
    shown = example("opencv.py")
    source = camera(line)
    shown.find(r"^\d+ x \d+, brightness")
    stop(source)
    shown.end_well()


def test_numpy_back_into_a_pipeline(example, camera, start):
    line = next(one for one in pipelines() if "channel=painted" in one)
    screen = start(*shlex.split(line.replace("autovideosink", "fakesink silent=false -v")))
    with ndsh.Reader("painted", timeout=DEADLINE) as reader:
        paints = example("paint.py")
        source = camera()
        for _ in range(5):
            picture = reader.read()
            assert picture.format == "BGR" and picture.array.shape == (240, 320, 3)
            assert picture.pts is not None
            assert (picture.array[:20] == (0, 0, 255)).all()
        # Mirrored: the bars of the test picture begin with white, now at the right.
        assert picture.array[60, -5].min() > 150 > picture.array[60, 5].min()
        screen.find("chain ")             # a picture, and no event before it
        stop(source)
        paints.end_well()
    screen.end_well()


def test_three_processes_on_one_camera(example, camera):
    three = example("three.py")
    source = camera()
    seen = set()
    while seen != {"brightness", "motion", "slow"}:
        seen.add(three.find(r"^(brightness|motion|slow): ").group(1))
    assert ndsh.channel("cam").readers == 3
    stop(source)
    three.end_well()


def test_an_event_loop(example, camera):
    loop = example("loop.py")
    source = camera()
    while int(loop.find(r"^(\d+) pictures a second").group(1)) == 0:
        pass
    stop(source)
    loop.end_well()


def test_inference(example, camera):
    with ndsh.Reader("edges", timeout=DEADLINE) as reader:
        infers = example("infer.py")
        source = camera()
        for _ in range(3):
            assert float(infers.find(r"^picture \d+: edges of ([\d.]+), ").group(1)) > 0
            edges = reader.read()
            assert edges.array.shape == (238, 318) and edges.array.dtype == np.float32
        stop(source)
        infers.end_well()


def has_gi(more="None"):
    code = "import gi; gi.require_version ('GstVideo', '1.0'); %s" % more
    return subprocess.call([sys.executable, "-c", code],
                           stderr=subprocess.DEVNULL) == 0


def has_cairo():
    return has_gi("import cairo; gi.require_foreign ('cairo')") and subprocess.call(
        ["gst-inspect-1.0", "--exists", "cairooverlay"]) == 0


@pytest.mark.skipif(not has_cairo(), reason="no PyGObject, pycairo or cairooverlay")
def test_boxes_are_drawn(start, example, camera):
    overlay = os.path.join(EXAMPLES, "overlay.py")
    with ndsh.Reader("boxes") as boxes, ndsh.Reader("drawn") as drawn:
        detects = example("detect.py")
        draws = start(sys.executable, overlay, "video/x-raw,format=RGB", "!",
                      "ndshsink channel=drawn")
        source = camera()
        region = boxes.read(timeout=DEADLINE).regions[0]
        picture = drawn.read(timeout=DEADLINE)
        assert region.label == "bright" and 0.9 <= region.confidence <= 1
        # The bars' white one begins on the left, and what is drawn around it is red.
        assert tuple(picture.array[region.y + 20, region.x]) == (255, 0, 0)
        assert tuple(picture.array[region.y + 20, region.x + 20]) != (255, 0, 0)
        stop(source)
        detects.end_well()
        draws.end_well()


@pytest.mark.skipif(not has_gi(), reason="no PyGObject")
def test_a_camera_is_on_only_while_somebody_looks(start):
    service = start(sys.executable, os.path.join(EXAMPLES, "ondemand.py"),
                    "videotestsrc is-live=true ! videoconvert")
    service.find("^the camera is off$")
    for _ in range(2):
        with ndsh.Reader("cam") as reader:
            first = reader.read(timeout=DEADLINE).sequence
            service.find("^the camera is on$")
            while reader.read(timeout=DEADLINE).sequence < first + 3:
                pass
        service.find("^the camera is off$")


def has_rtsp():
    return has_gi("gi.require_version ('GstRtspServer', '1.0')") and all(
        subprocess.call(["gst-inspect-1.0", "--exists", name]) == 0
        for name in ("rtspsrc", "rtpvp8pay", "vp8enc", "vp8dec"))


@pytest.mark.skipif(not has_rtsp(), reason="no PyGObject, gst-rtsp-server, RTP or VP8")
def test_a_channel_is_served_by_rtsp(start, camera):
    source = camera(pipelines()[0].replace("gst-launch-1.0", "gst-launch-1.0 -m"))
    server = start(sys.executable, os.path.join(EXAMPLES, "rtsp.py"), "cam", "0")
    url = server.find("^rtsp://.*").group()
    with open(os.path.join(ROOT, "doc", "network.md")) as file:
        line = re.search("gst-launch-1.0 rtspsrc .*", file.read()).group()
    words = shlex.split(line.replace("rtsp://192.168.1.10:8554/cam", url))
    for _ in range(2):
        with ndsh.Reader("remote") as reader:
            client = start(*words)
            for _ in range(5):
                assert reader.read(timeout=DEADLINE).arrays[0].shape[1] > 0
            source.find("GstNdshSinkReaders.*num-readers=\\(uint\\)1")
            client.kill()
            source.find("GstNdshSinkReaders.*num-readers=\\(uint\\)0")


@pytest.mark.skipif(not has_gi(), reason="no PyGObject")
def test_a_branch_comes_and_goes(start, camera, monkeypatch):
    monkeypatch.setenv("G_DEBUG", "fatal-criticals")
    shows = start(sys.executable, os.path.join(EXAMPLES, "embed.py"),
                  "ndshsink channel=shown")
    with ndsh.Reader("shown", timeout=DEADLINE) as shown, \
            ndsh.Reader("small", timeout=DEADLINE) as small:
        for end in (Command.kill, stop):  # another camera goes on where one was killed
            source = camera()
            last = shown.read()
            assert last.array.shape == (240, 320, 3)
            for _ in range(2):
                shows.say("")
                for _ in range(5):
                    picture = small.read()
                    assert picture.format == "BGR" and picture.array.shape == (120, 160, 3)
                    # As in the test picture: white at the left, and then yellow.
                    assert picture.array[10, 3].min() > 150 > picture.array[10, 30, 0]
                shows.say("")
                with pytest.raises(BrokenPipeError):
                    while True:
                        small.read()
                for _ in range(5):
                    before, last = last, shown.read()
                    assert last.pts > before.pts and last.sequence > before.sequence
            end(source)
    assert "CRITICAL" not in shows.end_well()


# Each with what shows that it is at work: a line, or a channel that it writes.
INTERRUPTED = {
    "console_1.py": ([], "^two_consoles, opened", None),
    "console_2.py": ([], "^new: False$", None),
    "detect.py": ([], "^picture ", None),
    "embed.py": (["ndshsink channel=shown"], None, "shown"),
    "infer.py": ([], "^picture ", None),
    "loop.py": ([], "pictures a second, the last is number [1-9]", None),
    "ondemand.py": (["videotestsrc is-live=true"], "^the camera is off$", None),
    "opencv.py": ([], "brightness", None),
    "overlay.py": (["ndshsink channel=shown"], None, "shown"),
    "paint.py": ([], None, "painted"),
    "rtsp.py": (["cam", "0"], "^rtsp://", None),
    "three.py": ([], "^slow: ", None),
}


def can_run(name):
    return {"overlay.py": has_cairo, "rtsp.py": has_rtsp}.get(
        name, has_gi if name in ("embed.py", "ondemand.py") else lambda: True)()


def interrupt(program):
    """Whether that ends it; a second time if the first one was lost in a __del__."""
    for _ in range(3):
        program.kill(signal.SIGINT)
        try:
            program.popen.wait(2)
            return True
        except subprocess.TimeoutExpired:
            pass
    return False


@pytest.mark.parametrize("name", sorted(
    name for name in os.listdir(EXAMPLES) if name.endswith(".py")))
def test_ctrl_c_ends_an_example_without_a_traceback(start, example, camera, name):
    if not can_run(name):
        pytest.skip("what it needs is not here")
    words, line, channel = INTERRUPTED[name]
    others = {"console_2.py": ["console_1.py"], "overlay.py": ["detect.py"]}
    for other in others.get(name, []):
        example(other)
    if name not in ("ondemand.py", "console_1.py", "console_2.py"):
        camera()
    for _ in range(3):
        program = start(sys.executable, os.path.join(EXAMPLES, name), *words)
        if channel is not None:
            with ndsh.Reader(channel) as reader:
                reader.read(timeout=DEADLINE)
        else:
            program.find(line)
        if interrupt(program):
            break
        program.kill()                    # PyGObject forgets one just before its loop runs
        program.popen.wait(DEADLINE)
    # Python says so, and goes on, if it comes while an object is collected.
    out = re.sub(r"Exception ignored in: [\s\S]*?\nKeyboardInterrupt:?\s*\n", "",
                 program.popen.stdout.read())
    assert program.popen.returncode in (0, -signal.SIGINT), out
    assert "Traceback" not in out and "Error" not in out and "Task " not in out, out


@pytest.mark.parametrize("first", [1, 2])
def test_two_consoles(example, first):
    consoles = {first: example("console_%d.py" % first)}
    if first == 1:
        consoles[1].find("lies in")
    consoles[3 - first] = example("console_%d.py" % (3 - first))
    writer, reader = consoles[1], consoles[2]
    reader.find(r"^new: True, [\d.]+ ms after it was written$")
    reader.find(r"^new: False$")
    writer.say("")
    digits = reader.find(r"^new: True, lies in (two_consoles_[0-9a-f]{32})$").group(1)
    assert writer.find(r"now it lies in (\S+)").group(1) == digits
    told = reader.end_well()
    writer.say("")
    assert "[[" in told and writer.end_well().startswith(told)


def is_there(channel):
    return any(one.name == channel and one.published > 2 for one in ndsh.channels())


# And what it says, or publishes, once it runs: OpenCV loses a Ctrl-C while it is imported.
@pytest.mark.parametrize("name, said", [
    ("opencv.py", ["brightness"]), ("paint.py", []), ("infer.py", ["edges"]),
    ("three.py", ["brightness", "motion", "slow"]), ("loop.py", ["a second, the last"]),
    ("detect.py", ["bright"])])
def test_ctrl_c_ends_an_example_without_a_traceback(start, camera, name, said):
    source = camera()
    shown = start(sys.executable, "-c", HEAR_SIGINT + "import runpy\nrunpy.run_path(%r, "
                  "run_name='__main__')" % os.path.join(EXAMPLES, name))
    while said:
        line = shown.line()
        said = [word for word in said if word not in line]
    while name == "paint.py" and not is_there("painted"):
        pass
    shown.kill(signal.SIGINT)
    out = shown.end_well()
    assert "Traceback" not in out and "Task was" not in out and "never" not in out, out
    stop(source)


@pytest.mark.skipif(not has_gi(), reason="no PyGObject")
@pytest.mark.parametrize("name, words", [
    ("overlay.py", ["fakesink"]), ("embed.py", ["fakesink"]),
    ("ondemand.py", ["videotestsrc"]), ("rtsp.py", ["cam", "0"])])
def test_ctrl_c_ends_an_example_with_a_main_loop(start, camera, name, words):
    if (name == "overlay.py" and not has_cairo()) or (name == "rtsp.py" and not has_rtsp()):
        pytest.skip("not all is installed")
    shown = start(sys.executable, "-c", HEAR_SIGINT + """
import runpy, sys
from gi.repository import GLib
real = GLib.MainLoop.run
def run(loop):
    GLib.idle_add(lambda: print("it runs", flush=True))
    real(loop)
GLib.MainLoop.run = run
sys.argv = %r
runpy.run_path(sys.argv[0], run_name='__main__')
""" % ([os.path.join(EXAMPLES, name)] + words,))
    shown.find("^it runs$")
    shown.kill(signal.SIGINT)
    out = shown.end_well()
    assert "Traceback" not in out, out


def has(module):
    return importlib.util.find_spec(module) is not None


def test_a_pool_of_workers(example, camera):
    pool = example("pool.py")
    source = camera()
    seen = set()
    while len(seen) < 9 or {worker for _, worker in seen} != {0, 1, 2}:
        found = pool.find(r"^picture (\d+) by worker (\d): contrast ([\d.]+)$")
        number, worker = int(found.group(1)), int(found.group(2))
        assert number % 3 == worker and 10 < float(found.group(3)) < 128
        assert (number, worker) not in seen
        seen.add((number, worker))
    stop(source)
    pool.end_well()


@pytest.mark.skipif(not has("cv2"), reason="no OpenCV")
def test_a_camera_in_a_browser(start, camera):
    import cv2
    source = camera()
    web = start(sys.executable, "-c", HEAR_SIGINT + "import runpy, sys\n"
                "sys.argv = ['web.py', 'cam', '0']\nrunpy.run_path(%r, run_name='__main__')"
                % os.path.join(EXAMPLES, "web.py"))
    url = web.find("^http://.*").group()
    for _ in range(2):
        with urllib.request.urlopen(url, timeout=DEADLINE) as stream:
            assert stream.headers["Content-Type"] \
                == "multipart/x-mixed-replace; boundary=frame"
            for _ in range(3):
                part = [stream.readline() for _ in range(4)]
                assert part[0] == b"--frame\r\n" and part[1].endswith(b"image/jpeg\r\n")
                jpeg = stream.read(int(part[2].split()[1]))
                assert stream.readline() == b"\r\n"
                picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
                assert picture.shape == (240, 320, 3)
                assert picture[60, 5].min() > 150 > picture[60, -5].min()
    while ndsh.channel("cam").readers:        # who has left is no reader any more
        pass
    web.kill(signal.SIGINT)
    assert "Traceback" not in web.end_well()
    stop(source)


@pytest.mark.skipif(not has("cv2"), reason="no OpenCV")
def test_video_capture_and_writer(example, camera):
    import cv2
    if not re.search(r"GStreamer: +YES", cv2.getBuildInformation()):
        pytest.skip("this OpenCV is without GStreamer")
    source = camera()
    with ndsh.Reader("seen", timeout=DEADLINE) as reader:
        captures = example("capture.py")
        for _ in range(5):
            picture = reader.read()
            assert picture.format == "BGR" and picture.shape == (240, 320, 3)
        # The test picture is bars there; black is only what was written.
        assert (picture.array[25:60, 20:140].max(axis=2) == 0).sum() > 300
        stop(source)
        captures.end_well()


@pytest.mark.skipif(not has_gi("gi.require_version ('GstApp', '1.0')"), reason="no PyGObject")
def test_a_pipelines_appsink(example, start, camera):
    shown = example("appsink.py")
    # Rows of 61 pixels are padded.
    odd = start(sys.executable, os.path.join(EXAMPLES, "appsink.py"),
                "videoscale ! video/x-raw,width=61,height=33")
    source = camera()
    for _ in range(3):
        assert 10 < int(shown.find(r"^80 x 60, brightness (\d+)$").group(1)) < 250
        assert 10 < int(odd.find(r"^61 x 33, brightness (\d+)$").group(1)) < 250
    stop(source)
    shown.end_well()
    odd.end_well()


@pytest.mark.skipif(not has("torch"), reason="no PyTorch")
def test_a_model_of_torch(example, camera):
    with ndsh.Reader("features", timeout=DEADLINE) as reader:
        runs = example("torch_model.py")
        source = camera()
        runs.find(r"^picture \d+: \[8, 60, 80\], \d+ ms after it was published$")
        features = reader.read().array
        assert features.shape == (8, 60, 80) and features.dtype == np.float32
        assert features.min() == 0 < features.max()
        stop(source)
        runs.end_well()


@pytest.mark.skipif(not has("cv2") or not has("torch"), reason="no OpenCV, or no PyTorch "
                    "that makes a file for it")
def test_a_model_in_a_file_of_onnx(start, camera, tmp_path):
    import torch
    model = torch.nn.AvgPool2d(4)             # whose output is known
    path = tmp_path / "model.onnx"
    torch.onnx.export(model, torch.zeros(1, 3, 120, 160), str(path))
    with ndsh.Reader("outputs", timeout=DEADLINE) as reader:
        runs = start(sys.executable, os.path.join(EXAMPLES, "onnx_model.py"), str(path),
                     "160", "120")
        source = camera()
        runs.find(r"^picture \d+: \[1, 3, 30, 40\], \d+ ms after it was published$")
        output = reader.read().array
        assert output.shape == (1, 3, 30, 40) and output.dtype == np.float32
        # Red, green and blue of the bars: white at the left, and in the middle a green one.
        assert output[0, :, 8, 1].min() > 0.6
        assert output[0, 1, 8, 20] > 0.6 > 0.2 > output[0, 0, 8, 20]
        stop(source)
        runs.end_well()
