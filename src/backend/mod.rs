//! Backends execute plans: [`mod@reference`] in float64 loops, [`cpu`] in f32, [`gpu`] through wgpu. All of them take the
//! same plan. [`Auto`] combines the CPU with a GPU and runs each plan on the faster one.

mod auto;
pub mod cpu;
mod device;
pub(crate) mod difference;
#[cfg(feature = "gpu")]
pub mod gpu;
mod precision;
mod process;
pub mod reference;

use std::{
    borrow::Cow,
    fmt,
    future::{Future, ready},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

pub use auto::Auto;
#[cfg(target_family = "wasm")]
pub(crate) use device::open_async;
pub use device::{Device, open, open_in, open_one};
pub use precision::Precision;
pub use process::is_forked;

use crate::{
    Error, ErrorKind, Result,
    kernels::Storage,
    plan::{BufferId, Plan, Role},
};

/// Describes the device that runs a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// The name that the device reports.
    pub name: String,
    /// The name of the backend: `vulkan`, `metal`, `dx12`, `cpu` or `reference`.
    pub backend: String,
    /// The storage of weights and activations.
    pub storage: Storage,
}

impl DeviceInfo {
    /// Describes a device by its name, its backend and its storage.
    pub fn new(name: impl Into<String>, backend: impl Into<String>, storage: Storage) -> Self {
        Self { name: name.into(), backend: backend.into(), storage }
    }

    /// Returns the backend, and the storage where it is not f32: `vulkan`, or `vulkan, packed f16`.
    pub fn backend_and_storage(&self) -> String {
        match self.storage {
            Storage::F32 => self.backend.clone(),
            storage => format!("{}, {}", self.backend, storage.to_string().replace('-', " ")),
        }
    }
}

impl fmt::Display for DeviceInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.backend_and_storage())
    }
}

/// What a device will have done, or why it could not.
pub type DeviceFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + 'a>>;

/// A device that can run plans.
///
/// Functions block until the device has answered. In a browser a GPU cannot be waited for in this way, and only the
/// functions that return a [`DeviceFuture`] use it; elsewhere their futures are ready at once.
pub trait Backend: Send + Sync {
    /// Describes the device; if there are several, the one that computed the last run.
    fn info(&self) -> DeviceInfo;

    /// Returns how many records fit into one batch. `plan` is the plan for one record.
    ///
    /// # Errors
    /// Even one record exceeds the device's limits.
    fn largest_batch(&self, plan: &Plan) -> Result<usize>;

    /// Returns how many executors may usefully run at once. Further requests wait.
    fn concurrency(&self) -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    /// Prepares a plan for inference: allocates its buffers, packs its weights, compiles its shaders.
    ///
    /// # Errors
    /// The plan is not sound, as where a step and its buffers differ in size; the device refuses a shader, a buffer or their
    /// number; or the plan has states, or steps that the device does not compute.
    fn prepare(&self, plan: &Plan) -> Result<Box<dyn Executor>>;

    /// Prepares a plan for inference, as [`Backend::prepare`] does.
    ///
    /// # Errors
    /// The same as [`Backend::prepare`].
    fn prepare_async<'a>(&'a self, plan: &'a Plan) -> DeviceFuture<'a, Box<dyn Executor>> {
        Box::pin(ready(self.prepare(plan)))
    }

    /// Prepares a plan with states for training.
    ///
    /// # Errors
    /// The backend does not train, as by default; the device refuses a shader, a buffer or their number, or does not compute
    /// one of the steps.
    fn prepare_training(&self, plan: &Plan) -> Result<Box<dyn Trainer>> {
        let _ = plan;
        let cause = format!("{} does not train", self.info().name);
        Err(Error::new(ErrorKind::Device, cause, "train on the CPU or a GPU, in a build with feature train"))
    }

    /// Returns why one of several devices is no longer used, while the others still answer. None while all devices work, and
    /// for a single device, whose runs fail instead.
    fn fault(&self) -> Option<Error> {
        None
    }
}

/// A plan that is prepared on a device, to be run any number of times.
pub trait Executor: Send {
    /// Runs the plan on `input` `[batch, leads, samples]` and fills `outputs`, one array per output of the plan. If a number
    /// of a record overflows the device's storage, all outputs of this record are NaN.
    ///
    /// # Errors
    /// The input has the wrong length, or the device failed.
    fn run(&mut self, input: &[f32], outputs: &mut Vec<Vec<f32>>) -> Result<()>;

    /// Runs the plan on one input after the other and passes the outputs of each to `each`, with the device that computed
    /// them. The outputs have the same bits as those of [`Executor::run`]. A GPU computes while the host makes the next input
    /// and reads the previous outputs.
    ///
    /// # Errors
    /// The device failed, or an input has the wrong length. `each` has been called for all earlier inputs; no later input is
    /// taken from the iterator.
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

    /// Runs the plan on one input after the other, as [`Executor::stream`] does.
    ///
    /// # Errors
    /// The same as [`Executor::stream`].
    fn stream_async<'a, 'b: 'a>(
        &'a mut self,
        inputs: &'a mut dyn Iterator<Item = Cow<'b, [f32]>>,
        each: &'a mut dyn FnMut(&[Vec<f32>], &DeviceInfo),
    ) -> DeviceFuture<'a, ()> {
        Box::pin(ready(self.stream(inputs, each)))
    }

    /// Describes the device that computed the last run; before the first run, the one that will compute it.
    fn device(&self) -> DeviceInfo;

    /// Runs the plan and returns how long the device computed each step, in the plan's order. Transfers and waiting do not
    /// count. A step that is fused with the previous step has zero.
    ///
    /// # Errors
    /// The device failed, or cannot measure the time of steps.
    fn profile(&mut self, input: &[f32]) -> Result<Vec<Duration>>;
}

