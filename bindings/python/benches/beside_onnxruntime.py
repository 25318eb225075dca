"""ecgpu from Python beside ONNX Runtime from Python: the same network, inputs and threads, alternately in one run.

    python -m ecgpu export 542k --onnx 542k.onnx
    python bindings/python/benches/beside_onnxruntime.py 542k.onnx --threads 1

It prints the median time of a call at batch 1 and 32, what a call costs beyond the network (64 short records one by one
beside the same in one batch), and the time from the import to the first logits, with NumPy's import and without.
"""

import argparse
import subprocess
import sys
import time

import ecgpu
import numpy as np
import onnxruntime

START = """
import time
{before}
start = time.perf_counter()
import {package}
{work}
print(time.perf_counter() - start)
"""

ECGPU = """
import numpy as np
ecgpu.Classifier(device="cpu", threads={threads}).run(np.zeros((1, 12, 1000), np.float32))
"""

ONNXRUNTIME = """
import numpy as np
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = {threads}
session = onnxruntime.InferenceSession({model!r}, options, providers=["CPUExecutionProvider"])
session.run(None, {{session.get_inputs()[0].name: np.zeros((1, 12, 1000), np.float32)}})
"""


def median(times):
    """Returns the median in microseconds."""
    return 1e6 * float(np.median(times))


# Calls of one kind in a row, and the pause in seconds before them: the threads of ONNX Runtime spin for a while after a
# call, and would take the cores from whatever is timed next.
IN_A_ROW, PAUSE = 100, 0.5


def timed(calls, rounds):
    """Times calls alternately, some of a kind in a row."""
    times = [[] for _ in calls]
    for _ in range(max(rounds // IN_A_ROW, 2)):
        for call, taken in zip(calls, times, strict=True):
            time.sleep(PAUSE)
            call()
            for _ in range(IN_A_ROW):
                start = time.perf_counter()
                call()
                taken.append(time.perf_counter() - start)
    return [median(taken) for taken in times]


def start_up(before, package, work):
    """Times the import of a package and its first logits in new processes, in milliseconds."""
    program = START.format(before=before, package=package, work=work)
    runs = [float(subprocess.check_output([sys.executable, "-c", program], text=True)) for _ in range(7)]
    return 1e3 * float(np.median(runs))


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="the network as ONNX")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=200)
    arguments = parser.parse_args()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    session = onnxruntime.InferenceSession(arguments.model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    model = ecgpu.Classifier(device="cpu", threads=arguments.threads)
    print(f"{model.computes_on}; ONNX Runtime {onnxruntime.__version__}")
    for batch in (1, 32):
        X = np.random.default_rng(1).normal(size=(batch, 12, 1000)).astype(np.float32)
        np.testing.assert_allclose(model.run(X)[0], session.run(None, {name: X})[0], atol=1e-4)
        calls = [lambda X=X: model.run(X), lambda X=X: session.run(None, {name: X})]
        own, peer = timed(calls, max(arguments.rounds // batch, 2 * IN_A_ROW))
        print(f"batch {batch:2}: ecgpu {own:8.0f} us, ONNX Runtime {peer:8.0f} us, {peer / own:.2f} times as fast")
    if arguments.threads == 1:
        short = np.random.default_rng(1).normal(size=(64, 12, 16)).astype(np.float32)
        calls = [lambda: model.run(short), lambda: [model.run(short[at : at + 1]) for at in range(64)]]
        together, one_by_one = timed(calls, arguments.rounds)
        each = (one_by_one - together) / (len(short) - 1)
        print(
            f"64 records of 16 samples: {together:.0f} us together, {one_by_one:.0f} one by one: {each:.1f} us per call"
        )
    for before, label in (("", "with NumPy's import"), ("import numpy", "behind NumPy's import")):
        own = start_up(before, "ecgpu", ECGPU.format(threads=arguments.threads))
        work = ONNXRUNTIME.format(threads=arguments.threads, model=arguments.model)
        peer = start_up(before, "onnxruntime", work)
        print(f"import to first logits, {label}: ecgpu {own:.1f} ms, ONNX Runtime {peer:.1f} ms")


if __name__ == "__main__":
    main()
