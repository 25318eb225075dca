#!/usr/bin/env python3
"""Writes DICOM ECG waveforms with the package pydicom, as a reference for the Rust reader.

    pip install pydicom numpy
    tests/formats/write_dicom.py FOLDER

Every file holds the signal of `tests/data/expected.npy`, or a part of it, in another encoding.
"""

import pathlib
import sys

import numpy
from pydicom import uid
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence

LEADS = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]
NUMBERS = [1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8]
RATE = 100
STEPS_A_MILLIVOLT = 200
DATA = pathlib.Path(__file__).parent.parent / "data" / "expected.npy"
TYPES = {"SS": "i2", "US": "u2", "SL": "i4", "UL": "u4", "SB": "i1", "UB": "u1"}
TWELVE_LEADS = uid.TwelveLeadECGWaveformStorage


def code(value, scheme, meaning):
    """A coded entry."""
    item = Dataset()
    if value:
        item.CodeValue = value
        item.CodingSchemeDesignator = scheme
    item.CodeMeaning = meaning
    return item


def mdc(lead):
    return code(f"2:{NUMBERS[LEADS.index(lead)]}", "MDC", f"Lead {lead}")


def scp(lead):
    return code(f"5.6.3-9-{NUMBERS[LEADS.index(lead)]}", "SCPECG", "a lead")


def named(lead):
    return code(None, None, f"Lead {lead} (Einthoven)" if lead in ("I", "II", "III") else f"Lead {lead}\0")


def channel(lead, source=mdc, sensitivity=5, unit=("uV", "microvolt"), correction=1, baseline=0):
    """The definition of a channel."""
    item = Dataset()
    if source:
        item.ChannelSourceSequence = Sequence([source(lead)])
    else:
        item.ChannelLabel = lead
    item.ChannelSensitivity = str(sensitivity)
    if unit:
        item.ChannelSensitivityUnitsSequence = Sequence([code(unit[0], "UCUM", unit[1])])
    item.ChannelSensitivityCorrectionFactor = str(correction)
    item.ChannelBaseline = str(baseline)
    item.ChannelSampleSkew = "0"
    item.WaveformBitsStored = 16
    return item


def group(steps, leads=tuple(LEADS), kind="SS", order="<", label=None, offset=None, padding=None, **settings):
    """A multiplex group of steps, [leads, samples]."""
    item = Dataset()
    if offset is not None:
        item.MultiplexGroupTimeOffset = str(offset)
    item.WaveformOriginality = "ORIGINAL"
    item.NumberOfWaveformChannels = len(leads)
    item.NumberOfWaveformSamples = steps.shape[1]
    item.SamplingFrequency = str(RATE)
    if label:
        item.MultiplexGroupLabel = label
    item.ChannelDefinitionSequence = Sequence([channel(lead, **settings) for lead in leads])
    values = numpy.ascontiguousarray(steps.T).astype(order + TYPES[kind])
    assert (values == steps.T).all(), "a value does not fit"
    item.WaveformBitsAllocated = 8 * values.itemsize
    item.WaveformSampleInterpretation = kind
    representation = {1: "OB", 2: "OW", 4: "OL"}[values.itemsize]
    if padding is not None:
        bytes_of = numpy.array(padding).astype(values.dtype).tobytes()
        item.add_new(0x5400100A, representation if values.itemsize < 4 else "OW", bytes_of)
    data = values.tobytes()
    item.add_new(0x54001010, representation if values.itemsize < 4 else "OW", data + b"\0" * (len(data) % 2))
    return item


