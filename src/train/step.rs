//! One step of training as a plan: forward, loss, backward, optimiser.

use super::{
    Augmenting, Layout, Objective,
    layout::initial,
    tape::{Store, Tape},
};
use crate::{
    Error, ErrorKind, Result,
    kernels::training::{
        Adam, CosineLoss, CosineLossGradient, L2Normalise, L2NormaliseGradient, LinearInterpolation, NtXentGradient,
        NtXentLoss, Schedule, Similarity, SquaredSums, SupervisedLoss, SupervisedLossGradient, SupervisedLossKind,
    },
    network::{Folded, Network, Parameters},
    plan::{BufferId, Builder, Plan, forward},
};

/// The optimiser's constants; the learning rate is the schedule's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Optimiser {
    /// Decay of the two moments.
    pub betas: [f32; 2],
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Decoupled weight decay, 0 for plain Adam.
    pub weight_decay: f32,
    /// The largest norm of the gradient, if it is bounded.
    pub clip: Option<f32>,
}

impl Default for Optimiser {
    /// Adam with PyTorch's defaults.
    fn default() -> Self {
        Self { betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 0.0, clip: None }
    }
}

/// What a training step may have besides network and objective.
#[derive(Debug, Clone, Copy, Default)]
pub struct StepOptions<'a> {
    /// What the records are augmented with.
    pub augmenting: Option<&'a Augmenting>,
    /// Whether the encoder stays as it is, statistics too: it passes folded, and only the layers behind it are trained. For
    /// supervised objectives.
    pub freeze_encoder: bool,
    /// Whether gradients of several runs are summed, as [`Schedule::accumulate`] says, before the optimiser uses them.
    pub accumulate: bool,
    /// Whether every activation up to the losses can be read, for finding where a number stops being finite.
    pub keep_stages: bool,
}

/// A plan that trains, and where in it everything lies.
#[derive(Debug, Clone)]
pub struct TrainingStep {
    /// Its inputs are the records `[views · batch, leads, samples]`, one view after the other; the schedule; and the labels `[batch, classes]` of a supervised objective. Its outputs are the
    /// losses, one a row, and sums of the gradient's squares; with [`StepOptions::keep_stages`] every activation up to the
    /// losses.
    pub plan: Plan,
    /// Where the tensors lie in the flat states.
    pub layout: Layout,
    /// The state `[3, trained]`: parameters and the two moments of the optimiser.
    pub trained: BufferId,
    /// The state of running statistics.
    pub running: BufferId,
    /// The state that holds the gradient of the last step.
    pub gradient: BufferId,
    /// BYOL's target: its parameters and its running statistics, laid out as the first of the network's own.
    pub target: Option<[BufferId; 2]>,
    /// The target's layout.
    pub target_layout: Layout,
}

impl TrainingStep {
    /// The step for batches of so many records with so many samples a lead, from given parameters, with augmentations or
    /// without.
    ///
    /// # Errors
    /// An objective or an augmentation that does not fit, parameters of another network, or a batch too small for batch
    /// norm.
    pub fn new(
        network: &Network,
        objective: &Objective,
        optimiser: &Optimiser,
        parameters: &Parameters,
        shape: [usize; 2],
        augmenting: Option<&Augmenting>,
    ) -> Result<Self> {
        let options = StepOptions { augmenting, ..StepOptions::default() };
        Self::with(network, objective, optimiser, parameters, shape, &options)
    }

