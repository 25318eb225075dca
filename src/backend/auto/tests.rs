//! Tests of the choice between two devices, with fake devices whose speed, results and failures the test sets.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use super::*;
use crate::{
    ErrorKind,
    kernels::Storage,
    network::{Folded, FoldedLayer, FoldedOperation, Layer, NamedLayer, Network},
    plan::Keep,
};

const FAST: Duration = Duration::from_millis(1);
const MIDDLE: Duration = Duration::from_millis(10);
/// Slow enough to end a trial against [`MIDDLE`] early.
const SLOW: Duration = Duration::from_millis(400);

/// A fake device: its runs take the time `running`, and every output is `answer` plus the input's first number.
#[derive(Clone)]
struct Fake {
    name: &'static str,
    opening: Duration,
    preparing: Duration,
    running: Duration,
    /// The time of the first runs, as of a GPU whose clock is low, and how many they are.
    at_first: (usize, Duration),
    answer: f32,
    largest_batch: usize,
    fails: Fails,
    prepared: Arc<AtomicUsize>,
    runs: Arc<AtomicUsize>,
    streams: Arc<AtomicUsize>,
}

#[derive(Clone, Copy, PartialEq)]
enum Fails {
    Never,
    Opening,
    Preparing,
    /// Panics, as wgpu does for some errors.
    PreparingWithPanic,
    /// Every run from this one on fails; the first run is 0.
    Run(usize),
}

impl Fake {
    fn new(name: &'static str, running: Duration) -> Self {
        Self {
            name,
            opening: Duration::ZERO,
            preparing: Duration::ZERO,
            running,
            at_first: (0, running),
            answer: 0.5,
            largest_batch: 8,
            fails: Fails::Never,
            prepared: Arc::default(),
            runs: Arc::default(),
            streams: Arc::default(),
        }
    }

    fn cpu() -> Self {
        Self { largest_batch: 100, ..Self::new("cpu", MIDDLE) }
    }

    fn gpu(running: Duration) -> Self {
        Self::new("gpu", running)
    }

    fn failing(self, fails: Fails) -> Self {
        Self { fails, ..self }
    }

    /// Makes an [`Auto`] of a fake CPU and this GPU, which is not warmed up and has one trial, so that its runs are known.
    fn auto(&self) -> Auto {
        self.auto_with_trials(Duration::ZERO, usize::MAX)
    }

    fn auto_with_trials(&self, warm_up: Duration, until_next_trial: usize) -> Auto {
        let gpu = self.clone();
        let open = move || {
            sleep(gpu.opening);
            if gpu.fails == Fails::Opening {
                return Err(broken("opening"));
            }
            Ok(Some(Box::new(gpu.clone()) as Box<dyn Backend>))
        };
        Auto::with_trials(Box::new(Fake::cpu()), open, warm_up, until_next_trial)
    }
}

fn broken(what: &str) -> Error {
    Error::new(ErrorKind::Device, format!("{what} failed"), "on purpose")
}

impl Backend for Fake {
    fn info(&self) -> DeviceInfo {
        DeviceInfo { name: self.name.into(), backend: self.name.into(), storage: Storage::F32 }
    }

    fn largest_batch(&self, _: &Plan) -> Result<usize> {
        Ok(self.largest_batch)
    }

    fn prepare(&self, plan: &Plan) -> Result<Box<dyn Executor>> {
        self.prepared.fetch_add(1, SeqCst);
        sleep(self.preparing);
        match self.fails {
            Fails::Preparing => Err(broken("preparing")),
            Fails::PreparingWithPanic => std::panic::resume_unwind(Box::new("on purpose")),
            _ if plan.batch > self.largest_batch => Err(Error::new(ErrorKind::Shape, "too large", "on purpose")),
            _ => Ok(Box::new(self.clone())),
        }
    }

    fn prepare_training(&self, plan: &Plan) -> Result<Box<dyn crate::backend::Trainer>> {
        crate::backend::reference::Reference.prepare_training(plan)
    }
}

