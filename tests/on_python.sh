#!/usr/bin/env bash
# Builds the Python package and runs its checks: ruff, pyright, and its tests with the real wfdb, scikit-learn, pandas and joblib.
#
#     tests/on_python.sh FOLDER [prepare]
#     tests/on_python.sh target/python_package
#
# Packages are installed into FOLDER; `prepare` stops when they are there. The native part is built with the features of the other
# programs of the workspace, whose compiled dependencies it shares; `pip install bindings/python` builds the same with its own.
set -euo pipefail
[ $# -eq 1 ] || [ "${2:-}" = prepare ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
cd "$(dirname "$0")/.."
mkdir -p "$1"
folder=$(realpath "$1")
python=$folder/environment/bin/python
[ -x "$folder/environment/bin/pyright" ] || {
    python3 -m venv "$folder/environment"
    "$python" -m pip install --quiet --disable-pip-version-check --requirement bindings/python/tests/requirements.txt
}
[ $# -eq 1 ] || exit 0

PYO3_BUILD_EXTENSION_MODULE=1 PYO3_PYTHON=$python cargo build --release --locked \
    -p ecgpu -p ecgpu-c -p ecgpu-cli -p ecgpu-server -p ecgpu-testing -p ecgpu-python
rm -rf "$folder/site"
cp -r bindings/python/python "$folder/site"
strip -o "$folder/site/ecgpu/_native.abi3.so" target/release/lib_native.so
export PYTHONPATH=$folder/site

cd bindings/python
"$folder/environment/bin/ruff" format --quiet --check .
"$folder/environment/bin/ruff" check --quiet .
"$folder/environment/bin/pyright" --pythonpath "$python" --warnings
"$python" -m pytest --quiet -p no:cacheprovider tests
"$python" -m doctest README.md
