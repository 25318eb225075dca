//! How many instructions and how much memory a forward pass and a cold start take on the CPU, and how large a program
//! for the CPU alone is. Noise does not influence these counts.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use ecgpu_testing::{npy, skip};
use safetensors::{Dtype, tensor::TensorView};
use tempfile::TempDir;

/// Instructions of one forward pass of 542k at 12×1000 on one thread, and of the whole process that makes one, as
/// valgrind 3.19 counts them. It knows no AVX-512, so the AVX2 kernels run. Lower them when they get better.
const FORWARD: f64 = 15.18e6;
const COLD_START: f64 = 30.71e6;
/// Bytes of its own that a process has held at most once 542k has answered for 12×1000 on one thread: 5.4 MB are packed
/// weights, 2.2 MB the folded ones, of which another length may need another packing.
const PEAK: f64 = 8.35e6;
const SLACK: f64 = 0.05;
const PEAK_SLACK: f64 = 0.02;

/// Counts the instructions of `ecgpu classify` for `batch` records.
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

fn assert_near(measured: f64, bound: f64, slack: f64, what: &str) {
    println!("{measured:.0} {what}");
    assert!(measured <= bound * (1.0 + slack), "{measured:.0} {what}, more than {bound:.0}");
    assert!(measured >= bound * (1.0 - slack), "{measured:.0} {what}: better, so lower the bound");
}

#[test]
fn a_forward_pass_and_a_cold_start_take_no_more_instructions_than_recorded() {
    if cfg!(not(target_arch = "x86_64")) || Command::new("valgrind").arg("--version").output().is_err() {
        return skip("no valgrind, which counts instructions");
    }
    let folder = TempDir::new().unwrap();
    let cold_start = instructions(folder.path(), 1);
    // The difference is ten forward passes, with the reading of their inputs and the printing of their lines.
    assert_near(
        (instructions(folder.path(), 11) - cold_start) / 10.0,
        FORWARD,
        SLACK,
        "instructions for a forward pass",
    );
    assert_near(
        cold_start,
        COLD_START,
        SLACK,
        "instructions from the start of the process to its end, with one forward pass",
    );
}

/// Returns the path of an example's program, which `cargo test` builds before it runs any test.
fn example(name: &str) -> PathBuf {
    let folder = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("examples");
    folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// Measures the peak memory of `program` until its first logits, without the files that it maps, whose share varies.
/// Returns nothing where the system does not report it.
fn peak(program: &Path, folder: &Path) -> Option<f64> {
    let golden = folder.join("golden");
    let _ = std::fs::create_dir(&golden);
    std::fs::write(golden.join("full.safetensors"), include_bytes!("../../weights/ssl-ecg-542k.safetensors")).unwrap();
    let input: Vec<u8> = (0..12 * 1000).flat_map(|at| (at as f32 * 0.01).sin().to_le_bytes()).collect();
    let tensor = TensorView::new(Dtype::F32, vec![1, 12, 1000], &input).unwrap();
    safetensors::serialize_to_file([("input.1x1000", tensor)], None, &golden.join("full_io.safetensors")).unwrap();
    let mut command = Command::new(program);
    // It looks for `golden` beside its own folder.
    command.args(["full", "1"]).current_dir(&golden).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut ask, mut answer) = (child.stdin.take().unwrap(), String::new());
    ask.write_all(b"logits\n").unwrap();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut answer).unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
    drop(ask);
    assert!(child.wait().unwrap().success() && answer.contains("logits"), "{answer}");
    let status = status.ok()?;
    let fields: HashMap<&str, &str> = status.lines().filter_map(|line| line.split_once(':')).collect();
    let bytes = |name: &str| fields.get(name)?.trim().strip_suffix(" kB")?.parse::<f64>().ok().map(|kb| kb * 1024.0);
    Some(bytes("VmHWM")? - bytes("RssFile")?)
}

#[test]
fn the_first_forward_pass_takes_no_more_memory_than_recorded() {
    let program = example("cpu_peer");
    if !program.exists() {
        return skip("the examples are not built: run all tests, not only these");
    }
    let huge_pages = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    if huge_pages.contains("[always]") {
        return skip("the system brings huge pages unasked, and so more memory than a program uses");
    }
    match peak(&program, TempDir::new().unwrap().path()) {
        Some(bytes) => assert_near(bytes, PEAK, PEAK_SLACK, "bytes at most up to the first logits"),
        None => skip("the system does not tell what memory a process has held"),
    }
}

#[test]
fn a_program_for_the_cpu_alone_carries_no_gpu_code() {
    let (Ok(cpu), Ok(any)) = (std::fs::read(example("cpu_peer")), std::fs::read(example("peer"))) else {
        return skip("the examples are not built: run all tests, not only these");
    };
    let mentions_gpu = |program: &[u8]| program.windows(11).any(|bytes| bytes == b"wgpu_core::");
    assert!(mentions_gpu(&any) && !mentions_gpu(&cpu));
}
