# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is left when processes fork, end, or are killed, and when the interpreter is
taken down around live arrays."""

import gc
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import pytest

import ndsh
from conftest import DEADLINE, THOROUGH, figure
from ndsh import _lib, life


def names(directory):
    """Channels that have a socket."""
    return sorted(name for name in os.listdir(str(directory)) if name[0] != ".")


def n_fds():
    return len(os.listdir("/proc/self/fd"))


# --- A frame that outlives its writer ----------------------------------------

@pytest.mark.parametrize("ending", ["", "writer.close()", "del writer",
                                    "raise SystemExit(0)"])
def test_a_frame_is_kept_when_its_writer_ends(program, channel_directory, ending):
    program("""
        import ndsh, numpy as np
        writer = ndsh.Writer("a", linger=60)
        for n in range(3):
            writer.write(np.full(1000, n), metadata=b"of it")
        %s
        """ % ending).succeed()
    with ndsh.Reader("a") as reader:
        frame = reader.read(DEADLINE)
        assert frame.sequence == 3 and frame.info.metadata == b"of it"
        assert frame.array.tolist() == [2] * 1000
    assert ndsh.channel("a").published == 3
    assert names(channel_directory) == ["a"]
    ndsh.Writer("a").close()
    assert names(channel_directory) == []


def test_a_burst_reaches_who_waits_for_it(program):
    """Its writer has ended before the reader knows of it."""
    with ndsh.Reader("a") as reader:
        with pytest.raises(TimeoutError):
            reader.read(0.5)
        with ndsh.Writer("a", linger=60) as writer:
            for n in range(3):
                writer.write(np.full(10, n))
        assert list(frame.array[0] for frame in reader)[-1] == 2


def test_a_killed_writer_keeps_nothing(program):
    other = program("""
        import ndsh, numpy as np, sys
        writer = ndsh.Writer("a", linger=60)
        writer.write(np.zeros(3))
        print("ready", flush=True)
        sys.stdin.read()
        """)
    other.line()
    other.kill()
    other.popen.wait()
    with pytest.raises(FileNotFoundError):
        ndsh.channel("a")


def test_a_keeper_is_started_by_who_lingers_alone(program, tmp_path):
    started = tmp_path / "started"
    keeper = tmp_path / "keeper"
    keeper.write_text("#!/bin/sh\necho >> '%s'\nexit 1\n" % started)
    keeper.chmod(0o755)
    code = """
        import ndsh, numpy as np
        with ndsh.Writer("a"%s) as writer:
            writer.write(np.zeros(3))
        """
    program(code % "", NDSH_KEEPER=str(keeper)).succeed()
    assert not started.exists()
    program(code % ", linger=1", NDSH_KEEPER=str(keeper)).succeed()
    assert started.exists()


def test_who_waits_for_a_programs_output_does_not_wait_for_its_keeper():
    code = "import ndsh, numpy; ndsh.Writer('a', linger=86400).write(numpy.zeros(3))"
    assert subprocess.check_output([sys.executable, "-c", code]) == b""
    assert ndsh.channel("a").published == 1


@pytest.mark.parametrize("linger", [-1, float("nan"), float("inf"), 25 * 86400])
def test_a_time_to_linger_that_cannot_be(linger):
    with pytest.raises(ValueError, match="linger"):
        ndsh.Writer("a", linger=linger)


# --- Names -------------------------------------------------------------------

def test_c30_a_name_goes_with_its_writer(channel_directory):
    writer = ndsh.Writer("a")
    assert names(channel_directory) == ["a"]
    writer.close()
    writer.close()
    assert names(channel_directory) == []
    with pytest.raises(ValueError, match="writer of channel 'a' is closed"):
        writer.write(np.zeros(3))
    with pytest.raises(ValueError):
        writer.draft(3)

    with ndsh.Writer("b"):
        assert names(channel_directory) == ["b"]
    assert names(channel_directory) == []

    ndsh.Writer("c")
    gc.collect()
    assert names(channel_directory) == []


@pytest.mark.parametrize("ending", [
    "", "raise KeyError", "sys.exit(3)",
    "os.kill(os.getpid(), signal.SIGINT); time.sleep(9)",
    "del writer", "writer.close()",
    "threading.Thread(target=time.sleep, args=(9,), daemon=True).start()",
    "threading.Thread(target=lambda one: time.sleep(9), args=(writer,),"
    " daemon=True).start()"])
def test_c30_every_orderly_end_removes_the_name(program, channel_directory, ending):
    other = program("""
        import ndsh, numpy as np, os, signal, sys, threading, time
        writer = ndsh.Writer("x")
        reader = ndsh.Reader("x")
        reader.wait(0)
        writer.write(np.zeros(1000))
        array = reader.read().array
        print("ready", flush=True)
        sys.stdin.readline()
        """ + ending)
    other.line()
    assert names(channel_directory) == ["x"]
    other.say()
    code, _, err = other.wait()

    assert code >= 0 or code == -signal.SIGINT, (code, err)
    assert "Exception ignored" not in err and "CRITICAL" not in err, err
    assert names(channel_directory) == []


def test_c30_what_a_killed_writer_left_is_taken_over(program, channel_directory):
    other = program("""
        import ndsh, sys
        writer = ndsh.Writer("x")
        print("ready", flush=True)
        sys.stdin.read()
        """)
    other.line()
    other.kill(signal.SIGKILL)
    other.wait()
    assert names(channel_directory) == ["x"] and ndsh.channels() == []

    with ndsh.Writer("x") as writer, ndsh.Reader("x", timeout=30) as reader:
        reader.wait(0)
        writer.write(np.arange(3))
        assert reader.read().array.sum() == 3
    assert names(channel_directory) == []


def test_c30_a_reader_removes_nothing(program, channel_directory):
    with ndsh.Writer("x") as writer:
        other = program("""
            import ndsh
            reader = ndsh.Reader("x", timeout=30)
            array = reader.read().array
            print(array.sum())
            """)
        while other.popen.poll() is None:
            writer.write(np.ones(3))
            time.sleep(0.01)
        assert other.succeed().split() == ["3.0"]
        assert names(channel_directory) == ["x"]
        assert ndsh.channel("x").published == writer.info.published


def test_c37_a_second_writer_is_refused_with_the_pid_of_the_first():
    with ndsh.Writer("a"):
        with pytest.raises(FileExistsError, match=str(os.getpid())) as caught:
            ndsh.Writer("a")
        assert caught.value.errno == 17


def test_a_cell_of_a_notebook_that_runs_again_may_replace_its_writer():
    def cell(writer, value):
        writer.write(np.array([value]))
        return writer

    writer = cell(ndsh.Writer("a"), 1)
    with ndsh.Reader("a", timeout=DEADLINE) as reader:
        assert reader.read().array[0] == 1
        with pytest.raises(FileExistsError, match=r"close \(\) that.*Writer \('a', "
                                                  r"replace=True\)"):
            ndsh.Writer("a")
        first = writer
        writer = cell(ndsh.Writer("a", replace=True), 2)
        assert first.closed and not writer.closed
        with pytest.raises(BrokenPipeError):
            reader.read()
        assert reader.read().array[0] == 2
    writer.close()
    with ndsh.Writer("a", replace=True):         # of nobody
        pass


def test_another_process_is_not_replaced(program):
    other = program("""
        import ndsh, sys
        writer = ndsh.Writer("a")
        print("there", flush=True)
        sys.stdin.read()
        """)
    assert other.line() == "there"
    with pytest.raises(FileExistsError, match=str(other.pid)) as caught:
        ndsh.Writer("a", replace=True)
    assert "replace" not in str(caught.value)
    other.succeed()
    with ndsh.Writer("a"):
        def child():
            try:
                ndsh.Writer("a", replace=True)
            except FileExistsError as error:
                os._exit(str(os.getppid()) in str(error))

        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
        process.join()
        assert process.exitcode == 1
        assert ndsh.channel("a").pid == os.getpid()


def test_c45_the_directory_can_be_chosen(channel_directory, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setenv("NDSH_DIR", str(other))
    with ndsh.Writer("a"), ndsh.Writer(str(tmp_path / "socket")):
        assert names(other) == ["a"] and names(channel_directory) == []
        assert (tmp_path / "socket").exists()
        assert ndsh.channel(str(tmp_path / "socket")).published == 0


# --- Memory and descriptors --------------------------------------------------

def test_c31_a_change_of_shape_leaves_no_segment_behind():
    with ndsh.Writer("a") as writer, ndsh.Reader("a", timeout=30) as reader:
        reader.wait(0)
        for n in range(1, 60):
            writer.write(np.zeros((n, 1000, 7)))
            assert reader.read().array.shape[0] == n
        info = writer.info
    assert info.slots < 12
    assert info.bytes + info.retired_bytes < 3 * 12 * 60 * 7000 * 8


def test_c33_want_of_memory_is_an_error_with_both_numbers():
    with ndsh.Writer("a", max_bytes=1 << 44) as writer:
        with pytest.raises(MemoryError, match="available"):
            writer.draft((1 << 42,))
        assert writer.write(np.zeros(3)) == 1
    with ndsh.Writer("a", max_bytes=1 << 20) as writer:
        with pytest.raises(ValueError, match="bounded"):
            writer.write(np.zeros(1 << 20))
        assert writer.write(np.zeros(3)) == 1


def test_c24_when_all_is_held_a_write_fails_at_once():
    with ndsh.Writer("a", max_bytes=1 << 20) as writer:
        drafts = []
        with pytest.raises(BlockingIOError, match="no slot free"):
            for _ in range(20):
                drafts.append(writer.draft((200000,)))
        drafts.pop()
        assert writer.write(np.zeros(200000, "u1")) == 1


def test_c35_descriptors_are_constant_over_reopenings():
    def once():
        with ndsh.Writer("a") as writer, ndsh.Reader("a", timeout=30) as reader:
            reader.wait(0)
            writer.write(np.zeros(10))
            return reader.read().array

    once()
    gc.collect()
    before = n_fds()
    for _ in range(10000 if THOROUGH else 500):
        once()
    assert n_fds() == before


def test_c35_nothing_is_inherited_by_a_program_that_is_started():
    with ndsh.Writer("a") as writer, ndsh.Reader("a", timeout=30) as reader:
        reader.wait(0)
        writer.write(np.zeros(10))
        frame = reader.read()
        n_ours = 0
        for name in os.listdir("/proc/self/fd"):
            try:
                target = os.readlink("/proc/self/fd/" + name)
            except OSError:
                continue
            if "ndsh" in target or "socket" in target or "eventpoll" in target:
                assert not os.get_inheritable(int(name)), target
                n_ours += 1
        # The writer's socket and both ends of the connection, at least.
        assert n_ours >= 3
        del frame


# --- Writes that wait --------------------------------------------------------

_HOLD_UP = """
    import ndsh, numpy as np, sys, threading, time
    writer = ndsh.Writer("x", lossless_timeout=3600, max_bytes=1 << 20)
    print("ready", flush=True)
    sys.stdin.readline()

    def write():
        for n in range(1000):
            writer.write(np.zeros(100000, "u1"))
