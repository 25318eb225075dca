#!/usr/bin/env python3
"""Writes the small files from which the fuzz targets begin, with the packages of tests/requirements.txt.

    pip install -r tests/requirements.txt
    fuzz/write_seeds.py fuzz/seeds

All of them hold a part of the synthetic signal of tests/wfdb_package.py. The seeds of the XML documents and of SCP-ECG come
from the tests in Rust, since no package writes these formats: fuzz/README.md.
"""

import gzip
import io
import pathlib
import sys
import zipfile

import edfio
import h5py
import numpy
import scipy.io
from pydicom import uid

TESTS = pathlib.Path(__file__).resolve().parent.parent / "tests"
sys.path += [str(TESTS), str(TESTS / "formats")]
from wfdb_package import LEADS, RATE, STEPS_A_MILLIVOLT, signal  # noqa: E402
from write_dicom import group, save  # noqa: E402
from write_ishne import write as write_holter  # noqa: E402

# Three leads, for formats that name their leads, and all twelve.
STEPS = signal()[20:60, :3].T
SHORT = LEADS[:3]
MILLIVOLTS = STEPS / STEPS_A_MILLIVOLT
MICROVOLTS = (MILLIVOLTS * 1000).round().astype("i2")
WHOLE = signal()[30:50].T / STEPS_A_MILLIVOLT


def write_dcm(folder):
    """Every transfer syntax, and a median beat beside the rhythm."""
    groups = [group(STEPS[:, :9], SHORT, label="MEDIAN BEAT"), group(STEPS, SHORT, label="RHYTHM")]
    save(folder / "explicit", groups, undefined=True)
    save(folder / "implicit", groups[1:], uid.ImplicitVRLittleEndian)
    save(folder / "big_endian", [group(STEPS, SHORT, order=">")], uid.ExplicitVRBigEndian)
    save(folder / "deflated", groups, uid.DeflatedExplicitVRLittleEndian)
    save(folder / "bits8", [group(STEPS.clip(-128, 127), SHORT, kind="SB", padding=-128)], bare=True)


def write_edf(folder):
    """EDF+ and BDF+ with annotations, and EDF without."""

    def signals(kind):
        return [
            kind(values, RATE, label=f"ECG {lead}", physical_dimension="mV", physical_range=(-5, 5))
            for lead, values in zip(SHORT, MILLIVOLTS)
        ]

    note = edfio.EdfAnnotation(0.1, None, "a note")
    edfio.Edf(signals(edfio.EdfSignal), data_record_duration=0.2).write(folder / "plain")
    edfio.Edf(signals(edfio.EdfSignal), annotations=[note], data_record_duration=0.2).write(folder / "plus")
    edfio.Bdf(signals(edfio.BdfSignal), annotations=[note], data_record_duration=0.2).write(folder / "bdf")


def write_ishne_ecg(folder):
    """A Holter recording."""
    write_holter(folder / "holter", STEPS.T, range(5, 8))


def save_matlab(path, variables, **options):
    """Writes a file without the extension that SciPy would append."""
    with open(path, "wb") as file:
        scipy.io.savemat(file, variables, **options)


def write_mat(folder):
    """Levels 4 and 5, the structure of CPSC 2018, and one that states everything."""
    microvolts = (WHOLE * 1000).round().astype("i2")
    save_matlab(folder / "level4", {"val": microvolts, "Fs": 100.0}, format="4")
    save_matlab(folder / "level5", {"val": microvolts})
    save_matlab(folder / "compressed", {"val": microvolts, "fs": 100.0}, do_compression=True)
    save_matlab(folder / "cpsc", {"ECG": {"sex": "Female", "age": 50.0, "data": WHOLE}})
    names = numpy.array(SHORT, dtype=object)
    save_matlab(folder / "stated", {"r": {"ecg": MILLIVOLTS, "fs": 100.0, "units": "mV", "sig_name": names}})


def write_h5(folder):
    """Contiguous and chunked data sets of the oldest and a newer layout."""
    batch = numpy.zeros((2, 40, 12), dtype="f4")
    batch[:, 8:28] = WHOLE.T
    options = {"compression": "gzip", "shuffle": True, "fletcher32": True, "chunks": (1, 40, 12)}
    with h5py.File(folder / "chunked", "w", libver="v110") as file:
        file.create_dataset("tracings", data=batch, **options)
        file["exam_id"] = numpy.array([71, 72])
    with h5py.File(folder / "chunked_earliest", "w", libver="earliest") as file:
        file.create_dataset("tracings", data=batch, **options)
    with h5py.File(folder / "stated", "w", libver="latest") as file:
        ecg = file.create_dataset("record/ecg", data=MICROVOLTS.astype(">i2"))
        ecg.attrs["sampling_rate"], ecg.attrs["units"], ecg.attrs["leads"] = 100, "uV", SHORT
    with h5py.File(folder / "leads", "w") as file:
        file["fs"] = 100.0
        for lead, samples in zip(SHORT, MILLIVOLTS):
            file[f"ecg/{lead}"] = samples


