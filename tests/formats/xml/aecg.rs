//! Annotated ECGs of HL7.

use ecgpu::ecg::Lead;

use super::{STORED, assert_holds, error, read_one, read_xml, steps};
use crate::support::assert_says;

const STEP: f32 = 2.5;

fn times(increment: &str) -> String {
    format!(
        "<component><sequence><code code=\"TIME_ABSOLUTE\" codeSystem=\"2.16.840.1.113883.5.4\"/>\
         <value xsi:type=\"GLIST_TS\"><head value=\"20260101000000.000\"/>{increment}</value></sequence></component>\n"
    )
}

fn lead(code: &str, digits: &str) -> String {
    format!(
        "<component><sequence><code code=\"{code}\" codeSystem=\"2.16.840.1.113883.6.24\"/>\
         <value xsi:type=\"SLIST_PQ\"><origin value=\"0\" unit=\"uV\"/><scale value=\"2.5\" unit=\"uV\"/>\
         <digits>{digits}</digits></value></sequence></component>\n"
    )
}

fn set(sequences: &str) -> String {
    format!("<component><sequenceSet>\n{sequences}</sequenceSet></component>\n")
}

fn series(code: &str, sets: &str) -> String {
    format!("<component><series><id root=\"1\"/><code code=\"{code}\"/>\n{sets}</series></component>\n")
}

fn document(series: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<!-- an ECG -->\n<AnnotatedECG xmlns=\"urn:hl7-org:v3\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" type=\"Observation\">\n\
         <componentOf><timepointEvent><name>Somebody</name></timepointEvent></componentOf>\n{series}</AnnotatedECG>\n"
    )
}

const INCREMENT: &str = "<increment value=\"0.01\" unit=\"s\"/>";

fn sequences(leads: &[Lead], samples: usize) -> String {
    let digits =
        |lead: Lead| steps(lead, STEP)[..samples].iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let code = |lead: Lead| format!("MDC_ECG_LEAD_{}", lead.name().to_ascii_uppercase());
    leads.iter().map(|of| lead(&code(*of), &digits(*of))).collect()
}

fn example() -> String {
    of(1000)
}

/// A document with this number of samples per lead.
pub fn of(samples: usize) -> String {
    let beat = set(&(times(INCREMENT) + &lead("MDC_ECG_LEAD_I", "1 2 3")));
    let beat =
        format!("<derivation><derivedSeries><code code=\"REPRESENTATIVE_BEAT\"/>{beat}</derivedSeries></derivation>\n");
    let annotations = "<subjectOf><annotationSet><component><annotation><code code=\"MDC_ECG_RHY\"/>\
                       </annotation></component></annotationSet></subjectOf>\n";
    let rhythm = set(&(times(INCREMENT) + &sequences(&STORED, samples)));
    document(&series("RHYTHM", &(rhythm + annotations + &beat)))
}

/// A document of one lead of three samples.
fn small() -> String {
    document(&series("RHYTHM", &set(&(times(INCREMENT) + &lead("MDC_ECG_LEAD_II", "100 -200\n 4")))))
}

fn changed(from: &str, to: &str) -> String {
    assert!(small().contains(from), "{from}");
    small().replace(from, to)
}

#[test]
fn elements_may_have_a_prefix() {
    let prefixed = example().replace("</", "</hl7:").replace("<component", "<hl7:component");
    let prefixed =
        ["AnnotatedECG", "series", "sequenceSet", "sequence>", "value", "digits", "componentOf", "timepointEvent"]
            .iter()
            .fold(prefixed, |text, name| text.replace(&format!("<{name}"), &format!("<hl7:{name}")));
    let prefixed = ["name", "subjectOf", "annotation", "derivation", "derivedSeries"]
        .iter()
        .fold(prefixed, |text, name| text.replace(&format!("<{name}"), &format!("<hl7:{name}")));
    assert_holds(&read_one(&prefixed), STEP);
}

#[test]
fn the_increment_gives_the_sampling_rate() {
    let rate = |increment: &str| read_one(&changed(INCREMENT, increment)).sampling_rate();
    assert_eq!(rate("<increment value=\"2\" unit=\"ms\"/>"), 500.0);
    assert_eq!(rate("<increment unit='us' value='1000.0'/>"), 1000.0);
    assert_eq!(rate("<increment value=\"0.0006\" unit=\"s\"></increment>"), 1.0 / 0.0006);
    let wrong = |increment: &str| error(&changed(INCREMENT, increment));
    assert_says(&wrong("<increment value=\"2\" unit=\"mV\"/>"), "the increment is in 'mV'", "to s or ms");
    assert_says(&wrong("<increment value=\"0\" unit=\"s\"/>"), "an increment of 0 s", "time between two samples");
    assert_says(&wrong("<increment value=\"-1\" unit=\"s\"/>"), "an increment of -1 s", "time between two samples");
    assert_says(
        &wrong("<increment value=\"&fast;\" unit=\"s\"/>"),
        "an attribute of increment",
        "export the file again",
    );
}

