//! The library in an application: one recording, many, several threads, futures, and the application's own wgpu device.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

use ecgpu::{
    Classifier, Device, DeviceInfo, Error, ErrorKind, Hint, Output, Prediction, Recording, Weights,
    ecg::{Condition, Lead, synthesize},
    engine::backend::{self, Backend, Executor, Precision, cpu::Cpu, gpu::Gpu},
    engine::network::published::model_card_55k,
    engine::plan::Plan,
    engine::random::Random,
};
use ecgpu_testing::{WeightsFile, has_gpu, host_device};

fn classifier() -> Classifier {
    Classifier::open(Weights::built_in().unwrap(), Device::Cpu).unwrap()
}

fn recording(seed: u64, seconds: f64) -> Recording {
    synthesize(Condition::Norm, seed, 500.0, seconds).unwrap()
}

/// Builds an input `[batch, 12, samples]` of numbers as large as those of scaled recordings.
fn input(batch: usize, samples: usize) -> Vec<f32> {
    let mut random = Random::new(5, 0);
    (0..batch * 12 * samples).map(|_| random.normal() as f32).collect()
}

#[test]
fn a_recording_is_classified() {
    let classifier = classifier();
    let prediction = classifier.classify(&recording(1, 10.0)).unwrap();
    let temperature = classifier.contract().temperature;
    assert_eq!(prediction.classes, ["NORM", "MI", "STTC", "HYP", "CD"]);
    assert_eq!((prediction.logits.len(), prediction.embedding.len()), (5, 256));
    for (logit, probability) in prediction.logits.iter().zip(&prediction.probabilities) {
        assert!((probability - 1.0 / (1.0 + (-f64::from(*logit) / temperature).exp())).abs() < 1e-12);
    }
    assert_eq!(prediction.labels, ["NORM"]);
    assert_eq!(prediction.warnings, ["a synthetic signal, not a patient's"]);
}

#[test]
fn labels_follow_the_thresholds() {
    let mut weights = Weights::built_in().unwrap();
    let labels = |weights: &Weights| {
        Classifier::open(weights.clone(), Device::Cpu).unwrap().classify(&recording(1, 10.0)).unwrap().labels
    };
    weights.contract.thresholds = vec![0.0; 5];
    assert_eq!(labels(&weights), weights.contract.classes);
    weights.contract.thresholds = vec![1.0; 5];
    assert_eq!(labels(&weights), Vec::<String>::new());
}

#[test]
fn a_recording_of_another_length_is_classified_with_a_warning() {
    let prediction = classifier().classify(&recording(1, 4.0)).unwrap();
    assert_eq!(prediction.warnings[1..], ["the recording lasts 4.0 s; the network was trained to judge 10.0 s"]);
}

#[test]
fn a_batch_gives_each_recording_its_own_result() {
    let classifier = classifier();
    let lone = Recording::new("lone", 100.0, vec![(Lead::I, vec![0.0; 1000])]).unwrap();
    let eight = [Lead::I, Lead::II, Lead::V1, Lead::V2, Lead::V3, Lead::V4, Lead::V5, Lead::V6];
    let of_height =
        |height: f32| Recording::new("huge", 100.0, eight.map(|lead| (lead, vec![height; 1000])).to_vec()).unwrap();
    let mut recordings: Vec<Recording> =
        (0..9).map(|seed| recording(seed, [10.0, 7.0, 3.5][seed as usize % 3])).collect();
    recordings.splice(4..4, [lone, of_height(3e38), of_height(1e38)]);
    let mut results = classifier.classify_batch(&recordings);
    assert_eq!(results.len(), 12);
    let refused: Vec<Error> = results.drain(4..7).map(Result::unwrap_err).collect();
    assert!(refused.iter().all(|error| error.kind() == ErrorKind::Recording), "{refused:?}");
    assert_eq!(refused[0].cause(), "lead II is missing");
    assert_eq!(refused[1].cause(), "lead I is too large for the network at sample 0");
    recordings.drain(4..7);
    for (recording, result) in recordings.iter().zip(results) {
        assert_eq!(result, classifier.classify(recording), "{}", recording.name());
    }
    assert_eq!(classifier.classify_batch(&[]), []);
}

