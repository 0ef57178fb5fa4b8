# SPDX-License-Identifier: LGPL-2.1-or-later
"""What one wants to know of channels at a prompt, without writing a program."""

import argparse
import sys
import time

import ndsh
from ndsh import png


def show_list(options):
    """One line for each channel that has a writer."""
    found = ndsh.channels(measure=options.measure)
    for one in found:
        what = one.caps or " ".join("%s%s" % (spec.dtype, list(spec.shape))
                                    for spec in one.arrays) or "no frame yet"
        print("%s  %d readers, %.1f MB, %s frames a second, pid %d: %s" % (
            one.name, one.readers, one.bytes / 1e6,
            "?" if one.rate is None else "%.1f" % one.rate, one.pid, what))
    if not found:
        print("no channel has a writer", file=sys.stderr)
    return 0


def watch(options):
    """A line a second: what came, and how late."""
    seen = missed = 0
    worst, due = 0.0, time.monotonic() + 1
    with ndsh.Reader(options.channel, mode="queue", queue=32,
                     timeout=options.timeout) as reader:
        for frame in reader:
            seen, missed = seen + 1, missed + frame.dropped
            worst = max(worst, frame.age)
            if time.monotonic() >= due:
                print("number %d, %d frames a second, %d missed, at most %.1f ms old: %r"
                      % (frame.sequence, seen, missed, worst * 1e3, frame), flush=True)
                seen = missed = 0
                worst, due = 0.0, time.monotonic() + 1
    print("the writer has ended", file=sys.stderr)
    return 0


def save(options):
    """The next picture as a PNG."""
    with ndsh.Reader(options.channel, timeout=options.timeout) as reader:
        data = png.encode(reader.read().rgb(copy=None))
    if options.file == "-":
        sys.stdout.buffer.write(data)
    else:
        with open(options.file, "wb") as file:
            file.write(data)
    return 0


def parse(arguments):
    parser = argparse.ArgumentParser(prog="python3 -m ndsh", description=__doc__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for function, name in ((show_list, "list"), (watch, "watch"), (save, "save")):
        command = commands.add_parser(name, help=function.__doc__,
                                      description=function.__doc__)
        command.set_defaults(function=function)
        if name == "list":
            command.add_argument("--measure", type=float, default=0.0, metavar="SECONDS",
                                 help="look twice, to know rates")
            continue
        command.add_argument("channel")
        if name == "save":
            command.add_argument("file", help="name of the PNG; - for standard output")
        command.add_argument("--timeout", type=float, default=5.0, metavar="SECONDS",
                             help="how long to wait for a frame (5)")
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.error("one of list, watch, save")
    return options


def main(arguments=None):
    options = parse(arguments)
    try:
        return options.function(options)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:               # head, say
        sys.stderr.close()
        return 0
    except (OSError, ValueError, ndsh.Error) as error:
        print("%s: %s" % (options.command, error), file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
