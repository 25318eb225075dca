#!/usr/bin/env python3
"""Writes an ISHNE Holter recording with the package ishneholterlib, as a reference for our reader.

    pip install ishneholterlib==2020.5.29
    tests/formats/write_ishne.py FOLDER

`holter.ecg` has the signal of tests/wfdb_package.py: twelve leads, ten seconds at 100 Hz, in steps of 5 µV, with a note
of variable length in the header and the name of a patient, which no reader may keep. A copy is in tests/data.
"""

import pathlib
import sys

from ishneholterlib import Holter, Lead

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from wfdb_package import RATE, signal

# I, II, III, aVR, aVL, aVF, V1 to V6.
CODES = range(5, 17)
NANOVOLTS = 5000
QUALITY_GOOD = 1


def write(path, steps, codes=CODES):
    """Writes steps, [samples, leads], of the leads of `codes`."""
    # The constructor reads a file, and there is none yet.
    holter = Holter.__new__(Holter)
    holter.filename = str(path)
    holter.file_version = 1
    holter.first_name, holter.last_name, holter.id = "Marietta", "Sando", "0042"
    holter.sex = holter.race = holter.pm = 0
    holter.birth_date = holter.record_date = holter.start_time = None
    holter.recorder_type, holter.sr = b"digital", RATE
    holter.proprietary = holter.copyright = holter.reserved = ""
    holter.var_block = b"a note of variable length"
    holter.lead = [Lead(code, QUALITY_GOOD, NANOVOLTS) for code in codes]
    for lead, samples in zip(holter.lead, steps.T):
        lead.save_data(samples.astype("<i2"), convert=False)
    holter.write_file(overwrite=True, convert_data=False)


if __name__ == "__main__":
    write(pathlib.Path(sys.argv[1]) / "holter.ecg", signal())
