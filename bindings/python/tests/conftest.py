"""What the tests share."""

import json
import os
import subprocess
import sys
from pathlib import Path

import ecgpu
import numpy as np
import pytest

DATA = Path(__file__).resolve().parents[3] / "tests" / "data"


def needs(module):
    """Imports a package that CI must have; elsewhere the test says aloud that it was skipped.

    PyTorch's wheel brings 5 GB of CUDA, which CI does without.
    """
    if os.environ.get("CI") and module != "torch":
        return __import__(module)
    return pytest.importorskip(module, reason=f"SKIPPED: {module} is not installed")


def command(*arguments, code=0):
    """Runs the command line and returns its standard output."""
    ran = subprocess.run(
        [sys.executable, "-m", "ecgpu", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == code, ran.stderr
    return ran.stdout if code == 0 else ran.stderr


@pytest.fixture(scope="session")
def model():
    return ecgpu.Classifier(device="cpu")


@pytest.fixture(scope="session")
def record():
    """A file that states all about itself."""
    return DATA / "format16.hea"


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory):
    """Eight synthetic recordings, `[8, 12, 1000]` float32 in mV at 100 Hz."""
    folder = tmp_path_factory.mktemp("synthetic")
    arrays = []
    for seed in range(8):
        path = folder / f"{seed}.npy"
        command("synth", "--condition", ["norm", "mi"][seed % 2], "--seed", seed, "--sampling-rate", 100, "--out", path)
        arrays.append(np.load(path))
    return np.stack(arrays).astype(np.float32)


@pytest.fixture(scope="session")
def classified(record):
    """What the command line says of the file."""
    return json.loads(command("classify", record, "--device", "cpu", "--json"))
