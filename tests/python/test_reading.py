# SPDX-License-Identifier: LGPL-2.1-or-later
"""How a reader waits, what it is told, and which frames it gets."""

import asyncio
import gc
import os
import pickle
import select
import signal
import threading
import time

import numpy as np
import pytest

import ndsh
from conftest import DEADLINE, figure
from ndsh import _lib, reader as reader_module


def joined(name="a", **options):
    """A reader that its writer knows of."""
    reader = ndsh.Reader(name, timeout=30, **options)
    while not reader.connected:
        reader.wait(0)
    return reader


def number(value):
    return np.array([value], np.int64)


# --- Which frames ------------------------------------------------------------

def test_latest_is_the_newest_and_counts_what_it_skipped():
    with ndsh.Writer("a") as writer, joined() as reader:
        for n in range(1, 6):
            writer.write(number(n))
        first = reader.read()
        writer.write(number(6))
        second = reader.read()

        assert (first.array[0], first.sequence, first.dropped) == (5, 5, 0)
        assert (second.array[0], second.sequence, second.dropped) == (6, 6, 0)
        for n in range(7, 10):
            writer.write(number(n))
        assert reader.read().dropped == 2
        assert reader.info.missed == 6


def test_c23_queue_is_in_order_and_counts_what_it_lost():
    with ndsh.Writer("a") as writer, joined(mode="queue", queue=4) as reader:
        for n in range(1, 11):
            writer.write(number(n))

        frames = [reader.read() for _ in range(4)]

        assert [f.array[0] for f in frames] == [7, 8, 9, 10]
        writer.write(number(11))
        assert reader.read().dropped == 0


def test_lossless_is_every_frame():
    with ndsh.Writer("a", lossless_timeout=60) as writer:
        with joined(mode="lossless") as reader:
            assert reader.info.mode == "lossless"

            def write():
                for n in range(1, 501):
                    writer.write(number(n))
                writer.end()

            thread = threading.Thread(target=write)
            thread.start()
            assert [f.array[0] for f in reader] == list(range(1, 501))
            thread.join()


def test_c23_readers_are_independent():
    with ndsh.Writer("a", max_readers=8) as writer:
        readers = [joined(mode="queue", queue=8) for _ in range(8)]
        for n in range(1, 9):
            writer.write(number(n))
        slow = [readers[0].read() for _ in range(2)]

        for reader in readers[1:]:
            assert [reader.read().sequence for _ in range(8)] == list(range(1, 9))
        assert [f.sequence for f in slow] == [1, 2]
        assert len(writer.readers) == 8 and writer.readers[1].delivered == 8


def test_c21_one_write_and_100000_polls_are_exactly_one_frame():
    with ndsh.Writer("a") as writer, joined() as reader:
        writer.write(np.ones(1000))
        n = 0
        for _ in range(100000):
            try:
                n += len(reader.read(0).array) == 1000
            except TimeoutError:
                pass

        assert n == 1


# --- Waiting -----------------------------------------------------------------

def test_c22_wait_sleeps_until_a_frame_comes(program):
    other = program("""
        import ndsh, numpy as np, sys
        writer = ndsh.Writer("x")
        print("ready", flush=True)
        for line in sys.stdin:
            writer.write(np.zeros(3))
        """)
    other.line()
    with joined("x") as reader:
        assert reader.wait(0) is False and reader.wait(0.02) is False
        threading.Timer(0.3, other.say).start()
        used = time.process_time()
        start = time.monotonic()

        assert reader.wait(30) is True

        waited, used = time.monotonic() - start, time.process_time() - used
        figure("waited %.2f s with %.4f s of processor time" % (waited, used))
        assert waited > 0.2 and used < waited / 2
        assert reader.wait(0) is True and reader.read(0).array.shape == (3,)


def test_c22_an_idle_reader_takes_next_to_no_processor_time():
    with ndsh.Writer("a"), joined() as reader:
        used = time.process_time()
        assert not reader.wait(2)
        used = time.process_time() - used
        figure("idle for 2 s: %.2f ms of processor time" % (used * 1e3))
        assert used < 0.4


def test_c22_a_wake_up_is_soon():
    """Told as a figure: a busy machine wakes whom it likes. But one that looked now and
    then, instead of being woken, would be late half of the time."""
    with ndsh.Writer("a", lossless_timeout=60) as writer:
        reader = joined(mode="lossless")

        def write():
            for n in range(100):
                writer.write(number(n))
                time.sleep(0.01)
            writer.end()

        thread = threading.Thread(target=write)
        thread.start()
        ages = sorted(frame.age for frame in reader)
        thread.join()
    figure("a frame is %.2f ms old when it is read, the oldest of a hundred %.2f ms" % (
        ages[50] * 1e3, ages[-1] * 1e3))
    assert len(ages) == 100 and ages[50] < 0.08


