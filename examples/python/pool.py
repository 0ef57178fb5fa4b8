# SPDX-License-Identifier: LGPL-2.1-or-later
"""Workers that share the pictures of one camera among them: each has a reader of its own
and takes its share by the pictures' numbers, so that no picture is sent to anybody."""

import contextlib
import multiprocessing

import ndsh

WORKERS = 3


def work(index, results):
    with contextlib.suppress(KeyboardInterrupt), \
            ndsh.Reader("cam", mode="queue", queue=4 * WORKERS) as reader:
        for frame in reader:
            if frame.sequence % WORKERS == index:
                contrast = float(frame.gray(copy=None).std())      # much work, say
                results.put((frame.sequence, index, contrast))
    results.put(None)


if __name__ == "__main__":
    results = multiprocessing.Queue()
    workers = [multiprocessing.Process(target=work, args=(index, results))
               for index in range(WORKERS)]
    for worker in workers:
        worker.start()
    ended = 0
    while ended < WORKERS:
        with contextlib.suppress(KeyboardInterrupt):      # which the workers hear, too
            result = results.get()
            if result is None:
                ended += 1
            else:
                print("picture %d by worker %d: contrast %.1f" % result)
    for worker in workers:
        worker.join()
