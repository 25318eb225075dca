"""The network in ONNX Runtime under FastAPI, as a service is usually written: the counterpart of benches/serving.sh.

    MODEL=542k.onnx uvicorn serving_peer:app --workers 2
    python serving_peer.py record RECORD.npy RECORD.json     writes the recording that is sent
"""

import io
import json
import os
import sys

import numpy

if __name__ == "__main__":
    _, _, array, text = sys.argv
    # Like an ECG in its size and in the digits of its numbers: neither program's time depends on more.
    random = numpy.random.default_rng(1)
    record = numpy.cumsum(random.normal(scale=0.05, size=(12, 1000)), axis=1)
    record = (record - record.mean(axis=1, keepdims=True)).astype("f4")
    numpy.save(array, record)
    rounded = [[round(float(value), 4) for value in lead] for lead in record]
    json.dump({"inputs": [rounded], "sampling_rate_hz": 100, "unit": "mV"}, open(text, "w"))
    sys.exit()

import onnxruntime
from fastapi import FastAPI, Request
from pydantic import BaseModel

options = onnxruntime.SessionOptions()
# One thread of each worker, and as many workers as cores: the most requests per second.
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
metadata = session.get_modelmeta().custom_metadata_map
classes = metadata["classes"].split(",")
mean, deviation = float(metadata["mean"]), float(metadata["std"])
app = FastAPI()


class Recordings(BaseModel):
    inputs: list[list[list[float]]]
    sampling_rate_hz: float = 100
    unit: str = "mV"


def classify(batch):
    if metadata["dc_offset"] == "removed":
        batch = batch - batch.mean(axis=2, keepdims=True)
    outputs = session.run(["logits", "probabilities"], {"ecg": ((batch - mean) / deviation).astype("f4")})
    named = [[dict(zip(classes, map(float, row))) for row in output] for output in outputs]
    return {"predictions": [{"logits": logits, "probabilities": chances} for logits, chances in zip(*named)]}


@app.post("/api/predict")
def predict(recordings: Recordings):
    return classify(numpy.array(recordings.inputs, "f4"))


@app.post("/api/predict_npy")
async def predict_npy(request: Request):
    return classify(numpy.load(io.BytesIO(await request.body()))[None])


@app.get("/readyz")
def ready():
    return {"status": "ready"}
