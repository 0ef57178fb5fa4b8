#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a frame goes through in ndshsink and ndshsrc, stage by stage: instructions and the
cache lines that they touch, which no other process makes more or fewer; or times.

    stages.py [--fail]         under valgrind's lackey; fails if a figure of a stage is
                               15 % above what it usually is
    stages.py --times [--fps 60] [--frames 300]

Own instructions are those of libndsh and of the plugin, the rest is GLib's, GStreamer's
and the C library's. Lines (of 64 bytes) and pages are of data.
"""

import argparse
import collections
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile

HOP = os.environ.get("NDSH_BENCH_HOP", "bench-hop")

# As stages.h has them.
(BEGIN, BEGUN, RENDER, RING, RUNG, RENDERED, CREATE, SLEEP, WOKEN, CREATED,
 N_STAGES) = range(11)

STAGES = {
    "memory asked for, to had": (BEGIN, BEGUN),
    "render () to the ring": (RENDER, RING),
    "the ring to the end of render ()": (RUNG, RENDERED),
    "create () to sleep": (CREATE, SLEEP),
    "woken to a buffer": (WOKEN, CREATED),
}

Figures = collections.namedtuple("Figures", "own instructions lines written pages")

# On x86-64 by gcc 12 with -O2, beside GLib 2.74 and GStreamer 1.22.
USUAL = {
    "memory asked for, to had": Figures(956, 2295, 121, 43, 40),
    "render () to the ring": Figures(1075, 1493, 107, 34, 33),
    "the ring to the end of render ()": Figures(161, 218, 33, 9, 15),
    "create () to sleep": Figures(343, 929, 82, 26, 34),
    "woken to a buffer": Figures(1684, 2500, 131, 57, 35),
}
USUAL_VERSION = "1.22"

SIDES = (("sink", "ndshsink sync=false channel=stages"),
         ("source", "ndshsrc channel=stages"))


class Trace:
    """Counts in one side's trace of memory what lies between two marks."""

    def __init__(self, report):
        self.marks = report["marks"]
        self.own = [(low, high) for low, high, name in report["objects"]
                    if os.path.basename(name).startswith(("libndsh", "libgstndsh"))]
        self.found = collections.defaultdict(list)

    def read(self, file):
        # Marks are recognised by their text, for most lines are none.
        ends = {("%08x,1" % (self.marks + i)): i for i in range(N_STAGES)}
        starts = {a: (name, b) for name, (a, b) in STAGES.items()}
        lines = None
        for line in file:
            if line[:2] == " S" and line[3:].rstrip() in ends:
                stage = ends[line[3:].rstrip()]
                if lines is not None and stage == until:
                    self.found[name].append(self.count(lines))
                lines = None
                if stage in starts:
                    name, until = starts[stage]
                    lines = []
            elif lines is not None:
                lines.append(line)

    def count(self, lines):
        touched, written, pages, n, own = set(), set(), set(), 0, 0
        for line in lines:
            kind, (address, size) = line[:2].strip(), line[3:].split(",")
            address = int(address, 16)
            if kind == "I":
                n += 1
                own += any(low <= address < high for low, high in self.own)
                continue
            span = range(address >> 6, (address + int(size) - 1 >> 6) + 1)
            touched.update(span)
            pages.add(address >> 12)
            if kind in "SM":
                written.update(span)
        return Figures(own, n, len(touched), len(written), len(pages))


def environment(directory):
    """Of GStreamer's plugins just the one that is needed, so that a start is short."""
    plugins = subprocess.check_output(["pkg-config", "--variable=pluginsdir",
                                       "gstreamer-1.0"]).decode().strip()
    system = os.path.join(directory, "plugins")
    os.mkdir(system)
    os.symlink(os.path.join(plugins, "libgstcoreelements.so"),
               os.path.join(system, "libgstcoreelements.so"))
    env = dict(os.environ, NDSH_DIR=directory, GST_PLUGIN_SYSTEM_PATH_1_0=system,
               GST_REGISTRY=os.path.join(directory, "registry"), GST_REGISTRY_FORK="no")
    # With which meson has all memory filled.
    env.pop("MALLOC_PERTURB_", None)
    # Looks at the plugins, which is not to be traced.
    subprocess.check_output(["gst-inspect-1.0", "ndshsink"], env=env)
    return env


