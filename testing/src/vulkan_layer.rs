//! A Vulkan layer over the real driver, which makes it fail on demand. It is compiled by the C compiler when a test needs
//! it, and works in a process of its own, because the loader reads its environment once.

use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    path::PathBuf,
    process::Command,
};

use crate::{has_gpu, skip};

/// The name of the layer.
const NAME: &str = "VK_LAYER_ECGPU_failing";
/// The variable that is set in the process with the layer: the path of the library.
const LIBRARY: &str = "ECGPU_FAILING_LAYER";

/// `VK_ERROR_DEVICE_LOST`.
pub const DEVICE_LOST: i32 = -4;
/// `VK_ERROR_OUT_OF_DEVICE_MEMORY`.
pub const OUT_OF_MEMORY: i32 = -2;
/// `VK_ERROR_UNKNOWN`, which drivers return for shaders that they do not compile.
pub const COMPILATION_FAILED: i32 = -13;
/// `VK_TIMEOUT`, which is also what a device reports that never finishes.
pub const TIMEOUT: i32 = 2;

/// Runs an ignored test of the calling test program in a process with the layer. Without a compiler or a Vulkan driver it
/// says that the test is skipped.
pub fn run_with_layer(test: &str) {
    if !cfg!(target_os = "linux") || !has_gpu() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libfailing_layer.so");
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/vulkan_layer.c");
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).status();
    if !compiled.is_ok_and(|status| status.success()) {
        return skip("no C compiler for the Vulkan layer");
    }
    let manifest = format!(
        r#"{{ "file_format_version": "1.0.0", "layer": {{ "name": "{NAME}", "type": "GLOBAL", "api_version": "1.3.0",
        "library_path": "{}", "implementation_version": "1", "description": "fails on demand" }} }}"#,
        library.display()
    );
    std::fs::write(folder.path().join("failing_layer.json"), manifest).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]);
    command.env("VK_LAYER_PATH", folder.path()).env("VK_INSTANCE_LAYERS", NAME).env(LIBRARY, &library);
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success() && text.contains("1 passed"), "{test} with the layer: {}\n{text}", output.status);
}

unsafe extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// A kind of calls to the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    /// Those that may report a lost device: submissions, waits and questions whether the device has finished.
    Running,
    /// Those that may find no memory.
    Allocating,
    /// Those that compile shaders.
    Compiling,
    /// Those that record a dispatch. One that fails is left out of its commands.
    Dispatching,
}

/// Calls that fail.
#[derive(Debug, Clone, Copy)]
pub struct Strike {
    pub calls: Calls,
    /// How many succeed first.
    pub after: usize,
    /// How many fail then. Later ones succeed.
    pub times: usize,
    /// What they return.
    pub result: i32,
}

/// A number of [`Strike::times`]: all calls fail.
pub const FOR_EVER: usize = i32::MAX as usize;

/// In a process with the layer: makes calls fail from now on; none if `strike` is none. Returns how many have failed since
/// the last call of this function.
pub fn strike(strike: Option<Strike>) -> usize {
    let Strike { calls, after, times, result } =
        strike.unwrap_or(Strike { calls: Calls::Running, after: 0, times: 0, result: 0 });
    // SAFETY: `ecgpu_fail` has this signature, see `function`.
    let fail: unsafe extern "C" fn(c_int, c_int, c_int, c_int) -> c_int =
        unsafe { std::mem::transmute(function(c"ecgpu_fail")) };
    // SAFETY: it takes any numbers.
    (unsafe { fail(calls as c_int, after as c_int, times as c_int, result) }) as usize
}

/// In a process with the layer: returns how many calls of a kind there were.
pub fn count(calls: Calls) -> usize {
    // SAFETY: `ecgpu_calls` has this signature, see `function`.
    let count: unsafe extern "C" fn(c_int) -> c_int = unsafe { std::mem::transmute(function(c"ecgpu_calls")) };
    // SAFETY: it takes the number of any kind.
    (unsafe { count(calls as c_int) }) as usize
}

/// In a process with the layer: makes the driver claim to conform to Vulkan, or not.
pub fn claim_conformance(claims: bool) {
    // SAFETY: `ecgpu_conform` has this signature, see `function`.
    let conform: unsafe extern "C" fn(c_int) = unsafe { std::mem::transmute(function(c"ecgpu_conform")) };
    // SAFETY: it takes any number.
    unsafe { conform(claims.into()) }
}

/// Returns a function of the library that [`run_with_layer`] compiled from `vulkan_layer.c`. It is never closed.
fn function(name: &CStr) -> *mut c_void {
    const NOW: c_int = 2;
    let path = std::env::var(LIBRARY).expect("run_with_layer has started this process");
    let path = CString::new(path).expect("a path has no zero byte");
    // SAFETY: the path and the name are strings that end with 0.
    let function = unsafe { dlsym(dlopen(path.as_ptr(), NOW), name.as_ptr()) };
    assert!(!function.is_null(), "the layer has the function");
    function
}
