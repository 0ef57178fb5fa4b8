# SPDX-License-Identifier: LGPL-2.1-or-later
"""What makes it comfortable: help (), notebooks, `python3 -m ndsh`, warnings."""

import asyncio
import importlib
import os
import pickle
import pydoc
import re
import signal
import struct
import subprocess
import sys
import time
import warnings
import zlib

import numpy as np
import pytest

import ndsh
from conftest import DEADLINE
from ndsh import __main__ as command
from ndsh import png, reader as reader_module


def picture(dtype=np.uint8, shape=(48, 62, 3)):
    most = np.iinfo(dtype).max
    return np.random.RandomState(1).randint(0, most, shape).astype(dtype)


@pytest.fixture
def channel():
    """Writes an array; a frame of it."""
    opened = []

    def send(array, **options):
        writer = ndsh.Writer("a", **options)
        reader = ndsh.Reader("a", timeout=30)
        opened.extend([reader, writer])
        reader.wait(0)
        writer.write(array)
        return reader.read()
    yield send
    for one in opened:
        one.close()


def decode(data):
    """A PNG without filters, as numbers."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(data):
        size, name = struct.unpack(">I4s", data[at:at + 8])
        chunks[name] = data[at + 8:at + 8 + size]
        assert struct.unpack(">I", data[at + 8 + size:at + 12 + size])[0] \
            == zlib.crc32(name + chunks[name])
        at += 12 + size
    width, height, bits, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)
    assert (rows[:, 0] == 0).all() and list(chunks)[-1] == b"IEND"
    numbers = np.ascontiguousarray(rows[:, 1:]).view(">u%d" % (bits // 8))
    return numbers.reshape((height, width) + ((3,) if colour == 2 else ()))


# --- Frames ------------------------------------------------------------------

def test_a_frame_is_as_its_array(channel):
    frame = channel(np.zeros((5, 7), np.float32))
    assert frame.shape == (5, 7) and frame.dtype == np.float32 and len(frame) == 5


def test_a_frame_without_elements_is_one_all_the_same(channel):
    frame = channel(np.zeros(0))
    assert len(frame) == 0 and frame.shape == (0,) and frame


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_picture_is_a_png_in_notebooks(channel, dtype):
    array = picture(dtype)
    assert np.array_equal(decode(channel(array)._repr_png_()), array[..., ::-1])


def test_gray_is_a_png_too():
    array = picture(shape=(5, 7))
    assert np.array_equal(decode(png.encode(array)), array)


def test_others_read_our_png(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for array in (picture(), picture(shape=(5, 7))):
        path = tmp_path / "x.png"
        path.write_bytes(png.encode(array))
        assert np.array_equal(np.asarray(image.open(str(path))), array)


def test_what_is_no_picture_is_no_png(channel):
    assert channel(np.zeros(9, np.float32))._repr_png_() is None


# --- Names and help () -------------------------------------------------------

def test_names_are_the_packages():
    assert repr(ndsh.Error) == "<class 'ndsh.Error'>"
    for name in ("Spec", "Timing", "FrameInfo", "ReaderInfo", "WriterInfo", "Region", "Meta"):
        assert getattr(ndsh, name).__module__ == "ndsh"
    region = ndsh.Region("cat", 1, 2, 3, 4)
    assert pickle.loads(pickle.dumps(region)) == region
    assert type(pickle.loads(pickle.dumps(region))) is ndsh.Region
    assert region._replace(x=5).x == 5 and region.confidence is None
    with pytest.raises(ndsh.Error, match="why"):
        raise ndsh.Error("why")


def test_help_is_about_what_is_ours():
    text = pydoc.plain(pydoc.render_doc(ndsh))
    assert "inherited from" not in text
    assert "lossless_timeout: seconds that a write may wait" in text
    assert "with_traceback" not in text and "Return first index of value" not in text


# --- Waiting for nobody ------------------------------------------------------

def test_who_waits_for_ever_for_nobody_is_told(program, channel_directory):
    waiting = program("""
        import ndsh, sys, warnings
        ndsh.reader._SILENCE = 0.3
        with ndsh.Writer("camera"):
            for frame in ndsh.Reader("camrea"):
                print(frame.array[0], flush=True)
        """)
    while "RuntimeWarning" not in waiting.stderr():
        assert waiting.popen.poll() is None
    assert "nobody writes channel 'camrea' so far; there is 'camera'" in waiting.stderr()
    with ndsh.Writer("camrea", history=2) as writer:
        writer.write(np.arange(3))
        assert waiting.line() == "0"
    assert waiting.succeed() == ""
    assert waiting.stderr().count("RuntimeWarning") == 1


def test_who_waits_in_a_loop_is_told_too(monkeypatch):
    monkeypatch.setattr(reader_module, "_SILENCE", 0.1)

    async def wait():
        async for _ in ndsh.Reader("a"):
            pass
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning, match="there is no other"):
            asyncio.new_event_loop().run_until_complete(wait())


def test_who_waits_for_a_time_is_not_told(monkeypatch):
    monkeypatch.setattr(reader_module, "_SILENCE", 0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(TimeoutError):
            ndsh.Reader("a", timeout=0.5).read()


def test_without_numpy_it_says_what_to_install(tmp_path):
    (tmp_path / "numpy.py").write_text("raise ImportError('not here')\n")
    environment = dict(os.environ, PYTHONPATH="%s:%s" % (tmp_path, os.path.dirname(
        os.path.dirname(os.path.abspath(ndsh.__file__)))))
    result = subprocess.run([sys.executable, "-c", "import ndsh"], env=environment,
                            stderr=subprocess.PIPE, universal_newlines=True)
    assert "ndsh needs NumPy (not here): install python3-numpy" in result.stderr


# --- python3 -m ndsh ---------------------------------------------------------

def run(*words):
    return subprocess.run([sys.executable, "-m", "ndsh"] + list(words),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=DEADLINE)


def test_list_shows_what_is_live(capsys):
    assert command.main(["list"]) == 0
    said = capsys.readouterr()
    assert said.out == "" and said.err == "no channel has a writer\n"
    with ndsh.Writer("cam", format="BGR", fps=30) as one, ndsh.Writer("numbers") as two:
        one.write(picture())
        two.write(np.zeros((3, 4)))
        assert command.main(["list", "--measure", "0.1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.match(r"cam  0 readers, [\d.]+ MB, 0.0 frames a second, pid \d+: video/x-raw, "
                    r"format=\(string\)BGR, ", lines[0])
    assert re.match(r"numbers  0 readers, .*: float64\[3, 4\]$", lines[1])


def test_save_is_a_png(tmp_path):
    with ndsh.Writer("cam", format="BGR") as writer:
        writer.write(picture())
        path = tmp_path / "x.png"
        assert command.main(["save", "cam", str(path)]) == 0
        assert np.array_equal(decode(path.read_bytes()), picture()[..., ::-1])
        result = run("save", "cam", "-")
        assert result.returncode == 0 and result.stdout == path.read_bytes()


def test_what_cannot_be_saved_is_a_sentence(tmp_path, capsys):
    assert command.main(["save", "cam", "x.png", "--timeout", "0.1"]) == 1
    assert re.match(r"save: .*no frame of channel 'cam' came within 0.100 s",
                    capsys.readouterr().err)
    with ndsh.Writer("numbers") as writer:
        writer.write(np.zeros(3))
        assert command.main(["save", "numbers", str(tmp_path / "x.png")]) == 1
    assert "there is no conversion of" in capsys.readouterr().err
    assert os.listdir(str(tmp_path)) == ["channels"]


def test_watch_tells_of_each_second_and_ends_with_the_writer(program):
    watching = subprocess.Popen([sys.executable, "-m", "ndsh", "watch", "cam"],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                universal_newlines=True)
    with ndsh.Writer("cam", format="BGR", fps=100) as writer:
        while watching.poll() is None and writer.info.published < 220:
            writer.write(picture())
            time.sleep(0.01)
    out, err = watching.communicate(timeout=DEADLINE)
    assert re.match(r"number \d+, \d+ frames a second, 0 missed, at most [\d.]+ ms old: "
                    r"<ndsh.Frame \d+ of 'cam': uint8\[48, 62, 3\] BGR>\n", out)
    assert err == "the writer has ended\n" and watching.returncode == 0


def test_watch_ends_quietly_on_ctrl_c(program):
    with ndsh.Writer("cam") as writer:
        watching = program("""
            from ndsh import __main__
            raise SystemExit(__main__.main(["watch", "cam", "--timeout", "60"]))
            """)
        while not writer.readers:
            assert watching.popen.poll() is None
        watching.kill(signal.SIGINT)
        assert watching.wait() == (130, "", "")


@pytest.mark.parametrize("words", [[], ["paint"], ["save", "cam"]])
def test_a_wrong_command_is_told_the_right_ones(words):
    result = run(*words)
    assert result.returncode == 2 and b"usage: python3 -m ndsh" in result.stderr


def test_every_command_is_in_its_help():
    said = run("--help").stdout.decode()
    for function in (command.show_list, command.watch, command.save):
        assert function.__doc__ in said
    assert importlib.util.find_spec("ndsh.__main__") is not None
