//! The C interface as a C program calls it: addresses, lengths, statuses, and the last error.

use std::{
    ffi::{CStr, CString, c_char, c_void},
    ptr::{null, null_mut},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use ecgpu_c::*;

const LEADS: [&CStr; 8] = [c"I", c"II", c"V1", c"V2", c"V3", c"V4", c"V5", c"V6"];

fn last_error() -> String {
    // SAFETY: the text is valid until the next failure of this thread.
    unsafe { CStr::from_ptr(ecgpu_last_error()) }.to_str().unwrap().into()
}

fn options(device: &CStr) -> EcgpuOptions {
    EcgpuOptions {
        weights: null(),
        weights_bytes: null(),
        weights_length: 0,
        device: device.as_ptr(),
        threads: 1,
        f16: 0,
    }
}

fn open() -> *mut EcgpuClassifier {
    let mut classifier = null_mut();
    assert_eq!(unsafe { ecgpu_open(&options(c"cpu"), &mut classifier) }, EcgpuStatus::Ok, "{}", last_error());
    // The library keeps panics from printing, those of a failed assertion too: the default hook prints them.
    drop(std::panic::take_hook());
    classifier
}

/// Makes a recording of eight leads of ten seconds at 100 Hz.
fn recording(unit: &CStr, scale: f32) -> *mut EcgpuRecordings {
    let names: Vec<*const c_char> = LEADS.iter().map(|name| name.as_ptr()).collect();
    let wave = |at: usize| ((at % 100) as f32 / 50.0 - 1.0).powi(9) * scale;
    let samples: Vec<f32> = (0..LEADS.len() * 1000).map(|at| wave(at + at / 1000 * 7)).collect();
    let mut recordings = null_mut();
    let status = unsafe {
        ecgpu_recording_new(100.0, unit.as_ptr(), names.as_ptr(), names.len(), samples.as_ptr(), 1000, &mut recordings)
    };
    assert_eq!(status, EcgpuStatus::Ok, "{}", last_error());
    recordings
}

fn logits(classifier: *const EcgpuClassifier, recordings: *const EcgpuRecordings) -> Vec<f32> {
    let (mut predictions, mut logits, mut classes) = (null_mut(), null(), 0);
    unsafe {
        assert_eq!(
            ecgpu_classify(classifier, recordings, null(), &mut predictions),
            EcgpuStatus::Ok,
            "{}",
            last_error()
        );
        assert_eq!(ecgpu_prediction(predictions, 0, &mut logits, null_mut(), &mut classes), EcgpuStatus::Ok);
        let logits = std::slice::from_raw_parts(logits, classes).to_vec();
        assert_eq!(ecgpu_predictions_close(&mut predictions), EcgpuStatus::Ok);
        assert!(predictions.is_null());
        logits
    }
}

#[test]
fn a_recording_in_microvolts_gives_the_logits_of_the_same_in_millivolts() {
    let (mut classifier, mut first, mut second) = (open(), recording(c"mV", 1.0), recording(c"uV", 1000.0));
    let found = [logits(classifier, first), logits(classifier, second)];
    assert_eq!(found[0].len(), 5);
    assert!(found[0].iter().zip(&found[1]).all(|(a, b)| (a - b).abs() < 1e-4), "{found:?}");
    unsafe {
        ecgpu_recordings_close(&mut first);
        ecgpu_recordings_close(&mut second);
        ecgpu_close(&mut classifier);
    }
}

#[test]
fn a_file_is_classified_from_its_path_and_from_its_bytes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/table.csv");
    let (name, bytes) = (CString::new(path).unwrap(), std::fs::read(path).unwrap());
    let (mut classifier, mut of_path, mut of_bytes, mut count) = (open(), null_mut(), null_mut(), 0);
    unsafe {
        assert_eq!(ecgpu_read(name.as_ptr(), null(), &mut of_path), EcgpuStatus::Ok, "{}", last_error());
        let status = ecgpu_read_bytes(c"table.csv".as_ptr(), bytes.as_ptr(), bytes.len(), null(), &mut of_bytes);
        assert_eq!(status, EcgpuStatus::Ok, "{}", last_error());
        assert_eq!(ecgpu_recordings_count(of_path, &mut count), EcgpuStatus::Ok);
        assert_eq!(count, 1);
        assert_eq!(logits(classifier, of_path), logits(classifier, of_bytes));
        ecgpu_recordings_close(&mut of_path);
        ecgpu_recordings_close(&mut of_bytes);
        ecgpu_close(&mut classifier);
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_a_cause_and_a_remedy() {
    let (mut classifier, mut recordings) = (open(), recording(c"mV", 1.0));
    let (mut closed, mut out, mut list) = (classifier, null_mut(), null_mut());
    let numbers = [0.0f32; 12 * 100];
    let mut few = [0.0f32; 3];
    use EcgpuStatus::*;
    unsafe {
        assert_eq!(ecgpu_close(&mut closed), Ok);
        let fails = |status: EcgpuStatus, expected: EcgpuStatus, part: &str| {
            assert_eq!(status, expected, "{part}: {}", last_error());
            assert!(last_error().contains(part), "{part}: {}", last_error());
        };
        fails(ecgpu_open(null(), null_mut()), Usage, "the address for the result is NULL");
        fails(ecgpu_open(&options(c"gpu:99"), &mut out), Device, "gpu");
        fails(ecgpu_open(&EcgpuOptions { f16: 1, ..options(c"cpu") }, &mut out), Usage, "f16");
        fails(
            ecgpu_open(&EcgpuOptions { weights: c"no.safetensors".as_ptr(), ..options(c"cpu") }, &mut out),
            File,
            "no.safetensors",
        );
        let no_weights = EcgpuOptions { weights_bytes: b"no weights".as_ptr(), weights_length: 10, ..options(c"cpu") };
        fails(ecgpu_open(&no_weights, &mut out), Weights, "safetensors");
        fails(ecgpu_open(&options(c"\xff"), &mut out), Usage, "UTF-8");
        assert!(out.is_null());
        let mut predictions = null_mut();
        fails(ecgpu_classify(classifier, recordings, null(), &mut predictions), InvalidHandle, "closed");
        fails(ecgpu_classify(null(), recordings, null(), &mut predictions), InvalidHandle, "NULL");
        fails(ecgpu_classify(recordings.cast(), recordings, null(), &mut predictions), InvalidHandle, "something else");
        fails(ecgpu_close(&mut classifier), InvalidHandle, "closed");
        assert!(classifier.is_null());
        assert_eq!(ecgpu_close(&mut classifier), Ok);
        assert_eq!(ecgpu_close(null_mut()), Ok);
        classifier = open();
        let run = |input: *const f32, samples: usize, logits: &mut [f32]| {
            ecgpu_run(classifier, input, 1, samples, logits.as_mut_ptr(), logits.len(), null_mut(), 0)
        };
        fails(run(numbers.as_ptr(), 100, &mut few), Shape, "3 numbers");
        fails(run(null(), 100, &mut few), Usage, "input is NULL");
        fails(run(numbers.as_ptr(), usize::MAX / 2, &mut few), Usage, "a batch of 1");
        fails(ecgpu_class(classifier, 5, null_mut(), null_mut()), Usage, "class number 5 of 5");
        fails(ecgpu_read(null(), null(), &mut list), Usage, "path is NULL");
        fails(ecgpu_read(c"no.hea".as_ptr(), null(), &mut list), File, "no.hea");
        fails(ecgpu_read_bytes(c"a.csv".as_ptr(), null(), 9, null(), &mut list), Usage, "bytes is NULL");
        let nan = [f32::NAN];
        let names = [c"I".as_ptr()];
        let of_nan = ecgpu_recording_new(100.0, c"mV".as_ptr(), names.as_ptr(), 1, nan.as_ptr(), 1, &mut list);
        fails(of_nan, Recording, "NaN");
        let of_unit = ecgpu_recording_new(100.0, c"furlong".as_ptr(), names.as_ptr(), 1, nan.as_ptr(), 1, &mut list);
        fails(of_unit, Usage, "furlong");
        ecgpu_recordings_close(&mut recordings);
        ecgpu_close(&mut classifier);
    }
}

#[test]
fn sixteen_threads_share_a_classifier_which_may_be_closed_while_they_compute() {
    let (classifier, recordings) = (open() as usize, recording(c"mV", 1.0) as usize);
    let expected = logits(classifier as _, recordings as _);
    let computed = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                loop {
                    let mut predictions = null_mut();
                    let status = unsafe { ecgpu_classify(classifier as _, recordings as _, null(), &mut predictions) };
                    if status == EcgpuStatus::InvalidHandle {
                        assert!(last_error().contains("closed"), "{}", last_error());
                        return;
                    }
                    assert_eq!(status, EcgpuStatus::Ok, "{}", last_error());
                    let (mut found, mut classes) = (null(), 0);
                    unsafe {
                        ecgpu_prediction(predictions, 0, &mut found, null_mut(), &mut classes);
                        assert_eq!(std::slice::from_raw_parts(found, classes), expected);
                        ecgpu_predictions_close(&mut predictions);
                    }
                    computed.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        while computed.load(Ordering::Relaxed) < 100 {
            thread::yield_now();
        }
        let mut handle = classifier as *mut EcgpuClassifier;
        assert_eq!(unsafe { ecgpu_close(&mut handle) }, EcgpuStatus::Ok);
    });
    let mut handle = recordings as *mut EcgpuRecordings;
    unsafe { ecgpu_recordings_close(&mut handle) };
}

#[test]
fn a_raw_batch_fills_the_callers_arrays_with_the_logits_of_the_library() {
    let mut classifier = open();
    let input: Vec<f32> = (0..3 * 12 * 500).map(|at| (at as f32 * 0.05).sin()).collect();
    let (mut found, mut embedding) = (vec![0.0; 15], vec![0.0; 3 * 256]);
    let status = unsafe {
        ecgpu_run(classifier, input.as_ptr(), 3, 500, found.as_mut_ptr(), 15, embedding.as_mut_ptr(), embedding.len())
    };
    assert_eq!(status, EcgpuStatus::Ok, "{}", last_error());
    let weights = ecgpu::Weights::built_in().unwrap();
    let library = ecgpu::Classifier::open(weights, ecgpu::Device::Reference).unwrap();
    let expected = library.run(&input, 3, 500).unwrap();
    let differ = |a: &[f32], b: &[f32]| a.iter().zip(b).any(|(a, b)| (a - b).abs() > 1e-4);
    assert!(!differ(&found, &expected.logits) && !differ(&embedding, &expected.embedding));
    unsafe { ecgpu_close(&mut classifier) };
}

#[test]
fn a_cancelled_call_ends() {
    let (mut classifier, mut recordings, mut cancel, mut predictions) =
        (open(), recording(c"mV", 1.0), null_mut(), null_mut());
    unsafe {
        assert_eq!(ecgpu_cancel_new(&mut cancel), EcgpuStatus::Ok);
        assert_eq!(ecgpu_classify(classifier, recordings, cancel, &mut predictions), EcgpuStatus::Ok);
        ecgpu_predictions_close(&mut predictions);
        assert_eq!(ecgpu_cancel_set(cancel), EcgpuStatus::Ok);
        assert_eq!(ecgpu_classify(classifier, recordings, cancel, &mut predictions), EcgpuStatus::Cancelled);
        assert!(predictions.is_null() && last_error().contains("cancelled"));
        ecgpu_cancel_close(&mut cancel);
        ecgpu_recordings_close(&mut recordings);
        ecgpu_close(&mut classifier);
    }
}

#[test]
fn a_recording_that_cannot_be_classified_has_an_error_of_its_own() {
    let names = [c"I".as_ptr()];
    let samples = [0.0f32; 1000];
    let (mut classifier, mut recordings, mut predictions) = (open(), null_mut(), null_mut());
    unsafe {
        let status =
            ecgpu_recording_new(100.0, c"mV".as_ptr(), names.as_ptr(), 1, samples.as_ptr(), 1000, &mut recordings);
        assert_eq!(status, EcgpuStatus::Ok);
        assert_eq!(ecgpu_classify(classifier, recordings, null(), &mut predictions), EcgpuStatus::Ok);
        assert_eq!(ecgpu_prediction_status(predictions, 0), EcgpuStatus::Recording);
        assert!(last_error().contains("lead II is missing"), "{}", last_error());
        assert_eq!(ecgpu_prediction_status(predictions, 1), EcgpuStatus::Usage);
        ecgpu_predictions_close(&mut predictions);
        ecgpu_recordings_close(&mut recordings);
        ecgpu_close(&mut classifier);
    }
}

#[test]
fn every_stage_of_the_cpu_agrees_and_messages_reach_the_host() {
    static MESSAGES: Mutex<Vec<(u32, String)>> = Mutex::new(Vec::new());
    unsafe extern "C" fn log(level: u32, message: *const c_char, user: *mut c_void) {
        assert_eq!(user as usize, 7);
        let message = unsafe { CStr::from_ptr(message) }.to_str().unwrap();
        MESSAGES.lock().unwrap().push((level, message.into()));
    }
    unsafe extern "C" fn stage(_: *const c_char, _: f64, _: f64, passed: u32, user: *mut c_void) {
        assert_eq!(passed, 1);
        unsafe { *user.cast::<usize>() += 1 };
    }
    let (mut stages, mut passed) = (0usize, 0);
    unsafe {
        assert_eq!(ecgpu_set_log(Some(log), 7 as *mut c_void, 4), EcgpuStatus::Ok);
        let mut classifier = open();
        let status = ecgpu_verify(classifier, Some(stage), (&raw mut stages).cast(), &mut passed);
        assert_eq!(status, EcgpuStatus::Ok, "{}", last_error());
        assert!(stages > 5 && passed == stages);
        assert_eq!(ecgpu_set_log(None, null_mut(), 0), EcgpuStatus::Ok);
        assert_eq!(ecgpu_set_log(Some(log), null_mut(), 9), EcgpuStatus::Usage);
        ecgpu_close(&mut classifier);
    }
    assert!(MESSAGES.lock().unwrap().iter().any(|(level, text)| *level == 3 && text.contains("device cpu")));
}

#[test]
fn devices_are_listed_with_the_cpu_and_the_reference() {
    let (mut devices, mut count, mut found) = (null_mut(), 0, Vec::new());
    unsafe {
        assert_eq!(ecgpu_devices(&mut devices), EcgpuStatus::Ok);
        ecgpu_devices_count(devices, &mut count);
        for index in 0..count {
            let mut device = null();
            assert_eq!(ecgpu_device(devices, index, &mut device, null_mut(), null_mut()), EcgpuStatus::Ok);
            found.push(CStr::from_ptr(device).to_str().unwrap().to_string());
        }
        assert_eq!(ecgpu_device(devices, count, null_mut(), null_mut(), null_mut()), EcgpuStatus::Usage);
        ecgpu_devices_close(&mut devices);
    }
    assert!(found.contains(&"cpu".into()) && found.contains(&"reference".into()), "{found:?}");
}
