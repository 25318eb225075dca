//! `Device::Auto` with a real driver in the GPU's place. It never takes a software adapter of itself, so the tests hand
//! it one.

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

/// A classifier on the given device, which goes over to the best GPU, software or not, where that is faster.
fn classifier(first: &Device, edit: Option<EditShader>) -> Classifier {
    let open_gpu = move || {
        let gpu = backend::gpu::open_gpu(&Device::Gpu)?;
        let gpu = gpu.map(|gpu| match &edit {
            Some(edit) => gpu.with_edited_shaders(edit.clone()),
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

/// Classifies until `done`; the CPU's answer and the last one.
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

/// The reference takes a few hundred milliseconds, so that any GPU is faster.
#[test]
fn the_gpu_takes_over_from_a_slower_device_and_every_prediction_says_who_made_it() {
    if !has_gpu() {
        return;
    }
    let classifier = classifier(&Device::Reference, None);
    let [first, last] = classify_until(&classifier, |backend| backend != "reference");
    assert_eq!(first.device.backend, "reference");
    assert_eq!(last.device, backend::open(&Device::Gpu, None).unwrap().info());
    assert!(first.logits.iter().zip(&last.logits).all(|(x, y)| (x - y).abs() < 1e-4), "{first:?} and {last:?}");
    // Of a batch of another shape, the first half of which may be answered by one device and the rest by the other.
    let batch = vec![recording(); 3];
    for prediction in classifier.classify_batch(&batch) {
        assert_eq!(prediction.unwrap().device, first.device);
    }
    assert_eq!(classifier.fault(), None);
}

/// A driver that computes wrongly, and one that compiles nothing.
#[test]
fn a_gpu_that_is_wrong_or_broken_never_answers() {
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
        // Slower than any GPU, so that the wrong one would win.
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

/// A process of its own, as what is tested is how it ends: the test below, which does nothing unless it is asked to.
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
