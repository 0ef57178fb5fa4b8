# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads a camera in an event loop, beside whatever else it does."""

import asyncio
import contextlib
import signal

import ndsh


async def count(counts):
    with ndsh.Reader("cam", mode="queue") as reader:
        async for frame in reader:
            counts.append(frame.sequence)


async def report(counts):
    while True:
        before = len(counts)
        await asyncio.sleep(1)
        print("%d pictures a second, the last is number %d" % (
            len(counts) - before, counts[-1] if counts else 0))


async def main():
    counts = []
    tasks = [asyncio.ensure_future(count(counts)), asyncio.ensure_future(report(counts))]
    asyncio.get_event_loop().add_signal_handler(signal.SIGINT, tasks[0].cancel)
    for task in tasks:                    # until the camera ends, or Ctrl-C
        with contextlib.suppress(asyncio.CancelledError):
            await task
        tasks[1].cancel()


asyncio.new_event_loop().run_until_complete(main())
