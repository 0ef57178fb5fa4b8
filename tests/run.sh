#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Installs what is missing, builds, and runs the test suites:
#
#   tests/run.sh                everything that CI runs
#   tests/run.sh unit e2e       only these suites, in the plain build
#   tests/run.sh thorough       what takes hours: all of it with larger bounds, the
#                               fuzzers for long, the benches, and every break of
#                               tests/breaks
#
# The suites are run in a plain build with gcc; the library's once more under
# AddressSanitizer and UBSan, with hostile peers, under ThreadSanitizer, and under
# valgrind. clang builds what runs under AddressSanitizer, hence all of it without a
# warning, and the fuzzers, which run for some seconds each.
# Builds lie in build-tests/.
set -eu
cd "$(dirname "$0")/.."
.ci/packages.sh build demo tests

configure() { # directory, options...
  directory=build-tests/$1
  shift
  [ -f "$directory/build.ninja" ] || meson setup "$directory" -Dwerror=true "$@"
  ninja -C "$directory"
}

check() { # directory, arguments of meson test...
  directory=build-tests/$1
  shift
  meson test -C "$directory" --no-rebuild --print-errorlogs "$@"
}

suites() { # names
  for suite; do
    printf -- '--suite %s ' "$suite"
  done
}

configure_asan() {
  (export CC=clang; configure asan -Db_sanitize=address,undefined -Db_lundef=false)
}

configure_tsan() {
  configure tsan -Db_sanitize=thread -Dplugin=false
}

configure_fuzz() {
  (export CC=clang; configure fuzz -Dfuzz=true --buildtype=debugoptimized \
    -Db_sanitize=address,undefined -Db_lundef=false)
}

configure plain
if [ "$*" = thorough ]; then
  check plain --suite thorough
  check plain --suite bench
  configure_fuzz
  check fuzz --suite thorough
  tests/breaks/breaks.py
  exit
fi
if [ $# -gt 0 ]; then
  # shellcheck disable=SC2046
  check plain $(suites "$@")
  exit
fi

# Many tests leave a processor idle: the other builds are made meanwhile.
log=build-tests/others.log
(configure_asan && configure_tsan && configure_fuzz) > $log 2>&1 &
others=$!
renice -n 19 $others > /dev/null
check plain --no-suite thorough --no-suite bench || { kill $others; exit 1; }
wait $others || { cat $log; exit 1; }
ASAN_OPTIONS=detect_leaks=1 check asan --suite unit --suite protocol
ASAN_OPTIONS=detect_leaks=0 check asan --suite elements
TSAN_OPTIONS=halt_on_error=1 check tsan --suite unit
check plain --suite unit --no-suite not-for-valgrind --setup valgrind
check plain --suite elements --no-suite not-for-valgrind --setup memcheck
check fuzz --suite fuzz
echo "all suites passed"
