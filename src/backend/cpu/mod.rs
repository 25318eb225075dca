//! The plan in f32 on the CPU, on all cores with feature `threads`. Every output is computed by one item in one order,
//! so the result has the same bits for any number of threads.
//!
//! `forward` cuts a record's pass into parts and these into items, `parallel` hands the items out. `conv1d` runs a
//! convolution as `choice` decides, with weights as `packing` lays them, in the tiles of `tile` and `filtering`, which
//! `instructions` builds for each kind of vector in `simd`. Activations lie as `rows` says, in `memory`.

mod choice;
mod conv1d;
mod filtering;
mod forward;
mod instructions;
mod memory;
mod packing;
mod parallel;
mod pool;
mod rows;
mod simd;
#[cfg(test)]
mod tests;
mod tile;
#[cfg(feature = "train")]
mod training;

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

#[cfg(feature = "train")]
use super::Trainer;
use super::{Backend, ConstantCache, DeviceInfo, Executor, batch_by_memory, check_input, check_stateless};
use crate::{
    Error, ErrorKind, Result,
    kernels::{Conv1d, Kernel, Storage},
    plan::{Plan, Step},
};
use forward::{Forward, Memory, Part, Places};
use instructions::Kernels;
use memory::Area;
use packing::{Order, Packed, Packing};
use parallel::{Progress, Team};

/// The CPU as a device.
///
/// A program that puts a classifier on it by [`Classifier::on`](crate::Classifier::on), and names neither
/// [`Device`](crate::Device) nor [`gpu`](super::gpu), carries no GPU code, for the linker drops what nobody calls: 1.5 MB
/// stripped instead of 6.1, without a feature or a setting. `examples/cpu_peer.rs` is one.
///
/// ```
/// use ecgpu::{Classifier, Weights, backend::cpu::Cpu};
///
/// let classifier = Classifier::on(Weights::built_in()?, Box::new(Cpu::with_threads(1)?))?;
/// # assert!(classifier.device().backend == "cpu");
/// # Ok::<(), ecgpu::Error>(())
/// ```
pub struct Cpu {
    shelves: ConstantCache<Arc<Shelf>>,
    team: Team,
    kernels: &'static Kernels,
}

/// What was packed from one constant: a length asks for one packing, another for another.
type Shelf = Mutex<Vec<(Packing, Packed)>>;

/// Multiplications and additions that make one more worker worth its start: 40 µs of a core, where a sleeping thread
/// takes up to 50 to come.
const WORTH_A_WORKER: usize = 8_000_000;

/// How many times faster workers are at least taken to be together on one record than one of them alone, if they are
/// that many: the last layers of a ten-second record have 16 items to share.
const GAIN: usize = 8;

impl Default for Cpu {
    /// On all cores.
    fn default() -> Self {
        Self::new(Team::default())
    }
}

impl Cpu {
    /// On so many threads, one of which is the caller's. The results have the same bits for any number.
    ///
    /// # Errors
    /// Zero threads, more than one without feature `threads`, or the system starts no more.
    pub fn with_threads(threads: usize) -> Result<Self> {
        Ok(Self::new(Team::new(threads)?))
    }

    fn new(team: Team) -> Self {
        Self { shelves: ConstantCache::default(), team, kernels: instructions::available()[0] }
    }

    /// Packs what has not been packed yet for another plan, and says where everything is.
    fn pack(&self, orders: &[Order]) -> Vec<Packed> {
        let shelves: Vec<Arc<Shelf>> =
            orders.iter().map(|order| self.shelves.get(order.weight, Arc::default)).collect();
        let known = orders.iter().zip(&shelves).map(|(order, shelf)| {
            let shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
            shelf.iter().find(|(packing, _)| *packing == order.packing).map(|(_, packed)| packed.clone())
        });
        let known: Vec<Option<Packed>> = known.collect();
        let missing: Vec<Order> =
            orders.iter().zip(&known).filter(|(_, known)| known.is_none()).map(|(order, _)| *order).collect();
        let mut made = packing::pack(&missing, self.kernels, &self.team).into_iter();
        let found = orders.iter().zip(shelves).zip(known).map(|((order, shelf), known)| {
            known.unwrap_or_else(|| {
                let packed = made.next().expect("what was missing has been packed, in its order");
                shelf.lock().unwrap_or_else(PoisonError::into_inner).push((order.packing, packed.clone()));
                packed
            })
        });
        found.collect()
    }
}

impl Backend for Cpu {
    fn info(&self) -> DeviceInfo {
        let (processor, instructions, threads) = (processor_name(), self.kernels.name, self.team.workers());
        let plural = if threads == 1 { "" } else { "s" };
        let name = format!("{processor} ({instructions}, {threads} thread{plural})");
        DeviceInfo { name, backend: "cpu".into(), storage: Storage::F32 }
    }

    fn largest_batch(&self, plan: &Plan) -> Result<usize> {
        Ok(batch_by_memory(plan))
    }

