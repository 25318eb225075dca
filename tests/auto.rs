//! `Device::Auto` with a real driver. It would not choose a software adapter, so the tests pass one to it.

use std::{
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use ecgpu::{
    Classifier, Device, ErrorKind, Prediction, Recording, Weights,
    ecg::{Condition, synthesize},
    engine::backend::{self, Auto, Backend, gpu::EditShader},
};
use ecgpu_testing::has_gpu;

/// Opens a classifier that begins on the given device and changes to the best GPU, software adapters included, where
/// that is faster.
fn classifier(first: &Device, edit: Option<EditShader>) -> Classifier {
    let open_gpu = move || {
        let gpu = backend::gpu::open_gpu(&Device::Gpu)?;
        let gpu = gpu.map(|gpu| match &edit {
            Some(edit) => gpu.with_edited_shaders(edit.clone()).without_fallback(),
            None => gpu,
        });
        Ok(gpu.map(|gpu| Box::new(gpu) as Box<dyn Backend>))
    };
    let auto = Auto::new(backend::open(first, None).unwrap(), open_gpu);
    Classifier::on(Weights::built_in().unwrap(), Box::new(auto)).unwrap()
}

fn recording() -> Recording {
    synthesize(Condition::Norm, 1, 100.0, 10.0).unwrap()
}

/// Classifies until `done` accepts the backend's name. Returns the first and the last prediction.
fn classify_until(classifier: &Classifier, done: impl Fn(&str) -> bool) -> [Prediction; 2] {
    let first = classifier.classify(&recording()).unwrap();
    let start = Instant::now();
    loop {
        let last = classifier.classify(&recording()).unwrap();
        assert_eq!(last.device, classifier.device());
        if done(&last.device.backend) {
            return [first, last];
        }
        assert!(start.elapsed() < Duration::from_secs(60), "it never comes about: {:?}", classifier.fault());
    }
}

/// Any GPU is faster than the reference, which takes a few hundred milliseconds.
#[test]
fn auto_changes_to_a_faster_gpu_and_each_prediction_names_its_device() {
    if !has_gpu() {
        return;
    }
    let classifier = classifier(&Device::Reference, None);
    let [first, last] = classify_until(&classifier, |backend| backend != "reference");
    assert_eq!(first.device.backend, "reference");
    assert_eq!(last.device, backend::open(&Device::Gpu, None).unwrap().info());
    assert!(first.logits.iter().zip(&last.logits).all(|(x, y)| (x - y).abs() < 1e-4), "{first:?} and {last:?}");
    // A batch has another shape, so that the first device answers it until the GPU has been measured for it.
    let batch = vec![recording(); 3];
    for prediction in classifier.classify_batch(&batch) {
        assert_eq!(prediction.unwrap().device, first.device);
    }
    assert_eq!(classifier.fault(), None);
}

/// One driver computes wrongly, and one does not compile the shaders.
#[test]
fn auto_never_uses_a_gpu_that_computes_wrongly_or_does_not_compile() {
    if !has_gpu() {
        return;
    }
    const RIGHT: &str = "sum = bias[o];";
    for (wrong, kind) in [("sum = bias[o] + 1.0;", ErrorKind::Parity), ("nonsense", ErrorKind::Device)] {
        let edit = move |shader: &str, source: &str| {
            assert!(
                shader != "pooled_linear" || source.contains(RIGHT),
                "shaders/pooled_linear.wgsl no longer has `{RIGHT}`"
            );
            source.replace(RIGHT, wrong)
        };
        // The reference is slower than any GPU, so that the wrong one would be chosen.
        let classifier = classifier(&Device::Reference, Some(Arc::new(edit)));
        let start = Instant::now();
        while classifier.fault().is_none() {
            assert_eq!(classifier.classify(&recording()).unwrap().device.backend, "reference");
            assert!(start.elapsed() < Duration::from_secs(60), "it passed unnoticed");
        }
        assert_eq!(classifier.classify(&recording()).unwrap().device.backend, "reference");
        assert_eq!(classifier.fault().map(|fault| fault.kind()), Some(kind));
    }
}

/// Starts the test `ends_early`, which does nothing otherwise, as a separate process.
#[test]
fn a_process_may_end_while_a_driver_loads_and_compiles() {
    if !has_gpu() {
        return;
    }
    for milliseconds in [0, 10, 30, 60, 100, 200, 400, 600] {
        let test = ["--exact", "ends_early", "--nocapture"];
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(test).env("ENDS_AFTER", milliseconds.to_string());
        let start = Instant::now();
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert!(status.success() && start.elapsed() < Duration::from_secs(15), "{milliseconds} ms: {status}");
    }
}

#[test]
fn ends_early() {
    let Some(milliseconds) = std::env::var("ENDS_AFTER").ok().and_then(|text| text.parse().ok()) else { return };
    let classifier = classifier(&Device::Cpu, None);
    for _ in 0..2 {
        classifier.classify(&recording()).unwrap();
    }
    std::thread::sleep(Duration::from_millis(milliseconds));
    drop(classifier);
    std::process::exit(0);
}
