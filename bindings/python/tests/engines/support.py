"""What the tests share: the command line, and how tables are compared."""

import subprocess
import sys

import pyarrow.dataset
import pytest

RECORDS = 2000
STATED = ("--sampling-rate", "100", "--unit", "mV")


def command(*arguments, code=0):
    ran = subprocess.run(
        [sys.executable, "-m", "ecgpu", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == code, ran.stderr


def by(name, table):
    """Returns rows by a column that names each once."""
    rows = {row[name]: row for row in table}
    assert len(rows) == len(table)
    return rows


def written(folder):
    """Returns the rows of a folder of Parquet files."""
    return pyarrow.dataset.dataset(folder).to_table().to_pylist()


def compare(row, expected):
    """The row of an engine says what that of `ecgpu score` says."""
    for name, value in expected.items():
        if isinstance(value, float):
            assert row[name] == pytest.approx(value, abs=1e-5), name
        else:
            assert row[name] == value, name


def compare_all(rows, scored):
    """An engine has each recording once, and says what `ecgpu score` says."""
    scores, errors = scored
    assert (len(scores), len(errors)) == (RECORDS - 3, 3)
    assert set(rows) == set(scores) | set(errors)
    for source, row in rows.items():
        compare(row, scores.get(source) or errors[source])
        assert (row["cause"] is None) == (source in scores)
