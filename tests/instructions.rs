//! How many instructions a forward pass and the way to the first one take on the CPU, and what a program for the CPU alone
//! carries: checks of speed and size that no noise can fool.

#![cfg(feature = "cli")]

mod common;

use std::{path::Path, process::Command};

use common::{npy, skip};
use tempfile::TempDir;

/// Instructions of one forward pass of 542k at 12×1000 on one thread, and of the whole process that makes one, as valgrind
/// 3.19 counts them. It knows no AVX-512, so the AVX2 kernels run. Lower them when they get better.
const FORWARD: f64 = 15.41e6;
const COLD_START: f64 = 30.71e6;
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

fn assert_near(instructions: f64, bound: f64, what: &str) {
    println!("{instructions:.0} instructions {what}");
    assert!(instructions <= bound * (1.0 + SLACK), "{instructions:.0} instructions {what}, more than {bound:.0}");
    assert!(instructions >= bound * (1.0 - SLACK), "{instructions:.0} instructions {what}: better, so lower the bound");
}

#[test]
fn a_forward_pass_and_a_cold_start_take_no_more_instructions_than_they_did() {
    if cfg!(not(target_arch = "x86_64")) || Command::new("valgrind").arg("--version").output().is_err() {
        return skip("no valgrind, which counts instructions");
    }
    let folder = TempDir::new().unwrap();
    let cold_start = instructions(folder.path(), 1);
    // What is left of the difference is ten times the forward pass, reading its input and printing its line.
    assert_near((instructions(folder.path(), 11) - cold_start) / 10.0, FORWARD, "for a forward pass");
    assert_near(cold_start, COLD_START, "from the start of the process to its end, with one forward pass");
}

#[test]
fn a_program_for_the_cpu_alone_carries_no_gpu_code() {
    // Beside the tests lie the examples that `cargo test` builds before it runs any test.
    let folder = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("examples");
    let read = |name: &str| std::fs::read(folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX)));
    let (Ok(cpu), Ok(any)) = (read("cpu_peer"), read("peer")) else {
        return skip("the examples are not built: run all tests, not only these");
    };
    let mentions_gpu = |program: &[u8]| program.windows(11).any(|bytes| bytes == b"wgpu_core::");
    assert!(mentions_gpu(&any) && !mentions_gpu(&cpu));
}
