//! One training step as a plan: forward pass, loss, backward pass, optimiser.

use super::{
    AugmentationPipeline, Objective, ParameterLayout,
    gradient_tape::{GradientTape, NetworkStates},
    layout::initial,
};
use crate::{
    Error, ErrorKind, Result,
    kernels::training::{Adam, LinearInterpolation, Schedule, SquaredSums},
    network::{Folded, Network, Parameters},
    plan::{BufferId, Builder, Plan, forward},
};

/// The constants of Adam or, with weight decay, AdamW. The learning rate changes from step to step and is an input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Optimiser {
    /// The decay rates of the two moments.
    pub betas: [f32; 2],
    /// ε, which is added to the root of the second moment.
    pub epsilon: f32,
    /// The decoupled weight decay; 0 for Adam.
    pub weight_decay: f32,
    /// The largest norm of the gradient, to which longer ones are scaled down; `None` for no clipping.
    pub clip: Option<f32>,
    /// The decay of the exponential moving average of parameters and running statistics, which validation and the result of
    /// a run use; `None` for the parameters themselves.
    pub ema: Option<f32>,
}

impl Default for Optimiser {
    /// Returns Adam with PyTorch's defaults.
    fn default() -> Self {
        Self { betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 0.0, clip: None, ema: None }
    }
}

/// Options of a training step.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct StepOptions<'a> {
    /// The augmentations of the records.
    pub(super) augmentation: Option<&'a AugmentationPipeline>,
    /// Whether the encoder stays unchanged, including its running statistics. It then runs with batch norm folded, and only
    /// the layers after it are trained. Needs a supervised objective.
    pub(super) freeze_encoder: bool,
    /// Whether the gradients of several runs are summed before the optimiser uses them, as [`Schedule::accumulate`] says.
    pub(super) accumulate: bool,
    /// Whether all activations up to the losses are outputs, to find where a number stops being finite.
    pub(super) keep_stages: bool,
}

/// A training step as a plan, and the buffers of the plan that a caller reads.
///
/// The inputs of the plan are the records `[views · batch, leads, samples]`, all records of the first view before those of
/// the second; the schedule; and for a supervised objective the labels `[batch, classes]`. The outputs are one loss per row
/// and partial sums of the squared gradient.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TrainingStep {
    /// The plan.
    pub plan: Plan,
    /// The locations of the tensors in the flat states.
    pub layout: ParameterLayout,
    /// The state `[3, trained]`: the parameters and the two moments of the optimiser.
    pub trained: BufferId,
    /// The state of the running statistics.
    pub running: BufferId,
    /// The state of the last gradient.
    pub gradient: BufferId,
    /// The states of BYOL's target: its parameters and its running statistics.
    pub target: Option<[BufferId; 2]>,
    /// The states of the exponential moving averages of the parameters and of the running statistics.
    pub average: Option<[BufferId; 2]>,
    /// The locations of the target's tensors in its states.
    pub target_layout: ParameterLayout,
}

impl TrainingStep {
    /// Builds the step for batches of this number of records and samples per lead, from initial parameters.
    ///
    /// # Errors
    /// The objective or an augmentation does not fit, the parameters belong to another network, or the batch is too small
    /// for batch norm.
    pub fn new(
        network: &Network,
        objective: &Objective,
        optimiser: &Optimiser,
        parameters: &Parameters,
        shape: [usize; 2],
        augmentation: Option<&AugmentationPipeline>,
    ) -> Result<Self> {
        let options = StepOptions { augmentation, ..StepOptions::default() };
        Self::with(network, objective, optimiser, parameters, shape, &options)
    }

