//! Writes CSV tables: a column of times in seconds, and one column per lead in millivolts.

use std::{fmt::Write, path::Path};

use crate::{Recording, Result, files};

/// Writes a recording as a CSV table. Times and samples are written with as many digits as tell them from their
/// neighbours, so that none is lost. Comments stand above the line of names, each behind a `#`.
///
/// # Errors
/// The file cannot be written.
pub(super) fn write(recording: &Recording, path: &Path, comments: &[String]) -> Result<()> {
    files::write(path, table(recording, comments).as_bytes())
}

fn table(recording: &Recording, comments: &[String]) -> String {
    let mut text: String = comments.iter().map(|comment| format!("# {comment}\n")).collect();
    text += "time (s)";
    let signals: Vec<&[f32]> = recording
        .leads()
        .map(|(lead, signal)| {
            text += &format!(",{lead} (mV)");
            signal
        })
        .collect();
    text.push('\n');
    for n in 0..recording.samples() {
        // Writing into a String cannot fail.
        let _ = write!(text, "{}", n as f64 / recording.sampling_rate());
        for signal in &signals {
            let _ = write!(text, ",{}", signal[n]);
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecg::Lead;

    #[test]
    fn a_table_states_times_leads_and_unit() {
        let recording = Recording::new("r", 250.0, vec![(Lead::AVR, vec![0.1, -1e-7]), (Lead::I, vec![2.0, 0.3])]);
        let text = table(&recording.unwrap(), &["synthetic".into()]);
        assert_eq!(text, "# synthetic\ntime (s),aVR (mV),I (mV)\n0,0.1,2\n0.004,-0.0000001,0.3\n");
    }
}
