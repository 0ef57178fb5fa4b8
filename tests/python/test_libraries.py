# SPDX-License-Identifier: LGPL-2.1-or-later
"""The cookbook's table of what other libraries make of a frame, row by row, with those
that are installed."""

import importlib
import os
import re

import numpy as np
import pytest

import ndsh
from conftest import in_shared_memory

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODULES = {"Python": "builtins", "NumPy": "numpy", "OpenCV": "cv2", "PyTorch": "torch",
           "Pillow": "PIL.Image"}


def rows():
    with open(os.path.join(ROOT, "doc", "cookbook.md")) as file:
        return re.findall(r"^\| (\w+)(?: (before )?([\d.]+))? \| `(.*?)` \| (\w+) \| (\w*) ?\|$",
                          file.read(), re.M)


def numbers_of(version):
    return tuple(int(part) for part in version.split(".")[:2])


def namespace_for(library, before, version):
    """What a call is evaluated in; skips what is not installed."""
    module = pytest.importorskip(MODULES[library])
    if version:
        here = re.match(r"[\d.]*\d", module.__version__).group()
        if (numbers_of(here) < numbers_of(version)) != bool(before):
            pytest.skip("this is %s %s" % (library, here))
    name = MODULES[library].partition(".")[0]
    return {"np": np, name: importlib.import_module(name)}


def memory_of(result):
    """An array in the same memory."""
    if hasattr(result, "data_ptr"):
        return result.numpy()
    return np.frombuffer(result, np.uint8) if isinstance(result, bytes) \
        else np.asarray(result)


def write(result):
    if hasattr(result, "putpixel"):
        result.putpixel((0, 0), (1, 2, 3))
    elif isinstance(result, memoryview):
        result[0, 0, 0] = 1
    else:
        result[0, 0] = 1


@pytest.fixture
def frames():
    """Of one picture, by two readers."""
    picture = np.random.RandomState(1).randint(2, 256, (48, 64, 3)).astype(np.uint8)
    with ndsh.Writer("a", format="BGR") as writer, ndsh.Reader("a", timeout=30) as one, \
            ndsh.Reader("a", timeout=30) as other:
        one.wait(0), other.wait(0)
        writer.write(picture)
        yield one.read(), other.read()


def test_the_table_is_there():
    assert len(rows()) == 16


@pytest.mark.parametrize("library, before, version, call, kind, writing", rows())
def test_a_row(frames, library, before, version, call, kind, writing):
    frame, other = frames
    if call.startswith("np.from_dlpack") and not hasattr(np, "from_dlpack"):
        pytest.skip("NumPy before 1.22")
    names = namespace_for(library, before, version)
    names["frame"] = frame
    before = other.array.copy()
    if "cv2.line(frame.array" in call:            # it writes itself
        if writing == "raises":
            with pytest.raises(Exception):
                eval(call, names)
        return
    result = eval(call, names)

    assert in_shared_memory(memory_of(result)) == (kind == "view")
    if writing == "raises":
        with pytest.raises((ValueError, TypeError)):
            write(result)
    elif writing == "works":
        write(result)
    assert np.array_equal(other.array, before) and np.array_equal(frame.array, before)


@pytest.mark.parametrize("writing", ["torch.from_numpy(frame.array)[0, 0] = 1",
                                     "torch.as_tensor(frame.array)[0, 0] = 1",
                                     "cv2.line(frame.array, (0, 0), (9, 9), 9)"])
def test_what_crashes_does_not_where_frames_are_paintable(program, writing):
    """That it crashes is not to be proven, but that the other way is one."""
    pytest.importorskip(writing.partition(".")[0])
    said = program("""
        import os, signal, sys
        import numpy as np, ndsh
        writer = ndsh.Writer("a", format="BGR")
        reader = ndsh.Reader("a", timeout=30, paintable=True)
        reader.wait(0)
        writer.write(np.ones((48, 64, 3), np.uint8) * 7)
        frame = reader.read()
        import %s
        %s
        print(frame.array.min() < 7 or frame.array.max() > 7)
        """ % (writing.partition(".")[0], writing)).succeed()
    assert said == "True\n"


def test_dlpack_of_a_paintable_frame_is_a_view():
    if not hasattr(np, "from_dlpack"):
        pytest.skip("this NumPy has no DLPack")
    with ndsh.Writer("a") as writer, \
            ndsh.Reader("a", timeout=30, paintable=True) as reader:
        reader.wait(0)
        writer.write(np.arange(12.0))
        frame = reader.read()
        assert np.shares_memory(np.from_dlpack(frame), frame.array)
        own = type("Consumer", (), {
            "__dlpack__": lambda self, **_: frame.__dlpack__(copy=True),
            "__dlpack_device__": lambda self: (1, 0)})()
        assert not np.shares_memory(np.from_dlpack(own), frame.array)


def test_a_frame_that_is_handed_over_with_dlpack_may_not_be_copied_where_that_is_asked():
    with ndsh.Writer("a") as writer, ndsh.Reader("a", timeout=30) as reader:
        reader.wait(0)
        writer.write(np.arange(12.0))
        with pytest.raises(BufferError, match="frame.copy"):
            reader.read().__dlpack__(copy=False)


def test_torch_takes_no_frame_by_itself(frames):
    torch = pytest.importorskip("torch")
    if not torch.__version__.startswith("1."):
        pytest.skip("this PyTorch may")
    with pytest.raises(RuntimeError, match="Could not infer dtype"):
        torch.as_tensor(frames[0])
