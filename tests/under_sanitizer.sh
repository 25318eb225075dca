#!/usr/bin/env bash
# Runs tests with LLVM's AddressSanitizer, which finds reads and writes outside of memory. ThreadSanitizer is not offered:
# it would report what the standard library, which is not instrumented, synchronises.
#
#     tests/under_sanitizer.sh [ARGUMENTS OF cargo test]
#     tests/under_sanitizer.sh -p ecgpu --lib --test golden
#
# Without arguments the unit tests of the library and the tests of the CPU. The sanitizer is in the stable compiler, which
# accepts the flag from its own bootstrap only.
set -euo pipefail
[ $# -gt 0 ] || set -- -p ecgpu --lib --test concurrency --test cpu_allocations --test golden --test classifier
cd "$(dirname "$0")/.."
triple=$(rustc -vV | sed -n 's/^host: //p')
# A message ends the test with an error.
export ASAN_OPTIONS=detect_leaks=0:halt_on_error=1
RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=target/address \
    cargo test --release --locked --target "$triple" --all-features "$@"