#[test]
fn an_input_of_the_wrong_size_is_refused() {
    let classifier = classifier();
    for (numbers, batch, samples) in
        [(0, 0, 0), (12, 0, 1), (12, 1, 0), (0, 1, 1), (11, 1, 1), (24, 1, 1), (12, usize::MAX, usize::MAX)]
    {
        let error = classifier.run(&vec![0.0; numbers], batch, samples).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Shape);
        let expected = format!("an input of {numbers} numbers for shape [{batch}, 12, {samples}]");
        assert_eq!(error.cause(), expected);
    }
    let small = Classifier::open(WeightsFile::random(&model_card_55k()).read().unwrap(), Device::Cpu).unwrap();
    assert_eq!(small.run(&[0.0; 36], 1, 3).unwrap_err().kind(), ErrorKind::Shape);
}

#[test]
fn a_number_that_is_not_finite_or_too_large_is_refused_with_its_place() {
    let classifier = classifier();
    for (number, written) in [(f32::NAN, "NaN"), (f32::NEG_INFINITY, "-inf"), (3e38, "3e38")] {
        // Beyond the first 1024 numbers, which are checked together.
        let mut numbers = input(2, 100);
        numbers[12 * 100 + 3 * 100 + 7] = number;
        let error = classifier.run(&numbers, 2, 100).unwrap_err();
        assert_eq!(error.cause(), format!("the input has {written} at record 1, lead 3, sample 7"));
        assert_eq!(error.remedy(), "give numbers up to 1e18");
    }
    assert!(classifier.run(&[1e18; 12 * 50], 1, 50).is_ok());
}

#[test]
fn weights_that_overflow_are_refused() {
    let file = WeightsFile::random(&model_card_55k()).with_values("classifier.weight", |values| values.fill(3e38));
    let classifier = Classifier::open(file.read().unwrap(), Device::Cpu).unwrap();
    let error = classifier.classify(&recording(1, 10.0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Weights);
    assert!(error.cause().contains("its numbers grew too large"), "{error}");
    assert_eq!(classifier.run(&input(1, 100), 1, 100).unwrap_err().kind(), ErrorKind::Weights);
}

/// Opens a GPU in f16, or nothing where there is none.
fn in_f16(weights: Weights) -> Option<Classifier> {
    let gpu = has_gpu().then(|| backend::gpu::open_gpu(&Device::Gpu).unwrap()).flatten()?;
    Some(Classifier::on(weights, Box::new(gpu.with_precision(Precision::F16))).unwrap())
}

#[test]
fn only_the_records_that_overflow_f16_are_refused() {
    let Some(classifier) = in_f16(Weights::built_in().unwrap()) else { return };
    // A hundred volts are finite in f32 and exceed 65504 after the first layer.
    let mut three = vec![recording(1, 10.0), recording(2, 10.0), recording(3, 10.0)];
    let leads = three[1].leads().map(|(lead, samples)| (lead, samples.iter().map(|x| x * 1e5).collect()));
    three[1] = Recording::new("huge", 500.0, leads.collect()).unwrap();
    for _ in 0..2 {
        let results = classifier.classify_batch(&three);
        let refused = results[1].as_ref().unwrap_err();
        assert!(refused.cause().contains("grew beyond 65504, where f16 ends"), "{refused}");
        assert_eq!((refused.remedy(), refused.hint()), ("run it in f32", Some(Hint::UseF32)));
        assert_eq!(results[0], classifier.classify(&three[0]));
        assert_eq!(results[2], classifier.classify(&three[2]));
    }
    let in_f32 = Classifier::open(Weights::built_in().unwrap(), Device::Gpu).unwrap();
    assert!(in_f32.classify(&three[1]).is_ok());
    let huge = [vec![0.0; 12 * 50], vec![1e7; 12 * 50]].concat();
    assert!(classifier.run(&huge, 2, 50).is_err() && classifier.run(&huge[..600], 1, 50).is_ok());
}

#[test]
fn a_weight_beyond_f16_is_refused() {
    let file = WeightsFile::random(&model_card_55k()).with_values("encoder.4.weight", |values| values[7] = 1e6);
    let Some(classifier) = in_f16(file.read().unwrap()) else { return };
    let error = classifier.classify(&recording(1, 10.0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Weights);
    assert!(error.cause().contains("and f16 ends at 65504"), "{error}");
    assert_eq!((error.remedy(), error.hint()), ("run it in f32", Some(Hint::UseF32)));
}

#[test]
fn an_index_outside_the_output_gives_a_prediction_without_labels() {
    let classifier = classifier();
    let output = classifier.run(&input(2, 50), 2, 50).unwrap();
    assert_eq!(classifier.interpret(&output, 1, 2).logits, output.logits[5..]);
    for (output, index, batch) in [(&Output::default(), 0, 1), (&output, 2, 2), (&output, 0, 0), (&output, 0, 99)] {
        assert!(classifier.interpret(output, index, batch).labels.is_empty(), "{index} of {batch}");
    }
}

#[test]
fn the_public_types_are_send_and_sync() {
    fn crosses<T: Send + Sync + 'static>() {}
    crosses::<Classifier>();
    crosses::<Weights>();
    crosses::<Device>();
    crosses::<Recording>();
    crosses::<Prediction>();
    crosses::<Error>();
    fn is_send(_: &impl Send) {}
    let classifier = classifier();
    is_send(&classifier.classify_async(recording(1, 1.0)));
    is_send(&classifier.run_async(Vec::new(), 1, 1));
    is_send(&Classifier::open_async(Weights::built_in().unwrap(), Device::Auto));
}

#[test]
fn threads_that_share_a_classifier_get_the_same_bits() {
    let classifier = classifier();
    let recordings: Vec<Recording> = (0..4).map(|seed| recording(seed, 5.0 + seed as f64)).collect();
    let expected = classifier.classify_batch(&recordings);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for (recording, expected) in recordings.iter().zip(&expected) {
                    assert_eq!(&classifier.classify(recording), expected);
                }
            });
        }
    });
}

