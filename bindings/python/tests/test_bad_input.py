"""Wrong calls and bad files: a clear exception, never a crash."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time

import ecgpu
import numpy as np
import pytest
from conftest import DATA
from ecgpu import errors


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"device": "gpu:99"}, errors.DeviceError, "gpu:99|no GPU"),
        ({"device": "toaster"}, errors.Error, "toaster"),
        ({"precision": "f8"}, errors.UsageError, "f8"),
        ({"precision": "f16", "device": "cpu"}, errors.UsageError, "takes no GPU"),
        ({"threads": 0}, errors.Error, "thread"),
        ({"weights": "no-such-weights"}, errors.FileError, "no-such-weights"),
        ({"weights": DATA / "table.csv"}, errors.WeightsError, "table.csv"),
        ({"leads": "I"}, errors.UsageError, "leads"),
        ({"sampling_rate": "fast"}, ValueError, "fast"),
    ],
)
def test_a_classifier_that_cannot_be_opened_says_why(options, kind, text):
    with pytest.raises(kind, match=text) as raised:
        ecgpu.Classifier(**options)
    if isinstance(raised.value, ecgpu.Error):
        copy = pickle.loads(pickle.dumps(raised.value))
        assert (type(copy), str(copy), copy.cause, copy.remedy) == (
            type(raised.value),
            str(raised.value),
            raised.value.cause,
            raised.value.remedy,
        )


def test_wrong_arguments_of_calls_say_why(model, record, synthetic, tmp_path):
    for source, options, kind, text in [
        (tmp_path / "missing.hea", {}, errors.FileError, "missing.hea"),
        (tmp_path, {}, errors.Error, None),
        (b"neither text nor a known file \x00\x01", {}, errors.Error, None),
        (synthetic[0], {"unit": "inch"}, errors.UsageError, "inch"),
        (synthetic[0], {"sampling_rate": -1}, errors.UsageError, "-1"),
        (synthetic[0], {"sampling_rate": float("nan")}, errors.UsageError, "NaN"),
        (synthetic[0], {"leads": ["X"]}, errors.Error, "X"),
        (synthetic[0][:8], {"sampling_rate": 100, "unit": "mV"}, errors.Error, "8"),
        (synthetic[0], {"sampling_rate": 10_000, "unit": "mV"}, errors.RecordingError, "too short"),
        (np.zeros((0, 12)), {}, errors.Error, None),
        (np.zeros(12), {}, errors.Error, None),
        (np.array(["a"]), {}, errors.UsageError, "no array of numbers"),
        (np.zeros((12, 1000), object), {}, errors.UsageError, "no array of numbers"),
        (None, {}, errors.UsageError, "no array"),
        (42, {}, errors.Error, None),
    ]:
        with pytest.raises(kind, match=text):
            model.classify(source, **options)
    with pytest.raises(errors.UsageError, match="one path"):
        model.classify_many(record)
    for options in [{"on_error": "ignore"}, {"batch_size": 0}]:
        with pytest.raises(errors.UsageError):
            model.classify_many([record], **options)


def test_a_file_that_is_removed_in_the_middle_is_an_error_of_its_own(model, tmp_path):
    paths = []
    for number in range(64):
        path = tmp_path / f"{number:02}.npy"
        np.save(path, np.random.default_rng(number).normal(size=(12, 1000)))
        paths.append(path)
    stream = model.classify_many(paths, batch_size=2, on_error="return", sampling_rate=100, unit="mV")
    first = next(stream)
    paths[-1].unlink()
    rest = list(stream)
    assert isinstance(first, ecgpu.Prediction)
    assert [isinstance(outcome, ecgpu.Prediction) for outcome in rest] == [True] * 62 + [False]


def test_an_exception_of_the_sources_reaches_the_caller(model, record):
    def broken():
        yield record
        raise LookupError("my own")

    with pytest.raises(LookupError, match="my own"):
        list(model.classify_many(broken(), batch_size=1))


def test_closing_during_a_call_lets_the_call_end(synthetic):
    model = ecgpu.Classifier(device="cpu", sampling_rate=100, unit="mV")
    results = []
    thread = threading.Thread(target=lambda: results.append(model.predict_proba(np.tile(synthetic, (20, 1, 1)))))
    thread.start()
    time.sleep(0.05)
    model.close()
    thread.join()
    assert results[0].shape == (160, 5)


def test_ctrl_c_ends_a_long_call(tmp_path):
    program = """
import signal, numpy as np, ecgpu
# A program that was started in the background is born deaf to it.
signal.signal(signal.SIGINT, signal.default_int_handler)
model = ecgpu.Classifier(device="cpu")
X = np.zeros((200_000, 12, 100), np.float32)
print("ready", flush=True)
try:
    model.run(X)
except KeyboardInterrupt:
    print("interrupted")
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[0] == "interrupted\n"
    assert process.returncode == 0


def _in_child(connection):
    try:
        ecgpu.Classifier(device="cpu").verify()
        connection.send("computed")
    except ecgpu.Error as error:
        connection.send(str(error))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_gets_an_error_and_a_spawned_one_computes(model):
    model.verify()
    for method, expected in [("fork", "threads do not survive a fork"), ("spawn", "computed")]:
        context = multiprocessing.get_context(method)
        here, there = context.Pipe()
        child = context.Process(target=_in_child, args=(there,))
        child.start()
        assert here.poll(60), f"the child of {method} hangs"
        assert expected in here.recv()
        child.join()


def test_a_subinterpreter_is_refused():
    program = """
import ecgpu
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
own = interpreters.create()
code = '''
try:
    import ecgpu._native
except ImportError as error:
    print(error, flush=True)
'''
interpreters.run_string(own, code)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "more than once per process" in ran.stdout or "subinterpreters" in ran.stdout