impl Executor for Fake {
    fn run(&mut self, input: &[f32], outputs: &mut Vec<Vec<f32>>) -> Result<()> {
        let run = self.runs.fetch_add(1, SeqCst);
        let (first, slow) = self.at_first;
        sleep(if run < first { slow } else { self.running });
        *outputs = vec![vec![self.answer + input[0]]; 2];
        match self.fails {
            Fails::Run(from) if run >= from => Err(broken("running")),
            _ => Ok(()),
        }
    }

    /// Takes the next input before it computes the previous one, as a GPU does.
    fn stream<'a>(
        &mut self,
        inputs: &mut dyn Iterator<Item = Cow<'a, [f32]>>,
        each: &mut dyn FnMut(&[Vec<f32>], &DeviceInfo),
    ) -> Result<()> {
        self.streams.fetch_add(1, SeqCst);
        let (mut outputs, mut next) = (Vec::new(), inputs.next());
        while let Some(input) = next {
            next = inputs.next();
            self.run(&input, &mut outputs)?;
            each(&outputs, &self.device());
        }
        Ok(())
    }

    fn device(&self) -> DeviceInfo {
        self.info()
    }

    fn profile(&mut self, _: &[f32]) -> Result<Vec<Duration>> {
        Ok(vec![self.running])
    }
}

/// Makes a plan of one linear layer. The fake devices only read its batch size.
fn plan(batch: usize) -> Plan {
    let operation =
        FoldedOperation::Linear { in_features: 1, out_features: 1, weight: [1.0].into(), bias: [0.0].into() };
    let named = |name: &str, layer| NamedLayer { name: name.into(), layer };
    let layers = vec![
        named("pool", Layer::GlobalAveragePool),
        named("linear", Layer::Linear { in_features: 1, out_features: 1 }),
    ];
    let folded = |name: &str, last_layer, operation| FoldedLayer { name: name.into(), last_layer, operation };
    let network = Network { name: "tiny".into(), layers, embedding: 0 };
    let layers = vec![folded("pool", 0, FoldedOperation::GlobalAveragePool), folded("linear", 1, operation)];
    Plan::new(&Folded { network, layers }, batch, 1, Keep::Results).unwrap()
}

/// A plan prepared on an [`Auto`].
struct Session<'a> {
    auto: &'a Auto,
    executor: Box<dyn Executor>,
    input: Vec<f32>,
}

impl<'a> Session<'a> {
    fn new(auto: &'a Auto, batch: usize) -> Self {
        Self { auto, executor: auto.prepare(&plan(batch)).unwrap(), input: vec![0.0; batch] }
    }

    /// Runs the plan once and returns the name of the device that computed it.
    fn run(&mut self) -> String {
        let mut outputs = Vec::new();
        self.executor.run(&self.input, &mut outputs).unwrap();
        assert_eq!(outputs, [[0.5], [0.5]]);
        self.auto.info().name
    }

    /// Runs the plan until `done`, and returns the name of the device of every run.
    fn run_until(&mut self, mut done: impl FnMut(&str) -> bool) -> Vec<String> {
        let (start, mut answers) = (Instant::now(), Vec::new());
        loop {
            answers.push(self.run());
            if done(&answers[answers.len() - 1]) {
                return answers;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "timed out: {answers:?}");
        }
    }

    /// Checks that all further runs are computed by one device.
    fn assert_stays_on(&mut self, name: &str) {
        assert!((0..20).all(|_| self.run() == name));
    }

    /// Runs the plan until the GPU has won the trial, and then another plan on the CPU, so that the last run was on the CPU.
    fn until_gpu_won(auto: &'a Auto, gpu: &Fake) -> Self {
        let mut session = Self::new(auto, 1);
        session.run_until(|_| gpu.runs.load(SeqCst) == RUNS_TO_WIN);
        assert_eq!(Self::new(auto, 2).run(), "cpu");
        session
    }

