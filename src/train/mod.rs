//! Training on the engine that classifies: a step of training is a [`Plan`](crate::plan::Plan) like a forward pass, with
//! the gradients, the loss and the optimiser as further steps, and the same backends run it.

pub mod augment;
mod input_gradient;
mod layout;
mod learner;
mod objective;
mod step;
mod tape;
#[cfg(test)]
mod tests;

pub use augment::{Augmentations, Augmenting};
pub use layout::{Layout, Place};
pub use learner::{Learner, LearnerState, Loss, Rates};
pub use objective::{Heads, Objective};
pub use step::{Optimiser, TrainingStep};
