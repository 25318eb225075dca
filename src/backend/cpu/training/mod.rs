//! A plan with states on the CPU: step after step over the whole batch, each step's items shared out among the team.
//!
//! `places` says where every buffer lies, the other files how a step runs: `convolution` and `weight_gradient` in the
//! register tiles of the forward pass, `batch_norm` in `columns`, `streams` what moves or changes numbers one by one, and
//! `exact` the few small operations, losses among them, by their float64 reference. What an item computes does not
//! depend on how many there are, so a step has the same bits for any number of threads.

mod batch_norm;
pub(super) mod columns;
mod convolution;
mod exact;
pub(super) mod outer;
mod places;
mod streams;
mod weight_gradient;

use super::{
    Cpu,
    instructions::Kernels,
    memory::Area,
    parallel::{Progress, Team},
};
use crate::{
    Result,
    backend::{Trainer, check_inputs, check_state},
    plan::{BufferId, Plan},
};
use places::{Places, Spot};

/// Everything that a plan's numbers lie in.
struct Memory {
    /// For each slot an area for each record.
    slots: Vec<Vec<Area>>,
    /// For each constant and state an area.
    kept: Vec<Area>,
    results: Vec<Area>,
}

/// What an item works with.
struct Context<'a> {
    memory: &'a Memory,
    kernels: &'static Kernels,
    inputs: &'a [&'a [f32]],
    /// The worker's own.
    scratch: &'a Area,
}

/// A step ready to run.
trait Operation: Send + Sync {
    /// Items of each phase; every item of a phase is done before the next phase begins.
    fn phases(&self) -> Vec<usize>;

    /// Numbers of scratch memory that an item needs.
    fn scratch(&self) -> usize {
        0
    }

    /// Does one item.
    ///
    /// # Safety
    /// All earlier phases are done, nobody else does this item or one of another phase, and nobody else uses the
    /// context's scratch.
    unsafe fn run(&self, phase: usize, item: usize, context: &Context);
}

/// A plan with states.
pub(super) struct CpuTrainer {
    plan: Plan,
    places: Places,
    memory: Memory,
    /// The operations and, for each phase of the whole, its operation and which phase of it.
    operations: Vec<Box<dyn Operation>>,
    phases: Vec<(usize, usize)>,
    scratch: Vec<Area>,
    progress: Progress,
    team: Team,
    kernels: &'static Kernels,
}

impl CpuTrainer {
    pub(super) fn new(cpu: &Cpu, plan: &Plan) -> Self {
        let kernels = cpu.kernels;
        let places = Places::new(plan, kernels);
        let mut operations: Vec<Box<dyn Operation>> = Vec::new();
        for (at, &id) in plan.inputs.iter().enumerate() {
            operations.push(Box::new(streams::Enter { input: at, to: places.rows(id) }));
        }
        for at in 0..plan.steps.len() {
            operations.push(operation(plan, &places, at, kernels, cpu.team.workers()));
        }
        for (at, &id) in plan.outputs.iter().enumerate() {
            operations.push(Box::new(streams::Leave { output: at, from: places.rows(id) }));
        }
        let mut phases = Vec::new();
        let mut items = Vec::new();
        for (at, operation) in operations.iter().enumerate() {
            for (phase, count) in operation.phases().into_iter().enumerate() {
                phases.push((at, phase));
                items.push(count);
            }
        }
        let progress = Progress::new(cpu.team.workers(), &items);
        let scratch = operations.iter().map(|operation| operation.scratch()).max().unwrap_or(0);
        let memory = Memory {
            slots: places.slots(),
            kept: places.kept(plan),
            results: plan.outputs.iter().map(|&id| Area::new(plan.buffers[id].len())).collect(),
        };
        Self {
            scratch: (0..progress.workers()).map(|_| Area::new(scratch)).collect(),
            plan: plan.clone(),
            places,
            memory,
            operations,
            phases,
            progress,
            team: cpu.team.clone(),
            kernels,
        }
    }
}

