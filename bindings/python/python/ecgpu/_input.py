"""Turns what people hold an ECG in into a file in memory, so that one reader judges all of it.

An array becomes a `.npy` file, a record of wfdb a `.npz` archive, a frame of pandas a table of text. What is said about
files holds for them too: which leads, which unit, which sampling rate, and what is assumed with a warning.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np

from .errors import RecordingError, UsageError

Stated = tuple[float | None, str | None, list[str] | None]

# Millivolts in one of a unit, as wfdb names them.
_MILLIVOLTS = {"v": 1e3, "mv": 1.0, "uv": 1e-3, "\u00b5v": 1e-3, "\u03bcv": 1e-3, "nv": 1e-6}


def stated(sampling_rate: float | None, unit: str | None, leads: Sequence[str] | None) -> Stated:
    """Checks the types of what is stated about an array or a file."""
    if isinstance(leads, str):
        raise UsageError(f"leads={leads!r}, a text", "leads is one text", "give a list of names, such as ['I', 'II']")
    rate = None if sampling_rate is None else float(sampling_rate)
    return rate, unit, None if leads is None else [str(lead) for lead in leads]


def is_path(source: object) -> bool:
    """Whether a source is the path of a file."""
    return isinstance(source, str | os.PathLike)


def to_file(source: Any) -> tuple[str, bytes]:
    """Turns a source that is no path into the name and the bytes of a file."""
    if isinstance(source, bytes | bytearray | memoryview):
        return "bytes", bytes(source)
    if hasattr(source, "sig_name") and hasattr(source, "fs"):
        return _of_wfdb(source)
    if hasattr(source, "to_csv") and hasattr(source, "columns"):
        return _of_frame(source)
    return "array.npy", npy(to_array(source))


def to_array(source: Any) -> np.ndarray[Any, Any]:
    """Makes an array of numbers of anything that NumPy or DLPack understands; without a copy where that is possible."""
    try:
        array = (
            np.asarray(source)
            if hasattr(source, "__array__") or not hasattr(source, "__dlpack__")
            else _of_dlpack(source)
        )
    except (ValueError, TypeError, RuntimeError, BufferError) as error:
        kind = type(source).__name__
        raise UsageError(
            f"{kind} cannot be made an array: {error}", f"{kind} is no array", "give an array, a file or a record"
        ) from error
    if array.dtype.kind not in "fiu":
        kind = type(source).__name__ if array.dtype.kind == "O" else f"an array of {array.dtype}"
        raise UsageError(f"{kind} is no array of numbers", f"{kind}", "give numbers of shape [leads, samples]")
    return array


def _of_dlpack(source: Any) -> np.ndarray[Any, Any]:
    return np.from_dlpack(source)


def npy(array: np.ndarray[Any, Any]) -> bytes:
    """Writes an array as a `.npy` file."""
    file = BytesIO()
    # float16 and long double are rounded to what every reader knows.
    known = array if array.dtype.kind != "f" or array.dtype.itemsize in (4, 8) else array.astype(np.float32)
    np.lib.format.write_array(file, known, allow_pickle=False)
    return file.getvalue()


def _of_wfdb(record: Any) -> tuple[str, bytes]:
    """Writes a `wfdb.Record`: `p_signal` in its units, or `d_signal` by gain and baseline."""
    signal = getattr(record, "p_signal", None)
    if signal is None and getattr(record, "d_signal", None) is not None:
        signal = record.dac()
    if signal is None:
        raise RecordingError(
            "the record has no signal with one length and rate for all leads: read it with smooth_frames=True",
            "a record without p_signal and d_signal",
            "read it with smooth_frames=True",
        )
    units = [str(unit) for unit in (getattr(record, "units", None) or [])]
    factors = [_MILLIVOLTS.get(unit.strip().lower()) for unit in units]
    for name, unit, factor in zip(record.sig_name, units, factors, strict=False):
        if factor is None:
            raise RecordingError(
                f"lead {name} has the unit {unit!r}: give the leads of the ECG alone, in mV",
                f"the unit {unit!r} of lead {name}",
                "give the leads of the ECG alone, in mV",
            )
    file = BytesIO()
    arrays: dict[str, Any] = {"leads": np.asarray(record.sig_name, dtype=str), "fs": np.float64(record.fs)}
    if units:
        signal = np.asarray(signal, dtype=np.float64) * np.asarray(factors, dtype=np.float64)
        arrays["units"] = np.asarray("mV")
    np.savez(file, p_signal=signal, **arrays)
    return f"{getattr(record, 'record_name', None) or 'record'}.npz", file.getvalue()


def _of_frame(frame: Any) -> tuple[str, bytes]:
    """Writes a frame: its columns are leads, and an index with a name, such as `time`, is a column too."""
    text = frame.to_csv(index=frame.index.name is not None)
    return "frame.csv", text.encode()
