# SPDX-License-Identifier: LGPL-2.1-or-later
"""The drop-in for ndsharray: what its scripts rely on, and none of its defects."""

import gc
import inspect
import io
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest

import ndsh
import ndsharray
import ndsharray.ndsharray as module
from conftest import DEADLINE, THOROUGH, address_of, figure, in_shared_memory, mapped_at
from ndsharray import NdShArray, supported_types


def names(directory):
    return sorted(name for name in os.listdir(str(directory)) if name[0] != ".")


def pair(array=None, name="a", linger=60):
    arguments = (name,) if array is None else (name, array)
    writer = NdShArray(*arguments, r_w="w", linger=linger)
    return writer, NdShArray(name, r_w="r")


def read_new(reader):
    """What comes next; for readers whose writer is another process or has changed."""
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until:
        is_new, array = reader.read()
        if is_new:
            return array
        time.sleep(0.001)
    raise AssertionError("nothing came")


def memory_available():
    with open("/proc/meminfo") as file:
        return next(int(line.split()[1]) << 10 for line in file
                    if line.startswith("MemAvailable"))


# --- The interface -----------------------------------------------------------

def test_the_interface_is_all_there():
    assert ndsharray.__all__ == ["NdShArray", "supported_types"]
    for name in ("__version__", "__author__", "__email__"):
        assert isinstance(getattr(ndsharray, name), str)
    assert ndsharray.__version__.split("+")[0].split(".") >= ["1", "1", "1"]
    assert module.NdShArray is NdShArray and module.supported_types is supported_types
    for name in ("name", "access", "ndarray_mmap_name", "read_time_ms", "is_valid",
                 "write", "read", "__del__"):
        assert hasattr(NdShArray, name)
        assert getattr(NdShArray, name).__doc__ or name == "__del__"


def test_helpers_that_could_be_imported_still_can():
    from ndsharray.ndsharray import (bytes_to_int, bytes_to_str, int_to_bytes,
                                     n_bytes_for_int, str_to_bytes)
    assert n_bytes_for_int == (sys.maxsize.bit_length() + 7) // 8
    assert len(int_to_bytes(5)) == n_bytes_for_int and int_to_bytes(5)[-1] == 5
    for number in (0, 1, 255, 256, sys.maxsize):
        assert bytes_to_int(int_to_bytes(number)) == number
    for number in (0, -1, -sys.maxsize - 1):
        assert bytes_to_int(int_to_bytes(number, signed=True), signed=True) == number
    with pytest.raises(OverflowError):
        int_to_bytes(-1)
    for text in ("", "tag", "K\u00e4se"):
        assert bytes_to_str(str_to_bytes(text)) == text
        assert type(str_to_bytes(text)) is bytearray


def test_c01_supported_types_are_those_documented_in_their_order():
    documented = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
                  "uint64", "float16", "float32", "float64", "float128", "complex64",
                  "complex128", "complex256"]
    # The types, not their names: NumPy 2 calls float128 longdouble.
    assert supported_types == [
        getattr(np, name) for name in documented if hasattr(np, name)] + [bool]
    for index, one in enumerate(supported_types):
        assert supported_types.index(one) == index
        assert np.random.random((2, 2)).astype(one).dtype == one


def test_c02_the_constructor_takes_name_array_and_r_w():
    assert list(inspect.signature(NdShArray).parameters)[:3] == ["name", "array", "r_w"]
    for access in ("w", "W"):
        with NdShArray("a", np.zeros(3), access) as one:
            assert (one.access, one.name) == ("w", "a")
            for reading in ("r", "R"):
                with NdShArray(name="a", r_w=reading) as other:
                    assert other.access == "r"
    for wrong in (None, "", "x", "rw", 1, b"r"):
        with pytest.raises(ValueError, match="r_w"):
            NdShArray("a", r_w=wrong)
    with pytest.raises(ValueError, match="r_w"):
        NdShArray("a")
    with pytest.raises(AttributeError):
        one.name = "b"
    with pytest.raises(TypeError, match="text"):
        NdShArray(3, r_w="w")


def test_c03_a_writer_without_an_array_publishes_an_empty_one_once():
    writer, reader = pair()
    is_new, array = reader.read()
    assert is_new is True and array.shape == (0,) and array.dtype == np.uint8
    assert reader.read()[0] is False
    assert writer.is_valid


def test_c04_a_reader_without_a_writer_raises_or_waits(program, channel_directory):
    with pytest.raises(FileNotFoundError, match="'a'") as caught:
        NdShArray("a", r_w="r")
    assert caught.value.errno == 2
    start = time.monotonic()
    for options in ({"timeout": 0.1}, {"timeout": 0.1, "wait": True}):
        with pytest.raises(TimeoutError, match="0.100 s"):
            NdShArray("a", r_w="r", **options)
    assert time.monotonic() - start > 0.19
    assert names(channel_directory) == []

    for options in ({"timeout": DEADLINE}, {"wait": True}):
        other = program("""
            import numpy as np, ndsharray, sys, time
            time.sleep(0.3)
            shared = ndsharray.NdShArray("a", np.arange(4), r_w="w")
            sys.stdin.read()
            """)
        with NdShArray("a", r_w="r", **options) as reader:
            assert read_new(reader).sum() == 6
        other.succeed()


