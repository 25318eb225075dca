#!/usr/bin/env python3
"""Writes one synthetic signal as NumPy, MATLAB and HDF5 files, with NumPy, SciPy and h5py.

    pip install numpy scipy h5py
    tests/formats/write_arrays.py OUT_FOLDER
"""

import gzip
import pathlib
import sys
import zipfile

import h5py
import numpy
import scipy.io

LEADS = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]
SIGNAL = numpy.load(pathlib.Path(__file__).parent.parent / "data" / "expected.npy")
MICROVOLTS = numpy.round(SIGNAL * 1000)


def write_arrays(folder):
    """Writes the element types, byte orders and shapes of arrays."""
    for name in ["int16", "int32", "int64", ">i2", ">i4", ">i8"]:
        numpy.save(folder / f"{name.replace('>', 'big_')}.npy", MICROVOLTS.astype(name))
    for name in ["float32", "float64", ">f4", ">f8"]:
        numpy.save(folder / f"{name.replace('>', 'big_')}.npy", SIGNAL.astype(name))
    numpy.save(folder / "shape_1_12_1000_1.npy", SIGNAL[None, :, :, None])
    numpy.save(folder / "fortran_batch.npy", numpy.asfortranarray(numpy.stack([SIGNAL.T, SIGNAL.T])))
    half = SIGNAL.astype(">f2")
    numpy.save(folder / "half.npy", half)
    numpy.save(folder / "half_as_single.npy", half.astype("f4"))


def write_archives(folder):
    """Writes archives of arrays, and other compressed files."""
    numpy.savez(folder / "one.npz", SIGNAL)
    labels = numpy.arange(3)
    numpy.savez_compressed(folder / "stated.npz", ecg=MICROVOLTS.astype("i2")[::-1], fs=100, unit="uV", leads=LEADS[::-1], y=labels)
    numpy.savez_compressed(folder / "leads.npz", **dict(zip(LEADS, SIGNAL)), sampling_rate=100.0)
    numpy.savez(folder / "preferred.npz", other=SIGNAL * 2, signal=SIGNAL)
    numpy.savez(folder / "ambiguous.npz", a=SIGNAL, b=SIGNAL)
    numpy.savez(folder / "objects.npz", a=numpy.array([{}, []], dtype=object))
    with gzip.open(folder / "array.npy.gz", "wb") as file:
        numpy.save(file, SIGNAL)
    zeros = bytes(100_000_000)
    with gzip.open(folder / "bomb.csv.gz", "wb") as file:
        file.write(zeros)
    with zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.npy", (folder / "float32.npy").read_bytes() + zeros)
    with zipfile.ZipFile(folder / "bzip2.zip", "w", zipfile.ZIP_BZIP2) as archive:
        archive.write(folder / "float32.npy", "a.npy")
    with zipfile.ZipFile(folder / "nothing.zip", "w") as archive:
        archive.writestr("notes.pdf", b"%PDF-1.4")
    with gzip.open(folder / "twice.npy.gz.gz", "wb") as file:
        file.write((folder / "array.npy.gz").read_bytes())
    with gzip.open(folder / "one.npz.gz", "wb") as file:
        file.write((folder / "one.npz").read_bytes())


def write_matlab(folder):
    """Writes MATLAB files of levels 4 and 5."""
    whole = MICROVOLTS.astype("i2")
    scipy.io.savemat(folder / "level4.mat", {"val": whole}, format="4")
    scipy.io.savemat(folder / "level4_double.mat", {"note": "a text", "ecg": SIGNAL.T.astype("f8"), "Fs": 100.0}, format="4")
    scipy.io.savemat(folder / "level5.mat", {"val": whole})
    scipy.io.savemat(folder / "level5_compressed.mat", {"val": whole, "fs": 100.0}, do_compression=True)
    scipy.io.savemat(folder / "level5_single.mat", {"x": SIGNAL, "y": numpy.arange(5)}, do_compression=True)
    fields = {"sex": "Female", "age": 50.0, "data": SIGNAL.astype("f8")}
    scipy.io.savemat(folder / "cpsc.mat", {"ECG": fields}, do_compression=True)
    stated = {"signals": SIGNAL[::-1].astype("f8"), "sfreq": 100.0, "units": "mV", "sig_name": numpy.array(LEADS[::-1], dtype=object)}
    scipy.io.savemat(folder / "stated.mat", {"record": stated})
    scipy.io.savemat(folder / "ambiguous.mat", {"a": SIGNAL, "b": SIGNAL})


def write_hdf5(folder):
    """Writes HDF5 files: data sets of many recordings, and single ones."""
    padded = numpy.zeros((3, 4096, 12), dtype="f4")
    for n in range(3):
        padded[n, 648:1648] = SIGNAL.T * (n + 1)
        padded[n, 1648:2648] = SIGNAL.T * (n + 1)
    for name, options in [("code15", {}), ("code15_chunked", {"compression": "gzip", "shuffle": True, "chunks": (1, 4096, 12)})]:
        with h5py.File(folder / f"{name}.hdf5", "w", libver="v110" if options else "earliest") as file:
            file.create_dataset("tracings", data=padded, **options)
            file["exam_id"] = numpy.array([71, 72, 73])
    with h5py.File(folder / "stated.h5", "w") as file:
        group = file.create_group("record")
        ecg = group.create_dataset("ecg", data=MICROVOLTS[::-1].astype(">i2"), compression="gzip", fletcher32=True)
        ecg.attrs["sampling_rate"] = 100
        ecg.attrs["units"] = "uV"
        ecg.attrs["leads"] = LEADS[::-1]
    with h5py.File(folder / "leads.h5", "w") as file:
        file["fs"] = 100.0
        for lead, samples in zip(LEADS, SIGNAL):
            file[f"ecg/{lead}"] = samples
    with h5py.File(folder / "half.h5", "w") as file:
        file["x"] = SIGNAL.astype("f2")[None, :, :, None]
    with h5py.File(folder / "matlab73.mat", "w", userblock_size=512) as file:
        file["val"] = MICROVOLTS.T.astype("i2")
        file["val"].attrs["MATLAB_class"] = numpy.bytes_("int16")
    with open(folder / "matlab73.mat", "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    with h5py.File(folder / "ambiguous.h5", "w") as file:
        file["a"] = file["b"] = SIGNAL
        file["c"] = SIGNAL


def write_zip(folder):
    """Writes archives of recordings of other formats."""
    data = pathlib.Path(__file__).parent.parent / "data"
    with zipfile.ZipFile(folder / "several.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ["permuted.hea", "permuted_chest.dat", "permuted_limb.dat"]:
            archive.write(data / name, f"wfdb/{name}")
        archive.write(data / "format16.hea", "other/format16.hea")
        archive.write(data / "format16.dat", "other/format16.dat")
        archive.write(data / "expected.npy", "expected.npy")
        archive.writestr("README.pdf", b"%PDF-1.4 not an ECG")
        archive.writestr("labels.csv", "exam,age\n7,60\n")
        archive.writestr("__MACOSX/wfdb/._permuted.hea", b"\0\5\x16\7")
        archive.writestr("wfdb/.DS_Store", b"\0\0\0\1Bud1")
        archive.writestr("nested.zip", b"PK\3\4 an archive in an archive")


def main():
    folder = pathlib.Path(sys.argv[1])
    for write in [write_arrays, write_archives, write_matlab, write_hdf5, write_zip]:
        write(folder)


if __name__ == "__main__":
    main()
