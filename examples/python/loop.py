# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads a camera in an event loop, beside whatever else it does."""

import asyncio
import signal
from contextlib import suppress

import ndsh


async def count(counts):
    async for frame in ndsh.Reader("cam", mode="queue"):
        counts.append(frame.sequence)


async def report(counts):
    while True:
        before = len(counts)
        await asyncio.sleep(1)
        print("%d pictures a second, the last is number %d" % (
            len(counts) - before, counts[-1] if counts else 0))


async def main():
    counts = []
    reporter = asyncio.ensure_future(report(counts))
    counter = asyncio.ensure_future(count(counts))
    asyncio.get_event_loop().add_signal_handler(signal.SIGINT, counter.cancel)
    with suppress(asyncio.CancelledError):
        await counter                     # until the camera ends, or Ctrl-C
    reporter.cancel()


asyncio.new_event_loop().run_until_complete(main())
