#!/usr/bin/env bash
# Writes the Swift, Kotlin and Python bindings of bindings/uniffi with UniFFI's bindgen. Python calls the library through them, and
# Kotlin on the JVM, both beside the command line. Swift is not compiled: its compiler takes two gigabytes.
#
#     tests/on_mobile.sh FOLDER [prepare]
#     tests/on_mobile.sh target/mobile
#
# UniFFI's bindgen and a Kotlin compiler are installed into FOLDER; `prepare` stops when they are there, with Java and JNA, whose
# installation needs root. Needs python3 with pip.
set -euo pipefail
[ $# -eq 1 ] || [ "${2:-}" = prepare ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
cd "$(dirname "$0")/.."
mkdir -p "$1"
folder=$(realpath "$1")
jna=/usr/share/java/jna.jar
step() { printf -- '-- %s (after %d s)\n' "$1" "$SECONDS"; }

install_bindgen() {
    local version
    version=$(sed -n '/^name = "uniffi"$/{n;s/^version = "\(.*\)"/\1/p}' Cargo.lock) &&
        CARGO_TARGET_DIR=$folder/tools/build CARGO_PROFILE_DEV_DEBUG=false \
            cargo install --debug --root "$folder/tools" --version "$version" --no-default-features --features cli uniffi &&
        rm -rf "$folder/tools/build"
}
# The compiler that the kernel for Jupyter carries: it is to be had by pip.
install_kotlin() {
    rm -rf "$folder/kotlin" &&
        "${PYTHON:-python3}" -m pip download --quiet --no-deps --dest "$folder/kotlin" kotlin-jupyter-kernel==0.19.0.944 &&
        python3 -m zipfile -e "$folder"/kotlin/*.whl "$folder/kotlin" &&
        rm "$folder"/kotlin/*.whl
}
install_java() {
    apt-get install -qy --no-install-recommends default-jre-headless libjna-java
}
prepare() {
    [ -x "$folder/tools/bin/uniffi-bindgen" ] || install_bindgen || return
    [ -d "$folder/kotlin/run_kotlin_kernel" ] || install_kotlin || return
    { command -v java && [ -e "$jna" ]; } || install_java || { apt-get update -q && install_java; }
}
prepare >"$folder/prepare.log" 2>&1 || { tail "$folder/prepare.log" >&2; exit 1; }
[ $# -eq 1 ] || exit 0

step 'the library, for the CPU alone'
cargo build --release --locked --quiet -p ecgpu-uniffi --no-default-features --target-dir "$folder/build"
library=$folder/build/release/libecgpu_uniffi.so
for language in swift kotlin python; do
    rm -rf "$folder/bindings/$language"
    "$folder/tools/bin/uniffi-bindgen" generate "$library" --language "$language" --no-format --out-dir "$folder/bindings/$language"
done

step 'the names in Swift'
while read -r name; do
    grep -qF "$name" "$folder/bindings/swift/ecgpu.swift" || { echo "not in ecgpu.swift: $name" >&2; exit 1; }
done <<'END'
open class Classifier: ClassifierProtocol
public convenience init(device: String = "auto")throws
public static func fromPath(path: String, device: String = "auto")throws  -> Classifier
public static func fromBytes(bytes: Data, device: String = "auto")throws  -> Classifier
func classifyFile(path: String) throws  -> [Prediction]
func classifyBytes(name: String, bytes: Data) throws  -> [Prediction]
func classifyLeads(leads: [Lead], samplingRate: Double, unit: VoltageUnit) throws  -> Prediction
enum EcgpuError: Swift.Error
public func version() -> String
END
test -s "$folder/bindings/swift/ecgpuFFI.h" -a -s "$folder/bindings/swift/ecgpuFFI.modulemap"

step 'Python'
cargo build --release --locked --quiet
cp "$library" "$folder/bindings/python"
ECGPU=$PWD/target/release/ecgpu PYTHONPATH=$folder/bindings/python python3 bindings/uniffi/tests/bindings.py

step 'Kotlin'
jars=$folder/kotlin/run_kotlin_kernel/jars
runtime=$(echo "$jars"/kotlin-stdlib-*.jar):$jna
java -cp "$jars/*" org.jetbrains.kotlin.cli.jvm.K2JVMCompiler -no-stdlib -no-reflect -cp "$runtime" -d "$folder/kotlin/classes" \
    "$folder/bindings/kotlin/uniffi/ecgpu/ecgpu.kt" bindings/uniffi/tests/Classify.kt
java -Djna.library.path="$folder/build/release" -cp "$folder/kotlin/classes:$runtime" ClassifyKt tests/data/format16.hea \
    >"$folder/classified"
target/release/ecgpu classify --json --device cpu tests/data/format16.hea |
    python3 -c 'import json, sys; print(*json.load(sys.stdin)["probabilities"].values())' | cmp - <(head -n 1 "$folder/classified")
grep -q 'too short for an answer: give at least 1 s' "$folder/classified"
step 'done'
