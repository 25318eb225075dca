//! XML of GE MUSE.

use base64::{Engine, engine::general_purpose::STANDARD};
use ecgpu::ecg::Lead;

use super::{STORED, assert_holds, base64_of, error, read_bytes, read_one, read_xml, steps};
use crate::support::assert_says;

const STEP: f32 = 4.88;

/// A lead as MUSE stores it.
fn lead_data(name: &str, samples: &[i16]) -> String {
    let (bytes, count, data) = (2 * samples.len(), samples.len(), base64_of(samples));
    format!(
        "<LeadData><LeadByteCountTotal>{bytes}</LeadByteCountTotal><LeadTimeOffset>0</LeadTimeOffset>\
         <LeadSampleCountTotal>{count}</LeadSampleCountTotal>\
         <LeadAmplitudeUnitsPerBit>{STEP}</LeadAmplitudeUnitsPerBit>\
         <LeadAmplitudeUnits>MICROVOLTS</LeadAmplitudeUnits><LeadHighLimit>32767</LeadHighLimit>\
         <LeadID>{name}</LeadID><LeadOffsetFirstSample>0</LeadOffsetFirstSample>\
         <FirstSampleBaseline>0</FirstSampleBaseline><LeadSampleSize>2</LeadSampleSize><LeadOff>FALSE</LeadOff>\
         <WaveFormData>\n{data}\n</WaveFormData></LeadData>\n"
    )
}

fn waveform(kind: &str, leads: &str) -> String {
    format!(
        "<Waveform><WaveformType>{kind}</WaveformType><NumberofLeads>8</NumberofLeads>\
         <SampleType>CONTINUOUS_SAMPLES</SampleType><SampleBase>100</SampleBase><SampleExponent>0</SampleExponent>\
         {leads}</Waveform>\n"
    )
}

fn document(waveforms: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n<!DOCTYPE RestingECG SYSTEM \"restecg.dtd\">\n<RestingECG>\n\
         <PatientDemographics><PatientLastName>Mëyer &unknown; & Sons</PatientLastName></PatientDemographics>\n\
         {waveforms}</RestingECG>\n"
    )
}

fn rhythm_of(samples: usize) -> String {
    let leads: String = STORED.map(|lead| lead_data(lead.name(), &steps(lead, STEP)[..samples])).concat();
    waveform("Rhythm", &leads)
}

fn example() -> String {
    of(1000)
}

/// Writes a document with this number of samples per lead.
pub fn of(samples: usize) -> String {
    let median: String = STORED.map(|lead| lead_data(lead.name(), &[7; 60])).concat();
    document(&(waveform("Median", &median) + &rhythm_of(samples)))
}

/// A document of one lead of two samples.
fn small() -> String {
    document(&waveform("Rhythm", &lead_data("I", &[100, -200])))
}

fn changed(from: &str, to: &str) -> String {
    assert!(small().contains(from), "{from}");
    small().replace(from, to)
}

#[test]
fn every_encoding_of_the_text_is_read() {
    let text = example();
    let latin_1: Vec<u8> = text.chars().map(|letter| letter as u8).collect();
    let utf_16 = |mark: &[u8], to_bytes: fn(u16) -> [u8; 2]| {
        [mark, &text.encode_utf16().flat_map(to_bytes).collect::<Vec<u8>>()].concat()
    };
    for bytes in [
        latin_1,
        format!("\u{feff}{text}").into(),
        utf_16(b"\xff\xfe", u16::to_le_bytes),
        utf_16(b"\xfe\xff", u16::to_be_bytes),
        utf_16(b"", u16::to_le_bytes),
    ] {
        assert_holds(&read_bytes(&bytes).unwrap()[0], STEP);
    }
}

#[test]
fn the_sampling_rate_has_an_exponent() {
    let rate = |base: &str, exponent: &str| {
        let text = changed("<SampleBase>100<", &format!("<SampleBase>{base}<"));
        read_one(&text.replace("<SampleExponent>0<", &format!("<SampleExponent>{exponent}<"))).sampling_rate()
    };
    assert_eq!((rate("5", "2"), rate("2500", "-1"), rate("250", "")), (500.0, 250.0, 250.0));
    assert_says(&error(&changed("<SampleBase>100<", "<SampleBase>fast<")), "SampleBase is 'fast'", "correct it");
    assert_says(&error(&changed("<SampleBase>100<", "<SampleBase><")), "no sampling rate", "state the sampling rate");
}

