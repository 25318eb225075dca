#!/usr/bin/env python3
"""Writes and checks WFDB records with PhysioNet's own Python package, as a reference for ours.

The Rust tests need no Python: what `write` writes is kept in tests/data. To repeat it:

    pip install wfdb==4.3.1
    tests/wfdb_package.py write tests/data
    tests/wfdb_package.py check RECORD.hea VALUES.csv

`write DIR` writes one synthetic signal of ten seconds at 100 Hz in every format that the tests read, and the values in
millivolts that each reader must find, as `expected.npy` (float32, [12 leads, 1000 samples], standard order).

`check HEA CSV` reads a record with the package, compares checksums and first samples with the header's, and the values
in millivolts with a table that has a column a lead and its name in the first line.
"""

import argparse
import csv
import pathlib
import sys

import numpy
import wfdb

LEADS = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]
RATE = 100
SAMPLES = 1000
STEPS_A_MILLIVOLT = 200  # Format 212 has 12 bits: 5 µV steps reach ±10 mV.


def signal():
    """The signal in steps of 5 µV, [1000 samples, 12 leads]: a spike train with a wave, different in every lead."""
    time = numpy.arange(SAMPLES) / RATE
    beat = numpy.exp(-0.5 * (((time % 0.8) - 0.4) / 0.015) ** 2)
    wave = numpy.exp(-0.5 * (((time % 0.8) - 0.65) / 0.05) ** 2)
    wander = 0.05 * numpy.cos(2 * numpy.pi * 0.25 * time)
    i, ii = 0.8 * beat + 0.15 * wave + wander, 1.2 * beat + 0.3 * wave - wander
    chest = [(-0.9 + 0.4 * n) * beat + 0.1 * n * wave + wander for n in range(6)]
    steps = [numpy.round(lead * STEPS_A_MILLIVOLT / 2) * 2 for lead in (i, ii)]
    i, ii = steps
    steps += [ii - i, -(i + ii) / 2, i - ii / 2, ii - i / 2]
    steps += [numpy.round(lead * STEPS_A_MILLIVOLT) for lead in chest]
    return numpy.stack(steps, axis=1).astype(numpy.int64)


def write_record(directory, name, steps, leads, formats, files=None, baseline=0):
    """Writes a record with the package; `files` gives each lead's signal file, `baseline` the value of 0 mV."""
    count = len(leads)
    steps = steps + baseline
    record = wfdb.Record(
        record_name=name,
        n_sig=count,
        fs=RATE,
        sig_len=SAMPLES,
        d_signal=steps,
        fmt=formats,
        file_name=files or [f"{name}.dat"] * count,
        adc_gain=[float(STEPS_A_MILLIVOLT)] * count,
        baseline=[baseline] * count,
        units=["mV"] * count,
        sig_name=leads,
        adc_res=[12] * count,
        adc_zero=[0] * count,
        block_size=[0] * count,
        comments=["Synthetic, no patient"],
    )
    record.init_value = [int(value) for value in steps[0]]
    record.checksum = record.calc_checksum()
    record.wrsamp(write_dir=str(directory))


def write(directory):
    """Writes every fixture to `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    steps = signal()
    expected = (steps / STEPS_A_MILLIVOLT).astype(numpy.float32)
    numpy.save(directory / "expected.npy", expected.T)
    write_record(directory, "format16", steps, LEADS, ["16"] * 12)
    write_record(directory, "format212", steps, LEADS, ["212"] * 12)
    order = [6, 7, 8, 9, 10, 11, 5, 4, 3, 2, 1, 0]
    files = ["permuted_chest.dat"] * 6 + ["permuted_limb.dat"] * 6
    leads = [LEADS[lead] for lead in order]
    write_record(directory, "permuted", steps[:, order], leads, ["16"] * 6 + ["212"] * 6, files, baseline=100)
    write_arrays(directory, steps, expected)
    with open(directory / "table.csv", "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["time"] + [lead.lower() for lead in LEADS])
        for sample, row in enumerate(expected):
            table.writerow([sample / RATE] + [f"{value:.3f}" for value in row])


def write_arrays(directory, steps, expected):
    """Writes NumPy arrays of other types, layouts and byte orders, and of a batch."""
    numpy.save(directory / "samples_first_f64_big_endian.npy", expected[:250].astype(">f8"))
    numpy.save(directory / "microvolts_i16_fortran.npy", numpy.asfortranarray((steps.T * 5).astype("<i2")))
    batch = numpy.stack([expected.T[:, :200], -expected.T[:, :200]])
    numpy.save(directory / "batch_fortran.npy", numpy.asfortranarray(batch))


def check(header, values):
    """Whether the package finds in a record what `values` lists; prints what differs."""
    name = str(header.with_suffix(""))
    digital = wfdb.rdrecord(name, physical=False)
    physical = wfdb.rdrecord(name).p_signal
    problems = []
    if [total % 65536 for total in digital.checksum] != digital.calc_checksum():
        problems.append(f"checksums {digital.checksum}, expected {digital.calc_checksum()}")
    if digital.init_value != digital.d_signal[0].tolist():
        problems.append(f"first samples {digital.init_value}, expected {digital.d_signal[0].tolist()}")
    with open(values, newline="") as file:
        leads, *rows = csv.reader(file)
    if leads != digital.sig_name:
        problems.append(f"leads {digital.sig_name}, expected {leads}")
    listed = numpy.array(rows, dtype=float)
    if listed.shape != physical.shape:
        problems.append(f"shape {physical.shape}, expected {listed.shape}")
    elif numpy.nanmax(numpy.abs(listed - physical)) > 0.51 / min(digital.adc_gain) or numpy.isnan(physical).any():
        problems.append("values differ by more than half a step")
    for problem in problems:
        print(f"{header}: {problem}")
    return not problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    writing = commands.add_parser("write", help="write the fixtures")
    writing.add_argument("directory", type=pathlib.Path)
    checking = commands.add_parser("check", help="compare a record with a table of its values")
    checking.add_argument("header", type=pathlib.Path)
    checking.add_argument("values", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.command == "write":
        write(arguments.directory)
    else:
        sys.exit(0 if check(arguments.header, arguments.values) else 1)


if __name__ == "__main__":
    main()
