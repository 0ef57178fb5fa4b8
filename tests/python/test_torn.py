# SPDX-License-Identifier: LGPL-2.1-or-later
"""No array is ever a mixture of two, nor changes once it was read, while a writer goes
as fast as it can and a reader reads as fast as it can.

A few seconds for each size; with NDSH_THOROUGH set a million reads in all for
ndsh.Reader, and a tenth of that for ndsharray. NDSH_SEED repeats the choices.
"""

import os
import random
import time

import numpy as np
import pytest

import ndsh
import ndsharray
from conftest import THOROUGH, figure

# Reads of the thorough form.
SIZES = {"480p": ((480, 640, 3), 900000), "720p": ((720, 1280, 3), 80000),
         "1080p": ((1080, 1920, 3), 15000), "4K": ((2160, 3840, 3), 5000)}
SECONDS = 3.0

# The 64-bit words of a picture all differ, and from those of the pictures before and
# after: a word of another picture, or of another place, is seen. Which picture it must
# be is known from the sequence.
WRITER = """
import ndsh, ndsharray, numpy as np, sys
who, shape = sys.argv[1], tuple(int(n) for n in sys.argv[2:])
if who == "ndsh":
    write = ndsh.Writer("x", max_bytes=1 << 32).write
else:
    write = ndsharray.NdShArray("x", np.zeros(shape, "u1"), r_w="w").write
words = np.arange(int(np.prod(shape)) // 8, dtype=np.uint64) << np.uint64(32)
pictures = [(words + np.uint64(n)).view(np.uint8).reshape(shape) for n in range(7)]
n = 2 if who == "ndsharray" else 1
print("ready", flush=True)
while True:
    write(pictures[n % 7])
    n += 1
"""


class Checker:
    """Looks at some words of each picture and at all of some."""

    def __init__(self, shape, seed):
        self.n_words = int(np.prod(shape)) // 8
        words = np.arange(self.n_words, dtype=np.uint64) << np.uint64(32)
        self.pictures = [words + np.uint64(n) for n in range(7)]
        self.generator = random.Random(seed)
        # First, last, beside them, at the boundaries of pages; others are drawn.
        self.places = np.array([0, 1, 511, 512, self.n_words // 2, self.n_words - 512,
                                self.n_words - 2, self.n_words - 1])
        self.full = 0

    def check(self, array, sequence, everything):
        number = sequence % 7
        words = array.reshape(-1).view(np.uint64)
        if everything:
            self.full += 1
            assert np.array_equal(words, self.pictures[number])
            return
        drawn = [self.generator.randrange(self.n_words) for _ in range(8)]
        for places in (self.places, drawn):
            assert (words[places] == self.pictures[number][places]).all()


def read_with_ndsh():
    reader = ndsh.Reader("x", timeout=60)

    def read():
        frame = reader.read()
        return frame.array, frame.sequence
    return read, reader


def read_with_ndsharray():
    reader = ndsharray.NdShArray("x", r_w="r")

    def read():
        is_new, array = reader.read()
        while not is_new or reader.frame.sequence == 1:   # what it was opened with
            is_new, array = reader.read()
        return array, reader.frame.sequence
    return read, reader


def watch(read, checker, shape, reads, seconds):
    """(reads, sequence of the last picture)"""
    until = time.monotonic() + seconds
    share = 0.005 if THOROUGH else 0.1
    last, n, held = 0, 0, []
    while n < reads and time.monotonic() < until:
        array, sequence = read()
        assert array.shape == shape and sequence > last
        last = sequence
        checker.check(array, sequence, checker.generator.random() < share)
        # What was read stays as it was: up to six that are held in shared memory.
        held.append((array, sequence))
        if len(held) > 6:
            array, sequence = held.pop(checker.generator.randrange(6))
            checker.check(array, sequence, checker.generator.random() < share)
        n += 1
    for array, sequence in held:
        checker.check(array, sequence, everything=True)
    return n, last


@pytest.mark.parametrize("size", list(SIZES))
@pytest.mark.parametrize("who", ["ndsh", "ndsharray"])
def test_c20_no_array_is_torn_at_full_speed(program, who, size):
    shape, reads = SIZES[size]
    reads = reads if who == "ndsh" else reads // 10
    seed = int(os.environ.get("NDSH_SEED", random.randrange(10 ** 9)))
    print("NDSH_SEED=%d" % seed)
    program(WRITER, who, *shape).line()
    read, reader = read_with_ndsh() if who == "ndsh" else read_with_ndsharray()
    checker = Checker(shape, seed)

    start = time.monotonic()
    n, last = watch(read, checker, shape, reads, 1e9 if THOROUGH else SECONDS)
    took = time.monotonic() - start
    reader.close()

    figure("%s, %s: %d of %d arrays read in %.1f s, %d compared in full, none torn" % (
        who, size, n, last, took, checker.full))
    assert n == reads if THOROUGH else n > 5