    fn prepare(&self, plan: &Plan) -> Result<Box<dyn Executor>> {
        check_stateless(plan)?;
        check_steps(plan, false)?;
        let workers = self.team.workers().min(1 + plan.floating_point_operations() / WORTH_A_WORKER);
        let forward = Forward::new(plan, self.kernels, workers, |orders| self.pack(orders));
        // Whole rounds of a record for each worker, each in memory of its own; what is left over, all work on together,
        // unless it is so much that a last round is faster.
        let rest = plan.batch % workers;
        let apart = if rest < workers.min(GAIN) { plan.batch - rest } else { plan.batch };
        let mut items = vec![apart];
        for _ in apart..plan.batch {
            items.extend(forward.together().iter().map(|part| part.items));
        }
        let progress = Progress::new(workers, &items);
        let memories = if apart > 0 { progress.workers() } else { 1 };
        Ok(Box::new(CpuExecutor {
            plan: plan.clone(),
            apart,
            team: self.team.clone(),
            memories: (0..memories).map(|_| forward.memory()).collect(),
            scratch: (0..progress.workers()).map(|_| forward.scratch()).collect(),
            results: plan.outputs.iter().map(|&id| Area::new(plan.buffers[id].len())).collect(),
            progress,
            forward,
        }))
    }

    #[cfg(feature = "train")]
    fn prepare_training(&self, plan: &Plan) -> Result<Box<dyn Trainer>> {
        check_steps(plan, true)?;
        Ok(Box::new(training::CpuTrainer::new(self, plan)))
    }
}

/// Checks that the CPU computes each step, those of training only where that `trains`.
fn check_steps(plan: &Plan, trains: bool) -> Result<()> {
    for Step { name, kernel, .. } in &plan.steps {
        let remedy = match kernel {
            Kernel::Conv1d(Conv1d { fused_max_pool: true, .. }) | Kernel::PooledLinear(_) => {
                "prepare the plan that was joined"
            }
            kernel if kernel.is_of_training() && !trains => "prepare it for training",
            _ => continue,
        };
        let cause = format!("the CPU does not compute step {name} of this plan, {}", kernel.operation().describe());
        return Err(Error::new(ErrorKind::Usage, cause, remedy));
    }
    Ok(())
}

struct CpuExecutor {
    plan: Plan,
    forward: Forward,
    team: Team,
    progress: Progress,
    /// Records that are computed by one worker each; the rest by all.
    apart: usize,
    /// One for each worker that computes a record of its own.
    memories: Vec<Memory>,
    /// One for each worker.
    scratch: Vec<Area>,
    results: Vec<Area>,
}

impl Executor for CpuExecutor {
    fn run(&mut self, input: &[f32], outputs: &mut Vec<Vec<f32>>) -> Result<()> {
        self.compute(input, None)?;
        outputs.resize(self.results.len(), Vec::new());
        for ((output, result), &id) in outputs.iter_mut().zip(&self.results).zip(&self.plan.outputs) {
            output.clear();
            // SAFETY: the run is over, and with it everyone else's use.
            output.extend_from_slice(unsafe { result.read(0..self.plan.buffers[id].len()) });
        }
        Ok(())
    }

    fn profile(&mut self, input: &[f32]) -> Result<Vec<Duration>> {
        let busy: Vec<AtomicU64> = self.plan.steps.iter().map(|_| AtomicU64::new(0)).collect();
        self.compute(input, Some(&busy))?;
        let workers = self.progress.workers() as u64;
        Ok(busy.into_iter().map(|busy| Duration::from_nanos(busy.into_inner() / workers)).collect())
    }
}

impl CpuExecutor {
    /// Computes the results; to `busy` the nanoseconds are added that workers spend on each step.
    fn compute(&mut self, input: &[f32], busy: Option<&[AtomicU64]>) -> Result<()> {
        check_input(&self.plan, input)?;
        let Self { forward, team, progress, apart, memories, scratch, results, .. } = self;
        let (apart, together) = (*apart, forward.together());
        let timed = |part: Part, work: &dyn Fn()| match (busy, forward.step_of(part)) {
            (Some(busy), Some(step)) => {
                let begin = Instant::now();
                work();
                busy[step].fetch_add(begin.elapsed().as_nanos() as u64, Ordering::Relaxed);
            }
            _ => work(),
        };
        team.run(progress, &|phase, item, worker| {
            let places =
                |memory: usize| Places { memory: &memories[memory], scratch: &scratch[worker], outputs: results };
            if phase == 0 {
                let places = places(worker);
                for &part in forward.apart() {
                    for part_item in 0..part.items {
                        // SAFETY: parts follow one another, in memory that is this worker's own.
                        timed(part, &|| unsafe { forward.run(part, part_item, item, input, &places) });
                    }
                }
            } else {
                let (record, part) = ((phase - 1) / together.len(), together[(phase - 1) % together.len()]);
                // SAFETY: phases are a record's parts in order, and each begins when the one before is done.
                timed(part, &|| unsafe { forward.run(part, item, apart + record, input, &places(0)) });
            }
        });
        Ok(())
    }
}

/// What the processor calls itself, where the system tells; asked once, as its answer takes longer than a small network.
fn processor_name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let of_first_processor = |file| {
            let mut lines = BufReader::new(file).lines().map_while(io::Result::ok);
            let line = lines.find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_string())
        };
        let found = File::open("/proc/cpuinfo").ok().and_then(of_first_processor);
        found.unwrap_or_else(|| format!("{} processor", std::env::consts::ARCH))
    })
}