"""


def held_up(program, code):
    other = program(_HOLD_UP + code)
    other.line()
    reader = ndsh.Reader("x", mode="lossless", timeout=30)
    while not reader.connected:
        reader.wait(0)
    other.say()
    return other, reader, reader.read()


def wait_until_it_waits():
    """The writer has filled its memory, and publishes nothing more."""
    published = 0
    while ndsh.channel("x").published != published:
        published = ndsh.channel("x").published
        time.sleep(0.3)


def test_ctrl_c_ends_a_write_that_waits_for_a_lossless_reader(program):
    other, reader, _ = held_up(program, """
    try:
        write()
    except KeyboardInterrupt:
        print("interrupted", writer.info.published, flush=True)
    print("written", writer.write(np.zeros(100000, "u1")), flush=True)
    """)
    wait_until_it_waits()
    other.kill(signal.SIGINT)
    start = time.monotonic()
    word, published = other.line().split()
    figure("Ctrl-C in a write that waits: %.0f ms" % ((time.monotonic() - start) * 1e3))
    assert word == "interrupted" and int(published) < 1000

    for n in range(int(published)):            # it has had one of them
        del _
        _ = reader.read()
    assert other.line().split() == ["written", str(int(published) + 1)]
    other.succeed()


# As on a busy machine: who waited in the library leaves it a while after it was told to.
_LEAVE_LATE = """
    from ndsh import _lib
    begin, left = _lib.writer_begin, []

    def begin_and_leave_late(writer, packed, may_wait):
        try:
            return begin(writer, packed, may_wait)
        finally:
            if may_wait:
                time.sleep(0.5)
                _lib.writer_get_info(writer)
                left.append(True)

    _lib.writer_begin = begin_and_leave_late
