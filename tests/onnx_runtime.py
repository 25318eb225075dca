#!/usr/bin/env python3
"""Checks an ONNX model with the package onnx and runs it by ONNX Runtime.

    tests/onnx_runtime.py MODEL.onnx INPUT.npy

Prints one line of JSON: the version of the operators, the metadata, and logits, probabilities and embedding of the input,
float32 [batch, leads, samples].
"""

import json
import sys

import numpy
import onnx
import onnxruntime

model, array = sys.argv[1:]
loaded = onnx.load(model)
onnx.checker.check_model(loaded, full_check=True)
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
outputs = session.run(["logits", "probabilities", "embedding"], {"ecg": numpy.load(array)})
names = [output.name for output in session.get_outputs()]
print(
    json.dumps(
        {
            "opset": [entry.version for entry in loaded.opset_import],
            "metadata": {entry.key: entry.value for entry in loaded.metadata_props},
            "outputs": names,
            **{name: output.tolist() for name, output in zip(["logits", "probabilities", "embedding"], outputs)},
        }
    )
)
