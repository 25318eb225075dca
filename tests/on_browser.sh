#!/usr/bin/env bash
# Tests the page in Chromium: every format in WebAssembly, WebGPU and on the server, beside the command line; what is sent;
# bad files; keyboard, axe-core, print, and pictures in light, dark and on a phone.
#
#     tests/on_browser.sh FOLDER [prepare]
#     tests/on_browser.sh target/browser
#
# The engine for browsers must be built (`cargo run -p xtask -- web`, or tests/on_wasm.sh). playwright-core and axe-core are
# installed into FOLDER, Chromium by apt-get where it is missing: that needs root. Pictures go to FOLDER/pictures. CHROMIUM
# names another browser. `prepare` stops when all of them are there.
set -euo pipefail
[ $# -eq 1 ] || [ "${2:-}" = prepare ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
cd "$(dirname "$0")/.."
mkdir -p "$1"
folder=$(realpath "$1")
export CHROMIUM=${CHROMIUM:-/usr/bin/chromium}

prepare() {
    if [ ! -x "$CHROMIUM" ]; then
        apt-get install -qy --no-install-recommends chromium ||
            { apt-get update -q && apt-get install -qy --no-install-recommends chromium; }
    fi
    npm install --silent --no-audit --no-fund --prefix "$folder" playwright-core@1.65.1 axe-core@4.14.1
    touch "$folder/complete"
}
if [ ! -e "$folder/complete" ]; then
    prepare >"$folder/prepare.log" 2>&1 || { tail "$folder/prepare.log" >&2; exit 1; }
fi
[ "${2:-}" != prepare ] || exit 0

if [ ! -e bindings/web/dist/ecgpu_bg.wasm ]; then
    echo 'bindings/web/dist is missing: cargo run -p xtask -- web, or tests/on_wasm.sh target/wasm' >&2
    exit 1
fi
# The server has the page and the engine in it.
cargo build --release --locked --quiet
rm -rf "$folder/pictures" "$folder/written"
FOLDER=$folder node --test --test-reporter=spec --test-concurrency=1 page/tests/*.test.mjs
ls "$folder/pictures"
