# SPDX-License-Identifier: LGPL-2.1-or-later
"""An option that cannot be is refused with a sentence that says what to write."""

import os

import numpy as np
import pytest

import ndsh


@pytest.mark.parametrize("options, kind, said", [
    ({"perms": "0644"}, TypeError, "perms is '0644', a text: write 0o644"),
    ({"perms": "0o660"}, TypeError, "perms is '0o660', a text: write 0o660"),
    ({"perms": "rw"}, TypeError, "perms is 'rw', a text: write 0o600"),
    ({"perms": 644}, ValueError, "perms is 644, in decimal: write 0o644"),
    ({"perms": 0}, ValueError, "perms is 0o0, and 0o1 to 0o777 is possible"),
    ({"perms": 0o1777}, ValueError, "perms is 0o1777, and 0o1 to 0o777 is possible"),
    ({"perms": 0.5}, TypeError, "perms is 0.5, and must be a whole number"),
    ({"history": "3"}, TypeError, "history is '3', and must be a whole number: write 3"),
    ({"history": 33}, ValueError, "history is 33, and 1 to 32 is possible"),
    ({"max_bytes": 256e6}, TypeError, "must be a whole number: write 256000000"),
    ({"max_bytes": 0}, ValueError, "max_bytes is 0, and 1 to"),
    ({"max_readers": None}, TypeError, "max_readers is None"),
    ({"lossless_timeout": "1"}, TypeError, "lossless_timeout is '1'; it is seconds"),
    ({"lossless_timeout": float("nan")}, ValueError, "lossless_timeout is nan"),
    ({"lossless_timeout": None}, ValueError, "lossless_timeout is None; it is seconds"),
    ({"format": "bgr"}, ValueError, "there is no format 'bgr'; write 'BGR'"),
    ({"format": "RGB24"}, ValueError, "there is no format 'RGB24'; there are .*RGB"),
])
def test_of_a_writer(channel_directory, options, kind, said):
    with pytest.raises(kind, match=said):
        ndsh.Writer("a", **options)
    assert os.listdir(str(channel_directory)) == []


@pytest.mark.parametrize("options, kind, said", [
    ({"leases": "8"}, TypeError, "leases is '8', and must be a whole number: write 8"),
    ({"leases": 65}, ValueError, "leases is 65, and 1 to 64 is possible"),
    ({"queue": 4.0}, TypeError, "queue is 4.0, and must be a whole number: write 4"),
    ({"queue": 0}, ValueError, "queue is 0, and 1 to 32 is possible"),
    ({"max_fps": "10"}, TypeError, "max_fps is '10'; it is a number of more than 0"),
    ({"max_fps": 0}, ValueError, "max_fps is 0; it is a number of more than 0"),
    ({"timeout": "5"}, TypeError, "timeout is '5'; it is seconds, a number, or None"),
    ({"mode": "newest"}, ValueError, 'mode is "latest", "queue" or "lossless"'),
])
def test_of_a_reader(options, kind, said):
    with pytest.raises(kind, match=said):
        ndsh.Reader("a", **options)


def test_numbers_of_numpy_will_do():
    with ndsh.Writer("a", history=np.int64(2), perms=np.uint16(0o600)) as writer, \
            ndsh.Reader("a", leases=np.int32(4), timeout=np.float32(30),
                        max_fps=np.float64(1000)) as reader:
        reader.wait(0)
        writer.write(np.zeros(3))
        assert reader.read(timeout=np.float64(30)).array.shape == (3,)
        with pytest.raises(TypeError, match="timeout is 'soon'"):
            reader.read(timeout="soon")


def test_a_relative_directory_is_refused(monkeypatch, channel_directory):
    monkeypatch.chdir(str(channel_directory))
    monkeypatch.setenv("NDSH_DIR", "here")
    for function in (ndsh.Writer, ndsh.Reader, ndsh.channel):
        with pytest.raises(ValueError, match="NDSH_DIR is 'here', and must begin with '/'"):
            function("a")
    with pytest.raises(ValueError, match="set it to '%s/here'" % channel_directory):
        ndsh.channels()
    assert os.listdir(".") == []
    with ndsh.Writer(str(channel_directory / "path")):
        assert os.listdir(".") != []


@pytest.mark.parametrize("dtype", ["float32", "int16", "bool", "complex64", "uint32"])
def test_numbers_that_are_no_pixels_are_no_picture(dtype):
    with ndsh.Writer("a") as writer, ndsh.Reader("a", timeout=30) as reader:
        reader.wait(0)
        for shape in ((3, 5), (3, 5, 3), (3, 5, 4)):
            writer.write(np.ones(shape, dtype))
            frame = reader.read()
            for convert in (frame.bgr, frame.rgb, frame.gray):
                for copy in (True, None):
                    with pytest.raises(ValueError, match="no conversion of what came without "
                                                         "caps, %s.*frame.array" % dtype):
                        convert(copy=copy)