    /// Builds the step with options.
    ///
    /// # Errors
    /// The objective or an augmentation does not fit, the parameters belong to another network, the batch is too small for
    /// batch norm, or the encoder is frozen under a self-supervised objective.
    pub(super) fn with(
        network: &Network,
        objective: &Objective,
        optimiser: &Optimiser,
        parameters: &Parameters,
        shape: [usize; 2],
        options: &StepOptions,
    ) -> Result<Self> {
        objective.check(network, shape[0])?;
        let frozen = if options.freeze_encoder { Some(frozen_encoder(network, objective, parameters)?) } else { None };
        let mut layers = objective.layers(network);
        layers.drain(..frozen.as_ref().map_or(0, |frozen| frozen.network.layers.len()));
        let layout = ParameterLayout::new(&layers);
        let target_layers = &layers[..objective.target_layers(network)];
        let target_layout = ParameterLayout::new(target_layers);
        let flat = layout.flatten(parameters)?;

        let mut builder = Builder::default();
        let Inputs { records: mut x, schedule, labels } =
            Inputs::add(&mut builder, network, objective, shape, options.augmentation)?;
        let states = States::add(&mut builder, flat, &target_layout, optimiser.ema.is_some())?;
        if let Some(frozen) = &frozen {
            x = forward(&mut builder, frozen, x)?;
        }
        let mut tape = GradientTape::new(&mut builder, &layout, states.network, objective.views(), "");
        let y = tape.forward(&layers, x)?;
        let (losses, dy) = match objective {
            Objective::Supervised { loss, class_weights } => {
                let labels = labels.unwrap_or_else(|| unreachable!("a supervised objective has labels"));
                tape.supervised_loss(y, labels, *loss, class_weights)?
            }
            Objective::SimClr { temperature, .. } => tape.nt_xent_loss(y, *temperature)?,
            Objective::Byol { .. } => {
                let target = states.target.unwrap_or_else(|| unreachable!("BYOL has target layers"));
                let t = tape.for_network(&target_layout, target, "target.").forward(target_layers, x)?;
                tape.cosine_loss(y, t)?
            }
        };
        let stages = tape.builder().activations(losses);
        tape.backward(dy, states.gradient)?;
        let lengths = [&layout, &target_layout].map(ParameterLayout::trained_len);
        let squares = states.update(&mut builder, optimiser, options.accumulate, schedule, lengths)?;
        states.average(&mut builder, schedule, [layout.trained_len(), layout.running_len()])?;
        let plan = builder.finish(if options.keep_stages { stages } else { vec![losses, squares] });
        let States { network: NetworkStates { trained, running }, gradient, target, average } = states;
        let [target, average] = [target, average].map(|states| states.map(|states| [states.trained, states.running]));
        Ok(Self { plan, layout, trained, running, gradient, target, average, target_layout })
    }

    /// Draws initial parameters for the layers that an objective trains.
    pub fn initial(network: &Network, objective: &Objective, seed: u64) -> Parameters {
        initial(&objective.layers(network), seed)
    }
}

/// Folds the encoder, which inference then runs unchanged.
fn frozen_encoder(network: &Network, objective: &Objective, parameters: &Parameters) -> Result<Folded> {
    if !objective.is_supervised() {
        let cause = "a frozen encoder under an objective that trains the encoder alone";
        return Err(Error::new(ErrorKind::Usage, cause, "train it, or choose a supervised objective"));
    }
    Folded::new(&network.encoder(), parameters)
}

/// The inputs of the plan, after augmentation.
struct Inputs {
    records: BufferId,
    schedule: BufferId,
    labels: Option<BufferId>,
}

impl Inputs {
    fn add(
        builder: &mut Builder,
        network: &Network,
        objective: &Objective,
        [batch, samples]: [usize; 2],
        augmentation: Option<&AugmentationPipeline>,
    ) -> Result<Self> {
        let views = objective.views();
        let records = builder.input("records", [views * batch, network.in_channels(), samples])?;
        let schedule = builder.input("schedule", [1, 1, Schedule::LEN])?;
        let labels = match objective {
            Objective::Supervised { class_weights, .. } => {
                Some(builder.input("labels", [batch, class_weights.len(), 1])?)
            }
            Objective::SimClr { .. } | Objective::Byol { .. } => None,
        };
        let Some(augmentation) = augmentation else { return Ok(Self { records, schedule, labels }) };
        let augmented = augmentation.add(builder, views, [records, schedule], labels)?;
        Ok(Self { records: augmented.records, schedule, labels: augmented.labels })
    }
}

