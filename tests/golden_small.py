"""Cuts the small golden set of tests/data/golden out of the complete one.

    python3 tests/golden_small.py GOLDEN_FOLDER

PyTorch computed the complete set in float64 and stored it as float32. The small set keeps network 55k: its weights, the
logits of three shapes, the last stages of a batch of three, and of one training step (binary cross entropy) the losses and
a tensor of each kind of its gradients and of its state after three steps of Adam. Its initial state is the weights file. The order of tensors is fixed, so that
the files are the same each time.
"""

import json
import struct
import sys
from pathlib import Path

SHAPES = ["1x9", "2x83", "2x250"]
STAGES = ["encoder.11", "encoder.13", "classifier"]
TENSORS = ["encoder.0.weight", "encoder.1.bias", "encoder.4.weight", "encoder.5.weight", "encoder.13.bias", "classifier.weight"]
STATISTICS = ["encoder.1.running_mean", "encoder.9.running_var"]


def read(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    body = data[8 + length :]
    return {name: (entry["dtype"], entry["shape"], body[slice(*entry["data_offsets"])]) for name, entry in header.items()}


def write(path, tensors):
    header, body = {}, b""
    for name, (kind, shape, data) in sorted(tensors.items()):
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def main():
    golden, small = Path(sys.argv[1]), Path(__file__).parent / "data" / "golden"
    small.mkdir(exist_ok=True)
    write(small / "card.safetensors", read(golden / "card.safetensors"))
    io = read(golden / "card_io.safetensors")
    names = [f"{part}.{shape}" for shape in SHAPES for part in ("input", "logits")]
    names += ["input.3x997"] + [f"stage.3x997.{stage}" for stage in STAGES]
    write(small / "card_io.safetensors", {name: io[name] for name in names})
    step = read(golden / "train_card_bce.safetensors")
    names = ["x", "y", "class_weights"] + [name for name in step if name.startswith("loss.")]
    names += [f"{part}.{tensor}" for part in ("grad", "step3") for tensor in TENSORS]
    names += [f"step3.{tensor}" for tensor in STATISTICS]
    write(small / "train_card_bce.safetensors", {name: step[name] for name in names})


if __name__ == "__main__":
    main()
