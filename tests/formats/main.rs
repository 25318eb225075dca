//! Reads the files of `tests/data`, which PhysioNet's `wfdb` package and NumPy wrote (`tests/wfdb_package.py`), and
//! files with every mistake that the readers must explain.

#![cfg(feature = "formats")]

mod arrays;
mod bad_arrays_and_tables;
mod bad_records;
#[cfg(feature = "compressed")]
mod compressed;
#[cfg(feature = "dicom")]
mod dicom;
#[cfg(feature = "edf")]
mod edf;
mod every_format;
#[cfg(feature = "all-formats")]
mod fuzz_seeds;
#[cfg(feature = "hdf5")]
mod hdf5;
#[cfg(feature = "ishne")]
mod ishne;
#[cfg(feature = "mat")]
mod mat;
mod reading;
mod recognition;
#[cfg(feature = "scp")]
mod scp;
#[cfg(feature = "scp")]
mod scp_writer;
mod support;
mod wfdb;
mod writing;
mod written_arrays;
#[cfg(all(feature = "muse", feature = "aecg", feature = "philips"))]
mod xml;
