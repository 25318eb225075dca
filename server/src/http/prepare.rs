//! What is done with the content of a body before the device is needed: reading, checking, resampling.

use ecgpu::{
    Classifier, ErrorKind, Recording,
    ecg::format::{self, ReadOptions},
};

use super::{
    content::{self, Content},
    failure::{Failure, Outcome},
    numbers_json::{Most, Numbers, RESERVED},
    request_json,
    wanted::Wanted,
};
use crate::{engine::Input, limits::Limits};

/// The largest number that [`Classifier::run`] takes.
const LARGEST_RAW: f32 = 1e18;

/// A request that is ready for the device.
pub struct Prepared {
    pub records: Vec<Record>,
    pub inputs: Vec<Input>,
    pub wanted: Wanted,
}

/// What is known of a record before it is computed.
#[derive(Debug, Clone, Default)]
pub struct Record {
    pub name: String,
    /// The sampling rate in Hz and the duration in seconds; none for raw numbers.
    pub length: Option<[f64; 2]>,
    pub warnings: Vec<String>,
    /// The recording, where the request needs it once more.
    pub recording: Option<Recording>,
}

/// Reads the content of a body and prepares its recordings.
///
/// # Errors
/// 400, 413, 415 or 422: what is wrong with the content.
pub fn prepare(content: Content, classifier: &Classifier, limits: &Limits) -> Outcome<Prepared> {
    match content {
        Content::Json { text, style } => {
            let most = Most { records: limits.records, samples: limits.samples };
            let (numbers, wanted) = request_json::read(&text, style, most)?;
            prepare_numbers(numbers, wanted, classifier, limits)
        }
        Content::Files { files, wanted } if wanted.raw => {
            let [(name, bytes)] = &files[..] else {
                return Err(Failure::invalid("several files of raw numbers", "send one .npy file"));
            };
            let array = format::read_raw_bytes(name, bytes)?;
            raw(array.shape, &array.values, classifier, limits, wanted)
        }
        Content::Files { files, wanted } => recordings(of_files(&files, &wanted.read)?, classifier, limits, wanted),
    }
}

/// Prepares the records of an array.
///
/// # Errors
/// 413 or 422: what is wrong with it.
pub fn prepare_numbers(
    numbers: Numbers,
    wanted: Wanted,
    classifier: &Classifier,
    limits: &Limits,
) -> Outcome<Prepared> {
    if wanted.raw {
        return raw(numbers.shape, &numbers.values[RESERVED..], classifier, limits, wanted);
    }
    recordings(of_numbers(numbers, &wanted)?, classifier, limits, wanted)
}

/// Makes the recordings of an array as if it came in a `.npy` file, with the same assumptions and warnings.
fn of_numbers(numbers: Numbers, wanted: &Wanted) -> Outcome<Vec<Recording>> {
    let Numbers { shape, batched, mut values } = numbers;
    let shape = if batched { &shape[..] } else { &shape[1..] };
    let sides: String = shape.iter().map(|side| format!("{side}, ")).collect();
    let dictionary = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({sides}), }}");
    let file: &mut [u8] = bytemuck::cast_slice_mut(&mut values);
    // The header ends in a line feed and fills the reserved numbers: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
    let header = &mut file[..size_of::<f32>() * RESERVED];
    header.fill(b' ');
    let length = (header.len() - 10) as u16;
    header[..8].copy_from_slice(b"\x93NUMPY\x01\x00");
    header[8..10].copy_from_slice(&length.to_le_bytes());
    header[10..][..dictionary.len()].copy_from_slice(dictionary.as_bytes());
    header[size_of::<f32>() * RESERVED - 1] = b'\n';
    if cfg!(target_endian = "big") {
        file[size_of::<f32>() * RESERVED..].chunks_mut(size_of::<f32>()).for_each(<[u8]>::reverse);
    }
    let name = format!("{}.npy", wanted.name.as_deref().map_or("inputs".into(), content::bare));
    Ok(format::read_bytes(&name, file, &wanted.read)?)
}

fn of_files(files: &[(String, bytes::Bytes)], options: &ReadOptions) -> Outcome<Vec<Recording>> {
    let parts: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_ref())).collect();
    let is_header = |(name, _): &(&str, &[u8])| name.to_ascii_lowercase().ends_with(".hea");
    if parts.len() > 1 && !parts.iter().any(is_header) {
        let remedy = "send each in a request of its own, or all of them in one .zip";
        return Err(Failure::invalid("several files that do not belong together", remedy));
    }
    format::read_parts(&parts, options).map_err(|error| match error.kind() {
        // The options were checked before: only the format is left.
        ErrorKind::Usage => Failure::media_type(error.cause(), error.remedy().to_string()),
        _ => error.into(),
    })
}

fn recordings(
    recordings: Vec<Recording>,
    classifier: &Classifier,
    limits: &Limits,
    wanted: Wanted,
) -> Outcome<Prepared> {
    if recordings.is_empty() {
        return Err(Failure::invalid("the file holds no recording", "send one with a recording"));
    }
    check(recordings.len(), recordings.iter().map(Recording::samples).max().unwrap_or(0), limits)?;
    if wanted.explain && recordings.len() > 1 {
        let remedy = "ask for the explanation of each in a request of its own";
        return Err(Failure::invalid("an explanation of several recordings", remedy));
    }
    let leads = classifier.contract().leads.len();
    let (mut records, mut inputs) = (Vec::new(), Vec::new());
    for recording in recordings {
        let ecgpu::Prepared { input, warnings, .. } =
            classifier.prepare(&recording).map_err(|error| error.at(recording.name()))?;
        inputs.push(Input { samples: input.len() / leads, values: input });
        records.push(Record {
            name: recording.name().into(),
            length: Some([recording.sampling_rate(), recording.duration()]),
            warnings,
            recording: (wanted.explain || wanted.signals).then_some(recording),
        });
    }
    Ok(Prepared { records, inputs, wanted })
}

/// Takes numbers `[batch, leads, samples]` as they are.
fn raw(
    shape: [usize; 3],
    values: &[f32],
    classifier: &Classifier,
    limits: &Limits,
    wanted: Wanted,
) -> Outcome<Prepared> {
    let [batch, rows, samples] = shape;
    let leads = classifier.folded().network.in_channels();
    if rows != leads {
        let cause = format!("raw numbers of shape {shape:?} for a network of {leads} leads");
        return Err(Failure::invalid(cause, format!("give [batch, {leads}, samples]")));
    }
    check(batch, samples, limits)?;
    if let Some(at) = values.iter().position(|value| value.abs() > LARGEST_RAW) {
        let [record, lead, sample] = [at / (rows * samples), at / samples % rows, at % samples];
        let cause = format!("inputs[{record}][{lead}][{sample}] is {:e}", values[at]);
        return Err(Failure::invalid(cause, format!("give numbers up to {LARGEST_RAW:e}")));
    }
    let inputs = values.chunks(rows * samples).map(|values| Input { values: values.to_vec(), samples });
    let records = (0..batch).map(|index| Record { name: format!("inputs[{index}]"), ..Record::default() });
    Ok(Prepared { records: records.collect(), inputs: inputs.collect(), wanted })
}

fn check(records: usize, samples: usize, limits: &Limits) -> Outcome<()> {
    let over = |found: usize, most: usize, what: &str| {
        Err(Failure::too_large(format!("{found} {what}, and {most} are allowed"), "send it in parts"))
    };
    if records > limits.records {
        return over(records, limits.records, "records in a request");
    }
    if samples > limits.samples {
        return over(samples, limits.samples, "samples in a record");
    }
    Ok(())
}
