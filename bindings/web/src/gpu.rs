//! A classifier on the browser's GPU, through WebGPU, beside the one on the CPU. What waits for the GPU returns a promise.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use ecgpu::{
    Device, Error, ErrorKind, Hint, Prediction, Recording, Result,
    engine::backend::{Backend, gpu},
};

/// How often each device classifies the recording of a trial. The fastest counts.
const ROUNDS: usize = 5;

/// The largest difference of a logit between the GPU and the CPU.
const LARGEST_DIFFERENCE: f32 = 1e-4;

/// What the browser's GPU is used for.
pub(crate) struct OnGpu {
    cpu: Rc<ecgpu::Classifier>,
    weights: ecgpu::Weights,
    gpu: RefCell<Option<Rc<ecgpu::Classifier>>>,
    /// Whether the GPU computed the last prediction.
    pub(crate) used_last: Cell<bool>,
    /// Why the GPU is no longer used.
    fault: RefCell<Option<Error>>,
}

impl OnGpu {
    /// No GPU is opened yet. `cpu` has the same weights.
    pub(crate) fn new(cpu: Rc<ecgpu::Classifier>, weights: ecgpu::Weights) -> Self {
        Self { cpu, weights, gpu: RefCell::default(), used_last: Cell::new(false), fault: RefCell::default() }
    }

    /// Returns the classifier on the GPU, if it is open and has not failed.
    pub(crate) fn classifier(&self) -> Option<Rc<ecgpu::Classifier>> {
        self.gpu.borrow().clone()
    }

    /// Takes the reason why the GPU is no longer used, if it is new.
    pub(crate) fn take_fault(&self) -> Option<Error> {
        self.fault.take()
    }

    /// Opens the GPU that `device` names, unless it is open. [`Device::Auto`] is none that computes on the CPU.
    ///
    /// # Errors
    /// There is no such GPU, or it fails.
    pub(crate) async fn open(&self, device: Device) -> Result<Rc<ecgpu::Classifier>> {
        if let Some(gpu) = self.classifier() {
            return Ok(gpu);
        }
        let Some(gpu) = gpu::open_gpu_async(&device).await? else {
            let cause = "there is no GPU, or one that computes on the CPU";
            return Err(Error::new(ErrorKind::Device, cause, "use the CPU"));
        };
        let gpu: Box<dyn Backend> = Box::new(gpu);
        let gpu = Rc::new(ecgpu::Classifier::on(self.weights.clone(), gpu)?);
        *self.gpu.borrow_mut() = Some(gpu.clone());
        Ok(gpu)
    }

    /// Classifies a recording on the GPU; on the CPU if there is no GPU, or if it fails, which rules it out.
    ///
    /// # Errors
    /// The recording cannot be classified.
    pub(crate) async fn classify(&self, recording: &Recording) -> Result<Prediction> {
        if let Some(gpu) = self.classifier() {
            match gpu.classify_async(recording.clone()).await {
                Err(error) if is_of_device(&error) => self.rule_out(error),
                // Too long for this GPU, which computes shorter ones.
                Err(error) if error.hint() == Some(Hint::UseCpu) => {}
                outcome => {
                    self.used_last.set(true);
                    return outcome;
                }
            }
        }
        self.used_last.set(false);
        self.cpu.classify(recording)
    }

    /// Classifies a recording on both devices and returns whether the GPU is faster: not if the recording cannot be
    /// classified, or is too long for this GPU. `now` is the time in milliseconds.
    ///
    /// # Errors
    /// There is no GPU, or it fails or computes other numbers than the CPU; it is ruled out.
    pub(crate) async fn is_faster(&self, recording: Recording, now: impl Fn() -> f64) -> Result<bool> {
        match self.time(recording, now).await {
            Err(error) if is_of_device(&error) => {
                self.gpu.take();
                Err(error)
            }
            outcome => Ok(outcome.unwrap_or(false)),
        }
    }

    async fn time(&self, recording: Recording, now: impl Fn() -> f64) -> Result<bool> {
        let gpu = self.open(Device::Auto).await?;
        let [expected, computed] =
            [self.cpu.classify(&recording)?, gpu.classify_async(recording.clone()).await?].map(|it| it.logits);
        // With `<=`, NaN fails.
        let agrees = |(a, b): (&f32, &f32)| (a - b).abs() <= LARGEST_DIFFERENCE;
        if !expected.iter().zip(&computed).all(agrees) {
            let cause = format!("{} computes other numbers than the CPU", gpu.device().name);
            return Err(Error::new(ErrorKind::Parity, cause, "update its driver, and compare it with the reference"));
        }
        let mut fastest = [f64::INFINITY; 2];
        for _ in 0..ROUNDS {
            let start = now();
            self.cpu.classify(&recording)?;
            let between = now();
            gpu.classify_async(recording.clone()).await?;
            fastest = [fastest[0].min(between - start), fastest[1].min(now() - between)];
        }
        Ok(fastest[1] < fastest[0])
    }

    fn rule_out(&self, error: Error) {
        // Of several requests that fail at once, the first says why.
        if self.gpu.take().is_some() {
            *self.fault.borrow_mut() = Some(error);
        }
    }
}

/// Whether an error is of the device and not of the recording.
fn is_of_device(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Device | ErrorKind::Parity)
}