def test_c05_what_is_not_supported_is_refused_and_nothing_published(channel_directory):
    writer, reader = pair(np.arange(3))
    before, kept = writer.ndarray_mmap_name, reader.read()[1]
    for wrong in ([1, 2], 3, None, "abc", b"abc", np.float64(3)):
        with pytest.raises(TypeError, match="ndarray"):
            writer.write(wrong)
        with pytest.raises(TypeError):
            NdShArray("other", wrong, r_w="w")
    foreign = ">" if sys.byteorder == "little" else "<"
    for dtype in (foreign + "i4", foreign + "f8", "M8[s]", "m8[s]", "S3", "U3", "O",
                  "V4", [("x", "i4")]):
        with pytest.raises(NotImplementedError, match="int8, int16.*complex128.*bool"):
            writer.write(np.zeros(3, dtype))
        with pytest.raises(NotImplementedError):
            NdShArray("other", np.zeros(3, dtype), r_w="w")
    assert writer.ndarray_mmap_name == before
    is_new, array = reader.read()
    assert is_new is False and array is kept
    assert not any("other" in name for name in os.listdir(str(channel_directory)))
    with pytest.warns(RuntimeWarning, match="without its mask"):
        writer.write(np.ma.masked_array([3, 2, 1], [0, 1, 0]))
    array = reader.read()[1]
    assert array.tolist() == [3, 2, 1] and type(array) is np.ndarray
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        writer.write(np.ma.masked_array([1, 2, 3]))
    assert reader.read()[1].tolist() == [1, 2, 3]
    writer.write(np.matrix([[1, 2]]))
    array = reader.read()[1]
    assert array.tolist() == [[1, 2]] and type(array) is np.ndarray


def test_c06_an_array_is_new_once_and_then_the_same():
    writer, reader = pair(np.arange(5))
    first, array = reader.read()
    assert first is True and array.tolist() == [0, 1, 2, 3, 4]
    for _ in range(3):
        again, same = reader.read()
        assert again is False and same is array
    writer.write(np.arange(5))                # equal, and yet new
    assert reader.read()[0] is True
    del writer
    for _ in range(3):
        assert reader.read()[0] is False and reader.read()[1].tolist() == array.tolist()


def test_c06_before_the_first_read_it_is_the_array_that_was_given():
    with ndsh.Writer("a"):                    # which has written nothing
        mine = np.arange(7)
        reader = NdShArray("a", mine, "r")
        is_new, array = reader.read()
        assert is_new is False and array is mine
        reader = NdShArray("a", r_w="r")
        is_new, array = reader.read()
        assert is_new is False and array.shape == (0,) and array.dtype == np.uint8


def test_c07_an_array_is_the_programs_own_and_never_changes():
    writer, reader = pair()
    other = NdShArray(writer.name, r_w="r")
    reader.read()
    kept = []
    for n in range(20):
        writer.write(np.full((30, 50), n, np.int32))
        array = reader.read()[1]
        assert not in_shared_memory(array) and not np.shares_memory(array, kept[-1:])
        assert array.flags.c_contiguous and array.flags.writeable
        assert array.dtype == np.int32 and array.shape == (30, 50)
        kept.append(array)
        array[0] = -1
        is_new, again = reader.read()
        assert is_new is False and again is array
        assert (other.read()[1] == n).all() and (reader.frame.array == n).all()
    reader.close()
    writer.close()
    for n, array in enumerate(kept):
        assert (array[1:] == n).all() and (array[0] == -1).all()


def test_c07_the_frame_has_a_read_only_view_that_never_changes():
    writer, reader = pair()
    reader.read()
    kept = []
    for n in range(7):
        writer.write(np.full((30, 50), n, np.int32))
        reader.read()
        kept.append(reader.frame.array)
    assert sum(in_shared_memory(array) for array in kept) == 2
    assert "r--s" in mapped_at(address_of(kept[0]))
    for n in range(100):
        writer.write(np.full((30, 50), -n, np.int32))
    for n, array in enumerate(kept):
        assert (array == n).all() and not array.flags.writeable
        with pytest.raises(ValueError):
            array.flags.writeable = True


def test_c08_read_time_is_the_age_of_the_array_in_milliseconds():
    writer, reader = pair(np.zeros(3))
    assert reader.read_time_ms == 0.0 and writer.read_time_ms == 0.0
    writer.write(np.zeros(3))
    time.sleep(0.05)
    reader.read()
    first = reader.read_time_ms
    assert isinstance(first, float) and 50 <= first < 1000 * DEADLINE
    reader.read()
    assert reader.read_time_ms == first
    writer.write(np.zeros(3))
    reader.read()
    assert 0 <= reader.read_time_ms != first


def test_c09_the_name_of_the_memory_is_new_with_each_kind_of_array_and_writer():
    def digits(one):
        name, _, rest = one.ndarray_mmap_name.rpartition("_")
        assert name == "my_tag" and len(rest) == 32 and int(rest, 16) >= 0
        return rest

    writer, reader = pair(name="my_tag")
    seen = {digits(writer)}
    assert digits(reader) == digits(writer)   # before it has read
    for array in (np.zeros(6), np.zeros(6, "f4"), np.zeros((6, 1)), np.zeros((2, 3)),
                  np.zeros((3, 2)), np.zeros(7), np.zeros(()), np.zeros(6, "i8"),
                  np.zeros(6, "u8"), np.zeros(0), np.zeros((0, 5))):
        writer.write(array)
        before = digits(reader)
        reader.read()
        assert digits(reader) == digits(writer) != before
        assert digits(writer) not in seen
        seen.add(digits(writer))
        writer.write(array.copy())
        reader.read()
        assert digits(reader) == digits(writer) in seen
    second = NdShArray("my_tag", np.zeros((0, 5)), r_w="w")
    assert digits(second) not in seen
    reader.read()
    assert digits(reader) == digits(second)
    seen.add(digits(second))
    del writer, second
    writer = NdShArray("my_tag", np.zeros((0, 5)), r_w="w")
    assert digits(writer) not in seen
    read_new(reader)
    assert digits(reader) == digits(writer)


