//! Training on the engine that classifies: a step of training is a [`Plan`](crate::plan::Plan) like a forward pass, with
//! the gradients, the loss and the optimiser as further steps, and the same backends run it.

pub mod augment;
mod batches;
mod curves;
mod files;
mod folder;
mod input_gradient;
mod layout;
mod learner;
mod objective;
mod ptb_xl;
mod run;
mod schedule;
mod settings;
mod step;
mod tape;
#[cfg(test)]
mod tests;
mod validation;

pub use augment::{Augmentations, Augmenting};
pub(crate) use files::Contents;
pub use folder::Folder;
pub use layout::{Layout, Place};
pub use learner::{Learner, LearnerState, Loss, Rates, Task};
pub use objective::{Heads, Objective};
pub use ptb_xl::{PtbXl, PtbXlRun, Start};
pub use run::{Data, Epoch, Event, Examples, Observer, Outcome, Recipe, run};
pub use schedule::{LearningRate, Shape, target_momentum};
pub use settings::{ClassWeights, Kind, LossName, Settings};
pub use step::{Optimiser, StepOptions, TrainingStep};
