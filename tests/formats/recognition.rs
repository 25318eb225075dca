//! Files are recognised by their content, and by their names where the content does not tell.

use std::fs;

use ecgpu::{
    Recording, Result,
    ecg::{
        Lead, Unit,
        format::{self, ReadOptions},
    },
};
use tempfile::TempDir;

use crate::support::{assert_says, data, read, read_one, two_leads};

const MILLIVOLTS_AT_100_HZ: ReadOptions =
    ReadOptions { sampling_rate: Some(100.0), unit: Some(Unit::Millivolt), leads: None };

/// Reads `contents` under a name, beside the signal files of `tests/data`.
fn read_as(name: &str, contents: &[u8]) -> Result<Vec<Recording>> {
    let signals = ["format16.dat", "permuted_chest.dat", "permuted_limb.dat"];
    let signals = signals.map(|name| (name, fs::read(data(name)).unwrap()));
    let mut parts = vec![(name, contents)];
    parts.extend(signals.iter().map(|(name, bytes)| (*name, &bytes[..])));
    format::read_parts(&parts, &MILLIVOLTS_AT_100_HZ)
}

/// Contents that tell what they are, each with its format.
fn clear_contents() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let [array, table, header, split] =
        ["expected.npy", "table.csv", "format16.hea", "permuted.hea"].map(|name| fs::read(data(name)).unwrap());
    let text = String::from_utf8(table.clone()).unwrap();
    // The first column numbers the samples.
    let row = |line: &str| line.split_once(',').unwrap().1.to_string() + "\n";
    let rows = text.lines().skip(1).map(row);
    let comments = "# 2026-01-01 a comment of the annotating physician\n".repeat(1000);
    assert!(comments.len() > 50_000);
    vec![
        ("an array", "NumPy", array),
        ("a table", "text table", table.clone()),
        ("a table without names", "text table", rows.clone().collect::<String>().into()),
        ("a table of one row", "text table", rows.clone().take(1).collect::<String>().into()),
        ("a table of whole numbers", "text table", "1\t2\t3\t4\t5\t6\t7\t8\t9\t10\t11\t12\n".repeat(3).into()),
        (
            "a table that looks like a record line",
            "text table",
            "100\t12\t500\t5000\t5\t6\t7\t8\t9\t10\t11\t12\n".repeat(2).into(),
        ),
        ("a table with a mark of its encoding", "text table", format!("\u{feff}{text}").into()),
        ("a header", "WFDB", header.clone()),
        ("a header of two signal files", "WFDB", split),
        ("a header behind comments", "WFDB", [comments.as_bytes(), &header].concat()),
        (
            "a header with tabs",
            "WFDB",
            String::from_utf8(header).unwrap().replace(' ', "\t").replace("#\t", "# ").into(),
        ),
    ]
}

#[test]
fn a_file_is_what_it_contains_whatever_its_name() {
    let names =
        [("x", ""), ("x.bin", ""), ("x.npy", "NumPy"), ("x.CSV", "text table"), ("x.hea", "WFDB"), ("x.dat", "WFDB")];
    for (what, format, contents) in clear_contents() {
        let plain = read_as("x", &contents).unwrap_or_else(|error| panic!("{what}: {error}")).remove(0);
        for (name, stands_for) in names {
            let recording =
                read_as(name, &contents).unwrap_or_else(|error| panic!("{what} as {name}: {error}")).remove(0);
            assert!(recording.leads().eq(plain.leads()), "{what} as {name}");
            let contradiction = format!("stands for {stands_for}, but the content is {format}: read as such");
            let said = recording.warnings().iter().filter(|warning| warning.ends_with(&contradiction)).count();
            assert_eq!(said, usize::from(!stands_for.is_empty() && stands_for != format), "{what} as {name}");
            let others = recording.warnings().len() - said;
            assert_eq!(others, plain.warnings().len(), "{what} as {name}: {:?}", recording.warnings());
        }
    }
}

#[test]
fn the_name_decides_where_the_content_does_not_tell() {
    let prose = "Dear Sir,\nthank you for record 100 of 2 leads.\n";
    for (contents, name, cause) in [
        (prose, "x", "its content is of no known format"),
        (prose, "x.hea", "line 1: 'Sir,' is no number of signals"),
        (prose, "x.csv", "a text without a line of two numbers"),
        (prose, "x.npy", "no NumPy array"),
        ("Psalm 23\nverses 16\n", "x", "its content is of no known format"),
        ("Psalm 23\nverses 16\n", "x.hea", "23 signals are declared and 1 described"),
        ("r 2 100\n0.5 16\n", "x", "its content is of no known format"),
        ("r 2 100\nr.dat 17\n", "x", "its content is of no known format"),
        ("r 2 100 at noon\nr.dat 16 200 16 0 0 0 0 I\n", "x", "its content is of no known format"),
        ("r 1 100 5\n", "x.hea", "1 signals are declared and 0 described"),
        ("100 2 360\n100 16 0\n", "x", "3 columns without names"),
        ("100\t2\t360\n100\t16\t0\n", "x", "3 columns without names"),
        ("1,2,3\n", "x", "its content is of no known format"),
        ("exam,age\n7,60\n", "x", "its content is of no known format"),
        ("exam,age\n7,60\n8,61\n", "x", "none of its 2 signals has the name of a standard lead: 'exam', 'age'"),
        ("r 12 100\nr.dat 16\n", "x", "12 signals are declared and 1 described"),
        ("I,II\0", "x", "its content is of no known format"),
        ("", "x", "its content is of no known format"),
        ("", "x.csv", "an empty file"),
    ] {
        let said = read_as(name, contents.as_bytes()).unwrap_err();
        assert!(said.cause().contains(cause), "{contents:?} as {name}: {said}");
    }
}

