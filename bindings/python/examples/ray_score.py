"""Scores an archive with Ray Data: ECG files, or arrays in Parquet, into a table of probabilities.

Each actor holds one classifier, on some threads of the CPU or on a GPU. An actor that dies is started again and repeats
what it had not handed on, so that each recording has one row. The columns are those of `ecgpu score`; a recording that
cannot be scored has a row with its cause and remedy instead.
"""

import argparse
import os
import sys
from collections.abc import Iterable
from typing import Any

import ecgpu
import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.dataset as dataset
import pyarrow.parquet as parquet
import ray
import ray.data

EXAMPLES = """
examples:
  python ray_score.py archive/*.hea --out scores                   two actors, a thread each, on this machine
  python ray_score.py --manifest files.csv --out scores --address auto --actors 16 --cpus 4
  python ray_score.py --manifest files.parquet --out s3://bucket/scores --address auto --actors 8 --gpus 1
  python ray_score.py --arrays ecgs.parquet --sampling-rate 100 --unit mV --out scores

Paths must mean the same files on every machine of the cluster. A table of arrays has the columns record, a text, and
ecg, the samples of twelve leads, one lead after the other, of one length in all rows.
"""

# Recordings that an actor takes at once, and that are repeated if it dies.
BLOCK = 256


def columns(classes: list[str]) -> pa.Schema:
    """Returns the columns of `ecgpu score`, and two for what could not be scored."""
    texts = pa.list_(pa.string())
    fields = [("source", pa.string()), ("record", pa.string())]
    fields += [("sampling_rate_hz", pa.float64()), ("duration_s", pa.float64())]
    fields += [(f"probability_{name}", pa.float64()) for name in classes]
    fields += [(f"logit_{name}", pa.float32()) for name in classes]
    fields += [("labels", texts), ("warnings", texts), ("cause", pa.string()), ("remedy", pa.string())]
    return pa.schema(fields)


def row(outcome: ecgpu.Prediction | ecgpu.Error) -> dict[str, Any]:
    """Makes a row of the result of one recording."""
    cells: dict[str, Any] = {"source": outcome.source, "record": outcome.record}
    if isinstance(outcome, ecgpu.errors.DeviceError):
        # It says nothing of the recording: the job must stop.
        raise outcome
    if isinstance(outcome, ecgpu.Error):
        return cells | {"cause": outcome.cause, "remedy": outcome.remedy}
    cells |= {"sampling_rate_hz": outcome.sampling_rate, "duration_s": outcome.duration}
    cells |= {f"probability_{name}": p for name, p in zip(outcome.classes, outcome.probabilities, strict=True)}
    cells |= {f"logit_{name}": logit for name, logit in zip(outcome.classes, outcome.logits, strict=True)}
    return cells | {"labels": outcome.labels, "warnings": outcome.warnings}


class Scorer:
    """What an actor runs: one classifier, opened once."""

    def __init__(self, options: dict[str, Any]) -> None:
        # Files are read by as many threads, instead of one for each core of the machine in every actor.
        os.environ["RAYON_NUM_THREADS"] = str(options["threads"])
        gpus = ray.get_runtime_context().get_accelerator_ids().get("GPU", [])
        if gpus:
            # Ray hides the other GPUs from CUDA alone. Vulkan sees all of them, and counts as ecgpu devices shows.
            options = options | {"device": f"gpu:{gpus[0]}"}
        self.model = ecgpu.Classifier(**options)
        self.columns = columns(self.model.classes)

    def __call__(self, batch: dict[str, np.ndarray]) -> pa.Table:
        """Scores a batch of paths, or of arrays."""
        rows = self.arrays(batch) if "ecg" in batch else self.files(batch["path"])
        return pa.Table.from_pylist(list(rows), schema=self.columns)

    def files(self, paths: Iterable[str]) -> Iterable[dict[str, Any]]:
        """Scores files."""
        return map(row, self.model.classify_many(paths, batch_size=64, on_error="return"))

    def arrays(self, batch: dict[str, np.ndarray]) -> Iterable[dict[str, Any]]:
        """Scores arrays, which have the names of the column `record`."""
        ecgs = np.stack(list(batch["ecg"])).reshape(len(batch["ecg"]), 12, -1)
        outcomes = self.model.classify_many([ecgs], on_error="return")
        for name, outcome in zip(batch["record"], outcomes, strict=True):
            yield row(outcome) | {"source": str(name), "record": str(name)}


