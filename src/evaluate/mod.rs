//! Metrics of predictions, computed from probabilities and labels. `docs/evaluation.md` defines each of them.

mod bootstrap;
mod calibration;
mod decisions;
mod predictions;
mod ranking;

pub use bootstrap::{DRAWS, bootstrap, interval};
pub use calibration::{BINS, Bin, brier_score, expected_calibration_error, reliability, temperature};
pub use decisions::{Counts, Decisions, best_threshold, fmax, label_confusion};
pub use predictions::Predictions;
pub use ranking::{Aurocs, Ranking, auroc, average_precision, macro_mean};
