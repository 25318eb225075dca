//! A Vulkan layer over the real driver, which makes it fail on demand. It is compiled by the C compiler when a test needs
//! it, and works in a process of its own, because the loader reads its environment once.

use std::{
    ffi::{CString, c_char, c_int, c_void},
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

/// In a process with the layer: lets `calls` more calls succeed and the later ones return `result`; none fails if `calls`
/// is −1. Returns how many have failed since the last call of this function; none in another process.
pub fn fail(calls: i32, result: i32) -> Option<i32> {
    const NOW: c_int = 2;
    let path = CString::new(std::env::var(LIBRARY).ok()?).ok()?;
    // SAFETY: the path and the name are strings that end with 0. The library is the one that `run_with_layer` compiled, whose
    // `ecgpu_fail` has this signature, and it is never closed.
    unsafe {
        let function = dlsym(dlopen(path.as_ptr(), NOW), c"ecgpu_fail".as_ptr());
        assert!(!function.is_null(), "the layer has the function");
        let function: unsafe extern "C" fn(c_int, c_int) -> c_int = std::mem::transmute(function);
        Some(function(calls, result))
    }
}
