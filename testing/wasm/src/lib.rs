//! A classifier on the CPU as a WebAssembly module, with the functions that `tests/wasm.mjs` calls.

use std::cell::RefCell;

use ecgpu::{
    Classifier, Recording, Result, Weights,
    ecg::{Condition, synthesize},
    engine::backend::cpu::Cpu,
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
