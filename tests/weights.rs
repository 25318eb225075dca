//! Weights files with any prefix, of every usual type, with and without metadata, and with every mistake that the
//! reader must explain.

use ecgpu::{
    Classifier, Device, ErrorKind, Recording, Weights,
    ecg::{Condition, Lead, Unit, synthesize},
    engine::network::published::{self, model_card_55k, training_code_542k},
};
use ecgpu_testing::{StoredTensor, WeightsFile};
use proptest::prelude::*;
use safetensors::Dtype;

fn recording() -> Recording {
    synthesize(Condition::Norm, 1, 100.0, 10.0).unwrap()
}

fn logits(weights: Weights) -> Vec<f32> {
    Classifier::open(weights, Device::Cpu).unwrap().classify(&recording()).unwrap().logits
}

fn assert_close(a: &[f32], b: &[f32], tolerance: f32) {
    let largest = b.iter().fold(0f32, |largest, x| largest.max(x.abs()));
    let close = a.len() == b.len() && a.iter().zip(b).all(|(x, y)| (x - y).abs() <= tolerance * largest);
    assert!(close, "{a:?} for {b:?}");
}

// What must be recognised.

#[test]
fn a_network_is_recognised_under_any_prefix_with_and_without_counters() {
    for network in published::all() {
        let plain = WeightsFile::random(&network);
        let expected = plain.read().unwrap();
        assert_eq!((&expected.network, expected.notes.len()), (&network, 0));
        for prefix in ["", "model.", "module.", "model.module."] {
            let mut file = plain.clone();
            file.tensors.iter_mut().for_each(|tensor| tensor.name.insert_str(0, prefix));
            assert_eq!(file.read().unwrap(), expected, "{} under '{prefix}'", network.name);
            add_counters(&mut file);
            assert_eq!(file.read().unwrap(), expected, "{} under '{prefix}' with counters", network.name);
        }
    }
}

/// Adds the counters of PyTorch's batch norm, one I64 per running mean.
fn add_counters(file: &mut WeightsFile) {
    let of_mean = |tensor: &StoredTensor| Some(tensor.name.strip_suffix("running_mean")?.to_string());
    let batch_norms: Vec<String> = file.tensors.iter().filter_map(of_mean).collect();
    assert!(!batch_norms.is_empty());
    file.tensors.extend(batch_norms.into_iter().map(|batch_norm| StoredTensor {
        name: format!("{batch_norm}num_batches_tracked"),
        kind: Dtype::I64,
        shape: Vec::new(),
        bytes: 1234i64.to_le_bytes().to_vec(),
    }));
}

#[test]
fn the_parameters_are_those_of_the_file() {
    for network in published::all() {
        let file = WeightsFile::random(&network);
        let weights = file.read().unwrap();
        assert_eq!(weights.parameters.iter().len(), file.tensors.len());
        for tensor in &file.tensors {
            assert_eq!(weights.parameters.values(&tensor.name).unwrap(), tensor.values(), "{}", tensor.name);
        }
    }
}

#[test]
fn half_precision_gives_nearly_the_same_logits() {
    for network in published::all() {
        let single = WeightsFile::random(&network);
        let expected = logits(single.read().unwrap());
        let types = [Dtype::F32, Dtype::F16, Dtype::BF16];
        // The rounding of each tensor's numbers, multiplied by the depth of the network.
        for (kinds, stored_as, tolerance) in [
            (&types[..1], "F32", 0.0),
            (&types[1..2], "F16", 0.01),
            (&types[2..], "BF16", 0.05),
            (&types[..], "F32, F16, BF16", 0.05),
        ] {
            let tensors = single.tensors.iter().zip(kinds.iter().cycle()).map(|(tensor, kind)| tensor.stored_as(*kind));
            let weights = WeightsFile { tensors: tensors.collect(), ..single.clone() }.read().unwrap();
            assert_eq!(weights.stored_as, stored_as);
            assert_close(&logits(weights), &expected, tolerance);
        }
    }
}

#[test]
fn weights_know_the_file_that_they_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("card.safetensors");
    std::fs::write(&path, WeightsFile::random(&model_card_55k()).to_bytes()).unwrap();
    assert_eq!(Weights::from_path(&path).unwrap().source, path.display().to_string());
}

