//! Multiplex groups: channels that were sampled together (PS3.3, section C.10.9).

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::{
    super::{damaged, shown},
    channel::Channel,
    element::{Element, Elements, Syntax},
    object::Attributes,
};
use crate::{Result, ecg::Lead};

/// The elements of a multiplex group that are needed.
const GROUP: [Tag; 11] = [
    tags::MULTIPLEX_GROUP_TIME_OFFSET,
    tags::WAVEFORM_ORIGINALITY,
    tags::NUMBER_OF_WAVEFORM_CHANNELS,
    tags::NUMBER_OF_WAVEFORM_SAMPLES,
    tags::SAMPLING_FREQUENCY,
    tags::MULTIPLEX_GROUP_LABEL,
    tags::CHANNEL_DEFINITION_SEQUENCE,
    tags::WAVEFORM_BITS_ALLOCATED,
    tags::WAVEFORM_SAMPLE_INTERPRETATION,
    tags::WAVEFORM_PADDING_VALUE,
    tags::WAVEFORM_DATA,
];
/// Most channels of a group, far beyond any device.
const MOST_CHANNELS: usize = 1024;
/// Words in the labels of groups that hold a mean of beats.
const BEAT_LABELS: [&str; 5] = ["MEDIAN", "AVERAGE", "TEMPLATE", "REPRESENTATIVE", "BEAT"];
/// A derived group that is shorter, in seconds, holds one beat.
const SHORTEST_RHYTHM: f64 = 1.5;

/// A multiplex group.
#[derive(Debug)]
pub(super) struct Group<'a> {
    /// Position in the file, from 1.
    pub(super) number: usize,
    pub(super) label: String,
    pub(super) channels: Vec<Channel>,
    /// Samples of each channel.
    pub(super) samples: usize,
    /// The sampling rate in Hz, if it is stated.
    pub(super) rate: Option<f64>,
    /// When the group begins, in milliseconds from the start of the recording.
    pub(super) offset: Option<f64>,
    derived: bool,
    integer: Integer,
    /// The value of samples that were not measured.
    padding: Option<i64>,
    data: &'a [u8],
}

impl<'a> Group<'a> {
    /// Reads a group, and checks that its data have the declared length.
    pub(super) fn of(item: Elements<'a>, number: usize) -> Result<Self> {
        let group = Attributes::of(item, &GROUP)?;
        let items = group.items(tags::CHANNEL_DEFINITION_SEQUENCE, MOST_CHANNELS)?;
        let channels: Vec<Channel> = items.into_iter().map(Channel::of).collect::<Result<_>>()?;
        let declared = group.whole(tags::NUMBER_OF_WAVEFORM_CHANNELS);
        if declared != Some(channels.len() as u64) {
            let declared = declared.map_or("an unknown number of".into(), |count| count.to_string());
            let cause = format!("{declared} channels are declared and {} described", channels.len());
            return Err(damaged(cause, "the file is damaged: get it again"));
        }
        let rate = group.number(tags::SAMPLING_FREQUENCY)?;
        if rate.is_some_and(|rate| rate <= 0.0) {
            return Err(damaged(
                format!("a sampling rate of {} Hz", rate.unwrap_or(0.0)),
                "export the recording again",
            ));
        }
        let data = group.get(tags::WAVEFORM_DATA);
        let order = data.map_or(Syntax::ExplicitLittle, |data| data.syntax);
        let integer = Integer::of(&group, order)?;
        let data = data.map_or(&[][..], |data| data.value);
        let samples = samples(&group, channels.len(), integer.width, data.len())?;
        let padding = group.get(tags::WAVEFORM_PADDING_VALUE).and_then(|Element { value, .. }| integer.value(value));
        Ok(Self {
            number,
            label: group.text(tags::MULTIPLEX_GROUP_LABEL),
            channels,
            samples,
            rate,
            offset: group.number(tags::MULTIPLEX_GROUP_TIME_OFFSET)?,
            derived: group.text(tags::WAVEFORM_ORIGINALITY) == "DERIVED",
            integer,
            // Devices state a padding of 0 and have measured zeros all the same.
            padding: padding.filter(|padding| *padding != 0),
            data,
        })
    }

