//! A driver that fails at any call gives an error, never a panic, a hang or a wrong answer.
//!
//! A Vulkan layer over the real driver does the failing, in a process of its own.
#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use ecgpu::{
    Classifier, Device, ErrorKind, Weights,
    ecg::{Condition, synthesize},
    engine::backend::{self, Auto, Backend, gpu::open_gpu},
};
use ecgpu_testing::vulkan_layer::{DEVICE_LOST, OUT_OF_MEMORY, TIMEOUT, fail, run_with_layer};

#[test]
fn a_device_that_is_lost_at_any_call_is_an_error() {
    run_with_layer("fails_at_every_call");
}

#[test]
fn auto_answers_on_the_cpu_when_the_gpu_is_lost() {
    run_with_layer("auto_loses_its_gpu");
}

#[test]
fn a_device_that_never_finishes_is_an_error() {
    run_with_layer("never_finishes");
}

fn open() -> Box<dyn Backend> {
    Box::new(open_gpu(&Device::Gpu).unwrap().unwrap())
}

/// Fails at the first call of a run, then at the second, and so on until a run makes no more calls.
#[test]
#[ignore = "runs with the Vulkan layer"]
fn fails_at_every_call() {
    let input = vec![0.5; 12 * 100];
    for result in [DEVICE_LOST, OUT_OF_MEMORY] {
        let mut calls = 0;
        loop {
            let classifier = Classifier::on(Weights::built_in().unwrap(), open()).unwrap();
            let expected = classifier.run(&input, 1, 100).unwrap();
            assert_eq!(fail(calls, result), Some(0));
            let outcomes = [(); 2].map(|()| classifier.run(&input, 1, 100));
            if fail(-1, 0) == Some(0) {
                assert!(outcomes.iter().all(|outcome| outcome.as_ref() == Ok(&expected)));
                break;
            }
            for outcome in outcomes {
                match outcome {
                    Ok(output) => assert_eq!(output, expected),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Device, "{error}"),
                }
            }
            calls += 1;
        }
        assert!(calls >= 3, "two runs make {calls} calls");
    }
}

#[test]
#[ignore = "runs with the Vulkan layer"]
fn auto_loses_its_gpu() {
    // The reference is slower than any GPU.
    let auto = Auto::new(backend::open(&Device::Reference, None).unwrap(), || Ok(Some(open())));
    let classifier = Classifier::on(Weights::built_in().unwrap(), Box::new(auto)).unwrap();
    let recording = synthesize(Condition::Norm, 1, 100.0, 2.0).unwrap();
    let first = classifier.classify(&recording).unwrap();
    let start = Instant::now();
    while classifier.classify(&recording).unwrap().device.backend == "reference" {
        assert!(start.elapsed() < Duration::from_secs(60), "the GPU is never used: {:?}", classifier.fault());
    }
    // The submission succeeds, and the wait for it fails.
    assert_eq!(fail(1, DEVICE_LOST), Some(0));
    let answered = classifier.classify(&recording).unwrap();
    assert_eq!(answered, first);
    assert_eq!(classifier.fault().map(|fault| fault.kind()), Some(ErrorKind::Device));
}

#[test]
#[ignore = "runs with the Vulkan layer"]
fn never_finishes() {
    let classifier = Classifier::on(Weights::built_in().unwrap(), open()).unwrap();
    let input = vec![0.5; 12 * 100];
    classifier.run(&input, 1, 100).unwrap();
    // The layer answers at once that the time is over.
    fail(0, TIMEOUT);
    let error = classifier.run(&input, 1, 100).unwrap_err();
    fail(-1, 0);
    assert_eq!(error.kind(), ErrorKind::Device);
    assert!(error.cause().contains("did not finish in time"), "{error}");
}
