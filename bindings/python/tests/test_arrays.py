"""Batches of recordings, the network's own input, and scikit-learn."""

import pickle
import warnings

import ecgpu
import numpy as np
import pytest
from conftest import needs


@pytest.fixture
def own(model, synthetic):
    """The network's own input `[8, 12, 1000]`."""
    return ((synthetic - synthetic.mean(axis=2, keepdims=True)) / model.network_scale).astype(np.float32)


def test_the_networks_own_input_gives_the_logits_of_the_recordings(model, synthetic, own):
    logits, embedding = model.run(own)
    assert logits.shape == (8, 5)
    assert embedding.shape == (8, model.features)
    for at in range(8):
        prediction = model.classify(synthetic[at], sampling_rate=100, unit="mV")
        np.testing.assert_allclose(logits[at], prediction.logits, rtol=0, atol=1e-4)
        np.testing.assert_allclose(embedding[at], prediction.embedding, rtol=0, atol=1e-4)
    assert model.run(own, embedding=False)[1] is None


def test_strides_types_and_byte_orders_do_not_matter(model, own):
    expected = model.run(own)[0]
    for form in [
        own.astype(np.float64),
        own.astype(">f4"),
        np.asfortranarray(own),
        np.repeat(own, 2, axis=0)[::2],
        own.transpose(2, 1, 0).copy().transpose(2, 1, 0),
    ]:
        np.testing.assert_array_equal(model.run(form)[0], expected)
    np.testing.assert_allclose(model.run(np.repeat(own, 200, axis=0))[0], np.repeat(expected, 200, axis=0), atol=1e-5)
    assert model.run(own[:0])[0].shape == (0, 5)


def test_what_the_network_cannot_run_is_refused(model, own):
    bad = own.copy()
    bad[3, 4, 5] = np.nan
    for X, kind, text in [
        (own[0], ecgpu.errors.ShapeError, r"shape \[12, 1000\]"),
        (own[:, :8], ecgpu.errors.ShapeError, "12 leads"),
        (own[:, :, :0], ecgpu.errors.ShapeError, "12 leads"),
        (bad, ecgpu.errors.RecordingError, "NaN at record 3, lead 4, sample 5"),
        (own.astype(complex), ecgpu.errors.UsageError, "complex128 is no array of numbers"),
        ([["a"]], ecgpu.errors.UsageError, "no array of numbers"),
        (object(), ecgpu.errors.UsageError, "no array of numbers"),
    ]:
        with pytest.raises(kind, match=text):
            model.run(X)


def test_probabilities_labels_logits_and_embeddings_of_a_batch(synthetic):
    with ecgpu.Classifier(device="cpu", sampling_rate=100, unit="mV") as model:
        single = [model.classify(each) for each in synthetic]
        probabilities = model.predict_proba(synthetic)
        np.testing.assert_allclose(probabilities, [each.probabilities for each in single], atol=1e-5)
        np.testing.assert_allclose(model.decision_function(synthetic), [each.logits for each in single], atol=1e-4)
        np.testing.assert_allclose(model.transform(synthetic), [each.embedding for each in single], atol=1e-4)
        labels = [[int(name in each.labels) for name in each.classes] for each in single]
        np.testing.assert_array_equal(model.predict(synthetic), labels)
        np.testing.assert_allclose(model.predict_proba(synthetic.transpose(0, 2, 1)), probabilities, atol=1e-5)
        assert model.predict_proba(synthetic[:0]).shape == (0, 5)


def test_what_is_assumed_of_an_array_is_said(model, synthetic):
    with pytest.warns(ecgpu.DataWarning) as heard:
        model.predict_proba(synthetic)
    said = [str(each.message) for each in heard]
    assert any("taken as mV" in text for text in said)
    assert any("taken as 100 Hz" in text for text in said)
    with pytest.raises(ecgpu.errors.RecordingError, match="state the sampling rate"):
        model.predict_proba(synthetic[:, :, :900])
    with pytest.raises(ecgpu.errors.RecordingError, match="without a unit"):
        model.predict_proba(np.rint(synthetic * 1000).astype(np.int32))


def test_a_bad_record_of_a_batch_is_named(synthetic):
    model = ecgpu.Classifier(device="cpu", sampling_rate=100, unit="mV")
    bad = synthetic.copy()
    bad[5, 2, 7] = np.inf
    with pytest.raises(ecgpu.errors.RecordingError, match=r"X"):
        model.predict_proba(bad)


def test_a_copy_of_a_classifier_computes_the_same(own):
    model = ecgpu.Classifier("55k", device="cpu", threads=1)
    copy = pickle.loads(pickle.dumps(model))
    assert copy.get_params() == model.get_params()
    np.testing.assert_array_equal(copy.run(own)[0], model.run(own)[0])
    model.close()
    model.close()
    with pytest.raises(ecgpu.errors.UsageError, match="closed"):
        model.run(own)
    with pytest.raises(ecgpu.errors.UsageError, match="closed"):
        _ = model.classes
    assert repr(model) == repr(pickle.loads(pickle.dumps(model))) == "Classifier(closed)"


