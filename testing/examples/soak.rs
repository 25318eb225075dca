//! Classifies, or trains, for a long time on one device, and ends with an error if a result changes its bits or memory grows.
//!
//!     cargo run --release -p ecgpu-testing --example soak -- DEVICE classify|train SECONDS
//!     cargo run --release -p ecgpu-testing --example soak -- gpu classify 1800

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use ecgpu::{
    Classifier, Device, Result, Weights,
    ecg::{Condition, synthesize},
    engine::{
        backend,
        kernels::training::{Schedule, SupervisedLossKind},
        network::published::model_card_55k,
        random::Random,
    },
    train::{Objective, Optimiser, TrainingStep},
};

/// How much more memory the second half of the time may take than the first. Allocators and drivers keep some of what they once had.
const LARGEST_GROWTH: f64 = 1.05;
/// Steps of a training that begins anew each time, so that its results can be compared.
const STEPS: u32 = 20;

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [device, work, seconds] = &arguments[..] else { return Ok(usage()) };
    let (Ok(device), Ok(seconds)) = (device.parse::<Device>(), seconds.parse()) else { return Ok(usage()) };
    let limit = Duration::from_secs(seconds);
    match work.as_str() {
        "classify" => soak(limit, classify(device)?),
        "train" => soak(limit, train(&device)?),
        _ => Ok(usage()),
    }
}

fn usage() -> ExitCode {
    eprintln!("soak DEVICE classify|train SECONDS");
    ExitCode::from(2)
}

/// Repeats work until the time has passed, and compares the memory of the second half with that of the first.
fn soak(limit: Duration, mut work: impl FnMut() -> Result<Vec<u32>>) -> Result<ExitCode> {
    let (start, first) = (Instant::now(), work()?);
    let (mut rounds, mut shown, mut largest) = (1u64, Duration::ZERO, [0; 2]);
    while start.elapsed() < limit {
        rounds += 1;
        if work()? != first {
            eprintln!("round {rounds} has other bits than the first");
            return Ok(ExitCode::FAILURE);
        }
        let (time, memory) = (start.elapsed(), resident_kilobytes());
        let of_half = &mut largest[usize::from(time > limit / 2)];
        *of_half = memory.max(*of_half);
        if time - shown > limit / 20 {
            shown = time;
            println!("{:6.0} s, {rounds} rounds, {memory} kB", time.as_secs_f64());
        }
    }
    let [before, after] = largest;
    println!(
        "{rounds} rounds with the same bits; at most {before} kB in the first half of the time, {after} kB in the second"
    );
    let grows = after as f64 > before as f64 * LARGEST_GROWTH;
    Ok(if grows { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Returns the memory of this process that is in use, on Linux; 0 elsewhere.
fn resident_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Classifies recordings of several lengths and rates one by one and in a batch.
fn classify(device: Device) -> Result<impl FnMut() -> Result<Vec<u32>>> {
    let classifier = Classifier::open(Weights::built_in()?, device)?;
    let rates = [(100.0, 10.0), (500.0, 10.0), (250.0, 7.3)];
    let recordings = rates.map(|(rate, seconds)| synthesize(Condition::MiAnterior, 1, rate, seconds));
    let recordings = recordings.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(move || {
        let mut bits = Vec::new();
        for recording in &recordings {
            bits.extend(classifier.classify(recording)?.logits.iter().map(|logit| logit.to_bits()));
        }
        Ok(bits)
    })
}

/// Trains a small network for some steps from the beginning.
fn train(device: &Device) -> Result<impl FnMut() -> Result<Vec<u32>>> {
    let objective = Objective::Supervised { loss: SupervisedLossKind::FOCAL, class_weights: vec![1.0; 5] };
    let network = model_card_55k();
    let parameters = TrainingStep::initial(&network, &objective, 1);
    let step = TrainingStep::new(&network, &objective, &Optimiser::default(), &parameters, [16, 250], None)?;
    let backend = backend::open(device, None)?;
    let mut random = Random::new(1, 0);
    let length = |at: usize| step.plan.buffers[step.plan.inputs[at]].len();
    let records: Vec<f32> = (0..length(0)).map(|_| random.normal() as f32).collect();
    let labels: Vec<f32> = (0..length(2)).map(|label| f32::from(label % 3 == 0)).collect();
    Ok(move || {
        let mut trainer = backend.prepare_training(&step.plan)?;
        let mut outputs = Vec::new();
        for number in 0..STEPS {
            let corrections = [0.9f64, 0.999].map(|beta| 1.0 - beta.powi(number as i32 + 1));
            let schedule = Schedule {
                step: number,
                learning_rate: 1e-3,
                corrections,
                target_momentum: 0.0,
                accumulate: [0.0, 1.0],
                average_decay: 1.0,
            };
            trainer.run(&[&records, &schedule.numbers(), &labels], &mut outputs)?;
        }
        Ok(trainer.state(step.trained)?.iter().map(|number| number.to_bits()).collect())
    })
}
