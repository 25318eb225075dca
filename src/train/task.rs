//! What is trained: a network, its objective and the shape of a batch.

use std::collections::HashMap;

use super::{AugmentationPipeline, Objective, Optimiser, StepOptions, TrainingStep};
use crate::{
    Error, ErrorKind, Result,
    network::{Network, Parameters, Tensor},
};

/// A network with everything that defines its training step.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// The network.
    pub network: Network,
    /// The objective.
    pub objective: Objective,
    /// The optimiser.
    pub optimiser: Optimiser,
    /// The initial parameters.
    pub parameters: Parameters,
    /// The number of records per batch.
    pub batch: usize,
    /// The number of samples per lead of each record.
    pub samples: usize,
    /// The number of micro-batches. A batch is split into that many, which run one after the other on the device and whose
    /// gradients are summed (gradient accumulation). Batch norm normalises each micro-batch by itself, so the result
    /// differs from that of the whole batch. Only supervised objectives can be split.
    pub micro_batches: usize,
    /// The augmentations of the records.
    pub augmentation: Option<AugmentationPipeline>,
    /// Whether the encoder stays unchanged, including its running statistics, and only the layers after it are trained.
    pub freeze_encoder: bool,
    /// How many of the network's logits, from the last one, are auxiliary: they have targets in training, and the result
    /// of a run does not have them.
    pub auxiliary: usize,
}

impl Task {
    /// Makes a task with one micro-batch, Adam, no augmentations and no frozen layers, for batches of this number of
    /// records and samples per lead.
    pub fn new(network: Network, objective: Objective, parameters: Parameters, [batch, samples]: [usize; 2]) -> Self {
        let optimiser = Optimiser::default();
        Self {
            network,
            objective,
            optimiser,
            parameters,
            batch,
            samples,
            micro_batches: 1,
            augmentation: None,
            freeze_encoder: false,
            auxiliary: 0,
        }
    }

    /// Returns the network without auxiliary logits.
    pub(super) fn inference_network(&self) -> Network {
        let classes = self.network.classes() - self.auxiliary;
        self.network.clone().with_classes(classes)
    }

    /// Returns the parameters of [`Task::inference_network`]: those of the last layer lose the rows of auxiliary logits.
    pub(super) fn inference_parameters(&self, parameters: &Parameters) -> Parameters {
        if self.auxiliary == 0 {
            return parameters.clone();
        }
        let shapes: HashMap<String, Vec<usize>> = self.inference_network().tensors().into_iter().collect();
        let cut = |(name, tensor): (&str, &Tensor)| {
            let shape = shapes.get(name).unwrap_or(&tensor.shape).clone();
            let values = tensor.values[..shape.iter().product()].into();
            (name.to_string(), Tensor { shape, values })
        };
        Parameters::new(parameters.iter().map(cut))
    }

    /// Builds the plan of one micro-batch. With `keep_stages` its outputs are all activations up to the losses.
    ///
    /// # Errors
    /// The batch cannot be split into the micro-batches, or the task is invalid.
    pub(super) fn step(&self, keep_stages: bool) -> Result<TrainingStep> {
        let usage = |cause: String, remedy: &str| Err(Error::new(ErrorKind::Usage, cause, remedy));
        let (batch, parts) = (self.batch, self.micro_batches);
        if parts == 0 || !batch.is_multiple_of(parts) {
            return usage(
                format!("a batch of {batch} in {parts} parts"),
                "use a number of parts that divides the batch",
            );
        }
        if parts > 1 && self.objective.views() > 1 {
            let cause = format!("a batch of {batch} in {parts} parts: the objective compares all of its records");
            return usage(cause, "use a smaller batch");
        }
        let options = StepOptions {
            augmentation: self.augmentation.as_ref(),
            freeze_encoder: self.freeze_encoder,
            accumulate: parts > 1,
            keep_stages,
        };
        let shape = [batch / parts, self.samples];
        TrainingStep::with(&self.network, &self.objective, &self.optimiser, &self.parameters, shape, &options)
    }
}
