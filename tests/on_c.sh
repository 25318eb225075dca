#!/usr/bin/env bash
# Tests the C library: its header beside what cbindgen makes of the source; the examples in C11 and C++17, by gcc and clang with
# every warning an error, under valgrind and AddressSanitizer; a program that misuses it; and the library that `cargo cinstall`
# installs, found by pkg-config and by CMake.
#
#     tests/on_c.sh FOLDER [prepare]
#     tests/on_c.sh target/c
#
# cbindgen is installed into FOLDER, and cargo-c where cargo has none. `prepare` stops when they are there, with clang and
# CMake, whose installation needs root. Needs gcc, g++, pkg-config and valgrind too.
set -euo pipefail
[ $# -eq 1 ] || [ "${2:-}" = prepare ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
cd "$(dirname "$0")/.."
mkdir -p "$1"
folder=$(realpath "$1")
step() { printf -- '-- %s (after %d s)\n' "$1" "$SECONDS"; }
failed() { echo "$1" >&2; exit 1; }

# Unpacks Debian's cargo-c of a release whose cargo knows this workspace's edition, with the libraries that it needs: to compile
# it takes many minutes. Nothing of the system changes.
unpack_cargo_c() {
    local apt=$folder/debian/apt site
    local get=(apt-get -q -o "Dir=$apt" -o Dir::Etc=etc -o Dir::State=state -o "Dir::State::status=$apt/state/status"
        -o Dir::Cache=cache -o APT::Sandbox::User=root)
    site() { apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Origin: Debian' | sed q; }
    site=$(site)
    [ -n "$site" ] || { apt-get update -q && site=$(site); }
    mkdir -p "$apt"/{etc/apt.conf.d,etc/preferences.d,state/lists/partial,cache/archives/partial}
    : >"$apt/state/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site trixie main" >"$apt/etc/sources.list"
    "${get[@]}" update
    "${get[@]}" install --download-only --no-install-recommends -y cargo-c
    for package in "$apt"/cache/archives/*.deb; do
        dpkg-deb -x "$package" "$folder/debian"
    done
    rm -rf "$apt"
    touch "$folder/debian/complete"
}
prepare() {
    [ -x "$folder/tools/bin/cbindgen" ] ||
        CARGO_TARGET_DIR=$folder/tools/build cargo install --debug --root "$folder/tools" --version 0.29.4 cbindgen
    rm -rf "$folder/tools/build"
    cargo cinstall --version || [ -e "$folder/debian/complete" ] || unpack_cargo_c
    command -v clang++ && command -v cmake || apt-get install -qy --no-install-recommends clang cmake ||
        { apt-get update -q && apt-get install -qy --no-install-recommends clang cmake; }
}
prepare >"$folder/prepare.log" 2>&1 || { tail "$folder/prepare.log" >&2; exit 1; }
[ $# -eq 1 ] || exit 0

cargo_cinstall() {
    if cargo cinstall --version >/dev/null 2>&1; then
        cargo cinstall "$@"
    else
        # By the loader of its own release, which passes nothing on to the compiler.
        CARGO=$(command -v cargo) "$folder"/debian/usr/lib/*/ld-linux*.so.? \
            --library-path "$(echo "$folder"/debian/usr/lib/*-linux-gnu)" "$folder/debian/usr/bin/cargo-cinstall" cinstall "$@"
    fi
}
# compile COMPILER STANDARD SOURCE OUTPUT [ARGUMENT…]
compile() {
    "$1" -std="$2" -O1 -g -Wall -Wextra -Wpedantic -Werror "bindings/c/$3" -o "$4" "${@:5}"
}
# check_examples CLASSIFY BATCH [COMMAND…]: runs the two programs, with a command before them.
check_examples() {
    "${@:3}" "$1" tests/data/format16.hea >"$folder/classified"
    grep -qx 'MI .* \*' "$folder/classified" || failed "$1 does not find the infarction"
    if "$1" no-such-file.hea 2>"$folder/error"; then
        failed "$1 succeeds on a file that is not there"
    fi
    grep -q 'reading: no-such-file.hea: ' "$folder/error"
    "${@:3}" "$2" >"$folder/ran"
    grep -q 'every stage agrees' "$folder/ran"
}

step 'the header'
(cd bindings/c && "$folder/tools/bin/cbindgen" --quiet --config cbindgen.toml --output "$folder/ecgpu.h")
cmp "$folder/ecgpu.h" bindings/c/include/ecgpu.h ||
    failed 'bindings/c/include/ecgpu.h is not what cbindgen makes of the source: make it anew'
cargo build --release --locked --quiet
# Under the names that an installed library has.
mkdir -p "$folder/shared" "$folder/static"
cp target/release/libecgpu_c.so "$folder/shared/libecgpu.so"
cp target/release/libecgpu_c.a "$folder/static/libecgpu.a"

step 'the examples by gcc and clang, once under valgrind'
# The stacks of threads that wait for work at the end are "possibly lost" to valgrind.
under_valgrind=(valgrind --quiet --leak-check=full --show-leak-kinds=definite,indirect
    --errors-for-leak-kinds=definite,indirect --error-exitcode=3)
for compilers in "gcc g++" "clang clang++"; do
    read -r c cpp <<<"$compilers"
    for libraries in shared static; do
        link=(-Ibindings/c/include -L"$folder/$libraries" -Wl,-rpath,"$folder/$libraries" -lecgpu -lpthread -ldl -lm)
        compile "$c" c11 examples/classify.c "$folder/classify" "${link[@]}"
        compile "$c" c11 examples/leads.c "$folder/leads" "${link[@]}"
        compile "$cpp" c++17 examples/batch.cpp "$folder/batch" "${link[@]}"
        # One of the four is enough for valgrind, which takes half a minute for each program.
        watch=("${under_valgrind[@]}")
        [ "$c $libraries" = "gcc shared" ] || watch=()
        check_examples "$folder/classify" "$folder/batch" "${watch[@]}"
        "$folder/leads" >"$folder/classified"
        echo "$c, $libraries: compiled without a warning, ran without an error"
    done
done

step 'the examples and every misuse under AddressSanitizer'
sanitize=(-fsanitize=address,undefined -fno-sanitize-recover=all -Ibindings/c/include -L"$folder/static" -lecgpu -lpthread -ldl -lm)
compile gcc c11 examples/classify.c "$folder/classify" "${sanitize[@]}"
compile g++ c++17 examples/batch.cpp "$folder/batch" "${sanitize[@]}"
compile gcc c11 tests/misuse.c "$folder/misuse" "${sanitize[@]}"
# No Vulkan driver is loaded: Mesa's forget a little of their own memory, which the sanitizer would report.
without_driver=(env VK_DRIVER_FILES=/nonexistent ASAN_OPTIONS=detect_leaks=1)
check_examples "$folder/classify" "$folder/batch" "${without_driver[@]}"
"${without_driver[@]}" "$folder/misuse" tests/data/table.csv

step 'cargo cinstall, for the CPU alone and small'
prefix=$folder/prefix
rm -rf "$prefix"
CARGO_TARGET_DIR=$folder/cinstall cargo_cinstall --locked -p ecgpu-c --profile small --no-default-features \
    --features half-weights --prefix "$prefix" --libdir "$prefix/lib" 2>"$folder/cinstall.log" ||
    { cat "$folder/cinstall.log" >&2; exit 1; }
for installed in include/ecgpu.h lib/libecgpu.a lib/libecgpu.so lib/pkgconfig/ecgpu.pc \
    share/cmake/ecgpu/ecgpu-config.cmake share/cmake/ecgpu/ecgpu-config-version.cmake; do
    test -e "$prefix/$installed" || failed "cargo cinstall installs no $installed"
done
cmp "$prefix/include/ecgpu.h" bindings/c/include/ecgpu.h
readelf -d "$prefix/lib/libecgpu.so" | grep 'SONAME.*\[libecgpu\.so\.0\.1\]'

step 'the installed library by pkg-config and CMake'
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
read -ra link <<<"$(pkg-config --cflags --libs ecgpu) -Wl,-rpath,$prefix/lib -lm"
compile gcc c11 examples/classify.c "$folder/classify" "${link[@]}"
compile g++ c++17 examples/batch.cpp "$folder/batch" "${link[@]}"
check_examples "$folder/classify" "$folder/batch"
for static in OFF ON; do
    build=$folder/cmake-$static
    rm -rf "$build"
    CFLAGS=-Werror CXXFLAGS=-Werror cmake -S bindings/c/examples -B "$build" -DCMAKE_PREFIX_PATH="$prefix" \
        -DECGPU_USE_STATIC_LIBS="$static" >"$folder/cmake.log" && cmake --build "$build" >>"$folder/cmake.log" ||
        { cat "$folder/cmake.log" >&2; exit 1; }
    check_examples "$build/classify" "$build/batch"
    needed=$(readelf -d "$build/classify" | grep -c 'NEEDED.*libecgpu' || true)
    test "$static $needed" = "OFF 1" || test "$static $needed" = "ON 0" || failed "CMake links the other library"
done

step 'the size of a program with the CPU alone, weights included'
read -ra link <<<"$(pkg-config --cflags ecgpu) $prefix/lib/libecgpu.a $(sed -n 's/^Libs.private: //p' "$PKG_CONFIG_PATH/ecgpu.pc")"
for program in leads classify; do
    compile gcc c11 "examples/$program.c" "$folder/$program" -Wl,--gc-sections -s "${link[@]}"
    echo "$program: $(stat -c %s "$folder/$program") bytes"
done
"$folder/leads" | grep -q '^NORM'
test "$(stat -c %s "$folder/leads")" -le 2500000
step 'done'
