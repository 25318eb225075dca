//! A training step of network 542k: forward with batch norm in training mode, binary cross entropy, backward, Adam. The
//! batch has 64 records of 12 leads and 1000 samples, with which other engines were measured too, and on a real GPU also
//! 256, because 64 may not saturate it. Runs on the CPU, and on a GPU if there is one.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ecgpu::{
    Device,
    engine::backend::{self, gpu},
    engine::kernels::training::SupervisedLossKind,
    engine::network::published::training_code_542k,
    engine::random::Random,
    train::{Objective, Rates, Task, TrainingSession, TrainingStep},
};

const BATCHES: [usize; 2] = [64, 256];
const SAMPLES: usize = 1000;

fn steps(criterion: &mut Criterion) {
    let network = training_code_542k();
    let objective = Objective::Supervised { loss: SupervisedLossKind::CROSS_ENTROPY, class_weights: vec![1.0; 5] };
    let parameters = TrainingStep::initial(&network, &objective, 1);
    let mut random = Random::new(1, 0);
    let largest = BATCHES[1];
    let records: Vec<f32> = (0..largest * 12 * SAMPLES).map(|_| random.normal() as f32).collect();
    let labels: Vec<f32> = (0..largest * 5).map(|_| f32::from(u8::from(random.uniform() < 0.3))).collect();
    let rates = Rates { learning: 1e-3, target_momentum: 1.0 };
    let mut group = criterion.benchmark_group("training step");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    let real_gpu = gpu::adapters().iter().any(|adapter| !adapter.is_software());
    for device in [Device::Cpu, Device::Gpu] {
        // Skipped without a GPU.
        let Ok(backend) = backend::open(&device, None) else { continue };
        let batches = if real_gpu && matches!(device, Device::Gpu) { &BATCHES[..] } else { &BATCHES[..1] };
        for &batch in batches {
            let task = Task::new(network.clone(), objective.clone(), parameters.clone(), [batch, SAMPLES]);
            let mut session = TrainingSession::new(backend.as_ref(), task).unwrap();
            let (records, labels) = (&records[..batch * 12 * SAMPLES], &labels[..batch * 5]);
            group.throughput(Throughput::Elements(batch as u64));
            group.bench_function(BenchmarkId::new(backend.info().name, batch), |bencher| {
                bencher.iter(|| session.train_batch(records, Some(labels), rates).unwrap());
            });
        }
    }
    group.finish();
}

criterion_group!(benches, steps);
criterion_main!(benches);
