//! What a run and the checkpoint that it resumes from must have in common: everything that its result depends on.

use std::fmt::Debug;

use sha2::{Digest, Sha256};

use super::{Data, Objective, Recipe, Task};

/// How many records have their samples compared. They are spread evenly over the data.
const SAMPLED_RECORDS: usize = 64;

/// What a run is, apart from the device.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RunIdentity {
    /// The names and values of everything that the result depends on.
    pub(super) entries: Vec<(&'static str, String)>,
    /// The number of steps per epoch.
    pub(super) steps: usize,
}

impl RunIdentity {
    /// Describes a run before its batch is split for the device.
    pub(super) fn new(task: &Task, data: &Data, recipe: &Recipe) -> Self {
        let text = |value: &dyn Debug| format!("{value:?}");
        let Recipe { epochs, learning_rate, target_momentum, patience, seed } = recipe;
        let steps = data.training.len() / task.batch;
        let entries = vec![
            ("network", task.network.name.clone()),
            ("objective", objective(task).into()),
            ("loss", text(&task.objective)),
            ("seed", seed.to_string()),
            ("epochs", epochs.to_string()),
            ("batch", task.batch.to_string()),
            ("samples", task.samples.to_string()),
            ("learning rate", text(learning_rate)),
            ("target momentum", target_momentum.to_string()),
            ("patience", text(patience)),
            ("optimiser", text(&task.optimiser)),
            ("augmentation", text(&task.augmentation)),
            ("initial parameters", initial_parameters(task)),
            ("records", format!("{} to train, {} to validate", data.training.len(), data.validation.len())),
            ("auxiliary targets", task.auxiliary.to_string()),
            ("data", contents(task, data)),
        ];
        Self { entries, steps }
    }
}

/// Names the objective.
fn objective(task: &Task) -> &'static str {
    match &task.objective {
        Objective::Supervised { .. } if task.freeze_encoder => "supervised, encoder frozen",
        Objective::Supervised { .. } => "supervised",
        Objective::SimClr { .. } => "SimCLR",
        Objective::Byol { .. } => "BYOL",
    }
}

/// Returns the checksum of the layers and of the parameters that training starts from.
fn initial_parameters(task: &Task) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{:?}", task.network.layers));
    for (name, tensor) in task.parameters.iter() {
        hash.update(format!("{name:?} {:?}", tensor.shape));
        update(&mut hash, &tensor.values);
    }
    digits(hash)
}

/// Returns the checksum of the names and labels of all records, and of the samples of some.
fn contents(task: &Task, data: &Data) -> String {
    let Data { examples, training, validation } = *data;
    let mut hash = Sha256::new();
    let mut labels = vec![0.0; task.network.classes()];
    for records in [training, validation] {
        hash.update((records.len() as u64).to_le_bytes());
        for &index in records {
            hash.update(format!("{:?}", examples.name(index)));
            if task.objective.is_supervised() {
                examples.labels(index, &mut labels);
                update(&mut hash, &labels);
            }
        }
        let mut record = vec![0.0; examples.leads() * examples.samples()];
        for &index in records.iter().step_by(records.len().div_ceil(SAMPLED_RECORDS).max(1)) {
            examples.record(index, &mut record);
            update(&mut hash, &record);
        }
    }
    digits(hash)
}

fn update(hash: &mut Sha256, values: &[f32]) {
    values.iter().for_each(|value| hash.update(value.to_le_bytes()));
}

/// The first 64 bits of a checksum in hexadecimal digits.
pub(super) fn digits(hash: Sha256) -> String {
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
