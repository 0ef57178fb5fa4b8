#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Builds all of ndsh for i386, but what takes GStreamer, on an x86-64 machine, in a
# Debian system that is unpacked for it and entered by chroot. Warnings are errors.
#
#   i386.sh DIRECTORY SOURCE
#
# The build is DIRECTORY/root/build, and DIRECTORY/run starts a program of it from
# outside. What was made before is used again. Exits with 77 and a sentence if it
# cannot be had here.
set -eu
directory=$1
source=$2
root=$directory/root
suite=bookworm
mirror=http://deb.debian.org/debian
packages=gcc,libc6-dev,libglib2.0-dev,meson,ninja-build,pkg-config

cannot() {
  echo "no i386 build: $*" >&2
  exit 77
}

[ "$(uname -m)" = x86_64 ] || cannot "this is no x86-64 machine"
[ "$(id -u)" = 0 ] || cannot "only root can enter another system"
command -v unshare >/dev/null || cannot "unshare is missing (util-linux)"
unshare --mount true 2>/dev/null || cannot "root may not make a mount namespace here"

# Unpacked only: the scripts of packages are for systems that are booted. /bin and
# its like are links, as tar is told to leave them.
unpack() {
  command -v debootstrap >/dev/null || cannot "debootstrap is missing"
  rm -rf "$directory"
  mkdir -p "$directory/debs"
  timeout 300 debootstrap --download-only --arch=i386 --variant=minbase \
    --include=$packages $suite "$directory/debs" $mirror \
    >"$directory/log" 2>&1 || cannot "debootstrap failed: $(tail -n 1 "$directory/log")"
  mkdir -p "$root/usr/bin" "$root/usr/sbin" "$root/usr/lib"
  for name in bin sbin lib; do
    ln -s usr/$name "$root/$name"
  done
  for deb in "$directory"/debs/var/cache/apt/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" |
      tar -x --keep-directory-symlink -C "$root" --exclude='./usr/share/[dlm]o*'
  done
  mkdir -p "$root/proc" "$root/dev" "$root/source" "$root/tmp"
  rm -rf "$directory/debs"
  touch "$directory/unpacked"
}

[ -f "$directory/unpacked" ] || unpack

cat >"$directory/run" <<END
#!/bin/sh
exec "$root/lib/ld-linux.so.2" --library-path \\
  "$root/build/lib:$root/lib/i386-linux-gnu:$root/usr/lib/i386-linux-gnu" "\$@"
END
chmod +x "$directory/run"
"$directory/run" "$root/usr/bin/true" 2>/dev/null ||
  cannot "this kernel does not run i386 programs"

# The mounts are gone with the process.
# shellcheck disable=SC2016
exec unshare --mount sh -euc '
  root=$1 source=$2
  mount --bind "$source" "$root/source"
  mount --bind /dev "$root/dev"
  mount -t proc proc "$root/proc"
  exec chroot "$root" env -i PATH=/usr/bin:/bin CC=gcc LC_ALL=C.UTF-8 sh -euc "
    cd /
    [ -f build/build.ninja ] || meson setup build source -Dplugin=false -Dwerror=true
    exec ninja -C build"' - "$root" "$source"
