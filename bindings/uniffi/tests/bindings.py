"""The bindings that UniFFI writes, called from Python: they pass what the command line says. tests/on_mobile.sh runs this.

ECGPU is the command line; the module ecgpu and its library are on PYTHONPATH.
"""

import csv
import json
import os
import pathlib
import subprocess
import threading
import unittest

import ecgpu

ROOT = pathlib.Path(__file__).parents[3]
HEADER = ROOT / "tests/data/format16.hea"
TABLE = ROOT / "tests/data/table.csv"


def command_line(path, *arguments):
    """The JSON of `ecgpu classify` on the CPU."""
    command = [os.environ["ECGPU"], "classify", "--json", "--embedding", "--device", "cpu", *arguments, path]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


class Bindings(unittest.TestCase):
    def agrees(self, prediction, expected):
        self.assertEqual(prediction.classes, list(expected["probabilities"]))
        for found, wanted in [
            (prediction.logits, expected["logits"]),
            (prediction.probabilities, expected["probabilities"].values()),
            (prediction.thresholds, expected["thresholds"].values()),
            (prediction.embedding, expected["embedding"]),
        ]:
            wanted = list(wanted)
            self.assertEqual(len(found), len(wanted))
            self.assertLess(max(abs(a - b) for a, b in zip(found, wanted)), 1e-5)
        self.assertEqual(prediction.labels, expected["labels"])

    def test_a_file_and_its_bytes_give_what_the_command_line_says(self):
        classifier = ecgpu.Classifier(device="cpu")
        [of_path] = classifier.classify_file(str(HEADER))
        expected = command_line(HEADER)
        self.agrees(of_path, expected)
        self.assertEqual((of_path.record, of_path.warnings), (expected["record"], expected["warnings"]))
        [of_bytes] = classifier.classify_bytes("table.csv", TABLE.read_bytes())
        self.agrees(of_bytes, command_line(TABLE))
        self.assertIn("cpu", classifier.device())

    def test_leads_in_microvolts_give_what_their_file_says(self):
        rows = list(csv.reader(TABLE.read_text().splitlines()))
        times, *columns = zip(*((float(value) for value in row) for row in rows[1:]))
        leads = [ecgpu.Lead(name=name, samples=[1000 * value for value in column]) for name, column in zip(rows[0][1:], columns)]
        rate = 1 / (times[1] - times[0])
        prediction = ecgpu.Classifier("cpu").classify_leads(leads, rate, ecgpu.VoltageUnit.MICROVOLT)
        self.agrees(prediction, command_line(TABLE))

    def test_other_weights_come_from_a_path_and_from_bytes(self):
        weights = ROOT / "weights/ssl-ecg-55k.safetensors"
        expected = command_line(HEADER, "--weights", weights)
        for classifier in [
            ecgpu.Classifier.from_path(str(weights), "cpu"),
            ecgpu.Classifier.from_bytes(weights.read_bytes(), "cpu"),
        ]:
            self.agrees(classifier.classify_file(str(HEADER))[0], expected)

    def test_errors_are_classes_with_a_reason_and_a_remedy(self):
        classifier, unit = ecgpu.Classifier("cpu"), ecgpu.VoltageUnit.MILLIVOLT
        lead = lambda name, value=0.0, count=1000: ecgpu.Lead(name=name, samples=[value] * count)
        for error, part, call in [
            (ecgpu.EcgpuError.File, "no.hea", lambda: classifier.classify_file("no.hea")),
            (ecgpu.EcgpuError.Usage, "'V9' is not a lead", lambda: classifier.classify_leads([lead("V9")], 100, unit)),
            (ecgpu.EcgpuError.Recording, "without leads", lambda: classifier.classify_leads([], 100, unit)),
            (ecgpu.EcgpuError.Recording, "NaN", lambda: classifier.classify_leads([lead("I", float("nan"))], 100, unit)),
            (ecgpu.EcgpuError.Recording, "there twice", lambda: classifier.classify_leads([lead("I"), lead("I")], 100, unit)),
            (ecgpu.EcgpuError.Recording, "has 9", lambda: classifier.classify_leads([lead("I"), lead("II", 0, 9)], 100, unit)),
            (ecgpu.EcgpuError.Recording, "II is missing", lambda: classifier.classify_leads([lead("I")], 100, unit)),
            (ecgpu.EcgpuError.Weights, "safetensors", lambda: ecgpu.Classifier.from_bytes(b"no weights", "cpu")),
            (ecgpu.EcgpuError.Device, "gpu:7", lambda: ecgpu.Classifier("gpu:7")),
        ]:
            with self.subTest(part), self.assertRaises(error) as raised:
                call()
            self.assertIn(part, raised.exception.reason)
            self.assertTrue(raised.exception.remedy)

    def test_sixteen_threads_share_a_classifier(self):
        classifier, found = ecgpu.Classifier("cpu"), []
        work = lambda: found.append(classifier.classify_file(str(HEADER))[0].logits)
        threads = [threading.Thread(target=work) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(found, [found[0]] * 16)

    def test_the_version_is_that_of_the_command_line(self):
        printed = subprocess.run([os.environ["ECGPU"], "--version"], check=True, capture_output=True, text=True).stdout
        self.assertIn(ecgpu.version(), printed)


unittest.main()
