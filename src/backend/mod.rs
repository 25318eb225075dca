//! Who runs a plan: [`mod@reference`] (float64 loops), [`cpu`] (f32) and [`gpu`] (wgpu). All three take the same plan, and
//! [`Auto`] hands it to the faster one.

mod auto;
pub mod cpu;
mod device;
pub(crate) mod difference;
#[cfg(feature = "gpu")]
pub mod gpu;
mod precision;
pub mod reference;

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

pub use auto::Auto;
pub use device::{Device, open};
pub use precision::Precision;

#[cfg(feature = "train")]
use crate::plan::BufferId;
use crate::{
    Error, ErrorKind, Result,
    kernels::Storage,
    plan::{Plan, Role},
};

/// What runs a plan, in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceInfo {
    /// The device's own name.
    pub name: String,
    /// `vulkan`, `metal`, `dx12`, `cpu` or `reference`.
    pub backend: String,
    /// How it stores weights and activations.
    pub storage: Storage,
}

impl DeviceInfo {
    /// The backend, and the storage where it is not the usual one: `vulkan`, or `vulkan, packed f16`.
    pub fn how(&self) -> String {
        match self.storage {
            Storage::F32 => self.backend.clone(),
            storage => format!("{}, {}", self.backend, storage.to_string().replace('-', " ")),
        }
    }
}

/// A device that can run plans.
pub trait Backend: Send + Sync {
    /// What it is called; of several devices the one that ran last.
    fn info(&self) -> DeviceInfo;

    /// How many records it can take at once; `plan` is for one.
    ///
    /// # Errors
    /// Even one record exceeds the device's limits.
    fn largest_batch(&self, plan: &Plan) -> Result<usize>;

    /// How many executors may usefully run at once: requests beyond that wait.
    fn concurrency(&self) -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    /// Makes everything that the plan needs once and for all.
    ///
    /// # Errors
    /// The device refuses a shader, a buffer or their number; or the plan has states, or steps that the device does not
    /// compute.
    fn prepare(&self, plan: &Plan) -> Result<Box<dyn Executor>>;

    /// As [`Backend::prepare`], for a plan with states.
    ///
    /// # Errors
    /// The device refuses a shader, a buffer or their number, or does not compute one of the steps.
    #[cfg(feature = "train")]
    fn prepare_training(&self, plan: &Plan) -> Result<Box<dyn Trainer>>;

    /// Why one of several devices is used no more, though the others go on. None as long as all is well, and for a single
    /// device, whose runs fail instead.
    fn fault(&self) -> Option<Error> {
        None
    }
}

/// A plan on a device, ready to run any number of times.
pub trait Executor: Send {
    /// Runs the plan on `input` `[batch, leads, samples]` and fills `outputs`, one for each of the plan's outputs. A record
    /// in which a number grew beyond what the device stores has NaN in all of them.
    ///
    /// # Errors
    /// The device failed.
    fn run(&mut self, input: &[f32], outputs: &mut Vec<Vec<f32>>) -> Result<()>;

    /// Runs the plan on each input in turn and hands its outputs to `each`, with the device that computed them: the same bits as by [`Executor::run`], but a
    /// device with memory of its own computes while the host makes the next input and reads the last outputs.
    ///
    /// # Errors
    /// The device failed, or an input has the wrong length. `each` has had the outputs of earlier inputs; later ones are
    /// not asked for.
    fn stream<'a>(
        &mut self,
        inputs: &mut dyn Iterator<Item = Cow<'a, [f32]>>,
        each: &mut dyn FnMut(&[Vec<f32>], &DeviceInfo),
    ) -> Result<()> {
        let mut outputs = Vec::new();
        for input in inputs {
            self.run(&input, &mut outputs)?;
            each(&outputs, &self.device());
        }
        Ok(())
    }

    /// Describes the device that computed the last run; before the first run, the one that will compute it.
    fn device(&self) -> DeviceInfo;

    /// Runs the plan and says how long the device computed on each of its steps, in order: without transfers, waiting
    /// and whatever else a run takes. A step that is run together with the one before takes no time.
    ///
    /// # Errors
    /// The device failed, or cannot tell.
    fn profile(&mut self, input: &[f32]) -> Result<Vec<Duration>>;
}