    /// Streams inputs with these lengths that begin with 0, 1, 2 and so on. Returns the device and the number of every
    /// answer, the outcome, and how often the iterator was asked for an input.
    fn stream(&mut self, lengths: &[usize]) -> (Vec<(String, f32)>, Result<()>, usize) {
        let (mut answers, mut taken) = (Vec::new(), 0);
        let inputs: Vec<Vec<f32>> = lengths.iter().zip(0..).map(|(&length, at)| vec![at as f32; length]).collect();
        let mut inputs_once = std::iter::from_fn(|| {
            assert!(taken <= inputs.len(), "the iterator is asked again after its end");
            taken += 1;
            inputs.get(taken - 1).map(Cow::from)
        });
        let outcome = self.executor.stream(&mut inputs_once, &mut |outputs, device| {
            assert_eq!(outputs[0], outputs[1]);
            answers.push((device.name.clone(), outputs[0][0] - 0.5));
        });
        (answers, outcome, taken)
    }
}

/// The GPU's runs after which it has won: one in the background, three in the trial.
const RUNS_TO_WIN: usize = 4;

/// The answers 0, 1, 2 and so on, each by the device of this name.
fn answers(names: &[&str]) -> Vec<(String, f32)> {
    names.iter().zip(0..).map(|(name, at)| (name.to_string(), at as f32)).collect()
}

/// The error of an input that is too long.
fn refusal() -> Error {
    let mut executor = crate::backend::reference::Reference.prepare(&plan(1)).unwrap();
    executor.run(&[0.0; 2], &mut Vec::new()).unwrap_err()
}

#[test]
fn the_cpu_answers_until_the_faster_gpu_is_ready() {
    let gpu = Fake { opening: SLOW, preparing: SLOW, ..Fake::gpu(FAST) };
    let auto = gpu.auto();
    let mut session = Session::new(&auto, 1);
    let start = Instant::now();
    assert_eq!([session.run(), session.run()], ["cpu", "cpu"]);
    assert!(start.elapsed() < SLOW, "{:?}", start.elapsed());
    let answers = session.run_until(|name| name == "gpu");
    assert!(answers.len() > 10, "the CPU answered until then: {answers:?}");
    session.assert_stays_on("gpu");
    assert_eq!(auto.fault(), None);
}

#[test]
fn the_first_run_of_a_plan_opens_no_gpu() {
    let gpu = Fake::gpu(FAST).failing(Fails::Opening);
    let auto = gpu.auto();
    let mut sessions: Vec<_> = (1..4).map(|batch| Session::new(&auto, batch)).collect();
    assert!(sessions.iter_mut().all(|session| session.run() == "cpu"));
    sleep(MIDDLE);
    assert_eq!(auto.fault(), None);
}

#[test]
fn a_slower_gpu_does_not_take_over() {
    for (running, trial_runs) in [(2 * MIDDLE, 3), (SLOW, 1)] {
        let gpu = Fake::gpu(running);
        let auto = gpu.auto();
        let mut session = Session::new(&auto, 1);
        // One run in the background, then those of the trial.
        session.run_until(|_| gpu.runs.load(SeqCst) == 1 + trial_runs);
        session.assert_stays_on("cpu");
        assert_eq!((gpu.runs.load(SeqCst), auto.fault()), (1 + trial_runs, None));
    }
}

#[test]
fn a_gpu_is_warm_before_it_is_timed() {
    // Its first runs would lose the trial.
    let gpu = Fake { at_first: (5, 2 * MIDDLE), ..Fake::gpu(FAST) };
    let auto = gpu.auto_with_trials(WARM_UP * 4, usize::MAX);
    let mut session = Session::new(&auto, 1);
    let answers = session.run_until(|name| name == "gpu");
    assert!(gpu.runs.load(SeqCst) > 5, "{answers:?}");
    session.assert_stays_on("gpu");
}

#[test]
fn a_gpu_that_was_slow_once_gets_another_trial() {
    let gpu = Fake { at_first: (20, 2 * MIDDLE), ..Fake::gpu(FAST) };
    let auto = gpu.auto_with_trials(Duration::ZERO, 2);
    let mut session = Session::new(&auto, 1);
    // Each trial that it loses takes four of its runs, and the pauses between them double.
    session.run_until(|_| gpu.runs.load(SeqCst) > 24);
    session.run_until(|name| name == "gpu");
    session.assert_stays_on("gpu");
    // A new executor begins with what the last trial decided.
    let mut again = Session::new(&auto, 1);
    assert!(again.run_until(|name| name == "gpu").len() < 20);
}

