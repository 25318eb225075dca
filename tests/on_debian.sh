#!/usr/bin/env bash
# Runs a file of tests with the software GPU of another Debian release, whose Mesa may have what this machine's lacks:
# cooperative matrices come with version 26.
#
#     tests/on_debian.sh SUITE FOLDER TEST [ARGUMENTS OF THE TEST PROGRAM]
#     tests/on_debian.sh sid /tmp/sid sabotage matrices
#
# Makes FOLDER, about 700 MB, unless it is there. Needs root, and debootstrap.
set -euo pipefail
[ $# -ge 3 ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
suite=$1 folder=$2 test=$3
shift 3
cd "$(dirname "$0")/.."

# Never into a folder that has something else.
if [ ! -e "$folder" ]; then
    debootstrap --variant=minbase --include=libvulkan1,mesa-vulkan-drivers "$suite" "$folder"
fi
program=$(cargo test --release --all-features --test "$test" --no-run --message-format=json |
    grep '"kind":\["test"\]' | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
mkdir -p "$folder/repository"
mount --bind "$PWD" "$folder/repository"
trap 'umount "$folder/repository"' EXIT
chroot "$folder" env XDG_RUNTIME_DIR=/tmp HOME=/tmp "/repository/${program#"$PWD"/}" "$@"
