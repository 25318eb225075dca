//! Scripts of other people's Python packages, so that writer and reader are not the same hand.

use std::{ffi::OsStr, path::Path, process::Command};

use crate::skip;

/// Returns a function that runs a script of the folder `tests` with `PYTHON`, or else python3, and returns what it prints.
/// Without the packages it says that the test is skipped.
pub fn python(packages: &str, script: &'static str) -> Option<impl Fn(&[&OsStr]) -> String> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let import = Command::new(&python).args(["-c", &format!("import {packages}")]).output();
    if !import.is_ok_and(|output| output.status.success()) {
        skip(&format!("no Python with {packages}: pip install -r tests/requirements.txt, and set PYTHON if need be"));
        return None;
    }
    Some(move |arguments: &[&OsStr]| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests").join(script);
        let output = Command::new(&python).arg(script).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    })
}
