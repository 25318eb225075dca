#!/usr/bin/env bash
# Runs tests with a sanitizer of LLVM: `address` finds reads and writes outside of memory, `thread` finds data races.
#
#     tests/under_sanitizer.sh address|thread [ARGUMENTS OF cargo test]
#     tests/under_sanitizer.sh address -p ecgpu --lib --test golden
#
# Without arguments the unit tests of the library and the tests of the CPU. The sanitizers are in the stable compiler, which
# accepts the flag from its own bootstrap only. The standard library itself is not instrumented.
set -euo pipefail
case "${1:-}" in
address | thread) sanitizer=$1 ;;
*) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
esac
shift
[ $# -gt 0 ] || set -- -p ecgpu --lib --test concurrency --test cpu_allocations --test golden --test classifier
cd "$(dirname "$0")/.."
triple=$(rustc -vV | sed -n 's/^host: //p')
# A message ends the test with an error.
export ASAN_OPTIONS=detect_leaks=0:halt_on_error=1 TSAN_OPTIONS=halt_on_error=1
RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=$sanitizer -Cunsafe-allow-abi-mismatch=sanitizer" CARGO_TARGET_DIR=target/$sanitizer \
    cargo test --release --locked --target "$triple" --all-features "$@"
