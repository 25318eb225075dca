#!/usr/bin/env python3
"""Reads a model card as the Hugging Face Hub's own package does.

    tests/model_card.py README.md

Prints the metadata and the results of its model index as one JSON object. The metadata must be the same by the package and
by a reader of YAML alone.
"""

import json
import sys

import yaml
from huggingface_hub import ModelCard, metadata_load

path = sys.argv[1]
card = ModelCard.load(path)
metadata = metadata_load(path)
_, front, body = open(path, encoding="utf-8").read().split("---\n", 2)
assert yaml.safe_load(front) == metadata, "the package reads other metadata"
assert card.data.to_dict() == metadata, "what the package reads and writes again differs"
assert card.text.strip() == body.strip(), "the package finds another text"
results = [
    {"task": result.task_type, "dataset": result.dataset_name, "metric": result.metric_type, "value": result.metric_value}
    | {"interval": (result.metric_args or {}).get("interval_95")}
    for result in card.data.eval_results or []
]
print(json.dumps({"metadata": metadata, "name": card.data.get("model_name"), "results": results}))
