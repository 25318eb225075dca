//! What the programs for comparing ecgpu with other systems share: commands on standard input, JSON lines as answers.
//!
//! `PROGRAM card|full THREADS` reads `../golden/NETWORK.safetensors` and `../golden/NETWORK_io.safetensors`. Commands:
//! `logits`; `check`; `time BATCH SAMPLES WARMUP RUNS SECONDS`; with feature `train` also `train BATCH SAMPLES
//! SECONDS`. For comparing on one machine with systems that answer the same commands.

use std::{
    fs::File,
    io::{BufRead, Read, Seek, SeekFrom, Write},
    time::{Duration, Instant},
};

use ecgpu::{Classifier, Error, ErrorKind, Weights, engine::backend::Backend};
use safetensors::tensor::{Metadata, TensorInfo};
use serde_json::{Value, json};

pub type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

/// Answers commands until standard input ends. `open` makes the backend for a number of threads.
pub fn serve(open: impl FnOnce(Option<usize>) -> ecgpu::Result<Box<dyn Backend>>) -> Fallible<()> {
    let mut arguments = std::env::args().skip(1);
    let network = arguments.next().unwrap_or_default();
    if !["card", "full"].contains(&network.as_str()) {
        return Err(Error::new(ErrorKind::Usage, "no network", "name it and the threads: card|full THREADS").into());
    }
    let threads = arguments.next().map(|threads| threads.parse()).transpose()?;
    let weights = Weights::from_path(weights_file(&network))?;
    let classifier = Classifier::on(weights, open(threads)?)?;
    let golden = Golden::open(&network)?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = answer(&classifier, &network, &golden, &words)
            .unwrap_or_else(|error| json!({ "error": error.to_string() }));
        println!("{answer}");
        std::io::stdout().flush()?;
    }
    Ok(())
}

fn weights_file(network: &str) -> String {
    format!("../golden/{network}.safetensors")
}

#[cfg_attr(not(feature = "train"), expect(unused_variables, reason = "only training reads the weights again"))]
fn answer(classifier: &Classifier, network: &str, golden: &Golden, words: &[&str]) -> Fallible<Value> {
    match words {
        ["logits"] => Ok(json!({ "logits": classifier.run(&golden.get("input.1x1000")?, 1, 1000)?.logits })),
        ["check"] => check(classifier, golden),
        ["time", batch, samples, warmup, runs, seconds] => {
            let limit = Limit { runs: runs.parse()?, time: Duration::from_secs_f64(seconds.parse()?) };
            time(classifier, golden, (batch.parse()?, samples.parse()?), warmup.parse()?, limit)
        }
        #[cfg(feature = "train")]
        ["train", batch, samples, seconds] => {
            let shape = [batch.parse()?, samples.parse()?];
            train(classifier, network, shape, Duration::from_secs_f64(seconds.parse()?))
        }
        _ => Err(format!("unknown command: {}", words.join(" ")).into()),
    }
}

/// Returns the largest absolute error of a logit over all golden inputs.
fn check(classifier: &Classifier, golden: &Golden) -> Fallible<Value> {
    let (mut worst, mut failed) = (0.0f32, serde_json::Map::new());
    for (shape, batch, samples) in golden.shapes() {
        match classifier.run(&golden.get(&format!("input.{shape}"))?, batch, samples) {
            Ok(output) => worst = worst.max(largest_error(&output.logits, &golden.get(&format!("logits.{shape}"))?)),
            Err(error) => drop(failed.insert(shape, error.to_string().into())),
        }
    }
    Ok(json!({ "max_abs_error": worst, "failed": failed }))
}

struct Limit {
    runs: usize,
    time: Duration,
}

/// Measures the milliseconds of every run, from the host's array to the logits on the host, after at most one second of
/// warming up.
fn time(
    classifier: &Classifier,
    golden: &Golden,
    (batch, samples): (usize, usize),
    warmup: usize,
    limit: Limit,
) -> Fallible<Value> {
    let input = golden.get(&format!("input.1x{samples}"))?.repeat(batch);
    let expected = golden.get(&format!("logits.1x{samples}"))?.repeat(batch);
    let start = Instant::now();
    for _ in 0..warmup {
        classifier.run(&input, batch, samples)?;
        if start.elapsed() > Duration::from_secs(1) {
            break;
        }
    }
    let (start, mut milliseconds, mut logits) = (Instant::now(), Vec::new(), Vec::new());
    while milliseconds.len() < limit.runs && start.elapsed() < limit.time {
        let run = Instant::now();
        logits = classifier.run(&input, batch, samples)?.logits;
        milliseconds.push(run.elapsed().as_secs_f64() * 1e3);
    }
    Ok(json!({ "ms": milliseconds, "max_abs_error": largest_error(&logits, &expected) }))
}

