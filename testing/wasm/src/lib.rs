//! A classifier on the CPU as a WebAssembly module, with the functions that `tests/wasm.mjs` calls.

use std::{
    cell::RefCell,
    pin::pin,
    task::{Context, Poll, Waker},
};

use ecgpu::{
    Classifier, Device, Error, ErrorKind, Recording, Result, Weights,
    ecg::{Condition, synthesize},
    engine::{
        backend::{Backend, cpu::Cpu, reference::Reference},
        plan::{Keep, Plan},
    },
};

thread_local! {
    static STATE: RefCell<Option<State>> = const { RefCell::new(None) };
    static TEXT: RefCell<String> = const { RefCell::new(String::new()) };
}

struct State {
    classifier: Classifier,
    recording: Recording,
    logits: Vec<f32>,
}

/// Opens the built-in weights and makes the built-in sample.
fn prepare() -> Result<State> {
    let classifier = Classifier::on(Weights::built_in()?, Box::new(Cpu::default()))?;
    let recording = synthesize(Condition::Norm, 1, 500.0, 10.0)?;
    Ok(State { classifier, recording, logits: Vec::new() })
}

/// Checks what needs threads or a clock elsewhere: device auto and the futures answer, and profiles are refused.
fn check_without_threads_and_clock() -> Result<()> {
    let failed = |cause: &str| Err(Error::new(ErrorKind::Device, cause, "mend ecgpu for WebAssembly"));
    let classifier = Classifier::open(Weights::built_in()?, Device::Auto)?;
    let recording = synthesize(Condition::Norm, 1, 500.0, 10.0)?;
    let expected = classifier.classify(&recording)?.logits;
    for _ in 0..4 {
        let future = pin!(classifier.classify_async(recording.clone()));
        let Poll::Ready(prediction) = future.poll(&mut Context::from_waker(Waker::noop())) else {
            return failed("a future waits for a thread");
        };
        if prediction?.logits != expected {
            return failed("a future has other logits");
        }
    }
    if let Some(fault) = classifier.fault() {
        return Err(fault);
    }
    let plan = Plan::new(classifier.folded(), 1, 100, Keep::Results)?;
    let backends: [Box<dyn Backend>; 2] = [Box::new(Cpu::default()), Box::new(Reference)];
    for backend in backends {
        let mut executor = backend.prepare(&plan)?;
        executor.run(&[0.0; 1200], &mut Vec::new())?;
        if executor.profile(&[0.0; 1200]).is_ok() {
            return failed("a profile without a clock");
        }
    }
    Ok(())
}

/// Returns 0, or −1 after an error, whose text `text` then points at.
fn report(outcome: Result<()>) -> i32 {
    match outcome {
        Ok(()) => 0,
        Err(error) => {
            TEXT.set(error.to_string());
            -1
        }
    }
}

/// Opens the classifier. Returns 0, or −1 after an error.
#[unsafe(no_mangle)]
pub extern "C" fn open() -> i32 {
    report(prepare().map(|state| {
        TEXT.set(state.classifier.device().name);
        STATE.set(Some(state));
    }))
}

/// Classifies the built-in sample. Returns 0, or −1 after an error.
#[unsafe(no_mangle)]
pub extern "C" fn classify() -> i32 {
    STATE.with_borrow_mut(|state| {
        let Some(state) = state else {
            TEXT.set("open the classifier first".into());
            return -1;
        };
        let prediction = state.classifier.classify(&state.recording);
        report(prediction.map(|prediction| state.logits = prediction.logits))
    })
}

/// Checks what needs threads or a clock elsewhere. Returns 0, or −1 after an error.
#[unsafe(no_mangle)]
pub extern "C" fn check_limits() -> i32 {
    report(check_without_threads_and_clock())
}

/// Returns the number of logits of the last classification.
#[unsafe(no_mangle)]
pub extern "C" fn logits_len() -> usize {
    STATE.with_borrow(|state| state.as_ref().map_or(0, |state| state.logits.len()))
}

/// Returns the address of the logits of the last classification.
#[unsafe(no_mangle)]
pub extern "C" fn logits() -> *const f32 {
    STATE.with_borrow(|state| state.as_ref().map_or(std::ptr::null(), |state| state.logits.as_ptr()))
}

/// Returns the length of the last text in bytes: an error's, or after `open` the device's name.
#[unsafe(no_mangle)]
pub extern "C" fn text_len() -> usize {
    TEXT.with_borrow(String::len)
}

/// Returns the address of the last text, in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn text() -> *const u8 {
    TEXT.with_borrow(|text| text.as_ptr())
}