def test_time_outs_say_so():
    with ndsh.Writer("a"), joined() as reader:
        with pytest.raises(TimeoutError, match="'a' came within 0.050 s"):
            reader.read(0.05)
        with pytest.raises(TimeoutError):
            reader.read(timeout=0)
    with ndsh.Reader("a", timeout=0.05) as reader:
        with pytest.raises(TimeoutError, match="nobody writes"):
            reader.read()
        with pytest.raises(TimeoutError):
            next(reader)
        with pytest.raises(TimeoutError):
            for _ in reader:
                pass
        assert reader.wait() is False


def test_a_time_out_tells_what_the_writer_did():
    def told():
        with pytest.raises(TimeoutError) as caught:
            reader.read(0.02)
        return str(caught.value)

    with ndsh.Writer("a") as writer, joined() as reader:
        assert "'a' is there, and has published nothing so far" in told()
        writer.write(number(1))
        assert reader.read().array[0] == 1
        assert "'a' is there, and has published nothing new" in told()
        with pytest.raises(TimeoutError, match="^.Errno 110. the writer of .* nothing new"):
            reader.read(0)


# --- A writer that waits for its reader --------------------------------------

QUEUE = """
    import ndsh
    reader = ndsh.Reader("a", mode="queue", queue=32)
    print("there", flush=True)
    print(*(int(frame.array[0]) for frame in reader))
    """


@pytest.mark.parametrize("comes", ["before", "after"])
def test_a_burst_reaches_a_reader_that_is_waited_for_whole(program, comes):
    if comes == "before":
        reader = program(QUEUE)
        assert reader.line() == "there"
    with ndsh.Writer("a", wait_for_reader=DEADLINE) as writer:
        if comes == "after":
            reader = program(QUEUE)
        for n in range(10):
            writer.write(number(n))
    assert reader.succeed().split()[-10:] == [str(n) for n in range(10)]


def test_a_burst_reaches_a_reader_that_is_stopped_whole(program):
    reader = program(QUEUE)
    with ndsh.Writer("a", max_bytes=100 << 20) as writer:
        assert writer.wait_for_reader(DEADLINE)
        reader.kill(signal.SIGSTOP)
        for n in range(32):
            writer.write(np.full(200000, n))
        reader.kill(signal.SIGCONT)
        while any(one.lag for one in writer.readers):
            time.sleep(0.01)
        assert [one.missed for one in writer.readers] == [0]
    assert reader.succeed().split()[1:] == [str(n) for n in range(32)]


def test_without_a_reader_a_writer_goes_on():
    with ndsh.Writer("a", wait_for_reader=0.1) as writer:
        begin = time.monotonic()
        assert writer.write(number(1)) == 1
        assert time.monotonic() - begin >= 0.1
        begin = time.monotonic()
        for n in range(50):
            writer.write(number(n))
        assert time.monotonic() - begin < 5 * 0.9
        assert writer.wait_for_reader(0) is False
        with joined():
            assert writer.wait_for_reader() is True
    with pytest.raises(ValueError, match="closed"):
        writer.wait_for_reader(1)
    for wrong in ("1", True, []):
        with pytest.raises((TypeError, ValueError), match="wait_for_reader is"):
            ndsh.Writer("a", wait_for_reader=wrong)


def test_closing_ends_a_wait_for_a_reader():
    writer = ndsh.Writer("a", wait_for_reader=float("inf"))
    failed = []

    def write():
        with pytest.raises(ValueError, match="closed") as caught:
            writer.write(number(1))
        failed.append(caught)

    thread = threading.Thread(target=write)
    thread.start()
    time.sleep(0.05)
    writer.close()
    thread.join(DEADLINE)
    assert failed


def test_ctrl_c_ends_a_wait_for_a_reader(program):
    waiting = program("""
        import ndsh, numpy as np
        writer = ndsh.Writer("a", wait_for_reader=1e9)
        print("waiting", flush=True)
        writer.write(np.zeros(3))
        """)
    assert waiting.line() == "waiting"
    time.sleep(0.1)
    begin = time.monotonic()
    waiting.kill(signal.SIGINT)
    assert "KeyboardInterrupt" in waiting.wait()[2]
    assert time.monotonic() - begin < DEADLINE / 2


def test_c04_a_reader_may_come_before_its_writer(program):
    with ndsh.Reader("later", timeout=30) as reader:
        with pytest.raises(FileNotFoundError, match="later"):
            reader.read(0)
        program("""
            import ndsh, numpy as np, sys
            writer = ndsh.Writer("later")
            writer.write(np.arange(5))
            sys.stdin.read()
            """)
        assert reader.read().array.sum() == 10


