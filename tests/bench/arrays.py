#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What bench-message does, between Python processes with NumPy:

    arrays.py shared_memory|ndsh-python [--size BYTES] [--fps N] [--messages N] ...

shared_memory is what the standard library has for it: a block, copied into and out of,
and semaphores that say whose turn it is. ndsh-python copies in, and reads in place.
Options, output and exit status are bench-message's.
"""

import argparse
import json
import multiprocessing
import os
import resource
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../python"))
try:
    import ndsh
    import numpy as np
    from multiprocessing import shared_memory
except ImportError as error:
    print("arrays.py: %s" % error, file=sys.stderr)
    sys.exit(77)

LIMIT = 20                      # seconds that anything may take
fork = multiprocessing.get_context("fork")


class SharedMemory:
    """A block for one array; each reader has it when it is filled, and frees it."""

    def __init__(self, args):
        self.block = shared_memory.SharedMemory(create=True, size=args.size)
        self.array = np.ndarray(args.size, np.uint8, buffer=self.block.buf)
        self.filled = [fork.Semaphore(0) for _ in range(args.readers)]
        self.free = [fork.Semaphore(1) for _ in range(args.readers)]

    def open_writer(self):
        pass

    def open_reader(self, number):
        self.number = number

    def write(self, array):
        for free in self.free:
            wait_for(free)
        self.array[:] = array
        for filled in self.filled:
            filled.release()

    def read(self):
        wait_for(self.filled[self.number])
        copy = self.array.copy()
        self.free[self.number].release()
        return copy

    def close(self):
        self.array = None
        self.block.close()
        self.block.unlink()


class Ndsh:
    """The modes are those of bench-message."""

    def __init__(self, args):
        self.name = "bench-arrays-%d" % os.getpid()
        self.mode = "queue" if args.fps else "lossless"
        self.history = 1 if args.fps else min(32, max(4, (64 << 20) // args.size))

    def open_writer(self):
        self.writer = ndsh.Writer(self.name, history=self.history, lossless_timeout=LIMIT)
        self.write = self.writer.write

    def open_reader(self, number):
        self.reader = ndsh.Reader(self.name, mode=self.mode, timeout=LIMIT)
        while not self.reader.connected:
            self.reader.wait(.001)

    def read(self):
        self.frame = self.reader.read()
        return self.frame.array

    def close(self):
        self.writer.close()


WAYS = {"shared_memory": SharedMemory, "ndsh-python": Ndsh}


def wait_for(semaphore):
    if not semaphore.acquire(timeout=LIMIT):
        sys.exit("arrays.py: no message moved for %d s" % LIMIT)


class Part:
    """Costs of this process between the first measured message and the last."""

    def __init__(self, args):
        self.skip, self.last = args.skip, args.skip + args.messages
        self.n, self.latencies = 0, []

    def count(self, number):
        if number > self.skip:
            self.n += 1
            if self.n == 1:
                self.start = self.mark()
            if number == self.last:
                self.end = self.mark()

    @staticmethod
    def mark():
        use = resource.getrusage(resource.RUSAGE_SELF)
        return (time.monotonic(), (use.ru_utime + use.ru_stime) * 1e6, use.ru_minflt,
                use.ru_nvcsw)

    def answer(self):
        """(messages, seconds, and for each message: cpu_us, faults, switches)"""
        seconds, *costs = (b - a for a, b in zip(self.start, self.end))
        return (self.n, seconds) + tuple(c / max(self.n - 1, 1) for c in costs)


def write_all(way, args, part):
    array = np.zeros(args.size, np.uint8)
    header = array[:16].view(np.int64)
    due = 0
    for number in range(1, part.last + 1):
        if args.fps:
            now = time.monotonic()
            due = max(due + 1 / args.fps, now)
            time.sleep(due - now)
        if args.touch:
            array.fill(number & 0xff)
        header[:] = number, time.monotonic_ns()
        way.write(array)
        part.count(number)


def read_all(way, args, part):
    number = 0
    while number < part.last:
        array = way.read()
        now = time.monotonic_ns()
        number, stamp = (int(n) for n in array[:16].view(np.int64))
        if args.touch:
            array[:args.size // 8 * 8].view(np.uint64).sum()
        if number > part.skip:
            part.latencies.append((now - stamp) / 1e3)
        part.count(number)


def run_reader(way, args, number, barrier, pipe):
    part = Part(args)
    way.open_reader(number)
    barrier.wait()
    read_all(way, args, part)
    pipe.send((part.answer(), part.latencies if number == 0 else None))


def hear(pipe):
    if not pipe.poll(LIMIT):
        sys.exit("arrays.py: a reader does not end")
    return pipe.recv()


def report(args, writer, answers):
    readers = [answer for answer, _ in answers]
    mean = [sum(values) / len(readers) for values in zip(*readers)]
    costs = {"%s_%s" % (who, what): value
             for who, values in (("writer", writer), ("reader", mean))
             for what, value in zip(("cpu_us", "faults", "switches"), values[2:])}
    print(json.dumps(dict(
        costs, messages=args.messages, seconds=max(r[1] for r in readers),
        lost=sum(args.messages - r[0] for r in readers),
        rate=min((r[0] - 1) / r[1] for r in readers), latencies_us=answers[0][1])))


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("way", choices=sorted(WAYS))
    for name, default in (("size", 64), ("fps", 60), ("messages", 300), ("skip", 60),
                          ("readers", 1)):
        parser.add_argument("--" + name, type=int, default=default)
    parser.add_argument("--touch", action="store_true")
    return parser.parse_args()


def main():
    args = parse()
    way = WAYS[args.way](args)
    barrier = fork.Barrier(args.readers + 1, timeout=LIMIT)
    pipes = [fork.Pipe(duplex=False) for _ in range(args.readers)]
    for number, (_, end) in enumerate(pipes):
        fork.Process(target=run_reader, args=(way, args, number, barrier, end),
                     daemon=True).start()
    part = Part(args)
    way.open_writer()
    try:
        barrier.wait()
        write_all(way, args, part)
        answers = [hear(end) for end, _ in pipes]
    finally:
        way.close()
    report(args, part.answer(), answers)


if __name__ == "__main__":
    main()
