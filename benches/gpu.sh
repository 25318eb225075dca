#!/usr/bin/env bash
# Everything there is to measure on one GPU, in one go, about five minutes: parity first, for a fast wrong answer is worth
# nothing, then times, stages and the choice of kernels, then PyTorch on the same card where its folder is given.
#
#   benches/gpu.sh OUT [BINARIES [PEERS]]
#
# OUT is where results go. BINARIES holds ecgpu and, for more parity, the test programs parity-* and golden-*
# (`cargo test --release --no-run` says where they are); target/release if absent. PEERS holds python/h200.py.
# ECGPU_DEVICE names the device, gpu if unset; SECONDS_EACH the time for one case, 2 if unset.
set -uo pipefail
out=${1:?usage: benches/gpu.sh OUT [BINARIES [PEERS]]}
binaries=$(realpath "${2:-target/release}")
peers=${3:-}
device=${ECGPU_DEVICE:-gpu}
seconds=${SECONDS_EACH:-2}
export PATH=$binaries:$PATH
mkdir -p "$out"
out=$(realpath "$out")
failed=0

# Runs a command, shows what it says and keeps it in a file of this name.
keep() {
    local name=$1
    shift
    printf '\n== %s: %s\n' "$name" "$*"
    "$@" 2>&1 | tee "$out/$name" || { echo "== $name failed"; failed=1; }
}

keep devices.txt ecgpu devices
keep verify.txt ecgpu verify --device "$device"
for test in "$binaries"/parity-* "$binaries"/golden-*; do
    if [ -x "$test" ] && [ "${test%.d}" = "$test" ]; then keep "$(basename "${test%-*}").txt" "$test"; fi
done
if [ "$failed" != 0 ]; then
    echo 'not right on this device: nothing is timed' >&2
    exit 1
fi

keep bench.jsonl ecgpu bench --device "$device" --seconds "$seconds" --json
for batch in 32 128 1024; do
    keep "bench-$batch.jsonl" ecgpu bench --device "$device" --seconds "$seconds" --network 542k --samples 1000 \
        --batch "$batch" --json
done
for batch in 1 1024; do
    keep "profile-$batch.txt" ecgpu profile --device "$device" --network 542k --samples 1000 --batch "$batch"
    keep "tune-$batch.txt" ecgpu tune --device "$device" --network 542k --samples 1000 --batch "$batch" \
        --out "$out/batch-$batch.tuning" --force
    keep "tuned-$batch.jsonl" ecgpu bench --device "$device" --seconds "$seconds" --network 542k --samples 1000 \
        --batch "$batch" --tuning "$out/batch-$batch.tuning" --json
done
keep tune-5000.txt ecgpu tune --device "$device" --network 542k --samples 5000 --out "$out/samples-5000.tuning" --force
keep tuned-5000.jsonl ecgpu bench --device "$device" --seconds "$seconds" --network 542k --samples 5000 \
    --tuning "$out/samples-5000.tuning" --json

if [ -n "$peers" ]; then
    cd "$peers" && keep pytorch.txt python3 python/h200.py --seconds "$seconds" --out "$out/pytorch.jsonl"
fi
exit "$failed"