/// The states of the plan.
struct States {
    /// Parameters with the optimiser's moments, and running statistics.
    network: NetworkStates,
    gradient: BufferId,
    /// BYOL's target: parameters and running statistics.
    target: Option<NetworkStates>,
    /// The averages of the parameters and of the running statistics.
    average: Option<NetworkStates>,
}

impl States {
    /// Adds the states, from the initial parameters and running statistics. BYOL's target begins as a copy of the first
    /// ones, which belong to encoder and projector; the averages begin as copies of all.
    fn add(
        builder: &mut Builder,
        [mut trained, running]: [Vec<f32>; 2],
        target: &ParameterLayout,
        averaged: bool,
    ) -> Result<Self> {
        let length = trained.len();
        let average = if averaged {
            let (trained, running) = (trained.as_slice().into(), running.as_slice().into());
            let trained = builder.state("average", trained)?;
            Some(NetworkStates { trained, running: builder.state("average.running", running)? })
        } else {
            None
        };
        let copies = [trained[..target.trained_len()].to_vec(), running[..target.running_len()].to_vec()];
        trained.resize(3 * length, 0.0);
        let trained = builder.state("trained", trained.into())?;
        let running = builder.state("running", running.into())?;
        let gradient = builder.state("gradient", vec![0.0; length].into())?;
        let network = NetworkStates { trained, running };
        if target.trained.is_empty() {
            return Ok(Self { network, gradient, target: None, average });
        }
        let [parameters, statistics] = copies;
        let trained = builder.state("target", parameters.into())?;
        let running = builder.state("target.running", statistics.into())?;
        Ok(Self { network, gradient, target: Some(NetworkStates { trained, running }), average })
    }

    /// Adds the optimiser and the update of BYOL's target. Returns the partial sums of the squared gradient. `lengths` are
    /// the trained numbers of the network and of the target.
    fn update(
        &self,
        builder: &mut Builder,
        optimiser: &Optimiser,
        accumulate: bool,
        schedule: BufferId,
        [length, target_length]: [usize; 2],
    ) -> Result<BufferId> {
        let trained = self.network.trained;
        let mut gradient = self.gradient;
        if accumulate {
            let sum = builder.state("gradient.sum", vec![0.0; length].into())?;
            let kernel = LinearInterpolation { length, factors: Schedule::ACCUMULATE };
            builder.step_into("gradient.sum", kernel, &[gradient, schedule], sum);
            gradient = sum;
        }
        let squares = [1, 1, SquaredSums::STRETCHES];
        let squares = builder.step("gradient.squares", SquaredSums { length }, &[gradient], squares)?;
        let mut reads = vec![gradient, schedule];
        reads.extend(optimiser.clip.map(|_| squares));
        let Optimiser { betas, epsilon, weight_decay, clip, .. } = *optimiser;
        builder.step_into("adam", Adam { length, betas, epsilon, weight_decay, clip }, &reads, trained);
        if let Some(target) = self.target {
            let online = builder.part("online", trained, 0, [1, 1, target_length])?;
            let kernel = LinearInterpolation { length: target_length, factors: Schedule::TARGET };
            builder.step_into("target", kernel, &[online, schedule], target.trained);
        }
        Ok(squares)
    }

    /// Adds the update of the averages. `lengths` are those of the trained numbers and of the running statistics.
    fn average(&self, builder: &mut Builder, schedule: BufferId, [length, running_length]: [usize; 2]) -> Result<()> {
        let Some(average) = self.average else { return Ok(()) };
        let factors = Schedule::AVERAGE;
        let trained = builder.part("parameters", self.network.trained, 0, [1, 1, length])?;
        let kernel = LinearInterpolation { length, factors };
        builder.step_into("average", kernel, &[trained, schedule], average.trained);
        if running_length > 0 {
            let kernel = LinearInterpolation { length: running_length, factors };
            builder.step_into("average.running", kernel, &[self.network.running, schedule], average.running);
        }
        Ok(())
    }
}
