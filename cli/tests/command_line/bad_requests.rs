//! Weights that do not fit, and options that make no sense.

use ecgpu::engine::network::published::training_code_542k;
use ecgpu_testing::{StoredTensor, WeightsFile};
use safetensors::Dtype;

use crate::support::{Folder, assert_one_line, assert_usage, data, run};

#[test]
fn weights_that_do_not_fit_are_explained() {
    const WEIGHT: &str = "head.weight";
    let folder = Folder::new();
    let file = WeightsFile::random(&training_code_542k());
    let changed = |change: fn(&mut WeightsFile)| {
        let mut file = file.clone();
        change(&mut file);
        folder.with("a.safetensors", file.to_bytes())
    };
    let refused = |path: &str, part: &str| {
        assert_one_line(&run(&["classify", "--device", "cpu", "--weights", path]), 1, part);
        assert_one_line(&run(&["inspect", path]), 1, part);
    };
    refused(
        &changed(|file| file.tensors.retain(|tensor| tensor.name != WEIGHT)),
        "head.weight of shape [5, 256]: it is",
    );
    refused(&changed(|file| file.tensor(WEIGHT).shape = vec![256, 5]), "the file has shape [256, 5]");
    refused(
        &changed(|file| {
            let tensor = file.tensor(WEIGHT);
            (tensor.kind, tensor.bytes) = (Dtype::I64, vec![0; 5 * 256 * 8]);
        }),
        "stored as I64",
    );
    refused(&changed(|file| file.tensors.push(StoredTensor::new("a", &[1], &[0.0]))), "tensor a is not part of");
    let with_value = |name: &str, value: f32| {
        folder.with("a.safetensors", file.clone().with_values(name, |values| values[0] = value).to_bytes())
    };
    refused(&with_value(WEIGHT, f32::NAN), "element 0 is NaN");
    refused(&with_value("encoder.features.0.block.1.running_var", -1.0), "a variance is never negative");
}

#[test]
fn a_file_that_holds_no_weights_is_explained() {
    let folder = Folder::new();
    let header = r#"{"a":{"dtype":"F32","shape":[750000000],"data_offsets":[0,3000000000]}}"#;
    let large = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 1000]].concat();
    let not_one = "not a readable safetensors file";
    for (path, part) in [
        (folder.with("a", "PK\x03\x04 a PyTorch file"), not_one),
        (folder.with("b", ""), not_one),
        (folder.with("c", large), not_one),
        (folder.path("none"), "check the path"),
        (folder.path(""), "name a file, not a folder"),
    ] {
        assert_one_line(&run(&["classify", "--weights", &path]), 1, part);
    }
}

#[test]
fn an_impossible_option_is_explained() {
    let path = data("expected.npy");
    for rate in ["0", "-100", "NaN", "inf"] {
        let outcome = run(&["classify", &path, "--sampling-rate", rate]);
        assert_one_line(&outcome, 2, "Hz: give a positive number of Hz");
    }
    for (arguments, part) in [
        (&["classify", &path, "--unit", "furlong"][..], "unknown unit 'furlong': use mV, uV, nV or V"),
        (&["classify", &path, "--leads", "I,V9"], "'V9' is not a lead of the 12-lead ECG"),
        (&["classify", &path, "--batch", "0"], "0 is not in 1.."),
        (&["classify", &path, "--raw", "--unit", "mV"], "cannot be used with"),
        (&["classify", "--sampling-rate", "100"], "PATH"),
        (&["classify", "--no-such-option"], "unexpected argument '--no-such-option'"),
        (&["no-such-command"], "unrecognized subcommand"),
    ] {
        assert_usage(arguments, part);
    }
    assert_one_line(&run(&["classify", &path, "--leads", "I,II,V1"]), 1, "--leads");
    assert_one_line(&run(&["classify", "--device", "cpu", "--threads", "99999999"]), 2, "use 1024 or fewer");
}

#[test]
fn a_request_that_no_memory_holds_is_explained() {
    let folder = Folder::new();
    let synth = |rate: &str, part: &str| {
        let outcome = run(&["synth", "--seconds", "3600", "--sampling-rate", rate, "--out", &folder.path("a.hea")]);
        assert_one_line(&outcome, 2, part);
    };
    synth("400000", "give at most 18000000 samples per lead");
    synth("0", "give a positive number of Hz");
    let bench = ["bench", "--device", "cpu", "--batch", "4000000000", "--samples", "4000000000"];
    assert_one_line(&run(&bench), 2, "give a smaller --batch or fewer --samples");
}
