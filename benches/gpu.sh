#!/usr/bin/env bash
# Everything there is to measure on one GPU, in one go: that it is right, inference and training, in f32 and in f16; then
# times, stages and the choice of kernels for each shape; then a step of training; then PyTorch on the same card. Where
# something is not right, nothing is timed, for a fast wrong answer is worth nothing.
#
#   benches/gpu.sh OUT [BINARIES]
#
# OUT is where results go, one file a command; everything is printed as well. BINARIES, target/release if absent, is the
# folder of what it runs, which may be copied to another machine, stripped, without this repository:
#   ecgpu                                                        cargo build --release
#   parity-* independent_records-* sabotage-* tuning-* golden-* gradients-* training-* augmentations-*
#                                                                cargo test --release --no-run, which says where they are
#   training_step-*                                              cargo bench --no-run
# golden-* and gradients-* read what PyTorch computed from the folder ECGPU_GOLDEN, 35 MB, and skip it, aloud, without.
#
# ECGPU_DEVICE   the device for ecgpu, gpu if unset; the others take the best GPU
# SHAPES         records x samples of a forward pass, "1x5000 1x1000 32x1000 128x1000 1024x1000" if unset
# SECONDS_EACH   the time for one case, 2 if unset
# LIMIT_EACH     seconds after which a command is ended as failed, 120 if unset
# PYTORCH        a folder with python/h200.py, which times PyTorch; it is ended after LIMIT_PYTORCH seconds, 240 if unset, and
#                what it has written until then is kept
set -uo pipefail
out=${1:?usage: benches/gpu.sh OUT [BINARIES]}
mkdir -p "$out"
out=$(realpath "$out")
binaries=$(realpath "${2:-target/release}")
ecgpu=$binaries/ecgpu
device=${ECGPU_DEVICE:-gpu}
shapes=${SHAPES:-1x5000 1x1000 32x1000 128x1000 1024x1000}
seconds=${SECONDS_EACH:-2}
limit=${LIMIT_EACH:-120}
failed=

# Runs a command, shows what it says and keeps it in a file of this name.
keep() {
    local name=$1 begin=$SECONDS
    shift
    printf '\n== %s: %s\n' "$name" "$*"
    timeout "$limit" "$@" 2>&1 | tee "$out/$name" || failed="$failed $name"
    echo "== $name took $((SECONDS - begin)) s"
}

# Runs the newest program of a name that cargo made, here or in its folder deps.
keep_program() {
    local name=$1 program newest=
    shift
    for program in "$binaries/$name"-* "$binaries/deps/$name"-*; do
        if [ -x "$program" ] && [ "$program" -nt "$newest" ]; then newest=$program; fi
    done
    if [ -n "$newest" ]; then keep "$name.txt" "$newest" "$@"; else echo "SKIPPED: no $name-* in $binaries" | tee "$out/$name.txt"; fi
}

keep devices.txt "$ecgpu" devices
for precision in f32 f16; do
    keep "verify-$precision.txt" "$ecgpu" verify --device "$device" --precision "$precision"
done
for name in parity independent_records sabotage tuning golden gradients training augmentations; do
    keep_program "$name"
done
if [ -n "$failed" ]; then
    echo "not right on this device, so that nothing is timed:$failed" >&2
    exit 1
fi

keep bench.jsonl "$ecgpu" bench --device "$device" --seconds "$seconds" --json
for shape in $shapes; do
    of=(--device "$device" --network 542k --batch "${shape%x*}" --samples "${shape#*x}")
    for precision in f32 f16; do
        keep "bench-$shape-$precision.jsonl" "$ecgpu" bench "${of[@]}" --precision "$precision" --seconds "$seconds" --json
    done
    keep "profile-$shape.txt" "$ecgpu" profile "${of[@]}"
    tuning=$out/$shape.tuning
    keep "tune-$shape.txt" "$ecgpu" tune "${of[@]}" --out "$tuning" --force
    keep "tuned-$shape.jsonl" "$ecgpu" bench "${of[@]}" --tuning "$tuning" --seconds "$seconds" --json
done
export CRITERION_HOME=$out/criterion
keep_program training_step --bench --noplot
if [ -n "${PYTORCH:-}" ]; then
    cd "$PYTORCH"
    limit=${LIMIT_PYTORCH:-240}
    keep pytorch.txt python3 python/h200.py --only latency,train,throughput --seconds "$seconds" --out "$out/pytorch.jsonl"
fi

echo
grep -h SKIPPED "$out"/*.txt | sort -u
echo "$SECONDS s in all${failed:+, and these failed:$failed}"
[ -z "$failed" ]