#[test]
fn a_file_on_disk_reads_as_its_bytes_do_even_when_it_is_cut_short() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("card.safetensors");
    let bytes = WeightsFile::random(&model_card_55k()).to_bytes();
    for len in [0, 5, 8, 100, bytes.len() / 2, bytes.len() - 1, bytes.len()] {
        std::fs::write(&path, &bytes[..len]).unwrap();
        let read = Weights::from_path(&path);
        assert_eq!(read.is_ok(), len == bytes.len());
        assert_eq!(read, Weights::from_bytes(&bytes[..len], &path.display().to_string()), "{len} bytes");
    }
}

// What the metadata says must be done.

#[test]
fn permuted_leads_with_permuted_weights_give_the_same_logits() {
    let file = WeightsFile::random(&model_card_55k());
    let expected = logits(file.read().unwrap());
    let reversed: Vec<String> = Lead::STANDARD.iter().rev().map(Lead::to_string).collect();
    // [32 out channels, 12 leads, kernel 7]
    let permuted = file.stating("leads", &reversed.join(",")).with_values("encoder.0.weight", |values| {
        *values = values.chunks(12 * 7).flat_map(|filter| filter.chunks(7).rev().flatten()).copied().collect();
    });
    assert_close(&logits(permuted.read().unwrap()), &expected, 1e-5);
}

#[test]
fn mean_and_deviation_are_in_the_stated_unit() {
    let file = WeightsFile::random(&training_code_542k()).stating("mean", "0.1");
    let microvolts = file.clone().stating("unit", "uV").stating("mean", "100").stating("std", "235");
    let weights = microvolts.read().unwrap();
    assert_eq!(weights.contract.unit, Unit::Microvolt);
    assert_close(&logits(weights), &logits(file.read().unwrap()), 1e-5);
}

#[test]
fn labels_follow_the_thresholds_of_the_file() {
    let labels = |thresholds: &str| {
        let file =
            WeightsFile::random(&model_card_55k()).stating("thresholds", thresholds).stating("classes", "a,b,c,d,e");
        Classifier::open(file.read().unwrap(), Device::Cpu).unwrap().classify(&recording()).unwrap().labels
    };
    assert_eq!(labels("0,0,0,0,0"), ["a", "b", "c", "d", "e"]);
    assert_eq!(labels("1,1,0,1,1"), ["c"]);
}

#[test]
fn missing_metadata_is_noted() {
    let mut file = WeightsFile::random(&model_card_55k());
    file.metadata.remove("std");
    let notes = file.read().unwrap().notes;
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].starts_with("the weights file does not state std; assumed: mV at 100 Hz"), "{notes:?}");
    assert!(notes[0].contains("standard deviation 0.235"), "{notes:?}");
    file.metadata.clear();
    let notes = file.read().unwrap().notes;
    assert!(notes[0].contains("not state leads, sampling_rate_hz, unit, dc_offset, mean, std, classes;"), "{notes:?}");
}

// What must be refused, with what was expected and what was found.

fn assert_refused(bytes: &[u8], parts: &[&str]) {
    let error = Weights::from_bytes(bytes, "test.safetensors").unwrap_err();
    let text = error.to_string();
    assert_eq!(error.kind(), ErrorKind::Weights, "{text}");
    assert!(text.starts_with("test.safetensors: ") && !text.contains('\n'), "{text}");
    assert!(!error.remedy().is_empty() && !text.ends_with('.'), "{text}");
    for part in parts {
        assert!(text.contains(part), "'{part}' is not in: {text}");
    }
}

#[test]
fn a_contract_that_does_not_fit_the_network_is_refused() {
    let eleven = Lead::STANDARD[1..].iter().map(Lead::to_string).collect::<Vec<_>>().join(",");
    let metadata = "correct the file's metadata";
    for (network, key, text, found) in [
        (training_code_542k(), "leads", eleven.as_str(), "metadata names 11 leads, but network 542k has 12"),
        (training_code_542k(), "thresholds", "0.5,0.5", "metadata has 2 thresholds for 5 classes"),
        (training_code_542k(), "samples", "0", "metadata 'samples' is 0"),
        (model_card_55k(), "samples", "3", "metadata 'samples' is 3: network 55k, layer encoder.7"),
        (model_card_55k(), "samples", "-1", "metadata 'samples' is '-1', which cannot be read"),
        (model_card_55k(), "unit", "fur\nlong", "metadata 'unit' is 'fur\\nlong', which cannot be read"),
    ] {
        assert_refused(&WeightsFile::random(&network).stating(key, text).to_bytes(), &[found, metadata]);
    }
    let four = WeightsFile::random(&model_card_55k()).stating("classes", "a,b,c,d").stating("thresholds", "0,0,0,0");
    assert_refused(&four.to_bytes(), &["metadata names 4 classes, but network 55k has 5", metadata]);
}

