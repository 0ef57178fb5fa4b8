# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a reader gets is what was written, in place, read-only, for as long as anything
shows it."""

import copy
import gc
import os
import pickle
import random
import resource
import signal
import threading
import time
import tracemalloc

import numpy as np
import pytest

import ndsh
from conftest import address_of, figure, in_shared_memory, mapped_at

DTYPES = [name for name in ndsh.dtypes if name not in ("float128", "complex256")]
DTYPES += [name for name in ("float128", "complex256") if hasattr(np, name)]
NUMPY = tuple(int(part) for part in np.__version__.split(".")[:2])


@pytest.fixture
def writer():
    with ndsh.Writer("a") as one:
        yield one


@pytest.fixture
def reader(writer):
    with ndsh.Reader("a", timeout=30) as one:
        one.wait(0)
        yield one


def send(writer, reader, array, **more):
    writer.write(array, **more)
    return reader.read()


def numbers(dtype, shape, seed=1):
    """Every byte from the generator but in bools; no NaN, which equals nothing."""
    generator = np.random.RandomState(seed)
    return np.asarray(generator.standard_normal(shape) * 100).astype(dtype)


# --- Values ------------------------------------------------------------------

@pytest.mark.parametrize("shape", [(72, 128), (4,) * 8, (24, 48, 3, 6), (240, 180)])
def test_c11_every_dtype_arrives_with_its_values(writer, reader, shape):
    for dtype in DTYPES:
        array = numbers(dtype, shape)

        got = send(writer, reader, array).array

        assert got.dtype == array.dtype and got.shape == shape
        assert np.array_equal(got, array)
        del got


@pytest.mark.parametrize("shape", [(), (0,), (0, 5), (5, 0), (1,), (1, 1, 1), (1,) * 32,
                                   (2,) * 10 + (1,) * 22, (0,) * 32])
def test_c12_scalars_empty_arrays_and_32_dimensions_are_arrays(writer, reader, shape):
    for dtype in ("bool", "uint8", "float32", "complex128"):
        array = np.ones(shape, dtype)

        got = send(writer, reader, array).array

        assert got.shape == shape and got.dtype == array.dtype
        assert np.array_equal(got, array)


LAYOUTS = [
    ("as it is", lambda a: a),
    ("sliced", lambda a: a[3:40:3, 5::2]),
    ("transposed", lambda a: a.T),
    ("Fortran", np.asfortranarray),
    ("backwards", lambda a: a[::-1, ::-1]),
    ("backwards by three", lambda a: a[::-3, 1::2]),
    ("broadcast", lambda a: np.broadcast_to(a[0], (30,) + a[0].shape)),
    ("one element broadcast", lambda a: np.broadcast_to(a[2, 2], (200, 300))),
    ("axes swapped", lambda a: a[:, :, None].swapaxes(0, 2)),
    ("read-only", lambda a: pickle.loads(pickle.dumps(a))),
]


@pytest.mark.parametrize("name, change", LAYOUTS, ids=[name for name, _ in LAYOUTS])
def test_c13_any_layout_arrives_as_equal_values(writer, reader, name, change):
    for dtype in ("uint8", "float64", "complex64", "bool"):
        array = change(numbers(dtype, (48, 50)))

        got = send(writer, reader, array).array

        assert np.array_equal(got, array)
        assert got.flags.c_contiguous


def test_c13_the_other_byte_order_arrives_as_equal_values(writer, reader):
    for dtype in (">i4", ">f8", ">u2", ">c16", "<i8"):
        array = numbers(dtype, (7, 9))

        got = send(writer, reader, array).array

        assert np.array_equal(got, array) and got.dtype.isnative


@pytest.mark.parametrize("name, change", LAYOUTS, ids=[name for name, _ in LAYOUTS])
def test_c13_a_write_takes_no_memory_beside_the_slot(writer, name, change):
    """NumPy tells tracemalloc of what it allocates: a temporary copy would be seen."""
    array = change(np.arange(512 * 512, dtype=np.uint32).reshape(512, 512))
    writer.write(array)

    peak = peak_of(lambda: writer.write(array))

    figure("%s, %d bytes: %d allocated meanwhile" % (name, array.nbytes, peak))
    assert peak < array.nbytes // 4


def peak_of(function):
    """Bytes that Python and NumPy allocate at most while it runs."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        function()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def test_reading_allocates_nothing_for_the_payload(writer, reader):
    picture = numbers("uint8", (1080, 1920, 3))
    send(writer, reader, picture).array
    writer.write(picture)

    peak = peak_of(lambda: reader.read().array)

    figure("a frame of 6 MB read: %d bytes allocated" % peak)
    assert peak < 20000


