"""Spark scores an archive like `ecgpu score`."""

import pyarrow as pa
import pyarrow.parquet
import pytest
import spark_score
from pyspark.sql import SparkSession
from support import STATED, by, compare, compare_all, written


@pytest.fixture(scope="module", autouse=True)
def local():
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
    spark = builder.config("spark.driver.memory", "1g").getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    yield
    spark.stop()


def test_files_are_scored_like_the_command_line(archive, scored, tmp_path, capsys):
    # Spark forks its workers, but not from the driver: they may compute though the driver has.
    spark_score.classifier(None, 100.0, "mV").verify()
    given = ["--manifest", str(archive), "--out", str(tmp_path / "scores"), *STATED]
    assert spark_score.main(given) == 1
    assert "1997 recordings scored, 3 could not be" in capsys.readouterr().out
    compare_all(by("source", written(tmp_path / "scores")), scored)


def test_arrays_are_scored_like_their_files(ecgs, archive, scored, tmp_path):
    tables = tmp_path / "ecgs"
    tables.mkdir()
    sources = [str(archive.with_suffix("") / f"{number:04}.npy") for number in range(300)]
    for at in (0, 100, 200):
        part = {"source": sources[at : at + 100], "ecg": [ecg.ravel() for ecg in ecgs[at : at + 100]]}
        pa.parquet.write_table(pa.table(part), tables / f"{at}.parquet")
    assert spark_score.main(["--arrays", str(tables), "--out", str(tmp_path / "scores"), *STATED]) == 1
    rows = by("source", written(tmp_path / "scores"))
    assert sorted(rows) == sources
    scores, errors = scored
    for source, row in rows.items():
        expected = scores.get(source, {})
        compare(row, {name: value for name, value in expected.items() if name.startswith(("probability", "logit"))})
        assert (row["cause"] is not None) == (source in errors)
