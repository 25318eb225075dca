//! Recordings: of leads in memory, or read from files.

use std::{ffi::c_char, path::Path, sync::Arc};

use ecgpu::{
    Recording,
    ecg::{
        Lead, Unit,
        format::{self, ReadOptions},
    },
};

use crate::{
    EcgpuStatus,
    argument::{array, give, text},
    error::{Failure, Outcome, guard, prepare_out},
    handle::{Table, close},
};

/// One or more recordings.
pub struct EcgpuRecordings {
    _private: [u8; 0],
}

/// States what a file does not say, or says wrongly. Set all to zero first: zeros and NULLs state nothing.
#[repr(C)]
pub struct EcgpuReadOptions {
    /// The sampling rate in Hz; 0 for that of the file.
    pub sampling_rate: f64,
    /// "mV", "uV", "nV" or "V"; NULL for that of the file.
    pub unit: *const c_char,
    /// The names of the leads in their order; NULL for those of the file.
    pub leads: *const *const c_char,
    /// The number of these names.
    pub lead_count: usize,
}

static RECORDINGS: Table<Vec<Recording>> = Table::new("list of recordings");

/// Makes a recording of leads in memory.
///
/// `leads` are the names of the `lead_count` leads, such as "I", "aVR" or "V1"; `samples` is `[leads, samples]` in row-major order, in
/// `unit` ("mV", "uV", "nV" or "V"), at `sampling_rate` Hz. I, II and V1 to V6 are needed; III, aVR, aVL and aVF are derived where they are missing. All is copied.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ecgpu_recording_new(
    sampling_rate: f64,
    unit: *const c_char,
    leads: *const *const c_char,
    lead_count: usize,
    samples: *const f32,
    samples_per_lead: usize,
    out: *mut *mut EcgpuRecordings,
) -> EcgpuStatus {
    guard(|| {
        // SAFETY: the caller gives a valid address or null.
        unsafe { prepare_out(out)? };
        // SAFETY: the caller gives a text, and arrays of these lengths.
        let recording = unsafe {
            let Some(unit) = text(unit, "unit")? else {
                return Err(Failure::usage("unit is NULL", "give mV, uV, nV or V"));
            };
            let Some(length) = lead_count.checked_mul(samples_per_lead) else {
                return Err(Failure::usage("too many samples", "give the lengths of the arrays"));
            };
            recording(
                sampling_rate,
                unit.parse()?,
                &lead_names(leads, lead_count)?,
                array(samples, length, "samples")?,
            )?
        };
        // SAFETY: `prepare_out` refuses null.
        unsafe { out.write(RECORDINGS.insert(vec![recording])) };
        Ok(())
    })
}

fn recording(sampling_rate: f64, unit: Unit, leads: &[Lead], samples: &[f32]) -> Outcome<Recording> {
    let each = samples.len() / leads.len().max(1);
    let scale = unit.millivolts();
    let signal = |at: usize| -> Vec<f32> {
        samples[at * each..][..each].iter().map(|&sample| (f64::from(sample) * scale) as f32).collect()
    };
    let leads = leads.iter().enumerate().map(|(at, &lead)| (lead, signal(at))).collect();
    Ok(Recording::new("recording", sampling_rate, leads)?)
}

/// # Safety
/// `names` is null or an array of this length, of texts.
unsafe fn lead_names(names: *const *const c_char, count: usize) -> Outcome<Vec<Lead>> {
    // SAFETY: the caller's promise.
    let names = unsafe { array(names, count, "leads")? };
    let lead = |&name: &*const c_char| {
        // SAFETY: the caller's promise.
        let name = unsafe { text(name, "the name of a lead")? };
        let missing = || Failure::usage("the name of a lead is NULL", "name each lead, such as I or V1");
        Ok(name.ok_or_else(missing)?.parse()?)
    };
    names.iter().map(lead).collect()
}

/// # Safety
/// `options` is null, or its texts and its array are valid.
unsafe fn read_options(options: *const EcgpuReadOptions) -> Outcome<ReadOptions> {
    // SAFETY: the caller's promise.
    let Some(options) = (unsafe { options.as_ref() }) else { return Ok(ReadOptions::default()) };
    // SAFETY: the caller's promise.
    let (unit, leads) = unsafe { (text(options.unit, "unit")?, lead_names(options.leads, options.lead_count)?) };
    Ok(ReadOptions {
        sampling_rate: (options.sampling_rate != 0.0).then_some(options.sampling_rate),
        unit: unit.map(str::parse).transpose()?,
        leads: (!leads.is_empty()).then_some(leads),
    })
}

/// Reads every recording of a file, in any format that ecgpu knows. `options` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ecgpu_read(
    path: *const c_char,
    options: *const EcgpuReadOptions,
    out: *mut *mut EcgpuRecordings,
) -> EcgpuStatus {
    guard(|| {
        // SAFETY: the caller gives a valid address or null, a text, and valid options or null.
        let (path, options) = unsafe {
            prepare_out(out)?;
            (text(path, "path")?, read_options(options)?)
        };
        let Some(path) = path else { return Err(Failure::usage("path is NULL", "name a file")) };
        let recordings = format::read(Path::new(path), &options)?;
        // SAFETY: `prepare_out` refuses null.
        unsafe { out.write(RECORDINGS.insert(recordings)) };
        Ok(())
    })
}

/// Reads every recording of a file in memory. `name` is the file's name, whose extension tells the format where the content does
/// not. `options` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ecgpu_read_bytes(
    name: *const c_char,
    bytes: *const u8,
    length: usize,
    options: *const EcgpuReadOptions,
    out: *mut *mut EcgpuRecordings,
) -> EcgpuStatus {
    guard(|| {
        // SAFETY: the caller gives a valid address or null, a text, an array of this length, and valid options or null.
        let (name, bytes, options) = unsafe {
            prepare_out(out)?;
            (text(name, "name")?, array(bytes, length, "bytes")?, read_options(options)?)
        };
        let recordings = format::read_bytes(name.unwrap_or_default(), bytes, &options)?;
        // SAFETY: `prepare_out` refuses null.
        unsafe { out.write(RECORDINGS.insert(recordings)) };
        Ok(())
    })
}

/// Gives the number of recordings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ecgpu_recordings_count(recordings: *const EcgpuRecordings, out: *mut usize) -> EcgpuStatus {
    // SAFETY: the caller gives a valid address or null.
    guard(|| unsafe { give(out, get(recordings)?.len()) })
}

/// Closes recordings and sets their handle to NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ecgpu_recordings_close(recordings: *mut *mut EcgpuRecordings) -> EcgpuStatus {
    // SAFETY: the caller gives a valid address or null.
    guard(|| unsafe { close(&RECORDINGS, recordings) })
}

/// Returns the recordings of a handle.
pub(crate) fn get(recordings: *const EcgpuRecordings) -> Outcome<Arc<Vec<Recording>>> {
    RECORDINGS.get(recordings)
}
