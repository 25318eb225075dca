#!/usr/bin/env bash
# Runs a file of tests under Khronos' validation layer, with its checks of the use of Vulkan and of synchronisation, on Mesa's
# software GPU of Debian sid, and fails at any message that is not known. Debian 12's layer finds no missing barrier between
# dispatches; sid's does.
#
#     tests/under_validation.sh FOLDER TEST [ARGUMENTS OF THE TEST PROGRAM]
#     tests/under_validation.sh /tmp/sid streams
#
# Makes FOLDER, about 750 MB, unless it is there. Needs root, and debootstrap.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
folder=$(realpath -m "$1")
shift
cd "$(dirname "$0")/.."

if [ ! -e "$folder/usr/share/vulkan/explicit_layer.d/VkLayer_khronos_validation.json" ]; then
    debootstrap --variant=minbase --include=libvulkan1,mesa-vulkan-drivers,vulkan-validationlayers sid "$folder"
fi
cat >"$folder/tmp/vk_layer_settings.txt" <<'END'
khronos_validation.debug_action = VK_DBG_LAYER_ACTION_LOG_MSG
khronos_validation.report_flags = error,warn,perf
khronos_validation.log_filename = /tmp/messages
khronos_validation.validate_sync = true
END
rm -f "$folder/tmp/messages"
VK_LAYER_SETTINGS_PATH=/tmp/vk_layer_settings.txt VK_INSTANCE_LAYERS=VK_LAYER_KHRONOS_validation \
    VK_DRIVER_FILES=/usr/share/vulkan/icd.d/lvp_icd.json tests/on_debian.sh sid "$folder" "$@"
test -e "$folder/tmp/messages" || { echo 'the layer was not loaded' >&2; exit 1; }
# naga 30 gives variables of workgroups an explicit layout, which newer rules of SPIR-V forbid and no driver reads.
if grep '^Validation ' "$folder/tmp/messages" | grep -v 'VUID-StandaloneSpirv-None-10684'; then
    echo "unexpected messages, in full in $folder/tmp/messages" >&2
    exit 1
fi