def test_c14_one_object_reshaped_in_place_is_told_apart(writer, reader):
    array = np.arange(12, dtype=np.int16)
    for shape in ((12,), (3, 4), (2, 3, 2), (12,)):
        array.shape = shape

        got = send(writer, reader, array).array

        assert got.shape == shape and np.array_equal(got, array)


def test_c10_shape_and_dtype_may_change_at_any_write(writer):
    seed = random.randrange(10 ** 6)
    print("seed", seed)
    generator = random.Random(seed)
    with ndsh.Reader("a", mode="queue", queue=4, timeout=30) as reader:
        reader.wait(0)
        for number in range(300):
            shape = tuple(generator.randrange(0, 30)
                          for _ in range(generator.randrange(0, 4)))
            array = numbers(generator.choice(DTYPES), shape, seed=number)

            frame = send(writer, reader, array)

            assert frame.sequence == number + 1 and frame.dropped == 0
            assert frame.array.dtype == array.dtype
            assert np.array_equal(frame.array, array)


def test_a_frame_may_be_several_arrays(writer, reader):
    arrays = [numbers("float32", (3, 4)), numbers("uint8", (7,)), numbers("bool", ()),
              numbers("complex128", (2, 0))]

    frame = send(writer, reader, arrays)

    assert len(frame.arrays) == len(frame.planes) == 4
    for got, array in zip(frame.arrays, arrays):
        assert got.dtype == array.dtype and np.array_equal(got, array)
        assert address_of(got) % 64 == 0 or got.size == 0
    with pytest.raises(ValueError, match="4 arrays"):
        frame.array


def test_what_offers_an_array_can_be_written(writer, reader):
    assert bytes(send(writer, reader, b"abc").array) == b"abc"
    assert bytes(send(writer, reader, bytearray(b"abcd")).array) == b"abcd"
    assert send(writer, reader, np.float32(2.5)).array[()] == 2.5
    first = send(writer, reader, np.arange(5))
    assert np.array_equal(send(writer, reader, first).array, np.arange(5))


def test_c05_what_cannot_be_shared_is_refused_and_nothing_published(writer, reader):
    for wrong in ([1, 2], "text", None, 3, np.zeros(3, "M8[s]"), np.zeros(3, "S4"),
                  np.zeros(3, "U4"), np.zeros(3, object), np.zeros(3, "i4,f4"), [],
                  [np.zeros(2), 3], np.ma.masked_array([1, 2], [0, 1])):
        with pytest.raises(TypeError):
            writer.write(wrong)

    assert writer.info.published == 0
    with pytest.raises(TypeError, match="float32"):
        writer.write(np.zeros(3, "M8[s]"))


# --- In place ----------------------------------------------------------------

def test_c44_an_array_lies_in_shared_memory_that_is_mapped_read_only(writer, reader):
    array = send(writer, reader, numbers("uint8", (480, 640, 3))).array

    line = mapped_at(address_of(array))

    assert "memfd:ndsh" in line and line.split()[1].startswith("r--s"), line
    assert address_of(array) % 4096 == 0


def test_c07_an_array_is_stable_against_later_writes(writer, reader):
    kept = send(writer, reader, np.full(100000, 1, np.uint8)).array
    for number in range(2, 40):
        writer.write(np.full(100000, number, np.uint8))

    assert (kept == 1).all()


def test_taking_an_array_touches_none_of_it(writer, reader):
    """A frame of 25 MB has 6000 pages."""
    frame = send(writer, reader, numbers("uint8", (2160, 3840, 3)))
    frame.array

    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(100):
        array = frame.array
        array[10:20].reshape(-1)[::7]
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    figure("100 arrays of 25 MB taken: %d page faults" % faults)
    assert faults < 500


@pytest.mark.skipif(not os.path.exists("/proc/self/smaps_rollup"),
                    reason="this kernel does not tell how much memory is private")
