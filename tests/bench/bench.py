#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a frame's way between two pipelines takes, beside its peers in the same run.

    bench.py [--turns N] [--frames N] [--skip N] [--fps 30,60] [--size 1920x1080,...]
             [--only NAMES] [--touch] [--csv FILE] [--html FILE] [--svg DIRECTORY]

Contenders take turns (A B C A B C ...), so that what else the machine does meets them
alike. The figures are medians over the turns, with the least and the greatest; what
counts are ratios. Latency is from when a frame was there to when a sink downstream of
the reader has it. One more turn, by itself because that slows it down, counts system
calls, the source's sleep among them, where there is strace.
"""

import argparse
import collections
import csv
import io
import json
import os
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HOP = os.environ.get("NDSH_BENCH_HOP", "bench-hop")

Contender = collections.namedtuple("Contender", "name sink source through needs")

CAPS = "video/x-raw,format=NV12,width=%(width)d,height=%(height)d,framerate=%(rate)d/1"

CONTENDERS = [
    Contender("queue", None, None, "queue", None),
    Contender("ndsh", "ndshsink sync=false channel=%(path)s",
              "ndshsrc channel=%(path)s", None, "ndshsink"),
    Contender("shm", "shmsink sync=false wait-for-connection=false shm-size=%(memory)d "
              "socket-path=%(path)s", "shmsrc is-live=true socket-path=%(path)s ! " + CAPS,
              None, "shmsink"),
    Contender("unixfd", "unixfdsink sync=false socket-path=%(path)s",
              "unixfdsrc socket-path=%(path)s", None, "unixfdsink"),
    Contender("pipewire", "pipewiresink sync=false mode=provide stream-properties="
              "p,node.name=%(name)s", "pipewiresrc target-object=%(name)s ! video/x-raw",
              None, "pipewiresink"),
]

# What is asked of a turn, and what it answered.
Setting = collections.namedtuple("Setting", "width height fps frames skip touch")


def is_there(contender):
    if contender.name == "pipewire" and not os.path.exists(os.path.join(
            os.environ.get("XDG_RUNTIME_DIR", "/"), "pipewire-0")):
        return False
    return contender.needs is None or subprocess.call(
        ["gst-inspect-1.0", "--exists", "--atleast-version=0.0", contender.needs]) == 0


def arguments(setting):
    return ["--width=%d" % setting.width, "--height=%d" % setting.height,
            "--fps=%d" % setting.fps, "--frames=%d" % setting.frames
            ] + (["--touch"] if setting.touch else [])


def start(side, text, setting, directory, traced):
    trace = ["strace", "-D", "-f", "-qq", "-o", os.path.join(directory, side)]
    return subprocess.Popen(trace * traced + [HOP, "--" + side, text,
                                              "--skip=%d" % setting.skip]
                            + arguments(setting), stdout=subprocess.PIPE)


def finish(process):
    answer = process.communicate()[0]
    if process.returncode != 0:
        sys.exit("%s: failed" % " ".join(map(shlex.quote, process.args)))
    return json.loads(answer.decode())


def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.01)


def wait_for_node(name):
    while name not in subprocess.check_output(["pw-cli", "ls", "Node"]).decode():
        time.sleep(0.1)


def run_turn(contender, setting, directory, traced=False):
    """What the writer's side and the reader's side say."""
    path = os.path.join(directory, "socket")
    words = {"path": path, "name": "ndsh-bench-%d" % os.getpid(),
             "width": setting.width, "height": setting.height,
             "rate": setting.fps or 30,
             "memory": 16 * setting.width * setting.height * 3 // 2}
    if contender.through is not None:
        both = finish(start("through", contender.through, setting, directory, traced))
        return dict(both, cpu_us=0), both
    writer = start("sink", contender.sink % words, setting, directory, traced)
    if contender.name == "pipewire":
        wait_for_node(words["name"])
    else:
        wait_for(path)
    reader = finish(start("source", contender.source % words, setting, directory,
                          traced))
    writer.send_signal(signal.SIGTERM)
    if contender.name == "pipewire":
        writer.communicate()    # fails once its reader has gone: no figure
        return dict(reader, cpu_us=0), reader
    writer = finish(writer)
    if os.path.exists(path):
        os.unlink(path)
    return writer, reader


def percentile(sorted_values, part):
    return sorted_values[min(int(len(sorted_values) * part), len(sorted_values) - 1)]


def summarize(writer, reader):
    times = sorted(reader["latencies_us"])
    return {"p50": percentile(times, .5), "p99": percentile(times, .99),
            "p999": percentile(times, .999), "max": times[-1],
            "writer cpu": writer["cpu_us"], "reader cpu": reader["cpu_us"],
            "switches": reader["switches"], "faults": reader["faults"],
            "writer kB": writer["resident_kb"], "reader kB": reader["resident_kb"],
            "lost": reader["lost"]}


def count_calls(path, n_frames):
    """A frame's, from the trace of a side, which asks for its usage before the first
    that counts and after the last."""
    if not os.path.exists(path):
        return 0
    with open(path) as file:
        lines = [line for line in file if "(" in line and "resumed>" not in line]
    usage = [i for i, line in enumerate(lines) if " getrusage(" in line]
    if len(usage) < 2:
        return 0
    calls = [line for line in lines[usage[0]:usage[-1]] if " getrusage(" not in line]
    return len(calls) / max(n_frames, 1)


def print_calls(contenders, setting):
    if shutil.which("strace") is None:
        return
    for contender in contenders:
        with tempfile.TemporaryDirectory(prefix="ndsh-bench-") as directory:
            writer, reader = run_turn(contender, setting, directory, traced=True)
            counts = {side: count_calls(os.path.join(directory, side), of["frames"])
                      for side, of in (("sink", writer), ("source", reader),
                                       ("through", reader))}
        print("system calls a frame, %-10s %s" % (contender.name, ", ".join(
            "%s's side %.1f" % pair for pair in counts.items() if pair[1] > 0)))


def run_setting(contenders, setting, turns):
    """{name: (list of summaries, all latencies)}"""
    results = {c.name: ([], []) for c in contenders}
    for _ in range(turns):
        for contender in contenders:
            directory = tempfile.mkdtemp(prefix="ndsh-bench-")
            try:
                writer, reader = run_turn(contender, setting, directory)
            finally:
                shutil.rmtree(directory)
            results[contender.name][0].append(summarize(writer, reader))
            results[contender.name][1].extend(reader["latencies_us"])
    return results


def statistics_of(results):
    """{contender: {measure: (median, least, greatest)}}"""
    return {name: {measure: (statistics.median(values), min(values), max(values))
                   for measure in summaries[0]
                   for values in [[s[measure] for s in summaries]]}
            for name, (summaries, _) in results.items()}


def rows(setting, results):
    """One for each contender and measure."""
    for name, measures in statistics_of(results).items():
        for measure, values in measures.items():
            yield tuple(setting) + (name, measure) + values


def describe(setting):
    return "%dx%d, %s%s" % (
        setting.width, setting.height,
        "%d frames a second" % setting.fps if setting.fps else "unthrottled",
        ", each written and read" if setting.touch else "")


def print_table(title, results, compared=("p50", "p99")):
    """Each measure's median, least and greatest; and ndsh's over those of the others."""
    print("\n" + title)
    table = statistics_of(results)
    print("%-14s" % "us" + "".join(" %21s" % m for m in next(iter(table.values()), ())))
    for name, measures in table.items():
        print("%-14s" % name + "".join(" %21s" % ("%.1f (%.0f-%.0f)" % values)
                                       for values in measures.values()))
    for name in results:
        if "ndsh" in results and name != "ndsh":
            print("ndsh over %-14s" % name + " ".join(ratios(results, name, compared)))


def ratios(results, name, compared):
    for measure in compared:
        ours, theirs = ([s[measure] for s in results[n][0]] for n in ("ndsh", name))
        turns = [a / b for a, b in zip(ours, theirs)]
        yield "%s %.2f (%.2f-%.2f)" % (measure, statistics.median(turns), min(turns),
                                       max(turns))
    ours, theirs = (statistics.median(s["writer cpu"] + s["reader cpu"]
                                      for s in results[n][0]) for n in ("ndsh", name))
    if theirs > 0:
        yield "cpu %.2f" % (ours / theirs)


def plot(lines, title, **axis):
    """{name: (xs, ys)} as (title, one SVG)."""
    import matplotlib
    matplotlib.use("svg")
    matplotlib.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4))
    for name, (xs, ys) in lines.items():
        axes.plot(xs, ys, label=name)
    axes.set(title=title, **axis)
    axes.grid(True, which="both", alpha=.3)
    axes.legend()
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    return title, text.getvalue()[text.getvalue().index("<svg"):]


def plot_latencies(results, title):
    """Those of all turns: how many of 100 frames took how long."""
    lines = {}
    for name, (_, latencies) in results.items():
        times = sorted(latencies)
        parts = [i / 400 for i in range(401)]
        lines[name] = ([percentile(times, part) for part in parts],
                       [100 * part for part in parts])
    return plot(lines, title, xscale="log", xlabel="us", ylabel="% of frames",
                ylim=(0, 100))


def write_results(args, title, heads, table, plots):
    heads = tuple(heads) + ("contender", "measure", "median", "least", "greatest")
    if args.csv:
        with open(args.csv, "w", newline="") as file:
            csv.writer(file).writerows([heads] + table)
    if args.html:
        cells = "".join("<tr>%s</tr>" % "".join(
            "<td>%s</td>" % (("%.1f" % cell) if isinstance(cell, float) else cell)
            for cell in row) for row in [heads] + table)
        with open(args.html, "w") as file:
            file.write("<!DOCTYPE html><meta charset=utf-8><title>ndsh</title><h1>%s</h1>"
                       "%s<table>%s</table>" % (title, "".join(p[1] for p in plots),
                                                cells))
    for name, svg in plots if args.svg else ():
        with open(os.path.join(args.svg, "".join(
                c if c.isalnum() else "-" for c in name) + ".svg"), "w") as file:
            file.write(svg)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--skip", type=int, default=60)
    parser.add_argument("--fps", default="60")
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--only", default="")
    parser.add_argument("--touch", action="store_true")
    parser.add_argument("--csv")
    parser.add_argument("--html")
    parser.add_argument("--svg")
    return parser.parse_args()


def main():
    args = parse()
    only = [name for name in args.only.split(",") if name]
    contenders = [c for c in CONTENDERS
                  if (not only or c.name in only) and is_there(c)]
    table, plots = [], []
    for size in args.size.split(","):
        width, height = map(int, size.split("x"))
        for fps in map(int, args.fps.split(",")):
            setting = Setting(width, height, fps, args.frames, args.skip, args.touch)
            results = run_setting(contenders, setting, args.turns)
            print_table("%s, %d frames a turn" % (describe(setting), args.frames), results)
            print_calls(contenders, setting)
            table.extend(rows(setting, results))
            if args.html or args.svg:
                plots.append(plot_latencies(results, describe(setting)))
    write_results(args, "A frame's way between two pipelines", Setting._fields, table,
                  plots)


if __name__ == "__main__":
    main()
