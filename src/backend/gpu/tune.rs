//! Finds the fastest correct variant of each step on a device. Each variant is compared with the float64 reference, alone
//! and with the row layouts of its plan. Only the variants that agree are timed.

use std::time::{Duration, Instant};

use super::{Gpu, StepShape, Tuning, executor::GpuExecutor, layouts::Layouts, tuning, waiting::block_on};
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

/// The least and the largest number of rounds. Each variant runs once per round.
const ROUNDS: [usize; 2] = [5, 101];
/// How long variants are timed, within the limits of [`ROUNDS`].
const TIMED: Duration = Duration::from_millis(300);
/// How long variants run before they are timed, so that the GPU's clock rises.
const WARM_UP: Duration = Duration::from_millis(50);

/// The distinct records of a trial's input. Further records repeat them, so that the reference computes these alone: 1024
/// records of network 542k would take 200 s. The number is prime because variants take records by powers of two: a variant
/// that exchanges records gets other numbers.
const DISTINCT_RECORDS: usize = 7;

/// The result of one variant of a step.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Candidate {
    /// The variant's name.
    pub variant: &'static str,
    /// The normalised mean squared error; none if the variant did not run.
    pub nmse: Option<f64>,
    /// Why the variant is wrong; none if it agrees with the reference.
    pub fault: Option<String>,
    /// The median time of a correct variant.
    pub time: Option<Duration>,
}

/// The result for one step.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StepTuning {
    /// The name of the first plan with this step.
    pub plan: String,
    /// The step's name in that plan.
    pub step: String,
    /// The step's sizes and layouts.
    pub shape: StepShape,
    /// The output's shape, `[batch, channels, samples]`.
    pub output: [usize; 3],
    /// Every variant that the device can run, the default first.
    pub candidates: Vec<Candidate>,
    /// The index of the fastest correct candidate; none if all are wrong.
    pub chosen: Option<usize>,
}

/// The result for all steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuned {
    /// The steps, each size once.
    pub steps: Vec<StepTuning>,
    /// The tuning; none if a step has no correct variant.
    pub tuning: Option<Tuning>,
}

/// Compares and times every variant of every step of some named plans. Steps of the same sizes are measured once. `progress`
/// is called with the number of finished steps and of all steps.
///
/// # Errors
/// The device failed or gives no timestamps. A wrong variant is no error, and is never chosen.
pub fn tune(gpu: &Gpu, plans: &[(String, Plan)], mut progress: impl FnMut(usize, usize)) -> Result<Tuned> {
    let fused: Vec<(&String, Plan)> = plans.iter().map(|(name, plan)| (name, gpu.fused(plan).plan)).collect();
    let jobs = distinct_steps(gpu, &fused);
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
    let tuning = tuning_of(gpu, &steps);
    Ok(Tuned { steps, tuning })
}

/// A step to tune: the name of its plan, the plan, the step and its sizes.
type Job<'a> = (&'a str, &'a Plan, &'a Step, StepShape);

/// Lists the steps of some named plans, each size once.
fn distinct_steps<'a>(gpu: &Gpu, plans: &'a [(&String, Plan)]) -> Vec<Job<'a>> {
    let mut jobs: Vec<Job> = Vec::new();
    for (name, plan) in plans {
        let layouts = gpu.layouts(plan);
        for step in &plan.steps {
            let shape = StepShape::new(step, &layouts, gpu.info.storage);
            if jobs.iter().all(|(.., other)| *other != shape) {
                jobs.push((name, plan, step, shape));
            }
        }
    }
    jobs
}

/// Makes a tuning of the chosen variants. Returns none if a step has no correct variant.
fn tuning_of(gpu: &Gpu, steps: &[StepTuning]) -> Option<Tuning> {
    let choice = |step: &StepTuning| Some((step.shape.clone(), step.candidates[step.chosen?].variant.to_string()));
    let choices = steps.iter().map(choice).collect::<Option<Vec<_>>>()?;
    let shapes = steps.iter().map(|step| &step.shape);
    let shaders = tuning::hash(shapes, |shape| gpu.compiled_variants(shape), tuning::order);
    Some(Tuning::new(gpu.machine(), shaders, choices))
}

/// One step as a plan of its own, with random input.
pub(super) struct Trial {
    plan: Plan,
    layouts: Layouts,
    input: Vec<f32>,
    expected: Vec<f64>,
}

impl Trial {
    pub(super) fn new(gpu: &Gpu, plan: &Plan, step: &Step) -> Self {
        let ids = || step.reads.iter().chain([&step.write]).copied();
        let mut buffers: Vec<_> = ids().map(|id| plan.buffers[id].clone()).collect();
        let write = buffers.len() - 1;
        (buffers[0].role, buffers[write].role) = (Role::Activation { slot: 0 }, Role::Activation { slot: 1 });
        let alone = Step { reads: (0..write).collect(), write, ..step.clone() };
        let alone =
            Plan { batch: plan.batch, buffers, steps: vec![alone], inputs: vec![0], outputs: vec![write], slots: 2 };
        let layouts = gpu.layouts(plan).select(ids());
        let few = alone.with_batch(alone.batch.min(DISTINCT_RECORDS)).unwrap_or_else(|_| alone.clone());
        let mut random = Random::new(1, 0);
        let mut input: Vec<f32> = (0..few.buffers[0].len()).map(|_| random.normal() as f32).collect();
        // The reference gets the numbers as the device stores them.
        let stored = layouts.of(0).storage;
        let length = input.len();
        input = stored.decode(&stored.encode(&input)).into_owned();
        input.truncate(length);
        let rounded = if gpu.info.storage.is_half() { few.with_f16_weights() } else { few };
        let expected =
            reference::run(&rounded, &input).unwrap_or_else(|_| unreachable!("the input is as long as its buffer"));
        let input = repeated(&input, alone.buffers[0].len());
        let expected = repeated(&expected.concat(), alone.buffers[write].len());
        Self { plan: alone, layouts, input, expected }
    }

