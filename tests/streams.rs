//! Streams of inputs: the bits of single runs on every backend, and an error when a device is lost on the way.

use std::borrow::Cow;

use ecgpu::{
    Classifier, Device, ErrorKind, Output, Weights,
    engine::backend::{self, Backend, gpu::Gpu},
    engine::network::Folded,
    engine::plan::{Keep, Plan},
    engine::random::Random,
};
use ecgpu_testing::{F16_STORAGES, gpu, host_device, skip};

fn inputs(count: usize, batch: usize, samples: usize) -> Vec<Vec<f32>> {
    let mut random = Random::new(3, 0);
    (0..count).map(|_| (0..batch * 12 * samples).map(|_| random.normal() as f32).collect()).collect()
}

/// Opens the CPU, the reference, and a GPU where there is one.
fn backends() -> Vec<Box<dyn Backend>> {
    let gpu = backend::open(&Device::Gpu, None).inspect_err(|error| skip(&error.to_string())).ok();
    [Device::Cpu, Device::Reference]
        .map(|device| backend::open(&device, None).unwrap())
        .into_iter()
        .chain(gpu)
        .collect()
}

fn plan(batch: usize, samples: usize) -> Plan {
    let weights = Weights::built_in().unwrap();
    let folded = Folded::new(&weights.network, &weights.parameters).unwrap();
    Plan::new(&folded, batch, samples, Keep::Results).unwrap()
}

#[test]
fn a_stream_of_five_batches_gives_the_bits_of_one_at_a_time() {
    let inputs = inputs(5, 3, 64);
    for backend in backends() {
        let mut executor = backend.prepare(&plan(3, 64)).unwrap();
        let mut alone = Vec::new();
        for input in &inputs {
            let mut outputs = Vec::new();
            executor.run(input, &mut outputs).unwrap();
            alone.push(outputs);
        }
        assert_ne!(alone[0], alone[1]);
        // Streams of any length may alternate with single runs.
        for count in [5, 0, 1, 2, 3, 5] {
            let mut streamed = Vec::new();
            let mut some = inputs[..count].iter().map(Cow::from);
            executor.stream(&mut some, &mut |outputs, _| streamed.push(outputs.to_vec())).unwrap();
            assert_eq!(streamed, alone[..count], "{count} on {:?}", backend.info());
            let mut outputs = Vec::new();
            executor.run(&inputs[4], &mut outputs).unwrap();
            assert_eq!(outputs, alone[4]);
        }
    }
}

/// A record of a hundred volts exceeds 65504 after the first layer.
#[test]
fn a_record_that_overflows_f16_marks_no_record_of_the_next_batches() {
    for storing in F16_STORAGES {
        let Some(gpu) = gpu() else { return };
        let mut executor = storing(gpu).prepare(&plan(2, 64)).unwrap();
        let mut inputs = inputs(4, 2, 64);
        inputs[0][..12 * 64].fill(1e7);
        let mut overflowed = Vec::new();
        let mut each = |outputs: &[Vec<f32>], _: &_| {
            let logits = outputs[1].chunks_exact(outputs[1].len() / 2);
            overflowed.push(logits.map(|logits| logits[0].is_nan()).collect::<Vec<_>>());
        };
        executor.stream(&mut inputs.iter().map(Cow::from), &mut each).unwrap();
        assert_eq!(overflowed, [[true, false], [false; 2], [false; 2], [false; 2]]);
    }
}

#[test]
fn an_input_of_the_wrong_length_ends_a_stream_after_the_earlier_results() {
    let inputs = inputs(4, 1, 64);
    for backend in backends() {
        let mut executor = backend.prepare(&plan(1, 64)).unwrap();
        let mut asked = 0;
        let mut cut = inputs.iter().enumerate().map(|(at, input)| {
            asked += 1;
            Cow::from(if at == 2 { &input[1..] } else { input })
        });
        let mut done = 0;
        let error = executor.stream(&mut cut, &mut |_, _| done += 1).unwrap_err();
        assert_eq!((error.kind(), asked, done), (ErrorKind::Shape, 3, 2), "{:?}", backend.info());
        executor.stream(&mut inputs.iter().map(Cow::from), &mut |_, _| done += 1).unwrap();
        assert_eq!(done, 2 + 4);
    }
}

#[test]
fn a_classifier_streams_inputs_with_the_bits_of_single_runs() {
    for device in [Device::Cpu, Device::Gpu] {
        let classifier = match Classifier::open(Weights::built_in().unwrap(), device) {
            Ok(classifier) => classifier,
            Err(error) => return skip(&error.to_string()),
        };
        let mut inputs = inputs(5, 2, 100);
        let alone: Vec<Output> = inputs.iter().map(|input| classifier.run(input, 2, 100).unwrap()).collect();
        assert_eq!(classifier.run_many(inputs.iter().map(Vec::as_slice), 2, 100), Ok(alone.clone()));
        assert_eq!(classifier.run_many(inputs.clone(), 2, 100), Ok(alone));
        assert_eq!(classifier.run_many(Vec::<Vec<f32>>::new(), 2, 100), Ok(Vec::new()));
        inputs[3][100] = f32::NAN;
        let error = classifier.run_many(inputs.clone(), 2, 100).unwrap_err();
        assert_eq!(error.cause(), "the input has NaN at record 0, lead 1, sample 0");
        inputs[1].pop();
        let error = classifier.run_many(inputs, 2, 100).unwrap_err();
        assert_eq!(error.cause(), "an input of 2399 numbers for shape [2, 12, 100]");
    }
}

#[test]
fn a_batch_beyond_the_devices_limit_is_streamed_in_parts_with_the_same_bits() {
    let Some((device, queue)) = host_device(1 << 20) else { return };
    let part = Gpu::from_host(device.clone(), queue.clone()).largest_batch(&plan(1, 1000)).unwrap();
    assert!((2..32).contains(&part), "{part}");
    let classifier = Classifier::on(Weights::built_in().unwrap(), Box::new(Gpu::from_host(device, queue))).unwrap();
    let input = inputs(1, 5 * part + 1, 1000).remove(0);
    let together = classifier.run(&input, 5 * part + 1, 1000).unwrap();
    let mut alone = Output::default();
    for part_of in input.chunks(part * 12 * 1000) {
        let output = classifier.run(part_of, part_of.len() / 12_000, 1000).unwrap();
        alone.logits.extend(output.logits);
        alone.embedding.extend(output.embedding);
    }
    // Compared one by one, as an assertion would print all numbers.
    assert!(together.logits == alone.logits && together.embedding == alone.embedding);
}

#[test]
fn a_lost_device_ends_a_stream_and_refuses_later_inputs_with_the_same_error() {
    let Some((device, queue)) = host_device(128 << 20) else { return };
    let classifier =
        Classifier::on(Weights::built_in().unwrap(), Box::new(Gpu::from_host(device.clone(), queue))).unwrap();
    let inputs = inputs(5, 1, 250);
    let mut asked = 0;
    let losing = inputs.iter().enumerate().map(|(at, input)| {
        asked += 1;
        if at == 2 {
            device.destroy();
        }
        input.as_slice()
    });
    let error = classifier.run_many(losing, 1, 250).unwrap_err();
    assert_eq!((error.kind(), asked), (ErrorKind::Device, 3), "{error}");
    assert!(error.remedy().contains("open the classifier again"), "{error}");
    assert_eq!(classifier.run(&inputs[0], 1, 250), Err(error.clone()));
    assert_eq!(classifier.run_many([inputs[0].as_slice()], 1, 250), Err(error));
}