def of_paths(paths: pa.ChunkedArray | pa.Array) -> ray.data.Dataset:
    """Makes a data set of paths, in blocks that are small enough to be shared among actors."""
    table = pa.table({"path": paths})
    return ray.data.from_arrow([table.slice(at, BLOCK) for at in range(0, max(1, table.num_rows), BLOCK)])


def manifest(path: str) -> pa.ChunkedArray:
    """Reads the column `path` of a table in CSV or Parquet."""
    table = parquet.read_table(path, columns=["path"]) if path.endswith(".parquet") else csv.read_csv(path)
    return table.column("path")


def score(
    data: ray.data.Dataset,
    out: str,
    options: dict[str, Any],
    *,
    actors: int = 2,
    cpus: int = 1,
    gpus: float = 0,
    scorer: type[Scorer] = Scorer,
) -> None:
    """Scores what a data set holds in the column `path`, or in `record` and `ecg`, into a folder of Parquet files.

    Args:
        data: The recordings.
        out: The folder, which must not be there yet.
        options: Those of `ecgpu.Classifier`.
        actors: How many classifiers there are.
        cpus: CPUs and threads of each.
        gpus: GPUs of each.
        scorer: What each runs.
    """
    scores = data.map_batches(
        scorer,  # pyright: ignore[reportArgumentType]
        fn_constructor_args=(options | {"threads": cpus},),
        batch_size=BLOCK,
        compute=ray.data.ActorPoolStrategy(size=actors),
        num_cpus=cpus,
        num_gpus=gpus or None,
    )
    scores.write_parquet(out, min_rows_per_file=100_000, mode=ray.data.SaveMode.ERROR)


def arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="*", metavar="PATH", help="ECG files of any format that ecgpu reads")
    parser.add_argument("--manifest", metavar="TABLE", help="a .csv or .parquet table with the column path")
    parser.add_argument("--arrays", metavar="TABLE", help="a Parquet table with the columns record and ecg")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="the folder for the scores, in Parquet")
    parser.add_argument("--address", help="the Ray cluster, such as auto; a local Ray if absent")
    parser.add_argument("--actors", type=int, default=2, help="classifiers that run at once (default: 2)")
    parser.add_argument("--cpus", type=int, default=1, help="CPUs and threads of each actor (default: 1)")
    parser.add_argument("--gpus", type=float, default=0, help="GPUs of each actor, or a part of one (default: none)")
    parser.add_argument("--weights", help="a safetensors file, or the name of weights that come with ecgpu")
    parser.add_argument("--sampling-rate", type=float, metavar="HZ", help="where the recordings do not state it")
    parser.add_argument("--unit", help="mV, uV, nV or V, where the recordings do not state it")
    parsed = parser.parse_args(given)
    if sum(map(bool, (parsed.paths, parsed.manifest, parsed.arrays))) != 1:
        parser.error("give paths, --manifest or --arrays")
    return parsed


def main(given: list[str] | None = None) -> int:
    asked = arguments(given)
    if not ray.is_initialized():
        # A CPU more than the actors have, for the tasks that read and write tables.
        local = {} if asked.address else {"num_cpus": asked.actors * asked.cpus + 1, "include_dashboard": False}
        ray.init(address=asked.address, **local)
    if asked.arrays:
        data = ray.data.read_parquet(asked.arrays, columns=["record", "ecg"])
    else:
        data = of_paths(manifest(asked.manifest) if asked.manifest else pa.array(asked.paths))
    options = {"weights": asked.weights, "device": "gpu" if asked.gpus else "cpu"}
    options |= {"sampling_rate": asked.sampling_rate, "unit": asked.unit}
    score(data, asked.out, options, actors=asked.actors, cpus=asked.cpus, gpus=asked.gpus)
    table = dataset.dataset(asked.out)
    failed = table.count_rows(filter=dataset.field("cause").is_valid())
    print(f"{table.count_rows() - failed} recordings scored, {failed} could not be: {asked.out}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