    /// Compares every variant that the device can run, then times the correct ones.
    fn candidates(&self, gpu: &Gpu, shape: &StepShape) -> Result<Vec<Candidate>> {
        let largest = gpu.largest_grid();
        let mut variants = gpu.variants(shape);
        variants.retain(|variant| variant.grid.iter().all(|&groups| groups <= largest));
        let (mut candidates, mut correct) = (Vec::new(), Vec::new());
        for variant in variants {
            let name = variant.name;
            let (nmse, fault) = match block_on(self.compare(gpu, variant)) {
                Ok((executor, nmse, None)) => {
                    correct.push((candidates.len(), executor));
                    (Some(nmse), None)
                }
                Ok((_, nmse, fault)) => (Some(nmse), fault),
                Err(error) => (None, Some(error.cause().to_string())),
            };
            // After a failure of the device, its results have no meaning.
            gpu.faults.check()?;
            candidates.push(Candidate { variant: name, nmse, fault, time: None });
        }
        for (at, time) in self.time(&mut correct)? {
            candidates[at].time = Some(time);
        }
        Ok(candidates)
    }

    /// Runs a variant once. Returns its error and, if it is wrong, why. The output is filled with NaN first, so that a number
    /// that the variant does not write is detected.
    pub(super) async fn compare(&self, gpu: &Gpu, variant: Variant) -> Result<(GpuExecutor, f64, Option<String>)> {
        let plan = FusedPlan::unfused(&self.plan);
        let mut executor = GpuExecutor::with_variants(gpu, plan, &self.layouts, vec![variant]).await?;
        let output = executor.prepared.output(0);
        let RowLayout { base_offset, storage, .. } = output.layout;
        let start = (base_offset * storage.bytes()) as u64;
        let fill = || {
            let nan = vec![f32::NAN; output.numbers()];
            gpu.queue.write_buffer(&output.source.buffer, start, &storage.encode(&nan));
            Ok(())
        };
        gpu.faults.guard(&gpu.device, fill).await?;
        let mut computed = Vec::new();
        executor.run_once(&self.input, &mut computed).await?;
        let nmse = Difference::between(&computed[0], &self.expected).nmse;
        // Written as `<=`, the comparison fails for NaN.
        let fault = match (nmse <= largest_nmse(storage), surrounded_by_zeros(&executor).await?) {
            (true, true) => None,
            (true, false) => Some("the numbers around its samples are not zero".into()),
            (false, _) => Some(format!("NMSE {nmse:.1e}")),
        };
        Ok((executor, nmse, fault))
    }

    /// Returns the median time of each executor. The runs are interleaved, so that other load on the machine affects all of
    /// them.
    fn time(&self, correct: &mut [(usize, GpuExecutor)]) -> Result<Vec<(usize, Duration)>> {
        let mut times = vec![Vec::new(); correct.len()];
        let mut round = |times: &mut [Vec<Duration>]| -> Result<()> {
            for (times, (_, executor)) in times.iter_mut().zip(correct.iter_mut()) {
                times.push(run_time(executor, &self.input)?);
            }
            Ok(())
        };
        let begin = Instant::now();
        while begin.elapsed() < WARM_UP {
            round(&mut times)?;
        }
        times.iter_mut().for_each(Vec::clear);
        let (begin, [least, most]) = (Instant::now(), ROUNDS);
        for rounds in 0..most {
            if rounds >= least && begin.elapsed() >= TIMED {
                break;
            }
            round(&mut times)?;
        }
        let median = |((at, _), mut times): (&(usize, GpuExecutor), Vec<Duration>)| {
            times.sort_unstable();
            (*at, times[times.len() / 2])
        };
        Ok(correct.iter().zip(times).map(median).collect())
    }
}

/// Runs a plan of one step and returns how long the device computed, or where its timestamps do not advance, how long the
/// whole run took.
fn run_time(executor: &mut GpuExecutor, input: &[f32]) -> Result<Duration> {
    if let Some(times) = block_on(executor.prepared.profile(&[input]))? {
        return Ok(times.into_iter().sum());
    }
    let start = Instant::now();
    executor.run(input, &mut Vec::new())?;
    Ok(start.elapsed())
}

/// Repeats numbers up to a length.
fn repeated<T: Copy>(numbers: &[T], length: usize) -> Vec<T> {
    numbers.iter().cycle().take(length).copied().collect()
}

/// Whether all numbers of the output's buffer outside of the samples are zero, as the next step requires.
async fn surrounded_by_zeros(executor: &GpuExecutor) -> Result<bool> {
    let (prepared, output) = (&executor.prepared, executor.prepared.output(0));
    let words = prepared.read_buffer(&output.source.buffer).await?;
    let RowLayout { base_offset, offset, pitch, storage } = output.layout;
    let numbers = storage.decode(bytemuck::cast_slice(&words));
    let (head, rows) = numbers.split_at(base_offset);
    let around =
        rows[..output.numbers()].chunks_exact(pitch).map(|row| [&row[..offset], &row[offset + output.samples()..]]);
    Ok(around.flatten().chain([head]).flatten().all(|&number| number == 0.0))
}
