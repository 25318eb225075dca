//! Which variant is the fastest right one for each step on a device: every variant is first compared with the float64
//! reference, alone and with the rows that it has in its plan, and only those that agree are timed.

use std::time::{Duration, Instant};

use wgpu::util::DownloadBuffer;

use super::{Gpu, StepShape, Tuning, executor::GpuExecutor, faults, rows::Rows, tuning};
use crate::{
    Result,
    backend::{
        Executor,
        difference::{Difference, largest_nmse},
        reference,
    },
    kernels::{RowLayout, Variant},
    plan::{FusedPlan, Plan, Role, Step},
    random::Random,
};

/// Rounds in which each variant runs once: so many at least and at most, and for so long in between.
const ROUNDS: [usize; 2] = [5, 101];
const MEASURED: Duration = Duration::from_millis(300);
/// How long all variants run before that, so that the device's clock has risen.
const WARMED: Duration = Duration::from_millis(50);

/// Records of a trial's input that differ; the others repeat them, so that a large batch is compared as a whole with the
/// reference of these alone. That of 1024 records of network 542k would take 200 s. A prime, as variants take records by
/// powers of two: one that mixes them up gives other numbers.
const DIFFERENT: usize = 7;

/// One variant of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Its name.
    pub variant: &'static str,
    /// Its normalised mean square error; none if it did not run.
    pub nmse: Option<f64>,
    /// Why it is not right; none if it is.
    pub fault: Option<String>,
    /// The median of the times that it took, if it is right.
    pub time: Option<Duration>,
}

/// What was found for one step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepTuning {
    /// The first plan that has it.
    pub plan: String,
    /// The step's name there.
    pub step: String,
    /// Its sizes.
    pub shape: StepShape,
    /// `[batch, channels, samples]` of its output.
    pub output: [usize; 3],
    /// Every variant that the device can run, the default first.
    pub candidates: Vec<Candidate>,
    /// The fastest right one's place among them; none if none is right.
    pub chosen: Option<usize>,
}

/// What was found for all steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuned {
    /// Each once.
    pub steps: Vec<StepTuning>,
    /// The choice; none if a step has no right variant.
    pub tuning: Option<Tuning>,
}

/// Compares and times every variant of every step of some plans, each with its name. Steps of the same sizes are done
/// once. After each step `progress` is told how many are done, and of how many.
///
/// # Errors
/// The device fails or gives no timestamps. A variant that is wrong is no error, but never chosen.
pub fn tune(gpu: &Gpu, plans: &[(String, Plan)], mut progress: impl FnMut(usize, usize)) -> Result<Tuned> {
    let fused: Vec<(&String, Plan)> = plans.iter().map(|(name, plan)| (name, gpu.fused(plan).plan)).collect();
    let mut jobs: Vec<(&str, &Plan, &Step, StepShape)> = Vec::new();
    for (name, plan) in &fused {
        let rows = gpu.rows(plan);
        for step in &plan.steps {
            let shape = StepShape::of(step, &rows, gpu.info.storage);
            if jobs.iter().all(|(.., other)| *other != shape) {
                jobs.push((name, plan, step, shape));
            }
        }
    }
    let mut steps = Vec::with_capacity(jobs.len());
    let total = jobs.len();
    for (name, plan, step, shape) in jobs {
        progress(steps.len(), total);
        let candidates = Trial::new(gpu, plan, step).candidates(gpu, &shape)?;
        let timed = candidates.iter().enumerate().filter_map(|(at, candidate)| Some((candidate.time?, at)));
        let chosen = timed.min().map(|(_, at)| at);
        let (plan_name, output) = (name.into(), plan.buffers[step.write].shape);
        steps.push(StepTuning { plan: plan_name, step: step.name.clone(), shape, output, candidates, chosen });
    }
    progress(total, total);
    let choice = |step: &StepTuning| Some((step.shape.clone(), step.candidates[step.chosen?].variant.to_string()));
    let choices: Option<Vec<(StepShape, String)>> = steps.iter().map(choice).collect();
    let shaders =
        tuning::hash(steps.iter().map(|step| &step.shape), |shape| gpu.compiled_variants(shape), tuning::order);
    let tuning = choices.map(|choices| Tuning::new(gpu.machine(), shaders, choices));
    Ok(Tuned { steps, tuning })
}

/// One step as a plan of its own, on random input.
struct Trial {
    plan: Plan,
    rows: Rows,
    input: Vec<f32>,
    exact: Vec<f64>,
}

impl Trial {
    fn new(gpu: &Gpu, plan: &Plan, step: &Step) -> Self {
        let ids = || step.reads.iter().chain([&step.write]).copied();
        let mut buffers: Vec<_> = ids().map(|id| plan.buffers[id].clone()).collect();
        let write = buffers.len() - 1;
        (buffers[0].role, buffers[write].role) = (Role::Activation { slot: 0 }, Role::Activation { slot: 1 });
        let alone = Step { reads: (0..write).collect(), write, ..step.clone() };
        let alone =
            Plan { batch: plan.batch, buffers, steps: vec![alone], inputs: vec![0], outputs: vec![write], slots: 2 };
        let rows = gpu.rows(plan).select(ids());
        let few = on_few_records(&alone);
        let mut random = Random::new(1, 0);
        let mut input: Vec<f32> = (0..few.buffers[0].len()).map(|_| random.normal() as f32).collect();
        // The reference gets the numbers that the device has.
        let stored = rows.row(0).storage;
        let length = input.len();
        input = stored.decode(&stored.encode(&input)).into_owned();
        input.truncate(length);
        let known = if gpu.info.storage.is_half() { few.with_f16_weights() } else { few };
        let exact =
            reference::run(&known, &input).unwrap_or_else(|_| unreachable!("the input is as long as its buffer"));
        let input = repeated(&input, alone.buffers[0].len());
        let exact = repeated(&exact.concat(), alone.buffers[write].len());
        Self { plan: alone, rows, input, exact }
    }

