#!/usr/bin/env bash
# Runs a command with SwiftShader as the only GPU: Google's software Vulkan, whose subgroups have four lanes and which has
# neither f16 nor 64-bit integers, beside Mesa's lavapipe a second opinion on every shader.
#
#     tests/on_swiftshader.sh FOLDER COMMAND [ARGUMENTS]
#     tests/on_swiftshader.sh target/swiftshader cargo test --release --test parity
#
# Takes it out of Debian's package chromium-common, 32 MB, into FOLDER, 5 MB, unless it is there.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
folder=$1
shift

if [ ! -e "$folder/vk_swiftshader_icd.json" ]; then
    mkdir -p "$folder"
    unpacked=$(mktemp -d)
    trap 'rm -rf "$unpacked"' EXIT
    # Where the lists of packages are absent or old, a download fails.
    (cd "$unpacked" && { apt-get download -q chromium-common || { apt-get update -q && apt-get download -q chromium-common; }; })
    dpkg-deb -x "$unpacked"/chromium-common_*.deb "$unpacked"
    cp "$unpacked"/usr/lib/chromium/{libvk_swiftshader.so,vk_swiftshader_icd.json} "$folder"
fi
driver=$(realpath "$folder")/vk_swiftshader_icd.json
# The second name is that of Vulkan loaders before 1.3.207.
VK_DRIVER_FILES=$driver VK_ICD_FILENAMES=$driver "$@"
