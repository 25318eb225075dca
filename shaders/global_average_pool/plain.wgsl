// The mean over the samples of every channel. Counterpart: src/kernels/global_average_pool.rs.
//
// y[b, c] = mean over t of x[b, c, t]
//
// A workgroup computes one channel. Its invocations sum every 64th sample each and are then added in pairs, always in the
// same order, so that the result has the same bits every time.

//# storage

const WORKGROUP: u32 = 64;

struct GlobalAveragePool {
    channels: u32,
    samples: u32,
    x_base_offset: u32,
    x_pitch: u32,
    y_base_offset: u32,
    y_pitch: u32,
    y_offset: u32,
    unused: u32,
}

@group(0) @binding(0) var<uniform> pool: GlobalAveragePool;
@group(0) @binding(1) var<storage, read> x: array<X>;          // [batch, channels, x_pitch] after x_base_offset
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [batch, channels, y_pitch] after y_base_offset

var<workgroup> partial: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = group.y * pool.channels + group.x;
    var sum = 0.0;
    for (var t = lane; t < pool.samples; t += WORKGROUP) {
        sum += x_at(pool.x_base_offset + row * pool.x_pitch + t);
    }
    partial[lane] = sum;
    for (var half = WORKGROUP / 2; half > 0; half /= 2) {
        workgroupBarrier();
        if lane < half {
            partial[lane] += partial[lane + half];
        }
    }
    workgroupBarrier();
    let mean = partial[0] / f32(pool.samples);
    for (var i = lane; i < pool.y_pitch; i += WORKGROUP) {
        y[pool.y_base_offset + row * pool.y_pitch + i] = select(0.0, mean, i == pool.y_offset);
    }
}
