//! Compressed files and archives.

use std::fs;

use ecgpu::{
    Error, Recording,
    ecg::format::{self, ReadOptions, Reader},
};
use proptest::prelude::*;

use crate::{
    support::{assert_expected, assert_says},
    written_arrays::{assert_robust, read_written, written},
};

fn error(name: &str) -> Option<Error> {
    Some(read_written(name, &ReadOptions::default())?.unwrap_err())
}

#[test]
fn an_archive_without_one_clear_array_is_refused() {
    let Some(ambiguous) = error("ambiguous.npz") else { return };
    let cause = "several of its arrays may be the ECG: a [12, 1000], b [12, 1000]";
    assert_says(&ambiguous, cause, "keep one of them, or name it 'ecg'");
    assert_says(&error("objects.npz").unwrap(), "a: a pickled object", "numpy.save");
}

#[test]
fn every_recording_of_an_archive_is_read_and_other_files_are_skipped() {
    let Some(recordings) = read_written("several.zip", &ReadOptions::default()) else { return };
    let recordings = recordings.unwrap();
    assert_eq!(recordings.iter().map(Recording::name).collect::<Vec<_>>(), ["permuted", "format16", "expected"]);
    recordings.iter().for_each(assert_expected);
    let skipped = recordings.iter().flat_map(Recording::warnings).filter(|warning| warning.starts_with("skipped"));
    let expected = "skipped in the archive: README.pdf, labels.csv, nested.zip, 2 hidden files";
    assert_eq!(skipped.collect::<Vec<_>>(), [expected]);
}

#[test]
fn an_archive_is_read_file_by_file() {
    let Some(path) = written("several.zip") else { return };
    let reader = Reader::open(&path, &ReadOptions::default()).unwrap();
    let names: Vec<String> = (0..reader.pieces()).map(|piece| reader.name(piece)).collect();
    let within = ["wfdb/permuted.hea", "other/format16.hea", "expected.npy"];
    assert_eq!(names, within.map(|name| path.join(name).display().to_string()));
    for (piece, stem) in [(2, "expected"), (0, "permuted"), (1, "format16")] {
        let recordings = reader.read(piece).unwrap();
        assert_eq!((recordings.len(), recordings[0].as_ref().unwrap().name()), (1, stem));
        assert_expected(recordings[0].as_ref().unwrap());
    }
    assert!(reader.read(3).unwrap().is_empty());
    assert_eq!(reader.note().unwrap(), "skipped in the archive: README.pdf, labels.csv, nested.zip, 2 hidden files");
}

#[test]
fn a_bomb_is_refused() {
    let Some(bomb) = error("bomb.csv.gz") else { return };
    assert_says(&bomb, "it decompresses to many times its size", "the files that are ECGs");
    assert_says(&error("bomb.zip").unwrap(), "bomb.npy: it decompresses to many times its size", "ECGs");
}

#[test]
fn an_archive_that_cannot_be_read_is_explained() {
    let Some(nothing) = error("nothing.zip") else { return };
    assert_says(&nothing, "no file of a known format in the archive, but notes.pdf", "put the ECG files into it");
    assert_says(&error("bzip2.zip").unwrap(), "a.npy is compressed by method", "deflate");
    assert_says(&error("twice.npy.gz.gz").unwrap(), "twice.npy.gz is itself a compressed file", "unpack it");
    let several = fs::read(written("several.zip").unwrap()).unwrap();
    let read = |bytes: &[u8]| format::read_bytes("a.zip", bytes, &ReadOptions::default()).unwrap_err();
    assert_says(&read(&several[..several.len() / 2]), "no intact zip archive", "get the file again");
    assert_says(&read(&encrypted(several)), "permuted.hea is encrypted", "with its password");
}

/// Sets the mark of encryption of every file in an archive's directory (APPNOTE.TXT, section 4.3.12).
fn encrypted(mut archive: Vec<u8>) -> Vec<u8> {
    let headers: Vec<usize> = (0..archive.len() - 8).filter(|at| archive[*at..].starts_with(b"PK\x01\x02")).collect();
    headers.into_iter().for_each(|at| archive[at + 8] |= 1);
    archive
}

#[test]
fn a_record_without_its_signal_file_names_its_place_in_the_archive() {
    let Some(path) = written("several.zip") else { return };
    let mut bytes = fs::read(path).unwrap();
    // The name stands in the file's own header and in the directory.
    let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"other/format16.dat")).collect();
    assert_eq!(places.len(), 2);
    places.into_iter().for_each(|at| bytes[at + 6] = b'x');
    let error = format::read_bytes("a.zip", &bytes, &ReadOptions::default()).unwrap_err();
    assert_says(&error, "a.zip: other/format16.hea: its signal file format16.dat was not given", "into one folder");
}

#[test]
fn damaged_archives_never_panic() {
    for name in ["stated.npz", "array.npy.gz", "several.zip"] {
        assert_robust(name, &ReadOptions::default());
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes: Vec<u8>) {
        for (name, start) in [("a.gz", &b"\x1f\x8b\x08\0\0\0\0\0\0\0"[..]), ("a.zip", b"PK\x03\x04"), ("a.npz", b"PK\x05\x06")] {
            let _ = format::read_bytes(name, &[start, &bytes].concat(), &ReadOptions::default());
        }
    }
}