    /// Returns the leads among the channels.
    pub(super) fn leads(&self) -> impl Iterator<Item = Lead> + '_ {
        self.channels.iter().filter_map(Channel::lead)
    }

    /// Whether the group holds one beat that was computed of the rhythm.
    pub(super) fn is_beat(&self) -> bool {
        let label = self.label.to_ascii_uppercase();
        let labelled = BEAT_LABELS.iter().any(|word| label.contains(word));
        labelled || self.derived && self.is_short()
    }

    /// Whether the group is too short for a rhythm.
    pub(super) fn is_short(&self) -> bool {
        self.rate.is_some_and(|rate| (self.samples as f64) < SHORTEST_RHYTHM * rate)
    }

    /// Names the group in messages, by its label if it has one.
    pub(super) fn name(&self) -> String {
        match &*self.label {
            "" => format!("group {}", self.number),
            label => format!("group {} ({})", self.number, shown(label.as_bytes())),
        }
    }

    /// Returns the samples of a channel, multiplied by `factor` after the conversion to its unit. NaN was not measured.
    pub(super) fn signal(&self, position: usize, factor: f64) -> Vec<f32> {
        let Some(channel) = self.channels.get(position) else { return Vec::new() };
        let width = self.integer.width;
        let frames = self.data.chunks_exact(width * self.channels.len().max(1)).take(self.samples);
        let raw = frames.map(|frame| self.integer.value(frame.get(position * width..)?));
        let measured = raw.map(|raw| raw.filter(|raw| Some(*raw) != self.padding));
        let value = |raw: i64| ((raw as f64 * channel.scale + channel.offset) * factor) as f32;
        measured.map(|raw| raw.map_or(f32::NAN, value)).collect()
    }
}

/// Returns the samples of each channel, after checking them against the length of the data.
fn samples(group: &Attributes, channels: usize, width: usize, held: usize) -> Result<usize> {
    let declared = group.whole(tags::NUMBER_OF_WAVEFORM_SAMPLES).unwrap_or(0);
    let needed = declared.checked_mul((channels * width) as u64);
    // Values have an even length.
    let fits = needed.is_some_and(|needed| needed > 0 && needed.next_multiple_of(2) == held as u64);
    usize::try_from(declared).ok().filter(|_| fits).ok_or_else(|| {
        let cause = format!(
            "{declared} samples of {channels} channels in {width} bytes each are declared, and the data have {held} bytes"
        );
        damaged(cause, "the file is cut off or damaged: get it again")
    })
}

/// How a sample is stored.
#[derive(Debug, Clone, Copy)]
struct Integer {
    /// Bytes per sample.
    width: usize,
    signed: bool,
    big_endian: bool,
}

impl Integer {
    /// Returns how the samples of a group are stored.
    fn of(group: &Attributes, order: Syntax) -> Result<Self> {
        let interpretation = group.text(tags::WAVEFORM_SAMPLE_INTERPRETATION);
        let bits = group.whole(tags::WAVEFORM_BITS_ALLOCATED);
        let (width, signed) = match &*interpretation {
            "SB" => (1, true),
            "UB" => (1, false),
            "SS" => (2, true),
            "US" => (2, false),
            "SL" => (4, true),
            "UL" => (4, false),
            "MB" | "AB" => {
                let cause = format!("samples in the logarithmic code of telephones ('{interpretation}')");
                return Err(damaged(cause, "export the recording with linear samples"));
            }
            other => {
                let cause = format!("samples of unknown type '{}'", shown(other.as_bytes()));
                return Err(damaged(cause, "export the recording with samples of 16 or 32 bits"));
            }
        };
        if bits != Some(8 * width as u64) {
            let bits = bits.map_or("an unknown number of".into(), |bits| bits.to_string());
            let cause = format!("samples of type '{interpretation}' in {bits} bits");
            return Err(damaged(cause, "the file is damaged: export the recording again"));
        }
        Ok(Self { width, signed, big_endian: order == Syntax::ExplicitBig })
    }

    /// Decodes the first sample of `bytes`; none if they are too few.
    fn value(self, bytes: &[u8]) -> Option<i64> {
        let mut whole = [0; 4];
        let place = whole.get_mut(..self.width)?;
        place.copy_from_slice(bytes.get(..self.width)?);
        if self.big_endian {
            place.reverse();
        }
        let unsigned = u32::from_le_bytes(whole);
        // The shifts extend the sign.
        let unused = 32 - 8 * self.width as u32;
        let signed = (unsigned << unused) as i32 >> unused;
        Some(if self.signed { signed.into() } else { unsigned.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_every_type_are_decoded() {
        let value = |width, signed, big_endian, bytes: &[u8]| Integer { width, signed, big_endian }.value(bytes);
        assert_eq!(value(1, true, false, &[0xff]), Some(-1));
        assert_eq!(value(1, false, false, &[0xff]), Some(255));
        assert_eq!(value(2, true, false, &[0xfe, 0xff]), Some(-2));
        assert_eq!(value(2, false, true, &[0xff, 0xfe]), Some(65_534));
        assert_eq!(value(4, true, false, &[0, 0, 0, 0x80]), Some(-2_147_483_648));
        assert_eq!(value(4, false, true, &[0x80, 0, 0, 1]), Some(2_147_483_649));
        assert_eq!(value(4, false, false, &[0; 3]), None);
    }
}
