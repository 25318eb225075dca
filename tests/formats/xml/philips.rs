//! XML of Philips.

use std::collections::HashMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use ecgpu::ecg::Lead;

use super::{assert_holds, base64_of, error, read_one, sample_file, steps};
use crate::support::{assert_says, read};

const STEP: f32 = 5.0;

/// All leads, III to aVF from the steps of I and II.
fn leads() -> Vec<Vec<i16>> {
    Lead::STANDARD.iter().map(|lead| steps(*lead, STEP)).collect()
}

/// What XLI stores for III, aVR, aVL and aVF: the difference of what follows from other leads and the samples.
fn as_differences(leads: &[Vec<i16>]) -> Vec<Vec<i16>> {
    let at = |lead: usize, n: usize| leads[lead][n];
    let stored = |lead: usize, n: usize| match lead {
        2 => at(1, n) - at(0, n) - at(2, n),
        3 => -(at(0, n) + at(1, n)).div_euclid(2) - at(3, n),
        4 => (at(0, n) - at(2, n)).div_euclid(2) - at(4, n),
        5 => (at(1, n) + at(2, n)).div_euclid(2) - at(5, n),
        _ => at(lead, n),
    };
    (0..leads.len()).map(|lead| (0..leads[lead].len()).map(|n| stored(lead, n)).collect()).collect()
}

/// Compresses bytes to codes of LZW, packed ten bits each.
fn lzw(bytes: &[u8]) -> Vec<u8> {
    let mut strings: HashMap<Vec<u8>, usize> = (0..=255).map(|byte| (vec![byte], usize::from(byte))).collect();
    let (mut codes, mut string) = (Vec::new(), Vec::new());
    for byte in bytes {
        let longer = [&string[..], &[*byte]].concat();
        if strings.contains_key(&longer) {
            string = longer;
            continue;
        }
        codes.push(strings[&string]);
        if strings.len() < 1023 {
            strings.insert(longer, strings.len());
        }
        string = vec![*byte];
    }
    codes.extend([strings[&string], 1023]);
    let bits: Vec<u8> = codes.iter().flat_map(|code| (0..10).rev().map(move |bit| (code >> bit & 1) as u8)).collect();
    bits.chunks(8).map(|bits| (0..8).fold(0, |byte, at| byte << 1 | bits.get(at).unwrap_or(&0))).collect()
}

/// Compresses one lead.
fn xli(samples: &[i16]) -> Vec<u8> {
    let second = |n: usize| 2 * samples[n - 1] - samples[n - 2] - samples[n];
    let rest = (2..samples.len()).map(|n| if n + 1 < samples.len() { second(n + 1) + 64 } else { 64 });
    let numbers: Vec<i16> = samples[..2].iter().copied().chain(rest).collect();
    let high = numbers.iter().map(|x| x.to_be_bytes()[0]);
    let codes = lzw(&high.chain(numbers.iter().map(|x| x.to_be_bytes()[1])).collect::<Vec<u8>>());
    let header = [&(codes.len() as u32).to_le_bytes()[..], &[1, 0], &second(2).to_le_bytes()].concat();
    [header, codes].concat()
}

fn xli_of(leads: &[Vec<i16>]) -> String {
    STANDARD.encode(as_differences(leads).iter().flat_map(|lead| xli(lead)).collect::<Vec<u8>>())
}

/// A document of version 1.03.
fn version_1_03(attributes: &str, data: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<restingecgdata xmlns=\"http://www3.medical.philips.com\">\n\
         <documentinfo><documentversion>1.03</documentversion></documentinfo>\n\
         <dataacquisition><signalcharacteristics><samplingrate>100</samplingrate>\
         <signalresolution>5</signalresolution><acquisitiontype>STD-12</acquisitiontype>\
         <bitspersample>12</bitspersample><signaloffset>0</signaloffset><signalsigned>True</signalsigned>\
         <numberchannelsallocated>12</numberchannelsallocated></signalcharacteristics></dataacquisition>\n\
         <patient><generalpatientdata><name><lastname>Somebody</lastname></name></generalpatientdata></patient>\n\
         <waveforms><parsedwaveforms {attributes} nbitspersample=\"16\">{data}</parsedwaveforms>\
         <repbeats><repbeat>AAAA</repbeat></repbeats></waveforms>\n</restingecgdata>\n"
    )
}