/// A plan with states that is prepared on a device. The states keep their numbers from run to run.
pub trait Trainer: Send {
    /// Runs the plan on `inputs`, one array per input of the plan, and fills `outputs`, one array per output.
    ///
    /// # Errors
    /// An input has the wrong length, or the device failed.
    fn run(&mut self, inputs: &[&[f32]], outputs: &mut Vec<Vec<f32>>) -> Result<()>;

    /// Returns the numbers of a state.
    ///
    /// # Errors
    /// The device failed.
    fn state(&mut self, state: BufferId) -> Result<Vec<f32>>;

    /// Sets the numbers of a state.
    ///
    /// # Errors
    /// The state has another length, or the device failed.
    fn set_state(&mut self, state: BufferId, values: &[f32]) -> Result<()>;

    /// Runs the plan once, states included, and returns how long the device computed each step, in the plan's order.
    ///
    /// # Errors
    /// The device failed, or cannot measure the time of steps, as by default.
    fn profile(&mut self, inputs: &[&[f32]]) -> Result<Vec<Duration>> {
        let _ = inputs;
        Err(Error::new(ErrorKind::Device, "this device cannot tell how long steps take", "profile another"))
    }
}

/// Whether a request blocks its thread while a device computes, so that its future is ready when it is first polled. A
/// browser must not be blocked.
pub(crate) const BLOCKS: bool = !cfg!(target_family = "wasm");

/// Prepares a plan for inference in a request, see [`BLOCKS`].
///
/// # Errors
/// The same as [`Backend::prepare`].
pub(crate) async fn prepare(backend: &dyn Backend, plan: &Plan) -> Result<Box<dyn Executor>> {
    if BLOCKS { backend.prepare(plan) } else { backend.prepare_async(plan).await }
}

/// Runs a plan on one input after the other in a request, see [`BLOCKS`].
///
/// # Errors
/// The same as [`Executor::stream`].
pub(crate) async fn stream<'a>(
    executor: &mut dyn Executor,
    inputs: &mut dyn Iterator<Item = Cow<'a, [f32]>>,
    each: &mut dyn FnMut(&[Vec<f32>], &DeviceInfo),
) -> Result<()> {
    if BLOCKS { executor.stream(inputs, each) } else { executor.stream_async(inputs, each).await }
}

/// Checks that `values` has the length of a state.
fn check_state(plan: &Plan, state: BufferId, values: &[f32]) -> Result<()> {
    let buffer = &plan.buffers[state];
    if values.len() == buffer.len() {
        return Ok(());
    }
    let cause = format!("{} numbers for state {}, which has {}", values.len(), buffer.name, buffer.len());
    Err(Error::new(ErrorKind::Shape, cause, "use what was saved from the same network and objective"))
}

/// Checks that the plan has no states, so that every run is independent of earlier runs.
fn check_stateless(plan: &Plan) -> Result<()> {
    match plan.buffers.iter().find(|buffer| matches!(buffer.role, Role::State(_))) {
        None => Ok(()),
        Some(state) => {
            let cause = format!("the plan has states, {} among them", state.name);
            Err(Error::new(ErrorKind::Usage, cause, "prepare it for training"))
        }
    }
}

/// Whether the platform has a clock. `wasm32-unknown-unknown` has none.
const HAS_CLOCK: bool = cfg!(not(all(target_family = "wasm", target_os = "unknown")));

/// Checks that the platform has a clock.
///
/// # Errors
/// It has none.
fn check_clock() -> Result<()> {
    if HAS_CLOCK {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Device, "this platform has no clock", "profile on another"))
}

/// The largest size of all activations of one forward pass, 1 GiB. A larger batch is split, before memory runs short. One
/// record of ten seconds needs less than 1 MB.
const ACTIVATION_BYTES: usize = 1 << 30;

/// Returns how many records fit into [`ACTIVATION_BYTES`], at least one. `plan` is the plan for one record.
fn batch_by_memory(plan: &Plan) -> usize {
    (ACTIVATION_BYTES / plan.activation_bytes().max(1)).max(1)
}

/// Checks the number and the lengths of a plan's inputs.
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

/// Checks the length of the input of a plan with one input.
fn check_input(plan: &Plan, input: &[f32]) -> Result<()> {
    check_inputs(plan, &[input])
}

/// Keeps what a device made of each constant, such as an upload or a packed copy, as long as the constant exists. Plans for
/// different shapes share it.
pub(crate) struct ConstantCache<T>(Mutex<Vec<(Weak<[f32]>, T)>>);

impl<T> Default for ConstantCache<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> ConstantCache<T> {
    /// Removes all entries. Needed after a failure that may have left an unusable entry.
    #[cfg(feature = "gpu")]
    fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Returns what was made of `constant`; makes it on the first call.
    fn get(&self, constant: &Arc<[f32]>, make: impl FnOnce() -> T) -> T {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|(weak, _)| weak.strong_count() > 0);
        // A Weak keeps its allocation, so that its address is not reused: equal addresses mean the same constant.
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
