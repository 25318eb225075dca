//! XML documents that are damaged, hostile, or no ECG.

use std::{fs, path::Path};

use ecgpu::ecg::format::{self, ReadOptions};
use proptest::prelude::*;

use super::{aecg, error, muse, philips, read_bytes, read_xml};
use crate::support::assert_says;

fn examples() -> [String; 3] {
    [muse::of(100), aecg::of(100), philips::of(100)]
}

/// Reads bytes; an error must name a remedy.
fn try_to_read(bytes: &[u8]) {
    if let Err(error) = read_bytes(bytes) {
        assert!(!error.remedy().is_empty(), "{error}");
        assert!(!error.to_string().contains('\n'), "one line: {error}");
    }
}

#[test]
fn the_seeds_of_the_fuzz_targets_are_the_documents_of_these_tests() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    for (target, text) in [("muse_xml", muse::of(20)), ("aecg_xml", aecg::of(20)), ("philips_xml", philips::of(20))] {
        let seed = seeds.join(target).join("example");
        if std::env::var_os("WRITE_TEST_DATA").is_some() {
            fs::create_dir_all(seeds.join(target)).unwrap();
            fs::write(&seed, &text).unwrap();
        }
        assert!(fs::read_to_string(&seed).unwrap() == text, "{target}");
    }
}

#[test]
fn a_document_is_recognised_whatever_its_name() {
    for (text, kind) in examples().iter().zip(["GE MUSE XML", "HL7 aECG", "Philips XML"]) {
        let plain = read_xml(text).unwrap();
        assert!(plain[0].warnings().is_empty(), "{kind}: {:?}", plain[0].warnings());
        let named = format::read_bytes("r.csv", text.as_bytes(), &ReadOptions::default()).unwrap();
        let said = named[0].warnings().concat();
        assert!(said.contains(&format!("but the content is {kind}")), "{said}");
    }
}

#[test]
fn other_documents_are_refused_with_the_kinds_that_are_read() {
    let kinds = "GE MUSE XML (root element RestingECG), HL7 aECG (root element AnnotatedECG), Philips XML";
    assert_says(&error("<?xml version=\"1.0\"?><svg></svg>"), "an XML document with the root element svg", kinds);
    assert_says(&error("<!-- ECG --> <html/>"), "with the root element html", kinds);
    assert_says(&error("no XML"), "the file is no XML document", kinds);
    assert_says(&error(""), "the file is no XML document", kinds);
    assert_says(
        &error("<?xml version=\"1.0\"?>RestingECG"),
        "text outside of the root element",
        "export the file again",
    );
}

#[test]
fn ill_formed_documents_are_explained_with_the_line() {
    let text = muse::of(100);
    let cut = &text[..text.len() / 2];
    assert_says(&error(cut), "the XML document ends within 4 open elements", "get it again");
    assert_says(&error(&text.replacen("</Waveform>", "</Wave>", 1)), "r.xml: line ", "export the file again");
    let number = error(&text.replacen("<SampleBase>100", "<SampleBase>1O0", 1));
    assert_says(&number, "r.xml: line 5: SampleBase is '1O0', which is no number", "correct it");
}

#[test]
fn entities_of_a_document_are_refused() {
    let bomb = "<!DOCTYPE AnnotatedECG [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]><AnnotatedECG>&b;</AnnotatedECG>";
    assert_says(&error(bomb), "it defines entities of its own", "export the file again");
    let file = "<!DOCTYPE RestingECG [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><RestingECG>&x;</RestingECG>";
    assert_says(&error(file), "it defines entities of its own", "export the file again");
    let undefined = muse::of(100).replace("<SampleBase>100", "<SampleBase>&x;");
    assert_says(&error(&undefined), "the entity 'x' is not one of XML's own", "export the file again");
}

#[test]
fn deep_and_long_documents_are_read_in_linear_time() {
    let deep = format!("<RestingECG>{}", "<a>".repeat(200_000));
    assert_says(&error(&deep), "over 100 elements are nested", "export the file again");
    let many = format!("<RestingECG>{}</RestingECG>", "<Waveform/>".repeat(100_000));
    assert_says(&error(&many), "no waveform of type 'Rhythm'", "with its rhythm");
    let attributes: String = (0..100_000).map(|n| format!(" a{n}=\"\"")).collect();
    assert_says(&error(&format!("<restingecgdata><waveforms><parsedwaveforms{attributes}/>")), "ends within", "get it");
    let text = format!("<AnnotatedECG>{}", "&amp;".repeat(100_000));
    assert_says(&error(&text), "ends within 1 open elements", "get it again");
}

#[test]
fn a_decompression_bomb_is_refused() {
    // Ever longer strings of one byte.
    let codes: Vec<usize> = std::iter::once(0).chain(256..1023).chain(std::iter::repeat_n(1022, 100_000)).collect();
    let bits: Vec<u8> = codes.iter().flat_map(|code| (0..10).rev().map(move |bit| (code >> bit & 1) as u8)).collect();
    let bytes: Vec<u8> = bits.chunks_exact(8).map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | bit)).collect();
    let chunk = [&(bytes.len() as u32).to_le_bytes()[..], &[0; 4], &bytes].concat();
    let data = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, chunk);
    let text = format!(
        "<restingecgdata><waveforms><parsedwaveforms dataencoding=\"Base64\" compression=\"XLI\">{data}\
         </parsedwaveforms></waveforms></restingecgdata>"
    );
    assert_says(&error(&text), "channel 1: it holds over 524288 samples", "get it again");
}

#[test]
fn a_truncated_document_is_refused() {
    for text in examples() {
        let whole = text.trim_end().len();
        for length in (0..whole).step_by(97) {
            let cut = text.floor_char_boundary(length);
            let error = read_xml(&text[..cut]).map(|_| ()).unwrap_err();
            assert!(!error.remedy().is_empty(), "{error}");
        }
    }
}

#[test]
fn a_flipped_bit_never_panics() {
    for text in examples() {
        let mut bytes = text.into_bytes();
        for position in (0..bytes.len()).step_by(97) {
            let bit = 1 << (position / 97 % 8);
            bytes[position] ^= bit;
            try_to_read(&bytes);
            bytes[position] ^= bit;
        }
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes: Vec<u8>, root in "RestingECG|AnnotatedECG|restingecgdata") {
        try_to_read(&bytes);
        try_to_read(&[format!("<{root}>").as_bytes(), &bytes, format!("</{root}>").as_bytes()].concat());
    }

    #[test]
    fn random_elements_never_panic(
        root in "RestingECG|AnnotatedECG|restingecgdata",
        inner in "(<(/)?(Waveform|LeadData|WaveFormData|component|series|sequenceSet|sequence|value|digits|waveforms|\
                  parsedwaveforms|increment value='0' unit='s')(/)?>|Rhythm|1|&amp;|&x;|AAAA){0,30}",
    ) {
        try_to_read(format!("<{root}>{inner}</{root}>").as_bytes());
    }
}
