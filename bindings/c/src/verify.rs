//! The comparison of a device with the float64 reference.

use std::ffi::{c_char, c_void};

use ecgpu::engine::verify;

use crate::{
    EcgpuClassifier, EcgpuStatus,
    argument::give,
    classifier,
    error::{Failure, guard, text},
};

/// Is called for each stage that was compared: its name, its normalised mean square error, its largest absolute difference, and whether
/// both are within the bounds (1 or 0). The name is valid during the call. It may call every function of ecgpu, but must not longjmp or throw.
pub type EcgpuStage = Option<
    unsafe extern "C" fn(name: *const c_char, nmse: f64, largest_difference: f64, passed: u32, user: *mut c_void),
>;

/// Compares every stage of the network on the classifier's device with plain float64 loops, on the classifier's network and on awkward shapes.
/// It takes a second or two. Returns ECGPU_STATUS_PARITY if a stage differs by more than rounding explains. `stage` may be NULL;
/// `passed_count` gets the number of stages that passed, and may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ecgpu_verify(
    classifier: *const EcgpuClassifier,
    stage: EcgpuStage,
    user: *mut c_void,
    passed_count: *mut usize,
) -> EcgpuStatus {
    guard(|| {
        let opened = classifier::get(classifier)?;
        let reports = verify::verify(opened.classifier.backend(), opened.classifier.folded(), 0)?;
        for report in &reports {
            if let Some(stage) = stage {
                let name = text(&report.stage);
                // SAFETY: the caller gives a function of this type, and what `user` names is its own.
                unsafe { stage(name.as_ptr(), report.nmse, report.largest_error, u32::from(report.passed), user) };
            }
        }
        let failed: Vec<&str> =
            reports.iter().filter(|report| !report.passed).map(|report| report.stage.as_str()).collect();
        // SAFETY: the caller gives a valid address or null.
        unsafe { give(passed_count, reports.len() - failed.len())? };
        if failed.is_empty() {
            return Ok(());
        }
        let cause = format!("{} computes something else in {}", opened.classifier.device(), failed.join(", "));
        Err(Failure::new(EcgpuStatus::Parity, cause, "use the CPU, and report the device and its driver"))
    })
}
