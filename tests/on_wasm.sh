#!/usr/bin/env bash
# Builds the library for wasm32-unknown-unknown with SIMD128 and runs one classification in Node, beside the native CPU.
#
#     tests/on_wasm.sh FOLDER [prepare]
#     tests/on_wasm.sh target/wasm
#
# Where the toolchain has the target (`rustup target add wasm32-unknown-unknown`), it is used. Otherwise FOLDER/debian
# becomes a Debian with Rust and the target, 1.8 GB: that needs root and debootstrap. `prepare` stops when it is there.
set -euo pipefail
[ $# -eq 1 ] || [ "${2:-}" = prepare ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
cd "$(dirname "$0")/.."
mkdir -p "$1/build"
folder=$(realpath "$1")
target=wasm32-unknown-unknown
settings=(
    "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS=-C target-feature=+simd128"
    CARGO_PROFILE_RELEASE_LTO=true
    CARGO_PROFILE_RELEASE_PANIC=abort
)
options=(--release --locked --target "$target" --target-dir "$folder/build")
build=(cargo build -p ecgpu-wasm-test "${options[@]}")
# The default features compile too, GPU backend included.
check=(cargo check -p ecgpu --lib "${options[@]}")

# Runs a command in the Debian, which sees the repository, the output and the host's registry of crates under their own
# names. The mounts are seen by the command alone and end with it.
in_debian() {
    # shellcheck disable=SC2016
    DEBIAN=$debian SHARED="$PWD:$folder/build:$home" unshare --mount bash -euo pipefail -c '
        IFS=: read -ra shared <<<"$SHARED"
        for path in "${shared[@]}"; do
            mkdir -p "$DEBIAN$path"
            mount --bind "$path" "$DEBIAN$path"
        done
        exec chroot "$DEBIAN" env -i --chdir="${shared[0]}" PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
            CARGO_HOME="${shared[2]}" "$@"
    ' bash "$@"
}

# Makes the Debian: the stable release, with the Rust of its backports.
make_debian() {
    rm -rf --one-file-system "$debian" &&
        debootstrap --variant=minbase trixie "$debian" &&
        sed 's/ trixie / trixie-backports /' "$debian/etc/apt/sources.list" \
            >"$debian/etc/apt/sources.list.d/backports.list" &&
        in_debian apt-get update -q &&
        in_debian env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends -t trixie-backports \
            rustc cargo libstd-rust-dev-wasm32 lld gcc libc6-dev &&
        touch "$debian/complete"
}

debian=$folder/debian home=${CARGO_HOME:-$HOME/.cargo}
own=$(rustc --print target-libdir --target "$target")
if [ ! -d "$own" ] && [ ! -e "$debian/complete" ]; then
    make_debian >"$folder/debian.log" 2>&1 || { tail "$folder/debian.log" >&2; exit 1; }
fi
[ $# -eq 1 ] || exit 0

if [ -d "$own" ]; then
    env -u RUSTFLAGS "${settings[@]}" "${check[@]}"
    env -u RUSTFLAGS "${settings[@]}" "${build[@]}"
else
    # Cargo on the host fetches the crates, as it is set up for the network.
    cargo fetch --locked --target "$target"
    settings+=(CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld)
    in_debian env "${settings[@]}" "${check[@]}" --offline
    in_debian env "${settings[@]}" "${build[@]}" --offline
fi
cargo run --release --locked --quiet -- classify --json --device cpu >"$folder/native.json"
node tests/wasm.mjs "$folder/build/$target/release/ecgpu_wasm_test.wasm" "$folder/native.json"
