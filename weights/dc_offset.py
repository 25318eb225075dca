#!/usr/bin/env python3
"""Compares ways to remove the DC offset of each lead before the network, on fold 9 of PTB-XL: docs/measurements/dc-offset.md.

usage: dc_offset.py PTBXL ECGPU        (needs numpy, scipy, pandas and wfdb; PTB-XL at 100 Hz; the program `ecgpu`)
"""
import ast, json, os, subprocess, sys, tempfile
import numpy as np, pandas as pd, wfdb
from scipy.signal import butter, sosfiltfilt
from scipy.stats import rankdata

CLASSES = ["NORM", "MI", "STTC", "HYP", "CD"]
RATE = 100


def load(folder):
    """The records of fold 9 that have a class: signals [records, 12, 1000] in mV, labels [records, 5]."""
    table = pd.read_csv(f"{folder}/ptbxl_database.csv").query("strat_fold == 9")
    statements = pd.read_csv(f"{folder}/scp_statements.csv", index_col=0).query("diagnostic == 1").diagnostic_class
    codes = table.scp_codes.map(ast.literal_eval)
    labels = np.array([[name in {statements.get(code) for code in of} for name in CLASSES] for of in codes])
    signals = np.array([wfdb.rdrecord(f"{folder}/{name}").p_signal.T for name in table.filename_lr])
    return signals[labels.any(1)], labels[labels.any(1)]


def with_limb_leads(x):
    """Derives III, aVR, aVL and aVF from I and II."""
    x, i, ii = x.copy(), x[:, 0], x[:, 1]
    x[:, 2], x[:, 3], x[:, 4], x[:, 5] = ii - i, -(i + ii) / 2, i - ii / 2, ii - i / 2
    return x


def high_pass(frequency, order):
    sos = butter(order, frequency, "hp", fs=RATE, output="sos")
    return lambda x: sosfiltfilt(sos, x, axis=-1, padlen=min(int(RATE / frequency), x.shape[-1] - 1))


def middle_half(x):
    quarter = x.shape[-1] // 4
    return np.sort(x, -1)[..., quarter : 3 * quarter].mean(-1, keepdims=True)


WAYS = {
    "nothing": lambda x: x,
    "mean": lambda x: x - x.mean(-1, keepdims=True),
    "median": lambda x: x - np.median(x, -1, keepdims=True),
    "mean of the middle half": lambda x: x - middle_half(x),
    "below 0.25 Hz, 2nd order": high_pass(0.25, 2),
    "below 0.5 Hz, 1st order": high_pass(0.5, 1),
    "below 0.5 Hz, 2nd order": high_pass(0.5, 2),
    "below 0.67 Hz, 2nd order": high_pass(0.67, 2),
}


def logits(program, x):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.npy")
        np.save(path, (x / 0.235).astype("f4"))
        command = [program, "classify", "--raw", "--json", "--device", "cpu", path]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return np.array([json.loads(line)["logits"] for line in lines])


def macro_auroc(logits, labels):
    def auroc(scores, positive):
        ranks, n = rankdata(scores), positive.sum()
        return (ranks[positive].sum() - n * (n + 1) / 2) / (n * (~positive).sum())

    return np.mean([auroc(logits[:, k], labels[:, k]) for k in range(len(CLASSES))])


def main():
    folder, program = sys.argv[1:]
    x, labels = load(folder)
    random = np.random.default_rng(0)
    shape, time = (len(x), 12, 1), np.arange(x.shape[-1]) / RATE
    offsets = with_limb_leads(x + random.uniform(-1, 1, shape))
    phase = 2 * np.pi * (random.uniform(0.05, 0.3, shape) * time + random.uniform(0, 1, shape))
    wander = with_limb_leads(x + 0.3 * np.sin(phase))
    probability = lambda logits: 1 / (1 + np.exp(-logits))
    as_recorded = logits(program, x)
    print("| removed | as recorded | offsets | wander | first 2.5 s | change of a probability: median, 99th percentile |")
    for name, way in WAYS.items():
        inputs = [way(x), way(offsets), way(wander), way(x[..., : RATE * 5 // 2])]
        results = [logits(program, one) for one in inputs]
        scores = [f"{macro_auroc(one, labels):.4f}" for one in results]
        change = np.abs(probability(results[0]) - probability(as_recorded))
        print("|", " | ".join([name, *scores]), f"| {np.median(change):.4f}, {np.quantile(change, 0.99):.3f} |", flush=True)


main()
