"""One recording in each of the forms that people have it in."""

import json
import pickle
import threading

import ecgpu
import numpy as np
import pytest
from conftest import DATA, command, needs


def close(prediction, classified):
    """The numbers are those of the command line."""
    assert prediction.classes == list(classified["probabilities"])
    np.testing.assert_allclose(prediction.logits, classified["logits"], rtol=0, atol=2e-5)
    np.testing.assert_allclose(prediction.probabilities, list(classified["probabilities"].values()), rtol=0, atol=1e-5)
    np.testing.assert_allclose(prediction.thresholds, list(classified["thresholds"].values()))


def test_a_file_is_classified_as_by_the_command_line(model, record, classified):
    prediction = model.classify(record)
    close(prediction, classified)
    assert prediction.labels == classified["labels"]
    assert prediction.warnings == classified["warnings"]
    assert prediction.record == classified["record"]
    assert prediction.embedding.shape == (model.features,)
    assert prediction.source == str(record)
    assert "format16" in repr(prediction)


def test_arrays_and_bytes_are_classified_like_their_file(model, synthetic, tmp_path):
    array = synthetic[0]
    np.save(tmp_path / "array.npy", array)
    expected = model.classify(tmp_path / "array.npy", sampling_rate=100, unit="mV").logits

    class OnlyDlpack:
        def __dlpack__(self, **options):
            return array.__dlpack__(**options)

        def __dlpack_device__(self):
            return array.__dlpack_device__()

    forms = {
        "float32": array,
        "float64": array.astype(np.float64),
        "longdouble": array.astype(np.longdouble),
        "transposed": array.T,
        "Fortran order": np.asfortranarray(array),
        "strided": np.repeat(array, 2, axis=1)[:, ::2],
        "byte-swapped": array.astype(">f4"),
        "list": array.tolist(),
        "DLPack": OnlyDlpack(),
        "bytes": (tmp_path / "array.npy").read_bytes(),
    }
    for name, form in forms.items():
        logits = model.classify(form, sampling_rate=100, unit="mV").logits
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5, err_msg=name)
    microvolts = np.rint(array * 1000).astype(np.int16)
    np.testing.assert_allclose(model.classify(microvolts, sampling_rate=100, unit="uV").logits, expected, atol=0.02)


def test_a_tensor_of_pytorch_is_classified_like_its_array(model, synthetic):
    torch = needs("torch")
    expected = model.classify(synthetic[0], sampling_rate=100, unit="mV").logits
    tensor = torch.from_numpy(synthetic[0].copy())
    for form in (tensor, tensor.double(), tensor.T.contiguous().T, tensor.half().float()):
        np.testing.assert_allclose(model.classify(form, sampling_rate=100, unit="mV").logits, expected, atol=1e-2)
    np.testing.assert_array_equal(model.classify(tensor, sampling_rate=100, unit="mV").logits, expected)
    with pytest.raises(ecgpu.errors.UsageError, match="detach"):
        model.classify(tensor.requires_grad_())


def test_leads_in_another_order_are_put_in_place(model, synthetic):
    names = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]
    order = np.random.default_rng(1).permutation(12)
    shuffled = model.classify(synthetic[0][order], sampling_rate=100, unit="mV", leads=[names[at] for at in order])
    expected = model.classify(synthetic[0], sampling_rate=100, unit="mV")
    np.testing.assert_allclose(shuffled.logits, expected.logits, rtol=0, atol=1e-5)


def test_a_record_of_wfdb_is_classified_like_its_file(model, record):
    wfdb = needs("wfdb")
    expected = model.classify(record).logits
    read = wfdb.rdrecord(str(record.with_suffix("")))
    np.testing.assert_allclose(model.classify(read).logits, expected, rtol=0, atol=1e-4)
    digital = wfdb.rdrecord(str(record.with_suffix("")), physical=False)
    np.testing.assert_allclose(model.classify(digital).logits, expected, rtol=0, atol=1e-4)
    read.p_signal = read.p_signal * 1000
    read.units = ["uV"] * len(read.units)
    np.testing.assert_allclose(model.classify(read).logits, expected, rtol=0, atol=1e-4)
    read.units[0] = "mmHg"
    with pytest.raises(ecgpu.errors.RecordingError, match="unit 'mmHg'"):
        model.classify(read)


def test_a_frame_of_pandas_is_classified_like_its_array(model, synthetic):
    pandas = needs("pandas")
    names = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]
    expected = model.classify(synthetic[0], sampling_rate=100, unit="mV").logits
    frame = pandas.DataFrame(synthetic[0].T, columns=names)
    np.testing.assert_allclose(model.classify(frame, sampling_rate=100, unit="mV").logits, expected, atol=1e-4)
    frame.index = pandas.Index(np.arange(1000) / 100, name="time")
    timed = model.classify(frame, unit="mV")
    assert timed.sampling_rate == pytest.approx(100)
    np.testing.assert_allclose(timed.logits, expected, atol=1e-4)


