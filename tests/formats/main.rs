//! Reads the files of `tests/data`, which PhysioNet's `wfdb` package and NumPy wrote (`tests/wfdb_package.py`), and
//! files with every mistake that the readers must explain.

#![cfg(feature = "formats")]

mod bad_arrays_and_tables;
mod bad_records;
mod reading;
mod recognition;
mod support;
mod wfdb;
mod writing;