#[test]
fn samples_are_scaled_by_origin_and_scale() {
    let first = |text: &str| read_one(text).lead(Lead::II).unwrap()[0];
    assert_eq!(first(&small()), 0.25);
    for (unit, expected) in [("mV", 250.0), ("nV", 0.000_25), ("V", 250_000.0), ("µV", 0.25)] {
        let scale = format!("<scale value=\"2.5\" unit=\"{unit}\"/>");
        assert_eq!(first(&changed("<scale value=\"2.5\" unit=\"uV\"/>", &scale)), expected, "{unit}");
    }
    assert_eq!(first(&changed("<origin value=\"0\" unit=\"uV\"/>", "<origin value=\"1\" unit=\"mV\"/>")), 1.25);
    assert_eq!(first(&changed("<origin value=\"0\" unit=\"uV\"/>", "")), 0.25);
    assert_eq!(first(&changed("100 -200\n 4", "100.4 <!-- &lt; --> &#45;200 <![CDATA[4]]>")), 0.251);
    let bare = changed("<scale value=\"2.5\" unit=\"uV\"/>", "");
    assert_says(&error(&bare), "sequence MDC_ECG_LEAD_II states no scale", "such as 5 uV");
    assert_says(&error(&changed("2.5\" unit=\"uV", "2.5\" unit=\"mm")), "scale is in 'mm'", "such as to uV");
    assert_says(&error(&changed("-200", "x")), "MDC_ECG_LEAD_II, sample 1: 'x' is no number", "get it again");
    assert_says(&error(&changed("-200", "&x;")), "the entity 'x' is not one of XML's own", "export the file again");
}

#[test]
fn samples_without_a_value_are_filled() {
    let recording = read_one(&changed("100 -200\n 4", "1 NaN 3 -32768 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21"));
    assert_eq!(recording.lead(Lead::II).unwrap()[1], 0.005);
    assert_eq!(recording.warnings(), ["lead II has no value at 2 samples: interpolated"]);
}

#[test]
fn a_lead_is_found_by_its_display_name() {
    let text = changed("\"MDC_ECG_LEAD_II\"", "\"131074\" displayName=\"Lead II\"");
    assert!(read_one(&text).lead(Lead::II).is_some());
}

#[test]
fn each_rhythm_series_and_each_segment_is_a_recording() {
    let whole = series("RHYTHM", &set(&(times(INCREMENT) + &sequences(&STORED, 1000))));
    let beat = series("REPRESENTATIVE_BEAT", &set(&(times(INCREMENT) + &lead("MDC_ECG_LEAD_I", "1 2 3"))));
    let recordings = read_xml(&document(&format!("{whole}{beat}{whole}"))).unwrap();
    let names: Vec<&str> = recordings.iter().map(|recording| recording.name()).collect();
    assert_eq!(names, ["r[0]", "r[1]"]);
    recordings.iter().for_each(|recording| assert_holds(recording, STEP));
}

#[test]
fn leads_of_one_time_in_several_sets_are_one_recording() {
    let sets: String = STORED.map(|lead| set(&(times(INCREMENT) + &sequences(&[lead], 1000)))).concat();
    assert_holds(&read_one(&document(&series("RHYTHM", &sets))), STEP);
}

#[test]
fn a_document_without_a_rhythm_is_refused() {
    let beat = changed("\"RHYTHM\"", "\"REPRESENTATIVE_BEAT\"");
    assert_says(&error(&beat), "no rhythm series with leads; found: 'REPRESENTATIVE_BEAT'", "with its rhythm");
    assert_says(&error(&document("")), "found: none", "with its rhythm");
    let other = changed("MDC_ECG_LEAD_II", "MDC_PLETH");
    assert_says(&error(&other), "none of its 1 signals has the name of a standard lead", "name the lead");
}

#[test]
fn hundreds_of_sequences_are_refused() {
    let sequences: String = (0..65).map(|n| lead(&format!("X{n}"), "1 2")).collect();
    let text = document(&series("RHYTHM", &set(&(times(INCREMENT) + &sequences))));
    assert_says(&error(&text), "a waveform of 65 signals", "up to 64 are read");
}