/// A plan with states on a device: each run leaves its states to the next.
#[cfg(feature = "train")]
pub trait Trainer: Send {
    /// Runs the plan on one array for each of its inputs and fills `outputs`, one for each of its outputs.
    ///
    /// # Errors
    /// An input of the wrong length, or the device failed.
    fn run(&mut self, inputs: &[&[f32]], outputs: &mut Vec<Vec<f32>>) -> Result<()>;

    /// What a state holds.
    ///
    /// # Errors
    /// The device failed.
    fn state(&mut self, state: BufferId) -> Result<Vec<f32>>;

    /// Makes a state hold these numbers.
    ///
    /// # Errors
    /// As many numbers as the state does not have, or the device failed.
    fn set_state(&mut self, state: BufferId, values: &[f32]) -> Result<()>;

    /// Runs the plan as [`Trainer::run`] does and says how long the device computed on each of its steps, in order.
    ///
    /// # Errors
    /// The device failed, or cannot tell.
    fn profile(&mut self, inputs: &[&[f32]]) -> Result<Vec<Duration>> {
        let _ = inputs;
        Err(Error::new(ErrorKind::Device, "this device cannot tell how long steps take", "profile another"))
    }
}

/// Checks that there are as many numbers as a state has.
#[cfg(feature = "train")]
fn check_state(plan: &Plan, state: BufferId, values: &[f32]) -> Result<()> {
    let buffer = &plan.buffers[state];
    if values.len() == buffer.len() {
        return Ok(());
    }
    let cause = format!("{} numbers for state {}, which has {}", values.len(), buffer.name, buffer.len());
    Err(Error::new(ErrorKind::Shape, cause, "use what was saved from the same network and objective"))
}

/// Checks that no run of the plan leaves anything to the next.
fn check_stateless(plan: &Plan) -> Result<()> {
    match plan.buffers.iter().find(|buffer| matches!(buffer.role, Role::State(_))) {
        None => Ok(()),
        Some(state) => {
            let cause = format!("the plan has states, {} among them", state.name);
            Err(Error::new(ErrorKind::Usage, cause, "prepare it for training"))
        }
    }
}

/// Activations that one forward pass may take, 1 GiB, so that a large batch is split before memory runs short. One record
/// of ten seconds needs less than 1 MB.
const ACTIVATION_BYTES: usize = 1 << 30;

/// How many records fit into [`ACTIVATION_BYTES`], at least one; `plan` is for one record.
fn batch_by_memory(plan: &Plan) -> usize {
    (ACTIVATION_BYTES / plan.activation_bytes().max(1)).max(1)
}

/// Checks that there are as many inputs as the plan has, each as long as it says.
fn check_inputs(plan: &Plan, inputs: &[&[f32]]) -> Result<()> {
    if inputs.len() != plan.inputs.len() {
        let cause = format!("{} inputs where {} are expected", inputs.len(), plan.inputs.len());
        return Err(Error::new(ErrorKind::Shape, cause, "give one for each of the plan's inputs"));
    }
    for (input, &id) in inputs.iter().zip(&plan.inputs) {
        let expected = plan.buffers[id].shape;
        if input.len() != plan.buffers[id].len() {
            let cause = format!("an input of {} numbers where {expected:?} are expected", input.len());
            return Err(Error::new(ErrorKind::Shape, cause, "give batch × leads × samples numbers"));
        }
    }
    Ok(())
}

/// [`check_inputs`] of a plan with one.
fn check_input(plan: &Plan, input: &[f32]) -> Result<()> {
    check_inputs(plan, &[input])
}

/// What a device made of a constant (an upload, a packed copy), kept as long as the constant lives, so that plans for
/// many shapes share it.
pub(crate) struct ConstantCache<T>(Mutex<Vec<(Weak<[f32]>, T)>>);

impl<T> Default for ConstantCache<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> ConstantCache<T> {
    /// Forgets everything, as after a failure that may have left something unusable.
    #[cfg(feature = "gpu")]
    fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn get(&self, constant: &Arc<[f32]>, make: impl FnOnce() -> T) -> T {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|(weak, _)| weak.strong_count() > 0);
        // A Weak keeps its address from being used again, so equal addresses are the same constant.
        if let Some((_, made)) =
            entries.iter().find(|(weak, _)| std::ptr::addr_eq(weak.as_ptr(), Arc::as_ptr(constant)))
        {
            return made.clone();
        }
        let made = make();
        entries.push((Arc::downgrade(constant), made.clone()));
        made
    }
}
