//! The time from the start of the process to the first logits, for which a user of the command line waits.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use criterion::{Criterion, criterion_group, criterion_main};
use ecgpu::engine::backend::gpu::adapters;

fn cold_start(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cold start, process start to first logits, 542k 12×1000");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    let gpus = adapters().into_iter().map(|adapter| format!("gpu:{}", adapter.index));
    for device in std::iter::once("cpu".to_string()).chain(gpus) {
        group.bench_function(&device, |bencher| {
            bencher.iter(|| {
                let mut command = Command::new(env!("CARGO_BIN_EXE_ecgpu"));
                command.args(["classify", "--json", "--device", &device]).stdout(Stdio::null());
                assert!(command.status().expect("the binary is built with the bench").success());
            });
        });
    }
}

criterion_group!(benches, cold_start);
criterion_main!(benches);
