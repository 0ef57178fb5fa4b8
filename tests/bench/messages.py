#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a message's way between processes takes, beside its peers and the machine's floors.

    messages.py [--turns N] [--seconds N] [--sets latency,rate,readers] [--only NAMES]
                [--touch] [--csv FILE] [--html FILE] [--svg DIRECTORY]

Contenders take turns, as in bench.py. Each turn is a run of bench-message, or of
arrays.py for those that are Python's; what they do is said there. Those that are not
installed are left out. Spinning ones have a processor for each process, or are too.
"""

import argparse
import collections
import json
import os
import subprocess
import sys

import bench

MESSAGE = os.environ.get("NDSH_BENCH_MESSAGE", "bench-message")
ARRAYS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "arrays.py")

SPINNING = ["word", "ndsh-spin"]
PYTHON = ["shared_memory", "ndsh-python"]
CONTENDERS = ["word", "futex", "eventfd", "socket", "memcpy", "ndsh", "ndsh-spin", "zmq",
              "iceoryx"] + PYTHON

SMALL, HD, UHD = 64, 1920 * 1080 * 3, 3840 * 2160 * 4
NOT_BUILT = 77

Setting = collections.namedtuple("Setting", "size fps readers")

SETS = {
    "latency": [Setting(size, fps, 1) for size in (SMALL, HD, UHD) for fps in (60, 1000)],
    "rate": [Setting(size, 0, 1) for size in (SMALL, 1 << 16, HD)],
    "readers": [Setting(SMALL, fps, n) for fps in (60, 1000) for n in (1, 2, 4, 8)],
}


def command(name):
    return [sys.executable, ARRAYS, name] if name in PYTHON else [MESSAGE, name]


def run(name, setting, n_messages, n_skipped, touch):
    """What it says; None if it is not there."""
    numbers = dict(setting._asdict(), messages=n_messages, skip=n_skipped)
    words = command(name) + ["--%s=%d" % pair for pair in numbers.items()
                             ] + ["--touch"] * touch
    answer = subprocess.run(words, stdout=subprocess.PIPE)
    if answer.returncode not in (0, NOT_BUILT):
        sys.exit("%s: failed" % " ".join(words))
    return json.loads(answer.stdout.decode()) if answer.returncode == 0 else None


def is_there(name):
    there = run(name, Setting(SMALL, 0, 1), 1, 0, False) is not None
    if not there:
        print("%s is left out" % name)
    return there


def suits(name, setting):
    if name in SPINNING and setting.readers >= os.cpu_count():
        return False
    return name != "socket" or setting.size == SMALL        # has no payload


def count_messages(setting, seconds):
    """As many as take so long, in no more than some gigabytes."""
    paced = int((setting.fps or 50000) * seconds)
    return max(5, min(paced, int(2e9 * seconds) // setting.size))


def summarize(answer):
    times = sorted(answer["latencies_us"])
    summary = {"p50": bench.percentile(times, .5), "p99": bench.percentile(times, .99),
               "max": times[-1]}
    for measure in ("writer_cpu_us", "reader_cpu_us", "writer_switches",
                    "reader_switches", "writer_faults", "reader_faults"):
        summary[measure.replace("_us", "").replace("_", " ")] = answer[measure]
    return dict(summary, rate=answer["rate"], lost=answer["lost"])


def run_setting(names, setting, args):
    """{name: (list of summaries, all latencies)}"""
    n = count_messages(setting, args.seconds)
    results = {name: ([], []) for name in names if suits(name, setting)}
    for _ in range(args.turns):
        for name, (summaries, latencies) in results.items():
            answer = run(name, setting, n, max(20, n // 5), args.touch)
            summaries.append(summarize(answer))
            latencies.extend(answer["latencies_us"])
    return results


def describe(setting):
    return "%d bytes, %s, %d reader%s" % (
        setting.size, "%d messages a second" % setting.fps if setting.fps
        else "unthrottled", setting.readers, "s" * (setting.readers > 1))


def medians(all_results, measure, settings):
    """{contender: [(setting, median)]}"""
    lines = collections.defaultdict(list)
    for setting in settings:
        for name, table in bench.statistics_of(all_results.get(setting, {})).items():
            lines[name].append((setting, sum(table[m][0] for m in measure)))
    return lines


def print_readers(all_results):
    for fps in (60, 1000):
        ends = [s for s in SETS["readers"] if s.fps == fps and s.readers in (1, 8)]
        for name, line in medians(all_results, ["writer cpu"], ends).items():
            if len(line) == 2 and line[0][1] > 0:
                print("%d a second, %-14s writer's CPU with 8 readers over 1: %.2f" % (
                    fps, name, line[1][1] / line[0][1]))


def plot_over(all_results, field, measure, settings, **axis):
    """As a list: of none where none of @settings was measured."""
    lines = {name: tuple(zip(*[(getattr(s, field), value) for s, value in line]))
             for name, line in medians(all_results, measure, settings).items()}
    title = "%s over %s, %s" % (axis["ylabel"], field, "%d a second" % settings[0].fps
                                if settings[0].fps else "unthrottled")
    return [bench.plot(lines, title, xlabel=field, xscale="log", yscale="log",
                       **axis)] if lines else []


def plots(all_results):
    cpu = ["writer cpu", "reader cpu"]
    yield from plot_over(all_results, "size", ["rate"], SETS["rate"],
                    ylabel="messages a second")
    yield from plot_over(all_results, "size", cpu, SETS["rate"],
                    ylabel="us of writer and reader a message")
    for fps in (60, 1000):
        yield from plot_over(all_results, "size", cpu,
                        [s for s in SETS["latency"] if s.fps == fps],
                        ylabel="us of writer and reader a message")
        yield from plot_over(all_results, "readers", ["writer cpu"],
                        [s for s in SETS["readers"] if s.fps == fps],
                        ylabel="us of the writer a message")
    for setting in SETS["latency"]:
        if setting in all_results:
            yield bench.plot_latencies(all_results[setting], describe(setting))


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--sets", default="latency,rate,readers")
    parser.add_argument("--only", default=",".join(CONTENDERS))
    parser.add_argument("--touch", action="store_true")
    parser.add_argument("--csv")
    parser.add_argument("--html")
    parser.add_argument("--svg")
    return parser.parse_args()


def main():
    args = parse()
    names = [name for name in args.only.split(",") if is_there(name)]
    table, all_results = [], {}
    for setting in [s for name in args.sets.split(",") for s in SETS[name]]:
        if setting in all_results:      # in two sets
            continue
        results = all_results[setting] = run_setting(names, setting, args)
        bench.print_table(describe(setting), results, ("p50", "p99", "rate"))
        table.extend(bench.rows(setting, results))
    print_readers(all_results)
    bench.write_results(args, "A message's way between processes", Setting._fields, table,
                        list(plots(all_results)) if args.html or args.svg else [])


if __name__ == "__main__":
    main()
