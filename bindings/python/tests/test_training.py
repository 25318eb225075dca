"""Training and evaluation from Python."""

import json

import ecgpu
import numpy as np
import pytest
from conftest import command


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A table of synthetic records of two classes in folds 1, 2 and 9."""
    folder = tmp_path_factory.mktemp("own")
    lines = ["file,labels,fold,patient"]
    for number in range(36):
        label = ["norm", "mi"][number % 2]
        command(
            "synth", "--condition", label, "--seed", number, "--sampling-rate", 100, "--out", folder / f"{number}.npy"
        )
        lines.append(f"{number}.npy,{label.upper()},{(1, 2, 9)[number // 2 % 3]},{number}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    return folder / "table.csv"


def test_a_run_tells_of_itself_and_can_be_stopped_resumed_and_measured(table, tmp_path):
    out, events = tmp_path / "own.safetensors", []
    settings = {"network": "55k", "epochs": 2, "batch": 8, "seed": 1, "device": "cpu"}

    def stop_after_an_epoch(event):
        events.append(event)
        return "auroc" not in event

    assert ecgpu.train(data=table, out=out, on_event=stop_after_an_epoch, **settings) is None
    assert any("step" in event and "loss" in event for event in events)
    assert not out.exists()
    best = ecgpu.train(out=out, resume=True)
    assert best is not None
    assert 0 <= best["auroc"] <= 1
    model = ecgpu.Classifier(out, device="cpu")
    assert sorted(model.classes) == ["MI", "NORM"]
    measured = ecgpu.evaluate(table, 9, weights=out, device="cpu")
    auroc = measured["summaries"][0]["macro_auroc"]["value"]
    assert auroc == pytest.approx(best["auroc"], abs=1e-3)
    told = json.loads(command("evaluate", "--data", table, "--fold", 9, "--weights", out, "--device", "cpu", "--json"))
    assert told["evaluations"][0]["summaries"] == measured["summaries"]
    assert measured["probabilities"].shape == measured["targets"].shape == (12, 2)
    assert measured["targets"].sum() == 12
    from sklearn.metrics import roc_auc_score

    assert roc_auc_score(measured["targets"], measured["probabilities"]) == pytest.approx(auroc, abs=1e-9)


def test_wrong_settings_and_data_are_refused(table, tmp_path):
    out = tmp_path / "own.safetensors"
    for options, text in [
        ({"data": table, "out": out, "epoch": 3}, "epoch"),
        ({"data": table, "out": out, "epochs": "many"}, "many|integer|usize"),
        ({"data": table, "out": out, "epochs": object()}, "cannot be written"),
        ({"data": table, "out": out, "learning_rate": float("nan")}, "cannot be written"),
        ({"data": table}, "name a file for it"),
        ({"out": out}, "without data"),
        ({"data": tmp_path / "none", "out": out}, "none"),
        ({"kind": "guess", "data": table, "out": out}, "guess"),
        ({"kind": "finetune", "data": table, "out": out}, "encoder|from"),
    ]:
        with pytest.raises(ecgpu.Error, match=text):
            ecgpu.train(**options)
    out.write_bytes(b"precious")
    with pytest.raises(ecgpu.errors.UsageError, match="there already"):
        ecgpu.train(data=table, out=out, device="cpu")
    assert out.read_bytes() == b"precious"
    with pytest.raises(ecgpu.Error, match="NORM, MI, STTC, HYP, CD, and the data have MI, NORM"):
        ecgpu.evaluate(table, 9, device="cpu")


def test_exceptions_of_callbacks_reach_the_caller(table, tmp_path):
    def broken(*_):
        raise LookupError("my own")

    with pytest.raises(LookupError, match="my own"):
        ecgpu.train(
            data=table, out=tmp_path / "x.safetensors", network="55k", epochs=1, batch=8, device="cpu", on_event=broken
        )
    own = tmp_path / "y.safetensors"
    ecgpu.train(data=table, out=own, network="55k", epochs=1, batch=8, device="cpu")
    with pytest.raises(LookupError, match="my own"):
        ecgpu.evaluate(table, 9, weights=own, device="cpu", progress=broken)
    seen = []
    ecgpu.evaluate(table, 9, weights=own, device="cpu", progress=lambda done, of: seen.append((done, of)))
    assert seen[-1] == (12, 12)
    assert np.all(np.diff([done for done, _ in seen]) > 0)
