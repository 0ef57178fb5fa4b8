#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# One process publishes video, three others read it at the same time: one records
# a file, one writes a picture, one is a C program that measures.
#
#   examples/demo.sh             the camera /dev/video0, or else a clip made first
#   examples/demo.sh FILE        a video file
#
# Installs what is missing (apt-get, with sudo unless root), builds into
# build-demo/, writes to demo/, and leaves nothing else behind.
set -eu
input=${1:+$(realpath "$1")}
cd "$(dirname "$0")/.."
.ci/packages.sh build demo

build=$PWD/build-demo
out=$PWD/demo
mkdir -p "$out"
{
  [ -f "$build/build.ninja" ] || meson setup "$build" -Dtests=false
  ninja -C "$build"
} > "$out/build.log" 2>&1 || { cat "$out/build.log"; exit 1; }

export GST_PLUGIN_PATH="$build/plugin" GST_REGISTRY="$build/registry.bin"
NDSH_DIR=$(mktemp -d)
export NDSH_DIR
pids=
cleanup() {
  # shellcheck disable=SC2086
  [ -z "$pids" ] || kill $pids 2>/dev/null || :
  wait
  rm -rf "$NDSH_DIR"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

launch() {
  gst-launch-1.0 -q "$@"
}

if [ -n "$input" ]; then
  ln -s "$input" "$NDSH_DIR/input"      # whose name has no spaces
  source="filesrc location=$NDSH_DIR/input"
  decode="decodebin ! video/x-raw"
  what=$input
elif [ -e /dev/video0 ]; then
  source="v4l2src num-buffers=300"
  decode="decodebin ! video/x-raw"
  what="the camera /dev/video0, 300 frames"
else
  launch videotestsrc num-buffers=240 pattern=ball \
    ! video/x-raw,format=I420,width=1280,height=720,framerate=30/1 \
    ! jpegenc ! matroskamux ! filesink location="$out/clip.mkv"
  source="filesrc location=$out/clip.mkv"
  decode="matroskademux ! jpegdec"
  what="a clip of 240 frames (demo/clip.mkv), through a JPEG decoder"
fi
echo "publishing $what"

# Readers may start before the writer.
launch ndshsrc channel=demo max-buffers=16 ! videoconvert \
  ! vp8enc deadline=1 cpu-used=16 threads=2 ! webmmux \
  ! filesink location="$out/recording.webm" > "$out/record.log" 2>&1 &
record=$!
launch ndshsrc channel=demo num-buffers=1 ! videoconvert ! pngenc \
  ! filesink location="$out/picture.png" > "$out/picture.log" 2>&1 &
picture=$!
"$build/examples/example-watch" demo 3600 > "$out/watch.log" 2>&1 &
watch=$!
pids="$record $picture $watch"

# shellcheck disable=SC2086
launch $source ! $decode ! ndshsink channel=demo > "$out/publish.log" 2>&1 ||
  { cat "$out/publish.log"; exit 1; }

# The end of the stream ends the readers.
for reader in record picture watch; do
  eval "pid=\$$reader"
  wait "$pid" || { echo "$reader failed:"; cat "$out/$reader.log"; exit 1; }
done
pids=

launch filesrc location="$out/recording.webm" ! decodebin ! fakesink
echo "recorded   $out/recording.webm ($(wc -c < "$out/recording.webm") bytes, plays)"
echo "picture    $out/picture.png ($(wc -c < "$out/picture.png") bytes)"
echo "measured by a C program that read at the same time:"
sed 's/^/           /' "$out/watch.log"
