#!/usr/bin/env python3
"""Writes WFDB records of every signal format and layout, and what PhysioNet's own Python package reads from them.

    tests/formats/write_wfdb.py FOLDER

Each record NAME.hea has beside it NAME.npy, the values in millivolts that the package finds (float32, one row a signal, -9999
where there is no value). The package writes the files; formats that it only reads are packed here, as signal(5) of the WFDB
Applications Guide describes them.
"""

import pathlib
import sys

import numpy
import wfdb

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from wfdb_package import LEADS, RATE, STEPS_A_MILLIVOLT, signal  # noqa: E402

# Steps of the signal that fit into so many bits.
COARSER = {8: 16, 10: 4}


def record(name, steps, formats, files, leads=LEADS, gain=STEPS_A_MILLIVOLT, **fields):
    """Describes a record of `steps`, [samples, leads] or a list of the leads' samples with several in a frame."""
    count = len(leads)
    frames = fields.get("samps_per_frame", [1] * count)
    expanded = isinstance(steps, list)
    samples = len(steps[0]) // frames[0] if expanded else len(steps)
    described = wfdb.Record(
        record_name=name,
        n_sig=count,
        fs=RATE / frames[0],
        sig_len=samples,
        fmt=formats,
        file_name=files,
        adc_gain=[float(gain)] * count,
        baseline=[0] * count,
        units=["mV"] * count,
        sig_name=leads,
        adc_res=[16] * count,
        adc_zero=[0] * count,
        block_size=[0] * count,
        **fields,
    )
    if expanded:
        described.e_d_signal = steps
    else:
        described.d_signal = steps
    described.init_value = [int(values[0]) for values in (steps if expanded else steps.T)]
    described.checksum = described.calc_checksum(expanded=expanded)
    return described


def packed(number, values):
    """The bytes of samples in a format that the package does not write."""
    if number == 61:
        return values.astype(">i2").tobytes()
    if number == 160:
        return (values + 32768).astype("<u2").tobytes()
    values = numpy.append(values, [0] * (-len(values) % 3)) & 0x3FF
    first, second, third = values[0::3], values[1::3], values[2::3]
    if number == 310:
        words = numpy.stack([first << 1 | (third & 0x1F) << 11, second << 1 | third >> 5 << 11], axis=1)
        return words.astype("<u2").tobytes()
    return (first | second << 10 | third << 20).astype("<u4").tobytes()


def expect(folder, name):
    """Keeps what the package reads."""
    read = wfdb.rdrecord(str(folder / name), smooth_frames=False)
    length = max(len(values) for values in read.e_p_signal)
    rows = [values for values in read.e_p_signal if len(values) == length]
    numpy.save(folder / f"{name}.npy", numpy.nan_to_num(numpy.array(rows, dtype=numpy.float32), nan=-9999))


