#!/usr/bin/env bash
# Builds the C library, compares its header with what cbindgen makes of the source, and compiles the examples in C11 and C++17
# with every warning an error, against the shared library, which runs under valgrind, and against the static one.
#
#     tests/on_c.sh FOLDER [prepare]
#     tests/on_c.sh target/c
#
# cbindgen is installed into FOLDER; `prepare` stops when it is there. Needs gcc, g++ and valgrind; clang is used where it is installed.
set -euo pipefail
[ $# -eq 1 ] || [ "${2:-}" = prepare ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
cd "$(dirname "$0")/.."
mkdir -p "$1"
folder=$(realpath "$1")
[ -x "$folder/tools/bin/cbindgen" ] ||
    CARGO_TARGET_DIR=$folder/tools/build cargo install --quiet --root "$folder/tools" --version 0.29.4 cbindgen
[ $# -eq 1 ] || exit 0

cd bindings/c
"$folder/tools/bin/cbindgen" --quiet --config cbindgen.toml --output "$folder/ecgpu.h"
cmp "$folder/ecgpu.h" include/ecgpu.h || {
    echo 'bindings/c/include/ecgpu.h is not what cbindgen makes of the source: make it anew' >&2
    exit 1
}
cd ../..
cargo build --release --locked
# Under the names that an installed library has.
mkdir -p "$folder/shared" "$folder/static"
cp target/release/libecgpu_c.so "$folder/shared/libecgpu.so"
cp target/release/libecgpu_c.a "$folder/static/libecgpu.a"

# The stacks of threads that wait for work at the end are "possibly lost" to valgrind.
run() {
    valgrind --quiet --leak-check=full --show-leak-kinds=definite,indirect --errors-for-leak-kinds=definite,indirect \
        --error-exitcode=3 "$@"
}
# compile COMPILER STANDARD SOURCE LIBRARIES OUTPUT
compile() {
    "$1" -std="$2" -O1 -Wall -Wextra -Wpedantic -Werror -Ibindings/c/include "bindings/c/examples/$3" \
        -L"$folder/$4" -Wl,-rpath,"$folder/$4" -lecgpu -lpthread -ldl -lm -o "$folder/$5"
}
for compilers in "gcc g++" "clang clang++"; do
    read -r c cpp <<<"$compilers"
    command -v "$c" >/dev/null || { echo "$c is not installed: not compiled with it"; continue; }
    for libraries in shared static; do
        compile "$c" c11 classify.c "$libraries" classify
        compile "$cpp" c++17 batch.cpp "$libraries" batch
        # One of the two is enough for valgrind, which takes half a minute for each program.
        watched=run
        [ "$libraries" = shared ] || watched=
        $watched "$folder/classify" tests/data/format16.hea >"$folder/classified"
        grep -qx 'MI .* \*' "$folder/classified"
        if "$folder/classify" no-such-file.hea 2>"$folder/error"; then
            echo 'classify succeeds on a file that is not there' >&2
            exit 1
        fi
        grep -q 'reading: no-such-file.hea: ' "$folder/error"
        $watched "$folder/batch" >"$folder/ran"
        grep -q 'every stage agrees' "$folder/ran"
        echo "$c, $libraries: compiled without a warning, ran without an error or a leak"
    done
done