#[test]
fn a_table_of_long_lines_is_recognised_by_what_is_seen_of_them() {
    let row = vec!["0.125"; 7000].join(",");
    let error = read_as("x", [row.as_str(); 11].join("\n").as_bytes()).unwrap_err();
    assert_says(&error, "7000 columns without names", "name the leads");
}

#[test]
fn the_parts_of_a_record_may_come_in_any_order() {
    let names = ["permuted.hea", "permuted_chest.dat", "permuted_limb.dat"];
    let bytes = names.map(|name| fs::read(data(name)).unwrap());
    let expected = read(&data("permuted.hea")).unwrap();
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let parts = order.map(|part| (names[part], &bytes[part][..]));
        assert_eq!(format::read_parts(&parts, &ReadOptions::default()).unwrap(), expected, "{order:?}");
    }
    let renamed = [("SIGNALS", &bytes[1][..]), ("header", &bytes[0]), (names[1], &bytes[1]), (names[2], &bytes[2])];
    assert!(format::read_parts(&renamed, &ReadOptions::default()).unwrap()[0].leads().eq(expected[0].leads()));
}

#[test]
fn a_signal_file_in_memory_finds_the_header_of_its_own_record() {
    let header = |name: &str, lead: &str| format!("{name} 1 100 3\n{name}.dat 16 1000(0)/mV 16 0 0 0 0 {lead}\n");
    let (a, b) = (header("a", "I"), header("b", "II"));
    let parts = [("b.DAT", &[0; 6][..]), ("a.hea", a.as_bytes()), ("b.hea", b.as_bytes()), ("b.dat", &[0; 6])];
    let recording = format::read_parts(&parts, &ReadOptions::default()).unwrap().remove(0);
    assert_eq!((recording.name(), recording.lead(Lead::II).is_some()), ("b", true));
}

#[test]
fn a_signal_file_without_its_header_is_explained() {
    let signals = fs::read(data("format16.dat")).unwrap();
    let table = fs::read(data("table.csv")).unwrap();
    let parts = [("format16.dat", &signals[..]), ("table.csv", &table)];
    let error = format::read_parts(&parts, &ReadOptions::default()).unwrap_err();
    assert_says(&error, "format16.dat belongs to format16.hea, which was not given", "give both");
    let error = format::read_parts(&[("x", &signals[..])], &ReadOptions::default()).unwrap_err();
    assert_says(&error, "x has no extension, and its content is of no known format", "WFDB (.hea, .dat, .mat)");
    assert_says(&format::read_parts(&[], &ReadOptions::default()).unwrap_err(), "without parts", "give its files");

    let record = two_leads();
    let samples = record.folder.path().join("r.dat");
    assert_eq!(read_one(&samples), read_one(&record.header()));
    fs::remove_file(record.header()).unwrap();
    assert_says(&read(&samples).unwrap_err(), "r.hea, which is not there", "put both into one folder");
}

#[test]
fn a_record_in_capitals_is_found_by_its_signal_file() {
    let record = two_leads().changed("r.dat", "R.DAT").changed("r.dat", "R.DAT");
    let at = |name: &str| record.folder.path().join(name);
    fs::rename(at("r.hea"), at("R.HEA")).unwrap();
    fs::rename(at("r.dat"), at("R.DAT")).unwrap();
    assert_eq!(read_one(&at("R.DAT")), read_one(&at("R.HEA")));
}

#[test]
fn an_array_can_be_read_raw_whatever_its_name() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("array.csv");
    fs::copy(data("expected.npy"), &path).unwrap();
    assert_eq!(format::read_raw(&path).unwrap(), format::read_raw(&data("expected.npy")).unwrap());
    assert_says(&format::read_raw(&folder.path().join("none")).unwrap_err(), "none is no .npy file", "numpy.save");
}

#[test]
fn the_formats_are_listed_with_their_extensions() {
    let names = format::names();
    assert!(names.starts_with("WFDB (.hea, .dat, .mat), NumPy (.npy)"), "{names}");
    assert!(names.ends_with(" or text table (.csv, .tsv, .txt, .asc)"), "{names}");
}