/// A document of version 1.04, whose acquisition had another rate and resolution than its waveforms.
fn version_1_04(attributes: &str, data: &str) -> String {
    format!(
        "<restingecgdata xmlns=\"http://www3.medical.philips.com\">\n<dataacquisition><signalcharacteristics>\
         <samplingrate>1000</samplingrate><resolution>1</resolution><acquisitiontype>10-WIRE</acquisitiontype>\
         </signalcharacteristics></dataacquisition>\n<waveforms><parsedwaveforms dataencoding=\"Base64\" {attributes} \
         numberofleads=\"12\" leadlabels=\"I II III aVR aVL aVF V1 V2 V3 V4 V5 V6 V3R\" \
         durationperchannel=\"10000\" samplespersecond=\"100\" resolution=\"5\" signalsigned=\"True\" \
         bitspersample=\"16\">{data}</parsedwaveforms></waveforms>\n</restingecgdata>\n"
    )
}

const COMPRESSED: &str = "compressflag=\"True\" compressmethod=\"XLI\" dataencoding=\"Base64\"";

fn compressed(milliseconds: usize, data: &str) -> String {
    version_1_03(&format!("{COMPRESSED} durationperchannel=\"{milliseconds}\""), data)
}

fn example() -> String {
    of(1000)
}

const UNCOMPRESSED: &str = "compressflag=\"False\" compressmethod=\"XLI\" dataencoding=\"Base64\"";

pub fn base64_1_03() -> String {
    version_1_03(&format!("{UNCOMPRESSED} durationperchannel=\"10000\""), &base64_of(&leads().concat()))
}

pub fn plain_1_03() -> String {
    let numbers = leads().concat().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    version_1_03("dataencoding=\"Plain\" durationperchannel=\"10000\"", &numbers)
}

pub fn base64_1_04() -> String {
    version_1_04("", &base64_of(&leads().concat()))
}

pub fn xli_1_04() -> String {
    version_1_04("compression=\"XLI\"", &xli_of(&leads()))
}

/// Writes a document with this number of samples per lead.
pub fn of(samples: usize) -> String {
    let leads: Vec<Vec<i16>> = leads().iter().map(|lead| lead[..samples].to_vec()).collect();
    compressed(10 * samples, &xli_of(&leads))
}

#[test]
fn leads_that_follow_from_others_are_those_that_were_recorded() {
    let recording = read_one(&example());
    let recorded = recording.lead(Lead::AVF).unwrap();
    assert!((recorded[123] - f32::from(leads()[5][123]) * 0.005).abs() < 1e-6);
}

#[test]
fn a_plain_sample_that_is_no_number_is_explained() {
    let text = plain_1_03();
    assert_says(&error(&text.replacen(" 10 ", " x ", 1)), "'x' is no whole number", "get it again");
}

#[test]
fn an_offset_is_subtracted() {
    let shifted: Vec<i16> = leads().concat().iter().map(|x| x + 1000).collect();
    let attributes = "dataencoding=\"Base64\" durationperchannel=\"10000\"";
    let text = version_1_03(attributes, &base64_of(&shifted)).replace("<signaloffset>0<", "<signaloffset>1000<");
    assert_holds(&read_one(&text), STEP);
}

/// Appends a second of calibration to each lead: a pulse of 1 mV, which the last of the ECG's second may precede.
fn with_calibration(mut leads: Vec<Vec<i16>>, pulse: usize) -> Vec<Vec<i16>> {
    for (at, lead) in leads.iter_mut().enumerate() {
        lead.extend(
            (0..50).map(|n| (n + 10 * at) as i16).chain(vec![0; 20]).chain(vec![200; pulse]).chain(vec![0; 30 - pulse]),
        );
    }
    leads
}