#[test]
fn each_shape_has_its_own_trial_whose_verdict_is_kept() {
    let gpu = Fake::gpu(FAST);
    let auto = gpu.auto();
    Session::new(&auto, 1).run_until(|name| name == "gpu");
    let mut other = Session::new(&auto, 2);
    assert_eq!([other.run(), other.run()], ["cpu", "cpu"]);
    other.run_until(|name| name == "gpu");
    let runs = gpu.runs.load(SeqCst);
    // A new executor for a measured shape needs no second trial: one run in the background, then the answers.
    let mut again = Session::new(&auto, 1);
    let answers = again.run_until(|name| name == "gpu");
    assert!(answers.len() < 20, "{answers:?}");
    assert_eq!(gpu.runs.load(SeqCst), runs + 2);
    let slow = Fake::gpu(SLOW);
    let auto = slow.auto();
    Session::new(&auto, 1).run_until(|_| slow.runs.load(SeqCst) == 2);
    Session::new(&auto, 1).assert_stays_on("cpu");
    assert_eq!(slow.prepared.load(SeqCst), 1);
}

#[test]
fn a_gpu_that_fails_is_ruled_out_with_its_error_and_the_cpu_answers() {
    for (fails, reason) in [
        (Fails::Opening, "opening failed"),
        (Fails::Preparing, "preparing failed"),
        (Fails::PreparingWithPanic, "preparing the GPU panicked"),
        (Fails::Run(0), "running failed"),
        // During the trial, and after it.
        (Fails::Run(2), "running failed"),
        (Fails::Run(6), "running failed"),
    ] {
        let gpu = Fake::gpu(FAST).failing(fails);
        let auto = gpu.auto();
        let mut session = Session::new(&auto, 1);
        session.run_until(|_| auto.fault().is_some());
        session.assert_stays_on("cpu");
        assert_eq!(auto.fault().unwrap().cause(), reason);
        Session::new(&auto, 2).assert_stays_on("cpu");
        assert!(gpu.prepared.load(SeqCst) <= 1, "the GPU is used for no other shape");
    }
}

#[test]
fn a_gpu_that_wins_during_a_stream_computes_the_rest() {
    let gpu = Fake::gpu(FAST);
    let auto = gpu.auto();
    let (answers, outcome, taken) = Session::new(&auto, 1).stream(&[1; 50]);
    assert_eq!((outcome, taken), (Ok(()), 51));
    assert!(answers.iter().map(|(_, number)| *number).eq((0..50).map(|at| at as f32)), "{answers:?}");
    assert_eq!((&*answers[0].0, &*answers[49].0), ("cpu", "gpu"));
    assert_eq!(gpu.runs.load(SeqCst), 1 + answers.iter().filter(|(name, _)| name == "gpu").count());
    assert_eq!(gpu.streams.load(SeqCst), 1, "the inputs after the trial are streamed");
}

#[test]
fn the_cpu_answers_the_rest_of_a_stream_in_which_the_gpu_fails() {
    for answered in 0..5 {
        let gpu = Fake::gpu(FAST).failing(Fails::Run(RUNS_TO_WIN + answered));
        let auto = gpu.auto();
        let mut session = Session::until_gpu_won(&auto, &gpu);
        let mut names = ["cpu"; 5];
        names[..answered].fill("gpu");
        assert_eq!(session.stream(&[1; 5]), (answers(&names), Ok(()), 6));
        assert_eq!(auto.fault().unwrap().cause(), "running failed");
        session.assert_stays_on("cpu");
        assert_eq!(gpu.runs.load(SeqCst), RUNS_TO_WIN + answered + 1, "the GPU is not used again");
    }
}

