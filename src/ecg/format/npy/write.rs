//! Writes NumPy arrays.

use std::path::Path;

use super::header::MAGIC;
use crate::{
    Recording, Result,
    ecg::{Lead, Unit, format::ReadOptions},
    files,
};

/// Writes the recorded leads as an array [leads, samples] of f32 in millivolts, the leads in the standard order. The format
/// has no comments.
///
/// # Errors
/// The file cannot be written.
pub(in crate::ecg::format) fn write(recording: &Recording, path: &Path, _comments: &[String]) -> Result<()> {
    let leads = leads_in_order(recording);
    let mut bytes = header(leads.len(), recording.samples());
    let samples = leads.iter().filter_map(|lead| recording.lead(*lead)).flatten();
    bytes.extend(samples.flat_map(|sample| sample.to_le_bytes()));
    files::write(path, &bytes)
}

/// Returns the header of version 1.0 (NumPy, "NPY format"): its length is a multiple of 64 bytes, padded with spaces.
fn header(leads: usize, samples: usize) -> Vec<u8> {
    const ALIGNMENT: usize = 64;
    let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({leads}, {samples}), }}");
    // Magic, version and the length of the text come before it, a line feed after it.
    let before = MAGIC.len() + 4;
    let length = (before + text.len() + 1).next_multiple_of(ALIGNMENT);
    text += &" ".repeat(length - before - text.len() - 1);
    text.push('\n');
    // Two numbers have at most 40 digits, so that the text is far shorter than 2^16 bytes.
    [MAGIC, &[1, 0], &(text.len() as u16).to_le_bytes(), text.as_bytes()].concat()
}

/// Returns the options with which the array of a recording must be read. Leads are among them where they are not the standard
/// twelve.
pub(in crate::ecg::format) fn options(recording: &Recording) -> Option<ReadOptions> {
    let leads = leads_in_order(recording);
    Some(ReadOptions {
        sampling_rate: Some(recording.sampling_rate()),
        unit: Some(Unit::Millivolt),
        leads: (leads != Lead::STANDARD).then_some(leads),
    })
}

/// Returns the recorded leads in the standard order.
fn leads_in_order(recording: &Recording) -> Vec<Lead> {
    Lead::STANDARD.into_iter().filter(|lead| recording.lead(*lead).is_some()).collect()
}