/// Measures records per second of whole training steps on random numbers: forward pass with batch norm in training
/// mode, binary cross entropy, backward pass, Adam. The first three steps warm up.
#[cfg(feature = "train")]
fn train(classifier: &Classifier, network: &str, [batch, samples]: [usize; 2], limit: Duration) -> Fallible<Value> {
    use ecgpu::{
        engine::kernels::training::SupervisedLossKind,
        engine::random::Random,
        train::{Objective, Rates, Task, TrainingSession},
    };
    let weights = Weights::from_path(weights_file(network))?;
    let objective =
        Objective::Supervised { loss: SupervisedLossKind::CROSS_ENTROPY, class_weights: vec![1.0; CLASSES] };
    let task = Task::new(weights.network, objective, weights.parameters, [batch, samples]);
    let mut session = TrainingSession::new(classifier.backend(), task)?;
    let mut random = Random::new(1, 0);
    let records: Vec<f32> = (0..batch * 12 * samples).map(|_| random.normal() as f32).collect();
    let labels: Vec<f32> = (0..batch * CLASSES).map(|_| f32::from(u8::from(random.uniform() < 0.3))).collect();
    let rates = Rates { learning: 1e-3, target_momentum: 1.0 };
    let mut learn = || session.train_batch(&records, Some(&labels), rates).map(|loss| loss.value);
    let first_loss = learn()?;
    let mut last_loss = 0.0;
    for _ in 0..2 {
        last_loss = learn()?;
    }
    let (start, mut seconds) = (Instant::now(), Vec::new());
    while start.elapsed() < limit || seconds.is_empty() {
        let step = Instant::now();
        last_loss = learn()?;
        seconds.push(step.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    let rate = batch as f64 / seconds[seconds.len() / 2];
    Ok(json!({ "records_per_s": rate, "steps": seconds.len(), "first_loss": first_loss, "last_loss": last_loss }))
}

#[cfg(feature = "train")]
const CLASSES: usize = 5;

fn largest_error(computed: &[f32], expected: &[f32]) -> f32 {
    // A NaN or a missing logit counts as an error that no bound allows.
    let error = |(a, b): (&f32, &f32)| if a.is_nan() { f32::MAX } else { (a - b).abs() };
    let missing = if computed.len() == expected.len() { 0.0 } else { f32::MAX };
    computed.iter().zip(expected).map(error).fold(missing, f32::max)
}

/// A file of inputs and PyTorch's logits for them. Each tensor is read when it is needed, so that the file does not add
/// to the program's memory.
struct Golden {
    file: File,
    header: Metadata,
    /// The offset of the first tensor in the file.
    start: usize,
}

impl Golden {
    fn open(network: &str) -> Fallible<Self> {
        let mut file = File::open(format!("../golden/{network}_io.safetensors"))?;
        let mut size = [0; 8];
        file.read_exact(&mut size)?;
        let mut header = vec![0; usize::try_from(u64::from_le_bytes(size))?];
        file.read_exact(&mut header)?;
        Ok(Self { file, start: size.len() + header.len(), header: serde_json::from_slice(&header)? })
    }

    fn get(&self, name: &str) -> Fallible<Vec<f32>> {
        let info = self.header.info(name).ok_or_else(|| format!("the golden file has no tensor {name}"))?;
        let (begin, end) = info.data_offsets;
        let (mut file, mut bytes) = (&self.file, vec![0; end - begin]);
        file.seek(SeekFrom::Start((self.start + begin) as u64))?;
        file.read_exact(&mut bytes)?;
        Ok(bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect())
    }

    /// Lists the name, batch and samples of each shape.
    fn shapes(&self) -> Vec<(String, usize, usize)> {
        let shape = |(name, info): (String, &TensorInfo)| {
            Some((name.strip_prefix("input.")?.to_string(), info.shape[0], info.shape[2]))
        };
        let mut shapes: Vec<_> = self.header.tensors().into_iter().filter_map(shape).collect();
        shapes.sort();
        shapes
    }
}
