#!/usr/bin/env bash
# Reads made-up files for SECONDS a format with libFuzzer, beginning with the small files of tests/data and fuzz/seeds.
#
#     cargo install cargo-fuzz
#     tests/fuzz.sh SECONDS [TARGET…]
#
# Without targets, all of them run. Fails on a panic, on more than 100 MiB, and where one file takes five seconds. The
# file that brings it about is named and kept in fuzz/artifacts. fuzz/README.md says more.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:?usage: tests/fuzz.sh SECONDS [TARGET…]}
shift
# The stable compiler has what coverage needs, but accepts it from its own bootstrap only.
export RUSTC_BOOTSTRAP=1
triple=$(rustc -vV | sed -n 's/^host: //p')
mapfile -t targets < <(cargo fuzz list)
[ $# -eq 0 ] || targets=("$@")

cargo fuzz build --sanitizer none

# Copies the files from which a target begins into its corpus.
seed() {
    local target=$1 corpus=$2 extension=${1##*_} file stem
    for file in fuzz/seeds/"$target"/* tests/data/*."$extension"; do
        [ -f "$file" ] && [ "$(wc -c <"$file")" -le 65536 ] || continue
        stem=$(basename "$file" ".$extension")
        if [ "$extension" = hea ]; then
            # A zero separates a header from its signals.
            { sed "s/\b$stem[_a-z]*\.dat/x.dat/" "$file"; printf '\0'; cat "tests/data/$stem"*.dat; } >"$corpus/$stem"
        else
            cp "$file" "$corpus/seed-$(basename "$file")"
        fi
    done
}

failed=()
for target in "${targets[@]}"; do
    corpus=fuzz/corpus/$target artifacts=fuzz/artifacts/$target log=fuzz/artifacts/$target.log
    mkdir -p "$corpus" "$artifacts"
    seed "$target" "$corpus"
    status=0
    "fuzz/target/$triple/release/$target" "$corpus" -artifact_prefix="$artifacts/" -max_total_time="$seconds" \
        -max_len=65536 -rss_limit_mb=512 -malloc_limit_mb=128 -timeout=5 -print_final_stats=1 >"$log" 2>&1 || status=$?
    echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") executions"
    if [ "$status" -ne 0 ]; then
        grep -E 'panicked|^[a-z ]*allocation|ERROR: libFuzzer|Test unit written' -A 1 "$log" | grep -v '^--' || tail -20 "$log"
        failed+=("$target")
    fi
done
[ ${#failed[@]} -eq 0 ] || { echo "failed: ${failed[*]}; the files are in fuzz/artifacts" >&2; exit 1; }