def test_c10_dtype_and_shape_change_between_any_two_writes():
    writer, reader = pair(np.zeros(1))
    reader.read()
    generator = np.random.RandomState(5)
    for n in range(300):
        shape = tuple(generator.randint(1, 9, generator.randint(0, 6)))
        dtype = supported_types[n % len(supported_types)]
        array = np.asarray(generator.random_sample(shape) * 100).astype(dtype)
        writer.write(array)
        is_new, got = reader.read()
        assert is_new and got.dtype == array.dtype and got.shape == shape
        assert np.array_equal(got, array) and reader.frame.dropped == 0


MATRIX = [(72, 128), (4,) * 12, (24, 48, 3, 6), (2400, 1800)]


def _echo(name, ready, done):
    reader = NdShArray(name, r_w="r")
    writer = NdShArray(name + "_copy", r_w="w")
    ready.set()
    while not done.is_set():
        is_new, array = reader.read()
        if is_new:
            writer.write(array)
        else:
            reader.wait(0.01)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_c11_the_originals_matrix_is_echoed_by_another_process(method):
    context = multiprocessing.get_context(method)
    ready, done = context.Event(), context.Event()
    writer = NdShArray("matrix", r_w="w")
    process = context.Process(target=_echo, args=("matrix", ready, done))
    process.start()
    try:
        assert ready.wait(DEADLINE)
        reader = NdShArray("matrix_copy", r_w="r")
        assert read_new(reader).shape == (0,)
        # The echo of the first, empty one may still come.
        writer.write(np.array([42], "u2"))
        while read_new(reader).dtype != np.uint16:
            pass
        for shape in MATRIX if method == "fork" else MATRIX[::2]:
            numbers = np.random.random(shape) * 255
            for dtype in supported_types:
                array = numbers.astype(dtype)
                # Three slots on each side, and what this test has.
                if memory_available() < 8 * array.nbytes:
                    figure("no memory for %s of %s" % (dtype.__name__, shape))
                    continue
                writer.write(array)
                got = read_new(reader)
                assert got.dtype == dtype and got.shape == shape
                assert np.array_equal(got, array)
    finally:
        done.set()
        process.join(DEADLINE)
    assert process.exitcode == 0


@pytest.mark.parametrize("shape", [(), (0,), (0, 5), (5, 0, 2), (1,), (1,) * 32,
                                   (2,) * 8 + (1,) * 24])
def test_c12_scalars_empty_arrays_and_32_dimensions(shape):
    writer, reader = pair(np.zeros(3))
    reader.read()
    for dtype in supported_types:
        array = np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)
        writer.write(array)
        is_new, got = reader.read()
        assert is_new and got.shape == shape and got.dtype == dtype
        assert np.array_equal(got, array)


LAYOUTS = {
    "sliced": lambda a: a[::2, 1::3],
    "transposed": lambda a: a.T,
    "Fortran": np.asfortranarray,
    "negative strides": lambda a: a[::-1, ::-2],
    "broadcast": lambda a: np.broadcast_to(a[:1], a.shape),
    "inner": lambda a: a[100:200, 100:200],
}


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_c13_any_layout_arrives_contiguous_with_equal_values(layout):
    array = LAYOUTS[layout](np.random.RandomState(1).random_sample((300, 401)))
    writer, reader = pair(array)
    got = reader.read()[1]
    assert got.flags.c_contiguous and np.array_equal(got, array)


def test_c14_one_object_may_change_its_shape_between_writes():
    array = np.arange(12)
    writer, reader = pair(array)
    assert reader.read()[1].shape == (12,)
    array.shape = (3, 4)
    writer.write(array)
    is_new, got = reader.read()
    assert is_new and got.shape == (3, 4)
    assert reader.ndarray_mmap_name == writer.ndarray_mmap_name
    array.dtype = "u8"
    writer.write(array)
    assert reader.read()[1].dtype == np.uint64
    assert reader.ndarray_mmap_name == writer.ndarray_mmap_name


def test_c15_is_valid_tells_whether_there_is_a_writer(program):
    writer, reader = pair(linger=0)
    assert writer.is_valid is True and reader.is_valid is True
    reader.read()
    writer.close()
    assert writer.is_valid is False and reader.is_valid is False
    assert reader.read()[0] is False and reader.is_valid is False
    writer = NdShArray("a", np.ones(3), r_w="w")
    until = time.monotonic() + DEADLINE
    while not reader.is_valid and time.monotonic() < until:
        time.sleep(0.001)
    assert reader.is_valid and reader.read()[1].tolist() == [1, 1, 1]
    reader.close()
    assert reader.is_valid is False and writer.is_valid is True


