#!/usr/bin/env python3
"""Writes and checks EDF and BDF files with the package edfio, as a reference for the Rust reader and writer.

    pip install edfio
    tests/formats/write_edf.py FOLDER
    tests/formats/write_edf.py check FILE.edf VALUES.csv

The first writes the signal of `tests/data/expected.npy` in several ways. `check` compares a file with a table of its
values in millivolts that has one column for each lead and their names in the first line.
"""

import csv
import pathlib
import sys

import edfio
import numpy

LEADS = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]
RATE = 100
DATA = pathlib.Path(__file__).parent.parent / "data" / "expected.npy"


def write(folder):
    """Writes every file to `folder`."""
    millivolts = numpy.load(DATA).astype(float)

    def signals(label, unit, factor, low, high, kind=edfio.EdfSignal):
        scaled = zip(LEADS, millivolts * factor)
        return [
            kind(values, RATE, label=label.format(lead), physical_dimension=unit, physical_range=(low, high))
            for lead, values in scaled
        ]

    breath = edfio.EdfSignal(numpy.sin(numpy.arange(250) / 25), 25, label="Resp chest", physical_dimension="")
    note = edfio.EdfAnnotation(1.5, None, "a note with \u00b5")
    plus = edfio.Edf(signals("ECG {}", "uV", 1000, -5000, 5000), annotations=[note])
    plus.write(folder / "plus.edf")
    edfio.Edf([breath, *signals("EKG {}-REF", "mV", 1, -5, 5)]).write(folder / "rates.edf")
    edfio.Edf(signals("{}", "mV", 1, -5, 5), data_record_duration=0.5).write(folder / "short_records.edf")
    edfio.Edf(signals("ECG {}", "nV", 1e6, -5e6, 5e6)).write(folder / "nanovolts.edf")
    bits_24 = signals("ECG Lead {}", "uV", 1000, -262144, 262143, edfio.BdfSignal)
    edfio.Bdf(bits_24, annotations=[note]).write(folder / "plus.bdf")


def check(path, table):
    """Whether the package finds in an EDF file what a table lists; prints what differs."""
    edf = edfio.read_edf(path)
    with open(table, newline="") as file:
        leads, *rows = csv.reader(file)
    listed = numpy.array(rows, dtype=float)
    problems = []
    if [signal.label for signal in edf.signals] != [f"ECG {lead}" for lead in leads]:
        problems.append(f"labels {[signal.label for signal in edf.signals]}, expected those of {leads}")
    for signal, expected in zip(edf.signals, listed.T):
        if signal.physical_dimension != "uV" or signal.data.shape != expected.shape:
            problems.append(f"{signal.label}: {signal.data.shape} in {signal.physical_dimension}")
        elif numpy.abs(signal.data / 1000 - expected).max() > 0.0001:
            problems.append(f"{signal.label} differs by {numpy.abs(signal.data / 1000 - expected).max()} mV")
    if [note.text for note in edf.annotations] != ["Synthetic \u00b5"]:
        problems.append(f"annotations {edf.annotations}")
    if any(ord(letter) > 127 for letter in edf.local_patient_identification) or edf.patient.name != "X":
        problems.append(f"patient {edf.local_patient_identification}")
    for problem in problems:
        print(f"{path}: {problem}")
    return not problems


def main():
    if len(sys.argv) == 2:
        write(pathlib.Path(sys.argv[1]))
    elif len(sys.argv) == 4 and sys.argv[1] == "check":
        sys.exit(0 if check(sys.argv[2], sys.argv[3]) else 1)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
