//! DICOM objects with ECG waveforms: 12-lead, general and ambulatory ECGs (PS3.3, sections A.34 and C.10.9).

mod channel;
mod element;
mod group;
mod object;
mod rhythm;

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use self::{channel::Channel, element::Elements, group::Group, object::Attributes, rhythm::Part};
use super::{Format, ReadOptions, Reading, Source, damaged, gain, recognise::RECOGNISED_BY, signals::Signals, voltage};
use crate::{Recording, Result};

/// DICOM objects with waveforms.
pub(super) const FORMAT: Format = Format {
    name: "DICOM",
    extensions: &["dcm", "dicom"],
    companions: &[],
    recognises: object::recognises,
    plausible: None,
    reading: Reading::Whole(read),
};

/// A file of over 64 MiB is no ECG that could be classified: 12 leads at 1000 Hz last 45 minutes in it.
const LARGEST: u64 = 64 << 20;
/// The elements of an object that are needed.
const OBJECT: [Tag; 2] = [tags::SOP_CLASS_UID, tags::WAVEFORM_SEQUENCE];
/// Most multiplex groups of an object, far beyond any device.
const MOST_GROUPS: usize = 1024;

/// Reads the rhythm of an object: one recording, or several of the same leads at different times.
fn read(source: &Source, options: &ReadOptions) -> Result<Vec<Recording>> {
    let mut part = source.open()?;
    if part.size > LARGEST {
        let start = part.read_start(RECOGNISED_BY as u64).map_err(|error| source.unreadable(error))?;
        let class = object::class_of(&start).map_or("a file".into(), |class| object::class_name(&class));
        let cause = format!("{class} of {} bytes, and {LARGEST} are read at most", part.size);
        return Err(damaged(cause, "give an ECG, or cut it into shorter recordings"));
    }
    let file = part.read_start(LARGEST).map_err(|error| source.unreadable(error))?;
    let (bytes, syntax) = object::open(&file, LARGEST)?;
    drop(file);
    let groups = groups(Elements { bytes: &bytes, syntax })?;
    let mut warnings = Vec::new();
    let parts = rhythm::choose(groups, &mut warnings)?;
    let several = parts.len() > 1;
    let recording = |(number, part): (usize, &Part)| {
        let mut warnings = warnings.clone();
        let mut name = source.stem();
        if several {
            let begins = part.offset().map_or(String::new(), |offset| format!(": begins at {} s", offset / 1000.0));
            warnings.push(format!("part {} of {} of a recording{begins}", number + 1, parts.len()));
            name = format!("{name}[{number}]");
        }
        signals(part, warnings, options)?.recording(name, options)
    };
    parts.iter().enumerate().map(recording).collect()
}

/// Reads the multiplex groups of an object.
///
/// # Errors
/// The object is no waveform, or a group is damaged.
fn groups(object: Elements) -> Result<Vec<Group>> {
    let object = Attributes::of(object, &OBJECT)?;
    let items = object.items(tags::WAVEFORM_SEQUENCE, MOST_GROUPS)?;
    if items.is_empty() {
        let class = object.text(tags::SOP_CLASS_UID);
        let cause = match &*class {
            "" => "a DICOM object without a waveform".to_string(),
            class => format!("a DICOM object without a waveform: {}", object::class_name(class)),
        };
        return Err(damaged(cause, "give a DICOM ECG waveform, such as 12-lead ECG Waveform Storage"));
    }
    (1..)
        .zip(items)
        .map(|(number, item)| Group::of(item, number).map_err(|error| error.at(format!("group {number}"))))
        .collect()
}

/// Returns the signals of groups that were sampled together.
fn signals(part: &Part, mut warnings: Vec<String>, options: &ReadOptions) -> Result<Signals> {
    let channels = || part.groups.iter().flat_map(|group| &group.channels);
    let named = channels().any(|channel| channel.lead().is_some());
    // Without the name of a lead, the user may name all channels.
    let read = |channel: &Channel| if named { channel.lead().is_some() } else { options.leads.is_some() };
    let leads = || channels().filter(|channel| read(channel));
    let stated: Vec<voltage::Stated> =
        leads().map(|channel| voltage::Stated { lead: &channel.name, unit: &channel.unit }).collect();
    let unit = voltage::common(&stated, options.unit)?;
    let names = |which: fn(&Channel) -> bool| {
        let names: Vec<&str> = leads().filter(|channel| which(channel)).map(|channel| &*channel.name).collect();
        Some(names.join(", ")).filter(|names| !names.is_empty())
    };
    let skewed = names(|channel| channel.skewed);
    warnings.extend(skewed.map(|leads| format!("the file shifts leads in time, which is not corrected: {leads}")));
    let contradicted = names(|channel| channel.contradicted);
    warnings.extend(
        contradicted.map(|leads| format!("the codes of leads contradict their names, which are used: {leads}")),
    );
    warnings.extend(names(|channel| channel.scale < 0.0).and_then(|names| gain::upside_down(&[names])));
    let signals = part.groups.iter().flat_map(|group| (0..).zip(&group.channels).map(move |channel| (group, channel)));
    let signals = signals.map(|(group, (position, channel))| {
        let factor = voltage::Stated { lead: &channel.name, unit: &channel.unit }.factor(unit);
        let samples = if read(channel) { group.signal(position, factor) } else { Vec::new() };
        (channel.name.clone(), samples)
    });
    let rate = part.groups.first().and_then(|group| group.rate);
    Ok(Signals { signals: signals.collect(), sampling_rate: rate, unit: Some(unit), warnings, ..Signals::default() })
}
