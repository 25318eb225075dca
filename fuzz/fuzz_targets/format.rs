//! Reads what libFuzzer makes up as a file of the format that the target is named after. Every target is this file.

#![no_main]

use std::alloc::System;

use cap::Cap;
use ecgpu::{
    Recording, Result,
    ecg::{
        Unit,
        format::{self, ReadOptions},
    },
};
use libfuzzer_sys::fuzz_target;

/// Aborts where more than 100 MiB are allocated at a time, which no file of a few KiB may bring about.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, 100 << 20);

fuzz_target!(|data: &[u8]| {
    // Many contents are an ECG only to someone who states what they leave open.
    let stated = ReadOptions { sampling_rate: Some(500.0), unit: Some(Unit::Microvolt), leads: None };
    for options in [ReadOptions::default(), stated] {
        if let Err(error) = read(data, &options) {
            assert!(!error.cause().is_empty() && !error.remedy().is_empty(), "an error without cause or remedy");
        }
    }
});

/// Reads a file whose name ends in the target's name, with dots for underscores.
fn read(data: &[u8], options: &ReadOptions) -> Result<Vec<Recording>> {
    let name = format!("x.{}", env!("CARGO_BIN_NAME").replace('_', "."));
    if !name.ends_with(".hea") {
        return format::read_bytes(&name, data, options);
    }
    // A zero ends the header. What follows is both of the signal files that it may name, and the header of a segment.
    let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (header, signals) = data.split_at(end);
    let signals = signals.get(1..).unwrap_or_default();
    format::read_parts(&[(&name, header), ("x.dat", signals), ("y.dat", signals), ("y.hea", signals)], options)
}