def test_fileno_polls_readable_when_there_is_a_frame():
    with ndsh.Writer("a") as writer, joined() as reader:
        assert not reader.wait(0)
        assert select.select([reader], [], [], 0)[0] == []

        writer.write(number(1))

        assert select.select([reader], [], [], 30)[0] == [reader]
        assert reader.read(0).sequence == 1


@pytest.mark.parametrize("waiting", [
    "reader.read()", "next(reader)", "reader.wait()", "reader.read(timeout=3600)",
    "select.select([reader], [], [])", "[frame for frame in reader]"])
def test_ctrl_c_ends_a_wait_at_once(program, waiting):
    other = program("""
        import ndsh, select, sys, time
        with ndsh.Writer("x"), ndsh.Reader("x") as reader:
            while not reader.connected:
                reader.wait(0)
            print("waiting", flush=True)
            try:
                %s
            except KeyboardInterrupt:
                print("interrupted", flush=True)
        """ % waiting)
    other.line()
    time.sleep(0.1)
    start = time.monotonic()
    other.kill(signal.SIGINT)

    assert other.line() == "interrupted"
    figure("Ctrl-C in %s: %.0f ms" % (waiting, (time.monotonic() - start) * 1e3))
    other.succeed()


def test_ctrl_c_without_a_writer_ends_a_wait_at_once(program):
    other = program("""
        import ndsh
        print("waiting", flush=True)
        try:
            ndsh.Reader("nobody").read()
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        """)
    other.line()
    time.sleep(0.1)
    other.kill(signal.SIGINT)
    assert other.line() == "interrupted"
    other.succeed()


def test_other_threads_run_while_one_waits():
    with ndsh.Writer("a"), joined() as reader:
        ticks = []
        stop = threading.Event()

        def tick():
            while not stop.is_set():
                ticks.append(1)
                time.sleep(0.001)

        thread = threading.Thread(target=tick)
        thread.start()
        reader.wait(0.3)
        stop.set()
        thread.join()
        assert len(ticks) > 10


def test_max_fps_takes_no_more_than_that():
    stop = threading.Event()
    with ndsh.Writer("a") as writer, joined(max_fps=20) as reader:
        def write():
            n = 0
            while not stop.wait(0.002):
                n += 1
                writer.write(number(n))

        thread = threading.Thread(target=write)
        thread.start()
        reader.read()
        start = time.monotonic()
        frames = [reader.read() for _ in range(10)]
        took = time.monotonic() - start
        stop.set()
        thread.join()

    # The first may have been late, and the next is then due the sooner.
    assert took >= 8 / 20.0
    assert sum(frame.dropped for frame in frames) > 0
    assert frames[-1].age < took + 30


def test_max_fps_keeps_time_outs():
    with ndsh.Writer("a") as writer, joined(max_fps=0.1) as reader:
        writer.write(number(1))
        reader.read()
        writer.write(number(2))
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            reader.read(0.1)
        assert reader.wait(0) is False
        assert time.monotonic() - start < 9