#[test]
fn samples_are_scaled_by_unit_step_and_baseline() {
    let first = |text: &str| read_one(text).lead(Lead::I).unwrap()[0];
    assert_eq!(first(&small()), 0.488);
    assert_eq!(first(&changed("MICROVOLTS", "MILLIVOLTS")), 488.0);
    assert_eq!(first(&changed("MICROVOLTS", "")), 0.488);
    assert_eq!(first(&changed("Baseline>0<", "Baseline>-100<")), 0.0);
    assert_says(&error(&changed("MICROVOLTS", "mmHg")), "lead I is in 'mmHg'", "MICROVOLTS");
    assert_says(&error(&changed(">4.88<", "><")), "lead I states no LeadAmplitudeUnitsPerBit", "4.88");
}

#[test]
fn samples_may_have_four_bytes() {
    let wide: Vec<u8> = [100_000i32, -5].iter().flat_map(|x| x.to_le_bytes()).collect();
    let text = changed(&base64_of(&[100, -200]), &STANDARD.encode(wide)).replace("SampleSize>2<", "SampleSize>4<");
    let text = text.replace("ByteCountTotal>4<", "ByteCountTotal>8<");
    assert_eq!(read_one(&text).lead(Lead::I).unwrap()[0], 488.0);
    let three = changed("SampleSize>2<", "SampleSize>3<");
    assert_says(&error(&three), "lead I has 3 bytes per sample", "2 bytes per sample");
}

#[test]
fn a_sample_without_a_value_is_filled() {
    let recording = read_one(&document(&waveform("Rhythm", &lead_data("V1", &[50, i16::MIN, 50, 50, 50, 50]))));
    assert_eq!(recording.lead(Lead::V1).unwrap()[1], 0.244);
    assert_eq!(recording.warnings(), ["lead V1 has no value at 1 sample: interpolated"]);
}

#[test]
fn the_stated_number_of_samples_must_be_there() {
    let data = base64_of(&[100, -200]);
    let cut = error(&changed(&data, &base64_of(&[100])));
    assert_says(&cut, "lead I: 2 samples are stated and 2 bytes stored", "get it again");
    assert_says(&error(&changed(&data, "")), "2 samples are stated and 0 bytes stored", "get it again");
    assert_says(&error(&changed(&data, "ZAA")), "2 samples are stated and 2 bytes stored", "get it again");
    assert_says(&error(&changed(&data, "Z_!")), "the data of lead I is no valid Base64", "get it again");
    assert_says(
        &error(&changed("SampleCountTotal>2<", "SampleCountTotal>1e18<")),
        "samples are stated",
        "get it again",
    );
    let longer = read_one(&changed("ByteCountTotal>4<", "ByteCountTotal>2<").replace("CountTotal>2<", "CountTotal>1<"));
    assert_eq!((longer.samples(), longer.warnings().len()), (1, 1));
}

#[test]
fn leads_must_begin_together() {
    let late = lead_data("II", &[1, 2]).replace("FirstSample>0<", "FirstSample>5<");
    let text = document(&waveform("Rhythm", &(lead_data("I", &[1, 2]) + &late)));
    assert_says(&error(&text), "leads I and II do not begin at the same time", "simultaneous");
}

#[test]
fn a_lead_that_was_off_is_named() {
    let recording = read_one(&changed("<LeadOff>FALSE<", "<LeadOff>TRUE<"));
    assert_eq!(recording.warnings(), ["the device reports that an electrode of lead I was off"]);
}

#[test]
fn each_rhythm_is_a_recording() {
    let more = waveform("Rhythm", &lead_data("V7", &[1, 2]));
    let recordings = read_xml(&document(&(rhythm_of(1000) + &rhythm_of(1000) + &more))).unwrap();
    let names: Vec<&str> = recordings.iter().map(|recording| recording.name()).collect();
    assert_eq!(names, ["r[0]", "r[1]"]);
    assert_eq!(recordings[1].warnings(), ["1 further waveforms of the file hold no standard lead: left out"]);
}

#[test]
fn a_document_without_a_rhythm_is_refused() {
    let median = document(&waveform("Median", &lead_data("I", &[1, 2])));
    assert_says(&error(&median), "no waveform of type 'Rhythm'; found: 'Median'", "with its rhythm");
    assert_says(&error(&document("")), "no waveform of type 'Rhythm'; found: none", "with its rhythm");
    assert_says(
        &error(&document(&waveform("Rhythm", ""))),
        "the rhythm waveform has no LeadData",
        "with its waveforms",
    );
}
