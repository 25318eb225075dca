//! Programs that a task runs, and what to install where one is missing.

use std::{
    ffi::OsStr,
    path::Path,
    process::{Command, Stdio},
};

use crate::Result;

/// Runs a program to its end.
///
/// # Errors
/// It cannot be started, which `remedy` mends, or it fails.
pub fn run(command: &mut Command, remedy: &str) -> Result<()> {
    let name = command.get_program().display().to_string();
    let status = command.status().map_err(|error| format!("{name} cannot be started ({error}): {remedy}"))?;
    if status.success() { Ok(()) } else { Err(format!("{name} failed ({status}): see above")) }
}

/// Returns what a program prints; none if it cannot be started or fails.
pub fn output(program: impl AsRef<OsStr>, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
}

/// Checks that the compiler has the standard library of a target.
///
/// # Errors
/// It has not.
pub fn check_target(target: &str) -> Result<()> {
    let folder = output("rustc", &["--print", "target-libdir", "--target", target]);
    if folder.is_some_and(|folder| Path::new(&folder).is_dir()) {
        return Ok(());
    }
    Err(format!("the compiler has no target {target}: rustup target add {target}"))
}

/// Checks that the installed wasm-bindgen is of the version of the crate, since the two share a format without a version.
///
/// # Errors
/// It is of another version, or not installed.
pub fn check_wasm_bindgen() -> Result<()> {
    let wanted = locked("wasm-bindgen").ok_or("Cargo.lock has no wasm-bindgen: restore it")?;
    let remedy = format!("cargo install wasm-bindgen-cli --version {wanted}");
    match output("wasm-bindgen", &["--version"]) {
        Some(version) if version.split_whitespace().last() == Some(wanted) => Ok(()),
        Some(version) => Err(format!("{version} is installed and {wanted} is needed: {remedy}")),
        None => Err(format!("wasm-bindgen is not installed: {remedy}")),
    }
}

/// Returns the version of a crate in Cargo.lock.
fn locked(name: &str) -> Option<&'static str> {
    let lock = include_str!("../../Cargo.lock");
    let (_, entry) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    entry.split('"').next()
}