#[test]
fn an_invalid_input_ends_a_stream_and_does_not_rule_the_gpu_out() {
    for place in 0..4 {
        let gpu = Fake::gpu(FAST);
        let auto = gpu.auto();
        let mut session = Session::until_gpu_won(&auto, &gpu);
        let mut lengths = [1; 5];
        lengths[place] = 2;
        assert_eq!(session.stream(&lengths), (answers(&["gpu"; 4][..place]), Err(refusal()), place + 1));
        assert_eq!(auto.fault(), None);
        session.assert_stays_on("gpu");
    }
}

#[test]
fn a_gpu_that_fails_in_a_stream_with_an_invalid_input_is_ruled_out() {
    let gpu = Fake::gpu(FAST).failing(Fails::Run(RUNS_TO_WIN + 1));
    let auto = gpu.auto();
    let mut session = Session::until_gpu_won(&auto, &gpu);
    // The GPU fails on input 1, after it has taken input 2, the invalid one.
    assert_eq!(session.stream(&[1, 1, 2, 1]), (answers(&["gpu", "cpu"]), Err(refusal()), 3));
    assert_eq!(auto.fault().unwrap().cause(), "running failed");
    session.assert_stays_on("cpu");
}

#[test]
fn a_gpu_with_wrong_outputs_is_ruled_out() {
    for answer in [0.49, -0.5, f32::NAN] {
        let auto = Fake { answer, ..Fake::gpu(FAST) }.auto();
        let mut session = Session::new(&auto, 1);
        session.run_until(|_| auto.fault().is_some());
        session.assert_stays_on("cpu");
        assert_eq!(auto.fault().unwrap().kind(), ErrorKind::Parity);
    }
    // An error of half precision is accepted.
    let auto = Fake { answer: 0.5002, ..Fake::gpu(SLOW) }.auto();
    let mut session = Session::new(&auto, 1);
    session.run();
    session.run();
    sleep(2 * SLOW);
    assert_eq!(auto.fault(), None);
}

#[test]
fn a_batch_that_is_too_large_for_the_gpu_stays_on_the_cpu() {
    let gpu = Fake::gpu(FAST);
    let auto = gpu.auto();
    assert_eq!(auto.largest_batch(&plan(1)), Ok(100), "the GPU is not open yet");
    let mut session = Session::new(&auto, 9);
    session.run_until(|_| gpu.prepared.load(SeqCst) == 1);
    session.assert_stays_on("cpu");
    assert_eq!(auto.fault(), None, "too large a batch is no fault");
    assert_eq!(auto.largest_batch(&plan(1)), Ok(8), "the GPU is open and limits the batch");
    Session::new(&auto, 8).run_until(|name| name == "gpu");
}

#[test]
fn without_a_gpu_the_cpu_answers_without_a_fault() {
    let auto = Auto::new(Box::new(Fake::cpu()), || Ok(None));
    Session::new(&auto, 1).assert_stays_on("cpu");
    assert_eq!((auto.fault(), auto.largest_batch(&plan(1))), (None, Ok(100)));
}

#[test]
fn dropping_waits_for_the_driver_but_not_for_queued_jobs() {
    let gpu = Fake { preparing: SLOW, ..Fake::gpu(FAST) };
    let auto = gpu.auto();
    let mut sessions: Vec<_> = (1..=8).map(|batch| Session::new(&auto, batch)).collect();
    for session in &mut sessions {
        assert_eq!([session.run(), session.run()], ["cpu", "cpu"]);
    }
    let executors: Vec<_> = sessions.into_iter().map(|session| session.executor).collect();
    let start = Instant::now();
    drop(auto);
    assert!(start.elapsed() < 2 * SLOW, "{:?}", start.elapsed());
    let prepared = gpu.prepared.load(SeqCst);
    assert!(prepared < 3, "{prepared} queued shapes were prepared");
    // An executor that outlives its backend still runs.
    for (batch, mut executor) in (1..).zip(executors) {
        executor.run(&vec![0.0; batch], &mut Vec::new()).unwrap();
    }
    assert_eq!(gpu.prepared.load(SeqCst), prepared);
    assert_eq!(Arc::strong_count(&gpu.prepared), 1, "the thread has ended, and the GPU is closed");
}
