#!/usr/bin/env bash
# Reads made-up files for SECONDS a format with libFuzzer, beginning with the small files of tests/data and fuzz/seeds.
#
#     tests/fuzz.sh SECONDS [TARGET…]
#
# Without targets, all of them run, as many at once as there are processors. Fails on a panic, on more than 100 MiB, and
# where one file takes five seconds. The file that brings it about is named and kept in fuzz/artifacts. fuzz/README.md says
# more.
set -euo pipefail
cd "$(dirname "$0")/.."
export seconds=${1:?usage: tests/fuzz.sh SECONDS [TARGET…]}
shift
mapfile -t targets < <(sed -n 's/.*{ name = "\([a-z0-9_]*\)".*/\1/p' fuzz/Cargo.toml)
[ $# -eq 0 ] || targets=("$@")

# What cargo-fuzz passes to the compiler. The stable one has coverage, but accepts it from its own bootstrap only.
coverage='--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0'
triple=$(rustc -vV | sed -n 's/^host: //p')
RUSTC_BOOTSTRAP=1 RUSTFLAGS=$(echo $coverage) cargo build --release --locked --manifest-path fuzz/Cargo.toml --target "$triple"
export programs=fuzz/target/$triple/release

# Copies the files from which a target begins into its corpus.
seed() {
    local target=$1 corpus=$2 extension=${1##*_} file stem
    for file in fuzz/seeds/"$target"/* tests/data/*."$extension"; do
        [ -f "$file" ] && [ "$(wc -c <"$file")" -le 65536 ] || continue
        stem=$(basename "$file" ".$extension")
        if [ "$extension" = hea ] && [ "${file%.hea}" != "$file" ]; then
            # A zero separates a header from its signals.
            { sed "s/\b$stem[_a-z]*\.dat/x.dat/" "$file"; printf '\0'; cat "tests/data/$stem"*.dat; } >"$corpus/$stem"
        else
            cp "$file" "$corpus/seed-$(basename "$file")"
        fi
    done
}

# Runs a target.
fuzz() {
    local target=$1 corpus=fuzz/corpus/$1 artifacts=fuzz/artifacts/$1 log=fuzz/artifacts/$1.log status=0
    mkdir -p "$corpus" "$artifacts"
    seed "$target" "$corpus"
    "$programs/$target" "$corpus" -artifact_prefix="$artifacts/" -max_total_time="$seconds" -max_len=65536 \
        -rss_limit_mb=512 -malloc_limit_mb=128 -timeout=5 -print_final_stats=1 >"$log" 2>&1 || status=$?
    echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") executions"
    [ "$status" -eq 0 ] && return
    grep -E 'panicked|^[a-z ]*allocation|ERROR: libFuzzer|Test unit written' -A 1 "$log" | grep -v '^--' || tail -20 "$log"
    return 1
}
export -f seed fuzz

printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I '{}' bash -euo pipefail -c 'fuzz {}' ||
    { echo 'what a target failed on is in fuzz/artifacts' >&2; exit 1; }
