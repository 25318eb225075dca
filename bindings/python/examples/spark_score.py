"""Scores an archive with Spark: ECG files, or arrays in Parquet, into a table of probabilities.

Each Python worker holds one classifier on one thread; Spark starts a worker per core. The columns for files are those
of `ecgpu score`; a recording that cannot be scored has a row with its cause and remedy instead. Arrays keep their
columns and get a probability and a logit for each class, and a cause.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice
from typing import Any

import ecgpu
import numpy as np
import pandas as pd
from pyspark.ml.functions import predict_batch_udf
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f
from pyspark.sql import types as t

EXAMPLES = """
examples:
  python spark_score.py --manifest files.csv --out scores --master local[2]
  spark-submit spark_score.py --manifest files.parquet --out s3a://bucket/scores
  spark-submit spark_score.py --arrays ecgs.parquet --sampling-rate 100 --unit mV --out scores

Paths must mean the same files on every machine of the cluster. A table of arrays has the column ecg, the samples of
twelve leads, one lead after the other, of one length in all rows.
"""

# Rows of a frame that goes from or to Spark: of arrays of ten seconds, some 12 MB.
ROWS = 256


@cache
def classifier(weights: str | None, sampling_rate: float | None, unit: str | None) -> ecgpu.Classifier:
    """Opens a classifier, once in each Python worker."""
    # Files are read by one thread too, instead of one for each core of the machine in every worker.
    os.environ["RAYON_NUM_THREADS"] = "1"
    return ecgpu.Classifier(weights, device="cpu", threads=1, sampling_rate=sampling_rate, unit=unit)


def of_device(outcome: ecgpu.Prediction | ecgpu.Error) -> ecgpu.Prediction | ecgpu.Error:
    """Raises a failure of the device, which says nothing of the recording: the job must stop."""
    if isinstance(outcome, ecgpu.errors.DeviceError):
        raise outcome
    return outcome


# Files: mapInPandas.


def columns(classes: list[str]) -> t.StructType:
    """Returns the columns of `ecgpu score`, and two for what could not be scored."""
    text, number, texts = t.StringType(), t.DoubleType(), t.ArrayType(t.StringType())
    schema = t.StructType().add("source", text).add("record", text)
    schema = schema.add("sampling_rate_hz", number).add("duration_s", number)
    for name in classes:
        schema = schema.add(f"probability_{name}", number)
    for name in classes:
        schema = schema.add(f"logit_{name}", t.FloatType())
    return schema.add("labels", texts).add("warnings", texts).add("cause", text).add("remedy", text)


def row(outcome: ecgpu.Prediction | ecgpu.Error) -> dict[str, Any]:
    """Makes a row of the result of one recording."""
    cells: dict[str, Any] = {"source": outcome.source, "record": outcome.record}
    if isinstance(outcome, ecgpu.Error):
        return cells | {"cause": outcome.cause, "remedy": outcome.remedy}
    cells |= {"sampling_rate_hz": outcome.sampling_rate, "duration_s": outcome.duration}
    cells |= {f"probability_{name}": p for name, p in zip(outcome.classes, outcome.probabilities, strict=True)}
    cells |= {f"logit_{name}": logit for name, logit in zip(outcome.classes, outcome.logits, strict=True)}
    return cells | {"labels": outcome.labels, "warnings": outcome.warnings}


def score_files(paths: DataFrame, *stated: Any) -> DataFrame:
    """Scores the files of the column `path`. What is stated are the arguments of `classifier`."""
    schema = columns(classifier(*stated).classes)

    def score(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        files = (path for frame in frames for path in frame["path"])
        outcomes = classifier(*stated).classify_many(files, batch_size=64, on_error="return")
        # Spark takes None for nothing, and not the NaN that pandas would fill a gap with.
        nothing = dict.fromkeys(schema.names)
        rows = (nothing | row(of_device(outcome)) for outcome in outcomes)
        while part := list(islice(rows, ROWS)):
            yield pd.DataFrame(part)

    return paths.select("path").mapInPandas(score, schema)


# Arrays: predict_batch_udf.


def predictor(*stated: Any) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """Returns what scores arrays `[records, leads, samples]` into columns."""
    model = classifier(*stated)

    def predict(ecgs: np.ndarray) -> dict[str, np.ndarray]:
        outcomes = [of_device(outcome) for outcome in model.classify_many([ecgs], on_error="return")]
        nothing = np.full(len(model.classes), np.nan)
        scores: dict[str, np.ndarray] = {}
        for kind in ("probability", "logit"):
            values = [
                nothing
                if isinstance(outcome, ecgpu.Error)
                else {"probability": outcome.probabilities, "logit": outcome.logits}[kind]
                for outcome in outcomes
            ]
            scores |= {f"{kind}_{name}": column for name, column in zip(model.classes, np.stack(values).T, strict=True)}
        causes = [outcome.cause if isinstance(outcome, ecgpu.Error) else None for outcome in outcomes]
        return scores | {"cause": np.array(causes, dtype=object)}

    return predict


def score_arrays(table: DataFrame, *stated: Any) -> DataFrame:
    """Scores the arrays of the column `ecg`. What is stated are the arguments of `classifier`."""
    first = table.select(f.size("ecg")).first()
    scores = [
        field for field in columns(classifier(*stated).classes) if field.name.startswith(("prob", "logit", "cause"))
    ]
    score = predict_batch_udf(
        lambda: predictor(*stated),
        return_type=t.StructType(scores),
        batch_size=64,
        input_tensor_shapes=[[12, first[0] // 12 if first else 0]],
    )
    return table.withColumn("score", score("ecg")).drop("ecg").select("*", "score.*").drop("score")


def arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--manifest", metavar="TABLE", help="a .csv or .parquet table with the column path")
    source.add_argument("--arrays", metavar="TABLE", help="a Parquet table with the column ecg")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="the folder for the scores, in Parquet")
    parser.add_argument("--master", help="the Spark cluster, or local[N]; what spark-submit states if absent")
    parser.add_argument("--partitions", type=int, help="tasks that files are shared among (default: four per core)")
    parser.add_argument("--weights", help="a safetensors file, or the name of weights that come with ecgpu")
    parser.add_argument("--sampling-rate", type=float, metavar="HZ", help="where the recordings do not state it")
    parser.add_argument("--unit", help="mV, uV, nV or V, where the recordings do not state it")
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> int:
    asked = arguments(given)
    if asked.master and asked.master.startswith("local"):
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("ecgpu").config("spark.sql.execution.arrow.maxRecordsPerBatch", ROWS)
    spark = (builder.master(asked.master) if asked.master else builder).getOrCreate()
    # Workers import this file, so that what `classifier` keeps outlives a task.
    spark.sparkContext.addPyFile(__file__)
    stated = asked.weights, asked.sampling_rate, asked.unit
    if asked.arrays:
        scores = score_arrays(spark.read.parquet(asked.arrays), *stated)
    else:
        parquet = asked.manifest.endswith(".parquet")
        paths = spark.read.parquet(asked.manifest) if parquet else spark.read.csv(asked.manifest, header=True)
        partitions = asked.partitions or 4 * spark.sparkContext.defaultParallelism
        scores = score_files(paths.repartition(partitions), *stated)
    scores.write.parquet(asked.out)
    written = spark.read.parquet(asked.out)
    failed = written.filter("cause is not null").count()
    print(f"{written.count() - failed} recordings scored, {failed} could not be: {asked.out}")
    return 1 if failed else 0


if __name__ == "__main__":
    # By its name as a module, not as `__main__`, whose functions Spark would send to the workers as copies.
    from spark_score import main as imported

    sys.exit(imported())
