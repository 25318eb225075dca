#!/usr/bin/env bash
# Builds the npm package of bindings/web and runs its tests in Node, beside the native command line, and in Chromium.
#
#     tests/on_wasm.sh FOLDER [prepare]
#     tests/on_wasm.sh target/wasm
#
# Where the toolchain has the target (`rustup target add wasm32-unknown-unknown`), it is used. Otherwise FOLDER/debian
# becomes a Debian with Rust and the target, 1.8 GB: that needs root and debootstrap. wasm-bindgen, Binaryen, TypeScript and
# Playwright are installed into FOLDER, and Debian's Chromium, which needs root. `prepare` stops when all of them are there.
set -euo pipefail
[ $# -eq 1 ] || [ "${2:-}" = prepare ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
cd "$(dirname "$0")/.."
mkdir -p "$1" target/web
folder=$(realpath "$1")
target=wasm32-unknown-unknown
debian=$folder/debian home=${CARGO_HOME:-$HOME/.cargo}
own=$(rustc --print target-libdir --target "$target")

# Makes the Debian: the stable release, with the Rust of its backports. FOLDER/cargo is then its cargo, which sees the
# repository and the host's registry of crates under their own names. The mounts are seen by the command alone and end with
# it. Cargo on the host fetches the crates, as it is set up for the network.
make_debian() {
    local within=(chroot "$debian" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive)
    rm -rf --one-file-system "$debian" &&
        debootstrap --variant=minbase trixie "$debian" &&
        sed 's/ trixie / trixie-backports /' "$debian/etc/apt/sources.list" \
            >"$debian/etc/apt/sources.list.d/backports.list" &&
        "${within[@]}" apt-get update -q &&
        "${within[@]}" apt-get install -qy --no-install-recommends -t trixie-backports \
            rustc cargo libstd-rust-dev-wasm32 lld gcc libc6-dev &&
        touch "$debian/complete"
}
write_cargo() {
    cat >"$folder/cargo" <<END
#!/usr/bin/env bash
set -euo pipefail
cargo fetch --locked --quiet --target $target --manifest-path "$PWD/Cargo.toml"
exec unshare --mount bash -euo pipefail -c '
    for path in "$PWD" "$home"; do
        mkdir -p "$debian\$path"
        mount --bind "\$path" "$debian\$path"
    done
    exec chroot "$debian" env -i --chdir="$PWD" PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root CARGO_HOME="$home" \
        CARGO_NET_OFFLINE=true CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld cargo "\$@"
' bash "\$@"
END
    chmod +x "$folder/cargo"
}
install_chromium() {
    [ -e "${CHROMIUM:-/usr/bin/chromium}" ] || apt-get install -qy --no-install-recommends chromium ||
        { apt-get update -q && apt-get install -qy --no-install-recommends chromium; }
}
install_tools() {
    local version
    version=$(sed -n '/^name = "wasm-bindgen"$/{n;s/^version = "\(.*\)"/\1/p}' Cargo.lock) &&
        CARGO_TARGET_DIR=$folder/tools/build \
            cargo install --quiet --debug --root "$folder/tools" --version "$version" --bin wasm-bindgen wasm-bindgen-cli &&
        rm -rf "$folder/tools/build" &&
        npm install --silent --no-audit --no-fund --prefix "$folder" binaryen@132.0.0 playwright-core@1.65.1 typescript@7.0.2 &&
        install_chromium
}
if [ ! -d "$own" ] && [ ! -e "$debian/complete" ]; then
    make_debian >"$folder/debian.log" 2>&1 || { tail "$folder/debian.log" >&2; exit 1; }
fi
install_tools >"$folder/tools.log" 2>&1 || { tail "$folder/tools.log" >&2; exit 1; }
[ $# -eq 1 ] || exit 0

cargo=cargo
if [ ! -d "$own" ]; then
    write_cargo
    cargo=$folder/cargo
fi
export PATH=$folder/tools/bin:$folder/node_modules/.bin:$PATH
# The default features compile too, GPU backend included.
env -u RUSTFLAGS "$cargo" check -p ecgpu --lib --release --locked --target "$target" --target-dir target/web
# The package has a build folder of its own and is linked on one core, so that the command line is compiled beside it.
cargo build --release --locked --quiet -p xtask
target/release/xtask web --cargo "$cargo" &
package=$!
cargo build --release --locked --quiet
wait "$package"
export ECGPU=$PWD/target/release/ecgpu PACKAGE=$PWD/bindings/web/dist PLAYWRIGHT=$folder/node_modules/playwright-core
node --test --test-timeout=600000 bindings/web/tests/*.test.mjs
