//! `ecgpu convert`: writes recordings in another file format.

use std::path::{Path, PathBuf};

use ecgpu::{
    Recording, Result,
    ecg::{
        Lead,
        format::{self, ReadOptions, Writer},
    },
};
use serde_json::json;

use crate::{
    SUCCESS, check_free,
    input::{self, Stated},
    terminal::{clean, note, print, warn},
};

/// Write recordings in another file format
///
/// The extension of OUT says which. The recorded leads are written in millivolts, at their sampling rate. A file of
/// several recordings becomes as many files: out_0.csv, out_1.csv and so on.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ecgpu convert record.hea record.csv
  ecgpu convert ecg.csv ecg.hea --sampling-rate 500 --unit uV
  ecgpu convert record.hea inputs.npy --resample 100
  ecgpu convert ecgs.npy third.csv --sampling-rate 500 --unit mV --record 2")]
pub struct Arguments {
    #[arg(value_name = "IN", help = format!("A file of {}", format::names()))]
    file: PathBuf,
    #[arg(value_name = "OUT", help = format!("The file to write, in the format of its extension: {}", Writer::names()))]
    out: PathBuf,
    /// Which recording of a file of several, counted from 0; all if absent
    #[arg(long, value_name = "N")]
    record: Option<usize>,
    /// Resample to this rate in Hz
    #[arg(long, value_name = "HZ", allow_negative_numbers = true)]
    resample: Option<f64>,
    /// Overwrite existing files
    #[arg(long)]
    force: bool,
    /// Print one JSON object per written recording and line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stated: Stated,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let Arguments { file, out, record, .. } = arguments;
    let writer = Writer::of(out)?;
    let mut recordings = input::read(file, &arguments.stated.options()?)?;
    if record.is_some() {
        recordings = vec![input::one(recordings, file, *record, "")?];
    }
    if let Some(rate) = arguments.resample {
        recordings = recordings.iter().map(|recording| recording.resampled(rate)).collect::<Result<_>>()?;
    }
    let paths: Vec<PathBuf> = (0..recordings.len()).map(|at| numbered(out, at, recordings.len())).collect();
    let files: Vec<PathBuf> = paths.iter().flat_map(|path| writer.files(path)).collect();
    check_free(&files.iter().map(PathBuf::as_path).collect::<Vec<_>>(), arguments.force)?;
    for (recording, path) in recordings.iter().zip(&paths) {
        recording.warnings().iter().for_each(|text| warn(text));
        writer.write(recording, path, &[])?;
        print(&if arguments.json { object(file, recording, path) } else { text(recording, path) });
    }
    if let Some(options) = recordings.first().and_then(|recording| writer.options(recording)) {
        let it = if recordings.len() == 1 { "it" } else { "them" };
        note(&format!("the format does not state everything: read {it} with {}", flags(&options)));
    }
    Ok(SUCCESS)
}

/// Returns the path of one of several recordings: the given one with a number before its extension, padded with zeros so
/// that a list of the files is in order.
fn numbered(out: &Path, at: usize, count: usize) -> PathBuf {
    if count == 1 {
        return out.to_path_buf();
    }
    let digits = (count - 1).to_string().len();
    let mut name = out.file_stem().unwrap_or_default().to_os_string();
    name.push(format!("_{at:0digits$}."));
    name.push(out.extension().unwrap_or_default());
    out.with_file_name(name)
}

fn text(recording: &Recording, path: &Path) -> String {
    let (name, rate) = (clean(recording.name()), recording.sampling_rate());
    let leads = recording.leads().len();
    let noun = if leads == 1 { "lead" } else { "leads" };
    format!("{}: {name}, {leads} {noun}, {:.1} s at {rate} Hz\n", path.display(), recording.duration())
}

fn object(file: &Path, recording: &Recording, path: &Path) -> String {
    let object = json!({
        "source": file.display().to_string(),
        "record": recording.name(),
        "file": path.display().to_string(),
        "leads": recording.leads().map(|(lead, _)| lead.to_string()).collect::<Vec<_>>(),
        "samples": recording.samples(),
        "sampling_rate_hz": recording.sampling_rate(),
        "unit": "mV",
        "warnings": recording.warnings(),
    });
    format!("{object}\n")
}

/// Returns the flags that stand for the options.
fn flags(options: &ReadOptions) -> String {
    let rate = options.sampling_rate.map(|rate| format!("--sampling-rate {rate}"));
    let unit = options.unit.map(|unit| format!("--unit {unit}"));
    let names = |leads: &Vec<Lead>| leads.iter().map(Lead::to_string).collect::<Vec<_>>().join(",");
    let leads = options.leads.as_ref().map(|leads| format!("--leads {}", names(leads)));
    [rate, unit, leads].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_recordings_get_numbers_in_order() {
        let out = Path::new("folder/a.b.csv");
        assert_eq!(numbered(out, 0, 1), out);
        assert_eq!(numbered(out, 1, 2), Path::new("folder/a.b_1.csv"));
        assert_eq!(numbered(out, 3, 101), Path::new("folder/a.b_003.csv"));
    }
}
