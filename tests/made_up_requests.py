"""Sends requests that schemathesis makes up from /openapi.json, and some with a recording, which it cannot make up, and checks
that each response is one that is described there.

    made_up_requests.py ADDRESS TOKEN
"""

import io
import pathlib
import subprocess
import sys

import numpy
import requests
import schemathesis

address, token = sys.argv[1:]
headers = {"Authorization": f"Bearer {token}"}

ecg = numpy.random.default_rng(1).normal(size=(1, 12, 1000)).cumsum(axis=2).astype("f4") / 50
file = io.BytesIO()
numpy.save(file, ecg)
options = {"sampling_rate_hz": 100, "unit": "mV", "embedding": True, "signals": True, "explain": True}
tensor = {"name": "ecg", "datatype": "FP32", "shape": ecg.shape, "data": ecg.ravel().tolist()}
in_toolkit = {"inputs": ecg.tolist(), "parameters": {"sampling_rate_hz": 100, "unit": "mV"}}
in_protocol = {"id": "a", "inputs": [tensor], "outputs": [{"name": "logits"}]}
schema = schemathesis.openapi.from_url(f"http://{address}/openapi.json")
for path, arguments in [
    ("/api/predict", {"json": {"inputs": ecg.tolist(), **options}}),
    ("/api/predict", {"data": file.getvalue(), "headers": {"Content-Type": "application/octet-stream"}}),
    ("/api/predict", {"files": {"file": ("ecg.npy", file.getvalue())}, "data": {"embedding": "true"}}),
    ("/", {"json": in_toolkit}),
    ("/predict", {"json": in_toolkit}),
    ("/v2/models/{model}/infer", {"json": in_protocol}),
    ("/v2/models/{model}/infer", {"json": {"inputs": [tensor], "parameters": {"binary_data_output": True}}}),
]:
    arguments["headers"] = {**headers, **arguments.get("headers", {})}
    response = requests.post(f"http://{address}{path.format(model='ecgpu')}", **arguments)
    assert response.status_code == 200, (path, response.text)
    schema[path]["POST"].validate_response(response)

config = pathlib.Path(__file__).with_suffix(".toml")
command = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "--config-file", config, "run"]
command += [f"http://{address}/openapi.json", "--header", f"Authorization: Bearer {token}"]
run = subprocess.run(command, capture_output=True, text=True)
print(run.stdout)
if run.returncode:
    sys.exit(run.stdout + run.stderr)
