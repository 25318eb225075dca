#!/usr/bin/env bash
# Requests per second and latencies of `ecgpu serve` beside the same network in ONNX Runtime under FastAPI and uvicorn, on the
# same cores, alternately: 12 x 1000 samples as .npy and as JSON from one client and from 64, by wrk on loopback. Then the
# share of the batch throughput (`ecgpu bench`) that 64 clients with one record each get.
#
#     benches/serving.sh FOLDER [SECONDS [ROUNDS [DEVICE]]]
#     benches/serving.sh target/serving 10 3 cpu
#
# Needs wrk (Debian's package wrk), a release build, and Python; FOLDER gets an environment with the peer's packages.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
cd "$(dirname "$0")/.."
mkdir -p "$1"
folder=$(realpath "$1")
seconds=${2:-10} rounds=${3:-3} device=${4:-cpu}
program=$(realpath "${ECGPU:-target/release/ecgpu}")
cores=$(nproc)
port=${PORT:-21480}
command -v wrk >/dev/null || { echo 'install wrk: apt-get install wrk' >&2; exit 2; }
[ -x "$folder/python/bin/uvicorn" ] || {
    python3 -m venv "$folder/python"
    "$folder/python/bin/python" -m pip install --quiet --disable-pip-version-check \
        fastapi==0.165.0 numpy==2.4.6 onnxruntime==1.32.0 'uvicorn[standard]==0.54.0'
}
"$folder/python/bin/python" benches/serving_peer.py record "$folder/record.npy" "$folder/record.json"
"$program" export 542k --onnx "$folder/542k.onnx" --force >/dev/null

cat >"$folder/post.lua" <<'LUA'
local kind, path = os.getenv("KIND"), os.getenv("BODY")
local file = io.open(path, "rb")
wrk.method, wrk.body = "POST", file:read("*a")
wrk.headers["Content-Type"] = kind
LUA

server=
stop() { [ -z "$server" ] || { kill "$server" 2>/dev/null; wait "$server" 2>/dev/null || true; server=; }; }
trap stop EXIT
start() { # ecgpu|peer
    stop
    if [ "$1" = ecgpu ]; then
        "$program" serve --listen "127.0.0.1:$port" --device "$device" --log off &
    else
        MODEL=$folder/542k.onnx "$folder/python/bin/uvicorn" --app-dir benches serving_peer:app --port "$port" \
            --workers "$cores" --log-level warning --no-access-log &
    fi
    server=$!
    for _ in $(seq 300); do
        curl --silent --fail --output /dev/null "http://127.0.0.1:$port/readyz" && return
        kill -0 "$server"
        sleep 0.2
    done
    echo "$1 is not ready" >&2
    exit 1
}

# Prints requests per second, the median and the 99th percentile in ms, and the responses that are no success.
measure() { # ecgpu|peer npy|json CLIENTS SECONDS
    local path=/api/predict kind=application/json
    [ "$2" = npy ] && kind=application/x-npy
    [ "$1-$2" = ecgpu-npy ] && path='/api/predict?sampling_rate_hz=100&unit=mV'
    [ "$1-$2" = peer-npy ] && path=/api/predict_npy
    KIND=$kind BODY=$folder/record.$2 wrk --threads 1 --connections "$3" --duration "$4s" --timeout 30s --latency \
        --script "$folder/post.lua" "http://127.0.0.1:$port$path" | awk '
        function ms(t) { return t ~ /us$/ ? t / 1000 : t ~ /ms$/ ? t + 0 : t ~ /m$/ ? t * 60000 : t * 1000 }
        $1 == "50%" { median = ms($2) }
        $1 == "99%" { tail = ms($2) }
        /Requests\/sec/ { rate = $2 }
        /Non-2xx/ { failed = $NF }
        /Socket errors/ { failed += $4 + $6 + $8 + $10 }
        END { printf "%.1f %.2f %.2f %d\n", rate, median, tail, failed }'
}

: >"$folder/measured"
for round in $(seq "$rounds"); do
    for who in ecgpu peer; do
        start $who
        [ "$round" -gt 1 ] || curl --silent --fail --data-binary "@$folder/record.json" --header 'Content-Type: application/json' \
            --output "$folder/$who.json" "http://127.0.0.1:$port/api/predict"
        for format in npy json; do
            measure $who $format 64 2 >/dev/null
            for clients in 1 64; do
                echo "$who $format $clients $(measure $who $format $clients "$seconds")" | tee -a "$folder/measured" >&2
            done
        done
    done
done
stop
# The device's throughput with the batches that 64 clients fill, in records per second.
"$program" bench 2>/dev/null --device "$device" --network 542k --batch 64 --samples 1000 --seconds "$seconds" --json >"$folder/bench.json"

"$folder/python/bin/python" - "$folder" "$cores" "$rounds" "$seconds" "$device" <<'PYTHON'
import json, platform, statistics, sys
folder, cores, rounds, seconds, device = sys.argv[1:]
answers = [json.load(open(f"{folder}/{who}.json"))["predictions"][0]["probabilities"] for who in ["ecgpu", "peer"]]
assert all(abs(answers[0][name] - value) < 1e-3 for name, value in answers[1].items()), answers
rows = {}
for line in open(f"{folder}/measured"):
    who, format, clients, *numbers = line.split()
    rows.setdefault((format, int(clients), who), []).append([float(number) for number in numbers])
median = {key: [statistics.median(column) for column in zip(*values)] for key, values in rows.items()}
cpu = next((line.split(": ")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
print(f"{cores} cores of {cpu}, device {device}, {rounds} rounds of {seconds} s, medians\n")
print("| body | clients | | requests per second | median | p99 | failed | times the peer |")
print("|---|---|---|---|---|---|---|---|")
for format in ["npy", "json"]:
    for clients in [1, 64]:
        for who, name in [("ecgpu", "ecgpu serve"), ("peer", "ONNX Runtime, FastAPI")]:
            rate, middle, tail, failed = median[format, clients, who]
            ratio = f"{rate / median[format, clients, 'peer'][0]:.2f}" if who == "ecgpu" else ""
            body = f".{format}" if format == "npy" else "JSON"
            print(f"| {body} | {clients} | {name} | {rate:.0f} | {middle:.1f} ms | {tail:.1f} ms | {failed:.0f} | {ratio} |")
throughput = json.loads(open(f"{folder}/bench.json").readline())["records_per_s"]
share = median["npy", 64, "ecgpu"][0] / throughput
print(f"\n64 clients with one record each as .npy get {share:.0%} of the {throughput:.0f} records per second of `ecgpu bench --batch 64`")
PYTHON