def test_reading_takes_no_private_memory(program):
    """A copy of each of these 4 frames would be 100 MB."""
    def private_bytes():
        with open("/proc/self/smaps_rollup") as rollup:
            return sum(int(line.split()[1]) * 1024 for line in rollup
                       if line.startswith("Private_"))

    other = program("""
        import ndsh, numpy as np, sys
        writer = ndsh.Writer("x", max_bytes=1 << 30)
        print("ready", flush=True)
        for line in sys.stdin:
            writer.write(np.full((2160, 3840, 3), int(line), np.uint8))
        """)
    other.line()
    with ndsh.Reader("x", timeout=30) as reader:
        reader.wait(0)
        frames = []
        for number in range(5):
            other.say(str(number))
            frames.append(reader.read())
            total = int(frames[-1].array.max())
            assert total == number
            if number == 0:
                before = private_bytes()
        grown = private_bytes() - before

    figure("4 frames of 25 MB held: %.2f MB more of private memory" % (grown / 1e6))
    assert grown < 8e6
    assert all(in_shared_memory(frame.array) for frame in frames)


def test_an_array_costs_the_same_at_64_bytes_and_at_4k():
    """Told as a figure, and held only to a limit that a busy machine keeps; bench_hop.py
    compares. One that touched the payload would take a thousand times as long."""
    frames, times = [], ([], [])
    with ndsh.Writer("b") as writer:
        for shape in ((64,), (2160, 3840, 3)):
            with ndsh.Reader("b", timeout=30) as reader:
                reader.wait(0)
                frames.append(send(writer, reader, np.zeros(shape, np.uint8)))
        for _ in range(5000):
            for frame, taken in zip(frames, times):
                start = time.perf_counter()
                frame.array
                taken.append(time.perf_counter() - start)
    small, large = (sorted(taken)[len(taken) // 2] for taken in times)

    figure("frame.array: %.2f us at 64 B, %.2f us at 25 MB, ratio %.2f" % (
        small * 1e6, large * 1e6, large / small))
    assert large < 5 * small


# --- Read-only ---------------------------------------------------------------

def test_an_array_cannot_be_made_writeable_again(writer, reader):
    frame = send(writer, reader, numbers("uint16", (20, 30)))
    for array in (frame.array, frame.arrays[0], frame.planes[0], np.asarray(frame),
                  frame.array[3:5], frame.array.reshape(-1), frame.array.T,
                  frame.array.view(np.uint8), frame.array[..., None],
                  np.array(frame, copy=False) if NUMPY < (2, 0) else np.asarray(frame)):
        assert not array.flags.writeable
        with pytest.raises(ValueError):
            array.flags.writeable = True
        with pytest.raises(ValueError):
            array.setflags(write=1)
        with pytest.raises(ValueError):
            array[...] = 1
        base = array
        while isinstance(base, np.ndarray):
            with pytest.raises(ValueError):
                base.setflags(write=True)
            base = base.base
        assert base is not None


def test_a_private_copy_cannot_be_made_writeable_either(writer):
    with ndsh.Reader("a", leases=1, timeout=30) as reader:
        reader.wait(0)
        frame = send(writer, reader, numbers("uint8", (20, 30)))
        assert frame.copied
        with pytest.raises(ValueError):
            frame.array.setflags(write=1)


def test_a_memoryview_is_read_only_and_pins(writer, reader):
    view = memoryview(send(writer, reader, numbers("uint8", (20, 30))).array)
    expected = bytes(view)
    gc.collect()
    for number in range(30):
        writer.write(np.full((20, 30), number, np.uint8))

    assert view.readonly and view.shape == (20, 30)
    assert bytes(view) == expected


def test_a_frame_offers_the_array_interface(writer, reader):
    array = numbers("float32", (5, 6))
    frame = send(writer, reader, array)

    got = np.asarray(frame)

    assert address_of(got) == address_of(frame.array)
    assert got.__array_interface__["data"][1]
    del frame
    assert np.array_equal(got, array)


def test_an_array_can_be_pickled_and_copied(writer, reader):
    array = numbers("float32", (5, 6))
    got = send(writer, reader, array).array

    own = got.copy()
    own += 1

    assert np.array_equal(pickle.loads(pickle.dumps(got)), array)
    assert np.array_equal(copy.copy(got), array)
    assert np.array_equal(copy.deepcopy(got), array)
    assert np.array_equal(got, array)


@pytest.mark.skipif(not hasattr(np, "from_dlpack"), reason="this NumPy has no DLPack")
def test_dlpack_hands_over_a_view_where_it_can_say_read_only(writer, reader):
    array = numbers("float32", (5, 6))
    frame = send(writer, reader, array)

    tensor = np.from_dlpack(frame)

    in_place = in_shared_memory(tensor)
    figure("NumPy %s: DLPack without a copy: %s" % (np.__version__, in_place))
    assert in_place == (NUMPY >= (2, 1))
    if in_place:
        assert not tensor.flags.writeable
        assert address_of(tensor) == address_of(frame.array)
    del frame
    gc.collect()
    for number in range(30):
        writer.write(array + number)
    assert np.array_equal(tensor, array)


@pytest.mark.skipif(not hasattr(np, "from_dlpack"), reason="this NumPy has no DLPack")
def test_dlpack_knows_no_device_but_the_cpu(writer, reader):
    frame = send(writer, reader, np.arange(5))

    for version in (None, (1, 0)):
        with pytest.raises(BufferError):
            frame.__dlpack__(max_version=version, dl_device=(2, 0))
        assert frame.__dlpack__(max_version=version, dl_device=(1, 0)) is not None


# --- Lifetimes ---------------------------------------------------------------

def leases(reader):
    return reader.info.n_leases


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, pickle.dumps])
def test_what_holds_memory_has_one_owner(writer, reader, way):
    """A second one would give it back a second time."""
    frame, draft = send(writer, reader, np.arange(1000)), writer.draft(3)
    for one, words in ((frame, "channel 'a'.*frame.array"),
                       (draft, "channel 'a'.*array"), (writer, "channel 'a'"),
                       (frame._owner, "FrameHandle"), (draft._handle, "DraftHandle"),
                       (reader._life._handle, "ReaderHandle"),
                       (writer._life._handle, "WriterHandle")):
        with pytest.raises(TypeError, match=words):
            way(one)
    gc.collect()

    assert leases(reader) == 1
    for n in range(20):
        writer.write(np.full(1000, n))
    assert np.array_equal(frame.array, np.arange(1000))