def save(path, groups, syntax=uid.ExplicitVRLittleEndian, kind=TWELVE_LEADS, undefined=False, bare=False):
    """Writes an object; its patient is nobody."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = kind
    meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    meta.TransferSyntaxUID = syntax
    little, implicit = syntax != uid.ExplicitVRBigEndian, syntax == uid.ImplicitVRLittleEndian
    encoding = {"is_implicit_VR": implicit, "is_little_endian": little}
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128, **encoding)
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID = kind
    dataset.SOPInstanceUID = "1.2.3.4"
    dataset.PatientName = "Secret^Name"
    dataset.PatientID = "secret id"
    dataset.PatientBirthDate = "19500101"
    if groups:
        dataset.WaveformSequence = Sequence(groups)
        undefine(dataset, undefined)
    if bare:
        del dataset.file_meta
        dataset.preamble = None
        dataset.save_as(path, implicit_vr=implicit, little_endian=little, enforce_file_format=False)
    else:
        dataset.save_as(path, enforce_file_format=True)


def undefine(dataset, undefined):
    """Gives every sequence and item an undefined length, or a defined one."""
    for element in dataset:
        if element.VR == "SQ":
            element.is_undefined_length = undefined
            for item in element.value:
                item.is_undefined_length_sequence_item = undefined
                undefine(item, undefined)


def main():
    folder = pathlib.Path(sys.argv[1])
    steps = numpy.round(numpy.load(DATA) * STEPS_A_MILLIVOLT).astype(int)

    def whole(name, syntax=uid.ExplicitVRLittleEndian, kind=TWELVE_LEADS, undefined=False, bare=False, **settings):
        save(folder / name, [group(settings.pop("steps", steps), **settings)], syntax, kind, undefined, bare)

    implicit, big = uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian
    whole("explicit.dcm", undefined=True, source=scp)
    whole("implicit.dcm", implicit, kind=uid.AmbulatoryECGWaveformStorage)
    whole("implicit_undefined.dcm", implicit, undefined=True, source=named)
    whole("big_endian.dcm", big, order=">")
    whole("deflated.dcm", uid.DeflatedExplicitVRLittleEndian)
    whole("bare_implicit.dcm", implicit, bare=True)
    whole("bare_explicit.dcm", bare=True, undefined=True)
    whole("labels.dcm", source=None, kind=uid.GeneralECGWaveformStorage)
    save(folder / "bits32.dcm", [group(steps * 5000, kind="SL", sensitivity="0.001")], kind="1.2.840.10008.5.1.4.1.1.9.1.4")
    save(folder / "bits32_big_endian.dcm", [group(steps * 5000, kind="SL", order=">", sensitivity="0.001")], big)
    save(folder / "unsigned.dcm", [group(steps + 32768, kind="US", baseline=-163840)])
    save(folder / "unsigned32.dcm", [group(steps + 4000, kind="UL", baseline=-20000)])
    save(folder / "millivolts.dcm", [group(steps, sensitivity="0.0025", unit=("mV", "millivolt"), correction=2)])
    save(folder / "nanovolts.dcm", [group(steps, sensitivity=5000, unit=("nV", "nanovolt"))])
    save(folder / "no_unit.dcm", [group(steps, unit=None)])
    save(folder / "arbitrary.dcm", [group(steps, unit=("{AU}", "arbitrary unit"))])

    median = group(steps[:, :60] // 2, label="MEDIAN BEAT")
    save(folder / "median.dcm", [median, group(steps, label="RHYTHM")])
    save(folder / "only_median.dcm", [median])
    short = group(steps[:, :120] // 2)
    save(folder / "unlabelled_beat.dcm", [group(steps), short])
    limb, chest = group(steps[:6], LEADS[:6], label="LIMB"), group(steps[6:], LEADS[6:], label="CHEST")
    save(folder / "split.dcm", [limb, chest])
    save(folder / "strip.dcm", [group(steps[1:2], LEADS[1:2], label="STRIP", offset=5), group(steps)])
    halves = [group(steps[:, :500], offset=0), group(steps[:, 500:], offset=7000)]
    save(folder / "halves.dcm", halves)
    rows = [group(steps[n : n + 3, 250 * n // 3 :][:, :250], LEADS[n : n + 3], offset=2500 * n // 3) for n in (0, 3, 6, 9)]
    save(folder / "rows.dcm", rows)

    padded = steps.copy()
    padded[2, 40:90] = -32768
    save(folder / "padding.dcm", [group(padded, padding=-32768)])
    save(folder / "zero_padding.dcm", [group(steps, padding=0)])
    bytes_only = numpy.clip(steps[:, :999], -100, 100)
    save(folder / "bits8.dcm", [group(bytes_only[:3], LEADS[:3], kind="SB")])
    save(folder / "bits8_unsigned.dcm", [group(bytes_only[:3] + 128, LEADS[:3], kind="UB", baseline=-640)])
    skewed = group(steps)
    skewed.ChannelDefinitionSequence[1].ChannelSampleSkew = "2"
    skewed.ChannelDefinitionSequence[3].ChannelTimeSkew = "0.01"
    save(folder / "skewed.dcm", [skewed])
    logarithmic = group(bytes_only, kind="UB" if bytes_only.min() >= 0 else "SB")
    logarithmic.WaveformSampleInterpretation = "MB"
    save(folder / "logarithmic.dcm", [logarithmic])
    save(folder / "image.dcm", [], kind=uid.CTImageStorage)


if __name__ == "__main__":
    main()
