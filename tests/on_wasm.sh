#!/usr/bin/env bash
# Builds the library for wasm32-unknown-unknown with SIMD128 and runs one classification in Node, beside the native CPU.
#
#     tests/on_wasm.sh FOLDER
#     tests/on_wasm.sh target/wasm
#
# Where the toolchain has the target (`rustup target add wasm32-unknown-unknown`), it is used. Otherwise FOLDER/debian
# becomes a Debian sid with Rust and the target, 1.9 GB: that needs root and debootstrap.
set -euo pipefail
[ $# -eq 1 ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
cd "$(dirname "$0")/.."
mkdir -p "$1"
folder=$(realpath "$1")
target=wasm32-unknown-unknown
build="cargo build --release --locked -p ecgpu-wasm-test --target $target --target-dir $folder/build"
export RUSTFLAGS='-C target-feature=+simd128' CARGO_PROFILE_RELEASE_LTO=true CARGO_PROFILE_RELEASE_PANIC=abort

if [ -d "$(rustc --print target-libdir --target "$target")" ]; then
    $build
else
    debian=$folder/debian
    if [ ! -x "$debian/usr/bin/wasm-ld" ]; then
        rm -rf "$debian"
        debootstrap --variant=minbase --include=rustc,cargo,libstd-rust-dev-wasm32,lld,gcc,libc6-dev sid "$debian" >"$folder/debootstrap.log" ||
            { tail "$folder/debootstrap.log" >&2; exit 1; }
    fi
    # The crates come from the host's registry, so that the other system needs no network.
    cargo fetch --locked --target "$target"
    home=${CARGO_HOME:-$HOME/.cargo}
    mkdir -p "$debian$PWD" "$debian$folder/build" "$debian$home"
    mkdir -p "$folder/build"
    for shared in "$PWD" "$folder/build" "$home"; do
        mount --bind "$shared" "$debian$shared"
        trap 'umount "$debian$folder/build" "$debian$home" "$debian$PWD" 2>/dev/null || true' EXIT
    done
    chroot "$debian" env -i PATH=/usr/bin:/bin HOME=/root CARGO_HOME="$home" RUSTFLAGS="$RUSTFLAGS" \
        CARGO_PROFILE_RELEASE_LTO=true CARGO_PROFILE_RELEASE_PANIC=abort \
        CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld sh -c "cd '$PWD' && /usr/bin/$build --offline"
fi
env -u RUSTFLAGS -u CARGO_PROFILE_RELEASE_LTO -u CARGO_PROFILE_RELEASE_PANIC \
    cargo run --release --locked --quiet -- classify --json --device cpu >"$folder/native.json"
node tests/wasm.mjs "$folder/build/$target/release/ecgpu_wasm_test.wasm" "$folder/native.json"
