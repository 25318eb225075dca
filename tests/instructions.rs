//! How many instructions a forward pass takes on the CPU: a check of speed that no noise can fool.

#![cfg(feature = "cli")]

mod common;

use std::{path::Path, process::Command};

use common::{npy, skip};
use tempfile::TempDir;

/// Instructions of one forward pass of 542k at 12×1000 on one thread, as valgrind 3.19 counts them. It knows no AVX-512,
/// so the AVX2 kernels run. Lower it when they get better.
const INSTRUCTIONS: f64 = 15.94e6;
const SLACK: f64 = 0.05;

/// What `ecgpu classify` takes for `batch` records.
fn instructions(folder: &Path, batch: usize) -> f64 {
    let array = folder.join(format!("{batch}.npy"));
    let values: Vec<f32> = (0..batch * 12 * 1000).map(|at| (at as f32 * 0.01).sin()).collect();
    std::fs::write(
        &array,
        npy("<f4", &[batch, 12, 1000], &values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>()),
    )
    .unwrap();
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", env!("CARGO_BIN_EXE_ecgpu")])
        .args(["classify", "--raw", "--json", "--device", "cpu", "--threads", "1"])
        .arg(&array)
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{log}");
    let count = log.lines().find_map(|line| line.split("Collected : ").nth(1));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or_else(|| panic!("{log}"))
}

#[test]
fn a_forward_pass_takes_no_more_instructions_than_it_did() {
    if cfg!(not(target_arch = "x86_64")) || Command::new("valgrind").arg("--version").output().is_err() {
        return skip("no valgrind, which counts instructions");
    }
    let folder = TempDir::new().unwrap();
    // What is left of the difference is ten times the forward pass, reading its input and printing its line.
    let forward = (instructions(folder.path(), 11) - instructions(folder.path(), 1)) / 10.0;
    println!("{forward:.0} instructions a forward pass");
    assert!(forward <= INSTRUCTIONS * (1.0 + SLACK), "{forward:.0} instructions, more than {INSTRUCTIONS:.0}");
    assert!(forward >= INSTRUCTIONS * (1.0 - SLACK), "{forward:.0} instructions: better, so lower the bound");
}