/// How a step of the plan is run.
fn operation(plan: &Plan, places: &Places, at: usize, kernels: &'static Kernels, workers: usize) -> Box<dyn Operation> {
    use crate::kernels::{Kernel, training::Training};
    let step = &plan.steps[at];
    match &step.kernel {
        Kernel::Conv1d(conv) if !conv.fused_max_pool => convolution::convolution(places, at, step),
        Kernel::Linear(linear) => convolution::linear(places, step, linear, kernels),
        Kernel::MaxPool(pool) => Box::new(streams::MaxPool::new(places, step, pool)),
        Kernel::GlobalAveragePool(_) => Box::new(streams::Mean::new(places, step)),
        Kernel::Conv1d(_) | Kernel::PooledLinear(_) => unreachable!("what is joined was refused"),
        Kernel::Training(training) => match training {
            Training::BatchStatistics(it) => Box::new(batch_norm::Statistics::new(places, step, it.0)),
            Training::BatchNorm(it) => Box::new(batch_norm::Normalisation::new(places, step, it)),
            Training::BatchNormGradientSums(it) => Box::new(batch_norm::Sums::new(places, step, it)),
            Training::BatchNormInputGradient(it) => Box::new(batch_norm::Gradient::new(places, step, it)),
            Training::Conv1dWeightGradient(it) => {
                Box::new(weight_gradient::WeightGradient::new(places, step, it, kernels, workers))
            }
            Training::Gather(_) => Box::new(streams::Gather::new(places, step)),
            Training::DepthToSpace(it) => Box::new(streams::DepthToSpace::new(places, step, it)),
            Training::GlobalAveragePoolGradient(it) => Box::new(streams::MeanGradient::new(places, step, it)),
            Training::Relu(_) => Box::new(streams::Relu::new(places, step)),
            Training::ReluGradient(_) => Box::new(streams::ReluGradient::new(places, step)),
            Training::Adam(it) => Box::new(streams::Adam::new(places, step, it)),
            Training::LinearInterpolation(it) => Box::new(streams::LinearInterpolation::new(places, step, it)),
            _ => Box::new(exact::Exact::new(plan, places, at)),
        },
    }
}

impl Trainer for CpuTrainer {
    fn run(&mut self, inputs: &[&[f32]], outputs: &mut Vec<Vec<f32>>) -> Result<()> {
        check_inputs(&self.plan, inputs)?;
        let Self { memory, operations, phases, scratch, progress, team, kernels, .. } = self;
        let memory = &*memory;
        team.run(progress, &|phase, item, worker| {
            let (operation, phase) = phases[phase];
            let context = Context { memory, kernels, inputs, scratch: &scratch[worker] };
            // SAFETY: operations follow one another, each phase after the one before, and each worker has its scratch.
            unsafe { operations[operation].run(phase, item, &context) };
        });
        outputs.resize(memory.results.len(), Vec::new());
        for ((output, result), &id) in outputs.iter_mut().zip(&memory.results).zip(&self.plan.outputs) {
            output.clear();
            // SAFETY: the run is over, and with it everyone else's use.
            output.extend_from_slice(unsafe { result.read(0..self.plan.buffers[id].len()) });
        }
        Ok(())
    }

    fn state(&mut self, state: BufferId) -> Result<Vec<f32>> {
        let spot = self.places.spot(state);
        // SAFETY: no run is going on.
        Ok(unsafe { spot.read(&self.memory) }.to_vec())
    }

    fn set_state(&mut self, state: BufferId, values: &[f32]) -> Result<()> {
        check_state(&self.plan, state, values)?;
        let spot: Spot = self.places.spot(state);
        // SAFETY: no run is going on.
        unsafe { spot.write(&self.memory) }.copy_from_slice(values);
        Ok(())
    }
}

/// How many pieces of about `size` numbers there are in `total`, at least one.
fn pieces(total: usize, size: usize) -> usize {
    total.div_ceil(size).max(1)
}