def test_c15_a_killed_writer_is_seen(program):
    other = program("""
        import ndsharray, numpy as np, sys
        shared = ndsharray.NdShArray("a", np.arange(1000), r_w="w")
        print("ready", flush=True)
        sys.stdin.read()
        """)
    other.line()
    reader = NdShArray("a", r_w="r")
    array = reader.read()[1]
    assert reader.is_valid
    other.kill(signal.SIGKILL)
    other.popen.wait()
    assert not reader.is_valid
    assert reader.read()[0] is False and (array == np.arange(1000)).all()


def test_c17_the_wrong_direction_is_an_error_and_changes_nothing():
    writer, reader = pair(np.arange(3))
    before = reader.ndarray_mmap_name
    with pytest.raises(io.UnsupportedOperation, match="r_w='w'"):
        writer.wait(0)
    with pytest.raises(io.UnsupportedOperation, match="r_w='r'"):
        reader.write(np.zeros((5, 5)))
    assert reader.ndarray_mmap_name == writer.ndarray_mmap_name == before
    assert reader.read()[1].tolist() == [0, 1, 2]
    writer.write(np.arange(4))
    assert reader.read()[1].tolist() == [0, 1, 2, 3]


def test_what_writes_reads_its_own_array():
    given = np.arange(3)
    writer, reader = pair(given)
    is_new, array = writer.read()
    assert is_new is False and array is given
    given = np.arange(4)
    writer.write(given)
    with pytest.raises(TypeError):
        writer.write([1])
    assert writer.read()[1] is given and reader.read()[0] is True


# --- While others write ------------------------------------------------------

def test_c21_one_write_and_100000_polls_are_one_new_array():
    writer, reader = pair()
    reader.read()
    writer.write(np.ones(1000))
    assert sum(reader.read()[0] for _ in range(100000)) == 1


def test_c21_what_is_read_while_it_is_written_is_not_lost(program):
    """The reader polls throughout; of each burst it gets the last."""
    other = program("""
        import ndsharray, numpy as np, sys
        shared = ndsharray.NdShArray("a", np.zeros((2000, 1000), "i4"), r_w="w")
        print("ready", flush=True)
        for n in range(1, 31):
            sys.stdin.readline()
            for part in range(3):
                shared.write(np.full((2000, 1000), 3 * n + part, "i4"))
        sys.stdin.read()
        """)
    other.line()
    reader = NdShArray("a", r_w="r")
    assert reader.read()[0]
    for n in range(1, 31):
        other.say()
        last = 0
        while last != 3 * n + 2:
            array = read_new(reader)
            assert last < array[0, 0] == array[-1, -1] <= 3 * n + 2
            last = array[0, 0]


def test_c22_wait_sleeps_until_there_is_a_new_array(program):
    writer, reader = pair()
    reader.read()
    assert reader.wait(0) is False and reader.wait(0.05) is False
    threading.Timer(0.3, writer.write, (np.arange(3),)).start()
    used, start = time.process_time(), time.monotonic()
    assert reader.wait(DEADLINE) is True
    assert time.monotonic() - start > 0.2
    assert time.process_time() - used < 0.2
    assert reader.read()[1].sum() == 3
    writer.close()
    assert reader.wait(0.05) is False


def test_c23_each_reader_sees_each_array_at_most_once_and_counts_what_it_missed():
    writer, reader = pair()
    readers = [reader] + [NdShArray("a", r_w="r") for _ in range(11)]
    for one in readers:
        one.read()
    for n in range(1, 31):
        writer.write(np.array([n]))
        for k, one in enumerate(readers):
            if n % (k + 1) == 0:
                is_new, array = one.read()
                assert is_new and array[0] == n and one.frame.dropped == k
                assert one.read()[0] is False


def test_it_has_as_many_readers_as_there_are_descriptors_for(program):
    code = """
        import resource, sys
        import numpy as np
        from ndsharray import NdShArray
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
        shared = NdShArray("a", np.arange(1000), "%s")
        others = [NdShArray("a", np.arange(1000), "%s") for _ in range(99)]
        print("there", flush=True)
        sys.stdin.readline()
        print(sum(one.read()[1][0] for one in [shared] + others))
        """
    writer = program("""
        import sys
        import numpy as np
        import resource
        from ndsharray import NdShArray
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
        shared = NdShArray("a", np.arange(1000), "w")
        print("there", flush=True)
        sys.stdin.readline()
        shared.write(np.full(1000, 7))
        print("done", flush=True)
        sys.stdin.readline()
        """)
    writer.line()
    readers = program(code % ("r", "r"))
    readers.line()
    assert ndsh.channel("a").readers == 100
    writer.say()
    writer.line()
    readers.say()
    assert readers.succeed().strip() == "700"
    writer.say()
    writer.succeed()


def test_c25_threads_share_a_reader_and_a_writer():
    writer, reader = pair()
    stop, seen, failed = threading.Event(), [], []

    def write():
        while not stop.is_set():
            writer.write(np.ones((100, 100)))

    def read():
        try:
            while not stop.is_set():
                is_new, array = reader.read()
                if array.size:
                    seen.append(is_new)
                    assert array.shape == (100, 100) and (array == 1).all()
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=one) for one in (write, write, read, read)]
    for one in threads:
        one.start()
    time.sleep(1)
    stop.set()
    for one in threads:
        one.join()
    assert not failed and any(seen)


# --- Names and their ends ----------------------------------------------------

