#!/usr/bin/env bash
# Runs the examples of the Python package for Ray Data and Spark on this machine, and compares them with `ecgpu score`.
#
#     tests/on_engines.sh FOLDER [prepare]
#     tests/on_engines.sh target/engines
#
# Packages are installed into FOLDER; `prepare` stops when they are there. The package is the one that tests/on_python.sh leaves in
# target/python_package/site, or in the folder that ECGPU_SITE names. Needs Java 17 or 21.
set -euo pipefail
[ $# -eq 1 ] || [ "${2:-}" = prepare ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
cd "$(dirname "$0")/.."
mkdir -p "$1"
folder=$(realpath "$1")
python=$folder/environment/bin/python
# Written when pip has ended.
[ -e "$folder/installed" ] || {
    python3 -m venv "$folder/environment"
    "$python" -m pip install --quiet --disable-pip-version-check --no-compile \
        --requirement bindings/python/tests/engines/requirements.txt
    touch "$folder/installed"
}
[ $# -eq 1 ] || exit 0

site=$(realpath "${ECGPU_SITE:-target/python_package/site}")
[ -e "$site/ecgpu/_native.abi3.so" ] || {
    echo "the Python package is not in $site: run tests/on_python.sh target/python_package first" >&2
    exit 1
}
command -v java >/dev/null || { echo 'Spark needs Java: apt-get install openjdk-17-jre-headless' >&2; exit 1; }

cd bindings/python
for example in ray_score spark_score; do
    PYTHONPATH=$site "$python" "examples/$example.py" --help | grep -q 'examples:'
done
PYTHONPATH=$site "$python" -m pytest --quiet -p no:cacheprovider tests/engines