"""


@pytest.mark.parametrize("ending", ["", "writer.close()\n    print(*left, flush=True)"])
def test_after_ctrl_c_nothing_is_freed_before_the_thread_has_left(
        ending, program, channel_directory):
    other, reader, _ = held_up(program, _LEAVE_LATE + """
    try:
        write()
    except KeyboardInterrupt:
        print("interrupted", *left, flush=True)
    """ + ending)
    wait_until_it_waits()
    other.kill(signal.SIGINT)
    assert other.line().split() == ["interrupted"]
    assert not ending or other.line().split() == ["True"]
    assert other.succeed() == "" and names(channel_directory) == []


def test_a_handler_may_write_while_a_write_waits(program):
    other, reader, _ = held_up(program, """
    import signal

    def handle(*_):
        try:
            writer.write(np.zeros(100000, "u1"), duration=5)
        finally:
            print("handled", flush=True)

    signal.signal(signal.SIGUSR1, handle)
    write()
    """)
    wait_until_it_waits()
    other.kill(signal.SIGUSR1)
    del _
    for frame in reader:
        if frame.info.duration_ns == 5:
            break
        del frame
    assert other.line() == "handled"
    other.kill(signal.SIGKILL)


def test_ctrl_c_in_one_write_does_not_disturb_another(program):
    other, reader, _ = held_up(program, """
    failed = []

    def write_some():
        try:
            for n in range(100):
                writer.write(np.zeros(100000, "u1"))
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=write_some)
    thread.start()
    try:
        write()
    except KeyboardInterrupt:
        print("interrupted", *failed, flush=True)
    thread.join()
    print("done", *failed, flush=True)
    """)
    wait_until_it_waits()
    other.kill(signal.SIGINT)
    assert other.line().strip() == "interrupted"
    del _
    with pytest.raises(BrokenPipeError):
        while True:
            reader.read()
    assert other.line().strip() == "done"
    other.succeed()


@pytest.mark.parametrize("kind", ["writer", "reader"])
def test_ctrl_c_while_something_is_freed_does_not_free_it_twice(
        kind, monkeypatch, channel_directory):
    free, freed = getattr(_lib, "_%s_free" % kind), []

    def free_and_interrupt(address):
        freed.append(address)
        free(address)
        raise KeyboardInterrupt          # a signal's handler comes first after a call

    monkeypatch.setattr(_lib, "_%s_free" % kind, free_and_interrupt)
    it = {"writer": ndsh.Writer, "reader": ndsh.Reader}[kind]("a")
    with pytest.raises(KeyboardInterrupt):
        it.close()
    it.close()
    assert it.closed and len(freed) == 1 and isinstance(freed[0], int)
    assert it._life._handle.value is None         # which __del__ would free, too
    assert names(channel_directory) == []


@pytest.mark.parametrize("kind", ["writer", "reader"])
def test_a_signal_s_handler_may_close_in_any_call(kind, monkeypatch):
    monkeypatch.setattr(life, "_PATIENCE", float("inf"))     # it must not wait for itself
    freed, name = [], "_%s_get_info" % kind
    free, get_info = getattr(_lib, kind + "_free"), getattr(_lib, name)
    monkeypatch.setattr(_lib, kind + "_free", lambda one: (freed.append(one.value),
                                                           free(one)))
    it = {"writer": ndsh.Writer, "reader": ndsh.Reader}[kind]("a")

    def close_and_get_info(*arguments):
        it.close()                       # as the handler would, in this very thread
        assert not freed
        get_info(*arguments)

    monkeypatch.setattr(_lib, name, close_and_get_info)
    it.info
    assert it.closed and len(freed) == 1 and freed[0] is not None
    with pytest.raises(ValueError, match="closed"):
        it.info


def at_line(n, handle, function):
    """Calls @function, and @handle before the nth line of a writer's in it. Whether
    there are so many."""
    files, left = ("writer.py", "life.py", "_lib.py"), [n]

    def trace(frame, event, _):
        if os.path.basename(frame.f_code.co_filename) not in files or "__del__" in (
                frame.f_code.co_name, frame.f_back.f_code.co_name):
            return None
        if event == "line":
            left[0] -= 1
            if left[0] == 0:
                handle()
        return trace

    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(None)
    return left[0] <= 0


def elsewhere(function):
    """In another thread, to whose end nothing must be in the way."""
    thread = threading.Thread(target=function)
    thread.start()
    thread.join(DEADLINE)
    assert not thread.is_alive()


CALLS = {"info": lambda one: one.info, "write": lambda one: one.write(np.ones(3)),
         "end": ndsh.Writer.end, "close": ndsh.Writer.close}


@pytest.mark.parametrize("call", sorted(CALLS))
def test_ctrl_c_may_come_at_any_line(call, channel_directory, monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(life, "_PATIENCE", 0.1)
    n, more = 0, True
    while more:
        n += 1
        writer = ndsh.Writer("a%d" % n)
        try:
            more = at_line(n, interrupt, lambda: CALLS[call](writer))
        except KeyboardInterrupt:
            pass
        elsewhere(writer.close)
        writer.close()
        del writer
    gc.collect()
    figure("interrupted %s at %d lines" % (call, n - 1))
    assert n > 5
    # The very line of the call that frees may have been left out.
    assert len(names(channel_directory)) <= (call == "close")


@pytest.mark.parametrize("call", ["end", "info", "write"])
def test_a_handler_may_wait_for_another_thread_at_any_line(call):
    """As it does if it writes and there is no slot free."""
    with ndsh.Writer("a") as writer:
        n = 1
        while at_line(n, lambda: elsewhere(lambda: writer.info),
                      lambda: CALLS[call](writer)):
            n += 1
    figure("handled at %d lines of %s" % (n - 1, call))
    assert n > 5


def test_a_full_writer_leaves_nothing_for_the_collector():
    gc.collect()
    gc.disable()
    try:
        with ndsh.Writer("a", max_bytes=1 << 20) as writer:
            drafts = [writer.draft((200000,)) for _ in range(5)]
            array = np.zeros(200000, "u1")
            kept = weakref.ref(array)
            with pytest.raises(BlockingIOError):
                writer.write(array)
            del array, drafts
        assert kept() is None
    finally:
        gc.enable()


def test_a_frame_has_its_own_caps_also_after_ctrl_c(monkeypatch):
    describe, interrupts = _lib.writer_set_description, [KeyboardInterrupt]

    def describe_and_be_interrupted(*arguments):
        describe(*arguments)
        if interrupts:
            raise interrupts.pop()

    with ndsh.Writer("a", fps=30) as writer, ndsh.Reader("a", timeout=30) as reader:
        writer.write(np.zeros((16, 16), "u1"))
        monkeypatch.setattr(_lib, "writer_set_description", describe_and_be_interrupted)
        with pytest.raises(KeyboardInterrupt):
            writer.write(np.zeros((16, 16, 3), "u1"))
        assert writer.caps == ""
        writer.write(np.zeros((16, 16), "u1"))
        assert reader.read().format == "GRAY8" and "GRAY8" in writer.caps


def test_a_frame_has_its_own_caps_whichever_thread_writes(monkeypatch):
    describe, second = _lib.writer_set_description, threading.Thread(
        target=lambda: writer.write(np.zeros((16, 16), "u1")))

    def describe_and_let_another_write(*arguments):
        describe(*arguments)
        if not second.is_alive() and not second.ident:
            second.start()
            second.join(0.3)             # it has to wait

    monkeypatch.setattr(_lib, "writer_set_description", describe_and_let_another_write)
    with ndsh.Writer("a", fps=30, history=8) as writer, \
            ndsh.Reader("a", mode="queue", queue=8, timeout=30) as reader:
        reader.wait(0)
        while not writer.readers:
            reader.wait(0.01)
        writer.write(np.zeros((16, 16, 3), "u1"))
        second.join()
        seen = {frame.format: frame.array.shape
                for frame in (reader.read(), reader.read())}
    assert seen == {"BGR": (16, 16, 3), "GRAY8": (16, 16)}


@pytest.mark.parametrize("in_main", [True, False])
def test_closing_ends_a_write_that_waits(program, in_main):
    other, reader, _ = held_up(program, """
    caught = []

    def write_and_catch():
        try:
            write()
        except ValueError as error:
            caught.append(str(error))

    def close():
        while writer.info.published < 2:
            time.sleep(0.001)
        time.sleep(0.5)
        writer.close()

    first, second = %s
    thread = threading.Thread(target=second)
    thread.start()
    first()
    thread.join()
    print(caught, flush=True)
    """ % ("write_and_catch, close" if in_main else "close, write_and_catch"))
    assert "closed" in other.line()
    other.succeed()


def test_closing_frees_nothing_while_a_thread_is_in_a_write(monkeypatch):
    begun, flushed, leave = (threading.Event() for _ in range(3))
    begin, free = _lib.writer_begin, _lib.writer_free
    set_flushing, freed, caught = _lib.writer_set_flushing, [], []

    def begin_late(*arguments):
        begun.set()
        assert leave.wait(DEADLINE) and not freed
        return begin(*arguments)

    monkeypatch.setattr(_lib, "writer_begin", begin_late)
    monkeypatch.setattr(_lib, "writer_free", lambda one: (freed.append(one.value),
                                                          free(one)))
    monkeypatch.setattr(_lib, "writer_set_flushing",
                        lambda *arguments: (set_flushing(*arguments), flushed.set()))
    writer = ndsh.Writer("a")

    def write():
        try:
            writer.write(np.zeros(3))
        except ValueError as error:
            caught.append(str(error))

    writes, closes = (threading.Thread(target=one) for one in (write, writer.close))
    writes.start()
    assert begun.wait(DEADLINE)
    closes.start()
    assert flushed.wait(DEADLINE)

    closes.join(0.2)                  # it has done all, or waits
    assert closes.is_alive() and not freed
    leave.set()

    writes.join()
    closes.join()
    assert freed[0] and not any(freed[1:])
    assert len(caught) == 1 and "closed" in caught[0]


def test_the_interpreter_ends_while_a_thread_waits_in_a_write(
        program, channel_directory):
    other, reader, _ = held_up(program, """
    threading.Thread(target=write, daemon=True).start()
    while writer.info.published < 2:
        time.sleep(0.001)
    time.sleep(0.5)
    """)
    code, _, err = other.wait()
    assert (code, err) == (0, "")
    assert ndsh.channels() == [] and names(channel_directory) == []


def test_at_the_interpreter_s_end_a_daemon_that_writes_ends_silently(program):
    other = program("""
    import atexit, ndsh, numpy as np, threading

    def write():
        try:
            while True:
                writer.write(np.zeros(1000))
        finally:
            ended.append(True)

    thread, ended = threading.Thread(target=write, daemon=True), []
    atexit.register(lambda: (thread.join(), print(ended)))       # called last
    writer = ndsh.Writer("x")
    thread.start()
    """)
    code, out, err = other.wait()
    assert (code, out.strip(), err) == (0, "[True]", "")


def test_at_the_interpreter_s_end_the_main_thread_gets_an_error(program):
    other = program("""
    import atexit, ndsh, numpy as np

    def write():
        try:
            writer.write(np.zeros(3))
        except ValueError as error:
            print(error)

    atexit.register(write)
    writer = ndsh.Writer("x")
    """)
    assert "closed" in other.succeed()


# --- Fork and spawn ----------------------------------------------------------

def in_child(function):
    """What @function returns in a forked child, as text."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(read)
            os.write(write, str(function()).encode())
            code = 0
        except BaseException as error:
            os.write(write, repr(error).encode())
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    return text


