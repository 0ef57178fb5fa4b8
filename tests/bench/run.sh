#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Installs what is missing, builds for speed, and measures a frame's way between two
# pipelines beside its peers, in turns:
#
#   tests/bench/run.sh                 30 and 60 frames a second, 1000, and as many as can be
#   tests/bench/run.sh --fps 60 ...    what bench.py is told
#
# Figures go to the terminal, and to build-tests/bench/hops.csv and hops.html.
set -eu
cd "$(dirname "$0")/../.."
.ci/packages.sh build demo bench
build=$PWD/build-tests/bench
[ -f "$build/build.ninja" ] || meson setup "$build" --buildtype=release -Dpython=false
ninja -C "$build"

NDSH_DIR=$(mktemp -d)
export NDSH_DIR NDSH_BENCH_HOP="$build/tests/bench/bench-hop"
export GST_PLUGIN_PATH="$build/plugin" LD_LIBRARY_PATH="$build/lib"
export GST_REGISTRY="$build/bench-registry.bin"
trap 'rm -r "$NDSH_DIR"' EXIT
bench() {
  /usr/bin/python3 tests/bench/bench.py "$@" --csv "$build/hops.csv" \
    --html "$build/hops.html"
}
if [ $# -gt 0 ]; then
  bench "$@"
else
  bench --fps 30,60,1000,0 --frames 1000
fi