def test_the_base_of_an_array_may_be_copied_and_keeps_the_lease(writer, reader):
    base = copy.copy(send(writer, reader, np.arange(1000)).array.base)
    gc.collect()
    assert leases(reader) == 1
    assert np.array_equal(np.asarray(base), np.arange(1000))

    with pytest.raises(TypeError):
        copy.deepcopy(base)
    with pytest.raises(TypeError):
        pickle.dumps(base)
    del base
    gc.collect()
    assert leases(reader) == 0


@pytest.mark.parametrize("what", [
    lambda f: f, lambda f: f.array, lambda f: f.array[2:], lambda f: f.array.reshape(-1),
    lambda f: f.array[::2, 1].T, lambda f: memoryview(f.array), lambda f: f.planes[0],
    np.asarray, lambda f: f.array.view("u1"), lambda f: iter([f.array]),
    lambda f: f.bgr(copy=False), lambda f: f.rgb(copy=False)])
def test_a_lease_lasts_as_long_as_any_view(writer, reader, what):
    kept = what(send(writer, reader, numbers("uint8", (20, 30, 3))))
    gc.collect()
    assert leases(reader) == 1

    del kept
    gc.collect()

    assert leases(reader) == 0


def test_frames_that_nobody_keeps_give_their_leases_back(writer, reader):
    for number in range(100):
        assert send(writer, reader, np.full(1000, number % 256, np.uint8)).array[7] \
            == number % 256

    assert leases(reader) == 0 and reader.copied == 0
    assert writer.info.slots < 12


def test_c32_arrays_outlive_the_reader_and_the_writer(program):
    other = program("""
        import ndsh, numpy as np, sys
        writer = ndsh.Writer("x")
        print("ready", flush=True)
        for line in sys.stdin:
            writer.write(np.full((100, 100), int(line), np.int32))
        """)
    other.line()
    reader = ndsh.Reader("x", mode="queue", timeout=30)
    reader.wait(0)
    kept = []
    for number in range(5):
        other.say(str(number))
        kept.append(reader.read().array)

    reader.close()
    other.kill(signal.SIGKILL)
    other.popen.wait()

    for number, array in enumerate(kept):
        assert (array == number).all() and in_shared_memory(array)


