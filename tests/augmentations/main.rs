//! What each augmentation changes in a batch, and what it leaves unchanged.

#![cfg(feature = "train")]

mod agreement;
mod batch;
mod disturbances;
mod draws;
mod effects;
