// The running mean and variance that inference uses. Counterpart: src/kernels/training/batch_norm.rs.
//
// running[i] = (1 - MOMENTUM) * running[i] + MOMENTUM * statistics[g, i], group after group
//
// where a variance, i in the second half, is made unbiased.

override MOMENTUM: f32;
override UNBIASED: f32; // count / (count - 1)

const WORKGROUP: u32 = 64;

struct RunningStatistics {
    groups: u32,
    channels: u32,
    statistics_first: u32,
    statistics_pitch: u32,
    running_first: u32,
}

@group(0) @binding(0) var<uniform> sizes: RunningStatistics;
@group(0) @binding(1) var<storage, read> statistics: array<f32>;     // [groups, 2, channels, statistics_pitch]
@group(0) @binding(2) var<storage, read_write> running: array<f32>;  // [2, channels]

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let i = invocation.x;
    if i >= 2 * sizes.channels {
        return;
    }
    let unbiased = select(UNBIASED, 1.0, i < sizes.channels);
    var value = running[sizes.running_first + i];
    for (var g = 0u; g < sizes.groups; g++) {
        let of_batch = statistics[sizes.statistics_first + (g * 2 * sizes.channels + i) * sizes.statistics_pitch] * unbiased;
        value = (1.0 - MOMENTUM) * value + MOMENTUM * of_batch;
    }
    running[sizes.running_first + i] = value;
}
