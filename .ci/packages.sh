#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Installs what ndsh needs on Debian, Raspberry Pi OS and Ubuntu, as root or with
# sudo. The one place that names packages:
#
#   .ci/packages.sh build           to build the library and the elements
#   .ci/packages.sh build demo      and to run examples/demo.sh
#   .ci/packages.sh build demo tests
#   .ci/packages.sh build demo bench     for tests/bench/run.sh
#   .ci/packages.sh build demo tests libraries    with what is large and tests skip
#                                        where it is missing: OpenCV and PyTorch
set -eu

build='gcc meson ninja-build pkg-config libglib2.0-dev libgstreamer1.0-dev
  libgstreamer-plugins-base1.0-dev python3-numpy'
demo='gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good'
tests='gstreamer1.0-plugins-base-apps gstreamer1.0-plugins-bad gstreamer1.0-libav gstreamer1.0-x python3
  clang valgrind strace util-linux debootstrap spin
  python3-numpy python3-pytest mypy python3-pip python3-setuptools python3-wheel
  python3-gi python3-gi-cairo gir1.2-gst-plugins-base-1.0
  gir1.2-gst-rtsp-server-1.0'
# Not in Debian 11: sanitizers of clang, and what a test is skipped without.
newer='libclang-rt-dev gi-docgen gobject-introspection libgirepository1.0-dev'
bench='gstreamer1.0-plugins-bad python3 python3-matplotlib python3-numpy strace
  valgrind libzmq3-dev iceoryx libiceoryx-binding-c-dev'
libraries='python3-opencv python3-torch'

packages=
for group; do
  case $group in
    build) packages="$packages $build" ;;
    demo) packages="$packages $demo" ;;
    tests)
      packages="$packages $tests"
      for package in $newer; do
        if apt-cache show "$package" >/dev/null 2>&1; then packages="$packages $package"; fi
      done
      ;;
    bench) packages="$packages $bench" ;;
    libraries) packages="$packages $libraries" ;;
    *)
      echo "$0: there is no group '$group': build, demo, tests, bench, libraries" >&2
      exit 2 ;;
  esac
done

missing=
for package in $packages; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' ||
    missing="$missing $package"
done
[ -n "$missing" ] || exit 0

sudo=
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || {
    echo "ndsh needs these packages; install them as root:$missing" >&2
    exit 1
  }
  sudo=sudo
fi
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -q
# shellcheck disable=SC2086
$sudo apt-get install -q -y --no-install-recommends $missing