#[test]
fn a_tensor_that_does_not_fit_is_named_with_what_was_expected_and_found() {
    const WEIGHT: &str = "encoder.features.1.block.0.weight";
    const EXPECTED: &str = "network 542k, tensor encoder.features.1.block.0.weight of shape [64, 64, 7]: ";
    const VARIANCE: &str = "encoder.features.0.block.1.running_var";
    let file = WeightsFile::random(&training_code_542k());
    let changed = |change: fn(&mut WeightsFile)| {
        let mut file = file.clone();
        change(&mut file);
        file.to_bytes()
    };
    let missing = changed(|file| file.tensors.retain(|tensor| tensor.name != WEIGHT));
    assert_refused(&missing, &[EXPECTED, "it is missing"]);
    let misshapen = changed(|file| file.tensor(WEIGHT).shape = vec![64, 7, 64]);
    assert_refused(&misshapen, &[EXPECTED, "the file has shape [64, 7, 64]"]);
    let whole = changed(|file| {
        let tensor = file.tensor(WEIGHT);
        (tensor.kind, tensor.bytes) = (Dtype::I64, vec![0; 64 * 64 * 7 * 8]);
    });
    assert_refused(&whole, &[EXPECTED, "stored as I64, not F32, F16 or BF16"]);
    for (value, found) in [(f32::NAN, "element 3 is NaN"), (f32::NEG_INFINITY, "element 3 is -inf")] {
        assert_refused(&file.clone().with_values(WEIGHT, |values| values[3] = value).to_bytes(), &[EXPECTED, found]);
    }
    let negative = file.clone().with_values(VARIANCE, |values| values[9] = -0.25).to_bytes();
    assert_refused(&negative, &[VARIANCE, "[64]", "element 9 is -0.25, but a variance is never negative"]);
    let extra = changed(|file| file.tensors.push(StoredTensor::new("decoder\n.bias", &[1], &[0.0])));
    assert_refused(&extra, &["tensor decoder\\n.bias is not part of network 542k", "remove it"]);
}

#[test]
fn two_networks_in_one_file_are_refused() {
    let mut file = WeightsFile::random(&training_code_542k());
    file.tensors.extend(WeightsFile::random(&model_card_55k()).tensors);
    assert_refused(&file.to_bytes(), &["is not part of network 542k", "one published network alone"]);
}

#[test]
fn a_file_that_holds_no_weights_is_refused() {
    let valid = WeightsFile::random(&model_card_55k()).to_bytes();
    let beyond = [&u64::MAX.to_le_bytes()[..], b"{}"].concat();
    let large = format!(r#"{{"a":{{"dtype":"F32","shape":[{}],"data_offsets":[0,3000000000]}}}}"#, 750_000_000);
    let large = [&(large.len() as u64).to_le_bytes()[..], large.as_bytes(), &[0; 1000]].concat();
    for bytes in
        [&b""[..], b"\x89PNG\r\n\x1a\n", b"PK\x03\x04 a PyTorch file", &valid[..valid.len() - 1], &beyond, &large]
    {
        assert_refused(bytes, &["not a readable safetensors file", "give a complete file"]);
    }
    let other = WeightsFile { tensors: vec![StoredTensor::new("a", &[1], &[0.0])], metadata: Default::default() };
    assert_refused(&other.to_bytes(), &["no known network: the file holds tensors such as a", "542k or 55k"]);
    let none = WeightsFile { tensors: Vec::new(), metadata: Default::default() };
    assert_refused(&none.to_bytes(), &["no known network: the file holds no tensor at all"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_damaged_file_never_panics(
        length in any::<prop::sample::Index>(),
        in_header in prop::collection::vec((0usize..4096, 0u32..8), 0..4),
        anywhere in prop::collection::vec((any::<prop::sample::Index>(), 0u32..8), 0..4),
        cut in any::<bool>(),
    ) {
        let mut bytes = WeightsFile::random(&model_card_55k()).to_bytes();
        let size = bytes.len();
        let flips = in_header.into_iter().chain(anywhere.into_iter().map(|(at, bit)| (at.index(size), bit)));
        flips.for_each(|(at, bit)| bytes[at] ^= 1 << bit);
        if cut {
            bytes.truncate(length.index(size));
        }
        if let Err(error) = Weights::from_bytes(&bytes, "damaged") {
            prop_assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}