def test_c36_a_reader_opens_the_channel_anew_in_a_child():
    with ndsh.Writer("a") as writer, ndsh.Reader("a", timeout=30) as reader:
        reader.wait(0)
        writer.write(np.array([7]))
        frame = reader.read()

        def read():
            again = reader.read()
            return (int(again.array[0]), reader.info.pid == os.getppid(),
                    int(frame.array[0]))

        assert in_child(read) == "(7, True, 7)"
        assert reader.info.n_leases == 1 and len(writer.readers) <= 2
        writer.write(np.array([8]))
        assert reader.read().array[0] == 8


def test_c36_a_child_does_not_give_back_what_its_parent_holds():
    with ndsh.Writer("a") as writer, ndsh.Reader("a", timeout=30) as reader:
        reader.wait(0)
        writer.write(np.full(1000, 7))
        kept = [reader.read()]

        def drop():
            del kept[:]
            gc.collect()
            reader.close()
            return "dropped"

        assert in_child(drop) == "dropped"
        for n in range(50):
            writer.write(np.full(1000, n))
        assert (kept[0].array == 7).all() and reader.info.n_leases == 1


def test_c36_a_writer_tells_a_child_to_open_it_there(channel_directory):
    with ndsh.Writer("a") as writer:
        def write():
            writer.write(np.zeros(3))

        assert "open it in the child" in in_child(write)

        def close():
            writer.close()
            gc.collect()
            return writer.closed

        assert in_child(close) == "True"
        assert names(channel_directory) == ["a"]
        assert writer.write(np.zeros(3)) == 1


