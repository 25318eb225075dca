//! Training. A training step is a [`Plan`](crate::engine::plan::Plan), like a forward pass: the gradients, the loss and the
//! optimiser are further steps, and the same backends run it.
//!
//! | module | contents |
//! |---|---|
//! | `data`, `batches` | the records of a run and the batches made from them |
//! | `augment` | augmentations, as steps of the plan |
//! | `objective`, `losses` | what is minimised, and the layers that an objective adds |
//! | `layout`, `gradient_tape`, `step` | the plan of a training step |
//! | `task`, `session` | a network with its objective, and its training on a device batch by batch |
//! | `schedule`, `recipe`, `validation`, `history`, `run` | the epochs of a run |
//! | `run_folder`, `checkpoint`, `run_identity`, `curves` | the files of a run |
//! | `settings`, `examples`, `dataset_run` | runs on a data set: PTB-XL or one's own records |
//! | `inference` | the logits of whole records, for validation and distillation |
//! | `verify` | the comparison of a step on a device with the reference |

pub mod augment;
mod batches;
mod checkpoint;
mod curves;
mod data;
mod dataset_run;
mod examples;
mod gradient_tape;
#[cfg(test)]
mod gradient_tests;
mod history;
mod inference;
mod layout;
mod losses;
mod objective;
mod recipe;
mod run;
mod run_folder;
mod run_identity;
mod schedule;
mod session;
mod settings;
mod step;
mod task;
mod validation;
mod verify;

pub use augment::{AugmentationPipeline, Augmentations};
pub use data::{Data, Examples};
pub use dataset_run::{DatasetRun, StartMode};
pub use examples::DatasetExamples;
pub use history::Epoch;
pub use layout::{ParameterLayout, TensorLocation};
pub use objective::{Heads, Objective};
pub use recipe::Recipe;
pub use run::{Event, Observer, Outcome, run};
pub use run_folder::RunFolder;
pub use schedule::{LearningRate, ScheduleShape};
pub use session::{Loss, Rates, SessionState, TrainingSession};
pub use settings::{ClassWeights, LossName, RunKind, Settings};
use step::StepOptions;
pub use step::{Optimiser, TrainingStep};
pub use task::Task;
pub use verify::verify;
