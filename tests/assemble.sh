#!/usr/bin/env bash
# Compiles every variant of every shader with the compiler of a GPU that this machine does not have, and prints a table of
# registers, spills and occupancy: docs/measurements/assemblers.md. Mesa's drivers work on a pretended kernel driver; they
# compile as for the card and compute nothing.
#
#     tests/assemble.sh FOLDER DRIVER GPU [STATISTIC]...
#     tests/assemble.sh /tmp/sid amdgpu navi31 VGPRs 'Spilled VGPRs' 'LDS size' 'Subgroups per SIMD'
#
# DRIVER and GPU: amdgpu with navi21, vangogh, navi31 or gfx1201; nouveau with a chipset such as 0x164 (Turing) or 0x192
# (Ada); freedreno with 660, 730 or 750; asahi with any text. Without statistics it prints all that the driver has.
#
# Makes FOLDER, Debian sid with its Mesa, about 700 MB, unless it is there. Needs root, debootstrap and a C compiler.
set -euo pipefail
[ $# -ge 3 ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
folder=$1 driver=$2 gpu=$3
shift 3
cd "$(dirname "$0")/.."

case $driver in
    amdgpu) vulkan=radeon variable=AMDGPU_GPU_ID ;;
    nouveau) vulkan=nouveau variable=NOUVEAU_CHIPSET ;;
    freedreno) vulkan=freedreno variable=FD_GPU_ID ;;
    asahi) vulkan=asahi variable=ASAHI_GPU ;;
    *) echo "no driver $driver" >&2 && exit 2 ;;
esac
# Never into a folder that has something else.
if [ ! -e "$folder" ]; then
    debootstrap --variant=minbase --include=libvulkan1,mesa-vulkan-drivers,mesa-drm-shim sid "$folder"
fi
shim=/usr/lib/x86_64-linux-gnu/lib${driver}_noop_drm_shim.so
[ -e "$folder$shim" ] || { echo "$folder has no $shim: name a folder that does not exist" >&2; exit 1; }
cargo build --quiet --release --locked --example assemble
mkdir -p "$folder/layer" "$folder/dev/dri"
cp target/release/examples/assemble "$folder/layer"
cc -shared -fPIC -O1 -o "$folder/layer/statistics.so" testing/src/statistics_layer.c
cat >"$folder/layer/statistics.json" <<'END'
{ "file_format_version": "1.0.0", "layer": { "name": "VK_LAYER_ECGPU_statistics", "type": "GLOBAL",
  "api_version": "1.3.0", "library_path": "./statistics.so", "implementation_version": "1",
  "description": "prints what the driver says of pipelines" } }
END
chroot "$folder" env HOME=/tmp XDG_RUNTIME_DIR=/tmp MESA_SHADER_CACHE_DISABLE=1 \
    VK_DRIVER_FILES="/usr/share/vulkan/icd.d/${vulkan}_icd.json" "$variable=$gpu" \
    VK_LAYER_PATH=/layer VK_INSTANCE_LAYERS=VK_LAYER_ECGPU_statistics ECGPU_STATISTICS_LAYER=/layer/statistics.so \
    LD_PRELOAD=$shim /layer/assemble "$@"