def test_c30_a_name_ends_with_its_writer_and_nothing_is_left(channel_directory):
    before = set(os.listdir("/dev/shm"))
    writer, reader = pair(np.zeros((500, 500)), linger=0)
    for n in range(1, 20):
        writer.write(np.zeros((n, n)))
        reader.read()
    reader.close()
    assert names(channel_directory) == ["a"]
    with pytest.raises(ValueError, match="'a' is closed"):
        reader.read()
    with pytest.raises(ValueError, match="'a' is closed"):
        reader.wait(0)
    del writer
    assert names(channel_directory) == []
    with pytest.raises(FileNotFoundError):
        NdShArray("a", r_w="r")

    writer = NdShArray("a", r_w="w", linger=0)
    writer.__del__()                          # as some call it
    assert names(channel_directory) == []
    with pytest.raises(ValueError, match="closed"):
        writer.write(np.zeros(3))
    assert set(os.listdir("/dev/shm")) == before


def test_c30_arrays_and_name_at_the_end_of_the_interpreter(program, channel_directory):
    program("""
        import ndsharray, numpy as np
        writer = ndsharray.NdShArray("a", np.zeros(1000), r_w="w", linger=0)
        reader = ndsharray.NdShArray("a", r_w="r")
        arrays = [reader.read()[1]]
        for n in range(20):
            writer.write(np.full(1000, n))
            arrays.append(reader.read()[1])
        """).succeed()
    assert names(channel_directory) == []


def test_c30_readers_follow_a_writer_that_is_started_again(program):
    reader, last = None, None
    for n in range(3):
        other = program("""
            import ndsharray, numpy as np, sys
            shared = ndsharray.NdShArray("a", np.full(1 + {0}, {0}), r_w="w")
            print("ready", flush=True)
            sys.stdin.read()
            """.format(n))
        other.line()
        reader = reader or NdShArray("a", r_w="r")
        assert read_new(reader).tolist() == [n] * (n + 1)
        assert last != reader.ndarray_mmap_name
        last = reader.ndarray_mmap_name
        other.kill(signal.SIGKILL if n else signal.SIGTERM)
        other.popen.wait()
        assert reader.read()[0] is False


def test_c31_memory_is_that_of_the_largest_array_not_of_all():
    writer, reader = pair()
    for n in range(1, 61):
        writer.write(np.zeros((n, 1000, 7)))
        assert reader.read()[1].shape[0] == n
    assert ndsh.channel("a").bytes < 12 * 60 * 7000 * 8


def test_c33_memory_that_is_not_there_is_an_error():
    writer, reader = pair(np.arange(3))
    huge = np.broadcast_to(np.zeros(1), (1 << 40,))
    with pytest.raises(MemoryError, match="available"):
        writer.write(huge)
    assert reader.read()[1].tolist() == [0, 1, 2]
    writer.write(np.arange(4))
    assert reader.read()[1].tolist() == [0, 1, 2, 3]


@pytest.mark.skipif(memory_available() < 2 << 30, reason="not enough memory here")
def test_memory_is_not_bounded_otherwise():
    """The original's own test has arrays of 256 MiB and more."""
    writer, reader = pair()
    big = np.broadcast_to(np.arange(1 << 14, dtype=np.float64), (1 << 11, 1 << 14))
    for n in range(3):
        writer.write(big)
        is_new, array = reader.read()
        assert is_new and array.nbytes == 256 << 20
        assert array[0, 5] == array[-1, 5] == 5 and array[-1, -1] == (1 << 14) - 1


def test_c35_descriptors_are_constant_over_reopenings():
    def once():
        writer, reader = pair(np.zeros(3))
        for n in range(1, 4):
            writer.write(np.zeros((n, n)))
            assert reader.read()[0]
        return reader.read()[1]

    once()
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10000 if THOROUGH else 300):
        once()
    assert len(os.listdir("/proc/self/fd")) == before


def test_c37_a_second_process_is_refused(program):
    other = program("""
        import ndsharray, sys
        shared = ndsharray.NdShArray("a", r_w="w")
        print("ready", flush=True)
        sys.stdin.read()
        """)
    other.line()
    with pytest.raises(FileExistsError, match=str(other.pid)):
        NdShArray("a", r_w="w")
    other.kill()
    other.popen.wait()
    NdShArray("a", r_w="w").close()


def test_c37_a_second_object_of_one_process_takes_over(channel_directory):
    first, reader = pair(np.array([1]), linger=0)
    assert reader.read()[1].tolist() == [1]
    second = NdShArray("a", np.array([2]), r_w="w")
    assert reader.read() == (True, [2])
    second.write(np.array([3]))
    assert reader.read() == (True, [3])
    first.write(np.array([4]))                # as the original's does
    assert reader.read() == (True, [4])
    assert reader.ndarray_mmap_name == first.ndarray_mmap_name
    del first
    assert second.is_valid and reader.is_valid and names(channel_directory) == ["a"]
    second.write(np.array([5]))
    assert reader.read() == (True, [5])

    second = NdShArray("a", np.array([6]), r_w="w")    # the way of notebooks
    assert reader.read() == (True, [6]) and reader.is_valid
    del second
    assert names(channel_directory) == []