def test_other_parameters_open_another_network(own):
    model = ecgpu.Classifier(device="cpu", threads=1)
    assert model.run(own)[1].shape == (8, 256)
    assert model.set_params(weights="55k") is model
    assert model.run(own)[1].shape == (8, 128)
    with pytest.raises(ecgpu.errors.UsageError, match="no parameter colour"):
        model.set_params(colour="red")


def test_scikit_learn_takes_it_as_a_transformer_and_a_classifier(synthetic):
    needs("sklearn")
    from sklearn.base import clone
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline

    X = np.concatenate([synthetic, synthetic * 1.01, synthetic * 0.99])
    y = np.tile([0, 1], 12)
    encoder = ecgpu.Classifier(device="cpu", sampling_rate=100, unit="mV")
    assert clone(encoder).get_params() == encoder.get_params()
    pipeline = make_pipeline(encoder, LogisticRegression(max_iter=1000))
    scores = cross_val_score(pipeline, X, y, cv=3)
    assert scores.mean() > 0.9, "normal and infarction differ in their embeddings"
    calibrated = CalibratedClassifierCV(LogisticRegression(max_iter=1000), cv=3).fit(encoder.transform(X), y)
    assert calibrated.predict_proba(encoder.transform(X)).shape == (24, 2)
    assert list(encoder.classes_) == encoder.classes
    assert encoder.fit(X, y) is encoder


def test_joblib_moves_it_to_other_processes(synthetic):
    joblib = needs("joblib")
    model = ecgpu.Classifier(device="cpu", threads=1, sampling_rate=100, unit="mV")
    work = [joblib.delayed(model.predict_proba)(part) for part in np.split(synthetic, 4)]
    results = np.concatenate(joblib.Parallel(n_jobs=2)(work))
    np.testing.assert_allclose(results, model.predict_proba(synthetic), atol=1e-5)


def test_weights_come_by_name_path_bytes_and_folder(synthetic, tmp_path):
    from conftest import DATA

    weights = DATA.parents[1] / "weights" / "ssl-ecg-55k.safetensors"
    (tmp_path / "model.safetensors").write_bytes(weights.read_bytes())
    options = {"device": "cpu", "sampling_rate": 100, "unit": "mV"}
    opened = [
        ecgpu.Classifier("55k", **options),
        ecgpu.Classifier(weights, **options),
        ecgpu.Classifier(weights.read_bytes(), **options),
        ecgpu.Classifier.from_pretrained("55k", **options),
        ecgpu.Classifier.from_pretrained(tmp_path, **options),
        ecgpu.Classifier(tmp_path, **options),
    ]
    expected = opened[0].predict_proba(synthetic)
    for model in opened:
        assert model.network == "55k"
        np.testing.assert_array_equal(model.predict_proba(synthetic), expected)
    assert len(pickle.dumps(opened[2])) > len(weights.read_bytes())
    for bad, kind in [(b"no weights", ecgpu.errors.WeightsError), ("missing.safetensors", ecgpu.errors.FileError)]:
        with pytest.raises(kind):
            ecgpu.Classifier(bad)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ecgpu.errors.WeightsError, match="no safetensors file"):
        ecgpu.Classifier.from_pretrained(tmp_path / "empty")


def test_weights_of_the_hub_come_from_the_cache_that_its_tools_share(synthetic, tmp_path, monkeypatch):
    from conftest import DATA

    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--owner--name"
    (repository / "snapshots" / commit).mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    weights = DATA.parents[1] / "weights" / "ssl-ecg-55k.safetensors"
    (repository / "snapshots" / commit / "model.safetensors").write_bytes(weights.read_bytes())
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    options = {"device": "cpu", "sampling_rate": 100, "unit": "mV"}
    expected = ecgpu.Classifier("55k", **options).predict_proba(synthetic)
    for name in ["owner/name", f"owner/name@{commit}", "hf:owner/name/model.safetensors"]:
        model = ecgpu.Classifier.from_pretrained(name, **options)
        np.testing.assert_array_equal(model.predict_proba(synthetic), expected)
        assert commit in repr(model)
    with pytest.raises(ecgpu.errors.DownloadError, match="HF_HUB_OFFLINE forbids"):
        ecgpu.Classifier.from_pretrained("owner/other")
    with pytest.raises(ecgpu.Error, match="convert|pickle"):
        ecgpu.Classifier.from_pretrained("owner/name@main/pytorch_model.bin")


def test_no_warning_is_a_surprise(synthetic):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ecgpu.Classifier(device="cpu", sampling_rate=100, unit="mV").predict_proba(synthetic)