#[test]
fn the_second_with_the_calibration_pulse_is_cut() {
    let recording = read_one(&compressed(11_000, &xli_of(&with_calibration(leads(), 20))));
    assert_holds(&recording, STEP);
    assert!(recording.warnings().is_empty());
    let short_pulse = read_one(&compressed(11_000, &xli_of(&with_calibration(leads(), 5))));
    assert_eq!(short_pulse.samples(), 1100);
}

#[test]
fn samples_beyond_the_duration_are_left_out() {
    let recording = read_one(&compressed(5_000, &xli_of(&leads())));
    assert_eq!(recording.samples(), 500);
    assert_eq!(recording.warnings(), ["500 of 1000 stored samples are read, as the duration states"]);
}

#[test]
fn damaged_waveforms_are_explained() {
    let said = |text: &str, cause, remedy| assert_says(&error(text), cause, remedy);
    let eleven: Vec<Vec<i16>> = leads()[..11].to_vec();
    said(&compressed(10_000, &xli_of(&eleven)), "XLI data, channel 12: it is cut off", "get it again");
    said(&compressed(20_000, &xli_of(&leads())), "2000 samples per lead are stated and 1000 stored", "get it again");
    said(&compressed(1_000, &xli_of(&leads())), "XLI data, channel 1: it holds over 200 samples", "get it again");
    said(&compressed(10_000, "AAAA*"), "the waveform data is no valid Base64", "get it again");
    let far = STANDARD.encode([[3u8, 0, 0, 0, 1, 0, 0, 0], [0xc0, 0, 0, 0, 0, 0, 0, 0]].concat());
    said(&compressed(10_000, &far), "channel 1: code 768 comes before its string", "get it again");
    said(&version_1_04("", &base64_of(&[1; 50])), "12 leads of 1000 samples are stated and 50 stored", "get it again");
    let huffman = version_1_04("compression=\"Huffman\"", "");
    said(&huffman, "in the encoding 'Base64' with the compression 'Huffman'", "with XLI or without");
    said(
        &example().replace("</waveforms>", "").replace("<waveforms>", ""),
        "has no parsedwaveforms",
        "with its waveforms",
    );
    said(&example().replace("<signalresolution>5<", "<signalresolution><"), "no signal resolution", "often 5");
    said(
        &example().replace(">12</numberchannels", ">1e9</numberchannels"),
        "1000000000 leads are stated",
        "from 1 to 32",
    );
    said(&compressed(usize::MAX, ""), "a duration of 18446744073709552000 ms at 100 Hz", "cut the recording");
}

#[test]
fn channels_without_names_need_them() {
    let text = example().replace("STD-12", "Other");
    assert_says(&error(&text), "none of its 12 signals has the name of a standard lead", "name the lead");
}

#[test]
fn a_file_of_a_device_is_read() {
    let Some(path) = sample_file("philips-1.03.xml") else { return };
    let recordings = read(&path).unwrap();
    let recording = &recordings[0];
    assert_eq!((recordings.len(), recording.samples(), recording.sampling_rate()), (1, 5000, 500.0));
    assert_eq!((recording.leads().len(), recording.warnings()), (12, &[][..]));
    let [i, ii] = [Lead::I, Lead::II].map(|lead| recording.lead(lead).unwrap());
    for lead in &Lead::STANDARD[2..6] {
        let [a, b] = lead.from_i_and_ii().unwrap();
        let follows = i.iter().zip(ii).map(|(i, ii)| a * i + b * ii);
        let differences = recording.lead(*lead).unwrap().iter().zip(follows).map(|(x, y)| (x - y).abs());
        assert!(differences.fold(0f32, f32::max) < 0.016, "lead {lead}");
    }
    let peak = i.iter().fold(0f32, |peak, x| peak.max(x.abs()));
    assert!((0.8..1.2).contains(&peak), "the file says that R in lead I has 0.912 mV: {peak}");
}