def test_beyond_the_budget_frames_are_copied_and_counted(writer):
    with ndsh.Reader("a", leases=4, timeout=30) as reader:
        reader.wait(0)
        frames = [send(writer, reader, np.full(5000, number, np.int32))
                  for number in range(20)]

        assert [frame.copied for frame in frames] == [False] * 3 + [True] * 17
        assert reader.copied == 17 and leases(reader) == 3
        assert [in_shared_memory(f.array) for f in frames] == [True] * 3 + [False] * 17
        for number, frame in enumerate(frames):
            assert (frame.array == number).all()

        del frames[1]
        assert not send(writer, reader, np.zeros(5000)).copied


def test_what_is_copied_because_others_hold_all_is_told_too():
    """Where the writer's memory is scarce the library copies, and leases are left."""
    array = np.zeros(100000, np.uint8)
    with ndsh.Writer("a", max_bytes=8 * 110000) as writer, \
            ndsh.Reader("a", timeout=30) as greedy, ndsh.Reader("a", timeout=30) as other:
        greedy.wait(0), other.wait(0)
        kept = [send(writer, greedy, array) for _ in range(7)]
        assert any(frame.copied for frame in kept)
        told = [frame.copied for frame in kept]
        assert [in_shared_memory(frame.array) for frame in kept] == [not one for one in told]
        assert greedy.copied == greedy.info.copied == sum(told) > 0
        kept.append(send(writer, other, array))
        assert kept[-1].copied != in_shared_memory(kept[-1].array)
        assert other.copied == other.info.copied == kept[-1].copied

        del kept
        gc.collect()
        assert not send(writer, greedy, array).copied


def test_1000_arrays_are_held_while_the_reader_closes_and_the_writer_dies(program):
    other = program("""
        import ndsh, numpy as np, sys
        writer = ndsh.Writer("x", lossless_timeout=60)
        while not writer.readers:
            pass
        for number in range(1000):
            writer.write(np.full((50, 60), number, np.int32))
        print("done", flush=True)
        sys.stdin.read()
        """)
    reader = ndsh.Reader("x", mode="lossless", timeout=30)
    arrays = [next(reader).array for _ in range(1000)]
    other.line()
    copied = reader.copied

    reader.close()
    other.kill(signal.SIGKILL)
    other.popen.wait()
    gc.collect()

    assert copied == 993
    for number, array in enumerate(arrays):
        assert (array == number).all()
    seed = random.randrange(10 ** 6)
    print("seed", seed)
    random.Random(seed).shuffle(arrays)
    while arrays:
        arrays.pop()


def test_frames_are_used_and_released_in_any_thread(writer, reader):
    failures = []

    def work(frames):
        for number, array in frames:
            if not (array == number).all():
                failures.append(number)

    threads = []
    for number in range(60):
        array = send(writer, reader, np.full(3000, number, np.int64)).array
        threads.append(threading.Thread(target=work, args=([(number, array)],)))
        del array
        threads[-1].start()
    for thread in threads:
        thread.join()
    del threads, thread
    gc.collect()

    assert not failures and leases(reader) == 0


def test_frames_in_cycles_are_collected(writer, reader):
    for _ in range(20):
        frame = send(writer, reader, np.zeros(10))
        cycle = [frame.array]
        cycle.append(cycle)
    del frame, cycle
    gc.collect()

    assert leases(reader) == 0


# --- Drafts ------------------------------------------------------------------

def test_a_draft_is_made_in_shared_memory_and_published_at_its_end(writer, reader):
    with writer.draft((30, 40), "float32") as array:
        assert in_shared_memory(array) and array.flags.writeable
        array[:] = 5
        assert writer.info.published == 0

    frame = reader.read()
    assert (frame.array == 5).all() and frame.array.dtype == np.float32
    with pytest.raises(ValueError):
        array[:] = 6
    with pytest.raises(ValueError):
        array.flags.writeable = True
    assert (frame.array == 5).all()