/// Polls all futures until the last one is done.
async fn all<'a, T>(mut futures: Vec<Pin<Box<dyn Future<Output = T> + 'a>>>) -> Vec<T> {
    let mut done: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    poll_fn(move |context| {
        for (future, done) in futures.iter_mut().zip(&mut done) {
            if done.is_none()
                && let Poll::Ready(value) = future.as_mut().poll(context)
            {
                *done = Some(value);
            }
        }
        let ready = done.iter().all(Option::is_some);
        if ready { Poll::Ready(done.drain(..).flatten().collect()) } else { Poll::Pending }
    })
    .await
}

#[test]
fn several_futures_are_in_flight_at_once() {
    let weights = Weights::built_in().unwrap();
    let classifier = pollster::block_on(Classifier::open_async(weights, Device::Cpu)).unwrap();
    let recordings: Vec<Recording> = (0..6).map(|seed| recording(seed, 10.0)).collect();
    let futures =
        recordings.iter().map(|recording| Box::pin(classifier.classify_async(recording.clone())) as Pin<Box<_>>);
    let predictions = pollster::block_on(all(futures.collect()));
    assert_eq!(predictions, classifier.classify_batch(&recordings));
    drop(classifier.classify_async(recordings[0].clone()));
    let run = pollster::block_on(classifier.run_async(input(2, 100), 2, 100));
    assert_eq!(run, classifier.run(&input(2, 100), 2, 100));
    let refused = pollster::block_on(classifier.run_async(vec![0.0; 5], 1, 1)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Shape);
}

fn assert_close(ours: &[f32], theirs: &[f32]) {
    let largest = theirs.iter().fold(1f32, |largest, x| largest.max(x.abs()));
    assert!(ours.iter().zip(theirs).all(|(x, y)| (x - y).abs() <= 1e-5 * largest), "{ours:?} for {theirs:?}");
}