    /// As [`TrainingStep::new`], with more to choose.
    ///
    /// # Errors
    /// As of [`TrainingStep::new`], and a frozen encoder under a self-supervised objective.
    pub fn with(
        network: &Network,
        objective: &Objective,
        optimiser: &Optimiser,
        parameters: &Parameters,
        [records, samples]: [usize; 2],
        options: &StepOptions,
    ) -> Result<Self> {
        objective.check(network, records)?;
        let augmenting = options.augmenting;
        let frozen = if options.freeze_encoder { Some(encoder(network, objective, parameters)?) } else { None };
        let mut layers = objective.layers(network);
        layers.drain(..frozen.as_ref().map_or(0, |frozen| frozen.network.layers.len()));
        let layout = Layout::new(&layers);
        let [mut trained, running] = layout.flatten(parameters)?;
        let length = trained.len();
        let target_layers = &layers[..objective.target_layers(network)];
        let target_layout = Layout::new(target_layers);
        // The target starts as a copy of encoder and projector.
        let target = [trained[..target_layout.trained_len()].to_vec(), running[..target_layout.running_len()].to_vec()];
        trained.resize(3 * length, 0.0);

        let mut builder = Builder::default();
        let views = objective.views();
        let mut x = builder.input("records", [views * records, network.in_channels(), samples])?;
        let schedule = builder.input("schedule", [1, 1, Schedule::LEN])?;
        let mut labels = match objective {
            Objective::Supervised { class_weights, .. } => {
                Some(builder.input("labels", [records, class_weights.len(), 1])?)
            }
            _ => None,
        };
        if let Some(augmenting) = augmenting {
            let augmented = augmenting.add(&mut builder, views, [x, schedule], labels)?;
            (x, labels) = (augmented.records, augmented.labels);
        }
        let trained = builder.state("trained", trained.into())?;
        let running = builder.state("running", running.into())?;
        let gradient = builder.state("gradient", vec![0.0; length].into())?;
        let target = match target_layers {
            [] => None,
            _ => {
                let [parameters, running] = target;
                Some([builder.state("target", parameters.into())?, builder.state("target.running", running.into())?])
            }
        };

        if let Some(frozen) = &frozen {
            x = forward(&mut builder, frozen, x)?;
        }
        let mut tape = Tape::new(&mut builder, &layout, Store { trained, running }, views, "");
        let y = tape.forward(&layers, x)?;
        let losses;
        let dy;
        match objective {
            Objective::Supervised { loss, class_weights } => {
                let labels = labels.unwrap_or_else(|| unreachable!("a supervised objective has labels"));
                (losses, dy) = tape.supervised(y, labels, *loss, class_weights)?;
            }
            Objective::SimClr { temperature, .. } => (losses, dy) = tape.simclr(y, *temperature)?,
            Objective::Byol { .. } => {
                let [trained, running] = target.unwrap_or_else(|| unreachable!("BYOL has target layers"));
                let store = Store { trained, running };
                let t = tape.other(&target_layout, store, "target.").forward(target_layers, x)?;
                (losses, dy) = tape.byol(y, t)?;
            }
        }
        let stages = tape.builder().activations(losses);
        tape.backward(dy, gradient)?;
        let mut sum = gradient;
        if options.accumulate {
            sum = builder.state("gradient.sum", vec![0.0; length].into())?;
            builder.step_into(
                "gradient.sum",
                LinearInterpolation { length, factors: Schedule::ACCUMULATE },
                &[gradient, schedule],
                sum,
            );
        }
        let squares = [1, 1, SquaredSums::STRETCHES];
        let squares = builder.step("gradient.squares", SquaredSums { length }, &[sum], squares)?;
        let mut reads = vec![sum, schedule];
        reads.extend(optimiser.clip.map(|_| squares));
        let Optimiser { betas, epsilon, weight_decay, clip } = *optimiser;
        builder.step_into("adam", Adam { length, betas, epsilon, weight_decay, clip }, &reads, trained);
        if let Some([target, _]) = target {
            let length = target_layout.trained_len();
            let online = builder.part("online", trained, 0, [1, 1, length])?;
            builder.step_into(
                "target",
                LinearInterpolation { length, factors: Schedule::TARGET },
                &[online, schedule],
                target,
            );
        }
        let plan = builder.finish(if options.keep_stages { stages } else { vec![losses, squares] });
        Ok(Self { plan, layout, trained, running, gradient, target, target_layout })
    }

    /// Fresh parameters for the layers of an objective.
    pub fn initial(network: &Network, objective: &Objective, seed: u64) -> Parameters {
        initial(&objective.layers(network), seed)
    }
}

/// The encoder of a supervised network as inference runs it.
fn encoder(network: &Network, objective: &Objective, parameters: &Parameters) -> Result<Folded> {
    if !matches!(objective, Objective::Supervised { .. }) {
        let cause = "a frozen encoder under an objective that trains the encoder alone";
        return Err(Error::new(ErrorKind::Usage, cause, "train it, or choose a supervised objective"));
    }
    Folded::new(&network.encoder(), parameters)
}

impl Tape<'_> {
    /// Losses, and the gradient by the logits y.
    fn supervised(
        &mut self,
        y: BufferId,
        labels: BufferId,
        kind: SupervisedLossKind,
        class_weights: &[f32],
    ) -> Result<(BufferId, BufferId)> {
        let builder = self.builder();
        let shape @ [batch, classes, _] = builder.shape(y);
        let weights = builder.constant("class_weights", &class_weights.into())?;
        let loss = SupervisedLoss { batch, classes, kind };
        let losses = builder.step("loss", loss.clone(), &[y, labels, weights], [1, 1, batch])?;
        let dy = builder.step("loss.gradient", SupervisedLossGradient(loss), &[y, labels, weights], shape)?;
        Ok((losses, dy))
    }

    fn simclr(&mut self, y: BufferId, temperature: f32) -> Result<(BufferId, BufferId)> {
        let builder = self.builder();
        let shape @ [rows, features, _] = builder.shape(y);
        let z = builder.step("normalise", L2Normalise { rows, features }, &[y], shape)?;
        let similarity = Similarity { rows, features, temperature };
        let similarities = builder.step("similarities", similarity.clone(), &[z], [1, rows, rows])?;
        let losses = builder.step("loss", NtXentLoss { rows }, &[similarities], [1, 1, rows])?;
        let dz = builder.step("loss.gradient", NtXentGradient(similarity), &[z, similarities, losses], shape)?;
        let dy = builder.step("normalise.gradient", L2NormaliseGradient { rows, features }, &[y, dz], shape)?;
        Ok((losses, dy))
    }

    fn byol(&mut self, p: BufferId, t: BufferId) -> Result<(BufferId, BufferId)> {
        let builder = self.builder();
        let shape @ [rows, features, _] = builder.shape(p);
        let loss = CosineLoss { rows, features };
        let losses = builder.step("loss", loss.clone(), &[p, t], [1, 1, rows])?;
        let dp = builder.step("loss.gradient", CosineLossGradient(loss), &[p, t], shape)?;
        Ok((losses, dp))
    }
}
