//! Whether the engine takes requests, and if not, why.

use std::sync::{Mutex, PoisonError};

/// What the engine does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It opens the device, warms it up and checks it.
    Starting,
    /// It computes.
    Ready,
    /// It opens the device anew. Accepted requests wait.
    Recovering,
    /// Neither the device nor the CPU computes.
    Failed,
}

impl Phase {
    /// Returns the phase in a word.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::Ready => "ready",
            Phase::Recovering => "recovering",
            Phase::Failed => "failed",
        }
    }
}

/// The phase of the engine, shared by threads.
pub struct Readiness(Mutex<Phase>);

impl Default for Readiness {
    fn default() -> Self {
        Self(Mutex::new(Phase::Starting))
    }
}

impl Readiness {
    pub fn phase(&self) -> Phase {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set(&self, phase: Phase) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }
}