def test_many_files_come_in_their_order_and_a_bad_one_as_it_was_wished(model, record, tmp_path):
    bad = tmp_path / "bad.hea"
    bad.write_text("no header")
    paths = [record, bad, str(record), tmp_path / "missing.hea"] * 20
    returned = list(model.classify_many(paths, batch_size=4, on_error="return"))
    expected = model.classify(record)
    assert len(returned) == len(paths)
    for at, outcome in enumerate(returned):
        if at % 2 == 0:
            assert outcome.source == str(record)
            np.testing.assert_allclose(outcome.logits, expected.logits, rtol=0, atol=1e-5)
        else:
            assert isinstance(outcome, ecgpu.Error)
            assert outcome.source == str(paths[at])
            assert pickle.loads(pickle.dumps(outcome)).source == outcome.source
    with pytest.warns(ecgpu.DataWarning, match="(bad|missing).hea"):
        assert len(list(model.classify_many(paths, on_error="skip"))) == 40
    with pytest.raises(ecgpu.Error, match="bad.hea"):
        list(model.classify_many(paths))
    assert list(model.classify_many([])) == []


def test_a_damaged_recording_of_a_batch_is_an_error_in_its_place(model, synthetic, tmp_path):
    damaged = synthetic[:3].copy()
    damaged[1] = np.nan
    np.save(tmp_path / "batch.npy", damaged)
    options = {"sampling_rate": 100, "unit": "mV"}
    for source, name in [(tmp_path / "batch.npy", "batch[1]"), (damaged, "array[1]")]:
        first, bad, last = model.classify_many([source], on_error="return", **options)
        assert isinstance(bad, ecgpu.errors.RecordingError)
        assert bad.source == first.source == last.source
        assert name in str(bad)
        with pytest.raises(ecgpu.errors.RecordingError, match="no value"):
            list(model.classify_many([source], **options))
    short = model.classify_many([synthetic[0]], sampling_rate=5000, unit="mV", on_error="return")
    assert next(short).record == "array"


def test_paths_and_arrays_may_be_mixed_and_endless(model, record, synthetic):
    options = {"sampling_rate": 100, "unit": "mV"}

    def endless():
        while True:
            yield synthetic[0]
            yield record

    stream = model.classify_many(endless(), batch_size=2, **options)
    first = [next(stream) for _ in range(6)]
    stream.close()
    assert [prediction.record for prediction in first] == ["array", "format16"] * 3


def test_a_file_of_several_recordings_gives_one_prediction_each(model, synthetic, tmp_path):
    path = tmp_path / "batch.npy"
    np.save(path, synthetic)
    options = {"sampling_rate": 100, "unit": "mV"}
    predictions = list(model.classify_many([path], **options))
    assert [prediction.record for prediction in predictions] == [f"batch[{at}]" for at in range(8)]
    with pytest.raises(ecgpu.errors.UsageError, match="8 recordings: use classify_many"):
        model.classify(path, **options)


def test_predictions_travel_and_become_json(model, record):
    prediction = model.classify(record)
    copy = pickle.loads(pickle.dumps(prediction))
    np.testing.assert_array_equal(copy.logits, prediction.logits)
    plain = json.loads(json.dumps(prediction.to_dict()))
    assert plain["labels"] == prediction.labels
    assert plain["logits"] == pytest.approx(prediction.logits.tolist())
    prediction.logits[0] = 1.0
    with pytest.raises(AttributeError):
        prediction.labels = []


def test_threads_share_one_classifier(model, record):
    expected, failed = model.classify(record).logits, []

    def work():
        for _ in range(5):
            if not np.allclose(model.classify(record).logits, expected, atol=1e-5):
                failed.append(1)

    threads = [threading.Thread(target=work) for _ in range(16)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not failed


def test_the_command_line_is_the_same_program():
    assert command("--version").startswith(f"ecgpu {ecgpu.__version__}")
    assert "no-such-file.hea" in command("classify", DATA / "no-such-file.hea", code=1)
    assert "unexpected argument" in command("classify", "--no-such-option", code=2)


def test_devices_are_listed_and_the_cpu_is_proved(model):
    devices = [device.device for device in ecgpu.devices()]
    assert {"cpu", "reference"} <= set(devices)
    stages = model.verify()
    assert len(stages) > 10
    assert all(stage.passed for stage in stages)
