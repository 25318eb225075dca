"""Asks a server with tritonclient[http] and compares what it answers.

    triton_client.py ADDRESS VERSION ECG.npy OUTPUTS.json
"""

import asyncio
import json
import sys

import numpy
import tritonclient.http as http
import tritonclient.http.aio as aio
from tritonclient.utils import InferenceServerException

address, version, ecg, outputs = sys.argv[1:]
ecg = numpy.load(ecg)
batch = len(ecg)
expected = {name: numpy.reshape(values, (batch, -1)) for name, values in json.load(open(outputs)).items()}


def tensor(array, name="ecg", datatype="FP32", binary=True, library=http):
    result = library.InferInput(name, list(array.shape), datatype)
    result.set_data_from_numpy(array, binary_data=binary)
    return result


def agrees(result, names=("logits", "probabilities", "embedding"), tolerance=1e-5):
    assert [output["name"] for output in result.get_response()["outputs"]] == list(names)
    for name in names:
        found = result.as_numpy(name)
        assert found.dtype == numpy.float32 and found.shape == expected[name].shape, name
        difference = numpy.abs(found - expected[name]).max()
        assert difference <= tolerance, (name, difference)


def refused(status, part, call):
    try:
        call()
    except InferenceServerException as error:
        assert str(status) in str(error.status()) and part in error.message(), error
    else:
        raise AssertionError(f"not refused: {part}")


client = http.InferenceServerClient(address, concurrency=2, network_timeout=60, connection_timeout=60)
assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("ecgpu")
assert client.is_model_ready("ecgpu", version) and not client.is_model_ready("ecgpu", "9")
metadata = client.get_server_metadata()
assert metadata == {"name": "ecgpu", "version": version, "extensions": ["binary_tensor_data"]}, metadata
for arguments in [("ecgpu",), ("ecgpu", version)]:
    metadata = client.get_model_metadata(*arguments)
    assert (metadata["name"], metadata["versions"], metadata["platform"]) == ("ecgpu", [version], "ecgpu")
    assert metadata["inputs"] == [{"name": "ecg", "datatype": "FP32", "shape": [-1, 12, -1]}]
    shapes = {tensor["name"]: tensor["shape"] for tensor in metadata["outputs"]}
    assert shapes == {name: [-1, array.shape[1]] for name, array in expected.items()}, shapes

# Binary data in both directions, JSON in both, and mixed; every datatype.
agrees(client.infer("ecgpu", [tensor(ecg)]))
agrees(client.infer("ecgpu", [tensor(ecg, binary=False)], model_version=version))
agrees(client.infer("ecgpu", [tensor(ecg.astype("f8"), datatype="FP64")]))
agrees(client.infer("ecgpu", [tensor(ecg.astype("f8"), datatype="FP64", binary=False)]))
agrees(client.infer("ecgpu", [tensor(ecg.astype("f2"), datatype="FP16")]), tolerance=2e-2)
mixed = [
    http.InferRequestedOutput("embedding", binary_data=False),
    http.InferRequestedOutput("logits", binary_data=True),
]
result = client.infer("ecgpu", [tensor(ecg)], outputs=mixed, request_id="ward 4", parameters={"unit": "mV"})
assert result.get_response()["id"] == "ward 4"
agrees(result, ("embedding", "logits"))
alone = [http.InferRequestedOutput("probabilities", binary_data=False)]
agrees(client.infer("ecgpu", [tensor(ecg, binary=False)], outputs=alone), ("probabilities",))

# Two requests at once.
for request in [client.async_infer("ecgpu", [tensor(ecg)]) for _ in range(2)]:
    agrees(request.get_result())


async def at_once():
    async with aio.InferenceServerClient(address) as client:
        calls = [client.infer("ecgpu", [tensor(ecg, library=aio)]) for _ in range(2)]
        for result in await asyncio.gather(*calls):
            agrees(result)


asyncio.run(at_once())

refused(400, "leads", lambda: client.infer("ecgpu", [tensor(ecg[:, :11])]))
refused(400, "[batch, leads, samples]", lambda: client.infer("ecgpu", [tensor(ecg[0])]))
refused(400, "'ecg'", lambda: client.infer("ecgpu", [tensor(ecg, name="eeg")]))
refused(400, "one input", lambda: client.infer("ecgpu", [tensor(ecg), tensor(ecg)]))
refused(400, "datatype", lambda: client.infer("ecgpu", [tensor(ecg.astype("i4"), datatype="INT32")]))
refused(400, "use logits", lambda: client.infer("ecgpu", [tensor(ecg)], outputs=[http.InferRequestedOutput("labels")]))
refused(404, "no model", lambda: client.infer("resnet", [tensor(ecg)]))
refused(404, "no version", lambda: client.infer("ecgpu", [tensor(ecg)], model_version="9"))
refused(404, "no model", lambda: client.get_model_metadata("resnet"))
refused(501, "sequence_id", lambda: client.infer("ecgpu", [tensor(ecg)], sequence_id=3, sequence_start=True))
nan = ecg.copy()
nan[1, 3, 117] = numpy.nan
refused(400, "ecg[1][3][117] is not finite", lambda: client.infer("ecgpu", [tensor(nan)]))
client.close()
print("everything agrees")