def table(delimiter=",", decimal=".", unit=" (mV)"):
    """A text table with a column of times."""
    rows = [[number / RATE, *column] for number, column in enumerate(MILLIVOLTS.T)]
    lines = [delimiter.join(f"{value:.3f}".replace(".", decimal) for value in row) for row in rows]
    return "\n".join([delimiter.join(["time (s)", *(lead + unit for lead in SHORT)]), *lines, ""])


def array_bytes(array):
    """A NumPy file."""
    file = io.BytesIO()
    numpy.save(file, array)
    return file.getvalue()


def write_csv(folder):
    """Tables in several dialects."""
    (folder / "commas").write_text(table())
    (folder / "decimal_commas").write_text("# Sampling rate: 100 Hz\n" + table(";", ",", ""), encoding="utf-16")
    (folder / "tabs").write_text("I\tII\tIII\nuV\tuV\tuV\n" + "\n".join("\t".join(map(str, row)) for row in MICROVOLTS.T))
    rows = [" ".join([lead, *map(str, samples)]) for lead, samples in zip(SHORT, MILLIVOLTS)]
    (folder / "leads_in_rows").write_text("\n".join(rows) + "\n")


def write_npy(folder):
    """Arrays of several types, orders and dimensions."""
    arrays = {
        "single": WHOLE.astype("f4"),
        "half": WHOLE.T.astype("<f2"),
        "fortran": numpy.asfortranarray(numpy.stack([WHOLE, WHOLE]).astype(">f8")),
        "whole": (WHOLE * 1000).astype(">i4"),
    }
    for name, array in arrays.items():
        (folder / name).write_bytes(array_bytes(array))


def write_npz(folder):
    """Archives with and without compression."""
    with open(folder / "stored", "wb") as file:
        numpy.savez(file, ecg=MILLIVOLTS.astype("f4"), fs=100, leads=SHORT)
    with open(folder / "compressed", "wb") as file:
        numpy.savez_compressed(file, ecg=MICROVOLTS, fs=100, unit="uV", leads=SHORT)


def write_zip(folder):
    """An archive of recordings of three formats, and of a file that is none."""
    samples = MICROVOLTS.T.astype("<i2").tobytes()
    lines = [f"r.dat 16 1000(0)/mV 16 0 0 0 0 {lead}\n" for lead in SHORT]
    for name, method in [("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED)]:
        with zipfile.ZipFile(folder / name, "w", method) as archive:
            archive.writestr("r/r.hea", "".join([f"r {len(SHORT)} {RATE} {STEPS.shape[1]}\n", *lines]))
            archive.writestr("r/r.dat", samples)
            archive.writestr("t.csv", table())
            archive.writestr("a.npy", array_bytes(WHOLE))
            archive.writestr("README.pdf", b"%PDF-1.4")


def write_csv_gz(folder):
    """A compressed table, in one member and in two."""
    text = table().encode()
    (folder / "one").write_bytes(gzip.compress(text, mtime=0))
    (folder / "two").write_bytes(gzip.compress(text[:200], mtime=0) + gzip.compress(text[200:], mtime=0))


def write_hea(folder):
    """Headers, each followed by a zero and by the bytes of its signal files and of the header of a segment."""
    samples = MICROVOLTS.T.astype("<i2").tobytes()
    for number in [8, 16, 24, 32, 61, 80, 160, 212, 310, 311]:
        header = f"x 2 100\nx.dat {number}x1+0 200(0)/mV 16 0 0 0 0 I\nx.dat {number} 200(0)/mV 16 0 0 0 0 II\n"
        (folder / f"f{number}").write_bytes(header.encode() + b"\0" + samples)
    segment = "y 2 100 8\ny.dat 16 200(0)/mV 16 0 0 0 0 II\ny.dat 16 200(0)/mV 16 0 0 0 0 I\n"
    (folder / "segments").write_bytes(b"x/3 2 100 17\ny 8\n~ 1\ny 8\n\0" + segment.encode())


def main():
    folder = pathlib.Path(sys.argv[1])
    writers = [write_dcm, write_edf, write_ishne_ecg, write_mat, write_h5, write_csv, write_npy]
    writers += [write_npz, write_zip, write_csv_gz, write_hea]
    for write in writers:
        target = folder / write.__name__.removeprefix("write_")
        target.mkdir(parents=True, exist_ok=True)
        write(target)


if __name__ == "__main__":
    main()
