//! A driver that fails at any call gives an error, never a panic, a hang or a wrong answer.
//!
//! A Vulkan layer over the real driver does the failing, in a process of its own.
#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use ecgpu::{
    Classifier, Device, Error, ErrorKind, Weights,
    ecg::{Condition, synthesize},
    engine::backend::{
        self, Auto, Backend,
        gpu::{Adapter, adapters, open_gpu},
    },
    engine::kernels::training::SupervisedLossKind,
    engine::network::published::model_card_55k,
    engine::random::Random,
    train::{Objective, Optimiser, TrainingStep},
};
use ecgpu_testing::{
    nmse,
    vulkan_layer::{
        COMPILATION_FAILED, Calls, DEVICE_LOST, FOR_EVER, OUT_OF_MEMORY, Strike, TIMEOUT, claim_conformance, count,
        run_with_layer, strike,
    },
};

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

#[test]
fn a_device_that_takes_long_is_waited_for() {
    run_with_layer("finishes_late");
}

#[test]
fn faults_by_a_seeded_schedule_give_errors_while_a_program_classifies_streams_and_trains() {
    run_with_layer("schedule");
}

#[test]
fn auto_answers_whatever_happens_to_its_gpu() {
    run_with_layer("schedule_with_auto");
}

#[test]
fn a_wrong_result_is_noticed_when_a_shader_is_new_and_does_not_last_later() {
    run_with_layer("leaves_out_each_dispatch");
}

#[test]
fn a_driver_that_does_not_claim_to_conform_is_marked_and_used() {
    run_with_layer("does_not_conform");
}

fn open() -> Box<dyn Backend> {
    Box::new(open_gpu(&Device::Gpu).unwrap().unwrap())
}

/// The reference, which is slower than any GPU, and the GPU that replaces it.
fn auto() -> Box<dyn Backend> {
    Box::new(Auto::new(backend::open(&Device::Reference, None).unwrap(), || Ok(Some(open()))))
}

fn classifier(backend: Box<dyn Backend>) -> Classifier {
    Classifier::on(Weights::built_in().unwrap(), backend).unwrap()
}

fn inputs(count: usize) -> Vec<Vec<f32>> {
    let mut random = Random::new(5, 0);
    (0..count).map(|_| (0..12 * 100).map(|_| random.normal() as f32).collect()).collect()
}

fn fail_from(after: usize, result: i32) {
    strike(Some(Strike { calls: Calls::Running, after, times: FOR_EVER, result }));
}

