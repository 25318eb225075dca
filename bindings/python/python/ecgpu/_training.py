"""Training and evaluation, over the same settings as the command line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from . import _native
from .errors import UsageError

Kind = Literal["train", "finetune", "simclr", "byol"]


def train(
    kind: Kind = "train",
    *,
    data: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    run: str | os.PathLike[str] | None = None,
    resume: bool = False,
    force: bool = False,
    threads: int | None = None,
    on_event: Callable[[dict[str, Any]], object] | None = None,
    **settings: Any,
) -> dict[str, Any] | None:
    """Trains a network on PTB-XL or on one's own records.

    Ctrl-C stops the run after the step; it can be resumed.

    Args:
        kind: "train" from random parameters, "finetune" a pre-trained encoder (`from_=`), or pre-train one by "simclr"
            or "byol".
        data: The folder of PTB-XL, or a table of one's own records with the columns file, labels, fold and patient.
        out: The weights file that is written at the end.
        run: The folder of the run: settings, log, curves, checkpoints. Beside `out` if absent.
        resume: Whether the run in this folder is continued.
        force: Whether an existing file and an existing run are replaced.
        threads: Threads that compute on the CPU; one per core if absent.
        on_event: Called with a dict for each note (`note`), step (`epoch`, `step`, `steps`, `loss`) and epoch (`epoch`,
            `loss`, `auroc`, and so on). If it returns False, the run stops, and can be resumed.
        settings: Any setting of a run by its name in `config.toml`, such as `epochs=5`, `learning_rate=1e-3`,
            `label_fraction=0.1`, `augment="all"`, `seed=1`, `device="gpu"`. The published recipe has the others.

    Returns:
        The epoch whose parameters were kept: `epoch`, `loss`, `auroc`, `auroc_by_class`; None if `on_event` stopped the
        run.

    Raises:
        UsageError: A setting is unknown or makes no sense.
        DatasetError: The data are damaged or incomplete.
        TrainingError: A loss or a gradient became infinite or NaN.
    """
    given = {name.rstrip("_"): value for name, value in settings.items() if value is not None}
    for name, path in (("data", data), ("out", out), ("from", given.get("from"))):
        if path is not None:
            given[name] = os.path.abspath(path)
    folder = run if run is not None else _beside(given.get("out"))
    if "out" in given and not (resume or force) and os.path.lexists(given["out"]):
        cause = f"{given['out']} is there already"
        raise UsageError(
            f"{cause}: choose another name, or add force=True", cause, "choose another name, or add force=True"
        )
    best = _native.train(kind, _toml(given), folder, resume, force, threads, on_event)
    return None if best is None else json.loads(best)


def _beside(out: Any) -> str:
    if out is None:
        raise UsageError("a run without a result: name a file for it with out", "a run without a result", "give out")
    return os.path.splitext(out)[0] + ".run"


def _toml(settings: dict[str, Any]) -> str:
    """Writes settings as TOML, whose texts, numbers and lists are those of JSON."""

    def plain(value: Any) -> Any:
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        if isinstance(value, list | tuple):
            return [plain(each) for each in value]
        return value.item() if isinstance(value, np.generic) else value

    try:
        values = {
            name: json.dumps(plain(value), ensure_ascii=False, allow_nan=False) for name, value in settings.items()
        }
    except (TypeError, ValueError) as error:
        raise UsageError(f"a setting that cannot be written: {error}; give numbers, texts, or lists of them") from error
    return "\n".join(f"{json.dumps(name)} = {value}" for name, value in values.items())


def evaluate(
    data: str | os.PathLike[str],
    fold: int,
    *,
    weights: str | os.PathLike[str] | None = None,
    device: str = "auto",
    threads: int | None = None,
    seed: int = 1,
    progress: Callable[[int, int], object] | None = None,
) -> dict[str, Any]:
    """Measures a network on a fold of PTB-XL or of one's own records.

    Args:
        data: The folder of PTB-XL, or a table of one's own records.
        fold: The fold to measure: 9 validates, 10 tests.
        weights: As for `Classifier`; the built-in weights if absent.
        device: As for `Classifier`.
        threads: As for `Classifier`.
        seed: The seed of the bootstrap.
        progress: Called with the number of records that are classified, and of all.

    Returns:
        What `ecgpu evaluate --json` has for one network: `summaries` (of the records with a label, and of all), each
        with AUROC, average precision, F1 and so on with 95 % intervals, `subgroups`, `warnings`, `classes`; and the
        arrays `probabilities` and `targets`, `[records with a label, classes]`.
    """
    name = None if weights is None else os.fspath(weights)
    text, probabilities, targets = _native.evaluate(data, fold, name, device, threads, seed, progress)
    measured: dict[str, Any] = json.loads(text)
    classes = len(measured["classes"])
    measured["probabilities"] = np.frombuffer(probabilities, np.float64).reshape(-1, classes)
    measured["targets"] = np.frombuffer(targets, np.uint8).reshape(-1, classes)
    return measured