    /// Compares every variant that the device can run, then times the right ones.
    fn candidates(&self, gpu: &Gpu, shape: &StepShape) -> Result<Vec<Candidate>> {
        let groups = gpu.device.limits().max_compute_workgroups_per_dimension as usize;
        let mut variants = gpu.variants(shape);
        variants.retain(|variant| variant.grid.iter().all(|&n| n <= groups));
        let (mut candidates, mut right) = (Vec::new(), Vec::new());
        for variant in variants {
            let name = variant.name;
            let (nmse, fault) = match faults::scoped(&gpu.device, || self.compare(gpu, variant)) {
                Ok((executor, nmse, None)) => {
                    right.push((candidates.len(), executor));
                    (Some(nmse), None)
                }
                Ok((_, nmse, fault)) => (Some(nmse), fault),
                Err(error) => (None, Some(error.cause().to_string())),
            };
            // After a fault of the device itself nothing that it says is worth anything.
            gpu.faults.check()?;
            candidates.push(Candidate { variant: name, nmse, fault, time: None });
        }
        for (at, time) in self.time(&mut right)? {
            candidates[at].time = Some(time);
        }
        Ok(candidates)
    }

    /// Runs a variant once and says how far it is from the reference, and what is wrong with that. What it writes is not
    /// a number before, so that a sample or a zero that it leaves out is found.
    fn compare(&self, gpu: &Gpu, variant: Variant) -> Result<(GpuExecutor, f64, Option<String>)> {
        let mut executor = GpuExecutor::with_variants(gpu, FusedPlan::unfused(&self.plan), &self.rows, vec![variant])?;
        let output = &executor.outputs[0];
        let (row, length) = (output.row, output.length);
        let start = (row.base_offset * row.storage.bytes()) as u64;
        gpu.queue.write_buffer(&output.buffer, start, &row.storage.encode(&vec![f32::NAN; length]));
        let mut computed = Vec::new();
        executor.run(&self.input, &mut computed)?;
        let nmse = Difference::between(&computed[0], &self.exact).nmse;
        // In this order NaN fails.
        let fault = match (nmse <= largest_nmse(row.storage), surrounded_by_zeros(&executor)?) {
            (true, true) => None,
            (true, false) => Some("what lies around its samples is not zero".into()),
            (false, _) => Some(format!("NMSE {nmse:.1e}")),
        };
        Ok((executor, nmse, fault))
    }

    /// The median time of each executor. They take turns, so that what else goes on in the machine hits all alike.
    fn time(&self, right: &mut [(usize, GpuExecutor)]) -> Result<Vec<(usize, Duration)>> {
        let mut times = vec![Vec::new(); right.len()];
        let mut round = |times: &mut [Vec<Duration>]| -> Result<()> {
            for (times, (_, executor)) in times.iter_mut().zip(right.iter_mut()) {
                times.extend(executor.profile(&self.input)?);
            }
            Ok(())
        };
        let begin = Instant::now();
        while begin.elapsed() < WARMED {
            round(&mut times)?;
        }
        times.iter_mut().for_each(Vec::clear);
        let (begin, [least, most]) = (Instant::now(), ROUNDS);
        for rounds in 0..most {
            if rounds >= least && begin.elapsed() >= MEASURED {
                break;
            }
            round(&mut times)?;
        }
        let median = |((at, _), mut times): (&(usize, GpuExecutor), Vec<Duration>)| {
            times.sort_unstable();
            (*at, times[times.len() / 2])
        };
        Ok(right.iter().zip(times).map(median).collect())
    }
}

/// A plan of one step for the first [`DIFFERENT`] records.
fn on_few_records(plan: &Plan) -> Plan {
    let mut few = plan.clone();
    let batch = plan.batch.min(DIFFERENT);
    let Some(kernel) = plan.steps[0].kernel.with_batch(batch) else { return few };
    few.batch = batch;
    few.steps[0].kernel = kernel;
    for id in [few.inputs[0], few.outputs[0]] {
        few.buffers[id].shape[0] = batch;
    }
    few
}

/// As many numbers, which repeat these.
fn repeated<T: Copy>(numbers: &[T], length: usize) -> Vec<T> {
    numbers.iter().cycle().take(length).copied().collect()
}

/// Whether the output's buffer is zero wherever it holds no sample, as the next step takes for granted.
fn surrounded_by_zeros(executor: &GpuExecutor) -> Result<bool> {
    let output = &executor.outputs[0];
    let (sender, read) = std::sync::mpsc::channel();
    let taken = move |buffer| {
        // The receiver is gone only if the wait below has failed, which is reported there.
        let _ = sender.send(buffer);
    };
    DownloadBuffer::read_buffer(&executor.device, &executor.queue, &output.buffer.slice(..), taken);
    executor.device.poll(wgpu::PollType::wait_indefinitely()).map_err(|error| faults::failed(&error.to_string()))?;
    let answered = read.recv().map_err(|_| faults::failed("the readback was never answered"))?;
    let buffer = answered.map_err(|error| faults::failed(&error.to_string()))?;
    let RowLayout { base_offset, offset, pitch, storage } = output.row;
    let numbers = storage.decode(&buffer);
    let (head, rows) = numbers.split_at(base_offset);
    let around = rows[..output.length].chunks_exact(pitch).map(|row| [&row[..offset], &row[offset + output.samples..]]);
    Ok(around.flatten().chain([head]).flatten().all(|&number| number == 0.0))
}
