#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Installs what is missing, builds for speed, and measures beside peers, in turns: a
# frame's way between two pipelines, and a message's between processes:
#
#   tests/bench/run.sh                     both
#   tests/bench/run.sh hops                frames: 30 and 60 a second, 1000, and as many
#                                          as can be
#   tests/bench/run.sh hops --fps 60 ...   what bench.py is told
#   tests/bench/run.sh messages ...        the other; what messages.py is told
#   tests/bench/run.sh stages ...          what a frame touches on its way, or, with
#                                          --times, how long that takes
#
# Figures go to the terminal, and to hops.csv, hops.html, messages.csv and messages.html
# in build-tests/bench.
set -eu
cd "$(dirname "$0")/../.."
.ci/packages.sh build demo bench
build=$PWD/build-tests/bench
[ -f "$build/build.ninja" ] || meson setup "$build" --buildtype=release -Dpython=false
ninja -C "$build"

NDSH_DIR=$(mktemp -d)
export NDSH_DIR NDSH_BENCH_HOP="$build/tests/bench/bench-hop"
export NDSH_BENCH_MESSAGE="$build/tests/bench/bench-message"
export GST_PLUGIN_PATH="$build/plugin" LD_LIBRARY_PATH="$build/lib"
export GST_REGISTRY="$build/bench-registry.bin"
trap 'rm -r "$NDSH_DIR"' EXIT
measure() { # hops or messages, script, arguments...
  what=$1 script=$2
  shift 2
  /usr/bin/python3 "tests/bench/$script" "$@" --csv "$build/$what.csv" \
    --html "$build/$what.html"
}

case ${1-} in
  '')
    measure hops bench.py --fps 30,60,1000,0 --frames 1000
    measure messages messages.py ;;
  hops)
    shift
    [ $# -gt 0 ] || set -- --fps 30,60,1000,0 --frames 1000
    measure hops bench.py "$@" ;;
  messages)
    shift
    measure messages messages.py "$@" ;;
  stages)
    shift
    /usr/bin/python3 tests/bench/stages.py "$@" ;;
  *)
    echo "$0: '$1' is neither hops, messages nor stages" >&2
    exit 2 ;;
esac
