//! Reads ECGs that are stored as XML: GE MUSE, HL7 aECG and Philips.
//!
//! The three share the extension `.xml` and are told apart by their root element. Elements that describe the patient are
//! skipped while parsing.

#[cfg(feature = "aecg")]
pub(super) mod aecg;
#[cfg(any(feature = "muse", feature = "philips"))]
mod base64;
mod document;
#[cfg(feature = "muse")]
pub(super) mod muse;
#[cfg(feature = "philips")]
pub(super) mod philips;
#[cfg(feature = "philips")]
mod xli;

use self::document::Document;
use super::{ReadOptions, Source, damaged, shown, signals::Signals, text};
use crate::{Recording, Result, ecg::Lead};

/// The largest document in bytes, 64 MiB: 46 minutes of twelve leads at 500 Hz with four letters per sample.
const LARGEST: u64 = 64 << 20;

/// The most signals of one waveform. Devices record up to 18 leads and a few other signals.
const MOST_SIGNALS: usize = 64;

/// The root element of each kind of document that can be read, and the kind's name.
const KINDS: &[(&str, &str)] = &[
    #[cfg(feature = "muse")]
    (muse::ROOT, muse::FORMAT.name),
    #[cfg(feature = "aecg")]
    (aecg::ROOT, aecg::FORMAT.name),
    #[cfg(feature = "philips")]
    (philips::ROOT, philips::FORMAT.name),
];

/// Whether the first bytes of a file are XML with this root element.
fn has_root(start: &[u8], root: &str) -> bool {
    let (text, _) = text::decode(start);
    // Other files are not searched for a tag.
    text.trim_start().starts_with('<') && Document::new(&text).root().is_ok_and(|element| element.name() == root)
}

/// Reads the whole of a file.
fn read_bytes(source: &Source) -> Result<Vec<u8>> {
    let bytes = source.open()?.read_start(LARGEST + 1).map_err(|error| source.unreadable(error))?;
    if bytes.len() as u64 > LARGEST {
        return Err(damaged(format!("an XML document of over {LARGEST} bytes"), "cut it into shorter recordings"));
    }
    Ok(bytes)
}

/// Begins to read a document, after its root element.
///
/// # Errors
/// It is no XML, or it has another root element.
fn open<'a>(text: &'a str, root: &str) -> Result<Document<'a>> {
    let kinds = || {
        let kinds: Vec<String> = KINDS.iter().map(|(root, name)| format!("{name} (root element {root})")).collect();
        format!("these kinds of XML can be read: {}", kinds.join(", "))
    };
    if !text.trim_start().starts_with('<') {
        return Err(damaged("the file is no XML document", kinds()));
    }
    let mut document = Document::new(text);
    let element = document.root()?;
    if element.name() != root {
        let cause = format!("an XML document with the root element {}", shown(element.name().as_bytes()));
        return Err(damaged(cause, kinds()));
    }
    Ok(document)
}

/// Makes a recording of each waveform of a file. Of several, those without a standard lead are left out.
fn recordings(waveforms: Vec<Signals>, source: &Source, options: &ReadOptions) -> Result<Vec<Recording>> {
    if let Some(waveform) = waveforms.iter().find(|waveform| waveform.signals.len() > MOST_SIGNALS) {
        let cause = format!("a waveform of {} signals", waveform.signals.len());
        return Err(damaged(cause, format!("up to {MOST_SIGNALS} are read: keep the leads only")));
    }
    let has_lead = |waveform: &Signals| waveform.signals.iter().any(|(name, _)| name.parse::<Lead>().is_ok());
    let of_leads = waveforms.iter().filter(|waveform| has_lead(waveform)).count();
    let left_out = if of_leads == 0 { 0 } else { waveforms.len() - of_leads };
    let kept: Vec<Signals> = waveforms.into_iter().filter(|waveform| left_out == 0 || has_lead(waveform)).collect();
    let several = kept.len() > 1;
    let recording = |(index, waveform): (usize, Signals)| {
        let name = if several { format!("{}[{index}]", source.stem()) } else { source.stem() };
        let mut recording = waveform.recording(name, options)?;
        if left_out > 0 {
            recording.warn(format!("{left_out} further waveforms of the file hold no standard lead: left out"));
        }
        Ok(recording)
    };
    kept.into_iter().enumerate().map(recording).collect()
}

/// Lists names that a file states, each once and not too many, for an error.
fn listed(names: impl Iterator<Item = String>) -> String {
    let mut names: Vec<String> = names.take(MOST_SIGNALS).map(|name| format!("'{}'", shown(name.as_bytes()))).collect();
    names.dedup();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// Reads the number that the element or attribute `name` states; `None` if it is empty.
///
/// # Errors
/// The text is no finite number.
fn number(name: &str, text: &str) -> Result<Option<f64>> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number
        .map(Some)
        .ok_or_else(|| damaged(format!("{name} is '{}', which is no number", shown(text.as_bytes())), "correct it"))
}