/// Fails at the first call of a run, then at the second, and so on until a run makes no more calls.
#[test]
#[ignore = "runs with the Vulkan layer"]
fn fails_at_every_call() {
    let input = &inputs(1)[0];
    for result in [DEVICE_LOST, OUT_OF_MEMORY] {
        let mut calls = 0;
        loop {
            let classifier = classifier(open());
            let expected = classifier.run(input, 1, 100).unwrap();
            fail_from(calls, result);
            let outcomes = [(); 2].map(|()| classifier.run(input, 1, 100));
            if strike(None) == 0 {
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
    let classifier = classifier(auto());
    let recording = synthesize(Condition::Norm, 1, 100.0, 2.0).unwrap();
    let first = classifier.classify(&recording).unwrap();
    let start = Instant::now();
    while classifier.classify(&recording).unwrap().device.backend == "reference" {
        assert!(start.elapsed() < Duration::from_secs(60), "the GPU is never used: {:?}", classifier.fault());
    }
    // The submission succeeds, and the wait for it fails.
    fail_from(1, DEVICE_LOST);
    let answered = classifier.classify(&recording).unwrap();
    assert_eq!(answered, first);
    assert_eq!(classifier.fault().map(|fault| fault.kind()), Some(ErrorKind::Device));
}

/// The layer answers at once that the time is over, and ends the process at a wait without a limit.
#[test]
#[ignore = "runs with the Vulkan layer"]
fn never_finishes() {
    let classifier = classifier(open());
    let input = &inputs(1)[0];
    classifier.run(input, 1, 100).unwrap();
    fail_from(0, TIMEOUT);
    let error = classifier.run(input, 1, 100).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Device);
    assert!(error.cause().contains("did not finish in time"), "{error}");
    assert_eq!(classifier.run(input, 1, 100), Err(error), "the device is not used any more");
    // A device that hangs must not keep the program that closes it.
    drop(classifier);
    strike(None);
}

/// A device that is busy for many seconds, by the layer's clock.
#[test]
#[ignore = "runs with the Vulkan layer"]
fn finishes_late() {
    let classifier = classifier(open());
    let input = &inputs(1)[0];
    let expected = classifier.run(input, 1, 100);
    strike(Some(Strike { calls: Calls::Running, after: 0, times: 60, result: TIMEOUT }));
    assert_eq!(classifier.run(input, 1, 100), expected);
    assert_eq!(strike(None), 60);
}

/// As Mesa's Dozen does not, which WSL has.
#[test]
#[ignore = "runs with the Vulkan layer"]
fn does_not_conform() {
    let conformant = |adapters: Vec<Adapter>| adapters.iter().map(|it| it.conformant).collect::<Vec<_>>();
    let before = conformant(adapters());
    assert!(before.iter().all(|&conformant| conformant));
    let (input, expected) = (&inputs(1)[0], classifier(open()).run(&inputs(1)[0], 1, 100));
    claim_conformance(false);
    assert_eq!(conformant(adapters()), vec![false; before.len()]);
    assert_eq!(classifier(open()).run(input, 1, 100), expected);
}

/// What a program does with a device.
#[derive(Debug, Clone, Copy)]
enum Work {
    Classify,
    Stream,
    Train,
}

/// The answers of one run.
type Answers = Result<Vec<Vec<f32>>, Error>;

/// Returns a function that does the work once. The device is prepared in the first run.
fn session(work: Work, backend: Box<dyn Backend>) -> Box<dyn FnMut() -> Answers> {
    match work {
        Work::Classify => {
            let (classifier, inputs) = (classifier(backend), inputs(1));
            Box::new(move || Ok(vec![classifier.run(&inputs[0], 1, 100)?.logits]))
        }
        Work::Stream => {
            let (classifier, inputs) = (classifier(backend), inputs(4));
            Box::new(move || {
                let outputs = classifier.run_many(inputs.iter().map(Vec::as_slice), 1, 100)?;
                Ok(outputs.into_iter().map(|output| output.logits).collect())
            })
        }
        Work::Train => {
            let loss = SupervisedLossKind::FOCAL;
            let objective = Objective::Supervised { loss, class_weights: vec![1.0; 5] };
            let (network, optimiser) = (model_card_55k(), Optimiser::default());
            let parameters = TrainingStep::initial(&network, &objective, 1);
            let plan = TrainingStep::new(&network, &objective, &optimiser, &parameters, [2, 100], None).unwrap().plan;
            let inputs: Vec<Vec<f32>> = plan.inputs.iter().map(|&id| vec![0.5; plan.buffers[id].len()]).collect();
            let mut trainer = None;
            Box::new(move || {
                let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
                let prepared = trainer.take().map_or_else(|| backend.prepare_training(&plan), Ok)?;
                let mut outputs = Vec::new();
                trainer.insert(prepared).run(&inputs, &mut outputs)?;
                Ok(outputs)
            })
        }
    }
}

/// How often the work is done in a story.
const RUNS: usize = 3;

/// The calls that a schedule strikes.
const STRUCK: [Calls; 3] = [Calls::Running, Calls::Allocating, Calls::Compiling];

/// The answers of a device that does not fail, and how many calls of each kind it takes to get them.
struct Faultless {
    answers: Vec<Vec<Vec<f32>>>,
    calls: [usize; 3],
}

impl Faultless {
    fn new(work: Work) -> Self {
        let (device, before) = (open(), STRUCK.map(count));
        let mut run = session(work, device);
        let answers = (0..RUNS).map(|_| run().unwrap()).collect();
        let mut calls = STRUCK.map(count);
        calls.iter_mut().zip(before).for_each(|(count, before)| *count -= before);
        Self { answers, calls }
    }

    /// Draws calls that fail.
    fn draw(&self, random: &mut Random) -> Strike {
        let kind = random.below(STRUCK.len());
        let results: &[i32] = match STRUCK[kind] {
            Calls::Running => &[DEVICE_LOST, OUT_OF_MEMORY, TIMEOUT],
            Calls::Allocating => &[OUT_OF_MEMORY],
            _ => &[COMPILATION_FAILED, OUT_OF_MEMORY],
        };
        Strike {
            calls: STRUCK[kind],
            after: random.below(self.calls[kind]),
            times: [1, 2, FOR_EVER][random.below(3)],
            result: results[random.below(results.len())],
        }
    }
}

fn assert_right(answers: &[Vec<f32>], expected: &[Vec<f32>]) {
    assert_eq!(answers.len(), expected.len());
    for (answer, expected) in answers.iter().zip(expected) {
        let error = nmse(answer, expected);
        assert!(error < 1e-8, "{error}");
    }
}

/// A run is right or an error of the device, and later runs are too.
#[test]
#[ignore = "runs with the Vulkan layer"]
fn schedule() {
    for (work, seeds) in [(Work::Classify, 20), (Work::Stream, 20), (Work::Train, 16)] {
        let faultless = Faultless::new(work);
        let mut struck = 0;
        for seed in 0..seeds {
            let drawn = faultless.draw(&mut Random::new(seed, work as u64));
            // The last line before a failure tells which it was.
            eprintln!("{work:?}, seed {seed}: {drawn:?}");
            let mut run = session(work, open());
            let start = Instant::now();
            strike(Some(drawn));
            // A step that failed has changed nothing and may be repeated.
            let mut expected = faultless.answers.iter().peekable();
            for _ in 0..RUNS {
                match run() {
                    Ok(answers) => assert_right(&answers, expected.next().unwrap()),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Device, "{error}"),
                }
            }
            drop(run);
            struck += strike(None).min(1);
            assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
        }
        assert!(struck > seeds as usize / 2, "{struck} of {seeds} stories had a fault");
    }
}

/// Every run is answered. The faults begin before the GPU is opened.
#[test]
#[ignore = "runs with the Vulkan layer"]
fn schedule_with_auto() {
    for (work, seeds) in [(Work::Classify, 5), (Work::Stream, 5)] {
        let faultless = Faultless::new(work);
        let mut struck = 0;
        for seed in 0..seeds {
            let drawn = faultless.draw(&mut Random::new(seed, 10 + work as u64));
            eprintln!("{work:?}, seed {seed}: {drawn:?}");
            strike(Some(drawn));
            let mut run = session(work, auto());
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(2) {
                assert_right(&run().unwrap(), &faultless.answers[0]);
            }
            drop(run);
            struck += strike(None).min(1);
        }
        // On a busy machine most stories end before the background thread has come so far.
        assert!(struck > 0, "no story had a fault");
    }
}

/// One dispatch after the other is left out once.
#[test]
#[ignore = "runs with the Vulkan layer"]
fn leaves_out_each_dispatch() {
    let expected = Faultless::new(Work::Classify).answers.remove(0);
    let device = open();
    let before = count(Calls::Dispatching);
    session(Work::Classify, device)().unwrap();
    // The comparison, the run and the next run, whose commands are recorded already, have the same dispatches.
    let dispatches = (count(Calls::Dispatching) - before) / 3;
    assert!(dispatches > 5, "{dispatches}");
    let mut noticed = 0;
    for after in 0..2 * dispatches {
        let mut run = session(Work::Classify, open());
        strike(Some(Strike { calls: Calls::Dispatching, after, times: 1, result: 0 }));
        let first = run();
        assert_eq!(strike(None), 1);
        match first {
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Parity, "{error}");
                noticed += 1;
            }
            // Only the first results of a shader are compared.
            Ok(answers) if after < dispatches => assert_right(&answers, &expected),
            Ok(_) => (),
        }
        assert_right(&run().unwrap(), &expected);
    }
    assert!(noticed > dispatches / 2, "{noticed} of {dispatches}");
}