def test_c36_a_child_that_ends_in_an_orderly_way_removes_nothing(program,
                                                               channel_directory):
    out = program("""
        import ndsh, numpy as np, os, sys
        writer, reader = ndsh.Writer("x"), ndsh.Reader("x", timeout=30)
        reader.wait(0)
        writer.write(np.zeros(3))
        frame = reader.read()
        pid = os.fork()
        if pid == 0:
            sys.exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        print(os.listdir(os.environ["NDSH_DIR"]).count("x"), writer.write(np.ones(3)))
        print(reader.read().array.sum(), frame.array.sum())
        """).succeed()
    assert out.split() == ["1", "2", "3.0", "0.0"]


def test_c36_a_fork_while_other_threads_read_and_write():
    with ndsh.Writer("a") as writer, ndsh.Reader("a", timeout=30) as reader:
        reader.wait(0)
        stop = threading.Event()

        def write():
            while not stop.is_set():
                writer.write(np.ones(1000))

        def read():
            while not stop.is_set():
                reader.read()

        threads = [threading.Thread(target=write), threading.Thread(target=read)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(20):
                assert in_child(lambda: reader.read().array.sum()) == "1000.0"
                assert "open it in the child" in in_child(
                    lambda: writer.write(np.ones(3)))
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def _read_one(reader, queue):
    queue.put(float(reader.read().array.sum()))


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_c36_multiprocessing_takes_a_reader_along(method):
    context = multiprocessing.get_context(method)
    with ndsh.Writer("a") as writer, ndsh.Reader("a", timeout=30) as reader:
        queue = context.Queue()
        process = context.Process(target=_read_one, args=(reader, queue))
        process.start()
        while process.is_alive() and queue.empty():
            writer.write(np.ones(10))
            time.sleep(0.01)
        assert queue.get(timeout=DEADLINE) == 10
        process.join(DEADLINE)
        assert process.exitcode == 0


def _write_one(name, ready):
    with ndsh.Writer(name) as writer:
        ready.set()
        while not writer.readers:
            time.sleep(0.001)
        writer.write(np.arange(5))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_c36_multiprocessing_children_write(method):
    context = multiprocessing.get_context(method)
    ready = context.Event()
    process = context.Process(target=_write_one, args=("child", ready))
    process.start()
    assert ready.wait(DEADLINE)
    with ndsh.Reader("child", timeout=30) as reader:
        assert [frame.array.sum() for frame in reader] == [10]
    process.join(DEADLINE)
    assert process.exitcode == 0


# --- Interpreter exit --------------------------------------------------------

_HOLD = """
    import ndsh, numpy as np, sys, threading, time, atexit
    writer = ndsh.Writer("x", max_bytes=1 << 30)
    reader = ndsh.Reader("x", timeout=30, mode="queue", leases=32)
    reader.wait(0)
    kept = []
    for n in range(%d):
        writer.write(np.full(5000, n))
        kept.append(reader.read().array)
"""

EXITS = {
    "as they are": "",
    "backwards": "kept.reverse()",
    "in a cycle": "kept.append(kept)",
    "in a module": "np.kept = kept; sys.kept = kept; del kept",
    "in an object with a finalizer": """
    class Late:
        def __del__(self):
            assert self.arrays[3].tobytes()[:8] == bytes([3] + 7 * [0])
    late = Late()
    late.arrays, late.late = kept, late
    del kept""",
    "reader and writer closed": "reader.close(); writer.close()",
    "in a daemon thread": """
    def use(arrays):
        while True:
            for n, array in enumerate(arrays):
                if not (array == n).all():
                    print("torn", flush=True)
    threading.Thread(target=use, args=(list(kept),), daemon=True).start()""",
    "used in atexit": "atexit.register(lambda: print(kept[5].sum()))",
    "used in an earlier atexit": """
    import weakref
    weakref.finalize(kept[3].base, print, "freed")""",
    "a reading daemon thread": """
    threading.Thread(target=lambda: list(reader), daemon=True).start()""",
    "a writing daemon thread": """
    def write():
        while True:
            writer.write(np.zeros(100000))
    threading.Thread(target=write, daemon=True).start()
    time.sleep(0.1)""",
    "drafts": "drafts = [writer.draft(100) for n in range(5)]",
    "sys.modules emptied": "import ndsh._lib; sys.modules.clear()",
}


@pytest.mark.parametrize("how", sorted(EXITS))
def test_the_interpreter_ends_around_live_arrays(program, channel_directory, how):
    out = program(_HOLD % 50 + "\n    " + EXITS[how].strip() + "\n").succeed()

    assert "torn" not in out
    assert names(channel_directory) == []


def has_valgrind():
    """One that knows how memory is sealed: 3.16 does not."""
    try:
        said = subprocess.check_output(["valgrind", "--version"], universal_newlines=True)
    except OSError:
        return False
    return tuple(int(n) for n in re.findall(r"\d+", said)[:2]) >= (3, 19)


@pytest.mark.skipif(not has_valgrind(), reason="no valgrind of 3.19 or later")
def test_1000_arrays_are_freed_in_any_order_and_at_exit_cleanly(channel_directory):
    """Under valgrind: no access to what is unmapped or freed. libndsh's own leaks are
    looked for by its unit tests; an interpreter leaves much behind on purpose."""
    code = """
import ndsh, numpy as np, random
writer = ndsh.Writer("x")
reader = ndsh.Reader("x", timeout=300, mode="queue", leases=64)
reader.wait(0)
arrays = []
for n in range(1000):
    writer.write(np.full(1000, n))
    arrays.append(reader.read().array)
reader.close()
writer.close()
assert all((array == n).all() for n, array in enumerate(arrays))
random.Random(1).shuffle(arrays)
del arrays[:500]
assert all(array[0] == array[-1] for array in arrays)
"""
    environment = dict(os.environ, PYTHONMALLOC="malloc", OPENBLAS_NUM_THREADS="1")
    result = subprocess.run(
        ["valgrind", "-q", "--error-exitcode=9", "--undef-value-errors=no",
         "--leak-check=no", sys.executable, "-c", code],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        universal_newlines=True, timeout=900)
    assert result.returncode == 0, result.stderr[-4000:]


def test_nothing_is_global():
    """But the library: objects go when they are let go of."""
    writer, reader = ndsh.Writer("a"), ndsh.Reader("a", timeout=30)
    reader.wait(0)
    writer.write(np.zeros(3))
    frame = reader.read()
    alive = [weakref.ref(one) for one in (writer, reader, frame, frame.array.base)]
    del writer, reader, frame
    gc.collect()
    assert [one() for one in alive] == [None] * 4
