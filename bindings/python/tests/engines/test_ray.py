"""Ray Data scores an archive like `ecgpu score`, whatever happens to its actors."""

import contextlib
import os
import signal
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
import ray
import ray.data
import ray_score
from support import RECORDS, STATED, by, compare, compare_all, written


@pytest.fixture(scope="module", autouse=True)
def local():
    ray.init(num_cpus=3, object_store_memory=200 << 20, include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


class Mortal(ray_score.Scorer):
    """Notes what it has scored in a file of its process. One of two is killed with the results of its second batch."""

    notes: Path

    def __init__(self, options):
        super().__init__(options)
        self.note = self.notes / str(os.getpid())
        self.note.touch()
        # Both are there before one of them takes all the work.
        deadline = time.monotonic() + 60
        while len(list(self.notes.iterdir())) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)

    def __call__(self, batch):
        table = super().__call__(batch)
        with self.note.open("a") as file:
            file.write(f"{table.num_rows}\n")
        if len(self.note.read_text().splitlines()) == 2:
            with contextlib.suppress(FileExistsError):
                (self.notes / "killed").touch(exist_ok=False)
                os.kill(os.getpid(), signal.SIGKILL)
        return table


def test_each_recording_is_scored_once_though_an_actor_is_killed(archive, scored, tmp_path):
    class Noted(Mortal):
        notes = tmp_path / "notes"

    Noted.notes.mkdir()
    data = ray_score.of_paths(ray_score.manifest(str(archive)))
    options = {"device": "cpu", "sampling_rate": 100.0, "unit": "mV"}
    ray_score.score(data, str(tmp_path / "scores"), options, scorer=Noted)

    notes = {path.name: path.read_text() for path in Noted.notes.iterdir()}
    assert notes.pop("killed") == ""
    assert len(notes) == 3, "two actors, and the one that came in the place of the killed one"
    assert sum(map(int, " ".join(notes.values()).split())) > RECORDS, (
        "what the killed actor had scored was scored again"
    )
    compare_all(by("source", written(tmp_path / "scores")), scored)


def test_arrays_are_scored_like_their_files(ecgs, archive, scored, tmp_path, capsys):
    names = [f"{number:04}" for number in range(300)]
    table = pa.table({"record": names, "ecg": [ecg.ravel() for ecg in ecgs[:300]]})
    pa.parquet.write_table(table, tmp_path / "ecgs.parquet", row_group_size=100)
    given = ["--arrays", str(tmp_path / "ecgs.parquet"), "--out", str(tmp_path / "scores"), *STATED]
    assert ray_score.main(given) == 1
    assert "299 recordings scored, 1 could not be" in capsys.readouterr().out
    rows = by("record", written(tmp_path / "scores"))
    assert sorted(rows) == names
    for path, expected in scored[0].items():
        if (row := rows.get(os.path.basename(path).removesuffix(".npy"))) is not None:
            compare(row, expected | {"source": row["source"]})
    assert rows["0007"]["cause"] is not None
