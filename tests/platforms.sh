#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Builds ndsh on other releases of Debian, with warnings as errors, and runs the suites
# unit, elements, fuzz, python and e2e there:
#
#   tests/platforms.sh trixie
#   tests/platforms.sh bullseye bookworm trixie sid      Debian 11, 12, 13 and unstable
#
# Each release is unpacked by debootstrap in a directory, $NDSH_PLATFORMS/RELEASE, or
# build-tests/platforms/RELEASE; it and the build in it, /build, are used again. To have
# it made anew, remove it. Wants root, debootstrap, and the network the first time.
set -eu

mirror=http://deb.debian.org/debian
source=$(cd "$(dirname "$0")/.." && pwd)
platforms=${NDSH_PLATFORMS:-$source/build-tests/platforms}

usage() {
  sed -n '4,12s/^#\( \|$\)//p' "$0" >&2
  exit 2
}

# Its own mounts, which end with it. Who is in a chroot may make no user namespaces, and
# tests do: hence pivot_root.
enter() { # root, command...
  root=$1
  shift
  # shellcheck disable=SC2016
  unshare --mount sh -euc '
    root=$1 source=$2
    shift 2
    mount --bind "$root" "$root"
    for directory in proc dev sys; do
      mount --rbind "/$directory" "$root/$directory"
    done
    mount --bind "$source" "$root/ndsh"
    cd "$root"
    pivot_root . mnt
    cd /ndsh
    umount -l /mnt
    exec env -i HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
      PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
  ' - "$root" "$source" "$@"
}

# Services of packages are not started. A mirror may lag behind.
prepare() { # release, root
  rm -rf "$2"
  mkdir -p "$2"
  debootstrap --variant=minbase "$1" "$2" $mirror
  mkdir -p "$2/ndsh"
  printf '#!/bin/sh\nexit 101\n' >"$2/usr/sbin/policy-rc.d"
  chmod +x "$2/usr/sbin/policy-rc.d"
  echo 'Acquire::Check-Valid-Until "no";' >"$2/etc/apt/apt.conf.d/90ndsh"
  cp /etc/resolv.conf "$2/etc/resolv.conf"
  enter "$2" apt-get update -q
  # The meson of Debian 11 is too old, and that of 12 is Python alone.
  if [ "$1" = bullseye ]; then
    wget -q -P "$2/tmp" $mirror/pool/main/m/meson/meson_1.0.1-5_all.deb
    enter "$2" apt-get install -q -y --no-install-recommends /tmp/meson_1.0.1-5_all.deb
  fi
  enter "$2" .ci/packages.sh build demo tests
  touch "$2/prepared"
}

run() { # release, root
  [ -f "$2/prepared" ] || prepare "$1" "$2"
  [ -f "$2/build/build.ninja" ] || enter "$2" meson setup /build -Dwerror=true
  enter "$2" ninja -C /build
  enter "$2" meson test -C /build --no-rebuild --print-errorlogs --no-suite not-for-platforms \
    --suite unit --suite elements --suite fuzz --suite python --suite e2e
}

[ $# -gt 0 ] || usage
for release; do
  case $release in
    bullseye | bookworm | trixie | sid) ;;
    *) usage ;;
  esac
done
for tool in debootstrap unshare wget; do
  command -v $tool >/dev/null || { echo "$0: $tool is missing" >&2; exit 1; }
done
[ "$(id -u)" = 0 ] || { echo "$0: only root can enter another system" >&2; exit 1; }
for release; do
  echo "== $release"
  run "$release" "$platforms/$release"
done
