//! Records per second from files to predictions, beside the network alone and beside reading alone.
//!
//! ```sh
//! cargo bench --bench archive -- [FOLDER]
//! ```
//!
//! Without a folder of WFDB records, synthetic ones of 100 and 500 Hz are written and read. The device that costs nothing
//! stands for a GPU of any speed: what it reaches is the most that reading, resampling and checking allow.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ecgpu::{
    Classifier, Device, DeviceInfo, Piece, Result, Weights,
    ecg::{
        Condition,
        format::{self, Entry, ReadOptions, Reader, Writer},
        synthesize,
    },
    engine::{
        backend::{Backend, Executor},
        kernels::Storage,
        plan::Plan,
    },
};

/// Records of the network alone, and of the synthetic archives.
const RECORDS: usize = 2000;
const BATCH: usize = 64;
const ROUNDS: usize = 5;

/// A device whose outputs are zeros, at once.
struct Free;

struct FreeExecutor {
    outputs: Vec<usize>,
}

impl Backend for Free {
    fn info(&self) -> DeviceInfo {
        DeviceInfo::new("a device that costs nothing", "none", Storage::F32)
    }

    fn largest_batch(&self, _: &Plan) -> Result<usize> {
        Ok(4096)
    }

    fn prepare(&self, plan: &Plan) -> Result<Box<dyn Executor>> {
        let outputs = plan.outputs.iter().map(|id| plan.buffers[*id].len()).collect();
        Ok(Box::new(FreeExecutor { outputs }))
    }
}

impl Executor for FreeExecutor {
    fn run(&mut self, _: &[f32], outputs: &mut Vec<Vec<f32>>) -> Result<()> {
        *outputs = self.outputs.iter().map(|length| vec![0.0; *length]).collect();
        Ok(())
    }

    fn device(&self) -> DeviceInfo {
        Free.info()
    }

    fn profile(&mut self, _: &[f32]) -> Result<Vec<Duration>> {
        Ok(Vec::new())
    }
}

/// Returns the records per second of the network alone.
fn network(classifier: &Classifier) -> Result<f64> {
    let input = vec![0.1; BATCH * 12 * 1000];
    classifier.run(&input, BATCH, 1000)?;
    let start = Instant::now();
    let batches = RECORDS / BATCH;
    classifier.run_many((0..batches).map(|_| &input[..]), BATCH, 1000)?;
    Ok((batches * BATCH) as f64 / start.elapsed().as_secs_f64())
}

/// Returns the records per second of a folder, from its files to predictions.
fn archive(classifier: &Classifier, folder: &Path) -> Result<f64> {
    let options = ReadOptions::default();
    let start = Instant::now();
    let files = format::walk(folder, &options)?.filter_map(|entry| match entry {
        Ok(Entry::File(path)) => Some(((), Reader::open(&path, &options))),
        Ok(Entry::Skipped(_)) => None,
        Err(error) => Some(((), Err(error))),
    });
    let pieces = files.flat_map(|(tag, reader)| match reader {
        Ok(reader) => Piece::all(reader).map(|piece| (tag, Ok(piece))).collect::<Vec<_>>(),
        Err(error) => vec![(tag, Err(error))],
    });
    let mut records = 0;
    classifier.classify_files(pieces, BATCH, |batch| {
        for (_, piece) in batch {
            for recording in piece? {
                recording.outcome?;
                records += 1;
            }
        }
        Ok(())
    })?;
    Ok(f64::from(records) / start.elapsed().as_secs_f64())
}

fn write_synthetic(folder: &Path, sampling_rate: f64) -> Result<()> {
    let kinds = [Condition::Norm, Condition::MiAnterior, Condition::Hyp, Condition::Sttc];
    for record in 0..RECORDS {
        let recording = synthesize(kinds[record % kinds.len()], record as u64 % 40, sampling_rate, 10.0)?;
        let path = folder.join(format!("{record:05}.hea"));
        Writer::of(&path)?.write(&recording, &path, &["written for a benchmark".into()])?;
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> Result<()> {
    let folder = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).map(PathBuf::from);
    let synthetic = tempfile::tempdir().expect("a temporary folder can be made");
    let archives = match folder {
        Some(folder) => vec![(folder.display().to_string(), folder)],
        None => {
            let mut archives = Vec::new();
            for rate in [100.0, 500.0] {
                let folder = synthetic.path().join(rate.to_string());
                std::fs::create_dir(&folder).expect("a folder can be made in the temporary one");
                write_synthetic(&folder, rate)?;
                archives.push((format!("{RECORDS} records of {rate} Hz"), folder));
            }
            archives
        }
    };
    let cpu = Classifier::open(Weights::built_in()?, Device::Cpu)?;
    let free = Classifier::on(Weights::built_in()?, Box::new(Free))?;
    println!("{}, batches of {BATCH}; records a second, median of {ROUNDS} rounds", cpu.device());
    for (name, folder) in archives {
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            rounds.push([network(&cpu)?, archive(&cpu, &folder)?, archive(&free, &folder)?]);
        }
        let of = |at: usize| median(rounds.iter().map(|round| round[at]).collect());
        let share = median(rounds.iter().map(|[network, archive, _]| archive / network).collect());
        let faster = median(rounds.iter().map(|[network, _, reading]| reading / network).collect());
        println!(
            "{name}: the network alone {:.0}, from files {:.0} ({:.0} %), reading alone {:.0} ({faster:.1} × the network)",
            of(0),
            of(1),
            share * 100.0,
            of(2)
        );
    }
    Ok(())
}