class Clock:
    """Stands for module time: a sleep is over at once, and a little late."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds + 0.003


def test_max_fps_counts_from_the_schedule_not_from_who_was_late(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(reader_module, "time", clock)
    with ndsh.Writer("a") as writer, joined(max_fps=10) as reader:
        times = []
        for n in range(101):
            writer.write(number(n))
            reader.read()
            times.append(clock.now)
        assert abs(times[-1] - times[0] - 10) < 0.004
        assert min(b - a for a, b in zip(times, times[1:])) > 0.09

        # Who comes much later makes up for one frame, not for all that it missed.
        clock.now += 100
        start, late = clock.now, []
        for n in range(4):
            writer.write(number(n))
            reader.read()
            late.append(round(clock.now - start, 2))
        assert late == [0, 0, 0.1, 0.2]


@pytest.mark.parametrize("wait", ["read", "wait", "__next__"])
def test_closing_in_another_thread_ends_a_pause_of_max_fps(monkeypatch, wait):
    pauses, caught, sleep = threading.Event(), [], time.sleep

    def tell_and_sleep(seconds):
        pauses.set()
        sleep(seconds)

    def wait_and_catch():
        try:
            getattr(reader, wait)()
        except ValueError as error:
            caught.append(str(error))

    monkeypatch.setattr(time, "sleep", tell_and_sleep)
    with ndsh.Writer("a") as writer:
        reader = ndsh.Reader("a", max_fps=0.001)
        assert not reader.wait(0)
        writer.write(number(1))
        reader.read()
        thread = threading.Thread(target=wait_and_catch, daemon=True)
        thread.start()
        assert pauses.wait(DEADLINE)

        reader.close()

        thread.join(DEADLINE)
        assert len(caught) == 1 and "closed" in caught[0]


# --- Ends --------------------------------------------------------------------

def test_a_writer_says_what_its_times_are():
    with ndsh.Writer("a") as writer, joined(mode="queue") as reader:
        writer.write(number(1))
        writer.set_timing(None, origin_ns=7, latency_ns=8)
        writer.write(number(2))
        assert ndsh.channel("a").timing == (None, 7, 8)
        assert reader.read(timeout=10).info.timing == ("monotonic", 0, 0)
        assert reader.read(timeout=10).info.timing == (None, 7, 8)
        with pytest.raises(ValueError, match="clock is 'camera'"):
            writer.set_timing("camera")


def test_a_loop_ends_when_the_writer_says_so_and_begins_anew():
    with ndsh.Writer("a") as writer, joined(mode="queue") as reader:
        writer.write(number(1))
        writer.write(number(2))
        writer.end()
        assert [f.array[0] for f in reader] == [1, 2]
        writer.write(number(3))
        assert next(reader).array[0] == 3
        writer.end()
        with pytest.raises(EOFError, match="'a'"):
            reader.read()


def test_a_block_of_a_writer_that_ends_well_ends_the_loop():
    with ndsh.Writer("a") as writer:
        reader = joined(mode="queue")
        writer.write(number(1))
    assert [f.array[0] for f in reader] == [1]


def test_a_block_of_a_writer_that_raises_does_not_end_the_stream():
    """A camera service that fails is to be waited for."""
    with pytest.raises(KeyError):
        with ndsh.Writer("a"):
            reader = joined()
            raise KeyError
    with pytest.raises(BrokenPipeError):
        reader.read()


def test_c32_a_loop_goes_on_with_the_next_writer():
    first = ndsh.Writer("a")
    reader = joined(mode="queue")
    first.write(number(1))
    frames = [next(reader)]
    first.close()
    second = ndsh.Writer("a")
    second.write(number(2))
    frames.append(next(reader))

    assert [f.array[0] for f in frames] == [1, 2]
    assert [f.sequence for f in frames] == [1, 1]
    assert frames[1].dropped == 0
    assert frames[0].info.stream_id == first.stream_id
    assert frames[1].info.stream_id == second.stream_id
    second.close()


def test_read_tells_once_that_the_writer_has_gone():
    writer = ndsh.Writer("a")
    reader = joined()
    writer.close()
    with pytest.raises(BrokenPipeError, match="'a' has gone") as caught:
        reader.read()
    assert caught.value.errno == 32
    with pytest.raises(TimeoutError):
        reader.read(0.02)
    with pytest.raises(FileNotFoundError):
        reader.read(0)


def test_a_loop_that_does_not_follow_ends_with_its_writer():
    writer = ndsh.Writer("a")
    reader = joined(follow=False)
    writer.write(number(1))
    frames = [next(reader)]
    writer.close()
    frames.extend(reader)
    assert len(frames) == 1


def test_a_closed_reader_says_so():
    reader = ndsh.Reader("a")
    reader.close()
    reader.close()
    for use in (reader.read, reader.wait, reader.fileno, lambda: next(reader),
                lambda: reader.info, lambda: reader.connected):
        with pytest.raises(ValueError, match="reader of channel 'a' is closed"):
            use()
    assert reader.closed and "closed" in repr(reader)


def test_closing_in_another_thread_ends_a_wait():
    with ndsh.Writer("a"):
        reader = joined()
        caught = []

        def wait():
            try:
                reader.read(None)
            except ValueError as error:
                caught.append(str(error))

        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.1)
        reader.close()
        thread.join(30)
        assert len(caught) == 1 and "closed" in caught[0]


def test_options_that_cannot_be_are_refused():
    for options in ({"mode": "best"}, {"queue": 0}, {"queue": 33}, {"leases": 0},
                    {"leases": 65}, {"max_fps": 0}, {"max_fps": -1}, {"mode": 0}):
        with pytest.raises(ValueError):
            ndsh.Reader("a", **options)


def test_c43_names_are_checked_before_anything_is_made(channel_directory):
    for name in ("", ".", "..", "a/b", "../x", "x" * 65, "\u00e4", ".a", "a b"):
        with pytest.raises(ValueError):
            ndsh.Reader(name)
        with pytest.raises(ValueError):
            ndsh.Writer(name)
        with pytest.raises(ValueError):
            ndsh.channel(name)
    with pytest.raises(ValueError, match="NUL"):
        ndsh.Reader("a\0b")
    with pytest.raises(TypeError):
        ndsh.Reader(3)
    assert os.listdir(str(channel_directory)) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_c43_who_is_not_the_user_is_denied(channel_directory, program):
    for directory in [channel_directory] + list(channel_directory.parents):
        if "pytest-of" in str(directory):
            directory.chmod(directory.stat().st_mode | 0o55)
    code = """
        import os, ndsh
        os.setuid(65534)
        for name in ("private", "public"):
            try:
                with ndsh.Reader(name, timeout=10) as reader:
                    print(reader.read().array[0], flush=True)
            except PermissionError as error:
                print(error.errno, flush=True)
        """
    with ndsh.Writer("private") as one, ndsh.Writer("public", perms=0o666) as two:
        one.write(number(5))
        two.write(number(6))
        assert program(code).succeed().split() == ["13", "6"]


def is_stopped(pid):
    with open("/proc/%d/stat" % pid) as stat:
        return stat.read().rpartition(")")[2].split()[0] == "T"


def test_c24_a_writer_does_not_wait_for_a_stopped_reader(program):
    # Who waits does so for an hour, or until the deadline has killed whom it waits for.
    with ndsh.Writer("a", max_bytes=1 << 20, lossless_timeout=3600) as writer, \
            joined() as awake:
        other = program("""
            import ndsh, sys
            reader = ndsh.Reader("a", mode="queue", queue=4)
            held = [reader.read() for _ in range(2)]
            print("stop me", flush=True)
            sys.stdin.readline()
            newest = reader.read()
            print([int(frame.array[0]) for frame in held + [newest]], newest.dropped)
            """)
        while len(writer.readers) < 2:
            time.sleep(0.001)
        for n in 1, 2:
            writer.write(number(n))
        other.line()
        other.kill(signal.SIGSTOP)
        os.waitid(os.P_PID, other.pid, os.WSTOPPED)

        with other.within_deadline():
            for n in range(3, 2001):
                assert writer.write(np.full(1000, n)) == n
                assert awake.read().array[0] == n
            # Nor where there is no slot left and it has two; what it queued is taken.
            with pytest.raises(BlockingIOError, match="no slot free"):
                [writer.draft((8000,)) for _ in range(1000)]

        assert is_stopped(other.pid)
        assert len(writer.readers) == 2
        other.kill(signal.SIGCONT)
        other.say()
        assert other.succeed() == "[1, 2, 2000] 1997\n"


# --- Threads -----------------------------------------------------------------

def test_c25_threads_share_a_reader_and_each_frame_goes_to_one():
    with ndsh.Writer("a", lossless_timeout=60) as writer:
        reader = joined(mode="lossless", leases=16)
        taken, lock = [], threading.Lock()

        def read():
            while True:
                try:
                    frame = reader.read()
                except (EOFError, ValueError):
                    reader.close()       # one is told of the end, for all
                    return
                with lock:
                    taken.append(int(frame.array[0]))

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for n in range(2000):
            writer.write(number(n))
        writer.end()
        for thread in threads:
            thread.join(60)
        assert sorted(taken) == list(range(2000))


def test_c25_threads_share_a_writer():
    with ndsh.Writer("a", lossless_timeout=60) as writer:
        reader = joined(mode="lossless")

        def write(first):
            for n in range(first, first + 200):
                writer.write(np.full((n % 7, 3), n))

        threads = [threading.Thread(target=write, args=(1000 * n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        frames = 0
        for frame in reader:
            array = frame.array
            assert array.size == 0 or (array == array[0, 0]).all()
            assert array.size == 0 or array.shape[0] == array[0, 0] % 7
            frames += 1
            if frames == 800:
                break
        for thread in threads:
            thread.join()


# --- asyncio -----------------------------------------------------------------

def run(coroutine):
    """asyncio.run () is younger than Python 3.6."""
    loop = asyncio.new_event_loop()
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(coroutine)
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def test_async_for_yields_frames_while_other_tasks_run():
    async def main():
        ticks = []

        async def tick():
            while True:
                ticks.append(1)
                await asyncio.sleep(0.001)

        async def write():
            for n in range(1, 21):
                writer.write(number(n))
                await asyncio.sleep(0.005)
            writer.end()

        tasks = [asyncio.ensure_future(tick()), asyncio.ensure_future(write())]
        got = []
        async for frame in reader:
            got.append(int(frame.array[0]))
        for task in tasks:
            task.cancel()
        return got, len(ticks)

    with ndsh.Writer("a") as writer, joined(mode="queue", queue=32) as reader:
        got, ticks = run(main())
    assert got == list(range(1, 21)) and ticks > 20


def test_async_for_waits_for_a_writer_that_comes_later():
    async def write_later():
        await asyncio.sleep(0.1)
        with ndsh.Writer("later") as writer:
            while not writer.readers:
                await asyncio.sleep(0.01)
            writer.write(number(4))
            await asyncio.sleep(0.1)

    async def main():
        task = asyncio.ensure_future(write_later())
        async for frame in ndsh.Reader("later", timeout=30):
            value = frame.array[0]
        await task
        return value

    assert run(main()) == 4


def test_async_for_times_out_and_can_be_cancelled():
    async def time_out():
        async for _ in reader:
            pass

    async def cancel():
        task = asyncio.ensure_future(reader.__anext__())
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        writer.write(number(3))
        return await reader.__anext__()

    with ndsh.Writer("a") as writer:
        with ndsh.Reader("a", timeout=0.05) as reader:
            with pytest.raises(TimeoutError, match="0.050"):
                run(time_out())
        with joined() as reader:
            assert run(cancel()).array[0] == 3


async def take_one():
    async for frame in ndsh.Reader("a"):
        return frame


async def take_all():
    async for frame in ndsh.Reader("a"):
        del frame


async def take_all_slowly():
    async for frame in ndsh.Reader("a", max_fps=0.001):
        del frame


def no_readers(writer):
    """Within a deadline, for another thread sees the end of a connection."""
    until = time.monotonic() + DEADLINE / 10
    while writer.readers and time.monotonic() < until:
        time.sleep(0.001)
    return not writer.readers and ndsh.channel("a").readers == 0


def test_leaving_async_for_ends_the_connection_of_a_reader_without_a_name():
    gc.collect()
    gc.disable()
    try:
        with ndsh.Writer("a") as writer:
            writer.write(number(1))
            kept = [run(take_one()) for _ in range(3)]
            assert no_readers(writer)
            assert [frame.array[0] for frame in kept] == [1] * 3
    finally:
        gc.enable()


@pytest.mark.parametrize("take", [take_all, take_all_slowly])
def test_cancelling_async_for_ends_the_connection_of_a_reader_without_a_name(take):
    async def main():
        task = asyncio.ensure_future(take())
        while not any(reader.delivered for reader in writer.readers):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])
        return task, no_readers(writer)

    gc.collect()
    gc.disable()
    try:
        with ndsh.Writer("a") as writer:
            writer.write(number(1))
            task, ended = run(main())
            assert task.cancelled() and ended
    finally:
        gc.enable()


def test_a_closed_reader_whose_frame_is_kept_counts_no_more():
    with ndsh.Writer("a", max_readers=2) as writer:
        writer.write(number(5))
        kept = []
        for _ in range(20):
            with ndsh.Reader("a", timeout=DEADLINE) as reader:
                kept.append(reader.read())
        assert no_readers(writer)
        assert all(frame.array[0] == 5 for frame in kept)


def test_only_one_task_waits_for_a_reader():
    async def main():
        first = asyncio.ensure_future(reader.__anext__())
        await asyncio.sleep(0.02)
        with pytest.raises(RuntimeError, match="another task"):
            await reader.__anext__()
        writer.write(number(3))
        return await first

    with ndsh.Writer("a") as writer, joined() as reader:
        assert run(main()).array[0] == 3


@pytest.mark.parametrize("in_thread", [False, True])
def test_closing_ends_what_a_task_waits_for(in_thread):
    async def main():
        task = asyncio.ensure_future(reader.__anext__())
        await asyncio.sleep(0.02)
        if in_thread:
            threading.Thread(target=reader.close).start()
        else:
            reader.close()
        with pytest.raises(ValueError, match="closed"):
            await asyncio.wait_for(task, 15)      # sooner than the reader's time-out

    with ndsh.Writer("a"):
        reader = joined()
        run(main())


def test_a_loop_forgets_a_descriptor_before_another_thread_closes_it():
    """Its number may be that of another file afterwards."""
    async def main():
        loop = asyncio.get_event_loop()
        remove_reader = loop.remove_reader

        def look_and_remove(fd):
            were_open.append(os.readlink("/proc/self/fd/%d" % fd) == target)
            return remove_reader(fd)

        loop.remove_reader = look_and_remove
        fd = reader.fileno()
        target = os.readlink("/proc/self/fd/%d" % fd)
        task = asyncio.ensure_future(reader.__anext__())
        while reader._waiting is None:
            await asyncio.sleep(0)
        thread = threading.Thread(target=reader.close)
        thread.start()
        thread.join()             # while the loop cannot do anything
        assert reader.closed and os.readlink("/proc/self/fd/%d" % fd) == target
        with pytest.raises(ValueError, match="closed"):
            await asyncio.wait_for(task, DEADLINE)
        with pytest.raises(OSError):
            os.fstat(fd)

    were_open = []
    with ndsh.Writer("a"):
        reader = joined()
        run(main())
    assert were_open == [True]


def test_closing_just_before_a_task_begins_to_wait():
    async def main():
        with pytest.raises(ValueError, match="closed"):
            await asyncio.wait_for(reader.__anext__(), DEADLINE)

    with ndsh.Writer("a"):
        reader = joined()
        take = reader._take

        def take_and_be_closed():
            result = take()
            reader.close()
            return result

        reader._take = take_and_be_closed
        run(main())


def test_a_loop_may_be_closed_while_a_task_waits(program):
    """The reader goes on in the next loop; and nothing is said when the task goes, but
    what asyncio says of every task."""
    other = program("""
        import asyncio, gc, ndsh, numpy as np, sys

        def leave():
            loop = asyncio.new_event_loop()
            task = loop.create_task(reader.__anext__())
            for _ in range(5):
                loop.run_until_complete(asyncio.sleep(0))
            assert reader._waiting is not None
            loop.close()
            return task

        with ndsh.Writer("x") as writer, ndsh.Reader("x") as reader:
            while not reader.connected:
                reader.wait(0)
            tasks = [leave()]
            for n in range(2):
                loop = asyncio.new_event_loop()
                task = loop.create_task(reader.__anext__())
                loop.call_soon(writer.write, np.array([n]))
                print(loop.run_until_complete(task).array[0], flush=True)
                loop.close()
            tasks.append(leave())
            writer.write(np.array([2]))
            print(reader.read(0).array[0], flush=True)
            reader.close()
            del tasks, task
            gc.collect()
        """)
    code, out, err = other.wait()
    assert code == 0 and out.split() == ["0", "1", "2"], err
    for word in ("Traceback", "Exception", "RuntimeError"):
        assert word not in err, err


def test_a_reader_may_be_collected_with_the_task_that_waits_for_it(program):
    """They are one cycle, of which the collector ends each part in an order of its own."""
    other = program("""
        import asyncio, gc, ndsh, threading
        gc.disable()

        def leave(reader):
            async def wait():
                async for frame in reader:
                    pass
            loop = asyncio.new_event_loop()
            task = loop.create_task(wait())
            while reader._waiting is None:
                loop.run_until_complete(asyncio.sleep(0))
            thread = threading.Thread(target=reader.close)
            thread.start()
            thread.join()
            loop.close()

        for n in range(20):
            leave(ndsh.Reader("x"))
            gc.collect()
        """)
    code, out, err = other.wait()
    assert code == 0, err


def test_a_handler_may_close_a_reader_as_a_task_begins_to_wait(monkeypatch):
    async def main():
        with pytest.raises(ValueError, match="closed"):
            await asyncio.wait_for(reader.__anext__(), DEADLINE)

    def close_and_wait(waiting, seconds):
        reader.close()
        return wait(waiting, seconds)

    wait = reader_module._Waiting.wait
    monkeypatch.setattr(reader_module._Waiting, "wait", close_and_wait)
    reader = ndsh.Reader("a")
    run(main())


def test_closing_ends_a_task_in_a_pause_of_max_fps():
    async def main():
        task = asyncio.ensure_future(reader.__anext__())
        await asyncio.sleep(0)
        reader.close()
        with pytest.raises(ValueError, match="closed"):
            await asyncio.wait_for(task, DEADLINE)

    with ndsh.Writer("a") as writer:
        reader = ndsh.Reader("a", max_fps=0.001)
        assert not reader.wait(0)
        writer.write(number(1))
        reader.read()
        run(main())


def test_async_for_keeps_its_time_out_in_a_pause_of_max_fps():
    async def main():
        with pytest.raises(TimeoutError, match="0.050 s"):
            await asyncio.wait_for(reader.__anext__(), DEADLINE)

    with ndsh.Writer("a") as writer:
        with ndsh.Reader("a", max_fps=0.001, timeout=0.05) as reader:
            assert not reader.wait(0)
            writer.write(number(1))
            reader.read(DEADLINE)
            writer.write(number(2))
            run(main())


def test_async_max_fps_takes_no_more_than_that():
    async def main():
        start, frames = time.monotonic(), 0
        async for _ in reader:
            frames += 1
            writer.write(number(frames))
            if frames == 6:
                return time.monotonic() - start

    with ndsh.Writer("a") as writer, joined(max_fps=25) as reader:
        writer.write(number(0))
        assert run(main()) >= 4 / 25.0 - 0.01


# --- What is known -----------------------------------------------------------

def test_c26_times_and_numbers_are_integers():
    with ndsh.Writer("a") as writer, joined() as reader:
        writer.write(number(1), pts=10 ** 18 + 1, duration=5, offset=2 ** 64 - 2,
                     flags=2 ** 32 - 1, metadata=b"\0more")
        frame = reader.read()
        info = frame.info

        assert frame.pts == info.timestamp_ns == 10 ** 18 + 1
        assert (info.duration_ns, info.offset, info.flags, info.metadata) == (
            5, 2 ** 64 - 2, 2 ** 32 - 1, b"\0more")
        assert isinstance(frame.sequence, int) and 0 <= frame.age < 30
        now = int(time.clock_gettime(time.CLOCK_MONOTONIC) * 1e9)
        assert abs(now - info.publish_ns) < 30 * 10 ** 9
        assert info.stream_id == writer.stream_id and len(info.stream_id) == 32

        writer.write(number(2))
        info = reader.read().info
        assert info[:5] == (None, None, None, 0, info.publish_ns)
        assert info.metadata == b""


def test_a_rate_gives_frames_a_time_and_a_duration():
    with ndsh.Writer("a", fps=25) as writer, joined() as reader:
        writer.write(number(1))
        frame = reader.read()
        assert 0 <= frame.info.publish_ns - frame.pts < 30 * 10 ** 9
        assert frame.info.duration_ns == 40000000
        writer.write(number(2), pts=5, duration=6)
        assert reader.read().info[:2] == (5, 6)
        for wrong in ({"pts": -1}, {"flags": 1 << 32}, {"offset": -1},
                      {"metadata": b"x" * 65537}):
            with pytest.raises(ValueError):
                writer.write(number(3), **wrong)
        assert writer.info.published == 2


def test_caps_follow_each_change_of_shape():
    with ndsh.Writer("a", fps=30) as writer, joined(mode="queue", queue=8) as reader:
        arrays = [np.zeros((16, 17), "u1"), np.zeros((20, 30, 3), "u1"), np.zeros(5),
                  np.zeros((16, 17), "u1"), np.zeros((16, 19), "u1")]
        for array in arrays:
            writer.write(array)
        frames = [reader.read() for _ in arrays]

    assert [frame.format for frame in frames] == ["GRAY8", "BGR", None, "GRAY8", "GRAY8"]
    assert [frame.caps.count("width=(int)%d" % frame.array.shape[-1])
            for frame in frames[3:]] == [1, 1]
    assert frames[2].caps == ""


def test_padding_after_the_last_row_belongs_to_the_frame():
    """Elements that look at caps only count on it; without, ndshsrc would copy."""
    with ndsh.Writer("a", format="GRAY8") as writer, joined() as reader:
        writer.write(np.zeros((16, 17), "u1"))
        assert _lib.frame_get_size(reader.read()._owner) == 16 * 20


def test_channels_tell_what_is_live():
    assert ndsh.channels() == []
    with pytest.raises(FileNotFoundError, match="'a'"):
        ndsh.channel("a")
    with ndsh.Writer("b", format="BGR", fps=30) as writer, ndsh.Writer("a"):
        writer.write(np.zeros((48, 64, 3), "u1"))
        with joined("b"):
            first, second = ndsh.channels()

    assert (first.name, second.name) == ("a", "b")
    assert first.arrays == () and first.publish_ns is None and first.rate is None
    assert second.pid == os.getpid() and second.uid == os.getuid()
    assert second.readers == 1 and second.published == 1
    assert second.bytes >= 48 * 64 * 3 and second.format == "BGR"
    assert second.arrays[0][:3] == ("uint8", (48, 64, 3), (192, 3, 1))
    assert second.stream_id == writer.stream_id
    assert "BGR" in repr(second) and "no frame" in repr(first)


def test_channels_measure_rates():
    stop = threading.Event()
    with ndsh.Writer("a") as writer, ndsh.Writer("idle"):
        def write():
            while not stop.wait(0.01):
                writer.write(number(1))

        thread = threading.Thread(target=write)
        thread.start()
        while not writer.info.published:
            time.sleep(0.001)
        busy, idle = ndsh.channels(measure=0.5)
        stop.set()
        thread.join()

    assert idle.rate == 0
    assert 0 < busy.rate <= 101


def test_repr_says_what_it_is():
    with ndsh.Writer("a") as writer, joined() as reader:
        writer.write(np.zeros((3, 4), "f4"))
        assert repr(reader.read()) == "<ndsh.Frame 1 of 'a': float32[3, 4]>"
        assert repr(writer) == "<ndsh.Writer of 'a'>"


class Mine(ndsh.Reader):
    pass


def test_a_pickled_reader_of_another_class_stays_one():
    with ndsh.Writer("a"), Mine("a", "queue", leases=3) as reader:
        with pickle.loads(pickle.dumps(reader)) as copy:
            assert type(copy) is Mine and copy.name == "a"
            while not copy.connected:
                copy.wait(0)
            assert (copy.info.mode, copy.info.max_leases) == ("queue", 3)


def test_a_pickled_reader_is_opened_anew():
    with ndsh.Writer("a") as writer, joined(mode="queue") as reader:
        copy = pickle.loads(pickle.dumps(reader))
        while not copy.connected:
            copy.wait(0)
        writer.write(number(1))
        assert copy.read().sequence == reader.read().sequence == 1
        assert copy.info.mode == "queue"
        copy.close()
        with pytest.raises(TypeError, match="open it in the child"):
            pickle.dumps(writer)
