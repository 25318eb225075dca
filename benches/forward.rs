//! A forward pass of both networks for one record, transfers included, on each backend. The published model states
//! about 50 ms for ten seconds on a GPU; each result is set beside that.

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ecgpu::{Classifier, Device, Weights, engine::backend::gpu::adapters, engine::network::published};

const PUBLISHED: Duration = Duration::from_millis(50);

fn devices() -> Vec<Device> {
    let gpus = adapters().into_iter().map(|adapter| Device::GpuIndex(adapter.index));
    [Device::Cpu, Device::Reference].into_iter().chain(gpus).collect()
}

fn forward(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("forward, batch 1");
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    for device in devices() {
        // The reference is left out. It takes up to a second per pass.
        group.sample_size(if matches!(device, Device::Reference) { 10 } else { 100 });
        for network in published::all() {
            let name = network.name.clone();
            let classifier =
                Classifier::open(Weights::random(network, 1), device.clone()).expect("a device that was listed opens");
            for samples in [1000, 5000] {
                let input: Vec<f32> = (0..12 * samples).map(|i| (i as f32 * 0.01).sin()).collect();
                let parameter = format!("12×{samples} on {}", classifier.device().name);
                let mut per_pass = Duration::ZERO;
                group.bench_function(BenchmarkId::new(&name, &parameter), |bencher| {
                    bencher.iter_custom(|passes| {
                        let start = Instant::now();
                        for _ in 0..passes {
                            classifier.run(&input, 1, samples).expect("the input fits");
                        }
                        per_pass = start.elapsed() / passes as u32;
                        start.elapsed()
                    });
                });
                if !per_pass.is_zero() {
                    let times = PUBLISHED.as_secs_f64() / per_pass.as_secs_f64();
                    println!("    {times:.1} times as fast as the 50 ms that the published model states");
                }
            }
        }
    }
}

criterion_group!(benches, forward);
criterion_main!(benches);