def test_c37_threads_make_and_drop_objects_of_one_name_at_once():
    barrier, failed = threading.Barrier(2), []

    def make():
        try:
            for n in range(300):
                barrier.wait(DEADLINE)
                NdShArray("a", np.array([n]), r_w="w", linger=0)
        except Exception as error:
            failed.append(error)
            barrier.abort()

    threads = [threading.Thread(target=make) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert failed == [] and ndsh.channels() == []


def test_c37_another_directory_is_another_channel(tmp_path, monkeypatch):
    first = NdShArray("a", np.array([1]), r_w="w")
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("NDSH_DIR", str(tmp_path / "other"))
    with ndsh.Writer("a"):
        with pytest.raises(FileExistsError):
            NdShArray("a", r_w="w")
    second = NdShArray("a", np.array([2]), r_w="w")
    assert NdShArray("a", r_w="r").read() == (True, [2])
    assert first.is_valid and second.is_valid


ODD = ["", ".", "..", ".hidden", ".a b", ".a_20b", "a/b", "../../etc/x", "/tmp/x",
       "K\u00e4se", "a b", "a%20b", "a\0b", "x" * 65, "x" * 66, "y" * 300, "\u00fc" * 40,
       "\udcff", "\U0001f4f7", "\n", "ndsharray.", "ndsharray.a_20b", "ndsharray._20",
       "ndsharray_" + "0" * 54, "ndsharray.K_c3_a4se", "ndsharray._2e"]
PLAIN = ["a", "a_20b", "_2e", "my_unique_tag123", "My_NdShArray",
         "testing_ndsharray_copy", "-x", "_",
         "a.b", "x" * 64, "ndsharray", "ndsharray-1",
         "NDSHARRAY.x"]


def test_c43_names_that_a_channel_cannot_have_are_encoded(channel_directory, tmp_path):
    channels = {}
    for name in ODD + PLAIN:
        writer, reader = pair(np.frombuffer(
            name.encode("utf-8", "surrogatepass"), np.uint8), name, linger=0)
        channels[name] = writer.channel
        assert writer.name == reader.name == name
        assert (writer.channel == name) == (name in PLAIN)
        assert names(channel_directory) == [writer.channel]
        assert reader.read()[1].tobytes() == name.encode("utf-8", "surrogatepass")
        assert writer.ndarray_mmap_name.startswith(name + "_")
        reader.close()
        writer.close()
    assert len(set(channels.values())) == len(ODD + PLAIN)
    assert sorted(os.listdir(str(tmp_path))) == ["channels"]


def test_perms_let_other_users_read(channel_directory, program):
    if os.geteuid() != 0:
        pytest.skip("only root becomes another user")
    for directory in [channel_directory] + list(channel_directory.parents):
        if "pytest-of" in str(directory):
            directory.chmod(directory.stat().st_mode | 0o55)
    private, public = (NdShArray(name, np.arange(4), "w", perms=perms)
                       for name, perms in (("private", 0o600), ("public", 0o666)))
    assert program("""
        import os, ndsharray
        os.setuid(65534)
        try:
            ndsharray.NdShArray("private", r_w="r")
        except PermissionError as error:
            print("perms" in str(error))
        print(ndsharray.NdShArray("public", r_w="r").read()[1].sum())
        """).succeed().split() == ["True", "6"]
    with pytest.raises(TypeError, match="0o644"):
        NdShArray("other", r_w="w", perms="0644")


def test_c43_what_is_written_is_for_its_user_alone(channel_directory):
    writer = NdShArray("a", r_w="w")
    assert (channel_directory / "a").stat().st_mode & 0o777 == 0o600
    writer.close()


# --- Fork and spawn ----------------------------------------------------------

def _read_in_child(reader, queue):
    queue.put(read_new(reader).tolist())


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_c36_a_reader_goes_along_to_a_child(method):
    context = multiprocessing.get_context(method)
    writer, reader = pair(np.array([1]))
    queue = context.Queue()
    process = context.Process(target=_read_in_child, args=(reader, queue))
    process.start()
    assert queue.get(timeout=DEADLINE) == [1]
    process.join(DEADLINE)
    assert process.exitcode == 0
    assert reader.read() == (True, [1])
    writer.write(np.array([2]))
    assert reader.read() == (True, [2])


def test_c36_what_the_parent_had_read_is_not_new_in_its_child():
    writer, reader = pair(np.full(1000, 7))
    reader.read()
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            is_new, array = reader.read()
            own = reader.is_valid
            os.write(write, ("%s %s %s" % (is_new, (array == 7).all(), own)).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    assert text == "False True True"
    writer.write(np.full(1000, 8))
    assert reader.read()[1][0] == 8


CHILD_WRITES = """
    import os, sys, time
    import numpy as np
    from ndsharray import NdShArray
    writer = NdShArray("a", np.array([1]), "w", perms=0o660)
    print("there", flush=True)
    sys.stdin.readline()
    pids = []
    for n in range(2):
        asks, answers = os.pipe(), os.pipe()
        pids.append((os.fork(), asks[1], answers[0]))
        if pids[-1][0] == 0:
            for value in (2, 3):
                os.read(asks[0], 1)
                try:
                    writer.write(np.array([value + 10 * n]))
                    os.write(answers[1], b"done")
                except FileExistsError as error:
                    os.write(answers[1], str(error).encode())
            os.read(asks[0], 1)
            os._exit(0)

    def child(n):
        os.write(pids[n][1], b"x")
        return os.read(pids[n][2], 4096).decode()

    def own():
        try:
            writer.write(np.array([100]))
            return "done"
        except FileExistsError as error:
            return str(error)
    """


def test_a_forked_child_writes_what_its_parent_has_made(program, channel_directory):
    other = program(CHILD_WRITES + """
    print(own(), child(0), child(0), flush=True)
    sys.stdin.readline()
    print(str(pids[0][0]) in own(), str(pids[0][0]) in child(1), flush=True)
    os.write(pids[0][1], b"x")
    os.waitpid(pids[0][0], 0)
    print(own(), flush=True)
    sys.stdin.readline()
    print(child(1))
    os.write(pids[1][1], b"x")
    os.waitpid(pids[1][0], 0)
    """)
    other.line()
    reader = NdShArray("a", r_w="r")
    assert reader.read() == (True, [1])
    other.say()
    assert other.line() == "done done done"
    assert read_new(reader).tolist() == [100]
    assert read_new(reader).tolist() == [3]
    assert (channel_directory / "a").stat().st_mode & 0o777 == 0o660
    other.say()
    assert other.line() == "True True"
    assert reader.read()[0] is False
    assert other.line() == "done"
    assert read_new(reader).tolist() == [100]
    other.say()
    assert other.succeed().strip().startswith("[Errno 17]")


def _write_in_child(shared, value, was_read):
    shared.write(np.array([value]))
    assert was_read.wait(DEADLINE)


def test_children_write_one_after_the_other(channel_directory):
    """As the original's scripts do, which make an object and hand it to a Process."""
    writer, reader = pair(np.array([0]), linger=0)
    assert read_new(reader).tolist() == [0]
    before = len(os.listdir("/proc/self/fd"))
    context = multiprocessing.get_context("fork")
    for value in range(1, 6):
        was_read = context.Event()
        process = context.Process(target=_write_in_child, args=(writer, value, was_read))
        process.start()
        assert read_new(reader).tolist() == [value]
        was_read.set()
        process.join(DEADLINE)
        assert process.exitcode == 0
        assert names(channel_directory) == []      # it ended in order
        writer.write(np.array([value * 10]))
        assert read_new(reader).tolist() == [value * 10]
    del process
    until = time.monotonic() + DEADLINE
    while len(os.listdir("/proc/self/fd")) > before and time.monotonic() < until:
        time.sleep(0.01)
    assert len(os.listdir("/proc/self/fd")) <= before


def is_stopped(pid, thread):
    with open("/proc/%d/task/%s/stat" % (pid, thread)) as stat:
        return stat.read().rpartition(")")[2].split()[0] == "T"


def test_a_reader_of_a_writer_that_is_stopped_says_so(program):
    other = program("""
        import ndsharray, sys
        shared = ndsharray.NdShArray("a", r_w="w")
        print("there", flush=True)
        sys.stdin.read()
        """)
    other.line()
    reader = NdShArray("a", r_w="r")
    other.kill(signal.SIGSTOP)
    for thread in os.listdir("/proc/%d/task" % other.pid):
        while not is_stopped(other.pid, thread):
            time.sleep(0.001)
    with pytest.raises(TimeoutError, match="is it stopped"):
        NdShArray("a", r_w="r")
    assert reader.read()[0] is True
    other.kill(signal.SIGCONT)
    assert NdShArray("a", r_w="r").read()[0] is True


def test_c36_a_child_does_not_wait_for_a_writer_that_has_gone(monkeypatch):
    writer, reader = pair(np.arange(3), linger=0)
    reader.read()
    writer.close()
    waits = []
    monkeypatch.setattr(module, "_join", lambda *arguments: waits.append(arguments))
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            is_new, array = reader.read()
            os.write(write, ("%s %s %d" % (is_new, array, len(waits))).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        assert answer.read() == "False [0 1 2] 0"
    os.waitpid(pid, 0)


def test_a_writer_cannot_be_pickled():
    writer = NdShArray("a", r_w="w")
    with pytest.raises(TypeError, match="make it in the child"):
        pickle.dumps(writer)


# --- With others -------------------------------------------------------------

def test_it_is_one_channel_for_ndsh_and_ndsharray():
    writer, reader = pair(np.arange(6).reshape(2, 3), "my tag")
    with ndsh.Reader(writer.channel, timeout=DEADLINE) as other:
        assert other.read().array.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert reader.read()[0]
    writer.close()
    with ndsh.Writer(reader.channel, format="BGR", fps=30) as other:
        other.write(np.full((4, 8, 3), 9, np.uint8), pts=123)
        array = read_new(reader)
        assert array.shape == (4, 8, 3) and (array == 9).all()
        assert reader.frame.pts == 123 and reader.frame.format == "BGR"
        other.end()
        assert reader.read()[0] is False


def test_repr_says_what_it_is():
    writer, reader = pair()
    assert repr(writer) == "<ndsharray.NdShArray of 'a', writing>"
    assert repr(reader) == "<ndsharray.NdShArray of 'a', reading>"


# Written anew after what the original's scripts do.
SERVER = """
import time
import numpy as np
from ndsharray import NdShArray
shared_array = NdShArray("My_NdShArray", r_w='w')
index = 0
try:
    while True:
        shape = (720, 1280, 3) if index % 10 < 5 else (1000, 500)
        array = (255 * np.random.random(shape)).astype(np.uint8)
        shared_array.write(array)
        print("%s %i" % (array.shape, np.sum(array)), flush=True)
        time.sleep(0.05)
        index += 1
except KeyboardInterrupt:
    pass
"""
CLIENT = """
import time
import numpy as np
from ndsharray import NdShArray
shared_array = NdShArray("My_NdShArray", r_w='r')
while True:
    valid, array = shared_array.read()
    if valid:
        assert shared_array.read_time_ms >= 0
        print("%s %i" % (array.shape, np.sum(array)), flush=True)
    time.sleep(0)
"""


CONSOLE = """
import code, sys
sys.ps1 = sys.ps2 = ""
code.interact(banner="", exitmsg="")
"""


def test_c16_two_consoles_of_the_original(program):
    """What its manual has one type into two interpreters, and nothing else."""
    first, second = (program(CONSOLE, PYTHONUNBUFFERED="1") for _ in range(2))
    for console in (first, second):
        console.say("import numpy as np")
        console.say("from ndsharray import NdShArray")
    first.say("my_array = np.random.random((4, 2))")
    first.say("shared = NdShArray('my_unique_tag', array=my_array, r_w='w')")
    first.say("print(my_array.tolist())")
    numbers = first.line()
    second.say("shared = NdShArray('my_unique_tag', r_w='r')")
    second.say("status, my_array = shared.read()")
    second.say("print(status, my_array.tolist())")
    assert second.line() == "True " + numbers
    second.say("shared.read()[0]")
    assert second.line() == "False"

    second.say("while not shared.read()[0]: pass\n")
    second.say("status, my_array = shared.read()")
    second.say("status, my_array.dtype, my_array.shape, int(my_array.sum())")
    second.say("shared.ndarray_mmap_name, shared.read_time_ms >= 0, shared.is_valid")
    first.say("shared.write((255 * np.ones((24, 48, 3))).astype(np.uint8))")
    assert second.line() == "(False, dtype('uint8'), (24, 48, 3), %d)" % (
        255 * 24 * 48 * 3)
    first.say("shared.ndarray_mmap_name, True, True")
    assert second.line() == first.line()
    for console in (first, second):
        code, out, err = console.wait()
        assert (code, out) == (0, "") and "Error" not in err, err


# The two that its examples have one run after the other.
CONSOLE_1 = """
import numpy as np
import ndsharray
my_array = np.random.random((4, 2))
shared_array = ndsharray.NdShArray("my_unique_tag123", array=my_array, r_w='w')
my_int_array = (255 * np.random.random((6, 3))).astype(np.uint8)
shared_array.write(my_int_array)
print(shared_array.ndarray_mmap_name)
print(my_int_array.tolist())
"""
CONSOLE_2 = """
import ndsharray
_shared_array = ndsharray.NdShArray("my_unique_tag123", r_w='r')
status, my_array = _shared_array.read()
print("status: %s" % status)
status, my_array_2 = _shared_array.read()
print("status: %s" % status)
print(_shared_array.read_time_ms > 0)
print(_shared_array.ndarray_mmap_name)
print(my_array_2.tolist())
"""


def test_c16_the_last_array_outlives_a_script_of_the_original(program, channel_directory):
    written = program(CONSOLE_1).succeed()
    for _ in range(2):
        assert program(CONSOLE_2).succeed() == (
            "status: True\nstatus: False\nTrue\n" + written)
    again = program(CONSOLE_1).succeed()
    assert again != written
    assert program(CONSOLE_2).succeed().endswith(again)
    assert names(channel_directory) == ["my_unique_tag123"]


def test_what_is_kept_is_not_new_to_who_had_it():
    writer, reader = pair(np.arange(3))
    assert reader.read()[0]
    writer.close()
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        is_new, array = reader.read()
        assert not is_new and array.tolist() == [0, 1, 2]
    assert reader.is_valid and not writer.is_valid
    late = NdShArray("a", r_w="r")
    assert late.read()[1].tolist() == [0, 1, 2] and late.read()[0] is False

    writer = NdShArray("a", np.arange(4), r_w="w")
    for one in reader, late:
        assert read_new(one).tolist() == [0, 1, 2, 3]


def test_linger_is_how_long_an_array_stays(channel_directory):
    NdShArray("a", r_w="w", linger=0).close()
    assert names(channel_directory) == []
    NdShArray("a", r_w="w", linger=0.3).close()
    assert names(channel_directory) == ["a"]
    reader = NdShArray("a", r_w="r")
    assert reader.read()[0]
    until = time.monotonic() + DEADLINE
    while reader.is_valid and time.monotonic() < until:
        time.sleep(0.01)
    until = time.monotonic() + DEADLINE
    while names(channel_directory) and time.monotonic() < until:
        time.sleep(0.01)
    assert names(channel_directory) == []
    with pytest.raises(FileNotFoundError):
        NdShArray("a", r_w="r")


def test_c16_scripts_of_the_original_run_as_they_are(program):
    server = program(SERVER)
    written = [server.line() for _ in range(2)]
    client = program(CLIENT)
    seen = [client.line() for _ in range(25)]
    server.kill(signal.SIGINT)
    written += server.succeed().splitlines()
    # The last one it may have written and not told.
    assert set(seen[:-1]) <= set(written) and len(set(seen)) == 25
    assert {line.split(") ")[0] for line in seen} == {"(720, 1280, 3", "(1000, 500"}
    assert client.popen.poll() is None
    client.kill()