def test_a_draft_whose_block_raises_is_forgotten(writer, reader):
    with pytest.raises(KeyError):
        with writer.draft((3,)) as array:
            array[:] = 1
            raise KeyError("x")

    assert writer.info.published == 0
    assert send(writer, reader, np.zeros(2)).sequence == 1


def test_a_draft_may_be_several_arrays_and_say_more(writer, reader):
    draft = writer.draft([(3, 4), (5,)], "int16", offset=7)
    with draft as (first, second):
        first[:], second[:] = 1, 2
        draft.pts, draft.metadata = 123, b"xyz"

    frame = reader.read()
    assert [a.shape for a in frame.arrays] == [(3, 4), (5,)]
    assert frame.pts == 123 and frame.info.metadata == b"xyz" and frame.info.offset == 7
    assert draft.number == frame.sequence
    with pytest.raises(ValueError):
        draft.publish()


def test_shapes_of_drafts_may_be_lists_and_numbers(writer, reader):
    for shape, result in ((5, (5,)), ([2, 3], (2, 3)), ((), ()), (np.int64(4), (4,)),
                          ([np.int64(4), np.int64(5)], (4, 5)), ([], ()), ((0, 2), (0, 2)),
                          (np.array([2, 3]), (2, 3)), (range(1, 3), (1, 2))):
        with writer.draft(shape, "u1") as array:
            assert array.shape == result
            array[...] = 1
        assert reader.read().array.shape == result


def test_shapes_that_cannot_be_are_refused(writer):
    for shape in (4.0, (4.0, 5), np.float64(4), [(3, 4), (2.5,)], "34", None, (3, None),
                  [5, (3, 4)]):
        with pytest.raises(TypeError):
            writer.draft(shape)
    for shape, words in (((1,) * 33, "33 dimensions, and 32"), (1 << 70, str(1 << 70)),
                         (-1, "length of -1"), ((3, -1), "length of -1"),
                         ([(3,), (-2,)], "length of -2"), ((1 << 62, 1 << 62), "."),
                         ((1 << 31,) * 3, "."), ([(1,)] * 17, "17|16")):
        with pytest.raises(ValueError, match=words):
            writer.draft(shape)
    assert writer.write(np.zeros(3)) == 1


def test_a_draft_is_for_one_block(writer, reader):
    draft = writer.draft(3, "u1")
    with draft as array:
        array[:] = 1
    with pytest.raises(ValueError, match="published, or was given up"):
        with draft:
            pass
    draft = writer.draft(3, "u1")
    with pytest.raises(KeyError):
        with draft:
            raise KeyError
    for use in (draft.__enter__, draft.publish):
        with pytest.raises(ValueError, match="published, or was given up"):
            use()

    assert writer.info.published == 1 and reader.read().sequence == 1


def test_metadata_is_bytes(writer, reader):
    for wrong in (5, "text", None, [1, 2]):
        with pytest.raises(TypeError):
            writer.write(np.zeros(3), metadata=wrong)
        with pytest.raises(TypeError):
            with writer.draft(3, metadata=wrong):
                pass
    assert writer.info.published == 0
    for right in (b"ab", bytearray(b"ab"), memoryview(b"ab"), np.frombuffer(b"ab", "u1")):
        frame = send(writer, reader, np.zeros(3), metadata=right)
        assert frame.info.metadata == b"ab"
    assert frame.sequence == 4


def test_a_draft_that_outlives_its_writer_keeps_its_memory():
    writer = ndsh.Writer("b")
    draft = writer.draft((1000,), "u1")
    with pytest.raises(ValueError, match="closed"):
        with draft as array:
            writer.close()
            array[:] = 3
    assert (array == 3).all()


def test_an_array_of_a_draft_that_is_kept_stays_as_it_was_published(writer, reader):
    with writer.draft((1000,), "u1") as kept:
        kept[:] = 9
    for number in range(20):
        writer.write(np.full(1000, number, "u1"))

    assert (kept == 9).all()


def test_many_are_kept_as_copies_and_the_next_are_views(writer, reader):
    """As the cookbook has it."""
    kept = []
    for number in range(100):
        frame = send(writer, reader, np.full(5000, number))
        kept.append(frame.copy())
        assert not frame.copied
    assert reader.copied == 0 and writer.info.slots < 12
    assert all((array == number).all() for number, array in enumerate(kept))