def write_formats(folder, steps):
    """One record a signal format."""
    for number, bits in [(16, 16), (24, 24), (32, 32), (80, 8), (212, 12), (508, 8), (516, 16), (524, 24)]:
        name = f"f{number}"
        files = [f"{name}.dat"] * 12 if number < 500 else [f"{name}_1.dat"] * 8 + [f"{name}_2.dat"] * 4
        coarse = COARSER.get(bits, 1)
        written = record(name, steps // coarse, [str(number)] * 12, files, gain=STEPS_A_MILLIVOLT / coarse)
        written.wrsamp(write_dir=str(folder))
        expect(folder, name)
    for number, bits in [(61, 16), (160, 16), (310, 10), (311, 10)]:
        name = f"f{number}"
        coarse = COARSER.get(bits, 1)
        # 1000 samples of 11 signals end within a block of three.
        values = (steps // coarse)[:, :11]
        files = [f"{name}.dat"] * 11
        written = record(name, values, [str(number)] * 11, files, LEADS[:11], STEPS_A_MILLIVOLT / coarse)
        written.wrheader(write_dir=str(folder))
        (folder / f"{name}.dat").write_bytes(packed(number, values.flatten()))
        expect(folder, name)
    # Kept in tests/data, so that the tests of damaged files need no Python.
    written = record("flac", steps[:250, :3], ["516"] * 3, ["flac.dat"] * 3, LEADS[:3])
    written.wrsamp(write_dir=str(folder))
    expect(folder, "flac")
    differences = numpy.diff(steps, axis=0, prepend=steps[:1]).clip(-128, 127)
    written = record("f8", differences.cumsum(axis=0) + steps[0], ["8"] * 12, ["f8.dat"] * 12)
    written.wrheader(write_dir=str(folder))
    (folder / "f8.dat").write_bytes(differences.astype("i1").tobytes())
    expect(folder, "f8")


def write_frames(folder, steps):
    """Two samples a frame, of all signals or of the leads alone, and skewed signals."""
    columns = [numpy.ascontiguousarray(column) for column in steps.T]
    for number in (16, 212, 516):
        name = f"two{number}"
        files = [f"{name}_1.dat"] * 8 + [f"{name}_2.dat"] * 4
        written = record(name, columns, [str(number)] * 12, files, samps_per_frame=[2] * 12)
        written.wrsamp(expanded=True, write_dir=str(folder))
        expect(folder, name)
    mixed = [*columns[:5], columns[0][:500], *columns[5:]]
    leads = [*LEADS[:5], "RESP", *LEADS[5:]]
    written = record("mixed", mixed, ["212"] * 13, ["mixed.dat"] * 13, leads, samps_per_frame=[2] * 5 + [1] + [2] * 7)
    written.wrsamp(expanded=True, write_dir=str(folder))
    expect(folder, "mixed")
    # The package reads only files whose signals share one skew.
    for source, skewed in [("f16", "skewed"), ("two16", "skewed_two")]:
        lines = (folder / f"{source}.hea").read_text().replace(source, skewed, 1).splitlines()
        for line in range(1, len(lines)):
            name, field, rest = lines[line].split(" ", 2)
            lines[line] = f"{name} {field}:{2 if name.endswith('_2.dat') else 3} {rest}"
        (folder / f"{skewed}.hea").write_text("\n".join(lines) + "\n")
        expect(folder, skewed)


def write_segments(folder, steps):
    """Records of several segments, whose signals are the same or differ in order, gain and number."""
    for number, part in enumerate(numpy.split(steps, [300, 301])):
        name = f"fixed_{number}"
        record(name, part, ["16"] * 12, [f"{name}.dat"] * 12).wrsamp(write_dir=str(folder))
    (folder / "fixed.hea").write_text(f"fixed/3 12 {RATE} 1000\nfixed_0 300\nfixed_1 1\nfixed_2 699\n")
    expect(folder, "fixed")
    layout = "".join(f"~ 0 200/mV 0 0 0 0 0 {lead}\n" for lead in LEADS)
    (folder / "variable_layout.hea").write_text(f"variable_layout 12 {RATE} 0\n{layout}")
    first = record("variable_1", steps[:400], ["212"] * 12, ["variable_1.dat"] * 12)
    first.wrsamp(write_dir=str(folder))
    # Leads that follow from I and II are absent.
    order = [11, 10, 9, 8, 7, 6, 1, 0]
    leads = [LEADS[lead] for lead in order]
    second = record("variable_2", steps[410:, order] * 2, ["16"] * 8, ["variable_2.dat"] * 8, leads, 400)
    second.wrsamp(write_dir=str(folder))
    segments = "variable_layout 0\nvariable_1 400\n~ 10\nvariable_2 590\n"
    (folder / "variable.hea").write_text(f"variable/4 12 {RATE} 1000\n{segments}")
    expect(folder, "variable")


def main():
    folder = pathlib.Path(sys.argv[1])
    steps = signal()
    write_formats(folder, steps)
    write_frames(folder, steps)
    write_segments(folder, steps)


if __name__ == "__main__":
    main()
