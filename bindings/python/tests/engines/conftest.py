"""An archive that both engines score, and what `ecgpu score` says of it."""

import csv
import os
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

HERE = Path(__file__).resolve().parent
# Workers import the examples and these tests too; they have the environment of this process.
FOLDERS = [str(HERE.parents[1] / "examples"), str(HERE)]
sys.path[:0] = FOLDERS
os.environ["PYTHONPATH"] = os.pathsep.join([*FOLDERS, os.environ.get("PYTHONPATH", "")])
os.environ["PYSPARK_PYTHON"] = sys.executable
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

from support import RECORDS, STATED, by, command  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("filterwarnings", "ignore::DeprecationWarning:ray")
    config.addinivalue_line("filterwarnings", "ignore::FutureWarning:ray")
    # A small table is one block, which one actor takes.
    config.addinivalue_line("filterwarnings", "ignore:The minimum number of concurrent actors:UserWarning")


@pytest.fixture(scope="session")
def ecgs(tmp_path_factory):
    """Different recordings of ten seconds, `[2000, 12, 1000]` float32 in mV at 100 Hz. One is not a number."""
    folder = tmp_path_factory.mktemp("synthetic")
    kinds = []
    for condition in ("norm", "mi"):
        path = folder / f"{condition}.npy"
        command("synth", "--condition", condition, "--sampling-rate", 100, "--out", path)
        kinds.append(np.load(path).astype(np.float32))
    mixed = np.random.default_rng(1).uniform(0.2, 1.2, size=(RECORDS, 2, 1, 1)).astype(np.float32)
    ecgs = (mixed * np.stack(kinds)).sum(axis=1)
    ecgs[7] = np.nan
    return ecgs


@pytest.fixture(scope="session")
def archive(ecgs, tmp_path_factory):
    """The table of the files of an archive, one for each recording. One is damaged, one is missing."""
    folder = tmp_path_factory.mktemp("archive")
    paths = [folder / f"{number:04}.npy" for number in range(RECORDS)]
    for path, ecg in zip(paths, ecgs, strict=True):
        np.save(path, ecg)
    paths[1000].write_bytes(paths[1000].read_bytes()[:20_000])
    paths[1993].unlink()
    manifest = folder.with_name(f"{folder.name}.csv")
    manifest.write_text("path\n" + "".join(f"{path}\n" for path in paths))
    return manifest


@pytest.fixture(scope="session")
def scored(archive):
    """The rows of `ecgpu score` by their sources: of scores, and of errors."""
    out = archive.with_suffix(".parquet")
    command("score", "--manifest", archive, "--out", out, "--device", "cpu", *STATED, code=1)
    with out.with_suffix(".errors.csv").open() as file:
        errors = list(csv.DictReader(file))
    return by("source", pyarrow.parquet.read_table(out).to_pylist()), by("source", errors)