#[test]
fn a_device_that_is_lost_is_an_error_with_a_remedy() {
    let Some((device, queue)) = host_device(128 << 20) else { return };
    let classifier =
        Classifier::on(Weights::built_in().unwrap(), Box::new(Gpu::from_host(device.clone(), queue))).unwrap();
    let (numbers, other_length) = (input(1, 250), input(1, 300));
    assert!(classifier.run(&numbers, 1, 250).is_ok());
    device.destroy();
    // One shape is prepared already, and the other is not.
    for (numbers, samples) in [(&numbers, 250), (&other_length, 300)] {
        let error = classifier.run(numbers, 1, samples).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Device);
        assert!(error.remedy().contains("open the classifier again"), "{error}");
    }
}

#[test]
fn a_wgpu_device_of_the_application_gives_the_logits_of_the_cpu() {
    let Some((device, queue)) = host_device(128 << 20) else { return };
    let host = Classifier::on(Weights::built_in().unwrap(), Box::new(Gpu::from_host(device, queue))).unwrap();
    let [ours, theirs] = [&host, &classifier()].map(|classifier| classifier.classify(&recording(1, 10.0)).unwrap());
    assert_close(&ours.logits, &theirs.logits);
    assert_close(&ours.embedding, &theirs.embedding);
}

/// The third convolution's output of 128 channels and 125 samples has 64 kB per record, so that 256 KiB hold four
/// records.
#[test]
fn a_batch_above_the_limit_of_the_device_is_split() {
    let Some((device, queue)) = host_device(256 << 10) else { return };
    let weights = WeightsFile::random(&model_card_55k()).read().unwrap();
    let classifier = Classifier::on(weights, Box::new(Gpu::from_host(device, queue))).unwrap();
    let numbers = input(11, 500);
    let together = classifier.run(&numbers, 11, 500).unwrap();
    let mut alone = Output::default();
    for record in numbers.chunks(12 * 500) {
        let output = classifier.run(record, 1, 500).unwrap();
        alone.logits.extend(output.logits);
        alone.embedding.extend(output.embedding);
    }
    assert_close(&together.logits, &alone.logits);
    assert_close(&together.embedding, &alone.embedding);
    let error = classifier.run(&input(1, 3000), 1, 3000).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Shape);
    assert!(error.cause().contains("encoder.8 of one record would take 385"), "{error}");
    assert!(classifier.run(&numbers, 11, 500).is_ok(), "a refusal leaves the classifier as it was");
}

#[test]
fn a_gpu_is_shared_between_threads() {
    if !has_gpu() {
        return;
    }
    let classifier = Classifier::open(Weights::built_in().unwrap(), Device::Gpu).unwrap();
    let expected = classifier.classify(&recording(1, 10.0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(classifier.classify(&recording(1, 10.0)), expected));
        }
    });
}

/// A CPU that runs at most two records at once.
struct TwoAtOnce(Cpu);

impl Backend for TwoAtOnce {
    fn info(&self) -> DeviceInfo {
        self.0.info()
    }

    fn largest_batch(&self, _: &Plan) -> ecgpu::Result<usize> {
        Ok(2)
    }

    fn prepare(&self, plan: &Plan) -> ecgpu::Result<Box<dyn Executor>> {
        self.0.prepare(plan)
    }
}

#[test]
fn the_callers_arrays_are_filled_also_where_a_batch_is_divided() {
    let backend = Box::new(TwoAtOnce(Cpu::default()));
    let divided = Classifier::on(Weights::built_in().unwrap(), backend).unwrap();
    let (input, mut logits, mut embedding) = (input(5, 200), vec![0.0; 5 * 5], vec![0.0; 5 * 256]);
    divided.run_into(&input, 5, 200, &mut logits, Some(&mut embedding)).unwrap();
    let expected = classifier().run(&input, 5, 200).unwrap();
    let differ = |a: &[f32], b: &[f32]| a.iter().zip(b).any(|(a, b)| (a - b).abs() > 1e-5);
    assert!(!differ(&logits, &expected.logits) && !differ(&embedding, &expected.embedding));
}
