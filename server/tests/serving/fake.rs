//! A device that waits, fails and is lost when a test says so, and otherwise computes like the CPU.

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use ecgpu::{
    DeviceInfo, Error, ErrorKind, Result,
    engine::{
        backend::{Backend, Executor, cpu::Cpu},
        plan::Plan,
    },
};
use ecgpu_server::OpenBackend;

/// What a test makes the device do.
#[derive(Default)]
pub struct Control {
    closed: Mutex<bool>,
    changed: Condvar,
    /// The runs that have begun.
    pub begun: AtomicUsize,
    /// How often a device was opened.
    pub opened: AtomicUsize,
    /// Devices up to this number are lost.
    lost: AtomicUsize,
    /// Whether no device can be opened.
    pub absent: AtomicBool,
    /// Whether the next run panics.
    pub panics: AtomicBool,
    /// The numbers of an input from which the device has too little memory; 0 for any number.
    pub memory: AtomicUsize,
    /// Whether the device computes wrong numbers.
    pub wrong: AtomicBool,
    /// The numbers of the inputs that were run.
    pub runs: Mutex<Vec<usize>>,
}

impl Control {
    /// Makes runs wait from now on.
    pub fn close(&self) {
        *self.closed.lock().unwrap() = true;
    }

    /// Lets runs go on.
    pub fn open(&self) {
        *self.closed.lock().unwrap() = false;
        self.changed.notify_all();
    }

    /// Loses every device that was opened so far.
    pub fn lose(&self) {
        self.lost.store(self.opened.load(SeqCst), SeqCst);
    }

    /// Loses every device that is opened from now on as well.
    pub fn lose_for_ever(&self) {
        self.lost.store(usize::MAX, SeqCst);
    }

    fn pass(&self) {
        self.begun.fetch_add(1, SeqCst);
        let closed = self.closed.lock().unwrap();
        drop(self.changed.wait_while(closed, |closed| *closed).unwrap());
    }

    /// Returns a function that opens such devices.
    pub fn opener(self: &Arc<Self>) -> OpenBackend {
        let control = self.clone();
        Arc::new(move || {
            let number = control.opened.fetch_add(1, SeqCst) + 1;
            if control.absent.load(SeqCst) {
                return Err(Error::new(ErrorKind::Device, "there is no such device", "plug it in"));
            }
            Ok(Box::new(Fake { cpu: Cpu::with_threads(1)?, control: control.clone(), number }) as _)
        })
    }
}

struct Fake {
    cpu: Cpu,
    control: Arc<Control>,
    number: usize,
}

impl Backend for Fake {
    fn info(&self) -> DeviceInfo {
        let info = self.cpu.info();
        DeviceInfo::new(format!("fake {}", self.number), "fake", info.storage)
    }

    fn largest_batch(&self, plan: &Plan) -> Result<usize> {
        self.cpu.largest_batch(plan)
    }

    fn prepare(&self, plan: &Plan) -> Result<Box<dyn Executor>> {
        let (executor, control) = (self.cpu.prepare(plan)?, self.control.clone());
        Ok(Box::new(FakeExecutor { executor, control, number: self.number, info: self.info() }))
    }
}

struct FakeExecutor {
    executor: Box<dyn Executor>,
    control: Arc<Control>,
    number: usize,
    info: DeviceInfo,
}

impl Executor for FakeExecutor {
    fn run(&mut self, input: &[f32], outputs: &mut Vec<Vec<f32>>) -> Result<()> {
        let failed = |cause| Err(Error::new(ErrorKind::Device, cause, "open it again"));
        self.control.pass();
        self.control.runs.lock().unwrap().push(input.len());
        assert!(!self.control.panics.swap(false, SeqCst), "the test wants a panic");
        if self.number <= self.control.lost.load(SeqCst) {
            return failed("the device is lost");
        }
        let memory = self.control.memory.load(SeqCst);
        if memory > 0 && input.len() > memory {
            return failed("the device has too little memory");
        }
        self.executor.run(input, outputs)?;
        if self.control.wrong.load(SeqCst) {
            outputs.iter_mut().flatten().for_each(|value| *value += 1.0);
        }
        Ok(())
    }

    fn device(&self) -> DeviceInfo {
        self.info.clone()
    }

    fn profile(&mut self, input: &[f32]) -> Result<Vec<Duration>> {
        self.executor.profile(input)
    }
}