def run(before, option, args, env):
    """Both sides, of which @before says how one is started; what they report."""
    command = [option, "--frames=%d" % args.frames, "--fps=%d" % args.fps,
               "--skip=%d" % args.skip]
    writer, reader = [subprocess.Popen(
        before.get(side, []) + [HOP, "--%s=%s" % (side, text)] + command, env=env,
        stdout=subprocess.PIPE) for side, text in SIDES]
    answers = [reader.communicate()[0]]
    writer.send_signal(signal.SIGTERM)
    answers.insert(0, writer.communicate()[0])
    if writer.returncode != 0 or reader.returncode != 0:
        sys.exit("%s: failed" % HOP)
    return [json.loads(answer.decode()) for answer in answers]


def count_side(number, args, directory, env):
    side = SIDES[number][0]
    path = os.path.join(directory, side)
    report = run({side: ["valgrind", "--tool=lackey", "--trace-mem=yes",
                         "--log-file=" + path]}, "--stages", args, env)[number]
    trace = Trace(report)
    with open(path) as file:
        trace.read(file)
    os.unlink(path)
    return {name: Figures(*map(low_quarter, zip(*found)))
            for name, found in trace.found.items()}


def low_quarter(values):
    """A slot's first frame takes longer, and on a machine that is busy many threads
    wait once more than they have to."""
    return sorted(values)[len(values) // 4]


def fails(name, figures):
    for measure, value in figures._asdict().items():
        usual = getattr(USUAL[name], measure)
        if value > usual * 1.15:
            yield "%s: %s: %d, usually %d" % (name, measure, value, usual)


def count(args):
    with tempfile.TemporaryDirectory(prefix="ndsh-bench-") as directory:
        env = environment(directory)
        table = count_side(0, args, directory, env)
        table.update(count_side(1, args, directory, env))
    print("%-34s" % "" + "".join("%14s" % measure for measure in Figures._fields))
    for name in STAGES:
        print("%-34s" % name + "".join("%14d" % value for value in table[name]))
    grown = [why for name in STAGES for why in fails(name, table[name])]
    if args.fail and grown:
        sys.exit("\n".join(grown))


def time_stages(args):
    with tempfile.TemporaryDirectory(prefix="ndsh-bench-") as directory:
        reports = run({}, "--stage-times", args, environment(directory))
    spans = [max((report["spans_us"][i] for report in reports), key=len)
             for i in range(N_STAGES)]
    for name, (_, stage) in STAGES.items():
        times = sorted(spans[stage][args.skip:])
        print("%-34s %6.1f us (median of %d; nine in ten below %.1f)" % (
            name, statistics.median(times), len(times), times[len(times) * 9 // 10]))


def is_usual():
    version = subprocess.check_output(["pkg-config", "--modversion",
                                       "gstreamer-1.0"]).decode()
    return platform.machine() == "x86_64" and version.startswith(USUAL_VERSION + ".")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--fail", action="store_true")
    parser.add_argument("--times", action="store_true")
    parser.add_argument("--fps", type=int)
    parser.add_argument("--frames", type=int)
    args = parser.parse_args()
    args.skip = 10
    if args.times:
        args.fps, args.frames = args.fps or 60, args.frames or 300
        time_stages(args)
        return
    if args.fail and not is_usual():
        print("skipped: the table is of x86-64 and GStreamer %s" % USUAL_VERSION)
        sys.exit(77)
    args.fps, args.frames = args.fps or 10, args.frames or 20
    count(args)


if __name__ == "__main__":
    main()
